"""Messages leave in the order in which they were given, never two interleaved (PS3.8 E.1)."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine_pair import (
    ABORT,
    CT,
    FIND,
    INSTANCE,
    QUERY,
    RELEASE_RQ,
    Scripted,
    acceptor,
    data,
    echo_rq,
    echo_rsp,
    find_rq,
    read,
    requestor,
    store_rq,
    store_rsp,
)
from sansdimse.deviations import Code
from sansdimse.dimse.messages import CCancelRQ, CEchoRQ, CEchoRSP, CFindRQ, CStoreRQ
from sansdimse.errors import LocalProtocolError
from sansdimse.events import Aborted, EchoRequested, SendingAllowed
from sansdimse.limits import Limits
from sansdimse.services.outbox import Outbox
from sansdimse.services.storage import StoreRequest
from sansdimse.ul.items import AsynchronousOperationsWindow
from sansdimse.ul.machine import UpperLayer
from sansdimse.ul.timers import Timer

WINDOW = AsynchronousOperationsWindow(5, 5)


def established(limits: Limits | None = None, maximum_length: int = 16384) -> Scripted:
    return Scripted.established(
        requestor(QUERY, window=WINDOW, limits=limits or Limits()),
        acceptor(QUERY, window=WINDOW, maximum_length=maximum_length),
    )


def store(end: Scripted) -> StoreRequest:
    return end.engine.c_store(CT, INSTANCE)


def asked(end: Scripted, message_id: int) -> EchoRequested:
    [event] = end.send(echo_rq(message_id))
    assert isinstance(event, EchoRequested)
    return event


def test_without_an_open_data_set_everything_goes_at_once() -> None:
    end = established()
    end.engine.c_echo()
    asked(end, 4).operation.respond()
    store(end)
    assert [type(message) for message in end.said()] == [CEchoRQ, CEchoRSP, CStoreRQ]


def test_an_open_data_set_holds_back_requests_and_responses() -> None:
    end = established()
    first = store(end)
    first.send_data(b"aa")
    echo = end.engine.c_echo()
    second, third = store(end), store(end)
    asked(end, 4).operation.respond()
    assert [type(message) for message in end.said()] == [CStoreRQ]
    assert repr(echo) == "<Request 2 on context 1, queued>"
    assert not echo.was_invoked
    assert not second.may_send
    first.send_data(b"bb", is_last=True)
    # The echo goes, and the next store; what is behind that waits again.
    assert [event for event in end.pump() if isinstance(event, SendingAllowed)] == [SendingAllowed(3, second)]
    assert (second.may_send, third.may_send) == (True, False)
    second.send_data(b"cc", is_last=True)
    assert end.pump() == [SendingAllowed(4, third)]
    third.send_data(b"dd", is_last=True)
    said = read(bytes(end.sent) + end.take(0.0))
    content = [message if isinstance(message, bytes) else type(message) for message in said]
    assert content == [CStoreRQ, b"aabb", CEchoRQ, CStoreRQ, b"cc", CStoreRQ, b"dd", CEchoRSP]


VERBS = st.lists(st.sampled_from(["echo", "store", "find", "piece", "last", "answer"]), max_size=20)


@settings(max_examples=60)
@given(VERBS)
def test_what_leaves_is_always_whole_messages_in_order(verbs: list[str]) -> None:
    # ``read`` raises for a command within a data set, or data without command.
    end = established(maximum_length=32)
    expected: list[int] = []
    for verb in verbs:
        opened = [r for r in end.engine.outstanding if isinstance(r, StoreRequest) and r.may_send]
        try:
            if verb == "echo":
                expected.append(end.engine.c_echo().message_id)
            elif verb == "store":
                expected.append(store(end).message_id)
            elif verb == "find":
                expected.append(end.engine.c_find(FIND, b"0123456789" * 7).message_id)
            elif verb == "answer":
                asked(end, 100).operation.respond()
            elif opened:
                opened[0].send_data(b"0123456789" * 7, is_last=verb == "last")
        except LocalProtocolError:
            assert len(end.engine.outstanding) == WINDOW.invoked
        end.pump()
    while opened := [r for r in end.engine.outstanding if isinstance(r, StoreRequest) and r.may_send]:
        opened[0].send_data(b"", is_last=True)
    sent = [message.message_id for message in end.said() if isinstance(message, CEchoRQ | CStoreRQ | CFindRQ)]
    assert sent == expected


def test_the_queue_is_bounded() -> None:
    end = established(Limits(queued_messages=2))
    first = store(end)
    end.engine.c_echo()
    assert end.engine.has_room
    end.engine.c_echo()
    assert not end.engine.has_room
    with pytest.raises(LocalProtocolError, match="2 messages wait behind an open data set already"):
        end.engine.c_echo()
    assert len(end.engine.outstanding) == 3
    asked(end, 4).operation.respond()  # an answer has room all the same
    first.send_data(b"", is_last=True)
    assert end.engine.has_room
    assert end.engine.c_echo().message_id == 4  # none was lost to the refusal


def test_a_peer_that_asks_on_while_its_answers_cannot_leave_is_at_fault() -> None:
    end = established(Limits(queued_messages=2))
    first = store(end)
    for message_id in (1, 2):
        asked(end, message_id).operation.respond()
    first.send_data(b"", is_last=True)  # they leave, so it may go on
    second = store(end)
    for message_id in (3, 4):
        asked(end, message_id).operation.respond()
    [event] = end.send(echo_rq(5))
    assert isinstance(event, Aborted)
    assert event.cause is not None
    assert event.cause.code is Code.WINDOW_EXCEEDED
    end.eof()
    assert second.over


def test_an_answer_in_tiny_pdus_is_one_buffer() -> None:
    """The peer says how long its PDUs are, and shall not say how many objects of ours an answer takes."""
    end = established(maximum_length=8)
    asked(end, 1).operation.respond()
    (buffer,) = end.engine.data_to_send(0.0)
    assert len(buffer) % 14 == 0, "each PDU has two bytes of it"
    assert [type(message) for message in read(bytes(buffer))] == [CEchoRSP]


def test_a_message_that_was_not_begun_can_be_withdrawn() -> None:
    end = established()
    first = store(end)
    echo, second = end.engine.c_echo(), store(end)
    echo.abandon()
    second.abandon()
    assert echo.over
    assert second.over
    first.send_data(b"aa", is_last=True)
    assert end.pump() == []
    assert [type(message) for message in end.said()] == [CStoreRQ, bytes]


def test_an_early_failure_lets_the_next_go() -> None:
    end = established()
    first, second = store(end), store(end)
    first.send_data(b"aa")
    responded, allowed = end.send(store_rsp(1, status=0xA700))
    assert allowed == SendingAllowed(2, second)
    assert type(responded).__name__ == "ResponseReceived"
    second.send_data(b"bb", is_last=True)
    assert [m for m in end.said() if isinstance(m, bytes)] == [b"aa", b"bb"]


@pytest.mark.parametrize(("maximum", "own", "expected"), [(0, 500, 500), (400, 500, 400), (600, 500, 500)])
def test_pdus_are_as_long_as_both_allow(maximum: int, own: int, expected: int) -> None:
    end = established(Limits(own_pdu=own), maximum)
    request = store(end)
    end.take(0.0)
    request.send_data(b"x" * 2000, is_last=True)
    raw = end.take(0.0)
    assert int.from_bytes(raw[2:6], "big") == expected


def test_before_the_association_only_our_own_bound_is_known() -> None:
    outbox = Outbox(UpperLayer(limits=Limits(own_pdu=700), now=0.0))
    assert outbox.maximum_length == 700


def test_the_wait_for_a_response_begins_when_the_bytes_are_taken() -> None:
    end = established()
    key = (Timer.DIMSE_RESPONSE, 1)
    end.engine.c_echo()
    assert key not in end.engine.deadlines()
    end.wait(1000.0)  # nobody took anything
    end.take(end.now)
    assert end.engine.deadlines()[key] == 1060.0
    end.send(echo_rsp(1))
    assert key not in end.engine.deadlines()


def test_of_a_store_it_begins_after_the_data_set() -> None:
    end = established()
    request = store(end)
    request.send_data(b"aa")
    end.take(0.0)
    key = (Timer.DIMSE_RESPONSE, 1)
    assert key not in end.engine.deadlines()
    request.send_data(b"bb", is_last=True)
    end.take(0.0)
    assert end.engine.deadlines()[key] == 60.0


def test_messages_are_counted_when_they_begin() -> None:
    end = established()
    store(end)
    end.engine.c_echo()
    *_, ended = end.send(ABORT)
    assert ended.outcome.messages_sent == 1  # type: ignore[union-attr]
    assert ended.outcome.outstanding == 2  # type: ignore[union-attr]


def test_after_the_peers_release_nothing_follows_an_open_data_set() -> None:
    end = established()
    request = store(end)
    request.send_data(b"", is_last=True)
    event = asked(end, 8)
    end.engine.c_store(CT, INSTANCE).send_data(b"", is_last=True)
    end.engine.c_store(CT, INSTANCE)
    end.engine.c_echo()
    end.send(RELEASE_RQ)
    assert not end.engine._outbox._queue
    event.operation.respond()
    assert [type(message) for message in end.said()][-1] is CStoreRQ


def test_after_the_peers_release_answers_go() -> None:
    end = established()
    event = asked(end, 8)
    end.send(RELEASE_RQ)
    event.operation.respond()
    assert isinstance(end.said()[-1], CEchoRSP)


def test_both_ends_may_be_in_the_middle_of_a_data_set() -> None:
    end = established()
    ours = store(end)
    ours.send_data(b"aa")
    [requested, *_] = end.send(store_rq(9), data(3, b"bb", is_last=False))
    ours.send_data(b"cc", is_last=True)
    end.send(data(3, b"dd"))
    requested.operation.respond()  # type: ignore[union-attr]
    assert [type(message).__name__ for message in end.said()] == ["CStoreRQ", "bytes", "CStoreRSP"]


def test_a_request_with_its_data_set_is_one_unit_and_waits_as_one() -> None:
    end = established()
    first = store(end)
    find = end.engine.c_find(FIND, b"query.")
    find.cancel()
    asked(end, 4).operation.respond()
    assert end.engine._outbox.answers_waiting == 2  # the C-CANCEL as well
    assert end.engine._outbox._bytes_waiting > 6
    first.send_data(b"aa", is_last=True)
    assert (end.engine._outbox.answers_waiting, end.engine._outbox._bytes_waiting) == (0, 0)
    content = [message if isinstance(message, bytes) else type(message) for message in end.said()]
    assert content == [CStoreRQ, b"aa", CFindRQ, b"query.", CCancelRQ, CEchoRSP]


def test_what_is_withdrawn_takes_its_cancel_with_it_and_counts_no_more() -> None:
    end = established()
    first, find = store(end), end.engine.c_find(FIND, b"query.")
    find.cancel()
    find.abandon()
    assert (end.engine._outbox.answers_waiting, end.engine._outbox._bytes_waiting) == (0, 0)
    first.send_data(b"", is_last=True)
    assert [type(message) for message in end.said()] == [CStoreRQ, bytes]


def test_a_cancel_that_waits_is_not_taken_for_its_request() -> None:
    end = established()
    find, open_one = end.engine.c_find(FIND, b"query."), store(end)
    find.cancel()
    find.abandon()
    assert not find.over
    open_one.send_data(b"", is_last=True)
    assert [type(message) for message in end.said()] == [CFindRQ, bytes, CStoreRQ, bytes, CCancelRQ]


def test_requests_that_wait_are_bounded_in_bytes() -> None:
    end = established(Limits(output=1000))
    first = store(end)
    end.engine.c_find(FIND, b"x" * 1000)
    assert not end.engine.has_room
    with pytest.raises(LocalProtocolError, match="1 messages wait behind an open data set already"):
        end.engine.c_echo()
    first.send_data(b"", is_last=True)
    end.engine.c_echo()


@pytest.mark.parametrize("behind", [False, True])
def test_matches_have_room_for_so_many_bytes(behind: bool) -> None:
    end = established(Limits(output_high_water=1000))
    [event] = end.send(find_rq(7))
    first = store(end) if behind else None
    end.take(0.0)
    scp = event.operation  # type: ignore[union-attr]
    for _ in range(3):
        scp.send_match(b"x" * 300)
    before = end.engine.bytes_unsent, end.engine._outbox._bytes_waiting
    assert not end.engine._outbox.has_room
    with pytest.raises(LocalProtocolError, match=r"\d+ bytes are unsent; write"):
        scp.send_match(b"x" * 300)
    assert (end.engine.bytes_unsent, end.engine._outbox._bytes_waiting) == before
    assert end.engine._outbox.answers_waiting == 0  # who asked has one answer coming, however many matches
    scp.finish()
    if first is not None:
        first.send_data(b"", is_last=True)
    end.take(0.0)
    assert end.engine._outbox.has_room


def test_no_more_is_taken_than_the_peer_reads() -> None:
    end = established(Limits(output_high_water=1000, own_pdu=500))
    request = store(end)
    end.take(0.0)
    request.send_data(b"x" * 1600)
    with pytest.raises(LocalProtocolError, match=r"\d+ bytes are unsent; write"):
        request.send_data(b"y")
    end.take(0.0)
    request.send_data(b"y")


def test_what_has_begun_cannot_be_withdrawn() -> None:
    end = established()
    echo = end.engine.c_echo()
    echo.abandon()
    assert [type(message) for message in end.said()] == [CEchoRQ]
    assert not echo.over
