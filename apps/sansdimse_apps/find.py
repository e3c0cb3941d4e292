"""``sansdimse find``: what does an archive or a worklist have? (C-FIND, PS3.4 Annexes C, K and others)."""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final

import typer

from sansdimse import LocalProtocolError, StatusCategory, dataset
from sansdimse.dataset import DatasetError
from sansdimse.dimse.status import CANCEL
from sansdimse.part10 import part10_header
from sansdimse.peer.scu import Answer
from sansdimse.peer.session import AssociationLost
from sansdimse.services.extended import ApplicationInformation
from sansdimse_apps.negotiating import offer, turned_down
from sansdimse_apps.options import (
    AcseTimeout,
    Called,
    Calling,
    ConnectTimeout,
    DimseTimeout,
    Host,
    Json,
    Keys,
    Level,
    MaximumPdu,
    Model,
    PatientRoot,
    PatientStudyOnly,
    Port,
    QueryFile,
    Relational,
    ServerName,
    StudyRoot,
    Tls,
    TlsCa,
    TlsCertificate,
    TlsKey,
    TlsNoVerify,
)
from sansdimse_apps.outcomes import CommandError, ExitCode, explain
from sansdimse_apps.output import BAD, GOOD, Output, answer_fields, described, finish
from sansdimse_apps.query import Asked, heading, information_model, query, shown
from sansdimse_apps.target import Target, patience
from sansdimse_apps.tls import client_tls
from sansdimse_files import new_uid

_AT_A_TIME: Final = 1000
"""Rows of a table: its columns are as wide as their values, and so many are held until it is shown."""


def command(
    host: Host,
    port: Port,
    keys: Keys = None,
    query_file: QueryFile = None,
    level: Level = None,
    patient: PatientRoot = False,
    study: StudyRoot = False,
    psonly: PatientStudyOnly = False,
    worklist: Annotated[bool, typer.Option("--worklist", "-W", help="In the Modality Worklist model.")] = False,
    model: Model = None,
    relational: Relational = False,
    fuzzy: Annotated[bool, typer.Option("--fuzzy", help="Propose fuzzy matching of person names.")] = False,
    date_time: Annotated[
        bool, typer.Option("--datetime", help="Propose to take ranges of a date and its time together.")
    ] = False,
    timezone: Annotated[
        bool, typer.Option("--timezone", help="Propose that TimezoneOffsetFromUTC says what times mean.")
    ] = False,
    limit: Annotated[
        int | None,
        typer.Option("--limit", "--cancel-after", min=1, metavar="N", help="Stop after so many matches (C-CANCEL)."),
    ] = None,
    files: Annotated[
        Path | None,
        typer.Option("--files", metavar="DIR", help="Write each match as a DICOM file, numbered; made if not there."),
    ] = None,
    calling: Calling = "SANSDIMSE",
    called: Called = "ANY-SCP",
    connect_timeout: ConnectTimeout = 15.0,
    acse_timeout: AcseTimeout = 30.0,
    dimse_timeout: DimseTimeout = 60.0,
    max_pdu: MaximumPdu = 131072,
    tls: Tls = False,
    tls_ca: TlsCa = None,
    tls_cert: TlsCertificate = None,
    tls_key: TlsKey = None,
    tls_no_verify: TlsNoVerify = False,
    server_name: ServerName = None,
    as_json: Json = False,
) -> None:
    """Ask an archive, a worklist or the like what it has (C-FIND).

    A key without a value is one to be told; with one, matches must have it.
    """
    output = Output(as_json)

    def work() -> ExitCode:
        chosen = information_model(
            "C-FIND", patient=patient, study=study, psonly=psonly, worklist=worklist, model=model
        )
        asked = query(chosen, keys or [], query_file, level)
        wanted = {"--relational": relational, "--fuzzy": fuzzy, "--datetime": date_time, "--timezone": timezone}
        extended = offer(chosen, wanted)
        target = Target(
            host=host,
            port=port,
            calling=calling,
            called=called,
            maximum_length=max_pdu,
            limits=patience(connect_timeout, acse_timeout, dimse_timeout),
            tls=client_tls(tls, tls_ca, tls_cert, tls_key, verify=not tls_no_verify, server_name=server_name),
            server_name=server_name,
        )
        return run(target, asked, output, extended=extended, limit=limit, files=files)

    finish(output, work)


def run(
    target: Target,
    asked: Asked,
    output: Output,
    *,
    extended: Mapping[str, ApplicationInformation] | None = None,
    limit: int | None = None,
    files: Path | None = None,
) -> ExitCode:
    """Ask, and tell each match. Raises ``CommandError`` when there is no answer at all."""
    finding = _Finding(target, asked, output, extended=extended or {}, limit=limit, files=files and _ready(files))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom's, of values that a peer should not have; they are told as they are
        try:
            finding.ask()
        except AssociationLost as lost:
            raise explain(lost.outcome, target) from lost
        except LocalProtocolError as error:
            advice = f"It has to be configured to offer {asked.model.name} to us; others may do: see --help."
            raise CommandError(ExitCode.REFUSED, f"{target} takes no such query from us: {error}", advice) from error
        finally:
            finding.flush()
    return finding.summarize()


