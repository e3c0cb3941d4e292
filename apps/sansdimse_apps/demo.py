"""``sansdimse demo``: real files over a real connection, each compared with what was sent."""

from __future__ import annotations

import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pydicom
from rich.console import Console
from rich.table import Table

from sansdimse import SUCCESS, VERIFICATION, Acceptor, PresentationContext, Side, Status, StatusCategory
from sansdimse.dataset import DatasetError
from sansdimse.dimse.messages import CStoreRQ, CStoreRSP
from sansdimse.peer.session import AssociationLost
from sansdimse.services.sop_classes import STANDARD
from sansdimse.ul.plan import plan
from sansdimse_apps.options import Verbose
from sansdimse_apps.outcomes import CommandError, ExitCode, explain
from sansdimse_apps.output import BAD, DOUBTFUL, GOOD, Output, finish, printable
from sansdimse_apps.selection import Candidate, reason, unconverted
from sansdimse_apps.target import Target
from sansdimse_apps.wire import Observer, Seen
from sansdimse_files import instances, open_instance, received_file
from sansdimse_socket import Peer, Store, serve

IN_FULL: Final = 2
"""Files whose every PDU is shown; of the others one line each, unless all is asked for."""


def command(verbose: Verbose = False) -> None:
    """Store real files over a real connection, show what passes, and compare every byte.

    The files are those that come with pydicom, the server is ours, on a free port of this computer.
    Nothing is left behind.
    """
    output = Output()
    finish(output, lambda: run(Path(pydicom.__file__).parent / "data" / "test_files", output, verbose=verbose))


class Keep:
    """The demo's server: puts each instance into a file, and remembers which."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.files: list[Path] = []
        """In the order in which they came."""

    def c_store(self, store: Store) -> Status:
        """Store one instance under a name of its own: many of these files share a SOP Instance UID."""
        with received_file(store, self._folder, exists="keep") as file:
            pass
        self.files.append(file.commit())
        return SUCCESS


@dataclass(frozen=True, slots=True)
class Compared:
    """One file that was sent. ``wrong`` says how what was stored differs; empty if it does not."""

    sent: Candidate
    wrong: str


def run(folder: Path, output: Output, *, verbose: bool = False) -> ExitCode:
    """Send the folder's files to a server of our own. Raises ``CommandError`` when there are none."""
    began = time.monotonic()
    candidates, left_out = storable(folder)
    if not candidates:
        advice = "They come with pydicom 3: pip install --force-reinstall pydicom"
        raise CommandError(ExitCode.USAGE, f"there are no DICOM files in {folder}", advice)
    with tempfile.TemporaryDirectory(prefix="sansdimse-demo-") as received:
        service = Keep(Path(received))
        with serve("127.0.0.1", 0, service, supports=[VERIFICATION], any_storage=True, report=output.report) as server:
            target = Target(
                host="127.0.0.1", port=server.port, calling="DEMO_SCU", called="SANSDIMSE", maximum_length=131072
            )
            output.line(f"a storage server of ours listens on {target}; {len(candidates)} files go there")
            show = Show(output, verbose=verbose)
            try:
                with target.associate(contexts_for(candidates), report=output.report, tap=Observer(show)) as peer:
                    peer.c_echo()
                    results = [store_and_compare(peer, service, candidate, show) for candidate in candidates]
            except AssociationLost as lost:
                raise explain(lost.outcome, target) from lost
    different = [result for result in results if result.wrong]
    tell_left_out(output, left_out)
    table(results)
    for result in different:
        output.line(f"DIFFERENT: {result.sent.path.name}: {result.wrong}", BAD)
    output.line(f"association: {peer.outcome}; {show.pdus:,} PDUs, {show.bytes:,} bytes both ways")
    seconds = time.monotonic() - began
    same = len(results) - len(different)
    output.line(
        f"{same} of {len(results)} data sets were stored byte for byte as they were sent, in {seconds:.1f} s",
        BAD if different else GOOD,
    )
    return ExitCode.DIFFERENT if different else ExitCode.DONE


def storable(folder: Path) -> tuple[list[Candidate], dict[str, list[str]]]:
    """The folder's files that a C-STORE can carry, and the names of the others by the reason why it cannot."""
    candidates: list[Candidate] = []
    left_out: dict[str, list[str]] = defaultdict(list)
    judge = Acceptor("SANSDIMSE", (), any_storage=True)
    for found in instances(path for path in sorted(folder.rglob("*")) if path.is_file()):
        try:
            if found.error is not None:
                raise found.error
            with open_instance(found.path) as instance:
                length = instance.length
        except (DatasetError, OSError) as error:
            left_out[reason(error, found.path)].append(found.path.name)
            continue
        if found.header is not None and judge.offer(found.header.sop_class_uid) is None:
            name = STANDARD.name_of(found.header.sop_class_uid)
            left_out[f"{name} is not for storing over a network"].append(found.path.name)
        elif found.header is not None:
            candidates.append(Candidate(found.path, found.header, length or 0))
    return candidates, left_out


