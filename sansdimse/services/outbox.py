"""The outgoing queue: one message after the other, never two interleaved (PS3.8 E.1).

There is no exception to that rule, so a message whose data set is open holds back every later one,
C-CANCEL and responses included.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from sansdimse.dimse.fragments import command_pdus
from sansdimse.errors import LocalProtocolError
from sansdimse.events import SendingAllowed
from sansdimse.services.storage import StoreRequest
from sansdimse.ul.timers import Key, Timer

if TYPE_CHECKING:
    from sansdimse.services.operation import Request
    from sansdimse.ul.machine import UpperLayer
    from sansdimse.ul.negotiation import NegotiatedContext
    from sansdimse.ul.output import Buffer


class _Waiting(NamedTuple):
    context: NegotiatedContext
    command: bytes
    operation: Request | None


class Outbox:
    """Messages on their way to the Upper Layer."""

    def __init__(self, ul: UpperLayer) -> None:
        self._ul = ul
        self._queue: deque[_Waiting] = deque()
        self.sending: StoreRequest | None = None
        """Whose data set is open."""
        self.events: deque[SendingAllowed] = deque()
        """To be told to the user."""
        self.messages_sent = 0
        self.answers_waiting = 0
        """Responses and cancels in the queue."""

    @property
    def maximum_length(self) -> int:
        """Longest P-DATA-TF body that we send: the peer's maximum, or our own cap."""
        own = self._ul.limits.own_pdu
        agreement = self._ul.agreement
        theirs = None if agreement is None else agreement.maximum_length
        return own if theirs is None else min(own, theirs)

    def check_room(self) -> None:
        """Raise ``LocalProtocolError`` if no request can be queued (``Limits.queued_messages``)."""
        if len(self._queue) >= self._ul.limits.queued_messages:
            raise LocalProtocolError(f"{len(self._queue)} messages wait behind an open data set already")

    def send(self, context: NegotiatedContext, command: bytes, operation: Request | None = None) -> None:
        """Send a command set, or queue it. For a request of ours, ``operation`` is that.

        Responses and cancels always have room: who asks for more answers than wait here is stopped before.
        """
        if self.sending is not None:
            if operation is not None:
                self.check_room()
            else:
                self.answers_waiting += 1
            self._queue.append(_Waiting(context, command, operation))
        else:
            self._emit(context, command, operation)

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
        """Take back a message that has not begun; False if it has."""
        waiting = next((entry for entry in self._queue if entry.operation is operation), None)
        if waiting is None:
            return False
        self._queue.remove(waiting)
        return True

    def clear(self) -> None:
        """Nothing more can be asked. A data set left open stays so: what one said after it would be taken for it."""
        self._queue.clear()
        self.answers_waiting = 0
        self.events.clear()

    def _emit(self, context: NegotiatedContext, command: bytes, operation: Request | None) -> None:
        then: tuple[Key, float | None] | None = None
        if isinstance(operation, StoreRequest):
            self.sending = operation
            operation.may_send = True
        elif operation is not None:
            operation.sent = True
            then = self._answer_timer(operation)
        # One buffer, however many PDUs: a peer that takes 8 bytes a PDU would make our answers cost tenfold.
        pdus = b"".join(command_pdus(context.id, command, self.maximum_length))
        self._ul.send_p_data([[pdus]], then)
        self.messages_sent += 1

    def _answer_timer(self, operation: Request) -> tuple[Key, float | None]:
        # The wait for the response begins when the whole request is on its way.
        return (Timer.DIMSE_RESPONSE, operation.message_id), self._ul.limits.dimse_response

    def _data_ended(self, operation: StoreRequest) -> None:
        operation.data_sent = operation.sent = True
        operation.may_send = False
        self.sending = None
        while self._queue and self.sending is None:
            context, command, waiting = self._queue.popleft()
            if waiting is None:
                self.answers_waiting -= 1
            self._emit(context, command, waiting)
            if isinstance(waiting, StoreRequest):
                self.events.append(SendingAllowed(waiting.message_id, waiting))
