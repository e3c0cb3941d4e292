"""Who is let in: budgets before and after the association, and access; decided purely and once for all transports.

A connection without an association (no complete request yet, or a rejected one that the peer has not closed)
costs little and may be anybody's, so those have a budget of their own: beyond it the oldest makes room. An
association costs a handler's time: beyond that budget a complete request is answered with A-ASSOCIATE-RJ 2/3/2,
transient, local limit exceeded (PS3.8 Table 9-21), and never with silence.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable, Hashable, Iterable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Generic, TypeVar

from sansdimse.ul.pdu import AAssociateAC, AAssociateRJ

if TYPE_CHECKING:
    from sansdimse.ul.items import UserIdentityRQ
    from sansdimse.ul.pdu import AAssociateRQ

C = TypeVar("C", bound=Hashable)

OVER_BUDGET = AAssociateRJ(result=2, source=3, reason=2)
"""Rejected transient, presentation layer of the service-provider, local limit exceeded."""

SHUTTING_DOWN = AAssociateRJ(result=2, source=3, reason=1)
"""Rejected transient, temporary congestion: come back later."""


# ---------------------------------------------------------------- access


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate that TLS has verified, as far as access is decided by it. Its repr shows no encoding."""

    subject: str
    """The distinguished name, as OpenSSL orders it: ``commonName=..., organizationName=...``."""
    names: tuple[str, ...] = ()
    """The subject alternative names, each as ``DNS:modality.example``."""
    der: bytes = b""
    """The whole certificate in DER."""

    def __repr__(self) -> str:
        return f"Certificate(subject={self.subject!r}, names={self.names!r}, der=<{len(self.der)} bytes>)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Applicant:
    """Who asks for an association. All but address and certificate is the peer's own word."""

    address: str
    """Host and port, as people write them: ``10.1.2.3:40112``, ``[fe80::1]:40112``."""
    calling_ae_title: str
    called_ae_title: str
    user_identity: UserIdentityRQ | None
    """PS3.7 D.3.3.7; None if none was given."""
    certificate: Certificate | None
    """None without TLS, or where no certificate was asked for."""
    request: AAssociateRQ
    """The request as it came."""

    @property
    def host(self) -> str:
        """The address without its port."""
        return host_of(self.address)


@dataclass(frozen=True, slots=True)
class Grant:
    """Let in. ``identity_response`` confirms the user identity, if the requestor asked for that (PS3.7 D.3.3.7.2)."""

    identity_response: bytes | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """Not let in: the numbers of the A-ASSOCIATE-RJ (PS3.8 Table 9-21); by default for good, without a reason."""

    result: int = 1
    source: int = 1
    reason: int = 1


Decision = bool | Grant | Refusal
"""``True`` and ``False`` are ``Grant()`` and ``Refusal()``."""
Access = Callable[[Applicant], Decision | Awaitable[Decision]]
"""Decides whether somebody is let in; an ``async def``, or a ``def`` that may block."""


def judged(decision: object) -> Grant | Refusal:
    """A decision in full. Raises ``TypeError`` for what is none."""
    if isinstance(decision, Grant | Refusal):
        return decision
    if decision is True:
        return Grant()
    if decision is False:
        return Refusal()
    raise TypeError(f"access returned {type(decision).__name__}; it returns True, False, a Grant or a Refusal")


class AddressList:
    """Networks and single addresses: ``10.1.0.0/16``, ``192.168.1.7``, ``fe80::/10``."""

    def __init__(self, networks: Iterable[str]) -> None:
        """Raises ``ValueError`` for what is no address or network."""
        self._networks = tuple(ipaddress.ip_network(each) for each in networks)

    def __contains__(self, address: object) -> bool:
        """Whether a host, or a host and port, is in one of them."""
        try:
            host = ipaddress.ip_address(host_of(str(address)).partition("%")[0])
        except ValueError:
            return False
        return any(host.version == network.version and host in network for network in self._networks)


def host_of(address: str) -> str:
    """The host of an address as people write it: ``10.1.2.3:104``, ``[::1]:104``, or either without a port."""
    if address.startswith("["):
        return address[1:].partition("]")[0]
    host, colon, _ = address.rpartition(":")
    return host if colon and ":" not in host else address


