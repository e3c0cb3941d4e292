"""What a query asks, ready to be put to one data set after the other (PS3.4 C.2.2.2, C.2.2.3).

A ``Plan`` is what ``matching`` makes of a query's data set or item: keys to match, attributes to tell. Nothing here
raises for what stands in a candidate. What cannot be read there matches nothing and is told without a value.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from sansdimse.dataset import _PYDICOM_FAILURES as UNREADABLE
from sansdimse.dataset import Dataset
from sansdimse.matching.periods import DAY, PARSERS, Period, Range, date_of, offset_of, shift, time_of
from sansdimse.matching.values import Plain, Test, plain_values

MAX_NESTING: Final = 32
"""Levels of sequences in a query: the standard's information models have four or five, and each costs stack."""

CHARACTER_SET: Final = 0x00080005
TIMEZONE: Final = 0x00080201

# What cannot be read is there, so it is not unknown; and it matches nothing.
_NOT_READABLE: Final[tuple[Plain, ...]] = (b"",)


def element_of(dataset: Dataset, tag: int) -> Any:
    """The element, None if there is none or it cannot be read."""
    try:
        return dataset.get(tag)
    except UNREADABLE:
        return None


def values_of(dataset: Dataset, tag: int) -> tuple[Plain, ...]:
    """The values that are not of zero length; one that equals nothing, if they cannot be read."""
    try:
        element: Any = dataset.get(tag)
        return () if element is None else plain_values(element.value)
    except UNREADABLE:
        return _NOT_READABLE


def zone_of(dataset: Dataset) -> int | None:
    """Timezone Offset From UTC in microseconds, None if it is not there or makes no sense."""
    values = values_of(dataset, TIMEZONE)
    return offset_of(str(values[0]).strip(" ")) if values else None


def copy_of(element: Any, depth: int = 0) -> Any:
    """A copy that may be changed, its items too; values are shared, and so are items below MAX_NESTING."""
    if element.VR == "SQ" and depth < MAX_NESTING:
        return sequence_of(element.tag, [_item_copied(item, depth + 1) for item in element.value])
    twin = object.__new__(type(element))  # a third of what copy.copy costs, and every attribute told is one
    twin.__dict__.update(element.__dict__)
    return twin


def _item_copied(item: Dataset, depth: int) -> Dataset:
    made = Dataset()
    for tag in item.keys():  # noqa: SIM118 - to iterate over a data set gives elements, and may raise
        element = element_of(item, tag)
        if element is not None:
            made.add(copy_of(element, depth))
    return made


def sequence_of(tag: int, items: list[Dataset]) -> Any:
    """The element with these items."""
    holder = Dataset()
    holder.add_new(tag, "SQ", items)
    return holder[tag]


def is_ascii(dataset: Dataset) -> bool:
    """Whether all text in it, at any depth, is in the Default Character Repertoire (PS3.5 6.1.2.1)."""
    waiting = [dataset]
    while waiting:
        inner = waiting.pop()
        for tag in inner.keys():  # noqa: SIM118 - to iterate over a data set gives elements, and may raise
            try:
                value = inner[tag].value
                if inner[tag].VR == "SQ":
                    waiting += value
                elif not all(plain.isascii() for plain in plain_values(value) if isinstance(plain, str)):
                    return False
            except UNREADABLE:
                continue
    return True


def reserves(tag: int) -> bool:
    """Whether this is a private creator (PS3.5 7.8.1)."""
    return bool(tag >> 16 & 1) and 0x10 <= tag & 0xFFFF <= 0xFF


# ---------------------------------------------------------------- keys


@dataclass(frozen=True, slots=True)
class Place:
    """Where an attribute is: a private one is found by its private creator (PS3.5 7.8.1)."""

    tag: int
    creator: str = ""

    def within(self, dataset: Dataset) -> int | None:
        """The tag that it has there, None if nobody reserved one."""
        if not self.creator:
            return self.tag
        group = self.tag >> 16 << 16
        for block in range(0x10, 0x100):
            if group | block in dataset and values_of(dataset, group | block) == (self.creator,):
                return group | block << 8 | self.tag & 0xFF
        return None

    def element(self, dataset: Dataset) -> Any:
        """The element there, None if there is none or it cannot be read."""
        tag = self.within(dataset)
        return None if tag is None else element_of(dataset, tag)

    def values(self, dataset: Dataset) -> tuple[Plain, ...]:
        """Its values there."""
        tag = self.within(dataset)
        return () if tag is None else values_of(dataset, tag)


@dataclass(frozen=True, slots=True)
class Key:
    """A key whose values are tested one by one; ``every`` if each test must find a value that passes."""

    place: Place
    tests: tuple[Test, ...]
    every: bool
    unknown: bool

    def matches(self, candidate: Dataset, zone: int | None) -> bool:
        """Whether this key does; ``zone`` is the candidate's."""
        values = self.place.values(candidate)
        if not values:
            return self.unknown
        if self.every:
            return all(any(test(value) for value in values) for test in self.tests)
        return any(test(value) for test in self.tests for value in values)


@dataclass(frozen=True, slots=True)
class EmptyKey:
    """Only what has no value (PS3.4 C.2.2.2.7)."""

    place: Place

    def matches(self, candidate: Dataset, zone: int | None) -> bool:
        """Whether this key does; ``zone`` is the candidate's."""
        return not self.place.values(candidate)


