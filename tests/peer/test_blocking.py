"""The same conversations for those who block: each method is the one of ``Peer``, run to its end."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import pytest

from engine_pair import (
    CT,
    FIND,
    INSTANCE,
    QUERY,
    acceptor,
    data,
    echo_rq,
    echo_rsp,
    find_rq,
    requestor,
    store_rq,
    store_rsp,
)
from memory_link import Alone, Joined, content, instance, nothing_left
from sansdimse.dataset import Dataset, decode, encode, read_part10_header
from sansdimse.dimse.messages import Priority
from sansdimse.outcome import OutcomeKind, Side
from sansdimse.peer import blocking, scp
from sansdimse.peer.blocking import BlockingPeer, run
from sansdimse.peer.scu import Peer
from sansdimse.peer.session import AssociationLost
from sansdimse.peer.watch import Ending
from sansdimse.uids import EXPLICIT_VR_LITTLE_ENDIAN
from sansdimse.ul.pdu import AAbort

T = TypeVar("T")


class Suspends:
    def __await__(self) -> Any:
        yield


async def value() -> int:
    return 7


async def fails() -> int:
    raise KeyError("mine")


def test_a_coroutine_that_never_suspends_is_run_to_its_end() -> None:
    assert run(value()) == 7
    with pytest.raises(KeyError, match="mine"):
        run(fails())


def test_one_that_suspends_is_closed_and_told() -> None:
    closed: list[bool] = []

    async def suspends() -> None:
        try:
            await Suspends()
        finally:
            closed.append(True)

    with pytest.raises(RuntimeError, match="event loop"):
        run(suspends())
    assert closed == [True]


class Unsuspended:
    """A scheduler below ``run``: what would suspend is run to its end, as a socket's waits are."""

    def __init__(self, joined: Joined, monkeypatch: pytest.MonkeyPatch) -> None:
        def run_here(coroutine: Coroutine[Any, Any, T]) -> T:
            if not isinstance(coroutine, Coroutine):  # what anext gives
                coroutine = _awaited(coroutine)
            result: T = joined.loop.call(coroutine)
            return result

        monkeypatch.setattr(blocking, "run", run_here)


async def _awaited(awaitable: Any) -> Any:
    return await awaitable


class Keeps:
    def __init__(self) -> None:
        self.got: list[tuple[str, int | None, bytes]] = []

    def c_store(self, store: blocking.Store) -> int:
        self.got.append((store.sop_instance_uid, store.request.priority, store.read()))
        return 0xB000


@pytest.fixture
def joined(monkeypatch: pytest.MonkeyPatch) -> Joined:
    joined = Joined(Keeps())
    Unsuspended(joined, monkeypatch)
    return joined


def blocking_peer(joined: Joined) -> BlockingPeer:
    """One whose deadlines are written down, and never pass."""

    @contextmanager
    def within(seconds: float | None) -> Iterator[None]:
        WITHIN.append(seconds)
        yield

    return BlockingPeer(joined.peer, within)


WITHIN: list[float | None] = []


def kept(joined: Joined) -> Any:
    return joined.scp._serve.args[0].got  # type: ignore[union-attr]


def test_a_blocking_peer_is_the_peer(joined: Joined) -> None:
    peer = blocking_peer(joined)
    assert peer.info == joined.peer.info
    assert peer.contexts == joined.peer.contexts
    assert peer.outcome is None
    assert peer.c_echo() == 0
    told: list[int] = []
    answer = peer.c_store(instance(10), priority=Priority.HIGH, move_originator=("MOVER", 3), progress=told.append)
    assert answer == 0xB000
    assert answer.response.message_id_being_responded_to == 2
    assert told == [10]
    outcome = peer.release()
    assert outcome.kind is OutcomeKind.RELEASED
    assert peer.outcome == outcome
    assert kept(joined) == [(INSTANCE, Priority.HIGH, content(10))]
    with pytest.raises(AssociationLost):
        peer.c_echo()


