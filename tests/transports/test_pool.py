"""A pool on every transport, before our own server: the same stories, on loops as tasks and on sockets as threads."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import Any, Final

import pytest
import trio
import trustme

import sansdimse_asyncio
import sansdimse_socket
import sansdimse_trio
from engine_pair import CT, acceptor
from memory_link import instance
from raw_socket import RawSocket, nothing_leaks, scripted
from running import HOST, PATIENCE, TRANSPORTS, Running, running
from sansdimse import VERIFICATION, AsynchronousOperationsWindow, Limits, OutcomeKind, Side, WhenIdle
from sansdimse.peer.blocking import run
from sansdimse.peer.link import Destination
from sansdimse.peer.pool import PoolClosed, PoolStatistics
from sansdimse.peer.session import AssociationLost
from sansdimse.peer.watch import AssociationEstablished, OperationEnded
from sansdimse_socket.link import Link as SocketLink

ON_EACH: Final = pytest.mark.parametrize("kit", TRANSPORTS, indirect=True)
ON_LOOPS: Final = pytest.mark.parametrize("kit", TRANSPORTS[1:], indirect=True)
SUPPORTS: Final = [VERIFICATION, CT]
IDLE: Final = 0.1
"""Seconds, of real time, where something is to be idle too long."""
QUICK: Final = replace(Limits(), artim=0.2)
"""For servers whose handlers do not return, so that they do not close either."""

Story = Coroutine[Any, Any, Any]


class Kit:
    """What a story needs of a loop."""

    module: Any

    def run(self, story: Callable[[], Story]) -> Any:
        raise NotImplementedError

    def event(self) -> Any:
        """Something with ``set`` and an async ``wait``."""
        raise NotImplementedError

    async def beside(self, *stories: Story) -> None:
        """Run all of these at once, to their ends."""
        raise NotImplementedError

    async def pause(self) -> None:
        """Let others do something."""
        raise NotImplementedError

    def pool(self, **settings: Any) -> AbstractAsyncContextManager[Any]:
        return self.module.Pool(**settings)  # type: ignore[no-any-return]

    async def until(self, happened: Callable[[], object]) -> None:
        """Return when this is so."""
        for _ in range(int(PATIENCE / 0.002)):
            if happened():
                return
            await self.pause()
        raise AssertionError("it did not come about")


class OnAsyncio(Kit):
    module = sansdimse_asyncio

    def run(self, story: Callable[[], Story]) -> Any:
        async def alone() -> Any:
            value = await story()
            assert asyncio.all_tasks() == {asyncio.current_task()}
            return value

        return asyncio.run(alone())

    def event(self) -> asyncio.Event:
        return asyncio.Event()

    async def beside(self, *stories: Story) -> None:
        async with asyncio.TaskGroup() as group:
            for story in stories:
                group.create_task(story)

    async def pause(self) -> None:
        await asyncio.sleep(0.002)


class OnTrio(Kit):
    module = sansdimse_trio

    def run(self, story: Callable[[], Story]) -> Any:
        return trio.run(story)

    def event(self) -> trio.Event:
        return trio.Event()

    async def beside(self, *stories: Story) -> None:
        async with trio.open_nursery() as nursery:
            for story in stories:
                nursery.start_soon(partial(_awaited, story))

    async def pause(self) -> None:
        await trio.sleep(0.002)


async def _awaited(story: Awaitable[None]) -> None:
    await story


class Event:
    """For threads."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self.set = self._event.set

    async def wait(self) -> None:
        assert self._event.wait(PATIENCE)


class Unblocked:
    """A blocking peer or pool in the clothes of the others: awaiting it blocks."""

    def __init__(self, blocking: Any) -> None:
        self._blocking = blocking

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._blocking, name)
        if not callable(found):
            return found

        async def call(*arguments: Any, **named: Any) -> Any:
            return found(*arguments, **named)

        return call

    @asynccontextmanager
    async def association(self, *arguments: Any, **named: Any) -> AsyncIterator[Any]:
        with self._blocking.association(*arguments, **named) as peer:
            yield Unblocked(peer)


