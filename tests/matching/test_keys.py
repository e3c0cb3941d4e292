"""What the parts of a plan promise: candidates never raise, places are found, copies are copies."""

from __future__ import annotations

from typing import Any

import pytest
from pydicom import Dataset
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag

from sansdimse.matching.keys import (
    MAX_NESTING,
    EmptyKey,
    Key,
    PairKey,
    Place,
    Plan,
    SequenceKey,
    TimeKey,
    Wanted,
    copy_of,
    element_of,
    is_ascii,
    reserves,
    sequence_of,
    values_of,
    zone_of,
)
from sansdimse.matching.periods import DAY, Range, range_of, single_of
from sansdimse.matching.values import text_test

PATIENT_ID = 0x00100020
CONTENT = 0x0040A730
HOUR = DAY // 24


def dataset(**values: Any) -> Dataset:
    made = Dataset()
    for keyword, value in values.items():
        setattr(made, keyword, value)
    return made


def unreadable(tag: int) -> Dataset:
    """Three bytes for values of two each; nobody has looked yet."""
    made = Dataset()
    made[tag] = RawDataElement(Tag(tag), "US", 3, b"abc", 0, False, True)
    return made


class Silent:
    """A value that fails when somebody looks."""

    def __str__(self) -> str:
        raise UnicodeError("no text")


def silent(keyword: str) -> Dataset:
    made = dataset(**{keyword: ""})
    made[keyword]._value = Silent()
    return made


def range_(text: str, vr: str, zone: int | None = None) -> Range:
    found = single_of(text, vr, zone) or range_of(text, vr, zone)
    assert found is not None
    return found


def key(value: str = "x", *, every: bool = False, unknown: bool = True) -> Key:
    return Key(Place(PATIENT_ID), (text_test([value], "LO"),), every, unknown)


def plan(*keys: Any, wanted: tuple[Wanted, ...] = (), creators: tuple[Any, ...] = ()) -> Plan:
    return Plan(keys, wanted, creators, False)


def wanted(keyword: str, sub: Plan | None = None, *, may_lack: bool = False) -> Wanted:
    absent = dataset(**{keyword: [] if keyword.endswith("Sequence") else ""})[keyword]
    return Wanted(Place(absent.tag), absent, sub, may_lack)


def test_what_cannot_be_read_is_there_and_equals_nothing() -> None:
    for bad in (unreadable(PATIENT_ID), silent("PatientID")):
        assert values_of(bad, PATIENT_ID)
        assert not key().matches(bad, None)
        assert not key("*").matches(bad, None)
        assert not key(every=True).matches(bad, None)
        assert not EmptyKey(Place(PATIENT_ID)).matches(bad, None)
        assert is_ascii(bad)
    assert element_of(unreadable(PATIENT_ID), PATIENT_ID) is None
    assert element_of(Dataset(), PATIENT_ID) is None
    assert values_of(Dataset(), PATIENT_ID) == ()


def test_a_key_wants_one_value_or_every_test_one() -> None:
    several = tuple(text_test([value], "LO") for value in "xy")
    one, every = (Key(Place(PATIENT_ID), several, every, False) for every in (False, True))
    for values, any_, all_ in [(["x"], True, False), (["z", "y", "x"], True, True), (["z"], False, False)]:
        candidate = dataset(PatientID=values)
        assert one.matches(candidate, None) == any_
        assert every.matches(candidate, None) == all_


@pytest.mark.parametrize("unknown", [False, True])
def test_what_has_no_value_is_unknown(unknown: bool) -> None:
    moment = range_("10-11", "TM")
    keys = [
        key(unknown=unknown),
        TimeKey(Place(0x00080030), "TM", (moment,), unknown, None, ""),
        PairKey(0x00080020, 0x00080030, moment, unknown),
        SequenceKey(Place(CONTENT), plan(key()), unknown),
        SequenceKey(Place(0x00111001, "ACME"), plan(key()), unknown),
    ]
    for candidate in (Dataset(), dataset(PatientID="", StudyDate="", StudyTime="", ContentSequence=[])):
        assert [one.matches(candidate, None) for one in keys] == [unknown] * len(keys)
        assert EmptyKey(Place(PATIENT_ID)).matches(candidate, None)


