"""Instances in files: read and streamed to a peer, received from one and kept (PS3.10)."""

from sansdimse_files.custody import ExistingFile, ReceivedFile, file_name, is_out_of_space, sweep
from sansdimse_files.receiving import async_received_file, received_file
from sansdimse_files.report import log_report
from sansdimse_files.sources import Found, contexts_for, instances, kinds, open_instance

__all__ = [
    "ExistingFile",
    "Found",
    "ReceivedFile",
    "async_received_file",
    "contexts_for",
    "file_name",
    "instances",
    "is_out_of_space",
    "kinds",
    "log_report",
    "open_instance",
    "received_file",
    "sweep",
]
