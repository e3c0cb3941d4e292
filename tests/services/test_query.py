"""C-FIND in both roles: whole identifiers, matches, cancel, and what bounds them (PS3.7 9.1.2, 9.3.2)."""

from __future__ import annotations

import tracemalloc
from typing import Any

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
    Pair,
    Scripted,
    acceptor,
    bytewise,
    command,
    data,
    echo_rq,
    find_rq,
    find_rsp,
    found,
    read,
    requestor,
    whole,
)
from sansdimse.association import Association
from sansdimse.deviations import Code
from sansdimse.dimse.messages import (
    CCancelRQ,
    CFindRQ,
    CStoreRQ,
    Element,
    Priority,
    UnknownCommand,
)
from sansdimse.errors import LocalProtocolError
from sansdimse.events import (
    NEED_DATA,
    Aborted,
    CancelRequested,
    FindRequested,
    ResponseReceived,
    SendingAllowed,
    UnservableRequested,
)
from sansdimse.limits import Limits
from sansdimse.profile import STRICT
from sansdimse.services.query import FindRequest, FindSCP
from sansdimse.uids import EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN
from sansdimse.ul.items import AsynchronousOperationsWindow
from sansdimse.ul.parties import Acceptor, PresentationContext, Requestor
from sansdimse.ul.reader import PDVPiece, Reader
from sansdimse.ul.table import State
from sansdimse.ul.timers import Timer

REQUEST = CFindRQ(message_id=1, affected_sop_class_uid=FIND)
WINDOW = AsynchronousOperationsWindow(4, 4)


def asking(**config: Any) -> Scripted:
    config.setdefault("window", WINDOW)
    return Scripted.established(requestor(QUERY, **config), acceptor(QUERY, window=WINDOW))


def asked(identifier: bytes = b"query.", **config: Any) -> tuple[Scripted, FindSCP]:
    end = Scripted.established(acceptor(QUERY, window=WINDOW, **config), requestor(QUERY, window=WINDOW))
    [event] = end.send(find_rq(identifier=identifier))
    assert isinstance(event, FindRequested)
    return end, event.operation


def cause(events: list[Any]) -> tuple[int, int, Code]:
    aborted = events[-1]
    assert isinstance(aborted, Aborted)
    assert aborted.cause is not None
    return aborted.source, aborted.reason, aborted.cause.code


# ---------------------------------------------------------------- both ends


@pytest.mark.parametrize("cut", [whole, bytewise])
def test_two_of_us_ask_and_answer(cut: Any) -> None:
    pair = Pair(requestor(QUERY), acceptor(QUERY), cut=cut)
    pair.establish()
    find = pair.requestor.engine.c_find(FIND, b"query.", priority=Priority.HIGH)
    assert isinstance(find, FindRequest)
    pair.run()
    [event] = pair.acceptor.events
    request = CFindRQ(message_id=1, affected_sop_class_uid=FIND, priority=Priority.HIGH)
    assert event == FindRequested(pair.acceptor.engine.contexts[3], request, b"query.", None)  # type: ignore[arg-type]
    scp = event.operation
    assert pair.acceptor.engine.unanswered == (scp,)
    scp.send_match(b"one.")
    scp.send_match(bytearray(b"two..."), 0xFF01)
    scp.send_match(memoryview(b"three!"))
    scp.finish()
    assert scp.responses == 4
    pair.run()
    assert pair.requestor.events == [
        ResponseReceived(0xFF00, found(1, 0xFF00, has_identifier=True), False, find, b"one."),  # type: ignore[arg-type]
        ResponseReceived(0xFF01, found(1, 0xFF01, has_identifier=True), False, find, b"two..."),  # type: ignore[arg-type]
        ResponseReceived(0xFF00, found(1, 0xFF00, has_identifier=True), False, find, b"three!"),  # type: ignore[arg-type]
        ResponseReceived(0, found(), True, find, None),  # type: ignore[arg-type]
    ]
    assert (find.responses, find.status, find.over, scp.over) == (4, 0, True, True)
    assert pair.requestor.engine.deviations == pair.acceptor.engine.deviations == ()
    assert pair.requestor.engine.outstanding == pair.acceptor.engine.unanswered == ()