def contexts_for(candidates: Sequence[Candidate]) -> list[PresentationContext]:
    """What all candidates need, in one association: these are far fewer than it could hold."""
    needs = list(dict.fromkeys(candidate.need for candidate in candidates))
    [contexts] = plan([VERIFICATION, *needs]).associations
    return list(unconverted(contexts, needs))


def store_and_compare(peer: Peer, service: Keep, candidate: Candidate, show: Show) -> Compared:
    """Store one file, and hold what the server has against it: all that is behind the file meta."""
    before = len(service.files)
    show.begin(candidate.path.name)
    answer = peer.c_store(candidate.path)
    if answer.category is not StatusCategory.SUCCESS or len(service.files) != before + 1:
        return Compared(candidate, f"it was not stored: {answer}")
    [stored] = instances(service.files[before:])
    if stored.header is None:
        return Compared(candidate, f"what was stored is no DICOM file: {stored.error}")
    ours, theirs = candidate.header, stored.header
    for name in ("sop_class_uid", "sop_instance_uid", "transfer_syntax_uid"):
        if getattr(ours, name) != getattr(theirs, name):
            return Compared(candidate, f"its file meta has another {name.replace('_', ' ')}")
    sent = candidate.path.read_bytes()[ours.offset :]
    sent += bytes(len(sent) % 2)  # of a deflated data set only: its padding travels with it (PS3.5 A.5)
    got = stored.path.read_bytes()[theirs.offset :]
    return Compared(candidate, "" if got == sent else f"{len(sent):,} bytes were sent, {len(got):,} stored")


class Show:
    """Tells what passes: all of it, or of most files what their three messages come to."""

    def __init__(self, output: Output, *, verbose: bool) -> None:
        self._output = output
        self._in_full = 1 << 30 if verbose else IN_FULL
        self._files = 0
        self._name = ""
        self._parts: list[str] = []
        self.pdus = 0
        """PDUs seen, both ways."""
        self.bytes = 0
        """Bytes of them."""

    def begin(self, name: str) -> None:
        """A file's turn."""
        self._files += 1
        self._name = name
        if self._files <= self._in_full:
            self._output.line(f"{name}:")

    def __call__(self, seen: Seen) -> None:
        """Tell of one thing seen."""
        self.pdus += seen.pdus
        self.bytes += seen.length
        data = seen.context_id is not None and seen.message is None
        if self._files <= self._in_full or not (data or isinstance(seen.message, CStoreRQ | CStoreRSP)):
            self._output.line(f"  {seen}")
            return
        many = "1 PDU" if seen.pdus == 1 else f"{seen.pdus} PDUs"
        self._parts.append(f"data set in {many}, {seen.length:,} bytes" if data else seen.text)
        if seen.side is Side.PEER:
            sent, got = ", ".join(self._parts[:-1]), self._parts[-1]
            self._output.line(f"{self._name}: --> {sent} <-- {got}")
            self._parts.clear()


def tell_left_out(output: Output, left_out: dict[str, list[str]]) -> None:
    """What of the folder was not sent, and why."""
    if left_out:
        output.line(f"{sum(map(len, left_out.values()))} files of the folder were left out:", DOUBTFUL)
    for why, names in sorted(left_out.items()):
        output.line(f"  {why}: {', '.join(names)}")


def table(results: Sequence[Compared]) -> None:
    """Files, bytes and how many are the same, by transfer syntax."""
    by_syntax: dict[str, list[Compared]] = defaultdict(list)
    for result in results:
        by_syntax[result.sent.header.transfer_syntax_uid].append(result)
    console = Console(markup=False, highlight=False, emoji=False)
    shown = Table(show_edge=False, pad_edge=False)
    shown.add_column("transfer syntax", overflow="fold")
    for heading in ("files", "bytes", "the same"):
        shown.add_column(heading, justify="right")
    for syntax, group in sorted(by_syntax.items(), key=lambda each: STANDARD.name_of(each[0])):
        same = sum(not result.wrong for result in group)
        size = sum(result.sent.size for result in group)
        shown.add_row(printable(STANDARD.name_of(syntax)), str(len(group)), f"{size:,}", str(same))
    console.print(shown)
