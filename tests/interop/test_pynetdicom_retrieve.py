"""Storage, queries and retrieval with pynetdicom, in both roles: every SOP class that it has, and C-CANCEL."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from contextlib import aclosing
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import pytest
import trio
from pydicom import Dataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.uid import UID

from interop import peers
from interop.exchanges import (
    BOTH_WAYS,
    Asked,
    Book,
    Script,
    Theirs,
    answering,
    built,
    c_store,
    exchange,
    kept_by_pynetdicom,
    known_to_pynetdicom,
    no_threads_left,
)
from interop.query_archive import ask
from running import HOST, TRANSPORTS, running
from sansdimse import VERIFICATION, Code, PresentationContext
from sansdimse.dimse.status import CANCEL, MOVE_DESTINATION_UNKNOWN
from sansdimse.peer.watch import AssociationEnded, Occurrence
from sansdimse.services.sop_classes import (
    COMPOSITE_INSTANCE_WITHOUT_BULK_DATA_GET,
    CT_IMAGE_STORAGE,
    STANDARD,
    STUDY_ROOT_FIND,
    STUDY_ROOT_GET,
    STUDY_ROOT_MOVE,
    ServiceClass,
    SopClass,
)

both_ways = pytest.mark.parametrize("who", BOTH_WAYS, ids="-".join)
KNOWN: Final = known_to_pynetdicom()

STORED_IN: Final = {
    "Hanging Protocol": "1.2.840.10008.5.1.4.38.1",
    "Color Palette": "1.2.840.10008.5.1.4.39.1",
    "Generic Implant Template": "1.2.840.10008.5.1.4.43.1",
    "Implant Assembly Template": "1.2.840.10008.5.1.4.44.1",
    "Implant Template Group": "1.2.840.10008.5.1.4.45.1",
    "Defined Procedure Protocol": "1.2.840.10008.5.1.4.1.1.200.1",
    "Protocol Approval": "1.2.840.10008.5.1.4.1.1.200.3",
    "Inventory": "1.2.840.10008.5.1.4.1.1.201.1",
}
"""The storage SOP class that an information model is of; CT images for those that are of any."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Theirs]:
    with answering(tmp_path_factory.mktemp("pynetdicom"), Theirs()) as theirs:
        yield theirs


@pytest.fixture
def theirs(server: Theirs) -> Iterator[Theirs]:
    """pynetdicom's server, shared; no thread of it or of ours is left behind by a test."""
    with no_threads_left():
        yield server


def instance(folder: Path, sop_class: str, number: int) -> Path:
    """A small instance of this class; its UID ends in the number."""
    made = Dataset()
    made.SpecificCharacterSet = "ISO_IR 192"
    made.SOPClassUID, made.SOPInstanceUID = sop_class, f"1.2.826.0.1.3680043.10.2.{number}"
    made.StudyInstanceUID, made.PatientID, made.PatientName = "1.2.826.0.1.3680043.10.3", "P1", "Mötley^Crüe"
    made.InstanceNumber = number
    if sop_class == CT_IMAGE_STORAGE:
        made.Rows, made.Columns, made.BitsAllocated, made.SamplesPerPixel = 100, 200, 8, 1
        made.PixelData = bytes([number]) * 20_000
        made["PixelData"].VR = "OW"
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = UID("1.2.840.10008.1.2.1")
    path = folder / f"{number}.dcm"
    made.save_as(path, enforce_file_format=True)
    return path


def contents(path: Path) -> Dataset:
    """A file's data set without its meta information."""
    return Dataset(dcmread(path))


# ---------------------------------------------------------------- Storage

STORAGE: Final = [row for row in STANDARD if "C-STORE" in row.dimse_services and row.uid in KNOWN]


BATCHES: Final = [[row.uid for row in STORAGE[start : start + 100]] for start in range(0, len(STORAGE), 100)]
"""So many at once as an association has contexts for."""


