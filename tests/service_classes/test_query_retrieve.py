"""What identifiers may ask, level by level (PS3.4 C.4.1.2, C.4.2.2, U.4, Y.6), and the models' tables."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import Dataset, config

from sansdimse.dataset import tag_of
from sansdimse.service_classes.query_retrieve import (
    MODELS,
    IdentifierError,
    check_identifier,
    level_of,
    levels_of,
    unique_keys,
)
from sansdimse.service_classes.refused import Refused
from sansdimse.services.sop_classes import (
    COMPOSITE_INSTANCE_ROOT_GET,
    COMPOSITE_INSTANCE_ROOT_MOVE,
    COMPOSITE_INSTANCE_WITHOUT_BULK_DATA_GET,
    CT_IMAGE_STORAGE,
    HANGING_PROTOCOL_FIND,
    HANGING_PROTOCOL_GET,
    INVENTORY_MOVE,
    MODALITY_WORKLIST_FIND,
    PATIENT_ROOT_FIND,
    PATIENT_ROOT_GET,
    PATIENT_ROOT_MOVE,
    PATIENT_STUDY_ONLY_FIND,
    PATIENT_STUDY_ONLY_GET,
    REPOSITORY_QUERY,
    STANDARD,
    STUDY_ROOT_FIND,
    STUDY_ROOT_GET,
    STUDY_ROOT_MOVE,
    UNIFIED_PROCEDURE_STEP_PULL,
)

PATIENT_ID, STUDY, SERIES, IMAGE = map(tag_of, ("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"))
LEVEL = tag_of("QueryRetrieveLevel")
HIERARCHICAL = [row for row in STANDARD if row.levels]


def identifier(level: Any = None, **values: Any) -> Dataset:
    """An identifier, whatever pydicom thinks of such values."""
    made = Dataset()
    with config.disable_value_validation():
        if level is not None:
            made.QueryRetrieveLevel = level
        for keyword, value in values.items():
            setattr(made, keyword, value)
    return made


def service_of(uid: str) -> Any:
    row = STANDARD.get(uid)
    assert row is not None
    return next(iter(row.dimse_services))


def fault_of(asked: Dataset, uid: str, **options: Any) -> tuple[int, ...] | None:
    """The tags at fault, None if there is no fault."""
    error = None
    try:
        check_identifier(asked, uid, service=service_of(uid), **options)
    except IdentifierError as raised:
        error = raised
    if error is None:
        return None
    assert isinstance(error, ValueError)
    assert isinstance(error, Refused)
    assert error.status == 0xA900
    assert error.tags == error.offending_element
    assert error.comment
    assert error.comment.isascii()
    assert len(error.comment) <= 64
    return error.tags


# ---------------------------------------------------------------- the tables


def test_the_models_have_the_levels_of_the_sop_class_table() -> None:
    for row in HIERARCHICAL:
        assert tuple(level.name for level in levels_of(row.uid)) == row.levels
    assert {row.information_model for row in HIERARCHICAL} == set(MODELS)


@pytest.mark.parametrize("levels", MODELS.values(), ids=MODELS)
def test_no_key_belongs_to_two_levels(levels: Any) -> None:
    names = [level.name for level in levels]
    if "FRAME" in names:  # below an instance there is no other entity
        return
    keys = [tag for level in levels for tag in level.keys]
    assert len(keys) == len(set(keys))


def test_the_keys_of_the_roots() -> None:
    assert unique_keys(PATIENT_ROOT_FIND, "IMAGE") == (PATIENT_ID, STUDY, SERIES, IMAGE)
    assert unique_keys(PATIENT_ROOT_FIND, "PATIENT") == (PATIENT_ID,)
    assert unique_keys(STUDY_ROOT_MOVE, "SERIES") == (STUDY, SERIES)
    assert unique_keys(STUDY_ROOT_MOVE, "PATIENT") == ()
    assert unique_keys(PATIENT_STUDY_ONLY_GET, "STUDY") == (PATIENT_ID, STUDY)
    assert unique_keys(COMPOSITE_INSTANCE_ROOT_GET, "FRAME") == (IMAGE,)
    assert unique_keys(HANGING_PROTOCOL_GET) == (IMAGE,)
    assert unique_keys(HANGING_PROTOCOL_GET, "IMAGE") == ()
    assert unique_keys(MODALITY_WORKLIST_FIND) == ()
    assert unique_keys("1.2.3", "STUDY") == levels_of("1.2.3") == ()
    study = levels_of(STUDY_ROOT_FIND)[0]
    assert study.required_keys == {
        *map(tag_of, "StudyDate StudyTime AccessionNumber PatientName PatientID StudyID".split())
    }
    assert levels_of(PATIENT_ROOT_FIND)[2].required_keys == {tag_of("Modality"), tag_of("SeriesNumber")}


@pytest.mark.parametrize(
    ("level", "name"),
    [("STUDY", "STUDY"), (" STUDY ", "STUDY"), ("study", "study"), (None, ""), ("", ""), (["STUDY", "IMAGE"], "")],
)
def test_the_level_of_an_identifier(level: Any, name: str) -> None:
    assert level_of(identifier(level)) == name


# ---------------------------------------------------------------- the level


@pytest.mark.parametrize("row", HIERARCHICAL, ids=lambda row: row.keyword)
@pytest.mark.parametrize("level", [None, "", "study", "WORLD", ["STUDY", "SERIES"], "Ü" * 16, "A\nB"])
def test_without_a_level_of_the_model_nothing_is_asked(row: Any, level: Any) -> None:
    for relational in (False, True):
        assert fault_of(identifier(level), row.uid, relational=relational) == (LEVEL,)


@pytest.mark.parametrize(
    ("uid", "level"),
    [
        (STUDY_ROOT_FIND, "PATIENT"),
        (PATIENT_STUDY_ONLY_FIND, "SERIES"),
        (COMPOSITE_INSTANCE_ROOT_MOVE, "SERIES"),
        (COMPOSITE_INSTANCE_WITHOUT_BULK_DATA_GET, "FRAME"),
    ],
)
def test_levels_of_other_models(uid: str, level: str) -> None:
    assert fault_of(identifier(level, SOPInstanceUID="1.2"), uid) == (LEVEL,)


# ---------------------------------------------------------------- C-FIND

ABOVE = {"PatientID": "P", "StudyInstanceUID": "1.2", "SeriesInstanceUID": "1.3"}


def above(level: str, root: str = "PATIENT") -> dict[str, str]:
    names = ["PATIENT", "STUDY", "SERIES", "IMAGE"]
    return dict(list(ABOVE.items())[names.index(root) : names.index(level)])


@pytest.mark.parametrize("level", ["PATIENT", "STUDY", "SERIES", "IMAGE"])
def test_a_hierarchical_query(level: str) -> None:
    keys = above(level)
    assert fault_of(identifier(level, **keys), PATIENT_ROOT_FIND) is None
    for keyword in keys:
        tag = (tag_of(keyword),)
        rest = {other: value for other, value in keys.items() if other != keyword}
        assert fault_of(identifier(level, **rest), PATIENT_ROOT_FIND) == tag
        for value in ("", "*", "1.?", ["1.2", "1.3"]):
            assert fault_of(identifier(level, **rest, **{keyword: value}), PATIENT_ROOT_FIND) == tag
            assert fault_of(identifier(level, **rest, **{keyword: value}), PATIENT_ROOT_FIND, relational=True) is None


@pytest.mark.parametrize(
    ("uid", "asked", "fault"),
    [
        (PATIENT_ROOT_FIND, identifier("PATIENT", PatientName="*", PatientID=""), None),
        (PATIENT_ROOT_FIND, identifier("PATIENT", StudyDate="20240101"), ("StudyDate",)),
        (PATIENT_ROOT_FIND, identifier("PATIENT", StudyDate=""), None),  # it restricts nothing
        (PATIENT_ROOT_FIND, identifier("STUDY", PatientID="P", PatientName="A"), ("PatientName",)),
        (STUDY_ROOT_FIND, identifier("STUDY", PatientName="", PatientID="*", StudyInstanceUID=""), None),
        (STUDY_ROOT_FIND, identifier("STUDY", StudyInstanceUID=["1.2", "1.3"]), None),
        (STUDY_ROOT_FIND, identifier("STUDY", Modality="CT", SeriesNumber="1"), ("Modality", "SeriesNumber")),
        (STUDY_ROOT_FIND, identifier("SERIES", StudyInstanceUID="1.2", PatientID="P"), ("PatientID",)),
        (STUDY_ROOT_FIND, identifier("SERIES", StudyInstanceUID="1.2", SOPInstanceUID="1.2.3"), ("SOPInstanceUID",)),
        (STUDY_ROOT_FIND, identifier("SERIES", StudyInstanceUID="1.2", NumberOfSeriesRelatedInstances=""), None),
        (REPOSITORY_QUERY, identifier("STUDY", Modality="CT"), ("Modality",)),
        (PATIENT_STUDY_ONLY_FIND, identifier("STUDY", PatientID="P", StudyDate=""), None),
    ],
)
def test_keys_belong_to_levels(uid: str, asked: Dataset, fault: tuple[str, ...] | None) -> None:
    assert fault_of(asked, uid) == (fault and tuple(map(tag_of, fault)))
    assert fault_of(asked, uid, relational=True) is None


def test_what_no_table_names_is_asked_for_anywhere() -> None:
    asked = identifier(
        "STUDY",
        SpecificCharacterSet="ISO_IR 100",
        TimezoneOffsetFromUTC="+0000",
        BodyPartExamined="",
        RetrieveAETitle="",
    )
    asked.add_new(0x00110010, "LO", "ACME")
    asked.add_new(0x00111001, "LO", "x")
    assert fault_of(asked, STUDY_ROOT_FIND) is None


@given(st.sets(st.sampled_from(sorted(levels_of(PATIENT_ROOT_FIND)[1].keys))), st.sampled_from([PATIENT_ROOT_FIND]))
def test_keys_of_the_level_itself_are_free(tags: set[int], uid: str) -> None:
    asked = identifier("STUDY", PatientID="P")
    for tag in tags:
        asked.add_new(tag, "UN", None)
    assert fault_of(asked, uid) is None


# ---------------------------------------------------------------- C-GET and C-MOVE


@pytest.mark.parametrize("uid", [PATIENT_ROOT_GET, PATIENT_ROOT_MOVE])
@pytest.mark.parametrize("level", ["PATIENT", "STUDY", "SERIES", "IMAGE"])
def test_a_retrieval_names_what_it_wants(uid: str, level: str) -> None:
    keys = above(level)
    own = {"PATIENT": "PatientID", "STUDY": "StudyInstanceUID", "SERIES": "SeriesInstanceUID"}.get(
        level, "SOPInstanceUID"
    )
    assert fault_of(identifier(level, **keys, **{own: "1.4"}), uid) is None
    several = fault_of(identifier(level, **keys, **{own: ["1.4", "1.5"]}), uid)
    assert several == ((PATIENT_ID,) if level == "PATIENT" else None)
    for value in ("", "*", "1.?", ["1.4", "1.*"]):
        for relational in (False, True):
            assert fault_of(identifier(level, **keys, **{own: value}), uid, relational=relational) == (tag_of(own),)
    for keyword in keys:
        rest = {other: value for other, value in keys.items() if other != keyword}
        assert fault_of(identifier(level, **rest, **{own: "1.4"}), uid) == (tag_of(keyword),)
        assert fault_of(identifier(level, **rest, **{own: "1.4"}), uid, relational=True) is None
        assert fault_of(identifier(level, **rest, **{own: "1.4", keyword: ["1", "2"]}), uid, relational=True) == (
            tag_of(keyword),
        )


@pytest.mark.parametrize(
    ("uid", "asked", "fault"),
    [
        (STUDY_ROOT_GET, identifier("STUDY", StudyInstanceUID="1.2", PatientID="P"), ("PatientID",)),
        (STUDY_ROOT_GET, identifier("STUDY", StudyInstanceUID="1.2", StudyDate=""), ("StudyDate",)),
        (STUDY_ROOT_GET, identifier("STUDY", StudyInstanceUID="1.2", SeriesInstanceUID=""), ("SeriesInstanceUID",)),
        (STUDY_ROOT_GET, identifier("STUDY", StudyInstanceUID="1.2", ContentSequence=[]), ("ContentSequence",)),
        (STUDY_ROOT_GET, identifier("STUDY", StudyInstanceUID="1.2", SpecificCharacterSet="ISO_IR 100"), None),
        (STUDY_ROOT_GET, identifier("STUDY", StudyInstanceUID="1.2", QueryRetrieveView="CLASSIC"), None),
        (COMPOSITE_INSTANCE_ROOT_GET, identifier("IMAGE", SOPInstanceUID=["1.2", "1.3"]), None),
        (COMPOSITE_INSTANCE_ROOT_GET, identifier("IMAGE"), ("SOPInstanceUID",)),
        (
            COMPOSITE_INSTANCE_ROOT_GET,
            identifier("IMAGE", SOPInstanceUID="1.2", SimpleFrameList=[1]),
            ("SimpleFrameList",),
        ),
        (COMPOSITE_INSTANCE_ROOT_MOVE, identifier("FRAME", SOPInstanceUID="1.2", SimpleFrameList=[1, 2]), None),
        (COMPOSITE_INSTANCE_ROOT_MOVE, identifier("FRAME", SOPInstanceUID="1.2", CalculatedFrameList=[1, 2, 1]), None),
        (COMPOSITE_INSTANCE_ROOT_MOVE, identifier("FRAME", SOPInstanceUID="1.2", TimeRange=[0.0, 1.0]), None),
        (COMPOSITE_INSTANCE_ROOT_MOVE, identifier("FRAME", SimpleFrameList=[1]), ("SOPInstanceUID",)),
        (
            COMPOSITE_INSTANCE_ROOT_MOVE,
            identifier("FRAME", SOPInstanceUID=["1.2", "1.3"], SimpleFrameList=[1]),
            ("SOPInstanceUID",),
        ),
        (
            COMPOSITE_INSTANCE_ROOT_MOVE,
            identifier("FRAME", SOPInstanceUID="1.2"),
            ("SimpleFrameList", "CalculatedFrameList", "TimeRange"),
        ),
        (
            COMPOSITE_INSTANCE_ROOT_MOVE,
            identifier("FRAME", SOPInstanceUID="1.2", SimpleFrameList=[1], TimeRange=[0.0, 1.0]),
            ("SimpleFrameList", "TimeRange"),
        ),
        (
            COMPOSITE_INSTANCE_ROOT_MOVE,
            identifier("FRAME", SOPInstanceUID="1.2", SimpleFrameList=[1], Rows=1),
            ("Rows",),
        ),
        (COMPOSITE_INSTANCE_WITHOUT_BULK_DATA_GET, identifier("IMAGE", SOPInstanceUID="1.2"), None),
    ],
)
def test_a_retrieval_has_unique_keys_only(uid: str, asked: Dataset, fault: tuple[str, ...] | None) -> None:
    assert fault_of(asked, uid) == (fault and tuple(map(tag_of, fault)))


# ---------------------------------------------------------------- without levels


@pytest.mark.parametrize("uid", [MODALITY_WORKLIST_FIND, HANGING_PROTOCOL_FIND, UNIFIED_PROCEDURE_STEP_PULL])
def test_a_worklist_has_no_levels(uid: str) -> None:
    check_identifier(identifier(PatientName="*", Modality=""), uid)
    with pytest.raises(IdentifierError, match="no levels") as raised:
        check_identifier(identifier("STUDY", PatientName="*"), uid)
    assert raised.value.tags == (LEVEL,)


@pytest.mark.parametrize("uid", [HANGING_PROTOCOL_GET, INVENTORY_MOVE])
def test_retrieval_without_levels(uid: str) -> None:
    assert fault_of(identifier(SOPInstanceUID="1.2"), uid) is None
    assert fault_of(identifier(SOPInstanceUID=["1.2", "1.3"]), uid) is None
    assert fault_of(identifier(), uid) == (IMAGE,)
    assert fault_of(identifier(SOPInstanceUID="1.*"), uid) == (IMAGE,)
    assert fault_of(identifier("IMAGE", SOPInstanceUID="1.2"), uid) == (LEVEL,)
    assert fault_of(identifier(SOPInstanceUID="1.2", StudyInstanceUID="1.3"), uid) == (STUDY,)


def test_of_what_is_not_known_nothing_is_said() -> None:
    for service in ("C-FIND", "C-GET", "C-MOVE"):
        check_identifier(identifier("ANY", Rows=1), "1.2.3.4", service=service)  # type: ignore[arg-type]
    check_identifier(Dataset(), CT_IMAGE_STORAGE)


def test_many_faults_make_no_long_comment() -> None:
    asked = identifier("STUDY", StudyInstanceUID="1.2")
    for number in range(20):
        asked.add_new(0x00400001 + number, "LO", "")
    assert fault_of(asked, STUDY_ROOT_GET) == tuple(0x00400001 + number for number in range(20))
