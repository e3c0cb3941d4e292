"""The four states of a unified procedure step, and Table CC.1.1-2 as printed."""

from __future__ import annotations

from copy import deepcopy
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import Dataset

from sansdimse import uids
from sansdimse.dataset import decode, encode, tag_of
from sansdimse.service_classes.attributes import applied
from sansdimse.service_classes.refused import Refused
from sansdimse.service_classes.unified_procedure_step import (
    Change,
    EventType,
    State,
    UnifiedProcedureStep,
    check_final_state,
    scp_status_change,
)
from sansdimse.services.sop_classes import UNIFIED_PROCEDURE_STEP_PUSH, ServiceClass
from sansdimse.services.statuses import meaning_of

ELE = uids.EXPLICIT_VR_LITTLE_ENDIAN
NOW, LATER = "20260102101500", "20260102103000"
KEY, OTHER_KEY, OUR_KEY = "1.2.77", "1.2.78", "1.2.79"


def made(**elements: object) -> Dataset:
    dataset = Dataset()
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    return dataset


def code(value: str) -> Dataset:
    return made(CodeValue=value, CodingSchemeDesignator="99TEST", CodeMeaning=value)


def request(**more: object) -> Dataset:
    return made(
        ProcedureStepState="SCHEDULED",
        ScheduledProcedureStepPriority="MEDIUM",
        ProcedureStepLabel="Contour",
        WorklistLabel="Contouring",
        ScheduledProcedureStepStartDateTime=NOW,
        InputReadinessState="READY",
        TransactionUID="",
        PatientID="7",
        **more,
    )


def scheduled(**more: object) -> UnifiedProcedureStep:
    return UnifiedProcedureStep.create(request(**more), "1.2.3", now=NOW).step


PERFORMED = made(
    UnifiedProcedureStepPerformedProcedureSequence=[
        made(
            PerformedStationNameCodeSequence=[code("STATION")],
            PerformedProcedureStepStartDateTime=NOW,
            PerformedWorkitemCodeSequence=[code("WORK")],
            PerformedProcedureStepEndDateTime=LATER,
            OutputInformationSequence=[],
        )
    ]
)
STOPPED = made(
    ProcedureStepProgressInformationSequence=[
        made(
            ProcedureStepCancellationDateTime=LATER,
            ProcedureStepDiscontinuationReasonCodeSequence=[code("WHY")],
            ReasonForCancellation="no contrast",
        )
    ]
)


def to(state: str, key: str = KEY) -> Dataset:
    return made(ProcedureStepState=state, TransactionUID=key)


def in_state(state: State) -> UnifiedProcedureStep:
    step = scheduled()
    if state is State.SCHEDULED:
        return step
    step = step.change_state(to("IN PROGRESS")).step
    if state is State.IN_PROGRESS:
        return step
    step = step.set(applied(made(TransactionUID=KEY), applied(PERFORMED, STOPPED)), now=LATER).step
    return step.change_state(to(state)).step


def status_of(step: UnifiedProcedureStep, information: Dataset) -> int:
    before = deepcopy(step), deepcopy(information)
    try:
        return step.change_state(information).status
    except Refused as refused:
        return refused.status
    finally:
        assert (step, information) == before


def test_a_step_is_created_scheduled() -> None:
    asked = request()
    change = UnifiedProcedureStep.create(asked, "1.2.3", now=NOW)
    assert asked == request()
    assert (change.status, change.step.state, change.step.transaction_uid) == (0, State.SCHEDULED, "")
    attributes = change.step.attributes
    assert (attributes.SOPClassUID, attributes.SOPInstanceUID) == (UNIFIED_PROCEDURE_STEP_PUSH, "1.2.3")
    assert attributes.ScheduledProcedureStepModificationDateTime == NOW
    assert [event.type_id for event in change.events] == [EventType.STATE_REPORT]
    assert change.events[0].information == made(ProcedureStepState="SCHEDULED", InputReadinessState="READY")
    assert encode(attributes, ELE)


def test_a_worklist_label_of_ours() -> None:
    asked = request()
    asked.WorklistLabel = ""
    change = UnifiedProcedureStep.create(asked, "1.2.3", now=NOW, worklist_label="GENERAL")
    assert (change.status, change.step.attributes.WorklistLabel) == (0xB300, "GENERAL")
    change = UnifiedProcedureStep.create(request(), "1.2.3", now=NOW, worklist_label="GENERAL")
    assert (change.status, change.step.attributes.WorklistLabel) == (0, "Contouring")


