"""A C-STORE straight into a file: there whole under its name, or not at all, and the peer is told which."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine_pair import ABORT, INSTANCE, data, echo_rq, store_rq
from memory_link import Alone, Joined, content, instance, nothing_left
from sansdimse.dataset import read_part10_header
from sansdimse.peer import blocking_scp, scp
from sansdimse_files import ReceivedFile, async_received_file, received_file

STORE = [store_rq(), data(3, b"one!", is_last=False), data(3, b"two!", is_last=False), data(3, b"end!")]


@pytest.fixture(autouse=True)
def every_descriptor_closed() -> Iterator[None]:
    before = sorted(os.listdir("/proc/self/fd"))
    yield
    assert sorted(os.listdir("/proc/self/fd")) == before


class Blocking:
    """A service that keeps what comes in a folder, in a ``def``."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.folder = folder
        self.settings = settings
        self.then: Any = lambda file: None

    def c_store(self, store: blocking_scp.Store) -> int:
        with received_file(store, self.folder, **self.settings) as file:
            self.then(file)
        return 0


class Async(Blocking):
    """The same, in an ``async def``."""

    async def c_store(self, store: scp.Store) -> int:  # type: ignore[override]
        async with async_received_file(store, self.folder, **self.settings) as file:
            self.then(file)
        return 0


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


BOTH = pytest.mark.parametrize("shape", [Blocking, Async])


@BOTH
@pytest.mark.parametrize("fsync", [False, True])
def test_an_instance_becomes_a_file_with_its_header(shape: type[Blocking], fsync: bool, tmp_path: Path) -> None:
    service = shape(tmp_path, fsync=fsync)
    before: list[list[str]] = []
    service.then = lambda file: before.append([name[-5:] for name in names(tmp_path)])
    joined = Joined(service, capacity=100_000)
    assert joined.loop.call(joined.peer.c_store(instance(400_000))) == 0
    assert before == [[".part"]], "it has its name only when the block is left"
    assert names(tmp_path) == [f"{INSTANCE}.dcm"]
    raw = (tmp_path / f"{INSTANCE}.dcm").read_bytes()
    with (tmp_path / f"{INSTANCE}.dcm").open("rb") as opened:
        header = read_part10_header(opened.read)
    assert header.sop_instance_uid == INSTANCE
    assert raw[header.offset :] == content(400_000)
    assert not joined.reports


@BOTH
@pytest.mark.parametrize(("exists", "kept"), [("replace", 1), ("keep", 2)])
def test_the_same_instance_again(shape: type[Blocking], exists: str, kept: int, tmp_path: Path) -> None:
    joined = Joined(shape(tmp_path, exists=exists))
    for _ in range(2):
        assert joined.loop.call(joined.peer.c_store(instance())) == 0
    assert len(names(tmp_path)) == kept


@BOTH
def test_a_name_that_is_taken_is_a_failure_when_it_is_to_be_refused(shape: type[Blocking], tmp_path: Path) -> None:
    joined = Joined(shape(tmp_path, exists="refuse"))
    assert joined.loop.call(joined.peer.c_store(instance())) == 0
    assert joined.loop.call(joined.peer.c_store(instance(20))) == scp.UNHANDLED
    assert names(tmp_path) == [f"{INSTANCE}.dcm"]
    ((error, _),) = joined.reports
    assert isinstance(error, FileExistsError)


@BOTH
def test_an_error_in_the_block_leaves_nothing(shape: type[Blocking], tmp_path: Path) -> None:
    service = shape(tmp_path)

    def fail(file: ReceivedFile) -> None:
        raise ZeroDivisionError

    service.then = fail
    joined = Joined(service)
    assert joined.loop.call(joined.peer.c_store(instance())) == scp.UNHANDLED
    assert names(tmp_path) == []


@pytest.mark.parametrize("can_cancel", [False, True])
@pytest.mark.parametrize("end", ["abort", "close"])
@pytest.mark.parametrize("said", [1, 2, 3])
def test_the_peer_goes_in_the_middle_and_no_file_remains(said: int, end: str, can_cancel: bool, tmp_path: Path) -> None:
    alone = Alone(Async(tmp_path))
    alone.link.can_cancel = can_cancel
    alone.raw.send(*STORE[:said])
    assert len(names(tmp_path)) == 1
    if end == "abort":
        alone.raw.send(ABORT)
    else:
        alone.raw.vanish()
    assert names(tmp_path) == []
    assert nothing_left(alone.session)
    assert not alone.reports
    assert not alone.loop.waiting


