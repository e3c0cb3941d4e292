"""Serving C-GET and C-MOVE: handlers of every shape, every way in which one ends, and what a peer may do meanwhile."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import Dataset

from engine_pair import (
    CT,
    GET,
    GETTING,
    MOVE,
    acceptor,
    command,
    get_rq,
    requestor,
)
from memory_link import Alone, content, instance, nothing_left
from retrievals import (
    DRIVEN,
    HOST,
    SERVICES,
    SHAPES,
    Keeps,
    Script,
    Shape,
    Shapes,
    Site,
    Told,
    image,
    script_for,
    service,
    unwanted,
)
from sansdimse.dataset import Instance, decode, instance_of
from sansdimse.dimse.messages import CCancelRQ, CGetRQ, CGetRSP, CMoveRQ, Priority
from sansdimse.dimse.status import Status
from sansdimse.matching import MalformedKeyError
from sansdimse.outcome import OutcomeKind
from sansdimse.peer import blocking_scp, scp
from sansdimse.peer.handlers import NOT_A_STATUS, Failure
from sansdimse.peer.link import Destination
from sansdimse.peer.scp import Get, Move
from sansdimse.peer.scu import Progress
from sansdimse.peer.session import AssociationLost
from sansdimse.services.sop_classes import COMPOSITE_INSTANCE_WITHOUT_BULK_DATA_GET
from sansdimse.uids import EXPLICIT_VR_LITTLE_ENDIAN
from sansdimse.ul.parties import PresentationContext

ELE = EXPLICIT_VR_LITTLE_ENDIAN


def data_set(**values: Any) -> Dataset:
    dataset = Dataset()
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return dataset


def ct(number: int, **values: Any) -> Dataset:
    """An instance that is a data set."""
    dataset = data_set(SOPClassUID=CT, SOPInstanceUID=f"1.2.{number}", PatientID="7", **values)
    dataset.ensure_file_meta()
    dataset.file_meta.TransferSyntaxUID = ELE
    return dataset


A, B, C = image(1), image(2), image(3)
X, Y = unwanted(8), unwanted(9)
WARNED, REFUSED = image(20), image(21)
ANSWERS = {WARNED.sop_instance_uid: 0xB007, REFUSED.sop_instance_uid: 0xA700}
STATUS = data_set(Status=0xA701, ErrorComment="no", OffendingElement=[0x00100020])
BROKEN = data_set(SOPInstanceUID="1.2.99")
"""No instance, though it has a name."""

# what it does, what is given after the destination, status of C-GET and of C-MOVE,
# (remaining, completed, failed, warning), those listed, reports
ENDS: list[tuple[str, Script, int, int, tuple[int | None, int, int, int], list[str], int]] = [
    ("nothing", [0], 0, 0, (None, 0, 0, 0), [], 0),
    ("two", [2, A, B], 0, 0, (None, 2, 0, 0), [], 0),
    ("a path and a data set", [2, "a.dcm", ct(2)], 0, 0, (None, 2, 0, 0), [], 0),
    ("two with statuses", [2, (0xFF00, A), (data_set(Status=0xFF01), B)], 0, 0, (None, 2, 0, 0), [], 0),
    ("a Pending status with more", [1, (data_set(Status=0xFF00, ErrorID=3), A)], 0, 0, (None, 1, 0, 0), [], 1),
    ("one warned of", [2, A, WARNED], 0xB000, 0xB000, (None, 1, 0, 1), [], 0),
    ("all warned of", [1, WARNED], 0xB000, 0xB000, (None, 0, 0, 1), [], 0),
    ("one refused", [2, REFUSED, A], 0xB000, 0xB000, (None, 1, 1, 0), ["1.2.21"], 0),
    ("all refused", [1, REFUSED], 0xA702, 0xA702, (None, 0, 1, 0), ["1.2.21"], 0),
    ("one missing", [2, "missing", A], 0xB000, 0xB000, (None, 1, 1, 0), [], 1),
    ("one that is no instance", [2, BROKEN, A], 0xB000, 0xB000, (None, 1, 1, 0), ["1.2.99"], 1),
    ("one of a wrong kind", [2, 3.5, A], 0xB000, 0xB000, (None, 1, 1, 0), [], 1),
    ("a Pending status for an instance", [2, 0xFF00, A], 0xB000, 0xB000, (None, 1, 1, 0), [], 1),
    ("one without context", [2, X, A], 0xB000, 0xB000, (None, 1, 1, 0), ["1.2.8"], 1),
    ("two without context", [2, X, Y], 0xA702, 0xA702, (None, 0, 2, 0), ["1.2.8", "1.2.9"], 2),
    ("fewer than announced", [3, A], 0xB000, 0xB000, (None, 1, 2, 0), [], 0),
    ("none of those announced", [2], 0xA702, 0xA702, (None, 0, 2, 0), [], 0),
    ("more than announced", [1, A, B, C], 0, 0, (None, 1, 0, 0), [], 2),
    ("more than none", [0, A], 0, 0, (None, 0, 0, 0), [], 1),
    ("Success in spite of a failure", [2, X, A, Status(0)], 0xB000, 0xB000, (None, 1, 1, 0), ["1.2.8"], 1),
    ("Success in spite of a warning", [2, WARNED, A, 0], 0xB000, 0xB000, (None, 1, 0, 1), [], 0),
    ("Success too early", [2, A, 0, B], 0xB000, 0xB000, (None, 1, 1, 0), [], 0),
    ("a failure of its own", [3, A, X, 0xA701, B], 0xA701, 0xA701, (None, 1, 2, 0), ["1.2.8"], 1),
    ("the same in a pair", [2, A, (0xA701, None)], 0xA701, 0xA701, (None, 1, 1, 0), [], 0),
    ("the same in a data set", [2, A, (STATUS, B)], 0xA701, 0xA701, (None, 1, 1, 0), [], 0),
    ("the same before the count", [Status(0xA701)], 0xA701, 0xA701, (None, 0, 0, 0), [], 0),
    ("Cancel without being asked", [3, A, X, 0xFE00], 0xFE00, 0xFE00, (1, 1, 1, 0), ["1.2.8"], 1),
    ("a status that nobody knows", [1, A, 0x1234], 0x1234, 0x1234, (None, 1, 0, 0), [], 1),
    ("a Failure raised", [2, A, Failure(0xA701, "no")], 0xA701, 0xA701, (None, 1, 1, 0), [], 0),
    ("a Failure raised at once", [Failure(0xA900)], 0xA900, 0xA900, (None, 0, 0, 0), [], 0),
    ("Pending for an end", [1, A, Failure(0xFF00)], 0xC411, 0xC511, (None, 1, 0, 0), [], 1),
    ("no offending element", [Failure(0xA900, offending_element=(-1,))], 0xC411, 0xC511, (None, 0, 0, 0), [], 1),
    ("an error at once", [ZeroDivisionError()], 0xC411, 0xC511, (None, 0, 0, 0), [], 1),
    ("an error after the count", [2, ZeroDivisionError()], 0xC411, 0xC511, (None, 0, 2, 0), [], 1),
    ("an error after some", [3, A, X, OSError()], 0xC411, 0xC511, (None, 1, 2, 0), ["1.2.8"], 2),
    ("a word for a status", [2, A, ("Pending", B)], NOT_A_STATUS, NOT_A_STATUS, (None, 1, 1, 0), [], 1),
    ("True for an instance", [2, A, True], NOT_A_STATUS, NOT_A_STATUS, (None, 1, 1, 0), [], 1),
    ("a word for a count", ["2", A], 0xC413, 0xC513, (None, 0, 0, 0), [], 1),
    ("True for a count", [True, A], 0xC413, 0xC513, (None, 0, 0, 0), [], 1),
    ("a count below nothing", [-1], 0xC413, 0xC513, (None, 0, 0, 0), [], 1),
    ("nothing for a count", [None, A], 0xC413, 0xC513, (None, 0, 0, 0), [], 1),
    ("no count", [], 0xC413, 0xC514, (None, 0, 0, 0), [], 1),
    ("a count that is too large", [65536, A], 0xB000, 0xB000, (None, 1, 65535, 0), [], 1),
]


def site(given: Any, **settings: Any) -> Site:
    """With a file, and peers that answer as ``ANSWERS`` says."""
    settings.setdefault("keeps", Keeps(ANSWERS))
    made = Site(given, **settings)
    made.scp_link.files |= {"a.dcm": A, "missing": FileNotFoundError("missing")}
    return made


def check_counted(told: Told, announced: int) -> None:
    """The sum is always that announced, and nothing that was counted is taken back."""
    before = (0, 0, 0)
    for each in [*told.progress, told.answer.counters]:
        remaining, *ended = each.remaining, each.completed, each.failed, each.warning
        if each is told.answer.counters and remaining is None:
            remaining = 0
        assert remaining is not None
        numbers = [number for number in ended if number is not None]
        assert remaining + sum(numbers) == announced
        assert all(now >= then for now, then in zip(numbers, before, strict=True))
        before = tuple(numbers)  # type: ignore[assignment]


@pytest.mark.parametrize("name", SERVICES)
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize(
    ("script", "got", "moved", "counters", "listed", "reports"), [row[1:] for row in ENDS], ids=[row[0] for row in ENDS]
)
def test_a_retrieval_is_answered_to_its_end(
    name: str,
    shape: Shape,
    script: Script,
    got: int,
    moved: int,
    counters: tuple[int | None, int, int, int],
    listed: list[str],
    reports: int,
) -> None:
    end = site(shape(script_for(name, script)))
    told = end.retrieve(name)
    assert told.answer == (got if name == "C-GET" else moved), end.reports
    assert told.counters == counters
    assert told.answer.failed_instances == tuple(listed)
    assert len(end.reports) == reports, end.reports
    assert {where for _, where in end.reports} <= {f"{name} 1"}
    end.check_over()


@pytest.mark.parametrize("name", SERVICES)
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_also_where_waits_nest(name: str, shape: Shape) -> None:
    for _, script, got, moved, counters, listed, reports in ENDS:
        end = site(shape(script_for(name, script)), nests=True)
        told = end.retrieve(name)
        assert told.answer == (got if name == "C-GET" else moved), script
        assert told.counters == counters
        assert told.answer.failed_instances == tuple(listed)
        assert len(end.reports) == reports
        end.check_over()


@pytest.mark.parametrize("nests", [False, True])
@pytest.mark.parametrize("name", SERVICES)
def test_instances_come_as_they_were_given_and_in_order(name: str, nests: bool) -> None:
    files = [image(number, number * 1000) for number in range(30)]
    end = site(Shapes.generator(script_for(name, [30, *files])), nests=nests, capacity=20_000, keeps=Keeps())
    told = end.retrieve(name, priority=Priority.LOW)
    assert end.keeps.got == {each.sop_instance_uid: content(each.length or 0) for each in files}
    assert list(end.keeps.got) == [each.sop_instance_uid for each in files]
    assert {request.priority for request in end.keeps.requests} == {Priority.LOW}
    check_counted(told, 30)
    assert len(told.progress) == 30
    assert told.progress[-1] == Progress(0, 30, 0, 0)
    end.check_over()


RETURNED = [
    ("a list", [1, A], 0, 0, 1, 0),
    ("a status", 0xA701, 0xA701, 0xA701, 0, 0),
    ("a data set as status", STATUS, 0xA701, 0xA701, 0, 0),
    ("nothing", None, 0xC413, 0xC514, 0, 1),
    ("a word", "instances", NOT_A_STATUS, NOT_A_STATUS, 0, 1),
]


@pytest.mark.parametrize("nests", [False, True])
@pytest.mark.parametrize("name", SERVICES)
@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize(
    ("returned", "got", "moved", "completed", "reports"),
    [row[1:] for row in RETURNED],
    ids=[row[0] for row in RETURNED],
)
def test_what_a_handler_may_return(
    name: str, is_async: bool, nests: bool, returned: Any, got: int, moved: int, completed: int, reports: int
) -> None:
    if isinstance(returned, list):
        returned = script_for(name, returned)

    async def handler(asked: Any) -> Any:
        return returned

    end = site(service(handler if is_async else lambda asked: returned), nests=nests)
    told = end.retrieve(name)
    assert told.answer == (got if name == "C-GET" else moved)
    assert (told.answer.counters.completed, len(end.reports)) == (completed, reports)
    end.check_over()


@pytest.mark.parametrize("nests", [False, True])
@pytest.mark.parametrize("name", SERVICES)
@pytest.mark.parametrize(("returned", "status"), [(None, 0), (0, 0), (0xA701, 0xA701), (STATUS, 0xA701)])
def test_a_generator_may_return_how_it_ended(name: str, nests: bool, returned: Any, status: int) -> None:
    def handler(asked: Any) -> Any:
        yield from script_for(name, [1, A])
        return returned

    end = site(service(handler), nests=nests)
    told = end.retrieve(name)
    assert (told.answer, told.answer.counters.completed) == (status, 1)
    end.check_over()


def test_the_comment_and_the_elements_of_a_failure_are_told() -> None:
    end = site(Shapes.generator([Failure(0xA900, "no\nway", (0x00100020,))]))
    response: Any = end.retrieve("C-GET").answer.response
    assert (response.error_comment, response.offending_element) == ("no?way", (0x00100020,))


# ---------------------------------------------------------------- what a handler sees


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("name", SERVICES)
def test_what_a_handler_sees(name: str, is_async: bool) -> None:
    seen: list[Any] = []

    def look(asked: Any) -> Script:
        seen.append((asked.association.calling_ae_title, asked.association.called_ae_title, asked.association.address))
        seen.append((asked.context.id, asked.sop_class_uid, asked.transfer_syntax_uid, asked.cancelled))
        seen.append(asked.identifier.PatientID)
        seen.append(asked.request)
        seen.append(getattr(asked, "destination", None))
        seen.append(asked.suboperations.expected)
        return script_for(name, [1, A])

    async def handler(asked: Get | Move) -> Any:
        assert isinstance(asked, Get if name == "C-GET" else Move)
        return look(asked)

    def blocking(asked: blocking_scp.Get | blocking_scp.Move) -> Any:
        assert isinstance(asked, blocking_scp.Get if name == "C-GET" else blocking_scp.Move)
        return look(asked)

    end = site(service(handler if is_async else blocking))
    end.retrieve(name, identifier=data_set(PatientID="7"), priority=Priority.HIGH)
    is_get = name == "C-GET"
    request: CGetRQ | CMoveRQ = (
        CGetRQ(message_id=1, affected_sop_class_uid=GET, priority=Priority.HIGH)
        if is_get
        else CMoveRQ(message_id=1, affected_sop_class_uid=MOVE, priority=Priority.HIGH, move_destination="STORE")
    )
    assert seen == [
        ("ME", "YOU", "memory"),
        (7 if is_get else 9, GET if is_get else MOVE, ELE, False),
        "7",
        request,
        None if is_get else "STORE",
        None,
    ]
    assert not end.reports


@pytest.mark.parametrize("name", SERVICES)
@pytest.mark.parametrize("is_async", [False, True])
def test_an_identifier_that_cannot_be_decoded_is_answered_so_if_it_is_asked_for(name: str, is_async: bool) -> None:
    async def handler(asked: Any) -> Any:
        return [asked.identifier]

    end = site(service(handler if is_async else lambda asked: [asked.identifier]))
    told = end.retrieve(name, identifier=b"\x08\0\x52\0SQ\0\0\xff\xff\xff\xff\xfe\xff\0\xe0\x10\0\0\0ab")
    assert told.answer == (0xC410 if name == "C-GET" else 0xC510)
    assert told.answer.response.error_comment == "Unable to decode the dataset"  # type: ignore[attr-defined]
    assert not end.reports


@pytest.mark.parametrize("nests", [False, True])
@pytest.mark.parametrize("name", SERVICES)
def test_a_handler_sees_how_its_instances_went(name: str, nests: bool) -> None:
    """When the next is asked for that before is under way, and with a window of one those before it are answered."""
    seen: list[int] = []

    def handler(asked: blocking_scp.Get) -> Iterator[Any]:
        yield from script_for(name, [3])
        for each in (A, X, B):
            yield each
            seen.append(asked.suboperations.completed + asked.suboperations.failed)

    end = site(service(handler), nests=nests, window=1)
    end.retrieve(name)
    assert seen == [0, 1, 2]


@pytest.mark.parametrize("nests", [False, True])
@pytest.mark.parametrize("name", SERVICES)
@pytest.mark.parametrize("is_async", [False, True])
def test_a_file_of_the_handlers_own_is_open_while_its_instance_is_sent(name: str, nests: bool, is_async: bool) -> None:
    opened: list[int] = []
    read_while: list[list[int]] = []

    @contextmanager
    def opening(number: int) -> Iterator[Instance]:
        def pieces() -> Iterator[bytes]:
            for _ in range(5):
                read_while.append(opened[:])
                yield bytes(1000)

        opened.append(number)
        yield Instance(CT, f"1.2.{number}", ELE, 5000, pieces)
        opened.remove(number)

    def blocking(asked: Any) -> Iterator[Any]:
        yield from script_for(name, [2])
        for number in (1, 2):
            with opening(number) as one:
                yield one

    async def handler(asked: Any) -> AsyncIterator[Any]:
        for item in script_for(name, [2]):
            yield item
        for number in (1, 2):
            with opening(number) as one:
                yield one

    end = site(service(handler if is_async else blocking), nests=nests, capacity=700, limits=DRIVEN)
    assert end.retrieve(name).answer == 0
    assert read_while == [[1]] * 5 + [[2]] * 5
    assert opened == []
    end.check_over()


@pytest.mark.parametrize("name", SERVICES)
def test_what_is_to_come_after_comes_after(name: str) -> None:
    after: list[Any] = []

    async def handler(asked: Get | Move) -> Any:
        async def then(peer: Any) -> None:
            after.append((await peer.c_echo(), asked.cancelled))

        asked.after(then)
        return script_for(name, [1, A])

    end = site(service(handler))
    assert end.retrieve(name).answer == 0
    assert after == [(0, True)]
    end.check_over()


@pytest.mark.parametrize("nests", [False, True])
@pytest.mark.parametrize("name", SERVICES)
def test_a_handler_may_abort(name: str, nests: bool) -> None:
    def handler(asked: Any) -> Iterator[Any]:
        yield from script_for(name, [2, A])
        asked.abort()
        yield B

    end = site(service(handler), nests=nests)
    with pytest.raises(AssociationLost):
        end.retrieve(name)
    assert not end.reports
    end.check_left()


def test_in_real_threads_a_handler_that_blocks_has_one_from_its_first_line_to_its_last() -> None:
    """With one worker: who reads what the handler gave must not wait for the handler's thread."""
    import sansdimse_asyncio

    threads: list[int] = []
    got: list[str] = []

    class Archive:
        def c_get(self, get: blocking_scp.Get) -> Iterator[Any]:
            with sqlite3.connect(":memory:") as connection:  # which may not change threads
                rows = connection.execute("VALUES (1), (2), (3)")
                threads.append(threading.get_ident())
                yield 3
                for (number,) in rows:
                    threads.append(threading.get_ident())
                    yield ct(number)
                threads.append(threading.get_ident())
            connection.close()

    async def store(store: scp.Store) -> int:
        got.append(store.sop_instance_uid)
        return 0

    both, offered = PresentationContext(CT, scp=True), PresentationContext(CT, scu=False, scp=True)

    async def main() -> None:
        async with (
            sansdimse_asyncio.serve("127.0.0.1", 0, Archive(), supports=[GET, offered], workers=1) as server,
            sansdimse_asyncio.associate("127.0.0.1", server.port, contexts=[GET, both]) as peer,
            peer.c_get(GET, data_set(QueryRetrieveLevel="STUDY"), store=store) as retrieval,
        ):
            assert await retrieval.finished() == 0

    asyncio.run(asyncio.wait_for(main(), 60))
    assert got == ["1.2.1", "1.2.2", "1.2.3"]
    assert len(threads) == 5
    assert len(set(threads)) == 1