class OnSockets(Kit):
    module = sansdimse_socket

    def run(self, story: Callable[[], Story]) -> Any:
        return run(story())

    def event(self) -> Event:
        return Event()

    async def beside(self, *stories: Story) -> None:
        errors: list[BaseException] = []

        def body(story: Story) -> None:
            try:
                run(story)
            except BaseException as error:
                errors.append(error)

        threads = [threading.Thread(target=body, args=(story,)) for story in stories]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
            assert not thread.is_alive()
        if errors:
            raise errors[0]

    async def pause(self) -> None:
        threading.Event().wait(0.002)

    @asynccontextmanager
    async def pool(self, **settings: Any) -> AsyncIterator[Any]:  # type: ignore[override]
        with self.module.Pool(**settings) as pool:
            yield Unblocked(pool)


@pytest.fixture
def kit(request: pytest.FixtureRequest) -> Kit:
    kinds: dict[str, type[Kit]] = {"socket": OnSockets, "asyncio": OnAsyncio, "trio": OnTrio}
    return kinds[request.param]()


class Service:
    """Takes all; a C-STORE waits until it may go on."""

    def __init__(self) -> None:
        self.may = threading.Event()
        self.may.set()
        self.at_once = self.most = 0
        self.entered = threading.Semaphore(0)
        self._lock = threading.Lock()

    def c_store(self, store: Any) -> int:
        store.read()
        with self._lock:
            self.at_once += 1
            self.most = max(self.most, self.at_once)
        self.entered.release()
        assert self.may.wait(PATIENCE)
        with self._lock:
            self.at_once -= 1
        return 0


@contextmanager
def served(service: object | None = None, **options: Any) -> Iterator[tuple[Destination, Running]]:
    """A server, on sockets, and where it is; nothing is left afterwards."""
    options.setdefault("supports", SUPPORTS)
    with nothing_leaks(), running("socket", service or Service(), **options) as server:
        yield Destination(HOST, server.port, "SERVER"), server
        assert not server.reports


async def echo(pool: Any, to: Destination, *contexts: Any, **settings: Any) -> None:
    async with pool.association(to, contexts or [VERIFICATION], **settings) as peer:
        assert await peer.c_echo() == 0


async def store(pool: Any, to: Destination, size: int = 1000, **settings: Any) -> None:
    async with pool.association(to, [VERIFICATION, CT], **settings) as peer:
        assert await peer.c_store(instance(size)) == 0


def figures(pool: Any) -> tuple[int, int, int, int]:
    it: PoolStatistics = pool.statistics
    return it.opened, it.reused, it.released, it.lost


def established(server: Running) -> int:
    return sum(isinstance(each, AssociationEstablished) for each in server.occurrences)


def ends(server: Running) -> list[tuple[OutcomeKind, Side]]:
    return [(each.outcome.kind, each.outcome.by) for each in server.ended]


RELEASED: Final = (OutcomeKind.RELEASED, Side.PEER)


# ---------------------------------------------------------------- use, and use again


@ON_EACH
def test_associations_are_used_again_where_they_fit(kit: Kit) -> None:
    async def story() -> None:
        async with kit.pool() as pool:
            for _ in range(3):
                await echo(pool, to)
            assert figures(pool) == (1, 2, 0, 0)
            await store(pool, to)
            await echo(pool, to)  # fits both: that left last
            assert figures(pool) == (2, 3, 0, 0)
            await echo(pool, replace(to, called="ELSE"))
            await echo(pool, to, maximum_length=16384)
            assert figures(pool) == (4, 3, 0, 0)
            assert pool.statistics.idle == 4
        assert figures(pool) == (4, 3, 4, 0)

    with served() as (to, server):
        kit.run(story)
        server.until(lambda: len(server.ended) == 4)
        assert ends(server) == [RELEASED] * 4


@ON_EACH
def test_idle_associations_are_released_when_their_time_has_come(kit: Kit) -> None:
    async def story() -> None:
        async with kit.pool(idle=IDLE) as pool:
            await echo(pool, to)
            await kit.until(lambda: figures(pool) == (1, 0, 1, 0))
            assert pool.statistics.held == 0
            await echo(pool, to)
            assert figures(pool) == (2, 0, 1, 0)

    with served() as (to, server):
        kit.run(story)
        server.until(lambda: len(server.ended) == 2)
        assert ends(server) == [RELEASED] * 2


