"""C-GET and C-MOVE with the software of others, in both roles: getscu, movescu, storescp, dcmqrscp, Orthanc."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.uid import generate_uid

from archive import bundled, data_set_of, syntax_of, until
from interop import peers
from interop.query_archive import (
    ANSWERING,
    ANSWERING_ONCE,
    CHARACTER_SETS,
    GET,
    LEVELS,
    MOVE,
    AsyncKeeper,
    AsyncQueryArchive,
    Keeper,
    QueryArchive,
    as_dcmtk_writes,
    ask,
    asleep,
    character_set_files,
    chosen,
    compressed_files,
    contents,
    identifier,
    image_files,
    keeper,
    keeping,
    path_to,
    reported,
    serving,
    store_at,
    values,
)
from running import HOST, TRANSPORTS, Running
from sansdimse import SUCCESS, VERIFICATION, OutcomeKind, PresentationContext, plan_get
from sansdimse.dimse.status import CANCEL, CANNOT_PERFORM_SUBOPERATIONS, MOVE_DESTINATION_UNKNOWN

IMAGES = image_files()
CT = chosen(IMAGES, Modality="CT")
MR = chosen(IMAGES, Modality="MR")
RLE = bundled("MR_small_RLE.dcm")

answering = pytest.mark.parametrize(("transport", "archive"), ANSWERING)
answering_once = pytest.mark.parametrize(("transport", "archive"), ANSWERING_ONCE)
every_transport = pytest.mark.parametrize("transport", TRANSPORTS)


def dcmtk(tool: str, ours: Running, folder: Path, *options: str | Path, check: bool = True, **keys: str) -> str:
    """What getscu or movescu says; it stores into ``folder``, bits as they come."""
    folder.mkdir(exist_ok=True)
    given = [word for key, value in keys.items() for word in ("-k", f"{key}={value}")]
    arguments = ["-v", "+B", "-aec", "ARCHIVE", *options, *given, HOST, str(ours.port)]
    return peers.run_tool(tool, *arguments, check=check, cwd=folder).stdout


def received(folder: Path) -> dict[str, bytes]:
    """The data sets that came into a folder, by SOP Instance UID."""
    return contents(path for path in folder.iterdir() if path.is_file())


def counters(said: str) -> list[int]:
    """Remaining, completed, failed, warning: as getscu tells them at the end."""
    return [int(number) for number in re.findall(r"of (?:\w+) Suboperations +: (\d+)", said)]


def final(said: str) -> tuple[str, str]:
    """Of the last response that DCMTK shows, whether a data set comes with it, and its status."""
    found = re.findall(r"Data Set +: (\w+)\s+(?:D: )?DIMSE Status +: (\w+)", said)
    assert found, said
    data_set, status = found[-1]
    return data_set, status


def failed(said: str) -> list[str]:
    """The Failed SOP Instance UID List that movescu shows."""
    (found,) = re.findall(r"\(0008,0058\) UI \[([\d.\\\\]+)", said) or [""]
    return found.split("\\") if found else []


def released(ours: Running, number: int = 1) -> None:
    ours.until(lambda: len(ours.ended) >= number)
    assert [each.outcome.kind for each in ours.ended] == [OutcomeKind.RELEASED] * number


# ---------------------------------------------------------------- we answer getscu


@answering
def test_getscu_gets_what_is_at_every_level(tmp_path: Path, transport: str, archive: type[QueryArchive]) -> None:
    with serving(transport, archive(IMAGES)) as ours:
        number = 0
        for model, levels in LEVELS.items():
            for level in levels:
                number += 1
                keys = path_to(model, level, MR[0])
                wanted = chosen(IMAGES, **keys)
                folder = tmp_path / f"{model}{level}"
                said = dcmtk("getscu", ours, folder, model, QueryRetrieveLevel=level, **keys)
                assert received(folder) == contents(wanted)
                assert counters(said) == [0, len(wanted), 0, 0]
        released(ours, number)


@answering
def test_getscu_is_told_of_each_as_it_is_stored(tmp_path: Path, transport: str, archive: type[QueryArchive]) -> None:
    with serving(transport, archive(IMAGES)) as ours:
        studies = "\\".join(sorted(values(IMAGES, "StudyInstanceUID")))
        said = dcmtk("getscu", ours, tmp_path, "-S", QueryRetrieveLevel="STUDY", StudyInstanceUID=studies)
    assert received(tmp_path) == contents(IMAGES)
    happened = re.findall(r"Received C-(STORE Request|GET Response \(\w+\))", said)
    assert happened == ["STORE Request", "GET Response (Pending)"] * len(IMAGES) + ["GET Response (Success)"]


@every_transport
def test_getscu_gets_names_in_all_character_sets(tmp_path: Path, transport: str) -> None:
    files = character_set_files(tmp_path / "files")
    with serving(transport, QueryArchive(files)) as ours:
        uids = "\\".join(sorted(values(files, "StudyInstanceUID")))
        dcmtk("getscu", ours, tmp_path / "got", "-S", QueryRetrieveLevel="STUDY", StudyInstanceUID=uids)
    assert received(tmp_path / "got") == contents(files)


OPTIONS = {
    "+xs": "JPEG lossless SV1",
    "+xy": "JPEG baseline",
    "+xv": "JPEG 2000 lossless",
    "+xt": "JPEG-LS lossless",
    "+xr": "RLE",
}


@pytest.mark.parametrize("option", OPTIONS)
def test_getscu_gets_the_compressed(tmp_path: Path, option: str) -> None:
    file = compressed_files(tmp_path / "files")[OPTIONS[option]]
    with serving("socket", QueryArchive([file])) as ours:
        keys = path_to("-S", "STUDY", file)
        said = dcmtk("getscu", ours, tmp_path / "got", "-S", option, QueryRetrieveLevel="STUDY", **keys)
    assert counters(said) == [0, 1, 0, 0]
    (stored,) = (tmp_path / "got").iterdir()
    assert (syntax_of(stored), data_set_of(stored)) == (syntax_of(file), data_set_of(file))


@answering
def test_getscu_is_told_what_failed(tmp_path: Path, transport: str, archive: type[QueryArchive]) -> None:
    """It does not read the list of those that failed, and aborts, so what ends the association is not looked at."""
    text = tmp_path / "text.dcm"
    text.write_text("this is no DICOM file")
    keys = path_to("-S", "SERIES", MR[0])
    wanted = chosen(IMAGES, **keys)
    with serving(transport, archive(IMAGES, beside=[RLE, tmp_path / "missing.dcm", text])) as ours:
        said = dcmtk("getscu", ours, tmp_path / "got", "-S", "-d", QueryRetrieveLevel="SERIES", **keys)
        assert reported(ours) == ["LocalProtocolError", "FileNotFoundError", "NotDicomError"]
    assert received(tmp_path / "got") == contents(wanted)
    assert counters(said) == [0, len(wanted), 3, 0]
    assert final(said) == ("present", "0xb000")


@answering_once
def test_getscu_is_told_that_all_failed(tmp_path: Path, transport: str, archive: type[QueryArchive]) -> None:
    with serving(transport, archive([RLE])) as ours:
        keys = path_to("-S", "STUDY", RLE)
        said = dcmtk("getscu", ours, tmp_path, "-S", "-d", check=False, QueryRetrieveLevel="STUDY", **keys)
        assert reported(ours) == ["LocalProtocolError"]
    assert counters(said) == [0, 0, 1, 0]
    assert final(said) == ("present", "0xa702")
    assert not received(tmp_path)


@answering_once
@pytest.mark.parametrize("tool", ["getscu", "movescu"])
def test_an_identifier_that_the_model_forbids(
    tmp_path: Path, transport: str, archive: type[QueryArchive], tool: str
) -> None:
    """Series at the root, without their study: A900 (PS3.4 C.4.2.2.1, C.4.3.2)."""
    with serving(transport, archive(IMAGES)) as ours:
        series = {"QueryRetrieveLevel": "SERIES", "SeriesInstanceUID": str(dcmread(MR[0]).SeriesInstanceUID)}
        said = dcmtk(tool, ours, tmp_path, "-S", "-d", check=False, **series)
        released(ours)
    assert final(said) == ("none", "0xa900")
    assert not received(tmp_path)


# ---------------------------------------------------------------- we answer movescu


def movescu(ours: Running, folder: Path, *options: str | Path, **keys: str) -> str:
    return dcmtk("movescu", ours, folder, "-d", "-aet", "MOVESCU", *options, check=False, **keys)


@answering_once
def test_movescu_has_it_moved_to_itself(tmp_path: Path, transport: str, archive: type[QueryArchive]) -> None:
    port = peers.free_port()
    with serving(transport, archive(IMAGES, {"MOVESCU": (HOST, port)})) as ours:
        keys = path_to("-P", "STUDY", MR[0])
        wanted = chosen(IMAGES, **keys)
        said = movescu(ours, tmp_path, "-P", "-aem", "MOVESCU", "--port", str(port), QueryRetrieveLevel="STUDY", **keys)
        released(ours)
    assert received(tmp_path) == contents(wanted)
    assert final(said) == ("none", "0x0000")
    assert failed(said) == []


@answering
def test_movescu_has_every_level_moved_to_a_third_party(
    tmp_path: Path, transport: str, archive: type[QueryArchive]
) -> None:
    kept = keeper(transport, tmp_path / "kept")
    with keeping(transport, kept) as third, serving(transport, archive(IMAGES, {"THIRD": (HOST, third.port)})) as ours:
        number = 0
        for model, levels in LEVELS.items():
            for level in levels:
                number += 1
                keys = path_to(model, level, MR[0])
                said = movescu(ours, tmp_path, model, "-aem", "THIRD", QueryRetrieveLevel=level, **keys)
                assert final(said) == ("none", "0x0000")
                assert kept.taken() == contents(chosen(IMAGES, **keys))
        released(ours, number)
        released(third, number)
    assert {(each.calling_ae_title, each.called_ae_title) for each in third.ended} == {("ARCHIVE", "THIRD")}
    assert set(kept.originators) == {("MOVESCU", 1)}


@answering_once
def test_movescu_has_everything_moved_to_storescp(
    tmp_path: Path, transport: str, archive: type[QueryArchive], storescp: peers.Server
) -> None:
    """All character sets, and syntaxes that the first association to storescp was not planned for."""
    files = [*character_set_files(tmp_path / "files"), *compressed_files(tmp_path / "files").values()]
    studies = "\\".join(sorted(values(files, "StudyInstanceUID")))
    with serving(transport, archive(files, {"THIRD": (HOST, storescp.port)})) as ours:
        said = movescu(ours, tmp_path, "-S", "-aem", "THIRD", QueryRetrieveLevel="STUDY", StudyInstanceUID=studies)
        released(ours)
    assert final(said) == ("none", "0x0000")
    assert contents(storescp.files()) == contents(files)
    syntaxes = {str(dcmread(file).SOPInstanceUID): syntax_of(file) for file in files}
    assert {str(dcmread(file).SOPInstanceUID): syntax_of(file) for file in storescp.files()} == syntaxes


@answering_once
def test_movescu_is_told_what_the_destination_does_not_take(
    tmp_path: Path, transport: str, archive: type[QueryArchive]
) -> None:
    config = tmp_path / "only.cfg"
    config.write_text(
        "[[TransferSyntaxes]]\n[These]\nTransferSyntax1 = LittleEndianExplicit\n[[PresentationContexts]]\n[Contexts]\n"
        "PresentationContext1 = CTImageStorage\\These\n[[Profiles]]\n[Only]\nPresentationContexts = Contexts\n"
    )
    patients = sorted(values(CT, "PatientID"))
    with (
        peers.storescp(tmp_path / "storescp", "+B", "-xf", str(config), "Only") as storescp,
        serving(transport, archive(IMAGES, {"THIRD": (HOST, storescp.port)})) as ours,
    ):
        said = movescu(ours, tmp_path, "-P", "-aem", "THIRD", QueryRetrieveLevel="PATIENT", PatientID="98890234")
        wanted = chosen(CT, PatientID="98890234")
        refused = chosen(MR, PatientID="98890234")
        assert reported(ours) == ["LocalProtocolError"] * len(refused)
        assert contents(storescp.files()) == contents(wanted)
    assert patients == ["77654033", "98890234"]
    assert final(said) == ("present", "0xb000")
    assert failed(said) == [str(dcmread(file).SOPInstanceUID) for file in refused]


@answering_once
@pytest.mark.parametrize("destination", ["refuses", "is not there"])
def test_movescu_is_told_that_the_destination_cannot_be_had(
    tmp_path: Path, transport: str, archive: type[QueryArchive], destination: str
) -> None:
    keys = path_to("-S", "SERIES", MR[0])
    with peers.storescp(tmp_path / "storescp", "--refuse") as storescp:
        port = storescp.port if destination == "refuses" else peers.free_port()
        with serving(transport, archive(IMAGES, {"THIRD": (HOST, port)})) as ours:
            said = movescu(ours, tmp_path, "-S", "-aem", "THIRD", QueryRetrieveLevel="SERIES", **keys)
            assert reported(ours) == ["AssociationLost"]
            released(ours)
    assert final(said) == ("present", "0xa702")
    assert failed(said) == [str(dcmread(file).SOPInstanceUID) for file in chosen(IMAGES, **keys)]


@answering_once
def test_movescu_names_a_destination_that_nobody_knows(
    tmp_path: Path, transport: str, archive: type[QueryArchive]
) -> None:
    with serving(transport, archive(IMAGES)) as ours:
        keys = path_to("-S", "STUDY", MR[0])
        said = movescu(ours, tmp_path, "-S", "-aem", "NOBODY", QueryRetrieveLevel="STUDY", **keys)
        released(ours)
    assert final(said) == ("none", "0xa801")


class Stops(QueryArchive):
    """Gives five, and no more before it is cancelled."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.cancelled: list[bool] = []

    def c_move(self, move: Any) -> Iterator[Any]:
        try:
            for number, each in enumerate(self.moved(move)):
                if number == 7:  # behind destination, count, and five
                    until(lambda: move.cancelled, "the C-CANCEL")
                yield each
        finally:
            self.cancelled.append(move.cancelled)