# ---------------------------------------------------------------- where a C-MOVE goes

DESTINATIONS: list[tuple[str, Any, int, int]] = [
    # what it is, the destination, status, reports
    ("an address", HOST, 0, 0),
    ("a Destination", Destination(*HOST), 0, 0),
    ("with contexts", (HOST, [CT]), 0, 0),
    ("with options", (Destination(*HOST), {"contexts": [CT], "maximum_length": 4096}), 0, 0),
    ("nobody", None, 0xA801, 0),
    ("a word", "store", 0xC515, 1),
    ("a port that is none", ("store", "104"), 0xC515, 1),
    ("a number", 104, 0xC515, 1),
    ("a failure", Status(0xA701), 0xA701, 0),
    ("nowhere", ("nowhere", 104), 0xA702, 1),
    ("with options that are none", (HOST, {"contexts": [CT], "colour": "red"}), 0xA702, 1),
    ("with contexts that are none", (HOST, []), 0xA702, 1),
]


@pytest.mark.parametrize("nests", [False, True])
@pytest.mark.parametrize(
    ("destination", "status", "reports"), [row[1:] for row in DESTINATIONS], ids=[row[0] for row in DESTINATIONS]
)
def test_where_a_move_may_go(destination: Any, status: int, reports: int, nests: bool) -> None:
    end = site(Shapes.generator([destination, 2, A, B]), nests=nests)
    told = end.retrieve("C-MOVE")
    assert told.answer == status
    stored, failed = {0: (2, 0), 0xA702: (0, 2)}.get(status, (0, 0))
    assert told.counters == (None, stored, failed, 0)
    assert told.answer.failed_instances == (("1.2.1", "1.2.2") if failed else ())
    assert len(end.reports) == reports
    end.check_over()


