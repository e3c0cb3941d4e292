from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from sansdimse import VERIFICATION, AsynchronousOperationsWindow, Side
from sansdimse.dimse.fragments import Fragmenter
from sansdimse.dimse.messages import CCancelRQ, CEchoRQ, CFindRQ, CStoreRSP, NEventReportRQ, UnknownCommand
from sansdimse.ul.pdu import PDV, AAbort, AAssociateAC, AAssociateRJ, AReleaseRQ, PDataTF
from sansdimse_apps.wire import Observer, Seen, describe
from sansdimse_socket import associate

CT = "1.2.840.10008.5.1.4.1.1.2"

assert AsynchronousOperationsWindow and Fragmenter  # placeholders
