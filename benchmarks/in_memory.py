"""The engine alone: two associations in one process, no socket, what one says handed to the other.

    python benchmarks/in_memory.py --echo 20000 --size 268435456

What a transport adds is the difference to ``run.py``; what Python allows at best is ``floor.py``.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from time import perf_counter

from ends import STORAGE
from floor import INSTANCE, WRITE, Result

from sansdimse import (
    NEED_DATA,
    VERIFICATION,
    Acceptor,
    Association,
    DatasetReceived,
    EchoRequested,
    Limits,
    Requestor,
    StoreRequested,
)
from sansdimse.dimse.command import encode_command
from sansdimse.dimse.fragments import Fragmenter, command_pdus
from sansdimse.dimse.messages import CStoreRQ

PDU = 16384
CONTEXTS = [VERIFICATION, STORAGE]


def pair(maximum_length: int = PDU) -> tuple[Association, Association]:
    """A requestor and an acceptor, established."""
    requestor = Association(Requestor("ME", "YOU", CONTEXTS), now=0.0)
    acceptor = Association(Acceptor("YOU", CONTEXTS, maximum_length=maximum_length), now=0.0)
    requestor.transport_opened(0.0)
    acceptor.transport_opened(0.0)
    exchange(requestor, acceptor)
    acceptor.accept()
    exchange(requestor, acceptor)
    return requestor, acceptor


def exchange(requestor: Association, acceptor: Association) -> None:
    """Until neither has anything to say, every echo and every store answered."""
    moving = True
    while moving:
        moving = False
        for one, other in ((requestor, acceptor), (acceptor, requestor)):
            while (event := one.next_event()) is not NEED_DATA:
                if isinstance(event, EchoRequested) or (isinstance(event, DatasetReceived) and event.is_last):
                    event.operation.respond()
            if buffers := one.data_to_send(0.0):
                other.receive_data(b"".join(buffers), 0.0)
                moving = True


def echo(count: int) -> Result:
    """C-ECHO, from request to response."""
    requestor, acceptor = pair()
    start = perf_counter()
    for _ in range(count):
        requestor.c_echo()
        exchange(requestor, acceptor)
    return _result("echo", count, 0, perf_counter() - start)


def receive(size: int) -> Result:
    """One C-STORE of ``size`` bytes in PDUs of 16 KiB, told in reads of 256 KiB; its making is not timed."""
    _, acceptor = pair()
    request = CStoreRQ(message_id=1, affected_sop_class_uid=STORAGE, affected_sop_instance_uid=INSTANCE.decode())
    acceptor.receive_data(b"".join(command_pdus(3, encode_command(request), PDU)), 0.0)
    store = acceptor.next_event()
    if not isinstance(store, StoreRequested):
        raise TypeError(store)
    reads = _reads(size)
    received, start = 0, perf_counter()
    for read in reads:
        acceptor.receive_data(read, 0.0)
        while (event := acceptor.next_event()) is not NEED_DATA:
            if isinstance(event, DatasetReceived):
                received += len(event.data)
    seconds = perf_counter() - start
    if received != size:
        raise ValueError(f"{received} bytes of {size} arrived")
    return _result("receive", 1, size, seconds)


def send(size: int) -> Result:
    """One C-STORE of ``size`` bytes given in pieces of 256 KiB, cut to PDUs of 16 KiB."""
    requestor, _ = pair()
    store = requestor.c_store(STORAGE, INSTANCE.decode())
    piece, taken = bytes(WRITE), 0
    start = perf_counter()
    for given in range(0, size, WRITE):
        store.send_data(piece, is_last=given + WRITE >= size)
        while buffers := requestor.data_to_send(0.0):
            taken += sum(map(len, buffers))
    seconds = perf_counter() - start
    if taken < size:
        raise ValueError(f"{taken} bytes of {size} were sent")
    return _result("send", 1, size, seconds)


def _reads(size: int) -> list[bytes]:
    """The data set's PDUs as a socket would give them: cut every 256 KiB, wherever that is."""
    fragmenter, piece = Fragmenter(3, PDU), bytes(WRITE)
    stream = bytearray()
    for given in range(0, size, WRITE):
        for pdu in fragmenter.push(piece, given + WRITE >= size):
            for buffer in pdu:
                stream += buffer
    return [bytes(stream[start : start + WRITE]) for start in range(0, len(stream), WRITE)]


def _result(what: str, count: int, size: int, seconds: float) -> Result:
    return Result(what, count, size, PDU, seconds, seconds / count, seconds / count, size * count / seconds / 1e6)


def measure(echoes: int, size: int) -> list[Result]:
    """Everything."""
    if size % WRITE or size > Limits().fragments * PDU:
        raise ValueError(f"{size} is no multiple of {WRITE}")
    return [echo(echoes), receive(size), send(size)]


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--echo", type=int, default=20000, metavar="N")
    parser.add_argument("--size", type=int, default=1 << 28, metavar="BYTES", help="a multiple of 256 KiB")
    given = parser.parse_args()
    for result in measure(given.echo, given.size):
        print(json.dumps(asdict(result)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
