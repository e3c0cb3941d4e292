"""Every event reaches the conversation it belongs to; what ends one conversation leaves the others alone."""

from __future__ import annotations

import pickle
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine_pair import (
    ABORT,
    CT,
    GETTING,
    MOVING,
    MPPS,
    QUERY,
    RELEASE_RP,
    RELEASE_RQ,
    STEPS,
    acceptor,
    bytewise,
    command,
    data,
    echo_rq,
    echo_rsp,
    find_rq,
    get_rq,
    message,
    move_rq,
    requestor,
    store_rq,
    whole,
)
from memory_link import Alone, Anything, Cancelled, Joined, Loop, Pipe, Signal, Task, content, instance, nothing_left
from sansdimse.admission import Certificate
from sansdimse.association import Association
from sansdimse.deviations import Code
from sansdimse.dimse.messages import CCancelRQ, CEchoRSP, CStoreRSP, NCreateRQ, NDeleteRQ, NDeleteRSP, NSetRQ
from sansdimse.dimse.status import CANCEL, SUCCESS
from sansdimse.errors import LocalProtocolError
from sansdimse.events import FindRequested, ResponseReceived
from sansdimse.limits import Limits
from sansdimse.outcome import Outcome, OutcomeKind, Side
from sansdimse.peer.inbox import Inbox
from sansdimse.peer.link import Destination
from sansdimse.peer.scp import Echo, Store
from sansdimse.peer.scu import Peer
from sansdimse.peer.session import AssociationLost, Session
from sansdimse.peer.watch import (
    AssociationEnded,
    AssociationEstablished,
    Ending,
    OperationEnded,
    OperationOutcome,
    Statistics,
)
from sansdimse.ul.items import AsynchronousOperationsWindow
from sansdimse.ul.machine import Turn
from sansdimse.ul.negotiation import propose
from sansdimse.ul.parties import Acceptor, PresentationContext, Requestor, WhenIdle
from sansdimse.ul.pdu import AAbort, AAssociateAC, AAssociateRJ, AReleaseRP, AReleaseRQ
from sansdimse.ul.table import State
from sansdimse.ul.timers import Timer

MIB = 1 << 20


class Gate:
    """A service whose handlers wait until they are let on; it counts how many are inside at once."""

    def __init__(self) -> None:
        self.inside = self.most = 0
        self.open = False
        self.gates: list[Signal] = []
        self.stored: dict[str, bytes] = {}
        self.lost: list[AssociationLost] = []
        self.cancelled = 0

    async def c_echo(self, echo: Echo) -> int:
        await self._inside(echo)
        return 0

    async def c_store(self, store: Store) -> int:
        await self._inside(store)
        try:
            self.stored[store.sop_instance_uid] = await store.read()
        except AssociationLost as error:
            self.lost.append(error)
            raise
        except Cancelled:
            self.cancelled += 1
            raise
        # a warning that tells which of the requests this answers
        return 0xC000 | int(store.sop_instance_uid.rpartition(".")[2])

    async def _inside(self, conversation: Any) -> None:
        self.inside += 1
        self.most = max(self.most, self.inside)
        try:
            if not self.open:
                signal = conversation._session.link.signal()
                self.gates.append(signal)
                await signal.wait()
        except Cancelled:
            self.cancelled += 1
            raise
        finally:
            self.inside -= 1

    def let_on(self) -> None:
        self.open = True
        gates, self.gates = self.gates, []
        for gate in gates:
            gate.set()


class Lost:
    """A service that takes what comes, and remembers how each handler ended."""

    def __init__(self) -> None:
        self.ends: list[str] = []

    async def c_store(self, store: Store) -> int:
        try:
            await store.read()
        except BaseException as error:
            self.ends.append(type(error).__name__)
            raise
        self.ends.append("complete")
        return 0


def windowed(service: object, window: int, **settings: Any) -> Joined:
    asked = AsynchronousOperationsWindow(window, window)
    return Joined(service, ours=requestor(window=asked), theirs=acceptor(window=asked), **settings)


# ---------------------------------------------------------------- several conversations on one association


@pytest.mark.parametrize("window", [1, 2, 4])
@pytest.mark.parametrize("capacity", [1 << 40, 70_000])
def test_two_stores_and_two_echoes_at_once_are_each_answered_with_their_own(window: int, capacity: int) -> None:
    service = Gate()
    service.open = True
    joined = windowed(service, window, capacity=capacity)
    loop, peer = joined.loop, joined.peer
    sizes = {"1.2.1": 700_000, "1.2.2": 300_002}
    stores = [loop.spawn(peer.c_store(instance(size, uid))) for uid, size in sizes.items()]
    echoes = [loop.spawn(peer.c_echo()) for _ in range(2)]
    loop.run()
    assert [int(task.result()) for task in stores] == [0xC001, 0xC002]
    assert [int(task.result()) for task in echoes] == [0, 0]
    assert service.stored == {uid: content(size) for uid, size in sizes.items()}
    assert all(map(nothing_left, joined.sessions))
    assert loop.finish(peer.release()).kind is OutcomeKind.RELEASED
    assert not loop.waiting
    assert not joined.reports


@pytest.mark.parametrize(("window", "inside"), [(1, 1), (2, 2), (3, 3), (8, 4)])
def test_as_many_requests_overlap_as_the_window_lets(window: int, inside: int) -> None:
    service = Gate()
    joined = windowed(service, window)
    loop, peer = joined.loop, joined.peer
    asked = [peer.c_echo(), peer.c_store(instance(uid="1.2.1")), peer.c_echo(), peer.c_store(instance(uid="1.2.2"))]
    tasks = [loop.spawn(each) for each in asked]
    loop.run()
    assert service.inside == len(joined.scu.engine.outstanding) == inside
    service.let_on()
    loop.run()
    assert [int(task.result()) for task in tasks] == [0, 0xC001, 0, 0xC002]
    assert service.most == inside


def test_a_handler_that_waits_does_not_hold_up_the_next() -> None:
    service = Gate()
    joined = windowed(service, 2)
    loop, peer = joined.loop, joined.peer
    first = loop.spawn(peer.c_store(instance(uid="1.2.1")))
    loop.run()
    service.open = True
    assert loop.call(peer.c_store(instance(uid="1.2.2"))) == 0xC002
    assert not first.done
    service.let_on()
    loop.run()
    assert first.result() == 0xC001


def test_both_ends_ask_and_serve_at_once() -> None:
    ours, theirs = Anything(), Anything()
    joined = Joined(theirs, scu_service=ours, capacity=50_000)
    loop = joined.loop
    back = Peer(joined.scp)
    tasks = [loop.spawn(joined.peer.c_store(instance(900_000, "1.2.1"))), loop.spawn(back.c_store(instance(800_000)))]
    loop.run()
    assert [task.result() for task in tasks] == [0, 0]
    assert theirs.stored == {"1.2.1": content(900_000)}
    assert ours.stored == {"1.2.3.4": content(800_000)}
    assert loop.finish(back.release()).kind is OutcomeKind.RELEASED
    assert not loop.waiting


@settings(max_examples=25)
@given(st.lists(st.integers(1, 40_000), min_size=1, max_size=5), st.integers(1, 5), st.integers(13, 100_000))
def test_whatever_is_stored_arrives_whole_in_any_chunks(sizes: list[int], window: int, chunk: int) -> None:
    def cut(data: bytes) -> list[bytes]:
        return [data[at : at + chunk] for at in range(0, len(data), chunk)]

    service = Gate()
    service.open = True
    joined = windowed(service, window, cut=cut, capacity=100_000)
    wanted = {f"1.2.{number}": 2 * size for number, size in enumerate(sizes, 1)}
    tasks = [joined.loop.spawn(joined.peer.c_store(instance(size, uid))) for uid, size in wanted.items()]
    joined.loop.run()
    assert [task.result() for task in tasks] == [0xC000 | number for number in range(1, len(sizes) + 1)]
    assert service.stored == {uid: content(size) for uid, size in wanted.items()}


