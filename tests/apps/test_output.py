from __future__ import annotations

import errno
import io
import json
import os
import subprocess
import sys

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

from sansdimse import Outcome, OutcomeKind, Side, State
from sansdimse.deviations import Code, Deviation
from sansdimse.dimse.messages import CEchoRSP, CFindRSP
from sansdimse.peer.scu import Answer
from sansdimse.peer.watch import (
    AssociationEnded,
    ConnectionCut,
    Ending,
    OperationEnded,
    OperationOutcome,
    Statistics,
)
from sansdimse_apps.outcomes import CommandError, ExitCode
from sansdimse_apps.output import (
    GOOD,
    Output,
    answer_fields,
    close_output,
    comment_of,
    described,
    finish,
    printable,
)


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
    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number

    def write(self, text: str) -> int:
        raise OSError(self.number, os.strerror(self.number))

    def flush(self) -> None:
        raise OSError(self.number, os.strerror(self.number))


@pytest.mark.parametrize("number", [errno.EPIPE, errno.ENOSPC])
def test_that_nobody_reads_is_no_error(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Nor is a full disk under the log: a server that could not say so would refuse what it has stored."""
    monkeypatch.setattr(sys, "stdout", Gone(number))
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


def test_streams_that_are_not_there_are_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """As Python has them when the descriptors were closed before it started."""
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    Output().line("well", GOOD)
    Output().note("not so well")
    close_output()


def test_the_fields_of_outcomes_are_those_of_the_values(capsys: pytest.CaptureFixture[str]) -> None:
    outcome = Outcome(
        kind=OutcomeKind.ABORTED,
        by=Side.PEER,
        state=State.STA6,
        source=2,
        reason=6,
        bytes_received=1,
        bytes_sent=2,
        pdus_received=3,
        pdus_sent=4,
        messages_received=5,
        messages_sent=6,
    )
    statistics = Statistics(
        address="192.0.2.1:7",
        calling_ae_title="\x1bME",
        called_ae_title="YOU",
        outcome=outcome,
        duration=1.5,
        operations=8,
        deviations=(Deviation(Code.FRAGMENT_ODD, "3 bytes"),),
    )
    operation = OperationOutcome(
        service="C-STORE",
        by=Side.PEER,
        message_id=7,
        sop_class_uid="1.2\x1b",
        sop_instance_uid=None,
        ending=Ending.LOST,
        status=None,
        responses=0,
        duration=0.25,
    )
    for output in (Output(), Output(as_json=True)):
        output.watch(OperationEnded("192.0.2.1:7", operation))
        output.watch(AssociationEnded(statistics))
        output.watch(ConnectionCut("192.0.2.1:7", "why"))
    told, ended = map(json.loads, capsys.readouterr().out.splitlines())
    assert ended == {
        "event": "association",
        "address": "192.0.2.1:7",
        "calling": "\\x1bME",
        "called": "YOU",
        "outcome": "aborted",
        "by": "peer",
        "clean": False,
        "text": str(outcome),
        "bytes_sent": 2,
        "bytes_received": 1,
        "pdus_sent": 4,
        "pdus_received": 3,
        "messages_sent": 6,
        "messages_received": 5,
        "operations": 8,
        "seconds": 1.5,
        "deviations": [str(statistics.deviations[0])],
    }
    assert told == {
        "event": "operation",
        "address": "192.0.2.1:7",
        "service": "C-STORE",
        "by": "peer",
        "message_id": 7,
        "sop_class_uid": "1.2\\x1b",
        "sop_instance_uid": None,
        "ending": "lost",
        "status": None,
        "responses": 0,
        "seconds": 0.25,
        "text": str(operation),
    }


def test_trouble_is_told_to_people_and_machines(capsys: pytest.CaptureFixture[str]) -> None:
    Output(as_json=True).report(ValueError("x" * 1000), "C-STORE 1")
    out, err = capsys.readouterr()
    assert err == f"C-STORE 1: ValueError: {'x' * 300}\n"
    record = {"event": "trouble", "where": "C-STORE 1", "error": "ValueError", "message": "x" * 300}
    assert json.loads(out) == record


# ---------------------------------------------------------------- tables

HEADINGS = ["PatientName", "StudyInstanceUID"]


def table(rows: list[list[str]], monkeypatch: pytest.MonkeyPatch, columns: int | None = None) -> list[str]:
    stream = io.StringIO() if columns is None else Terminal()
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setenv("COLUMNS", str(columns or 80))
    Output().table(HEADINGS, rows, first=7)
    return stream.getvalue().splitlines()


def test_a_table_is_as_wide_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = table([["DOE^JANE", "1." * 60 + "2"], ["", "1.2"]], monkeypatch)
    assert lines == [
        "#  PatientName  StudyInstanceUID",
        "7  DOE^JANE     " + "1." * 60 + "2",
        "8               1.2",
    ]


def test_a_table_wider_than_a_terminal_is_a_list(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [["DOE^JANE", "1." * 30 + "2"], ["", "1.2"]]
    assert table(rows, monkeypatch, 100)[0].startswith("#  PatientName")
    assert table(rows, monkeypatch, 40) == [
        "match 7",
        "  PatientName       DOE^JANE",
        "  StudyInstanceUID  " + "1." * 30 + "2",
        "match 8",
        "  PatientName",
        "  StudyInstanceUID  1.2",
    ]


def test_cells_are_text_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = table([["[red]x[/red] :smile:\x1b[2J\n", "y" * 300]], monkeypatch)
    assert "[red]x[/red] :smile:\\x1b[2J\\n" in lines[1]
    assert lines[1].endswith("y" * 200 + "...")
    assert len(lines) == 2


def test_columns_of_wide_characters_stand_below_one_another(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = table([["山田^太郎", "1.2"], ["DOE^J", "1.3"]], monkeypatch)
    assert lines[1:] == ["7  山田^太郎    1.2", "8  DOE^J        1.3"]


def test_machines_get_no_table(capsys: pytest.CaptureFixture[str]) -> None:
    Output(as_json=True).table(HEADINGS, [["a", "b"]])
    assert capsys.readouterr().out == ""


def test_a_response_that_names_elements() -> None:
    response = CFindRSP(
        message_id_being_responded_to=1, status=0xA900, error_comment="no\n", offending_element=(0x00100010, 0x00091001)
    )
    answer = Answer.of(response)
    assert described(answer).endswith(": no\\x0a; it names PatientName (0010,0010), (0009,1001)")
    assert answer_fields(answer) == {
        "status": 0xA900,
        "text": str(answer),
        "comment": "no\\x0a",
        "offending_elements": ["00100010", "00091001"],
    }
    assert answer_fields(None) == {"status": None, "text": None, "comment": None, "offending_elements": []}
