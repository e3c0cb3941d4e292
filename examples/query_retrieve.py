"""A small archive on asyncio that one can query and retrieve from, and a client that does both.

The same client asks for its images in two ways: C-GET brings them over its own association, C-MOVE has the archive
send them to a third party. Run it as it is.
"""

import asyncio
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pydicom

from sansdimse import SUCCESS, VERIFICATION, PresentationContext, Status, sop_classes
from sansdimse.dataset import Dataset
from sansdimse.matching import Query, search
from sansdimse_asyncio import Find, Get, Move, Store, associate, serve
from sansdimse_files import async_received_file

FIND, GET, MOVE = sop_classes.STUDY_ROOT_FIND, sop_classes.STUDY_ROOT_GET, sop_classes.STUDY_ROOT_MOVE
IMAGES = (sop_classes.CT_IMAGE_STORAGE, sop_classes.MR_IMAGE_STORAGE)
TEST_FILES = Path(pydicom.__file__).parent / "data" / "test_files"


class Archive:
    """Two images, and where others can be reached."""

    def __init__(self, places: dict[str, tuple[str, int]]) -> None:
        self.places = places
        self.paths = [TEST_FILES / name for name in ("CT_small.dcm", "MR_small.dcm")]

    def rows(self) -> Iterator[Dataset]:
        """What an index would know of each image."""
        for path in self.paths:
            yield pydicom.dcmread(path, stop_before_pixels=True)

    def found(self, identifier: Dataset) -> list[Path]:
        """The files that a retrieval asks for."""
        query = Query(identifier)
        return [path for path, row in zip(self.paths, self.rows(), strict=True) if query.matches(row)]

    async def c_find(self, find: Find) -> AsyncIterator[Dataset]:
        """What matches, and how, PS3.4 C.2.2.2 says; the level and our title are filled in."""
        for match in search(find.check_identifier(), self.rows()):
            yield match

    async def c_get(self, get: Get) -> AsyncIterator[object]:
        """How many, then each."""
        paths = self.found(get.identifier)
        yield len(paths)
        for path in paths:
            yield path

    async def c_move(self, move: Move) -> AsyncIterator[object]:
        """Where to, how many, then each. None is a title that nobody knows: A801."""
        yield self.places.get(move.destination)
        paths = self.found(move.identifier)
        yield len(paths)
        for path in paths:
            yield path


class Keeper:
    """Keeps what it gets in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    async def c_store(self, store: Store) -> Status:
        """Each instance under its UID."""
        async with async_received_file(store, self.folder):
            return SUCCESS


def roles(*, scu: bool) -> list[PresentationContext]:
    """Contexts on which the requestor takes what a C-GET brings (PS3.4 C.5.3)."""
    return [PresentationContext(uid, scu=scu, scp=True) for uid in IMAGES]


async def main(here: Path, there: Path) -> None:
    """Find the studies; get each, and have each moved."""
    places: dict[str, tuple[str, int]] = {}
    async with (
        serve(
            "127.0.0.1", 0, Archive(places), ae_title="ARCHIVE", supports=[FIND, GET, MOVE, *roles(scu=False)]
        ) as pacs,
        serve("127.0.0.1", 0, Keeper(there), ae_title="THERE", supports=[VERIFICATION], any_storage=True) as third,
        associate("127.0.0.1", pacs.port, called="ARCHIVE", contexts=[FIND, GET, MOVE, *roles(scu=True)]) as peer,
    ):
        places["THERE"] = ("127.0.0.1", third.port)
        query = Dataset()
        query.QueryRetrieveLevel = "STUDY"
        query.PatientName = query.StudyInstanceUID = ""
        async with peer.c_find(FIND, query) as matches:
            studies = [match async for match in matches]
        for study in studies:
            print(study.StudyInstanceUID, study.PatientName, study.RetrieveAETitle)
            wanted = Dataset()
            wanted.QueryRetrieveLevel, wanted.StudyInstanceUID = "STUDY", study.StudyInstanceUID
            async with peer.c_get(GET, wanted, store=Keeper(here).c_store) as retrieval:
                print("  C-GET:", await retrieval.finished())
            async with peer.c_move(MOVE, wanted, "THERE") as retrieval:
                answer = await retrieval.finished()
                print("  C-MOVE:", answer, "-", answer.counters)

    for folder in (here, there):
        if len(list(folder.glob("*.dcm"))) != len(IMAGES):
            sys.exit(f"not everything has come to {folder.name}")
    print("every image has come twice")


with tempfile.TemporaryDirectory() as mine, tempfile.TemporaryDirectory() as others:
    asyncio.run(main(Path(mine), Path(others)))
