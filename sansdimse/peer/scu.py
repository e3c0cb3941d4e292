"""What you ask of a peer: conversations from the first byte of a request to its last response.

Written once, as plain ``async def`` that awaits only what a ``Link`` gives, so that they run on every
transport, blocking sockets included. Any of them may be cancelled where it waits: the request is then
abandoned, and the association stays usable if the peer answers in time (``Request.abandon``).
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Iterator
from contextlib import AbstractContextManager, aclosing, asynccontextmanager, nullcontext
from typing import TYPE_CHECKING, Final, TypeVar

from sansdimse import events, uids
from sansdimse.dataset import Dataset, DatasetError, Instance, convert, instance_of
from sansdimse.dimse.messages import Priority
from sansdimse.dimse.status import Status
from sansdimse.errors import LocalProtocolError
from sansdimse.peer.link import PathLike
from sansdimse.services.sop_classes import STANDARD
from sansdimse.ul.table import State

if TYPE_CHECKING:
    from sansdimse.dimse.messages import Response
    from sansdimse.outcome import Outcome
    from sansdimse.peer.session import AssociationInfo, Inbox, Session
    from sansdimse.services.operation import Request
    from sansdimse.services.storage import StoreRequest
    from sansdimse.ul.agreement import NegotiatedContext

Path = str | PathLike
Source = Path | Dataset | Instance
"""What can be stored: a file's path, a data set, or an instance as header and byte pieces."""

_PIECE_SIZE: Final = 256 * 1024
"""Bytes given to the engine at once: what is queued cannot be taken back when the peer refuses early."""

_PIECE_PDUS: Final = 512
"""Most PDUs made of them: each costs some hundred bytes of ours, and a peer may take as little as 8 bytes in each."""

S = TypeVar("S", Path, Dataset, Instance)
R = TypeVar("R", bound="Request")


class Answer(Status):
    """A final status, with the response that it came in: ``answer.response.error_comment`` and the like."""

    response: Response

    @classmethod
    def of(cls, response: Response) -> Answer:
        """The status of this response."""
        answer = cls(response.status)
        answer.response = response
        return answer


