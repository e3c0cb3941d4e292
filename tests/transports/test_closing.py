"""Closing a server: who is served may end, nobody else is waited for, and nobody is lost who has just come."""

from __future__ import annotations

import asyncio
import gc
import select
import socket
import threading
import warnings
from contextlib import suppress
from typing import Any, Final

import pytest
import uvloop

import sansdimse_asyncio
from engine_pair import RELEASE_RQ, echo_rq, requestor
from raw_socket import HOST, RawSocket, connected, nothing_leaks
from running import PATIENCE, TRANSPORTS, running
from sansdimse import VERIFICATION
from sansdimse.admission import OVER_BUDGET, Budget
from sansdimse.ul.negotiation import propose
from sansdimse.ul.pdu import AAssociateAC, AReleaseRP

LOOPS: Final = pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])

uvloop.run(asyncio.sleep(0))  # what it opens once for all loops is no leak of ours


class Chatty:
    """C-ECHO is answered."""


def is_cut(raw: RawSocket) -> bool:
    with suppress(ConnectionResetError):
        assert raw.rest() == b""
    return True


@pytest.mark.parametrize("transport", [*TRANSPORTS, "uvloop"])
def test_who_is_not_served_is_cut_at_once_and_others_end_in_peace(transport: str) -> None:
    options: dict[str, Any] = {"supports": [VERIFICATION], "grace": PATIENCE, "budget": Budget(associations=1)}
    with nothing_leaks(), running(transport, Chatty(), **options) as server:
        with (
            connected(server.port) as good,
            connected(server.port) as silent,
            connected(server.port) as slow,
            connected(server.port) as rejected,
        ):
            assert isinstance(good.request(), AAssociateAC)
            slow.send(propose(requestor()).encode()[:50])
            assert rejected.request() == OVER_BUDGET
            closing = threading.Thread(target=server.stop)
            closing.start()
            assert all(map(is_cut, (silent, slow, rejected)))
            good.send(echo_rq())
            assert good.said().status == 0
            good.send(RELEASE_RQ)
            assert good.said() == AReleaseRP()
        closing.join(PATIENCE)
        server.until(lambda: len(server.ended) == 4)
        assert not server.reports


@LOOPS
@pytest.mark.parametrize("is_cancelled", [False, True], ids=["closed", "cancelled"])
def test_whom_asyncio_has_just_accepted_is_not_lost(run: Any, is_cancelled: bool) -> None:
    """Some turns lie between a connection that is accepted, its transport, and our being told."""
    errors: list[Any] = []

    async def close(server: sansdimse_asyncio.Server, turns: int) -> None:
        closing = asyncio.ensure_future(server.close(0))
        if is_cancelled:
            for _ in range(turns % 4):
                await asyncio.sleep(0)
            closing.cancel()
        with suppress(asyncio.CancelledError):
            await closing

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_debug(True)  # else asyncio keeps what goes wrong here to itself
        loop.set_exception_handler(lambda _, context: errors.append(context))
        for turns in range(24):
            async with sansdimse_asyncio.serve(HOST, 0, Chatty(), supports=[VERIFICATION]) as server:
                with socket.create_connection((HOST, server.port)) as sock:
                    for _ in range(turns // 4):
                        await asyncio.sleep(0)
                    await close(server, turns)
                    if not is_cancelled:
                        assert server.pending == 0
                        assert select.select([sock], [], [], 0)[0], "it has been cut by now"

    with nothing_leaks(), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run(main())
        gc.collect()
    assert not [str(each.message) for each in caught]
    assert not errors