def test_all_storage_sop_classes_that_pynetdicom_has_are_stored() -> None:
    peers.require_pynetdicom()
    assert {uid for uid, name in KNOWN.items() if name in ("Storage", "NonPatientObjectStorage")} <= {
        row.uid for row in STORAGE
    }
    assert len(STORAGE) > 150
    assert {row.service_class for row in STORAGE} == {ServiceClass.STORAGE, ServiceClass.NON_PATIENT_OBJECT_STORAGE}


@pytest.mark.parametrize("uids", BATCHES, ids=len)
def test_pynetdicom_stores_every_class(theirs: Theirs, tmp_path: Path, uids: list[str]) -> None:
    kept = Book()
    paths = [instance(tmp_path, uid, number) for number, uid in enumerate(uids)]

    class Store:
        c_store = staticmethod(c_store(kept, "asyncio"))

    with (
        running("asyncio", Store(), supports=uids) as ours,
        peers.pynetdicom_scu(ours.port, [built(uid) for uid in uids]) as association,
    ):
        assert [association.send_c_store(dcmread(path)).Status for path in paths] == [0] * len(paths)
    assert kept.stored == list(map(contents, paths))
    assert ours.reports == []


@pytest.mark.parametrize("uids", BATCHES, ids=len)
def test_we_store_every_class(theirs: Theirs, tmp_path: Path, uids: list[str]) -> None:
    theirs.book = kept = Book()
    paths = [instance(tmp_path, uid, number) for number, uid in enumerate(uids)]

    async def talk(peer: Any) -> list[int]:
        async with peer.c_store_each(paths) as results:
            return [int(status) async for _, status in results]

    assert ask("asyncio", theirs.server, talk, contexts=uids) == [0] * len(paths)
    assert kept.stored == list(map(contents, paths))


# ---------------------------------------------------------------- queries and retrieval


class Archive(Book):
    """Has some matches and some instances, and knows one destination."""

    def __init__(self, matches: Sequence[Dataset] = (), paths: Sequence[Path] = (), port: int = 0) -> None:
        super().__init__()
        self.matches = matches
        self.paths = paths
        self.port = port

    def find(self, asked: Asked) -> Iterator[tuple[int, Dataset | None]]:
        for number, match in enumerate(self.matches):
            yield 0xFF01 if number % 2 else 0xFF00, match

    def retrieve(self, asked: Asked) -> Sequence[Path]:
        return self.paths

    def place(self, destination: str) -> tuple[str, int] | None:
        return (HOST, self.port) if destination == "KEEPER" else None


class Keeper(Book):
    """Answers C-STOREs with these statuses, then with Success."""

    def __init__(self, *statuses: int) -> None:
        super().__init__()
        self.statuses = list(statuses)

    def keep(self, data_set: Dataset, originator: tuple[str | None, int | None]) -> int:
        super().keep(data_set, originator)
        return self.statuses.pop(0) if self.statuses else 0


def models(service: str) -> list[SopClass]:
    """All that pynetdicom has, the retired too."""
    return [row for row in STANDARD if service in row.dimse_services and row.uid in KNOWN]


UNIQUE: Final = {"PATIENT": "PatientID", "STUDY": "StudyInstanceUID", "IMAGE": "SOPInstanceUID"}


def identifier(row: SopClass, value: str | list[str]) -> Dataset:
    """At the top level, with this value of the unique key."""
    made = Dataset()
    if row.levels:
        made.QueryRetrieveLevel = row.levels[0]
    setattr(made, UNIQUE[row.levels[0]] if row.levels else "SOPInstanceUID", value)
    return made


def query(row: SopClass) -> Dataset:
    if row.service_class is ServiceClass.RELEVANT_PATIENT_INFORMATION_QUERY:
        made = Dataset()
        made.PatientID = "P1"
    else:
        made = identifier(row, "")
    made.SpecificCharacterSet = "ISO_IR 192"
    made.PatientName = "Mötley*"
    if row.service_class is ServiceClass.BASIC_WORKLIST_MANAGEMENT:
        step = Dataset()
        step.Modality, step.ScheduledProcedureStepStartDate = "CT", "20240101-20240131"
        made.ScheduledProcedureStepSequence = [step]
    return made


def match_of(asked: Dataset, number: int) -> Dataset:
    match = Dataset(asked)
    match.PatientName = f"Mötley^Crüe {number}"
    match.RetrieveAETitle = "ARCHIVE"
    return match


