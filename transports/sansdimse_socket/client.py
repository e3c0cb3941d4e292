"""``associate`` over a blocking socket."""

from __future__ import annotations

import os
import select
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Final

from sansdimse import (
    DEFAULT,
    Association,
    AsynchronousOperationsWindow,
    CommonExtendedNegotiation,
    ExtendedNegotiation,
    Limits,
    PresentationContext,
    Profile,
    Requestor,
    UserIdentityRQ,
)
from sansdimse.peer import scp
from sansdimse.peer.blocking import BlockingPeer, run
from sansdimse.peer.handlers import check_service
from sansdimse.peer.scu import Peer
from sansdimse.peer.session import Report, Session
from sansdimse_files import log_report
from sansdimse_socket.link import Link, Tap

LINGER: Final = 3.0
"""Seconds that a requestor waits for the peer to close after an abort (its ARTIM, PS3.8 9.1.4)."""


@contextmanager
def associate(
    host: str,
    port: int,
    *,
    calling: str = "SANSDIMSE",
    called: str = "ANY-SCP",
    contexts: Sequence[PresentationContext | str],
    maximum_length: int = 131072,
    window: AsynchronousOperationsWindow | None = None,
    extended: tuple[ExtendedNegotiation, ...] = (),
    common_extended: tuple[CommonExtendedNegotiation, ...] = (),
    user_identity: UserIdentityRQ | None = None,
    service: object | None = None,
    source_address: tuple[str, int] | None = None,
    limits: Limits | None = None,
    profile: Profile = DEFAULT,
    report: Report = log_report,
    tap: Tap | None = None,
) -> Iterator[BlockingPeer]:
    """Open an association and give its ``Peer``; leaving releases it, leaving by an exception aborts it.

    ``contexts`` are SOP class UIDs or ``PresentationContext`` values (see ``sansdimse.ul.plan``). ``service``
    serves what the peer invokes on this association, in the contexts with ``scp=True``; ``tap`` sees the bytes
    that pass both ways. Raises ``AssociationLost`` if there is no association: its ``outcome`` says whether the
    peer was not reached, rejected it, or was silent; ``LocalProtocolError`` for a proposal that the standard
    does not allow, ``TypeError`` if the service lacks a method for what it is to serve.
    """
    config = Requestor(
        calling,
        called,
        contexts,
        maximum_length=maximum_length,
        window=window,
        extended=extended,
        common_extended=common_extended,
        user_identity=user_identity,
        limits=limits or replace(Limits(), artim=LINGER),
        profile=profile,
    )
    if service is not None:
        check_service(service, [context.abstract_syntax for context in config.presentation_contexts if context.scp])
    engine = Association(config, now=time.monotonic())
    link = Link(engine, tap=tap)
    serve = None if service is None else partial(scp.serve, service)
    session = link.session = Session(engine, link, address=f"{host}:{port}", serve=serve, report=report)
    try:
        _connect(link, host, port, source_address)
        try:
            run(session.established())
            peer = BlockingPeer(Peer(session))
            yield peer
            peer.release()
        except BaseException:
            engine.abort()
            run(session.end())
            raise
    finally:
        link.close()


def _connect(link: Link, host: str, port: int, source_address: tuple[str, int] | None) -> None:
    """Try the host's addresses one after the other until one answers or the engine's deadline passes."""
    errors = []
    try:
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        addresses = []
        errors.append(f"{host}: {getattr(error, 'strerror', None) or error}")
    for family, kind, protocol, _, address in addresses:
        sock = socket.socket(family, kind, protocol)
        try:
            if source_address is not None:
                sock.bind(source_address)
            connected = _connect_one(sock, address, link.engine.next_timeout())
        except OSError as error:
            sock.close()
            errors.append(f"{host} port {port}: {error.strerror or error}")
            continue
        except BaseException:
            sock.close()
            raise
        if connected:
            link.opened(sock)
        else:
            sock.close()
            link.engine.handle_timeout(time.monotonic())
            link.session.pump()
        return
    link.engine.receive_eof(time.monotonic(), "; ".join(errors))
    link.session.pump()


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
