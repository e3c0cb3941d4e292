"""Serving DIMSE-N: whatever a handler of any service does, the peer gets one answer, and each error is told once."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from engine_pair import ABORT, INSTANCE, RELEASE_RQ, acceptor, echo_rq, message, requestor
from memory_link import Alone, Joined, nothing_left
from sansdimse.dataset import Dataset, DatasetError, encode
from sansdimse.dimse.messages import (
    WITH_DATA_SET,
    NActionRQ,
    NCreateRQ,
    NCreateRSP,
    NDeleteRQ,
    NEventReportRQ,
    NGetRQ,
    NSetRQ,
)
from sansdimse.dimse.status import SUCCESS, Status
from sansdimse.errors import LocalProtocolError
from sansdimse.peer import blocking_scp
from sansdimse.peer.handlers import NO_STATUS, NOT_A_STATUS, Failure
from sansdimse.peer.scp import Normalized
from sansdimse.service_classes.refused import Refused
from sansdimse.services.sop_classes import (
    BASIC_FILM_SESSION,
    BASIC_GRAYSCALE_PRINT_MANAGEMENT_META,
    MODALITY_PERFORMED_PROCEDURE_STEP,
    PRINTER,
    STANDARD,
    UNIFIED_PROCEDURE_STEP_PUSH,
    UNIFIED_PROCEDURE_STEP_WATCH,
    private_sop_class,
)
from sansdimse.services.sop_classes import RT_CONVENTIONAL_MACHINE_VERIFICATION as ALL_SIX
from sansdimse.uids import EXPLICIT_VR_LITTLE_ENDIAN
from sansdimse.ul.parties import PresentationContext
from sansdimse.ul.pdu import AAbort, AReleaseRP

ELE = EXPLICIT_VR_LITTLE_ENDIAN
PATIENT_ID = 0x00100020
Handler = Callable[[Any], Any]


def data_set(**values: Any) -> Dataset:
    dataset = Dataset()
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return dataset


NAMED = data_set(PatientID="7")
ENCODED = encode(NAMED, ELE)
UNENCODABLE = data_set(Rows=7)
UNENCODABLE["Rows"]._value = "many"

_AFFECTED = {"message_id": 1, "affected_sop_class_uid": ALL_SIX, "affected_sop_instance_uid": INSTANCE}
_REQUESTED = {"message_id": 1, "requested_sop_class_uid": ALL_SIX, "requested_sop_instance_uid": INSTANCE}
REQUESTS: dict[str, tuple[Any, bytes | None]] = {
    "N-EVENT-REPORT": (NEventReportRQ(**_AFFECTED, event_type_id=2, command_data_set_type=WITH_DATA_SET), ENCODED),
    "N-GET": (NGetRQ(**_REQUESTED, attribute_identifier_list=(PATIENT_ID,)), None),
    "N-SET": (NSetRQ(**_REQUESTED), ENCODED),
    "N-ACTION": (NActionRQ(**_REQUESTED, action_type_id=1, command_data_set_type=WITH_DATA_SET), ENCODED),
    "N-CREATE": (NCreateRQ(**_AFFECTED, command_data_set_type=WITH_DATA_SET), ENCODED),
    "N-DELETE": (NDeleteRQ(**_REQUESTED), None),
}
SERVICES = list(REQUESTS)
WITH_REPLY = [service for service in SERVICES if service != "N-DELETE"]


def method_of(service: str) -> str:
    return service.lower().replace("-", "_")


def alone(service: Any, *sop_classes: str, **settings: Any) -> Alone:
    contexts = [PresentationContext(uid, scp=True) for uid in sop_classes or (ALL_SIX,)]
    return Alone(service, config=acceptor(*contexts), other=requestor(*contexts), **settings)


def served(service: str, handler: Handler, **settings: Any) -> Alone:
    """One whose handler of this service was just asked."""
    end = alone(SimpleNamespace(**{method_of(service): handler}), **settings)
    end.raw.send(message(7, *REQUESTS[service]))
    return end


def returning(value: Any) -> tuple[Handler, Handler]:
    async def handler(asked: Normalized) -> Any:
        return value

    return handler, lambda asked: value


def raising(error: Exception) -> tuple[Handler, Handler]:
    async def handler(asked: Normalized) -> Any:
        raise error

    def blocking_handler(asked: blocking_scp.Normalized) -> Any:
        raise error

    return handler, blocking_handler


def decoding() -> tuple[Handler, Handler]:
    async def handler(asked: Normalized) -> int:
        assert asked.data_set
        return 0

    def blocking_handler(asked: blocking_scp.Normalized) -> int:
        assert asked.data_set
        return 0

    return handler, blocking_handler


def said(end: Alone) -> tuple[Any, bytes | None]:
    """The one response, and the data set that came with it."""
    response, *rest = end.raw.said()
    assert len(rest) == (response.command_data_set_type == WITH_DATA_SET)
    return response, rest[0] if rest else None


def usable(end: Alone) -> None:
    """Nothing is left, and the association works."""
    assert nothing_left(end.session)
    end.raw.send(echo_rq(2))
    assert [response.status for response in end.raw.said()] == [0]


SHAPES = pytest.mark.parametrize("shape", [0, 1], ids=["async", "blocking"])

# ---------------------------------------------------------------- statuses, of every service in both shapes


STATUSES: list[tuple[str, tuple[Handler, Handler], int, str | None, int]] = [
    ("returns a number", returning(0), 0, None, 0),
    ("returns a status", returning(SUCCESS), 0, None, 0),
    ("returns a failure", returning(0x0213), 0x0213, None, 0),
    ("returns a pair without data set", returning((0x0213, None)), 0x0213, None, 0),
    ("returns a data set as status", returning(data_set(Status=0x0213, ErrorComment="full")), 0x0213, "full", 0),
    ("returns a data set for a success", returning(data_set(Status=0)), 0, None, 0),
    ("returns nothing", returning(None), NOT_A_STATUS, None, 1),
    ("returns a word", returning("Success"), NOT_A_STATUS, None, 1),
    ("returns True", returning(True), NOT_A_STATUS, None, 1),
    ("returns too large a number", returning(0x10000), NOT_A_STATUS, None, 1),
    ("returns three", returning((0, None, None)), NOT_A_STATUS, None, 1),
    ("returns a word in a pair", returning(("Success", None)), NOT_A_STATUS, None, 1),
    ("returns a data set without status", returning(NAMED), NO_STATUS, None, 1),
    ("returns Pending", returning(0xFF00), 0x0110, None, 1),
    ("returns what nobody knows", returning(0x1234), 0x1234, None, 1),
    ("returns what nobody knows in a pair", returning((0xA999, None)), 0xA999, None, 1),
    ("raises", raising(ZeroDivisionError("secret")), 0x0110, None, 1),
    ("raises what looks like ours", raising(LocalProtocolError("mine")), 0x0110, None, 1),
    ("fails", raising(Failure(0x0213)), 0x0213, None, 0),
    ("fails with a comment", raising(Failure(0x0110, "no\n" + "x" * 99)), 0x0110, "no?" + "x" * 61, 0),
    ("is refused by its service class", raising(Refused(0x0213, "full")), 0x0213, "full", 0),
    ("fails with what nobody knows", raising(Failure(0x1234, "hm")), 0x1234, "hm", 1),
    ("fails with Pending", raising(Failure(0xFF00)), 0x0110, None, 1),
    ("fails with no status", raising(Failure(0x12345)), 0x0110, None, 1),
]  # fmt: skip


@SHAPES
@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize(
    ("handlers", "status", "comment", "reports"), [row[1:] for row in STATUSES], ids=[row[0] for row in STATUSES]
)
def test_a_request_is_answered_once(
    service: str, shape: int, handlers: tuple[Handler, Handler], status: int, comment: str | None, reports: int
) -> None:
    end = served(service, handlers[shape])
    response, content = said(end)
    request, _ = REQUESTS[service]
    assert type(response).__name__ == type(request).__name__.replace("RQ", "RSP")
    assert (response.message_id_being_responded_to, response.affected_sop_instance_uid) == (1, INSTANCE)
    assert (response.status, response.error_comment, content) == (status, comment, None)
    for number in ("action_type_id", "event_type_id"):
        assert getattr(response, number, None) == getattr(request, number, None)
    assert [where for _, where in end.reports] == [f"{service} 1"] * reports
    usable(end)


@SHAPES
@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("way", ["raised", "returned"])
def test_what_else_a_failure_tells(service: str, way: str, shape: int) -> None:
    has_list = hasattr(_response_of(service), "attribute_identifier_list")
    attributes = (PATIENT_ID, 0x00100010) if has_list else ()
    if way == "raised":
        handlers = raising(Failure(0x0110, "no", (0x00081195,), error_id=7, attributes=attributes))
    else:
        status = data_set(Status=0x0110, ErrorComment="no", OffendingElement=[0x00081195], ErrorID=7)
        if attributes:
            status.AttributeIdentifierList = list(attributes)
        handlers = returning(status)
    end = served(service, handlers[shape])
    response, _ = said(end)
    assert (response.status, response.error_comment, response.error_id) == (0x0110, "no", 7)
    assert response.offending_element == (0x00081195,)
    assert getattr(response, "attribute_identifier_list", ()) == attributes
    assert not end.reports


def _response_of(service: str) -> Any:
    from sansdimse.services.operation import RESPONSE_TO

    return RESPONSE_TO[type(REQUESTS[service][0])]


@pytest.mark.parametrize("service", ["N-EVENT-REPORT", "N-DELETE"])
def test_an_element_that_the_response_does_not_have_is_reported(service: str) -> None:
    end = served(service, raising(Failure(0x0110, attributes=(PATIENT_ID,)))[0])
    assert said(end)[0].status == 0x0110
    assert ["attribute_identifier_list" in str(error) for error, _ in end.reports] == [True]
    usable(end)


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize(
    ("keyword", "value", "name"),
    [
        ("CommandField", 0x0001, "Command Field"),
        ("MessageID", 9, "Message ID"),
        ("MessageIDBeingRespondedTo", 9, "Message ID Being Responded To"),
        ("CommandDataSetType", 0, "Command Data Set Type"),
        ("PatientID", "7", "Patient ID"),
    ],
)
def test_what_is_the_protocols_is_reported_and_not_sent(service: str, keyword: str, value: Any, name: str) -> None:
    status = data_set(Status=0x0112)
    setattr(status, keyword, value)
    end = served(service, returning(status)[0])
    response, content = said(end)
    assert (response.status, response.message_id_being_responded_to, content) == (0x0112, 1, None)
    assert [str(error) for error, _ in end.reports] == [f"a status cannot have {name}"]


def test_a_service_without_the_method_does_not_know_the_request() -> None:
    for service in SERVICES:
        others = {method_of(each): returning(0)[0] for each in SERVICES if each != service}
        end = alone(SimpleNamespace(**others))
        end.raw.send(message(7, *REQUESTS[service]))
        assert said(end)[0].status == 0x0211
        assert not end.reports
        usable(end)


@pytest.mark.parametrize("end_", ["abort", "vanish"])
def test_nobody_is_told_so_when_nobody_listens_any_more(end_: str) -> None:
    end = alone(object())
    end.link.can_cancel = False
    end.raw._outgoing.data += message(7, *REQUESTS["N-SET"])
    if end_ == "abort":
        end.raw.send(ABORT)
    else:
        end.raw.vanish()
    assert end.raw.said() == []
    assert [task.error for task in end.loop.tasks] == [None] * len(end.loop.tasks)
    assert not end.reports


# ---------------------------------------------------------------- data sets, in and out


@SHAPES
@pytest.mark.parametrize("service", WITH_REPLY)
@pytest.mark.parametrize("reply", [NAMED, ENCODED], ids=["data set", "bytes"])
@pytest.mark.parametrize("status", [0, data_set(Status=0)], ids=["number", "data set as status"])
def test_a_data_set_goes_with_the_status(service: str, reply: Any, status: Any, shape: int) -> None:
    end = served(service, returning((status, reply))[shape])
    response, content = said(end)
    assert (response.status, content) == (0, ENCODED)
    assert not end.reports


@pytest.mark.parametrize("service", WITH_REPLY)
@pytest.mark.parametrize("reply", [Dataset(), b""], ids=["data set", "bytes"])
def test_an_empty_one_is_none(service: str, reply: Any) -> None:
    assert said(served(service, returning((0, reply))[0])) == said(served(service, returning(0)[0]))


@SHAPES
@pytest.mark.parametrize("service", WITH_REPLY)
@pytest.mark.parametrize(
    ("reply", "error"),
    [
        ((0, UNENCODABLE), DatasetError),
        ((0, "a word"), TypeError),
        ((0, b"odd"), LocalProtocolError),
        ((0x0110, NAMED), LocalProtocolError),
    ],
    ids=["cannot be encoded", "is none", "is odd", "goes not with a failure"],
)
def test_a_data_set_that_cannot_be_sent_is_reported(service: str, reply: Any, error: type, shape: int) -> None:
    end = served(service, returning(reply)[shape])
    response, content = said(end)
    assert (response.status, content) == (0x0110, None)
    assert [(type(each), where) for each, where in end.reports] == [(error, f"{service} 1")]
    usable(end)


@pytest.mark.parametrize("returned", [False, True])
def test_a_failure_that_is_returned_tells_as_much_as_one_that_is_raised(returned: bool) -> None:
    failure = Failure(0x0106, "bad value", attribute_list=NAMED)

    def n_set(change: Any) -> Any:
        if returned:
            return failure
        raise failure

    joined = Joined(SimpleNamespace(n_set=n_set), ours=requestor(ALL_SIX), theirs=acceptor(ALL_SIX))
    reply = joined.loop.call(joined.peer.n_set(ALL_SIX, "1.2.3", NAMED))
    assert (reply, reply.data_set) == (0x0106, NAMED)
    assert not joined.reports


def test_an_n_delete_has_no_reply() -> None:
    end = served("N-DELETE", returning((0, NAMED))[0])
    assert said(end)[0].status == 0x0110
    assert ["no data set" in str(error) for error, _ in end.reports] == [True]


@SHAPES
def test_a_failure_may_come_with_the_values_it_speaks_of(shape: int) -> None:
    end = served("N-SET", raising(Failure(0x0106, "no such patient", attribute_list=NAMED))[shape])
    response, content = said(end)
    assert (response.status, response.error_comment, content) == (0x0106, "no such patient", ENCODED)
    assert not end.reports


@SHAPES
@pytest.mark.parametrize("service", [service for service in SERVICES if REQUESTS[service][1]])
def test_a_data_set_that_cannot_be_decoded(service: str, shape: int) -> None:
    end = alone(SimpleNamespace(**{method_of(service): decoding()[shape]}))
    end.raw.send(message(7, REQUESTS[service][0], b"what is this"))
    response, _ = said(end)
    assert (response.status, response.error_comment) == (0x0110, "Unable to decode the dataset")
    assert not end.reports
    usable(end)


@SHAPES
@pytest.mark.parametrize("service", SERVICES)
def test_what_a_handler_sees(service: str, shape: int) -> None:
    request, content = REQUESTS[service]
    seen: list[Any] = []

    def look(asked: Any) -> int:
        assert asked.request == request
        assert asked.association.calling_ae_title == "ME"
        assert (asked.context.id, asked.transfer_syntax_uid, asked.cancelled) == (7, ELE, False)
        assert (asked.sop_class_uid, asked.sop_instance_uid) == (ALL_SIX, INSTANCE)
        assert asked.raw_data_set == content
        assert asked.data_set == (NAMED if content else Dataset())
        assert asked.data_set is asked.data_set
        seen.append((asked.type_id, asked.attributes))
        return 0

    async def handler(asked: Normalized) -> int:
        return look(asked)

    end = served(service, (handler, look)[shape])
    assert said(end)[0].status == 0
    assert not end.reports
    assert seen == [({"N-EVENT-REPORT": 2, "N-ACTION": 1}.get(service), (PATIENT_ID,) if service == "N-GET" else ())]


# ---------------------------------------------------------------- N-CREATE


CREATE = NCreateRQ(message_id=1, affected_sop_class_uid=MODALITY_PERFORMED_PROCEDURE_STEP)


def created(handler: Handler, request: NCreateRQ = CREATE) -> Alone:
    end = alone(SimpleNamespace(n_create=handler), MODALITY_PERFORMED_PROCEDURE_STEP)
    end.raw.send(message(7, request))
    return end


@SHAPES
def test_an_instance_without_a_name_is_given_one(shape: int) -> None:
    seen: list[str] = []

    def look(asked: Any) -> int:
        seen.extend([asked.sop_instance_uid, asked.sop_instance_uid])
        return 0

    async def n_create(asked: Normalized) -> int:
        return look(asked)

    end = created((n_create, look)[shape])
    assert said(end)[0].affected_sop_instance_uid == "2.25.1"
    assert seen == ["2.25.1", "2.25.1"]


def test_it_is_given_one_though_the_handler_did_not_ask() -> None:
    end = created(returning(0)[0])
    response, _ = said(end)
    assert isinstance(response, NCreateRSP)
    assert (response.status, response.affected_sop_instance_uid) == (0, "2.25.1")
    assert said(created(returning(0xB000)[0]))[0].affected_sop_instance_uid == "2.25.1", "a warning is a success"


def test_what_fails_creates_nothing() -> None:
    assert said(created(returning(0x0110)[0]))[0].affected_sop_instance_uid is None


@SHAPES
def test_the_handler_may_name_it(shape: int) -> None:
    status = data_set(Status=0, AffectedSOPInstanceUID="1.2.9")
    end = created(returning((status, NAMED))[shape])
    response, content = said(end)
    assert (response.status, response.affected_sop_instance_uid, content) == (0, "1.2.9", ENCODED)
    assert not end.reports


def test_what_the_peer_named_stays_so() -> None:
    request = NCreateRQ(
        message_id=1, affected_sop_class_uid=MODALITY_PERFORMED_PROCEDURE_STEP, affected_sop_instance_uid=INSTANCE
    )
    for name, status in ((INSTANCE, 0), ("1.2.9", 0x0110)):
        end = created(returning(data_set(Status=0, AffectedSOPInstanceUID=name))[0], request)
        response, _ = said(end)
        assert (response.status, response.affected_sop_instance_uid) == (status, INSTANCE)
        assert len(end.reports) == (status != 0)


def test_a_name_that_is_none_is_reported() -> None:
    status = data_set(Status=0, AffectedSOPInstanceUID="1.2.9")
    status["AffectedSOPInstanceUID"]._value = "1.02"
    end = created(returning(status)[0])
    assert said(end)[0].status == 0x0110
    assert ["no UID" in str(error) for error, _ in end.reports] == [True]


def test_without_a_source_of_names_that_is_reported() -> None:
    def none() -> str:
        raise LocalProtocolError("there is no source")

    end = alone(SimpleNamespace(n_create=returning(0)[0]), MODALITY_PERFORMED_PROCEDURE_STEP)
    end.session.new_uid = none
    end.raw.send(message(7, CREATE))
    assert said(end)[0].status == 0x0110
    assert [str(error) for error, _ in end.reports] == ["there is no source"]


# ---------------------------------------------------------------- SOP classes


def test_a_meta_sop_class_carries_its_members() -> None:
    seen: list[tuple[str, str]] = []

    async def handler(asked: Normalized) -> int:
        seen.append((asked.sop_class_uid, asked.context.abstract_syntax))
        return 0

    end = alone(SimpleNamespace(n_create=handler, n_get=handler), BASIC_GRAYSCALE_PRINT_MANAGEMENT_META)
    end.raw.send(message(7, NCreateRQ(message_id=1, affected_sop_class_uid=BASIC_FILM_SESSION)))
    response, _ = said(end)
    assert (response.status, response.affected_sop_class_uid) == (0, BASIC_FILM_SESSION)
    end.raw.send(message(7, NGetRQ(message_id=2, requested_sop_class_uid=PRINTER, requested_sop_instance_uid=INSTANCE)))
    assert said(end)[0].affected_sop_class_uid == PRINTER
    meta = BASIC_GRAYSCALE_PRINT_MANAGEMENT_META
    assert seen == [(BASIC_FILM_SESSION, meta), (PRINTER, meta)]
    assert not end.reports


def test_a_status_of_a_member_is_known() -> None:
    end = alone(SimpleNamespace(n_create=returning(0xB600)[0]), BASIC_GRAYSCALE_PRINT_MANAGEMENT_META)
    end.raw.send(message(7, NCreateRQ(message_id=1, affected_sop_class_uid=BASIC_FILM_SESSION)))
    assert said(end)[0].status == 0xB600
    assert not end.reports


@pytest.mark.parametrize(("action", "status", "known"), [(3, 0xB301, True), (2, 0xC312, True), (3, 0xC312, False)])
def test_whether_a_status_is_known_depends_on_the_action(action: int, status: int, known: bool) -> None:
    end = alone(SimpleNamespace(n_action=returning(status)[0]), UNIFIED_PROCEDURE_STEP_WATCH)
    request = NActionRQ(
        message_id=1,
        requested_sop_class_uid=UNIFIED_PROCEDURE_STEP_PUSH,
        requested_sop_instance_uid=INSTANCE,
        action_type_id=action,
    )
    end.raw.send(message(7, request))
    assert said(end)[0].status == status
    assert [str(error) for error, _ in end.reports] == (
        [] if known else [f"{Status(status)} is no status of a N-ACTION of Unified Procedure Step with action type 3"]
    )


PRIVATE = "1.2.3.4.5"
MINE = STANDARD.with_private(private_sop_class(PRIVATE, ["N-GET", "N-SET"], "Scanner Calibration"))


def test_a_private_sop_class_has_the_services_it_was_given_and_statuses_of_its_own() -> None:
    handler = returning(0xC123)[0]
    service = SimpleNamespace(n_get=handler, n_set=handler, n_delete=handler)
    end = alone(service, PRIVATE, sop_classes=MINE)
    asked = {"message_id": 1, "requested_sop_class_uid": PRIVATE, "requested_sop_instance_uid": INSTANCE}
    end.raw.send(message(7, NGetRQ(**asked)))
    assert said(end)[0].status == 0xC123
    end.raw.send(message(7, NDeleteRQ(**asked)))
    assert said(end)[0].status == 0x0211, "it has no N-DELETE"
    assert not end.reports
    undeclared = alone(service, PRIVATE)
    undeclared.raw.send(message(7, NDeleteRQ(**asked)))
    assert said(undeclared)[0].status == 0xC123, "of what nobody knows, all services are there that have a method"
    assert not undeclared.reports


# ---------------------------------------------------------------- what comes after, and the ends


@SHAPES
@pytest.mark.parametrize("returned", [0, 0x0110, "no status"])
def test_what_comes_after_comes_after_the_answer(returned: Any, shape: int) -> None:
    order: list[Any] = []

    async def after(peer: Any) -> None:
        order.append(len(end.engine.unanswered))

    async def handler(asked: Normalized) -> Any:
        asked.after(after)
        return returned

    def blocking_handler(asked: blocking_scp.Normalized) -> Any:
        asked.after(lambda peer: order.append(len(end.engine.unanswered)))
        return returned

    end = alone(SimpleNamespace(n_set=(handler, blocking_handler)[shape]))
    end.raw.send(message(7, *REQUESTS["N-SET"]))
    assert order == [0]
    assert len(end.raw.said()) == 1


@SHAPES
def test_a_handler_may_abort(shape: int) -> None:
    def look(asked: Any) -> int:
        asked.abort()
        return 0

    async def handler(asked: Normalized) -> int:
        return look(asked)

    end = served("N-ACTION", (handler, look)[shape])
    assert end.raw.said() == [AAbort(0, 0)]
    assert not end.reports


@pytest.mark.parametrize("can_cancel", [False, True])
@pytest.mark.parametrize("how", ["release", "abort"])
def test_the_peer_does_not_wait_for_its_answer(how: str, can_cancel: bool) -> None:
    signals: list[Any] = []

    async def handler(asked: Normalized) -> int:
        signals.append(asked._session.link.signal())
        await signals[-1].wait()
        return 0

    end = alone(SimpleNamespace(n_set=handler))
    end.link.can_cancel = can_cancel
    end.raw.send(message(7, *REQUESTS["N-SET"]))
    end.raw.send(RELEASE_RQ if how == "release" else ABORT)
    signals[0].set()
    heard = end.raw.said()
    if how == "release":
        assert (heard[0].status, heard[1]) == (0, AReleaseRP())
    else:
        assert heard == []
    assert not end.reports
    assert nothing_left(end.session)
    assert not end.loop.waiting


def test_both_ends_report_events_at_once() -> None:
    told: list[str] = []

    class Told:
        def __init__(self, name: str) -> None:
            self.name = name

        async def n_action(self, asked: Normalized) -> int:
            information = data_set(TransactionUID=asked.data_set.TransactionUID)

            async def report(peer: Any) -> None:
                reply = await peer.n_event_report(ALL_SIX, INSTANCE, 1, information)
                told.append(f"{self.name} was answered {int(reply):04X}")

            asked.after(report)
            return 0

        async def n_event_report(self, asked: Normalized) -> int:
            told.append(f"{self.name} heard of {asked.data_set.TransactionUID}")
            return 0

    context = PresentationContext(ALL_SIX, scp=True)
    joined = Joined(Told("scp"), scu_service=Told("scu"), ours=requestor(context), theirs=acceptor(context))
    asked = joined.peer.n_action(ALL_SIX, INSTANCE, 1, data_set(TransactionUID="1.2.77"))
    assert joined.loop.finish(asked) == 0
    assert told == ["scu heard of 1.2.77", "scp was answered 0000"]
    assert not joined.reports
    assert all(map(nothing_left, joined.sessions))
