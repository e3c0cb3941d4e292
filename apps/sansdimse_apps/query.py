"""What options ask of an archive: keys, a query file, a level, in an information model (PS3.4 C.4.1.1, C.6)."""

from __future__ import annotations

import difflib
import json
import re
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydicom import config, datadict
from pydicom.dataelem import DataElement

from sansdimse import dataset
from sansdimse.dataset import _PYDICOM_FAILURES as UNREADABLE
from sansdimse.dataset import Dataset, DatasetError, NotDicomError
from sansdimse.service_classes.query_retrieve import IdentifierError, check_identifier, level_of, levels_of, unique_keys
from sansdimse.services import sop_classes
from sansdimse.services.sop_classes import STANDARD, UNIFIED_PROCEDURE_STEP_PUSH, SopClass
from sansdimse.uids import EXPLICIT_VR_LITTLE_ENDIAN
from sansdimse_apps.outcomes import CommandError, ExitCode
from sansdimse_apps.selection import reason

_LEVEL: Final = 0x00080052
_CHARACTER_SET: Final = 0x00080005
_TIMEZONE: Final = 0x00080201
_NO_COLUMNS: Final = frozenset({_CHARACTER_SET, _LEVEL, _TIMEZONE})

_PLACE: Final = re.compile(
    r"(?:(?P<keyword>[A-Za-z]\w*)|\(?(?P<group>[0-9A-Fa-f]{4}),(?P<element>[0-9A-Fa-f]{4})\)?|(?P<tag>[0-9A-Fa-f]{8}))"
    r"(?:\[(?P<item>\d{1,4})\])?"
)
_ONE_VALUE: Final = frozenset("LT ST UR UT".split())  # in which a backslash is a character (PS3.5 6.2)
_INTEGERS: Final = frozenset("SL SS SV UL US UV".split())
_FLOATS: Final = frozenset("FD FL".split())
_BINARY: Final = frozenset("OB OD OF OL OV OW".split())

Path_ = tuple[int, ...]
"""The tags on the way to an attribute: those of the sequences that it is in, and its own."""

_MODELS: Final = {
    "C-FIND": (
        sop_classes.PATIENT_ROOT_FIND,
        sop_classes.STUDY_ROOT_FIND,
        sop_classes.PATIENT_STUDY_ONLY_FIND,
        sop_classes.MODALITY_WORKLIST_FIND,
    ),
    "C-GET": (sop_classes.PATIENT_ROOT_GET, sop_classes.STUDY_ROOT_GET, sop_classes.PATIENT_STUDY_ONLY_GET),
    "C-MOVE": (sop_classes.PATIENT_ROOT_MOVE, sop_classes.STUDY_ROOT_MOVE, sop_classes.PATIENT_STUDY_ONLY_MOVE),
}
_FLAGS: Final = ("--patient", "--study", "--psonly", "--worklist")


@dataclass(frozen=True, slots=True)
class Asked:
    """A query, and the SOP class that it is put to."""

    model: SopClass
    data_set: Dataset
    columns: tuple[Path_, ...]
    """What a table of its matches shows: the attributes asked for, those of ``-k`` first and in that order."""

    @property
    def sop_class_uid(self) -> str:
        """What the command names: UPS Push for all of Unified Procedure Step (PS3.4 CC.3.1.1)."""
        return UNIFIED_PROCEDURE_STEP_PUSH if UNIFIED_PROCEDURE_STEP_PUSH in self.model.members else self.model.uid

    def doubts(self, service: Any, *, relational: bool) -> str:
        """What the information model does not allow in it, for whoever wonders why it failed; "" if nothing is."""
        try:
            check_identifier(self.data_set, self.model.uid, relational=relational, service=service)
        except IdentifierError as error:
            return f"The query is not as its information model has it: {error.comment}."
        return ""


def information_model(
    service: str,
    *,
    patient: bool = False,
    study: bool = False,
    psonly: bool = False,
    worklist: bool = False,
    model: str | None = None,
) -> SopClass:
    """The SOP class that options name; Study Root unless they name another. Raises ``CommandError``."""
    named = [index for index, flag in enumerate((patient, study, psonly, worklist)) if flag]
    if len(named) + (model is not None) > 1:
        flags = [_FLAGS[index] for index in named] + ["--model"] * (model is not None)
        raise _usage(f"{' and '.join(flags)} name different information models: give one of them")
    if model is not None:
        return _named_model(service, model)
    return STANDARD.rows[_MODELS[service][named[0] if named else 1]]


