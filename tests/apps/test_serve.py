from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme
from pydicom import dcmread
from pydicom.data import get_testdata_file

from interop import peers
from sansdimse import VERIFICATION, AsynchronousOperationsWindow, StatusCategory
from sansdimse.dataset import read_part10_header
from sansdimse.peer.watch import ConnectionCut
from sansdimse_apps import serve as serve_module
from sansdimse_apps.cli import main
from sansdimse_apps.output import Output
from sansdimse_apps.serve import Exists, StoreInFolder
from sansdimse_files import client_context, kinds
from sansdimse_socket import AssociationLost, associate

HOST = "127.0.0.1"
CT = Path(str(get_testdata_file("CT_small.dcm", download=False)))
with CT.open("rb") as _file:
    CT_HEADER = read_part10_header(_file.read)
CT_NAME = f"{CT_HEADER.sop_instance_uid}.dcm"


def data_set(path: Path) -> bytes:
    with path.open("rb") as file:
        offset = read_part10_header(file.read).offset
    return path.read_bytes()[offset:]


class Running:
    """The server as a process of its own, and what it has said so far."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.said: list[dict[str, Any]] = []

    @property
    def port(self) -> int:
        return int(self.until("listening")["port"])

    def until(self, event: str) -> dict[str, Any]:
        """The first record of this kind, said already or still to come."""
        for record in self.said:
            if record["event"] == event:
                return record
        assert self.process.stdout is not None
        for line in self.process.stdout:
            record = json.loads(line)
            self.said.append(record)
            if record["event"] == event:
                return dict(record)
        pytest.fail(f"it ended without a record {event}: {self.said}")

    def end(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        """Exit code and standard error after a signal; what it says meanwhile is kept."""
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=30)
        self.said += map(json.loads, out.splitlines())
        return self.process.returncode, err


@contextmanager
def serving(folder: Path, *options: str) -> Iterator[Running]:
    command = [sys.executable, "-m", "sansdimse_apps", "serve", str(folder), "--host", HOST, "--port", "0", "--json"]
    with subprocess.Popen(
        [*command, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8"
    ) as process:
        try:
            yield Running(process)
        finally:
            if process.poll() is None:
                process.kill()


def send(port: int, paths: Sequence[Path] = (CT,), **options: Any) -> list[int]:
    with associate(HOST, port, contexts=[VERIFICATION, *[CT_HEADER.sop_class_uid]], **options) as peer:
        return [int(peer.c_store(path)) for path in paths]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stores_and_ends_by_a_signal(number: int, tmp_path: Path) -> None:
    folder = tmp_path / "received"
    with serving(folder) as server:
        assert send(server.port, calling="SOMEBODY") == [0]
        server.until("ended")
        code, err = server.end(number)
    assert (code, err) == (0, "")
    assert [path.name for path in folder.iterdir()] == [CT_NAME]
    assert data_set(folder / CT_NAME) == data_set(CT)
    assert [record["event"] for record in server.said] == [
        *("listening", "stored", "operation", "ended", "stopping", "stopped")
    ]
    stored = server.until("stored")
    assert stored["path"] == str(folder / CT_NAME)
    assert stored["calling"] == "SOMEBODY"
    assert stored["sop_instance_uid"] == CT_HEADER.sop_instance_uid
    ended = server.until("ended")
    assert (ended["outcome"], ended["deviations"]) == ("released", [])
    assert (ended["calling"], ended["operations"], ended["messages_received"]) == ("SOMEBODY", 1, 1)
    operation = server.until("operation")
    assert (operation["service"], operation["by"], operation["ending"]) == ("C-STORE", "peer", "answered")
    assert server.until("stopped")["stored"] == 1


def test_an_association_under_way_may_end_in_its_own_time(tmp_path: Path) -> None:
    with serving(tmp_path, "--grace", "20") as server:
        with associate(HOST, server.port, contexts=contexts(CT)) as peer:
            assert peer.c_store(CT).category is StatusCategory.SUCCESS
            server.process.send_signal(signal.SIGTERM)
            server.until("stopping")
            while peers.listens(server.port):
                pass  # a moment; it goes on to serve
            assert peer.c_store(CT).category is StatusCategory.SUCCESS
        _, err = server.process.communicate(timeout=30)
    assert server.process.returncode == 0
    assert err == ""


def test_a_second_signal_does_not_wait(tmp_path: Path) -> None:
    with serving(tmp_path, "--grace", "1000") as server, associate(HOST, server.port, contexts=contexts(CT)):
        server.process.send_signal(signal.SIGTERM)
        server.until("stopping")
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(30) == -signal.SIGTERM


def contexts(*paths: Path) -> list[str]:
    return [VERIFICATION, *dict.fromkeys(sop_class for sop_class, _ in kinds(paths))]


def test_titles_are_checked_when_asked_for(tmp_path: Path, sansdimse: Any) -> None:
    with serving(
        tmp_path, "-aet", "ARCHIVE", "--require-called", "--allow-calling", "A", "--allow-calling", "B"
    ) as own:
        codes = [
            sansdimse("echo", HOST, own.port, "-aet", calling, "-aec", called).code
            for calling, called in [("A", "ARCHIVE"), ("B", "ARCHIVE"), ("C", "ARCHIVE"), ("A", "OTHER")]
        ]
    assert codes == [0, 0, 4, 4]


def test_no_more_associations_than_asked_for(tmp_path: Path, sansdimse: Any) -> None:
    with serving(tmp_path, "--max-associations", "1") as server:
        with associate(HOST, server.port, contexts=[VERIFICATION]):
            assert sansdimse("echo", HOST, server.port).code == 4
        server.until("ended")
        while (code := sansdimse("echo", HOST, server.port).code) == 4:
            pass  # the first one's place is free a moment after its end was told
    assert code == 0


def test_no_more_associations_of_one_host_than_asked_for(tmp_path: Path, sansdimse: Any) -> None:
    with (
        serving(tmp_path, "--max-associations-per-address", "1") as server,
        associate(HOST, server.port, contexts=[VERIFICATION]),
    ):
        done = sansdimse("echo", HOST, server.port)
    assert done.code == 4
    assert "local limit exceeded" in done.err


@pytest.mark.parametrize(("network", "code"), [("127.0.0.0/8", 0), ("10.0.0.0/8", 4), ("::1", 4)])
def test_only_the_networks_asked_for_are_let_in(network: str, code: int, tmp_path: Path, sansdimse: Any) -> None:
    with serving(tmp_path, "--allow-address", "192.0.2.1", "--allow-address", network) as server:
        assert sansdimse("echo", HOST, server.port).code == code


def test_a_window_is_agreed_to(tmp_path: Path) -> None:
    with serving(tmp_path, "--window", "4") as server:
        wanted = AsynchronousOperationsWindow(9, 9)
        with associate(HOST, server.port, contexts=contexts(CT), window=wanted) as peer:
            assert peer.info.agreement.invoke_window == 4
            assert [int(answer) for _, answer in peer.c_store_each([CT] * 8)] == [0] * 8


def test_with_tls_and_certificates_of_clients(tmp_path: Path) -> None:
    ca = trustme.CA()
    ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    for name in (HOST, "client"):
        ca.issue_cert(name).private_key_and_cert_chain_pem.write_to_path(str(tmp_path / f"{name}.pem"))
    options = ["--tls-cert", f"{tmp_path / HOST}.pem", "--tls-ca", f"{tmp_path / 'ca.pem'}", "--require-client-cert"]
    with serving(tmp_path / "received", *options) as server:
        assert server.until("listening")["tls"] is True
        context = client_context(ca=tmp_path / "ca.pem", certificate=tmp_path / "client.pem")
        assert send(server.port, tls=context) == [0]
        with pytest.raises(AssociationLost) as lost:
            send(server.port, tls=client_context(ca=tmp_path / "ca.pem"))
        assert server.end()[0] == 0
    assert "TLS: " in (lost.value.outcome.error or "")
    assert [path.name for path in (tmp_path / "received").iterdir()] == [CT_NAME]
    errors = [record["text"] for record in server.said if record["event"] == "ended" and not record["clean"]]
    assert len(errors) == 1
    assert "showed no certificate" in errors[0]


def test_who_is_cut_to_make_room_is_told(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for as_json in (False, True):
        service = StoreInFolder(tmp_path, Output(as_json), exists=Exists.KEEP, fsync=False)
        service.watch(ConnectionCut("192.0.2.1:7", "over the budget"))
    out, err = capsys.readouterr()
    assert json.loads(out) == {"event": "cut", "address": "192.0.2.1:7", "text": "over the budget"}
    assert err == "cut the connection of 192.0.2.1:7: over the budget\n" * 2


@pytest.mark.parametrize(
    ("exists", "statuses", "names"),
    [("replace", [0, 0], 1), ("keep", [0, 0], 2), ("refuse", [0, 0x0111], 1)],
)
def test_instances_that_are_there_already(exists: str, statuses: list[int], names: int, tmp_path: Path) -> None:
    with serving(tmp_path, "--exists", exists, "--fsync") as server:
        assert send(server.port, [CT, CT]) == statuses
    assert len(list(tmp_path.iterdir())) == names


def test_what_a_killed_server_left_is_removed(tmp_path: Path) -> None:
    left = tmp_path / ("0" * 32 + ".part")
    left.touch()
    with serving(tmp_path) as server:
        assert server.port
        assert not left.exists()


def test_it_goes_on_when_nobody_reads_what_it_says(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        port = server.port
        assert server.process.stdout is not None
        server.process.stdout.close()
        assert send(port, [CT, CT]) == [0, 0]
        server.process.terminate()
        assert server.process.stderr is not None
        assert server.process.stderr.read() == ""
        assert server.process.wait(30) == 0
    assert [path.name for path in tmp_path.iterdir()] == [CT_NAME]


def test_preferred_transfer_syntaxes_come_by_uid_or_keyword(tmp_path: Path) -> None:
    for name in ("1.2.840.10008.1.2", "ImplicitVRLittleEndian", "implicitvrlittleendian"):
        with (
            serving(tmp_path, "--prefer", name) as server,
            associate(HOST, server.port, contexts=[CT_HEADER.sop_class_uid]) as peer,
        ):
            assert [context.transfer_syntax for context in peer.contexts] == ["1.2.840.10008.1.2"]


# In this process: what is said to people, and what can go wrong.


@pytest.fixture
def stopping(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Instead of signals: the server of this process runs until this is set."""
    stopped = threading.Event()

    @contextmanager
    def stop_signals() -> Iterator[threading.Event]:
        yield stopped

    monkeypatch.setattr(serve_module, "_stop_signals", stop_signals)
    return stopped


