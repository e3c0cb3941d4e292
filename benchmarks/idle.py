"""What a thousand idle associations cost a server: threads, memory, processor time, and the echo of one of them.

    python benchmarks/idle.py                                    three rounds: two minutes
    python benchmarks/idle.py --count 200 --seconds 2 --rounds 1

Each server is a process of its own; this one opens sockets, sends a fixed A-ASSOCIATE-RQ with 8 presentation contexts
on each and reads the answer. Growth is what is resident with garbage collected, before the first and after the last.
An echo on one of them is held against an echo to a server of the same kind with a single association, in turns.
pynetdicom polls in two threads for each association, so it gets fewer; a server that takes no more in time has what
it took. TLS (``--tls``) needs trustme, and is for information. Linux only.
"""

from __future__ import annotations

import argparse
import json
import socket
import ssl
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from importlib import util
from pathlib import Path
from statistics import median

import floor
from ends import ASYNCIO, ECHO, EXPLICIT, HOST, IMPLICIT, PYNETDICOM, SOCKET, STORAGES, TRIO, allow_files
from processes import Child, child

COUNT = 1000
FEW = 100
"""For pynetdicom: ten times as many keep two processors busy with nothing."""
ECHOES = 200
PATIENCE = 10.0
"""Seconds for one association."""
THREADS, GROWTH, CPU, ECHO_RATIO = 1, 40 * 1024, 0.050, 1.25
"""What the servers on a loop may have and take at most: bytes for each association, seconds of processor time in
``SECONDS``, and of an echo's time beside the lone one's (which is the same but for noise)."""
SECONDS = 10.0

Credentials = tuple[str, ssl.SSLContext]
"""A file with certificate and key for the server, and a context that trusts it."""


@dataclass(frozen=True, slots=True)
class Idle:
    """One server: medians of the rounds."""

    what: str
    wanted: int
    opened: int
    """Associations."""
    threads: int
    growth: float
    """Bytes resident, for each association."""
    seconds: float
    cpu: float
    """Seconds of processor time in ``seconds`` idle ones."""
    lone_echo: float
    """Seconds for a C-ECHO to a server without others."""
    echo: float
    """The same with all the others there."""

    @property
    def is_lean(self) -> bool:
        """Whether a server on a loop, without TLS, took all of them with the threads and memory that it may have."""
        if self.what not in (ASYNCIO, TRIO):
            return True
        return self.opened == self.wanted and self.threads == THREADS and self.growth < GROWTH

    @property
    def holds(self) -> bool:
        """Whether it took no more time than it may, besides."""
        if self.what not in (ASYNCIO, TRIO):
            return True
        return self.is_lean and self.cpu < CPU * self.seconds / SECONDS and self.echo < ECHO_RATIO * self.lone_echo


# ---------------------------------------------------------------- a client by hand


def request() -> bytes:
    """An A-ASSOCIATE-RQ for Verification and seven storage SOP classes, with two transfer syntaxes each."""
    syntaxes = b"".join(floor.item(0x40, each.encode()) for each in (IMPLICIT, EXPLICIT))
    contexts = b"".join(
        floor.item(0x20, bytes((2 * number + 1, 0, 0, 0)) + floor.item(0x30, uid.encode()) + syntaxes)
        for number, uid in enumerate((ECHO, *STORAGES))
    )
    titles = b"ANY-SCP".ljust(16) + b"IDLE".ljust(16) + bytes(32)
    return floor.associate_pdu(floor.RQ, titles, contexts, floor.DEFAULT_PDU)


def associate(port: int, tls: ssl.SSLContext | None) -> floor.Wire:
    """An association with all contexts accepted."""
    sock = socket.create_connection((HOST, port), PATIENCE)
    if tls is not None:
        sock = tls.wrap_socket(sock, server_hostname=HOST)
    wire = floor.Wire(sock)
    sock.sendall(request())
    _, contexts, _ = floor.read_associate(wire, floor.AC)
    if [body[2] for body in contexts] != [0] * (1 + len(STORAGES)):
        raise ConnectionError(f"not all contexts were accepted: {contexts}")
    return wire


def echo(wire: floor.Wire, count: int) -> float:
    """Seconds for one, the median of ``count``."""
    command = floor.command_set(
        (0x0002, floor.VERIFICATION), (0x0100, 0x0030), (0x0110, 1), (0x0800, floor.NO_DATA_SET)
    )
    pdu = floor.p_data(1, floor.COMMAND | floor.LAST, command)
    took = []
    for _ in range(count):
        start = time.perf_counter()
        wire.sock.sendall(pdu)
        answer = wire.message()
        took.append(time.perf_counter() - start)
        if answer is None or answer[1][0x0900] != b"\0\0":
            raise ConnectionError(f"not a success: {answer}")
    return median(took)


