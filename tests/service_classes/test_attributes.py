"""Attributes that must be there, may not be there, and what setting them gives."""

from __future__ import annotations

from copy import deepcopy

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import Dataset

from sansdimse import uids
from sansdimse.dataset import decode, encode, tag_of
from sansdimse.service_classes.attributes import (
    applied,
    check_absent,
    check_each_item,
    check_types,
    check_value,
    has_value,
    items_of,
    subset,
    text_of,
    without_value,
    wrong_value,
)
from sansdimse.service_classes.refused import Refused

ELE = uids.EXPLICIT_VR_LITTLE_ENDIAN


def made(**elements: object) -> Dataset:
    dataset = Dataset()
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    return dataset


def test_values_as_text() -> None:
    dataset = made(PatientID=" 7 ", ImageType=["A", "B "], Rows=0, PatientName="", Modality=None)
    assert text_of(dataset, "PatientID") == "7"
    assert text_of(dataset, "ImageType") == "A\\B"
    assert text_of(dataset, "Rows") == "0"
    assert text_of(dataset, "PatientName") == text_of(dataset, "Modality") == text_of(dataset, "StudyID") == ""


def test_items_of_what_is_a_sequence() -> None:
    dataset = made(ReferencedStudySequence=[made(StudyID="1")], ReferencedPatientSequence=None, PatientID="1")
    assert items_of(dataset, "ReferencedStudySequence") == [made(StudyID="1")]
    assert items_of(dataset, "ReferencedPatientSequence") == []
    assert items_of(dataset, "PerformedSeriesSequence") == []
    dataset.add_new(tag_of("PerformedSeriesSequence"), "LO", "not a sequence")
    assert items_of(dataset, "PerformedSeriesSequence") == []


def test_has_a_value() -> None:
    dataset = made(PatientID="1", PatientName="", Rows=0, ReferencedStudySequence=[Dataset()])
    dataset.ReferencedPatientSequence = []
    assert [has_value(dataset, each) for each in ("PatientID", "Rows", "ReferencedStudySequence")] == [True] * 3
    assert [has_value(dataset, each) for each in ("PatientName", "ReferencedPatientSequence", "StudyID")] == [False] * 3


def test_a_subset_is_a_copy_with_its_character_set() -> None:
    dataset = made(SpecificCharacterSet="ISO_IR 100", PatientName="Ä", ImageType=["A", "B"])
    part = subset(dataset, ["PatientName", "StudyID", "ImageType"])
    assert part == dataset
    part.ImageType[0] = "C"
    part.PatientName = "Ö"
    assert (dataset.ImageType[0], dataset.PatientName) == ("A", "Ä")
    assert subset(made(PatientName="A"), ["PatientName"]) == made(PatientName="A")
    assert subset(dataset, ["StudyID"]) == Dataset()


def test_types_1_and_2() -> None:
    dataset = made(PatientID="1", PatientName="")
    check_types(dataset, ["PatientID"], ["PatientName"])
    with pytest.raises(Refused) as missing:
        check_types(dataset, ["PatientName", "Modality"], ["StudyID"])
    assert missing.value.status == 0x0120
    assert missing.value.attributes == (0x00080060, 0x00200010)
    assert missing.value.comment == "missing: Modality, StudyID"
    with pytest.raises(Refused) as empty:
        check_types(dataset, iter(["PatientID", "PatientName"]))
    assert empty.value.status == 0x0121
    assert empty.value.attribute_list == made(PatientName=None)


def test_what_may_not_be_there() -> None:
    check_absent(made(PatientID=""), ["PatientName"])
    with pytest.raises(Refused) as there:
        check_absent(made(PatientID="", PatientName="A"), ["PatientName", "PatientID", "StudyID"])
    assert (there.value.status, there.value.attributes) == (0x0105, (0x00100010, 0x00100020))


