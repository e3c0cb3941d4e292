"""Using a pool: the conversation from asking for an association to leaving it, and what keeps one on a loop.

``Pooling`` is the part of a pool that is no transport's, ``LoopPool`` what pools on event loops have in common. The
books themselves are a ``Roster``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
    contextmanager,
    nullcontext,
)
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, Unpack

from sansdimse.peer.blocking import BlockingPeer
from sansdimse.peer.caller import CommonOptions
from sansdimse.peer.link import Destination
from sansdimse.peer.options import check_options
from sansdimse.peer.pool import Member, PoolClosed, PoolStatistics, Roster, Ticket, Turn, Wanted
from sansdimse.peer.scu import Peer
from sansdimse.peer.watch import AssociationEnded, Occurrence, OperationEnded, Watch, unwatched
from sansdimse.services.storage import StoreRequest
from sansdimse.ul.table import State

if TYPE_CHECKING:
    from sansdimse.peer.link import Signal
    from sansdimse.peer.session import Report, Session
    from sansdimse.ul.agreement import NegotiatedContext
    from sansdimse.ul.plan import Need

P = TypeVar("P", bound=Peer | BlockingPeer)

MOST: Final = 8
"""Associations at once, by default: archives commonly let in ten to a hundred, of all clients together."""
IDLE: Final = 30.0
"""Seconds that an association which nobody uses is kept, by default: less than any archive waits before it aborts,
and some of them hold a study complete only when the association is released."""
GRACE: Final = 10.0
"""Seconds that users have to leave when the pool is closed, by default."""
FAREWELL: Final = 3.0
"""Seconds that peers then have to take an A-ABORT or to answer an A-RELEASE-RQ before connections are cut."""


class Pooled(Generic[P]):
    """An established association as the books look at it (``Held``), and its ``peer`` for those who use it."""

    def __init__(self, peer: P) -> None:
        self.peer: P = peer
        self.session: Session = (peer._peer if isinstance(peer, BlockingPeer) else peer).session

    @property
    def alive(self) -> bool:
        """Whether something may still be asked on it."""
        return self.session.outcome is None and self.session.engine.state is State.STA6

    @property
    def quiet(self) -> bool:
        """Whether nothing that was asked on it is outstanding, given up or not."""
        return not self.session.engine.outstanding

    @property
    def contexts(self) -> tuple[NegotiatedContext, ...]:
        """Its presentation contexts."""
        return self.session.engine.contexts

    @property
    def window(self) -> int:
        """How many requests may be outstanding on it; 0 is unlimited."""
        agreement = self.session.engine.agreement
        return 1 if agreement is None else agreement.invoke_window

    @property
    def is_sending(self) -> bool:
        """Whether a data set was begun and not ended: the association is of no use to anybody else (PS3.7 9.3.1.3)."""
        outstanding = self.session.engine.outstanding
        return any(isinstance(each, StoreRequest) and not each.data_sent for each in outstanding)

    @property
    def ended_well(self) -> bool:
        """Whether it has ended in good order."""
        outcome = self.session.outcome
        return outcome is not None and outcome.clean


class Pooling(ABC, Generic[P]):
    """A pool without its transport. ``lock`` guards the books where several threads use them."""

    def __init__(
        self,
        *,
        most: int,
        most_per_destination: int | None,
        idle: float | None,
        options: CommonOptions,
        lock: AbstractContextManager[object] | None = None,
    ) -> None:
        self._roster: Roster[Pooled[P]] = Roster(
            most=most, most_per_destination=most_per_destination, idle=idle, end=self._end
        )
        check_options("a pool", options, CommonOptions)
        self._options = options
        self._report: Report = options.get("report", self._log)
        self._lock = lock or nullcontext()
        self._is_running = False
        self._left: Signal | None = None

    # ------------------------------------------------------------ what the transport does

    @abstractmethod
    def _now(self) -> float:
        """The time."""
        ...

    @abstractmethod
    def _signal(self) -> Signal:
        """A new signal."""
        ...

    @abstractmethod
    def _told(self) -> None:
        """The books were told something, so ``Roster.next_timeout`` may be another; ``lock`` is held."""
        ...

    @abstractmethod
    def _end(self, member: Member[Pooled[P]]) -> None:
        """See to it that this association is released; ``lock`` is held, so do not wait."""
        ...

    @abstractmethod
    async def _open(self, member: Member[Pooled[P]]) -> None:
        """Open this association: the books were told of it, whether it came about or not, when this returns."""
        ...

    @abstractmethod
    def _log(self, error: BaseException, where: str) -> None:
        """The transport's ``report``, where the options name none."""
        ...

    async def _look_at(self, member: Member[Pooled[P]]) -> None:
        """See whether it still is there, where nobody has noticed yet; never waits for the peer."""

    def _spoils(self, error: BaseException) -> bool:
        """Whether an association that was left by this cannot be used again, though it seems all right."""
        return False

    # ------------------------------------------------------------ what it does

    @property
    def statistics(self) -> PoolStatistics:
        """What the pool has done, and what it has."""
        with self._lock:
            return self._roster.statistics()

    @contextmanager
    def _books(self) -> Iterator[Roster[Pooled[P]]]:
        """The books, for as long as it takes to tell them something."""
        with self._lock:
            yield self._roster
            self._told()
            if self._left is not None and not self._roster.in_use:
                self._left.set()

    def _close(self) -> Signal:
        """Give no more, let end what nobody uses; set when nobody uses anything any more."""
        left = self._left = self._signal()
        with self._books() as books:
            books.close(self._now())
        return left

    @asynccontextmanager
    async def _use(self, wanted: Wanted, deadline: float | None) -> AsyncIterator[P]:
        """An association to use, or whatever the transport raises when it cannot open one."""
        if not self._is_running:
            raise PoolClosed("a pool gives associations within its own with block")
        signal = self._signal()
        with self._books() as books:
            now = self._now()
            ticket = books.ask(wanted, now, signal.set, None if deadline is None else now + deadline)
        held: Pooled[P] | None = None
        try:
            held = await self._turn(ticket, signal)
            yield held.peer
        except BaseException as error:
            if held is not None and self._is_spoilt(ticket, held, error):
                held.session.abort()
            raise
        finally:
            with self._books() as books:
                books.leave(ticket, self._now())

    async def _turn(self, ticket: Ticket[Pooled[P]], signal: Signal) -> Pooled[P]:
        """Wait until one is there."""
        while True:
            if ticket.turn is Turn.WAITS:
                await signal.wait()
            if ticket.turn is Turn.LATE:
                raise TimeoutError("no association of the pool got free within the deadline given")
            member = ticket.member
            if member is None:
                raise PoolClosed("the pool was closed")
            if ticket.turn is Turn.OPENS:
                with self._lock:
                    if self._roster.closed:
                        raise PoolClosed("the pool was closed")
                    member.begun = True
                await self._open(member)
                if member.held is None:
                    raise PoolClosed("the pool was closed")
                return member.held
            await self._look_at(member)
            if member.held is not None and member.held.alive:
                return member.held
            signal = self._signal()
            with self._books() as books:
                books.retry(ticket, self._now(), signal.set)

    def _is_spoilt(self, ticket: Ticket[Pooled[P]], held: Pooled[P], error: BaseException) -> bool:
        """Whether whoever left by an error leaves something that others cannot use; those who share may go on."""
        alone = ticket.member is not None and ticket.member.users == 1
        return self._spoils(error) or (alone and held.is_sending)

    def _wanted(
        self, destination: Destination, contexts: Iterable[Need], options: CommonOptions, *, share: bool = False
    ) -> Wanted:
        if not isinstance(destination, Destination):
            raise TypeError(f"a pool opens associations with a Destination, not with a {type(destination).__name__}")
        check_options("association()", options, CommonOptions)
        merged: CommonOptions = {**self._options, **options}
        return Wanted(destination, contexts, merged, share=share)

    def _arguments(self, member: Member[Pooled[P]]) -> dict[str, Any]:
        """What ``associate`` is given for this one, on any transport: the books look on."""
        to = member.destination
        watch = partial(self._watched, member, member.options.get("watch", unwatched))
        who = {"calling": to.calling, "called": to.called, "contexts": member.contexts}
        where = {"host": to.host, "port": to.port, "tls": to.tls, "server_name": to.server_name}
        return {**where, **who, **member.options, "watch": watch}

    def _watched(self, member: Member[Pooled[P]], watch: Watch, occurrence: Occurrence) -> None:
        """Something happened on an association."""
        if not member.users and isinstance(occurrence, OperationEnded):
            with self._books() as books:
                books.look(self._now())
        elif isinstance(occurrence, AssociationEnded):
            self._has_ended(member)
        watch(occurrence)

    def _has_ended(self, member: Member[Pooled[P]]) -> None:
        """An association has ended by itself, or was let end."""


