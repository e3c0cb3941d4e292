"""Asking C-GET and C-MOVE: how far the peer is, and how it ended (PS3.4 C.4.2, C.4.3)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sansdimse import dataset
from sansdimse.dataset import DatasetError
from sansdimse.events import ResponseReceived
from sansdimse.peer.answer import Answer

if TYPE_CHECKING:
    from sansdimse.dimse.messages import Response
    from sansdimse.peer.inbox import Inbox
    from sansdimse.peer.session import Session
    from sansdimse.services.operation import Request


@dataclass(frozen=True, slots=True)
class Progress:
    """The counters of a response (PS3.4 C.4.2.1.6 to C.4.2.1.9); None for those that the peer did not tell."""

    remaining: int | None
    completed: int | None
    failed: int | None
    warning: int | None

    @classmethod
    def of(cls, response: Response) -> Progress:
        """The counters of this response."""
        return cls(*(getattr(response, f"number_of_{name}_suboperations", None) for name in cls.__slots__))

    def __str__(self) -> str:
        told = ((name, getattr(self, name)) for name in self.__slots__)
        return ", ".join(f"{name} {number}" for name, number in told if number is not None)


class Retrieved(Answer):
    """How a C-GET or C-MOVE ended, with its counters and the instances that failed."""

    counters: Progress
    failed_instances: tuple[str, ...]
    """The Failed SOP Instance UID List, as far as the peer told it and it can be read."""


class Retrieval:
    """A C-GET or C-MOVE that is under way: ``async for`` over it gives the ``Progress`` that the peer tells.

    Raises ``AssociationLost`` if the association ends before the final response.
    """

    def __init__(self, session: Session, operation: Request, inbox: Inbox, transfer_syntax_uid: str) -> None:
        self._session = session
        self._operation = operation
        self._inbox = inbox
        self._transfer_syntax_uid = transfer_syntax_uid
        self.progress = Progress(None, None, None, None)
        """What its last Pending response told; how it ended, ``answer.counters`` tells."""
        self.answer: Retrieved | None = None
        """The status that ended it, once it has: Success, B000, A702, FE00 after ``cancel``, another failure."""

    @property
    def is_over(self) -> bool:
        """Whether the peer has told how it ended."""
        return self._operation.over

    def cancel(self) -> None:
        """Ask the peer to stop (C-CANCEL, PS3.7 9.3.2.3). What is under way is still stored; FE00 or another follows.

        To leave the ``with`` block asks so too. When it is over, nothing is left to do.
        """
        if not (self._operation.over or self._session.outcome is not None):
            self._operation.cancel()
            self._session.link.kick()

    async def finished(self) -> Retrieved:
        """Wait until it has ended; how."""
        while self.answer is None:
            await anext(self, None)
        return self.answer

    def __aiter__(self) -> AsyncIterator[Progress]:
        return self

    async def __anext__(self) -> Progress:
        while self.answer is None:
            event = await self._inbox.get()
            if not isinstance(event, ResponseReceived):
                continue
            progress = Progress.of(event.response)
            if event.is_final:
                self.answer = self._answer(event, progress)
            else:
                self.progress = progress
                return progress
        raise StopAsyncIteration

    def _answer(self, event: ResponseReceived, progress: Progress) -> Retrieved:
        answer: Any = Retrieved.of(event.response)
        answer.counters = progress
        answer.failed_instances = self._failed(event.identifier)
        retrieved: Retrieved = answer
        return retrieved

    def _failed(self, identifier: bytes | None) -> tuple[str, ...]:
        try:
            decoded = dataset.decode(identifier or b"", self._transfer_syntax_uid)
            value = decoded.get("FailedSOPInstanceUIDList") or ()
        except DatasetError:
            return ()
        if isinstance(value, bytes):  # a list too long for UI in an explicit VR comes as UN (PS3.5 6.2.2)
            return tuple(value.decode("ascii", "replace").rstrip("\0").split("\\"))
        return (str(value),) if isinstance(value, str) else tuple(map(str, value))
