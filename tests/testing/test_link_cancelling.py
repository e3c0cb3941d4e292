"""Conversations on our loops can be cancelled from outside."""

from __future__ import annotations

from raw_socket import nothing_leaks
from sansdimse.testing import Check, Feature, Maker
from sansdimse.testing.link_cancelling import CANCELLING
from transports_under_test import all_of


@all_of(CANCELLING)
def test_a_conversation_of_ours_can_be_cancelled(maker: Maker, check: Check) -> None:
    with nothing_leaks():
        check(maker)


def test_every_check_has_a_contract_and_is_for_those_who_can() -> None:
    assert all(len(check.contract) > 40 for check in CANCELLING)
    assert {feature for check in CANCELLING for feature in check.needs} == {Feature.CANCELS}
