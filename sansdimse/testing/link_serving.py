"""The contract of a transport's server: bytes, however they come and go, and handlers, whatever they do (PS3.8 9)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sansdimse.dimse.messages import CEchoRSP, CFindRSP, CStoreRSP
from sansdimse.outcome import OutcomeKind
from sansdimse.testing.check import Checks, expect
from sansdimse.testing.far_end import (
    LARGE,
    MOMENT,
    PATIENT,
    SMALL,
    SOON,
    data_set,
    echo_rq,
    find_rq,
    limits,
    requestor,
    store_rq,
)
from sansdimse.testing.maker import Feature
from sansdimse.testing.site import (
    MATCH,
    MATCHES,
    BlockingService,
    Service,
    echoed,
    held,
    is_served,
    released,
    served,
)
from sansdimse.ul.negotiation import propose
from sansdimse.ul.pdu import AAbort, AAssociateAC, AReleaseRP, AReleaseRQ
from sansdimse.ul.timers import Timer

if TYPE_CHECKING:
    from sansdimse.peer import blocking_scp, scp
    from sansdimse.testing.maker import Maker

SERVING: Final = Checks()
"""These checks."""

# ---------------------------------------------------------------- bytes, however they come


@SERVING.needing()
def early_data(maker: Maker) -> None:
    """All that comes in one read is told to the engine, and all that the engine makes of it is done.

    After telling it something, ``session.pump()`` is called, and no byte waits for the next read.
    """
    service = Service()
    with served(maker, service) as site:
        far = site.connect()
        far.request()
        far.say(store_rq(1), data_set(SMALL, 1000), echo_rq(2), AReleaseRQ())
        answered = {far.hear_answer().message_id_being_responded_to for _ in range(2)}
        expect(answered == {1, 2}, "a request that came in one read with others was not answered")
        far.hear(AReleaseRP)
    expect(service.stored == [SMALL], "a data set that came in one read was stored with other bytes")


@SERVING.needing()
def data_behind_the_request(maker: Maker) -> None:
    """P-DATA in the same segment as the A-ASSOCIATE-RQ is met as Table 9-10 says: with A-ABORT in Sta3, not by hanging.

    Cut by the network, it may come when the answer is out already; then it is served.
    """
    with served(maker) as site:
        far = site.connect()
        far.say(propose(requestor()), echo_rq(1))
        said = far.said("A-ABORT or an answer")
        expect(isinstance(said, AAbort | AAssociateAC), f"A-ABORT or an answer should have come, and {said} did")
        far.wire.close()
        is_served(site)


@SERVING.needing()
def any_chunking(maker: Maker) -> None:
    """Bytes may come one at a time, those of a TLS handshake too: the answers are the same."""
    service = Service()
    with served(maker, service) as site:
        far = site.connect(chunk=1)
        far.request()
        echoed(far, 1)
        far.say(store_rq(2), data_set(SMALL, 500))
        far.hear(CStoreRSP)
        released(far)
    expect(service.stored == [SMALL], "a data set that came byte by byte was stored with other bytes")


@SERVING.needing()
def half_close(maker: Maker) -> None:
    """A peer that closes its half behind its last request still gets the answer: the end of the stream is an input.

    What the engine has to send then is written before the connection is closed.
    """
    with served(maker) as site:
        for _ in range(20):
            far = site.connect()
            far.request()
            echoed(far, 1)
            far.say(AReleaseRQ())
            far.wire.end()
            far.hear(AReleaseRP)
            far.hear_end()
        site.until_all_ended()
        ends = {each.outcome.kind for each in site.notebook.ended}
        expect(ends == {OutcomeKind.RELEASED}, f"after a release with half-close it ended so: {ends}")


# ---------------------------------------------------------------- slow peers


@SERVING.needing()
def slow_reader(maker: Maker) -> None:
    """A peer may begin to read late and read slowly: each byte arrives once, and in order."""
    service = Service()
    with served(maker, service) as site:
        far = site.connect()
        far.request()
        far.say(find_rq(1))
        site.notebook.until(lambda: service.begun >= 2, "the first matches were not taken: ``flush`` waits too early")
        for _ in range(MATCHES):
            far.hear(CFindRSP)
            expect(far.hear(bytes) == MATCH, "a slow reader got other bytes than were sent")
        expect(far.hear(CFindRSP).status == 0, "a C-FIND with a slow reader ended with a failure")
        released(far)


@SERVING.needing()
def peer_that_never_reads(maker: Maker) -> None:
    """Of what a peer does not read, little is kept, and the engine's deadline ends it (``Limits.output_stall``).

    Written is only what ``data_to_send`` gives; it is asked for more when all before was written.
    """
    service = Service()
    with served(maker, service, limits=limits(output_stall=SOON, artim=SOON)) as site:
        far = site.connect()
        far.request()
        far.say(find_rq(1))
        site.expect_timer(Timer.OUTPUT_STALL)
        held = service.begun * len(MATCH) - far.rest()
        most = PATIENT.output_high_water + 4 * len(MATCH)
        expect(held <= most, f"{held} bytes were taken of a handler and not written; more than {most} is too much")


@SERVING.needing()
def slow_writer(maker: Maker) -> None:
    """A peer that sends a byte now and then does not outlast ARTIM: bytes that come put off no deadline."""
    with served(maker, limits=limits(artim=SOON)) as site:
        far = site.connect(chunk=1)
        all_of_it = far.drip(propose(requestor()).encode(), MOMENT / 5)
        expect(not all_of_it, "an A-ASSOCIATE-RQ of a byte now and then was waited for much longer than ARTIM")
        site.expect_timer(Timer.ARTIM)


@SERVING.needing()
def both_send(maker: Maker) -> None:
    """It reads while it writes: two ends that only write stand still for ever."""
    service = Service()
    with served(maker, service) as site:
        far = site.connect()
        far.request()
        far.say(find_rq(1))
        site.notebook.until(lambda: service.begun > 0, "a C-FIND never reached its handler")
        far.say(store_rq(2), data_set(LARGE))
        matches, awaited = 0, {1, 2}
        while awaited:
            said = far.said("the answers to a C-FIND and a C-STORE")
            if isinstance(said, bytes):
                expect(said == MATCH, "other bytes came than were sent, when a write was taken in part")
                matches += 1
            elif not (isinstance(said, CFindRSP) and said.status):
                expect(isinstance(said, CFindRSP | CStoreRSP), f"{said} came where both ends send")
                awaited.discard(said.message_id_being_responded_to)  # type: ignore[attr-defined]
        expect(matches == MATCHES, f"{matches} of {MATCHES} matches came")
        released(far)
    expect(service.stored == [LARGE], "a data set was stored with other bytes, when both ends sent")


@SERVING.needing()
def back_pressure(maker: Maker) -> None:
    """While ``session.stalled`` nothing is read: a handler that does not take its data set stops the peer.

    It stops nobody else, and when the handler reads, all goes on.
    """
    gate = maker.event()
    service = BlockingService(lambda: held(maker, gate))
    try:
        with served(maker, service) as site:
            far = site.connect()
            far.request()
            far.say(store_rq(1))
            site.notebook.until(lambda: service.begun == 1, "a C-STORE did not reach its handler before its data set")
            taken = far.offer(data_set(2 * LARGE), patience=3 * MOMENT)
            expect(not taken, f"{2 * len(LARGE)} bytes were read that no handler has taken")
            is_served(site)
            gate.set()
            far.say(b"")
            far.hear(CStoreRSP)
            released(far)
    finally:
        gate.set()
    expect(service.stored == [2 * LARGE], "a data set that had to wait was stored with other bytes")


@SERVING.needing(Feature.DRIVES)
def answers_pass_a_stall(maker: Maker) -> None:
    """While nothing is read, the other handlers' answers still go out."""
    gates = maker.event(), maker.event()

    class Slow(BlockingService):
        def c_echo(self, echo: blocking_scp.Echo) -> None:
            with self.handling():
                held(maker, gates[0])

    service = Slow(lambda: held(maker, gates[1]))
    try:
        with served(maker, service) as site:
            far = site.connect()
            far.request()
            far.say(echo_rq(1), store_rq(2))
            site.notebook.until(lambda: service.begun == 2, "two requests within the window were not handled at once")
            far.offer(data_set(2 * LARGE), patience=3 * MOMENT)
            gates[0].set()
            far.hear(CEchoRSP)
            gates[1].set()
            far.say(b"")
            far.hear(CStoreRSP)
            released(far)
    finally:
        for gate in gates:
            gate.set()


