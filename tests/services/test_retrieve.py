"""C-GET and C-MOVE in both roles: sub-operations, counters, cancel, ends, and who waits for whom (PS3.4 C.4.2)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine_pair import (
    ABORT,
    CT,
    GET,
    GETTING,
    INSTANCE,
    MOVE,
    MOVING,
    MR,
    RELEASE_RQ,
    Pair,
    Scripted,
    acceptor,
    bytewise,
    command,
    data,
    echo_rq,
    get_rq,
    get_rsp,
    joined,
    message,
    move_rq,
    move_rsp,
    read,
    requestor,
    store_rq,
    store_rsp,
    whole,
)
from sansdimse.dataset import decode
from sansdimse.deviations import Code
from sansdimse.dimse.messages import (
    NO_DATA_SET,
    WITH_DATA_SET,
    CCancelRQ,
    CEchoRSP,
    CGetRQ,
    CGetRSP,
    CMoveRQ,
    CMoveRSP,
    CStoreRQ,
    CStoreRSP,
    Priority,
)
from sansdimse.errors import LocalProtocolError
from sansdimse.events import (
    Aborted,
    CancelRequested,
    DatasetReceived,
    Ended,
    GetRequested,
    MoveRequested,
    ReleaseRequested,
    ResponseReceived,
    SendingAllowed,
    StoreRequested,
    TimedOut,
    UnservableRequested,
)
from sansdimse.limits import Limits
from sansdimse.services.retrieve import GetRequest, GetSCP, MoveRequest, MoveSCP
from sansdimse.services.storage import StoreRequest
from sansdimse.uids import DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN
from sansdimse.ul.items import AsynchronousOperationsWindow
from sansdimse.ul.parties import Acceptor, PresentationContext, Requestor
from sansdimse.ul.pdu import AAbort
from sansdimse.ul.table import State
from sansdimse.ul.timers import Timer

WIDE = AsynchronousOperationsWindow(4, 4)
CANCEL_RQ = command(7, CCancelRQ(message_id_being_responded_to=1))


def pair(window: int = 4, cut: Any = whole, kind: PresentationContext = GETTING, **config: Any) -> Pair:
    both = AsynchronousOperationsWindow(window, window)
    made = Pair(requestor(kind, window=both, **config), acceptor(kind, window=both, **config), cut=cut)
    made.establish()
    return made


def getting(window: int = 4, cut: Any = whole, **config: Any) -> tuple[Pair, GetRequest, GetSCP]:
    """Two of us, and a C-GET that the acceptor was told."""
    made = pair(window, cut, **config)
    get = made.requestor.engine.c_get(GET, b"query.")
    made.run()
    [event] = made.acceptor.events
    made.clear()
    return made, get, event.operation


def asked(**config: Any) -> tuple[Scripted, GetSCP]:
    end = Scripted.established(acceptor(GETTING, window=WIDE, **config), requestor(GETTING, window=WIDE))
    [event] = end.send(get_rq())
    assert isinstance(event, GetRequested)
    return end, event.operation


def asked_to_move(**config: Any) -> tuple[Scripted, MoveSCP]:
    end = Scripted.established(acceptor(MOVING, window=WIDE, **config), requestor(MOVING, window=WIDE))
    [event] = end.send(move_rq())
    assert isinstance(event, MoveRequested)
    return end, event.operation


def asking(window: int = 4, **config: Any) -> Scripted:
    both = AsynchronousOperationsWindow(window, window)
    return Scripted.established(requestor(GETTING, window=both, **config), acceptor(GETTING, window=both))


def get_response(
    status: int, *counts: int, remaining: int | None = None, has_list: bool = False, **more: Any
) -> CGetRSP:
    """C-GET-RSP as a value, with the counts of those completed, failed and with a warning."""
    completed, failed, warning = counts
    return CGetRSP(
        message_id_being_responded_to=1,
        affected_sop_class_uid=GET,
        command_data_set_type=WITH_DATA_SET if has_list else NO_DATA_SET,
        status=status,
        number_of_remaining_suboperations=remaining,
        number_of_completed_suboperations=completed,
        number_of_failed_suboperations=failed,
        number_of_warning_suboperations=warning,
        **more,
    )


def store(get: GetSCP, uid: str, content: bytes = b"an image") -> StoreRequest:
    operation = get.store(CT, uid)
    operation.send_data(content, is_last=True)
    return operation


def answer(made: Pair, *statuses: int) -> list[str]:
    """The C-GET's SCU answers what it was told to store, in the order in which it came; gives what was stored."""
    stored = []
    answers = list(statuses)
    for operation in made.requestor.engine.unanswered:
        if answers:
            assert isinstance(operation.request, CStoreRQ)
            stored.append(operation.request.affected_sop_instance_uid)
            operation.respond(answers.pop(0))  # type: ignore[attr-defined]
    made.run()
    return stored


def instances(raw: bytes | None, syntax: str = EXPLICIT_VR_LITTLE_ENDIAN) -> list[str]:
    assert raw is not None
    found = decode(raw, syntax).FailedSOPInstanceUIDList
    return [found] if isinstance(found, str) else list(found)


def snapshot(end: Scripted, get: GetSCP | MoveSCP) -> Any:
    engine, counts = end.engine, vars(get.suboperations)
    return (
        dict(counts, failed_instances=list(counts["failed_instances"])),
        set(getattr(get, "outstanding", ())),
        (get.responded, get.responses, get.over),
        (engine.state, engine.outstanding, engine.unanswered, engine.bytes_unsent, engine.deadlines()),
        (list(engine._outbox._queue), engine._outbox._bytes_waiting, engine._invoker._last_id),
    )


# ---------------------------------------------------------------- C-GET, both ends


