"""The outgoing queue: one message after the other, never two interleaved (PS3.8 E.1).

There is no exception to that rule, so a message whose data set is open holds back every later one,
C-CANCEL and responses included.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING, NamedTuple

from sansdimse.dimse.fragments import command_pdus, data_set_pdus
from sansdimse.errors import LocalProtocolError
from sansdimse.events import SendingAllowed
from sansdimse.services.storage import StoreRequest
from sansdimse.ul.timers import Key, Timer

if TYPE_CHECKING:
    from sansdimse.services.operation import Request
    from sansdimse.ul.machine import UpperLayer
    from sansdimse.ul.negotiation import NegotiatedContext
    from sansdimse.ul.output import Buffer


class _Kind(Enum):
    REQUEST = auto()
    CANCEL = auto()
    PENDING = auto()
    ANSWER = auto()  # the final one


class _Message(NamedTuple):
    """One message, whole but for the data set of a C-STORE, which follows by pieces."""

    kind: _Kind
    context: NegotiatedContext
    command: bytes
    data_set: bytes | None = None
    operation: Request | None = None  # of ours, which this is or cancels

    @property
    def size(self) -> int:
        return len(self.command) + len(self.data_set or b"")


class Outbox:
    """Messages on their way to the Upper Layer."""

    def __init__(self, ul: UpperLayer) -> None:
        self._ul = ul
        self._queue: list[_Message] = []
        self.sending: StoreRequest | None = None
        """Whose data set is open."""
        self.events: list[SendingAllowed] = []
        """To be told to the user."""
        self.messages_sent = 0
        self.answers_waiting = 0
        """Final responses and cancels in the queue."""
        self._bytes_waiting = 0

    @property
    def has_room(self) -> bool:
        """Whether another Pending response may be sent: ``Limits.output_high_water`` bounds what waits of them."""
        return self._ul.bytes_unsent + self._bytes_waiting < self._ul.limits.output_high_water

    @property
    def maximum_length(self) -> int:
        """Longest P-DATA-TF body that we send: the peer's maximum, or our own cap."""
        own = self._ul.limits.own_pdu
        agreement = self._ul.agreement
        theirs = None if agreement is None else agreement.maximum_length
        return own if theirs is None else min(own, theirs)

    @property
    def takes_requests(self) -> bool:
        """Whether a request may be sent or queued (``Limits.queued_messages``, ``Limits.output``)."""
        limits = self._ul.limits
        return self.sending is None or (
            len(self._queue) < limits.queued_messages and self._bytes_waiting < limits.output
        )

    def check_room(self) -> None:
        """Raise ``LocalProtocolError`` if no request may be sent or queued."""
        if not self.takes_requests:
            raise LocalProtocolError(f"{len(self._queue)} messages wait behind an open data set already")

    # A message leaves at once, or is queued behind an open data set. Final responses and cancels always have
    # room: who asks for more answers than wait here is stopped before.

    def send_request(self, operation: Request, command: bytes, data_set: bytes | None = None) -> None:
        """Send a request of ours, with its data set if that is at hand as a whole."""
        self.check_room()
        self._send(_Message(_Kind.REQUEST, operation.context, command, data_set, operation))

    def send_cancel(self, operation: Request, command: bytes) -> None:
        """Send the C-CANCEL of a request of ours."""
        self._send(_Message(_Kind.CANCEL, operation.context, command, None, operation))

    def send_answer(self, context: NegotiatedContext, command: bytes, data_set: bytes | None = None) -> None:
        """Send the final response to a request of the peer."""
        self._send(_Message(_Kind.ANSWER, context, command, data_set))

    def send_pending(self, context: NegotiatedContext, command: bytes, data_set: bytes | None = None) -> None:
        """Send a response that others follow. Raises ``LocalProtocolError`` if it has no room."""
        if not self.has_room:
            unsent = self._ul.bytes_unsent + self._bytes_waiting
            raise LocalProtocolError(f"{unsent} bytes are unsent; write what data_to_send gives before adding to them")
        self._send(_Message(_Kind.PENDING, context, command, data_set))

    def _send(self, message: _Message) -> None:
        if self.sending is None:
            self._emit(message)
            return
        self._queue.append(message)
        self._count(message, 1)

    def _count(self, message: _Message, change: int) -> None:
        self._bytes_waiting += change * message.size
        if message.kind in (_Kind.ANSWER, _Kind.CANCEL):
            self.answers_waiting += change

    def send_data(self, operation: StoreRequest, piece: Buffer, is_last: bool) -> None:
        """Send a piece of the open data set."""
        unsent, high_water = self._ul.bytes_unsent, self._ul.limits.output_high_water
        if unsent >= high_water and not is_last:
            raise LocalProtocolError(f"{unsent} bytes are unsent; write what data_to_send gives before adding to them")
        pdus = operation.fragmenter.push(piece, is_last)
        self._ul.send_p_data(pdus, self._answer_timer(operation) if is_last else None)
        if is_last:
            self._data_ended(operation)

    def cut(self, operation: StoreRequest) -> None:
        """End the open data set now: the peer has refused it (PS3.7 9.3.1.3)."""
        operation.was_cut = True
        self._ul.send_p_data(operation.fragmenter.finish_early())
        self._data_ended(operation)

    def withdraw(self, operation: Request) -> bool:
        """Take back a request that has not begun, with its C-CANCEL; False if it has."""
        taken = [message for message in self._queue if message.operation is operation]
        if not any(message.kind is _Kind.REQUEST for message in taken):
            return False
        for message in taken:
            self._queue.remove(message)
            self._count(message, -1)
        return True

    def clear(self) -> None:
        """Nothing more can be asked. A data set left open stays so: what one said after it would be taken for it."""
        self._queue.clear()
        self.answers_waiting = self._bytes_waiting = 0
        self.events.clear()

    def _emit(self, message: _Message) -> None:
        context_id, operation = message.context.id, message.operation
        then: tuple[Key, float | None] | None = None
        if isinstance(operation, StoreRequest):
            self.sending = operation
            operation.may_send = True
        elif operation is not None and message.kind is _Kind.REQUEST:
            operation.sent = True
            then = self._answer_timer(operation)
        # One buffer, however many PDUs: a peer that takes 8 bytes a PDU would make our answers cost tenfold.
        pdus = command_pdus(context_id, message.command, self.maximum_length)
        if message.data_set is not None:
            pdus += data_set_pdus(context_id, message.data_set, self.maximum_length)
        self._ul.send_p_data([[b"".join(pdus)]], then, count=len(pdus))
        self.messages_sent += 1

    def _answer_timer(self, operation: Request) -> tuple[Key, float | None]:
        # The wait for the response begins when the whole request is on its way.
        return (Timer.DIMSE_RESPONSE, operation.message_id), self._ul.limits.dimse_response

    def _data_ended(self, operation: StoreRequest) -> None:
        operation.data_sent = operation.sent = True
        operation.may_send = False
        self.sending = None
        while self._queue and self.sending is None:
            message = self._queue.pop(0)
            self._count(message, -1)
            self._emit(message)
            if isinstance(message.operation, StoreRequest):
                self.events.append(SendingAllowed(message.operation.message_id, message.operation))
