"""One end of a conversation in a process of its own: sansdimse's, or pynetdicom's to compare with.

    python benchmarks/ends.py sansdimse scp               prints its port, serves until its input is closed
    python benchmarks/ends.py sansdimse scu PORT --echo 1000 --store 100 --size 524288
    python benchmarks/ends.py trio scu PORT --store 100 --window 8        pipelined, as far as the peer agrees

``sansdimse`` is the blocking transport, ``asyncio`` and ``trio`` are the other two. An SCP answers every C-ECHO and
throws every data set away; at SIGUSR1 it collects its garbage and says so. An SCU prints what ``floor.py`` prints.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import resource
import signal
import sys
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from io import BytesIO
from time import perf_counter
from typing import TYPE_CHECKING, Any

from floor import DEFAULT_PDU, INSTANCE, SECONDARY_CAPTURE, VERIFICATION, Result, data_set_pdus, timed

if TYPE_CHECKING:
    from sansdimse.dataset import Instance

HOST = "127.0.0.1"
ECHO, STORAGE = VERIFICATION.decode(), SECONDARY_CAPTURE.decode()
IMPLICIT, EXPLICIT = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"
STORAGES = tuple("1.2.840.10008.5.1.4.1.1." + last for last in ("1.1", "1.2", "2", "4", "6.1", "7", "12.1"))
"""CR and DX to XA, ``STORAGE`` among them."""

SOCKET, ASYNCIO, TRIO, PYNETDICOM = "sansdimse", "asyncio", "trio", "pynetdicom"
COLLECTED = "collected"


def data_set(size: int) -> bytes:
    """A Secondary Capture of ``size`` bytes in Implicit VR Little Endian: UIDs and zeros for pixels."""
    return data_set_pdus(size, size + size % 2)[0][12:]


def allow_files() -> int:
    """Raise the bound on open files as far as the system lets us; what it is."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return most


# ---------------------------------------------------------------- SCPs


@dataclass(frozen=True, slots=True)
class Serving:
    """How to serve."""

    max_pdu: int
    window: int
    associations: int
    """At once, at most."""
    tls: str | None
    """A file with certificate and key."""


def options(serving: Serving) -> dict[str, Any]:
    """What our ``serve`` takes on every transport."""
    from sansdimse import AsynchronousOperationsWindow, PresentationContext
    from sansdimse.admission import Budget
    from sansdimse_files.tls import server_context

    return {
        "supports": [ECHO, *(PresentationContext(uid, (IMPLICIT, EXPLICIT)) for uid in STORAGES)],
        "maximum_length": serving.max_pdu,
        "window": AsynchronousOperationsWindow(serving.window, 1),
        "budget": Budget(associations=serving.associations, pending=max(128, serving.associations)),
        "tls": server_context(certificate=serving.tls) if serving.tls else None,
        "grace": 0.0,
    }


class Sink:
    """Looks at the pieces of a data set and drops them, on a loop."""

    async def c_store(self, store: Any) -> int:
        """Success."""
        async for _ in store:
            pass
        return 0


class BlockingSink:
    """The same where it may block."""

    def c_store(self, store: Any) -> int:
        """Success."""
        for _ in store:
            pass
        return 0


def sansdimse_scp(serving: Serving) -> None:
    """Ours: the blocking transport."""
    from sansdimse_socket import serve

    with serve(HOST, 0, BlockingSink(), **options(serving)) as server:
        print(server.port, flush=True)
        sys.stdin.read()


def asyncio_scp(serving: Serving) -> None:
    """Ours on asyncio. It waits for the end of its input without a thread."""
    from sansdimse_asyncio import serve

    async def main() -> None:
        closed = asyncio.Event()
        asyncio.get_running_loop().add_reader(sys.stdin, closed.set)
        async with serve(HOST, 0, Sink(), **options(serving)) as server:
            print(server.port, flush=True)
            await closed.wait()

    asyncio.run(main())


