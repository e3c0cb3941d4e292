"""The contract of a transport's server: every association ends, in time and in good order (PS3.8 9.1.5, 9.2)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from sansdimse.dimse.messages import CStoreRSP
from sansdimse.outcome import OutcomeKind
from sansdimse.testing.check import Checks, expect
from sansdimse.testing.far_end import (
    MOMENT,
    SMALL,
    SOON,
    FarEnd,
    data_set,
    fragment,
    limits,
    requestor,
    store_rq,
)
from sansdimse.testing.maker import Feature
from sansdimse.testing.site import (
    BlockingService,
    Service,
    Site,
    held,
    is_served,
    released,
    served,
)
from sansdimse.ul.negotiation import propose
from sansdimse.ul.parties import WhenIdle
from sansdimse.ul.pdu import AAbort, AAssociateAC, AAssociateRJ, AReleaseRP, AReleaseRQ
from sansdimse.ul.timers import Timer

if TYPE_CHECKING:
    from sansdimse.admission import Applicant
    from sansdimse.testing.maker import Maker

ENDING: Final = Checks()
"""These checks."""

# ---------------------------------------------------------------- deadlines


@ENDING.needing()
def artim_before_the_request(maker: Maker) -> None:
    """Who says nothing, or half a request, is closed when ARTIM is over: ``next_timeout`` is waited for, and told."""
    with served(maker, limits=limits(artim=SOON)) as site:
        for part in (b"", propose(requestor()).encode()[:100]):
            far = site.connect()
            far.say(part)
            far.hear_end()
            site.expect_timer(Timer.ARTIM)


@ENDING.needing()
def artim_in_sta13(maker: Maker) -> None:
    """After A-RELEASE-RP, A-ASSOCIATE-RJ or A-ABORT a peer that never closes is closed when ARTIM is over."""
    with served(maker, limits=limits(artim=SOON)) as site:
        for far in _in_sta13(site):
            far.hear_end()


@ENDING.needing()
def deadlines_for_the_peer(maker: Maker) -> None:
    """A PDU, and a message, that is begun and not completed is aborted at the engine's deadline."""
    for name, timer, begun in (
        ("pdu_completion", Timer.PDU_COMPLETION, fragment(3, SMALL)[:1000]),
        ("message_completion", Timer.MESSAGE_COMPLETION, fragment(3, SMALL, is_last=False)),
    ):
        with served(maker, limits=limits(**{name: SOON})) as site:
            far = site.connect()
            far.request()
            far.say(store_rq(1), begun)
            far.hear(AAbort)
            far.wire.close()
            site.expect_timer(timer)


@ENDING.needing()
def deadlines_when_idle(maker: Maker) -> None:
    """An association on which nothing happens is ended as ``when_idle`` says, and its release has a deadline too."""
    with served(maker, limits=limits(idle=SOON)) as site:
        far = site.connect()
        far.request()
        far.hear(AAbort)
        far.wire.close()
        site.expect_timer(Timer.IDLE)
    with served(maker, limits=limits(idle=SOON, release=SOON), when_idle=WhenIdle.RELEASE) as site:
        far = site.connect()
        far.request()
        far.hear(AReleaseRQ)
        far.hear(AAbort)
        far.wire.close()
        site.expect_timer(Timer.RELEASE)


@ENDING.needing(Feature.DRIVES)
def deadlines_for_our_user(maker: Maker) -> None:
    """A handler, or a decision on access, that takes too long is not waited for: A-ABORT at the engine's deadline."""
    gate = maker.event()

    def access(applicant: Applicant) -> bool:
        return held(maker, gate)

    service = BlockingService(lambda: held(maker, gate))
    try:
        with served(maker, service, limits=limits(local_answer=SOON), access=access) as site:
            far = site.connect()
            far.say(propose(requestor()))
            far.hear(AAbort)
            gate.set()
            far.wire.close()
            site.expect_timer(Timer.LOCAL_ANSWER)
        gate = maker.event()
        with served(maker, service, limits=limits(operation_answer=SOON)) as site:
            far = site.connect()
            far.request()
            far.say(store_rq(1), data_set(SMALL))
            far.hear(AAbort)
            gate.set()
            far.wire.close()
            site.expect_timer(Timer.OPERATION_ANSWER)
            site.notebook.until(lambda: service.left == service.begun, "a handler that was too late never ended")
    finally:
        gate.set()


