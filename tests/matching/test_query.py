"""Queries against candidates, kind by kind (PS3.4 C.2.2.2), and what is told of those that match."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import Dataset, config
from pydicom.dataelem import DataElement

from sansdimse.dataset import decode, encode
from sansdimse.matching import (
    QUERY_RETRIEVE,
    WORKLIST,
    MalformedKeyError,
    Matching,
    Query,
    matches,
    response,
    search,
)
from sansdimse.matching.keys import MAX_NESTING
from sansdimse.uids import EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN

COMBINED = Matching(combined_date_time_matching=True)
ADJUSTED = Matching(timezone_query_adjustment=True)
ADJUSTED_PAIRS = Matching(timezone_query_adjustment=True, combined_date_time_matching=True)
EMPTY = Matching(empty_value_matching=True)
SEVERAL = Matching(multiple_value_matching=True)


def dataset(**values: Any) -> Dataset:
    """A data set of these values; pydicom's checks of keys that are no values (``2019-2020``) are left out."""
    made = Dataset()
    for keyword, value in values.items():
        with config.disable_value_validation():
            setattr(made, keyword, value)
    return made


def is_match(options: Matching = QUERY_RETRIEVE, /, **pairs: tuple[Any, Any]) -> bool:
    """Whether the first of each pair, as keys, match a candidate of the second."""
    keys, values = ({keyword: pair[side] for keyword, pair in pairs.items()} for side in (0, 1))
    return matches(dataset(**keys), dataset(**values), options)


@pytest.mark.parametrize(
    ("keyword", "key", "value", "found"),
    [
        ("PatientID", "A1", "A1", True),
        ("PatientID", "A1", "a1", False),
        ("PatientID", "A1", " A1 ", True),
        ("PatientID", "A*", "A1", True),
        ("PatientID", "?1", "A1", True),
        ("PatientID", "A*", "a1", False),
        ("PatientName", "doe^j*", "DOE^John", True),
        ("PatientName", "Doe", "DOE^John", False),
        ("PatientAge", "0*Y", "030Y", False),
        ("StudyInstanceUID", "1.2", "1.2\0", True),
        ("StudyInstanceUID", ["1.2", "1.3"], "1.3", True),
        ("StudyInstanceUID", ["1.2", "1.3"], "1.4", False),
        ("StudyInstanceUID", "1.*", "1.3", False),
        ("InstanceNumber", "7", "007", True),
        ("InstanceNumber", "7", "8", False),
        ("PatientWeight", "70.0", "70", True),
        ("Rows", 512, 512, True),
        ("Rows", 512, 511, False),
        ("OffendingElement", 0x00100010, 0x00100010, True),
        ("StudyDate", "20240229", "2024.02.29", True),
        ("StudyDate", "20240101-20240229", "20240229", True),
        ("StudyDate", "-20240228", "20240229", False),
        ("StudyDate", "20240301-", "20240229", False),
        ("StudyDate", "20240229", "yesterday", False),
        ("StudyTime", "10", "103000", True),
        ("StudyTime", "1000-1100", "110030", True),
        ("StudyTime", "-1000", "150000", False),
        ("StudyTime", "103000", "10", True),
        ("AcquisitionDateTime", "2024", "20240229101500", True),
        ("AcquisitionDateTime", "202402291000+0200", "202402290800+0000", True),
        ("AcquisitionDateTime", "202402291000+0200", "202402291000+0000", False),
        ("AcquisitionDateTime", "2019-2021", "2020", True),
        ("ModalitiesInStudy", "MR", ["CT", "MR"], True),
        ("ModalitiesInStudy", "M*", ["CT", "MR"], True),
        ("ModalitiesInStudy", ["MR", "US"], ["CT", "MR"], True),
        ("ModalitiesInStudy", "US", ["CT", "MR"], False),
        ("OtherPatientNames", "roe", ["Doe", "Roe"], True),
        ("EncapsulatedDocument", b"ab", b"ab", True),
        ("EncapsulatedDocument", b"ab", b"ac", False),
        ("StudyComments", " a", "a", False),
    ],
)
def test_a_key_and_a_value(keyword: str, key: object, value: object, found: bool) -> None:
    if keyword == "OffendingElement":
        keyword = "SelectorAttribute"
    assert is_match(**{keyword: (key, value)}) == found


