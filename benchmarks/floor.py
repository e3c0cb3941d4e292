"""The floor: the least that a blocking Python loop must do to echo and to store, with no engine at all.

What sansdimse costs is measured against this. Both ends are made by hand: bytes are prepared once and
sent again and again, received data sets are counted and thrown away, and nothing is checked beyond what
the loop needs to go on. It is no example of how to talk to a peer.

    python benchmarks/floor.py both --echo 1000 --store 100 --size 524288 --max-pdu 131072
    python benchmarks/floor.py scp 11112
    python benchmarks/floor.py scu localhost 11112 --echo 1000

Results are one line of JSON. Sizes are bytes, times seconds; ``slowest`` shows a stall that a mean hides.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import socket
import struct
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from time import perf_counter

APPLICATION_CONTEXT = b"1.2.840.10008.3.1.1.1"
VERIFICATION = b"1.2.840.10008.1.1"
SECONDARY_CAPTURE = b"1.2.840.10008.5.1.4.1.1.7"
IMPLICIT_VR_LITTLE_ENDIAN = b"1.2.840.10008.1.2"
IMPLEMENTATION = b"2.25.11"
INSTANCE = b"2.25.271828182845904523536028747135266249775"
CONTEXTS = {1: VERIFICATION, 3: SECONDARY_CAPTURE}

RQ, AC, DATA, RELEASE_RQ, RELEASE_RP = 0x01, 0x02, 0x04, 0x05, 0x06
COMMAND, LAST = 1, 2
NO_DATA_SET = 0x0101
RECEIVE = WRITE = 256 * 1024
DEFAULT_PDU, SMALLEST_PDU = 128 * 1024, 256  # the data set's first elements must fit in one
QUICKACK = getattr(socket, "TCP_QUICKACK", None)


@dataclass(frozen=True, slots=True)
class Result:
    """``count`` messages of ``size`` bytes each, one after the other; ``size`` 0 is an echo."""

    what: str
    count: int
    size: int
    pdu: int
    seconds: float
    each: float
    slowest: float
    megabytes_per_second: float


class Wire:
    """A connected socket, and what was received but not yet taken."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = sock
        self.held = b""
        self.at = 0

    def _receive(self) -> bytes:
        # What we hold is part of a PDU. DCMTK has Nagle on and waits for an acknowledgement before it
        # sends the rest, so the kernel must not delay it; the option falls back by itself, hence each time.
        if QUICKACK is not None:
            self.sock.setsockopt(socket.IPPROTO_TCP, QUICKACK, 1)
        data = self.sock.recv(RECEIVE)
        if not data:
            raise ConnectionError("the peer closed the connection")
        return data

    def take(self, count: int) -> bytes:
        """The next ``count`` bytes."""
        while len(self.held) - self.at < count:
            self.held, self.at = self.held[self.at :] + self._receive(), 0
        start, self.at = self.at, self.at + count
        return self.held[start : self.at]

    def skip(self, count: int) -> None:
        """Forget the next ``count`` bytes, without putting them together."""
        while len(self.held) - self.at < count:
            count -= len(self.held) - self.at
            self.held, self.at = self._receive(), 0
        self.at += count

    def pdu(self) -> tuple[int, int]:
        """The next PDU's type and length."""
        kind, length = struct.unpack(">BxI", self.take(6))
        return kind, length

    def message(self) -> tuple[int, dict[int, bytes], int] | None:
        """Context ID, command set and length of the data set; None at a release request."""
        command, size, context, open_ = b"", 0, 0, True
        elements: dict[int, bytes] = {}
        while open_:
            kind, rest = self.pdu()
            if kind == RELEASE_RQ:
                self.skip(rest)
                return None
            if kind != DATA:
                raise ConnectionError(f"PDU type {kind:02X}: {self.take(rest).hex()}")
            while rest:
                length, context, flags = struct.unpack(">IBB", self.take(6))
                rest -= 4 + length
                if flags & COMMAND:
                    command += self.take(length - 2)
                    if flags & LAST:
                        elements = dict(command_elements(command))
                        open_ = int.from_bytes(elements[0x0800], "little") != NO_DATA_SET
                else:
                    self.skip(length - 2)
                    size += length - 2
                    open_ = not flags & LAST
        return context, elements, size


def command_elements(command: bytes) -> Iterator[tuple[int, bytes]]:
    """Element number and value of each element of group 0000."""
    at = 0
    while at < len(command):
        element, length = struct.unpack_from("<2xHI", command, at)
        at += 8 + length
        yield element, command[at - length : at]


def command_set(*elements: tuple[int, int | bytes]) -> bytes:
    """A command set with its group length; numbers are US, bytes UI."""
    body = b""
    for element, value in elements:
        encoded = struct.pack("<H", value) if isinstance(value, int) else value + b"\0" * (len(value) % 2)
        body += struct.pack("<HHI", 0, element, len(encoded)) + encoded
    return struct.pack("<HHII", 0, 0, 4, len(body)) + body


