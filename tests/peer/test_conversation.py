"""What every request of the peer looks like, and which errors of its handler are worth a report."""

from __future__ import annotations

import pytest

from engine_pair import ABORT, QUERY, RELEASE_RQ, acceptor, command, find_rq, requestor
from memory_link import Alone
from sansdimse.dimse.messages import CCancelRQ
from sansdimse.events import FindRequested
from sansdimse.outcome import Outcome, OutcomeKind, Side
from sansdimse.peer.conversation import Conversation, report
from sansdimse.peer.session import AssociationLost, Session
from sansdimse.ul.table import State

LOST = AssociationLost(Outcome(kind=OutcomeKind.CLOSED, by=Side.PEER, state=State.STA6))


def asked() -> tuple[Alone, Conversation]:
    made: list[Conversation] = []

    async def serve(session: Session, event: FindRequested) -> None:
        made.append(Conversation(session, event.operation))
        await session.end()

    alone = Alone(object(), config=acceptor(QUERY), other=requestor(QUERY))
    alone.session._serve = serve  # type: ignore[assignment]
    alone.raw.send(find_rq())
    return alone, made[0]


def test_where_it_came_from() -> None:
    alone, conversation = asked()
    assert conversation.context is alone.engine.contexts[3]
    assert conversation.transfer_syntax_uid == conversation.context.transfer_syntax
    assert conversation.association == alone.session.info()


def test_whose_answer_nobody_waits_for() -> None:
    alone, conversation = asked()
    assert not conversation.cancelled
    alone.raw.send(RELEASE_RQ)
    assert not conversation.cancelled, "the peer waits for the answer before its release is"
    alone.raw.send(ABORT)
    assert conversation.cancelled


@pytest.mark.parametrize("how", ["cancel", "vanish", "answered"])
def test_nobody_waits_after_a_cancel_a_loss_or_the_answer(how: str) -> None:
    alone, conversation = asked()
    if how == "cancel":
        alone.raw.send(command(7, CCancelRQ(message_id_being_responded_to=1)))
    elif how == "vanish":
        alone.raw.vanish()
    else:
        conversation._operation.finish()  # type: ignore[attr-defined]
    assert conversation.cancelled


def test_it_may_end_the_association() -> None:
    alone, conversation = asked()
    conversation.abort()
    assert alone.session.outcome is not None
    assert alone.session.outcome.kind is OutcomeKind.ABORTED


@pytest.mark.parametrize(
    ("error", "ended", "reported"),
    [
        (KeyError(), False, True),
        (KeyError(), True, True),
        (LOST, False, True),  # of another association
        (LOST, True, False),
    ],
)
def test_that_its_own_association_was_lost_is_no_news(error: Exception, ended: bool, reported: bool) -> None:
    alone, _ = asked()
    if ended:
        alone.raw.send(ABORT)
    report(error, alone.session, "C-FIND 1")
    assert alone.reports == ([(error, "C-FIND 1")] if reported else [])
