"""Storage Commitment on blocking sockets: the answer on the same association, and on another (PS3.4 Annex J).

A modality stores, asks the archive to take responsibility, and is told. Run it as it is.
"""

import sys
import threading

from sansdimse import SUCCESS, PresentationContext, Status, sop_classes
from sansdimse.service_classes import storage_commitment as commitment
from sansdimse.uids import STORAGE_COMMITMENT_PUSH_MODEL_INSTANCE as INSTANCE
from sansdimse_socket import Normalized, Peer, associate, serve

PUSH_MODEL = sop_classes.STORAGE_COMMITMENT_PUSH_MODEL
KEPT = commitment.Reference(sop_classes.CT_IMAGE_STORAGE, "1.2.3.4")
LOST = commitment.Reference(sop_classes.CT_IMAGE_STORAGE, "1.2.3.5")
NO_SUCH_OBJECT = 0x0112


class Modality:
    """Remembers what it asked for, and hears the answers, on whichever association they come."""

    def __init__(self) -> None:
        self.transactions = commitment.Transactions()
        self.results: list[commitment.Result] = []
        self.told = threading.Event()

    def n_event_report(self, report: Normalized) -> Status:
        """What was committed, and what not."""
        self.results.append(self.transactions.receive(report.type_id or 0, report.data_set))
        self.told.set()
        return SUCCESS


class Archive:
    """Has one of the two images. ``port`` is where the modality listens; None: answer where it asked."""

    def __init__(self) -> None:
        self.port: int | None = None

    def n_action(self, action: Normalized) -> Status:
        """Answer the request, and report afterwards."""
        transaction_uid, references = commitment.read_request(action.data_set)
        failed = {reference: NO_SUCH_OBJECT for reference in references if reference != KEPT}
        committed = [reference for reference in references if reference not in failed]
        event_type, information = commitment.report(transaction_uid, committed, failed)

        def report(peer: Peer) -> None:
            peer.n_event_report(PUSH_MODEL, INSTANCE, event_type, information)

        def report_elsewhere(_: Peer) -> None:
            as_scp = PresentationContext(PUSH_MODEL, scu=False, scp=True)
            with associate("127.0.0.1", self.port or 0, calling="ARCHIVE", contexts=[as_scp]) as peer:
                report(peer)

        action.after(report if self.port is None else report_elsewhere)
        return SUCCESS


def main() -> None:
    """Ask twice: the first answer comes on the same association, the second on another."""
    modality, archive = Modality(), Archive()
    told = PresentationContext(PUSH_MODEL, scu=False, scp=True)  # whoever opens the association is the SCP
    with (
        serve("127.0.0.1", 0, archive, ae_title="ARCHIVE", supports=[PUSH_MODEL]) as server,
        serve("127.0.0.1", 0, modality, ae_title="MODALITY", supports=[told]) as listening,
    ):
        for number, port in ((1, None), (2, listening.port)):
            archive.port = port
            modality.told.clear()
            information = modality.transactions.open(f"2.25.{number}", [KEPT, LOST])
            with associate("127.0.0.1", server.port, called="ARCHIVE", contexts=[PUSH_MODEL], service=modality) as peer:
                print("N-ACTION:", peer.n_action(PUSH_MODEL, INSTANCE, 1, information))
                if port is None:
                    peer.serve(modality.told.is_set, deadline=10.0)
                elif not modality.told.wait(10.0):
                    sys.exit("nobody told the modality")
            result = modality.results[-1]
            print("  committed:", *(reference.sop_instance_uid for reference in result.committed))
            print("  failed:", *(reference.sop_instance_uid for reference in result.failed))
    if any(tuple(result.committed) != (KEPT,) for result in modality.results):
        sys.exit("that is not what was asked")


main()
