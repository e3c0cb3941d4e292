"""The same conversations for those who block: nothing is written twice, only run to its end.

On a blocking socket no wait ever suspends: it drives the socket until what it waits for has happened.
So one ``send(None)`` runs a coroutine through. On a loop the same facades serve handlers in worker
threads, whose every step goes back to the loop by ``Link.block_on``.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from sansdimse.dimse.messages import Priority
from sansdimse.peer.scu import Answer, Peer, S, Source

if TYPE_CHECKING:
    from sansdimse.dataset import Dataset
    from sansdimse.dimse.messages import CEchoRQ, CStoreRQ
    from sansdimse.outcome import Outcome
    from sansdimse.peer import scp
    from sansdimse.peer.link import Link
    from sansdimse.peer.session import AssociationInfo
    from sansdimse.ul.agreement import NegotiatedContext

T = TypeVar("T")


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
    """``Peer`` for code that blocks; every method as there."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer

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

    def c_echo(self) -> Answer:
        """Ask whether the peer is there: ``Peer.c_echo``."""
        return run(self._peer.c_echo())

    def c_store(
        self,
        source: Source,
        *,
        priority: int = Priority.MEDIUM,
        move_originator: tuple[str, int] | None = None,
        progress: Callable[[int], object] = lambda sent: None,
    ) -> Answer:
        """Store one instance: ``Peer.c_store``."""
        return run(self._peer.c_store(source, priority=priority, move_originator=move_originator, progress=progress))

    def c_store_each(
        self, sources: Iterable[S], *, priority: int = Priority.MEDIUM
    ) -> Iterator[tuple[S, Answer | Exception]]:
        """Store many: ``Peer.c_store_each``, as a plain generator, which closes itself when the loop is left."""
        manager = self._peer.c_store_each(sources, priority=priority)
        results = run(manager.__aenter__())
        try:
            while True:
                try:
                    yield run(anext(results))
                except StopAsyncIteration:
                    return
        finally:
            run(manager.__aexit__(None, None, None))

    def release(self) -> Outcome:
        """End the association in good order: ``Peer.release``."""
        return run(self._peer.release())

    def abort(self) -> Outcome:
        """End the association at once: ``Peer.abort``."""
        return run(self._peer.abort())


class Echo:
    """``scp.Echo`` for a handler that blocks."""

    def __init__(self, echo: scp.Echo, link: Link) -> None:
        self._echo = echo
        self._link = link

    @property
    def request(self) -> CEchoRQ:
        """The command set."""
        return self._echo.request

    @property
    def context(self) -> NegotiatedContext:
        """The presentation context."""
        return self._echo.context

    @property
    def association(self) -> AssociationInfo:
        """Who asks."""
        return self._echo.association

    def abort(self) -> None:
        """End the association at once (PS3.8 7.3)."""
        self._link.block_on(_abort(self._echo))


class Store:
    """``scp.Store`` for a handler that blocks: ``for`` over it gives the pieces."""

    def __init__(self, store: scp.Store, link: Link) -> None:
        self._store = store
        self._link = link

    @property
    def request(self) -> CStoreRQ:
        """The command set: priority, move originator and all."""
        return self._store.request

    @property
    def context(self) -> NegotiatedContext:
        """The presentation context."""
        return self._store.context

    @property
    def association(self) -> AssociationInfo:
        """Who sends."""
        return self._store.association

    @property
    def sop_class_uid(self) -> str:
        """The instance's SOP class, as the peer gave it."""
        return self._store.sop_class_uid

    @property
    def sop_instance_uid(self) -> str:
        """The instance's UID as the peer gave it: check it before it becomes a name of anything."""
        return self._store.sop_instance_uid

    @property
    def transfer_syntax_uid(self) -> str:
        """The transfer syntax of the pieces."""
        return self._store.transfer_syntax_uid

    def part10_header(self) -> bytes:
        """Preamble and file meta: ``scp.Store.part10_header``."""
        return self._store.part10_header()

    def __iter__(self) -> Iterator[bytes | memoryview]:
        while (piece := self._link.block_on(_next(self._store))) is not None:
            yield piece

    def read(self) -> bytes:
        """The whole data set, or what is left of it: ``scp.Store.read``."""
        return self._link.block_on(self._store.read())

    def dataset(self) -> Dataset:
        """The whole data set decoded: ``scp.Store.dataset``."""
        return self._link.block_on(self._store.dataset())

    def abort(self) -> None:
        """End the association at once (PS3.8 7.3)."""
        self._link.block_on(_abort(self._store))


async def _next(store: scp.Store) -> bytes | memoryview | None:
    return await anext(store, None)


async def _abort(conversation: scp.Echo | scp.Store) -> None:
    conversation.abort()  # in the loop's thread: the engine is not for several