def test_a_destination_alone_is_too_few() -> None:
    end = site(Shapes.generator([HOST]))
    assert end.retrieve("C-MOVE").answer == 0xC514
    assert end.network.asked == []
    end.check_over()


def test_nobody_is_called_before_there_is_something_to_store() -> None:
    end = site(Shapes.generator([HOST, 1, "missing"]))
    assert end.retrieve("C-MOVE").answer == 0xA702
    assert end.network.asked == []


# ---------------------------------------------------------------- the peer cancels


def gives(name: str, items: list[Any], log: list[str], *, is_async: bool) -> Any:
    """A handler that takes its time before each thing, and notes its end."""

    async def handler(asked: Get | Move) -> AsyncIterator[Any]:
        try:
            for item in script_for(name, [len(items), *items]):
                await asked._session.link.call(lambda: None)
                yield item
        finally:
            log.append("over")

    def blocking(asked: Any) -> Iterator[Any]:
        try:
            yield from script_for(name, [len(items), *items])
        finally:
            log.append("over")

    return service(handler if is_async else blocking)


@pytest.mark.parametrize("name", SERVICES)
@pytest.mark.parametrize("nests", [False, True])
@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("window", [1, 3])
def test_a_cancel_may_come_at_any_moment(name: str, nests: bool, is_async: bool, window: int) -> None:
    statuses: list[int] = []
    items = ["a.dcm", image(2, 2000), image(3, 1000), X]
    for at in count(1):
        log: list[str] = []
        end = site(gives(name, items, log, is_async=is_async), nests=nests, window=window, capacity=1000, limits=DRIVEN)
        begun: list[bool] = []

        def cancel(end: Site = end, begun: list[bool] = begun) -> None:
            begun.append(bool(end.scp._begun))
            for request in end.scu.engine.outstanding:
                request.cancel()

        end.loop.after(at, cancel)
        told = end.retrieve(name)
        if not begun:
            break
        statuses.append(told.answer)
        assert told.answer in (0xFE00, 0xB000)
        remaining, completed, failed, warning = told.counters
        assert len(end.keeps.got) == completed, "what was begun is stored and counted"
        assert warning == 0
        if told.answer == 0xFE00 and begun == [True] and completed:
            assert remaining == 4 - completed - failed  # type: ignore[operator]
        assert log in (["over"], [])
        end.check_over()
    assert 0xFE00 in statuses
    assert statuses[-1] == 0xB000, "after the end it has no effect"


