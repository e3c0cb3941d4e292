"""Storing with latency: a window of 8 against a window of 1, through a relay that delays by 20 ms each way.

    python benchmarks/latency.py                             200 instances of 512 KiB, three rounds: five minutes
    python benchmarks/latency.py --count 40 --rounds 1

With a window of 1 nothing goes out until the last answer has come, so every instance costs 40 ms. Pairs take turns
and the median counts. pynetdicom leaves the window out of its answer, which is 1, 1 (PS3.7 D.3.3.3), whatever is
proposed; as an SCU it has none. One peer is scripted, and answers every eight requests in reverse.
"""

from __future__ import annotations

import argparse
import json
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from importlib import util
from statistics import median

import floor
from ends import ASYNCIO, HOST, PYNETDICOM, SOCKET, TRIO
from processes import HERE, child

DELAY = 0.02
WINDOW = 8
LIMIT = 1 / 5
"""Of the time with a window of 1, that a window of ``WINDOW`` may take at most."""
SCRIPTED = "scripted, out of order"
PAIRS = (
    (SOCKET, SOCKET),
    (ASYNCIO, ASYNCIO),
    (TRIO, TRIO),
    (SOCKET, SCRIPTED),
    (ASYNCIO, PYNETDICOM),
    (PYNETDICOM, ASYNCIO),
)
"""SCU and SCP."""


@dataclass(frozen=True, slots=True)
class Delayed:
    """One pair: medians of the rounds, in seconds for all instances."""

    scu: str
    scp: str
    count: int
    size: int
    delay: float
    """Seconds, each way."""
    window: int
    agreed: int
    """What the peer lets stand of it."""
    one: float
    """With a window of 1."""
    many: float | None
    """With ``window`` proposed; None if this SCU proposes none."""
    ratio: float | None
    """Of ``many`` to ``one``."""

    @property
    def holds(self) -> bool:
        """Whether it is within ``LIMIT``, where the peer takes a window at all."""
        return self.agreed == 1 or self.ratio is None or self.ratio <= LIMIT


# ---------------------------------------------------------------- a peer that answers out of order


def scripted(listener: socket.socket) -> None:
    """One association after the other, for ever."""
    while True:
        sock, _ = listener.accept()
        with sock:
            try:
                answer_backwards(sock)
            except OSError as error:
                print(error, file=sys.stderr)


def answer_backwards(sock: socket.socket) -> None:
    """One association; the window proposed is accepted, and the answers go out when it is full, the last first."""
    wire = floor.Wire(sock)
    kind, length = wire.pdu()
    body = wire.take(length)
    if kind != floor.RQ:
        raise ConnectionError(f"PDU type {kind:02X}")
    items = list(floor.items(body[68:]))
    user = dict(floor.items(next(value for number, value in items if number == 0x50)))
    window = int.from_bytes(user.get(0x53, b"\0\1\0\1")[:2], "big")
    contexts = b"".join(
        floor.item(0x21, bytes((value[0], 0, 0, 0)) + floor.item(0x40, floor.IMPLICIT_VR_LITTLE_ENDIAN))
        for number, value in items
        if number == 0x20
    )
    answered = [(0x51, floor.DEFAULT_PDU.to_bytes(4, "big")), (0x52, floor.IMPLEMENTATION)]
    answered += [(0x53, user[0x53])] if 0x53 in user else []
    accepted = b"\0\1\0\0" + body[4:68] + floor.item(0x10, floor.APPLICATION_CONTEXT) + contexts
    accepted += floor.item(0x50, b"".join(floor.item(number, value) for number, value in answered))
    sock.sendall(bytes((floor.AC, 0)) + len(accepted).to_bytes(4, "big") + accepted)
    held: list[bytes] = []
    while (message := wire.message()) is not None:
        context, command, _ = message
        response = floor.command_set(
            (0x0002, command[0x0002]),
            (0x0100, int.from_bytes(command[0x0100], "little") | 0x8000),
            (0x0120, int.from_bytes(command[0x0110], "little")),
            (0x0800, floor.NO_DATA_SET),
            (0x0900, 0),
            (0x1000, command[0x1000]),
        )
        held.append(floor.p_data(context, floor.COMMAND | floor.LAST, response))
        if len(held) == window:
            sock.sendall(b"".join(reversed(held)))
            held.clear()
    sock.sendall(bytes((floor.RELEASE_RP, 0, 0, 0, 0, 4, 0, 0, 0, 0)))
    while sock.recv(floor.RECEIVE):  # closing first could destroy the release response
        pass


# ---------------------------------------------------------------- measuring


def seconds(whose: str, port: int, window: int, count: int, size: int) -> float:
    """What ``count`` stores take."""
    command = [sys.executable, HERE / "ends.py", whose, "scu", port, "--store", count, "--size", size]
    done = subprocess.run([*map(str, command), "--window", str(window)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise ConnectionError(f"{whose}: {done.stderr.strip()[-400:]}")
    took: float = json.loads(done.stdout)["seconds"]
    return took


def measure(count: int, size: int, rounds: int, delay: float, say: Callable[[str], object]) -> list[Delayed]:
    """All pairs, in turns; ``count`` is made a multiple of the window, which the scripted peer waits to be full."""
    count += -count % WINDOW
    pairs = [pair for pair in PAIRS if PYNETDICOM not in pair or util.find_spec("pynetdicom") is not None]
    took: dict[tuple[tuple[str, str], int], list[float]] = {}
    with ExitStack() as stack:
        ports = {}
        for whose in {scp for _, scp in pairs}:
            served = ("latency.py", "--scripted") if whose == SCRIPTED else ("ends.py", whose, "scp")
            server = stack.enter_context(child(*served, *(["--window", WINDOW] * (whose != SCRIPTED))))
            ports[whose] = stack.enter_context(child("relay.py", server.port, "--delay", delay)).port
        for number in range(rounds):
            for pair in pairs:
                for window in (1, WINDOW):
                    if window > 1 and pair[0] == PYNETDICOM:
                        continue
                    say(f"latency, round {number + 1} of {rounds}: {pair[0]} to {pair[1]}, window {window}")
                    took.setdefault((pair, window), []).append(seconds(pair[0], ports[pair[1]], window, count, size))
    results = []
    for pair in pairs:
        one, many = median(took[pair, 1]), median(took[pair, WINDOW]) if (pair, WINDOW) in took else None
        agreed = 1 if PYNETDICOM in pair else WINDOW
        ratio = None if many is None else many / one
        results.append(Delayed(*pair, count, size, delay, WINDOW, agreed, one, many, ratio))
    return results


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=200, metavar="N", help="instances (%(default)s)")
    parser.add_argument("--size", type=int, default=524288, metavar="BYTES", help="of each (%(default)s)")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="(%(default)s)")
    parser.add_argument("--delay", type=float, default=DELAY, metavar="SECONDS", help="each way (%(default)s)")
    parser.add_argument("--scripted", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.scripted:
        with socket.create_server((HOST, 0)) as listener:
            print(listener.getsockname()[1], flush=True)
            scripted(listener)

    def say(text: str) -> None:
        print(text, file=sys.stderr)

    results = measure(given.count, given.size, given.rounds, given.delay, say)
    for result in results:
        print(json.dumps(asdict(result) | {"holds": result.holds}))
    return int(not all(result.holds for result in results))


if __name__ == "__main__":
    raise SystemExit(main())
