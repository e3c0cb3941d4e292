"""From a packet to the segment of TCP in it: link layer, IP, TCP, and nothing kept.

What is no TCP over IP, or is cut before its headers end, is no segment. Total over any bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address
from struct import Struct
from typing import Final

from sansdimse.replay.capture import Endpoint, Packet
from sansdimse.values import value

_IPV4: Final = 0x0800
_IPV6: Final = 0x86DD
_VLAN_TAGS: Final = frozenset({0x8100, 0x88A8, 0x9100})
_MOST_TAGS: Final = 4
_MOST_EXTENSIONS: Final = 8
_TCP: Final = 6
# IPv6 extension headers that may stand before TCP (RFC 8200 4): hop-by-hop, routing, destination; fragment; AH.
_EXTENSIONS: Final = frozenset({0, 43, 60})
_FRAGMENT: Final = 44
_AUTHENTICATION: Final = 51
_AF_INET6: Final = frozenset({10, 24, 28, 30})  # Linux, the BSDs, macOS

_TCP_HEADER: Final = Struct(">HHLLBB")


@value
class Segment:
    """A segment of TCP. ``missing`` are bytes of its payload that the capture cut off."""

    time: float
    source: Endpoint
    destination: Endpoint
    sequence: int
    acknowledged: int | None
    syn: bool
    fin: bool
    rst: bool
    payload: bytes
    missing: int


def segment_of(packet: Packet) -> Segment | None:
    """The segment in a packet, or None."""
    view = memoryview(packet.data)
    found = _LINKS.get(packet.link_type, _unknown)(view)
    if found is None:
        return None
    version, network = found
    # What the capture cut off, so that a payload cut short is told from one that ends here.
    cut = max(0, packet.length - len(view))
    return _ipv6(packet.time, network, cut) if version == 6 else _ipv4(packet.time, network, cut)


# ------------------------------------------------------------ link layers: (IP version, what follows)

_Found = tuple[int, memoryview] | None


def _by_ether_type(ether_type: int, rest: memoryview) -> _Found:
    for _ in range(_MOST_TAGS):
        if ether_type not in _VLAN_TAGS or len(rest) < 4:
            break
        ether_type, rest = int.from_bytes(rest[2:4], "big"), rest[4:]
    if ether_type == _IPV4:
        return 4, rest
    return (6, rest) if ether_type == _IPV6 else None


def _ethernet(view: memoryview) -> _Found:
    return _by_ether_type(int.from_bytes(view[12:14], "big"), view[14:]) if len(view) >= 14 else None


def _cooked(view: memoryview) -> _Found:
    return _by_ether_type(int.from_bytes(view[14:16], "big"), view[16:]) if len(view) >= 16 else None


def _cooked_v2(view: memoryview) -> _Found:
    return _by_ether_type(int.from_bytes(view[0:2], "big"), view[20:]) if len(view) >= 20 else None


def _loopback(view: memoryview) -> _Found:
    """An address family in the byte order of whoever captured: it is small, so its bytes tell which."""
    if len(view) < 4:
        return None
    family = min(int.from_bytes(view[:4], "big"), int.from_bytes(view[:4], "little"))
    if family == 2:
        return 4, view[4:]
    return (6, view[4:]) if family in _AF_INET6 else None


def _raw(view: memoryview) -> _Found:
    if not view:
        return None
    version = view[0] >> 4
    return (version, view) if version in (4, 6) else None


def _unknown(view: memoryview) -> _Found:
    return None


_LINKS: Final[dict[int, Callable[[memoryview], _Found]]] = {
    0: _loopback,
    1: _ethernet,
    12: _raw,
    14: _raw,
    101: _raw,
    108: _loopback,
    113: _cooked,
    228: _raw,
    229: _raw,
    276: _cooked_v2,
}
"""By LINKTYPE number: BSD loopback, Ethernet, raw IP, OpenBSD loopback, cooked v1, raw IPv4 and IPv6, cooked v2."""


# ------------------------------------------------------------ IP


def _ipv4(time: float, view: memoryview, cut: int) -> Segment | None:
    if len(view) < 20 or view[0] >> 4 != 4 or view[9] != _TCP:
        return None
    header = (view[0] & 0x0F) * 4
    total = int.from_bytes(view[2:4], "big")
    if int.from_bytes(view[6:8], "big") & 0x1FFF or header < 20 or len(view) < header:
        return None  # a later fragment has no header of TCP: what it brings is missed as a gap
    if total == 0:  # the network card was to fill it in (segmentation offload)
        total = len(view) + cut
    if total < header:
        return None
    source, destination = str(IPv4Address(bytes(view[12:16]))), str(IPv4Address(bytes(view[16:20])))
    return _tcp(time, source, destination, view[header:total], total - header)


def _ipv6(time: float, view: memoryview, cut: int) -> Segment | None:
    if len(view) < 40 or view[0] >> 4 != 6:
        return None
    length = int.from_bytes(view[4:6], "big")
    if length == 0:
        length = len(view) - 40 + cut
    following, at = view[6], 40
    for _ in range(_MOST_EXTENSIONS):
        if following == _TCP:
            source, destination = str(IPv6Address(bytes(view[8:24]))), str(IPv6Address(bytes(view[24:40])))
            left = length - (at - 40)
            return _tcp(time, source, destination, view[at : at + max(0, left)], left) if left > 0 else None
        if len(view) < at + 8:
            return None
        if following in _EXTENSIONS:
            size = (view[at + 1] + 1) * 8
        elif following == _AUTHENTICATION:
            size = (view[at + 1] + 2) * 4
        elif following == _FRAGMENT and not int.from_bytes(view[at + 2 : at + 4], "big") & 0xFFF8:
            size = 8
        else:
            return None
        following, at = view[at], at + size
    return None


# ------------------------------------------------------------ TCP


def _tcp(time: float, source: str, destination: str, view: memoryview, length: int) -> Segment | None:
    """``length`` is what IP says there is, ``view`` what was captured of it."""
    if len(view) < 14:
        return None
    source_port, destination_port, sequence, acknowledged, offset, flags = _TCP_HEADER.unpack_from(view)
    header = (offset >> 4) * 4
    if header < 20 or length < header:
        return None
    payload = bytes(view[header:])  # a view would keep the whole packet in memory
    return Segment(
        time,
        Endpoint(source, source_port),
        Endpoint(destination, destination_port),
        sequence,
        acknowledged if flags & 0x10 else None,
        bool(flags & 0x02),
        bool(flags & 0x01),
        bool(flags & 0x04),
        payload,
        length - header - len(payload),
    )
