"""Random conversations for one engine: sound, odd, broken and random bytes, verbs, time, and the connection's end."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

from hypothesis import strategies as st

from engine_pair import (
    ABORT,
    CT,
    FIND,
    GET,
    GETTING,
    INSTANCE,
    MOVE,
    MOVING,
    MR,
    QUERY,
    RELEASE_RP,
    RELEASE_RQ,
    Cut,
    Scripted,
    acceptor,
    command,
    data,
    echo_rq,
    echo_rsp,
    find_rsp,
    get_rsp,
    joined,
    message,
    move_rsp,
    pdv,
    requestor,
    store_rq,
    store_rsp,
    whole,
)
from sansdimse.dimse.messages import (
    NO_DATA_SET,
    WITH_DATA_SET,
    CCancelRQ,
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
    Element,
    Message,
    NActionRQ,
    NActionRSP,
    NCreateRQ,
    NCreateRSP,
    NDeleteRQ,
    NDeleteRSP,
    NEventReportRQ,
    NEventReportRSP,
    NGetRQ,
    NGetRSP,
    NSetRQ,
    NSetRSP,
    UnknownCommand,
)
from sansdimse.errors import LocalProtocolError
from sansdimse.events import DatasetReceived
from sansdimse.limits import Limits
from sansdimse.profile import DEFAULT, LENIENT, STRICT, Profile
from sansdimse.services.normalized import NormalizedRequest, NormalizedSCP
from sansdimse.services.operation import RESPONSE_TO, Performed, Request
from sansdimse.services.query import FindRequest, FindSCP
from sansdimse.services.retrieve import GetRequest, GetSCP, MoveRequest, MoveSCP
from sansdimse.services.storage import StoreRequest
from sansdimse.uids import VERIFICATION
from sansdimse.ul.items import AsynchronousOperationsWindow
from sansdimse.ul.negotiation import answer, propose
from sansdimse.ul.parties import Acceptor, PresentationContext, Requestor
from sansdimse.ul.pdu import AAssociateRJ, PDataTF
from sansdimse.ul.table import State

LIMITS = Limits(
    associate_pdu=4096,
    own_pdu=64,
    command_set=512,
    fragments=40,
    message=400,
    identifier=60,
    attributes=60,
    operations_over_window=2,
    held_data=48,
    output=600,
    queued_messages=3,
    output_high_water=256,
    deviations=6,
    idle=20.0,
)
WINDOW = AsynchronousOperationsWindow(2, 2)
PRIVATE = "1.2.3.4.5.6"  # has whatever services one likes
MORE = (QUERY, GETTING, MOVING, PresentationContext(PRIVATE, scp=True))  # contexts 7, 9, 11, 13

_ids = st.integers(0, 4)
_contexts = st.sampled_from([1, 1, 3, 3, 3, 5, 7, 7, 9, 9, 11, 13, 13, 15])
_statuses = st.sampled_from([0x0000, 0x0000, 0xA700, 0xC001, 0xB000, 0xFF00, 0x1234])
_uids = st.sampled_from([VERIFICATION, CT, CT, MR, FIND, GET, GET, MOVE, PRIVATE, PRIVATE])
_payload = st.binary(max_size=40)
_with_or_without = st.sampled_from([NO_DATA_SET, WITH_DATA_SET])
_requested = {
    "message_id": _ids,
    "requested_sop_class_uid": _uids,
    "requested_sop_instance_uid": st.just(INSTANCE),
}
_responding = {
    "message_id_being_responded_to": _ids,
    "status": _statuses,
    "affected_sop_class_uid": st.none() | _uids,
    "command_data_set_type": _with_or_without,
}

_messages = st.one_of(
    st.builds(CEchoRQ, message_id=_ids, affected_sop_class_uid=_uids),
    st.builds(CStoreRQ, message_id=_ids, affected_sop_class_uid=_uids, affected_sop_instance_uid=st.just(INSTANCE)),
    st.builds(CFindRQ, message_id=_ids, affected_sop_class_uid=_uids),
    st.builds(CGetRQ, message_id=_ids, affected_sop_class_uid=_uids),
    st.builds(CMoveRQ, message_id=_ids, affected_sop_class_uid=_uids, move_destination=st.just("STORE")),
    st.builds(NGetRQ, **_requested, attribute_identifier_list=st.just((0x00100010,))),
    st.builds(NSetRQ, **_requested),
    st.builds(NActionRQ, **_requested, action_type_id=_ids, command_data_set_type=_with_or_without),
    st.builds(NDeleteRQ, **_requested),
    st.builds(
        NCreateRQ,
        message_id=_ids,
        affected_sop_class_uid=_uids,
        affected_sop_instance_uid=st.none() | st.just(INSTANCE),
        command_data_set_type=_with_or_without,
    ),
    st.builds(
        NEventReportRQ,
        message_id=_ids,
        affected_sop_class_uid=_uids,
        affected_sop_instance_uid=st.just(INSTANCE),
        event_type_id=_ids,
        command_data_set_type=_with_or_without,
    ),
    st.builds(CCancelRQ, message_id_being_responded_to=_ids),
    *(
        st.builds(kind, **_responding)
        for kind in (CGetRSP, CMoveRSP, NGetRSP, NSetRSP, NActionRSP, NCreateRSP, NEventReportRSP)
    ),
    st.builds(NDeleteRSP, message_id_being_responded_to=_ids, status=_statuses),
    st.builds(CEchoRSP, message_id_being_responded_to=_ids, affected_sop_class_uid=_uids, status=_statuses),
    st.builds(CStoreRSP, message_id_being_responded_to=_ids, affected_sop_class_uid=_uids, status=_statuses),
    st.builds(
        CFindRSP,
        message_id_being_responded_to=_ids,
        affected_sop_class_uid=_uids,
        status=_statuses,
        command_data_set_type=st.sampled_from([NO_DATA_SET, WITH_DATA_SET]),
    ),
    # Known commands with elements missing, unknown ones, and data sets announced that nobody expects.
    st.builds(
        UnknownCommand,
        st.sampled_from(
            [int(field, 16) for field in "0030 0001 0020 0010 0021 0FFF 7777 0100 0110 0120 0130 0140 0150".split()]
        )
        .flatmap(lambda field: st.sampled_from([field, field | 0x8000]))
        .filter(lambda field: field != 0x8FFF),
        st.none() | _ids,
        st.lists(
            st.sampled_from(
                [
                    Element(0x0002, b"1.2.840.10008.1.1\0"),
                    Element(0x0120, b"\1\0"),
                    Element(0x0800, b"\0\0"),
                    Element(0x0800, b"\1\1"),
                    Element(0x0900, b"\0\0"),
                    Element(0x1000, b"no UID"),
                    Element(0x1001, b"1.2.3.4\0"),
                    Element(0x1008, b"\1\0"),
                ]
            ),
            max_size=4,
            unique_by=lambda element: element.tag,
        ).map(tuple),
    ),
)
_data_pdus = st.builds(
    lambda pdvs: PDataTF(tuple(pdvs)).encode(),
    st.lists(
        st.builds(pdv, _contexts, _payload, is_command=st.booleans(), is_last=st.booleans()), min_size=1, max_size=3
    ),
)


@st.composite
def _stores(draw: st.DrawFn) -> bytes:
    message_id, pieces = draw(_ids), draw(st.lists(_payload, min_size=1, max_size=4))
    return store_rq(message_id) + b"".join(
        data(3, piece, is_last=index == len(pieces)) for index, piece in enumerate(pieces, 1)
    )


@st.composite
def _finds(draw: st.DrawFn) -> bytes:
    message_id, pieces = draw(_ids), draw(st.lists(_payload, min_size=1, max_size=3))
    return command(7, CFindRQ(message_id=message_id, affected_sop_class_uid=FIND)) + b"".join(
        data(7, piece, is_last=index == len(pieces)) for index, piece in enumerate(pieces, 1)
    )


@st.composite
def _whole(draw: st.DrawFn) -> bytes:
    """A request that is told with its whole data set, which comes by pieces."""
    message_id, pieces = draw(_ids), draw(st.lists(_payload, min_size=1, max_size=3))
    context_id, request = draw(
        st.sampled_from(
            [
                (9, CGetRQ(message_id=message_id, affected_sop_class_uid=GET)),
                (9, CGetRQ(message_id=message_id, affected_sop_class_uid=GET)),
                (11, CMoveRQ(message_id=message_id, affected_sop_class_uid=MOVE, move_destination="STORE")),
                (13, _set(message_id)),
                (13, _create(message_id)),
            ]
        )
    )
    return command(context_id, request) + b"".join(
        data(context_id, piece, is_last=index == len(pieces)) for index, piece in enumerate(pieces, 1)
    )


def _set(message_id: int) -> NSetRQ:
    return NSetRQ(message_id=message_id, requested_sop_class_uid=PRIVATE, requested_sop_instance_uid=INSTANCE)


def _create(message_id: int) -> NCreateRQ:
    return NCreateRQ(message_id=message_id, affected_sop_class_uid=PRIVATE, command_data_set_type=WITH_DATA_SET)


def _get_rq(message_id: int) -> bytes:
    return message(9, CGetRQ(message_id=message_id, affected_sop_class_uid=GET), b"which.")


def _move_rq(message_id: int) -> bytes:
    request = CMoveRQ(message_id=message_id, affected_sop_class_uid=MOVE, move_destination="STORE")
    return message(11, request, b"which.")


def _short(message_id: int) -> bytes:
    """A request of DIMSE-N without data set."""
    uids = {"requested_sop_class_uid": PRIVATE, "requested_sop_instance_uid": INSTANCE}
    return message(13, NGetRQ(message_id=message_id, **uids))


_requests = st.sampled_from([requestor(), requestor(QUERY, window=WINDOW), requestor(*MORE, window=WINDOW)]).map(
    propose
)
_sound = st.one_of(
    st.builds(command, _contexts, _messages, st.sampled_from([40, 4096])),
    _stores(),
    _stores(),
    _finds(),
    _whole(),
    _whole(),
    st.builds(_short, _ids),
    st.builds(echo_rq, _ids),
    st.builds(echo_rsp, _ids, status=_statuses),
    st.builds(store_rsp, _ids, status=_statuses),
    st.builds(find_rsp, _ids, status=_statuses, identifier=st.none() | _payload),
    st.builds(get_rsp, _ids, st.just(9), status=_statuses, identifier=st.none() | _payload),
    st.builds(move_rsp, _ids, st.just(11), status=_statuses, identifier=st.none() | _payload),
    _data_pdus,
    st.one_of(
        st.sampled_from([RELEASE_RQ, RELEASE_RP, ABORT, AAssociateRJ(1, 1, 1)]).map(lambda pdu: pdu.encode()),
        _requests.map(lambda request: request.encode()),
        _requests.map(lambda request: answer(acceptor(), request).encode()),
        st.just(b"\x09\0\0\0\0\0"),
    ),
)


@st.composite
def _broken(draw: st.DrawFn) -> bytes:
    raw = bytearray(draw(_sound))
    if draw(st.booleans()):
        raw[draw(st.integers(0, len(raw) - 1))] ^= draw(st.integers(1, 255))
    return bytes(raw[: draw(st.integers(1, len(raw)))]) if draw(st.booleans()) else bytes(raw)


_bytes = st.one_of(_sound, _sound, _sound, _broken(), st.binary(min_size=1, max_size=20))
VERBS = (
    "accept reject release force_release respond_release force_respond_release abort echo store find mistake bad_find "
    "bad_match cancel abandon answer refuse match piece last_piece get move n_create n_set n_get n_event n_delete "
    "bad_n bad_n_answer n_answer expect bad_expect sub_store record pending shows_life end_cancelled"
).split()
_verbs = st.sampled_from(VERBS)


class Eof(NamedTuple):
    """The connection ends."""

    error: str | None


class Reply(NamedTuple):
    """The peer answers a request of ours, the last or the first of them; with this data set, if it may have one."""

    last: bool
    status: int
    identifier: bytes | None = None


Step = bytes | str | float | Eof | Reply

_replies = st.builds(Reply, st.booleans(), _statuses, st.none() | _payload)
_matches = st.builds(Reply, st.just(True), st.just(0xFF00), _payload)
_cancels = st.builds(
    lambda message_id: command(7, CCancelRQ(message_id_being_responded_to=message_id)), st.integers(0, 4)
)
_ended = st.builds(Reply, st.booleans(), st.sampled_from([0x0000, 0xB000, 0xFE00, 0xA702]), st.none() | _payload)
_normalized = st.sampled_from(["n_create", "n_set", "n_get", "n_event", "n_delete"])
_got = _ids.map(_get_rq)
_moved = _ids.map(_move_rq)
_accidents: st.SearchStrategy[Step] = st.one_of(
    _bytes, _bytes, _verbs, _verbs, _replies, st.floats(0.0, 90.0), st.builds(Eof, st.none() | st.just("reset"))
)
_RELEASE_RQ, _RELEASE_RP = RELEASE_RQ.encode(), RELEASE_RP.encode()
_courses: st.SearchStrategy[list[Step]] = st.one_of(
    _accidents.map(lambda step: [step]),
    st.tuples(st.just("echo"), _replies).map(list),
    st.tuples(st.just("store"), st.just("piece"), st.just("last_piece"), _replies).map(list),
    st.tuples(st.just("store"), st.just("piece"), _replies, _verbs, st.just("last_piece")).map(list),
    st.tuples(st.just("store"), st.just("piece"), st.just("force_release"), _replies).map(list),
    st.tuples(st.just("mistake"), st.just("echo")).map(list),
    st.tuples(st.just("find"), _matches, _verbs, _matches, _replies).map(list),
    st.tuples(st.just("find"), st.sampled_from(["cancel", "abandon"]), _matches, _replies).map(list),
    st.tuples(st.just("store"), st.just("find"), st.just("cancel"), _verbs, st.just("last_piece"), _matches).map(list),
    st.tuples(_finds(), st.just("match"), st.sampled_from(["match", "bad_match"]), _cancels, st.just("answer")).map(
        list
    ),
    st.tuples(_finds(), _finds(), _finds(), _cancels, st.just("match"), st.just("answer"), st.just("answer")).map(list),
    st.tuples(st.just("store"), st.just("store"), st.just("last_piece"), _verbs, st.just("last_piece")).map(list),
    st.tuples(st.one_of(_stores(), st.builds(echo_rq, _ids)), st.just("answer")).map(list),
    # C-GET and C-MOVE of ours, and what is stored meanwhile; of theirs, and what becomes of the instances.
    st.tuples(st.just("get"), _stores(), _verbs, st.just("answer"), _matches, _ended).map(list),
    st.tuples(st.just("get"), _stores(), st.floats(0.0, 90.0), st.just("answer"), st.floats(0.0, 90.0)).map(list),
    st.tuples(st.just("get"), st.sampled_from(["cancel", "abandon", "get"]), _stores(), st.just("answer"), _ended).map(
        list
    ),
    st.tuples(st.sampled_from(["move", "get"]), _matches, _verbs, _ended).map(list),
    st.tuples(
        _got, st.just("expect"), st.just("sub_store"), st.just("last_piece"), _replies, _verbs, st.just("answer")
    ).map(list),
    st.tuples(
        _got,
        st.just("expect"),
        st.just("sub_store"),
        st.just("piece"),
        st.just("sub_store"),
        _replies,
        _verbs,
        st.just("answer"),
    ).map(list),
    st.tuples(
        _got, st.just("expect"), st.just("sub_store"), st.just("last_piece"), _accidents, st.just("end_cancelled")
    ).map(list),
    st.tuples(_got, st.just("expect"), st.just("record"), _cancels, st.just("pending"), st.just("answer")).map(list),
    st.tuples(
        _moved, st.just("expect"), st.just("record"), st.just("record"), st.just("record"), st.just("answer")
    ).map(list),
    st.tuples(_moved, st.just("expect"), st.just("pending"), _verbs, st.just("refuse")).map(list),
    st.tuples(_got, _moved, _whole(), _cancels, st.just("answer"), st.just("answer"), st.just("n_answer")).map(list),
    # DIMSE-N of ours and of theirs.
    st.tuples(_normalized, _verbs, _replies).map(list),
    st.tuples(st.one_of(_whole(), _ids.map(_short)), st.sampled_from(["n_answer", "bad_n_answer", "answer"])).map(list),
    st.tuples(_stores(), _stores(), st.just("answer"), st.just("refuse")).map(list),
    st.tuples(st.sampled_from(["release", "force_release"]), _accidents, st.just(_RELEASE_RP)).map(list),
    st.tuples(st.just("force_release"), st.just(_RELEASE_RQ), st.just("respond_release"), _accidents).map(list),
    st.tuples(st.just(_RELEASE_RQ), _accidents, st.just("respond_release")).map(list),
)
_scripts = st.lists(_courses, max_size=5).map(lambda courses: [step for course in courses for step in course])
_reactions = st.lists(st.sampled_from([None, None, None, *VERBS]), max_size=10)
_profiles = st.sampled_from([DEFAULT, DEFAULT, STRICT, LENIENT])


@dataclasses.dataclass(frozen=True)
class Conversation:
    """A script for one engine: who it is, what happens, and what its user does at which event."""

    is_requestor: bool
    is_established: bool
    profile: Profile
    reactions: list[str | None]
    script: list[Step]


@st.composite
def _conversations(draw: st.DrawFn) -> Conversation:
    is_established = draw(st.sampled_from([True, True, True, False]))
    return Conversation(draw(st.booleans()), is_established, draw(_profiles), draw(_reactions), draw(_scripts))


conversations = _conversations()  # of a composite only the name is told where something fails; the whole is long


def _response(operation: Request, reply: Reply) -> bytes:
    at = operation.message_id, operation.context.id, reply.status
    if isinstance(operation, FindRequest):
        return find_rsp(*at, reply.identifier)
    if isinstance(operation, GetRequest):
        return get_rsp(*at, reply.identifier)
    if isinstance(operation, MoveRequest):
        return move_rsp(*at, reply.identifier)
    if isinstance(operation, NormalizedRequest):
        kind: Any = RESPONSE_TO[type(operation.request)]
        replies = reply.identifier is not None and kind is not NDeleteRSP
        response: Message = kind(
            message_id_being_responded_to=operation.message_id,
            status=reply.status,
            command_data_set_type=WITH_DATA_SET if replies else NO_DATA_SET,
        )
        return message(operation.context.id, response, reply.identifier if replies else None)
    return store_rsp(*at) if isinstance(operation, StoreRequest) else echo_rsp(*at)


def _respond(operation: Performed) -> Callable[..., None]:
    respond: Callable[..., None]
    finishes = isinstance(operation, FindSCP | GetSCP | MoveSCP)
    respond = operation.finish if finishes else operation.respond  # type: ignore[attr-defined]
    return respond


class Run:
    """A conversation on a fresh engine. ``skip`` leaves verbs out, by their number."""

    def __init__(self, conversation: Conversation, cut: Cut = whole, skip: frozenset[int] = frozenset()) -> None:
        config: Requestor | Acceptor
        settings = {"limits": LIMITS, "profile": conversation.profile, "window": WINDOW}
        config = requestor(*MORE, **settings) if conversation.is_requestor else acceptor(*MORE, **settings)
        self.states: list[State] = []
        self.asked = 0
        self.mistakes: set[int] = set()
        self.operations: list[Request | Performed] = []
        self._skip = skip
        self._reactions: list[str | None] = []
        self.end = Scripted(config, cut=cut, user=self._react)
        self.engine = self.end.engine
        self._other_way = answer if conversation.is_requestor else propose
        if conversation.is_established:
            self._establish(conversation.is_requestor)
        self._reactions = list(conversation.reactions)
        for step in conversation.script:
            self._take(step)
        self.end.take(self.end.now)

    def _establish(self, is_requestor: bool) -> None:
        self.end.take(0.0)
        if is_requestor:
            assert self.engine.request is not None
            self.end.send(answer(acceptor(*MORE, window=WINDOW), self.engine.request))
        else:
            self.end.send(propose(requestor(*MORE, window=WINDOW)))
            self.engine.accept()

    def _take(self, step: Step) -> None:
        if isinstance(step, bytes):
            if not self.end.heard_all:
                self.end.send(step)
        elif isinstance(step, str):
            self._ask(step)
            self.end.pump()
        elif isinstance(step, Reply):
            if self.engine.outstanding and not self.end.heard_all:
                self.end.send(_response(self.engine.outstanding[-1 if step.last else 0], step))
        elif isinstance(step, float):
            self.end.wait(step)
        else:
            self.end.heard_all = True
            self.end.eof(step.error)
        self.end.take(self.end.now)

    def _react(self, event: Any) -> None:
        # How a data set is cut into pieces is nobody's promise, so nobody may react to a piece.
        if isinstance(event, DatasetReceived):
            return
        self.states.append(self.engine.state)
        operation = getattr(event, "operation", None)
        if operation is not None and operation not in self.operations:
            self.operations.append(operation)
        if self._reactions:
            verb = self._reactions.pop(0)
            if verb is not None:
                self._ask(verb)

    def _ask(self, verb: str) -> None:
        number, self.asked = self.asked, self.asked + 1
        if number in self._skip:
            return
        try:
            self._verb(verb)
        except LocalProtocolError:
            self.mistakes.add(number)

    def _verb(self, verb: str) -> None:
        engine = self.engine
        ours, theirs = engine.outstanding, engine.unanswered
        match verb:
            case "force_release":
                engine.release(force=True)
            case "force_respond_release":
                engine.respond_release(force=True)
            case "echo":
                self.operations.append(engine.c_echo())
            case "store":
                self.operations.append(engine.c_store(CT, INSTANCE))
            case "find":
                self.operations.append(engine.c_find(FIND, b"0123456789" * 13))
            case "mistake":
                engine.c_store(CT, "not a UID")
            case "bad_find":
                engine.c_find(FIND, b"odd")
            case "match" | "bad_match":
                finds = [operation for operation in theirs if isinstance(operation, FindSCP)]
                if finds:
                    finds[0].send_match(b"0123456789" * 13, 0xFF01 if verb == "match" else 0xB000)
            case "cancel" | "abandon":
                if ours:
                    getattr(ours[-1], verb)()
            case "answer":
                if theirs:
                    _respond(theirs[0])()
            case "refuse":
                if theirs:
                    _respond(theirs[-1])(0xA700)
            case "piece" | "last_piece":
                stores = [operation for operation in ours if isinstance(operation, StoreRequest)]
                if stores:
                    stores[0].send_data(b"0123456789" * 13 + b"x" * (verb == "piece"), is_last=verb == "last_piece")
            case "accept" | "reject" | "release" | "respond_release" | "abort":
                getattr(engine, verb)()
            case _ if not self._ask_of_a_retrieval(verb):
                self._ask_of_dimse_n(verb)

    def _ask_of_a_retrieval(self, verb: str) -> bool:
        engine = self.engine
        theirs: list[Any] = [each for each in engine.unanswered if isinstance(each, GetSCP | MoveSCP)]
        match verb:
            case "get":
                self.operations.append(engine.c_get(GET, b"0123456789" * 13))
            case "move":
                self.operations.append(engine.c_move(MOVE, b"0123456789" * 13, "STORE"))
            case "expect" | "bad_expect" if theirs:
                theirs[0].expect(3 if verb == "expect" else -1)
            case "sub_store" if theirs and isinstance(theirs[0], GetSCP):
                self.operations.append(theirs[0].store(CT, INSTANCE))
            case "record" if theirs:
                number = theirs[0].suboperations.remaining
                theirs[0].record((0x0000, 0xB000, 0xA700)[number % 3], f"1.2.{number}")
            case "pending" if theirs:
                theirs[0].send_pending()
            case "shows_life" if theirs:
                theirs[0].shows_life()
            case "end_cancelled" if theirs:
                theirs[0].finish(0xFE00)
            case "expect" | "bad_expect" | "sub_store" | "record" | "pending" | "shows_life" | "end_cancelled":
                pass
            case _:
                return False
        return True

    def _ask_of_dimse_n(self, verb: str) -> None:
        engine = self.engine
        content = b"0123456789" * 13
        match verb:
            case "n_create":
                self.operations.append(engine.n_create(PRIVATE, None, content))
            case "n_set":
                self.operations.append(engine.n_set(PRIVATE, INSTANCE, content))
            case "n_get":
                self.operations.append(engine.n_get(PRIVATE, INSTANCE))
            case "n_delete":
                self.operations.append(engine.n_delete(PRIVATE, INSTANCE))
            case "n_event":
                self.operations.append(engine.n_event_report(PRIVATE, INSTANCE, 1))
            case "bad_n":
                engine.n_action(PRIVATE, "not a UID", 1)
            case "n_answer" | "bad_n_answer":
                for operation in engine.unanswered:
                    if isinstance(operation, NormalizedSCP):
                        named = None if operation.sop_instance_uid else "1.2.9"
                        content_of_it = content if verb == "bad_n_answer" else None
                        operation.respond(0x0110 if content_of_it else 0, content_of_it, sop_instance_uid=named)
                        break

    def trace(self) -> Any:
        """All that can be seen of it; data sets joined."""
        engine = self.engine
        return (
            joined(self.end.events),
            self.states,
            bytes(self.end.sent),
            engine.state,
            engine.deviations,
            engine.deadlines(),
            engine.outcome,
            engine.wants_close,
            [repr(operation) for operation in self.operations],
        )
