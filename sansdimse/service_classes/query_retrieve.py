"""Query/Retrieve: levels and keys of the information models, and what an identifier may ask (PS3.4 Annexes C, Y, Z).

``check_identifier`` holds an identifier against its information model before anything is looked up. Where peers are
used to be forgiven, and nothing becomes ambiguous, it forgives: a C-FIND may leave out the unique key of its own level
(the standard wants it there, if only to be told), and attributes that the tables do not name may be asked for at any
level. Elements that say how the rest is encoded or meant are never in the way.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final, Literal

from sansdimse.dataset import Dataset
from sansdimse.dimse.status import DATA_SET_MISMATCH
from sansdimse.matching.keys import values_of
from sansdimse.service_classes.refused import Refused
from sansdimse.services.sop_classes import STANDARD, SopClass

__all__ = ["MODELS", "IdentifierError", "Level", "check_identifier", "level_of", "levels_of", "unique_keys"]

QUERY_RETRIEVE_LEVEL: Final = 0x00080052
SOP_INSTANCE_UID: Final = 0x00080018
PATIENT_ID: Final = 0x00100020
FRAME_KEYS: Final = (0x00081161, 0x00081162, 0x00081163)
"""Simple Frame List, Calculated Frame List, Time Range: a request at FRAME level has one of them (PS3.4 Y.6.1.1.3)."""

# Specific Character Set, Query/Retrieve Level, Query/Retrieve View, Timezone Offset From UTC.
_ABOUT_THE_REST: Final = frozenset({0x00080005, QUERY_RETRIEVE_LEVEL, 0x00080053, 0x00080201})


class IdentifierError(Refused, ValueError):
    """An identifier that its information model does not allow: A900 with the elements in question (PS3.4 C.4.1.1.4)."""

    def __init__(self, sentence: str, *tags: int) -> None:
        super().__init__(DATA_SET_MISMATCH, sentence[:64], offending_element=tags)

    @property
    def tags(self) -> tuple[int, ...]:
        """The elements at fault, or missing."""
        return self.offending_element


@dataclass(frozen=True, slots=True)
class Level:
    """A level of an information model, with the keys that its table in PS3.4 C.6 names, as tags."""

    name: str
    unique_key: int
    required_keys: frozenset[int] = frozenset()
    optional_keys: frozenset[int] = frozenset()

    @property
    def keys(self) -> frozenset[int]:
        """All of them."""
        return self.required_keys | self.optional_keys | {self.unique_key}


def _tags(text: str) -> frozenset[int]:
    return frozenset(int(number, 16) for number in text.split())


# Tables C.6-1 to C.6-5. Retired attributes stay: who asks for them means that level.
_PATIENT: Final = Level(
    "PATIENT",
    PATIENT_ID,
    _tags("00100010"),
    _tags("""00081120 00100021 00100030 00100032 00100040 00101000 00101001 00101002 00102160 00104000 00201200 00201202
    00201204"""),
)
_STUDY: Final = Level(
    "STUDY",
    0x0020000D,
    _tags("00080020 00080030 00080050 00200010"),
    _tags("""00080061 00080062 00080063 00080090 00081030 00081032 00081060 00081080 00081110 00101010 00101020 00101030
    00102180 001021B0 00201070 00201206 00201208"""),
)
_SERIES: Final = Level("SERIES", 0x0020000E, _tags("00080060 00200011"), _tags("00201209"))
_IMAGE: Final = Level("IMAGE", SOP_INSTANCE_UID, _tags("00200013"), _tags("00080016 0008001A 00083001"))
_STUDY_AS_ROOT: Final = Level(
    "STUDY",
    _STUDY.unique_key,
    _STUDY.required_keys | _PATIENT.required_keys | {PATIENT_ID},
    _STUDY.optional_keys | _PATIENT.optional_keys,
)
_INSTANCE: Final = Level("IMAGE", SOP_INSTANCE_UID)

MODELS: Final[dict[str, tuple[Level, ...]]] = {
    "Patient Root": (_PATIENT, _STUDY, _SERIES, _IMAGE),
    "Study Root": (_STUDY_AS_ROOT, _SERIES, _IMAGE),
    "Study Root (extended)": (_STUDY_AS_ROOT, _SERIES, _IMAGE),
    "Patient/Study Only": (_PATIENT, _STUDY),
    "Composite Instance Root": (_INSTANCE, Level("FRAME", SOP_INSTANCE_UID, _tags("00081161 00081162 00081163"))),
    "Composite Instance": (_INSTANCE,),
}
"""The levels of each hierarchical model, from the top, under the name it has in ``services.sop_classes``."""

_WITH_RETRIEVAL: Final = frozenset(row.service_class for row in STANDARD if "C-MOVE" in row.dimse_services)


def level_of(identifier: Dataset) -> str:
    """Query/Retrieve Level as it was sent, without padding; "" if there is none, or more than one."""
    values = values_of(identifier, QUERY_RETRIEVE_LEVEL)
    return values[0].strip(" ") if len(values) == 1 and isinstance(values[0], str) else ""


def levels_of(sop_class_uid: str) -> tuple[Level, ...]:
    """The levels of a SOP class's information model, from the top; none without a hierarchy, or if it is unknown."""
    row = STANDARD.get(sop_class_uid)
    return () if row is None else MODELS.get(row.information_model, ())


def unique_keys(sop_class_uid: str, level: str = "") -> tuple[int, ...]:
    """The unique keys, from the top to this level, that say which entity is meant; none if there is no such level.

    In models without levels it is SOP Instance UID, if there is anything to retrieve.
    """
    row = STANDARD.get(sop_class_uid)
    if row is None:
        return ()
    levels = levels_of(sop_class_uid)
    if not levels:
        return (SOP_INSTANCE_UID,) if not level and row.service_class in _WITH_RETRIEVAL else ()
    names = [one.name for one in levels]
    if level not in names:
        return ()
    return tuple(dict.fromkeys(one.unique_key for one in levels[: names.index(level) + 1]))


