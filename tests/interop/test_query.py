"""C-FIND with the software of others, in both roles: findscu, dcmqrscp, Orthanc, pynetdicom."""

from __future__ import annotations

import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset, dcmread, dcmwrite
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from archive import Running, archive, bundled, until
from interop import peers
from interop.query_archive import (
    ANSWERING,
    ANSWERING_ONCE,
    LEVELS,
    UNIQUE,
    AsyncQueryArchive,
    QueryArchive,
    ask,
    asleep,
    character_set_files,
    chosen,
    image_files,
    path_to,
    serving,
    store_at,
    values,
)
from running import HOST, TRANSPORTS, running
from running import Running as Beside
from sansdimse import SUCCESS, VERIFICATION, Code, OutcomeKind
from sansdimse.dimse.status import CANCEL
from sansdimse.services.sop_classes import (
    CT_IMAGE_STORAGE,
    MODALITY_WORKLIST_FIND,
    MR_IMAGE_STORAGE,
    PATIENT_ROOT_FIND,
    STUDY_ROOT_FIND,
)
from sansdimse_socket import Failure, Find, associate

EVERY = "STUDY"
FILES = [bundled("CT_small.dcm"), bundled("MR_small.dcm")]
MODELS = [PATIENT_ROOT_FIND, STUDY_ROOT_FIND, MODALITY_WORKLIST_FIND]


def query(level: str | None = EVERY, **keys: str) -> Dataset:
    dataset = Dataset()
    if level is not None:
        dataset.QueryRetrieveLevel = level
    for keyword, value in keys.items():
        setattr(dataset, keyword, value)
    return dataset


# ---------------------------------------------------------------- we answer


class Index:
    """Finds so many studies of whoever is asked for, and says what it was asked."""

    def __init__(self, studies: int = 3) -> None:
        self.studies = studies
        self.asked: list[Dataset] = []
        self.given = 0
        self.closed = 0

    def c_find(self, find: Find) -> Iterator[Any]:
        self.asked.append(find.identifier)
        try:
            for number in range(self.studies):
                match = query(None, PatientID=f"P{number}", PatientName="Mötley^Crüe", StudyInstanceUID=f"1.2.{number}")
                match.SpecificCharacterSet = "ISO_IR 192"
                self.given += 1
                yield (0xFF01, match) if number % 2 else match
        finally:
            self.closed += 1


def finding(folder: Path, service: object, **options: Any) -> Any:
    return archive(folder, service, supports=[VERIFICATION, *MODELS], any_storage=False, **options)


def findscu(ours: Running, *options: str | Path, cwd: Path | None = None) -> str:
    done = peers.run_tool("findscu", "-v", *options, "-k", "PatientID=*", *ours.address, cwd=cwd)
    return done.stdout


@pytest.mark.parametrize("syntax", [[], ["-xe"], ["-xb"], ["-xi"]], ids=["default", "-xe", "-xb", "-xi"])
@pytest.mark.parametrize("model", ["-P", "-S", "-W"])
def test_findscu_gets_every_match(tmp_path: Path, model: str, syntax: list[str]) -> None:
    index = Index()
    level = [] if model == "-W" else ["-k", "QueryRetrieveLevel=STUDY"]
    with finding(tmp_path / "ours", index) as ours:
        said = findscu(ours, model, *syntax, *level, "-X", "-od", tmp_path, cwd=tmp_path)
        assert "Received Final Find Response (Success)" in said, said
        ended, outcome = ours.end()
    matches = [dcmread(path, force=True) for path in sorted(tmp_path.glob("rsp*.dcm"))]
    assert [(match.PatientID, str(match.PatientName)) for match in matches] == [
        (f"P{number}", "Mötley^Crüe") for number in range(3)
    ]
    if model != "-W":
        assert {(match.QueryRetrieveLevel, match.RetrieveAETitle) for match in matches} == {("STUDY", "ANY-SCP")}
    (asked,) = index.asked
    assert asked.PatientID == "*"
    assert outcome.kind is OutcomeKind.RELEASED
    assert {each.code for each in ended.deviations} <= {Code.RESERVED_NOT_ZERO}