def test_both_ends_ask_at_once() -> None:
    pair = Pair(requestor(QUERY), acceptor(QUERY))
    pair.establish()
    finds = [end.engine.c_find(FIND, b"query.") for end in (pair.requestor, pair.acceptor)]
    pair.run()
    for end in (pair.requestor, pair.acceptor):
        [event] = end.events
        event.operation.finish(0xA700, error_comment="not now")
    pair.run()
    for find in finds:
        assert find.status == 0xA700
        assert find.response is not None
        assert find.response.error_comment == "not now"


@settings(max_examples=60)
@given(
    st.lists(st.binary(min_size=1, max_size=200).map(lambda half: half * 2), max_size=5),
    st.sampled_from([8, 20, 128, 16384]),
    st.sampled_from([whole, bytewise]),
)
def test_what_is_found_is_what_was_sent(identifiers: list[bytes], maximum: int, cut: Any) -> None:
    ours = requestor(QUERY, maximum_length=maximum)
    pair = Pair(ours, acceptor(QUERY, maximum_length=maximum), cut=cut)
    pair.establish()
    pair.requestor.engine.c_find(FIND, b"q" * 2 * maximum)
    pair.run()
    [event] = pair.acceptor.events
    assert event.identifier == b"q" * 2 * maximum
    for identifier in identifiers:
        event.operation.send_match(identifier)
    event.operation.finish()
    pair.run()
    assert [event.identifier for event in pair.requestor.events] == [*identifiers, None]
    reader = Reader(Limits(), maximum_length=0)
    reader.feed(bytes(pair.acceptor.sent) + bytes(pair.requestor.sent))
    while (item := reader.next()) is not NEED_DATA:
        assert not isinstance(item, PDVPiece) or item.length % 2 == 0 < item.length <= maximum - 6


# ---------------------------------------------------------------- as SCU


def test_the_request_and_its_identifier_are_one_unit() -> None:
    end = asking()
    store = end.engine.c_store(CT, INSTANCE)
    find = end.engine.c_find(FIND, b"query.")
    assert not find.was_invoked
    store.send_data(b"xx", is_last=True)
    assert find.sent
    assert (Timer.DIMSE_RESPONSE, 2) not in end.engine.deadlines()
    said = [message if isinstance(message, bytes) else type(message) for message in end.said()]
    assert said == [CStoreRQ, b"xx", CFindRQ, b"query."]
    assert end.engine.deadlines()[(Timer.DIMSE_RESPONSE, 2)] == 60.0


@pytest.mark.parametrize("identifier", [b"", b"odd", bytearray(b"odd"), memoryview(b"")])
def test_an_identifier_is_neither_empty_nor_odd(identifier: Any) -> None:
    end, scp = asked()
    with pytest.raises(LocalProtocolError, match=f"an identifier of {len(identifier)} bytes is no encoded data set"):
        scp.send_match(identifier)
    assert end.said() == []
    assert scp.responses == 0
    end = asking()
    with pytest.raises(LocalProtocolError, match=f"an identifier of {len(identifier)} bytes is no encoded data set"):
        end.engine.c_find(FIND, identifier)
    assert end.said() == []
    assert end.engine.outstanding == ()
    assert end.engine.c_find(FIND, b"even").message_id == 1


def test_what_is_given_may_change_afterwards() -> None:
    end, scp = asked()
    match = bytearray(b"match.")
    scp.send_match(match)
    match[:] = b"other!"
    assert end.said()[-1] == b"match."
    end = asking()
    end.engine.c_store(CT, INSTANCE)
    query = bytearray(b"query.")
    end.engine.c_find(FIND, query)
    query[:] = b"other!"
    end.engine.outstanding[0].send_data(b"", is_last=True)  # type: ignore[attr-defined]
    assert end.said()[-1] == b"query."


def test_an_array_of_numbers_is_as_long_as_its_bytes() -> None:
    end = asking()
    end.engine.c_find(FIND, memoryview(b"abcdef").cast("H"))
    assert end.said() == [REQUEST, b"abcdef"]