@ON_EACH
def test_a_full_pool_serves_all_and_never_opens_more(kit: Kit) -> None:
    service = Service()

    async def story() -> None:
        async with kit.pool(most=2) as pool:
            await kit.beside(*(store(pool, to) for _ in range(8)))
            assert figures(pool) == (2, 6, 0, 0)

    with served(service) as (to, server):
        kit.run(story)
        server.until(lambda: len(server.ended) == 2)
        assert established(server) == 2
        assert service.most <= 2


@ON_EACH
def test_an_idle_one_makes_room_for_another_destination(kit: Kit) -> None:
    async def story() -> None:
        async with kit.pool(most=1) as pool:
            for called in ("A", "B", "A"):
                await echo(pool, replace(to, called=called))
            assert figures(pool) == (3, 0, 2, 0)

    with served() as (to, server):
        kit.run(story)
        server.until(lambda: len(server.ended) == 3)
        assert ends(server) == [RELEASED] * 3


@ON_EACH
def test_a_deadline_is_for_ones_turn(kit: Kit) -> None:
    async def story() -> None:
        async with kit.pool(most=1) as pool, pool.association(to, [VERIFICATION]) as peer:
            with pytest.raises(TimeoutError, match="no association of the pool got free"):
                await echo(pool, to, deadline=IDLE)
            assert await peer.c_echo() == 0
            assert pool.statistics.waiting == 0

    with served() as (to, _):
        kit.run(story)


@ON_EACH
def test_over_tls(kit: Kit) -> None:
    authority = trustme.CA()
    theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("archive.example").configure_cert(theirs)
    ours = ssl.create_default_context()
    authority.configure_trust(ours)

    async def story() -> None:
        async with kit.pool() as pool:
            secured = replace(to, tls=ours, server_name="archive.example")
            for _ in range(2):
                await store(pool, secured, 1_000_000)
            assert figures(pool) == (1, 1, 0, 0)
            with pytest.raises(AssociationLost, match="TLS"):
                await echo(pool, replace(secured, server_name="else.example"))

    with served(tls=theirs) as (to, server):
        kit.run(story)
        server.until(lambda: len(server.ended) == 2)


@ON_LOOPS
def test_several_share_one_within_its_window(kit: Kit) -> None:
    service = Service()
    service.may.clear()
    window = AsynchronousOperationsWindow(4, 1)

    async def story() -> None:
        async with kit.pool(most=1, window=window) as pool:

            async def allow() -> None:
                await kit.until(lambda: pool.statistics.reused == 3)
                service.may.set()

            await kit.beside(allow(), *(store(pool, to, share=True) for _ in range(6)))
            assert figures(pool) == (1, 5, 0, 0)

    with served(service, window=window) as (to, server):
        kit.run(story)
        server.until(lambda: len(server.ended) == 1)
        assert established(server) == 1


# ---------------------------------------------------------------- health


@ON_EACH
@pytest.mark.parametrize(("when_idle", "clean"), [(WhenIdle.ABORT, False), (WhenIdle.RELEASE, True)])
def test_what_the_peer_ends_while_idle_is_noticed_and_not_given(kit: Kit, when_idle: WhenIdle, clean: bool) -> None:
    async def story() -> None:
        async with kit.pool() as pool:
            await echo(pool, to)
            await kit.until(lambda: figures(pool) == ((1, 0, 1, 0) if clean else (1, 0, 0, 1)))
            await echo(pool, to)
            assert pool.statistics.opened == 2

    with served(limits=replace(Limits(), idle=IDLE), when_idle=when_idle) as (to, server):
        kit.run(story)
        server.until(lambda: len(server.ended) == 2)


