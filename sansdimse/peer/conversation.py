"""What every request of the peer looks like to its handler."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sansdimse.peer.session import AssociationLost

if TYPE_CHECKING:
    from sansdimse.peer.session import AssociationInfo, Session
    from sansdimse.services.operation import Performed
    from sansdimse.ul.agreement import NegotiatedContext


class Conversation:
    """A request of the peer, with whom it came from."""

    def __init__(self, session: Session, operation: Performed) -> None:
        self._session = session
        self._operation = operation

    @property
    def context(self) -> NegotiatedContext:
        """The presentation context."""
        return self._operation.context

    @property
    def transfer_syntax_uid(self) -> str:
        """The transfer syntax of data sets, theirs and ours."""
        return self.context.transfer_syntax or ""

    @property
    def association(self) -> AssociationInfo:
        """Who asks."""
        return self._session.info()

    @property
    def cancelled(self) -> bool:
        """Whether nobody waits for the answer: after a C-CANCEL, or because the association ends, whoever ends it.

        Where handlers can be cancelled, an ``async def`` is, and need not ask.
        """
        return self._operation.cancelled or not self._operation.may_respond

    def abort(self) -> None:
        """End the association at once (PS3.8 7.3)."""
        self._session.abort()


def report(error: Exception, session: Session, where: str) -> None:
    """Report what a handler raised; not that its association was lost, which the outcome says."""
    if not (isinstance(error, AssociationLost) and session.outcome is not None):
        session.report(error, where)