def test_which_context_it_takes() -> None:
    contexts = [
        PresentationContext(FIND, (IMPLICIT_VR_LITTLE_ENDIAN,)),
        PresentationContext(FIND, (EXPLICIT_VR_LITTLE_ENDIAN,)),
    ]
    config = Requestor("ME", "YOU", contexts, window=WINDOW)
    engine = Scripted.established(config, Acceptor("YOU", [FIND], window=WINDOW)).engine
    assert engine.c_find(FIND, b"query.").context.id == 1
    assert engine.c_find(FIND, b"query.", transfer_syntax_uid=EXPLICIT_VR_LITTLE_ENDIAN).context.id == 3
    assert engine.c_find(FIND, b"query.", context_id=3).context.id == 3
    with pytest.raises(LocalProtocolError, match="no context for CT Image Storage"):
        engine.c_find(CT, b"query.")
    with pytest.raises(LocalProtocolError, match="context 1 is for"):
        engine.c_find(FIND, b"query.", context_id=1, transfer_syntax_uid=EXPLICIT_VR_LITTLE_ENDIAN)
    assert len(engine.outstanding) == 3


def test_a_bad_priority_changes_nothing() -> None:
    end = asking()
    with pytest.raises(LocalProtocolError, match="the priority is 0, 1 or 2"):
        end.engine.c_find(FIND, b"query.", priority=3)
    assert end.engine.outstanding == ()
    assert end.said() == []


@pytest.mark.parametrize(
    ("response", "identifier", "codes"),
    [
        (find_rsp(status=0xFF00), None, [Code.DATA_SET_MISSING]),
        (find_rsp(status=0x0000, identifier=b"more"), b"more", [Code.DATA_SET_FORBIDDEN]),
        (find_rsp(status=0xB001, identifier=b"more"), b"more", [Code.DATA_SET_FORBIDDEN]),
        (find_rsp(status=0xFF01, identifier=b"odd"), b"odd", [Code.FRAGMENT_ODD]),
        (find_rsp(status=0xFF00, identifier=b""), b"", [Code.FRAGMENT_EMPTY]),
    ],
)
def test_an_identifier_more_or_less_is_reported_and_told(
    response: bytes, identifier: bytes | None, codes: list[Code]
) -> None:
    end = asking()
    find = end.engine.c_find(FIND, b"query.")
    [event] = end.send(response)
    assert isinstance(event, ResponseReceived)
    assert event.identifier == identifier
    assert end.codes == codes
    assert find.over is event.is_final
    end = asking(profile=STRICT)
    end.engine.c_find(FIND, b"query.")
    events = end.send(response)
    assert isinstance(events[-1], ResponseReceived) is (codes == [Code.FRAGMENT_EMPTY])


def test_a_response_is_told_when_it_is_complete() -> None:
    end = asking()
    find = end.engine.c_find(FIND, b"query.")
    assert end.send(command(7, found(1, 0xFF00, has_identifier=True)), data(7, b"ma", is_last=False)) == []
    assert end.send(data(7, b"", is_last=False)) == []
    [event] = end.send(data(7, b"tch."))
    assert event == ResponseReceived(0xFF00, found(1, 0xFF00, has_identifier=True), False, find, b"match.")  # type: ignore[arg-type]
    assert type(event.identifier) is bytes  # a view would keep all that was read with it


@pytest.mark.parametrize("cut", [whole, bytewise])
@pytest.mark.parametrize("abandons", [False, True])
def test_a_response_that_is_too_long_is_a_fault(cut: Any, abandons: bool) -> None:
    end = asking(limits=Limits(identifier=10))
    end.cut = cut
    find = end.engine.c_find(FIND, b"query.")
    assert len(end.send(find_rsp(status=0xFF00, identifier=b"x" * 10))) == 1
    if abandons:
        find.abandon()
    assert cause(end.send(find_rsp(status=0xFF00, identifier=b"x" * 12))[-1:]) == (0, 0, Code.DATA_SET_TOO_LONG)


def test_of_what_was_abandoned_nothing_is_kept() -> None:
    end = asking()
    find = end.engine.c_find(FIND, b"query.")
    end.send(command(7, found(1, 0xFF00, has_identifier=True)), data(7, b"ma", is_last=False))
    find.abandon()
    end.send(data(7, b"tch.", is_last=False))
    arriving = end.engine._invoker._arriving
    assert arriving is not None
    assert arriving.data == b"ma"
    assert end.send(data(7, b"")) == []
    assert end.send(find_rsp(status=0xFE00)) == []
    assert find.over
    assert find.responses == 2


