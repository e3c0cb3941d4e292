"""The command line run in this process, a server for it to talk to, and files to send."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydicom.data import get_testdata_file

from sansdimse import SUCCESS, VERIFICATION, Status
from sansdimse.peer.watch import AssociationEnded, Occurrence, Statistics
from sansdimse_apps.cli import main
from sansdimse_socket import Server, Store, serve


@dataclass(frozen=True, slots=True)
class Run:
    """What a command came to."""

    code: int
    out: str
    err: str

    @property
    def records(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]

    def record(self, event: str) -> dict[str, Any]:
        [found] = [record for record in self.records if record["event"] == event]
        return found


@pytest.fixture
def sansdimse(capsys: pytest.CaptureFixture[str]) -> Callable[..., Run]:
    def run(*arguments: str | int | Path) -> Run:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        assert "Traceback" not in out + err
        assert not {c for c in out + err if not c.isprintable()} - {"\n"}
        return Run(code, out, err)

    return run


class Service:
    """Reads what it is sent and answers what ``answer`` says, which may raise."""

    def __init__(self, answer: Callable[[Store], Status | int] = lambda store: SUCCESS) -> None:
        self.answer = answer
        self.received: list[tuple[str, bytes]] = []

    def c_store(self, store: Store) -> Status | int:
        data = store.read()
        answer = self.answer(store)
        self.received.append((store.transfer_syntax_uid, data))
        return answer


class Ends(list[Statistics]):
    """A ``watch`` that keeps how each association ended."""

    def __call__(self, occurrence: Occurrence) -> None:
        if isinstance(occurrence, AssociationEnded):
            self.append(occurrence.statistics)


@pytest.fixture
def ends() -> Ends:
    return Ends()


@contextmanager
def serving(service: object, **options: Any) -> Iterator[Server]:
    defaults: dict[str, Any] = {"supports": [VERIFICATION], "any_storage": True, "grace": 1.0}
    with serve("127.0.0.1", 0, service, **(defaults | options)) as server:
        yield server


Serving = Callable[..., AbstractContextManager[Server]]


@pytest.fixture(name="serving")
def serving_fixture() -> Serving:
    return serving


@pytest.fixture
def service() -> Callable[..., Service]:
    return Service


def testdata(names: Sequence[str]) -> list[Path]:
    found = [get_testdata_file(name, download=False) for name in names]
    return [Path(path) for path in found if isinstance(path, str)]


@pytest.fixture
def files() -> list[Path]:
    """Three real files: explicit, implicit, and compressed."""
    paths = testdata(["CT_small.dcm", "MR_small_implicit.dcm", "693_J2KI.dcm"])
    assert len(paths) == 3
    return paths
