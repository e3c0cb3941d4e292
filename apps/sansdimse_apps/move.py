"""``sansdimse move``: have an archive send what it has elsewhere, or to us (C-MOVE, PS3.4 C.4.2)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractAsyncContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Annotated, Final

import typer

from sansdimse import VERIFICATION
from sansdimse.dimse.status import MOVE_DESTINATION_UNKNOWN
from sansdimse.peer.scu import Peer, Retrieval, Retrieved
from sansdimse.services.extended import ApplicationInformation
from sansdimse_apps.negotiating import offer
from sansdimse_apps.options import (
    AcseTimeout,
    Called,
    Calling,
    ConnectTimeout,
    DimseTimeout,
    Host,
    Json,
    Keys,
    Level,
    MaximumPdu,
    Model,
    PatientRoot,
    PatientStudyOnly,
    Port,
    QueryFile,
    Relational,
    ServerName,
    StudyRoot,
    Tls,
    TlsCa,
    TlsCertificate,
    TlsKey,
    TlsNoVerify,
    Verbose,
    ae_title_option,
    checked_title,
)
from sansdimse_apps.outcomes import CommandError, ExitCode
from sansdimse_apps.output import Output, finish
from sansdimse_apps.query import Asked, information_model, query
from sansdimse_apps.retrieving import Retrieving
from sansdimse_apps.serve import Exists, StoreInFolder, cannot_listen, ready_folder
from sansdimse_apps.target import Target, patience
from sansdimse_apps.tls import client_tls
from sansdimse_socket import serve

_EVERYWHERE: Final = "0.0.0.0"


def command(
    host: Host,
    port: Port,
    title: Annotated[
        str | None,
        typer.Argument(metavar="TITLE", callback=checked_title, help="The AE title to send to, as -aem has it."),
    ] = None,
    destination: Annotated[
        str | None, ae_title_option("--destination", "-aem", text="The AE title to send to; with --receive, ours.")
    ] = None,
    keys: Keys = None,
    query_file: QueryFile = None,
    level: Level = None,
    patient: PatientRoot = False,
    study: StudyRoot = False,
    psonly: PatientStudyOnly = False,
    model: Model = None,
    relational: Relational = False,
    receive: Annotated[
        int | None,
        typer.Option(
            "--receive", min=1, max=65535, metavar="PORT", help="Be the destination ourselves, listening on this port."
        ),
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option("--out", "-od", metavar="DIR", help="With --receive: where to put the files."),
    ] = None,
    exists: Annotated[
        Exists, typer.Option("--exists", help="With --receive: an instance that is there already.")
    ] = Exists.REPLACE,
    fsync: Annotated[
        bool, typer.Option("--fsync", help="With --receive: answer only when a file is on the disk.")
    ] = False,
    calling: Calling = "SANSDIMSE",
    called: Called = "ANY-SCP",
    connect_timeout: ConnectTimeout = 15.0,
    acse_timeout: AcseTimeout = 30.0,
    dimse_timeout: DimseTimeout = 60.0,
    max_pdu: MaximumPdu = 131072,
    tls: Tls = False,
    tls_ca: TlsCa = None,
    tls_cert: TlsCertificate = None,
    tls_key: TlsKey = None,
    tls_no_verify: TlsNoVerify = False,
    server_name: ServerName = None,
    verbose: Verbose = False,
    as_json: Json = False,
) -> None:
    """Have an archive send instances to a destination that it knows, or to ourselves (C-MOVE).

    Ctrl-C asks the archive to stop, a second one ends the connection.
    """
    output = Output(as_json)

    def work() -> ExitCode:
        chosen = information_model("C-MOVE", patient=patient, study=study, psonly=psonly, model=model)
        asked = query(chosen, keys or [], query_file, level, retrieves=True)
        extended = offer(chosen, {"--relational": relational})
        target = Target(
            host=host,
            port=port,
            calling=calling,
            called=called,
            maximum_length=max_pdu,
            limits=patience(connect_timeout, acse_timeout, dimse_timeout),
            tls=client_tls(tls, tls_ca, tls_cert, tls_key, verify=not tls_no_verify, server_name=server_name),
            server_name=server_name,
        )
        if title and destination and title != destination:
            raise _usage(f"two destinations: '{title}' and '{destination}'", "Give one of them.")
        to = destination or title
        if receive is None:
            if to is None:
                raise _usage("nothing says where to", "-aem names the destination; --receive makes it this computer.")
            if folder is not None:
                raise _usage("--out is for what comes here, which nothing does without --receive")
            return _Moving(target, asked, output, to, extended).run()
        if folder is None:
            raise _usage("--receive needs a folder for what comes: give --out too")
        to = to or calling
        keeper = StoreInFolder(ready_folder(folder, output), output, exists=exists, fsync=fsync, quiet=not verbose)
        with _receiving(receive, to, keeper, output, max_pdu):
            return _Moving(target, asked, output, to, extended, keeper).run()

    finish(output, work)


@contextmanager
def _receiving(port: int, title: str, keeper: StoreInFolder, output: Output, maximum_length: int) -> Iterator[None]:
    """Listen for what is sent. Raises ``CommandError`` if the port is not to be had."""
    listening = serve(
        _EVERYWHERE,
        port,
        keeper,
        ae_title=title,
        supports=[VERIFICATION],
        any_storage=True,
        maximum_length=maximum_length,
        report=output.report,
        watch=keeper.watch,
    )
    with ExitStack() as stack:
        try:
            server = stack.enter_context(listening)
        except OSError as error:
            told = cannot_listen(_EVERYWHERE, port, error)
            advice = "--receive takes another port; the server has to know it."
            raise CommandError(told.code, str(told), advice) from error
        output.record("listening", host=server.host, port=server.port, ae_title=title)
        yield


class _Moving(Retrieving):
    SERVICE = "C-MOVE"

    def __init__(
        self,
        target: Target,
        asked: Asked,
        output: Output,
        destination: str,
        extended: Mapping[str, ApplicationInformation],
        keeper: StoreInFolder | None = None,
    ) -> None:
        super().__init__(target, asked, output, extended=extended, keeper=keeper)
        self._destination = destination

    def contexts(self) -> list[str]:
        """Its own: what is sent goes over another association."""
        return [self.asked.model.uid]

    def ask(self, peer: Peer) -> AbstractAsyncContextManager[Retrieval]:
        """C-MOVE."""
        return peer.c_move(self.asked.sop_class_uid, self.asked.data_set, self._destination)

    def said(self) -> str:
        """For people, how many instances went where."""
        number = self.completed if self.keeper is None else self.keeper.stored
        where = f"sent to {self._destination}" if self.keeper is None else f"stored ({self.keeper.bytes:,} bytes)"
        return f"{number} {'instance' if number == 1 else 'instances'} {where}"

    def advice(self, answer: Retrieved) -> str:
        """Servers send to those only that they were told of."""
        if answer != MOVE_DESTINATION_UNKNOWN:
            return ""
        return f"Ask its administrator to add '{self._destination}' with its address and port."

    def missing(self) -> str:
        """Another computer may go by the title that we gave."""
        if self.keeper is None or self.keeper.stored >= self.completed:
            return ""
        return (
            f"{self.target} says that it sent {self.completed}, of which {self.keeper.stored} came here: "
            f"does it know '{self._destination}' by this computer's address and port?"
        )


def _usage(message: str, advice: str = "") -> CommandError:
    return CommandError(ExitCode.USAGE, message, advice)
