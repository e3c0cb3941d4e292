"""A store SCP of ours on a real port, which remembers all that it was told, and bytes to compare files by."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pydicom import Dataset, dcmread
from pydicom.data import get_testdata_file

from sansdimse import SUCCESS, VERIFICATION, Outcome, Status
from sansdimse.dataset import read_part10_header
from sansdimse.peer.watch import AssociationEnded, Occurrence, Statistics
from sansdimse_files import received_file
from sansdimse_socket import Server, Store, serve

HOST: Final = "127.0.0.1"
PATIENCE: Final = 30.0
"""Seconds until a condition that must come true counts as failed; only a failing test waits so long."""


def until(condition: Callable[[], object], what: str = "the condition") -> None:
    """Look until the condition is true."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"{what} has not come in {PATIENCE:g} s"
        time.sleep(0.002)


class Archive:
    """Puts each instance into a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def c_store(self, store: Store) -> Status:
        with received_file(store, self.folder):
            pass
        return SUCCESS


@dataclass(slots=True)
class Running:
    """A server of ours, and what it said."""

    server: Server
    folder: Path
    ends: list[tuple[Statistics, Outcome]] = field(default_factory=list)
    reports: list[tuple[BaseException, str]] = field(default_factory=list)

    @property
    def address(self) -> tuple[str, str]:
        """Host and port as command-line arguments."""
        return HOST, str(self.server.port)

    def end(self, number: int = 1) -> tuple[Statistics, Outcome]:
        """Statistics and outcome of the association that ended as the ``number``-th, once it has."""
        until(lambda: len(self.ends) >= number, f"the end of association {number}")
        return self.ends[number - 1]

    def files(self) -> list[Path]:
        """All that is in the folder, temporary files too."""
        return sorted(self.folder.iterdir())

    def reported(self) -> list[str]:
        """The kinds of error reported so far, which then count as expected."""
        kinds = [type(error).__name__ for error, _ in self.reports]
        self.reports.clear()
        return kinds


@contextmanager
def archive(folder: Path, service: object | None = None, **options: Any) -> Iterator[Running]:
    """Serve verification and all storage; afterwards nothing unexpected was reported, nothing is half done."""
    folder.mkdir(exist_ok=True)
    ends: list[tuple[Statistics, Outcome]] = []
    reports: list[tuple[BaseException, str]] = []

    def watch(occurrence: Occurrence) -> None:
        if isinstance(occurrence, AssociationEnded):
            ends.append((occurrence.statistics, occurrence.statistics.outcome))

    given = {
        "supports": [VERIFICATION],
        "any_storage": True,
        "report": lambda error, where: reports.append((error, where)),
        "watch": watch,
        **options,
    }
    with serve(HOST, 0, service or Archive(folder), **given) as server:
        yield Running(server, folder, ends, reports)
    assert reports == []
    assert [path for path in folder.iterdir() if path.suffix == ".part"] == []


def data_set_of(path: Path) -> bytes:
    """A file's data set, as its bytes stand behind the file meta."""
    with path.open("rb") as file:
        header = read_part10_header(file.read)
    return path.read_bytes()[header.offset :]


def essence(path: Path) -> Dataset:
    """A file's data set without what others may leave out, and private elements, whose VRs they may not know."""
    dataset = dcmread(path)
    for element in list(dataset):
        if element.tag.is_private or element.tag.element == 0 or element.tag == 0xFFFCFFFC:
            del dataset[element.tag]
    if dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        dataset["PixelData"].VR = "OB"  # as PS3.5 A.4 wants it; some files have OW, which others mend
    return dataset


def bundled(name: str) -> Path:
    """A file that comes with pydicom; nothing is downloaded."""
    path = get_testdata_file(name, download=False)
    assert isinstance(path, str), name
    return Path(path)


def syntax_of(path: Path) -> str:
    """A file's transfer syntax UID."""
    with path.open("rb") as file:
        return read_part10_header(file.read).transfer_syntax_uid
