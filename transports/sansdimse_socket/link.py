"""The link of one blocking socket: every wait of a conversation drives it.

There is no reader thread: whoever waits, reads, writes and tells the time, in ``drive``. It always
reads while it writes, because two ends that only write stand still for ever.
"""

from __future__ import annotations

import select
import socket
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any, TypeVar

from sansdimse.dataset import Instance
from sansdimse.peer.blocking import run
from sansdimse.peer.link import Engine, PathLike
from sansdimse.peer.session import Session
from sansdimse_files import open_instance, tcp
from sansdimse_socket.job import MOST_NESTED, Job

T = TypeVar("T")


class _Signal:
    """A signal whose ``wait`` drives the socket until it is set."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._set = False

    def set(self) -> None:
        self._set = True

    async def wait(self) -> None:
        self._link.drive(lambda: self._set)


class Link:
    """One socket. ``wire`` is the outermost engine: that of ``session``, or one around it (TLS, a tap).

    ``session`` is set by whoever made both.
    """

    session: Session
    nests = True

    def __init__(self, wire: Engine, *, wake: int | None = None, beside: Link | None = None) -> None:
        """``wake`` is a file descriptor that becomes readable when the association should be aborted.

        ``beside`` is a link that the same thread has to drive meanwhile: that of the C-MOVE which this one is for.
        """
        self.wire = wire
        self.until: float | None = None  # when whoever waits has waited enough
        self.nested = 0  # conversations that run in a wait of another
        self._sock: socket.socket | None = None
        self._wake = wake
        self._beside = beside
        self._jobs: deque[Job] = deque()
        self._unwritten: list[memoryview] = []
        self._eof = False
        self._received = False
        self._broken = False  # the peer takes no more output
        self._poll = select.poll()
        self._watched: dict[int, int] = {}

    # ------------------------------------------------------------ sansdimse.peer.link.Link

    def now(self) -> float:
        """The monotonic time."""
        return time.monotonic()

    def signal(self) -> _Signal:
        """A signal that drives this socket."""
        return _Signal(self)

    def spawn(self, conversation: Coroutine[Any, Any, None]) -> Job:
        """Run a conversation in the next wait."""
        job = Job(self, conversation)
        self._jobs.append(job)
        return job

    def kick(self) -> None:
        """Nothing: the next wait writes and reads whatever there is."""

    async def flush(self) -> None:
        """Drive until the output is below the high water."""
        engine = self.session.engine
        high_water = engine.limits.output_high_water
        if self._sock is not None:
            self.look()  # a peer that takes all we write may have refused it, or gone
        self.drive(lambda: engine.bytes_unsent < high_water)

    async def call(self, function: Callable[..., T], *args: Any, abandon_on_cancel: bool = False) -> T:
        """Call it: this thread is there to block."""
        return function(*args)

    def block_on(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run it: this is the thread that drives."""
        return run(coroutine)

    def look(self) -> None:
        """Read what has come: nobody else does while a handler computes."""
        self._write()
        self._wait(glance=True)
        self.session.pump()

    def open_instance(self, path: str | PathLike) -> AbstractContextManager[Instance]:
        """Open a DICOM file for sending."""
        return open_instance(path)

    @contextmanager
    def within(self, seconds: float | None) -> Iterator[None]:
        """Waits in here raise ``TimeoutError`` when so many seconds have passed; None leaves the bound there is."""
        before = self.until
        if seconds is not None:
            until = time.monotonic() + seconds
            self.until = until if before is None else min(before, until)
        try:
            yield
        finally:
            self.until = before

    # ------------------------------------------------------------ the driver

    def opened(self, sock: socket.socket) -> None:
        """The connection is open; its options are set here."""
        tcp.prepare(sock)
        self._sock = sock
        self.wire.transport_opened(time.monotonic())

    def failed(self, error: str) -> None:
        """There is no connection."""
        self.wire.receive_eof(time.monotonic(), error)
        self.session.pump()

    def timed_out(self) -> None:
        """There was none in time."""
        self.wire.handle_timeout(time.monotonic())
        self.session.pump()

    def drive(self, until: Callable[[], bool]) -> None:
        """Do what the engine wants done until ``until``, or until the association has ended."""
        while True:
            self.session.pump()
            self._acknowledge()
            if until():
                return
            if self._jobs and self.nested < MOST_NESTED:
                self._jobs.popleft().run()
            elif self.session.ended:
                return
            else:
                self._write()
                if until():  # what was waited for was the writing
                    return
                if self.until is not None and time.monotonic() >= self.until:
                    raise TimeoutError("the peer did not answer within the deadline given")
                self._wait()

    def close(self) -> None:
        """Close the socket, and what never began. Output that the peer still takes is written first."""
        if self._sock is not None:
            while self.session.ended and self.wire.bytes_unsent:
                self._write()
                if self._unwritten:
                    self._eof = True
                    self._wait()
            self._sock.close()
            self._sock = None
        while self._jobs:
            self._jobs.popleft().cancel()

    # ------------------------------------------------------------ for whoever drives several: the pool

    def interest(self) -> tuple[int, int, float | None]:
        """What to wait for before there is something to do: descriptor, ``poll`` events, and until when at most."""
        if self._sock is None:
            raise RuntimeError("there is nothing to wait for on a connection that is not open")
        return self._sock.fileno(), self._events(), self.wire.next_timeout()

    def glance(self) -> None:
        """Do what can be done without waiting for the peer: read, write, tell the time, serve what the peer asked."""
        self.look()
        self.drive(lambda: not self._jobs)
        self._write()

    def abort_when(self, wake: int | None) -> None:
        """Abort, in a wait, when this file descriptor is readable; None is none."""
        if self._wake is not None:
            self._watch(self._wake, 0)
        self._wake = wake

    def cut(self) -> None:
        """End the connection from another thread; whoever drives it finds the end of the stream."""
        sock = self._sock
        if sock is not None:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    # ------------------------------------------------------------ how it is done

    def _wait(self, *, glance: bool = False) -> None:
        """Wait for what may happen next, or just look whether something has, and tell the engine."""
        engine, sock = self.wire, self._sock
        if sock is None:
            raise RuntimeError("a conversation waits on a connection that was never opened")
        self._watch(sock.fileno(), self._events())
        if self._wake is not None:
            self._watch(self._wake, select.POLLIN)
        deadline, other = engine.next_timeout(), self._watch_beside()
        first = min((each for each in (deadline, self.until, other) if each is not None), default=None)
        timeout = None if first is None else max(0.0, first - time.monotonic()) * 1000
        try:
            ready = self._poll.poll(0 if glance else timeout)
        except RuntimeError as error:  # Python's own word for it is "concurrent poll() invocation"
            raise RuntimeError("another thread waits on this association; a Pool gives one to each") from error
        for fd, what in ready:
            if fd == self._wake:
                self._watch(self._wake, 0)
                self._wake = None
                self.session.abort()
                if self.session.outcome is None:  # in its TLS handshake there is no association
                    self._eof = True
                    self.failed("shut down during the TLS handshake")
            elif fd == sock.fileno() and what & (select.POLLIN | select.POLLHUP | select.POLLERR) and not self._eof:
                self._read()
        if self._beside is not None:
            self._beside.look()
            if self._beside.session.outcome is not None and self.session.outcome is None:
                self.session.abort()  # nobody waits for what this one is for
        now = time.monotonic()
        if deadline is not None and now >= deadline:
            engine.handle_timeout(now)

    def _watch_beside(self) -> float | None:
        """Wait for the other link as well; until when at most."""
        if self._beside is None or self._beside._sock is None:
            return None
        fd, wanted, until = self._beside.interest()
        self._watch(fd, wanted)
        return until

    def _events(self) -> int:
        reading = 0 if self._eof or self.session.stalled else select.POLLIN
        return reading | (select.POLLOUT if self._unwritten else 0)

    def _watch(self, fd: int, wanted: int) -> None:
        if self._watched.get(fd, 0) == wanted:
            return
        if wanted:
            self._poll.register(fd, wanted)
        else:
            self._poll.unregister(fd)
        self._watched[fd] = wanted

    def _read(self) -> None:
        error: str | None = None
        try:
            data = self._sock.recv(tcp.READ_SIZE) if self._sock is not None else b""
        except BlockingIOError:
            return
        except OSError as failure:
            data, error = b"", failure.strerror or str(failure)
        if data:
            self.wire.receive_data(data, time.monotonic())
            self._received = True
        else:
            self._eof = True
            self.wire.receive_eof(time.monotonic(), error)

    def _acknowledge(self) -> None:
        if self._received and self._sock is not None and self.wire.mid_pdu:
            tcp.acknowledge(self._sock)
        self._received = False

    def _write(self) -> None:
        """Write what can be written now; whole batches of PDUs in one call."""
        sock, engine = self._sock, self.wire
        while True:
            self._unwritten = self._unwritten or [memoryview(each) for each in engine.data_to_send(time.monotonic())]
            if not self._unwritten:
                return
            if self._broken or sock is None:
                self._unwritten.clear()
                continue
            try:
                written = sock.sendmsg(self._unwritten[: tcp.IOV_MAX])
            except BlockingIOError:
                return
            except OSError:
                self._broken = True  # it takes no more; what it sent before that is still to be read
            else:
                tcp.forget(self._unwritten, written)
