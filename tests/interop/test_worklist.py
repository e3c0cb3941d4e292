"""The modality worklist with the software of others, in both roles: findscu and wlmscpfs, in many character sets."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset, dcmread, dcmwrite
from pydicom.data import get_charset_files
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from interop import peers
from interop.query_archive import CHARACTER_SETS, ask
from running import HOST, TRANSPORTS, Running, running
from sansdimse import SUCCESS, VERIFICATION, OutcomeKind
from sansdimse.dimse.status import CANCEL
from sansdimse.matching import WORKLIST, search
from sansdimse.services.sop_classes import MODALITY_WORKLIST_FIND


def worklist() -> list[Dataset]:
    """A scheduled procedure step for each of ``CHARACTER_SETS``, a day each, CT and MR in turns."""
    steps = []
    for number, name in enumerate(CHARACTER_SETS):
        (source,) = get_charset_files(f"chr{name}.dcm")
        named = dcmread(source)
        item = Dataset()
        item.Modality = ("CT", "MR")[number % 2]
        item.ScheduledStationAETitle = f"ROOM{number % 3}"
        item.ScheduledProcedureStepStartDate = f"202601{10 + number}"
        item.ScheduledProcedureStepStartTime = f"{8 + number:02}3000"
        item.ScheduledPerformingPhysicianName = named.PatientName
        item.ScheduledProcedureStepDescription = "what is to be done"
        item.ScheduledStationName = item.ScheduledProcedureStepLocation = ""
        item.PreMedication = item.RequestedContrastAgent = ""
        item.ScheduledProcedureStepID = f"STEP{number}"
        step = Dataset()
        step.SpecificCharacterSet = named.SpecificCharacterSet
        step.PatientName = named.PatientName
        step.PatientID = name
        step.AccessionNumber = f"A{number}"
        step.PatientBirthDate, step.PatientSex = "19600229", "O"
        step.MedicalAlerts = step.Allergies = ""
        step.StudyInstanceUID = f"1.2.3.{number}"
        step.RequestingPhysician = ""
        step.RequestedProcedureDescription = "what was asked for"
        step.RequestedProcedureID, step.RequestedProcedurePriority = f"R{number}", "LOW"
        step.ScheduledProcedureStepSequence = [item]
        steps.append(step)
    return steps


STEPS = worklist()


def query(character_set: Any = None, **keys: str) -> Dataset:
    """The usual return keys, and these keys of the scheduled procedure step, or of the top level."""
    item, identifier = Dataset(), Dataset()
    for keyword in "Modality", "ScheduledStationAETitle", "ScheduledProcedureStepStartDate", "ScheduledProcedureStepID":
        setattr(item, keyword, keys.pop(keyword, ""))
    item.ScheduledProcedureStepStartTime = item.ScheduledPerformingPhysicianName = ""
    if character_set is not None:
        identifier.SpecificCharacterSet = character_set
    for keyword in "PatientName", "PatientID", "AccessionNumber", "StudyInstanceUID", "RequestedProcedureID":
        setattr(identifier, keyword, keys.pop(keyword, ""))
    assert not keys
    identifier.ScheduledProcedureStepSequence = [item]
    return identifier


QUERIES = {
    "everything": ({}, list(CHARACTER_SETS)),
    "a modality": ({"Modality": "MR"}, list(CHARACTER_SETS[1::2])),
    "a day": ({"ScheduledProcedureStepStartDate": "20260112"}, list(CHARACTER_SETS[2:3])),
    "some days": ({"ScheduledProcedureStepStartDate": "20260112-20260115"}, list(CHARACTER_SETS[2:6])),
    "a room": ({"ScheduledStationAETitle": "ROOM1"}, list(CHARACTER_SETS[1::3])),
    "one of a room on some days": (
        {"ScheduledStationAETitle": "ROOM1", "ScheduledProcedureStepStartDate": "20260116-"},
        list(CHARACTER_SETS[7::3]),
    ),
    "a patient": ({"PatientID": "Greek"}, ["Greek"]),
    "a name": ({"PatientName": "Yamada^Tarou*"}, ["H31"]),
    "nobody": ({"PatientID": "nobody"}, []),
}


def check(found: list[Dataset], patients: list[str]) -> None:
    """These are the steps of these patients, names as they stand in the worklist, and nothing that was not asked."""
    by_patient = {str(match.PatientID): match for match in found}
    assert sorted(by_patient) == sorted(patients)
    assert len(found) == len(patients)
    for step in STEPS:
        if step.PatientID not in by_patient:
            continue
        match = by_patient[step.PatientID]
        (item,), (scheduled,) = match.ScheduledProcedureStepSequence, step.ScheduledProcedureStepSequence
        assert match.SpecificCharacterSet == step.SpecificCharacterSet
        for keyword in "PatientName", "AccessionNumber", "StudyInstanceUID", "RequestedProcedureID":
            assert match[keyword].value == step[keyword].value, keyword
        for keyword in "Modality", "ScheduledStationAETitle", "ScheduledProcedureStepID":
            assert item[keyword].value == scheduled[keyword].value, keyword
        assert item.ScheduledProcedureStepStartDate == scheduled.ScheduledProcedureStepStartDate
        assert item.ScheduledPerformingPhysicianName == scheduled.ScheduledPerformingPhysicianName
        assert "RequestedProcedureDescription" not in match
        assert "ScheduledProcedureStepDescription" not in item


# ---------------------------------------------------------------- we answer


class Worklist:
    """Answers by a generator."""

    def c_find(self, find: Any) -> Any:
        yield from search(find.check_identifier(), STEPS, WORKLIST)


class AsyncWorklist:
    """Answers by an async generator."""

    async def c_find(self, find: Any) -> AsyncIterator[Any]:
        for match in search(find.check_identifier(), STEPS, WORKLIST):
            yield match


@pytest.fixture(
    params=[("socket", Worklist), ("asyncio", Worklist), ("asyncio", AsyncWorklist), ("trio", AsyncWorklist)]
)
def ours(request: pytest.FixtureRequest) -> Iterator[Running]:
    transport, service = request.param
    with running(transport, service(), supports=[MODALITY_WORKLIST_FIND], grace=10.0) as server:
        yield server
    assert server.reports == []


def findscu(ours: Running, folder: Path, identifier: Dataset, *options: str) -> list[Dataset]:
    """What findscu writes of the responses to a query from a file."""
    identifier.file_meta = FileMetaDataset()
    identifier.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    folder.mkdir()
    dcmwrite(folder / "query.dcm", identifier, enforce_file_format=False)
    arguments = ["-v", "-W", "-X", *options, HOST, str(ours.port), str(folder / "query.dcm")]
    said = peers.run_tool("findscu", *arguments, cwd=folder).stdout
    assert "Received Final Find Response (Success)" in said
    return [dcmread(path, force=True) for path in sorted(folder.glob("rsp*.dcm"))]


@pytest.mark.parametrize("syntax", ["-xe", "-xi"])
def test_findscu_finds_what_is_to_be_done(ours: Running, tmp_path: Path, syntax: str) -> None:
    for name, (keys, patients) in QUERIES.items():
        check(findscu(ours, tmp_path / name, query(**keys), syntax), patients)
    ours.until(lambda: len(ours.ended) == len(QUERIES))
    assert {each.outcome.kind for each in ours.ended} == {OutcomeKind.RELEASED}


def test_findscu_asks_for_names_in_other_character_sets(ours: Running, tmp_path: Path) -> None:
    for step in STEPS:
        for number, (character_set, name) in enumerate(
            [(step.SpecificCharacterSet, str(step.PatientName)), ("ISO_IR 192", f"{str(step.PatientName)[:3]}*")]
        ):
            asked = query(character_set, PatientName=name)
            found = findscu(ours, tmp_path / f"{step.PatientID}{number}", asked)
            same = [each.PatientID for each in STEPS if str(each.PatientName).startswith(name.rstrip("*"))]
            check(found, same)


# ---------------------------------------------------------------- we ask


@pytest.fixture
def wlmscpfs(tmp_path: Path) -> Iterator[peers.Server]:
    """DCMTK's, with our worklist."""
    with worklist_server(tmp_path / "worklist") as server:
        yield server


