"""Events are values: the same on every run, whatever handle rides along."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, get_args

import pytest

from sansdimse import events
from sansdimse.deviations import Code
from sansdimse.errors import RemoteProtocolError
from sansdimse.events import NEED_DATA, Event, NeedData, UpperLayerEvent

ALL = get_args(Event)
CARRIERS = [kind for kind in ALL if "operation" in {each.name for each in fields(kind)}]


def made(kind: type[Any], operation: object) -> Any:
    """One with a plain string in every field: events look at none of them."""
    return kind(**{each.name: operation if each.name == "operation" else each.name for each in fields(kind)})


def test_the_union_holds_every_event_of_the_module() -> None:
    defined = {thing for thing in vars(events).values() if hasattr(thing, "__dataclass_fields__")}
    assert set(ALL) == defined
    assert set(get_args(UpperLayerEvent)) < defined


def test_need_data_is_one_of_a_kind_and_no_event() -> None:
    assert list(NeedData) == [NEED_DATA]
    assert not isinstance(NEED_DATA, Event)
    assert NEED_DATA.name == "NEED_DATA"


@pytest.mark.parametrize("kind", ALL)
def test_every_event_names_its_primitive_or_says_what_it_tells(kind: type[Any]) -> None:
    assert kind.__doc__
    assert not kind.__doc__.startswith(kind.__name__ + "(")  # not the dataclass's own


@pytest.mark.parametrize("kind", ALL)
def test_events_compare_by_their_fields(kind: type[Any]) -> None:
    one = made(kind, "handle")
    assert one == made(kind, "handle")
    assert hash(one) == hash(made(kind, "handle"))
    for each in fields(kind):
        if each.compare:
            changed = made(kind, "handle")
            object.__setattr__(changed, each.name, "something else")
            assert changed != one


@pytest.mark.parametrize("kind", CARRIERS)
def test_the_live_handle_rides_along_outside_comparison(kind: type[Any]) -> None:
    one, other = made(kind, "this run's"), made(kind, "another run's")
    assert one == other
    assert hash(one) == hash(other)
    assert repr(one) == repr(other)
    assert one.operation != other.operation


def test_events_of_dimse_are_those_that_carry_a_handle() -> None:
    assert set(CARRIERS) == set(ALL) - set(get_args(UpperLayerEvent))


def test_a_cause_is_compared_as_a_value() -> None:
    aborts = [
        events.Aborted(2, 6, by_peer=False, cause=RemoteProtocolError("a lie", code=Code.PDV_MALFORMED))
        for _ in range(2)
    ]
    assert aborts[0] == aborts[1]
    assert events.Aborted(0, 0, by_peer=True).cause is None
    assert events.ReleaseRequested() == events.ReleaseRequested(collision=False)
    assert events.TransportClosed().error is None
