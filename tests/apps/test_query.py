from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import Dataset, datadict
from pydicom.data import get_testdata_file

from sansdimse import sop_classes
from sansdimse.dataset import decode, encode, part10_header
from sansdimse.services.sop_classes import STANDARD
from sansdimse.uids import EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN
from sansdimse_apps.outcomes import CommandError, ExitCode
from sansdimse_apps.query import Asked, heading, information_model, query, shown, storage_classes

STUDY_FIND = STANDARD.rows[sop_classes.STUDY_ROOT_FIND]
STUDY_GET = STANDARD.rows[sop_classes.STUDY_ROOT_GET]
PATIENT_FIND = STANDARD.rows[sop_classes.PATIENT_ROOT_FIND]
WORKLIST = STANDARD.rows[sop_classes.MODALITY_WORKLIST_FIND]
PROTOCOL_GET = STANDARD.rows[sop_classes.HANGING_PROTOCOL_GET]


def asked(*keys: str, model: Any = STUDY_FIND, **options: Any) -> Asked:
    return query(model, keys, **options)


def sent(*keys: str, **options: Any) -> Dataset:
    """The query as it comes to the other side."""
    return sent_in(IMPLICIT_VR_LITTLE_ENDIAN, asked(*keys, **options).data_set)


def sent_in(syntax: str, data_set: Dataset) -> Dataset:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom's, of keys that are no values
        return decode(encode(data_set, syntax), syntax)


def refused(*keys: str, **options: Any) -> CommandError:
    with pytest.raises(CommandError) as caught:
        asked(*keys, **options)
    assert caught.value.code is ExitCode.USAGE
    return caught.value


# ---------------------------------------------------------------- keys


@pytest.mark.parametrize("key", ["PatientName=DOE*", "0010,0010=DOE*", "(0010,0010)=DOE*", "00100010=DOE*"])
def test_the_ways_to_name_an_attribute(key: str) -> None:
    assert sent(key).PatientName == "DOE*"


@pytest.mark.parametrize("key", ["StudyDate", "StudyDate=", " StudyDate "])
def test_a_key_without_a_value_asks_for_all(key: str) -> None:
    assert sent(key)["StudyDate"].is_empty


@pytest.mark.parametrize(
    "key",
    [
        "ScheduledProcedureStepSequence[0].Modality=CT",
        "(0040,0100)[0].Modality=CT",
        "0040,0100[0].0008,0060=CT",
        "ScheduledProcedureStepSequence.Modality=CT",
    ],
)
def test_keys_in_items(key: str) -> None:
    [item] = sent(key, model=WORKLIST).ScheduledProcedureStepSequence
    assert item.Modality == "CT"


def test_keys_of_one_item_stay_together_and_nest() -> None:
    step = "ScheduledProcedureStepSequence[0]"
    code = f"{step}.ScheduledProtocolCodeSequence[0].CodeValue"
    made = sent(f"{step}.Modality=CT", code, f"{step}.ScheduledStationAETitle=CT1", model=WORKLIST)
    [item] = made.ScheduledProcedureStepSequence
    assert (item.Modality, item.ScheduledStationAETitle) == ("CT", "CT1")
    assert item.ScheduledProtocolCodeSequence[0]["CodeValue"].is_empty


def test_sequences_without_items_and_with_an_empty_one() -> None:
    assert len(sent("ReferencedStudySequence", "PatientID").ReferencedStudySequence) == 0
    [item] = sent("ReferencedStudySequence[0]").ReferencedStudySequence
    assert len(item) == 0
    assert len(sent("ReferencedStudySequence[0]", "ReferencedStudySequence[1]").ReferencedStudySequence) == 2


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("StudyDate=20240101-20240131", "20240101-20240131"),
        ("StudyTime=-1200", "-1200"),
        ("StudyInstanceUID=1.2\\1.3", ["1.2", "1.3"]),
        ("SOPInstanceUID=1.2.*", "1.2.*"),
        ('PatientName=""', '""'),
        ("PatientName=a=b", "a=b"),
        ("InstanceNumber=7", 7),
        ("PatientWeight=70.5", 70.5),
        ("Rows=0x10", 16),
        ("Rows=1\\2", [1, 2]),
        ("RecommendedDisplayFrameRateInFloat=1.5", 1.5),
        ("DimensionIndexPointer=(0020,000D)", 0x0020000D),
        ("PatientComments=a\\b", "a\\b"),
        ("SmallestImagePixelValue=1", 1),
        ("0009,0010=ACME", "ACME"),
    ],
)
def test_values_by_their_vr(key: str, value: object) -> None:
    [(tag,)] = asked(key).columns
    element = asked(key).data_set[tag]
    read = next(each for each in sent(key) if each.tag == element.tag)
    assert read.value == value
    # And so in the other syntax, where the VR is told.
    twin = sent_in(EXPLICIT_VR_LITTLE_ENDIAN, asked(key).data_set)
    assert twin[element.tag].VR == element.VR


