"""``sansdimse store``: files and folders to a server (C-STORE, PS3.4 Annex B)."""

from __future__ import annotations

import time
from collections import Counter, defaultdict, deque
from collections.abc import Collection, Iterable, Iterator, Sequence
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
    ServerName,
    Tls,
    TlsCa,
    TlsCertificate,
    TlsKey,
    TlsNoVerify,
    Verbose,
    Window,
)
from sansdimse_apps.outcomes import CommandError, ExitCode, explain
from sansdimse_apps.output import BAD, DOUBTFUL, GOOD, Output, comment_of, finish
from sansdimse_apps.progress import ByteProgress
from sansdimse_apps.selection import Candidate, Selection, reason, select, unconverted
from sansdimse_apps.target import Target, patience
from sansdimse_apps.tls import client_tls


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
    window: Window = 1,
    tls: Tls = False,
    tls_ca: TlsCa = None,
    tls_cert: TlsCertificate = None,
    tls_key: TlsKey = None,
    tls_no_verify: TlsNoVerify = False,
    server_name: ServerName = None,
    verbose: Verbose = False,
    as_json: Json = False,
) -> None:
    """Send DICOM files to a server (C-STORE); folders with all that is in them."""
    output = Output(as_json)

    def work() -> ExitCode:
        target = Target(
            host=host,
            port=port,
            calling=calling,
            called=called,
            maximum_length=max_pdu,
            limits=patience(connect_timeout, acse_timeout, dimse_timeout),
            window=window,
            tls=client_tls(tls, tls_ca, tls_cert, tls_key, verify=not tls_no_verify, server_name=server_name),
            server_name=server_name,
        )
        return run(target, paths, output, priority=Priority[priority.name], verbose=verbose)

    finish(output, work)


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


@dataclass(slots=True)
class _File:
    """A file that was taken to be sent."""

    candidate: Candidate
    began: float
    sent: int = 0
    """Bytes of its data set."""


class _UnderWay:
    """What is under way on one association: taken from those that wait, and without a result yet."""

    def __init__(self, waiting: deque[Candidate], progress: ByteProgress) -> None:
        self._waiting = waiting
        self._progress = progress
        self._files: deque[_File] = deque()
        self._passed: list[_File] = []  # those before one with a result, when no more results will come

    def paths(self) -> Iterator[Path]:
        """Take one after the other."""
        while self._waiting:
            candidate = self._waiting.popleft()
            self._files.append(_File(candidate, time.monotonic()))
            yield candidate.path

    def show(self, path: object, sent: int) -> None:
        """So much of the last one taken was sent: only its data set can be open (PS3.8 E.1)."""
        self._files[-1].sent = sent
        self.show_all()

    def show_all(self) -> None:
        """Show what was sent of all."""
        self._progress.show(sum(file.sent for file in self._files))

    def take(self, path: object) -> _File:
        """The file that has a result."""
        while (file := self._files.popleft()).candidate.path != path:
            self._passed.append(file)
        return file

    def take_last(self) -> _File:
        """The file that failed in its middle."""
        return self._files.pop()

    def take_in_doubt(self, paths: Collection[object]) -> list[_File]:
        """Those whose answers never came, though the peer may have stored them."""
        doubtful = self._passed + [file for file in self._files if file.candidate.path in paths]
        self._passed = []
        self._files = deque(file for file in self._files if file not in doubtful)
        return doubtful

    def give_back(self) -> None:
        """Let those without a result wait again."""
        self._waiting.extendleft(file.candidate for file in reversed([*self._passed, *self._files]))


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
        under_way = _UnderWay(waiting, self._progress)
        worth_another = False

        def tell(file: _File, answer: Answer | Exception) -> None:
            nonlocal worth_another
            result = self._result(file, answer)
            self._tell(result)
            under_way.show_all()
            worth_another |= result.answer is not None or result.code is ExitCode.USAGE

        try:
            with self._target.associate(contexts, report=self._output.report, watch=self._output.watch) as peer:
                paths, show = under_way.paths(), under_way.show
                try:
                    for path, answer in peer.c_store_each(paths, priority=self._priority, progress=show):
                        tell(under_way.take(path), answer)
                except (DatasetError, OSError) as error:
                    tell(under_way.take_last(), error)
                except AssociationLost as lost:
                    for file in under_way.take_in_doubt(lost.in_doubt):
                        tell(file, lost)
        except AssociationLost as lost:
            return explain(lost.outcome, self._target)
        under_way.give_back()
        outcome = peer.outcome
        if outcome is not None:
            self._output.outcome(outcome)
            if waiting and not worth_another:
                return explain(outcome, self._target)
        return None

    def _result(self, file: _File, answer: Answer | Exception) -> _Result:
        """What became of a file."""
        state, code, text = "failed", ExitCode.USAGE, str(answer)
        match answer:
            case Answer():
                state, code = "stored", ExitCode.DONE
                if answer.category is StatusCategory.FAILURE:
                    state, code = "failed", ExitCode.FAILURE
                elif answer.category is StatusCategory.WARNING:
                    state = "warning"
            case AssociationLost():
                fault = explain(answer.outcome, self._target)
                code, text = fault.code, str(fault)
            case LocalProtocolError():
                code, self._unfit = ExitCode.REFUSED, True
            case _:
                text = reason(answer, file.candidate.path)
        return _Result(
            path=file.candidate.path,
            state=state,
            candidate=file.candidate,
            code=code,
            text=text,
            answer=answer if isinstance(answer, Answer) else None,
            sent=file.sent,
            seconds=time.monotonic() - file.began,
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
