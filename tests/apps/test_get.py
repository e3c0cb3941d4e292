from __future__ import annotations

import os
import shutil
import signal
import threading
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread

from archive import data_set_of, essence
from interop import peers
from query_archive import HOST, SENT, QueryArchive, query_archive
from sansdimse import VERIFICATION, PresentationContext, sop_classes
from sansdimse.peer.handlers import Failure
from sansdimse.services.sop_classes import STANDARD
from sansdimse.uids import JPEG_2000
from sansdimse_apps import get, retrieving
from sansdimse_apps.outcomes import ExitCode
from sansdimse_apps.query import information_model, query
from sansdimse_apps.serve import StoreInFolder

ALL = ("-P", "-k", "PatientID=*", "-L", "PATIENT")  # our archive takes wild cards where the standard has none
CT_UID = "1.3.6.1.4.1.5962.1.1.1.1.1.20040119072730.12322"


@pytest.fixture
def uncompressed(files: list[Path]) -> list[Path]:
    return files[:2]


def kept(folder: Path) -> dict[str, bytes]:
    return {path.name: data_set_of(path) for path in folder.iterdir()}


def by_name(paths: list[Path]) -> dict[str, bytes]:
    return {f"{dcmread(path).SOPInstanceUID}.dcm": data_set_of(path) for path in paths}


def study_of(path: Path) -> str:
    return f"StudyInstanceUID={dcmread(path).StudyInstanceUID}"


def test_files_come_whole(sansdimse: Any, uncompressed: list[Path], tmp_path: Path) -> None:
    archive, out = QueryArchive(uncompressed), tmp_path / "out"
    with query_archive(archive) as server:
        done = sansdimse("get", HOST, server.port, "-k", study_of(uncompressed[0]), "--out", out, "-aec", "ARCHIVE")
    assert done.code == 0
    assert done.out.startswith("1 instance stored (")
    assert "failed" not in done.out
    assert done.err == ""
    assert set(kept(out)) == {f"{CT_UID}.dcm"}
    assert dcmread(out / f"{CT_UID}.dcm").pixel_array.shape == (128, 128)
    [asked] = archive.asked
    assert asked.QueryRetrieveLevel == "STUDY"
    assert archive.classes == [sop_classes.STUDY_ROOT_GET]


def test_all_of_several(sansdimse: Any, uncompressed: list[Path], tmp_path: Path) -> None:
    with query_archive(QueryArchive(uncompressed)) as server:
        done = sansdimse("get", HOST, server.port, *ALL, "-od", tmp_path, "-v", "-aec", "ARCHIVE")
    assert done.code == 0
    assert "2 instances stored" in done.out
    assert done.out.count(f"from ARCHIVE at {HOST}:{server.port}") == 2
    assert set(kept(tmp_path)) == set(by_name(uncompressed))


def test_tells_machines(sansdimse: Any, uncompressed: list[Path], tmp_path: Path) -> None:
    with query_archive(QueryArchive(uncompressed)) as server:
        done = sansdimse("get", HOST, server.port, *ALL, "--out", tmp_path, "--json", "-aec", "ARCHIVE")
    assert done.code == 0
    events = {record["event"] for record in done.records}
    assert events == {"stored", "progress", "operation", "association", "summary"}
    stored = [record for record in done.records if record["event"] == "stored"]
    assert {record["path"] for record in stored} == {str(path) for path in tmp_path.iterdir()}
    assert {record["calling"] for record in stored} == {"ARCHIVE"}
    summary = done.record("summary")
    assert summary.pop("seconds") >= 0
    assert summary == {
        "event": "summary",
        "stored": 2,
        "bytes": sum(path.stat().st_size for path in tmp_path.iterdir()),
        "refused": 0,
        "remaining": 0,
        "completed": 2,
        "failed": 0,
        "warning": 0,
        "failed_instances": [],
        "status": 0,
        "text": "0x0000 (success)",
        "comment": None,
        "offending_elements": [],
        "exit_code": 0,
    }
    progress = [record for record in done.records if record["event"] == "progress"]
    assert all(record["remaining"] + record["completed"] == 2 for record in progress)


def test_images_as_the_server_has_them(sansdimse: Any, files: list[Path], tmp_path: Path) -> None:
    roles = [PresentationContext(uid, [JPEG_2000, *plain], scu=False, scp=True) for uid in SENT for plain in [PLAIN]]
    supports = [sop_classes.PATIENT_ROOT_GET, *roles]
    archive = QueryArchive(files)
    with query_archive(archive, supports=supports) as server:
        plain = sansdimse("get", HOST, server.port, *ALL, "--out", tmp_path / "plain")
        compressed = sansdimse("get", HOST, server.port, *ALL, "--out", tmp_path / "compressed", "--compressed")
    assert plain.code == ExitCode.PARTIAL
    assert "1 failed" in plain.out
    assert "--compressed takes them as the server has them" in plain.err
    assert f"failed: {dcmread(files[2]).SOPInstanceUID}" in plain.out
    assert compressed.code == 0
    assert "no room for" in compressed.err
    assert by_name(files)[f"{dcmread(files[2]).SOPInstanceUID}.dcm"] in kept(tmp_path / "compressed").values()


