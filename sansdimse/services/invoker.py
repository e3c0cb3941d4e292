"""What we ask: our outstanding requests, and whose response is whose (PS3.7 7.5, 9.1.1.1.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from sansdimse.deviations import Code, Deviation, escaped
from sansdimse.dimse.command import encode_command
from sansdimse.dimse.messages import CCancelRQ, CStoreRQ, DataSet, NCreateRQ, UnknownCommand
from sansdimse.dimse.status import Status, StatusCategory
from sansdimse.errors import LocalProtocolError, RemoteProtocolError
from sansdimse.events import ResponseReceived
from sansdimse.services.normalized import NormalizedRequest
from sansdimse.services.operation import CANCELLABLE, MOST_OVER, RESPONSE_TO
from sansdimse.services.retrieve import GetRequest
from sansdimse.services.storage import StoreRequest
from sansdimse.ul.table import State
from sansdimse.ul.timers import Timer

if TYPE_CHECKING:
    from sansdimse.dimse.command import Decoded
    from sansdimse.dimse.fragments import DataReceived
    from sansdimse.dimse.messages import Response
    from sansdimse.services.operation import Request
    from sansdimse.services.outbox import Outbox
    from sansdimse.ul.machine import UpperLayer
    from sansdimse.ul.negotiation import NegotiatedContext
    from sansdimse.ul.output import Buffer


class _Arriving(NamedTuple):
    """A response whose data set is not complete."""

    operation: Request
    response: Response
    data: bytearray


_REMEMBERED: Final = 16  # message IDs answered of late: another response to one of them is a mere repetition


class Invoker:
    """Our side as the one who invokes."""

    def __init__(self, ul: UpperLayer, outbox: Outbox) -> None:
        self._ul = ul
        self._outbox = outbox
        self.requests: dict[int, Request] = {}
        """Those that are not over, by message ID, in the order in which they were invoked."""
        self.over: list[Request] = []
        """Those that are over, for whoever takes them."""
        self._finished: tuple[int, ...] = ()
        self._last_id = 0
        self._getting: GetRequest | None = None
        self._arriving: _Arriving | None = None

    @property
    def has_room(self) -> bool:
        """Whether a request may be invoked now."""
        agreement = self._ul.agreement
        if self._ul.state is not State.STA6 or agreement is None:
            return False
        return len(self.requests) < (agreement.invoke_window or 0xFFFF) and self._outbox.takes_requests

    def new_id(self) -> int:
        """The next message ID: 1 to 65535, skipping those outstanding (PS3.7 9.1.1.1.1).

        Raises ``LocalProtocolError`` if no request may be invoked now, or none more (PS3.7 D.3.3.3).
        """
        agreement = self._ul.agreement
        if self._ul.state is not State.STA6 or agreement is None:
            raise LocalProtocolError(f"no operation can be invoked in {self._ul.state.name.capitalize()}")
        window = agreement.invoke_window or 0xFFFF
        if len(self.requests) >= window:
            outstanding = ", ".join(repr(request) for request in list(self.requests.values())[:4])
            raise LocalProtocolError(
                f"at most {window} of our requests may be outstanding (PS3.7 D.3.3.3), and are: {outstanding}"
            )
        candidate = self._last_id % 0xFFFF + 1
        while candidate in self.requests:
            candidate = candidate % 0xFFFF + 1
        return candidate

    def invoke(self, operation: Request, data_set: bytes | None = None) -> None:
        """Send a request, with its data set if that is whole, or queue it.

        What cannot be encoded raises ``LocalProtocolError`` and changes nothing.
        """
        if isinstance(operation, GetRequest) and self._getting is not None:
            raise LocalProtocolError(
                f"C-GET {self._getting.message_id} is outstanding: what is stored could be of either (PS3.7 9.1.3)"
            )
        self._outbox.send_request(operation, encode_command(operation.request), data_set)
        self._last_id = operation.message_id
        self.requests[operation.message_id] = operation
        if isinstance(operation, GetRequest):
            self._getting = operation

    # The verbs of the handles (``services.operation.Invoking``)

    def send_data(self, operation: StoreRequest, piece: Buffer, is_last: bool) -> None:
        """``StoreRequest.send_data``."""
        if self._ul.state is not State.STA6:
            raise LocalProtocolError(f"no data set can be sent in {self._ul.state.name.capitalize()}")
        self._outbox.send_data(operation, piece, is_last)
        if is_last and operation.response is not None:
            self._close(operation)

    def cancel(self, operation: Request) -> None:
        """``Request.cancel``: it counts against no window and waits for none (PS3.7 9.3.2.3)."""
        name = type(operation.request).__name__
        if not isinstance(operation.request, CANCELLABLE):
            raise LocalProtocolError(f"there is no C-CANCEL for a {name} (PS3.7 9.3.2.3)")
        if operation.over or self._ul.state is not State.STA6:
            raise LocalProtocolError(f"{name} {operation.message_id} is over")
        if not operation.cancelled:
            cancel = CCancelRQ(message_id_being_responded_to=operation.message_id)
            self._outbox.send_cancel(operation, encode_command(cancel))
            operation.cancelled = True

    def abandon(self, operation: Request, deadline: float | None) -> None:
        """``Request.abandon``."""
        if operation.over or operation.abandoned:
            return
        operation.abandoned = True
        if self._outbox.withdraw(operation):
            self._close(operation)
        elif operation is self._outbox.sending:
            self._ul.abort()
        elif self._ul.state is State.STA6:
            if isinstance(operation.request, CANCELLABLE):
                self.cancel(operation)
            timers = self._ul.timers
            timers.stop(Timer.DIMSE_RESPONSE, operation.message_id)
            drain = self._ul.limits.cancel_drain if deadline is None else deadline
            timers.start_when_told(Timer.CANCEL_DRAIN, drain, operation.message_id)

    def give_up(self) -> None:
        """No response will come any more."""
        for operation in list(self.requests.values()):
            self._close(operation)
        self._arriving = None
        self._outbox.clear()

    def _close(self, operation: Request) -> None:
        """Message ID and window slot are free: the response came and the sending ended."""
        operation.over = True
        self.over.append(operation)
        del self.over[:-MOST_OVER]
        del self.requests[operation.message_id]
        if operation is self._getting:
            self._getting = None
        if (
            operation.response is None
            and isinstance(operation, StoreRequest)
            and operation.sub_operation_of is not None
        ):
            operation.sub_operation_of.given_up(operation)
        self._finished = (*self._finished, operation.message_id)[-_REMEMBERED:]
        for timer in (Timer.DIMSE_RESPONSE, Timer.CANCEL_DRAIN):
            self._ul.timers.stop(timer, operation.message_id)

    # The wait for the response to a C-GET of ours: what the peer stores meanwhile shows that it is at work.

    def restart_get_wait(self) -> None:
        """A piece of what it stores came."""
        if self._getting is not None:
            self._restart_wait(self._getting)

    def hold_get_wait(self) -> None:
        """It waits for an answer of ours, and we not for it."""
        if self._getting is not None and not self._getting.abandoned:
            self._ul.timers.stop(Timer.DIMSE_RESPONSE, self._getting.message_id)

    def begin_get_wait(self) -> None:
        """It has all answers."""
        get = self._getting
        if get is not None and get.sent and not get.abandoned:
            self._ul.timers.start_when_told(Timer.DIMSE_RESPONSE, self._ul.limits.dimse_response, get.message_id)

    # What arrives

    def response(self, context: NegotiatedContext, decoded: Decoded) -> ResponseReceived | None:
        """Match a response; it is told with its data set. Raises ``RemoteProtocolError`` if it can be nobody's."""
        response: Response = decoded.message  # type: ignore[assignment]
        operation = self._match(context, decoded)
        if operation is None:
            return None
        if operation.response is not None:  # it came early, and the data set still goes out
            self._ul.check(Deviation(Code.RESPONSE_UNSOLICITED, f"message {operation.message_id}"))
            return None
        operation.responses += 1
        self._check_uids(operation, response)
        self._check_data_set(operation, response)
        if response.has_data_set and response.DATA_SET is not DataSet.FORBIDDEN:
            self._restart_wait(operation)
            self._arriving = _Arriving(operation, response, bytearray())
            return None
        return self._take(operation, response, None)

    @property
    def is_receiving(self) -> bool:
        """Whether the data set that arrives is of a response."""
        return self._arriving is not None

    @property
    def longest(self) -> int:
        """Most bytes of the data set of the response that arrives."""
        limits = self._ul.limits
        normalized = self._arriving is not None and isinstance(self._arriving.operation, NormalizedRequest)
        return limits.attributes if normalized else limits.identifier

    def data(self, received: DataReceived) -> ResponseReceived | None:
        """A piece of the data set of the last response: kept until it is complete (``longest``)."""
        if self._arriving is None:
            return None
        operation, response, data = self._arriving
        if not operation.abandoned:
            data += received.data
        if not received.is_last:
            self._restart_wait(operation)
            return None
        self._arriving = None
        return self._take(operation, response, bytes(data))

    def _take(self, operation: Request, response: Response, identifier: bytes | None) -> ResponseReceived | None:
        """A response is complete."""
        status = Status(response.status)
        if not status.is_final:
            self._restart_wait(operation)
            if not isinstance(operation.request, CANCELLABLE):
                self._ul.check(Deviation(Code.STATUS_PENDING_UNEXPECTED, str(status)))
                return None
        else:
            operation.response = response
            if isinstance(operation, StoreRequest) and operation.sub_operation_of is not None:
                operation.sub_operation_of.answered_by_peer(operation, status)
            if isinstance(operation, StoreRequest) and not operation.data_sent:
                # Early: a failure cuts the data set short, anything else lets it go on (PS3.7 9.3.1.3).
                if status.category is StatusCategory.FAILURE:
                    if self._ul.state is State.STA6:  # after a forced release nothing can be sent
                        self._outbox.cut(operation)
                    self._close(operation)
            else:
                self._close(operation)
        if operation.abandoned:
            return None
        return ResponseReceived(status, response, status.is_final, operation, identifier)

    def _restart_wait(self, operation: Request) -> None:
        timers = self._ul.timers
        if timers.running(Timer.DIMSE_RESPONSE, operation.message_id):
            timers.start(Timer.DIMSE_RESPONSE, self._ul.now, self._ul.limits.dimse_response, operation.message_id)

    def _match(self, context: NegotiatedContext, decoded: Decoded) -> Request | None:
        """Whose response this is, by message ID, command and context; None to ignore it."""
        response = decoded.message
        message_id: int = getattr(response, "message_id_being_responded_to", 0)
        named = "message_id_being_responded_to" not in decoded.missing and not isinstance(response, UnknownCommand)
        operation = self.requests.get(message_id) if named else None
        if operation is None or not operation.was_invoked:
            if not self.requests or (named and message_id in self._finished):
                self._ul.check(Deviation(Code.RESPONSE_UNSOLICITED, f"message {message_id}"))
                return None
            self._ul.check(Deviation(Code.RESPONSE_ID, f"message {message_id}"))  # the default profile refuses it
            candidates = [request for request in self.requests.values() if request.was_invoked]
            if len(candidates) != 1:
                raise RemoteProtocolError(f"a response to message {message_id}", code=Code.RESPONSE_ID)
            operation = candidates[0]
        request_name = f"{type(operation.request).__name__} {operation.message_id}"
        if type(response) is not RESPONSE_TO[type(operation.request)]:
            raise RemoteProtocolError(f"{type(response).__name__} answers {request_name}", code=Code.RESPONSE_COMMAND)
        if "status" in decoded.missing:
            raise RemoteProtocolError(f"{request_name} is answered without status", code=Code.COMMAND_ELEMENT_MISSING)
        if context is not operation.context:
            self._ul.check(Deviation(Code.RESPONSE_CONTEXT, f"{context.id} for {operation.context.id}"))
        return operation

    def _check_data_set(self, operation: Request, response: Response) -> None:
        """What a response must have, or may not, depends on its status: what depends on its kind is told before."""
        expected = operation.expects_data_set(Status(response.status))
        if expected is not None and expected is not response.has_data_set:
            code = Code.DATA_SET_MISSING if expected else Code.DATA_SET_FORBIDDEN
            self._ul.check(Deviation(code, f"{type(response).__name__} {response.status:04X}"))

    def _check_uids(self, operation: Request, response: Response) -> None:
        """What a response repeats: of DIMSE-C it must, of DIMSE-N it may (PS3.7 9.3, 10.3)."""
        request = operation.request
        normalized = isinstance(operation, NormalizedRequest)
        pairs: list[tuple[str | None, str | None]] = [(request.sop_class_uid, response.sop_class_uid)]
        if normalized or isinstance(request, CStoreRQ):
            pairs.append((request.sop_instance_uid, response.sop_instance_uid))
        for ours, theirs in pairs:
            if theirs and ours and theirs != ours:
                self._ul.check(Deviation(Code.RESPONSE_UID_DIFFERS, f"{escaped(theirs)} for {ours}"))
            elif not theirs and not normalized:
                self._ul.check(Deviation(Code.RESPONSE_UID_MISSING, type(response).__name__))
        unnamed = isinstance(request, NCreateRQ) and not (request.sop_instance_uid or response.sop_instance_uid)
        if unnamed and Status(response.status).category is StatusCategory.SUCCESS:
            # The instance invented must be named (PS3.7 10.1.5.1.4).
            self._ul.check(Deviation(Code.RESPONSE_UID_MISSING, type(response).__name__))
