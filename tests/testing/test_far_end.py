"""The checker's own end: it hears what is there, and says in a sentence what is not."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from sansdimse.dimse.messages import CEchoRQ, CFindRQ, CFindRSP, CStoreRQ, CStoreRSP
from sansdimse.outcome import Outcome, OutcomeKind, Side
from sansdimse.peer.watch import AssociationEnded, Ending, OperationEnded, OperationOutcome, Statistics
from sansdimse.testing.check import Fault
from sansdimse.testing.far_end import (
    PATIENT,
    STORING,
    FarEnd,
    Notebook,
    acceptor,
    content,
    data_set,
    echo_rq,
    echo_rsp,
    find_rq,
    find_rsp,
    fragment,
    instance,
    limits,
    requestor,
    store_rq,
    store_rsp,
)
from sansdimse.ul.negotiation import answer, propose
from sansdimse.ul.pdu import AAbort, AAssociateAC, AAssociateRQ, AReleaseRP, AReleaseRQ
from sansdimse.ul.table import State


class Script:
    """A wire of which the test says what comes: bytes, or errors."""

    def __init__(self, *comes: bytes | OSError, send: OSError | None = None) -> None:
        self.comes = list(comes)
        self.send_error = send
        self.sent = b""
        self.patience: list[float | None] = []

    def send(self, data: bytes, patience: float | None = None) -> None:
        self.patience.append(patience)
        if self.send_error is not None:
            raise self.send_error
        self.sent += data

    def receive(self, patience: float | None = None) -> bytes:
        comes = self.comes.pop(0)
        if isinstance(comes, OSError):
            raise comes
        return comes

    def end(self) -> None: ...

    def close(self) -> None: ...

    def reset(self) -> None: ...


def far(*comes: bytes | OSError) -> FarEnd:
    return FarEnd(Script(*comes))


def test_it_hears_pdus_messages_and_data_sets_however_they_are_cut() -> None:
    said = [
        propose(requestor()).encode(),
        echo_rq(1),
        echo_rsp(1),
        store_rq(2) + data_set(content(300), 100),
        store_rsp(2),
        find_rq(3),
        find_rsp(3, 0),
        AReleaseRQ().encode(),
    ]
    whole = b"".join(said)
    for size in (1, 7, len(whole)):
        end = far(*[whole[at : at + size] for at in range(0, len(whole), size)], b"")
        assert end.hear(AAssociateRQ) == propose(requestor())
        assert [end.hear(CEchoRQ).message_id, end.hear_answer().message_id_being_responded_to] == [1, 1]
        assert end.hear(CStoreRQ).message_id == 2
        assert end.hear(bytes) == content(300)
        assert isinstance(end.hear_answer(), CStoreRSP)
        assert end.hear(CFindRQ).message_id == 3
        end.hear(bytes)
        assert end.hear(CFindRSP).status == 0
        end.hear(AReleaseRQ)
        end.hear_end()


@pytest.mark.parametrize(
    ("comes", "sentence"),
    [
        ((AReleaseRP().encode(),), "AReleaseRQ should have come, and AReleaseRP did"),
        ((b"",), "AReleaseRQ should have come, and the end of the stream did"),
        ((TimeoutError(),), "nothing came where AReleaseRQ should have"),
        ((ConnectionResetError("reset"),), "the connection broke where AReleaseRQ should have come: reset"),
        ((b"\x05\0\0\0", b""), "the stream ended in the middle of something where AReleaseRQ should have come"),
        ((b"HTTP/1.1",), "what came is no PDU"),
    ],
)
def test_it_says_what_came_instead(comes: Any, sentence: str) -> None:
    with pytest.raises(Fault, match=sentence):
        far(*comes).hear(AReleaseRQ)


def test_a_data_set_is_no_pdu_and_half_of_one_is_none() -> None:
    for is_last, sentence in ((True, "and a data set of 4 bytes did"), (False, "the stream ended in the middle")):
        end = far(store_rq(1) + fragment(STORING, b"1234", is_last=is_last), b"")
        end.hear(CStoreRQ)
        with pytest.raises(Fault, match=sentence):
            end.hear(AReleaseRQ)


def test_an_answer_must_be_one() -> None:
    with pytest.raises(Fault, match="a response should have come, and AAbort did"):
        far(AAbort(0, 0).encode()).hear_answer()


def test_the_end_must_be_one() -> None:
    with pytest.raises(Fault, match="the end of the stream should have come, and AAbort did"):
        far(AAbort(0, 0).encode()).hear_end()


def test_nothing_must_come() -> None:
    far(TimeoutError()).hear_nothing(0.1)
    for comes, sentence in ((b"x", "and bytes came"), (b"", "and its end came"), (OSError("gone"), "and broke: gone")):
        with pytest.raises(Fault, match=sentence):
            far(comes).hear_nothing(0.1)


def test_the_rest_is_counted_up_to_the_end_of_any_kind() -> None:
    assert far(b"12", b"3", b"").rest() == 3
    assert far(b"12", ConnectionResetError()).rest() == 2
    with pytest.raises(Fault, match="never closed"):
        far(b"12", TimeoutError()).rest()


def test_what_is_said_is_sent_in_one_go() -> None:
    wire = Script()
    FarEnd(wire).say(AReleaseRQ(), b"1", b"2")
    assert wire.sent == AReleaseRQ().encode() + b"12"
    assert wire.patience == [None]


def test_drops_fall_until_the_other_end_has_had_enough() -> None:
    wire = Script(TimeoutError(), TimeoutError(), TimeoutError())
    assert FarEnd(wire).drip(b"123", 0.1)
    assert wire.sent == b"123"
    wire = Script(TimeoutError(), b"")
    assert not FarEnd(wire).drip(b"123", 0.1)
    assert wire.sent == b"12"


def test_only_the_deadlines_named_will_pass() -> None:
    made = limits(artim=0.1)
    assert (made.artim, made.idle, made.release) == (0.1, None, PATIENT.release)


def test_what_is_not_taken_is_told() -> None:
    end = FarEnd(Script(send=TimeoutError()))
    assert not end.offer(b"1", patience=0.1)
    with pytest.raises(Fault, match="reads no more"):
        end.say(b"1")
    with pytest.raises(Fault, match="broke while the checker was sending: gone"):
        FarEnd(Script(send=BrokenPipeError("gone"))).say(b"1")


def test_associations_are_asked_for_and_accepted() -> None:
    accepted = answer(acceptor(), propose(requestor()))
    assert isinstance(accepted, AAssociateAC)
    wire = Script(accepted.encode())
    assert FarEnd(wire).request() == accepted
    assert wire.sent == propose(requestor()).encode()
    wire = Script(propose(requestor()).encode())
    assert FarEnd(wire).accept(echo_rq(1)) == propose(requestor())
    assert wire.sent == accepted.encode() + echo_rq(1)


def test_all_contexts_are_accepted() -> None:
    accepted = answer(acceptor(), propose(requestor(None)))
    assert isinstance(accepted, AAssociateAC)
    assert [context.result for context in accepted.presentation_contexts] == [0, 0, 0]
    assert FarEnd(Script(accepted.encode())).request(requestor(None)) == accepted


def test_an_instance_tells_what_was_taken_of_it() -> None:
    taken: list[int] = []
    made = instance(content(100), taken.append, piece=40)
    assert b"".join(made.pieces()) == content(100)
    assert b"".join(instance(content(10)).pieces()) == content(10)
    assert taken == [40, 40, 20]


# ---------------------------------------------------------------- the notebook


class Patient:
    patience = 30.0

    def event(self) -> threading.Event:
        return threading.Event()


def ended() -> AssociationEnded:
    outcome = Outcome(kind=OutcomeKind.RELEASED, by=Side.PEER, state=State.STA6)
    return AssociationEnded(
        Statistics(
            address="",
            calling_ae_title="",
            called_ae_title="",
            outcome=outcome,
            duration=0.0,
            operations=0,
            deviations=(),
        )
    )


def test_it_waits_for_what_another_thread_tells() -> None:
    notebook = Notebook(Patient())  # type: ignore[arg-type]

    def tell() -> None:
        notebook.watch(ended())
        notebook.report(OSError(), "")

    thread = threading.Thread(target=tell)

    def told() -> bool:
        if thread.ident is None:  # only when it is waited for
            thread.start()
            return False
        return len(notebook.ended) == 1 and len(notebook.reports) == 1

    notebook.until(told, "it was never told")
    notebook.until(lambda: True, "it was told already")
    thread.join()
    notebook.noted()


def test_it_says_what_never_came_about() -> None:
    maker = Patient()
    maker.patience = 0.0
    notebook = Notebook(maker)  # type: ignore[arg-type]
    with pytest.raises(Fault, match="nobody told it"):
        notebook.until(lambda: bool(notebook.ended), "nobody told it")


def test_it_sorts_what_it_was_told() -> None:
    notebook = Notebook(Patient())  # type: ignore[arg-type]
    operation = OperationOutcome(
        service="C-ECHO",
        by=Side.PEER,
        message_id=1,
        sop_class_uid="1.2",
        sop_instance_uid=None,
        ending=Ending.ANSWERED,
        status=None,
        responses=1,
        duration=0.0,
    )
    notebook.watch(OperationEnded("here", operation))
    notebook.watch(ended())
    assert notebook.operations == [operation]
    assert len(notebook.ended) == 1
