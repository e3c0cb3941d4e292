"""Messages to fragments and back (PS3.8 Annex E).

Both ways the data set passes through as slices of the buffers that it came in: neither its length nor
the length of a PDU matters to the memory held. Only command sets are put together, under a limit.

We cut even fragments whatever the maximum (peers abort on odd ones), full ones except the last, one
PDV to a PDU, and flag the last fragment that has content instead of adding an empty one. To know
which is the last, up to one fragment is held back between two pushes; so what goes out depends on the
bytes alone, never on how the source cut them.
"""

from __future__ import annotations

import struct
from enum import Enum, auto
from typing import TYPE_CHECKING, Final

from sansdimse.deviations import Code, Deviation
from sansdimse.dimse.command import Decoded, decode_command
from sansdimse.dimse.messages import DataSet, UnknownCommand
from sansdimse.errors import LocalProtocolError, RemoteProtocolError
from sansdimse.profile import DEFAULT, Profile
from sansdimse.values import value

if TYPE_CHECKING:
    from sansdimse.ul.reader import PDVPiece

Buffer = bytes | memoryview
"""Bytes that nobody changes any more."""

# The message control header (PS3.8 E.2); its other bits are not checked.
COMMAND: Final = 0x01
LAST: Final = 0x02

# PDU type, reserved, PDU length; PDV length, context ID, control header (PS3.8 Tables 9-22, 9-23).
_HEAD: Final = struct.Struct(">BBLLBB")
_P_DATA_TF: Final = 0x04
_PDV_HEAD: Final = 6
"""Bytes of a PDU's length that a PDV of its own takes: length, context ID, control header."""

_SMALL: Final = 4096
"""Pieces held back are joined up to this size, so that a source cut into single bytes holds no
thousands of views; larger ones are never copied."""


@value
class CommandReceived:
    """A command set came to its end, on this presentation context."""

    context_id: int
    decoded: Decoded


@value
class DataReceived:
    """A piece of the data set of the last command. ``is_last`` ends it, maybe with no bytes of its own."""

    context_id: int
    data: Buffer
    is_last: bool


class _Phase(Enum):
    IDLE = auto()
    COMMAND = auto()  # a command set has begun
    DATA = auto()  # its data set must follow, or has begun
    DOUBTFUL = auto()  # its data set was announced by a message that may not have one: we would take it


