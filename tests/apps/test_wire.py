from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sansdimse import VERIFICATION, Side
from sansdimse.dimse.command import encode_command
from sansdimse.dimse.messages import CCancelRQ, CEchoRQ, CFindRQ, CStoreRSP, NEventReportRSP, UnknownCommand
from sansdimse.ul.pdu import PDV, AAbort, AAssociateAC, AAssociateRJ, AReleaseRQ, PDataTF
from sansdimse_apps.wire import Observer, Seen, describe
from sansdimse_socket import associate

CT = "1.2.840.10008.5.1.4.1.1.2"
FIND = CFindRQ(message_id=7, affected_sop_class_uid="1.2.840.10008.5.1.4.1.2.2.1", command_data_set_type=1)


def told(side: Side, *pieces: bytes) -> list[Seen]:
    seen: list[Seen] = []
    observer = Observer(seen.append)
    for piece in pieces:
        observer(side, memoryview(piece), 0.0)
    return seen


def p_data(control: int, *fragments: bytes) -> bytes:
    """A PDU for each fragment, the last one flagged as the last."""
    last = len(fragments) - 1
    return b"".join(
        PDataTF((PDV(3, control | (2 if number == last else 0), fragment),)).encode()
        for number, fragment in enumerate(fragments)
    )


COMMAND = encode_command(FIND)
STREAM = (
    p_data(1, COMMAND[:20], COMMAND[20:])
    + p_data(0, bytes(100), bytes(50), b"")
    + AReleaseRQ().encode()
    + AAbort(2, 6).encode()
)


def test_an_association_from_begin_to_end(serving: Any, service: Any) -> None:
    seen: list[Seen] = []
    with (
        serving(service()) as server,
        associate(
            "127.0.0.1", server.port, calling="ME", contexts=[VERIFICATION, "9.9"], tap=Observer(seen.append)
        ) as p,
    ):
        p.c_echo()
    assert [(each.side, each.name) for each in seen] == [
        (Side.LOCAL, "A-ASSOCIATE-RQ"),
        (Side.PEER, "A-ASSOCIATE-AC"),
        (Side.LOCAL, "P-DATA-TF"),
        (Side.PEER, "P-DATA-TF"),
        (Side.LOCAL, "A-RELEASE-RQ"),
        (Side.PEER, "A-RELEASE-RP"),
    ]
    assert seen[0].text == "ME calls ANY-SCP, 2 presentation contexts, PDUs of at most 131,072 bytes"
    assert str(seen[2]) == "--> P-DATA-TF 80 bytes [context 1] C-ECHO-RQ 1 Verification SOP Class"
    assert str(seen[3]).startswith("<-- P-DATA-TF 90 bytes [context 1] C-ECHO-RSP 1 0x0000 (success)")
    assert p.outcome is not None
    sizes = {side: sum(each.length for each in seen if each.side is side) for side in (Side.LOCAL, Side.PEER)}
    assert sizes == {Side.LOCAL: p.outcome.bytes_sent, Side.PEER: p.outcome.bytes_received}


def test_pdus_of_one_message_are_one_line() -> None:
    command, data, release, abort = told(Side.PEER, STREAM)
    assert (command.pdus, command.message, command.text) == (
        2,
        FIND,
        "C-FIND-RQ 7 Study Root Query/Retrieve Information Model - FIND",
    )
    assert (data.pdus, data.length, data.context_id, data.message) == (3, 150 + 3 * 12, 3, None)
    assert str(data) == "<-- P-DATA-TF x 3 186 bytes [context 3] data set"
    assert str(release) == "<-- A-RELEASE-RQ 10 bytes"
    assert abort.text == "source 2, reason 6"
    assert command.length + data.length + release.length + abort.length == len(STREAM)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, len(STREAM)), max_size=20))
def test_what_is_seen_does_not_depend_on_the_cuts(cuts: list[int]) -> None:
    places = sorted({0, *cuts, len(STREAM)})
    assert told(Side.LOCAL, *(STREAM[begin:end] for begin, end in pairwise(places))) == told(Side.LOCAL, STREAM)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(max_size=40), max_size=10))
def test_whatever_passes_nothing_is_raised_and_a_fault_is_told_once(pieces: list[bytes]) -> None:
    seen = told(Side.PEER, *pieces)
    assert [each.name for each in seen[:-1]].count("not understood") == 0
    assert all(each.text.isprintable() for each in seen)


def test_both_directions_are_kept_apart() -> None:
    seen: list[Seen] = []
    observer = Observer(seen.append)
    for byte in STREAM:
        for side in (Side.LOCAL, Side.PEER):
            observer(side, bytes([byte]), 0.0)
    assert [each.side for each in seen] == [Side.LOCAL, Side.PEER] * 4


def test_a_command_that_cannot_be_read_is_told() -> None:
    [seen] = told(Side.PEER, p_data(1, bytes(7)), AReleaseRQ().encode())
    assert seen.name == "not understood"


@pytest.mark.parametrize(
    ("message", "text"),
    [
        (CEchoRQ(message_id=1, affected_sop_class_uid=VERIFICATION), "C-ECHO-RQ 1 Verification SOP Class"),
        (
            CStoreRSP(message_id_being_responded_to=2, status=0xA700, affected_sop_class_uid=CT),
            "C-STORE-RSP 2 0xA700 (refused: out of resources)",
        ),
        (CCancelRQ(message_id_being_responded_to=3), "C-CANCEL-RQ 3"),
        (NEventReportRSP(message_id_being_responded_to=4, status=0), "N-EVENT-REPORT-RSP 4 0x0000 (success)"),
        (UnknownCommand(0x7777, None, ()), "unknown command 7777H"),
        (
            CEchoRQ(message_id=1, affected_sop_class_uid="1.2\x1b[31m"),
            "C-ECHO-RQ 1 1.2\\x1b[31m",
        ),
    ],
)
def test_messages_in_words(message: Any, text: str) -> None:
    assert describe(message) == text


def test_answers_to_an_association_request() -> None:
    [rejected] = told(Side.PEER, AAssociateRJ(result=1, source=1, reason=7).encode())
    assert "called AE title not recognized" in rejected.text
    field = b"X".ljust(16)
    [accepted] = told(Side.PEER, AAssociateAC(field, field, ()).encode())
    assert accepted.text == "0 of 0 accepted, no maximum PDU length stated"
    assert re.fullmatch(r"<-- A-ASSOCIATE-AC \d+ bytes .*", str(accepted))
