"""A modality's step: made in progress, changed, finished, and then no more."""

from __future__ import annotations

from copy import deepcopy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import Dataset

from sansdimse import uids
from sansdimse.dataset import decode, encode, tag_of
from sansdimse.service_classes.performed_procedure_step import (
    COMPLETED,
    DISCONTINUED,
    IN_PROGRESS,
    MAY_NO_LONGER_BE_UPDATED,
    applied,
    check_create,
    check_set,
    completed,
    created,
    discontinued,
    event_type,
    performed_series,
)
from sansdimse.service_classes.refused import Refused

ELE = uids.EXPLICIT_VR_LITTLE_ENDIAN
CT = "1.2.840.10008.5.1.4.1.1.2"


def worklist_item() -> Dataset:
    planned = Dataset()
    planned.ScheduledProcedureStepID = "SPS1"
    planned.ScheduledProcedureStepDescription = "Thorax"
    planned.Modality = "CT"
    item = Dataset()
    item.SpecificCharacterSet = "ISO_IR 100"
    item.PatientName = "Müller^Eva"
    item.PatientID = "7"
    item.AdmissionID = "ADM"
    item.StudyInstanceUID = "1.2.3"
    item.AccessionNumber = "ACC"
    item.RequestedProcedureID = "RP1"
    item.ScheduledProcedureStepSequence = [planned]
    return item


def step(scheduled: Dataset | None = None, **more: str) -> Dataset:
    return created(
        worklist_item() if scheduled is None else scheduled,
        step_id="PPS1",
        station_ae_title="CT1",
        start_date="20260102",
        start_time="101500",
        modality="CT",
        **more,
    )


def series() -> Dataset:
    return performed_series("1.2.3.4", "Thorax routine", images=[(CT, "1.2.3.4.5")], others=[("1.2", "1.2.3.4.6")])


def refusal(current: Dataset, modifications: Dataset) -> Refused:
    before = deepcopy(current), deepcopy(modifications)
    with pytest.raises(Refused) as refused:
        check_set(current, modifications)
    assert (current, modifications) == before
    return refused.value


def set_to(**elements: object) -> Dataset:
    dataset = Dataset()
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    return dataset


ENDED = completed(end_date="20260102", end_time="103000", series=[series()])


def test_what_our_scu_makes_an_scp_takes() -> None:
    item = worklist_item()
    made = step(item)
    assert item == worklist_item()
    across = decode(encode(made, ELE), ELE)
    check_create(across)
    assert across.PatientName == "Müller^Eva"
    assert (across.AdmissionID, across.StudyID, across.PerformedProcedureStepStatus) == ("ADM", "", IN_PROGRESS)
    request = across.ScheduledStepAttributesSequence[0]
    assert (request.StudyInstanceUID, request.AccessionNumber) == ("1.2.3", "ACC")
    assert (request.ScheduledProcedureStepID, request.ScheduledProcedureStepDescription) == ("SPS1", "Thorax")
    assert "PerformedProcedureStepDiscontinuationReasonCodeSequence" in across


def test_an_unscheduled_step() -> None:
    check_create(step(Dataset(), study_instance_uid="1.2.4"))
    with pytest.raises(ValueError, match="Study Instance UID"):
        step(Dataset())


@pytest.mark.parametrize("status", [COMPLETED, DISCONTINUED, "SUSPENDED"])
def test_a_step_begins_in_progress(status: str) -> None:
    made = step()
    made.PerformedProcedureStepStatus = status
    with pytest.raises(Refused) as refused:
        check_create(made)
    assert refused.value.status == 0x0106
    assert refused.value.attribute_list is not None
    assert refused.value.attribute_list.PerformedProcedureStepStatus == status


@pytest.mark.parametrize(
    "keyword",
    """ScheduledStepAttributesSequence PatientName PatientID PatientBirthDate PatientSex ReferencedPatientSequence
    PerformedProcedureStepID PerformedStationAETitle PerformedStationName PerformedLocation
    PerformedProcedureStepStartDate PerformedProcedureStepStartTime PerformedProcedureStepStatus
    PerformedProcedureStepDescription PerformedProcedureTypeDescription ProcedureCodeSequence
    PerformedProcedureStepEndDate PerformedProcedureStepEndTime Modality StudyID PerformedProtocolCodeSequence
    PerformedSeriesSequence""".split(),
)
def test_what_a_step_must_have(keyword: str) -> None:
    made = step()
    empty_before = made[keyword].is_empty or made[keyword].value == []
    del made[keyword]
    with pytest.raises(Refused) as refused:
        check_create(made)
    assert (refused.value.status, refused.value.attributes) == (0x0120, (tag_of(keyword),))
    if empty_before or keyword in ("PatientName", "PatientID"):
        check_create(made, type_2=False)
        return
    setattr(made, keyword, None)
    with pytest.raises(Refused) as refused:
        check_create(made)
    assert refused.value.status == 0x0121


def test_what_its_items_must_have() -> None:
    made = step()
    del made.ScheduledStepAttributesSequence[0].AccessionNumber
    with pytest.raises(Refused) as refused:
        check_create(made)
    assert refused.value.attributes == (tag_of("AccessionNumber"),)
    check_create(made, type_2=False)
    made.ScheduledStepAttributesSequence[0].StudyInstanceUID = ""
    with pytest.raises(Refused) as refused:
        check_create(made, type_2=False)
    assert refused.value.status == 0x0121
    made = step()
    made.PerformedSeriesSequence = [series()]
    check_create(made)
    del made.PerformedSeriesSequence[0].ProtocolName
    with pytest.raises(Refused) as refused:
        check_create(made)
    assert refused.value.attributes == (tag_of("ProtocolName"),)


