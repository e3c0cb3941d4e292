"""Testing in public: what this house tests itself with, for your transports.

``check_link`` holds a transport to its contract.
"""

from sansdimse.testing.check import Check, ContractError, Failure
from sansdimse.testing.link_contract import check_link, checks
from sansdimse.testing.maker import Calling, Connect, Conversation, Event, Feature, Maker, Wire

__all__ = [
    "Calling",
    "Check",
    "Connect",
    "ContractError",
    "Conversation",
    "Event",
    "Failure",
    "Feature",
    "Maker",
    "Wire",
    "check_link",
    "checks",
]