def test_many_are_a_plain_generator(joined: Joined) -> None:
    peer = blocking_peer(joined)
    joined.scu_link.files.update(a=instance(10), b=FileNotFoundError("b"), c=instance(20, "1.2.5"))
    results = peer.c_store_each(["a", "b", "c"], priority=Priority.LOW)
    assert [(source, answer if isinstance(answer, int) else type(answer)) for source, answer in results] == [
        ("a", 0xB000),
        ("b", FileNotFoundError),
        ("c", 0xB000),
    ]
    assert [(uid, priority) for uid, priority, _ in kept(joined)] == [(INSTANCE, 2), ("1.2.5", 2)]


def test_leaving_the_loop_closes_the_generator(joined: Joined) -> None:
    closed: list[bool] = []

    def sources() -> Any:
        try:
            while True:
                yield instance(10)
        finally:
            closed.append(True)

    results = blocking_peer(joined).c_store_each(sources())
    for _, answer in results:
        assert answer == 0xB000
        break
    results.close()  # type: ignore[attr-defined]
    assert len(kept(joined)) == 1
    assert blocking_peer(joined).c_echo() == 0


def test_an_abort_ends_it(joined: Joined) -> None:
    peer = blocking_peer(joined)
    assert peer.abort().kind is OutcomeKind.ABORTED
    with pytest.raises(AssociationLost):
        list(peer.c_store_each([instance()]))


# ---------------------------------------------------------------- deadlines


def test_every_method_is_bounded_by_its_own_deadline(joined: Joined) -> None:
    WITHIN.clear()
    peer = blocking_peer(joined)
    peer.c_echo()
    peer.c_echo(deadline=1.0)
    peer.c_store(instance(10), deadline=2.0)
    assert WITHIN == [None, 1.0, 2.0]
    WITHIN.clear()
    assert len(list(peer.c_store_each([instance(10), instance(20)], deadline=3.0))) == 2
    assert set(WITHIN) == {3.0}
    assert len(WITHIN) == 3, "for each result, and for the end of them"
    WITHIN.clear()
    peer.release(deadline=4.0)
    assert WITHIN == [4.0]


class Expires:
    """A scheduler below ``run`` in which a bound passes as soon as nothing moves: as a socket's wait that raises."""

    def __init__(self, alone: Alone, monkeypatch: pytest.MonkeyPatch) -> None:
        self._alone = alone
        self._bounds: list[float | None] = []
        monkeypatch.setattr(blocking, "run", self._run)
        self.peer = BlockingPeer(alone.peer, self._within)

    @contextmanager
    def _within(self, seconds: float | None) -> Iterator[None]:
        self._bounds.append(seconds)
        try:
            yield
        finally:
            self._bounds.pop()

    def _run(self, coroutine: Any) -> Any:
        task = self._alone.loop.spawn(coroutine if isinstance(coroutine, Coroutine) else _awaited(coroutine))
        self._alone.loop.run()
        while not task.done:
            assert any(bound is not None for bound in self._bounds), "it would wait for ever"
            try:
                task._coroutine.throw(TimeoutError("not in time"))
            except TimeoutError:
                task.done = True
                raise
            self._alone.loop.run()
        return task.result()


def test_a_request_whose_deadline_passes_is_given_up_and_the_association_stays_usable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    alone = Alone()
    peer = Expires(alone, monkeypatch).peer
    with pytest.raises(TimeoutError):
        peer.c_echo(deadline=0.5)
    assert [(request.message_id, request.abandoned) for request in alone.engine.outstanding] == [(1, True)]
    alone.raw.send(echo_rsp(1))
    assert nothing_left(alone.session)
    with pytest.raises(TimeoutError):
        peer.c_store(instance(10), deadline=0.5)
    alone.raw.send(store_rsp(2))
    assert nothing_left(alone.session)
    assert peer.outcome is None
    kinds = [type(each).__name__ for each in alone.raw.said()]
    assert kinds == ["CEchoRQ", "CStoreRQ", "bytes"], "and nothing else was said"


def test_what_became_of_what_was_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    alone = Alone()
    peer = Expires(alone, monkeypatch).peer
    assert peer.drained() == ()
    with pytest.raises(TimeoutError):
        peer.c_echo(deadline=0.5)
    with pytest.raises(TimeoutError):
        peer.drained(deadline=0.5)
    alone.raw.send(echo_rsp(1))
    [outcome] = peer.drained()
    assert (outcome.service, outcome.ending) == ("C-ECHO", Ending.DRAINED)


