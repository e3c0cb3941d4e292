from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pydicom
import pytest

from sansdimse import SUCCESS
from sansdimse_apps import demo
from sansdimse_apps.output import Output
from sansdimse_files import received_file

EVERYTHING = Path(pydicom.__file__).parent / "data" / "test_files"


def test_every_file_arrives_as_it_was(sansdimse: Any) -> None:
    done = sansdimse("demo")
    assert done.code == 0
    assert done.err == ""
    candidates, left_out = demo.storable(EVERYTHING)
    count = len(candidates)
    assert f"{count} of {count} data sets were stored byte for byte" in done.out
    assert count > 100
    everything = sum(path.is_file() for path in EVERYTHING.rglob("*"))
    assert count + sum(map(len, left_out.values())) == everything
    for what in ("A-ASSOCIATE-RQ", "C-ECHO-RSP", "C-STORE-RQ", "C-STORE-RSP", "A-RELEASE-RP", "RLE Lossless"):
        assert what in done.out
    assert "no Transfer Syntax UID (0002,0010): meta_missing_tsyntax.dcm" in done.out


def test_without_a_terminal_on_a_narrow_screen() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "sansdimse_apps", "demo"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env={**os.environ, "COLUMNS": "30", "LANG": "C", "PYTHONUTF8": "0"},
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"\x1b" not in done.stdout


def test_verbose_shows_every_pdu(sansdimse: Any) -> None:
    done = sansdimse("demo", "--verbose")
    responses = sum("C-STORE-RSP" in line for line in done.out.splitlines())
    assert done.out.count("<-- P-DATA-TF") == responses + 1  # and the echo's


def run(folder: Path) -> int:
    return demo.run(folder, Output())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "one.dcm").write_bytes((EVERYTHING / "CT_small.dcm").read_bytes())
    return tmp_path


class Damaging(demo.Keep):
    """Changes one bit of what it stores."""

    at = -1

    def c_store(self, store: Any) -> Any:
        with received_file(store, self._folder) as file:
            pass
        path = file.commit()
        data = bytearray(path.read_bytes())
        data[self.at] ^= 1
        path.write_bytes(data)
        self.files.append(path)
        return SUCCESS


@pytest.mark.parametrize(
    ("at", "what"),
    [
        (-1, "bytes were sent,"),
        (128, "what was stored is no DICOM file"),
        (190, "its file meta has another sop class uid"),
    ],
)
def test_a_difference_is_found(
    at: int, what: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Damaging, "at", at)
    monkeypatch.setattr(demo, "Keep", Damaging)
    assert run(folder) == 1
    out = capsys.readouterr().out
    assert f"DIFFERENT: one.dcm: {what}" in out or "DIFFERENT: one.dcm: " in out
    assert what in out
    assert "0 of 1 data sets" in out


def test_what_is_not_stored_is_different(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo.Keep, "c_store", lambda self, store: store.read() and 0xA700)
    assert run(folder) == 1
    assert "it was not stored: 0xA700" in capsys.readouterr().out


def test_a_lost_association_is_no_traceback(sansdimse: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo.Keep, "c_store", lambda self, store: store.abort() or 0)
    done = sansdimse("demo")
    assert done.code == 3
    assert "ended early" in done.err


def test_no_files(tmp_path: Path, sansdimse: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pydicom, "__file__", str(tmp_path / "__init__.py"))
    done = sansdimse("demo")
    assert done.code == 2
    assert "there are no DICOM files in" in done.err
