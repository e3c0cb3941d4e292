"""How an association ended, in words and numbers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sansdimse.deviations import Code
from sansdimse.errors import RemoteProtocolError
from sansdimse.outcome import Outcome, OutcomeKind, Side, abort_reason, reject_reason
from sansdimse.ul.table import State
from sansdimse.ul.timers import Timer

RELEASED = Outcome(kind=OutcomeKind.RELEASED, by=Side.LOCAL, state=State.STA7)
CLOSED = Outcome(kind=OutcomeKind.CLOSED, by=Side.PEER, state=State.STA6)


@pytest.mark.parametrize(
    ("numbers", "text"),
    [
        # PS3.8 Table 9-21
        ((1, 1, 1), "permanently: no reason given"),
        ((1, 1, 2), "permanently: application context name not supported"),
        ((1, 1, 3), "permanently: calling AE title not recognized"),
        ((1, 1, 7), "permanently: called AE title not recognized"),
        ((1, 2, 1), "permanently: no reason given by the service-provider (ACSE)"),
        ((1, 2, 2), "permanently: protocol version not supported"),
        ((2, 3, 1), "transiently: temporary congestion"),
        ((2, 3, 2), "transiently: local limit exceeded"),
        ((2, 3, 3), "transiently: source 3, reason 3"),
        ((9, 1, 4), "with result 9: source 1, reason 4"),
    ],
)
def test_a_reject_in_words(numbers: tuple[int, int, int], text: str) -> None:
    assert reject_reason(*numbers) == text


@pytest.mark.parametrize(
    ("numbers", "text"),
    [
        # PS3.8 Table 9-26; the reason of a service-user is not significant
        ((0, 0), "by the service-user"),
        ((0, 5), "by the service-user"),
        ((2, 0), "by the service-provider: reason not specified"),
        ((2, 1), "by the service-provider: unrecognized PDU"),
        ((2, 2), "by the service-provider: unexpected PDU"),
        ((2, 4), "by the service-provider: unrecognized PDU parameter"),
        ((2, 5), "by the service-provider: unexpected PDU parameter"),
        ((2, 6), "by the service-provider: invalid PDU parameter value"),
        ((2, 3), "by the service-provider: reason 3"),
        ((1, 7), "source 1, reason 7"),
    ],
)
def test_an_abort_in_words(numbers: tuple[int, int], text: str) -> None:
    assert abort_reason(*numbers) == text


@pytest.mark.parametrize(
    ("outcome", "clean"),
    [
        (RELEASED, True),
        (replace(RELEASED, outstanding=1), True),
        (CLOSED, True),
        (replace(CLOSED, state=State.STA7), True),
        (replace(CLOSED, state=State.STA8), True),
        (replace(CLOSED, state=State.STA5), False),
        (replace(CLOSED, state=State.STA13), False),
        (replace(CLOSED, error="connection reset"), False),
        (replace(CLOSED, outstanding=1), False),
        (replace(CLOSED, state=State.STA12), True),
        (replace(CLOSED, kind=OutcomeKind.ABORTED), False),
        (replace(CLOSED, kind=OutcomeKind.ABORTED, state=State.STA7), True),
        (replace(CLOSED, kind=OutcomeKind.ABORTED, state=State.STA12), True),
        (replace(CLOSED, kind=OutcomeKind.ABORTED, state=State.STA7, outstanding=1), False),
        (replace(CLOSED, kind=OutcomeKind.ABORTED, state=State.STA7, by=Side.LOCAL), False),
        (replace(CLOSED, kind=OutcomeKind.REJECTED), False),
        (replace(CLOSED, kind=OutcomeKind.TIMED_OUT), False),
    ],
)
def test_clean_is_a_release_or_an_end_by_the_peer_with_nothing_left_to_do(outcome: Outcome, *, clean: bool) -> None:
    assert outcome.clean is clean


CAUSE = RemoteProtocolError("PDU type 47 is none of DICOM's", code=Code.PDU_UNRECOGNIZED, abort_reason=1)


@pytest.mark.parametrize(
    ("outcome", "text"),
    [
        (RELEASED, "released by us, in Sta7"),
        (replace(CLOSED, by=Side.NETWORK, error="reset"), "closed by the network (reset), in Sta6"),
        (CLOSED, "closed by the peer, in Sta6"),
        (
            Outcome(kind=OutcomeKind.REJECTED, by=Side.PEER, state=State.STA5, result=1, source=1, reason=7),
            "rejected by the peer permanently: called AE title not recognized, in Sta5",
        ),
        (
            Outcome(kind=OutcomeKind.ABORTED, by=Side.LOCAL, state=State.STA6, source=2, reason=1, cause=CAUSE),
            "aborted by us, by the service-provider: unrecognized PDU (PDU type 47 is none of DICOM's), in Sta6",
        ),
        (
            Outcome(kind=OutcomeKind.TIMED_OUT, by=Side.LOCAL, state=State.STA2, timer=Timer.ARTIM),
            "timed out by us, waiting for: association request/reject/release, in Sta2",
        ),
    ],
)
def test_an_outcome_in_words(outcome: Outcome, text: str) -> None:
    assert str(outcome) == text


def test_outcomes_are_values() -> None:
    assert replace(RELEASED) == RELEASED
    assert len({RELEASED, replace(RELEASED), CLOSED}) == 2
