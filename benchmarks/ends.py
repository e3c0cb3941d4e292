"""One end of a conversation in a process of its own: sansdimse's, or pynetdicom's to compare with.

    python benchmarks/ends.py sansdimse scp               prints its port, serves until its input is closed
    python benchmarks/ends.py sansdimse scu PORT --echo 1000 --store 100 --size 524288

An SCP answers every C-ECHO and throws every data set away. An SCU prints what ``floor.py`` prints.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from io import BytesIO
from typing import Any

from floor import DEFAULT_PDU, INSTANCE, SECONDARY_CAPTURE, VERIFICATION, Result, data_set_pdus, timed

HOST = "127.0.0.1"
ECHO, STORAGE, IMPLICIT = VERIFICATION.decode(), SECONDARY_CAPTURE.decode(), "1.2.840.10008.1.2"


def data_set(size: int) -> bytes:
    """A Secondary Capture of ``size`` bytes in Implicit VR Little Endian: UIDs and zeros for pixels."""
    return data_set_pdus(size, size + size % 2)[0][12:]


def sansdimse_scp(max_pdu: int) -> None:
    """Ours: the blocking transport; the pieces of a data set are looked at and dropped."""
    from sansdimse import SUCCESS, VERIFICATION, PresentationContext
    from sansdimse_socket import Store, serve

    class Sink:
        def c_store(self, store: Store) -> int:
            for _ in store:
                pass
            return SUCCESS

    supports = [VERIFICATION, PresentationContext(STORAGE, (IMPLICIT,))]
    with serve(HOST, 0, Sink(), supports=supports, maximum_length=max_pdu) as server:
        print(server.port, flush=True)
        sys.stdin.read()


def sansdimse_scu(port: int, echoes: int, stores: int, size: int, max_pdu: int) -> list[Result]:
    """Ours: ``Peer.c_echo`` and ``Peer.c_store``, the data set in one piece."""
    from sansdimse import VERIFICATION, PresentationContext
    from sansdimse.dataset import Instance
    from sansdimse_socket import associate

    encoded = data_set(size)
    instance = Instance(STORAGE, INSTANCE.decode(), IMPLICIT, len(encoded), lambda: iter([encoded]))
    contexts = [VERIFICATION, PresentationContext(STORAGE, (IMPLICIT,))]
    with associate(HOST, port, contexts=contexts, maximum_length=max_pdu) as peer:

        def echo() -> None:
            if peer.c_echo() != 0:
                raise ConnectionError("not a success")

        def store() -> None:
            if peer.c_store(instance) != 0:
                raise ConnectionError("not a success")

        return _results(echoes, stores, len(encoded), max_pdu, echo, store)


def pynetdicom_scp(max_pdu: int) -> None:
    """pynetdicom as its documentation serves, its data sets not decoded."""
    from pynetdicom import AE, evt

    ae: Any = AE()
    ae.maximum_pdu_size = max_pdu
    ae.add_supported_context(ECHO)
    ae.add_supported_context(STORAGE, IMPLICIT)
    server = ae.start_server((HOST, 0), block=False, evt_handlers=[(evt.EVT_C_STORE, lambda event: 0)])
    print(server.socket.getsockname()[1], flush=True)
    sys.stdin.read()
    server.shutdown()


def pynetdicom_scu(port: int, echoes: int, stores: int, size: int, max_pdu: int) -> list[Result]:
    """pynetdicom: ``send_c_echo`` and ``send_c_store`` of a data set in memory, which it encodes each time."""
    from pydicom import dcmread
    from pydicom.uid import UID
    from pynetdicom import AE

    ae: Any = AE()
    ae.maximum_pdu_size = max_pdu
    ae.add_requested_context(ECHO)
    ae.add_requested_context(STORAGE, IMPLICIT)
    dataset: Any = dcmread(BytesIO(data_set(size)), force=True)
    dataset.file_meta.TransferSyntaxUID = UID(IMPLICIT)
    association = ae.associate(HOST, port, max_pdu=max_pdu)
    if not association.is_established:
        raise ConnectionError("no association")

    def echo() -> None:
        if association.send_c_echo().Status != 0:
            raise ConnectionError("not a success")

    def store() -> None:
        if association.send_c_store(dataset).Status != 0:
            raise ConnectionError("not a success")

    try:
        return _results(echoes, stores, size, max_pdu, echo, store)
    finally:
        association.release()


def _results(echoes: int, stores: int, size: int, pdu: int, echo: Any, store: Any) -> list[Result]:
    results = []
    if echoes:
        results.append(timed("echo", echoes, 0, pdu, echo))
    if stores:
        results.append(timed("store", stores, size, pdu, store))
    return results


ENDS: dict[tuple[str, str], Any] = {
    ("sansdimse", "scp"): sansdimse_scp,
    ("sansdimse", "scu"): sansdimse_scu,
    ("pynetdicom", "scp"): pynetdicom_scp,
    ("pynetdicom", "scu"): pynetdicom_scu,
}


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("whose", choices=("sansdimse", "pynetdicom"))
    parser.add_argument("role", choices=("scp", "scu"))
    parser.add_argument("port", type=int, nargs="?", default=0)
    parser.add_argument("--echo", type=int, default=0, metavar="N")
    parser.add_argument("--store", type=int, default=0, metavar="N")
    parser.add_argument("--size", type=int, default=524288, metavar="BYTES")
    parser.add_argument("--max-pdu", type=int, default=DEFAULT_PDU, metavar="BYTES")
    given = parser.parse_args()
    end = ENDS[given.whose, given.role]
    if given.role == "scp":
        end(given.max_pdu)
    else:
        for result in end(given.port, given.echo, given.store, given.size, given.max_pdu):
            print(json.dumps(asdict(result)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