def _named_model(service: str, name: str) -> SopClass:
    row = STANDARD.get(name) or _by_keyword(name)
    fitting = {each.keyword: each for each in STANDARD if service in each.dimse_services}
    if row is None:
        raise _usage(f"--model '{name}' is the UID or keyword of no SOP class of PS3.6", _suggestion(name, fitting))
    if service not in row.dimse_services:
        raise _usage(f"--model: {row.name} has no {service}", _suggestion(row.keyword, fitting))
    return row


def storage_classes(names: Iterable[str]) -> list[str]:
    """The UIDs of storage SOP classes, given so or by their keywords. Raises ``CommandError`` for others."""
    known = {each.keyword: each for each in STANDARD if "C-STORE" in each.dimse_services}
    found = []
    for name in names:
        row = _by_keyword(name)
        uid = name if row is None else row.uid
        if row is None and not re.fullmatch(r"[0-9.]{1,64}", name):
            raise _usage(f"--storage '{name}' is the keyword of no SOP class of PS3.6", _suggestion(name, known))
        if STANDARD.get(uid) is not None and not STANDARD.serves(uid, "C-STORE"):
            raise _usage(f"--storage: {STANDARD.name_of(uid)} is not for storage", _suggestion(name, known))
        found.append(uid)
    return found


def query(
    model: SopClass, keys: Sequence[str], file: Path | None = None, level: str | None = None, *, retrieves: bool = False
) -> Asked:
    """The query that options describe. Raises ``CommandError`` for what cannot be one.

    Keys override the file's, and ``level`` both. Where nobody says the level, it is the lowest whose unique key is
    among the keys (``retrieves``: with a value), else the root's.
    """
    asked = Dataset() if file is None else _read(file)
    before = {path for path, _ in _leaves(asked)}
    given = [_set(asked, key) for key in keys]
    if not len(asked):
        raise _usage(
            "nothing says what is asked for", f"Give keys with -k, such as -k {_example(model)}, or a file with -q."
        )
    if level is not None:
        _set(asked, f"QueryRetrieveLevel={level.strip().upper()}")
    elif model.levels and _LEVEL not in asked:
        _set(asked, f"QueryRetrieveLevel={_meant(asked, model, retrieves=retrieves)}")
    _check_level(asked, model)
    if retrieves:
        _check_retrieval(asked, model)
    _encodable(asked, given)
    columns = [*given, *(path for path, _ in _leaves(asked) if path in before)]
    return Asked(model, asked, tuple(dict.fromkeys(path for path in columns if path[0] not in _NO_COLUMNS)))


# ---------------------------------------------------------------- keys


def _set(asked: Dataset, key: str) -> Path_:
    """Put a key, as ``PatientName=DOE*``, into the query; where it went."""
    name, _, value = key.partition("=")
    place, tags = asked, list[int]()
    *outer, last = name.strip().split(".")
    for step in outer:
        tag, item = _step(step, key)
        place = _item(place, tag, item or 0, key)
        tags.append(tag)
    tag, item = _step(last, key)
    if item is not None:
        if value:
            raise _bad(
                key, f"an item of {_shown(tag)} has no value of its own", f"Name an attribute: -k {name}.KEYWORD"
            )
        _item(place, tag, item, key)
    else:
        place.add(_element(tag, _vr(tag, place), value, key))
    return (*tags, tag)


def _step(text: str, key: str) -> tuple[int, int | None]:
    """The tag and item number of one step of a path."""
    found = _PLACE.fullmatch(text.strip())
    if found is None:
        raise _bad(
            key,
            f"'{text}' is no attribute",
            "Keys are such as PatientName=DOE*, 0010,0010=DOE* and Sequence[0].Keyword.",
        )
    keyword, item = found["keyword"], found["item"]
    if keyword is not None:
        known = datadict.tag_for_keyword(keyword)
        if known is None:
            raise _bad(key, f"'{keyword}' is no keyword of PS3.6", _suggestion(keyword, datadict.keyword_dict))
        tag = int(known)
    else:
        tag = int(found["tag"] or found["group"] + found["element"], 16)
    if tag < 0x00080000 or not tag & 0xFFFF:
        raise _bad(key, f"{_shown(tag)} is no attribute of a data set")
    return tag, None if item is None else int(item)


