from __future__ import annotations

import io
import json
import os
import subprocess
import sys

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

from sansdimse.dimse.messages import CEchoRSP
from sansdimse.peer.scu import Answer
from sansdimse_apps.outcomes import CommandError, ExitCode
from sansdimse_apps.output import GOOD, Output, close_output, comment_of, finish, printable


@given(st.text())
def test_no_text_moves_a_terminal(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable()
    assert printable(shown) == shown
    if text.isprintable():
        assert shown == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [("\x1b[2J", "\\x1b[2J"), ("a\r\nb", "a\\r\\nb"), ("\u202eexe", "\\u202eexe"), ("\udcff", "\\udcff"), ("Mü", "Mü")],
)
def test_what_is_not_printable_is_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_lines_are_for_people_and_records_for_machines(capsys: pytest.CaptureFixture[str]) -> None:
    for output in (Output(), Output(as_json=True)):
        output.line("a\nb")
        output.record("happened", text="a\nb", number=1)
    first, second = capsys.readouterr().out.splitlines()
    assert first == "a\\nb"
    assert json.loads(second) == {"event": "happened", "text": "a\nb", "number": 1}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_colours_only_on_a_terminal_that_wants_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    shown = {}
    for name, stream in {"terminal": Terminal(), "no colour": Terminal(), "file": io.StringIO()}.items():
        if name == "no colour":
            monkeypatch.setenv("NO_COLOR", "1")
        monkeypatch.setattr(sys, "stdout", stream)
        Output().line("well", GOOD)
        shown[name] = stream.getvalue()
    assert shown == {"terminal": "\x1b[32mwell\x1b[0m\n", "no colour": "well\n", "file": "well\n"}


def ends(work: object) -> int:
    with pytest.raises(typer.Exit) as end:
        finish(Output(), work)  # type: ignore[arg-type]
    return int(end.value.exit_code)


def test_every_end_is_an_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    def fail(error: BaseException) -> None:
        raise error

    assert ends(lambda: ExitCode.PARTIAL) == 6
    assert ends(lambda: fail(CommandError(ExitCode.NETWORK, "it is away", "Look for it."))) == 3
    assert ends(lambda: fail(KeyboardInterrupt())) == 130
    assert ends(lambda: fail(ZeroDivisionError("\x1b"))) == 70
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines()[:3] == ["error: it is away", "Look for it.", "error: interrupted"]
    assert "this should not have happened: ZeroDivisionError: \\x1b (test_output.py:" in err


def test_a_comment_is_escaped_and_cut() -> None:
    def response(comment: str | None) -> Answer:
        return Answer.of(
            CEchoRSP(
                message_id_being_responded_to=1, status=0x0122, affected_sop_class_uid="1.2", error_comment=comment
            )
        )

    assert comment_of(None) is None
    assert comment_of(response(None)) is None
    assert comment_of(response("\x1b" + "x" * 100)) == "\\x1b" + "x" * 63 + "..."


class Gone(io.StringIO):
    def write(self, text: str) -> int:
        raise BrokenPipeError

    def flush(self) -> None:
        raise BrokenPipeError


def test_that_nobody_reads_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", Gone())
    Output().line("well")


def test_closed_streams_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr(sys, "stdout", closed)
    close_output()


def test_a_reader_who_has_gone_makes_no_noise() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "sansdimse_apps", "--version"],
            stdout=writing,
            stderr=subprocess.PIPE,
            timeout=60,
            check=False,
        )
    finally:
        os.close(writing)
    assert b"Traceback" not in done.stderr
    assert b"Exception ignored" not in done.stderr
