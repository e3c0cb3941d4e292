"""Operations in progress: what may be said next in each, by us and by the peer (PS3.7 7.5, 9.1).

Two families. ``Request`` is ours: we invoked it and wait for responses. ``Performed`` is theirs: they
invoked it and wait for ours. A handle is plain fields, filled by the association; its methods are the
verbs that this kind of operation has, so that wrong code does not type-check. Handles know the
association through two small protocols.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

from sansdimse import uids
from sansdimse.dimse.messages import (
    NO_DATA_SET,
    CEchoRQ,
    CEchoRSP,
    CFindRQ,
    CFindRSP,
    CGetRQ,
    CGetRSP,
    CMoveRQ,
    CMoveRSP,
    CStoreRQ,
    CStoreRSP,
    DataSet,
    Element,
    NActionRQ,
    NActionRSP,
    NCreateRQ,
    NCreateRSP,
    NDeleteRQ,
    NDeleteRSP,
    NEventReportRQ,
    NEventReportRSP,
    NGetRQ,
    NGetRSP,
    NSetRQ,
    NSetRSP,
    Response,
    UnknownCommand,
)
from sansdimse.dimse.status import Status
from sansdimse.errors import LocalProtocolError

if TYPE_CHECKING:
    from sansdimse.dimse import messages
    from sansdimse.dimse.command import Decoded
    from sansdimse.ul.negotiation import NegotiatedContext

RESPONSE_TO: dict[type, type[Response]] = {
    CEchoRQ: CEchoRSP,
    CStoreRQ: CStoreRSP,
    CFindRQ: CFindRSP,
    CGetRQ: CGetRSP,
    CMoveRQ: CMoveRSP,
    NEventReportRQ: NEventReportRSP,
    NGetRQ: NGetRSP,
    NSetRQ: NSetRSP,
    NActionRQ: NActionRSP,
    NCreateRQ: NCreateRSP,
    NDeleteRQ: NDeleteRSP,
}
"""Which response answers which request (PS3.7 Table E.1-1: the command field with the highest bit set)."""

MOST_OVER: Final = 4096
"""Most operations that are over and kept for whoever asks which: more than one read of 256 KiB can end."""

CANCELLABLE = (CFindRQ, CGetRQ, CMoveRQ)
"""The requests for which C-CANCEL exists (PS3.7 9.3.2.3, 9.3.3.3, 9.3.4.3)."""


class Invoking(Protocol):
    """What the handle of a request of ours needs of the association."""

    def cancel(self, operation: Request) -> None:
        """Queue a C-CANCEL."""
        ...

    def abandon(self, operation: Request, deadline: float | None) -> None:
        """Give up a request."""
        ...


class Performing(Protocol):
    """What the handle of a request of the peer needs of the association."""

    def send_response(
        self, operation: Performed, response: Response | UnknownCommand, data_set: bytes | None = None
    ) -> None:
        """Queue the final response."""
        ...

    def send_pending(self, operation: Performed, response: Response, data_set: bytes | None = None) -> None:
        """Queue a response that others follow."""
        ...

    def pause(self, operation: Performed) -> None:
        """Our user takes no more of its data set for now."""
        ...

    def resume(self, operation: Performed) -> None:
        """Our user takes more of it again."""
        ...

    @property
    def has_room(self) -> bool:
        """Whether so little is unsent that a response that others follow may be queued."""
        ...

    @property
    def may_respond(self) -> bool:
        """Whether the state lets responses go out."""
        ...


class Request:
    """A request of ours that is outstanding (PS3.7 7.5.1)."""

    def __init__(self, invoker: Invoking, context: NegotiatedContext, request: messages.Request) -> None:
        self._invoker = invoker
        self.context = context
        """The presentation context it was sent on."""
        self.request = request
        """The command set sent."""
        self.sent = False
        """Whether it has left the queue for the wire, its data set included."""
        self.response: Response | None = None
        """The final response, once it came."""
        self.responses = 0
        """How many responses came, Pending ones included."""
        self.cancelled = False
        """Whether a C-CANCEL was sent."""
        self.abandoned = False
        """Whether nobody waits any more: responses are counted and dropped."""
        self.over = False
        """Whether nothing more will come: message ID and window slot are free."""

    @property
    def message_id(self) -> int:
        """The Message ID (0000,0110)."""
        return self.request.message_id

    @property
    def status(self) -> Status | None:
        """The status of the final response; None while there is none."""
        return None if self.response is None else Status(self.response.status)

    @property
    def was_invoked(self) -> bool:
        """Whether the peer can know of it: its command set has left the queue."""
        return self.sent

    def expects_data_set(self, status: Status) -> bool | None:
        """Whether a response with this status has a data set; None if it may or may not."""
        return None

    def cancel(self) -> None:
        """Ask the peer to stop: C-CANCEL (PS3.7 9.3.2.3). The final response still comes.

        Once is enough: to ask again does nothing. Raises ``LocalProtocolError`` if the service has no C-CANCEL
        or the request is over.
        """
        self._invoker.cancel(self)

    def abandon(self, deadline: float | None = None) -> None:
        """Give up without waiting: C-CANCEL where it exists, then whatever comes is counted and dropped.

        ``deadline`` is how many seconds the final response may take before the association is aborted
        (default: ``Limits.cancel_drain``). A data set that was begun and not ended aborts at once, since
        the standard has no way to end it (PS3.7 9.3.1.3). Of a request that is over, nothing is left to do.
        """
        self._invoker.abandon(self, deadline)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.request.message_id} on context {self.context.id}, {self._condition()}>"

    def _condition(self) -> str:
        if self.over:
            return "over" if self.response is None else f"answered {Status(self.response.status)}"
        if self.abandoned:
            return "abandoned"
        return "sent" if self.sent else "queued"


class Performed:
    """A request of the peer that we are to answer (PS3.7 7.5.1)."""

    def __init__(self, performer: Performing, context: NegotiatedContext, decoded: Decoded) -> None:
        self._performer = performer
        self.context = context
        """The presentation context it came on, and its answers go out on."""
        self.request: messages.Request | UnknownCommand = decoded.message  # type: ignore[assignment]
        """The command set received."""
        self.message_id: int = decoded.message.message_id or 0  # type: ignore[union-attr]
        """The peer's Message ID."""
        self.sop_class_uid = _echo(decoded.raw_sop_class_uid) or context.abstract_syntax
        """As it came, padding included: what a response echoes (PS3.7 9.1.1.1.4)."""
        self.sop_instance_uid = _echo(decoded.raw_sop_instance_uid)
        """The same of the instance."""
        self.data_complete = not (decoded.message.has_data_set and may_have_data_set(decoded.message))
        """Whether its data set, if it has one, has arrived."""
        self.responded = False
        """Whether the final response was given."""
        self.answered: Status | None = None
        """The status of the final response; None while there is none."""
        self.responses = 0
        """How many responses were given, Pending ones included."""
        self.cancelled = False
        """Whether the peer sent C-CANCEL for it."""
        self.held = False
        """Whether it is beyond the window negotiated and not told yet."""
        self.over = False
        """Whether nothing more may be said: answered and complete, or the association ended."""

    @property
    def may_respond(self) -> bool:
        """Whether it can be answered: not answered, and we have neither asked for the release nor ended."""
        return not (self.responded or self.over or self.held) and self._performer.may_respond

    def _check_open(self) -> None:
        if self.responded:
            raise LocalProtocolError(f"request {self.message_id} was answered already")
        if self.over:
            raise LocalProtocolError(f"request {self.message_id} is over: its association ended")
        if self.held:
            raise LocalProtocolError(f"request {self.message_id} is beyond the window negotiated, and not told yet")

    def _final(self, status: int) -> Status:
        """The status, if it is one that ends the operation."""
        final = Status(status)
        if not final.is_final:
            raise LocalProtocolError(f"request {self.message_id} has one response, and {final} is none")
        return final

    def __repr__(self) -> str:
        condition = "over" if self.over else "answered" if self.responded else "unanswered"
        return f"<{type(self).__name__} {self.message_id} on context {self.context.id}, {condition}>"


