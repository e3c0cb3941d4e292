"""Tests of one value: text, wild cards, names, numbers and bytes."""

from __future__ import annotations

import time as clock
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import Dataset
from pydicom.multival import MultiValue
from pydicom.valuerep import DA, IS, DSdecimal, DSfloat, PersonName

from sansdimse.matching.values import (
    WILD_CARD_VRS,
    Plain,
    component_groups,
    equality_test,
    is_universal,
    name_test,
    plain_values,
    text_test,
)


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (None, ()),
        ("", ()),
        ("  ", ()),
        ("a \0", ("a",)),
        (" a", (" a",)),
        (b"", ()),
        (b"ab", (b"ab",)),
        (0, (0,)),
        (IS("7"), (7,)),
        (DSfloat("1.50"), (1.5,)),
        (DSdecimal("1.50"), (1.5,)),
        (Decimal("0.5"), (0.5,)),
        (PersonName("Doe^J "), ("Doe^J",)),
        (DA("20240229"), ("20240229",)),
        (date(2024, 2, 29), ("20240229",)),
        (time(1, 2, 3), ("010203.000000",)),
        (datetime(2024, 2, 29, 1, 2, 3, tzinfo=timezone(timedelta(hours=1))), ("20240229010203.000000+0100",)),
        (MultiValue(str, ["a", "", "b "]), ("a", "b")),
        (["a", None], ("a",)),
        ([], ()),
        (bytearray(b"a"), (b"a",)),
    ],
)
def test_values_as_pythons_own(value: object, plain: tuple[Plain, ...]) -> None:
    assert plain_values(value) == plain


@pytest.mark.parametrize(
    ("key", "vr", "universal"),
    [
        ("*", "LO", True),
        ("**", "LO", True),
        ("*", "DA", False),
        ("*", "UI", False),
        ("?", "LO", False),
        ("*", "PN", True),
        ("*=*", "PN", True),
        ("^^", "PN", True),
        ("*^*", "PN", False),
        ("=x", "PN", False),
    ],
)
def test_which_keys_match_everything(key: str, vr: str, universal: bool) -> None:
    assert is_universal(key, vr) == universal


@cache
def oracle(pattern: str, text: str) -> bool:
    """Wild cards by their definition."""
    if not pattern:
        return not text
    if pattern[0] == "*":
        return any(oracle(pattern[1:], text[place:]) for place in range(len(text) + 1))
    return bool(text) and pattern[0] in ("?", text[0]) and oracle(pattern[1:], text[1:])


@given(
    st.text("ab*?.\\\n", max_size=8), st.text("ab.\\\n?*", max_size=10), st.sampled_from(sorted(WILD_CARD_VRS - {"PN"}))
)
def test_wild_cards_agree_with_their_definition(pattern: str, text: str, vr: str) -> None:
    assert text_test([pattern], vr)(text) == oracle(pattern, text)


@given(st.text("ab*?", max_size=8), st.text("ab*?", max_size=8), st.sampled_from(["UI", "AS", "IS", "DS"]))
def test_elsewhere_they_are_characters(pattern: str, text: str, vr: str) -> None:
    assert text_test([pattern], vr)(text) == (pattern == text)


@pytest.mark.parametrize("key", ["*a" * 5_000, "a*" * 5_000, "*" * 20_000 + "b", "*?" * 5_000, "*a?" * 3_000 + "b"])
def test_no_wild_card_takes_for_ever(key: str) -> None:
    begun = clock.process_time()
    test = text_test([key], "UT")
    test("a" * 20_000)
    test("a" * 20_000 + "c")
    assert clock.process_time() - begun < 5


def test_padding_counts_where_the_vr_says_so() -> None:
    assert text_test([" a "], "LO")("a")
    assert text_test(["a"], "LO")("  a")
    assert text_test(["a*"], "CS")(" ab")
    assert not text_test(["a"], "LT")(" a")
    assert text_test([" a "], "UT")(" a")


def test_text_is_exact_but_any_of_several() -> None:
    test = text_test(["a", "B", "c?"], "LO")
    assert [test(value) for value in ("a", "A", "b", "B", "cd", "c", "Cd", 7, b"a")] == [
        *(True, False, False, True, True, False, False, False, False)
    ]
    assert text_test(["7"], "LO")(7)


def test_component_groups() -> None:
    assert component_groups("Doe ^ J^^= 山田^ =") == ["Doe^J", "山田", ""]


@pytest.mark.parametrize(
    ("key", "name", "found"),
    [
        ("DOE^JOHN", "Doe^John^^", True),
        ("doe^john^^^", "Doe^John", True),
        ("DOE", "Doe^John", False),
        ("DOE*", "Doe^John", True),
        ("DOE^*", "Doe", True),
        ("DOE^J*^*", "Doe^John", True),
        ("DOE^?ohn", "Doe^John", True),
        ("D?E^John", "DÖE^John", True),
        ("muller", "Müller", True),
        ("MÜLLER", "Mu\u0308ller", True),
        ("wei?", "Weiß", True),
        ("łuk", "Łuk", True),
        ("σας", "ΣΑΣ", True),
        ("山田^太郎", "Yamada^Tarou=山田^太郎=やまだ^たろう", True),
        ("山*", "Yamada^Tarou=山田^太郎", True),
        ("=山田^太郎", "Yamada^Tarou=山田^太郎", True),
        ("=yamada^tarou", "Yamada^Tarou=山田^太郎", False),
        ("yamada*=*", "Yamada^Tarou", True),
        ("yamada*=山*", "Yamada^Tarou", False),
        ("*=山*=", "Yamada^Tarou=山田^太郎", True),
        ("が", "か", False),
        ("7", "7", True),
    ],
)
def test_names(key: str, name: str, found: bool) -> None:
    assert name_test(key)(name) == found


def test_names_literally() -> None:
    assert not name_test("doe", literal=True)("Doe")
    assert name_test("Doe", literal=True)("Doe^")
    assert not name_test("Muller", literal=True)("Müller")
    assert not name_test("Doe")(b"Doe")


@given(st.text("aÀéßŁ^= ", min_size=1, max_size=8))
def test_a_name_matches_itself_in_either_case(name: str) -> None:
    if is_universal(name, "PN"):
        return
    assert name_test(name)(name)
    assert name_test(name.replace("ß", ""))(name.replace("ß", "").swapcase()) or is_universal(
        name.replace("ß", ""), "PN"
    )


@pytest.mark.parametrize(
    ("key", "value", "same"),
    [
        (7, 7, True),
        (7, 7.0, True),
        (7, "007", True),
        (7, "seven", False),
        (7, b"7", False),
        (1.5, DSfloat("1.50"), True),
        (float("nan"), float("nan"), False),
        (b"ab\0", b"ab", True),
        (b"ab", b"ab \0", True),
        (b"ab", b"a", False),
        (b"ab", "ab", False),
    ],
)
def test_numbers_and_bytes(key: Plain, value: Plain, same: bool) -> None:
    assert equality_test(key)(value) == same


def test_pydicom_keeps_values_as_is_thought_here() -> None:
    dataset = Dataset()
    dataset.ModalitiesInStudy = "CT\\MR"
    dataset.PatientName = "Doe^J"
    dataset.NumberOfStudyRelatedSeries = ""
    assert [plain_values(element.value) for element in dataset] == [("CT", "MR"), ("Doe^J",), ()]