@pytest.mark.parametrize("how", ["abort", "release"])
def test_the_end_in_the_middle_of_a_response(how: str) -> None:
    end = asking()
    find = end.engine.c_find(FIND, b"query.")
    end.send(command(7, found(1, 0, has_identifier=True)), data(7, b"ma", is_last=False))
    end.send(ABORT if how == "abort" else RELEASE_RQ)
    assert find.over
    assert find.status is None
    assert find.response is None


def test_responses_of_a_store_and_a_find_side_by_side() -> None:
    """C-STORE has its own limit, and keeps it whatever is found beside it."""
    limits = Limits(message=20, identifier=40)
    end = Scripted.established(
        acceptor(QUERY, window=WINDOW, limits=limits), requestor(QUERY, window=AsynchronousOperationsWindow(4, 4))
    )
    end.engine.c_find(FIND, b"query.")
    assert len(end.send(find_rsp(status=0xFF00, identifier=b"x" * 30))) == 1
    assert len(end.send(find_rq(identifier=b"x" * 30))) == 1
    store = CStoreRQ(message_id=5, affected_sop_class_uid=CT, affected_sop_instance_uid=INSTANCE)
    assert cause(end.send(command(3, store), data(3, b"x" * 30))) == (0, 0, Code.DATA_SET_TOO_LONG)


# ---------------------------------------------------------------- as SCP


def test_what_a_match_may_not_be() -> None:
    end, scp = asked()
    for status in (0x0000, 0xFE00, 0xB000, 0xA700):
        with pytest.raises(LocalProtocolError, match=f"FF00 or FF01, not with 0x{status:04X}"):
            scp.send_match(b"xx", status)
    for status in (0xFF00, 0xFF01):
        with pytest.raises(LocalProtocolError, match=f"request 1 ends with a final status, and not 0x{status:04X}"):
            scp.finish(status)
    with pytest.raises(LocalProtocolError, match="error_comment is at most 64"):
        scp.finish(0xC001, error_comment="x" * 65)
    assert end.said() == []
    assert scp.responses == 0
    scp.finish(0xC001, error_comment="sorry", offending_element=(0x00100020,))
    [response] = end.said()
    assert response.offending_element == (0x00100020,)
    for verb in (lambda: scp.send_match(b"xx"), scp.finish):
        with pytest.raises(LocalProtocolError, match="request 1 was answered already"):
            verb()
    assert end.said() == []


def test_nothing_is_told_before_the_identifier_is_complete() -> None:
    end = Scripted.established(acceptor(QUERY), requestor(QUERY))
    assert end.send(command(7, REQUEST), data(7, b"qu", is_last=False)) == []
    assert end.engine.unanswered == ()
    assert (Timer.OPERATION_ANSWER, 1) not in end.engine.deadlines()
    [event] = end.send(data(7, b"ery."))
    assert isinstance(event, FindRequested)
    assert event.identifier == b"query."
    assert type(event.identifier) is bytes
    assert (Timer.OPERATION_ANSWER, 1) in end.engine.deadlines()


@pytest.mark.parametrize("cut", [whole, bytewise])
@pytest.mark.parametrize("pieces", [[b"x" * 12], [b"x" * 10, b"yy", b"z" * 20], [b"x" * 10, b"yy"]])
def test_a_request_that_is_too_long_is_refused_and_the_association_goes_on(cut: Any, pieces: list[bytes]) -> None:
    end = Scripted.established(acceptor(QUERY, limits=Limits(identifier=10)), requestor(QUERY))
    end.cut = cut
    raw = [data(7, piece, is_last=False) for piece in pieces]
    [event] = end.send(command(7, REQUEST), *raw)
    assert isinstance(event, UnservableRequested)
    assert (event.status, event.text) == (0xA700, "its data set has more than 10 bytes")
    assert not event.operation.data_complete
    event.operation.respond()
    assert end.said() == [found(1, 0xA700)]
    assert end.send(data(7, b"x" * 100, is_last=False), data(7, b"")) == []
    assert event.operation.over
    [again] = end.send(find_rq(1, identifier=b"x" * 10))
    assert isinstance(again, FindRequested)


def test_a_request_that_is_too_long_in_one_piece() -> None:
    end = Scripted.established(acceptor(QUERY, limits=Limits(identifier=10)), requestor(QUERY))
    [event] = end.send(find_rq(1, identifier=b"x" * 12))
    assert event.operation.data_complete  # type: ignore[union-attr]
    assert (Timer.OPERATION_ANSWER, 1) in end.engine.deadlines()
    event.operation.respond()  # type: ignore[union-attr]
    assert event.operation.over  # type: ignore[union-attr]


