"""Asking C-GET and C-MOVE: how far it is, how it ended, and that nothing is left however one leaves it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

import pytest
from pydicom import Dataset

from engine_pair import (
    ABORT,
    CT,
    GET,
    GETTING,
    INSTANCE,
    MOVE,
    MOVING,
    acceptor,
    data,
    echo_rsp,
    get_rsp,
    message,
    requestor,
    store_rq,
)
from memory_link import Alone, Network, nothing_left
from retrievals import SERVICES, Keeps, Shapes, Site, image, script_for, unwanted
from sansdimse.dataset import DatasetError, decode, encode
from sansdimse.dimse.messages import (
    NO_DATA_SET,
    WITH_DATA_SET,
    CCancelRQ,
    CGetRQ,
    CGetRSP,
    CMoveRQ,
    CMoveRSP,
    CStoreRSP,
    Priority,
)
from sansdimse.errors import LocalProtocolError
from sansdimse.events import SendingAllowed
from sansdimse.peer import blocking_scp
from sansdimse.peer.blocking import BlockingPeer, Retrieval
from sansdimse.peer.scu import Progress
from sansdimse.peer.session import AssociationLost
from sansdimse.services.suboperations import failed_list
from sansdimse.uids import (
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    EXPLICIT_VR_BIG_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
)
from sansdimse.ul.parties import Acceptor, PresentationContext, Requestor
from sansdimse.ul.pdu import AAbort

ELE = EXPLICIT_VR_LITTLE_ENDIAN
QUERY = Dataset()
QUERY.QueryRetrieveLevel = "STUDY"
QUERY.StudyInstanceUID = "1.2"


def alone(*, nests: bool = False, service: Any = None, **settings: Any) -> Alone:
    """Who asks; C-GET is context 7, C-MOVE 9. A config is given, so that a service does not make it an acceptor."""
    return Alone(
        service,
        config=requestor(GETTING, MOVING),
        other=acceptor(GETTING, MOVING),
        network=Network(nests=nests),
        **settings,
    )


def answer(name: str, status: int = 0, listed: bytes | None = None, **counters: int) -> bytes:
    """A response; ``counters`` by their short names."""
    kind: Any = CGetRSP if name == "C-GET" else CMoveRSP
    return message(
        7 if name == "C-GET" else 9,
        kind(
            message_id_being_responded_to=1,
            affected_sop_class_uid=GET if name == "C-GET" else MOVE,
            status=status,
            command_data_set_type=NO_DATA_SET if listed is None else WITH_DATA_SET,
            **{f"number_of_{each}_suboperations": number for each, number in counters.items()},
        ),
        listed,
    )


def asking(end: Alone, name: str, query: Any = QUERY, *, store: Any = None, **settings: Any) -> Any:
    if name == "C-GET":
        return end.peer.c_get(GET, query, store=store or Keeps().c_store, **settings)
    return end.peer.c_move(MOVE, query, "STORE", **settings)


async def retrieve(end: Alone, name: str, kept: list[Any], query: Any = QUERY, **settings: Any) -> Any:
    """Keep what is told, and give the retrieval."""
    async with asking(end, name, query, **settings) as retrieval:
        async for progress in retrieval:
            assert progress == retrieval.progress
            kept.append(progress)
    return retrieval


# ---------------------------------------------------------------- what is told


@pytest.mark.parametrize("name", SERVICES)
def test_how_far_it_is_comes_as_it_is_told_and_then_how_it_ended(name: str) -> None:
    end, kept = alone(), []  # type: ignore[var-annotated]
    task = end.loop.spawn(retrieve(end, name, kept, priority=Priority.LOW))
    asked, identifier = end.raw.said()
    assert asked == (
        CGetRQ(message_id=1, affected_sop_class_uid=GET, priority=Priority.LOW)
        if name == "C-GET"
        else CMoveRQ(message_id=1, affected_sop_class_uid=MOVE, priority=Priority.LOW, move_destination="STORE")
    )
    assert decode(identifier, ELE) == QUERY
    end.raw.send(answer(name, 0xFF00, remaining=2, completed=1, failed=0, warning=0))
    assert kept == [Progress(2, 1, 0, 0)]
    end.raw.send(answer(name, 0xFF00), answer(name, 0xB000, failed_list(["1.2.3"], ELE), completed=2, failed=1))
    assert kept == [Progress(2, 1, 0, 0), Progress(None, None, None, None)]
    retrieval = task.result()
    assert retrieval.answer == 0xB000
    assert retrieval.answer.counters == Progress(None, 2, 1, None)
    assert retrieval.answer.failed_instances == ("1.2.3",)
    assert retrieval.answer.response.message_id_being_responded_to == 1
    assert retrieval.is_over
    assert nothing_left(end.session)


@pytest.mark.parametrize("name", SERVICES)
@pytest.mark.parametrize("status", [0x0000, 0xA701, 0xA702, 0xA801, 0xB000, 0xFE00, 0x1234])
def test_whatever_ends_it_is_the_answer(name: str, status: int) -> None:
    end = alone()
    task = end.loop.spawn(retrieve(end, name, [], b"query."))
    assert end.raw.said()[1] == b"query."
    end.raw.send(answer(name, status))
    assert task.result().answer == status
    assert task.result().answer.failed_instances == ()


def test_the_counters_as_text() -> None:
    assert str(Progress(3, 2, 1, 0)) == "remaining 3, completed 2, failed 1, warning 0"
    assert str(Progress(None, 2, None, 0)) == "completed 2, warning 0"


@pytest.mark.parametrize(
    "syntax",
    [IMPLICIT_VR_LITTLE_ENDIAN, ELE, EXPLICIT_VR_BIG_ENDIAN, DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN],
)
@pytest.mark.parametrize("number", [0, 1, 2, 3, 20_000])
def test_the_instances_that_failed_are_told_however_many(syntax: str, number: int) -> None:
    """In an explicit VR a list of more than 64 KiB is UN (PS3.5 6.2.2)."""
    uids = [f"1.2.{each}" for each in range(number)]
    context = PresentationContext(GET, (syntax,), scp=True)
    both = PresentationContext(CT, scp=True)
    end = Alone(config=Requestor("ME", "YOU", [context, both]), other=Acceptor("YOU", [context, both]))
    task = end.loop.spawn(retrieve(end, "C-GET", []))
    assert decode(end.raw.said()[1], syntax) == QUERY
    end.raw.send(get_rsp(context_id=1, status=0xA702, identifier=failed_list(uids, syntax) if uids else None))
    assert task.result().answer.failed_instances == tuple(uids)


@pytest.mark.parametrize(
    "identifier",
    [b"\x08\0\x52\0SQ\0\0\xff\xff\xff\xff\xfe\xff\0\xe0\x10\0\0\0ab", encode(QUERY, ELE), failed_list([""], ELE)],
)
def test_a_list_that_cannot_be_read_is_none(identifier: bytes) -> None:
    end = alone()
    task = end.loop.spawn(retrieve(end, "C-GET", []))
    end.raw.heard()
    end.raw.send(answer("C-GET", 0xA702, identifier))
    assert task.result().answer.failed_instances == ()


@pytest.mark.parametrize("name", SERVICES)
def test_one_may_wait_for_the_end_alone_and_ask_again(name: str) -> None:
    async def asks(end: Alone) -> None:
        async with asking(end, name) as retrieval:
            assert retrieval.answer is None
            assert not retrieval.is_over
            first = await retrieval.finished()
            assert await retrieval.finished() is first is retrieval.answer
            assert [each async for each in retrieval] == []
            assert retrieval.progress == Progress(1, 0, 0, 0)
            retrieval.cancel()  # over, so nothing is left to do

    end = alone()
    task = end.loop.spawn(asks(end))
    end.raw.heard()
    end.raw.send(answer(name, 0xFF00, remaining=1, completed=0, failed=0, warning=0), answer(name))
    task.result()
    assert end.raw.said() == []


def test_what_is_no_response_is_passed_over() -> None:
    async def asks(end: Alone) -> Any:
        async with asking(end, "C-GET") as retrieval:
            (inbox,) = end.session._inboxes.values()
            inbox.put(SendingAllowed(1, None))  # type: ignore[arg-type]
            return await retrieval.finished()

    end = alone()
    task = end.loop.spawn(asks(end))
    end.raw.heard()
    end.raw.send(answer("C-GET"))
    assert task.result() == 0


# ---------------------------------------------------------------- what cannot be asked


@pytest.mark.parametrize("name", SERVICES)
@pytest.mark.parametrize(
    ("query", "error"),
    [(b"", LocalProtocolError), (b"odd", LocalProtocolError), (Dataset(), LocalProtocolError), ("7", TypeError)],
)
def test_what_cannot_be_sent_is_told_at_once(name: str, query: Any, error: type[Exception]) -> None:
    end = alone()
    with pytest.raises(error):
        end.loop.call(retrieve(end, name, [], query))
    assert end.raw.said() == []
    assert nothing_left(end.session)


@pytest.mark.parametrize("name", SERVICES)
def test_what_cannot_be_encoded_is_told_at_once(name: str) -> None:
    wrong = Dataset()
    wrong.Rows = 1
    wrong["Rows"]._value = "many"
    end = alone()
    with pytest.raises(DatasetError, match="cannot be encoded"):
        end.loop.call(retrieve(end, name, [], wrong))
    assert end.raw.said() == []


@pytest.mark.parametrize("name", SERVICES)
def test_what_was_not_negotiated_is_told_at_once(name: str) -> None:
    end = Alone(config=requestor())
    with pytest.raises(LocalProtocolError, match=r"no context for Study Root .* was proposed"):
        end.loop.call(retrieve(end, name, []))


def test_one_that_nobody_would_store_is_told_at_once() -> None:
    end = alone()

    async def asks() -> None:
        async with end.peer.c_get(GET, QUERY):
            raise AssertionError

    with pytest.raises(TypeError, match="nobody stores what comes"):
        end.loop.call(asks())
    assert end.raw.said() == []


def test_a_second_get_is_told_at_once_and_disturbs_nobody() -> None:
    """Nothing in a C-STORE says which C-GET it is of."""
    first, second = Keeps(), Keeps()
    end = alone()
    task = end.loop.spawn(retrieve(end, "C-GET", [], store=first.c_store))
    end.raw.heard()
    with pytest.raises(LocalProtocolError, match="another C-GET of ours"):
        end.loop.call(retrieve(end, "C-GET", [], store=second.c_store))
    end.raw.send(store_rq(1) + data(3, b"data"), answer("C-GET"))
    assert task.result().answer == 0
    assert (first.got, second.got) == ({INSTANCE: b"data"}, {})
    assert nothing_left(end.session)


# ---------------------------------------------------------------- who stores


class Sync:
    """A service, or a handler, that blocks."""

    def __init__(self) -> None:
        self.got: list[bytes] = []

    def c_store(self, store: blocking_scp.Store) -> int:
        self.got.append(store.read())
        return 0xB000


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("how", ["handler", "service", "handler before service"])
def test_who_stores_what_comes(how: str, is_async: bool) -> None:
    keeps: Any = Keeps({INSTANCE: 0xB000}) if is_async else Sync()
    service = keeps if how == "service" else Keeps() if how == "handler before service" else None
    end = alone(service=service)

    async def asks() -> Any:
        async with end.peer.c_get(GET, QUERY, store=None if how == "service" else keeps.c_store) as retrieval:
            return await retrieval.finished()

    task = end.loop.spawn(asks())
    end.raw.heard()
    end.raw.send(store_rq(1) + data(3, b"data"))
    (stored,) = end.raw.said()
    assert isinstance(stored, CStoreRSP)
    assert stored.status == 0xB000
    end.raw.send(answer("C-GET"))
    assert task.result() == 0
    assert [*keeps.got.values()] if is_async else keeps.got == [b"data"]
    end.raw.send(store_rq(2) + data(3, b"late"))
    (late,) = end.raw.said()
    assert late.status == (0x0122 if how == "handler" else 0xB000 if how == "service" else 0), "as before the C-GET"


# ---------------------------------------------------------------- early ends


async def leaves(end: Alone, name: str, how: str) -> Any:
    async with asking(end, name) as retrieval:
        async for _ in retrieval:
            if how == "cancel":
                retrieval.cancel()
                retrieval.cancel()
            elif how == "break":
                break
            else:
                raise ZeroDivisionError
    return retrieval.answer


PENDING = {"remaining": 2, "completed": 1, "failed": 0, "warning": 0}


@pytest.mark.parametrize("name", SERVICES)
@pytest.mark.parametrize("how", ["cancel", "break", "raise"])
def test_to_end_it_early_asks_the_peer_to_stop_and_the_association_stays_usable(name: str, how: str) -> None:
    end = alone()
    task = end.loop.spawn(leaves(end, name, how))
    end.raw.heard()
    end.raw.send(answer(name, 0xFF00, **PENDING))
    assert end.raw.said() == [CCancelRQ(message_id_being_responded_to=1)]
    assert task.done is (how == "raise" or (name, how) == ("C-MOVE", "break"))
    end.raw.send(answer(name, 0xFF00, **PENDING), answer(name, 0xFE00, remaining=2, completed=1, failed=0, warning=0))
    if how == "raise":
        with pytest.raises(ZeroDivisionError):
            task.result()
    else:
        told = task.result()
        assert told == (0xFE00 if how == "cancel" else None)
    assert nothing_left(end.session)
    echo = end.loop.spawn(end.peer.c_echo())
    end.raw.heard()
    end.raw.send(echo_rsp(2))
    assert echo.result() == 0


@pytest.mark.parametrize("how", ["cancel", "break", "raise"])
def test_what_the_peer_stores_before_it_heeds_that_is_taken(how: str) -> None:
    """Not after an exception: who raised does not wait."""
    end, keeps = alone(), Keeps()

    async def asks() -> None:
        async with end.peer.c_get(GET, QUERY, store=keeps.c_store) as retrieval:
            async for _ in retrieval:
                if how == "cancel":
                    retrieval.cancel()
                elif how == "break":
                    break
                else:
                    raise ZeroDivisionError

    task = end.loop.spawn(asks())
    end.raw.heard()
    end.raw.send(answer("C-GET", 0xFF00, **PENDING))
    end.raw.heard()
    end.raw.send(store_rq(1) + data(3, b"data"))
    (stored,) = end.raw.said()
    assert stored.status == (0x0122 if how == "raise" else 0)
    end.raw.send(answer("C-GET", 0xFE00))
    assert task.done
    assert keeps.got == ({} if how == "raise" else {INSTANCE: b"data"})
    assert nothing_left(end.session)


@pytest.mark.parametrize("name", SERVICES)
def test_a_peer_that_never_heeds_it_is_aborted(name: str) -> None:
    end = alone()
    task = end.loop.spawn(leaves(end, name, "break"))
    end.raw.heard()
    end.raw.send(answer(name, 0xFF00, **PENDING))
    end.loop.pass_time(end.engine.limits.cancel_drain + 1)
    assert isinstance(end.raw.said()[-1], AAbort)
    end.raw.vanish()
    assert task.result() is None
    assert nothing_left(end.session)


@pytest.mark.parametrize("name", SERVICES)
def test_a_cancel_that_crosses_the_end_changes_nothing(name: str) -> None:
    end = alone()

    async def asks() -> Any:
        async with asking(end, name) as retrieval:
            await anext(retrieval)
            retrieval.cancel()
            return await retrieval.finished()

    task = end.loop.spawn(asks())
    end.raw.heard()
    end.raw.send(answer(name, 0xFF00, **PENDING), answer(name, completed=3))
    assert task.result() == 0
    assert nothing_left(end.session)


# ---------------------------------------------------------------- the association ends


@pytest.mark.parametrize("name", SERVICES)
@pytest.mark.parametrize("after", [0, 1])
@pytest.mark.parametrize("how", ["abort", "vanish"])
def test_the_loss_is_told(name: str, after: int, how: str) -> None:
    end, kept = alone(), []  # type: ignore[var-annotated]
    task = end.loop.spawn(retrieve(end, name, kept))
    end.raw.heard()
    end.raw.send(*[answer(name, 0xFF00, **PENDING)] * after)
    if how == "abort":
        end.raw.send(ABORT)
    end.raw.vanish()
    with pytest.raises(AssociationLost):
        task.result()
    assert len(kept) == after
    assert nothing_left(end.session)


@pytest.mark.parametrize("name", SERVICES)
def test_to_cancel_what_is_lost_is_no_error(name: str) -> None:
    end = alone()

    async def asks() -> None:
        async with asking(end, name) as retrieval:
            end.session.abort()
            retrieval.cancel()
            await retrieval.finished()

    with pytest.raises(AssociationLost):
        end.loop.call(asks())


# ---------------------------------------------------------------- cancelled at any await


@pytest.mark.parametrize("name", SERVICES)
@pytest.mark.parametrize("level", [False, True])
@pytest.mark.parametrize("leaves_early", [False, True])
def test_cancelled_at_any_await_it_leaves_the_association_usable(name: str, level: bool, leaves_early: bool) -> None:
    ends = set()

    async def asks(end: Site) -> None:
        async with end.asking(name) as retrieval:
            async for _ in retrieval:
                if leaves_early:
                    break

    for at in count(1):
        items = [image(1, 700), image(2, 700), unwanted(3)]
        end = Site(Shapes.async_generator(script_for(name, [3, *items])), capacity=400)
        task = end.loop.spawn(asks(end), cancel_at=at, level=level)
        end.loop.run()
        if not task.cancelled:
            task.result()
            break
        ends.add(at)
        end.check_over()
        assert len(end.loop.call(end.peer.drained())) == (end.scu.ledger.abandoned != ())
        assert not end.scu._is_storing
        end.keeps.got.clear()
        assert end.retrieve(name).counters == (None, 2, 1, 0), "and the next is as if nothing had been"
    assert len(ends) >= 2


# ---------------------------------------------------------------- for those who block


class Bounded:
    """A ``Within`` that notes what it is asked."""

    def __init__(self) -> None:
        self.asked: list[float | None] = []

    @contextmanager
    def __call__(self, seconds: float | None) -> Iterator[None]:
        self.asked.append(seconds)
        yield


def blocking(end: Alone) -> tuple[BlockingPeer, Bounded]:
    within = Bounded()
    return BlockingPeer(end.peer, within), within


def ask(peer: BlockingPeer, name: str, **settings: Any) -> Any:
    if name == "C-GET":
        return peer.c_get(GET, QUERY, store=Sync().c_store, **settings)
    return peer.c_move(MOVE, QUERY, "STORE", **settings)


def say(end: Alone, *parts: bytes) -> None:
    """What is read when somebody waits."""
    for part in parts:
        end.raw._outgoing.data += part


@pytest.mark.parametrize("name", SERVICES)
def test_for_those_who_block_it_is_the_same(name: str) -> None:
    end = alone(nests=True)
    peer, within = blocking(end)
    say(end, answer(name, 0xFF00, **PENDING), answer(name, 0xB000, failed_list(["1.2"], ELE), completed=2, failed=1))
    with ask(peer, name, deadline=5.0) as retrieval:
        assert isinstance(retrieval, Retrieval)
        assert (retrieval.is_over, retrieval.answer) == (False, None)
        assert next(retrieval) == retrieval.progress == Progress(2, 1, 0, 0)
        assert list(retrieval) == []
        assert list(retrieval) == []
        assert retrieval.finished() == retrieval.answer == 0xB000
        assert retrieval.answer.failed_instances == ("1.2",)
        assert retrieval.is_over
    assert set(within.asked) == {5.0}
    assert nothing_left(end.session)


@pytest.mark.parametrize("name", SERVICES)
def test_what_comes_is_stored_while_one_waits_and_one_may_cancel(name: str) -> None:
    end, keeps = alone(nests=True), Sync()
    peer, _ = blocking(end)
    say(end, store_rq(1) + data(3, b"data"), answer(name, 0xFF00, **PENDING))
    asked: Any = ask(peer, name) if name == "C-MOVE" else peer.c_get(GET, QUERY, store=keeps.c_store)
    with asked as retrieval:
        next(retrieval)
        retrieval.cancel()
        say(end, answer(name, 0xFE00))
        assert retrieval.finished() == 0xFE00
    end.loop.run()
    assert keeps.got == ([b"data"] if name == "C-GET" else [])
    assert CCancelRQ(message_id_being_responded_to=1) in end.raw.said()
    assert nothing_left(end.session)


@pytest.mark.parametrize("name", SERVICES)
def test_left_early_the_cancel_is_written_and_a_get_drained(name: str) -> None:
    end = alone(nests=True)
    peer, _ = blocking(end)
    say(end, answer(name, 0xFF00, **PENDING))
    with ask(peer, name) as retrieval:
        for _ in retrieval:
            say(end, answer(name, 0xFE00))
            break
    assert end.raw.said()[-1] == CCancelRQ(message_id_being_responded_to=1)
    end.loop.run()
    assert nothing_left(end.session)


@pytest.mark.parametrize("name", SERVICES)
def test_left_by_an_exception_the_cancel_is_written_and_nobody_waits(name: str) -> None:
    """For a peer that does not answer: ``TimeoutError`` is to come when it is time."""
    end = alone(nests=True)
    peer, _ = blocking(end)
    with pytest.raises(TimeoutError), ask(peer, name):
        raise TimeoutError
    assert end.raw.said()[-1] == CCancelRQ(message_id_being_responded_to=1)
    end.raw.send(answer(name, 0xFE00))
    assert nothing_left(end.session)


@pytest.mark.parametrize("name", SERVICES)
def test_for_those_who_block_the_loss_is_raised(name: str) -> None:
    end = alone(nests=True)
    peer, _ = blocking(end)
    say(end, ABORT.encode())
    with pytest.raises(AssociationLost), ask(peer, name) as retrieval:
        retrieval.finished()
    end.raw.vanish()
    assert nothing_left(end.session)


@pytest.mark.parametrize("name", ["C-GET", "C-MOVE"])
def test_who_does_not_take_what_is_told_keeps_only_the_latest_of_it(name: str) -> None:
    """Else a C-GET that nobody iterates over would stop the reading of what it brings."""

    async def asks(end: Alone, until: Any) -> list[int | None]:
        async with asking(end, name) as retrieval:
            await until.wait()
            return [progress.completed async for progress in retrieval]

    end = alone()
    until = end.link.signal()
    task = end.loop.spawn(asks(end, until))
    end.raw.heard()
    told = [answer(name, 0xFF00, remaining=5000 - n, completed=n, failed=0, warning=0) for n in range(1, 3001)]
    end.raw.send(*told, answer(name))
    assert end.session.full == 0
    until.set()
    end.loop.run()
    completed = task.result()
    assert completed[-1] == 3000
    assert completed == sorted(completed)
    assert len(completed) <= 64
