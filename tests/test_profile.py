"""Profiles: which deviations are refused, and which may not be."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sansdimse.deviations import CATALOGUE, Code, Refusal, Severity
from sansdimse.profile import DEFAULT, LENIENT, STRICT, Profile

NEVER = [code for code, rule in CATALOGUE.items() if rule.refusal is Refusal.NEVER]
REFUSABLE = [code for code in Code if code not in NEVER]
refusable = st.sampled_from(REFUSABLE)


@pytest.mark.parametrize("code", list(Code))
def test_strict_refuses_all_that_may_be_refused_and_is_more_than_a_note(code: Code) -> None:
    rule = CATALOGUE[code]
    assert STRICT.refuses(code) == (rule.refusal is not Refusal.NEVER and rule.severity is not Severity.NOTE)


def test_each_of_ours_is_stricter_than_the_one_before() -> None:
    assert LENIENT.refused < DEFAULT.refused < STRICT.refused


def test_the_default_refuses_only_what_would_make_an_answer_wrong() -> None:
    assert DEFAULT.refused == {
        Code.APPLICATION_CONTEXT_WRONG,
        Code.CONTEXT_ID_ZERO,
        Code.CONTEXT_WITHOUT_ABSTRACT_SYNTAX,
        Code.CONTEXT_WITHOUT_TRANSFER_SYNTAX,
        Code.AC_TRANSFER_SYNTAX_UNPROPOSED,
        Code.MAXIMUM_LENGTH_TINY,
        Code.DATA_SET_UNANNOUNCED,
        Code.DATA_SET_CONTEXT,
        Code.RESPONSE_ID,
        Code.RESPONSE_CONTEXT,
    }
    assert all(CATALOGUE[code].severity is Severity.MAJOR for code in DEFAULT.refused)


def test_the_lenient_one_accepts_what_a_message_may_mean() -> None:
    assert {CATALOGUE[code].refusal for code in DEFAULT.refused - LENIENT.refused} == {Refusal.DIMSE}


@pytest.mark.parametrize("code", NEVER)
def test_nobody_can_refuse_what_the_standard_forbids_to_refuse(code: Code) -> None:
    with pytest.raises(ValueError, match=code.value):
        Profile("mine", frozenset({code}))
    with pytest.raises(ValueError, match="forbids"):
        DEFAULT.refusing(Code.AE_TITLE_BLANK, code)


@given(st.frozensets(refusable), st.lists(refusable), st.lists(refusable))
def test_a_profile_of_ones_own(base: frozenset[Code], more: list[Code], fewer: list[Code]) -> None:
    profile = Profile("mine", base)
    assert profile.refusing(*more).refused == base | set(more)
    assert profile.accepting(*fewer).refused == base - set(fewer)
    assert profile.refused == base
    assert all(profile.refusing(code).refuses(code) for code in more)
    assert not any(profile.accepting(code).refuses(code) for code in fewer)


def test_names_say_how_a_profile_was_made() -> None:
    assert [profile.name for profile in (LENIENT, DEFAULT, STRICT)] == ["lenient", "default", "strict"]
    assert DEFAULT.refusing(Code.AE_TITLE_BLANK).accepting(Code.RESPONSE_ID).name == "default+-"
    assert Profile("mine").refused == frozenset()
