"""Each transport with the software of others, both roles; and a window asked of those that agree to none."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
import trio

import sansdimse_asyncio
import sansdimse_socket
import sansdimse_trio
from archive import bundled, essence
from interop import peers
from running import HOST, TRANSPORTS, running
from sansdimse import VERIFICATION, AsynchronousOperationsWindow, OutcomeKind, Side
from sansdimse.peer.blocking import run
from sansdimse_files import async_received_file, contexts_for, received_file

CT_SMALL = bundled("CT_small.dcm")
SERVERS = ("storescp", "dcmrecv", "dcmqrscp", "orthanc", "pynetdicom_scp")


@pytest.fixture
def server(request: pytest.FixtureRequest) -> peers.Server:
    found = request.getfixturevalue(request.param)
    assert isinstance(found, peers.Server)
    return found


def call(transport: str, server: peers.Server, talk: Any, **options: Any) -> tuple[Any, Any]:
    """What a conversation gives, and the peer it was with."""
    options = {"called": server.ae_title, "contexts": [VERIFICATION, *contexts_for([CT_SMALL])], **options}
    if transport == "socket":
        with sansdimse_socket.associate(server.host, server.port, **options) as blocking:
            return run(talk(blocking._peer)), blocking

    async def main() -> tuple[Any, Any]:
        associate: Any = sansdimse_asyncio.associate if transport == "asyncio" else sansdimse_trio.associate
        async with associate(server.host, server.port, **options) as peer:
            return await talk(peer), peer

    return asyncio.run(main()) if transport == "asyncio" else trio.run(main)


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("server", SERVERS, indirect=True)
def test_a_window_that_is_not_agreed_to_is_kept_at_one(transport: str, server: peers.Server) -> None:
    """They omit the item from their answers, which is 1, 1 (PS3.7 D.3.3.3)."""
    outstanding: list[int] = []

    async def talk(peer: Any) -> list[int]:
        def progress(source: object, sent: int) -> None:
            outstanding.append(len(peer._engine.outstanding))

        async with peer.c_store_each([CT_SMALL] * 20, progress=progress) as results:
            stored = [int(answer) async for _, answer in results]
        return [*stored, int(await peer.c_echo())]

    statuses, peer = call(transport, server, talk, window=AsynchronousOperationsWindow(8, 1))
    assert statuses == [0] * 21
    assert peer.info.agreement.invoke_window == 1
    assert set(outstanding) == {1}
    assert (peer.outcome.kind, peer.outcome.by) == (OutcomeKind.RELEASED, Side.LOCAL)


class Files:
    """A service that keeps what comes as files."""

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


@pytest.mark.parametrize("transport", ["asyncio", "trio"])
@pytest.mark.parametrize("service", [Files, AsyncFiles])
def test_dcmtk_echoes_and_stores(transport: str, service: type[Files], tmp_path: Path) -> None:
    with running(transport, service(tmp_path), supports=[VERIFICATION], any_storage=True) as ours:
        peers.run_tool("echoscu", "--repeat", "20", HOST, str(ours.port))
        peers.run_tool("storescu", "-R", HOST, str(ours.port), CT_SMALL)
        ours.until(lambda: len(ours.ended) == 2)
        assert [each.outcome.kind for each in ours.ended] == [OutcomeKind.RELEASED] * 2
        assert not ours.reports
    (stored,) = tmp_path.iterdir()
    assert essence(stored) == essence(CT_SMALL)
