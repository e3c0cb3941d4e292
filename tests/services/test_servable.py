"""What can be served is served; everything else has its status of PS3.7 Annex C, in a fixed order."""

from __future__ import annotations

import pytest

from engine_pair import CT, INSTANCE, MR
from sansdimse.deviations import Code
from sansdimse.dimse.command import Decoded, decode_command, encode_command
from sansdimse.dimse.messages import (
    NO_DATA_SET,
    WITH_DATA_SET,
    CEchoRQ,
    CFindRQ,
    CGetRQ,
    CStoreRQ,
    Element,
    Message,
    NCreateRQ,
    UnknownCommand,
)
from sansdimse.profile import DEFAULT, STRICT, Profile
from sansdimse.services.servable import SERVED, unservable
from sansdimse.uids import IMPLICIT_VR_LITTLE_ENDIAN, VERIFICATION
from sansdimse.ul.agreement import NegotiatedContext

FIND = "1.2.840.10008.5.1.4.1.2.1.1"
GET = "1.2.840.10008.5.1.4.1.2.1.3"
PRIVATE = "1.2.3.4.5"


def context(abstract_syntax: str = CT, *, as_scp: bool = True) -> NegotiatedContext:
    syntax = IMPLICIT_VR_LITTLE_ENDIAN
    return NegotiatedContext(1, abstract_syntax, (syntax,), 0, syntax, True, as_scp)


def received(message: Message | UnknownCommand) -> Decoded:
    return decode_command(encode_command(message))


def echo(sop_class: str = VERIFICATION) -> Decoded:
    return received(CEchoRQ(message_id=7, affected_sop_class_uid=sop_class))


def store(sop_class: str = CT) -> Decoded:
    return received(CStoreRQ(message_id=7, affected_sop_class_uid=sop_class, affected_sop_instance_uid=INSTANCE))


def elements(field: int, *given: tuple[int, bytes]) -> Decoded:
    """A command with these elements and no others, and message ID 7."""
    return received(UnknownCommand(field, 7, tuple(Element(*pair) for pair in given)))


def uid(text: str) -> bytes:
    return text.encode() + b"\0" * (len(text) % 2)


def find(sop_class: str) -> Decoded:
    return received(CFindRQ(message_id=7, affected_sop_class_uid=sop_class))


SOP_CLASS, INSTANCE_UID = (0x0002, uid(CT)), (0x1000, uid(INSTANCE))
DATA, NO_DATA = (0x0800, WITH_DATA_SET.to_bytes(2, "little")), (0x0800, NO_DATA_SET.to_bytes(2, "little"))
FIND_RQ = find(FIND)


@pytest.mark.parametrize(
    ("context", "decoded"),
    [
        (context(VERIFICATION), echo()),
        (context(CT), store()),
        (context(PRIVATE), store(PRIVATE)),
        (context(PRIVATE), echo(PRIVATE)),
        (context(FIND), FIND_RQ),
        (context("1.2.840.10008.5.1.4.31"), find("1.2.840.10008.5.1.4.31")),
        (context(PRIVATE), find(PRIVATE)),
    ],
)
@pytest.mark.parametrize("profile", [DEFAULT, STRICT])
def test_served_without_a_word(context: NegotiatedContext, decoded: Decoded, profile: Profile) -> None:
    assert unservable(context, decoded, profile, {1, 2}) == (None, [])


@pytest.mark.parametrize(
    ("decoded", "codes"),
    [
        (store(MR), [Code.SOP_CLASS_NOT_OF_CONTEXT]),
        (elements(1, INSTANCE_UID, DATA), [Code.SOP_CLASS_MISSING]),
        (elements(1, SOP_CLASS, (0x1000, b"1.02"), DATA), [Code.UID_MALFORMED]),
        (elements(1, SOP_CLASS, (0x1000, b"1" * 128), DATA), [Code.UID_MALFORMED]),
    ],
)
def test_served_with_a_deviation(decoded: Decoded, codes: list[Code]) -> None:
    refused, deviations = unservable(context(), decoded, DEFAULT, ())
    assert refused is None
    assert [deviation.code for deviation in deviations] == codes
    refused, _ = unservable(context(), decoded, STRICT, ())
    assert refused is not None


