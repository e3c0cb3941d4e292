"""``associate`` over a blocking socket."""

from __future__ import annotations

import os
import select
import socket
import ssl
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import Any, Unpack, cast

from sansdimse.peer.blocking import BlockingPeer, run
from sansdimse.peer.caller import AssociateOptions, Caller
from sansdimse.peer.link import Destination
from sansdimse.peer.options import check_options
from sansdimse.peer.scu import Peer
from sansdimse.peer.tap import Tap
from sansdimse_files import log_report, new_uid, tcp
from sansdimse_files.wiring import wire
from sansdimse_socket.link import Link


@contextmanager
def associate(
    host: str,
    port: int,
    *,
    tls: ssl.SSLContext | None = None,
    server_name: str | None = None,
    source_address: tuple[str, int] | None = None,
    tap: Tap | None = None,
    **options: Unpack[AssociateOptions],
) -> Iterator[BlockingPeer]:
    """Open an association and give its ``Peer``; leaving releases it, leaving by an exception aborts it.

    The options are those of ``sansdimse.peer.caller.AssociateOptions``. ``tls`` makes it TLS, for the name ``host``
    or another ``server_name``; ``tap`` sees the bytes that pass, TLS taken off. Raises ``AssociationLost`` if there
    is no association: its ``outcome`` says whether the peer was not reached, rejected it, or was silent;
    ``LocalProtocolError`` for a proposal that the standard does not allow, ``TypeError`` if the service lacks a
    method for what it is to serve.
    """
    with _associated(host, port, tls, server_name, source_address, tap, None, options) as (peer, link):
        yield BlockingPeer(peer, link.within)


@asynccontextmanager
async def opened_from(link: Link, destination: Destination, options: Mapping[str, Any]) -> AsyncIterator[Peer]:
    """Another association, for a C-MOVE that came on ``link``, which is driven in the waits of this one."""
    to = {"calling": destination.calling, "called": destination.called, **options}
    place = (destination.host, destination.port, destination.tls, destination.server_name)
    with _associated(*place, None, None, link, cast(AssociateOptions, to)) as (peer, _):
        yield peer


@contextmanager
def _associated(
    host: str,
    port: int,
    tls: ssl.SSLContext | None,
    server_name: str | None,
    source_address: tuple[str, int] | None,
    tap: Tap | None,
    beside: Link | None,
    options: AssociateOptions,
) -> Iterator[tuple[Peer, Link]]:
    check_options("associate()", options, AssociateOptions, needed="contexts")
    tcp.check_port(port)
    options.setdefault("report", log_report)
    options.setdefault("new_uid", new_uid)
    caller = Caller(now=time.monotonic(), **options)
    line = wire(caller.engine, tls, server_side=False, server_name=server_name or host, tap=tap)
    link = Link(line.engine, beside=beside)
    session = link.session = caller.session(link, f"{host}:{port}", line.certificate, partial(opened_from, link))
    try:
        _connect(link, caller.engine.next_timeout(), host, port, source_address)
        try:
            run(session.established())
            peer = Peer(session)
            yield peer, link
            run(peer.release())
        except BaseException:
            session.abort()
            run(session.end())
            raise
    finally:
        link.close()


def _connect(link: Link, deadline: float | None, host: str, port: int, source_address: tuple[str, int] | None) -> None:
    """Try the host's addresses one after the other until one answers or the engine's deadline passes."""
    errors: list[BaseException] = []
    try:
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        addresses = []
        errors.append(error)
    for family, kind, protocol, _, address in addresses:
        sock = socket.socket(family, kind, protocol)
        try:
            if source_address is not None:
                sock.bind(source_address)
            connected = _connect_one(sock, address, deadline)
        except OSError as error:
            sock.close()
            errors.append(error)
            continue
        except BaseException:
            sock.close()
            raise
        if connected:
            link.opened(sock)
        else:
            sock.close()
            link.timed_out()
        return
    link.failed(tcp.reason(host, port, errors))


def _connect_one(sock: socket.socket, address: tuple[object, ...], deadline: float | None) -> bool:
    """Connect; False when the deadline passes before it is done."""
    sock.setblocking(False)
    try:
        sock.connect(address)
    except BlockingIOError:
        poll = select.poll()
        poll.register(sock, select.POLLOUT)
        timeout = None if deadline is None else max(0.0, deadline - time.monotonic()) * 1000
        if not poll.poll(timeout):
            return False
        failure = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if failure:
            raise OSError(failure, os.strerror(failure)) from None
    return True
