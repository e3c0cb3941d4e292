"""Whether a request can be served at all, before any service sees it (PS3.7 9.1.1.1.9, Annex C)."""

from __future__ import annotations

from collections.abc import Container
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sansdimse import uids
from sansdimse.deviations import Code, Deviation, escaped
from sansdimse.dimse.messages import (
    CEchoRQ,
    CFindRQ,
    CGetRQ,
    CMoveRQ,
    CStoreRQ,
    DataSet,
    NActionRQ,
    NCreateRQ,
    NDeleteRQ,
    NEventReportRQ,
    NGetRQ,
    NSetRQ,
    UnknownCommand,
)
from sansdimse.dimse.status import (
    DUPLICATE_INVOCATION,
    INVALID_SOP_INSTANCE,
    MISTYPED_ARGUMENT,
    SOP_CLASS_NOT_SUPPORTED,
    UNRECOGNIZED_OPERATION,
    Status,
)
from sansdimse.services.sop_classes import STANDARD, Fit, SopClasses, invoked_by

if TYPE_CHECKING:
    from sansdimse.dimse.command import Decoded
    from sansdimse.profile import Profile
    from sansdimse.ul.negotiation import NegotiatedContext

SERVICES: Final[dict[type, str]] = {
    CEchoRQ: "C-ECHO",
    CStoreRQ: "C-STORE",
    CFindRQ: "C-FIND",
    CGetRQ: "C-GET",
    CMoveRQ: "C-MOVE",
    NEventReportRQ: "N-EVENT-REPORT",
    NGetRQ: "N-GET",
    NSetRQ: "N-SET",
    NActionRQ: "N-ACTION",
    NCreateRQ: "N-CREATE",
    NDeleteRQ: "N-DELETE",
}
"""The DIMSE services, by their requests (PS3.7 7.5)."""


_SOP_CLASS: Final = frozenset({"affected_sop_class_uid", "requested_sop_class_uid"})


class Unservable(NamedTuple):
    """Why a request cannot be served: the status to answer, and a sentence."""

    status: Status
    text: str


def unservable(
    context: NegotiatedContext,
    decoded: Decoded,
    profile: Profile,
    outstanding: Container[int],
    sop_classes: SopClasses = STANDARD,
) -> tuple[Unservable | None, list[Deviation]]:
    """Judge a request; None if it can be served. Also what it did otherwise than the standard says.

    In this order: an unknown command 0211, a message ID in use 0210, a role we do not have 0122, a SOP
    class foreign to the context 0122, a service that the SOP class does not have 0211, a mandatory element
    missing 0212, a UID that is none 0117.
    """
    message = decoded.message
    if isinstance(message, UnknownCommand):
        text = f"command field {message.command_field:04X} is none of the standard's"
        return Unservable(UNRECOGNIZED_OPERATION, text), []
    judge = _Judge(context, decoded, profile, SERVICES[type(message)], sop_classes)
    refused = (
        judge.message_id(outstanding)
        or judge.role()
        or judge.sop_class()
        or judge.service_of_class()
        or judge.elements()
        or judge.instance()
    )
    return refused, judge.deviations


class _Judge:
    """One request, rule by rule; each gives a refusal or None."""

    def __init__(
        self, context: NegotiatedContext, decoded: Decoded, profile: Profile, service: str, sop_classes: SopClasses
    ) -> None:
        self._context = context
        self._message: Any = decoded.message
        self._profile = profile
        self._service = service
        self._sop_classes = sop_classes
        self._missing = set(decoded.missing)
        self.deviations: list[Deviation] = []

    def message_id(self, outstanding: Container[int]) -> Unservable | None:
        number = self._message.message_id
        if number not in outstanding:
            return None
        self.deviations.append(Deviation(Code.MESSAGE_ID_REPEATED, str(number)))
        return Unservable(DUPLICATE_INVOCATION, f"message ID {number} is outstanding")

    def role(self) -> Unservable | None:
        """Who performs is the SCP; of an N-EVENT-REPORT, the SCU (PS3.7 10.1.1)."""
        context = self._context
        needed = "SCU" if invoked_by(self._service) == "SCP" else "SCP"
        if context.as_scu if needed == "SCU" else context.as_scp:
            return None
        if context.role_unanswered and self._service == "C-STORE":
            # Peers exist that answer a C-GET so: they do what we proposed, and forgot to say so.
            deviation = Deviation(Code.ROLE_UNANSWERED, context.abstract_syntax)
            self.deviations.append(deviation)
            if not self._profile.refuses(deviation.code):
                return None
        text = f"we are not the {needed} of context {context.id} ({self._sop_classes.name_of(context.abstract_syntax)})"
        return Unservable(SOP_CLASS_NOT_SUPPORTED, text)

    def sop_class(self) -> Unservable | None:
        """The context tells the SOP class if the command does not; else they have to fit (PS3.7 Annex C.5.6)."""
        unnamed = self._missing & _SOP_CLASS
        if unnamed:
            self.deviations.append(Deviation(Code.SOP_CLASS_MISSING, self._service))
            if not self._profile.refuses(Code.SOP_CLASS_MISSING):
                self._missing -= unnamed
            return None
        named, agreed = self._message.sop_class_uid, self._context.abstract_syntax
        fit = self._sop_classes.fit(agreed, named)
        if fit in (Fit.SAME, Fit.MEMBER):
            return None
        deviation = Deviation(Code.SOP_CLASS_NOT_OF_CONTEXT, f"{escaped(named)} on context {agreed}")
        self.deviations.append(deviation)
        if fit is Fit.NEIGHBOUR and not self._profile.refuses(deviation.code):
            return None
        return Unservable(SOP_CLASS_NOT_SUPPORTED, str(deviation))

    def service_of_class(self) -> Unservable | None:
        """A private SOP class has whatever services its user says; a Meta SOP class those of the one named."""
        uid = self._context.abstract_syntax
        named = self._message.sop_class_uid
        if self._sop_classes.is_meta(uid) and self._sop_classes.fit(uid, named) is Fit.MEMBER:
            uid = named
        if self._sop_classes.get(uid) is None or self._sop_classes.serves(uid, self._service):
            return None
        return Unservable(UNRECOGNIZED_OPERATION, f"{self._service} is no service of {self._sop_classes.name_of(uid)}")

    def elements(self) -> Unservable | None:
        if self._message.DATA_SET is DataSet.MANDATORY and not self._message.has_data_set:
            self._missing.add("data set")
        if not self._missing:
            return None
        return Unservable(MISTYPED_ARGUMENT, f"{self._service} lacks {', '.join(sorted(self._missing))}")

    def instance(self) -> Unservable | None:
        uid = self._message.sop_instance_uid
        if uid is None or uids.is_valid(uid):
            return None
        self.deviations.append(Deviation(Code.UID_MALFORMED, escaped(uid)))
        if uid and len(uid) <= uids.LONGEST and not self._profile.refuses(Code.UID_MALFORMED):
            return None
        return Unservable(INVALID_SOP_INSTANCE, f"not a UID: {escaped(uid)}")