class AsyncStops(Stops):
    """The same in an ``async def``, which is cancelled."""

    async def c_move(self, move: Any) -> AsyncIterator[Any]:  # type: ignore[override]
        try:
            for number, each in enumerate(self.moved(move)):
                if number == 7:
                    await asleep()
                yield each
        finally:
            self.cancelled.append(move.cancelled)


@pytest.mark.parametrize(
    ("transport", "archive"), [(each, AsyncStops if kind is AsyncQueryArchive else Stops) for each, kind in ANSWERING]
)
def test_movescu_cancels(tmp_path: Path, transport: str, archive: type[Stops], storescp: peers.Server) -> None:
    service = archive(IMAGES, {"THIRD": (HOST, storescp.port)})
    with serving(transport, service) as ours:
        said = movescu(
            ours, tmp_path, "-P", "-aem", "THIRD", "--cancel", "4", QueryRetrieveLevel="PATIENT", PatientID="98890234"
        )
        released(ours)
    until(lambda: service.cancelled, "the end of the handler")  # in its thread, if it has one
    assert service.cancelled == [True]
    assert final(said) == ("none", "0xfe00")
    sent = chosen(IMAGES, PatientID="98890234")
    assert contents(storescp.files()) == contents(sent[:5])
    assert re.findall(r"(Remaining|Completed|Failed|Warning) Suboperations +: (\w+)", said)[-4:] == [
        ("Remaining", str(len(sent) - 5)),
        ("Completed", "5"),
        ("Failed", "0"),
        ("Warning", "0"),
    ]


