"""Unified Procedure Step: its four states, the lock on it, and who is told of what (PS3.4 Annex CC). For the SCP.

A step is SCHEDULED, then IN PROGRESS, then COMPLETED or CANCELED. Whoever takes it IN PROGRESS gives a Transaction UID,
and only who knows that may change it from then on. ``UnifiedProcedureStep`` is a value: each request makes a
``Change`` of it, or raises ``Refused``. Times are DT values, given by the caller.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from copy import deepcopy
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Final

from sansdimse import uids
from sansdimse.dataset import Dataset, tag_of
from sansdimse.dimse.status import ATTRIBUTES_UNSUPPORTED, INVALID_ARGUMENT_VALUE, SUCCESS, Status
from sansdimse.service_classes.attributes import (
    applied,
    check_absent,
    check_types,
    check_value,
    copy_attributes,
    has_value,
    items_of,
    subset,
    text_of,
    without_value,
    wrong_value,
)
from sansdimse.service_classes.refused import Refused
from sansdimse.services.sop_classes import UNIFIED_PROCEDURE_STEP_PUSH

CREATED_WITH_MODIFICATIONS: Final = Status(0xB300)
ALREADY_CANCELED: Final = Status(0xB304)
ALREADY_COMPLETED: Final = Status(0xB306)
MAY_NO_LONGER_BE_UPDATED: Final = Status(0xC300)
WRONG_TRANSACTION_UID: Final = Status(0xC301)
ALREADY_IN_PROGRESS: Final = Status(0xC302)
ONLY_CREATION_SCHEDULES: Final = Status(0xC303)
FINAL_STATE_NOT_READY: Final = Status(0xC304)
NO_SUCH_STEP: Final = Status(0xC307)
NOT_SCHEDULED: Final = Status(0xC309)
NOT_IN_PROGRESS: Final = Status(0xC310)
CANNOT_CANCEL_COMPLETED: Final = Status(0xC311)
PERFORMER_OUT_OF_REACH: Final = Status(0xC312)
PERFORMER_WILL_NOT_CANCEL: Final = Status(0xC313)


class State(StrEnum):
    """Procedure Step State (0074,1000)."""

    SCHEDULED = "SCHEDULED"
    IN_PROGRESS = "IN PROGRESS"
    COMPLETED = "COMPLETED"
    CANCELED = "CANCELED"

    @property
    def is_final(self) -> bool:
        """Whether nothing changes any more."""
        return self in (State.COMPLETED, State.CANCELED)


class EventType(IntEnum):
    """Types of N-EVENT-REPORT (PS3.4 Table CC.2.4-1)."""

    STATE_REPORT = 1
    CANCEL_REQUESTED = 2
    PROGRESS_REPORT = 3
    SCP_STATUS_CHANGE = 4
    ASSIGNED = 5


@dataclass(frozen=True, slots=True)
class Event:
    """One N-EVENT-REPORT to all who are subscribed to the step; ``information`` is its Event Information."""

    type_id: EventType
    information: Dataset


@dataclass(frozen=True, slots=True)
class Change:
    """What a request makes of a step: what it is now, how to answer (success or warning), what to report, in order."""

    step: UnifiedProcedureStep
    status: Status = SUCCESS
    events: tuple[Event, ...] = ()


_TYPE_1: Final = """ProcedureStepState ScheduledProcedureStepPriority ProcedureStepLabel
    ScheduledProcedureStepStartDateTime InputReadinessState""".split()
_NEVER_EMPTY: Final = [*_TYPE_1[1:], "WorklistLabel"]
_NOT_SET_LATER: Final = """SOPClassUID SOPInstanceUID ProcedureStepState PatientName PatientID PatientBirthDate
    PatientSex OtherPatientIDsSequence AdmissionID IssuerOfAdmissionIDSequence AdmittingDiagnosesDescription
    AdmittingDiagnosesCodeSequence ReferencedRequestSequence ReplacedProcedureStepSequence""".split()
_VALUES: Final = {
    "ScheduledProcedureStepPriority": ("HIGH", "MEDIUM", "LOW"),
    "InputReadinessState": ("INCOMPLETE", "UNAVAILABLE", "READY"),
}

# Table CC.2.5-3, the Final State column: R, and what P and X ask for within the first item of two sequences.
_FINAL: Final = """SOPClassUID SOPInstanceUID ProcedureStepState ScheduledProcedureStepPriority
    ScheduledProcedureStepModificationDateTime ScheduledProcedureStepStartDateTime InputReadinessState""".split()
_PERFORMED: Final = "UnifiedProcedureStepPerformedProcedureSequence"
_PROGRESS: Final = "ProcedureStepProgressInformationSequence"
_FINAL_WITHIN: Final = {
    State.COMPLETED: (
        _PERFORMED,
        """PerformedStationNameCodeSequence PerformedProcedureStepStartDateTime PerformedWorkitemCodeSequence
        PerformedProcedureStepEndDateTime""".split(),
    ),
    State.CANCELED: (
        _PROGRESS,
        ["ProcedureStepCancellationDateTime", "ProcedureStepDiscontinuationReasonCodeSequence"],
    ),
}
_REASON: Final = ("ReasonForCancellation", "ProcedureStepDiscontinuationReasonCodeSequence")
_CONTACT: Final = ("ContactURI", "ContactDisplayName")


@dataclass(frozen=True, slots=True)
class UnifiedProcedureStep:
    """A step as its SCP keeps it: all its attributes, the Transaction UID among them once it is IN PROGRESS."""

    attributes: Dataset

    @classmethod
    def create(cls, attributes: Dataset, sop_instance_uid: str, *, now: str, worklist_label: str = "") -> Change:
        """N-CREATE (PS3.4 CC.2.5.3). ``worklist_label`` is for a request without one, which is then answered B300.

        Raises Refused: C309 for another state than SCHEDULED, 0120 and 0121 for type 1 attributes, 0106 for a
        Transaction UID or other values that may not be. That the UID is new (0111) is the caller's to check.
        """
        if has_value(attributes, "ProcedureStepState") and text_of(attributes, "ProcedureStepState") != State.SCHEDULED:
            raise _refused(NOT_SCHEDULED, "the state is not SCHEDULED", ["ProcedureStepState"])
        check_types(attributes, _TYPE_1)
        if has_value(attributes, "TransactionUID"):
            raise wrong_value(attributes, "TransactionUID")
        _check_values(attributes)
        step = deepcopy(attributes)
        step.SOPClassUID = UNIFIED_PROCEDURE_STEP_PUSH
        step.SOPInstanceUID = sop_instance_uid
        step.ScheduledProcedureStepModificationDateTime = now
        labelled = bool(worklist_label) and not has_value(step, "WorklistLabel")
        if labelled:
            step.WorklistLabel = worklist_label
        return Change(cls(step), CREATED_WITH_MODIFICATIONS if labelled else SUCCESS, tuple(_events(None, step)))

    @property
    def state(self) -> State:
        """Its state. Raises ValueError where the data set was none that ``create`` made."""
        return State(text_of(self.attributes, "ProcedureStepState"))

    @property
    def transaction_uid(self) -> str:
        """The key to the lock; "" while it is SCHEDULED."""
        return uids.normal(text_of(self.attributes, "TransactionUID"))

    def get(self, tags: Collection[int] = ()) -> tuple[Status, Dataset]:
        """N-GET (PS3.4 CC.2.7.3): these attributes, or all, and never the Transaction UID.

        The status is the warning 0001 when attributes were asked for that are not there.
        """
        secret = tag_of("TransactionUID")
        answer = Dataset()
        for element in self.attributes:
            asked = not tags or element.tag in tags or element.keyword == "SpecificCharacterSet"
            if asked and element.tag != secret:
                answer[element.tag] = deepcopy(element)
        complete = all(tag in answer for tag in tags)
        return SUCCESS if complete else ATTRIBUTES_UNSUPPORTED, answer

    def set(self, modifications: Dataset, *, now: str) -> Change:
        """N-SET (PS3.4 CC.2.6.3).

        Raises Refused: C300 when the step is COMPLETED or CANCELED, C301 when it is IN PROGRESS and the Transaction
        UID is not its own, C310 when it is SCHEDULED and one is given, 0105 for attributes that may not be set, 0121
        for those that may not be emptied, 0106 for values that may not be.
        """
        given = uids.normal(text_of(modifications, "TransactionUID"))
        if self.state.is_final:
            raise _refused(MAY_NO_LONGER_BE_UPDATED, f"the step is {self.state}")
        if self.state is State.SCHEDULED and given:
            raise _refused(NOT_IN_PROGRESS, "the step is not IN PROGRESS", ["TransactionUID"])
        if self.state is State.IN_PROGRESS and given != self.transaction_uid:
            raise _wrong_transaction_uid()
        check_absent(modifications, _NOT_SET_LATER)
        empty = [
            keyword for keyword in _NEVER_EMPTY if keyword in modifications and not has_value(modifications, keyword)
        ]
        if empty:
            raise without_value(empty)
        _check_values(modifications)
        after = applied(self.attributes, modifications)
        if not given and "TransactionUID" in after:
            del after.TransactionUID
        after.ScheduledProcedureStepModificationDateTime = now
        return Change(UnifiedProcedureStep(after), events=tuple(_events(self.attributes, after)))

    def change_state(self, information: Dataset) -> Change:
        """N-ACTION type 1, Change UPS State (PS3.4 CC.2.1.3, Table CC.1.1-2).

        The answer is the warning B304 or B306 where the step is CANCELED or COMPLETED already. Raises Refused: 0115 for
        a state that is none, C303 for SCHEDULED, C301 for a missing or wrong Transaction UID, C302, C310 and C300
        for a step that is IN PROGRESS already, not yet, or no longer, C304 for one that its final state asks more of.
        """
        text = text_of(information, "ProcedureStepState")
        if text not in tuple(State):
            invalid = subset(information, ["ProcedureStepState"])
            raise Refused(INVALID_ARGUMENT_VALUE, "no such Procedure Step State", attribute_list=invalid)
        target = State(text)
        if target is State.SCHEDULED:
            raise _refused(ONLY_CREATION_SCHEDULES, "only N-CREATE makes a step SCHEDULED", ["ProcedureStepState"])
        given = uids.normal(text_of(information, "TransactionUID"))
        if not given or (self.state is not State.SCHEDULED and given != self.transaction_uid):
            raise _wrong_transaction_uid()
        if target is State.IN_PROGRESS:
            if self.state is State.IN_PROGRESS:
                raise _refused(ALREADY_IN_PROGRESS, "the step is IN PROGRESS already")
        elif self.state is State.SCHEDULED:
            raise _refused(NOT_IN_PROGRESS, "the step is not IN PROGRESS yet")
        elif self.state is target:
            return Change(self, ALREADY_COMPLETED if target is State.COMPLETED else ALREADY_CANCELED)
        if self.state.is_final:
            raise _refused(MAY_NO_LONGER_BE_UPDATED, f"the step is {self.state}")
        if target.is_final:
            check_final_state(self.attributes, target)
        after = _in_state(self.attributes, target)
        copy_attributes(information, ["TransactionUID"], after)
        return Change(UnifiedProcedureStep(after), events=tuple(_events(self.attributes, after)))

    def request_cancel(
        self,
        information: Dataset,
        *,
        requesting_ae_title: str,
        now: str,
        transaction_uid: str,
        performer_in_reach: bool = True,
    ) -> Change:
        """N-ACTION type 2, Request UPS Cancel (PS3.4 CC.2.2.3).

        A SCHEDULED step is cancelled here, by way of IN PROGRESS under ``transaction_uid``, which is new and stays
        ours. For one IN PROGRESS the performer is told, and may do as it likes: C312 is raised where it cannot be
        (nobody subscribed); who performs the step oneself and will not cancel it raises C313. The answer is the
        warning B304 for a CANCELED one. Raises Refused with C311 for a COMPLETED one.
        """
        if self.state is State.COMPLETED:
            raise _refused(CANNOT_CANCEL_COMPLETED, "the step is COMPLETED")
        if self.state is State.CANCELED:
            return Change(self, ALREADY_CANCELED)
        if self.state is State.IN_PROGRESS:
            if not performer_in_reach:
                raise _refused(PERFORMER_OUT_OF_REACH, "the performer cannot be contacted")
            told = subset(information, (*_REASON, *_CONTACT))
            told.RequestingAE = requesting_ae_title
            return Change(self, events=(Event(EventType.CANCEL_REQUESTED, told),))
        started = _in_state(self.attributes, State.IN_PROGRESS)
        started.TransactionUID = transaction_uid
        ended = _in_state(started, State.CANCELED)
        ended.ProcedureStepProgressInformationSequence = [_cancelled(started, information, now)]
        events = (*_events(self.attributes, started), *_events(started, ended))
        return Change(UnifiedProcedureStep(ended), events=events)


def check_final_state(attributes: Dataset, target: State) -> None:
    """Raise Refused (C304) where a step lacks what COMPLETED or CANCELED asks for (PS3.4 CC.2.5.1.1).

    Not checked is what is asked under a condition that the data set does not tell (who performed it).
    """
    missing = [keyword for keyword in _FINAL if not has_value(attributes, keyword)]
    sequence, keywords = _FINAL_WITHIN[target]
    item = next(iter(items_of(attributes, sequence)), None)
    if item is None:
        missing.append(sequence)
    else:
        missing += [keyword for keyword in keywords if not has_value(item, keyword)]
        # What a step gave may be nothing: then the sequence is there and empty.
        if target is State.COMPLETED and "OutputInformationSequence" not in item:
            missing.append("OutputInformationSequence")
    if missing:
        raise _refused(FINAL_STATE_NOT_READY, "missing: " + ", ".join(missing), missing)


def scp_status_change(*, going_down: bool = False, subscriptions_kept: bool = True, steps_kept: bool = True) -> Event:
    """The event that tells all subscribers that the SCP goes down, or was started again and what it kept."""
    information = Dataset()
    information.SCPStatus = "GOING DOWN" if going_down else "RESTARTED"
    if not going_down:
        information.SubscriptionListStatus = "WARM START" if subscriptions_kept else "COLD START"
        information.UnifiedProcedureStepListStatus = "WARM START" if steps_kept else "COLD START"
    return Event(EventType.SCP_STATUS_CHANGE, information)


def _refused(status: Status, comment: str, keywords: Collection[str] = ()) -> Refused:
    return Refused(status, comment[:64], offending_element=tuple(tag_of(keyword) for keyword in keywords))


def _wrong_transaction_uid() -> Refused:
    return _refused(WRONG_TRANSACTION_UID, "the Transaction UID is missing or wrong", ["TransactionUID"])


def _check_values(attributes: Dataset) -> None:
    for keyword, allowed in _VALUES.items():
        check_value(attributes, keyword, allowed)


def _in_state(attributes: Dataset, state: State) -> Dataset:
    after = deepcopy(attributes)
    after.ProcedureStepState = str(state)
    return after


def _cancelled(attributes: Dataset, information: Dataset, now: str) -> Dataset:
    """The item of Progress Information of a step cancelled on request."""
    item = deepcopy(next(iter(items_of(attributes, _PROGRESS)), Dataset()))
    item = applied(item, subset(information, _REASON))
    item.ProcedureStepCancellationDateTime = now
    if not has_value(item, "ProcedureStepDiscontinuationReasonCodeSequence"):
        item.ProcedureStepDiscontinuationReasonCodeSequence = [_unspecified_reason()]
    contact = subset(information, _CONTACT)
    if len(contact):
        item.ProcedureStepCommunicationsURISequence = [
            *items_of(item, "ProcedureStepCommunicationsURISequence"),
            contact,
        ]
    return item


def _unspecified_reason() -> Dataset:
    code = Dataset()  # of CID 9300
    code.CodeValue = "110513"
    code.CodingSchemeDesignator = "DCM"
    code.CodeMeaning = "Discontinued for unspecified reason"
    return code


def _events(before: Dataset | None, after: Dataset) -> Iterator[Event]:
    """What follows from a change (PS3.4 CC.2.4.3); ``before`` is None for a new step."""

    def changed(keyword: str) -> bool:
        return before is None or before.get(keyword) != after.get(keyword)

    state_changed = changed("ProcedureStepState")
    if state_changed or changed("InputReadinessState"):
        yield Event(EventType.STATE_REPORT, _state_report(after))
    if not state_changed and changed(_PROGRESS) and has_value(after, _PROGRESS):
        yield Event(EventType.PROGRESS_REPORT, subset(after, [_PROGRESS]))
    station, performers = "ScheduledStationNameCodeSequence", "ScheduledHumanPerformersSequence"
    stations = subset(after, [station]) if changed(station) and has_value(after, station) else Dataset()
    assigned = items_of(after, performers) if changed(performers) else []
    for performer in assigned:
        told = applied(stations, subset(performer, ["HumanPerformerCodeSequence", "HumanPerformerOrganization"]))
        copy_attributes(after, ["SpecificCharacterSet"], told)
        yield Event(EventType.ASSIGNED, told)
    if len(stations) and not assigned:
        yield Event(EventType.ASSIGNED, stations)


def _state_report(attributes: Dataset) -> Dataset:
    report = subset(attributes, ["ProcedureStepState", "InputReadinessState"])
    if text_of(attributes, "ProcedureStepState") == State.CANCELED:
        for progress in items_of(attributes, _PROGRESS)[:1]:
            report = applied(report, subset(progress, _REASON))
    return report