def test_all_keys_must_match() -> None:
    assert is_match(PatientID=("1", "1"), PatientName=("a", "A"))
    assert not is_match(PatientID=("1", "2"), PatientName=("a", "A"))
    assert not is_match(PatientID=("1", "1"), PatientName=("a", "B"))


@pytest.mark.parametrize("key", ["", "*", "**", "  "])
def test_universal_keys_match_all_and_nothing(key: str) -> None:
    for value in ("x", "", None):
        assert matches(dataset(PatientID=key), dataset(PatientID=value), WORKLIST)
    assert matches(dataset(PatientID=key), Dataset(), WORKLIST)


@pytest.mark.parametrize("value", [None, "", " "])
@pytest.mark.parametrize("key", ["x", "x*", "20240229", "20240101-20240229"])
def test_an_unknown_value_matches_where_the_service_class_says_so(key: str, value: str | None) -> None:
    keyword = "StudyDate" if "-" in key or key.isdigit() else "PatientID"
    assert is_match(**{keyword: (key, value)})
    assert not is_match(WORKLIST, **{keyword: (key, value)})
    assert matches(dataset(**{keyword: key}), Dataset())


@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"])
def test_what_an_entity_is_known_by_is_never_unknown(keyword: str) -> None:
    assert not matches(dataset(**{keyword: "1.2"}), Dataset())


def test_empty_values_can_be_asked_for() -> None:
    for keyword in ("PatientID", "StudyDate", "StudyInstanceUID"):
        assert is_match(EMPTY, **{keyword: ('""', "")})
        assert matches(dataset(**{keyword: '""'}), Dataset(), EMPTY)
    assert not is_match(EMPTY, PatientID=('""', "x"))
    assert is_match(PatientID=('""', '""'))  # not negotiated: two characters


def test_several_values_negotiated_are_all_wanted() -> None:
    keys = ["CT", "PT"]
    assert is_match(SEVERAL, ModalitiesInStudy=(keys, ["SR", "PT", "CT"]))
    assert not is_match(SEVERAL, ModalitiesInStudy=(keys, ["SR", "PT"]))
    assert is_match(ModalitiesInStudy=(keys, ["SR", "PT"]))
    assert is_match(SEVERAL, StudyInstanceUID=(["1.2", "1.3"], "1.3"))  # a list of UID stays one
    assert is_match(SEVERAL, OtherPatientNames=(["a", "b"], ["B", "C", "A"]))
    assert not is_match(SEVERAL, OtherPatientNames=(["a", "b"], ["B", "C"]))
    assert is_match(SEVERAL, FrameIncrementPointer=([0x00181063, 0x00181065], [0x00181065, 0x00181063]))
    assert not is_match(SEVERAL, FrameIncrementPointer=([0x00181063, 0x00181065], [0x00181065]))


def test_names_literally_if_one_wants() -> None:
    literal = Matching(literal_person_names=True)
    assert not is_match(literal, PatientName=("doe", "DOE"))
    assert is_match(literal, PatientName=("DOE", "DOE"))


def test_a_pair_of_ranges_is_one_range() -> None:
    """The example of PS3.4 C.2.2.2.5.4."""
    keys = {"StudyDate": "20060705-20060707", "StudyTime": "1000-1800"}
    night = dataset(StudyDate="20060706", StudyTime="0300")
    assert not matches(dataset(**keys), night)
    assert matches(dataset(**keys), night, COMBINED)
    before, after = dataset(StudyDate="20060705", StudyTime="0959"), dataset(StudyDate="20060707", StudyTime="1801")
    assert not matches(dataset(**keys), before, COMBINED)
    assert not matches(dataset(**keys), after, COMBINED)
    # the time of day may end before it begins
    assert matches(dataset(StudyDate="20060705-20060707", StudyTime="1800-1000"), night, COMBINED)
    # the form is the same, or they are two
    assert not matches(dataset(StudyDate="20060705-", StudyTime="1000-1800"), night, COMBINED)
    assert matches(dataset(StudyDate="20060705-", StudyTime="1000-"), night, COMBINED)
    assert not matches(dataset(StudyDate="20060706", StudyTime="1000-1800"), night, COMBINED)
    assert matches(dataset(StudyDate="-20060706", StudyTime="-0300"), night, COMBINED)
    assert not matches(dataset(StudyDate="-20060706", StudyTime="-0259"), night, COMBINED)


