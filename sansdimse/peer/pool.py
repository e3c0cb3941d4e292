"""Which association a client uses, opens or waits for, and which ones end: the books of a pool, pure.

``Roster`` decides, and does nothing itself: a transport opens, ends and drives associations, and tells it what became
of them. Time is told, there are no threads. Whoever waits is served in the order of coming: nobody gets a place, or a
seat beside others, that somebody who came earlier is waiting for.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from sansdimse.errors import LocalProtocolError
from sansdimse.ul.parties import MOST_CONTEXTS, PresentationContext
from sansdimse.ul.plan import Need, plan

if TYPE_CHECKING:
    from sansdimse.peer.caller import CommonOptions
    from sansdimse.peer.link import Destination
    from sansdimse.ul.agreement import NegotiatedContext

__all__ = ["Held", "Member", "PoolClosed", "PoolStatistics", "Roster", "Ticket", "Turn", "Wanted"]


class PoolClosed(RuntimeError):
    """The pool is closed, or closes: it gives no more associations."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolStatistics:
    """What a pool has done, and what it has. ``opened`` is ``released + lost + held``."""

    opened: int
    """Associations that were established."""
    reused: int
    """Uses of an association that was there already."""
    released: int
    """Associations that ended in good order, whoever asked for it (``Outcome.clean``)."""
    lost: int
    """Associations that ended otherwise."""
    held: int
    """Associations that are there, in use or not."""
    idle: int
    """Those of them that nobody uses."""
    waiting: int
    """How many wait for one."""


class Held(Protocol):
    """What the books want to know of an established association."""

    @property
    def alive(self) -> bool:
        """Whether something may still be asked on it."""
        ...

    @property
    def quiet(self) -> bool:
        """Whether nothing that was asked on it is outstanding, given up or not."""
        ...

    @property
    def contexts(self) -> tuple[NegotiatedContext, ...]:
        """Its presentation contexts."""
        ...

    @property
    def window(self) -> int:
        """How many requests may be outstanding on it; 0 is unlimited."""
        ...


H = TypeVar("H", bound=Held)


class Wanted:
    """What somebody wants an association for.

    ``needs`` are SOP classes, instances as the UIDs of SOP class and transfer syntax, or contexts with roles; what to
    propose for them is planned (``sansdimse.plan``). Raises ``LocalProtocolError`` if there are none, or if one
    association does not hold them.
    """

    __slots__ = ("contexts", "destination", "needs", "options", "share")

    def __init__(
        self, destination: Destination, needs: Iterable[Need], options: CommonOptions, *, share: bool = False
    ) -> None:
        self.destination = destination
        if isinstance(needs, str):
            raise TypeError(f"contexts= is a list of what is needed, not {needs!r}")
        self.needs = tuple(_as_context(need) for need in needs)
        planned = plan(self.needs).associations
        if len(planned) != 1:
            raise LocalProtocolError(
                f"what is needed takes {len(planned)} associations of at most {MOST_CONTEXTS} contexts, and not one"
            )
        self.contexts = planned[0]
        """What to propose."""
        self.options = options
        self.share = share
        """Whether others may use the association at the same time, within its window."""


class Member(Generic[H]):
    """One association of a pool, from when it is to be opened until it is gone."""

    def __init__(self, wanted: Wanted) -> None:
        self.destination = wanted.destination
        self.options = wanted.options
        self.contexts = wanted.contexts
        """What it proposes."""
        self.shared = wanted.share
        """Whether those who use it let others join."""
        self.users = 0
        self.begun = False
        """Whether the transport has begun to open it, and so will tell what became of that: set by whoever does."""
        self.held: H | None = None
        """The association; None while it is being opened."""
        self.opened_at = self.since = 0.0  # ``since`` is when its last user left
        self.ending = False
        """Whether the transport was told to end it."""

    @property
    def is_idle(self) -> bool:
        """Whether it is there, nobody uses it, and it may stay."""
        return self.held is not None and not self.users and not self.ending

    @property
    def seats(self) -> float:
        """How many may use it at once; while it is being opened, if the peer agrees to the window proposed."""
        if not self.shared:
            return 1
        if self.held is not None:
            return self.held.window or math.inf
        window = self.options.get("window")
        return 1 if window is None else window.invoked or math.inf

    def has_proposed(self, need: PresentationContext) -> bool:
        """Whether all of this was proposed on it, whatever the peer answered."""
        proposed: set[str] = set()
        for context in self.contexts:
            if context.abstract_syntax == need.abstract_syntax and _roles_cover(context.scu, context.scp, need):
                proposed.update(context.transfer_syntaxes)
        return proposed.issuperset(need.transfer_syntaxes)

    def is_like(self, wanted: Wanted) -> bool:
        """Whether it goes to where this is wanted, in the way in which it is wanted."""
        return self.destination == wanted.destination and self.options == wanted.options


