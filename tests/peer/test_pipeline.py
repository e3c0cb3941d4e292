"""C-STOREs within the window: each is begun in its turn, told of once, and whatever ends it nothing is left."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from engine_pair import ABORT, RELEASE_RQ, command
from memory_link import Answering, Signal, instance, nothing_left, windowed
from sansdimse.dataset import Instance
from sansdimse.dimse.messages import CStoreRSP
from sansdimse.errors import LocalProtocolError
from sansdimse.outcome import OutcomeKind
from sansdimse.peer.answer import Answer
from sansdimse.peer.pipeline import Pipeline
from sansdimse.peer.session import AssociationLost
from sansdimse.peer.storing import Storer
from sansdimse.services.storage import StoreRequest
from sansdimse.ul.items import AsynchronousOperationsWindow


class Piped:
    """A pipeline of so many, before a scripted performer."""

    def __init__(self, window: int, **settings: Any) -> None:
        both = AsynchronousOperationsWindow(window, window)
        self.alone = windowed(both, both, **settings)
        self.scp = Answering(self.alone)
        self.pipeline = Pipeline(Storer(self.alone.session))
        self.told: list[tuple[str, Answer | None]] = []
        self.sent: list[int] = []

    def start(self, one: Instance) -> Callable[[], StoreRequest]:
        (context,) = (each for each in self.alone.engine.contexts if each.id == 3)
        return partial(self.pipeline.storer.start, one, context, 0)

    async def store(self, one: Instance) -> None:
        settled = partial(self._settled, one.sop_instance_uid)
        await self.pipeline.store(one, self.start(one), settled, self.sent.append)

    def _settled(self, uid: str, answer: Answer | None) -> None:
        self.told.append((uid, answer))

    async def all(self, *several: Instance) -> None:
        for one in several:
            await self.store(one)
        await self.pipeline.finish()


def some(number: int) -> list[Instance]:
    return [instance(100, f"1.{each}") for each in range(1, number + 1)]


def test_as_many_go_out_as_the_window_allows_and_each_is_told_of_when_it_is_answered() -> None:
    piped = Piped(3)
    task = piped.alone.loop.spawn(piped.all(*some(5)))
    piped.scp.hear()
    assert piped.scp.ids == [1, 2, 3]
    assert [each.message_id for each in piped.pipeline.outstanding] == [1, 2, 3]
    piped.scp.answer(2, 0xB000)
    assert piped.told == [("1.2", 0xB000)]
    piped.scp.hear()
    assert piped.scp.ids == [1, 2, 3, 4]
    piped.scp.answer_all()
    task.result()
    assert [uid for uid, _ in piped.told] == ["1.2", "1.1", "1.3", "1.4", "1.5"]
    assert piped.told[0][1].response.message_id_being_responded_to == 2  # type: ignore[union-attr]
    assert piped.sent == [100] * 5
    assert nothing_left(piped.alone.session)


def test_it_stands_in_line_behind_others() -> None:
    piped = Piped(1)
    echo = piped.alone.loop.spawn(piped.alone.peer.c_echo())
    task = piped.alone.loop.spawn(piped.all(*some(1)))
    piped.alone.loop.run()
    assert len(piped.alone.session.line) == 1
    assert not piped.pipeline.outstanding
    piped.scp.answer_all()
    assert echo.result() == 0
    task.result()
    assert piped.told == [("1.1", 0)]
    assert nothing_left(piped.alone.session)


def test_who_asks_for_room_stands_in_line_until_he_leaves() -> None:
    piped = Piped(1)
    assert piped.pipeline.has_room
    assert piped.pipeline.has_room
    assert len(piped.alone.session.line) == 1
    piped.pipeline.leave_line()
    piped.pipeline.leave_line()
    assert len(piped.alone.session.line) == 0


def test_a_success_before_the_data_set_has_ended_is_told_when_it_has() -> None:
    piped = Piped(2, capacity=1000)
    piped.alone.loop.spawn(piped.all(instance(300_000, "1.1", piece=1000)))
    piped.scp.hear()
    assert piped.pipeline.is_sending
    piped.scp.answer(1)
    assert piped.told == []
    piped.alone.out.capacity = 1 << 40
    while piped.scp.hear():
        pass
    assert piped.told == [("1.1", 0)]
    assert nothing_left(piped.alone.session)


def test_nor_is_it_told_if_the_data_set_never_ends() -> None:
    def pieces() -> Any:
        yield bytes(300_000)
        yield bytes(300_000)
        raise OSError("disk")

    piped = Piped(2, capacity=1000)
    whole = instance(10, "1.1")
    failing = Instance(whole.sop_class_uid, "1.2", whole.transfer_syntax_uid, None, pieces)
    task = piped.alone.loop.spawn(piped.all(failing))
    piped.scp.hear()
    piped.scp.answer(1)
    piped.alone.out.capacity = 1 << 40
    while piped.scp.hear():
        pass
    with pytest.raises(OSError, match="disk"):
        task.result()
    piped.pipeline.collect()
    assert piped.told == []
    assert [each.message_id for each in piped.pipeline.outstanding] == [1]


def test_a_failure_before_that_cuts_it_and_the_next_goes_out() -> None:
    piped = Piped(2, capacity=1000)
    task = piped.alone.loop.spawn(piped.all(instance(300_000, "1.1", piece=1000), instance(10, "1.2")))
    piped.scp.hear()
    piped.scp.answer(1, 0xA700)
    piped.alone.out.capacity = 1 << 40
    piped.scp.answer_all()
    task.result()
    assert piped.told == [("1.1", 0xA700), ("1.2", 0)]
    assert not piped.pipeline.is_sending
    assert nothing_left(piped.alone.session)


def test_what_cannot_begin_is_told_and_leaves_the_line() -> None:
    piped = Piped(1)

    def start() -> StoreRequest:
        raise LocalProtocolError("no")

    with pytest.raises(LocalProtocolError, match="no"):
        piped.alone.loop.call(piped.pipeline.store(instance(), start, piped.told.append, piped.sent.append))  # type: ignore[arg-type]
    assert not piped.pipeline.is_sending
    assert nothing_left(piped.alone.session)
    piped.pipeline.close()
    assert piped.alone.raw.said() == []


def test_what_fails_in_the_middle_leaves_the_data_set_open_and_to_close_aborts() -> None:
    def pieces() -> Any:
        yield bytes(100)
        raise OSError("disk")

    piped = Piped(2)
    whole = instance(10, "1.1")
    failing = Instance(whole.sop_class_uid, "1.2", whole.transfer_syntax_uid, None, pieces)
    task = piped.alone.loop.spawn(piped.all(whole, failing))
    piped.alone.loop.run()
    with pytest.raises(OSError, match="disk"):
        task.result()
    assert piped.pipeline.is_sending
    assert piped.alone.peer.outcome is None
    piped.pipeline.close()
    assert piped.alone.peer.outcome is not None
    assert piped.alone.peer.outcome.kind is OutcomeKind.ABORTED
    assert piped.told == []
    piped.alone.raw.vanish()
    assert nothing_left(piped.alone.session)


def test_to_close_abandons_what_is_outstanding_and_tells_nobody() -> None:
    piped = Piped(2)
    task = piped.alone.loop.spawn(piped.all(*some(4)))
    piped.scp.hear()
    task.cancel()
    piped.alone.loop.run()
    assert task.cancelled
    assert len(piped.alone.session.line) == 1, "the third stood in line"
    piped.pipeline.close()
    assert len(piped.alone.session.line) == 0
    assert [each.abandoned for each in piped.alone.engine.outstanding] == [True, True]
    piped.scp.answer_all()
    assert piped.told == []
    assert piped.alone.peer.outcome is None
    assert nothing_left(piped.alone.session)


@pytest.mark.parametrize("window", [1, 2])
def test_who_waits_is_told_of_the_loss(window: int) -> None:
    """For room, or for answers."""
    piped = Piped(window)
    task = piped.alone.loop.spawn(piped.all(*some(2)))
    piped.scp.hear()
    piped.alone.raw.send(ABORT)
    with pytest.raises(AssociationLost):
        task.result()
    assert piped.told == []
    piped.pipeline.close()
    piped.alone.raw.vanish()
    assert nothing_left(piped.alone.session)


def test_answers_that_came_before_the_loss_are_told() -> None:
    piped = Piped(3)
    task = piped.alone.loop.spawn(piped.all(*some(3)))
    piped.scp.hear()
    piped.alone.raw._outgoing.data += answer_to(piped, 1) + answer_to(piped, 3)
    piped.alone.raw.send(ABORT)
    with pytest.raises(AssociationLost):
        task.result()
    assert [uid for uid, _ in piped.told] == ["1.1", "1.3"]
    assert [each.message_id for each in piped.pipeline.outstanding] == [2]


def answer_to(piped: Piped, message_id: int) -> bytes:
    request = piped.scp.waiting[message_id]
    return command(
        3,
        CStoreRSP(
            message_id_being_responded_to=message_id,
            affected_sop_class_uid=request.affected_sop_class_uid,
            affected_sop_instance_uid=request.affected_sop_instance_uid,  # type: ignore[union-attr]
            status=0,
        ),
    )


def test_to_collect_tells_what_lies_in_the_inbox_and_only_of_stores() -> None:
    piped = Piped(2)
    task = piped.alone.loop.spawn(piped.store(instance(10, "1.1")))
    piped.scp.hear()
    task.result()
    piped.scp.answer(1)
    assert piped.told == [], "nobody has looked"
    piped.pipeline.collect()
    piped.pipeline.collect()
    assert piped.told == [("1.1", 0)]
    assert nothing_left(piped.alone.session)


def test_who_waits_for_what_has_come_does_not_wait() -> None:
    piped = Piped(2)
    task = piped.alone.loop.spawn(piped.store(instance(10, "1.1")))
    piped.scp.hear()
    task.result()
    piped.scp.answer(1)
    finish = piped.alone.loop.spawn(piped.pipeline.finish())
    piped.alone.loop.run()
    finish.result()
    assert finish.suspensions == 0
    assert piped.told == [("1.1", 0)]


def test_two_pipelines_may_meet_at_any_moment() -> None:
    """One's data set is open when the other's turn comes: it is told then, by an event that is no response."""
    for at in range(1, 40):
        piped = Piped(4)
        piped.alone.out.capacity = 300
        other = Pipeline(Storer(piped.alone.session))
        told: list[Answer | None] = []
        loop = piped.alone.loop
        first = loop.spawn(piped.all(instance(1000, "1.1", piece=100), instance(1000, "1.2", piece=100)))
        second = []

        def begin(
            piped: Piped = piped, other: Pipeline = other, told: list[Answer | None] = told, second: list[Any] = second
        ) -> None:
            one = instance(500, "1.3", piece=100)

            async def stores() -> None:
                await other.store(one, piped.start(one), told.append, piped.sent.append)
                await other.finish()

            second.append(piped.alone.loop.spawn(stores()))

        loop.after(at, begin)
        loop.run()
        piped.scp.answer_all()
        first.result()
        for task in second:
            task.result()
        assert [uid for uid, _ in piped.told] == ["1.1", "1.2"]
        assert told == [0] * len(second)
        assert nothing_left(piped.alone.session)


def test_a_peer_that_wants_to_release_answers_nothing_more_and_nothing_more_begins() -> None:
    piped = Piped(1)
    task = piped.alone.loop.spawn(piped.all(*some(2)))
    piped.scp.hear()
    piped.alone.raw.send(RELEASE_RQ)
    with pytest.raises((LocalProtocolError, AssociationLost)):
        task.result()
    piped.pipeline.close()
    assert nothing_left(piped.alone.session)


def test_what_the_peer_asks_keeps_a_release_waiting_and_what_is_outstanding_is_settled() -> None:
    piped = Piped(1)
    session = piped.alone.session
    task = piped.alone.loop.spawn(piped.all(*some(2)))
    piped.scp.hear()
    session.engine.respond_release = lambda *, force=False: None  # type: ignore[method-assign]  # somebody is still at it
    piped.alone.raw.send(RELEASE_RQ)
    with pytest.raises(LocalProtocolError, match="wants to release"):
        task.result()
    assert piped.told == [("1.1", None)]
    piped.pipeline.close()


def test_who_waits_for_something_else_hears_of_answers_meanwhile() -> None:
    piped = Piped(1)
    task = piped.alone.loop.spawn(piped.store(instance(10, "1.1")))
    piped.scp.hear()
    task.result()
    signal = Signal(piped.alone.loop)
    piped.pipeline.hear(signal)
    assert (signal.is_set, piped.told) == (False, [])
    piped.scp.answer(1)
    assert (signal.is_set, piped.told) == (True, [])
    piped.pipeline.hear(Signal(piped.alone.loop))
    assert piped.told == [("1.1", 0)]