def trio_scp(serving: Serving) -> None:
    """Ours on trio."""
    import trio

    from sansdimse_trio import serve

    async def main() -> None:
        async with serve(HOST, 0, Sink(), **options(serving)) as server:
            print(server.port, flush=True)
            await trio.lowlevel.wait_readable(sys.stdin)

    trio.run(main)


def pynetdicom_scp(serving: Serving) -> None:
    """pynetdicom as its documentation serves, its data sets not decoded; it knows no window."""
    from pynetdicom import AE, evt

    ae: Any = AE()
    ae.maximum_pdu_size = serving.max_pdu
    ae.maximum_associations = serving.associations
    ae.network_timeout = None  # or it aborts what is idle for a minute
    for uid in (ECHO, *STORAGES):
        ae.add_supported_context(uid, [IMPLICIT, EXPLICIT])
    server = ae.start_server((HOST, 0), block=False, evt_handlers=[(evt.EVT_C_STORE, lambda event: 0)])
    print(server.socket.getsockname()[1], flush=True)
    sys.stdin.read()
    server.shutdown()


SCPS: dict[str, Callable[[Serving], None]] = {
    SOCKET: sansdimse_scp,
    ASYNCIO: asyncio_scp,
    TRIO: trio_scp,
    PYNETDICOM: pynetdicom_scp,
}


def collect(_signal: int, _frame: object) -> None:
    """Collect garbage, and say so: to be measured without it."""
    gc.collect()
    print(COLLECTED, flush=True)


# ---------------------------------------------------------------- SCUs


@dataclass(frozen=True, slots=True)
class Asking:
    """What to ask. ``window`` 0: one store after the other; else ``c_store_each``, and this is proposed."""

    port: int
    echoes: int
    stores: int
    size: int
    max_pdu: int
    window: int


def proposal(asking: Asking) -> dict[str, Any]:
    """What our ``associate`` takes on every transport."""
    from sansdimse import AsynchronousOperationsWindow, PresentationContext

    return {
        "contexts": [ECHO, PresentationContext(STORAGE, (IMPLICIT,))],
        "maximum_length": asking.max_pdu,
        "window": AsynchronousOperationsWindow(asking.window, 1) if asking.window > 1 else None,
    }


def instance(size: int) -> Instance:
    """What is stored: a data set in one piece."""
    from sansdimse.dataset import Instance

    encoded = data_set(size)
    return Instance(STORAGE, INSTANCE.decode(), IMPLICIT, len(encoded), lambda: iter([encoded]))


def sansdimse_scu(asking: Asking) -> list[Result]:
    """Ours: ``Peer.c_echo``, ``Peer.c_store``, ``Peer.c_store_each``, blocking."""
    from sansdimse_socket import associate

    stored = instance(asking.size)
    with associate(HOST, asking.port, **proposal(asking)) as peer:

        def each(count: int) -> None:
            for _, status in peer.c_store_each([stored] * count):
                check(status)

        return _results(asking, lambda: check(peer.c_echo()), lambda: check(peer.c_store(stored)), each)


def asyncio_scu(asking: Asking) -> list[Result]:
    """Ours on asyncio."""
    from sansdimse_asyncio import associate

    return asyncio.run(_ask(associate, asking))


def trio_scu(asking: Asking) -> list[Result]:
    """Ours on trio."""
    import trio

    from sansdimse_trio import associate

    results: list[Result] = trio.run(_ask, associate, asking)
    return results


async def _ask(associate: Any, asking: Asking) -> list[Result]:
    stored = instance(asking.size)
    results = []
    async with associate(HOST, asking.port, **proposal(asking)) as peer:
        if asking.echoes:
            start = perf_counter()
            for _ in range(asking.echoes):
                check(await peer.c_echo())
            results.append(_result("echo", asking.echoes, 0, asking, perf_counter() - start))
        if asking.stores:
            start = perf_counter()
            if asking.window:
                async with peer.c_store_each([stored] * asking.stores) as answers:
                    async for _, status in answers:
                        check(status)
            else:
                for _ in range(asking.stores):
                    check(await peer.c_store(stored))
            results.append(_result("store", asking.stores, asking.size, asking, perf_counter() - start))
    return results