@pytest.mark.parametrize("cut", [whole, bytewise])
@pytest.mark.parametrize("window", [1, 4])
def test_what_is_got_is_stored_on_the_same_association(cut: Any, window: int) -> None:
    made = pair(window, cut)
    ours, theirs = made.requestor, made.acceptor
    get = ours.engine.c_get(GET, bytearray(b"query."), priority=Priority.HIGH)
    assert isinstance(get, GetRequest)
    made.run()
    [event] = theirs.events
    request = CGetRQ(message_id=1, affected_sop_class_uid=GET, priority=Priority.HIGH)
    assert event == GetRequested(theirs.engine.contexts[3], request, b"query.", None)  # type: ignore[arg-type]
    scp: GetSCP = event.operation
    assert theirs.engine.unanswered == (scp,)
    scp.expect(3)
    for number in range(3):
        stored = scp.store(CT, f"1.2.{number}")
        assert (stored.sub_operation_of, scp.outstanding) == (scp, {stored})
        assert (stored.context.id, stored.request.priority) == (3, Priority.HIGH)
        stored.send_data(b"image." * (number + 1), is_last=True)
        made.run()
        assert scp.outstanding == {stored}
        with pytest.raises(LocalProtocolError, match="1 sub-operations of C-GET 1 are not answered"):
            scp.finish()
        assert answer(made, 0) == [f"1.2.{number}"]
        assert scp.outstanding == set()
        scp.send_pending()
    assert scp.finish() == 0
    made.run()
    told = joined(ours.events)
    kinds = [type(each) for each in told]
    assert kinds == [StoreRequested, DatasetReceived, ResponseReceived] * 3 + [ResponseReceived]
    assert [each.data for each in told[1::3]] == [b"image.", b"image." * 2, b"image." * 3]
    assert [each.response for each in told if isinstance(each, ResponseReceived)] == [
        get_response(0xFF00, 1, 0, 0, remaining=2),
        get_response(0xFF00, 2, 0, 0, remaining=1),
        get_response(0xFF00, 3, 0, 0, remaining=0),
        get_response(0x0000, 3, 0, 0),
    ]
    assert (get.status, get.responses, get.over, scp.over, scp.responses) == (0, 4, True, True, 4)
    assert ours.engine.deviations == theirs.engine.deviations == ()
    assert ours.engine.outstanding == ours.engine.unanswered == theirs.engine.outstanding == ()


def test_a_window_of_four_is_filled_and_one_of_one_is_kept() -> None:
    made, _, scp = getting(4)
    scp.expect(5)
    for number in range(4):
        store(scp, f"1.2.{number}")
    with pytest.raises(LocalProtocolError, match="at most 4 of our requests may be outstanding"):
        scp.store(CT, "1.2.4")
    made.run()
    assert len(made.requestor.engine.unanswered) == 4
    assert made.requestor.engine.deviations == ()
    assert answer(made, 0xB000, 0xA700) == ["1.2.0", "1.2.1"]
    store(scp, "1.2.4")
    made.run()
    assert answer(made, 0, 0, 0xC000) == ["1.2.2", "1.2.3", "1.2.4"]
    assert scp.finish() == 0xB000
    made.run()
    final = made.requestor.events[-1]
    assert final.response == get_response(0xB000, 2, 2, 1, has_list=True)
    assert instances(final.identifier) == ["1.2.1", "1.2.4"]

    _, _, scp = getting(1)
    scp.expect(2)
    store(scp, "1.2.0")
    with pytest.raises(LocalProtocolError, match="at most 1 of our requests may be outstanding"):
        scp.store(CT, "1.2.1")
    assert len(scp.outstanding) == 1


def test_stores_behind_an_open_data_set_wait_for_their_turn() -> None:
    end, scp = asked()
    scp.expect(2)
    first, second = scp.store(CT, "1.2.1"), scp.store(CT, "1.2.2")
    first.send_data(b"one.", is_last=True)
    assert end.pump() == [SendingAllowed(2, second)]
    second.send_data(b"two.", is_last=True)
    assert [s if isinstance(s, bytes) else s.affected_sop_instance_uid for s in end.said()] == [
        "1.2.1",
        b"one.",
        "1.2.2",
        b"two.",
    ]


def test_those_that_cannot_be_stored_are_recorded_and_told() -> None:
    end, scp = asked()
    scp.expect(3)
    with pytest.raises(LocalProtocolError, match="the peer refused every context for MR"):
        scp.store(MR, "1.2.1")
    scp.record(0xA700, "1.2.1")
    scp.record(0xC000, None)
    scp.record(0xB000, "1.2.3")
    assert scp.finish() == 0xB000
    response, raw = end.said()
    assert response == get_response(0xB000, 0, 2, 1, has_list=True)
    assert instances(raw) == ["1.2.1"]


@pytest.mark.parametrize(
    ("said", "failed", "status", "listed"),
    [
        (None, None, 0xB000, ["1.2.1"]),
        (0x0000, None, 0xB000, ["1.2.1"]),
        (0xA702, ["1.9.1", "1.9.2"], 0xA702, ["1.9.1", "1.9.2"]),
        (0xC411, None, 0xC411, ["1.2.1"]),
        (0xFE00, None, 0xFE00, ["1.2.1"]),
        (0xA900, [], 0xA900, None),
        (0xA900, (), 0xA900, None),
    ],
)
def test_how_a_handler_ends_it(said: int | None, failed: Any, status: int, listed: list[str] | None) -> None:
    end, scp = asked()
    scp.expect(4)
    scp.record(0xA700, "1.2.1")
    scp.record(0x0000, "1.2.2")
    assert scp.finish(said, failed=failed, offending_element=(0x00080018,), error_comment="sorry") == status
    response, *rest = end.said()
    remaining, failures = (2, 1) if status == 0xFE00 else (None, 3)
    assert response == get_response(
        status,
        1,
        failures,
        0,
        remaining=remaining,
        has_list=listed is not None,
        offending_element=(0x00080018,),
        error_comment="sorry",
    )
    assert [instances(raw) for raw in rest] == ([] if listed is None else [listed])
    assert (scp.over, scp.answered) == (True, status)