CANCELLED = command(7, CCancelRQ(message_id_being_responded_to=1))


def scripted(given: Any, *, nests: bool = False) -> Alone:
    """A performer before a scripted peer."""
    from memory_link import Network

    network = Network(nests=nests)
    return Alone(given, config=acceptor(GETTING), other=requestor(GETTING), network=network)


def test_a_cancel_that_comes_with_the_request_is_heeded_before_the_handler_begins() -> None:
    asked: list[Any] = []
    end = scripted(service(lambda get: asked.append(get) or [0]))
    end.raw.send(get_rq() + CANCELLED)
    (final,) = end.raw.said()
    assert (final.status, final.number_of_remaining_suboperations) == (0xFE00, 0)
    assert asked == []
    assert not end.reports
    assert nothing_left(end.session)


@pytest.mark.parametrize("is_async", [False, True])
def test_a_cancel_while_the_handler_thinks_does_not_wait_for_it(is_async: bool) -> None:
    thinks: list[Any] = []

    async def handler(get: Get) -> AsyncIterator[Any]:
        yield 5
        signal = get._session.link.signal()
        thinks.append(signal)
        try:
            await signal.wait()
        finally:
            thinks.append("over")

    def blocking(get: Any) -> Iterator[Any]:
        yield 5
        end.raw.send(CANCELLED)  # in the middle of it
        thinks.append(get.cancelled)
        thinks.append("over")
        yield A

    end = scripted(service(handler if is_async else blocking))
    end.raw.send(get_rq())
    if is_async:
        assert end.raw.said() == []
        end.raw.send(CANCELLED)
    *_, final = end.raw.said()
    assert (final.status, final.number_of_remaining_suboperations) == (0xFE00, 5)
    assert thinks[-1] == "over"
    assert nothing_left(end.session)
    assert not end.loop.waiting


