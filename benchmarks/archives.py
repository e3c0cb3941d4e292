"""Archives in processes of their own, which find and retrieve: sansdimse's and pynetdicom's, and DCMTK's started.

    python benchmarks/archives.py trio --size 32768        prints its port, serves until its input is closed

The last component of the Study Instance UID says how many images it has, the digits of a move destination the port on
this host. Matches are data sets of ten elements, made and encoded one by one. Instances lie in memory; dcmqrscp's are
files.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

from ends import ASYNCIO, EXPLICIT, HOST, IMPLICIT, PYNETDICOM, SOCKET, STORAGE, TRIO, BlockingSink, Sink, data_set
from floor import DEFAULT_PDU
from processes import free_port, program, wait_for

STUDY_ROOT = "1.2.840.10008.5.1.4.1.2.2."
FIND, MOVE, GET = (STUDY_ROOT + last for last in "123")
ROOT = "1.2.826.0.1.3680043.8.498.7."
TITLE = "ARCHIVE"


def study(count: int) -> str:
    """The study that has so many."""
    return ROOT + str(count)


def query(count: int) -> Any:
    """An identifier at IMAGE level for a C-FIND, or at STUDY level."""
    from pydicom import Dataset

    dataset = Dataset()
    dataset.QueryRetrieveLevel = "STUDY"
    dataset.StudyInstanceUID = study(count)
    return dataset


def image_query(count: int) -> Any:
    """The same for a C-FIND: the images of the series."""
    dataset = query(count)
    dataset.QueryRetrieveLevel = "IMAGE"
    dataset.SeriesInstanceUID = study(count) + ".1"
    dataset.SOPInstanceUID = dataset.InstanceNumber = dataset.SOPClassUID = None
    return dataset


def wanted(identifier: Any) -> int:
    """How many are asked for."""
    return int(identifier.StudyInstanceUID.rpartition(".")[2])


def match(count: int, number: int) -> Any:
    """What an archive tells of one image."""
    dataset = image_query(count)
    dataset.SpecificCharacterSet = "ISO_IR 100"
    dataset.SOPInstanceUID = f"{study(count)}.1.{number}"
    dataset.SOPClassUID = STORAGE
    dataset.InstanceNumber = number
    dataset.PatientName, dataset.PatientID, dataset.Modality = "DOE^JANE", "4711", "OT"
    return dataset


# ---------------------------------------------------------------- SCPs


class BlockingArchive:
    """Finds, and retrieves, where it may block."""

    def __init__(self, size: int) -> None:
        from sansdimse.dataset import Instance

        encoded = data_set(size)
        self._instance = partial(Instance, STORAGE, length=len(encoded), pieces=lambda: iter([encoded]))

    def instances(self, count: int) -> Iterator[Any]:
        """All of one study."""
        for number in range(1, count + 1):
            yield self._instance(f"{study(count)}.1.{number}", IMPLICIT)

    def destination(self, move: Any) -> Any:
        """The port that the title says, with all that is needed there."""
        from sansdimse import PresentationContext
        from sansdimse.peer.link import Destination

        contexts = [PresentationContext(STORAGE, (IMPLICIT,))]
        return Destination(HOST, int(move.destination[1:])), {"contexts": contexts, "maximum_length": DEFAULT_PDU}

    def c_find(self, find: Any) -> Iterator[Any]:
        """All of one study."""
        count = wanted(find.identifier)
        for number in range(1, count + 1):
            yield match(count, number)

    def c_get(self, get: Any) -> Iterator[Any]:
        """All of one study."""
        count = wanted(get.identifier)
        yield count
        yield from self.instances(count)

    def c_move(self, move: Any) -> Iterator[Any]:
        """All of one study."""
        yield self.destination(move)
        yield from self.c_get(move)


class Archive(BlockingArchive):
    """The same on a loop."""

    async def c_find(self, find: Any) -> AsyncIterator[Any]:  # type: ignore[override]
        """All of one study."""
        for each in super().c_find(find):
            yield each

    async def c_get(self, get: Any) -> AsyncIterator[Any]:  # type: ignore[override]
        """All of one study."""
        for each in super().c_get(get):
            yield each

    async def c_move(self, move: Any) -> AsyncIterator[Any]:  # type: ignore[override]
        """All of one study."""
        yield self.destination(move)
        for each in super().c_get(move):
            yield each


def options() -> dict[str, Any]:
    """What our ``serve`` takes on every transport."""
    from sansdimse import PresentationContext

    stored = PresentationContext(STORAGE, (IMPLICIT, EXPLICIT), scp=True)
    return {"supports": [FIND, GET, MOVE, stored], "maximum_length": DEFAULT_PDU, "grace": 0.0}


class StoringArchive(BlockingArchive, BlockingSink):
    """``serve`` asks for all handlers of what it supports."""


class StoringAsyncArchive(Archive, Sink):
    """The same on a loop."""


def socket_scp(size: int) -> None:
    """Ours: the blocking transport."""
    from sansdimse_socket import serve

    with serve(HOST, 0, StoringArchive(size), **options()) as server:
        print(server.port, flush=True)
        sys.stdin.read()


def asyncio_scp(size: int) -> None:
    """Ours on asyncio."""
    from sansdimse_asyncio import serve

    async def main() -> None:
        closed = asyncio.Event()
        asyncio.get_running_loop().add_reader(sys.stdin, closed.set)
        async with serve(HOST, 0, StoringAsyncArchive(size), **options()) as server:
            print(server.port, flush=True)
            await closed.wait()

    asyncio.run(main())


def trio_scp(size: int) -> None:
    """Ours on trio."""
    import trio

    from sansdimse_trio import serve

    async def main() -> None:
        async with serve(HOST, 0, StoringAsyncArchive(size), **options()) as server:
            print(server.port, flush=True)
            await trio.lowlevel.wait_readable(sys.stdin)

    trio.run(main)


def pynetdicom_dataset(size: int) -> Any:
    """An instance for it; it encodes each anew."""
    from pydicom import dcmread
    from pydicom.uid import UID

    dataset: Any = dcmread(BytesIO(data_set(size)), force=True)
    dataset.file_meta.TransferSyntaxUID = UID(IMPLICIT)
    return dataset


def pynetdicom_scp(size: int) -> None:
    """pynetdicom as its documentation has it."""
    from pynetdicom import AE, evt

    def find(event: Any) -> Iterator[Any]:
        count = wanted(event.identifier)
        for number in range(1, count + 1):
            yield 0xFF00, match(count, number)

    def get(event: Any) -> Iterator[Any]:
        count, dataset = wanted(event.identifier), pynetdicom_dataset(size)
        yield count
        for number in range(1, count + 1):
            dataset.SOPInstanceUID = f"{study(count)}.1.{number}"
            yield 0xFF00, dataset

    def move(event: Any) -> Iterator[Any]:
        yield HOST, int(event.move_destination.strip()[1:])
        yield from get(event)

    ae: Any = AE(TITLE)
    ae.maximum_pdu_size = DEFAULT_PDU
    for uid in (FIND, GET, MOVE):
        ae.add_supported_context(uid)
    ae.add_supported_context(STORAGE, IMPLICIT, scu_role=True, scp_role=True)
    ae.add_requested_context(STORAGE, IMPLICIT)
    handlers = [(evt.EVT_C_FIND, find), (evt.EVT_C_GET, get), (evt.EVT_C_MOVE, move)]
    server = ae.start_server((HOST, 0), block=False, evt_handlers=handlers)
    print(server.socket.getsockname()[1], flush=True)
    sys.stdin.read()
    server.shutdown()


SCPS: dict[str, Callable[[int], None]] = {
    SOCKET: socket_scp,
    ASYNCIO: asyncio_scp,
    TRIO: trio_scp,
    PYNETDICOM: pynetdicom_scp,
}


@contextmanager
def dcmqrscp(folder: Path, counts: Iterable[int], size: int, destinations: Iterable[int]) -> Iterator[int]:
    """DCMTK's archive with studies of so many instances; gives its port."""
    from sansdimse.dataset import encode, part10_header

    storage = folder / "archive"
    storage.mkdir()
    for count in counts:
        files = []
        for number in range(1, count + 1):
            told = match(count, number)
            del told.QueryRetrieveLevel
            told.PatientBirthDate = told.StudyDate = told.StudyTime = told.AccessionNumber = told.StudyID = ""
            told.SeriesNumber = 1
            encoded = encode(told, IMPLICIT)
            pixels = b"\xe0\x7f\x10\0" + (size - len(encoded) - 8).to_bytes(4, "little")
            file = storage / f"{count}-{number}.dcm"
            header = part10_header(STORAGE, told.SOPInstanceUID, IMPLICIT)
            file.write_bytes(header + encoded + pixels + bytes(size - len(encoded) - 8))
            files.append(str(file))
        for start in range(0, count, 500):
            command = [str(program("dcmqridx")), str(storage), *files[start : start + 500]]
            subprocess.run(command, check=True, capture_output=True)
    port = free_port()
    hosts = "".join(f"h{number} = (P{each}, {HOST}, {each})\n" for number, each in enumerate(destinations))
    config = folder / "dcmqrscp.cfg"
    config.write_text(
        f"NetworkTCPPort = {port}\nMaxPDUSize = {DEFAULT_PDU}\nMaxAssociations = 16\n"
        f"HostTable BEGIN\n{hosts}HostTable END\nVendorTable BEGIN\nVendorTable END\n"
        f"AETable BEGIN\n{TITLE} {storage} RW (200, 4096mb) ANY\nAETable END\n"
    )
    process = subprocess.Popen(
        [str(program("dcmqrscp")), "-q", "-c", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        wait_for(port)
        yield port
    finally:
        process.terminate()
        process.wait()


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("whose", choices=tuple(SCPS))
    parser.add_argument("--size", type=int, default=32768, metavar="BYTES", help="of an instance (%(default)s)")
    given = parser.parse_args()
    SCPS[given.whose](given.size)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
