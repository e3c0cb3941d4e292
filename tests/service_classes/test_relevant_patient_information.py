"""The identifier of a Relevant Patient Information Query."""

from __future__ import annotations

import pytest
from pydicom import Dataset

from sansdimse.service_classes.refused import Refused
from sansdimse.service_classes.relevant_patient_information import check_identifier


def identifier(patient_id: str, *templates: str) -> Dataset:
    dataset = Dataset()
    dataset.PatientID = patient_id
    dataset.ContentTemplateSequence = [Dataset() for _ in templates]
    for item, name in zip(dataset.ContentTemplateSequence, templates, strict=True):
        item.TemplateIdentifier = name
    return dataset


def test_identifiers_that_are_well() -> None:
    check_identifier(identifier("7"))
    check_identifier(identifier("7", "9007"))
    check_identifier(identifier("7", "9007", ""), {"9007"})
    check_identifier(identifier("7"), ())


def test_there_must_be_a_patient_id() -> None:
    for wrong in (Dataset(), identifier(""), identifier("", "9007")):
        with pytest.raises(Refused) as refused:
            check_identifier(wrong)
        assert (refused.value.status, refused.value.offending_element) == (0xA900, (0x00100020,))


def test_a_template_that_is_not_served() -> None:
    with pytest.raises(Refused, match="template 9008") as refused:
        check_identifier(identifier("7", "9007", "9008"), ["9007"])
    assert (refused.value.status, refused.value.offending_element) == (0xC200, (0x0040A504,))