def test_private_attributes() -> None:
    made = asked("0019,0010=GEMS_ACQU_01", "0019,1002=5", "0011,1001=abc").data_set
    assert (made[0x00191002].VR, made[0x00191002].value) == ("SL", 5)
    assert made[0x00111001].value == b"abc "
    assert asked("0012,9999=x").data_set[0x00129999].VR == "UN"


def test_text_that_is_not_ascii_goes_out_in_utf_8() -> None:
    made = sent("PatientName=Müller*")
    assert (made.SpecificCharacterSet, made.PatientName) == ("ISO_IR 192", "Müller*")
    latin = sent("PatientName=Müller*", "SpecificCharacterSet=ISO_IR 100")
    assert (latin.SpecificCharacterSet, latin.PatientName) == ("ISO_IR 100", "Müller*")
    assert "SpecificCharacterSet" not in sent("PatientName=Mueller*")
    error = refused("PatientName=山田*", "SpecificCharacterSet=ISO_IR 100")
    assert "the query cannot be sent" in str(error)


@pytest.mark.parametrize(
    ("key", "message", "advice"),
    [
        ("PatientNam=DOE", "'PatientNam' is no keyword of PS3.6", "Did you mean PatientName?"),
        ("patientname=DOE", "'patientname' is no keyword of PS3.6", "Did you mean PatientName?"),
        ("Xyzzy=1", "'Xyzzy' is no keyword of PS3.6", ""),
        ("=DOE", "'' is no attribute", "Keys are such as PatientName=DOE*"),
        ("0010.0010=DOE", "'0010' is no attribute", "Keys are such as"),
        ("0000,0100=1", "(0000,0100) is no attribute of a data set", ""),
        ("TransferSyntaxUID=1.2", "TransferSyntaxUID (0002,0010) is no attribute of a data set", ""),
        ("0010,0000=1", "(0010,0000) is no attribute of a data set", ""),
        ("PatientName[0].Modality=CT", "PatientName (0010,0010) is no sequence", ""),
        ("RequestAttributesSequence=CT", "(0040,0275) is a sequence", "[0].KEYWORD"),
        ("RequestAttributesSequence[0]=CT", "has no value of its own", "Name an attribute"),
        (
            "RequestAttributesSequence[3].CodeValue=CT",
            "item 3 of RequestAttributesSequence (0040,0275) comes before",
            "",
        ),
        ("PixelData=1", "PixelData (7FE0,0010) is binary", ""),
        ("InstanceNumber=x", "'x' is no value for InstanceNumber (0020,0013), which is IS", ""),
        ("Rows=1-2", "'1-2' is no value for Rows (0028,0010), which is US", ""),
        ("DimensionIndexPointer=x", "which is AT", ""),
    ],
)
def test_bad_keys_are_named(key: str, message: str, advice: str) -> None:
    error = refused("PatientID", key)
    assert str(error).startswith(f"key '{key}': ")
    assert message in str(error)
    assert advice in error.advice


def test_a_value_that_no_element_holds_is_told() -> None:
    assert "the query cannot be sent" in str(refused("Rows=-1"))


def tried(key: str, **options: Any) -> Asked | CommandError:
    try:
        return asked(key, **options)
    except CommandError as error:
        return error


@given(st.text(max_size=40) | st.from_regex(r"[0-9a-f]{4},[0-9a-f]{4}(\[\d\])?(=.*)?", fullmatch=True))
def test_any_key_is_taken_or_refused_in_words(key: str) -> None:
    made = tried(key)
    if isinstance(made, CommandError):
        assert made.code is ExitCode.USAGE
    else:
        assert len(made.data_set)


@given(st.sampled_from(sorted(filter(None, datadict.keyword_dict))))
def test_every_keyword_may_be_asked_for(keyword: str) -> None:
    made = tried(keyword, level="STUDY")
    if isinstance(made, CommandError):
        assert "is no attribute of a data set" in str(made)
    else:
        assert made.data_set.QueryRetrieveLevel == "STUDY"
        assert made.data_set[keyword].is_empty or keyword == "QueryRetrieveLevel"


# ---------------------------------------------------------------- the level


@pytest.mark.parametrize(
    ("model", "keys", "level"),
    [
        (STUDY_FIND, ["PatientName=DOE*"], "STUDY"),
        (PATIENT_FIND, ["PatientName=DOE*"], "PATIENT"),
        (STUDY_FIND, ["StudyInstanceUID=1.2", "SeriesInstanceUID"], "SERIES"),
        (PATIENT_FIND, ["StudyInstanceUID"], "STUDY"),
        (STUDY_FIND, ["SOPInstanceUID"], "IMAGE"),
        (STUDY_FIND, ["SOPInstanceUID", "QueryRetrieveLevel=SERIES"], "SERIES"),
    ],
)
def test_the_level_that_keys_speak_of(model: Any, keys: list[str], level: str) -> None:
    assert sent(*keys, model=model).QueryRetrieveLevel == level