@pytest.mark.parametrize("asks", ["pynetdicom", "we"])
@pytest.mark.parametrize("row", models("C-FIND"), ids=lambda row: row.keyword)
def test_every_query(theirs: Theirs, row: SopClass, asks: str) -> None:
    asked = Asked("C-FIND", row.uid, None, query(row))
    most = 1 if row.service_class is ServiceClass.RELEVANT_PATIENT_INFORMATION_QUERY else 3
    matches = [match_of(query(row), number) for number in range(most)]

    def script() -> Script:
        said = yield asked
        assert (said.status, said.matches) == (0, tuple(matches))

    book = Archive(matches)
    exchange((asks, "asyncio"), theirs, book, script(), [row.uid])
    assert book.asked == [asked]


@both_ways
def test_a_query_that_is_refused(theirs: Theirs, who: tuple[str, str]) -> None:
    class Refuses(Archive):
        def find(self, asked: Asked) -> Iterator[tuple[Any, Dataset | None]]:
            yield from super().find(asked)
            status = Dataset()
            status.Status, status.ErrorComment, status.OffendingElement = 0xA900, "no such study", [0x0020000D]
            yield status, None

    row = STANDARD.rows[STUDY_ROOT_FIND]
    matches = (match_of(query(row), 1),)

    def script() -> Script:
        said = yield Asked("C-FIND", row.uid, None, query(row))
        assert (said.status, said.comment, said.offending) == (0xA900, "no such study", (0x0020000D,))
        assert said.matches == matches

    exchange(who, theirs, Refuses(matches), script(), [row.uid])


def retrieved(asked: Asked, paths: Sequence[Path]) -> Script:
    said = yield asked
    assert said.status == 0
    assert said.counters in ((None, len(paths), 0, 0), (0, len(paths), 0, 0))  # pynetdicom tells what remains
    assert said.failed == ()


@pytest.mark.parametrize("asks", ["pynetdicom", "we"])
@pytest.mark.parametrize("row", models("C-GET"), ids=lambda row: row.keyword)
def test_every_get(theirs: Theirs, tmp_path: Path, row: SopClass, asks: str) -> None:
    storage = STORED_IN.get(row.information_model, CT_IMAGE_STORAGE)
    paths = [instance(tmp_path, storage, number) for number in range(3)]
    asked = Asked("C-GET", row.uid, None, identifier(row, "1.2.3"))
    book, kept = Archive(paths=paths), Keeper()
    exchange((asks, "asyncio"), theirs, book, retrieved(asked, paths), [row.uid], stored=[storage], kept=kept)
    assert book.asked == [asked]
    wanted = list(map(contents, paths))
    if row.uid == COMPOSITE_INSTANCE_WITHOUT_BULK_DATA_GET:
        for each in wanted:
            del each.PixelData
    assert kept.stored == wanted


def move(
    who: tuple[str, str], theirs: Theirs, book: Archive, script: Script, row: SopClass, kept: Keeper, storage: str
) -> None:
    """Who is asked stores at the other: pynetdicom at a server of ours, we at pynetdicom's."""
    if who[0] == "pynetdicom":
        theirs.book, book.port = kept, theirs.server.port
        exchange(who, theirs, book, script, [row.uid])
        return

    class Store:
        c_store = staticmethod(c_store(kept, who[1]))

    with running(who[1], Store(), supports=[storage]) as ours:
        book.port = ours.port
        exchange(who, theirs, book, script, [row.uid])
        ours.until(lambda: ours.ended)
    assert ours.reports == []


@pytest.mark.parametrize("asks", ["pynetdicom", "we"])
@pytest.mark.parametrize("row", models("C-MOVE"), ids=lambda row: row.keyword)
def test_every_move(theirs: Theirs, tmp_path: Path, row: SopClass, asks: str) -> None:
    storage = STORED_IN.get(row.information_model, CT_IMAGE_STORAGE)
    paths = [instance(tmp_path, storage, number) for number in range(3)]
    asked = Asked("C-MOVE", row.uid, None, identifier(row, "1.2.3"), destination="KEEPER")
    book, kept = Archive(paths=paths), Keeper()
    move((asks, "asyncio"), theirs, book, retrieved(asked, paths), row, kept, storage)
    assert book.asked == [asked]
    assert kept.stored == list(map(contents, paths))
    if asks == "pynetdicom":  # whose requests all have message ID 1; as the SCP it gives its own title
        assert kept.originators == [("PYNETDICOM", 1)] * 3


