"""What became of each operation of an association, with its duration: the material of ``OperationOutcome``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from sansdimse.outcome import Side
from sansdimse.peer.watch import Ending, OperationEnded, OperationOutcome
from sansdimse.services.operation import Performed, Request

if TYPE_CHECKING:
    from sansdimse.dimse.status import Status
    from sansdimse.peer.session import Session

_REMEMBERED: Final = 64
"""Most outcomes of abandoned requests kept for whoever asks."""

_WORDS: Final = re.compile("[A-Z]+(?=[A-Z][a-z]|$)|[A-Z][a-z]+")


class Ledger:
    """The operations that are open, and since when."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._open: dict[Request | Performed, float] = {}
        self.settled = 0
        """Operations that ended."""
        self.abandoned: list[OperationOutcome] = []
        """How requests of ours ended that nobody waited for any more, the latest last."""

    def open(self, operation: Request | Performed) -> None:
        """An operation began."""
        self._open[operation] = self._session.link.now()  # the engine knows only when it was last told it

    @property
    def draining(self) -> bool:
        """Whether a request was abandoned and its final response has not come."""
        return any(isinstance(operation, Request) and operation.abandoned for operation in self._open)

    def settle(self) -> bool:
        """Tell of those that are over; whether there were any."""
        over = [operation for operation in self._session.engine.take_over() if operation in self._open]
        for operation in over:
            outcome = self._outcome(operation, self._open.pop(operation))
            self.settled += 1
            self._session.wake(operation)
            if isinstance(operation, Request) and operation.abandoned:
                self.abandoned = [*self.abandoned, outcome][-_REMEMBERED:]
            self._session.tell(OperationEnded(self._session.address, outcome))
        return bool(over)

    def _outcome(self, operation: Request | Performed, since: float) -> OperationOutcome:
        request = operation.request
        ours = isinstance(operation, Request)
        return OperationOutcome(
            service=service_name(type(request)),
            by=Side.LOCAL if ours else Side.PEER,
            message_id=operation.message_id,
            sop_class_uid=getattr(request, "sop_class_uid", None) or operation.context.abstract_syntax,
            sop_instance_uid=getattr(request, "sop_instance_uid", None),
            ending=_ending(operation),
            status=_status(operation),
            responses=operation.responses,
            duration=self._session.link.now() - since,
        )


def _status(operation: Request | Performed) -> Status | None:
    return operation.status if isinstance(operation, Request) else operation.answered


def _ending(operation: Request | Performed) -> Ending:
    if _status(operation) is None:
        return Ending.LOST
    if isinstance(operation, Request) and operation.abandoned:
        return Ending.DRAINED
    return Ending.CANCELLED if operation.cancelled else Ending.ANSWERED


def service_name(request: type) -> str:
    """The DIMSE service of a request as the standard writes it: C-STORE of CStoreRQ (PS3.7 7.5)."""
    return "-".join(_WORDS.findall(request.__name__.removesuffix("RQ"))).upper()