@pytest.mark.parametrize("name", SERVICES)
def test_what_was_stored_is_told_while_the_handler_thinks(name: str) -> None:
    thinks: list[Any] = []

    async def handler(asked: Any) -> AsyncIterator[Any]:
        for item in script_for(name, [2, image(1)]):
            yield item
        thinks.append(asked._session.link.signal())
        await thinks[0].wait()
        yield image(2)

    end = Site(service(handler))
    told: list[int | None] = []

    async def asks() -> Any:
        async with end.asking(name) as retrieval:
            while (progress := await anext(retrieval, None)) is not None:
                told.append(progress.completed)
        return retrieval.answer

    task = end.loop.spawn(asks())
    end.loop.run()
    assert told == [1]
    thinks[0].set()
    end.loop.run()
    assert (task.result(), told) == (0, [1, 2])
    end.check_over()


def test_where_waits_nest_what_came_while_the_handler_thought_is_heard_before_its_next_is_stored() -> None:
    def blocking(get: blocking_scp.Get) -> Iterator[Any]:
        yield 5
        end.raw._outgoing.data += CANCELLED
        yield A

    end = scripted(service(blocking), nests=True)
    end.raw.send(get_rq())
    (final,) = end.raw.said()
    assert (final.status, final.number_of_remaining_suboperations) == (0xFE00, 5)


