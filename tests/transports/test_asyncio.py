"""What only asyncio can get wrong: connections that it tells of late."""

from __future__ import annotations

import asyncio
import threading
from typing import Any, cast

import pytest

import sansdimse_asyncio
from running import HOST
from sansdimse import VERIFICATION
from sansdimse_asyncio.server import _Accepting


class Transport:
    """Of a connection that was accepted when the server had been closed."""

    aborted = False

    def abort(self) -> None:
        self.aborted = True


def test_a_connection_told_of_when_the_server_was_closed_is_cut() -> None:
    transport = Transport()

    async def main() -> None:
        async with sansdimse_asyncio.serve(HOST, 0, object(), supports=[VERIFICATION]) as server:
            await server.close()
            _Accepting(server).connection_made(cast(Any, transport))
            assert server.pending == 0

    asyncio.run(main())
    assert transport.aborted


def test_a_thread_whose_loop_is_closed_before_it_came_to_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sansdimse_asyncio.link._GLANCE", 0.01)

    class Lost:
        def check_alive(self) -> None:
            raise ConnectionError

    async def never() -> None:
        """The loop does not run."""

    link: Any = sansdimse_asyncio.Link.__new__(sansdimse_asyncio.Link)
    link._loop, link.session = asyncio.new_event_loop(), Lost()
    errors: list[type[BaseException]] = []

    def wait() -> None:
        try:
            link.block_on(never())
        except ConnectionError as error:
            errors.append(type(error))

    thread = threading.Thread(target=wait)
    thread.start()
    link._loop.close()
    thread.join(30)
    assert errors == [ConnectionError]
