"""The asynchronous operations window at work (PS3.7 D.3.3.3): never more outstanding than agreed, whoever asks and
however the peer answers; everybody gets his own answer, in his turn; and it pays where the way is long.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Coroutine, Iterable, Iterator
from dataclasses import replace
from itertools import cycle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine_pair import acceptor, requestor
from memory_link import Alone, Answering, Anything, Joined, content, instance, nothing_left, windowed
from sansdimse.dimse.messages import CEchoRQ, CStoreRQ
from sansdimse.errors import LocalProtocolError
from sansdimse.limits import Limits
from sansdimse.peer.scp import Echo, Store
from sansdimse.peer.scu import Peer
from sansdimse.ul.items import AsynchronousOperationsWindow

Window = AsynchronousOperationsWindow | None


async def collect(peer: Peer, sources: Iterable[Any], got: list[Any]) -> None:
    async with peer.c_store_each(sources) as results:
        async for source, answer in results:
            got.append((source, answer))


def some(number: int, size: int = 10) -> list[Any]:
    return [instance(size, f"1.{n}") for n in range(1, number + 1)]


def of(window: int) -> AsynchronousOperationsWindow:
    return AsynchronousOperationsWindow(window, 1)


def agreed(asked: Window, answered: Window) -> int:
    """What both stand for together; what is unlimited is a number that no test reaches."""
    if asked is None or answered is None:
        return 1
    return min([number for number in (asked.invoked, answered.invoked) if number], default=10_000)


# ---------------------------------------------------------------- what was agreed holds


@pytest.mark.parametrize(
    ("asked", "answered", "most"),
    [
        (None, None, 1),
        (None, of(8), 1),  # nobody asked: the deviation is reported, and no more
        (of(8), None, 1),  # PS3.7 D.3.3.3.2: not returned, so the default
        (of(8), of(1), 1),
        (of(8), of(5), 5),
        (of(8), of(8), 8),
        (of(8), of(20), 8),  # above the offer
        (of(8), of(0), 8),
        (of(0), of(3), 3),
        (of(0), of(0), 30),
    ],
)
def test_the_window_answered_is_the_one_used(asked: Window, answered: Window, most: int) -> None:
    alone = windowed(asked, answered)
    scp = Answering(alone)
    sources, got = some(30), []  # type: tuple[list[Any], list[Any]]
    task = alone.loop.spawn(collect(alone.peer, sources, got))
    scp.hear()
    assert len(scp.waiting) == most
    scp.answer_all(0xB000)
    assert (scp.most, task.result()) == (most, None)
    assert got == [(source, 0xB000) for source in sources]


windows = st.none() | st.builds(AsynchronousOperationsWindow, st.integers(0, 6), st.integers(0, 2))
numbers = st.lists(st.integers(0, 30), min_size=1, max_size=40).map(cycle)


@given(
    asked=windows,
    answered=windows,
    sizes=st.lists(st.integers(0, 5000).map(lambda size: 2 * size), max_size=12),
    capacity=st.sampled_from([500, 7000, 1 << 40]),
    choices=numbers,
    cuts=numbers,
)
def test_any_order_of_answers_gives_each_its_own_in_the_order_of_the_sources(
    asked: Window, answered: Window, sizes: list[int], capacity: int, choices: Iterator[int], cuts: Iterator[int]
) -> None:
    """Also if some are refused in the middle of their data sets, which is then cut (PS3.7 9.3.1.3)."""

    def cut(received: bytes) -> Iterator[bytes]:
        at = 0
        while at < len(received):
            end = at + 1 + 5 * next(cuts)
            yield received[at:end]
            at = end

    alone = windowed(asked, answered, capacity=capacity, cut=cut)
    scp = Answering(alone)
    sources = [instance(size, f"1.{n}", piece=900) for n, size in enumerate(sizes)]
    statuses = {f"1.{n}": 0xB000 + n for n in range(len(sizes))}
    got: list[Any] = []
    task = alone.loop.spawn(collect(alone.peer, sources, got))
    alone.loop.run()
    while not task.done:
        choice = next(choices)
        heard = scp.hear() if choice < 10 else False
        may_be_answered = list(scp.waiting.values())
        if scp.receiving is not None and scp.receiving.affected_sop_instance_uid not in scp.refused:
            may_be_answered.append(scp.receiving)
        if heard or not may_be_answered:
            assert heard or scp.hear() or task.done, "it stands still"
            continue
        request = may_be_answered[choice % len(may_be_answered)]
        assert isinstance(request, CStoreRQ)
        uid = request.affected_sop_instance_uid
        if request is scp.receiving:
            statuses[uid] = 0xA700
        scp.answer(request.message_id, statuses[uid])
    assert task.result() is None
    assert [source for source, _ in got] == sources
    assert {source.sop_instance_uid: answer for source, answer in got} == statuses
    assert scp.refused <= {uid for uid, status in statuses.items() if status == 0xA700}
    assert scp.stored == {f"1.{n}": content(size) for n, size in enumerate(sizes) if f"1.{n}" not in scp.refused}
    assert scp.most <= agreed(asked, answered)
    assert nothing_left(alone.session)


# ---------------------------------------------------------------- several tasks, one peer


class ByUid:
    """A service whose status says which instance it was."""

    async def c_store(self, store: Store) -> int:
        await store.read()
        return 0xB000 + int(store.sop_instance_uid.rpartition(".")[2])

    async def c_echo(self, echo: Echo) -> int:
        return 0


@pytest.mark.parametrize("window", [1, 2, 8, 0xFFFF])
@pytest.mark.parametrize("capacity", [3000, 1 << 40])
def test_every_one_of_many_tasks_gets_its_own_answer(window: int, capacity: int) -> None:
    joined = Joined(ByUid(), ours=requestor(window=of(window)), theirs=acceptor(window=of(window)), capacity=capacity)
    loop, peer = joined.loop, joined.peer
    each: list[Any] = []
    for task in range(4):
        sources = [instance(1000, f"1.{100 * task + n}") for n in range(20)]
        got: list[Any] = []
        each.append((sources, got, loop.spawn(collect(peer, sources, got))))
    stores = [loop.spawn(peer.c_store(instance(5000, f"1.{1000 + n}"))) for n in range(20)]
    echos = [loop.spawn(peer.c_echo()) for _ in range(20)]
    loop.run()
    for task, (sources, got, done) in enumerate(each):
        assert done.result() is None
        assert got == [(source, 0xB000 + 100 * task + n) for n, source in enumerate(sources)]
    assert [store.result() for store in stores] == [0xB000 + 1000 + n for n in range(20)]
    assert [echo.result() for echo in echos] == [0] * 20
    assert all(map(nothing_left, joined.sessions))


@pytest.mark.parametrize("window", [1, 2, 8, 0])
@pytest.mark.parametrize("seed", range(5))
def test_and_also_if_the_peer_answers_in_any_order(window: int, seed: int) -> None:
    chance = random.Random(seed)
    alone = windowed(of(window), of(window), capacity=chance.choice([2000, 1 << 40]))
    scp, loop, peer = Answering(alone), alone.loop, alone.peer
    got: list[Any] = []
    many = loop.spawn(collect(peer, some(20, 3000), got))
    stores = [loop.spawn(peer.c_store(instance(3000, f"1.{n}"))) for n in range(100, 110)]
    echos = [loop.spawn(peer.c_echo()) for _ in range(10)]
    answered: Counter[int] = Counter()
    while scp.hear() or scp.waiting:
        if scp.waiting:
            message_id = chance.choice(list(scp.waiting))
            request = scp.waiting[message_id]
            status = 0x0110
            if isinstance(request, CStoreRQ):
                status = 0xB000 + int(request.affected_sop_instance_uid.rpartition(".")[2])
            answered[status] += 1
            scp.answer(message_id, status)
    assert many.result() is None
    assert [answer for _, answer in got] == [0xB000 + n for n in range(1, 21)]
    assert [store.result() for store in stores] == [0xB000 + n for n in range(100, 110)]
    assert [echo.result() for echo in echos] == [0x0110] * 10
    assert answered[0x0110] == 10
    assert scp.most <= (window or 40)
    assert nothing_left(alone.session)


@pytest.mark.parametrize("window", [1, 2, 8])
def test_one_who_stores_many_does_not_starve_another(window: int) -> None:
    """The next slot that gets free is for who came first; whoever has just had one goes to the end of the line."""
    alone = windowed(of(window), of(window))
    scp = Answering(alone)
    got: list[Any] = []
    many = alone.loop.spawn(collect(alone.peer, some(40), got))
    scp.hear()
    assert len(scp.waiting) == window
    echo = alone.loop.spawn(alone.peer.c_echo())
    alone.loop.run()
    scp.answer(1)
    scp.hear()
    assert isinstance(list(scp.waiting.values())[-1], CEchoRQ)
    scp.answer_all()
    assert echo.result() == 0
    assert many.result() is None
    assert len(got) == 40


def test_those_who_wait_are_served_in_the_order_in_which_they_came() -> None:
    alone = windowed(of(2), of(2))
    scp = Answering(alone)
    tasks = [alone.loop.spawn(alone.peer.c_store(instance(10, f"1.{n}"))) for n in range(20)]
    alone.loop.run()
    tasks[7].cancel()
    order = []
    while scp.hear() or scp.waiting:
        for message_id, request in list(scp.waiting.items()):
            assert isinstance(request, CStoreRQ)
            order.append(request.affected_sop_instance_uid)
            scp.answer(message_id)
    assert order == [f"1.{n}" for n in range(20) if n != 7]
    assert nothing_left(alone.session)


def test_cancelled_in_the_line_the_next_moves_up() -> None:
    for cancelled in range(1, 4):
        alone = windowed(of(1), of(1))
        scp = Answering(alone)
        tasks = [alone.loop.spawn(alone.peer.c_echo()) for _ in range(4)]
        alone.loop.run()
        scp.hear()
        scp.answer(1)  # the next is woken in this very moment
        tasks[cancelled].cancel()
        scp.answer_all()
        assert [task.value for n, task in enumerate(tasks) if n != cancelled] == [0, 0, 0]
        assert nothing_left(alone.session)


# ---------------------------------------------------------------- behind an open data set

FEW = replace(Limits(), queued_messages=3)


def test_many_that_ask_while_a_long_data_set_goes_out_wait_for_one_another() -> None:
    """The window has room for all, and what may wait behind the data set is less."""
    joined = Joined(ByUid(), ours=requestor(window=of(100), limits=FEW), theirs=acceptor(window=of(100)), capacity=3000)
    loop, peer = joined.loop, joined.peer
    got: list[Any] = []
    long = loop.spawn(peer.c_store(instance(100_000, "1.1")))
    echos = [loop.spawn(peer.c_echo()) for _ in range(20)]
    many = loop.spawn(collect(peer, some(20, 2000), got))
    stores = [loop.spawn(peer.c_store(instance(1000, f"1.{n}"))) for n in range(30, 40)]
    loop.run()
    assert long.result() == 0xB001
    assert [each.result() for each in echos] == [0] * 20
    assert many.result() is None
    assert [answer for _, answer in got] == [0xB000 + n for n in range(1, 21)]
    assert [each.result() for each in stores] == [0xB000 + n for n in range(30, 40)]
    assert all(map(nothing_left, joined.sessions))


def test_they_go_on_when_the_data_set_has_ended_and_not_when_it_is_answered() -> None:
    alone = Alone(config=requestor(window=of(100), limits=FEW), other=acceptor(window=of(100)))
    scp = Answering(alone)
    storing = alone.engine.c_store("1.2.840.10008.5.1.4.1.1.2", "1.2.3")
    echos = [alone.loop.spawn(alone.peer.c_echo()) for _ in range(10)]
    scp.hear()
    assert (scp.receiving, len(alone.engine.outstanding)) == (storing.request, 1 + 3)
    storing.send_data(b"", is_last=True)
    scp.hear()
    assert [type(each) for each in scp.waiting.values()] == [CStoreRQ, *[CEchoRQ] * 10]
    assert not any(each.done for each in echos)


# ---------------------------------------------------------------- message IDs


def start_near_the_wrap(alone: Alone, last: int) -> None:
    alone.engine._invoker._last_id = last


def test_message_ids_wrap_and_skip_those_outstanding() -> None:
    alone = windowed(of(4), of(4))
    scp = Answering(alone)
    start_near_the_wrap(alone, 65532)
    got: list[Any] = []
    task = alone.loop.spawn(collect(alone.peer, some(12), got))
    scp.hear()
    assert list(scp.waiting) == [65533, 65534, 65535, 1]
    start_near_the_wrap(alone, 65533)  # as if one had gone round in the meantime
    for answered, now in ((65535, [65533, 65534, 1, 65535]), (65535, [65533, 65534, 1, 2]), (1, [65533, 65534, 2, 3])):
        scp.answer(answered, 0xB000)
        scp.hear()
        assert list(scp.waiting) == now
    start_near_the_wrap(alone, 65532)
    scp.answer(3)
    scp.hear()
    assert list(scp.waiting) == [65533, 65534, 2, 65535]
    start_near_the_wrap(alone, 65532)
    scp.answer(2)
    scp.hear()
    assert list(scp.waiting) == [65533, 65534, 65535, 1]
    scp.answer_all()
    assert task.result() is None
    assert [answer for _, answer in got] == [0, 0, 0xB000, 0xB000, 0xB000, 0, 0, 0, 0, 0, 0, 0]
    assert 0 not in scp.ids


@pytest.mark.parametrize("seed", range(5))
def test_many_rounds_over_the_wrap_in_any_order(seed: int) -> None:
    """Answers to what bears the same ID as one before go to the right one."""
    chance = random.Random(seed)
    alone = windowed(of(6), of(6))
    scp = Answering(alone)
    sources, got = some(300), []  # type: tuple[list[Any], list[Any]]
    task = alone.loop.spawn(collect(alone.peer, sources, got))
    while scp.hear() or scp.waiting:
        if chance.random() < 0.2:
            start_near_the_wrap(alone, chance.randint(65525, 65535))
        message_id = chance.choice(list(scp.waiting))
        request = scp.waiting[message_id]
        assert isinstance(request, CStoreRQ)
        scp.answer(message_id, 0xB000 + int(request.affected_sop_instance_uid.rpartition(".")[2]))
    assert task.result() is None
    assert got == [(source, 0xB000 + n) for n, source in enumerate(sources, 1)]
    assert {1, 65535} <= set(scp.ids) <= set(range(1, 65536))
    assert len(set(scp.ids)) < len(scp.ids)
    assert scp.most == 6


# ---------------------------------------------------------------- a long way


def seconds_for(window: int, number: int, **settings: Any) -> float:
    """How long it takes to store so many instances of 8 KiB with 20 ms each way."""
    service = Anything()
    joined = Joined(
        service, ours=requestor(window=of(window)), theirs=acceptor(window=of(window)), latency=0.02, **settings
    )
    assert joined.loop.now == pytest.approx(0.04)  # to establish it: there and back
    before, got = joined.loop.now, []  # type: tuple[float, list[Any]]
    joined.loop.call(collect(joined.peer, some(number, 8192), got))
    assert [answer for _, answer in got] == [0] * number
    assert service.stored == {f"1.{n}": content(8192) for n in range(1, number + 1)}
    took = joined.loop.now - before
    joined.loop.finish(joined.peer.release())
    assert joined.loop.now - before == pytest.approx(took + 0.08)  # asked, answered, closed by us and by them
    assert all(map(nothing_left, joined.sessions))
    return took


@pytest.mark.parametrize(("window", "rounds"), [(1, 200), (2, 100), (7, 29), (8, 25), (200, 1), (0xFFFF, 1)])
def test_each_round_trip_stores_as_many_as_the_window_is_wide(window: int, rounds: int) -> None:
    assert seconds_for(window, 200) == pytest.approx(rounds * 0.04)


def test_a_window_of_eight_takes_at_most_a_fifth_of_the_time() -> None:
    assert seconds_for(8, 200) <= seconds_for(1, 200) / 5


def test_a_wire_that_holds_little_is_the_bound_then() -> None:
    """Bandwidth is what is on the way by its time: 64 KiB in 20 ms hold no eight of 8 KiB with their commands."""
    assert 25 * 0.04 < seconds_for(8, 200, capacity=64 * 1024) < 200 * 0.04


def test_a_deadline_that_comes_before_the_bytes_passes() -> None:
    """The latency is above what our side waits for an answer."""
    joined = Joined(latency=0.02)

    async def hangs(tasks: list[Coroutine[Any, Any, Any]]) -> None:
        for task in tasks:
            await task

    joined.loop.call(hangs([joined.peer.c_echo(), joined.peer.c_echo()]))
    assert joined.loop.now == pytest.approx(0.04 + 2 * 0.04)


def test_more_than_the_window_is_refused_to_who_does_not_wait() -> None:
    alone = windowed(of(2), of(2))
    alone.engine.c_echo()
    alone.engine.c_echo()
    with pytest.raises(LocalProtocolError, match="at most 2"):
        alone.engine.c_echo()
