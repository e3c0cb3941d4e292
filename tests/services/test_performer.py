"""What the peer asks: told within the window negotiated, answered once, under a deadline (PS3.7 7.3, 7.5)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine_pair import (
    ABORT,
    CT,
    FIND,
    GET,
    GETTING,
    INSTANCE,
    MOVING,
    MPPS,
    QUERY,
    RELEASE_RQ,
    STEPS,
    Scripted,
    acceptor,
    bytewise,
    command,
    data,
    echo_rq,
    find_rq,
    get_rq,
    joined,
    message,
    move_rq,
    requestor,
    store_rq,
)
from sansdimse.association import Association
from sansdimse.deviations import Code
from sansdimse.dimse.messages import (
    CCancelRQ,
    CEchoRQ,
    CEchoRSP,
    CFindRQ,
    CGetRQ,
    CMoveRQ,
    CStoreRQ,
    CStoreRSP,
    Element,
    NCreateRQ,
    NDeleteRQ,
    NEventReportRQ,
    NSetRQ,
    UnknownCommand,
)
from sansdimse.errors import LocalProtocolError
from sansdimse.events import (
    Aborted,
    CancelRequested,
    DatasetReceived,
    EchoRequested,
    Ended,
    FindRequested,
    GetRequested,
    MoveRequested,
    NormalizedRequested,
    StoreRequested,
    TimedOut,
    UnservableRequested,
)
from sansdimse.limits import Limits
from sansdimse.profile import STRICT
from sansdimse.services.invoker import Invoker
from sansdimse.services.outbox import Outbox
from sansdimse.services.performer import Performer
from sansdimse.services.query import FindSCP
from sansdimse.services.retrieve import GetSCP
from sansdimse.services.sop_classes import STANDARD, private_storage
from sansdimse.uids import VERIFICATION
from sansdimse.ul.items import AsynchronousOperationsWindow
from sansdimse.ul.machine import UpperLayer
from sansdimse.ul.negotiation import propose
from sansdimse.ul.parties import PresentationContext
from sansdimse.ul.pdu import AAbort
from sansdimse.ul.table import State
from sansdimse.ul.timers import Timer

MORE = (QUERY, STEPS, GETTING, MOVING)  # contexts 7, 9, 11, 13


def established(window: int = 1, role: str = "acceptor", **config: Any) -> Scripted:
    """Our side, of which so many requests may be outstanding."""
    if role == "acceptor":
        both = AsynchronousOperationsWindow(window, 1)
        return Scripted.established(acceptor(*MORE, window=both, **config), requestor(*MORE, window=both))
    both = AsynchronousOperationsWindow(1, window)
    return Scripted.established(
        requestor(*MORE, window=both, **config), acceptor(*MORE, window=AsynchronousOperationsWindow(1, 99))
    )


def answer_to(message_id: int, status: int = 0) -> CEchoRSP:
    return CEchoRSP(message_id_being_responded_to=message_id, affected_sop_class_uid=VERIFICATION, status=status)


def fault(events: list[Any]) -> tuple[int, int, Code]:
    aborted = events[-1]
    assert isinstance(aborted, Aborted)
    assert aborted.cause is not None
    return aborted.source, aborted.reason, aborted.cause.code


def ids(events: list[Any]) -> list[int]:
    return [event.request.message_id for event in events]


# ---------------------------------------------------------------- requests


@pytest.mark.parametrize("role", ["acceptor", "requestor"])
def test_either_side_serves(role: str) -> None:
    end = established(role=role)
    [echo] = end.send(echo_rq(0))
    assert isinstance(echo, EchoRequested)
    assert end.engine.unanswered == (echo.operation,)
    echo.operation.respond()
    assert end.said() == [answer_to(0)]
    store, content = end.send(store_rq(0), data(3, b"xx"))
    assert isinstance(store, StoreRequested)
    assert content == DatasetReceived(0, b"xx", True, store.operation)
    store.operation.respond()
    assert end.codes == []


@pytest.mark.parametrize(
    ("raw", "status", "response"),
    [
        (store_rq(7, context_id=1), 0x0122, 0x8001),
        (command(1, UnknownCommand(0x7777, 7, (Element(0x0800, b"\1\1"),))), 0x0211, 0xF777),
        (
            command(1, CFindRQ(message_id=7, affected_sop_class_uid=FIND)),
            0x0122,
            0x8020,
        ),
        (
            command(1, CGetRQ(message_id=7, affected_sop_class_uid=FIND)),
            0x0122,
            0x8010,
        ),
        (command(7, CGetRQ(message_id=7, affected_sop_class_uid=FIND)), 0x0211, 0x8010),
        (command(7, CMoveRQ(message_id=7, affected_sop_class_uid=FIND, move_destination="X")), 0x0211, 0x8021),
        (
            command(3, NDeleteRQ(message_id=7, requested_sop_class_uid=CT, requested_sop_instance_uid="1")),
            0x0211,
            0x8150,
        ),
        (
            command(
                3,
                NEventReportRQ(message_id=7, affected_sop_class_uid=CT, affected_sop_instance_uid="1", event_type_id=1),
            ),
            0x0211,
            0x8100,
        ),
        (command(1, NSetRQ(message_id=7, requested_sop_class_uid=CT, requested_sop_instance_uid="1")), 0x0122, 0x8120),
        (command(9, UnknownCommand(0x0120, 7, (Element(0x0800, b"\1\1"),))), 0x0212, 0x8120),
        (
            command(9, UnknownCommand(0x0140, 7, (Element(0x0800, b"\0\0"), Element(0x1000, b"1" * 130)))),
            0x0117,
            0x8140,
        ),
        (command(3, UnknownCommand(0x0001, 7, (Element(0x0800, b"\0\0"),))), 0x0212, 0x8001),
    ],
)
def test_the_unservable_is_told_and_answered(raw: bytes, status: int, response: int) -> None:
    end = established()
    [event] = end.send(raw)
    assert isinstance(event, UnservableRequested)
    assert event.status == event.operation.status == status
    assert event.text
    assert end.said() == []
    event.operation.respond()
    [answer] = end.said()
    if isinstance(answer, UnknownCommand):
        assert answer.command_field == response
        elements = {element.tag: int.from_bytes(element.value, "little") for element in answer.elements}
        assert elements == {0x0120: 7, 0x0800: 0x0101, 0x0900: status}
    else:
        assert answer.COMMAND_FIELD == response
        assert (answer.status, answer.message_id_being_responded_to) == (status, 7)
    # Its data set, if it announced one, is discarded unseen, and the association goes on.
    if event.request.has_data_set:
        assert not event.operation.over
        assert end.send(data(event.context.id, b"xx")) == []
    assert event.operation.over
    assert len(end.send(echo_rq(8))) == 1


def test_a_repeated_message_id_is_refused_and_the_first_goes_on() -> None:
    end = established(2)
    [first] = end.send(echo_rq(7))
    [second] = end.send(echo_rq(7))
    assert isinstance(second, UnservableRequested)
    assert second.status == 0x0210
    assert end.codes == [Code.MESSAGE_ID_REPEATED]
    second.operation.respond()
    assert end.said() == [answer_to(7, 0x0210)]
    assert (Timer.OPERATION_ANSWER, 7) in end.engine.deadlines()  # of the first
    first.operation.respond()  # type: ignore[union-attr]
    assert end.said() == [answer_to(7)]
    assert end.engine.deadlines() == {}
    [again] = end.send(echo_rq(7))
    assert isinstance(again, EchoRequested)


@pytest.mark.parametrize("pieces", [[b"x" * 12], [b"x" * 10, b"xx"], [b"x" * 4, b"x" * 8, b"x" * 90]])
def test_a_request_with_too_long_an_identifier_is_refused(pieces: list[bytes]) -> None:
    end = established(limits=Limits(identifier=10, attributes=10))
    *before, last = pieces
    asked = command(7, CFindRQ(message_id=7, affected_sop_class_uid=FIND))
    [event] = end.send(asked, *(data(7, piece, is_last=False) for piece in before), data(7, last))
    assert isinstance(event, UnservableRequested)
    assert (event.status, event.text) == (0xA700, "its data set has more than 10 bytes")
    assert (Timer.OPERATION_ANSWER, 7) in end.engine.deadlines()
    event.operation.respond()
    assert event.operation.over
    assert end.engine.deadlines() == {}
    assert isinstance(end.send(find_rq(7, identifier=b"x" * 10))[0], FindRequested)


STEP_UID = {"requested_sop_class_uid": MPPS, "requested_sop_instance_uid": INSTANCE}
WHOLE: list[tuple[Any, type, int]] = [
    (lambda n, identifier: find_rq(n, identifier=identifier), FindRequested, 0xA700),
    (lambda n, identifier: get_rq(n, 11, identifier), GetRequested, 0xA701),
    (lambda n, identifier: move_rq(n, 13, identifier), MoveRequested, 0xA701),
    (
        lambda n, identifier: message(9, NSetRQ(message_id=n, **STEP_UID), identifier),
        NormalizedRequested,
        0x0213,
    ),
]


@pytest.mark.parametrize("cut", ["whole", "bytewise"])
@pytest.mark.parametrize(("raw", "kind", "too_long"), WHOLE)
def test_what_is_told_with_its_whole_data_set(raw: Any, kind: type, too_long: int, cut: str) -> None:
    end = established(limits=Limits(identifier=10, attributes=10, held_data=20))
    if cut == "bytewise":
        end.cut = bytewise
    for message_id in (1, 2):
        [event] = end.send(raw(message_id, b"0123456789"))
        assert type(event) is kind
        told = event.data_set if isinstance(event, NormalizedRequested) else event.identifier  # type: ignore[union-attr]
        assert told == b"0123456789"
        assert type(told) is bytes
        [held] = [end.send(raw(n, b"0123456789")) for n in (message_id + 10,)]
        assert held == []
        for _ in range(2):
            operation: Any = end.engine.unanswered[0]
            (getattr(operation, "finish", None) or operation.respond)(0xA900)
            end.pump()
        assert (end.engine._performer._held, end.engine._performer._held_bytes) == ([], 0)
    [refused] = end.send(raw(3, b"x" * 12))
    assert isinstance(refused, UnservableRequested)
    assert (refused.status, refused.text) == (too_long, "its data set has more than 10 bytes")
    refused.operation.respond()
    assert end.engine.unanswered == ()


def test_what_has_no_data_set_is_told_at_once() -> None:
    end = established()
    [event] = end.send(
        message(9, NCreateRQ(message_id=7, affected_sop_class_uid=MPPS, affected_sop_instance_uid="1.2"))
    )
    assert (type(event), event.data_set) == (NormalizedRequested, None)  # type: ignore[union-attr]
    assert (Timer.OPERATION_ANSWER, 7) in end.engine.deadlines()
    event.operation.respond()  # type: ignore[union-attr]
    create = NCreateRQ(message_id=8, affected_sop_class_uid=MPPS)
    held, asked = end.send(echo_rq(7), message(9, create)), end.engine.unanswered[1]
    assert (len(held), asked.held) == (1, True)
    assert end.engine._performer._held_bytes == 0


def test_a_private_sop_class_has_the_services_that_the_table_says() -> None:
    context = PresentationContext("1.2.3.4", scp=True)
    ours, theirs = acceptor(context), requestor(context)
    image = CStoreRQ(message_id=1, affected_sop_class_uid="1.2.3.4", affected_sop_instance_uid=INSTANCE)
    step = NCreateRQ(message_id=2, affected_sop_class_uid="1.2.3.4")
    for table, refused in ((STANDARD, False), (STANDARD.with_private(private_storage("1.2.3.4")), True)):
        end = Scripted(ours)
        end.engine = Association(ours, now=0.0, sop_classes=table)
        end.engine.transport_opened(0.0)
        end.send(propose(theirs))
        end.engine.accept()
        stored, _ = end.send(message(7, image, b"xx"))
        assert isinstance(stored, StoreRequested)
        stored.operation.respond()
        [created] = end.send(message(7, step))
        assert isinstance(created, UnservableRequested) is refused


def test_a_request_without_message_id_cannot_be_answered() -> None:
    end = established()
    assert fault(end.send(command(1, UnknownCommand(0x0030, None, ())))) == (0, 0, Code.COMMAND_ELEMENT_MISSING)
    assert end.said() == [AAbort(0, 0)]


def test_a_missing_sop_class_is_the_contexts() -> None:
    end = established()
    [event] = end.send(command(1, UnknownCommand(0x0030, 7, (Element(0x0800, b"\1\1"),))))
    assert isinstance(event, EchoRequested)
    assert Code.SOP_CLASS_MISSING in end.codes
    event.operation.respond()
    assert end.said() == [answer_to(7)]


def test_a_data_set_that_may_not_be_is_not_waited_for() -> None:
    end = established()
    announced = command(1, CEchoRQ(message_id=7, affected_sop_class_uid=VERIFICATION))
    index = announced.index(b"\0\0\0\x08\2\0\0\0") + 8
    announced = announced[:index] + b"\0\0" + announced[index + 2 :]
    [event] = end.send(announced)
    assert isinstance(event, EchoRequested)
    assert end.codes == [Code.DATA_SET_FORBIDDEN]
    assert (Timer.OPERATION_ANSWER, 7) in end.engine.deadlines()
    event.operation.respond()
    assert event.operation.over
    assert isinstance(end.send(announced)[0], EchoRequested)  # none came, and the ID is free
    assert end.send(data(1, b"xx")) == []  # or it comes after all, and nobody wants it


@pytest.mark.parametrize("cut", ["whole", "bytewise"])
def test_a_data_set_in_pieces(cut: str) -> None:
    end = established()
    if cut == "bytewise":
        end.cut = bytewise
    events = end.send(store_rq(), data(3, b"abcd", is_last=False), data(3, b"", is_last=False), data(3, b"ef"))
    assert joined(events[1:]) == [DatasetReceived(1, b"abcdef", True, None)]  # type: ignore[arg-type]
    assert [event.is_last for event in events[1:]].count(True) == 1  # type: ignore[union-attr]
    assert events[-1].is_last  # type: ignore[union-attr]


def test_nothing_can_be_answered_after_our_release_request() -> None:
    end = established(role="requestor")
    end.engine.release()
    [event] = end.send(echo_rq())
    assert not event.operation.may_respond  # type: ignore[union-attr]
    with pytest.raises(LocalProtocolError, match="no request can be answered in Sta7"):
        event.operation.respond()  # type: ignore[union-attr]
    assert not event.operation.responded  # type: ignore[union-attr]


def test_after_the_peers_release_request_answers_still_go() -> None:
    end = established()
    [event] = end.send(echo_rq(3))
    end.send(RELEASE_RQ)
    assert end.engine.state is State.STA8
    assert event.operation.may_respond  # type: ignore[union-attr]
    event.operation.respond()  # type: ignore[union-attr]
    assert end.said() == [answer_to(3)]


def test_the_end_ends_all() -> None:
    end = established(2)
    echo, store, piece = end.send(echo_rq(1), store_rq(2), data(3, b"x", is_last=False))
    assert isinstance(piece, DatasetReceived)
    store.operation.respond(0xA700)  # type: ignore[union-attr]
    *_, ended = end.send(ABORT)
    assert isinstance(ended, Ended)
    assert ended.outcome.outstanding == 1  # the store was answered
    assert echo.operation.over  # type: ignore[union-attr]
    assert store.operation.over  # type: ignore[union-attr]


def test_the_end_ends_what_was_refused_and_still_arrives() -> None:
    end = established(2)
    end.send(store_rq(2))
    end.send(data(3, b"", is_last=True))
    [unservable] = end.send(store_rq(2, sop_class=CT))
    assert isinstance(unservable, UnservableRequested)
    unservable.operation.respond()
    end.send(ABORT)
    assert unservable.operation.over


# ---------------------------------------------------------------- cancel


@pytest.mark.parametrize("message_id", [1, 2])
def test_a_cancel_for_nothing_is_ignored(message_id: int) -> None:
    end = established()
    cancel = command(1, CCancelRQ(message_id_being_responded_to=message_id))
    [event] = end.send(echo_rq(1))
    # For an echo there is no C-CANCEL, and no other request is outstanding.
    assert end.send(cancel) == []
    assert end.codes == [Code.CANCEL_UNKNOWN]
    event.operation.respond()  # type: ignore[union-attr]
    assert end.send(cancel) == []
    assert end.said() == [answer_to(1)]


def finding(end: Scripted) -> FindSCP:
    """An outstanding request that can be cancelled."""
    [event] = end.send(find_rq(5))
    assert isinstance(event, FindRequested)
    return event.operation


@pytest.mark.parametrize(("context_id", "codes"), [(7, []), (3, [Code.CANCEL_CONTEXT])])
def test_a_cancel_is_matched_by_message_id_alone(context_id: int, codes: list[Code]) -> None:
    end = established()
    operation = finding(end)
    cancel = command(context_id, CCancelRQ(message_id_being_responded_to=5))
    assert end.send(cancel) == [CancelRequested(5, operation)]
    assert operation.cancelled
    assert end.codes == codes
    operation.finish(0xFE00)
    assert end.send(cancel) == []
    assert end.codes == [*codes, Code.CANCEL_UNKNOWN]


def test_a_cancel_is_told_once() -> None:
    end = established()
    operation = finding(end)
    cancel = command(7, CCancelRQ(message_id_being_responded_to=5))
    assert end.send(cancel, cancel) == [CancelRequested(5, operation)]
    assert end.codes == []


def test_strict_aborts_for_a_cancel_on_another_context() -> None:
    end = established(profile=STRICT)
    finding(end)
    assert fault(end.send(command(3, CCancelRQ(message_id_being_responded_to=5)))) == (0, 0, Code.CANCEL_CONTEXT)


# ---------------------------------------------------------------- the window


def test_what_is_within_the_window_is_told_at_once() -> None:
    end = established(3)
    events = end.send(echo_rq(1), echo_rq(2), echo_rq(3))
    assert ids(events) == [1, 2, 3]
    assert end.codes == []
    for event in reversed(events):
        event.operation.respond()  # type: ignore[union-attr]
    assert end.said() == [answer_to(3), answer_to(2), answer_to(1)]


def test_what_exceeds_the_window_is_told_in_its_turn_with_its_data() -> None:
    end = established(1)
    [first] = end.send(echo_rq(1), store_rq(2), data(3, b"ab", is_last=False), data(3, b"cd"), echo_rq(3))
    assert end.codes == [Code.WINDOW_EXCEEDED] * 2
    held = end.engine.unanswered[1]
    assert held.held
    assert not held.may_respond
    with pytest.raises(LocalProtocolError, match="request 2 is beyond the window negotiated, and not told yet"):
        held.respond()  # type: ignore[attr-defined]
    first.operation.respond()  # type: ignore[union-attr]
    store, *content = end.pump()
    assert ids([store]) == [2]
    assert joined(content) == [DatasetReceived(2, b"abcd", True, None)]  # type: ignore[arg-type]
    assert {type(event.data) for event in content} == {bytes}  # copies, so that nothing of what was read stays alive
    store.operation.respond()
    assert ids(end.pump()) == [3]
    assert [type(message) for message in end.said()] == [CEchoRSP, CStoreRSP]
    end.engine.unanswered[0].respond()  # type: ignore[attr-defined]
    assert end.pump() == []
    assert end.said() == [answer_to(3)]


def test_a_held_request_whose_data_set_still_arrives() -> None:
    end = established(1)
    [first] = end.send(echo_rq(1), store_rq(2), data(3, b"ab", is_last=False))
    first.operation.respond()  # type: ignore[union-attr]
    store, piece = end.pump()
    assert isinstance(store, StoreRequested)
    assert piece == DatasetReceived(2, b"ab", False, store.operation)
    assert end.send(data(3, b"cd")) == [DatasetReceived(2, b"cd", True, store.operation)]
    assert (Timer.OPERATION_ANSWER, 2) in end.engine.deadlines()


def test_an_early_failure_makes_room_at_once() -> None:
    end = established(1)
    [first] = end.send(store_rq(1))
    first.operation.respond(0xA700)  # type: ignore[union-attr]
    assert end.send(data(3, b"x", is_last=False), data(3, b"y"), echo_rq(2))[0].request.message_id == 2  # type: ignore[union-attr]
    assert end.codes == [Code.FRAGMENT_ODD]


def test_an_early_failure_lets_held_requests_be_told() -> None:
    end = established(1)
    [first] = end.send(echo_rq(1), store_rq(2), data(3, b"", is_last=True), store_rq(3))
    first.operation.respond()  # type: ignore[union-attr]
    [second, _] = end.pump()
    second.operation.respond(0xA700)
    [third] = end.pump()
    assert ids([third]) == [3]
    third.operation.respond(0xA700)
    assert end.send(data(3, b"xx")) == []


def test_a_find_beyond_the_window_is_told_with_its_identifier_and_what_became_of_it() -> None:
    end = established(1)
    [first] = end.send(echo_rq(1), find_rq(5, identifier=b"abcd"), echo_rq(6))
    assert end.codes == [Code.WINDOW_EXCEEDED] * 2
    held = end.engine.unanswered[1]
    assert isinstance(held, FindSCP)
    with pytest.raises(LocalProtocolError, match="request 5 is beyond the window negotiated, and not told yet"):
        held.send_match(b"xx")
    # Who was not told of the request is not told of its cancel either.
    assert end.send(command(7, CCancelRQ(message_id_being_responded_to=5))) == []
    first.operation.respond()  # type: ignore[union-attr]
    asked, cancelled = end.pump()
    assert asked.identifier == b"abcd"
    assert asked.operation is held
    assert cancelled == CancelRequested(5, held)
    held.finish(0xFE00)
    assert ids(end.pump()) == [6]


def test_an_identifier_beyond_the_window_counts_as_data_held() -> None:
    end = established(1, limits=Limits(held_data=10))
    [event] = end.send(echo_rq(1), find_rq(2, identifier=b"x" * 10))
    event.operation.respond()  # type: ignore[union-attr]
    end.pump()
    end.send(find_rq(3, identifier=b"x" * 8))  # what was told counts no more
    assert end.engine.state is State.STA6
    assert fault(end.send(find_rq(4, identifier=b"x" * 4))) == (0, 0, Code.WINDOW_EXCEEDED)


@pytest.mark.parametrize("role", ["acceptor", "requestor"])
def test_too_many_beyond_the_window_abort(role: str) -> None:
    end = established(1, role=role, limits=Limits(operations_over_window=3))
    assert len(end.send(*(echo_rq(n) for n in range(1, 5)))) == 1
    assert end.engine.state is State.STA6
    assert fault(end.send(echo_rq(5))) == (0, 0, Code.WINDOW_EXCEEDED)
    assert end.said() == [AAbort(0, 0)]
    [ended] = end.eof()
    assert isinstance(ended, Ended)
    assert ended.outcome.outstanding == 5


@pytest.mark.parametrize("cut", ["whole", "bytewise"])
def test_too_much_data_beyond_the_window_aborts(cut: str) -> None:
    end = established(1, limits=Limits(held_data=10))
    if cut == "bytewise":
        end.cut = bytewise
    end.send(echo_rq(1), store_rq(2), data(3, b"x" * 10, is_last=False))
    assert end.engine.state is State.STA6
    aborted = end.send(data(3, b"yy"))
    assert fault(aborted) == (0, 0, Code.WINDOW_EXCEEDED)
    assert str(aborted[-1].cause) == "more than 10 bytes of data sets beyond the window negotiated"  # type: ignore[union-attr]


def test_data_that_was_told_is_held_no_more() -> None:
    end = established(1, limits=Limits(held_data=10))
    [event] = end.send(echo_rq(1), store_rq(2), data(3, b"x" * 10))
    for message_id in range(3, 9):
        event.operation.respond()  # type: ignore[union-attr]
        event, *_ = end.pump()
        end.send(store_rq(message_id), data(3, b"x" * 10))
    assert end.engine.state is State.STA6


def test_who_asks_on_while_the_answers_cannot_leave_is_at_fault() -> None:
    end = established(1, role="requestor", limits=Limits(queued_messages=2))
    end.engine.c_store(CT, "1.2.3")  # its data set is open, so nothing else can go
    for message_id in (1, 2):
        [event] = end.send(echo_rq(message_id))
        event.operation.respond()  # type: ignore[union-attr]
    assert fault(end.send(echo_rq(3))) == (0, 0, Code.WINDOW_EXCEEDED)


def test_data_held_is_joined() -> None:
    """A byte a piece, each an object of ours, would make a hundred times the limit of it."""
    end = established(1)
    [event] = end.send(echo_rq(1), store_rq(2), *[data(3, b"x", is_last=False)] * 1000)
    event.operation.respond()  # type: ignore[union-attr]
    told, piece = end.pump()
    assert piece == DatasetReceived(2, b"x" * 1000, False, told.operation)
    assert end.send(data(3, b"yy")) == [DatasetReceived(2, b"yy", True, told.operation)]


def test_a_strict_profile_holds_nothing() -> None:
    end = established(1, profile=STRICT)
    end.send(echo_rq(1))
    assert fault(end.send(echo_rq(2))) == (0, 0, Code.WINDOW_EXCEEDED)


def test_what_is_held_ends_with_the_association_untold() -> None:
    end = established(1)
    end.send(echo_rq(1), echo_rq(2))
    _, ended = end.eof()
    assert isinstance(ended, Ended)
    assert ended.outcome.outstanding == 2


@settings(max_examples=60)
@given(st.integers(1, 3), st.lists(st.tuples(st.booleans(), st.integers(1, 4)), max_size=25))
def test_never_more_is_told_than_the_window(window: int, steps: list[tuple[bool, int]]) -> None:
    end = established(window)
    told: list[Any] = []
    sent = answered = 0
    for asks, number in steps:
        if asks and sent - answered < window + 16:
            sent += 1
            told += end.send(echo_rq(sent))
        elif not asks and told:
            told.pop(number % len(told)).operation.respond()
            answered += 1
            told += end.pump()
        assert len(told) == min(window, sent - answered)
        assert len(end.engine.unanswered) == sent - answered
    while told:
        told.pop().operation.respond()
        told += end.pump()
    assert len(end.said()) == sent
    assert end.engine.deadlines() == {}


# ---------------------------------------------------------------- deadlines

OF_4 = (Timer.OPERATION_ANSWER, 4)


def test_a_request_must_be_answered_in_time() -> None:
    end = established()
    end.send(store_rq(4))
    key = (Timer.OPERATION_ANSWER, 4)
    assert key not in end.engine.deadlines()  # not complete yet
    end.wait(10.0)
    end.send(data(3, b"xx"))
    assert end.engine.deadlines()[key] == 610.0
    end.wait(599.0)
    assert end.wait(1.0) == [TimedOut(Timer.OPERATION_ANSWER, 4)]
    assert end.said() == [AAbort(0, 0)]


def test_a_data_set_that_our_user_does_not_take_has_a_deadline_of_his() -> None:
    end = established(limits=Limits(message_completion=None))  # here that goes on: only what is not read holds it up
    [event] = end.send(store_rq(4))
    operation: Any = event.operation  # type: ignore[union-attr]
    end.now = 10.0
    operation.pause()
    end.take(end.now)
    assert end.engine.deadlines()[OF_4] == 610.0
    end.wait(500.0)
    operation.resume()
    assert OF_4 not in end.engine.deadlines()
    end.send(data(3, b"xx", is_last=False))
    operation.pause()
    end.take(end.now)
    end.wait(599.0)
    assert end.wait(1.0) == [TimedOut(Timer.OPERATION_ANSWER, 4)]
    end.eof()
    operation.pause()
    end.take(end.now)
    assert end.engine.deadlines() == {}, "it is over"


def test_a_data_set_that_is_complete_or_not_wanted_needs_none() -> None:
    end = established()
    [event] = end.send(store_rq(4))
    operation: Any = event.operation  # type: ignore[union-attr]
    operation.pause()
    end.send(data(3, b"xx"))
    end.wait(10.0)
    operation.pause()
    operation.resume()
    end.take(end.now)
    assert end.engine.deadlines()[OF_4] == 600.0, "from its complete arrival"
    operation.respond()
    [event] = end.send(store_rq(4))
    operation = event.operation  # type: ignore[union-attr]
    operation.pause()
    operation.respond(0xA700)
    operation.pause()
    operation.resume()
    end.take(end.now)
    assert OF_4 not in end.engine.deadlines()


def test_to_take_more_of_one_does_not_stop_the_deadline_of_another_with_its_message_id() -> None:
    end = established(4)
    [unservable] = end.send(store_rq(4, context_id=1), data(1, b"xx"))
    assert isinstance(unservable, UnservableRequested)
    [event] = end.send(store_rq(4))
    operation: Any = event.operation  # type: ignore[union-attr]
    operation.pause()
    operation.resume()
    end.take(end.now)
    assert OF_4 in end.engine.deadlines()


def test_each_match_restarts_the_wait_for_our_user() -> None:
    end = established()
    operation = finding(end)
    key = (Timer.OPERATION_ANSWER, 5)
    assert end.engine.deadlines()[key] == 600.0
    for _ in range(2):
        end.wait(500.0)
        operation.send_match(b"xx")
        end.take(end.now)
        assert end.engine.deadlines()[key] == end.now + 600.0
    operation.finish()
    end.take(end.now)
    assert end.engine.deadlines() == {}


def test_a_request_that_waits_for_its_turn_has_no_deadline_yet() -> None:
    end = established(1)
    [first] = end.send(echo_rq(1), echo_rq(2))
    end.wait(500.0)
    assert (Timer.OPERATION_ANSWER, 2) not in end.engine.deadlines()
    first.operation.respond()  # type: ignore[union-attr]
    end.pump()
    assert end.engine.deadlines()[(Timer.OPERATION_ANSWER, 2)] == 1100.0


# ---------------------------------------------------------------- sub-operations of a C-GET, and of a C-GET of ours


def getting(**config: Any) -> tuple[Scripted, GetSCP]:
    end = established(2, **config)
    [event] = end.send(get_rq(5, 11))
    assert isinstance(event, GetRequested)
    return end, event.operation


def test_a_sub_operation_shows_life_and_needs_the_state() -> None:
    end, scp = getting()
    scp.expect(2)
    end.wait(500.0)
    stored = scp.store(CT, INSTANCE)
    end.take(end.now)
    assert stored.sub_operation_of is scp
    assert end.engine.deadlines()[(Timer.OPERATION_ANSWER, 5)] == 1100.0
    end.engine.release(force=True)
    with pytest.raises(LocalProtocolError, match="no request can be answered in Sta7"):
        scp.store(CT, INSTANCE)
    assert scp.outstanding == {stored}


@pytest.mark.parametrize("how", ["answered", "lost", "held", "aborted"])
def test_who_shows_life_and_cannot_answer_starts_no_deadline(how: str) -> None:
    end = established(1)
    match how:
        case "held":
            end.send(echo_rq(1), get_rq(5, 11))
        case _:
            end.send(get_rq(5, 11))
    scp = next(operation for operation in end.engine.unanswered if isinstance(operation, GetSCP))
    match how:
        case "answered":
            scp.finish()
        case "lost":
            end.eof()
        case "aborted":
            end.engine.abort()
    end.take(0.0)
    scp.shows_life()
    end.engine.handle_timeout(1.0)
    end.take(1.0)
    assert (Timer.OPERATION_ANSWER, 5) not in end.engine.deadlines()


def test_what_a_peer_stores_for_our_get_moves_our_wait() -> None:
    end = established(2, role="requestor")
    end.engine.c_get(GET, b"query.")
    end.take(0.0)
    key = (Timer.DIMSE_RESPONSE, 1)
    end.wait(10.0)
    first, piece = end.send(store_rq(1), data(3, b"xx", is_last=False))
    assert end.engine.deadlines()[key] == 70.0
    end.send(data(3, b"yy"), store_rq(2), data(3, b"zz", is_last=False))
    assert key not in end.engine.deadlines()
    assert isinstance(piece, DatasetReceived)
    first.operation.respond()  # type: ignore[union-attr]
    end.take(10.0)
    assert key not in end.engine.deadlines()  # the second is on its way
    end.send(data(3, b"zz"))
    end.engine.unanswered[0].respond()  # type: ignore[attr-defined]
    end.take(10.0)
    assert end.engine.deadlines() == {key: 70.0}


def test_the_title_of_who_asks() -> None:
    end = established()
    [event] = end.send(move_rq(5, 13))
    assert event.operation.originator == ("ME", 5)  # type: ignore[union-attr]
    ul = UpperLayer(now=0.0)
    outbox = Outbox(ul)
    performer = Performer(ul, outbox, Invoker(ul, outbox), end.engine.sub_operation, STANDARD)
    with pytest.raises(LocalProtocolError, match="the association is not established"):
        _ = performer.peer_ae_title
