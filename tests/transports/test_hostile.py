"""What a hostile peer found: connections in bursts, ends and cancellations in the wrong turn of a loop."""

from __future__ import annotations

import asyncio
import gc
import socket
import threading
import warnings
from collections import Counter
from contextlib import ExitStack
from dataclasses import replace
from typing import Any, Final

import pytest
import trio
import trio.testing
import uvloop

import sansdimse_asyncio
import sansdimse_trio
from engine_pair import CT, echo_rq, requestor
from raw_socket import HOST, PATIENCE, RawSocket, connected, nothing_leaks, scripted
from running import TRANSPORTS, running
from sansdimse import VERIFICATION, Limits
from sansdimse.admission import Budget
from sansdimse.peer.watch import ConnectionCut
from sansdimse.ul.negotiation import propose
from sansdimse.ul.pdu import AAssociateAC, AAssociateRJ

ON_EACH: Final = pytest.mark.parametrize("transport", TRANSPORTS)
REQUEST: Final = propose(requestor()).encode()

uvloop.run(asyncio.sleep(0))  # what it opens once for all loops is no leak of ours


class Chatty:
    """C-ECHO is answered."""


class Blocks:
    """Its C-ECHO keeps a loop from doing anything else, as much that happens at once does for a moment."""

    def __init__(self) -> None:
        self.may_go_on = threading.Event()

    async def c_echo(self, echo: Any) -> int:
        assert self.may_go_on.wait(PATIENCE)
        return 0


def all_at_once(stack: ExitStack, port: int, number: int) -> list[socket.socket]:
    """So many connections that do not wait for one another."""
    socks = [stack.enter_context(socket.socket()) for _ in range(number)]
    for sock in socks:
        sock.setblocking(False)
        with pytest.raises(BlockingIOError):
            sock.connect((HOST, port))
        sock.settimeout(PATIENCE)
    return socks


# ---------------------------------------------------------------- bursts


@ON_EACH
def test_a_burst_of_complete_requests_cuts_nobody(transport: str) -> None:
    # The blocking server accepts before they have asked, whatever its handlers do: they are silent for a moment.
    service, budget = Blocks(), Budget(pending=200 if transport == "socket" else 64, associations=200)
    with (
        nothing_leaks(),
        running(transport, service, supports=[VERIFICATION], budget=budget) as server,
        ExitStack() as stack,
        connected(server.port) as busy,
    ):
        busy.request()
        busy.send(echo_rq())
        socks = all_at_once(stack, server.port, 150)
        for sock in socks:
            sock.sendall(REQUEST)
        service.may_go_on.set()
        answers = Counter(type(RawSocket(sock).said()) for sock in socks)
        assert answers == {AAssociateAC: 150}


@ON_EACH
def test_a_connection_cut_before_it_was_looked_at_is_no_error(transport: str) -> None:
    budget = Budget(pending_per_address=1)
    with (
        nothing_leaks(),
        running(transport, Chatty(), supports=[VERIFICATION], budget=budget) as server,
        ExitStack() as stack,
    ):
        all_at_once(stack, server.port, 60)
        server.until(lambda: sum(isinstance(each, ConnectionCut) for each in server.occurrences) == 59)
        with connected(server.port) as good:
            assert isinstance(good.request(), AAssociateAC)
            good.send(echo_rq())
            assert good.said().status == 0
        server.until(lambda: len(server.ended) == 61)
        assert not server.reports


# ---------------------------------------------------------------- access


async def cancelled(applicant: Any) -> bool:
    """Something that access waits for was cancelled, and not access."""
    waiting = asyncio.get_running_loop().create_future()
    waiting.cancel()
    return bool(await waiting)


def test_access_cancelled_from_within_is_answered() -> None:
    patient = replace(Limits(), local_answer=None)
    with (
        running("asyncio", Chatty(), supports=[VERIFICATION], access=cancelled, limits=patient) as server,
        connected(server.port) as raw,
    ):
        assert raw.request() == AAssociateRJ(2, 1, 1)


# ---------------------------------------------------------------- trio: closed before a task had its first turn


