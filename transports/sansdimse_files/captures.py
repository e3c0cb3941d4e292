"""Capture files opened: pcap and pcapng, either of them perhaps in gzip, as a stream of packets.

The records are read with dpkt (BSD licence, plain Python, no dependencies). Its own loops over a file are not used: of
pcapng they know one interface only and drop lengths on the wire, and they read as much as a file tells them to. Nor are
its options of packets: a comment that is no UTF-8 would end the file, and many small ones take it hours.
"""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any, Final, Literal, NamedTuple

from sansdimse.replay.capture import Captured, Packet, gathered
from sansdimse.replay.detect import dicom_only
from sansdimse.replay.streams import streams

LONGEST_RECORD: Final = 16 << 20
"""Bytes of the longest packet or block that is read: a jumbo packet has 64 KiB, and comments are short."""
LARGEST_INFLATED: Final = 64 << 30
"""Bytes that a file in gzip may have when it is inflated."""

_SECTION: Final = 0x0A0D0D0A
_INTERFACE, _PACKET, _SIMPLE, _ENHANCED = 1, 2, 3, 6
_Order = Literal["little", "big"]


class CaptureError(Exception):
    """A file is no capture, or a broken one: what, and where. Packets before that were given."""


@contextmanager
def open_packets(path: str | os.PathLike[str]) -> Iterator[Iterator[Packet]]:
    """The packets of a capture file, while it is open. Iterating raises ``CaptureError`` for what is broken.

    Raises ``OSError``, and ``CaptureError`` for what is no capture file. A file that ends in the middle of its last
    packet just ends there, as one that is still being written does.
    """
    try:
        from dpkt import pcap, pcapng
    except ImportError as error:
        raise CaptureError("reading captures needs dpkt: pip install 'sansdimse[capture]'") from error
    with open(path, "rb") as raw:
        file: Any = raw
        if raw.read(2) == b"\x1f\x8b":
            raw.seek(0)
            file = gzip.GzipFile(fileobj=raw)
        else:
            raw.seek(0)
        source = _Source(file, None if file is raw else LARGEST_INFLATED)
        magic = source.take(4)
        if magic == _SECTION.to_bytes(4, "big"):
            yield _pcapng(source, pcapng)
        elif int.from_bytes(magic, "big") in pcap.MAGIC_TO_PKT_HDR:
            yield _pcap(source, magic, pcap)
        else:
            raise CaptureError(f"{os.fspath(path)!r} is no capture: it begins with {magic.hex(' ') or 'nothing'}")


def read_capture(path: str | os.PathLike[str]) -> list[Captured]:
    """The DICOM connections of a capture file, whole in memory.

    Raises ``OSError`` and ``CaptureError``. For large files iterate over ``open_packets``.
    """
    with open_packets(path) as packets:
        return gathered(dicom_only(streams(packets)))


class _Source:
    """A file read forward, with bounds, and errors in one kind."""

    def __init__(self, file: IO[bytes], most: int | None) -> None:
        self._file = file
        self._most = most
        self.at = 0

    def take(self, size: int) -> bytes:
        """So many bytes, or what is left."""
        if size > LONGEST_RECORD:
            raise CaptureError(f"at byte {self.at}: a record of {size} bytes, the longest are {LONGEST_RECORD}")
        if self._most is not None and self.at > self._most:
            raise CaptureError(f"more than {self._most} bytes come out of the gzip file")
        try:
            data = self._file.read(size)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise CaptureError(f"at byte {self.at}: the gzip file is broken: {error}") from error
        self.at += len(data)
        return data


def _pcap(source: _Source, magic: bytes, pcap: Any) -> Iterator[Packet]:
    head = magic + source.take(20)
    if len(head) < 24:
        raise CaptureError("the file ends in its header")
    number = int.from_bytes(magic, "big")
    swapped = number in (pcap.PMUDPCT_MAGIC, pcap.PMUDPCT_MAGIC_NANO, pcap.PACPDOM_MAGIC)
    link_type = (pcap.LEFileHdr if swapped else pcap.FileHdr)(head).linktype & 0x0FFFFFFF  # FCS length on top
    record = pcap.MAGIC_TO_PKT_HDR[number]
    fraction = 1e9 if number in (pcap.TCPDUMP_MAGIC_NANO, pcap.PMUDPCT_MAGIC_NANO) else 1e6
    size = record.__hdr_len__
    while len(head := source.take(size)) == size:
        header = record(head)
        data = source.take(header.caplen)
        if len(data) < header.caplen:
            return  # cut in the middle of a packet
        yield Packet(header.tv_sec + header.tv_usec / fraction, link_type, data, max(header.len, len(data)))


