"""TLS without a socket: two associations, each in a wrapper that speaks TLS, joined in memory.

Run it as it is: it makes certificates for the purpose, does one C-ECHO, and prints what was negotiated.
"""

import tempfile
from pathlib import Path

import trustme

from sansdimse import (
    NEED_DATA,
    VERIFICATION,
    Acceptor,
    Association,
    AssociationAccepted,
    AssociationRequested,
    EchoRequested,
    Ended,
    ReleaseRequested,
    Requestor,
    ResponseReceived,
)
from sansdimse_files import Secured, client_context, server_context


def handle(name: str, engine: Association) -> bool:
    """Take the events of one side and answer them; whether it has ended."""
    while (event := engine.next_event()) is not NEED_DATA:
        match event:
            case AssociationRequested():
                engine.accept()
            case EchoRequested(operation=operation):
                operation.respond()
            case ReleaseRequested():
                engine.respond_release()
            case AssociationAccepted():
                engine.c_echo()
            case ResponseReceived(status=status):
                print("C-ECHO answered:", status)
                engine.release()
            case Ended(outcome):
                print(f"The end for {name}:", outcome)
                return True
    return False


def carry(source: Secured, target: Secured, now: float) -> None:
    """The network: what one writes, the other reads. It sees ciphertext only."""
    while buffers := source.data_to_send(now):
        target.receive_data(b"".join(buffers), now)


def main() -> None:
    """Make certificates, join two sides, say C-ECHO."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        authority = trustme.CA()
        authority.cert_pem.write_to_path(str(folder / "authority.pem"))
        for device in ("scanner", "archive"):
            certificate = authority.issue_cert(f"{device}.example")
            certificate.private_key_and_cert_chain_pem.write_to_path(str(folder / f"{device}.pem"))
        ours = client_context(ca=folder / "authority.pem", certificate=folder / "scanner.pem")
        theirs = server_context(
            certificate=folder / "archive.pem", ca=folder / "authority.pem", client_certificates="required"
        )

    now = 0.0  # nothing here takes time
    scanner = Association(Requestor("SCANNER", "ARCHIVE", [VERIFICATION]), now=now)
    archive = Association(Acceptor("ARCHIVE", [VERIFICATION]), now=now)
    client = Secured(scanner, ours, server_side=False, server_hostname="archive.example")
    server = Secured(archive, theirs, server_side=True)
    server.transport_opened(now)
    client.transport_opened(now)
    open_sides = {"the scanner": scanner, "the archive": archive}
    while open_sides:
        open_sides = {name: engine for name, engine in open_sides.items() if not handle(name, engine)}
        carry(client, server, now)
        carry(server, client, now)
    print("TLS:", client.version, client.cipher)
    if server.peer_certificate is not None:
        print("The archive knows its client as", *(name for _, name in server.peer_certificate.alternative_names))


main()