def test_of_a_success_there_is_no_list() -> None:
    end, scp = asked()
    scp.expect(1)
    scp.record(0, "1.2.1")
    assert scp.finish(failed=["1.2.9"]) == 0
    assert end.said() == [get_response(0, 1, 0, 0)]


@pytest.mark.parametrize("expected", [None, 0])
def test_where_nothing_matches_nothing_is_stored(expected: int | None) -> None:
    end, scp = asked()
    if expected is not None:
        scp.expect(expected)
    assert scp.finish() == 0
    assert end.said() == [get_response(0, 0, 0, 0)]


@pytest.mark.parametrize("syntax", [IMPLICIT_VR_LITTLE_ENDIAN, DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN])
def test_the_list_is_in_the_transfer_syntax_of_the_context(syntax: str) -> None:
    contexts: list[PresentationContext | str] = [CT, PresentationContext(GET, (syntax,))]
    end = Scripted.established(Acceptor("YOU", contexts), Requestor("ME", "YOU", contexts))
    [event] = end.send(get_rq(context_id=3))
    event.operation.expect(2)  # type: ignore[union-attr]
    event.operation.record(0xA700, "1.2.3")  # type: ignore[union-attr]
    event.operation.finish()  # type: ignore[union-attr]
    response, raw = end.said()
    assert (response.status, response.number_of_failed_suboperations) == (0xA702, 2)
    assert instances(raw, syntax) == ["1.2.3"]


# ---------------------------------------------------------------- a local mistake changes nothing


def test_mistakes_of_the_performer() -> None:
    end, scp = asked()
    before = snapshot(end, scp)
    verbs: list[tuple[Any, str]] = [
        (lambda: scp.store(CT, INSTANCE), r"was not told yet: expect\(count\)"),
        (lambda: scp.record(0, INSTANCE), r"was not told yet: expect\(count\)"),
        (scp.send_pending, r"was not told yet: expect\(count\)"),
        (lambda: scp.expect(-1), "-1 is no number of sub-operations"),
        (lambda: scp.finish(0xFF00), "request 1 ends with a final status, and not 0xFF00"),
        (lambda: scp.finish(0xFF01), "request 1 ends with a final status, and not 0xFF01"),
        (lambda: scp.finish(0xA700, error_comment="x" * 65), "error_comment is at most 64"),
        (lambda: scp.finish(0x1FFFF), "status is a number from 0 to 65535"),
    ]
    for verb, text in verbs:
        with pytest.raises(LocalProtocolError, match=text):
            verb()
        assert snapshot(end, scp) == before
    scp.expect(2)
    scp.store(CT, "1.2.1").send_data(b"xx")
    before = snapshot(end, scp)
    verbs = [
        (lambda: scp.expect(2), "2 sub-operations were announced already"),
        (scp.finish, "1 sub-operations of C-GET 1 are not answered"),
        (lambda: scp.finish(0xFE00), "1 sub-operations of C-GET 1 are not answered"),
        (lambda: scp.store(CT, "not a UID"), "affected_sop_instance_uid is a UID"),
        (lambda: scp.store(MR, INSTANCE), "the peer refused every context for MR"),
        (lambda: scp.store("1.2.3", INSTANCE), "no context for 1.2.3 was proposed"),
        (lambda: scp.store(CT, INSTANCE, "1.2.840.10008.1.2.4.50"), "these transfer syntaxes would do"),
        (lambda: scp.store(CT, INSTANCE, context_id=5), "presentation context 5 was not accepted"),
    ]
    for verb, text in verbs:
        with pytest.raises(LocalProtocolError, match=text):
            verb()
        assert snapshot(end, scp) == before
    scp.store(CT, "1.2.2")
    before = snapshot(end, scp)
    for verb in (lambda: scp.store(CT, "1.2.3"), lambda: scp.record(0, "1.2.3")):
        with pytest.raises(LocalProtocolError, match="2 sub-operations were announced, and this is one more"):
            verb()
        assert snapshot(end, scp) == before


def test_nothing_is_said_after_the_final_response() -> None:
    end, scp = asked()
    scp.expect(1)
    scp.record(0, INSTANCE)
    scp.finish()
    end.said()
    before = snapshot(end, scp)
    verbs = [
        lambda: scp.expect(1),
        scp.send_pending,
        lambda: scp.store(CT, INSTANCE),
        lambda: scp.record(0, None),
        scp.finish,
    ]
    for verb in verbs:
        with pytest.raises(LocalProtocolError, match="request 1 was answered already"):
            verb()  # type: ignore[operator]
    scp.shows_life()
    assert snapshot(end, scp) == before


def test_without_the_role_of_an_scu_nothing_is_stored() -> None:
    """The requestor did not propose to be SCP of CT, so it is not (PS3.7 D.3.3.4)."""
    config = Requestor("ME", "YOU", [CT, GET])
    end = Scripted.established(Acceptor("YOU", [CT, GET]), config)
    [event] = end.send(get_rq(context_id=3))
    scp: GetSCP = event.operation  # type: ignore[union-attr]
    scp.expect(1)
    before = snapshot(end, scp)
    with pytest.raises(LocalProtocolError, match="we are not the SCU of CT Image Storage here"):
        scp.store(CT, INSTANCE)
    with pytest.raises(LocalProtocolError, match="we are not the SCU of CT Image Storage here"):
        scp.store(CT, INSTANCE, context_id=1)
    assert snapshot(end, scp) == before
    scp.record(0xA700, INSTANCE)
    assert scp.finish() == 0xA702