@both_ways
@pytest.mark.parametrize("service", ["C-GET", "C-MOVE"])
def test_what_failed_is_told(theirs: Theirs, tmp_path: Path, who: tuple[str, str], service: str) -> None:
    paths = [instance(tmp_path, CT_IMAGE_STORAGE, number) for number in range(4)]
    row = STANDARD.rows[STUDY_ROOT_GET if service == "C-GET" else STUDY_ROOT_MOVE]
    destination = "" if service == "C-GET" else "KEEPER"
    asked = Asked(service, row.uid, None, identifier(row, "1.2.3"), destination=destination)

    def script() -> Script:
        said = yield asked
        assert said.status == 0xB000
        assert said.counters[1:] == (2, 1, 1)
        assert said.failed == (contents(paths[1]).SOPInstanceUID,)
        said = yield asked
        assert said.status == 0xA702
        assert said.counters[1:] == (0, 4, 0)
        assert said.failed == tuple(contents(path).SOPInstanceUID for path in paths)
        if destination:
            nowhere = Asked(service, row.uid, None, identifier(row, "1.2.3"), destination="NOWHERE")
            said = yield nowhere
            assert said.status == MOVE_DESTINATION_UNKNOWN

    book, kept = Archive(paths=paths), Keeper(0, 0xA700, 0xB000, 0, 0xA700, 0xA700, 0xA900, 0xC000)
    if destination:
        move(who, theirs, book, script(), row, kept, CT_IMAGE_STORAGE)
    else:
        exchange(who, theirs, book, script(), [row.uid], stored=[CT_IMAGE_STORAGE], kept=kept)
    assert len(kept.stored) == 8


# ---------------------------------------------------------------- C-CANCEL

MANY: Final = 1000
AFTER: Final = 3
"""So many have come when the rest is not wanted any more."""

SEND: Final = {STUDY_ROOT_FIND: "send_c_find", STUDY_ROOT_GET: "send_c_get", STUDY_ROOT_MOVE: "send_c_move"}
each_operation = pytest.mark.parametrize("model", SEND, ids=["find", "get", "move"])


class Slow(Theirs):
    """Of a thousand it gives one every few milliseconds, until it is told to stop."""

    path = Path()
    port = 0
    cancelled = 0

    def _each(self, event: Any, what: Dataset) -> Iterator[Any]:
        for _ in range(MANY):
            if event.is_cancelled:
                self.cancelled += 1
                yield 0xFE00, None
                return
            yield 0xFF00, what
            time.sleep(0.002)

    def find(self, event: Any) -> Iterator[Any]:
        yield from self._each(event, match_of(event.identifier, 1))

    def get(self, event: Any) -> Iterator[Any]:
        yield MANY
        yield from self._each(event, dcmread(self.path))

    def move(self, event: Any) -> Iterator[Any]:
        yield HOST, self.port, {"contexts": [built(CT_IMAGE_STORAGE)]}
        yield from self.get(event)


@pytest.fixture(scope="module")
def slow_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slow]:
    with answering(tmp_path_factory.mktemp("slow"), Slow()) as slow:
        yield slow


@pytest.fixture
def slow(slow_server: Slow, tmp_path: Path) -> Iterator[Slow]:
    slow_server.cancelled = 0
    slow_server.path = instance(tmp_path, CT_IMAGE_STORAGE, 1)
    with no_threads_left():
        yield slow_server


async def find_and_cancel(peer: Any, kept: Book) -> None:
    came = 0
    async with peer.c_find(STUDY_ROOT_FIND, query(STANDARD.rows[STUDY_ROOT_FIND])) as matches:
        async for _ in matches:
            came += 1
            if came == AFTER:
                matches.cancel()
    assert matches.answer == CANCEL
    assert AFTER <= came < MANY