# ---------------------------------------------------------------- we ask archives


ME = "KEEPER"
"""Our AE title as a destination, which the archives know."""


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """What the archives of others hold: IMAGES, names in all character sets, and those that are compressed, RLE last.

    As an association of dcmqrscp takes one compressed syntax only, it holds no other than that.
    """
    folder = tmp_path_factory.mktemp("held")
    compressed = compressed_files(folder / "compressed")
    files = [*IMAGES, *character_set_files(folder / "names"), *compressed.values()]
    assert files[-1] == compressed["RLE"]
    return as_dcmtk_writes(files, folder / "files")


@pytest.fixture(scope="module")
def full_orthanc(orthanc: peers.Server, held: list[Path]) -> peers.Server:
    """Orthanc, which holds them all, and what other tests have left."""
    store_at(orthanc, held)
    return orthanc


@dataclass
class Others:
    """An archive of others, and the port of a store SCP of ours that it knows as ``ME``."""

    server: peers.Server
    port: int
    files: list[Path]
    is_orthanc: bool


@pytest.fixture(params=["dcmqrscp", "orthanc"])
def others(request: pytest.FixtureRequest, tmp_path: Path, held: list[Path]) -> Iterator[Others]:
    """DCMTK's or Orthanc, which holds ``held``."""
    port, gone = peers.free_port(), peers.free_port()
    with ExitStack() as stack:
        if request.param == "dcmqrscp":
            files = [*held[: len(IMAGES) + len(CHARACTER_SETS)], held[-1]]
            server = stack.enter_context(
                peers.dcmqrscp(tmp_path / "dcmqrscp", "+xr", destinations={ME: port, "GONE": gone})
            )
            store_at(server, files)
        else:
            files = held
            server = request.getfixturevalue("full_orthanc")
            server.rest("PUT", "/modalities/keeper", {"AET": ME, "Host": HOST, "Port": port})
            server.rest("PUT", "/modalities/gone", {"AET": "GONE", "Host": HOST, "Port": gone})
        yield Others(server, port, files, request.param == "orthanc")