def test_one_get_of_ours_at_a_time() -> None:
    end = asking()
    first = end.engine.c_get(GET, b"query.")
    end.said()
    with pytest.raises(LocalProtocolError, match="C-GET 1 is outstanding: what is stored could be of either"):
        end.engine.c_get(GET, b"query.")
    assert (end.said(), end.engine.outstanding) == ([], (first,))
    assert end.engine.c_echo().message_id == 2
    end.send(get_rsp(status=0xFE00))
    assert first.over
    assert end.engine.c_get(GET, b"query.").message_id == 3


def test_a_get_that_was_withdrawn_makes_room_for_another() -> None:
    end = asking()
    image = end.engine.c_store(CT, INSTANCE)
    end.engine.c_get(GET, b"first.").abandon()
    second = end.engine.c_get(GET, b"second")
    image.send_data(b"xx", is_last=True)
    assert end.said()[-1] == b"second"
    assert second.sent


def test_beyond_the_window_nothing_can_be_said() -> None:
    end = Scripted.established(acceptor(GETTING), requestor(GETTING))
    end.send(echo_rq(9), get_rq(1))
    scp = end.engine.unanswered[1]
    assert isinstance(scp, GetSCP)
    before = snapshot(end, scp)
    verbs = [lambda: scp.expect(1), scp.send_pending, lambda: scp.store(CT, INSTANCE), scp.finish]
    for verb in verbs:
        with pytest.raises(LocalProtocolError, match="request 1 is beyond the window negotiated, and not told yet"):
            verb()  # type: ignore[operator]
    scp.shows_life()
    end.take(0.0)
    assert snapshot(end, scp) == before
    assert end.send(CANCEL_RQ) == []
    end.engine.unanswered[0].respond()  # type: ignore[attr-defined]
    asked, cancelled = end.pump()
    assert (asked.identifier, asked.operation, cancelled) == (b"query.", scp, CancelRequested(1, scp))


# ---------------------------------------------------------------- early answers, and answers that never come


@pytest.mark.parametrize(("status", "final"), [(0xA700, 0xA702), (0xC000, 0xA702)])
def test_an_early_failure_cuts_the_data_set_and_is_counted(status: int, final: int) -> None:
    end, scp = asked()
    scp.expect(1)
    operation = scp.store(CT, INSTANCE)
    operation.send_data(b"xx")
    end.take(0.0)
    [told] = end.send(store_rsp(status=status))
    assert isinstance(told, ResponseReceived)
    assert (operation.was_cut, operation.over, scp.outstanding, scp.suboperations.failed) == (True, True, set(), 1)
    operation.send_data(b"yy", is_last=True)  # dropped
    assert scp.finish() == final
    end.take(0.0)
    said = read(end.sent)
    assert [type(each) for each in said] == [CStoreRQ, bytes, CGetRSP, bytes]
    assert said[1] == b"xx"
    assert instances(said[3]) == [INSTANCE]


def test_an_early_success_is_counted_once_and_the_answer_waits_for_the_data_set() -> None:
    end, scp = asked()
    scp.expect(1)
    operation = scp.store(CT, INSTANCE)
    end.take(0.0)
    end.send(store_rsp(), store_rsp())
    assert (scp.suboperations.completed, scp.outstanding, operation.over) == (1, set(), False)
    assert scp.finish() == 0
    assert end.take(0.0) == b""
    operation.send_data(b"xx", is_last=True)
    assert operation.over
    end.take(0.0)
    assert [type(each) for each in read(end.sent)] == [CStoreRQ, bytes, CGetRSP]


def test_a_store_that_was_withdrawn_has_failed() -> None:
    end, scp = asked()
    scp.expect(2)
    first, second = scp.store(CT, "1.2.1"), scp.store(CT, "1.2.2")
    second.abandon()
    assert (second.over, scp.outstanding, scp.suboperations.failed_instances) == (True, {first}, ["1.2.2"])
    first.send_data(b"xx", is_last=True)
    end.send(store_rsp(1))
    assert scp.finish() == 0xB000


def test_a_store_that_was_abandoned_is_counted_when_its_answer_comes() -> None:
    end, scp = asked()
    scp.expect(1)
    operation = store(scp, INSTANCE)
    end.take(0.0)
    operation.abandon()
    with pytest.raises(LocalProtocolError, match="are not answered"):
        scp.finish()
    assert end.send(store_rsp(1)) == []
    assert (scp.suboperations.completed, scp.finish()) == (1, 0)


def test_after_the_peers_release_request_what_was_not_answered_has_failed() -> None:
    end, scp = asked()
    scp.expect(3)
    first, second = store(scp, "1.2.1"), scp.store(CT, "1.2.2")
    assert end.send(RELEASE_RQ) == [ReleaseRequested()]
    assert (first.over, second.over, scp.outstanding) == (True, True, set())
    with pytest.raises(LocalProtocolError, match="no operation can be invoked in Sta8"):
        scp.store(CT, "1.2.3")
    with pytest.raises(LocalProtocolError, match="cannot answer a release: <GetSCP 1"):
        end.engine.respond_release()
    assert scp.suboperations.remaining == 1
    assert scp.finish() == 0xA702
    end.engine.respond_release()
    assert not end.engine.unanswered


def test_after_our_release_request_nothing_is_stored_nor_answered() -> None:
    end, scp = asked()
    scp.expect(1)
    end.engine.release(force=True)
    end.said()
    before = snapshot(end, scp)
    for verb in (lambda: scp.store(CT, INSTANCE), scp.send_pending, scp.finish):
        with pytest.raises(LocalProtocolError, match="no request can be answered in Sta7"):
            verb()  # type: ignore[operator]
        assert snapshot(end, scp) == before


