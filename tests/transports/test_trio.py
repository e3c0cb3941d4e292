"""What only trio can get wrong: tasks that begin late, and groups of exceptions."""

from __future__ import annotations

import socket
from typing import Any, cast

import pytest
import trio

import sansdimse_trio
from raw_socket import nothing_leaks
from running import HOST
from sansdimse import VERIFICATION
from sansdimse_trio import client


@pytest.fixture(autouse=True)
def _nothing_leaks() -> Any:
    with nothing_leaks():
        yield


def test_cancelled_when_it_has_just_connected(monkeypatch: pytest.MonkeyPatch) -> None:
    connect = client._connect

    async def main() -> None:
        with trio.CancelScope() as scope:

            async def connect_at_the_last_moment(*arguments: Any) -> socket.socket | None:
                sock = await connect(*arguments)
                scope.cancel()
                return sock

            monkeypatch.setattr(client, "_connect", connect_at_the_last_moment)
            async with sansdimse_trio.associate(HOST, port, contexts=[VERIFICATION]):
                raise AssertionError("it was cancelled before")
        assert scope.cancelled_caught

    with socket.create_server((HOST, 0)) as listener:
        port = listener.getsockname()[1]
        trio.run(main)


def test_a_server_closed_before_it_has_begun() -> None:
    async def main() -> None:
        async with sansdimse_trio.serve(HOST, 0, object(), supports=[VERIFICATION]) as server:
            pass
        assert server.pending == 0

    trio.run(main)


@pytest.mark.parametrize("how", ["its scope", "its nursery"])
def test_a_conversation_cancelled_before_it_began_does_not_begin(how: str) -> None:
    begun: list[str] = []

    async def conversation(name: str) -> None:
        begun.append(name)

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            link = sansdimse_trio.Link(cast(Any, None), nursery, client.limiters(1))
            link.spawn(conversation("the one before"))
            await link.all_conversed()
            cancelled = link.spawn(conversation("cancelled"))
            (cancelled if how == "its scope" else nursery.cancel_scope).cancel()
            with trio.CancelScope(shield=True):
                await link.all_conversed()
        assert link.busy == 0

    trio.run(main)
    assert begun == ["the one before"]


@pytest.mark.parametrize("kind", ["serve", "associate"])
def test_a_group_that_is_raised_within_is_raised_as_it_is(kind: str) -> None:
    group = ExceptionGroup("of the user", [ExceptionGroup("of his nursery", [ZeroDivisionError()])])

    async def main() -> None:
        async with sansdimse_trio.serve(HOST, 0, object(), supports=[VERIFICATION]) as server:
            if kind == "serve":
                raise group
            async with sansdimse_trio.associate(HOST, server.port, contexts=[VERIFICATION]):
                raise group

    with pytest.raises(ExceptionGroup) as raised:
        trio.run(main)
    assert repr(raised.value) == repr(group), "trio splits and derives: an equal one"
