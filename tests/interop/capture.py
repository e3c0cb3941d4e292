"""One association as tcpdump captures it and tshark dissects it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import pytest

from archive import until
from interop import peers


@dataclass(frozen=True, slots=True)
class Capture:
    """A pcap file, of one port."""

    path: Path
    port: int

    def fields(self, selection: str, *names: str) -> list[str]:
        """These fields of the packets selected, a line each; several values of a field with commas."""
        arguments = [word for name in names for word in ("-e", name)]
        options = ["-r", self.path, "-d", f"tcp.port=={self.port},dicom", "-Y", selection, "-T", "fields"]
        done = subprocess.run(
            [peers.require("tshark"), *map(str, options), *arguments], capture_output=True, encoding="utf-8", check=True
        )
        return [line for line in done.stdout.splitlines() if line.strip()]

    def pdu_types(self) -> list[int]:
        """The types of all PDUs, in order."""
        return [int(value, 0) for line in self.fields("dicom", "dicom.pdu.type") for value in line.split(",")]

    def complaints(self) -> list[str]:
        """What tshark finds malformed, or worth a warning or an error, in DICOM."""
        selection = "_ws.malformed || (dicom && _ws.expert.severity >= 6291456)"
        return self.fields(selection, "frame.number", "_ws.expert.message", "_ws.col.Info")


@contextmanager
def capturing(port: int, path: Path) -> Iterator[Capture]:
    """Capture what passes this port on the loopback interface; skipped, outside CI, where that is not permitted."""
    command = [peers.require("tcpdump"), "-i", "lo", "-U", "-B", "8192", "-w", str(path), f"tcp port {port}"]
    peers.require("tshark")
    log = path.with_suffix(".log")
    with log.open("wb") as said, subprocess.Popen(command, stdout=said, stderr=said) as process:
        try:
            until(lambda: process.poll() is not None or b"listening on" in log.read_bytes(), "tcpdump")
            if process.poll() is not None:
                _not_permitted(log.read_text())
            capture = Capture(path, port)
            yield capture
            until(lambda: _is_closed(capture), "the end of the connection in the capture")
        finally:
            process.terminate()


def _is_closed(capture: Capture) -> bool:
    try:
        return len(capture.fields("tcp.flags.fin == 1 || tcp.flags.reset == 1", "frame.number")) >= 2
    except subprocess.CalledProcessError:  # cut in the middle of a packet: written while it was read
        return False


def _not_permitted(said: str) -> NoReturn:
    if os.environ.get("CI"):
        pytest.fail(f"tcpdump cannot capture: {said}")
    pytest.skip("tcpdump may not capture here")
