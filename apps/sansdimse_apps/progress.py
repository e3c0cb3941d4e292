"""A bar of the bytes that are through, for whoever watches."""

from __future__ import annotations

import sys
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskProgressColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)


class ByteProgress:
    """Counts bytes up to ``total``; shows them on the standard error if that is a terminal."""

    def __init__(self, total: int) -> None:
        console = Console(stderr=True, soft_wrap=True)  # paths are copied from lines: do not cut them up
        self._is_shown = console.is_terminal
        self._done = 0
        self._bar = Progress(
            BarColumn(),
            TaskProgressColumn(),
            DownloadColumn(binary_units=True),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=console,
            disable=not self._is_shown,
            transient=True,
            # What goes to a file must not be drawn above the bar on the terminal.
            redirect_stdout=sys.stdout.isatty(),
        )
        self._task = self._bar.add_task("bytes", total=total)

    def show(self, done: int) -> None:
        """So many bytes are through, of those of the file under way as well."""
        self._bar.update(self._task, completed=self._done + done)

    def finished(self, size: int) -> None:
        """A file of this size is done with, one way or the other."""
        self._done += size
        self.show(0)

    def __enter__(self) -> ByteProgress:
        if self._is_shown:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._is_shown:
            self._bar.stop()