# ---------------------------------------------------------------- what a handler may say besides


def status(**values: Any) -> Dataset:
    dataset = Dataset()
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return dataset


@pytest.mark.parametrize("name", SERVICES)
@pytest.mark.parametrize(
    ("first", "answered"),
    [
        ((0xA900, None), 0xA900),
        (Status(0xA701), 0xA701),
        (status(Status=0xA900, ErrorComment="no"), 0xA900),
        (Failure(0xA702, "no"), 0xA702),
    ],
)
def test_a_final_status_ends_it_wherever_it_stands(name: str, first: Any, answered: int) -> None:
    end = Site(Shapes.generator([first]))
    told = end.retrieve(name)
    assert told.answer == answered
    assert not end.reports
    end.check_over()


@pytest.mark.parametrize("name", SERVICES)
@pytest.mark.parametrize("listed", [["1.2.77"], ["1.2.77", "1.2.78"], []])
def test_a_handler_may_tell_itself_which_failed(name: str, listed: list[str]) -> None:
    last = status(Status=0xB000, FailedSOPInstanceUIDList=listed)
    end = Site(Shapes.generator(script_for(name, [2, image(1), last])))
    told = end.retrieve(name)
    assert (told.answer, told.answer.failed_instances) == (0xB000, tuple(listed))
    assert not end.reports
    end.check_over()


@pytest.mark.parametrize("name", SERVICES)
def test_a_key_of_the_peers_that_is_malformed_is_no_error_of_ours(name: str) -> None:
    end = Site(Shapes.generator([MalformedKeyError(0x00080020, "no date")]))
    told = end.retrieve(name)
    assert told.answer == 0xA900
    assert told.answer.response.offending_element == (0x00080020,)
    assert not end.reports


def test_a_c_move_is_answered_before_the_association_to_its_destination_is_closed() -> None:
    end = Site(Shapes.generator(script_for("C-MOVE", [1, image(1)])))
    states: list[bool] = []

    async def asks() -> None:
        async with end.asking("C-MOVE") as retrieval:
            await retrieval.finished()
            states.append(end.place.reached[0][0].ended)

    end.loop.finish(asks())
    assert states == [False]
    end.check_over()


# ---------------------------------------------------------------- the end of everything


@pytest.mark.parametrize("name", SERVICES)
@pytest.mark.parametrize("nests", [False, True])
@pytest.mark.parametrize("is_async", [False, True])
def test_the_association_may_be_lost_at_any_moment(name: str, nests: bool, is_async: bool) -> None:
    lost = 0
    for at in count(1):
        log: list[str] = []
        items = ["a.dcm", image(2, 2000), image(3, 1000)]
        end = site(gives(name, items, log, is_async=is_async), nests=nests, capacity=1000, limits=DRIVEN)
        task = end.loop.spawn(end.retrieving(name))

        def lose(end: Site = end, at: int = at) -> None:
            if at % 2:
                end.scu.abort()
            else:
                end.there.error = end.back.error = "reset"
                end.there.closed = end.back.closed = True

        end.loop.after(at, lose)
        end.loop.run()
        if end.peer.outcome is None:
            break
        try:
            assert task.result().answer == 0  # the final response was on its way
        except AssociationLost:
            lost += 1
        assert not end.reports
        assert log in (["over"], [])
        end.check_left()
    assert lost > 10