def test_a_pair_of_which_something_is_missing() -> None:
    keys = dataset(StudyDate="20060705-20060707", StudyTime="1000-1800")
    assert matches(keys, dataset(StudyDate="20060705"), COMBINED)
    assert not matches(keys, dataset(StudyDate="20060708"), COMBINED)
    assert matches(keys, Dataset(), COMBINED)
    assert not matches(keys, Dataset(), WORKLIST)
    assert not matches(keys, dataset(StudyDate="x", StudyTime="1000"), COMBINED)
    assert not matches(keys, dataset(StudyDate="20060706", StudyTime="x"), COMBINED)


def test_pairs_in_an_item_of_a_worklist() -> None:
    def step(**values: str) -> Dataset:
        return dataset(ScheduledProcedureStepSequence=[dataset(**values)])

    keys = step(
        ScheduledProcedureStepStartDate="20240229-20240301", ScheduledProcedureStepStartTime="2200-0600", Modality="CT"
    )
    at = {"ScheduledProcedureStepStartDate": "20240301", "ScheduledProcedureStepStartTime": "0500"}
    assert matches(keys, step(**at, Modality="CT"), WORKLIST)
    assert not matches(keys, step(**at, Modality="MR"), WORKLIST)
    assert not matches(keys, step(**(at | {"ScheduledProcedureStepStartTime": "0700"}), Modality="CT"), WORKLIST)


def test_values_of_dt_are_in_the_zone_of_their_data_set() -> None:
    def moment(text: str, zone: str) -> Dataset:
        return dataset(AcquisitionDateTime=text, TimezoneOffsetFromUTC=zone)

    asked = moment("202402291000", "+0200")
    assert matches(asked, moment("202402290800", "+0000"))
    assert not matches(asked, moment("202402291000", "+0000"))
    assert matches(asked, moment("202402290800+0000", "-0500"))
    assert matches(asked, dataset(AcquisitionDateTime="202402291000"))
    assert matches(asked, moment("202402291000", "noon"))
    within = dataset(
        TimezoneOffsetFromUTC="+0200", ReferencedDateTime="", ContentSequence=[dataset(DateTime="202402291000")]
    )
    there = dataset(TimezoneOffsetFromUTC="+0000", ContentSequence=[dataset(DateTime="202402290800")])
    assert matches(within, there)
    assert len(response(within, there).ContentSequence) == 1


@pytest.mark.parametrize(
    ("keys", "found"),
    [
        ({"StudyTime": "0130"}, True),
        ({"StudyTime": "2330"}, False),
        ({"StudyTime": "01-02"}, True),
        ({"StudyTime": "22-"}, False),
        ({"StudyDate": "20240301"}, True),
        ({"StudyDate": "20240229"}, False),
        ({"StudyDate": "20240301-20240302", "StudyTime": "0100-0200"}, True),
    ],
)
@pytest.mark.parametrize("options", [ADJUSTED, ADJUSTED_PAIRS])
def test_dates_and_times_are_taken_to_the_zone_of_the_query(
    keys: dict[str, str], found: bool, options: Matching
) -> None:
    candidate = dataset(StudyDate="20240229", StudyTime="2330", TimezoneOffsetFromUTC="+0000")
    query = dataset(**keys, TimezoneOffsetFromUTC="+0200")
    assert matches(query, candidate, options) == found
    if not found:
        assert matches(query, candidate)  # as it stands there, and nobody agreed to adjust it


def test_an_hour_that_lies_around_midnight() -> None:
    candidate = dataset(StudyTime="23", TimezoneOffsetFromUTC="+0000")
    for time, found in [("2350", True), ("0010", True), ("0040", False), ("2320", False), ("-0010", True)]:
        assert matches(dataset(StudyTime=time, TimezoneOffsetFromUTC="+0030"), candidate, ADJUSTED) == found


