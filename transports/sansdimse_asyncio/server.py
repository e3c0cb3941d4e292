"""``serve`` on asyncio: an idle association has no task, only its protocol and its engine."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from typing import Final, Unpack, cast

from sansdimse.peer.host import Host, ServeOptions
from sansdimse.peer.options import check_options
from sansdimse_asyncio.client import opened
from sansdimse_asyncio.link import Link
from sansdimse_asyncio.workers import Workers
from sansdimse_files import log_report, new_uid, tcp
from sansdimse_files.wiring import check_server_context, wire

_BURST: Final = 16
"""Connections accepted in one turn of the loop: asyncio calls that the backlog. Those that are accepted and not yet
read count against the budget, so to accept all that wait would cut some whose request has come."""


class Server:
    """A listening server; made by ``serve``."""

    def __init__(self, listener: socket.socket, host: Host[Link], workers: Workers, tls: ssl.SSLContext | None) -> None:
        self.host: str
        """The address listened on."""
        self.port: int
        """The port listened on: useful if 0 was asked for."""
        self.host, self.port, *_ = listener.getsockname()
        self._listener = listener
        self._host = host
        self._workers = workers
        self._tls = tls
        self._empty = asyncio.Event()
        self._empty.set()
        self._closed = asyncio.Event()
        self._acceptor: asyncio.Server | None = None

    @property
    def associations(self) -> int:
        """How many associations are established, or are being."""
        return self._host.associations

    @property
    def pending(self) -> int:
        """How many connections have no association: no complete request yet, or a rejected one."""
        return self._host.pending

    async def wait_closed(self) -> None:
        """Wait until somebody closed the server."""
        await self._closed.wait()

    async def close(self, grace: float = 10.0) -> None:
        """Stop accepting, let associations end within ``grace`` seconds, then abort them. Idempotent."""
        if not self._host.close():
            await self._closed.wait()
            return
        try:
            await self._stop_accepting()
            with closing(self._host.ending(grace, Link.abort, Link.cut)) as waits:
                for seconds in waits:
                    await self._emptied(seconds)
        finally:
            self._workers.close()
            self._closed.set()

    async def _stop_accepting(self) -> None:
        """Return when we know of all whom asyncio has accepted.

        Of these it makes transports in its next turn, for which it wants the ``asyncio.Server`` open, and tells us of
        them in the one after.
        """
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._listener)
        if self._acceptor is not None:
            loop.call_soon(self._acceptor.close)
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    async def _emptied(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._empty.wait()
        except TimeoutError:
            pass

    async def _listen(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        self._acceptor = await loop.create_server(lambda: _Accepting(self), sock=listener, backlog=_BURST)
        listener.listen(tcp.BACKLOG)

    def accepted(self, transport: asyncio.BaseTransport) -> Link:
        """A connection came: its link, with a session."""
        now = asyncio.get_running_loop().time()
        address = tcp.text(transport.get_extra_info("peername") or ("unknown", 0))
        engine = self._host.engine(now)
        line = wire(engine, self._tls, server_side=True, deadline=now + self._host.limits.artim)
        link = Link(line.engine, self._workers, gone=lambda: self._gone(link))
        link.session = self._host.session(link, engine, link, address, line.certificate, opened)
        self._empty.clear()
        oldest = self._host.opened(link, address)
        if oldest is not None:
            self._host.cut(oldest.session.address)
            oldest.cut()
        return link

    def _gone(self, link: Link) -> None:
        self._host.closed(link)
        if not self._host.connections:
            self._empty.set()


class _Accepting(asyncio.Protocol):
    """Whom asyncio tells of a connection: only then is there an address, and it goes to a ``Link``."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if self._server._closed.is_set():  # nobody waited for who was accepted at the last moment: close was cancelled
            cast(asyncio.Transport, transport).abort()
        else:
            self._server.accepted(transport).connection_made(transport)


@asynccontextmanager
async def serve(
    host: str,
    port: int,
    service: object,
    *,
    tls: ssl.SSLContext | None = None,
    workers: int | None = None,
    grace: float = 10.0,
    **options: Unpack[ServeOptions],
) -> AsyncIterator[Server]:
    """Listen and let ``service`` answer; leaving closes the server (``Server.close`` with ``grace``).

    The options are those of ``sansdimse.peer.host.ServeOptions``. ``host`` "0.0.0.0" is every IPv4 address of this
    machine, "::" the IPv6 ones besides; port 0 takes a free one: see ``Server.port``. ``tls`` makes it TLS;
    ``workers`` bounds the threads for handlers that block, by default by ``Host.workers``: one for each association.
    Raises ``OSError`` if the address cannot be listened on, ``TypeError`` if the service lacks a method for what it
    offers, ``ssl.SSLError`` for a client's context.

    ``run_server`` is the same as a task of your own group.
    """
    check_options("serve()", options, ServeOptions, needed="supports")
    options.setdefault("report", log_report)
    options.setdefault("new_uid", new_uid)
    check_server_context(tls)
    server_host: Host[Link] = Host(service, **options)
    listener = tcp.listen(host, port)
    try:
        server = Server(listener, server_host, Workers(server_host.workers if workers is None else workers), tls)
        await server._listen(listener)
    except BaseException:
        listener.close()
        raise
    try:
        yield server
    except BaseException:
        await server.close(0)
        raise
    await server.close(grace)


async def run_server(
    host: str,
    port: int,
    service: object,
    *,
    started: asyncio.Future[Server] | None = None,
    tls: ssl.SSLContext | None = None,
    workers: int | None = None,
    grace: float = 10.0,
    **options: Unpack[ServeOptions],
) -> None:
    """``serve`` as a task of your own group: ``group.create_task(run_server(..., started=future))``.

    It ends when somebody has closed the ``Server``.

    ``started`` is given the ``Server`` as soon as it listens. What keeps it from that is raised to whoever awaits
    ``started``, and there only; without ``started``, here. Cancelled, it aborts its associations without ``grace``.
    """
    try:
        async with serve(host, port, service, tls=tls, workers=workers, grace=grace, **options) as server:
            if started is not None and not started.done():
                started.set_result(server)
            await server.wait_closed()
    except Exception as error:
        if started is None or started.done():
            raise
        started.set_exception(error)
    finally:
        if started is not None and not started.done():
            started.cancel()