def test_a_request_without_identifier_is_unservable() -> None:
    end = Scripted.established(acceptor(QUERY), requestor(QUERY))
    elements = (Element(0x0002, FIND.encode() + b"\0" * (len(FIND) % 2)), Element(0x0800, b"\1\1"))
    [event] = end.send(command(7, UnknownCommand(0x0020, 1, elements)))
    assert isinstance(event, UnservableRequested)
    assert (event.status, event.text) == (0x0212, "C-FIND lacks data set")


def test_the_end_in_the_middle_of_an_identifier() -> None:
    end = Scripted.established(acceptor(QUERY), requestor(QUERY))
    end.send(command(7, REQUEST), data(7, b"qu", is_last=False))
    *_, ended = end.send(ABORT)
    assert ended.outcome.outstanding == 0  # type: ignore[union-attr]
    assert end.engine._performer._arriving is None


def test_a_cancel_is_told_and_matches_may_still_come() -> None:
    end, scp = asked()
    scp.send_match(b"one.")
    [event] = end.send(command(7, CCancelRQ(message_id_being_responded_to=1)))
    assert event == CancelRequested(1, scp)
    assert scp.cancelled
    scp.send_match(b"two.")
    scp.finish(0xFE00)
    pending = found(1, 0xFF00, has_identifier=True)
    assert end.said() == [pending, b"one.", pending, b"two.", found(1, 0xFE00)]


def test_a_cancel_that_crosses_the_final_response_has_no_effect() -> None:
    end, scp = asked()
    scp.finish()
    assert end.send(command(7, CCancelRQ(message_id_being_responded_to=1))) == []
    assert not scp.cancelled
    assert end.codes == [Code.CANCEL_UNKNOWN]


def test_after_the_peers_release_request_matches_still_go() -> None:
    end, scp = asked()
    end.send(RELEASE_RQ)
    scp.send_match(b"one.")
    scp.finish()
    end.engine.respond_release()
    assert [type(said).__name__ for said in end.said()] == ["CFindRSP", "bytes", "CFindRSP", "AReleaseRP"]


def test_after_our_release_request_no_match_goes() -> None:
    end, scp = asked()
    end.engine.release(force=True)
    assert not scp.may_respond
    end.said()
    with pytest.raises(LocalProtocolError, match="no request can be answered in Sta7"):
        scp.send_match(b"one.")
    assert end.said() == []
    assert scp.responses == 0


# ---------------------------------------------------------------- back-pressure


def test_matches_are_bounded_by_what_the_peer_takes() -> None:
    end, scp = asked(limits=Limits(output_high_water=1000))
    sent = 0
    while scp.has_room:
        scp.send_match(b"x" * 300)
        sent += 1
    assert 1000 <= end.engine.bytes_unsent < 1600
    before = end.engine.bytes_unsent
    with pytest.raises(LocalProtocolError, match=f"{before} bytes are unsent; write what data_to_send gives"):
        scp.send_match(b"x" * 300)
    assert (end.engine.bytes_unsent, scp.responses) == (before, sent)
    assert end.engine.data_to_send(0.0)
    assert not scp.has_room  # given, and not known to be written
    end.engine.data_to_send(0.0)
    assert scp.has_room
    scp.send_match(b"x" * 300)
    scp.finish()  # the final response always has room


def test_matches_behind_an_open_data_set_of_ours_are_bounded_too() -> None:
    end, scp = asked(limits=Limits(output_high_water=1000, queued_messages=2))
    store = end.engine.c_store(CT, INSTANCE)
    end.take(0.0)
    while scp.has_room:
        scp.send_match(b"x" * 300)
    assert end.engine.bytes_unsent == 0
    with pytest.raises(LocalProtocolError, match=r"\d+ bytes are unsent"):
        scp.send_match(b"x" * 300)
    assert len(end.send(echo_rq(9))) == 1  # matches are no answers that the peer asks for in vain
    assert not any(isinstance(event, Aborted) for event in end.events)
    store.send_data(b"", is_last=True)
    assert end.engine._outbox._bytes_waiting == 0
    assert end.take(0.0)
    assert scp.has_room


