"""``serve`` on a listening socket: one thread accepts, one thread per association serves."""

from __future__ import annotations

import os
import select
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Final, Unpack

from sansdimse import Outcome
from sansdimse.peer.blocking import run
from sansdimse.peer.host import Host, ServeOptions
from sansdimse.peer.options import check_options
from sansdimse.peer.session import Session
from sansdimse_files import log_report, new_uid, tcp
from sansdimse_files.wiring import check_server_context, wire
from sansdimse_socket.client import opened_from
from sansdimse_socket.link import Link

_ACCEPT_PAUSE: Final = 500
"""Milliseconds without accepting when the system is out of descriptors: it would only fail again."""


class _Connection:
    """One accepted socket and the thread that serves it."""

    def __init__(self, server: Server, sock: socket.socket, address: str) -> None:
        self.sock = sock
        self.address = address
        self.thread = threading.Thread(
            target=server.run_connection, args=(self,), name=f"sansdimse {address}", daemon=True
        )

    def cut(self) -> None:
        """End the connection from another thread; its own thread finds the end of the stream."""
        with suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)


class Server:
    """A listening server; made by ``serve``."""

    def __init__(
        self,
        listener: socket.socket,
        host: Host[_Connection],
        lock: threading.Lock,
        tls: ssl.SSLContext | None,
    ) -> None:
        self._listener = listener
        self.host: str
        """The address listened on."""
        self.port: int
        """The port listened on: useful if 0 was asked for."""
        self.host, self.port, *_ = listener.getsockname()
        self._host = host
        self._lock = lock
        self._tls = tls
        self._stop_accepting, self._accepting = os.pipe()  # the second's end is the first's readiness
        self._aborting, self._serving = os.pipe()
        self._closed = threading.Event()
        self._accepter = threading.Thread(target=self._accept, name="sansdimse accept", daemon=True)
        self._accepter.start()

    @property
    def associations(self) -> int:
        """How many associations are established, or are being."""
        return self._host.associations

    @property
    def pending(self) -> int:
        """How many connections have no association: no complete request yet, or a rejected one."""
        return self._host.pending

    def wait_closed(self, timeout: float | None = None) -> bool:
        """Wait until somebody closed the server; False if ``timeout`` seconds passed before."""
        return self._closed.wait(timeout)

    def close(self, grace: float = 10.0) -> None:
        """Stop accepting, let associations end within ``grace`` seconds, then abort them. Idempotent."""
        if not self._host.close():
            self._closed.wait()
            return
        os.close(self._accepting)
        self._accepter.join()
        self._listener.close()
        for seconds in self._host.ending(grace, lambda connection: self._abort_all(), _Connection.cut):
            deadline = time.monotonic() + seconds
            for connection in self._host.connections:
                connection.thread.join(max(0.0, deadline - time.monotonic()))
        self._abort_all()
        os.close(self._stop_accepting)
        self._closed.set()
        self._close_when_empty()

    def _abort_all(self) -> None:
        """Every driver wakes and aborts."""
        if self._serving >= 0:
            os.close(self._serving)
            self._serving = -1

    # ------------------------------------------------------------ the threads

    def _accept(self) -> None:
        poll = select.poll()
        poll.register(self._stop_accepting, select.POLLIN)
        stopped = select.poll()
        stopped.register(self._stop_accepting, select.POLLIN)
        poll.register(self._listener, select.POLLIN)
        while True:
            if any(fd == self._stop_accepting for fd, _ in poll.poll()):
                return
            try:
                sock, address = self._listener.accept()
            except (BlockingIOError, ConnectionError):
                continue  # it left before we looked
            except OSError as error:
                self._host.report(error, "accept")
                if stopped.poll(_ACCEPT_PAUSE):
                    return
                continue
            self._start(_Connection(self, sock, tcp.text(address)))

    def _start(self, connection: _Connection) -> None:
        oldest = self._host.opened(connection, connection.address)
        if oldest is not None:
            self._host.cut(oldest.address)
            oldest.cut()
        try:
            connection.thread.start()
        except RuntimeError as error:  # the system has no thread left
            self._host.report(error, connection.address)
            connection.sock.close()
            self._forget(connection)

    def _forget(self, connection: _Connection) -> None:
        self._host.closed(connection)
        self._close_when_empty()

    def _close_when_empty(self) -> None:
        """The descriptor that drivers watch goes with the last of them, which may outlive ``close``."""
        nobody_left = not self._host.connections
        with self._lock:
            if self._closed.is_set() and nobody_left and self._aborting >= 0:
                os.close(self._aborting)
                self._aborting = -1

    def run_connection(self, connection: _Connection) -> None:
        """Serve one connection to its end; the body of its thread."""
        now = time.monotonic()
        engine = self._host.engine(now)
        line = wire(engine, self._tls, server_side=True, deadline=now + self._host.limits.artim)
        link = Link(line.engine, wake=self._aborting)
        session = link.session = self._host.session(
            connection, engine, link, connection.address, line.certificate, partial(opened_from, link)
        )
        try:
            link.opened(connection.sock)
            self._serve_to_the_end(session)
        except Exception as error:  # noqa: BLE001 - a thread must not die silently: whatever it is, it is told
            self._host.report(error, connection.address)
        finally:
            link.close()
            connection.sock.close()
            self._forget(connection)

    def _serve_to_the_end(self, session: Session) -> Outcome:
        """A mistake of ours that nobody foresaw ends the association as an abort, not as a bare close."""
        try:
            return run(session.end())
        except Exception as error:  # noqa: BLE001 - whatever it is, the peer is told to give up
            self._host.report(error, session.address)
            session.abort()
            return run(session.end())


@contextmanager
def serve(
    host: str,
    port: int,
    service: object,
    *,
    tls: ssl.SSLContext | None = None,
    grace: float = 10.0,
    **options: Unpack[ServeOptions],
) -> Iterator[Server]:
    """Listen and let ``service`` answer; leaving closes the server (``Server.close`` with ``grace``).

    The options are those of ``sansdimse.peer.host.ServeOptions``. ``host`` "0.0.0.0" is every IPv4 address of this
    machine, "::" the IPv6 ones besides; port 0 takes a free one: see ``Server.port``. ``tls`` makes it TLS. Raises
    ``OSError`` if the address cannot be listened on, ``TypeError`` if the service lacks a method for what it offers,
    ``ssl.SSLError`` for a client's context.
    """
    check_options("serve()", options, ServeOptions, needed="supports")
    options.setdefault("report", log_report)
    options.setdefault("new_uid", new_uid)
    check_server_context(tls)
    lock = threading.Lock()
    server_host: Host[_Connection] = Host(service, lock=lock, **options)
    server = Server(tcp.listen(host, port), server_host, lock, tls)
    try:
        yield server
    except BaseException:
        server.close(0)
        raise
    server.close(grace)
