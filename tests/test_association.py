"""The front door: what an association promises, one property for each promise, and what it routes."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conversations import LIMITS, WINDOW, Conversation, Run, conversations
from engine_pair import (
    ABORT,
    CT,
    FIND,
    INSTANCE,
    MR,
    QUERY,
    RELEASE_RP,
    RELEASE_RQ,
    Cut,
    Pair,
    Scripted,
    acceptor,
    bytewise,
    command,
    data,
    echo_rq,
    echo_rsp,
    joined,
    pdv,
    requestor,
    store_rq,
    store_rsp,
    whole,
)
from sansdimse.association import Association
from sansdimse.deviations import Code
from sansdimse.dimse.command import encode_command
from sansdimse.dimse.messages import (
    CCancelRQ,
    CEchoRQ,
    CEchoRSP,
    UnknownCommand,
)
from sansdimse.errors import LocalProtocolError
from sansdimse.events import (
    NEED_DATA,
    Aborted,
    AssociationAccepted,
    AssociationRejected,
    AssociationRequested,
    CancelRequested,
    DatasetReceived,
    EchoRequested,
    Ended,
    FindRequested,
    ReleaseCompleted,
    ReleaseRequested,
    ResponseReceived,
    StoreRequested,
    TimedOut,
    TransportClosed,
)
from sansdimse.limits import Limits
from sansdimse.outcome import OutcomeKind, Side
from sansdimse.profile import LENIENT, STRICT
from sansdimse.services.retrieve import GetSCP, MoveSCP
from sansdimse.uids import EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN, VERIFICATION
from sansdimse.ul.items import AsynchronousOperationsWindow
from sansdimse.ul.machine import Turn
from sansdimse.ul.negotiation import answer, propose
from sansdimse.ul.parties import Acceptor, PresentationContext, Requestor
from sansdimse.ul.pdu import AAbort, AAssociateAC, AAssociateRJ, PDataTF
from sansdimse.ul.table import State
from sansdimse.ul.timers import Timer

few = settings(max_examples=120)

# ================================================================ the promises


_STATE_AFTER = {
    AssociationRequested: {State.STA3},
    AssociationAccepted: {State.STA6},
    AssociationRejected: {State.STA1},
    ReleaseRequested: {State.STA8, State.STA9, State.STA10},
    ReleaseCompleted: {State.STA1, State.STA12},
    Aborted: {State.STA1, State.STA13},
    TransportClosed: {State.STA1},
    TimedOut: {State.STA1, State.STA13},
    Ended: {State.STA1},
    EchoRequested: {State.STA6, State.STA7},
    ResponseReceived: {State.STA6, State.STA7},
}


@few
@given(conversations)
def test_causal(conversation: Conversation) -> None:
    # Told byte by byte, the engine cannot know what follows; told all at once it must not let it show.
    dense, sparse = Run(conversation), Run(conversation, bytewise)
    assert dense.states == sparse.states
    told = [event for event in dense.end.events if not isinstance(event, DatasetReceived)]
    for event, state in zip(told, dense.states, strict=True):
        assert state in _STATE_AFTER.get(type(event), set(State))


def test_the_state_one_reads_is_that_of_the_last_event() -> None:
    end = Scripted(acceptor())
    engine = end.engine
    engine.receive_data(propose(requestor()).encode() + ABORT.encode(), 0.0)
    assert engine.state is State.STA2
    assert isinstance(engine.next_event(), AssociationRequested)
    assert engine.state is State.STA3
    engine.accept()
    assert engine.next_event() == Aborted(0, 0, by_peer=True)
    assert isinstance(engine.next_event(), Ended)


@few
@given(conversations, st.lists(st.integers(1, 30), min_size=1, max_size=4))
def test_chunking_does_not_matter(conversation: Conversation, sizes: list[int]) -> None:
    def cut(raw: bytes) -> Iterable[bytes]:
        index = start = 0
        while start < len(raw):
            size = sizes[index % len(sizes)]
            yield raw[start : start + size]
            start, index = start + size, index + 1

    expected = Run(conversation).trace()
    assert Run(conversation, cut).trace() == expected
    assert Run(conversation, bytewise).trace() == expected


@few
@given(conversations)
def test_total(conversation: Conversation) -> None:
    run = Run(conversation)  # whatever is raised but LocalProtocolError ends the test
    assert run.engine.state in State
    for event in run.end.events:
        if isinstance(event, Aborted) and not event.by_peer:
            assert event.cause is not None


@few
@given(conversations, st.booleans())
def test_it_always_ends(conversation: Conversation, reads: bool) -> None:
    run = Run(conversation)
    engine, end = run.engine, run.end
    for operation in engine.outstanding:  # a data set that our own user has begun is for our user to end
        operation.abandon()
    engine.data_to_send(end.now)
    for _ in range(20):
        end.pump()
        if reads:
            end.take(end.now)
        if engine.wants_close and (not engine.bytes_unsent or engine.next_timeout() is None):
            break
        deadline = engine.next_timeout()
        assert deadline is not None
        end.now = max(end.now, deadline)
        engine.handle_timeout(end.now)
    assert isinstance(engine.next_event(), Ended)
    assert not engine.bytes_unsent


@few
@given(conversations)
def test_a_local_mistake_changes_nothing(conversation: Conversation) -> None:
    run = Run(conversation)
    assert Run(conversation, skip=frozenset(run.mistakes)).trace() == run.trace()


@few
@given(conversations, st.none() | st.just("reset"))
def test_one_end(conversation: Conversation, error: str | None) -> None:
    run = Run(conversation)
    run.engine.receive_eof(run.end.now, error)
    run.end.pump()
    run.end.take(run.end.now)
    events = run.end.events
    assert [isinstance(event, Ended) for event in events].count(True) == 1
    last = events[-1]
    assert isinstance(last, Ended)
    assert run.engine.state is State.STA1
    assert run.engine.wants_close
    assert run.engine.next_event() is run.engine.next_event() is last
    assert run.engine.outcome is last.outcome
    assert not run.engine.outstanding
    assert not run.engine.unanswered
    for operation in run.operations:
        assert operation.over
    before = run.trace()
    run.engine.abort()
    run.engine.handle_timeout(run.end.now + 1000)
    run.engine.next_event()
    assert run.trace() == before


@few
@given(conversations)
def test_bounded(conversation: Conversation) -> None:
    # The largest that a message of ours can be in these conversations, framed in PDUs of own_pdu bytes.
    message = 768
    run = Run(conversation)
    engine = run.engine
    assert len(engine.deviations) <= LIMITS.deviations
    assert engine.bytes_buffered <= LIMITS.associate_pdu
    assert engine.bytes_unsent <= LIMITS.output_high_water + (LIMITS.queued_messages + 1) * message
    for arriving in (engine._invoker._arriving, engine._performer._arriving):
        assert arriving is None or len(arriving.data) <= LIMITS.identifier
    assert engine._outbox._bytes_waiting <= LIMITS.output + message
    assert len(engine.unanswered) <= WINDOW.performed + LIMITS.operations_over_window + 1
    assert len(engine.outstanding) <= WINDOW.invoked
    assert len(engine._performer._held) <= LIMITS.operations_over_window + 1
    held = sum(len(held.data) + _told_with(held.event) for held in engine._performer._held)
    assert held == engine._performer._held_bytes or engine.state is not State.STA6
    assert held <= LIMITS.held_data + LIMITS.identifier
    for operation in run.operations:
        if isinstance(operation, GetSCP | MoveSCP):
            counts = operation.suboperations
            running = len(operation.outstanding) if isinstance(operation, GetSCP) else 0
            assert counts.completed + counts.failed + counts.warning + running <= (counts.expected or 0)
    # Answers wait beside our own requests, and who may ask now gets an answer yet.
    assert len(engine._outbox._queue) <= 2 * LIMITS.queued_messages + WINDOW.performed + LIMITS.operations_over_window
    assert len(engine._assembler._command) <= LIMITS.command_set
    assert len(engine.deadlines()) <= len(Timer) + 2 * (WINDOW.invoked + len(engine.unanswered))


def _told_with(event: Any) -> int:
    return len(getattr(event, "identifier", None) or getattr(event, "data_set", None) or b"")


@few
@given(conversations)
def test_deterministic(conversation: Conversation) -> None:
    assert Run(conversation).trace() == Run(conversation).trace()


# ================================================================ cases

WITH_IDLE = Limits(idle=20.0)


def cause(event: Any) -> tuple[int, int, Code]:
    """Of the one ``Aborted`` that a fault of the peer gave: source, reason and code."""
    [aborted] = event
    assert isinstance(aborted, Aborted)
    assert not aborted.by_peer
    assert aborted.cause is not None
    return aborted.source, aborted.reason, aborted.cause.code


@few
@given(conversations, st.integers(1, 5))
def test_in_turns_the_same_comes_about(conversation: Conversation, steps: int) -> None:
    at_once = Run(conversation)
    turns = []

    def in_turns(self: Association) -> Any:
        while (event := next_event(self, Turn(steps))) is None:
            turns.append(self)
        return event

    next_event = Association.next_event
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Association, "next_event", in_turns)
        taken_in_turns = Run(conversation)
    assert taken_in_turns.end.events == at_once.end.events
    assert taken_in_turns.states == at_once.states
    assert taken_in_turns.end.sent == at_once.end.sent
    assert taken_in_turns.engine.deadlines() == at_once.engine.deadlines()


def test_what_is_told_of_nothing_takes_its_turns() -> None:
    """A data set that nobody wants any more, in fragments of one byte."""
    end = Scripted.established(acceptor())
    [event] = end.send(store_rq())
    event.operation.respond(0xA700)  # type: ignore[union-attr]
    end.engine.receive_data(PDataTF((pdv(3, b"x", is_last=False),) * 1000).encode(), 0.0)
    turns = 0
    while end.engine.next_event(Turn(100)) is None:
        turns += 1
    assert turns == 10
    assert end.engine.next_event() is NEED_DATA


def test_two_of_us_talk_release_and_count() -> None:
    pair = Pair(requestor(), acceptor(), cut=bytewise)
    pair.establish()
    us, them = pair.requestor.engine, pair.acceptor.engine
    assert us.is_requestor
    assert not them.is_requestor
    assert us.request == them.request == propose(requestor())
    assert [context.accepted for context in us.contexts] == [True, True, False]
    assert us.agreement is not None
    echo = us.c_echo()
    pair.run()
    [asked] = pair.acceptor.events
    assert asked == EchoRequested(them.contexts[0], CEchoRQ(message_id=1, affected_sop_class_uid=VERIFICATION), None)  # type: ignore[arg-type]
    asked.operation.respond()
    pair.run()
    store = us.c_store(CT, INSTANCE, move_originator=("MOVER", 7))
    store.send_data(b"abcd", is_last=True)
    pair.run()
    requested, content = joined(pair.acceptor.events[1:])
    assert requested.request.move_originator_application_entity_title == "MOVER"
    assert requested.request.move_originator_message_id == 7
    assert content == DatasetReceived(2, b"abcd", True, None)  # type: ignore[arg-type]
    requested.operation.respond()
    pair.run()
    assert [operation.status for operation in (echo, store)] == [0, 0]
    us.release()
    pair.run()
    them.respond_release()
    pair.run()
    ours, theirs = us.outcome, them.outcome
    assert ours is not None
    assert theirs is not None
    assert (ours.kind, ours.by, theirs.by) == (OutcomeKind.RELEASED, Side.LOCAL, Side.PEER)
    assert (ours.bytes_sent, ours.bytes_received) == (theirs.bytes_received, theirs.bytes_sent)
    assert (ours.messages_sent, ours.messages_received) == (theirs.messages_received, theirs.messages_sent) == (2, 2)
    assert ours.outstanding == theirs.outstanding == 0


def test_nothing_is_answered_by_itself() -> None:
    end = Scripted(acceptor())
    end.send(propose(requestor()))
    assert end.said() == []
    end.engine.accept()
    end.said()
    end.send(echo_rq(), RELEASE_RQ)
    assert end.said() == []


def test_what_the_acceptor_would_answer() -> None:
    end = Scripted(acceptor(require_called=True))
    with pytest.raises(LocalProtocolError, match="no association request"):
        end.engine.proposed_answer()
    end.send(propose(Requestor("ME", "OTHER", [VERIFICATION])))
    assert end.engine.proposed_answer() == AAssociateRJ(1, 1, 7)
    with pytest.raises(LocalProtocolError, match="result 1, source 1, reason 7"):
        end.engine.accept()
    assert end.engine.state is State.STA3
    end.engine.reject(1, 1, 7)
    assert end.said() == [AAssociateRJ(1, 1, 7)]
    with pytest.raises(LocalProtocolError, match="no association request"):
        Scripted(requestor()).engine.proposed_answer()


def test_a_requestor_learns_that_it_was_rejected() -> None:
    end = Scripted(requestor())
    assert end.send(AAssociateRJ(2, 3, 1))[0] == AssociationRejected(2, 3, 1)
    assert end.engine.outcome is not None
    assert end.engine.outcome.kind is OutcomeKind.REJECTED


def test_an_answer_of_the_users_own() -> None:
    end = Scripted(acceptor())
    proposed = propose(requestor())
    end.send(proposed)
    response = answer(Acceptor("YOU", [MR]), proposed)
    assert isinstance(response, AAssociateAC)
    end.engine.accept(response)
    assert [context.accepted for context in end.engine.contexts] == [False, False, True]


@pytest.mark.parametrize(
    ("events", "code"),
    [
        ([data(1, b"xx")], Code.DATA_SET_UNANNOUNCED),
        ([echo_rq(), data(1, b"xx")], Code.DATA_SET_UNANNOUNCED),
        ([store_rq(), data(1, b"xx")], Code.DATA_SET_CONTEXT),
        ([store_rq(), echo_rq()], Code.DATA_SET_INTERRUPTED),
        ([store_rq(), data(3, b"xx", is_last=False), store_rq(2)], Code.DATA_SET_INTERRUPTED),
        ([command(1, UnknownCommand(0x0030, None, ()))], Code.COMMAND_ELEMENT_MISSING),
        ([PDataTF((pdv(1, b"\0\0\0", is_command=True),)).encode()], Code.COMMAND_MALFORMED),
        ([echo_rsp(), store_rq(), data(3, b"x" * 401)], Code.DATA_SET_TOO_LONG),
        ([PDataTF((pdv(1, b"x" * 600, is_command=True, is_last=False),)).encode()], Code.COMMAND_TOO_LONG),
        ([store_rq()] + [data(3, b"", is_last=False)] * 40, Code.FRAGMENTS_TOO_MANY),
    ],
)
@pytest.mark.parametrize("config", [requestor(limits=LIMITS), acceptor(limits=LIMITS)], ids=["requestor", "acceptor"])
def test_what_is_no_dimse_aborts_as_user(config: Requestor | Acceptor, events: list[bytes], code: Code) -> None:
    end = Scripted.established(config)
    for part in events[:-1]:
        end.send(part)
        assert end.engine.state is State.STA6
    assert cause(end.send(events[-1])) == (0, 0, code)
    assert end.said() == [AAbort(0, 0)]
    outcome = end.engine.outcome
    assert outcome is not None
    assert outcome.cause is not None
    assert outcome.cause.code is code
    # One abort; the rest is discarded (until the peer closes).
    assert end.send(echo_rq(), data(3, b"xx")) == []
    assert end.said() == []
    assert isinstance(end.eof()[0], Ended)


def test_lenient_swallows_data_that_nobody_announced() -> None:
    end = Scripted.established(acceptor(profile=LENIENT))
    assert end.send(data(1, b"xx")) == []
    [echo] = end.send(echo_rq())
    assert isinstance(echo, EchoRequested)
    assert end.send(store_rq(2), data(1, b"xx"))[1:] == []  # within the window of 1 it waits
    echo.operation.respond()
    requested, content = end.pump()
    assert isinstance(requested, StoreRequested)
    assert content == DatasetReceived(2, b"xx", True, None)  # type: ignore[arg-type]
    assert {Code.DATA_SET_UNANNOUNCED, Code.DATA_SET_CONTEXT} <= set(end.codes)


@pytest.mark.parametrize("first", [b"", echo_rq()])
def test_a_context_that_was_not_accepted_is_an_invalid_pdu(first: bytes) -> None:
    end = Scripted.established(acceptor())
    assert cause(end.send(first, echo_rq(context_id=5), b"junk is not answered")[-1:]) == (
        2,
        6,
        Code.PDV_CONTEXT_UNKNOWN,
    )
    assert end.send(b"nor is what comes later") == []
    assert end.said() == [AAbort(2, 6)]


def test_what_the_profile_refuses_of_a_fragment_is_an_invalid_pdu() -> None:
    odd = store_rq() + data(3, b"odd")
    end = Scripted.established(acceptor())
    assert len(end.send(odd)) == 2
    assert end.codes == [Code.FRAGMENT_ODD]
    end = Scripted.established(acceptor(profile=STRICT))
    assert cause(end.send(odd)[1:]) == (2, 6, Code.FRAGMENT_ODD)


@pytest.mark.parametrize("cut", [whole, bytewise])
def test_the_first_fault_counts_however_it_was_cut(cut: Cut) -> None:
    end = Scripted.established(acceptor(profile=STRICT))
    end.cut = cut
    malformed_and_odd = PDataTF((pdv(1, b"\0\0\0", is_command=True),)).encode()
    assert cause(end.send(malformed_and_odd)) == (2, 6, Code.FRAGMENT_ODD)


def test_strict_refuses_what_is_odd_about_a_command() -> None:
    reversed_elements = bytearray(encode_command(CEchoRQ(message_id=1, affected_sop_class_uid=VERIFICATION)))
    del reversed_elements[:12]  # no group length
    raw = PDataTF((pdv(1, bytes(reversed_elements), is_command=True),)).encode()
    end = Scripted.established(acceptor())
    assert isinstance(end.send(raw)[0], EchoRequested)
    assert end.codes == [Code.GROUP_LENGTH_MISSING]
    end = Scripted.established(acceptor(profile=STRICT))
    assert cause(end.send(raw)) == (0, 0, Code.GROUP_LENGTH_MISSING)


def test_a_cancel_that_crossed_the_response_has_no_effect() -> None:
    end = Scripted.established(acceptor())
    [echo] = end.send(echo_rq(1))
    echo.operation.respond()  # type: ignore[union-attr]
    end.said()
    assert end.send(command(1, CCancelRQ(message_id_being_responded_to=1))) == []
    assert end.codes == [Code.CANCEL_UNKNOWN]
    assert end.said() == []


def test_two_messages_in_one_pdu_are_both_served() -> None:
    both = [
        pdv(1, encode_command(CEchoRQ(message_id=n, affected_sop_class_uid=VERIFICATION)), is_command=True)
        for n in (1, 2)
    ]
    window = AsynchronousOperationsWindow(2, 2)
    end = Scripted.established(acceptor(window=window), requestor(window=window))
    events = end.send(PDataTF(tuple(both)))
    assert [event.request.message_id for event in events] == [1, 2]  # type: ignore[union-attr]
    assert end.codes == [Code.MESSAGES_SHARE_PDU]


def test_a_sender_above_our_maximum_length() -> None:
    end = Scripted.established(acceptor(maximum_length=1024))
    end.send(store_rq(), data(3, b"x" * 4000, is_last=False))
    assert end.codes == [Code.PDU_ABOVE_MAXIMUM]
    assert cause(end.send(data(3, b"x" * 5000))) == (2, 6, Code.PDU_ABOVE_MAXIMUM)


# ---------------------------------------------------------------- contexts to invoke on


def test_which_context_an_operation_takes() -> None:
    jpeg = "1.2.840.10008.1.2.4.50"
    contexts: list[PresentationContext | str] = [
        PresentationContext(CT, (IMPLICIT_VR_LITTLE_ENDIAN,)),
        PresentationContext(CT, (EXPLICIT_VR_LITTLE_ENDIAN,)),
        PresentationContext(MR, scu=False, scp=True),
        "1.2.840.10008.5.1.4.1.1.7",
    ]
    end = Scripted.established(
        Requestor("ME", "YOU", contexts), Acceptor("YOU", [PresentationContext(CT), PresentationContext(MR, scp=True)])
    )
    engine = end.engine
    for wanted, text in [
        ((CT, INSTANCE, jpeg), "these transfer syntaxes would do: Implicit VR Little Endian.*, Explicit VR Little"),
        ((MR, INSTANCE), "we are not the SCU of MR Image Storage"),
        (("1.2.840.10008.5.1.4.1.1.7", INSTANCE), "the peer refused every context for .*, with result 3"),
        (("1.2.3", INSTANCE), "no context for 1.2.3 was proposed"),
    ]:
        with pytest.raises(LocalProtocolError, match=text):
            engine.c_store(*wanted)
    with pytest.raises(LocalProtocolError, match="no context for Verification"):
        engine.c_echo()
    with pytest.raises(LocalProtocolError, match="presentation context 7 was not accepted"):
        engine.c_store("1.2.3", INSTANCE, context_id=7)
    with pytest.raises(LocalProtocolError, match="presentation context 9 was not accepted"):
        engine.c_store(CT, INSTANCE, context_id=9)
    with pytest.raises(LocalProtocolError, match=r"context 1 is for 1\.2\.840\.10008\.1\.2, not "):
        engine.c_store(CT, INSTANCE, EXPLICIT_VR_LITTLE_ENDIAN, context_id=1)
    with pytest.raises(LocalProtocolError, match="we are not the SCU of MR Image Storage"):
        engine.c_store(MR, INSTANCE, context_id=5)
    assert end.said() == []
    store = engine.c_store(CT, INSTANCE, EXPLICIT_VR_LITTLE_ENDIAN)
    assert (store.context.id, store.message_id) == (3, 1)
    store.send_data(b"", is_last=True)
    end.send(store_rsp(context_id=3))
    assert engine.c_store(CT, INSTANCE, context_id=3).context.transfer_syntax == EXPLICIT_VR_LITTLE_ENDIAN


def test_nothing_is_invoked_before_there_is_an_association() -> None:
    end = Scripted(requestor())
    assert end.engine.agreement is None
    assert end.engine.contexts == ()
    assert not end.engine.has_room
    with pytest.raises(LocalProtocolError, match="no operation can be invoked in Sta5"):
        end.engine.c_echo()


def test_which_context_there_would_be_is_told_only_once_there_is_an_association() -> None:
    with pytest.raises(LocalProtocolError, match="the association is not established"):
        Scripted(requestor()).engine.context_for(CT)
    assert Scripted.established(requestor()).engine.context_for(CT).id == 3


def test_a_find_is_routed_with_its_identifiers() -> None:
    pair = Pair(requestor(QUERY), acceptor(QUERY), cut=bytewise)
    pair.establish()
    find = pair.requestor.engine.c_find(FIND, b"query.")
    pair.run()
    [asked] = pair.acceptor.events
    assert isinstance(asked, FindRequested)
    assert asked.identifier == b"query."
    asked.operation.send_match(b"match.")
    find.cancel()
    pair.run()
    assert pair.acceptor.events[1:] == [CancelRequested(1, asked.operation)]
    asked.operation.finish(0xFE00)
    pair.run()
    assert [(event.status, event.identifier) for event in pair.requestor.events] == [
        (0xFF00, b"match."),
        (0xFE00, None),
    ]


# ---------------------------------------------------------------- release


def test_release_waits_for_what_is_open() -> None:
    end = Scripted.established(requestor())
    echo = end.engine.c_echo()
    assert not end.engine.has_room
    with pytest.raises(LocalProtocolError, match=r"cannot request a release: <Request 1 on context 1, sent> not fin"):
        end.engine.release()
    end.send(echo_rq(7))
    end.send(echo_rsp(1))
    assert echo.over
    assert end.engine.has_room
    with pytest.raises(LocalProtocolError, match=r"<EchoSCP 7 on context 1, unanswered>"):
        end.engine.release()
    assert end.engine.state is State.STA6
    end.said()
    end.engine.release(force=True)
    assert end.said() == [RELEASE_RQ]


def test_data_after_our_release_request_is_delivered_and_not_answered() -> None:
    end = Scripted.established(requestor())
    end.engine.release()
    [asked] = end.send(echo_rq(3))
    assert isinstance(asked, EchoRequested)
    with pytest.raises(LocalProtocolError, match="no request can be answered in Sta7"):
        asked.operation.respond()
    # In a collision nothing can be answered either, so it hinders no release.
    assert end.send(RELEASE_RQ) == [ReleaseRequested(collision=True)]
    end.engine.respond_release()
    assert end.engine.state is State.STA11
    *_, ended = end.send(RELEASE_RP)
    assert isinstance(ended, Ended)
    assert ended.outcome.outstanding == 1


def test_release_of_the_peer_ends_our_requests_not_theirs() -> None:
    end = Scripted.established(requestor())
    echo = end.engine.c_echo()
    [asked] = end.send(echo_rq(9))
    assert end.send(RELEASE_RQ) == [ReleaseRequested()]
    assert echo.over
    assert echo.status is None
    assert (end.engine.outstanding, end.engine.unanswered) == ((), (asked.operation,))  # type: ignore[union-attr]
    with pytest.raises(LocalProtocolError, match="cannot answer a release: <EchoSCP 9"):
        end.engine.respond_release()
    asked.operation.respond()  # type: ignore[union-attr]
    end.engine.respond_release()
    assert [type(said) for said in end.said()] == [CEchoRQ, CEchoRSP, type(RELEASE_RP)]
    [ended] = end.eof()
    assert isinstance(ended, Ended)
    assert ended.outcome.outstanding == 1  # the echo that nobody answered


def test_release_can_be_answered_by_force() -> None:
    end = Scripted.established(acceptor())
    end.send(echo_rq(), RELEASE_RQ)
    end.engine.respond_release(force=True)
    assert end.engine.state is State.STA13


def test_data_after_the_peers_own_release_request_aborts() -> None:
    end = Scripted.established(acceptor())
    end.send(RELEASE_RQ)
    assert cause(end.send(echo_rq())) == (2, 2, Code.PDU_UNEXPECTED)


def test_what_follows_a_data_set_cut_by_the_peers_release_is_not_said() -> None:
    # What one sent now, the peer would take for a command within the data set that is open (PS3.8 E.1).
    end = Scripted.established(requestor())
    store = end.engine.c_store(CT, INSTANCE)
    store.send_data(b"x" * 40000)
    [asked] = end.send(echo_rq(4))
    end.send(RELEASE_RQ)
    before = bytes(end.sent) + end.take(0.0)
    asked.operation.respond()  # type: ignore[union-attr]
    end.engine.respond_release()
    assert before + end.take(0.0) == before + RELEASE_RP.encode()


# ---------------------------------------------------------------- ends


def test_connection_lost_in_the_middle_of_a_data_set() -> None:
    end = Scripted.established(acceptor())
    asked, piece = end.send(store_rq(), data(3, b"half", is_last=False))
    assert isinstance(asked, StoreRequested)
    assert isinstance(piece, DatasetReceived)
    assert not piece.is_last
    closed, ended = end.eof("reset by peer")
    assert closed == TransportClosed("reset by peer")
    assert isinstance(ended, Ended)
    assert ended.outcome.outstanding == 1
    assert ended.outcome.messages_received == 1
    assert not ended.outcome.clean
    assert asked.operation.over
    with pytest.raises(LocalProtocolError, match="its association ended"):
        asked.operation.respond()


def test_a_peer_that_just_closes_after_its_work() -> None:
    end = Scripted.established(acceptor())
    [asked] = end.send(echo_rq())
    asked.operation.respond()  # type: ignore[union-attr]
    closed, ended = end.eof()
    assert closed == TransportClosed()
    assert isinstance(ended, Ended)
    assert ended.outcome.clean
    assert end.codes == [Code.CLOSED_WITHOUT_RELEASE]


def test_abort_is_always_legal() -> None:
    engine = Association(acceptor(), now=0.0)
    engine.abort()
    assert engine.state is State.STA1
    assert engine.next_event() is NEED_DATA
    end = Scripted.established(acceptor())
    end.engine.abort()
    end.engine.abort()
    assert end.said() == [AAbort(0, 0)]
    assert end.engine.bytes_unsent == 0


def test_requests_open_at_the_end_are_over() -> None:
    end = Scripted.established(requestor())
    echo = end.engine.c_echo()
    aborted, ended = end.send(ABORT)
    assert aborted == Aborted(0, 0, by_peer=True)
    assert isinstance(ended, Ended)
    assert ended.outcome.outstanding == 1
    assert echo.over
    assert echo.status is None


# ---------------------------------------------------------------- deadlines


def test_a_message_that_has_begun_must_go_on() -> None:
    end = Scripted.established(acceptor())
    end.send(store_rq())
    assert end.engine.deadlines()[(Timer.MESSAGE_COMPLETION, 0)] == 60.0
    end.wait(50.0)
    end.send(data(3, b"xx", is_last=False))
    assert end.engine.deadlines()[(Timer.MESSAGE_COMPLETION, 0)] == 110.0
    end.wait(59.0)
    assert end.engine.state is State.STA6
    assert end.engine.next_timeout() == 110.0
    assert end.wait(1.0) == [TimedOut(Timer.MESSAGE_COMPLETION)]
    assert end.said() == [AAbort(0, 0)]
    assert (Timer.MESSAGE_COMPLETION, 0) not in end.engine.deadlines()


def test_a_message_that_is_complete_waits_for_nothing() -> None:
    end = Scripted.established(acceptor())
    end.send(store_rq(), data(3, b"xx", is_last=False))
    end.send(data(3, b"", is_last=True))
    assert (Timer.MESSAGE_COMPLETION, 0) not in end.engine.deadlines()


def test_a_pdu_that_has_begun_is_visible() -> None:
    end = Scripted.established(acceptor())
    end.send(echo_rq()[:20])
    assert end.engine.mid_pdu
    assert end.engine.bytes_buffered == 0
    end.send(echo_rq()[20:])
    assert not end.engine.mid_pdu


def test_idle_is_when_nothing_is_outstanding() -> None:
    end = Scripted.established(requestor(limits=WITH_IDLE))
    idle = (Timer.IDLE, 0)
    assert end.engine.deadlines()[idle] == 20.0
    end.wait(19.0)
    end.engine.c_echo()
    end.wait(2.0)  # a request of ours is no idleness, even before anybody asked for events
    assert end.engine.state is State.STA6
    assert idle not in end.engine.deadlines()
    end.send(echo_rsp())
    assert end.engine.deadlines()[idle] == 41.0
    end.send(store_rq()[:30])
    end.wait(15.0)
    end.send(store_rq()[30:])
    assert idle not in end.engine.deadlines()
    end.send(data(3, b""))
    assert idle not in end.engine.deadlines()
    end.engine.unanswered[0].respond()  # type: ignore[attr-defined]
    end.pump()
    assert end.engine.deadlines()[idle] == 56.0
    assert end.wait(20.0) == [TimedOut(Timer.IDLE)]


def test_a_release_is_no_idleness() -> None:
    end = Scripted.established(requestor(limits=WITH_IDLE))
    end.wait(10.0)
    end.engine.release()
    end.take(end.now)
    assert end.wait(11.0) == []
    assert end.engine.state is State.STA7
    assert end.wait(20.0) == [TimedOut(Timer.RELEASE)]


def test_what_one_may_look_at() -> None:
    end = Scripted.established(acceptor(limits=WITH_IDLE))
    assert end.engine.limits is WITH_IDLE
    assert end.engine.outcome is None
    end.engine.receive_data(echo_rq(), 0.0)
    assert end.engine.bytes_buffered == len(echo_rq())
    [asked] = end.pump()
    asked.operation.respond()
    assert end.engine.bytes_unsent == len(echo_rsp())


def test_a_data_set_of_any_length_takes_no_memory_of_ours() -> None:
    """One PDU of 64 MiB (maximum length 0), and the same in fragments of 16 KiB: neither is kept."""
    size, chunk = 64 << 20, bytes(1 << 16)
    for in_one_pdu in (True, False):
        config = acceptor(maximum_length=0)
        scripted = Scripted.established(config)
        engine = scripted.engine
        scripted.send(store_rq())
        tracemalloc.start()
        if in_one_pdu:
            engine.receive_data(
                b"\x04\0" + (size + 6).to_bytes(4, "big") + (size + 2).to_bytes(4, "big") + b"\3\2", 0.0
            )
        received = 0
        for _ in range(size // len(chunk)):
            fragments = [chunk] if in_one_pdu else [data(3, chunk[:16384], is_last=False)] * 4
            for fragment in fragments:
                engine.receive_data(fragment, 0.0)
                while (event := engine.next_event()) is not NEED_DATA:
                    assert isinstance(event, DatasetReceived)
                    received += len(event.data)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert received == size
        assert peak < 1 << 20


def test_what_a_transport_and_a_bookkeeper_may_look_at() -> None:
    engine = Scripted.established(acceptor()).engine
    request = echo_rq()
    engine.receive_data(request[:20], 3.0)
    assert engine.next_event() is NEED_DATA
    assert (engine.now, engine.mid_pdu) == (3.0, True)
    engine.receive_data(request[20:], 4.0)
    event = engine.next_event()
    assert isinstance(event, EchoRequested)
    assert not engine.mid_pdu
    assert engine.take_over() == []
    event.operation.respond()
    assert engine.take_over() == [event.operation]
    assert engine.take_over() == []
    engine.handle_timeout(5.0)
    assert engine.timeout_pending
    assert engine.next_event() is NEED_DATA
    assert (engine.now, engine.timeout_pending) == (5.0, False)
