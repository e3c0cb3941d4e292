"""Who is let in: the books always agree with what came and went, and nobody is met with silence."""

from __future__ import annotations

import ipaddress
from collections import Counter
from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, precondition, rule

from sansdimse.admission import (
    OVER_BUDGET,
    SHUTTING_DOWN,
    AddressList,
    Admission,
    Applicant,
    Budget,
    Certificate,
    Grant,
    Refusal,
    host_of,
    judged,
)
from sansdimse.outcome import reject_reason
from sansdimse.uids import VERIFICATION
from sansdimse.ul.negotiation import answer, propose
from sansdimse.ul.parties import Acceptor, Requestor
from sansdimse.ul.pdu import AAssociateRJ

REQUEST = propose(Requestor("ME", "YOU", [VERIFICATION]))
YES = answer(Acceptor("YOU", [VERIFICATION]), REQUEST)
NO = AAssociateRJ(1, 1, 7)


# ---------------------------------------------------------------- budgets


def test_the_rejections_say_why() -> None:
    assert reject_reason(OVER_BUDGET.result, OVER_BUDGET.source, OVER_BUDGET.reason) == (
        "transiently: local limit exceeded"
    )
    assert reject_reason(SHUTTING_DOWN.result, SHUTTING_DOWN.source, SHUTTING_DOWN.reason) == (
        "transiently: temporary congestion"
    )


def test_an_association_counts_until_it_is_closed() -> None:
    admission: Admission[str] = Admission(Budget(associations=1))
    for name in "abc":
        assert admission.opened(name) is None
    assert (admission.pending, admission.associations) == (3, 0)
    assert admission.requested("a", YES) is YES
    assert admission.requested("b", YES) == OVER_BUDGET
    assert (admission.pending, admission.associations) == (2, 1)
    admission.closed("a")
    assert admission.requested("c", YES) is YES
    admission.closed("c")
    admission.closed("c")
    assert (admission.pending, admission.associations) == (1, 0)
    admission.closed("b")
    assert (admission.pending, admission.associations) == (0, 0)


def test_what_negotiation_rejects_takes_no_place_and_keeps_its_reason() -> None:
    admission: Admission[str] = Admission(Budget(associations=1))
    for name in "ab":
        admission.opened(name)
        assert admission.requested(name, NO) is NO
    assert admission.associations == 0


@pytest.mark.parametrize("proposed", [YES, NO])
def test_who_is_rejected_and_does_not_close_makes_room_like_the_silent(proposed: Any) -> None:
    admission: Admission[int] = Admission(Budget(associations=1, pending=2))
    admission.opened(-1)
    admission.requested(-1, YES)
    cut = []
    for number in range(5):
        cut.append(admission.opened(number))
        assert isinstance(admission.requested(number, proposed), AAssociateRJ)
        assert admission.pending <= 2
    assert cut == [None, None, 0, 1, 2]


@pytest.mark.parametrize("proposed", [YES, NO])
def test_while_closing_everybody_is_told_to_come_back_later(proposed: Any) -> None:
    admission: Admission[str] = Admission()
    admission.opened("a")
    admission.closing = True
    assert admission.requested("a", proposed) == SHUTTING_DOWN
    assert admission.associations == 0


def test_the_one_that_was_silent_longest_makes_room() -> None:
    admission: Admission[int] = Admission(Budget(pending=2))
    assert [admission.opened(number) for number in range(5)] == [None, None, 0, 1, 2]
    assert admission.pending == 2


def test_of_a_host_that_has_its_share_the_oldest_of_its_own_makes_room() -> None:
    admission: Admission[str] = Admission(Budget(pending=4, pending_per_address=2))
    assert admission.opened("a1", "10.0.0.1:1") is None
    assert admission.opened("b1", "[fe80::1]:1") is None
    assert admission.opened("a2", "10.0.0.1:2") is None
    assert admission.opened("a3", "10.0.0.1:3") == "a1"
    assert admission.opened("b2", "[fe80::1]:2") is None
    assert admission.opened("b3", "[fe80::1]:3") == "b1"
    assert admission.opened("c1", "10.0.0.2:1") == "a2", "of all now: the first that came"
    assert admission.pending == 4


