"""Software of others, started on the loopback interface for one test and ended by its own process ID.

``with storescp(folder) as server: run_tool("echoscu", server.host, str(server.port))``
"""

from __future__ import annotations

import functools
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sysconfig
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import pytest
from pydicom._uid_dict import UID_dictionary

HOST = "127.0.0.1"
START_DEADLINE = 30.0  # seconds until a server listens; Orthanc takes about one, a busy machine longer
STOP_DEADLINE = 10.0  # seconds between SIGTERM and SIGKILL
TOOL_TIMEOUT = 60.0  # seconds for one run of a client
POLL = 0.02  # seconds between two looks at a server that starts

VERIFICATION = "1.2.840.10008.1.1"
TRANSFER_SYNTAXES = (
    "1.2.840.10008.1.2.4.50",  # JPEG Baseline
    "1.2.840.10008.1.2.4.51",  # JPEG Extended
    "1.2.840.10008.1.2.4.57",  # JPEG Lossless
    "1.2.840.10008.1.2.4.70",  # JPEG Lossless SV1
    "1.2.840.10008.1.2.4.80",  # JPEG-LS Lossless
    "1.2.840.10008.1.2.4.81",  # JPEG-LS Near-Lossless
    "1.2.840.10008.1.2.4.90",  # JPEG 2000 Lossless
    "1.2.840.10008.1.2.4.91",  # JPEG 2000
    "1.2.840.10008.1.2.5",  # RLE Lossless
    "1.2.840.10008.1.2.1.99",  # Deflated Explicit VR Little Endian
    "1.2.840.10008.1.2.1",  # Explicit VR Little Endian
    "1.2.840.10008.1.2.2",  # Explicit VR Big Endian
    "1.2.840.10008.1.2",  # Implicit VR Little Endian
)

started: list[Server] = []
"""The servers started since the current test began, and those that still run: for failure messages."""


@dataclass(slots=True)
class Server:
    """A peer that listens. ``folder`` is where it keeps what it receives, ``log`` what it says."""

    name: str
    ae_title: str
    host: str
    port: int
    folder: Path
    log: Path | None = None
    process: subprocess.Popen[bytes] | None = None
    http_port: int = 0
    scp: Any = field(default=None, repr=False)
    """pynetdicom's server object, where it is one."""

    @property
    def address(self) -> tuple[str, str]:
        """Host and port as command-line arguments."""
        return self.host, str(self.port)

    @property
    def is_running(self) -> bool:
        """Whether the process lives (a server in a thread of ours counts as living)."""
        return self.process is None or self.process.poll() is None

    def output(self) -> str:
        """All that the server has said so far."""
        return self.log.read_text(encoding="utf-8", errors="replace") if self.log and self.log.exists() else ""

    def files(self) -> list[Path]:
        """The files received, by name. An instance may still be on its way when the SCU is done with others."""
        return sorted(path for path in self.folder.rglob("*") if path.is_file())

    def http(self, path: str) -> bytes:
        """What Orthanc's REST interface answers to a GET, such as ``/instances``."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"http://{self.host}:{self.http_port}{path}", timeout=TOOL_TIMEOUT) as response:
            body: bytes = response.read()
        return body

    def rest(self, method: str, path: str, body: object = None) -> Any:
        """What Orthanc's REST interface answers to a request whose body is JSON. A failure fails the test."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://{self.host}:{self.http_port}{path}", data=data, method=method)
        try:
            with opener.open(request, timeout=TOOL_TIMEOUT) as response:
                return json.loads(response.read() or b"null")
        except urllib.error.HTTPError as error:
            pytest.fail(f"{method} {path}: {error} {error.read()!r}")

    def instances(self) -> dict[str, bytes]:
        """Orthanc's stored instances as Part 10 files, by SOP Instance UID."""
        found = {}
        for identifier in json.loads(self.http("/instances")):
            tags = json.loads(self.http(f"/instances/{identifier}/simplified-tags"))
            found[tags["SOPInstanceUID"]] = self.http(f"/instances/{identifier}/file")
        return found


def program(name: str) -> str | None:
    """Where a program of the system is, not pynetdicom's script of the same name in the virtual environment."""
    own = {Path(sysconfig.get_path("scripts")).resolve()}
    if environment := os.environ.get("VIRTUAL_ENV"):
        own.add((Path(environment) / "bin").resolve())
    folders = [*os.environ.get("PATH", os.defpath).split(os.pathsep), "/usr/sbin", "/sbin"]
    return shutil.which(name, path=os.pathsep.join(f for f in folders if f and Path(f).resolve() not in own))


