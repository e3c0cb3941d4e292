"""What a large data set costs in memory: each end in a process of its own, before and after.

    python benchmarks/memory.py --size 1073741824

A scripted peer sends one data set in one single PDU (to a maximum length of 0), and our SCU sends a file to our
SCP in PDUs of 16 KiB; received data sets are thrown away, or written by ``received_file``. Growth is the highest
resident set of the process from the moment it is ready on, less the resident set then (Linux).
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import IO, Any

import floor
from ends import HOST, IMPLICIT, STORAGE

GIB = 1 << 30
LIMIT = 32 << 20
"""Bytes that a process may grow by, whatever the length of data sets and PDUs."""
SMALL_PDU = 16384
BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class Growth:
    """What one process grew by while ``size`` bytes passed; ``received`` counts what the handler saw."""

    what: str
    size: int
    received: int
    seconds: float
    resident_before: int
    highest_after: int
    growth: int


def resident(field: str) -> int:
    """Bytes: ``VmRSS`` now, ``VmHWM`` the highest since ``forget_highest``."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise OSError(f"/proc/self/status has no {field}")


def forget_highest() -> None:
    """Let the highest begin at what is resident now (proc(5), clear_refs)."""
    Path("/proc/self/clear_refs").write_text("5")


@contextmanager
def measured(what: str, size: int) -> Iterator[dict[str, int]]:
    """Print the growth of this process from here to the end of the block."""
    forget_highest()
    before, start, seen = resident("VmRSS"), perf_counter(), {"received": 0}
    yield seen
    after = resident("VmHWM")
    growth = Growth(what, size, seen["received"], perf_counter() - start, before, after, after - before)
    print(json.dumps(asdict(growth)), flush=True)


def scp(what: str, size: int, max_pdu: int, folder: str | None) -> None:
    """Serve until the input is closed, then say what it cost."""
    from sansdimse import SUCCESS, PresentationContext
    from sansdimse_files import received_file
    from sansdimse_socket import Store, serve

    class Sink:
        def c_store(self, store: Store) -> int:
            if folder is None:
                seen["received"] += sum(map(len, store))
                return SUCCESS
            with received_file(store, folder) as file:
                path = file.commit()
            seen["received"] += path.stat().st_size - len(store.part10_header())
            return SUCCESS

    supports = [PresentationContext(STORAGE, (IMPLICIT,))]
    with serve(HOST, 0, Sink(), supports=supports, maximum_length=max_pdu) as server, measured(what, size) as seen:
        print(server.port, flush=True)
        sys.stdin.read()


def scu(what: str, size: int, port: int, path: str) -> None:
    """Send a file, and say what it cost."""
    from sansdimse import PresentationContext
    from sansdimse_socket import associate

    with measured(what, size), associate(HOST, port, contexts=[PresentationContext(STORAGE, (IMPLICIT,))]) as peer:
        if peer.c_store(path) != 0:
            raise ConnectionError("not a success")


def scripted(size: int, port: int) -> None:
    """A peer that sends its data set in one single PDU."""
    with socket.create_connection((HOST, port)) as sock:
        wire = floor.Wire(sock)
        proposed = floor.item(
            0x20,
            bytes((3, 0, 0, 0))
            + floor.item(0x30, floor.SECONDARY_CAPTURE)
            + floor.item(0x40, floor.IMPLICIT_VR_LITTLE_ENDIAN),
        )
        titles = b"ANY-SCP".ljust(16) + b"SCRIPTED".ljust(16) + bytes(32)
        sock.sendall(floor.associate_pdu(floor.RQ, titles, proposed, SMALL_PDU))
        _, _, longest = floor.read_associate(wire, floor.AC)
        if longest:
            raise ConnectionError(f"a maximum length of {longest} was announced")
        request = floor.command_set(
            (0x0002, floor.SECONDARY_CAPTURE),
            (0x0100, 0x0001),
            (0x0110, 1),
            (0x0700, 0),
            (0x0800, 1),
            (0x1000, floor.INSTANCE),
        )
        sock.sendall(floor.p_data(3, floor.COMMAND | floor.LAST, request))
        sock.sendall(struct.pack(">BxIIBB", floor.DATA, size + 6, size + 2, 3, floor.LAST))
        block = bytes(BLOCK)
        for _ in range(size // BLOCK):
            sock.sendall(block)
        answer = wire.message()
        if answer is None or answer[1][0x0900] != b"\0\0":
            raise ConnectionError(f"not a success: {answer}")
        sock.sendall(struct.pack(">BxI4x", floor.RELEASE_RQ, 4))
        wire.pdu()


# ---------------------------------------------------------------- who starts them


def child(*arguments: object) -> subprocess.Popen[str]:
    """This script in a process of its own."""
    command = [sys.executable, __file__, "--role", *map(str, arguments)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _out(process: subprocess.Popen[str]) -> IO[str]:
    if process.stdout is None:
        raise RuntimeError("a process without output")
    return process.stdout


def exchange(what: str, size: int, max_pdu: int, folder: Path | None, path: Path | None) -> list[dict[str, Any]]:
    """One data set from one process to another; ``path`` is what our SCU sends, else a scripted peer sends."""
    server = child(
        "scp", "--what", f"SCP, {what}", "--size", size, "--max-pdu", max_pdu, *(["--to", folder] * bool(folder))
    )
    try:
        port = int(_out(server).readline())
        given = ["--size", size, "--port", port]
        client = (
            child("scripted", *given)
            if path is None
            else child("scu", "--what", f"SCU, {what}", "--from", path, *given)
        )
        sent, _ = client.communicate()
        if client.returncode:
            raise ConnectionError(f"{what}: the sender ended with {client.returncode}")
        received, _ = server.communicate("")
        growths = [json.loads(line) for line in (received + sent).splitlines()]
    finally:
        server.kill()
        server.wait()
    if growths[0]["received"] != size:
        raise ConnectionError(f"{what}: {growths[0]['received']} bytes arrived, not {size}")
    return growths


def measure(size: int) -> list[dict[str, Any]]:
    """Every exchange, in a folder of memory where there is one."""
    memory = Path("/dev/shm")
    results = []
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as name:
        folder = Path(name)
        path = folder / "large.dcm"
        _write_file(path, size)
        for to in (None, folder / "received"):
            if to is not None:
                to.mkdir()
            how = "dropped" if to is None else "written with received_file"
            results += exchange(f"one single PDU, {how}", size, 0, to, None)
            results += exchange(f"PDUs of {SMALL_PDU} bytes, {how}", size, SMALL_PDU, to, path)
    return results


def _write_file(path: Path, size: int) -> None:
    from sansdimse.dataset import part10_header

    with path.open("wb") as file:
        file.write(part10_header(STORAGE, floor.INSTANCE.decode(), IMPLICIT))
        file.truncate(file.tell() + size)


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=GIB, metavar="BYTES", help="a multiple of 1 MiB (%(default)s)")
    parser.add_argument("--role", choices=("scp", "scu", "scripted"), help=argparse.SUPPRESS)
    parser.add_argument("--what", help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--max-pdu", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--to", help=argparse.SUPPRESS)
    parser.add_argument("--from", dest="path", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.size <= 0 or given.size % BLOCK:
        parser.error("--size is a multiple of 1 MiB")
    match given.role:
        case "scp":
            scp(given.what, given.size, given.max_pdu, given.to)
        case "scu":
            scu(given.what, given.size, given.port, given.path)
        case "scripted":
            scripted(given.size, given.port)
        case _:
            results = measure(given.size)
            for result in results:
                print(json.dumps(result))
            return int(any(result["growth"] > LIMIT for result in results))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
