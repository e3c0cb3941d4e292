"""Using a pool: whoever leaves, in whatever way and wherever, leaves it fit for the others; in memory, without time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest

from engine_pair import CT, MR, acceptor
from memory_link import Anything, Cancelled, Loop, MemoryLink, Pipe, Signal, Task, _session, instance, nothing_left
from sansdimse import VERIFICATION, AsynchronousOperationsWindow, LocalProtocolError, Outcome, OutcomeKind
from sansdimse.peer.caller import Caller
from sansdimse.peer.link import Destination
from sansdimse.peer.pool import Member, PoolClosed
from sansdimse.peer.pooling import GRACE, Keeping, LoopPool, Pooled
from sansdimse.peer.scu import Peer
from sansdimse.peer.session import AssociationLost, Session
from sansdimse.peer.watch import AssociationEnded, AssociationEstablished, Occurrence, OperationEnded
from sansdimse.ul.parties import Acceptor

HERE = Destination("here", 104, "YOU", calling="ME", server_name="you")
WINDOW = AsynchronousOperationsWindow(4, 1)


class Slow(Anything):
    """A service that answers no C-STORE before it is allowed to."""

    def __init__(self, loop: Loop) -> None:
        super().__init__()
        self.allowed = Signal(loop)

    async def c_store(self, store: Any) -> int:
        await super().c_store(store)
        await self.allowed.wait()
        return 0


class Pool(LoopPool):
    """A pool in memory: every destination is the same server."""

    def __init__(self, service: object | None = None, *, server: Acceptor | None = None, **settings: Any) -> None:
        self.loop = Loop()
        self.service = service or Anything()
        self.server = server or acceptor(window=WINDOW)
        self.reports: list[tuple[BaseException, str]] = []
        self.outcomes: list[Outcome] = []
        self.tasks: dict[Member[Pooled[Peer]], Task] = {}
        self.links: list[MemoryLink] = []
        self.servers: list[Session] = []
        self.arguments: list[dict[str, Any]] = []
        self.on_open: Callable[[], None] = lambda: None
        self.on_exit: Callable[[], None] = lambda: None
        self.on_look: Callable[[], None] = lambda: None
        self.told = 0
        self.capacity = 1 << 40
        super().__init__(**settings)
        self._is_running = True

    # what a transport does

    def _now(self) -> float:
        return self.loop.now

    def _signal(self) -> Signal:
        return Signal(self.loop)

    def _told(self) -> None:
        self.told += 1

    def _log(self, error: BaseException, where: str) -> None:
        self.reports.append((error, where))

    async def _look_at(self, member: Member[Pooled[Peer]]) -> None:
        await super()._look_at(member)
        self.on_look()

    def _start(self, member: Member[Pooled[Peer]], keeping: Keeping) -> None:
        self.tasks[member] = self.loop.spawn(self._keep(member, keeping))

    def _cancel(self, member: Member[Pooled[Peer]]) -> None:
        self.tasks[member].cancel()

    def _associate(self, **arguments: Any) -> AbstractAsyncContextManager[Peer]:
        self.arguments.append(dict(arguments))
        for each in ("host", "port", "tls", "server_name", "source_address"):
            del arguments[each]
        arguments.pop("workers", None)
        arguments.setdefault("report", self._log)
        return self._associated(arguments)

    @asynccontextmanager
    async def _associated(self, arguments: dict[str, Any]) -> AsyncIterator[Peer]:
        self.on_open()
        caller = Caller(now=self.loop.now, **arguments)
        there, back = Pipe(self.capacity), Pipe()
        link = MemoryLink(self.loop, caller.engine, back, there)
        session = link.session = caller.session(link, "memory")
        caller.engine.transport_opened(self.loop.now)
        self.links.append(link)
        self.servers.append(
            _session(self.loop, self.server, there, back, self.service, lambda data: [data], self.reports)
        )
        try:
            await session.established()
            peer = Peer(session)
            yield peer
            await peer.release()
            self.on_exit()
        finally:
            session.abort()
            self.outcomes.append(await session.end())

    # what a test does

    def call(self, conversation: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.finish(conversation)

    def spawn(self, conversation: Coroutine[Any, Any, Any], **settings: Any) -> Task:
        task = self.loop.spawn(conversation, **settings)
        self.loop.run()
        return task

    def close(self) -> None:
        """Close it; nothing is left of it."""
        with self._books() as books:
            books.close(self._now())
        self.loop.run()
        self._abort_used()
        self.loop.run()
        assert not self._kept
        assert not self._roster.members
        assert all(task.done for task in self.tasks.values())
        assert all(nothing_left(link.session) for link in self.links)

    @property
    def counts(self) -> tuple[int, int, int, int]:
        it = self.statistics
        return it.opened, it.reused, it.released, it.lost


async def echo(pool: Pool, *needs: Any, **settings: Any) -> int:
    async with pool.association(HERE, needs or [VERIFICATION], **settings) as peer:
        return await peer.c_echo()


async def hold(pool: Pool, until: Signal, *needs: Any, **settings: Any) -> None:
    async with pool.association(HERE, needs or [VERIFICATION], **settings) as peer:
        await peer.c_echo()
        await until.wait()


async def store(pool: Pool, size: int = 100, **settings: Any) -> int:
    async with pool.association(HERE, [VERIFICATION, CT], **settings) as peer:
        return await peer.c_store(instance(size))


def test_an_association_is_used_again_and_released_at_the_end() -> None:
    pool = Pool()
    assert [pool.call(echo(pool)) for _ in range(3)] == [0, 0, 0]
    assert pool.counts == (1, 2, 0, 0)
    assert (pool.statistics.held, pool.statistics.idle) == (1, 1)
    assert not pool.outcomes
    pool.close()
    assert [outcome.kind for outcome in pool.outcomes] == [OutcomeKind.RELEASED]
    assert pool.counts == (1, 2, 1, 0)
    assert not pool.reports
    assert pool.told > 3


def test_what_associate_is_told() -> None:
    pool = Pool(maximum_length=16384, workers=3, source_address=("me", 0))
    pool.call(echo(pool, (CT, "1.2.840.10008.1.2"), VERIFICATION, window=WINDOW))
    (told,) = pool.arguments
    assert told.pop("watch")
    contexts = told.pop("contexts")
    assert [each.abstract_syntax for each in contexts] == [CT, VERIFICATION]
    assert told == {
        "host": "here",
        "port": 104,
        "called": "YOU",
        "calling": "ME",
        "tls": None,
        "server_name": "you",
        "workers": 3,
        "source_address": ("me", 0),
        "maximum_length": 16384,
        "window": WINDOW,
    }
    assert pool._grace == GRACE
    pool.close()


def test_whoever_watches_is_told_all() -> None:
    told: list[Occurrence] = []
    pool = Pool(watch=told.append)
    pool.call(echo(pool))
    pool.close()
    assert [type(each) for each in told] == [AssociationEstablished, OperationEnded, AssociationEnded]


def test_what_is_idle_too_long_is_released() -> None:
    pool = Pool(idle=5.0)
    pool.call(echo(pool))
    pool.loop.now = 5.0
    assert pool._roster.next_timeout() == 5.0
    with pool._books() as books:
        books.handle_timeout(5.0)
    pool.loop.run()
    assert [outcome.kind for outcome in pool.outcomes] == [OutcomeKind.RELEASED]
    pool.close()


def test_whoever_waits_gets_it_when_it_is_left() -> None:
    pool = Pool(most=1)
    until = Signal(pool.loop)
    first, second = pool.spawn(hold(pool, until)), pool.spawn(echo(pool))
    assert pool.statistics.waiting == 1
    assert not second.done
    until.set()
    pool.loop.run()
    first.result()
    assert second.result() == 0
    assert pool.counts == (1, 1, 0, 0)
    pool.close()


def test_a_deadline_is_for_ones_turn() -> None:
    pool = Pool(most=1)
    until = Signal(pool.loop)
    first, second = pool.spawn(hold(pool, until)), pool.spawn(echo(pool, deadline=5.0))
    assert pool._roster.next_timeout() == 5.0
    with pool._books() as books:
        books.handle_timeout(5.0)
    pool.loop.run()
    with pytest.raises(TimeoutError, match="no association of the pool got free"):
        second.result()
    until.set()
    pool.loop.run()
    assert first.done
    assert pool.call(echo(pool, deadline=0.0)) == 0
    pool.close()


@pytest.mark.parametrize("error", [OSError("no such file"), LocalProtocolError("not so")])
def test_what_opening_raises_is_raised(error: Exception) -> None:
    pool = Pool(most=1)

    def fail() -> None:
        raise error

    pool.on_open = fail
    for _ in range(2):
        with pytest.raises(type(error)):
            pool.call(echo(pool))
    assert pool.statistics.held == 0
    pool.on_open = lambda: None
    assert pool.call(echo(pool)) == 0
    pool.close()
    assert not pool.reports


def test_a_peer_that_rejects_is_told_to_each_who_asks() -> None:
    pool = Pool(server=Acceptor("OTHER", [VERIFICATION], require_called=True))
    for _ in range(2):
        with pytest.raises(AssociationLost) as lost:
            pool.call(echo(pool))
        assert lost.value.outcome.kind is OutcomeKind.REJECTED
    assert pool.counts == (0, 0, 0, 0)
    pool.close()


def test_more_than_one_association_holds_is_refused_at_once() -> None:
    pool = Pool()
    with pytest.raises(LocalProtocolError, match="takes 2 associations"):
        pool.association(HERE, [f"1.2.{i}" for i in range(129)])
    pool.close()


def test_mistakes_are_told_where_they_are_made() -> None:
    pool = Pool()
    with pytest.raises(TypeError, match="a pool opens associations with a Destination, not with a tuple"):
        pool.association(("pacs.example", 104), [VERIFICATION])  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="a list of what is needed, not '1"):
        pool.association(HERE, VERIFICATION)
    with pytest.raises(TypeError, match=r"association\(\) has no option 'limit': did you mean 'limits'"):
        pool.association(HERE, [VERIFICATION], limit=None)  # type: ignore[call-arg]
    pool.close()
    with pytest.raises(TypeError, match="a pool has no option 'mots': did you mean 'most'"):
        Pool(mots=3)


def test_what_the_peer_refused_is_refused_to_all_without_another_association() -> None:
    pool = Pool()

    async def store_mr() -> None:
        async with pool.association(HERE, [VERIFICATION, MR]) as peer:
            await peer.c_store(instance(sop_class=MR))

    for _ in range(2):
        with pytest.raises(LocalProtocolError, match="the peer refused its presentation contexts"):
            pool.call(store_mr())
    assert pool.counts == (1, 1, 0, 0)
    pool.close()


# ---------------------------------------------------------------- health


def test_one_that_the_peer_aborts_while_idle_is_not_given() -> None:
    pool = Pool()
    pool.call(echo(pool))
    pool.servers[0].abort()
    pool.loop.run()
    assert pool.counts == (1, 0, 0, 1)
    assert pool.statistics.held == 0
    assert pool.call(echo(pool)) == 0
    assert pool.counts == (2, 0, 0, 1)
    pool.close()


def test_one_that_the_peer_releases_while_idle_was_released() -> None:
    pool = Pool()
    pool.call(echo(pool))
    pool.servers[0].engine.release()
    pool.loop.run()
    assert pool.counts == (1, 0, 1, 0)
    assert pool.call(echo(pool)) == 0
    pool.close()


def test_one_found_dead_when_it_is_looked_at_is_replaced() -> None:
    pool = Pool(most=1)
    pool.call(echo(pool))
    pool.on_look = pool.links[0].session.abort
    assert pool.call(echo(pool)) == 0
    assert pool.counts == (2, 0, 0, 1)
    pool.close()


def test_one_that_its_user_ended_is_not_given() -> None:
    pool = Pool()

    async def release() -> None:
        async with pool.association(HERE, [VERIFICATION]) as peer:
            await peer.release()

    pool.call(release())
    assert pool.counts == (1, 0, 1, 0)
    pool.close()


def test_one_that_ends_in_use_is_told_to_its_user() -> None:
    pool = Pool(Slow)
    pool.service = Slow(pool.loop)
    task = pool.spawn(store(pool))
    pool.servers[0].abort()
    pool.loop.run()
    with pytest.raises(AssociationLost):
        task.result()
    assert pool.counts == (1, 0, 0, 1)
    pool.close()


# ---------------------------------------------------------------- leaving by an error


def test_an_error_of_the_users_leaves_the_association_in_the_pool() -> None:
    pool = Pool()

    async def fail() -> None:
        async with pool.association(HERE, [VERIFICATION]) as peer:
            await peer.c_echo()
            raise ValueError("mine")

    for _ in range(2):
        with pytest.raises(ValueError, match="mine"):
            pool.call(fail())
    assert pool.counts == (1, 1, 0, 0)
    pool.close()


def test_what_was_given_up_is_drained_before_anybody_else_gets_it() -> None:
    pool = Pool(most=1)
    pool.service = slow = Slow(pool.loop)
    task = pool.spawn(store(pool))
    task.cancel()
    pool.loop.run()
    assert task.cancelled
    waiting = pool.spawn(echo(pool))
    assert not waiting.done
    assert pool.statistics.idle == 1
    slow.allowed.set()
    pool.loop.run()
    assert waiting.result() == 0
    assert pool.counts == (1, 1, 0, 0)
    pool.close()


def test_a_data_set_that_goes_on_in_another_task_is_the_end_of_it() -> None:
    pool = Pool()

    async def store_and_fail() -> None:
        async with pool.association(HERE, [CT]) as peer:
            pool.links[0].outgoing.capacity = 100  # no data set gets through
            tasks.append(pool.loop.spawn(peer.c_store(instance(1_000_000))))
            while not peer._engine.outstanding:
                await pool.links[0].flush()
            raise ValueError("mine")

    tasks: list[Task] = []
    with pytest.raises(ValueError, match="mine"):
        pool.call(store_and_fail())
    pool.links[0].outgoing.capacity = 1 << 40
    pool.loop.run()
    with pytest.raises(AssociationLost):
        tasks[0].result()
    assert pool.counts == (1, 0, 0, 1)
    pool.close()


def test_an_error_of_one_who_shares_is_not_the_others() -> None:
    pool = Pool(most=1, window=WINDOW)
    until = Signal(pool.loop)

    async def fail() -> None:
        async with pool.association(HERE, [VERIFICATION, CT], share=True):
            await until.wait()
            raise ValueError("mine")

    failing = pool.spawn(fail())
    pool.links[0].outgoing.capacity = 100
    storing = pool.spawn(store(pool, 1_000_000, share=True))
    assert pool.statistics.reused == 1
    until.set()
    pool.loop.run()
    with pytest.raises(ValueError, match="mine"):
        failing.result()
    pool.links[0].outgoing.capacity = 1 << 40
    pool.loop.run()
    assert storing.result() == 0
    assert pool.counts == (1, 1, 0, 0)
    pool.close()


def test_those_who_share_use_one_at_once() -> None:
    pool = Pool(most=1, window=WINDOW)
    until = Signal(pool.loop)
    holding = [pool.spawn(hold(pool, until, share=True)) for _ in range(4)]
    fifth = pool.spawn(echo(pool, share=True))
    assert (pool.statistics.reused, pool.statistics.waiting) == (3, 1)
    assert not fifth.done
    until.set()
    pool.loop.run()
    assert all(task.done for task in [*holding, fifth])
    assert len(pool.links) == 1
    pool.close()


@pytest.mark.parametrize("level", [False, True])
@pytest.mark.parametrize("first", [True, False])
def test_a_user_cancelled_at_each_suspension_leaves_the_pool_fit(first: bool, level: bool) -> None:
    at = 0
    while True:
        at += 1
        pool = Pool(most=1)
        if not first:
            pool.call(store(pool))
        task = pool.spawn(store(pool, 1_000_000), cancel_at=at, level=level)
        assert pool.call(store(pool)) == 0
        assert pool.statistics.opened <= 2
        pool.close()
        figures = pool.statistics
        assert figures.opened == figures.released + figures.lost
        assert not pool.reports
        if not task.cancelled:
            break
    assert at > 3


def test_whoever_waits_for_an_opening_and_leaves_leaves_it_to_others() -> None:
    pool = Pool(most=1)
    task = pool.loop.spawn(echo(pool), cancel_at=1)
    second = pool.loop.spawn(echo(pool))
    pool.loop.run()
    assert task.cancelled
    assert second.result() == 0
    assert pool.counts == (1, 1, 0, 0)
    pool.close()


# ---------------------------------------------------------------- the end


def test_a_pool_gives_nothing_before_it_runs_nor_after() -> None:
    pool = Pool()
    pool._is_running = False
    with pytest.raises(PoolClosed, match="within its own with block"):
        pool.call(echo(pool))
    pool._is_running = True
    pool.close()
    with pytest.raises(PoolClosed, match="was closed"):
        pool.call(echo(pool))


def test_closing_tells_those_who_wait_and_lets_the_others_finish() -> None:
    pool = Pool(most=1)
    until = Signal(pool.loop)
    holding, waiting = pool.spawn(hold(pool, until)), pool.spawn(echo(pool))
    with pool._books() as books:
        books.close(0.0)
    pool.loop.run()
    with pytest.raises(PoolClosed):
        waiting.result()
    assert not holding.done
    until.set()
    pool.loop.run()
    holding.result()
    assert [outcome.kind for outcome in pool.outcomes] == [OutcomeKind.RELEASED]
    pool.close()


def test_what_is_still_used_when_the_grace_is_over_is_aborted() -> None:
    pool = Pool()
    pool.service = Slow(pool.loop)
    task = pool.spawn(store(pool))
    pool.close()
    with pytest.raises(AssociationLost) as lost:
        task.result()
    assert lost.value.outcome.kind is OutcomeKind.ABORTED
    assert pool.counts == (1, 0, 0, 1)


def test_what_is_still_being_released_then_is_not_aborted() -> None:
    pool = Pool()
    pool.call(echo(pool))
    pool.links[0].outgoing.capacity = 0
    with pool._books() as books:
        books.close(0.0)
    pool.loop.run()
    pool._abort_used()
    pool.links[0].outgoing.capacity = 1000
    pool.loop.run()
    assert [outcome.kind for outcome in pool.outcomes] == [OutcomeKind.RELEASED]
    pool.close()


def test_what_still_waits_for_an_answer_that_nobody_wants_is_aborted_then() -> None:
    pool = Pool()
    pool.service = Slow(pool.loop)
    task = pool.spawn(store(pool))
    task.cancel()
    pool.loop.run()
    assert pool.statistics.idle == 1
    pool.close()
    assert [outcome.kind for outcome in pool.outcomes] == [OutcomeKind.ABORTED]


def test_the_end_of_the_last_use_is_told_to_who_closes() -> None:
    pool = Pool()
    until = Signal(pool.loop)
    holding = pool.spawn(hold(pool, until))
    left = pool._close()
    pool.loop.run()
    assert not left.is_set  # type: ignore[attr-defined]
    until.set()
    pool.loop.run()
    assert holding.done
    assert left.is_set  # type: ignore[attr-defined]
    pool.close()


def test_what_is_still_being_opened_then_is_cancelled() -> None:
    pool = Pool()
    pool.capacity = 0  # not even the request gets through
    task = pool.spawn(echo(pool))
    with pool._books() as books:
        books.close(0.0)
    pool.loop.run()
    assert not task.done
    pool._abort_used()
    pool.links[0].outgoing.capacity = 1000
    pool.loop.run()
    with pytest.raises(PoolClosed):
        task.result()
    assert pool.counts == (0, 0, 0, 0)
    pool.close()


def test_what_is_opened_for_nobody_is_cancelled_at_the_end() -> None:
    pool = Pool()
    task = pool.loop.spawn(echo(pool), cancel_at=1)
    pool.loop.run(lambda: task.done)
    with pool._books() as books:
        books.close(0.0)
    pool.loop.run()
    assert not pool._roster.members
    pool.close()
    assert pool.counts == (0, 0, 0, 0)


def test_nothing_is_opened_in_a_pool_closed_meanwhile() -> None:
    pool = Pool(most=1)
    until = Signal(pool.loop)
    holding = pool.spawn(hold(pool, until))
    waiting = pool.spawn(echo(pool, CT))
    until.set()
    pool.loop.run(lambda: len(pool._roster.members) == 1 and pool._roster.members[0].held is None)
    with pool._books() as books:
        books.close(0.0)
    pool.loop.run()
    assert holding.done
    with pytest.raises(PoolClosed):
        waiting.result()
    assert len(pool.links) == 1
    pool.close()


def test_an_error_that_nobody_foresaw_is_reported_and_ends_one_association_only() -> None:
    pool = Pool()
    pool.call(echo(pool))

    def fail() -> None:
        raise ZeroDivisionError

    pool.on_exit = fail
    pool.servers[0].abort()
    pool.loop.run()
    ((error, where),) = pool.reports
    assert isinstance(error, ZeroDivisionError)
    assert where == "YOU@here:104"
    assert pool.call(echo(pool)) == 0
    pool.on_exit = lambda: None
    pool.close()


def test_the_end_of_an_association_whose_task_did_not_wait_for_it() -> None:
    pool = Pool()
    pool.call(echo(pool))
    (member,) = pool._roster.members
    keeping = pool._kept[member]
    pool._forget(member, keeping)
    pool.servers[0].abort()
    pool.loop.run()
    assert not keeping.leave.is_set  # type: ignore[attr-defined]
    assert not pool._roster.members
    keeping.leave.set()
    pool.close()


def test_a_cancelled_task_is_cancelled() -> None:
    """The loop of these tests throws what it says."""
    pool = Pool()
    until = Signal(pool.loop)
    task = pool.spawn(hold(pool, until))
    task.cancel()
    pool.loop.run()
    with pytest.raises(Cancelled):
        task.result()
    assert pool.counts == (1, 0, 0, 0)
    pool.close()
