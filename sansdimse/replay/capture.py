"""Captured traffic as values: which end of a connection said which bytes when, and what is missing of them.

Times are seconds on any scale, as the capture has them. The two ends are told by who opened the TCP connection;
that is who asks for the association (PS3.8 9.1.1), so they are called so. Order holds within one direction only:
what one end sent before it read the other's is not seen from between them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from sansdimse.values import value


class Side(StrEnum):
    """An end of a captured connection."""

    REQUESTOR = "requestor"
    ACCEPTOR = "acceptor"

    @property
    def other(self) -> Side:
        """The other end."""
        return Side.ACCEPTOR if self is Side.REQUESTOR else Side.REQUESTOR


@value
class Packet:
    """One packet of a capture file: ``link_type`` is a LINKTYPE number, ``length`` what it had on the wire.

    ``data`` is shorter than that where the capture cut it (its snap length).
    """

    time: float
    link_type: int
    data: bytes | memoryview
    length: int


@value
class Endpoint:
    """An address of IP and a port of TCP."""

    address: str
    port: int

    def __str__(self) -> str:
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"


@value
class Connection:
    """One TCP connection of a capture; they are numbered in the order in which they were first seen."""

    number: int
    requestor: Endpoint
    acceptor: Endpoint
    begins_midway: bool = False
    """Whether its beginning was not captured; then who opened it is told by what was said, or a guess."""

    def __str__(self) -> str:
        return f"{self.requestor} -> {self.acceptor}"


@value
class Bytes:
    """What one end said, in the order of its stream, each byte once."""

    time: float
    side: Side
    data: bytes | memoryview


@value
class Gap:
    """Bytes of one end that the capture does not have; ``length`` is None where nobody can say how many."""

    time: float
    side: Side
    length: int | None


@value
class Conflict:
    """Bytes were seen twice and differed: the first count. ``length`` is how many of them differed."""

    time: float
    side: Side
    length: int


@value
class Closed:
    """One end said that it is done (FIN), or broke the connection (RST)."""

    time: float
    side: Side
    reset: bool = False


Item = Bytes | Gap | Conflict | Closed


@dataclass(frozen=True, slots=True)
class Captured:
    """A connection with all that was seen of it, in the order in which the capture has it."""

    connection: Connection
    items: tuple[Item, ...]

    def of(self, side: Side) -> bytes:
        """All bytes of one end that there are, gaps left out."""
        return b"".join(item.data for item in self.items if isinstance(item, Bytes) and item.side is side)

    @property
    def is_whole(self) -> bool:
        """Whether nothing is missing in the middle, and its beginning is there."""
        return not (self.connection.begins_midway or any(isinstance(item, Gap) for item in self.items))


def gathered(items: Iterable[tuple[Connection, Item]]) -> list[Captured]:
    """The connections of a stream, whole in memory, in the order in which they begin."""
    found: dict[int, tuple[Connection, list[Item]]] = {}
    for connection, item in items:
        found.setdefault(connection.number, (connection, []))[1].append(item)
    return [Captured(connection, tuple(of_it)) for connection, of_it in found.values()]
