"""What every server does, whatever moves its bytes: budgets, access, a session for each connection, the books.

A transport makes one ``Host``, tells it of each connection, and lets the session that it gets for it run.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final, Generic, Required, TypedDict, TypeVar

from sansdimse.admission import (
    Access,
    AddressList,
    Admission,
    Applicant,
    Budget,
    Certificate,
    Decision,
    Grant,
    Refusal,
    judged,
)
from sansdimse.association import Association
from sansdimse.limits import Limits
from sansdimse.peer import scp
from sansdimse.peer.handlers import check_service, is_async
from sansdimse.peer.session import Associate, Report, Session, invents_none, opens_none
from sansdimse.peer.watch import ConnectionCut, Watch, unwatched
from sansdimse.profile import DEFAULT, Profile
from sansdimse.services.sop_classes import STANDARD, SopClasses
from sansdimse.ul.items import AsynchronousOperationsWindow
from sansdimse.ul.parties import MAXIMUM_LENGTH, Acceptor, Extended, PresentationContext, WhenIdle
from sansdimse.ul.pdu import AAssociateAC, AAssociateRJ

if TYPE_CHECKING:
    from sansdimse.peer.link import Link

C = TypeVar("C")

IDLE: Final = 600.0
"""Seconds after which an association with nothing outstanding is ended, by default: a client that went
without a word would hold its place for ever."""

ABORT_GRACE: Final = 3.0
"""Seconds that peers have to take an A-ABORT before their connections are cut, and handlers to return after that."""

_MOST_THREADS: Final = 16
"""Threads that are counted for each association at most, however wide its window."""


class ServeOptions(TypedDict, total=False):
    """What ``serve`` takes on every transport, besides address, service and what is the transport's own."""

    ae_title: str
    """Ours; "SANSDIMSE" by default."""
    supports: Required[Sequence[PresentationContext | str]]
    """The SOP classes offered; a string has both uncompressed transfer syntaxes."""
    any_storage: bool
    """Take every storage SOP class besides, private ones too, in whatever transfer syntax is proposed."""
    related_general: bool
    """Take a storage SOP class if its common extended negotiation relates it to one offered (PS3.4 B.4.1.2)."""
    require_called: bool
    """Reject requests for another called AE title than ours."""
    allowed_calling: Collection[str] | None
    """The calling AE titles let in; None is all."""
    allowed_addresses: Collection[str] | None
    """The addresses and networks let in (``10.1.0.0/16``); None is all. Others are rejected, 1/1/1."""
    access: Access | None
    """Who is let in, decided by you: by title, address, certificate, user identity; sync or async."""
    prefer: tuple[str, ...]
    """Transfer syntaxes in our order; those not named follow in the requestor's."""
    maximum_length: int
    """Longest P-DATA-TF that we take, in bytes; 0 is unlimited. 128 KiB by default."""
    window: AsynchronousOperationsWindow
    """The most operations agreed to at once, invoked by the requestor and by us (PS3.7 D.3.3.3); 1, 1 by default."""
    extended: Mapping[str, Extended]
    """What is supported of extended negotiation, by SOP class (PS3.7 D.3.3.5; ``sansdimse.services.extended``)."""
    when_idle: WhenIdle
    """What becomes of an association on which nothing happens for ``Limits.idle``."""
    budget: Budget
    """How many connections and associations at once."""
    limits: Limits | None
    """By default those of ``Limits``, with ``idle`` at ten minutes."""
    profile: Profile
    """Which deviations of a peer are refused."""
    report: Report
    """Told of errors in handlers, and of ours; a logger named ``sansdimse`` by default."""
    watch: Watch
    """Told of what happens on associations; see ``sansdimse.peer.watch``."""
    new_uid: Callable[[], str]
    """Names instances that a peer creates without naming them (PS3.7 10.1.5.1.4); by default by ``2.25.`` UIDs."""
    sop_classes: SopClasses
    """The table of SOP classes, with private ones: ``STANDARD.with_private(...)``."""