# ---------------------------------------------------------------- back-pressure


def test_a_slow_handler_stops_the_reading_and_goes_on_where_it_was() -> None:
    service = Gate()
    joined = Joined(service, capacity=100_000)
    loop = joined.loop
    store = loop.spawn(joined.peer.c_store(instance(5 * MIB, "1.2.1")))
    loop.run()
    scp = joined.scp
    (inbox,) = scp._inboxes.values()
    assert scp.stalled
    assert MIB <= inbox.size < MIB + 300_000
    assert joined.there.data, "what is not read stays on the wire"
    unsent = joined.scu.engine.bytes_unsent
    assert unsent >= joined.scu.engine.limits.output_high_water, "the sender is held"
    assert joined.scu_link.highest_unsent < joined.scu.engine.limits.output_high_water + 256 * 1024
    kicks = joined.scp_link.kicks
    service.let_on()
    loop.run()
    assert joined.scp_link.kicks > kicks
    assert store.result() == 0xC001
    assert service.stored["1.2.1"] == content(5 * MIB)
    assert not scp.stalled


def test_pieces_of_one_byte_are_bounded_by_what_they_cost() -> None:
    service = Gate()
    alone = Alone(service)
    alone.raw.send(store_rq(), *[data(3, b"x", is_last=False)] * 20_000)
    (inbox,) = alone.session._inboxes.values()
    assert alone.session.stalled
    assert len(inbox.events) < 5000


def test_much_of_few_bytes_is_taken_in_turns_and_nothing_is_lost() -> None:
    service = Gate()
    alone = Alone(service)
    session, engine = alone.session, alone.engine
    alone.raw.send(store_rq())
    (inbox,) = session._inboxes.values()
    engine.receive_data(data(3, b"x", is_last=False) * 100 + data(3, b"yz"), 0.0)
    lengths = []
    while True:
        session.pump(Turn(10))
        lengths.append(len(inbox.events))
        if not session.behind:
            break
        assert engine.bytes_buffered
    assert lengths == [*range(10, 101, 10), 101]
    service.let_on()
    alone.loop.run()
    assert [message.status for message in alone.raw.said()] == [0xC004]
    assert service.stored == {"1.2.3.4": b"x" * 100 + b"yz"}


def test_who_takes_from_a_full_inbox_does_not_have_it_filled_at_once() -> None:
    alone = Alone(Gate())
    session = alone.session
    alone.raw.send(store_rq(), *[data(3, bytes(60_000), is_last=False)] * 30)
    (inbox,) = session._inboxes.values()
    session.pump(Turn(10))
    assert (session.stalled, session.behind) == (True, False)
    before = len(inbox.events)
    inbox.take()
    assert (session.full, session.stalled, session.behind) == (0, True, True)
    assert len(inbox.events) == before - 1
    session.pump_some()
    assert (len(inbox.events), session.behind) == (before - 1, True)
    session.pump(Turn(10))
    assert (session.stalled, session.behind) == (True, False)
    assert len(inbox.events) == before


def test_a_turn_is_so_long_that_others_can_wait_for_it() -> None:
    service = Gate()
    alone = Alone(service)
    session = alone.session
    alone.raw.send(store_rq())
    (inbox,) = session._inboxes.values()
    alone.engine.receive_data(data(3, b"x", is_last=False) * 2000, 0.0)
    lengths = []
    while True:
        session.pump_some()
        lengths.append(len(inbox.events))
        if not session.behind:
            break
        assert session.stalled
        session.behind = False
    assert lengths == [512, 1024, 1536, 2000]
    assert not session.stalled


@pytest.mark.parametrize("most", [1, 3])
def test_the_end_comes_in_turns_too(most: int) -> None:
    alone = Alone(Lost())
    alone.raw.send(store_rq())
    alone.engine.receive_data(data(3, b"x", is_last=False) * 10, 0.0)
    alone.engine.receive_eof(0.0)
    turns = 0
    while not alone.session.ended:
        alone.session.pump(Turn(most))
        turns += 1
        assert alone.session.ended or alone.session.behind
    assert turns > 10 // most
    assert not alone.session.behind


def test_what_waits_for_the_peer_stands_still_while_we_do_not_read() -> None:
    service = Gate()
    alone = Alone(service)
    alone.raw.send(store_rq(), *[data(3, bytes(60_000), is_last=False)] * 30)
    assert alone.session.stalled
    alone.loop.pass_time(Limits().operation_answer - 1)  # type: ignore[operator]
    assert alone.session.outcome is None
    service.let_on()
    alone.loop.run()
    alone.loop.pass_time(Limits().message_completion or 0)
    assert alone.session.outcome is not None
    assert alone.session.outcome.timer is Timer.MESSAGE_COMPLETION


def test_a_handler_that_takes_nothing_of_a_data_set_has_a_deadline() -> None:
    service = Gate()
    alone = Alone(service)
    alone.raw.send(store_rq(), *[data(3, bytes(60_000), is_last=False)] * 30)
    alone.loop.pass_time(Limits().operation_answer or 0)
    assert alone.session.outcome is not None
    assert alone.session.outcome.timer is Timer.OPERATION_ANSWER
    assert service.cancelled == 1


@pytest.mark.parametrize("sizes", [[60_000] * 60, [2000] * 400 + [200_000] * 2])
def test_one_that_takes_a_little_now_and_then_goes_on(sizes: list[int]) -> None:
    class Slow:
        async def c_store(self, store: Store) -> int:
            async for _ in store:
                gate = alone.link.signal()
                gates.append(gate)
                await gate.wait()
            return 0

    gates: list[Signal] = []
    alone = Alone(Slow())
    alone.raw.send(store_rq(), *[data(3, bytes(size), is_last=False) for size in sizes])
    for _ in range(20):
        alone.loop.now += (Limits().operation_answer or 0) - 1
        due = alone.engine.next_timeout()
        assert due is not None
        assert due > alone.loop.now
        gates.pop().set()
        alone.loop.run()
    alone.raw.send(data(3, b"end!"))
    while gates:
        gates.pop().set()
        alone.loop.run()
    assert [message.status for message in alone.raw.said()] == [0]
    assert not any(timer is Timer.OPERATION_ANSWER for timer, _ in alone.engine.deadlines())


def test_a_deadline_of_our_own_passes_while_an_inbox_is_full() -> None:
    """Timers that wait for the peer stand still meanwhile; one that waits for us must not keep firing unheard."""
    alone = Alone(Gate())
    alone.raw.send(store_rq(), *[data(3, bytes(60_000), is_last=False)] * 30)
    assert alone.session.stalled
    upper_layer = alone.session.engine._ul
    upper_layer.timers.start(Timer.OPERATION_ANSWER, upper_layer.now, 5.0)
    alone.loop.pass_time(5.0)
    assert alone.session.outcome is not None
    assert alone.session.outcome.timer is Timer.OPERATION_ANSWER


