"""The other end of a connection, of which a check says every byte; and what it noted of the transport's own end."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, TypeVar

from sansdimse.dataset import Instance
from sansdimse.dimse.command import encode_command
from sansdimse.dimse.fragments import Assembler, CommandReceived, DataReceived, command_pdus
from sansdimse.dimse.messages import NO_DATA_SET, CEchoRQ, CEchoRSP, CFindRQ, CFindRSP, CStoreRQ, CStoreRSP, Message
from sansdimse.errors import ProtocolError
from sansdimse.events import NEED_DATA
from sansdimse.limits import Limits
from sansdimse.peer.watch import AssociationEnded, Occurrence, OperationEnded, OperationOutcome, Statistics
from sansdimse.services.sop_classes import CT_IMAGE_STORAGE, STUDY_ROOT_FIND
from sansdimse.testing.check import Fault, expect
from sansdimse.uids import IMPLICIT_VR_LITTLE_ENDIAN, VERIFICATION
from sansdimse.ul.items import AsynchronousOperationsWindow
from sansdimse.ul.negotiation import answer, propose
from sansdimse.ul.parties import Acceptor, PresentationContext, Requestor
from sansdimse.ul.pdu import PDV, AAssociateAC, AAssociateRQ, PDataTF, Pdu
from sansdimse.ul.reader import PDVPiece, Reader

if TYPE_CHECKING:
    from sansdimse.testing.maker import Event, Maker, Wire

T = TypeVar("T")

VERIFYING: Final = 1
STORING: Final = 3
FINDING: Final = 5
CONTEXTS: Final = (
    PresentationContext(VERIFICATION, scp=True),
    PresentationContext(CT_IMAGE_STORAGE, (IMPLICIT_VR_LITTLE_ENDIAN,), scp=True),
    PresentationContext(STUDY_ROOT_FIND),
)
"""What is proposed in every check; their IDs are those above."""
INSTANCE: Final = "1.2.3.4"
WINDOW: Final = AsynchronousOperationsWindow(16, 16)

SOON: Final = 0.3
"""Seconds of a deadline that is to pass in a check."""
MOMENT: Final = 0.1
"""Seconds within which what must not come would have come."""

PATIENT: Final = replace(Limits(), idle=None)
"""Limits under which nothing happens by itself in a check."""


def limits(**seconds: float) -> Limits:
    """Limits in which only these deadlines will pass."""
    return replace(PATIENT, **seconds)  # type: ignore[arg-type]


# ---------------------------------------------------------------- what a peer says, in bytes


def requestor(window: AsynchronousOperationsWindow | None = WINDOW) -> Requestor:
    """Who proposes ``CONTEXTS``."""
    return Requestor("CHECKER", "CHECKED", CONTEXTS, window=window)


def acceptor() -> Acceptor:
    """Who accepts them."""
    return Acceptor("CHECKER", CONTEXTS, window=WINDOW)


def command(context_id: int, message: Message) -> bytes:
    """A command set, in P-DATA-TF PDUs."""
    return b"".join(command_pdus(context_id, encode_command(message), 16384))


def fragment(context_id: int, data: bytes, *, is_last: bool = True) -> bytes:
    """A fragment of a data set, in a P-DATA-TF of its own."""
    return PDataTF((PDV(context_id, is_last << 1, data),)).encode()


def echo_rq(message_id: int) -> bytes:
    """C-ECHO-RQ."""
    return command(VERIFYING, CEchoRQ(message_id=message_id, affected_sop_class_uid=VERIFICATION))


def echo_rsp(message_id: int) -> bytes:
    """C-ECHO-RSP: Success."""
    response = CEchoRSP(message_id_being_responded_to=message_id, affected_sop_class_uid=VERIFICATION, status=0)
    return command(VERIFYING, response)


def store_rq(message_id: int) -> bytes:
    """C-STORE-RQ, without its data set."""
    request = CStoreRQ(
        message_id=message_id, affected_sop_class_uid=CT_IMAGE_STORAGE, affected_sop_instance_uid=INSTANCE
    )
    return command(STORING, request)


def store_rsp(message_id: int) -> bytes:
    """C-STORE-RSP: Success."""
    response = CStoreRSP(
        message_id_being_responded_to=message_id,
        affected_sop_class_uid=CT_IMAGE_STORAGE,
        affected_sop_instance_uid=INSTANCE,
        status=0,
    )
    return command(STORING, response)


def find_rq(message_id: int) -> bytes:
    """C-FIND-RQ with an identifier."""
    return command(FINDING, CFindRQ(message_id=message_id, affected_sop_class_uid=STUDY_ROOT_FIND)) + fragment(
        FINDING, b"all of it."
    )


def find_rsp(message_id: int, status: int) -> bytes:
    """C-FIND-RSP, final."""
    response = CFindRSP(
        message_id_being_responded_to=message_id,
        affected_sop_class_uid=STUDY_ROOT_FIND,
        command_data_set_type=NO_DATA_SET,
        status=status,
    )
    return command(FINDING, response)


def content(size: int) -> bytes:
    """Bytes that are no data set, and differ from place to place."""
    return (bytes(range(251)) * (size // 251 + 1))[:size]


SMALL: Final = content(3000)
LARGE: Final = content(8 << 20)
"""More than the kernels of both ends keep, so that something must wait in the transport, or with us."""


def data_set(data: bytes, pdu: int = 60_000) -> bytes:
    """These bytes as the data set of a C-STORE."""
    return b"".join(
        fragment(STORING, data[at : at + pdu], is_last=at + pdu >= len(data)) for at in range(0, len(data), pdu)
    )


def instance(data: bytes, taken: Callable[[int], object] = lambda size: None, piece: int = 65536) -> Instance:
    """These bytes as an instance to store; ``taken`` is told the size of each piece as it is taken."""

    def pieces() -> Any:
        for at in range(0, len(data), piece):
            part = data[at : at + piece]
            taken(len(part))
            yield part

    return Instance(CT_IMAGE_STORAGE, INSTANCE, IMPLICIT_VR_LITTLE_ENDIAN, len(data), pieces)


# ---------------------------------------------------------------- the checker's end


class FarEnd:
    """The checker's end: it says bytes and PDUs, and hears PDUs, messages and data sets."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self._reader = Reader(Limits(), maximum_length=0)
        self._assembler = Assembler(max_command=65536, max_fragments=1 << 30)
        self._heard: deque[object] = deque()
        self._data = bytearray()

    def say(self, *parts: bytes | Pdu) -> None:
        """Send these in one go."""
        taken = self.offer(*parts, patience=None)
        expect(taken, "it reads no more: what the checker sent was not taken")

    def offer(self, *parts: bytes | Pdu, patience: float | None) -> bool:
        """The same; whether all was taken. What was not is kept, and said first the next time."""
        try:
            self.wire.send(b"".join(part if isinstance(part, bytes) else part.encode() for part in parts), patience)
        except TimeoutError:
            return False
        except OSError as error:
            raise Fault(f"the connection broke while the checker was sending: {error}") from error
        return True

    def drip(self, data: bytes, pause: float) -> bool:
        """Say these byte by byte, with ``pause`` seconds between; whether the other end listened to them all."""
        for byte in data:
            try:
                self.say(bytes((byte,)))
                self.hear_nothing(pause)
            except Fault:
                return False
        return True

    def hear(self, kind: type[T]) -> T:
        """The next PDU, message or data set (``bytes``), which must be of this kind."""
        said = self.said(kind.__name__)
        if not isinstance(said, kind):
            raise Fault(f"{kind.__name__} should have come, and {_name(said)} did")
        return said

    def hear_answer(self) -> CEchoRSP | CStoreRSP:
        """The next response, of two kinds that may come in any order."""
        said = self.said("a response")
        if not isinstance(said, CEchoRSP | CStoreRSP):
            raise Fault(f"a response should have come, and {_name(said)} did")
        return said

    def said(self, awaited: str) -> object:
        """The next PDU, message or data set; None at the end of the stream."""
        while not self._heard:
            try:
                data = self.wire.receive()
            except TimeoutError:
                raise Fault(f"nothing came where {awaited} should have") from None
            except OSError as error:
                raise Fault(f"the connection broke where {awaited} should have come: {error}") from error
            if not data:
                cut = self._reader.mid_pdu or self._data
                expect(not cut, f"the stream ended in the middle of something where {awaited} should have come")
                return None
            self._take(data)
        return self._heard.popleft()

    def hear_end(self) -> None:
        """Nothing more, and the end of the stream."""
        said = self.said("the end of the stream")
        expect(said is None, f"the end of the stream should have come, and {_name(said)} did")

    def hear_nothing(self, seconds: float) -> None:
        """Neither bytes nor the end of the stream within these seconds."""
        try:
            data = self.wire.receive(seconds)
        except TimeoutError:
            return
        except OSError as error:
            raise Fault(f"the connection should have stayed open, and broke: {error}") from error
        raise Fault(f"the connection should have stayed open and silent, and {'bytes' if data else 'its end'} came")

    def rest(self) -> int:
        """Take all until the stream ends or breaks; how many bytes there were."""
        size = 0
        try:
            while data := self.wire.receive():
                size += len(data)
        except TimeoutError:
            raise Fault("the connection was never closed") from None
        except OSError:  # with a reset: it is over in any case
            pass
        return size

    def request(self, config: Requestor | None = None) -> AAssociateAC:
        """Ask for an association and have it accepted."""
        self.say(propose(config or requestor()))
        return self.hear(AAssociateAC)

    def accept(self, *more: bytes | Pdu) -> AAssociateRQ:
        """Accept what is asked, with ``more`` right behind."""
        request = self.hear(AAssociateRQ)
        self.say(answer(acceptor(), request), *more)
        return request

    def _take(self, data: bytes) -> None:
        self._reader.feed(data)
        try:
            while (item := self._reader.next()) is not NEED_DATA:
                if isinstance(item, PDVPiece):
                    self._assemble(item)
                else:
                    self._heard.append(item)
        except ProtocolError as error:
            raise Fault(f"what came is no PDU, so bytes were lost, repeated or mixed up: {error}") from error

    def _assemble(self, piece: PDVPiece) -> None:
        received = self._assembler.receive(piece)
        if isinstance(received, CommandReceived):
            self._heard.append(received.decoded.message)
        elif isinstance(received, DataReceived):
            self._data += received.data
            if received.is_last:
                self._heard.append(bytes(self._data))
                self._data.clear()