@pytest.mark.parametrize("name", SERVICES)
@pytest.mark.parametrize("level", [False, True])
@pytest.mark.parametrize("which", ["_converse", "_run"])
@pytest.mark.parametrize("is_async", [False, True])
def test_cancelled_at_any_await_it_is_answered_or_aborted(name: str, level: bool, which: str, is_async: bool) -> None:
    """By whoever, a server that ends, say: the conversation itself, or the handler beside it."""
    answers = []
    for at in count(1):
        log: list[str] = []
        items = ["a.dcm", image(2, 2000), image(3, 1000)]
        end = site(gives(name, items, log, is_async=is_async), capacity=1000, limits=DRIVEN)
        spawn, cancelled = end.loop.spawn, []

        def spawning(coroutine: Any, spawn: Any = spawn, at: int = at, cancelled: list[Any] = cancelled) -> Any:
            if coroutine.__qualname__.endswith(which) and not cancelled:
                cancelled.append(spawn(coroutine, cancel_at=at, level=level))
                return cancelled[0]
            return spawn(coroutine)

        end.loop.spawn = spawning  # type: ignore[method-assign]
        task = end.loop.spawn(end.retrieving(name))
        end.loop.run()
        if cancelled[0].error is None and cancelled[0].suspensions < at:
            break
        try:
            answers.append(int(task.result().answer))
        except AssociationLost:
            answers.append(None)
            end.check_left()
        else:
            end.check_over()
        assert log in (["over"], [])
    allowed = {0x0110, None} if which == "_converse" else {0xC411, 0xC511, 0}
    assert set(answers) <= allowed | {0}
    assert len(answers) >= (4 if is_async or which == "_converse" else 1)


@pytest.mark.parametrize("name", SERVICES)
def test_an_association_lost_that_is_another_is_an_error_as_any(name: str) -> None:
    """The handler may ask others; and sub-operations are under way then."""
    other = site(Shapes.generator([0]))
    other.scu.abort()
    other.loop.run()
    assert other.scu.outcome is not None

    def handler(asked: Any) -> Iterator[Any]:
        yield from script_for(name, [2, A])
        raise AssociationLost(other.scu.outcome)  # type: ignore[arg-type]

    end = site(service(handler))
    told = end.retrieve(name)
    assert told.answer == (0xC411 if name == "C-GET" else 0xC511)
    assert told.counters == (None, 1, 1, 0)
    end.check_over()


@pytest.mark.parametrize("nests", [False, True])
@pytest.mark.parametrize("name", SERVICES)
@pytest.mark.parametrize("error", [OSError("disk"), ValueError("user's own"), None])
def test_a_source_that_fails_in_its_middle_ends_the_association_that_it_goes_out_on(
    name: str, error: Exception | None, nests: bool
) -> None:
    """PS3.7 9.3.1.3 has no other end. None: of odd length."""

    def pieces() -> Iterator[bytes]:
        yield bytes(5000)
        if error is not None:
            raise error
        yield b"odd"

    failing = Instance(CT, "1.2.50", ELE, None, pieces)
    end = site(Shapes.generator(script_for(name, [4, A, failing, B, C])), nests=nests)
    if name == "C-GET":
        with pytest.raises(AssociationLost):
            end.retrieve(name)
        assert end.scp.outcome is not None
        assert end.scp.outcome.kind is OutcomeKind.ABORTED
        end.check_left()
    else:
        told = end.retrieve(name)
        ok = told.answer.counters.completed or 0
        assert ok in (2, 3), "of those that were under way one may be in doubt; the others go over another association"
        assert told.counters == (None, ok, 4 - ok, 0)
        assert told.answer.failed_instances[-1] == "1.2.50"
        assert told.answer == 0xB000
        end.check_over()
    assert len(end.reports) == 1


@pytest.mark.filterwarnings("ignore:The value length")  # of pydicom, about the UID told
@pytest.mark.parametrize("name", SERVICES)
def test_one_that_fails_before_it_begins_is_one_that_failed(name: str) -> None:
    """No command set can hold its UID; or it has to be converted first, and cannot be read."""
    bad = instance(100, "1.2." + "3" * 70)

    def pieces() -> Iterator[bytes]:
        raise OSError("disk")
        yield b""

    unread = Instance(CT, "1.2.50", "1.2.840.10008.1.2.2", None, pieces)
    end = site(Shapes.generator(script_for(name, [3, bad, unread, A])))
    told = end.retrieve(name)
    assert told.answer == 0xB000
    assert told.counters == (None, 1, 2, 0)
    assert told.answer.failed_instances == (bad.sop_instance_uid, "1.2.50")
    assert len(end.reports) == 2
    end.check_over()


