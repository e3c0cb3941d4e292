"""What the handles of all operations have in common: what they show, and what they refuse."""

from __future__ import annotations

from typing import Any

import pytest

from engine_pair import CT, INSTANCE, Scripted, acceptor, command, data, echo_rq, echo_rsp, requestor, store_rq
from sansdimse.dimse import messages
from sansdimse.dimse.command import Decoded, decode_command, encode_command
from sansdimse.dimse.messages import (
    NO_DATA_SET,
    WITH_DATA_SET,
    CEchoRQ,
    CFindRQ,
    CGetRQ,
    CMoveRQ,
    CStoreRQ,
    DataSet,
    Element,
    Message,
    NDeleteRQ,
    NGetRQ,
    UnknownCommand,
)
from sansdimse.dimse.status import UNRECOGNIZED_OPERATION, Status
from sansdimse.errors import LocalProtocolError
from sansdimse.services.operation import CANCELLABLE, RESPONSE_TO, Performed, Request, UnservableSCP, encoded
from sansdimse.uids import IMPLICIT_VR_LITTLE_ENDIAN, VERIFICATION
from sansdimse.ul.agreement import NegotiatedContext

CONTEXT = NegotiatedContext(
    5, VERIFICATION, (IMPLICIT_VR_LITTLE_ENDIAN,), 0, IMPLICIT_VR_LITTLE_ENDIAN, as_scu=True, as_scp=True
)
ECHO = CEchoRQ(message_id=7, affected_sop_class_uid=VERIFICATION)


