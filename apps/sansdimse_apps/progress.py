"""Bars of what is through, bytes or sub-operations, for whoever watches."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from sansdimse.peer.scu_retrieve import Progress as Counters


class _Shown:
    """A bar on the standard error if that is a terminal, gone when it is done."""

    def __init__(self, *columns: ProgressColumn) -> None:
        console = Console(stderr=True, soft_wrap=True)  # paths are copied from lines: do not cut them up
        self._is_shown = console.is_terminal
        self._bar = Progress(
            BarColumn(),
            TaskProgressColumn(),
            *columns,
            TimeRemainingColumn(),
            console=console,
            disable=not self._is_shown,
            transient=True,
            # What goes to a file must not be drawn above the bar on the terminal.
            redirect_stdout=sys.stdout.isatty(),
        )

    def __enter__(self) -> Self:
        if self._is_shown:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._is_shown:
            self._bar.stop()


class ByteProgress(_Shown):
    """Counts bytes up to ``total``; shows them on the standard error if that is a terminal."""

    def __init__(self, total: int) -> None:
        super().__init__(DownloadColumn(binary_units=True), TransferSpeedColumn())
        self._done = 0
        self._task = self._bar.add_task("bytes", total=total)

    def show(self, done: int) -> None:
        """So many bytes are through, of those of the file under way as well."""
        self._bar.update(self._task, completed=self._done + done)

    def finished(self, size: int) -> None:
        """A file of this size is done with, one way or the other."""
        self._done += size
        self.show(0)


class CountProgress(_Shown):
    """Counts sub-operations, of which a peer tells how many there are and how many failed (PS3.4 C.4.2.1.6)."""

    def __init__(self) -> None:
        super().__init__(MofNCompleteColumn(), TextColumn("{task.fields[trouble]}", markup=False))
        self._task = self._bar.add_task("sub-operations", total=None, trouble="")

    def show(self, progress: Counters) -> None:
        """What the peer told last."""
        failed, warning = progress.failed or 0, progress.warning or 0
        done = (progress.completed or 0) + failed + warning
        told = [f"{number} {name}" for number, name in ((failed, "failed"), (warning, "with a warning")) if number]
        total = None if progress.remaining is None else done + progress.remaining
        self._bar.update(self._task, completed=done, total=total, trouble=", ".join(told))