PLAIN = ["1.2.840.10008.1.2.1", "1.2.840.10008.1.2"]


def test_only_the_storage_classes_named(sansdimse: Any, uncompressed: list[Path], tmp_path: Path) -> None:
    with query_archive(QueryArchive(uncompressed)) as server:
        done = sansdimse("get", HOST, server.port, *ALL, "--out", tmp_path, "--storage", "CTImageStorage")
    assert done.code == ExitCode.PARTIAL
    assert set(kept(tmp_path)) == {f"{CT_UID}.dcm"}


def test_contexts_are_ranked() -> None:
    asked = query(information_model("C-GET"), ["StudyInstanceUID=1.2"], retrieves=True)
    contexts, left_out = get.planned(asked, [], compressed=False)
    assert len(contexts) == 128
    assert contexts[0].abstract_syntax == asked.model.uid
    assert [each.abstract_syntax for each in contexts[1:]] == list(STANDARD.storage()[:127])
    assert all(each.scp for each in contexts[1:])
    assert len(left_out) == len(STANDARD.storage()) + len(STANDARD.storage(retired=True)) - 127
    contexts, _ = get.planned(asked, [], compressed=True)
    assert len(contexts) == 128
    of_ct = [each for each in contexts if each.abstract_syntax == sop_classes.CT_IMAGE_STORAGE]
    assert len(of_ct) == 7
    assert {each.abstract_syntax for each in contexts[1:]} == set(STANDARD.storage()[:40])
    contexts, left_out = get.planned(asked, ["1.2.3"], compressed=True)
    assert [each.abstract_syntax for each in contexts[1:]] == ["1.2.3"] * 7
    assert not left_out


@pytest.mark.parametrize(
    ("exists", "code", "names"), [("replace", 0, 1), ("keep", 0, 2), ("refuse", ExitCode.FAILURE, 1)]
)
def test_instances_that_are_there_already(
    exists: str, code: int, names: int, sansdimse: Any, uncompressed: list[Path], tmp_path: Path
) -> None:
    options = ("-k", study_of(uncompressed[0]), "--out", tmp_path, "--exists", exists, "--fsync")
    with query_archive(QueryArchive(uncompressed)) as server:
        assert sansdimse("get", HOST, server.port, *options).code == 0
        done = sansdimse("get", HOST, server.port, *options)
    assert done.code == code
    assert len(list(tmp_path.iterdir())) == names
    assert "--compressed" not in done.err


def test_a_success_that_we_refused_something_of_is_partial(
    sansdimse: Any, uncompressed: list[Path], tmp_path: Path
) -> None:
    """Some peers do not look at the answers that they get."""

    class Careless(QueryArchive):
        def c_get(self, get: Any) -> Any:
            yield 1
            yield from list(super().c_get(get))[1:]
            yield 0x0000

    options = (*ALL, "--out", tmp_path, "--exists", "refuse")
    with query_archive(Careless(uncompressed[:1])) as server:
        sansdimse("get", HOST, server.port, *options)
        done = sansdimse("get", HOST, server.port, *options, "--json")
    assert done.record("summary")["refused"] == 1
    assert done.code in (ExitCode.PARTIAL, ExitCode.FAILURE)


def test_a_failure_with_its_comment(sansdimse: Any, uncompressed: list[Path], tmp_path: Path) -> None:
    def disturb(number: int, asked: Any) -> None:
        raise Failure(0xA900, "not that", offending_element=(0x0020000D,))

    with query_archive(QueryArchive(uncompressed, disturb=disturb)) as server:
        done = sansdimse("get", HOST, server.port, *ALL, "--out", tmp_path, "-k", "PatientName")
    assert done.code == 5
    assert "0 instances stored" in done.out
    assert "answers 0xA900" in done.out
    assert "not that; it names StudyInstanceUID (0020,000D)" in done.out
    assert "The query is not as its information model has it" in done.err


def test_a_failure_after_some_is_partial(sansdimse: Any, uncompressed: list[Path], tmp_path: Path) -> None:
    def disturb(number: int, asked: Any) -> None:
        if number == 2:
            raise Failure(0xC001, "tape broke")

    with query_archive(QueryArchive(uncompressed, disturb=disturb)) as server:
        done = sansdimse("get", HOST, server.port, *ALL, "--out", tmp_path)
    assert done.code == ExitCode.PARTIAL
    assert "tape broke" in done.out