@ON_EACH
def test_a_server_that_is_started_again_is_found_again(kit: Kit) -> None:
    @asynccontextmanager
    async def started(port: int) -> AsyncIterator[Destination]:
        with sansdimse_socket.serve(HOST, port, Service(), supports=SUPPORTS) as server:
            yield Destination(HOST, server.port)
            stopping = threading.Thread(target=server.close, args=(0,))
            stopping.start()
            await kit.until(lambda: not stopping.is_alive())  # meanwhile the loop goes on

    async def story() -> None:
        async with kit.pool() as pool:
            async with started(0) as to:
                await echo(pool, to)
                await store(pool, to)
            with pytest.raises(AssociationLost, match=r"refused|failed"):
                await echo(pool, to)
            async with started(to.port):
                await echo(pool, to)
            assert pool.statistics.opened == 3

    with nothing_leaks():
        kit.run(story)


class Deaf(sansdimse_socket.Pool):
    """Its keeper does not hear of anything by itself."""

    def _stirring(self, unused: Any, until: float | None) -> Any:
        return super()._stirring([kept for kept in unused if kept.member.ending], until)


def test_the_blocking_pool_looks_before_it_gives() -> None:
    with served(limits=replace(QUICK, idle=IDLE)) as (to, server), Deaf(most=1) as pool:
        with pool.association(to, [VERIFICATION]) as peer:
            assert peer.c_echo() == 0
        server.until(lambda: any(each.outcome.kind is OutcomeKind.TIMED_OUT for each in server.ended))
        assert pool.statistics.idle == 1
        with pool.association(to, [VERIFICATION]) as peer:
            assert peer.c_echo() == 0
        assert figures(pool) == (2, 0, 0, 1)


@ON_EACH
def test_keep_alive_goes_on_while_idle(kit: Kit) -> None:
    async def story() -> None:
        limits = replace(Limits(), idle=IDLE / 5)
        async with kit.pool(limits=limits, when_idle=WhenIdle.ECHO) as pool:
            await echo(pool, to)
            await kit.until(lambda: len(server.operations) >= 4)
            await kit.until(lambda: pool.statistics.idle == 1)
            await echo(pool, to)
            assert pool.statistics.lost == 0

    with served() as (to, server):
        kit.run(story)


# ---------------------------------------------------------------- errors and cancellation


@ON_EACH
def test_an_error_of_the_users_leaves_the_association_in_the_pool(kit: Kit) -> None:
    async def fail(pool: Any) -> None:
        async with pool.association(to, [VERIFICATION]) as peer:
            await peer.c_echo()
            raise ZeroDivisionError

    async def story() -> None:
        async with kit.pool() as pool:
            for _ in range(2):
                with pytest.raises(ZeroDivisionError):
                    await fail(pool)
            assert figures(pool) == (1, 1, 0, 0)

    with served() as (to, _):
        kit.run(story)


@ON_EACH
def test_nobody_there_is_told_to_who_asks_and_leaves_nothing(kit: Kit) -> None:
    async def story() -> None:
        async with kit.pool(most=1) as pool:
            for _ in range(2):
                with pytest.raises(AssociationLost, match=r"refused|failed"):
                    await echo(pool, Destination(HOST, 1))
            assert pool.statistics.held == 0

    with nothing_leaks():
        kit.run(story)


@ON_LOOPS
def test_a_cancelled_user_leaves_what_was_asked_to_be_drained(kit: Kit) -> None:
    service = Service()
    service.may.clear()

    async def story() -> None:
        async with kit.pool(most=1) as pool:
            with pytest.raises(TimeoutError):
                await within(kit, IDLE, store(pool, to))
            assert pool.statistics.idle == 1

            async def allow() -> None:
                await kit.until(lambda: pool.statistics.waiting == 1)
                service.may.set()

            await kit.beside(echo(pool, to), allow())
            assert figures(pool) == (1, 1, 0, 0)

    with served(service) as (to, _):
        kit.run(story)


async def within(kit: Kit, seconds: float, story: Story) -> None:
    """Raise ``TimeoutError`` if it takes longer, as each loop has it."""
    if isinstance(kit, OnAsyncio):
        async with asyncio.timeout(seconds):
            await story
    else:
        with trio.move_on_after(seconds) as scope:
            await story
        if scope.cancelled_caught:
            raise TimeoutError


