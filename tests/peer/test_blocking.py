"""The same conversations for those who block: each method is the one of ``Peer``, run to its end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from engine_pair import (
    FIND,
    GET,
    GETTING,
    INSTANCE,
    MOVE,
    MOVING,
    QUERY,
    acceptor,
    echo_rsp,
    requestor,
    store_rsp,
)
from memory_link import Alone, Joined, content, instance, nothing_left
from sansdimse.dataset import Dataset, decode, encode
from sansdimse.dimse.messages import Priority
from sansdimse.errors import LocalProtocolError
from sansdimse.outcome import OutcomeKind, Side
from sansdimse.peer import blocking_scp
from sansdimse.peer.blocking import BlockingPeer, next_of, run, unbounded
from sansdimse.peer.scu import Peer
from sansdimse.peer.scu_retrieve import Progress
from sansdimse.peer.session import AssociationLost
from sansdimse.peer.watch import Ending
from sansdimse.services.sop_classes import RT_CONVENTIONAL_MACHINE_VERIFICATION as ALL_SIX
from sansdimse.uids import EXPLICIT_VR_LITTLE_ENDIAN
from sansdimse.ul.parties import PresentationContext


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


class Keeps:
    def __init__(self) -> None:
        self.got: list[tuple[str, int | None, bytes]] = []

    def c_store(self, store: blocking_scp.Store) -> int:
        self.got.append((store.sop_instance_uid, store.request.priority, store.read()))
        return 0xB000


@pytest.fixture
def joined() -> Joined:
    return Joined(Keeps())


def blocking_peer(joined: Joined) -> BlockingPeer:
    """One whose deadlines are written down, and never pass."""

    @contextmanager
    def within(seconds: float | None) -> Iterator[None]:
        WITHIN.append(seconds)
        yield

    return BlockingPeer(joined.peer, within, joined.loop.call)


WITHIN: list[float | None] = []


def kept(joined: Joined) -> Any:
    return joined.scp.service.got  # type: ignore[union-attr]


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

    def __init__(self, alone: Alone) -> None:
        self._alone = alone
        self._bounds: list[float | None] = []
        self.peer = BlockingPeer(alone.peer, self._within, self._run)

    @contextmanager
    def _within(self, seconds: float | None) -> Iterator[None]:
        self._bounds.append(seconds)
        try:
            yield
        finally:
            self._bounds.pop()

    def _run(self, coroutine: Any) -> Any:
        task = self._alone.loop.spawn(coroutine)
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


def test_a_request_whose_deadline_passes_is_given_up_and_the_association_stays_usable() -> None:
    alone = Alone()
    peer = Expires(alone).peer
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


def test_what_became_of_what_was_given_up() -> None:
    alone = Alone()
    peer = Expires(alone).peer
    assert peer.drained() == ()
    with pytest.raises(TimeoutError):
        peer.c_echo(deadline=0.5)
    with pytest.raises(TimeoutError):
        peer.drained(deadline=0.5)
    alone.raw.send(echo_rsp(1))
    [outcome] = peer.drained()
    assert (outcome.service, outcome.ending) == ("C-ECHO", Ending.DRAINED)


def test_a_deadline_in_the_middle_of_a_data_set_aborts() -> None:
    """The standard has no other way to end it (PS3.7 9.3.1.3)."""
    alone = Alone(capacity=100_000)
    peer = Expires(alone).peer
    with pytest.raises(TimeoutError):
        peer.c_store(instance(3 << 20), deadline=0.5)
    assert peer.outcome is not None
    assert (peer.outcome.kind, peer.outcome.by) == (OutcomeKind.ABORTED, Side.LOCAL)


def test_a_deadline_of_one_of_many_gives_up_all_that_are_outstanding() -> None:
    alone = Alone()
    peer = Expires(alone).peer
    results = peer.c_store_each([instance(10), instance(20)], deadline=0.5)
    with pytest.raises(TimeoutError):
        next(results)  # type: ignore[call-overload]
    assert [request.abandoned for request in alone.engine.outstanding] == [True]
    alone.raw.send(store_rsp(1))
    assert nothing_left(alone.session)
    assert peer.outcome is None


def test_a_bound_around_several_calls_counts_for_each_of_them() -> None:
    alone = Alone()
    peer = Expires(alone).peer
    with pytest.raises(TimeoutError), peer.within(0.5):
        peer.c_echo()
    alone.raw.send(echo_rsp(1))
    with pytest.raises(AssertionError, match="for ever"):
        peer.c_echo()


# ---------------------------------------------------------------- finding


class Finds:
    def c_find(self, find: blocking_scp.Find) -> Iterator[Dataset]:
        for number in range(5):
            match = Dataset()
            match.PatientID = f"{find.identifier.PatientID}{number}"
            yield match


@pytest.fixture
def querying() -> Joined:
    return Joined(Finds(), ours=requestor(QUERY), theirs=acceptor(QUERY))


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


# ---------------------------------------------------------------- retrieving


class Archive:
    def c_get(self, get: blocking_scp.Get) -> Iterator[Any]:
        yield 2
        yield "a"
        yield "b"

    def c_move(self, move: blocking_scp.Move) -> int:
        return 0xA801


@pytest.fixture
def retrieving() -> Joined:
    contexts = (GETTING, MOVING)
    joined = Joined(Archive(), ours=requestor(*contexts), theirs=acceptor(*contexts))
    joined.scp_link.files.update(a=instance(10, "1.2.1"), b=instance(20, "1.2.2"))
    return joined


def test_a_retrieval_is_a_plain_iterator(retrieving: Joined) -> None:
    keeps = Keeps()
    WITHIN.clear()
    with blocking_peer(retrieving).c_get(GET, query(), store=keeps.c_store, deadline=7.0) as retrieval:
        assert (retrieval.answer, retrieval.is_over) == (None, False)
        told = list(retrieval)
        assert retrieval.is_over
        assert retrieval.finished() == 0xB000, "Keeps warns"
    assert retrieval.answer == 0xB000
    assert (retrieval.answer.counters.completed, retrieval.answer.counters.warning) == (0, 2)
    assert retrieval.progress == (told[-1] if told else Progress(None, None, None, None))
    assert [uid for uid, _, _ in keeps.got] == ["1.2.1", "1.2.2"]
    assert set(WITHIN) == {7.0}
    assert len(WITHIN) == 1 + len(told) + 1 + 1  # to ask, for each response, for the end of them, and once more
    assert nothing_left(retrieving.scu)


def test_a_move_says_where_to_and_ends(retrieving: Joined) -> None:
    WITHIN.clear()
    with blocking_peer(retrieving).c_move(MOVE, query(), "NOWHERE", deadline=7.0) as retrieval:
        assert retrieval.finished() == 0xA801
        retrieval.cancel()  # nothing is left to do
    assert WITHIN == [7.0, 7.0]
    assert nothing_left(retrieving.scu)


@pytest.mark.parametrize("service", ["get", "move"])
def test_leaving_a_retrieval_early_cancels(retrieving: Joined, service: str) -> None:
    peer = blocking_peer(retrieving)
    asking = peer.c_get(GET, query(), store=Keeps().c_store) if service == "get" else peer.c_move(MOVE, query(), "X")
    with pytest.raises(ZeroDivisionError), asking as retrieval:
        raise ZeroDivisionError
    assert retrieval.answer is None
    assert peer.c_echo() == 0
    retrieving.loop.run()
    assert nothing_left(retrieving.scu)
    assert nothing_left(retrieving.scp)


def _abort_and_fail(peer: BlockingPeer) -> None:
    peer.abort()
    raise ZeroDivisionError


@pytest.mark.parametrize("service", ["get", "move"])
def test_leaving_one_whose_association_has_ended_raises_what_one_left_with(retrieving: Joined, service: str) -> None:
    peer = blocking_peer(retrieving)
    asking = peer.c_get(GET, query(), store=Keeps().c_store) if service == "get" else peer.c_move(MOVE, query(), "X")
    with pytest.raises(ZeroDivisionError), asking:
        _abort_and_fail(peer)
    retrieving.loop.run()
    assert nothing_left(retrieving.scu)


def test_a_retrieval_cancelled_in_order(retrieving: Joined) -> None:
    with blocking_peer(retrieving).c_get(GET, query(), store=Keeps().c_store) as retrieval:
        retrieval.cancel()
        assert retrieval.finished() in (0xB000, 0xFE00)


# ---------------------------------------------------------------- DIMSE-N


class Six:
    """A service of all of DIMSE-N, which tells what it was asked."""

    def __init__(self) -> None:
        self.got: list[Any] = []

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("n_"):
            raise AttributeError(name)

        def handler(asked: blocking_scp.Normalized) -> Any:
            self.got.append((name, asked.sop_instance_uid, asked.type_id, asked.attributes, asked.raw_data_set))
            return (0, query()) if name != "n_delete" else 0

        return handler


@pytest.fixture
def six() -> Joined:
    context = PresentationContext(ALL_SIX, scp=True)
    return Joined(Six(), scu_service=Six(), ours=requestor(context), theirs=acceptor(context))


def test_all_of_dimse_n_is_asked_and_answered(six: Joined) -> None:
    peer, raw = blocking_peer(six), encode(query(), EXPLICIT_VR_LITTLE_ENDIAN)
    WITHIN.clear()
    replies = [
        peer.n_event_report(ALL_SIX, "1.2", 2, query(), deadline=1.0),
        peer.n_event_report(ALL_SIX, "1.2", 2, deadline=1.5),
        peer.n_get(ALL_SIX, "1.2", ["PatientID"], deadline=2.0),
        peer.n_get(ALL_SIX, "1.2", deadline=2.5),
        peer.n_set(ALL_SIX, "1.2", raw, deadline=3.0),
        peer.n_action(ALL_SIX, "1.2", 1, query(), deadline=4.0),
        peer.n_action(ALL_SIX, "1.2", 1, deadline=4.5),
        peer.n_create(ALL_SIX, "1.2", query(), deadline=5.0),
        peer.n_create(ALL_SIX, deadline=5.5),
        peer.n_delete(ALL_SIX, "1.2", deadline=6.0),
    ]
    assert WITHIN == [1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 4.5, 5.0, 5.5, 6.0]
    assert replies == [0] * 10
    assert [reply.data_set for reply in replies] == [query()] * 9 + [Dataset()]
    assert [reply.sop_instance_uid for reply in replies] == ["1.2"] * 8 + ["2.25.1", "1.2"]
    service: Any = six.scp.service
    assert service.got == [
        ("n_event_report", "1.2", 2, (), raw),
        ("n_event_report", "1.2", 2, (), None),
        ("n_get", "1.2", None, (0x00100020,), None),
        ("n_get", "1.2", None, (), None),
        ("n_set", "1.2", None, (), raw),
        ("n_action", "1.2", 1, (), raw),
        ("n_action", "1.2", 1, (), None),
        ("n_create", "1.2", None, (), raw),
        ("n_create", "2.25.1", None, (), None),
        ("n_delete", "1.2", None, (), None),
    ]
    assert not six.reports


def test_one_serves_until_something_is_so(six: Joined) -> None:
    service: Any = six.scu.service
    six.loop.spawn(Peer(six.scp).n_event_report(ALL_SIX, "1.2", 7))
    WITHIN.clear()
    blocking_peer(six).serve(lambda: service.got, deadline=3.0)
    assert [each[:3] for each in service.got] == [("n_event_report", "1.2", 7)]
    assert WITHIN == [3.0]
    six.loop.spawn(Peer(six.scp).abort())
    blocking_peer(six).serve()
    assert six.scu.outcome is not None


def test_serving_too_may_take_only_so_long() -> None:
    alone = Alone()
    peer = Expires(alone).peer
    with pytest.raises(TimeoutError):
        peer.serve(deadline=0.5)
    assert peer.outcome is None


# ---------------------------------------------------------------- in a worker thread


def test_no_deadline_interrupts_a_worker_thread() -> None:
    with unbounded(None):
        pass
    with pytest.raises(LocalProtocolError, match="a deadline is for blocking sockets"), unbounded(1.0):
        raise AssertionError("it was let in")


def test_by_default_it_is_run_where_it_is_called() -> None:
    """As on a blocking socket, where nothing suspends."""
    alone = Alone()
    alone.session.abort()
    peer = BlockingPeer(alone.peer, unbounded)
    with pytest.raises(AssociationLost):
        peer.c_echo()


def test_the_next_of_none_is_none() -> None:
    async def none() -> AsyncIterator[int]:
        for number in ():
            yield number

    assert run(next_of(none())) is None
