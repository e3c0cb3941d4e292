"""Routing: every event goes to the operation it belongs to, and to nobody else.

After each thing it tells the engine, a transport calls ``pump``, which takes events until there are no
more or an inbox is full. What a poll would swallow for others lies in an inbox here; so several
conversations share one association, and cancelling one leaves the others alone.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sansdimse import events
from sansdimse.dimse.status import PROCESSING_FAILURE, SOP_CLASS_NOT_SUPPORTED
from sansdimse.errors import ProtocolError
from sansdimse.ul.pdu import AAssociateAC, AAssociateRJ
from sansdimse.ul.table import State

if TYPE_CHECKING:
    from sansdimse.association import Association
    from sansdimse.outcome import Outcome
    from sansdimse.peer.link import Job, Link, Signal
    from sansdimse.services.operation import Performed, Request
    from sansdimse.ul.agreement import Agreement

Conversation = Coroutine[Any, Any, None]
Requested = events.EchoRequested | events.StoreRequested
Serve = Callable[["Session", Requested], Conversation]
"""How the conversation for a request is made."""
Report = Callable[[BaseException, str], object]
"""Told of what goes wrong in handlers: the error, and in whose request."""

_INBOX_BYTES: Final = 1 << 20
"""Bytes of data set pieces in an inbox above which reading stops: four reads of 256 KiB."""

_PIECE_COST: Final = 256
"""Bytes that a piece takes besides its own: a peer may send its data set in pieces of one byte."""


class AssociationLost(ProtocolError):
    """The association ended before what you asked was done; ``outcome`` says how."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(f"the association ended: {outcome}")
        self.outcome = outcome


@dataclass(frozen=True, slots=True)
class AssociationInfo:
    """Who is at the other end. Titles are as the peer gave them: escape them before they go into a log."""

    calling_ae_title: str
    called_ae_title: str
    address: str
    agreement: Agreement


class Inbox:
    """The events of one operation that wait for its conversation."""

    __slots__ = ("_session", "events", "signal", "size")

    def __init__(self, session: Session) -> None:
        self._session = session
        self.events: deque[events.Event] = deque()
        self.size = 0
        self.signal: Signal | None = None

    @property
    def is_full(self) -> bool:
        """Whether no more should be read before something was taken."""
        return self.size >= _INBOX_BYTES

    def put(self, event: events.Event) -> None:
        """Put an event in and wake whoever waits."""
        self.events.append(event)
        self.size += _cost(event)
        self.wake()

    def wake(self) -> None:
        """Wake whoever waits."""
        if self.signal is not None:
            self.signal.set()

    async def get(self) -> events.Event:
        """The next event. Raises ``AssociationLost`` when none will come any more."""
        while not self.events:
            self._session.check_alive()
            self.signal = self._session.link.signal()
            await self.signal.wait()
        event = self.events.popleft()
        was_full = self.is_full
        self.size -= _cost(event)
        if was_full and not self.is_full:
            self._session.link.kick()
        return event


def _cost(event: events.Event) -> int:
    return len(event.data) + _PIECE_COST if isinstance(event, events.DatasetReceived) else 0


