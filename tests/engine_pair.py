"""Two engines on one wire, and one engine against a script: how an engine is talked to without a socket.

``Pair`` joins a requestor and an acceptor by a wire with a cut function, and has a clock that jumps.
``Scripted`` puts one engine before a peer of whom the test says every byte.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

from sansdimse.association import Association
from sansdimse.deviations import Code
from sansdimse.dimse.command import encode_command
from sansdimse.dimse.fragments import Assembler, CommandReceived, DataReceived, command_pdus
from sansdimse.dimse.messages import (
    NO_DATA_SET,
    WITH_DATA_SET,
    CEchoRQ,
    CEchoRSP,
    CFindRQ,
    CFindRSP,
    CGetRQ,
    CGetRSP,
    CMoveRQ,
    CMoveRSP,
    CStoreRQ,
    CStoreRSP,
    Message,
    UnknownCommand,
)
from sansdimse.events import NEED_DATA, DatasetReceived, Ended, Event
from sansdimse.limits import Limits
from sansdimse.uids import VERIFICATION
from sansdimse.ul.negotiation import answer, propose
from sansdimse.ul.parties import Acceptor, PresentationContext, Requestor
from sansdimse.ul.pdu import PDV, AAbort, AReleaseRP, AReleaseRQ, PDataTF, Pdu
from sansdimse.ul.reader import PDVPiece, Reader

CT = "1.2.840.10008.5.1.4.1.1.2"
MR = "1.2.840.10008.5.1.4.1.1.4"
FIND = "1.2.840.10008.5.1.4.1.2.2.1"
MOVE = "1.2.840.10008.5.1.4.1.2.2.2"
GET = "1.2.840.10008.5.1.4.1.2.2.3"
MPPS = "1.2.840.10008.3.1.2.3.3"
INSTANCE = "1.2.3.4"

Cut = Callable[[bytes], Iterable[bytes]]


def whole(data: bytes) -> Iterator[bytes]:
    """The wire that never cuts."""
    yield data


def bytewise(data: bytes) -> Iterator[bytes]:
    """The wire that always cuts."""
    for index in range(len(data)):
        yield data[index : index + 1]


def joined(events: Iterable[Any]) -> list[Any]:
    """The events, with adjacent pieces of one data set in one."""
    result: list[Any] = []
    for event in events:
        last = result[-1] if result else None
        if not isinstance(event, DatasetReceived):
            result.append(event)
        elif isinstance(last, DatasetReceived) and last.message_id == event.message_id and not last.is_last:
            result[-1] = replace(event, data=bytes(last.data) + bytes(event.data))
        else:
            result.append(replace(event, data=bytes(event.data)))
    return result


class End:
    """One engine with what it told and sent; ``user`` is called with each event, as soon as it is taken."""

    def __init__(self, engine: Association, user: Callable[[Any], None] = lambda event: None) -> None:
        self.engine = engine
        self.user = user
        self.events: list[Any] = []
        self.sent = bytearray()
        self.over = False
        self.heard_all = False  # it has been told the end of the stream

    def pump(self) -> list[Any]:
        """The events that there are, up to ``NEED_DATA`` or ``Ended``."""
        new: list[Any] = []
        while not self.over and (event := self.engine.next_event()) is not NEED_DATA:
            new.append(event)
            self.over = isinstance(event, Ended)
            self.user(event)
        self.events += new
        return new

    def take(self, now: float) -> bytes:
        """All that there is to send."""
        taken = bytearray()
        while buffers := self.engine.data_to_send(now):
            for buffer in buffers:
                taken += buffer
        self.sent += taken
        return bytes(taken)


class Pair:
    """A requestor and an acceptor, a wire between them, and a clock that only the test moves."""

    def __init__(self, requestor: Requestor, acceptor: Acceptor, *, cut: Cut = whole, now: float = 0.0) -> None:
        self.now = now
        self.cut = cut
        self.requestor = End(Association(requestor, now=now))
        self.acceptor = End(Association(acceptor, now=now))
        for end in (self.requestor, self.acceptor):
            end.engine.transport_opened(now)

    def run(self) -> None:
        """Until nobody has anything to tell or to send."""
        moving = True
        while moving:
            moving = False
            for end, other in ((self.requestor, self.acceptor), (self.acceptor, self.requestor)):
                moving |= bool(end.pump())
                data = end.take(self.now)
                moving |= bool(data)
                if data and not other.heard_all:
                    for chunk in self.cut(data):
                        other.engine.receive_data(chunk, self.now)
                        other.pump()
                if end.engine.wants_close and not other.heard_all:
                    other.engine.receive_eof(self.now)
                    moving = other.heard_all = True

    def establish(self) -> None:
        """Open the association; the acceptor's user answers as its rules propose."""
        self.run()
        self.acceptor.engine.accept()
        self.run()
        self.clear()

    def clear(self) -> None:
        """Forget the events told so far."""
        self.requestor.events.clear()
        self.acceptor.events.clear()

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds
        for end in (self.requestor, self.acceptor):
            end.engine.handle_timeout(self.now)
        self.run()

    def lose(self, error: str | None = "connection reset") -> None:
        """The connection breaks."""
        for end in (self.requestor, self.acceptor):
            if not end.heard_all:
                end.heard_all = True
                end.engine.receive_eof(self.now, error)
        self.run()


