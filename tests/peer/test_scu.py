"""What is asked of a peer: each request to its end, and whatever becomes of it in the middle."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Iterator
from typing import Any

import pytest

from engine_pair import ABORT, FIND, QUERY, RELEASE_RP, RELEASE_RQ, acceptor, echo_rsp, find_rsp, requestor, store_rsp
from memory_link import Alone, Anything, Cancelled, Joined, content, instance, nothing_left
from sansdimse.dataset import Dataset, encode
from sansdimse.dimse.messages import CCancelRQ, CFindRQ, CStoreRQ, Priority
from sansdimse.limits import Limits
from sansdimse.outcome import OutcomeKind, Side
from sansdimse.peer.scp import Store
from sansdimse.peer.scu import Answer, Peer
from sansdimse.peer.session import AssociationLost
from sansdimse.peer.watch import Ending
from sansdimse.uids import EXPLICIT_VR_LITTLE_ENDIAN
from sansdimse.ul.items import AsynchronousOperationsWindow
from sansdimse.ul.pdu import AAbort, AReleaseRP, AReleaseRQ
from sansdimse.ul.table import State
from sansdimse.ul.timers import Timer

SMALL = 40_000  # what the wire holds, so that a sender has to wait


class Uids:
    """A service that keeps the requests, the transfer syntaxes and the data sets."""

    def __init__(self, status: int = 0) -> None:
        self.status = status
        self.got: list[tuple[CStoreRQ, str, bytes]] = []

    async def c_store(self, store: Store) -> int:
        self.got.append((store.request, store.transfer_syntax_uid, await store.read()))
        return self.status


# ---------------------------------------------------------------- what is sent, and what is answered


def test_an_answer_is_a_status_with_its_response() -> None:
    joined = Joined(Uids(0xB007))
    answer = joined.loop.call(joined.peer.c_store(instance()))
    assert isinstance(answer, Answer)
    assert answer == 0xB007
    assert answer.response.affected_sop_instance_uid == "1.2.3.4"
    assert joined.loop.call(joined.peer.c_echo()) == 0


def test_what_one_sees_of_the_association() -> None:
    joined = Joined()
    peer = joined.peer
    assert peer.info.called_ae_title == "YOU"
    assert [context.id for context in peer.contexts] == [1, 3, 5]
    assert peer.outcome is None
    joined.loop.call(peer.release())
    assert peer.outcome is not None


def test_the_command_says_what_was_asked_for() -> None:
    service = Uids()
    joined = Joined(service)
    store = joined.peer.c_store(instance(), priority=Priority.HIGH, move_originator=("MOVER", 9))
    assert joined.loop.call(store) == 0
    request = service.got[0][0]
    assert request.priority == Priority.HIGH
    assert request.move_originator_application_entity_title == "MOVER"
    assert request.move_originator_message_id == 9


def test_a_pending_that_is_none_is_waited_through() -> None:
    alone = Alone()
    echo = alone.loop.spawn(alone.peer.c_echo())
    alone.loop.run()
    alone.raw.send(echo_rsp(1, status=0xFF00))
    assert not echo.done
    alone.raw.send(echo_rsp(1))
    assert echo.result() == 0


# ---------------------------------------------------------------- many


async def collect(peer: Peer, sources: Iterable[Any], got: list[Any], **settings: Any) -> None:
    async with peer.c_store_each(sources, **settings) as results:
        async for source, answer in results:
            got.append((source, answer))


def test_what_ends_the_association_ends_the_many() -> None:
    class Aborts(Uids):
        async def c_store(self, store: Store) -> int:
            if len(self.got) == 1:
                store.abort()
            return await super().c_store(store)

    joined = Joined(Aborts())
    got: list[Any] = []
    with pytest.raises(AssociationLost):
        joined.loop.call(collect(joined.peer, [instance(uid=f"1.2.{n}") for n in (1, 2, 3)], got))
    assert [answer for _, answer in got] == [0]
    assert not joined.reports


def test_what_the_sources_raise_is_raised_after_what_is_known() -> None:
    def broken() -> Iterator[Any]:
        yield instance()
        raise ZeroDivisionError

    joined = Joined()
    got: list[Any] = []
    with pytest.raises(ZeroDivisionError):
        joined.loop.call(collect(joined.peer, broken(), got))
    assert [answer for _, answer in got] == [0]
    assert joined.loop.call(joined.peer.c_echo()) == 0


# ---------------------------------------------------------------- the peer ends it


STAGES = ["before the command", "in the data", "after the data", "after the response"]


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("end", ["release", "abort", "close", "reset"])
def test_the_peer_ends_it_at_each_stage_of_our_store(stage: str, end: str) -> None:
    alone = Alone(capacity=0 if stage == STAGES[0] else 1000 if stage == STAGES[1] else 1 << 40)
    alone.link.files["a"] = instance(1_000_000)
    store = alone.loop.spawn(alone.peer.c_store("a"))
    alone.loop.run()
    if stage == STAGES[3]:
        alone.raw.send(store_rsp(1))
        assert store.done
    if end in ("release", "abort"):
        alone.raw.send(RELEASE_RQ if end == "release" else ABORT)
    else:
        alone.raw.vanish("connection reset" if end == "reset" else None)
    alone.out.capacity = 1 << 40
    alone.loop.run()
    kind, by = {
        "release": (OutcomeKind.RELEASED, Side.PEER),
        "abort": (OutcomeKind.ABORTED, Side.PEER),
        "close": (OutcomeKind.CLOSED, Side.PEER),
        "reset": (OutcomeKind.CLOSED, Side.NETWORK),
    }[end]
    if stage == STAGES[3]:
        assert store.result() == 0
    else:
        with pytest.raises(AssociationLost) as lost:
            store.result()
        assert (lost.value.outcome.kind, lost.value.outcome.by) == (kind, by)
    assert alone.link.opened == 0
    assert nothing_left(alone.session)
    said = alone.raw.said()
    assert not any(isinstance(each, AAbort) for each in said)
    assert (AReleaseRP() in said) is (end == "release")
    alone.raw.vanish()
    outcome = alone.loop.call(alone.peer.release())
    assert (outcome.kind, outcome.by) == (kind, by)
    assert outcome.outstanding == (stage != STAGES[3])
    for again in (alone.peer.c_echo(), alone.peer.c_store("a")):
        with pytest.raises(AssociationLost):
            alone.loop.call(again)
    assert not alone.loop.waiting


def test_a_store_that_waits_behind_another_learns_of_a_release() -> None:
    asked = AsynchronousOperationsWindow(2, 2)
    alone = Alone(config=requestor(window=asked), other=acceptor(window=asked), capacity=1000)
    stores = [alone.loop.spawn(alone.peer.c_store(instance(1_000_000, f"1.{n}"))) for n in range(2)]
    alone.loop.run()
    assert len(alone.engine.outstanding) == 2
    alone.raw.send(RELEASE_RQ)
    alone.out.capacity = 1 << 40
    alone.loop.run()
    for store in stores:
        with pytest.raises(AssociationLost):
            store.result()
    assert nothing_left(alone.session)


def test_a_peer_that_never_answers_is_timed_out() -> None:
    alone = Alone()
    echo = alone.loop.spawn(alone.peer.c_echo())
    alone.loop.run()
    alone.loop.pass_time(Limits().dimse_response or 0)
    with pytest.raises(AssociationLost) as lost:
        echo.result()
    assert lost.value.outcome.timer is Timer.DIMSE_RESPONSE
    assert isinstance(alone.raw.said()[-1], AAbort)


# ---------------------------------------------------------------- release and abort


def test_a_release_waits_for_what_others_have_outstanding() -> None:
    alone = Alone()
    echo = alone.loop.spawn(alone.peer.c_echo())
    alone.loop.run()
    release = alone.loop.spawn(alone.peer.release())
    alone.loop.run()
    assert alone.engine.state is State.STA6
    alone.raw.said()
    alone.raw.send(echo_rsp(1))
    assert echo.result() == 0
    assert alone.raw.said() == [AReleaseRQ()]
    alone.raw.send(RELEASE_RP)
    assert release.result().kind is OutcomeKind.RELEASED
    assert alone.raw.hung_up_on


def test_what_waits_for_room_when_the_release_is_asked_for_is_lost() -> None:
    alone = Alone()
    echo = alone.loop.spawn(alone.peer.c_echo())
    alone.loop.run()
    alone.loop.spawn(alone.peer.release())
    alone.loop.run()
    late = alone.loop.spawn(alone.peer.c_store(instance()))
    alone.loop.run()
    alone.raw.send(echo_rsp(1), RELEASE_RP)
    assert echo.result() == 0
    if late.error is None:  # it may have come first: then the release has waited for it
        alone.raw.send(store_rsp(2))
        assert late.result() == 0
    else:
        assert isinstance(late.error, AssociationLost)


def test_an_abort_ends_it_for_all() -> None:
    joined = Joined(capacity=SMALL)
    store = joined.loop.spawn(joined.peer.c_store(instance(1_000_000)))
    joined.loop.run(lambda: bool(joined.scp.engine.unanswered))
    outcome = joined.loop.finish(joined.peer.abort())
    assert (outcome.kind, outcome.by) == (OutcomeKind.ABORTED, Side.LOCAL)
    with pytest.raises(AssociationLost):
        store.result()
    assert all(map(nothing_left, joined.sessions))
    assert joined.scp.outcome is not None
    assert joined.scp.outcome.by is Side.PEER
    assert joined.loop.call(joined.peer.abort()) == outcome
    assert not joined.loop.waiting


# ---------------------------------------------------------------- cancelled at each await

Conversation = Callable[[Joined], Coroutine[Any, Any, Any]]

CONVERSATIONS: dict[str, Conversation] = {
    "echo": lambda joined: joined.peer.c_echo(),
    "store": lambda joined: joined.peer.c_store("a"),
    "each": lambda joined: collect(joined.peer, ["a", "missing", "b"], []),
    "release": lambda joined: joined.peer.release(),
    "abort": lambda joined: joined.peer.abort(),
}


@pytest.mark.parametrize("level", [False, True])
@pytest.mark.parametrize("busy", [False, True])
@pytest.mark.parametrize("name", CONVERSATIONS)
def test_cancelled_at_any_await_the_association_is_usable_or_says_why_not(name: str, busy: bool, level: bool) -> None:
    ends = []
    for at in range(1, 200):
        service = Anything()
        joined = Joined(service, capacity=SMALL)
        loop = joined.loop
        joined.scu_link.files.update(a=instance(400_000), b=instance(50_000, "1.2.2"), missing=OSError("missing"))
        before = loop.spawn(joined.peer.c_echo()) if busy else None
        task = loop.spawn(CONVERSATIONS[name](joined), cancel_at=at, level=level)
        loop.run()
        if before is not None and name != "abort":
            assert before.result() == 0
        outcome = joined.scu.outcome
        if outcome is None:
            assert loop.call(joined.peer.c_echo()) == 0
            assert loop.call(joined.peer.c_store(instance(2, "1.2.9"))) == 0
            assert loop.finish(joined.peer.release()).kind is OutcomeKind.RELEASED
            ends.append("usable")
        else:
            ends.append(outcome.kind.value)
            if outcome.kind is OutcomeKind.ABORTED:
                assert outcome.by is Side.LOCAL
        assert joined.scu_link.opened == 0
        assert all(map(nothing_left, joined.sessions))
        assert not joined.reports
        assert not loop.waiting
        assert all(data in (content(400_000), content(50_000), content(2)) for data in service.stored.values())
        if not task.cancelled:
            task.result()
            break
    else:
        raise AssertionError("it never ran to its end")
    assert len(ends) > 1, "it never waited"
    kinds = set(ends)
    if name == "echo":
        assert kinds == {"usable"}
    elif name == "release":
        assert kinds <= {"usable", "released"}
        assert ends[-1] == "released"
    elif name == "abort":
        assert ends[-1] == "aborted"
    else:
        assert kinds == {"usable", "aborted"}, "cut in the middle it can only be aborted (PS3.7 9.3.1.3)"
        assert ends[-1] == "usable"


@pytest.mark.parametrize("leaves", [False, True])
@pytest.mark.parametrize("raw", [False, True])
def test_a_find_is_a_context_with_its_matches(leaves: bool, raw: bool) -> None:
    async def ask(peer: Peer) -> list[object]:
        async with peer.c_find(FIND, query, raw=raw, priority=Priority.LOW) as matches:
            kept: list[object] = []
            async for match in matches:
                kept.append(match)
                if leaves:
                    break
        return [*kept, matches.answer]

    query = Dataset()
    query.PatientID = "7"
    encoded = encode(query, EXPLICIT_VR_LITTLE_ENDIAN)
    alone = Alone(config=requestor(QUERY), other=acceptor(QUERY))
    task = alone.loop.spawn(ask(alone.peer))
    request = CFindRQ(message_id=1, affected_sop_class_uid=FIND, priority=Priority.LOW)
    assert alone.raw.said() == [request, encoded]
    alone.raw.send(find_rsp(status=0xFF00, identifier=encoded))
    assert alone.raw.said() == ([CCancelRQ(message_id_being_responded_to=1)] if leaves else [])
    alone.raw.send(find_rsp())
    assert task.result() == [encoded if raw else query, None if leaves else 0]
    assert nothing_left(alone.session)


def test_a_cancelled_store_that_has_not_begun_is_taken_back() -> None:
    asked = AsynchronousOperationsWindow(2, 2)
    alone = Alone(config=requestor(window=asked), other=acceptor(window=asked), capacity=1000)
    first, second = [alone.loop.spawn(alone.peer.c_store(instance(1_000_000, f"1.{n}"))) for n in range(2)]
    alone.loop.run()
    second.cancel()
    alone.loop.run()
    assert isinstance(second.error, Cancelled)
    assert len(alone.engine.outstanding) == 1
    alone.out.capacity = 1 << 40
    alone.raw.send(store_rsp(1))
    assert first.result() == 0
    request, _ = alone.raw.said()
    assert request.affected_sop_instance_uid == "1.0"


@pytest.mark.parametrize("answers", [True, False])
def test_what_was_given_up_is_told_when_it_is_drained_or_lost(answers: bool) -> None:
    alone = Alone()
    task = alone.loop.spawn(alone.peer.c_echo())
    alone.loop.run()
    assert alone.loop.call(alone.peer.drained()) == ()
    task.cancel()
    alone.loop.run()
    assert isinstance(task.error, Cancelled)
    drained = alone.loop.spawn(alone.peer.drained())
    alone.loop.run()
    assert not drained.done
    if answers:
        alone.raw.heard()
        alone.raw.send(echo_rsp(1))
        assert alone.loop.call(alone.peer.drained()) == drained.result()
    else:
        alone.loop.pass_time(30)  # Limits.cancel_drain
        assert alone.raw.said()[-1] == AAbort(0, 0)
        alone.raw.vanish()
    (outcome,) = drained.result()
    assert (outcome.service, outcome.by) == ("C-ECHO", Side.LOCAL)
    assert (outcome.ending, outcome.status) == ((Ending.DRAINED, 0) if answers else (Ending.LOST, None))