@pytest.mark.parametrize("state", ["IN PROGRESS", "COMPLETED", "CANCELED", "SUSPENDED"])
def test_a_step_is_not_created_otherwise(state: str) -> None:
    asked = request()
    asked.ProcedureStepState = state
    with pytest.raises(Refused) as refused:
        UnifiedProcedureStep.create(asked, "1.2.3", now=NOW)
    assert (refused.value.status, refused.value.offending_element) == (0xC309, (0x00741000,))


@pytest.mark.parametrize(
    "keyword",
    """ProcedureStepState ScheduledProcedureStepPriority ProcedureStepLabel ScheduledProcedureStepStartDateTime
    InputReadinessState""".split(),
)
def test_what_a_step_must_have(keyword: str) -> None:
    for value, status in (("absent", 0x0120), ("", 0x0121)):
        asked = request()
        del asked[keyword]
        if not value:
            setattr(asked, keyword, "")
        with pytest.raises(Refused) as refused:
            UnifiedProcedureStep.create(asked, "1.2.3", now=NOW)
        assert refused.value.status == status


@pytest.mark.parametrize(
    ("keyword", "value"),
    [("TransactionUID", KEY), ("ScheduledProcedureStepPriority", "STAT"), ("InputReadinessState", "PERHAPS")],
)
def test_values_that_a_step_may_not_have(keyword: str, value: str) -> None:
    asked = request()
    setattr(asked, keyword, value)
    with pytest.raises(Refused) as refused:
        UnifiedProcedureStep.create(asked, "1.2.3", now=NOW)
    assert (refused.value.status, refused.value.attribute_list) == (0x0106, made(**{keyword: value}))


# Table CC.1.1-2, N-ACTION to a state: with the right Transaction UID, without it.
TABLE: Final = {
    #                SCHEDULED IN PROGRESS COMPLETED CANCELED
    "IN PROGRESS": ("0000 C302 C300 C300", "C301 C301 C301 C301"),
    "SCHEDULED": ("C303 C303 C303 C303", "C303 C303 C303 C303"),
    "COMPLETED": ("C310 0000 B306 C300", "C301 C301 C301 C301"),
    "CANCELED": ("C310 0000 C300 B304", "C301 C301 C301 C301"),
}


@pytest.mark.parametrize("target", TABLE)
def test_the_table_of_states(target: str) -> None:
    with_key, without_key = TABLE[target]
    for state, right, wrong in zip(State, with_key.split(), without_key.split(), strict=True):
        step = in_state(state)
        if state is State.IN_PROGRESS:
            step = step.set(applied(made(TransactionUID=KEY), applied(PERFORMED, STOPPED)), now=LATER).step
        assert f"{status_of(step, to(target)):04X}" == right, state
        assert f"{status_of(step, to(target, '')):04X}" == wrong, state
        if state is not State.SCHEDULED:  # there any Transaction UID is the right one
            assert f"{status_of(step, to(target, OTHER_KEY)):04X}" == wrong, state


def test_a_state_that_is_none() -> None:
    for information in (Dataset(), made(ProcedureStepState="DONE", TransactionUID=KEY)):
        assert status_of(scheduled(), information) == 0x0115


def test_changes_are_reported() -> None:
    change = scheduled().change_state(to("IN PROGRESS"))
    assert change.step.transaction_uid == KEY
    assert [event.type_id for event in change.events] == [EventType.STATE_REPORT]
    assert change.events[0].information.ProcedureStepState == "IN PROGRESS"
    stopped = change.step.set(applied(made(TransactionUID=KEY), STOPPED), now=LATER)
    assert [event.type_id for event in stopped.events] == [EventType.PROGRESS_REPORT]
    assert stopped.events[0].information == STOPPED
    (report,) = stopped.step.change_state(to("CANCELED")).events
    assert report.information.ReasonForCancellation == "no contrast"
    assert report.information.ProcedureStepDiscontinuationReasonCodeSequence == [code("WHY")]
    assert in_state(State.COMPLETED).change_state(to("COMPLETED")).events == ()


