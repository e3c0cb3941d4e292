"""Who is let in: budgets before and after the association, decided purely and once for all transports.

A connection without an association (no complete request yet, or a rejected one that the peer has not closed)
costs little and may be anybody's, so those have a budget of their own: beyond it the oldest makes room. An
association costs a handler's time: beyond that budget a complete request is answered with A-ASSOCIATE-RJ 2/3/2,
transient, local limit exceeded (PS3.8 Table 9-21), and never with silence.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

from sansdimse.ul.pdu import AAssociateAC, AAssociateRJ

C = TypeVar("C", bound=Hashable)

OVER_BUDGET = AAssociateRJ(result=2, source=3, reason=2)
"""Rejected transient, presentation layer of the service-provider, local limit exceeded."""

SHUTTING_DOWN = AAssociateRJ(result=2, source=3, reason=1)
"""Rejected transient, temporary congestion: come back later."""


@dataclass(frozen=True, slots=True)
class Budget:
    """How many may be there at once."""

    associations: int = 100
    pending: int = 128
    """Connections without an association."""


class Admission(Generic[C]):
    """The books of one server. ``C`` is whatever the transport knows a connection by. Not thread-safe."""

    def __init__(self, budget: Budget | None = None) -> None:
        self.budget = budget or Budget()
        self._pending: dict[C, None] = {}  # in the order in which they came
        self._associations: set[C] = set()
        self.closing = False
        """Whether new associations are refused because the server shuts down."""

    def opened(self, connection: C) -> C | None:
        """A connection came; another one to close for it, if the budget asks for that."""
        self._pending[connection] = None
        if len(self._pending) <= self.budget.pending:
            return None
        oldest = next(iter(self._pending))
        del self._pending[oldest]
        return oldest

    def requested(self, connection: C, proposed: AAssociateAC | AAssociateRJ) -> AAssociateAC | AAssociateRJ:
        """A complete request came; what to answer, given what negotiation would."""
        if self.closing:
            return SHUTTING_DOWN
        if isinstance(proposed, AAssociateRJ):
            return proposed
        if len(self._associations) >= self.budget.associations:
            return OVER_BUDGET
        # Who is rejected stays pending: he may keep his connection for all of ARTIM (PS3.8 9.2, Sta13).
        self._pending.pop(connection, None)
        self._associations.add(connection)
        return proposed

    def closed(self, connection: C) -> None:
        """A connection went."""
        self._pending.pop(connection, None)
        self._associations.discard(connection)

    @property
    def pending(self) -> int:
        """Connections without an association."""
        return len(self._pending)

    @property
    def associations(self) -> int:
        """Associations accepted and not gone."""
        return len(self._associations)
