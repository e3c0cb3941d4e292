"""The Upper Layer: its inputs, verbs, deadlines and promises (the cells of Table 9-10 are in test_actions)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sansdimse.deviations import Code, Deviation
from sansdimse.errors import LocalProtocolError, RemoteProtocolError
from sansdimse.events import (
    NEED_DATA,
    Aborted,
    AssociationAccepted,
    AssociationRequested,
    Ended,
    IdleTooLong,
    ReleaseCompleted,
    ReleaseRequested,
    TimedOut,
    TransportClosed,
)
from sansdimse.limits import Limits
from sansdimse.outcome import OutcomeKind, Side
from sansdimse.profile import DEFAULT, STRICT
from sansdimse.ul.items import MaximumLength, PresentationContextAC, UserInformation
from sansdimse.ul.machine import Turn, UpperLayer
from sansdimse.ul.pdu import PDV, AAbort, AAssociateAC, AAssociateRJ, AReleaseRQ, PDataTF
from sansdimse.ul.reader import PDVPiece
from sansdimse.ul.table import State
from sansdimse.ul.timers import Timer
from upper_layers import (
    ABORT,
    AC,
    INVALID,
    NOW,
    P_DATA,
    PIECE,
    PLACES,
    RELEASE_RP,
    RELEASE_RQ,
    REQUEST,
    RESPONSE,
    RJ,
    ROLES,
    RQ,
    UNKNOWN,
    Told,
    cut,
    events,
    fed,
    joined,
    made,
    play,
    reach,
    snapshot,
    written,
)

LIMITS = Limits()
ARTIM = Timer.ARTIM
ABORT_BY_USER = AAbort(0, 0).encode()
REJECTED = AAssociateRJ(1, 1, 1).encode()

# ------------------------------------------------------------ abort() is always legal


@pytest.mark.parametrize(("state", "requestor"), PLACES)
def test_abort_is_legal_everywhere(state: State, requestor: bool) -> None:
    ul = reach(state, requestor)
    before = ul.state, ul.outcome
    ul.abort()
    told, wire = events(ul), written(ul, NOW)
    if state in (State.STA1, State.STA13):
        assert (ul.state, ul.outcome) == before
        assert wire == b""
        return
    assert wire == (b"" if state in (State.STA2, State.STA4) else ABORT_BY_USER)
    assert ul.wants_close is (state in (State.STA2, State.STA4))
    assert [type(event) for event in told] == [Ended] * ul.wants_close
    assert ul.outcome is not None
    assert (ul.outcome.kind, ul.outcome.by, ul.outcome.state) == (OutcomeKind.ABORTED, Side.LOCAL, state)


def test_abort_before_anything_is_nothing() -> None:
    ul = made(requestor=False)
    before = snapshot(ul)
    ul.abort()
    assert snapshot(ul) == before
    assert not ul.wants_close


@pytest.mark.parametrize("requestor", [True, False])
def test_abort_of_a_connection_just_opened_closes_it_without_a_pdu(requestor: bool) -> None:
    ul = made(requestor)
    ul.transport_opened(NOW)
    ul.abort()
    assert ul.wants_close
    (ended,) = events(ul)
    assert isinstance(ended, Ended)
    assert ended.outcome.kind is OutcomeKind.ABORTED
    assert written(ul, NOW) == b""


@pytest.mark.parametrize("state", [State.STA6, State.STA7])
def test_a_fault_of_dimse_aborts_as_the_user_with_its_cause(state: State) -> None:
    ul = reach(state, requestor=True)
    cause = RemoteProtocolError("nobody announced this", code=Code.DATA_SET_UNANNOUNCED)
    assert ul.abort_for(cause) == Aborted(0, 0, by_peer=False, cause=cause)
    assert events(ul) == []
    assert written(ul, NOW) == ABORT_BY_USER
    assert ul.outcome is not None
    assert ul.outcome.cause == cause


@pytest.mark.parametrize("state", [State.STA6, State.STA7])
def test_data_refused_by_the_profile_are_an_invalid_pdu(state: State) -> None:
    ul = reach(state, requestor=False)
    assert fed(ul, P_DATA) == [PIECE]
    cause = RemoteProtocolError("an odd fragment", code=Code.FRAGMENT_ODD)
    assert ul.refuse(cause) == Aborted(2, 6, by_peer=False, cause=cause)
    assert written(ul, NOW) == AAbort(2, 6).encode()
    with pytest.raises(RuntimeError):  # only data just told can be refused
        ul.refuse(cause)


# ------------------------------------------------------------ establishment


def test_an_association_from_the_requestors_side() -> None:
    ul = made(requestor=True)
    ul.transport_opened(NOW)
    assert events(ul) == []
    assert written(ul, NOW) == RQ
    assert fed(ul, AC) == [AssociationAccepted(RESPONSE)]
    assert (ul.request, ul.response) == (REQUEST, RESPONSE)
    assert ul.agreement is not None
    assert [context.id for context in ul.agreement.accepted] == [1]
    assert ul.agreement.peer_ae_title == "THEM"


def test_an_association_from_the_acceptors_side() -> None:
    ul = reach(State.STA3, requestor=False)
    assert ul.request == REQUEST
    assert ul.response is None
    ul.accept(RESPONSE)
    assert written(ul, NOW) == AC
    assert ul.agreement is not None
    assert ul.agreement.peer_ae_title == "US"


def test_only_bit_0_of_the_protocol_version_is_tested() -> None:
    ul = reach(State.STA2, requestor=False)
    odd = replace(REQUEST, protocol_version=0x8003)
    assert fed(ul, odd.encode()) == [AssociationRequested(odd)]
    assert Deviation(Code.PROTOCOL_VERSION_BITS, "8003") in ul.deviations


def test_a_reject_has_the_numbers_given() -> None:
    ul = reach(State.STA3, requestor=False)
    before = snapshot(ul)
    with pytest.raises(LocalProtocolError):
        ul.reject(256)
    assert snapshot(ul) == before
    ul.reject(2, 3, 1)
    assert written(ul, NOW) == AAssociateRJ(2, 3, 1).encode()


def test_a_request_that_does_not_encode_is_told_to_who_made_it() -> None:
    with pytest.raises(LocalProtocolError, match="called_ae_title_field"):
        UpperLayer(request=replace(REQUEST, called_ae_title_field=b"short"), now=NOW)


def test_an_answer_that_does_not_encode_changes_nothing() -> None:
    ul = reach(State.STA3, requestor=False)
    before = snapshot(ul)
    with pytest.raises(LocalProtocolError):
        ul.accept(replace(RESPONSE, reserved_43_74=b"short"))
    assert snapshot(ul) == before


def tiny(pdu: Any) -> Any:
    """The same with a maximum length that no fragment fits in."""
    return replace(pdu, items=(*pdu.items[:-1], UserInformation((MaximumLength(4), *pdu.user_information[1:]))))


def test_a_request_that_cannot_be_accepted_cannot_be_accepted() -> None:
    ul = reach(State.STA2, requestor=False)
    fed(ul, tiny(REQUEST).encode())
    before = snapshot(ul)
    with pytest.raises(LocalProtocolError, match="maximum length of 4"):
        ul.accept(RESPONSE)
    assert snapshot(ul) == before
    ul.reject()


@pytest.mark.parametrize("profile", [DEFAULT, DEFAULT.accepting(Code.MAXIMUM_LENGTH_TINY)])
def test_an_answer_nobody_can_work_with_is_an_invalid_pdu(profile: Any) -> None:
    ul = reach(State.STA5, requestor=True, profile=profile)
    (aborted,) = fed(ul, tiny(RESPONSE).encode() + AC)
    assert isinstance(aborted, Aborted)
    assert aborted.cause is not None
    assert aborted.cause.code is Code.MAXIMUM_LENGTH_TINY
    assert written(ul, NOW) == AAbort(2, 6).encode()
    assert ul.response is None


def test_a_profile_refuses_what_an_answer_departs_in() -> None:
    unknown = AAssociateAC.of(
        REQUEST,
        contexts=[*RESPONSE.presentation_contexts, PresentationContextAC.of(9, 3, "1.2")],
        user_information=RESPONSE.user_information,
    )
    lenient, strict = reach(State.STA5, requestor=True), reach(State.STA5, requestor=True, profile=STRICT)
    assert fed(lenient, unknown.encode()) == [AssociationAccepted(unknown)]
    (aborted,) = fed(strict, unknown.encode())
    assert isinstance(aborted, Aborted)
    assert aborted.cause is not None
    assert aborted.cause.code is Code.AC_CONTEXT_UNPROPOSED
    for ul in (lenient, strict):
        assert ul.deviations.count(Deviation(Code.AC_CONTEXT_UNPROPOSED, "context 9")) == 1


def test_a_request_that_the_profile_refuses_is_still_told_since_rejecting_is_the_users() -> None:
    ul = reach(State.STA2, requestor=False, profile=STRICT)
    nul = replace(REQUEST, called_ae_title_field=b"THEM".ljust(16, b"\0"))
    assert fed(ul, nul.encode()) == [AssociationRequested(nul)]
    assert [deviation.code for deviation in ul.deviations] == [Code.AE_TITLE_NUL]


STRICT_RELEASE = DEFAULT.refusing(Code.PDU_LENGTH_NOT_FOUR)


@pytest.mark.parametrize("body", [b"", bytes(8)])
def test_a_release_of_another_length_is_taken_or_refused_by_the_profile(body: bytes) -> None:
    ul = reach(State.STA6, requestor=True)
    assert fed(ul, AReleaseRQ(body=body).encode()) == [ReleaseRequested()]
    assert ul.deviations == [Deviation(Code.PDU_LENGTH_NOT_FOUR, str(len(body)))]
    ul = reach(State.STA6, requestor=True, profile=STRICT_RELEASE)
    assert [type(event) for event in fed(ul, AReleaseRQ(body=body).encode())] == [Aborted]
    assert written(ul, NOW) == AAbort(2, 6).encode()


def test_an_abort_of_another_length_ends_the_association_whatever_the_profile() -> None:
    ul = reach(State.STA6, requestor=True, profile=STRICT_RELEASE)
    told = fed(ul, AAbort(missing=4).encode())
    assert told[0] == Aborted(0, 0, by_peer=True)
    assert ul.wants_close


def test_a_deviation_of_a_message_is_remembered_and_refused_by_the_profile() -> None:
    ul = reach(State.STA6, requestor=True, profile=DEFAULT.refusing(Code.FRAGMENT_ODD))
    ul.check(Deviation(Code.FRAGMENT_EMPTY))
    with pytest.raises(RemoteProtocolError) as caught:
        ul.check(Deviation(Code.FRAGMENT_ODD, "7 bytes"))
    assert caught.value.code is Code.FRAGMENT_ODD
    assert [deviation.code for deviation in ul.deviations] == [Code.FRAGMENT_EMPTY, Code.FRAGMENT_ODD]


# ------------------------------------------------------------ data


@pytest.mark.parametrize("context_id", [3, 5])
def test_data_on_a_context_not_accepted_are_an_invalid_pdu(context_id: int) -> None:
    ul = reach(State.STA6, requestor=True)
    (aborted,) = fed(ul, PDataTF((PDV(context_id, 3, b"ab"),)).encode() + P_DATA)
    assert isinstance(aborted, Aborted)
    assert aborted.cause is not None
    assert aborted.cause.code is Code.PDV_CONTEXT_UNKNOWN
    assert written(ul, NOW) == AAbort(2, 6).encode()


def test_a_fault_in_a_later_pdv_comes_after_the_first_was_told() -> None:
    ul = reach(State.STA6, requestor=True)
    told = fed(ul, PDataTF((PDV(1, 3, b"ab"), PDV(3, 0, b"cd"))).encode())
    assert [type(event) for event in told] == [PDVPiece, Aborted]


def test_data_above_our_maximum_are_reported_or_refused() -> None:
    long = PDataTF((PDV(1, 0, bytes(200)),)).encode()
    ul = reach(State.STA6, requestor=True, maximum_length=100)
    assert [type(event) for event in fed(ul, long)] == [PDVPiece]
    assert [deviation.code for deviation in ul.deviations] == [Code.PDU_ABOVE_MAXIMUM]
    ul = reach(State.STA6, requestor=True, maximum_length=100, profile=STRICT)
    assert [type(event) for event in fed(ul, long)] == [Aborted]


def test_the_rest_of_refused_data_is_skipped_and_what_follows_is_read() -> None:
    ul = reach(State.STA8, requestor=True)
    (aborted,) = fed(ul, PDataTF((PDV(1, 0, b"ab"), PDV(1, 2, b"cd"))).encode()[:-1])
    assert isinstance(aborted, Aborted)
    told = fed(ul, b"d" + P_DATA + AC + ABORT)  # AA-6, AA-6, AA-2
    assert [type(event) for event in told] == [Ended]
    assert written(ul, NOW) == AAbort(2, 2).encode()  # as it would had the peer's come later


def test_data_sent_are_handed_on_in_order_and_start_a_timer_when_taken() -> None:
    ul = reach(State.STA6, requestor=True)
    payload = memoryview(b"payload")
    key = (Timer.DIMSE_RESPONSE, 7)
    ul.send_p_data([[b"one"], [b"two", payload]], then=(key, 60.0))
    ul.send_p_data([[b"three"]], then=((Timer.DIMSE_RESPONSE, 8), None))
    assert not ul.timers.running(*key)
    buffers = ul.data_to_send(NOW + 3600)
    assert buffers == [b"one", b"two", payload, b"three"]
    assert buffers[2] is payload
    assert ul.timers.deadlines()[key] == NOW + 3660
    assert not ul.timers.running(Timer.DIMSE_RESPONSE, 8)


# ------------------------------------------------------------ release


def test_a_release_asked_for() -> None:
    ul = reach(State.STA6, requestor=True)
    ul.release()
    assert written(ul, NOW) == RELEASE_RQ
    assert fed(ul, P_DATA) == [PIECE]  # AR-6
    told = fed(ul, RELEASE_RP)
    assert told[0] == ReleaseCompleted()
    assert ul.outcome is not None
    assert (ul.outcome.kind, ul.outcome.by, ul.outcome.state) == (OutcomeKind.RELEASED, Side.LOCAL, State.STA7)


def test_a_release_answered_after_more_data() -> None:
    ul = reach(State.STA8, requestor=False)
    ul.send_p_data([[P_DATA]])  # AR-7
    ul.respond_release()
    assert written(ul, NOW) == P_DATA + RELEASE_RP  # which never passes what was queued before it
    assert ul.outcome is not None
    assert (ul.outcome.kind, ul.outcome.by) == (OutcomeKind.RELEASED, Side.PEER)


def test_an_early_answer_to_a_collision_waits_for_the_peers_own() -> None:
    ul = reach(State.STA10, requestor=False)
    ul.respond_release()
    assert ul.state is State.STA10
    assert written(ul, NOW) == b""
    ul.receive_data(RELEASE_RP, NOW)
    assert ul.next_event() == ReleaseCompleted()
    assert ul.state is State.STA12  # the answer is a step of its own
    assert ul.next_event() is NEED_DATA
    assert ul.state is State.STA13
    assert written(ul, NOW) == RELEASE_RP


def test_an_abort_or_a_close_in_a_release_is_reported() -> None:
    for state in (State.STA7, State.STA8):
        ul = reach(state, requestor=True)
        assert fed(ul, ABORT)[0] == Aborted(2, 2, by_peer=True)
        assert [deviation.code for deviation in ul.deviations] == [Code.ABORT_AFTER_RELEASE]
    ul = reach(State.STA6, requestor=True)
    fed(ul, ABORT)
    assert ul.deviations == []


@pytest.mark.parametrize("requestor", [True, False])
def test_an_abort_after_the_release_does_not_change_how_it_ended(requestor: bool) -> None:
    ul = reach(State.STA13, requestor)
    (ended,) = fed(ul, ABORT)
    assert isinstance(ended, Ended)
    assert ended.outcome.kind is OutcomeKind.RELEASED
    assert [deviation.code for deviation in ul.deviations] == [Code.ABORT_AFTER_RELEASE]


def test_an_abort_after_our_abort_is_no_news() -> None:
    ul = reach(State.STA6, requestor=True)
    ul.abort()
    (ended,) = fed(ul, ABORT)
    assert isinstance(ended, Ended)
    assert (ended.outcome.kind, ended.outcome.by) == (OutcomeKind.ABORTED, Side.LOCAL)
    assert ul.deviations == []


# ------------------------------------------------------------ one abort, then silence


@pytest.mark.parametrize(("first", "reason"), [*INVALID.values(), (RQ, 2)])
def test_junk_after_the_end_is_answered_once(first: bytes, reason: int) -> None:
    ul = reach(State.STA13, requestor=False)
    assert fed(ul, first) == []
    for junk in (first, UNKNOWN, RQ, b"\xff" * 100):
        assert fed(ul, junk) == []
    assert written(ul, NOW) == AAbort(2, reason).encode()
    assert ul.bytes_buffered == 0
    assert ul.state is State.STA13


@pytest.mark.parametrize(("first", "reason"), [*INVALID.values(), (RQ, 2)])
def test_junk_after_our_abort_is_not_answered_again(first: bytes, reason: int) -> None:
    ul = reach(State.STA6, requestor=False)
    (aborted,) = fed(ul, first)
    assert isinstance(aborted, Aborted)
    assert written(ul, NOW) == AAbort(2, reason).encode()
    if first != RQ:  # framing is lost, so nothing that follows has a meaning
        assert fed(ul, UNKNOWN + RQ + ABORT) == []
        assert written(ul, NOW) == b""
        assert ul.state is State.STA13


def test_junk_before_the_request_is_answered_as_the_table_says_and_no_event() -> None:
    ul = reach(State.STA2, requestor=False)
    assert fed(ul, b"GET / HTTP/1.1\r\n\r\n") == []
    assert ul.state is State.STA13
    assert written(ul, NOW) == ABORT_BY_USER
    assert ul.outcome is not None
    assert (ul.outcome.kind, ul.outcome.by, ul.outcome.state) == (OutcomeKind.ABORTED, Side.LOCAL, State.STA2)
    assert ul.outcome.cause is not None
    assert ul.outcome.cause.code is Code.PDU_UNRECOGNIZED


# ------------------------------------------------------------ the end of the stream


@pytest.mark.parametrize("error", [None, "connection reset\x1b"])
@pytest.mark.parametrize(("state", "requestor"), PLACES)
def test_the_end_of_the_stream_in_each_state(state: State, requestor: bool, error: str | None) -> None:
    ul = reach(state, requestor)
    ul.receive_eof(NOW, error)
    ul.receive_eof(NOW, "told twice")
    told = events(ul)
    ended = told.pop()
    assert isinstance(ended, Ended)
    assert ul.wants_close
    silent = state in (State.STA1, State.STA2, State.STA13)
    assert told == ([] if silent else [TransportClosed(error)])
    if state in (State.STA1, State.STA13):
        assert ended.outcome.kind is OutcomeKind.RELEASED
    else:
        assert ended.outcome.kind is OutcomeKind.CLOSED
        assert (ended.outcome.by, ended.outcome.error) == (Side.NETWORK if error else Side.PEER, error)
        assert ended.outcome.state is state
        assert ended.outcome.clean is (error is None and State.STA6 <= state <= State.STA12)
    reported = [Code.CLOSED_WITHOUT_RELEASE] if State.STA6 <= state < State.STA13 else []
    assert [deviation.code for deviation in ul.deviations] == reported
    assert all(deviation.detail.isprintable() for deviation in ul.deviations)


def test_a_connection_that_never_opened() -> None:
    for requestor in (True, False):
        ul = made(requestor)
        ul.receive_eof(NOW, "no route to host")
        told = events(ul)
        ended = told.pop()
        assert told == ([TransportClosed("no route to host")] if requestor else [])
        assert isinstance(ended, Ended)
        assert (ended.outcome.kind, ended.outcome.by) == (OutcomeKind.CLOSED, Side.NETWORK)
        with pytest.raises(LocalProtocolError):
            ul.transport_opened(NOW)


def test_bytes_after_the_end_of_the_stream_are_a_mistake_of_the_transport() -> None:
    ul = reach(State.STA6, requestor=True)
    ul.receive_eof(NOW)
    with pytest.raises(LocalProtocolError, match="after the end of the stream"):
        ul.receive_data(P_DATA, NOW)


def test_what_came_before_the_end_of_the_stream_is_told_before_it() -> None:
    ul = reach(State.STA6, requestor=True)
    ul.receive_data(P_DATA + P_DATA[:9], NOW)
    ul.receive_eof(NOW)
    assert [type(event) for event in events(ul)] == [PDVPiece, TransportClosed, Ended]


def test_a_peer_that_closed_its_half_still_gets_what_is_unsent_under_a_deadline() -> None:
    ul = reach(State.STA6, requestor=True)
    ul.send_p_data([[bytes(300_000)], [b"the rest"]])
    assert len(ul.data_to_send(NOW)) == 1
    ul.receive_eof(NOW + 1)
    ended = events(ul)[-1]
    assert ul.wants_close
    assert ul.bytes_unsent == 300_008
    assert ul.next_timeout() == NOW + 60
    assert ul.data_to_send(NOW + 2) == [b"the rest"]
    assert ul.next_timeout() == NOW + 62
    assert ul.next_event() == ended  # what is written after the last event does not change it
    assert ul.data_to_send(NOW + 3) == []
    assert (ul.bytes_unsent, ul.next_timeout()) == (0, None)


def test_a_peer_that_closed_its_half_and_takes_nothing_is_given_up() -> None:
    ul = reach(State.STA6, requestor=True)
    ul.send_p_data([[b"unsent"]])
    ul.data_to_send(NOW)
    ul.receive_eof(NOW)
    events(ul)
    ul.handle_timeout(NOW + 59)
    assert ul.bytes_unsent == 6
    ul.handle_timeout(NOW + 60)
    assert (ul.bytes_unsent, ul.next_timeout()) == (0, None)


# ------------------------------------------------------------ time

EXPIRIES = [
    (State.STA2, ARTIM, "artim"),
    (State.STA3, Timer.LOCAL_ANSWER, "local_answer"),
    (State.STA4, Timer.CONNECT, "connect"),
    (State.STA5, Timer.ASSOCIATION_RESPONSE, "association_response"),
    (State.STA7, Timer.RELEASE, "release"),
    (State.STA8, Timer.LOCAL_ANSWER, "local_answer"),
    (State.STA9, Timer.LOCAL_ANSWER, "local_answer"),
    (State.STA10, Timer.RELEASE, "release"),
    (State.STA11, Timer.RELEASE, "release"),
    (State.STA12, Timer.LOCAL_ANSWER, "local_answer"),
    (State.STA13, ARTIM, "artim"),
]


@pytest.mark.parametrize(
    ("state", "requestor", "timer", "limit"),
    [(state, role, timer, limit) for state, timer, limit in EXPIRIES for role in ROLES[state]],
)
def test_each_state_that_waits_has_its_deadline(state: State, requestor: bool, timer: Timer, limit: str) -> None:
    ul = reach(state, requestor)
    deadline = NOW + getattr(LIMITS, limit)
    assert ul.timers.deadlines() == {(timer, 0): deadline}
    assert ul.next_timeout() == deadline
    ul.handle_timeout(deadline - 0.001)
    assert events(ul) == []
    ul.handle_timeout(deadline)
    told, wire = events(ul), written(ul, deadline)
    assert ul.outcome is not None
    if timer is ARTIM:
        assert [type(event) for event in told] == [Ended]
        assert wire == b""
    else:
        assert told[0] == TimedOut(timer)
        assert wire == (b"" if state is State.STA4 else ABORT_BY_USER)
        assert ul.state is (State.STA1 if state is State.STA4 else State.STA13)
    if state is State.STA13:
        assert ul.outcome.kind is OutcomeKind.RELEASED
    else:
        assert (ul.outcome.kind, ul.outcome.timer, ul.outcome.state) == (OutcomeKind.TIMED_OUT, timer, state)
        assert ul.outcome.by is Side.LOCAL


@pytest.mark.parametrize(
    ("state", "requestor", "limit"),
    [(state, role, limit) for state, _, limit in EXPIRIES if limit != "artim" for role in ROLES[state]],
)
def test_a_limit_of_none_waits_for_ever(state: State, requestor: bool, limit: str) -> None:
    no_limit: dict[str, Any] = {limit: None}
    assert reach(state, requestor, limits=Limits(**no_limit)).next_timeout() is None


# There are no bytes in Sta1 and Sta4; in Sta2 and Sta13 ARTIM stands for the whole.
@pytest.mark.parametrize(("state", "requestor"), [place for place in PLACES if place[0] not in (1, 2, 4, 13)])
def test_half_a_pdu_and_silence(state: State, requestor: bool) -> None:
    limits = Limits(pdu_completion=5.0)
    ul = reach(state, requestor, limits=limits)
    assert fed(ul, RELEASE_RQ[:3], NOW + 1) == []
    assert fed(ul, RELEASE_RQ[3:7], NOW + 3) == []  # no more time for more bytes of a short PDU
    assert ul.next_timeout() == NOW + 6
    ul.handle_timeout(NOW + 6)
    assert events(ul) == [TimedOut(Timer.PDU_COMPLETION)]
    assert written(ul, NOW + 6) == ABORT_BY_USER


@pytest.mark.parametrize("state", [State.STA2, State.STA13])
def test_artim_stands_for_the_whole_of_a_pdu(state: State) -> None:
    ul = reach(state, requestor=False)
    assert fed(ul, RQ[:40], NOW + 1) == []
    assert ul.timers.deadlines() == {(ARTIM, 0): NOW + 30}


def test_data_that_go_on_are_given_time_and_so_is_each_pdu() -> None:
    ul = reach(State.STA6, requestor=True)
    pdu = PDataTF((PDV(1, 0, bytes(100)),)).encode()
    key = (Timer.PDU_COMPLETION, 0)
    for second in range(10):
        fed(ul, pdu[second * 10 : second * 10 + 10], NOW + second)
        assert ul.timers.deadlines() == {key: NOW + second + 30}
    fed(ul, pdu[100:] + RELEASE_RQ[:3], NOW + 20)  # its end, and the beginning of another
    assert ul.timers.deadlines() == {key: NOW + 50}
    fed(ul, RELEASE_RQ[3:9], NOW + 25)
    assert ul.timers.deadlines() == {key: NOW + 50}
    fed(ul, RELEASE_RQ[9:], NOW + 26)
    assert key not in ul.timers.deadlines()


def test_input_told_in_time_counts_however_late_it_is_taken() -> None:
    ul = reach(State.STA5, requestor=True)
    ul.receive_data(AC, NOW + 29)
    ul.handle_timeout(NOW + 3600)
    assert [type(event) for event in events(ul)] == [AssociationAccepted]


def test_timers_of_the_peer_stand_still_while_we_do_not_read() -> None:
    ul = reach(State.STA7, requestor=True)
    ul.timers.start(Timer.OPERATION_ANSWER, NOW, 100.0, 1)  # of our user
    assert ul.next_timeout() == NOW + 30
    ul.receive_data(P_DATA, NOW + 10)
    assert ul.next_timeout() == NOW + 100
    ul.handle_timeout(NOW + 90)  # for 80 seconds the input lay here
    assert ul.next_event() == PIECE
    assert ul.next_event() is NEED_DATA
    assert ul.next_timeout() == NOW + 100
    assert ul.timers.deadlines()[Timer.RELEASE, 0] == NOW + 110


def test_time_does_not_run_backwards() -> None:
    ul = reach(State.STA7, requestor=True)
    ul.handle_timeout(NOW - 500)
    assert ul.now == NOW
    assert ul.next_timeout() == NOW + 30


def test_a_verb_after_an_idle_hour_is_given_its_time_from_when_its_bytes_are_taken() -> None:
    ul = reach(State.STA6, requestor=True)
    ul.release()
    assert not ul.timers.running(Timer.RELEASE)
    assert written(ul, NOW + 3600) == RELEASE_RQ
    assert ul.next_timeout() == NOW + 3630


def test_artim_of_an_abort_starts_at_the_next_time_told_and_again_when_taken() -> None:
    ul = reach(State.STA6, requestor=True)
    ul.abort()
    assert ul.next_timeout() == NOW  # which has passed: tell me the time
    ul.handle_timeout(NOW + 3600)
    assert events(ul) == []
    assert ul.timers.deadlines() == {(ARTIM, 0): NOW + 3630}
    assert written(ul, NOW + 3601) == ABORT_BY_USER
    assert ul.timers.deadlines() == {(ARTIM, 0): NOW + 3631}


@pytest.mark.parametrize("requestor", [True, False])
def test_idle_is_told_in_the_place_of_an_abort_where_that_was_asked_for_and_told_again(requestor: bool) -> None:
    ul = reach(State.STA6, requestor, limits=Limits(idle=20.0))
    ul.idle_is_told = True
    ul.timers.start(Timer.IDLE, NOW, 20.0)
    for turn in range(1, 4):
        ul.handle_timeout(NOW + 20 * turn - 1)
        assert events(ul) == []
        ul.handle_timeout(NOW + 20 * turn)
        assert events(ul) == [IdleTooLong()]
        assert (ul.state, ul.outcome, written(ul, NOW + 20 * turn)) == (State.STA6, None, b"")
        assert ul.timers.deadlines() == {(Timer.IDLE, 0): NOW + 20 * (turn + 1)}
    ul.timers.start(Timer.RELEASE, NOW, 1.0)
    ul.handle_timeout(NOW + 70)
    assert events(ul) == [TimedOut(Timer.RELEASE)], "no other deadline is spared by it"


def test_else_idle_is_a_deadline_as_any_other() -> None:
    ul = reach(State.STA6, requestor=True)
    ul.timers.start(Timer.IDLE, NOW, 20.0)
    ul.handle_timeout(NOW + 20)
    assert events(ul) == [TimedOut(Timer.IDLE)]
    assert ul.state is State.STA13


def test_the_deadline_of_a_message_says_which() -> None:
    ul = reach(State.STA6, requestor=True)
    ul.timers.start(Timer.DIMSE_RESPONSE, NOW, 60.0, 7)
    ul.handle_timeout(NOW + 60)
    assert events(ul) == [TimedOut(Timer.DIMSE_RESPONSE, 7)]


@pytest.mark.parametrize("requestor", [True, False])
@pytest.mark.parametrize("output", [Limits().output, 8], ids=["little", "more than the limit"])
def test_a_peer_that_takes_nothing_is_aborted_and_then_given_up(requestor: bool, output: int) -> None:
    ul = reach(State.STA6, requestor, limits=Limits(output=output))
    ul.send_p_data([[P_DATA]])
    ul.data_to_send(NOW)
    assert ul.next_timeout() == NOW + 60
    ul.handle_timeout(NOW + 60)
    assert events(ul) == [TimedOut(Timer.OUTPUT_STALL)]
    assert ul.state is State.STA13
    assert ul.bytes_unsent == len(P_DATA) + len(ABORT_BY_USER)
    # The transport cannot ask for more to write, so it must be sent back to tell the time.
    assert ul.next_timeout() == NOW + 60
    ul.handle_timeout(NOW + 61)
    assert events(ul) == []
    assert ul.next_timeout() == NOW + 91
    ul.handle_timeout(NOW + 91)
    (ended,) = events(ul)
    assert isinstance(ended, Ended)
    assert ended.outcome.timer is Timer.OUTPUT_STALL
    assert (ul.bytes_unsent, ul.next_timeout()) == (0, None)


def test_a_peer_that_does_not_take_the_last_pdu_loses_it() -> None:
    ul = reach(State.STA6, requestor=True, limits=Limits(output_stall=5.0))
    ul.abort()
    ul.data_to_send(NOW)
    ul.handle_timeout(NOW + 5)
    assert events(ul) == []
    assert ul.bytes_unsent == 0
    assert ul.timers.deadlines() == {(ARTIM, 0): NOW + 30}


def test_a_timeout_without_a_deadline_is_nothing() -> None:
    for ul in (made(requestor=False), reach(State.STA6, requestor=True), reach(State.STA1, requestor=True)):
        before = events(ul)
        ul.handle_timeout(NOW + 1e6)
        assert events(ul) == before


@pytest.mark.parametrize("requestor", [True, False])
def test_a_deadline_of_what_is_over_does_nothing(requestor: bool) -> None:
    ul = reach(State.STA13, requestor)
    ul.timers.start(Timer.OPERATION_ANSWER, NOW, 5.0, 1)
    ul.handle_timeout(NOW + 5)
    assert events(ul) == []
    assert ul.timers.deadlines() == {(ARTIM, 0): NOW + 30}


# ------------------------------------------------------------ what one may look at


def test_whether_a_pdu_has_begun() -> None:
    ul = reach(State.STA6, requestor=True)
    fed(ul, P_DATA[:14])
    assert ul.mid_pdu
    fed(ul, P_DATA[14:])
    assert not ul.mid_pdu


def test_a_blank_cell_reached_from_within_is_a_bug_and_says_so() -> None:
    ul = reach(State.STA13, requestor=True)
    with pytest.raises(RuntimeError, match="ABORT_REQUEST in STA13"):
        ul.abort_for(RemoteProtocolError("too late", code=Code.DATA_SET_MISSING))


def test_counts_of_bytes_and_the_last_event() -> None:
    ul = reach(State.STA7, requestor=True)
    (_, ended) = fed(ul, RELEASE_RP)
    assert isinstance(ended, Ended)
    assert ended.outcome.bytes_received == len(AC) + len(RELEASE_RP) == ul.bytes_received
    assert ended.outcome.bytes_sent == len(RQ) + len(RELEASE_RQ) == ul.bytes_sent
    assert (ended.outcome.pdus_received, ended.outcome.pdus_sent) == (2, 2)


def test_pdus_are_counted_of_data_too_several_in_one_buffer_as_well() -> None:
    ul = reach(State.STA6, requestor=True)
    ul.send_p_data([[P_DATA], [P_DATA]])
    ul.send_p_data([[P_DATA * 3]], count=3)
    ul.send_p_data([])
    fed(ul, P_DATA + P_DATA)
    ul.release()
    assert written(ul, NOW) == P_DATA * 5 + RELEASE_RQ
    *_, ended = fed(ul, RELEASE_RP)
    assert isinstance(ended, Ended)
    assert (ended.outcome.pdus_received, ended.outcome.pdus_sent) == (4, 7)  # with A-ASSOCIATE


def test_what_nobody_took_was_not_sent() -> None:
    ul = reach(State.STA6, requestor=True)
    ul.send_p_data([[P_DATA]])
    ul.receive_eof(NOW, "reset")
    *_, ended = events(ul)
    assert isinstance(ended, Ended)
    assert (ended.outcome.pdus_received, ended.outcome.pdus_sent) == (1, 1)


def test_bytes_behind_the_end_never_came() -> None:
    ul = reach(State.STA6, requestor=True)
    fed(ul, ABORT + P_DATA)
    assert ul.bytes_received == len(AC) + len(ABORT)


def test_the_state_never_runs_ahead_of_the_event() -> None:
    ul = reach(State.STA5, requestor=True)
    ul.receive_data(AC + P_DATA + RELEASE_RQ + ABORT, NOW)
    assert ul.bytes_buffered == len(AC + P_DATA + RELEASE_RQ + ABORT)
    seen = []
    while not isinstance(event := ul.next_event(), Ended):
        seen.append((type(event), ul.state))
    assert seen == [
        (AssociationAccepted, State.STA6),
        (PDVPiece, State.STA6),
        (ReleaseRequested, State.STA8),
        (Aborted, State.STA1),
    ]


# ------------------------------------------------------------ promises, over scripts of anything

PDUS = [
    RQ,
    AC,
    RJ,
    P_DATA,
    RELEASE_RQ,
    RELEASE_RP,
    ABORT,
    UNKNOWN,
    PDataTF((PDV(1, 0, b"ab"), PDV(5, 2, b""))).encode(),
]
VERB_NAMES = ["open", "accept", "reject", "release", "respond_release", "abort", "send"]

wires = st.one_of(
    st.lists(st.sampled_from(PDUS), min_size=1, max_size=3).map(b"".join),
    st.tuples(st.sampled_from(PDUS), st.integers(1, 20)).map(lambda part: part[0][: -part[1]]),
    st.tuples(st.sampled_from(PDUS), st.integers(0, 200), st.integers(0, 255)).map(
        lambda part: part[0][: part[1]] + bytes((part[2],)) + part[0][part[1] + 1 :]
    ),
    st.binary(min_size=1, max_size=40),
)
Step = tuple[str, Any]
steps = st.one_of(
    wires.map(lambda wire: ("bytes", wire)),
    wires.map(lambda wire: ("bytes", wire)),
    st.sampled_from(VERB_NAMES).map(lambda name: ("verb", name)),
    st.sampled_from(VERB_NAMES).map(lambda name: ("verb", name)),
    st.sampled_from([0.0, 1.0, 29.0, 61.0]).map(lambda seconds: ("time", seconds)),
    st.sampled_from(["events", "one event", "write"]).map(lambda what: ("take", what)),
    st.sampled_from([None, "reset"]).map(lambda error: ("eof", error)),
)
scripts = st.lists(steps, max_size=14)
places = st.sampled_from(PLACES)


def verb(ul: UpperLayer, name: str, now: float) -> None:
    if name == "open":
        ul.transport_opened(now)
    elif name == "send":
        ul.send_p_data([[P_DATA]])
    else:
        play(ul, name)


def run(ul: UpperLayer, script: list[Step], now: float = NOW) -> tuple[list[Told], float]:
    """Play a script; only a ``LocalProtocolError`` may be raised, and it changes nothing."""
    told: list[Told] = []
    for kind, what in script:
        before = snapshot(ul)
        try:
            if kind == "bytes":
                ul.receive_data(what, now)
            elif kind == "verb":
                verb(ul, what, now)
            elif kind == "time":
                now += what
                ul.handle_timeout(now)
            elif kind == "eof":
                ul.receive_eof(now, what)
            elif what == "events":
                told += events(ul)
                assert ul.bytes_buffered <= ul.limits.associate_pdu + 16
            elif what == "one event":
                event = ul.next_event()
                told += [] if event is NEED_DATA else [event]
            else:
                ul.data_to_send(now)
        except LocalProtocolError:
            assert snapshot(ul) == before
    return told, now


@settings(max_examples=400)
@given(places, scripts)
def test_nothing_but_local_mistakes_is_ever_raised_and_they_change_nothing(
    place: tuple[State, bool], script: list[Step]
) -> None:
    run(reach(*place), script)


@settings(max_examples=400)
@given(places, scripts, st.booleans())
def test_it_always_ends_with_one_last_event(place: tuple[State, bool], script: list[Step], takes: bool) -> None:
    """With a peer that is silent from now on, and takes our output or does not."""
    ul = reach(*place)
    told, now = run(ul, script)
    given_to_write = False
    for _ in range(60):
        told += events(ul)
        if takes or not given_to_write:
            given_to_write = bool(ul.data_to_send(now))
        if ul.wants_close and not ul.bytes_unsent:
            break
        deadline = ul.next_timeout()
        if deadline is None:
            # Only an established association, or one that never began, waits without a deadline here: that of
            # an idle one is the Association's. And only a transport that takes no output leaves it unsent.
            assert ul.state in (State.STA1, State.STA6)
            if ul.state is State.STA6:
                ul.release()
            elif not ul.wants_close:
                ul.receive_eof(now)
        else:
            now = max(now, deadline)
            ul.handle_timeout(now)
    assert ul.wants_close
    assert ul.bytes_unsent == 0
    told += events(ul)
    ends = [event for event in told if isinstance(event, Ended)]
    assert ends
    assert all(end == ends[0] for end in ends)
    assert told[-len(ends) :] == ends
    assert ul.next_timeout() is None


ANSWERS = {
    # what our user says to each indication; a choice among what is allowed
    AssociationRequested: ["accept", "reject", "abort", ""],
    AssociationAccepted: ["release", "send", "abort", ""],
    ReleaseRequested: ["respond_release", "abort", ""],
    ReleaseCompleted: ["respond_release", "abort", ""],
    PDVPiece: ["release", "send", "", ""],
}


def conversation(place: tuple[State, bool], chunks: list[bytes], choice: int) -> tuple[Any, ...]:
    """What is told, written and left behind when these chunks come, all now, and our user answers by habit."""
    ul, told, wire = reach(*place), list[Any](), b""
    for chunk in chunks:
        ul.receive_data(chunk, NOW)
        while (event := ul.next_event()) is not NEED_DATA:
            if isinstance(event, Ended):
                told += [event] if event not in told else []  # it repeats for who asks again
                break
            told.append(event)
            answers = ANSWERS.get(type(event), [""])
            name = answers[choice % len(answers)]
            if name and not (isinstance(event, PDVPiece) and not event.ends):
                try:
                    verb(ul, name, NOW)
                except LocalProtocolError:
                    told.append(None)
    while buffers := ul.data_to_send(NOW):
        wire += b"".join(buffers)
    return joined(told), wire, ul.state, ul.deviations, ul.timers.deadlines(), ul.outcome, ul.bytes_buffered


@settings(max_examples=400)
@given(
    places.filter(lambda place: place[0] not in (State.STA1, State.STA4)),
    st.lists(wires, min_size=1, max_size=4).map(b"".join),
    st.lists(st.integers(0, 400), max_size=8),
    st.integers(0, 11),
)
@example((State.STA6, True), ABORT + UNKNOWN, [len(ABORT)], 0)
@example((State.STA2, False), RQ + P_DATA + RELEASE_RQ, [1, 5, 200, 230], 0)
@example((State.STA6, True), b"\x04\0\0\1\x86\xa1" + bytes(6), [6], 3)
def test_chunking_does_not_matter(place: tuple[State, bool], wire: bytes, cuts: list[int], choice: int) -> None:
    whole = conversation(place, [wire], choice)
    assert conversation(place, list(cut(wire, cuts)), choice) == whole
    assert conversation(place, [bytes((byte,)) for byte in wire], choice) == whole


def test_the_last_unread_chunk_is_all_that_is_held_beyond_a_short_pdu() -> None:
    ul = reach(State.STA5, requestor=True)
    chunk = b"\xff" * 64 * 1024
    ul.receive_data(b"\x02\0" + LIMITS.associate_pdu.to_bytes(4, "big"), NOW)
    for _ in range(LIMITS.associate_pdu // len(chunk) - 1):
        assert fed(ul, chunk) == []
    assert ul.bytes_buffered == LIMITS.associate_pdu - len(chunk)
    assert [type(event) for event in fed(ul, chunk)] == [Aborted]  # its last item is longer than what is left
    assert ul.bytes_buffered == 0


def test_data_of_any_length_are_never_held() -> None:
    ul = reach(State.STA6, requestor=True, maximum_length=0)
    chunk = bytes(256 * 1024)
    ul.receive_data(b"\x04\0\xff\xff\xff\xff\xff\xff\xff\xfb\1\0", NOW)
    for _ in range(8):
        ul.receive_data(chunk, NOW)
        while isinstance(piece := ul.next_event(), PDVPiece):
            assert not len(piece.data) or (isinstance(piece.data, memoryview) and piece.data.obj is chunk)
        assert ul.bytes_buffered == 0


# ------------------------------------------------------------ in turns


@pytest.mark.parametrize("steps", [1, 2, 7])
@given(
    st.sampled_from(PLACES),
    st.lists(st.sampled_from([P_DATA, RELEASE_RQ, RELEASE_RP, ABORT, UNKNOWN, RQ, AC, RJ]), max_size=12),
    st.booleans(),
)
def test_in_turns_the_same_is_told(steps: int, place: tuple[State, bool], told: list[bytes], eof: bool) -> None:
    at_once, in_turns = reach(*place), reach(*place)
    for ul in (at_once, in_turns):
        if ul.state is not State.STA4 and ul._ever_opened:
            ul.receive_data(b"".join(told), NOW)
        if eof:
            ul.receive_eof(NOW)
        else:
            ul.handle_timeout(NOW)
    found: list[Told] = []
    for _ in range(100):
        turn = Turn(steps)
        while (event := in_turns.next_event(turn)) is not None and event is not NEED_DATA:
            found.append(event)
            assert turn.left >= 0
            if isinstance(event, Ended):
                break
        if event is not None:
            break
        assert turn.left == 0
    else:
        raise AssertionError("it never comes to its end")
    assert found == events(at_once)
    assert snapshot(in_turns) == snapshot(at_once)


def test_what_is_to_be_told_of_nothing_takes_its_turns_too() -> None:
    """In Sta13 whatever comes is discarded (AA-6)."""
    ul = reach(State.STA13, requestor=False)
    ul.receive_data(P_DATA * 100, NOW)
    turns = 0
    while ul.next_event(Turn(10)) is None:
        turns += 1
    assert turns == 10


def test_a_deadline_waits_for_all_turns() -> None:
    ul = reach(State.STA6, requestor=False)
    ul.timers.start(Timer.OPERATION_ANSWER, NOW, 5.0, 1)
    ul.receive_data(P_DATA * 10, NOW)
    ul.handle_timeout(NOW + 5.0)
    turn = Turn(10)
    assert [ul.next_event(turn) for _ in range(10)] == [PIECE] * 10
    assert ul.next_event(turn) is None
    assert ul.timeout_pending
    assert ul.next_event() == TimedOut(Timer.OPERATION_ANSWER, 1)
