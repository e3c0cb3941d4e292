"""C-GET and C-MOVE of 2,000 instances over sockets, on each transport: nothing is lost, and the order is kept."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from functools import cache
from typing import Any, Final

import pytest

from calling import CallBeside
from running import TRANSPORTS, running
from sansdimse import AsynchronousOperationsWindow, PresentationContext
from sansdimse.dataset import Dataset, Instance
from sansdimse.peer.link import Destination
from sansdimse.peer.scu_retrieve import Progress, Retrieved
from sansdimse.services.sop_classes import CT_IMAGE_STORAGE, MR_IMAGE_STORAGE, STUDY_ROOT_GET, STUDY_ROOT_MOVE
from sansdimse.uids import EXPLICIT_VR_LITTLE_ENDIAN

COUNT: Final = 2_000
WINDOW: Final = AsynchronousOperationsWindow(8, 8)
RETRIEVED: Final = [PresentationContext(uid, scu=False, scp=True) for uid in (CT_IMAGE_STORAGE, MR_IMAGE_STORAGE)]
CLASSES: Final = (CT_IMAGE_STORAGE, MR_IMAGE_STORAGE, CT_IMAGE_STORAGE)

Stored = tuple[str, str, bytes]
"""SOP class, SOP instance, data set."""


@cache
def instances() -> tuple[Instance, ...]:
    """Of two SOP classes in turn, each with bytes of its own, of many lengths."""
    return tuple(map(_instance, range(COUNT)))


def _instance(number: int) -> Instance:
    encoded = number.to_bytes(4, "big") * (1 + number % 50)
    return Instance(
        CLASSES[number % 3], f"1.2.3.{number}", EXPLICIT_VR_LITTLE_ENDIAN, len(encoded), lambda: iter([encoded])
    )


def sent() -> list[Stored]:
    """What must arrive, in that order."""
    return [(each.sop_class_uid, each.sop_instance_uid, b"".join(each.pieces())) for each in instances()]


class Blocking:
    """Stores and gives, and may block."""

    def __init__(self, port: int = 0) -> None:
        self._stored: list[tuple[int, Stored]] = []
        self._port = port

    def stored(self, *, at_once: bool) -> list[Stored]:
        """What was stored, in that order; if several were at once, in the order of their message IDs, which the peer
        counts up. Which of them a loop begins with is its own business, and trio's is chance.
        """
        return [stored for _, stored in (sorted(self._stored) if at_once else self._stored)]

    def _keep(self, store: Any, data_set: bytes) -> int:
        self._stored.append((store.request.message_id, (store.sop_class_uid, store.sop_instance_uid, data_set)))
        return 0

    def c_store(self, store: Any) -> int:
        return self._keep(store, store.read())

    def c_get(self, get: Any) -> Iterator[Any]:
        yield COUNT
        yield from instances()

    def c_move(self, move: Any) -> Iterator[Any]:
        yield Destination("127.0.0.1", self._port), {"contexts": CLASSES[:2], "window": WINDOW}
        yield from self.c_get(move)


class Async(Blocking):
    """The same on a loop."""

    async def c_store(self, store: Any) -> int:  # type: ignore[override]
        return self._keep(store, await store.read())

    async def c_get(self, get: Any) -> AsyncIterator[Any]:  # type: ignore[override]
        yield COUNT
        for each in instances():
            yield each

    async def c_move(self, move: Any) -> AsyncIterator[Any]:  # type: ignore[override]
        yield Destination("127.0.0.1", self._port), {"contexts": CLASSES[:2], "window": WINDOW}
        async for each in self.c_get(move):
            yield each


def kind_of(transport: str) -> type[Blocking]:
    """The shape of handlers that belongs to it."""
    return Blocking if transport == "socket" else Async


def query() -> Dataset:
    """An identifier."""
    dataset = Dataset()
    dataset.QueryRetrieveLevel, dataset.StudyInstanceUID = "STUDY", "1.2.3"
    return dataset


def check(told: list[Progress], answer: Retrieved) -> None:
    """The counters go one way, and end with all."""
    assert (answer, answer.counters, answer.failed_instances) == (0, Progress(None, COUNT, 0, 0), ())
    completed = [progress.completed or 0 for progress in told]
    assert told == [Progress(COUNT - number, number, 0, 0) for number in sorted(completed)]
    assert len(told) <= COUNT
    assert completed[-1] == COUNT


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("window", [None, WINDOW], ids=["one by one", "window of 8"])
def test_get(transport: str, window: AsynchronousOperationsWindow | None) -> None:
    receiver, told = kind_of(transport)(), []
    options = {} if window is None else {"window": window}

    async def get(peer: Any) -> Retrieved:
        async with peer.c_get(STUDY_ROOT_GET, query(), store=receiver.c_store) as retrieval:
            told.extend([progress async for progress in retrieval])
        answer: Retrieved = retrieval.answer
        return answer

    supports = [STUDY_ROOT_GET, *RETRIEVED]
    with running(transport, kind_of(transport)(), supports=supports, **options) as server:
        call = CallBeside(transport, server.port, [get])
        call.start({"contexts": [STUDY_ROOT_GET, *RETRIEVED], **options})
        (answer, _) = call.results()
        assert isinstance(answer, Retrieved), answer
        assert server.reports == []
    check(told, answer)
    assert receiver.stored(at_once=window is not None) == sent()


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_move(transport: str) -> None:
    receiver, told = kind_of(transport)(), []

    async def move(peer: Any) -> Retrieved:
        async with peer.c_move(STUDY_ROOT_MOVE, query(), "STORE") as retrieval:
            told.extend([progress async for progress in retrieval])
        answer: Retrieved = retrieval.answer
        return answer

    with (
        running(transport, receiver, supports=CLASSES[:2], window=WINDOW) as store,
        running(transport, kind_of(transport)(store.port), supports=[STUDY_ROOT_MOVE]) as server,
    ):
        call = CallBeside(transport, server.port, [move])
        call.start({"contexts": [STUDY_ROOT_MOVE]})
        (answer, _) = call.results()
        assert isinstance(answer, Retrieved), answer
        assert server.reports == store.reports == []
    check(told, answer)
    assert receiver.stored(at_once=True) == sent()
