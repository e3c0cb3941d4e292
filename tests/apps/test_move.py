from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread

from archive import bundled
from interop import peers
from query_archive import HOST, QueryArchive, query_archive
from sansdimse import VERIFICATION, sop_classes
from sansdimse.peer.watch import AssociationEnded, Occurrence
from sansdimse_apps.outcomes import ExitCode

UIDS = [str(dcmread(bundled(name)).StudyInstanceUID) for name in ("CT_small.dcm", "MR_small_implicit.dcm")]
KEY = ("-k", "StudyInstanceUID=" + "\\".join(UIDS))


@pytest.fixture
def uncompressed(files: list[Path]) -> list[Path]:
    return files[:2]


@pytest.mark.parametrize("where", [("-aem", "THERE"), ("--destination", "THERE"), ("THERE",)])
def test_has_it_sent_elsewhere(
    where: tuple[str, ...], sansdimse: Any, serving: Any, service: Any, uncompressed: list[Path]
) -> None:
    keep = service()
    archive = QueryArchive(uncompressed)
    with serving(keep) as there, query_archive(archive) as server:
        archive.places["THERE"] = (HOST, there.port)
        done = sansdimse("move", HOST, server.port, *where, *KEY)
    assert done.code == 0
    assert done.out.startswith("2 instances sent to THERE in ")
    assert done.err == ""
    assert len(keep.received) == 2
    assert archive.classes == [sop_classes.STUDY_ROOT_MOVE]


def test_tells_machines(sansdimse: Any, serving: Any, service: Any, uncompressed: list[Path]) -> None:
    archive = QueryArchive(uncompressed)
    with serving(service()) as there, query_archive(archive) as server:
        archive.places["THERE"] = (HOST, there.port)
        done = sansdimse("move", HOST, server.port, "-aem", "THERE", *KEY, "--json")
    assert done.code == 0
    summary = done.record("summary")
    assert summary["stored"] is None
    assert (summary["completed"], summary["failed"], summary["warning"], summary["status"]) == (2, 0, 0, 0)
    assert done.record("operation")["service"] == "C-MOVE"
    assert done.record("association")["clean"] is True


def test_receives_it_itself(sansdimse: Any, uncompressed: list[Path], tmp_path: Path) -> None:
    port, out, called = peers.free_port(), tmp_path / "out", []
    archive = QueryArchive(uncompressed, places={"ME": (HOST, port), "SANSDIMSE": (HOST, port)})

    def watch(occurrence: Occurrence) -> None:
        if isinstance(occurrence, AssociationEnded):
            called.append(occurrence.statistics.calling_ae_title)

    with query_archive(archive, watch=watch) as server:
        done = sansdimse("move", HOST, server.port, *KEY, "--receive", port, "--out", out, "-aet", "ME")
        titled = sansdimse("move", HOST, server.port, "ME", *KEY, "--receive", port, "--out", out, "-v")
        told = sansdimse("move", HOST, server.port, *KEY, "--receive", port, "--out", out, "--json", "--exists", "keep")
    assert [each.code for each in (done, titled, told)] == [0, 0, 0]
    assert done.out.startswith("2 instances stored (")
    assert done.out.count("\n") == 1
    assert titled.out.count("stored ") == 3
    assert called == ["ME", "SANSDIMSE", "SANSDIMSE"]
    assert told.record("listening")["ae_title"] == "SANSDIMSE"
    assert told.record("summary")["stored"] == 2
    assert len(list(out.iterdir())) == 4
    assert {dcmread(path).SOPInstanceUID for path in out.iterdir()} == {
        dcmread(path).SOPInstanceUID for path in uncompressed
    }


def test_what_went_to_somebody_else_of_our_title(
    sansdimse: Any, serving: Any, service: Any, uncompressed: list[Path], tmp_path: Path
) -> None:
    archive = QueryArchive(uncompressed)
    with serving(service()) as there, query_archive(archive) as server:
        archive.places["SANSDIMSE"] = (HOST, there.port)
        done = sansdimse("move", HOST, server.port, *KEY, "--receive", peers.free_port(), "--out", tmp_path)
    assert done.code == ExitCode.PARTIAL
    assert "says that it sent 2, of which 0 came here" in done.err