def _item(place: Dataset, tag: int, number: int, key: str) -> Dataset:
    """This item of a sequence, made if it is the next."""
    if _vr(tag, place) != "SQ":
        raise _bad(key, f"{_shown(tag)} is no sequence")
    if tag not in place:
        place.add_new(tag, "SQ", [])
    items = place[tag].value
    if number > len(items):
        raise _bad(key, f"item {number} of {_shown(tag)} comes before item {len(items)}")
    if number == len(items):
        items.append(Dataset())
    item: Dataset = items[number]
    return item


def _vr(tag: int, place: Dataset) -> str:
    """The VR of an attribute; UN if nobody knows it."""
    if tag >> 16 & 1:
        if 0x10 <= tag & 0xFFFF <= 0xFF:
            return "LO"
        creator: DataElement | None = place.get(tag >> 16 << 16 | tag >> 8 & 0xFF)
        try:
            return str(datadict.private_dictionary_VR(tag, "" if creator is None else str(creator.value)))
        except KeyError:
            return "UN"
    try:
        return datadict.dictionary_VR(tag).partition(" or ")[0]
    except KeyError:
        return "UN"


def _element(tag: int, vr: str, value: str, key: str) -> DataElement:
    """The element with this value; what is asked for need not be a value that one could have, such as a range."""
    if vr == "SQ" and value:
        raise _bad(
            key,
            f"{_shown(tag)} is a sequence",
            f"Ask for what is in its items: -k {key.partition('=')[0]}[0].KEYWORD=...",
        )
    if vr in _BINARY and value:
        raise _bad(key, f"{_shown(tag)} is binary, and only asked for without a value")
    try:
        return DataElement(tag, vr, _value(vr, value), validation_mode=config.IGNORE)
    except (ArithmeticError, TypeError, ValueError) as error:
        raise _bad(key, f"'{value}' is no value for {_shown(tag)}, which is {vr}") from error


def _value(vr: str, text: str) -> object:
    if not text:
        return [] if vr == "SQ" else None
    if vr == "UN":
        data = text.encode()
        return data + b" " * (len(data) % 2)
    values: list[Any] = [text] if vr in _ONE_VALUE else text.split("\\")
    if vr in _INTEGERS:
        values = [int(each, 0) for each in values]
    elif vr in _FLOATS:
        values = [float(each) for each in values]
    elif vr == "AT":
        values = [int(re.sub("[(),]", "", each), 16) for each in values]
    return values[0] if len(values) == 1 else values


def _encodable(asked: Dataset, given: Sequence[Path_]) -> None:
    """Have the query name a character set that holds its text: UTF-8, where nobody has named one."""
    texts = [str(element.value) for element in asked.iterall() if element.VR not in ("SQ", *_BINARY, "UN")]
    if not all(text.isascii() for text in texts) and (_CHARACTER_SET,) not in given:
        asked.SpecificCharacterSet = "ISO_IR 192"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # of characters that the character set has not
            dataset.encode(asked, EXPLICIT_VR_LITTLE_ENDIAN)
    except DatasetError as error:
        raise _usage(f"the query cannot be sent: {error}") from error


# ---------------------------------------------------------------- the level


def _meant(asked: Dataset, model: SopClass, *, retrieves: bool) -> str:
    """The level that keys speak of."""
    for level in reversed(levels_of(model.uid)):
        if (
            level.unique_key in asked
            and level.name in model.levels
            and not (retrieves and asked[level.unique_key].is_empty)
        ):
            return level.name
    return model.root_level


def _check_level(asked: Dataset, model: SopClass) -> None:
    level = level_of(asked)
    if _LEVEL in asked and not model.levels:
        raise _usage(f"{model.name} has no levels: leave out -L and QueryRetrieveLevel")
    if model.levels and level not in model.levels:
        raise _usage(f"'{level}' is no level of {model.name}", f"-L takes {', '.join(model.levels)}.")