class _Interface(NamedTuple):
    link_type: int
    snap_length: int  # 0: none
    ticks: float  # of a second
    offset: float  # seconds


def _pcapng(source: _Source, pcapng: Any) -> Iterator[Packet]:
    order = _section(source, source.take(4))
    interfaces: list[_Interface] = []
    time = 0.0
    while len(head := source.take(8)) == 8:
        if head[:4] == _SECTION.to_bytes(4, "big"):
            order, interfaces = _section(source, head[4:]), []
            continue
        kind, length = int.from_bytes(head[:4], order), int.from_bytes(head[4:], order)
        if length < 12 or length % 4:
            raise CaptureError(f"at byte {source.at}: a block of {length} bytes")
        block = head + source.take(length - 8)
        if len(block) < length:
            return  # cut in the middle of a block
        try:
            if block[-4:] != head[4:]:
                raise ValueError("it ends with another length")
            packet = None
            if kind == _INTERFACE:
                interfaces.append(_interface(block, order, pcapng))
            elif kind in (_ENHANCED, _PACKET):
                packet = _packet(block, kind, order, interfaces, pcapng)
            elif kind == _SIMPLE:
                packet = _simple_packet(block, time, order, interfaces)
        except ValueError as error:
            raise CaptureError(f"at byte {source.at}: block {kind} is broken: {error}") from error
        if packet is not None:
            time = packet.time
            yield packet


def _section(source: _Source, length: bytes) -> _Order:
    """The header of a section, after its type and its length: the byte order of what follows."""
    magic = source.take(4)
    if magic not in (b"\x1a\x2b\x3c\x4d", b"\x4d\x3c\x2b\x1a"):
        raise CaptureError(f"at byte {source.at}: a section of no byte order")
    order: _Order = "little" if magic[0] == 0x4D else "big"
    size = int.from_bytes(length, order)
    if size < 28 or size % 4:
        raise CaptureError(f"at byte {source.at}: a section header of {size} bytes")
    source.take(size - 12)
    return order


def _header(block: bytes, kind: Any) -> Any:
    """A block's fields, read by dpkt; its options are not."""
    if len(block) < kind.__hdr_len__:
        raise ValueError(f"it has {len(block)} bytes")
    header = kind()
    header.unpack_hdr(block)
    return header


def _options(options: bytes, order: _Order) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + 4 <= len(options):
        code, size = int.from_bytes(options[at : at + 2], order), int.from_bytes(options[at + 2 : at + 4], order)
        if code == 0:
            return
        yield code, options[at + 4 : at + 4 + size]
        at += 4 + (size + 3) // 4 * 4


def _interface(block: bytes, order: _Order, pcapng: Any) -> _Interface:
    little = order == "little"
    header = _header(block, pcapng.InterfaceDescriptionBlockLE if little else pcapng.InterfaceDescriptionBlock)
    ticks, offset = 1e6, 0.0
    for code, data in _options(block[16:-4], order):
        if code == pcapng.PCAPNG_OPT_IF_TSRESOL and data:
            ticks = float((2 if data[0] & 0x80 else 10) ** (data[0] & 0x7F))
        elif code == pcapng.PCAPNG_OPT_IF_TSOFFSET and len(data) >= 8:
            offset = float(int.from_bytes(data[:8], order, signed=True))
    return _Interface(header.linktype, header.snaplen, ticks, offset)


def _packet(block: bytes, kind: int, order: _Order, interfaces: list[_Interface], pcapng: Any) -> Packet:
    name = ("EnhancedPacketBlock" if kind == _ENHANCED else "PacketBlock") + ("LE" if order == "little" else "")
    header = _header(block, getattr(pcapng, name))
    if header.iface_id >= len(interfaces):
        raise ValueError(f"interface {header.iface_id} was never described")
    if header.caplen > len(block) - 32:
        raise ValueError(f"a packet of {header.caplen} bytes does not fit")
    interface = interfaces[header.iface_id]
    time = interface.offset + ((header.ts_high << 32) | header.ts_low) / interface.ticks
    return Packet(time, interface.link_type, block[28 : 28 + header.caplen], max(header.pkt_len, header.caplen))


def _simple_packet(block: bytes, time: float, order: _Order, interfaces: list[_Interface]) -> Packet:
    """A packet without a time: it has that of the packet before it."""
    if len(block) < 16 or not interfaces:
        raise ValueError("it has no length, or no interface")
    length = int.from_bytes(block[8:12], order)
    link_type, snap_length = interfaces[0][:2]
    captured = min(length, len(block) - 16, snap_length or length)
    return Packet(time, link_type, block[12 : 12 + captured], length)