# ---------------------------------------------------------------- measuring


@contextmanager
def server(whose: str, count: int, certificate: str | None) -> Iterator[Child]:
    """A server for ``count`` associations and a few more."""
    with child(
        "ends.py", whose, "scp", "--associations", count + 8, *(["--tls", certificate] * bool(certificate))
    ) as it:
        yield it


def once(whose: str, count: int, seconds: float, tls: Credentials | None) -> Idle:
    """One round of one server."""
    certificate, context = tls or (None, None)
    with ExitStack() as stack:
        lone, loaded = (stack.enter_context(server(whose, count, certificate)) for _ in range(2))

        def opened(port: int) -> floor.Wire:
            wire = associate(port, context)
            stack.callback(wire.sock.close)
            return wire

        alone, one = opened(lone.port), opened(loaded.port)
        for wire in (alone, one):  # whatever is made at the first of all is made
            echo(wire, ECHOES)
        before = loaded.resident()
        others = 0
        try:
            for _ in range(count - 1):
                opened(loaded.port)
                others += 1
        except OSError as error:
            print(f"{whose}: no association after {others + 1}: {error}", file=sys.stderr)
        growth = (loaded.resident() - before) / max(1, others)
        threads = loaded.threads
        busy = loaded.cpu()
        time.sleep(seconds)
        busy = loaded.cpu() - busy
        turns = [(echo(alone, ECHOES), echo(one, ECHOES)) for _ in range(3)]
        of_lone, of_one = (median(each) for each in zip(*turns, strict=True))
    return Idle(whose, count, others + 1, threads, growth, seconds, busy, of_lone, of_one)


@contextmanager
def credentials() -> Iterator[Credentials | None]:
    """A certificate with its key in a file, and a context that trusts it; None without trustme."""
    if util.find_spec("trustme") is None:
        yield None
        return
    import trustme

    authority = trustme.CA()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "server.pem"
        authority.issue_cert(HOST).private_key_and_cert_chain_pem.write_to_path(path)
        context = ssl.create_default_context()
        authority.configure_trust(context)
        yield str(path), context


def measure(
    count: int, few: int, seconds: float, rounds: int, say: Callable[[str], object], *, with_tls: bool
) -> list[Idle]:
    """Every server, in turns."""
    allow_files()
    plain = [(ASYNCIO, count), (TRIO, count), (SOCKET, count)]
    plain += [(PYNETDICOM, few)] if util.find_spec("pynetdicom") is not None else []
    found: dict[str, list[Idle]] = {}
    rows: list[tuple[str, str, int, Credentials | None]]
    with credentials() as secret:
        rows = [(whose, whose, many, None) for whose, many in plain]
        if with_tls and secret is not None:
            rows += [(f"{whose}, TLS", whose, count, secret) for whose in (ASYNCIO, TRIO)]
        for number in range(rounds):
            for what, whose, many, tls in rows:
                say(f"idle, round {number + 1} of {rounds}: {many} to {what}")
                found.setdefault(what, []).append(replace(once(whose, many, seconds, tls), what=what))
    return [typical(each) for each in found.values()]


def typical(rounds: list[Idle]) -> Idle:
    """The medians, each figure for itself."""
    return replace(
        rounds[0],
        opened=min(each.opened for each in rounds),
        threads=max(each.threads for each in rounds),
        growth=median(each.growth for each in rounds),
        cpu=median(each.cpu for each in rounds),
        lone_echo=median(each.lone_echo for each in rounds),
        echo=median(each.echo for each in rounds),
    )


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=COUNT, metavar="N", help="associations (%(default)s)")
    parser.add_argument("--few", type=int, default=FEW, metavar="N", help="for pynetdicom (%(default)s)")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="to be idle (%(default)s)")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="(%(default)s)")
    parser.add_argument("--tls", action="store_true", help="with TLS besides")
    given = parser.parse_args()

    def say(text: str) -> None:
        print(text, file=sys.stderr)

    results = measure(given.count, given.few, given.seconds, given.rounds, say, with_tls=given.tls)
    for result in results:
        print(json.dumps(asdict(result) | {"holds": result.holds}))
    return int(not all(result.holds for result in results))


if __name__ == "__main__":
    raise SystemExit(main())
