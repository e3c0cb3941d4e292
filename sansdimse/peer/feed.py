"""What a handler of any shape gives, one thing after the other, whenever the conversation asks for the next.

The handler stands still while the conversation works with what it gave, so a file that is open in its ``with`` stays
open. One that blocks runs in one worker thread from its first line to its last, since what it iterates over may not
like to change threads (a cursor of SQLite does not). Where waits nest, on a blocking socket, no two conversations
can wait for each other: there the handler is stepped by whoever asks.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final

from sansdimse.dataset import Dataset
from sansdimse.peer.handlers import is_async, is_async_generator

if TYPE_CHECKING:
    from sansdimse.peer.link import Job, Link, Signal

END: Final = object()
"""Nothing more is given: ``Feed.returned`` is what the handler returned."""


class Feed:
    """One run of a handler. ``cancelled`` tells whether anybody wants more; ``wake`` has it asked again.

    Use it as ``async with``; leaving ends the handler.
    """

    def __init__(
        self, link: Link, handler: Any, for_async: object, for_blocking: object, cancelled: Callable[[], bool]
    ) -> None:
        self._link = link
        self._handler = handler
        self._is_async = is_async(handler) or is_async_generator(handler)
        self._given_to = for_async if self._is_async else for_blocking
        self._cancelled = cancelled
        self.returned: object = None
        self.hear: Callable[[Signal], object] = lambda signal: None
        """Called before whoever asks waits: with what wakes it, for what else is to be heard meanwhile."""
        self._stepped: AsyncIterator[object] | None = None
        self._job: Job | None = None
        self._items: list[object] = []
        self._taken = 0
        self._error: Exception | None = None
        self._over = self._stopped = False
        self._stands = False  # it has given something, and waits
        self._asks: Signal | None = None  # for whoever waits for an item
        self._gives: Signal | None = None  # for whoever waits until it is wanted

    async def __aenter__(self) -> Feed:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stopped = True
        if self._stepped is not None:
            await self._stepped.aclose()  # type: ignore[attr-defined]  # it is a generator of ours
        _set(self._gives)
        if self._job is None or self._over:
            return
        try:
            while self._stands and not self._over:  # it ends by itself, and may wait for something in its ``finally``
                self._asks = self._link.signal()
                await self._asks.wait()
        finally:
            if not self._over:
                self._job.cancel()

    def wake(self) -> None:
        """Whoever waits for the next looks whether it is still wanted."""
        _set(self._asks)

    async def next(self) -> object:
        """The next thing, ``END`` after the last or when ``cancelled``. Raises what the handler raises."""
        if self._cancelled():
            return END
        if self._link.nests:
            if self._stepped is None:
                self._stepped = self._step()
            item = await anext(self._stepped, END)
            self._link.look()  # nobody else did while the handler computed
            return END if self._cancelled() else item
        if self._job is None:
            self._job = self._link.spawn(self._run())
        self._taken += len(self._items)
        self._items.clear()
        _set(self._gives)
        while not (self._items or self._over or self._cancelled()):
            self._asks = self._link.signal()
            self.hear(self._asks)
            await self._asks.wait()
        if self._items:
            return self._items[0]
        if self._error is not None:
            raise self._error
        return END

    # ------------------------------------------------------------ stepped by whoever asks

    async def _step(self) -> AsyncIterator[object]:
        given = self._handler(self._given_to)
        if self._is_async and not isinstance(given, AsyncIterable):
            given = await given
        if isinstance(given, AsyncIterable):
            async_iterator = aiter(given)
            try:
                async for item in async_iterator:
                    yield item
            finally:
                await _aclose(async_iterator)
        elif is_iterable(given):
            iterator = iter(given)
            try:
                while True:
                    try:
                        item = next(iterator)
                    except StopIteration as stop:
                        self.returned = stop.value
                        return
                    yield item
            finally:
                close(iterator)
        else:
            self.returned = given

    # ------------------------------------------------------------ running beside

    async def _run(self) -> None:
        try:
            if self._is_async:
                await self._run_async()
            else:
                given = await self._link.call(self._run_blocking, abandon_on_cancel=True)
                if isinstance(given, AsyncIterable):
                    await self._iterate(given)
        except Exception as error:  # noqa: BLE001 - the user's code may raise anything; whoever asks is told
            self._error = error
        except BaseException:
            self._error = RuntimeError("the handler was cancelled")  # by whoever: if somebody asks, he is told
            raise
        finally:
            self._over = True
            _set(self._asks)

    async def _run_async(self) -> None:
        given = self._handler(self._given_to)
        if not isinstance(given, AsyncIterable):
            given = await given
        if isinstance(given, AsyncIterable):
            await self._iterate(given)
        elif is_iterable(given):
            await self._link.call(self._iterate_blocking, given, abandon_on_cancel=True)
        else:
            self.returned = given

    async def _iterate(self, given: AsyncIterable[object]) -> None:
        iterator = aiter(given)
        try:
            async for item in iterator:
                if not await self._put(item):
                    return
        finally:
            await _aclose(iterator)

    def _run_blocking(self) -> object:
        given = self._handler(self._given_to)
        if isinstance(given, AsyncIterable):
            return given
        if is_iterable(given):
            self._iterate_blocking(given)
        else:
            self.returned = given
        return None

    def _iterate_blocking(self, given: Iterable[object]) -> None:
        iterator = iter(given)
        try:
            while True:
                try:
                    item = next(iterator)
                except StopIteration as stop:
                    self.returned = stop.value
                    return
                if self._stopped or not self._link.block_on(self._put(item)):
                    return
        finally:
            close(iterator)

    async def _put(self, item: object) -> bool:
        """Give an item, and return when the next is wanted; False if none is."""
        taken = self._taken
        self._items.append(item)
        self._stands = True
        _set(self._asks)
        while self._taken == taken and not self._stopped:
            self._gives = self._link.signal()
            await self._gives.wait()
        self._stands = self._stopped
        return not self._stopped


def is_iterable(given: object) -> bool:
    """Whether a handler gave several things, and not one that happens to be iterable."""
    return isinstance(given, Iterable) and not isinstance(given, Dataset | str | bytes | bytearray | memoryview)


def close(iterator: Iterator[object]) -> None:
    """End an iterator, if it is a generator."""
    end = getattr(iterator, "close", None)
    if end is not None:
        end()


async def _aclose(iterator: AsyncIterator[object]) -> None:
    end = getattr(iterator, "aclose", None)
    if end is not None:
        await end()


def _set(signal: Signal | None) -> None:
    if signal is not None:
        signal.set()
