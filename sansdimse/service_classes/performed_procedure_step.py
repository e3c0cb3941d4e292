"""Modality Performed Procedure Step: what its SCP takes, and what its SCU sends (PS3.4 F.7, Table F.7.2-1).

A step is made IN PROGRESS by N-CREATE and changed by N-SET until it is COMPLETED or DISCONTINUED; then no more.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from sansdimse.dataset import Dataset
from sansdimse.dimse.status import PROCESSING_FAILURE
from sansdimse.service_classes.attributes import (
    applied,
    check_absent,
    check_each_item,
    check_types,
    check_value,
    copy_attributes,
    has_value,
    items_of,
    text_of,
    without_value,
    wrong_value,
)
from sansdimse.service_classes.refused import Refused

__all__ = [
    "COMPLETED",
    "DISCONTINUED",
    "IN_PROGRESS",
    "MAY_NO_LONGER_BE_UPDATED",
    "applied",
    "check_create",
    "check_set",
    "completed",
    "created",
    "discontinued",
    "event_type",
    "performed_series",
]

IN_PROGRESS: Final = "IN PROGRESS"
COMPLETED: Final = "COMPLETED"
DISCONTINUED: Final = "DISCONTINUED"

MAY_NO_LONGER_BE_UPDATED: Final = 0xA710
"""Error ID (0000,0903) of an N-SET on a finished step (PS3.4 Table F.7.2-2)."""

_TYPE_1: Final = """ScheduledStepAttributesSequence PerformedProcedureStepID PerformedStationAETitle
    PerformedProcedureStepStartDate PerformedProcedureStepStartTime PerformedProcedureStepStatus Modality""".split()
_TYPE_2: Final = """PatientName PatientID PatientBirthDate PatientSex ReferencedPatientSequence PerformedStationName
    PerformedLocation PerformedProcedureStepDescription PerformedProcedureTypeDescription ProcedureCodeSequence
    PerformedProcedureStepEndDate PerformedProcedureStepEndTime StudyID PerformedProtocolCodeSequence
    PerformedSeriesSequence""".split()
_SCHEDULED_STEP_TYPE_1: Final = ["StudyInstanceUID"]
_SCHEDULED_STEP_TYPE_2: Final = """ReferencedStudySequence AccessionNumber RequestedProcedureID
    RequestedProcedureDescription ScheduledProcedureStepID ScheduledProcedureStepDescription
    ScheduledProtocolCodeSequence""".split()
_SERIES_TYPE_1: Final = ["ProtocolName", "SeriesInstanceUID"]
_SERIES_TYPE_2: Final = """PerformingPhysicianName OperatorsName SeriesDescription RetrieveAETitle
    ReferencedImageSequence ReferencedNonImageCompositeSOPInstanceSequence""".split()

_NOT_SET_LATER: Final = """ScheduledStepAttributesSequence PatientName PatientID IssuerOfPatientID
    IssuerOfPatientIDQualifiersSequence PatientBirthDate PatientSex ReferencedPatientSequence AdmissionID
    IssuerOfAdmissionIDSequence ServiceEpisodeID IssuerOfServiceEpisodeIDSequence ServiceEpisodeDescription
    PerformedProcedureStepID PerformedStationAETitle PerformedStationName PerformedLocation
    PerformedProcedureStepStartDate PerformedProcedureStepStartTime Modality StudyID""".split()
_NEEDED_AT_THE_END: Final = [
    "PerformedProcedureStepEndDate",
    "PerformedProcedureStepEndTime",
    "PerformedSeriesSequence",
]


def check_create(attributes: Dataset, *, type_2: bool = True) -> None:
    """Raise Refused for the Attribute List of an N-CREATE that an SCP may not take (PS3.4 F.7.2.1.3).

    0106 for another status than IN PROGRESS, 0120 for a type 1 or 2 attribute that is not there, 0121 for one of type
    1 without a value. ``type_2=False`` forgives those of type 2 that are not there, as many modalities leave some out.
    """
    if has_value(attributes, "PerformedProcedureStepStatus") and _status_of(attributes) != IN_PROGRESS:
        raise wrong_value(attributes, "PerformedProcedureStepStatus")
    check_types(attributes, _TYPE_1, _TYPE_2 if type_2 else ())
    check_each_item(
        attributes,
        "ScheduledStepAttributesSequence",
        lambda item: check_types(item, _SCHEDULED_STEP_TYPE_1, _SCHEDULED_STEP_TYPE_2 if type_2 else ()),
    )
    check_each_item(
        attributes,
        "PerformedSeriesSequence",
        lambda item: check_types(item, _SERIES_TYPE_1, _SERIES_TYPE_2 if type_2 else ()),
    )


def check_set(current: Dataset, modifications: Dataset) -> None:
    """Raise Refused for the Modification List of an N-SET that an SCP may not take (PS3.4 F.7.2.2.3).

    ``current`` is the step as it is. 0110 with Error ID A710 when it is finished, 0105 for attributes that N-CREATE
    alone may give, 0106 for a status that is none, 0121 when the step would be finished without end date, end time
    and performed series.
    """
    if _status_of(current) != IN_PROGRESS:
        comment = "Performed Procedure Step Object may no longer be updated"  # the table's own words
        raise Refused(PROCESSING_FAILURE, comment, error_id=MAY_NO_LONGER_BE_UPDATED)
    check_absent(modifications, _NOT_SET_LATER)
    if "PerformedProcedureStepStatus" in modifications and not has_value(modifications, "PerformedProcedureStepStatus"):
        raise without_value(["PerformedProcedureStepStatus"])
    check_value(modifications, "PerformedProcedureStepStatus", (IN_PROGRESS, COMPLETED, DISCONTINUED))
    after = applied(current, modifications)
    if _status_of(after) == IN_PROGRESS:
        return
    missing = [keyword for keyword in _NEEDED_AT_THE_END if not has_value(after, keyword)]
    if missing:
        raise without_value(missing)
    for series in items_of(after, "PerformedSeriesSequence"):
        if not all(has_value(series, keyword) for keyword in _SERIES_TYPE_1):
            raise without_value(["PerformedSeriesSequence"])


def _status_of(step: Dataset) -> str:
    return text_of(step, "PerformedProcedureStepStatus")


def event_type(before: Dataset | None, after: Dataset | None) -> int:
    """The type of the N-EVENT-REPORT that tells of a change (PS3.4 F.9.2); None stands for no step.

    1 in progress, 2 completed, 3 discontinued, 4 updated, 5 deleted.
    """
    if after is None:
        return 5
    if before is not None and _status_of(before) == _status_of(after):
        return 4
    return {COMPLETED: 2, DISCONTINUED: 3}.get(_status_of(after), 1)


def created(
    scheduled: Dataset,
    *,
    step_id: str,
    station_ae_title: str,
    start_date: str,
    start_time: str,
    modality: str,
    study_instance_uid: str = "",
) -> Dataset:
    """The Attribute List of an N-CREATE for a step done as a worklist item says (PS3.4 F.7.2.1.2). For the SCU.

    ``scheduled`` is that item (PS3.4 K.6), or what is known of the patient and the order. The type 2 attributes
    are there without a value, as only what N-CREATE gave may be set later. Raises ValueError without a Study
    Instance UID: an unscheduled step needs a new one.
    """
    if not (study_instance_uid or text_of(scheduled, "StudyInstanceUID")):
        raise ValueError("the step needs a Study Instance UID")
    step = _with_empty(scheduled, ["SpecificCharacterSet", *_PATIENT, *_VISIT], _PATIENT)
    planned = next(iter(items_of(scheduled, "ScheduledProcedureStepSequence")), Dataset())
    request = _with_empty(scheduled, _FROM_THE_REQUEST, _FROM_THE_REQUEST)
    for element in _with_empty(planned, _FROM_THE_STEP, _FROM_THE_STEP):
        request[element.tag] = element
    if study_instance_uid:
        request.StudyInstanceUID = study_instance_uid
    else:
        copy_attributes(scheduled, ["StudyInstanceUID"], request)
    step.ScheduledStepAttributesSequence = [request]
    for keyword in [*_TYPE_2, "PerformedProcedureStepDiscontinuationReasonCodeSequence"]:
        if keyword not in step:
            setattr(step, keyword, None)
    step.PerformedProcedureStepStatus = IN_PROGRESS
    step.PerformedProcedureStepID = step_id
    step.PerformedStationAETitle = station_ae_title
    step.PerformedProcedureStepStartDate = start_date
    step.PerformedProcedureStepStartTime = start_time
    step.Modality = modality
    return step


_PATIENT: Final = "PatientName PatientID PatientBirthDate PatientSex ReferencedPatientSequence".split()
_VISIT: Final = """IssuerOfPatientID IssuerOfPatientIDQualifiersSequence AdmissionID IssuerOfAdmissionIDSequence
    ServiceEpisodeID IssuerOfServiceEpisodeIDSequence ServiceEpisodeDescription""".split()
_FROM_THE_REQUEST: Final = """ReferencedStudySequence AccessionNumber RequestedProcedureID
    RequestedProcedureDescription""".split()
_FROM_THE_STEP: Final = """ScheduledProcedureStepID ScheduledProcedureStepDescription
    ScheduledProtocolCodeSequence""".split()


def _with_empty(dataset: Dataset, wanted: Iterable[str], always: Iterable[str]) -> Dataset:
    part = Dataset()
    copy_attributes(dataset, wanted, part)
    for keyword in always:
        if keyword not in part:
            setattr(part, keyword, None)
    return part


def performed_series(
    series_instance_uid: str,
    protocol_name: str,
    *,
    images: Iterable[tuple[str, str]] = (),
    others: Iterable[tuple[str, str]] = (),
    retrieve_ae_title: str = "",
    description: str = "",
    operators_name: str = "",
    performing_physician_name: str = "",
) -> Dataset:
    """An item of Performed Series Sequence: a series, and its (SOP Class UID, SOP Instance UID), images and others."""
    series = Dataset()
    series.SeriesInstanceUID = series_instance_uid
    series.ProtocolName = protocol_name
    series.RetrieveAETitle = retrieve_ae_title
    series.SeriesDescription = description
    series.OperatorsName = operators_name
    series.PerformingPhysicianName = performing_physician_name
    series.ReferencedImageSequence = [_reference(*each) for each in images]
    series.ReferencedNonImageCompositeSOPInstanceSequence = [_reference(*each) for each in others]
    return series


def _reference(sop_class_uid: str, sop_instance_uid: str) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = sop_class_uid
    item.ReferencedSOPInstanceUID = sop_instance_uid
    return item


def completed(*, end_date: str, end_time: str, series: Iterable[Dataset]) -> Dataset:
    """The Modification List of the N-SET that completes a step. For the SCU.

    ``series`` as by ``performed_series``; at least one, although it may have no instances (PS3.4 Table F.7.2-1).
    Raises ValueError when there is none.
    """
    return _ended(COMPLETED, end_date, end_time, series)


def discontinued(*, end_date: str, end_time: str, series: Iterable[Dataset], reason: Dataset | None = None) -> Dataset:
    """The Modification List of the N-SET that discontinues a step; ``reason`` is a coded one (CID 9300).

    As ``completed`` for the rest: what is discontinued has a series too.
    """
    modifications = _ended(DISCONTINUED, end_date, end_time, series)
    if reason is not None:
        modifications.PerformedProcedureStepDiscontinuationReasonCodeSequence = [reason]
    return modifications


def _ended(status: str, end_date: str, end_time: str, series: Iterable[Dataset]) -> Dataset:
    modifications = Dataset()
    modifications.PerformedProcedureStepStatus = status
    modifications.PerformedProcedureStepEndDate = end_date
    modifications.PerformedProcedureStepEndTime = end_time
    modifications.PerformedSeriesSequence = list(series)
    if not modifications.PerformedSeriesSequence:
        raise ValueError("a step that ends has at least one series")
    return modifications
