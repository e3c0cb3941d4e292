"""C-ECHO as its SCP answers it."""

from __future__ import annotations

import pytest

from engine_pair import Scripted, acceptor, echo_rq
from sansdimse.dimse.messages import CEchoRSP
from sansdimse.errors import LocalProtocolError
from sansdimse.events import EchoRequested
from sansdimse.services.verification import EchoSCP
from sansdimse.uids import VERIFICATION


def asked(end: Scripted) -> EchoSCP:
    [event] = end.send(echo_rq(9))
    assert isinstance(event, EchoRequested)
    assert event.operation.request == event.request
    return event.operation


@pytest.mark.parametrize(
    ("given", "status", "comment"),
    [({}, 0, None), ({"status": 0x0122}, 0x0122, None), ({"status": 0x0110, "error_comment": "no"}, 0x0110, "no")],
)
def test_an_echo_is_answered(given: dict[str, object], status: int, comment: str | None) -> None:
    end = Scripted.established(acceptor())
    operation = asked(end)
    operation.respond(**given)  # type: ignore[arg-type]
    expected = CEchoRSP(
        message_id_being_responded_to=9, affected_sop_class_uid=VERIFICATION, status=status, error_comment=comment
    )
    assert end.said() == [expected]
    assert operation.over
    assert end.engine.unanswered == ()


def test_once() -> None:
    end = Scripted.established(acceptor())
    operation = asked(end)
    operation.respond()
    end.said()
    with pytest.raises(LocalProtocolError, match="request 9 was answered already"):
        operation.respond()
    assert end.said() == []


@pytest.mark.parametrize("given", [{"status": 0xFF00}, {"status": 70000}, {"error_comment": "x" * 65}])
def test_what_cannot_be_said_changes_nothing(given: dict[str, object]) -> None:
    end = Scripted.established(acceptor())
    operation = asked(end)
    with pytest.raises(LocalProtocolError):
        operation.respond(**given)  # type: ignore[arg-type]
    assert end.said() == []
    assert not operation.responded
    operation.respond()
    assert len(end.said()) == 1
