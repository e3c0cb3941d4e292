"""Where a retrieval stores: a C-GET on its own association, a C-MOVE on one to its destination (PS3.4 C.4.2, C.4.3)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from sansdimse.errors import LocalProtocolError
from sansdimse.peer.link import Destination
from sansdimse.peer.pipeline import Pipeline
from sansdimse.peer.session import AssociationLost
from sansdimse.peer.storing import Storer
from sansdimse.services.sop_classes import STORAGE
from sansdimse.ul.parties import MOST_CONTEXTS, PresentationContext
from sansdimse.ul.table import State

if TYPE_CHECKING:
    from sansdimse.dataset import Instance
    from sansdimse.peer.answer import Answer
    from sansdimse.peer.link import Signal
    from sansdimse.peer.session import Session
    from sansdimse.services.retrieve import GetSCP, MoveSCP
    from sansdimse.services.storage import StoreRequest

Settled = Callable[[str, "Answer | None"], object]
"""Told how the storing of the instance with this SOP Instance UID was answered; None: it never will be."""


class NoDestination(Exception):
    """There is no association to store on, and will be none; why was reported when it became known."""


def destination_of(given: object, *, called: str, calling: str) -> tuple[Destination, dict[str, Any]]:
    """What a handler gave for a destination, with options for ``associate``.

    A ``Destination``, whose titles are those of the C-MOVE where it leaves them open, or ``(host, port)``; or a pair of
    such a thing and contexts, or options of ``associate``. Raises ``TypeError`` for anything else.
    """
    place: Any = given
    options: dict[str, Any] = {}
    if isinstance(given, tuple) and len(given) == 2 and not _is_address(given):
        place, more = given
        options = dict(more) if isinstance(more, Mapping) else {"contexts": more}
    if _is_address(place):
        place = Destination(*place)
    if not isinstance(place, Destination):
        raise TypeError(f"a destination is a Destination or (host, port), not a {type(place).__name__}")
    if place.called == _ANY.called:
        place = replace(place, called=called)
    if place.calling == _ANY.calling:
        place = replace(place, calling=calling)
    return place, options


_ANY: Final = Destination("", 0)


def _is_address(given: object) -> bool:
    return isinstance(given, tuple) and len(given) == 2 and isinstance(given[0], str) and isinstance(given[1], int)


class StoresHere:
    """Instances are stored on the association that the C-GET came on. ``settled`` is told what became of each."""

    def __init__(self, session: Session, get: GetSCP, settled: Settled) -> None:
        self._session = session
        self._get = get
        self._settled = settled
        self._pipeline = Pipeline(Storer(session))

    async def store(self, instance: Instance, progress: Callable[[int], object]) -> None:
        """Store one, as soon as there is room, and return when its data set is on its way.

        Raises ``LocalProtocolError`` if no context fits it. A source that fails in the middle aborts the association.
        """
        fitting, context = await self._pipeline.storer.fitting(instance)
        uid = fitting.sop_instance_uid
        start = partial(self._get.store, fitting.sop_class_uid, uid, context_id=context.id)
        try:
            await self._pipeline.store(fitting, start, partial(self._settled, uid), progress)
        except Exception:
            if self._pipeline.is_sending:
                self._session.abort()
            raise

    async def finish(self) -> None:
        """Return when all are answered. Raises ``AssociationLost``."""
        await self._pipeline.finish()

    def hear(self, signal: Signal) -> None:
        """Tell what has ended; more of it sets the signal."""
        self._pipeline.hear(signal)

    def close(self) -> None:
        """Abandon what is outstanding."""
        self._pipeline.close()


class StoresAt:
    """Instances are stored at ``destination``, over an association that is opened when the first comes.

    ``settled`` is told what became of each. Associations end with ``stack``. The C-STOREs have the priority of the
    C-MOVE, and say where it came from (PS3.7 9.1.1.1.6, 9.1.4.1.4).
    """

    def __init__(
        self,
        session: Session,
        move: MoveSCP,
        destination: Destination,
        options: Mapping[str, Any],
        stack: AsyncExitStack,
        settled: Settled,
    ) -> None:
        self._session = session  # the one that the C-MOVE came on
        self._move = move
        self._destination = destination
        self._options = dict(options)
        self._stack = stack
        self._settled = settled
        self._needed: dict[tuple[str, str], None] = {}  # SOP class and transfer syntax that the default does not have
        self._pipeline: Pipeline | None = None
        self._lost: str | None = None

    async def store(self, instance: Instance, progress: Callable[[int], object]) -> None:
        """Store one, as soon as there is room, and return when its data set is on its way.

        Raises ``LocalProtocolError`` if no context of the destination fits it, ``NoDestination`` if the destination
        refused us, could not be reached or is lost. A source that fails in the middle aborts the association there.
        """
        pipeline = await self._opened()
        try:
            fitting, context = await pipeline.storer.fitting(instance)
        except LocalProtocolError:
            if not self._replan(instance, pipeline.storer.session):
                raise
            pipeline = await self._opened_anew()
            fitting, context = await pipeline.storer.fitting(instance)
        start = partial(pipeline.storer.start, fitting, context, self._move.request.priority, self._move.originator)
        settled = partial(self._settled, fitting.sop_instance_uid)
        begun = False

        def begin() -> StoreRequest:
            nonlocal begun
            operation = start()
            begun = True  # from now on it is one of those under way, and settled with them
            return operation

        try:
            await pipeline.store(fitting, begin, settled, progress)
        except Exception as error:
            lost = isinstance(error, AssociationLost) or pipeline.storer.session.engine.state is not State.STA6
            if not begun and not lost:
                raise
            if lost:
                self._lost = f"{self._destination}: {error}"
            self._give_up(pipeline, error)  # and this one with the others, if it has begun
            if not begun:
                raise NoDestination(self._lost) from error
            if lost:
                return
            self._pipeline = None  # its source failed in the middle, which ends the association: the next opens another
            await self._stack.aclose()

    async def finish(self) -> None:
        """Return when all are answered, or never will be."""
        if self._pipeline is not None:
            try:
                await self._pipeline.finish()
            except AssociationLost as error:
                self._lost = f"{self._destination}: {error}"
                self._give_up(self._pipeline, error)

    def hear(self, signal: Signal) -> None:
        """Tell what has ended; more of it sets the signal."""
        if self._pipeline is not None:
            self._pipeline.hear(signal)

    def close(self) -> None:
        """Abandon what is outstanding."""
        if self._pipeline is not None:
            self._pipeline.close()

    async def _opened(self) -> Pipeline:
        if self._lost is not None:
            raise NoDestination(self._lost)
        if self._pipeline is None:
            options = {"contexts": self._contexts(), **self._options}
            try:
                peer = await self._stack.enter_async_context(self._session.associate(self._destination, options))
            except (AssociationLost, LocalProtocolError, OSError, TypeError, ValueError) as error:
                self._lost = f"{self._destination}: {error}"
                self._report(error)
                raise NoDestination(self._lost) from error
            self._pipeline = Pipeline(Storer(peer.session))
        return self._pipeline

    async def _opened_anew(self) -> Pipeline:
        await self.finish()
        self._pipeline = None
        await self._stack.aclose()
        return await self._opened()

    def _report(self, error: Exception) -> None:
        self._session.report(error, f"C-STORE at {self._destination}")

    def _give_up(self, pipeline: Pipeline, error: Exception) -> None:
        """What is outstanding will not be answered."""
        self._report(error)
        pipeline.storer.session.abort()
        pipeline.collect()
        unanswered = list(pipeline.outstanding.values())
        pipeline.close()
        for settled in unanswered:
            settled(None)

    # ------------------------------------------------------------ which contexts

    def _contexts(self) -> Sequence[PresentationContext | str]:
        """What instances so far have shown to need, then the table's storage classes, uncompressed."""
        contexts: list[PresentationContext | str] = [
            PresentationContext(sop_class, (syntax,)) for sop_class, syntax in self._needed
        ]
        return [*contexts, *STORAGE][:MOST_CONTEXTS]

    def _replan(self, instance: Instance, remote: Session) -> bool:
        """Whether another association may do: nobody chose the contexts, and this one was not proposed."""
        sop_class, syntax = instance.sop_class_uid, instance.transfer_syntax_uid
        if "contexts" in self._options or any(
            context.abstract_syntax == sop_class and syntax in context.transfer_syntaxes
            for context in remote.engine.contexts
        ):
            return False
        self._needed[sop_class, syntax] = None
        return True
