"""The contract of a transport's ``associate`` where conversations can be cancelled from outside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sansdimse.dimse.messages import CEchoRQ, CFindRQ, CStoreRQ
from sansdimse.dimse.status import CANCEL
from sansdimse.outcome import OutcomeKind
from sansdimse.services.sop_classes import STUDY_ROOT_FIND
from sansdimse.testing.call import Call, called, echo, lost, nothing, released, store
from sansdimse.testing.check import Checks, expect
from sansdimse.testing.far_end import (
    LARGE,
    echo_rsp,
    find_rsp,
    instance,
    store_rsp,
)
from sansdimse.testing.maker import Feature
from sansdimse.ul.pdu import AAbort, AAssociateRQ, AReleaseRQ

if TYPE_CHECKING:
    from sansdimse.peer.scu import Peer
    from sansdimse.testing.maker import Maker

CANCELLING: Final = Checks()
"""These checks."""

_CANCEL_RQ: Final = 0x0FFF


def is_usable(call: Call, message_id: int) -> None:
    """The association goes on with a C-ECHO, and is released."""
    request = call.far.hear(CEchoRQ)
    expect(request.message_id == message_id, f"C-ECHO {message_id} should have come, and {request.message_id} did")
    call.far.say(echo_rsp(message_id))
    released(call.far)
    cancelled, after = call.results()[:2]
    expect(isinstance(cancelled, BaseException), f"a cancelled conversation went on, and gave {cancelled!r}")
    expect(after == 0, f"a C-ECHO after a cancelled conversation gave {after!r}, not Success")


@CANCELLING.needing(Feature.CANCELS)
def cancelled_while_it_waits(maker: Maker) -> None:
    """A conversation cancelled while it waits for an answer: the request is abandoned, the association stays usable."""
    with called(maker, echo, echo, window=None) as call:
        call.far.accept()
        call.far.hear(CEchoRQ)
        call.cancel()
        call.far.say(echo_rsp(1))
        is_usable(call, 2)


@CANCELLING.needing(Feature.CANCELS)
def cancelled_after_its_data_set(maker: Maker) -> None:
    """A C-STORE cancelled when its data set is out: abandoned, and the association stays usable."""
    with called(maker, store, echo, window=None) as call:
        call.far.accept()
        call.far.hear(CStoreRQ)
        call.far.hear(bytes)
        call.cancel()
        call.far.say(store_rsp(1))
        is_usable(call, 2)


@CANCELLING.needing(Feature.CANCELS)
def cancelled_in_a_query(maker: Maker) -> None:
    """A C-FIND cancelled: C-CANCEL goes out, the rest is dropped, and the association stays usable."""

    async def find(peer: Peer) -> list[bytes]:
        async with peer.c_find(STUDY_ROOT_FIND, b"all of it.") as matches:
            return [match async for match in matches]

    with called(maker, find, echo) as call:
        call.far.accept()
        call.far.hear(CFindRQ)
        call.far.hear(bytes)
        call.cancel()
        cancel = call.far.said("C-CANCEL-RQ")
        expect(getattr(cancel, "COMMAND_FIELD", None) == _CANCEL_RQ, f"C-CANCEL-RQ should have come, and {cancel} did")
        call.far.say(find_rsp(1, CANCEL))
        is_usable(call, 2)


@CANCELLING.needing(Feature.CANCELS)
def cancelled_in_its_data_set(maker: Maker) -> None:
    """A C-STORE cancelled in the middle of its data set can only end in A-ABORT; no PDU before it is cut in two."""
    begun = maker.event()

    async def conversation(peer: Peer) -> int:
        return await peer.c_store(instance(2 * LARGE, lambda size: begun.set()))

    with called(maker, conversation, echo) as call:
        call.far.accept()
        call.far.hear(CStoreRQ)
        expect(begun.wait(maker.patience), "a C-STORE never began with its data set")
        call.cancel()
        call.far.hear(AAbort)
        call.far.wire.close()
        expect(lost(call.results()[1]), "a C-ECHO on an aborted association did not raise AssociationLost")
        call.expect_kind(OutcomeKind.ABORTED)


@CANCELLING.needing(Feature.CANCELS)
def cancelled_before_and_after(maker: Maker) -> None:
    """``associate`` cancelled while it asks for the association, or for the release: A-ABORT goes out first."""
    with called(maker, echo) as call:
        call.far.hear(AAssociateRQ)
        call.cancel()
        call.far.hear(AAbort)
        call.far.wire.close()
        call.expect_kind(OutcomeKind.ABORTED)
    with called(maker, nothing) as call:
        call.far.accept()
        call.far.hear(AReleaseRQ)
        call.cancel()
        call.far.hear(AAbort)
        call.far.wire.close()
        call.expect_kind(OutcomeKind.ABORTED)
