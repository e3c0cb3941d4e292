"""DICOM networking as a pure protocol engine: bytes and time in, events and bytes out.

Everything here is the core: PS3.8, PS3.7 and the operations of PS3.4, without I/O, clock, thread or
chance. Conversations are in ``sansdimse.peer``, transports in ``sansdimse_socket`` and its siblings.
"""

from sansdimse.association import Association
from sansdimse.deviations import CATALOGUE, Code, Deviation, Refusal, Rule, Severity
from sansdimse.dimse.messages import Priority
from sansdimse.dimse.status import PENDING, SUCCESS, Status, StatusCategory
from sansdimse.errors import LocalProtocolError, ProtocolError, RemoteProtocolError
from sansdimse.events import (
    NEED_DATA,
    Aborted,
    AssociationAccepted,
    AssociationRejected,
    AssociationRequested,
    CancelRequested,
    DatasetReceived,
    EchoRequested,
    Ended,
    Event,
    FindRequested,
    GetRequested,
    IdleTooLong,
    MoveRequested,
    NeedData,
    NormalizedRequested,
    ReleaseCompleted,
    ReleaseRequested,
    ResponseReceived,
    SendingAllowed,
    StoreRequested,
    TimedOut,
    TransportClosed,
    UnservableRequested,
)
from sansdimse.limits import Limits
from sansdimse.outcome import Outcome, OutcomeKind, Side
from sansdimse.profile import DEFAULT, LENIENT, STRICT, Profile
from sansdimse.services import sop_classes
from sansdimse.services.normalized import NormalizedRequest, NormalizedSCP
from sansdimse.services.operation import Performed, Request, UnservableSCP
from sansdimse.services.query import FindRequest, FindSCP
from sansdimse.services.retrieve import GetRequest, GetSCP, MoveRequest, MoveSCP
from sansdimse.services.sop_classes import STORAGE
from sansdimse.services.storage import StoreRequest, StoreSCP
from sansdimse.services.suboperations import SubOperations
from sansdimse.services.verification import EchoSCP
from sansdimse.uids import (
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    EXPLICIT_VR_BIG_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    VERIFICATION,
)
from sansdimse.ul.agreement import Agreement, NegotiatedContext
from sansdimse.ul.explain import Explanation, explain, explain_pair
from sansdimse.ul.items import (
    AsynchronousOperationsWindow,
    CommonExtendedNegotiation,
    ExtendedNegotiation,
    RoleSelection,
    UserIdentityAC,
    UserIdentityRQ,
)
from sansdimse.ul.machine import UpperLayer
from sansdimse.ul.parties import Acceptor, PresentationContext, Requestor, WhenIdle
from sansdimse.ul.plan import Plan, plan, plan_get
from sansdimse.ul.table import State
from sansdimse.ul.timers import Timer

__version__ = "0.1.0"

__all__ = [
    "CATALOGUE",
    "DEFAULT",
    "DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN",
    "EXPLICIT_VR_BIG_ENDIAN",
    "EXPLICIT_VR_LITTLE_ENDIAN",
    "IMPLICIT_VR_LITTLE_ENDIAN",
    "LENIENT",
    "NEED_DATA",
    "PENDING",
    "STORAGE",
    "STRICT",
    "SUCCESS",
    "VERIFICATION",
    "Aborted",
    "Acceptor",
    "Agreement",
    "Association",
    "AssociationAccepted",
    "AssociationRejected",
    "AssociationRequested",
    "AsynchronousOperationsWindow",
    "CancelRequested",
    "Code",
    "CommonExtendedNegotiation",
    "DatasetReceived",
    "Deviation",
    "EchoRequested",
    "EchoSCP",
    "Ended",
    "Event",
    "Explanation",
    "ExtendedNegotiation",
    "FindRequest",
    "FindRequested",
    "FindSCP",
    "GetRequest",
    "GetRequested",
    "GetSCP",
    "IdleTooLong",
    "Limits",
    "LocalProtocolError",
    "MoveRequest",
    "MoveRequested",
    "MoveSCP",
    "NeedData",
    "NegotiatedContext",
    "NormalizedRequest",
    "NormalizedRequested",
    "NormalizedSCP",
    "Outcome",
    "OutcomeKind",
    "Performed",
    "Plan",
    "PresentationContext",
    "Priority",
    "Profile",
    "ProtocolError",
    "Refusal",
    "ReleaseCompleted",
    "ReleaseRequested",
    "RemoteProtocolError",
    "Request",
    "Requestor",
    "ResponseReceived",
    "RoleSelection",
    "Rule",
    "SendingAllowed",
    "Severity",
    "Side",
    "State",
    "Status",
    "StatusCategory",
    "StoreRequest",
    "StoreRequested",
    "StoreSCP",
    "SubOperations",
    "TimedOut",
    "Timer",
    "TransportClosed",
    "UnservableRequested",
    "UnservableSCP",
    "UpperLayer",
    "UserIdentityAC",
    "UserIdentityRQ",
    "WhenIdle",
    "__version__",
    "explain",
    "explain_pair",
    "plan",
    "plan_get",
    "sop_classes",
]
