"""What every transport's ``associate`` does, whatever moves its bytes: the proposal, the engine, the session."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Required, TypedDict

from sansdimse.association import Association
from sansdimse.limits import Limits
from sansdimse.peer import scp
from sansdimse.peer.handlers import check_service
from sansdimse.peer.session import Associate, Report, Session, invents_none, opens_none
from sansdimse.peer.watch import Watch, unwatched
from sansdimse.profile import DEFAULT, Profile
from sansdimse.services.extended import Offers, negotiations
from sansdimse.services.sop_classes import STANDARD, SopClasses
from sansdimse.ul.items import AsynchronousOperationsWindow, CommonExtendedNegotiation, UserIdentityRQ
from sansdimse.ul.parties import MAXIMUM_LENGTH, PresentationContext, Requestor, WhenIdle

if TYPE_CHECKING:
    from sansdimse.admission import Certificate
    from sansdimse.peer.link import Link

LINGER: Final = 3.0
"""Seconds that a requestor waits for the peer to close after an abort (its ARTIM, PS3.8 9.1.4)."""


class CommonOptions(TypedDict, total=False):
    """What an association is like, whoever its ends are and whatever it is for."""

    maximum_length: int
    """Longest P-DATA-TF that we take, in bytes; 0 is unlimited. 128 KiB by default."""
    window: AsynchronousOperationsWindow | None
    """Operations at once, invoked by us and by the peer (PS3.7 D.3.3.3); 0 is unlimited. None proposes none: 1, 1."""
    extended: Offers
    """SOP class extended negotiation (PS3.7 D.3.3.5): values by SOP class (see ``sansdimse.services.extended``)."""
    common_extended: Sequence[CommonExtendedNegotiation]
    """PS3.7 D.3.3.6; ``sansdimse.services.common_extended`` makes them for storage SOP classes."""
    user_identity: UserIdentityRQ | None
    """PS3.7 D.3.3.7; send it over TLS only."""
    service: object | None
    """Serves what the peer invokes on this association, in the contexts with ``scp=True``."""
    when_idle: WhenIdle
    """What becomes of the association when nothing happens for ``Limits.idle``."""
    limits: Limits | None
    """By default those of ``Limits``, with an ``artim`` of three seconds."""
    profile: Profile
    """Which deviations of the peer are refused."""
    report: Report
    """Told of errors in handlers; a logger named ``sansdimse`` by default."""
    watch: Watch
    """Told of what happens on the association; see ``sansdimse.peer.watch``."""
    new_uid: Callable[[], str]
    """Names instances that the peer creates without naming them (PS3.7 10.1.5.1.4); by default by ``2.25.`` UIDs."""
    sop_classes: SopClasses
    """The table of SOP classes, with private ones: ``STANDARD.with_private(...)``."""


class AssociateOptions(CommonOptions, total=False):
    """What ``associate`` takes on every transport, besides address and what is the transport's own."""

    calling: str
    """Our AE title; "SANSDIMSE" by default."""
    called: str
    """The peer's AE title; "ANY-SCP" by default."""
    contexts: Required[Sequence[PresentationContext | str]]
    """SOP class UIDs, or contexts in full (see ``sansdimse.plan`` and ``sansdimse_files.contexts_for``)."""


class Caller:
    """The part of ``associate`` that is no transport's.

    Raises ``LocalProtocolError`` for a proposal that the standard does not allow, ``TypeError`` if the service lacks
    a method for what it is to serve.
    """

    def __init__(
        self,
        *,
        contexts: Sequence[PresentationContext | str],
        report: Report,
        now: float,
        calling: str = "SANSDIMSE",
        called: str = "ANY-SCP",
        maximum_length: int = MAXIMUM_LENGTH,
        window: AsynchronousOperationsWindow | None = None,
        extended: Offers = (),
        common_extended: Sequence[CommonExtendedNegotiation] = (),
        user_identity: UserIdentityRQ | None = None,
        service: object | None = None,
        when_idle: WhenIdle = WhenIdle.ABORT,
        limits: Limits | None = None,
        profile: Profile = DEFAULT,
        watch: Watch = unwatched,
        new_uid: Callable[[], str] = invents_none,
        sop_classes: SopClasses = STANDARD,
    ) -> None:
        config = Requestor(
            calling,
            called,
            contexts,
            maximum_length=maximum_length,
            window=window,
            extended=negotiations(extended, sop_classes),
            common_extended=tuple(common_extended),
            user_identity=user_identity,
            when_idle=when_idle,
            limits=limits or replace(Limits(), artim=LINGER),
            profile=profile,
        )
        if service is not None:
            # What a C-GET brings may have a handler of its own (``Peer.c_get``), which is looked for there.
            served = [each.abstract_syntax for each in config.presentation_contexts if each.scp]
            check_service(
                service, [uid for uid in served if not sop_classes.serves(uid, "C-STORE")], sop_classes=sop_classes
            )
        self.engine = Association(config, now=now, sop_classes=sop_classes)
        self._service = service
        self._new_uid = new_uid
        self._report = report
        self._watch = watch

    def session(
        self,
        link: Link,
        address: str,
        certificate: Callable[[], Certificate | None] = lambda: None,
        associate: Associate = opens_none,
    ) -> Session:
        """The session of the association, over this link; ``associate`` opens another if the peer sends C-MOVE."""
        return Session(
            self.engine,
            link,
            address=address,
            serve=scp.serve,
            service=self._service,
            certificate=certificate,
            report=self._report,
            watch=self._watch,
            associate=associate,
            new_uid=self._new_uid,
        )
