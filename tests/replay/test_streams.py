"""Streams put together again: every byte once and in order, or an honest gap; bounded, and total."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sansdimse.replay import streams as module
from sansdimse.replay.capture import Bytes, Closed, Conflict, Connection, Endpoint, Gap, Item, Packet, Side
from sansdimse.replay.packets import Segment
from sansdimse.replay.streams import Reassembly, streams

A, B = Endpoint("10.0.0.1", 40000), Endpoint("10.0.0.2", 104)
RQ = b"\x01\0" + (205).to_bytes(4, "big") + bytes(205)


class End:
    """One end that writes segments."""

    def __init__(self, here: Endpoint, there: Endpoint, first: int = 1000, other: int = 5000) -> None:
        self.here, self.there, self.first, self.other = here, there, first, other
        self.time = 0.0

    def says(self, at: int, data: bytes = b"", flags: str = "", *, ack: int | None = 0, missing: int = 0) -> Segment:
        self.time += 1.0
        acknowledged = None if ack is None else (self.other + 1 + ack) % 2**32
        syn = "s" in flags
        sequence = (self.first + (0 if syn else 1) + at) % 2**32
        return Segment(
            self.time, self.here, self.there, sequence, acknowledged, syn, "f" in flags, "r" in flags, data, missing
        )


def ends(first: int = 1000, other: int = 5000) -> tuple[End, End]:
    return End(A, B, first, other), End(B, A, other, first)


def opened(a: End, b: End) -> list[Segment]:
    return [a.says(0, flags="s", ack=None), b.says(0, flags="s"), a.says(0)]


def taken(segments: Iterable[Segment]) -> list[tuple[Connection, Item]]:
    reassembly = Reassembly()
    out = [pair for segment in segments for pair in reassembly.take(segment)]
    return [*out, *reassembly.finish()]


def items(segments: Iterable[Segment]) -> list[Item]:
    return [item for _, item in taken(segments)]


def spoken(segments: Iterable[Segment], side: Side = Side.REQUESTOR) -> list[bytes | int | None]:
    """What one side said, joined: bytes, and the lengths of gaps."""
    out: list[bytes | int | None] = []
    for item in items(segments):
        if item.side is not side:
            continue
        if isinstance(item, Gap):
            out.append(item.length)
        elif isinstance(item, Bytes):
            if out and isinstance(out[-1], bytes):
                out[-1] += bytes(item.data)
            else:
                out.append(bytes(item.data))
    return out


def test_a_connection_as_it_should_be() -> None:
    a, b = ends()
    found = taken([
        *opened(a, b), a.says(0, b"hello"), b.says(0, b"HELLO", ack=5), a.says(5, flags="f", ack=5),
        b.says(5, flags="f", ack=6), a.says(6, ack=6),
    ])  # fmt: skip
    assert {connection for connection, _ in found} == {Connection(0, A, B)}
    assert [item for _, item in found] == [
        Bytes(3.0, Side.REQUESTOR, b"hello"),
        Bytes(2.0, Side.ACCEPTOR, b"HELLO"),
        Closed(4.0, Side.REQUESTOR),
        Closed(3.0, Side.ACCEPTOR),
    ]


@st.composite
def impaired(draw: st.DrawFn) -> tuple[list[Segment], dict[Side, bytes], dict[Side, set[int]]]:
    a, b = ends(draw(st.sampled_from([0, 1000, 2**31 - 5, 2**32 - 9, 2**32 - 1])), draw(st.integers(0, 2**32 - 1)))
    said = {Side.REQUESTOR: bytes(range(1, draw(st.integers(1, 60)))), Side.ACCEPTOR: bytes(range(100, 160))}
    kept: dict[Side, set[int]] = {side: set() for side in Side}
    segments = []
    for side, end in ((Side.REQUESTOR, a), (Side.ACCEPTOR, b)):
        data = said[side]
        cuts = sorted({0, len(data), *draw(st.lists(st.integers(0, len(data)), max_size=8))})
        ranges = list(pairwise(cuts))
        ranges = [each for each in ranges if draw(st.integers(0, 4))]  # some never came
        ranges += draw(st.lists(st.sampled_from(ranges), max_size=3)) if ranges else []
        more = draw(st.lists(st.tuples(st.integers(0, len(data)), st.integers(0, len(data))), max_size=2))
        ranges += [(min(each), max(each)) for each in more]
        for first, last in ranges:
            cut = draw(st.sampled_from([0, 0, 0, 1, 100]))
            payload = data[first : max(first, last - cut)]
            kept[side] |= set(range(first, first + len(payload)))
            segments.append(end.says(first, payload, missing=last - first - len(payload)))
        segments.append(end.says(len(data), flags="f"))
    # shuffled within a window
    keys = [number + draw(st.integers(0, 6)) for number in range(len(segments))]
    order = sorted(range(len(segments)), key=keys.__getitem__)
    return [*opened(a, b), *(segments[number] for number in order)], said, kept


@given(impaired())
@settings(max_examples=300)
def test_every_byte_once_and_in_order_or_an_honest_gap(
    case: tuple[list[Segment], dict[Side, bytes], dict[Side, set[int]]],
) -> None:
    segments, said, kept = case
    found = items(segments)
    for side in Side:
        at, seen = 0, set()
        for item in found:
            if item.side is not side:
                continue
            assert not isinstance(item, Conflict)
            if isinstance(item, Bytes):
                assert bytes(item.data) == said[side][at : at + len(item.data)] != b""
                seen |= set(range(at, at + len(item.data)))
                at += len(item.data)
            elif isinstance(item, Gap):
                assert item.length
                at += item.length
        assert at == len(said[side])
        # Cut off by the capture is told at once, so what comes after that is too late: it is in the gap.
        assert seen <= kept[side]
        if not any(segment.missing for segment in segments):
            assert seen == kept[side]
    assert sum(isinstance(item, Closed) for item in found) == 2


@given(
    st.lists(st.tuples(st.integers(0, 12), st.binary(min_size=1, max_size=5)), max_size=12), st.integers(0, 2**32 - 1)
)
def test_of_bytes_that_differ_the_first_count_and_it_is_noted(ranges: list[tuple[int, bytes]], first: int) -> None:
    a, b = ends(first)
    model: dict[int, int] = {}
    differing = 0
    for at, data in ranges:
        is_keep_alive = len(data) == 1 and {at, *range(at)} <= model.keys() and at + 1 not in model
        for offset, byte in enumerate(data):
            differing += not is_keep_alive and model.setdefault(at + offset, byte) != byte
    found = items([*opened(a, b), *(a.says(at, data) for at, data in ranges)])
    given_bytes = b"".join(item.data for item in found if isinstance(item, Bytes))
    assert given_bytes == bytes(model[at] for at in sorted(model))
    assert sum(item.length for item in found if isinstance(item, Conflict)) == differing


def test_what_the_capture_cut_off_is_a_gap_unless_it_came_elsewhere() -> None:
    a, b = ends()
    assert spoken([*opened(a, b), a.says(0, b"ab", missing=3), a.says(5, b"fg")]) == [b"ab", 3, b"fg"]
    assert spoken([*opened(a, b), a.says(0, missing=3), a.says(3, b"d")]) == [3, b"d"]
    late = [a.says(2, b"cde"), a.says(0, b"a", missing=4), a.says(0, missing=3), a.says(1, missing=9)]
    assert spoken([*opened(a, b), *late]) == [b"a", 1, b"cde", 5]


def test_what_never_came_but_was_spoken_of_is_a_gap() -> None:
    a, b = ends()
    assert spoken([*opened(a, b), a.says(0, b"ab"), a.says(7, flags="f")]) == [b"ab", 5]
    assert spoken([*opened(a, b), a.says(0, b"ab"), a.says(9)]) == [b"ab", None]
    assert spoken([*opened(a, b), a.says(0, b"ab"), b.says(0, ack=9)]) == [b"ab", None]
    # one more than was said is perhaps its FIN
    assert spoken([*opened(a, b), a.says(0, b"ab"), b.says(0, ack=3)]) == [b"ab"]
    assert spoken([*opened(a, b), a.says(0, b"ab"), a.says(9), b.says(0, flags="r")]) == [b"ab", None]


def test_a_beginning_that_is_not_there_is_told() -> None:
    a, b = ends()
    syn = opened(a, b)
    answer = b.says(50, b"later", ack=5)
    # The handshake's acknowledgement says where the acceptor begins; without its beginning nobody knows.
    assert spoken([syn[0], syn[2], a.says(0, b"hello"), answer], Side.ACCEPTOR) == [50, b"later"]
    assert spoken([syn[0], a.says(5, b"x", ack=50), answer], Side.ACCEPTOR) == [None, b"later"]
    assert spoken([syn[1], a.says(0, b"hello")]) == [b"hello"]
    assert spoken([syn[2], syn[1], a.says(0, b"hello"), b.says(0, b"yes")], Side.ACCEPTOR) == [b"yes"]


@pytest.mark.parametrize("first", ["a", "b"])
@pytest.mark.parametrize(("data", "requestor"), [(b"\xee" * 9, A), (RQ, None), (b"\x02" + RQ[1:], None)])
def test_in_the_middle_the_requestor_is_told_by_what_is_said_else_by_its_port(
    first: str, data: bytes, requestor: Endpoint | None
) -> None:
    a, b = ends()
    speaker, other = (a, b) if first == "a" else (b, a)
    connection, item = taken([other.says(7), speaker.says(70, data)])[0]
    expected = requestor or (speaker.here if data[0] == 1 else other.here)
    assert connection.begins_midway
    assert connection.requestor == expected
    assert item.side is (Side.REQUESTOR if speaker.here == expected else Side.ACCEPTOR)


def test_ports_are_used_again() -> None:
    a, b = ends()
    one = [*opened(a, b), a.says(0, b"one")]
    c, d = ends(77_000, 88_000)
    two = [*opened(c, d), c.says(0, b"two")]
    closed = [a.says(3, flags="f"), b.says(0, flags="f", ack=4), a.says(4), a.says(0, b"one")]
    for between in ([], [a.says(3, flags="r")], closed):
        found = taken([*one, *between, *two])
        assert [(connection.number, item.data) for connection, item in found if isinstance(item, Bytes)] == [
            (0, b"one"),
            (1, b"two"),
        ]
    midway = taken([a.says(9, b"mid"), *two])
    assert [connection.begins_midway for connection, _ in midway] == [True, False]
    # A repeated SYN opens nothing, but after the end it does.
    assert len({connection.number for connection, _ in taken([one[0], *one])}) == 1
    assert len({connection.number for connection, _ in taken([*one, *closed, *one])}) == 2


def test_a_reset_ends_it_after_what_waits() -> None:
    a, b = ends()
    found = items([*opened(a, b), a.says(4, b"ef"), b.says(0, flags="r"), a.says(0, b"abcd")])
    assert [type(item) for item in found] == [Gap, Bytes, Closed]
    assert found[-1] == Closed(3.0 - 1.0, Side.ACCEPTOR, reset=True)


def test_a_keep_alive_is_no_conflict() -> None:
    a, b = ends()
    assert spoken([*opened(a, b), a.says(0, b"ab"), a.says(1, b"\0"), a.says(2, b"c")]) == [b"abc"]
    assert not any(isinstance(each, Conflict) for each in items([*opened(a, b), a.says(0, b"ab"), a.says(1, b"\0")]))


def test_an_end_that_speaks_to_itself_is_none() -> None:
    assert items([End(A, A).says(0, b"x")]) == []


@pytest.mark.parametrize("bound", ["MOST_WAITING", "MOST_SEGMENTS"])
def test_a_hole_is_given_up_when_too_much_waits(bound: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, bound, 3)
    a, b = ends()
    reassembly = Reassembly()
    found: list[Item] = []
    for segment in [*opened(a, b), *(a.says(2 * at + 1, b"x") for at in range(20))]:
        found += [item for _, item in reassembly.take(segment)]
    assert sum(isinstance(item, Gap) for item in found) == 17
    assert [item.time for item in found] == sorted(item.time for item in found)


def test_what_was_given_is_remembered_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REMEMBERED", 4)
    a, b = ends()
    said = [*opened(a, b), *(a.says(at, b"ab") for at in range(0, 20, 2))]
    found = items([*said, a.says(12, b"XXXXXXXX"), a.says(0, b"XXXX")])
    assert [item for item in found if isinstance(item, Conflict)] == [Conflict(13.0, Side.REQUESTOR, 4)]


def test_the_connection_that_was_silent_longest_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    def three() -> list[tuple[int, str]]:
        ends_ = [End(Endpoint("10.0.0.1", 2000 + number), B) for number in range(3)]
        said = [end.says(at, b"abcd") for at in (0, 8) for end in ends_]
        return [(connection.number, type(item).__name__) for connection, item in taken(said)]

    assert {number for number, _ in three()} == {0, 1, 2}
    monkeypatch.setattr(module, "MOST_CONNECTIONS", 2)
    assert {number for number, _ in three()} == {0, 1, 2, 3, 4, 5}
    monkeypatch.setattr(module, "MOST_CONNECTIONS", 99)
    monkeypatch.setattr(module, "MOST_HELD", 10)
    assert {number for number, _ in three()} == {0, 1, 2, 3, 4, 5}


ANY = st.builds(
    Segment,
    st.floats(0, 9),
    st.sampled_from([A, B]),
    st.sampled_from([A, B]),
    st.integers(0, 2**32 - 1) | st.integers(0, 9),
    st.none() | st.integers(0, 2**32 - 1) | st.integers(0, 9),
    st.booleans(),
    st.booleans(),
    st.sampled_from([False, False, False, True]),
    st.binary(max_size=5),
    st.integers(0, 5),
)


@given(st.lists(ANY, max_size=30))
def test_any_segments_are_taken(segments: list[Segment]) -> None:
    for item in items(segments):
        assert not isinstance(item, Gap) or item.length is None or item.length > 0
        assert not isinstance(item, Bytes) or item.data


@given(st.lists(st.tuples(st.sampled_from([0, 1, 101, 113, 276]), st.binary(max_size=80)), max_size=5))
def test_any_packets_are_taken(packets: list[tuple[int, bytes]]) -> None:
    list(streams(Packet(float(at), link, data, len(data)) for at, (link, data) in enumerate(packets)))


def test_packets_become_streams() -> None:
    head = bytes.fromhex("4500002d00000000400600000a0000010a000002 9c40 0068 00000001 00000002 5018 0400 00000000")
    found = list(streams([Packet(0.0, 101, head + b"hello", 45), Packet(0.0, 147, b"", 0)]))
    assert found == [(Connection(0, A, B, begins_midway=True), Bytes(0.0, Side.REQUESTOR, b"hello"))]
