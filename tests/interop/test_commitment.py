"""Storage commitment with Orthanc in both roles; each answer comes on an association of its own (PS3.4 Annex J)."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import generate_uid

import sansdimse_asyncio
import sansdimse_socket
import sansdimse_trio
from archive import PATIENCE
from interop import peers
from interop.query_archive import ask, image_files, store_at
from running import HOST, TRANSPORTS, Running, running
from sansdimse import SUCCESS, VERIFICATION, OutcomeKind, PresentationContext, Side
from sansdimse.peer.session import AssociationLost
from sansdimse.service_classes import storage_commitment as commitment
from sansdimse.services.sop_classes import CT_IMAGE_STORAGE, MR_IMAGE_STORAGE, STORAGE_COMMITMENT_PUSH_MODEL

INSTANCE: Final = commitment.SOP_INSTANCE
AS_SCP: Final = PresentationContext(STORAGE_COMMITMENT_PUSH_MODEL, scu=False, scp=True)
NO_SUCH_INSTANCE: Final = 0x0112
CLASS_CONFLICT: Final = 0x0119
"""Failure Reasons (PS3.3 C.14.1.1)."""

every_transport = pytest.mark.parametrize("transport", TRANSPORTS)


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory, orthanc: peers.Server) -> list[commitment.Reference]:
    """What Orthanc has of us: three instances that nobody else has."""
    folder = tmp_path_factory.mktemp("held")
    files = []
    for file in image_files()[:3]:
        dataset = dcmread(file)
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        files.append(folder / file.name)
        dataset.save_as(files[-1])
    store_at(orthanc, files)
    return [commitment.Reference(*map(str, (each.SOPClassUID, each.SOPInstanceUID))) for each in map(dcmread, files)]


# ---------------------------------------------------------------- we ask


class Modality:
    """Hears the reports; remembers with whom it spoke."""

    def __init__(self) -> None:
        self.transactions = commitment.Transactions()
        self.results: list[commitment.Result] = []
        self.callers: list[tuple[str, str]] = []
        self.event_types: list[int | None] = []
        self.told = threading.Event()

    def heard(self, report: Any) -> int:
        self.event_types.append(report.type_id)
        self.callers.append((report.association.calling_ae_title, report.association.called_ae_title))
        self.results.append(self.transactions.receive(report.type_id, report.data_set))
        self.told.set()
        return 0

    def n_event_report(self, report: Any) -> Any:
        return self.heard(report)


class AsyncModality(Modality):
    """The same in an ``async def``."""

    async def n_event_report(self, report: Any) -> Any:
        return self.heard(report)


@contextmanager
def listening(transport: str, modality: Modality, orthanc: peers.Server) -> Iterator[Running]:
    """A server of ours for the reports of Orthanc, which knows it as MODALITY."""
    with running(transport, modality, ae_title="MODALITY", supports=[VERIFICATION, AS_SCP], grace=10.0) as ours:
        orthanc.rest("PUT", "/modalities/modality", {"AET": "MODALITY", "Host": HOST, "Port": ours.port})
        yield ours
    assert ours.reports == []


@pytest.mark.parametrize(
    ("transport", "modality"),
    [
        ("socket", Modality),
        ("asyncio", Modality),
        ("asyncio", AsyncModality),
        ("trio", Modality),
        ("trio", AsyncModality),
    ],
)
@pytest.mark.parametrize("case", ["all", "one is missing", "one has another class"])
def test_orthanc_commits_itself(
    orthanc: peers.Server, held: list[commitment.Reference], transport: str, modality: type[Modality], case: str
) -> None:
    failed = {}
    if case == "one is missing":
        failed[commitment.Reference(CT_IMAGE_STORAGE, "1.2.3.4.5")] = NO_SUCH_INSTANCE
    elif case == "one has another class":
        failed[commitment.Reference(MR_IMAGE_STORAGE, held[0].sop_instance_uid)] = CLASS_CONFLICT
    committed = held[len(failed) :]
    ours = modality()
    uid = generate_uid()
    information = ours.transactions.open(uid, [*committed, *failed])

    async def talk(peer: Any) -> Any:
        return await peer.n_action(STORAGE_COMMITMENT_PUSH_MODEL, INSTANCE, 1, information)

    with listening(transport, ours, orthanc) as server:
        reply = ask(transport, orthanc, talk, calling="MODALITY", contexts=[STORAGE_COMMITMENT_PUSH_MODEL])
        assert reply == SUCCESS
        assert ours.told.wait(PATIENCE)
        server.until(lambda: server.ended)
        assert (server.ended[0].outcome.kind, server.ended[0].outcome.by) == (OutcomeKind.RELEASED, Side.PEER)
    (result,) = ours.results
    assert ours.callers == [(orthanc.ae_title, "MODALITY")]
    assert ours.event_types == [commitment.SOME_FAILED if failed else commitment.ALL_COMMITTED]
    assert (result.transaction_uid, result.committed, dict(result.failed)) == (uid, frozenset(committed), failed)
    assert not result.missing
    assert not result.unexpected
    assert result.is_complete == (not failed)
    assert list(ours.transactions) == []


@every_transport
def test_orthanc_aborts_whom_it_does_not_know(
    orthanc: peers.Server, held: list[commitment.Reference], transport: str
) -> None:
    """Where it would send the report it knows of its modalities only: that ends the N-ACTION, and is told."""
    transactions = commitment.Transactions()
    information = transactions.open("1.2.3", held)

    async def talk(peer: Any) -> None:
        with pytest.raises(AssociationLost) as lost:
            await peer.n_action(STORAGE_COMMITMENT_PUSH_MODEL, INSTANCE, 1, information)
        assert (lost.value.outcome.kind, lost.value.outcome.by) == (OutcomeKind.ABORTED, Side.PEER)
        assert lost.value.outcome.outstanding == 1

    ask(transport, orthanc, talk, calling="STRANGER", contexts=[STORAGE_COMMITMENT_PUSH_MODEL])
    transactions.abandon("1.2.3")
    assert list(transactions) == []


# ---------------------------------------------------------------- we are asked


class Archive:
    """Takes responsibility for what it has, and says so where ``reports`` has it reported."""

    def __init__(self, orthanc: peers.Server, have: list[commitment.Reference]) -> None:
        self.orthanc = orthanc
        self.have = have
        self.asked: list[tuple[str, tuple[commitment.Reference, ...]]] = []
        self.replies: list[Any] = []

    def report(self, action: Any) -> tuple[int, Dataset]:
        uid, references = commitment.read_request(action.data_set)
        self.asked.append((uid, references))
        failed = {each: NO_SUCH_INSTANCE for each in references if each not in self.have}
        committed = [each for each in references if each in self.have]
        return commitment.report(uid, committed, failed, retrieve_ae_title="ARCHIVE")

    @property
    def place(self) -> dict[str, Any]:
        return {
            "host": self.orthanc.host,
            "port": self.orthanc.port,
            "called": self.orthanc.ae_title,
            "calling": "ARCHIVE",
            "contexts": [AS_SCP],
        }

    def n_action(self, action: Any) -> Any:
        event_type, information = self.report(action)

        def tell(_: Any) -> None:
            with sansdimse_socket.associate(**self.place) as peer:
                self.replies.append(
                    peer.n_event_report(STORAGE_COMMITMENT_PUSH_MODEL, INSTANCE, event_type, information)
                )

        action.after(tell)
        return 0


class AsyncArchive(Archive):
    """The same on a loop."""

    def __init__(self, orthanc: peers.Server, have: list[commitment.Reference], associate: Any) -> None:
        super().__init__(orthanc, have)
        self.associate = associate

    async def n_action(self, action: Any) -> Any:
        event_type, information = self.report(action)

        async def tell(_: Any) -> None:
            async with self.associate(**self.place) as peer:
                self.replies.append(
                    await peer.n_event_report(STORAGE_COMMITMENT_PUSH_MODEL, INSTANCE, event_type, information)
                )

        action.after(tell)
        return 0


@every_transport
@pytest.mark.parametrize("complete", [True, False])
def test_orthanc_asks_us(
    orthanc: peers.Server, held: list[commitment.Reference], transport: str, complete: bool
) -> None:
    have = held if complete else held[:1]
    archive = (
        Archive(orthanc, have)
        if transport == "socket"
        else AsyncArchive(orthanc, have, (sansdimse_asyncio if transport == "asyncio" else sansdimse_trio).associate)
    )
    with running(
        transport, archive, ae_title="ARCHIVE", supports=[VERIFICATION, STORAGE_COMMITMENT_PUSH_MODEL], grace=10.0
    ) as ours:
        orthanc.rest("PUT", "/modalities/archive", {"AET": "ARCHIVE", "Host": HOST, "Port": ours.port})
        begun = orthanc.rest(
            "POST", "/modalities/archive/storage-commitment", {"DicomInstances": [list(each) for each in held]}
        )
        deadline = time.monotonic() + PATIENCE
        while (told := orthanc.rest("GET", begun["Path"]))["Status"] == "Pending":
            assert time.monotonic() < deadline
            time.sleep(0.01)
        ours.until(lambda: ours.ended)
        assert ours.reports == []
    assert archive.asked == [(begun["ID"], tuple(held))]
    assert archive.replies == [SUCCESS]
    committed = [(each["SOPClassUID"], each["SOPInstanceUID"]) for each in told["Success"]]
    failures = [(each["SOPClassUID"], each["SOPInstanceUID"], each["FailureReason"]) for each in told["Failures"]]
    assert sorted(committed) == sorted(have)
    assert sorted(failures) == sorted((*each, NO_SUCH_INSTANCE) for each in held if each not in have)
    assert told["Status"] == ("Success" if complete else "Failure")
