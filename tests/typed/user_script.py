"""What a user writes, with the types a user sees: checked by ``mypy --strict`` beside the installed wheel, and run.

It uses each transport in both roles, handlers of each shape, and the pool. ``.ci/run`` takes it out of the checkout.
"""

from __future__ import annotations

import asyncio
import functools
import tempfile
from collections.abc import AsyncGenerator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import assert_type

import pydicom
import trio
from pydicom import Dataset

import sansdimse_asyncio
import sansdimse_socket
import sansdimse_trio
from sansdimse import SUCCESS, VERIFICATION, AsynchronousOperationsWindow, Limits, Outcome, PresentationContext, Status
from sansdimse.admission import Applicant, Budget, Decision, Grant
from sansdimse.peer.answer import Answer
from sansdimse.peer.watch import AssociationEnded, Occurrence, OperationEnded
from sansdimse_files import async_received_file, contexts_for, received_file

HOST = "127.0.0.1"
STUDY_ROOT_FIND = "1.2.840.10008.5.1.4.1.2.2.1"
FILES = Path(pydicom.__file__).parent / "data" / "test_files"
PATHS = [FILES / "CT_small.dcm", FILES / "MR_small.dcm"]
CONTEXTS: list[PresentationContext | str] = [VERIFICATION, STUDY_ROOT_FIND, *contexts_for(PATHS)]
WINDOW = AsynchronousOperationsWindow(4, 1)
PATIENT = replace(Limits(), dimse_response=60.0)


class Blocking:
    """Handlers that block, for any transport."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def c_echo(self, echo: sansdimse_socket.Echo) -> None:
        print("C-ECHO from", echo.association.calling_ae_title)

    def c_store(self, store: sansdimse_socket.Store) -> Status:
        with received_file(store, self.folder) as file:
            kept: Path = file.commit()
        return SUCCESS if kept.exists() else Status(0xA700)

    def c_find(self, find: sansdimse_socket.Find) -> Iterator[Dataset]:
        for number in range(3):
            match = Dataset()
            match.StudyID = f"{find.identifier.PatientName} {number}"
            yield match


class Async:
    """Handlers that await, for asyncio and trio."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    async def c_echo(self, echo: sansdimse_asyncio.Echo) -> int:
        return 0 if echo.association.called_ae_title else 0x0110

    async def c_store(self, store: sansdimse_asyncio.Store) -> Status:
        async with async_received_file(store, self.folder, exists="keep"):
            pass
        return SUCCESS

    async def c_find(self, find: sansdimse_trio.Find) -> AsyncGenerator[Dataset, None]:
        for number in range(3):
            match = Dataset()
            match.StudyID = f"{find.identifier.PatientName} {number}"
            yield match


def access(applicant: Applicant) -> Decision:
    return applicant.host == HOST


async def async_access(applicant: Applicant) -> Decision:
    return Grant(b"welcome") if applicant.calling_ae_title else False


def watch(occurrence: Occurrence) -> None:
    match occurrence:
        case AssociationEnded(statistics):
            received: int = statistics.outcome.bytes_received
            print(f"{statistics.address}: {received} bytes, {statistics.outcome}")
        case OperationEnded(address, outcome):
            print(f"{address}: {outcome.service} {outcome.ending.value}")


def query() -> Dataset:
    identifier = Dataset()
    identifier.QueryRetrieveLevel = "STUDY"
    identifier.PatientName = "DOE"
    identifier.StudyID = ""
    return identifier


def on_sockets(folder: Path) -> Outcome | None:
    with sansdimse_socket.serve(
        HOST,
        0,
        Blocking(folder),
        supports=[VERIFICATION, STUDY_ROOT_FIND],
        any_storage=True,
        access=access,
        watch=watch,
    ) as server:
        with sansdimse_socket.associate(HOST, server.port, contexts=CONTEXTS, window=WINDOW) as peer:
            assert_type(peer.c_echo(deadline=5.0), Answer)
            with peer.c_find(STUDY_ROOT_FIND, query()) as matches:
                studies: list[str] = [str(each.StudyID) for each in matches]
            assert studies == ["DOE 0", "DOE 1", "DOE 2"]
            for path, status in peer.c_store_each(PATHS):
                assert_type(path, Path)
                assert_type(status, Answer | Exception)
                assert status == SUCCESS
            with peer.within(10.0):
                peer.c_store(pydicom.dcmread(PATHS[0]), progress=lambda sent: None)
        with sansdimse_socket.Pool() as pool:
            with pool.association(sansdimse_socket.Destination(HOST, server.port), [VERIFICATION]) as pooled:
                assert_type(pooled, sansdimse_socket.Peer)
                pooled.c_echo()
            assert pool.statistics.opened == 1
    return peer.outcome


async def use(peer: sansdimse_asyncio.Peer) -> None:
    """The ``Peer`` of asyncio and that of trio are one."""
    answer = await peer.c_echo()
    assert answer == SUCCESS
    number: int = answer.response.message_id_being_responded_to
    assert number > 0
    async with peer.c_find(STUDY_ROOT_FIND, query()) as matches:
        assert [str(each.StudyID) async for each in matches] == ["DOE 0", "DOE 1", "DOE 2"]
    async with peer.c_store_each(PATHS) as results:
        async for path, status in results:
            assert_type(path, Path)
            assert status == SUCCESS, path


async def on_asyncio(folder: Path) -> None:
    offered = [VERIFICATION, STUDY_ROOT_FIND]
    for service in (Blocking(folder), Async(folder)):
        async with sansdimse_asyncio.serve(
            HOST, 0, service, supports=offered, any_storage=True, access=async_access, budget=Budget(associations=10)
        ) as server:
            async with (
                sansdimse_asyncio.associate(HOST, server.port, contexts=CONTEXTS, limits=PATIENT) as peer,
                asyncio.timeout(30),
                asyncio.TaskGroup() as group,
            ):
                group.create_task(use(peer))
                group.create_task(peer.c_echo())
            async with sansdimse_asyncio.Pool(most=2) as pool:
                to = sansdimse_asyncio.Destination(HOST, server.port)
                async with pool.association(to, [VERIFICATION], share=True) as pooled:
                    await pooled.c_echo()
    async with asyncio.TaskGroup() as group:
        started: asyncio.Future[sansdimse_asyncio.Server] = asyncio.get_running_loop().create_future()
        group.create_task(sansdimse_asyncio.run_server(HOST, 0, Async(folder), started=started, supports=offered))
        await (await started).close()


async def on_trio(folder: Path) -> None:
    for service in (Blocking(folder), Async(folder)):
        async with trio.open_nursery() as nursery:
            run = functools.partial(
                sansdimse_trio.run_server, HOST, 0, service, supports=[VERIFICATION, STUDY_ROOT_FIND], any_storage=True
            )
            server: sansdimse_trio.Server = await nursery.start(run)
            async with sansdimse_trio.associate(HOST, server.port, contexts=CONTEXTS) as peer:
                with trio.fail_after(30):
                    await use(peer)
            assert_type(peer.outcome, Outcome | None)
            await server.close(grace=1.0)


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        print(on_sockets(folder))
        asyncio.run(on_asyncio(folder))
        trio.run(on_trio, folder)
        print(len(list(folder.iterdir())), "files kept")


if __name__ == "__main__":
    main()
