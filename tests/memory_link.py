"""A link in memory: plain coroutines under a tiny scheduler, two ends joined by a wire, and no time that passes.

Every run goes the same way. A task may be cancelled at its n-th suspension, whichever that is; so a test
can cancel at each in turn. A ``Pipe`` holds what was written and not read, at most ``capacity`` bytes a way. With
``latency`` what is written takes that many seconds to arrive, and the clock jumps there when nothing else moves.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from itertools import count
from types import coroutine as generator_based
from typing import Any

from engine_pair import Cut, acceptor, command, echo_rsp, read, requestor, whole
from sansdimse.association import Association
from sansdimse.dataset import Instance
from sansdimse.dimse.fragments import Assembler, CommandReceived, DataReceived
from sansdimse.dimse.messages import CEchoRQ, CStoreRQ, CStoreRSP
from sansdimse.events import NEED_DATA
from sansdimse.limits import Limits
from sansdimse.peer import scp
from sansdimse.peer.link import Destination, Job
from sansdimse.peer.scu import Peer
from sansdimse.peer.session import Associate, Session, opens_none
from sansdimse.services.sop_classes import STANDARD, SopClasses
from sansdimse.ul.items import AsynchronousOperationsWindow
from sansdimse.ul.negotiation import answer, propose
from sansdimse.ul.parties import Acceptor, Requestor
from sansdimse.ul.pdu import AAssociateAC, Pdu
from sansdimse.ul.reader import PDVPiece, Reader
from sansdimse.ul.table import State


class Cancelled(BaseException):
    """What a loop throws into a task that is to end: no ``Exception``, as asyncio's and trio's."""


class Signal:
    """Set once; tasks wait for it."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._waiting: list[Task] = []
        self.is_set = False

    def set(self) -> None:
        self.is_set = True
        waiting, self._waiting = self._waiting, []
        for task in waiting:
            self._loop.wake(task)

    async def wait(self) -> None:
        while not self.is_set:
            await _suspend(self)

    def park(self, task: Task) -> None:
        self._waiting.append(task)


@generator_based
def _suspend(signal: Signal | None) -> Iterator[Signal | None]:
    yield signal


class Task:
    """A coroutine that runs; ``cancel_at`` says at which suspension to cancel it, counted from 1.

    With ``level`` it is cancelled at every later suspension as well, as trio does, else once, as asyncio.
    """

    def __init__(
        self, loop: Loop, conversation: Coroutine[Any, Any, Any], cancel_at: int | None = None, level: bool = False
    ) -> None:
        self._loop = loop
        self._coroutine = conversation
        self._cancel_at = cancel_at
        self._level = level
        self._cancelling = False
        self.suspensions = 0
        self.done = False
        self.error: BaseException | None = None
        self.value: Any = None

    def cancel(self) -> None:
        if not self.done:
            self._cancelling = True
            self._loop.wake(self)

    def step(self) -> None:
        try:
            if self._cancelling:
                self._cancelling = False
                waiting_for = self._coroutine.throw(Cancelled())
            else:
                waiting_for = self._coroutine.send(None)
        except StopIteration as stop:
            self.done, self.value = True, stop.value
            return
        except BaseException as error:
            self.done, self.error = True, error
            return
        self.suspensions += 1
        at = self._cancel_at
        if at is not None and (self.suspensions == at or (self._level and self.suspensions > at)):
            self.cancel()
        elif waiting_for is None:
            self._loop.wake(self)
        else:
            waiting_for.park(self)

    @property
    def cancelled(self) -> bool:
        return isinstance(self.error, Cancelled)

    def result(self) -> Any:
        assert self.done, "it still waits"
        if self.error is not None:
            raise self.error
        return self.value


class Uncancellable:
    """A job of a link that cannot cancel, as a socket's."""

    def cancel(self) -> None:
        """It learns of the end where it waits."""


