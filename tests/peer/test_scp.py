"""Serving: whatever a handler does, the peer gets one answer, and the user hears of each error once."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import pytest
from pydicom import Dataset

from engine_pair import (
    ABORT,
    CT,
    GETTING,
    INSTANCE,
    MOVING,
    QUERY,
    acceptor,
    command,
    data,
    echo_rq,
    find_rq,
    get_rq,
    message,
    move_rq,
    requestor,
    store_rq,
)
from memory_link import Alone, Joined, content, instance, nothing_left
from sansdimse.dataset import encode, read_part10_header
from sansdimse.dimse.messages import CEchoRSP, CStoreRQ, CStoreRSP, NDeleteRQ
from sansdimse.dimse.status import SUCCESS
from sansdimse.errors import LocalProtocolError
from sansdimse.events import CancelRequested
from sansdimse.outcome import Outcome, OutcomeKind, Side
from sansdimse.peer import blocking_scp
from sansdimse.peer.handlers import NO_STATUS, Failure
from sansdimse.peer.scp import NOT_A_STATUS, UNDECODABLE, UNHANDLED, Echo, Get, Move, Normalized, Store
from sansdimse.peer.session import AssociationLost
from sansdimse.service_classes.refused import Refused
from sansdimse.services.sop_classes import PRESENTATION_LUT
from sansdimse.uids import EXPLICIT_VR_LITTLE_ENDIAN
from sansdimse.ul.parties import PresentationContext
from sansdimse.ul.pdu import AAbort
from sansdimse.ul.table import State

PIECES = [b"one!", b"two!", b"end!"]
STORE = [store_rq(), *[data(3, piece, is_last=piece is PIECES[-1]) for piece in PIECES]]

DELETE = NDeleteRQ(message_id=1, requested_sop_class_uid=PRESENTATION_LUT, requested_sop_instance_uid=INSTANCE)

Handler = Callable[[Any], Any]

STATUS = Dataset()
STATUS.Status = 0xA900
STATUS.ErrorComment = "no"


def served(name: str, handler: Handler) -> SimpleNamespace:
    return SimpleNamespace(**{name: handler})


def lost_elsewhere() -> AssociationLost:
    """Of another association: a handler may well be a client of somebody."""
    return AssociationLost(Outcome(kind=OutcomeKind.CLOSED, by=Side.PEER, state=State.STA6))


# ---------------------------------------------------------------- C-STORE, in both shapes


async def reads(store: Store) -> int:
    return 0 if await store.read() == b"".join(PIECES) else 0xC123


def reads_blocking(store: blocking_scp.Store) -> int:
    return 0 if store.read() == b"".join(PIECES) else 0xC123


async def iterates(store: Store) -> int:
    return 0xB007 if [bytes(piece) async for piece in store] == PIECES else 0xC123


def iterates_blocking(store: blocking_scp.Store) -> int:
    return 0xB007 if [bytes(piece) for piece in store] == PIECES else 0xC123


async def reads_one(store: Store) -> int:
    assert await anext(aiter(store)) == PIECES[0]
    return 0


def reads_one_blocking(store: blocking_scp.Store) -> int:
    assert next(iter(store)) == PIECES[0]
    return 0


async def reads_rest(store: Store) -> int:
    await anext(store)
    return 0 if await store.read() == b"two!end!" and await store.read() == b"" else 0xC123


def reads_rest_blocking(store: blocking_scp.Store) -> int:
    next(iter(store))
    return 0 if store.read() == b"two!end!" and store.read() == b"" else 0xC123


async def decodes(store: Store) -> int:
    await store.dataset()
    return 0


def decodes_blocking(store: blocking_scp.Store) -> int:
    store.dataset()
    return 0


def returning(value: Any) -> tuple[Handler, Handler]:
    async def handler(store: Store) -> Any:
        return value

    return handler, lambda store: value


def raising(error: Exception) -> tuple[Handler, Handler]:
    async def handler(store: Store) -> int:
        await anext(store)
        raise error

    def blocking_handler(store: blocking_scp.Store) -> int:
        next(iter(store))
        raise error

    return handler, blocking_handler


STORES: list[tuple[str, tuple[Handler, Handler], int, str | None, int]] = [
    ("reads", (reads, reads_blocking), 0, None, 0),
    ("iterates", (iterates, iterates_blocking), 0xB007, None, 0),
    ("reads one piece", (reads_one, reads_one_blocking), 0, None, 0),
    ("reads the rest", (reads_rest, reads_rest_blocking), 0, None, 0),
    ("decodes what is none", (decodes, decodes_blocking), UNDECODABLE, "Unable to decode the dataset", 0),
    ("returns success at once", returning(SUCCESS), 0, None, 0),
    ("returns a warning at once", returning(0xB006), 0xB006, None, 0),
    ("returns a failure at once", returning(0xA900), 0xA900, None, 0),
    ("returns nothing", returning(None), NOT_A_STATUS, None, 1),
    ("returns a word", returning("Success"), NOT_A_STATUS, None, 1),
    ("returns True", returning(True), NOT_A_STATUS, None, 1),
    ("returns too large a number", returning(0x10000), NOT_A_STATUS, None, 1),
    ("returns Pending", returning(0xFF00), NOT_A_STATUS, None, 1),
    ("returns a data set as status", returning(STATUS), 0xA900, "no", 0),
    ("returns a data set without status", returning(Dataset()), NO_STATUS, None, 1),
    ("raises", raising(ZeroDivisionError("secret")), UNHANDLED, None, 1),
    ("raises what looks like ours", raising(LocalProtocolError("mine")), UNHANDLED, None, 1),
    ("loses another association", raising(lost_elsewhere()), UNHANDLED, None, 1),
    ("fails", raising(Failure(0xA700)), 0xA700, None, 0),
    ("fails with a comment", raising(Failure(0xC000, "no\r\n" + "x" * 99)), 0xC000, "no??" + "x" * 60, 0),
    ("warns with a comment", raising(Failure(0xB000, "coerced")), 0xB000, "coerced", 0),
    ("fails with Pending", raising(Failure(0xFF00)), NOT_A_STATUS, None, 1),
    ("fails with no status", raising(Failure(0x12345)), NOT_A_STATUS, None, 1),
    ("returns what nobody knows", returning(0x1234), 0x1234, None, 1),
    ("fails with what nobody knows", raising(Failure(0x1234, "hm")), 0x1234, "hm", 1),
    ("is refused by a rule", raising(Refused(0xA900, "not of this class")), 0xA900, "not of this class", 0),
]


@pytest.mark.parametrize(
    # In memory nothing arrives while a handler blocks.
    ("shape", "at_once"),
    [(0, False), (0, True), (1, True)],
    ids=["async, by pieces", "async, at once", "blocking"],
)
@pytest.mark.parametrize(
    ("handlers", "status", "comment", "reports"), [row[1:] for row in STORES], ids=[row[0] for row in STORES]
)
def test_a_store_is_answered_once(
    shape: int, at_once: bool, handlers: tuple[Handler, Handler], status: int, comment: str | None, reports: int
) -> None:
    alone = Alone(served("c_store", handlers[shape]))
    if at_once:
        alone.raw.send(b"".join(STORE))
    else:
        for part in STORE:
            alone.raw.send(part)
    (response,) = alone.raw.said()
    assert isinstance(response, CStoreRSP)
    assert response.message_id_being_responded_to == 1
    assert response.affected_sop_instance_uid == INSTANCE
    assert response.status == status
    assert response.error_comment == comment
    assert len(alone.reports) == reports
    assert all(where == "C-STORE 1" for _, where in alone.reports)
    assert nothing_left(alone.session)
    alone.raw.send(echo_rq(2))
    assert [message.status for message in alone.raw.said()] == [0]


@pytest.mark.parametrize("shape", [0, 1], ids=["async", "blocking"])
@pytest.mark.parametrize(
    ("handlers", "early"),
    [
        (returning(0), False),
        (returning(0xB000), False),
        (returning(0xA700), True),
        (returning(None), True),
        (raising(Failure(0xA700)), True),
        (raising(ValueError()), True),
    ],
)
def test_only_a_failure_is_told_before_the_data_set_is_complete(
    shape: int, handlers: tuple[Handler, Handler], early: bool
) -> None:
    alone = Alone(served("c_store", handlers[shape]))
    alone.raw.send(*STORE[:-1])
    assert len(alone.raw.said()) == early
    alone.raw.send(STORE[-1])
    assert len(alone.raw.said()) == (not early)
    assert nothing_left(alone.session)


def test_a_failure_says_which_element_offends() -> None:
    async def c_store(store: Store) -> int:
        raise Failure(0xA900, offending_element=(0x00080016, 0x00080018))

    alone = Alone(served("c_store", c_store))
    alone.raw.send(*STORE)
    (response,) = alone.raw.said()
    assert response.offending_element == (0x00080016, 0x00080018)


def test_a_failure_that_cannot_be_encoded_is_answered_all_the_same() -> None:
    async def c_store(store: Store) -> int:
        raise Failure(0xA900, offending_element=(-1,))

    alone = Alone(served("c_store", c_store))
    alone.raw.send(*STORE)
    assert [response.status for response in alone.raw.said()] == [NOT_A_STATUS]
    assert len(alone.reports) == 1


@pytest.mark.parametrize(
    "asked", [STORE, [find_rq()], [get_rq(1, 9)], [move_rq(1, 11)]], ids=["store", "find", "get", "move"]
)
def test_a_service_without_the_method_does_not_know_the_request(asked: list[bytes]) -> None:
    contexts = (QUERY, GETTING, MOVING)
    alone = Alone(object(), config=acceptor(*contexts), other=requestor(*contexts))
    alone.raw.send(*asked)
    (response,) = alone.raw.said()
    assert (response.message_id_being_responded_to, response.status) == (1, 0x0211)
    assert not alone.reports
    assert nothing_left(alone.session)


@pytest.mark.parametrize("shape", [0, 1], ids=["async", "blocking"])
def test_a_decoded_data_set(shape: int) -> None:
    ds = Dataset()
    ds.PatientName = "A^B"
    got: list[Dataset] = []

    async def c_store(store: Store) -> int:
        got.append(await store.dataset())
        return 0

    def c_store_blocking(store: blocking_scp.Store) -> int:
        got.append(store.dataset())
        return 0

    alone = Alone(served("c_store", (c_store, c_store_blocking)[shape]))
    alone.raw.send(store_rq(), data(3, encode(ds, EXPLICIT_VR_LITTLE_ENDIAN)))
    assert [response.status for response in alone.raw.said()] == [0]
    assert got == [ds]


def test_what_a_handler_sees() -> None:
    seen: list[Any] = []

    async def c_store(store: Store) -> int:
        info = store.association
        assert (info.calling_ae_title, info.called_ae_title, info.address) == ("ME", "YOU", "memory")
        assert store.context.id == 3
        assert store.request.message_id == 1
        seen.append((store.sop_class_uid, store.sop_instance_uid, store.transfer_syntax_uid))
        header = store.part10_header()
        seen.append(await store.call(lambda: read_part10_header(_reader(header))))
        return 0

    alone = Alone(served("c_store", c_store))
    alone.raw.send(*STORE)
    assert seen[0] == (CT, INSTANCE, EXPLICIT_VR_LITTLE_ENDIAN)
    header = seen[1]
    assert (header.sop_class_uid, header.sop_instance_uid, header.transfer_syntax_uid) == seen[0]
    assert not alone.reports


def _reader(header: bytes) -> Callable[[int], bytes]:
    rest = memoryview(header)

    def read(size: int) -> bytes:
        nonlocal rest
        piece, rest = rest[:size], rest[size:]
        return bytes(piece)

    return read


def test_the_context_tells_the_sop_class_if_the_request_does_not() -> None:
    seen: list[str] = []

    async def c_store(store: Store) -> int:
        seen.append(store.sop_class_uid)
        return 0

    alone = Alone(served("c_store", c_store))
    request = CStoreRQ(message_id=1, affected_sop_class_uid=CT, affected_sop_instance_uid=INSTANCE)
    raw = command(3, request)
    at = raw.index(bytes.fromhex("00000200"))  # (0000,0002), whose tag is made that of an unknown element
    alone.raw.send(raw[:at] + bytes.fromhex("00000300") + raw[at + 4 :], data(3, b"data"))
    assert seen == [CT]


def test_an_instance_that_no_file_can_hold_is_refused() -> None:
    """A UID that is none is served by default, but Part 10 has no room for it."""

    async def c_store(store: Store) -> int:
        store.part10_header()
        return 0

    alone = Alone(served("c_store", c_store))
    alone.raw.send(store_rq().replace(INSTANCE.encode(), b"1.2.3.\xe4"), *STORE[1:])
    (response,) = alone.raw.said()
    assert response.status == 0xC000
    assert response.error_comment
    assert not alone.reports


@pytest.mark.parametrize("shape", [0, 1], ids=["async", "blocking"])
@pytest.mark.parametrize("then", ["returns", "raises", "reads on"])
@pytest.mark.parametrize("can_cancel", [False, True])
def test_a_handler_may_abort(shape: int, then: str, can_cancel: bool) -> None:
    async def c_store(store: Store) -> int:
        await anext(store)
        store.abort()
        if then == "raises":
            raise ValueError("after the abort")
        if then == "reads on":
            await store.read()
        return 0

    def c_store_blocking(store: blocking_scp.Store) -> int:
        next(iter(store))
        store.abort()
        if then == "raises":
            raise ValueError("after the abort")
        if then == "reads on":
            store.read()
        return 0

    alone = Alone(served("c_store", (c_store, c_store_blocking)[shape]))
    alone.link.can_cancel = can_cancel
    alone.raw.send(*STORE[:2])
    assert alone.raw.said() == [AAbort(0, 0)]
    alone.raw.vanish()
    outcome = alone.loop.call(alone.session.end())
    assert (outcome.kind, outcome.by) == (OutcomeKind.ABORTED, Side.LOCAL)
    assert [type(error) for error, _ in alone.reports] == ([ValueError] if then == "raises" else [])
    assert nothing_left(alone.session)


def test_a_handler_that_hides_the_loss_answers_nothing() -> None:
    async def c_store(store: Store) -> int:
        with suppress(AssociationLost):
            await store.read()
        return 0

    alone = Alone(served("c_store", c_store))
    alone.link.can_cancel = False
    alone.raw.send(*STORE[:2], ABORT)
    assert alone.raw.said() == []
    assert not alone.reports


def test_an_instance_of_many_pieces_through_both_ends() -> None:
    got: list[bytes] = []

    def c_store(store: blocking_scp.Store) -> int:
        got.append(store.read())
        return 0

    joined = Joined(served("c_store", c_store), capacity=50_000)
    assert joined.loop.call(joined.peer.c_store(instance(700_000))) == 0
    assert got == [content(700_000)]


# ---------------------------------------------------------------- C-ECHO


async def fails(echo: Echo) -> int:
    raise Failure(0x0122, "not today")


def fails_blocking(echo: blocking_scp.Echo) -> int:
    raise Failure(0x0122, "not today")


ECHOES: list[tuple[str, tuple[Handler, Handler], int, str | None, int]] = [
    ("returns success", returning(0), 0, None, 0),
    ("returns nothing", returning(None), 0, None, 0),
    ("returns a failure", returning(0x0122), 0x0122, None, 0),
    ("returns a word", returning("yes"), 0, None, 1),
    ("returns Pending", returning(0xFF00), 0, None, 1),
    ("fails", (fails, fails_blocking), 0x0122, "not today", 0),
    ("raises", raising(ValueError()), 0, None, 1),
    ("returns what nobody knows", returning(0x1234), 0x1234, None, 0),
]


@pytest.mark.parametrize("shape", [0, 1], ids=["async", "blocking"])
@pytest.mark.parametrize(
    ("handlers", "status", "comment", "reports"), [row[1:] for row in ECHOES], ids=[row[0] for row in ECHOES]
)
def test_an_echo_is_answered_with_success_unless_the_handler_says_otherwise(
    shape: int, handlers: tuple[Handler, Handler], status: int, comment: str | None, reports: int
) -> None:
    alone = Alone(served("c_echo", handlers[shape]))
    alone.raw.send(echo_rq(5))
    (response,) = alone.raw.said()
    assert isinstance(response, CEchoRSP)
    assert (response.message_id_being_responded_to, response.status) == (5, status)
    assert response.error_comment == comment
    assert [where for _, where in alone.reports] == ["C-ECHO 5"] * reports
    assert nothing_left(alone.session)


def test_without_a_method_every_echo_succeeds() -> None:
    alone = Alone(object())
    alone.raw.send(echo_rq(1))
    assert [response.status for response in alone.raw.said()] == [0]
    assert not alone.reports


@pytest.mark.parametrize("shape", [0, 1], ids=["async", "blocking"])
def test_what_an_echo_shows_and_may_do(shape: int) -> None:
    def look(echo: Any) -> None:
        assert echo.request.message_id == 1
        assert echo.context.id == 1
        assert echo.association.calling_ae_title == "ME"
        echo.abort()

    async def c_echo(echo: Echo) -> None:
        look(echo)

    alone = Alone(served("c_echo", (c_echo, look)[shape]))
    alone.raw.send(echo_rq(1))
    assert alone.raw.said() == [AAbort(0, 0)]
    assert not alone.reports
    assert alone.session.outcome is not None
    assert alone.session.outcome.by is Side.LOCAL


def test_the_requestor_serves_too() -> None:
    async def c_store(store: Store) -> int:
        return 0 if await store.read() == b"data" else 0xC123

    alone = Alone(config=requestor())
    alone.session.service = served("c_store", c_store)
    alone.raw.send(store_rq(), data(3, b"data"))
    assert [response.status for response in alone.raw.said()] == [0]


def test_an_empty_last_piece_is_no_piece_and_other_events_are_passed_over() -> None:
    got: list[bytes] = []

    async def c_store(store: Store) -> int:
        store._inbox.put(CancelRequested(1, store._operation))
        got.extend([bytes(piece) async for piece in store])
        return 0

    alone = Alone(served("c_store", c_store))
    alone.raw.send(STORE[0])
    alone.raw.send(*STORE[1:3], data(3, b""))
    assert got == PIECES[:2]
    assert [response.status for response in alone.raw.said()] == [0]


@pytest.mark.parametrize("together", [True, False])
def test_all_pieces_that_have_arrived_are_given_at_once_and_nothing_else(together: bool) -> None:
    got: list[list[bytes]] = []

    async def c_store(store: Store) -> int:
        store._inbox.put(CancelRequested(1, store._operation))  # behind the pieces that are there
        while pieces := await store.pieces():
            got.append([bytes(piece) for piece in pieces])
        return 0

    alone = Alone(served("c_store", c_store))
    for parts in [[*STORE[:3], data(3, b"")]] if together else [STORE[:3], [data(3, b"")]]:
        alone.raw.send(*parts)
        assert got == [PIECES[:2]]
    assert [response.status for response in alone.raw.said()] == [0]


def test_a_find_is_served_by_its_own_conversation() -> None:
    async def c_find(find: Any) -> list[bytes]:
        return [b"match."]

    alone = Alone(served("c_find", c_find), config=acceptor(QUERY), other=requestor(QUERY))
    alone.raw.send(find_rq(1))
    pending, match, final = alone.raw.said()
    assert (pending.status, match, final.status) == (0xFF00, b"match.", 0)


@pytest.mark.parametrize(
    ("method", "kind", "asked", "given", "status"),
    [
        ("c_get", Get, get_rq(1, 9), [0], 0),
        ("c_move", Move, move_rq(1, 11), [None], 0xA801),
        ("n_delete", Normalized, message(13, DELETE), 0x0112, 0x0112),
    ],
)
def test_each_request_is_served_by_its_own_conversation(
    method: str, kind: type, asked: bytes, given: Any, status: int
) -> None:
    seen: list[type] = []

    async def handler(conversation: Any) -> Any:
        seen.append(type(conversation))
        return given

    contexts = (QUERY, GETTING, MOVING, PresentationContext(PRESENTATION_LUT, scp=True))
    alone = Alone(served(method, handler), config=acceptor(*contexts), other=requestor(*contexts))
    alone.raw.send(asked)
    assert [response.status for response in alone.raw.said()] == [status]
    assert seen == [kind]
    assert not alone.reports


@pytest.mark.parametrize("method", ["c_echo", "c_store"])
def test_what_comes_after_comes_after_the_answer(method: str) -> None:
    order: list[int] = []

    async def handler(conversation: Any) -> int:
        conversation.after(lambda peer: order.append(len(alone.engine.unanswered)))
        return 0

    alone = Alone(served(method, handler))
    for part in STORE if method == "c_store" else [echo_rq(1)]:
        assert order == []
        alone.raw.send(part)
    assert order == [0]


@pytest.mark.parametrize("status", [0, 0xA700])
@pytest.mark.parametrize("read", [0, 1])
def test_when_it_was_answered_its_data_set_is_gone(status: int, read: int) -> None:
    kept: list[Store] = []

    class Keeps:
        async def c_store(self, store: Store) -> int:
            kept.append(store)
            for _ in range(read):
                await anext(store)
            return status

    joined = Joined(Keeps())
    assert joined.loop.call(joined.peer.c_store(instance(300_000))) == status
    late = joined.loop.spawn(kept[0].read())
    joined.loop.run()
    with pytest.raises(LocalProtocolError, match="this request is over"):
        late.result()