class Host(Generic[C]):
    """The part of a server that is no transport's. ``C`` is whatever the transport knows a connection by.

    ``lock`` guards the books where several threads use it. Raises ``TypeError`` if the service lacks a method for
    what it offers, ``LocalProtocolError`` for settings that the standard does not allow.
    """

    def __init__(
        self,
        service: object,
        *,
        supports: Sequence[PresentationContext | str],
        report: Report,
        ae_title: str = "SANSDIMSE",
        any_storage: bool = False,
        related_general: bool = False,
        require_called: bool = False,
        allowed_calling: Collection[str] | None = None,
        allowed_addresses: Collection[str] | None = None,
        access: Access | None = None,
        prefer: tuple[str, ...] = (),
        maximum_length: int = MAXIMUM_LENGTH,
        window: AsynchronousOperationsWindow | None = None,
        extended: Mapping[str, Extended] | None = None,
        when_idle: WhenIdle = WhenIdle.ABORT,
        budget: Budget | None = None,
        limits: Limits | None = None,
        profile: Profile = DEFAULT,
        watch: Watch = unwatched,
        new_uid: Callable[[], str] = invents_none,
        sop_classes: SopClasses = STANDARD,
        lock: AbstractContextManager[object] | None = None,
    ) -> None:
        self.config = Acceptor(
            ae_title,
            supports,
            require_called=require_called,
            allowed_calling=None if allowed_calling is None else frozenset(allowed_calling),
            prefer=prefer,
            any_storage=any_storage,
            related_general=related_general,
            maximum_length=maximum_length,
            window=window or AsynchronousOperationsWindow(1, 1),
            extended=extended or {},
            when_idle=when_idle,
            limits=limits or replace(Limits(), idle=IDLE),
            profile=profile,
        )
        check_service(
            service,
            [each.abstract_syntax for each in self.config.presentation_contexts if each.scu],
            any_storage=any_storage,
            sop_classes=sop_classes,
        )
        self.report = report
        self._addresses = None if allowed_addresses is None else AddressList(allowed_addresses)
        self._access = access
        self._service = service
        self._new_uid = new_uid
        self._sop_classes = sop_classes
        self._watch = watch
        self._admission: Admission[C] = Admission(budget)
        self._open: dict[C, str] = {}
        self._lock = lock or nullcontext()

    @property
    def limits(self) -> Limits:
        """The limits of each association."""
        return self.config.limits

    @property
    def associations(self) -> int:
        """How many associations are established, or are being."""
        with self._lock:
            return self._admission.associations

    @property
    def pending(self) -> int:
        """How many connections have no association."""
        with self._lock:
            return self._admission.pending

    @property
    def connections(self) -> tuple[C, ...]:
        """All that came and have not gone."""
        with self._lock:
            return tuple(self._open)

    @property
    def workers(self) -> int:
        """Threads for handlers that block, such that those whose peers keep them waiting keep no others waiting.

        A handler waits for its peer in its thread, and an association may have as many at once as its window says.
        """
        return self._admission.budget.associations * min(self.config.window.invoked, _MOST_THREADS)

    @property
    def closing(self) -> bool:
        """Whether new associations are refused because the server shuts down."""
        return self._admission.closing

    def close(self) -> bool:
        """Refuse new associations from now on; whether this was the first to say so."""
        with self._lock:
            first = not self._admission.closing
            self._admission.closing = True
        return first

    def ending(
        self, grace: float, abort: Callable[[C], object], cut: Callable[[C], object]
    ) -> Generator[float, None, None]:
        """How a server ends that accepts nothing more: what it gives are seconds to wait, or until all have gone.

        Who is not served is cut at once. Associations may end by themselves within ``grace``, then they are aborted,
        then cut; a handler that does not return even so is reported. To close it early is to cut all.
        """
        with self._lock:
            unserved = self._admission.unserved
        for each in unserved:
            cut(each)
        try:
            yield grace
            for each in self.connections:
                abort(each)
            yield ABORT_GRACE
        finally:
            for each in self.connections:
                cut(each)
        yield ABORT_GRACE
        with self._lock:
            left = tuple(self._open.values())
        for address in left:
            self.report(TimeoutError("the handler did not return"), address)

    def opened(self, connection: C, address: str) -> C | None:
        """A connection came; another one that must be cut for it, if so."""
        with self._lock:
            self._open[connection] = address
            return self._admission.opened(connection, address)

    def cut(self, address: str) -> None:
        """A connection was cut because ``opened`` said so."""
        try:
            self._watch(ConnectionCut(address, "over the budget of connections without an association"))
        except Exception as error:  # noqa: BLE001 - the user's code may raise anything; no server dies of it
            self.report(error, "watch")

    def closed(self, connection: C) -> None:
        """A connection went."""
        with self._lock:
            self._open.pop(connection, None)
            self._admission.closed(connection)

    def engine(self, now: float) -> Association:
        """The engine for a connection that came at ``now``."""
        return Association(self.config, now=now, sop_classes=self._sop_classes)

    def session(
        self,
        connection: C,
        engine: Association,
        link: Link,
        address: str,
        certificate: Callable[[], Certificate | None] = lambda: None,
        associate: Associate = opens_none,
    ) -> Session:
        """The session of a connection; ``associate`` opens another association for a C-MOVE."""
        return Session(
            engine,
            link,
            address=address,
            serve=scp.serve,
            service=self._service,
            decide=partial(self._decide, connection),
            certificate=certificate,
            report=self.report,
            watch=self._watch,
            associate=associate,
            new_uid=self._new_uid,
        )

    async def _decide(self, connection: C, session: Session) -> AAssociateAC | AAssociateRJ:
        """Negotiation first, then budgets, then access: who is asked last takes longest."""
        engine = session.engine
        proposed = engine.proposed_answer()
        with self._lock:
            answer = self._admission.requested(connection, proposed)
        if isinstance(answer, AAssociateRJ):
            return answer
        try:
            decision = await self._judge(session)
            if isinstance(decision, Grant):
                return engine.proposed_answer(identity_response=decision.identity_response)
        except BaseException:
            with self._lock:
                self._admission.refused(connection)
            raise
        with self._lock:
            self._admission.refused(connection)
        return AAssociateRJ(decision.result, decision.source, decision.reason)

    async def _judge(self, session: Session) -> Grant | Refusal:
        request = session.engine.request
        if self._addresses is not None and session.address not in self._addresses:
            return Refusal()
        if self._access is None or request is None:
            return Grant()
        applicant = Applicant(
            address=session.address,
            calling_ae_title=request.calling_ae_title,
            called_ae_title=request.called_ae_title,
            user_identity=request.user_identity,
            certificate=session.certificate(),
            request=request,
        )
        decision: object
        if is_async(self._access):
            decision = self._access(applicant)
        else:
            decision = await session.link.call(self._access, applicant, abandon_on_cancel=True)
        if inspect.isawaitable(decision):
            awaited: Decision = await decision
            return judged(awaited)
        return judged(decision)
