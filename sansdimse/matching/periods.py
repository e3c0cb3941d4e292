"""Values of VR DA, TM and DT, and ranges of them, as the moments they stand for (PS3.5 6.2, PS3.4 C.2.2.2.5).

A value without its last components is not precise: it stands for every moment that it may mean. So a value is a
period, a range goes from the first moment of its lower to the last of its upper value, and one matches the other if
they have a moment in common. Moments are counted in microseconds: of the day for TM, else of the calendar.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Final, TypeAlias

DAY: Final = 24 * 60 * 60 * 1_000_000
"""Microseconds."""

LONGEST_KEY: Final = 64
"""Characters: two values of VR DT have 26 each, one hyphen, and some spaces."""

Period: TypeAlias = tuple[int, int, "int | None"]
"""The first moment; the first one after; and the offset from UTC in which both are told, None if nobody says."""

_DATE: Final = re.compile(r"(\d{4})(?:(\d\d)(\d\d)|\.(\d\d)\.(\d\d))", re.ASCII)
_TIME: Final = re.compile(r"([01]\d|2[0-3])(?::?([0-5]\d)(?::?([0-5]\d|60)(?:\.(\d{1,6}))?)?)?", re.ASCII)
_DATE_TIME: Final = re.compile(
    r"(\d{4})(?:(\d\d)(?:(\d\d)(\d\d(?:\d\d(?:\d\d(?:\.\d{1,6})?)?)?)?)?)?([+-]\d{4})?", re.ASCII
)
_OFFSET: Final = re.compile(r"([+-])(\d\d)([0-5]\d)", re.ASCII)


def offset_of(text: str) -> int | None:
    """Timezone Offset From UTC, or the end of a DT, in microseconds: -1200 to +1400; None for anything else."""
    found = _OFFSET.fullmatch(text)
    if found is None:
        return None
    minutes = (60 * int(found[2]) + int(found[3])) * (-1 if found[1] == "-" else 1)
    return minutes * 60_000_000 if -720 <= minutes <= 840 else None


def date_of(text: str) -> Period | None:
    """The day, also as ACR-NEMA wrote it (1993.08.22); None if this is none."""
    found = _DATE.fullmatch(text)
    if found is None:
        return None
    start = _midnight(int(found[1]), int(found[2] or found[4]), int(found[3] or found[5]))
    return None if start is None else (start, start + DAY, None)


def time_of(text: str) -> Period | None:
    """The time of day, also with colons; None if this is none. The leap second counts as the one before it."""
    found = _TIME.fullmatch(text)
    if found is None:
        return None
    hour, minute, second, fraction = found.groups()
    start = ((int(hour) * 60 + int(minute or 0)) * 60 + min(int(second or 0), 59)) * 1_000_000
    if fraction:
        start += int(fraction.ljust(6, "0"))
        return start, start + 10 ** (6 - len(fraction)), None
    return start, start + (1_000_000 if second else 60_000_000 if minute else 3_600_000_000), None


def date_time_of(text: str) -> Period | None:
    """The time of a calendar, with its offset from UTC if it has one; None if this is none."""
    found = _DATE_TIME.fullmatch(text)
    if found is None:
        return None
    year, month, day, clock, suffix = found.groups()
    offset = offset_of(suffix) if suffix else None
    start = _midnight(int(year), int(month or 1), int(day or 1))
    if start is None or (suffix and offset is None):
        return None
    if clock:
        within = time_of(clock)
        return None if within is None else (start + within[0], start + within[1], offset)
    if day:
        return start, start + DAY, offset
    after = (int(year), int(month) + 1) if month and month != "12" else (int(year) + 1, 1)
    end = _midnight(*after, 1)
    return start, (date.max.toordinal() + 1) * DAY if end is None else end, offset


PARSERS: Final[dict[str, Callable[[str], Period | None]]] = {"DA": date_of, "TM": time_of, "DT": date_time_of}
"""By VR."""


@dataclass(frozen=True, slots=True)
class Range:
    """From ``low`` to ``high``, both included; None is open, a single value is both."""

    low: Period | None
    high: Period | None

    @property
    def form(self) -> tuple[bool, bool]:
        """Whether it has a lower and an upper end."""
        return self.low is not None, self.high is not None

    @property
    def ends_before_it_begins(self) -> bool:
        """Whether nothing lies in it."""
        low, high = self.low, self.high
        return low is not None and high is not None and low[0] + shift(low[2], high[2]) >= high[1]

    def holds(self, period: Period) -> bool:
        """Whether some moment of the period lies in it; by UTC if both sides have an offset from it."""
        start, end, offset = period
        low, high = self.low, self.high
        if low is not None and end + shift(offset, low[2]) <= low[0]:
            return False
        return high is None or start + shift(offset, high[2]) < high[1]


def shift(here: int | None, there: int | None) -> int:
    """What to add to a moment told with one offset to tell it with another; 0 if one is not known."""
    return 0 if here is None or there is None else there - here


def single_of(text: str, vr: str, offset: int | None = None) -> Range | None:
    """A value of this VR as a range; ``offset`` is for values that have none. None if this is no such value."""
    period = _with_offset(PARSERS[vr](text), offset)
    return None if period is None else Range(period, period)


def range_of(text: str, vr: str, offset: int | None = None) -> Range | None:
    """``a-b``, ``-b`` or ``a-`` of this VR, with spaces around the hyphen or not; None if this is no such range.

    A hyphen may belong to an offset from UTC too: the first one divides that leaves a value or nothing on each side.
    """
    if len(text) > LONGEST_KEY:
        return None
    for place in [place for place, sign in enumerate(text) if sign == "-"]:
        before, after = text[:place].strip(" "), text[place + 1 :].strip(" ")
        low, high = (_with_offset(PARSERS[vr](side), offset) for side in (before, after))
        if (before or after) and bool(before) == (low is not None) and bool(after) == (high is not None):
            return Range(low, high)
    return None


def _with_offset(period: Period | None, offset: int | None) -> Period | None:
    return period if period is None or period[2] is not None else (period[0], period[1], offset)


def _midnight(year: int, month: int, day: int) -> int | None:
    try:
        return date(year, month, day).toordinal() * DAY
    except ValueError:
        return None
