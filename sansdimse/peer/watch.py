"""What happens on associations, told as values to whoever wants to log, count or draw it.

Nothing here is decided, and the engine knows nothing of it: a ``Session`` makes these of what it routes. Titles
and UIDs are as the peer gave them, so escape them before they go into a log (``sansdimse.deviations.escaped``);
``str`` of an occurrence is a line that is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from sansdimse.deviations import escaped
from sansdimse.dimse.status import Status

if TYPE_CHECKING:
    from sansdimse.deviations import Deviation
    from sansdimse.outcome import Outcome, Side
    from sansdimse.peer.session import AssociationInfo


class Ending(Enum):
    """In which way an operation ended."""

    ANSWERED = "answered"
    """With its final response, in time and wanted."""
    CANCELLED = "cancelled"
    """With its final response, after a C-CANCEL (PS3.7 9.3.2.3)."""
    DRAINED = "drained"
    """Given up by whoever had asked; its final response came within ``Limits.cancel_drain`` and was dropped."""
    LOST = "lost"
    """Without final response: the association ended first, perhaps because it was given up and not drained."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationOutcome:
    """How one operation ended (PS3.7 7.5): the same value on every transport."""

    service: str
    """As the standard writes it: C-STORE."""
    by: Side
    """Who invoked it: LOCAL or PEER."""
    message_id: int
    sop_class_uid: str
    sop_instance_uid: str | None
    ending: Ending
    status: Status | None
    """Of the final response; None if there was none."""
    responses: int
    """Responses, Pending ones included."""
    duration: float
    """Seconds from the request to the final response, or to the association's end."""

    def __str__(self) -> str:
        status = "no response" if self.status is None else str(self.status)
        return f"{self.service} {self.message_id} {self.ending.value}: {status}, {self.duration:.3f} s"


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """One association from its first byte to its last."""

    address: str
    """The peer's."""
    calling_ae_title: str
    """Empty if no request came."""
    called_ae_title: str
    outcome: Outcome
    """Who ended it and how, with the bytes, PDUs and messages of both directions."""
    duration: float
    """Seconds from the opened connection to the end."""
    operations: int
    """Operations of both sides that ended."""
    deviations: tuple[Deviation, ...]
    """What the peer did otherwise than the standard says."""

    def __str__(self) -> str:
        titles = (
            f"{escaped(self.calling_ae_title)} to {escaped(self.called_ae_title)}, " if self.calling_ae_title else ""
        )
        return f"{titles}{self.outcome}; operations: {self.operations}, {self.duration:.3f} s"


@dataclass(frozen=True, slots=True)
class AssociationEstablished:
    """An association was accepted, by us or by the peer."""

    association: AssociationInfo

    def __str__(self) -> str:
        who = self.association
        return f"{who.address}: {escaped(who.calling_ae_title)} to {escaped(who.called_ae_title)}, established"


@dataclass(frozen=True, slots=True)
class OperationEnded:
    """An operation of either side is over."""

    address: str
    outcome: OperationOutcome

    def __str__(self) -> str:
        return f"{self.address}: {self.outcome}"


@dataclass(frozen=True, slots=True)
class AssociationEnded:
    """The last of an association, told once of every connection, also of one that never said a word."""

    statistics: Statistics

    def __str__(self) -> str:
        return f"{self.statistics.address}: {self.statistics}"


@dataclass(frozen=True, slots=True)
class ConnectionCut:
    """A server closed a connection to make room for others (``Budget``)."""

    address: str
    why: str

    def __str__(self) -> str:
        return f"{self.address}: cut, {self.why}"


Occurrence = AssociationEstablished | OperationEnded | AssociationEnded | ConnectionCut
Watch = Callable[[Occurrence], object]
"""Told of each occurrence, in the transport's own thread: it must not wait. What it raises goes to ``report``."""


def unwatched(occurrence: Occurrence) -> None:
    """Nobody watches."""
