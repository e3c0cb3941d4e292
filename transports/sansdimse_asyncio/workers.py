"""Bounded worker threads for what blocks.

Not the loop's executor: its threads keep the interpreter from ending while a handler hangs. Nor a thread for each
call, which costs twice as much, and four times where the processors are busy: one that is done rests for a while.
"""

from __future__ import annotations

import asyncio
import contextvars
import queue
import threading
from collections.abc import Callable
from typing import Any, Final, TypeVar

T = TypeVar("T")

_REST: Final = 10.0
"""Seconds that a thread waits for its next call."""

_Call = Callable[[], Callable[[], bool]]
"""What a thread does; it gives how to tell whoever waits, which is done when the thread may be asked again. False:
there is no loop any more, and nobody will ask."""


class Workers:
    """At most ``most`` handlers at a time, and as many other calls, each in a thread.

    They are those with ``abandon_on_cancel``: one may wait for what such a call gives, as that of a C-GET for the
    reading of the file that it gave.
    """

    def __init__(self, most: int) -> None:
        if most < 1:
            raise ValueError(f"{most} workers: what blocks, files too, needs one at least")
        self._free = {is_handler: asyncio.Semaphore(most) for is_handler in (False, True)}
        self._resting: list[_Thread] = []
        self._is_closed = False

    async def call(self, function: Callable[..., T], args: tuple[Any, ...], *, abandon_on_cancel: bool) -> T:
        """Run it in a thread. See ``sansdimse.peer.link.Link.call``."""
        free = self._free[abandon_on_cancel]
        await free.acquire()
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()

        def finished(value: Any, error: BaseException | None) -> None:
            free.release()
            if self._is_closed:
                self.close()
            if done.cancelled():
                return
            if error is None:
                done.set_result(value)
            else:
                done.set_exception(error)

        context = contextvars.copy_context()

        def work() -> Callable[[], bool]:
            value: T | None = None
            error: BaseException | None = None
            try:
                value = context.run(function, *args)
            except (StopIteration, GeneratorExit, SystemExit, KeyboardInterrupt) as raised:
                # A task cannot hold the first two, and the others would end the loop: a handler ends its request only.
                error = RuntimeError(f"a function raised {type(raised).__name__}")
                error.__cause__ = raised
            except BaseException as raised:  # noqa: BLE001 - it is handed to whoever waits
                error = raised

            def tell() -> bool:
                try:
                    loop.call_soon_threadsafe(finished, value, error)
                except RuntimeError:  # the loop is closed
                    return False
                return True

            return tell

        try:
            thread = self._rested() or _Thread(self._resting)
        except RuntimeError:  # the system has no thread left
            free.release()
            raise
        thread.calls.put(work)
        if abandon_on_cancel:
            return await done
        return await _to_the_end(done)

    def close(self) -> None:
        """End the threads: those that rest now, others when they are done."""
        self._is_closed = True
        while (thread := self._rested()) is not None:
            thread.calls.put(None)
            thread.join()

    def _rested(self) -> _Thread | None:
        try:
            return self._resting.pop()
        except IndexError:  # not looked at before: the last may leave any time
            return None


class _Thread(threading.Thread):
    """A thread for one call after the other; ``resting`` are those of its kind that are not busy."""

    def __init__(self, resting: list[_Thread]) -> None:
        super().__init__(name="sansdimse worker", daemon=True)
        self.calls: queue.SimpleQueue[_Call | None] = queue.SimpleQueue()
        """What to do; None is to end."""
        self._resting = resting
        self.start()

    def run(self) -> None:
        """Work and rest."""
        call: _Call | None = self.calls.get()
        while call is not None:
            tell = call()
            self._resting.append(self)  # before somebody is told who may have the next call
            if not tell():
                return
            del call, tell  # and with them what was called with what
            call = self._next()

    def _next(self) -> _Call | None:
        try:
            return self.calls.get(timeout=_REST)
        except queue.Empty:
            pass
        try:
            self._resting.remove(self)  # lists are what threads may share: each of these steps is one
        except ValueError:  # it was taken at the last moment
            return self.calls.get()
        return None


async def _to_the_end(done: asyncio.Future[T]) -> T:
    """Wait for it whatever comes; being cancelled takes effect afterwards."""
    cancelled: asyncio.CancelledError | None = None
    while not done.done():
        try:
            await asyncio.shield(done)
        except asyncio.CancelledError as error:
            cancelled = error
        except BaseException:  # noqa: BLE001 - told below
            break
    if cancelled is not None:
        if done.exception() is not None:
            raise cancelled from done.exception()
        raise cancelled
    return done.result()