async def retrieve_and_cancel(peer: Any, kept: Book, model: str, **options: Any) -> None:
    before = len(kept.stored)
    invoke = peer.c_get if model == STUDY_ROOT_GET else peer.c_move
    async with invoke(model, identifier(STANDARD.rows[model], "1.2.3"), **options) as retrieval:
        async for progress in retrieval:
            if progress.completed == AFTER:
                retrieval.cancel()
    assert retrieval.answer == CANCEL
    counters = retrieval.answer.counters
    assert (counters.failed, counters.warning) == (0, 0)
    assert AFTER <= counters.completed == len(kept.stored) - before < MANY
    assert counters.remaining + counters.completed == MANY


@each_operation
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_we_cancel_what_pynetdicom_does(slow: Slow, transport: str, model: str) -> None:
    kept = Keeper()
    handler = c_store(kept, transport)
    cancelling: dict[str, Callable[[Any], Any]] = {
        STUDY_ROOT_FIND: lambda peer: find_and_cancel(peer, kept),
        STUDY_ROOT_GET: lambda peer: retrieve_and_cancel(peer, kept, model, store=handler),
        STUDY_ROOT_MOVE: lambda peer: retrieve_and_cancel(peer, kept, model, destination="KEEPER"),
    }

    async def talk(peer: Any) -> None:
        for _ in range(2):
            await cancelling[model](peer)
            assert await peer.c_echo() == 0

    contexts = [VERIFICATION, model, PresentationContext(CT_IMAGE_STORAGE, scu=False, scp=True)]
    with running(transport, SimpleNamespace(c_store=handler), supports=[CT_IMAGE_STORAGE]) as ours:
        slow.port = ours.port
        ask(transport, slow.server, talk, contexts=contexts)
    assert slow.cancelled == 2
    assert ours.reports == []


class Waits:
    """Of ten it gives three, and then waits for a minute, or until it is told to stop."""

    count = 10

    def __init__(self, path: Path, port: int) -> None:
        self.path = path
        self.port = port

    def wait(self, request: Any) -> None:
        while not request.cancelled:
            time.sleep(0.002)

    def c_find(self, find: Any) -> Iterator[Any]:
        for number in range(AFTER):
            yield match_of(find.identifier, number)
        self.wait(find)

    def c_get(self, get: Any) -> Iterator[Any]:
        yield self.count
        for _ in range(AFTER):
            yield self.path
        self.wait(get)

    def c_move(self, move: Any) -> Iterator[Any]:
        yield HOST, self.port
        yield from self.c_get(move)


class WaitsAsync:
    """The same by async generators, which are interrupted where they wait."""

    count = Waits.count

    def __init__(self, path: Path, port: int) -> None:
        self.given = Waits(path, port)
        self.given.wait = lambda request: None  # type: ignore[method-assign]
        self.left = 0

    async def _each(self, given: Iterator[Any]) -> AsyncGenerator[Any, None]:
        try:
            for each in given:
                yield each
            await (trio.sleep if in_trio() else asyncio.sleep)(60)
            raise AssertionError("nobody has told it to stop")
        finally:
            self.left += 1

    async def c_find(self, find: Any) -> AsyncIterator[Any]:
        async with aclosing(self._each(self.given.c_find(find))) as each_of_them:
            async for each in each_of_them:
                yield each

    async def c_get(self, get: Any) -> AsyncIterator[Any]:
        async with aclosing(self._each(self.given.c_get(get))) as each_of_them:
            async for each in each_of_them:
                yield each

    async def c_move(self, move: Any) -> AsyncIterator[Any]:
        async with aclosing(self._each(self.given.c_move(move))) as each_of_them:
            async for each in each_of_them:
                yield each


def in_trio() -> bool:
    try:
        trio.lowlevel.current_task()
    except RuntimeError:
        return False
    return True


WAITING: Final = [("socket", Waits), ("asyncio", Waits), ("asyncio", WaitsAsync), ("trio", Waits), ("trio", WaitsAsync)]