class Loop:
    """Who runs tasks and drives links, one after the other, until nothing moves."""

    def __init__(self) -> None:
        self.now = 0.0
        self.ready: deque[Task] = deque()
        self.tasks: list[Task] = []
        self.links: list[MemoryLink] = []
        self.pipes: list[Pipe] = []  # those on which something takes its time
        self.steps = 0
        self._at_step: dict[int, Callable[[], object]] = {}

    def spawn(
        self, conversation: Coroutine[Any, Any, Any], *, cancel_at: int | None = None, level: bool = False
    ) -> Task:
        task = Task(self, conversation, cancel_at, level)
        self.tasks.append(task)
        self.ready.append(task)
        return task

    def after(self, steps: int, what: Callable[[], object]) -> None:
        """Have this done before the step that so many others precede, also if that is within the wait of another."""
        self._at_step[self.steps + steps] = what

    def wake(self, task: Task) -> None:
        if task not in self.ready:
            self.ready.append(task)

    def run(self, until: Callable[[], bool] = lambda: False) -> None:
        """Until nothing moves, or ``until``."""
        while not until():
            self.steps += 1
            self._at_step.pop(self.steps, bool)()
            if self.ready:
                task = self.ready.popleft()
                if not task.done:
                    task.step()
            elif not any(link.drive() for link in self.links) and not self.ready and not self._jump():
                return

    def _jump(self) -> bool:
        """To when the next bytes arrive, or to a deadline before that; False if nothing is on its way."""
        arrivals = [pipe.arrives_at for pipe in self.pipes if pipe.arrives_at is not None]
        if not arrivals:
            return False
        deadlines = [due for link in self.links if (due := link.engine.next_timeout()) is not None]
        self.now = max(self.now, min(arrivals + deadlines))
        for pipe in self.pipes:
            pipe.arrive(self.now)
        for link in self.links:
            due = link.engine.next_timeout()
            if due is not None and due <= self.now:
                link.drive()  # what has arrived comes before the deadline
                link.engine.handle_timeout(self.now)
        return True

    def call(self, conversation: Coroutine[Any, Any, Any]) -> Any:
        """Run everything until this one is done; its result. It is an error if it never is."""
        task = self.spawn(conversation)
        self.run(lambda: task.done)
        return task.result()

    def finish(self, conversation: Coroutine[Any, Any, Any]) -> Any:
        """``call``, and then run until nothing moves."""
        value = self.call(conversation)
        self.run()
        return value

    def pass_time(self, seconds: float) -> None:
        """The clock jumps."""
        self.now += seconds
        for link in self.links:
            link.engine.handle_timeout(self.now)
            link.session.pump()
        self.run()

    @property
    def waiting(self) -> list[Task]:
        """The tasks that are not done."""
        return [task for task in self.tasks if not task.done]


class Pipe:
    """One way of a wire; what is on its way fills it as well."""

    def __init__(self, capacity: int = 1 << 40, *, loop: Loop | None = None, latency: float = 0.0) -> None:
        self.capacity = capacity
        self.data = bytearray()
        self.closed = False
        self.error: str | None = None
        self._loop = loop
        self._latency = latency
        self._on_the_way: deque[tuple[float, bytes]] = deque()
        if loop is not None and latency:
            loop.pipes.append(self)

    @property
    def room(self) -> int:
        return self.capacity - len(self.data) - sum(len(piece) for _, piece in self._on_the_way)

    def put(self, data: bytes | bytearray) -> None:
        if self._loop is None or not self._latency:
            self.data += data
        else:
            self._on_the_way.append((self._loop.now + self._latency, bytes(data)))

    def close(self) -> None:
        """Heard of when all that was written has arrived."""
        if self._loop is None or not self._latency:
            self.closed = True
        else:
            self.put(b"")

    @property
    def arrives_at(self) -> float | None:
        return self._on_the_way[0][0] if self._on_the_way else None

    def arrive(self, now: float) -> None:
        while self._on_the_way and self._on_the_way[0][0] <= now:
            _, piece = self._on_the_way.popleft()
            self.data += piece
            self.closed |= not piece

    def take(self) -> bytes:
        data = bytes(self.data)
        self.data.clear()
        return data