def test_a_date_without_a_time_stays_in_its_zone() -> None:
    query = dataset(StudyDate="20240229", TimezoneOffsetFromUTC="+0200")
    for candidate in (dataset(StudyDate="20240229"), dataset(StudyDate="20240229", StudyTime="x")):
        candidate.TimezoneOffsetFromUTC = "+0000"
        assert matches(query, candidate, ADJUSTED)
    birth = dataset(DateOfLastCalibration="20240229", TimezoneOffsetFromUTC="+0200")
    assert matches(birth, dataset(DateOfLastCalibration="20240229", TimezoneOffsetFromUTC="+0000"), ADJUSTED)
    other = dataset(CurveDate="20240229", TimezoneOffsetFromUTC="+0200")
    assert matches(other, dataset(CurveDate="20240229", TimezoneOffsetFromUTC="+0000"), ADJUSTED)


def test_one_item_must_match_all() -> None:
    keys = dataset(RequestAttributesSequence=[dataset(RequestedProcedureID="A", ScheduledProcedureStepID="1")])
    one, other = (dataset(RequestedProcedureID=a, ScheduledProcedureStepID=b) for a, b in ("A2", "B1"))
    both = dataset(RequestedProcedureID="A", ScheduledProcedureStepID="1")
    assert not matches(keys, dataset(RequestAttributesSequence=[one, other]))
    assert matches(keys, dataset(RequestAttributesSequence=[one, both]))
    for unknown in (Dataset(), dataset(RequestAttributesSequence=[])):
        assert matches(keys, unknown)
        assert not matches(keys, unknown, WORKLIST)


@pytest.mark.parametrize("items", [[], [Dataset()], [dataset(RequestedProcedureID="")], [dataset(StudyDate="")]])
def test_sequences_may_be_asked_for_universally(items: list[Dataset]) -> None:
    keys = dataset(RequestAttributesSequence=items)
    for candidate in (Dataset(), dataset(RequestAttributesSequence=[Dataset()]), dataset(RequestAttributesSequence=[])):
        assert matches(keys, candidate, WORKLIST)


def test_sequences_within_sequences() -> None:
    def nested(value: str) -> Dataset:
        return dataset(ContentSequence=[dataset(ConceptNameCodeSequence=[dataset(CodeValue=value)])])

    assert matches(nested("1*"), nested("12"))
    assert not matches(nested("1*"), nested("21"))


@pytest.mark.parametrize(
    "keyword",
    """RetrieveAETitle InstanceAvailability QueryRetrieveLevel QueryRetrieveView StorageMediaFileSetID
    StorageMediaFileSetUID SpecificCharacterSet""".split(),
)
def test_what_is_no_key(keyword: str) -> None:
    value = "1.2" if keyword.endswith("UID") else "ISO_IR 100" if keyword == "SpecificCharacterSet" else "A"
    assert matches(dataset(**{keyword: value}), dataset(**{keyword: "ISO_IR 192"}))


def test_private_creators_group_lengths_and_low_groups_are_no_keys() -> None:
    query = Dataset()
    query.add_new(0x00020010, "UI", "1.2")
    query.add_new(0x00100000, "UL", 12)
    query.add_new(0x00110010, "LO", "ACME")
    assert matches(query, Dataset(), WORKLIST)
    assert list(response(query, Dataset()).keys()) == [0x00110010]


def test_private_attributes_are_found_by_their_creator() -> None:
    query, candidate = Dataset(), Dataset()
    query.private_block(0x0011, "ACME", create=True).add_new(1, "LO", "x")
    candidate.private_block(0x0011, "OTHER", create=True).add_new(1, "LO", "x")
    assert not matches(query, candidate, WORKLIST)
    candidate.private_block(0x0011, "ACME", create=True).add_new(1, "LO", "x")
    assert matches(query, candidate, WORKLIST)
    told = response(query, candidate)
    assert told.private_block(0x0011, "ACME")[1].value == "x"
    assert len(told) == 2
    loose = Dataset()
    loose.add_new(0x00131001, "LO", "y")
    assert matches(loose, loose)