def test_a_deadline_in_the_middle_of_a_data_set_aborts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The standard has no other way to end it (PS3.7 9.3.1.3)."""
    alone = Alone(capacity=100_000)
    peer = Expires(alone, monkeypatch).peer
    with pytest.raises(TimeoutError):
        peer.c_store(instance(3 << 20), deadline=0.5)
    assert peer.outcome is not None
    assert (peer.outcome.kind, peer.outcome.by) == (OutcomeKind.ABORTED, Side.LOCAL)


def test_a_deadline_of_one_of_many_gives_up_all_that_are_outstanding(monkeypatch: pytest.MonkeyPatch) -> None:
    alone = Alone()
    peer = Expires(alone, monkeypatch).peer
    results = peer.c_store_each([instance(10), instance(20)], deadline=0.5)
    with pytest.raises(TimeoutError):
        next(results)  # type: ignore[call-overload]
    assert [request.abandoned for request in alone.engine.outstanding] == [True]
    alone.raw.send(store_rsp(1))
    assert nothing_left(alone.session)
    assert peer.outcome is None


def test_a_bound_around_several_calls_counts_for_each_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    alone = Alone()
    peer = Expires(alone, monkeypatch).peer
    with pytest.raises(TimeoutError), peer.within(0.5):
        peer.c_echo()
    alone.raw.send(echo_rsp(1))
    with pytest.raises(AssertionError, match="for ever"):
        peer.c_echo()


# ---------------------------------------------------------------- finding


class Finds:
    def c_find(self, find: blocking.Find) -> Iterator[Dataset]:
        for number in range(5):
            match = Dataset()
            match.PatientID = f"{find.identifier.PatientID}{number}"
            yield match


@pytest.fixture
def querying(monkeypatch: pytest.MonkeyPatch) -> Joined:
    joined = Joined(Finds(), ours=requestor(QUERY), theirs=acceptor(QUERY))
    Unsuspended(joined, monkeypatch)
    return joined


def query() -> Dataset:
    dataset = Dataset()
    dataset.PatientID = "A"
    return dataset


def test_matches_are_a_plain_iterator(querying: Joined) -> None:
    WITHIN.clear()
    with blocking_peer(querying).c_find(FIND, query(), deadline=7.0) as matches:
        assert matches.answer is None
        assert [match.PatientID for match in matches] == ["A0", "A1", "A2", "A3", "A4"]
        assert list(matches) == []
    assert matches.answer == 0
    assert matches.complete
    assert set(WITHIN) == {7.0}
    assert len(WITHIN) == 1 + 5 + 1 + 1  # to ask, for each match, for the end of them, and once more
    assert nothing_left(querying.scu)


def test_matches_as_bytes(querying: Joined) -> None:
    with blocking_peer(querying).c_find(FIND, encode(query(), EXPLICIT_VR_LITTLE_ENDIAN)) as matches:
        first = next(iter(matches))
        assert decode(first, EXPLICIT_VR_LITTLE_ENDIAN).PatientID == "A0"
    assert matches.answer is None


def test_leaving_the_block_early_cancels(querying: Joined) -> None:
    peer = blocking_peer(querying)
    with pytest.raises(ZeroDivisionError), peer.c_find(FIND, query()) as matches:
        raise ZeroDivisionError
    assert matches.answer is None
    assert peer.c_echo() == 0
    querying.loop.run()
    assert nothing_left(querying.scu)
    assert nothing_left(querying.scp)


def test_a_query_cancelled_in_order(querying: Joined) -> None:
    with blocking_peer(querying).c_find(FIND, query()) as matches:
        next(matches)
        matches.cancel()
        assert len(list(matches)) <= 4
    assert matches.answer in (0, 0xFE00)


# ---------------------------------------------------------------- handlers


def serve_store(handler: Callable[[blocking.Store], int]) -> Alone:
    service = type("Service", (), {"c_store": staticmethod(handler)})()
    alone = Alone(service)
    alone.raw.send(store_rq(), data(3, b"one!", is_last=False), data(3, b"two!"))
    return alone


def test_a_blocking_store_shows_what_the_other_does() -> None:
    seen: list[Any] = []

    def c_store(store: blocking.Store) -> int:
        other = store._conversation
        for name in "request context association cancelled sop_class_uid sop_instance_uid transfer_syntax_uid".split():
            assert getattr(store, name) == getattr(other, name)
        seen.extend((store.sop_class_uid, store.sop_instance_uid, store.transfer_syntax_uid))
        header = memoryview(store.part10_header())
        at = 0

        def take(size: int) -> bytes:
            nonlocal at
            at += size
            return bytes(header[at - size : at])

        seen.append(read_part10_header(take).sop_instance_uid)
        seen.extend(bytes(piece) for piece in store)
        seen.append(store.read())
        return 0

    alone = serve_store(c_store)
    assert seen == [CT, INSTANCE, EXPLICIT_VR_LITTLE_ENDIAN, INSTANCE, b"one!", b"two!", b""]
    assert [response.status for response in alone.raw.said()] == [0]
    assert not alone.reports


def test_a_blocking_store_gives_its_pieces_one_by_one_or_all_that_there_are() -> None:
    seen: list[list[bytes]] = []

    def c_store(store: blocking.Store) -> int:
        seen.append([bytes(next(iter(store)))])
        while pieces := store.pieces():
            seen.append([bytes(piece) for piece in pieces])
        return 0

    assert [response.status for response in serve_store(c_store).raw.said()] == [0]
    assert seen == [[b"one!"], [b"two!"]]


def test_a_blocking_store_decodes_or_fails() -> None:
    def c_store(store: blocking.Store) -> int:
        store.dataset()
        return 0

    assert [response.status for response in serve_store(c_store).raw.said()] == [scp.UNDECODABLE]


def test_blocking_handlers_abort_in_the_loop() -> None:
    """Never in the worker's thread: the engine is not for several."""
    where: list[bool] = []

    def handler(conversation: Any) -> int:
        session = conversation._link.session
        inner, session.abort = session.abort, lambda: (where.append(_in_a_task()), inner())
        conversation.abort()
        return 0

    alone = serve_store(handler)
    assert alone.raw.said() == [AAbort(0, 0)]
    service = type("Service", (), {"c_echo": staticmethod(handler)})()
    alone = Alone(service)
    alone.raw.send(echo_rq(1))
    assert alone.raw.said() == [AAbort(0, 0)]
    service = type("Service", (), {"c_find": staticmethod(handler)})()
    alone = Alone(service, config=acceptor(QUERY), other=requestor(QUERY))
    alone.raw.send(find_rq(1))
    assert alone.raw.said() == [AAbort(0, 0)]
    assert where == [True, True, True]


