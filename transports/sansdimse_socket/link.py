"""The link of one blocking socket: every wait of a conversation drives it.

There is no reader thread: whoever waits, reads, writes and tells the time, in ``drive``. It always
reads while it writes, because two ends that only write stand still for ever.
"""

from __future__ import annotations

import select
import socket
import time
from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager
from typing import Any, Final, TypeVar

from sansdimse import Association, Side
from sansdimse.dataset import Instance
from sansdimse.peer.blocking import run
from sansdimse.peer.link import PathLike
from sansdimse.peer.session import Session
from sansdimse_files import open_instance

T = TypeVar("T")

READ_SIZE: Final = 256 * 1024
_IOV_MAX: Final = 512
_QUICKACK: Final[int | None] = getattr(socket, "TCP_QUICKACK", None)

Tap = Callable[[Side, bytes | memoryview, float], object]
"""Told of the bytes that pass, before they do: whose they are, the bytes, and the monotonic time."""


def prepare(sock: socket.socket) -> None:
    """The options of every connection: no delay, keepalive against silent firewalls, non-blocking."""
    sock.setblocking(False)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)


class _Signal:
    """A signal whose ``wait`` drives the socket until it is set."""

    __slots__ = ("_link", "_set")

    def __init__(self, link: Link) -> None:
        self._link = link
        self._set = False

    def set(self) -> None:
        self._set = True

    async def wait(self) -> None:
        self._link.drive(lambda: self._set)


class _Job:
    """A conversation to run in the next wait."""

    __slots__ = ("_conversation", "_link")

    def __init__(self, link: Link, conversation: Coroutine[Any, Any, None]) -> None:
        self._link = link
        self._conversation: Coroutine[Any, Any, None] | None = conversation

    def run(self) -> None:
        """Run it to its end, if nobody cancelled it. That it awaited what only a loop gives, is its handler's error."""
        conversation, self._conversation = self._conversation, None
        if conversation is not None:
            try:
                run(conversation)
            except RuntimeError as error:
                self._link.session.report(error, "a handler")

    def cancel(self) -> None:
        """Keep it from beginning; one that runs learns of the association's end where it waits."""
        conversation, self._conversation = self._conversation, None
        if conversation is not None:
            conversation.close()


