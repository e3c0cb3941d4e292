"""The six services of DIMSE-N in both roles: elements, data sets, invented UIDs, refusals (PS3.7 10.1, 10.3)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine_pair import (
    ABORT,
    INSTANCE,
    MPPS,
    RELEASE_RQ,
    STEPS,
    Pair,
    Scripted,
    acceptor,
    bytewise,
    command,
    data,
    echo_rq,
    message,
    requestor,
    whole,
)
from sansdimse.association import Association
from sansdimse.deviations import Code
from sansdimse.dimse.messages import (
    NO_DATA_SET,
    WITH_DATA_SET,
    DataSet,
    Element,
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
from sansdimse.events import Aborted, Ended, NormalizedRequested, ResponseReceived, UnservableRequested
from sansdimse.limits import Limits
from sansdimse.profile import STRICT
from sansdimse.services.normalized import NormalizedRequest, NormalizedSCP
from sansdimse.services.operation import RESPONSE_TO
from sansdimse.ul.items import AsynchronousOperationsWindow
from sansdimse.ul.parties import PresentationContext
from sansdimse.ul.table import State
from sansdimse.ul.timers import Timer

PRIVATE = "1.2.3.4.5.6"
ANYTHING = PresentationContext(PRIVATE, scp=True)
"""A private SOP class has whatever services its user says."""
WIDE = AsynchronousOperationsWindow(4, 4)


@dataclass(frozen=True)
class Service:
    """One of the six: how it is invoked, and what goes over the wire."""

    name: str
    invoke: Callable[..., NormalizedRequest]
    request: Any
    response: Any
    elements: dict[str, Any]
    may_send: DataSet
    replies: bool = True

    def made(self, has_data_set: bool, instance: str | None = INSTANCE, message_id: int = 1) -> Any:
        """The request as a value."""
        kind = "requested" if hasattr(self.request, "requested_sop_class_uid") else "affected"
        uids = {f"{kind}_sop_class_uid": PRIVATE, f"{kind}_sop_instance_uid": instance}
        announced = WITH_DATA_SET if has_data_set else NO_DATA_SET
        return self.request(message_id=message_id, command_data_set_type=announced, **uids, **self.elements)


def _needs_none(verb: str, *arguments: Any) -> Callable[..., NormalizedRequest]:
    def invoke(engine: Association, data_set: Any = None, instance: Any = INSTANCE) -> NormalizedRequest:
        assert data_set is None
        operation: NormalizedRequest = getattr(engine, verb)(PRIVATE, instance, *arguments)
        return operation

    return invoke


def _takes_one(verb: str, *arguments: Any) -> Callable[..., NormalizedRequest]:
    def invoke(engine: Association, data_set: Any = None, instance: Any = INSTANCE) -> NormalizedRequest:
        given = () if data_set is None else (data_set,)
        operation: NormalizedRequest = getattr(engine, verb)(PRIVATE, instance, *arguments, *given)
        return operation

    return invoke


TAGS = (0x00100010, 0x00100020, 0x7FE00010)
EVENT = Service(
    "event",
    _takes_one("n_event_report", 7),
    NEventReportRQ,
    NEventReportRSP,
    {"event_type_id": 7},
    DataSet.OPTIONAL,
)
N_GET = Service(
    "get",
    _needs_none("n_get", TAGS),
    NGetRQ,
    NGetRSP,
    {"attribute_identifier_list": TAGS},
    DataSet.FORBIDDEN,
)
N_SET = Service("set", _takes_one("n_set"), NSetRQ, NSetRSP, {}, DataSet.MANDATORY)
ACTION = Service("action", _takes_one("n_action", 3), NActionRQ, NActionRSP, {"action_type_id": 3}, DataSet.OPTIONAL)
CREATE = Service("create", _takes_one("n_create"), NCreateRQ, NCreateRSP, {}, DataSet.OPTIONAL)
DELETE = Service("delete", _needs_none("n_delete"), NDeleteRQ, NDeleteRSP, {}, DataSet.FORBIDDEN, replies=False)
SERVICES = [EVENT, N_GET, N_SET, ACTION, CREATE, DELETE]
each_service = pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
WAYS = [
    pytest.param(service, has_data_set, id=f"{service.name}-{'with' if has_data_set else 'without'}")
    for service in SERVICES
    for has_data_set in (False, True)
    if service.may_send is DataSet.OPTIONAL or has_data_set is (service.may_send is DataSet.MANDATORY)
]
each_way = pytest.mark.parametrize(("service", "has_data_set"), WAYS)


def asked(
    service: Service, content: bytes | None = None, *, instance: str | None = INSTANCE, **config: Any
) -> tuple[Scripted, NormalizedSCP]:
    """A request of the peer that our side was told."""
    if service.may_send is DataSet.MANDATORY and content is None:
        content = b"changes."
    end = Scripted.established(acceptor(ANYTHING, window=WIDE, **config), requestor(ANYTHING, window=WIDE))
    [event] = end.send(message(7, service.made(content is not None, instance), content))
    assert isinstance(event, NormalizedRequested)
    return end, event.operation


def asking(**config: Any) -> Scripted:
    config.setdefault("window", WIDE)
    return Scripted.established(requestor(ANYTHING, STEPS, **config), acceptor(ANYTHING, STEPS, window=WIDE))


def snapshot(end: Scripted, operation: NormalizedSCP) -> Any:
    return (
        (operation.responded, operation.responses, operation.answered, operation.over),
        (end.engine.state, end.engine.unanswered, end.engine.outstanding, end.engine.bytes_unsent),
        end.engine.deadlines(),
    )


def fault(events: list[Any]) -> Code:
    aborted = events[-1]
    assert isinstance(aborted, Aborted)
    assert aborted.cause is not None
    return aborted.cause.code


# ---------------------------------------------------------------- both ends


@each_way
@pytest.mark.parametrize("who", ["requestor", "acceptor"])
@pytest.mark.parametrize("replies", [False, True])
@pytest.mark.parametrize("cut", [whole, bytewise])
def test_each_service_in_both_roles(service: Service, has_data_set: bool, who: str, replies: bool, cut: Any) -> None:
    pair = Pair(requestor(ANYTHING), acceptor(ANYTHING), cut=cut)
    pair.establish()
    ours, theirs = pair.requestor, pair.acceptor
    if who == "acceptor":
        ours, theirs = theirs, ours
    content = b"a data set, even" if has_data_set else None
    operation = service.invoke(ours.engine, content)
    assert type(operation) is NormalizedRequest
    pair.run()
    [event] = theirs.events
    context = theirs.engine.contexts[3]
    assert event == NormalizedRequested(context, service.made(has_data_set), content, None)  # type: ignore[arg-type]
    assert content is None or type(event.data_set) is bytes
    scp = event.operation
    assert (scp.sop_class_uid, scp.sop_instance_uid, scp.data_complete) == (PRIVATE, INSTANCE, True)
    assert theirs.engine.unanswered == (scp,)
    reply = bytearray(b"a reply.") if replies and service.replies else None
    scp.respond(0, reply)
    assert (scp.over, scp.answered, scp.responses) == (True, 0, 1)
    if reply is not None:
        reply[:] = b"changed!"
    pair.run()
    expected = {key: service.elements[key] for key in ("event_type_id", "action_type_id") if key in service.elements}
    response = service.response(
        message_id_being_responded_to=1,
        affected_sop_class_uid=PRIVATE,
        affected_sop_instance_uid=INSTANCE,
        status=0,
        command_data_set_type=NO_DATA_SET if reply is None else WITH_DATA_SET,
        **expected,
    )
    told = None if reply is None else b"a reply."
    assert ours.events == [ResponseReceived(0, response, True, operation, told)]  # type: ignore[arg-type]
    assert (operation.over, operation.status) == (True, 0)
    assert ours.engine.deviations == theirs.engine.deviations == ()
    assert ours.engine.outstanding == theirs.engine.unanswered == ()


@each_service
def test_every_element_of_a_response(service: Service) -> None:
    end, scp = asked(service)
    elements: dict[str, Any] = {"error_comment": "no room", "error_id": 513, "offending_element": (0x00100010,)}
    if service is not EVENT and service is not DELETE:
        elements["attribute_identifier_list"] = TAGS
    scp.respond(0x0110, **elements)
    repeated = {key: service.elements[key] for key in ("event_type_id", "action_type_id") if key in service.elements}
    assert end.said() == [
        service.response(
            message_id_being_responded_to=1,
            affected_sop_class_uid=PRIVATE,
            affected_sop_instance_uid=INSTANCE,
            status=0x0110,
            **elements,
            **repeated,
        )
    ]


@each_service
@pytest.mark.parametrize("status", [0x0106, 0x0115, 0x0121, 0x0107, 0x0116, 0xB305])
def test_values_go_with_what_speaks_of_them(service: Service, status: int) -> None:
    end, scp = asked(service)
    if not service.replies:
        with pytest.raises(LocalProtocolError, match="NDeleteRSP has no data set"):
            scp.respond(status, b"values")
        return
    scp.respond(status, memoryview(b"values"))
    response, values = end.said()
    assert (response.status, values) == (status, b"values")


# ---------------------------------------------------------------- a local mistake changes nothing


@each_service
def test_mistakes_of_who_answers(service: Service) -> None:
    end, scp = asked(service)
    before = snapshot(end, scp)
    verbs: list[tuple[Callable[[], object], str]] = [
        (lambda: scp.respond(0xFF00), "request 1 has one response, and 0xFF00"),
        (lambda: scp.respond(0x10000), "status is a number from 0 to 65535"),
        (lambda: scp.respond(0x0110, error_id=70000), "error_id is a number from 0 to 65535"),
        (lambda: scp.respond(0x0110, error_comment="x" * 65), "error_comment is at most 64"),
        (lambda: scp.respond(0x0110, offending_element=("no tag",)), "offending_element is a tuple of tags"),  # type: ignore[arg-type]
        (lambda: scp.respond(sop_instance_uid="not a UID"), "'not a UID' is no UID"),
        (lambda: scp.respond(sop_instance_uid="1.9"), "the request names the instance 1.2.3.4, and not 1.9"),
        (lambda: scp.respond(0, b""), "an identifier of 0 bytes is no encoded data set"),
        (lambda: scp.respond(0, b"odd"), "an identifier of 3 bytes is no encoded data set"),
    ]
    if service.replies:
        verbs += [
            (partial(scp.respond, status, b"even"), "a data set goes with Success or a warning, and not with 0x0")
            for status in (0x0110, 0x0112, 0x0211)
        ]
    else:
        verbs.append((lambda: scp.respond(0, b"even"), r"NDeleteRSP has no data set \(PS3.7 10.3\)"))
    if service in (EVENT, DELETE):
        name = service.response.__name__
        text = rf"{name} has no attribute_identifier_list \(PS3.7 10.3\)"
        verbs.append((lambda: scp.respond(0x0107, attribute_identifier_list=TAGS), text))
    for verb, text in verbs:
        with pytest.raises(LocalProtocolError, match=text):
            verb()
        assert snapshot(end, scp) == before
    scp.respond(sop_instance_uid=INSTANCE)  # to say again what the request said is no mistake
    end.said()
    before = snapshot(end, scp)
    with pytest.raises(LocalProtocolError, match="request 1 was answered already"):
        scp.respond()
    assert snapshot(end, scp) == before
    assert end.said() == []


@each_service
def test_mistakes_of_who_asks(service: Service) -> None:
    end = asking()
    content = b"even" if service.may_send is DataSet.MANDATORY else None
    verbs: list[tuple[Callable[[], object], str]] = [
        (partial(service.invoke, end.engine, content, wrong), f"{wrong!r} is no UID")
        for wrong in ("not a UID", "1.02", "")
    ]
    if service.may_send is not DataSet.FORBIDDEN:
        verbs.append((lambda: service.invoke(end.engine, b"odd"), "an identifier of 3 bytes is no encoded data set"))
    if service is not CREATE:
        verbs.append((lambda: service.invoke(end.engine, content, None), "is mandatory in N"))
    if service is N_SET:
        verbs.append((lambda: end.engine.n_set(PRIVATE, INSTANCE, None), "a data set is mandatory for NSetRQ"))  # type: ignore[arg-type]
    for verb, text in verbs:
        with pytest.raises(LocalProtocolError, match=text):
            verb()
        assert (end.said(), end.engine.outstanding) == ([], ())
    assert service.invoke(end.engine, content).message_id == 1


def test_numbers_that_are_none() -> None:
    end = asking()
    with pytest.raises(LocalProtocolError, match="event_type_id is a number"):
        end.engine.n_event_report(PRIVATE, INSTANCE, 65536)
    with pytest.raises(LocalProtocolError, match="action_type_id is a number"):
        end.engine.n_action(PRIVATE, INSTANCE, -1)
    with pytest.raises(LocalProtocolError, match="attribute_identifier_list is a tuple of tags"):
        end.engine.n_get(PRIVATE, INSTANCE, ["PatientName"])  # type: ignore[list-item]
    assert end.engine.outstanding == ()
    assert end.engine.n_get(PRIVATE, INSTANCE, [0x00100010]).message_id == 1
    assert end.said()[0].attribute_identifier_list == (0x00100010,)
    end.engine.n_get(PRIVATE, INSTANCE)
    assert end.said()[0].attribute_identifier_list == ()


def test_there_is_no_cancel() -> None:
    end = asking()
    operation = end.engine.n_get(PRIVATE, INSTANCE)
    with pytest.raises(LocalProtocolError, match="there is no C-CANCEL for a NGetRQ"):
        operation.cancel()
    operation.abandon()
    assert [type(said) for said in end.said()] == [NGetRQ]
    assert end.engine.deadlines() == {(Timer.CANCEL_DRAIN, 1): 30.0}


# ---------------------------------------------------------------- N-CREATE and the UID that nobody gave


@pytest.mark.parametrize("content", [None, b"a step"])
def test_an_instance_that_the_performer_names(content: bytes | None) -> None:
    pair = Pair(requestor(STEPS), acceptor(STEPS))
    pair.establish()
    operation = pair.requestor.engine.n_create(MPPS, None, content)
    pair.run()
    [event] = pair.acceptor.events
    assert (event.request.affected_sop_instance_uid, event.data_set) == (None, content)
    scp = event.operation
    assert scp.sop_instance_uid is None
    before = pair.acceptor.engine.bytes_unsent, pair.acceptor.engine.unanswered
    for status in (0x0000, 0x0107, 0x0116, 0xB000):
        with pytest.raises(LocalProtocolError, match="without instance UID is answered with the one invented for it"):
            scp.respond(status)
    with pytest.raises(LocalProtocolError, match=r"'1\.\.2' is no UID"):
        scp.respond(sop_instance_uid="1..2")
    assert (pair.acceptor.engine.bytes_unsent, pair.acceptor.engine.unanswered) == before
    scp.respond(0, b"with it.", sop_instance_uid="1.2.840.1")
    pair.run()
    [told] = pair.requestor.events
    assert told.response.affected_sop_instance_uid == "1.2.840.1"
    assert (told.identifier, operation.status) == (b"with it.", 0)
    assert pair.requestor.engine.deviations == ()


def test_a_failure_names_no_instance() -> None:
    end, scp = asked(CREATE, instance=None)
    scp.respond(0x0111)
    [response] = end.said()
    assert (response.status, response.affected_sop_instance_uid) == (0x0111, None)


def test_an_empty_uid_is_none() -> None:
    """What some send for none (DCMTK reads it as such): reported, and as if it had not been there."""
    end = Scripted.established(acceptor(STEPS), requestor(STEPS))
    elements = (Element(0x0002, MPPS.encode() + b"\0"), Element(0x0800, b"\1\1"), Element(0x1000, b""))
    [event] = end.send(command(7, UnknownCommand(0x0140, 1, elements)))
    assert isinstance(event, NormalizedRequested)
    assert event.operation.sop_instance_uid is None
    assert end.codes == [Code.COMMAND_ELEMENT_UNREADABLE]
    event.operation.respond(sop_instance_uid="1.2")
    assert end.said()[0].affected_sop_instance_uid == "1.2"


@pytest.mark.parametrize("raw", [b"1.2.3.4 ", b"1.2.3.4\0\0\0", b"1.2.03.4"])
def test_an_instance_is_repeated_as_it_came(raw: bytes) -> None:
    end = Scripted.established(acceptor(STEPS), requestor(STEPS))
    elements = (Element(0x0002, MPPS.encode() + b"\0"), Element(0x0800, b"\1\1"), Element(0x1000, raw))
    [event] = end.send(command(7, UnknownCommand(0x0140, 1, elements)))
    event.operation.respond()  # type: ignore[union-attr]
    assert raw in end.take(0.0)


# ---------------------------------------------------------------- responses that differ


def response_to(service: Service, **elements: Any) -> bytes:
    return command(7, service.response(message_id_being_responded_to=1, **{"status": 0, **elements}))


@each_service
@pytest.mark.parametrize(
    ("elements", "codes"),
    [
        ({}, []),
        ({"affected_sop_class_uid": PRIVATE}, []),
        ({"affected_sop_instance_uid": INSTANCE}, []),
        ({"affected_sop_class_uid": "1.9"}, [Code.RESPONSE_UID_DIFFERS]),
        ({"affected_sop_instance_uid": "1.9"}, [Code.RESPONSE_UID_DIFFERS]),
        ({"affected_sop_class_uid": "1.9", "affected_sop_instance_uid": "1.9"}, [Code.RESPONSE_UID_DIFFERS] * 2),
        ({"affected_sop_instance_uid": "1.9", "status": 0x0112}, [Code.RESPONSE_UID_DIFFERS]),
    ],
)
def test_a_response_may_leave_uids_out_but_not_change_them(
    service: Service, elements: dict[str, Any], codes: list[Code]
) -> None:
    end = asking()
    operation = service.invoke(end.engine, b"even" if service.may_send is DataSet.MANDATORY else None)
    [event] = end.send(response_to(service, **elements))
    assert isinstance(event, ResponseReceived)
    assert operation.over
    assert end.codes == codes


@pytest.mark.parametrize(
    ("elements", "codes"),
    [
        ({}, [Code.RESPONSE_UID_MISSING]),
        ({"affected_sop_instance_uid": ""}, [Code.RESPONSE_UID_MISSING]),
        ({"affected_sop_instance_uid": "1.9"}, []),
        ({"status": 0x0110}, []),
    ],
)
def test_an_instance_that_was_created_must_have_a_name(elements: dict[str, Any], codes: list[Code]) -> None:
    end = asking()
    operation = end.engine.n_create(PRIVATE)
    [event] = end.send(response_to(CREATE, **elements))
    assert isinstance(event, ResponseReceived)
    assert (operation.over, end.codes) == (True, codes)


def test_a_response_that_may_have_no_data_set() -> None:
    """An N-DELETE-RSP that announces one: reported, not waited for, and swallowed if it comes."""
    end = asking()
    end.engine.n_delete(PRIVATE, INSTANCE)
    raw = bytearray(response_to(DELETE))
    index = raw.index(b"\0\0\0\x08\2\0\0\0") + 8
    raw[index : index + 2] = b"\0\0"
    [event] = end.send(bytes(raw))
    assert event.identifier is None  # type: ignore[union-attr]
    assert end.send(data(7, b"xx")) == []
    assert (end.engine.state, end.codes) == (State.STA6, [Code.DATA_SET_FORBIDDEN])


def test_pending_is_no_answer_to_dimse_n() -> None:
    end = asking()
    operation = end.engine.n_action(PRIVATE, INSTANCE, 1)
    end.take(0.0)
    end.wait(50.0)
    assert end.send(response_to(ACTION, status=0xFF00)) == []
    assert (operation.over, end.codes) == (False, [Code.STATUS_PENDING_UNEXPECTED])
    assert len(end.send(response_to(ACTION))) == 1


def test_a_reply_is_told_when_it_is_complete_and_is_bounded() -> None:
    end = asking(limits=Limits(identifier=10, attributes=10))
    end.engine.n_get(PRIVATE, INSTANCE)
    head = response_to(N_GET, command_data_set_type=WITH_DATA_SET)
    assert end.send(head, data(7, b"12345", is_last=False)) == []
    [event] = end.send(data(7, b"67890"))
    assert event.identifier == b"1234567890"  # type: ignore[union-attr]
    end.engine.n_get(PRIVATE, INSTANCE)
    again = command(7, NGetRSP(message_id_being_responded_to=2, status=0, command_data_set_type=WITH_DATA_SET))
    assert fault(end.send(again, data(7, b"x" * 12))) is Code.DATA_SET_TOO_LONG


# ---------------------------------------------------------------- requests that cannot be served, or not yet


@each_way
@pytest.mark.parametrize("cut", [whole, bytewise])
def test_a_data_set_that_is_too_long_is_refused(service: Service, has_data_set: bool, cut: Any) -> None:
    if not has_data_set:
        return
    config = Limits(identifier=10, attributes=10)
    end = Scripted.established(acceptor(ANYTHING, limits=config), requestor(ANYTHING))
    end.cut = cut
    head = command(7, service.made(True))
    [event] = end.send(head, data(7, b"x" * 8, is_last=False), data(7, b"x" * 8, is_last=False))
    assert isinstance(event, UnservableRequested)
    assert (event.status, event.text) == (0x0213, "its data set has more than 10 bytes")
    event.operation.respond()
    [response] = end.said()
    assert type(response) is service.response
    assert (response.status, response.has_data_set, response.affected_sop_instance_uid) == (0x0213, False, INSTANCE)
    assert end.send(data(7, b"x" * 100)) == []
    assert event.operation.over
    [again] = end.send(head, data(7, b"x" * 10))
    assert isinstance(again, NormalizedRequested)
    assert again.data_set == b"x" * 10


@pytest.mark.parametrize("service", [N_GET, DELETE], ids=lambda service: service.name)
def test_a_data_set_that_a_request_may_not_have_is_not_waited_for(service: Service) -> None:
    end = Scripted.established(acceptor(ANYTHING, window=WIDE), requestor(ANYTHING, window=WIDE))
    raw = bytearray(command(7, service.made(False)))
    index = raw.index(b"\0\0\0\x08\2\0\0\0") + 8
    raw[index : index + 2] = b"\0\0"
    [event] = end.send(bytes(raw))
    assert isinstance(event, NormalizedRequested)
    assert (event.data_set, end.codes) == (None, [Code.DATA_SET_FORBIDDEN])
    assert (Timer.OPERATION_ANSWER, 1) in end.engine.deadlines()
    assert end.send(data(7, b"after all.")) == []
    event.operation.respond()
    assert event.operation.over
    end = Scripted.established(acceptor(ANYTHING, profile=STRICT), requestor(ANYTHING))
    assert fault(end.send(bytes(raw))) is Code.DATA_SET_FORBIDDEN


@each_way
def test_beyond_the_window_it_is_held_with_its_data_set(service: Service, has_data_set: bool) -> None:
    content = b"0123456789" if has_data_set else None
    end = Scripted.established(acceptor(ANYTHING, limits=Limits(held_data=10)), requestor(ANYTHING))
    [first] = end.send(echo_rq(9), message(7, service.made(has_data_set), content))
    held = end.engine.unanswered[1]
    assert isinstance(held, NormalizedSCP)
    before = snapshot(end, held)
    with pytest.raises(LocalProtocolError, match="request 1 is beyond the window negotiated, and not told yet"):
        held.respond()
    assert snapshot(end, held) == before
    first.operation.respond()  # type: ignore[union-attr]
    [event] = end.pump()
    assert isinstance(event, NormalizedRequested)
    assert (event.data_set, event.operation) == (content, held)
    assert (Timer.OPERATION_ANSWER, 1) in end.engine.deadlines()
    # What was told counts no more; what is held does.
    end.send(message(7, service.made(has_data_set, message_id=2), content))
    assert end.engine.state is State.STA6
    if has_data_set:
        assert fault(end.send(message(7, service.made(True, message_id=3), b"xx"))) is Code.WINDOW_EXCEEDED


@each_service
def test_nothing_is_told_before_the_data_set_is_complete(service: Service) -> None:
    if service.may_send is DataSet.FORBIDDEN:
        return
    end = Scripted.established(acceptor(ANYTHING), requestor(ANYTHING))
    assert end.send(command(7, service.made(True)), data(7, b"ha", is_last=False)) == []
    assert end.engine.unanswered == ()
    *_, ended = end.send(ABORT)
    assert isinstance(ended, Ended)
    assert ended.outcome.outstanding == 0
    assert end.engine._performer._arriving is None


# ---------------------------------------------------------------- ends


@each_service
def test_the_association_ends_before_the_answer(service: Service) -> None:
    end, scp = asked(service)
    end.eof("reset")
    assert scp.over
    with pytest.raises(LocalProtocolError, match="request 1 is over: its association ended"):
        scp.respond()
    end = asking()
    operation = service.invoke(end.engine, b"even" if service.may_send is DataSet.MANDATORY else None)
    end.send(RELEASE_RQ)
    assert (operation.over, operation.response) == (True, None)


def test_after_the_peers_release_request_the_answer_still_goes() -> None:
    end, scp = asked(CREATE)
    end.send(RELEASE_RQ)
    scp.respond(0, b"values")
    end.engine.respond_release()
    assert [type(said).__name__ for said in end.said()] == ["NCreateRSP", "bytes", "AReleaseRP"]


def test_it_must_be_answered_in_time() -> None:
    end, scp = asked(N_SET)
    assert end.engine.deadlines() == {(Timer.OPERATION_ANSWER, 1): 600.0}
    scp.respond()
    end.take(0.0)
    assert end.engine.deadlines() == {}


# ---------------------------------------------------------------- any of them at once


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(st.sampled_from(SERVICES), st.booleans(), st.binary(min_size=1, max_size=90).map(lambda b: b * 2)),
        max_size=8,
    ),
    st.sampled_from([16, 200, 16384]),
    st.randoms(use_true_random=False),
)
def test_what_is_asked_is_what_was_sent_in_any_order(
    requests: list[tuple[Service, bool, bytes]], maximum: int, chance: Any
) -> None:
    settings_of_both = {"window": AsynchronousOperationsWindow(9, 9), "maximum_length": maximum}
    pair = Pair(requestor(ANYTHING, **settings_of_both), acceptor(ANYTHING, **settings_of_both))
    pair.establish()
    operations = {}
    for index, (service, from_us, content) in enumerate(requests):
        end = pair.requestor if from_us else pair.acceptor
        given_content = None if service.may_send is DataSet.FORBIDDEN else content
        operations[(from_us, service.invoke(end.engine, given_content))] = (index, given_content)
    pair.run()
    events = [(True, event) for event in pair.acceptor.events] + [(False, event) for event in pair.requestor.events]
    asked_for = {(from_us, operation.message_id): at for (from_us, operation), at in operations.items()}
    chance.shuffle(events)
    for from_us, event in events:
        index, content = asked_for[(from_us, event.request.message_id)]
        assert (type(event.request), event.data_set) == (requests[index][0].request, content)
        replies = requests[index][0].replies
        event.operation.respond(0, b"%04d" % index if replies else None)
    pair.run()
    for (from_us, operation), (index, _) in operations.items():
        end = pair.requestor if from_us else pair.acceptor
        [told] = [event for event in end.events if getattr(event, "operation", None) is operation]
        assert type(told.response) is RESPONSE_TO[type(operation.request)]
        assert told.identifier == (b"%04d" % index if requests[index][0].replies else None)
    assert pair.requestor.engine.deviations == pair.acceptor.engine.deviations == ()
