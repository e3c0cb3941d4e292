"""Who waits for room, in the window and behind an open data set: first come, first served (PS3.7 D.3.3.3).

Else one conversation with much to ask would keep all others waiting: it is there whenever a slot gets free.
Only the first is woken when there is room, since with a thousand in the line to wake all costs a million looks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sansdimse.ul.table import State

if TYPE_CHECKING:
    from sansdimse.association import Association
    from sansdimse.peer.link import Signal


class Line:
    """The line of one association."""

    def __init__(self, engine: Association) -> None:
        self._engine = engine
        self._places: list[Place] = []

    def __len__(self) -> int:
        return len(self._places)

    def join(self) -> Place:
        """A place at the end. Whoever has it must leave, and never waits for anything else meanwhile."""
        place = Place(self)
        self._places.append(place)
        return place

    def look(self) -> None:
        """Something changed: if there is room wake the first; when nothing can be asked any more wake all."""
        if self._engine.state is not State.STA6:
            for place in self._places:
                place.wake()
        elif self._places and self._engine.has_room:
            self._places[0].wake()

    def has_come(self, place: Place) -> bool:
        """Whether it is this one's turn."""
        return self._engine.has_room and self._places[0] is place

    def leave(self, place: Place) -> None:
        """This one has invoked, or will at once, or wants to no more."""
        self._places.remove(place)
        self.look()


class Place:
    """One's place in a ``Line``; ``signal`` is what one waits for."""

    __slots__ = ("_line", "signal")

    def __init__(self, line: Line) -> None:
        self._line = line
        self.signal: Signal | None = None

    @property
    def has_come(self) -> bool:
        """Whether one may invoke now; it stays so as long as nothing is awaited."""
        return self._line.has_come(self)

    def wake(self) -> None:
        """Wake whoever waits; it looks itself whether its turn has come."""
        if self.signal is not None:
            self.signal.set()

    def leave(self) -> None:
        """Give the place up."""
        self._line.leave(self)
