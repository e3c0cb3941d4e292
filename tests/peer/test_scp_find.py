"""Serving C-FIND: handlers of every shape, every way in which one ends, and what the peer may do meanwhile."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import Dataset

from engine_pair import (
    ABORT,
    CT,
    FIND,
    INSTANCE,
    QUERY,
    RELEASE_RQ,
    acceptor,
    command,
    echo_rq,
    find_rq,
    found,
    read,
    requestor,
)
from memory_link import Alone, Joined, nothing_left
from sansdimse.dataset import decode, encode
from sansdimse.dimse.messages import CCancelRQ, CFindRQ, CFindRSP, CStoreRQ
from sansdimse.dimse.status import CANCEL
from sansdimse.limits import Limits
from sansdimse.matching import MalformedKeyError
from sansdimse.outcome import OutcomeKind
from sansdimse.peer import blocking_scp
from sansdimse.peer.handlers import NO_STATUS, NOT_A_STATUS, Failure
from sansdimse.peer.scp import Find
from sansdimse.peer.scp_find import _AT_ONCE, _MOST, UNDECODABLE, UNENCODABLE, UNHANDLED
from sansdimse.services.sop_classes import (
    GENERAL_RELEVANT_PATIENT_INFORMATION,
    MODALITY_WORKLIST_FIND,
    PATIENT_ROOT_FIND,
    REPOSITORY_QUERY,
)
from sansdimse.uids import EXPLICIT_VR_LITTLE_ENDIAN
from sansdimse.ul.items import AsynchronousOperationsWindow
from sansdimse.ul.parties import PresentationContext
from sansdimse.ul.pdu import AReleaseRP

ELE = EXPLICIT_VR_LITTLE_ENDIAN


def data_set(**values: Any) -> Dataset:
    dataset = Dataset()
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return dataset


LEVEL = data_set(QueryRetrieveLevel="STUDY")
COMPLETE = {"QueryRetrieveLevel": "IMAGE", "RetrieveAETitle": ""}
ASKED = find_rq(identifier=encode(data_set(QueryRetrieveLevel="STUDY", PatientID="7*"), ELE))
CANCELLED = command(7, CCancelRQ(message_id_being_responded_to=1))
DRIVEN = Limits(output_high_water=50)
"""With which every flush drives the link, as a flush on a socket does."""
PENDING = found(1, 0xFF00, has_identifier=True)

# ---------------------------------------------------------------- one script, in every shape of handler


Script = list[Any]
"""What a handler gives; an exception is raised in its place."""


def plays(script: Script) -> Iterator[Any]:
    for item in script:
        if isinstance(item, BaseException):
            raise item
        yield item


async def plays_async(script: Script) -> AsyncIterator[Any]:
    for item in script:
        if isinstance(item, BaseException):
            raise item
        yield item


class Shapes:
    """Services whose handlers give the same."""

    @staticmethod
    def async_generator(script: Script) -> Any:
        async def c_find(find: Find) -> AsyncIterator[Any]:
            assert isinstance(find, Find)
            async for item in plays_async(script):
                yield item

        return SimpleNamespace(c_find=c_find)

    @staticmethod
    def generator(script: Script) -> Any:
        def c_find(find: blocking_scp.Find) -> Iterator[Any]:
            assert isinstance(find, blocking_scp.Find)
            yield from plays(script)

        return SimpleNamespace(c_find=c_find)

    @staticmethod
    def async_that_returns_an_iterable(script: Script) -> Any:
        async def c_find(find: Find) -> Iterable[Any]:
            assert isinstance(find, Find)
            return plays(script)

        return SimpleNamespace(c_find=c_find)

    @staticmethod
    def async_that_returns_an_async_iterable(script: Script) -> Any:
        async def c_find(find: Find) -> AsyncIterator[Any]:
            assert isinstance(find, Find)
            return plays_async(script)

        return SimpleNamespace(c_find=c_find)

    @staticmethod
    def plain_that_returns_an_iterable(script: Script) -> Any:
        return SimpleNamespace(c_find=lambda find: plays(script))

    @staticmethod
    def plain_that_returns_an_async_iterable(script: Script) -> Any:
        return SimpleNamespace(c_find=lambda find: plays_async(script))


SHAPES = [
    pytest.param(getattr(Shapes, name), id=name.replace("_", " ")) for name in vars(Shapes) if not name.startswith("_")
]
Shape = Callable[[Script], Any]


def alone(service: Any, *, sop_class: str = FIND, **config: Any) -> Alone:
    context = PresentationContext(sop_class, scp=True)
    ours = acceptor(context, window=AsynchronousOperationsWindow(4, 4), **config)
    return Alone(service, config=ours, other=requestor(context, window=AsynchronousOperationsWindow(4, 4)))


def answered(end: Alone) -> tuple[list[Any], CFindRSP]:
    """The matches, as (status, identifier), and the final response."""
    said = end.raw.said()
    *pending, final = [message for message in said if isinstance(message, CFindRSP)]
    assert final.status not in (0xFF00, 0xFF01)
    assert said[-1] is final
    identifiers = [message for message in said if isinstance(message, bytes)]
    assert len(identifiers) == len(pending)
    return [(response.status, match) for response, match in zip(pending, identifiers, strict=True)], final


A, B = data_set(PatientID="A", RetrieveAETitle="X"), data_set(PatientID="B", RetrieveAETitle="X")
STATUS = data_set(Status=0xA900, ErrorComment="no", OffendingElement=[0x00100020, 0x00100010])
ENDS: list[tuple[str, Script, int, int, str | None, int]] = [
    # what it does, its script, how many matches, final status, Error Comment, reports
    ("nothing", [], 0, 0, None, 0),
    ("two", [A, B], 2, 0, None, 0),
    ("two as bytes", [b"one.", bytearray(b"two.")], 2, 0, None, 0),
    ("two with their statuses", [(0xFF01, A), (0xFF00, memoryview(b"two."))], 2, 0, None, 0),
    ("a final status of its own", [A, 0xA700, B], 1, 0xA700, None, 0),
    ("a final status in a pair", [A, (0xFE00, None), B], 1, 0xFE00, None, 0),
    ("a final status in a data set", [A, (STATUS, B)], 1, 0xA900, "no", 0),
    ("a pending status in a data set", [(data_set(Status=0xFF01), A)], 1, 0, None, 0),
    ("a pending status of more than there may be", [(data_set(Status=0xFF01, ErrorID=3), A)], 1, 0, None, 1),
    ("a status of more than there may be", [(data_set(Status=0xA700, ErrorID=3), None)], 0, 0xA700, None, 1),
    ("a failure", [A, Failure(0xC123, "no\nway")], 1, 0xC123, "no?way", 0),
    ("a status that nobody knows", [A, 0x1234], 1, 0x1234, None, 1),
    ("a failure that nobody knows", [A, Failure(0x1234)], 1, 0x1234, None, 1),
    ("an error at once", [ZeroDivisionError("secret")], 0, UNHANDLED, None, 1),
    ("an error after a match", [A, ZeroDivisionError("secret")], 1, UNHANDLED, None, 1),
    ("Pending for an end", [A, Failure(0xFF00)], 1, UNHANDLED, None, 1),
    ("a word", [A, "Success"], 1, NOT_A_STATUS, None, 1),
    ("a word for a status", [A, ("Success", B)], 1, NOT_A_STATUS, None, 1),
    ("a number too large", [A, 0x10000], 1, NOT_A_STATUS, None, 1),
    ("a tuple of three", [A, (0xFF00, A, B)], 1, NOT_A_STATUS, None, 1),
    ("a data set that is no status", [A, (data_set(PatientID="7"), B)], 1, NO_STATUS, None, 1),
    ("an empty match", [A, Dataset(), B], 1, UNENCODABLE, "Unable to encode a match", 1),
    ("a match of no bytes", [A, b""], 1, UNENCODABLE, "Unable to encode a match", 1),
    ("an odd match", [A, b"odd"], 1, UNENCODABLE, "Unable to encode a match", 1),
    ("a match that is a word", [A, (0xFF00, "match")], 1, UNENCODABLE, "Unable to encode a match", 1),
    ("Pending without match", [A, 0xFF00], 1, UNENCODABLE, "Unable to encode a match", 1),
    ("an offending element that is none", [Failure(0xA900, offending_element=(-1,))], 0, UNHANDLED, None, 1),
]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    ("script", "matches", "status", "comment", "reports"), [row[1:] for row in ENDS], ids=[row[0] for row in ENDS]
)
def test_a_find_is_answered_to_its_end(
    shape: Shape, script: Script, matches: int, status: int, comment: str | None, reports: int
) -> None:
    end = alone(shape(script))
    end.raw.send(ASKED)
    given, final = answered(end)
    assert len(given) == matches
    assert (final.status, final.error_comment) == (status, comment)
    assert len(end.reports) == reports
    assert all(where == "C-FIND 1" for _, where in end.reports)
    assert nothing_left(end.session)
    end.raw.send(echo_rq(2))
    assert [message.status for message in end.raw.said()] == [0]


@pytest.mark.parametrize("shape", SHAPES)
def test_what_the_peer_gets_is_what_was_given(shape: Shape) -> None:
    end = alone(shape([A, (0xFF01, B), b"bytes!"]))
    end.raw.send(ASKED)
    given, _ = answered(end)
    assert [status for status, _ in given] == [0xFF00, 0xFF01, 0xFF00]
    assert [decode(match, ELE).PatientID for _, match in given[:2]] == ["A", "B"]
    assert given[2][1] == b"bytes!"


RETURNED: list[tuple[str, Any, int, int]] = [
    ("a list", [A, B], 0, 0),
    ("nothing in a list", [], 0, 0),
    ("a status", 0xA700, 0xA700, 0),
    ("a data set as status", STATUS, 0xA900, 0),
    ("a data set that is a match", A, NO_STATUS, 1),
    ("nothing", None, NOT_A_STATUS, 1),
    ("a word", "matches", NOT_A_STATUS, 1),
    ("bytes", b"matches.", NOT_A_STATUS, 1),
    ("True", True, NOT_A_STATUS, 1),
    ("Pending", 0xFF00, UNHANDLED, 1),
]


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize(
    ("returned", "status", "reports"), [row[1:] for row in RETURNED], ids=[row[0] for row in RETURNED]
)
def test_what_a_handler_may_return(is_async: bool, returned: Any, status: int, reports: int) -> None:
    async def c_find(find: Find) -> Any:
        return returned

    end = alone(SimpleNamespace(c_find=c_find if is_async else lambda find: returned))
    end.raw.send(ASKED)
    given, final = answered(end)
    assert len(given) == (len(returned) if isinstance(returned, list) else 0)
    assert final.status == status
    assert len(end.reports) == reports


@pytest.mark.parametrize(("returned", "status"), [(None, 0), (0xB000, 0xB000), ("word", NOT_A_STATUS)])
def test_a_generator_may_return_how_it_ended(returned: Any, status: int) -> None:
    def c_find(find: blocking_scp.Find) -> Any:
        yield A
        return returned

    end = alone(SimpleNamespace(c_find=c_find))
    end.raw.send(ASKED)
    given, final = answered(end)
    assert (len(given), final.status) == (1, status)


def test_a_callable_object_is_a_handler_too() -> None:
    class Handler:
        async def __call__(self, find: Find) -> AsyncIterator[Any]:
            yield A

    end = alone(SimpleNamespace(c_find=Handler()))
    end.raw.send(ASKED)
    assert len(answered(end)[0]) == 1


def test_an_async_iterator_that_cannot_be_closed() -> None:
    class Once:
        def __aiter__(self) -> Once:
            return self

        async def __anext__(self) -> Any:
            raise StopAsyncIteration

    async def c_find(find: Find) -> Once:
        return Once()

    end = alone(SimpleNamespace(c_find=c_find))
    end.raw.send(ASKED)
    assert answered(end)[1].status == 0


def test_a_service_without_the_method_does_not_know_it() -> None:
    end = alone(object())
    end.raw.send(ASKED)
    assert answered(end) == ([], found(1, 0x0211))
    assert not end.reports


def test_where_nobody_serves_it_is_refused() -> None:
    both = Joined(ours=requestor(QUERY), theirs=acceptor(QUERY))
    find = both.scp.engine.c_find(FIND, b"query.")  # the acceptor asks, and the requestor has no service
    both.loop.run()
    assert find.status == 0x0122


# ---------------------------------------------------------------- where there may be one match only (PS3.4 Q.2.1)

SINGLE: list[tuple[str, Script, int, int, int]] = [
    # what it does, its script, how many matches, final status, reports
    ("nothing", [], 0, 0, 0),
    ("a match", [A], 1, 0, 0),
    ("a match with a status", [(0xFF01, A)], 1, 0, 0),
    ("a match and a status that ends it", [A, 0], 1, 0, 0),
    ("two", [A, B], 0, 0xC100, 0),
    ("many", [A, B, A, B, ZeroDivisionError()], 0, 0xC100, 0),
    ("a match and a failure", [A, Failure(0xC200)], 0, 0xC200, 0),
    ("a match and an error", [A, ZeroDivisionError()], 0, UNHANDLED, 1),
    ("a match that cannot be encoded", [A, Dataset()], 0, UNENCODABLE, 1),
    ("a status that is more than there may be", [(data_set(Status=0xFF00, ErrorID=3), A)], 1, 0, 1),
]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    ("script", "matches", "status", "reports"), [row[1:] for row in SINGLE], ids=[row[0] for row in SINGLE]
)
def test_of_relevant_patient_information_there_is_one_match_or_none(
    shape: Shape, script: Script, matches: int, status: int, reports: int
) -> None:
    end = alone(shape(script), sop_class=GENERAL_RELEVANT_PATIENT_INFORMATION)
    asked = encode(data_set(PatientID="7"), ELE)
    end.raw.send(find_rq(identifier=asked, sop_class=GENERAL_RELEVANT_PATIENT_INFORMATION))
    given, final = answered(end)
    assert (len(given), final.status) == (matches, status)
    assert [match for _, match in given] == [encode(A, ELE)] * matches
    assert len(end.reports) == reports
    assert nothing_left(end.session)


def test_one_match_that_nobody_wants_any_more_is_not_told() -> None:
    async def c_find(find: Find) -> AsyncIterator[Dataset]:
        end.raw._outgoing.data += CANCELLED
        end.link.drive()
        yield A

    end = alone(SimpleNamespace(c_find=c_find), sop_class=GENERAL_RELEVANT_PATIENT_INFORMATION)
    end.link.can_cancel = False
    asked = encode(data_set(PatientID="7"), ELE)
    end.raw.send(find_rq(identifier=asked, sop_class=GENERAL_RELEVANT_PATIENT_INFORMATION))
    given, final = answered(end)
    assert (given, final.status) == ([], CANCEL)


# ---------------------------------------------------------------- what a handler sees


@pytest.mark.parametrize("shape", [0, 1], ids=["async", "blocking"])
@pytest.mark.parametrize(
    ("identifier", "status", "offending"),
    [
        (data_set(QueryRetrieveLevel="STUDY", PatientID="7"), 0, ()),
        (data_set(QueryRetrieveLevel="SERIES"), 0xA900, (0x0020000D,)),
        (data_set(PatientID="7"), 0xA900, (0x00080052,)),
    ],
)
def test_what_a_model_does_not_allow_is_refused_with_the_elements_in_question(
    identifier: Dataset, status: int, offending: tuple[int, ...], shape: int
) -> None:
    async def c_find(find: Find) -> list[Dataset]:
        assert find.check_identifier() == identifier
        return []

    def c_find_blocking(find: blocking_scp.Find) -> list[Dataset]:
        assert find.check_identifier() == identifier
        return []

    end = alone(SimpleNamespace(c_find=(c_find, c_find_blocking)[shape]))
    end.raw.send(find_rq(identifier=encode(identifier, ELE)))
    given, final = answered(end)
    assert (given, final.status, final.offending_element) == ([], status, offending)
    assert (final.error_comment is None) == (status == 0)
    assert not (final.error_comment or "").startswith("0x")
    assert not end.reports


@pytest.mark.parametrize("shape", [0, 1], ids=["async", "blocking"])
@pytest.mark.parametrize("script", [[], [A, B], [Failure(0xC123)], [ZeroDivisionError()]])
def test_what_comes_after_comes_after_the_answer(script: Script, shape: int) -> None:
    order: list[int] = []

    async def after(peer: Any) -> None:
        order.append(len(end.engine.unanswered))

    async def c_find(find: Find) -> AsyncIterator[Any]:
        find.after(after)
        for item in plays(script):
            yield item

    def c_find_blocking(find: blocking_scp.Find) -> Iterator[Any]:
        find.after(lambda peer: order.append(len(end.engine.unanswered)))
        yield from plays(script)

    end = alone(SimpleNamespace(c_find=(c_find, c_find_blocking)[shape]))
    end.raw.send(ASKED)
    assert order == [0]
    assert len(answered(end)[0]) == sum(isinstance(item, Dataset) for item in script)


@pytest.mark.parametrize("is_async", [False, True])
def test_what_a_handler_sees(is_async: bool) -> None:
    seen: list[Any] = []

    def look(find: Find | blocking_scp.Find) -> None:
        info = find.association
        seen.append((info.calling_ae_title, info.called_ae_title, info.address))
        seen.append((find.context.id, find.sop_class_uid, find.transfer_syntax_uid, find.cancelled))
        seen.append(find.request)
        seen.append(find.identifier)
        assert find.identifier is find.identifier
        seen.append(find.raw_identifier)

    async def c_find(find: Find) -> list[Any]:
        look(find)
        return []

    def c_find_blocking(find: blocking_scp.Find) -> list[Any]:
        look(find)
        return []

    end = alone(SimpleNamespace(c_find=c_find if is_async else c_find_blocking))
    end.raw.send(ASKED)
    identifier = data_set(QueryRetrieveLevel="STUDY", PatientID="7*")
    assert seen == [
        ("ME", "YOU", "memory"),
        (7, FIND, ELE, False),
        CFindRQ(message_id=1, affected_sop_class_uid=FIND),
        identifier,
        encode(identifier, ELE),
    ]
    assert not end.reports


@pytest.mark.parametrize("is_async", [False, True])
def test_an_identifier_that_cannot_be_decoded_is_answered_so_if_it_is_asked_for(is_async: bool) -> None:
    async def c_find(find: Find) -> AsyncIterator[Any]:
        yield find.raw_identifier
        yield find.identifier

    def c_find_blocking(find: blocking_scp.Find) -> Iterator[Any]:
        yield find.raw_identifier
        yield find.identifier

    end = alone(SimpleNamespace(c_find=c_find if is_async else c_find_blocking))
    broken = b"\x08\0\x52\0SQ\0\0\xff\xff\xff\xff\xfe\xff\0\xe0\x10\0\0\0ab"
    end.raw.send(find_rq(identifier=broken))
    given, final = answered(end)
    assert given == [(0xFF00, broken)]
    assert (final.status, final.error_comment) == (UNDECODABLE, "Unable to decode the dataset")
    assert not end.reports


@pytest.mark.parametrize("is_async", [False, True])
def test_a_handler_may_abort(is_async: bool) -> None:
    async def c_find(find: Find) -> AsyncIterator[Any]:
        find.abort()
        yield A

    def c_find_blocking(find: blocking_scp.Find) -> Iterator[Any]:
        find.abort()
        yield A

    end = alone(SimpleNamespace(c_find=c_find if is_async else c_find_blocking))
    end.raw.send(ASKED)
    assert end.session.outcome is not None
    assert end.session.outcome.kind is OutcomeKind.ABORTED
    assert [type(said).__name__ for said in end.raw.said()] == ["AAbort"]
    assert not end.reports


# ---------------------------------------------------------------- what is filled in


@pytest.mark.parametrize("sop_class", [FIND, PATIENT_ROOT_FIND, REPOSITORY_QUERY])
@pytest.mark.parametrize(
    ("given", "filled"),
    [
        ({}, {"QueryRetrieveLevel": "STUDY", "RetrieveAETitle": "YOU"}),
        ({"QueryRetrieveLevel": "IMAGE"}, {"QueryRetrieveLevel": "IMAGE", "RetrieveAETitle": "YOU"}),
        (COMPLETE, COMPLETE),
        ({"RetrieveAETitle": "OTHER"}, {"QueryRetrieveLevel": "STUDY", "RetrieveAETitle": "OTHER"}),
        ({"StorageMediaFileSetUID": "1.2"}, {"QueryRetrieveLevel": "STUDY", "StorageMediaFileSetUID": "1.2"}),
    ],
)
def test_level_and_title_are_filled_in_where_the_handler_leaves_them_out(
    sop_class: str, given: dict[str, str], filled: dict[str, str]
) -> None:
    match = data_set(PatientID="A", **given)
    end = alone(Shapes.async_generator([match]), sop_class=sop_class)
    asked = find_rq(identifier=encode(LEVEL, ELE), sop_class=sop_class)
    end.raw.send(asked)
    ((_, sent),), _ = answered(end)
    assert decode(sent, ELE) == data_set(PatientID="A", **filled)
    assert match == data_set(PatientID="A", **given)  # the handler's own stays as it is


def test_outside_the_hierarchical_models_nothing_is_filled_in() -> None:
    for sop_class in (MODALITY_WORKLIST_FIND, "1.2.3.4.5"):
        end = alone(Shapes.async_generator([data_set(PatientID="A")]), sop_class=sop_class)
        end.raw.send(find_rq(identifier=encode(LEVEL, ELE), sop_class=sop_class))
        ((_, sent),), final = answered(end)
        assert decode(sent, ELE) == data_set(PatientID="A")
        assert final.status == 0


@pytest.mark.parametrize("identifier", [encode(data_set(PatientID="7"), ELE), b"\x08\0\x52\0ZZ\0\0\2\0\0\0AB"])
def test_a_level_that_was_not_asked_is_not_filled_in(identifier: bytes) -> None:
    end = alone(Shapes.async_generator([data_set(PatientID="A")] * 2))
    end.raw.send(find_rq(identifier=identifier))
    given, final = answered(end)
    assert [decode(sent, ELE) for _, sent in given] == [data_set(PatientID="A", RetrieveAETitle="YOU")] * 2
    assert final.status == 0


def test_the_title_is_ours_whoever_asked_for_the_association() -> None:
    both = Joined(
        ours=requestor(QUERY),
        theirs=acceptor(QUERY),
        scu_service=Shapes.async_generator([data_set(PatientID="A")]),
    )
    both.scp.engine.c_find(FIND, encode(LEVEL, ELE))
    events: list[Any] = []
    both.scp._deliver = lambda operation, event: events.append(event)  # type: ignore[method-assign]
    both.loop.run()
    assert decode(events[0].identifier, ELE).RetrieveAETitle == "ME"


def test_a_private_sop_class_may_end_as_it_likes() -> None:
    end = alone(Shapes.async_generator([0x1234]), sop_class="1.2.3.4.5")
    end.raw.send(find_rq(identifier=b"query.", sop_class="1.2.3.4.5"))
    assert answered(end)[1].status == 0x1234
    assert not end.reports


# ---------------------------------------------------------------- cancel


class Slow:
    """A handler that waits in its middle, and says how it went."""

    def __init__(self) -> None:
        self.signal: Any = None
        self.went: list[str] = []

    async def c_find(self, find: Find) -> AsyncIterator[Any]:
        try:
            yield A
            await self.signal.wait()
            self.went.append(f"goes on, cancelled is {find.cancelled}")
            yield B
            self.went.append("never")
            yield B
        finally:
            self.went.append("closed")


def slow(**settings: Any) -> tuple[Alone, Slow]:
    service = Slow()
    end = alone(service, **settings)
    service.signal = end.link.signal()
    end.raw.send(ASKED)
    assert end.raw.said()[0] == PENDING
    return end, service


def test_a_cancel_ends_the_handler_where_it_waits() -> None:
    end, service = slow()
    end.raw.send(CANCELLED)
    assert service.went == ["closed"]
    assert end.raw.said() == [found(1, CANCEL)]
    assert not end.reports
    assert nothing_left(end.session)
    end.raw.send(echo_rq(2))
    assert [message.status for message in end.raw.said()] == [0]


def test_where_tasks_cannot_be_cancelled_the_next_match_is_its_end() -> None:
    service = Slow()
    end = alone(service)
    end.link.can_cancel = False
    service.signal = end.link.signal()
    end.raw.send(ASKED)
    end.raw.said()
    end.raw.send(CANCELLED)
    assert end.raw.said() == []
    service.signal.set()
    assert end.raw.said() == [found(1, CANCEL)]
    assert service.went == ["goes on, cancelled is True", "closed"]
    assert nothing_left(end.session)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("can_cancel", [False, True])
def test_a_cancel_that_comes_with_its_request_is_answered(shape: Shape, can_cancel: bool) -> None:
    end = alone(shape([A]))
    end.link.can_cancel = can_cancel
    end.raw.send(ASKED + CANCELLED)
    assert end.raw.said() == [found(1, CANCEL)]
    assert not end.reports
    assert nothing_left(end.session)


def test_a_cancel_between_two_hops_of_a_blocking_handler() -> None:
    went: list[str] = []

    def c_find(find: blocking_scp.Find) -> Iterator[Any]:
        try:
            for number in range(100):
                went.append(str(number))
                yield A
                if number == _AT_ONCE + 2:
                    end.raw._outgoing.data += CANCELLED
        finally:
            went.append("closed")

    end = alone(SimpleNamespace(c_find=c_find), limits=DRIVEN)
    end.link.can_cancel = False
    end.raw.send(ASKED)
    given, final = answered(end)
    assert final.status == CANCEL
    assert went[-1] == "closed"
    assert _AT_ONCE + 3 <= len(given) < len(went) - 1 < _AT_ONCE + 3 + _MOST
    assert not end.reports
    assert nothing_left(end.session)


def test_a_handler_that_had_finished_keeps_its_status() -> None:
    end = alone(Shapes.async_generator([A]))
    end.raw.send(ASKED)
    assert answered(end)[1].status == 0
    end.raw.send(CANCELLED)
    assert end.raw.said() == []


def test_a_handler_that_ends_it_itself_when_it_was_cancelled_keeps_its_status() -> None:
    service = Slow()

    async def c_find(find: Find) -> AsyncIterator[Any]:
        await service.signal.wait()
        if find.cancelled:
            yield 0xA700
        yield A

    end = alone(SimpleNamespace(c_find=c_find))
    end.link.can_cancel = False
    service.signal = end.link.signal()
    end.raw.send(ASKED)
    end.raw.send(CANCELLED)
    service.signal.set()
    assert end.raw.said() == [found(1, 0xA700)]


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("can_cancel", [False, True])
def test_what_a_handler_raises_while_it_is_closed_is_reported(is_async: bool, can_cancel: bool) -> None:
    async def c_find(find: Find) -> AsyncIterator[Any]:
        try:
            for _ in range(100):
                end.raw._outgoing.data += CANCELLED
                yield A
        finally:
            raise ZeroDivisionError

    def c_find_blocking(find: blocking_scp.Find) -> Iterator[Any]:
        try:
            for _ in range(100):
                end.raw._outgoing.data += CANCELLED
                yield A
        finally:
            raise ZeroDivisionError

    end = alone(SimpleNamespace(c_find=c_find if is_async else c_find_blocking))
    end.link.can_cancel = can_cancel
    end.raw.send(ASKED)
    assert answered(end)[1].status in (CANCEL, UNHANDLED)
    assert nothing_left(end.session)
    assert [type(error) for error, _ in end.reports] in ([ZeroDivisionError], [])


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(SHAPES).map(lambda param: param.values[0]),
    st.integers(0, 6),
    st.integers(0, 400),
    st.booleans(),
    st.sampled_from([None, 0, 0xA700]),
)
def test_cancelled_anywhere_it_is_answered_once(
    shape: Any, matches: int, after: int, can_cancel: bool, final: int | None
) -> None:
    """The cancel arrives when so many bytes of the answers have been read."""
    both = Joined(
        shape([A] * matches + ([] if final is None else [final])),
        ours=requestor(QUERY),
        theirs=acceptor(QUERY),
        capacity=100,
    )
    both.scp_link.can_cancel = can_cancel
    find = both.scu.engine.c_find(FIND, encode(LEVEL, ELE))
    both.scu.open_inbox(find)
    both.loop.run(lambda: both.scu.engine._ul.bytes_received >= after + 300)
    if not find.over:
        find.cancel()
    both.loop.run()
    assert find.over
    assert find.status in (final or 0, CANCEL)
    assert find.responses <= matches + 1
    assert nothing_left(both.scp)
    assert not both.reports


# ---------------------------------------------------------------- ends


@pytest.mark.parametrize("can_cancel", [False, True])
@pytest.mark.parametrize("how", ["abort", "vanish", "timeout"])
def test_the_association_ends_in_the_middle(how: str, can_cancel: bool) -> None:
    service = Slow()
    end = alone(service)
    end.link.can_cancel = can_cancel
    service.signal = end.link.signal()
    end.raw.send(ASKED)
    if how == "abort":
        end.raw.send(ABORT)
    elif how == "vanish":
        end.raw.vanish()
    else:
        end.loop.pass_time(600.0)
    service.signal.set()
    end.loop.run()
    assert service.went[-1] == "closed"
    assert "never" not in service.went
    assert not end.reports
    assert not end.session._jobs


def test_a_release_waits_for_the_end_of_it() -> None:
    end, service = slow()
    end.raw.send(RELEASE_RQ)
    assert end.raw.said() == []
    service.signal.set()
    said = end.raw.said()
    assert [type(message) for message in said[-2:]] == [CFindRSP, AReleaseRP]
    assert said[-2].status == 0


# ---------------------------------------------------------------- bounds


@pytest.mark.parametrize("shape", SHAPES)
def test_no_more_is_held_than_the_high_water(shape: Shape) -> None:
    limits = Limits(output_high_water=2000)
    match = b"x" * 300
    both = Joined(shape([match] * 200), ours=requestor(QUERY), theirs=acceptor(QUERY, limits=limits), capacity=1000)
    find = both.scu.engine.c_find(FIND, encode(LEVEL, ELE))
    both.loop.run()
    assert find.responses == 201
    assert both.scp_link.highest_unsent < 2000 + 500
    assert nothing_left(both.scp)


@pytest.mark.parametrize("shape", [Shapes.async_generator, Shapes.plain_that_returns_an_async_iterable])
def test_behind_a_data_set_of_ours_they_wait_for_its_end(shape: Shape) -> None:
    end = alone(shape([b"x" * 300] * 10), limits=Limits(output_high_water=1000))
    store = end.engine.c_store(CT, INSTANCE)
    end.session.open_inbox(store)
    end.raw.send(ASKED)
    heard = end.raw.heard()
    assert [type(message) for message in read(heard)] == [CStoreRQ]
    store.send_data(b"", is_last=True)
    end.raw.send(echo_rq(9))  # whatever happens, they look whether they may go on
    said = read(heard + end.raw.heard())
    assert [message for message in said if isinstance(message, CFindRSP)] == [PENDING] * 10 + [found()]


def test_a_cancel_while_they_wait_behind_a_data_set() -> None:
    end = alone(Shapes.async_generator([b"x" * 300] * 10), limits=Limits(output_high_water=1000))
    end.link.can_cancel = False
    store = end.engine.c_store(CT, INSTANCE)
    end.raw.send(ASKED)
    heard = end.raw.heard()
    end.raw.send(CANCELLED)
    store.send_data(b"", is_last=True)
    end.loop.run()
    assert read(heard + end.raw.heard())[-1] == found(1, CANCEL)
    assert end.engine.outstanding == (store,)
    assert not end.session._jobs


def test_matches_of_a_blocking_handler_go_several_a_hop_while_they_come_quickly() -> None:
    hops: list[int] = []

    def c_find(find: blocking_scp.Find) -> Iterator[Any]:
        for number in range(200):
            if number >= 100:
                end.loop.now += 1.0
            before.append(number)
            yield A
        assert hops

    before: list[int] = []
    end = alone(SimpleNamespace(c_find=c_find), limits=DRIVEN)
    block_on = end.link.block_on

    def counted(coroutine: Any) -> Any:
        hops.append(len(before))
        return block_on(coroutine)

    end.link.block_on = counted  # type: ignore[method-assign]
    end.raw.send(ASKED)
    assert len(answered(end)[0]) == 200
    sizes = [later - earlier for earlier, later in zip([0, *hops], hops, strict=False)]
    assert sizes[:_AT_ONCE] == [1] * _AT_ONCE
    assert sizes[_AT_ONCE : _AT_ONCE + 5] == [2, 4, 8, 16, 32]
    assert max(sizes) == _MOST
    assert sizes[-10:-1] == [1] * 9
    assert sum(sizes) == 200


@pytest.mark.parametrize("nests", [False, True], ids=["a loop", "a socket"])
def test_matches_of_a_handler_on_the_loop_are_written_several_at_once_while_they_come_quickly(nests: bool) -> None:
    async def c_find(find: Find) -> AsyncIterator[Any]:
        for number in range(200):
            if number >= 100:
                end.loop.now += 1.0
            before.append(number)
            yield A

    before: list[int] = []
    flushed: list[int] = []
    end = alone(SimpleNamespace(c_find=c_find))
    end.link.nests = nests
    flush = end.link.flush

    async def counted() -> None:
        flushed.append(len(before))
        await flush()

    end.link.flush = counted  # type: ignore[method-assign]
    end.raw.send(ASKED)
    assert len(answered(end)[0]) == 200
    assert flushed[:4] == ([1, 2, 3, 4] if nests else [33, 66, 99, 101])
    assert flushed[-99:] == list(range(102, 201))


def test_a_handler_on_the_loop_that_waits_has_written_its_matches() -> None:
    async def c_find(find: Find) -> AsyncIterator[Any]:
        for _ in range(3):
            yield A
        await waits.wait()
        yield A

    end = alone(SimpleNamespace(c_find=c_find))
    waits = end.link.signal()
    end.raw.send(ASKED)
    assert len(end.raw.said()) == 6, "three matches, each a command set and an identifier"
    waits.set()
    matches, final = answered(end)
    assert (len(matches), final.status) == (1, 0)


def test_a_hop_brings_not_much_more_than_so_many_bytes() -> None:
    hops: list[int] = []
    end = alone(Shapes.generator([A] * (_AT_ONCE - 1) + [b"x" * 40_000] * 8))
    block_on = end.link.block_on

    def counted(coroutine: Any) -> Any:
        hops.append(len(coroutine.cr_frame.f_locals["matches"]))
        return block_on(coroutine)

    end.link.block_on = counted  # type: ignore[method-assign]
    end.raw.send(ASKED)
    assert len(answered(end)[0]) == _AT_ONCE + 7
    assert hops == [1] * _AT_ONCE + [2, 2, 2, 1]


def test_a_key_of_the_peers_that_is_malformed_is_no_error_of_ours() -> None:
    end = alone(Shapes.generator([MalformedKeyError(0x00080020, "no date")]))
    end.raw.send(ASKED)
    (final,) = end.raw.said()
    assert (final.status, final.offending_element) == (0xA900, (0x00080020,))
    assert final.error_comment == "(0008,0020): no date"
    assert not end.reports
