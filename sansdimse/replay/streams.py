"""Streams of TCP put together again, from whatever order and number of packets a capture has them in.

Each byte is given once, in the order of its stream. Of bytes seen twice the first count; that they differed is told.
What never came is a ``Gap``: that is decided when too much waits behind it, or at the end. Nothing is ever refused,
and memory is bounded for any input.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator
from typing import Final

from sansdimse.replay.capture import Bytes, Closed, Conflict, Connection, Endpoint, Gap, Item, Packet, Side
from sansdimse.replay.detect import is_header
from sansdimse.replay.packets import Segment, segment_of

MOST_WAITING: Final = 4 << 20
"""Bytes of one end that wait behind a hole; with more the hole is taken for lost. Twice the usual windows."""
MOST_SEGMENTS: Final = 4096
"""Segments that wait behind a hole, and those that are kept after they were given."""
REMEMBERED: Final = 64 << 10
"""Bytes of one end that are kept after they were given, to compare what comes again."""
MOST_CONNECTIONS: Final = 65_536
"""Connections that are followed at once; of more, the one that was silent longest is given up."""
MOST_HELD: Final = 256 << 20
"""Bytes that wait or are kept in all connections; with more, those that were silent longest are given up."""

_MODULUS: Final = 1 << 32
_HALF: Final = 1 << 31


def streams(packets: Iterable[Packet]) -> Iterator[tuple[Connection, Item]]:
    """What the connections in these packets said, in the order of the capture."""
    reassembly = Reassembly()
    for packet in packets:
        segment = segment_of(packet)
        if segment is not None:
            yield from reassembly.take(segment)
    yield from reassembly.finish()


def _differing(one: bytes, other: bytes) -> int:
    return 0 if one == other else sum(a != b for a, b in zip(one, other, strict=True))


class _Waiting:
    """What came too early, by position and without overlaps: of bytes that come twice the first are kept."""

    __slots__ = ("_found", "_positions", "size")

    def __init__(self) -> None:
        self._positions: list[int] = []
        self._found: dict[int, tuple[float, bytes, int]] = {}
        self.size = 0

    def __len__(self) -> int:
        return len(self._positions)

    @property
    def first(self) -> int:
        """The position of what comes first."""
        return self._positions[0]

    def pop(self) -> tuple[float, bytes, int]:
        """What comes first: when it was captured, its bytes, and how many more the capture cut off."""
        time, data, missing = self._found.pop(self._positions.pop(0))
        self.size -= len(data)
        return time, data, missing

    def put(self, position: int, time: float, data: bytes, missing: int) -> int:
        """Keep what is new of these bytes. How many of the others differ from those that are kept."""
        at, end, differing = position, position + len(data), 0
        index = bisect_right(self._positions, position) - 1
        while at < end:
            if index >= 0:
                start = self._positions[index]
                held = self._found[start][1]
                covered = min(end, start + len(held))
                if covered > at:
                    again = data[at - position : covered - position]
                    differing += _differing(held[at - start : covered - start], again)
                    at = covered
            index += 1
            new_to = min(end, self._positions[index]) if index < len(self._positions) else end
            if at < new_to:
                piece = data[at - position : new_to - position]
                self._positions.insert(index, at)
                self._found[at] = (time, piece, missing if new_to == end else 0)
                self.size += len(piece)
                at, index = new_to, index + 1
        return differing


class _Direction:
    """One end's stream. Positions count its bytes from the first that was seen, and never wrap."""

    __slots__ = (
        "_given",
        "_given_bytes",
        "_origin",
        "clock",
        "end",
        "has_spoken",
        "is_exact",
        "next",
        "said",
        "spoken_of",
        "waiting",
    )

    def __init__(self) -> None:
        self._origin: int | None = None  # the sequence number of position 0
        self.is_exact = False
        """Whether position 0 is the first byte that this end said."""
        self.has_spoken = False
        """Whether anything of it was given."""
        self.next = 0
        """The position of the next byte to give."""
        self.said = 0
        """Up to where bytes were seen, or cut off by the capture."""
        self.spoken_of = 0
        """Up to where acknowledgements of the other end and own sequence numbers go: perhaps its FIN is one of them."""
        self.end: int | None = None
        """Where its FIN stands."""
        self.clock = 0.0
        """When what was given last was captured, or what came before it: later than that, nothing goes back."""
        self.waiting = _Waiting()
        self._given: deque[tuple[int, bytes]] = deque()
        self._given_bytes = 0

    @property
    def is_known(self) -> bool:
        """Whether a sequence number was seen, so that positions have a meaning."""
        return self._origin is not None

    @property
    def held(self) -> int:
        """Bytes in memory."""
        return self.waiting.size + self._given_bytes

    def begin(self, sequence: int, *, is_exact: bool = False) -> None:
        """The first byte has this sequence number."""
        self._origin, self.is_exact = sequence, is_exact

    def begins_at(self, sequence: int) -> bool:
        """Whether position 0 has this sequence number; so it may be while none is known."""
        return self._origin is None or self._origin == sequence

    def position(self, sequence: int) -> int:
        """The position nearest to the next byte that has this sequence number."""
        origin = self._origin or 0
        distance = (sequence - origin - self.next) % _MODULUS
        return self.next + (distance - _MODULUS if distance >= _HALF else distance)

    def remember(self, data: bytes) -> None:
        """These bytes are the next ones, and given."""
        self._given.append((self.next, data))
        self._given_bytes += len(data)
        self.next += len(data)
        while self._given_bytes - len(self._given[0][1]) >= REMEMBERED or len(self._given) > MOST_SEGMENTS:
            self._given_bytes -= len(self._given.popleft()[1])

    def forget(self) -> None:
        """Nothing comes again."""
        self._given.clear()
        self._given_bytes = 0

    def differing(self, position: int, data: bytes) -> int:
        """How many of these bytes, which were given before, were others then."""
        differing, end = 0, position + len(data)
        for at, given in reversed(self._given):
            if at + len(given) <= position:
                break
            first, last = max(at, position), min(at + len(given), end)
            if first < last:
                differing += _differing(given[first - at : last - at], data[first - position : last - position])
        return differing