def test_identifiers_behind_an_open_data_set_are_bounded() -> None:
    end = asking(limits=Limits(output=1000), window=AsynchronousOperationsWindow(9, 1))
    store = end.engine.c_store(CT, INSTANCE)
    end.engine.c_find(FIND, b"x" * 2000)
    with pytest.raises(LocalProtocolError, match="1 messages wait behind an open data set already"):
        end.engine.c_find(FIND, b"x" * 2000)
    store.send_data(b"", is_last=True)
    assert end.engine.c_find(FIND, b"x" * 2000).sent


def test_a_store_behind_a_find_is_told_its_turn() -> None:
    end = asking()
    first = end.engine.c_store(CT, INSTANCE)
    find, second = end.engine.c_find(FIND, b"query."), end.engine.c_store(CT, INSTANCE)
    find.cancel()
    first.send_data(b"xx", is_last=True)
    assert end.pump() == [SendingAllowed(3, second)]
    second.send_data(b"yy", is_last=True)
    said = read(bytes(end.sent) + end.take(0.0))
    assert [s if isinstance(s, bytes) else type(s) for s in said] == [
        CStoreRQ,
        b"xx",
        CFindRQ,
        b"query.",
        CStoreRQ,
        b"yy",
        CCancelRQ,
    ]


def test_memory_is_flat_for_many_matches_in_both_roles() -> None:
    """20,000 matches of 512 bytes: ten megabytes, of which the SCP holds its high water and the SCU one."""
    matches, size = 20_000, 512
    limits = Limits(output_high_water=64 * 1024)
    ours, theirs = requestor(QUERY), acceptor(QUERY, limits=limits)
    pair = Pair(ours, theirs)
    pair.establish()
    pair.requestor.engine.c_find(FIND, b"query.")
    pair.run()
    scu, scp = pair.requestor.engine, pair.acceptor.engine
    operation: FindSCP = pair.acceptor.events[0].operation
    identifier = bytes(size)
    tracemalloc.start()
    received = sent = 0
    while received < matches + 1:
        while operation.has_room and sent < matches:
            operation.send_match(identifier)
            sent += 1
        if sent == matches and not operation.responded:
            operation.finish()
        received += _move(scp, scu)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert operation.over
    assert peak < 1 << 20


def _move(sender: Association, receiver: Association) -> int:
    received = 0
    while buffers := sender.data_to_send(0.0):
        receiver.receive_data(b"".join(buffers), 0.0)
        while (event := receiver.next_event()) is not NEED_DATA:
            assert isinstance(event, ResponseReceived)
            received += 1
    return received


# ---------------------------------------------------------------- any order


@settings(max_examples=80)
@given(st.lists(st.sampled_from(["match", "cancel", "finish", "fail", "take", "abandon"]), max_size=12))
def test_whatever_the_order_it_ends_once_and_nothing_is_lost(steps: list[str]) -> None:
    pair = Pair(requestor(QUERY), acceptor(QUERY))
    pair.establish()
    find = pair.requestor.engine.c_find(FIND, b"query.")
    pair.run()
    scp: FindSCP = pair.acceptor.events[0].operation
    sent = 0
    for step in steps:
        try:
            match step:
                case "match":
                    scp.send_match(b"match.")
                    sent += 1
                case "cancel":
                    find.cancel()
                case "abandon":
                    find.abandon()
                case "finish":
                    scp.finish(0xFE00 if scp.cancelled else 0)
                case "fail":
                    scp.finish(0xC001)
                case "take":
                    pair.run()
        except LocalProtocolError:
            assert scp.responded or find.over
    abandoned = find.abandoned
    if not scp.responded:
        scp.finish()
    pair.run()
    told = [event for event in pair.requestor.events if isinstance(event, ResponseReceived)]
    assert find.over
    assert scp.over
    assert find.responses == scp.responses == sent + 1
    assert abandoned or len(told) == sent + 1
    assert [event.is_final for event in told].count(True) == (not abandoned)
    assert [type(e).__name__ for e in pair.acceptor.events].count("CancelRequested") == scp.cancelled
    assert pair.requestor.engine.state is pair.acceptor.engine.state is State.STA6
    assert {timer for timer, _ in pair.requestor.engine.deadlines()} <= {Timer.OUTPUT_STALL}