class _Finding:
    """One run of the command: asks, tells of each match, and counts."""

    def __init__(
        self,
        target: Target,
        asked: Asked,
        output: Output,
        *,
        extended: Mapping[str, ApplicationInformation],
        limit: int | None,
        files: Path | None,
    ) -> None:
        self._target = target
        self._asked = asked
        self._output = output
        self._extended = extended
        self._limit = limit
        self._files = files
        self._began = time.monotonic()
        self._matches = 0
        self._dropped = 0
        self._unreadable = 0
        self._complete = True
        self._answer: Answer | None = None
        self._rows: list[list[str]] = []
        self._told = 0  # rows so far

    def ask(self) -> None:
        """Ask, and tell each match."""
        asked, output = self._asked, self._output
        contexts = [asked.model.uid]
        with self._target.associate(
            contexts, extended=self._extended, report=output.report, watch=output.watch
        ) as peer:
            for option in turned_down(peer.info.agreement, self._extended):
                output.note(f"{self._target} did not agree to {option}")
            syntax = next((each.transfer_syntax for each in peer.contexts if each.accepted), None) or ""
            with peer.c_find(asked.sop_class_uid, asked.data_set, raw=True) as matches:
                for match in matches:
                    if self._matches == self._limit:
                        self._dropped += 1  # it was under way when we had enough
                        continue
                    self._take(match, syntax)
                    if self._matches == self._limit:
                        matches.cancel()
                self._answer, self._complete = matches.answer, matches.complete
        if peer.outcome is not None:
            output.outcome(peer.outcome)

    def _take(self, match: bytes, syntax: str) -> None:
        self._matches += 1
        path = None if self._files is None else self._write(self._files, match, syntax)
        try:
            decoded = dataset.decode(match, syntax)
        except DatasetError as error:
            self._unreadable += 1
            self._output.record("match", number=self._matches, data_set=None, file=path, text=str(error))
            self._output.note(f"match {self._matches}: {error}")
            self.flush()
            self._told += 1
            return
        if self._output.as_json:
            model = decoded.to_json_dict(suppress_invalid_tags=True)
            self._output.record("match", number=self._matches, data_set=model, file=path, text="")
            return
        self._rows.append([shown(decoded, column) for column in self._asked.columns])
        if len(self._rows) == _AT_A_TIME:
            self.flush()

    def flush(self) -> None:
        """Show the rows that wait."""
        if self._rows:
            headings = [heading(column) for column in self._asked.columns]
            self._output.table(headings, self._rows, first=self._told + 1)
            self._told += len(self._rows)
            self._rows = []

    def _write(self, folder: Path, match: bytes, syntax: str) -> str:
        path = folder / f"match-{self._matches:05}.dcm"
        # A match is no instance, so it is one of the query's SOP class, with a UID of our own.
        header = part10_header(self._asked.model.uid, new_uid(), syntax)
        try:
            with path.open("xb") as file:
                file.write(header + match)
        except OSError as error:
            message = f"cannot write {path}: {error.strerror or error}"
            raise CommandError(ExitCode.USAGE, message, "Name a folder that can be written to.") from error
        return str(path)

    def summarize(self) -> ExitCode:
        """Tell what it came to."""
        answer, output = self._answer, self._output
        stopped = self._limit is not None and (answer == CANCEL or self._dropped > 0)
        code = self._code(answer, stopped=stopped)
        seconds = time.monotonic() - self._began
        output.record(
            "summary",
            matches=self._matches,
            unreadable=self._unreadable,
            complete=self._complete,
            stopped=stopped,
            **answer_fields(answer),
            seconds=round(seconds, 6),
            exit_code=int(code),
        )
        text = f"{self._matches} {'match' if self._matches == 1 else 'matches'} in {seconds:.1f} s"
        if stopped:
            text += "; there may be more"
        elif answer is not None and answer.category is not StatusCategory.SUCCESS:
            text += f"; {self._target} answers {described(answer)}"
        output.line(text, GOOD if code is ExitCode.DONE else BAD)
        if not self._complete:
            output.note(f"{self._target} does not support some of the keys, and matched without them")
        if code is ExitCode.FAILURE:
            relational = any(getattr(each, "relational", False) for each in self._extended.values())
            if doubts := self._asked.doubts("C-FIND", relational=relational):
                output.note(doubts, None)
        return code

    def _code(self, answer: Answer | None, *, stopped: bool) -> ExitCode:
        category = None if answer is None else answer.category
        if not (stopped or category in (StatusCategory.SUCCESS, StatusCategory.WARNING)):
            return ExitCode.FAILURE
        return ExitCode.PARTIAL if self._unreadable else ExitCode.DONE


def _ready(folder: Path) -> Path:
    """The folder for matches, made if it is not there. Raises ``CommandError`` if it has some of another query."""
    try:
        folder.mkdir(exist_ok=True)
        other = next(folder.glob("match-*.dcm"), None)
    except OSError as error:
        message = f"cannot write matches into {folder}: {error.strerror or error}"
        raise CommandError(ExitCode.USAGE, message, "Name a folder that can be written to.") from error
    if other is not None:
        message = f"there are matches of another query in {folder}, such as {other.name}"
        raise CommandError(ExitCode.USAGE, message, "Name another folder, or delete them.")
    return folder