def check_identifier(
    identifier: Dataset,
    sop_class_uid: str,
    *,
    relational: bool = False,
    service: Literal["C-FIND", "C-GET", "C-MOVE"] = "C-FIND",
) -> None:
    """Raise IdentifierError for what the information model does not allow in the identifier of a request.

    ``relational`` says that relational queries, or relational retrieval, were negotiated (PS3.4 C.5.1.1, C.5.2.1): then
    a query may have keys of any level, and a retrieval leave out those above its own. Of an identifier for a SOP class
    that the table does not know, nothing is said.
    """
    row = STANDARD.get(sop_class_uid)
    if row is None:
        return
    levels = levels_of(sop_class_uid)
    if not levels:
        _check_without_levels(identifier, service)
        return
    place = _place_of(identifier, row)
    if service == "C-FIND":
        if not relational:
            _check_query(identifier, levels, place)
    elif levels[place].name == "FRAME":
        _check_frames(identifier)
    else:
        _check_retrieval(identifier, levels, place, relational=relational)


def _place_of(identifier: Dataset, row: SopClass) -> int:
    """Which of the model's levels the identifier is at."""
    name = level_of(identifier)
    if name not in row.levels:
        what = f"Query/Retrieve Level {name[:16]!a} is not one of" if name else "Query/Retrieve Level must be one of"
        raise IdentifierError(f"{what} {', '.join(row.levels)}", QUERY_RETRIEVE_LEVEL)
    return row.levels.index(name)


def _check_query(identifier: Dataset, levels: tuple[Level, ...], place: int) -> None:
    """The hierarchical search: one entity of each level above, and keys of no other level (PS3.4 C.4.1.2.1).

    A key of another level that has no value restricts nothing. Viewers and archives ask so for what they show beside
    the level searched (Orthanc does, of the patient), so it is let be.
    """
    level = levels[place]
    above = [one.unique_key for one in levels[:place]]
    for tag in above:
        _check_single(identifier, tag, level)
    elsewhere = {tag for one in levels if one is not level for tag in one.keys if values_of(identifier, tag)}
    _check_only(identifier, elsewhere - {*above}, f"keys of another level than {level.name}")


def _check_retrieval(identifier: Dataset, levels: tuple[Level, ...], place: int, *, relational: bool) -> None:
    """Unique keys and no others; a list of UIDs at the level itself (PS3.4 C.4.2.2.1, C.4.2.2.2.1, C.4.3.2)."""
    level = levels[place]
    above = [one.unique_key for one in levels[:place]]
    for tag in above:
        if not relational or values_of(identifier, tag):
            _check_single(identifier, tag, level)
    _check_chosen(identifier, level.unique_key, f"at level {level.name}", several=level.unique_key != PATIENT_ID)
    _check_no_more(identifier, (*above, level.unique_key))


def _check_frames(identifier: Dataset) -> None:
    """One instance, and one way to say which of its frames (PS3.4 Y.3.3, Y.6.1.1.3)."""
    _check_chosen(identifier, SOP_INSTANCE_UID, "at level FRAME", several=False)
    _check_no_more(identifier, (SOP_INSTANCE_UID, *FRAME_KEYS))
    given = [tag for tag in FRAME_KEYS if values_of(identifier, tag)]
    if len(given) != 1:
        raise IdentifierError("frames must be told in one way, and in one only", *(given or FRAME_KEYS))


def _check_without_levels(identifier: Dataset, service: str) -> None:
    """PS3.4 K.4.1.1.3, U.4.2 and the annexes like them."""
    if QUERY_RETRIEVE_LEVEL in identifier:
        raise IdentifierError("this information model has no levels", QUERY_RETRIEVE_LEVEL)
    if service != "C-FIND":
        _check_chosen(identifier, SOP_INSTANCE_UID, "to retrieve", several=True)
        _check_no_more(identifier, (SOP_INSTANCE_UID,))


def _check_single(identifier: Dataset, tag: int, level: Level) -> None:
    """A unique key above the level says which entity is searched."""
    _check_chosen(identifier, tag, f"above level {level.name}", several=False)


def _check_chosen(identifier: Dataset, tag: int, where: str, *, several: bool) -> None:
    """The unique key has one value, or one at least, and says it in full."""
    values = values_of(identifier, tag)
    if not values:
        raise IdentifierError(f"unique key {_shown(tag)} missing {where}", tag)
    if len(values) > 1 and not several:
        raise IdentifierError(f"unique key {_shown(tag)} has several values {where}", tag)
    if not all(isinstance(value, str) and not {"*", "?"} & set(value) for value in values):
        raise IdentifierError(f"unique key {_shown(tag)} needs a full value {where}", tag)


def _check_no_more(identifier: Dataset, allowed: Collection[int]) -> None:
    others = {int(tag) for tag in identifier.keys() if tag not in allowed and not _is_aside(tag)}  # noqa: SIM118
    _check_only(identifier, others, "keys that are not unique keys of the level")


def _check_only(identifier: Dataset, forbidden: Iterable[int], what: str) -> None:
    found = sorted(tag for tag in forbidden if tag in identifier)
    if found:
        raise IdentifierError(f"{what}: {' '.join(map(_shown, found))}", *found)


def _is_aside(tag: int) -> bool:
    """Whether this asks for nothing by the standard's tables: what says how to read the rest, private elements."""
    return tag < 0x00080000 or bool(tag >> 16 & 1) or not tag & 0xFFFF or tag in _ABOUT_THE_REST


def _shown(tag: int) -> str:
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"
