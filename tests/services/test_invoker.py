"""What we ask: message IDs, windows, whose response is whose, cancel and abandon (PS3.7 7.5, 9.1)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine_pair import (
    CT,
    FIND,
    GET,
    GETTING,
    INSTANCE,
    MPPS,
    QUERY,
    RELEASE_RQ,
    STEPS,
    Scripted,
    acceptor,
    command,
    data,
    echo_rsp,
    find_rsp,
    found,
    get_rq,
    get_rsp,
    requestor,
    store_rq,
    store_rsp,
)
from sansdimse.deviations import Code
from sansdimse.dimse.messages import (
    CCancelRQ,
    CEchoRQ,
    CEchoRSP,
    CStoreRQ,
    CStoreRSP,
    Element,
    NCreateRSP,
    NGetRSP,
    NSetRSP,
    UnknownCommand,
)
from sansdimse.errors import LocalProtocolError
from sansdimse.events import Aborted, Ended, ResponseReceived, TimedOut
from sansdimse.limits import Limits
from sansdimse.outcome import OutcomeKind
from sansdimse.profile import LENIENT, STRICT
from sansdimse.services.invoker import Invoker
from sansdimse.services.outbox import Outbox
from sansdimse.services.query import FindRequest
from sansdimse.uids import VERIFICATION
from sansdimse.ul.items import AsynchronousOperationsWindow
from sansdimse.ul.machine import UpperLayer
from sansdimse.ul.pdu import AAbort
from sansdimse.ul.table import State
from sansdimse.ul.timers import Timer

MORE = (QUERY, GETTING, STEPS)  # contexts 7, 9, 11


def established(invoked: int = 1, **config: Any) -> Scripted:
    window, wide = AsynchronousOperationsWindow(invoked, 1), AsynchronousOperationsWindow(9, 9)
    return Scripted.established(requestor(*MORE, window=window, **config), acceptor(*MORE, window=wide))


def find(end: Scripted) -> FindRequest:
    """A request that can be cancelled and has several responses."""
    return end.engine.c_find(FIND, b"query.")


def answer_to(message_id: int) -> CEchoRSP:
    return CEchoRSP(message_id_being_responded_to=message_id, affected_sop_class_uid=VERIFICATION, status=0)


def fault(events: list[Any]) -> tuple[int, int, Code]:
    [aborted] = events
    assert isinstance(aborted, Aborted)
    assert aborted.cause is not None
    return aborted.source, aborted.reason, aborted.cause.code


# ---------------------------------------------------------------- message IDs and the window


def test_ids_count_up() -> None:
    end = established()
    for message_id in (1, 2, 3):
        assert end.engine.c_echo().message_id == message_id
        end.send(echo_rsp(message_id))


def test_ids_wrap_and_skip_what_is_outstanding() -> None:
    end = established(0)
    first = end.engine.c_echo()
    end.engine._invoker._last_id = 65533
    assert [end.engine.c_echo().message_id for _ in range(4)] == [65534, 65535, 2, 3]
    end.send(echo_rsp(1))
    assert first.over
    end.engine._invoker._last_id = 65535
    assert end.engine.c_echo().message_id == 1


@settings(max_examples=60)
@given(st.lists(st.booleans(), max_size=30), st.integers(1, 4), st.randoms(use_true_random=False))
def test_ids_are_unique_among_those_outstanding(invokes: list[bool], window: int, chance: Any) -> None:
    end = established(window)
    end.engine._invoker._last_id = 65530
    for invoke in invokes:
        outstanding = [request.message_id for request in end.engine.outstanding]
        assert end.engine.has_room == (len(outstanding) < window)
        if invoke and end.engine.has_room:
            assert end.engine.c_echo().message_id not in outstanding
        elif outstanding and not invoke:
            end.send(echo_rsp(chance.choice(outstanding)))
    assert len({request.message_id for request in end.engine.outstanding}) == len(end.engine.outstanding)
    assert all(1 <= request.message_id <= 65535 for request in end.engine.outstanding)


def test_the_window_is_kept() -> None:
    end = established(2)
    end.engine.c_echo()
    end.engine.c_store(CT, INSTANCE)
    end.said()
    with pytest.raises(LocalProtocolError, match=r"at most 2 of our .*: <Request 1 .*, sent>, <StoreRequest 2 .*, que"):
        end.engine.c_echo()
    assert end.said() == []
    assert not end.engine.has_room
    end.send(echo_rsp(1))
    assert end.engine.has_room


def test_what_cannot_be_encoded_takes_no_id() -> None:
    end = established()
    with pytest.raises(LocalProtocolError, match="affected_sop_instance_uid is a UID"):
        end.engine.c_store(CT, "not a UID")
    assert end.engine.outstanding == ()
    assert end.said() == []
    assert end.engine.c_echo().message_id == 1


def test_nothing_can_be_invoked_without_association() -> None:
    ul = UpperLayer(now=0.0)
    invoker = Invoker(ul, Outbox(ul))
    assert not invoker.has_room
    with pytest.raises(LocalProtocolError, match="no operation can be invoked in Sta1"):
        invoker.new_id()


# ---------------------------------------------------------------- whose response is whose


@pytest.mark.parametrize("order", [[1, 2, 3], [3, 1, 2], [2, 3, 1]])
def test_responses_in_any_order(order: list[int]) -> None:
    end = established(3)
    requests = {request.message_id: request for request in [end.engine.c_echo() for _ in range(3)]}
    for message_id in order:
        assert end.send(echo_rsp(message_id)) == [
            ResponseReceived(0, answer_to(message_id), True, requests[message_id])  # type: ignore[arg-type]
        ]
        assert requests[message_id].over
        assert requests[message_id].status == 0
    assert end.codes == []


@pytest.mark.parametrize("config", [requestor(), acceptor()], ids=["requestor", "acceptor"])
@pytest.mark.parametrize(
    "response", [echo_rsp(), store_rsp(), command(1, UnknownCommand(0x8777, None, ())), echo_rsp(status=0xFF00)]
)
def test_a_response_to_nothing_is_ignored(config: Any, response: bytes) -> None:
    end = Scripted.established(config)
    assert end.send(response) == []
    assert Code.RESPONSE_UNSOLICITED in end.codes
    assert end.said() == []


def test_a_response_that_came_again_is_ignored() -> None:
    end = established()
    end.engine.c_echo()
    end.send(echo_rsp(1))
    second = end.engine.c_echo()
    assert end.send(echo_rsp(1)) == []
    assert end.codes == [Code.RESPONSE_UNSOLICITED]
    assert not second.over
    assert len(end.send(echo_rsp(2))) == 1


def test_an_early_response_that_came_again_is_ignored() -> None:
    end = established()
    store = end.engine.c_store(CT, INSTANCE)
    assert len(end.send(store_rsp())) == 1
    assert end.send(store_rsp(status=0xA700)) == []
    assert end.codes == [Code.RESPONSE_UNSOLICITED]
    assert store.status == 0
    assert not store.was_cut


def test_strict_aborts_for_an_unsolicited_response() -> None:
    end = established(profile=STRICT)
    assert fault(end.send(echo_rsp())) == (0, 0, Code.RESPONSE_UNSOLICITED)


WRONG_ID = [
    echo_rsp(9),
    command(1, UnknownCommand(0x8030, None, (Element(0x0900, b"\0\0"), Element(0x0800, b"\1\1")))),
]


@pytest.mark.parametrize("response", WRONG_ID, ids=["wrong", "missing"])
def test_a_wrong_id_aborts(response: bytes) -> None:
    end = established()
    end.engine.c_echo()
    end.said()
    assert fault(end.send(response)) == (0, 0, Code.RESPONSE_ID)
    assert end.said() == [AAbort(0, 0)]


@pytest.mark.parametrize("response", WRONG_ID, ids=["wrong", "missing"])
def test_lenient_takes_a_wrong_id_if_one_is_outstanding(response: bytes) -> None:
    end = established(2, profile=LENIENT)
    echo = end.engine.c_echo()
    [event] = end.send(response)
    assert isinstance(event, ResponseReceived)
    assert echo.over
    assert Code.RESPONSE_ID in end.codes
    end.engine.c_echo()
    end.engine.c_echo()
    assert fault(end.send(response)) == (0, 0, Code.RESPONSE_ID)


def test_a_response_to_what_was_not_sent_yet_is_nobodys() -> None:
    end = established(2)
    end.engine.c_store(CT, INSTANCE)
    end.engine.c_echo()
    assert fault(end.send(echo_rsp(2))) == (0, 0, Code.RESPONSE_ID)


def test_a_wrong_context_aborts_and_lenient_takes_it() -> None:
    end = established()
    end.engine.c_echo()
    assert fault(end.send(echo_rsp(1, context_id=3))) == (0, 0, Code.RESPONSE_CONTEXT)
    end = established(profile=LENIENT)
    end.engine.c_echo()
    assert len(end.send(echo_rsp(1, context_id=3))) == 1
    assert end.codes == [Code.RESPONSE_CONTEXT]


@pytest.mark.parametrize(
    ("response", "profile"),
    [
        (store_rsp(1), None),
        (command(1, NGetRSP(message_id_being_responded_to=1, status=0)), None),
        (command(1, UnknownCommand(0x8777, None, ())), LENIENT),
    ],
)
def test_a_wrong_command_aborts(response: bytes, profile: Any) -> None:
    end = established(**({} if profile is None else {"profile": profile}))
    end.engine.c_echo()
    assert fault(end.send(response)) == (0, 0, Code.RESPONSE_COMMAND)


def test_a_response_without_status_is_no_success() -> None:
    end = established()
    echo = end.engine.c_echo()
    response = UnknownCommand(0x8030, None, (Element(0x0120, b"\1\0"), Element(0x0800, b"\1\1")))
    assert fault(end.send(command(1, response))) == (0, 0, Code.COMMAND_ELEMENT_MISSING)
    assert echo.status is None


def test_uids_may_be_left_out() -> None:
    end = established()
    end.engine.c_echo()
    assert len(end.send(command(1, CEchoRSP(message_id_being_responded_to=1, status=0)))) == 1
    end.engine.c_store(CT, INSTANCE).send_data(b"", is_last=True)
    assert len(end.send(command(3, CStoreRSP(message_id_being_responded_to=2, status=0)))) == 1
    assert set(end.codes) == {Code.RESPONSE_UID_MISSING}


def test_uids_that_differ_are_reported() -> None:
    end = established()
    end.engine.c_store(CT, INSTANCE).send_data(b"", is_last=True)
    response = CStoreRSP(
        message_id_being_responded_to=1, affected_sop_class_uid=CT, affected_sop_instance_uid="1.9", status=0
    )
    assert len(end.send(command(3, response))) == 1
    assert [str(d).split(" (")[0] for d in end.engine.deviations] == ["response-uid-differs: 1.9 for 1.2.3.4"]


def test_pending_to_an_echo_is_reported_and_the_echo_goes_on() -> None:
    end = established()
    echo = end.engine.c_echo()
    end.take(0.0)
    end.wait(50.0)
    assert end.send(echo_rsp(1, status=0xFF00)) == []
    assert end.codes == [Code.STATUS_PENDING_UNEXPECTED]
    assert not echo.over
    assert end.engine.deadlines()[(Timer.DIMSE_RESPONSE, 1)] == 110.0
    assert len(end.send(echo_rsp(1))) == 1


def test_pending_while_the_data_set_goes_out_starts_no_wait() -> None:
    end = established()
    end.engine.c_store(CT, INSTANCE)
    assert end.send(store_rsp(status=0xFF00)) == []
    assert (Timer.DIMSE_RESPONSE, 1) not in end.engine.deadlines()


def test_a_data_set_with_a_response_that_may_have_none_is_swallowed() -> None:
    end = established()
    end.engine.c_echo()
    response = CEchoRSP(message_id_being_responded_to=1, affected_sop_class_uid=VERIFICATION, status=0)
    raw = bytearray(command(1, response))
    index = raw.index(b"\0\0\0\x08\2\0\0\0") + 8
    raw[index : index + 2] = b"\0\0"
    assert len(end.send(bytes(raw))) == 1
    assert end.send(data(1, b"xx")) == []
    assert end.engine.state is State.STA6
    assert end.codes == [Code.DATA_SET_FORBIDDEN]


# ---------------------------------------------------------------- deadlines


def test_no_response_in_time_aborts() -> None:
    end = established(2)
    end.engine.c_echo()
    end.take(0.0)
    end.wait(30.0)
    end.engine.c_echo()
    end.take(30.0)
    assert end.engine.next_timeout() == 60.0
    assert end.wait(30.0) == [TimedOut(Timer.DIMSE_RESPONSE, 1)]
    assert end.said() == [AAbort(0, 0)]
    assert end.engine.outcome is not None
    assert end.engine.outcome.timer is Timer.DIMSE_RESPONSE


def test_each_pending_response_restarts_the_wait() -> None:
    end = established()
    operation = find(end)
    end.take(0.0)
    for count in range(1, 4):
        end.wait(40.0)
        [event] = end.send(find_rsp(status=0xFF00, identifier=b"match."))
        assert isinstance(event, ResponseReceived)
        assert not event.is_final
        assert operation.responses == count
        assert end.engine.deadlines()[(Timer.DIMSE_RESPONSE, 1)] == end.now + 60.0
    end.send(find_rsp())
    assert operation.over
    assert (Timer.DIMSE_RESPONSE, 1) not in end.engine.deadlines()


def test_each_piece_of_a_response_restarts_the_wait() -> None:
    end = established()
    operation = find(end)
    end.take(0.0)
    end.wait(40.0)
    end.send(command(7, found(1, 0, has_identifier=True)))  # final, but not all of it is here
    assert end.engine.deadlines()[(Timer.DIMSE_RESPONSE, 1)] == 100.0
    end.wait(40.0)
    end.send(data(7, b"x", is_last=False))
    assert end.engine.deadlines()[(Timer.DIMSE_RESPONSE, 1)] == 140.0
    assert not operation.over
    end.send(data(7, b"y"))
    assert operation.over
    assert end.engine.deadlines() == {}


# ---------------------------------------------------------------- cancel and abandon


def test_only_what_has_a_cancel_can_be_cancelled() -> None:
    end = established()
    echo = end.engine.c_echo()
    end.said()
    with pytest.raises(LocalProtocolError, match="there is no C-CANCEL for a CEchoRQ"):
        echo.cancel()
    assert end.said() == []


def test_cancel_goes_on_the_requests_context_and_the_response_still_comes() -> None:
    end = established()
    operation = find(end)
    end.take(0.0)
    operation.cancel()
    assert operation.cancelled
    operation.cancel()  # once is enough
    assert end.take(0.0) == command(7, CCancelRQ(message_id_being_responded_to=1))
    [event] = end.send(find_rsp(status=0xFE00))
    assert isinstance(event, ResponseReceived)
    with pytest.raises(LocalProtocolError, match="CFindRQ 1 is over"):
        operation.cancel()
    operation.abandon()
    assert not operation.abandoned


def test_cancel_waits_for_an_open_data_set() -> None:
    end = established(2)
    operation = find(end)
    store = end.engine.c_store(CT, INSTANCE)
    end.take(0.0)
    operation.cancel()
    assert end.take(0.0) == b""
    store.send_data(b"xx", is_last=True)
    assert end.take(0.0).endswith(command(7, CCancelRQ(message_id_being_responded_to=1)))


def test_a_find_that_was_not_sent_is_withdrawn_with_its_cancel() -> None:
    end = established(3)
    store, echo, operation = end.engine.c_store(CT, INSTANCE), end.engine.c_echo(), find(end)
    operation.cancel()
    operation.abandon()
    assert operation.over
    store.send_data(b"xx", is_last=True)
    assert [type(message) for message in end.said()] == [CStoreRQ, bytes, CEchoRQ]
    assert end.engine.outstanding == (store, echo)


def test_a_find_is_abandoned_after_its_cancel_without_another() -> None:
    end = established()
    operation = find(end)
    operation.cancel()
    end.take(0.0)
    operation.abandon()
    assert end.take(0.0) == b""
    assert (Timer.CANCEL_DRAIN, 1) in end.engine.deadlines()


def test_nothing_is_cancelled_once_the_release_is_asked() -> None:
    end = established()
    operation = find(end)
    end.engine.release(force=True)
    with pytest.raises(LocalProtocolError, match="is over"):
        operation.cancel()
    operation.abandon()
    assert operation.abandoned
    assert not operation.cancelled


def test_a_queued_request_is_abandoned_unsent() -> None:
    end = established(2)
    store = end.engine.c_store(CT, INSTANCE)
    echo = end.engine.c_echo()
    echo.abandon()
    assert (echo.over, echo.abandoned, echo.sent) == (True, True, False)
    store.send_data(b"xx", is_last=True)
    assert [type(message) for message in end.said()] == [CStoreRQ, bytes]
    assert end.engine.has_room


def test_to_abandon_an_open_data_set_aborts() -> None:
    end = established()
    store = end.engine.c_store(CT, INSTANCE)
    store.send_data(b"xx")
    store.abandon()
    assert end.engine.state is State.STA13
    assert end.engine.outcome is not None
    assert end.engine.outcome.kind is OutcomeKind.ABORTED
    assert end.said()[-1] == AAbort(0, 0)
    with pytest.raises(LocalProtocolError, match="no data set can be sent in Sta13"):
        store.send_data(b"yy")


def test_what_was_sent_is_drained() -> None:
    end = established()
    echo = end.engine.c_echo()
    end.take(0.0)
    echo.abandon()
    echo.abandon()
    assert end.engine.outstanding == (echo,)  # ID and window are not free yet
    end.take(5.0)
    assert end.engine.deadlines()[(Timer.CANCEL_DRAIN, 1)] == 35.0
    assert (Timer.DIMSE_RESPONSE, 1) not in end.engine.deadlines()
    assert end.send(echo_rsp(1)) == []
    assert echo.over
    assert echo.responses == 1
    assert end.engine.deadlines() == {}
    assert [type(message) for message in end.said()] == []


def test_abandon_cancels_what_can_be() -> None:
    end = established()
    operation = find(end)
    end.take(0.0)
    operation.abandon()
    assert end.take(0.0) == command(7, CCancelRQ(message_id_being_responded_to=1))
    assert end.send(find_rsp(status=0xFF00, identifier=b"match.")) == []
    assert end.engine.deadlines() == {(Timer.CANCEL_DRAIN, 1): 30.0}  # of the drain as a whole
    assert end.send(find_rsp(status=0xFE00)) == []
    assert operation.over
    assert operation.responses == 2


@pytest.mark.parametrize(("given", "seconds"), [(None, 30.0), (2.0, 2.0)])
def test_a_drain_that_takes_too_long_aborts(given: float | None, seconds: float) -> None:
    end = established()
    echo = end.engine.c_echo()
    end.take(0.0)
    echo.abandon(given)
    end.wait(0.0)
    end.wait(seconds - 0.1)
    assert end.engine.state is State.STA6
    assert end.wait(0.2) == [TimedOut(Timer.CANCEL_DRAIN, 1)]
    assert end.said() == [AAbort(0, 0)]
    [ended] = end.eof()
    assert isinstance(ended, Ended)
    assert ended.outcome.outstanding == 1


def test_abandoned_before_the_bytes_are_taken_never_waits_for_a_response() -> None:
    end = established()
    end.engine.c_echo().abandon()
    assert end.said() == [CEchoRQ(message_id=1, affected_sop_class_uid=VERIFICATION)]
    assert [timer for timer, _ in end.engine.deadlines()] == [Timer.CANCEL_DRAIN]


def test_what_the_peers_release_ended_needs_no_abandoning() -> None:
    end = established()
    echo = end.engine.c_echo()
    end.send(RELEASE_RQ)
    assert echo.over
    echo.abandon()
    assert not echo.abandoned
    assert [timer for timer, _ in end.engine.deadlines()] == [Timer.LOCAL_ANSWER]


def test_limits_may_leave_waits_out() -> None:
    end = established(limits=Limits(dimse_response=None, output_stall=None))
    end.engine.c_echo()
    end.take(0.0)
    assert end.engine.deadlines() == {}


# ---------------------------------------------------------------- responses before the data set ended


def test_an_early_failure_frees_id_and_window() -> None:
    end = established()
    store = end.engine.c_store(CT, INSTANCE)
    store.send_data(b"xx")
    assert len(end.send(store_rsp(status=0xC000))) == 1
    assert store.was_cut
    assert store.over
    assert [type(message) for message in end.said()] == [CStoreRQ, bytes]
    assert end.engine.c_echo().message_id == 2
    assert end.send(store_rsp(status=0xC000)) == []
    assert end.codes == [Code.RESPONSE_UNSOLICITED]


def test_an_early_success_waits_for_the_data_set_to_end() -> None:
    end = established()
    store = end.engine.c_store(CT, INSTANCE)
    assert len(end.send(store_rsp())) == 1
    assert not end.engine.has_room
    store.send_data(b"xx", is_last=True)
    assert store.over
    end.take(0.0)
    assert end.engine.deadlines() == {}


def test_after_a_forced_release_an_early_failure_only_ends_the_request() -> None:
    end = established()
    store = end.engine.c_store(CT, INSTANCE)
    end.engine.release(force=True)
    end.take(0.0)
    assert len(end.send(store_rsp(status=0xA700))) == 1
    assert store.over
    assert end.take(0.0) == b""


# ---------------------------------------------------------------- one C-GET at a time, and the wait for it

GETS = (Timer.DIMSE_RESPONSE, 1)


def test_a_second_get_is_refused_until_the_first_is_over() -> None:
    end = established(3)
    first = end.engine.c_get(GET, b"query.")
    end.said()
    for _ in range(2):
        with pytest.raises(LocalProtocolError, match="C-GET 1 is outstanding: what is stored could be of either"):
            end.engine.c_get(GET, b"query.")
    assert (end.engine.outstanding, end.said(), end.engine._invoker._last_id) == ((first,), [], 1)
    assert find(end).message_id == 2
    end.send(get_rsp(1, 9, status=0xFF00))
    with pytest.raises(LocalProtocolError, match="C-GET 1 is outstanding"):
        end.engine.c_get(GET, b"query.")
    end.send(get_rsp(1, 9))
    assert end.engine.c_get(GET, b"query.").message_id == 3


@pytest.mark.parametrize("how", ["answered", "withdrawn", "released", "ended"])
def test_a_get_that_is_over_is_waited_for_no_more(how: str) -> None:
    end = established(3)
    store = end.engine.c_store(CT, INSTANCE) if how == "withdrawn" else None
    get = end.engine.c_get(GET, b"query.")
    match how:
        case "answered":
            end.send(get_rsp(1, 9))
        case "withdrawn":
            get.abandon()
        case "released":
            end.send(RELEASE_RQ)
        case "ended":
            end.eof()
    assert get.over
    invoker = end.engine._invoker
    assert invoker._getting is None
    for verb in (invoker.restart_get_wait, invoker.hold_get_wait, invoker.begin_get_wait):
        verb()
    end.engine.handle_timeout(1.0)
    assert not any(timer is Timer.DIMSE_RESPONSE for timer, _ in end.engine.deadlines())
    if store is not None:
        store.send_data(b"xx", is_last=True)
        assert end.engine.c_get(GET, b"query.").sent


def test_a_piece_of_a_store_restarts_the_wait_only_if_it_runs() -> None:
    end = established(2)
    end.engine.c_get(GET, b"query.")
    end.send(store_rq(5))
    end.send(data(3, b"xx", is_last=False))  # our request is not taken yet, so the wait has not begun
    assert GETS not in end.engine.deadlines()
    end.take(0.0)
    assert end.engine.deadlines()[GETS] == 60.0
    end.wait(20.0)
    end.send(data(3, b"yy", is_last=False))
    assert end.engine.deadlines()[GETS] == 80.0


def test_while_we_owe_an_answer_no_wait_runs_and_then_it_begins_anew() -> None:
    end = established(2)
    get = end.engine.c_get(GET, b"query.")
    end.take(0.0)
    event, _ = end.send(store_rq(5), data(3, b"xx"))
    assert GETS not in end.engine.deadlines()
    end.wait(300.0)
    event.operation.respond()  # type: ignore[union-attr]
    end.take(300.0)
    assert end.engine.deadlines()[GETS] == 360.0
    get.abandon()
    event, _ = end.send(store_rq(6), data(3, b"xx"))
    event.operation.respond()  # type: ignore[union-attr]
    end.take(300.0)
    assert end.engine.deadlines() == {(Timer.CANCEL_DRAIN, 1): 330.0}


def test_who_may_wait_for_ever_for_a_get() -> None:
    end = established(2, limits=Limits(dimse_response=None, output_stall=None))
    end.engine.c_get(GET, b"query.")
    end.take(0.0)
    event, _ = end.send(store_rq(5), data(3, b"xx"))
    event.operation.respond()  # type: ignore[union-attr]
    end.take(0.0)
    assert end.engine.deadlines() == {}


# ---------------------------------------------------------------- sub-operations of the peer's C-GET


def test_each_way_in_which_a_sub_operation_ends_is_told_to_its_get() -> None:
    wide = AsynchronousOperationsWindow(9, 9)
    end = Scripted.established(acceptor(*MORE, window=wide), requestor(*MORE, window=wide))
    [event] = end.send(get_rq(5, 9))
    get: Any = event.operation  # type: ignore[union-attr]
    get.expect(5)
    good, cut, released, withdrawn = (get.store(CT, f"1.2.{number}") for number in range(4))
    other = end.engine.c_store(CT, "1.9")
    good.send_data(b"xx", is_last=True)
    end.send(store_rsp(1))
    cut.send_data(b"xx")
    end.send(store_rsp(2, status=0xA700))
    assert get.outstanding == {released, withdrawn}
    withdrawn.abandon()
    released.send_data(b"xx", is_last=True)
    assert get.outstanding == {released}
    end.send(RELEASE_RQ)
    assert get.outstanding == set()
    counts = get.suboperations
    assert (counts.completed, counts.failed, counts.remaining) == (1, 3, 1)
    assert counts.failed_instances == ["1.2.1", "1.2.3", "1.2.2"]
    assert (other.over, other.sub_operation_of) == (True, None)


# ---------------------------------------------------------------- what a response of DIMSE-N repeats


@pytest.mark.parametrize(
    ("response", "codes"),
    [
        (NSetRSP(message_id_being_responded_to=1, status=0), []),
        (NSetRSP(message_id_being_responded_to=1, status=0, affected_sop_class_uid=MPPS), []),
        (NSetRSP(message_id_being_responded_to=1, status=0, affected_sop_instance_uid=INSTANCE), []),
        (
            NSetRSP(message_id_being_responded_to=1, status=0, affected_sop_class_uid=CT),
            [Code.RESPONSE_UID_DIFFERS],
        ),
        (
            NSetRSP(message_id_being_responded_to=1, status=0x0112, affected_sop_instance_uid="1.9"),
            [Code.RESPONSE_UID_DIFFERS],
        ),
    ],
)
def test_uids_of_a_response_of_dimse_n(response: Any, codes: list[Code]) -> None:
    end = established()
    operation = end.engine.n_set(MPPS, INSTANCE, b"even")
    [event] = end.send(command(11, response))
    assert isinstance(event, ResponseReceived)
    assert (operation.over, end.codes) == (True, codes)


@pytest.mark.parametrize(
    ("given", "status", "told", "codes"),
    [
        (None, 0, None, [Code.RESPONSE_UID_MISSING]),
        (None, 0, "1.9", []),
        (None, 0x0110, None, []),
        (INSTANCE, 0, None, []),
        (INSTANCE, 0, "1.9", [Code.RESPONSE_UID_DIFFERS]),
    ],
)
def test_what_was_created_has_a_name(given: str | None, status: int, told: str | None, codes: list[Code]) -> None:
    end = established()
    end.engine.n_create(MPPS, given)
    response = NCreateRSP(message_id_being_responded_to=1, status=status, affected_sop_instance_uid=told)
    assert len(end.send(command(11, response))) == 1
    assert end.codes == codes
