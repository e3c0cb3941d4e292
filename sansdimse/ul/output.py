"""What waits to be written: whole PDUs as buffers, in order, and the timers that their leaving starts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sansdimse.ul.timers import Timer, TimerTable

Buffer = bytes | memoryview

_BATCH_BYTES: Final = 256 * 1024  # of one take: what one write can be hoped to take
_BATCH_BUFFERS: Final = 512  # half of Linux's IOV_MAX


class Output:
    """The queue between verbs and the wire.

    What was taken counts as unsent until the next take, since only that says that it was written: so a
    peer that takes nothing is noticed, whoever holds the bytes.
    """

    __slots__ = ("_in_flight", "_queue", "_queued", "_stall", "_timers", "bytes_sent", "pdus_sent")

    def __init__(self, timers: TimerTable, stall: float | None) -> None:
        self._timers = timers
        self._stall = stall
        self._queue: list[tuple[Sequence[Buffer], int, int, tuple[Timer, int] | None]] = []
        self._queued = 0
        self._in_flight = 0
        self.bytes_sent = self.pdus_sent = 0

    @property
    def bytes_unsent(self) -> int:
        """Bytes queued, or taken and not known to be written."""
        return self._queued + self._in_flight

    def totals(self) -> tuple[int, int]:
        """Bytes and PDUs, of what was taken and of what is queued."""
        return self.bytes_sent + self._queued, self.pdus_sent + sum(count for _, _, count, _ in self._queue)

    def add(self, pdu: Sequence[Buffer], pdus: int = 1) -> None:
        """Queue one PDU, or some that are one buffer."""
        size = sum(map(len, pdu))
        self._queue.append((pdu, size, pdus, None))
        self._queued += size

    def then_start(self, timer: Timer, delay: float | None, message_id: int = 0) -> None:
        """Start a timer when everything queued so far is taken: a verb has no ``now`` of its own."""
        if delay is not None:
            self._timers.start_on_output(timer, delay, message_id)
            self._queue.append(((), 0, 0, (timer, message_id)))

    def take(self, now: float) -> list[Buffer]:
        """Whole PDUs of some 256 KiB; everything taken before has been written."""
        self._in_flight = 0
        buffers: list[Buffer] = []
        size = taken = 0
        for pdu, length, count, key in self._queue:
            if size >= _BATCH_BYTES or len(buffers) >= _BATCH_BUFFERS:
                break
            taken += 1
            buffers += pdu
            size += length
            self.pdus_sent += count
            if key is not None:
                self._timers.output_taken(key, now)
        del self._queue[:taken]
        if size:
            self._queued -= size
            self._in_flight = size
            self.bytes_sent += size
            self._timers.start(Timer.OUTPUT_STALL, now, self._stall)
        elif self._timers.running(Timer.OUTPUT_STALL):
            self._timers.stop(Timer.OUTPUT_STALL)
        return buffers

    def drop(self) -> None:
        """Nobody will read it."""
        self._queue.clear()
        self._queued = self._in_flight = 0
