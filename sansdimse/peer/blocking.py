"""The same conversations for those who block: nothing is written twice, only run to its end.

On a blocking socket no wait ever suspends: it drives the socket until what it waits for has happened.
So one ``send(None)`` runs a coroutine through. On a loop the same facades serve handlers in worker
threads, whose every step goes back to the loop by ``Link.block_on``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, Literal, Protocol, TypeVar, overload

from sansdimse.dataset import Dataset
from sansdimse.dimse.messages import Priority
from sansdimse.errors import LocalProtocolError
from sansdimse.peer import scu_find, scu_retrieve
from sansdimse.peer.answer import Reply
from sansdimse.peer.scu import Answer, Peer, S, Source
from sansdimse.peer.scu_find import M
from sansdimse.peer.scu_retrieve import Progress, Retrieved

if TYPE_CHECKING:
    from sansdimse.outcome import Outcome
    from sansdimse.peer.session import AssociationInfo
    from sansdimse.peer.watch import OperationOutcome
    from sansdimse.ul.agreement import NegotiatedContext

T = TypeVar("T")

Within = Callable[[float | None], AbstractContextManager[None]]
"""Bounds the waits in its context by so many seconds: ``TimeoutError`` then; None sets no bound."""


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that never suspends. Raises ``RuntimeError`` if it does: it awaited something foreign."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        result: T = stop.value
        return result
    coroutine.close()
    raise RuntimeError("a coroutine on a blocking socket awaited something that only an event loop can give")


class Run(Protocol):
    """Runs a conversation to its end: ``run``, or from a worker thread ``Link.block_on``."""

    def __call__(self, coroutine: Coroutine[Any, Any, T], /) -> T:
        """What it returns."""
        ...


@contextmanager
def unbounded(seconds: float | None) -> Iterator[None]:
    """The ``Within`` of a worker thread, which no deadline can interrupt. Raises ``LocalProtocolError`` for one."""
    if seconds is not None:
        raise LocalProtocolError("a deadline is for blocking sockets; on a loop, use its own time-outs")
    yield


async def _next(iterator: AsyncIterator[T]) -> T:
    return await anext(iterator)


async def next_of(iterator: AsyncIterator[T]) -> T | None:
    """The next, or None after the last: a coroutine, which ``anext`` gives not."""
    return await anext(iterator, None)


class BlockingPeer:
    """``Peer`` for code that blocks; every method as there.

    ``deadline`` is how many seconds a method may take. When they have passed it raises ``TimeoutError``, and what it
    had asked is given up (``Request.abandon``): the association stays usable if the peer answers in time.
    """

    def __init__(self, peer: Peer, within: Within, run: Run = run) -> None:
        self._peer = peer
        self._run = run
        self.within: Within = within
        """The same for several calls: ``with peer.within(5.0): ...``; the nearer of two counts."""

    @property
    def info(self) -> AssociationInfo:
        """Titles, address, and what was negotiated."""
        return self._peer.info

    @property
    def contexts(self) -> tuple[NegotiatedContext, ...]:
        """The presentation contexts proposed, with their results."""
        return self._peer.contexts

    @property
    def outcome(self) -> Outcome | None:
        """How the association ended; None while it has not."""
        return self._peer.outcome

    def c_echo(self, *, deadline: float | None = None) -> Answer:
        """Ask whether the peer is there: ``Peer.c_echo``."""
        with self.within(deadline):
            return self._run(self._peer.c_echo())

    def c_store(
        self,
        source: Source,
        *,
        priority: int = Priority.MEDIUM,
        move_originator: tuple[str, int] | None = None,
        progress: Callable[[int], object] = lambda sent: None,
        deadline: float | None = None,
    ) -> Answer:
        """Store one instance: ``Peer.c_store``. A deadline that passes in the middle of its data set aborts."""
        storing = self._peer.c_store(source, priority=priority, move_originator=move_originator, progress=progress)
        with self.within(deadline):
            return self._run(storing)

    @overload
    def c_find(
        self,
        sop_class_uid: str,
        query: Dataset,
        *,
        raw: Literal[False] = False,
        transfer_syntax_uid: str | None = None,
        priority: int = Priority.MEDIUM,
        deadline: float | None = None,
    ) -> AbstractContextManager[Matches[Dataset]]: ...
    @overload
    def c_find(
        self,
        sop_class_uid: str,
        query: Dataset,
        *,
        raw: Literal[True],
        transfer_syntax_uid: str | None = None,
        priority: int = Priority.MEDIUM,
        deadline: float | None = None,
    ) -> AbstractContextManager[Matches[bytes]]: ...
    @overload
    def c_find(
        self,
        sop_class_uid: str,
        query: bytes,
        *,
        raw: bool = True,
        transfer_syntax_uid: str | None = None,
        priority: int = Priority.MEDIUM,
        deadline: float | None = None,
    ) -> AbstractContextManager[Matches[bytes]]: ...

    @contextmanager
    def c_find(
        self,
        sop_class_uid: str,
        query: Any,
        *,
        raw: bool = False,
        transfer_syntax_uid: str | None = None,
        priority: int = Priority.MEDIUM,
        deadline: float | None = None,
    ) -> Iterator[Matches[Any]]:
        """Find what matches a query: ``Peer.c_find``, and ``for`` over it gives the matches.

        The deadline is for each match. Leaving the block early writes the C-CANCEL; what comes is dropped when the
        association is used next.
        """
        asking: AbstractAsyncContextManager[scu_find.Matches[Any]] = self._peer.c_find(
            sop_class_uid, query, raw=raw, transfer_syntax_uid=transfer_syntax_uid, priority=priority
        )
        with self.within(deadline):
            matches = self._run(asking.__aenter__())
        try:
            yield Matches(matches, partial(self.within, deadline), self._run)
        finally:
            self._run(asking.__aexit__(None, None, None))

    def c_store_each(
        self,
        sources: Iterable[S],
        *,
        priority: int = Priority.MEDIUM,
        progress: Callable[[S, int], object] = lambda source, sent: None,
        deadline: float | None = None,
    ) -> Iterator[tuple[S, Answer | Exception]]:
        """Store many: ``Peer.c_store_each``, as a plain generator, which closes itself when the loop is left.

        The deadline is for each result.
        """
        manager = self._peer.c_store_each(sources, priority=priority, progress=progress)
        results = self._run(manager.__aenter__())
        try:
            while True:
                try:
                    with self.within(deadline):
                        result = self._run(_next(results))
                except StopAsyncIteration:
                    return
                yield result
        finally:
            self._run(manager.__aexit__(None, None, None))

    @contextmanager
    def c_get(
        self,
        sop_class_uid: str,
        query: Dataset | bytes,
        *,
        store: Any = None,
        transfer_syntax_uid: str | None = None,
        priority: int = Priority.MEDIUM,
        deadline: float | None = None,
    ) -> Iterator[Retrieval]:
        """Retrieve over this association: ``Peer.c_get``. The deadline is for each response."""
        asking = self._peer.c_get(
            sop_class_uid, query, store=store, transfer_syntax_uid=transfer_syntax_uid, priority=priority
        )
        with self._retrieving(asking, deadline) as retrieval:
            yield retrieval

    @contextmanager
    def c_move(
        self,
        sop_class_uid: str,
        query: Dataset | bytes,
        destination: str,
        *,
        transfer_syntax_uid: str | None = None,
        priority: int = Priority.MEDIUM,
        deadline: float | None = None,
    ) -> Iterator[Retrieval]:
        """Have the peer store elsewhere: ``Peer.c_move``. The deadline is for each response."""
        asking = self._peer.c_move(
            sop_class_uid, query, destination, transfer_syntax_uid=transfer_syntax_uid, priority=priority
        )
        with self._retrieving(asking, deadline) as retrieval:
            yield retrieval

    @contextmanager
    def _retrieving(
        self, asking: AbstractAsyncContextManager[scu_retrieve.Retrieval], deadline: float | None
    ) -> Iterator[Retrieval]:
        with self.within(deadline):
            retrieval = self._run(asking.__aenter__())
        try:
            yield Retrieval(retrieval, partial(self.within, deadline), self._run)
        except BaseException as error:
            self._run(asking.__aexit__(type(error), error, error.__traceback__))
            if self._peer.outcome is None:
                self._run(self._peer.session.link.flush())  # the C-CANCEL
            raise
        self._run(asking.__aexit__(None, None, None))

    def n_event_report(
        self,
        sop_class_uid: str,
        sop_instance_uid: str,
        event_type_id: int,
        information: Dataset | bytes | None = None,
        *,
        deadline: float | None = None,
    ) -> Reply:
        """Report an event: ``Peer.n_event_report``."""
        asking = self._peer.n_event_report(sop_class_uid, sop_instance_uid, event_type_id, information)
        return self._asked(asking, deadline)

    def n_get(
        self,
        sop_class_uid: str,
        sop_instance_uid: str,
        attributes: Iterable[int | str] = (),
        *,
        deadline: float | None = None,
    ) -> Reply:
        """Read attributes: ``Peer.n_get``."""
        return self._asked(self._peer.n_get(sop_class_uid, sop_instance_uid, attributes), deadline)

    def n_set(
        self,
        sop_class_uid: str,
        sop_instance_uid: str,
        modifications: Dataset | bytes,
        *,
        deadline: float | None = None,
    ) -> Reply:
        """Change attributes: ``Peer.n_set``."""
        return self._asked(self._peer.n_set(sop_class_uid, sop_instance_uid, modifications), deadline)

    def n_action(
        self,
        sop_class_uid: str,
        sop_instance_uid: str,
        action_type_id: int,
        information: Dataset | bytes | None = None,
        *,
        deadline: float | None = None,
    ) -> Reply:
        """Have something done: ``Peer.n_action``."""
        asking = self._peer.n_action(sop_class_uid, sop_instance_uid, action_type_id, information)
        return self._asked(asking, deadline)

    def n_create(
        self,
        sop_class_uid: str,
        sop_instance_uid: str | None = None,
        attributes: Dataset | bytes | None = None,
        *,
        deadline: float | None = None,
    ) -> Reply:
        """Create an instance: ``Peer.n_create``."""
        return self._asked(self._peer.n_create(sop_class_uid, sop_instance_uid, attributes), deadline)

    def n_delete(self, sop_class_uid: str, sop_instance_uid: str, *, deadline: float | None = None) -> Reply:
        """Delete an instance: ``Peer.n_delete``."""
        return self._asked(self._peer.n_delete(sop_class_uid, sop_instance_uid), deadline)

    def _asked(self, asking: Coroutine[Any, Any, Reply], deadline: float | None) -> Reply:
        with self.within(deadline):
            return self._run(asking)

    def serve(self, until: Callable[[], object] = lambda: False, *, deadline: float | None = None) -> None:
        """Answer what the peer asks, until ``until`` is true or the association ends: ``Peer.serve``.

        On a blocking socket nothing else does so between two methods; an N-EVENT-REPORT is waited for here.
        """
        with self.within(deadline):
            self._run(self._peer.serve(until))

    def drained(self, *, deadline: float | None = None) -> tuple[OperationOutcome, ...]:
        """How the requests ended that were given up: ``Peer.drained``."""
        with self.within(deadline):
            return self._run(self._peer.drained())

    def release(self, *, deadline: float | None = None) -> Outcome:
        """End the association in good order: ``Peer.release``."""
        with self.within(deadline):
            return self._run(self._peer.release())

    def abort(self) -> Outcome:
        """End the association at once: ``Peer.abort``."""
        return self._run(self._peer.abort())


class Matches(Generic[M]):
    """``scu_find.Matches`` for code that blocks: ``for`` over it gives the matches."""

    def __init__(
        self, matches: scu_find.Matches[M], within: Callable[[], AbstractContextManager[None]], run: Run
    ) -> None:
        self._matches = matches
        self._within = within
        self._run = run

    @property
    def answer(self) -> Answer | None:
        """The status that ended it, once it has: Success, FE00 after ``cancel``, a failure."""
        return self._matches.answer

    @property
    def complete(self) -> bool:
        """Whether every optional key of the query was honoured so far."""
        return self._matches.complete

    def cancel(self) -> None:
        """Ask the peer to stop: ``scu_find.Matches.cancel``. It is written when the next match is asked for."""
        self._matches.cancel()

    def __iter__(self) -> Iterator[M]:
        return self

    def __next__(self) -> M:
        with self._within():
            match = self._run(next_of(self._matches))
        if match is None:
            raise StopIteration
        return match


class Retrieval:
    """``scu_retrieve.Retrieval`` for code that blocks: ``for`` over it tells how far it is."""

    def __init__(
        self, retrieval: scu_retrieve.Retrieval, within: Callable[[], AbstractContextManager[None]], run: Run
    ) -> None:
        self._retrieval = retrieval
        self._within = within
        self._run = run

    @property
    def progress(self) -> Progress:
        """What the peer told last."""
        return self._retrieval.progress

    @property
    def answer(self) -> Retrieved | None:
        """The status that ended it, once it has."""
        return self._retrieval.answer

    @property
    def is_over(self) -> bool:
        """Whether the peer has told how it ended."""
        return self._retrieval.is_over

    def cancel(self) -> None:
        """Ask the peer to stop: ``scu_retrieve.Retrieval.cancel``. It is written at the next wait."""
        self._retrieval.cancel()

    def finished(self) -> Retrieved:
        """Wait until it has ended; how: ``scu_retrieve.Retrieval.finished``."""
        with self._within():
            return self._run(self._retrieval.finished())

    def __iter__(self) -> Iterator[Progress]:
        return self

    def __next__(self) -> Progress:
        with self._within():
            progress = self._run(next_of(self._retrieval))
        if progress is None:
            raise StopIteration
        return progress
