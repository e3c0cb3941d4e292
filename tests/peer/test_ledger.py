"""What became of each operation, ours and theirs: told once each, with how it ended and how long it took."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from engine_pair import (
    ABORT,
    CT,
    INSTANCE,
    QUERY,
    acceptor,
    command,
    data,
    echo_rq,
    echo_rsp,
    find_rq,
    find_rsp,
    requestor,
    store_rq,
)
from memory_link import Alone, Cancelled, Signal, instance
from sansdimse.association import Association
from sansdimse.dimse import messages
from sansdimse.dimse.messages import CCancelRQ, UnknownCommand
from sansdimse.dimse.status import CANCEL, SUCCESS
from sansdimse.limits import Limits
from sansdimse.outcome import Side
from sansdimse.peer.ledger import service_name
from sansdimse.peer.session import Session
from sansdimse.peer.watch import AssociationEnded, Ending, OperationEnded, OperationOutcome
from sansdimse.ul.items import AsynchronousOperationsWindow
from sansdimse.ul.table import State

FIND = QUERY.abstract_syntax


class Waits:
    """A service whose handlers wait for the test."""

    def __init__(self) -> None:
        self.gates: list[Signal] = []

    async def c_echo(self, echo: Any) -> int:
        return await self._wait(echo)

    async def c_store(self, store: Any) -> int:
        await store.read()
        return await self._wait(store)

    async def _wait(self, conversation: Any) -> int:
        gate = conversation._session.link.signal()
        self.gates.append(gate)
        await gate.wait()
        return 0

    def let_on(self) -> None:
        for gate in self.gates:
            gate.set()


class Told(list[OperationOutcome]):
    """The operations told of."""

    def __call__(self, occurrence: object) -> None:
        if isinstance(occurrence, OperationEnded):
            assert occurrence.address == "memory"
            self.append(occurrence.outcome)


def alone(service: object | None = None, *, window: int = 4, **limits: Any) -> tuple[Alone, Told]:
    """Before a scripted peer, with C-FIND negotiated; and what is told."""
    settings = {"window": AsynchronousOperationsWindow(window, window), "limits": replace(Limits(), **limits)}
    ours, theirs = requestor(QUERY, **settings), acceptor(QUERY, **settings)
    end = Alone(config=ours, other=theirs) if service is None else Alone(service, config=theirs, other=ours)
    told = Told()
    end.session._watch = told
    return end, told


def cancel_rq(message_id: int = 1) -> bytes:
    return command(7, CCancelRQ(message_id_being_responded_to=message_id))


# ---------------------------------------------------------------- ours


def test_ours_is_answered() -> None:
    end, told = alone()
    end.loop.now += 100.0  # in which the engine was told nothing
    task = end.loop.spawn(end.peer.c_echo())
    end.loop.run()
    end.loop.now += 2.5
    assert told == []
    end.raw.send(echo_rsp(1, status=0x0122))
    assert task.result() == 0x0122
    assert told == [
        OperationOutcome(
            service="C-ECHO",
            by=Side.LOCAL,
            message_id=1,
            sop_class_uid="1.2.840.10008.1.1",
            sop_instance_uid=None,
            ending=Ending.ANSWERED,
            status=told[0].status,
            responses=1,
            duration=2.5,
        )
    ]
    assert told[0].status == 0x0122
    assert end.session.ledger.settled == 1


def test_of_a_store_the_instance_is_told() -> None:
    end, told = alone(Waits())
    end.raw.send(store_rq(5), data(3, b"data"))
    end.loop.now += 1.0
    end.session.service.let_on()  # type: ignore[union-attr]
    end.loop.run()
    assert [(each.service, each.by, each.sop_class_uid, each.sop_instance_uid) for each in told] == [
        ("C-STORE", Side.PEER, CT, INSTANCE)
    ]
    assert (told[0].ending, told[0].status, told[0].duration, told[0].message_id) == (Ending.ANSWERED, 0, 1.0, 5)


def find(end: Alone, *, cancel: bool) -> Any:
    operation = end.engine.c_find(FIND, b"query.")
    end.session.open_inbox(operation)
    end.loop.run()
    if cancel:
        operation.cancel()
    end.loop.run()
    return operation


@pytest.mark.parametrize("cancel", [False, True])
def test_ours_is_cancelled(cancel: bool) -> None:
    end, told = alone()
    operation = find(end, cancel=cancel)
    end.raw.send(find_rsp(1, status=0xFF00, identifier=b"match."), find_rsp(1, status=0xFF00, identifier=b"match."))
    assert told == []
    end.raw.send(find_rsp(1, status=0xFE00 if cancel else 0))
    [outcome] = told
    assert (outcome.ending, outcome.responses) == (Ending.CANCELLED if cancel else Ending.ANSWERED, 3)
    assert outcome.status == operation.status == (0xFE00 if cancel else 0)


def test_ours_is_given_up_and_drained() -> None:
    end, told = alone()
    task = end.loop.spawn(end.peer.c_echo())
    end.loop.run()
    assert not end.session.ledger.draining
    task.cancel()
    end.loop.run()
    assert task.cancelled
    assert end.session.ledger.draining
    assert told == []
    end.loop.now += 1.5
    end.raw.send(echo_rsp(1))
    assert [(each.ending, each.status, each.duration) for each in told] == [(Ending.DRAINED, 0, 1.5)]
    assert list(end.session.ledger.abandoned) == told
    assert not end.session.ledger.draining


def test_ours_is_given_up_and_never_drained() -> None:
    end, told = alone(cancel_drain=5.0)
    task = end.loop.spawn(end.peer.c_echo())
    end.loop.run()
    task.cancel()
    end.loop.run()
    end.loop.pass_time(5.0)
    assert end.engine.state is State.STA13, "what was not drained has aborted it"
    assert told == []
    end.raw.vanish()
    assert [(each.ending, each.status) for each in told] == [(Ending.LOST, None)]
    assert list(end.session.ledger.abandoned) == told


def test_a_data_set_given_up_in_its_middle_is_lost() -> None:
    end, told = alone()
    end.out.capacity = 100_000
    task = end.loop.spawn(end.peer.c_store(instance(3 << 20)))
    end.loop.run()
    task.cancel()
    end.loop.run()
    end.raw.vanish("reset")
    assert isinstance(task.error, Cancelled)
    assert [(each.service, each.ending, each.status) for each in told] == [("C-STORE", Ending.LOST, None)]


@pytest.mark.parametrize("end_", ["abort", "close", "release"])
def test_ours_is_lost(end_: str) -> None:
    end, told = alone()
    tasks = [end.loop.spawn(end.peer.c_echo()) for _ in range(3)]
    end.loop.run()
    end.loop.now += 4.0
    end.raw.send(echo_rsp(2))
    if end_ == "abort":
        end.raw.send(ABORT)
    elif end_ == "close":
        end.raw.vanish()
    else:
        end.session.abort()
        end.raw.vanish()
    assert [(each.message_id, each.ending, each.duration) for each in told] == [
        (2, Ending.ANSWERED, 4.0),
        (1, Ending.LOST, 4.0),
        (3, Ending.LOST, 4.0),
    ]
    assert end.session.ledger.settled == 3
    assert all(task.done for task in tasks)
    assert [each.outcome.outstanding for each in [end.session.statistics()]] == [2]


# ---------------------------------------------------------------- theirs


def test_theirs_is_cancelled() -> None:
    async def serve(service: object, session: Session, event: Any) -> None:
        await session.link.signal().wait()

    end, told = alone(Waits())
    end.session._serve = serve
    end.raw.send(find_rq(1))
    end.loop.now += 1.0
    end.raw.send(cancel_rq(1))
    assert [message.status for message in end.raw.said()] == [0xFE00]
    assert [(each.ending, each.status, each.by, each.responses, each.duration) for each in told] == [
        (Ending.CANCELLED, 0xFE00, Side.PEER, 1, 1.0)
    ]


def test_theirs_with_pending_responses() -> None:
    async def serve(service: object, session: Session, event: Any) -> None:
        for _ in range(3):
            event.operation.send_match(b"match.")
        event.operation.finish(CANCEL if event.operation.cancelled else SUCCESS)

    end, told = alone(Waits())
    end.session._serve = serve
    end.raw.send(find_rq(1))
    assert [(each.service, each.ending, each.responses) for each in told] == [("C-FIND", Ending.ANSWERED, 4)]


@pytest.mark.parametrize("asked", [[echo_rq(1)], [store_rq(1)], [store_rq(1), data(3, b"some", is_last=False)]])
def test_theirs_is_lost(asked: list[bytes]) -> None:
    end, told = alone(Waits())
    end.raw.send(*asked)
    end.loop.now += 1.0
    end.raw.vanish()
    assert [(each.ending, each.status, each.responses) for each in told] == [(Ending.LOST, None, 0)]


def test_theirs_whose_rest_still_comes_is_over_with_the_rest() -> None:
    """An early failure answers it, but it holds its message ID until the data set has come."""

    class Refuses:
        async def c_store(self, store: Any) -> int:
            await anext(store)
            return 0xA700

    end, told = alone(Refuses())
    end.raw.send(store_rq(1), data(3, b"some", is_last=False))
    assert [message.status for message in end.raw.said()] == [0xA700]
    assert told == []
    end.loop.now += 1.0
    end.raw.send(data(3, b"rest"))
    assert [(each.ending, each.status, each.duration) for each in told] == [(Ending.ANSWERED, 0xA700, 1.0)]


def test_nothing_is_told_of_an_operation_twice_and_nothing_after_the_end() -> None:
    end, _ = alone(Waits())
    told: list[Any] = []
    end.session._watch = told.append
    end.raw.send(echo_rq(1), echo_rq(2))
    end.raw.vanish()
    end.session.pump()
    end.session.ledger.settle()
    assert [type(each) for each in told] == [OperationEnded, OperationEnded, AssociationEnded]


def test_only_the_last_given_up_are_remembered() -> None:
    end, told = alone()
    for number in range(1, 101):
        task = end.loop.spawn(end.peer.c_echo())
        end.loop.run()
        task.cancel()
        end.loop.run()
        end.raw.send(echo_rsp(number))
    assert len(told) == end.session.ledger.settled == 100
    assert list(end.session.ledger.abandoned) == told[-64:]


# ---------------------------------------------------------------- names

SERVICES = {
    "CStoreRQ": "C-STORE",
    "CFindRQ": "C-FIND",
    "CGetRQ": "C-GET",
    "CMoveRQ": "C-MOVE",
    "CEchoRQ": "C-ECHO",
    "NEventReportRQ": "N-EVENT-REPORT",
    "NGetRQ": "N-GET",
    "NSetRQ": "N-SET",
    "NActionRQ": "N-ACTION",
    "NCreateRQ": "N-CREATE",
    "NDeleteRQ": "N-DELETE",
}


@pytest.mark.parametrize(("name", "service"), SERVICES.items())
def test_services_have_the_names_of_the_standard(name: str, service: str) -> None:
    assert service_name(getattr(messages, name)) == service


def test_a_command_that_nobody_knows_has_a_name_too() -> None:
    end, told = alone(Waits())
    elements = (messages.Element(0x0800, messages.NO_DATA_SET.to_bytes(2, "little")),)
    end.raw.send(command(1, UnknownCommand(0x0777, 9, elements)))
    [outcome] = told
    assert (outcome.service, outcome.message_id, outcome.status) == ("UNKNOWN-COMMAND", 9, 0x0211)
    assert isinstance(end.engine, Association)