@each_operation
@pytest.mark.parametrize(("transport", "waits"), WAITING)
def test_pynetdicom_cancels_what_we_do(
    theirs: Theirs, tmp_path: Path, transport: str, waits: type[Waits | WaitsAsync], model: str
) -> None:
    from pynetdicom import build_role, evt

    theirs.book = kept = Keeper()
    row = STANDARD.rows[model]
    service: Waits | WaitsAsync = waits(instance(tmp_path, CT_IMAGE_STORAGE, 1), theirs.server.port)
    supports = [VERIFICATION, *SEND, PresentationContext(CT_IMAGE_STORAGE, (), scu=False, scp=True)]
    with (
        running(transport, service, supports=supports) as ours,
        peers.pynetdicom_scu(
            ours.port,
            [built(uid) for uid in (VERIFICATION, model, CT_IMAGE_STORAGE)],
            [(evt.EVT_C_STORE, partial(kept_by_pynetdicom, kept))],
            roles=[build_role(CT_IMAGE_STORAGE, scp_role=True)],
        ) as association,
    ):
        stored: list[int] = []
        for message_id in (7, 9):
            asked = query(row) if model == STUDY_ROOT_FIND else identifier(row, "1.2.3")
            rest = ["KEEPER", model, message_id] if model == STUDY_ROOT_MOVE else [model, message_id]
            responses = getattr(association, SEND[model])(asked, *rest)
            told: list[Dataset] = []
            for status, _ in responses:
                if not told:
                    association.send_c_cancel(message_id, query_model=model)
                told.append(status)
            assert [each.Status for each in told] == [0xFF00] * (len(told) - 1) + [CANCEL]
            assert 1 < len(told) <= AFTER + 1
            if model != STUDY_ROOT_FIND:
                stored.append(told[-1].NumberOfCompletedSuboperations)
                assert told[-1].NumberOfRemainingSuboperations + stored[-1] == service.count
            assert association.send_c_echo().Status == 0
    assert ours.reports == []
    assert len(kept.stored) == sum(stored)
    if isinstance(service, WaitsAsync):
        assert service.left == 2


# ---------------------------------------------------------------- an old toolkit


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_c_get_is_served_where_the_answer_passes_over_the_roles(tmp_path: Path, transport: str) -> None:
    """Toolkits exist that take C-GET and know nothing of role selection; pynetdicom is made one of them."""
    from pynetdicom import evt

    path, kept = instance(tmp_path, CT_IMAGE_STORAGE, 1), Keeper()
    ended: list[AssociationEnded] = []
    theirs = Theirs()
    theirs.book = Archive(paths=[path] * 2)

    def forget(event: Any) -> None:
        """It acts by the roles, and does not say so."""
        event.assoc.acceptor.add_negotiation_item = lambda item: None

    def watch(occurrence: Occurrence) -> None:
        if isinstance(occurrence, AssociationEnded):
            ended.append(occurrence)

    async def talk(peer: Any) -> None:
        for _ in range(2):
            async with peer.c_get(
                STUDY_ROOT_GET, identifier(STANDARD.rows[STUDY_ROOT_GET], "1.2.3"), store=c_store(kept, transport)
            ) as retrieval:
                answer = await retrieval.finished()
            assert (answer, answer.counters.completed) == (0, 2)

    contexts = [built(uid) for uid in (STUDY_ROOT_GET, CT_IMAGE_STORAGE)]
    contexts[1].scu_role = contexts[1].scp_role = True
    handlers = [*theirs.handlers(), (evt.EVT_REQUESTED, forget)]
    with (
        no_threads_left(),
        peers.pynetdicom_scp(tmp_path / "scp", handlers, contexts=contexts) as server,
    ):
        proposed = [STUDY_ROOT_GET, PresentationContext(CT_IMAGE_STORAGE, scu=False, scp=True)]
        ask(transport, server, talk, contexts=proposed, watch=watch)
    assert kept.stored == [contents(path)] * 4
    (end,) = ended
    assert [each.code for each in end.statistics.deviations] == [Code.ROLE_UNANSWERED] * 4
    assert theirs.errors == []