def test_an_unknown_destination(sansdimse: Any, uncompressed: list[Path]) -> None:
    with query_archive(QueryArchive(uncompressed)) as server:
        done = sansdimse("move", HOST, server.port, "-aem", "NOWHERE", *KEY)
    assert done.code == 5
    assert "answers 0xA801" in done.out
    assert "add 'NOWHERE' with its address and port" in done.err


def test_a_destination_that_is_not_there(sansdimse: Any, uncompressed: list[Path]) -> None:
    archive = QueryArchive(uncompressed, places={"THERE": (HOST, peers.free_port())})
    with query_archive(archive, report=lambda error, where: None) as server:
        done = sansdimse("move", HOST, server.port, "-aem", "THERE", *KEY)
    assert done.code == 5
    assert "2 failed" in done.out
    assert "0 instances sent to THERE" in done.out


@pytest.mark.parametrize(("status", "code", "said"), [(0xB000, 0, "2 with a warning"), (0xA700, 5, "2 failed")])
def test_what_the_destination_says(
    status: int, code: int, said: str, sansdimse: Any, serving: Any, service: Any, uncompressed: list[Path]
) -> None:
    archive = QueryArchive(uncompressed)
    with serving(service(lambda store: status)) as there, query_archive(archive) as server:
        archive.places["THERE"] = (HOST, there.port)
        done = sansdimse("move", HOST, server.port, "-aem", "THERE", *KEY)
    assert done.code in (code, ExitCode.PARTIAL if status == 0xB000 else code)
    assert said in done.out


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "nothing says where to"),
        (["-aem", "A", "B"], "two destinations: 'B' and 'A'"),
        (["-aem", "A" * 17], "'--destination'"),
        (["A" * 17], "'TITLE'"),
        (["-aem", "A", "--out", "x"], "--out is for what comes here"),
        (["--receive", "11112"], "--receive needs a folder"),
        (["--receive", "0", "--out", "x"], "'--receive'"),
        (["-aem", "A", "-k", "PatientNam"], "Did you mean PatientName?"),
        (["-aem", "A", "-W"], "-W"),
    ],
)
def test_wrong_usage_calls_nobody(options: list[str], said: str, sansdimse: Any) -> None:
    done = sansdimse("move", HOST, peers.free_port(), *options, "-k", "StudyInstanceUID=1.2")
    assert done.code == 2
    assert said in done.err


def test_a_port_that_is_taken(sansdimse: Any, tmp_path: Path) -> None:
    with socket.create_server(("0.0.0.0", 0)) as taken:
        port = taken.getsockname()[1]
        done = sansdimse("move", HOST, peers.free_port(), *KEY, "--receive", port, "--out", tmp_path)
    assert done.code == 3
    assert "Address already in use" in done.err
    assert "--receive takes another port" in done.err


def test_nobody_there(sansdimse: Any) -> None:
    done = sansdimse("move", HOST, peers.free_port(), "-aem", "A", *KEY)
    assert done.code == 3
    assert "Connection refused" in done.err


def test_what_is_not_offered(sansdimse: Any) -> None:
    with query_archive(QueryArchive(), supports=[VERIFICATION]) as server:
        done = sansdimse("move", HOST, server.port, "-aem", "A", *KEY)
    assert done.code == 4
    assert "takes no such C-MOVE from us" in done.err


@pytest.mark.interop
def test_dcmtk_sends_it_here(sansdimse: Any, uncompressed: list[Path], tmp_path: Path) -> None:
    port, out = peers.free_port(), tmp_path / "out"
    with peers.dcmqrscp(tmp_path / "db", destinations={"ME": port}) as server:
        where = (*server.address, "-aec", server.ae_title)
        assert sansdimse("store", *where, *uncompressed).code == 0
        key = ("-k", f"StudyInstanceUID={UIDS[0]}")
        done = sansdimse("move", *where, *key, "-aet", "ME", "--receive", port, "--out", out)
        unknown = sansdimse("move", *where, *key, "-aem", "NOWHERE")
    assert (done.code, unknown.code) == (0, 5)
    assert [dcmread(path).StudyInstanceUID for path in out.iterdir()] == UIDS[:1]
    assert "answers 0xA801" in unknown.out
