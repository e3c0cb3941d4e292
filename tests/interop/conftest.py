"""The peers as fixtures, one fresh server for each test that names it (Orthanc: one for the run)."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from interop import peers

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.interop)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failure shows what the peers said."""
    report = yield
    if report.failed:
        report.sections += [(f"output of {server.name}", server.output()[-8000:]) for server in peers.started]
    if report.when == "teardown":
        peers.started[:] = [server for server in peers.started if server.process and server.is_running]
    return report


@pytest.fixture
def storescp(tmp_path: Path) -> Iterator[peers.Server]:
    """DCMTK's storescp, which keeps the bits and takes every transfer syntax."""
    with peers.storescp(tmp_path / "storescp", "+B", "+xa") as server:
        yield server


@pytest.fixture
def forking_storescp(tmp_path: Path) -> Iterator[peers.Server]:
    """The same, a process for each association: dcmqrscp's index is not made for stores at the same moment."""
    with peers.storescp(tmp_path / "storescp", "+B", "--fork") as server:
        yield server


@pytest.fixture
def dcmrecv(tmp_path: Path) -> Iterator[peers.Server]:
    """DCMTK's dcmrecv, which keeps the bits and takes every transfer syntax."""
    with peers.dcmrecv(tmp_path / "dcmrecv", "+B") as server:
        yield server


@pytest.fixture
def dcmqrscp(tmp_path: Path) -> Iterator[peers.Server]:
    """DCMTK's dcmqrscp with an empty archive and no move destination."""
    with peers.dcmqrscp(tmp_path / "dcmqrscp") as server:
        yield server


@pytest.fixture(scope="session")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[peers.Server]:
    """Orthanc, shared by all tests of the run: look for your own instances only."""
    with peers.orthanc(tmp_path_factory.mktemp("orthanc") / "storage") as server:
        yield server


@pytest.fixture
def pynetdicom_scp(tmp_path: Path) -> Iterator[peers.Server]:
    """A pynetdicom server which takes verification and storage."""
    with peers.pynetdicom_scp(tmp_path / "pynetdicom") as server:
        yield server