def test_values_that_may_be() -> None:
    check_value(made(Modality="CT"), "Modality", ("CT", "MR"))
    check_value(made(Modality=""), "Modality", ("CT", "MR"))
    check_value(Dataset(), "Modality", ("CT", "MR"))
    with pytest.raises(Refused) as bad:
        check_value(made(Modality="US", PatientID="1"), "Modality", ("CT", "MR"))
    assert (bad.value.status, bad.value.attribute_list) == (0x0106, made(Modality="US"))


def test_refusals_without_and_with_wrong_value() -> None:
    refused = without_value(["PerformedSeriesSequence", "PatientName"])
    assert refused.attribute_list is not None
    assert len(refused.attribute_list) == 2
    assert encode(refused.attribute_list, ELE)
    long = wrong_value(Dataset(), "PerformedProcedureStepDiscontinuationReasonCodeSequence")
    assert long.comment is not None
    assert len(long.comment) == 64


def test_a_refusal_within_an_item_names_the_sequence() -> None:
    dataset = made(ReferencedStudySequence=[made(StudyID="1"), made(StudyID="")])
    with pytest.raises(Refused) as empty:
        check_each_item(dataset, "ReferencedStudySequence", lambda item: check_types(item, ["StudyID"]))
    assert (empty.value.status, empty.value.attribute_list) == (0x0121, dataset)
    with pytest.raises(Refused) as missing:
        check_each_item(dataset, "ReferencedStudySequence", lambda item: check_types(item, ["Modality"]))
    assert (missing.value.attributes, missing.value.attribute_list) == ((0x00080060,), None)
    check_each_item(Dataset(), "ReferencedStudySequence", lambda item: check_types(item, ["StudyID"]))


KEYWORDS = ["PatientID", "StudyID", "Modality", "ReferencedStudySequence"]


@st.composite
def attribute_lists(draw: st.DrawFn) -> Dataset:
    dataset = Dataset()
    for keyword in draw(st.sets(st.sampled_from(KEYWORDS[:3]))):
        setattr(dataset, keyword, draw(st.sampled_from(["", "A", "B"])))
    if draw(st.booleans()):
        dataset.ReferencedStudySequence = [made(StudyID=draw(st.sampled_from(["A", "B"])))]
    return dataset


@given(attribute_lists(), attribute_lists())
def test_what_is_set_takes_the_place_of_what_was(current: Dataset, modifications: Dataset) -> None:
    before, given_ = deepcopy(current), deepcopy(modifications)
    after = applied(current, modifications)
    for keyword in KEYWORDS:
        source = modifications if keyword in modifications else current
        assert after.get(keyword) == source.get(keyword)
    assert applied(after, modifications) == after
    for item in items_of(after, "ReferencedStudySequence"):
        item.StudyID = "changed"
    assert (current, modifications) == (before, given_)


@pytest.mark.parametrize(
    ("before", "given_", "after"),
    [
        (None, None, None),
        ("ISO_IR 100", None, "ISO_IR 100"),
        ("ISO_IR 100", "", "ISO_IR 100"),
        (None, "ISO_IR 100", "ISO_IR 100"),
        ("ISO_IR 100", "ISO_IR 100", "ISO_IR 100"),
        ("ISO_IR 100", "ISO_IR 144", "ISO_IR 192"),
    ],
)
def test_text_of_two_character_sets_in_one_data_set(before: str | None, given_: str | None, after: str | None) -> None:
    current = made(PatientComments="Ä" if before else "A")
    modifications = made(PatientName="Ж" if given_ == "ISO_IR 144" else "Ö" if given_ else "O")
    if before is not None:
        current.SpecificCharacterSet = before
    if given_ is not None:
        modifications.SpecificCharacterSet = given_ or None
        if not given_:
            modifications.PatientName = "O"
    together = applied(decode(encode(current, ELE), ELE), decode(encode(modifications, ELE), ELE))
    read = decode(encode(together, ELE), ELE)
    assert read.get("SpecificCharacterSet") == after
    assert (read.PatientComments, read.PatientName) == (current.PatientComments, modifications.PatientName)
