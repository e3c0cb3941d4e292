"""Faults of the world, on every transport: nothing lost, leaked or hung, and nobody else is kept waiting."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest
import trustme

from engine_pair import CT, FIND, QUERY, RELEASE_RP, RELEASE_RQ, data, echo_rq, find_rq, requestor, store_rq
from raw_socket import RawSocket, connected, nothing_leaks
from running import HOST, PATIENCE, TRANSPORTS, running
from sansdimse import VERIFICATION, Limits, OutcomeKind, Side, Timer
from sansdimse.admission import Budget
from sansdimse.peer.watch import ConnectionCut, Ending
from sansdimse.ul.negotiation import propose
from sansdimse.ul.pdu import AAbort, AAssociateAC
from sansdimse_files import async_received_file, received_file

ON_EACH: Final = pytest.mark.parametrize("transport", TRANSPORTS)
QUICK: Final = replace(Limits(), artim=0.4, pdu_completion=0.4, message_completion=0.4, output_stall=0.4, idle=None)
PATIENT: Final = replace(Limits(), idle=None)
SUPPORTS: Final = [VERIFICATION, CT]


class Chatty:
    """Whatever is asked, it is answered."""

    async def c_store(self, store: Any) -> int:
        await store.read()
        return 0


class Files:
    """A service that keeps what comes as files, sync or async."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def c_store(self, store: Any) -> int:
        with received_file(store, self.folder):
            pass
        return 0


class AsyncFiles(Files):
    """The same in an ``async def``."""

    async def c_store(self, store: Any) -> int:  # type: ignore[override]
        async with async_received_file(store, self.folder):
            pass
        return 0


def files(transport: str, folder: Path) -> list[Files]:
    return [Files(folder)] if transport == "socket" else [Files(folder), AsyncFiles(folder)]


def echoes(port: int) -> None:
    """A good client is served without delay."""
    with connected(port) as good:
        assert isinstance(good.request(), AAssociateAC)
        good.send(echo_rq())
        assert good.said().status == 0
        good.send(RELEASE_RQ)
        assert good.said() == RELEASE_RP


# ---------------------------------------------------------------- a peer that is killed

VICTIM: Final = """
import socket, sys
sock = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
for part in sys.argv[2:]:
    if part == "-":
        while len(sock.recv(65536)) == 0: pass
    else:
        sock.sendall(bytes.fromhex(part))
print("ready", flush=True)
sys.stdin.read()
"""
RQ: Final = propose(requestor()).encode().hex()
COMMAND: Final = store_rq().hex()
PIECE: Final = data(3, b"xy" * 4000, is_last=False).hex()
STAGES: Final = {
    "connected": [],
    "half a request": [RQ[:100]],
    "request": [RQ],
    "established": [RQ, "-"],
    "half a command": [RQ, "-", COMMAND[:40]],
    "command": [RQ, "-", COMMAND],
    "half a PDU of data": [RQ, "-", COMMAND, PIECE[:4000]],
    "data": [RQ, "-", COMMAND, PIECE],
    "all data": [RQ, "-", COMMAND, PIECE, data(3, b"end!").hex()],
    "answered": [RQ, "-", COMMAND, data(3, b"end!").hex(), "-"],
    "releasing": [RQ, "-", COMMAND, data(3, b"end!").hex(), "-", RELEASE_RQ.encode().hex()],
}


@ON_EACH
@pytest.mark.parametrize("stage", STAGES)
def test_a_peer_killed_at_any_stage_of_a_store_leaves_nothing(transport: str, stage: str, tmp_path: Path) -> None:
    for service in files(transport, tmp_path):
        with nothing_leaks(), running(transport, service, supports=SUPPORTS, limits=PATIENT) as server:
            victim = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", VICTIM, str(server.port), *STAGES[stage]],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
            with victim:
                assert victim.stdout is not None
                assert victim.stdout.readline() == b"ready\n"
                victim.send_signal(signal.SIGKILL)
            server.until(lambda server=server: len(server.ended) == 1)
            echoes(server.port)
            server.until(lambda server=server: len(server.ended) == 2)
            assert not server.reports
        names = [path.name for path in tmp_path.iterdir()]
        if stage != "all data":  # there the answer and the end cross: kept or not, but whole or not
            assert len(names) == (stage in ("answered", "releasing"))
        for path in tmp_path.iterdir():
            assert path.suffix == ".dcm"
            assert path.read_bytes().endswith(b"xy" * 4000 + b"end!" if stage == "all data" else b"end!")
            path.unlink()


# ---------------------------------------------------------------- connections that say little or nonsense


