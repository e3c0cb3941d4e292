"""What is asked of a peer: each request to its end, and whatever becomes of it in the middle."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Iterator
from typing import Any

import pytest

from engine_pair import (
    ABORT,
    FIND,
    GET,
    GETTING,
    MOVE,
    MOVING,
    MPPS,
    QUERY,
    RELEASE_RP,
    RELEASE_RQ,
    acceptor,
    data,
    echo_rsp,
    find_rsp,
    get_rsp,
    message,
    move_rsp,
    requestor,
    store_rq,
    store_rsp,
)
from memory_link import Alone, Anything, Cancelled, Joined, content, instance, nothing_left
from sansdimse.dataset import Dataset, DatasetError, encode
from sansdimse.dimse.messages import (
    NO_DATA_SET,
    WITH_DATA_SET,
    CCancelRQ,
    CFindRQ,
    CStoreRQ,
    NActionRQ,
    NCreateRQ,
    NDeleteRQ,
    NEventReportRQ,
    NGetRQ,
    NSetRQ,
    Priority,
)
from sansdimse.errors import LocalProtocolError
from sansdimse.limits import Limits
from sansdimse.outcome import OutcomeKind, Side
from sansdimse.peer.scp import Normalized, Store
from sansdimse.peer.scu import Answer, Peer, Reply, Retrieved
from sansdimse.peer.session import AssociationLost
from sansdimse.peer.watch import Ending
from sansdimse.services.operation import RESPONSE_TO
from sansdimse.services.sop_classes import (
    BASIC_GRAYSCALE_PRINT_MANAGEMENT_META,
    PRINTER,
)
from sansdimse.services.sop_classes import RT_CONVENTIONAL_MACHINE_VERIFICATION as ALL_SIX
from sansdimse.uids import EXPLICIT_VR_LITTLE_ENDIAN
from sansdimse.ul.items import AsynchronousOperationsWindow
from sansdimse.ul.parties import PresentationContext
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


# ---------------------------------------------------------------- DIMSE-N, in both roles

NAMED = Dataset()
NAMED.PatientID = "7"
ENCODED = encode(NAMED, EXPLICIT_VR_LITTLE_ENDIAN)

Ask = Callable[[Peer], Coroutine[Any, Any, Reply]]
ASKED: dict[str, tuple[Ask, Any, bytes | None]] = {
    "N-EVENT-REPORT": (
        lambda peer: peer.n_event_report(ALL_SIX, "1.2.3", 2, NAMED),
        NEventReportRQ(
            message_id=1,
            affected_sop_class_uid=ALL_SIX,
            affected_sop_instance_uid="1.2.3",
            event_type_id=2,
            command_data_set_type=WITH_DATA_SET,
        ),
        ENCODED,
    ),
    "N-EVENT-REPORT without information": (
        lambda peer: peer.n_event_report(ALL_SIX, "1.2.3", 2),
        NEventReportRQ(
            message_id=1, affected_sop_class_uid=ALL_SIX, affected_sop_instance_uid="1.2.3", event_type_id=2
        ),
        None,
    ),
    "N-GET": (
        lambda peer: peer.n_get(ALL_SIX, "1.2.3", ["PatientName", 0x00100020]),
        NGetRQ(
            message_id=1,
            requested_sop_class_uid=ALL_SIX,
            requested_sop_instance_uid="1.2.3",
            attribute_identifier_list=(0x00100010, 0x00100020),
        ),
        None,
    ),
    "N-GET of all": (
        lambda peer: peer.n_get(ALL_SIX, "1.2.3"),
        NGetRQ(message_id=1, requested_sop_class_uid=ALL_SIX, requested_sop_instance_uid="1.2.3"),
        None,
    ),
    "N-SET": (
        lambda peer: peer.n_set(ALL_SIX, "1.2.3", NAMED),
        NSetRQ(message_id=1, requested_sop_class_uid=ALL_SIX, requested_sop_instance_uid="1.2.3"),
        ENCODED,
    ),
    "N-SET of bytes": (
        lambda peer: peer.n_set(ALL_SIX, "1.2.3", b"anything"),
        NSetRQ(message_id=1, requested_sop_class_uid=ALL_SIX, requested_sop_instance_uid="1.2.3"),
        b"anything",
    ),
    "N-ACTION": (
        lambda peer: peer.n_action(ALL_SIX, "1.2.3", 1, NAMED),
        NActionRQ(
            message_id=1,
            requested_sop_class_uid=ALL_SIX,
            requested_sop_instance_uid="1.2.3",
            action_type_id=1,
            command_data_set_type=WITH_DATA_SET,
        ),
        ENCODED,
    ),
    "N-ACTION without information": (
        lambda peer: peer.n_action(ALL_SIX, "1.2.3", 1),
        NActionRQ(message_id=1, requested_sop_class_uid=ALL_SIX, requested_sop_instance_uid="1.2.3", action_type_id=1),
        None,
    ),
    "N-CREATE": (
        lambda peer: peer.n_create(ALL_SIX, "1.2.3", NAMED),
        NCreateRQ(
            message_id=1,
            affected_sop_class_uid=ALL_SIX,
            affected_sop_instance_uid="1.2.3",
            command_data_set_type=WITH_DATA_SET,
        ),
        ENCODED,
    ),
    "N-CREATE without a name": (
        lambda peer: peer.n_create(ALL_SIX),
        NCreateRQ(message_id=1, affected_sop_class_uid=ALL_SIX),
        None,
    ),
    "N-DELETE": (
        lambda peer: peer.n_delete(ALL_SIX, "1.2.3"),
        NDeleteRQ(message_id=1, requested_sop_class_uid=ALL_SIX, requested_sop_instance_uid="1.2.3"),
        None,
    ),
}
SIX = PresentationContext(ALL_SIX, scp=True)


def six(*, requests: bool = True) -> Alone:
    """One that may ask all six of a scripted peer: as who opened the association, or as who was asked to."""
    if requests:
        return Alone(config=requestor(SIX), other=acceptor(SIX))
    return Alone(object(), config=acceptor(SIX), other=requestor(SIX))


def reply_to(request: Any, status: int = 0, data_set: bytes | None = None) -> bytes:
    kind: Any = RESPONSE_TO[type(request)]
    response = kind(
        message_id_being_responded_to=request.message_id,
        affected_sop_class_uid=ALL_SIX,
        affected_sop_instance_uid="1.2.3",
        command_data_set_type=NO_DATA_SET if data_set is None else WITH_DATA_SET,
        status=status,
    )
    return message(7, response, data_set)


@pytest.mark.parametrize("requests", [True, False], ids=["as requestor", "as acceptor"])
@pytest.mark.parametrize("asked", ASKED)
@pytest.mark.parametrize("status", [0, 0x0107, 0x0110])
def test_a_request_of_dimse_n_and_its_reply(asked: str, status: int, requests: bool) -> None:
    ask, request, content = ASKED[asked]
    alone = six(requests=requests)
    task = alone.loop.spawn(ask(alone.peer))
    assert alone.raw.said() == [request, *([] if content is None else [content])]
    replies = not isinstance(request, NDeleteRQ) and status != 0x0110
    alone.raw.send(reply_to(request, status, ENCODED if replies else None))
    reply = task.result()
    assert isinstance(reply, Reply)
    assert (reply, reply.sop_instance_uid) == (status, "1.2.3")
    assert reply.data_set == (NAMED if replies else Dataset())
    assert nothing_left(alone.session)


@pytest.mark.parametrize("asked", ASKED)
@pytest.mark.parametrize("end", [RELEASE_RQ, ABORT])
def test_the_association_is_lost_while_one_waits_for_the_reply(asked: str, end: Any) -> None:
    alone = six()
    task = alone.loop.spawn(ASKED[asked][0](alone.peer))
    alone.loop.run()
    alone.raw.send(end)
    with pytest.raises(AssociationLost):
        task.result()
    assert nothing_left(alone.session)


def test_one_given_up_leaves_the_association_usable() -> None:
    alone = six()
    task = alone.loop.spawn(alone.peer.n_set(ALL_SIX, "1.2.3", NAMED), cancel_at=1)
    request, _ = alone.raw.said()
    assert task.cancelled
    alone.raw.send(reply_to(request, 0, ENCODED))
    assert [each.ending for each in alone.loop.call(alone.peer.drained())] == [Ending.DRAINED]
    assert nothing_left(alone.session)


def test_mistakes_are_told_before_anything_is_sent() -> None:
    unencodable = Dataset()
    unencodable.Rows = 7
    unencodable["Rows"]._value = "many"
    mistakes: list[tuple[Ask, type[Exception], str]] = [
        (lambda peer: peer.n_get(ALL_SIX, "1.2.3", ["PatientNumber"]), ValueError, "no keyword"),
        (lambda peer: peer.n_set(ALL_SIX, "1.2.3", unencodable), DatasetError, "Rows|0028,0010|encoded"),
        (lambda peer: peer.n_set(ALL_SIX, "no UID", NAMED), LocalProtocolError, "no UID"),
        (lambda peer: peer.n_set(ALL_SIX, "1.2.3", b"odd"), LocalProtocolError, "3 bytes"),
        (lambda peer: peer.n_set(MPPS, "1.2.3", NAMED), LocalProtocolError, "Modality Performed Procedure Step"),
        (lambda peer: peer.n_delete("1.2.3.4", "1.2.3"), LocalProtocolError, "1.2.3.4"),
    ]
    for ask, error, words in mistakes:
        alone = six()
        with pytest.raises(error, match=words):
            alone.loop.call(ask(alone.peer))
        assert alone.raw.said() == []
        assert nothing_left(alone.session)


@pytest.mark.parametrize("requests", [True, False], ids=["as requestor", "as acceptor"])
def test_who_may_ask_what_the_roles_say(requests: bool) -> None:
    context = PresentationContext(ALL_SIX)  # the requestor is the SCU, and reports no events; the acceptor only those
    if requests:
        alone = Alone(config=requestor(context), other=acceptor(context))
    else:
        alone = Alone(object(), config=acceptor(context), other=requestor(context))
    event, delete = ASKED["N-EVENT-REPORT"], ASKED["N-DELETE"]
    good, bad = (delete, event) if requests else (event, delete)
    with pytest.raises(LocalProtocolError, match="RT Conventional Machine Verification"):
        alone.loop.call(bad[0](alone.peer))
    task = alone.loop.spawn(good[0](alone.peer))
    assert alone.raw.said()[0] == good[1]
    alone.raw.send(reply_to(good[1]))
    assert task.result() == 0


def test_the_members_of_a_meta_sop_class_are_asked_on_its_context() -> None:
    context = PresentationContext(BASIC_GRAYSCALE_PRINT_MANAGEMENT_META)
    alone = Alone(config=requestor(context), other=acceptor(context))
    task = alone.loop.spawn(alone.peer.n_get(PRINTER, "1.2.840.10008.5.1.1.17", ["PrinterStatus"]))
    (request,) = alone.raw.said()
    assert (request.requested_sop_class_uid, request.attribute_identifier_list) == (PRINTER, (0x21100010,))
    alone.raw.send(reply_to(request))
    assert task.result() == 0


def test_both_ends_ask_and_answer() -> None:
    class Service:
        def __init__(self) -> None:
            self.got: list[Any] = []

        async def n_create(self, asked: Normalized) -> Any:
            self.got.append(asked.data_set.PatientID)
            return 0, NAMED

        async def n_event_report(self, asked: Normalized) -> Any:
            self.got.append(asked.type_id)
            return 0x0110

    ours, theirs = Service(), Service()
    joined = Joined(theirs, scu_service=ours, ours=requestor(SIX), theirs=acceptor(SIX))
    created = joined.loop.call(joined.peer.n_create(ALL_SIX, None, NAMED))
    assert (created, created.sop_instance_uid, created.data_set) == (0, "2.25.1", NAMED)
    assert joined.loop.call(Peer(joined.scp).n_event_report(ALL_SIX, "2.25.1", 3)) == 0x0110
    assert joined.loop.call(Peer(joined.scp).n_delete(ALL_SIX, "2.25.1")) == 0x0211
    assert (theirs.got, ours.got) == (["7"], [3])
    assert not joined.reports


# ---------------------------------------------------------------- serving, and nothing else


def test_one_serves_until_something_is_so() -> None:
    class Told:
        def __init__(self) -> None:
            self.events: list[int | None] = []

        async def n_event_report(self, asked: Normalized) -> int:
            self.events.append(asked.type_id)
            return 0

    told = Told()
    joined = Joined(scu_service=told, ours=requestor(SIX), theirs=acceptor(SIX))
    task = joined.loop.spawn(joined.peer.serve(lambda: len(told.events) == 2))
    for number in (1, 2):
        assert not task.done
        assert joined.loop.finish(Peer(joined.scp).n_event_report(ALL_SIX, "1.2.3", number)) == 0
    task.result()
    assert told.events == [1, 2]
    joined.loop.call(joined.peer.serve(lambda: True))  # at once
    assert joined.scu.outcome is None


@pytest.mark.parametrize("end", ["release", "abort", "vanish", "our abort"])
def test_one_serves_until_the_association_ends(end: str) -> None:
    alone = six()
    task = alone.loop.spawn(alone.peer.serve())
    alone.loop.run()
    assert not task.done
    if end == "vanish":
        alone.raw.vanish()
    elif end == "our abort":
        alone.session.abort()
        alone.loop.run()
    else:
        alone.raw.send(RELEASE_RQ if end == "release" else ABORT)
    assert task.result() is None
    alone.loop.call(alone.peer.serve())
    assert not alone.loop.waiting


# ---------------------------------------------------------------- retrieving: what is sent, and how one leaves


@pytest.mark.parametrize("leaves", [False, True])
@pytest.mark.parametrize("as_bytes", [False, True])
@pytest.mark.parametrize("service", ["get", "move"])
def test_a_retrieval_is_a_context_that_tells_how_far_it_is(service: str, as_bytes: bool, leaves: bool) -> None:
    query = Dataset()
    query.QueryRetrieveLevel = "STUDY"
    encoded = encode(query, EXPLICIT_VR_LITTLE_ENDIAN)
    given = encoded if as_bytes else query

    async def ask(peer: Peer) -> Retrieved | None:
        asking = (
            peer.c_get(GET, given, store=Anything().c_store, priority=Priority.LOW)
            if service == "get"
            else peer.c_move(MOVE, given, "STORE", priority=Priority.LOW)
        )
        async with asking as retrieval:
            if not leaves:
                async for _ in retrieval:
                    pass
        return retrieval.answer

    context = GETTING if service == "get" else MOVING
    alone = Alone(config=requestor(context), other=acceptor(context))
    task = alone.loop.spawn(ask(alone.peer))
    request, identifier, *cancels = alone.raw.said()
    assert (request.message_id, request.priority, identifier) == (1, Priority.LOW, encoded)
    assert getattr(request, "move_destination", "STORE") == "STORE"
    assert cancels == ([CCancelRQ(message_id_being_responded_to=1)] if leaves else [])
    # Left early, a C-GET stays until its end, for what is stored meanwhile; a C-MOVE has nothing to stay for.
    assert task.done == (leaves and service == "move")
    alone.raw.send(get_rsp(1) if service == "get" else move_rsp(1))
    assert task.result() == (None if leaves else 0)
    assert nothing_left(alone.session)
    assert alone.session.service is None


def test_what_nobody_would_store_is_not_asked_for() -> None:
    async def ask(peer: Peer) -> None:
        async with peer.c_get(GET, b"query."):
            raise AssertionError("it was asked for")

    alone = Alone(config=requestor(GETTING), other=acceptor(GETTING))
    with pytest.raises(TypeError, match="nobody stores what comes"):
        alone.loop.call(ask(alone.peer))
    assert alone.raw.said() == []


def test_one_left_early_ends_with_its_association() -> None:
    async def ask(peer: Peer) -> None:
        async with peer.c_get(GET, b"query.", store=Anything().c_store):
            pass

    alone = Alone(config=requestor(GETTING), other=acceptor(GETTING))
    task = alone.loop.spawn(ask(alone.peer))
    alone.loop.run()
    assert not task.done
    alone.raw.vanish()
    assert task.result() is None
    assert alone.session.service is None


def test_a_second_c_get_waits_for_nobody_and_takes_nothing_from_the_first() -> None:
    first, second = Anything(), Anything()

    async def ask(peer: Peer, service: Anything) -> Any:
        async with peer.c_get(GET, b"query.", store=service.c_store) as retrieval:
            return await retrieval.finished()

    alone = Alone(config=requestor(GETTING), other=acceptor(GETTING))
    task = alone.loop.spawn(ask(alone.peer, first))
    alone.loop.run()
    with pytest.raises(LocalProtocolError, match="another C-GET of ours"):
        alone.loop.call(ask(alone.peer, second))
    alone.raw.send(store_rq(9), data(3, b"data"), get_rsp(1))
    assert task.result() == 0
    assert (list(first.stored.values()), second.stored) == ([b"data"], {})
