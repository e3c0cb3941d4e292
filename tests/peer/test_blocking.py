"""The same conversations for those who block: each method is the one of ``Peer``, run to its end."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import pytest

from engine_pair import CT, INSTANCE, data, echo_rq, store_rq
from memory_link import Alone, Joined, content, instance
from sansdimse.dataset import read_part10_header
from sansdimse.dimse.messages import Priority
from sansdimse.outcome import OutcomeKind
from sansdimse.peer import blocking, scp
from sansdimse.peer.blocking import BlockingPeer, run
from sansdimse.peer.scu import Peer
from sansdimse.peer.session import AssociationLost
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


def kept(joined: Joined) -> Any:
    return joined.scp._serve.args[0].got  # type: ignore[union-attr]


def test_a_blocking_peer_is_the_peer(joined: Joined) -> None:
    peer = BlockingPeer(joined.peer)
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
    peer = BlockingPeer(joined.peer)
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

    results = BlockingPeer(joined.peer).c_store_each(sources())
    for _, answer in results:
        assert answer == 0xB000
        break
    results.close()  # type: ignore[attr-defined]
    assert len(kept(joined)) == 1
    assert BlockingPeer(joined.peer).c_echo() == 0


def test_an_abort_ends_it(joined: Joined) -> None:
    peer = BlockingPeer(joined.peer)
    assert peer.abort().kind is OutcomeKind.ABORTED
    with pytest.raises(AssociationLost):
        list(peer.c_store_each([instance()]))


# ---------------------------------------------------------------- handlers


def serve_store(handler: Callable[[blocking.Store], int]) -> Alone:
    service = type("Service", (), {"c_store": staticmethod(handler)})()
    alone = Alone(service)
    alone.raw.send(store_rq(), data(3, b"one!", is_last=False), data(3, b"two!"))
    return alone


def test_a_blocking_store_shows_what_the_other_does() -> None:
    seen: list[Any] = []

    def c_store(store: blocking.Store) -> int:
        other = store._store
        for name in ("request", "context", "sop_class_uid", "sop_instance_uid", "transfer_syntax_uid", "association"):
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
    assert where == [True, True]


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
        seen.append(echo.request.message_id)
        return 0

    alone = Alone(type("Service", (), {"c_echo": staticmethod(c_echo)})())
    alone.raw.send(echo_rq(9))
    assert seen == [9]
    assert isinstance(alone.peer, Peer)
