"""A received file is there whole, under its name, or not at all; whatever happens."""

from __future__ import annotations

import errno
import fcntl
import gc
import os
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sansdimse_files import ReceivedFile, custody, file_name, is_out_of_space, sweep

HEADER = b"header"
UID = "1.2.3"


@pytest.fixture(autouse=True)
def every_descriptor_closed() -> Iterator[None]:
    before = sorted(os.listdir("/proc/self/fd"))
    yield
    gc.collect()
    assert sorted(os.listdir("/proc/self/fd")) == before


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# --- the way it should go


@pytest.mark.parametrize("fsync", [False, True])
def test_committed_it_is_there_whole(tmp_path: Path, fsync: bool) -> None:
    with ReceivedFile(tmp_path, HEADER, UID, fsync=fsync) as file:
        file.write([b"one", memoryview(b"two"), b""])
        file.write([])
        file.write(iter([b"three"]))
        (temporary,) = names(tmp_path)
        assert temporary.endswith(".part")
        path = file.commit()
        assert path == tmp_path / "1.2.3.dcm"
        assert path.read_bytes() == b"headeronetwothree"
        assert file.commit() == path
        file.discard()
    assert names(tmp_path) == ["1.2.3.dcm"]
    assert path.stat().st_mode & 0o777 & ~0o640 == 0


def test_fsync_is_asked_of_file_and_folder_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[bool, list[str]]] = []
    monkeypatch.setattr(os, "fsync", lambda fd: seen.append((os.path.isdir(f"/proc/self/fd/{fd}"), names(tmp_path))))
    with ReceivedFile(tmp_path, HEADER, UID, fsync=True) as file:
        (temporary,) = names(tmp_path)
        file.commit()
    assert seen == [(False, [temporary]), (True, ["1.2.3.dcm"])]
    seen.clear()
    with ReceivedFile(tmp_path, HEADER, UID) as file:
        file.commit()
    assert seen == []


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.binary(max_size=20), max_size=30), st.integers(1, 7), st.integers(1, 5))
def test_the_system_may_take_less_than_it_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pieces: list[bytes], most: int, at_once: int
) -> None:
    def writev(fd: int, buffers: Sequence[bytes]) -> int:
        assert 1 <= len(buffers) <= at_once
        return os.write(fd, b"".join(buffers)[:most])

    with monkeypatch.context() as patch:
        patch.setattr(os, "writev", writev)
        patch.setattr(custody, "_BUFFERS_AT_ONCE", at_once)
        with ReceivedFile(tmp_path, HEADER, UID) as file:
            file.write(pieces)
            assert file.commit().read_bytes() == HEADER + b"".join(pieces)


def test_more_pieces_than_the_system_takes_at_once(tmp_path: Path) -> None:
    with ReceivedFile(tmp_path, HEADER, UID) as file:
        file.write(b"ab" for _ in range(5000))
        assert file.commit().read_bytes() == HEADER + b"ab" * 5000


# --- the ways it should not


def test_leaving_without_commit_leaves_nothing(tmp_path: Path) -> None:
    with ReceivedFile(tmp_path, HEADER, UID) as file:
        file.write([b"data"])
    assert names(tmp_path) == []
    with pytest.raises(KeyError), ReceivedFile(tmp_path, HEADER, UID) as file:
        raise KeyError
    assert names(tmp_path) == []
    for action in (file.commit, lambda: file.write([b"late"])):
        with pytest.raises(ValueError, match="discarded"):
            action()


def test_after_commit_nothing_more_is_written(tmp_path: Path) -> None:
    with ReceivedFile(tmp_path, HEADER, UID) as file:
        file.commit()
        with pytest.raises(ValueError, match="committed"):
            file.write([b"late"])


def test_a_forgotten_file_goes(tmp_path: Path) -> None:
    file = ReceivedFile(tmp_path, HEADER, UID)
    assert len(names(tmp_path)) == 1
    del file
    gc.collect()
    assert names(tmp_path) == []


def test_at_the_interpreters_end_it_goes(tmp_path: Path) -> None:
    program = f"from sansdimse_files import ReceivedFile\nkept = ReceivedFile({str(tmp_path)!r}, b'x', '1.2')\n"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60, env={"PYTHONPATH": ":".join(sys.path)})
    assert names(tmp_path) == []