class Link:
    """One socket and its engine; ``session`` is set by whoever made both."""

    session: Session

    def __init__(
        self,
        engine: Association,
        *,
        wake: int | None = None,
        tap: Tap | None = None,
    ) -> None:
        """``wake`` is a file descriptor that becomes readable when the association should be aborted."""
        self.engine = engine
        self._tap = tap
        self._sock: socket.socket | None = None
        self._wake = wake
        self._jobs: deque[_Job] = deque()
        self._unwritten: deque[memoryview] = deque()
        self._eof = False
        self._received = False
        self._broken = False  # the peer takes no more output
        self._poll = select.poll()
        self._watched: dict[int, int] = {}

    # ------------------------------------------------------------ sansdimse.peer.link.Link

    def signal(self) -> _Signal:
        """A signal that drives this socket."""
        return _Signal(self)

    def spawn(self, conversation: Coroutine[Any, Any, None]) -> _Job:
        """Run a conversation in the next wait."""
        job = _Job(self, conversation)
        self._jobs.append(job)
        return job

    def kick(self) -> None:
        """Nothing: the next wait writes and reads whatever there is."""

    async def flush(self) -> None:
        """Drive until the output is below the high water."""
        high_water = self.engine.limits.output_high_water
        if self._sock is not None:
            self._write()
            self._wait(glance=True)  # a peer that takes all we write may have refused it, or gone
        self.drive(lambda: self.engine.bytes_unsent < high_water)

    async def call(self, function: Callable[..., T], *args: Any) -> T:
        """Call it: this thread is there to block."""
        return function(*args)

    def block_on(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run it: this is the thread that drives."""
        return run(coroutine)

    def open_instance(self, path: str | PathLike) -> AbstractContextManager[Instance]:
        """Open a DICOM file for sending."""
        return open_instance(path)

    # ------------------------------------------------------------ the driver

    def opened(self, sock: socket.socket) -> None:
        """The connection is open; its options are set here."""
        prepare(sock)
        self._sock = sock
        self.engine.transport_opened(time.monotonic())

    def drive(self, until: Callable[[], bool]) -> None:
        """Do what the engine wants done until ``until``, or until the association has ended."""
        while True:
            self.session.pump()
            self._acknowledge()
            if until():
                return
            if self._jobs:
                self._jobs.popleft().run()
            elif self.session.ended:
                return
            else:
                self._write()
                if until():  # what was waited for was the writing
                    return
                self._wait()

    def close(self) -> None:
        """Close the socket, and what never began. Output that the peer still takes is written first."""
        if self._sock is not None:
            while self.session.ended and self.engine.bytes_unsent:
                self._write()
                if self._unwritten:
                    self._eof = True
                    self._wait()
            self._sock.close()
            self._sock = None
        while self._jobs:
            self._jobs.popleft().cancel()

    def _wait(self, *, glance: bool = False) -> None:
        """Wait for what may happen next, or just look whether something has, and tell the engine."""
        engine, sock = self.engine, self._sock
        if sock is None:
            raise RuntimeError("a conversation waits on a connection that was never opened")
        wanted = 0 if self._eof or self.session.stalled else select.POLLIN
        if self._unwritten:
            wanted |= select.POLLOUT
        self._watch(sock.fileno(), wanted)
        if self._wake is not None:
            self._watch(self._wake, select.POLLIN)
        deadline = engine.next_timeout()
        timeout = None if deadline is None else max(0.0, deadline - time.monotonic()) * 1000
        for fd, what in self._poll.poll(0 if glance else timeout):
            if fd == self._wake:
                self._watch(self._wake, 0)
                self._wake = None
                self.session.abort()
            elif what & (select.POLLIN | select.POLLHUP | select.POLLERR) and not self._eof:
                self._read()
        now = time.monotonic()
        if deadline is not None and now >= deadline:
            engine.handle_timeout(now)

    def _watch(self, fd: int, wanted: int) -> None:
        if self._watched.get(fd, 0) == wanted:
            return
        if wanted:
            self._poll.register(fd, wanted)
        else:
            self._poll.unregister(fd)
        self._watched[fd] = wanted

    def _read(self) -> None:
        sock, engine = self._sock, self.engine
        if sock is None:
            return
        try:
            data = sock.recv(READ_SIZE)
        except BlockingIOError:
            return
        except OSError as error:
            self._eof = True
            engine.receive_eof(time.monotonic(), error.strerror or str(error))
            return
        now = time.monotonic()
        if not data:
            self._eof = True
            engine.receive_eof(now)
            return
        if self._tap is not None:
            self._tap(Side.PEER, data, now)
        engine.receive_data(data, now)
        self._received = True

    def _acknowledge(self) -> None:
        """Let the kernel acknowledge at once: DCMTK writes 12 bytes of header, and the rest when they are."""
        if not self._received:
            return
        self._received = False
        if _QUICKACK is not None and self._sock is not None and self.engine.mid_pdu:
            self._sock.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)

    def _write(self) -> None:
        """Write what can be written now; whole batches of PDUs in one call."""
        sock, engine = self._sock, self.engine
        while True:
            if not self._unwritten:
                now = time.monotonic()
                self._unwritten.extend(map(memoryview, engine.data_to_send(now)))
                if not self._unwritten:
                    return
                if self._tap is not None:
                    for buffer in self._unwritten:
                        self._tap(Side.LOCAL, buffer, now)
            if self._broken or sock is None:
                self._unwritten.clear()
                continue
            batch = [self._unwritten[i] for i in range(min(_IOV_MAX, len(self._unwritten)))]
            try:
                written = sock.sendmsg(batch)
            except BlockingIOError:
                return
            except OSError:
                # The peer is gone or takes no more; what it sent before that is still to be read.
                self._broken = True
                continue
            self._forget(written)

    def _forget(self, written: int) -> None:
        unwritten = self._unwritten
        while written:
            head = unwritten[0]
            if written < len(head):
                unwritten[0] = head[written:]
                return
            written -= len(head)
            unwritten.popleft()