class Assembler:
    """Takes the pieces of PDVs as they arrive, gives command sets and pieces of data sets.

    ``max_command`` and ``max_data_set`` are bytes, ``max_fragments`` counts the PDVs of one message. The owner
    may set ``max_data_set`` (``None``: no limit) whenever a command told what is to come. ``receive`` raises
    ``RemoteProtocolError`` for faults that leave the message without meaning; then this assembler is done,
    and so is the association. What can be lived with is in ``take_deviations``, each code once per message;
    what is odd about a command set itself is in ``Decoded.deviations``.

    A PDV is judged when its first piece comes, by the length in its header: the outcome must not depend on how
    the transport cuts. A data set that an early failing response cut short (PS3.7 9.3.1.3) just ends, like any other.
    """

    def __init__(
        self, *, max_command: int, max_fragments: int, max_data_set: int | None = None, profile: Profile = DEFAULT
    ) -> None:
        self.max_data_set = max_data_set
        self._max_command = max_command
        self._max_fragments = max_fragments
        self._profile = profile
        self._phase = _Phase.IDLE
        self._context_id = 0
        self._command = bytearray()
        self._fragments = 0  # of this message
        self._data_length = 0  # of this data set, up to the end of the PDV that arrives
        self._deviations: list[Deviation] = []
        self._reported: set[Code] = set()

    @property
    def idle(self) -> bool:
        """Whether no message has begun, nor a data set that was announced is still to come.

        A data set announced by a message that may not have one (a C-ECHO, say) is not waited for.
        """
        return self._phase in (_Phase.IDLE, _Phase.DOUBTFUL)

    def take_deviations(self) -> tuple[Deviation, ...]:
        """What was noticed since the last call."""
        if not self._deviations:
            return ()
        taken = tuple(self._deviations)
        self._deviations.clear()
        return taken

    def receive(self, piece: PDVPiece) -> CommandReceived | DataReceived | None:
        """Take one piece; give what it completes or carries, ``None`` if that is nothing yet.

        Raises ``RemoteProtocolError`` with the code of the rule broken: ``COMMAND_TOO_LONG``, ``COMMAND_MALFORMED``,
        ``FRAGMENTS_TOO_MANY``, ``DATA_SET_TOO_LONG``, ``DATA_SET_INTERRUPTED``, and unless the profile accepts
        them ``DATA_SET_UNANNOUNCED`` (such data are swallowed then) and ``DATA_SET_CONTEXT`` (they are
        taken as the command's then).
        """
        is_command = piece.control & COMMAND != 0
        if piece.starts:
            self._start_fragment(piece, is_command)
        is_last = piece.ends and piece.control & LAST != 0
        return self._take_command(piece, is_last) if is_command else self._take_data(piece, is_last)

    def _start_fragment(self, piece: PDVPiece, is_command: bool) -> None:
        if is_command and self.idle:
            self._begin_message(piece)
        self._fragments += 1
        if self._fragments > self._max_fragments:
            raise RemoteProtocolError(
                f"a message has more than {self._max_fragments} fragments", code=Code.FRAGMENTS_TOO_MANY
            )
        if not piece.length:
            self._note(Code.FRAGMENT_EMPTY)
        elif piece.length % 2:
            self._note(Code.FRAGMENT_ODD, f"{piece.length} bytes")

    def _begin_message(self, piece: PDVPiece) -> None:
        self._phase = _Phase.COMMAND
        self._context_id = piece.context_id
        self._command.clear()
        self._fragments = self._data_length = 0
        self._reported.clear()
        if not piece.first_in_pdu:
            self._note(Code.MESSAGES_SHARE_PDU)

    def _take_command(self, piece: PDVPiece, is_last: bool) -> CommandReceived | None:
        if self._phase is not _Phase.COMMAND:
            text = (
                f"a command came on context {piece.context_id} before the data set on {self._context_id} was complete"
            )
            raise RemoteProtocolError(text, code=Code.DATA_SET_INTERRUPTED)
        if piece.context_id != self._context_id:
            text = f"one command set came on contexts {self._context_id} and {piece.context_id}"
            raise RemoteProtocolError(text, code=Code.COMMAND_MALFORMED)
        if piece.starts and len(self._command) + piece.length > self._max_command:
            text = f"a command set has more than {self._max_command} bytes"
            raise RemoteProtocolError(text, code=Code.COMMAND_TOO_LONG)
        self._command += piece.data
        if not is_last:
            return None
        decoded = decode_command(self._command)
        self._command.clear()
        self._phase = _phase_after(decoded)
        return CommandReceived(self._context_id, decoded)

    def _take_data(self, piece: PDVPiece, is_last: bool) -> DataReceived | None:
        if self._phase is _Phase.DOUBTFUL:
            self._phase = _Phase.DATA
        if self._phase is not _Phase.DATA:
            self._refuse_or_note(Code.DATA_SET_UNANNOUNCED, f"on context {piece.context_id}")
            return None
        if piece.context_id != self._context_id:
            detail = f"on context {piece.context_id}, its command on {self._context_id}"
            self._refuse_or_note(Code.DATA_SET_CONTEXT, detail)
        if piece.starts:
            self._data_length += piece.length
        if self.max_data_set is not None and self._data_length > self.max_data_set:
            text = f"a data set has more than {self.max_data_set} bytes"
            raise RemoteProtocolError(text, code=Code.DATA_SET_TOO_LONG)
        if is_last:
            self._phase = _Phase.IDLE
        elif not piece.data:
            return None
        return DataReceived(self._context_id, piece.data, is_last)

    def _refuse_or_note(self, code: Code, detail: str) -> None:
        if self._profile.refuses(code):
            raise RemoteProtocolError(f"data set fragments {detail}", code=code)
        self._note(code, detail)

    def _note(self, code: Code, detail: str = "") -> None:
        if code not in self._reported:
            self._reported.add(code)
            self._deviations.append(Deviation(code, detail))


def _phase_after(decoded: Decoded) -> _Phase:
    message = decoded.message
    if not message.has_data_set:
        return _Phase.IDLE
    if not isinstance(message, UnknownCommand) and message.DATA_SET is DataSet.FORBIDDEN:
        return _Phase.DOUBTFUL
    return _Phase.DATA


def command_pdus(context_id: int, command: bytes, maximum_length: int) -> list[bytes]:
    """The P-DATA-TF PDUs of a command set, one PDV each (PS3.8 E.1).

    ``maximum_length`` is the peer's (PS3.8 D.1), in bytes, at least 8; for its 0 (no maximum) pass a cap of
    your own. Raises ``LocalProtocolError`` for less, for a context ID that is none, for an empty or odd command set.
    """
    return _whole_pdus(context_id, command, maximum_length, COMMAND, "a command set")