class Keeping:
    """How a loop's pool and the task that keeps one association tell each other."""

    def __init__(self, ready: Signal, leave: Signal) -> None:
        self.ready = ready
        """Set when it is established, or never will be."""
        self.leave = leave
        """Set when the task is to end it, or it has ended."""
        self.error: Exception | None = None
        """Why it was not established."""


class LoopPool(Pooling[Peer]):
    """A pool on an event loop: each association has a task of its own, which enters and leaves its ``associate``."""

    def __init__(
        self,
        *,
        most: int = MOST,
        most_per_destination: int | None = None,
        idle: float | None = IDLE,
        grace: float = GRACE,
        workers: int | None = None,
        source_address: tuple[str, int] | None = None,
        **options: Unpack[CommonOptions],
    ) -> None:
        super().__init__(most=most, most_per_destination=most_per_destination, idle=idle, options=options)
        self._grace = grace
        self._own: dict[str, Any] = {"source_address": source_address}
        if workers is not None:
            self._own["workers"] = workers
        self._kept: dict[Member[Pooled[Peer]], Keeping] = {}

    def association(
        self,
        destination: Destination,
        contexts: Iterable[Need],
        *,
        share: bool = False,
        deadline: float | None = None,
        **options: Unpack[CommonOptions],
    ) -> AbstractAsyncContextManager[Peer]:
        """An association to use, and to leave to others afterwards; to enter with ``async with``.

        ``contexts`` are SOP class UIDs, instances as the UIDs of SOP class and transfer syntax, or contexts with
        roles; what to propose for them is planned. An idle association fits if it goes to an equal destination with
        equal options, and each of these was accepted on it (or has been refused, less than ``idle`` seconds ago).
        Else one is opened; if the pool is full, an idle one makes room, or this waits for its turn.

        ``share`` lets others who say so use it at the same time, within the window negotiated. ``deadline`` is how
        many seconds to wait for one's turn at most: ``TimeoutError`` then. ``options`` add to those of the pool.

        Raises what ``associate`` raises, and ``PoolClosed``. Left by an exception, the association stays in the pool
        if it can be used again: it is aborted in the middle of a data set, and what was given up must be answered
        before somebody else gets it.
        """
        return self._use(self._wanted(destination, contexts, options, share=share), deadline)

    @abstractmethod
    def _associate(self, **arguments: Any) -> AbstractAsyncContextManager[Peer]:
        """The transport's ``associate``."""
        ...

    @abstractmethod
    def _start(self, member: Member[Pooled[Peer]], keeping: Keeping) -> None:
        """Run ``_keep`` in a task of its own."""
        ...

    @abstractmethod
    def _cancel(self, member: Member[Pooled[Peer]]) -> None:
        """Cancel that task."""
        ...

    async def _open(self, member: Member[Pooled[Peer]]) -> None:
        keeping = self._kept[member] = Keeping(self._signal(), self._signal())
        self._start(member, keeping)
        await keeping.ready.wait()
        if keeping.error is not None:
            raise keeping.error

    def _end(self, member: Member[Pooled[Peer]]) -> None:
        if member.held is None:
            self._cancel(member)
        else:
            self._kept[member].leave.set()

    def _has_ended(self, member: Member[Pooled[Peer]]) -> None:
        keeping = self._kept.get(member)
        if keeping is not None:  # else its task was cancelled twice, and did not wait for this
            keeping.leave.set()

    def _abort_used(self) -> None:
        """Abort what is used, or not quiet yet, and what is being opened; the users are told."""
        for member in list(self._kept):
            if member.held is None:
                self._cancel(member)
            elif member.users or not member.held.quiet:
                member.held.session.abort()

    async def _keep(self, member: Member[Pooled[Peer]], keeping: Keeping) -> None:
        """Keep one association: the whole of its task."""
        try:
            async with self._associate(**self._arguments(member), **self._own) as peer:
                with self._books() as books:
                    books.opened(member, Pooled(peer), self._now())
                keeping.ready.set()
                await keeping.leave.wait()
        except Exception as error:  # noqa: BLE001 - whoever asked for it is told; the pool outlives one association
            if member.held is None:
                keeping.error = error
            else:
                self._report(error, str(member.destination))
        finally:
            self._forget(member, keeping)

    def _forget(self, member: Member[Pooled[Peer]], keeping: Keeping) -> None:
        """Its task has ended, or was cancelled before it began. Idempotent."""
        if self._kept.pop(member, None) is not None:
            with self._books() as books:
                books.gone(member, self._now(), clean=member.held is not None and member.held.ended_well)
            keeping.ready.set()
