"""TLS on the command line: the options come to contexts, and what goes wrong is said with what to do."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from sansdimse_apps.outcomes import CommandError, ExitCode
from sansdimse_apps.tls import client_tls, server_tls
from sansdimse_files import client_context, server_context

HOST = "127.0.0.1"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Certificates for a server on this address, one for another name, and one of a client."""
    folder = tmp_path_factory.mktemp("certificates")
    ca = trustme.CA()
    ca.cert_pem.write_to_path(str(folder / "ca.pem"))
    trustme.CA().cert_pem.write_to_path(str(folder / "other-ca.pem"))
    for name, subject in (("server", HOST), ("elsewhere", "archive.test"), ("client", "scanner.test")):
        leaf = ca.issue_cert(subject)
        leaf.private_key_and_cert_chain_pem.write_to_path(str(folder / f"{name}.pem"))
        leaf.private_key_pem.write_to_path(str(folder / f"{name}.key"))
    key = load_pem_private_key((folder / "client.key").read_bytes(), None)
    encrypted = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
    (folder / "locked.key").write_bytes(encrypted)
    return folder


def of_server(folder: Path, name: str = "server", **options: Any) -> ssl.SSLContext:
    return server_context(certificate=folder / f"{name}.pem", **options)


@pytest.mark.parametrize("more", [["--tls"], []], ids=["said", "understood"])
def test_echo_over_tls(more: list[str], folder: Path, sansdimse: Any, serving: Any, service: Any) -> None:
    with serving(service(), tls=of_server(folder)) as server:
        done = sansdimse("echo", HOST, server.port, *more, "--tls-ca", folder / "ca.pem")
    assert (done.code, done.err) == (0, "")
    assert "answers 0x0000" in done.out


def test_store_over_tls(folder: Path, sansdimse: Any, serving: Any, service: Any, files: list[Path]) -> None:
    keep = service()
    with serving(keep, tls=of_server(folder)) as server:
        done = sansdimse("store", HOST, server.port, *files, "--tls-ca", folder, "--window", 4)
    assert done.code == 0
    assert len(keep.received) == len(files)


def test_a_server_nobody_vouches_for_is_refused_unless_one_does_not_care(
    folder: Path, sansdimse: Any, serving: Any, service: Any
) -> None:
    with serving(service(), tls=of_server(folder)) as server:
        refused = sansdimse("echo", HOST, server.port, "--tls-ca", folder / "other-ca.pem")
        system = sansdimse("echo", HOST, server.port, "--tls")
        taken = sansdimse("echo", HOST, server.port, "--tls-no-verify")
    for done in (refused, system):
        assert done.code == ExitCode.NETWORK
        assert f"error: no TLS with {HOST}:{server.port}: certificate verify failed: " in done.err
        assert "--tls-ca says whom to trust" in done.err
    assert taken.code == 0


def test_a_certificate_for_another_name_is_taken_when_that_is_named(
    folder: Path, sansdimse: Any, serving: Any, service: Any
) -> None:
    trust = ("--tls-ca", folder / "ca.pem")
    with serving(service(), tls=of_server(folder, "elsewhere")) as server:
        refused = sansdimse("echo", HOST, server.port, *trust)
        taken = sansdimse("echo", HOST, server.port, *trust, "--server-name", "archive.test")
    assert refused.code == ExitCode.NETWORK
    assert "--server-name" in refused.err
    assert taken.code == 0


def test_a_client_shows_its_certificate(folder: Path, sansdimse: Any, serving: Any, service: Any) -> None:
    context = of_server(folder, ca=folder / "ca.pem", client_certificates="required")
    trust = ("--tls-ca", folder / "ca.pem")
    with serving(service(), tls=context) as server:
        without = sansdimse("echo", HOST, server.port, *trust)
        both = sansdimse("echo", HOST, server.port, *trust, "--tls-cert", folder / "client.pem")
        key = ("--tls-key", folder / "client.key")
        apart = sansdimse("echo", HOST, server.port, *trust, "--tls-cert", folder / "client.pem", *key)
    assert without.code == ExitCode.NETWORK
    assert "--tls-cert and --tls-key give our certificate" in without.err
    assert both.code == apart.code == 0


def test_one_side_without_tls_is_told_of_it(folder: Path, sansdimse: Any, serving: Any, service: Any) -> None:
    with serving(service(), tls=of_server(folder)) as server:
        plain = sansdimse("echo", HOST, server.port, "-ta", 5)
    with serving(service()) as server:
        secured = sansdimse("echo", HOST, server.port, "--tls-ca", folder / "ca.pem")
    assert plain.code == secured.code == ExitCode.NETWORK
    assert "eave out --tls" in secured.err
    assert "speak TLS: then give --tls" in plain.err


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"ca": "ca.pem", "verify": False}, "--tls-ca says whom to trust, --tls-no-verify"),
        ({"server_name": "x", "verify": False}, "--server-name is the name to check"),
        ({"ca": "missing"}, "missing: No such file"),
        ({"key": "client.key"}, "a key without its certificate; give --tls-cert too"),
        ({"certificate": "ca.pem"}, "no private key in PEM; give --tls-key"),
        ({"certificate": "client.pem", "key": "locked.key"}, "this key is encrypted"),
        ({"certificate": "client.pem", "key": "server.key"}, "not the key of the certificate"),
    ],
)
def test_what_a_client_cannot_use_is_usage(given: dict[str, Any], message: str, folder: Path) -> None:
    paths = {name: None if given.get(name) is None else folder / given[name] for name in ("ca", "certificate", "key")}
    with pytest.raises(CommandError, match=message) as raised:
        client_tls(True, **paths, verify=given.get("verify", True), server_name=given.get("server_name"))
    assert raised.value.code is ExitCode.USAGE
    assert bool(raised.value.advice) == ("encrypted" in message)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"key": "server.key"}, "give --tls-cert too"),
        ({"ca": "ca.pem"}, "give --tls-cert too"),
        ({"require_client": True}, "give --tls-cert too"),
        ({"certificate": "server.pem", "require_client": True}, "--tls-ca says which to trust"),
        ({"certificate": "ca.pem"}, "give --tls-key"),
        ({"certificate": "missing"}, "No such file"),
    ],
)
def test_what_a_server_cannot_use_is_usage(given: dict[str, Any], message: str, folder: Path) -> None:
    paths = {name: None if given.get(name) is None else folder / given[name] for name in ("certificate", "key", "ca")}
    with pytest.raises(CommandError, match=message) as raised:
        server_tls(**paths, require_client=given.get("require_client", False))
    assert raised.value.code is ExitCode.USAGE


def test_without_options_there_is_no_tls() -> None:
    assert client_tls(False, None, None, None, verify=True, server_name=None) is None
    assert server_tls(None, None, None, require_client=False) is None


def test_clients_are_asked_as_was_said(folder: Path) -> None:
    certificate, ca = folder / "server.pem", folder / "ca.pem"
    contexts = [
        server_tls(certificate, None, None, require_client=False),
        server_tls(certificate, None, ca, require_client=False),
        server_tls(certificate, None, ca, require_client=True),
    ]
    asked = [context.verify_mode for context in contexts if context is not None]
    assert asked == [ssl.CERT_NONE, ssl.CERT_OPTIONAL, ssl.CERT_REQUIRED]
    assert client_context(ca=ca).verify_mode is ssl.CERT_REQUIRED
