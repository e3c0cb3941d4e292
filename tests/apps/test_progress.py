from __future__ import annotations

import io
import sys

import pytest

from sansdimse.peer.scu import Progress
from sansdimse_apps.progress import ByteProgress, CountProgress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def watched(monkeypatch: pytest.MonkeyPatch, stream: io.StringIO) -> str:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", stream)
    with ByteProgress(1000) as progress:
        progress.show(250)
        progress.finished(500)
        progress.show(250)
        progress._bar.refresh()
    return stream.getvalue()


def test_a_terminal_sees_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = watched(monkeypatch, Terminal())
    assert "750/1,000 bytes" in shown
    assert "75%" in shown


def test_a_file_sees_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert watched(monkeypatch, io.StringIO()) == ""


def test_lines_above_the_bar_are_not_cut_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "30")
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    line = "/a/path/" * 10
    with ByteProgress(1000):
        print(line, file=sys.stderr)
    assert line in terminal.getvalue()


@pytest.mark.parametrize(
    ("progress", "shown"),
    [
        (Progress(6, 1, 2, 1), ["4/10", "40%", "2 failed, 1 with a warning"]),
        (Progress(9, 1, 0, 0), ["1/10", "10%"]),
        (Progress(None, 1, None, None), ["1/?"]),
    ],
)
def test_a_terminal_sees_sub_operations(progress: Progress, shown: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with CountProgress() as bar:
        bar.show(progress)
        bar._bar.refresh()
    assert all(each in terminal.getvalue() for each in shown)
    assert ("failed" in terminal.getvalue()) == bool(progress.failed)
