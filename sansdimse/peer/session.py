"""Routing: every event goes to the operation it belongs to, and to nobody else.

After each thing it tells the engine, a transport calls ``pump``, which takes events until there are no
more or an inbox is full. What a poll would swallow for others lies in an inbox here; so several
conversations share one association, and cancelling one leaves the others alone.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sansdimse import events
from sansdimse.dimse.status import CANCEL, PROCESSING_FAILURE, SOP_CLASS_NOT_SUPPORTED
from sansdimse.errors import LocalProtocolError, ProtocolError
from sansdimse.peer.handlers import WithStore
from sansdimse.peer.inbox import Inbox
from sansdimse.peer.ledger import Ledger
from sansdimse.peer.line import Line
from sansdimse.peer.watch import AssociationEnded, AssociationEstablished, Occurrence, Statistics, Watch, unwatched
from sansdimse.services.query import FindSCP
from sansdimse.services.retrieve import GetSCP, MoveSCP
from sansdimse.ul.machine import Turn
from sansdimse.ul.parties import WhenIdle
from sansdimse.ul.pdu import AAssociateAC, AAssociateRJ
from sansdimse.ul.table import State

if TYPE_CHECKING:
    from sansdimse.admission import Certificate
    from sansdimse.association import Association
    from sansdimse.dimse.status import Status
    from sansdimse.outcome import Outcome
    from sansdimse.peer.link import Destination, Job, Link, Signal
    from sansdimse.peer.scu import Peer
    from sansdimse.services.normalized import NormalizedSCP
    from sansdimse.services.operation import Performed, Request
    from sansdimse.services.storage import StoreSCP
    from sansdimse.services.verification import EchoSCP
    from sansdimse.ul.agreement import Agreement
    from sansdimse.ul.items import UserIdentityRQ

    Served = EchoSCP | StoreSCP | FindSCP | GetSCP | MoveSCP | NormalizedSCP

Conversation = Coroutine[Any, Any, None]
Requested = (
    events.EchoRequested
    | events.StoreRequested
    | events.FindRequested
    | events.GetRequested
    | events.MoveRequested
    | events.NormalizedRequested
)
Serve = Callable[[object, "Session", Requested], Conversation]
"""How the conversation of a service for a request is made."""
Decide = Callable[["Session"], Awaitable[AAssociateAC | AAssociateRJ]]
"""What to answer to an association request; it may take its time, within ``Limits.local_answer``."""
Report = Callable[[BaseException, str], object]
"""Told of what goes wrong in handlers: the error, and in whose request."""
Associate = Callable[["Destination", Mapping[str, Any]], AbstractAsyncContextManager["Peer"]]
"""Opens another association, with options of ``associate``; leaving releases it."""


def opens_none(destination: Destination, options: Mapping[str, Any]) -> AbstractAsyncContextManager[Peer]:
    """The ``Associate`` of a transport that has none."""
    raise LocalProtocolError(f"this transport opens no association with {destination}")


def invents_none() -> str:
    """The source of UIDs of who gave none."""
    raise LocalProtocolError("there is no source of UIDs to name an instance by")


class AssociationLost(ProtocolError):
    """The association ended before what you asked was done, or never was; ``outcome`` says how."""

    def __init__(self, outcome: Outcome, address: str = "") -> None:
        whose = f" with {address}" if address else ""
        what = f"no association{whose}" if outcome.state < State.STA6 else f"the association{whose} ended"
        super().__init__(f"{what}: {outcome}")
        self.outcome = outcome
        self.address = address
        """The peer's."""
        self.in_doubt: tuple[Any, ...] = ()
        """Of ``Peer.c_store_each``: the sources whose storing had begun and whose answers never came. The peer may
        have stored them."""

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.outcome, self.address), {"in_doubt": self.in_doubt}  # from one process to another


@dataclass(frozen=True, slots=True)
class AssociationInfo:
    """Who is at the other end. Titles are as the peer gave them: escape them before they go into a log."""

    calling_ae_title: str
    called_ae_title: str
    address: str
    agreement: Agreement
    user_identity: UserIdentityRQ | None = None
    """Who the requestor says it is (PS3.7 D.3.3.7)."""
    certificate: Certificate | None = None
    """The peer's, as TLS verified it."""