def test_a_failure_told_early_frees_the_inbox_and_the_rest_is_discarded() -> None:
    class Refuses:
        async def c_store(self, store: Store) -> int:
            assert len(await anext(store)) > 0
            return 0xA700

    joined = Joined(Refuses(), capacity=100_000)
    assert joined.loop.call(joined.peer.c_store(instance(8 * MIB))) == 0xA700
    joined.loop.run()
    assert joined.loop.call(joined.peer.c_echo()) == 0
    assert all(map(nothing_left, joined.sessions))
    assert joined.scp.engine.outcome is None


# ---------------------------------------------------------------- the ends, as acceptor

STORE = [store_rq(), data(3, b"one!", is_last=False), data(3, b"two!", is_last=False), data(3, b"end!")]

WHOLE_PDUS = [0, len(STORE[0]), len(b"".join(STORE[:2])), len(b"".join(STORE[:3]))]
HALF_PDUS = [10, len(STORE[0]) + 20, len(b"".join(STORE)) - 1]


@pytest.mark.parametrize("cut", [whole, bytewise])
@pytest.mark.parametrize("can_cancel", [False, True])
@pytest.mark.parametrize(
    ("said", "end"),
    [(said, "abort") for said in WHOLE_PDUS]
    + [(said, end) for said in WHOLE_PDUS + HALF_PDUS for end in ("close", "reset")],
)
def test_the_peer_goes_in_the_middle_of_its_store(
    cut: Callable[..., Any], can_cancel: bool, said: int, end: str
) -> None:
    service = Lost()
    alone = Alone(service, cut=cut)
    alone.link.can_cancel = can_cancel
    alone.raw.send(b"".join(STORE)[:said])
    if end == "abort":
        alone.raw.send(ABORT)
    else:
        alone.raw.vanish("connection reset" if end == "reset" else None)
    outcome = alone.loop.call(alone.session.end())
    alone.loop.run()
    assert outcome.kind is (OutcomeKind.ABORTED if end == "abort" else OutcomeKind.CLOSED)
    assert outcome.by is (Side.NETWORK if end == "reset" else Side.PEER)
    told = said >= len(STORE[0])
    assert service.ends == (["Cancelled" if can_cancel else "AssociationLost"] if told else [])
    assert outcome.outstanding == told
    assert not alone.reports
    assert nothing_left(alone.session)
    assert not alone.loop.waiting
    assert alone.raw.hung_up_on


@pytest.mark.parametrize("can_cancel", [False, True])
@pytest.mark.parametrize("steps", range(5))
def test_the_peer_releases_at_each_step_of_its_store(steps: int, can_cancel: bool) -> None:
    service = Lost()
    alone = Alone(service)
    alone.link.can_cancel = can_cancel
    for step in STORE[:steps]:
        alone.raw.send(step)
    alone.raw.send(RELEASE_RQ)
    outcome = alone.session.outcome
    assert outcome is not None
    assert (outcome.kind, outcome.by) == (OutcomeKind.RELEASED, Side.PEER)
    said = alone.raw.said()
    assert isinstance(said[-1], AReleaseRP)
    assert [message.status for message in said[:-1]] == ([0] if steps == 4 else [])
    lost = ["Cancelled" if can_cancel else "AssociationLost"]
    assert service.ends == ([] if steps == 0 else ["complete"] if steps == 4 else lost)
    alone.raw.vanish()
    assert alone.loop.call(alone.session.end()).kind is OutcomeKind.RELEASED
    assert nothing_left(alone.session)
    assert not alone.reports


def test_a_release_is_answered_when_the_handlers_are_done() -> None:
    service = Gate()
    alone = Alone(service)
    alone.raw.send(echo_rq(1), RELEASE_RQ)
    assert alone.raw.said() == []
    assert alone.engine.state is State.STA8
    service.let_on()
    response, released = alone.raw.said()
    assert isinstance(response, CEchoRSP)
    assert isinstance(released, AReleaseRP)


def test_requests_held_beyond_the_window_are_answered_before_the_release() -> None:
    service = Gate()
    alone = Alone(service)
    alone.raw.send(echo_rq(1), echo_rq(2), echo_rq(3), RELEASE_RQ)
    service.let_on()
    said = alone.raw.said()
    assert [message.message_id_being_responded_to for message in said[:-1]] == [1, 2, 3]
    assert isinstance(said[-1], AReleaseRP)


def test_the_association_ends_while_a_handler_works_on_what_it_has() -> None:
    service = Gate()
    alone = Alone(service)
    alone.raw.send(echo_rq(1))
    alone.raw.vanish()
    assert service.cancelled == 1
    assert service.inside == 0
    assert nothing_left(alone.session)
    assert not alone.loop.waiting
    assert alone.session.outcome is not None
    assert alone.session.outcome.outstanding == 1


def test_a_request_that_was_never_served_leaves_nothing_either() -> None:
    """The end comes with the request, so its conversation is ended before it began."""
    service = Gate()
    alone = Alone(service)
    alone.raw._outgoing.closed = True
    alone.raw.send(echo_rq(1))
    assert alone.session.ended
    assert service.most == 0
    assert not alone.loop.waiting
    assert nothing_left(alone.session)


# ---------------------------------------------------------------- the ends, as requestor


@pytest.mark.parametrize("first", ["scu", "scp"])
def test_both_release_at_once(first: str) -> None:
    joined = Joined()
    tasks = [joined.loop.spawn(Peer(session).release()) for session in joined.sessions]
    if first == "scp":
        joined.loop.ready.reverse()
    joined.loop.run()
    assert [task.result().kind for task in tasks] == [OutcomeKind.RELEASED] * 2
    assert not joined.loop.waiting


@pytest.mark.parametrize("acceptor_too", [False, True])
def test_a_release_that_crosses_a_request_is_not_held_up_by_it(acceptor_too: bool) -> None:
    """In Sta7 to Sta12 nothing can be answered (PS3.8 Table 9-10): not by a handler, not without one."""
    service = Gate()
    if acceptor_too:
        alone = Alone(service)
    else:
        alone = Alone(config=requestor(), other=acceptor())
        alone.session.service = service
    task = alone.loop.spawn(alone.peer.release())
    alone.loop.run()
    assert alone.engine.state is State.STA7
    alone.raw.send(echo_rq(1), RELEASE_RQ)
    if acceptor_too:
        assert alone.engine.state is State.STA10
        alone.raw.send(RELEASE_RP)
    else:
        assert alone.engine.state is State.STA11
        alone.raw.send(RELEASE_RP)
    service.let_on()
    alone.raw.vanish()
    assert task.result().kind is OutcomeKind.RELEASED
    assert not alone.reports
    assert [type(each) for each in alone.raw.said()] == [AReleaseRQ, AReleaseRP]


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        (echo_rq(1), CEchoRSP),
        (store_rq(1) + data(3, b"data"), CStoreRSP),
        (command(3, NDeleteRQ(message_id=1, requested_sop_class_uid=CT, requested_sop_instance_uid="1.2")), NDeleteRSP),
    ],
    ids=["echo", "store", "unknown to us"],
)
@pytest.mark.parametrize("releasing", [False, True])
def test_what_nobody_serves_is_refused_if_it_still_can_be(asked: bytes, answered: type, releasing: bool) -> None:
    alone = Alone()
    task = None
    if releasing:
        task = alone.loop.spawn(alone.peer.release())
        alone.loop.run()
        alone.raw.said()
    alone.raw.send(asked)
    said = alone.raw.said()
    if task is None:
        (response,) = said
        assert isinstance(response, answered)
        assert response.status in (0x0122, 0x0211)
        assert nothing_left(alone.session)
        return
    assert said == []
    alone.raw.send(RELEASE_RP)
    assert task.result().kind is OutcomeKind.RELEASED