def test_a_host_that_has_its_share_of_associations_is_rejected_and_others_are_not() -> None:
    admission: Admission[str] = Admission(Budget(associations=3, associations_per_address=1))
    for name in ("a1", "a2", "b1"):
        admission.opened(name, f"{name[0]}.example:104")
    assert admission.requested("a1", YES) is YES
    assert admission.requested("a2", YES) == OVER_BUDGET
    assert admission.requested("b1", YES) is YES
    admission.closed("a1")
    assert admission.requested("a2", YES) is YES


def test_who_is_refused_after_all_gives_his_place_back_and_is_pending_again() -> None:
    admission: Admission[str] = Admission(Budget(associations=1, associations_per_address=1, pending=1))
    admission.opened("a", "host:1")
    assert admission.requested("a", YES) is YES
    admission.refused("a")
    admission.refused("a")
    assert (admission.pending, admission.associations) == (1, 0)
    assert admission.opened("b", "host:2") == "a"
    assert admission.requested("b", YES) is YES
    admission.closed("a")
    admission.refused("a")
    assert (admission.pending, admission.associations) == (0, 1)


def test_who_has_gone_takes_no_place() -> None:
    """His request may still be told, by a transport that was about to."""
    admission: Admission[str] = Admission()
    admission.opened("a", "host:1")
    admission.closed("a")
    assert admission.requested("a", YES) == OVER_BUDGET
    assert (admission.pending, admission.associations) == (0, 0)


def test_who_was_cut_is_not_let_in_when_his_request_is_told_late() -> None:
    admission: Admission[str] = Admission(Budget(pending=1))
    admission.opened("a")
    assert admission.opened("b") == "a"
    assert admission.requested("a", YES) == OVER_BUDGET
    assert (admission.pending, admission.associations) == (1, 0)


def test_the_default_budget_is_used() -> None:
    assert Admission[int]().budget == Budget()


@pytest.mark.parametrize("name", [each.name for each in fields(Budget)])
@pytest.mark.parametrize("value", [0, -1, 1.5, "many"])
def test_a_budget_that_lets_nobody_in_is_none(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=rf"Budget\.{name}: {value!r} is no number from 1 on"):
        Budget(**{name: value})
    assert getattr(Budget(**{name: 1}), name) == 1


def test_of_its_numbers_only_those_per_address_may_be_left_out() -> None:
    assert Budget(associations_per_address=None, pending_per_address=None) == Budget()
    nothing: Any = None
    with pytest.raises(ValueError, match="associations"):
        Budget(associations=nothing)


@given(st.lists(st.tuples(st.sampled_from(["open", "ask", "close"]), st.integers(0, 9))), st.integers(1, 3))
def test_the_books_agree_with_a_plain_model(steps: list[tuple[str, int]], most: int) -> None:
    admission: Admission[int] = Admission(Budget(associations=most, pending=most + 1))
    pending: list[int] = []
    established: set[int] = set()
    for step, who in steps:
        known = who in pending or who in established
        if step == "open" and not known:
            pending.append(who)
            out = pending.pop(0) if len(pending) > most + 1 else None
            assert admission.opened(who) == out
        elif step == "ask" and who in pending:
            fits = len(established) < most
            assert admission.requested(who, YES) == (YES if fits else OVER_BUDGET)
            if fits:
                pending.remove(who)
                established.add(who)
        elif step == "close":
            admission.closed(who)
            established.discard(who)
            pending = [each for each in pending if each != who]
        assert (admission.pending, admission.associations) == (len(pending), len(established))
        assert admission.unserved == tuple(pending)
        assert admission.associations <= most


