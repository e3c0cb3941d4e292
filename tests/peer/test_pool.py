"""The books of a pool: never two on one association, never more than there may be, nobody overtaken or forgotten."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from engine_pair import CT, MR
from sansdimse import (
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    VERIFICATION,
    AsynchronousOperationsWindow,
    LocalProtocolError,
    NegotiatedContext,
    PresentationContext,
)
from sansdimse.peer.link import Destination
from sansdimse.peer.pool import Member, PoolStatistics, Roster, Ticket, Turn, Wanted

JPEG = "1.2.840.10008.1.2.4.50"
HERE = Destination("here", 104, "ARCHIVE")
THERE = Destination("there", 104, "ARCHIVE")


class Association:
    """What the books see of an association, as the test says."""

    def __init__(self, proposed: Sequence[PresentationContext], refused: Sequence[str] = (), window: int = 1) -> None:
        self.alive = True
        self.quiet = True
        self.window = window
        self.contexts = tuple(
            NegotiatedContext(
                2 * i + 1,
                each.abstract_syntax,
                each.transfer_syntaxes,
                3 if each.abstract_syntax in refused else 0,
                None if each.abstract_syntax in refused else each.transfer_syntaxes[0],
                each.scu,
                each.scp,
            )
            for i, each in enumerate(proposed)
        )


def wanted(
    *needs: Any, to: Destination = HERE, share: bool = False, window: int | None = None, **options: Any
) -> Wanted:
    if window is not None:
        options["window"] = AsynchronousOperationsWindow(window, 1)
    return Wanted(to, needs or [VERIFICATION], options, share=share)  # type: ignore[arg-type]


class Pool:
    """Books, and a transport that does what the test says."""

    def __init__(self, most: int = 2, most_per_destination: int | None = None, idle: float | None = 30.0) -> None:
        self.ended: list[Member[Association]] = []
        self.roster: Roster[Association] = Roster(
            most=most, most_per_destination=most_per_destination, idle=idle, end=self.ended.append
        )
        self.now = 100.0
        self.woken: list[Ticket[Association]] = []

    def ask(self, want: Wanted, deadline: float | None = None) -> Ticket[Association]:
        asked: list[Ticket[Association]] = []
        ticket = self.roster.ask(want, self.now, lambda: self.woken.extend(asked), deadline)
        asked.append(ticket)
        return ticket

    def establish(self, member: Member[Association] | None, refused: Sequence[str] = (), window: int = 1) -> None:
        assert member is not None
        member.begun = True
        self.roster.opened(member, Association(member.contexts, refused, window), self.now)

    def opened(self, *needs: Any, refused: Sequence[str] = (), answer: int = 1, **settings: Any) -> Member[Association]:
        """An association that nobody uses."""
        ticket = self.ask(wanted(*needs, **settings))
        member = self.using(ticket, refused=refused, window=answer)
        self.leave(ticket)
        return member

    def using(self, ticket: Ticket[Association], **answer: Any) -> Member[Association]:
        """The association of whoever has one to open."""
        assert ticket.turn is Turn.OPENS
        assert ticket.member is not None
        self.establish(ticket.member, **answer)
        return ticket.member

    def leave(self, ticket: Ticket[Association]) -> None:
        self.roster.leave(ticket, self.now)

    def gone(self, member: Member[Association] | None, *, clean: bool = True) -> None:
        assert member is not None
        self.roster.gone(member, self.now, clean=clean)

    def die(self, member: Member[Association]) -> None:
        assert member.held is not None
        member.held.alive = False
        self.roster.look(self.now)

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        due = self.roster.next_timeout()
        if due is not None and due <= self.now:
            self.roster.handle_timeout(self.now)

    @property
    def counts(self) -> tuple[int, int, int, int]:
        it = self.roster.statistics()
        return it.opened, it.reused, it.released, it.lost


# ---------------------------------------------------------------- what is wanted


def test_what_to_propose_is_planned() -> None:
    want = wanted(VERIFICATION, (CT, JPEG), PresentationContext(MR, (IMPLICIT_VR_LITTLE_ENDIAN,), scu=False, scp=True))
    both = (EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN)
    assert want.contexts == (
        PresentationContext(VERIFICATION, both),
        PresentationContext(CT, both),
        PresentationContext(CT, (JPEG,)),
        PresentationContext(MR, both[::-1], scu=False, scp=True),
    )


@pytest.mark.parametrize("needs", [[], [f"1.2.{i}" for i in range(129)]])
def test_what_no_one_association_holds_is_refused(needs: list[str]) -> None:
    with pytest.raises(LocalProtocolError, match=f"takes {2 if needs else 0} associations of at most 128"):
        Wanted(HERE, needs, {})


@pytest.mark.parametrize("bounds", [{"most": 0}, {"most": 1, "most_per_destination": 0}])
def test_a_pool_of_nothing_is_refused(bounds: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="at least one"):
        Roster(**bounds, idle=None, end=print)  # type: ignore[arg-type]


def test_a_destination_is_a_value_that_says_where() -> None:
    assert str(HERE) == "ARCHIVE@here:104"
    assert Destination("here", 104, "ARCHIVE") == HERE != replace(HERE, calling="ME")
    assert "secret" not in repr(Destination("here", 104, tls="secret"))


# ---------------------------------------------------------------- which fits


def test_an_idle_one_is_used_again() -> None:
    pool = Pool()
    member = pool.opened(VERIFICATION, CT)
    ticket = pool.ask(wanted(CT))
    assert (ticket.turn, ticket.member) == (Turn.USES, member)
    assert pool.roster.statistics() == PoolStatistics(opened=1, reused=1, released=0, lost=0, held=1, idle=0, waiting=0)


def test_the_one_left_last_is_used_so_that_the_others_end() -> None:
    pool = Pool(most=3)
    tickets = [pool.ask(wanted()) for _ in range(3)]
    members = [pool.using(ticket) for ticket in tickets]
    for i in (0, 2, 1):
        pool.pass_time(1)
        pool.leave(tickets[i])
    assert pool.ask(wanted()).member is members[1]


@pytest.mark.parametrize(
    "want",
    [
        wanted(CT),
        wanted(VERIFICATION, CT),
        wanted(to=THERE),
        wanted(to=replace(HERE, calling="ELSE")),
        wanted(to=replace(HERE, tls=object())),
        wanted(maximum_length=16384),
        wanted((VERIFICATION, JPEG)),
        wanted(PresentationContext(VERIFICATION, scp=True)),
        wanted(PresentationContext(VERIFICATION, scu=False, scp=True)),
    ],
)
def test_what_does_not_fit_gets_another(want: Wanted) -> None:
    pool = Pool()
    member = pool.opened(VERIFICATION)
    ticket = pool.ask(want)
    assert ticket.turn is Turn.OPENS
    assert ticket.member is not member


def test_roles_that_are_there_do_for_less() -> None:
    pool = Pool()
    member = pool.opened(PresentationContext(CT, scu=True, scp=True))
    assert pool.ask(wanted(PresentationContext(CT, scu=False, scp=True))).member is member


def test_one_accepted_transfer_syntax_of_several_will_do() -> None:
    pool = Pool()
    member = pool.opened((CT, IMPLICIT_VR_LITTLE_ENDIAN))
    ticket = pool.ask(wanted(PresentationContext(CT, (JPEG, IMPLICIT_VR_LITTLE_ENDIAN))))
    assert ticket.member is member


def test_what_was_refused_lately_is_not_asked_again() -> None:
    pool = Pool()
    member = pool.opened(VERIFICATION, CT, refused=[CT])
    ticket = pool.ask(wanted(CT))
    assert ticket.member is member
    pool.pass_time(29)
    pool.leave(ticket)
    ticket = pool.ask(wanted(CT))
    assert ticket.member is member
    pool.leave(ticket)
    pool.pass_time(1)
    ticket = pool.ask(wanted(VERIFICATION))
    assert ticket.member is member
    pool.leave(ticket)
    assert pool.ask(wanted(CT)).turn is Turn.OPENS


def test_where_nothing_ends_what_was_refused_stays_so() -> None:
    pool = Pool(idle=None)
    member = pool.opened(VERIFICATION, CT, refused=[CT])
    pool.pass_time(1e6)
    assert pool.roster.next_timeout() is None
    assert pool.ask(wanted(CT)).member is member


def test_a_role_that_was_never_proposed_was_not_refused() -> None:
    pool = Pool()
    pool.opened(CT, refused=[CT])
    assert pool.ask(wanted(PresentationContext(CT, scp=True))).turn is Turn.OPENS


# ---------------------------------------------------------------- health


def test_a_dead_one_is_not_given_and_makes_room() -> None:
    pool = Pool(most=1)
    member = pool.opened()
    pool.die(member)
    ticket = pool.ask(wanted())
    assert ticket.turn is Turn.WAITS
    assert not pool.ended  # it ends by itself
    pool.gone(member, clean=False)
    assert ticket.turn is Turn.OPENS
    assert pool.counts == (1, 0, 0, 1)


def test_one_that_turns_out_dead_is_replaced_before_anybody_else_is_served() -> None:
    pool = Pool(most=1)
    member = pool.opened()
    ticket = pool.ask(wanted())
    behind = pool.ask(wanted())
    assert member.held is not None
    member.held.alive = False
    pool.roster.retry(ticket, pool.now, lambda: pool.woken.append(ticket))
    assert ticket.turn is Turn.WAITS
    assert pool.ended == [member]
    pool.gone(member)
    assert ticket.turn is Turn.OPENS
    assert pool.woken == [ticket]
    assert behind.turn is Turn.WAITS
    assert pool.counts == (1, 0, 1, 0)


def test_one_that_is_left_dead_ends() -> None:
    pool = Pool()
    ticket = pool.ask(wanted())
    member = pool.using(ticket)
    pool.die(member)
    assert not pool.ended
    pool.leave(ticket)
    assert pool.ended == [member]


def test_one_that_is_gone_while_it_is_used_has_left_its_place() -> None:
    pool = Pool(most=1)
    ticket = pool.ask(wanted())
    member = pool.using(ticket)
    pool.die(member)
    pool.gone(member, clean=False)
    assert pool.ask(wanted()).turn is Turn.OPENS
    pool.leave(ticket)
    assert not pool.ended


def test_what_was_given_up_must_be_answered_first() -> None:
    pool = Pool(most=1)
    ticket = pool.ask(wanted())
    member = pool.using(ticket)
    assert member.held is not None
    member.held.quiet = False
    pool.leave(ticket)
    first, second = pool.ask(wanted()), pool.ask(wanted())
    assert not pool.ended  # it will do, soon
    member.held.quiet = True
    pool.roster.look(pool.now)
    assert (first.turn, second.turn) == (Turn.USES, Turn.WAITS)
    assert first.member is member


def test_one_that_is_not_quiet_makes_room_for_who_cannot_use_it() -> None:
    pool = Pool(most=2)
    unquiet, quiet = pool.ask(wanted()), pool.ask(wanted())
    members = [pool.using(unquiet), pool.using(quiet)]
    assert members[0].held is not None
    members[0].held.quiet = False
    pool.leave(unquiet)
    pool.pass_time(1)
    pool.leave(quiet)
    pool.ask(wanted(CT))
    assert pool.ended == [members[1]]
    pool.ask(wanted(CT))
    assert pool.ended == members[::-1]


# ---------------------------------------------------------------- bounds and turns


def test_those_who_wait_are_served_in_order() -> None:
    pool = Pool(most=1)
    first, second, third = (pool.ask(wanted()) for _ in range(3))
    member = pool.using(first)
    pool.leave(second)
    pool.leave(first)
    assert third.turn is Turn.USES
    assert third.member is member
    assert pool.woken == [third]


def test_the_oldest_idle_one_makes_room() -> None:
    pool = Pool(most=2)
    oldest = pool.opened(to=THERE)
    pool.pass_time(1)
    pool.opened(CT)
    ticket = pool.ask(wanted(MR))
    assert pool.ended == [oldest]
    assert ticket.turn is Turn.WAITS
    pool.gone(oldest)
    assert ticket.turn is Turn.OPENS


def test_one_that_makes_room_does_so_for_the_first_only() -> None:
    pool = Pool(most=2)
    members = [pool.opened(to=THERE), pool.opened(CT)]
    tickets = [pool.ask(wanted(MR)), pool.ask(wanted(MR)), pool.ask(wanted(MR))]
    assert pool.ended == members
    pool.gone(members[1])
    pool.gone(members[0])
    assert [ticket.turn for ticket in tickets] == [Turn.OPENS, Turn.OPENS, Turn.WAITS]


def test_a_destination_that_is_full_holds_up_nobody_else() -> None:
    pool = Pool(most=3, most_per_destination=1)
    used = pool.ask(wanted())
    pool.using(used)
    held_up = pool.ask(wanted(CT))
    other = pool.ask(wanted(to=THERE))
    assert (held_up.turn, other.turn) == (Turn.WAITS, Turn.OPENS)
    assert used.member is not None
    member = used.member
    pool.leave(used)
    assert pool.ended == [member]
    pool.gone(member)
    assert held_up.turn is Turn.OPENS


def test_an_idle_one_elsewhere_makes_no_room_in_a_full_destination() -> None:
    pool = Pool(most=2, most_per_destination=1)
    pool.opened(to=THERE)
    pool.using(pool.ask(wanted()))
    assert pool.ask(wanted(CT)).turn is Turn.WAITS
    assert not pool.ended


def test_who_has_waited_too_long_waits_no_more() -> None:
    pool = Pool(most=1)
    pool.using(pool.ask(wanted()))
    ticket, patient = pool.ask(wanted(), deadline=110.0), pool.ask(wanted())
    assert pool.roster.next_timeout() == 110.0
    pool.pass_time(10)
    assert (ticket.turn, patient.turn) == (Turn.LATE, Turn.WAITS)
    assert pool.woken == [ticket]
    pool.leave(ticket)
    assert pool.roster.statistics().waiting == 1


def test_what_is_idle_too_long_ends() -> None:
    pool = Pool()
    first = pool.opened()
    pool.pass_time(1)
    second = pool.opened(CT)
    assert pool.roster.next_timeout() == 130.0
    pool.pass_time(29)
    assert pool.ended == [first]
    pool.pass_time(0.5)
    pool.leave(pool.ask(wanted(CT)))
    assert pool.roster.next_timeout() == 160.5
    pool.gone(first)
    pool.gone(second, clean=False)
    assert pool.counts == (2, 1, 1, 1)
    assert pool.roster.next_timeout() is None


def test_what_could_not_be_opened_makes_room() -> None:
    pool = Pool(most=1)
    ticket, behind = pool.ask(wanted()), pool.ask(wanted())
    assert ticket.member is not None
    ticket.member.begun = True
    pool.gone(ticket.member)
    pool.leave(ticket)
    assert behind.turn is Turn.OPENS
    assert pool.counts == (0, 0, 0, 0)


def test_what_was_not_begun_is_not_opened() -> None:
    pool = Pool(most=1)
    ticket, behind = pool.ask(wanted()), pool.ask(wanted())
    pool.leave(ticket)
    assert behind.turn is Turn.OPENS
    assert len(pool.roster.members) == 1


def test_what_is_opened_for_nobody_any_more_is_for_the_next_who_can_use_it() -> None:
    pool = Pool(most=3)
    ticket = pool.ask(wanted())
    member = ticket.member
    assert member is not None
    member.begun = True
    pool.leave(ticket)
    fits, other = pool.ask(wanted()), pool.ask(wanted(CT))
    assert (fits.turn, other.turn) == (Turn.WAITS, Turn.OPENS)
    pool.establish(member)
    assert (fits.turn, fits.member) == (Turn.USES, member)


def test_what_is_opened_for_nobody_any_more_makes_room() -> None:
    pool = Pool(most=1)
    ticket = pool.ask(wanted())
    member = ticket.member
    assert member is not None
    member.begun = True
    pool.leave(ticket)
    ticket = pool.ask(wanted(CT))
    assert pool.ended == [member]
    pool.gone(member)
    assert ticket.turn is Turn.OPENS


def test_nobody_counts_on_what_is_opened_and_ends() -> None:
    pool = Pool(most=2)
    ticket, other = pool.ask(wanted()), pool.ask(wanted())
    used, member = pool.using(other), ticket.member
    assert member is not None
    member.begun = True
    pool.leave(ticket)
    pool.leave(pool.ask(wanted(CT)))
    assert pool.ended == [member]
    pool.die(used)
    pool.gone(used)
    assert pool.ask(wanted()).turn is Turn.OPENS


# ---------------------------------------------------------------- sharing


def test_those_who_share_use_one_within_its_window() -> None:
    pool = Pool(most=3)
    first = pool.ask(wanted(share=True, window=3))
    second = pool.ask(wanted(share=True, window=3))
    assert second.turn is Turn.WAITS  # for the one being opened, which has a seat
    member = pool.using(first, window=2)
    assert second.member is member
    third = pool.ask(wanted(share=True, window=3))
    assert third.turn is Turn.OPENS
    alone = pool.ask(wanted(window=3))
    assert alone.turn is Turn.OPENS
    pool.leave(first)
    pool.leave(second)
    assert pool.ask(wanted(window=3)).member is member
    assert pool.ask(wanted(share=True, window=3)).turn is Turn.WAITS  # a seat on the third's


@pytest.mark.parametrize(("proposed", "seats"), [(None, 1), (4, 4), (0, math.inf)])
def test_seats_on_one_being_opened_are_those_of_the_window_proposed(proposed: int | None, seats: float) -> None:
    pool = Pool(most=2)
    tickets = [pool.ask(wanted(share=True, window=proposed)) for _ in range(5)]
    assert tickets[0].member is not None
    assert tickets[0].member.seats == seats
    opening = sum(ticket.turn is Turn.OPENS for ticket in tickets)
    assert opening == (1 if seats >= 5 else 2)


def test_an_unlimited_window_has_room_for_all() -> None:
    pool = Pool(most=1)
    first = pool.ask(wanted(share=True, window=0))
    member = pool.using(first, window=0)
    others = [pool.ask(wanted(share=True, window=0)) for _ in range(100)]
    assert {other.member for other in others} == {member}


def test_those_who_share_do_not_overtake_who_wants_one_alone() -> None:
    pool = Pool(most=1)
    first = pool.ask(wanted(share=True, window=8))
    member = pool.using(first, window=8)
    second = pool.ask(wanted(share=True, window=8))
    alone = pool.ask(wanted(window=8))
    third = pool.ask(wanted(share=True, window=8))
    assert (second.turn, alone.turn, third.turn) == (Turn.USES, Turn.WAITS, Turn.WAITS)
    pool.leave(first)
    assert third.turn is Turn.WAITS
    pool.leave(second)
    assert (alone.turn, third.turn) == (Turn.USES, Turn.WAITS)
    assert not member.shared
    pool.leave(alone)
    assert third.turn is Turn.USES
    assert member.shared


def test_nor_who_cannot_count_on_what_makes_room_for_another() -> None:
    pool = Pool(most=2)
    used, sharing = pool.ask(wanted(CT, to=THERE)), pool.ask(wanted(share=True, window=8))
    member = pool.using(used)
    pool.using(sharing, window=8)
    first, second, third = pool.ask(wanted(MR)), pool.ask(wanted(window=8)), pool.ask(wanted(share=True, window=8))
    pool.leave(used)
    assert pool.ended == [member]
    assert {each.turn for each in (first, second, third)} == {Turn.WAITS}


def test_those_who_share_open_one_for_all() -> None:
    pool = Pool(most=2)
    first, *others = (pool.ask(wanted(share=True, window=3)) for _ in range(3))
    assert first.member is not None
    first.member.begun = True
    pool.gone(first.member)
    assert [other.turn for other in others] == [Turn.OPENS, Turn.WAITS]


def test_nor_in_a_destination_that_is_full() -> None:
    pool = Pool(most=2, most_per_destination=1)
    pool.using(pool.ask(wanted(share=True, window=8)), window=8)
    alone = pool.ask(wanted(window=8))
    third = pool.ask(wanted(share=True, window=8))
    assert (alone.turn, third.turn) == (Turn.WAITS, Turn.WAITS)


# ---------------------------------------------------------------- the end


def test_closing_ends_what_is_idle_and_the_rest_when_it_is_left() -> None:
    pool = Pool(most=3)
    idle, used, opening = pool.opened(CT), pool.ask(wanted()), pool.ask(wanted())
    member, other = pool.using(used), opening.member
    assert other is not None
    other.begun = True
    waiting = pool.ask(wanted(CT, to=THERE))
    assert pool.ended == [idle]
    late = pool.ask(wanted(MR))
    pool.roster.close(pool.now)
    assert (waiting.turn, late.turn) == (Turn.CLOSED, Turn.CLOSED)
    assert pool.ask(wanted()).turn is Turn.CLOSED
    pool.leave(used)
    assert pool.ended == [idle, member]
    assert pool.roster.in_use
    pool.leave(opening)
    assert pool.ended == [idle, member, other]
    assert not pool.roster.in_use
    for each in (idle, member, other):
        pool.gone(each)
    assert pool.roster.members == []
    assert pool.roster.statistics() == PoolStatistics(opened=2, reused=0, released=2, lost=0, held=0, idle=0, waiting=0)


def test_one_that_is_established_too_late_ends_at_once() -> None:
    pool = Pool()
    ticket = pool.ask(wanted())
    member = ticket.member
    assert member is not None
    member.begun = True
    pool.roster.close(pool.now)
    pool.leave(ticket)
    pool.establish(member)
    assert pool.ended == [member]


def test_a_dead_one_is_not_replaced_in_a_closed_pool() -> None:
    pool = Pool()
    member = pool.opened()
    ticket = pool.ask(wanted())
    pool.die(member)
    pool.roster.close(pool.now)
    pool.roster.retry(ticket, pool.now, print)
    assert ticket.turn is Turn.CLOSED
    assert pool.ended == [member]


# ---------------------------------------------------------------- any order of anything

WANTS = [
    wanted(*needs, to=to, share=share, window=window)
    for needs in ([VERIFICATION], [VERIFICATION, CT])
    for to in (HERE, THERE)
    for share, window in ((False, None), (False, 3), (True, 3))
]


class AnyOrder(RuleBasedStateMachine):
    """Users, associations and the clock do what they may, in any order."""

    @initialize(
        most=st.integers(1, 4),
        most_per_destination=st.sampled_from([None, 1, 2]),
        idle=st.sampled_from([None, 0.0, 10.0]),
    )
    def begin(self, most: int, most_per_destination: int | None, idle: float | None) -> None:
        self.most, self.most_per_destination = most, most_per_destination or most
        self.pool = Pool(most, most_per_destination, idle)
        self.roster = self.pool.roster
        self.queue: list[Ticket[Association]] = []  # those who wait, in their order
        self.active: list[Ticket[Association]] = []  # those who have one
        self.closed = False

    # what users do

    @rule(want=st.sampled_from(WANTS), deadline=st.sampled_from([None, 5.0]))
    def ask(self, want: Wanted, deadline: float | None) -> None:
        self.queue.append(self.pool.ask(want, None if deadline is None else self.pool.now + deadline))
        self.sort()

    @precondition(lambda self: self.active)
    @rule(data=st.data(), quiet=st.booleans())
    def leave(self, data: st.DataObject, quiet: bool) -> None:
        ticket = data.draw(st.sampled_from(self.active))
        self.active.remove(ticket)
        if ticket.member is not None and ticket.member.held is not None:
            ticket.member.held.quiet = quiet
        self.pool.leave(ticket)
        self.sort()

    @precondition(lambda self: self.queue)
    @rule(data=st.data())
    def leave_the_queue(self, data: st.DataObject) -> None:
        ticket = data.draw(st.sampled_from(self.queue))
        self.queue.remove(ticket)
        self.pool.leave(ticket)
        self.sort()

    # what becomes of associations

    @precondition(lambda self: self.where(lambda member: member.held is None))
    @rule(data=st.data(), refused=st.sampled_from([(), (CT,)]), window=st.sampled_from([0, 1, 2]))
    def establish(self, data: st.DataObject, refused: Sequence[str], window: int) -> None:
        member = data.draw(st.sampled_from(self.where(lambda member: member.held is None)))
        self.pool.establish(member, refused, window)
        self.sort()

    @precondition(lambda self: self.where(lambda member: member.held is None))
    @rule(data=st.data())
    def begin_to_open(self, data: st.DataObject) -> None:
        data.draw(st.sampled_from(self.where(lambda member: member.held is None))).begun = True

    @precondition(lambda self: self.where(lambda member: member.held is None and member.begun))
    @rule(data=st.data())
    def fail(self, data: st.DataObject) -> None:
        self.pool.gone(data.draw(st.sampled_from(self.where(lambda member: member.held is None and member.begun))))
        self.sort()

    @precondition(lambda self: self.where(is_alive))
    @rule(data=st.data())
    def die(self, data: st.DataObject) -> None:
        self.pool.die(data.draw(st.sampled_from(self.where(is_alive))))
        self.sort()

    @precondition(lambda self: self.where(may_go))
    @rule(data=st.data(), clean=st.booleans())
    def go(self, data: st.DataObject, clean: bool) -> None:
        self.pool.gone(data.draw(st.sampled_from(self.where(may_go))), clean=clean)
        self.sort()

    @precondition(lambda self: self.where(lambda member: member.held is not None and not member.held.quiet))
    @rule(data=st.data())
    def settle(self, data: st.DataObject) -> None:
        unquiet = self.where(lambda member: member.held is not None and not member.held.quiet)
        member = data.draw(st.sampled_from(unquiet))
        assert member.held is not None
        member.held.quiet = True
        self.roster.look(self.pool.now)
        self.sort()

    @precondition(lambda self: self.dead())
    @rule(data=st.data())
    def retry(self, data: st.DataObject) -> None:
        ticket = data.draw(st.sampled_from(self.dead()))
        self.active.remove(ticket)
        self.queue.insert(0, ticket)
        self.roster.retry(ticket, self.pool.now, lambda: None)
        self.sort()

    @rule(seconds=st.sampled_from([0.0, 1.0, 5.0, 10.0]))
    def pass_time(self, seconds: float) -> None:
        self.pool.pass_time(seconds)
        self.sort()

    @rule()
    @precondition(lambda self: len(self.active) > 3)
    def close(self) -> None:
        self.roster.close(self.pool.now)
        self.closed = True
        self.sort()

    # what is true all the time

    def where(self, which: Any) -> list[Member[Association]]:
        return [member for member in self.roster.members if which(member)]

    def dead(self) -> list[Ticket[Association]]:
        return [
            ticket
            for ticket in self.active
            if ticket.turn is Turn.USES and ticket.member is not None and not is_alive(ticket.member)
        ]

    def sort(self) -> None:
        """Who has got something left the queue, and overtook nobody who wants the same."""
        for ticket in tuple(self.queue):
            if ticket.turn is Turn.WAITS:
                continue
            before = self.queue[: self.queue.index(ticket)]
            self.queue.remove(ticket)
            if ticket.turn in (Turn.USES, Turn.OPENS):
                opening = self.where(lambda member, his=ticket.member: member.held is None and member is not his)
                if ticket.turn is Turn.USES or not opening:  # else those before may count on a seat there
                    waiting = [each for each in before if each.turn is Turn.WAITS]
                    assert ticket.wanted not in [each.wanted for each in waiting], "overtaken"
                self.active.append(ticket)
                self.given(ticket)
            else:
                assert ticket.member is None

    def given(self, ticket: Ticket[Association]) -> None:
        member = ticket.member
        assert member is not None
        assert member in self.roster.members
        assert not member.ending
        assert member.is_like(ticket.wanted)
        if ticket.turn is Turn.OPENS:
            assert member.held is None
            assert member.contexts == ticket.wanted.contexts
            return
        assert member.held is not None
        assert member.held.alive
        offered = {each.abstract_syntax for each in member.held.contexts}
        assert offered >= {each.abstract_syntax for each in ticket.wanted.needs}

    @invariant()
    def never_too_many(self) -> None:
        assert len(self.roster.members) <= self.most
        for to in (HERE, THERE):
            assert len(self.where(lambda member, to=to: member.destination == to)) <= self.most_per_destination

    @invariant()
    def never_two_on_one_unless_they_share(self) -> None:
        for member in self.roster.members:
            users = [ticket for ticket in self.active if ticket.member is member]
            assert len(users) == member.users
            if len(users) > 1:
                assert all(ticket.wanted.share for ticket in users)
                assert member.held is not None
                assert len(users) <= (member.held.window or math.inf)

    @invariant()
    def nobody_waits_without_need(self) -> None:
        """The first in the queue waits for something that is on its way, or else all is in use."""
        if not self.queue:
            return
        want = self.queue[0].wanted
        there = self.where(lambda member: member.destination == want.destination)
        if len(there) < self.most_per_destination and len(self.roster.members) < self.most:
            assert any(member.held is None for member in there), "there is room"
            return
        crowd = there if len(there) >= self.most_per_destination else self.roster.members
        unused = [member for member in crowd if not member.users]
        on_its_way = [
            member
            for member in unused
            if member.ending or member.held is None or not (member.held.alive and member.held.quiet)
        ]
        assert on_its_way or not unused or any(member.held is None for member in there)

    @invariant()
    def each_is_let_end_once(self) -> None:
        assert len(self.pool.ended) == len(set(self.pool.ended))
        for member in self.where(lambda member: member.ending):
            assert member in self.pool.ended
            assert not member.users
        if self.closed:
            assert not self.queue
            assert all(member.ending or member.users for member in self.roster.members)

    @invariant()
    def the_figures_agree(self) -> None:
        figures = self.roster.statistics()
        assert figures.opened == figures.released + figures.lost + figures.held
        assert figures.waiting == len(self.queue)
        assert figures.reused >= 0

    def teardown(self) -> None:
        """When everybody does what is expected, all are served, and at the end nothing is left."""
        rounds = len(self.queue) + 1
        while self.queue or self.active:
            before = len(self.queue)
            for _ in range(2 * self.most + 2):  # until nothing moves by itself
                for member in tuple(self.roster.members):
                    if member.ending or (member.held is not None and not member.held.alive):
                        self.pool.gone(member)
                    elif member.held is None:
                        self.pool.establish(member)
                    else:
                        member.held.quiet = True
                self.roster.look(self.pool.now)
                self.sort()
                self.never_too_many()
                self.never_two_on_one_unless_they_share()
            for ticket in tuple(self.active):
                self.active.remove(ticket)
                self.pool.leave(ticket)
                self.sort()
            rounds -= before > 0
            assert rounds >= 0, "somebody starves"
        self.roster.close(self.pool.now)
        for member in tuple(self.roster.members):
            assert member in self.pool.ended
            self.pool.gone(member)
        assert self.roster.members == []
        assert self.roster.next_timeout() is None


def is_alive(member: Member[Association]) -> bool:
    return member.held is not None and member.held.alive


def may_go(member: Member[Association]) -> bool:
    return member.held is not None and not member.users and (member.ending or not member.held.alive)


TestAnyOrder = AnyOrder.TestCase