@pytest.mark.parametrize("how", ["lost", "abort", "our abort"])
def test_the_association_ends_in_the_middle(how: str) -> None:
    made, get, scp = getting()
    scp.expect(4)
    first, open_one = store(scp, "1.2.1"), scp.store(CT, "1.2.2")
    open_one.send_data(b"half")
    made.run()
    asked_to_store = made.requestor.events[0].operation
    match how:
        case "lost":
            made.lose()
        case "abort":
            made.requestor.engine.abort()
        case "our abort":
            made.acceptor.engine.abort()
    made.run()
    made.lose()
    for operation in (get, scp, first, open_one, asked_to_store):
        assert operation.over
    for end in (made.requestor, made.acceptor):
        [ended] = [event for event in end.events if isinstance(event, Ended)]
        assert ended.outcome.outstanding == 3
        assert (end.engine.outstanding, end.engine.unanswered) == ((), ())
        assert end.engine.deadlines() == {}
    assert get.response is None
    assert scp.outstanding == set()
    verbs = [lambda: scp.expect(1), scp.finish, scp.send_pending, lambda: scp.store(CT, INSTANCE)]
    for verb in (*verbs, lambda: scp.record(0, INSTANCE)):
        with pytest.raises(LocalProtocolError, match="request 1 is over: its association ended"):
            verb()  # type: ignore[operator]
    scp.shows_life()
    made.acceptor.engine.handle_timeout(1.0)
    assert made.acceptor.engine.deadlines() == {}


def test_between_our_abort_and_the_end_nothing_is_waited_for() -> None:
    end, scp = asked()
    scp.expect(1)
    end.engine.abort()
    scp.record(0, INSTANCE)
    scp.shows_life()
    end.take(0.0)
    end.take(1.0)
    assert {timer for timer, _ in end.engine.deadlines()} <= {Timer.ARTIM, Timer.OUTPUT_STALL}


# ---------------------------------------------------------------- cancel


@pytest.mark.parametrize("window", [1, 4])
def test_a_cancel_midway_and_stores_are_served_until_the_final_response(window: int) -> None:
    made, get, scp = getting(window)
    scp.expect(5)
    store(scp, "1.2.1")
    made.run()
    assert answer(made, 0xA700) == ["1.2.1"]
    store(scp, "1.2.2")
    get.cancel()
    made.run()
    assert scp.cancelled
    assert [type(event) for event in made.acceptor.events][-1] is CancelRequested
    assert answer(made, 0) == ["1.2.2"]
    store(scp, "1.2.3")  # it need not stop at once
    made.run()
    assert answer(made, 0) == ["1.2.3"]
    assert scp.finish(0xFE00) == 0xFE00
    made.run()
    final = made.requestor.events[-1]
    assert final.response == get_response(0xFE00, 2, 1, 0, remaining=2, has_list=True)
    assert instances(final.identifier) == ["1.2.1"]
    assert (get.over, get.status) == (True, 0xFE00)
    echo = made.requestor.engine.c_echo()
    made.run()
    made.acceptor.events[-1].operation.respond()
    made.run()
    assert echo.status == 0


def test_what_an_abandoned_get_stores_is_told_and_answered() -> None:
    end = asking()
    get = end.engine.c_get(GET, b"query.")
    end.take(0.0)
    get.abandon()
    assert end.said() == [CCancelRQ(message_id_being_responded_to=1)]
    asked_to_store, _ = end.send(store_rq(9), data(3, b"xx"))
    asked_to_store.operation.respond(0xA700)  # type: ignore[union-attr]
    end.take(0.0)
    assert end.engine.deadlines() == {(Timer.CANCEL_DRAIN, 1): 30.0}
    assert end.send(get_rsp(status=0xFF00), get_rsp(status=0xFE00)) == []
    assert (get.over, get.responses) == (True, 2)


# ---------------------------------------------------------------- C-GET as SCU


@pytest.mark.parametrize("kind", ["get", "move"])
@pytest.mark.parametrize(
    ("status", "identifier", "codes"),
    [
        (0xFF00, None, []),
        (0xFF00, b"list", [Code.DATA_SET_FORBIDDEN]),
        (0x0000, None, []),
        (0x0000, b"list", []),
        (0xB000, None, []),
        (0xB000, b"list", []),
        (0xFE00, b"list", []),
        (0xA702, b"list", []),
    ],
)
def test_which_responses_have_a_list(kind: str, status: int, identifier: bytes | None, codes: list[Code]) -> None:
    context = GETTING if kind == "get" else MOVING
    end = Scripted.established(requestor(context, window=WIDE), acceptor(context, window=WIDE))
    operation: GetRequest | MoveRequest
    if kind == "get":
        operation, raw = end.engine.c_get(GET, b"query."), get_rsp(status=status, identifier=identifier)
    else:
        operation, raw = end.engine.c_move(MOVE, b"query.", "STORE"), move_rsp(status=status, identifier=identifier)
    [event] = end.send(raw)
    assert isinstance(event, ResponseReceived)
    assert (event.status, event.identifier, event.operation) == (status, identifier, operation)
    assert event.is_final is operation.over is (status != 0xFF00)
    assert end.codes == codes


def test_what_the_response_does_not_name_is_reported() -> None:
    end = asking()
    end.engine.c_get(GET, b"query.")
    [event] = end.send(message(7, CGetRSP(message_id_being_responded_to=1, status=0)))
    assert event.response.number_of_completed_suboperations is None  # type: ignore[union-attr]
    assert end.codes == [Code.RESPONSE_UID_MISSING]


# ---------------------------------------------------------------- who waits for whom

RESPONSE, ANSWER = (Timer.DIMSE_RESPONSE, 1), (Timer.OPERATION_ANSWER, 1)