@ON_EACH
def test_two_thousand_silent_connections_do_not_keep_a_good_client_waiting(transport: str) -> None:
    budget = Budget(pending=32)
    with (
        nothing_leaks(),
        running(transport, Chatty(), supports=SUPPORTS, budget=budget, limits=PATIENT) as server,
        ExitStack() as stack,
    ):
        for number in range(2000):
            raw = socket.create_connection((HOST, server.port), timeout=PATIENCE)
            stack.callback(raw.close)
            raw.sendall(b"\1\0\0")
            if number % 250 == 249:
                with connected(server.port) as good:
                    assert isinstance(good.request(), AAssociateAC)
                    good.send(RELEASE_RQ)
                    good.said()
        server.until(lambda: sum(isinstance(each, ConnectionCut) for each in server.occurrences) >= 2000 - 32)
        assert server.server.pending <= 32
        assert not server.reports


@ON_EACH
def test_a_byte_at_a_time_does_not_outlast_artim(transport: str) -> None:
    with nothing_leaks(), running(transport, Chatty(), supports=SUPPORTS, limits=QUICK) as server:
        with connected(server.port) as slow:
            request = propose(requestor()).encode()
            slow.sock.settimeout(0.05)
            for byte in request + bytes(1000):
                try:
                    slow.sock.sendall(bytes([byte]))
                    if not slow.sock.recv(1):
                        break
                except TimeoutError:
                    continue
                except ConnectionError:
                    break
            else:
                raise AssertionError("it was never closed")
        server.until(lambda: len(server.ended) == 1)
        echoes(server.port)


NONSENSE: Final = {
    "port scan": b"",
    "HTTP": b"GET / HTTP/1.1\r\nHost: pacs\r\n\r\n",
    "TLS": bytes.fromhex("16030100c8010000c40303") + bytes(200),
    "HL7": b"\x0bMSH|^~\\&|A|B\r\x1c\r",
    "SSH": b"SSH-2.0-OpenSSH_9.9\r\n",
    "zeros": bytes(4096),
    "ones": b"\xff" * 4096,
}


@ON_EACH
@pytest.mark.parametrize("which", NONSENSE)
def test_other_protocols_knocking_are_sent_away_at_once(transport: str, which: str) -> None:
    with nothing_leaks(), running(transport, Chatty(), supports=SUPPORTS, limits=PATIENT) as server:
        with connected(server.port) as raw:
            raw.send(NONSENSE[which])
            if NONSENSE[which]:
                assert raw.pdu() == AAbort(0, 0).encode()
        server.until(lambda: len(server.ended) == 1)
        echoes(server.port)
        server.until(lambda: len(server.ended) == 2)
        assert not server.reports


# ---------------------------------------------------------------- TLS handshakes that hang


@pytest.fixture(scope="session")
def contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Of a server, and of a client that trusts it."""
    authority = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(HOST, "localhost").configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    return server, client


@ON_EACH
@pytest.mark.parametrize("hello", [b"", bytes.fromhex("1603010200010001fc0303") + bytes(20)], ids=["before", "during"])
def test_who_is_silent_in_the_handshake_keeps_nobody_waiting(
    transport: str, hello: bytes, contexts: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    limits = replace(PATIENT, artim=1.0)
    with (
        nothing_leaks(),
        running(transport, Chatty(), supports=SUPPORTS, limits=limits, tls=contexts[0]) as server,
        ExitStack() as stack,
    ):
        silent = [stack.enter_context(connected(server.port)) for _ in range(20)]
        for raw in silent:
            raw.send(hello)
        with (
            socket.create_connection((HOST, server.port)) as sock,
            contexts[1].wrap_socket(sock, server_hostname=HOST) as wrapped,
        ):
            good = RawSocket(wrapped)
            assert isinstance(good.request(), AAssociateAC)
            good.send(RELEASE_RQ)
            assert good.said() == RELEASE_RP
        for raw in silent:  # the handshake counts against ARTIM
            raw.rest()
        server.until(lambda: len(server.ended) == 21)
        assert {each.outcome.error for each in server.ended} - {None} == {"the TLS handshake was not done in time"}


# ---------------------------------------------------------------- peers that do not read, or slowly


class Talkative(Chatty):
    """It finds more than anybody takes."""

    def __init__(self) -> None:
        self.found = 0

    def c_find(self, find: Any) -> Any:
        while True:
            self.found += 1
            yield bytes(16 << 10)


@ON_EACH
def test_who_never_reads_is_aborted_and_cannot_make_the_server_hold_much(transport: str) -> None:
    limits = replace(PATIENT, output_stall=0.5, artim=0.5)
    service = Talkative()
    with nothing_leaks(), running(transport, service, supports=[*SUPPORTS, FIND], limits=limits) as server:
        with connected(server.port) as raw:
            assert isinstance(raw.request(requestor(QUERY)), AAssociateAC)
            raw.send(find_rq())
            server.until(lambda: server.ended)
        assert server.ended[0].outcome.timer is Timer.OUTPUT_STALL
        assert service.found < 2048, "what the kernel buffers, of some MiB each, and little more"
        echoes(server.port)


SLOW_READER: Final = """
import hashlib, resource, socket, struct, sys, threading
sys.path[:0] = sys.argv[2:]
from running import HOST, TRANSPORTS
from raw_socket import scripted
from engine_pair import CT, INSTANCE, requestor
from sansdimse.dataset import Instance

