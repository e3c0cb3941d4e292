"""The transport of the how-to, ``examples/selectors_server.py``, keeps the contract of a transport."""

from __future__ import annotations

import asyncio
import importlib.util
import socket
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import pytest

from engine_pair import CT, RELEASE_RP, RELEASE_RQ, data, echo_rq, requestor, store_rq
from raw_socket import connected, nothing_leaks
from running import HOST, PATIENCE, Running
from sansdimse import VERIFICATION, Limits
from sansdimse.testing import Check, Connect, Feature, Maker, Wire
from sansdimse.testing.link_serving import SERVING
from sansdimse.ul.pdu import AAssociateAC
from transports_under_test import BUFFER, SocketWire, tls_contexts

EXAMPLE: Final = Path(__file__).resolve().parents[2] / "examples" / "selectors_server.py"


def loaded(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


example = loaded(EXAMPLE)


class SelectorsMaker(Maker):
    """The server, in a thread of its own. It opens no associations."""

    def __init__(self, *, tls: bool = False) -> None:
        self.tls = tls
        self.name = "selectors with TLS" if tls else "selectors"
        self.features = frozenset({Feature.DRIVES, Feature.TLS} if tls else {Feature.DRIVES})

    @contextmanager
    def serving(self, service: object, **options: Any) -> Iterator[Connect]:
        if self.tls:
            options["tls"] = tls_contexts()[0]
        with nothing_leaks(), example.Server(HOST, 0, service, grace=self.patience, **options) as server:

            def connect(*, chunk: int = 0, stranger: bool = False) -> Wire:
                sock = socket.socket()
                for buffer in (socket.SO_RCVBUF, socket.SO_SNDBUF):
                    sock.setsockopt(socket.SOL_SOCKET, buffer, BUFFER)
                sock.settimeout(self.patience)
                sock.connect((HOST, server.port))
                server_side = False if self.tls and not stranger else None
                return SocketWire(sock, self.patience, chunk=chunk, server_side=server_side)

            yield connect

    def secured(self) -> Maker | None:
        return None if self.tls else SelectorsMaker(tls=True)

    def event(self) -> threading.Event:
        return threading.Event()


MAKERS: Final = [SelectorsMaker(), SelectorsMaker(tls=True)]
CASES: Final = [
    pytest.param(maker, check, id=f"{maker.name}-{check}")
    for maker in MAKERS
    for check in SERVING
    if check.needs <= maker.features
]


@pytest.mark.parametrize(("maker", "check"), CASES)
def test_it_keeps_the_contract(maker: Maker, check: Check) -> None:
    check(maker)


@contextmanager
def server_of(service: object, **options: Any) -> Iterator[Running]:
    beside = Running()
    options = {"watch": beside.told, "report": beside.reported, "grace": 0.0, **options}
    with nothing_leaks(), example.Server(HOST, 0, service, **options) as beside.server:
        beside.port = beside.server.port
        yield beside


class Keeper:
    """Takes what comes, and can be kept from it."""

    def __init__(self) -> None:
        self.stored: list[bytes] = []
        self.threads: set[int] = set()

    async def c_store(self, store: Any) -> int:
        self.stored.append(await store.read())
        self.threads.add(threading.get_ident())
        return 0


def test_fifty_associations_at_once_in_one_thread() -> None:
    service, together = Keeper(), threading.Barrier(50)
    contents = [bytes((number,)) * 300_000 for number in range(50)]

    def store(content: bytes) -> None:
        with connected(server.port) as raw:
            assert isinstance(raw.request(), AAssociateAC)
            raw.send(store_rq(), data(3, content[:1000], is_last=False))
            together.wait(PATIENCE)
            for at in range(1000, len(content), 16_000):
                raw.send(data(3, content[at : at + 16_000], is_last=at + 16_000 >= len(content)))
            assert raw.said().status == 0
            raw.send(RELEASE_RQ)
            assert raw.said() == RELEASE_RP

    with server_of(service, supports=[CT]) as server, ThreadPoolExecutor(50) as pool:
        before = threading.active_count()
        list(pool.map(store, contents))
        assert threading.active_count() - before <= 50, "those of the clients"
        server.until(lambda: len(server.ended) == 50)
    assert sorted(service.stored) == contents
    assert len(service.threads) == 1


def test_closing_lets_a_store_end_within_the_grace_and_refuses_others() -> None:
    service = Keeper()
    with (
        server_of(service, supports=[CT], grace=PATIENCE) as server,
        connected(server.port) as late,
        ExitStack() as end,
    ):
        raw = end.enter_context(connected(server.port))
        raw.request()
        raw.send(store_rq(), data(3, b"xy" * 4000, is_last=False))
        server.until(lambda: server.server.associations == 1)
        server.server.close(PATIENCE)
        rejected = late.request()
        assert (rejected.result, rejected.source, rejected.reason) == (2, 3, 1)
        late.sock.close()
        raw.send(data(3, b"end!"))
        assert raw.said().status == 0
        raw.send(RELEASE_RQ)
        assert raw.said() == RELEASE_RP
    assert service.stored == [b"xy" * 4000 + b"end!"]


def test_after_the_grace_associations_are_aborted_and_silent_peers_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(example, "ABORT_GRACE", 0.1)
    with server_of(Keeper(), supports=[CT]) as server, connected(server.port) as raw, connected(server.port) as silent:
        raw.request()
        server.until(lambda: server.server.associations == 1)
        server.server.close(0.0)
        assert raw.rest().startswith(b"\7"), "an A-ABORT"
        assert silent.rest() == b""


def test_what_another_loop_awaits_is_an_error_of_the_handler() -> None:
    class Foreign:
        async def c_echo(self, echo: Any) -> None:
            await asyncio.sleep(0)

    with server_of(Foreign(), supports=[VERIFICATION]) as server:
        with connected(server.port) as raw:
            raw.request(requestor(VERIFICATION))
            raw.send(echo_rq(context_id=1))
            assert raw.said().status == 0
        server.until(lambda: server.reports)
        [(error, where)] = server.reports
        assert "another loop's" in str(error)
        assert where.startswith("C-ECHO")


def test_handlers_that_block_are_no_more_than_the_workers() -> None:
    go_on, at_once, most = threading.Event(), [0], [0]

    class Blocking:
        def c_echo(self, echo: Any) -> None:
            at_once[0] += 1
            most[0] = max(most[0], at_once[0])
            assert go_on.wait(PATIENCE)
            at_once[0] -= 1

    limits = replace(Limits(), idle=None)
    with server_of(Blocking(), supports=[VERIFICATION], workers=2, limits=limits) as server, ExitStack() as stack:
        raws = [stack.enter_context(connected(server.port)) for _ in range(5)]
        for raw in raws:
            raw.request(requestor(VERIFICATION))
            raw.send(echo_rq(context_id=1))
        server.until(lambda: server.server.associations == 5)
        go_on.set()
        for raw in raws:
            assert raw.said().status == 0
            raw.send(RELEASE_RQ)
            assert raw.said() == RELEASE_RP
        assert most[0] <= 2


def test_when_no_descriptor_is_left_it_pauses_and_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(example, "ACCEPT_PAUSE", 0.05)

    class Listener:
        """One that fails at first."""

        def __init__(self, real: socket.socket) -> None:
            self.failures = 3
            self.real = real

        def accept(self) -> Any:
            self.failures -= 1
            if self.failures >= 0:
                raise OSError(24, "Too many open files")
            return self.real.accept()

        def __getattr__(self, name: str) -> Any:
            return getattr(self.real, name)

    listen = example.tcp.listen
    monkeypatch.setattr(example.tcp, "listen", lambda host, port: Listener(listen(host, port)))
    with server_of(object(), supports=[VERIFICATION]) as server, connected(server.port) as raw:
        assert isinstance(raw.request(requestor(VERIFICATION)), AAssociateAC)
        raw.send(RELEASE_RQ)
        assert raw.said() == RELEASE_RP
        assert [where for _, where in server.reports] == ["accept"] * 3
