"""What passes on an association, decoded by a bystander: each PDU and message, from the bytes alone."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from sansdimse import NEED_DATA, Limits, RemoteProtocolError, Side, Status
from sansdimse.deviations import escaped
from sansdimse.dimse.command import decode_command
from sansdimse.dimse.messages import Message, UnknownCommand
from sansdimse.outcome import reject_reason
from sansdimse.services.sop_classes import STANDARD
from sansdimse.ul.pdu import AAbort, AAssociateAC, AAssociateRJ, AAssociateRQ, AReleaseRP, AReleaseRQ, PDataTF, Pdu
from sansdimse.ul.reader import PDVPiece, Reader

_NAMES: Final[dict[type[Pdu], str]] = {
    AAssociateRQ: "A-ASSOCIATE-RQ",
    AAssociateAC: "A-ASSOCIATE-AC",
    AAssociateRJ: "A-ASSOCIATE-RJ",
    PDataTF: "P-DATA-TF",
    AReleaseRQ: "A-RELEASE-RQ",
    AReleaseRP: "A-RELEASE-RP",
    AAbort: "A-ABORT",
}
_WORD: Final = re.compile("RQ|RSP|[A-Z][a-z]*")
_COMMAND, _LAST = 1, 2  # bits of the message control header (PS3.8 E.2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A PDU, or those that carried one command set or one data set."""

    side: Side
    """Who sent it: LOCAL or PEER."""
    name: str
    pdus: int = 1
    length: int
    """Bytes, PDU headers included."""
    text: str
    context_id: int | None = None
    message: Message | UnknownCommand | None = None
    """The command set, if it is one."""

    def __str__(self) -> str:
        arrow = "-->" if self.side is Side.LOCAL else "<--"
        many = f" x {self.pdus:,}" if self.pdus > 1 else ""
        context = "" if self.context_id is None else f" [context {self.context_id}]"
        return f"{arrow} {self.name}{many} {self.length:,} bytes{context} {self.text}".rstrip()


class Observer:
    """A ``tap`` for one association: tells what is seen, in the order in which it ends."""

    def __init__(self, tell: Callable[[Seen], object]) -> None:
        self._streams = {side: _Stream(side, tell) for side in (Side.LOCAL, Side.PEER)}

    def __call__(self, side: Side, data: bytes | memoryview, now: float) -> None:
        """Take what passes."""
        self._streams[side].feed(bytes(data))


class _Stream:
    """One direction. Command sets are put together, of data sets only the bytes are counted."""

    def __init__(self, side: Side, tell: Callable[[Seen], object]) -> None:
        self._side = side
        self._tell = tell
        self._reader = Reader(Limits(), maximum_length=0)
        self._command = bytearray()
        self._pdus = 0
        self._length = 0

    def feed(self, data: bytes) -> None:
        """Take bytes and tell what they complete; what is no DICOM is told once, and then nothing."""
        self._reader.feed(data)
        try:
            while (read := self._reader.next()) is not NEED_DATA:
                if isinstance(read, PDVPiece):
                    self._piece(read)
                else:
                    self._pdu(read)
        except RemoteProtocolError as error:
            self._reader.discard()
            self._tell(Seen(side=self._side, name="not understood", length=len(data), text=str(error)))

    def _pdu(self, pdu: Pdu) -> None:
        length = len(pdu.encode())
        self._tell(Seen(side=self._side, name=_NAMES[type(pdu)], length=length, text=_describe(pdu)))

    def _piece(self, piece: PDVPiece) -> None:
        if piece.starts:
            self._pdus += piece.first_in_pdu
            self._length += piece.length + 6 + 6 * piece.first_in_pdu  # the PDV's header, and the PDU's
        if piece.control & _COMMAND and len(self._command) < Limits().command_set:
            self._command += piece.data
        if not (piece.ends and piece.control & _LAST):
            return
        text, message = "data set", None
        if piece.control & _COMMAND:
            message = decode_command(self._command).message
            text = describe(message)
            self._command.clear()
        seen = Seen(
            side=self._side,
            name=_NAMES[PDataTF],
            pdus=self._pdus,
            length=self._length,
            text=text,
            context_id=piece.context_id,
            message=message,
        )
        self._pdus = self._length = 0
        self._tell(seen)


def describe(message: Message | UnknownCommand) -> str:
    """A command set in a few words."""
    if isinstance(message, UnknownCommand):
        return f"unknown command {message.command_field:04X}H"
    kind = "-".join(_WORD.findall(type(message).__name__)).upper()
    number = getattr(message, "message_id", None)
    if number is None:
        number = getattr(message, "message_id_being_responded_to", None)
    status = getattr(message, "status", None)
    about = str(Status(status)) if status is not None else escaped(STANDARD.name_of(_sop_class(message)))
    return f"{kind} {number} {about}".rstrip()


def _sop_class(message: Message) -> str:
    return getattr(message, "sop_class_uid", None) or ""


def _describe(pdu: Pdu) -> str:
    match pdu:
        case AAssociateRQ():
            titles = f"{escaped(pdu.calling_ae_title)} calls {escaped(pdu.called_ae_title)}"
            return f"{titles}, {len(pdu.presentation_contexts)} presentation contexts, {_receives(pdu.maximum_length)}"
        case AAssociateAC():
            results = [context.result for context in pdu.presentation_contexts]
            return f"{results.count(0)} of {len(results)} accepted, {_receives(pdu.maximum_length)}"
        case AAssociateRJ():
            return reject_reason(pdu.result, pdu.source, pdu.reason)
        case AAbort():
            return f"source {pdu.source}, reason {pdu.reason}"
    return ""


def _receives(maximum_length: int | None) -> str:
    if maximum_length is None:
        return "no maximum PDU length stated"
    return f"PDUs of at most {maximum_length:,} bytes" if maximum_length else "PDUs of any length"
