"""The front door: one association as a user of DIMSE sees it (PS3.7 over PS3.8).

``Association`` puts the Upper Layer, the message codec and the operations together: it routes what
arrives to the operation it belongs to, and lets what is sent leave one message at a time. It never
answers anything by itself, and it never waits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import overload

from sansdimse import events
from sansdimse.deviations import CATALOGUE, Deviation, Refusal
from sansdimse.dimse.command import Decoded
from sansdimse.dimse.fragments import Assembler, DataReceived
from sansdimse.dimse.messages import CCancelRQ
from sansdimse.errors import LocalProtocolError, RemoteProtocolError
from sansdimse.events import NEED_DATA, Event, NeedData
from sansdimse.limits import Limits
from sansdimse.outcome import Outcome
from sansdimse.services.invocations import Invocations
from sansdimse.services.invoker import Invoker
from sansdimse.services.operation import Performed, Request
from sansdimse.services.outbox import Outbox
from sansdimse.services.performer import Performer
from sansdimse.services.sop_classes import STANDARD, SopClasses
from sansdimse.ul.agreement import Agreement, NegotiatedContext
from sansdimse.ul.machine import Turn, UpperLayer
from sansdimse.ul.negotiation import answer, propose
from sansdimse.ul.output import Buffer
from sansdimse.ul.parties import Acceptor, Requestor, WhenIdle
from sansdimse.ul.pdu import AAssociateAC, AAssociateRJ, AAssociateRQ
from sansdimse.ul.reader import PDVPiece
from sansdimse.ul.table import State
from sansdimse.ul.timers import Key, Timer


class Association(Invocations):
    """One association, either side. Bytes and time in, events and bytes out.

    Four kinds of method:

    * What you tell it: ``transport_opened``, ``receive_data``, ``receive_eof``, ``handle_timeout``. They
      only store; nothing happens before you ask for the next event.
    * What you ask of it: ``accept``, ``reject``, ``release``, ``respond_release``, ``abort``, ``c_echo``,
      ``c_store``, ``c_find``, ``c_get``, ``c_move``, ``n_get`` and its like, and the verbs of the operation handles.
      What is not allowed now raises ``LocalProtocolError`` and changes nothing.
    * What it tells you: ``next_event``, ``data_to_send``, ``next_timeout``, ``wants_close``.
    * What you may look at: everything else.

    The loop, which is the whole of every transport: take ``next_event`` and handle it; on
    ``NEED_DATA`` or ``Ended`` write what ``data_to_send`` gives; close if ``wants_close`` and nothing is
    unsent; else wait until the connection is readable, or writable if output is pending, or until
    ``next_timeout``; tell the association which; repeat. Never write without being able to read.

    Time is a float in seconds on any monotonic scale, and only ever what you tell.
    """

    def __init__(self, config: Requestor | Acceptor, *, now: float, sop_classes: SopClasses = STANDARD) -> None:
        self.config = config
        self.sop_classes = sop_classes
        limits, profile = config.limits, config.profile
        request = propose(config) if isinstance(config, Requestor) else None
        self._ul = UpperLayer(
            request=request, maximum_length=config.maximum_length, limits=limits, profile=profile, now=now
        )
        self._ul.before_deadlines = self._watch
        self._ul.idle_is_told = config.when_idle is not WhenIdle.ABORT
        self._assembler = Assembler(
            max_command=limits.command_set,
            max_fragments=limits.fragments,
            max_data_set=limits.message,
            profile=profile,
        )
        self._outbox = Outbox(self._ul)
        self._invoker = Invoker(self._ul, self._outbox)
        self._performer = Performer(self._ul, self._outbox, self._invoker, self.sub_operation, sop_classes)
        self._progress = False  # something arrived since NEED_DATA was told
        self._messages_received = 0
        self._unfinished = 0  # requests of ours that nobody will answer
        self._ended: events.Ended | None = None

    # ------------------------------------------------------------ what you tell it

    def transport_opened(self, now: float) -> None:
        """The connection is open."""
        self._ul.transport_opened(now)

    def receive_data(self, data: bytes, now: float) -> None:
        """Bytes of the peer; they belong to the engine from now on and must never change."""
        self._ul.receive_data(data, now)

    def receive_eof(self, now: float, error: str | None = None) -> None:
        """The connection was closed, reset, or could not be opened; ``error`` is the network's word for it."""
        self._ul.receive_eof(now, error)

    def handle_timeout(self, now: float) -> None:
        """The time is ``now``: deadlines that passed take effect, after all input already told."""
        self._ul.handle_timeout(now)
        self._watch_idle()  # a verb may have ended the idleness since

    # ------------------------------------------------------------ what you ask of it: the association

    def proposed_answer(self, *, identity_response: bytes | None = None) -> AAssociateAC | AAssociateRJ:
        """What the ``Acceptor`` given would answer to the request: accept, or reject and why (PS3.8 7.1.1).

        ``identity_response`` confirms the user identity, if the request asked for that (PS3.7 D.3.3.7).
        """
        if not isinstance(self.config, Acceptor) or self._ul.request is None:
            raise LocalProtocolError("there is no association request to answer")
        return answer(self.config, self._ul.request, identity_response=identity_response)

    def accept(self, response: AAssociateAC | None = None) -> None:
        """Accept the association, by default with ``proposed_answer`` (PS3.8 7.1.1).

        Raises ``LocalProtocolError`` if the proposed answer is to reject it.
        """
        proposed = response or self.proposed_answer()
        if isinstance(proposed, AAssociateRJ):
            raise LocalProtocolError(
                f"this request is to be rejected: result {proposed.result}, source {proposed.source}, "
                f"reason {proposed.reason}"
            )
        self._ul.accept(proposed)

    def reject(self, result: int = 1, source: int = 1, reason: int = 1) -> None:
        """Reject the association, with the numbers of PS3.8 Table 9-21."""
        self._ul.reject(result, source, reason)

    def release(self, *, force: bool = False) -> None:
        """Ask for the release (PS3.8 7.2).

        Raises ``LocalProtocolError`` while requests are outstanding or unanswered (PS3.7 A.5), unless forced.
        """
        if not force:
            self._check_idle("request a release", [*self.outstanding, *self.unanswered])
        self._ul.release()

    def respond_release(self, *, force: bool = False) -> None:
        """Answer the peer's release (PS3.8 7.2.2.3).

        Raises ``LocalProtocolError`` while requests of the peer are unanswered, unless forced. In a collision
        they cannot be answered any more (PS3.8 Table 9-10: no data in Sta9 to Sta12), so there they hinder nothing.
        """
        if not force and self._ul.state is State.STA8:
            self._check_idle("answer a release", list(self.unanswered))
        self._ul.respond_release()

    def abort(self) -> None:
        """Abort (PS3.8 7.3). Always legal; in Sta1 and Sta13 it does nothing."""
        self._ul.abort()

    def _check_idle(self, what: str, operations: Sequence[Request | Performed]) -> None:
        if operations:
            raise LocalProtocolError(f"cannot {what}: {', '.join(map(repr, operations[:4]))} not finished")

    def _agreed(self) -> Agreement:
        agreement = self._ul.agreement
        if agreement is None:
            raise LocalProtocolError("the association is not established")
        return agreement

    # ------------------------------------------------------------ what it tells you

    @overload
    def next_event(self) -> Event | NeedData: ...
    @overload
    def next_event(self, turn: Turn | None) -> Event | NeedData | None: ...

    def next_event(self, turn: Turn | None = None) -> Event | NeedData | None:
        """The next event, ``NEED_DATA``, or, for ever, ``Ended``.

        The state is the state after the event returned: no step is taken beyond it. A peer may send much of which
        nothing is to be told. ``turn`` bounds the work on it: None says that none of it is left, and more is to do.
        """
        while True:
            for told in (self._performer.events, self._outbox.events):
                if told:
                    return told.pop(0)
            item = self._ul.next_event(turn)
            if item is None:
                return None
            if type(item) is PDVPiece:
                self._progress = True
                try:
                    event = self._piece(item)
                except RemoteProtocolError as error:
                    return self._fault(error)
                if event is not None:
                    return event
            elif item is NEED_DATA:
                return NEED_DATA
            else:
                return self._indicate(item)  # type: ignore[arg-type]

    def data_to_send(self, now: float) -> list[Buffer]:
        """The next buffers to write, some 256 KiB at a time; empty when there is nothing.

        To call it again says that everything it gave before has been written: that is how the engine
        knows that a peer does not take its output.
        """
        return self._ul.data_to_send(now)

    def next_timeout(self) -> float | None:
        """When to call ``handle_timeout``, on the scale of ``now``; None: never."""
        return self._ul.next_timeout()

    @property
    def wants_close(self) -> bool:
        """Whether the transport should close, once nothing is unsent."""
        return self._ul.wants_close

    def _indicate(self, event: events.UpperLayerEvent) -> Event:
        """Pass an indication of the Upper Layer on, and draw the consequences for the operations."""
        if isinstance(event, events.Ended):
            return self._end(event)
        if isinstance(event, events.ReleaseRequested):
            # The peer sends nothing more, so what we asked is not answered (PS3.8 7.2.2.1).
            self._give_up_requests()
        return event

    def _end(self, event: events.Ended) -> events.Ended:
        if self._ended is None:
            self._give_up_requests()
            outstanding = self._unfinished + len(self._performer.unanswered)
            self._performer.give_up()
            self._ended = events.Ended(
                replace(
                    event.outcome,
                    messages_received=self._messages_received,
                    messages_sent=self._outbox.messages_sent,
                    outstanding=outstanding,
                )
            )
        return self._ended

    def _give_up_requests(self) -> None:
        self._unfinished += len(self._invoker.requests)
        self._invoker.give_up()

    def _fault(self, error: RemoteProtocolError) -> Event:
        """What the peer sent is no DIMSE, or not here: A-ABORT by the service-user, cause in the event."""
        if CATALOGUE[error.code].refusal is Refusal.ABORT:
            return self._ul.refuse(error)
        return self._ul.abort_for(error)

    def _watch(self) -> None:
        """Nothing more to read: a message that has begun must go on, an idle association must not for ever."""
        timers, limits, now = self._ul.timers, self._ul.limits, self._ul.now
        if self._assembler.idle or self._ul.state not in (State.STA6, State.STA7):
            if timers.running(Timer.MESSAGE_COMPLETION):
                timers.stop(Timer.MESSAGE_COMPLETION)
        elif self._progress:
            timers.start(Timer.MESSAGE_COMPLETION, now, limits.message_completion)
        self._watch_idle()
        self._progress = False

    def _watch_idle(self) -> None:
        timers, idle = self._ul.timers, self._ul.limits.idle
        if idle is None:
            return
        outstanding = self._invoker.requests or self._performer.unanswered
        if outstanding or not self._assembler.idle or self._ul.state is not State.STA6:
            timers.stop(Timer.IDLE)
        elif self._progress or not timers.running(Timer.IDLE):
            timers.start(Timer.IDLE, self._ul.now, idle)

    # ------------------------------------------------------------ what arrives

    def _piece(self, piece: PDVPiece) -> Event | None:
        """Route a piece of P-DATA. Raises ``RemoteProtocolError`` for what is no DIMSE, or refused."""
        try:
            received = self._assembler.receive(piece)
        finally:
            # Also if that failed: a fragment's own oddity comes before what it completes, however it was cut.
            for deviation in self._assembler.take_deviations():
                self._ul.check(deviation)
        if received is None:
            return None
        if isinstance(received, DataReceived):
            return (self._invoker if self._invoker.is_receiving else self._performer).data(received)
        self._messages_received += 1
        decoded = received.decoded
        for deviation in decoded.deviations:
            self._ul.check(deviation)
        event = self._message(self._agreed().by_id[received.context_id], decoded)
        limits = self._ul.limits
        # A request that is too long is answered, not a fault, so there is no end to what is dropped of it.
        longest = None if self._performer.is_gathering else limits.message
        self._assembler.max_data_set = self._invoker.longest if self._invoker.is_receiving else longest
        return event

    def _message(self, context: NegotiatedContext, decoded: Decoded) -> Event | None:
        message = decoded.message
        if message.is_response:
            return self._invoker.response(context, decoded)
        if isinstance(message, CCancelRQ):
            return self._performer.cancel(context, message)
        return self._performer.request(context, decoded)

    # ------------------------------------------------------------ what you may look at

    @property
    def state(self) -> State:
        """The state of PS3.8 Table 9-10 after the last event taken, or verb given."""
        return self._ul.state

    @property
    def now(self) -> float:
        """The latest time told."""
        return self._ul.now

    @property
    def is_requestor(self) -> bool:
        """Whether we opened the association."""
        return self._ul.is_requestor

    @property
    def request(self) -> AAssociateRQ | None:
        """The A-ASSOCIATE-RQ, ours or the peer's, as soon as it is known."""
        return self._ul.request

    @property
    def agreement(self) -> Agreement | None:
        """What was negotiated: contexts, windows, maximum length, titles; None before."""
        return self._ul.agreement

    @property
    def contexts(self) -> tuple[NegotiatedContext, ...]:
        """The presentation contexts proposed, with their results; empty before they are negotiated."""
        return self._ul.agreement.contexts if self._ul.agreement is not None else ()

    @property
    def limits(self) -> Limits:
        """The limits in force."""
        return self._ul.limits

    @property
    def outcome(self) -> Outcome | None:
        """How the association ends, as soon as that is decided; ``Ended`` has the final counts."""
        return self._ended.outcome if self._ended is not None else self._ul.outcome

    @property
    def has_room(self) -> bool:
        """Whether a request may be invoked now: established, and neither window (PS3.7 D.3.3.3) nor queue full."""
        return self._invoker.has_room

    @property
    def timeout_pending(self) -> bool:
        """Whether ``handle_timeout`` was told, and deadlines wait for the input before it to be taken."""
        return self._ul.timeout_pending

    @property
    def mid_pdu(self) -> bool:
        """Whether a PDU, or a message, has begun to arrive and not ended: a transport then acknowledges without delay.

        Some peers write a command set and its data set apart, and the second only when the first was acknowledged.
        """
        return self._ul.mid_pdu or not self._assembler.idle

    @property
    def outstanding(self) -> tuple[Request, ...]:
        """Our requests that are not over, in the order in which they were invoked."""
        return tuple(self._invoker.requests.values())

    @property
    def unanswered(self) -> tuple[Performed, ...]:
        """The peer's requests that we have not answered, in the order in which they came."""
        return tuple(self._performer.unanswered)

    def take_over(self) -> list[Request | Performed]:
        """The operations of both sides that are over since this was last asked, at most the last 4,096 a side."""
        over: list[Request | Performed] = [*self._invoker.over, *self._performer.over]
        self._invoker.over.clear()
        self._performer.over.clear()
        return over

    def deadlines(self) -> Mapping[Key, float]:
        """Every deadline that runs, by name and message ID, on the scale of ``now``."""
        return self._ul.timers.deadlines()

    @property
    def deviations(self) -> tuple[Deviation, ...]:
        """How the peer departed from the standard so far, at most ``Limits.deviations``."""
        return tuple(self._ul.deviations)

    @property
    def bytes_buffered(self) -> int:
        """Bytes received and not yet taken by ``next_event``."""
        return self._ul.bytes_buffered

    @property
    def bytes_unsent(self) -> int:
        """Bytes queued, or given by ``data_to_send`` and not known to be written."""
        return self._ul.bytes_unsent
