"""A query/retrieve archive of ours over files that come with pydicom, for every transport; and what asks others.

What tests expect is read from the files, never asked of ``sansdimse.matching``, which the archive answers by.
"""

from __future__ import annotations

import asyncio
import functools
import traceback
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Final

import trio
from pydicom import Dataset, dcmread
from pydicom.data import get_charset_files, get_testdata_file
from pydicom.uid import generate_uid

import sansdimse_asyncio
import sansdimse_socket
import sansdimse_trio
from archive import bundled, data_set_of
from interop import peers
from running import Running, running
from sansdimse import VERIFICATION, PresentationContext
from sansdimse.matching import Query
from sansdimse.peer.blocking import run
from sansdimse.service_classes.query_retrieve import level_of, unique_keys
from sansdimse.services.sop_classes import (
    PATIENT_ROOT_FIND,
    PATIENT_ROOT_GET,
    PATIENT_ROOT_MOVE,
    STORAGE,
    STUDY_ROOT_FIND,
    STUDY_ROOT_GET,
    STUDY_ROOT_MOVE,
)
from sansdimse_files import async_received_file, received_file

FIND: Final = {"-P": PATIENT_ROOT_FIND, "-S": STUDY_ROOT_FIND}
GET: Final = {"-P": PATIENT_ROOT_GET, "-S": STUDY_ROOT_GET}
MOVE: Final = {"-P": PATIENT_ROOT_MOVE, "-S": STUDY_ROOT_MOVE}
"""By DCMTK's option for the information model."""

UNIQUE: Final = {
    "PATIENT": "PatientID",
    "STUDY": "StudyInstanceUID",
    "SERIES": "SeriesInstanceUID",
    "IMAGE": "SOPInstanceUID",
}
LEVELS: Final = {"-P": ["PATIENT", "STUDY", "SERIES", "IMAGE"], "-S": ["STUDY", "SERIES", "IMAGE"]}
CHARACTER_SETS: Final = ("Arab", "Fren", "Germ", "Greek", "H31", "H32", "Hbrw", "I2", "Russ", "X1", "X2")
"""The files of pydicom's, each with a name in another character set, and the Patient ID that they have here."""

COMPRESSED: Final = {
    "JPEG lossless SV1": "SC_rgb_jpeg_gdcm.dcm",
    "JPEG baseline": "SC_rgb_jpeg_dcmtk.dcm",
    "JPEG 2000 lossless": "MR_small_jp2klossless.dcm",
    "JPEG-LS lossless": "MR_small_jpeg_ls_lossless.dcm",
    "RLE": "MR_small_RLE.dcm",
}


def image_files() -> list[Path]:
    """31 instances: two patients, six studies, CR, CT and MR, explicit VR little endian."""
    folder = get_testdata_file("dicomdirtests/DICOMDIR", download=False)
    assert isinstance(folder, str)
    root = Path(folder).parent
    return sorted(path for name in ("77654033", "98892001", "98892003") for path in (root / name).rglob("[0-9]*[0-9]"))


def character_set_files(folder: Path) -> list[Path]:
    """Secondary captures of one patient for each of ``CHARACTER_SETS``: all bundled have the same Patient ID."""
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for name in CHARACTER_SETS:
        (source,) = get_charset_files(f"chr{name}.dcm")
        dataset = dcmread(source)
        dataset.PatientID = name
        made.append(folder / f"{name}.dcm")
        dataset.save_as(made[-1])
    return made


def compressed_files(folder: Path) -> dict[str, Path]:
    """An instance in each of these transfer syntaxes, by its name, with UIDs of its own: some bundled share theirs."""
    folder.mkdir(parents=True, exist_ok=True)
    made = {}
    for name, source in COMPRESSED.items():
        dataset = dcmread(bundled(source))
        dataset.SOPInstanceUID = generate_uid(entropy_srcs=[source, "instance"])
        dataset.SeriesInstanceUID = generate_uid(entropy_srcs=[source, "series"])
        dataset.StudyInstanceUID = generate_uid(entropy_srcs=[source, "study"])
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        dataset.PatientID = f"SANSDIMSE {name}"
        dataset.pop(0xFFFCFFFC, None)  # padding, which DCMTK does not send
        made[name] = folder / source
        dataset.save_as(made[name])
    return made


