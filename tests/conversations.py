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
    INSTANCE,
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
    joined,
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
    CStoreRQ,
    CStoreRSP,
    Element,
    UnknownCommand,
)
from sansdimse.errors import LocalProtocolError
from sansdimse.events import (
    DatasetReceived,
)
from sansdimse.limits import Limits
from sansdimse.profile import DEFAULT, LENIENT, STRICT, Profile
from sansdimse.services.operation import Performed, Request
from sansdimse.services.query import FindRequest, FindSCP
from sansdimse.services.storage import StoreRequest
from sansdimse.uids import VERIFICATION
from sansdimse.ul.items import AsynchronousOperationsWindow
from sansdimse.ul.negotiation import answer, propose
from sansdimse.ul.parties import Acceptor, Requestor
from sansdimse.ul.pdu import AAssociateRJ, PDataTF
from sansdimse.ul.table import State

LIMITS = Limits(
    associate_pdu=4096,
    own_pdu=64,
    command_set=512,
    fragments=40,
    message=400,
    identifier=60,
    operations_over_window=2,
    held_data=48,
    output=600,
    queued_messages=3,
    output_high_water=256,
    deviations=6,
    idle=20.0,
)
WINDOW = AsynchronousOperationsWindow(2, 2)

_ids = st.integers(0, 4)
_contexts = st.sampled_from([1, 1, 3, 3, 3, 5, 7, 7, 9])
_statuses = st.sampled_from([0x0000, 0x0000, 0xA700, 0xC001, 0xB000, 0xFF00, 0x1234])
_uids = st.sampled_from([VERIFICATION, CT, CT, MR, FIND])
_payload = st.binary(max_size=40)

_messages = st.one_of(
    st.builds(CEchoRQ, message_id=_ids, affected_sop_class_uid=_uids),
    st.builds(CStoreRQ, message_id=_ids, affected_sop_class_uid=_uids, affected_sop_instance_uid=st.just(INSTANCE)),
    st.builds(CFindRQ, message_id=_ids, affected_sop_class_uid=_uids),
    st.builds(CCancelRQ, message_id_being_responded_to=_ids),
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
        st.sampled_from([0x0030, 0x0001, 0x0020, 0x8030, 0x8001, 0x8020, 0x0FFF, 0x7777, 0x8777]),
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


_requests = st.sampled_from([requestor(), requestor(QUERY, window=WINDOW)]).map(propose)
_sound = st.one_of(
    st.builds(command, _contexts, _messages, st.sampled_from([40, 4096])),
    _stores(),
    _stores(),
    _finds(),
    st.builds(echo_rq, _ids),
    st.builds(echo_rsp, _ids, status=_statuses),
    st.builds(store_rsp, _ids, status=_statuses),
    st.builds(find_rsp, _ids, status=_statuses, identifier=st.none() | _payload),
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
    "bad_match cancel abandon answer refuse match piece last_piece"
).split()
_verbs = st.sampled_from(VERBS)


class Eof(NamedTuple):
    """The connection ends."""

    error: str | None


class Reply(NamedTuple):
    """The peer answers a request of ours, the last or the first of them; a C-FIND with this identifier."""

    last: bool
    status: int
    identifier: bytes | None = None


Step = bytes | str | float | Eof | Reply

_replies = st.builds(Reply, st.booleans(), _statuses, st.none() | _payload)
_matches = st.builds(Reply, st.just(True), st.just(0xFF00), _payload)
_cancels = st.builds(
    lambda message_id: command(7, CCancelRQ(message_id_being_responded_to=message_id)), st.integers(0, 4)
)
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


conversations = st.builds(
    Conversation, st.booleans(), st.sampled_from([True, True, True, False]), _profiles, _reactions, _scripts
)


def _response(operation: Request, reply: Reply) -> bytes:
    at = operation.message_id, operation.context.id, reply.status
    if isinstance(operation, FindRequest):
        return find_rsp(*at, reply.identifier)
    return store_rsp(*at) if isinstance(operation, StoreRequest) else echo_rsp(*at)


def _respond(operation: Performed) -> Callable[..., None]:
    respond: Callable[..., None]
    respond = operation.finish if isinstance(operation, FindSCP) else operation.respond  # type: ignore[attr-defined]
    return respond


class Run:
    """A conversation on a fresh engine. ``skip`` leaves verbs out, by their number."""

    def __init__(self, conversation: Conversation, cut: Cut = whole, skip: frozenset[int] = frozenset()) -> None:
        config: Requestor | Acceptor
        settings = {"limits": LIMITS, "profile": conversation.profile, "window": WINDOW}
        config = requestor(QUERY, **settings) if conversation.is_requestor else acceptor(QUERY, **settings)
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
            self.end.send(answer(acceptor(QUERY, window=WINDOW), self.engine.request))
        else:
            self.end.send(propose(requestor(QUERY, window=WINDOW)))
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
            case _:
                getattr(engine, verb)()

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