def test_an_outstanding_request_learns_at_once_that_the_peer_has_released() -> None:
    alone = Alone()
    task = alone.loop.spawn(alone.peer.c_echo())
    alone.loop.run()
    alone.raw.send(RELEASE_RQ)
    with pytest.raises(AssociationLost) as lost:
        task.result()
    assert lost.value.outcome.kind is OutcomeKind.RELEASED
    assert "released by the peer" in str(lost.value)
    assert nothing_left(alone.session)


def test_a_request_that_waits_for_the_window_learns_that_the_association_is_lost() -> None:
    alone = Alone()
    tasks = [alone.loop.spawn(alone.peer.c_echo()) for _ in range(3)]
    alone.loop.run()
    alone.raw.send(ABORT)
    for task in tasks:
        with pytest.raises(AssociationLost):
            task.result()
    assert not alone.loop.waiting


def test_the_window_is_free_again_when_an_abandoned_request_was_answered() -> None:
    """That answer is told to nobody, and yet whoever waits for room has to learn of it."""
    alone = Alone()
    first = alone.loop.spawn(alone.peer.c_echo())
    alone.loop.run()
    second = alone.loop.spawn(alone.peer.c_echo())
    alone.loop.run()
    first.cancel()
    alone.loop.run()
    assert [request.message_id for request in alone.engine.outstanding] == [1]
    alone.raw.send(echo_rsp(1))
    assert [request.message_id for request in alone.engine.outstanding] == [2]
    alone.raw.send(echo_rsp(2))
    assert second.result() == 0


def test_abort_wakes_who_waits_before_the_peer_has_closed() -> None:
    alone = Alone()
    task = alone.loop.spawn(alone.peer.c_echo())
    alone.loop.run()
    alone.session.abort()
    alone.loop.run()
    assert alone.engine.state is State.STA13
    with pytest.raises(AssociationLost):
        task.result()
    assert isinstance(alone.raw.said()[-1], AAbort)
    alone.session.abort()
    assert alone.raw.said() == []


# ---------------------------------------------------------------- cancelled handlers


@pytest.mark.parametrize("level", [False, True])
@pytest.mark.parametrize("asked", [[echo_rq(1)], STORE], ids=["echo", "store"])
def test_a_handler_cancelled_at_any_await_leaves_an_answered_request(level: bool, asked: list[bytes]) -> None:
    for at in range(1, 20):
        service = Gate()
        alone = Alone(service)
        spawn = alone.link.spawn

        def spawn_cancelled(conversation: Any, alone: Alone = alone, at: int = at) -> Task:
            return alone.loop.spawn(conversation, cancel_at=at, level=level)

        alone.link.spawn = spawn_cancelled  # type: ignore[method-assign]
        for part in asked:
            alone.raw.send(part)
            service.let_on()
        alone.link.spawn = spawn  # type: ignore[method-assign]
        (response,) = alone.raw.said()
        served = alone.loop.tasks[-1]
        assert response.status == (0x0110 if served.cancelled else 0 if len(asked) == 1 else 0xC004)
        assert nothing_left(alone.session)
        alone.raw.send(echo_rq(2))
        assert [message.status for message in alone.raw.said()] == [0]
        alone.raw.send(RELEASE_RQ)
        assert isinstance(alone.raw.said()[-1], AReleaseRP)
        if not served.cancelled:
            assert at == len(asked) + 1, "it waited once a part, and was cancelled at each"
            return
    raise AssertionError("it never ran to its end")


# ---------------------------------------------------------------- before, and the rest


REQUEST = propose(requestor())


def deciding(decide: Callable[[Session], Any], *, can_cancel: bool = True, **limits: Any) -> Alone:
    """An acceptor with nobody there yet; ``decide`` is what it answers."""
    alone = Alone(Gate(), config=acceptor(limits=replace(Limits(), **limits)), establish=False)
    alone.session._decide = decide
    alone.link.can_cancel = can_cancel
    return alone


def test_the_acceptor_decides_by_what_it_was_given() -> None:
    async def decide(session: Session) -> AAssociateAC | AAssociateRJ:
        assert isinstance(session.engine.proposed_answer(), AAssociateAC)
        return AAssociateRJ(2, 3, 2)

    alone = deciding(decide)
    with pytest.raises(RuntimeError, match="not established"):
        alone.session.info()
    with pytest.raises(RuntimeError, match="has not ended"):
        alone.session.statistics()
    alone.raw.send(REQUEST)
    assert alone.raw.said() == [AAssociateRJ(2, 3, 2)]
    alone.raw.vanish()
    assert alone.loop.call(alone.session.end()).kind is OutcomeKind.REJECTED


def test_a_decision_that_fails_is_reported_and_the_association_rejected_for_now() -> None:
    async def decide(session: Session) -> AAssociateAC | AAssociateRJ:
        raise ValueError("what was offered makes no sense")

    alone = deciding(decide)
    alone.raw.send(REQUEST)
    assert alone.raw.said() == [AAssociateRJ(2, 1, 1)]
    assert [(str(error), where) for error, where in alone.reports] == [
        ("what was offered makes no sense", "A-ASSOCIATE-RQ")
    ]


class Slow:
    """A decision that takes its time."""

    def __init__(self) -> None:
        self.asked = 0
        self.cancelled = 0
        self.signal: Signal | None = None

    async def __call__(self, session: Session) -> AAssociateAC | AAssociateRJ:
        self.asked += 1
        signal: Any = session.link.signal()
        self.signal = signal
        try:
            await signal.wait()
        except Cancelled:
            self.cancelled += 1
            raise
        return session.engine.proposed_answer()

    def decide(self) -> None:
        assert self.signal is not None
        self.signal.set()


def test_a_decision_may_take_its_time() -> None:
    slow = Slow()
    alone = deciding(slow)
    told: list[Any] = []
    alone.session._watch = told.append
    alone.raw.send(REQUEST)
    assert (alone.raw.said(), alone.engine.state, slow.asked) == ([], State.STA3, 1)
    alone.loop.pass_time((Limits().local_answer or 0) - 1)
    slow.decide()
    (accepted,) = alone.raw.said()
    assert isinstance(accepted, AAssociateAC)
    assert told == [AssociationEstablished(alone.session.info())]
    alone.raw.send(echo_rq(1))
    assert alone.engine.state is State.STA6


@pytest.mark.parametrize("can_cancel", [False, True])
@pytest.mark.parametrize("end", ["abort", "close", "deadline", "our abort"])
def test_who_does_not_wait_for_the_decision_gets_none(end: str, can_cancel: bool) -> None:
    slow = Slow()
    alone = deciding(slow, can_cancel=can_cancel, local_answer=5.0)
    alone.raw.send(REQUEST)
    if end == "abort":
        alone.raw.send(ABORT)
    elif end == "close":
        alone.raw.vanish()
    elif end == "deadline":
        alone.loop.pass_time(5.0)
    else:
        alone.session.abort()
        alone.loop.run()
    assert slow.cancelled == can_cancel
    outcome = alone.session.outcome
    assert outcome is not None
    if end == "deadline":
        assert outcome.timer is Timer.LOCAL_ANSWER
    slow.decide()
    said = alone.raw.said()
    assert [type(pdu) for pdu in said] == ([AAbort] if end in ("deadline", "our abort") else [])
    alone.raw.vanish()
    assert alone.session.ended
    assert not alone.loop.waiting
    assert not alone.reports


