"""Print Management: film sessions, film boxes and image boxes, and how they hang together (PS3.4 Annex H).

A film session holds film boxes, each a sheet; a film box holds the image boxes that its SCP made with it, as many as
Image Display Format says. First what an SCU sends and reads, then ``PrintSession``, an SCP's book of one session.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from sansdimse.dataset import Dataset, tag_of
from sansdimse.dimse.status import (
    DUPLICATE_SOP_INSTANCE,
    INVALID_ATTRIBUTE_VALUE,
    NO_SUCH_SOP_INSTANCE,
    RESOURCE_LIMITATION,
    SUCCESS,
    Status,
)
from sansdimse.service_classes.attributes import check_types, has_value, items_of, subset, text_of
from sansdimse.service_classes.refused import Refused
from sansdimse.services.sop_classes import (
    BASIC_COLOR_IMAGE_BOX,
    BASIC_FILM_SESSION,
    BASIC_GRAYSCALE_IMAGE_BOX,
)

SESSION_WITHOUT_IMAGES: Final = Status(0xB602)
FILM_WITHOUT_IMAGES: Final = Status(0xB603)
NO_FILM_BOXES: Final = Status(0xC600)
UNPRINTED_FILM_BOX: Final = Status(0xC616)

MAX_IMAGE_BOXES: Final = 1024
"""Most image boxes of one film box: a film of 32 by 32 images has images of a centimetre."""

_IMAGE: Final = """SamplesPerPixel PhotometricInterpretation PlanarConfiguration Rows Columns PixelAspectRatio
    BitsAllocated BitsStored HighBit PixelRepresentation PixelData""".split()


class Box(NamedTuple):
    """A film session, film box or image box by its SOP Class UID and SOP Instance UID."""

    sop_class_uid: str
    sop_instance_uid: str


def film_session(
    *, copies: int = 1, priority: str = "MED", medium_type: str = "", film_destination: str = "", label: str = ""
) -> Dataset:
    """The Attribute List of a film session's N-CREATE (PS3.4 H.4.1.2.1); what is "" is left to the printer."""
    session = Dataset()
    session.NumberOfCopies = copies
    session.PrintPriority = priority
    _give(session, MediumType=medium_type, FilmDestination=film_destination, FilmSessionLabel=label)
    return session


def film_box(
    film_session_uid: str,
    image_display_format: str = "STANDARD\\1,1",
    *,
    orientation: str = "",
    size: str = "",
    magnification: str = "",
    border_density: str = "",
    empty_image_density: str = "",
) -> Dataset:
    """The Attribute List of a film box's N-CREATE (PS3.4 H.4.2.2.1); what is "" is left to the printer."""
    box = Dataset()
    box.ImageDisplayFormat = image_display_format
    box.ReferencedFilmSessionSequence = [_reference(Box(BASIC_FILM_SESSION, film_session_uid))]
    _give(box, FilmOrientation=orientation, FilmSizeID=size, MagnificationType=magnification)
    _give(box, BorderDensity=border_density, EmptyImageDensity=empty_image_density)
    return box


def image_boxes(film_box: Dataset) -> tuple[Box, ...]:
    """The image boxes of a film box as its SCP answered: one for each position, the first for position 1."""
    return tuple(
        Box(text_of(item, "ReferencedSOPClassUID"), text_of(item, "ReferencedSOPInstanceUID"))
        for item in items_of(film_box, "ReferencedImageBoxSequence")
    )


def image_box(position: int, image: Dataset) -> Dataset:
    """The Modification List of the N-SET that puts an image at a position (from 1) of the film (PS3.4 H.4.3).

    ``image`` is a data set with uncompressed pixels; of colour where it has several samples per pixel. Raises
    Refused (0120, 0121) as a printer would, where it lacks something. Its pixels are not copied.
    """
    wanted = [keyword for keyword in _IMAGE if keyword not in ("PlanarConfiguration", "PixelAspectRatio")]
    check_types(image, wanted)
    item = Dataset()
    for keyword in _IMAGE:
        if keyword in image:
            item[tag_of(keyword)] = image[keyword]
    box = Dataset()
    box.ImageBoxPosition = position
    if text_of(image, "SamplesPerPixel") == "1":
        box.BasicGrayscaleImageSequence = [item]
    else:
        box.BasicColorImageSequence = [item]
    return box


def image_count(image_display_format: str) -> int | None:
    """How many image boxes Image Display Format (2010,0010) asks for (PS3.3 C.13.3).

    ``STANDARD\\C,R`` has columns times rows, ``ROW\\R1,R2`` and ``COL\\C1,C2`` their sum. None where the printer
    alone knows: SLIDE, SUPERSLIDE, CUSTOM. Raises ValueError for what is no format.
    """
    kind, _, text = image_display_format.partition("\\")
    if kind in ("SLIDE", "SUPERSLIDE", "CUSTOM"):
        return None
    numbers = [int(number) if number.isdecimal() else 0 for number in text.split(",")]
    if all(numbers) and (kind in ("ROW", "COL") or (kind == "STANDARD" and len(numbers) == 2)):
        return numbers[0] * numbers[1] if kind == "STANDARD" else sum(numbers)
    raise ValueError(f"{image_display_format!r} is no Image Display Format")


def _give(dataset: Dataset, **values: str) -> None:
    for keyword, value in values.items():
        if value:
            setattr(dataset, keyword, value)


def _reference(box: Box) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = box
    return item


@dataclass(slots=True)
class Film:
    """A film box: its attributes, its image boxes in order (None: still empty), whether it was printed."""

    attributes: Dataset
    images: dict[str, Dataset | None]
    printed: bool = False


