"""C-STOREs on one association, as many outstanding as its window allows, their answers taken as they come."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from sansdimse import events
from sansdimse.errors import LocalProtocolError
from sansdimse.peer.answer import Answer
from sansdimse.peer.inbox import Inbox
from sansdimse.services.storage import StoreRequest
from sansdimse.ul.table import State

if TYPE_CHECKING:
    from sansdimse.dataset import Instance
    from sansdimse.peer.line import Place
    from sansdimse.peer.link import Signal
    from sansdimse.peer.storing import Storer

Settled = Callable[[Answer | None], object]
"""Told how one was answered; None: it never will be."""


class Pipeline:
    """Data sets are not interleaved (PS3.8 E.1), so nothing is gained by sending two at once: one thing is done at a
    time, and what is outstanding needs no task of its own to wait for its answer. All share one inbox.
    """

    def __init__(self, storer: Storer) -> None:
        self.storer = storer
        self._session = storer.session
        self._inbox = Inbox(self._session)
        self._place: Place | None = None
        self.outstanding: dict[StoreRequest, Settled] = {}
        """Those that are not answered, or whose data set still goes out, in their order."""

    @property
    def has_room(self) -> bool:
        """Whether one may begin: at once, before anything else is awaited. Who asks stands in line from then on."""
        if self._place is None:
            self._place = self._session.line.join()
        return self._place.has_come

    @property
    def is_sending(self) -> bool:
        """Whether a data set is open: what fails in its middle can only end in A-ABORT (PS3.7 9.3.1.3)."""
        return any(not (operation.data_sent or operation.over) for operation in self.outstanding)

    async def store(
        self,
        instance: Instance,
        start: Callable[[], StoreRequest],
        settled: Settled,
        progress: Callable[[int], object],
    ) -> None:
        """Wait for room, then ``send``. Raises ``AssociationLost``, and what ``send`` raises."""
        self.collect()  # what came while nobody waited is told before the next goes out
        while not self.has_room:
            self._session.check_alive()
            if self._session.engine.state is not State.STA6:
                raise LocalProtocolError("the peer wants to release: nothing more can be asked of it (PS3.8 7.2.2.1)")
            await self.wait()
        await self.send(instance, start, settled, progress)

    async def send(
        self,
        instance: Instance,
        start: Callable[[], StoreRequest],
        settled: Settled,
        progress: Callable[[int], object],
    ) -> None:
        """Begin one with ``start``, for which there is room, and return when its whole data set is on its way.

        Raises what ``start`` raises; what fails in the instance's pieces, which leaves the data set open; and
        ``AssociationLost``.
        """
        try:
            operation = start()
            self.outstanding[operation] = settled
            self._session.open_inbox(operation, self._inbox)
        finally:
            self.leave_line()
        await self.storer.send(operation, instance, self.wait, progress)
        self._settle(operation)

    async def wait(self) -> None:
        """Wait for an event of what is outstanding, or for a look at the line. Raises ``AssociationLost``."""
        if not self._inbox.events:
            self._session.check_alive()
            signal = self._inbox.signal = self._session.link.signal()
            if self._place is not None:
                self._place.signal = signal
            await signal.wait()
        self.collect()

    async def finish(self) -> None:
        """Return when all are answered. Raises ``AssociationLost``."""
        while self.outstanding:
            await self.wait()

    def collect(self) -> None:
        """Tell of the answers that have come."""
        while (event := self._inbox.take()) is not None:
            if isinstance(event, events.ResponseReceived) and isinstance(event.operation, StoreRequest):
                self._settle(event.operation)
        if self._session.outcome is None:
            self._collect_unanswered()

    def _collect_unanswered(self) -> None:
        """The peer wants to release, and answers nothing more (PS3.8 7.2.2.1)."""
        for operation in [each for each in self.outstanding if each.over and each.response is None]:
            settled = self.outstanding.pop(operation)
            self._session.close_inbox(operation)
            settled(None)

    def hear(self, signal: Signal) -> None:
        """Tell of the answers that have come; ``signal`` is to wake who waits for something else when others do."""
        self.collect()
        self._inbox.signal = signal

    def leave_line(self) -> None:
        """Nothing is to begin now."""
        if self._place is not None:
            self._place.leave()
            self._place = None

    def close(self) -> None:
        """Abandon what is outstanding; nobody is told of it."""
        self.leave_line()
        for operation in self.outstanding:
            operation.abandon()
            self._session.close_inbox(operation)
        self.outstanding.clear()

    def _settle(self, operation: StoreRequest) -> None:
        """Tell the answer, if the whole data set was sent, or cut: an early Success does not end it."""
        if operation.data_sent and operation.response is not None and operation in self.outstanding:
            settled = self.outstanding.pop(operation)
            self._session.close_inbox(operation)
            settled(Answer.of(operation.response))
