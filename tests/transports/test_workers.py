"""The threads of the asyncio transport: used again, bounded, and gone when nobody wants them any more."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Coroutine
from typing import Any, Final

import pytest

from sansdimse_asyncio import workers
from sansdimse_asyncio.workers import Workers
from sansdimse_trio.client import limiters

PATIENCE: Final = 60.0
"""Seconds until what must happen counts as failed."""


def run(main: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(main, PATIENCE))


async def call(pool: Workers, function: Any, *args: Any, abandon_on_cancel: bool = False) -> Any:
    return await pool.call(function, args, abandon_on_cancel=abandon_on_cancel)


def gone(thread: threading.Thread) -> bool:
    thread.join(PATIENCE)
    return not thread.is_alive()


def test_a_thread_that_is_done_is_used_again() -> None:
    async def main() -> None:
        pool = Workers(16)
        threads = {await call(pool, threading.current_thread) for _ in range(20)}
        assert len(threads) == 1
        assert threads.pop().daemon
        pool.close()

    run(main())


def test_no_more_run_at_a_time_than_are_allowed() -> None:
    async def main() -> None:
        pool = Workers(2)
        both, third = threading.Barrier(3), threading.Event()
        busy = [asyncio.ensure_future(call(pool, both.wait, PATIENCE)) for _ in range(2)]
        waiting = asyncio.ensure_future(call(pool, third.set))
        await asyncio.to_thread(lambda: None)  # all of them had their turn
        assert not third.is_set()
        await asyncio.to_thread(both.wait, PATIENCE)
        await asyncio.gather(*busy, waiting)
        assert third.is_set()
        pool.close()

    run(main())


def test_a_handler_may_wait_for_another_call_whatever_they_are_bounded_by() -> None:
    """As that of a C-GET does for the reading of the file that it gave."""

    async def main() -> None:
        pool, read = Workers(1), threading.Event()
        handler = asyncio.ensure_future(call(pool, read.wait, PATIENCE, abandon_on_cancel=True))
        await call(pool, read.set)
        assert await handler
        pool.close()

    run(main())


def test_closing_ends_those_that_rest() -> None:
    async def main() -> None:
        pool = Workers(4)
        barrier = threading.Barrier(3)

        def meet() -> threading.Thread:
            barrier.wait(PATIENCE)
            return threading.current_thread()

        threads = await asyncio.gather(*(call(pool, meet) for _ in range(3)))
        assert len(set(threads)) == 3
        pool.close()
        assert not any(thread.is_alive() for thread in threads)

    run(main())


def test_who_is_busy_when_they_are_closed_ends_when_it_is_done() -> None:
    async def main() -> None:
        pool = Workers(1)
        begun, let_go = threading.Event(), threading.Event()

        def busy() -> threading.Thread:
            begun.set()
            let_go.wait(PATIENCE)
            return threading.current_thread()

        calling = asyncio.ensure_future(call(pool, busy))
        await asyncio.to_thread(begun.wait, PATIENCE)
        pool.close()
        let_go.set()
        assert gone(await calling)

    run(main())


def test_a_call_after_the_close_is_made_and_leaves_nothing() -> None:
    async def main() -> None:
        pool = Workers(1)
        pool.close()
        assert gone(await call(pool, threading.current_thread))

    run(main())


def test_a_thread_rests_only_so_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "_REST", 0.0)

    async def main() -> None:
        pool = Workers(1)
        first = await call(pool, threading.current_thread)
        assert gone(first)
        assert await call(pool, threading.current_thread) is not first
        pool.close()

    run(main())


def test_one_that_is_taken_while_it_leaves_does_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "_REST", 0.0)
    resting: list[workers._Thread] = []
    done = threading.Event()

    class NotThere(list[workers._Thread]):
        """Whoever wants to leave finds that it was taken."""

        def remove(self, _: workers._Thread) -> None:
            raise ValueError

    thread = workers._Thread(NotThere(resting))
    thread.calls.put(lambda: lambda: True)
    thread.calls.put(lambda: lambda: done.set() is None)
    assert done.wait(PATIENCE)
    thread.calls.put(None)
    assert gone(thread)


def test_one_whose_loop_is_closed_ends_when_it_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "_REST", 1000.0)
    let_go, threads = threading.Event(), []

    def busy() -> None:
        threads.append(threading.current_thread())
        let_go.wait(PATIENCE)

    async def main() -> None:
        calling = asyncio.ensure_future(call(Workers(1), busy, abandon_on_cancel=True))
        while not threads:
            await asyncio.sleep(0)
        calling.cancel()

    run(main())
    let_go.set()
    assert gone(threads[0])


def test_what_is_raised_is_raised_here() -> None:
    def fail() -> None:
        raise KeyError("x")

    def stop(how: type[BaseException]) -> None:
        raise how

    async def main() -> None:
        pool = Workers(1)
        with pytest.raises(KeyError):
            await call(pool, fail)
        for how in (StopIteration, GeneratorExit, SystemExit, KeyboardInterrupt):  # else the loop would end
            with pytest.raises(RuntimeError, match=f"a function raised {how.__name__}"):
                await call(pool, stop, how)
        assert await call(pool, int, "7") == 7
        pool.close()

    run(main())


def test_it_runs_in_the_context_of_whoever_calls() -> None:
    name: contextvars.ContextVar[str] = contextvars.ContextVar("name")

    async def main() -> None:
        pool = Workers(1)
        for each in ("one", "other"):
            name.set(each)
            assert await call(pool, name.get) == each
        pool.close()

    run(main())


@pytest.mark.parametrize("abandon", [False, True])
def test_being_cancelled_waits_for_the_thread_unless_it_may_be_abandoned(abandon: bool) -> None:
    async def main() -> None:
        pool = Workers(1)
        begun, let_go = threading.Event(), threading.Event()

        def busy() -> None:
            begun.set()
            let_go.wait(PATIENCE)

        calling = asyncio.ensure_future(call(pool, busy, abandon_on_cancel=abandon))
        await asyncio.to_thread(begun.wait, PATIENCE)
        calling.cancel()
        await asyncio.to_thread(lambda: None)
        assert calling.done() is abandon
        let_go.set()
        with pytest.raises(asyncio.CancelledError):
            await calling
        assert await call(pool, int) == 0  # its place is free again
        pool.close()

    run(main())


def test_a_system_without_threads_left_is_told_and_costs_no_place(monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    async def main() -> None:
        pool = Workers(1)
        with monkeypatch.context() as patched:
            patched.setattr(threading.Thread, "start", none_left)
            with pytest.raises(RuntimeError, match="start"):
                await call(pool, int)
        assert await call(pool, int) == 0
        pool.close()

    run(main())


def test_none_at_all_would_wait_for_ever() -> None:
    with pytest.raises(ValueError, match="0 workers"):
        Workers(0)
    with pytest.raises(ValueError, match="0 workers"):
        limiters(0)
    assert [limiter.total_tokens for limiter in limiters(2)] == [2, 2]
