"""How an association ended: who, in which state, and why. The same value on every transport."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sansdimse.errors import RemoteProtocolError
    from sansdimse.ul.table import State
    from sansdimse.ul.timers import Timer


class Side(Enum):
    """Who ended it."""

    LOCAL = "local"
    PEER = "peer"
    NETWORK = "network"


class OutcomeKind(Enum):
    """In which way it ended."""

    RELEASED = "released"  # PS3.8 7.2
    REJECTED = "rejected"  # A-ASSOCIATE-RJ; ``by`` says whose
    ABORTED = "aborted"  # A-ABORT; ``by`` says whose, ``cause`` what was wrong
    CLOSED = "closed"  # the transport connection went without release or abort, or never came
    TIMED_OUT = "timed out"  # a deadline of ours; ``timer`` says which


_REJECT_REASONS = {
    # PS3.8 Table 9-21, by source and reason
    (1, 1): "no reason given",
    (1, 2): "application context name not supported",
    (1, 3): "calling AE title not recognized",
    (1, 7): "called AE title not recognized",
    (2, 1): "no reason given by the service-provider (ACSE)",
    (2, 2): "protocol version not supported",
    (3, 1): "temporary congestion",
    (3, 2): "local limit exceeded",
}

_ABORT_REASONS = {
    # PS3.8 Table 9-26, source 2
    0: "reason not specified",
    1: "unrecognized PDU",
    2: "unexpected PDU",
    4: "unrecognized PDU parameter",
    5: "unexpected PDU parameter",
    6: "invalid PDU parameter value",
}


def reject_reason(result: int, source: int, reason: int) -> str:
    """What the three numbers of an A-ASSOCIATE-RJ say (PS3.8 Table 9-21)."""
    kind = {1: "permanently", 2: "transiently"}.get(result, f"with result {result}")
    return f"{kind}: {_REJECT_REASONS.get((source, reason), f'source {source}, reason {reason}')}"


def abort_reason(source: int, reason: int) -> str:
    """What the two numbers of an A-ABORT say (PS3.8 Table 9-26)."""
    if source == 0:
        return "by the service-user"
    if source == 2:
        return f"by the service-provider: {_ABORT_REASONS.get(reason, f'reason {reason}')}"
    return f"source {source}, reason {reason}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How an association ended.

    ``state`` is the state of PS3.8 Table 9-10 in which it was decided. ``result``, ``source`` and
    ``reason`` are the numbers of the A-ASSOCIATE-RJ or A-ABORT, whoever sent it. ``error`` is the
    network's own words. Counts are of PDUs and their bytes, and of whole DIMSE messages (commands).
    """

    kind: OutcomeKind
    by: Side
    state: State
    result: int | None = None
    source: int | None = None
    reason: int | None = None
    timer: Timer | None = None
    cause: RemoteProtocolError | None = None
    error: str | None = None
    bytes_received: int = 0
    bytes_sent: int = 0
    pdus_received: int = 0
    pdus_sent: int = 0
    messages_received: int = 0
    messages_sent: int = 0
    outstanding: int = 0
    """Operations of either side that had not finished."""

    @property
    def clean(self) -> bool:
        """Released, or ended by the peer with nothing left to do: closed, as many viewers do, or aborted when
        the release had been asked for already, as others do."""
        if self.kind is OutcomeKind.RELEASED:
            return True
        if self.outstanding or self.error is not None or self.by is not Side.PEER:
            return False
        closed, aborted = self.kind is OutcomeKind.CLOSED, self.kind is OutcomeKind.ABORTED
        return (closed and 6 <= self.state <= 12) or (aborted and 7 <= self.state <= 12)  # Sta6; Sta7 to Sta12: release

    def __str__(self) -> str:
        who = {Side.LOCAL: "by us", Side.PEER: "by the peer", Side.NETWORK: "by the network"}[self.by]
        text = f"{self.kind.value} {who}"
        if self.kind is OutcomeKind.REJECTED:
            text += f" {reject_reason(self.result or 0, self.source or 0, self.reason or 0)}"
        elif self.kind is OutcomeKind.ABORTED:
            text += f", {abort_reason(self.source or 0, self.reason or 0)}"
        elif self.timer is not None:
            text += f", waiting for: {self.timer.value}"
        if self.cause is not None:
            text += f" ({self.cause})"
        if self.error is not None:
            text += f" ({self.error})"
        return f"{text}, in {self.state.name.capitalize()}"