def test_findscu_gets_a_failure_and_what_it_says(tmp_path: Path) -> None:
    class Refuses:
        def c_find(self, find: Find) -> Iterator[Any]:
            yield query(None, PatientID="P0")
            raise Failure(0xA700, "the index is being rebuilt")

    with finding(tmp_path / "ours", Refuses()) as ours:
        said = findscu(ours, "-S", "-d", "-k", "QueryRetrieveLevel=STUDY")
        ours.end()
    assert "the index is being rebuilt" in said
    assert "0xa700" in said


def test_findscu_cancels(tmp_path: Path) -> None:
    index = Index(100_000)
    with finding(tmp_path / "ours", index) as ours:
        said = findscu(ours, "-S", "--cancel", "5", "-k", "QueryRetrieveLevel=STUDY")
        _, outcome = ours.end()
    assert "Sending Cancel" in said, said
    assert "Received Final Find Response (Cancel: MatchingTerminatedDueToCancelRequest)" in said, said[-2000:]
    assert outcome.kind is OutcomeKind.RELEASED
    assert index.closed == 1
    assert 5 <= index.given < index.studies


class Endless:
    """Finds one, and no more before it is cancelled: a handler that blocks may have several wait for the next."""

    def __init__(self) -> None:
        self.cancelled: list[bool] = []

    def c_find(self, find: Any) -> Iterator[Any]:
        yield query(PatientID="in time")
        until(lambda: find.cancelled, "the C-CANCEL")
        self.cancelled.append(find.cancelled)
        yield query(PatientID="too late")


class AsyncEndless(Endless):
    """The same in an ``async def``, which is cancelled."""

    async def c_find(self, find: Any) -> AsyncIterator[Any]:  # type: ignore[override]
        yield query(PatientID="in time")
        try:
            await asleep()
        finally:
            self.cancelled.append(find.cancelled)


@pytest.mark.parametrize(
    ("transport", "service"),
    [(transport, AsyncEndless if kind is AsyncQueryArchive else Endless) for transport, kind in ANSWERING],
)
def test_findscu_cancels_whatever_the_handler_does(tmp_path: Path, transport: str, service: type[Endless]) -> None:
    endless = service()
    with running(transport, endless, supports=[STUDY_ROOT_FIND], grace=10.0) as ours:
        options = ["-v", "-S", "-X", "--cancel", "1", "-k", "QueryRetrieveLevel=STUDY", "-k", "PatientID=*"]
        said = peers.run_tool("findscu", *options, HOST, str(ours.port), cwd=tmp_path).stdout
        ours.until(lambda: ours.ended)
        assert [each.outcome.kind for each in ours.ended] == [OutcomeKind.RELEASED]
        assert [each.status for each in ours.operations] == [CANCEL]
        assert ours.reports == []
    assert "Received Final Find Response (Cancel: MatchingTerminatedDueToCancelRequest)" in said
    assert [dcmread(path, force=True).PatientID for path in tmp_path.glob("rsp*.dcm")] == ["in time"]
    until(lambda: endless.cancelled, "the end of the handler")  # in its thread, if it has one
    assert endless.cancelled == [True]


# ---------------------------------------------------------------- an archive of ours, with all levels


IMAGES = image_files()


def found_by_findscu(ours: Beside, folder: Path, model: str, *files: Path, **keys: str) -> list[Dataset]:
    """What it writes of the responses; it asks with the files, or with the keys."""
    folder.mkdir()
    given = [word for key, value in keys.items() for word in ("-k", f"{key}={value}")]
    said = peers.run_tool("findscu", "-v", model, "-X", *given, HOST, str(ours.port), *files, cwd=folder).stdout
    assert "Received Final Find Response (Success)" in said
    return [dcmread(path, force=True) for path in sorted(folder.glob("rsp*.dcm"))]