class Session:
    """One association with its conversations; ``serve`` makes those of ``service``, which answers the peer."""

    def __init__(
        self,
        engine: Association,
        link: Link,
        *,
        address: str = "",
        serve: Serve | None = None,
        service: object | None = None,
        decide: Decide | None = None,
        certificate: Callable[[], Certificate | None] = lambda: None,
        report: Report = lambda error, where: None,
        watch: Watch = unwatched,
        associate: Associate = opens_none,
        new_uid: Callable[[], str] = invents_none,
    ) -> None:
        self.engine = engine
        self.link = link
        self.address = address
        self.report = report
        self.certificate = certificate
        """The peer's certificate, once TLS has verified it."""
        self.associate = associate
        """How another association is opened: a C-MOVE's."""
        self.new_uid = new_uid
        """What a SOP instance is named by that the peer leaves to us to name (PS3.7 10.1.5.1.4)."""
        self.ledger = Ledger(self)
        """What became of each operation."""
        self._watch = watch
        self._opened_at = engine.now
        self._info: AssociationInfo | None = None
        self._serve = serve
        self.service = service
        """Whose methods answer the peer; None: nobody's."""
        self._is_storing = False
        self._decide = decide or _as_negotiated
        self._inboxes: dict[Request | Performed, Inbox] = {}
        self.full = 0
        """How many inboxes are full; kept, since a peer may have thousands of requests outstanding."""
        self.behind = False
        """Whether there is more to take when others have had their turn: see ``pump_some``."""
        self._jobs: dict[Performed, Job] = {}
        self._begun: dict[Performed, Callable[[], object] | None] = {}  # conversations that run: what a C-CANCEL does
        self._answering: Job | None = None
        self._waiting: list[Signal] = []  # for anything about the association as a whole to change
        self.line = Line(engine)
        """Who waits for room in the window."""
        self.ended = False
        """Whether the engine has told its last event."""

    # ------------------------------------------------------------ for the transport

    @property
    def stalled(self) -> bool:
        """Whether to read no more for now: we are behind, an inbox is full, or the peer does not take its answers."""
        return self.behind or self.full > 0 or self.engine.bytes_unsent > self.engine.limits.output

    def pump(self, turn: Turn | None = None) -> None:
        """Take events until there are no more, the end, or an inbox is full.

        A deadline that came is let pass even then: what was read already goes into the inbox, and a
        transport that reads no more while ``stalled`` adds nothing to it.
        """
        self.behind = False
        while not self.ended and (self.engine.timeout_pending or self.full <= 0):
            event = self.engine.next_event(turn)
            if event is None:
                self.behind = True
                break
            if event is events.NEED_DATA:
                break
            self._route(event)
        if self.ledger.settle():  # perhaps an abandoned one, whose answer is no event
            self._changed()
        else:
            self.line.look()  # what waited behind a data set may have left, without an event

    def pump_some(self) -> None:
        """The same where one thread drives several: no more than others can wait for, and nothing while ``behind``.

        Then let the others have their turn, set ``behind`` to False, and call it again.
        """
        if not self.behind:
            self.pump(Turn())

    # ------------------------------------------------------------ for conversations

    @property
    def outcome(self) -> Outcome | None:
        """How the association ends, as soon as that is decided."""
        return self.engine.outcome

    def check_alive(self) -> None:
        """Raise ``AssociationLost`` if nothing will come any more."""
        outcome = self.engine.outcome
        if outcome is not None:
            raise AssociationLost(outcome, self.address)

    def info(self) -> AssociationInfo:
        """Who is at the other end.

        TLS is asked once, when the association is established: handlers ask in threads of their own, and OpenSSL is
        not for several.
        """
        if self._info is None:
            agreement = self.engine.agreement
            if agreement is None:
                raise RuntimeError("the association is not established")
            self._info = AssociationInfo(
                agreement.calling_ae_title,
                agreement.called_ae_title,
                self.address,
                agreement,
                self.engine.request.user_identity if self.engine.request is not None else None,
                self.certificate(),
            )
        return self._info

    def open_inbox(self, operation: Request | Performed, inbox: Inbox | None = None) -> Inbox:
        """An inbox for an operation, a new one or one shared; events of an operation that has none are dropped."""
        inbox = self._inboxes[operation] = inbox or Inbox(self)
        self.ledger.open(operation)
        return inbox

    def inbox(self, operation: Request | Performed) -> Inbox:
        """The inbox of an operation; an empty one if the association ended before its conversation began."""
        return self._inboxes.get(operation) or Inbox(self)

    def close_inbox(self, operation: Request | Performed) -> None:
        """Nobody takes this operation's events any more."""
        inbox = self._inboxes.pop(operation, None)
        if inbox is not None:
            if inbox.is_full and not any(each is inbox for each in self._inboxes.values()):
                self.full -= 1
                inbox.clear()
            inbox.is_closed = True
            inbox.wake()
            self._changed()
            self.link.kick()

    def wake(self, operation: Request | Performed) -> None:
        """Whoever waits for an event of this operation looks whether there is anything more to wait for."""
        inbox = self._inboxes.get(operation)
        if inbox is not None:
            inbox.wake()

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
        """Return when a request may be invoked, for the window (PS3.7 D.3.3.3) and what waits already: do so at once.

        First come, first served, so that one conversation with much to ask does not keep the others waiting.
        """
        await self.established()
        self.check_alive()
        place = self.line.join()
        try:
            while not place.has_come:
                self.check_alive()
                place.signal = self.link.signal()
                await place.signal.wait()
            self.check_alive()
        finally:
            place.leave()

    async def end(self) -> Outcome:
        """Return when the association is over and its connection may be closed."""
        while not self.ended:
            await self.changed()
        outcome = self.engine.outcome
        if outcome is None:
            raise RuntimeError("an association ended without an outcome")
        return outcome

    @asynccontextmanager
    async def storing(self, handler: Any) -> AsyncIterator[Callable[[], None]]:
        """While in here, and once what this gives was called, C-STOREs go to this handler; None: to the service.

        Raises ``TypeError`` if there is neither, ``LocalProtocolError`` if others are in here: nothing in a C-STORE
        says whose C-GET it is of.
        """
        if self._is_storing:
            raise LocalProtocolError("another C-GET of ours is not over: its C-STOREs and ours could not be told apart")
        before = self.service
        if handler is None and not callable(getattr(before, "c_store", None)):
            raise TypeError("nobody stores what comes: give c_get a handler with store=, or associate a service")
        self._is_storing = True

        def begin() -> None:
            if handler is not None:
                self.service = WithStore(handler, before)

        try:
            yield begin
        finally:
            self._is_storing = False
            self.service = before

    def abort(self) -> None:
        """End the association at once (PS3.8 7.3); whoever waits for something on it is told."""
        self.engine.abort()
        self._changed()
        self.link.kick()

    def tell(self, occurrence: Occurrence) -> None:
        """Tell whoever watches; what that raises is reported."""
        try:
            self._watch(occurrence)
        except Exception as error:  # noqa: BLE001 - the user's code may raise anything; no association dies of it
            self.report(error, "watch")

    # ------------------------------------------------------------ routing

    def _route(self, event: events.Event) -> None:
        match event:
            case events.DatasetReceived() | events.ResponseReceived() | events.SendingAllowed():
                self._deliver(event.operation, event)
            case events.CancelRequested():
                self._cancel(event.operation)
            case events.UnservableRequested() if event.operation.may_respond:
                self.ledger.open(event.operation)
                event.operation.respond()
            case events.AssociationRequested():
                self._answering = self.link.spawn(self._answer())
            case events.AssociationAccepted():
                self.tell(AssociationEstablished(self.info()))
            case events.IdleTooLong():
                self._idle()
            case events.Ended():
                self._end()
            case _ if isinstance(event, Requested):
                self._requested(event)
        if not isinstance(event, events.DatasetReceived):
            self._answer_release()
            self._changed()

    def _requested(self, event: Requested) -> None:
        if self._serve is None or self.service is None:
            # Nobody serves here; the peer was not offered to, so this is for the record (PS3.7 C.5.6).
            self.refuse(event.operation, SOP_CLASS_NOT_SUPPORTED)
            return
        self.open_inbox(event.operation)
        self._jobs[event.operation] = self.link.spawn(self._converse(self._serve, self.service, event))

    def on_cancel(self, operation: Performed, what: Callable[[], object] | None) -> None:
        """What a C-CANCEL for it does; None: it cancels its conversation, where the loop can."""
        self._begun[operation] = what

    def _cancel(self, operation: Performed) -> None:
        """A C-CANCEL came. Who does not notice at once sees it between two matches, or two instances.

        A conversation that has not begun must begin, or nobody would answer.
        """
        if operation in self._begun:
            job, what = self._jobs.get(operation), self._begun[operation]
            if what is not None:
                what()
            elif job is not None:
                job.cancel()

    def _deliver(self, operation: Request | Performed, event: events.Event) -> None:
        inbox = self._inboxes.get(operation)
        if inbox is not None:
            inbox.put(event)

    async def _converse(self, serve: Serve, service: object, event: Requested) -> None:
        operation = event.operation
        self._begun[operation] = None
        try:
            await serve(service, self, event)
        finally:
            # Cancelled, but not by the association's end: the peer still waits.
            self.refuse(operation, CANCEL if operation.cancelled else PROCESSING_FAILURE)
            self._begun.pop(operation, None)
            self._jobs.pop(operation, None)
            self._answer_release()
            self.close_inbox(operation)

    def refuse(self, operation: Served, status: Status) -> None:
        """Answer with this status and nothing else, if an answer is owed."""
        if operation.may_respond:
            try:
                if isinstance(operation, FindSCP | GetSCP | MoveSCP):
                    operation.finish(status)
                else:
                    operation.respond(status)
            except LocalProtocolError:  # its sub-operations run, and nobody waits for their answers any more
                self.abort()

    async def _answer(self) -> None:
        answer: AAssociateAC | AAssociateRJ = AAssociateRJ(2, 1, 1)
        try:
            answer = await self._decide(self)
        except Exception as error:  # noqa: BLE001 - access and Acceptor.extended are the user's; reported, and answered
            self.report(error, "A-ASSOCIATE-RQ")
        finally:
            self._say(answer)  # also if access was cancelled from within: the peer still waits

    def _say(self, answer: AAssociateAC | AAssociateRJ) -> None:
        """Answer the association request."""
        if self.engine.state is not State.STA3:
            return  # the peer did not wait for it
        if isinstance(answer, AAssociateAC):
            self.engine.accept(answer)
            self.tell(AssociationEstablished(self.info()))
        else:
            self.engine.reject(answer.result, answer.source, answer.reason)
        self._changed()
        self.link.kick()

    def _idle(self) -> None:
        """Nothing is outstanding (PS3.8 7.2 allows the release), so what ``WhenIdle`` says can be done at once."""
        if self.engine.config.when_idle is WhenIdle.ECHO:
            try:
                self.ledger.open(self.engine.c_echo())
            except LocalProtocolError:
                pass  # no context in which we are SCU of Verification
            else:
                return
        self.engine.release()

    def _answer_release(self) -> None:
        """The peer wants to release: it may, when what it asked is answered (PS3.8 7.2.2.3).

        What cannot be answered any more is not waited for: a data set that ended with the release, and in a
        collision anything.
        """
        engine, state = self.engine, self.engine.state
        if state in (State.STA9, State.STA12) or (
            state is State.STA8 and not any(operation.data_complete for operation in engine.unanswered)
        ):
            engine.respond_release(force=True)

    def _end(self) -> None:
        self.ended = True
        self._let_go()
        self._inboxes = {}
        self.ledger.settle()
        self.tell(AssociationEnded(self.statistics()))

    def statistics(self) -> Statistics:
        """This association in figures, complete when it has ended."""
        engine, request = self.engine, self.engine.request
        if engine.outcome is None:
            raise RuntimeError("the association has not ended")
        return Statistics(
            address=self.address,
            calling_ae_title=request.calling_ae_title if request is not None else "",
            called_ae_title=request.called_ae_title if request is not None else "",
            outcome=engine.outcome,
            duration=engine.now - self._opened_at,
            operations=self.ledger.settled,
            deviations=engine.deviations,
        )

    def _changed(self) -> None:
        waiting, self._waiting = self._waiting, []
        for signal in waiting:
            signal.set()
        self.line.look()
        if self.engine.outcome is not None:
            self._let_go()

    def _let_go(self) -> None:
        """How it ends is decided, though the connection may last until the peer has closed it: nobody need wait."""
        jobs, self._jobs = self._jobs, {}
        for job in jobs.values():
            job.cancel()
        answering, self._answering = self._answering, None
        if answering is not None:
            answering.cancel()
        for inbox in self._inboxes.values():
            inbox.wake()


async def _as_negotiated(session: Session) -> AAssociateAC | AAssociateRJ:
    """What ``Acceptor`` says, and nothing else."""
    return session.engine.proposed_answer()