def pynetdicom_scu(asking: Asking) -> list[Result]:
    """pynetdicom: ``send_c_echo`` and ``send_c_store`` of a data set in memory, which it encodes each time."""
    from pydicom import dcmread
    from pydicom.uid import UID
    from pynetdicom import AE

    ae: Any = AE()
    ae.maximum_pdu_size = asking.max_pdu
    ae.add_requested_context(ECHO)
    ae.add_requested_context(STORAGE, IMPLICIT)
    dataset: Any = dcmread(BytesIO(data_set(asking.size)), force=True)
    dataset.file_meta.TransferSyntaxUID = UID(IMPLICIT)
    association = ae.associate(HOST, asking.port, max_pdu=asking.max_pdu)
    if not association.is_established:
        raise ConnectionError("no association")

    def store() -> None:
        check(association.send_c_store(dataset).Status)

    def each(count: int) -> None:
        for _ in range(count):
            store()

    try:
        return _results(asking, lambda: check(association.send_c_echo().Status), store, each)
    finally:
        association.release()


def check(status: object) -> None:
    """Raise ``ConnectionError`` for what is not Success."""
    if status != 0:
        raise ConnectionError(f"not a success: {status}")


def _results(
    asking: Asking, echo: Callable[[], None], store: Callable[[], None], each: Callable[[int], None]
) -> list[Result]:
    results = []
    if asking.echoes:
        results.append(timed("echo", asking.echoes, 0, asking.max_pdu, echo))
    if asking.stores and asking.window:
        start = perf_counter()
        each(asking.stores)
        results.append(_result("store", asking.stores, asking.size, asking, perf_counter() - start))
    elif asking.stores:
        results.append(timed("store", asking.stores, asking.size, asking.max_pdu, store))
    return results


def _result(what: str, count: int, size: int, asking: Asking, seconds: float) -> Result:
    """Of what was timed as a whole, so that the slowest is not known."""
    return Result(what, count, size, asking.max_pdu, seconds, seconds / count, 0.0, size * count / seconds / 1e6)


SCUS: dict[str, Callable[[Asking], Iterable[Result]]] = {
    SOCKET: sansdimse_scu,
    ASYNCIO: asyncio_scu,
    TRIO: trio_scu,
    PYNETDICOM: pynetdicom_scu,
}


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("whose", choices=tuple(SCPS))
    parser.add_argument("role", choices=("scp", "scu"))
    parser.add_argument("port", type=int, nargs="?", default=0)
    parser.add_argument("--echo", type=int, default=0, metavar="N")
    parser.add_argument("--store", type=int, default=0, metavar="N")
    parser.add_argument("--size", type=int, default=524288, metavar="BYTES")
    parser.add_argument("--max-pdu", type=int, default=DEFAULT_PDU, metavar="BYTES")
    parser.add_argument("--window", type=int, default=0, metavar="N", help="scu: propose it, and use c_store_each")
    parser.add_argument("--associations", type=int, default=100, metavar="N", help="scp: at once, at most")
    parser.add_argument("--tls", metavar="FILE", help="scp: certificate and key")
    given = parser.parse_args()
    if given.role == "scp":
        allow_files()
        signal.signal(signal.SIGUSR1, collect)
        SCPS[given.whose](Serving(given.max_pdu, max(1, given.window), given.associations, given.tls))
        return 0
    asking = Asking(given.port, given.echo, given.store, given.size, given.max_pdu, given.window)
    for result in SCUS[given.whose](asking):
        print(json.dumps(asdict(result)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