def missing(what: str) -> NoReturn:
    """Fail in CI, where every peer must be there; skip elsewhere."""
    message = f"{what} is not installed"
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)


def require(name: str) -> str:
    """The path of a program, or no test: skipped, and failed in CI."""
    return program(name) or missing(name)


def require_pynetdicom() -> Any:
    """The module pynetdicom, or no test: skipped, and failed in CI."""
    try:
        import pynetdicom
    except ImportError:
        missing("pynetdicom")
    _mend_pynetdicom()
    return pynetdicom


@functools.cache
def _mend_pynetdicom() -> None:
    """Its reactor may take the response that a ``send_*`` waits for as a request, and drop it.

    It can be past its checkpoint when that is cleared, and seem paused; a quick answer is then lost, and the caller
    waits for half a minute. With this it takes nothing while the checkpoint is cleared.
    """
    from pynetdicom.dimse import DIMSEServiceProvider

    get_msg = DIMSEServiceProvider.get_msg

    def get_unless_paused(self: Any, block: bool = False) -> Any:
        if not block and not self.assoc._reactor_checkpoint.is_set():
            return None, None
        return get_msg(self, block)

    DIMSEServiceProvider.get_msg = get_unless_paused  # type: ignore[method-assign]


def run_tool(
    name: str, *arguments: str | Path, check: bool = True, timeout: float = TOOL_TIMEOUT, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a client to its end. With ``check``, an exit code other than 0 fails the test with its output."""
    command = [require(name), *map(str, arguments)]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            timeout=timeout,
            cwd=cwd,
            check=False,
        )
    except subprocess.TimeoutExpired as expired:
        said = (expired.stdout or b"").decode("utf-8", "replace") if isinstance(expired.stdout, bytes) else ""
        pytest.fail(f"{name} is not done after {timeout:g} s\n{said}")
    if check and done.returncode != 0:
        pytest.fail(f"{' '.join(command)} ended with {done.returncode}\n{done.stdout}")
    return done


def free_port() -> int:
    """A port that nobody listens on, below those that outgoing connections take, so that none sits on it by chance."""
    for _ in range(1000):
        port = random.SystemRandom().randrange(20000, 32000)
        with socket.socket() as probe:
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return port
    pytest.fail("no free port")


def listens(port: int) -> bool:
    """Whether a connection to the port succeeds now."""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((HOST, port)) == 0


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a process of ours, and those that it forked (it leads a session of its own)."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(STOP_DEADLINE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


@contextmanager
def running(server: Server, command: Callable[[Server], Sequence[str | Path]]) -> Iterator[Server]:
    """Start a server, wait until it listens, and end it. Another port is tried when one was taken meanwhile."""
    server.folder.mkdir(parents=True, exist_ok=True)
    server.log = server.folder.parent / f"{server.folder.name}.{server.name}.log"
    started.append(server)
    for _ in range(3):
        with server.log.open("wb") as log:
            server.process = subprocess.Popen(
                [str(argument) for argument in command(server)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=server.folder.parent,
                start_new_session=True,
            )
        try:
            deadline = time.monotonic() + START_DEADLINE
            while server.is_running and time.monotonic() < deadline:
                if listens(server.port) and server.is_running:
                    yield server
                    return
                time.sleep(POLL)
        finally:
            stop(server.process)
        if time.monotonic() >= deadline:
            break
        server.port = free_port()
    pytest.fail(f"{server.name} does not start\n{server.output()}")


@contextmanager
def storescp(folder: Path, *options: str, ae_title: str = "STORESCP", port: int = 0) -> Iterator[Server]:
    """DCMTK's ``storescp``: one association at a time; ``+B`` keeps the data set's bits as they came."""
    path = require("storescp")

    def command(server: Server) -> Sequence[str | Path]:
        return [path, "-v", "-dhl", "-aet", ae_title, *options, "-od", server.folder, str(server.port)]

    with running(Server("storescp", ae_title, HOST, port or free_port(), folder), command) as server:
        yield server


def storage_sop_classes() -> list[str]:
    """The storage SOP classes in use, those of images first."""
    names = {uid: entry[0] for uid, entry in UID_dictionary.items() if entry[1] == "SOP Class" and not entry[3]}
    storage = [uid for uid, name in names.items() if name.endswith(("Storage", "For Presentation", "For Processing"))]
    return sorted(storage, key=lambda uid: "Image" not in names[uid])


def association_profile(transfer_syntaxes: Sequence[str]) -> str:
    """A DCMTK configuration, profile ``All``: verification and storage (128 contexts at most), in these syntaxes."""
    syntaxes = "".join(f"TransferSyntax{i} = {uid}\n" for i, uid in enumerate(transfer_syntaxes, 1))
    contexts = [f"{VERIFICATION}\\These", *(f"{uid}\\These" for uid in storage_sop_classes()[:127])]
    listed = "".join(f"PresentationContext{i} = {context}\n" for i, context in enumerate(contexts, 1))
    return (
        f"[[TransferSyntaxes]]\n[These]\n{syntaxes}[[PresentationContexts]]\n[Contexts]\n{listed}"
        "[[Profiles]]\n[All]\nPresentationContexts = Contexts\n"
    )


@contextmanager
def dcmrecv(
    folder: Path, *options: str, ae_title: str = "DCMRECV", transfer_syntaxes: Sequence[str] | None = None
) -> Iterator[Server]:
    """DCMTK's ``dcmrecv``, which with ``+B`` keeps the data set's bits. ``transfer_syntaxes``: the best first."""
    path = require("dcmrecv")

    def command(server: Server) -> Sequence[str | Path]:
        config = server.folder.parent / f"{server.folder.name}.dcmrecv.cfg"
        config.write_text(association_profile(transfer_syntaxes or TRANSFER_SYNTAXES), encoding="ascii")
        general: list[str | Path] = ["-v", "-dhl", "-aet", ae_title, "-xf", config, "All"]
        return [path, *general, *options, "-od", server.folder, str(server.port)]

    with running(Server("dcmrecv", ae_title, HOST, free_port(), folder), command) as server:
        yield server


@contextmanager
def dcmqrscp(
    folder: Path, *options: str, ae_title: str = "DCMQRSCP", destinations: Mapping[str, int] | None = None
) -> Iterator[Server]:
    """DCMTK's ``dcmqrscp``: C-STORE, C-FIND, C-MOVE, C-GET. ``destinations``: ports on this host, by AE title."""
    path = require("dcmqrscp")
    hosts = destinations or {}

    def command(server: Server) -> Sequence[str | Path]:
        table = "".join(f"h{i} = ({title}, {HOST}, {port})\n" for i, (title, port) in enumerate(hosts.items()))
        config = server.folder.parent / f"{server.folder.name}.dcmqrscp.cfg"
        config.write_text(
            f"NetworkTCPPort = {server.port}\nMaxPDUSize = 16384\nMaxAssociations = 16\n"
            f"HostTable BEGIN\n{table}HostTable END\nVendorTable BEGIN\nVendorTable END\n"
            f"AETable BEGIN\n{ae_title} {server.folder} RW (200, 1024mb) ANY\nAETable END\n",
            encoding="ascii",
        )
        return [path, "-v", "-dhl", "-c", config, *options]

    with running(Server("dcmqrscp", ae_title, HOST, free_port(), folder), command) as server:
        yield server


@contextmanager
def wlmscpfs(folder: Path, *options: str, ae_title: str = "WLMSCPFS") -> Iterator[Server]:
    """DCMTK's ``wlmscpfs``, whose worklist are the files ``*.wl`` in ``folder``'s subfolder named as the AE title."""
    path = require("wlmscpfs")
    worklist = folder / ae_title
    worklist.mkdir(parents=True, exist_ok=True)
    (worklist / "lockfile").touch()

    def command(server: Server) -> Sequence[str | Path]:
        return [path, "-v", "-dhl", "-dfp", folder, *options, str(server.port)]

    with running(Server("wlmscpfs", ae_title, HOST, free_port(), folder), command) as server:
        yield server


@contextmanager
def orthanc(
    folder: Path,
    *,
    ae_title: str = "ORTHANC",
    modalities: Mapping[str, tuple[str, int]] | None = None,
    settings: Mapping[str, object] | None = None,
) -> Iterator[Server]:
    """Orthanc with no plug-ins and its REST interface on the loopback. ``modalities``: AE title and port, by name."""
    path = require("Orthanc")

    def command(server: Server) -> Sequence[str | Path]:
        server.http_port = free_port()
        config = server.folder.parent / f"{server.folder.name}.orthanc.json"
        values = {
            "Name": "interop",
            "StorageDirectory": str(server.folder),
            "IndexDirectory": str(server.folder),
            "DicomServerEnabled": True,
            "DicomAet": ae_title,
            "DicomPort": server.port,
            "DicomCheckCalledAet": False,
            "DicomAlwaysAllowEcho": True,
            "DicomAlwaysAllowStore": True,
            "DicomAlwaysAllowFind": True,
            "DicomAlwaysAllowGet": True,
            "DicomAlwaysAllowMove": True,
            "DicomCheckModalityHost": False,
            "UnknownSopClassAccepted": True,
            "HttpServerEnabled": True,
            "HttpPort": server.http_port,
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": False,
            "OverwriteInstances": True,
            "Plugins": [],
            "DicomModalities": {
                name: {"AET": title, "Host": HOST, "Port": port} for name, (title, port) in (modalities or {}).items()
            },
            **(settings or {}),
        }
        config.write_text(json.dumps(values, indent=2), encoding="utf-8")
        return [path, "--verbose", config]

    with running(Server("orthanc", ae_title, HOST, free_port(), folder), command) as server:
        yield server


@contextmanager
def pynetdicom_scp(
    folder: Path,
    handlers: Sequence[tuple[Any, ...]] = (),
    *,
    contexts: Sequence[Any] | None = None,
    ae_title: str = "PYNETDICOM",
    maximum_pdu_size: int = 16382,
) -> Iterator[Server]:
    """A pynetdicom server in threads of this process. Without ``contexts``: verification, and storage in every syntax.

    Without a handler of yours for it, C-STORE puts each data set, bits as they came, into ``folder`` by its UID.
    """
    pynetdicom = require_pynetdicom()
    from pynetdicom import evt

    folder.mkdir(parents=True, exist_ok=True)

    def store(event: Any) -> int:
        path = folder / f"{event.request.AffectedSOPInstanceUID}.dcm"
        path.write_bytes(event.encoded_dataset())
        return 0x0000

    ae = pynetdicom.AE(ae_title=ae_title)
    ae.maximum_pdu_size = maximum_pdu_size
    if contexts is None:
        ae.add_supported_context(VERIFICATION)
        for context in pynetdicom.AllStoragePresentationContexts:
            ae.add_supported_context(context.abstract_syntax, pynetdicom.ALL_TRANSFER_SYNTAXES)
    else:
        for context in contexts:
            uid, syntaxes = context.abstract_syntax, context.transfer_syntax
            ae.add_supported_context(uid, syntaxes, scu_role=context.scu_role, scp_role=context.scp_role)
    handled = {handler[0] for handler in handlers}
    every = [*handlers, *([] if evt.EVT_C_STORE in handled else [(evt.EVT_C_STORE, store)])]
    scp = ae.start_server((HOST, 0), block=False, evt_handlers=every)
    try:
        server = Server("pynetdicom", ae_title, HOST, scp.server_address[1], folder, scp=scp)
        started.append(server)
        yield server
    finally:
        scp.shutdown()


@contextmanager
def pynetdicom_scu(
    port: int,
    contexts: Sequence[Any],
    handlers: Sequence[tuple[Any, ...]] = (),
    *,
    roles: Sequence[Any] = (),
    ae_title: str = "PYNETDICOM",
    called: str = "ANY-SCP",
) -> Iterator[Any]:
    """An established association of pynetdicom's with a server on this host; released, or aborted by what is raised.

    Its threads have ended afterwards.
    """
    pynetdicom = require_pynetdicom()
    ae = pynetdicom.AE(ae_title=ae_title)
    ae.requested_contexts = list(contexts)
    association = ae.associate(HOST, port, ae_title=called, ext_neg=list(roles), evt_handlers=list(handlers))
    try:
        assert association.is_established
        yield association
        assert association.is_established, "pynetdicom has lost the association"
        association.release()
    finally:
        if association.is_established:
            association.abort()
        for thread in (association, association.dul):
            thread.join(TOOL_TIMEOUT)
        assert not association.is_alive(), "pynetdicom's association did not end"
