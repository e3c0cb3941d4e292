"""What waits for a conversation: in its order, within bounds, and not for ever."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine_pair import ABORT, echo_rsp
from memory_link import Alone
from sansdimse.dimse.messages import CEchoRSP, CGetRSP
from sansdimse.dimse.status import PENDING, Status
from sansdimse.errors import LocalProtocolError
from sansdimse.events import CancelRequested, DatasetReceived, Event, ResponseReceived, SendingAllowed
from sansdimse.peer.inbox import TOO_LATE, Inbox
from sansdimse.peer.session import AssociationLost
from sansdimse.services.retrieve import GetRequest

MIB = 1 << 20
RESPONSE = CEchoRSP(message_id_being_responded_to=1, affected_sop_class_uid="1.2.840.10008.1.1", status=0xFF00)


class Operation:
    """A C-STORE of the peer that is told whether its data set is taken."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def pause(self) -> None:
        self.told.append("pause")

    def resume(self) -> None:
        self.told.append("resume")


OPERATION: Any = Operation()


def piece(size: int, operation: Any = OPERATION) -> DatasetReceived:
    return DatasetReceived(1, bytes(size), False, operation)


def response(size: int | None, operation: Any = OPERATION) -> ResponseReceived:
    identifier = None if size is None else bytes(size)
    return ResponseReceived(PENDING, RESPONSE, False, operation, identifier)


def inbox_of(alone: Alone) -> Inbox:
    return Inbox(alone.session)


KINDS: dict[str, Callable[[Any], Event]] = {
    "an empty piece": lambda operation: piece(0, operation),
    "a piece": lambda operation: piece(1000, operation),
    "a large piece": lambda operation: piece(300_000, operation),
    "a response": lambda operation: response(None, operation),
    "a match": lambda operation: response(1000, operation),
    "a large match": lambda operation: response(600_000, operation),
    "room to send": lambda operation: SendingAllowed(1, operation),
    "a cancel": lambda operation: CancelRequested(1, operation),
}


@given(st.lists(st.sampled_from([*KINDS, "take"]), max_size=40))
def test_what_goes_in_comes_out_in_its_order_and_the_count_is_kept(steps: list[str]) -> None:
    alone, operation = Alone(), Operation()
    inbox, waiting = inbox_of(alone), list[Event]()
    for step in steps:
        kicks, was_full = alone.link.kicks, inbox.is_full
        operation.told.clear()
        if step == "take":
            event = waiting.pop(0) if waiting else None
            assert inbox.take() is event
            assert alone.link.kicks - kicks == was_full, "reading may go on"
            word = was_full and ("pause" if inbox.is_full else "resume")  # who is slow is alive
        else:
            event = KINDS[step](operation)
            inbox.put(event)
            waiting.append(event)
            assert alone.link.kicks == kicks
            word = not was_full and inbox.is_full and "pause"
        assert operation.told == ([word] if word and isinstance(event, DatasetReceived) else [])
        assert list(inbox.events) == waiting
        assert alone.session.full == inbox.is_full == (inbox.size >= MIB)
    while inbox.take() is not None:
        pass
    assert (inbox.size, alone.session.full) == (0, 0)


@pytest.mark.parametrize(
    ("event", "most"),
    [(piece(MIB), 1), (piece(1), 5000), (piece(0), 5000), (response(None), 1025), (response(MIB), 1)],
    ids=["one large piece", "pieces of a byte", "empty pieces", "responses", "a large match"],
)
def test_it_is_full_before_it_is_large(event: Event, most: int) -> None:
    inbox = inbox_of(Alone())
    while not inbox.is_full:
        inbox.put(event)
    assert len(inbox.events) <= most


def test_what_is_small_by_nature_fills_nothing() -> None:
    inbox = inbox_of(Alone())
    for _ in range(10_000):
        inbox.put(SendingAllowed(1, OPERATION))
    assert inbox.size == 0


def test_who_waits_is_woken_by_each_event() -> None:
    alone = Alone()
    inbox, got = inbox_of(alone), []

    async def takes() -> None:
        while len(got) < 3:
            got.append(await inbox.get())

    task = alone.loop.spawn(takes())
    alone.loop.run()
    for number in range(1, 4):
        inbox.put(SendingAllowed(number, OPERATION))
        alone.loop.run()
        assert [event.message_id for event in got] == list(range(1, number + 1))  # type: ignore[union-attr]
    assert task.done


def test_to_wake_whom_nobody_waits_for_is_no_harm() -> None:
    inbox = inbox_of(Alone())
    inbox.wake()
    assert inbox.take() is None


def test_what_is_there_is_given_though_the_association_has_ended() -> None:
    alone = Alone()
    inbox = alone.session.open_inbox(alone.engine.c_echo())
    alone.raw.send(echo_rsp(1), ABORT)
    event = alone.loop.call(inbox.get())
    assert isinstance(event, ResponseReceived)
    with pytest.raises(AssociationLost):
        alone.loop.call(inbox.get())


def test_what_is_cleared_is_gone() -> None:
    inbox = inbox_of(Alone())
    inbox.put(piece(1000))
    inbox.clear()
    assert (inbox.size, inbox.take()) == (0, None)


def test_from_an_inbox_that_is_closed_nothing_comes() -> None:
    alone = Alone()
    operation = alone.engine.c_echo()
    inbox = alone.session.open_inbox(operation)
    waits = alone.loop.spawn(inbox.get())
    alone.loop.run()
    inbox.put(SendingAllowed(1, operation))
    alone.session.close_inbox(operation)
    alone.loop.run()
    with pytest.raises(LocalProtocolError, match=TOO_LATE):
        waits.result()
    alone.session.abort()
    with pytest.raises(AssociationLost):
        alone.loop.call(inbox.get())


def test_of_what_a_retrieval_tells_the_latest_is_kept_for_who_takes_nothing() -> None:
    operation: Any = GetRequest.__new__(GetRequest)
    inbox = Alone().session.open_inbox(operation)
    for number in range(1, 1000):
        response = CGetRSP(message_id_being_responded_to=1, status=0xFF00, number_of_completed_suboperations=number)
        inbox.put(ResponseReceived(PENDING, response, False, operation))
    final = CGetRSP(message_id_being_responded_to=1, status=0)
    inbox.put(ResponseReceived(Status(0), final, True, operation))
    told = [event.response for event in inbox.events if isinstance(event, ResponseReceived)]
    assert len(told) <= 65
    assert told[-1] == final
    assert getattr(told[-2], "number_of_completed_suboperations", None) == 999
