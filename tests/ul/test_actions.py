"""The actions: all 247 cells of Table 9-10, each by real bytes, verbs and time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from sansdimse.deviations import Code, Deviation
from sansdimse.errors import LocalProtocolError
from sansdimse.events import (
    NEED_DATA,
    Aborted,
    AssociationAccepted,
    AssociationRejected,
    AssociationRequested,
    Ended,
    ReleaseCompleted,
    ReleaseRequested,
    TransportClosed,
)
from sansdimse.limits import Limits
from sansdimse.outcome import OutcomeKind, Side
from sansdimse.profile import DEFAULT, STRICT
from sansdimse.ul.machine import UpperLayer
from sansdimse.ul.pdu import AAbort, AAssociateRJ
from sansdimse.ul.table import Evt, State
from sansdimse.ul.timers import Timer
from table_9_10 import CELLS
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
    events,
    fed,
    made,
    reach,
    snapshot,
    written,
)

LIMITS = Limits()
ARTIM = Timer.ARTIM
ABORT_BY_USER = AAbort(0, 0).encode()
REJECTED = AAssociateRJ(1, 1, 1).encode()

# ------------------------------------------------------------ every cell that has an action

RECEIVED = {
    Evt.ASSOCIATE_AC_RECEIVED: AC,
    Evt.ASSOCIATE_RJ_RECEIVED: RJ,
    Evt.ASSOCIATE_RQ_RECEIVED: RQ,
    Evt.P_DATA_TF_RECEIVED: P_DATA,
    Evt.RELEASE_RQ_RECEIVED: RELEASE_RQ,
    Evt.RELEASE_RP_RECEIVED: RELEASE_RP,
    Evt.ABORT_RECEIVED: ABORT,
}
VERBS: dict[Evt, Callable[[UpperLayer], None]] = {
    Evt.ASSOCIATE_ACCEPTED: lambda ul: ul.accept(RESPONSE),
    Evt.ASSOCIATE_REJECTED: lambda ul: ul.reject(),
    Evt.P_DATA_REQUEST: lambda ul: ul.send_p_data([[P_DATA]]),
    Evt.RELEASE_REQUEST: lambda ul: ul.release(),
    Evt.RELEASE_RESPONSE: lambda ul: ul.respond_release(),
    Evt.ABORT_REQUEST: lambda ul: ul.abort(),
}


def apply(ul: UpperLayer, evt: Evt, invalid: bytes = UNKNOWN) -> None:
    """Let one event of Table 9-10 happen."""
    if evt in VERBS:
        VERBS[evt](ul)
    elif evt in RECEIVED:
        ul.receive_data(RECEIVED[evt], NOW)
    elif evt is Evt.INVALID_PDU_RECEIVED:
        ul.receive_data(invalid, NOW)
    elif evt is Evt.TRANSPORT_CLOSED:
        ul.receive_eof(NOW)
    elif evt is Evt.ARTIM_EXPIRED:
        ul.handle_timeout(ul.timers.deadlines()[ARTIM, 0])
    else:
        ul.transport_opened(NOW)


@dataclass(frozen=True)
class Effect:
    """What an action does that can be seen from outside (PS3.8 Tables 9-6 to 9-9)."""

    sends: bytes = b""
    tells: tuple[Any, ...] = ()
    starts: Timer | None = None


def effect(action: str, evt: Evt, state: State, reason: int) -> Effect:
    """The specified effect of an action that ``evt`` causes in ``state``."""
    by_provider = AAbort(2, reason).encode()
    table: dict[str, Effect] = {
        "AE-2": Effect(RQ, (), Timer.ASSOCIATION_RESPONSE),
        "AE-3": Effect(b"", (AssociationAccepted(RESPONSE),)),
        "AE-4": Effect(b"", (AssociationRejected(1, 1, 7),)),
        "AE-5": Effect(b"", (), ARTIM),
        "AE-6": Effect(b"", (AssociationRequested(REQUEST),), Timer.LOCAL_ANSWER),
        "AE-7": Effect(AC),
        "AE-8": Effect(REJECTED, (), ARTIM),
        "DT-1": Effect(P_DATA),
        "DT-2": Effect(b"", (PIECE,)),
        "AR-1": Effect(RELEASE_RQ, (), Timer.RELEASE),
        "AR-2": Effect(b"", (ReleaseRequested(),), Timer.LOCAL_ANSWER),
        "AR-3": Effect(b"", (ReleaseCompleted(),)),
        "AR-4": Effect(RELEASE_RP, (), ARTIM),
        "AR-5": Effect(),
        "AR-6": Effect(b"", (PIECE,)),
        "AR-7": Effect(P_DATA),
        "AR-8": Effect(b"", (ReleaseRequested(collision=True),)),
        "AR-9": Effect(RELEASE_RP, (), Timer.RELEASE),
        "AR-10": Effect(b"", (ReleaseCompleted(),), Timer.LOCAL_ANSWER),
        "AA-1": Effect(ABORT_BY_USER, (), ARTIM),
        "AA-2": Effect(),
        "AA-3": Effect(b"", (Aborted(2, 2, by_peer=True),)),
        "AA-4": Effect(b"", (TransportClosed(),)),
        "AA-5": Effect(),
        "AA-6": Effect(b"", (), ARTIM),
        "AA-7": Effect(by_provider, (), ARTIM),
        "AA-8": Effect(by_provider, (Aborted(2, reason, by_peer=False),), ARTIM),
    }
    return table[action]


CELLS_TO_DRIVE = [
    pytest.param(
        Evt(evt), State(state), requestor, what, id=f"{Evt(evt).name}-Sta{state}-{role}{'-' * bool(what)}{what}"
    )
    for (evt, state) in CELLS
    if evt != Evt.ASSOCIATE_REQUEST  # below: it is the making of one
    for requestor in ((False,) if evt == Evt.TRANSPORT_INDICATED else ROLES[State(state)])
    for role in ("requestor" if requestor else "acceptor",)
    for what in (INVALID if evt == Evt.INVALID_PDU_RECEIVED else ("",))
]


@pytest.mark.parametrize(("evt", "state", "requestor", "what"), CELLS_TO_DRIVE)
def test_a_cell(evt: Evt, state: State, requestor: bool, what: str) -> None:
    action, following = CELLS[evt, state]
    invalid, reason = INVALID.get(what, (b"", 2))
    next_state = State(following[0 if action != "AR-8" or requestor else 1])
    wanted = effect(action, evt, state, reason)

    ul = made(requestor=False) if evt is Evt.TRANSPORT_INDICATED else reach(state, requestor)
    apply(ul, evt, invalid)
    told = events(ul)

    assert ul.state is next_state
    if next_state is State.STA1:
        assert ul.wants_close
        ended = told.pop()
        assert isinstance(ended, Ended)
        assert ul.outcome == ended.outcome
        assert ul.next_event() == ended
    else:
        assert not ul.wants_close
    for event in told:
        if isinstance(event, Aborted) and not event.by_peer:  # the cause is in words; its reason is on the wire
            assert event.cause is not None
            assert event.cause.abort_reason == reason
            assert event.cause.code is Code.PDU_UNEXPECTED or what
    assert tuple(replace(event, cause=None) if isinstance(event, Aborted) else event for event in told) == wanted.tells
    assert written(ul, NOW) == wanted.sends
    assert ul.timers.running(ARTIM) == (next_state in (State.STA2, State.STA13))
    if wanted.starts is not None:
        assert ul.timers.running(wanted.starts)
    if next_state is State.STA1:
        assert ul.next_timeout() is None
        assert ul.bytes_unsent == 0


@pytest.mark.parametrize("requestor", [True, False])
def test_evt1_is_the_making_of_a_requestor(requestor: bool) -> None:
    ul = made(requestor)
    assert ul.state is (State.STA4 if requestor else State.STA1)  # AE-1, or nothing yet
    assert ul.timers.running(Timer.CONNECT) is requestor
    assert ul.next_event() is NEED_DATA
    assert not ul.wants_close
    assert written(ul, NOW) == b""


# ------------------------------------------------------------ every cell that is blank

BLANK = [(Evt(evt), State(state)) for evt in range(1, 20) for state in range(1, 14) if (evt, state) not in CELLS]
UNSEEN = (State.STA1, State.STA4)  # no connection: no bytes, and no end of them that the table knows

# Verbs that the design gives a meaning where the standard's table has none.
BEYOND_THE_TABLE = {
    (Evt.ABORT_REQUEST, State.STA1): "nothing to abort",
    (Evt.ABORT_REQUEST, State.STA2): "closes without a PDU: the user does not know of the connection yet",
    (Evt.ABORT_REQUEST, State.STA13): "nothing left to abort",
    (Evt.RELEASE_RESPONSE, State.STA10): "an answer given early waits for the peer's own",
}
CANNOT_OCCUR = {
    **{(Evt.ASSOCIATE_REQUEST, state): "it is the making of a requestor, and no verb" for state in State},
    **{(evt, state): "bytes come on open connections only" for evt in RECEIVED for state in UNSEEN},
    **{(Evt.INVALID_PDU_RECEIVED, state): "bytes come on open connections only" for state in UNSEEN},
    (Evt.TRANSPORT_CLOSED, State.STA1): "there is no connection to close, or it has been told",
    (Evt.TRANSPORT_INDICATED, State.STA4): "that a connection is open is Evt2 to a requestor",
    **{(Evt.ARTIM_EXPIRED, state): "ARTIM runs in Sta2 and Sta13 only" for state in State},
}
REFUSED = [cell for cell in BLANK if cell not in BEYOND_THE_TABLE and cell not in CANNOT_OCCUR]


def test_every_one_of_the_247_cells_is_accounted_for() -> None:
    impossible = [cell for cell in BLANK if cell in CANNOT_OCCUR]
    assert len(CELLS) + len(REFUSED) + len(BEYOND_THE_TABLE) + len(impossible) == 19 * 13
    verbs = {Evt.TRANSPORT_CONFIRMED, Evt.TRANSPORT_INDICATED, *VERBS}
    assert {evt for evt, _ in REFUSED} == verbs - {Evt.ABORT_REQUEST}


@pytest.mark.parametrize(
    ("evt", "state", "requestor"), [(evt, state, role) for evt, state in REFUSED for role in ROLES[state]]
)
def test_a_verb_in_a_blank_cell_is_refused_and_changes_nothing(evt: Evt, state: State, requestor: bool) -> None:
    ul = reach(state, requestor)
    before = snapshot(ul)
    with pytest.raises(LocalProtocolError, match=rf"in Sta{state}\b"):
        apply(ul, evt)
    assert snapshot(ul) == before


@pytest.mark.parametrize("data", [*RECEIVED.values(), UNKNOWN])
@pytest.mark.parametrize("requestor", [True, False])
def test_bytes_before_the_connection_are_a_mistake_of_the_transport(data: bytes, requestor: bool) -> None:
    ul = made(requestor)
    before = snapshot(ul)
    with pytest.raises(LocalProtocolError, match="before the transport was opened"):
        ul.receive_data(data, NOW)
    assert snapshot(ul) == before


@pytest.mark.parametrize("data", [*RECEIVED.values(), UNKNOWN])
@pytest.mark.parametrize("requestor", [True, False])
def test_bytes_after_the_end_are_dropped(data: bytes, requestor: bool) -> None:
    ul = reach(State.STA1, requestor)
    before = snapshot(ul)
    ended = events(ul)
    assert fed(ul, data) == ended
    assert snapshot(ul) == before


@pytest.mark.parametrize("requestor", [True, False])
def test_a_close_after_the_end_tells_nothing_new(requestor: bool) -> None:
    ul = reach(State.STA1, requestor)
    ended = events(ul)
    ul.receive_eof(NOW, "reset")
    assert events(ul) == ended
    assert isinstance(ended[0], Ended)
    assert ended[0].outcome.kind is OutcomeKind.RELEASED


@pytest.mark.parametrize(("state", "requestor"), PLACES)
def test_artim_runs_in_sta2_and_sta13_only(state: State, requestor: bool) -> None:
    ul = reach(state, requestor)
    running = {timer for timer, _ in ul.timers.deadlines()}
    assert (ARTIM in running) is (state in (State.STA2, State.STA13))
    assert running <= {ARTIM, Timer.CONNECT, Timer.ASSOCIATION_RESPONSE, Timer.LOCAL_ANSWER, Timer.RELEASE}


@pytest.mark.parametrize("profile", [DEFAULT, STRICT])
@pytest.mark.parametrize("version", [0, 2, 0xFFFE])
def test_another_protocol_version_is_rejected_by_the_provider(version: int, profile: Any) -> None:
    ul = reach(State.STA2, requestor=False, profile=profile)
    assert fed(ul, replace(REQUEST, protocol_version=version).encode()) == []
    assert ul.state is State.STA13
    assert written(ul, NOW) == AAssociateRJ(1, 2, 2).encode()
    assert ul.timers.running(ARTIM)
    assert ul.outcome is not None
    assert (ul.outcome.kind, ul.outcome.by, ul.outcome.state) == (OutcomeKind.REJECTED, Side.LOCAL, State.STA2)
    assert (ul.outcome.result, ul.outcome.source, ul.outcome.reason) == (1, 2, 2)


def test_no_more_deviations_are_remembered_than_the_limit() -> None:
    ul = reach(State.STA6, requestor=True, limits=Limits(deviations=2))
    for number in range(5):
        ul.note(Deviation(Code.FRAGMENT_ODD, str(number)))
    assert [deviation.detail for deviation in ul.deviations] == ["0", "1"]
    assert ul.deviations_dropped == 3


def test_a_release_collision_of_two_that_talk_to_each_other() -> None:
    ends = {role: reach(State.STA6, role) for role in (True, False)}
    wire = {}
    for role, ul in ends.items():
        ul.release()
        wire[role] = written(ul, NOW)
    for role, ul in ends.items():
        assert fed(ul, wire[not role]) == [ReleaseRequested(collision=True)]
    requestor, acceptor = ends[True], ends[False]
    assert (requestor.state, acceptor.state) == (State.STA9, State.STA10)
    requestor.respond_release()
    assert requestor.state is State.STA11
    assert fed(acceptor, written(requestor, NOW)) == [ReleaseCompleted()]
    assert acceptor.state is State.STA12
    acceptor.respond_release()
    assert acceptor.state is State.STA13
    told = fed(requestor, written(acceptor, NOW))
    assert [type(event) for event in told] == [ReleaseCompleted, Ended]
    acceptor.receive_eof(NOW)
    (ended,) = events(acceptor)
    assert isinstance(ended, Ended)
    assert ended.outcome.clean


@pytest.mark.parametrize("requestor", [True, False])
def test_a_blank_cell_reached_is_our_own_bug_and_says_so(requestor: bool) -> None:
    ul = made(requestor)
    with pytest.raises(RuntimeError, match="P_DATA_REQUEST in STA"):
        ul._do(Evt.P_DATA_REQUEST, [])
    if not requestor:
        with pytest.raises(RuntimeError, match="no A-ASSOCIATE-RQ"):
            ul._request()


def test_the_time_is_the_latest_told() -> None:
    ul = made(requestor=True)
    ul.transport_opened(NOW + 5)
    ul.handle_timeout(NOW + 1)  # loops fire early, and clocks are read twice
    assert ul.now == NOW + 5
