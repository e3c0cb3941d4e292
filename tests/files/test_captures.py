"""Capture files: every format, and clear errors within bounds for all others."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import struct
import sys
from contextlib import suppress
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sansdimse.replay.capture import Conflict, Packet, Side
from sansdimse_files import captures
from sansdimse_files.captures import CaptureError, open_packets, read_capture

CAPTURES = Path(__file__).resolve().parents[3] / "shared" / "captures"
FILES = sorted(CAPTURES.glob("*.pcap")) + sorted(CAPTURES.glob("impaired/*.pcap*"))
Order = Literal["<", ">"]


def pcap(*packets: tuple[int, int, bytes, int], order: str = "<", nano: bool = False, link: int = 1) -> bytes:
    magic = 0xA1B23C4D if nano else 0xA1B2C3D4
    records = [struct.pack(order + "LLLL", s, f, len(data), length) + data for s, f, data, length in packets]
    return struct.pack(order + "LHHlLLL", magic, 2, 4, 0, 0, 96, link) + b"".join(records)


def block(kind: int, body: bytes, order: str = "<") -> bytes:
    body += bytes(-len(body) % 4)
    length = struct.pack(order + "L", len(body) + 12)
    return struct.pack(order + "L", kind) + length + body + length


def option(code: int, data: bytes, order: str = "<") -> bytes:
    return struct.pack(order + "HH", code, len(data)) + data + bytes(-len(data) % 4)


def section(order: str = "<") -> bytes:
    return block(0x0A0D0D0A, struct.pack(order + "LHHq", 0x1A2B3C4D, 1, 0, -1), order)


def interface(link: int = 1, snap: int = 0, options: bytes = b"", order: str = "<") -> bytes:
    return block(1, struct.pack(order + "HHL", link, 0, snap) + options, order)


def enhanced(ticks: int, data: bytes, length: int, number: int = 0, options: bytes = b"", order: str = "<") -> bytes:
    head = struct.pack(order + "LLLLL", number, ticks >> 32, ticks & 0xFFFFFFFF, len(data), length)
    return block(6, head + data + bytes(-len(data) % 4) + options, order)


def read(path: Path, content: bytes) -> list[Packet]:
    path.write_bytes(content)
    with open_packets(path) as packets:
        return list(packets)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "capture"


def test_there_are_captures() -> None:
    if not CAPTURES.exists() and not os.environ.get("CI"):
        pytest.skip("the captures are not here")
    assert len(FILES) == 41


def held(stream: bytes, ranges: list[list[int]]) -> bytes:
    return b"".join(stream[first:last] for first, last in ranges)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_captures_hold_what_their_oracles_say(file: Path) -> None:
    oracle = json.loads((file.parent / (file.name.split(".")[0] + ".oracle.json")).read_text())
    found = {str(each.connection.requestor): each for each in read_capture(file)}
    assert len(found) == len(oracle["associations"])
    for association in oracle["associations"]:
        captured = found[association["client"]]
        for direction, side in (("C>S", Side.REQUESTOR), ("S>C", Side.ACCEPTOR)):
            stream = captured.of(side)
            if "stream_sha256" in association:
                assert hashlib.sha256(stream).hexdigest() == association["stream_sha256"][direction]
                assert captured.is_whole
            else:
                base = json.loads((CAPTURES / f"{association['base']}.oracle.json").read_text())
                whole = next(
                    each
                    for each in read_capture(CAPTURES / f"{association['base']}.pcap")
                    if str(each.connection.requestor) == base["associations"][association["base_association"]]["client"]
                )
                assert stream == held(whole.of(side), association["present"][direction])
    assert any(isinstance(item, Conflict) for each in found.values() for item in each.items) is (
        "conflict" in file.name
    )


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("nano", [False, True])
@pytest.mark.parametrize("zipped", [False, True])
def test_pcap(path: Path, order: Order, nano: bool, zipped: bool) -> None:
    content = pcap((10, 500, b"abc", 9), (11, 0, b"", 0), order=order, nano=nano, link=0x40000071)  # FCS of 4 bytes
    expected = [Packet(10 + 500 / (1e9 if nano else 1e6), 113, b"abc", 9), Packet(11.0, 113, b"", 0)]
    assert read(path, gzip.compress(content) if zipped else content) == expected


@pytest.mark.parametrize("order", ["<", ">"])
def test_pcapng(path: Path, order: Order) -> None:
    other: Order = ">" if order == "<" else "<"
    name = option(2, b"eth0", order)
    offset = option(14, struct.pack(order + "q", -100), order)
    content = (
        section(order)
        + interface(order=order)
        + interface(113, 3, name + option(9, b"\x09", order) + offset + option(0, b"", order), order)
        + interface(101, 0, option(9, b"\x8a", order) + option(9, b"", order), order)
        + block(5, b"statistics", order)
        + enhanced(1_500_000, b"abcde", 9, options=option(1, b"caf\xe9", order), order=order)
        + enhanced(200 * 10**9, b"x", 1, 1, order=order)
        + enhanced(2048, b"", 0, 2, order=order)
        + block(2, struct.pack(order + "HHLLLL", 1, 0, 0, 5, 2, 1) + b"pb", order)
        + block(3, struct.pack(order + "L", 3) + b"spb", order)
        + section(other)
        + interface(0, 2, order=other)
        + block(3, struct.pack(other + "L", 30) + b"spb", other)
    )
    expected = [
        Packet(1.5, 1, b"abcde", 9),
        Packet(100.0, 113, b"x", 1),
        Packet(2.0, 101, b"", 0),
        Packet(-100 + 5e-9, 113, b"pb", 2),
        Packet(-100 + 5e-9, 1, b"spb", 3),
        Packet(-100 + 5e-9, 0, b"sp", 30),
    ]
    assert read(path, content) == expected
    assert read(path, gzip.compress(content)) == expected


ONE = interface() + enhanced(1, b"abc", 3)


@pytest.mark.parametrize("whole", [pcap((1, 0, b"abc", 3), (2, 0, b"def", 3)), section() + ONE + enhanced(2, b"d", 1)])
def test_a_file_that_is_cut_ends_there(path: Path, whole: bytes) -> None:
    counts = [len(read(path, whole[:size])) for size in range(28, len(whole) + 1)]
    assert counts == sorted(counts)
    assert (counts[0], counts[-1]) == (0, 2)


BROKEN = {
    "nothing": b"",
    "no capture": b"PK\x03\x04 and more",
    "pcap without header": pcap()[:20],
    "pcap record too long": pcap() + struct.pack("<LLLL", 0, 0, 0xFFFFFFFF, 5),
    "section of no order": section()[:8] + b"\1\2\3\4" + section()[12:],
    "section too short": section()[:4] + b"\x18\0\0\0" + section()[8:],
    "section of odd length": section()[:4] + b"\x1d\0\0\0" + section()[8:],
    "section too long": section()[:4] + b"\0\0\0\x7f" + section()[8:],
    "block of no length": section() + struct.pack("<LL", 6, 0),
    "block of odd length": section() + struct.pack("<LL", 6, 33) + bytes(40),
    "block too long": section() + struct.pack("<LL", 6, 0x7FFFFFFC),
    "block that ends otherwise": section() + interface()[:-4] + bytes(4),
    "interface too short": section() + block(1, b"\1\0\0\0"),
    "packet too short": section() + interface() + block(6, bytes(16)),
    "packet beyond its block": section() + interface() + block(6, struct.pack("<LLLLL", 0, 0, 0, 9, 9) + bytes(8)),
    "interface never described": section() + enhanced(1, b"a", 1),
    "interface of another section": section() + ONE + section() + enhanced(1, b"a", 1),
    "simple packet too short": section() + interface() + block(3, b""),
    "simple packet without interface": section() + block(3, bytes(8)),
    "gzip of no capture": gzip.compress(b"hello, world"),
    "broken gzip": b"\x1f\x8b" + bytes(30),
    "gzip that is cut": gzip.compress(pcap((1, 0, os.urandom(99), 99)))[:-30],
    "gzip that is damaged": gzip.compress(pcap((1, 0, b"abc" * 999, 2997)))[:-8] + bytes(8),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_broken_is_said_clearly(path: Path, name: str) -> None:
    with pytest.raises(CaptureError, match=r"."):
        read(path, BROKEN[name])


def test_packets_before_a_fault_are_given(path: Path) -> None:
    path.write_bytes(section() + ONE + block(6, b""))
    with open_packets(path) as packets:
        assert next(packets) == Packet(1e-6, 1, b"abc", 3)
        with pytest.raises(CaptureError, match="block 6 is broken"):
            next(packets)


def test_many_small_options_take_no_time(path: Path) -> None:
    options = option(2988, b"") * 500_000
    assert len(read(path, section() + interface(options=options) + enhanced(1, b"a", 1, options=options))) == 1


def test_a_gzip_bomb_is_bounded(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(captures, "LARGEST_INFLATED", 10_000)
    bomb = pcap() + bytes(1 << 20)
    with pytest.raises(CaptureError, match="more than 10000 bytes"):
        read(path, gzip.compress(bomb))
    assert len(read(path, bomb)) == 1 << 16  # what is on disk is no bomb


def test_no_file_is_an_oserror(path: Path) -> None:
    with pytest.raises(FileNotFoundError), open_packets(path):
        pass


def test_without_dpkt_it_says_what_to_install(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dpkt", None)
    with pytest.raises(CaptureError, match=r"sansdimse\[capture\]"), open_packets(path):
        pass


WHOLE = (pcap((1, 0, b"abc", 3), (2, 0, b"def", 3)), section() + ONE + interface() + ONE + block(3, bytes(8)))


@given(st.sampled_from([*WHOLE, *map(gzip.compress, WHOLE)]), st.data())
def test_any_damage_is_packets_or_a_clear_error(
    tmp_path_factory: pytest.TempPathFactory, whole: bytes, data: st.DataObject
) -> None:
    damaged = bytearray(whole[: data.draw(st.integers(0, len(whole)))])
    for _ in range(data.draw(st.integers(0, 4))):
        if damaged:
            damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    file = tmp_path_factory.getbasetemp() / "damaged"
    packets = []
    with suppress(CaptureError):
        packets = read(file, bytes(damaged))
    assert all(packet.length >= len(packet.data) for packet in packets)