# ---------------------------------------------------------------- what a peer says, in bytes


def command(context_id: int, message: Message | UnknownCommand, maximum_length: int = 16384) -> bytes:
    """A command set, as P-DATA-TF PDUs."""
    return b"".join(command_pdus(context_id, encode_command(message), maximum_length))


def pdv(context_id: int, data: bytes, *, is_command: bool = False, is_last: bool = True) -> PDV:
    """A fragment."""
    return PDV(context_id, is_command | is_last << 1, data)


def data(context_id: int, piece: bytes, is_last: bool = True) -> bytes:
    """A fragment of a data set in a P-DATA-TF of its own."""
    return PDataTF((pdv(context_id, piece, is_last=is_last),)).encode()


def echo_rq(message_id: int = 1, context_id: int = 1) -> bytes:
    """C-ECHO-RQ."""
    return command(context_id, CEchoRQ(message_id=message_id, affected_sop_class_uid=VERIFICATION))


def echo_rsp(message_id: int = 1, context_id: int = 1, status: int = 0) -> bytes:
    """C-ECHO-RSP."""
    return command(
        context_id,
        CEchoRSP(message_id_being_responded_to=message_id, affected_sop_class_uid=VERIFICATION, status=status),
    )


def store_rq(message_id: int = 1, context_id: int = 3, sop_class: str = CT) -> bytes:
    """C-STORE-RQ, without its data set."""
    request = CStoreRQ(message_id=message_id, affected_sop_class_uid=sop_class, affected_sop_instance_uid=INSTANCE)
    return command(context_id, request)


def store_rsp(message_id: int = 1, context_id: int = 3, status: int = 0, sop_class: str = CT) -> bytes:
    """C-STORE-RSP."""
    return command(
        context_id,
        CStoreRSP(
            message_id_being_responded_to=message_id,
            affected_sop_class_uid=sop_class,
            affected_sop_instance_uid=INSTANCE,
            status=status,
        ),
    )


def find_rq(message_id: int = 1, context_id: int = 7, identifier: bytes = b"query.", sop_class: str = FIND) -> bytes:
    """C-FIND-RQ, with its identifier."""
    request = CFindRQ(message_id=message_id, affected_sop_class_uid=sop_class)
    return command(context_id, request) + data(context_id, identifier)


def find_rsp(message_id: int = 1, context_id: int = 7, status: int = 0, identifier: bytes | None = None) -> bytes:
    """C-FIND-RSP, with its identifier if it has one."""
    response = found(message_id, status, has_identifier=identifier is not None)
    return command(context_id, response) + (b"" if identifier is None else data(context_id, identifier))


def found(message_id: int = 1, status: int = 0, *, has_identifier: bool = False) -> CFindRSP:
    """C-FIND-RSP as a value."""
    return CFindRSP(
        message_id_being_responded_to=message_id,
        affected_sop_class_uid=FIND,
        command_data_set_type=WITH_DATA_SET if has_identifier else NO_DATA_SET,
        status=status,
    )


def message(context_id: int, command_set: Message, data_set: bytes | None = None) -> bytes:
    """A message with its data set, if it has one."""
    return command(context_id, command_set) + (b"" if data_set is None else data(context_id, data_set))


def get_rq(message_id: int = 1, context_id: int = 7, identifier: bytes = b"query.", priority: int = 0) -> bytes:
    """C-GET-RQ, with its identifier."""
    return message(context_id, CGetRQ(message_id=message_id, affected_sop_class_uid=GET, priority=priority), identifier)


def get_rsp(message_id: int = 1, context_id: int = 7, status: int = 0, identifier: bytes | None = None) -> bytes:
    """C-GET-RSP, without counters; with its identifier if it has one."""
    response = CGetRSP(
        message_id_being_responded_to=message_id,
        affected_sop_class_uid=GET,
        command_data_set_type=NO_DATA_SET if identifier is None else WITH_DATA_SET,
        status=status,
    )
    return message(context_id, response, identifier)


