"""``sansdimse get``: what an archive has, over the association that asks for it (C-GET, PS3.4 C.4.3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Annotated, Final

import typer

from sansdimse import PresentationContext, plan_get
from sansdimse.peer.scu import Peer, Retrieval, Retrieved
from sansdimse.services.extended import ApplicationInformation
from sansdimse.services.sop_classes import STANDARD
from sansdimse.uids import (
    JPEG_2000,
    JPEG_2000_LOSSLESS,
    JPEG_BASELINE_8BIT,
    JPEG_LOSSLESS_SV1,
    JPEG_LS_LOSSLESS,
    RLE_LOSSLESS,
)
from sansdimse.ul.plan import Need
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
)
from sansdimse_apps.outcomes import CommandError, ExitCode
from sansdimse_apps.output import Output, finish
from sansdimse_apps.query import Asked, information_model, query, storage_classes
from sansdimse_apps.retrieving import Retrieving
from sansdimse_apps.serve import Exists, StoreInFolder, ready_folder
from sansdimse_apps.target import Target, patience
from sansdimse_apps.tls import client_tls

_COMPRESSED: Final = (
    JPEG_BASELINE_8BIT,
    JPEG_LOSSLESS_SV1,
    JPEG_LS_LOSSLESS,
    JPEG_2000_LOSSLESS,
    JPEG_2000,
    RLE_LOSSLESS,
)
"""What archives keep images in. Each takes a context of its own, of 127 for all storage SOP classes."""
_PLAIN_FIRST: Final = 40
"""Storage SOP classes that come before any compressed context: then 14 kinds of image find room for theirs."""


def command(
    host: Host,
    port: Port,
    folder: Annotated[
        Path, typer.Option("--out", "-od", metavar="DIR", help="Where to put the files; made if it is not there.")
    ],
    keys: Keys = None,
    query_file: QueryFile = None,
    level: Level = None,
    patient: PatientRoot = False,
    study: StudyRoot = False,
    psonly: PatientStudyOnly = False,
    model: Model = None,
    relational: Relational = False,
    storage: Annotated[
        list[str] | None,
        typer.Option(
            "--storage",
            metavar="SOP_CLASS",
            help="Take this storage SOP class, by keyword or UID; repeat it for more. Else all that there is room for.",
        ),
    ] = None,
    compressed: Annotated[
        bool, typer.Option("--compressed", help="Take images compressed too, as the server has them.")
    ] = False,
    exists: Annotated[
        Exists, typer.Option("--exists", help="An instance that is there already: replace it, keep both, or refuse it.")
    ] = Exists.REPLACE,
    fsync: Annotated[
        bool, typer.Option("--fsync", help="Answer only when a file is on the disk, not only in its cache.")
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
    """Get instances from an archive into a folder, over the same connection (C-GET).

    Ctrl-C asks the archive to stop, a second one ends the connection.
    """
    output = Output(as_json)

    def work() -> ExitCode:
        chosen = information_model("C-GET", patient=patient, study=study, psonly=psonly, model=model)
        asked = query(chosen, keys or [], query_file, level, retrieves=True)
        extended = offer(chosen, {"--relational": relational})
        contexts, left_out = planned(asked, storage_classes(storage or []), compressed=compressed)
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
        if left_out and (storage or compressed or verbose):
            output.note(f"no room for {len(left_out)} of the contexts wanted; --storage says which SOP classes matter")
        keeper = StoreInFolder(
            ready_folder(folder, output), output, exists=exists, fsync=fsync, quiet=not verbose, sender=called
        )
        return _Getting(target, asked, output, keeper, contexts, extended).run()

    finish(output, work)


def planned(
    asked: Asked, storage: Sequence[str], *, compressed: bool
) -> tuple[Sequence[PresentationContext], Sequence[Need]]:
    """What to propose, and what found no room: the storage SOP classes named, else those of the table."""
    chosen = list(storage) or [*STANDARD.storage(), *STANDARD.storage(retired=True)]
    first = len(chosen) if storage else _PLAIN_FIRST
    needs: list[Need] = list(chosen[:first])
    if compressed:
        needs += [(uid, syntax) for uid in chosen[:first] if storage or _has_pixels(uid) for syntax in _COMPRESSED]
    needs += chosen[first:]
    found = plan_get(asked.model.uid, needs)
    return found.associations[0], found.left_out


def _has_pixels(uid: str) -> bool:
    row = STANDARD.get(uid)
    return row is not None and "Image" in row.keyword


class _Getting(Retrieving):
    SERVICE = "C-GET"

    def __init__(
        self,
        target: Target,
        asked: Asked,
        output: Output,
        keeper: StoreInFolder,
        contexts: Sequence[PresentationContext],
        extended: Mapping[str, ApplicationInformation],
    ) -> None:
        super().__init__(target, asked, output, extended=extended, keeper=keeper)
        self._keeper = keeper
        self._contexts = contexts

    def contexts(self) -> Sequence[PresentationContext]:
        """Its own, and those to receive by."""
        return self._contexts

    def check(self, peer: Peer) -> None:
        """Somewhere it must be able to send."""
        own = self.asked.model.uid
        accepted = [each for each in peer.contexts if each.accepted]
        if any(each.abstract_syntax == own for each in accepted) and len(accepted) == 1:
            message = f"{self.target} agreed to send none of the storage SOP classes on this association"
            raise CommandError(ExitCode.REFUSED, message, "Some servers know C-MOVE only: try sansdimse move.")

    def ask(self, peer: Peer) -> AbstractAsyncContextManager[Retrieval]:
        """C-GET."""
        return peer.c_get(self.asked.sop_class_uid, self.asked.data_set, store=self._keeper.c_store_async)

    def advice(self, answer: Retrieved) -> str:
        """What the server could not send did not get to us: it lacked a context."""
        if not self.counters.failed or self._keeper.refused:
            return ""
        return (
            "Instances fail when no SOP class or transfer syntax that was proposed fits them: "
            "--compressed takes them as the server has them, --storage names SOP classes."
        )

    def said(self) -> str:
        """For people, how many instances came."""
        stored = self._keeper.stored
        return f"{stored} {'instance' if stored == 1 else 'instances'} stored ({self._keeper.bytes:,} bytes)"
