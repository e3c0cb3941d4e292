"""``serve`` on trio: one task accepts, one task waits for each connection, one runs each handler."""

from __future__ import annotations

import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from typing import Final, Unpack

import trio

from sansdimse.peer.host import Host, ServeOptions
from sansdimse.peer.options import check_options
from sansdimse_files import log_report, new_uid, tcp
from sansdimse_files.wiring import check_server_context, wire
from sansdimse_trio.client import limiters, opened, unwrapped
from sansdimse_trio.link import Link

_ACCEPT_PAUSE: Final = 0.5
"""Seconds without accepting when the system is out of descriptors: it would only fail again."""


class Server:
    """A listening server; made by ``serve``."""

    def __init__(
        self,
        listener: socket.socket,
        host: Host[Link],
        nursery: trio.Nursery,
        threads: tuple[trio.CapacityLimiter, trio.CapacityLimiter],
        tls: ssl.SSLContext | None,
    ) -> None:
        self.host: str
        """The address listened on."""
        self.port: int
        """The port listened on: useful if 0 was asked for."""
        self.host, self.port, *_ = listener.getsockname()
        self._listener = listener
        self._host = host
        self._nursery = nursery
        self._threads = threads
        self._tls = tls
        self._emptied = trio.Event()
        self._closed = trio.Event()
        self._accepting = trio.CancelScope()
        nursery.start_soon(self._accept)

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
        self._accepting.cancel()
        trio.lowlevel.notify_closing(self._listener)
        self._listener.close()
        try:
            with closing(self._host.ending(grace, Link.abort, Link.close)) as waits:
                for seconds in waits:
                    await self._empty(seconds)
        finally:
            self._closed.set()

    async def _empty(self, seconds: float) -> None:
        with trio.move_on_after(seconds):
            while self._host.connections:
                self._emptied = trio.Event()
                await self._emptied.wait()

    async def _accept(self) -> None:
        with self._accepting:
            while not self._accepting.cancel_called:  # the server may be closed before this has begun
                await trio.lowlevel.wait_readable(self._listener)
                try:
                    sock, address = self._listener.accept()
                except (BlockingIOError, ConnectionError):
                    continue  # it left before we looked
                except OSError as error:
                    if self._host.closing:
                        return  # closed when this task had been told to look, and had not yet
                    self._host.report(error, "accept")
                    await trio.sleep(_ACCEPT_PAUSE)
                    continue
                self._start(sock, tcp.text(address))

    def _start(self, sock: socket.socket, address: str) -> None:
        now = trio.current_time()
        engine = self._host.engine(now)
        line = wire(engine, self._tls, server_side=True, deadline=now + self._host.limits.artim)
        link = Link(line.engine, self._nursery, self._threads)
        link.session = self._host.session(link, engine, link, address, line.certificate, opened)
        oldest = self._host.opened(link, address)
        if oldest is not None:
            self._host.cut(oldest.session.address)
            oldest.close()
        self._nursery.start_soon(self._serve, link, sock)

    async def _serve(self, link: Link, sock: socket.socket) -> None:
        try:
            await link.run(sock)
            await link.all_conversed()
        except Exception as error:  # noqa: BLE001 - whatever it is, the server outlives one connection
            self._host.report(error, link.session.address)
        finally:
            sock.close()
            self._host.closed(link)
            self._emptied.set()


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

    ``run_server`` is the same as a task of your own nursery.
    """
    check_options("serve()", options, ServeOptions, needed="supports")
    options.setdefault("report", log_report)
    options.setdefault("new_uid", new_uid)
    check_server_context(tls)
    server_host: Host[Link] = Host(service, **options)
    listener = tcp.listen(host, port)
    try:
        with unwrapped():
            async with trio.open_nursery() as nursery:
                threads = limiters(server_host.workers if workers is None else workers)
                server = Server(listener, server_host, nursery, threads, tls)
                try:
                    yield server
                except BaseException:
                    grace = 0.0
                    raise
                finally:
                    with trio.CancelScope(shield=True):
                        await server.close(grace)
                    nursery.cancel_scope.cancel()
    finally:
        listener.close()


async def run_server(
    host: str,
    port: int,
    service: object,
    *,
    tls: ssl.SSLContext | None = None,
    workers: int | None = None,
    grace: float = 10.0,
    task_status: trio.TaskStatus[Server] = trio.TASK_STATUS_IGNORED,
    **options: Unpack[ServeOptions],
) -> None:
    """``serve`` as a task of your own nursery: ``server = await nursery.start(partial(run_server, ...))``.

    It ends when somebody has closed the ``Server``.

    ``nursery.start`` gives the ``Server`` as soon as it listens, and raises what keeps it from that. Cancelled, it
    aborts its associations without ``grace``.
    """
    async with serve(host, port, service, tls=tls, workers=workers, grace=grace, **options) as server:
        task_status.started(server)
        await server.wait_closed()