def move_rq(
    message_id: int = 1, context_id: int = 7, identifier: bytes = b"query.", destination: str = "STORE"
) -> bytes:
    """C-MOVE-RQ, with its identifier."""
    request = CMoveRQ(message_id=message_id, affected_sop_class_uid=MOVE, move_destination=destination)
    return message(context_id, request, identifier)


def move_rsp(message_id: int = 1, context_id: int = 7, status: int = 0, identifier: bytes | None = None) -> bytes:
    """C-MOVE-RSP, without counters; with its identifier if it has one."""
    response = CMoveRSP(
        message_id_being_responded_to=message_id,
        affected_sop_class_uid=MOVE,
        command_data_set_type=NO_DATA_SET if identifier is None else WITH_DATA_SET,
        status=status,
    )
    return message(context_id, response, identifier)


def read(sent: bytes | bytearray) -> list[Any]:
    """What an engine sent: PDUs, and of P-DATA-TF the messages; the data sets as bytes, a last cut one too."""
    reader = Reader(Limits(), maximum_length=0)
    assembler = Assembler(max_command=65536, max_fragments=1 << 30)
    reader.feed(bytes(sent))
    said: list[Any] = []
    data_set = bytearray()
    while (item := reader.next()) is not NEED_DATA:
        if not isinstance(item, PDVPiece):
            said.append(item)
            continue
        received = assembler.receive(item)
        if isinstance(received, CommandReceived):
            said.append(received.decoded.message)
        elif isinstance(received, DataReceived):
            data_set += received.data
            if received.is_last:
                said.append(bytes(data_set))
                data_set.clear()
    if data_set:
        said.append(bytes(data_set))
    return said


# ---------------------------------------------------------------- one engine and a script

CONTEXTS = (
    PresentationContext(VERIFICATION, scp=True),
    PresentationContext(CT, scp=True),
    PresentationContext(MR),
)


QUERY = PresentationContext(FIND, scp=True)
GETTING = PresentationContext(GET, scp=True)
MOVING = PresentationContext(MOVE, scp=True)
STEPS = PresentationContext(MPPS, scp=True)


def requestor(*more: PresentationContext, **settings: Any) -> Requestor:
    """Who proposes Verification (1) and CT (3) in both roles, and MR (5); and ``more``, from 7 on: ``QUERY``, say."""
    return Requestor("ME", "YOU", CONTEXTS + more, **settings)


def acceptor(*more: PresentationContext, **settings: Any) -> Acceptor:
    """Who takes Verification (1) and CT (3) in both roles, and not MR (5); and ``more``."""
    return Acceptor("YOU", CONTEXTS[:2] + more, **settings)


class Scripted(End):
    """One engine; the test is its user and its peer. It answers what the test sends it with events."""

    def __init__(
        self, config: Requestor | Acceptor, *, cut: Cut = whole, user: Callable[[Any], None] | None = None
    ) -> None:
        super().__init__(Association(config, now=0.0), user or (lambda event: None))
        self.now = 0.0
        self.cut = cut
        self.engine.transport_opened(0.0)
        self.pump()

    @property
    def codes(self) -> list[Code]:
        """The deviations reported so far."""
        return [deviation.code for deviation in self.engine.deviations]

    @classmethod
    def established(cls, config: Requestor | Acceptor, other: Requestor | Acceptor | None = None) -> Scripted:
        """After the association was accepted; nothing of that is remembered in ``events`` and ``sent``."""
        self = cls(config)
        self.take(0.0)
        if isinstance(config, Requestor):
            assert self.engine.request is not None
            self.send(answer(other if isinstance(other, Acceptor) else acceptor(), self.engine.request))
        else:
            self.send(propose(other if isinstance(other, Requestor) else requestor()))
            self.engine.accept()
        self.take(0.0)
        self.events.clear()
        self.sent.clear()
        return self

    def send(self, *parts: bytes | Pdu) -> list[Event]:
        """The peer sends bytes, or PDUs; gives the events."""
        raw = b"".join(part if isinstance(part, bytes) else part.encode() for part in parts)
        before = len(self.events)
        for chunk in self.cut(raw):
            self.engine.receive_data(chunk, self.now)
            self.pump()
        return self.events[before:]

    def eof(self, error: str | None = None) -> list[Event]:
        """The connection ends."""
        self.engine.receive_eof(self.now, error)
        return self.pump()

    def wait(self, seconds: float) -> list[Event]:
        """Time passes."""
        self.now += seconds
        self.engine.handle_timeout(self.now)
        return self.pump()

    def said(self) -> list[Any]:
        """What the engine sent since the last time, as messages, data sets and PDUs."""
        return read(self.take(self.now))


RELEASE_RQ, RELEASE_RP, ABORT = AReleaseRQ(), AReleaseRP(), AAbort(0, 0)
