"""The processes of a benchmark: starting them, and looking at one from outside (proc(5), Linux)."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ends import COLLECTED, HOST

HERE = Path(__file__).parent
LISTEN = 10.0
"""Seconds for a server to listen."""
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


def program(name: str) -> str | None:
    """DCMTK's, not pynetdicom's script of the same name."""
    own = {Path(sysconfig.get_path("scripts")).resolve(), Path(sys.executable).parent.resolve()}
    if environment := os.environ.get("VIRTUAL_ENV"):  # whichever is active, it may not be ours
        own.add((Path(environment) / "bin").resolve())
    folders = [each for each in os.get_exec_path() if Path(each).resolve() not in own]
    return shutil.which(name, path=os.pathsep.join(folders))


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for(port: int) -> None:
    """Return when somebody listens there. Raises ``TimeoutError`` if nobody does in time."""
    deadline = time.monotonic() + LISTEN
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex((HOST, port)) == 0:
                return
        time.sleep(0.02)
    raise TimeoutError(f"nobody listens on port {port}")