def test_sequences() -> None:
    asked = SequenceKey(Place(CONTENT), plan(key()), True)
    assert asked.matches(dataset(ContentSequence=[dataset(PatientID="y"), dataset(PatientID="x")]), None)
    assert not asked.matches(dataset(ContentSequence=[dataset(PatientID="y")]), None)
    assert not asked.matches(unreadable(CONTENT), None)
    other = Dataset()
    other.add_new(CONTENT, "LO", "x")
    assert not asked.matches(other, None)


def test_a_date_and_time_of_one_value() -> None:
    asked = TimeKey(Place(0x0008002A), "DT", (range_("2024022910", "DT", 2 * HOUR),), True, None, "")
    for text, zone, found in [
        ("2024022910", None, True),
        ("2024022910", 2 * HOUR, True),
        ("2024022908", 0, True),
        ("2024022910", 0, False),
        ("2024022909+0100", 0, True),
        ("x", 0, False),
    ]:
        assert asked.matches(dataset(AcquisitionDateTime="2024"), zone)
        candidate = dataset(AcquisitionDateTime="")
        candidate["AcquisitionDateTime"]._value = text
        assert asked.matches(candidate, zone) == found
    assert not asked.matches(unreadable(0x0008002A), None)


def test_zones_of_dates_and_times() -> None:
    def on(keyword: str, tag: int, vr: str, text: str) -> TimeKey:
        clock = "StudyTime" if keyword == "StudyDate" else ""
        return TimeKey(Place(tag), vr, (range_(text, vr),), True, 2 * HOUR, clock)

    late = dataset(StudyDate="20240229", StudyTime="2330")
    assert on("StudyDate", 0x00080020, "DA", "20240301").matches(late, 0)
    assert on("StudyDate", 0x00080020, "DA", "20240229").matches(late, 2 * HOUR)
    assert on("StudyDate", 0x00080020, "DA", "20240229").matches(late, None)
    assert on("StudyDate", 0x00080020, "DA", "20240229").matches(dataset(StudyDate="20240229"), 0)
    assert on("StudyTime", 0x00080030, "TM", "0130").matches(late, 0)
    around = dataset(StudyTime="21")
    assert not on("StudyTime", 0x00080030, "TM", "-20").matches(around, HOUR)
    assert on("StudyTime", 0x00080030, "TM", "22").matches(around, HOUR)
    crossing = TimeKey(Place(0x00080030), "TM", (range_("0010", "TM"),), True, HOUR // 2, "")
    assert crossing.matches(dataset(StudyTime="23"), 0)
    assert not crossing.matches(dataset(StudyTime="22"), 0)
    for broken in (dataset(StudyDate="20240229"), dataset(StudyDate="20240229"), dataset(StudyDate="20240229")):
        broken.update(silent("StudyTime"))
        assert on("StudyDate", 0x00080020, "DA", "20240229").matches(broken, 0)


def test_pairs() -> None:
    start = range_("20240229", "DA").low
    assert start is not None
    ten = (start[0] + 10 * HOUR, start[0] + 11 * HOUR, 0)
    pair = PairKey(0x00080020, 0x00080030, Range(ten, None), True)
    for date, time, zone, found in [
        ("20240229", "09", None, False),
        ("20240229", "10", None, True),
        ("20240229", "", None, True),
        ("20240301", "00", None, True),
        ("20240229", "09", -HOUR, True),
        ("20240229", "x", None, False),
        ("x", "10", None, False),
    ]:
        candidate = dataset(StudyDate="", StudyTime="")
        candidate["StudyDate"]._value, candidate["StudyTime"]._value = date, time
        assert pair.matches(candidate, zone) == found


def test_a_place_is_where_the_creator_says() -> None:
    place = Place(0x00111001, "ACME")
    candidate = Dataset()
    assert place.within(candidate) is None
    assert place.values(candidate) == ()
    assert place.element(candidate) is None
    for block, creator in [(0x10, "OTHER"), (0x20, "ACME")]:
        candidate.add_new(0x00110000 | block, "LO", creator)
        candidate.add_new(0x00110001 | block << 8, "LO", creator.lower())
    assert place.within(candidate) == 0x00112001
    assert place.values(candidate) == ("acme",)
    assert place.element(candidate).value == "acme"
    assert Place(0x00111001).values(candidate) == ("other",)
    absent = Dataset()
    absent.add_new(0x00111001, "LO", "")
    told = Wanted(place, absent[0x00111001], None, False).told(candidate, None)
    assert (told.tag, told.value) == (0x00111001, "acme")


@pytest.mark.parametrize(
    ("tag", "reserved"),
    [(0x00110010, True), (0x001100FF, True), (0x00110100, False), (0x0011000F, False), (0x00100010, False)],
)
def test_private_creators(tag: int, reserved: bool) -> None:
    assert reserves(tag) == reserved


@pytest.mark.parametrize(("text", "hours"), [("+0200", 2), (" -0100 ", -1), ("noon", None), ("", None)])
def test_zones(text: str, hours: int | None) -> None:
    assert zone_of(dataset(TimezoneOffsetFromUTC=text)) == (None if hours is None else hours * HOUR)
    assert zone_of(Dataset()) is None
    assert zone_of(unreadable(0x00080201)) is None


def test_copies_are_copies() -> None:
    given = dataset(PatientID="1", ContentSequence=[dataset(PatientID="2")])
    text, items = copy_of(given["PatientID"]), copy_of(given["ContentSequence"])
    assert (text, items) == (given["PatientID"], given["ContentSequence"])
    text.value = "3"
    items.value[0].PatientID = "4"
    assert given == dataset(PatientID="1", ContentSequence=[dataset(PatientID="2")])
    assert sequence_of(CONTENT, []).value == []
    assert copy_of(dataset(ContentSequence=[unreadable(PATIENT_ID)])["ContentSequence"]).value == [Dataset()]
    deep = dataset(PatientID="1")
    for _ in range(2 * MAX_NESTING):
        deep = dataset(ContentSequence=[deep])
    assert copy_of(deep["ContentSequence"]) == deep["ContentSequence"]


def test_text_is_looked_for_at_any_depth() -> None:
    for value, ascii_ in [("a", True), ("ä", False)]:
        assert is_ascii(dataset(PatientName=value)) == ascii_
        assert (
            is_ascii(dataset(Rows=1, ContentSequence=[dataset(ContentSequence=[dataset(PatientID=value)])])) == ascii_
        )


def test_what_a_plan_tells() -> None:
    creator = Dataset()
    creator.add_new(0x00110010, "LO", "ACME")
    asked = plan(
        wanted=(
            wanted("PatientID"),
            wanted("RetrieveAETitle", may_lack=True),
            wanted("ContentSequence", plan(key(), wanted=(wanted("PatientID"),))),
        ),
        creators=(creator[0x00110010],),
    )
    assert asked.matches(Dataset(), None)
    bare = asked.response(Dataset(), None)
    assert [(element.keyword or "creator", element.is_empty) for element in bare] == [
        *(("PatientID", True), ("creator", False), ("ContentSequence", True))
    ]
    items = [dataset(PatientID="x", Rows=1), dataset(PatientID="y"), dataset(PatientID="x", SpecificCharacterSet="")]
    told = asked.response(
        dataset(SpecificCharacterSet="ISO_IR 100", RetrieveAETitle="A", PatientID="1", ContentSequence=items), None
    )
    assert told.SpecificCharacterSet == "ISO_IR 100"
    assert (told.RetrieveAETitle, told.PatientID) == ("A", "1")
    assert list(told.ContentSequence) == [dataset(PatientID="x")] * 2
    other = Dataset()
    other.add_new(CONTENT, "LO", "x")
    assert asked.response(other, None)[CONTENT].value == "x"
    assert not plan(key(), key("y")).matches(dataset(PatientID="x"), None)
