"""``sansdimse store``: files and folders to a server (C-STORE, PS3.4 Annex B)."""

from __future__ import annotations

import time
from collections import Counter, defaultdict, deque
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from sansdimse import LocalProtocolError, PresentationContext, Priority, StatusCategory
from sansdimse.dataset import DatasetError
from sansdimse.peer.scu import Answer
from sansdimse.peer.session import AssociationLost
from sansdimse.ul.plan import plan
from sansdimse_apps.options import (
    AcseTimeout,
    Called,
    Calling,
    ConnectTimeout,
    DimseTimeout,
    Host,
    Json,
    MaximumPdu,
    Port,
    Verbose,
)
from sansdimse_apps.outcomes import CommandError, ExitCode, explain
from sansdimse_apps.output import BAD, DOUBTFUL, GOOD, Output, comment_of, finish
from sansdimse_apps.progress import ByteProgress
from sansdimse_apps.selection import Candidate, Selection, reason, select, unconverted
from sansdimse_apps.target import Target, patience
from sansdimse_socket import Peer


class PriorityName(StrEnum):
    """The priorities of PS3.7 9.1.1.1, as options."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


def command(
    host: Host,
    port: Port,
    paths: Annotated[list[Path], typer.Argument(metavar="PATH", help="DICOM files, and folders that hold some.")],
    calling: Calling = "SANSDIMSE",
    called: Called = "ANY-SCP",
    priority: Annotated[PriorityName, typer.Option("--priority", help="Most servers ignore it.")] = PriorityName.MEDIUM,
    connect_timeout: ConnectTimeout = 15.0,
    acse_timeout: AcseTimeout = 30.0,
    dimse_timeout: DimseTimeout = 60.0,
    max_pdu: MaximumPdu = 131072,
    verbose: Verbose = False,
    as_json: Json = False,
) -> None:
    """Send DICOM files to a server (C-STORE); folders with all that is in them."""
    limits = patience(connect_timeout, acse_timeout, dimse_timeout)
    target = Target(host=host, port=port, calling=calling, called=called, maximum_length=max_pdu, limits=limits)
    output = Output(as_json)
    finish(output, lambda: run(target, paths, output, priority=Priority[priority.name], verbose=verbose))


def run(
    target: Target, paths: Sequence[Path], output: Output, *, priority: int = Priority.MEDIUM, verbose: bool = False
) -> ExitCode:
    """Store all that can be stored. Raises ``CommandError`` when nothing in the paths can."""
    selection = select(paths)
    needs = plan(selection.needs)
    groups: dict[int, list[Candidate]] = defaultdict(list)
    for candidate in selection.candidates:
        groups[needs.association_for(*candidate.need) or 0].append(candidate)
    with ByteProgress(selection.size) as progress:
        sending = _Sending(target, output, progress, priority=priority, verbose=verbose)
        sending.pass_over(selection.skipped)
        sending.refuse(selection.unsendable)
        try:
            for index, candidates in sorted(groups.items()):
                sending.send(unconverted(needs.associations[index], selection.needs), candidates)
        except KeyboardInterrupt:
            sending.interrupted()
            raise
        finally:
            sending.summarize(selection)
    return sending.exit_code


@dataclass(frozen=True, slots=True, kw_only=True)
class _Result:
    """What became of one file."""

    path: Path
    state: str
    """stored, warning (stored, with a warning), failed, or not sent."""
    candidate: Candidate | None = None
    code: ExitCode = ExitCode.DONE
    text: str = ""
    answer: Answer | None = None
    sent: int = 0
    seconds: float = 0.0


class _Sending:
    """One run of the command: sends, tells of each file, and counts."""

    def __init__(self, target: Target, output: Output, progress: ByteProgress, *, priority: int, verbose: bool) -> None:
        self._target = target
        self._output = output
        self._progress = progress
        self._priority = priority
        self._verbose = verbose
        self._began = time.monotonic()
        self._counts: Counter[str] = Counter()
        self._codes: set[ExitCode] = set()
        self._sent = 0
        self._unfit = False

    @property
    def _stored(self) -> int:
        return self._counts["stored"] + self._counts["warning"]

    @property
    def exit_code(self) -> ExitCode:
        """What all results come to."""
        return exit_code(self._codes, self._stored)

    def pass_over(self, skipped: Iterable[tuple[Path, str]]) -> None:
        """Tell whoever wants to know everything of files that are not DICOM."""
        for path, why in skipped:
            self._output.record("skipped", path=str(path), text=why)
            if self._verbose:
                self._output.line(f"passed over: {path}: {why}")

    def interrupted(self) -> None:
        """The user has had enough."""
        self._codes.add(ExitCode.INTERRUPTED)

    def refuse(self, unsendable: Iterable[tuple[Path, str]]) -> None:
        """Tell of files that cannot be sent to anybody."""
        for path, wrong in unsendable:
            self._tell(_Result(path=path, state="failed", code=ExitCode.USAGE, text=wrong))

    def send(self, contexts: Sequence[PresentationContext], candidates: Sequence[Candidate]) -> None:
        """Send these, on as many associations after one another as it takes."""
        waiting = deque(candidates)
        while waiting:
            fault = self._associate(contexts, waiting)
            if fault is not None:
                self._output.problem(fault)
                for candidate in waiting:
                    result = _Result(path=candidate.path, state="not sent", candidate=candidate, code=fault.code)
                    self._tell(result)
                return

    def _associate(self, contexts: Sequence[PresentationContext], waiting: deque[Candidate]) -> CommandError | None:
        """Send what waits on one association; why another is not worth trying, if some is left and none is.

        One that ended because a file of ours failed in its middle, or after an answer, is worth another.
        """
        worth_another = False
        try:
            with self._target.associate(contexts, report=self._output.report) as peer:
                while waiting and peer.outcome is None:
                    result = self._store(peer, waiting.popleft())
                    self._tell(result)
                    worth_another |= result.answer is not None or result.code is ExitCode.USAGE
        except AssociationLost as lost:
            return explain(lost.outcome, self._target)
        outcome = peer.outcome
        if outcome is not None:
            self._output.outcome(outcome)
            if waiting and not worth_another:
                return explain(outcome, self._target)
        return None

    def _store(self, peer: Peer, candidate: Candidate) -> _Result:
        began, sent = time.monotonic(), 0

        def show(so_far: int) -> None:
            nonlocal sent
            sent = so_far
            self._progress.show(so_far)

        code, text, answer = ExitCode.DONE, "", None
        try:
            answer = peer.c_store(candidate.path, priority=self._priority, progress=show)
        except AssociationLost as lost:
            fault = explain(lost.outcome, self._target)
            code, text = fault.code, str(fault)
        except LocalProtocolError as error:
            code, text = ExitCode.REFUSED, str(error)
            self._unfit = True
        except (DatasetError, OSError) as error:
            code, text = ExitCode.USAGE, reason(error, candidate.path)
        else:
            text = str(answer)
            if answer.category is StatusCategory.FAILURE:
                code = ExitCode.FAILURE
        state = "failed" if code else "warning" if answer and answer.category is StatusCategory.WARNING else "stored"
        return _Result(
            path=candidate.path,
            state=state,
            candidate=candidate,
            code=code,
            text=text,
            answer=answer,
            sent=sent,
            seconds=time.monotonic() - began,
        )

    def _tell(self, result: _Result) -> None:
        self._counts[result.state] += 1
        if result.code:
            self._codes.add(result.code)
        comment = comment_of(result.answer)
        header = None if result.candidate is None else result.candidate.header
        if result.candidate is not None:
            self._progress.finished(result.candidate.size)
        if result.state in ("stored", "warning"):
            self._sent += result.sent
        self._output.record(
            "file",
            path=str(result.path),
            state=result.state,
            status=None if result.answer is None else int(result.answer),
            comment=comment,
            text=result.text,
            sop_class_uid=header and header.sop_class_uid,
            sop_instance_uid=header and header.sop_instance_uid,
            transfer_syntax_uid=header and header.transfer_syntax_uid,
            bytes=result.sent,
            seconds=round(result.seconds, 6),
        )
        said = f": {result.text}" + (f": {comment}" if comment else "")
        if result.state == "failed":
            self._output.line(f"failed: {result.path}{said}", BAD)
        elif result.state == "warning":
            self._output.line(f"stored with a warning: {result.path}{said}", DOUBTFUL)
        elif self._verbose and result.state == "stored":
            self._output.line(f"stored: {result.path}", GOOD)

    def summarize(self, selection: Selection) -> None:
        """Tell what it came to."""
        seconds = time.monotonic() - self._began
        counts = self._counts
        total = len(selection.candidates) + len(selection.unsendable)
        counts["not sent"] = total - self._stored - counts["failed"]  # an interruption leaves some untold
        self._output.record(
            "summary",
            stored=self._stored,
            warnings=counts["warning"],
            failed=counts["failed"],
            not_sent=counts["not sent"],
            skipped=len(selection.skipped),
            bytes=self._sent,
            seconds=round(seconds, 6),
            exit_code=int(self.exit_code),
        )
        parts = [f"{self._stored} of {total} files stored ({self._sent:,} bytes in {seconds:.1f} s)"]
        parts += [f"{counts[state]} {state}" for state in ("failed", "not sent") if counts[state]]
        if counts["warning"]:
            parts.append(f"{counts['warning']} with a warning")
        if selection.skipped:
            parts.append(f"{len(selection.skipped)} passed over that are not DICOM")
        self._output.line(", ".join(parts), GOOD if self._stored == total else BAD)
        if self._unfit:
            self._output.note(
                "Convert what was refused to a transfer syntax that the server takes, "
                "or have the server configured for it.",
                None,
            )


def exit_code(codes: Collection[ExitCode], stored: int) -> ExitCode:
    """The exit code for so many files stored and these failures of others."""
    if not codes:
        return ExitCode.DONE
    if ExitCode.INTERRUPTED in codes:
        return ExitCode.INTERRUPTED
    if stored:
        return ExitCode.PARTIAL
    gravest_first = (ExitCode.NETWORK, ExitCode.REFUSED, ExitCode.FAILURE, ExitCode.USAGE)
    return next(code for code in gravest_first if code in codes)