def test_a_connection_closed_when_it_was_to_wait_for_room() -> None:
    over = threading.Event()

    def takes_nothing(raw: RawSocket) -> None:
        raw.accept()
        assert over.wait(PATIENCE)

    async def main(port: int) -> None:
        async with sansdimse_trio.associate(HOST, port, contexts=[CT]) as peer:
            session = peer.session
            link: Any = session.link
            storing = session.engine.c_store(CT, "1.2.3")
            while not link._blocked:
                storing.send_data(bytes(64 * 1024))
                link.kick()
            link.close()
            await trio.testing.wait_all_tasks_blocked()
            assert session.ended

    with nothing_leaks(), scripted(takes_nothing, receive_buffer=4096) as port:
        try:
            trio.run(main, port)
        finally:
            over.set()


def test_a_listener_closed_when_it_was_to_be_looked_at() -> None:
    reports: list[Any] = []

    async def main() -> None:
        for turns in range(100):
            async with sansdimse_trio.serve(
                HOST, 0, Chatty(), supports=[VERIFICATION], report=lambda *report: reports.append(report)
            ) as server:
                await trio.testing.wait_all_tasks_blocked()
                with socket.create_connection((HOST, server.port)):
                    for _ in range(turns % 4):
                        await trio.lowlevel.checkpoint()
                    await server.close(0)

    trio.run(main)
    assert not reports


# ---------------------------------------------------------------- asyncio: cancelled in the middle of connecting


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def test_cancelled_at_any_moment_of_connecting_no_socket_is_forgotten(run: Any) -> None:
    async def ask(port: int) -> None:
        async with sansdimse_asyncio.associate(HOST, port, contexts=[VERIFICATION]):
            pass

    async def main() -> None:
        async with sansdimse_asyncio.serve(HOST, 0, Chatty(), supports=[VERIFICATION]) as server:
            for turns in range(60):
                asking = asyncio.create_task(ask(server.port))
                for _ in range(turns):
                    await asyncio.sleep(0)
                asking.cancel()
                await asyncio.wait([asking])

    with nothing_leaks(), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run(main())
        gc.collect()
    assert not [str(each.message) for each in caught]


def test_the_first_address_that_answers_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sansdimse_asyncio.client._HEAD_START", 0.0)
    silent = socket.create_server((HOST, 0), backlog=0)  # full as soon as somebody waits in it

    async def main() -> None:
        async with sansdimse_asyncio.serve(HOST, 0, Chatty(), supports=[VERIFICATION]) as server:
            loop = asyncio.get_running_loop()

            async def found(*_: Any, **__: Any) -> list[Any]:
                kind, tcp = socket.SOCK_STREAM, socket.IPPROTO_TCP
                addresses = [silent.getsockname(), (HOST, server.port), (HOST, server.port)]
                return [(socket.AF_INET, kind, tcp, "", each) for each in addresses]

            monkeypatch.setattr(loop, "getaddrinfo", found)
            async with sansdimse_asyncio.associate("pacs", 104, contexts=[VERIFICATION]) as peer:
                assert await peer.c_echo() == 0

    with silent, ExitStack() as stack:
        all_at_once(stack, silent.getsockname()[1], 4)
        asyncio.run(main())


def test_when_no_address_answers_all_reasons_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server((HOST, 0)) as closed:
        address = closed.getsockname()

    async def main() -> None:
        async def found(*_: Any, **__: Any) -> list[Any]:
            kind, tcp = socket.SOCK_STREAM, socket.IPPROTO_TCP
            return [
                (socket.AF_INET, kind, tcp, "", address),
                (socket.AF_INET6, kind, tcp, "", ("ff02::1", 104, 0, 0)),
                (socket.AF_INET, kind, tcp, "", address),
            ]

        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", found)
        async with sansdimse_asyncio.associate("pacs", 104, contexts=[VERIFICATION]):
            raise AssertionError("nobody is there")

    with nothing_leaks(), pytest.raises(sansdimse_asyncio.AssociationLost, match=r"pacs port 104: .*refused; \w"):
        asyncio.run(main())
