"""An archive on trio, and a client with four tasks on one association; then one request takes too long.

Run it as it is. ``asyncio_archive.py`` is the same on asyncio.
"""

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pydicom
import trio
from pydicom.uid import generate_uid

from sansdimse import SUCCESS, VERIFICATION, AsynchronousOperationsWindow, Status
from sansdimse.dataset import Dataset
from sansdimse.peer.watch import Occurrence, OperationEnded
from sansdimse_files import async_received_file
from sansdimse_trio import Peer, Store, associate, serve

CT_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.2"
WINDOW = AsynchronousOperationsWindow(8, 1)  # eight of ours at once, one of the peer's


class Archive:
    """Keeps what it gets in a folder, each instance under its UID."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.index_is_free = trio.Event()
        self.index_is_free.set()

    async def c_store(self, store: Store) -> Status:
        """A task of its own for each C-STORE: while it waits, others begin."""
        async with async_received_file(store, self.folder):  # the disk is waited for in a worker thread
            pass
        await self.index_is_free.wait()
        return SUCCESS


async def store_all(peer: Peer, datasets: Sequence[Dataset]) -> None:
    """One of the tasks. The next data set goes out while the answers to those before are awaited."""
    async with peer.c_store_each(datasets) as results:
        async for dataset, status in results:
            if status != SUCCESS:
                print(dataset.SOPInstanceUID, status)


def told(occurrence: Occurrence) -> None:
    """Watches the association: what became of each request, also of one that nobody waits for any more."""
    if isinstance(occurrence, OperationEnded) and occurrence.outcome.ending.value != "answered":
        outcome = occurrence.outcome
        print(f"the {outcome.service} that was given up: {outcome.ending.value}, {outcome.status}")


async def main(folder: str) -> None:
    """Store twenty-four images in four tasks; then one more, with a time-out."""
    path = Path(pydicom.__file__).parent / "data" / "test_files" / "CT_small.dcm"
    *many, last = (pydicom.dcmread(path) for _ in range(25))
    for dataset in (*many, last):
        dataset.SOPInstanceUID = generate_uid()

    archive = Archive(folder)
    offered = [VERIFICATION, CT_IMAGE_STORAGE]
    async with (
        serve("127.0.0.1", 0, archive, ae_title="ARCHIVE", supports=offered, window=WINDOW) as server,
        associate("127.0.0.1", server.port, called="ARCHIVE", contexts=offered, window=WINDOW, watch=told) as peer,
    ):
        async with trio.open_nursery() as nursery:
            for first in range(4):
                nursery.start_soon(store_all, peer, many[first::4])

        archive.index_is_free = trio.Event()
        with trio.move_on_after(0.2) as patience:
            await peer.c_store(last)
        if patience.cancelled_caught:  # the request was given up, its answer will be dropped when it comes
            print("an image took too long")
        archive.index_is_free.set()
        print("C-ECHO on the same association:", await peer.c_echo())
    print("The end:", peer.outcome)

    for dataset in many:
        if pydicom.dcmread(Path(folder) / f"{dataset.SOPInstanceUID}.dcm") != dataset:
            sys.exit(f"{dataset.SOPInstanceUID} is not what was stored")
    print(f"{len(many)} images stored as they were sent")


with tempfile.TemporaryDirectory() as name:
    trio.run(main, name)
