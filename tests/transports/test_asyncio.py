"""What only asyncio can get wrong: connections that it tells of late."""

from __future__ import annotations

import asyncio
from typing import Any, cast

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