def worklist_server(folder: Path, *options: str) -> Any:
    """DCMTK's, with our worklist; it tells names as they stand in the files."""
    server = peers.wlmscpfs(folder, "-csk", *options)
    for number, step in enumerate(STEPS):
        step = step.copy()
        step.file_meta = FileMetaDataset()
        step.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        step.file_meta.MediaStorageSOPClassUID = MODALITY_WORKLIST_FIND
        step.file_meta.MediaStorageSOPInstanceUID = f"1.2.4.{number}"
        (folder / "WLMSCPFS").mkdir(parents=True, exist_ok=True)
        dcmwrite(folder / "WLMSCPFS" / f"{number}.wl", step, enforce_file_format=True)
    return server


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_wlmscpfs_tells_us_what_is_to_be_done(wlmscpfs: peers.Server, transport: str) -> None:
    async def talk(peer: Any) -> None:
        for keys, patients in QUERIES.values():
            async with peer.c_find(MODALITY_WORKLIST_FIND, query(**keys)) as matches:
                found = [match async for match in matches]
            check(found, patients)
            assert matches.answer == SUCCESS
            assert matches.complete
        assert await peer.c_echo() == SUCCESS

    ask(transport, wlmscpfs, talk, contexts=[MODALITY_WORKLIST_FIND, VERIFICATION])


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_wlmscpfs_ends_on_our_cancel(tmp_path: Path, transport: str) -> None:
    """It sleeps before each response, so that the C-CANCEL comes in time."""

    async def talk(peer: Any) -> None:
        async with peer.c_find(MODALITY_WORKLIST_FIND, query()) as matches:
            found = []
            async for match in matches:
                found.append(match)
                matches.cancel()
        assert matches.answer == CANCEL
        assert 1 <= len(found) < len(STEPS)
        assert await peer.c_echo() == SUCCESS

    with worklist_server(tmp_path / "worklist", "--sleep-during", "1") as server:
        ask(transport, server, talk, contexts=[MODALITY_WORKLIST_FIND, VERIFICATION])