def test_a_rejected_association_is_lost_to_whoever_waits_for_it() -> None:
    alone = Alone(establish=False)
    task = alone.loop.spawn(alone.session.established())
    alone.loop.run()
    assert not task.done
    alone.raw.send(AAssociateRJ(1, 1, 7))
    with pytest.raises(AssociationLost, match="called AE title not recognized"):
        task.result()


def test_who_is_at_the_other_end() -> None:
    joined = Joined()
    for session in joined.sessions:
        info = session.info()
        assert (info.calling_ae_title, info.called_ae_title, info.address) == ("ME", "YOU", "memory")
        assert info.agreement is session.engine.agreement


def test_events_of_a_request_without_an_inbox_are_dropped() -> None:
    alone = Alone()
    alone.engine.c_echo()
    alone.link.kick()
    alone.raw.send(echo_rsp(1))
    assert nothing_left(alone.session)
    task = alone.loop.spawn(alone.peer.c_echo())
    alone.loop.run()
    alone.raw.send(echo_rsp(2))
    assert task.result() == 0


def test_an_inbox_is_the_one_that_was_opened() -> None:
    alone = Alone()
    operation = alone.engine.c_echo()
    inbox = alone.session.open_inbox(operation)
    assert alone.session.inbox(operation) is inbox
    inbox.wake()
    alone.session.close_inbox(operation)
    alone.session.close_inbox(operation)
    assert alone.session.inbox(operation) is not inbox


@pytest.mark.parametrize(
    ("state", "address", "words"),
    [
        (State.STA5, "pacs:104", "no association with pacs:104: closed by the peer, in Sta5"),
        (State.STA5, "", "no association: closed by the peer, in Sta5"),
        (State.STA6, "pacs:104", "the association with pacs:104 ended: closed by the peer, in Sta6"),
        (State.STA6, "", "the association ended: closed by the peer, in Sta6"),
    ],
)
def test_a_loss_in_words(state: State, address: str, words: str) -> None:
    outcome = Outcome(kind=OutcomeKind.CLOSED, by=Side.PEER, state=state)
    lost = AssociationLost(outcome, address)
    lost.in_doubt = ("a.dcm",)
    for each in (lost, pickle.loads(pickle.dumps(lost))):
        assert (str(each), each.outcome, each.address, each.in_doubt) == (words, outcome, address, ("a.dcm",))


def test_an_end_without_an_outcome_is_a_bug_of_ours() -> None:
    alone = Alone()
    alone.session.ended = True
    with pytest.raises(RuntimeError, match="without an outcome"):
        alone.loop.call(alone.session.end())


def test_by_default_reports_go_nowhere_and_the_proposed_answer_is_given() -> None:
    session = Session(Association(acceptor(), now=0.0), None)  # type: ignore[arg-type]
    assert session.report(ValueError(), "") is None
    assert session.outcome is None
    assert not session.stalled


def test_by_default_nothing_is_opened_and_nothing_invented() -> None:
    session = Session(Association(acceptor(), now=0.0), None)  # type: ignore[arg-type]
    with pytest.raises(LocalProtocolError, match=r"this transport opens no association with STORE@10\.0\.0\.7:104"):
        session.associate(Destination("10.0.0.7", 104, "STORE"), {})
    with pytest.raises(LocalProtocolError, match="no source of UIDs"):
        session.new_uid()


# ---------------------------------------------------------------- room within the window


class Order:
    """Who invoked, in which order: of every request of ours that left, whose it was."""

    def __init__(self, joined: Joined) -> None:
        self._joined = joined
        self.invoked: list[int] = []

    async def ask(self, who: int, times: int) -> None:
        session = self._joined.scu
        for _ in range(times):
            await session.room()
            self.invoked.append(who)
            operation = session.engine.c_echo()
            inbox = session.open_inbox(operation)
            session.link.kick()
            while not operation.over:
                await inbox.get()
            session.close_inbox(operation)


@pytest.mark.parametrize("window", [1, 2, 8])
@pytest.mark.parametrize("conversations", [1, 3, 40])
def test_room_is_given_first_come_first_served(window: int, conversations: int) -> None:
    joined = windowed(Anything(), window)
    order = Order(joined)
    for who in range(conversations):
        joined.loop.spawn(order.ask(who, 4))
    joined.loop.run()
    assert not joined.loop.waiting
    assert order.invoked[:conversations] == list(range(conversations))
    for upto in range(1, len(order.invoked) + 1):
        counts = Counter(order.invoked[:upto])
        least = min(counts[who] for who in range(conversations))
        assert max(counts.values()) - least <= 1, "nobody asks again before all others had their turn"
    assert len(joined.scu.line) == 0


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from([1, 2, 8]),
    st.lists(st.tuples(st.integers(1, 5), st.none() | st.integers(1, 6)), min_size=1, max_size=12),
)
def test_whoever_gives_up_waiting_holds_up_nobody(window: int, asking: list[tuple[int, int | None]]) -> None:
    joined = windowed(Anything(), window)
    order = Order(joined)
    tasks = [
        joined.loop.spawn(order.ask(who, times), cancel_at=cancel_at) for who, (times, cancel_at) in enumerate(asking)
    ]
    joined.loop.run()
    assert not joined.loop.waiting
    for who, (task, (times, _)) in enumerate(zip(tasks, asking, strict=True)):
        assert task.cancelled or order.invoked.count(who) == times
    assert len(joined.scu.line) == 0
    assert joined.loop.call(joined.peer.c_echo()) == 0


def test_room_is_for_established_associations() -> None:
    alone = Alone(establish=False)
    task = alone.loop.spawn(alone.session.room())
    alone.loop.run()
    assert not task.done
    alone.establish()
    alone.loop.run()
    assert task.result() is None
    lost = alone.loop.spawn(alone.peer.c_echo())
    waits = alone.loop.spawn(alone.session.room())
    alone.loop.run()
    alone.raw.send(ABORT)
    for each in (lost, waits):
        with pytest.raises(AssociationLost):
            each.result()
    with pytest.raises(AssociationLost):
        alone.loop.call(alone.session.room())


