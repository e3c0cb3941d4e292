"""The contract of a transport's ``associate``: what it must do whatever the acceptor does (PS3.8 9)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sansdimse.dimse.messages import CEchoRQ, CStoreRQ, CStoreRSP
from sansdimse.outcome import OutcomeKind
from sansdimse.testing.call import Keeps, abort, called, echo, lost, nothing, released, store, store_much
from sansdimse.testing.check import Checks, expect
from sansdimse.testing.far_end import (
    LARGE,
    MOMENT,
    PATIENT,
    SMALL,
    SOON,
    acceptor,
    data_set,
    echo_rsp,
    instance,
    limits,
    store_rq,
    store_rsp,
)
from sansdimse.testing.maker import Feature
from sansdimse.ul.negotiation import answer
from sansdimse.ul.pdu import AAbort, AAssociateRQ, AReleaseRP, AReleaseRQ
from sansdimse.ul.timers import Timer

if TYPE_CHECKING:
    from sansdimse.peer.scu import Peer
    from sansdimse.testing.maker import Maker

CALLING: Final = Checks()
"""These checks."""

# ---------------------------------------------------------------- bytes, however they come


@CALLING.needing()
def early_data_behind_the_answer(maker: Maker) -> None:
    """A request of the acceptor in the same segment as its A-ASSOCIATE-AC is served: no byte waits for a read."""
    service = Keeps()
    with called(maker, echo, service=service) as call:
        far = call.far
        far.accept(store_rq(7), data_set(SMALL, 1000))
        seen = {type(each) for each in (far.said("a C-ECHO"), far.said("the answer to a C-STORE"))}
        expect(seen == {CEchoRQ, CStoreRSP}, "a C-STORE-RQ right behind the A-ASSOCIATE-AC was not served")
        far.say(echo_rsp(1))
        released(far)
        call.expect_kind(OutcomeKind.RELEASED)
    expect(service.stored == [SMALL], "a data set right behind the A-ASSOCIATE-AC was stored with other bytes")


@CALLING.needing()
def any_chunking_of_answers(maker: Maker) -> None:
    """Answers may come one byte at a time, those of a TLS handshake too."""
    with called(maker, echo, store, chunk=1) as call:
        far = call.far
        far.accept()
        far.hear(CEchoRQ)
        far.say(echo_rsp(1))
        far.hear(CStoreRQ)
        expect(far.hear(bytes) == SMALL, "an instance was sent with other bytes")
        far.say(store_rsp(2))
        released(far)
        expect(list(call.results()) == [0, 0, None], f"the conversations gave {call.results()}, not Success")


@CALLING.needing()
def half_close_behind_the_last_answer(maker: Maker) -> None:
    """An acceptor may close its half right behind its A-RELEASE-RP: that is a release, not a lost connection."""
    with called(maker, nothing) as call:
        call.far.accept()
        released(call.far)
        call.far.wire.end()
        call.far.hear_end()
        call.expect_kind(OutcomeKind.RELEASED)


@CALLING.needing()
def half_close_behind_a_release(maker: Maker) -> None:
    """An acceptor that asks for the release, and closes its half, still gets the A-RELEASE-RP."""
    with called(maker, echo) as call:
        call.far.accept()
        call.far.hear(CEchoRQ)
        call.far.say(AReleaseRQ())
        call.far.wire.end()
        call.far.hear(AReleaseRP)
        call.far.hear_end()
        expect(lost(call.results()[0]), "a conversation was not told that its association had been released")
        call.expect_kind(OutcomeKind.RELEASED)


# ---------------------------------------------------------------- slow peers


@CALLING.needing()
def acceptor_that_never_reads(maker: Maker) -> None:
    """Of what the acceptor does not read, little is kept, and the engine's deadline ends it (``Limits.output_stall``).

    ``flush`` waits while more than ``Limits.output_high_water`` is unsent.
    """
    taken = 0

    def took(size: int) -> None:
        nonlocal taken
        taken += size

    async def conversation(peer: Peer) -> int:
        return await peer.c_store(instance(2 * LARGE, took))

    with called(maker, conversation, limits=limits(output_stall=SOON, artim=SOON)) as call:
        call.far.accept()
        call.expect_timer(Timer.OUTPUT_STALL)
        expect(lost(call.results()[0]), "a C-STORE was not told that its association had been aborted")
        held = taken - call.far.rest()
        most = 4 * PATIENT.output_high_water
        expect(held <= most, f"{held} bytes were taken of a source and not written; more than {most} is too much")


@CALLING.needing()
def both_ends_send(maker: Maker) -> None:
    """It reads while it writes: two ends that only write stand still for ever. All bytes arrive, both ways."""
    service = Keeps()
    with called(maker, store_much, service=service) as call:
        far = call.far
        far.accept()
        far.hear(CStoreRQ)
        far.say(store_rq(7), data_set(LARGE))
        expect(far.hear(bytes) == LARGE, "other bytes came than were sent, when a write was taken in part")
        far.say(store_rsp(1))
        far.hear(CStoreRSP)
        released(far)
        expect(list(call.results()) == [0, None], f"the conversation gave {call.results()}, not Success")
    expect(service.stored == [LARGE], "a data set was stored with other bytes, when both ends sent")


# ---------------------------------------------------------------- deadlines


@CALLING.needing()
def deadline_of_the_association(maker: Maker) -> None:
    """An acceptor that never answers is told A-ABORT at the engine's deadline, and ``associate`` raises."""
    with called(maker, echo, limits=limits(association_response=SOON)) as call:
        call.far.hear(AAssociateRQ)
        call.far.hear(AAbort)
        call.far.wire.close()
        expect([lost(each) for each in call.results()] == [True], "``associate`` did not raise AssociationLost")
        call.expect_timer(Timer.ASSOCIATION_RESPONSE)


