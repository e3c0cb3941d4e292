"""Which candidates a query matches, and what is told of them (PS3.4 C.2.2.2, C.2.2.3).

A query is read once, into tests; each candidate is then a few look-ups and comparisons. What is wrong with the query
is said at once (``MalformedKeyError``); what is wrong with a candidate makes it not match, and never raises. Where
the standard leaves it to the implementation, this is what is done:

- A time less precise than another (``10`` beside ``103000``) stands for all moments it may mean, and matches if one
  of them does. So ``1000-1100`` ends with the last moment of 11:00, and ``2020`` matches all of that year.
- Names are compared without regard to case, accents and empty components at the end; a name that is not divided into
  component groups matches any group of the candidate, one that is matches group by group.
- IS and DS are compared as numbers.
- Several values in a key of another VR than UI mean any of them, unless multiple value matching was negotiated.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from sansdimse.dataset import _PYDICOM_FAILURES as UNREADABLE
from sansdimse.dataset import Dataset
from sansdimse.matching.keys import (
    CHARACTER_SET,
    MAX_NESTING,
    TIMEZONE,
    AnyKey,
    EmptyKey,
    Key,
    PairKey,
    Place,
    Plan,
    SequenceKey,
    TimeKey,
    Wanted,
    copy_of,
    element_of,
    is_ascii,
    reserves,
    values_of,
    zone_of,
)
from sansdimse.matching.periods import PARSERS, Period, Range, range_of, single_of
from sansdimse.matching.values import (
    Plain,
    equality_test,
    has_wild_card,
    is_universal,
    name_test,
    plain_values,
    text_test,
)

__all__ = ["QUERY_RETRIEVE", "WORKLIST", "MalformedKeyError", "Matching", "Query", "matches", "response", "search"]

EMPTY: Final = '""'
"""The key that matches attributes without a value, where that was negotiated (PS3.4 C.2.2.2.7)."""

_LEVEL: Final = 0x00080052
_VIEW: Final = 0x00080053
_ABOUT_THE_QUERY: Final = frozenset({_LEVEL, _VIEW, TIMEZONE})
# Retrieve AE Title, Instance Availability, Storage Media File-Set ID and UID: they say where a match is, and which
# matches there are does not depend on them (PS3.4 C.4.1.1.3.2).
_LOCATION: Final = frozenset({0x00080054, 0x00080056, 0x00880130, 0x00880140})
# An entity without them is no entity, so no value of theirs is unknown.
_IDENTITY: Final = frozenset({0x0020000D, 0x0020000E, 0x00080018})

_MULTIPLE_VALUE_VRS: Final = frozenset("AE AS AT CS LO PN SH UC".split())  # PS3.4 C.2.2.2.8


@dataclass(frozen=True, slots=True)
class Matching:
    """What was negotiated, and what the service class says, about matching.

    ``unknown_values_match``: a candidate without a value matches any value asked of it, as the Query/Retrieve
    service class has it (PS3.4 C.2.2.1.2); not in the worklists (PS3.4 K.2.2.1.1.1). The next four are bytes 2, 4, 6
    and 7 of the SOP Class Extended Negotiation (PS3.4 C.5.1.1); by the fourth of them, times of day and dates with
    times are taken to the query's Timezone Offset From UTC, while values of VR DT always are (PS3.5 6.2).
    ``literal_person_names``: compare names with case and accents (PS3.4 C.2.2.2.1.1).
    """

    unknown_values_match: bool = True
    combined_date_time_matching: bool = False
    timezone_query_adjustment: bool = False
    empty_value_matching: bool = False
    multiple_value_matching: bool = False
    literal_person_names: bool = False


QUERY_RETRIEVE: Final = Matching()
"""Annex C, nothing negotiated."""
WORKLIST: Final = Matching(unknown_values_match=False, combined_date_time_matching=True)
"""Annex K, and the annexes that search as it does (PS3.4 K.2.2, K.5.1)."""


class MalformedKeyError(ValueError):
    """A key of the query has no meaning: a date that is none, a range that ends before it begins ...

    ``tags`` holds the one at fault, for Offending Element (0000,0901) of a response with status A900.
    """

    def __init__(self, tag: int, text: str) -> None:
        super().__init__(f"({tag >> 16:04X},{tag & 0xFFFF:04X}): {text}")
        self.tags = (tag,)


class Query:
    """A query read once, to be matched against many candidates. Raises MalformedKeyError."""

    def __init__(self, identifier: Dataset, options: Matching = QUERY_RETRIEVE) -> None:
        self._plan = _Reader(options, identifier).plan(identifier)
        self._level = tuple(copy_of(_read(identifier, tag)) for tag in (_LEVEL, _VIEW) if tag in identifier)
        self._wants_zone = TIMEZONE in identifier

    def matches(self, candidate: Dataset) -> bool:
        """Whether all keys match. Never raises."""
        return self._plan.matches(candidate, zone_of(candidate) if self._plan.needs_zone else None)

    def response(self, candidate: Dataset) -> Dataset:
        """What the query asks of a candidate that matched (PS3.4 C.4.1.1.3.2). Never raises.

        It has the keys of the query, of zero length where the candidate has no value, and of sequences the items that
        match. Query/Retrieve Level and Query/Retrieve View are the query's. Specific Character Set is the
        candidate's; if it has none, UTF-8 as soon as a value needs it. Timezone Offset From UTC and where to retrieve
        from are left out if the candidate does not have them.
        """
        zone = zone_of(candidate) if self._plan.needs_zone else None
        found = self._plan.response(candidate, zone)
        for element in self._level:
            found.add(copy_of(element))
        if self._wants_zone and (zoned := element_of(candidate, TIMEZONE)) is not None and not zoned.is_empty:
            found.add(copy_of(zoned))
        if CHARACTER_SET not in found and not is_ascii(found):
            found.add_new(CHARACTER_SET, "CS", "ISO_IR 192")
        return found

    def search(self, candidates: Iterable[Dataset]) -> Iterator[Dataset]:
        """The responses for those that match, in their order, one at a time."""
        return (self.response(candidate) for candidate in candidates if self.matches(candidate))


def matches(query: Dataset, candidate: Dataset, options: Matching = QUERY_RETRIEVE) -> bool:
    """Whether a candidate matches all keys. For many candidates make a ``Query``. Raises MalformedKeyError."""
    return Query(query, options).matches(candidate)


def response(query: Dataset, candidate: Dataset, options: Matching = QUERY_RETRIEVE) -> Dataset:
    """What ``Query.response`` gives. Raises MalformedKeyError."""
    return Query(query, options).response(candidate)


def search(query: Dataset, candidates: Iterable[Dataset], options: Matching = QUERY_RETRIEVE) -> Iterator[Dataset]:
    """What ``Query.search`` gives. Raises MalformedKeyError, here and not while it is iterated over."""
    return Query(query, options).search(candidates)


# ---------------------------------------------------------------- reading a query


def _read(identifier: Dataset, tag: int) -> Any:
    try:
        return identifier[tag]
    except UNREADABLE as error:
        raise MalformedKeyError(tag, f"the value cannot be read: {error}") from error


def _is_key(tag: int, *, top: bool) -> bool:
    """Whether this may be asked for: no low group, no group length, nothing about how or what is asked (PS3.5 7.1)."""
    if tag < 0x00080000 or not tag & 0xFFFF or reserves(tag):
        return False
    return tag != CHARACTER_SET and not (top and tag in _ABOUT_THE_QUERY)


class _Reader:
    """Makes a plan of a query, and refuses what has no meaning."""

    def __init__(self, options: Matching, identifier: Dataset) -> None:
        self._options = options
        self._zone = zone_of(identifier)
        if self._zone is None and values_of(identifier, TIMEZONE):
            raise MalformedKeyError(TIMEZONE, "this is no offset from UTC")
        self._adjusted_zone = self._zone if options.timezone_query_adjustment else None

    def plan(self, dataset: Dataset, depth: int = 0) -> Plan:
        elements = {tag: _read(dataset, tag) for tag in sorted(dataset.keys())}
        asked = {tag: element for tag, element in elements.items() if _is_key(tag, top=not depth)}
        pairs = self._pairs(asked) if self._options.combined_date_time_matching else []
        paired = {tag for pair in pairs for tag in (pair.day, pair.clock)}
        keys: list[AnyKey] = list(pairs)
        wanted = []
        for tag, element in asked.items():
            place = Place(tag, _creator_of(tag, elements))
            plan = self._item_plan(element, depth) if element.VR == "SQ" else None
            is_location = not depth and tag in _LOCATION
            wanted.append(Wanted(place, _absent(element), plan, may_lack=is_location))
            if plan is not None and plan.keys:
                keys.append(SequenceKey(place, plan, self._options.unknown_values_match))
            elif element.VR != "SQ" and not is_location and tag not in paired:
                keys += self._keys(place, element)
        creators = tuple(element for tag, element in elements.items() if reserves(tag))
        needs_zone = (
            self._adjusted_zone is not None
            or any(element.VR == "DT" for element in asked.values())
            or any(one.plan is not None and one.plan.needs_zone for one in wanted)
        )
        return Plan(tuple(keys), tuple(wanted), creators, needs_zone)

    def _item_plan(self, element: Any, depth: int) -> Plan | None:
        """What is asked of the items, None if they are wanted whole."""
        if len(element.value) > 1:
            raise MalformedKeyError(element.tag, "a sequence is asked for with one item (PS3.4 C.2.2.2.6)")
        if depth == MAX_NESTING:
            raise MalformedKeyError(element.tag, f"sequences are nested more than {MAX_NESTING} deep")
        plan = self.plan(element.value[0], depth + 1) if element.value else None
        return plan if plan is not None and plan.wanted else None

    def _keys(self, place: Place, element: Any) -> list[AnyKey]:
        """The key, none if it matches everything."""
        vr = element.VR
        try:
            values = plain_values(element.value)
        except UNREADABLE as error:
            raise MalformedKeyError(place.tag, f"the value cannot be read: {error}") from error
        if self._options.empty_value_matching and values == (EMPTY,):
            return [EmptyKey(place)]
        texts = [value for value in values if isinstance(value, str)]
        if not values or any(is_universal(text, vr) for text in texts):
            return []
        unknown = self._options.unknown_values_match and place.tag not in _IDENTITY
        if vr in PARSERS:
            return [self._time_key(place, element, values, unknown)]
        every = self._options.multiple_value_matching and vr in _MULTIPLE_VALUE_VRS and len(values) > 1
        if every and any(has_wild_card(text) for text in texts):
            raise MalformedKeyError(place.tag, "of several values none has a wild card (PS3.4 C.2.2.2.8)")
        if vr == "PN":
            tests = [name_test(text, literal=self._options.literal_person_names) for text in texts]
        elif every:
            tests = [text_test([value], vr) if isinstance(value, str) else equality_test(value) for value in values]
        else:
            tests = [equality_test(value) for value in values if not isinstance(value, str)]
            tests += [text_test(texts, vr)] if texts else []
        return [Key(place, tuple(tests), every, unknown)]

    def _time_key(self, place: Place, element: Any, values: tuple[Plain, ...], unknown: bool) -> TimeKey:
        vr = element.VR
        zone = self._zone if vr == "DT" else None
        ranges = []
        for value in values:
            text = str(value).strip(" ")
            meant = single_of(text, vr, zone) or range_of(text, vr, zone)
            if meant is None:
                raise MalformedKeyError(place.tag, f"this is no {vr} and no range of them: {text[:64]!r}")
            if meant.ends_before_it_begins:
                raise MalformedKeyError(place.tag, f"the range ends before it begins: {text!r}")
            ranges.append(meant)
        return TimeKey(place, vr, tuple(ranges), unknown, self._adjusted_zone, _clock_of(element))

    def _pairs(self, asked: Mapping[Any, Any]) -> list[PairKey]:
        """Dates and times with ranges of the same form: together they are one."""
        clocks = {element.keyword: element for element in asked.values() if element.VR == "TM"}
        pairs = []
        for tag, element in asked.items():
            clock = clocks.get(_clock_of(element))
            if element.VR != "DA" or clock is None:
                continue
            days, times = (range_of(str(one.value or "").strip(" "), one.VR) for one in (element, clock))
            if days is None or times is None or days.form != times.form:
                continue
            meant = Range(self._joined(days.low, times.low), self._joined(days.high, times.high))
            if meant.ends_before_it_begins:
                raise MalformedKeyError(tag, "date and time together end before they begin")
            pairs.append(PairKey(tag, clock.tag, meant, self._options.unknown_values_match))
        return pairs

    def _joined(self, day: Period | None, clock: Period | None) -> Period | None:
        return day and clock and (day[0] + clock[0], day[0] + clock[1], self._adjusted_zone)


def _clock_of(element: Any) -> str:
    """The keyword of the TM that goes with this DA, by the standard's way of naming them."""
    before, _, after = element.keyword.rpartition("Date")
    return f"{before}Time{after}"


def _creator_of(tag: int, elements: Mapping[Any, Any]) -> str:
    creator = elements.get(tag >> 16 << 16 | tag >> 8 & 0xFF) if tag >> 16 & 1 else None
    return "" if creator is None else str(creator.value or "").rstrip(" ")


def _absent(element: Any) -> Any:
    holder = Dataset()
    holder.add_new(element.tag, element.VR, [] if element.VR == "SQ" else None)
    holder[element.tag].clear()
    return holder[element.tag]