def test_the_level_given_goes_before() -> None:
    assert sent("StudyInstanceUID", "QueryRetrieveLevel=SERIES", level="image").QueryRetrieveLevel == "IMAGE"
    assert (
        sent("StudyInstanceUID=1.2", "SeriesInstanceUID", model=STUDY_GET, retrieves=True).QueryRetrieveLevel == "STUDY"
    )


def test_levels_that_the_model_has_not() -> None:
    error = refused("PatientID=1", level="PATIENT")
    assert "'PATIENT' is no level of Study Root" in str(error)
    assert error.advice == "-L takes STUDY, SERIES, IMAGE."
    assert "has no levels" in str(refused("PatientID=1", level="STUDY", model=WORKLIST))
    assert "QueryRetrieveLevel" not in sent("PatientID=1", model=WORKLIST)


def test_a_retrieval_says_what() -> None:
    error = refused("PatientID=1", model=STUDY_GET, retrieves=True)
    assert "nothing says what to retrieve at level STUDY" in str(error)
    assert "StudyInstanceUID=UID" in error.advice
    assert "nothing says what to retrieve" in str(refused("PatientID=1", model=PROTOCOL_GET, retrieves=True))
    assert asked("SOPInstanceUID=1.2", model=PROTOCOL_GET, retrieves=True).data_set.SOPInstanceUID == "1.2"


def test_no_keys_at_all() -> None:
    assert "-k StudyInstanceUID=..." in refused().advice
    assert "-k SOPInstanceUID=..." in refused(model=WORKLIST).advice


# ---------------------------------------------------------------- the file


def part10(path: Path, data_set: Dataset) -> Path:
    header = part10_header(sop_classes.STUDY_ROOT_FIND, "1.2.3", EXPLICIT_VR_LITTLE_ENDIAN)
    path.write_bytes(header + encode(data_set, EXPLICIT_VR_LITTLE_ENDIAN))
    return path


@pytest.mark.parametrize("kind", ["part10", "json", "list"])
def test_keys_of_a_file_and_those_that_override_it(kind: str, tmp_path: Path) -> None:
    keys = Dataset()
    keys.SpecificCharacterSet = "ISO_IR 100"
    keys.PatientName, keys.StudyDate, keys.QueryRetrieveLevel = "Müller*", "", "STUDY"
    path = tmp_path / "query"
    if kind == "part10":
        part10(path, keys)
    else:
        model = keys.to_json_dict()
        path.write_text(json.dumps([model] if kind == "list" else model))
    made = asked("StudyDate=20240101", "PatientID", file=path)
    told = sent_in(IMPLICIT_VR_LITTLE_ENDIAN, made.data_set)
    assert (told.PatientName, told.StudyDate, told.QueryRetrieveLevel) == ("Müller*", "20240101", "STUDY")
    assert told.SpecificCharacterSet == "ISO_IR 192"
    assert [heading(column) for column in made.columns] == ["StudyDate", "PatientID", "PatientName"]