def contexts_to_get(model: str, files: Sequence[Path]) -> Any:
    """What to propose to get these."""
    needs = sorted({(str(dcmread(file, stop_before_pixels=True).SOPClassUID), syntax_of(file)) for file in files})
    (contexts,) = plan_get(GET[model], needs).associations
    return [VERIFICATION, *contexts]


async def asked(retrieving: Any) -> tuple[Any, list[Any]]:
    """How a retrieval ended, and how far it was said to be."""
    async with retrieving as retrieval:
        told = [progress async for progress in retrieval]
    return retrieval.answer, told


@every_transport
@pytest.mark.parametrize("model", LEVELS)
def test_we_get_what_is_at_every_level(tmp_path: Path, others: Others, transport: str, model: str) -> None:
    kept = keeper(transport, tmp_path / "kept")

    async def talk(peer: Any) -> None:
        for level in LEVELS[model]:
            keys = path_to(model, level, MR[0])
            wanted = chosen(others.files, **keys)
            answer, told = await asked(peer.c_get(GET[model], identifier(level, **keys), store=kept.c_store))
            assert kept.taken() == contents(wanted)
            assert answer == SUCCESS
            assert (answer.counters.completed, answer.counters.failed) == (len(wanted), 0)
            completed = [progress.completed for progress in told]
            assert completed == sorted(set(completed))
        assert await peer.c_echo() == SUCCESS

    ask(transport, others.server, talk, contexts=contexts_to_get(model, MR + CT))


