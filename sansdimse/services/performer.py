"""What the peer asks: its outstanding requests, within the window negotiated (PS3.7 7.3, 7.5)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sansdimse.deviations import Code, Deviation
from sansdimse.dimse.command import encode_command
from sansdimse.dimse.messages import (
    CFindRQ,
    CGetRQ,
    CMoveRQ,
    CStoreRQ,
    NActionRQ,
    NCreateRQ,
    NDeleteRQ,
    NEventReportRQ,
    NGetRQ,
    NSetRQ,
    UnknownCommand,
)
from sansdimse.dimse.status import CANNOT_COUNT_MATCHES, OUT_OF_RESOURCES, RESOURCE_LIMITATION, Status
from sansdimse.errors import LocalProtocolError, RemoteProtocolError
from sansdimse.events import (
    CancelRequested,
    DatasetReceived,
    EchoRequested,
    Event,
    FindRequested,
    GetRequested,
    MoveRequested,
    NormalizedRequested,
    StoreRequested,
    UnservableRequested,
)
from sansdimse.services.normalized import NormalizedSCP
from sansdimse.services.operation import CANCELLABLE, MOST_OVER, Performed, UnservableSCP, may_have_data_set
from sansdimse.services.query import FindSCP
from sansdimse.services.retrieve import GetSCP, MoveSCP
from sansdimse.services.servable import Unservable, unservable
from sansdimse.services.storage import StoreSCP
from sansdimse.services.verification import EchoSCP
from sansdimse.ul.table import State
from sansdimse.ul.timers import Timer

if TYPE_CHECKING:
    from sansdimse.dimse.command import Decoded
    from sansdimse.dimse.fragments import DataReceived
    from sansdimse.dimse.messages import CCancelRQ, Response
    from sansdimse.services.invoker import Invoker
    from sansdimse.services.outbox import Outbox
    from sansdimse.services.sop_classes import SopClasses
    from sansdimse.services.storage import StoreRequest
    from sansdimse.ul.machine import UpperLayer
    from sansdimse.ul.negotiation import NegotiatedContext
    from sansdimse.ul.output import Buffer

_Requested = (
    EchoRequested
    | StoreRequested
    | FindRequested
    | GetRequested
    | MoveRequested
    | NormalizedRequested
    | UnservableRequested
)


class _Whole(NamedTuple):
    """A kind of request that is told with its whole data set, and what refuses one that is too long."""

    operation: Callable[[Performer, NegotiatedContext, Decoded], Performed]
    event: Callable[[NegotiatedContext, Any, Any, Any], _Requested]
    too_long: Status


_NORMALIZED: Final = _Whole(NormalizedSCP, NormalizedRequested, RESOURCE_LIMITATION)
_WHOLE: Final[dict[type, _Whole]] = {
    CFindRQ: _Whole(FindSCP, FindRequested, OUT_OF_RESOURCES),
    CGetRQ: _Whole(GetSCP, GetRequested, CANNOT_COUNT_MATCHES),
    CMoveRQ: _Whole(MoveSCP, MoveRequested, CANNOT_COUNT_MATCHES),
    **dict.fromkeys((NEventReportRQ, NGetRQ, NSetRQ, NActionRQ, NCreateRQ, NDeleteRQ), _NORMALIZED),
}
StoreHook = Callable[[str, str, "str | None", "int | None", int], "StoreRequest"]
"""Invokes a C-STORE: SOP class, instance, transfer syntax, context ID, priority."""


class _Arriving(NamedTuple):
    """A request that is told with its data set, which is not complete."""

    kind: _Whole
    context: NegotiatedContext
    decoded: Decoded
    data: bytearray


class _Held(NamedTuple):
    """A request beyond the window, with what has arrived of its data set: joined, since pieces may be of one byte."""

    operation: Performed
    event: _Requested
    data: bytearray


class Performer:
    """Our side as the one who performs."""

    def __init__(
        self, ul: UpperLayer, outbox: Outbox, invoker: Invoker, c_store: StoreHook, sop_classes: SopClasses
    ) -> None:
        self._ul = ul
        self._outbox = outbox
        self._invoker = invoker
        self._c_store = c_store
        self._sop_classes = sop_classes
        self._by_id: dict[int, Performed] = {}
        self._unanswered_ids: Counter[int] = Counter()  # an ID may be repeated: 0210
        self.over: list[Performed] = []
        """Those that are over, for whoever takes them."""
        self.unanswered: dict[Performed, None] = {}
        """The requests without final response, in the order in which they came."""
        self.events: list[Event] = []
        """To be told to the user: what was held until its turn."""
        self._receiving: Performed | None = None  # whose data set arrives, told by pieces or not at all
        self._arriving: _Arriving | None = None
        self._held: list[_Held] = []
        self._held_bytes = 0

    # What arrives

    def request(self, context: NegotiatedContext, decoded: Decoded) -> Event | None:
        """A request. Raises ``RemoteProtocolError`` if it cannot even be answered."""
        if "message_id" in decoded.missing:
            raise RemoteProtocolError("a request without message ID", code=Code.COMMAND_ELEMENT_MISSING)
        if self._outbox.answers_waiting >= self._ul.limits.queued_messages:
            # They wait behind an open data set of ours; a peer that asks on without them exceeds its window.
            text = f"a request came while {self._outbox.answers_waiting} answers to earlier ones wait"
            raise RemoteProtocolError(text, code=Code.WINDOW_EXCEEDED)
        refused, deviations = unservable(context, decoded, self._ul.profile, self._by_id, self._sop_classes)
        for deviation in deviations:
            self._ul.note(deviation)
        if refused is not None:
            return self._refuse(context, decoded, refused)
        whole = _WHOLE.get(type(decoded.message))
        if whole is not None:
            if not (decoded.message.has_data_set and may_have_data_set(decoded.message)):
                return self._tell_whole(whole, context, decoded, None)
            self._arriving = _Arriving(whole, context, decoded, bytearray())
            return None
        operation: Performed
        event: _Requested
        if isinstance(decoded.message, CStoreRQ):
            operation = StoreSCP(self, context, decoded)
            event = StoreRequested(context, operation.request, operation)
        else:
            operation = EchoSCP(self, context, decoded)
            event = EchoRequested(context, operation.request, operation)
        self._by_id[operation.message_id] = operation
        return self._admit(operation, event)

    def _refuse(
        self, context: NegotiatedContext, decoded: Decoded, refused: Unservable, *, data_complete: bool = False
    ) -> Event | None:
        operation = UnservableSCP(self, context, decoded, refused.status)
        operation.data_complete |= data_complete
        event = UnservableRequested(context, operation.request, refused.status, refused.text, operation)
        return self._admit(operation, event)

    def _admit(self, operation: Performed, event: _Requested) -> Event | None:
        self.unanswered[operation] = None
        self._unanswered_ids[operation.message_id] += 1
        told = self._within_window(operation, event)
        if operation.data_complete:
            self._await_answer(operation)
        else:
            self._receiving = operation
        return told

    @property
    def is_gathering(self) -> bool:
        """Whether the data set that arrives is of a request that is told with it."""
        return self._arriving is not None

    def data(self, received: DataReceived) -> Event | None:
        """A piece of a data set; it is dropped if nobody wants it any more."""
        if self._arriving is not None:
            return self._gather(self._arriving, received)
        operation = self._receiving
        if operation is None:
            return None  # of a response, or of a request that may have none
        event: DatasetReceived | None = None
        self._invoker.restart_get_wait()
        if isinstance(operation, StoreSCP) and not operation.responded and (received.data or received.is_last):
            event = DatasetReceived(operation.message_id, received.data, received.is_last, operation)
        if received.is_last:
            self._receiving = None
            operation.data_complete = True
            if operation.responded:
                self._close(operation)
            else:
                self._await_answer(operation)
        if event is not None and operation.held:
            self._hold_data(received.data)
            return None
        return event

    def _gather(self, arriving: _Arriving, received: DataReceived) -> Event | None:
        """Keep a piece, and tell the request if it is the last; one that is too long is refused and not kept."""
        kind, context, decoded, data = arriving
        limits = self._ul.limits
        limit = limits.attributes if kind is _NORMALIZED else limits.identifier
        if len(data) + len(received.data) > limit:
            self._arriving = None
            refused = Unservable(kind.too_long, f"its data set has more than {limit} bytes")
            return self._refuse(context, decoded, refused, data_complete=received.is_last)
        data += received.data
        if not received.is_last:
            return None
        self._arriving = None
        return self._tell_whole(kind, context, decoded, bytes(data))

    def _tell_whole(
        self, kind: _Whole, context: NegotiatedContext, decoded: Decoded, data: bytes | None
    ) -> Event | None:
        operation = kind.operation(self, context, decoded)
        self._by_id[operation.message_id] = operation
        return self._admit(operation, kind.event(context, operation.request, data, operation))

    def cancel(self, context: NegotiatedContext, message: CCancelRQ) -> Event | None:
        """By message ID alone: a cancel often crosses the final response, and then has no effect (PS3.7 9.1.2.2)."""
        operation = self._by_id.get(message.message_id_being_responded_to)
        if operation is None or operation.responded or not isinstance(operation.request, CANCELLABLE):
            self._ul.check(Deviation(Code.CANCEL_UNKNOWN, str(message.message_id_being_responded_to)))
            return None
        if operation.context is not context:
            self._ul.check(Deviation(Code.CANCEL_CONTEXT, f"{context.id} for {operation.context.id}"))
        if operation.cancelled:
            return None  # told, or to be told when its turn has come
        operation.cancelled = True
        return None if operation.held else CancelRequested(operation.message_id, operation)

    # The verbs of the handles (``services.operation.Performing``)

    def send_response(
        self, operation: Performed, response: Response | UnknownCommand, data_set: bytes | None = None
    ) -> None:
        """``operation.respond``, ``operation.finish``."""
        self._check_state()
        self._outbox.send_answer(operation.context, encode_command(response), data_set)
        operation.responded = True
        operation.responses += 1
        if not isinstance(response, UnknownCommand):
            operation.answered = Status(response.status)
        del self.unanswered[operation]
        self._unanswered_ids[operation.message_id] -= 1
        if not self._unanswered_ids[operation.message_id]:
            del self._unanswered_ids[operation.message_id]
            self._ul.timers.stop(Timer.OPERATION_ANSWER, operation.message_id)
        if isinstance(operation, StoreSCP) and not any(isinstance(each, StoreSCP) for each in self.unanswered):
            self._invoker.begin_get_wait()
        if operation.data_complete:
            self._close(operation)
        else:
            self._tell_held()

    def send_pending(self, operation: Performed, response: Response, data_set: bytes | None = None) -> None:
        """``FindSCP.send_match`` and its like."""
        self._check_state()
        self._outbox.send_pending(operation.context, encode_command(response), data_set)
        operation.responses += 1
        self.shows_life(operation)

    def shows_life(self, operation: Performed) -> None:
        """Our user has shown life, so the wait for the next response begins anew."""
        if operation.may_respond:
            timers, delay = self._ul.timers, self._ul.limits.operation_answer
            timers.start_when_told(Timer.OPERATION_ANSWER, delay, operation.message_id)

    def store(
        self,
        operation: GetSCP,
        sop_class_uid: str,
        sop_instance_uid: str,
        transfer_syntax_uid: str | None,
        context_id: int | None,
    ) -> StoreRequest:
        """``GetSCP.store``."""
        self._check_state()
        priority = operation.request.priority
        stored = self._c_store(sop_class_uid, sop_instance_uid, transfer_syntax_uid, context_id, priority)
        self.shows_life(operation)
        return stored

    @property
    def peer_ae_title(self) -> str:
        """The title of the other end, which invokes what is performed here."""
        agreement = self._ul.agreement
        if agreement is None:
            raise LocalProtocolError("the association is not established")
        return agreement.peer_ae_title.strip()

    def pause(self, operation: Performed) -> None:
        """``StoreSCP.pause``."""
        if not (operation.data_complete or operation.responded or operation.over):
            timers, delay = self._ul.timers, self._ul.limits.operation_answer
            timers.start_when_told(Timer.OPERATION_ANSWER, delay, operation.message_id)

    def resume(self, operation: Performed) -> None:
        """``StoreSCP.resume``."""
        if not (operation.data_complete or operation.responded or self._unanswered_ids[operation.message_id] > 1):
            self._ul.timers.stop(Timer.OPERATION_ANSWER, operation.message_id)

    def _check_state(self) -> None:
        if not self.may_respond:
            raise LocalProtocolError(f"no request can be answered in {self._ul.state.name.capitalize()}")

    @property
    def has_room(self) -> bool:
        """Whether so little is unsent that ``send_pending`` is allowed."""
        return self._outbox.has_room

    @property
    def may_respond(self) -> bool:
        """Whether the state lets responses go out: also after the peer's A-RELEASE-RQ (AR-7)."""
        return self._ul.state in (State.STA6, State.STA8)

    def give_up(self) -> None:
        """The association ended: nobody waits for an answer."""
        for operation in (*self.unanswered, *self._by_id.values(), self._receiving):
            if operation is not None and not operation.over:
                self._end(operation)
        self.unanswered.clear()
        self._unanswered_ids.clear()
        self._by_id.clear()
        self._held.clear()
        self.events.clear()
        self._receiving = None
        self._arriving = None

    def _await_answer(self, operation: Performed) -> None:
        if not operation.held:  # who was not told cannot answer
            delay = self._ul.limits.operation_answer
            self._ul.timers.start(Timer.OPERATION_ANSWER, self._ul.now, delay, operation.message_id)
            if isinstance(operation, StoreSCP):
                self._invoker.hold_get_wait()

    def _end(self, operation: Performed) -> None:
        operation.over = True
        self.over.append(operation)
        del self.over[:-MOST_OVER]

    def _close(self, operation: Performed) -> None:
        self._end(operation)
        if self._by_id.get(operation.message_id) is operation:
            del self._by_id[operation.message_id]
        self._tell_held()

    # What exceeds the peer's window is parsed and kept, and told in its turn (PS3.7 D.3.3.3): to stop
    # reading instead would hide a C-CANCEL or A-ABORT behind it.

    def _window(self) -> int:
        agreement = self._ul.agreement
        return (agreement.perform_window if agreement is not None else 1) or 0xFFFF

    def _told(self) -> int:
        return len(self.unanswered) - len(self._held)

    def _within_window(self, operation: Performed, event: _Requested) -> Event | None:
        window = self._window()
        if self._told() <= window and not self._held:
            return event
        self._ul.check(Deviation(Code.WINDOW_EXCEEDED, f"message {operation.message_id}, {window} negotiated"))
        operation.held = True
        self._held.append(_Held(operation, event, bytearray()))
        held = len(self._held)
        if held > self._ul.limits.operations_over_window:
            raise RemoteProtocolError(f"{held} requests beyond the {window} negotiated", code=Code.WINDOW_EXCEEDED)
        self._count_held(_length(event))
        return None

    def _hold_data(self, data: Buffer) -> None:
        """Keep a piece of the last request held: copied, since a view would keep the whole of what was read alive."""
        self._count_held(len(data))
        self._held[-1].data.extend(data)

    def _count_held(self, size: int) -> None:
        self._held_bytes += size
        limit = self._ul.limits.held_data
        if self._held_bytes > limit:
            raise RemoteProtocolError(
                f"more than {limit} bytes of data sets beyond the window negotiated", code=Code.WINDOW_EXCEEDED
            )

    def _tell_held(self) -> None:
        """A slot is free: tell the next request that was held, with what has arrived of its data set."""
        while self._held and self._told() < self._window():
            operation, event, data = self._held.pop(0)
            operation.held = False
            self.events.append(event)
            complete = operation.data_complete
            if complete:
                self._await_answer(operation)
            self._held_bytes -= _length(event) + len(data)
            if operation.cancelled:
                self.events.append(CancelRequested(operation.message_id, operation))
            if isinstance(operation, StoreSCP) and (data or complete):
                self.events.append(DatasetReceived(operation.message_id, bytes(data), complete, operation))


def _length(event: _Requested) -> int:
    """Bytes of the data set that a request is told with."""
    if isinstance(event, FindRequested | GetRequested | MoveRequested):
        return len(event.identifier)
    return len(event.data_set or b"") if isinstance(event, NormalizedRequested) else 0