@CALLING.needing()
def deadline_of_an_answer(maker: Maker) -> None:
    """A request that is never answered, or in part, ends in A-ABORT on the wire at the engine's deadline."""
    for name, timer, begun in (
        ("dimse_response", Timer.DIMSE_RESPONSE, b""),
        ("pdu_completion", Timer.PDU_COMPLETION, echo_rsp(1)[:20]),
    ):
        with called(maker, echo, limits=limits(**{name: SOON})) as call:
            call.far.accept()
            call.far.hear(CEchoRQ)
            call.far.say(begun)
            call.far.hear(AAbort)
            call.far.wire.close()
            expect(lost(call.results()[0]), "a C-ECHO was not told that its association had been aborted")
            call.expect_timer(timer)


@CALLING.needing()
def deadline_of_the_release(maker: Maker) -> None:
    """A release that is never answered ends in A-ABORT at the engine's deadline."""
    with called(maker, nothing, limits=limits(release=SOON)) as call:
        call.far.accept()
        call.far.hear(AReleaseRQ)
        call.far.hear(AAbort)
        call.far.wire.close()
        call.expect_timer(Timer.RELEASE)


@CALLING.needing()
def artim_after_an_abort(maker: Maker) -> None:
    """After A-ABORT the acceptor has time to take it and to close, and no more than ARTIM (PS3.8 9.1.4)."""
    for artim in (PATIENT.artim, SOON):
        with called(maker, abort, limits=limits(artim=artim)) as call:
            call.far.accept()
            call.far.hear(AAbort)
            if artim is SOON:
                call.far.hear_end()
            else:
                call.far.hear_nothing(MOMENT)
                call.far.wire.close()
            call.expect_kind(OutcomeKind.ABORTED)


# ---------------------------------------------------------------- ends


@CALLING.needing()
def acceptor_that_vanishes(maker: Maker) -> None:
    """Wherever in a store the acceptor closes, resets or half-closes: the conversation is told, with the outcome."""
    for way in ("close", "reset", "end"):
        for at in range(len(_STEPS) + 1):
            _vanish(maker, at, 0, way)
            if at < len(_STEPS) and not isinstance(_STEPS[at], type):
                _vanish(maker, at, 20, way)


_STEPS: Final[tuple[type[AAssociateRQ | CStoreRQ | bytes | AReleaseRQ] | bytes | None, ...]] = (
    AAssociateRQ,
    None,  # the answer to that
    CStoreRQ,
    bytes,
    store_rsp(1),
    AReleaseRQ,
    AReleaseRP().encode(),
)


def _vanish(maker: Maker, at: int, part: int, way: str) -> None:
    """Take so many steps of a store, and some bytes of the next perhaps, and vanish."""
    with called(maker, store) as call:
        far = call.far
        accepted = b""
        for index, step in enumerate(_STEPS[: at + bool(part)]):
            if isinstance(step, type):
                said = far.hear(step)
                accepted = answer(acceptor(), said).encode() if isinstance(said, AAssociateRQ) else accepted
            else:
                say = accepted if step is None else step
                far.say(say if index < at else say[: min(part, len(say) // 2)])
        getattr(far.wire, way)()
        if way == "end":
            far.rest()
            far.wire.close()
        result, outcome = call.results()[0], call.outcome()
        where = f"the acceptor vanished ({way}) after {at} steps of a store"
        kind = OutcomeKind.RELEASED if at == len(_STEPS) else OutcomeKind.CLOSED
        expect(outcome.kind is kind, f"{where}, and it ended so: {outcome}")
        stored = at > _STEPS.index(store_rsp(1))
        expect(result == 0 if stored else lost(result), f"{where}, and the conversation was told {result!r}")


@CALLING.needing()
def collision_of_releases(maker: Maker) -> None:
    """Both ends ask for the release at once: the requestor answers first (PS3.8 7.2.2.7), and both are released."""
    with called(maker, nothing) as call:
        call.far.accept()
        call.far.hear(AReleaseRQ)
        call.far.say(AReleaseRQ())
        call.far.hear(AReleaseRP)
        call.far.say(AReleaseRP())
        call.far.hear_end()
        call.expect_kind(OutcomeKind.RELEASED)


@CALLING.needing(Feature.DRIVES)
def acceptor_that_aborts_an_idle_association(maker: Maker) -> None:
    """What the acceptor does is noticed while nobody waits: the next conversation is told at once."""
    begun, gate = maker.event(), maker.event()

    def slow_source(size: int) -> None:
        begun.set()
        expect(gate.wait(maker.patience), "a source was held up until the checker's patience was over")

    async def conversation(peer: Peer) -> int:
        return await peer.c_store(instance(SMALL, slow_source))

    try:
        with called(maker, conversation, echo) as call:
            call.far.accept()
            expect(begun.wait(maker.patience), "a C-STORE never began with its data set")
            call.far.say(AAbort(0, 0))
            call.notebook.until(
                lambda: len(call.notebook.ended) == 1, "an A-ABORT was not noticed while nobody waited for the acceptor"
            )
            gate.set()
            expect(all(map(lost, call.results()[:2])), "a conversation on an aborted association was not told so")
            call.expect_kind(OutcomeKind.ABORTED)
    finally:
        gate.set()
