"""``sansdimse serve``: a storage server that puts what it receives into a folder (PS3.4 Annex B)."""

from __future__ import annotations

import errno
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from sansdimse import SUCCESS, VERIFICATION, AsynchronousOperationsWindow, Limits, Status
from sansdimse.admission import Budget
from sansdimse.deviations import escaped
from sansdimse.dimse.status import DUPLICATE_SOP_INSTANCE, OUT_OF_RESOURCES
from sansdimse.peer import scp
from sansdimse.peer.host import IDLE
from sansdimse.peer.watch import AssociationEnded, ConnectionCut, Occurrence, OperationEnded
from sansdimse.services.sop_classes import STANDARD
from sansdimse.uids import TRANSFER_SYNTAXES
from sansdimse_apps.options import (
    AcseTimeout,
    DimseTimeout,
    Json,
    MaximumPdu,
    TlsKey,
    ae_title_option,
    host_name,
    networks,
    titles,
)
from sansdimse_apps.outcomes import CommandError, ExitCode
from sansdimse_apps.output import GOOD, Output, association_fields, finish, operation_fields
from sansdimse_apps.tls import server_tls
from sansdimse_files import async_received_file, received_file, sweep
from sansdimse_socket import Failure, Store, serve


class Exists(StrEnum):
    """What to do with an instance that the folder has already."""

    REPLACE = "replace"
    KEEP = "keep"
    REFUSE = "refuse"


def _transfer_syntaxes(given: list[str]) -> list[str]:
    by_keyword = {row.keyword.lower(): uid for uid, row in TRANSFER_SYNTAXES.items()}
    unknown = [name for name in given if name.lower() not in by_keyword and name not in TRANSFER_SYNTAXES]
    if unknown:
        raise typer.BadParameter(f"'{unknown[0]}' is the UID or keyword of no transfer syntax of PS3.6")
    return [by_keyword.get(name.lower(), name) for name in given]


