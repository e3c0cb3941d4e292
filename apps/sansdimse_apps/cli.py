"""The entry point: which commands there are."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated

import typer

from sansdimse import __version__
from sansdimse_apps import demo, echo, find, get, move, serve, store
from sansdimse_apps.outcomes import ExitCode
from sansdimse_apps.output import close_output

app = typer.Typer(
    name="sansdimse",
    help="DICOM networking: ask, send, fetch, receive.",
    epilog="Exit codes: 0 done, 2 usage, 3 network, 4 refused, 5 a failure status, 6 partly done. "
    "Each command has --help with an example.",
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.command(
    "echo",
    short_help="Ask a server whether it is there (C-ECHO).",
    epilog="Example: sansdimse echo pacs.example 11112 -aec PACS",
)(echo.command)
app.command(
    "store",
    short_help="Send DICOM files and folders to a server (C-STORE).",
    epilog="Example: sansdimse store pacs.example 11112 -aec PACS images/ more/scan.dcm",
)(store.command)
app.command(
    "find",
    short_help="Ask an archive or a worklist what it has (C-FIND).",
    epilog="Example: sansdimse find pacs.example 11112 -aec PACS -k PatientName='DOE*' -k StudyInstanceUID",
)(find.command)
app.command(
    "get",
    short_help="Get instances from an archive into a folder (C-GET).",
    epilog="Example: sansdimse get pacs.example 11112 -aec PACS -k StudyInstanceUID=1.2.3 --out images/",
)(get.command)
app.command(
    "move",
    short_help="Have an archive send instances elsewhere, or here (C-MOVE).",
    epilog="Example: sansdimse move pacs.example 11112 -aec PACS -aem VIEWER -k StudyInstanceUID=1.2.3",
)(move.command)
app.command(
    "serve",
    short_help="Receive DICOM files into a folder.",
    epilog="Example: sansdimse serve received/ --port 11112 -aet ARCHIVE",
)(serve.command)
app.command(
    "demo", short_help="Watch real files cross a connection, and compare them.", epilog="Example: sansdimse demo"
)(demo.command)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"sansdimse {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _options(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help(), err=True)
        raise typer.Exit(int(ExitCode.USAGE))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line, with ``sys.argv`` unless arguments are given; the exit code."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, ValueError):  # whoever took its place may not have encodings
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        app(args=None if arguments is None else list(arguments), prog_name="sansdimse")
    except OSError as error:  # of the help: the commands themselves end with a message and a code
        with suppress(OSError):
            print(f"error: cannot write: {error.strerror or error}", file=sys.stderr)
        return int(ExitCode.INTERNAL)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1 if end.code else 0
    finally:
        close_output()
    return 0