def _check_retrieval(asked: Dataset, model: SopClass) -> None:
    keys = unique_keys(model.uid, level_of(asked))
    if keys and (keys[-1] not in asked or asked[keys[-1]].is_empty):
        at = f" at level {level_of(asked)}" if model.levels else ""
        raise _usage(
            f"nothing says what to retrieve{at}", f"Give -k {datadict.keyword_for_tag(keys[-1])}=UID, which find tells."
        )


def _example(model: SopClass) -> str:
    levels = levels_of(model.uid)
    keyword = datadict.keyword_for_tag(levels[0].unique_key) if levels else "SOPInstanceUID"
    return f"{keyword}=..."


# ---------------------------------------------------------------- the file


def _read(path: Path) -> Dataset:
    """The data set of a DICOM file, or of one in the DICOM JSON Model (PS3.18 F)."""
    try:
        with path.open("rb") as file:
            start = file.read(16)
            file.seek(0)
            if start.lstrip()[:1] in (b"{", b"["):
                return _from_json(file.read(), path)
            header = dataset.read_part10_header(file.read)
            file.seek(header.offset)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # a query may have values that an instance may not
                return dataset.decode(file.read(), header.transfer_syntax_uid)
    except NotDicomError as error:
        raise _usage(f"cannot read the query in {path}: it is no DICOM file and no JSON") from error
    except (DatasetError, OSError) as error:
        raise _usage(f"cannot read the query in {path}: {reason(error, path)}") from error


def _from_json(text: bytes, path: Path) -> Dataset:
    try:
        read = json.loads(text)
        if isinstance(read, list) and len(read) == 1:
            [read] = read
        if not isinstance(read, dict):
            raise ValueError("it is not one data set")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made = Dataset.from_json(read)
            _ = [element.value for element in made.iterall()]
    except UNREADABLE as error:
        message = f"cannot read the query in {path}: it is not in the DICOM JSON Model: {error}"
        raise _usage(message[:300]) from error
    return made


# ---------------------------------------------------------------- matches, to people


def heading(path: Path_) -> str:
    """What an attribute is called above its column."""
    return datadict.keyword_for_tag(path[-1]) or _shown(path[-1])


def shown(match: Dataset, path: Path_) -> str:
    """The values of an attribute in a match, those of several items one after the other."""
    found = [match]
    for tag in path[:-1]:
        found = [item for each in found if tag in each and each[tag].VR == "SQ" for item in each[tag].value]
    return "; ".join(text for each in found if (text := _text(each.get(path[-1]))))


def _text(element: DataElement | None) -> str:
    if element is None or element.is_empty:
        return ""
    value: Any = element.value
    if element.VR == "SQ":
        return f"({len(value)} {'item' if len(value) == 1 else 'items'})"
    if isinstance(value, bytes):
        return value.decode("latin-1").rstrip(" \0")
    return "\\".join(map(str, value)) if element.VM > 1 else str(value)


# ---------------------------------------------------------------- the rest


def _leaves(asked: Dataset, before: Path_ = ()) -> Iterable[tuple[Path_, DataElement]]:
    """Every attribute that is asked for, with its path."""
    for element in asked:
        path = (*before, int(element.tag))
        if element.VR == "SQ" and element.value and any(len(item) for item in element.value):
            for item in element.value:
                yield from _leaves(item, path)
        else:
            yield path, element


def _by_keyword(name: str) -> SopClass | None:
    return next((row for row in STANDARD if row.keyword and row.keyword.lower() == name.lower()), None)


def _suggestion(word: str, known: Iterable[str]) -> str:
    """A sentence with the word that may have been meant."""
    by_lower = {each.lower(): each for each in known if each}
    close = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=0.6)
    return f"Did you mean {by_lower[close[0]]}?" if close else ""


def _shown(tag: int) -> str:
    name = datadict.keyword_for_tag(tag)
    number = f"({tag >> 16:04X},{tag & 0xFFFF:04X})"
    return f"{name} {number}" if name else number


def _bad(key: str, why: str, advice: str = "") -> CommandError:
    return _usage(f"key '{key}': {why}", advice)


def _usage(message: str, advice: str = "") -> CommandError:
    return CommandError(ExitCode.USAGE, message, advice)
