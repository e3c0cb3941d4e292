"""A final response as a status."""

from __future__ import annotations

import pytest

from engine_pair import ABORT, echo_rsp
from memory_link import Alone
from sansdimse.dimse.messages import CStoreRSP
from sansdimse.dimse.status import Status, StatusCategory
from sansdimse.events import ResponseReceived
from sansdimse.peer.answer import Answer, final_answer
from sansdimse.peer.session import AssociationLost


def test_an_answer_is_the_status_of_its_response() -> None:
    response = CStoreRSP(
        message_id_being_responded_to=1,
        affected_sop_class_uid="1.2",
        affected_sop_instance_uid="1.2.3",
        status=0xB007,
        error_comment="hm",
    )
    answer = Answer.of(response)
    assert answer == Status(0xB007)
    assert answer.category is StatusCategory.WARNING
    assert answer.response is response


def test_what_is_not_final_is_waited_through() -> None:
    alone = Alone()
    task = alone.loop.spawn(final_answer(alone.session.open_inbox(alone.engine.c_echo())))
    alone.raw.send(echo_rsp(1, status=0xFF00))
    assert not task.done
    alone.raw.send(echo_rsp(1, status=0x0122))
    assert task.result() == 0x0122


def test_none_comes_any_more_when_the_association_has_ended() -> None:
    alone = Alone()
    inbox = alone.session.open_inbox(alone.engine.c_echo())
    task = alone.loop.spawn(final_answer(inbox))
    alone.raw.send(ABORT)
    with pytest.raises(AssociationLost):
        task.result()


def test_pending_responses_in_the_inbox_are_passed_over() -> None:
    """Of a C-FIND they come as events; here the final one behind one is what counts."""
    alone = Alone()
    operation = alone.engine.c_echo()
    inbox = alone.session.open_inbox(operation)
    alone.raw.send(echo_rsp(1))
    (final,) = inbox.events
    assert isinstance(final, ResponseReceived)
    inbox.events.appendleft(ResponseReceived(Status(0xFF00), final.response, False, operation))
    assert alone.loop.call(final_answer(inbox)) == 0