# ---------------------------------------------------------------- ends


def _in_sta13(site: Site) -> Iterator[FarEnd]:
    """Connections on which the server has said its last."""
    far = site.connect()
    far.say(AReleaseRP())
    far.hear(AAbort)
    yield far
    far = site.connect()
    far.request()
    released(far)
    yield far
    far = site.connect()
    far.say(replace(propose(requestor()), protocol_version=2))
    far.hear(AAssociateRJ)
    yield far


@ENDING.needing()
def sta13_is_not_closed(maker: Maker) -> None:
    """After A-RELEASE-RP, A-ASSOCIATE-RJ or A-ABORT the connection is kept until the peer closes (PS3.8 9.2.3).

    Closing at once can make TCP destroy the PDU just sent: ``wants_close`` says when.
    """
    with served(maker) as site:
        for far in _in_sta13(site):
            far.hear_nothing(MOMENT)
            far.wire.close()
        far = site.connect()
        far.say(b"\x09nonsense", bytes(1 << 20))
        far.hear(AAbort)
        far.wire.close()


@ENDING.needing()
def peer_that_vanishes(maker: Maker) -> None:
    """Wherever in a store the peer closes, resets or half-closes: the engine is told, and the association ends.

    The handler learns of it (``AssociationLost``), what was not stored whole is not stored, and others are served.
    """
    request, close = propose(requestor()).encode(), AReleaseRQ().encode()
    first, last = (fragment(3, SMALL, is_last=is_last) for is_last in (False, True))
    steps: list[bytes | type] = [request, AAssociateAC, store_rq(1), first, last, CStoreRSP, close, AReleaseRP]
    for service in (Service(), BlockingService()):
        with served(maker, service) as site:
            for way in ("close", "reset", "end"):
                for at in range(len(steps) + 1):
                    _vanish(site, steps, at, b"", way)
                    step = steps[at] if at < len(steps) else b""
                    if isinstance(step, bytes) and step:
                        _vanish(site, steps, at, step[: len(step) // 2], way)
            site.notebook.until(
                lambda service=service: service.left == service.begun,  # type: ignore[misc]
                "a handler was not told that its peer had vanished",
            )
            is_served(site)
        expect(set(service.stored) == {SMALL + SMALL}, "what a peer did not send whole was stored")


def _vanish(site: Site, steps: list[bytes | type], at: int, half: bytes, way: str) -> None:
    """Take so many steps of the store, and half of one perhaps, and vanish."""
    far = site.connect()
    for step in steps[:at]:
        if isinstance(step, bytes):
            far.say(step)
        else:
            far.hear(step)
    far.say(half)
    getattr(far.wire, way)()
    if way == "end":
        far.rest()
        far.wire.close()
    site.until_all_ended()
    outcome = site.notebook.ended[-1].outcome
    may_be = {OutcomeKind.CLOSED} if at < len(steps) - 1 else {OutcomeKind.RELEASED}
    if at == len(steps) - 1:  # the answer to the release was on its way
        may_be = {OutcomeKind.CLOSED, OutcomeKind.RELEASED}
    expect(outcome.kind in may_be, f"the peer vanished ({way}) after {at} steps of a store, and it ended so: {outcome}")


@ENDING.needing()
def release_collision(maker: Maker) -> None:
    """Both ends ask for the release at once: each answers, in the order of PS3.8 7.2.2.7, and both are released."""
    with served(maker, limits=limits(idle=SOON), when_idle=WhenIdle.RELEASE) as site:
        far = site.connect()
        far.request()
        far.hear(AReleaseRQ)
        far.say(AReleaseRQ(), AReleaseRP())
        far.hear(AReleaseRP)
        far.wire.close()
        site.until_all_ended()
        outcome = site.notebook.ended[-1].outcome
        expect(outcome.kind is OutcomeKind.RELEASED, f"a release collision ended so: {outcome}")
