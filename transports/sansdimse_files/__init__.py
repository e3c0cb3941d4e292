"""Instances in files: read and streamed to a peer, received from one and kept (PS3.10)."""

from sansdimse_files.custody import ExistingFile, ReceivedFile, file_name, is_out_of_space, sweep
from sansdimse_files.sources import Found, contexts_for, instances, open_instance

__all__ = [
    "ExistingFile",
    "Found",
    "ReceivedFile",
    "contexts_for",
    "file_name",
    "instances",
    "is_out_of_space",
    "open_instance",
    "sweep",
]
