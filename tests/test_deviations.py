"""The catalogue of deviations is whole, and what peers sent is fit to be shown."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sansdimse.deviations import CATALOGUE, Code, Deviation, Refusal, Rule, Severity, escaped


def test_every_code_has_a_rule_in_the_order_of_the_codes() -> None:
    assert list(CATALOGUE) == list(Code)


@pytest.mark.parametrize("code", list(Code))
def test_a_code_is_its_name_and_its_rule_cites_a_clause(code: Code) -> None:
    rule = CATALOGUE[code]
    assert code.value == code.name.lower().replace("_", "-")
    assert re.fullmatch(r"PS3\.[578] (Table |Annex )?[0-9A-F][0-9.\-]*(, [0-9A-F.]+)*", rule.clause)
    assert rule.text
    assert rule.text == rule.text.strip()
    assert not rule.text.endswith(".")


# PS3.8 9.3.1, 9.3.2, Tables 9-11, 9-17, 9-18: "shall not be tested", "shall be ignored"; and the end of a
# connection, which nobody can refuse.
NOT_TO_BE_REFUSED = {
    Code.AC_TITLES_DIFFER,
    Code.RESERVED_NOT_ZERO,
    Code.PROTOCOL_VERSION_BITS,
    Code.ITEM_UNKNOWN,
    Code.AC_TRANSFER_SYNTAX_MISSING,
    Code.CLOSED_WITHOUT_RELEASE,
    Code.ABORT_CODES,
    Code.ABORT_AFTER_RELEASE,
    Code.REJECT_CODES,
}


def test_what_the_standard_forbids_to_test_cannot_be_refused() -> None:
    assert {code for code, rule in CATALOGUE.items() if rule.refusal is Refusal.NEVER} == NOT_TO_BE_REFUSED


def test_what_cannot_be_refused_is_never_grave() -> None:
    assert all(CATALOGUE[code].severity is not Severity.MAJOR for code in NOT_TO_BE_REFUSED)


def test_every_grade_and_every_refusal_is_used() -> None:
    assert {rule.severity for rule in CATALOGUE.values()} == set(Severity)
    assert {rule.refusal for rule in CATALOGUE.values()} == set(Refusal)


def test_a_deviation_shows_its_rule() -> None:
    seen = Deviation(Code.UID_PADDED, "1.2\\x00")
    assert seen.rule is CATALOGUE[Code.UID_PADDED]
    assert seen.rule == Rule(
        "PS3.8 Annex F", Severity.MINOR, Refusal.REJECT, "a UID is padded, which those of PDUs are not"
    )
    assert str(seen) == "uid-padded: 1.2\\x00 (a UID is padded, which those of PDUs are not, PS3.8 Annex F)"
    assert str(Deviation(Code.NO_CONTEXTS)).startswith("no-contexts (")


def test_escaping_by_example() -> None:
    assert escaped("ANY-SCP") == "ANY-SCP"
    assert escaped(b"a\x00\r\n\xff") == "a\\x00\\x0d\\x0a\\xff"
    assert escaped("a\\b") == "a\\x5cb"
    assert escaped("x" * 64) == "x" * 64
    assert escaped("x" * 65) == "x" * 64 + "..."
    assert escaped("abc", limit=2) == "ab..."


@given(st.binary(max_size=200) | st.text(max_size=200), st.integers(0, 100))
def test_what_is_escaped_is_printable_ascii_of_bounded_length(raw: bytes | str, limit: int) -> None:
    shown = escaped(raw, limit)
    assert shown.isascii()
    assert not shown or shown.isprintable()
    assert len(shown) <= limit * len("\\x10ffff") + len("...")


@given(st.binary(max_size=60), st.binary(max_size=60))
def test_different_bytes_look_different(one: bytes, other: bytes) -> None:
    assert (escaped(one) == escaped(other)) == (one == other)
