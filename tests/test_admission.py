"""Who is let in: the books always agree with what came and went, and nobody is met with silence."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sansdimse.admission import OVER_BUDGET, SHUTTING_DOWN, Admission, Budget
from sansdimse.outcome import reject_reason
from sansdimse.uids import VERIFICATION
from sansdimse.ul.negotiation import answer, propose
from sansdimse.ul.parties import Acceptor, Requestor
from sansdimse.ul.pdu import AAssociateRJ

REQUEST = propose(Requestor("ME", "YOU", [VERIFICATION]))
YES = answer(Acceptor("YOU", [VERIFICATION]), REQUEST)
NO = AAssociateRJ(1, 1, 7)


def test_the_rejections_say_why() -> None:
    assert reject_reason(OVER_BUDGET.result, OVER_BUDGET.source, OVER_BUDGET.reason) == (
        "transiently: local limit exceeded"
    )
    assert reject_reason(SHUTTING_DOWN.result, SHUTTING_DOWN.source, SHUTTING_DOWN.reason) == (
        "transiently: temporary congestion"
    )


def test_an_association_counts_until_it_is_closed() -> None:
    admission: Admission[str] = Admission(Budget(associations=1))
    for name in "abc":
        assert admission.opened(name) is None
    assert (admission.pending, admission.associations) == (3, 0)
    assert admission.requested("a", YES) is YES
    assert admission.requested("b", YES) == OVER_BUDGET
    assert (admission.pending, admission.associations) == (2, 1)
    admission.closed("a")
    assert admission.requested("c", YES) is YES
    admission.closed("c")
    admission.closed("c")
    assert (admission.pending, admission.associations) == (1, 0)
    admission.closed("b")
    assert (admission.pending, admission.associations) == (0, 0)


def test_what_negotiation_rejects_takes_no_place_and_keeps_its_reason() -> None:
    admission: Admission[str] = Admission(Budget(associations=0))
    admission.opened("a")
    assert admission.requested("a", NO) is NO
    assert admission.associations == 0


@pytest.mark.parametrize("proposed", [YES, NO])
def test_who_is_rejected_and_does_not_close_makes_room_like_the_silent(proposed: Any) -> None:
    admission: Admission[int] = Admission(Budget(associations=0, pending=2))
    cut = []
    for number in range(5):
        cut.append(admission.opened(number))
        assert isinstance(admission.requested(number, proposed), AAssociateRJ)
        assert admission.pending <= 2
    assert cut == [None, None, 0, 1, 2]


@pytest.mark.parametrize("proposed", [YES, NO])
def test_while_closing_everybody_is_told_to_come_back_later(proposed: Any) -> None:
    admission: Admission[str] = Admission()
    admission.opened("a")
    admission.closing = True
    assert admission.requested("a", proposed) == SHUTTING_DOWN
    assert admission.associations == 0


def test_the_one_that_was_silent_longest_makes_room() -> None:
    admission: Admission[int] = Admission(Budget(pending=2))
    assert [admission.opened(number) for number in range(5)] == [None, None, 0, 1, 2]
    assert admission.pending == 2


def test_the_default_budget_is_used() -> None:
    assert Admission[int]().budget == Budget()


@given(st.lists(st.tuples(st.sampled_from(["open", "ask", "close"]), st.integers(0, 9))), st.integers(0, 3))
def test_the_books_agree_with_a_plain_model(steps: list[tuple[str, int]], most: int) -> None:
    admission: Admission[int] = Admission(Budget(associations=most, pending=most + 1))
    pending: list[int] = []
    established: set[int] = set()
    for step, who in steps:
        known = who in pending or who in established
        if step == "open" and not known:
            pending.append(who)
            out = pending.pop(0) if len(pending) > most + 1 else None
            assert admission.opened(who) == out
        elif step == "ask" and who in pending:
            fits = len(established) < most
            assert admission.requested(who, YES) == (YES if fits else OVER_BUDGET)
            if fits:
                pending.remove(who)
                established.add(who)
        elif step == "close":
            admission.closed(who)
            established.discard(who)
            pending = [each for each in pending if each != who]
        assert (admission.pending, admission.associations) == (len(pending), len(established))
        assert admission.associations <= most