def test_many_failed_instances_are_not_all_named(
    sansdimse: Any, uncompressed: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retrieving, "_MOST_NAMED", 1)
    with query_archive(QueryArchive(uncompressed)) as server:
        options = (*ALL, "--out", tmp_path, "--storage", "SecondaryCaptureImageStorage")
        done = sansdimse("get", HOST, server.port, *options)
        told = sansdimse("get", HOST, server.port, *options, "--json")
    assert done.code == told.code == 5
    assert done.out.count("failed: ") == 1
    assert "... and 1 more" in done.out
    assert len(told.record("summary")["failed_instances"]) == 2


def test_nothing_found_is_no_failure(sansdimse: Any, uncompressed: list[Path], tmp_path: Path) -> None:
    with query_archive(QueryArchive(uncompressed)) as server:
        done = sansdimse("get", HOST, server.port, "-k", "StudyInstanceUID=1.2.3", "--out", tmp_path)
    assert done.code == 0
    assert "0 instances stored" in done.out


# ---------------------------------------------------------------- interrupted


@pytest.fixture
def many(uncompressed: list[Path], tmp_path: Path) -> list[Path]:
    folder = tmp_path / "many"
    folder.mkdir()
    return [Path(shutil.copy(uncompressed[0], folder / f"{number}.dcm")) for number in range(9)]


def interrupt() -> None:
    """A Ctrl-C, which the main thread gets."""
    os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize("command", ["get", "move"])
def test_one_interrupt_asks_the_peer_to_stop(
    command: str, sansdimse: Any, serving: Any, service: Any, many: list[Path], tmp_path: Path
) -> None:
    heeded = threading.Event()

    def disturb(number: int, asked: Any) -> None:
        if number == 3:
            interrupt()
            while not asked.cancelled:
                pass
            heeded.set()

    archive = QueryArchive(many, disturb=disturb)
    where = ("--out", tmp_path / "out") if command == "get" else ("-aem", "THERE")
    with serving(service()) as there, query_archive(archive) as server:
        archive.places["THERE"] = (HOST, there.port)
        done = sansdimse(command, HOST, server.port, "-k", study_of(many[0]), *where)
    assert done.code == 130
    assert heeded.is_set()
    assert archive.given < 9
    assert "asked 127.0.0.1:" in done.err
    assert "Ctrl-C again ends the association" in done.err
    assert "answers 0xFE00" in done.out
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_another_interrupt_ends_the_association(sansdimse: Any, many: list[Path], tmp_path: Path, ends: Any) -> None:
    def disturb(number: int, asked: Any) -> None:
        if number == 3:
            interrupt()
            while not asked.cancelled:
                pass
            interrupt()
            ended.wait(30)

    ended = threading.Event()

    def watch(occurrence: Any) -> None:
        ends(occurrence)
        if ends:
            ended.set()

    with query_archive(QueryArchive(many, disturb=disturb), watch=watch) as server:
        done = sansdimse("get", HOST, server.port, "-k", study_of(many[0]), "--out", tmp_path / "out", "--json")
        ended.set()
    assert done.code == 130
    assert done.record("summary")["exit_code"] == 130
    assert done.record("error")["message"] == "interrupted"
    assert [each.outcome.kind.value for each in ends] == ["aborted"]
    assert {path.suffix for path in (tmp_path / "out").iterdir()} <= {".dcm"}


def test_interrupted_before_it_asks(
    sansdimse: Any, uncompressed: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(get._Getting, "check", lambda self, peer: interrupt())
    with query_archive(QueryArchive(uncompressed)) as server:
        done = sansdimse("get", HOST, server.port, *ALL, "--out", tmp_path, "--json")
    assert done.code == 130
    assert done.record("summary")["stored"] == 0


def test_an_interrupt_that_comes_too_late_changes_nothing(
    sansdimse: Any, uncompressed: list[Path], tmp_path: Path
) -> None:
    """All had been sent when the peer learned of it."""

    class Deaf(QueryArchive):
        def c_get(self, get: Any) -> Any:
            yield 1
            interrupt()
            while not get.cancelled:
                pass
            yield 0x0000

    with query_archive(Deaf(uncompressed)) as server:
        done = sansdimse("get", HOST, server.port, *ALL, "--out", tmp_path, "--json")
    assert done.record("summary")["status"] in (0, 0xFE00, 0xB000, 0xA702)
    assert done.code == (0 if done.record("summary")["status"] == 0 else 130)


# ---------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["-k", "PatientNam=x"], "Did you mean PatientName?"),
        (["-k", "PatientName=x"], "nothing says what to retrieve at level STUDY"),
        ([], "nothing says what is asked for"),
        (["-k", "StudyInstanceUID=1", "--storage", "CTImageStorag"], "Did you mean CTImageStorage?"),
        (["-k", "StudyInstanceUID=1", "--model", "StudyRootQueryRetrieveInformationModelFind"], "has no C-GET"),
        (["-k", "StudyInstanceUID=1", "--exists", "x"], "'--exists'"),
    ],
)
def test_wrong_usage_calls_nobody(options: list[str], said: str, sansdimse: Any, tmp_path: Path) -> None:
    done = sansdimse("get", HOST, peers.free_port(), *options, "--out", tmp_path)
    assert done.code == 2
    assert said in done.err
    assert sansdimse("get", HOST, peers.free_port(), "-k", "StudyInstanceUID=1").code == 2


