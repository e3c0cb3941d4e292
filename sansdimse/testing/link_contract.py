"""The contract of a transport as one function: any ``sansdimse.peer.link.Link`` with its ``serve`` and ``associate``.

It is the list of what has gone wrong in transports: ours pass it, and so can yours. All of it goes over real
connections, but nothing here knows what those are: the ``Maker`` supplies them.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

from sansdimse.testing.check import Check, ContractError, Failure
from sansdimse.testing.link_calling import CALLING
from sansdimse.testing.link_cancelling import CANCELLING
from sansdimse.testing.link_ending import ENDING
from sansdimse.testing.link_serving import SERVING
from sansdimse.testing.maker import Feature

if TYPE_CHECKING:
    from sansdimse.testing.maker import Maker


def checks(maker: Maker) -> list[Check]:
    """The checks for a transport with these features: each is called with the maker, and has a name.

    So a test may be parametrized: ``@pytest.mark.parametrize("check", checks(maker), ids=str)``.
    """
    calling = (CALLING, CANCELLING) if Feature.CALLS in maker.features else ()
    return [check for check in chain(SERVING, ENDING, *calling) if check.needs <= maker.features]


def check_link(maker: Maker) -> list[str]:
    """Hold a transport to its contract, with TLS besides if it has that; gives the names of the checks passed.

    All checks are run; ``ContractError`` tells which failed, and why.
    """
    passed: list[str] = []
    failures: list[Failure] = []
    for made in filter(None, (maker, maker.secured())):
        for check in checks(made):
            failure = check.failure(made)
            if failure is None:
                passed.append(f"{made.name}: {check}")
            else:
                failures.append(failure)
    if failures:
        raise ContractError(maker.name, tuple(failures))
    return passed