@pytest.mark.parametrize(("transport", "kind"), ANSWERING_ONCE)
def test_findscu_finds_what_is_at_every_level(tmp_path: Path, transport: str, kind: type[QueryArchive]) -> None:
    with serving(transport, kind(IMAGES)) as ours:
        for model, levels in LEVELS.items():
            for place, level in enumerate(levels):
                keys = path_to(model, levels[place - 1], IMAGES[-1]) if place else {}
                asked = {**keys, "QueryRetrieveLevel": level, UNIQUE[level]: ""}
                if level == "SERIES":
                    asked["Modality"] = "MR"
                found = found_by_findscu(ours, tmp_path / f"{model}{level}", model, **asked)
                expected = chosen(IMAGES, **keys, **({"Modality": "MR"} if level == "SERIES" else {}))
                assert sorted(str(match[UNIQUE[level]].value) for match in found) == sorted(
                    values(expected, UNIQUE[level])
                )
                assert {(match.QueryRetrieveLevel, match.RetrieveAETitle) for match in found} == {(level, "ANY-SCP")}
                assert all(match[key].value == value for match in found for key, value in keys.items())


def test_findscu_asks_for_names_in_all_character_sets(tmp_path: Path) -> None:
    """In that of the candidate, and in UTF-8; what comes back is as it stands in the candidate."""
    files = character_set_files(tmp_path / "files")
    with serving("socket", QueryArchive(files)) as ours:
        for file in files:
            dataset = dcmread(file)
            for number, (character_set, text) in enumerate(
                [
                    (dataset.SpecificCharacterSet, str(dataset.PatientName)),
                    ("ISO_IR 192", str(dataset.PatientName)),
                    ("ISO_IR 192", f"{str(dataset.PatientName)[:2]}*"),
                ]
            ):
                asked = query(PatientName=text, PatientID="", StudyInstanceUID="")
                asked.SpecificCharacterSet = character_set
                asked.file_meta = FileMetaDataset()
                asked.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
                sent = tmp_path / f"{file.stem}{number}.dcm"
                dcmwrite(sent, asked, enforce_file_format=False)
                found = found_by_findscu(ours, tmp_path / f"{file.stem}{number}", "-S", sent)
                (match,) = [match for match in found if match.PatientID == file.stem]
                if number < 2:
                    assert len(found) == len([each for each in files if dcmread(each).PatientName == text])
                assert match.SpecificCharacterSet == dataset.SpecificCharacterSet
                told, held = (each.get_item("PatientName").value for each in (match, dcmread(file)))
                assert told.rstrip(b" =") == held.rstrip(b" =")


@pytest.mark.parametrize(("transport", "kind"), ANSWERING_ONCE)
def test_findscu_is_told_what_is_wrong_with_its_query(tmp_path: Path, transport: str, kind: type[QueryArchive]) -> None:
    with serving(transport, kind(IMAGES)) as ours:
        for number, keys in enumerate(
            [
                {"QueryRetrieveLevel": "SERIES", "SeriesInstanceUID": ""},
                {"QueryRetrieveLevel": "STUDY", "SeriesInstanceUID": "1.2.3"},
                {"QueryRetrieveLevel": "PATIENT", "PatientID": ""},
            ]
        ):
            given = [word for key, value in keys.items() for word in ("-k", f"{key}={value}")]
            said = peers.run_tool("findscu", "-d", "-S", *given, HOST, str(ours.port), check=False).stdout
            assert "DIMSE Status                  : 0xa900" in said, said
            assert ("(0020,000d)", "(0020,000e)", "(0008,0052)")[number] in said.lower()


