"""What waits for a conversation: the events of its operation, within bounds."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from sansdimse import events
from sansdimse.errors import LocalProtocolError
from sansdimse.services.retrieve import GetRequest, MoveRequest

if TYPE_CHECKING:
    from sansdimse.peer.link import Signal
    from sansdimse.peer.session import Session

_INBOX_BYTES: Final = 1 << 20
"""Bytes of data set pieces in an inbox above which reading stops: four reads of 256 KiB."""

_MOST_PENDING: Final = 64
"""Pending responses of a C-GET or C-MOVE kept for who does not take them: the latest tells all."""

_PIECE_COST: Final = 256
"""Bytes that a piece takes besides its own: a peer may send its data set in pieces of one byte."""


_RESPONSE_COST: Final = 1024
"""Bytes that a response takes besides its identifier, with the values that hold it."""

TOO_LATE: Final = "this request is over: what it brings is told within its handler, or its block, and not later"


class Inbox:
    """The events of one operation, or of several, that wait for their conversation."""

    __slots__ = ("_session", "events", "is_closed", "signal", "size")

    def __init__(self, session: Session) -> None:
        self._session = session
        self.events: deque[events.Event] = deque()
        self.size = 0
        self.signal: Signal | None = None
        self.is_closed = False
        """Whether nobody is to take anything any more."""

    @property
    def is_full(self) -> bool:
        """Whether no more should be read before something was taken."""
        return self.size >= _INBOX_BYTES

    def put(self, event: events.Event) -> None:
        """Put an event in and wake whoever waits."""
        if len(self.events) >= _MOST_PENDING and _supersedes(event, self.events[-1]):
            self.events[-1] = event
            return
        self.events.append(event)
        was_full = self.is_full
        self.size += _cost(event)
        if self.is_full and not was_full:
            self._session.full += 1
            if isinstance(event, events.DatasetReceived):
                event.operation.pause()
        self.wake()

    def clear(self) -> None:
        """Nobody takes what is in it."""
        self.events.clear()
        self.size = 0

    def wake(self) -> None:
        """Wake whoever waits."""
        if self.signal is not None:
            self.signal.set()

    async def get(self) -> events.Event:
        """The next event. Raises ``AssociationLost`` when none will come any more, ``LocalProtocolError`` if closed."""
        while self.is_closed or (event := self.take()) is None:
            self._session.check_alive()
            if self.is_closed:
                raise LocalProtocolError(TOO_LATE)
            self.signal = self._session.link.signal()
            await self.signal.wait()
        return event

    def take(self) -> events.Event | None:
        """The next event if there is one."""
        if not self.events:
            return None
        event = self.events.popleft()
        was_full = self.is_full
        self.size -= _cost(event)
        if was_full:
            if isinstance(event, events.DatasetReceived):
                (event.operation.pause if self.is_full else event.operation.resume)()  # who is slow is alive
            if not self.is_full:
                self._session.full -= 1
                self._session.behind = True  # not at once, or who takes piece by piece would never wait
            self._session.link.kick()
        return event


def _supersedes(event: events.Event, last: events.Event) -> bool:
    """Whether this tells all that the last one does: counters of one C-GET or C-MOVE, which nobody takes."""
    return (
        isinstance(event, events.ResponseReceived)
        and isinstance(last, events.ResponseReceived)
        and isinstance(event.operation, GetRequest | MoveRequest)
        and event.operation is last.operation
        and not event.is_final
    )


def _cost(event: events.Event) -> int:
    if isinstance(event, events.DatasetReceived):
        return len(event.data) + _PIECE_COST
    if isinstance(event, events.ResponseReceived):
        return len(event.identifier or b"") + _RESPONSE_COST
    return 0
