"""The peers are there and answer one another: what later tests find is then ours."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file

from interop import peers

SERVERS = ("storescp", "dcmrecv", "dcmqrscp", "orthanc", "pynetdicom_scp")
STORED_SYNTAX_IS_KEPT = ("storescp", "dcmrecv", "pynetdicom_scp")


@pytest.fixture
def server(request: pytest.FixtureRequest) -> peers.Server:
    found = request.getfixturevalue(request.param)
    assert isinstance(found, peers.Server)
    return found


def small_file() -> Path:
    path = get_testdata_file("CT_small.dcm", download=False)
    assert isinstance(path, str)
    return Path(path)


def pixels_of(path: Path) -> bytes:
    pixels = dcmread(path).PixelData
    assert isinstance(pixels, bytes)
    return pixels


@pytest.mark.parametrize("server", SERVERS, indirect=True)
def test_dcmtk_echoes_every_server(server: peers.Server) -> None:
    done = peers.run_tool("echoscu", "-v", "-aec", server.ae_title, *server.address)
    assert "Received Echo Response (Success)" in done.stdout


@pytest.mark.parametrize("server", STORED_SYNTAX_IS_KEPT, indirect=True)
def test_dcmtk_stores_to_every_server_that_keeps_files(server: peers.Server) -> None:
    path = small_file()
    peers.run_tool("storescu", "-v", "-xe", "-aec", server.ae_title, *server.address, path)
    [stored] = server.files()
    assert pixels_of(path) in stored.read_bytes()


def test_dcmtk_stores_to_orthanc(orthanc: peers.Server) -> None:
    path = small_file()
    peers.run_tool("storescu", "-v", "-xe", "-aec", orthanc.ae_title, *orthanc.address, path)
    assert any(pixels_of(path) in stored for stored in orthanc.instances().values())


def test_a_server_is_gone_after_its_test(tmp_path: Path) -> None:
    with peers.storescp(tmp_path / "storescp") as server:
        assert peers.listens(server.port)
        process = server.process
    assert process is not None
    assert process.poll() is not None
    assert not peers.listens(server.port)


def test_a_server_that_finds_its_port_taken_tries_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind((peers.HOST, 0))  # not listening: a connection is refused, and so is a second bind
        port, draw = taken.getsockname()[1], peers.free_port
        ports = iter([port])
        monkeypatch.setattr(peers, "free_port", lambda: next(ports, None) or draw())
        with peers.storescp(tmp_path / "storescp") as server:
            assert server.port != port
            peers.run_tool("echoscu", *server.address)


def test_a_server_that_cannot_start_fails_with_its_output(tmp_path: Path) -> None:
    with (
        pytest.raises(pytest.fail.Exception, match="Unknown option"),
        peers.storescp(tmp_path / "s", "--no-such-option"),
    ):
        pass


def test_a_failing_tool_fails_the_test_with_its_output() -> None:
    with pytest.raises(pytest.fail.Exception, match="Association Request Failed"):
        peers.run_tool("echoscu", peers.HOST, str(peers.free_port()))


@pytest.mark.parametrize(("ci", "outcome"), [("1", pytest.fail.Exception), ("", pytest.skip.Exception)])
def test_a_missing_tool_skips_the_test_and_fails_it_in_ci(
    ci: str, outcome: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(os.environ, "CI", ci)
    with pytest.raises(outcome, match="no-such-tool is not installed"):
        peers.require("no-such-tool")


def test_tools_are_the_systems_not_pynetdicoms_scripts() -> None:
    assert "$dcmtk:" in peers.run_tool("echoscu", "--version").stdout
