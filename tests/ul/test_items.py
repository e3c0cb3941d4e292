"""Items as bytes: the layout of PS3.8 9.3.2, 9.3.3, Annex D and PS3.7 D.3.3, and what does not fit."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import pytest
from hypothesis import given

from pdu_strategies import top_items
from sansdimse.errors import LocalProtocolError
from sansdimse.ul import items
from sansdimse.ul.items import (
    AbstractSyntax,
    ApplicationContext,
    AsynchronousOperationsWindow,
    CommonExtendedNegotiation,
    ExtendedNegotiation,
    ImplementationClassUID,
    ImplementationVersionName,
    Item,
    MaximumLength,
    PresentationContextAC,
    PresentationContextRQ,
    RoleSelection,
    TransferSyntax,
    UnknownItem,
    UserIdentityAC,
    UserIdentityRQ,
    UserInformation,
)

# Written down from the tables, field by field: type, second byte, length, content.
LAYOUT: list[tuple[Item, str]] = [
    (ApplicationContext("1.2", 9), "10 09 0003 312e32"),
    (ApplicationContext(), "10 00 0015 312e322e3834302e31303030382e332e312e312e31"),
    (
        PresentationContextRQ(3, (AbstractSyntax("1.2"), TransferSyntax("1"), TransferSyntax("2")), 1, b"\2\3\4"),
        "20 01 0015 03 02 03 04  30 00 0003 312e32  40 00 0001 31  40 00 0001 32",
    ),
    (PresentationContextAC(3, 4, (TransferSyntax("1"),), 1, b"\2\5"), "21 01 0009 03 02 04 05  40 00 0001 31"),
    (AbstractSyntax("1.2\0", 7), "30 07 0004 312e3200"),
    (TransferSyntax("1.2 ", 7), "40 07 0004 312e3220"),
    (
        UserInformation((MaximumLength(0x4000), ImplementationClassUID("1")), 1),
        "50 01 000d 51000004 00004000 52000001 31",
    ),
    (MaximumLength(0xFFFFFFFF, 1), "51 01 0004 ffffffff"),
    (ImplementationClassUID("1.2", 1), "52 01 0003 312e32"),
    (AsynchronousOperationsWindow(0x0102, 0x0304, 1), "53 01 0004 0102 0304"),
    (RoleSelection("1.2", 0, 1, 5), "54 05 0007 0003 312e32 00 01"),
    (ImplementationVersionName("N\xe91", 1), "55 01 0003 4ee931"),
    (ExtendedNegotiation("1.2", b"\1\0", 1), "56 01 0007 0003 312e32 0100"),
    (
        CommonExtendedNegotiation("1.2", "1.3", ("1", "2.5"), 1, b"\xff"),
        "57 01 0015 0003 312e32 0003 312e33 0008 0001 31 0003 322e35 ff",
    ),
    (CommonExtendedNegotiation("1", "2"), "57 00 0008 0001 31 0001 32 0000"),
    (UserIdentityRQ(2, b"me", b"\0pw", 1, 6), "58 06 000b 02 01 0002 6d65 0003 007077"),
    (UserIdentityRQ(1, b""), "58 00 0006 01 00 0000 0000"),
    (UserIdentityAC(b"ok", 1), "59 01 0004 0002 6f6b"),
    (UserIdentityAC(), "59 00 0002 0000"),
    (UnknownItem(0xEE, b"abc", 1), "ee 01 0003 616263"),
]


@pytest.mark.parametrize(("item", "wire"), LAYOUT)
def test_an_item_has_the_layout_of_the_standard(item: Item, wire: str) -> None:
    assert item.encode() == bytes.fromhex(wire)
    assert item.item_type == item.encode()[0]


@given(top_items)
def test_an_items_length_counts_what_follows_its_header(item: Item) -> None:
    encoded = item.encode()
    assert int.from_bytes(encoded[2:4], "big") == len(encoded) - 4


TOO_LONG = "1" * 0x10000

UNFIT: list[tuple[Item, str]] = [
    *((replace(cast(Any, item), reserved=256), "reserved is 256") for item, _ in LAYOUT if hasattr(item, "reserved")),
    (UnknownItem(256, b""), "item_type is 256"),
    (UnknownItem(-1, b""), "item_type is -1"),
    (UnknownItem(0xEE, bytes(0x10000)), "length of item EEH is 65536"),
    (ApplicationContext("\u0100"), "name has characters"),
    (AbstractSyntax("\u20ac"), "uid has characters"),
    (TransferSyntax("\u20ac"), "uid has characters"),
    (TransferSyntax(TOO_LONG), "length of item 40H is 65536"),
    (ImplementationClassUID("\u20ac"), "uid has characters"),
    (ImplementationVersionName("\u20ac"), "name has characters"),
    (PresentationContextRQ(256, ()), "context_id is 256"),
    (PresentationContextRQ(1, (), 0, b"\0\0"), "reserved_fields has 2 bytes where 3"),
    (PresentationContextAC(-1, 0, ()), "context_id is -1"),
    (PresentationContextAC(1, 256, ()), "result is 256"),
    (PresentationContextAC(1, 0, (), 0, b"\0\0\0"), "reserved_fields has 3 bytes where 2"),
    (UserInformation((UserInformation(()),)), "UserInformation cannot stand inside"),
    (UserInformation((PresentationContextRQ(1, ()),)), "PresentationContextRQ cannot stand inside"),
    (PresentationContextRQ(1, (PresentationContextAC(1, 0, ()),)), "PresentationContextAC cannot stand inside"),
    (MaximumLength(1 << 32), "maximum_length is 4294967296"),
    (MaximumLength(-1), "maximum_length is -1"),
    (AsynchronousOperationsWindow(0x10000, 0), "invoked is 65536"),
    (AsynchronousOperationsWindow(0, 0x10000), "performed is 65536"),
    (RoleSelection("1", 256, 0), "scu_role is 256"),
    (RoleSelection("1", 0, 256), "scp_role is 256"),
    (RoleSelection(TOO_LONG, 0, 1), "length of sop_class_uid is 65536"),
    (RoleSelection("\u20ac", 0, 1), "sop_class_uid has characters"),
    (ExtendedNegotiation("\u20ac", b""), "sop_class_uid has characters"),
    (ExtendedNegotiation("1", bytes(0xFFFF)), "length of item 56H"),
    (CommonExtendedNegotiation("1", "2", version=256), "version is 256"),
    (CommonExtendedNegotiation("1", "\u20ac"), "service_class_uid has characters"),
    (CommonExtendedNegotiation("1", "2", (TOO_LONG,)), "length of related_general_sop_class_uids"),
    (CommonExtendedNegotiation("1", "2", tuple("1" * 30000)), "length of related_general_sop_class_uids"),
    (UserIdentityRQ(256, b""), "identity_type is 256"),
    (UserIdentityRQ(1, b"", positive_response_requested=256), "positive_response_requested is 256"),
    (UserIdentityRQ(1, bytes(0x10000)), "length of primary_field is 65536"),
    (UserIdentityRQ(1, b"", bytes(0x10000)), "length of secondary_field is 65536"),
    (UserIdentityRQ(1, bytes(40000), bytes(40000)), "length of item 58H"),
    (UserIdentityAC(bytes(0x10000)), "length of server_response is 65536"),
]


@pytest.mark.parametrize(("item", "named"), UNFIT, ids=[f"{type(item).__name__}-{named}" for item, named in UNFIT])
def test_what_does_not_fit_is_refused_by_the_name_of_its_field(item: Item, named: str) -> None:
    with pytest.raises(LocalProtocolError) as error:
        item.encode()
    assert named in str(error.value)


def test_a_proposal_is_read_in_normal_form() -> None:
    context = PresentationContextRQ.of(1, "1.2", ["1.3\0", "1.4 "])
    assert context.items == (AbstractSyntax("1.2"), TransferSyntax("1.3\0"), TransferSyntax("1.4 "))
    assert context.abstract_syntax == "1.2"
    assert context.transfer_syntaxes == ("1.3", "1.4")


def test_the_first_abstract_syntax_counts() -> None:
    sub_items: tuple[Item, ...] = (TransferSyntax("5"), AbstractSyntax("1.2\0"), AbstractSyntax("1.3"))
    assert PresentationContextRQ(1, sub_items).abstract_syntax == "1.2"


def test_a_proposal_without_syntaxes_has_none() -> None:
    context = PresentationContextRQ(1, (UnknownItem(0xEE, b""),))
    assert context.abstract_syntax is None
    assert context.transfer_syntaxes == ()


def test_an_answer_has_the_first_transfer_syntax() -> None:
    assert PresentationContextAC.of(1, 0, "1.2") == PresentationContextAC(1, 0, (TransferSyntax("1.2"),))
    several = PresentationContextAC(1, 0, (AbstractSyntax("9"), TransferSyntax("1.2 "), TransferSyntax("1.3")))
    assert several.transfer_syntax == "1.2"
    assert several.transfer_syntaxes == ("1.2", "1.3")


@pytest.mark.parametrize("sub_items", [(), (TransferSyntax(""),), (TransferSyntax("\0"), TransferSyntax("1.2"))])
def test_an_answer_with_no_or_an_empty_transfer_syntax_has_none(sub_items: tuple[Item, ...]) -> None:
    assert PresentationContextAC(1, 3, sub_items).transfer_syntax is None


def test_no_secret_shows_in_a_repr() -> None:
    identity = UserIdentityRQ(2, b"somebody", b"passcode", 1)
    shown = repr(UserInformation((identity, UserIdentityAC(b"ticket"))))
    assert not any(secret in shown for secret in ("somebody", "passcode", "ticket"))
    assert repr(identity) == (
        "UserIdentityRQ(identity_type=2, primary_field=<8 bytes>, secondary_field=<8 bytes>, "
        "positive_response_requested=1, reserved=0)"
    )


def test_items_are_values() -> None:
    assert {MaximumLength(1), MaximumLength(1), MaximumLength(2)} == {MaximumLength(1), MaximumLength(2)}


def test_numbers_are_big_endian_and_counts_come_first() -> None:
    assert items.unsigned(0x0102, 2, "x") == b"\1\2"
    assert items.counted(b"ab", "x") == b"\0\2ab"
