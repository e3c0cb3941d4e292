"""A blocking archive and a blocking client: files sent, received, and compared.

Run it as it is, or give it DICOM files. Without, it takes two that come with pydicom.
"""

import sys
import tempfile
from pathlib import Path

import pydicom

from sansdimse import STORAGE, SUCCESS, VERIFICATION, PresentationContext, Status
from sansdimse.uids import UNCOMPRESSED
from sansdimse_files import contexts_for, instances, received_file
from sansdimse_socket import Store, associate, serve


class Archive:
    """Keeps what it gets in a folder, each instance under its UID."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def c_store(self, store: Store) -> Status:
        """Called for each C-STORE, in the association's own thread."""
        with received_file(store, self.folder):  # temporary name, atomic rename; gone if anything fails
            print(f"  received from {store.association.address}")
        return SUCCESS


test_files = Path(pydicom.__file__).parent / "data" / "test_files"
paths: list[str | Path] = [*sys.argv[1:]] or [test_files / "CT_small.dcm", test_files / "MR_small.dcm"]
found = [(each.path, each.header) for each in instances(paths) if each.header is not None]

with tempfile.TemporaryDirectory() as folder:
    offered = [PresentationContext(uid, UNCOMPRESSED) for uid in STORAGE]
    with serve("127.0.0.1", 0, Archive(folder), ae_title="ARCHIVE", supports=[VERIFICATION, *offered]) as server:
        with associate(
            "127.0.0.1", server.port, called="ARCHIVE", contexts=[VERIFICATION, *contexts_for(paths)]
        ) as peer:
            print("C-ECHO:", peer.c_echo())
            for path, status in peer.c_store_each([path for path, _ in found]):
                print(f"{path.name}: {status}")
        print("The end:", peer.outcome)
    for path, header in found:
        kept = pydicom.dcmread(Path(folder) / f"{header.sop_instance_uid}.dcm")
        if kept != pydicom.dcmread(path):
            sys.exit(f"{path} is not what was stored")
    print(f"{len(found)} files stored as they were sent")