def encoded(identifier: bytes | bytearray | memoryview) -> bytes:
    """An encoded data set as bytes that nobody changes any more.

    Raises ``LocalProtocolError`` if it is empty or of odd length (PS3.5 7.1.1: every data set is even).
    """
    data_set = identifier if type(identifier) is bytes else memoryview(identifier).tobytes()
    if not data_set or len(data_set) % 2:
        raise LocalProtocolError(f"an identifier of {len(data_set)} bytes is no encoded data set")
    return data_set


def _echo(uid: str | None) -> str | None:
    """What a response repeats of a UID: nothing of what is far too long to be one."""
    return uid if uid and len(uid) <= uids.LONGEST else None


def may_have_data_set(message: messages.Message | UnknownCommand) -> bool:
    """Whether to wait for the data set announced: one that the standard forbids need not come."""
    return isinstance(message, UnknownCommand) or message.DATA_SET is not DataSet.FORBIDDEN


class UnservableSCP(Performed):
    """A request that nobody can serve."""

    def __init__(self, performer: Performing, context: NegotiatedContext, decoded: Decoded, status: Status) -> None:
        super().__init__(performer, context, decoded)
        self.status = status
        """The status proposed: 0211, 0122, 0210, 0117 or 0212 (PS3.7 Annex C)."""

    def respond(self, status: int | None = None) -> None:
        """Answer with the status proposed, or another.

        Raises ``LocalProtocolError`` if it was answered or the association ended.
        """
        self._check_open()
        status = self.status if status is None else self._final(status)
        if isinstance(self.request, UnknownCommand):
            self._performer.send_response(self, _response_to_unknown(self.request, self.message_id, status))
            self.answered = status
            return
        kind = RESPONSE_TO[type(self.request)]
        repeated: dict[str, Any] = {"affected_sop_class_uid": self.sop_class_uid}
        if hasattr(kind, "affected_sop_instance_uid"):  # some senders want it back (PS3.7 9.3.1.2)
            repeated["affected_sop_instance_uid"] = self.sop_instance_uid
        response = kind(message_id_being_responded_to=self.message_id, status=status, **repeated)
        self._performer.send_response(self, response)


def _response_to_unknown(request: UnknownCommand, message_id: int, status: int) -> UnknownCommand:
    """The response to a command that the standard does not know: its field with the highest bit set."""
    elements = ((0x0120, message_id), (0x0800, NO_DATA_SET), (0x0900, status))
    return UnknownCommand(
        request.command_field | 0x8000,
        None,
        tuple(Element(tag, number.to_bytes(2, "little")) for tag, number in elements),
    )
