"""Values of the hot paths: by their fields, in slots, cheap."""

from __future__ import annotations

from dataclasses import field, fields
from typing import Any

import pytest

from sansdimse.values import value


@value
class Point:
    """Made by position or by name."""

    x: int
    y: int = 0
    note: str = field(default="", compare=False, repr=False)


@value(kw_only=True)
class Named:
    """Made by name only."""

    x: int


def test_values_compare_and_hash_by_their_fields() -> None:
    assert Point(1, 2) == Point(x=1, y=2)
    assert Point(1, 2) != Point(2, 1)
    assert hash(Point(1, 2)) == hash(Point(1, 2))
    assert len({Point(1, 2), Point(1, 2), Point(2, 1)}) == 2
    assert Point(1).__eq__(Named(x=1)) is NotImplemented


def test_what_rides_along_is_neither_compared_nor_shown() -> None:
    one, other = Point(1, 2, "a"), Point(1, 2, "b")
    assert one == other
    assert hash(one) == hash(other)
    assert repr(one) == repr(other)
    assert repr(one).endswith("Point(x=1, y=2)")


@pytest.mark.parametrize("made", [Point(1), Named(x=1)])
def test_values_have_slots_and_nothing_else(made: Any) -> None:
    assert not hasattr(made, "__dict__")
    assert tuple(type(made).__slots__) == tuple(each.name for each in fields(made))
    with pytest.raises(AttributeError):
        object.__setattr__(made, "unheard_of", 1)


def test_making_one_does_not_go_the_slow_way_of_frozen_dataclasses() -> None:
    assert Point.__setattr__ is object.__setattr__


def test_keyword_only_values_refuse_positions() -> None:
    assert Named(x=3).x == 3
    with pytest.raises(TypeError):
        Named(3)  # type: ignore[call-arg]
