"""The processes of a benchmark: starting them, and looking at one from outside (proc(5), Linux)."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ends import COLLECTED

HERE = Path(__file__).parent
_TICK = 1 / os.sysconf("SC_CLK_TCK")


class Child:
    """A script of ours that printed its port and runs until its input is closed."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.port = int(self.line())

    def line(self) -> str:
        """The next line that it prints. Raises ``ConnectionError`` if there is none."""
        if self._process.stdout is None or not (line := self._process.stdout.readline()):
            raise ConnectionError("a process ended without a word")
        return line.strip()

    @property
    def threads(self) -> int:
        """How many it has."""
        return self._status("Threads")

    def resident(self) -> int:
        """Bytes resident, garbage collected."""
        self._process.send_signal(signal.SIGUSR1)
        if (said := self.line()) != COLLECTED:
            raise ConnectionError(f"a process said {said}")
        return self._status("VmRSS") * 1024

    def forget_highest(self) -> None:
        """Let the highest begin at what is resident now."""
        (self._proc / "clear_refs").write_text("5")

    def highest(self) -> int:
        """The most bytes resident since then."""
        return self._status("VmHWM") * 1024

    def cpu(self) -> float:
        """Seconds of processor time so far, of all its threads."""
        fields = (self._proc / "stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) * _TICK

    @property
    def _proc(self) -> Path:
        return Path("/proc") / str(self._process.pid)

    def _status(self, field: str) -> int:
        for line in (self._proc / "status").read_text().splitlines():
            if line.startswith(f"{field}:"):
                return int(line.split()[1])
        raise OSError(f"/proc/{self._process.pid}/status has no {field}")


@contextmanager
def child(script: str, *arguments: object) -> Iterator[Child]:
    """A script of this folder in a process of its own."""
    command = [sys.executable, HERE / script, *arguments]
    # numpy, which pydicom imports where it is installed, makes a thread for each processor at once.
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [*map(str, command)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    )
    try:
        yield Child(process)
    finally:
        process.kill()
        process.communicate()