# ---------------------------------------------------------------- budgets


@dataclass(frozen=True, slots=True)
class Budget:
    """How many may be there at once. Those per address bound what one host can take; None does not.

    Raises ``ValueError`` for what is no number from 1 on: nobody could ever get in.
    """

    associations: int = 100
    pending: int = 128
    """Connections without an association."""
    associations_per_address: int | None = None
    pending_per_address: int | None = None

    def __post_init__(self) -> None:
        for each in fields(self):
            value: object = getattr(self, each.name)
            if value is None and str(each.type).endswith("| None"):
                continue
            if not (isinstance(value, int) and value >= 1):
                raise ValueError(f"Budget.{each.name}: {value!r} is no number from 1 on; less would let nobody in")


class Admission(Generic[C]):
    """The books of one server. ``C`` is whatever the transport knows a connection by. Not thread-safe."""

    def __init__(self, budget: Budget | None = None) -> None:
        self.budget = budget or Budget()
        self._hosts: dict[C, str] = {}
        self._pending: dict[C, None] = {}  # in the order in which they came
        self._associations: set[C] = set()
        self._pending_of: dict[str, int] = {}
        self._associations_of: dict[str, int] = {}
        self.closing = False
        """Whether new associations are refused because the server shuts down."""

    def opened(self, connection: C, address: str = "") -> C | None:
        """A connection came; another one to close for it, if the budget asks for that: the oldest of its kind."""
        host = host_of(address)
        self._hosts[connection] = host
        self._put_pending(connection, host)
        most = self.budget.pending_per_address
        if most is not None and self._pending_of[host] > most:
            oldest = next(each for each in self._pending if self._hosts[each] == host)
        elif len(self._pending) > self.budget.pending:
            oldest = next(iter(self._pending))
        else:
            return None
        self._take_pending(oldest)
        return oldest

    def requested(self, connection: C, proposed: AAssociateAC | AAssociateRJ) -> AAssociateAC | AAssociateRJ:
        """A complete request came; what to answer, given what negotiation would."""
        if self.closing:
            return SHUTTING_DOWN
        if isinstance(proposed, AAssociateRJ):
            return proposed
        if connection not in self._pending:
            return OVER_BUDGET  # it was cut, or went, and its request had been read before
        host = self._hosts[connection]
        most = self.budget.associations_per_address
        if len(self._associations) >= self.budget.associations or (
            most is not None and self._associations_of.get(host, 0) >= most
        ):
            return OVER_BUDGET
        # Who is rejected stays pending: he may keep his connection for all of ARTIM (PS3.8 9.2, Sta13).
        self._take_pending(connection)
        self._associations.add(connection)
        self._associations_of[host] = self._associations_of.get(host, 0) + 1
        return proposed

    def refused(self, connection: C) -> None:
        """What ``requested`` let in was refused after all: it is pending again, until it is closed."""
        if connection in self._associations:
            self._take_association(connection)
            self._put_pending(connection, self._hosts[connection])

    def closed(self, connection: C) -> None:
        """A connection went."""
        self._take_pending(connection)
        self._take_association(connection)
        self._hosts.pop(connection, None)

    def _put_pending(self, connection: C, host: str) -> None:
        self._pending[connection] = None
        self._pending_of[host] = self._pending_of.get(host, 0) + 1

    def _take_pending(self, connection: C) -> None:
        if connection in self._pending:
            del self._pending[connection]
            _less(self._pending_of, self._hosts[connection])

    def _take_association(self, connection: C) -> None:
        if connection in self._associations:
            self._associations.discard(connection)
            _less(self._associations_of, self._hosts[connection])

    @property
    def unserved(self) -> tuple[C, ...]:
        """Those without an association, the oldest first."""
        return tuple(self._pending)

    @property
    def pending(self) -> int:
        """Connections without an association."""
        return len(self._pending)

    @property
    def associations(self) -> int:
        """Associations accepted and not gone."""
        return len(self._associations)


def _less(counts: dict[str, int], host: str) -> None:
    """One less; a host without any is forgotten, so that the books do not grow with the Internet."""
    counts[host] -= 1
    if not counts[host]:
        del counts[host]