def as_dcmtk_writes(files: Iterable[Path], folder: Path) -> list[Path]:
    """The same files as DCMTK encodes data sets, and so as DCMTK and Orthanc give them back, bit for bit."""
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for number, file in enumerate(files):
        made.append(folder / f"{number:03}.dcm")
        peers.run_tool("dcmconv", file, made[-1])
    return made


def identifier(level: str | None, **keys: Any) -> Dataset:
    """A query or retrieval at this level; the values as they are, so in no character set but ASCII."""
    dataset = Dataset()
    if level is not None:
        dataset.QueryRetrieveLevel = level
    for keyword, value in keys.items():
        setattr(dataset, keyword, value)
    return dataset


@functools.lru_cache(maxsize=1024)
def header(file: Path) -> Dataset:
    """A file's data set without its pixels; not for a file whose name another may get."""
    return dcmread(file, stop_before_pixels=True)


def path_to(model: str, level: str, file: Path) -> dict[str, str]:
    """The unique keys, with their values, of what ``file`` is in, from the top of the model to this level."""
    dataset = header(file)
    levels = LEVELS[model]
    return {UNIQUE[each]: str(dataset[UNIQUE[each]].value) for each in levels[: levels.index(level) + 1]}


def chosen(files: Iterable[Path], **keys: str) -> list[Path]:
    """The files whose attributes are these."""
    return [file for file in files if all(str(header(file)[key].value) == value for key, value in keys.items())]


def values(files: Iterable[Path], keyword: str) -> set[str]:
    """What the files have for this attribute."""
    return {str(header(file)[keyword].value) for file in files}


def contents(files: Iterable[Path]) -> dict[str, bytes]:
    """The data sets as they stand, by SOP Instance UID."""
    return {str(dcmread(file, stop_before_pixels=True).SOPInstanceUID): data_set_of(file) for file in files}


# ---------------------------------------------------------------- we answer


class QueryArchive:
    """Answers by generators. ``places`` are the destinations it knows, ``beside`` what it gives with each retrieval.

    Without ``checks`` it takes identifiers that their information model does not allow.
    """

    def __init__(
        self,
        files: Sequence[Path],
        places: dict[str, Any] | None = None,
        beside: Sequence[Any] = (),
        *,
        checks: bool = True,
    ) -> None:
        self.rows = [(header(file), file) for file in files]
        self.places = {} if places is None else places
        self.beside = list(beside)
        self.checks = checks
        self.asked: list[Dataset] = []

    def identifier(self, conversation: Any) -> Dataset:
        """What is asked for."""
        self.asked.append(conversation.check_identifier() if self.checks else conversation.identifier)
        return self.asked[-1]

    def matches(self, find: Any) -> Iterator[Dataset]:
        """One response for each entity of the level."""
        asked = self.identifier(find)
        query = Query(asked)
        keys = unique_keys(find.context.abstract_syntax, level_of(asked))
        told = set()
        for row, _ in self.rows:
            entity = tuple(str(row[tag].value) for tag in keys)
            if entity not in told and query.matches(row):
                told.add(entity)
                yield query.response(row)

    def found(self, retrieval: Any) -> list[Any]:
        """What to retrieve."""
        query = Query(self.identifier(retrieval))
        return [*(file for row, file in self.rows if query.matches(row)), *self.beside]

    def retrieved(self, retrieval: Any) -> Iterator[Any]:
        """A number, and then so many instances."""
        found = self.found(retrieval)
        yield len(found)
        yield from found

    def moved(self, move: Any) -> Iterator[Any]:
        """A destination before; and before that the identifier is checked."""
        given = self.retrieved(move)
        count = next(given)
        yield self.places.get(move.destination)
        yield count
        yield from given

    def c_find(self, find: Any) -> Any:
        yield from self.matches(find)

    def c_get(self, get: Any) -> Any:
        yield from self.retrieved(get)

    def c_move(self, move: Any) -> Any:
        yield from self.moved(move)


async def asleep() -> None:
    """Wait until one is cancelled, on whichever loop this is."""
    try:
        await trio.sleep_forever()
    except RuntimeError:  # it is not trio's
        await asyncio.Event().wait()


class AsyncQueryArchive(QueryArchive):
    """Answers by async generators."""

    async def c_find(self, find: Any) -> AsyncIterator[Any]:
        for each in self.matches(find):
            yield each

    async def c_get(self, get: Any) -> AsyncIterator[Any]:
        for each in self.retrieved(get):
            yield each

    async def c_move(self, move: Any) -> AsyncIterator[Any]:
        for each in self.moved(move):
            yield each