def test_sub_operations_restart_the_wait_for_our_user() -> None:
    end, scp = asked()
    assert end.engine.deadlines()[ANSWER] == 600.0
    scp.expect(3)
    end.wait(100.0)
    operation = scp.store(CT, INSTANCE)
    end.take(end.now)
    assert end.engine.deadlines()[ANSWER] == 700.0
    operation.send_data(b"xx", is_last=True)
    end.take(end.now)
    end.wait(50.0)
    end.send(store_rsp(1))
    end.take(end.now)
    assert end.engine.deadlines()[ANSWER] == 750.0
    for verb in (lambda: scp.record(0, None), scp.send_pending, scp.shows_life):
        end.wait(100.0)
        verb()  # type: ignore[operator]
        end.take(end.now)
        assert end.engine.deadlines()[ANSWER] == end.now + 600.0
    assert end.wait(600.0) == [TimedOut(Timer.OPERATION_ANSWER, 1)]


def test_what_the_peer_stores_restarts_our_wait_and_what_we_owe_stops_it() -> None:
    end = asking(limits=Limits(message_completion=1000.0))
    get = end.engine.c_get(GET, b"query.")
    end.take(0.0)
    assert end.engine.deadlines()[RESPONSE] == 60.0
    end.wait(50.0)
    end.send(store_rq(9))
    end.send(data(3, b"xx", is_last=False))
    assert end.engine.deadlines()[RESPONSE] == 110.0
    end.wait(50.0)
    end.send(data(3, b"yy", is_last=False))
    assert end.engine.deadlines()[RESPONSE] == 160.0
    end.send(data(3, b"zz"))
    assert RESPONSE not in end.engine.deadlines()  # the peer waits for us
    end.wait(500.0)
    assert end.engine.state is State.STA6
    end.engine.unanswered[0].respond()  # type: ignore[attr-defined]
    end.take(end.now)
    assert end.engine.deadlines() == {RESPONSE: 660.0}
    assert end.wait(60.0) == [TimedOut(Timer.DIMSE_RESPONSE, 1)]
    assert end.said()[-1] == AAbort(0, 0)
    assert get.response is None


def test_as_long_as_we_owe_one_answer_our_wait_stands_still() -> None:
    end = asking()
    end.engine.c_get(GET, b"query.")
    end.take(0.0)
    end.send(store_rq(9), data(3, b"xx"), store_rq(10), data(3, b"xx"))
    first, second = end.engine.unanswered
    first.respond()  # type: ignore[attr-defined]
    end.take(0.0)
    assert RESPONSE not in end.engine.deadlines()
    end.send(get_rsp(status=0xFF00))  # nor does a Pending response start it
    assert RESPONSE not in end.engine.deadlines()
    second.respond()  # type: ignore[attr-defined]
    end.take(0.0)
    assert end.engine.deadlines()[RESPONSE] == 60.0
    end.send(get_rsp())
    assert end.engine.deadlines() == {}


@pytest.mark.parametrize("window", [1, 4])
def test_an_early_refusal_starts_our_wait_anew(window: int) -> None:
    end = asking(window)
    end.engine.c_get(GET, b"query.")
    end.take(0.0)
    end.wait(30.0)
    [event] = end.send(store_rq(9))
    event.operation.respond(0xA700)  # type: ignore[union-attr]
    end.take(end.now)
    assert end.engine.deadlines()[RESPONSE] == 90.0
    end.wait(20.0)
    end.send(data(3, b"xx"))
    assert end.engine.deadlines()[RESPONSE] == 110.0


def test_a_get_that_waits_behind_our_own_data_set_starts_no_wait() -> None:
    end = asking()
    image = end.engine.c_store(CT, INSTANCE)
    get = end.engine.c_get(GET, b"query.")
    [event, _] = end.send(store_rq(9), data(3, b"xx"))
    event.operation.respond()  # type: ignore[union-attr]
    end.take(0.0)
    assert (get.sent, (Timer.DIMSE_RESPONSE, 2) in end.engine.deadlines()) == (False, False)
    image.send_data(b"xx", is_last=True)
    end.take(0.0)
    assert (Timer.DIMSE_RESPONSE, 2) in end.engine.deadlines()


def test_without_a_get_of_ours_stores_are_nobodys_sub_operations() -> None:
    end = asking()
    echo = end.engine.c_echo()
    end.take(0.0)
    event, _ = end.send(store_rq(9), data(3, b"xx"))
    event.operation.respond()  # type: ignore[union-attr]
    end.take(0.0)
    assert end.engine.deadlines() == {RESPONSE: 60.0}
    assert not echo.over


# ---------------------------------------------------------------- what bounds it


@pytest.mark.parametrize("cut", [whole, bytewise])
@pytest.mark.parametrize(("context", "raw"), [(GETTING, get_rq), (MOVING, move_rq)])
def test_an_identifier_that_is_too_long_is_refused(cut: Any, context: PresentationContext, raw: Any) -> None:
    end = Scripted.established(acceptor(context, limits=Limits(identifier=10)), requestor(context))
    end.cut = cut
    [event] = end.send(raw(identifier=b"x" * 12))
    assert isinstance(event, UnservableRequested)
    assert (event.status, event.text) == (0xA701, "its data set has more than 10 bytes")
    event.operation.respond()
    assert event.operation.over
    [response] = end.said()
    assert (response.status, response.has_data_set) == (0xA701, False)
    [again] = end.send(raw(identifier=b"x" * 10))
    assert isinstance(again, GetRequested | MoveRequested)


def test_a_list_that_is_too_long_is_a_fault() -> None:
    end = asking(limits=Limits(identifier=10))
    end.engine.c_get(GET, b"query.")
    [event] = end.send(get_rsp(status=0xB000, identifier=b"x" * 12))
    assert isinstance(event, Aborted)
    assert event.cause is not None
    assert event.cause.code is Code.DATA_SET_TOO_LONG


