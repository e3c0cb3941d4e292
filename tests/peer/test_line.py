"""Who waits for room in the window is served in order, woken when it is his turn, and never forgotten."""

from __future__ import annotations

from typing import cast

from hypothesis import given
from hypothesis import strategies as st

from sansdimse.association import Association
from sansdimse.peer.line import Line, Place
from sansdimse.ul.table import State


class Engine:
    """What a line looks at."""

    def __init__(self) -> None:
        self.has_room = False
        self.outcome: object = None

    @property
    def state(self) -> State:
        return State.STA6 if self.outcome is None else State.STA1


class Signal:
    def __init__(self) -> None:
        self.is_set = False

    def set(self) -> None:
        self.is_set = True

    async def wait(self) -> None:
        raise NotImplementedError


def line() -> tuple[Line, Engine]:
    engine = Engine()
    return Line(cast(Association, engine)), engine


def waiting(line: Line) -> tuple[Place, Signal]:
    place, signal = line.join(), Signal()
    place.signal = signal
    return place, signal


def test_the_first_is_woken_when_there_is_room_and_nobody_else() -> None:
    it, engine = line()
    (first, one), (second, two) = waiting(it), waiting(it)
    it.look()
    assert not one.is_set
    engine.has_room = True
    it.look()
    assert (one.is_set, two.is_set) == (True, False)
    assert (first.has_come, second.has_come) == (True, False)
    assert len(it) == 2


def test_leaving_wakes_the_next_if_there_is_room() -> None:
    it, engine = line()
    (first, _), (second, two), (third, three) = waiting(it), waiting(it), waiting(it)
    first.leave()
    assert not two.is_set
    engine.has_room = True
    third.leave()
    assert two.is_set
    second.leave()
    assert (len(it), three.is_set) == (0, False)


def test_at_the_end_all_are_woken() -> None:
    it, engine = line()
    places = [waiting(it) for _ in range(3)]
    unheard = it.join()  # who does not wait yet looks before
    engine.outcome = "over"
    it.look()
    assert all(signal.is_set for _, signal in places)
    assert not unheard.has_come


@given(st.lists(st.sampled_from(["join", "serve", "leave"]), max_size=60), st.data())
def test_they_are_served_in_the_order_in_which_they_came(moves: list[str], data: st.DataObject) -> None:
    it, engine = line()
    model: list[tuple[Place, Signal]] = []
    for move in moves:
        if move == "join":
            model.append(waiting(it))
        elif model and move == "leave":
            model.pop(data.draw(st.integers(0, len(model) - 1)))[0].leave()
        elif model:
            engine.has_room = True
            it.look()
            assert [place.has_come for place, _ in model] == [True] + [False] * (len(model) - 1)
            assert model[0][1].is_set
            engine.has_room = False
            model.pop(0)[0].leave()
        assert len(it) == len(model)
        assert not any(signal.is_set for _, signal in model)