class MemoryLink:
    """A link over two pipes. ``files`` are what ``open_instance`` finds; ``opened`` counts those still open."""

    session: Session
    nests = False

    def __init__(self, loop: Loop, engine: Association, incoming: Pipe, outgoing: Pipe, *, cut: Cut = whole) -> None:
        self.loop = loop
        self.engine = engine
        self.incoming = incoming
        self.outgoing = outgoing
        self.cut = cut
        self.files: dict[str, Instance | Exception] = {}
        self.opened = 0
        self.can_cancel = True
        self.kicks = 0
        self.highest_unsent = 0
        self._unwritten = bytearray()
        self._hung_up = False
        self._heard_all = False
        self._unread: deque[bytes] = deque()
        self._flushing: list[Signal] = []
        loop.links.append(self)

    # what conversations ask

    def now(self) -> float:
        return self.loop.now

    def signal(self) -> Signal:
        return Signal(self.loop)

    def spawn(self, conversation: Coroutine[Any, Any, None]) -> Job:
        task = self.loop.spawn(conversation)
        return task if self.can_cancel else Uncancellable()

    def kick(self) -> None:
        self.kicks += 1

    async def flush(self) -> None:
        self.kick()
        await _suspend(None)
        while self.engine.bytes_unsent >= self.engine.limits.output_high_water and not self.session.ended:
            signal = self.signal()
            self._flushing.append(signal)
            await signal.wait()

    async def call(self, function: Callable[..., Any], *args: Any, abandon_on_cancel: bool = False) -> Any:
        await _suspend(None)  # a worker thread takes its time
        return function(*args)

    def block_on(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.call(coroutine)

    def look(self) -> None:
        self.drive()

    def open_instance(self, path: Any) -> AbstractContextManager[Instance]:
        @contextmanager
        def opening() -> Iterator[Instance]:
            file = self.files[path]
            if isinstance(file, Exception):
                raise file
            self.opened += 1
            try:
                yield file
            finally:
                self.opened -= 1

        return opening()

    # the driver

    def drive(self) -> bool:
        """Write, read, and tell; whether anything moved."""
        self.session.pump()
        moved = self._write()
        moved |= self._read()
        if self.session.ended and not self._unwritten and not self._hung_up and not self.engine.bytes_unsent:
            self._hung_up = moved = True
            self.outgoing.close()
        return moved

    def _write(self) -> bool:
        moved = False
        while True:
            self.highest_unsent = max(self.highest_unsent, self.engine.bytes_unsent)
            if not self._unwritten:
                for buffer in self.engine.data_to_send(self.loop.now):
                    self._unwritten += buffer
            written = self._unwritten[: max(0, self.outgoing.room)]
            del self._unwritten[: len(written)]
            if not written:
                break
            moved = True
            if not self._hung_up:
                self.outgoing.put(written)
        if self.session.ended or self.engine.bytes_unsent < self.engine.limits.output_high_water:
            flushing, self._flushing = self._flushing, []
            for signal in flushing:
                signal.set()
        return moved

    def _read(self) -> bool:
        moved = False
        while not (self.session.stalled or self._heard_all):
            if self._unread:
                self.engine.receive_data(self._unread.popleft(), self.loop.now)
            elif data := self.incoming.take():
                self._unread.extend(self.cut(data))
            elif self.incoming.closed:
                self._heard_all = True
                self.engine.receive_eof(self.loop.now, self.incoming.error)
            else:
                break
            moved = True
            self.session.pump()
        return moved


class NestingSignal(Signal):
    """One whose wait runs everything else inside itself, as a blocking socket's."""

    async def wait(self) -> None:
        self._loop.run(lambda: self.is_set)
        assert self.is_set or any(link.session.ended for link in self._loop.links), "it waits for ever"


class NestingLink(MemoryLink):
    """A link as a blocking socket's: no wait ever suspends, and no conversation can be cancelled."""

    nests = True

    def signal(self) -> Signal:
        return NestingSignal(self.loop)

    def spawn(self, conversation: Coroutine[Any, Any, None]) -> Job:
        self.loop.spawn(conversation)
        return Uncancellable()

    async def flush(self) -> None:
        engine = self.engine
        self.loop.run(lambda: engine.bytes_unsent < engine.limits.output_high_water or self.session.ended)

    async def call(self, function: Callable[..., Any], *args: Any, abandon_on_cancel: bool = False) -> Any:
        return function(*args)


class Raw:
    """A scripted peer: it says what the test says, and never reads by itself."""

    def __init__(self, loop: Loop, incoming: Pipe, outgoing: Pipe) -> None:
        self.loop = loop
        self._incoming = incoming
        self._outgoing = outgoing

    def send(self, *parts: bytes | Pdu) -> None:
        """Say this, and let the other end do what it does with it."""
        for part in parts:
            self._outgoing.data += part if isinstance(part, bytes) else part.encode()
        self.loop.run()

    def heard(self) -> bytes:
        """The bytes that came since the last time."""
        self.loop.run()
        return self._incoming.take()

    def said(self) -> list[Any]:
        """What came since the last time, as messages, data sets and PDUs."""
        return read(self.heard())

    def vanish(self, error: str | None = None) -> None:
        """Close the connection, or break it."""
        self._outgoing.error = error
        self._outgoing.closed = True
        self.loop.run()

    @property
    def hung_up_on(self) -> bool:
        """Whether the other end has closed."""
        self.loop.run()
        return self._incoming.closed


Report = list[tuple[BaseException, str]]


def _session(
    loop: Loop,
    config: Requestor | Acceptor,
    incoming: Pipe,
    outgoing: Pipe,
    service: object | None,
    cut: Cut,
    reports: Report,
    sop_classes: SopClasses = STANDARD,
    *,
    associate: Associate = opens_none,
    nests: bool = False,
    is_open: bool = True,
) -> Session:
    engine = Association(config, now=loop.now, sop_classes=sop_classes)
    numbers = count(1)
    link = (NestingLink if nests else MemoryLink)(loop, engine, incoming, outgoing, cut=cut)
    session = link.session = Session(
        engine,
        link,
        address="memory",
        serve=scp.serve,
        service=service,
        report=lambda error, where: reports.append((error, where)),
        new_uid=lambda: f"2.25.{next(numbers)}",
        associate=associate,
    )
    if is_open:
        engine.transport_opened(loop.now)
    return session


@dataclass
class Place:
    """Where an association can be opened to: who answers there, and by which wire."""

    service: object
    accepts: Acceptor
    capacity: int = 1 << 40
    latency: float = 0.0
    reached: list[tuple[Session, Session]] = field(default_factory=list)
    """The sessions of each association so far: who opened it, and who answers."""


class Network:
    """What is opened while a C-MOVE is served: associations to places in memory, all under one loop."""

    def __init__(self, *, nests: bool = False) -> None:
        self.loop = Loop()
        self.reports: Report = []
        self.nests = nests
        self.places: dict[tuple[str, int], Place] = {}
        self.asked: list[tuple[Destination, dict[str, Any]]] = []
        """All destinations asked for, with their options."""

    @asynccontextmanager
    async def associate(self, destination: Destination, options: Mapping[str, Any]) -> AsyncIterator[Peer]:
        """As a transport's; who is nowhere cannot be reached."""
        self.asked.append((destination, dict(options)))
        place = self.places.get((destination.host, destination.port))
        loop, reports = self.loop, self.reports
        config = Requestor(destination.calling, destination.called, **options)
        capacity, latency = (place.capacity, place.latency) if place is not None else (1 << 40, 0.0)
        there, back = (Pipe(capacity, loop=loop, latency=latency) for _ in range(2))
        session = _session(loop, config, back, there, None, whole, reports, nests=self.nests, is_open=place is not None)
        if place is None:
            session.engine.receive_eof(loop.now, "connection refused")
        else:
            place.reached.append((session, _session(loop, place.accepts, there, back, place.service, whole, reports)))
        try:
            await session.established()
            yield (peer := Peer(session))
            await peer.release()
        except BaseException:
            session.abort()
            raise


class Joined:
    """Two sessions on one wire: ``scu`` opened it, ``scp`` answers with ``service``."""

    def __init__(
        self,
        service: object | None = None,
        *,
        scu_service: object | None = None,
        ours: Requestor | None = None,
        theirs: Acceptor | None = None,
        cut: Cut = whole,
        capacity: int = 1 << 40,
        latency: float = 0.0,
        sop_classes: SopClasses = STANDARD,
        network: Network | None = None,
    ) -> None:
        network = network or Network()
        self.loop, self.reports = network.loop, network.reports
        there, back = (Pipe(capacity, loop=self.loop, latency=latency) for _ in range(2))
        ours = ours or requestor()
        theirs = theirs or acceptor()
        self.scu = _session(self.loop, ours, back, there, scu_service, cut, self.reports, sop_classes)
        self.scp = _session(
            self.loop,
            theirs,
            there,
            back,
            service or Anything(),
            cut,
            self.reports,
            sop_classes,
            associate=network.associate,
            nests=network.nests,
        )
        self.peer = Peer(self.scu)
        self.there, self.back = there, back
        self.scu_link: MemoryLink = self.scu.link  # type: ignore[assignment]
        self.scp_link: MemoryLink = self.scp.link  # type: ignore[assignment]
        self.loop.call(self.scu.established())

    @property
    def sessions(self) -> Iterable[Session]:
        return (self.scu, self.scp)


class Anything:
    """A service that takes all and keeps it."""

    def __init__(self) -> None:
        self.stored: dict[str, bytes] = {}

    async def c_store(self, store: scp.Store) -> int:
        self.stored[store.sop_instance_uid] = await store.read()
        return 0


class Alone:
    """One session before a scripted peer, established; ``engine_pair``'s requestor or acceptor."""

    def __init__(
        self,
        service: object | None = None,
        *,
        config: Requestor | Acceptor | None = None,
        other: Requestor | Acceptor | None = None,
        cut: Cut = whole,
        capacity: int = 1 << 40,
        establish: bool = True,
        sop_classes: SopClasses = STANDARD,
        network: Network | None = None,
    ) -> None:
        network = network or Network()
        self.loop, self.reports = network.loop, network.reports
        self.config = config or (requestor() if service is None else acceptor())
        self.other = other
        into, out = Pipe(), Pipe(capacity)
        self.out = out
        self.session = _session(
            self.loop,
            self.config,
            into,
            out,
            service,
            cut,
            self.reports,
            sop_classes,
            associate=network.associate,
            nests=network.nests,
        )
        self.link: MemoryLink = self.session.link  # type: ignore[assignment]
        self.engine = self.session.engine
        self.peer = Peer(self.session)
        self.raw = Raw(self.loop, out, into)
        if establish:
            self.establish()

    def establish(self) -> None:
        """Ask or answer as the other side would."""
        if isinstance(self.config, Requestor):
            self.raw.heard()
            assert self.engine.request is not None
            other = self.other if isinstance(self.other, Acceptor) else acceptor()
            self.raw.send(answer(other, self.engine.request))
        else:
            self.raw.send(propose(self.other if isinstance(self.other, Requestor) else requestor()))
            self.raw.heard()
        assert self.engine.state is State.STA6


def windowed(
    asked: AsynchronousOperationsWindow | None, answered: AsynchronousOperationsWindow | None, **settings: Any
) -> Alone:
    """One that asked for this window, and the peer answered that, whether or not it may; None: without the item."""
    alone = Alone(config=requestor(window=asked), establish=False, **settings)
    alone.raw.heard()
    request = alone.engine.request
    assert request is not None
    accepted = answer(acceptor(), request)
    assert isinstance(accepted, AAssociateAC)
    items = [item for item in accepted.user_information if not isinstance(item, AsynchronousOperationsWindow)]
    items += [answered] if answered is not None else []
    alone.raw.send(AAssociateAC.of(request, contexts=accepted.presentation_contexts, user_information=items))
    assert alone.engine.state is State.STA6
    return alone


class Answering:
    """A scripted performer before an ``Alone``: it takes in what comes, and answers when and what the test says."""

    def __init__(self, alone: Alone) -> None:
        self._alone = alone
        self._reader = Reader(Limits(), maximum_length=0)
        self._assembler = Assembler(max_command=65536, max_fragments=1 << 30)
        self.waiting: dict[int, CEchoRQ | CStoreRQ] = {}
        """The requests that came whole and are not answered, by message ID, in their order."""
        self.receiving: CStoreRQ | None = None
        """Whose data set arrives."""
        self.data = bytearray()
        self.stored: dict[str, bytes] = {}
        self.ids: list[int] = []
        """The message IDs of all requests so far."""
        self.pdus: list[Any] = []
        self.most = 0
        """Most requests that were ever outstanding at once."""
        self.refused: set[str] = set()
        """The instances that were answered before their data sets had come."""

    def hear(self) -> bool:
        """Take in what has come; whether anything has."""
        data = self._alone.raw.heard()
        self._reader.feed(data)
        while (item := self._reader.next()) is not NEED_DATA:
            if isinstance(item, PDVPiece):
                self._piece(item)
            else:
                self.pdus.append(item)
        return bool(data)

    def _piece(self, item: PDVPiece) -> None:
        received = self._assembler.receive(item)
        if isinstance(received, CommandReceived):
            request: Any = received.decoded.message
            assert self.receiving is None, "PS3.8 E.1: nothing between the fragments of a message"
            assert request.message_id not in self.waiting, "PS3.7 9.1.1.1.1: unique among those outstanding"
            self.ids.append(request.message_id)
            if request.has_data_set:
                self.receiving = request
            else:
                self.waiting[request.message_id] = request
            self.most = max(self.most, len(self.waiting) + (self.receiving is not None))
        elif isinstance(received, DataReceived):
            assert self.receiving is not None
            self.data += received.data
            if received.is_last:
                uid = self.receiving.affected_sop_instance_uid
                if uid not in self.refused:
                    self.waiting[self.receiving.message_id] = self.receiving
                    self.stored[uid] = bytes(self.data)
                self.receiving = None
                self.data.clear()

    def answer(self, message_id: int, status: int = 0) -> None:
        """Answer a request, and let the other end do what it does with it."""
        if message_id in self.waiting:
            request = self.waiting.pop(message_id)
        else:
            assert self.receiving is not None
            request = self.receiving
            self.refused.add(request.affected_sop_instance_uid)
        if isinstance(request, CStoreRQ):
            response = CStoreRSP(
                message_id_being_responded_to=message_id,
                affected_sop_class_uid=request.affected_sop_class_uid,
                affected_sop_instance_uid=request.affected_sop_instance_uid,
                status=status,
            )
            self._alone.raw.send(command(3, response))
        else:
            self._alone.raw.send(echo_rsp(message_id, status=status))

    def answer_all(self, status: int = 0) -> None:
        """Answer whatever comes, in its order, until nothing does."""
        while self.hear() or self.waiting:
            for message_id in list(self.waiting):
                self.answer(message_id, status)


def nothing_left(session: Session) -> bool:
    """Whether no conversation left anything behind."""
    engine = session.engine
    return not (session._inboxes or session._jobs or session.line or engine.outstanding or engine.unanswered)


def instance(
    size: int = 1000, uid: str = "1.2.3.4", *, piece: int = 65536, sop_class: str = "1.2.840.10008.5.1.4.1.1.2"
) -> Instance:
    """An instance of ``size`` bytes that are no data set, in pieces."""
    data = memoryview(content(size))
    return Instance(
        sop_class,
        uid,
        "1.2.840.10008.1.2.1",
        size,
        lambda: (data[at : at + piece] for at in range(0, size, piece)),
    )


def content(size: int) -> bytes:
    """The bytes of ``instance``."""
    return (bytes(range(251)) * (size // 251 + 1))[:size]