def test_the_folders_own_fsync_failing_takes_no_file_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fsync(fd: int) -> None:
        if os.path.isdir(f"/proc/self/fd/{fd}"):
            raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", fsync)
    with ReceivedFile(tmp_path, HEADER, UID, fsync=True) as file, pytest.raises(OSError, match="Input/output"):
        file.commit()
    assert names(tmp_path) == ["1.2.3.dcm"]


def test_somebody_deleting_the_temporary_file_is_an_error_at_commit(tmp_path: Path) -> None:
    with ReceivedFile(tmp_path, HEADER, UID) as file:
        (tmp_path / names(tmp_path)[0]).unlink()
        with pytest.raises(FileNotFoundError):
            file.commit()
    assert names(tmp_path) == []


def test_the_folder_must_be_one(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for folder, error in ((tmp_path / "missing", FileNotFoundError), (tmp_path / "file", NotADirectoryError)):
        with pytest.raises(error):
            ReceivedFile(folder, HEADER, UID)


def test_a_file_that_cannot_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / f"{'0' * 32}.part").symlink_to(tmp_path / "elsewhere")
    monkeypatch.setattr("secrets.token_hex", lambda size: "0" * 2 * size)
    with pytest.raises(FileExistsError):  # a link somebody put there is neither followed nor replaced
        ReceivedFile(tmp_path, HEADER, UID)
    assert names(tmp_path) == [f"{'0' * 32}.part"]


def test_replacing_the_folder_does_not_redirect_the_file(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    with ReceivedFile(tmp_path / "in", HEADER, UID) as file:
        (tmp_path / "in").rename(tmp_path / "moved")
        (tmp_path / "in").mkdir()
        file.commit()
    assert names(tmp_path / "moved") == ["1.2.3.dcm"]
    assert names(tmp_path / "in") == []


# --- no room


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_out_of_space_is_told_from_other_errors(code: int) -> None:
    assert is_out_of_space(OSError(code, "full"))
    assert not is_out_of_space(OSError(errno.EIO, "broken"))


@pytest.fixture
def small_files() -> Iterator[None]:
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.usefixtures("small_files")
def test_a_write_without_room_leaves_nothing(tmp_path: Path) -> None:
    with ReceivedFile(tmp_path, HEADER, UID) as file:
        with pytest.raises(OSError, match="too large") as caught:
            file.write([b"x" * 600, b"y" * 600])
        assert is_out_of_space(caught.value)
        assert names(tmp_path) == []
    with pytest.raises(OSError, match="too large"):
        ReceivedFile(tmp_path, b"x" * 2000, UID)
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    ("call", "exists"),
    [("fsync", "replace"), ("dup", "replace"), ("rename", "replace"), ("link", "keep"), ("link", "refuse")],
)
def test_a_commit_without_room_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, exists: custody.ExistingFile
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    (tmp_path / "1.2.3.dcm").write_bytes(b"older")
    with ReceivedFile(tmp_path, HEADER, UID, exists=exists, fsync=True) as file:
        with monkeypatch.context() as patch:
            patch.setattr(os, call, fail)
            with pytest.raises(OSError, match="No space"):
                file.commit()
        assert names(tmp_path) == ["1.2.3.dcm"]
    assert (tmp_path / "1.2.3.dcm").read_bytes() == b"older"


# --- names


def test_names_are_uids_or_hashes() -> None:
    assert file_name("1.2.840.0") == "1.2.840.0.dcm"
    hostile = ["", "..", "../../etc/passwd", "1.2.03", "1.2\0", "1" * 65, "/", "1.2\n", "\udc80", "1.2.3/../4", "١.٢"]
    assert len({file_name(uid) for uid in hostile}) == len(hostile)
    for uid in hostile:
        name = file_name(uid)
        assert name.startswith("sha256-")
        assert name.removeprefix("sha256-").removesuffix(".dcm").isalnum()


@given(st.text())
def test_no_name_leaves_the_folder(uid: str) -> None:
    name = file_name(uid)
    assert name == os.path.basename(name)
    assert name.isascii()
    assert not name.startswith(".")
    assert len(name) < 80


# --- a name that is taken