def test_an_inbox_that_several_share_keeps_what_is_the_others_when_one_is_closed() -> None:
    alone = Alone()
    inbox = Inbox(alone.session)
    one, other = (alone.engine.c_echo() if each else _echo_of(alone) for each in (True, False))
    for operation in (one, other):
        alone.session.open_inbox(operation, inbox)
    for _ in range(MIB // 1024 + 10):
        inbox.put(_answer_to(other))
    assert alone.session.stalled
    alone.session.close_inbox(one)
    assert alone.session.stalled
    assert inbox.events
    alone.session.close_inbox(other)
    assert not alone.session.stalled
    assert not inbox.events


def _echo_of(alone: Alone) -> Any:
    """A second request where the window has room for one: it is never sent."""
    engine = alone.engine
    return type(engine.outstanding[0])(engine._invoker, engine.contexts[0], engine.outstanding[0].request)


def _answer_to(operation: Any) -> ResponseReceived:
    response = CEchoRSP(message_id_being_responded_to=1, affected_sop_class_uid="1.2.840.10008.1.1", status=0)
    return ResponseReceived(SUCCESS, response, True, operation)


# ---------------------------------------------------------------- idle for too long

IDLE = 20.0


def to_the_end(alone: Alone, most: int = 20) -> None:
    """Let every deadline pass, one after the other, though the peer says nothing more."""
    for _ in range(most):
        if alone.session.ended:
            return
        due = alone.engine.next_timeout()
        assert due is not None, "it would wait for ever"
        alone.loop.pass_time(max(0.0, due - alone.loop.now))
    raise AssertionError("it never ended")


def idle(
    when: WhenIdle, *, requests: bool, contexts: tuple[PresentationContext, ...] | None = None
) -> tuple[Alone, list[Any]]:
    """An association on which nothing happens, and what is told of it."""
    settings_: dict[str, Any] = {"when_idle": when, "limits": replace(Limits(), idle=IDLE)}
    if contexts is None:
        alone = Alone(config=requestor(**settings_)) if requests else Alone(Gate(), config=acceptor(**settings_))
    elif requests:
        ours = Requestor("ME", "YOU", contexts, **settings_)
        alone = Alone(config=ours, other=Acceptor("YOU", contexts))
    else:
        alone = Alone(Gate(), config=Acceptor("YOU", contexts, **settings_), other=Requestor("ME", "YOU", contexts))
    told: list[Any] = []
    alone.session._watch = told.append
    return alone, told


def ended(told: list[Any]) -> Statistics:
    """The one end told."""
    [statistics] = [each.statistics for each in told if isinstance(each, AssociationEnded)]
    assert isinstance(told[-1], AssociationEnded), "and nothing after it"
    return statistics


@pytest.mark.parametrize("requests", [True, False])
def test_idle_is_aborted_by_the_engine(requests: bool) -> None:
    alone, told = idle(WhenIdle.ABORT, requests=requests)
    alone.loop.pass_time(IDLE - 1)
    assert alone.session.outcome is None
    alone.loop.pass_time(1)
    (aborted,) = alone.raw.said()
    assert isinstance(aborted, AAbort)
    assert alone.session.outcome is not None
    assert alone.session.outcome.timer is Timer.IDLE
    to_the_end(alone)
    assert ended(told).outcome.kind is OutcomeKind.TIMED_OUT


@pytest.mark.parametrize("requests", [True, False])
def test_idle_is_released(requests: bool) -> None:
    alone, told = idle(WhenIdle.RELEASE, requests=requests)
    alone.loop.pass_time(IDLE)
    assert alone.raw.said() == [AReleaseRQ()]
    alone.raw.send(RELEASE_RP)
    assert alone.session.ended
    outcome = ended(told).outcome
    assert (outcome.kind, outcome.by, outcome.clean) == (OutcomeKind.RELEASED, Side.LOCAL, True)


@pytest.mark.parametrize("requests", [True, False])
def test_idle_is_echoed_for_as_long_as_the_peer_answers(requests: bool) -> None:
    alone, told = idle(WhenIdle.ECHO, requests=requests)
    for number in range(1, 6):
        alone.loop.pass_time(IDLE)
        (asked,) = alone.raw.said()
        assert (type(asked).__name__, asked.message_id) == ("CEchoRQ", number)
        alone.raw.send(echo_rsp(number, status=0 if number % 2 else 0x0122))  # any answer shows that it is there
    assert alone.session.outcome is None
    outcomes = [each.outcome for each in told if isinstance(each, OperationEnded)]
    assert [(each.by, each.ending, each.service) for each in outcomes] == [(Side.LOCAL, Ending.ANSWERED, "C-ECHO")] * 5
    assert nothing_left(alone.session)
    alone.raw.send(RELEASE_RQ)
    alone.raw.vanish()
    assert ended(told).operations == 5


@pytest.mark.parametrize("requests", [True, False])
def test_where_we_may_not_echo_idle_is_released(requests: bool) -> None:
    contexts = (PresentationContext(CT),) if requests else (PresentationContext("1.2.840.10008.1.1"),)
    alone, told = idle(WhenIdle.ECHO, requests=requests, contexts=contexts)
    alone.loop.pass_time(IDLE)
    assert alone.raw.said() == [AReleaseRQ()]
    alone.raw.send(RELEASE_RP)
    assert ended(told).outcome.kind is OutcomeKind.RELEASED


@pytest.mark.parametrize("requests", [True, False])
@pytest.mark.parametrize("when", WhenIdle)
def test_idle_ends_though_the_peer_answers_nothing(when: WhenIdle, requests: bool) -> None:
    alone, told = idle(when, requests=requests)
    to_the_end(alone)
    statistics = ended(told)
    assert statistics.outcome.kind is OutcomeKind.TIMED_OUT
    timers = {WhenIdle.ABORT: Timer.IDLE, WhenIdle.RELEASE: Timer.RELEASE, WhenIdle.ECHO: Timer.DIMSE_RESPONSE}
    assert statistics.outcome.timer is timers[when]
    endings = [each.outcome.ending for each in told if isinstance(each, OperationEnded)]
    assert endings == ([Ending.LOST] if when is WhenIdle.ECHO else [])
    assert statistics.operations == len(endings)
    assert nothing_left(alone.session)
    assert not alone.loop.waiting


@pytest.mark.parametrize("when", WhenIdle)
def test_who_works_is_not_idle(when: WhenIdle) -> None:
    alone, _ = idle(when, requests=False)
    gate: Any = alone.session.service
    for number in range(1, 5):
        gate.open = False
        alone.raw.send(echo_rq(number))
        alone.loop.pass_time(IDLE * 2)
        gate.let_on()
        assert [message.message_id_being_responded_to for message in alone.raw.said()] == [number]
        alone.loop.pass_time(IDLE - 1)
        assert alone.raw.said() == []


# ---------------------------------------------------------------- what is told of it all


@pytest.mark.parametrize("asked", [[echo_rq(1)], STORE[:2]], ids=["echo", "store"])
@pytest.mark.parametrize("end", ["our abort", "deadline", "peer's fault"])
def test_handlers_are_let_go_as_soon_as_the_end_is_decided_and_not_when_the_peer_closes(
    end: str, asked: list[bytes]
) -> None:
    service = Gate()
    alone = Alone(service, config=acceptor(limits=replace(Limits(), pdu_completion=5.0)))
    told: list[Any] = []
    alone.session._watch = told.append
    alone.raw.send(*asked)
    assert service.inside == 1
    if end == "our abort":
        alone.session.abort()
        alone.loop.run()
    elif end == "deadline":
        alone.raw.send(b"\4\0\0")
        alone.loop.pass_time(5.0)
    else:
        alone.raw.send(b"\x63\0\0\0\0\4abcd")
    assert alone.engine.state is State.STA13
    assert (service.inside, service.cancelled) == (0, 1)
    assert not alone.loop.waiting
    assert told == [], "it is not over: the peer may still close in its own time"
    alone.raw.vanish()
    assert [type(each) for each in told] == [OperationEnded, AssociationEnded]
    assert told[0].outcome.ending is Ending.LOST


def test_what_who_watches_raises_is_reported_and_changes_nothing() -> None:
    def fails(occurrence: object) -> None:
        raise KeyError(type(occurrence).__name__)

    joined = Joined()
    for session in joined.sessions:
        session._watch = fails
    assert joined.loop.call(joined.peer.c_store(instance(10))) == 0
    joined.loop.call(joined.peer.release())
    joined.loop.run()
    assert all(session.ended for session in joined.sessions)
    told = [(error.args[0], where) for error, where in joined.reports]
    assert Counter(told) == {("OperationEnded", "watch"): 2, ("AssociationEnded", "watch"): 2}


class Counted:
    """What passes a pipe: its bytes, and its PDUs by their headers."""

    def __init__(self, pipe: Pipe) -> None:
        self.bytes = bytearray()
        put = pipe.put

        def counting(data: bytes | bytearray) -> None:
            self.bytes += data
            put(data)

        pipe.put = counting  # type: ignore[method-assign]

    @property
    def pdus(self) -> int:
        at = count = 0
        while at < len(self.bytes):
            at += 6 + int.from_bytes(self.bytes[at + 2 : at + 6], "big")
            count += 1
        assert at == len(self.bytes)
        return count


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.integers(1, 3000).map(lambda half: 2 * half), max_size=4),
    st.integers(0, 3),
    st.sampled_from([8, 9, 16, 100, 16384, 0]),
    st.sampled_from([1, 3]),
)
def test_figures_are_those_of_the_wire(sizes: list[int], echoes: int, maximum: int, window: int) -> None:
    asked = AsynchronousOperationsWindow(window, window)
    told: dict[int, list[Any]] = {0: [], 1: []}
    joined = _joined_unestablished(
        requestor(window=asked, maximum_length=maximum), acceptor(window=asked, maximum_length=maximum)
    )
    there, back = Counted(joined.there), Counted(joined.back)
    for number, session in enumerate(joined.sessions):
        session._watch = told[number].append
    loop = joined.loop
    loop.call(joined.scu.established())
    stores = [loop.spawn(joined.peer.c_store(instance(size, f"1.2.{n}"))) for n, size in enumerate(sizes, 1)]
    asks = [loop.spawn(joined.peer.c_echo()) for _ in range(echoes)]
    loop.run()
    assert all(task.result() == 0 for task in stores + asks)
    loop.now += 7.5
    loop.finish(joined.peer.release())
    operations = len(sizes) + echoes
    for number, (mine, its) in enumerate([(there, back), (back, there)]):
        statistics = ended(told[number])
        outcome = statistics.outcome
        assert (outcome.bytes_sent, outcome.bytes_received) == (len(mine.bytes), len(its.bytes))
        assert (outcome.pdus_sent, outcome.pdus_received) == (mine.pdus, its.pdus)
        assert (outcome.messages_sent, outcome.messages_received) == (operations, operations)
        assert (statistics.operations, statistics.deviations, statistics.address) == (operations, (), "memory")
        assert (statistics.calling_ae_title, statistics.called_ae_title) == ("ME", "YOU")
        assert statistics.duration == 7.5
        ends = [each.outcome for each in told[number] if isinstance(each, OperationEnded)]
        assert len(ends) == operations
        assert {(each.by, each.ending, each.status) for each in ends} <= {
            (Side.PEER if number else Side.LOCAL, Ending.ANSWERED, 0)
        }