def test_a_real_file_may_be_the_query() -> None:
    path = get_testdata_file("rtplan.dcm", download=False)
    assert isinstance(path, str)
    made = asked("StudyDate=20240101", file=Path(path))
    assert made.data_set.StudyDate == "20240101"
    assert made.data_set.Modality == "RTPLAN"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"no DICOM", "it is no DICOM file and no JSON"),
        (b"", "it is no DICOM file and no JSON"),
        (b"{", "not in the DICOM JSON Model"),
        (b"[]", "it is not one data set"),
        (b"[[1]]", "it is not one data set"),
        (b'{"00100010": 7}', "not in the DICOM JSON Model"),
        (b'{"00100010": {"vr": "PN", "Value": [7]}}', "not in the DICOM JSON Model"),
        (b'{"xyz": {"vr": "PN"}}', "not in the DICOM JSON Model"),
        (b'\xff{"', "it is no DICOM file"),
        (b'{"\xff', "not in the DICOM JSON Model"),
        (part10_header("1.2", "1.2", EXPLICIT_VR_LITTLE_ENDIAN + ".99") + b"x", "cannot read the query"),
    ],
)
def test_files_that_are_no_query(text: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "query"
    path.write_bytes(text)
    error = refused("PatientID", file=path)
    assert str(path) in str(error)
    assert message in str(error)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    assert "No such file" in str(refused("PatientID", file=tmp_path / "none"))


# ---------------------------------------------------------------- models


def test_the_models_that_options_name() -> None:
    assert information_model("C-FIND").uid == sop_classes.STUDY_ROOT_FIND
    assert information_model("C-FIND", patient=True).uid == sop_classes.PATIENT_ROOT_FIND
    assert information_model("C-GET", study=True).uid == sop_classes.STUDY_ROOT_GET
    assert information_model("C-MOVE", psonly=True).uid == sop_classes.PATIENT_STUDY_ONLY_MOVE
    assert information_model("C-FIND", worklist=True).uid == sop_classes.MODALITY_WORKLIST_FIND
    for name in (
        "HangingProtocolInformationModelFind",
        "hangingprotocolinformationmodelfind",
        sop_classes.HANGING_PROTOCOL_FIND,
    ):
        assert information_model("C-FIND", model=name).uid == sop_classes.HANGING_PROTOCOL_FIND


@pytest.mark.parametrize(
    ("options", "message", "advice"),
    [
        ({"patient": True, "study": True}, "--patient and --study name different", ""),
        ({"worklist": True, "model": "CTImageStorage"}, "--worklist and --model name different", ""),
        (
            {"model": "HangingProtocolInformationModelFnd"},
            "is the UID or keyword of no SOP class",
            "HangingProtocolInformationModelFind?",
        ),
        ({"model": "1.2.3"}, "is the UID or keyword of no SOP class", ""),
        ({"model": "HangingProtocolInformationModelGet"}, "has no C-FIND", "HangingProtocolInformationModelFind?"),
    ],
)
def test_models_that_will_not_do(options: dict[str, Any], message: str, advice: str) -> None:
    with pytest.raises(CommandError, match=message) as caught:
        information_model("C-FIND", **options)
    assert caught.value.code is ExitCode.USAGE
    assert advice in caught.value.advice


def test_ups_is_asked_in_the_name_of_ups_push() -> None:
    pull = STANDARD.rows[sop_classes.UNIFIED_PROCEDURE_STEP_PULL]
    assert asked("PatientID", model=pull).sop_class_uid == sop_classes.UNIFIED_PROCEDURE_STEP_PUSH
    assert asked("PatientID").sop_class_uid == sop_classes.STUDY_ROOT_FIND


def test_storage_classes_by_keyword_and_uid() -> None:
    given = ["CTImageStorage", "mrimagestorage", sop_classes.CT_IMAGE_STORAGE, "1.2.3.4"]
    assert storage_classes(given) == [
        sop_classes.CT_IMAGE_STORAGE,
        sop_classes.MR_IMAGE_STORAGE,
        sop_classes.CT_IMAGE_STORAGE,
        "1.2.3.4",
    ]
    for name, message in (("CTImageStorge", "keyword of no SOP class"), ("Verification", "is not for storage")):
        with pytest.raises(CommandError, match=message):
            storage_classes([name])


def test_what_its_model_does_not_allow() -> None:
    series = asked("PatientName=DOE*", level="SERIES")
    assert "unique key (0020,000D) missing above level SERIES" in series.doubts("C-FIND", relational=False)
    assert series.doubts("C-FIND", relational=True) == ""
    assert asked("PatientName=DOE*").doubts("C-FIND", relational=False) == ""


# ---------------------------------------------------------------- matches, to people


def test_what_a_table_shows() -> None:
    step = "ScheduledProcedureStepSequence[0]"
    made = asked(
        "PatientName", f"{step}.Modality", "StudyInstanceUID", "0009,1001", "OtherPatientIDsSequence", model=WORKLIST
    )
    assert [heading(column) for column in made.columns] == [
        "PatientName",
        "Modality",
        "StudyInstanceUID",
        "(0009,1001)",
        "OtherPatientIDsSequence",
    ]
    match = Dataset()
    match.PatientName, match.StudyInstanceUID = "DOE^JANE", ["1.2", "1.3"]
    match.ScheduledProcedureStepSequence = [Dataset(), Dataset(), Dataset()]
    match.ScheduledProcedureStepSequence[0].Modality = "CT"
    match.ScheduledProcedureStepSequence[1].Modality = "MR"
    match.OtherPatientIDsSequence = [Dataset()]
    match.add_new(0x00091001, "UN", b"abc ")
    assert [shown(match, column) for column in made.columns] == ["DOE^JANE", "CT; MR", "1.2\\1.3", "abc", "(1 item)"]
    assert [shown(Dataset(), column) for column in made.columns] == [""] * 5


def test_the_level_and_the_character_set_are_no_columns() -> None:
    made = asked(
        "PatientName=Müller", "SpecificCharacterSet", "QueryRetrieveLevel=STUDY", "TimezoneOffsetFromUTC=+0100"
    )
    assert [heading(column) for column in made.columns] == ["PatientName"]
