"""Who erred: you (``LocalProtocolError``) or the peer (``RemoteProtocolError``).

The network's failures are told by ``receive_eof`` and come back as an ``Outcome``; a deadline that
passes is a ``TimedOut`` event. Any other exception that leaves the engine is a bug in it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sansdimse.deviations import Code


class ProtocolError(Exception):
    """What the two kinds have in common: a sentence for people in ``str(error)``."""


class LocalProtocolError(ProtocolError):
    """You asked for what the standard, the state or the limits do not allow now.

    Raised where you stand, before anything was queued, moved or counted: the engine is as it was.
    """


class RemoteProtocolError(ProtocolError):
    """The peer broke the protocol.

    The codecs raise it; the engine never does: there it is the ``cause`` of an ``Aborted`` event.
    ``abort_reason`` is the Reason/Diag. an A-ABORT by the service-provider gives for it
    (PS3.8 Table 9-26: 1 unrecognized PDU, 2 unexpected PDU, 4 unrecognized parameter,
    5 unexpected parameter, 6 invalid parameter value). ``code`` names the rule that was broken.
    """

    def __init__(self, text: str, *, code: Code, abort_reason: int = 6) -> None:
        super().__init__(text)
        self.code = code
        self.abort_reason = abort_reason

    def __eq__(self, other: object) -> bool:
        # Events carry their cause and are compared across runs, so errors compare as values.
        return type(other) is RemoteProtocolError and (self.args, self.code, self.abort_reason) == (
            other.args,
            other.code,
            other.abort_reason,
        )

    def __hash__(self) -> int:
        return hash((self.args, self.code, self.abort_reason))
