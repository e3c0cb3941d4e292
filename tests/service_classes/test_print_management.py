"""Film sessions, film boxes and image boxes, and how they hang together."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import Dataset

from sansdimse import uids
from sansdimse.dataset import decode, encode
from sansdimse.service_classes.print_management import (
    MAX_IMAGE_BOXES,
    Box,
    PrintSession,
    film_box,
    film_session,
    image_box,
    image_boxes,
    image_count,
)
from sansdimse.service_classes.refused import Refused
from sansdimse.services.sop_classes import BASIC_COLOR_IMAGE_BOX, BASIC_GRAYSCALE_IMAGE_BOX, ServiceClass
from sansdimse.services.statuses import meaning_of

ELE = uids.EXPLICIT_VR_LITTLE_ENDIAN


def sent(dataset: Dataset) -> Dataset:
    return decode(encode(dataset, ELE), ELE)


def numbered() -> Callable[[], str]:
    numbers = count(1)
    return lambda: f"1.9.{next(numbers)}"


def picture(samples: int = 1) -> Dataset:
    dataset = Dataset()
    dataset.PatientName = "not printed"
    dataset.SamplesPerPixel = samples
    dataset.PhotometricInterpretation = "MONOCHROME2" if samples == 1 else "RGB"
    dataset.Rows = dataset.Columns = 1
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit, dataset.PixelRepresentation = 7, 0
    dataset.add_new(0x7FE00010, "OB", b"\1" * (samples + samples % 2))
    return dataset


def refusal(call: Callable[[], object]) -> int:
    with pytest.raises(Refused) as refused:
        call()
    return refused.value.status


def begun(**more: object) -> tuple[PrintSession, Callable[[], str]]:
    session = PrintSession(**more)  # type: ignore[arg-type]
    session.create_film_session("1.1")
    return session, numbered()


def test_what_an_scu_sends() -> None:
    session = sent(film_session(copies=2, medium_type="PAPER", label="Eva"))
    assert (session.NumberOfCopies, session.PrintPriority, session.MediumType) == (2, "MED", "PAPER")
    assert "FilmDestination" not in session
    box = sent(film_box("1.1", "STANDARD\\2,3", size="14INX17IN", border_density="BLACK"))
    assert box.ImageDisplayFormat == "STANDARD\\2,3"
    assert box.ReferencedFilmSessionSequence[0].ReferencedSOPInstanceUID == "1.1"
    assert (box.FilmSizeID, box.BorderDensity) == ("14INX17IN", "BLACK")
    assert "FilmOrientation" not in box


def test_an_image_for_a_box() -> None:
    grey = sent(image_box(3, picture()))
    assert (grey.ImageBoxPosition, grey.BasicGrayscaleImageSequence[0].PixelData) == (3, b"\1\1")
    assert "PatientName" not in grey.BasicGrayscaleImageSequence[0]
    assert "BasicColorImageSequence" not in grey
    colour = sent(image_box(1, picture(3)))
    assert colour.BasicColorImageSequence[0].PhotometricInterpretation == "RGB"
    lacking = picture()
    del lacking.Rows
    assert refusal(lambda: image_box(1, lacking)) == 0x0120


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("STANDARD\\1,1", 1),
        ("STANDARD\\4,5", 20),
        ("ROW\\2,1,3", 6),
        ("COL\\2", 2),
        ("SLIDE", None),
        ("SUPERSLIDE", None),
        ("CUSTOM\\7", None),
    ],
)
def test_image_display_formats(text: str, number: int | None) -> None:
    assert image_count(text) == number


@pytest.mark.parametrize(
    "text", ["", "STANDARD", "STANDARD\\1", "STANDARD\\1,2,3", "STANDARD\\0,1", "ROW\\", "COL\\-1", "GRID\\1,1"]
)
def test_what_is_no_format(text: str) -> None:
    with pytest.raises(ValueError, match="no Image Display Format"):
        image_count(text)
    session, new_uid = begun()
    if text:
        assert refusal(lambda: session.create_film_box("1.2", film_box("1.1", text), new_uid)) == 0x0106


@pytest.mark.parametrize("color", [False, True])
def test_a_film_is_printed(color: bool) -> None:
    session, new_uid = begun(color=color)
    answer = sent(session.create_film_box("1.2", sent(film_box("1.1", "STANDARD\\2,1")), new_uid))
    image_class = BASIC_COLOR_IMAGE_BOX if color else BASIC_GRAYSCALE_IMAGE_BOX
    assert image_boxes(answer) == (Box(image_class, "1.9.1"), Box(image_class, "1.9.2"))
    assert session.print_film_box("1.2") == 0xB603
    assert session.print_film_session("1.1") == 0xB602
    session.set_image_box("1.9.2", sent(image_box(2, picture(3 if color else 1))))
    assert session.print_film_box("1.2") == session.print_film_session("1.1") == 0
    erased = Dataset()
    setattr(erased, "BasicColorImageSequence" if color else "BasicGrayscaleImageSequence", [])
    session.set_image_box("1.9.2", Dataset())
    assert session.print_film_box("1.2") == 0
    session.set_image_box("1.9.2", erased)
    assert session.print_film_box("1.2") == 0xB603


def test_an_image_box_has_its_position() -> None:
    session, new_uid = begun()
    session.create_film_box("1.2", film_box("1.1", "ROW\\1,1"), new_uid)
    assert refusal(lambda: session.set_image_box("1.9.1", image_box(2, picture()))) == 0x0106
    assert refusal(lambda: session.set_image_box("1.9.3", image_box(1, picture()))) == 0x0112
    session.set_image_box("1.9.1", image_box(1, picture()))


def test_what_cannot_be_created() -> None:
    fresh = PrintSession()
    box = film_box("1.1")
    assert refusal(lambda: fresh.create_film_box("1.2", box, numbered())) == 0x0106
    session, new_uid = begun(most_films=1)
    assert refusal(lambda: session.create_film_session("1.3")) == 0x0111
    assert refusal(lambda: session.create_film_box("1.2", film_box("1.4"), new_uid)) == 0x0106
    assert refusal(lambda: session.create_film_box("1.2", Dataset(), new_uid)) == 0x0120
    big = film_box("1.1", f"ROW\\{MAX_IMAGE_BOXES},1")
    assert refusal(lambda: session.create_film_box("1.2", big, new_uid)) == 0x0106
    session.create_film_box("1.2", box, new_uid)
    assert refusal(lambda: session.create_film_box("1.2", box, new_uid)) == 0x0111
    assert refusal(lambda: session.create_film_box("1.3", box, new_uid)) == 0x0213


def test_formats_that_the_printer_knows() -> None:
    session, new_uid = begun(custom_images=12)
    assert len(image_boxes(session.create_film_box("1.2", film_box("1.1", "SLIDE"), new_uid))) == 12


def test_a_printer_that_prints_film_by_film() -> None:
    session, new_uid = begun(collates=False)
    session.create_film_box("1.2", film_box("1.1"), new_uid)
    assert refusal(lambda: session.create_film_box("1.3", film_box("1.1"), new_uid)) == 0xC616
    session.print_film_box("1.2")
    session.create_film_box("1.3", film_box("1.1"), new_uid)


def test_what_goes_with_what_is_deleted() -> None:
    session, new_uid = begun()
    assert refusal(lambda: session.print_film_session("1.1")) == 0xC600
    session.create_film_box("1.2", film_box("1.1"), new_uid)
    session.create_film_box("1.3", film_box("1.1"), new_uid)
    session.delete_film_box("1.2")
    assert refusal(lambda: session.set_image_box("1.9.1", Dataset())) == 0x0112
    session.set_image_box("1.9.2", Dataset())
    for call in (session.delete_film_box, session.print_film_box):
        assert refusal(lambda call=call: call("1.2")) == 0x0112  # type: ignore[misc]
    for call_ in (session.delete_film_session, session.print_film_session):
        assert refusal(lambda call_=call_: call_("1.2")) == 0x0112  # type: ignore[misc]
    session.delete_film_session("1.1")
    assert (session.film_session_uid, session.films) == ("", {})
    for uid in ("1.1", ""):
        assert refusal(lambda uid=uid: session.delete_film_session(uid)) == 0x0112  # type: ignore[misc]
    session.create_film_session("1.1")


VERBS = st.tuples(
    st.sampled_from(["session", "film", "image", "print film", "print session", "delete film", "delete session"]),
    st.sampled_from(["1.1", "1.2", "1.9.1", "1.9.2"]),
)
NAMES = {"film": "N-CREATE", "session": "N-CREATE", "image": "N-SET"}


@settings(deadline=None)
@given(st.lists(VERBS, max_size=14), st.booleans())
def test_any_verbs_leave_a_sound_session(verbs: list[tuple[str, str]], collates: bool) -> None:
    session, new_uid = PrintSession(collates=collates), numbered()
    for verb, uid in verbs:
        calls: dict[str, Callable[[], object]] = {
            "session": lambda uid=uid: session.create_film_session(uid),  # type: ignore[misc]
            "film": lambda uid=uid: session.create_film_box(uid, film_box("1.1", "COL\\2"), new_uid),  # type: ignore[misc]
            "image": lambda uid=uid: session.set_image_box(uid, image_box(1, picture())),  # type: ignore[misc]
            "print film": lambda uid=uid: session.print_film_box(uid),  # type: ignore[misc]
            "print session": lambda uid=uid: session.print_film_session(uid),  # type: ignore[misc]
            "delete film": lambda uid=uid: session.delete_film_box(uid),  # type: ignore[misc]
            "delete session": lambda uid=uid: session.delete_film_session(uid),  # type: ignore[misc]
        }
        try:
            status = calls[verb]()
        except Refused as refused:
            status = refused.status
        service = NAMES.get(verb, "N-DELETE" if verb.startswith("delete") else "N-ACTION")
        if isinstance(status, int):
            assert meaning_of(status, ServiceClass.PRINT_MANAGEMENT, service), (verb, hex(status))
        assert session.film_session_uid or not session.films
        for film in session.films.values():
            assert film.attributes.ReferencedFilmSessionSequence[0].ReferencedSOPInstanceUID == session.film_session_uid
            assert len(film.images) == 2