# ---------------------------------------------------------------- what is wrong


@pytest.mark.parametrize(
    ("keys", "tag", "options"),
    [
        ({"StudyDate": "20240230"}, 0x00080020, QUERY_RETRIEVE),
        ({"StudyDate": "2024*"}, 0x00080020, QUERY_RETRIEVE),
        ({"StudyDate": "*"}, 0x00080020, QUERY_RETRIEVE),
        ({"StudyDate": "20240229-20240101"}, 0x00080020, QUERY_RETRIEVE),
        ({"StudyDate": '""'}, 0x00080020, QUERY_RETRIEVE),
        ({"StudyTime": "1800-1000"}, 0x00080030, QUERY_RETRIEVE),
        ({"StudyTime": "25"}, 0x00080030, QUERY_RETRIEVE),
        ({"AcquisitionDateTime": "20240229 10"}, 0x0008002A, QUERY_RETRIEVE),
        ({"TimezoneOffsetFromUTC": "noon"}, 0x00080201, QUERY_RETRIEVE),
        ({"ModalitiesInStudy": ["C*", "MR"]}, 0x00080061, SEVERAL),
        ({"OtherPatientNames": ["a*", "b"]}, 0x00101001, SEVERAL),
        ({"StudyDate": "20240229-20240229", "StudyTime": "18-10"}, 0x00080020, COMBINED),
        ({"StudyDate": "20240230-20240231", "StudyTime": "10-18"}, 0x00080020, COMBINED),
        ({"ContentSequence": [Dataset(), Dataset()]}, 0x0040A730, QUERY_RETRIEVE),
        ({"ContentSequence": [dataset(DateTime="x")]}, 0x0040A120, QUERY_RETRIEVE),
    ],
)
def test_keys_without_a_meaning_are_named(keys: dict[str, Any], tag: int, options: Matching) -> None:
    for ask in (matches, response):
        with pytest.raises(MalformedKeyError, match=rf"\({tag >> 16:04X},{tag & 0xFFFF:04X}\)") as raised:
            ask(dataset(**keys), Dataset(), options)
        assert raised.value.tags == (tag,)
        assert isinstance(raised.value, ValueError)
    with pytest.raises(MalformedKeyError):
        search(dataset(**keys), [], options)  # before anybody iterates


def test_sequences_have_a_bottom() -> None:
    query = Dataset()
    for _ in range(MAX_NESTING):
        query = dataset(ContentSequence=[query])
    assert matches(query, Dataset())
    with pytest.raises(MalformedKeyError, match="nested"):
        matches(dataset(ContentSequence=[query]), Dataset())


def raw(tag: int, vr: str, value: bytes) -> Dataset:
    """A data set whose one element cannot be read, though nobody has noticed yet."""
    from pydicom.dataelem import RawDataElement
    from pydicom.tag import Tag

    made = Dataset()
    made[tag] = RawDataElement(Tag(tag), vr, len(value), value, 0, False, True)
    return made


def test_a_key_that_cannot_be_read_is_named() -> None:
    for bad in (raw(0x00280010, "US", b"abc"), raw(0x00080052, "US", b"abc")):
        with pytest.raises(MalformedKeyError, match="cannot be read"):
            Query(bad)


class Unreadable:
    """A value that fails when somebody looks."""

    def __str__(self) -> str:
        raise ValueError("no text")


def test_a_value_that_cannot_be_read_is_named() -> None:
    query = dataset(PatientName="")
    query["PatientName"]._value = Unreadable()
    with pytest.raises(MalformedKeyError, match="no text") as raised:
        Query(query)
    assert raised.value.tags == (0x00100010,)


# ---------------------------------------------------------------- what is told


