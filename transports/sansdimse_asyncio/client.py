"""``associate`` on asyncio."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final, Unpack, cast

from sansdimse.peer.caller import AssociateOptions, Caller
from sansdimse.peer.scu import Peer
from sansdimse.peer.tap import Tap
from sansdimse_asyncio.link import Link
from sansdimse_asyncio.workers import Workers
from sansdimse_files import log_report, tcp
from sansdimse_files.wiring import wire

WORKERS: Final = 16
"""Threads for handlers that block, and for files, by default."""


@asynccontextmanager
async def associate(
    host: str,
    port: int,
    *,
    tls: ssl.SSLContext | None = None,
    server_name: str | None = None,
    source_address: tuple[str, int] | None = None,
    workers: int = WORKERS,
    tap: Tap | None = None,
    **options: Unpack[AssociateOptions],
) -> AsyncIterator[Peer]:
    """Open an association and give its ``Peer``; leaving releases it, leaving by an exception aborts it.

    The options are those of ``sansdimse.peer.caller.AssociateOptions``. ``tls`` makes it TLS, for the name ``host``
    or another ``server_name``; ``workers`` bounds the threads for files and for handlers that block; ``tap`` sees the
    bytes that pass, TLS taken off. Raises ``AssociationLost`` if there is no association: its ``outcome`` says whether
    the peer was not reached, rejected it, or was silent; ``LocalProtocolError`` for a proposal that the standard does
    not allow, ``TypeError`` if the service lacks a method for what it is to serve.
    """
    loop = asyncio.get_running_loop()
    options.setdefault("report", log_report)
    caller = Caller(now=loop.time(), **options)
    line = wire(caller.engine, tls, server_side=False, server_name=server_name or host, tap=tap)
    threads = Workers(workers)
    link = Link(line.engine, threads)
    session = link.session = caller.session(link, f"{host}:{port}", line.certificate)
    try:
        await _connect(link, caller.engine.next_timeout(), host, port, source_address)
        await session.established()
        peer = Peer(session)
        yield peer
        await peer.release()
    finally:
        try:
            await link.close()
        finally:
            threads.close()


async def _connect(
    link: Link, deadline: float | None, host: str, port: int, source_address: tuple[str, int] | None
) -> None:
    """Connect to whichever of the host's addresses answers first, until the engine's deadline passes."""
    loop = asyncio.get_running_loop()
    race: dict[str, Any] = {}
    if isinstance(loop, asyncio.BaseEventLoop):  # other loops, uvloop's for one, try one address after the other
        race = {"happy_eyeballs_delay": 0.25, "interleave": 1}
    timeout = asyncio.timeout_at(deadline)
    try:
        async with timeout:
            transport, _ = await loop.create_connection(_Opening, host, port, local_addr=source_address, **race)
        link.connection_made(transport)
    except TimeoutError as error:
        if timeout.expired():
            link.timed_out()
        else:
            link.failed(tcp.reason(host, port, [error]))
    except (OSError, UnicodeError) as error:
        link.failed(tcp.reason(host, port, [error]))


class _Opening(asyncio.Protocol):
    """Whom asyncio tells first, in the middle of ``create_connection``: cancelled there, nothing is said yet."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast(asyncio.Transport, transport).pause_reading()
