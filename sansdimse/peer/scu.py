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
from sansdimse.peer.answer import Answer, Reply, final_answer, final_reply, tag_of
from sansdimse.peer.scu_find import Matches, check_query
from sansdimse.peer.scu_retrieve import Progress, Retrieval, Retrieved
from sansdimse.peer.storing import Many, S, Source, Storer
from sansdimse.ul.table import State

if TYPE_CHECKING:
    from sansdimse.outcome import Outcome
    from sansdimse.peer.inbox import Inbox
    from sansdimse.peer.session import AssociationInfo, Session
    from sansdimse.peer.watch import OperationOutcome
    from sansdimse.services.normalized import NormalizedRequest
    from sansdimse.services.operation import Request
    from sansdimse.ul.agreement import NegotiatedContext

__all__ = ["Answer", "Matches", "Peer", "Progress", "Reply", "Retrieval", "Retrieved", "S", "Source"]

R = TypeVar("R", bound="Request")


class Peer:
    """The other end of an established association, and what you may ask of it.

    Every method waits for its turn within the window negotiated, so several tasks may share one ``Peer``.
    All raise ``AssociationLost`` if the association ends before they are done, and ``LocalProtocolError``
    if what you ask was not negotiated.
    """

    def __init__(self, session: Session) -> None:
        self.session = session
        """Its events and conversations; for those who write conversations."""
        self._engine = session.engine

    @property
    def info(self) -> AssociationInfo:
        """Titles, address, and what was negotiated."""
        return self.session.info()

    @property
    def contexts(self) -> tuple[NegotiatedContext, ...]:
        """The presentation contexts proposed, with their results."""
        return self._engine.contexts

    @property
    def outcome(self) -> Outcome | None:
        """How the association ended; None while it has not."""
        return self.session.outcome

    async def c_echo(self) -> Answer:
        """Ask whether the peer is there (PS3.4 A, PS3.7 9.1.5); the status it answers."""
        async with self._invoke(self._engine.c_echo) as (_, inbox):
            self.session.link.kick()
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
        await self.session.established()
        storer = Storer(self.session)
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
        start, _ = await self._identified(self._engine.c_find, sop_class_uid, query, transfer_syntax_uid, "C-FIND")
        async with self._invoke(partial(start, priority=priority)) as (operation, inbox):
            self.session.link.kick()
            matches: Matches[Any] = Matches(self.session, operation, inbox, raw or not isinstance(query, Dataset))
            yield matches
        if matches.answer is None:
            await self.session.link.flush()  # a blocking socket writes only where it waits: the C-CANCEL

    @asynccontextmanager
    async def c_get(
        self,
        sop_class_uid: str,
        query: Dataset | bytes,
        *,
        store: Any = None,
        transfer_syntax_uid: str | None = None,
        priority: int = Priority.MEDIUM,
    ) -> AsyncIterator[Retrieval]:
        """Retrieve over this association (PS3.4 C.4.3, PS3.7 9.1.3): ``async for`` over it tells how far it is.

        ``store`` is the handler of what is retrieved, as a service's ``c_store``; without it the ``service`` of
        ``associate`` stores it. The contexts of what may come must have been proposed with the SCP role: ``plan_get``.

        When the iteration is over, ``retrieval.answer`` is the status that ended it, with counters and failed
        instances; ``await retrieval.finished()`` waits for that alone. Leaving the block early abandons the retrieval:
        C-CANCEL. What is stored until the peer heeds it is still taken, unless an exception leaves the block.

        Raises ``DatasetError`` if the query cannot be encoded, ``LocalProtocolError`` while another C-GET of ours is
        outstanding, ``TypeError`` if nobody would store what comes; all before anything is sent.
        """
        async with self.session.storing(store) as begin:
            start, context = await self._identified(
                self._engine.c_get, sop_class_uid, query, transfer_syntax_uid, "C-GET"
            )
            async with self._retrieving(partial(start, priority=priority), context) as retrieval:
                begin()  # not before: what came while it waited for its turn is of one that was given up
                yield retrieval
            if not retrieval.is_over:  # what the peer stores until it heeds the C-CANCEL has its handler
                await self.session.link.flush()
                await self._drained(retrieval)

    @asynccontextmanager
    async def c_move(
        self,
        sop_class_uid: str,
        query: Dataset | bytes,
        destination: str,
        *,
        transfer_syntax_uid: str | None = None,
        priority: int = Priority.MEDIUM,
    ) -> AsyncIterator[Retrieval]:
        """Have the peer store at ``destination``, an AE title that it knows (PS3.4 C.4.2, PS3.7 9.1.4).

        Otherwise as ``c_get``.
        """
        start, context = await self._identified(
            partial(self._engine.c_move, destination=destination), sop_class_uid, query, transfer_syntax_uid, "C-MOVE"
        )
        async with self._retrieving(partial(start, priority=priority), context) as retrieval:
            yield retrieval
        if not retrieval.is_over:
            await self.session.link.flush()

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
        await self.session.established()
        many = Many(self.session, sources, priority, progress)
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

    async def serve(self, until: Callable[[], object] = lambda: False) -> None:
        """Answer what the peer asks, until ``until`` is true or the association ends.

        On a loop this happens anyhow, and here one only waits for it; ``until`` is looked at whenever something
        about the association changes: a request of the peer answered, say.
        """
        while not (until() or self.session.ended or self.session.outcome is not None):
            await self.session.changed()

    async def drained(self) -> tuple[OperationOutcome, ...]:
        """How the requests ended that were given up (cancelled, past a deadline, left early), once all have.

        ``Ending.DRAINED``: the final response came within ``Limits.cancel_drain``, and the association is usable;
        ``Ending.LOST``: it did not, and the association was aborted. At most the last 64, the latest last.
        """
        session = self.session
        while session.ledger.draining and not session.ended:
            await session.changed()
        return tuple(session.ledger.abandoned)

    async def release(self) -> Outcome:
        """End the association in good order (PS3.8 7.2); how it ended.

        Waits for what other tasks have outstanding, or stand in line to ask. If the peer ends it first, that is the
        outcome.
        """
        engine, session = self._engine, self.session
        while self.outcome is None and (engine.outstanding or engine.unanswered or len(session.line)):
            await session.changed()
        if self.outcome is None and engine.state is State.STA6:
            engine.release()
            session.link.kick()
        return await session.end()

    async def abort(self) -> Outcome:
        """End the association at once (PS3.8 7.3); returns when the connection may be closed."""
        self.session.abort()
        return await self.session.end()

    # ------------------------------------------------------------ DIMSE-N, PS3.7 10.1

    async def n_event_report(
        self, sop_class_uid: str, sop_instance_uid: str, event_type_id: int, information: Dataset | bytes | None = None
    ) -> Reply:
        """Report an event (PS3.7 10.1.1), as the SCP of the SOP class: who opens the association proposes that role.

        ``reply.data_set`` is the Event Reply. Of all that follow: a data set that is ``bytes`` must be encoded in the
        transfer syntax of the context; SOP classes of a Meta SOP class that was accepted are found there.
        """
        start = partial(self._engine.n_event_report, sop_class_uid, sop_instance_uid, event_type_id)
        return await self._normalized(
            start, sop_class_uid, information, role="SCP", service="N-EVENT-REPORT", type_id=event_type_id
        )

    async def n_get(self, sop_class_uid: str, sop_instance_uid: str, attributes: Iterable[int | str] = ()) -> Reply:
        """Read attributes, by tag or keyword; none are all (PS3.7 10.1.2). ``reply.data_set`` has them."""
        tags = [tag_of(attribute) for attribute in attributes]
        return await self._normalized(
            partial(self._engine.n_get, sop_class_uid, sop_instance_uid, tags), sop_class_uid, None, service="N-GET"
        )

    async def n_set(self, sop_class_uid: str, sop_instance_uid: str, modifications: Dataset | bytes) -> Reply:
        """Change attributes (PS3.7 10.1.3). ``reply.data_set`` has what the peer says of them, if it does."""
        start = partial(self._engine.n_set, sop_class_uid, sop_instance_uid)
        return await self._normalized(start, sop_class_uid, modifications, service="N-SET")

    async def n_action(
        self, sop_class_uid: str, sop_instance_uid: str, action_type_id: int, information: Dataset | bytes | None = None
    ) -> Reply:
        """Have something done (PS3.7 10.1.4). ``reply.data_set`` is the Action Reply."""
        start = partial(self._engine.n_action, sop_class_uid, sop_instance_uid, action_type_id)
        return await self._normalized(start, sop_class_uid, information, service="N-ACTION", type_id=action_type_id)

    async def n_create(
        self, sop_class_uid: str, sop_instance_uid: str | None = None, attributes: Dataset | bytes | None = None
    ) -> Reply:
        """Create an instance (PS3.7 10.1.5). Without a UID the peer invents one: ``reply.sop_instance_uid``."""
        start = partial(self._engine.n_create, sop_class_uid, sop_instance_uid)
        return await self._normalized(start, sop_class_uid, attributes, service="N-CREATE")

    async def n_delete(self, sop_class_uid: str, sop_instance_uid: str) -> Reply:
        """Delete an instance (PS3.7 10.1.6)."""
        return await self._normalized(
            partial(self._engine.n_delete, sop_class_uid, sop_instance_uid), sop_class_uid, None, service="N-DELETE"
        )

    # ------------------------------------------------------------ how it is done

    @asynccontextmanager
    async def _invoke(self, start: Callable[[], R]) -> AsyncIterator[tuple[R, Inbox]]:
        """A request of ours with its inbox; left early, it is abandoned."""
        await self.session.room()
        operation = start()
        inbox = self.session.open_inbox(operation)
        try:
            yield operation, inbox
        finally:
            if not operation.over:
                operation.abandon()
            self.session.close_inbox(operation)

    async def _identified(
        self,
        invoke: Callable[..., R],
        sop_class_uid: str,
        query: Dataset | bytes,
        transfer_syntax_uid: str | None,
        service: str,
    ) -> tuple[Callable[..., R], NegotiatedContext]:
        """How to invoke with an identifier, and on which context."""
        check_query(query)
        await self.session.established()
        context = self._engine.context_for(sop_class_uid, transfer_syntax_uid, service=service)
        identifier = encode(query, context.transfer_syntax or "") if isinstance(query, Dataset) else query
        return partial(invoke, sop_class_uid, identifier, context_id=context.id), context

    @asynccontextmanager
    async def _retrieving(self, start: Callable[[], R], context: NegotiatedContext) -> AsyncIterator[Retrieval]:
        async with self._invoke(start) as (operation, inbox):
            self.session.link.kick()
            yield Retrieval(self.session, operation, inbox, context.transfer_syntax or "")

    async def _drained(self, retrieval: Retrieval) -> None:
        while not (retrieval.is_over or self.session.ended):
            await self.session.changed()

    async def _normalized(
        self,
        start: Callable[..., NormalizedRequest],
        sop_class_uid: str,
        data_set: Dataset | bytes | None,
        role: str = "SCU",
        *,
        service: str,
        type_id: int | None = None,
    ) -> Reply:
        await self.session.established()
        context = self._engine.context_for(sop_class_uid, role=role, service=service, type_id=type_id)
        syntax = context.transfer_syntax or ""
        start = partial(start, context_id=context.id)
        if data_set is not None:
            start = partial(start, data_set=encode(data_set, syntax) if isinstance(data_set, Dataset) else data_set)
        async with self._invoke(start) as (_, inbox):
            self.session.link.kick()
            return await final_reply(inbox, syntax)