def test_a_final_state_asks_for_more() -> None:
    step = in_state(State.IN_PROGRESS)
    for state in ("COMPLETED", "CANCELED"):
        assert status_of(step, to(state)) == 0xC304
    with pytest.raises(Refused) as refused:
        step.change_state(to("COMPLETED"))
    assert refused.value.offending_element == (tag_of("UnifiedProcedureStepPerformedProcedureSequence"),)
    done = step.set(applied(made(TransactionUID=KEY), PERFORMED), now=LATER).step
    assert status_of(done, to("CANCELED")) == 0xC304
    assert done.change_state(to("COMPLETED")).step.state is State.COMPLETED


@pytest.mark.parametrize(
    "keyword",
    """PerformedStationNameCodeSequence PerformedProcedureStepStartDateTime PerformedWorkitemCodeSequence
    PerformedProcedureStepEndDateTime OutputInformationSequence""".split(),
)
def test_each_thing_that_completion_asks_for(keyword: str) -> None:
    step = applied(in_state(State.IN_PROGRESS).attributes, PERFORMED)
    check_final_state(step, State.COMPLETED)
    del step.UnifiedProcedureStepPerformedProcedureSequence[0][keyword]
    with pytest.raises(Refused) as refused:
        check_final_state(step, State.COMPLETED)
    assert (refused.value.status, refused.value.offending_element) == (0xC304, (tag_of(keyword),))


@pytest.mark.parametrize(
    "keyword", ["ProcedureStepCancellationDateTime", "ProcedureStepDiscontinuationReasonCodeSequence"]
)
def test_each_thing_that_cancellation_asks_for(keyword: str) -> None:
    step = applied(in_state(State.IN_PROGRESS).attributes, STOPPED)
    check_final_state(step, State.CANCELED)
    step.ScheduledProcedureStepPriority = ""
    del step.ProcedureStepProgressInformationSequence[0][keyword]
    with pytest.raises(Refused) as refused:
        check_final_state(step, State.CANCELED)
    assert refused.value.offending_element == (tag_of("ScheduledProcedureStepPriority"), tag_of(keyword))


def test_the_lock() -> None:
    change = made(ProcedureStepLabel="Other")
    keyed = made(ProcedureStepLabel="Other", TransactionUID=KEY)
    wrong = made(ProcedureStepLabel="Other", TransactionUID=OTHER_KEY)
    table = {
        State.SCHEDULED: (0, 0xC310, 0xC310),
        State.IN_PROGRESS: (0xC301, 0, 0xC301),
        State.COMPLETED: (0xC300, 0xC300, 0xC300),
        State.CANCELED: (0xC300, 0xC300, 0xC300),
    }
    for state, statuses in table.items():
        step = in_state(state)
        for modifications, status in zip((change, keyed, wrong), statuses, strict=True):
            if not status:
                after = step.set(modifications, now=LATER)
                assert (after.status, after.step.state) == (0, state)
                assert after.step.attributes.ProcedureStepLabel == "Other"
                assert after.step.attributes.ScheduledProcedureStepModificationDateTime == LATER
                assert after.step.transaction_uid == step.transaction_uid
                assert after.step.set(modifications, now=LATER).step == after.step
                continue
            with pytest.raises(Refused) as refused:
                step.set(modifications, now=LATER)
            assert refused.value.status == status


def test_an_empty_transaction_uid_is_none() -> None:
    step = scheduled()
    after = step.set(made(TransactionUID="", ProcedureStepLabel="Other"), now=LATER)
    assert (after.step.transaction_uid, "TransactionUID" in after.step.attributes) == ("", False)
    del step.attributes.TransactionUID
    assert step.set(made(ProcedureStepLabel="Other"), now=LATER).step.transaction_uid == ""


@pytest.mark.parametrize(
    ("modifications", "status"),
    [
        (made(ProcedureStepState="IN PROGRESS"), 0x0105),
        (made(PatientName="A"), 0x0105),
        (made(SOPInstanceUID="1.2"), 0x0105),
        (made(ReferencedRequestSequence=[]), 0x0105),
        (made(ProcedureStepLabel=""), 0x0121),
        (made(InputReadinessState=""), 0x0121),
        (made(InputReadinessState="PERHAPS"), 0x0106),
    ],
)
def test_what_may_not_be_set(modifications: Dataset, status: int) -> None:
    with pytest.raises(Refused) as refused:
        scheduled().set(modifications, now=LATER)
    assert refused.value.status == status