def test_the_response_has_what_was_asked() -> None:
    query = dataset(
        SpecificCharacterSet="ISO_IR 100",
        QueryRetrieveLevel="STUDY",
        RetrieveAETitle="",
        StudyDate="20240101-",
        ModalitiesInStudy="CT",
        StudyDescription="",
        StudyInstanceUID="",
        RequestAttributesSequence=[dataset(RequestedProcedureID="A*", ScheduledProcedureStepID="")],
        ReferencedStudySequence=[],
    )
    candidate = dataset(
        QueryRetrieveLevel="PATIENT",
        PatientName="Not^Asked",
        StudyDate="20240229",
        ModalitiesInStudy=["CT", "SR"],
        StudyInstanceUID="1.2",
        RequestAttributesSequence=[
            dataset(RequestedProcedureID="A1", RequestedProcedureDescription="no"),
            dataset(RequestedProcedureID="B"),
        ],
        ReferencedStudySequence=[dataset(ReferencedSOPInstanceUID="1.3")],
    )
    assert response(query, candidate) == dataset(
        QueryRetrieveLevel="STUDY",
        StudyDate="20240229",
        ModalitiesInStudy=["CT", "SR"],
        StudyDescription="",
        StudyInstanceUID="1.2",
        RequestAttributesSequence=[dataset(RequestedProcedureID="A1", ScheduledProcedureStepID="")],
        ReferencedStudySequence=[dataset(ReferencedSOPInstanceUID="1.3")],
    )


def test_where_a_match_is_and_its_zone_are_told_if_known() -> None:
    query = dataset(RetrieveAETitle="", InstanceAvailability="", TimezoneOffsetFromUTC="+0200", QueryRetrieveView="")
    assert response(query, dataset(InstanceAvailability="")) == dataset(QueryRetrieveView="")
    known = dataset(RetrieveAETitle="A", InstanceAvailability="ONLINE", TimezoneOffsetFromUTC="+0000")
    assert {element.keyword for element in response(query, known)} == {
        *("RetrieveAETitle", "InstanceAvailability", "TimezoneOffsetFromUTC", "QueryRetrieveView")
    }
    assert response(query, known).TimezoneOffsetFromUTC == "+0000"


def test_a_sequence_that_is_none_is_told_as_it_is() -> None:
    query = dataset(RequestAttributesSequence=[dataset(RequestedProcedureID="A")])
    candidate = Dataset()
    candidate.add_new(0x00400275, "LO", "no sequence")
    assert not matches(query, candidate)
    assert response(query, candidate)[0x00400275].value == "no sequence"


@pytest.mark.parametrize(
    ("given", "name", "told"),
    [
        (None, "Doe", None),
        (None, "Müller", "ISO_IR 192"),
        ("", "Müller", "ISO_IR 192"),
        ("ISO_IR 100", "Müller", "ISO_IR 100"),
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎", ["", "ISO 2022 IR 87"]),
    ],
)
@pytest.mark.parametrize("decoded", [False, True])
def test_the_character_set_is_the_one_of_the_values(given: Any, name: str, told: Any, decoded: bool) -> None:
    candidate = dataset(PatientName=name, StudyDescription="")
    if given is not None:
        candidate.SpecificCharacterSet = given
    if decoded and given:
        candidate = decode(encode(candidate, EXPLICIT_VR_LITTLE_ENDIAN), EXPLICIT_VR_LITTLE_ENDIAN)
    answer = response(dataset(SpecificCharacterSet="ISO_IR 13", PatientName=""), candidate)
    assert answer.get("SpecificCharacterSet") == told
    again = decode(encode(answer, IMPLICIT_VR_LITTLE_ENDIAN), IMPLICIT_VR_LITTLE_ENDIAN)
    assert str(again.PatientName) == name


def test_the_character_set_of_what_is_deep_inside() -> None:
    query = dataset(ContentSequence=[])
    assert "SpecificCharacterSet" not in response(query, dataset(ContentSequence=[dataset(TextValue="a")]))
    answer = response(query, dataset(ContentSequence=[dataset(TextValue="ä")]))
    assert answer.SpecificCharacterSet == "ISO_IR 192"
    own = dataset(ContentSequence=[dataset(SpecificCharacterSet="ISO_IR 100", TextValue="ä")])
    picked = response(dataset(ContentSequence=[dataset(TextValue="")]), own)
    assert picked.ContentSequence[0] == own.ContentSequence[0]


