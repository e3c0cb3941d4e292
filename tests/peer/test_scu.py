"""What is asked of a peer: each request to its end, and whatever becomes of it in the middle."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator
from dataclasses import replace
from typing import Any

import pytest
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset

from engine_pair import ABORT, CT, MR, RELEASE_RP, RELEASE_RQ, acceptor, echo_rsp, requestor, store_rsp
from memory_link import Alone, Anything, Cancelled, Joined, content, instance, nothing_left
from sansdimse.dataset import DatasetError, Instance, decode
from sansdimse.dimse.messages import CStoreRQ, Priority
from sansdimse.errors import LocalProtocolError
from sansdimse.limits import Limits
from sansdimse.outcome import OutcomeKind, Side
from sansdimse.peer.scp import Store
from sansdimse.peer.scu import Answer, Peer
from sansdimse.peer.session import AssociationLost
from sansdimse.uids import (
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    EXPLICIT_VR_BIG_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    VERIFICATION,
)
from sansdimse.ul.items import AsynchronousOperationsWindow
from sansdimse.ul.parties import Acceptor, PresentationContext, Requestor
from sansdimse.ul.pdu import AAbort, AReleaseRP, AReleaseRQ
from sansdimse.ul.table import State
from sansdimse.ul.timers import Timer

JPEG = "1.2.840.10008.1.2.4.50"
SMALL = 40_000  # what the wire holds, so that a sender has to wait


class Uids:
    """A service that keeps the requests, the transfer syntaxes and the data sets."""

    def __init__(self, status: int = 0) -> None:
        self.status = status
        self.got: list[tuple[CStoreRQ, str, bytes]] = []

    async def c_store(self, store: Store) -> int:
        self.got.append((store.request, store.transfer_syntax_uid, await store.read()))
        return self.status


def in_syntaxes(service: object, *syntaxes: str, accepted: tuple[str, ...] | None = None) -> Joined:
    contexts = (VERIFICATION, *(PresentationContext(CT, (syntax,)) for syntax in syntaxes))
    return Joined(
        service,
        ours=Requestor("ME", "YOU", contexts),
        theirs=Acceptor("YOU", (VERIFICATION, PresentationContext(CT, accepted or syntaxes))),
    )


def dataset() -> Dataset:
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID, ds.PatientName, ds.Rows = CT, "1.2.3", "A^B", 7
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = EXPLICIT_VR_LITTLE_ENDIAN
    return ds


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


def test_a_data_set_is_encoded_and_sent() -> None:
    service = Uids()
    joined = Joined(service)
    assert joined.loop.call(joined.peer.c_store(dataset())) == 0
    ((_, syntax, data),) = service.got
    assert decode(data, syntax) == dataset()


def test_a_data_set_that_is_no_instance_is_told_before_anything_is_sent() -> None:
    joined = Joined()
    with pytest.raises(DatasetError, match="SOP Class UID"):
        joined.loop.call(joined.peer.c_store(Dataset()))
    assert joined.scu.engine.outstanding == ()
    assert joined.loop.call(joined.peer.c_echo()) == 0


def test_a_file_is_opened_while_it_is_sent() -> None:
    service = Anything()
    joined = Joined(service, capacity=SMALL)
    joined.scu_link.files["a.dcm"] = instance(300_000)
    store = joined.loop.spawn(joined.peer.c_store("a.dcm"))
    joined.loop.run(lambda: bool(joined.there.data))
    assert joined.scu_link.opened == 1
    joined.loop.run()
    assert store.result() == 0
    assert joined.scu_link.opened == 0
    assert service.stored == {"1.2.3.4": content(300_000)}


def test_progress_is_told_in_bytes_of_the_data_set() -> None:
    joined = Joined(capacity=SMALL)
    told: list[int] = []
    joined.loop.call(joined.peer.c_store(instance(200_000, piece=60_000), progress=told.append))
    assert told == [60_000, 120_000, 180_000, 200_000]


def test_a_peer_that_takes_little_in_a_pdu_is_given_little_at_once() -> None:
    """Each PDU costs some hundred bytes of ours: 256 KiB in PDUs of 8 bytes would be 47 MB."""
    joined = Joined(theirs=acceptor(maximum_length=8))
    told: list[int] = []
    assert joined.loop.call(joined.peer.c_store(instance(10_000), progress=told.append)) == 0
    assert told == [4096, 8192, 10_000]


@pytest.mark.parametrize("pieces", [[], [b""], [b"", b"ab", b"", memoryview(b"cd"), b""], [b"a", b"bcd"]])
def test_pieces_may_be_cut_anyhow_and_be_empty(pieces: list[bytes]) -> None:
    service = Anything()
    joined = Joined(service)
    source = Instance(CT, "1.2.3.4", EXPLICIT_VR_LITTLE_ENDIAN, None, lambda: iter(pieces))
    assert joined.loop.call(joined.peer.c_store(source)) == 0
    assert service.stored == {"1.2.3.4": b"".join(pieces)}


# ---------------------------------------------------------------- in which transfer syntax


def test_an_instance_goes_out_in_its_own_transfer_syntax_if_it_can() -> None:
    service = Uids()
    joined = in_syntaxes(service, IMPLICIT_VR_LITTLE_ENDIAN, JPEG)
    source = replace(instance(), transfer_syntax_uid=JPEG)
    assert joined.loop.call(joined.peer.c_store(source)) == 0
    assert service.got[0][1:] == (JPEG, content(1000))


@pytest.mark.parametrize(
    ("accepted", "taken"),
    [
        ((IMPLICIT_VR_LITTLE_ENDIAN,), IMPLICIT_VR_LITTLE_ENDIAN),
        ((EXPLICIT_VR_BIG_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN), IMPLICIT_VR_LITTLE_ENDIAN),
        ((JPEG, DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN), DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN),
    ],
)
def test_between_the_uncompressed_syntaxes_it_is_converted(accepted: tuple[str, ...], taken: str) -> None:
    service = Uids()
    joined = in_syntaxes(service, *accepted)
    assert joined.loop.call(joined.peer.c_store(dataset())) == 0
    ((_, syntax, data),) = service.got
    assert syntax == taken
    assert decode(data, syntax) == dataset()


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (replace(instance(), transfer_syntax_uid=JPEG), "JPEG Baseline .* cannot be sent .* takes it in: Explicit VR"),
        (replace(instance(), sop_class_uid=MR), "the peer refused its presentation contexts .abstract syntax not"),
        (replace(instance(), sop_class_uid="1.2.3"), "no presentation context for it was proposed"),
    ],
)
def test_what_cannot_be_sent_is_told_with_what_would_do(source: Instance, message: str) -> None:
    joined = Joined()
    with pytest.raises(LocalProtocolError, match=message):
        joined.loop.call(joined.peer.c_store(source))
    assert joined.loop.call(joined.peer.c_echo()) == 0
    assert nothing_left(joined.scu)


def test_a_context_in_which_we_are_not_the_scu_cannot_be_used() -> None:
    contexts = (VERIFICATION, PresentationContext(CT, scu=False, scp=True))
    joined = Joined(ours=Requestor("ME", "YOU", contexts), theirs=acceptor())
    with pytest.raises(LocalProtocolError, match="not for us to send"):
        joined.loop.call(joined.peer.c_store(instance()))


# ---------------------------------------------------------------- many


async def collect(peer: Peer, sources: list[Any], got: list[Any], **settings: Any) -> None:
    async with peer.c_store_each(sources, **settings) as results:
        async for source, answer in results:
            got.append((source, answer))


def test_many_are_stored_in_their_order_and_those_that_cannot_be_are_told() -> None:
    service = Uids(0xB000)
    joined = Joined(service)
    odd = Instance(MR, "1.2.5", EXPLICIT_VR_LITTLE_ENDIAN, 2, lambda: iter([b"ab"]))
    files = {"a": instance(10), "b": FileNotFoundError("b"), "c": DatasetError("c"), "d": odd, "e": instance(20)}
    joined.scu_link.files.update(files)
    got: list[Any] = []
    joined.loop.call(collect(joined.peer, list(files), got, priority=Priority.LOW))
    assert [source for source, _ in got] == list(files)
    answers = [answer for _, answer in got]
    assert answers[0] == answers[4] == 0xB000
    assert answers[1:3] == [files["b"], files["c"]]
    assert isinstance(answers[3], LocalProtocolError)
    assert [request.priority for request, _, _ in service.got] == [Priority.LOW] * 2
    assert joined.scu_link.opened == 0


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


def test_leaving_the_many_early_is_no_harm() -> None:
    service = Uids()
    joined = Joined(service)

    async def first_only() -> Any:
        async with joined.peer.c_store_each([instance(), instance()]) as results:
            return await anext(results)

    assert joined.loop.call(first_only())[1] == 0
    assert len(service.got) == 1
    assert joined.loop.call(joined.peer.c_echo()) == 0


# ---------------------------------------------------------------- sources that fail


def failing(after: int, error: Exception) -> Instance:
    def pieces() -> Iterator[bytes]:
        yield bytes(after)
        raise error

    return Instance(CT, "1.2.3.4", EXPLICIT_VR_LITTLE_ENDIAN, None, pieces)


@pytest.mark.parametrize("error", [OSError("disk"), DatasetError("shorter"), ValueError("user's own")])
@pytest.mark.parametrize("each", [False, True])
def test_a_source_that_fails_in_the_middle_aborts(error: Exception, each: bool) -> None:
    service = Anything()
    joined = Joined(service)
    got: list[Any] = []
    source = failing(100_000, error)
    joined.scu_link.files["a"] = source
    with pytest.raises(type(error)) as raised:
        joined.loop.finish(collect(joined.peer, ["a"], got) if each else joined.peer.c_store("a"))
    assert raised.value is error
    joined.loop.run()
    for session, by in ((joined.scu, Side.LOCAL), (joined.scp, Side.PEER)):
        assert session.outcome is not None
        assert (session.outcome.kind, session.outcome.by) == (OutcomeKind.ABORTED, by)
        assert nothing_left(session)
    assert got == []
    assert service.stored == {}
    assert joined.scu_link.opened == 0


def test_a_data_set_of_odd_length_aborts() -> None:
    joined = Joined()
    source = Instance(CT, "1.2.3.4", EXPLICIT_VR_LITTLE_ENDIAN, None, lambda: iter([b"abc"]))
    with pytest.raises(LocalProtocolError, match="odd"):
        joined.loop.call(joined.peer.c_store(source))
    assert joined.peer.outcome is not None
    assert joined.peer.outcome.kind is OutcomeKind.ABORTED


def test_a_progress_that_raises_aborts() -> None:
    joined = Joined()

    def stop(sent: int) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        joined.loop.call(joined.peer.c_store(instance(), progress=stop))
    assert joined.peer.outcome is not None


# ---------------------------------------------------------------- output is held


@pytest.mark.parametrize("window", [1, 3])
def test_a_sender_faster_than_the_wire_is_held_at_the_high_water(window: int) -> None:
    """Also by what the store before it has left: its last PDU may go above the mark."""
    asked = AsynchronousOperationsWindow(window, window)
    service = Anything()
    limits = replace(Limits(), output_high_water=50_000)
    joined = Joined(service, ours=requestor(window=asked, limits=limits), theirs=acceptor(window=asked), capacity=1000)
    joined.scp_link._heard_all = True  # it does not read: what is unsent is what was let in
    size = 4 * 131_066 - 2  # the last PDU is as long as the others
    stores = [joined.loop.spawn(joined.peer.c_store(instance(size, f"1.2.{n}", piece=20_000))) for n in range(3)]
    joined.loop.run()
    assert 50_000 <= joined.scu.engine.bytes_unsent < 50_000 + 131_072 + 20_000
    joined.scp_link._heard_all = False
    joined.loop.run()
    assert [store.result() for store in stores] == [0, 0, 0]
    assert service.stored == {f"1.2.{n}": content(size) for n in range(3)}
    assert joined.scu_link.highest_unsent < 50_000 + 2 * 131_072


def test_a_store_may_come_at_any_moment_of_another() -> None:
    asked = AsynchronousOperationsWindow(2, 2)
    for moment in range(40):
        service = Anything()
        joined = Joined(service, ours=requestor(window=asked), theirs=acceptor(window=asked), capacity=SMALL)
        first = joined.loop.spawn(joined.peer.c_store(instance(100_000, "1.1")))
        steps = iter(range(moment))
        joined.loop.run(lambda steps=steps: next(steps, None) is None)  # type: ignore[misc]
        second = joined.loop.spawn(joined.peer.c_store(instance(100_000, "1.2")))
        joined.loop.run()
        assert first.result() == second.result() == 0
        assert service.stored == {"1.1": content(100_000), "1.2": content(100_000)}
        assert all(map(nothing_left, joined.sessions))


# ---------------------------------------------------------------- answers that come early


def test_a_failure_that_comes_early_cuts_the_data_set() -> None:
    alone = Alone(capacity=1000)
    store = alone.loop.spawn(alone.peer.c_store(instance(3_000_000)))
    alone.loop.run()
    alone.raw.send(store_rsp(1, status=0xA700))
    alone.out.capacity = 1 << 40
    request, data = alone.raw.said()
    assert store.result() == 0xA700
    assert isinstance(request, CStoreRQ)
    assert data == content(3_000_000)[: len(data)]
    assert 0 < len(data) < 3_000_000
    echo = alone.loop.spawn(alone.peer.c_echo())
    alone.loop.run()
    alone.raw.send(echo_rsp(2))
    assert echo.result() == 0


def test_a_success_that_comes_early_lets_the_data_set_go_on() -> None:
    alone = Alone(capacity=1000)
    store = alone.loop.spawn(alone.peer.c_store(instance(1_000_000)))
    alone.loop.run()
    alone.raw.send(store_rsp(1, status=0xB000))
    assert not store.done
    alone.out.capacity = 1 << 40
    assert alone.raw.said()[1] == content(1_000_000)
    assert store.result() == 0xB000


def test_a_pending_that_is_none_is_waited_through() -> None:
    alone = Alone()
    echo = alone.loop.spawn(alone.peer.c_echo())
    alone.loop.run()
    alone.raw.send(echo_rsp(1, status=0xFF00))
    assert not echo.done
    alone.raw.send(echo_rsp(1))
    assert echo.result() == 0


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