class Turn(Enum):
    """How it stands with somebody who asked."""

    WAITS = "waits"
    OPENS = "opens"
    """``Ticket.member`` is to be opened by who asked, and used."""
    USES = "uses"
    """``Ticket.member`` is there to be used."""
    LATE = "late"
    """The deadline passed while one waited."""
    CLOSED = "closed"
    LEFT = "left"


class Ticket(Generic[H]):
    """Somebody who asked. ``wake`` is called when the turn has changed, and must not wait."""

    __slots__ = ("deadline", "member", "turn", "wake", "wanted")

    def __init__(self, wanted: Wanted, deadline: float | None, wake: Callable[[], object]) -> None:
        self.wanted = wanted
        self.deadline = deadline
        self.wake = wake
        self.turn = Turn.WAITS
        self.member: Member[H] | None = None


class Roster(Generic[H]):
    """The books of one pool. Not thread-safe.

    What you tell it: ``ask``, ``leave``, ``retry``; ``opened``, ``gone``, ``look``; ``handle_timeout``, ``close``. What
    it tells you: a ticket's ``turn`` by its ``wake``, and by ``end`` which association is to be released. ``end`` is
    called once for each, in the middle of what you tell, and must not wait.
    """

    def __init__(
        self,
        *,
        most: int,
        most_per_destination: int | None = None,
        idle: float | None,
        end: Callable[[Member[H]], object],
    ) -> None:
        if most < 1 or (most_per_destination is not None and most_per_destination < 1):
            raise ValueError("a pool holds at least one association")
        self._most = most
        self._most_per_destination = most_per_destination
        self._idle = idle
        self._end = end
        self._waiting: deque[Ticket[H]] = deque()
        self._now = 0.0
        self._opened = self._reused = self._released = self._lost = 0
        self.members: list[Member[H]] = []
        """The associations there are, are being opened, or are being ended."""
        self.closed = False

    # ------------------------------------------------------------ those who ask

    def ask(self, wanted: Wanted, now: float, wake: Callable[[], object], deadline: float | None = None) -> Ticket[H]:
        """Somebody wants an association, until ``deadline`` at most. Look at the ticket's turn, now and when woken."""
        self._now = now
        ticket: Ticket[H] = Ticket(wanted, deadline, wake)
        if self.closed:
            ticket.turn = Turn.CLOSED
            return ticket
        self._waiting.append(ticket)
        self._serve()
        return ticket

    def leave(self, ticket: Ticket[H], now: float) -> None:
        """It is used or wanted no more, whatever the turn. If its opening has begun, that goes on, for others."""
        self._now = now
        if ticket.turn is Turn.WAITS:
            self._waiting.remove(ticket)
        ticket.turn = Turn.LEFT
        self._vacate(ticket)
        self._serve()

    def retry(self, ticket: Ticket[H], now: float, wake: Callable[[], object]) -> None:
        """The one that was there to be used turned out dead: who asked is the next."""
        self._now = now
        self._vacate(ticket)
        ticket.wake = wake
        self._reused -= 1
        if self.closed:
            ticket.turn = Turn.CLOSED
            return
        ticket.turn = Turn.WAITS
        self._waiting.appendleft(ticket)
        self._serve()

    def _vacate(self, ticket: Ticket[H]) -> None:
        member, ticket.member = ticket.member, None
        if member is None:
            return
        member.users -= 1
        if not member.begun:
            self.members.remove(member)
        elif not member.users:
            member.since = self._now
            if self.closed or not (member.held is None or member.held.alive):
                self._let_end(member)

    # ------------------------------------------------------------ what became of associations

    def opened(self, member: Member[H], held: H, now: float) -> None:
        """It is established."""
        self._now = now
        self._opened += 1
        member.held = held
        member.opened_at = member.since = now
        self._serve()

    def gone(self, member: Member[H], now: float, *, clean: bool = False) -> None:
        """It has ended, or was never established; its place is free. Those who use it have not left by that."""
        self._now = now
        self.members.remove(member)
        member.ending = True
        if member.held is not None:
            self._released += clean
            self._lost += not clean
        self._serve()

    def look(self, now: float) -> None:
        """Something about an association that is idle may have changed: a request that was given up was answered."""
        self._now = now
        self._serve()

    # ------------------------------------------------------------ time, and the end

    def next_timeout(self) -> float | None:
        """When to call ``handle_timeout``, on the scale of ``now``; None: never."""
        times = [ticket.deadline for ticket in self._waiting if ticket.deadline is not None]
        if self._idle is not None:
            times += [member.since + self._idle for member in self.members if member.is_idle]
        return min(times, default=None)

    def handle_timeout(self, now: float) -> None:
        """The time is ``now``: who has waited too long waits no more, what was idle too long ends."""
        self._now = now
        for ticket in tuple(self._waiting):
            if ticket.deadline is not None and ticket.deadline <= now:
                self._decide(ticket, Turn.LATE)
        for member in self.members:
            if self._idle is not None and member.is_idle and member.since + self._idle <= now:
                self._let_end(member)
        self._serve()

    def close(self, now: float) -> None:
        """Give no more. What nobody uses ends, the rest when its users have left."""
        self._now = now
        self.closed = True
        for ticket in tuple(self._waiting):
            self._decide(ticket, Turn.CLOSED)
        for member in self.members:
            if not member.users:
                self._let_end(member)

    @property
    def in_use(self) -> bool:
        """Whether anybody uses an association, or opens one to use it."""
        return any(member.users for member in self.members)

    def statistics(self) -> PoolStatistics:
        """What was done, and what there is."""
        return PoolStatistics(
            opened=self._opened,
            reused=self._reused,
            released=self._released,
            lost=self._lost,
            held=sum(member.held is not None for member in self.members),
            idle=sum(member.is_idle for member in self.members),
            waiting=len(self._waiting),
        )

    # ------------------------------------------------------------ how it is decided

    def _serve(self) -> None:
        """Look after everybody who waits, in order: each gets what there is, or counts on what is coming."""
        if not self._waiting:
            return
        coming = {member: seats for member in self.members if (seats := self._coming(member)) >= 1}
        held_up: set[Destination] = set()  # where somebody waits for one in use to be left: nobody joins there
        for ticket in tuple(self._waiting):
            wanted = ticket.wanted
            joins = wanted.share and wanted.destination not in held_up
            member = self._fitting(wanted, joins=joins)
            if member is not None:
                self._reused += 1
                self._seat(ticket, member, Turn.USES)
                continue
            if _count_on(coming, [each for each in coming if _will_fit(each, wanted, joins=joins)]):
                continue
            crowd = self._crowd(wanted.destination)
            if crowd is None:
                member = Member(wanted)
                self.members.append(member)
                self._seat(ticket, member, Turn.OPENS)
                coming[member] = member.seats - 1
            elif not self._makes_room(wanted, crowd, coming):
                if crowd is self.members:
                    return  # nothing is idle or coming, so there is nothing for those behind either
                held_up.add(wanted.destination)

    def _coming(self, member: Member[H]) -> float:
        """On how many things, that come by themselves, those who wait can count: its place, or seats on it."""
        if member.held is None and not member.ending:
            return member.seats - member.users
        return 1 if not member.users and not self._is_free(member) else 0

    def _decide(self, ticket: Ticket[H], turn: Turn) -> None:
        self._waiting.remove(ticket)
        ticket.turn = turn
        ticket.wake()

    def _seat(self, ticket: Ticket[H], member: Member[H], turn: Turn) -> None:
        if not member.users:
            member.shared = ticket.wanted.share
        member.users += 1
        ticket.member = member
        self._decide(ticket, turn)

    def _let_end(self, member: Member[H]) -> None:
        if not member.ending:
            member.ending = True
            self._end(member)

    def _fitting(self, wanted: Wanted, *, joins: bool) -> Member[H] | None:
        """The association to use: one that others use already, if one joins; else the one left last."""
        found: Member[H] | None = None
        for member in self.members:
            if (
                (self._is_free(member) or (joins and _has_seat(member)))
                and self._fits(member, wanted)
                and (found is None or (member.users, member.since) > (found.users, found.since))
            ):
                found = member
        return found

    def _is_free(self, member: Member[H]) -> bool:
        return member.is_idle and member.held is not None and member.held.alive and member.held.quiet

    def _fits(self, member: Member[H], wanted: Wanted) -> bool:
        """Whether each need was accepted, or refused so lately that to propose it again would not help.

        Else a peer that takes all but one of the contexts would get a new association for each use.
        """
        if member.held is None or not member.is_like(wanted):
            return False
        asked_lately = self._idle is None or self._now - member.opened_at < self._idle
        contexts = member.held.contexts
        return all(
            _is_accepted(contexts, need) or (asked_lately and member.has_proposed(need)) for need in wanted.needs
        )

    def _crowd(self, destination: Destination) -> list[Member[H]] | None:
        """Those of which one must go before another is opened to this destination; None if there is room."""
        if self._most_per_destination is not None:
            there = [member for member in self.members if member.destination == destination]
            if len(there) >= self._most_per_destination:
                return there
        return self.members if len(self.members) >= self._most else None

    def _makes_room(self, wanted: Wanted, crowd: list[Member[H]], coming: dict[Member[H], float]) -> bool:
        """Whether this one can count on one of those: it ends, or fits when it is quiet; or is now told to end."""
        if _count_on(coming, [each for each in crowd if _ends(each) or self._fits(each, wanted)]):
            return True
        unused = [each for each in crowd if not each.users and coming.get(each, 1) >= 1]
        if unused:
            oldest = min(unused, key=lambda member: (not self._is_free(member), member.since))
            coming[oldest] = 0
            self._let_end(oldest)
        return bool(unused)


