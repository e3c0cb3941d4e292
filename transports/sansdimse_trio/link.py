"""The link of one trio connection: one task that waits, for bytes or for a deadline, and a step that never does.

Reads and writes go to the socket itself, without waiting; trio only tells when it is ready. So a step may be made
by whoever told the engine something (``kick``), and a task cancelled there leaves no half PDU behind.
"""

from __future__ import annotations

import math
import socket
from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager, suppress
from typing import Any, TypeVar

import trio

from sansdimse.dataset import Instance
from sansdimse.peer.link import Engine, PathLike
from sansdimse.peer.session import Session
from sansdimse_files import open_instance, tcp

T = TypeVar("T")


class Link:
    """One connection. ``wire`` is the outermost engine: that of ``session``, or one around it (TLS, a tap).

    ``session`` is set by whoever made both. Conversations run in ``nursery``; ``limiters`` bound the threads for
    handlers, and those for all else.
    """

    session: Session
    nests = False

    def __init__(
        self, wire: Engine, nursery: trio.Nursery, limiters: tuple[trio.CapacityLimiter, trio.CapacityLimiter]
    ) -> None:
        self._wire = wire
        self._nursery = nursery
        self._for_handlers, self._for_others = limiters
        self._sock: socket.socket | None = None
        self._unwritten: list[memoryview] = []
        self._flushing: list[trio.Event] = []
        self._waiting: trio.CancelScope | None = None  # the driver's wait
        self._waits_for_bytes = False
        self._stepping = self._again = False
        self._blocked = False  # the peer does not take what was written
        self._heard_all = False
        self._broken = False  # nor ever will
        self._is_closed = False
        self.busy = 0
        """Conversations that have not ended."""
        self._idle: trio.Event | None = None

    # ------------------------------------------------------------ sansdimse.peer.link.Link

    def now(self) -> float:
        """The loop's time."""
        return trio.current_time()

    def signal(self) -> trio.Event:
        """A new signal."""
        return trio.Event()

    def spawn(self, conversation: Coroutine[Any, Any, None]) -> trio.CancelScope:
        """Run a conversation beside the others."""
        scope = trio.CancelScope()
        self.busy += 1
        self._nursery.start_soon(self._converse, conversation, scope)
        return scope

    def kick(self) -> None:
        """Do what there is to do now."""
        self._step()

    async def flush(self) -> None:
        """``kick``, and let others have their turn; return when the output is below the high water."""
        self._step()
        session = self.session
        high_water = session.engine.limits.output_high_water
        if session.engine.bytes_unsent < high_water:
            await trio.lowlevel.checkpoint()
        while session.engine.bytes_unsent >= high_water and not session.ended:
            waiting = trio.Event()
            self._flushing.append(waiting)
            await waiting.wait()

    async def call(self, function: Callable[..., T], *args: Any, abandon_on_cancel: bool = False) -> T:
        """Run a function in a worker thread."""
        limiter = self._for_handlers if abandon_on_cancel else self._for_others
        return await trio.to_thread.run_sync(function, *args, abandon_on_cancel=abandon_on_cancel, limiter=limiter)

    def block_on(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """From such a thread: run a coroutine in the loop, to its end."""
        try:
            return trio.from_thread.run(_await, coroutine)
        except (trio.RunFinishedError, trio.Cancelled):  # the run is over, or ends
            coroutine.close()
            self.session.check_alive()
            raise

    def look(self) -> None:
        """Nothing: the loop hears what comes while a handler blocks."""

    def open_instance(self, path: str | PathLike) -> AbstractContextManager[Instance]:
        """Open a DICOM file for sending."""
        return open_instance(path)

    # ------------------------------------------------------------ for associate and serve

    async def run(self, sock: socket.socket) -> None:
        """Drive a connected socket until its association is over; its only reader. The socket is closed then.

        Cancelling does not end it: whoever cancels ends the association first, and an A-ABORT is to go out.
        """
        if self._is_closed or self.session.ended:  # cut by the server, or given up, before this task had its first turn
            sock.close()
            return
        tcp.prepare(sock)
        self._sock = sock
        self._wire.transport_opened(trio.current_time())
        try:
            self._step()
            while not self._is_closed:
                with trio.CancelScope(deadline=self._wakes_at(), shield=True) as self._waiting:
                    if self._reads():
                        self._waits_for_bytes = True
                        with suppress(trio.ClosedResourceError):
                            await trio.lowlevel.wait_readable(sock)
                            self._waits_for_bytes = False
                            self._read(sock)
                    else:
                        await trio.sleep_forever()
                self._waits_for_bytes = False
                self._waiting = None
                self._tell_time()
                self.session.behind = False
                self._step()
        finally:
            self._waiting = None
            self.close()

    def failed(self, error: str) -> None:
        """There is no connection."""
        self._hear_end(error)
        self._step()

    def timed_out(self) -> None:
        """There was none in time."""
        self._wire.handle_timeout(trio.current_time())
        self._step()

    def abort(self) -> None:
        """Abort the association; a connection in its TLS handshake has none, and is closed."""
        self.session.abort()
        if self.session.outcome is None:
            self.close()

    def close(self) -> None:
        """Close the socket. An association that has not ended ends as if the network had cut it."""
        sock, self._sock = self._sock, None
        self._is_closed = True
        if sock is not None:
            trio.lowlevel.notify_closing(sock)
            sock.close()
        if not self.session.ended:
            self._hear_end("the connection was cut")
            self.session.pump()  # all that there is: nobody takes turns for it any more
            self._step()
        if self._waiting is not None:
            self._waiting.cancel()

    async def all_conversed(self) -> None:
        """Return when every conversation has ended."""
        while self.busy:
            self._idle = self._idle or trio.Event()
            await self._idle.wait()

    # ------------------------------------------------------------ the driver

    def _step(self) -> None:
        """Take events, write, and see to reading and the clock, until nothing is left to do."""
        if self._stepping:  # asked for by what a step has called
            self._again = True
            return
        self._stepping = self._again = True
        try:
            while self._again:
                self._again = False
                self.session.pump_some()
                self._write()
        finally:
            self._stepping = False
        session = self.session
        if self._flushing and (session.ended or session.engine.bytes_unsent < session.engine.limits.output_high_water):
            flushing, self._flushing = self._flushing, []
            for waiting in flushing:
                waiting.set()
        if self._wire.wants_close and not self._wire.bytes_unsent and self._sock is not None:
            self.close()
        elif self._waiting is not None:
            self._waiting.deadline = self._wakes_at()
            if self._waits_for_bytes != self._reads():
                self._waiting.cancel()

    def _wakes_at(self) -> float:
        return -math.inf if self.session.behind else self._deadline()

    def _deadline(self) -> float:
        deadline = self._wire.next_timeout()
        return math.inf if deadline is None else deadline

    def _tell_time(self) -> None:
        now = trio.current_time()
        if self._deadline() <= now:
            self._wire.handle_timeout(now)

    def _reads(self) -> bool:
        return not (self._heard_all or self.session.stalled)

    def _read(self, sock: socket.socket) -> None:
        try:
            data = sock.recv(tcp.READ_SIZE)
        except BlockingIOError:
            return
        except OSError as error:
            self._hear_end(error.strerror or str(error))
            return
        if not data:
            self._hear_end(None)
            return
        self._wire.receive_data(data, trio.current_time())
        self._step()
        if self._sock is not None and self._wire.mid_pdu:
            tcp.acknowledge(sock)

    def _hear_end(self, error: str | None) -> None:
        if not self._heard_all:
            self._heard_all = True
            self._wire.receive_eof(trio.current_time(), error)

    def _write(self) -> None:
        """Write what can be written now; whole batches of PDUs in one call."""
        sock, wire, unwritten = self._sock, self._wire, self._unwritten
        if self._blocked:
            return
        if sock is None and not self._is_closed:
            return  # it is being opened
        while True:
            if not unwritten:
                unwritten.extend(map(memoryview, wire.data_to_send(trio.current_time())))
                if not unwritten:
                    return
            if self._broken or sock is None:
                unwritten.clear()
                continue
            try:
                written = sock.sendmsg(unwritten[: tcp.IOV_MAX])
            except BlockingIOError:
                self._blocked = True
                self._nursery.start_soon(self._wait_writable, sock)
                return
            except OSError:
                # The peer is gone or takes no more; what it sent before that is still to be read.
                self._broken = True
                continue
            tcp.forget(unwritten, written)

    async def _wait_writable(self, sock: socket.socket) -> None:
        if self._sock is None:  # closed before this task had its first turn; trio takes no closed socket
            return
        try:
            with trio.CancelScope(shield=True):  # as in ``run``
                await trio.lowlevel.wait_writable(sock)
        except trio.ClosedResourceError:
            return
        self._blocked = False
        self._step()

    # ------------------------------------------------------------ conversations

    async def _converse(self, conversation: Coroutine[Any, Any, None], scope: trio.CancelScope) -> None:
        try:
            with scope:
                await trio.lowlevel.checkpoint_if_cancelled()  # cancelled before it began, it must not begin
                await conversation
        except Exception as error:  # noqa: BLE001 - a mistake of ours that nobody foresaw ends one association only
            self.session.report(error, self.session.address)
            self.session.abort()
        finally:
            conversation.close()  # if it did not begin
            self.busy -= 1
            if not self.busy and self._idle is not None:
                self._idle.set()
                self._idle = None


async def _await(coroutine: Coroutine[Any, Any, T]) -> T:
    return await coroutine