def _joined_unestablished(ours: Requestor, theirs: Acceptor) -> Joined:
    """``Joined``, with nothing said yet."""

    class Unestablished(Joined):
        def __init__(self) -> None:
            call = Loop.call
            Loop.call = lambda self, conversation: conversation.close()  # type: ignore[method-assign]
            try:
                super().__init__(ours=ours, theirs=theirs)
            finally:
                Loop.call = call  # type: ignore[method-assign]

    return Unestablished()


def test_figures_of_who_never_said_a_word() -> None:
    alone = Alone(Gate(), establish=False)
    told: list[Any] = []
    alone.session._watch = told.append
    alone.loop.pass_time(3.0)
    alone.raw.vanish()
    statistics = ended(told)
    assert (statistics.calling_ae_title, statistics.called_ae_title) == ("", "")
    assert (statistics.duration, statistics.operations) == (3.0, 0)
    assert (statistics.outcome.bytes_received, statistics.outcome.pdus_received) == (0, 0)


def test_what_a_peer_does_otherwise_than_the_standard_says_is_among_the_figures() -> None:
    alone = Alone(Gate())
    told: list[Any] = []
    alone.session._watch = told.append
    alone.raw.send(echo_rsp(77))
    alone.raw.vanish("connection reset")
    statistics = ended(told)
    assert [each.code for each in statistics.deviations] == [Code.RESPONSE_UNSOLICITED, Code.CLOSED_WITHOUT_RELEASE]
    assert statistics.outcome.messages_received == 1
    assert statistics == alone.session.statistics()


def test_an_unservable_request_is_an_operation_too() -> None:
    alone = Alone(Gate())
    told: list[Any] = []
    alone.session._watch = told.append
    asked = NDeleteRQ(message_id=9, requested_sop_class_uid=CT, requested_sop_instance_uid="1.2")
    alone.raw.send(command(3, asked))
    [operation] = [each.outcome for each in told if isinstance(each, OperationEnded)]
    assert operation == OperationOutcome(
        service="N-DELETE",
        by=Side.PEER,
        message_id=9,
        sop_class_uid=CT,
        sop_instance_uid="1.2",
        ending=Ending.ANSWERED,
        status=operation.status,
        responses=1,
        duration=0.0,
    )
    assert operation.status == 0x0211


# ---------------------------------------------------------------- C-CANCEL


def cancel_rq(message_id: int = 1) -> bytes:
    return command(7, CCancelRQ(message_id_being_responded_to=message_id))


def finding(serve: Callable[[Session, Any], Any], *, can_cancel: bool = True) -> tuple[Alone, list[Any]]:
    """An acceptor of C-FIND whose conversation is ``serve``, and what is told."""
    alone = Alone(Gate(), config=acceptor(QUERY), other=requestor(QUERY))
    alone.session._serve = serve
    alone.link.can_cancel = can_cancel
    told: list[Any] = []
    alone.session._watch = told.append
    return alone, told


@pytest.mark.parametrize("can_cancel", [False, True])
def test_a_conversation_is_cancelled_where_the_loop_can_and_the_peer_gets_its_answer(can_cancel: bool) -> None:
    signals: list[Any] = []

    async def serve(service: object, session: Session, event: FindRequested) -> None:
        signal = session.link.signal()
        signals.append(signal)
        await signal.wait()
        event.operation.finish(CANCEL if event.operation.cancelled else SUCCESS)

    alone, told = finding(serve, can_cancel=can_cancel)
    alone.raw.send(find_rq(1))
    alone.raw.send(cancel_rq(2), cancel_rq(1), cancel_rq(1))
    if not can_cancel:
        assert alone.raw.said() == []
        signals[0].set()
    assert [message.status for message in alone.raw.said()] == [0xFE00]
    [operation] = [each.outcome for each in told if isinstance(each, OperationEnded)]
    assert (operation.ending, operation.status, operation.service) == (Ending.CANCELLED, 0xFE00, "C-FIND")
    assert nothing_left(alone.session)


def test_one_that_has_not_begun_begins_all_the_same() -> None:
    async def serve(service: object, session: Session, event: FindRequested) -> None:
        event.operation.finish(CANCEL if event.operation.cancelled else SUCCESS)

    alone, _ = finding(serve)
    alone.raw._outgoing.data += find_rq(1)
    alone.raw.send(cancel_rq(1))
    assert [message.status for message in alone.raw.said()] == [0xFE00]


def test_a_find_nobody_serves_is_refused() -> None:
    alone = Alone(config=requestor(QUERY), other=acceptor(QUERY))
    alone.raw.send(find_rq(1))
    assert [message.status for message in alone.raw.said()] == [0x0122]
    assert nothing_left(alone.session)


def test_the_certificate_is_asked_for_once_however_many_handlers_want_it() -> None:
    asked: list[Certificate] = []

    def certificate() -> Certificate:
        asked.append(Certificate("commonName=scanner"))
        return asked[-1]

    alone = Alone(object(), establish=False)
    alone.session.certificate = certificate
    alone.establish()
    assert alone.session.info() is alone.session.info()
    assert alone.session.info().certificate is asked[0]
    assert len(asked) == 1