@pytest.mark.parametrize("level", [False, True])
def test_cancelled_at_any_await_the_file_is_there_whole_or_not_at_all(level: bool, tmp_path: Path) -> None:
    there: list[bool] = []
    for at in range(1, 50):
        folder = tmp_path / str(at)
        folder.mkdir()
        alone = Alone(Async(folder))
        spawn = alone.loop.spawn
        alone.link.spawn = lambda conversation, at=at, spawn=spawn: spawn(  # type: ignore[method-assign,misc]
            conversation, cancel_at=at, level=level
        )
        for part in STORE:
            alone.raw.send(part)
        served = alone.loop.tasks[-1]
        (response,) = alone.raw.said()
        assert response.status == (0x0110 if served.cancelled else 0)
        assert len(names(folder)) <= 1
        for name in names(folder):
            assert name == f"{INSTANCE}.dcm"
            assert (folder / name).read_bytes().endswith(b"one!two!end!")
        there.append(bool(names(folder)))
        if not served.cancelled:
            break
    assert len(there) > 5
    assert there[-1]
    assert not any(there[:-1]), "what was not answered with success has no file"


class Full:
    """A disk that is full after so many writes, or at the renaming."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, after: int, number: int) -> None:
        self.left = after
        self.error = OSError(number, os.strerror(number))
        self.writev, self.rename = os.writev, os.rename
        monkeypatch.setattr(os, "writev", self._writev)
        monkeypatch.setattr(os, "rename", self._rename)

    def _writev(self, fd: int, buffers: Any) -> int:
        self._count()
        return self.writev(fd, buffers)

    def _rename(self, *names: Any, **folders: Any) -> None:
        self._count()
        self.rename(*names, **folders)

    def _count(self) -> None:
        if self.left == 0:
            raise self.error
        self.left -= 1


@BOTH
@pytest.mark.parametrize("after", range(3))  # the header, all pieces that came together, the name
@pytest.mark.parametrize(
    ("number", "status"), [(errno.ENOSPC, 0xA700), (errno.EDQUOT, 0xA700), (errno.EIO, scp.UNHANDLED)]
)
def test_a_full_disk_is_out_of_resources_and_leaves_nothing(
    shape: type[Blocking], after: int, number: int, status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = Alone(shape(tmp_path))
    full = Full(monkeypatch, after, number)
    alone.raw.send(b"".join(STORE))
    (response,) = alone.raw.said()
    assert response.status == status
    if status == 0xA700:
        assert response.error_comment == "no space left to store the instance"
        assert not alone.reports
    else:
        assert [error for error, _ in alone.reports] == [full.error]
    assert names(tmp_path) == []
    monkeypatch.undo()
    alone.raw.send(echo_rq(2))
    assert [message.status for message in alone.raw.said()] == [0]


def test_a_cancelled_asyncio_task_leaves_nothing(tmp_path: Path) -> None:
    """The same under a loop of another kind, with a store that is a mere stand-in."""

    class Endless:
        sop_instance_uid = INSTANCE

        def part10_header(self) -> bytes:
            return b"header"

        async def pieces(self) -> list[bytes]:
            await asyncio.sleep(0)
            return [b"piece"]

        async def call(self, function: Any, *args: Any) -> Any:
            return function(*args)

    async def main() -> None:
        async def handler() -> None:
            store: Any = Endless()
            async with async_received_file(store, tmp_path):
                raise AssertionError("it never ends")

        task = asyncio.create_task(handler())
        while not names(tmp_path):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()

    asyncio.run(main())
    assert names(tmp_path) == []


def test_one_cancelled_while_its_file_is_made_leaves_nothing(tmp_path: Path) -> None:
    class Cancelled:
        sop_instance_uid = INSTANCE

        def part10_header(self) -> bytes:
            return b"header"

        async def pieces(self) -> list[bytes]:
            raise AssertionError("it is cancelled before")

        async def call(self, function: Any, *args: Any) -> Any:
            made = function(*args)
            held.append(made)  # as by a traceback, until it is collected
            raise asyncio.CancelledError

    held: list[Any] = []

    async def main() -> None:
        store: Any = Cancelled()
        async with async_received_file(store, tmp_path):
            raise AssertionError("it has none")

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(main())
    assert names(tmp_path) == []
    assert held


def test_each_shape_of_handler_is_told_of_its_own(tmp_path: Path) -> None:
    class Wrong:
        async def c_store(self, store: scp.Store) -> int:
            with received_file(store, tmp_path):  # type: ignore[arg-type]
                pass
            return 0

    class Other:
        def c_store(self, store: blocking_scp.Store) -> int:
            async_received_file(store, tmp_path).__aenter__().send(None)  # type: ignore[arg-type,attr-defined]
            return 0

    for service, told in ((Wrong(), "async with async_received_file"), (Other(), "with received_file")):
        joined = Joined(service)
        assert joined.loop.call(joined.peer.c_store(instance(100))) == 0xC211
        ((error, _),) = joined.reports
        assert isinstance(error, TypeError)
        assert told in str(error)
    assert names(tmp_path) == []