@dataclass(slots=True)
class PrintSession:
    """One association's film session at an SCP, and all below it (PS3.4 H.2.3, H.4).

    ``color`` says which of the two meta SOP classes was negotiated, ``collates`` whether the printer prints whole
    sessions, ``custom_images`` how many image boxes a format has that the printer alone knows. At most ``most_films``
    film boxes. What it raises is Refused, and then it has changed nothing.
    """

    color: bool = False
    collates: bool = True
    custom_images: int = 1
    most_films: int = 256
    film_session_uid: str = ""
    films: dict[str, Film] = field(default_factory=dict)

    def create_film_session(self, sop_instance_uid: str) -> None:
        """N-CREATE of the film session. 0111 where there is one: an association has one at a time."""
        if self.film_session_uid:
            raise Refused(DUPLICATE_SOP_INSTANCE, "there is a film session")
        self.film_session_uid = sop_instance_uid

    def create_film_box(self, sop_instance_uid: str, attributes: Dataset, new_uid: Callable[[], str]) -> Dataset:
        """N-CREATE of a film box; the Attribute List of the answer, with the image boxes that were made with it.

        0120 and 0121 without format or film session, 0106 for a format that is none or a session that is not this,
        0111 for a UID in use, C616 above an unprinted film where sessions are not printed, 0213 above ``most_films``.
        """
        check_types(attributes, ["ImageDisplayFormat", "ReferencedFilmSessionSequence"])
        parents = [text_of(item, "ReferencedSOPInstanceUID") for item in items_of(attributes, _PARENT)]
        if not self.film_session_uid or parents != [self.film_session_uid]:
            invalid = subset(attributes, [_PARENT])
            raise Refused(INVALID_ATTRIBUTE_VALUE, "no such film session", attribute_list=invalid)
        if sop_instance_uid in self.films:
            raise Refused(DUPLICATE_SOP_INSTANCE, "there is such a film box")
        if not self.collates and any(not film.printed for film in self.films.values()):
            raise Refused(UNPRINTED_FILM_BOX, "there is a film box that was not printed")
        count = self._image_count(attributes)
        if len(self.films) >= self.most_films:
            raise Refused(RESOURCE_LIMITATION, f"there are {self.most_films} film boxes")
        film = Film(deepcopy(attributes), {new_uid(): None for _ in range(count)})
        self.films[sop_instance_uid] = film
        answer = deepcopy(attributes)
        image_class = BASIC_COLOR_IMAGE_BOX if self.color else BASIC_GRAYSCALE_IMAGE_BOX
        answer.ReferencedImageBoxSequence = [_reference(Box(image_class, uid)) for uid in film.images]
        return answer

    def _image_count(self, attributes: Dataset) -> int:
        try:
            count = image_count(text_of(attributes, "ImageDisplayFormat"))
        except ValueError:
            count = 0
        count = self.custom_images if count is None else count
        if not 0 < count <= MAX_IMAGE_BOXES:
            invalid = subset(attributes, ["ImageDisplayFormat"])
            raise Refused(INVALID_ATTRIBUTE_VALUE, "bad Image Display Format", attribute_list=invalid)
        return count

    def set_image_box(self, sop_instance_uid: str, modifications: Dataset) -> None:
        """N-SET of an image box. 0112 for one that is not there, 0106 for another position than its own.

        An image sequence that is there and empty erases what was in the box (PS3.4 H.4.3.1.2.1.2).
        """
        images = next((film.images for film in self.films.values() if sop_instance_uid in film.images), None)
        if images is None:
            raise _unknown()
        position = text_of(modifications, "ImageBoxPosition")
        if position and position != str(list(images).index(sop_instance_uid) + 1):
            invalid = subset(modifications, ["ImageBoxPosition"])
            raise Refused(INVALID_ATTRIBUTE_VALUE, "not the position of this image box", attribute_list=invalid)
        sequence = "BasicColorImageSequence" if self.color else "BasicGrayscaleImageSequence"
        if sequence in modifications:
            images[sop_instance_uid] = modifications if has_value(modifications, sequence) else None

    def print_film_box(self, sop_instance_uid: str) -> Status:
        """N-ACTION of a film box: 0000, or the warning B603 for an empty page. 0112 if it is not there."""
        film = self._film(sop_instance_uid)
        film.printed = True
        return SUCCESS if any(film.images.values()) else FILM_WITHOUT_IMAGES

    def print_film_session(self, sop_instance_uid: str) -> Status:
        """N-ACTION of the session: 0000, or the warning B602 without any image. C600 without film boxes."""
        self._check_session(sop_instance_uid)
        if not self.films:
            raise Refused(NO_FILM_BOXES, "the film session has no film boxes")
        for film in self.films.values():
            film.printed = True
        images: Iterable[Dataset | None] = (image for film in self.films.values() for image in film.images.values())
        return SUCCESS if any(images) else SESSION_WITHOUT_IMAGES

    def delete_film_box(self, sop_instance_uid: str) -> None:
        """N-DELETE of a film box, and of its image boxes with it."""
        self._film(sop_instance_uid)
        del self.films[sop_instance_uid]

    def delete_film_session(self, sop_instance_uid: str) -> None:
        """N-DELETE of the session, and of all below it."""
        self._check_session(sop_instance_uid)
        self.film_session_uid = ""
        self.films.clear()

    def _film(self, sop_instance_uid: str) -> Film:
        film = self.films.get(sop_instance_uid)
        if film is None:
            raise _unknown()
        return film

    def _check_session(self, sop_instance_uid: str) -> None:
        if not self.film_session_uid or sop_instance_uid != self.film_session_uid:
            raise _unknown()


_PARENT: Final = "ReferencedFilmSessionSequence"


def _unknown() -> Refused:
    return Refused(NO_SUCH_SOP_INSTANCE, "no such SOP instance")
