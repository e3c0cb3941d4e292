"""An association by hand, on nobody's transport: the engine, a socket and a select.

Run it as it is: it starts a server of its own on a free port, asks it for a C-ECHO, and releases.
"""

import select
import socket
import time

from sansdimse import (
    NEED_DATA,
    VERIFICATION,
    Association,
    AssociationAccepted,
    AssociationRejected,
    Ended,
    Requestor,
    ResponseReceived,
)
from sansdimse_socket import serve


def write_read_or_time_out(engine: Association, sock: socket.socket) -> None:
    """One round: write what there is, then wait for bytes or for the next deadline, and tell the engine."""
    while buffers := engine.data_to_send(time.monotonic()):
        sock.sendall(b"".join(buffers))  # fine for an echo; who sends images must read while he writes
    deadline = engine.next_timeout()
    wait = None if deadline is None else max(0.0, deadline - time.monotonic())
    readable, _, _ = select.select([sock], [], [], wait)
    now = time.monotonic()
    if not readable:
        engine.handle_timeout(now)
    elif data := sock.recv(262144):
        engine.receive_data(data, now)
    else:
        engine.receive_eof(now)


def echo(port: int) -> None:
    """Open an association, say C-ECHO, release."""
    engine = Association(Requestor("ME", "ECHO", contexts=[VERIFICATION]), now=time.monotonic())
    with socket.create_connection(("127.0.0.1", port)) as sock:
        engine.transport_opened(time.monotonic())
        while True:
            match engine.next_event():  # one step of the standard's table, or NEED_DATA
                case AssociationAccepted():
                    engine.c_echo()
                case AssociationRejected() as rejected:
                    print(rejected)
                case ResponseReceived(status=status):
                    print("C-ECHO answered:", status)
                    engine.release()
                case Ended(outcome):
                    print("The end:", outcome)
                    return
                case event if event is NEED_DATA:
                    write_read_or_time_out(engine, sock)


class Nothing:
    """A service without methods answers C-ECHO and nothing else."""


with serve("127.0.0.1", 0, Nothing(), ae_title="ECHO", supports=[VERIFICATION]) as server:
    echo(server.port)