def data_set_pdus(context_id: int, data_set: bytes, maximum_length: int) -> list[bytes]:
    """The P-DATA-TF PDUs of a data set that is at hand as a whole: an identifier, say. Else as ``command_pdus``."""
    return _whole_pdus(context_id, data_set, maximum_length, 0, "a data set")


def _whole_pdus(context_id: int, content: bytes, maximum_length: int, kind: int, name: str) -> list[bytes]:
    room = _room(context_id, maximum_length)
    size = len(content)
    if not size or size % 2:
        raise LocalProtocolError(f"{name} of {size} bytes")
    if size <= room:
        return [_head(context_id, size, kind | LAST) + content]
    return [
        _head(context_id, min(room, size - start), kind | (LAST if start + room >= size else 0))
        + content[start : start + room]
        for start in range(0, size, room)
    ]


class Fragmenter:
    """Cuts one data set into P-DATA-TF PDUs while it is pushed in pieces of any size.

    ``maximum_length`` as for ``command_pdus``. The pieces must not change afterwards: views of them are
    given on, and up to one fragment of them is held back.
    """

    def __init__(self, context_id: int, maximum_length: int) -> None:
        self._room = _room(context_id, maximum_length)
        self._context_id = context_id
        self._held: list[Buffer] = []
        self._held_length = 0
        self._is_finished = False

    @property
    def is_finished(self) -> bool:
        """Whether the last fragment has been given out."""
        return self._is_finished

    @property
    def bytes_held(self) -> int:
        """Bytes pushed that are in no PDU yet; at most one fragment."""
        return self._held_length

    def push(self, piece: Buffer, is_last: bool) -> list[list[Buffer]]:
        """The PDUs that this piece completes, each as its buffers: a head of 12 bytes, then slices.

        Raises ``LocalProtocolError``, and takes nothing, after the end of the data set, and if its length turns
        out odd with the last piece (PS3.8 E.1: fragments are even; PS3.5 7.1.1: so are data sets).
        """
        self._check_open()
        view = memoryview(piece).cast("B") if piece else memoryview(b"")
        total = self._held_length + len(view)
        if is_last and total % 2:
            raise LocalProtocolError("the data set has odd length")
        pdus = []
        position = 0
        while total > self._room:
            cut = position + self._room - self._held_length
            pdus.append(self._pdu(view[position:cut], is_last=False))
            position, total = cut, total - self._room
        if is_last:
            pdus.append(self._pdu(view[position:], is_last=True))
        else:
            self._hold(view[position:])
        return pdus

    def finish_early(self) -> list[list[Buffer]]:
        """End the data set here, since a failing response came already (PS3.7 9.3.1.3).

        Gives one PDU, flagged last: with the bytes held back (but for an odd one), or empty if there are none.
        Raises ``LocalProtocolError`` after the end.
        """
        self._check_open()
        if self._held_length % 2:
            odd = self._held.pop()
            self._held_length -= len(odd)
            self._hold(memoryview(odd)[:-1])
        return [self._pdu(memoryview(b""), is_last=True)]

    def _check_open(self) -> None:
        if self._is_finished:
            raise LocalProtocolError("the data set has ended already")

    def _pdu(self, view: memoryview, *, is_last: bool) -> list[Buffer]:
        buffers: list[Buffer] = [_head(self._context_id, self._held_length + len(view), LAST if is_last else 0)]
        buffers += self._held
        if view:
            buffers.append(view)
        self._held.clear()
        self._held_length = 0
        self._is_finished = is_last
        return buffers

    def _hold(self, view: memoryview) -> None:
        if not view:
            return
        held = self._held
        held.append(view)
        self._held_length += len(view)
        # Neighbours of like size join, so that n bytes pushed singly are copied some log2(_SMALL) times.
        while len(held) > 1 and len(held[-2]) <= len(held[-1]) < _SMALL:
            tail = held.pop()
            held[-1] = b"".join((held[-1], tail))


def _room(context_id: int, maximum_length: int) -> int:
    """Bytes of a fragment: what the maximum leaves, made even."""
    if maximum_length < _PDV_HEAD + 2:
        raise LocalProtocolError(f"a maximum length of {maximum_length} leaves no room for a fragment of two bytes")
    if not 0 < context_id < 256:
        raise LocalProtocolError(f"{context_id} is no presentation context ID")
    return (maximum_length - _PDV_HEAD) // 2 * 2


def _head(context_id: int, length: int, control: int) -> bytes:
    return _HEAD.pack(_P_DATA_TF, 0, length + _PDV_HEAD, length + 2, context_id, control)
