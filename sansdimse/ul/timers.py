"""Every deadline by name, and the table of those that run.

Deadlines only, never durations, and no clock: time is whatever ``now`` the user tells.
"""

from __future__ import annotations

from enum import Enum
from heapq import heapify, heappop, heappush, heapreplace
from typing import Final

Key = tuple["Timer", int]
_Entry = tuple[float, int, int, "Timer"]
"""A deadline, the timer's rank among equals, the message ID, the timer."""

_SPARE: Final = 64
"""Entries of stopped timers that a heap may keep in any case."""


class Timer(Enum):
    """What a deadline waits for. Those of messages run once per message ID, the others once."""

    ARTIM = "association request/reject/release"  # PS3.8 9.1.5: a complete RQ in Sta2, the close in Sta13
    CONNECT = "transport connection"  # Sta4
    ASSOCIATION_RESPONSE = "association response"  # Sta5
    LOCAL_ANSWER = "local answer"  # our user's, in Sta3, Sta8, Sta9, Sta12
    RELEASE = "release response"  # Sta7, Sta10, Sta11
    PDU_COMPLETION = "rest of a PDU"
    MESSAGE_COMPLETION = "rest of a message"
    OUTPUT_STALL = "output taken by the peer"
    IDLE = "idle"
    DIMSE_RESPONSE = "DIMSE response"  # per message ID of ours
    OPERATION_ANSWER = "answer to a request"  # our user's, per message ID of the peer's
    CANCEL_DRAIN = "final response after cancel"  # per message ID of ours

    # Enum's own is a Python function, asked for some thirty times in an echo: an eighth of its time.
    __hash__ = object.__hash__


WAITING_FOR_PEER: Final = frozenset(
    {
        Timer.ARTIM,
        Timer.ASSOCIATION_RESPONSE,
        Timer.RELEASE,
        Timer.PDU_COMPLETION,
        Timer.MESSAGE_COMPLETION,
        Timer.IDLE,
        Timer.DIMSE_RESPONSE,
        Timer.CANCEL_DRAIN,
    }
)
"""Timers that stand still while input of the peer lies unread because we do not take it."""


_ORDER: Final = {timer: index for index, timer in enumerate(Timer)}


class TimerTable:
    """Which deadlines run. ``now`` and deadlines are seconds on the user's monotonic scale."""

    __slots__ = ("_deadlines", "_of_peer", "_on_output", "_others", "_pending")

    def __init__(self) -> None:
        self._deadlines: dict[Key, float] = {}
        self._pending: dict[Key, float] = {}  # to start at the next time told
        self._on_output: dict[Key, float] = {}  # to start when certain bytes are taken
        # Heaps, those that wait for the peer apart. An entry whose timer was stopped or put off stays until it comes
        # up: most deadlines are put off long before they pass, and a peer may have thousands of requests outstanding.
        self._of_peer: list[_Entry] = []
        self._others: list[_Entry] = []

    def start(self, timer: Timer, now: float, delay: float | None, message_id: int = 0) -> None:
        """(Re)start a timer; a delay of None stops it."""
        key = (timer, message_id)
        self._pending.pop(key, None)
        if delay is None:
            self.stop(timer, message_id)
            return
        deadline = now + delay
        previous = self._deadlines.get(key)
        self._deadlines[key] = deadline
        if previous is None or deadline < previous:
            of_peer = timer in WAITING_FOR_PEER
            heap = self._of_peer if of_peer else self._others
            if len(heap) > 4 * len(self._deadlines) + _SPARE:
                heap[:] = [
                    (when, _ORDER[each], of, each)
                    for (each, of), when in self._deadlines.items()
                    if (each in WAITING_FOR_PEER) is of_peer
                ]
                heapify(heap)
            else:
                heappush(heap, (deadline, _ORDER[timer], message_id, timer))

    def start_when_told(self, timer: Timer, delay: float | None, message_id: int = 0) -> None:
        """Start a timer at the next time that is told: what began in a verb has no ``now`` of its own."""
        self.stop(timer, message_id)
        if delay is not None:
            self._pending[(timer, message_id)] = delay

    def start_on_output(self, timer: Timer, delay: float | None, message_id: int = 0) -> None:
        """Start a timer when ``output_taken`` says that the bytes it waits for have gone."""
        if delay is not None:
            self._on_output[(timer, message_id)] = delay

    def output_taken(self, key: Key, now: float) -> None:
        """The bytes that this timer waited for have gone; it starts, unless it was stopped meanwhile."""
        delay = self._on_output.pop(key, None)
        if delay is not None:
            self.start(key[0], now, delay, key[1])

    def stop(self, timer: Timer, message_id: int = 0) -> None:
        """Stop a timer; it need not run."""
        key = (timer, message_id)
        self._pending.pop(key, None)
        self._on_output.pop(key, None)
        self._deadlines.pop(key, None)

    def stop_all_but(self, *kept: Timer) -> None:
        """Stop all timers but those named."""
        for table in (self._deadlines, self._pending, self._on_output):
            for key in [key for key in table if key[0] not in kept]:
                del table[key]

    def tell(self, now: float) -> None:
        """The time is ``now``: start what waited for it."""
        if self._pending:
            pending, self._pending = self._pending, {}
            for (timer, message_id), delay in pending.items():
                self.start(timer, now, delay, message_id)

    def stand_still(self, seconds: float) -> None:
        """Put off every timer that waits for the peer."""
        for key in self._deadlines:
            if key[0] in WAITING_FOR_PEER:
                self._deadlines[key] += seconds

    def earliest(self, *, waiting_for_peer: bool = True) -> float | None:
        """The next deadline; without those that wait for the peer if asked so."""
        first = self._first(self._others)
        if waiting_for_peer:
            of_peer = self._first(self._of_peer)
            if of_peer is not None and (first is None or of_peer < first):
                first = of_peer
        return None if first is None else first[0]

    def expired(self, now: float) -> Key | None:
        """The timer whose deadline passed first, if one has; it stays until it is stopped.

        Of equal deadlines the timer named first counts: which was started first may depend on how bytes were cut.
        """
        firsts = (self._first(self._of_peer), self._first(self._others))
        passed = min((first for first in firsts if first is not None and first[0] <= now), default=None)
        return None if passed is None else (passed[3], passed[2])

    def _first(self, heap: list[_Entry]) -> _Entry | None:
        """The entry of the earliest deadline; what has come up and is not true any more goes."""
        while heap:
            entry = heap[0]
            deadline = self._deadlines.get((entry[3], entry[2]))
            if deadline == entry[0]:
                return entry
            if deadline is None or deadline < entry[0]:
                heappop(heap)
            else:
                heapreplace(heap, (deadline, *entry[1:]))
        return None

    @property
    def awaits_time(self) -> bool:
        """Whether a timer starts at the next time told."""
        return bool(self._pending)

    def running(self, timer: Timer, message_id: int = 0) -> bool:
        """Whether this timer runs, or will at the next time told."""
        key = (timer, message_id)
        return key in self._deadlines or key in self._pending

    def deadlines(self) -> dict[Key, float]:
        """All that run, as a copy."""
        return dict(self._deadlines)
