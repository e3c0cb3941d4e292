"""Looking on: an engine around an engine, which shows the bytes that pass to somebody else as well."""

from __future__ import annotations

from collections.abc import Callable

from sansdimse.outcome import Side
from sansdimse.peer.link import Engine

Tap = Callable[[Side, bytes | memoryview, float], object]
"""Told of the bytes that pass, before they do: whose they are, the bytes, and the monotonic time. TLS is off them."""


class Tapped:
    """``Engine`` as the one inside, with a ``Tap``."""

    __slots__ = ("_engine", "_tap")

    def __init__(self, engine: Engine, tap: Tap) -> None:
        self._engine = engine
        self._tap = tap

    def transport_opened(self, now: float) -> None:
        """The connection is open."""
        self._engine.transport_opened(now)

    def receive_data(self, data: bytes, now: float) -> None:
        """Bytes came: shown, then told."""
        self._tap(Side.PEER, data, now)
        self._engine.receive_data(data, now)

    def receive_eof(self, now: float, error: str | None = None) -> None:
        """The connection was closed, reset or never opened."""
        self._engine.receive_eof(now, error)

    def handle_timeout(self, now: float) -> None:
        """The time is ``now``."""
        self._engine.handle_timeout(now)

    def data_to_send(self, now: float) -> list[bytes | memoryview]:
        """What to write next: shown, then given."""
        buffers = self._engine.data_to_send(now)
        for buffer in buffers:
            self._tap(Side.LOCAL, buffer, now)
        return buffers

    def next_timeout(self) -> float | None:
        """When to call ``handle_timeout``."""
        return self._engine.next_timeout()

    @property
    def wants_close(self) -> bool:
        """Whether to close, once nothing is unsent."""
        return self._engine.wants_close

    @property
    def bytes_unsent(self) -> int:
        """Bytes not known to be written."""
        return self._engine.bytes_unsent

    @property
    def mid_pdu(self) -> bool:
        """Whether more must come before anything can be made of what came."""
        return self._engine.mid_pdu