def test_pynetdicom_finds_and_cancels(tmp_path: Path) -> None:
    pynetdicom = peers.require_pynetdicom()
    ae = pynetdicom.AE()
    ae.add_requested_context(STUDY_ROOT_FIND)
    index = Index(10_000)
    with finding(tmp_path / "ours", index) as ours:
        association = ae.associate("127.0.0.1", int(ours.address[1]))
        assert association.is_established
        statuses = []
        for number, (status, _) in enumerate(association.send_c_find(query(PatientID="*"), STUDY_ROOT_FIND, 7), 1):
            statuses.append(status.Status)
            if number == 3:
                association.send_c_cancel(7, query_model=STUDY_ROOT_FIND)
        assert statuses[-1] == CANCEL
        # The association goes on.
        index.studies = 4
        again = [status.Status for status, _ in association.send_c_find(query(PatientID="*"), STUDY_ROOT_FIND)]
        assert again == [0xFF00, 0xFF01, 0xFF00, 0xFF01, 0x0000]
        association.release()
        ours.end()


# ---------------------------------------------------------------- we ask


def stored(server: peers.Server) -> None:
    with associate(
        server.host, server.port, called=server.ae_title, contexts=[CT_IMAGE_STORAGE, MR_IMAGE_STORAGE]
    ) as peer:
        assert [answer for _, answer in peer.c_store_each(FILES)] == [SUCCESS] * 2


@pytest.fixture
def server(request: pytest.FixtureRequest) -> peers.Server:
    found = request.getfixturevalue(request.param)
    assert isinstance(found, peers.Server)
    return found


@pytest.mark.parametrize("server", ["dcmqrscp", "orthanc"], indirect=True)
@pytest.mark.parametrize("model", [PATIENT_ROOT_FIND, STUDY_ROOT_FIND])
def test_archives_find_what_we_stored(server: peers.Server, model: str) -> None:
    stored(server)
    datasets = [dcmread(path) for path in FILES]
    with associate(server.host, server.port, called=server.ae_title, contexts=[model, VERIFICATION]) as peer:
        for dataset in datasets:
            keys = {"PatientID": dataset.PatientID, "StudyInstanceUID": "", "StudyDate": ""}
            with peer.c_find(model, query(**keys)) as matches:
                found = list(matches)
            assert matches.answer == SUCCESS
            assert [match.StudyInstanceUID for match in found] == [dataset.StudyInstanceUID]
            assert found[0].QueryRetrieveLevel == "STUDY"
        with peer.c_find(model, query(PatientID="nobody has this")) as matches:
            assert list(matches) == []
        assert matches.answer == SUCCESS
        # Left early, and the association goes on.
        with peer.c_find(model, query(PatientID="*")) as matches:
            next(matches)
        assert peer.c_echo() == SUCCESS
    assert peer.outcome.kind is OutcomeKind.RELEASED


@pytest.mark.parametrize("server", ["dcmqrscp", "orthanc"], indirect=True)
def test_archives_say_what_is_wrong_with_a_query(server: peers.Server) -> None:
    with associate(server.host, server.port, called=server.ae_title, contexts=[STUDY_ROOT_FIND]) as peer:
        with peer.c_find(STUDY_ROOT_FIND, query("NONSENSE", PatientID="*")) as matches:
            assert list(matches) == []
        assert matches.answer is not None
        assert matches.answer != SUCCESS


class Slow:
    """A pynetdicom handler that finds for ever, until it is told to stop."""

    def __init__(self) -> None:
        self.given = 0
        self.cancelled = threading.Event()

    def __call__(self, event: Any) -> Iterator[tuple[int, Dataset | None]]:
        for number in range(100_000):
            if event.is_cancelled:
                self.cancelled.set()
                yield 0xFE00, None
                return
            self.given += 1
            yield 0xFF00, query(PatientID=f"P{number}")
            time.sleep(0.005)