def run_with_client(folder: Path, stopping: threading.Event, client: Any, *options: str) -> int:
    port = peers.free_port()

    def talk() -> None:
        try:
            while not peers.listens(port):
                pass
            client(port)
        finally:
            stopping.set()

    thread = threading.Thread(target=talk)
    thread.start()
    code = main(["serve", str(folder), "--host", HOST, "--port", str(port), *options])
    thread.join()
    return code


def test_lines_for_people(tmp_path: Path, stopping: threading.Event, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / ("0" * 32 + ".part")).touch()
    assert run_with_client(tmp_path, stopping, send, "-aet", "ARCHIVE", "-ta", "5", "-td", "5", "-pdu", "0") == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert "removed 1 unfinished files" in out
    assert f"as ARCHIVE, storing into {tmp_path}" in out
    assert f"stored {CT_NAME}, " in out
    assert "CT Image Storage, Explicit VR Little Endian, from SANSDIMSE at 127.0.0.1:" in out
    assert "association with SANSDIMSE at" in out
    assert "association with somebody at" in out  # the look at whether it listens
    assert "stopped, 1 instances stored" in out


def test_what_peers_say_is_escaped(
    tmp_path: Path, stopping: threading.Event, capsys: pytest.CaptureFixture[str]
) -> None:
    def knock(port: int) -> None:
        with socket.create_connection((HOST, port)) as sock:
            sock.sendall(b"\x1b[31m\r\nGET / HTTP/1.1\r\n")
            assert sock.recv(1000)[:1] == b"\x07"  # A-ABORT

    assert run_with_client(tmp_path, stopping, knock) == 0
    out, err = capsys.readouterr()
    assert "aborted by us" in out
    assert not {c for c in out + err if not c.isprintable()} - {"\n"}


