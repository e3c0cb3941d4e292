"""Watching a server: a log line for each end, and counters as a metrics exporter would serve them.

What happens is told as values to whatever ``watch=`` is. Run it as it is: it makes some traffic, and prints both.
"""

import logging
import sys
import threading
from collections import Counter

from sansdimse import SUCCESS, VERIFICATION
from sansdimse.deviations import escaped
from sansdimse.dimse.status import PROCESSING_FAILURE
from sansdimse.peer.watch import AssociationEnded, AssociationEstablished, ConnectionCut, Occurrence, OperationEnded
from sansdimse_socket import AssociationLost, Echo, associate, serve

log = logging.getLogger("dicom")


def to_log(occurrence: Occurrence) -> None:
    """A line for each. What the peer has chosen itself is escaped: it might be a line of its own."""
    match occurrence:
        case AssociationEnded(ended):
            title = escaped(ended.calling_ae_title)
            log.info("%s %s: %s, after %.1f s", ended.address, title, ended.outcome, ended.duration)
            for deviation in ended.deviations:
                log.warning("%s %s", ended.address, deviation)
        case OperationEnded(address, outcome) if outcome.status != 0:
            log.warning("%s %s", address, outcome)
        case ConnectionCut(address, why):
            log.warning("%s was cut: %s", address, why)


class Metrics:
    """Counters by name and labels, in the text that Prometheus and its kin collect."""

    def __init__(self) -> None:
        self.values: Counter[str] = Counter()
        self._open: set[str] = set()
        self._lock = threading.Lock()  # on blocking sockets, each association tells from a thread of its own

    def watch(self, occurrence: Occurrence) -> None:
        """Count. It is called in the middle of the transport's work, so it must not wait for anything."""
        with self._lock:
            match occurrence:
                case AssociationEstablished(association):
                    self.values["dicom_associations_total"] += 1
                    self._open.add(association.address)
                case AssociationEnded(ended):
                    self.values[f'dicom_connections_ended_total{{how="{ended.outcome.kind.value}"}}'] += 1
                    self.values['dicom_bytes_total{direction="in"}'] += ended.outcome.bytes_received
                    self.values['dicom_bytes_total{direction="out"}'] += ended.outcome.bytes_sent
                    self._open.discard(ended.address)
                case OperationEnded(_, outcome):
                    labels = f'service="{outcome.service}",ending="{outcome.ending.value}"'
                    self.values[f"dicom_operations_total{{{labels}}}"] += 1
                case ConnectionCut():
                    self.values["dicom_connections_cut_total"] += 1

    def text(self) -> str:
        """What is served at ``/metrics``."""
        with self._lock:
            lines = [f"{name} {value}" for name, value in sorted(self.values.items())]
            return "\n".join([*lines, f"dicom_associations_open {len(self._open)}"])


class Moody:
    """A service that answers every other C-ECHO with a failure."""

    def __init__(self) -> None:
        self.asked = 0

    def c_echo(self, echo: Echo) -> int:
        self.asked += 1
        return SUCCESS if self.asked % 2 else PROCESSING_FAILURE


def main() -> None:
    """Two clients that echo, and one that wants somebody else."""
    metrics = Metrics()

    def watch(occurrence: Occurrence) -> None:
        to_log(occurrence)
        metrics.watch(occurrence)

    with serve(
        "127.0.0.1", 0, Moody(), ae_title="MOODY", require_called=True, supports=[VERIFICATION], watch=watch
    ) as server:
        for calling, called in (("SCANNER", "MOODY"), ("WARD", "MOODY"), ("WARD", "CALM")):
            try:
                with associate(
                    "127.0.0.1", server.port, calling=calling, called=called, contexts=[VERIFICATION]
                ) as peer:
                    peer.c_echo()
                    peer.c_echo()
            except AssociationLost as lost:
                print("The client:", lost)
    print(metrics.text())


if __name__ == "__main__":
    logging.basicConfig(stream=sys.stdout, format="%(levelname)s %(message)s", level=logging.INFO)
    main()
