"""The association: a byte that chooses where it stands, a byte that chooses its user, and what the peer sends.

However the peer's bytes are cut, the engine says the same and tells the same, within its limits; nothing but
documented behaviour leaves it; and when the peer closes, or only time passes, it ends, once and for good.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Final

from harness import cuts, run

from sansdimse import (
    DEFAULT,
    LENIENT,
    NEED_DATA,
    STRICT,
    VERIFICATION,
    Acceptor,
    Association,
    AssociationAccepted,
    AssociationRequested,
    AsynchronousOperationsWindow,
    CancelRequested,
    DatasetReceived,
    EchoRequested,
    Ended,
    FindRequested,
    FindSCP,
    GetRequested,
    GetSCP,
    Limits,
    LocalProtocolError,
    MoveRequested,
    MoveSCP,
    NormalizedRequested,
    PresentationContext,
    Profile,
    ReleaseRequested,
    RemoteProtocolError,
    Request,
    Requestor,
    ResponseReceived,
    SendingAllowed,
    State,
    StoreRequest,
    StoreRequested,
    UnservableRequested,
)
from sansdimse.dimse.command import encode_command
from sansdimse.dimse.fragments import command_pdus
from sansdimse.dimse.messages import WITH_DATA_SET, CFindRQ, CGetRQ, CMoveRQ, CStoreRQ, Message, NCreateRQ
from sansdimse.ul.negotiation import answer, propose
from sansdimse.ul.pdu import PDV, AAbort, AReleaseRQ, PDataTF
from sansdimse.ul.reader import PDVPiece, Reader

CT: Final = "1.2.840.10008.5.1.4.1.1.2"
FIND: Final = "1.2.840.10008.5.1.4.1.2.2.1"
GET: Final = "1.2.840.10008.5.1.4.1.2.2.3"
MOVE: Final = "1.2.840.10008.5.1.4.1.2.2.2"
PRIVATE: Final = "1.2.3.4.5.6"  # has whatever services one likes
CONTEXTS: Final = tuple(
    PresentationContext(uid, scp=True)
    for uid in (VERIFICATION, CT, FIND, GET, MOVE, PRIVATE)  # 1, 3, 5, 7, 9, 11
)
WINDOWS: Final = (AsynchronousOperationsWindow(1, 1), AsynchronousOperationsWindow(3, 2))
PROFILES: Final = (DEFAULT, LENIENT, STRICT, DEFAULT)
LIMITS: Final = Limits(
    associate_pdu=4096,
    command_set=512,
    message=2048,
    identifier=512,
    attributes=512,
    fragments=64,
    operations_over_window=2,
    held_data=256,
    queued_messages=3,
    deviations=8,
    idle=90.0,
)
MAXIMUM_LENGTH: Final = 1024
STEPS: Final = 200  # of time, in which everything must have ended


def _requestor(window: AsynchronousOperationsWindow, profile: Profile) -> Requestor:
    return Requestor(
        "ME", "YOU", CONTEXTS, window=window, limits=LIMITS, profile=profile, maximum_length=MAXIMUM_LENGTH
    )


def _acceptor(window: AsynchronousOperationsWindow, profile: Profile) -> Acceptor:
    return Acceptor("YOU", CONTEXTS, window=window, limits=LIMITS, profile=profile, maximum_length=MAXIMUM_LENGTH)


class User:
    """Whoever drives the engine: what it says does not depend on how the bytes were cut."""

    def __init__(self, engine: Association, habits: int) -> None:
        self.engine = engine
        self.answers = bool(habits & 1)
        self.releases = bool(habits & 2)
        self.asks = bool(habits & 4)
        self.refuses_early = bool(habits & 8)
        self.abandons = bool(habits & 16)
        self.asked = 0

    def __call__(self, event: object) -> None:
        """React to an event; what is not allowed is refused by ``LocalProtocolError``, and changes nothing."""
        engine = self.engine
        match event:
            case AssociationRequested() if self.answers or self.asks:
                with suppress(LocalProtocolError):
                    engine.accept()
                if engine.state is State.STA3:
                    engine.reject()
            case AssociationAccepted() if self.asks:
                self.ask()
            case StoreRequested(operation=store):
                if self.refuses_early:
                    self.tries(partial(store.respond, 0xA700))
            case DatasetReceived(is_last=True, operation=store) if self.answers:
                self.tries(store.respond)
            case EchoRequested(operation=echo) if self.answers:
                self.tries(echo.respond)
            case UnservableRequested(operation=unservable) if self.answers:
                self.tries(unservable.respond)
            case FindRequested(operation=find):
                self.tries(partial(find.send_match, b"a match."))
                if self.answers:
                    self.tries(partial(find.finish, 0xA700 if self.refuses_early else 0))
            case GetRequested(operation=get):
                self.retrieve(get)
                for instance in ("1.2.1", "1.2.2"):
                    self.tries(partial(self.store, get, instance))
            case MoveRequested(operation=move):
                self.retrieve(move)
                if self.answers:
                    self.tries(move.finish)
            case NormalizedRequested(operation=normalized):
                self.tries(partial(normalized.respond, 0x0110, b"not with a failure"))
                if self.answers:
                    status = 0x0112 if self.refuses_early else 0
                    self.tries(partial(normalized.respond, status, None if status else b"a reply.", error_id=3))
                    self.tries(partial(normalized.respond, sop_instance_uid="1.2.9"))
            case CancelRequested(operation=cancelled):
                assert isinstance(cancelled, FindSCP | GetSCP | MoveSCP), "nothing else can be cancelled"
                if isinstance(cancelled, FindSCP):
                    self.tries(partial(cancelled.send_match, b"one more", 0xFF01))
                else:
                    self.tries(cancelled.send_pending)
                self.tries(partial(cancelled.finish, 0xFE00))
            case SendingAllowed(operation=store):
                self.tries(partial(store.send_data, b"abcd", is_last=True))
            case ResponseReceived(operation=StoreRequest(sub_operation_of=GetSCP() as get)):
                self.tries(partial(self.store, get, "1.2.3"))
                if self.answers:
                    self.tries(get.finish)
            case ResponseReceived(is_final=True):
                if self.asks:
                    self.ask()
                elif self.releases:
                    self.tries(engine.release)
            case ReleaseRequested() if self.releases:
                self.tries(partial(engine.respond_release, force=self.answers))

    def retrieve(self, operation: GetSCP | MoveSCP) -> None:
        """Three instances, of which one is not there."""
        self.tries(operation.finish if self.releases else operation.send_pending)
        self.tries(partial(operation.expect, 3))
        self.tries(partial(operation.expect, 3))
        self.tries(partial(operation.record, 0xA700, "1.2.9"))
        self.tries(operation.send_pending)
        operation.shows_life()

    def store(self, get: GetSCP, instance: str) -> None:
        """A sub-operation, whose data set is sent at once if it is its turn, and withdrawn if it is not wanted."""
        stored = get.store(CT, instance)
        self.tries(partial(stored.send_data, b"an image", is_last=True))
        if self.abandons and not stored.was_invoked:
            stored.abandon()

    def ask(self) -> None:
        """Invoke what the window allows; each time another comes first."""
        engine = self.engine
        finds: list[Callable[[], Request]] = [
            partial(engine.c_find, FIND, bytes(700)),
            partial(engine.c_get, GET, b"which ones"),
            partial(engine.c_move, MOVE, b"which ones", "STORE"),
            partial(engine.n_create, PRIVATE, None, bytes(300)),
            partial(engine.n_get, PRIVATE, "1.2.3"),
            partial(engine.n_event_report, PRIVATE, "1.2.3", 1, b"an event"),
        ]
        for _ in range(2):
            with suppress(LocalProtocolError):
                operation = finds[self.asked % len(finds)]()
                self.asked += 1
                if self.abandons:
                    operation.abandon(7.0)
                elif self.refuses_early:
                    self.tries(operation.cancel)
            with suppress(LocalProtocolError):
                store = engine.c_store(CT, "1.2.3")
                self.tries(partial(store.send_data, bytes(1500)))
                with suppress(LocalProtocolError):
                    echo = engine.c_echo()
                    if self.abandons:
                        self.tries(echo.cancel)
                        echo.abandon(5.0)
                self.tries(partial(store.send_data, b"ab", is_last=True))

    def tries(self, verb: Callable[[], object]) -> None:
        """Say it; if that is not allowed now, nothing has changed."""
        engine = self.engine
        before = engine.state, engine.bytes_unsent, engine.outstanding, engine.unanswered, engine.outcome
        try:
            verb()
        except LocalProtocolError:
            after = engine.state, engine.bytes_unsent, engine.outstanding, engine.unanswered, engine.outcome
            assert after == before


class Run:
    """One engine fed in one chunking, with what it told and said."""

    def __init__(self, place: int, habits: int, chunks: list[bytes], *, closes: bool) -> None:
        self.told: list[object] = []
        self.said = bytearray()
        self.now = 0.0
        self.over = False
        window, profile = WINDOWS[habits >> 5 & 1], PROFILES[habits >> 6]
        self.engine = PLACES[place](window, profile)
        self.user = User(self.engine, habits)
        self._pump()
        if self.user.asks:
            self.user.ask()
        for chunk in chunks:
            self.engine.receive_data(chunk, self.now)
            self._pump()
        if closes:
            self.engine.receive_eof(self.now)
            self._pump()
        self._wait()
        self._check_end()

    def _pump(self) -> None:
        """Take what there is; the output after each event, since an abort forgets what nobody will read."""
        engine = self.engine
        while not self.over:
            self._take()
            event = engine.next_event()
            if event is NEED_DATA:
                break
            self._tell(event)
            self.over = isinstance(event, Ended)
            self.user(event)
        self._take()
        assert engine.bytes_buffered <= LIMITS.associate_pdu
        assert len(engine.deviations) <= LIMITS.deviations
        assert len(engine.unanswered) <= WINDOWS[1].invoked + LIMITS.operations_over_window + 1

    def _tell(self, event: object) -> None:
        """Remember it, the pieces of one data set joined."""
        if isinstance(event, DatasetReceived):
            event = replace(event, data=bytes(event.data))
            last = self.told[-1] if self.told else None
            if isinstance(last, DatasetReceived) and not last.is_last:
                assert last.operation is event.operation
                event = replace(event, data=bytes(last.data) + bytes(event.data))
                self.told.pop()
        self.told.append(event)

    def _take(self) -> None:
        while buffers := self.engine.data_to_send(self.now):
            for buffer in buffers:
                self.said += buffer

    def _wait(self) -> None:
        """Whatever the peer leaves undone, there is a deadline."""
        for _ in range(STEPS):
            if self.over:
                return
            for request in self.engine.outstanding:
                if isinstance(request, StoreRequest) and request.may_send:
                    request.abandon()  # a data set that its user leaves open has no deadline
            deadline = self.engine.next_timeout()
            assert deadline is not None, f"it would wait for ever in {self.engine.state}"
            self.now = max(self.now, deadline)
            self.engine.handle_timeout(self.now)
            self._pump()
        raise AssertionError(f"{STEPS} deadlines, and it has not ended")

    def _check_end(self) -> None:
        engine = self.engine
        ended = self.told[-1]
        assert isinstance(ended, Ended)
        assert [type(event) for event in self.told].count(Ended) == 1
        assert engine.next_event() == ended
        assert engine.wants_close
        assert engine.state is State.STA1
        assert engine.outcome == ended.outcome
        assert str(ended.outcome)
        assert not engine.outstanding
        assert not engine.unanswered
        assert not engine.bytes_unsent
        assert not engine.bytes_buffered
        assert engine.next_timeout() is None
        engine.abort()
        assert not engine.data_to_send(self.now)
        _check_said(bytes(self.said))


def _check_said(said: bytes) -> None:
    """We send strictly: whole PDUs, even fragments, and after an A-ABORT at most another one (AA-7)."""
    reader = Reader(Limits(), maximum_length=0)
    reader.feed(said)
    aborts = 0
    try:
        while (item := reader.next()) is not NEED_DATA:
            assert not aborts or isinstance(item, AAbort), "something follows an A-ABORT"
            if isinstance(item, PDVPiece):
                assert item.ends, "a fragment is cut"
                assert not item.length % 2, "a fragment is odd"
            aborts += isinstance(item, AAbort)
    except RemoteProtocolError as error:
        raise AssertionError("what we said is no PDU") from error
    assert not reader.mid_pdu
    assert aborts <= 2


# ---------------------------------------------------------------- where it may stand

Window = AsynchronousOperationsWindow


def _fresh(config: Requestor | Acceptor) -> Association:
    engine = Association(config, now=0.0)
    engine.transport_opened(0.0)
    return engine


def _run(engine: Association, *received: bytes) -> Association:
    for data in received:
        engine.receive_data(data, 0.0)
    while engine.next_event() is not NEED_DATA:
        pass
    engine.data_to_send(0.0)
    return engine


def _acceptor_fresh(window: Window, profile: Profile) -> Association:
    return _fresh(_acceptor(window, profile))


def _requestor_fresh(window: Window, profile: Profile) -> Association:
    return _fresh(_requestor(window, profile))


def _acceptor_asked(window: Window, profile: Profile) -> Association:
    return _run(_acceptor_fresh(window, profile), propose(_requestor(window, profile)).encode())


def _acceptor_established(window: Window, profile: Profile) -> Association:
    engine = _acceptor_asked(window, profile)
    engine.accept()
    return _run(engine)


def _requestor_established(window: Window, profile: Profile) -> Association:
    engine = _run(_requestor_fresh(window, profile))
    assert engine.request is not None
    return _run(engine, answer(_acceptor(window, profile), engine.request).encode())


def _storing(engine: Association) -> Association:
    """In the middle of a data set of the peer."""
    request = CStoreRQ(message_id=9, affected_sop_class_uid=CT, affected_sop_instance_uid="1.2.3")
    begun = PDataTF((PDV(3, 0, b"beginning."),)).encode()
    return _run(engine, *command_pdus(3, encode_command(request), 512), begun)


def _acceptor_storing(window: Window, profile: Profile) -> Association:
    return _storing(_acceptor_established(window, profile))


def _requestor_sending(window: Window, profile: Profile) -> Association:
    """In the middle of a data set of ours."""
    engine = _requestor_established(window, profile)
    engine.c_store(CT, "1.2.3").send_data(bytes(3000))
    return _run(engine)


def _requestor_waiting(window: Window, profile: Profile) -> Association:
    engine = _requestor_established(window, profile)
    engine.c_echo()
    return _run(engine)


def _requestor_finding(window: Window, profile: Profile) -> Association:
    engine = _requestor_established(window, profile)
    engine.c_find(FIND, b"a query.")
    return _run(engine)


def _acceptor_finding(window: Window, profile: Profile) -> Association:
    """Between two matches."""
    request = CFindRQ(message_id=9, affected_sop_class_uid=FIND)
    engine = _acceptor_established(window, profile)
    asked = (*command_pdus(5, encode_command(request), 512), PDataTF((PDV(5, 2, b"a query."),)).encode())
    find = _run(engine, *asked).unanswered[0]
    assert isinstance(find, FindSCP)
    find.send_match(b"a match.")
    return _run(engine)


def _acceptor_gathering(window: Window, profile: Profile) -> Association:
    """In the middle of an identifier."""
    request = CFindRQ(message_id=9, affected_sop_class_uid=FIND)
    begun = PDataTF((PDV(5, 0, b"beginning."),)).encode()
    return _run(_acceptor_established(window, profile), *command_pdus(5, encode_command(request), 512), begun)


def _told(
    engine: Association, context_id: int, request: Message, data_set: bytes, *, whole: bool = True
) -> Association:
    """With a request of the peer, or in the middle of its data set."""
    sent = PDataTF((PDV(context_id, 2 if whole else 0, data_set),)).encode()
    return _run(engine, *command_pdus(context_id, encode_command(request), 512), sent)


def _requestor_getting(window: Window, profile: Profile) -> Association:
    """Waiting for what a C-GET of ours stores."""
    engine = _requestor_established(window, profile)
    engine.c_get(GET, b"which ones")
    return _run(engine)


def _requestor_got_one(window: Window, profile: Profile) -> Association:
    """In the middle of what it stores."""
    return _storing(_requestor_getting(window, profile))


def _requestor_moving(window: Window, profile: Profile) -> Association:
    engine = _requestor_established(window, profile)
    engine.c_move(MOVE, b"which ones", "STORE")
    return _run(engine)


def _requestor_creating(window: Window, profile: Profile) -> Association:
    engine = _requestor_established(window, profile)
    engine.n_create(PRIVATE, None, b"an instance.")
    return _run(engine)


def _acceptor_getting(window: Window, profile: Profile) -> Association:
    """With a sub-operation that is not answered, and one that failed."""
    request = CGetRQ(message_id=9, affected_sop_class_uid=GET)
    engine = _told(_acceptor_established(window, profile), 7, request, b"which ones")
    [get] = engine.unanswered
    assert isinstance(get, GetSCP)
    get.expect(4)
    get.record(0xA700, "1.2.9")
    get.store(CT, "1.2.1").send_data(b"an image", is_last=True)
    return _run(engine)


def _acceptor_moving(window: Window, profile: Profile) -> Association:
    request = CMoveRQ(message_id=9, affected_sop_class_uid=MOVE, move_destination="STORE")
    engine = _told(_acceptor_established(window, profile), 9, request, b"which ones")
    [move] = engine.unanswered
    assert isinstance(move, MoveSCP)
    move.expect(2)
    move.record(0, "1.2.1")
    move.send_pending()
    return _run(engine)


def _acceptor_creating(window: Window, profile: Profile) -> Association:
    """In the middle of the data set of an N-CREATE."""
    request = NCreateRQ(message_id=9, affected_sop_class_uid=PRIVATE, command_data_set_type=WITH_DATA_SET)
    return _told(_acceptor_established(window, profile), 11, request, b"beginning.", whole=False)


def _releasing(engine: Association) -> Association:
    engine.release(force=True)
    return _run(engine)


def _aborting(engine: Association) -> Association:
    engine.abort()
    return _run(engine)


def _requestor_releasing(window: Window, profile: Profile) -> Association:
    return _releasing(_requestor_waiting(window, profile))


def _acceptor_releasing(window: Window, profile: Profile) -> Association:
    return _releasing(_acceptor_storing(window, profile))


def _acceptor_asked_to_release(window: Window, profile: Profile) -> Association:
    return _run(_acceptor_established(window, profile), AReleaseRQ().encode())


def _requestor_colliding(window: Window, profile: Profile) -> Association:
    return _run(_requestor_releasing(window, profile), AReleaseRQ().encode())


def _acceptor_colliding(window: Window, profile: Profile) -> Association:
    return _run(_releasing(_acceptor_established(window, profile)), AReleaseRQ().encode())


def _requestor_aborting(window: Window, profile: Profile) -> Association:
    return _aborting(_requestor_waiting(window, profile))


def _acceptor_rejecting(window: Window, profile: Profile) -> Association:
    engine = _acceptor_asked(window, profile)
    engine.reject()
    return _run(engine)


PLACES: Final[tuple[Callable[[Window, Profile], Association], ...]] = (
    _acceptor_fresh,
    _requestor_fresh,
    _acceptor_asked,
    _acceptor_established,
    _requestor_established,
    _acceptor_storing,
    _requestor_sending,
    _requestor_waiting,
    _requestor_releasing,
    _acceptor_releasing,
    _acceptor_asked_to_release,
    _requestor_colliding,
    _acceptor_colliding,
    _requestor_aborting,
    _acceptor_rejecting,
    _requestor_finding,
    _acceptor_finding,
    _acceptor_gathering,
    _requestor_getting,
    _requestor_got_one,
    _requestor_moving,
    _requestor_creating,
    _acceptor_getting,
    _acceptor_moving,
    _acceptor_creating,
)


def check(data: bytes) -> None:
    """In every chunking the same events and the same bytes, and an end; only documented exceptions."""
    if len(data) < 2:
        return
    place, habits, sent = data[0], data[1], data[2:]
    closes, place = bool(place & 0x80), (place & 0x7F) % len(PLACES)
    expected, *others = [Run(place, habits, chunks, closes=closes) for chunks in cuts(sent)]
    for other in others:
        assert other.told == expected.told
        assert other.said == expected.said
        assert other.engine.deviations == expected.engine.deviations


if __name__ == "__main__":
    raise SystemExit(run(check))
