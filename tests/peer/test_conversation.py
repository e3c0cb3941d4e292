"""What every request of the peer looks like, and which errors of its handler are worth a report."""

from __future__ import annotations

import pytest

from engine_pair import ABORT, QUERY, acceptor, find_rq, requestor
from memory_link import Alone
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
        await session.changed()

    alone = Alone(object(), config=acceptor(QUERY), other=requestor(QUERY))
    alone.session._serve = serve  # type: ignore[assignment]
    alone.raw.send(find_rq())
    return alone, made[0]


def test_where_it_came_from() -> None:
    alone, conversation = asked()
    assert conversation.context is alone.engine.contexts[3]
    assert conversation.association == alone.session.info()


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