TOTAL = 1 << 30
PIECE = bytes(1 << 18)

def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))

def script(raw):
    raw.accept()
    received = 0
    while received < TOTAL:
        received += len(read := raw.sock.recv(65536))
        hashlib.md5(read).digest()  # slower than what is sent
        if not read: raise SystemExit("it ended early")
    print("held", HELD[0], "grown", peak() - before, flush=True)
    raw.reset()

HELD = [0]
def pieces():
    for _ in range(TOTAL // len(PIECE)):
        yield PIECE

def watch(engine):
    HELD[0] = max(HELD[0], engine.bytes_unsent)

instance = Instance(CT, INSTANCE, "1.2.840.10008.1.2.1", TOTAL, pieces)
from sansdimse import AsynchronousOperationsWindow
from sansdimse.peer.session import AssociationLost
with scripted(script) as port:
    which = sys.argv[1]
    before = peak()
    def progress(peer):
        return lambda sent: watch(peer._engine if hasattr(peer, "_engine") else peer._peer._engine)
    try:
        if which == "socket":
            from sansdimse_socket import associate
            with associate(HOST, port, contexts=[CT]) as peer:
                peer.c_store(instance, progress=progress(peer))
        else:
            async def main():
                if which == "asyncio":
                    from sansdimse_asyncio import associate
                else:
                    from sansdimse_trio import associate
                async with associate(HOST, port, contexts=[CT]) as peer:
                    await peer.c_store(instance, progress=progress(peer))
            if which == "asyncio":
                import asyncio; asyncio.run(main())
            else:
                import trio; trio.run(main)
    except AssociationLost:
        pass
"""


@ON_EACH
def test_a_slow_reader_does_not_make_the_sender_hold_what_it_sends(transport: str) -> None:
    paths = [str(Path(__file__).parent.parent), *(path for path in sys.path if path)]
    done = subprocess.run(
        [sys.executable, "-c", SLOW_READER, transport, *paths], capture_output=True, text=True, timeout=110, check=False
    )
    assert done.returncode == 0, done.stderr
    _, held, _, grown = done.stdout.split()
    assert int(held) <= Limits().output_high_water + (256 << 10)
    assert int(grown) < 24 << 10, "KiB of 1 GiB"


# ---------------------------------------------------------------- handlers


class Troubled:
    """Its handlers do what the test says."""

    def __init__(self, what: str) -> None:
        self.what = what
        self.hanging = threading.Event()
        self.go_on = threading.Event()
        self.over = threading.Event()
        self.seen: list[str] = []

    def c_store(self, store: Any) -> int:
        if self.what == "raises":
            raise ZeroDivisionError("nobody foresaw this")
        if self.what == "raises later":
            store.read()
            raise ZeroDivisionError("nobody foresaw this")
        if self.what == "aborts":
            store.abort()
            return 0
        if self.what == "hangs":
            self.hanging.set()
            assert self.go_on.wait(PATIENCE)
            try:
                store.read()
            except BaseException as error:
                self.seen.append(type(error).__name__)
                raise
            finally:
                self.over.set()
        return 0


def stored(raw: RawSocket) -> None:
    raw.send(store_rq(), data(3, b"xy" * 4000, is_last=False), data(3, b"end!"))


@ON_EACH
@pytest.mark.parametrize("what", ["raises", "raises later"])
def test_a_handler_that_raises_is_a_status_and_a_report(transport: str, what: str) -> None:
    with nothing_leaks(), running(transport, Troubled(what), supports=SUPPORTS, limits=PATIENT) as server:
        with connected(server.port) as raw:
            raw.request()
            for _ in range(2):
                stored(raw)
                assert raw.said().status == 0xC211
        server.until(lambda: len(server.ended) == 1)
        assert [type(error) for error, _ in server.reports] == [ZeroDivisionError] * 2


@ON_EACH
def test_a_handler_that_aborts_ends_the_association(transport: str) -> None:
    with nothing_leaks(), running(transport, Troubled("aborts"), supports=SUPPORTS, limits=PATIENT) as server:
        with connected(server.port) as raw:
            raw.request()
            stored(raw)
            assert raw.said() == AAbort(0, 0)
        server.until(lambda: len(server.ended) == 1)
        ((outcome),) = [each.outcome for each in server.ended]
        assert (outcome.kind, outcome.by) == (OutcomeKind.ABORTED, Side.LOCAL)
        assert [each.ending for each in server.operations] == [Ending.LOST]
        assert not server.reports


@ON_EACH
def test_a_handler_that_hangs_keeps_neither_others_nor_the_end_waiting(transport: str) -> None:
    service = Troubled("hangs")
    with nothing_leaks(), running(transport, service, supports=SUPPORTS, limits=replace(PATIENT, artim=0.2)) as server:
        with connected(server.port) as raw:
            raw.request()
            raw.send(store_rq(), data(3, b"xy" * 4000, is_last=False))
            assert service.hanging.wait(PATIENCE)
            echoes(server.port)
            raw.send(AAbort(0, 0))
        if transport != "socket":  # there the handler has the thread that would notice
            server.until(lambda: len(server.ended) == 2)
            assert [each.ending for each in server.operations if each.service == "C-STORE"] == [Ending.LOST]
        service.go_on.set()
        server.until(lambda: len(server.ended) == 2)
        assert service.over.wait(PATIENCE)
    assert service.seen == ["AssociationLost"]


@pytest.mark.parametrize("transport", ["asyncio", "trio"])
def test_access_that_hangs_keeps_neither_its_connection_nor_the_end(transport: str) -> None:
    asked, go_on, over = (threading.Event() for _ in range(3))

    def access(applicant: Any) -> bool:
        asked.set()
        assert go_on.wait(PATIENCE)
        over.set()
        return True

    with nothing_leaks():
        with running(transport, Chatty(), supports=SUPPORTS, access=access, limits=PATIENT) as server:
            with connected(server.port) as raw:
                raw.send(propose(requestor()))
                assert asked.wait(PATIENCE)
                raw.send(AAbort(0, 0))
            server.until(lambda: server.ended)
        assert not server.reports, "the server has ended, with access still thinking"
        go_on.set()
        assert over.wait(PATIENCE)


@pytest.mark.parametrize("transport", ["asyncio", "trio"])
def test_a_handler_that_outlives_its_loop_is_told_that_the_association_is_lost(transport: str) -> None:
    service = Troubled("hangs")
    limits = replace(PATIENT, artim=0.2)
    with running(transport, service, supports=SUPPORTS, limits=limits) as server, connected(server.port) as raw:
        raw.request()
        raw.send(store_rq(), data(3, b"xy" * 4000, is_last=False))
        assert service.hanging.wait(PATIENCE)
        raw.send(AAbort(0, 0))
        server.until(lambda: server.ended)
    assert [str(error) for error, _ in server.reports] in ([], ["the handler did not return"])
    service.go_on.set()
    assert service.over.wait(PATIENCE)
    assert service.seen == ["AssociationLost"]


# ---------------------------------------------------------------- SIGTERM during stores


def test_sigterm_lets_stores_end_within_the_grace(tmp_path: Path) -> None:
    folder = tmp_path / "received"
    server = subprocess.Popen(
        [sys.executable, "-m", "sansdimse_apps", "serve", str(folder), "--port", "0", "--host", HOST, "--json"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )
    with server:
        assert server.stdout is not None
        port = int(server.stdout.readline().split('"port": ')[1].split(",")[0])
        with connected(port) as raw:
            raw.request()
            raw.send(store_rq(), data(3, b"xy" * 4000, is_last=False))
            server.send_signal(signal.SIGTERM)
            while "stopping" not in server.stdout.readline():
                pass
            with suppress(ConnectionRefusedError):
                while True:  # until the listener is closed; the test has a time limit
                    with suppress(ConnectionResetError), connected(port):  # it may close under a connection
                        pass
            raw.send(data(3, b"end!"))
            assert raw.said().status == 0
            raw.send(RELEASE_RQ)
            assert raw.said() == RELEASE_RP
        assert server.wait(PATIENCE) == 0
    (path,) = folder.iterdir()
    assert path.read_bytes().endswith(b"xy" * 4000 + b"end!")