@pytest.mark.parametrize(("context", "raw"), [(GETTING, get_rq), (MOVING, move_rq)])
def test_identifiers_beyond_the_window_count_as_data_held(context: PresentationContext, raw: Any) -> None:
    end = Scripted.established(acceptor(context, limits=Limits(held_data=10)), requestor(context))
    [event] = end.send(echo_rq(9), raw(2, identifier=b"x" * 10))
    event.operation.respond()  # type: ignore[union-attr]
    [told] = end.pump()
    assert told.identifier == b"x" * 10
    end.send(raw(3, identifier=b"x" * 8))  # what was told counts no more
    assert end.engine.state is State.STA6
    [aborted] = end.send(raw(4, identifier=b"x" * 4))
    assert aborted.cause.code is Code.WINDOW_EXCEEDED  # type: ignore[union-attr]


def test_pending_responses_are_bounded_by_what_the_peer_takes() -> None:
    end, scp = asked(limits=Limits(output_high_water=1000))
    scp.expect(9)
    while scp.has_room:
        scp.send_pending()
    before = snapshot(end, scp)
    with pytest.raises(LocalProtocolError, match=r"\d+ bytes are unsent; write what data_to_send gives"):
        scp.send_pending()
    assert snapshot(end, scp) == before
    end.take(0.0)
    assert scp.has_room
    scp.finish()


@pytest.mark.parametrize("kind", ["get", "move"])
def test_more_sub_operations_than_can_be_counted(kind: str) -> None:
    end, scp = asked() if kind == "get" else asked_to_move()
    scp.expect(70_000)
    assert scp.suboperations.is_clamped
    scp.send_pending()
    scp.record(0, INSTANCE)
    scp.finish()
    pending, final = end.said()
    assert pending.number_of_remaining_suboperations == 65535
    assert (final.status, final.number_of_failed_suboperations) == (0xB000, 65535)
    assert final.number_of_remaining_suboperations is None


# ---------------------------------------------------------------- C-MOVE


@pytest.mark.parametrize("cut", [whole, bytewise])
def test_a_move_from_end_to_end(cut: Any) -> None:
    made = pair(cut=cut, kind=MOVING)
    move = made.requestor.engine.c_move(MOVE, b"query.", "STORE", priority=Priority.LOW)
    assert isinstance(move, MoveRequest)
    made.run()
    [event] = made.acceptor.events
    request = CMoveRQ(message_id=1, affected_sop_class_uid=MOVE, move_destination="STORE", priority=Priority.LOW)
    assert event == MoveRequested(made.acceptor.engine.contexts[3], request, b"query.", None)  # type: ignore[arg-type]
    scp: MoveSCP = event.operation
    assert (scp.destination, scp.originator) == ("STORE", ("ME", 1))
    scp.expect(3)
    scp.record(0, "1.2.1")
    scp.send_pending()
    scp.record(0xA900, "1.2.2")
    scp.record(0xB007, "1.2.3")
    with pytest.raises(LocalProtocolError, match="3 sub-operations were announced, and this is one more"):
        scp.record(0, "1.2.4")
    assert scp.finish() == 0xB000
    made.run()
    pending, final = made.requestor.events
    assert isinstance(pending.response, CMoveRSP)
    assert (pending.status, pending.identifier, pending.response.number_of_remaining_suboperations) == (0xFF00, None, 2)
    told = final.response
    assert (told.number_of_remaining_suboperations, told.number_of_completed_suboperations) == (None, 1)
    assert (told.number_of_failed_suboperations, told.number_of_warning_suboperations) == (1, 1)
    assert (final.status, instances(final.identifier)) == (0xB000, ["1.2.2"])
    assert (move.over, scp.over) == (True, True)
    assert made.requestor.engine.deviations == made.acceptor.engine.deviations == ()


def test_a_move_is_cancelled() -> None:
    end, scp = asked_to_move()
    scp.expect(2)
    assert end.send(CANCEL_RQ, CANCEL_RQ) == [CancelRequested(1, scp)]
    scp.finish(0xFE00)
    [response] = end.said()
    assert (response.status, response.number_of_remaining_suboperations) == (0xFE00, 2)
    assert end.send(CANCEL_RQ) == []
    assert end.codes == [Code.CANCEL_UNKNOWN]


def test_a_destination_that_nobody_knows() -> None:
    end, scp = asked_to_move()
    assert scp.finish(0xA801, error_comment="who is STORE?") == 0xA801
    [response] = end.said()
    assert (response.status, response.error_comment, response.has_data_set) == (0xA801, "who is STORE?", False)
    assert response.number_of_failed_suboperations == 0


@pytest.mark.parametrize("destination", ["", " ", "x" * 17, "a\\b", "é"])
def test_a_destination_that_is_no_title(destination: str) -> None:
    end = Scripted.established(requestor(MOVING), acceptor(MOVING))
    with pytest.raises(LocalProtocolError, match="move destination"):
        end.engine.c_move(MOVE, b"query.", destination)
    assert (end.said(), end.engine.outstanding) == ([], ())
    assert end.engine.c_move(MOVE, b"query.", "STORE").message_id == 1


def test_moves_run_side_by_side() -> None:
    end = Scripted.established(requestor(MOVING, window=WIDE), acceptor(MOVING, window=WIDE))
    first, second = (end.engine.c_move(MOVE, b"query.", title) for title in ("ONE", "TWO"))
    end.send(move_rsp(2), move_rsp(1, status=0xA801))
    assert (first.status, second.status) == (0xA801, 0)


@pytest.mark.parametrize("verb", ["expect", "record", "finish", "send_pending"])
@pytest.mark.parametrize("how", ["answered", "lost"])
def test_of_a_move_that_is_over_nothing_is_said(verb: str, how: str) -> None:
    end, scp = asked_to_move()
    scp.expect(1)
    if how == "answered":
        scp.finish()
    else:
        end.eof("reset")
    before = snapshot(end, scp)
    arguments = {"expect": (1,), "record": (0, INSTANCE)}.get(verb, ())
    text = "was answered already" if how == "answered" else "is over: its association ended"
    with pytest.raises(LocalProtocolError, match=text):
        getattr(scp, verb)(*arguments)
    assert snapshot(end, scp) == before


