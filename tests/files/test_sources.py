"""Files as instances: measured before, streamed as they are, and folders gone through once, in order."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from pydicom.data import get_testdata_file

from sansdimse import uids
from sansdimse.dataset import DatasetError, NotDicomError, part10_header
from sansdimse.errors import LocalProtocolError
from sansdimse.ul.plan import plan
from sansdimse_files import contexts_for, instances, kinds, open_instance, sources

CT, MR = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4"
ELE, DEFLATED = uids.EXPLICIT_VR_LITTLE_ENDIAN, uids.DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN


def make(path: Path, data: bytes = b"data", *, sop_class: str = CT, syntax: str = ELE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(part10_header(sop_class, "1.2.3", syntax) + data)
    return path


def open_fds() -> int:
    return len(os.listdir("/proc/self/fd"))


# --- one file


def test_the_data_set_comes_as_it_stands_and_again(tmp_path: Path) -> None:
    data = os.urandom(3 * sources.PIECE_SIZE + 10)
    before = open_fds()
    with open_instance(make(tmp_path / "a", data)) as instance:
        assert (instance.sop_class_uid, instance.sop_instance_uid, instance.transfer_syntax_uid) == (CT, "1.2.3", ELE)
        assert instance.length == len(data)
        for _ in range(2):
            pieces = list(instance.pieces())
            assert b"".join(pieces) == data
            assert [len(piece) for piece in pieces] == [sources.PIECE_SIZE] * 3 + [10]
    assert open_fds() == before


@pytest.mark.parametrize("name", ["CT_small.dcm", "image_dfl.dcm", "JPEG2000.dcm", "MR_small_padded.dcm"])
def test_real_files_are_sent_whole(name: str) -> None:
    path = get_testdata_file(name)
    assert isinstance(path, str)
    whole = Path(path).read_bytes()
    with open_instance(path) as instance:
        data = b"".join(instance.pieces())
        assert instance.length == len(data)
    assert len(data) > 1000
    assert whole.endswith((data, data[:-1]))


@pytest.mark.parametrize("length", [1, 2, sources.PIECE_SIZE - 1, sources.PIECE_SIZE + 1])
def test_only_deflated_data_sets_are_padded(tmp_path: Path, length: int) -> None:
    data = b"x" * length
    with open_instance(make(tmp_path / "a", data, syntax=DEFLATED)) as instance:
        sent = b"".join(instance.pieces())
        assert instance.length == len(sent) == length + length % 2
        assert sent == data + b"\0" * (length % 2)


def test_what_cannot_be_sent_is_refused_before_anything_is(tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_text("hello")
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    before = open_fds()
    for path, error, what in (
        (make(tmp_path / "odd", b"abc"), DatasetError, "odd: the data set has an odd length, 3 bytes"),
        (make(tmp_path / "empty", b""), DatasetError, "empty: there is no data set"),
        (text, NotDicomError, "text: not a DICOM file"),
        (tmp_path, DatasetError, "not a regular file"),
        (pipe, DatasetError, "not a regular file"),
        (tmp_path / "missing", FileNotFoundError, "missing"),
    ):
        with pytest.raises(error, match=what), open_instance(path):
            pytest.fail("must not open")
    assert open_fds() == before


def test_a_file_that_changes_is_an_error_or_sent_as_measured(tmp_path: Path) -> None:
    path = make(tmp_path / "a", b"x" * (2 * sources.PIECE_SIZE))
    with open_instance(path) as instance:
        with path.open("ab") as file:
            file.write(b"more")
        assert b"".join(instance.pieces()) == b"x" * (2 * sources.PIECE_SIZE)
        pieces = instance.pieces()
        next(pieces)
        os.truncate(path, 1000)
        with pytest.raises(DatasetError, match="shorter"):
            next(pieces)


# --- many


def test_folders_in_order_without_what_is_hidden_or_an_index(tmp_path: Path) -> None:
    make(tmp_path / "b" / "2")
    make(tmp_path / "b" / "1")
    make(tmp_path / "c")
    (tmp_path / "a").write_text("hello")
    make(tmp_path / ".hidden")
    make(tmp_path / ".folder" / "1")
    make(tmp_path / "DICOMDIR")
    make(tmp_path / "b" / "index", sop_class=sources.MEDIA_STORAGE_DIRECTORY)
    os.mkfifo(tmp_path / "pipe")
    before = open_fds()
    found = list(instances([tmp_path]))
    assert open_fds() == before
    assert [item.path.relative_to(tmp_path).as_posix() for item in found] == ["a", "b/1", "b/2", "c"]
    assert isinstance(found[0].error, NotDicomError)
    assert found[0].header is None
    assert all(item.header and item.header.sop_class_uid == CT and item.error is None for item in found[1:])
    flat = [item.path.name for item in instances([str(tmp_path)], recursive=False)]
    assert flat == ["a", "c"]


def test_what_is_named_is_always_told(tmp_path: Path) -> None:
    paths = [
        make(tmp_path / ".hidden"),
        make(tmp_path / "DICOMDIR", sop_class=sources.MEDIA_STORAGE_DIRECTORY),
        tmp_path / "missing",
    ]
    hidden, index, missing = instances(paths)
    assert hidden.header is not None
    assert index.header is not None
    assert isinstance(missing.error, FileNotFoundError)


def test_links_are_followed_once_and_never_in_circles(tmp_path: Path) -> None:
    make(tmp_path / "a" / "1")
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    (tmp_path / "again").symlink_to(tmp_path / "a")
    (tmp_path / "file").symlink_to(tmp_path / "a" / "1")
    (tmp_path / "self").symlink_to("self")
    (tmp_path / "nowhere").symlink_to("missing")
    found = {item.path.relative_to(tmp_path).as_posix(): item for item in instances([tmp_path, tmp_path / "a"])}
    assert set(found) == {"a/1", "file", "self", "nowhere"}
    assert found["file"].header is not None
    assert isinstance(found["self"].error, OSError)
    assert isinstance(found["nowhere"].error, FileNotFoundError)


def test_a_folder_that_cannot_be_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "locked").mkdir()
    make(tmp_path / "next")

    def iterdir(path: Path) -> list[Path]:
        if path.name == "locked":  # root reads any folder, so permissions would not do
            raise PermissionError(13, "Permission denied", str(path))
        return [tmp_path / "locked", tmp_path / "next"]

    monkeypatch.setattr(Path, "iterdir", iterdir)
    locked, readable = instances([tmp_path])
    assert isinstance(locked.error, PermissionError)
    assert readable.header is not None


def test_contexts_by_frequency(tmp_path: Path) -> None:
    (tmp_path / "0").write_text("hello")
    make(tmp_path / "1", syntax=DEFLATED)
    make(tmp_path / "2", sop_class=MR)
    make(tmp_path / "3", sop_class=MR)
    make(tmp_path / "folder" / "4", sop_class=MR, syntax=DEFLATED)
    assert kinds([tmp_path]) == [(MR, ELE), (CT, DEFLATED), (MR, DEFLATED)]
    assert kinds([tmp_path], recursive=False) == [(MR, ELE), (CT, DEFLATED)]
    assert contexts_for([tmp_path]) == plan(kinds([tmp_path])).associations[0]
    for one in (tmp_path, str(tmp_path)):  # and not the letters of its name
        assert contexts_for(one) == contexts_for([tmp_path])
        assert [found.path for found in instances(one)] == [found.path for found in instances([tmp_path])]


def test_files_for_several_associations_say_so(tmp_path: Path) -> None:
    assert contexts_for([tmp_path]) == ()
    for number in range(129):
        make(tmp_path / f"{number:03}", sop_class=f"1.2.3.{number}")
    with pytest.raises(LocalProtocolError, match="need 2 associations"):
        contexts_for([tmp_path])