def events_of(change: Change) -> list[tuple[EventType, Dataset]]:
    return [(event.type_id, event.information) for event in change.events]


def test_what_is_reported_of_changed_attributes() -> None:
    step = scheduled(SpecificCharacterSet="ISO_IR 100")
    assert events_of(step.set(made(ProcedureStepLabel="Other"), now=LATER)) == []
    ((kind, report),) = events_of(step.set(made(InputReadinessState="UNAVAILABLE"), now=LATER))
    assert (kind, report.InputReadinessState) == (EventType.STATE_REPORT, "UNAVAILABLE")
    assert report.SpecificCharacterSet == "ISO_IR 100"
    assert events_of(step.set(made(ProcedureStepProgressInformationSequence=[]), now=LATER)) == []
    assert events_of(step.set(made(ScheduledStationNameCodeSequence=[]), now=LATER)) == []


def test_assignments_are_reported() -> None:
    station = made(ScheduledStationNameCodeSequence=[code("CT1")])
    performers = [
        made(HumanPerformerCodeSequence=[code(name)], HumanPerformerOrganization="Ward") for name in ("A", "B")
    ]
    step = scheduled(SpecificCharacterSet="ISO_IR 192")
    change = step.set(station, now=LATER)
    assert events_of(change) == [(EventType.ASSIGNED, applied(station, made(SpecificCharacterSet="ISO_IR 192")))]
    change = change.step.set(made(ScheduledHumanPerformersSequence=performers), now=LATER)
    assert [event.information.HumanPerformerCodeSequence[0].CodeValue for event in change.events] == ["A", "B"]
    assert all("ScheduledStationNameCodeSequence" not in event.information for event in change.events)
    both = scheduled().set(applied(station, made(ScheduledHumanPerformersSequence=performers[:1])), now=LATER)
    ((kind, told),) = events_of(both)
    assert kind is EventType.ASSIGNED
    assert told == applied(station, performers[0])
    assert both.step.set(made(ScheduledHumanPerformersSequence=[]), now=LATER).events == ()
    created = UnifiedProcedureStep.create(request(**{k.keyword: k.value for k in station}), "1.2.3", now=NOW)
    assert [event.type_id for event in created.events] == [EventType.STATE_REPORT, EventType.ASSIGNED]


def cancel(step: UnifiedProcedureStep, information: Dataset | None = None, **more: bool) -> Change:
    asked = Dataset() if information is None else information
    return step.request_cancel(asked, requesting_ae_title="WARD", now=LATER, transaction_uid=OUR_KEY, **more)


def test_a_scheduled_step_is_cancelled_on_request() -> None:
    step = scheduled()
    before = deepcopy(step)
    change = cancel(step)
    assert step == before
    assert (change.status, change.step.state, change.step.transaction_uid) == (0, State.CANCELED, OUR_KEY)
    assert [event.information.ProcedureStepState for event in change.events] == ["IN PROGRESS", "CANCELED"]
    check_final_state(change.step.attributes, State.CANCELED)
    reason = change.step.attributes.ProcedureStepProgressInformationSequence[0]
    assert reason.ProcedureStepDiscontinuationReasonCodeSequence[0].CodeValue == "110513"
    assert "ProcedureStepCommunicationsURISequence" not in reason


def test_who_asks_may_say_why() -> None:
    why = made(
        ReasonForCancellation="patient left",
        ProcedureStepDiscontinuationReasonCodeSequence=[code("LEFT")],
        ContactURI="tel:+1",
        ContactDisplayName="Ward",
    )
    change = cancel(scheduled(), why)
    progress = change.step.attributes.ProcedureStepProgressInformationSequence[0]
    assert progress.ReasonForCancellation == "patient left"
    assert progress.ProcedureStepDiscontinuationReasonCodeSequence == [code("LEFT")]
    assert progress.ProcedureStepCommunicationsURISequence == [made(ContactURI="tel:+1", ContactDisplayName="Ward")]
    assert change.events[1].information.ReasonForCancellation == "patient left"
    step = in_state(State.IN_PROGRESS)
    change = cancel(step, applied(why, made(PatientName="not told")))
    assert change.step is step
    assert events_of(change) == [(EventType.CANCEL_REQUESTED, applied(why, made(RequestingAE="WARD")))]