class _Followed:
    """One connection that is followed."""

    __slots__ = ("_fin_told", "_first", "_reset", "_syn", "connection", "directions", "number")

    def __init__(self, number: int, segment: Segment) -> None:
        self.number = number
        self.connection: Connection | None = None
        self.directions = {segment.source: _Direction(), segment.destination: _Direction()}
        self._first = (segment.source, segment.destination)
        self._syn: Endpoint | None = None  # who opened it
        self._fin_told: set[Endpoint] = set()
        self._reset = False

    @property
    def is_over(self) -> bool:
        """Whether both ends are done, or one has broken it."""
        return self._reset or len(self._fin_told) == 2

    @property
    def held(self) -> int:
        """Bytes in memory."""
        return sum(direction.held for direction in self.directions.values())

    def begins_anew(self, segment: Segment) -> bool:
        """Whether this opens another connection on the same ports: it does, unless it repeats what opened this one."""
        if not segment.syn:
            return False
        return self.is_over or not self.directions[segment.source].begins_at((segment.sequence + 1) % _MODULUS)

    def take(self, segment: Segment) -> Iterator[Item]:
        """What a segment adds."""
        direction = self.directions[segment.source]
        if segment.syn:
            self._syn = self._syn or (segment.source if segment.acknowledged is None else segment.destination)
            direction.begin((segment.sequence + 1) % _MODULUS, is_exact=True)
        if not direction.is_known:
            direction.begin(segment.sequence)
        position = direction.position((segment.sequence + segment.syn) % _MODULUS)
        length = len(segment.payload) + segment.missing
        if not segment.rst:
            self._note(segment, direction, position)
        if length:
            direction.said = max(direction.said, position + length)
            yield from self._payload(segment, direction, position)
        if segment.fin and direction.end is None:
            direction.end = position + length
            direction.said = max(direction.said, direction.end)
        yield from self._closings(segment, direction)

    def finish(self, time: float) -> Iterator[Item]:
        """Nothing more comes: what waits is given, with its gaps; what was spoken of and never came is one."""
        for endpoint, direction in self.directions.items():
            while direction.waiting:
                yield from self._give_up_hole(endpoint, direction)
            if direction.next < direction.said:
                yield from self._give(time, self.side(endpoint), direction, b"", direction.said - direction.next)
            if direction.end is None:
                if direction.spoken_of > direction.next + 1:
                    yield Gap(time, self.side(endpoint), None)
                direction.spoken_of = direction.next
            elif endpoint not in self._fin_told:
                self._fin_told.add(endpoint)
                yield Closed(time, self.side(endpoint))
            direction.forget()

    def side(self, endpoint: Endpoint, payload: bytes = b"") -> Side:
        """Which side an endpoint is: by who opened, by what is said first, else by the lower port."""
        if self.connection is None:
            requestor = self._syn or self._guess(endpoint, payload)
            acceptor = next(each for each in self.directions if each != requestor)
            self.connection = Connection(self.number, requestor, acceptor, begins_midway=self._syn is None)
        return Side.REQUESTOR if endpoint == self.connection.requestor else Side.ACCEPTOR

    def _guess(self, speaker: Endpoint, payload: bytes) -> Endpoint:
        source, destination = self._first
        if is_header(payload) and payload[0] in (1, 2, 3):
            other = destination if speaker == source else source
            return speaker if payload[0] == 1 else other
        return source if source.port >= destination.port else destination

    @staticmethod
    def _is_first(direction: _Direction, position: int) -> bool:
        return direction.is_exact and position == 0 and direction.next == 0

    def _note(self, segment: Segment, direction: _Direction, position: int) -> None:
        """What a segment tells of bytes that are not in it."""
        direction.spoken_of = max(direction.spoken_of, position)
        if segment.acknowledged is None:
            return
        other = self.directions[segment.destination]
        if not other.is_known:
            # Who has said nothing yet has read nothing yet: in DICOM the requestor speaks first (PS3.8 9.1.1).
            other.begin(segment.acknowledged, is_exact=self._is_first(direction, position))
        other.spoken_of = max(other.spoken_of, other.position(segment.acknowledged))

    def _payload(self, segment: Segment, direction: _Direction, position: int) -> Iterator[Item]:
        data, missing = segment.payload, segment.missing
        side = self.side(segment.source, data)
        behind = direction.next - position
        if behind > 0:  # seen before, in whole or in part
            if not (len(data) == behind == 1):  # a keep-alive repeats one byte of no meaning
                differing = direction.differing(position, data[:behind])
                if differing:
                    yield Conflict(segment.time, side, differing)
            missing = max(0, missing - max(0, behind - len(data)))
            data, position = data[behind:], direction.next
            if not data and not missing:
                return
        if position == direction.next and not direction.waiting:
            yield from self._give(segment.time, side, direction, data, missing)
            return
        # What waits is older than this, and counts.
        differing = direction.waiting.put(position, segment.time, data, missing)
        if differing:
            yield Conflict(segment.time, side, differing)
        if not data and position == direction.next:
            yield from self._give(segment.time, side, direction, b"", missing)
        yield from self._give_waiting(side, direction)
        while direction.waiting.size > MOST_WAITING or len(direction.waiting) > MOST_SEGMENTS:
            yield from self._give_up_hole(segment.source, direction)

    def _give(self, time: float, side: Side, direction: _Direction, data: bytes, missing: int) -> Iterator[Item]:
        direction.clock = max(direction.clock, time)
        if not direction.has_spoken:
            direction.has_spoken = True
            if self._syn is not None and not direction.is_exact:
                yield Gap(direction.clock, side, None)
        if data:
            direction.remember(data)
            yield Bytes(direction.clock, side, data)
        if direction.waiting:  # what the capture cut off here came elsewhere
            missing = min(missing, direction.waiting.first - direction.next)
        if missing:
            direction.next += missing
            yield Gap(direction.clock, side, missing)

    def _give_waiting(self, side: Side, direction: _Direction) -> Iterator[Item]:
        """What waited and has its turn now."""
        while direction.waiting and direction.waiting.first == direction.next:
            time, data, missing = direction.waiting.pop()
            yield from self._give(time, side, direction, data, missing)

    def _give_up_hole(self, endpoint: Endpoint, direction: _Direction) -> Iterator[Item]:
        """The hole before what waits first is lost."""
        side, hole = self.side(endpoint), direction.waiting.first - direction.next
        yield from self._give(direction.clock, side, direction, b"", hole)
        yield from self._give_waiting(side, direction)

    def _closings(self, segment: Segment, direction: _Direction) -> Iterator[Item]:
        endpoint = segment.source
        if segment.rst:
            yield from self.finish(segment.time)
            self._reset = True
            yield Closed(segment.time, self.side(endpoint), reset=True)
        elif direction.end is not None and direction.next >= direction.end and endpoint not in self._fin_told:
            self._fin_told.add(endpoint)
            yield Closed(segment.time, self.side(endpoint))
            if len(self._fin_told) == 2:
                yield from self.finish(segment.time)


