"""Our ``associate`` copes with whatever acceptors do."""

from __future__ import annotations

from raw_socket import nothing_leaks
from sansdimse.testing import Check, Feature, Maker
from sansdimse.testing.link_calling import CALLING
from transports_under_test import all_of


@all_of(CALLING)
def test_an_associate_of_ours_keeps_the_contract(maker: Maker, check: Check) -> None:
    with nothing_leaks():
        check(maker)


def test_every_check_has_a_contract_and_is_for_those_who_can() -> None:
    assert all(len(check.contract) > 40 for check in CALLING)
    assert {feature for check in CALLING for feature in check.needs} == {Feature.DRIVES}