def test_a_deadline_of_a_blocking_user_leaves_it_to_be_drained_too() -> None:
    service = Service()
    service.may.clear()
    with served(service) as (to, _), sansdimse_socket.Pool(most=1) as pool:
        with pytest.raises(TimeoutError), pool.association(to, [VERIFICATION, CT]) as peer:
            peer.c_store(instance(1000), deadline=IDLE)
        assert pool.statistics.idle == 1
        timer = threading.Timer(IDLE, service.may.set)
        timer.start()
        with pool.association(to, [VERIFICATION, CT]) as peer:
            assert service.may.is_set()
            assert peer.c_echo() == 0
        timer.join()
        assert figures(pool) == (1, 1, 0, 0)


@ON_LOOPS
@pytest.mark.parametrize("seconds", [0.0, 0.001, 0.003, 0.01, 0.03])
def test_users_cancelled_anywhere_leave_the_pool_fit(kit: Kit, seconds: float) -> None:
    async def impatient(pool: Any) -> None:
        with suppress(TimeoutError, AssociationLost):
            await within(kit, seconds, store(pool, to, 3_000_000))

    async def story() -> None:
        async with kit.pool(most=2) as pool:
            await kit.beside(*(impatient(pool) for _ in range(8)))
            await kit.beside(*(store(pool, to) for _ in range(3)))
            assert pool.statistics.waiting == 0
            assert pool.statistics.held <= 2
        last = pool.statistics
        assert last.held == 0
        assert last.opened == last.released + last.lost

    with served() as (to, _):
        kit.run(story)


def test_an_interrupted_user_of_a_blocking_pool_leaves_nothing_to_others() -> None:
    def interrupted() -> None:
        with pool.association(to, [VERIFICATION]) as peer:
            assert peer.c_echo() == 0
            raise KeyboardInterrupt

    with served() as (to, server), sansdimse_socket.Pool() as pool:
        with pytest.raises(KeyboardInterrupt):
            interrupted()
        server.until(lambda: ends(server) == [(OutcomeKind.ABORTED, Side.PEER)])
        with pool.association(to, [VERIFICATION]) as peer:
            assert peer.c_echo() == 0
        assert pool.statistics.opened == 2