def test_other_answers_to_a_request_to_cancel() -> None:
    with pytest.raises(Refused) as refused:
        cancel(in_state(State.IN_PROGRESS), performer_in_reach=False)
    assert refused.value.status == 0xC312
    with pytest.raises(Refused) as refused:
        cancel(in_state(State.COMPLETED))
    assert refused.value.status == 0xC311
    change = cancel(in_state(State.CANCELED))
    assert (change.status, change.events) == (0xB304, ())


def test_nobody_reads_the_key() -> None:
    step = in_state(State.IN_PROGRESS)
    status, answer = step.get()
    assert status == 0
    assert "TransactionUID" not in answer
    answer.TransactionUID = KEY
    assert answer == step.attributes
    answer.ProcedureStepLabel = "changed"
    assert step.attributes.ProcedureStepLabel == "Contour"


def test_some_attributes() -> None:
    step = scheduled(SpecificCharacterSet="ISO_IR 192")
    label, progress = tag_of("ProcedureStepLabel"), tag_of("ProcedureStepProgressInformationSequence")
    assert step.get([label]) == (0, made(SpecificCharacterSet="ISO_IR 192", ProcedureStepLabel="Contour"))
    status, answer = step.get([label, progress])
    assert (status, len(answer)) == (1, 2)
    status, answer = in_state(State.IN_PROGRESS).get([tag_of("TransactionUID")])
    assert (status, len(answer)) == (1, 0)


def test_the_scp_tells_of_itself() -> None:
    assert scp_status_change(going_down=True).information == made(SCPStatus="GOING DOWN")
    event = scp_status_change(subscriptions_kept=False)
    assert event.type_id is EventType.SCP_STATUS_CHANGE
    assert event.information == made(
        SCPStatus="RESTARTED", SubscriptionListStatus="COLD START", UnifiedProcedureStepListStatus="WARM START"
    )
    event = scp_status_change(steps_kept=False)
    assert event.information.UnifiedProcedureStepListStatus == "COLD START"


VERBS = st.sampled_from(
    [
        *[("N-ACTION", to(state, key)) for state in (*State, "DONE") for key in ("", KEY, OTHER_KEY)],
        ("N-ACTION", Dataset()),
        *[("N-SET", applied(made(TransactionUID=key), change)) for key in ("", KEY) for change in (PERFORMED, STOPPED)],
        ("N-SET", made(ProcedureStepState="COMPLETED")),
        ("N-SET", made(InputReadinessState="UNAVAILABLE")),
        ("cancel", made(ReasonForCancellation="why")),
    ]
)
NEXT = {
    State.SCHEDULED: {State.SCHEDULED, State.IN_PROGRESS, State.CANCELED},
    State.IN_PROGRESS: {State.IN_PROGRESS, State.COMPLETED, State.CANCELED},
    State.COMPLETED: {State.COMPLETED},
    State.CANCELED: {State.CANCELED},
}


@settings(deadline=None)
@given(st.lists(VERBS, max_size=10))
def test_no_verbs_lead_out_of_the_standards_states(verbs: list[tuple[str, Dataset]]) -> None:
    step = scheduled()
    for verb, information in verbs:
        before = deepcopy(step)
        service = "N-SET" if verb == "N-SET" else "N-ACTION"
        try:
            if verb == "N-ACTION":
                change = step.change_state(information)
            elif verb == "N-SET":
                change = step.set(information, now=LATER)
            else:
                change = cancel(step, information)
        except Refused as refused:
            status, change = refused.status, Change(step)
        else:
            status = change.status
        assert meaning_of(status, ServiceClass.UNIFIED_PROCEDURE_STEP, service), hex(status)
        assert step == before
        after = change.step
        assert after.state in NEXT[step.state]
        assert bool(after.transaction_uid) == (after.state is not State.SCHEDULED)
        if step.state is not State.SCHEDULED:
            assert after.transaction_uid == step.transaction_uid
        if step.state.is_final:
            assert after == step
        elif after.state.is_final:
            check_final_state(after.attributes, after.state)
        if (after.state is not step.state) != any(e.type_id is EventType.STATE_REPORT for e in change.events):
            assert after.attributes.InputReadinessState != step.attributes.InputReadinessState
        assert "TransactionUID" not in after.get()[1]
        for event in change.events:
            assert "TransactionUID" not in event.information
            assert decode(encode(event.information, ELE), ELE) == event.information
        step = after