def test_a_move_shows_life_too() -> None:
    end, scp = asked_to_move()
    scp.expect(5)
    for verb in (lambda: scp.record(0, INSTANCE), scp.shows_life, scp.send_pending):
        end.wait(500.0)
        verb()  # type: ignore[operator]
        end.take(end.now)
        assert end.engine.deadlines()[ANSWER] == end.now + 600.0
    assert read(end.sent)[0].number_of_remaining_suboperations == 4


# ---------------------------------------------------------------- everything at once


def test_a_get_beside_other_operations_in_both_directions() -> None:
    """N at once: a C-ECHO and a C-STORE of the SCU, and a C-ECHO of the SCP, do not count as sub-operations."""
    made, get, scp = getting()
    ours, theirs = made.requestor.engine, made.acceptor.engine
    scp.expect(1)
    image = ours.c_store(CT, "1.9.1")
    image.send_data(b"ours", is_last=True)
    echoes = ours.c_echo(), theirs.c_echo()
    theirs_alone = theirs.c_store(CT, "1.9.2")
    theirs_alone.send_data(b"no sub-operation", is_last=True)
    store(scp, "1.2.1")
    made.run()
    for engine in (ours, theirs):
        for operation in engine.unanswered:
            if operation is not scp:
                operation.respond()  # type: ignore[attr-defined]
    made.run()
    assert (scp.suboperations.completed, scp.suboperations.remaining) == (1, 0)
    assert [operation.status for operation in (image, *echoes, theirs_alone)] == [0] * 4
    assert scp.finish() == 0
    made.run()
    assert get.status == 0


_MIX = st.lists(
    st.sampled_from(["good", "warning", "bad", "early", "missing", "no context", "withdrawn", "cancel", "pending"]),
    max_size=10,
)


@settings(max_examples=120)
@given(_MIX, st.integers(0, 3), st.sampled_from([1, 4]), st.sampled_from([None, None, 0, 0xC411]))
def test_whatever_becomes_of_the_instances_the_counts_add_up(
    mix: list[str], undelivered: int, window: int, said: int | None
) -> None:
    made, get, scp = getting(window)
    ours = made.requestor
    delivered = [each for each in mix if each not in ("cancel", "pending")]
    expected = len(delivered) + undelivered
    scp.expect(expected)
    failed = []
    for number, each in enumerate(mix):
        uid = f"1.2.{number}"
        match each:
            case "cancel":
                get.cancel()
                made.run()
                continue
            case "pending":
                scp.send_pending()
                made.run()
                continue
            case "missing":
                scp.record(0xC000, uid)
            case "no context":
                with pytest.raises(LocalProtocolError):
                    scp.store(MR, uid)
                scp.record(0xA700, uid)
            case "withdrawn" if window == 4:
                first, second = made.acceptor.engine.c_store(CT, "1.9"), scp.store(CT, uid)
                second.abandon()
                first.send_data(b"", is_last=True)
                made.run()
                answer(made, 0)
            case "early":
                operation = scp.store(CT, uid)
                made.run()
                ours.engine.unanswered[0].respond(0xA700)  # type: ignore[attr-defined]
                made.run()
                assert operation.was_cut
            case _:
                store(scp, uid)
                made.run()
                assert answer(made, {"good": 0, "warning": 0xB007}.get(each, 0xC000)) == [uid]
        if each not in ("good", "warning"):
            failed.append(uid)
    final = 0xFE00 if scp.cancelled else said
    status = scp.finish(final)
    made.run()
    told = [event.response for event in ours.events if isinstance(event, ResponseReceived)]
    assert [isinstance(response, CGetRSP) for response in told] == [True] * len(told)
    for response in told[:-1]:
        assert (response.status, response.has_data_set) == (0xFF00, False)
        assert sum(_counts(response)) == expected
    good, warned = delivered.count("good"), delivered.count("warning")
    if final:
        assert status == final
    elif good == expected:
        assert status == 0
    else:
        assert status == (0xB000 if good or warned else 0xA702)
    last = told[-1]
    assert (last.status, get.status) == (status, status)
    if status == 0xFE00:
        assert _counts(last) == [undelivered, good, len(failed), warned]
    else:
        assert last.number_of_remaining_suboperations is None
        assert _counts(last) == [good, len(failed) + undelivered, warned]
    raw = ours.events[-1].identifier
    assert (raw is not None) == bool(failed and status)
    if raw is not None:
        assert instances(raw) == failed
    assert (get.over, scp.over) == (True, True)
    for end in (made.requestor, made.acceptor):
        assert (end.engine.state, end.engine.outstanding, end.engine.unanswered) == (State.STA6, (), ())
        assert {timer for timer, _ in end.engine.deadlines()} <= {Timer.OUTPUT_STALL}


def _counts(response: Any) -> list[int]:
    """Those that the response has: remaining, completed, failed, warning."""
    counts = [
        response.number_of_remaining_suboperations,
        response.number_of_completed_suboperations,
        response.number_of_failed_suboperations,
        response.number_of_warning_suboperations,
    ]
    return [count for count in counts if count is not None]


def test_what_was_said_is_of_the_kind_that_was_asked() -> None:
    end, scp = asked()
    scp.expect(1)
    store(scp, INSTANCE)
    [event] = end.send(echo_rq(5))
    event.operation.respond()  # type: ignore[union-attr]
    end.send(store_rsp(1))
    scp.finish()
    assert [type(each) for each in end.said()] == [CStoreRQ, bytes, CEchoRSP, CGetRSP]
    end = asking()
    end.engine.c_get(GET, b"query.")
    event, _ = end.send(store_rq(9), data(3, b"xx"))
    event.operation.respond()  # type: ignore[union-attr]
    assert [type(each) for each in end.said()] == [CGetRQ, bytes, CStoreRSP]
    end.send(ABORT)
    assert event.operation.over  # type: ignore[union-attr]