def p_data(context: int, flags: int, payload: bytes) -> bytes:
    """A P-DATA-TF PDU with one PDV."""
    return struct.pack(">BxIIBB", DATA, len(payload) + 6, len(payload) + 2, context, flags) + payload


def item(kind: int, body: bytes) -> bytes:
    """An item or sub-item of an A-ASSOCIATE PDU."""
    return struct.pack(">BxH", kind, len(body)) + body


def items(body: bytes) -> Iterator[tuple[int, bytes]]:
    """Type and body of each item."""
    at = 0
    while at < len(body):
        kind, length = struct.unpack_from(">BxH", body, at)
        at += 4 + length
        yield kind, body[at - length : at]


def associate_pdu(kind: int, titles: bytes, contexts: bytes, max_pdu: int) -> bytes:
    """An A-ASSOCIATE-RQ or -AC; ``titles`` is what stands between version and items."""
    user = item(0x51, struct.pack(">I", max_pdu)) + item(0x52, IMPLEMENTATION)
    body = struct.pack(">H2x", 1) + titles + item(0x10, APPLICATION_CONTEXT) + contexts + item(0x50, user)
    return struct.pack(">BxI", kind, len(body)) + body


def read_associate(wire: Wire, expected: int) -> tuple[bytes, list[bytes], int]:
    """Titles, bodies of the presentation context items, maximum length of an A-ASSOCIATE-RQ or -AC."""
    kind, length = wire.pdu()
    body = wire.take(length)
    if kind != expected:
        raise ConnectionError(f"PDU type {kind:02X} instead of {expected:02X}: {body[:16].hex()}")
    contexts, longest = [], 0
    for number, value in items(body[68:]):
        if number in (0x20, 0x21):
            contexts.append(value)
        elif number == 0x50:
            longest = int.from_bytes(dict(items(value)).get(0x51, b""), "big")
    return body[4:68], contexts, longest