def test_a_folder_that_will_not_do(sansdimse: Any, tmp_path: Path) -> None:
    done = sansdimse("get", HOST, peers.free_port(), "-k", "StudyInstanceUID=1", "--out", tmp_path / "a" / "b")
    assert done.code == 2
    assert "cannot store into" in done.err


def test_nobody_there(sansdimse: Any, tmp_path: Path) -> None:
    done = sansdimse("get", HOST, peers.free_port(), "-k", "StudyInstanceUID=1", "--out", tmp_path, "--json")
    assert done.code == 3
    assert done.record("error")["message"].endswith("cannot be reached: Connection refused")
    assert done.record("summary")["exit_code"] == 3


def test_rejected(sansdimse: Any, tmp_path: Path) -> None:
    with query_archive(QueryArchive(), require_called=True) as server:
        done = sansdimse("get", HOST, server.port, "-k", "StudyInstanceUID=1", "--out", tmp_path)
    assert done.code == 4
    assert "try -aec" in done.err


@pytest.mark.parametrize(
    ("supports", "said"),
    [
        ([VERIFICATION], "takes no such C-GET from us"),
        ([sop_classes.STUDY_ROOT_GET], "agreed to send none of the storage SOP classes"),
    ],
)
def test_what_is_not_offered(supports: list[str], said: str, sansdimse: Any, tmp_path: Path) -> None:
    with query_archive(QueryArchive(), supports=supports) as server:
        done = sansdimse("get", HOST, server.port, "-k", "StudyInstanceUID=1", "--out", tmp_path)
    assert done.code == 4
    assert said in done.err


def test_relational_that_was_not_agreed_to(sansdimse: Any, uncompressed: list[Path], tmp_path: Path) -> None:
    with query_archive(QueryArchive(uncompressed)) as server:
        done = sansdimse("get", HOST, server.port, "-k", study_of(uncompressed[0]), "--relational", "--out", tmp_path)
    assert done.code == 0
    assert "did not agree to --relational" in done.err


@pytest.mark.parametrize(("at", "code"), [(1, 3), (9, 6)])
def test_lost_in_the_middle(at: int, code: int, sansdimse: Any, many: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "out"

    def disturb(number: int, asked: Any) -> None:
        if number == at:
            asked.abort()

    with query_archive(QueryArchive(many, disturb=disturb)) as server:
        done = sansdimse("get", HOST, server.port, "-k", study_of(many[0]), "--out", out, "--json")
    assert done.code == code
    assert done.record("error")["exit_code"] == done.record("summary")["exit_code"] == code
    assert len(list(out.iterdir())) == (at > 1), "of nine with one UID"


@pytest.mark.interop
def test_dcmtk_is_told_to_stop(
    sansdimse: Any, many: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, path in enumerate(many):
        data_set = dcmread(path)
        data_set.SOPInstanceUID = data_set.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.{number}"
        data_set.save_as(path)
    keep = StoreInFolder.c_store_async

    async def store(self: Any, store: Any) -> Any:
        if self.stored == 1:
            interrupt()
        return await keep(self, store)

    with peers.dcmqrscp(tmp_path / "db") as server:
        where = (*server.address, "-aec", server.ae_title)
        assert sansdimse("store", *where, *many).code == 0
        whole = sansdimse("get", *where, "-k", study_of(many[0]), "--out", tmp_path / "whole")
        monkeypatch.setattr(StoreInFolder, "c_store_async", store)
        done = sansdimse("get", *where, "-k", study_of(many[0]), "--out", tmp_path / "out")
    assert whole.code == 0
    assert set(kept(tmp_path / "whole")) == set(by_name(many))
    assert all(essence(path) == essence(tmp_path / "whole" / f"1.2.3.{n}.dcm") for n, path in enumerate(many))
    assert done.code == 130
    assert "answers 0xFE00" in done.out
    assert 2 <= len(list((tmp_path / "out").iterdir())) < 9