def _as_context(need: Need) -> PresentationContext:
    if isinstance(need, PresentationContext):
        return need
    if isinstance(need, str):
        return PresentationContext(need)
    sop_class, transfer_syntax = need
    return PresentationContext(sop_class, (transfer_syntax,))


def _has_seat(member: Member[H]) -> bool:
    return member.shared and not _ends(member) and 0 < member.users < member.seats


def _ends(member: Member[H]) -> bool:
    return member.ending or (member.held is not None and not member.held.alive)


def _will_fit(member: Member[H], wanted: Wanted, *, joins: bool) -> bool:
    """Whether one that is being opened will fit, as far as can be known."""
    return (
        member.held is None
        and not member.ending
        and (joins or not member.users)
        and member.is_like(wanted)
        and all(map(member.has_proposed, wanted.needs))
    )


def _count_on(coming: dict[Member[H], float], members: Iterable[Member[H]]) -> bool:
    """Whether one of these comes for who asks; then it does so for one less of those behind."""
    for member in members:
        if coming.get(member, 0) >= 1:
            coming[member] -= 1
            return True
    return False


def _roles_cover(scu: bool, scp: bool, need: PresentationContext) -> bool:
    return (scu or not need.scu) and (scp or not need.scp)


def _is_accepted(contexts: Sequence[NegotiatedContext], need: PresentationContext) -> bool:
    return any(
        context.abstract_syntax == need.abstract_syntax
        and context.transfer_syntax in need.transfer_syntaxes
        and _roles_cover(context.as_scu, context.as_scp, need)
        for context in contexts
    )