def command(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where to put the files; made if it is not there.")],
    port: Annotated[int, typer.Option("--port", "-p", min=0, max=65535, help="To listen on; 0 takes a free one.")],
    host: Annotated[
        str,
        typer.Option(
            "--host",
            metavar="ADDRESS",
            callback=host_name,
            help="The address to listen on; 127.0.0.1 is for this computer only, :: takes IPv6 too.",
        ),
    ] = "0.0.0.0",
    ae_title: Annotated[str, ae_title_option("--ae-title", "-aet", text="Our AE title.")] = "SANSDIMSE",
    require_called: Annotated[
        bool, typer.Option("--require-called", help="Reject requests for another AE title than ours.")
    ] = False,
    allow_calling: Annotated[
        list[str] | None,
        typer.Option(
            "--allow-calling", metavar="TITLE", callback=titles, help="Let in only this requestor; repeat it for more."
        ),
    ] = None,
    allow_address: Annotated[
        list[str] | None,
        typer.Option(
            "--allow-address",
            metavar="NETWORK",
            callback=networks,
            help="Let in only this address or network, as 10.1.0.0/16; repeat it for more.",
        ),
    ] = None,
    max_associations: Annotated[
        int, typer.Option("--max-associations", min=1, metavar="N", help="At a time; more are rejected.")
    ] = 100,
    max_associations_per_address: Annotated[
        int | None,
        typer.Option("--max-associations-per-address", min=1, metavar="N", help="Of one host; more are rejected."),
    ] = None,
    window: Annotated[
        int,
        typer.Option(
            "--window", min=1, max=(1 << 16) - 1, metavar="N", help="Requests that a client may have outstanding."
        ),
    ] = 1,
    exists: Annotated[
        Exists, typer.Option("--exists", help="An instance that is there already: replace it, keep both, or refuse it.")
    ] = Exists.REPLACE,
    fsync: Annotated[
        bool, typer.Option("--fsync", help="Answer only when the file is on the disk, not only in its cache.")
    ] = False,
    prefer: Annotated[
        list[str] | None,
        typer.Option(
            "--prefer",
            metavar="SYNTAX",
            help="Pick this transfer syntax where the requestor leaves a choice (UID or keyword); repeat it for more.",
        ),
    ] = None,
    grace: Annotated[
        float, typer.Option("--grace", min=0, metavar="SECONDS", help="For associations to end at a shutdown.")
    ] = 10.0,
    acse_timeout: AcseTimeout = 30.0,
    dimse_timeout: DimseTimeout = 60.0,
    max_pdu: MaximumPdu = 131072,
    tls_cert: Annotated[
        Path | None,
        typer.Option("--tls-cert", metavar="FILE", help="Speak TLS, with this certificate of ours, in PEM."),
    ] = None,
    tls_key: TlsKey = None,
    tls_ca: Annotated[
        Path | None,
        typer.Option("--tls-ca", metavar="PATH", help="Check certificates of clients, those who show one, by these."),
    ] = None,
    require_client_cert: Annotated[
        bool, typer.Option("--require-client-cert", help="Let in only clients with a certificate.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Receive DICOM files into a folder, as UID.dcm, until interrupted (Ctrl-C, SIGTERM).

    Every storage SOP class is taken, in every transfer syntax, and C-ECHO is answered.
    """
    syntaxes = _transfer_syntaxes(prefer or [])
    output = Output(as_json)

    def work() -> ExitCode:
        tls = server_tls(tls_cert, tls_key, tls_ca, require_client=require_client_cert)
        service = StoreInFolder(ready_folder(folder, output), output, exists=exists, fsync=fsync)
        with _stop_signals() as stopped, ExitStack() as stack:
            listening = serve(
                host,
                port,
                service,
                ae_title=ae_title,
                supports=[VERIFICATION],
                any_storage=True,
                require_called=require_called,
                allowed_calling=allow_calling,
                allowed_addresses=allow_address,
                prefer=tuple(syntaxes),
                maximum_length=max_pdu,
                window=AsynchronousOperationsWindow(window, 1),
                budget=Budget(associations=max_associations, associations_per_address=max_associations_per_address),
                tls=tls,
                limits=_patience(acse_timeout, dimse_timeout),
                grace=grace,
                report=output.report,
                watch=service.watch,
            )
            try:
                server = stack.enter_context(listening)
            except OSError as error:
                raise cannot_listen(host, port, error) from error
            where, how = str(folder), ", with TLS" if tls else ""
            output.record(
                "listening", host=server.host, port=server.port, ae_title=ae_title, folder=where, tls=tls is not None
            )
            output.line(f"listening on {server.host} port {server.port} as {ae_title}{how}, storing into {where}", GOOD)
            stopped.wait()
            output.record("stopping")
            output.line("stopping: waiting for the associations to end")
        output.record("stopped", stored=service.stored)
        output.line(f"stopped, {service.stored} instances stored")
        return ExitCode.DONE

    finish(output, work)


class StoreInFolder:
    """The service: each instance into its file, told when it is there.

    ``quiet`` tells people only of trouble; ``sender`` is who sends, if that is not who calls.
    """

    def __init__(
        self,
        folder: Path,
        output: Output,
        *,
        exists: Exists,
        fsync: bool,
        quiet: bool = False,
        sender: str | None = None,
    ) -> None:
        self._folder = folder
        self._output = output
        self._exists = exists
        self._fsync = fsync
        self._quiet = quiet
        self._sender = sender
        self._lock = threading.Lock()
        self.stored = 0
        """Instances stored so far."""
        self.bytes = 0
        """Of their files."""
        self.refused = 0
        """Instances that were not."""

    def c_store(self, store: Store) -> Status:
        """Store one instance; the answer comes when its file has its name."""
        with self._refusing(store):
            with received_file(store, self._folder, exists=self._exists.value, fsync=self._fsync) as file:
                pass
            path = file.commit()
        return self._told(store, path)

    async def c_store_async(self, store: scp.Store) -> Status:
        """The same on an event loop."""
        with self._refusing(store):
            async with async_received_file(store, self._folder, exists=self._exists.value, fsync=self._fsync) as file:
                pass
            path = file.commit()
        return self._told(store, path)

    @contextmanager
    def _refusing(self, store: Store | scp.Store) -> Iterator[None]:
        """What keeps an instance from its file is counted, told and answered."""
        try:
            yield
        except FileExistsError as error:
            self._count_refused()
            raise Failure(DUPLICATE_SOP_INSTANCE, "there is such an instance already") from error
        except Failure as failure:
            raise self._refused(store, failure) from failure
        except OSError as error:
            why = f"cannot be stored: {error.strerror or error}"
            raise self._refused(store, Failure(OUT_OF_RESOURCES, why[:64])) from error

    def _told(self, store: Store | scp.Store, path: Path) -> Status:
        """Count and tell that an instance is in its file."""
        size = path.stat().st_size
        with self._lock:
            self.stored += 1
            self.bytes += size
        info = store.association
        sender = escaped(self._sender or info.calling_ae_title)
        sop_class, syntax = STANDARD.name_of(store.sop_class_uid), STANDARD.name_of(store.transfer_syntax_uid)
        self._output.record(
            "stored",
            path=str(path),
            bytes=size,
            calling=sender,
            address=info.address,
            sop_class_uid=escaped(store.sop_class_uid),
            sop_instance_uid=escaped(store.sop_instance_uid),
            transfer_syntax_uid=store.transfer_syntax_uid,
        )
        if not self._quiet:
            self._output.line(
                f"stored {path.name}, {size:,} bytes, {escaped(sop_class)}, {escaped(syntax)}, "
                f"from {sender} at {info.address}"
            )
        return SUCCESS

    def _count_refused(self) -> None:
        with self._lock:
            self.refused += 1

    def _refused(self, store: Store | scp.Store, failure: Failure) -> Failure:
        """Tell who runs this server that an instance did not get into its folder."""
        self._count_refused()
        text, info = str(failure), store.association
        uid, calling = escaped(store.sop_instance_uid), escaped(self._sender or info.calling_ae_title)
        self._output.record("refused", sop_instance_uid=uid, text=text, calling=calling, address=info.address)
        self._output.note(f"refused {uid} from {calling} at {info.address}, into {self._folder}: {text}")
        return failure

    def watch(self, occurrence: Occurrence) -> None:
        """Tell of each operation and each association that ended, and of what was wrong with it."""
        match occurrence:
            case OperationEnded():
                self._output.record("operation", address=occurrence.address, **operation_fields(occurrence.outcome))
            case AssociationEnded(statistics=ended):
                fields = association_fields(ended)
                self._output.record("ended", **fields)
                deviations = "; ".join(map(str, ended.deviations))
                odd = f"; it departed from the standard: {deviations}" if deviations else ""
                who = fields["calling"] or "somebody"
                if not self._quiet:
                    self._output.line(f"association with {who} at {ended.address}: {ended.outcome}{odd}")
            case ConnectionCut():
                self._output.record("cut", address=occurrence.address, text=occurrence.why)
                self._output.note(f"cut the connection of {occurrence.address}: {occurrence.why}")


def ready_folder(folder: Path, output: Output) -> Path:
    """The folder, made if it is not there, without what a killed process left in it. Raises ``CommandError``."""
    try:
        folder.mkdir(exist_ok=True)
        removed = sweep(folder)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, "it is read-only to us")
    except FileExistsError as error:
        raise _cannot_store(folder, "it is a file, not a folder") from error
    except FileNotFoundError as error:
        raise _cannot_store(folder, f"there is no {folder.parent}") from error
    except OSError as error:
        raise _cannot_store(folder, error.strerror or str(error)) from error
    if removed:
        output.line(f"removed {len(removed)} unfinished files of an earlier run")
    return folder


def _cannot_store(folder: Path, why: str) -> CommandError:
    return CommandError(ExitCode.USAGE, f"cannot store into {folder}: {why}", "Name a folder that can be written to.")


def _patience(acse: float, dimse: float) -> Limits:
    """The limits of an acceptor with these timeouts in seconds; 0 is no limit, except for ARTIM, which must be."""
    return Limits(
        artim=acse or Limits().artim,
        release=acse or None,
        dimse_response=dimse or None,
        message_completion=dimse or None,
        idle=IDLE,
    )


def cannot_listen(host: str, port: int, error: OSError) -> CommandError:
    """Why a port cannot be listened on."""
    advice = "--host takes an address of this computer; without it, all of them are listened on."
    if error.errno == errno.EADDRINUSE:
        advice = "Is another server running there? --port takes another port."
    elif error.errno == errno.EACCES:
        advice = "Ports below 1024 are the administrator's: --port takes another one, such as 11112."
    reason = (error.strerror or str(error)).partition(" (while attempting")[0]  # which repeats the address
    message = f"cannot listen on {host} port {port}: {reason}"
    return CommandError(ExitCode.NETWORK, message, advice)


@contextmanager
def _stop_signals() -> Iterator[threading.Event]:
    """An event that the first SIGINT or SIGTERM sets; the second does what it always does."""
    stopped = threading.Event()
    before: dict[signal.Signals, Any] = {}

    def stop(number: int, frame: object) -> None:
        for each, handler in before.items():
            signal.signal(each, handler)
        stopped.set()

    for each in (signal.SIGINT, signal.SIGTERM):
        before[each] = signal.signal(each, stop)
    try:
        yield stopped
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
