"""What the numbers of actions and events mean: Action Type ID (0000,1008) and Event Type ID (0000,1002).

PS3.4 gives them for each SOP class in its annex (F, H, J, P, S, CC, DD, KK). Numbers mean nothing by themselves:
1 is Print to a film box and Initiate Media Creation to another SOP class.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from sansdimse import uids
from sansdimse.services import sop_classes as of
from sansdimse.services.sop_classes import STANDARD

_Types = Mapping[str, Mapping[int, str]]


def _numbered(first: int, *names: str) -> Mapping[int, str]:
    return MappingProxyType(dict(enumerate(names, first)))


_PRINT: Final = _numbered(1, "Print")
_VERIFY: Final = _numbered(1, "Request Beam Verification")
_VERIFIED: Final = _numbered(1, "Pending", "Done")

_ACTIONS: Final[_Types] = {
    of.STORAGE_COMMITMENT_PUSH_MODEL: _numbered(1, "Request Storage Commitment"),
    of.PROCEDURAL_EVENT_LOGGING: _numbered(1, "Record Procedural Event"),
    of.SUBSTANCE_ADMINISTRATION_LOGGING: _numbered(1, "Record Substance Administration Event"),
    of.BASIC_FILM_SESSION: _PRINT,
    of.BASIC_FILM_BOX: _PRINT,
    of.MEDIA_CREATION_MANAGEMENT: _numbered(1, "Initiate Media Creation", "Cancel Media Creation"),
    of.UNIFIED_PROCEDURE_STEP_PULL: _numbered(1, "Change UPS State"),
    of.UNIFIED_PROCEDURE_STEP_PUSH: _numbered(2, "Request UPS Cancel"),
    of.UNIFIED_PROCEDURE_STEP_WATCH: _numbered(
        2,
        "Request UPS Cancel",
        "Subscribe to Receive UPS Event Reports",
        "Unsubscribe from Receiving UPS Event Reports",
        "Suspend Global Subscription",
    ),
    of.RT_CONVENTIONAL_MACHINE_VERIFICATION: _VERIFY,
    of.RT_ION_MACHINE_VERIFICATION: _VERIFY,
    of.INVENTORY_CREATION: _numbered(11, "Initiate", "Request Status", "Cancel", "Pause", "Resume"),
}

_EVENTS: Final[_Types] = {
    of.STORAGE_COMMITMENT_PUSH_MODEL: _numbered(1, "Request Successful", "Request Complete, Failures Exist"),
    of.MODALITY_PERFORMED_PROCEDURE_STEP_NOTIFICATION: _numbered(
        1,
        "Performed Procedure Step In Progress",
        "Performed Procedure Step Completed",
        "Performed Procedure Step Discontinued",
        "Performed Procedure Step Updated",
        "Performed Procedure Step Deleted",
    ),
    of.PRINT_JOB: _numbered(1, "Pending", "Printing", "Done", "Failure"),
    of.PRINTER: _numbered(1, "Normal", "Warning", "Failure"),
    of.UNIFIED_PROCEDURE_STEP_EVENT: _numbered(
        1, "UPS State Report", "UPS Cancel Requested", "UPS Progress Report", "SCP Status Change", "UPS Assigned"
    ),
    of.RT_CONVENTIONAL_MACHINE_VERIFICATION: _VERIFIED,
    of.RT_ION_MACHINE_VERIFICATION: _VERIFIED,
    of.INVENTORY_CREATION: _numbered(
        11, "Inventory Terminated with Instances", "Inventory Status", "Inventory Terminated without Instances"
    ),
}

_INSTANCES: Final[Mapping[str, tuple[str, ...]]] = {
    of.STORAGE_COMMITMENT_PUSH_MODEL: (uids.STORAGE_COMMITMENT_PUSH_MODEL_INSTANCE,),
    of.PROCEDURAL_EVENT_LOGGING: (uids.PROCEDURAL_EVENT_LOGGING_INSTANCE,),
    of.SUBSTANCE_ADMINISTRATION_LOGGING: (uids.SUBSTANCE_ADMINISTRATION_LOGGING_INSTANCE,),
    of.PRINTER: (uids.PRINTER_INSTANCE,),
    of.PRINTER_CONFIGURATION_RETRIEVAL: (uids.PRINTER_CONFIGURATION_RETRIEVAL_INSTANCE,),
    of.DISPLAY_SYSTEM: (uids.DISPLAY_SYSTEM_INSTANCE,),
    of.INVENTORY_CREATION: (uids.STORAGE_MANAGEMENT_INSTANCE,),
    of.UNIFIED_PROCEDURE_STEP_WATCH: (
        uids.UPS_GLOBAL_SUBSCRIPTION_INSTANCE,
        uids.UPS_FILTERED_GLOBAL_SUBSCRIPTION_INSTANCE,
    ),
}


def action_types(sop_class_uid: str) -> Mapping[int, str]:
    """The actions of exactly this SOP class: names by Action Type ID; empty if it has none, or is not known."""
    return _ACTIONS.get(sop_class_uid, MappingProxyType({}))


def event_types(sop_class_uid: str) -> Mapping[int, str]:
    """The events of exactly this SOP class: names by Event Type ID; empty if it has none, or is not known."""
    return _EVENTS.get(sop_class_uid, MappingProxyType({}))


def action_name(sop_class_uid: str, action_type_id: int) -> str | None:
    """The name of an action, by the SOP class that a command names or that of its context; None if unknown."""
    found = (action_types(uid).get(action_type_id) for uid in STANDARD.stands_for(sop_class_uid))
    return next((name for name in found if name is not None), None)


def event_name(sop_class_uid: str, event_type_id: int) -> str | None:
    """The name of an event, by the SOP class that a command names or that of its context; None if unknown."""
    found = (event_types(uid).get(event_type_id) for uid in STANDARD.stands_for(sop_class_uid))
    return next((name for name in found if name is not None), None)


def well_known_instances(sop_class_uid: str) -> tuple[str, ...]:
    """The SOP instances that the N-services of this SOP class name because there are no others (PS3.6 A-1)."""
    return _INSTANCES.get(sop_class_uid, ())
