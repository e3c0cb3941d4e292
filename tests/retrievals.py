"""C-GET and C-MOVE in memory: who asks, who performs with a handler of the test's, and where a C-MOVE stores."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from engine_pair import CT, GET, GETTING, MOVE, MOVING, MR, acceptor, requestor
from memory_link import Joined, Network, Place, instance, nothing_left
from sansdimse.dataset import Instance
from sansdimse.dimse.messages import CStoreRQ
from sansdimse.limits import Limits
from sansdimse.peer import scp
from sansdimse.peer.scu import Progress, Retrieval, Retrieved
from sansdimse.ul.items import AsynchronousOperationsWindow
from sansdimse.ul.parties import Acceptor, PresentationContext

HOST = ("store", 104)
"""Where the place is that C-MOVEs store at."""
SERVICES = ["C-GET", "C-MOVE"]
DRIVEN = Limits(output_high_water=50)
"""With which every flush waits for the link."""

Script = list[Any]
"""What a handler gives; an exception is raised in its place."""
Shape = Callable[[Script], Any]


def image(number: int, size: int = 100, sop_class: str = CT) -> Instance:
    """An instance; all have room for CT."""
    return instance(size, f"1.2.{number}", sop_class=sop_class)


def unwanted(number: int) -> Instance:
    """An instance that nobody has a context for."""
    return image(number, sop_class=MR)


def plays(script: Script) -> Iterator[Any]:
    """A generator of this."""
    for item in script:
        if isinstance(item, BaseException):
            raise item
        yield item


async def plays_async(script: Script) -> AsyncIterator[Any]:
    """An async generator of this."""
    for item in plays(script):
        yield item


def service(handler: Any) -> Any:
    """One whose C-GETs and C-MOVEs this handles."""
    return SimpleNamespace(c_get=handler, c_move=handler)


class Shapes:
    """Services whose handlers give the same."""

    @staticmethod
    def async_generator(script: Script) -> Any:
        async def handler(asked: Any) -> AsyncIterator[Any]:
            assert isinstance(asked, scp.Get | scp.Move)
            async for item in plays_async(script):
                yield item

        return service(handler)

    @staticmethod
    def generator(script: Script) -> Any:
        def handler(asked: Any) -> Iterator[Any]:
            assert not isinstance(asked, scp.Get | scp.Move)
            yield from plays(script)

        return service(handler)

    @staticmethod
    def async_that_returns_an_iterable(script: Script) -> Any:
        async def handler(asked: Any) -> Iterable[Any]:
            return plays(script)

        return service(handler)

    @staticmethod
    def async_that_returns_an_async_iterable(script: Script) -> Any:
        async def handler(asked: Any) -> AsyncIterator[Any]:
            return plays_async(script)

        return service(handler)

    @staticmethod
    def plain_that_returns_an_iterable(script: Script) -> Any:
        return service(lambda asked: plays(script))

    @staticmethod
    def plain_that_returns_an_async_iterable(script: Script) -> Any:
        return service(lambda asked: plays_async(script))


SHAPES: dict[str, Shape] = {
    name.replace("_", " "): getattr(Shapes, name) for name in vars(Shapes) if not name.startswith("_")
}


class Keeps:
    """Stores what comes, and answers each instance as ``statuses`` says."""

    def __init__(self, statuses: Mapping[str, int] | None = None) -> None:
        self.statuses = dict(statuses or {})
        self.got: dict[str, bytes] = {}
        self.requests: list[CStoreRQ] = []
        self.syntaxes: list[str] = []

    async def c_store(self, store: scp.Store) -> int:
        """Keep one."""
        self.requests.append(store.request)
        self.syntaxes.append(store.transfer_syntax_uid)
        self.got[store.sop_instance_uid] = await store.read()
        return self.statuses.get(store.sop_instance_uid, 0)


@dataclass
class Told:
    """How a retrieval ended."""

    answer: Retrieved
    progress: list[Progress]

    @property
    def counters(self) -> tuple[int | None, ...]:
        """Remaining, completed, failed, warning."""
        counters = self.answer.counters
        return counters.remaining, counters.completed, counters.failed, counters.warning


class Site(Joined):
    """An association on which C-GETs and C-MOVEs are asked, and the place ``HOST``."""

    def __init__(
        self,
        service: Any,
        *,
        keeps: Keeps | None = None,
        accepts: Acceptor | None = None,
        nests: bool = False,
        window: int = 4,
        capacity: int = 1 << 40,
        limits: Limits | None = None,
        more: tuple[PresentationContext, ...] = (),
        reachable: bool = True,
    ) -> None:
        self.keeps = keeps or Keeps()
        asked = AsynchronousOperationsWindow(window, window)
        limited: dict[str, Any] = {} if limits is None else {"limits": limits}
        self.network = Network(nests=nests)
        accepts = accepts or Acceptor("STORE", (CT,), window=asked, **limited)
        self.place = Place(self.keeps, accepts, capacity)
        if reachable:
            self.network.places[HOST] = self.place
        super().__init__(
            service,
            scu_service=self.keeps,
            ours=requestor(GETTING, MOVING, *more, window=asked, **limited),
            theirs=acceptor(GETTING, MOVING, *more, window=asked, **limited),
            capacity=capacity,
            network=self.network,
        )

    def asking(self, name: str, identifier: Any = b"query.", **settings: Any) -> AbstractAsyncContextManager[Retrieval]:
        """A C-GET, or a C-MOVE."""
        if name == "C-GET":
            return self.peer.c_get(GET, identifier, store=self.keeps.c_store, **settings)
        return self.peer.c_move(MOVE, identifier, "STORE", **settings)

    async def retrieving(self, name: str, **settings: Any) -> Told:
        """Ask for it, and hear of it to its end."""
        async with self.asking(name, **settings) as retrieval:
            progress = [each async for each in retrieval]
        assert retrieval.answer is not None
        return Told(retrieval.answer, progress)

    def retrieve(self, name: str, **settings: Any) -> Told:
        """Ask for it, hear of it to its end, and let all others end."""
        told: Told = self.loop.finish(self.retrieving(name, **settings))
        return told

    def check_over(self) -> None:
        """The association is as before, all files are closed, and nothing is left of what was done."""
        self.loop.run()
        assert self.peer.outcome is None, self.peer.outcome
        assert self.loop.finish(self.peer.c_echo()) == 0
        self.check_left()

    def check_left(self) -> None:
        """All files are closed, and nothing is left of what was done."""
        self.loop.run()
        assert not self.loop.waiting
        assert all(map(nothing_left, self.sessions))
        assert self.scp_link.opened == self.scu_link.opened == 0
        assert not self.scp._begun
        for opened, answering in self.place.reached:
            assert opened.ended
            assert answering.ended
            assert nothing_left(opened)


def script_for(name: str, script: Script, destination: Any = (HOST, [CT])) -> Script:
    """The same for a C-GET and a C-MOVE: the destination comes first of that, with one context, since 128 take time."""
    return script if name == "C-GET" else [destination, *script]
