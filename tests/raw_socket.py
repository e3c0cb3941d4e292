"""The other end of a real connection, of which the test says every byte; blocking, with a deadline."""

from __future__ import annotations

import gc
import os
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any, Final

from engine_pair import acceptor, read, requestor
from sansdimse.ul.negotiation import answer, propose
from sansdimse.ul.parties import Acceptor, Requestor
from sansdimse.ul.pdu import AAssociateRQ, Pdu

HOST: Final = "127.0.0.1"
PATIENCE: Final = 30.0
"""Seconds until what must happen counts as failed; only a failing test waits so long."""


class RawSocket:
    """A connected socket that speaks in PDUs."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        sock.settimeout(PATIENCE)

    def send(self, *parts: bytes | Pdu) -> None:
        for part in parts:
            self.sock.sendall(part if isinstance(part, bytes) else part.encode())

    def pdu(self) -> bytes:
        """One whole PDU; empty at the end of the stream."""
        head = self._exactly(6)
        return head and head + self._exactly(struct.unpack(">I", head[2:6])[0])

    def said(self) -> Any:
        """One whole PDU or message: what ``engine_pair.read`` makes of it."""
        return read(self.pdu())[0]

    def data_set(self) -> bytes:
        """A whole data set, sent in PDUs of one fragment each."""
        data = bytearray()
        while True:
            pdu = self.pdu()
            assert pdu[0] == 4
            assert not pdu[11] & 1, "a fragment of a data set"
            data += pdu[12:]
            if pdu[11] & 2:
                return bytes(data)

    def rest(self) -> bytes:
        """All that still comes, until the other end closes."""
        data = bytearray()
        while piece := self.sock.recv(1 << 16):
            data += piece
        return bytes(data)

    def accept(self, config: Acceptor | None = None) -> AAssociateRQ:
        """Answer an association request."""
        (request,) = read(self.pdu())
        assert isinstance(request, AAssociateRQ)
        self.send(answer(config or acceptor(), request))
        return request

    def request(self, config: Requestor | None = None) -> Any:
        """Ask for an association; what is answered."""
        self.send(propose(config or requestor()))
        return self.said()

    def reset(self) -> None:
        """Close with RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def _exactly(self, size: int) -> bytes:
        data = bytearray()
        while len(data) < size:
            piece = self.sock.recv(min(1 << 16, size - len(data)))
            if not piece:
                assert not data, "the stream ends in the middle of a PDU"
                return b""
            data += piece
        return bytes(data)


@contextmanager
def connected(port: int, host: str = HOST) -> Iterator[RawSocket]:
    """A raw client."""
    with socket.create_connection((host, port), timeout=PATIENCE) as sock:
        yield RawSocket(sock)


@contextmanager
def scripted(script: Callable[[RawSocket], object], *, receive_buffer: int | None = None) -> Iterator[int]:
    """A raw server for one connection, in a thread; its port. What fails in the script fails the test."""
    errors: list[BaseException] = []
    with closing(socket.create_server((HOST, 0))) as listener:
        listener.settimeout(PATIENCE)
        if receive_buffer is not None:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)

        def serve() -> None:
            try:
                sock, _ = listener.accept()
                with sock:
                    script(RawSocket(sock))
            except BaseException as error:
                errors.append(error)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            thread.join(PATIENCE)
            assert not thread.is_alive(), "the script never came to its end"
            if errors:
                raise errors[0]


@contextmanager
def nothing_leaks() -> Iterator[None]:
    """No thread and no descriptor more afterwards."""
    gc.collect()
    threads, descriptors = set(threading.enumerate()), sorted(os.listdir("/proc/self/fd"))
    yield
    gc.collect()
    for thread in set(threading.enumerate()) - threads:
        if thread.name.startswith("Trio thread "):
            continue  # it is idle: trio keeps such for ten seconds, and names those that work after their work
        thread.join(PATIENCE)
        assert not thread.is_alive(), thread.name
    assert sorted(os.listdir("/proc/self/fd")) == descriptors
