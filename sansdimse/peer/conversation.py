"""What every request of the peer looks like to its handler."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from sansdimse import dataset
from sansdimse.dataset import Dataset, DatasetError
from sansdimse.dimse.status import DATA_SET_MISMATCH
from sansdimse.peer.blocking import BlockingPeer, unbounded
from sansdimse.peer.handlers import Failure, is_async
from sansdimse.peer.scu import Peer
from sansdimse.peer.session import AssociationLost
from sansdimse.service_classes.query_retrieve import IdentifierError, check_identifier
from sansdimse.services.extended import agreed_for

if TYPE_CHECKING:
    from sansdimse.dimse.status import Status
    from sansdimse.peer.session import AssociationInfo, Session
    from sansdimse.services.operation import Performed
    from sansdimse.ul.agreement import NegotiatedContext


class Conversation:
    """A request of the peer, with whom it came from."""

    def __init__(self, session: Session, operation: Performed) -> None:
        self._session = session
        self._operation = operation
        self._after: list[Callable[[Any], object]] = []

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

    @property
    def peer(self) -> Peer:
        """Who asks, to ask it something in turn on this association, as far as the roles allow.

        On asyncio and trio it may be kept, and asked at any time while the association lasts.
        """
        return Peer(self._session)

    def after(self, function: Callable[[Any], object]) -> None:
        """Have this called with the ``Peer`` when the request is answered: an N-EVENT-REPORT on its association, say.

        A function that is no ``async def`` gets a ``BlockingPeer``, in a worker thread where there is a loop. What it
        raises is reported.
        """
        self._after.append(function)

    def answered(self, where: str) -> None:
        """The request is answered: what was to come after is begun."""
        if self._after:
            self._session.link.spawn(self._call_after(where))

    async def _call_after(self, where: str) -> None:
        link = self._session.link
        for function in self._after:
            try:
                if is_async(function):
                    await function(self.peer)  # type: ignore[misc]
                else:
                    within = getattr(link, "within", unbounded)  # who blocks has one
                    peer = BlockingPeer(self.peer, within, link.block_on)
                    await link.call(function, peer, abandon_on_cancel=True)
            except Exception as error:  # noqa: BLE001 - the user's code may raise anything; it is reported
                report(error, self._session, f"after {where}")


class Identified(Conversation):
    """A C-FIND, C-GET or C-MOVE of the peer: what it asks for is an identifier."""

    SERVICE: ClassVar[Literal["C-FIND", "C-GET", "C-MOVE"]]
    UNDECODABLE: ClassVar[Status]
    """The identifier could not be decoded, and the handler wanted it decoded."""

    def __init__(self, session: Session, operation: Performed, identifier: bytes) -> None:
        super().__init__(session, operation)
        self.raw_identifier = identifier
        """The identifier as it came, in the transfer syntax of the context."""
        self._identifier: Dataset | None = None

    @property
    def sop_class_uid(self) -> str:
        """The information model or service asked, as the peer gave it."""
        return getattr(self._operation.request, "affected_sop_class_uid", None) or self.context.abstract_syntax

    @property
    def identifier(self) -> Dataset:
        """The identifier decoded. Raises ``Failure`` (C310, C410, C510) if it cannot be."""
        if self._identifier is None:
            try:
                self._identifier = dataset.decode(self.raw_identifier, self.transfer_syntax_uid)
            except DatasetError as error:
                raise Failure(self.UNDECODABLE, "Unable to decode the dataset") from error
        return self._identifier

    def check_identifier(self) -> Dataset:
        """The identifier, if it has the keys that its information model asks for, and no others (PS3.4 C.4.1.2).

        Whether relational keys are allowed, extended negotiation says (PS3.4 C.5.1.1). Raises ``Failure``: A900 with
        the elements in question, C310 and its like if it cannot be decoded.
        """
        identifier = self.identifier
        agreed = agreed_for(self.association.agreement, self.context.abstract_syntax, self._session.engine.sop_classes)
        try:
            check_identifier(
                identifier,
                self.context.abstract_syntax,
                relational=bool(getattr(agreed, "relational", False)),
                service=self.SERVICE,
            )
        except IdentifierError as error:
            raise Failure(DATA_SET_MISMATCH, error.comment, error.tags) from error
        return identifier

    @property
    def our_title(self) -> str:
        """Our AE title, as this association was opened for it or by it."""
        agreement = self._session.info().agreement
        title = agreement.calling_ae_title if self._session.engine.is_requestor else agreement.called_ae_title
        return title.strip()


def report(error: Exception, session: Session, where: str) -> None:
    """Report what a handler raised; not that its association was lost, which the outcome says."""
    if not (isinstance(error, AssociationLost) and session.outcome is not None):
        session.report(error, where)
