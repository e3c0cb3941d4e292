"""``associate`` on asyncio."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from itertools import zip_longest
from typing import Any, Final, Unpack, cast

from sansdimse.peer.caller import AssociateOptions, Caller
from sansdimse.peer.link import Destination
from sansdimse.peer.options import check_options
from sansdimse.peer.scu import Peer
from sansdimse.peer.tap import Tap
from sansdimse_asyncio.link import Link
from sansdimse_asyncio.workers import Workers
from sansdimse_files import log_report, new_uid, tcp
from sansdimse_files.wiring import wire

WORKERS: Final = 16
"""Threads for handlers that block, and for files, by default."""
_HEAD_START: Final = 0.25
"""Seconds that an address has to answer before the next is tried besides (RFC 8305 5)."""


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
    check_options("associate()", options, AssociateOptions, needed="contexts")
    tcp.check_port(port)
    options.setdefault("report", log_report)
    options.setdefault("new_uid", new_uid)
    caller = Caller(now=loop.time(), **options)
    line = wire(caller.engine, tls, server_side=False, server_name=server_name or host, tap=tap)
    threads = Workers(workers)
    link = Link(line.engine, threads)
    session = link.session = caller.session(link, f"{host}:{port}", line.certificate, opened)
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


def opened(destination: Destination, options: Mapping[str, Any]) -> AbstractAsyncContextManager[Peer]:
    """Another association, for a C-MOVE: ``associate`` there with these options."""
    to = {"calling": destination.calling, "called": destination.called, **options}
    tls, name = destination.tls, destination.server_name
    return associate(destination.host, destination.port, tls=tls, server_name=name, **cast(AssociateOptions, to))


async def _connect(
    link: Link, deadline: float | None, host: str, port: int, source_address: tuple[str, int] | None
) -> None:
    """Connect to whichever of the host's addresses answers first, until the engine's deadline passes."""
    loop = asyncio.get_running_loop()
    timeout = asyncio.timeout_at(deadline)
    try:
        async with timeout:
            sock = await _race(host, port, source_address)
            transport, _ = await loop.create_connection(_Opening, sock=sock)
        link.connection_made(transport)
    except TimeoutError as error:
        if timeout.expired():
            link.timed_out()
        else:
            link.failed(tcp.reason(host, port, [error]))
    except (OSError, UnicodeError) as error:
        link.failed(tcp.reason(host, port, [error]))
    except ExceptionGroup as group:
        link.failed(tcp.reason(host, port, group.exceptions))


async def _race(host: str, port: int, source_address: tuple[str, int] | None) -> socket.socket:
    """A socket connected to the first address that answers (RFC 8305), or an ``ExceptionGroup`` of why none did.

    Not the race of ``create_connection``: cancelled at the wrong moment, that forgets the socket that has won.
    """
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    first = [each for each in found if each[0] == found[0][0]]
    others = [each for each in found if each[0] != found[0][0]]
    waiting = [each for pair in zip_longest(first, others) for each in pair if each is not None]
    attempts: list[asyncio.Task[socket.socket]] = []
    running: set[asyncio.Task[socket.socket]] = set()
    errors: list[OSError] = []
    won: socket.socket | None = None
    try:
        while waiting or running:
            if waiting:
                family, _, protocol, _, address = waiting.pop(0)
                attempts.append(loop.create_task(_attempt(family, protocol, address, source_address)))
                running.add(attempts[-1])
            done, running = await asyncio.wait(
                running, timeout=_HEAD_START if waiting else None, return_when=asyncio.FIRST_COMPLETED
            )
            for attempt in done:
                try:
                    won = attempt.result()
                except OSError as error:
                    errors.append(error)
                else:
                    return won
        raise ExceptionGroup("no address answered", errors)
    finally:
        for attempt in attempts:
            if not attempt.done():
                attempt.cancel()
            elif not attempt.cancelled() and attempt.exception() is None and attempt.result() is not won:
                attempt.result().close()


async def _attempt(family: int, protocol: int, address: Any, source_address: tuple[str, int] | None) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM, protocol)
    try:
        sock.setblocking(False)
        if source_address is not None:
            sock.bind(source_address)
        await asyncio.get_running_loop().sock_connect(sock, address)
    except BaseException:
        sock.close()
        raise
    return sock


class _Opening(asyncio.Protocol):
    """Whom asyncio tells first, in the middle of ``create_connection``: cancelled there, nothing is said yet."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast(asyncio.Transport, transport).pause_reading()
