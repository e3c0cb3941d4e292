"""Values of DA, TM and DT as periods: what they stand for, what is none, and where ranges divide."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sansdimse.matching.periods import DAY, LONGEST_KEY, PARSERS, Range, offset_of, range_of, shift, single_of

HOUR = DAY // 24
MINUTE = HOUR // 60
SECOND = MINUTE // 60


def day(year: int, month: int, of_month: int) -> int:
    return date(year, month, of_month).toordinal() * DAY


@pytest.mark.parametrize(
    ("vr", "text", "start", "length"),
    [
        ("DA", "20240229", day(2024, 2, 29), DAY),
        ("DA", "1993.08.22", day(1993, 8, 22), DAY),
        ("DA", "99991231", day(9999, 12, 31), DAY),
        ("TM", "10", 10 * HOUR, HOUR),
        ("TM", "1015", 10 * HOUR + 15 * MINUTE, MINUTE),
        ("TM", "10:15", 10 * HOUR + 15 * MINUTE, MINUTE),
        ("TM", "101559", 10 * HOUR + 15 * MINUTE + 59 * SECOND, SECOND),
        ("TM", "10:15:59", 10 * HOUR + 15 * MINUTE + 59 * SECOND, SECOND),
        ("TM", "235960", DAY - SECOND, SECOND),
        ("TM", "000000.5", SECOND // 2, SECOND // 10),
        ("TM", "000000.123456", 123456, 1),
        ("DT", "2024", day(2024, 1, 1), 366 * DAY),
        ("DT", "202402", day(2024, 2, 1), 29 * DAY),
        ("DT", "202412", day(2024, 12, 1), 31 * DAY),
        ("DT", "9999", day(9999, 1, 1), 365 * DAY),
        ("DT", "999912", day(9999, 12, 1), 31 * DAY),
        ("DT", "20240229", day(2024, 2, 29), DAY),
        ("DT", "2024022910", day(2024, 2, 29) + 10 * HOUR, HOUR),
        ("DT", "20240229101559.25", day(2024, 2, 29) + 10 * HOUR + 15 * MINUTE + 59 * SECOND + SECOND // 4, 10_000),
    ],
)
def test_a_value_stands_for_all_it_may_mean(vr: str, text: str, start: int, length: int) -> None:
    assert PARSERS[vr](text) == (start, start + length, None)


@pytest.mark.parametrize(
    ("vr", "text"),
    [
        *[
            ("DA", text)
            for text in ("", "2024", "20230229", "20241301", "00000101", "2024.0229", "2024022", "٢٠٢٤٠٢٢٩")
        ],
        *[("TM", text) for text in ("", "1", "24", "1060", "101561", "1015.5", "101559.", "101559.1234567", "10-11")],
        *[("DT", text) for text in ("", "20", "0000", "202413", "20230229", "2024022924", "2024+1500", "2024-1230")],
        *[("DT", text) for text in ("2024022910.5", "202402291060", "2024+01", "20240229 10")],
    ],
)
def test_what_is_no_value(vr: str, text: str) -> None:
    assert PARSERS[vr](text) is None
    assert single_of(text, vr) is None


@pytest.mark.parametrize(
    ("text", "minutes"),
    [("+0000", 0), ("-0500", -300), ("+1400", 840), ("-1200", -720), ("+0530", 330), ("+1401", None), ("-1201", None)]
    + [(text, None) for text in ("", "0100", "+100", "+0160", " +0100")],
)
def test_offsets(text: str, minutes: int | None) -> None:
    assert offset_of(text) == (None if minutes is None else minutes * MINUTE)


MOMENTS = st.datetimes().filter(lambda moment: 1 < moment.year < 9999)
MINUTES = st.integers(-720, 840)


@given(MOMENTS, MINUTES, MOMENTS, MINUTES)
def test_moments_with_offsets_compare_as_in_utc(one: datetime, ours: int, other: datetime, theirs: int) -> None:
    one, other = (
        moment.replace(tzinfo=timezone(timedelta(minutes=minutes)))
        for moment, minutes in ((one, ours), (other, theirs))
    )
    asked, told = (
        f"{moment.year:04}{moment:%m%d%H%M%S.%f%z}" for moment in (one, other)
    )  # strftime does not pad years everywhere
    period = PARSERS["DT"](told)
    assert period is not None
    until, since = range_of(f"-{asked}", "DT"), range_of(f"{asked}-", "DT")
    assert until is not None
    assert since is not None
    assert until.holds(period) == (other.astimezone(UTC) <= one.astimezone(UTC))
    assert since.holds(period) == (other.astimezone(UTC) >= one.astimezone(UTC))


def test_an_offset_counts_only_if_both_are_known() -> None:
    assert shift(None, 5) == shift(5, None) == 0
    assert shift(2, 5) == 3
    asked = single_of("2024022910", "DT", 2 * HOUR)
    assert asked is not None
    start = day(2024, 2, 29)
    assert asked.holds((start + 10 * HOUR, start + 10 * HOUR + 1, None))
    assert asked.holds((start + 8 * HOUR, start + 8 * HOUR + 1, 0))
    assert not asked.holds((start + 10 * HOUR, start + 10 * HOUR + 1, 0))


def test_an_offset_of_its_own_goes_before_that_of_the_data_set() -> None:
    assert single_of("2024-0100", "DT", 7) == single_of("2024-0100", "DT")
    assert single_of("2024", "DT", 7) != single_of("2024", "DT")


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("2019-2021", "2019", "2021"),
        ("2019 - 2021", "2019", "2021"),
        ("-2021", None, "2021"),
        ("2021-", "2021", None),
        ("20200101-0500-20200102-0500", "20200101-0500", "20200102-0500"),
        ("-20200101-0500", None, "20200101-0500"),
        ("20200101-0500-", "20200101-0500", None),
        ("20200101+0100-20200102+0100", "20200101+0100", "20200102+0100"),
    ],
)
def test_where_a_range_divides(text: str, low: str | None, high: str | None) -> None:
    meant = range_of(text, "DT")
    assert meant == Range(low and PARSERS["DT"](low), high and PARSERS["DT"](high))
    assert meant.form == (low is not None, high is not None)


@pytest.mark.parametrize("text", ["", "-", " - ", "2020", "a-b", "2020-x", "x-2020", "--2020", "2020-2021-2022"])
def test_what_is_no_range(text: str) -> None:
    assert range_of(text, "DT") is None


def test_a_value_with_an_offset_is_no_range() -> None:
    assert single_of("2020-0500", "DT") is not None
    assert single_of("2019-2021", "DT") is None


def test_what_is_too_long_is_not_looked_at() -> None:
    assert range_of("20200101" + " " * (LONGEST_KEY - 17) + "-20200102", "DA") is not None
    assert range_of("20200101" + " " * (LONGEST_KEY - 16) + "-20200102", "DA") is None


def test_a_range_may_end_before_it_begins() -> None:
    for text, backwards in [("2020-2019", True), ("2019-2020", False), ("2020-202001", False), ("-2020", False)]:
        meant = range_of(text, "DT")
        assert meant is not None
        assert meant.ends_before_it_begins == backwards


@given(st.dates(), st.dates(), st.dates())
def test_ranges_of_dates_agree_with_ordinals(one: date, other: date, told: date) -> None:
    low, high = sorted((one, other))
    texts = [f"{moment.year:04}{moment:%m%d}" for moment in (low, high, told)]
    meant, period = range_of(f"{texts[0]}-{texts[1]}", "DA"), PARSERS["DA"](texts[2])
    assert meant is not None
    assert period is not None
    assert meant.holds(period) == (low.toordinal() <= told.toordinal() <= high.toordinal())


@given(st.text("0123456789-+. :", max_size=30), st.sampled_from(["DA", "TM", "DT"]))
def test_no_text_raises_and_a_period_is_never_empty(text: str, vr: str) -> None:
    for meant in (single_of(text, vr), range_of(text, vr)):
        for period in () if meant is None else (meant.low, meant.high):
            assert period is None or period[0] < period[1]