def _name(said: object) -> str:
    if said is None:
        return "the end of the stream"
    return f"a data set of {len(said)} bytes" if isinstance(said, bytes) else type(said).__name__


# ---------------------------------------------------------------- what the transport told


class Notebook:
    """What one end of the transport told its ``watch`` and its ``report``, in whatever threads."""

    def __init__(self, maker: Maker) -> None:
        self._maker = maker
        self._awaited: tuple[Callable[[], bool], Event] | None = None
        self.occurrences: list[Occurrence] = []
        self.reports: list[BaseException] = []

    def watch(self, occurrence: Occurrence) -> None:
        """To be given as ``watch``."""
        self.occurrences.append(occurrence)
        self.noted()

    def report(self, error: BaseException, where: str) -> None:
        """To be given as ``report``."""
        self.reports.append(error)
        self.noted()

    def noted(self) -> None:
        """Something changed that somebody may wait for."""
        if self._awaited is not None and self._awaited[0]():
            self._awaited[1].set()

    def until(self, happened: Callable[[], bool], sentence: str) -> None:
        """Wait until this is so. Raises ``Fault`` with the sentence if it never is."""
        event = self._maker.event()
        self._awaited = happened, event
        expect(happened() or event.wait(self._maker.patience), sentence)
        self._awaited = None

    @property
    def ended(self) -> list[Statistics]:
        """The associations that ended."""
        return [each.statistics for each in self.occurrences if isinstance(each, AssociationEnded)]

    @property
    def operations(self) -> list[OperationOutcome]:
        """The operations that ended."""
        return [each.outcome for each in self.occurrences if isinstance(each, OperationEnded)]
