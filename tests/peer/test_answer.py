"""A final response as a status."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

from engine_pair import ABORT, INSTANCE, MPPS, STEPS, acceptor, echo_rsp, message, requestor
from memory_link import Alone
from sansdimse.dataset import Dataset, DatasetError, encode
from sansdimse.dimse.messages import NO_DATA_SET, WITH_DATA_SET, CStoreRSP, NCreateRSP
from sansdimse.dimse.status import Status, StatusCategory
from sansdimse.events import ResponseReceived
from sansdimse.peer.answer import Answer, Reply, final_answer, final_reply, tag_of
from sansdimse.peer.session import AssociationLost
from sansdimse.uids import EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN


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


# ---------------------------------------------------------------- DIMSE-N


NAMED = Dataset()
NAMED.PatientID = "7"


def create_rsp(status: int = 0, data_set: bytes | None = None) -> bytes:
    response = NCreateRSP(
        message_id_being_responded_to=1,
        affected_sop_class_uid=MPPS,
        affected_sop_instance_uid=INSTANCE,
        command_data_set_type=NO_DATA_SET if data_set is None else WITH_DATA_SET,
        status=status,
    )
    return message(7, response, data_set)


def replied(*responses: bytes, syntax: str = EXPLICIT_VR_LITTLE_ENDIAN) -> Reply:
    alone = Alone(config=requestor(STEPS), other=acceptor(STEPS))
    task = alone.loop.spawn(final_reply(alone.session.open_inbox(alone.engine.n_create(MPPS)), syntax))
    alone.raw.send(*responses)
    reply: Reply = task.result()
    return reply


def copied(reply: Reply) -> list[Any]:
    return [reply, copy.copy(reply), copy.deepcopy(reply), pickle.loads(pickle.dumps(reply))]


def test_a_reply_is_a_status_with_what_came_besides() -> None:
    reply = replied(create_rsp(0x0107, encode(NAMED, EXPLICIT_VR_LITTLE_ENDIAN)))
    decoded = [each.data_set for each in copied(reply)]
    for each in copied(reply):  # some of them decoded, some not
        assert isinstance(each, Reply)
        assert (each, hash(each), repr(each)) == (0x0107, hash(0x0107), "Status(0x0107)")
        assert each.category is StatusCategory.WARNING
        assert each.sop_instance_uid == each.response.affected_sop_instance_uid == INSTANCE
        assert each.raw_data_set == encode(NAMED, EXPLICIT_VR_LITTLE_ENDIAN)
        assert each.data_set is each.data_set
        decoded.append(each.data_set)
    assert decoded == [NAMED] * 8


def test_without_a_data_set_it_is_empty() -> None:
    for each in copied(replied(create_rsp())):
        assert (each.raw_data_set, each.data_set) == (None, Dataset())


def test_it_is_decoded_in_the_transfer_syntax_of_its_context() -> None:
    implicit = encode(NAMED, IMPLICIT_VR_LITTLE_ENDIAN)
    assert replied(create_rsp(0, implicit), syntax=IMPLICIT_VR_LITTLE_ENDIAN).data_set == NAMED


def test_what_cannot_be_decoded_is_told_when_it_is_asked_for() -> None:
    for each in copied(replied(create_rsp(0, b"what is this"))):
        assert (each, each.raw_data_set) == (0, b"what is this")
        for _ in range(2):
            with pytest.raises(DatasetError):
                assert each.data_set


def test_of_a_reply_what_is_not_final_is_waited_through() -> None:
    assert replied(create_rsp(0xFF00), create_rsp(0x0110)) == 0x0110
    alone = Alone(config=requestor(STEPS), other=acceptor(STEPS))
    operation = alone.engine.n_create(MPPS)
    inbox = alone.session.open_inbox(operation)
    alone.raw.send(create_rsp(0x0110))
    (final,) = inbox.events
    assert isinstance(final, ResponseReceived)
    inbox.events.appendleft(ResponseReceived(Status(0xFF00), final.response, False, operation))
    assert alone.loop.call(final_reply(inbox, EXPLICIT_VR_LITTLE_ENDIAN)) == 0x0110


def test_no_reply_comes_any_more_when_the_association_has_ended() -> None:
    with pytest.raises(AssociationLost):
        replied(ABORT.encode())


def test_attributes_are_named_by_tag_or_keyword() -> None:
    assert tag_of(0x00100020) == tag_of("PatientID") == 0x00100020
    with pytest.raises(ValueError, match=r"'PatientNumber' is no keyword of the data dictionary \(PS3.6\)") as raised:
        tag_of("PatientNumber")
    assert raised.value.__cause__ is None
