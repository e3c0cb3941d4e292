"""Makers of our transports, for ``check_link``; and wires over real sockets, with TLS or without."""

from __future__ import annotations

import asyncio
import functools
import select
import socket
import ssl
import struct
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final

import pytest
import trustme
import uvloop

from calling import CallBeside
from running import HOST, running
from sansdimse.testing import Check, Connect, Conversation, Feature, Maker, Wire

uvloop.run(asyncio.sleep(0))  # what it opens once for all loops is no leak of ours

BUFFER: Final = 1 << 16
"""Bytes of our own kernel buffers: small, so that the transport's are what is tried."""


@functools.cache
def tls_contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Of a server, and of a client that trusts it; made once."""
    authority = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(HOST, "localhost").configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    return server, client


class SocketWire:
    """One end of a TCP connection that says bytes as the checker wants them, with TLS or without."""

    def __init__(
        self, sock: socket.socket, patience: float, *, chunk: int = 0, server_side: bool | None = None
    ) -> None:
        """``server_side`` of TLS; None is no TLS."""
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._sock = sock
        self._patience = patience
        self._chunk = chunk or 1 << 18
        self._unsent = bytearray()
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls: ssl.SSLObject | None = None
        self._shaken = False
        if server_side is not None:
            self._tls = tls_contexts()[not server_side].wrap_bio(
                self._incoming, self._outgoing, server_side, None if server_side else HOST
            )

    def send(self, data: bytes, patience: float | None = None) -> None:
        if self._tls is None:
            self._unsent += data
        elif data:
            self._handshake()
            self._tls.write(data)
        self._flush(patience)

    def receive(self, patience: float | None = None) -> bytes:
        if self._tls is None:
            return self._recv(patience)
        self._handshake()
        while True:
            try:
                return self._tls.read(1 << 16)
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLZeroReturnError:
                return b""
            ciphertext = self._recv(patience)
            if not ciphertext:
                return b""
            self._incoming.write(ciphertext)

    def end(self) -> None:
        if self._tls is not None:
            with suppress(ssl.SSLError):  # the peer's close_notify has not come, or there is no TLS yet
                self._tls.unwrap()
        self._flush(None)
        with suppress(OSError):  # the other end may have closed before
            self._sock.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self._sock.close()

    def reset(self) -> None:
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._sock.close()

    def _handshake(self) -> None:
        while self._tls is not None and not self._shaken:
            try:
                self._tls.do_handshake()
                self._shaken = True
                self._flush(None)
            except ssl.SSLWantReadError:
                self._flush(None)
                ciphertext = self._recv(None)
                if not ciphertext:
                    raise ConnectionError("closed in the handshake") from None
                self._incoming.write(ciphertext)

    def _recv(self, patience: float | None) -> bytes:
        self._wait(select.POLLIN, patience)
        return self._sock.recv(1 << 16)

    def _flush(self, patience: float | None) -> None:
        self._unsent += self._outgoing.read()
        while self._unsent:
            self._wait(select.POLLOUT, patience)
            with suppress(BlockingIOError):
                del self._unsent[: self._sock.send(bytes(self._unsent[: self._chunk]))]

    def _wait(self, what: int, patience: float | None) -> None:
        poll = select.poll()
        poll.register(self._sock, what)
        if not poll.poll(1000 * (self._patience if patience is None else patience)):
            raise TimeoutError


class RunningCall(CallBeside):
    """``associate`` that comes to a listener of the checker's."""

    def __init__(self, maker: TransportMaker, conversations: Sequence[Conversation], chunk: int) -> None:
        self._maker = maker
        self._chunk = chunk
        self._wire: Wire | None = None
        self._listener = socket.create_server((HOST, 0))
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
        self._listener.settimeout(maker.patience)
        super().__init__(maker.transport, self._listener.getsockname()[1], conversations, patience=maker.patience)

    @property
    def wire(self) -> Wire:
        if self._wire is None:
            sock, _ = self._listener.accept()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
            self._wire = SocketWire(
                sock, self._maker.patience, chunk=self._chunk, server_side=True if self._maker.tls else None
            )
        return self._wire

    def close(self) -> None:
        self._listener.close()
        if self._wire is not None:
            self._wire.close()
        with suppress(TimeoutError):
            self.results()


class TransportMaker(Maker):
    """One of ours, by name."""

    def __init__(self, transport: str, *, tls: bool = False, patience: float = 30.0) -> None:
        self.transport = transport
        self.tls = tls
        self.patience = patience
        self.name = f"{transport} with TLS" if tls else transport
        self.features = frozenset({Feature.CALLS} | ({Feature.TLS} if tls else set()))
        if transport != "socket":
            self.features |= {Feature.CANCELS, Feature.DRIVES}

    @contextmanager
    def serving(self, service: object, **options: Any) -> Iterator[Connect]:
        if self.tls:
            options["tls"] = tls_contexts()[0]
        with running(self.transport, service, grace=self.patience, **options) as server:

            def connect(*, chunk: int = 0, stranger: bool = False) -> Wire:
                sock = socket.socket()
                for buffer in (socket.SO_RCVBUF, socket.SO_SNDBUF):
                    sock.setsockopt(socket.SOL_SOCKET, buffer, BUFFER)
                sock.settimeout(self.patience)
                sock.connect((HOST, server.port))
                return SocketWire(
                    sock, self.patience, chunk=chunk, server_side=False if self.tls and not stranger else None
                )

            yield connect

    @contextmanager
    def associating(
        self, conversations: Sequence[Conversation], *, chunk: int = 0, **options: Any
    ) -> Iterator[RunningCall]:
        if self.tls:
            options["tls"] = tls_contexts()[1]
        call = RunningCall(self, conversations, chunk)
        call.start(options)
        try:
            yield call
        finally:
            call.close()

    def secured(self) -> Maker | None:
        return None if self.tls else TransportMaker(self.transport, tls=True, patience=self.patience)

    def event(self) -> threading.Event:
        return threading.Event()


TRANSPORTS: Final = ("socket", "asyncio", "uvloop", "trio")
MAKERS: Final = [TransportMaker(name, tls=tls) for name in TRANSPORTS for tls in (False, True)]
"""All of ours, plain and with TLS."""


def all_of(checks: Sequence[Check]) -> pytest.MarkDecorator:
    """Parametrize a test with every transport and each check that makes sense for it."""
    cases = [
        pytest.param(maker, check, id=f"{maker.name}-{check}")
        for maker in MAKERS
        for check in checks
        if check.needs <= maker.features
    ]
    return pytest.mark.parametrize(("maker", "check"), cases)