@pytest.mark.parametrize(
    ("context", "decoded", "status", "text"),
    [
        (context(), elements(0x7777, SOP_CLASS), 0x0211, "command field 7777 is none of the standard's"),
        (context(GET), find(GET), 0x0211, "C-FIND is no service of Patient Root"),
        (context(CT), find(CT), 0x0211, "C-FIND is no service of CT Image Storage"),
        (context(CT), FIND_RQ, 0x0122, f"{FIND} on context {CT}"),
        (context(FIND, as_scp=False), FIND_RQ, 0x0122, "we are not the SCP of context 1 (Patient Root"),
        (context(FIND), elements(0x20, (0x0002, uid(FIND)), NO_DATA), 0x0212, "C-FIND lacks data set"),
        (context(GET), received(CGetRQ(message_id=7, affected_sop_class_uid=GET)), 0x0211, "CGetRQ is not supported"),
        (context(), received(NCreateRQ(message_id=7, affected_sop_class_uid=CT)), 0x0211, "NCreateRQ is not sup"),
        (context(as_scp=False), store(), 0x0122, "we are not the SCP of context 1 (CT Image Storage"),
        (context(VERIFICATION), store(), 0x0122, f"{CT} on context {VERIFICATION}"),
        (context(CT), echo(), 0x0122, f"{VERIFICATION} on context {CT}"),
        (context(CT), store(FIND), 0x0122, f"{FIND} on context {CT}"),
        (context(PRIVATE), store(), 0x0122, f"{CT} on context {PRIVATE}"),
        (context(VERIFICATION), store(VERIFICATION), 0x0211, "C-STORE is no service of Verification"),
        (context(FIND), store(FIND), 0x0211, "C-STORE is no service of Patient Root"),
        (context(), elements(1, SOP_CLASS, DATA), 0x0212, "C-STORE lacks affected_sop_instance_uid"),
        (context(), elements(1, SOP_CLASS, INSTANCE_UID, NO_DATA), 0x0212, "C-STORE lacks data set"),
        (context(), elements(1, NO_DATA), 0x0212, "C-STORE lacks affected_sop_instance_uid, data set"),
        (context(), elements(1, SOP_CLASS, (0x1000, b"1" * 130), DATA), 0x0117, "not a UID: 1111"),
    ],
)
def test_not_served(context: NegotiatedContext, decoded: Decoded, status: int, text: str) -> None:
    refused, _ = unservable(context, decoded, DEFAULT, {1})
    assert refused is not None
    assert refused.status == status
    assert text in refused.text


def test_what_is_missing_is_named_however_the_sop_class_is_taken() -> None:
    refused, deviations = unservable(context(), elements(1, DATA), STRICT, ())
    assert refused is not None
    assert refused.text == "C-STORE lacks affected_sop_class_uid, affected_sop_instance_uid"
    assert [deviation.code for deviation in deviations] == [Code.SOP_CLASS_MISSING]


@pytest.mark.parametrize("decoded", [store(), echo(), FIND_RQ, store(MR), elements(1)])
@pytest.mark.parametrize("as_scp", [True, False])
def test_a_message_id_in_use_comes_before_all_but_the_command(decoded: Decoded, as_scp: bool) -> None:
    refused, [deviation] = unservable(context(as_scp=as_scp), decoded, DEFAULT, {7})
    assert refused is not None
    assert refused.status == 0x0210
    assert deviation.code is Code.MESSAGE_ID_REPEATED
    refused, deviations = unservable(context(), elements(0x7777), DEFAULT, {7})
    assert refused is not None
    assert (refused.status, deviations) == (0x0211, [])


def test_what_a_peer_wrote_is_escaped() -> None:
    hostile = elements(1, (0x0002, b"\x1b[2J\n\n"), INSTANCE_UID, DATA)
    refused, _ = unservable(context(), hostile, DEFAULT, ())
    assert refused is not None
    assert refused.text.isprintable()


def test_what_is_served() -> None:
    assert set(SERVED.values()) == {"C-ECHO", "C-STORE", "C-FIND"}