def received(folder: Path, data: bytes, exists: custody.ExistingFile) -> Path:
    with ReceivedFile(folder, HEADER, UID, exists=exists) as file:
        file.write([data])
        return file.commit()


def test_replace(tmp_path: Path) -> None:
    received(tmp_path, b"1", "replace")
    assert received(tmp_path, b"2", "replace").read_bytes() == HEADER + b"2"
    assert names(tmp_path) == ["1.2.3.dcm"]


def test_keep(tmp_path: Path) -> None:
    paths = [received(tmp_path, bytes([number]), "keep") for number in range(3)]
    assert [path.name for path in paths] == ["1.2.3.dcm", "1.2.3_2.dcm", "1.2.3_3.dcm"]
    assert [path.read_bytes()[-1] for path in paths] == [0, 1, 2]
    assert len(names(tmp_path)) == 3


def test_refuse(tmp_path: Path) -> None:
    received(tmp_path, b"1", "refuse")
    with pytest.raises(FileExistsError) as caught:
        received(tmp_path, b"2", "refuse")
    assert not is_out_of_space(caught.value)
    assert (tmp_path / "1.2.3.dcm").read_bytes() == HEADER + b"1"
    assert names(tmp_path) == ["1.2.3.dcm"]


def test_keep_loses_none_of_many_at_once(tmp_path: Path) -> None:
    start = threading.Barrier(8)

    def receive(number: int) -> None:
        start.wait()
        for turn in range(10):
            received(tmp_path, b"%d,%d" % (number, turn), "keep")

    threads = [threading.Thread(target=receive, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    contents = {path.read_bytes() for path in tmp_path.iterdir()}
    assert contents == {HEADER + b"%d,%d" % (number, turn) for number in range(8) for turn in range(10)}
    assert len(names(tmp_path)) == 80


# --- what killed processes left


def test_sweep_takes_the_dead_and_leaves_the_living(tmp_path: Path) -> None:
    dead = tmp_path / f"{'a' * 32}.part"
    dead.write_bytes(b"half")
    others = ["1.2.3.dcm", "notes.part", f"{'b' * 31}.part"]
    for name in others:
        (tmp_path / name).touch()
    (tmp_path / f"{'c' * 32}.part").symlink_to(tmp_path / "1.2.3.dcm")
    with ReceivedFile(tmp_path, HEADER, "1.2.4") as living:
        assert sweep(tmp_path) == [dead]
        assert sweep(tmp_path) == []
        assert living.commit().read_bytes() == HEADER
    assert names(tmp_path) == sorted(["1.2.4.dcm", f"{'c' * 32}.part", *others])


def test_a_killed_process_leaves_what_sweep_takes(tmp_path: Path) -> None:
    program = (
        "import os, signal\nfrom sansdimse_files import ReceivedFile\n"
        f"kept = ReceivedFile({str(tmp_path)!r}, b'x', '1.2')\nos.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", program], timeout=60, env={"PYTHONPATH": ":".join(sys.path)}, check=False)
    (left,) = names(tmp_path)
    assert sweep(tmp_path) == [tmp_path / left]
    assert names(tmp_path) == []


def test_sweep_and_a_commit_between_its_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dead = tmp_path / f"{'a' * 32}.part"
    dead.touch()

    def gone(name: str, **_: object) -> None:
        raise FileNotFoundError(name)

    monkeypatch.setattr(os, "unlink", gone)
    assert sweep(tmp_path) == []


@pytest.mark.parametrize("moment", ["locked", "deleted"])
def test_a_sweep_between_making_and_locking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str) -> None:
    flock, calls = fcntl.flock, 0

    def late(fd: int, operation: int) -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            (taken,) = tmp_path.iterdir()
            taken.unlink()
            if moment == "locked":
                raise BlockingIOError
        flock(fd, operation)

    monkeypatch.setattr(fcntl, "flock", late)
    with ReceivedFile(tmp_path, HEADER, UID) as file:
        assert calls == 2
        assert file.commit().read_bytes() == HEADER


def test_a_file_system_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unsupported(fd: int, operation: int) -> None:
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", unsupported)
    with ReceivedFile(tmp_path, HEADER, UID) as file:
        assert file.commit().read_bytes() == HEADER
