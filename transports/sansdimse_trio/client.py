"""``associate`` on trio."""

from __future__ import annotations

import math
import socket
import ssl
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from typing import Any, Final, Unpack, cast

import trio

from sansdimse.peer.caller import AssociateOptions, Caller
from sansdimse.peer.link import Destination
from sansdimse.peer.options import check_options
from sansdimse.peer.scu import Peer
from sansdimse.peer.tap import Tap
from sansdimse_files import log_report, new_uid, tcp
from sansdimse_files.wiring import wire
from sansdimse_trio.link import Link

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
    check_options("associate()", options, AssociateOptions, needed="contexts")
    tcp.check_port(port)
    options.setdefault("report", log_report)
    options.setdefault("new_uid", new_uid)
    caller = Caller(now=trio.current_time(), **options)
    line = wire(caller.engine, tls, server_side=False, server_name=server_name or host, tap=tap)
    with unwrapped():
        async with trio.open_nursery() as nursery:
            link = Link(line.engine, nursery, limiters(workers))
            session = link.session = caller.session(link, f"{host}:{port}", line.certificate, opened)
            try:
                sock = await _connect(link, caller.engine.next_timeout(), host, port, source_address)
                if sock is not None:
                    nursery.start_soon(link.run, sock)
                await session.established()
                peer = Peer(session)
                yield peer
                await peer.release()
            finally:
                with trio.CancelScope(shield=True):  # bounded by the engine's deadlines
                    session.abort()
                    await session.end()
                    await link.all_conversed()
                nursery.cancel_scope.cancel()


def opened(destination: Destination, options: Mapping[str, Any]) -> AbstractAsyncContextManager[Peer]:
    """Another association, for a C-MOVE: ``associate`` there with these options."""
    to = {"calling": destination.calling, "called": destination.called, **options}
    tls, name = destination.tls, destination.server_name
    return associate(destination.host, destination.port, tls=tls, server_name=name, **cast(AssociateOptions, to))


async def _connect(
    link: Link, deadline: float | None, host: str, port: int, source_address: tuple[str, int] | None
) -> socket.socket | None:
    """Connect to whichever of the host's addresses answers first, until the engine's deadline passes."""
    try:
        with trio.move_on_at(math.inf if deadline is None else deadline):
            if source_address is not None:
                return await _connect_from(source_address, host, port)
            stream = await trio.open_tcp_stream(host, port)
            return socket.socket(fileno=stream.socket.detach())
        link.timed_out()
    except (OSError, UnicodeError) as error:
        errors = error.__cause__.exceptions if isinstance(error.__cause__, BaseExceptionGroup) else [error]
        link.failed(tcp.reason(host, port, errors))
    return None


async def _connect_from(source_address: tuple[str, int], host: str, port: int) -> socket.socket:
    """From a given address and port, which trio's own way to connect leaves no room for: one address at a time."""
    errors: list[OSError] = []
    for family, kind, protocol, _, address in await trio.socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        sock = trio.socket.socket(family, kind, protocol)
        try:
            await sock.bind(source_address)
            await sock.connect(address)
        except OSError as error:
            sock.close()
            errors.append(error)
        except BaseException:
            sock.close()
            raise
        else:
            return socket.socket(fileno=sock.detach())
    raise errors[-1]


def limiters(workers: int) -> tuple[trio.CapacityLimiter, trio.CapacityLimiter]:
    """So many threads for handlers, and as many for what they may wait for: the reading of a file that one gave, say.

    Raises ``ValueError`` if it is none: what blocks would wait for ever.
    """
    if workers < 1:
        raise ValueError(f"{workers} workers: what blocks, files too, needs one at least")
    return trio.CapacityLimiter(workers), trio.CapacityLimiter(workers)


@contextmanager
def unwrapped() -> Iterator[None]:
    """A nursery wraps what is raised in it into a group: of one alone, the caller wants that, his own groups whole."""
    try:
        yield
    except BaseExceptionGroup as group:
        if len(group.exceptions) > 1:
            raise
        error = group.exceptions[0]
        raise error from error.__cause__
