"""A relay that delays: what it reads it writes on so much later, both ways, in order and unchanged.

    python benchmarks/relay.py PORT --delay 0.02        prints its own port, relays until its input is closed

Each chunk carries the time at which it is due, and waits in memory; when the line is full nothing more is read.
Connecting is not delayed, the end of a stream is.
"""

from __future__ import annotations

import argparse
import socket
import sys
import time
from contextlib import suppress
from queue import Queue
from threading import Thread

HOST = "127.0.0.1"
CHUNK = 64 * 1024
CHUNKS = 512
"""On the line at most, in each direction: 32 MiB."""

Line = Queue[tuple[float, bytes]]


def read(source: socket.socket, line: Line, delay: float) -> None:
    """Put what comes on the line; an empty chunk is the end."""
    data = b"\0"
    while data:
        try:
            data = source.recv(CHUNK)
        except OSError:
            data = b""
        line.put((time.monotonic() + delay, data))


def write(sink: socket.socket, line: Line) -> None:
    """Write what is due, to the end."""
    broken = False
    while True:
        due, data = line.get()
        time.sleep(max(0.0, due - time.monotonic()))
        try:
            if data and not broken:
                sink.sendall(data)
        except OSError:  # whoever would have read it has gone; the reader must not wait for room for ever
            broken = True
        if not data:
            with suppress(OSError):
                sink.shutdown(socket.SHUT_WR)
            return


def connect(one: socket.socket, other: socket.socket, delay: float) -> None:
    """Relay one connection to its end, and close both of its sockets."""
    with one, other:
        threads = []
        for source, sink in ((one, other), (other, one)):
            source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            line: Line = Queue(CHUNKS)
            threads += [Thread(target=read, args=(source, line, delay)), Thread(target=write, args=(sink, line))]
        for thread in threads:
            thread.daemon = True
            thread.start()
        for thread in threads:
            thread.join()


def accept(listener: socket.socket, port: int, delay: float) -> None:
    """Relay every connection that comes."""
    while True:
        one, _ = listener.accept()
        other = socket.create_connection((HOST, port))
        Thread(target=connect, args=(one, other, delay), daemon=True).start()


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("port", type=int, help="where to relay to, on this machine")
    parser.add_argument("--delay", type=float, default=0.02, metavar="SECONDS", help="each way (%(default)s)")
    given = parser.parse_args()
    with socket.create_server((HOST, 0)) as listener:
        Thread(target=accept, args=(listener, given.port, given.delay), daemon=True).start()
        print(listener.getsockname()[1], flush=True)
        sys.stdin.read()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