# ---------------------------------------------------------------- whose C-STORE, and what is refused


class Takes:
    """A service that has a word for who it is, and what came."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.got: list[str] = []

    async def c_store(self, store: Store) -> int:
        self.got.append(store.sop_instance_uid)
        return 0

    async def c_echo(self, echo: Echo) -> int:
        self.got.append("echo")
        return 0x0122


def stored(joined: Joined, uid: str) -> int:
    """Have the acceptor store at the requestor."""
    status: int = joined.loop.call(Peer(joined.scp).c_store(instance(10, uid)))
    return status


async def hold(session: Session, handler: Any, until: Signal, after: Signal | None = None) -> None:
    async with session.storing(handler) as begin:
        if after is not None:
            await after.wait()
        begin()
        await until.wait()


@pytest.mark.parametrize("with_service", [True, False])
def test_while_one_retrieves_what_is_stored_is_theirs(with_service: bool) -> None:
    service, mine = Takes("service"), Takes("mine")
    joined = Joined(scu_service=service if with_service else None)
    loop, until = joined.loop, Signal(joined.loop)
    begin = Signal(joined.loop)
    task = loop.spawn(hold(joined.scu, mine.c_store, until, begin))
    loop.run()
    assert stored(joined, "1.2.0") == (0 if with_service else 0x0122), "before it is begun, nothing is theirs"
    assert service.got == (["1.2.0"] if with_service else [])
    service.got.clear()
    begin.set()
    loop.run()
    assert stored(joined, "1.2.1") == 0
    assert (mine.got, service.got) == (["1.2.1"], [])
    echoed = loop.call(Peer(joined.scp).c_echo())
    assert (echoed, service.got) == ((0x0122, ["echo"]) if with_service else (0, [])), "all else is the service's"
    until.set()
    loop.run()
    task.result()
    assert stored(joined, "1.2.2") == (0 if with_service else 0x0122)
    assert mine.got == ["1.2.1"]
    assert joined.scu.service is (service if with_service else None)


def test_without_a_handler_the_service_stores() -> None:
    service = Takes("service")
    joined = Joined(scu_service=service)
    until = Signal(joined.loop)
    joined.loop.spawn(hold(joined.scu, None, until))
    joined.loop.run()
    assert stored(joined, "1.2.1") == 0
    assert service.got == ["1.2.1"]
    assert joined.scu.service is service


@pytest.mark.parametrize("service", [None, object()])
def test_somebody_has_to_store(service: object) -> None:
    joined = Joined(scu_service=service)
    with pytest.raises(TypeError, match="nobody stores what comes: give c_get a handler with store="):
        joined.loop.call(hold(joined.scu, None, Signal(joined.loop)))
    assert joined.scu.service is service


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("second", [True, False])
def test_two_who_retrieve_cannot_be_told_apart(first: bool, second: bool) -> None:
    """Else the first would store with the handler of the second, and who leaves first would take the other's away."""
    service, mine, other = Takes("service"), Takes("mine"), Takes("other")
    joined = Joined(scu_service=service)
    loop, until = joined.loop, Signal(joined.loop)
    loop.spawn(hold(joined.scu, mine.c_store if first else None, until))
    loop.run()
    with pytest.raises(LocalProtocolError, match="another C-GET of ours is not over"):
        loop.call(hold(joined.scu, other.c_store if second else None, until))
    assert stored(joined, "1.2.1") == 0
    assert (mine if first else service).got == ["1.2.1"]
    until.set()
    loop.run()
    assert joined.scu.service is service
    loop.call(hold(joined.scu, other.c_store, until))  # and now it may


@pytest.mark.parametrize("how", ["cancel", "error"])
def test_however_one_leaves_the_service_is_back(how: str) -> None:
    service, mine = Takes("service"), Takes("mine")
    joined = Joined(scu_service=service)

    async def fails() -> None:
        async with joined.scu.storing(mine.c_store):
            raise ZeroDivisionError

    if how == "cancel":
        task = joined.loop.spawn(hold(joined.scu, mine.c_store, Signal(joined.loop)), cancel_at=1)
        joined.loop.run()
        assert task.cancelled
    else:
        with pytest.raises(ZeroDivisionError):
            joined.loop.call(fails())
    assert joined.scu.service is service
    assert stored(joined, "1.2.1") == 0
    assert service.got == ["1.2.1"]


ASKED = {
    "find": find_rq(1),
    "get": get_rq(1, 9),
    "move": move_rq(1, 11),
    "create": message(13, NCreateRQ(message_id=1, affected_sop_class_uid=MPPS)),
    "set": message(13, NSetRQ(message_id=1, requested_sop_class_uid=MPPS, requested_sop_instance_uid="1.2"), b"data"),
    "store": store_rq(1) + data(3, b"data"),
    "echo": echo_rq(1),
}
ALL = (QUERY, GETTING, MOVING, STEPS)


@pytest.mark.parametrize("asked", ASKED)
def test_whatever_it_is_it_is_refused_where_nobody_serves(asked: str) -> None:
    alone = Alone(config=requestor(*ALL), other=acceptor(*ALL))
    alone.raw.send(ASKED[asked])
    assert [response.status for response in alone.raw.said()] == [0x0122]
    assert nothing_left(alone.session)


@pytest.mark.parametrize("asked", ASKED)
@pytest.mark.parametrize("how", ["fails", "returns", "cancelled"])
def test_whatever_becomes_of_a_conversation_the_peer_gets_one_answer(asked: str, how: str) -> None:
    async def serve(service: object, session: Session, event: Any) -> None:
        if how == "fails":
            raise ZeroDivisionError
        if how == "cancelled":
            raise Cancelled

    alone = Alone(Gate(), config=acceptor(*ALL), other=requestor(*ALL))
    alone.session._serve = serve
    alone.raw.send(ASKED[asked])
    assert [response.status for response in alone.raw.said()] == [0x0110]
    assert nothing_left(alone.session)


def test_one_whose_suboperations_run_cannot_be_answered_so_the_association_ends() -> None:
    """Its answers to come would be of no request: whoever ended the conversation waits for none of them."""

    async def serve(service: object, session: Session, event: Any) -> None:
        event.operation.expect(1)
        event.operation.store(CT, "1.2.3")
        raise Cancelled

    alone = Alone(Gate(), config=acceptor(*ALL), other=requestor(*ALL))
    alone.session._serve = serve
    alone.raw.send(ASKED["get"])
    assert alone.session.outcome is not None
    assert (alone.session.outcome.kind, alone.session.outcome.by) == (OutcomeKind.ABORTED, Side.LOCAL)
    alone.raw.vanish()
    assert nothing_left(alone.session)


def test_what_a_cancel_does_a_conversation_may_say() -> None:
    cancels: list[int] = []
    signals: list[Any] = []

    async def serve(service: object, session: Session, event: Any) -> None:
        session.on_cancel(event.operation, lambda: cancels.append(1))
        signals.append(session.link.signal())
        await signals[-1].wait()
        session.on_cancel(event.operation, None)
        signals.append(session.link.signal())
        await signals[-1].wait()

    for back in (False, True):
        cancels.clear()
        signals.clear()
        alone, _ = finding(serve)
        alone.raw.send(find_rq(1))
        if back:  # to what a C-CANCEL does anyhow
            signals[0].set()
            alone.loop.run()
        alone.raw.send(cancel_rq(1))
        assert cancels == ([] if back else [1])
        assert [response.status for response in alone.raw.said()] == ([0xFE00] if back else [])
        assert nothing_left(alone.session) is back