class Books(RuleBasedStateMachine):
    """Connections of three hosts come, ask, are refused after all, and go, in any order."""

    connections = Bundle("connections")

    def __init__(self) -> None:
        super().__init__()
        self.budget = Budget(associations=3, pending=4, associations_per_address=2, pending_per_address=3)
        self.admission: Admission[int] = Admission(self.budget)
        self.number = 0
        self.hosts: dict[int, str] = {}
        self.waiting: list[int] = []  # pending, in the order in which they came to be
        self.let_in: set[int] = set()

    @rule(target=connections, host=st.sampled_from(["10.0.0.1", "10.0.0.2", "[fe80::1]"]))
    def opens(self, host: str) -> int:
        connection = self.number = self.number + 1
        self.hosts[connection] = host
        self.waiting.append(connection)
        own = [each for each in self.waiting if self.hosts[each] == host]
        wanted = None
        if len(own) > 3:
            wanted = own[0]
        elif len(self.waiting) > 4:
            wanted = self.waiting[0]
        assert self.admission.opened(connection, f"{host}:{connection}") == wanted
        if wanted is not None:
            self.waiting.remove(wanted)
        return connection

    @rule(connection=connections)
    def asks(self, connection: int) -> None:
        if connection in self.let_in:
            return
        shares = Counter(self.hosts[each] for each in self.let_in)
        was_cut = connection not in self.waiting
        fits = not was_cut and len(self.let_in) < 3 and shares[self.hosts[connection]] < 2
        assert self.admission.requested(connection, YES) == (YES if fits else OVER_BUDGET)
        if fits:
            self.let_in.add(connection)
            self.waiting = [each for each in self.waiting if each != connection]

    @rule(connection=connections)
    def is_rejected_by_negotiation(self, connection: int) -> None:
        assert self.admission.requested(connection, NO) is NO

    @precondition(lambda self: self.let_in)
    @rule(data=st.data())
    def is_refused_after_all(self, data: st.DataObject) -> None:
        connection = data.draw(st.sampled_from(sorted(self.let_in)))
        self.admission.refused(connection)
        self.let_in.discard(connection)
        self.waiting.append(connection)

    @rule(connection=consumes(connections))
    def goes(self, connection: int) -> None:
        self.admission.closed(connection)
        self.let_in.discard(connection)
        self.waiting = [each for each in self.waiting if each != connection]
        del self.hosts[connection]

    @invariant()
    def the_books_agree(self) -> None:
        assert self.admission.pending == len(self.waiting)
        assert self.admission.unserved == tuple(self.waiting)
        assert self.admission.associations == len(self.let_in) <= self.budget.associations
        assert max(Counter(self.hosts[each] for each in self.let_in).values(), default=0) <= 2
        # Who is refused after all is pending above that budget, but the two together are never exceeded.
        assert len(self.waiting) + len(self.let_in) <= self.budget.pending + self.budget.associations

    def teardown(self) -> None:
        for connection in list(self.hosts):
            self.admission.closed(connection)
        assert (self.admission.pending, self.admission.associations) == (0, 0)
        books = {name: value for name, value in vars(self.admission).items() if name not in ("budget", "closing")}
        assert not any(books.values()), "nothing is kept of anybody"


TestBooks = Books.TestCase
TestBooks.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


# ---------------------------------------------------------------- access

APPLICANT = Applicant(
    address="[fe80::1]:40112",
    calling_ae_title="ME",
    called_ae_title="YOU",
    user_identity=None,
    certificate=None,
    request=REQUEST,
)


def test_a_decision_in_full() -> None:
    grant, refusal = Grant(b"token"), Refusal(2, 1, 3)
    assert judged(grant) is grant
    assert judged(refusal) is refusal
    assert judged(True) == Grant()
    assert judged(False) == Refusal() == Refusal(1, 1, 1)


@pytest.mark.parametrize("nonsense", [None, 1, 0, "yes", b"", [], NO])
def test_what_is_no_decision_lets_nobody_in(nonsense: object) -> None:
    with pytest.raises(TypeError, match=f"access returned {type(nonsense).__name__}; it returns True"):
        judged(nonsense)


