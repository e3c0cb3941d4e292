"""``serve`` on a listening socket: one thread accepts, one thread per association serves."""

from __future__ import annotations

import os
import select
import socket
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import Any, Final

from sansdimse import (
    DEFAULT,
    Acceptor,
    Association,
    AsynchronousOperationsWindow,
    Limits,
    Outcome,
    PresentationContext,
    Profile,
)
from sansdimse.admission import Admission, Budget
from sansdimse.peer import scp
from sansdimse.peer.blocking import run
from sansdimse.peer.handlers import check_service
from sansdimse.peer.session import Report, Session
from sansdimse.ul.parties import Extended
from sansdimse.ul.pdu import AAssociateAC, AAssociateRJ
from sansdimse_files import log_report
from sansdimse_socket.link import Link

_ACCEPT_PAUSE: Final = 500
"""Milliseconds without accepting when the system is out of descriptors: it would only fail again."""
_ABORT_GRACE: Final = 3.0
"""Seconds that peers have to take an A-ABORT before their connections are cut."""

IDLE: Final = 600.0
"""Seconds after which an association with nothing outstanding is aborted, by default: a client that went
without a word would hold its place for ever."""

OnEnd = Callable[[Association, str, Outcome], object]
"""Told of each association's end: the engine with all that it knows, the peer's address, the outcome."""


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
        service: object,
        config: Acceptor,
        *,
        budget: Budget,
        report: Report,
        on_end: OnEnd | None,
    ) -> None:
        self._listener = listener
        self.host: str
        """The address listened on."""
        self.port: int
        """The port listened on: useful if 0 was asked for."""
        self.host, self.port, *_ = listener.getsockname()
        self._service = service
        self._config = config
        self._report = report
        self._on_end = on_end
        self._admission: Admission[_Connection] = Admission(budget)
        self._lock = threading.Lock()
        self._connections: set[_Connection] = set()
        self._stop_accepting, self._accepting = os.pipe()  # the second's end is the first's readiness
        self._aborting, self._serving = os.pipe()
        self._closed = threading.Event()
        self._accepter = threading.Thread(target=self._accept, name="sansdimse accept", daemon=True)
        self._accepter.start()

    @property
    def associations(self) -> int:
        """How many associations are established, or are being."""
        with self._lock:
            return self._admission.associations

    def wait_closed(self, timeout: float | None = None) -> bool:
        """Wait until somebody closed the server; False if ``timeout`` seconds passed before."""
        return self._closed.wait(timeout)

    def close(self, grace: float = 10.0) -> None:
        """Stop accepting, let associations end within ``grace`` seconds, then abort them. Idempotent."""
        with self._lock:
            first = not self._admission.closing
            self._admission.closing = True
        if not first:
            self._closed.wait()
            return
        os.close(self._accepting)
        self._accepter.join()
        self._listener.close()
        self._join(grace)
        os.close(self._serving)  # every driver wakes and aborts
        self._join(_ABORT_GRACE)
        for connection in self._snapshot():
            connection.cut()
        self._join(_ABORT_GRACE)
        for connection in self._snapshot():  # only a handler that never returns is left
            self._report(TimeoutError("the handler did not return"), connection.address)
        os.close(self._stop_accepting)
        self._closed.set()
        self._close_when_empty()

    def _snapshot(self) -> list[_Connection]:
        with self._lock:
            return list(self._connections)

    def _join(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        for connection in self._snapshot():
            connection.thread.join(max(0.0, deadline - time.monotonic()))

    # ------------------------------------------------------------ the threads

    def _accept(self) -> None:
        self._listener.setblocking(False)
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
                self._report(error, "accept")
                if stopped.poll(_ACCEPT_PAUSE):
                    return
                continue
            self._start(_Connection(self, sock, _text(address)))

    def _start(self, connection: _Connection) -> None:
        with self._lock:
            self._connections.add(connection)
            oldest = self._admission.opened(connection)
        if oldest is not None:
            oldest.cut()
        try:
            connection.thread.start()
        except RuntimeError as error:  # the system has no thread left
            self._report(error, connection.address)
            connection.sock.close()
            self._forget(connection)

    def _forget(self, connection: _Connection) -> None:
        with self._lock:
            self._connections.discard(connection)
            self._admission.closed(connection)
        self._close_when_empty()

    def _close_when_empty(self) -> None:
        """The descriptor that drivers watch goes with the last of them, which may outlive ``close``."""
        with self._lock:
            if self._closed.is_set() and not self._connections and self._aborting >= 0:
                os.close(self._aborting)
                self._aborting = -1

    def run_connection(self, connection: _Connection) -> None:
        """Serve one connection to its end; the body of its thread."""
        engine = Association(self._config, now=time.monotonic())
        link = Link(engine, wake=self._aborting)
        session = link.session = Session(
            engine,
            link,
            address=connection.address,
            serve=partial(scp.serve, self._service),
            decide=partial(self._decide, connection),
            report=self._report,
        )
        try:
            link.opened(connection.sock)
            outcome = self._serve_to_the_end(session)
            link.close()
            if self._on_end is not None:
                self._on_end(engine, connection.address, outcome)
        except Exception as error:  # noqa: BLE001 - a thread must not die silently: whatever it is, it is told
            self._report(error, connection.address)
        finally:
            link.close()
            connection.sock.close()
            self._forget(connection)

    def _serve_to_the_end(self, session: Session) -> Outcome:
        """A mistake of ours that nobody foresaw ends the association as an abort, not as a bare close."""
        try:
            return run(session.end())
        except Exception as error:  # noqa: BLE001 - whatever it is, the peer is told to give up
            self._report(error, session.address)
            session.abort()
            return run(session.end())

    def _decide(self, connection: _Connection, engine: Association) -> AAssociateAC | AAssociateRJ:
        proposed = engine.proposed_answer()
        with self._lock:
            return self._admission.requested(connection, proposed)


def _text(address: tuple[Any, ...]) -> str:
    """An address as people write it: IPv6 in brackets, IPv4 as such."""
    host, port, *_ = address
    host = host.removeprefix("::ffff:") if "." in host else host  # IPv4, over a socket for both
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


@contextmanager
def serve(
    host: str,
    port: int,
    service: object,
    *,
    ae_title: str = "SANSDIMSE",
    supports: Sequence[PresentationContext | str],
    any_storage: bool = False,
    require_called: bool = False,
    allowed_calling: Collection[str] | None = None,
    prefer: tuple[str, ...] = (),
    maximum_length: int = 131072,
    window: AsynchronousOperationsWindow | None = None,
    extended: Mapping[str, Extended] | None = None,
    budget: Budget | None = None,
    limits: Limits | None = None,
    profile: Profile = DEFAULT,
    grace: float = 10.0,
    report: Report = log_report,
    on_end: OnEnd | None = None,
) -> Iterator[Server]:
    """Listen and let ``service`` answer; leaving closes the server (``Server.close`` with ``grace``).

    ``host`` "0.0.0.0" is every IPv4 address of this machine, "::" the IPv6 ones besides; port 0 takes a free one: see
    ``Server.port``. ``supports`` are the SOP classes offered, ``any_storage`` takes whatever looks like storage
    besides. ``require_called`` rejects requests for another title than ``ae_title``, ``allowed_calling`` those of
    other requestors. The default ``limits`` are those of ``Limits``, with ``idle`` at ten minutes. Raises ``OSError``
    if the address cannot be listened on, ``TypeError`` if the service lacks a method for what it offers.
    """
    config = Acceptor(
        ae_title,
        supports,
        require_called=require_called,
        allowed_calling=None if allowed_calling is None else frozenset(allowed_calling),
        prefer=prefer,
        any_storage=any_storage,
        maximum_length=maximum_length,
        window=window or AsynchronousOperationsWindow(1, 1),
        extended=extended or {},
        limits=limits or replace(Limits(), idle=IDLE),
        profile=profile,
    )
    offered = [each if isinstance(each, str) else each.abstract_syntax for each in supports]
    check_service(service, offered, any_storage=any_storage)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    both = host == "::" and socket.has_dualstack_ipv6()
    listener = socket.create_server((host, port), family=family, backlog=256, dualstack_ipv6=both)
    server = Server(listener, service, config, budget=budget or Budget(), report=report, on_end=on_end)
    try:
        yield server
    except BaseException:
        server.close(0)
        raise
    server.close(grace)