# ---------------------------------------------------------------- handlers


@SERVING.needing()
def handlers_that_raise(maker: Maker) -> None:
    """What a handler raises is reported, and answered with a status: the association goes on."""

    def fails() -> None:
        raise ZeroDivisionError

    with served(maker, BlockingService(fails), reports=2) as site:
        far = site.connect()
        far.request()
        for message_id in (1, 2):
            far.say(store_rq(message_id), data_set(SMALL))
            expect(far.hear(CStoreRSP).status == 0xC211, "a handler raised, and the status told of something else")
        echoed(far, 3)
        released(far)


@SERVING.needing()
def handlers_that_abort(maker: Maker) -> None:
    """A handler may abort from inside: A-ABORT goes out, and its association ends; others are served."""

    class Aborts(Service):
        async def c_store(self, store: scp.Store) -> int:
            with self.handling():
                store.abort()
                return 0

    class BlockingAborts(Service):
        def c_store(self, store: blocking_scp.Store) -> int:  # type: ignore[override]
            with self.handling():
                store.abort()
                return 0

    for service in (Aborts(), BlockingAborts()):
        with served(maker, service) as site:
            far = site.connect()
            far.request()
            far.say(store_rq(1), data_set(SMALL))
            far.hear(AAbort)
            far.wire.close()
            is_served(site)


# ---------------------------------------------------------------- TLS


@SERVING.needing(Feature.TLS)
def silence_in_the_handshake(maker: Maker) -> None:
    """A handshake is awaited beside everything else, and counts against ARTIM."""
    with served(maker, limits=limits(artim=5 * SOON)) as site:
        strangers = [site.connect(stranger=True) for _ in range(4)]
        strangers[0].say(bytes.fromhex("1603010200010001fc0303") + bytes(20))
        is_served(site)
        for far in strangers:
            far.rest()


@SERVING.needing(Feature.TLS)
def no_tls_at_all(maker: Maker) -> None:
    """Who does not speak TLS is sent away at once, and nobody else notices."""
    with served(maker) as site:
        for said in (propose(requestor()).encode(), b"GET / HTTP/1.1\r\n\r\n"):
            far = site.connect(stranger=True)
            far.say(said)
            far.rest()
        is_served(site)