class Session:
    """One association with its conversations. ``serve`` is how a conversation for a request is made."""

    def __init__(
        self,
        engine: Association,
        link: Link,
        *,
        address: str = "",
        serve: Serve | None = None,
        decide: Callable[[Association], AAssociateAC | AAssociateRJ] | None = None,
        report: Report = lambda error, where: None,
    ) -> None:
        self.engine = engine
        self.link = link
        self.address = address
        self.report = report
        self._serve = serve
        self._decide = decide or (lambda engine: engine.proposed_answer())
        self._inboxes: dict[Request | Performed, Inbox] = {}
        self._jobs: dict[Performed, Job] = {}
        self._waiting: deque[Signal] = deque()  # for anything about the association as a whole to change
        self.ended = False
        """Whether the engine has told its last event."""

    # ------------------------------------------------------------ for the transport

    @property
    def stalled(self) -> bool:
        """Whether to read no more for now: an inbox is full, or the peer asks and does not take the answers."""
        return self.engine.bytes_unsent > self.engine.limits.output or self._full()

    def pump(self) -> None:
        """Take events until there are no more, the end, or an inbox is full.

        A deadline that came is let pass even then: what was read already goes into the inbox, and a
        transport that reads no more while ``stalled`` adds nothing to it.
        """
        outstanding = len(self.engine.outstanding)
        while not self.ended and (self.engine.timeout_pending or not self._full()):
            event = self.engine.next_event()
            if event is events.NEED_DATA:
                break
            self._route(event)
        if len(self.engine.outstanding) < outstanding:  # perhaps an abandoned one, whose answer is no event
            self._changed()

    def _full(self) -> bool:
        return any(inbox.is_full for inbox in self._inboxes.values())

    # ------------------------------------------------------------ for conversations

    @property
    def outcome(self) -> Outcome | None:
        """How the association ends, as soon as that is decided."""
        return self.engine.outcome

    def check_alive(self) -> None:
        """Raise ``AssociationLost`` if nothing will come any more."""
        outcome = self.engine.outcome
        if outcome is not None:
            raise AssociationLost(outcome)

    def info(self) -> AssociationInfo:
        """Who is at the other end."""
        agreement = self.engine.agreement
        if agreement is None:
            raise RuntimeError("the association is not established")
        return AssociationInfo(agreement.calling_ae_title, agreement.called_ae_title, self.address, agreement)

    def open_inbox(self, operation: Request | Performed) -> Inbox:
        """An inbox for an operation; events of one that has none are dropped."""
        inbox = self._inboxes[operation] = Inbox(self)
        return inbox

    def inbox(self, operation: Request | Performed) -> Inbox:
        """The inbox of an operation; an empty one if the association ended before its conversation began."""
        return self._inboxes.get(operation) or Inbox(self)

    def close_inbox(self, operation: Request | Performed) -> None:
        """Nobody takes this operation's events any more."""
        if self._inboxes.pop(operation, None) is not None:
            self._changed()
            self.link.kick()

    async def changed(self) -> None:
        """Return when something about the association as a whole may have changed."""
        signal = self.link.signal()
        self._waiting.append(signal)
        await signal.wait()

    async def established(self) -> None:
        """Return when the association is; raises ``AssociationLost`` if it never will be."""
        while self.engine.agreement is None or self.engine.state < State.STA6:
            self.check_alive()
            await self.changed()

    async def room(self) -> None:
        """Return when a request may be invoked within the window negotiated (PS3.7 D.3.3.3)."""
        await self.established()
        while not self.engine.has_room:
            self.check_alive()
            await self.changed()
        self.check_alive()

    async def end(self) -> Outcome:
        """Return when the association is over and its connection may be closed."""
        while not self.ended:
            await self.changed()
        outcome = self.engine.outcome
        if outcome is None:
            raise RuntimeError("an association ended without an outcome")
        return outcome

    def abort(self) -> None:
        """End the association at once (PS3.8 7.3); whoever waits for something on it is told."""
        self.engine.abort()
        self._changed()
        self.link.kick()

    # ------------------------------------------------------------ routing

    def _route(self, event: events.Event) -> None:
        match event:
            case events.DatasetReceived() | events.ResponseReceived() | events.SendingAllowed():
                self._deliver(event.operation, event)
            case events.EchoRequested() | events.StoreRequested() if self._serve is not None:
                self.open_inbox(event.operation)
                self._jobs[event.operation] = self.link.spawn(self._converse(self._serve, event))
            case events.EchoRequested() | events.StoreRequested() if event.operation.may_respond:
                # Nobody serves here; the peer was not offered to, so this is for the record (PS3.7 C.5.6).
                event.operation.respond(SOP_CLASS_NOT_SUPPORTED)
            case events.UnservableRequested() if event.operation.may_respond:
                event.operation.respond()
            case events.AssociationRequested():
                self._answer()
            case events.Ended():
                self._end()
        if not isinstance(event, events.DatasetReceived):
            self._answer_release()
            self._changed()

    def _deliver(self, operation: Request | Performed, event: events.Event) -> None:
        inbox = self._inboxes.get(operation)
        if inbox is not None:
            inbox.put(event)

    async def _converse(self, serve: Serve, event: Requested) -> None:
        operation = event.operation
        try:
            await serve(self, event)
        finally:
            if operation.may_respond:  # cancelled, but not by the association's end: the peer still waits
                operation.respond(PROCESSING_FAILURE)
            self._jobs.pop(operation, None)
            self._answer_release()
            self.close_inbox(operation)

    def _answer(self) -> None:
        try:
            proposed = self._decide(self.engine)
        except Exception as error:  # noqa: BLE001 - Acceptor.extended is the user's code; it is reported, and answered
            self.report(error, "A-ASSOCIATE-RQ")
            proposed = AAssociateRJ(2, 1, 1)
        if isinstance(proposed, AAssociateAC):
            self.engine.accept(proposed)
        else:
            self.engine.reject(proposed.result, proposed.source, proposed.reason)

    def _answer_release(self) -> None:
        """The peer wants to release: it may, when what it asked is answered (PS3.8 7.2.2.3).

        What cannot be answered any more is not waited for: a data set that ended with the release, and in a
        collision anything.
        """
        state, unanswered = self.engine.state, self.engine.unanswered
        if state in (State.STA9, State.STA12) or (
            state is State.STA8 and not any(operation.data_complete for operation in unanswered)
        ):
            self.engine.respond_release(force=True)

    def _end(self) -> None:
        self.ended = True
        jobs, self._jobs = self._jobs, {}
        for job in jobs.values():
            job.cancel()
        inboxes, self._inboxes = self._inboxes, {}
        for inbox in inboxes.values():
            inbox.wake()

    def _changed(self) -> None:
        waiting, self._waiting = self._waiting, deque()
        for signal in waiting:
            signal.set()
        if self.engine.outcome is not None:
            for inbox in self._inboxes.values():
                inbox.wake()
