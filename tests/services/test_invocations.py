"""What one may ask of the other end: each verb's request, its context, and what cannot be asked (PS3.7 9.1, 10.1)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from engine_pair import (
    CT,
    FIND,
    GET,
    GETTING,
    INSTANCE,
    MOVE,
    MOVING,
    MPPS,
    QUERY,
    STEPS,
    Pair,
    Scripted,
    acceptor,
    get_rq,
    get_rsp,
    requestor,
)
from sansdimse.association import Association
from sansdimse.dimse.messages import (
    NO_DATA_SET,
    WITH_DATA_SET,
    CEchoRQ,
    CFindRQ,
    CGetRQ,
    CMoveRQ,
    CStoreRQ,
    NActionRQ,
    NCreateRQ,
    NDeleteRQ,
    NEventReportRQ,
    NGetRQ,
    NSetRQ,
    Priority,
)
from sansdimse.errors import LocalProtocolError
from sansdimse.services.invocations import Invocations
from sansdimse.services.normalized import NormalizedRequest
from sansdimse.services.operation import Request
from sansdimse.services.query import FindRequest
from sansdimse.services.retrieve import GetRequest, MoveRequest
from sansdimse.services.sop_classes import (
    BASIC_FILM_BOX,
    BASIC_FILM_SESSION,
    BASIC_GRAYSCALE_IMAGE_BOX,
    BASIC_GRAYSCALE_PRINT_MANAGEMENT_META,
    MODALITY_PERFORMED_PROCEDURE_STEP_NOTIFICATION,
    PRINTER,
    STORAGE_COMMITMENT_PUSH_MODEL,
    UNIFIED_PROCEDURE_STEP_EVENT,
    UNIFIED_PROCEDURE_STEP_PULL,
    UNIFIED_PROCEDURE_STEP_PUSH,
    UNIFIED_PROCEDURE_STEP_QUERY,
    UNIFIED_PROCEDURE_STEP_WATCH,
)
from sansdimse.services.storage import StoreRequest
from sansdimse.uids import EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN, VERIFICATION
from sansdimse.ul.items import AsynchronousOperationsWindow
from sansdimse.ul.parties import Acceptor, PresentationContext, Requestor

WIDE = AsynchronousOperationsWindow(40, 40)
MORE = (QUERY, GETTING, MOVING, STEPS)  # contexts 7, 9, 11, 13


def established(*more: PresentationContext, window: AsynchronousOperationsWindow = WIDE) -> Scripted:
    contexts = more or MORE
    return Scripted.established(requestor(*contexts, window=window), acceptor(*contexts, window=WIDE))


def affected(sop_class: str, instance: str | None = INSTANCE) -> dict[str, Any]:
    return {"message_id": 1, "affected_sop_class_uid": sop_class, "affected_sop_instance_uid": instance}


def requested(sop_class: str) -> dict[str, Any]:
    return {"message_id": 1, "requested_sop_class_uid": sop_class, "requested_sop_instance_uid": INSTANCE}


# ---------------------------------------------------------------- each verb

_OF_FIND = {"message_id": 1, "affected_sop_class_uid": FIND}
_OF_GET = {"message_id": 1, "affected_sop_class_uid": GET}
_OF_MOVE = {"message_id": 1, "affected_sop_class_uid": MOVE}
_WITH, _WITHOUT = {"command_data_set_type": WITH_DATA_SET}, {"command_data_set_type": NO_DATA_SET}

VERBS: list[tuple[Callable[[Association], Request], type, int, Any, bytes | None]] = [
    (lambda e: e.c_echo(), Request, 1, CEchoRQ(message_id=1, affected_sop_class_uid=VERIFICATION), None),
    (lambda e: e.c_store(CT, INSTANCE), StoreRequest, 3, CStoreRQ(**affected(CT)), None),
    (
        lambda e: e.c_store(CT, INSTANCE, priority=Priority.LOW, move_originator=("MOVER", 9)),
        StoreRequest,
        3,
        CStoreRQ(
            **affected(CT),
            priority=Priority.LOW,
            move_originator_application_entity_title="MOVER",
            move_originator_message_id=9,
        ),
        None,
    ),
    (lambda e: e.c_find(FIND, b"query."), FindRequest, 7, CFindRQ(**_OF_FIND), b"query."),
    (lambda e: e.c_get(GET, b"query."), GetRequest, 9, CGetRQ(**_OF_GET), b"query."),
    (
        lambda e: e.c_get(GET, b"query.", priority=Priority.HIGH),
        GetRequest,
        9,
        CGetRQ(**_OF_GET, priority=Priority.HIGH),
        b"query.",
    ),
    (
        lambda e: e.c_move(MOVE, b"query.", "STORE", priority=Priority.LOW),
        MoveRequest,
        11,
        CMoveRQ(**_OF_MOVE, move_destination="STORE", priority=Priority.LOW),
        b"query.",
    ),
    (
        lambda e: e.n_get(MPPS, INSTANCE, [0x00100010]),
        NormalizedRequest,
        13,
        NGetRQ(**requested(MPPS), attribute_identifier_list=(0x00100010,)),
        None,
    ),
    (lambda e: e.n_get(MPPS, INSTANCE), NormalizedRequest, 13, NGetRQ(**requested(MPPS)), None),
    (lambda e: e.n_set(MPPS, INSTANCE, b"even"), NormalizedRequest, 13, NSetRQ(**requested(MPPS)), b"even"),
    (
        lambda e: e.n_action(MPPS, INSTANCE, 2),
        NormalizedRequest,
        13,
        NActionRQ(**requested(MPPS), action_type_id=2),
        None,
    ),
    (
        lambda e: e.n_action(MPPS, INSTANCE, 2, b"even"),
        NormalizedRequest,
        13,
        NActionRQ(**requested(MPPS), **_WITH, action_type_id=2),
        b"even",
    ),
    (lambda e: e.n_create(MPPS), NormalizedRequest, 13, NCreateRQ(**affected(MPPS, None)), None),
    (
        lambda e: e.n_create(MPPS, INSTANCE, b"even"),
        NormalizedRequest,
        13,
        NCreateRQ(**affected(MPPS), **_WITH),
        b"even",
    ),
    (lambda e: e.n_delete(MPPS, INSTANCE), NormalizedRequest, 13, NDeleteRQ(**requested(MPPS), **_WITHOUT), None),
    (
        lambda e: e.n_event_report(MPPS, INSTANCE, 4),
        NormalizedRequest,
        13,
        NEventReportRQ(**affected(MPPS), event_type_id=4),
        None,
    ),
    (
        lambda e: e.n_event_report(MPPS, INSTANCE, 4, b"even"),
        NormalizedRequest,
        13,
        NEventReportRQ(**affected(MPPS), **_WITH, event_type_id=4),
        b"even",
    ),
]


@pytest.mark.parametrize(("verb", "handle", "context_id", "message", "data_set"), VERBS)
def test_a_verb_sends_its_request(
    verb: Callable[[Association], Request], handle: type, context_id: int, message: Any, data_set: bytes | None
) -> None:
    end = established()
    operation = verb(end.engine)
    assert type(operation) is handle
    assert (operation.context.id, operation.message_id, operation.request) == (context_id, 1, message)
    assert end.engine.outstanding == (operation,)
    assert end.said() == ([message] if data_set is None else [message, data_set])


@pytest.mark.parametrize(("verb", "handle", "context_id", "message", "data_set"), VERBS)
def test_a_verb_beyond_the_window_or_the_association_is_refused(
    verb: Callable[[Association], Request], handle: type, context_id: int, message: Any, data_set: bytes | None
) -> None:
    end = established(window=AsynchronousOperationsWindow(1, 1))
    end.engine.c_echo()
    end.said()
    before = end.engine.outstanding, end.engine.bytes_unsent, end.engine._invoker._last_id
    with pytest.raises(LocalProtocolError, match="at most 1 of our requests may be outstanding"):
        verb(end.engine)
    assert (end.engine.outstanding, end.engine.bytes_unsent, end.engine._invoker._last_id) == before
    end = Scripted(requestor())
    with pytest.raises(LocalProtocolError, match="no operation can be invoked in Sta5"):
        verb(end.engine)


@pytest.mark.parametrize(("verb", "handle", "context_id", "message", "data_set"), VERBS)
def test_a_verb_without_its_context_is_refused(
    verb: Callable[[Association], Request], handle: type, context_id: int, message: Any, data_set: bytes | None
) -> None:
    alone = [PresentationContext("1.2.3", scp=True)]
    end = Scripted.established(Requestor("ME", "YOU", alone), Acceptor("YOU", alone))
    with pytest.raises(LocalProtocolError, match=r"no context for .* was proposed"):
        verb(end.engine)
    assert (end.said(), end.engine.outstanding) == ([], ())
    operation = end.engine.n_get("1.2.3", INSTANCE)
    assert operation.message_id == 1


@pytest.mark.parametrize("wrong", ["not a UID", "1..2", "", "1" * 65])
def test_an_instance_that_is_none_is_refused_before_anything_is_sent(wrong: str) -> None:
    end = established()
    verbs: list[Callable[[], Request]] = [
        lambda: end.engine.n_get(MPPS, wrong),
        lambda: end.engine.n_set(MPPS, wrong, b"even"),
        lambda: end.engine.n_action(MPPS, wrong, 1),
        lambda: end.engine.n_create(MPPS, wrong),
        lambda: end.engine.n_delete(MPPS, wrong),
        lambda: end.engine.n_event_report(MPPS, wrong, 1),
        lambda: end.engine.c_store(CT, wrong),
    ]
    for verb in verbs:
        with pytest.raises(LocalProtocolError, match=r"is no UID|is a UID, not|is mandatory in CStoreRQ"):
            verb()
        assert (end.said(), end.engine.outstanding) == ([], ())
    assert end.engine.c_echo().message_id == 1


@pytest.mark.parametrize("data_set", [b"", b"odd", bytearray(b"odd"), memoryview(b"")])
def test_a_data_set_is_neither_empty_nor_odd(data_set: Any) -> None:
    end = established()
    verbs: list[Callable[[], Request]] = [
        lambda: end.engine.c_find(FIND, data_set),
        lambda: end.engine.c_get(GET, data_set),
        lambda: end.engine.c_move(MOVE, data_set, "STORE"),
        lambda: end.engine.n_set(MPPS, INSTANCE, data_set),
        lambda: end.engine.n_action(MPPS, INSTANCE, 1, data_set),
        lambda: end.engine.n_create(MPPS, INSTANCE, data_set),
        lambda: end.engine.n_event_report(MPPS, INSTANCE, 1, data_set),
    ]
    for verb in verbs:
        with pytest.raises(LocalProtocolError, match=f"of {len(data_set)} bytes is no encoded data set"):
            verb()
        assert (end.said(), end.engine.outstanding) == ([], ())
    assert end.engine.c_echo().message_id == 1


@pytest.mark.parametrize("priority", list(Priority))
def test_a_sub_operation_is_a_store_of_ours_with_the_priority_of_the_get(priority: Priority) -> None:
    end = Scripted.established(acceptor(GETTING), requestor(GETTING))
    [event] = end.send(get_rq(priority=priority))
    event.operation.expect(1)  # type: ignore[union-attr]
    stored = event.operation.store(CT, INSTANCE)  # type: ignore[union-attr]
    assert (type(stored), stored.context.id, stored.request.priority) == (StoreRequest, 3, priority)
    assert end.said() == [CStoreRQ(**affected(CT), priority=priority)]


# ---------------------------------------------------------------- which context


def test_one_chooses_by_transfer_syntax_or_by_number() -> None:
    both = [(uid, syntax) for uid in (FIND, GET, MOVE, MPPS, CT) for syntax in ("i", "e")]
    syntaxes = {"i": IMPLICIT_VR_LITTLE_ENDIAN, "e": EXPLICIT_VR_LITTLE_ENDIAN}
    contexts = [PresentationContext(uid, (syntaxes[letter],), scp=True) for uid, letter in both]
    config = Requestor("ME", "YOU", contexts, window=WIDE)
    answers = [PresentationContext(uid, scp=True) for uid in (FIND, GET, MOVE, MPPS, CT)]
    engine = Scripted.established(config, Acceptor("YOU", answers, window=WIDE)).engine
    verbs: list[tuple[Any, int, str]] = [
        (lambda **given: engine.c_find(FIND, b"even", **given), 1, "transfer_syntax_uid"),
        (lambda **given: engine.c_move(MOVE, b"even", "STORE", **given), 9, "transfer_syntax_uid"),
        (lambda **given: engine.c_store(CT, INSTANCE, **given), 17, "transfer_syntax_uid"),
        (lambda **given: engine.n_set(MPPS, INSTANCE, b"even", **given), 13, "transfer_syntax_uid"),
        (lambda **given: engine.n_create(MPPS, **given), 13, "transfer_syntax_uid"),
        (lambda **given: engine.n_action(MPPS, INSTANCE, 1, **given), 13, "transfer_syntax_uid"),
        (lambda **given: engine.n_event_report(MPPS, INSTANCE, 1, **given), 13, "transfer_syntax_uid"),
        (lambda **given: engine.n_get(MPPS, INSTANCE, **given), 13, ""),
        (lambda **given: engine.n_delete(MPPS, INSTANCE, **given), 13, ""),
    ]
    for verb, first, option in verbs:
        assert verb().context.id == first
        assert verb(context_id=first + 2).context.id == first + 2
        if option:
            assert verb(**{option: EXPLICIT_VR_LITTLE_ENDIAN}).context.id == first + 2
            with pytest.raises(LocalProtocolError, match=f"context {first} is for"):
                verb(context_id=first, **{option: EXPLICIT_VR_LITTLE_ENDIAN})
            with pytest.raises(LocalProtocolError, match="these transfer syntaxes would do"):
                verb(**{option: "1.2.840.10008.1.2.4.50"})
        with pytest.raises(LocalProtocolError, match="presentation context 99 was not accepted"):
            verb(context_id=99)
    # One C-GET at a time.
    end = Scripted.established(config, Acceptor("YOU", answers, window=WIDE))
    for number, (given, expected) in enumerate([({}, 5), ({"context_id": 7}, 7)], 1):
        get = end.engine.c_get(GET, b"even", **given)  # type: ignore[arg-type]
        assert (get.context.id, get.message_id) == (expected, number)
        end.send(get_rsp(number, get.context.id))
    assert end.engine.c_get(GET, b"even", transfer_syntax_uid=EXPLICIT_VR_LITTLE_ENDIAN).context.id == 7


def test_the_association_is_one_of_them() -> None:
    assert issubclass(Association, Invocations)
    with pytest.raises(NotImplementedError):
        Invocations()._agreed()


# ---------------------------------------------------------------- who may report an event


@pytest.mark.parametrize(
    ("context", "who", "may"),
    [
        (PresentationContext(STORAGE_COMMITMENT_PUSH_MODEL), "requestor", False),
        (PresentationContext(STORAGE_COMMITMENT_PUSH_MODEL), "acceptor", True),
        (PresentationContext(STORAGE_COMMITMENT_PUSH_MODEL, scu=False, scp=True), "requestor", True),
        (PresentationContext(STORAGE_COMMITMENT_PUSH_MODEL, scu=False, scp=True), "acceptor", False),
        (PresentationContext(STORAGE_COMMITMENT_PUSH_MODEL, scp=True), "requestor", True),
        (PresentationContext(STORAGE_COMMITMENT_PUSH_MODEL, scp=True), "acceptor", True),
    ],
)
def test_who_reports_an_event_is_the_scp(context: PresentationContext, who: str, may: bool) -> None:
    answers = PresentationContext(context.abstract_syntax, scp=True)
    pair = Pair(requestor(context), acceptor(answers))
    pair.establish()
    engine = (pair.requestor if who == "requestor" else pair.acceptor).engine
    for given in ({}, {"context_id": 7}):
        if may:
            assert engine.context_for(context.abstract_syntax, role="SCP", **given).id == 7
        else:
            with pytest.raises(LocalProtocolError, match="we are not the SCP of Storage Commitment Push Model"):
                engine.n_event_report(context.abstract_syntax, INSTANCE, 1, b"even", **given)
            assert (engine.outstanding, engine.bytes_unsent) == ((), 0)
    if may:
        assert engine.n_event_report(context.abstract_syntax, INSTANCE, 1, b"even").context.id == 7


def test_who_asks_for_an_action_is_the_scu() -> None:
    contexts = [PresentationContext(STORAGE_COMMITMENT_PUSH_MODEL, scu=False, scp=True)]
    answers = [PresentationContext(STORAGE_COMMITMENT_PUSH_MODEL, scp=True)]
    end = Scripted.established(Requestor("ME", "YOU", contexts), Acceptor("YOU", answers))
    with pytest.raises(LocalProtocolError, match="we are not the SCU of Storage Commitment Push Model"):
        end.engine.n_action(STORAGE_COMMITMENT_PUSH_MODEL, INSTANCE, 1, b"even")
    assert (end.said(), end.engine.outstanding) == ([], ())


# ---------------------------------------------------------------- contexts that carry the messages of others


def test_what_is_printed_goes_over_the_meta_sop_class() -> None:
    meta = PresentationContext(BASIC_GRAYSCALE_PRINT_MANAGEMENT_META, scp=True)
    pair = Pair(requestor(meta, window=WIDE), acceptor(meta, window=WIDE))
    pair.establish()
    us, them = pair.requestor.engine, pair.acceptor.engine
    asked = [
        us.n_get(PRINTER, INSTANCE),
        us.n_create(BASIC_FILM_SESSION, None, b"film"),
        us.n_create(BASIC_FILM_BOX, "1.2.1", b"box."),
        us.n_set(BASIC_GRAYSCALE_IMAGE_BOX, "1.2.2", b"image."),
        us.n_action(BASIC_FILM_SESSION, INSTANCE, 1),
        us.n_delete(BASIC_FILM_SESSION, INSTANCE),
        them.n_event_report(PRINTER, INSTANCE, 2, b"paper!"),
    ]
    assert {operation.context.id for operation in asked} == {7}
    pair.run()
    events = [*pair.acceptor.events, *pair.requestor.events]
    assert [event.request for event in events] == [operation.request for operation in asked]
    for event in events:
        event.operation.respond(sop_instance_uid=event.request.sop_instance_uid or "1.2.840.7")
    pair.run()
    assert [operation.status for operation in asked] == [0] * len(asked)
    responses: list[Any] = [operation.response for operation in asked]
    assert [response.affected_sop_class_uid for response in responses[:2]] == [PRINTER, BASIC_FILM_SESSION]
    assert us.deviations == them.deviations == ()


def test_a_context_of_its_own_comes_before_one_of_a_meta_sop_class() -> None:
    meta, printer = PresentationContext(BASIC_GRAYSCALE_PRINT_MANAGEMENT_META), PresentationContext(PRINTER)
    engine = established(meta, printer).engine
    assert engine.n_get(PRINTER, INSTANCE).context.id == 9
    assert engine.n_get(PRINTER, INSTANCE, context_id=7).context.id == 7
    assert engine.n_create(BASIC_FILM_SESSION).context.id == 7


@pytest.mark.parametrize(
    ("uid", "verb", "who"),
    [
        (UNIFIED_PROCEDURE_STEP_WATCH, lambda e: e.n_action(UNIFIED_PROCEDURE_STEP_PUSH, INSTANCE, 3, b"even"), 0),
        (UNIFIED_PROCEDURE_STEP_WATCH, lambda e: e.n_get(UNIFIED_PROCEDURE_STEP_PUSH, INSTANCE), 0),
        (UNIFIED_PROCEDURE_STEP_PULL, lambda e: e.n_set(UNIFIED_PROCEDURE_STEP_PUSH, INSTANCE, b"even"), 0),
        (UNIFIED_PROCEDURE_STEP_PULL, lambda e: e.c_find(UNIFIED_PROCEDURE_STEP_PUSH, b"even"), 0),
        (UNIFIED_PROCEDURE_STEP_QUERY, lambda e: e.c_find(UNIFIED_PROCEDURE_STEP_PUSH, b"even"), 0),
        (UNIFIED_PROCEDURE_STEP_EVENT, lambda e: e.n_event_report(UNIFIED_PROCEDURE_STEP_PUSH, INSTANCE, 1, b"ev"), 1),
    ],
)
def test_all_of_a_unified_procedure_step_names_push(uid: str, verb: Any, who: int) -> None:
    pair = Pair(requestor(PresentationContext(uid)), acceptor(PresentationContext(uid)))
    pair.establish()
    ours, theirs = (pair.requestor, pair.acceptor)[:: -1 if who else 1]
    operation = verb(ours.engine)
    assert operation.context.id == 7
    pair.run()
    [event] = theirs.events
    assert event.request.sop_class_uid == UNIFIED_PROCEDURE_STEP_PUSH
    finish = getattr(event.operation, "finish", None) or event.operation.respond
    finish()
    pair.run()
    assert operation.status == 0
    assert operation.response.affected_sop_class_uid == UNIFIED_PROCEDURE_STEP_PUSH
    assert ours.engine.deviations == theirs.engine.deviations == ()


def test_a_notification_has_a_context_of_its_own() -> None:
    notification = MODALITY_PERFORMED_PROCEDURE_STEP_NOTIFICATION
    engine = established(PresentationContext(notification, scp=True)).engine
    assert engine.n_event_report(notification, INSTANCE, 1).context.id == 7
    with pytest.raises(LocalProtocolError, match="no context for Modality Performed Procedure Step SOP Class was pro"):
        engine.n_event_report(MPPS, INSTANCE, 1)
