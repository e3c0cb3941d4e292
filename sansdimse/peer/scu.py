"""What you ask of a peer: conversations from the first byte of a request to its last response.

Written once, as plain ``async def`` that awaits only what a ``Link`` gives, so that they run on every
transport, blocking sockets included. Any of them may be cancelled where it waits: the request is then
abandoned, and the association stays usable if the peer answers in time (``Request.abandon``).
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from sansdimse.dataset import Dataset, encode
from sansdimse.dimse.messages import Priority
from sansdimse.peer.answer import Answer, final_answer
from sansdimse.peer.scu_find import Matches, check_query
from sansdimse.peer.storing import Many, S, Source, Storer
from sansdimse.ul.table import State

if TYPE_CHECKING:
    from sansdimse.outcome import Outcome
    from sansdimse.peer.session import AssociationInfo, Inbox, Session
    from sansdimse.peer.watch import OperationOutcome
    from sansdimse.services.operation import Request
    from sansdimse.ul.agreement import NegotiatedContext

__all__ = ["Answer", "Matches", "Peer", "S", "Source"]

R = TypeVar("R", bound="Request")


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
            return await final_answer(inbox)

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
        storer = Storer(self._session)
        with storer.opened(source) as opened:
            instance, context = await storer.fitting(opened)
            start = partial(storer.start, instance, context, priority, move_originator)
            async with self._invoke(start) as (operation, inbox):
                await storer.send(operation, instance, inbox.get, progress)
                return await final_answer(inbox)

    @overload
    def c_find(
        self,
        sop_class_uid: str,
        query: Dataset,
        *,
        raw: Literal[False] = False,
        transfer_syntax_uid: str | None = None,
        priority: int = Priority.MEDIUM,
    ) -> AbstractAsyncContextManager[Matches[Dataset]]: ...
    @overload
    def c_find(
        self,
        sop_class_uid: str,
        query: Dataset,
        *,
        raw: Literal[True],
        transfer_syntax_uid: str | None = None,
        priority: int = Priority.MEDIUM,
    ) -> AbstractAsyncContextManager[Matches[bytes]]: ...
    @overload
    def c_find(
        self,
        sop_class_uid: str,
        query: bytes,
        *,
        raw: bool = True,
        transfer_syntax_uid: str | None = None,
        priority: int = Priority.MEDIUM,
    ) -> AbstractAsyncContextManager[Matches[bytes]]: ...

    @asynccontextmanager
    async def c_find(
        self,
        sop_class_uid: str,
        query: Dataset | bytes,
        *,
        raw: bool = False,
        transfer_syntax_uid: str | None = None,
        priority: int = Priority.MEDIUM,
    ) -> AsyncIterator[Matches[Any]]:
        """Find what matches a query (PS3.4 C.4.1, K.4.1, PS3.7 9.1.2): ``async for`` over it gives the matches.

        A query that is ``bytes`` must be encoded in the transfer syntax of the context; name that if several may
        have been accepted. Its matches are bytes too, and so are those of any query with ``raw``.

        When the iteration is over, ``matches.answer`` is the status that ended it, which may well be a failure.
        Leaving the block early abandons the query: C-CANCEL, and what comes is dropped.

        Raises ``DatasetError`` if the query cannot be encoded, before anything is sent.
        """
        check_query(query)
        await self._session.established()
        context = self._engine.context_for(sop_class_uid, transfer_syntax_uid)
        identifier = encode(query, context.transfer_syntax or "") if isinstance(query, Dataset) else query
        start = partial(self._engine.c_find, sop_class_uid, identifier, context_id=context.id, priority=priority)
        async with self._invoke(start) as (operation, inbox):
            self._session.link.kick()
            matches: Matches[Any] = Matches(self._session, operation, inbox, raw or not isinstance(query, Dataset))
            yield matches
        if matches.answer is None:
            await self._session.link.flush()  # a blocking socket writes only where it waits: the C-CANCEL

    @asynccontextmanager
    async def c_store_each(
        self,
        sources: Iterable[S],
        *,
        priority: int = Priority.MEDIUM,
        progress: Callable[[S, int], object] = lambda source, sent: None,
    ) -> AsyncIterator[AsyncGenerator[tuple[S, Answer | Exception], None]]:
        """Store many: an iterator over (source, status), in the order of the sources.

        As many are outstanding as the window negotiated allows (PS3.7 D.3.3.3): while they wait for their answers
        the data set of the next goes out. ``sources`` may be lazy and endless: no more are taken ahead than that.
        A result is given as soon as it and all before it are known, but never in the middle of a data set.
        ``progress`` is told the source and the bytes of its data set given to the engine so far.

        A source that cannot be read or does not fit what was negotiated is given with its error (``OSError``,
        ``DatasetError``, ``LocalProtocolError``) in the place of the status. What ends the association is raised,
        after all results that are known: ``AssociationLost.in_doubt`` has the sources whose answers are not. What
        iterating ``sources`` raises is raised after the results of all before.

        Leaving early abandons what is outstanding, and the association stays usable, unless it was cancelled in the
        middle of a data set.
        """
        async with aclosing(self._store_each(sources, priority, progress)) as results:
            yield results

    async def _store_each(
        self, sources: Iterable[S], priority: int, progress: Callable[[S, int], object]
    ) -> AsyncGenerator[tuple[S, Answer | Exception], None]:
        await self._session.established()
        many = Many(self._session, sources, priority, progress)
        try:
            while many.goes_on:
                failure: Exception | None = None
                try:
                    await many.step()
                except Exception as error:  # noqa: BLE001 - whatever it is, it is raised after what is known
                    failure = many.failed(error)
                while (known := many.take_known()) is not None:
                    yield known
                if failure is not None:
                    raise failure
            if many.failure is not None:
                raise many.failure
        finally:
            many.close()

    async def drained(self) -> tuple[OperationOutcome, ...]:
        """How the requests ended that were given up (cancelled, past a deadline, left early), once all have.

        ``Ending.DRAINED``: the final response came within ``Limits.cancel_drain``, and the association is usable;
        ``Ending.LOST``: it did not, and the association was aborted. At most the last 64, the latest last.
        """
        session = self._session
        while session.ledger.draining and not session.ended:
            await session.changed()
        return tuple(session.ledger.abandoned)

    async def release(self) -> Outcome:
        """End the association in good order (PS3.8 7.2); how it ended.

        Waits for what other tasks have outstanding, or stand in line to ask. If the peer ends it first, that is the
        outcome.
        """
        engine, session = self._engine, self._session
        while self.outcome is None and (engine.outstanding or engine.unanswered or len(session.line)):
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
