"""Whether a request can be served at all, before any service sees it (PS3.7 9.1.1.1.9, Annex C)."""

from __future__ import annotations

from collections.abc import Container
from typing import TYPE_CHECKING, Final, NamedTuple

from sansdimse import uids
from sansdimse.deviations import Code, Deviation, escaped
from sansdimse.dimse.messages import CCancelRQ, CEchoRQ, CStoreRQ, UnknownCommand
from sansdimse.dimse.status import (
    DUPLICATE_INVOCATION,
    INVALID_SOP_INSTANCE,
    MISTYPED_ARGUMENT,
    SOP_CLASS_NOT_SUPPORTED,
    UNRECOGNIZED_OPERATION,
    Status,
)
from sansdimse.services.sop_classes import STANDARD, Fit

if TYPE_CHECKING:
    from sansdimse.dimse.command import Decoded
    from sansdimse.profile import Profile
    from sansdimse.ul.negotiation import NegotiatedContext

SERVED: Final[dict[type, str]] = {CEchoRQ: "C-ECHO", CStoreRQ: "C-STORE"}
"""The requests that the engine has operations for, with the service's name."""


class Unservable(NamedTuple):
    """Why a request cannot be served: the status to answer, and a sentence."""

    status: Status
    text: str


def unservable(
    context: NegotiatedContext, decoded: Decoded, profile: Profile, outstanding: Container[int]
) -> tuple[Unservable | None, list[Deviation]]:
    """Judge a request; None if it can be served. Also what it did otherwise than the standard says.

    In this order: an unknown command 0211, a message ID in use 0210, a role we do not have 0122, a SOP
    class foreign to the context 0122, a service that the SOP class does not have 0211, a mandatory element
    missing 0212, a UID that is none 0117.
    """
    message = decoded.message
    deviations: list[Deviation] = []
    service = SERVED.get(type(message))
    if isinstance(message, UnknownCommand):
        text = f"command field {message.command_field:04X} is none of the standard's"
        return Unservable(UNRECOGNIZED_OPERATION, text), deviations
    if service is None or isinstance(message, CCancelRQ):
        return Unservable(UNRECOGNIZED_OPERATION, f"{type(message).__name__} is not supported"), deviations
    message_id: int = message.message_id  # type: ignore[union-attr]
    if message_id in outstanding:
        deviations.append(Deviation(Code.MESSAGE_ID_REPEATED, str(message_id)))
        return Unservable(DUPLICATE_INVOCATION, f"message ID {message_id} is outstanding"), deviations
    if not context.as_scp:
        text = f"we are not the SCP of context {context.id} ({STANDARD.name_of(context.abstract_syntax)})"
        return Unservable(SOP_CLASS_NOT_SUPPORTED, text), deviations
    missing = set(decoded.missing)
    sop_class = message.sop_class_uid or ""
    if missing & {"affected_sop_class_uid", "requested_sop_class_uid"}:
        deviations.append(Deviation(Code.SOP_CLASS_MISSING, service))
        if not profile.refuses(Code.SOP_CLASS_MISSING):
            missing -= {"affected_sop_class_uid", "requested_sop_class_uid"}
            sop_class = context.abstract_syntax
    else:
        fit = STANDARD.fit(context.abstract_syntax, sop_class)
        if fit in (Fit.NEIGHBOUR, Fit.FOREIGN):
            deviation = Deviation(
                Code.SOP_CLASS_NOT_OF_CONTEXT, f"{escaped(sop_class)} on context {context.abstract_syntax}"
            )
            deviations.append(deviation)
            if fit is Fit.FOREIGN or profile.refuses(Code.SOP_CLASS_NOT_OF_CONTEXT):
                return Unservable(SOP_CLASS_NOT_SUPPORTED, str(deviation)), deviations
    if STANDARD.get(context.abstract_syntax) is not None and not STANDARD.serves(context.abstract_syntax, service):
        text = f"{service} is no service of {STANDARD.name_of(context.abstract_syntax)}"
        return Unservable(UNRECOGNIZED_OPERATION, text), deviations
    if service == "C-STORE" and not message.has_data_set:
        missing.add("data set")
    if missing:
        text = f"{service} lacks {', '.join(sorted(missing))}"
        return Unservable(MISTYPED_ARGUMENT, text), deviations
    instance = message.sop_instance_uid
    if instance is not None and not uids.is_valid(instance):
        deviations.append(Deviation(Code.UID_MALFORMED, escaped(instance)))
        if profile.refuses(Code.UID_MALFORMED) or not instance or len(instance) > 128:
            return Unservable(INVALID_SOP_INSTANCE, f"not a UID: {escaped(instance)}"), deviations
    return None, deviations