class Reassembly:
    """Takes segments as they were captured and gives what the connections said."""

    def __init__(self) -> None:
        self._followed: OrderedDict[frozenset[Endpoint], _Followed] = OrderedDict()
        self._number = 0
        self._time = 0.0
        self._held = 0

    def take(self, segment: Segment) -> Iterator[tuple[Connection, Item]]:
        """What this segment adds."""
        self._time = segment.time
        key = frozenset((segment.source, segment.destination))
        if len(key) == 1:
            return  # an end that speaks to itself is none
        followed = self._followed.get(key)
        if followed is not None and followed.begins_anew(segment):
            yield from self._end(key)
            followed = None
        if followed is None:
            if len(self._followed) >= MOST_CONNECTIONS:
                yield from self._end(next(iter(self._followed)))
            followed = self._followed[key] = _Followed(self._number, segment)
            self._number += 1
        self._followed.move_to_end(key)
        if followed.is_over:
            return  # stray segments of a connection that has ended
        before = followed.held
        yield from self._of(followed, followed.take(segment))
        self._held += followed.held - before
        while self._held > MOST_HELD and len(self._followed) > 1:
            yield from self._end(next(iter(self._followed)))

    def finish(self) -> Iterator[tuple[Connection, Item]]:
        """The capture ends here."""
        for key in list(self._followed):
            yield from self._end(key)

    def _end(self, key: frozenset[Endpoint]) -> Iterator[tuple[Connection, Item]]:
        followed = self._followed.pop(key)
        self._held -= followed.held
        if not followed.is_over:
            yield from self._of(followed, followed.finish(self._time))

    @staticmethod
    def _of(followed: _Followed, items: Iterable[Item]) -> Iterator[tuple[Connection, Item]]:
        for item in items:
            if followed.connection is not None:  # whose side an item has, there is one
                yield followed.connection, item
