"""What the peer asks, for handlers that block: each shows what the conversation behind it does."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest

from engine_pair import (
    CT,
    GETTING,
    INSTANCE,
    MOVING,
    MPPS,
    QUERY,
    STEPS,
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
from memory_link import Alone
from sansdimse.dataset import Dataset, encode, read_part10_header
from sansdimse.dimse.messages import CCancelRQ, NCreateRQ, NSetRQ
from sansdimse.peer import blocking_scp, scp
from sansdimse.uids import EXPLICIT_VR_LITTLE_ENDIAN
from sansdimse.ul.pdu import AAbort


def query() -> Dataset:
    dataset = Dataset()
    dataset.QueryRetrieveLevel = "STUDY"
    dataset.StudyInstanceUID = "1.2.3"
    return dataset


ENCODED = encode(query(), EXPLICIT_VR_LITTLE_ENDIAN)
CONTEXTS = (QUERY, GETTING, MOVING, STEPS)
ASKED = {
    "c_echo": [echo_rq(1)],
    "c_store": [store_rq(1), data(3, b"data")],
    "c_find": [find_rq(1, identifier=ENCODED)],
    "c_get": [get_rq(1, 9, ENCODED)],
    "c_move": [move_rq(1, 11, ENCODED)],
    "n_set": [
        message(13, NSetRQ(message_id=1, requested_sop_class_uid=MPPS, requested_sop_instance_uid=INSTANCE), ENCODED)
    ],
}
FACADES = {
    "c_echo": blocking_scp.Echo,
    "c_store": blocking_scp.Store,
    "c_find": blocking_scp.Find,
    "c_get": blocking_scp.Get,
    "c_move": blocking_scp.Move,
    "n_set": blocking_scp.Normalized,
}


def served(method: str, handler: Callable[[Any], Any], *asked: bytes) -> Alone:
    """One whose handler of this method was asked, by default as ``ASKED`` says."""
    service = type("Service", (), {method: staticmethod(handler)})()
    alone = Alone(service, config=acceptor(*CONTEXTS), other=requestor(*CONTEXTS))
    alone.raw.send(*(asked or ASKED[method]))
    return alone


def answer_of(method: str) -> Any:
    """Something with which each of these ends well."""
    return {"c_find": [], "c_get": [0], "c_move": [("127.0.0.1", 104), 0]}.get(method, 0)


# ---------------------------------------------------------------- all of them


def properties_of(kind: type) -> set[str]:
    return {name for name, each in inspect.getmembers(kind) if isinstance(each, property) and not name.startswith("_")}


@pytest.mark.parametrize("method", FACADES)
def test_each_shows_what_the_conversation_does(method: str) -> None:
    shown = properties_of(FACADES[method])
    got: dict[str, Any] = {}

    def handler(facade: Any) -> Any:
        assert type(facade) is FACADES[method]
        conversation = facade._conversation
        for name in shown:
            got[name] = getattr(facade, name)
            assert got[name] == getattr(conversation, name)
        return answer_of(method)

    alone = served(method, handler)
    assert got.keys() == shown, [error for error, _ in alone.reports]
    assert shown >= {"request", "context", "association", "cancelled", "transfer_syntax_uid"}
    assert got["request"].message_id == 1
    assert got["association"].calling_ae_title == "ME"


@pytest.mark.parametrize("method", FACADES)
def test_what_it_does_not_show_belongs_to_the_loop(method: str) -> None:
    theirs = {"Echo": scp.Echo, "Store": scp.Store, "Find": scp.Find, "Get": scp.Get, "Move": scp.Move}
    conversation = theirs.get(FACADES[method].__name__, scp.Normalized)
    missing = properties_of(conversation) - properties_of(FACADES[method])
    assert missing <= {"peer", "our_title"}


@pytest.mark.parametrize("method", FACADES)
def test_each_aborts_in_the_loop(method: str) -> None:
    """Never in the worker's thread: the engine is not for several."""
    where: list[bool] = []

    def handler(facade: Any) -> Any:
        session = facade._link.session
        inner, session.abort = session.abort, lambda: (where.append(_in_a_task()), inner())
        facade.abort()
        return answer_of(method)

    alone = served(method, handler)
    assert alone.raw.said() == [AAbort(0, 0)]
    assert where == [True]


def _in_a_task() -> bool:
    frame = inspect.currentframe()
    names = []
    while frame is not None:
        names.append(frame.f_code.co_name)
        frame = frame.f_back
    return "block_on" in names


@pytest.mark.parametrize("method", FACADES)
def test_what_is_to_come_after_does(method: str) -> None:
    order: list[int] = []

    def handler(facade: Any) -> Any:
        facade.after(lambda peer: order.append(len(alone.engine.unanswered)))
        return 0xA701 if method in ("c_get", "c_move") else answer_of(method)

    service = type("Service", (), {method: staticmethod(handler)})()
    alone = Alone(service, config=acceptor(*CONTEXTS), other=requestor(*CONTEXTS))
    alone.raw.send(*ASKED[method])
    assert order == [0]
    assert not alone.reports


