"""``run_server``: the server as a task of the user's own group or nursery."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import pytest
import trio

import sansdimse_asyncio
import sansdimse_trio
from raw_socket import nothing_leaks
from running import HOST
from sansdimse import SUCCESS, VERIFICATION, OutcomeKind, Side
from sansdimse.peer.watch import AssociationEnded, Occurrence

OPTIONS: Any = {"supports": [VERIFICATION]}


@pytest.fixture(autouse=True)
def _nothing_leaks() -> Any:
    with nothing_leaks():
        yield


def test_in_a_task_group_until_it_is_closed() -> None:
    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            started: asyncio.Future[sansdimse_asyncio.Server] = asyncio.get_running_loop().create_future()
            task = group.create_task(sansdimse_asyncio.run_server(HOST, 0, object(), started=started, **OPTIONS))
            server = await started
            async with sansdimse_asyncio.associate(HOST, server.port, contexts=[VERIFICATION]) as peer:
                assert await peer.c_echo() == SUCCESS
            await server.close()
        assert task.done()

    asyncio.run(main())


def test_in_a_nursery_until_it_is_closed() -> None:
    async def main() -> None:
        async with trio.open_nursery() as nursery:
            server: sansdimse_trio.Server = await nursery.start(
                partial(sansdimse_trio.run_server, HOST, 0, object(), **OPTIONS)
            )
            async with sansdimse_trio.associate(HOST, server.port, contexts=[VERIFICATION]) as peer:
                assert await peer.c_echo() == SUCCESS
            await server.close()

    trio.run(main)


def test_cancelled_it_aborts_its_associations() -> None:
    ended: list[Occurrence] = []

    async def on_asyncio() -> None:
        started: asyncio.Future[sansdimse_asyncio.Server] = asyncio.get_running_loop().create_future()
        serving = asyncio.create_task(
            sansdimse_asyncio.run_server(HOST, 0, object(), started=started, watch=ended.append, **OPTIONS)
        )
        port = (await started).port
        async with sansdimse_asyncio.associate(HOST, port, contexts=[VERIFICATION]) as peer:
            serving.cancel()
            with pytest.raises(asyncio.CancelledError):
                await serving
            with pytest.raises(sansdimse_asyncio.AssociationLost):
                await peer.c_echo()

    async def on_trio() -> None:
        async def serve(*, task_status: trio.TaskStatus[sansdimse_trio.Server]) -> None:
            with scope:
                await sansdimse_trio.run_server(
                    HOST, 0, object(), task_status=task_status, watch=ended.append, **OPTIONS
                )

        scope = trio.CancelScope()
        async with trio.open_nursery() as nursery:
            server: sansdimse_trio.Server = await nursery.start(serve)
            async with sansdimse_trio.associate(HOST, server.port, contexts=[VERIFICATION]) as peer:
                scope.cancel()
                await server.wait_closed()
                with pytest.raises(sansdimse_trio.AssociationLost):
                    await peer.c_echo()

    for run in (lambda: asyncio.run(on_asyncio()), lambda: trio.run(on_trio)):
        ended.clear()
        run()
        [last] = [each for each in ended if isinstance(each, AssociationEnded)]
        assert (last.statistics.outcome.kind, last.statistics.outcome.by) == (OutcomeKind.ABORTED, Side.LOCAL)


def test_what_keeps_it_from_starting_is_told_to_who_awaits_the_start() -> None:
    async def on_asyncio() -> None:
        async with asyncio.TaskGroup() as group:
            started: asyncio.Future[sansdimse_asyncio.Server] = asyncio.get_running_loop().create_future()
            group.create_task(sansdimse_asyncio.run_server("192.0.2.1", 0, object(), started=started, **OPTIONS))
            with pytest.raises(OSError, match="assign"):
                await started
        with pytest.raises(OSError, match="assign"):
            await sansdimse_asyncio.run_server("192.0.2.1", 0, object(), **OPTIONS)

    async def on_trio() -> None:
        async with trio.open_nursery() as nursery:
            with pytest.raises(OSError, match="assign"):
                await nursery.start(partial(sansdimse_trio.run_server, "192.0.2.1", 0, object(), **OPTIONS))

    asyncio.run(on_asyncio())
    trio.run(on_trio)


def test_cancelled_before_it_has_started_nobody_waits_for_ever() -> None:
    async def main() -> None:
        started: asyncio.Future[sansdimse_asyncio.Server] = asyncio.get_running_loop().create_future()
        serving = asyncio.create_task(sansdimse_asyncio.run_server(HOST, 0, object(), started=started, **OPTIONS))
        await asyncio.sleep(0)
        assert not started.done()
        serving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await started
        with pytest.raises(asyncio.CancelledError):
            await serving

    asyncio.run(main())


def test_an_association_is_used_in_the_loop_that_opened_it() -> None:
    async def elsewhere(peer: sansdimse_asyncio.Peer) -> None:
        with pytest.raises(RuntimeError, match="belongs to another event loop"):
            await peer.session.changed()

    async def main() -> None:
        async with (
            sansdimse_asyncio.serve("127.0.0.1", 0, object(), supports=[VERIFICATION]) as server,
            sansdimse_asyncio.associate("127.0.0.1", server.port, contexts=[VERIFICATION]) as peer,
        ):
            assert await peer.c_echo() == 0
            await asyncio.to_thread(lambda: asyncio.run(elsewhere(peer)))

    asyncio.run(main())