def test_a_full_disk_is_a_status_and_leaves_nothing(
    tmp_path: Path, stopping: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "writev", full)
    statuses = []
    assert run_with_client(tmp_path, stopping, lambda port: statuses.extend(send(port))) == 0
    assert statuses == [0xA700]
    assert list(tmp_path.iterdir()) == []


def test_what_goes_wrong_is_told(tmp_path: Path, stopping: threading.Event, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "folder"

    def client(port: int) -> None:
        shutil.rmtree(folder)
        assert send(port) == [0xA700]

    assert run_with_client(folder, stopping, client) == 0
    err = capsys.readouterr().err
    assert f"refused {CT_HEADER.sop_instance_uid} from SANSDIMSE at 127.0.0.1:" in err
    assert f"into {folder}: 0xA700 (refused: out of resources): cannot be stored: No such file or directory\n" in err


def test_whoever_runs_it_is_told_that_the_disk_is_full(
    tmp_path: Path, stopping: threading.Event, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    def client(port: int) -> None:
        monkeypatch.setattr(os, "writev", full)
        assert send(port) == [0xA700]

    assert run_with_client(tmp_path / "folder", stopping, client) == 0
    assert "(refused: out of resources): no space left to store the instance\n" in capsys.readouterr().err
    assert list((tmp_path / "folder").iterdir()) == []


def test_the_port_is_taken(tmp_path: Path, sansdimse: Any) -> None:
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
        done = sansdimse("serve", tmp_path, "--host", HOST, "--port", port)
    assert done.code == 3
    assert f"cannot listen on {HOST} port {port}: " in done.err
    assert "--port takes another port" in done.err
    assert "while attempting" not in done.err


def test_an_administrators_port_and_a_strange_host(
    tmp_path: Path, sansdimse: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(socket, "create_server", refused)
        done = sansdimse("serve", tmp_path, "--port", 104)
    assert done.code == 3
    assert "Ports below 1024 are the administrator's" in done.err
    done = sansdimse("serve", tmp_path, "--host", "no.such.host.invalid", "--port", 11112)
    assert done.code == 3
    assert "--host takes an address of this computer" in done.err


@pytest.mark.parametrize(
    ("where", "why"), [("a file", "it is a file"), ("missing/inner", "there is no "), ("loop/in", "Too many levels")]
)
def test_a_folder_that_is_none(where: str, why: str, tmp_path: Path, sansdimse: Any) -> None:
    (tmp_path / "a file").touch()
    (tmp_path / "loop").symlink_to("loop")
    done = sansdimse("serve", tmp_path / where, "--port", 0)
    assert done.code == 2
    assert f"cannot store into {tmp_path / where}: {why}" in done.err


def test_a_folder_that_is_read_only(tmp_path: Path, sansdimse: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: not mode & os.W_OK)  # no mode stops an administrator
    done = sansdimse("serve", tmp_path, "--port", 0)
    assert done.code == 2
    assert f"cannot store into {tmp_path}: it is read-only to us" in done.err


def test_bad_arguments(tmp_path: Path, sansdimse: Any) -> None:
    for arguments in (
        ["--prefer", "JPEG-9000"],
        ["-aet", "X" * 17],
        ["-pdu", "5"],
        ["--allow-calling", "A\\B"],
        ["--exists", "maybe"],
        ["--allow-address", "10.1.0.0/99"],
        ["--allow-address", "localhost"],
        ["--window", "0"],
        ["--max-associations-per-address", "0"],
        ["--require-client-cert"],
        [],
    ):
        assert sansdimse("serve", tmp_path, *arguments, *(["--port", "0"] if arguments else [])).code == 2


def test_the_first_signal_is_an_event_and_the_second_what_it_always_was() -> None:
    seen = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: seen.append(number))
    try:
        with serve_module._stop_signals() as stopped:
            assert not stopped.is_set()
            os.kill(os.getpid(), signal.SIGTERM)
            assert stopped.wait(10)
            assert seen == []
            os.kill(os.getpid(), signal.SIGTERM)
            assert seen == [signal.SIGTERM]
    finally:
        signal.signal(signal.SIGTERM, before)


@pytest.mark.interop
def test_dcmtk_stores_here(tmp_path: Path) -> None:
    with serving(tmp_path / "received") as server:
        peers.run_tool("echoscu", HOST, str(server.port))
        peers.run_tool("storescu", HOST, str(server.port), CT)
        assert server.end()[0] == 0
    pixels = dcmread(CT).PixelData  # storescu leaves out what pads the data set behind them
    assert pixels in (tmp_path / "received" / CT_NAME).read_bytes()
    assert {record["outcome"] for record in server.said if record["event"] == "ended"} == {"released"}
