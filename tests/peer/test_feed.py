"""What a handler of any shape gives: one thing after the other, only when asked; and it ends when nobody asks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Coroutine, Iterable, Iterator
from itertools import count
from typing import Any

import pytest
from pydicom import Dataset

from memory_link import Alone, MemoryLink, Network
from retrievals import SHAPES, Shape
from sansdimse.peer.feed import END, Feed, close, is_iterable

NESTS = [False, True]


class Fed:
    """A link, and whether anybody wants more."""

    def __init__(self, *, nests: bool) -> None:
        self.alone = Alone(network=Network(nests=nests), establish=True)
        self.loop = self.alone.loop
        self.link: MemoryLink = self.alone.link
        self.cancelled = False
        self.log: list[Any] = []

    def feed(self, handler: Any) -> Feed:
        return Feed(self.link, handler, "async", "blocking", lambda: self.cancelled)

    async def take(self, handler: Any, most: int | None = None) -> list[Any]:
        """What is given, at most so many; and how it ended."""
        async with self.feed(handler) as feed:
            taken: list[Any] = []
            while len(taken) != most and (item := await feed.next()) is not END:
                taken.append(item)
                self.log.append(("taken", item))
            return [*taken, feed.returned]

    def run(self, conversation: Coroutine[Any, Any, Any]) -> Any:
        value = self.loop.finish(conversation)
        assert not self.loop.waiting
        return value


@pytest.mark.parametrize("nests", NESTS)
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("script", [[], [1], [1, None, "x", 2.5]])
def test_all_that_is_given_comes_in_its_order(shape: Shape, script: list[Any], nests: bool) -> None:
    fed = Fed(nests=nests)
    handler = shape(script).c_get
    if shape in (SHAPES["async generator"], SHAPES["generator"]):
        handler = anonymous(script, is_async=shape is SHAPES["async generator"])
    assert fed.run(fed.take(handler)) == [*script, None]


def anonymous(script: list[Any], *, is_async: bool) -> Any:
    async def from_async(given: Any) -> AsyncIterator[Any]:
        assert given == "async"
        for item in script:
            yield item

    def from_blocking(given: Any) -> Iterator[Any]:
        assert given == "blocking"
        yield from script

    return from_async if is_async else from_blocking


class Gates:
    """Handlers that note when they run on."""

    def __init__(self, log: list[Any]) -> None:
        self.log = log

    def blocking(self, given: Any) -> Iterator[int]:
        try:
            for number in range(4):
                self.log.append(("made", number))
                yield number
        finally:
            self.log.append("closed")

    async def from_async(self, given: Any) -> AsyncIterator[int]:
        try:
            for number in range(4):
                self.log.append(("made", number))
                yield number
        finally:
            self.log.append("closed")

    async def an_iterable(self, given: Any) -> Iterable[int]:
        return self.blocking(given)

    async def an_async_iterable(self, given: Any) -> AsyncIterator[int]:
        return self.from_async(given)

    def plain_async_iterable(self, given: Any) -> AsyncIterator[int]:
        return self.from_async(given)


GATES = [name for name in vars(Gates) if not name.startswith("_")]


@pytest.mark.parametrize("nests", NESTS)
@pytest.mark.parametrize("name", GATES)
def test_it_stands_still_while_one_works_with_what_it_gave(name: str, nests: bool) -> None:
    fed = Fed(nests=nests)
    handler = getattr(Gates(fed.log), name)

    async def works() -> None:
        async with fed.feed(handler) as feed:
            while (item := await feed.next()) is not END:
                fed.log.append(("taken", item))
                await fed.link.call(lambda: None)
                await fed.link.call(lambda: None)
                fed.log.append(("done", item))

    fed.run(works())
    assert fed.log == [*((what, n) for n in range(4) for what in ("made", "taken", "done")), "closed"]


@pytest.mark.parametrize("nests", NESTS)
@pytest.mark.parametrize("name", GATES)
@pytest.mark.parametrize("most", [0, 1, 3])
def test_left_early_it_is_closed(name: str, most: int, nests: bool) -> None:
    fed = Fed(nests=nests)
    taken = fed.run(fed.take(getattr(Gates(fed.log), name), most))
    assert taken == [*range(most), None]
    assert fed.log.count("closed") == (1 if most else 0)
    assert ("made", most) not in fed.log


@pytest.mark.parametrize("nests", NESTS)
@pytest.mark.parametrize("name", GATES)
def test_nothing_is_given_to_who_wants_no_more(name: str, nests: bool) -> None:
    fed = Fed(nests=nests)

    async def takes() -> list[Any]:
        async with fed.feed(getattr(Gates(fed.log), name)) as feed:
            first = await feed.next()
            fed.cancelled = True
            return [first, await feed.next(), await feed.next()]

    assert fed.run(takes()) == [0, END, END]
    assert fed.log == [("made", 0), "closed"]


@pytest.mark.parametrize("nests", NESTS)
def test_a_handler_that_nobody_asks_never_begins(nests: bool) -> None:
    fed = Fed(nests=nests)
    fed.cancelled = True
    assert fed.run(fed.take(Gates(fed.log).blocking)) == [None]
    assert fed.log == []


@pytest.mark.parametrize("nests", NESTS)
@pytest.mark.parametrize("given", [None, 7, "text", b"bytes", Dataset()])
@pytest.mark.parametrize("is_async", [False, True])
def test_one_thing_is_what_it_returned(given: Any, is_async: bool, nests: bool) -> None:
    async def handler(_: Any) -> Any:
        return given

    fed = Fed(nests=nests)
    assert fed.run(fed.take(handler if is_async else lambda _: given)) == [given]


@pytest.mark.parametrize("nests", NESTS)
@pytest.mark.parametrize("is_async", [False, True])
def test_what_a_generator_returns_is_kept(is_async: bool, nests: bool) -> None:
    def blocking(_: Any) -> Any:
        yield 1
        return 2

    async def handler(_: Any) -> Any:
        return blocking(_)

    fed = Fed(nests=nests)
    assert fed.run(fed.take(handler if is_async else blocking)) == [1, 2]


@pytest.mark.parametrize("nests", NESTS)
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("after", [0, 2])
def test_what_it_raises_is_raised_to_whoever_asks(shape: Shape, after: int, nests: bool) -> None:
    fed = Fed(nests=nests)
    script = [*range(after), ZeroDivisionError("mine")]
    from_generator = shape in (SHAPES["async generator"], SHAPES["generator"])
    handler = raising(script, is_async=shape is SHAPES["async generator"]) if from_generator else shape(script).c_get

    async def takes() -> None:
        async with fed.feed(handler) as feed:
            for number in range(after):
                assert await feed.next() == number
            with pytest.raises(ZeroDivisionError, match="mine"):
                await feed.next()

    fed.run(takes())


def raising(script: list[Any], *, is_async: bool) -> Any:
    def blocking(_: Any) -> Iterator[Any]:
        for item in script:
            if isinstance(item, Exception):
                raise item
            yield item

    async def from_async(_: Any) -> AsyncIterator[Any]:
        for item in blocking(_):
            yield item

    return from_async if is_async else blocking


class Once:
    """An iterator that cannot be closed, of either kind; and a callable object."""

    def __init__(self) -> None:
        self.left = [1, 2]

    def __iter__(self) -> Once:
        return self

    def __next__(self) -> int:
        if not self.left:
            raise StopIteration
        return self.left.pop(0)


class OnceAsync:
    def __init__(self) -> None:
        self.left = [1, 2]

    def __aiter__(self) -> OnceAsync:
        return self

    async def __anext__(self) -> int:
        if not self.left:
            raise StopAsyncIteration
        return self.left.pop(0)


@pytest.mark.parametrize("nests", NESTS)
@pytest.mark.parametrize("most", [None, 1])
@pytest.mark.parametrize("kind", [Once, OnceAsync])
@pytest.mark.parametrize("is_async", [False, True])
def test_an_iterator_need_not_be_a_generator(kind: Any, most: int | None, is_async: bool, nests: bool) -> None:
    class Handler:
        async def __call__(self, given: Any) -> Any:
            assert given == "async"
            return kind()

    fed = Fed(nests=nests)
    handler: Any = Handler() if is_async else lambda _: kind()
    assert fed.run(fed.take(handler, most)) == [*[1, 2][:most], None]


def test_a_callable_object_that_is_an_async_generator() -> None:
    class Handler:
        async def __call__(self, given: Any) -> AsyncIterator[int]:
            yield 1

    fed = Fed(nests=False)
    assert fed.run(fed.take(Handler())) == [1, None]


# ---------------------------------------------------------------- who waits


def test_who_waits_is_woken_when_nobody_wants_it_any_more_and_the_handler_ends() -> None:
    fed = Fed(nests=False)

    async def thinks(_: Any) -> AsyncIterator[int]:
        try:
            await fed.link.signal().wait()
            yield 1
        finally:
            fed.log.append("closed")

    async def takes() -> Any:
        async with fed.feed(thinks) as feed:
            feeds.append(feed)
            return await feed.next()

    feeds: list[Feed] = []
    task = fed.loop.spawn(takes())
    fed.loop.run()
    feeds[0].wake()
    fed.loop.run()
    assert not task.done, "it is wanted"
    fed.cancelled = True
    feeds[0].wake()
    fed.loop.run()
    assert task.result() is END
    assert fed.log == ["closed"]
    assert not fed.loop.waiting


def test_to_wake_nobody_is_no_harm() -> None:
    fed = Fed(nests=False)
    fed.feed(lambda _: []).wake()


def test_what_came_while_the_handler_computed_is_heard_where_waits_nest() -> None:
    fed = Fed(nests=True)
    fed.link.look = lambda: setattr(fed, "cancelled", True)  # type: ignore[method-assign]
    assert fed.run(fed.take(Gates(fed.log).blocking)) == [None]
    assert fed.log == [("made", 0), "closed"]


def test_where_waits_nest_an_async_generator_may_wait_in_its_end() -> None:
    fed = Fed(nests=True)

    async def handler(_: Any) -> AsyncIterator[int]:
        try:
            yield 1
            yield 2
        finally:
            await fed.link.call(lambda: None)
            fed.log.append("closed")

    assert fed.run(fed.take(handler, 1)) == [1, None]
    assert fed.log == [("taken", 1), "closed"]


@pytest.mark.parametrize("nests", NESTS)
@pytest.mark.parametrize("is_async", [False, True])
def test_one_that_lives_on_elsewhere_is_closed_too(is_async: bool, nests: bool) -> None:
    fed = Fed(nests=nests)
    gates = Gates(fed.log)
    kept: Any = gates.from_async(None) if is_async else gates.blocking(None)

    async def handler(_: Any) -> Any:
        return kept

    assert fed.run(fed.take(handler, 1)) == [0, None]
    assert fed.log[-1] == "closed"


@pytest.mark.parametrize("name", GATES)
@pytest.mark.parametrize("level", [False, True])
def test_a_handler_that_somebody_cancels_has_failed(name: str, level: bool) -> None:
    failed = 0
    for at in count(1):
        fed = Fed(nests=False)

        def spawning(coroutine: Any, fed: Fed = fed, at: int = at) -> Any:
            return fed.loop.spawn(coroutine, cancel_at=at, level=level)

        fed.link.spawn = spawning  # type: ignore[method-assign]
        task = fed.loop.spawn(fed.take(getattr(Gates(fed.log), name)))
        fed.loop.run()
        if task.error is None:
            assert task.result() == [0, 1, 2, 3, None]
            break
        failed += 1
        with pytest.raises(RuntimeError, match="the handler was cancelled"):
            task.result()
        assert fed.log.count("closed") == (("made", 0) in fed.log)
        assert not fed.loop.waiting
    assert failed


@pytest.mark.parametrize("name", GATES)
@pytest.mark.parametrize("level", [False, True])
def test_who_is_cancelled_while_he_waits_ends_the_handler(name: str, level: bool) -> None:
    cancelled = 0
    for at in count(1):
        fed = Fed(nests=False)
        task = fed.loop.spawn(fed.take(getattr(Gates(fed.log), name)), cancel_at=at, level=level)
        fed.loop.run()
        if not task.cancelled:
            break
        cancelled += 1
        assert fed.log.count("closed") == (("made", 0) in fed.log)
        assert not fed.loop.waiting
    assert cancelled


# ---------------------------------------------------------------- the small ones


@pytest.mark.parametrize(
    ("given", "several"),
    [
        *(([], True), ((), True), (iter("x"), True), (None, False), (7, False), ("x", False), (b"x", False)),
        *((bytearray(b"x"), False), (memoryview(b"x"), False), (Dataset(), False)),
    ],
)
def test_what_is_several_things(given: Any, several: bool) -> None:
    assert is_iterable(given) is several


def test_to_close_what_has_no_end() -> None:
    log: list[str] = []

    def generator() -> Iterator[int]:
        try:
            yield 1
        finally:
            log.append("closed")

    one = generator()
    next(one)
    close(one)
    close(iter([1]))
    assert log == ["closed"]