def test_two_gets_at_once_on_one_association_do_not_count_for_each_other() -> None:
    """A second C-GET is the peer's to ask, if the window allows two."""
    from memory_link import Answering

    end = scripted(Shapes.async_generator([2, A, B]))
    end.raw.send(get_rq(1), get_rq(2))
    answering = Answering(end)
    said: list[Any] = []
    for _ in range(8):
        said += end.raw.said()
        requests = [each for each in said if hasattr(each, "affected_sop_instance_uid")]
        for request in requests:
            answering.waiting[request.message_id] = request
        said = [each for each in said if each not in requests]
        for message_id in list(answering.waiting):
            answering.answer(message_id)
    finals = [each for each in said if isinstance(each, CGetRSP) and each.status != 0xFF00]
    assert [(each.status, each.number_of_completed_suboperations) for each in finals] == [(0, 2), (0, 2)]
    assert nothing_left(end.session)


# ---------------------------------------------------------------- without bulk data


def test_without_bulk_data_none_is_sent() -> None:
    model = PresentationContext(COMPOSITE_INSTANCE_WITHOUT_BULK_DATA_GET, scp=True)
    bulky = ct(1, Rows=2, Columns=2, BitsAllocated=8, PixelData=b"1234")
    bulky["PixelData"].VR = "OW"
    broken = replace(instance_of(ct(2)), pieces=lambda: iter([b"\x08\0\x52\0SQ\0\0\x10\0\0\0ab"]))
    end = site(Shapes.generator([3, bulky, broken, ct(3)]), more=(model,))

    async def asks() -> Any:
        async with end.peer.c_get(model.abstract_syntax, b"query.", store=end.keeps.c_store) as retrieval:
            return await retrieval.finished()

    answer = end.loop.finish(asks())
    assert answer == 0xB000
    assert answer.failed_instances == ("1.2.2",)
    sent = decode(end.keeps.got["1.2.1"], ELE)
    assert "PixelData" not in sent
    assert (sent.PatientID, sent.Rows) == ("7", 2)
    assert decode(end.keeps.got["1.2.3"], ELE).PatientID == "7"
    end.check_over()


# ---------------------------------------------------------------- any mix


@settings(deadline=None, max_examples=150)
@given(
    outcomes=st.lists(
        st.sampled_from(["good", "warned", "refused", "missing", "no context", "no instance"]), max_size=8
    ),
    beside=st.integers(-3, 3),
    cancel_after=st.none() | st.integers(0, 8),
    ends=st.sampled_from([None, 0, 0xA701, ZeroDivisionError()]),
    name=st.sampled_from(SERVICES),
    window=st.sampled_from([1, 2, 5]),
    nests=st.booleans(),
    shape=st.sampled_from(sorted(SHAPES)),
)
def test_the_counters_add_up_whatever_becomes_of_the_instances(
    outcomes: list[str],
    beside: int,
    cancel_after: int | None,
    ends: Any,
    name: str,
    window: int,
    nests: bool,
    shape: str,
) -> None:
    announced = max(0, len(outcomes) + beside)
    uids = [f"1.2.{number}" for number in range(len(outcomes))]
    answers = {
        uid: {"warned": 0xB000, "refused": 0xA700}.get(each, 0) for uid, each in zip(uids, outcomes, strict=True)
    }
    making: dict[str, Callable[[int], Any]] = {
        "missing": lambda number: "missing",
        "no context": unwanted,
        "no instance": lambda number: data_set(SOPInstanceUID=f"1.2.{number}"),
    }
    items: Script = [making.get(each, image)(number) for number, each in enumerate(outcomes)]
    if ends is not None:
        items.append(ends)
    script = script_for(name, [announced, *items])
    given_so_far: list[int] = []

    class Cancelling(list[Any]):
        def __iter__(self) -> Iterator[Any]:
            for number, item in enumerate(script):
                if number == (cancel_after or 0) + len(script) - len(items) and cancel_after is not None:
                    for request in end.scu.engine.outstanding:
                        request.cancel()
                given_so_far.append(number)
                yield item

    end = site(SHAPES[shape](Cancelling()), keeps=Keeps(answers), window=window, nests=nests)
    told = end.retrieve(name)
    told_remaining, completed, failed, warning = told.counters
    assert completed is not None
    assert failed is not None
    assert warning is not None
    check_counted(told, announced)
    assert len(end.keeps.got) == completed + warning + sum(answers[uid] == 0xA700 for uid in end.keeps.got)
    good = [uid for uid in end.keeps.got if answers[uid] == 0]
    assert (completed, warning) == (len(good), sum(answers[uid] == 0xB000 for uid in end.keeps.got))
    if told.answer != 0xFE00:
        assert told_remaining is None
        delivered = outcomes[:announced]
        assert completed == delivered.count("good")
        assert warning == delivered.count("warned")
        named = [
            uid for uid, each in zip(uids, delivered, strict=False) if each in ("refused", "no context", "no instance")
        ]
        assert sorted(told.answer.failed_instances) == sorted(named)
        if ends in (None, 0):
            by_rule = 0 if not failed + warning else 0xB000 if completed + warning else 0xA702
            assert told.answer == by_rule
        else:
            assert told.answer == (0xA701 if ends == 0xA701 else {"C-GET": 0xC411, "C-MOVE": 0xC511}[name])
    else:
        assert cancel_after is not None
        assert told_remaining is not None
    if told.answer == 0:
        assert told.answer.failed_instances == ()
    end.check_over()