def test_an_applicant_is_known_by_its_host() -> None:
    assert APPLICANT.host == "fe80::1"


def test_a_certificate_shows_no_encoding() -> None:
    certificate = Certificate("commonName=scanner.example", ("DNS:scanner.example",), b"\x30\x82")
    assert repr(certificate) == (
        "Certificate(subject='commonName=scanner.example', names=('DNS:scanner.example',), der=<2 bytes>)"
    )
    assert certificate == Certificate("commonName=scanner.example", ("DNS:scanner.example",), b"\x30\x82")


# ---------------------------------------------------------------- addresses

ADDRESSES = st.ip_addresses(v=4) | st.ip_addresses(v=6)
PORTS = st.integers(0, 65535)


def written(address: Any, port: int | None = None) -> str:
    """As people write it."""
    if port is None:
        return str(address)
    return f"[{address}]:{port}" if address.version == 6 else f"{address}:{port}"


@given(ADDRESSES, PORTS)
def test_the_host_of_an_address(address: Any, port: int) -> None:
    assert host_of(written(address, port)) == str(address)
    assert host_of(str(address)) == str(address)
    assert host_of(f"[{address}]") == str(address)


@pytest.mark.parametrize(
    ("address", "host"),
    [
        ("pacs.example:104", "pacs.example"),
        ("pacs.example", "pacs.example"),
        ("memory", "memory"),
        ("", ""),
        ("fe80::1%eth0", "fe80::1%eth0"),
        ("[fe80::1%eth0]:104", "fe80::1%eth0"),
    ],
)
def test_the_host_of_what_is_no_plain_address(address: str, host: str) -> None:
    assert host_of(address) == host


@st.composite
def networks(draw: st.DrawFn) -> Any:
    """A network, often one of few addresses."""
    address = draw(ADDRESSES)
    return ipaddress.ip_network((address, draw(st.integers(0, address.max_prefixlen))), strict=False)


@given(st.lists(networks(), max_size=4), st.data(), st.none() | PORTS)
def test_an_address_is_in_the_list_if_a_network_of_its_kind_has_it(
    given_: list[Any], data: st.DataObject, port: int | None
) -> None:
    edges = [network[position] for network in given_ for position in (0, -1)]
    near = [
        type(edge)(int(edge) + by) for edge in edges for by in (-1, 1) if 0 <= int(edge) + by < 2**edge.max_prefixlen
    ]
    address = data.draw(st.sampled_from(edges + near) if edges else ADDRESSES)
    expected = any(network.version == address.version and address in network for network in given_)
    assert (written(address, port) in AddressList(map(str, given_))) is expected


def test_an_ipv4_address_is_in_no_ipv6_network() -> None:
    assert "10.0.0.1:104" not in AddressList(["::/0"])
    assert "[::1]:104" not in AddressList(["0.0.0.0/0"])
    assert "[::1]:104" in AddressList(["0.0.0.0/0", "::/0"])


def test_single_addresses_and_scopes() -> None:
    allowed = AddressList(["192.168.1.7", "fe80::/10"])
    assert "192.168.1.7:5" in allowed
    assert "192.168.1.8:5" not in allowed
    assert "[fe80::1%eth0]:5" in allowed


@given(st.text() | st.integers() | st.none())
def test_what_is_no_address_is_in_no_list(nonsense: object) -> None:
    try:
        ipaddress.ip_address(host_of(str(nonsense)).partition("%")[0])
    except ValueError:
        assert nonsense not in AddressList(["0.0.0.0/0", "::/0"])


@pytest.mark.parametrize("wrong", ["", "localhost", "10.0.0.1:104", "10.0.0.0/33", "10.0.0.1/8", "[::1]"])
def test_what_is_no_network_is_told_at_once(wrong: str) -> None:
    with pytest.raises(ValueError, match=r"IPv|network|host bits"):
        AddressList([wrong])
