"""C-STORE in both roles: its data set in pieces, and early ends (PS3.7 9.1.1, 9.3.1.3)."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine_pair import CT, INSTANCE, Scripted, acceptor, command, data, joined, read, requestor, store_rq, store_rsp
from sansdimse.dimse.messages import CStoreRQ, CStoreRSP
from sansdimse.errors import LocalProtocolError
from sansdimse.events import DatasetReceived, ResponseReceived, SendingAllowed, StoreRequested
from sansdimse.limits import Limits
from sansdimse.services.storage import StoreRequest, StoreSCP
from sansdimse.ul.items import AsynchronousOperationsWindow
from sansdimse.ul.parties import Requestor
from sansdimse.ul.timers import Timer

REQUEST = CStoreRQ(message_id=1, affected_sop_class_uid=CT, affected_sop_instance_uid=INSTANCE)


def answered(status: int, message_id: int = 1) -> CStoreRSP:
    return CStoreRSP(
        message_id_being_responded_to=message_id,
        affected_sop_class_uid=CT,
        affected_sop_instance_uid=INSTANCE,
        status=status,
    )


def sending(**settings: object) -> tuple[Scripted, StoreRequest]:
    end = Scripted.established(requestor(**settings))
    return end, end.engine.c_store(CT, INSTANCE)


def receiving() -> tuple[Scripted, StoreSCP]:
    end = Scripted.established(acceptor())
    [event] = end.send(store_rq())
    assert isinstance(event, StoreRequested)
    return end, event.operation


# ---------------------------------------------------------------- as SCU


@settings(max_examples=50)
@given(st.lists(st.binary(max_size=300), max_size=6), st.sampled_from([8, 20, 128, 16384]))
def test_what_goes_out_is_what_came_in(pieces: list[bytes], maximum: int) -> None:
    config = Requestor("ME", "YOU", [CT])
    end = Scripted.established(config, acceptor(maximum_length=maximum))
    store = end.engine.c_store(CT, INSTANCE)
    for piece in pieces:
        store.send_data(piece)
    store.send_data(b"x" * (sum(map(len, pieces)) % 2), is_last=True)
    content = b"".join(pieces)
    assert end.said() == [REQUEST, content + b"x" * (len(content) % 2)]
    assert store.sent
    assert store.data_sent
    assert not store.over


def test_a_store_from_end_to_end() -> None:
    end, store = sending()
    assert store.was_invoked
    assert store.may_send
    assert not store.sent
    assert store.status is None
    store.send_data(b"12")
    store.send_data(memoryview(b"34"), is_last=True)
    assert (store.may_send, store.sent, store.was_invoked) == (False, True, True)
    [event] = end.send(store_rsp(status=0xB000))
    assert event == ResponseReceived(0xB000, answered(0xB000), True, store)  # type: ignore[arg-type]
    assert store.over
    assert store.status == 0xB000
    assert store.responses == 1


@pytest.mark.parametrize("piece", [b"xx", b""])
def test_nothing_follows_a_complete_data_set(piece: bytes) -> None:
    end, store = sending()
    store.send_data(b"", is_last=True)
    end.said()
    with pytest.raises(LocalProtocolError, match="the data set of C-STORE 1 is complete"):
        store.send_data(piece)
    end.send(store_rsp())
    with pytest.raises(LocalProtocolError, match="is complete"):
        store.send_data(piece, is_last=True)
    assert end.said() == []


def test_nothing_follows_the_end_of_the_association() -> None:
    end, store = sending()
    end.eof()
    with pytest.raises(LocalProtocolError, match="C-STORE 1 is over: its association ended"):
        store.send_data(b"xx")


def test_a_data_set_of_odd_length_can_be_mended() -> None:
    end, store = sending()
    store.send_data(b"123")
    with pytest.raises(LocalProtocolError, match="odd length"):
        store.send_data(b"", is_last=True)
    assert not store.data_sent
    store.send_data(b"\0", is_last=True)
    assert end.said()[1] == b"123\0"


def test_back_pressure() -> None:
    end, store = sending(limits=Limits(output_high_water=1000, own_pdu=500))
    store.send_data(b"x" * 2000)
    with pytest.raises(LocalProtocolError, match="bytes are unsent; write what data_to_send gives"):
        store.send_data(b"y")
    end.take(0.0)
    store.send_data(b"y" * 2000)
    store.send_data(b"z" * 100, is_last=True)  # the end may always be said
    end.take(0.0)
    assert read(end.sent)[1] == b"x" * 2000 + b"y" * 2000 + b"z" * 100


@pytest.mark.parametrize("held", [b"", b"1", b"12", b"123"])
@pytest.mark.parametrize("status", [0xA700, 0xC000, 0x0110])
def test_an_early_failure_cuts_the_data_set(held: bytes, status: int) -> None:
    end, store = sending()
    store.send_data(held)
    [event] = end.send(store_rsp(status=status))
    assert isinstance(event, ResponseReceived)
    assert event.is_final
    assert (store.was_cut, store.data_sent, store.sent, store.over) == (True, True, True, True)
    # Ended by a fragment flagged last, with what had been given, but even.
    assert end.said() == [REQUEST, held[: len(held) // 2 * 2]]
    store.send_data(b"the rest is dropped", is_last=True)
    assert end.said() == []
    next_one = end.engine.c_store(CT, INSTANCE)
    assert next_one.message_id == 2
    assert next_one.may_send


@pytest.mark.parametrize("status", [0x0000, 0xB000])
def test_any_other_early_response_lets_it_go_on(status: int) -> None:
    end, store = sending()
    [event] = end.send(store_rsp(status=status))
    assert isinstance(event, ResponseReceived)
    assert not store.over
    assert not end.engine.has_room
    store.send_data(b"xx", is_last=True)
    assert store.over
    assert end.engine.has_room
    assert end.said() == [REQUEST, b"xx"]


def test_a_data_set_waits_for_its_turn() -> None:
    window = AsynchronousOperationsWindow(2, 1)
    end = Scripted.established(requestor(window=window), acceptor(window=window))
    first, second = end.engine.c_store(CT, INSTANCE), end.engine.c_store(CT, INSTANCE)
    with pytest.raises(LocalProtocolError, match="C-STORE 2 waits behind another data set"):
        second.send_data(b"xx")
    assert not second.was_invoked
    first.send_data(b"", is_last=True)
    assert end.pump() == [SendingAllowed(2, second)]
    second.send_data(b"xx", is_last=True)


def test_after_a_forced_release_an_early_failure_sends_nothing() -> None:
    end, store = sending()
    end.engine.release(force=True)
    end.said()
    [event] = end.send(store_rsp(status=0xA700))
    assert isinstance(event, ResponseReceived)
    assert store.over
    assert end.said() == []


# ---------------------------------------------------------------- as SCP


def test_a_store_is_received_in_pieces_and_answered() -> None:
    end, operation = receiving()
    assert not operation.data_complete
    events = end.send(data(3, b"ab", is_last=False), data(3, b"cd"))
    assert joined(events) == [DatasetReceived(1, b"abcd", True, operation)]
    assert operation.data_complete
    operation.respond(0xB006, offending_element=(0x00100010,), error_comment="dropped")
    [response] = end.said()
    assert (response.status, response.offending_element) == (0xB006, (0x00100010,))
    assert response.error_comment == "dropped"
    assert (response.affected_sop_class_uid, response.affected_sop_instance_uid) == (CT, INSTANCE)


def test_a_data_set_that_is_not_taken_is_waited_for_as_an_answer_is() -> None:
    end, store = receiving()
    store.pause()
    end.take(end.now)
    assert end.engine.deadlines()[Timer.OPERATION_ANSWER, 1] == Limits().operation_answer
    store.resume()
    end.take(end.now)
    assert (Timer.OPERATION_ANSWER, 1) not in end.engine.deadlines()


@pytest.mark.parametrize("status", [0x0000, 0xB000, 0xFE00])
def test_only_a_failure_may_be_told_early(status: int) -> None:
    end, operation = receiving()
    end.send(data(3, b"ab", is_last=False))
    with pytest.raises(LocalProtocolError, match="before the data set is complete"):
        operation.respond(status)
    assert end.said() == []
    end.send(data(3, b"cd"))
    operation.respond(status)
    assert end.said() == [answered(status)]


def test_after_an_early_failure_the_rest_is_discarded_unseen() -> None:
    end, operation = receiving()
    operation.respond(0xA700)
    assert end.said() == [answered(0xA700)]
    assert not operation.over
    assert end.send(data(3, b"ab", is_last=False), data(3, b"")) == []
    assert operation.over
    # The message ID is free again.
    [again] = end.send(store_rq())
    assert isinstance(again, StoreRequested)


def test_pending_is_no_answer() -> None:
    end, operation = receiving()
    with pytest.raises(LocalProtocolError, match="has one response, and 0xFF00"):
        operation.respond(0xFF00)
    assert end.said() == []


def test_uids_are_echoed_as_they_came() -> None:
    end = Scripted.established(acceptor())
    padded = command(3, REQUEST).replace(b"1.2.3.4\0", b"1.2.3.4 ")
    [event] = end.send(padded)
    assert isinstance(event, StoreRequested)
    assert event.request.affected_sop_instance_uid == INSTANCE
    event.operation.respond(0xA700)
    assert b"1.2.3.4 " in end.take(0.0)
