"""Contexts by the profiles of PS3.15 Annex B, from files; what is wrong with a file is said with its name."""

from __future__ import annotations

import dataclasses
import datetime
import ssl
from collections.abc import Callable
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

from sansdimse_files import (
    BCP_195_RFC_8996_9325,
    MODIFIED_BCP_195,
    NON_DOWNGRADING_BCP_195,
    TLSProfile,
    TLSSetupError,
    client_context,
    server_context,
)

PROFILES = [BCP_195_RFC_8996_9325, MODIFIED_BCP_195, NON_DOWNGRADING_BCP_195]
PASSWORD = "a secret that nobody may see"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority, a certificate of it with its key, an encrypted key, a certificate with nothing to do with it."""
    folder = tmp_path_factory.mktemp("certificates")
    ca = trustme.CA()
    ours = ca.issue_cert("archive.test")
    other = trustme.CA().issue_cert("archive.test")
    ca.cert_pem.write_to_path(str(folder / "ca.pem"))
    (folder / "ca.der").write_bytes(ssl.PEM_cert_to_DER_cert(ca.cert_pem.bytes().decode()))
    for name, leaf in (("ours", ours), ("other", other)):
        leaf.cert_chain_pems[0].write_to_path(str(folder / f"{name}.pem"))
        leaf.private_key_pem.write_to_path(str(folder / f"{name}.key"))
    ours.private_key_and_cert_chain_pem.write_to_path(str(folder / "both.pem"))
    (folder / "ours.der").write_bytes(ssl.PEM_cert_to_DER_cert((folder / "ours.pem").read_text()))
    key = load_pem_private_key(ours.private_key_pem.bytes(), None)
    (folder / "locked.key").write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(PASSWORD.encode()))
    )
    rsa = ca.issue_cert("archive.test", key_type=trustme.KeyType.RSA)
    rsa.private_key_and_cert_chain_pem.write_to_path(str(folder / "rsa.pem"))
    expired = ca.issue_cert("archive.test", not_after=datetime.datetime(2001, 1, 1, tzinfo=datetime.UTC))
    expired.private_key_and_cert_chain_pem.write_to_path(str(folder / "expired.pem"))
    text = (folder / "both.pem").read_text()
    begin = text.index("-----BEGIN CERTIFICATE-----")
    (folder / "damaged.pem").write_text(text[: begin + 200] + "????" + text[begin + 204 :])
    (folder / "words.txt").write_text("no certificate at all\n")
    return folder


def handshake(client: ssl.SSLContext, server: ssl.SSLContext, name: str | None = "archive.test") -> ssl.SSLObject:
    """Client and server in memory; gives the client."""
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    us = client.wrap_bio(to_client, to_server, server_hostname=name)
    them = server.wrap_bio(to_server, to_client, server_side=True)
    done = 0
    for _ in range(6):
        for side in (us, them):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            done += 1
    assert done
    return us


def cipher_names(context: ssl.SSLContext) -> list[str]:
    return [cipher["name"] for cipher in context.get_ciphers() if cipher["protocol"] != "TLSv1.3"]


# ---------------------------------------------------------------- profiles


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.section)
def test_a_context_has_what_its_profile_says_and_nothing_else(profile: TLSProfile, files: Path) -> None:
    for context in (client_context(profile), server_context(profile, certificate=files / "both.pem")):
        assert cipher_names(context) == list(profile.ciphers)
        assert context.minimum_version is ssl.TLSVersion.TLSv1_2
        assert context.maximum_version is ssl.TLSVersion.MAXIMUM_SUPPORTED
        assert context.security_level == 2
        for option in (ssl.OP_NO_RENEGOTIATION, ssl.OP_NO_COMPRESSION, ssl.OP_CIPHER_SERVER_PREFERENCE):
            assert context.options & option


def test_the_numbers_of_the_standard() -> None:
    assert [profile.section for profile in PROFILES] == ["PS3.15 B.12", "PS3.15 B.13", "PS3.15 B.10 (retired)"]
    assert len(MODIFIED_BCP_195.ciphers) == 10  # PS3.15 B.13: servers shall support all of these in TLS 1.2,
    assert len(MODIFIED_BCP_195.tls13_ciphers) == 5  # and all of these in TLS 1.3
    assert set(BCP_195_RFC_8996_9325.ciphers) < set(MODIFIED_BCP_195.ciphers)
    for profile in PROFILES:
        for cipher in profile.ciphers:  # forward secrecy and authenticated encryption only (RFC 9325 4.1)
            assert cipher.startswith(("ECDHE-", "DHE-"))
            assert "GCM" in cipher or "CCM" in cipher or "POLY1305" in cipher


def test_a_profile_is_a_value_that_cannot_be_changed_but_made_anew(files: Path) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        BCP_195_RFC_8996_9325.security_level = 0  # type: ignore[misc]
    only = dataclasses.replace(
        BCP_195_RFC_8996_9325,
        ciphers=("ECDHE-RSA-AES128-GCM-SHA256",),
        maximum_version=ssl.TLSVersion.TLSv1_2,
    )
    chosen = handshake(client_context(only, ca=files / "ca.pem"), server_context(certificate=files / "rsa.pem"))
    assert chosen.cipher() == ("ECDHE-RSA-AES128-GCM-SHA256", "TLSv1.2", 128)


def test_suites_that_openssl_does_not_have_are_left_out_unless_there_is_none_other() -> None:
    future = dataclasses.replace(BCP_195_RFC_8996_9325, ciphers=("UNHEARD-OF", *BCP_195_RFC_8996_9325.ciphers))
    assert cipher_names(client_context(future)) == list(BCP_195_RFC_8996_9325.ciphers)
    with pytest.raises(TLSSetupError, match="none of its cipher suites"):
        client_context(dataclasses.replace(future, ciphers=("UNHEARD-OF",)))


def test_tls_1_3_suites_are_chosen_where_python_can() -> None:
    chosen: list[str] = []

    class Later(ssl.SSLContext):
        """The context of a later Python."""

        def set_ciphersuites(self, names: str) -> None:
            chosen.append(names)

    MODIFIED_BCP_195.apply(Later(ssl.PROTOCOL_TLS_CLIENT))
    assert chosen == [":".join(MODIFIED_BCP_195.tls13_ciphers)]


# ---------------------------------------------------------------- whom to trust


@pytest.mark.parametrize("ca", ["ca.pem", "ca.der", "ours.pem", "ours.der"])
def test_tls_1_3_with_whoever_the_file_trusts(ca: str, files: Path) -> None:
    done = handshake(
        client_context(ca=files / ca), server_context(certificate=files / "ours.pem", key=files / "ours.key")
    )
    assert done.version() == "TLSv1.3"
    assert done.getpeercert()


def test_a_folder_of_certificates(files: Path, tmp_path: Path) -> None:
    (tmp_path / ".hidden.pem").write_text("not looked at")
    (tmp_path / "README").write_text("passed over")
    (tmp_path / "folder.pem").mkdir()
    with pytest.raises(TLSSetupError, match="no certificates in this folder"):
        client_context(ca=tmp_path)
    (tmp_path / "authority").write_bytes((files / "ca.pem").read_bytes())
    (tmp_path / "other.cer").write_bytes((files / "ours.der").read_bytes())
    context = client_context(ca=str(tmp_path))
    assert len(context.get_ca_certs()) == 1  # the other one is trusted as a certificate, not as an authority
    handshake(context, server_context(certificate=files / "both.pem"))


def test_by_default_the_system_is_trusted_and_the_name_checked() -> None:
    context = client_context()
    assert context.check_hostname
    assert context.verify_mode is ssl.CERT_REQUIRED


def test_the_name_check_can_be_left_out_and_the_authority_not_with_it(files: Path) -> None:
    server = server_context(certificate=files / "both.pem")
    handshake(client_context(ca=files / "ca.pem", check_hostname=False), server, name=None)
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(client_context(ca=files / "other.pem", check_hostname=False), server)


def test_without_verification_everybody_passes(files: Path) -> None:
    server = server_context(certificate=files / "expired.pem")
    assert handshake(client_context(verify=False), server, name=None).version()
    with pytest.raises(ssl.SSLCertVerificationError, match="expired"):
        handshake(client_context(ca=files / "ca.pem"), server)


@pytest.mark.parametrize("asks", ["none", "optional", "required"])
@pytest.mark.parametrize("shows", [False, True])
def test_client_certificates(asks: Any, shows: bool, files: Path) -> None:
    ca = {} if asks == "none" else {"ca": files / "ca.pem"}
    server = server_context(certificate=files / "both.pem", client_certificates=asks, **ca)
    certificate = {"certificate": files / "both.pem"} if shows else {}
    client = client_context(ca=files / "ca.pem", **certificate)
    if asks == "required" and not shows:
        with pytest.raises(ssl.SSLError, match=r"(?i)peer.did.not.return.a.certificate"):
            handshake(client, server)
    else:
        handshake(client, server)


def test_a_client_certificate_of_nobody_we_know_is_refused(files: Path) -> None:
    server = server_context(certificate=files / "both.pem", ca=files / "ca.pem", client_certificates="optional")
    client = client_context(ca=files / "ca.pem", certificate=files / "other.pem", key=files / "other.key")
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(client, server)


@pytest.mark.parametrize("password", [PASSWORD, PASSWORD.encode()])
def test_an_encrypted_key(password: str | bytes, files: Path) -> None:
    server = server_context(certificate=files / "ours.pem", key=files / "locked.key", password=password)
    handshake(client_context(ca=files / "ca.pem"), server)


# ---------------------------------------------------------------- what is wrong, with the file's name

Make = Callable[[Path], object]
WRONG: dict[str, tuple[Make, str, str]] = {
    "certificate missing": (lambda f: server_context(certificate=f / "none.pem"), "none.pem", "No such file"),
    "certificate is a folder": (lambda f: server_context(certificate=f), "", "directory"),
    "no certificate": (lambda f: server_context(certificate=f / "words.txt"), "words.txt", "no certificate in PEM"),
    "DER": (lambda f: server_context(certificate=f / "ours.der"), "ours.der", "-inform der"),
    "no key": (lambda f: server_context(certificate=f / "ours.pem"), "ours.pem", "no private key in PEM; give key="),
    "key missing": (
        lambda f: server_context(certificate=f / "ours.pem", key=f / "none.key"),
        "none.key",
        "No such file",
    ),
    "key is none": (
        lambda f: server_context(certificate=f / "ours.pem", key=f / "words.txt"),
        "words.txt",
        "no private key in PEM",
    ),
    "key of another": (
        lambda f: server_context(certificate=f / "ours.pem", key=f / "other.key"),
        "other.key",
        "not the key of the certificate",
    ),
    "key of another kind": (
        lambda f: server_context(certificate=f / "ours.pem", key=f / "rsa.pem"),
        "rsa.pem",
        "not the key of the certificate",
    ),
    "no password": (
        lambda f: server_context(certificate=f / "ours.pem", key=f / "locked.key"),
        "locked.key",
        "give its password",
    ),
    "wrong password": (
        lambda f: server_context(certificate=f / "ours.pem", key=f / "locked.key", password="guessed wrongly"),
        "locked.key",
        "the password is wrong",
    ),
    "long password": (
        lambda f: server_context(certificate=f / "ours.pem", key=f / "locked.key", password="x" * 5000),
        "locked.key",
        "too long",
    ),
    "damaged": (lambda f: server_context(certificate=f / "damaged.pem"), "damaged.pem", "damaged"),
    "ca missing": (lambda f: client_context(ca=f / "none.pem"), "none.pem", "No such file"),
    "ca is none": (lambda f: client_context(ca=f / "words.txt"), "words.txt", "neither PEM nor DER"),
    "ca is a key": (lambda f: client_context(ca=f / "ours.key"), "ours.key", "neither PEM nor DER"),
    "key without certificate": (lambda f: client_context(key=f / "ours.key"), "ours.key", "give certificate="),
    "trust and no check": (lambda f: client_context(ca=f / "ca.pem", verify=False), "", "give one of them"),
    "trust for nobody": (
        lambda f: server_context(certificate=f / "both.pem", ca=f / "ca.pem"),
        "",
        'client_certificates="required"',
    ),
    "check against nobody": (
        lambda f: server_context(certificate=f / "both.pem", client_certificates="required"),
        "",
        "name the authorities",
    ),
    "no such mode": (
        lambda f: server_context(certificate=f / "both.pem", client_certificates="maybe"),  # type: ignore[arg-type]
        "",
        "none, optional, required",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_said_with_the_file_and_what_to_do(case: str, files: Path) -> None:
    make, name, words = WRONG[case]
    with pytest.raises(TLSSetupError) as caught:
        make(files)
    text = str(caught.value)
    assert words in text
    if name:
        assert text.startswith(str(files / name))
    for secret in (PASSWORD, "guessed wrongly", "xxxx"):
        assert secret not in text
    assert len(text) < 300


def test_a_key_too_weak_for_the_profile(tmp_path: Path, files: Path) -> None:
    higher = dataclasses.replace(BCP_195_RFC_8996_9325, security_level=5)  # 256 bits: an elliptic curve of 512
    with pytest.raises(TLSSetupError, match="too small for this profile"):
        server_context(higher, certificate=files / "both.pem")


def test_a_folder_that_may_not_be_read_and_a_file_that_never_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TLSSetupError, match="too large"):
        client_context(ca="/dev/zero")
    monkeypatch.setattr(Path, "is_dir", lambda self: True)
    with pytest.raises(TLSSetupError, match="No such file"):
        client_context(ca="/nowhere")
