"""TLS contexts from files, by the Secure Transport Connection Profiles of PS3.15 Annex B.

A profile is a value: what is in it can be read, and a site with other rules makes its own. No certificates
are made here; those of a device come from its site (PS3.15 B.12, RFC 9325).
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TypeAlias

ClientCertificates: TypeAlias = Literal["none", "optional", "required"]
"""What a server asks of clients: nothing; a certificate that is checked if there is one; or a certificate."""

StrPath: TypeAlias = "str | os.PathLike[str]"

_CERTIFICATE: Final = b"-----BEGIN CERTIFICATE-----"
_OTHER_CERTIFICATES: Final = (b"-----BEGIN TRUSTED CERTIFICATE-----", b"-----BEGIN X509 CERTIFICATE-----")
_KEY: Final = b"PRIVATE KEY-----"
_MOST: Final = 16 * 1024 * 1024  # of a file: the authorities of the whole web are a quarter of a MiB


class TLSSetupError(Exception):
    """A context cannot be made: which file is at fault, and what to do. Never with the contents of a key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TLSProfile:
    """What TLS may be negotiated. Cipher suites have OpenSSL's names, those preferred first.

    ``ciphers`` are of TLS 1.2. ``tls13_ciphers`` are what the profile asks for in TLS 1.3; before Python 3.15 they
    cannot be chosen, and OpenSSL's own are used. Suites that the OpenSSL here does not have are left out.
    ``security_level`` is OpenSSL's: 2 takes no RSA or DH key below 2048 bits, no elliptic curve below 224 and no
    signature by SHA-1.
    """

    name: str
    section: str
    ciphers: tuple[str, ...]
    tls13_ciphers: tuple[str, ...]
    minimum_version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_2
    maximum_version: ssl.TLSVersion = ssl.TLSVersion.MAXIMUM_SUPPORTED
    security_level: int = 2

    def apply(self, context: ssl.SSLContext) -> None:
        """Set a context to this. Raises ``TLSSetupError`` if the OpenSSL here has none of its cipher suites."""
        context.minimum_version = self.minimum_version
        context.maximum_version = self.maximum_version
        try:
            context.set_ciphers(":".join([*self.ciphers, f"@SECLEVEL={self.security_level}"]))
            if hasattr(context, "set_ciphersuites"):  # Python 3.15
                context.set_ciphersuites(":".join(self.tls13_ciphers))
        except ssl.SSLError as error:
            raise TLSSetupError(f"{self.name}: {ssl.OPENSSL_VERSION} has none of its cipher suites") from error
        # A new handshake in TLS 1.2 has no use here, and let strangers into a connection more than once.
        context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION | ssl.OP_CIPHER_SERVER_PREFERENCE


_TLS13: Final = ("TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256", "TLS_AES_128_GCM_SHA256")

_RECOMMENDED: Final = (  # RFC 9325 4.2
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
)

BCP_195_RFC_8996_9325: Final = TLSProfile(
    name="BCP 195 RFC 8996, 9325 TLS Secure Transport Connection Profile",
    section="PS3.15 B.12",
    ciphers=_RECOMMENDED,
    tls13_ciphers=_TLS13,
)
"""The default: TLS 1.2 at least and 1.3 preferred, with the cipher suites that RFC 9325 recommends."""

MODIFIED_BCP_195: Final = TLSProfile(
    name="Modified BCP 195 RFC 8996, 9325 TLS Secure Transport Connection Profile",
    section="PS3.15 B.13",
    ciphers=(
        "ECDHE-ECDSA-AES256-GCM-SHA384",
        "ECDHE-RSA-AES256-GCM-SHA384",
        "ECDHE-ECDSA-AES256-CCM",
        "ECDHE-ECDSA-AES256-CCM8",
        "ECDHE-ECDSA-CHACHA20-POLY1305",
        "ECDHE-RSA-CHACHA20-POLY1305",
        "ECDHE-RSA-AES128-GCM-SHA256",
        "ECDHE-ECDSA-AES128-GCM-SHA256",
        "ECDHE-ECDSA-AES128-CCM",
        "ECDHE-ECDSA-AES128-CCM8",
    ),
    tls13_ciphers=(*_TLS13, "TLS_AES_128_CCM_SHA256", "TLS_AES_128_CCM_8_SHA256"),
)
"""Only what B.13 names for servers. Of what it allows besides, Camellia in GCM is not in OpenSSL, and DHE shall not
be used where the length of its key cannot be set."""

NON_DOWNGRADING_BCP_195: Final = TLSProfile(
    name="Non-Downgrading BCP 195 TLS Secure Transport Connection Profile",
    section="PS3.15 B.10 (retired)",
    ciphers=(
        *_RECOMMENDED,
        "DHE-RSA-AES256-GCM-SHA384",
        "DHE-RSA-AES128-GCM-SHA256",
    ),
    tls13_ciphers=_TLS13,
)
"""For peers of before 2021: the default and DHE, which a client of ours takes with 2048 bits or more."""


