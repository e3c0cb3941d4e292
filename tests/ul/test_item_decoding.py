"""Bytes to items: lossless for what is well-formed, a fault for lengths that lie, nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pdu_strategies import top_items
from sansdimse.deviations import Code
from sansdimse.errors import RemoteProtocolError
from sansdimse.limits import MOST_ITEMS
from sansdimse.ul.item_decoding import KNOWN_ITEM_TYPES, decode_items
from sansdimse.ul.items import (
    AbstractSyntax,
    CommonExtendedNegotiation,
    Item,
    MaximumLength,
    PresentationContextAC,
    PresentationContextRQ,
    RoleSelection,
    TransferSyntax,
    UnknownItem,
    UserIdentityRQ,
    UserInformation,
)


def encoded(items: tuple[Item, ...]) -> bytes:
    return b"".join(item.encode() for item in items)


@given(st.lists(top_items, max_size=6).map(tuple), st.binary(max_size=3), st.binary(max_size=5))
def test_items_are_read_as_they_were_written(items: tuple[Item, ...], trailing: bytes, before: bytes) -> None:
    assert decode_items(before + encoded(items) + trailing, len(before)) == (items, trailing)


def attempt(data: bytes) -> tuple[tuple[Item, ...], bytes] | RemoteProtocolError:
    try:
        return decode_items(data, 0)
    except RemoteProtocolError as error:
        return error


# Bytes that come near to being items: short lengths and known types, in any arrangement.
_near = st.lists(
    st.sampled_from([*(bytes((kind, 0)) for kind in sorted(KNOWN_ITEM_TYPES)), *(bytes((0, n)) for n in range(13))])
    | st.binary(max_size=4),
    max_size=14,
).map(b"".join)


@given(_near)
@settings(max_examples=400)
def test_any_bytes_are_read_without_loss_or_are_malformed(data: bytes) -> None:
    result = attempt(data)
    if isinstance(result, RemoteProtocolError):
        assert (result.code, result.abort_reason) == (Code.ITEM_MALFORMED, 6)
    else:
        items, trailing = result
        assert len(trailing) < 4
        assert encoded(items) + trailing == data


@given(st.lists(top_items, min_size=1, max_size=4).map(tuple), st.data())
def test_a_cut_never_gives_other_items(items: tuple[Item, ...], data: st.DataObject) -> None:
    whole = encoded(items)
    cut = whole[: data.draw(st.integers(0, len(whole) - 1))]
    result = attempt(cut)
    if not isinstance(result, RemoteProtocolError):
        read, trailing = result
        assert read == items[: len(read)]
        assert len(read) < len(items)
        assert encoded(read) + trailing == cut


def test_the_types_known_are_those_of_the_standard() -> None:
    assert KNOWN_ITEM_TYPES == {0x10, 0x20, 0x21, 0x30, 0x40, 0x50, *range(0x51, 0x5A)}


def test_unknown_and_misplaced_items_are_kept_at_all_three_levels() -> None:
    strange = (UnknownItem(0xEE, b"x", 3), TransferSyntax("1.2"), MaximumLength(7))
    items = (
        *strange,
        PresentationContextRQ(2, strange),
        PresentationContextAC(0, 9, strange),
        UserInformation(strange),
    )
    assert decode_items(encoded(items), 0) == (items, b"")


def test_items_with_sub_items_are_opaque_inside_others() -> None:
    for container in (PresentationContextRQ(1, ()), PresentationContextAC(1, 0, ()), UserInformation(())):
        wire = container.encode()
        outer = UnknownItem(0x50, wire).encode()
        kept = UnknownItem(container.item_type, wire[4:])
        assert decode_items(outer, 0) == ((UserInformation((kept,)),), b"")


def test_deep_nesting_is_no_recursion() -> None:
    data = b""
    while len(data) < 0xFFF0:
        data = UnknownItem(0x50, data).encode()
    items, trailing = decode_items(data, 0)
    assert encoded(items) + trailing == data


MALFORMED = {
    "overruns the body": "ee000001",
    "sub-item overruns its item": "50000004 51000004 00004000",
    "four bytes that are no item": "ee000000 ee00ffff",
    "bytes after the last sub-item": "50000003 ee0000",
    "context RQ too short": "20000003 010000",
    "context RQ empty": "20000000",
    "context AC too short": "21000003 010000",
    "bytes in a context after its sub-items": "20000006 01000000 4000",
    "maximum length too short": "51000003 000040",
    "maximum length too long": "51000006 000040000000",
    "window too short": "53000002 0001",
    "window too long": "53000005 0001000100",
    "role without length": "54000001 00",
    "role's UID overruns": "54000004 0003 3131",
    "role without roles": "54000003 0001 31",
    "role with one role": "54000004 0001 31 01",
    "role with three": "54000006 0001 31 010101",
    "extended's UID overruns": "56000004 0003 3131",
    "extended empty": "56000000",
    "common without service class": "57000003 0001 31",
    "common without list": "57000006 0001 31 0001 32",
    "common's list overruns": "57000009 0001 31 0001 32 0002 00",
    "common's list holds one odd byte": "57000009 0001 31 0001 32 0001 00",
    "common's list holds a UID that overruns": "5700000a 0001 31 0001 32 0002 0001",
    "identity empty": "58000000",
    "identity of one byte": "58000001 01",
    "identity without secondary field": "58000005 01 00 0001 31",
    "identity with bytes after": "58000007 01 00 0000 0000 ff",
    "identity's primary field overruns": "58000006 01 00 0003 0000",
    "server response overruns": "59000002 0001",
    "server response with bytes after": "59000003 0000 ff",
    "server response without length": "59000000",
}


@pytest.mark.parametrize("wire", MALFORMED.values(), ids=MALFORMED.keys())
def test_a_length_that_lies_is_a_fault(wire: str) -> None:
    with pytest.raises(RemoteProtocolError, match=r"^item [0-9A-F]{2}H ") as error:
        decode_items(bytes.fromhex(wire), 0)
    assert error.value.code is Code.ITEM_MALFORMED
    assert error.value.abort_reason == 6


def test_the_fields_stand_where_the_standard_has_them() -> None:
    wire = (
        "20 01 0015 03 02 03 04  30 00 0003 312e32  40 00 0001 31  40 00 0001 32"
        "21 02 0009 05 06 07 08  40 00 0001 31"
        "54 03 0007 0003 312e32 01 02"
        "57 04 0015 0003 312e32 0003 312e33 0008 0001 31 0003 322e35 ff"
        "58 05 000b 02 01 0002 6d65 0003 007077"
    )
    items, trailing = decode_items(bytes.fromhex(wire) + b"abc", 0)
    syntaxes = (AbstractSyntax("1.2"), TransferSyntax("1"), TransferSyntax("2"))
    assert items == (
        PresentationContextRQ(3, syntaxes, 1, b"\2\3\4"),
        PresentationContextAC(5, 7, (TransferSyntax("1"),), 2, b"\6\x08"),
        RoleSelection("1.2", 1, 2, 3),
        CommonExtendedNegotiation("1.2", "1.3", ("1", "2.5"), 4, b"\xff"),
        UserIdentityRQ(2, b"me", b"\0pw", 1, 5),
    )
    assert trailing == b"abc"


@pytest.mark.parametrize("nested", [False, True])
def test_related_uids_count_as_items(nested: bool) -> None:
    """Two bytes make one: a request of 900 KiB could name 450,000, and have each looked at."""
    related = CommonExtendedNegotiation("1.2", "1.3", ("",) * 4000).encode()
    container = UserInformation((CommonExtendedNegotiation("1.2", "1.3", ("",) * 4000),)).encode()
    allowed = (container if nested else related) * 4
    assert len(decode_items(allowed, 0)[0]) == 4
    with pytest.raises(RemoteProtocolError, match="one of more than"):
        decode_items(allowed + (container if nested else related), 0)


@pytest.mark.parametrize("nested", [False, True])
def test_no_more_items_than_the_limit(nested: bool) -> None:
    """An item of four bytes takes some hundred of ours, so lengths alone bound too little."""
    empty = b"\xee\0\0\0"
    container = b"\x50\0" + (1000 * 4).to_bytes(2, "big") + empty * 1000
    allowed = container * 16 if nested else empty * MOST_ITEMS
    items, _ = decode_items(allowed, 0)
    assert len(items) == (16 if nested else MOST_ITEMS)
    with pytest.raises(RemoteProtocolError, match="one of more than"):
        decode_items(allowed + (container if nested else empty), 0)
