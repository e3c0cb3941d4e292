"""What a command says, to people or to machines. Nothing gets to a terminal unchecked: see ``printable``."""

from __future__ import annotations

import io
import json
import os
import shutil
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Final, NoReturn, TextIO

import typer
from pydicom.datadict import keyword_for_tag
from rich.console import Console
from rich.table import Table
from rich.text import Text

from sansdimse import Outcome
from sansdimse.deviations import escaped
from sansdimse.peer.scu import Answer
from sansdimse.peer.watch import AssociationEnded, Occurrence, OperationEnded, OperationOutcome, Statistics
from sansdimse_apps.outcomes import CommandError, ExitCode

GOOD: Final = typer.colors.GREEN
DOUBTFUL: Final = typer.colors.YELLOW
BAD: Final = typer.colors.RED


def printable(text: str) -> str:
    """The text in one line that no terminal takes for a command, whoever wrote it: a peer, or a name of a file."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


class Output:
    """Says what happens: in lines for people, or as one JSON object a line. Threads may share it.

    That nobody reads any more, or a log's disk is full, is no reason to stop storing: what cannot be written is lost.
    """

    def __init__(self, as_json: bool = False) -> None:
        self.as_json = as_json
        self._lock = threading.Lock()

    def line(self, text: str, colour: str | None = None) -> None:
        """A line for people, on the standard output; nothing for machines."""
        if not self.as_json:
            self._write(printable(text), colour)

    def table(self, headings: Sequence[str], rows: Iterable[Sequence[str]], *, first: int = 1) -> None:
        """A table for people, numbered from ``first``: as wide as it is, or one value a line where a terminal is not.

        Values too long to be read are cut; machines have them whole.
        """
        if self.as_json:
            return
        cells = [[_cell(value) for value in row] for row in rows]
        lines = _table(headings, cells, first)
        stream: TextIO | None = sys.stdout
        if stream is not None and stream.isatty():
            width = shutil.get_terminal_size().columns
            if any(Text(line).cell_len > width for line in lines):
                lines = _list(headings, cells, first)
        for line in lines:
            self._write(line)

    def record(self, event: str, **fields: object) -> None:
        """An object for machines, on the standard output; nothing for people."""
        if self.as_json:
            self._write(json.dumps({"event": event, **fields}))

    def note(self, text: str, colour: str | None = DOUBTFUL) -> None:
        """A line on the standard error, for people and beside what machines read."""
        self._write(printable(text), colour, err=True)

    def outcome(self, outcome: Outcome) -> None:
        """How an association ended, for people, if that was not in good order; machines have it of ``watch``."""
        if not outcome.clean:
            self.note(f"the association did not end in good order: {outcome}")

    def watch(self, occurrence: Occurrence) -> None:
        """What becomes of an association of ours and of its operations, for ``watch=`` of a transport."""
        match occurrence:
            case OperationEnded():
                self.record("operation", address=occurrence.address, **operation_fields(occurrence.outcome))
            case AssociationEnded():
                self.record("association", **association_fields(occurrence.statistics))

    def problem(self, error: CommandError) -> None:
        """Why the command fails, and what to do next."""
        self.record("error", exit_code=int(error.code), message=str(error), advice=error.advice)
        self.note(f"error: {error}", BAD)
        if error.advice:
            self.note(error.advice, None)

    def report(self, error: BaseException, where: str) -> None:
        """What went wrong while serving, for ``report=`` of a transport."""
        self.record("trouble", where=where, error=type(error).__name__, message=str(error)[:300])
        self.note(f"{where}: {type(error).__name__}: {str(error)[:300]}")

    def _write(self, text: str, colour: str | None = None, *, err: bool = False) -> None:
        stream: TextIO | None = sys.stderr if err else sys.stdout
        if stream is None:  # it was closed before we began
            return
        if colour and stream.isatty() and not os.environ.get("NO_COLOR"):
            text = typer.style(text, fg=colour)
        with self._lock, suppress(OSError):
            print(text, file=stream, flush=True)


_LONGEST_CELL: Final = 200
_NO_WIDTH: Final = 1_000_000  # wider than any line: nothing is folded


def _cell(value: str) -> str:
    return printable(value if len(value) <= _LONGEST_CELL else value[:_LONGEST_CELL] + "...")


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]], first: int) -> list[str]:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column("#", justify="right")
    for heading in headings:
        table.add_column(Text(heading), no_wrap=True)
    for number, row in enumerate(rows, first):
        table.add_row(str(number), *map(Text, row))
    console = Console(file=io.StringIO(), width=_NO_WIDTH, color_system=None, highlight=False)
    with console.capture() as captured:
        console.print(table)
    return [line.rstrip() for line in captured.get().splitlines()]


def _list(headings: Sequence[str], rows: Sequence[Sequence[str]], first: int) -> list[str]:
    width = max(map(len, headings), default=0)
    lines = []
    for number, row in enumerate(rows, first):
        lines.append(f"match {number}")
        lines += [f"  {heading:{width}}  {value}".rstrip() for heading, value in zip(headings, row, strict=True)]
    return lines


def outcome_fields(outcome: Outcome) -> dict[str, object]:
    """An outcome for machines."""
    return {
        "outcome": outcome.kind.value,
        "by": outcome.by.value,
        "clean": outcome.clean,
        "text": str(outcome),
        "bytes_sent": outcome.bytes_sent,
        "bytes_received": outcome.bytes_received,
        "pdus_sent": outcome.pdus_sent,
        "pdus_received": outcome.pdus_received,
        "messages_sent": outcome.messages_sent,
        "messages_received": outcome.messages_received,
    }


def association_fields(statistics: Statistics) -> dict[str, object]:
    """An association that ended, for machines."""
    return {
        "address": statistics.address,
        "calling": escaped(statistics.calling_ae_title),
        "called": escaped(statistics.called_ae_title),
        **outcome_fields(statistics.outcome),
        "operations": statistics.operations,
        "seconds": round(statistics.duration, 6),
        "deviations": [str(each) for each in statistics.deviations],
    }


def operation_fields(outcome: OperationOutcome) -> dict[str, object]:
    """How an operation ended, for machines."""
    uid = outcome.sop_instance_uid
    return {
        "service": outcome.service,
        "by": outcome.by.value,
        "message_id": outcome.message_id,
        "sop_class_uid": escaped(outcome.sop_class_uid),
        "sop_instance_uid": None if uid is None else escaped(uid),
        "ending": outcome.ending.value,
        "status": None if outcome.status is None else int(outcome.status),
        "responses": outcome.responses,
        "seconds": round(outcome.duration, 6),
        "text": str(outcome),
    }


def comment_of(answer: Answer | None) -> str | None:
    """The Error Comment (0000,0902) of a response, fit to be shown."""
    comment = getattr(answer.response, "error_comment", None) if answer is not None else None
    return escaped(comment) if comment else None


def answer_fields(answer: Answer | None) -> dict[str, object]:
    """A final response for machines; all None if there was none."""
    return {
        "status": None if answer is None else int(answer),
        "text": None if answer is None else str(answer),
        "comment": comment_of(answer),
        "offending_elements": [f"{tag:08X}" for tag in _offending(answer)],
    }


def described(answer: Answer) -> str:
    """A final response for people: what it is, what the peer says of it, and which elements it names."""
    comment, tags = comment_of(answer), _offending(answer)
    named = ", ".join(f"{keyword_for_tag(tag)} ({tag >> 16:04X},{tag & 0xFFFF:04X})".strip() for tag in tags[:5])
    return f"{answer}" + (f": {comment}" if comment else "") + (f"; it names {named}" if named else "")


def _offending(answer: Answer | None) -> tuple[int, ...]:
    return () if answer is None else tuple(getattr(answer.response, "offending_element", None) or ())


def finish(output: Output, work: Callable[[], ExitCode]) -> NoReturn:
    """Run a command's work and end with its exit code; every error becomes a message, never a traceback."""
    try:
        code = work()
    except CommandError as error:
        output.problem(error)
        code = error.code
    except KeyboardInterrupt:
        code = ExitCode.INTERRUPTED
        output.problem(CommandError(code, "interrupted"))
    except Exception as error:  # noqa: BLE001 - whatever it is, users get a sentence and not a traceback
        code = ExitCode.INTERNAL
        output.problem(_bug(error))
    raise typer.Exit(int(code))


def _bug(error: Exception) -> CommandError:
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({os.path.basename(frames[-1].filename)}:{frames[-1].lineno})" if frames else ""
    text = f"this should not have happened: {type(error).__name__}: {error}{place}"
    return CommandError(ExitCode.INTERNAL, text, "Please report it with the command you gave.")


def close_output() -> None:
    """Write what is left; a reader who has gone, or a full disk, must not make the interpreter complain at its end."""
    for stream in (sys.stdout, sys.stderr):
        if stream is None:  # it was closed before we began
            continue
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        except ValueError:  # it is closed
            pass