@dataclass(frozen=True, slots=True)
class TimeKey:
    """A key of VR DA, TM or DT (PS3.4 C.2.2.2.5). ``zone`` is the query's, ``clock`` the keyword of a DA's TM."""

    place: Place
    vr: str
    ranges: tuple[Range, ...]
    unknown: bool
    zone: int | None
    clock: str

    def matches(self, candidate: Dataset, zone: int | None) -> bool:
        """Whether this key does; ``zone`` is the candidate's."""
        values = self.place.values(candidate)
        if not values:
            return self.unknown
        parse = PARSERS[self.vr]
        for value in values:
            period = parse(value.strip(" ")) if isinstance(value, str) else None
            if period is None:
                continue
            told = self._told(period, candidate, zone)
            if any(one.holds(period) for one in self.ranges for period in told):
                return True
        return False

    def _told(self, period: Period, candidate: Dataset, zone: int | None) -> tuple[Period, ...]:
        """The candidate's value as the query would tell it."""
        start, end, offset = period
        if self.vr == "DT":
            return ((start, end, zone if offset is None else offset),)
        change = shift(zone, self.zone)
        if not change:
            return (period,)
        if self.vr == "DA":
            clock = _clock(candidate, self.clock)
            if clock is not None:
                start = (start + clock[0] + change) // DAY * DAY
            return ((start, start + DAY, None),)
        length, start = end - start, (start + change) % DAY
        if start + length <= DAY:
            return ((start, start + length, None),)
        # A range of times of day never crosses midnight, so what does is two.
        return (start, DAY, None), (0, start + length - DAY, None)


def _clock(candidate: Dataset, keyword: str) -> Period | None:
    try:
        element = candidate.data_element(keyword)
        values = () if element is None else plain_values(element.value)
    except UNREADABLE:
        return None
    return time_of(str(values[0]).strip(" ")) if values else None


@dataclass(frozen=True, slots=True)
class PairKey:
    """A date and a time whose ranges are one, as was negotiated (PS3.4 C.2.2.2.5.4)."""

    day: int
    clock: int
    range: Range
    unknown: bool

    def matches(self, candidate: Dataset, zone: int | None) -> bool:
        """Whether this key does; ``zone`` is the candidate's."""
        days = values_of(candidate, self.day)
        if not days:
            return self.unknown
        day = date_of(str(days[0]).strip(" "))
        times = values_of(candidate, self.clock)
        clock = time_of(str(times[0]).strip(" ")) if times else (0, DAY, None)
        return day is not None and clock is not None and self.range.holds((day[0] + clock[0], day[0] + clock[1], zone))


@dataclass(frozen=True, slots=True)
class SequenceKey:
    """At least one item matches all (PS3.4 C.2.2.2.6)."""

    place: Place
    plan: Plan
    unknown: bool

    def matches(self, candidate: Dataset, zone: int | None) -> bool:
        """Whether this key does; ``zone`` is the candidate's."""
        tag = self.place.within(candidate)
        element = None if tag is None else element_of(candidate, tag)
        if element is None:  # one that is there and cannot be read is not unknown
            return self.unknown and (tag is None or tag not in candidate)
        if element.is_empty:
            return self.unknown
        return element.VR == "SQ" and any(self.plan.matches(item, zone) for item in element.value)


@dataclass(frozen=True, slots=True)
class Wanted:
    """An attribute to tell; ``absent`` is it without a value, ``plan`` what is asked of a sequence's items."""

    place: Place
    absent: Any
    plan: Plan | None
    may_lack: bool

    def told(self, candidate: Dataset, zone: int | None) -> Any:
        """The element, None if it is better left out."""
        element = self.place.element(candidate)
        if element is None or element.is_empty:
            return None if self.may_lack else copy_of(self.absent)
        if self.plan is None or element.VR != "SQ":
            told = copy_of(element)
            told.tag = self.absent.tag
            return told
        plan = self.plan
        items = [plan.response(item, zone) for item in element.value if plan.matches(item, zone)]
        return sequence_of(self.absent.tag, items)


@dataclass(frozen=True, slots=True)
class Plan:
    """What is asked of one data set or item."""

    keys: tuple[AnyKey, ...]
    wanted: tuple[Wanted, ...]
    creators: tuple[Any, ...]
    needs_zone: bool

    def matches(self, candidate: Dataset, zone: int | None) -> bool:
        """Whether all keys do; ``zone`` is the candidate's."""
        for key in self.keys:  # noqa: SIM110 - a generator costs as much as a key
            if not key.matches(candidate, zone):
                return False
        return True

    def response(self, candidate: Dataset, zone: int | None) -> Dataset:
        """What is told of a candidate that matches; ``zone`` is the candidate's."""
        found = Dataset()
        character_set = element_of(candidate, CHARACTER_SET)
        if character_set is not None and not character_set.is_empty:
            found.add(copy_of(character_set))
        for creator in self.creators:
            found.add(copy_of(creator))
        for wanted in self.wanted:
            if (told := wanted.told(candidate, zone)) is not None:
                found.add(told)
        return found


AnyKey: TypeAlias = "Key | EmptyKey | TimeKey | PairKey | SequenceKey"