@every_transport
@pytest.mark.parametrize("model", LEVELS)
def test_we_have_every_level_moved_to_us(tmp_path: Path, others: Others, transport: str, model: str) -> None:
    kept = keeper(transport, tmp_path / "kept")

    async def talk(peer: Any) -> None:
        for number, level in enumerate(LEVELS[model], 1):
            keys = path_to(model, level, MR[0])
            wanted = chosen(others.files, **keys)
            answer, told = await asked(peer.c_move(MOVE[model], identifier(level, **keys), ME))
            assert kept.taken() == contents(wanted)
            assert set(kept.originators) == {("SANSDIMSE", number)}
            kept.originators.clear()
            assert answer == SUCCESS
            assert (answer.counters.completed, answer.counters.failed) == (len(wanted), 0)
            completed = [progress.completed for progress in told]
            assert completed == sorted(set(completed))
        assert await peer.c_echo() == SUCCESS

    with keeping(transport, kept, port=others.port) as ours:
        ask(transport, others.server, talk, contexts=[VERIFICATION, MOVE[model]])
        assert {each.outcome.kind for each in ours.ended} == {OutcomeKind.RELEASED}


@every_transport
def test_what_we_have_moved_comes_to_storescp(tmp_path: Path, others: Others, transport: str) -> None:
    keys = path_to("-S", "STUDY", MR[0])

    async def talk(peer: Any) -> None:
        answer, _ = await asked(peer.c_move(MOVE["-S"], identifier("STUDY", **keys), ME))
        assert answer == SUCCESS

    with peers.storescp(tmp_path / "storescp", "+B", port=others.port) as storescp:
        ask(transport, others.server, talk, contexts=[MOVE["-S"]])
        assert contents(storescp.files()) == contents(chosen(others.files, **keys))


