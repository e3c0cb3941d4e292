"""A pool of associations on trio: a task in the pool's nursery keeps each, another ends those that nobody uses."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from types import TracebackType
from typing import Any, Self

import trio

from sansdimse.peer.pool import Member
from sansdimse.peer.pooling import FAREWELL, Keeping, LoopPool, Pooled
from sansdimse.peer.scu import Peer
from sansdimse_files import log_report
from sansdimse_trio.client import associate, unwrapped


class Pool(LoopPool):
    """Associations to use again: ``async with Pool() as pool``, then ``async with pool.association(...) as peer``.

    At most ``most`` associations at once, and ``most_per_destination``; who finds none free waits for a turn. What
    nobody uses is released after ``idle`` seconds; None keeps it. ``options`` are those of all associations (see
    ``sansdimse.peer.caller.CommonOptions``), ``workers`` and ``source_address`` those of ``associate``.

    Leaving releases what nobody uses, waits ``grace`` seconds for the users to leave, then aborts what they use;
    leaving by an exception does not wait for them. Nothing of it is left behind.
    """

    async def __aenter__(self) -> Self:
        self._running = self._run()
        await self._running.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        return await self._running.__aexit__(kind, error, traceback)

    @asynccontextmanager
    async def _run(self) -> AsyncIterator[None]:
        self._scopes: dict[Member[Pooled[Peer]], trio.CancelScope] = {}
        self._waiting = trio.CancelScope()  # for when the books want to hear of the time
        self._emptied = trio.Event()
        with unwrapped():
            async with trio.open_nursery() as self._nursery:
                self._nursery.start_soon(self._watch_the_clock)
                self._is_running = True
                grace = 0.0
                try:
                    yield
                    grace = self._grace
                finally:
                    left = self._close()
                    with trio.move_on_after(grace):
                        await left.wait()
                    self._abort_used()
                    with trio.move_on_after(FAREWELL):
                        while self._scopes:
                            self._emptied = trio.Event()
                            await self._emptied.wait()
                    self._nursery.cancel_scope.cancel()

    async def _watch_the_clock(self) -> None:
        while True:
            with self._waiting:
                await trio.sleep_forever()
            self._waiting = trio.CancelScope()
            with self._books() as books:
                books.handle_timeout(self._now())

    # ------------------------------------------------------------ sansdimse.peer.pooling

    def _now(self) -> float:
        return trio.current_time()

    def _log(self, error: BaseException, where: str) -> None:
        log_report(error, where)

    def _associate(self, **arguments: Any) -> AbstractAsyncContextManager[Peer]:
        return associate(**arguments)

    def _signal(self) -> trio.Event:
        return trio.Event()

    def _told(self) -> None:
        deadline = self._roster.next_timeout()
        self._waiting.deadline = math.inf if deadline is None else deadline

    def _start(self, member: Member[Pooled[Peer]], keeping: Keeping) -> None:
        scope = self._scopes[member] = trio.CancelScope()
        self._nursery.start_soon(self._keep_in, scope, member, keeping, name=f"{member.destination}")

    async def _keep_in(self, scope: trio.CancelScope, member: Member[Pooled[Peer]], keeping: Keeping) -> None:
        try:
            with scope:
                await self._keep(member, keeping)
        finally:
            del self._scopes[member]
            self._emptied.set()

    def _cancel(self, member: Member[Pooled[Peer]]) -> None:
        self._scopes[member].cancel()
