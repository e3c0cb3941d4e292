"""Instances in files: read and streamed to a peer, received from one and kept (PS3.10). And TLS (PS3.15 Annex B)."""

from sansdimse_files.custody import ExistingFile, ReceivedFile, file_name, is_out_of_space, sweep
from sansdimse_files.new_uid import new_uid
from sansdimse_files.receiving import async_received_file, received_file
from sansdimse_files.report import log_report
from sansdimse_files.secured import PeerCertificate, Secured
from sansdimse_files.sources import Found, contexts_for, instances, kinds, open_instance
from sansdimse_files.tls import (
    BCP_195_RFC_8996_9325,
    MODIFIED_BCP_195,
    NON_DOWNGRADING_BCP_195,
    ClientCertificates,
    TLSProfile,
    TLSSetupError,
    client_context,
    server_context,
)

__all__ = [
    "BCP_195_RFC_8996_9325",
    "MODIFIED_BCP_195",
    "NON_DOWNGRADING_BCP_195",
    "ClientCertificates",
    "ExistingFile",
    "Found",
    "PeerCertificate",
    "ReceivedFile",
    "Secured",
    "TLSProfile",
    "TLSSetupError",
    "async_received_file",
    "client_context",
    "contexts_for",
    "file_name",
    "instances",
    "is_out_of_space",
    "kinds",
    "log_report",
    "new_uid",
    "open_instance",
    "received_file",
    "server_context",
    "sweep",
]