def test_many_threads_use_one_blocking_pool_at_once() -> None:
    service = Service()

    def user(number: int) -> None:
        for turn in range(15):
            with pool.association(to, [VERIFICATION, CT] if (number + turn) % 3 else [VERIFICATION]) as peer:
                assert peer.c_echo() == 0
                if (number + turn) % 3:
                    assert peer.c_store(instance(100, f"1.2.{number}.{turn}")) == 0
        done.append(number)

    done: list[int] = []
    with served(service) as (to, _), sansdimse_socket.Pool(most=3) as pool:
        threads = [threading.Thread(target=user, args=(number,)) for number in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
        assert sorted(done) == list(range(10))
        it = pool.statistics
        assert it.opened + it.reused == 150
        assert (it.lost, it.waiting) == (0, 0)
        assert it.held == it.idle <= 3
        assert service.most <= 3


def test_what_goes_wrong_in_the_keeper_ends_one_association_only(monkeypatch: pytest.MonkeyPatch) -> None:
    reports: list[tuple[BaseException, str]] = []

    def report(error: BaseException, where: str) -> None:
        reports.append((error, where))
        told.set()

    def fail(self: SocketLink) -> None:
        monkeypatch.undo()
        raise ZeroDivisionError

    told = threading.Event()
    with served() as (to, _), sansdimse_socket.Pool(idle=IDLE, report=report) as pool:
        with pool.association(to, [VERIFICATION]) as peer:
            assert peer.c_echo() == 0
        monkeypatch.setattr(SocketLink, "glance", fail)
        assert told.wait(PATIENCE)
        ((error, where),) = reports
        assert isinstance(error, ZeroDivisionError)
        assert where == str(to)
        with pool.association(to, [VERIFICATION]) as peer:
            assert peer.c_echo() == 0
    assert figures(pool) == (2, 0, 1, 1)


# ---------------------------------------------------------------- the end


@ON_EACH
def test_closing_waits_for_users_and_gives_nothing_more(kit: Kit) -> None:
    service = Service()
    service.may.clear()
    waiting = []

    async def story() -> None:
        async def use(pool: Any) -> None:
            await store(pool, to)
            with pytest.raises(PoolClosed):
                await echo(pool, to)

        async def wait(pool: Any) -> None:
            with pytest.raises(PoolClosed):
                await echo(pool, to)
            waiting.append(True)
            service.may.set()

        async def live() -> None:
            async with kit.pool(most=1) as pool:
                pools.append(pool)
                started.set()
                await kit.until(lambda: pool.statistics.waiting == 1)

        async def use_and_wait() -> None:
            await started.wait()
            pool = pools[0]

            async def wait_in_line() -> None:
                await kit.until(lambda: pool.statistics.held == 1)
                await wait(pool)

            await kit.beside(use(pool), wait_in_line())

        pools: list[Any] = []
        started = kit.event()
        await kit.beside(live(), use_and_wait())
        assert figures(pools[0]) == (1, 0, 1, 0)

    with served(service) as (to, server):
        kit.run(story)
        server.until(lambda: ends(server) == [RELEASED])
    assert waiting == [True]


@ON_EACH
@pytest.mark.parametrize("error", [False, True])
def test_what_is_used_too_long_is_aborted_and_its_user_told(kit: Kit, error: bool) -> None:
    service = Service()
    service.may.clear()

    async def story() -> None:
        async def use() -> None:
            await started.wait()
            with pytest.raises(AssociationLost) as lost:
                await store(pools[0], to)
            assert lost.value.outcome.kind is OutcomeKind.ABORTED

        async def live() -> None:
            async with kit.pool(grace=60.0 if error else 0.0, limits=QUICK) as pool:
                pools.append(pool)
                await echo(pool, to, maximum_length=16384)
                started.set()
                await kit.until(lambda: service.entered.acquire(blocking=False))
                if error:
                    raise ZeroDivisionError

        async def live_to_the_end() -> None:
            if error:
                with pytest.raises(ZeroDivisionError):
                    await live()
            else:
                await live()
            service.may.set()

        pools: list[Any] = []
        started = kit.event()
        await kit.beside(live_to_the_end(), use())
        assert figures(pools[0]) == (2, 0, 1, 1)  # that which was idle was released

    with served(service) as (to, server):
        kit.run(story)
        server.until(lambda: len(server.ended) == 2)
        assert sorted(str(kind) for kind, _ in ends(server)) == ["OutcomeKind.ABORTED", "OutcomeKind.RELEASED"]


@ON_EACH
def test_a_peer_that_does_not_answer_the_release_is_left(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{kit.module.__name__}.pool.FAREWELL", 0.1)

    def script(raw: RawSocket) -> None:
        raw.accept(acceptor())
        raw.rest()  # the release, and an abort if the connection is not cut

    async def story() -> None:
        async with kit.pool(limits=QUICK) as pool, pool.association(to, [VERIFICATION]):
            pass
        assert figures(pool) == (1, 0, 0, 1)

    with nothing_leaks(), scripted(script) as port:
        to = Destination(HOST, port)
        kit.run(story)


def test_a_thread_that_does_not_leave_is_told_of_and_its_association_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sansdimse_socket.pool.FAREWELL", 0.1)
    reports: list[tuple[BaseException, str]] = []
    entered, leave, told = threading.Event(), threading.Event(), threading.Event()

    def use() -> None:
        with pool.association(to, [VERIFICATION]) as peer:
            entered.set()
            assert leave.wait(PATIENCE)
            peer.c_echo()

    def user() -> None:
        with pytest.raises(AssociationLost):
            use()
        told.set()

    with served() as (to, server):
        pool = sansdimse_socket.Pool(grace=0.0, report=lambda error, where: reports.append((error, where)))
        with pool:
            thread = threading.Thread(target=user)
            thread.start()
            assert entered.wait(PATIENCE)
        ((error, where),) = reports
        assert (str(error), where) == ("an association of the pool is still in use", str(to))
        server.until(lambda: [each.outcome.kind for each in server.ended] == [OutcomeKind.CLOSED])
        leave.set()
        assert told.wait(PATIENCE)
    assert figures(pool) == (1, 0, 0, 1)
    pool.close()


def test_a_blocking_pool_that_was_never_entered_gives_nothing_and_closes() -> None:
    pool = sansdimse_socket.Pool()
    with pytest.raises(PoolClosed), pool.association(Destination(HOST, 1), [VERIFICATION]):
        pass
    pool.close()


@ON_LOOPS
def test_a_pool_that_is_cancelled_leaves_nothing(kit: Kit) -> None:
    service = Service()
    service.may.clear()

    async def live() -> None:
        async with kit.pool(limits=QUICK) as pool:
            await echo(pool, to)
            await store(pool, to)

    async def story() -> None:
        with pytest.raises(TimeoutError):
            await within(kit, IDLE, live())

    with served(service) as (to, server):
        kit.run(story)
        service.may.set()
        server.until(lambda: len(server.ended) == 2)


def test_an_asyncio_pool_that_is_cancelled_twice_does_not_wait_for_the_peer() -> None:
    established = threading.Event()

    def script(raw: RawSocket) -> None:
        raw.accept(acceptor())
        established.set()
        while raw.sock.recv(4096):  # the association is aborted, and this end stays open until the other is cut
            pass

    async def live() -> None:
        async with (
            sansdimse_asyncio.Pool(limits=replace(Limits(), artim=PATIENCE)) as pool,
            pool.association(Destination(HOST, port), [VERIFICATION]),
        ):
            entered.set()
            await asyncio.Event().wait()

    async def story() -> None:
        nonlocal entered
        entered = asyncio.Event()
        task = asyncio.create_task(live())
        await entered.wait()
        task.cancel()
        for _ in range(5):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert asyncio.all_tasks() == {asyncio.current_task()}

    entered = asyncio.Event()
    with nothing_leaks(), scripted(script) as port:
        asyncio.run(story())


@ON_LOOPS
def test_what_is_still_being_opened_is_given_up_at_the_end(kit: Kit) -> None:
    def script(raw: RawSocket) -> None:
        assert raw.pdu()  # the request, and no answer
        asked.set()
        raw.rest()

    async def story() -> None:
        async def live() -> None:
            async with kit.pool(grace=0.0, limits=QUICK) as pool:
                pools.append(pool)
                started.set()
                await kit.until(asked.is_set)

        async def use() -> None:
            await started.wait()
            with pytest.raises(PoolClosed):
                await echo(pools[0], Destination(HOST, port))

        pools: list[Any] = []
        started = kit.event()
        await kit.beside(live(), use())
        assert figures(pools[0]) == (0, 0, 0, 0)

    asked = threading.Event()
    with nothing_leaks(), scripted(script) as port:
        kit.run(story)


@ON_EACH
def test_what_goes_wrong_is_logged_by_default(kit: Kit, caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        pool = kit.module.Pool()
        pool._log(ZeroDivisionError("mine"), "ARCHIVE@here:104")

    kit.run(story)
    assert "ARCHIVE@here:104" in caplog.text
    assert "mine" in caplog.text


def test_an_asyncio_association_cancelled_before_its_task_began() -> None:
    async def story() -> None:
        async with sansdimse_asyncio.Pool() as pool:
            task = asyncio.create_task(echo(pool, to))
            await asyncio.sleep(0)  # it has asked, and the task that opens has not begun
            pool._abort_used()
            with pytest.raises(PoolClosed):
                await task
            assert pool.statistics.held == 0
            await echo(pool, to)

    with served() as (to, _):
        asyncio.run(story())


@ON_EACH
def test_whoever_watches_is_told(kit: Kit) -> None:
    told: list[Any] = []

    async def story() -> None:
        async with kit.pool(watch=told.append) as pool:
            await echo(pool, to)

    with served() as (to, _):
        kit.run(story)
    assert [type(each) for each in told][:2] == [AssociationEstablished, OperationEnded]