def data_set_pdus(size: int, fragment: int, context: int = 3) -> list[bytes]:
    """A data set of ``size`` bytes as P-DATA-TF PDUs, several to a buffer, so that a write is worth its call.

    Made of three kinds of PDU only: the first, equal ones in the middle, the last.
    """

    def element(group: int, number: int, value: bytes) -> bytes:
        value += b"\0" * (len(value) % 2)
        return struct.pack("<HHI", group, number, len(value)) + value

    head = element(8, 0x16, SECONDARY_CAPTURE) + element(8, 0x18, INSTANCE)
    pixels = max(0, size + size % 2 - len(head) - 8)
    head += struct.pack("<HHI", 0x7FE0, 0x0010, pixels)
    total = len(head) + pixels
    if total <= fragment:
        return [p_data(context, LAST, head + bytes(pixels))]
    middles, rest = divmod(total - fragment, fragment)
    if not rest:
        middles, rest = middles - 1, fragment
    middle = p_data(context, 0, bytes(fragment))
    per_write = max(1, WRITE // len(middle))
    writes, single = divmod(middles, per_write)
    block = middle * per_write
    first = p_data(context, 0, head + bytes(fragment - len(head)))
    return [first, *[block] * writes, *[middle] * single, p_data(context, LAST, bytes(rest))]


def timed(what: str, count: int, size: int, pdu: int, one: Callable[[], None]) -> Result:
    """Do it ``count`` times, one after the other."""
    slowest, start = 0.0, perf_counter()
    before = start
    for _ in range(count):
        one()
        now = perf_counter()
        slowest, before = max(slowest, now - before), now
    seconds = before - start
    return Result(what, count, size, pdu, seconds, seconds / count, slowest, size * count / seconds / 1e6)


def scu(
    host: str, port: int, *, echoes: int, stores: int, size: int, max_pdu: int, called: bytes = b"ANY-SCP"
) -> list[Result]:
    """Associate, echo, store, release; ``max_pdu`` is announced, and nothing longer is sent."""
    with socket.create_connection((host, port)) as sock:
        wire = Wire(sock)
        proposed = b"".join(
            item(0x20, bytes((number, 0, 0, 0)) + item(0x30, syntax) + item(0x40, IMPLICIT_VR_LITTLE_ENDIAN))
            for number, syntax in CONTEXTS.items()
        )
        sock.sendall(associate_pdu(RQ, called.ljust(16) + b"FLOOR".ljust(16) + bytes(32), proposed, max_pdu))
        _, contexts, longest = read_associate(wire, AC)
        accepted = {body[0] for body in contexts if body[2] == 0}
        pdu = min(longest or DEFAULT_PDU, max_pdu or DEFAULT_PDU)

        def exchange(buffers: list[bytes]) -> Callable[[], None]:
            def one() -> None:
                for buffer in buffers:
                    sock.sendall(buffer)
                answer = wire.message()
                if answer is None or answer[1][0x0900] != b"\0\0":
                    raise ConnectionError(f"not a success: {answer}")

            return one

        results = []
        if echoes and 1 in accepted:
            request = command_set((0x0002, VERIFICATION), (0x0100, 0x0030), (0x0110, 1), (0x0800, NO_DATA_SET))
            results.append(timed("echo", echoes, 0, pdu, exchange([p_data(1, COMMAND | LAST, request)])))
        if stores and 3 in accepted:
            request = command_set(
                (0x0002, SECONDARY_CAPTURE), (0x0100, 0x0001), (0x0110, 1), (0x0700, 0), (0x0800, 1), (0x1000, INSTANCE)
            )
            first, *others = data_set_pdus(size, (pdu - 6) & ~1)
            whole = [p_data(3, COMMAND | LAST, request) + first, *others]
            results.append(timed("store", stores, size, pdu, exchange(whole)))
        sock.sendall(struct.pack(">BxI4x", RELEASE_RQ, 4))
        kind, length = wire.pdu()
        wire.skip(length)
        if kind != RELEASE_RP:
            raise ConnectionError(f"PDU type {kind:02X} instead of a release")
        return results


def accept(sock: socket.socket, max_pdu: int) -> tuple[int, int]:
    """Serve one association: every context accepted, every message answered Success. Messages and bytes taken."""
    wire = Wire(sock)
    titles, contexts, _ = read_associate(wire, RQ)
    answer = b""
    for body in contexts:
        syntaxes = [value for kind, value in items(body[4:]) if kind == 0x40]
        answer += item(0x21, bytes((body[0], 0, 0, 0)) + item(0x40, syntaxes[0]))
    sock.sendall(associate_pdu(AC, titles, answer, max_pdu))
    messages = received = 0
    while (message := wire.message()) is not None:
        context, command, size = message
        response: list[tuple[int, int | bytes]] = [
            (0x0002, command[0x0002]),
            (0x0100, int.from_bytes(command[0x0100], "little") | 0x8000),
            (0x0120, int.from_bytes(command[0x0110], "little")),
            (0x0800, NO_DATA_SET),
            (0x0900, 0),
        ]
        if 0x1000 in command:
            response.append((0x1000, command[0x1000]))
        sock.sendall(p_data(context, COMMAND | LAST, command_set(*response)))
        messages += 1
        received += size
    sock.sendall(struct.pack(">BxI4x", RELEASE_RP, 4))
    sock.settimeout(5)
    while sock.recv(RECEIVE):  # closing first could destroy the release response
        pass
    return messages, received


def serve(listener: socket.socket, *, max_pdu: int, associations: int | None = None) -> None:
    """One association after the other; for ever if ``associations`` is None."""
    done = 0
    while associations is None or done < associations:
        sock, _ = listener.accept()
        with sock:
            try:
                messages, received = accept(sock, max_pdu)
                print(json.dumps({"what": "served", "messages": messages, "bytes": received}), file=sys.stderr)
            except OSError as error:
                print(error, file=sys.stderr)
        done += 1


def _serve_one(pipe: Connection, max_pdu: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        pipe.send(listener.getsockname()[1])
        serve(listener, max_pdu=max_pdu, associations=1)


def both(*, echoes: int, stores: int, size: int, max_pdu: int) -> list[Result]:
    """SCU here, SCP in a process of its own."""
    processes = multiprocessing.get_context("spawn")
    ours, theirs = processes.Pipe()
    server = processes.Process(target=_serve_one, args=(theirs, max_pdu))
    server.start()
    try:
        return scu("127.0.0.1", ours.recv(), echoes=echoes, stores=stores, size=size, max_pdu=max_pdu)
    finally:
        server.join(10)
        server.terminate()


def main(arguments: list[str] | None = None) -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("role", choices=("scu", "scp", "both"))
    parser.add_argument("where", nargs="*", help="scu: HOST PORT, scp: PORT")
    parser.add_argument("--echo", type=int, default=0, metavar="N", help="C-ECHO so many times")
    parser.add_argument("--store", type=int, default=0, metavar="N", help="C-STORE so many times")
    parser.add_argument("--size", type=int, default=524288, metavar="BYTES", help="of each data set (%(default)s)")
    parser.add_argument(
        "--max-pdu", type=int, default=DEFAULT_PDU, metavar="BYTES", help="maximum length (%(default)s; 0: any)"
    )
    parser.add_argument("--associations", type=int, metavar="N", help="scp: end after so many")
    given = parser.parse_args(arguments)
    if 0 < given.max_pdu < SMALLEST_PDU:
        parser.error(f"--max-pdu is 0 or at least {SMALLEST_PDU}")
    work = {"echoes": given.echo, "stores": given.store, "size": given.size, "max_pdu": given.max_pdu}
    match given.role, given.where:
        case "scp", [port]:
            with socket.create_server(("", int(port))) as listener:
                serve(listener, max_pdu=given.max_pdu, associations=given.associations)
            results = []
        case "scu", [host, port]:
            results = scu(host, int(port), **work)
        case "both", []:
            results = both(**work)
        case _:
            parser.error(f"{given.role} does not go with {' '.join(given.where) or 'nothing'}")
    for result in results:
        print(json.dumps(asdict(result)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
