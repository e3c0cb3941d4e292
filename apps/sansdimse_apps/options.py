"""The options that commands share: long names, and beside them those of the field."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from sansdimse import LocalProtocolError
from sansdimse.admission import AddressList
from sansdimse.ul.items import LEAST_MAXIMUM_LENGTH
from sansdimse.ul.parties import check_title


def checked_title(given: str | None) -> str | None:
    """A callback for an AE title (PS3.5 6.2); None is none."""
    return None if given is None else _title(given)


def _title(given: str) -> str:
    try:
        check_title(given, "the")
    except LocalProtocolError as error:
        raise typer.BadParameter(str(error)) from error
    return given


def titles(given: list[str] | None) -> list[str] | None:
    """A callback for an option of several AE titles."""
    return None if given is None else [_title(each) for each in given]


def networks(given: list[str] | None) -> list[str] | None:
    """A callback for an option of several addresses and networks."""
    for each in given or []:
        try:
            AddressList([each])
        except ValueError as error:
            raise typer.BadParameter(str(error)) from error
    return given


def host_name(given: str) -> str:
    """A callback for a host: an IPv6 address may come in the brackets that it has in a URL."""
    if not given.strip():
        raise typer.BadParameter("a name or an address is wanted")
    return given[1:-1] if given.startswith("[") and given.endswith("]") else given


def _maximum_length(given: int) -> int:
    if 0 < given < LEAST_MAXIMUM_LENGTH:
        raise typer.BadParameter(f"{given} leaves no room for data: 0 for no limit, or at least {LEAST_MAXIMUM_LENGTH}")
    return given


def ae_title_option(*names: str, text: str) -> object:
    """An option for an AE title, checked (PS3.5 6.2)."""
    return typer.Option(*names, callback=checked_title, metavar="TITLE", help=text)


Host: TypeAlias = Annotated[
    str, typer.Argument(metavar="HOST", callback=host_name, help="The server's name or address.")
]
Port: TypeAlias = Annotated[int, typer.Argument(metavar="PORT", min=1, max=65535, help="The port it listens on.")]
Calling: TypeAlias = Annotated[str, ae_title_option("--calling", "-aet", text="Our own AE title.")]
Called: TypeAlias = Annotated[str, ae_title_option("--called", "-aec", text="The server's AE title.")]
ConnectTimeout: TypeAlias = Annotated[
    float,
    typer.Option("--connect-timeout", "-to", min=0, metavar="SECONDS", help="For the connection; 0 is no limit."),
]
AcseTimeout: TypeAlias = Annotated[
    float,
    typer.Option("--acse-timeout", "-ta", min=0, metavar="SECONDS", help="For association and release; 0 is no limit."),
]
DimseTimeout: TypeAlias = Annotated[
    float,
    typer.Option(
        "--dimse-timeout", "-td", min=0, metavar="SECONDS", help="For the answer to a request; 0 is no limit."
    ),
]
MaximumPdu: TypeAlias = Annotated[
    int,
    typer.Option(
        "--max-pdu",
        "-pdu",
        min=0,
        max=(1 << 32) - 1,
        callback=_maximum_length,
        metavar="BYTES",
        help="Longest PDU to receive; 0 is no limit.",
    ),
]
Window: TypeAlias = Annotated[
    int, typer.Option("--window", min=1, max=(1 << 16) - 1, metavar="N", help="Requests to have outstanding at once.")
]
Tls: TypeAlias = Annotated[
    bool, typer.Option("--tls", help="Speak TLS; understood if one of its other options is given.")
]
TlsCa: TypeAlias = Annotated[
    Path | None,
    typer.Option("--tls-ca", metavar="PATH", help="Trust these certificates, a file or a folder; else the system's."),
]
TlsCertificate: TypeAlias = Annotated[
    Path | None, typer.Option("--tls-cert", metavar="FILE", help="Our certificate, in PEM, for servers that want one.")
]
TlsKey: TypeAlias = Annotated[
    Path | None, typer.Option("--tls-key", metavar="FILE", help="Its key, in PEM, if it is not in the same file.")
]
TlsNoVerify: TypeAlias = Annotated[
    bool,
    typer.Option("--tls-no-verify", help="Do not check who the server is: anybody in between can read and change."),
]
ServerName: TypeAlias = Annotated[
    str | None,
    typer.Option("--server-name", metavar="NAME", help="The name in the server's certificate, if it is not HOST."),
]
Json: TypeAlias = Annotated[bool, typer.Option("--json", help="One JSON object per line, for machines.")]
Verbose: TypeAlias = Annotated[bool, typer.Option("--verbose", "-v", help="Tell of everything, not only of trouble.")]

Keys: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--key",
        "-k",
        metavar="KEY[=VALUE]",
        help="Ask for this: PatientName=DOE*, 0010,0010=DOE*, Sequence[0].Modality=CT; repeat it for more.",
    ),
]
QueryFile: TypeAlias = Annotated[
    Path | None,
    typer.Option("--query", "-q", metavar="FILE", help="Keys from a DICOM file, or a data set in JSON."),
]
Level: TypeAlias = Annotated[
    str | None,
    typer.Option("--level", "-L", metavar="LEVEL", help="PATIENT, STUDY, SERIES or IMAGE; else as the keys have it."),
]
PatientRoot: TypeAlias = Annotated[bool, typer.Option("--patient", "-P", help="In the Patient Root model.")]
StudyRoot: TypeAlias = Annotated[bool, typer.Option("--study", "-S", help="In the Study Root model, as by default.")]
PatientStudyOnly: TypeAlias = Annotated[
    bool, typer.Option("--psonly", "-O", help="In the Patient/Study Only model, which is retired.")
]
Model: TypeAlias = Annotated[
    str | None,
    typer.Option("--model", metavar="SOP_CLASS", help="In the model of this SOP class, by its keyword or UID."),
]
Relational: TypeAlias = Annotated[
    bool, typer.Option("--relational", help="Propose to leave out unique keys of the levels above.")
]
