"""C-FIND with the software of others, in both roles: findscu, dcmqrscp, Orthanc, pynetdicom."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset, dcmread

from archive import Running, archive, bundled
from interop import peers
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