def test_a_response_may_be_changed() -> None:
    query = dataset(PatientID="", ReferencedStudySequence=[])
    candidate = dataset(PatientID="1", ReferencedStudySequence=[dataset(ReferencedSOPInstanceUID="1.3")])
    answer = response(query, candidate)
    answer.PatientID = "2"
    answer.ReferencedStudySequence[0].ReferencedSOPInstanceUID = "1.4"
    del answer.ReferencedStudySequence[0]
    assert candidate == dataset(PatientID="1", ReferencedStudySequence=[dataset(ReferencedSOPInstanceUID="1.3")])
    empty = response(query, Dataset())
    empty.PatientID = "3"
    assert response(query, Dataset()).PatientID != "3"


def test_a_search_gives_the_matches_in_order_and_one_at_a_time() -> None:
    taken = []

    def candidates() -> Any:
        for number in range(5):
            taken.append(number)
            yield dataset(PatientID=str(number % 2), InstanceNumber=number)

    found = search(dataset(PatientID="1", InstanceNumber=""), candidates())
    assert next(found).InstanceNumber == 1
    assert taken == [0, 1]
    assert [match.InstanceNumber for match in found] == [3]


# ---------------------------------------------------------------- whatever there is

KEYWORDS = """PatientName PatientID StudyDate StudyTime AcquisitionDateTime StudyInstanceUID ModalitiesInStudy
    InstanceNumber PatientWeight Rows StudyDescription PatientComments""".split()
TEXTS = st.text("aA1-.*? ^=\\20", max_size=12)


@st.composite
def anything(draw: st.DrawFn, depth: int = 2) -> Dataset:
    """A data set that pydicom read from bytes, however little sense they make."""
    made = Dataset()
    for keyword in draw(st.lists(st.sampled_from(KEYWORDS), unique=True)):
        element = dataset(**{keyword: ""})[keyword]
        value = draw(st.binary(max_size=12))
        if element.VR == "US":
            value = value[: len(value) // 2 * 2]
        made.update(raw(element.tag, element.VR, value + b" " * (len(value) % 2)))
    if depth and draw(st.booleans()):
        made.ContentSequence = draw(st.lists(anything(depth - 1), max_size=2))
    return made


QUERIES = st.dictionaries(st.sampled_from(KEYWORDS[:3] + KEYWORDS[5:7] + KEYWORDS[10:]), TEXTS)


@pytest.mark.filterwarnings("ignore")
@given(QUERIES, anything(), st.sampled_from([QUERY_RETRIEVE, WORKLIST, SEVERAL, EMPTY, ADJUSTED_PAIRS]))
def test_no_candidate_raises(keys: dict[str, str], candidate: Dataset, options: Matching) -> None:
    sub = dataset(TextValue="", ContentSequence=[dataset(DateTime="")])
    try:
        query = Query(dataset(**keys, ContentSequence=[sub]), options)
    except MalformedKeyError:
        return
    assert query.matches(candidate) in (True, False)
    answer = query.response(candidate)
    assert {element.keyword for element in answer} - {"SpecificCharacterSet"} == {*keys, "ContentSequence"}


@pytest.mark.filterwarnings("ignore")
@given(anything(), st.booleans())
def test_a_universal_query_matches_everything(candidate: Dataset, unknown: bool) -> None:
    query = dataset(**dict.fromkeys(KEYWORDS, ""), ContentSequence=[])
    assert matches(query, candidate, Matching(unknown_values_match=unknown))


@given(st.dates(), st.dates(), st.dates())
def test_ranges_agree_with_ordinals(one: date, other: date, told: date) -> None:
    low, high = sorted((one, other))
    key = f"{low.year:04}{low:%m%d}-{high.year:04}{high:%m%d}"
    assert is_match(StudyDate=(key, f"{told.year:04}{told:%m%d}")) == (low <= told <= high)


def test_what_pydicom_makes_of_text_that_is_no_text_matches_nothing() -> None:
    candidate = dataset(PatientName="", PatientID="")
    candidate["PatientName"]._value = Unreadable()
    assert not matches(dataset(PatientName="a"), candidate)
    assert matches(dataset(PatientName=""), candidate)
    assert isinstance(response(dataset(PatientName=""), candidate)["PatientName"], DataElement)
