from __future__ import annotations

import shutil
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from interop import peers
from sansdimse import VERIFICATION, AsynchronousOperationsWindow
from sansdimse.dataset import DatasetError, Instance, read_part10_header
from sansdimse.peer.handlers import Failure
from sansdimse.uids import JPEG_2000
from sansdimse_apps.outcomes import ExitCode
from sansdimse_apps.selection import Candidate
from sansdimse_apps.store import _UnderWay, exit_code
from sansdimse_files import open_instance
from sansdimse_socket import Peer
from sansdimse_socket import link as socket_link

HOST = "127.0.0.1"


def data_set(path: Path) -> bytes:
    with path.open("rb") as file:
        offset = read_part10_header(file.read).offset
    return path.read_bytes()[offset:]


def test_stores_files_and_folders(
    sansdimse: Any, serving: Any, service: Any, files: list[Path], tmp_path: Path
) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    for path in files[1:]:
        shutil.copy(path, inner)
    (tmp_path / "README").write_text("not DICOM")
    keep = service()
    with serving(keep) as server:
        done = sansdimse("store", HOST, server.port, files[0], tmp_path)
    assert done.code == 0
    assert "3 of 3 files stored" in done.out
    assert "1 passed over that are not DICOM" in done.out
    assert {data for _, data in keep.received} == {data_set(path) for path in files}


def test_verbose_names_each_file(sansdimse: Any, serving: Any, service: Any, files: list[Path]) -> None:
    with serving(service()) as server:
        quiet = sansdimse("store", HOST, server.port, *files)
        verbose = sansdimse("store", HOST, server.port, *files, "-v")
    assert all(f"stored: {path}" in verbose.out and str(path) not in quiet.out for path in files)


def test_tells_machines(sansdimse: Any, serving: Any, service: Any, files: list[Path]) -> None:
    with serving(service()) as server:
        done = sansdimse("store", HOST, server.port, *files, "--json", "--priority", "low")
    told = [record for record in done.records if record["event"] == "file"]
    assert [(record["path"], record["state"], record["status"]) for record in told] == [
        (str(path), "stored", 0) for path in files
    ]
    assert [record["bytes"] for record in told] == [len(data_set(path)) for path in files]
    assert told[2]["transfer_syntax_uid"] == JPEG_2000
    assert done.record("association")["outcome"] == "released"
    summary = done.record("summary")
    assert (summary["stored"], summary["failed"], summary["exit_code"]) == (3, 0, 0)
    assert summary["bytes"] == sum(len(data_set(path)) for path in files)


def test_priority_goes_out(sansdimse: Any, serving: Any, service: Any, files: list[Path]) -> None:
    seen: list[int] = []

    def answer(store: Any) -> int:
        seen.append(int(store.request.priority))
        return 0

    with serving(service(answer)) as server:
        for name in ("low", "medium", "high"):
            assert sansdimse("store", HOST, server.port, files[0], "--priority", name).code == 0
    assert seen == [2, 0, 1]