class Association:
    """What a handle knows of it; it writes down what it is asked."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.may_respond = True

    def cancel(self, operation: Request) -> None:
        self.asked.append(("cancel", operation))

    def abandon(self, operation: Request, deadline: float | None) -> None:
        self.asked.append(("abandon", operation, deadline))

    def send_response(self, operation: Performed, response: Any) -> None:
        operation.responded = True
        self.asked.append(response)


def received(message: Message | UnknownCommand) -> Decoded:
    return decode_command(encode_command(message))


# ---------------------------------------------------------------- the table of answers


def test_every_request_has_its_response() -> None:
    requests = {
        kind
        for kind in vars(messages).values()
        if isinstance(kind, type) and kind.__name__.endswith("RQ") and not kind.__name__.startswith(("_", "CCancel"))
    }
    assert set(RESPONSE_TO) == requests
    for request, response in RESPONSE_TO.items():
        assert response.COMMAND_FIELD == request.COMMAND_FIELD | 0x8000  # type: ignore[attr-defined]


def test_what_can_be_cancelled() -> None:
    assert set(CANCELLABLE) == {CFindRQ, CGetRQ, CMoveRQ}


# ---------------------------------------------------------------- ours


def test_a_request_of_ours_passes_its_verbs_on() -> None:
    association = Association()
    request = Request(association, CONTEXT, ECHO)
    request.cancel()
    request.abandon()
    request.abandon(2.5)
    assert association.asked == [("cancel", request), ("abandon", request, None), ("abandon", request, 2.5)]


def test_what_a_request_of_ours_shows() -> None:
    request = Request(Association(), CONTEXT, ECHO)
    assert request.message_id == 7
    assert not request.was_invoked
    assert request.status is None
    assert repr(request) == "<Request 7 on context 5, queued>"
    request.sent = True
    assert request.was_invoked
    assert repr(request) == "<Request 7 on context 5, sent>"
    request.abandoned = True
    assert repr(request) == "<Request 7 on context 5, abandoned>"
    request.over = True
    assert repr(request) == "<Request 7 on context 5, over>"
    request.response = messages.CEchoRSP(message_id_being_responded_to=7, status=0xB000)
    assert request.status == 0xB000
    assert isinstance(request.status, Status)
    assert repr(request) == "<Request 7 on context 5, answered 0xB000 (warning)>"


def test_what_a_response_has_depends_on_the_service() -> None:
    request = Request(Association(), CONTEXT, ECHO)
    assert {request.expects_data_set(Status(status)) for status in (0, 0xFF00, 0xA700)} == {None}


def test_an_encoded_data_set_is_a_copy_of_what_may_change() -> None:
    data = b"abcd"
    assert encoded(data) is data
    for given in (bytearray(data), memoryview(data), memoryview(data).cast("H"), memoryview(data + data)[::2]):
        assert type(encoded(given)) is bytes
        assert len(encoded(given)) == 4
    for length, given in ((0, bytearray()), (3, b"abc"), (3, memoryview(b"abc"))):
        with pytest.raises(LocalProtocolError, match=f"an identifier of {length} bytes"):
            encoded(given)
    with pytest.raises(TypeError):
        encoded("abcd")  # type: ignore[arg-type]


def test_the_same_on_a_whole_association() -> None:
    end = Scripted.established(requestor())
    echo = end.engine.c_echo()
    assert echo.context is end.engine.contexts[0]
    assert echo.sent
    end.send(echo_rsp())
    assert echo.over
    assert echo.response is not None
    assert echo.status == 0


# ---------------------------------------------------------------- theirs


def test_what_a_request_of_theirs_shows() -> None:
    association = Association()
    operation = Performed(association, CONTEXT, received(ECHO))
    assert (operation.message_id, operation.context, operation.request) == (7, CONTEXT, ECHO)
    assert (operation.sop_class_uid, operation.sop_instance_uid) == (VERIFICATION, None)
    assert operation.data_complete
    assert operation.may_respond
    assert repr(operation) == "<Performed 7 on context 5, unanswered>"
    association.may_respond = False
    assert not operation.may_respond
    association.may_respond = True
    operation.responded = True
    assert not operation.may_respond
    assert repr(operation) == "<Performed 7 on context 5, answered>"
    operation.over = True
    assert repr(operation) == "<Performed 7 on context 5, over>"


@pytest.mark.parametrize(
    ("message", "complete"),
    [
        (ECHO, True),
        (CStoreRQ(message_id=1, affected_sop_class_uid=CT, affected_sop_instance_uid=INSTANCE), False),
        (NGetRQ(message_id=1, requested_sop_class_uid=CT, requested_sop_instance_uid=INSTANCE), True),
        (UnknownCommand(0x7777, 1, (Element(0x0800, WITH_DATA_SET.to_bytes(2, "little")),)), False),
        (UnknownCommand(0x7777, 1, (Element(0x0800, NO_DATA_SET.to_bytes(2, "little")),)), True),
        # Announced by those that have none: not waited for.
        (UnknownCommand(0x0030, 1, (Element(0x0800, WITH_DATA_SET.to_bytes(2, "little")),)), True),
        (UnknownCommand(NDeleteRQ.COMMAND_FIELD, 1, (Element(0x0800, b"\0\0"),)), True),
    ],
)
def test_whose_data_set_is_waited_for(message: Any, complete: bool) -> None:
    assert Performed(Association(), CONTEXT, received(message)).data_complete is complete
    assert NDeleteRQ.DATA_SET is DataSet.FORBIDDEN


@pytest.mark.parametrize(
    ("sop_class", "instance", "echoed"),
    [
        (b"1.2.3\0", b"1.2.4\0", ("1.2.3", "1.2.4")),
        (b"1.2.3 ", b"1.2.4 ", ("1.2.3 ", "1.2.4 ")),
        (b"1" * 128, b"2" * 128, ("1" * 128, "2" * 128)),
        (b"1" * 130, b"2" * 130, (VERIFICATION, None)),
        (b"1.2.3" + b" " * 125, b"1.2.4" + b" " * 125, (VERIFICATION, None)),
        (b"", b"", (VERIFICATION, None)),
    ],
)
def test_uids_are_repeated_as_they_came_if_anyone_can(
    sop_class: bytes, instance: bytes, echoed: tuple[str, str | None]
) -> None:
    command_set = UnknownCommand(1, 7, (Element(2, sop_class), Element(0x1000, instance)))
    operation = Performed(Association(), CONTEXT, received(command_set))
    assert (operation.sop_class_uid, operation.sop_instance_uid) == echoed


@pytest.mark.parametrize("longest", [b"1" * 300, b"1" * 131 + b" "])
def test_whatever_uid_came_can_be_answered(longest: bytes) -> None:
    end = Scripted.established(acceptor())
    for field, context_id in ((0x0030, 1), (0x0001, 3)):
        elements = (Element(2, longest), Element(0x0800, b"\1\1"), Element(0x1000, longest))
        [event] = end.send(command(context_id, UnknownCommand(field, 7, elements)))
        event.operation.respond()  # type: ignore[union-attr]
        assert end.said()[0].status != 0


# ---------------------------------------------------------------- the unservable


def unservable(message: Any = ECHO) -> tuple[Association, UnservableSCP]:
    association = Association()
    return association, UnservableSCP(association, CONTEXT, received(message), UNRECOGNIZED_OPERATION)


@pytest.mark.parametrize(("given", "status"), [(None, 0x0211), (0x0110, 0x0110), (0, 0)])
def test_the_unservable_is_answered_in_kind(given: int | None, status: int) -> None:
    association, operation = unservable(
        NGetRQ(message_id=9, requested_sop_class_uid=CT, requested_sop_instance_uid="1")
    )
    operation.respond(given)
    [response] = association.asked
    assert isinstance(response, messages.NGetRSP)
    assert response.status == status
    assert response.message_id_being_responded_to == 9
    assert response.affected_sop_class_uid == CT
    assert response.affected_sop_instance_uid == "1"


@pytest.mark.parametrize(
    ("message", "instance"),
    [
        (CStoreRQ(message_id=9, affected_sop_class_uid=CT, affected_sop_instance_uid=INSTANCE), INSTANCE),
        (NDeleteRQ(message_id=9, requested_sop_class_uid=CT, requested_sop_instance_uid=INSTANCE), INSTANCE),
        (CFindRQ(message_id=9, affected_sop_class_uid=CT), None),
    ],
)
def test_the_unservable_gets_back_every_uid_that_its_response_can_hold(message: Any, instance: str | None) -> None:
    association, operation = unservable(message)
    operation.respond()
    [response] = association.asked
    assert (response.sop_class_uid, response.sop_instance_uid) == (CT, instance)
    assert encode_command(response)


@pytest.mark.parametrize("field", [0x7777, 0x0002, 0x0FFE])
def test_the_unknown_is_answered_with_its_field_and_the_response_bit(field: int) -> None:
    association, operation = unservable(UnknownCommand(field, 9, ()))
    operation.respond()
    [response] = association.asked
    assert response.command_field == field | 0x8000
    assert response.message_id is None
    assert [(element.tag, element.value) for element in response.elements] == [
        (0x0120, b"\x09\0"),
        (0x0800, b"\1\1"),
        (0x0900, b"\x11\2"),
    ]


@pytest.mark.parametrize("status", [0xFF00, 0xFF01])
def test_pending_ends_nothing(status: int) -> None:
    association, operation = unservable()
    with pytest.raises(LocalProtocolError, match="request 7 has one response, and 0xFF0"):
        operation.respond(status)
    assert association.asked == []


@pytest.mark.parametrize(
    ("mark", "text"),
    [
        ("responded", "request 7 was answered already"),
        ("over", "request 7 is over: its association ended"),
        ("held", "request 7 is beyond the window negotiated, and not told yet"),
    ],
)
def test_what_cannot_be_answered(mark: str, text: str) -> None:
    association, operation = unservable()
    setattr(operation, mark, True)
    assert not operation.may_respond
    with pytest.raises(LocalProtocolError, match=text):
        operation.respond()
    assert association.asked == []


def test_operations_differ_even_with_one_message_id() -> None:
    end = Scripted.established(acceptor())
    first, piece, *_ = end.send(store_rq(1), data(3, b"xx"))
    first.operation.respond()  # type: ignore[union-attr]
    [second] = end.send(echo_rq(1))
    assert piece.operation is first.operation  # type: ignore[union-attr]
    assert second.operation is not first.operation  # type: ignore[union-attr]
