from __future__ import annotations

from typing import Any

import pytest

from sansdimse import Code, Limits, Outcome, OutcomeKind, RemoteProtocolError, Side, State, Timer
from sansdimse_apps.outcomes import CommandError, ExitCode, explain
from sansdimse_apps.target import Target, patience

TARGET = Target(host="pacs", port=104, calling="ME", called="YOU", maximum_length=0, limits=patience(1.5, 2.0, 0.0))


def explained(kind: OutcomeKind, by: Side, state: State, **more: Any) -> CommandError:
    return explain(Outcome(kind=kind, by=by, state=state, **more), TARGET)


@pytest.mark.parametrize(
    ("error", "message", "advice"),
    [
        ("pacs port 104: Connection refused; pacs port 104: Connection refused", "Connection refused", "Is a DICOM"),
        ("pacs: Name or service not known", "Name or service not known", "Check the host"),
        ("pacs port 104: No route to host", "No route to host", "firewall"),
        (None, "no reason was given", "Check the host"),
    ],
)
def test_not_reached(error: str | None, message: str, advice: str) -> None:
    told = explained(OutcomeKind.CLOSED, Side.NETWORK, State.STA4, error=error)
    assert (told.code, str(told)) == (ExitCode.NETWORK, f"pacs:104 cannot be reached: {message}")
    assert advice in told.advice


@pytest.mark.parametrize(
    ("result", "source", "reason", "words", "advice"),
    [
        (1, 1, 1, "no reason given", "-aet ME -aec YOU"),
        (1, 1, 2, "application context", "log"),
        (1, 1, 3, "calling AE title", "add 'ME'"),
        (1, 1, 7, "called AE title", "try -aec"),
        (1, 2, 1, "no reason", "-aet ME -aec YOU"),
        (1, 1, 1, "no reason", "when they take none of what was proposed"),
        (1, 2, 2, "protocol version", "log"),
        (2, 3, 1, "temporary congestion", "try again later"),
        (2, 3, 2, "local limit", "try again later"),
        (9, 9, 9, "source 9, reason 9", "log"),
    ],
)
def test_rejected(result: int, source: int, reason: int, words: str, advice: str) -> None:
    told = explained(OutcomeKind.REJECTED, Side.PEER, State.STA5, result=result, source=source, reason=reason)
    assert told.code is ExitCode.REFUSED
    assert str(told).startswith("pacs:104 rejected the association ")
    assert words in str(told)
    assert "Sta" not in str(told)
    assert advice in told.advice


@pytest.mark.parametrize(
    ("timer", "message", "advice"),
    [
        (Timer.CONNECT, "did not take the connection within 1.5 s", "-to"),
        (Timer.ASSOCIATION_RESPONSE, "did not answer the association request", "-ta"),
        (Timer.DIMSE_RESPONSE, "did not answer a request in time", "-td"),
        (Timer.OUTPUT_STALL, "was silent for too long (waiting for: output taken by the peer)", "log"),
        (None, "was silent for too long", "log"),
    ],
)
def test_timed_out(timer: Timer | None, message: str, advice: str) -> None:
    told = explained(OutcomeKind.TIMED_OUT, Side.LOCAL, State.STA6, timer=timer)
    assert (told.code, str(told)) == (ExitCode.NETWORK, f"pacs:104 {message}")
    assert advice in told.advice


def test_aborted() -> None:
    cause = RemoteProtocolError("rubbish came", code=Code.PDU_UNRECOGNIZED)
    early = explained(OutcomeKind.ABORTED, Side.LOCAL, State.STA5, cause=cause)
    late = explained(OutcomeKind.ABORTED, Side.LOCAL, State.STA6, cause=cause)
    assert str(early) == str(late) == "pacs:104 broke the protocol: rubbish came"
    assert early.code is late.code is ExitCode.NETWORK
    assert "Is it a DICOM server" in early.advice
    assert late.advice == ""
    assert explained(OutcomeKind.ABORTED, Side.PEER, State.STA5, source=0, reason=0).code is ExitCode.REFUSED
    assert explained(OutcomeKind.ABORTED, Side.PEER, State.STA6, source=0, reason=0).code is ExitCode.NETWORK


def test_closed() -> None:
    assert "instead of answering" in str(explained(OutcomeKind.CLOSED, Side.PEER, State.STA5))
    lost = explained(OutcomeKind.CLOSED, Side.NETWORK, State.STA6, error="Connection reset by peer")
    assert lost.code is ExitCode.NETWORK
    assert "Connection reset by peer" in str(lost)


def test_a_target_is_named_as_one_writes_it() -> None:
    assert str(TARGET) == "pacs:104"
    assert str(Target(host="::1", port=104, calling="A", called="B", maximum_length=0)) == "[::1]:104"


def test_no_timeout_is_no_limit() -> None:
    limits = patience(0, 0, 0)
    assert (limits.connect, limits.association_response, limits.release, limits.dimse_response) == (None,) * 4
    assert limits.artim < Limits().artim
    given = patience(1, 2, 3)
    assert (given.connect, given.association_response, given.release, given.dimse_response) == (1, 2, 2, 3)