def test_whether_it_is_cancelled_is_looked_for_when_asked() -> None:
    """Nobody reads while a handler that blocks computes, but who asks."""
    seen: list[bool] = []

    def c_find(find: blocking_scp.Find) -> list[Any]:
        seen.append(find.cancelled)
        alone.raw._outgoing.data += command(7, CCancelRQ(message_id_being_responded_to=1))
        seen.append(find.cancelled)
        return []

    service = type("Service", (), {"c_find": staticmethod(c_find)})()
    alone = Alone(service, config=acceptor(QUERY), other=requestor(QUERY))
    alone.link.can_cancel = False
    alone.raw.send(find_rq(1))
    assert seen == [False, True]
    assert [response.status for response in alone.raw.said()] == [0xFE00]


# ---------------------------------------------------------------- what asks with an identifier


@pytest.mark.parametrize("method", ["c_find", "c_get", "c_move"])
def test_an_identifier_is_shown_and_checked(method: str) -> None:
    seen: list[Any] = []

    def handler(facade: Any) -> Any:
        assert facade.check_identifier() is facade.identifier
        assert facade.identifier == query()
        assert facade.raw_identifier == ENCODED
        seen.append(facade.sop_class_uid)
        return answer_of(method)

    alone = served(method, handler)
    assert seen == [alone.engine.contexts[{"c_find": 3, "c_get": 4, "c_move": 5}[method]].abstract_syntax]


@pytest.mark.parametrize(("method", "status"), [("c_find", 0xC310), ("c_get", 0xC410), ("c_move", 0xC510)])
def test_one_that_cannot_be_decoded_ends_it(method: str, status: int) -> None:
    def handler(facade: Any) -> Any:
        return facade.identifier

    asked = {"c_find": find_rq(1), "c_get": get_rq(1, 9), "c_move": move_rq(1, 11)}
    alone = served(method, handler, asked[method])
    (response,) = alone.raw.said()
    assert (response.status, response.error_comment) == (status, "Unable to decode the dataset")
    assert not alone.reports


def test_a_move_says_where_to() -> None:
    seen: list[str] = []

    def c_move(move: blocking_scp.Move) -> int:
        seen.append(move.destination)
        return 0xA801

    served("c_move", c_move, move_rq(1, 11, destination=" STORE "))
    assert seen == ["STORE"]


# ---------------------------------------------------------------- DIMSE-N


def test_an_instance_is_invented_for_a_create_that_names_none() -> None:
    seen: list[Any] = []

    def n_create(asked: blocking_scp.Normalized) -> int:
        seen.extend([asked.sop_instance_uid, asked.sop_class_uid, asked.type_id, asked.attributes, asked.raw_data_set])
        return 0

    alone = served("n_create", n_create, message(13, NCreateRQ(message_id=1, affected_sop_class_uid=MPPS)))
    assert [response.affected_sop_instance_uid for response in alone.raw.said()] == ["2.25.1"]
    assert seen == ["2.25.1", MPPS, None, (), None]


# ---------------------------------------------------------------- C-STORE, by pieces


def serve_store(handler: Callable[[blocking_scp.Store], int]) -> Alone:
    service = type("Service", (), {"c_store": staticmethod(handler)})()
    alone = Alone(service)
    alone.raw.send(store_rq(), data(3, b"one!", is_last=False), data(3, b"two!"))
    return alone


def test_a_blocking_store_shows_what_the_other_does() -> None:
    seen: list[Any] = []

    def c_store(store: blocking_scp.Store) -> int:
        other = store._conversation
        for name in "request context association cancelled sop_class_uid sop_instance_uid transfer_syntax_uid".split():
            assert getattr(store, name) == getattr(other, name)
        seen.extend((store.sop_class_uid, store.sop_instance_uid, store.transfer_syntax_uid))
        header = memoryview(store.part10_header())
        at = 0

        def take(size: int) -> bytes:
            nonlocal at
            at += size
            return bytes(header[at - size : at])

        seen.append(read_part10_header(take).sop_instance_uid)
        seen.extend(bytes(piece) for piece in store)
        seen.append(store.read())
        return 0

    alone = serve_store(c_store)
    assert seen == [CT, INSTANCE, EXPLICIT_VR_LITTLE_ENDIAN, INSTANCE, b"one!", b"two!", b""]
    assert [response.status for response in alone.raw.said()] == [0]
    assert not alone.reports


def test_a_blocking_store_gives_its_pieces_one_by_one_or_all_that_there_are() -> None:
    seen: list[list[bytes]] = []

    def c_store(store: blocking_scp.Store) -> int:
        seen.append([bytes(next(iter(store)))])
        while pieces := store.pieces():
            seen.append([bytes(piece) for piece in pieces])
        return 0

    assert [response.status for response in serve_store(c_store).raw.said()] == [0]
    assert seen == [[b"one!"], [b"two!"]]


def test_a_blocking_store_decodes_or_fails() -> None:
    def c_store(store: blocking_scp.Store) -> int:
        store.dataset()
        return 0

    assert [response.status for response in serve_store(c_store).raw.said()] == [scp.UNDECODABLE]