@every_transport
def test_we_get_names_in_all_character_sets(tmp_path: Path, others: Others, transport: str) -> None:
    kept = keeper(transport, tmp_path / "kept")
    files = others.files[len(IMAGES) :][: len(CHARACTER_SETS)]

    async def talk(peer: Any) -> None:
        for file in files:
            query = identifier("STUDY", **path_to("-S", "STUDY", file))
            answer, _ = await asked(peer.c_get(GET["-S"], query, store=kept.c_store))
            assert answer == SUCCESS
            assert kept.taken() == contents([file])

    ask(transport, others.server, talk, contexts=contexts_to_get("-S", files))


@every_transport
def test_we_get_what_is_compressed(tmp_path: Path, others: Others, transport: str) -> None:
    """With one context for its SOP class: of several DCMTK takes the first, whatever it can carry."""
    kept = keeper(transport, tmp_path / "kept")
    for file in others.files[len(IMAGES) + len(CHARACTER_SETS) :]:
        dataset = dcmread(file)
        query = identifier("STUDY", **path_to("-S", "STUDY", file))

        async def talk(peer: Any, query: Any = query) -> Any:
            answer, _ = await asked(peer.c_get(GET["-S"], query, store=kept.c_store))
            return answer

        one = PresentationContext(dataset.SOPClassUID, (syntax_of(file),), scu=False, scp=True)
        assert ask(transport, others.server, talk, contexts=[GET["-S"], one]) == SUCCESS
        (stored,) = kept.folder.iterdir()
        assert syntax_of(stored) == syntax_of(file)
        assert kept.taken() == contents([file])


@every_transport
def test_what_we_refuse_to_store_has_failed(tmp_path: Path, others: Others, transport: str) -> None:
    keys = path_to("-P", "SERIES", CT[-1])
    wanted = chosen(others.files, **keys)
    unwanted = str(dcmread(wanted[1]).SOPInstanceUID)
    kept = Refuses(tmp_path / "kept", unwanted) if transport == "socket" else AsyncRefuses(tmp_path / "kept", unwanted)

    async def talk(peer: Any) -> Any:
        answer, _ = await asked(peer.c_get(GET["-P"], identifier("SERIES", **keys), store=kept.c_store))
        assert await peer.c_echo() == SUCCESS
        return answer

    answer = ask(transport, others.server, talk, contexts=contexts_to_get("-P", wanted))
    got = contents(wanted)
    del got[unwanted]
    assert kept.taken() == got
    assert answer == 0xB000
    assert (answer.counters.completed, answer.counters.failed) == (len(wanted) - 1, 1)
    assert answer.failed_instances == (() if others.is_orthanc else (unwanted,))  # Orthanc has no list


