"""``sansdimse echo``: is anybody there? (C-ECHO, PS3.7 9.1.5)."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from sansdimse import VERIFICATION, LocalProtocolError, StatusCategory
from sansdimse.peer.session import AssociationLost
from sansdimse_apps.options import (
    AcseTimeout,
    Called,
    Calling,
    ConnectTimeout,
    DimseTimeout,
    Host,
    Json,
    MaximumPdu,
    Port,
    ServerName,
    Tls,
    TlsCa,
    TlsCertificate,
    TlsKey,
    TlsNoVerify,
    Window,
)
from sansdimse_apps.outcomes import CommandError, ExitCode, explain
from sansdimse_apps.output import BAD, GOOD, Output, comment_of, finish
from sansdimse_apps.target import Target, patience
from sansdimse_apps.tls import client_tls


def command(
    host: Host,
    port: Port,
    calling: Calling = "SANSDIMSE",
    called: Called = "ANY-SCP",
    repeat: Annotated[int, typer.Option("--repeat", min=1, metavar="N", help="Ask so many times.")] = 1,
    connect_timeout: ConnectTimeout = 15.0,
    acse_timeout: AcseTimeout = 30.0,
    dimse_timeout: DimseTimeout = 60.0,
    max_pdu: MaximumPdu = 131072,
    window: Window = 1,
    tls: Tls = False,
    tls_ca: TlsCa = None,
    tls_cert: TlsCertificate = None,
    tls_key: TlsKey = None,
    tls_no_verify: TlsNoVerify = False,
    server_name: ServerName = None,
    as_json: Json = False,
) -> None:
    """Ask a DICOM server whether it is there and answers (C-ECHO)."""
    output = Output(as_json)

    def work() -> ExitCode:
        target = Target(
            host=host,
            port=port,
            calling=calling,
            called=called,
            maximum_length=max_pdu,
            limits=patience(connect_timeout, acse_timeout, dimse_timeout),
            window=window,
            tls=client_tls(tls, tls_ca, tls_cert, tls_key, verify=not tls_no_verify, server_name=server_name),
            server_name=server_name,
        )
        return run(target, repeat, output)

    finish(output, work)


def run(target: Target, repeat: int, output: Output) -> ExitCode:
    """Ask ``repeat`` times on one association. Raises ``CommandError`` when there is no answer at all."""
    failures, seconds = 0, []
    try:
        with target.associate([VERIFICATION], watch=output.watch) as peer:
            for _ in range(repeat):
                began = time.monotonic()
                answer = peer.c_echo()
                seconds.append(time.monotonic() - began)
                failed = answer.category is StatusCategory.FAILURE
                failures += failed
                comment, took = comment_of(answer), round(seconds[-1], 6)
                output.record("echo", status=int(answer), text=str(answer), comment=comment, seconds=took)
                said = f": {comment}" if comment else ""
                text = f"{target} answers {answer}{said} after {seconds[-1] * 1000:.1f} ms"
                output.line(text, BAD if failed else GOOD)
    except AssociationLost as lost:
        raise explain(lost.outcome, target) from lost
    except LocalProtocolError as error:
        advice = "It has to be configured to offer Verification to us; that it answered at all shows that it is there."
        raise CommandError(ExitCode.REFUSED, f"{target} takes no C-ECHO from us: {error}", advice) from error
    if peer.outcome is not None:
        output.outcome(peer.outcome)
    if repeat > 1:
        times = [1000 * each for each in seconds]
        output.line(
            f"{repeat} answers, {failures} of them failures; "
            f"{min(times):.1f} / {sum(times) / repeat:.1f} / {max(times):.1f} ms (least / mean / most)"
        )
    return ExitCode.FAILURE if failures else ExitCode.DONE
