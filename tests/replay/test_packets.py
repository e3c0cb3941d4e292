"""From a packet to its segment: every link layer, both IPs, and total over any bytes."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sansdimse.replay.capture import Endpoint, Packet
from sansdimse.replay.packets import Segment, segment_of

ETHERNET, RAW = 1, 101
A4, B4 = bytes((192, 0, 2, 1)), bytes((192, 0, 2, 2))
A6, B6 = bytes(15) + b"\x01", bytes(15) + b"\x02"


def tcp(payload: bytes = b"hello", *, flags: int = 0x18, options: bytes = b"") -> bytes:
    offset = (20 + len(options)) // 4 << 4
    return struct.pack(">HHLLBBHHH", 40000, 104, 1000, 2000, offset, flags, 1024, 0, 0) + options + payload


def ipv4(
    inner: bytes, *, length: int | None = None, fragment: int = 0, protocol: int = 6, options: bytes = b""
) -> bytes:
    size = 20 + len(options)
    total = size + len(inner) if length is None else length
    head = struct.pack(">BBHHHBBH", 0x40 | size // 4, 0, total, 1, fragment, 64, protocol, 0)
    return head + A4 + B4 + options + inner


def ipv6(inner: bytes, *, length: int | None = None, following: int = 6) -> bytes:
    return struct.pack(">LHBB", 6 << 28, len(inner) if length is None else length, following, 64) + A6 + B6 + inner


def ethernet(inner: bytes, *, kind: int = 0x0800, tags: bytes = b"") -> bytes:
    return bytes(12) + tags + kind.to_bytes(2, "big") + inner


def found(link_type: int, data: bytes, length: int | None = None) -> Segment | None:
    return segment_of(Packet(1.5, link_type, data, len(data) if length is None else length))


def expected(payload: bytes = b"hello", missing: int = 0, *, version: int = 4) -> Segment:
    one, other = ("192.0.2.1", "192.0.2.2") if version == 4 else ("::1", "::2")
    return Segment(1.5, Endpoint(one, 40000), Endpoint(other, 104), 1000, 2000, False, False, False, payload, missing)


TAG = bytes.fromhex("81000064")
LAYERS = {
    "ethernet": (1, ethernet(ipv4(tcp()))),
    "one tag": (1, ethernet(ipv4(tcp()), tags=TAG)),
    "two tags": (1, ethernet(ipv4(tcp()), tags=bytes.fromhex("88a80001") + TAG)),
    "padded": (1, ethernet(ipv4(tcp())) + bytes(9)),
    "BSD loopback, little endian": (0, bytes((2, 0, 0, 0)) + ipv4(tcp())),
    "BSD loopback, big endian": (0, bytes((0, 0, 0, 2)) + ipv4(tcp())),
    "OpenBSD loopback": (108, bytes((0, 0, 0, 2)) + ipv4(tcp())),
    "cooked": (113, bytes(14) + b"\x08\x00" + ipv4(tcp())),
    "cooked v2": (276, b"\x08\x00" + bytes(18) + ipv4(tcp())),
    "options of IP and TCP": (RAW, ipv4(tcp(options=bytes(12)), options=bytes(8))),
    "first fragment": (RAW, ipv4(tcp(), fragment=0x2000)),
    "length left to the network card": (RAW, ipv4(tcp(), length=0)),
    **{f"raw {number}": (number, ipv4(tcp())) for number in (12, 14, 101, 228)},
}
LAYERS6 = {
    "ethernet": (1, ethernet(ipv6(tcp()), kind=0x86DD)),
    "loopback": (0, bytes((30, 0, 0, 0)) + ipv6(tcp())),
    "cooked": (113, bytes(14) + b"\x86\xdd" + ipv6(tcp())),
    "raw": (229, ipv6(tcp())),
    "padded": (1, ethernet(ipv6(tcp()), kind=0x86DD) + bytes(9)),
    "length left to the network card": (RAW, ipv6(tcp(), length=0)),
    "two extensions": (RAW, ipv6(bytes((60, 0)) + bytes(6) + bytes((6, 1)) + bytes(14) + tcp(), following=0)),
    "first fragment": (RAW, ipv6(bytes((6, 0, 0, 1)) + bytes(4) + tcp(), following=44)),
    "authentication": (RAW, ipv6(bytes((6, 4)) + bytes(22) + tcp(), following=51)),
}
NONE = {
    "unknown link": (147, ipv4(tcp())),
    "no IP": (1, ethernet(ipv4(tcp()), kind=0x0806)),
    "too many tags": (1, ethernet(ipv4(tcp()), tags=TAG * 5)),
    "ends in a tag": (1, bytes(12) + TAG[:2] + b"\0"),
    "short ethernet": (1, bytes(13)),
    "short cooked": (113, bytes(15)),
    "short cooked v2": (276, bytes(19)),
    "short loopback": (0, bytes(3)),
    "other family": (0, bytes((0, 0, 0, 7)) + ipv4(tcp())),
    "nothing": (RAW, b""),
    "version 5": (RAW, b"\x55" + bytes(60)),
    "UDP": (RAW, ipv4(tcp(), protocol=17)),
    "later fragment": (RAW, ipv4(tcp(), fragment=5)),
    "short IPv4": (RAW, ipv4(b"")[:19]),
    "IPv4 header of 16 bytes": (RAW, b"\x44" + ipv4(tcp())[1:]),
    "IPv4 header cut": (RAW, b"\x4f" + ipv4(b"")[1:]),
    "IPv4 total below its header": (RAW, ipv4(tcp(), length=19)),
    "version 6 says ethernet, version 4 it is": (1, ethernet(ipv4(tcp()), kind=0x86DD)),
    "short IPv6": (RAW, ipv6(b"")[:39]),
    "IPv6 with UDP": (RAW, ipv6(tcp(), following=17)),
    "IPv6 later fragment": (RAW, ipv6(bytes((6, 0, 0, 8)) + bytes(4) + tcp(), following=44)),
    "IPv6 extension cut": (RAW, ipv6(bytes(7), following=0)),
    "IPv6 without room": (RAW, ipv6(bytes((6, 1)) + bytes(14) + tcp(), following=0, length=16)),
    "endless extensions": (RAW, ipv6(bytes(200), following=0)),
    "short TCP": (RAW, ipv4(tcp()[:13])),
    "TCP header of 16 bytes": (RAW, ipv4(tcp()[:12] + b"\x40" + tcp()[13:])),
    "TCP header beyond IP": (RAW, ipv4(tcp()[:12] + b"\xf0" + tcp()[13:])),
}


@pytest.mark.parametrize("name", LAYERS)
def test_every_link_layer_is_read(name: str) -> None:
    assert found(*LAYERS[name]) == expected()


@pytest.mark.parametrize("name", LAYERS6)
def test_ip_version_6_is_read(name: str) -> None:
    assert found(*LAYERS6[name]) == expected(version=6)


@pytest.mark.parametrize("name", NONE)
def test_what_is_no_segment_is_none(name: str) -> None:
    assert found(*NONE[name]) is None


@pytest.mark.parametrize("inner", [ipv4(tcp()), ipv4(tcp(), length=0), ipv6(tcp()), ipv6(tcp(), length=0)])
@pytest.mark.parametrize("cut", range(1, 12))
def test_what_the_snap_length_cuts_off_is_missing(inner: bytes, cut: int) -> None:
    version = inner[0] >> 4
    left = max(0, 5 - cut)
    assert found(RAW, inner[:-cut], len(inner)) == expected(b"hello"[:left], 5 - left, version=version)


@pytest.mark.parametrize(("flags", "names"), [(0x02, {"syn"}), (0x11, {"fin"}), (0x14, {"rst"}), (0x12, {"syn"})])
def test_flags(flags: int, names: set[str]) -> None:
    segment = found(RAW, ipv4(tcp(b"", flags=flags)))
    assert segment is not None
    assert {name for name in ("syn", "fin", "rst") if getattr(segment, name)} == names
    assert segment.acknowledged == (2000 if flags & 0x10 else None)


def test_a_payload_keeps_no_packet_in_memory() -> None:
    segment = segment_of(Packet(1.5, RAW, memoryview(ipv4(tcp())), 45))
    assert segment is not None
    assert type(segment.payload) is bytes


@given(st.sampled_from([0, 1, 12, 101, 108, 113, 276, 147]), st.binary(max_size=120), st.integers(0, 200))
def test_any_bytes_are_a_segment_or_none(link_type: int, data: bytes, more: int) -> None:
    segment = found(link_type, data, len(data) + more)
    assert segment is None or (segment.missing >= 0 and len(segment.payload) <= len(data))


@given(st.sampled_from([*LAYERS.values(), *LAYERS6.values()]), st.data())
def test_any_damage_is_a_segment_or_none(layer: tuple[int, bytes], data: st.DataObject) -> None:
    link_type, whole = layer
    damaged = bytearray(whole[: data.draw(st.integers(0, len(whole)))])
    for _ in range(data.draw(st.integers(0, 3))):
        if damaged:
            damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    segment = found(link_type, bytes(damaged), len(whole))
    assert segment is None or segment.missing >= 0
