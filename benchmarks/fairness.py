"""Fifty associations at once, each storing a hundred instances of 512 KiB to one server: fairly shared, and all stored.

    python benchmarks/fairness.py                        three rounds: two minutes
    python benchmarks/fairness.py --count 10 --rounds 1

The clients are made by hand in this process, on one selector: each sends its next instance when the last is answered.
When the first client is done every other must have stored at least a third of its own. The growth is the highest
resident set of the server, less what it was when all were associated.
"""

from __future__ import annotations

import argparse
import json
import selectors
import struct
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, replace
from importlib import util
from statistics import median

import floor
from ends import ASYNCIO, PYNETDICOM, SOCKET, STORAGES, TRIO, allow_files
from idle import associate
from processes import child

CLIENTS, COUNT, SIZE = 50, 100, 512 * 1024
SHARE = 1 / 3
"""Of its own, that every client must have stored when the first is done."""
SILENCE = 30.0
"""Seconds without anything from any of them after which they are given up."""


@dataclass(frozen=True, slots=True)
class Shared:
    """One server: medians of the rounds."""

    what: str
    clients: int
    count: int
    """Instances for each."""
    size: int
    stored: int
    """Instances answered with Success, of all clients."""
    share: float
    """What the one furthest behind had stored of its own when the first was done."""
    seconds: float
    megabytes_per_second: float
    growth: int
    """Bytes."""

    @property
    def is_complete(self) -> bool:
        """Whether nothing was lost."""
        return self.stored == self.clients * self.count

    @property
    def holds(self) -> bool:
        """Whether a server of ours on a loop was fair besides."""
        return self.what not in (ASYNCIO, TRIO) or (self.is_complete and self.share >= SHARE)


class Client:
    """One association that stores; it never blocks."""

    def __init__(self, wire: floor.Wire, whole: memoryview, count: int) -> None:
        self.sock = wire.sock
        self.sock.setblocking(False)
        self._whole = whole
        self._count = count
        self._sent = 0
        self._heard = b""
        self.stored = 0

    @property
    def is_done(self) -> bool:
        """Whether all is stored."""
        return self.stored == self._count

    @property
    def wanted(self) -> int:
        """What to wait for."""
        return selectors.EVENT_READ | selectors.EVENT_WRITE * (self._sent < len(self._whole) and not self.is_done)

    def write(self) -> None:
        """Send what goes."""
        with suppress(BlockingIOError):
            self._sent += self.sock.send(self._whole[self._sent :])

    def read(self) -> None:
        """Hear an answer, and begin anew. Raises ``ConnectionError`` if it is not a success."""
        data = self.sock.recv(floor.RECEIVE)
        if not data:
            raise ConnectionError(f"closed after {self.stored} of {self._count}")
        self._heard += data
        if len(self._heard) < 6 or len(self._heard) < 6 + struct.unpack_from(">I", self._heard, 2)[0]:
            return
        if self._heard[0] != floor.DATA or dict(floor.command_elements(self._heard[12:]))[0x0900] != b"\0\0":
            raise ConnectionError(f"not a success: {self._heard[:64].hex()}")
        self._heard = b""
        self._sent = 0
        self.stored += 1


def instance(size: int) -> memoryview:
    """A C-STORE-RQ with its data set, as it goes over the wire; the context is that of ``idle.request``."""
    context = 2 * (1 + STORAGES.index(floor.SECONDARY_CAPTURE.decode())) + 1
    request = floor.command_set(
        (0x0002, floor.SECONDARY_CAPTURE),
        (0x0100, 0x0001),
        (0x0110, 1),
        (0x0700, 0),
        (0x0800, 1),
        (0x1000, floor.INSTANCE),
    )
    whole = bytearray(floor.p_data(context, floor.COMMAND | floor.LAST, request))
    whole += b"".join(floor.data_set_pdus(size, (floor.DEFAULT_PDU - 6) & ~1, context))
    return memoryview(bytes(whole))


def drive(clients: list[Client]) -> float:
    """Let all store to the end; what the last had of its own when the first was done."""
    share = None
    with selectors.DefaultSelector() as selector:
        for client in clients:
            selector.register(client.sock, client.wanted, client)
        while not all(client.is_done for client in clients):
            ready = selector.select(SILENCE)
            if not ready:
                raise TimeoutError(f"nothing for {SILENCE} seconds: {[client.stored for client in clients]}")
            for key, what in ready:
                client = key.data
                if what & selectors.EVENT_READ:
                    client.read()
                if what & selectors.EVENT_WRITE:
                    client.write()
                if client.wanted != key.events:
                    selector.modify(client.sock, client.wanted, client)
                if client.is_done and share is None:
                    share = min(client.stored for client in clients) / client.stored
    return share or 0.0


def once(whose: str, clients: int, count: int, size: int) -> Shared:
    """One round of one server."""
    with ExitStack() as stack:
        server = stack.enter_context(child("ends.py", whose, "scp", "--associations", clients))
        whole = instance(size)
        storing = []
        for _ in range(clients):
            wire = associate(server.port, None)
            stack.callback(wire.sock.close)
            storing.append(Client(wire, whole, count))
        before = server.resident()
        server.forget_highest()
        start = time.perf_counter()
        share = drive(storing)
        seconds = time.perf_counter() - start
        stored = sum(client.stored for client in storing)
        growth = server.highest() - before
    return Shared(whose, clients, count, size, stored, share, seconds, stored * size / seconds / 1e6, growth)


def measure(clients: int, count: int, size: int, rounds: int, say: Callable[[str], object]) -> list[Shared]:
    """Every server, in turns."""
    allow_files()
    servers = [ASYNCIO, TRIO, SOCKET, *([PYNETDICOM] if util.find_spec("pynetdicom") is not None else [])]
    found: dict[str, list[Shared]] = {}
    for number in range(rounds):
        for whose in servers:
            say(f"fairness, round {number + 1} of {rounds}: {clients} store {count} each to {whose}")
            found.setdefault(whose, []).append(once(whose, clients, count, size))
    return [typical(each) for each in found.values()]


def typical(rounds: list[Shared]) -> Shared:
    """The medians, each figure for itself."""
    return replace(
        rounds[0],
        stored=min(each.stored for each in rounds),
        share=median(each.share for each in rounds),
        seconds=median(each.seconds for each in rounds),
        megabytes_per_second=median(each.megabytes_per_second for each in rounds),
        growth=max(each.growth for each in rounds),
    )


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=CLIENTS, metavar="N", help="at once (%(default)s)")
    parser.add_argument("--count", type=int, default=COUNT, metavar="N", help="instances each (%(default)s)")
    parser.add_argument("--size", type=int, default=SIZE, metavar="BYTES", help="of each (%(default)s)")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="(%(default)s)")
    given = parser.parse_args()

    def say(text: str) -> None:
        print(text, file=sys.stderr)

    results = measure(given.clients, given.count, given.size, given.rounds, say)
    for result in results:
        print(json.dumps(asdict(result) | {"holds": result.holds}))
    return int(not all(result.holds for result in results))


if __name__ == "__main__":
    raise SystemExit(main())