def test_a_step_is_changed_and_finished() -> None:
    made = step()
    change = set_to(PerformedProcedureStepDescription="Thorax", PerformedProcedureStepStatus=IN_PROGRESS)
    check_set(made, change)
    made = applied(made, change)
    check_set(made, ENDED)
    ended = applied(made, ENDED)
    assert (ended.PerformedProcedureStepStatus, ended.PerformedProcedureStepDescription) == (COMPLETED, "Thorax")
    assert ended.PerformedSeriesSequence[0].ReferencedImageSequence[0].ReferencedSOPInstanceUID == "1.2.3.4.5"
    others = ended.PerformedSeriesSequence[0].ReferencedNonImageCompositeSOPInstanceSequence
    assert others[0].ReferencedSOPClassUID == "1.2"
    check_create(applied(made, set_to(PerformedSeriesSequence=[series()])))


def test_a_step_may_be_finished_bit_by_bit() -> None:
    made = applied(step(), set_to(PerformedSeriesSequence=[series()], PerformedProcedureStepEndDate="20260102"))
    check_set(made, set_to(PerformedProcedureStepStatus=COMPLETED, PerformedProcedureStepEndTime="1030"))


@pytest.mark.parametrize("status", [COMPLETED, DISCONTINUED])
def test_a_finished_step_stays(status: str) -> None:
    done = applied(step(), ENDED)
    done.PerformedProcedureStepStatus = status
    for change in (set_to(PerformedProcedureStepDescription="x"), set_to(PatientName="x"), ENDED, Dataset()):
        refused = refusal(done, change)
        assert (refused.status, refused.error_id) == (0x0110, MAY_NO_LONGER_BE_UPDATED)
        assert refused.comment == "Performed Procedure Step Object may no longer be updated"
        assert len(refused.comment) <= 64


@pytest.mark.parametrize("keyword", ["PatientName", "Modality", "ScheduledStepAttributesSequence", "AdmissionID"])
def test_what_only_creation_gives(keyword: str) -> None:
    refused = refusal(step(), set_to(**{keyword: None}))
    assert (refused.status, refused.attributes) == (0x0105, (tag_of(keyword),))


def test_a_status_that_is_none() -> None:
    assert refusal(step(), set_to(PerformedProcedureStepStatus="DONE")).status == 0x0106
    assert refusal(step(), set_to(PerformedProcedureStepStatus="")).status == 0x0121


@pytest.mark.parametrize("status", [COMPLETED, DISCONTINUED])
def test_what_the_end_needs(status: str) -> None:
    refused = refusal(step(), set_to(PerformedProcedureStepStatus=status))
    assert refused.status == 0x0121
    assert refused.attribute_list is not None
    assert [element.keyword for element in refused.attribute_list] == [
        "PerformedProcedureStepEndDate",
        "PerformedProcedureStepEndTime",
        "PerformedSeriesSequence",
    ]
    nameless = deepcopy(ENDED)
    nameless.PerformedProcedureStepStatus = status
    nameless.PerformedSeriesSequence[0].SeriesInstanceUID = ""
    assert refusal(step(), nameless).status == 0x0121


def test_a_discontinued_step() -> None:
    reason = set_to(CodeValue="110514", CodingSchemeDesignator="DCM", CodeMeaning="Incorrect worklist entry selected")
    change = discontinued(end_date="20260102", end_time="1030", series=[series()], reason=reason)
    check_set(step(), change)
    assert change.PerformedProcedureStepDiscontinuationReasonCodeSequence == [reason]
    plain = discontinued(end_date="20260102", end_time="1030", series=[series()])
    assert "PerformedProcedureStepDiscontinuationReasonCodeSequence" not in plain
    with pytest.raises(ValueError, match="at least one series"):
        completed(end_date="20260102", end_time="1030", series=[])


def test_events() -> None:
    begun = step()
    done = applied(begun, ENDED)
    assert event_type(None, begun) == 1
    assert event_type(begun, begun) == 4
    assert event_type(begun, done) == 2
    assert event_type(begun, applied(done, set_to(PerformedProcedureStepStatus=DISCONTINUED))) == 3
    assert event_type(done, done) == 4
    assert event_type(begun, None) == event_type(done, None) == 5


changes = st.sampled_from(
    [
        Dataset(),
        set_to(PerformedProcedureStepStatus=IN_PROGRESS),
        set_to(PerformedProcedureStepStatus=COMPLETED),
        set_to(PerformedProcedureStepStatus=""),
        set_to(PerformedProcedureStepStatus="DONE"),
        set_to(PerformedSeriesSequence=[series()]),
        set_to(PerformedSeriesSequence=[]),
        set_to(PerformedProcedureStepEndDate="20260102", PerformedProcedureStepEndTime="1030"),
        set_to(PatientName="x"),
        ENDED,
        discontinued(end_date="20260102", end_time="1030", series=[series()]),
    ]
)


@settings(deadline=None)
@given(st.lists(changes, max_size=8))
def test_no_changes_lead_out_of_the_three_states(some: list[Dataset]) -> None:
    now = step()
    for change in some:
        before = now
        try:
            check_set(now, change)
        except Refused:
            continue
        now = applied(now, change)
        assert before.PerformedProcedureStepStatus == IN_PROGRESS
        assert now.PatientName == step().PatientName
        if now.PerformedProcedureStepStatus != IN_PROGRESS:
            assert now.PerformedProcedureStepStatus in (COMPLETED, DISCONTINUED)
            assert now.PerformedSeriesSequence
            assert now.PerformedProcedureStepEndDate
