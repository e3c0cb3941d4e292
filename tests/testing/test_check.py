"""A check passes silently, or raises with what failed; no error of a transport leaves it as another."""

from __future__ import annotations

from typing import Any

import pytest

from sansdimse.testing import Check, ContractError, Feature
from sansdimse.testing.check import Checks, Fault, expect

MAKER: Any = type("Maker", (), {"name": "mine"})()


def test_what_is_expected_is_silent_and_what_is_not_is_a_sentence() -> None:
    expect([1], "it is there")
    with pytest.raises(Fault, match="it is not there"):
        expect([], "it is not there")


def made(*errors: BaseException) -> Check:
    checks = Checks()

    @checks.needing(Feature.TLS)
    def sound(maker: Any) -> None:
        """Nothing
        is wrong."""
        for error in errors:
            raise error

    assert checks == [sound]
    return sound


def test_a_check_that_passes() -> None:
    check = made()
    check(MAKER)
    assert check.failure(MAKER) is None
    assert (str(check), check.contract, check.needs) == ("sound", "Nothing is wrong.", frozenset({Feature.TLS}))


def test_a_check_that_fails() -> None:
    fault = Fault("all is wrong")
    check = made(fault)
    with pytest.raises(ContractError, match=r"mine .*\nsound: all is wrong\n    the contract: Nothing") as told:
        check(MAKER)
    assert told.value.__cause__ is fault
    assert [(each.check, each.why, each.error) for each in told.value.failures] == [("sound", "all is wrong", fault)]


def test_a_check_in_which_the_transport_raises() -> None:
    failure = made(OSError("no route")).failure(MAKER)
    assert failure is not None
    assert failure.why == "OSError: no route"


def test_who_interrupts_a_check_is_obeyed() -> None:
    with pytest.raises(KeyboardInterrupt):
        made(KeyboardInterrupt()).failure(MAKER)


def test_a_function_without_a_contract_is_none() -> None:
    assert Checks().needing()(lambda maker: None).contract == ""
