"""The link of one asyncio connection: a ``Protocol``, since streams reach a quarter of its rate.

Everything happens in ``_step``, which whoever tells the engine something calls: the loop when bytes come or a
deadline passes, and conversations by ``kick``. It never waits, so that a task cancelled in it leaves no half PDU.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from concurrent import futures
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, Final, TypeVar, cast

from sansdimse.dataset import Instance
from sansdimse.peer.link import Engine, PathLike
from sansdimse.peer.session import Session
from sansdimse_asyncio.workers import Workers
from sansdimse_files import open_instance, tcp

T = TypeVar("T")

_GLANCE: Final = 1.0
"""Seconds after which a thread that waits for the loop looks whether there still is one."""


class Link(asyncio.Protocol):
    """One connection. ``wire`` is the outermost engine: that of ``session``, or one around it (TLS, a tap).

    ``session`` is set by whoever made both. ``gone`` is called when the connection is closed and every
    conversation has ended.
    """

    session: Session
    nests = False

    def __init__(self, wire: Engine, workers: Workers, *, gone: Callable[[], object] = lambda: None) -> None:
        self._loop = asyncio.get_running_loop()
        self._wire = wire
        self._workers = workers
        self._gone = gone
        self._transport: asyncio.Transport | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._flushing: list[asyncio.Future[None]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._turn: asyncio.Handle | None = None
        self._wakes_at = 0.0
        self._stepping = self._again = False
        self._blocked = False  # the peer does not take what was written
        self._heard_all = False
        self._is_gone = False
        self._closing: asyncio.Event | None = None

    # ------------------------------------------------------------ sansdimse.peer.link.Link

    def now(self) -> float:
        """The loop's time."""
        return self._loop.time()

    def signal(self) -> asyncio.Event:
        """A new signal. Raises ``RuntimeError`` in another loop than that of the connection, which would set it."""
        if asyncio.get_running_loop() is not self._loop:
            raise RuntimeError("this association belongs to another event loop: use it in the one that opened it")
        return asyncio.Event()

    def spawn(self, conversation: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run a conversation beside the others; never at once, as an eager task would, in the middle of a step."""
        task = asyncio.Task(self._conversation(conversation), loop=self._loop)
        self._tasks.add(task)
        task.add_done_callback(partial(self._conversed, conversation))
        return task

    def kick(self) -> None:
        """Do what there is to do now."""
        self._step()

    async def flush(self) -> None:
        """``kick``, and let others have their turn; return when the output is below the high water."""
        self._step()
        session = self.session
        high_water = session.engine.limits.output_high_water
        if session.engine.bytes_unsent < high_water:
            await asyncio.sleep(0)
        while session.engine.bytes_unsent >= high_water and not session.ended:
            waiting = self._loop.create_future()
            self._flushing.append(waiting)
            await waiting

    async def call(self, function: Callable[..., T], *args: Any, abandon_on_cancel: bool = False) -> T:
        """Run a function in a worker thread."""
        return await self._workers.call(function, args, abandon_on_cancel=abandon_on_cancel)

    def block_on(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """From such a thread: run a coroutine in the loop, to its end."""
        try:
            future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        except RuntimeError:  # the loop is closed
            coroutine.close()
            self.session.check_alive()
            raise
        while True:
            try:
                return future.result(_GLANCE)
            except futures.CancelledError:  # the loop ends
                self.session.check_alive()
                raise
            except TimeoutError:
                if future.done():  # it was the coroutine's own
                    raise
                if self._loop.is_closed():  # it was closed before it came to this, and tells nobody
                    coroutine.close()
                    self.session.check_alive()
                    raise RuntimeError("the event loop is closed") from None

    def look(self) -> None:
        """Nothing: the loop hears what comes while a handler blocks."""

    def open_instance(self, path: str | PathLike) -> AbstractContextManager[Instance]:
        """Open a DICOM file for sending."""
        return open_instance(path)

    # ------------------------------------------------------------ asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is open."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_protocol(self)
        self._transport.set_write_buffer_limits(0)  # whatever is not written yet is told by pause_writing
        tcp.prepare(self._transport.get_extra_info("socket"))
        self._wire.transport_opened(self._loop.time())
        self._step()

    def data_received(self, data: bytes) -> None:
        """Bytes came."""
        self._wire.receive_data(data, self._loop.time())
        self._step()
        if self._wire.mid_pdu and self._transport is not None:
            tcp.acknowledge(self._transport.get_extra_info("socket"))

    def eof_received(self) -> bool:
        """No more will come; what is to be written still is."""
        self._hear_end(None)
        return True

    def pause_writing(self) -> None:
        """The peer does not take all that was written."""
        self._blocked = True

    def resume_writing(self) -> None:
        """It has."""
        self._blocked = False
        self._step()

    def connection_lost(self, error: Exception | None) -> None:
        """The connection is closed, by whomever."""
        self._transport = None
        self._hear_end(None if error is None else getattr(error, "strerror", None) or str(error))
        self._check_gone()

    # ------------------------------------------------------------ for associate and serve

    def failed(self, error: str) -> None:
        """There is no connection."""
        self._hear_end(error)

    def timed_out(self) -> None:
        """There was none in time."""
        self._wire.handle_timeout(self._loop.time())
        self._step()

    def abort(self) -> None:
        """Abort the association; a connection in its TLS handshake has none, and is cut."""
        self.session.abort()
        if self.session.outcome is None:
            self.cut()

    def cut(self) -> None:
        """End the connection without a word."""
        if self._transport is not None:
            self._transport.abort()

    async def close(self) -> None:
        """End the association if it has not ended; return when the connection is closed and nobody uses it.

        The engine's deadlines bound the wait. Cancelled in it, the connection is cut.
        """
        self.session.abort()
        self._check_gone()
        if self._is_gone:
            return
        self._closing = self._closing or asyncio.Event()
        try:
            await self._closing.wait()
        except asyncio.CancelledError:
            self.cut()
            raise

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
                if not waiting.done():
                    waiting.set_result(None)
        transport = self._transport
        if transport is not None:
            if self._wire.wants_close and not self._wire.bytes_unsent:
                (transport.abort if self._blocked else transport.close)()  # to close waits for who takes nothing
            elif session.stalled == transport.is_reading() and not self._heard_all:
                (transport.pause_reading if session.stalled else transport.resume_reading)()
        if session.behind and self._turn is None:
            self._turn = self._loop.call_soon(self._take_turn)
        self._set_timer()

    def _take_turn(self) -> None:
        self._turn = None
        self.session.behind = False
        self._step()
        self._check_gone()

    def _write(self) -> None:
        wire, transport = self._wire, self._transport
        if transport is None:  # never opened, or lost: what is left, nobody takes
            while wire.wants_close and wire.data_to_send(self._loop.time()):
                pass
            return
        while not self._blocked and (buffers := wire.data_to_send(self._loop.time())):
            if len(buffers) == 1:
                transport.write(buffers[0])
            else:
                transport.writelines(buffers)

    def _set_timer(self) -> None:
        """One timer, moved only when it would come too late: most deadlines are put off long before they pass."""
        deadline = self._wire.next_timeout()
        timer = self._timer
        if deadline is None or self._is_gone:
            if timer is not None:
                timer.cancel()
                self._timer = None
        elif timer is None or deadline < self._wakes_at:
            if timer is not None:
                timer.cancel()
            self._wakes_at = deadline  # of uvloop's handles not all know it
            self._timer = self._loop.call_at(deadline, self._wake)

    def _wake(self) -> None:
        self._timer = None
        now = self._loop.time()
        deadline = self._wire.next_timeout()
        if deadline is not None and deadline <= now:
            self._wire.handle_timeout(now)
        self._step()

    def _hear_end(self, error: str | None) -> None:
        if not self._heard_all:
            self._heard_all = True
            self._wire.receive_eof(self._loop.time(), error)
        self._step()

    # ------------------------------------------------------------ conversations

    async def _conversation(self, conversation: Coroutine[Any, Any, None]) -> None:
        try:
            await conversation
        except Exception as error:  # noqa: BLE001 - a mistake of ours that nobody foresaw ends one association only
            self.session.report(error, self.session.address)
            self.session.abort()

    def _conversed(self, conversation: Coroutine[Any, Any, None], task: asyncio.Task[None]) -> None:
        conversation.close()  # if it was cancelled before it began
        self._tasks.discard(task)
        self._check_gone()

    def _check_gone(self) -> None:
        if self._transport is None and self.session.ended and not self._tasks and not self._is_gone:
            self._is_gone = True
            if self._closing is not None:
                self._closing.set()
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            self._gone()