class Refuses(Keeper):
    """Takes all but one."""

    def __init__(self, folder: Path, unwanted: str) -> None:
        super().__init__(folder)
        self.unwanted = unwanted

    def c_store(self, store: Any) -> Any:
        return 0xA700 if store.sop_instance_uid == self.unwanted else super().c_store(store)


class AsyncRefuses(Refuses, AsyncKeeper):
    """The same in an ``async def``."""

    async def c_store(self, store: Any) -> Any:
        return 0xA700 if store.sop_instance_uid == self.unwanted else await AsyncKeeper.c_store(self, store)


@every_transport
def test_destinations_that_cannot_be_had(others: Others, transport: str) -> None:
    keys = path_to("-S", "SERIES", MR[0])
    query = identifier("SERIES", **keys)

    async def talk(peer: Any) -> Any:
        answers = [(await asked(peer.c_move(MOVE["-S"], query, title)))[0] for title in ("NOBODY", "GONE")]
        assert await peer.c_echo() == SUCCESS
        return answers

    unknown, gone = ask(transport, others.server, talk, contexts=[VERIFICATION, MOVE["-S"]])
    if others.is_orthanc:
        assert (unknown, gone) == (0xC000, 0xC000)
        assert gone.failed_instances == ()
    else:
        assert (unknown, gone) == (MOVE_DESTINATION_UNKNOWN, CANNOT_PERFORM_SUBOPERATIONS)
        assert set(gone.failed_instances) == contents(chosen(others.files, **keys)).keys()


def check_cut_short(answer: Any, got: dict[str, bytes], wanted: dict[str, bytes]) -> None:
    """A retrieval that was cancelled has ended with FE00 and counters, or was done before the C-CANCEL came."""
    assert got.items() <= wanted.items()
    if answer == SUCCESS:
        assert got == wanted
        return
    assert answer == CANCEL
    assert 3 <= answer.counters.completed <= len(got) < len(wanted)  # Orthanc forgets the one that was under way
    assert answer.counters.remaining == len(wanted) - answer.counters.completed
    assert answer.counters.failed == answer.counters.warning == 0


@every_transport
@pytest.mark.parametrize("leaves", [False, True], ids=["cancels", "leaves"])
@pytest.mark.parametrize("service", ["C-GET", "C-MOVE"])
def test_we_cancel_and_go_on(tmp_path: Path, others: Others, transport: str, service: str, leaves: bool) -> None:
    kept = keeper(transport, tmp_path / "kept")
    query = identifier("PATIENT", PatientID="98890234")
    wanted = contents(chosen(others.files, PatientID="98890234"))

    async def talk(peer: Any) -> None:
        def retrieving() -> Any:
            if service == "C-GET":
                return peer.c_get(GET["-P"], query, store=kept.c_store)
            return peer.c_move(MOVE["-P"], query, ME)

        async with retrieving() as retrieval:
            number = 0
            async for _ in retrieval:
                number += 1
                if number == 3:
                    if leaves:
                        break
                    retrieval.cancel()
        assert await peer.c_echo() == SUCCESS  # whose turn comes when the retrieval has ended
        if not leaves:
            check_cut_short(retrieval.answer, kept.taken(), wanted)
        else:
            assert retrieval.answer is None
            assert kept.taken().items() <= wanted.items()
        again, _ = await asked(retrieving())
        assert again == SUCCESS
        assert kept.taken() == wanted

    with keeping(transport, kept, port=others.port):
        ask(transport, others.server, talk, contexts=[*contexts_to_get("-P", MR + CT), MOVE["-P"]])


# ---------------------------------------------------------------- Orthanc asks us


@pytest.fixture
def fresh(tmp_path: Path, held: list[Path]) -> list[Path]:
    """One study that Orthanc does not have: a series of MR and one of CT, with a name in Greek."""
    study, made = generate_uid(), []
    for modality in "MR", "CT":
        series = generate_uid()
        for file in chosen(held[: len(IMAGES)], Modality=modality)[:2]:
            dataset = dcmread(file)
            dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study, series
            dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
            dataset.PatientID, dataset.SpecificCharacterSet = f"FRESH {study[-20:]}", "ISO_IR 126"
            dataset.PatientName = "Διονυσιος"
            made.append(tmp_path / f"{dataset.SOPInstanceUID}.dcm")
            dataset.save_as(made[-1])
    return made


