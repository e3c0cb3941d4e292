"""A check: one sentence of a contract, and the function that holds somebody to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sansdimse.testing.maker import Feature, Maker


class Fault(AssertionError):
    """One thing that is wrong, in a sentence."""


def expect(condition: object, sentence: str) -> None:
    """Raise ``Fault`` with the sentence unless the condition is true."""
    if not condition:
        raise Fault(sentence)


@dataclass(frozen=True, slots=True)
class Failure:
    """A check that failed, and why."""

    check: str
    contract: str
    """What the contract says there."""
    why: str
    error: Exception
    """As it was raised."""

    def __str__(self) -> str:
        return f"{self.check}: {self.why}\n    the contract: {self.contract}"


class ContractError(AssertionError):
    """A transport does not keep its contract; ``failures`` says where."""

    def __init__(self, maker: str, failures: tuple[Failure, ...]) -> None:
        super().__init__("\n".join([f"{maker} does not keep the contract of a transport:", *map(str, failures)]))
        self.failures = failures


@dataclass(frozen=True, slots=True)
class Check:
    """One check. Called with a maker it passes silently, or raises ``ContractError``."""

    name: str
    contract: str
    """What it checks, in a sentence."""
    needs: frozenset[Feature]
    """What a transport must be able to do for it to make sense."""
    function: Callable[[Maker], None]

    def __str__(self) -> str:
        return self.name

    def __call__(self, maker: Maker) -> None:
        """Run it."""
        failure = self.failure(maker)
        if failure is not None:
            raise ContractError(maker.name, (failure,)) from failure.error

    def failure(self, maker: Maker) -> Failure | None:
        """Run it; how it failed, if it did."""
        try:
            self.function(maker)
        except Fault as fault:
            return Failure(self.name, self.contract, str(fault), fault)
        except Exception as error:  # noqa: BLE001 - a transport under test may raise anything: that too is to be told
            return Failure(self.name, self.contract, f"{type(error).__name__}: {error}", error)
        return None


class Checks(list[Check]):
    """Checks in the making: each is a function with its contract as its docstring."""

    def needing(self, *features: Feature) -> Callable[[Callable[[Maker], None]], Check]:
        """Make the function below a check, for transports with these features."""

        def made(function: Callable[[Maker], None]) -> Check:
            contract = " ".join((function.__doc__ or "").split())
            check = Check(function.__name__, contract, frozenset(features), function)
            self.append(check)
            return check

        return made