ANSWERING: Final = (
    ("socket", QueryArchive),
    ("asyncio", QueryArchive),
    ("asyncio", AsyncQueryArchive),
    ("trio", QueryArchive),
    ("trio", AsyncQueryArchive),
)
"""Transports, with the shapes of handler that are worth trying on them."""
ANSWERING_ONCE: Final = (("socket", QueryArchive), ("asyncio", AsyncQueryArchive), ("trio", QueryArchive))
"""Each transport once, where the shape of the handler makes no difference."""

SUPPORTS: Final = [
    VERIFICATION,
    *FIND.values(),
    *GET.values(),
    *MOVE.values(),
    *(PresentationContext(uid, (), scu=False, scp=True) for uid in STORAGE),
]


def reported(ours: Running) -> list[str]:
    """The kinds of error that were reported by the time its first association ended, which then count as expected."""
    ours.until(lambda: ours.ended)
    kinds = [type(error).__name__ for error, _ in ours.reports]
    ours.reports.clear()
    return kinds


@contextmanager
def serving(transport: str, archive: QueryArchive, **options: Any) -> Iterator[Running]:
    """The archive; afterwards nothing unexpected was reported."""
    given = {"ae_title": "ARCHIVE", "supports": SUPPORTS, "grace": 10.0, **options}
    with _unreported(running(transport, archive, **given)) as ours:
        yield ours


@contextmanager
def _unreported(server: AbstractContextManager[Running]) -> Iterator[Running]:
    """Nothing was reported that the test did not take; what was is seen if the test fails."""
    with server as ours:
        try:
            yield ours
        except BaseException:
            for error, where in ours.reports:
                print(where, *traceback.format_exception(error))
            raise
    assert ours.reports == []


# ---------------------------------------------------------------- we ask, and we keep


class Keeper:
    """Keeps what comes as files, and who is said to have asked for it."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.originators: list[tuple[str | None, int | None]] = []

    def came(self, store: Any) -> None:
        """Who is said to have moved it here."""
        request = store.request
        self.originators.append((request.move_originator_application_entity_title, request.move_originator_message_id))

    def c_store(self, store: Any) -> Any:
        self.came(store)
        with received_file(store, self.folder):
            pass
        return 0

    def taken(self) -> dict[str, bytes]:
        """The data sets that have come since last asked, by SOP Instance UID."""
        files = sorted(self.folder.iterdir())
        found = contents(files)
        for file in files:
            file.unlink()
        return found


class AsyncKeeper(Keeper):
    """The same in an ``async def``."""

    async def c_store(self, store: Any) -> Any:
        self.came(store)
        async with async_received_file(store, self.folder):
            pass
        return 0


def keeper(transport: str, folder: Path) -> Keeper:
    """What suits the transport best."""
    return (Keeper if transport == "socket" else AsyncKeeper)(folder)


@contextmanager
def keeping(transport: str, kept: Keeper, **options: Any) -> Iterator[Running]:
    """A store SCP of ours; afterwards nothing unexpected was reported."""
    given = {"ae_title": "KEEPER", "supports": [VERIFICATION], "any_storage": True, "grace": 10.0, **options}
    with _unreported(running(transport, kept, **given)) as ours:
        yield ours


def ask(transport: str, server: peers.Server, talk: Callable[[Any], Any], **options: Any) -> Any:
    """What a conversation gives that ``talk`` has with the ``Peer`` at this server."""
    options = {"called": server.ae_title, **options}
    if transport == "socket":
        with sansdimse_socket.associate(server.host, server.port, **options) as blocking:
            return run(talk(blocking._peer))

    async def main() -> Any:
        associate: Any = sansdimse_asyncio.associate if transport == "asyncio" else sansdimse_trio.associate
        async with associate(server.host, server.port, **options) as peer:
            return await talk(peer)

    return asyncio.run(main()) if transport == "asyncio" else trio.run(main)


def store_at(server: peers.Server, files: Sequence[Path]) -> None:
    """Fill a server."""
    from sansdimse_files import contexts_for

    with sansdimse_socket.associate(
        server.host, server.port, called=server.ae_title, contexts=contexts_for(files)
    ) as peer:
        assert [int(answer) for _, answer in peer.c_store_each(files)] == [0] * len(files)