@pytest.mark.parametrize("leaves", [False, True])
def test_pynetdicom_ends_on_our_cancel(tmp_path: Path, leaves: bool) -> None:
    pynetdicom = peers.require_pynetdicom()
    from pynetdicom import evt

    slow = Slow()
    contexts = [pynetdicom.build_context(uid) for uid in (STUDY_ROOT_FIND, VERIFICATION)]
    with (
        peers.pynetdicom_scp(tmp_path / "scp", [(evt.EVT_C_FIND, slow)], contexts=contexts) as server,
        associate(server.host, server.port, contexts=[STUDY_ROOT_FIND, VERIFICATION]) as peer,
    ):
        with peer.c_find(STUDY_ROOT_FIND, query(PatientID="*")) as matches:
            for match in matches:
                if match.PatientID == "P5":
                    if leaves:
                        break
                    matches.cancel()
        assert matches.answer == (None if leaves else CANCEL)
        assert peer.c_echo() == SUCCESS  # whose turn comes when the query has ended
        assert slow.cancelled.wait(peers.TOOL_TIMEOUT)
        assert slow.given < 1000


# ---------------------------------------------------------------- we ask at every level, on every transport


@pytest.fixture(scope="module")
def full_orthanc(orthanc: peers.Server) -> peers.Server:
    """Orthanc with our images, and what other tests have left."""
    store_at(orthanc, IMAGES)
    return orthanc


@pytest.fixture
def full_dcmqrscp(dcmqrscp: peers.Server) -> peers.Server:
    """DCMTK's archive with our images."""
    store_at(dcmqrscp, IMAGES)
    return dcmqrscp


ARCHIVES = pytest.mark.parametrize("server", ["full_dcmqrscp", "full_orthanc"], indirect=True)


async def found(peer: Any, model: str, identifier: Dataset) -> tuple[Any, list[Dataset]]:
    async with peer.c_find(model, identifier) as matches:
        responses = [match async for match in matches]
    return matches.answer, responses


@ARCHIVES
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_archives_find_what_is_at_every_level(server: peers.Server, transport: str) -> None:
    async def talk(peer: Any) -> None:
        for option, model in (("-P", PATIENT_ROOT_FIND), ("-S", STUDY_ROOT_FIND)):
            levels = LEVELS[option]
            for place, level in enumerate(levels):
                keys = path_to(option, levels[place - 1], IMAGES[-1]) if place else {"PatientID": "98890234"}
                own = UNIQUE[level]
                answer, responses = await found(peer, model, query(level, **{own: "", **keys}))
                assert answer == SUCCESS
                told = [str(response[own].value).strip() for response in responses]
                assert sorted(told) == sorted(values(chosen(IMAGES, **keys), own)), level
                assert {response.QueryRetrieveLevel for response in responses} == {level}
        assert await peer.c_echo() == SUCCESS

    ask(transport, server, talk, contexts=[PATIENT_ROOT_FIND, STUDY_ROOT_FIND, VERIFICATION])


@ARCHIVES
@pytest.mark.parametrize("leaves", [False, True], ids=["cancels", "leaves"])
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_archives_are_cancelled_and_go_on(server: peers.Server, transport: str, leaves: bool) -> None:
    keys = path_to("-S", "SERIES", IMAGES[-1])
    wanted = values(chosen(IMAGES, **keys), "SOPInstanceUID")
    assert len(wanted) == 7

    async def talk(peer: Any) -> None:
        identifier = query("IMAGE", **keys, SOPInstanceUID="")
        responses = []
        async with peer.c_find(STUDY_ROOT_FIND, identifier) as matches:
            async for match in matches:
                responses.append(str(match.SOPInstanceUID))
                if len(responses) == 2:
                    if leaves:
                        break
                    matches.cancel()
        if leaves:
            assert matches.answer is None
            assert len(responses) == 2
        else:  # FE00, or Success if that was under way
            assert (matches.answer, len(responses) == len(wanted)) in [(CANCEL, False), (SUCCESS, True)]
        assert set(responses) <= wanted
        assert await peer.c_echo() == SUCCESS
        answer, again = await found(peer, STUDY_ROOT_FIND, identifier)
        assert answer == SUCCESS
        assert {str(match.SOPInstanceUID) for match in again} == wanted

    ask(transport, server, talk, contexts=[STUDY_ROOT_FIND, VERIFICATION])