def client_context(
    profile: TLSProfile = BCP_195_RFC_8996_9325,
    *,
    ca: StrPath | None = None,
    certificate: StrPath | None = None,
    key: StrPath | None = None,
    password: str | bytes | None = None,
    verify: bool = True,
    check_hostname: bool = True,
) -> ssl.SSLContext:
    """A context for who opens connections.

    ``ca`` is a file of trusted certificates, PEM or DER, or a folder of such files: authorities, or the very
    certificates of peers; by default the system's authorities. ``certificate`` and ``key`` are ours in PEM, for peers
    that require one, the authorities between ours and the root behind it; the key may be in the same file.
    With ``check_hostname`` the peer's certificate must be for the host name connected to, or the name given
    instead of it. Without ``verify`` anybody can claim to be the peer.

    Raises ``TLSSetupError`` for files that are missing, damaged, or do not belong together.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    profile.apply(context)
    if not verify:
        if ca is not None:
            raise TLSSetupError("ca= says whom to trust, verify=False that nobody is checked: give one of them")
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    else:
        context.check_hostname = check_hostname
        if ca is None:
            context.load_default_certs(ssl.Purpose.SERVER_AUTH)
        else:
            _trust(context, ca)
    if certificate is not None:
        _identify(context, certificate, key, password)
    elif key is not None:
        raise TLSSetupError(f"{os.fspath(key)}: a key without its certificate; give certificate= too")
    return context


def server_context(
    profile: TLSProfile = BCP_195_RFC_8996_9325,
    *,
    certificate: StrPath,
    key: StrPath | None = None,
    password: str | bytes | None = None,
    ca: StrPath | None = None,
    client_certificates: ClientCertificates = "none",
) -> ssl.SSLContext:
    """A context for who takes connections.

    ``certificate``, ``key`` and ``password`` are ours, as in ``client_context``. With ``client_certificates`` clients
    may or must show one that ``ca`` trusts; who then may do what is for the user to say
    (``Secured.peer_certificate``).

    Raises ``TLSSetupError`` for files that are missing, damaged, or do not belong together.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    profile.apply(context)
    _identify(context, certificate, key, password)
    modes = {"none": ssl.CERT_NONE, "optional": ssl.CERT_OPTIONAL, "required": ssl.CERT_REQUIRED}
    if client_certificates not in modes:
        raise TLSSetupError(f"client_certificates is one of {', '.join(modes)}, not {client_certificates!r}")
    if client_certificates == "none":
        if ca is not None:
            raise TLSSetupError("ca= says which clients to trust, but none is asked for a certificate: say whether "
                                'client_certificates="required" or "optional"')  # fmt: skip
        return context
    if ca is None:
        raise TLSSetupError("client certificates are checked against ca=: name the authorities of your clients")
    _trust(context, ca)
    context.verify_mode = modes[client_certificates]
    return context


def _trust(context: ssl.SSLContext, ca: StrPath) -> None:
    """Trust the certificates in a file or folder: what stands there is trusted, whether or not it is an authority's."""
    path = Path(ca)
    files = _files(path) if path.is_dir() else [path]
    for file in files:
        data = _read(file)
        is_text = data.startswith(b"-----") or b"\n-----BEGIN " in data
        try:
            if is_text:
                context.load_verify_locations(cafile=file)
            else:
                context.load_verify_locations(cadata=data)
        except ssl.SSLError as error:
            raise TLSSetupError(f"{file}: no certificates that can be read, neither PEM nor DER") from error
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN


def _files(folder: Path) -> list[Path]:
    """The files with certificates in a folder, by name; hidden ones and all that are something else are passed over."""
    try:
        files = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    except OSError as error:
        raise TLSSetupError(f"{folder}: {error.strerror or error}") from error
    found = [path for path in files if path.suffix in (".pem", ".crt", ".cer", ".der") or _CERTIFICATE in _read(path)]
    if not found:
        raise TLSSetupError(f"{folder}: no certificates in this folder")
    return found


def _identify(context: ssl.SSLContext, certificate: StrPath, key: StrPath | None, password: str | bytes | None) -> None:
    """Load our certificate and its key. OpenSSL must never ask for the password on a terminal."""
    chain = _read(Path(certificate))
    if not any(begin in chain for begin in (_CERTIFICATE, *_OTHER_CERTIFICATES)):
        raise TLSSetupError(
            f"{os.fspath(certificate)}: no certificate in PEM; of one in DER make it with: openssl x509 -inform der"
        )
    key_file = certificate if key is None else key
    if _KEY not in (chain if key is None else _read(Path(key))):
        raise TLSSetupError(f"{os.fspath(key_file)}: no private key in PEM{'; give key=' if key is None else ''}")
    asked: list[bool] = []
    try:
        context.load_cert_chain(certificate, key_file, _answer(password, asked))
    except _PasswordWanted as error:
        raise TLSSetupError(f"{os.fspath(key_file)}: this key is encrypted; give its password") from error
    except ssl.SSLError as error:
        raise TLSSetupError(_why(error, os.fspath(certificate), os.fspath(key_file), bool(asked))) from error
    except ValueError as error:  # Python's own bound on a password
        raise TLSSetupError(f"{os.fspath(key_file)}: the password is too long") from error


class _PasswordWanted(Exception):
    """The key is encrypted, and there is no password."""


def _answer(password: str | bytes | None, asked: list[bool]) -> Callable[[], str | bytes]:
    def answer() -> str | bytes:
        asked.append(True)
        if password is None:
            raise _PasswordWanted
        return password

    return answer


def _why(error: ssl.SSLError, certificate: str, key: str, asked: bool) -> str:
    reason = error.reason or ""
    if reason in ("KEY_VALUES_MISMATCH", "NO_CERTIFICATE_ASSIGNED"):  # of another certificate; of another kind
        return f"{key}: this is not the key of the certificate {certificate}"
    if reason.endswith(("TOO_SMALL", "TOO_WEAK")):
        return (
            f"{certificate}: {reason.lower().replace('_', ' ')} for this profile; ask its authority for a stronger one"
        )
    if asked:
        return f"{key}: the password is wrong, or the key is damaged"
    return (
        f"{certificate}: the certificate or its key in {key} is damaged ({reason.lower().replace('_', ' ') or 'PEM'})"
    )


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(_MOST + 1)
    except OSError as error:
        raise TLSSetupError(f"{path}: {error.strerror or error}") from error
    if len(data) > _MOST:
        raise TLSSetupError(f"{path}: too large for certificates")
    return data
