"""The same conversations for those who block: nothing is written twice, only run to its end.

On a blocking socket no wait ever suspends: it drives the socket until what it waits for has happened.
So one ``send(None)`` runs a coroutine through. On a loop the same facades serve handlers in worker
threads, whose every step goes back to the loop by ``Link.block_on``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, overload

from sansdimse.dataset import Dataset
from sansdimse.dimse.messages import Priority
from sansdimse.peer import scu_find
from sansdimse.peer.scu import Answer, Peer, S, Source
from sansdimse.peer.scu_find import M

if TYPE_CHECKING:
    from sansdimse.dimse.messages import CEchoRQ, CFindRQ, CStoreRQ
    from sansdimse.outcome import Outcome
    from sansdimse.peer import scp
    from sansdimse.peer.conversation import Conversation
    from sansdimse.peer.link import Link
    from sansdimse.peer.session import AssociationInfo
    from sansdimse.peer.watch import OperationOutcome
    from sansdimse.ul.agreement import NegotiatedContext

T = TypeVar("T")
V = TypeVar("V", bound="Conversation")

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


class BlockingPeer:
    """``Peer`` for code that blocks; every method as there.

    ``deadline`` is how many seconds a method may take. When they have passed it raises ``TimeoutError``, and what it
    had asked is given up (``Request.abandon``): the association stays usable if the peer answers in time.
    """

    def __init__(self, peer: Peer, within: Within) -> None:
        self._peer = peer
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
            return run(self._peer.c_echo())

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
            return run(storing)

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
            matches = run(asking.__aenter__())
        try:
            yield Matches(matches, partial(self.within, deadline))
        finally:
            run(asking.__aexit__(None, None, None))

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
        results = run(manager.__aenter__())
        try:
            while True:
                try:
                    with self.within(deadline):
                        result = run(anext(results))
                except StopAsyncIteration:
                    return
                yield result
        finally:
            run(manager.__aexit__(None, None, None))

    def drained(self, *, deadline: float | None = None) -> tuple[OperationOutcome, ...]:
        """How the requests ended that were given up: ``Peer.drained``."""
        with self.within(deadline):
            return run(self._peer.drained())

    def release(self, *, deadline: float | None = None) -> Outcome:
        """End the association in good order: ``Peer.release``."""
        with self.within(deadline):
            return run(self._peer.release())

    def abort(self) -> Outcome:
        """End the association at once: ``Peer.abort``."""
        return run(self._peer.abort())


class Matches(Generic[M]):
    """``scu_find.Matches`` for code that blocks: ``for`` over it gives the matches."""

    def __init__(self, matches: scu_find.Matches[M], within: Callable[[], AbstractContextManager[None]]) -> None:
        self._matches = matches
        self._within = within

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
            match = run(anext(self._matches, None))
        if match is None:
            raise StopIteration
        return match


class Facade(Generic[V]):
    """What every request of the peer looks like to a handler that blocks: ``Conversation``."""

    def __init__(self, conversation: V, link: Link) -> None:
        self._conversation = conversation
        self._link = link

    @property
    def context(self) -> NegotiatedContext:
        """The presentation context."""
        return self._conversation.context

    @property
    def transfer_syntax_uid(self) -> str:
        """The transfer syntax of data sets, theirs and ours."""
        return self._conversation.transfer_syntax_uid

    @property
    def association(self) -> AssociationInfo:
        """Who asks."""
        return self._conversation.association

    @property
    def cancelled(self) -> bool:
        """Whether nobody waits for the answer: after a C-CANCEL, or because the association ends, whoever ends it.

        A handler that takes long should ask now and then: it learns of it in no other way before it reads on, or
        gives its next match.
        """
        self._link.look()
        return self._conversation.cancelled

    def abort(self) -> None:
        """End the association at once (PS3.8 7.3)."""
        self._link.block_on(_abort(self._conversation))


class Echo(Facade["scp.Echo"]):
    """``scp.Echo`` for a handler that blocks."""

    @property
    def request(self) -> CEchoRQ:
        """The command set."""
        return self._conversation.request


class Find(Facade["scp.Find"]):
    """``scp.Find`` for a handler that blocks."""

    @property
    def request(self) -> CFindRQ:
        """The command set: priority and all."""
        return self._conversation.request

    @property
    def sop_class_uid(self) -> str:
        """The information model or service asked, as the peer gave it."""
        return self._conversation.sop_class_uid

    @property
    def raw_identifier(self) -> bytes:
        """The identifier as it came."""
        return self._conversation.raw_identifier

    @property
    def identifier(self) -> Dataset:
        """The identifier decoded: ``scp.Find.identifier``."""
        return self._conversation.identifier


class Store(Facade["scp.Store"]):
    """``scp.Store`` for a handler that blocks: ``for`` over it gives the pieces."""

    def __init__(self, store: scp.Store, link: Link) -> None:
        super().__init__(store, link)
        self._ahead: deque[bytes | memoryview] = deque()  # fetched, and not given yet

    @property
    def request(self) -> CStoreRQ:
        """The command set: priority, move originator and all."""
        return self._conversation.request

    @property
    def sop_class_uid(self) -> str:
        """The instance's SOP class, as the peer gave it."""
        return self._conversation.sop_class_uid

    @property
    def sop_instance_uid(self) -> str:
        """The instance's UID as the peer gave it: check it before it becomes a name of anything."""
        return self._conversation.sop_instance_uid

    def part10_header(self) -> bytes:
        """Preamble and file meta: ``scp.Store.part10_header``."""
        return self._conversation.part10_header()

    def __iter__(self) -> Iterator[bytes | memoryview]:
        while True:
            if not self._ahead:
                self._ahead.extend(self.pieces())
                if not self._ahead:
                    return
            yield self._ahead.popleft()

    def pieces(self) -> list[bytes | memoryview]:
        """The pieces that have arrived: ``scp.Store.pieces``. A hop to a loop costs more than a piece."""
        if self._ahead:
            pieces = list(self._ahead)
            self._ahead.clear()
            return pieces
        return self._link.block_on(self._conversation.pieces())

    def read(self) -> bytes:
        """The whole data set, or what is left of it: ``scp.Store.read``."""
        return b"".join(self)

    def dataset(self) -> Dataset:
        """The whole data set decoded: ``scp.Store.dataset``."""
        return self._conversation.decoded(self.read())  # here, in the thread that is there to block


async def _abort(conversation: Conversation) -> None:
    conversation.abort()  # in the loop's thread: the engine is not for several
