"""What the options about TLS come to (PS3.15 B.12)."""

from __future__ import annotations

import re
import ssl
from pathlib import Path
from typing import Final

from sansdimse_apps.outcomes import CommandError, ExitCode
from sansdimse_files import ClientCertificates, TLSSetupError, client_context, server_context

_OPTIONS: Final = {"ca=": "--tls-ca", "certificate=": "--tls-cert", "key=": "--tls-key"}
"""How the arguments of the contexts are called here."""


def client_tls(
    wanted: bool, ca: Path | None, certificate: Path | None, key: Path | None, *, verify: bool, server_name: str | None
) -> ssl.SSLContext | None:
    """The context of a client; None without TLS. Raises ``CommandError`` for what does not go together."""
    if not (wanted or ca or certificate or key or server_name or not verify):
        return None
    if ca and not verify:
        raise _usage("--tls-ca says whom to trust, --tls-no-verify that nobody is checked: give one of them")
    if server_name and not verify:
        raise _usage("--server-name is the name to check, --tls-no-verify says that nothing is: give one of them")
    try:
        return client_context(ca=ca, certificate=certificate, key=key, verify=verify)
    except TLSSetupError as error:
        raise _explained(error) from error


def server_tls(
    certificate: Path | None, key: Path | None, ca: Path | None, *, require_client: bool
) -> ssl.SSLContext | None:
    """The context of a server; None without TLS. Raises ``CommandError`` for what does not go together."""
    if certificate is None:
        if key or ca or require_client:
            raise _usage("a server that speaks TLS has a certificate: give --tls-cert too")
        return None
    if require_client and ca is None:
        raise _usage("--require-client-cert checks the certificates of clients: --tls-ca says which to trust")
    clients: ClientCertificates = "required" if require_client else "optional" if ca else "none"
    try:
        return server_context(certificate=certificate, key=key, ca=ca, client_certificates=clients)
    except TLSSetupError as error:
        raise _explained(error) from error


def _usage(message: str) -> CommandError:
    return CommandError(ExitCode.USAGE, message)


def _explained(error: TLSSetupError) -> CommandError:
    text = re.sub(r"\b(ca|certificate|key)=", lambda found: _OPTIONS[found[0]], str(error))
    advice = ""
    if "encrypted" in text:
        text = text.partition(";")[0]
        advice = "Decrypt it into a file that only you can read: openssl pkey -in KEY -out PLAIN_KEY"
    return CommandError(ExitCode.USAGE, text, advice)