def in_orthanc(orthanc: peers.Server, files: Sequence[Path], folder: Path) -> dict[str, bytes]:
    """The data sets that Orthanc has of these instances."""
    folder.mkdir(exist_ok=True)
    for uid in values(files, "SOPInstanceUID"):
        for found in orthanc.rest("POST", "/tools/find", {"Level": "Instance", "Query": {"SOPInstanceUID": uid}}):
            (folder / f"{uid}.dcm").write_bytes(orthanc.http(f"/instances/{found}/file"))
    return received(folder)


@answering_once
@pytest.mark.parametrize("level", ["Patient", "Study", "Series", "Instance"])
def test_orthanc_queries_and_retrieves(
    tmp_path: Path,
    orthanc: peers.Server,
    fresh: list[Path],
    transport: str,
    archive: type[QueryArchive],
    level: str,
) -> None:
    """The archive must not check too much: Orthanc asks for Patient ID and Accession Number at every level, without
    a value, and for retrieval at level PATIENT in the Study Root model, which does not have it.
    """
    keys = path_to("-P", "IMAGE", fresh[0])
    asked = {"Patient": ["PatientID"], "Study": ["PatientID"], "Series": ["StudyInstanceUID"]}
    query = {key: keys[key] for key in asked.get(level, ["StudyInstanceUID", "SeriesInstanceUID"])}
    wanted = {"Series": fresh[2:], "Instance": fresh[:1]}.get(level, fresh)
    if level == "Series":
        query["Modality"] = "CT"
    if level == "Instance":
        query["SOPInstanceUID"] = keys["SOPInstanceUID"]
    service = archive([*IMAGES, *fresh], {orthanc.ae_title: (HOST, orthanc.port)}, checks=False)
    with serving(transport, service) as ours:
        orthanc.rest("PUT", "/modalities/ours", {"AET": "ARCHIVE", "Host": HOST, "Port": ours.port})
        made = orthanc.rest("POST", "/modalities/ours/query", {"Level": level, "Query": query})["Path"]
        (answer,) = orthanc.rest("GET", f"{made}/answers")
        content = orthanc.rest("GET", f"{made}/answers/{answer}/content?simplify")
        assert {key: content[key] for key in query} == query
        assert not in_orthanc(orthanc, fresh, tmp_path / "kept")
        retrieving = {"TargetAet": orthanc.ae_title, "Synchronous": True}
        orthanc.rest("POST", f"{made}/answers/{answer}/retrieve", retrieving)
    assert in_orthanc(orthanc, fresh, tmp_path / "kept") == contents(wanted)


@answering
def test_orthanc_has_several_moved(
    tmp_path: Path, orthanc: peers.Server, fresh: list[Path], transport: str, archive: type[QueryArchive]
) -> None:
    """To itself, and then to a third party, which is a store SCP of ours."""
    another = path_to("-S", "STUDY", MR[0])
    studies = [another, {"StudyInstanceUID": str(dcmread(fresh[0]).StudyInstanceUID)}]
    kept = keeper(transport, tmp_path / "kept")
    with keeping(transport, kept) as third:
        places = {orthanc.ae_title: (HOST, orthanc.port), "THIRD": (HOST, third.port)}
        with serving(transport, archive([*IMAGES, *fresh], places)) as ours:
            orthanc.rest("PUT", "/modalities/ours", {"AET": "ARCHIVE", "Host": HOST, "Port": ours.port})
            for title in places:
                moving = {"Level": "Study", "Resources": studies, "TargetAet": title, "Synchronous": True}
                orthanc.rest("POST", "/modalities/ours/move", moving)
    assert in_orthanc(orthanc, fresh, tmp_path / "orthanc's") == contents(fresh)
    assert kept.taken() == contents([*fresh, *chosen(IMAGES, **another)])
    assert {title for title, _ in kept.originators} == {orthanc.ae_title}