def test_as_many_associations_as_the_plan_has(
    sansdimse: Any, serving: Any, service: Any, files: list[Path], ends: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sansdimse.ul.plan.MOST_CONTEXTS", 2)
    with serving(service(), watch=ends) as server:
        done = sansdimse("store", HOST, server.port, *files)
    assert done.code == 0
    assert len(ends) == 2
    assert all(each.outcome.clean for each in ends)


def test_a_failure_status(sansdimse: Any, serving: Any, service: Any, files: list[Path]) -> None:
    def refuse(store: object) -> int:
        raise Failure(0xA700, "disk full")

    with serving(service(refuse)) as server:
        done = sansdimse("store", HOST, server.port, *files)
    assert done.code == 5
    assert "failed: " in done.out
    assert "0xA700 (refused: out of resources): disk full" in done.out
    assert "0 of 3 files stored" in done.out


def test_one_failure_of_several_is_partial(sansdimse: Any, serving: Any, service: Any, files: list[Path]) -> None:
    with serving(service(lambda store: 0xC000 if store.transfer_syntax_uid == JPEG_2000 else 0)) as server:
        done = sansdimse("store", HOST, server.port, *files, "--json")
    assert done.code == 6
    states = [record["state"] for record in done.records if record["event"] == "file"]
    assert states == ["stored", "stored", "failed"]


def test_a_warning_is_stored_and_told(sansdimse: Any, serving: Any, service: Any, files: list[Path]) -> None:
    with serving(service(lambda store: 0xB000)) as server:
        done = sansdimse("store", HOST, server.port, files[0])
    assert done.code == 0
    assert "stored with a warning: " in done.out
    assert "1 with a warning" in done.out


def test_a_file_that_is_not_dicom_does_not_stop_the_others(
    sansdimse: Any, serving: Any, service: Any, files: list[Path], tmp_path: Path
) -> None:
    other = tmp_path / "notes\x1b[31m.txt"
    other.write_text("no DICOM")
    with serving(service()) as server:
        done = sansdimse("store", HOST, server.port, other, files[0])
    assert done.code == 6
    assert "notes\\x1b[31m.txt: not a DICOM file" in done.out
    assert "1 of 2 files stored" in done.out


@pytest.mark.parametrize("what", ["file", "folder", "empty", "nothing"])
def test_nothing_to_store_is_told_before_anybody_is_called(what: str, sansdimse: Any, tmp_path: Path) -> None:
    path = tmp_path / what
    if what == "file":
        path.write_text("no DICOM")
    elif what != "nothing":
        path.mkdir()
    if what == "folder":
        (path / "README").write_text("no DICOM")
    done = sansdimse("store", HOST, peers.free_port(), path)
    assert done.code == 2
    expected = {
        "file": f"nothing to store: {path}: not a DICOM file",
        "folder": f"nothing to store: 1 files, none of them DICOM in {path}",
        "empty": f"nothing to store: no files in {path}",
        "nothing": f"there is no such file or folder: {path}",
    }
    assert expected[what] in done.err


def test_nobody_there(sansdimse: Any, files: list[Path]) -> None:
    done = sansdimse("store", HOST, peers.free_port(), *files, "--json")
    assert done.code == 3
    assert done.record("error")["message"].endswith("cannot be reached: Connection refused")
    assert [record["state"] for record in done.records if record["event"] == "file"] == ["not sent"] * 3
    assert done.record("summary")["not_sent"] == 3


def test_rejected(sansdimse: Any, serving: Any, service: Any, files: list[Path]) -> None:
    with serving(service(), require_called=True, ae_title="OTHER") as server:
        done = sansdimse("store", HOST, server.port, *files)
    assert done.code == 4
    assert "try -aec" in done.err
    assert "Convert" not in done.err
    assert "3 not sent" in done.out


def test_no_context_for_it(sansdimse: Any, serving: Any, service: Any, files: list[Path]) -> None:
    with serving(service(), supports=[VERIFICATION], any_storage=False) as server:
        done = sansdimse("store", HOST, server.port, *files)
    assert done.code == 4
    assert "abstract syntax not supported" in done.out


def test_only_uncompressed_is_taken(sansdimse: Any, serving: Any, service: Any, files: list[Path]) -> None:
    classes = ["1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4"]
    with serving(service(), supports=classes, any_storage=False) as server:
        done = sansdimse("store", HOST, server.port, *files)
    assert done.code == 6
    assert "takes it in: Explicit VR Little Endian" in done.out
    [told] = [line.rpartition(": ")[2].split(", ") for line in done.out.splitlines() if "takes it in: " in line]
    assert len(told) == len(set(told))
    assert "Convert what was refused" in done.err


def test_goes_on_after_an_association_was_lost_in_the_middle(
    sansdimse: Any, serving: Any, service: Any, files: list[Path]
) -> None:
    keep = service()

    def answer(store: Any) -> int:
        if len(keep.received) == 1 and not keep.aborted:
            keep.aborted = True
            store.abort()
        return 0

    keep.answer, keep.aborted = answer, False
    with serving(keep) as server:
        done = sansdimse("store", HOST, server.port, *files, "--json")
    assert done.code == 6
    states = [record["state"] for record in done.records if record["event"] == "file"]
    assert states == ["stored", "failed", "stored"]
    outcomes = [record["outcome"] for record in done.records if record["event"] == "association"]
    assert outcomes == ["aborted", "released"]


def test_gives_up_when_nothing_is_answered(sansdimse: Any, serving: Any, service: Any, files: list[Path]) -> None:
    with serving(service(lambda store: store.abort() or 0)) as server:
        done = sansdimse("store", HOST, server.port, *files, "--json")
    assert done.code == 3
    states = [record["state"] for record in done.records if record["event"] == "file"]
    assert states == ["failed", "not sent", "not sent"]


def test_a_file_that_fails_in_its_middle_costs_only_itself(
    sansdimse: Any, serving: Any, service: Any, files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def opened(path: Path) -> Iterator[Instance]:
        with open_instance(path) as instance:
            if path != files[0]:
                yield instance
                return

            def pieces() -> Iterator[bytes]:
                yield bytes(1000)
                raise DatasetError(f"{path}: the file has become shorter")

            yield Instance(
                instance.sop_class_uid, instance.sop_instance_uid, instance.transfer_syntax_uid, None, pieces
            )

    monkeypatch.setattr(socket_link, "open_instance", opened)
    keep = service()
    with serving(keep) as server:
        done = sansdimse("store", HOST, server.port, *files)
    assert done.code == 6
    assert f"failed: {files[0]}: the file has become shorter" in done.out
    assert "2 of 3 files stored" in done.out
    assert {data for _, data in keep.received} == {data_set(path) for path in files[1:]}


# ---------------------------------------------------------------- several outstanding at once

WINDOW = AsynchronousOperationsWindow(4, 1)


@pytest.fixture
def many(files: list[Path], tmp_path: Path) -> list[Path]:
    """Ten files."""
    folder = tmp_path / "many"
    folder.mkdir()
    return [Path(shutil.copy(files[0], folder / f"{number}.dcm")) for number in range(10)]


def states(done: Any) -> list[tuple[str, str]]:
    """What became of each file, in the order in which it was told."""
    return [(Path(each["path"]).stem, each["state"]) for each in done.records if each["event"] == "file"]


def test_a_window_is_used_and_results_come_in_the_order_of_the_files(
    sansdimse: Any, serving: Any, service: Any, many: list[Path], ends: Any
) -> None:
    with serving(service(), window=WINDOW, watch=ends) as server:
        done = sansdimse("store", HOST, server.port, *many, "--window", 4, "--json")
    assert done.code == 0
    assert states(done) == [(str(number), "stored") for number in range(10)]
    assert done.record("association")["operations"] == 10
    assert [each.outcome.clean for each in ends] == [True]


def test_those_in_doubt_when_the_association_was_lost_are_failed_and_the_others_go_on(
    sansdimse: Any, serving: Any, service: Any, many: list[Path]
) -> None:
    keep = service()
    keep.stores = 0

    def answer(store: Any) -> int:
        keep.stores += 1
        if keep.stores == 4:
            store.abort()
        return 0

    keep.answer = answer
    with serving(keep, window=WINDOW) as server:
        done = sansdimse("store", HOST, server.port, *many, "--window", 4, "--json")
    assert done.code == 6
    told = states(done)
    assert sorted(name for name, _ in told) == sorted(path.stem for path in many), "each once"
    assert told[:3] == [("0", "stored"), ("1", "stored"), ("2", "stored")]
    failed = [name for name, state in told if state == "failed"]
    assert failed[0] == "3"
    assert 1 <= len(failed) <= WINDOW.invoked
    assert {state for name, state in told if name not in failed} == {"stored"}


def test_a_file_that_fails_in_its_middle_costs_only_itself_with_a_window_too(
    sansdimse: Any, serving: Any, service: Any, many: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def opened(path: Path) -> Iterator[Instance]:
        with open_instance(path) as instance:
            if path != many[5]:
                yield instance
                return

            def pieces() -> Iterator[bytes]:
                yield bytes(1000)
                raise DatasetError(f"{path}: the file has become shorter")

            yield replace(instance, length=None, pieces=pieces)

    monkeypatch.setattr(socket_link, "open_instance", opened)
    with serving(service(), window=WINDOW) as server:
        done = sansdimse("store", HOST, server.port, *many, "--window", 4, "--json")
    assert done.code == 6
    assert sorted(states(done)) == [(str(number), "failed" if number == 5 else "stored") for number in range(10)]


def test_a_later_result_is_told_though_one_before_it_never_came() -> None:
    candidates = [Candidate(Path(name), None, 1) for name in "abcde"]  # type: ignore[arg-type]
    waiting = deque(candidates)
    shown: list[int] = []
    under_way = _UnderWay(waiting, SimpleNamespace(show=shown.append))  # type: ignore[arg-type]
    taken = under_way.paths()
    for name, sent in zip("abcd", (5, 7, 11, 13), strict=True):
        assert next(taken) == Path(name)
        under_way.show(Path(name), sent)
    assert shown == [5, 12, 23, 36]
    assert under_way.take(Path("a")).candidate is candidates[0]
    assert under_way.take(Path("c")).candidate is candidates[2]
    assert [file.candidate.path.name for file in under_way.take_in_doubt([Path("b")])] == ["b"]
    under_way.give_back()
    assert list(waiting) == candidates[3:]


def test_interrupted(
    sansdimse: Any, serving: Any, service: Any, files: list[Path], ends: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Peer, "c_store_each", interrupt)
    with serving(service(), watch=ends) as server:
        done = sansdimse("store", HOST, server.port, *files)
    assert done.code == 130
    assert "0 of 3 files stored" in done.out
    assert "3 not sent" in done.out
    assert [each.outcome.kind.value for each in ends] == ["aborted"]


def test_exit_codes() -> None:
    assert exit_code([], 3) is ExitCode.DONE
    assert exit_code([ExitCode.FAILURE], 1) is ExitCode.PARTIAL
    assert exit_code([ExitCode.USAGE, ExitCode.FAILURE], 0) is ExitCode.FAILURE
    assert exit_code([ExitCode.REFUSED, ExitCode.NETWORK], 0) is ExitCode.NETWORK
    assert exit_code([ExitCode.USAGE], 0) is ExitCode.USAGE
    assert exit_code([ExitCode.INTERRUPTED, ExitCode.NETWORK], 1) is ExitCode.INTERRUPTED


def test_what_was_passed_over_is_named_when_asked_for(
    sansdimse: Any, serving: Any, service: Any, files: list[Path], tmp_path: Path
) -> None:
    (tmp_path / "notes").write_text("x")
    with serving(service()) as server:
        quiet, verbose, machine = (
            sansdimse("store", HOST, server.port, *options, files[0], tmp_path)
            for options in ((), ("-v",), ("--json",))
        )
    assert "passed over:" not in quiet.out
    assert f"passed over: {tmp_path / 'notes'}: not a DICOM file" in verbose.out
    assert machine.record("skipped")["path"] == str(tmp_path / "notes")
    assert [run.code for run in (quiet, verbose, machine)] == [0, 0, 0]


@pytest.mark.interop
@pytest.mark.parametrize("peer", ["storescp", "dcmrecv"])
def test_dcmtk_keeps_the_bits(peer: str, sansdimse: Any, files: list[Path], tmp_path: Path) -> None:
    options = ["+B", "+xa"] if peer == "storescp" else ["+B"]
    with getattr(peers, peer)(tmp_path / peer, *options) as server:
        done = sansdimse("store", *server.address, "-aec", server.ae_title, *files)
        stored = {data_set(path) for path in server.files()}
    assert done.code == 0
    assert stored == {data_set(path) for path in files}


@pytest.mark.interop
def test_dcmtk_rejects_and_refuses(sansdimse: Any, files: list[Path], tmp_path: Path) -> None:
    with peers.storescp(tmp_path / "refusing", "--refuse") as server:
        assert sansdimse("store", *server.address, *files).code == 4
    with peers.storescp(tmp_path / "uncompressed", "+x=") as server:
        assert sansdimse("store", *server.address, files[2]).code == 4
        assert sansdimse("store", *server.address, *files).code == 6