def test_a_blocking_find_shows_what_the_other_does() -> None:
    seen: list[str] = []

    def c_find(find: blocking.Find) -> list[Any]:
        other = find._conversation
        for name in (
            "request context association sop_class_uid transfer_syntax_uid cancelled raw_identifier identifier".split()
        ):
            assert getattr(find, name) == getattr(other, name)
            seen.append(name)
        return []

    service = type("Service", (), {"c_find": staticmethod(c_find)})()
    alone = Alone(service, config=acceptor(QUERY), other=requestor(QUERY))
    alone.raw.send(find_rq(1, identifier=encode(query(), EXPLICIT_VR_LITTLE_ENDIAN)))
    assert [message.status for message in alone.raw.said()] == [0]
    assert len(seen) == 8
    assert not alone.reports


def _in_a_task() -> bool:
    import inspect

    frame = inspect.currentframe()
    names = []
    while frame is not None:
        names.append(frame.f_code.co_name)
        frame = frame.f_back
    return "block_on" in names


def test_a_blocking_echo_shows_what_the_other_does() -> None:
    seen: list[int] = []

    def c_echo(echo: blocking.Echo) -> int:
        assert echo.association.calling_ae_title == "ME"
        assert echo.context.id == 1
        assert not echo.cancelled
        seen.append(echo.request.message_id)
        return 0

    alone = Alone(type("Service", (), {"c_echo": staticmethod(c_echo)})())
    alone.raw.send(echo_rq(9))
    assert seen == [9]
    assert isinstance(alone.peer, Peer)
