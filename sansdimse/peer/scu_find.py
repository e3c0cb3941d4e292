"""Asking C-FIND: what a peer finds, one match after the other (PS3.4 C.4.1, PS3.7 9.1.2)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from sansdimse import dataset
from sansdimse.events import ResponseReceived
from sansdimse.peer.answer import Answer

if TYPE_CHECKING:
    from sansdimse.peer.inbox import Inbox
    from sansdimse.peer.session import Session
    from sansdimse.services.query import FindRequest

M = TypeVar("M")

_WORTH_A_HOP: Final = 64 * 1024
"""Bytes of an identifier from which on it is decoded off the loop: less takes no longer than the hop there and back."""


def check_query(query: object) -> None:
    """Raise ``TypeError`` for what is no query."""
    if not isinstance(query, dataset.Dataset | bytes):
        raise TypeError(f"a query is a Dataset, or bytes that are an encoded one, not a {type(query).__name__}")


class Matches(Generic[M]):
    """The matches of one C-FIND: ``async for`` over it gives them as they come, until the final response.

    Raises ``AssociationLost`` if the association ends before that, ``DatasetError`` for a match that cannot be
    decoded; the next may be asked for all the same. Outside of the block there are no more: ``LocalProtocolError``.
    """

    def __init__(self, session: Session, operation: FindRequest, inbox: Inbox, raw: bool) -> None:
        self._session = session
        self._operation = operation
        self._inbox = inbox
        self._raw = raw
        self.answer: Answer | None = None
        """The status that ended it, once it has: Success, FE00 after ``cancel``, a failure."""
        self.complete = True
        """Whether every optional key of the query was honoured so far: no match was told with FF01."""

    def cancel(self) -> None:
        """Ask the peer to stop (C-CANCEL, PS3.7 9.3.2.3). Matches under way still come, then FE00 or another status.

        To leave the ``with`` block asks so too, and drops what comes. When it is over, nothing is left to do.
        """
        if not self._operation.over:
            self._operation.cancel()
            self._session.link.kick()

    def __aiter__(self) -> AsyncIterator[M]:
        return self

    async def __anext__(self) -> M:
        while self.answer is None:
            event = await self._inbox.get()
            if isinstance(event, ResponseReceived) and event.is_final:
                self.answer = Answer.of(event.response)
            elif isinstance(event, ResponseReceived) and event.identifier is not None:
                self.complete &= event.status == 0xFF00
                match: M = await self._match(event.identifier)
                return match
        raise StopAsyncIteration

    async def _match(self, identifier: bytes) -> Any:  # the one that ``M`` is
        if self._raw:
            return identifier
        syntax = self._operation.context.transfer_syntax or ""
        if len(identifier) < _WORTH_A_HOP:
            return dataset.decode(identifier, syntax)
        return await self._session.link.call(dataset.decode, identifier, syntax)
