"""A pool of associations on asyncio: a task keeps each, one timer ends those that nobody uses."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager, suppress
from types import TracebackType
from typing import Any, Self

from sansdimse.peer.pool import Member
from sansdimse.peer.pooling import FAREWELL, Keeping, LoopPool, Pooled
from sansdimse.peer.scu import Peer
from sansdimse_asyncio.client import associate
from sansdimse_files import log_report


class Pool(LoopPool):
    """Associations to use again: ``async with Pool() as pool``, then ``async with pool.association(...) as peer``.

    At most ``most`` associations at once, and ``most_per_destination``; who finds none free waits for a turn. What
    nobody uses is released after ``idle`` seconds; None keeps it. ``options`` are those of all associations (see
    ``sansdimse.peer.caller.CommonOptions``), ``workers`` and ``source_address`` those of ``associate``.

    Leaving releases what nobody uses, waits ``grace`` seconds for the users to leave, then aborts what they use;
    leaving by an exception does not wait for them. Nothing of it is left behind.
    """

    _timer: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._tasks: dict[Member[Pooled[Peer]], asyncio.Task[None]] = {}
        self._is_running = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        left = self._close()
        try:
            if error is None:
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._grace):
                        await left.wait()
            self._abort_used()
            await self._end_all(FAREWELL)
            await self._cancel_all()
        except asyncio.CancelledError:
            await self._cancel_all(0)
            await self._cancel_all()  # cut: do not wait for the peers' farewells
            raise

    async def _end_all(self, seconds: float | None) -> None:
        if self._tasks:
            await asyncio.wait(self._tasks.values(), timeout=seconds)

    async def _cancel_all(self, seconds: float | None = None) -> None:
        for task in self._tasks.values():
            task.cancel()
        await self._end_all(seconds)

    # ------------------------------------------------------------ sansdimse.peer.pooling

    def _now(self) -> float:
        return self._loop.time()

    def _log(self, error: BaseException, where: str) -> None:
        log_report(error, where)

    def _associate(self, **arguments: Any) -> AbstractAsyncContextManager[Peer]:
        return associate(**arguments)

    def _signal(self) -> asyncio.Event:
        return asyncio.Event()

    def _told(self) -> None:
        deadline = self._roster.next_timeout()
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if deadline is None else self._loop.call_at(deadline, self._time_passed)

    def _time_passed(self) -> None:
        with self._books() as books:
            books.handle_timeout(self._now())

    def _start(self, member: Member[Pooled[Peer]], keeping: Keeping) -> None:
        task = self._tasks[member] = self._loop.create_task(self._keep(member, keeping), name=f"{member.destination}")
        task.add_done_callback(lambda _: self._has_kept(member, keeping))

    def _has_kept(self, member: Member[Pooled[Peer]], keeping: Keeping) -> None:
        del self._tasks[member]
        self._forget(member, keeping)  # a task cancelled before it began has not

    def _cancel(self, member: Member[Pooled[Peer]]) -> None:
        self._tasks[member].cancel()