class Peer:
    """The other end of an established association, and what you may ask of it.

    Every method waits for its turn within the window negotiated, so several tasks may share one ``Peer``.
    All raise ``AssociationLost`` if the association ends before they are done, and ``LocalProtocolError``
    if what you ask was not negotiated.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._engine = session.engine

    @property
    def info(self) -> AssociationInfo:
        """Titles, address, and what was negotiated."""
        return self._session.info()

    @property
    def contexts(self) -> tuple[NegotiatedContext, ...]:
        """The presentation contexts proposed, with their results."""
        return self._engine.contexts

    @property
    def outcome(self) -> Outcome | None:
        """How the association ended; None while it has not."""
        return self._session.outcome

    async def c_echo(self) -> Answer:
        """Ask whether the peer is there (PS3.4 A, PS3.7 9.1.5); the status it answers."""
        async with self._invoke(self._engine.c_echo) as (_, inbox):
            self._session.link.kick()
            return await _final(inbox)

    async def c_store(
        self,
        source: Source,
        *,
        priority: int = Priority.MEDIUM,
        move_originator: tuple[str, int] | None = None,
        progress: Callable[[int], object] = lambda sent: None,
    ) -> Answer:
        """Store one instance (PS3.4 B, PS3.7 9.1.1); the status the peer answers.

        A file is streamed from behind its file meta and never decoded, if its transfer syntax was
        accepted; between the uncompressed transfer syntaxes it is converted if only another was.
        ``progress`` is told the bytes of the data set given to the engine so far.

        Raises ``OSError`` and ``DatasetError`` for a source that cannot be read, before anything is
        sent; ``LocalProtocolError`` says which transfer syntaxes would do if none that was accepted does.
        A source that fails in the middle of its data set aborts the association, since the standard has no
        other way (PS3.7 9.3.1.3), and raises what failed.
        """
        await self._session.established()
        link = self._session.link
        with self._opened(source) as opened:
            instance, context = await self._fitting(opened)

            def start() -> StoreRequest:
                return self._engine.c_store(
                    instance.sop_class_uid,
                    instance.sop_instance_uid,
                    context_id=context.id,
                    priority=priority,
                    move_originator=move_originator,
                )

            async with self._invoke(start) as (operation, inbox):
                pieces = _cut(instance.pieces(), self._piece_size())
                sent = 0
                while True:
                    piece = await link.call(next, pieces, None)
                    while not (operation.may_send or operation.over):
                        await inbox.get()
                    await link.flush()
                    self._session.check_alive()
                    if operation.over:
                        break  # the peer wants to release, or has refused the rest
                    operation.send_data(piece or b"", is_last=piece is None)
                    if piece is None:
                        break
                    sent += len(piece)
                    progress(sent)
                link.kick()
                return await _final(inbox)

    @asynccontextmanager
    async def c_store_each(
        self, sources: Iterable[S], *, priority: int = Priority.MEDIUM
    ) -> AsyncIterator[AsyncGenerator[tuple[S, Answer | Exception], None]]:
        """Store many, one after the other: an iterator over (source, status), in their order.

        A source that cannot be read or does not fit what was negotiated is given with its error
        (``OSError``, ``DatasetError``, ``LocalProtocolError``) in the place of the status; what ends the
        association is raised.
        """
        async with aclosing(self._store_each(sources, priority)) as results:
            yield results

    async def _store_each(
        self, sources: Iterable[S], priority: int
    ) -> AsyncGenerator[tuple[S, Answer | Exception], None]:
        for source in sources:
            try:
                answer = await self.c_store(source, priority=priority)
            except (OSError, DatasetError, LocalProtocolError) as error:
                if self.outcome is not None:
                    raise
                yield source, error
            else:
                yield source, answer

    async def release(self) -> Outcome:
        """End the association in good order (PS3.8 7.2); how it ended.

        Waits for what other tasks have outstanding. If the peer ends it first, that is the outcome.
        """
        engine, session = self._engine, self._session
        while self.outcome is None and (engine.outstanding or engine.unanswered):
            await session.changed()
        if self.outcome is None and engine.state is State.STA6:
            engine.release()
            session.link.kick()
        return await session.end()

    async def abort(self) -> Outcome:
        """End the association at once (PS3.8 7.3); returns when the connection may be closed."""
        self._session.abort()
        return await self._session.end()

    # ------------------------------------------------------------ how it is done

    @asynccontextmanager
    async def _invoke(self, start: Callable[[], R]) -> AsyncIterator[tuple[R, Inbox]]:
        """A request of ours with its inbox; left early, it is abandoned."""
        await self._session.room()
        operation = start()
        inbox = self._session.open_inbox(operation)
        try:
            yield operation, inbox
        finally:
            if not operation.over:
                operation.abandon()
            self._session.close_inbox(operation)

    def _piece_size(self) -> int:
        return min(_PIECE_SIZE, _PIECE_PDUS * (self.info.agreement.maximum_length or _PIECE_SIZE))

    def _opened(self, source: Source) -> AbstractContextManager[Instance]:
        if isinstance(source, Instance):
            return nullcontext(source)
        if isinstance(source, Dataset):
            return nullcontext(instance_of(source))
        return self._session.link.open_instance(source)

    async def _fitting(self, instance: Instance) -> tuple[Instance, NegotiatedContext]:
        """The context to send an instance on, and the instance in its transfer syntax (PS3.5 10.1)."""
        usable = [
            context
            for context in self._engine.contexts
            if context.accepted and context.as_scu and context.abstract_syntax == instance.sop_class_uid
        ]
        for context in usable:
            if context.transfer_syntax == instance.transfer_syntax_uid:
                return instance, context
        if instance.transfer_syntax_uid in uids.UNCOMPRESSED:
            for wanted in uids.UNCOMPRESSED:
                for context in usable:
                    if context.transfer_syntax == wanted:
                        return await self._session.link.call(convert, instance, wanted), context
        raise LocalProtocolError(self._no_context(instance, usable))

    def _no_context(self, instance: Instance, usable: list[NegotiatedContext]) -> str:
        name = STANDARD.name_of(instance.sop_class_uid)
        syntax = STANDARD.name_of(instance.transfer_syntax_uid)
        if usable:
            would_do = ", ".join(dict.fromkeys(STANDARD.name_of(context.transfer_syntax or "") for context in usable))
            return f"{name} in {syntax} cannot be sent to this peer, which takes it in: {would_do}"
        proposed = [c for c in self._engine.contexts if c.abstract_syntax == instance.sop_class_uid]
        if not proposed:
            return f"{name} cannot be sent: no presentation context for it was proposed"
        return f"{name} in {syntax} cannot be sent: the peer refused its presentation contexts ({_results(proposed)})"


def _results(contexts: list[NegotiatedContext]) -> str:
    meanings = {
        0: "not for us to send",
        1: "user rejection",
        2: "no reason given",
        3: "abstract syntax not supported",
        4: "transfer syntaxes not supported",
    }
    return ", ".join(sorted({meanings.get(context.result, f"result {context.result}") for context in contexts}))


def _cut(pieces: Iterable[bytes | memoryview], size: int) -> Iterator[memoryview]:
    """The same bytes in pieces of bounded length."""
    for piece in pieces:
        view = memoryview(piece)
        for at in range(0, len(view), size):
            yield view[at : at + size]


async def _final(inbox: Inbox) -> Answer:
    """The final response of a request."""
    while True:
        event = await inbox.get()
        if isinstance(event, events.ResponseReceived) and event.is_final:
            return Answer.of(event.response)
