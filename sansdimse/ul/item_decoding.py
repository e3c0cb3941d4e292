"""From bytes to the variable items of A-ASSOCIATE PDUs (PS3.8 9.3.2, 9.3.3, Annex D; PS3.7 D.3.3).

What deviates is kept: unknown, repeated and misplaced items, any order, any text. Only lengths that
lie are a fault, since after one nothing can be trusted.

Items with sub-items (20H, 21H, 50H) are read as such at the top level only. One that stands inside
another is kept as an ``UnknownItem``, so that no PDU can nest deeper than the standard does.
"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct
from typing import Final, TypeAlias

from sansdimse.deviations import Code
from sansdimse.errors import RemoteProtocolError
from sansdimse.limits import MOST_ITEMS
from sansdimse.uids import APPLICATION_CONTEXT, TRANSFER_SYNTAXES
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

_HEADER: Final = Struct(">BBH")
_U16: Final = Struct(">H")
_U32: Final = Struct(">I")
_TWO_U16: Final = Struct(">HH")

# A decoder is given the PDU's body, where the item's content starts and stops in it, and the item's
# second byte.

_Decoder: TypeAlias = Callable[[bytes, int, int, int], Item]


_KNOWN: Final = {uid.encode(): uid for uid in (APPLICATION_CONTEXT, *TRANSFER_SYNTAXES)}
"""What every request has many times over: one string for all saves each association more than 1 KiB."""


def _malformed(item_type: int, text: str) -> RemoteProtocolError:
    return RemoteProtocolError(f"item {item_type:02X}H {text}", code=Code.ITEM_MALFORMED)


def decode_items(data: bytes, start: int) -> tuple[tuple[Item, ...], bytes]:
    """The items from ``start`` to the end of a body, and the up to 3 bytes left that are no item's header.

    RemoteProtocolError (ITEM_MALFORMED) if an item, sub-item or field overruns what it stands in.
    """
    items, stop = _decoded(data, start, len(data), _DECODERS)
    return items, data[stop:]


def _decoded(data: bytes, start: int, stop: int, decoders: dict[int, _Decoder]) -> tuple[tuple[Item, ...], int]:
    items: list[Item] = []
    nested = 0
    while stop - start >= 4:
        item_type, reserved, length = _HEADER.unpack_from(data, start)
        start += 4
        if length > stop - start:
            raise _malformed(item_type, f"claims {length} bytes where {stop - start} are left")
        decode = decoders.get(item_type)
        if decode is None:
            items.append(UnknownItem(item_type, data[start : start + length], reserved))
        else:
            items.append(decode(data, start, start + length, reserved))
            nested += _held_in(items[-1])
        if len(items) + nested > MOST_ITEMS:
            raise _malformed(item_type, f"is one of more than {MOST_ITEMS}")
        start += length
    return tuple(items), start


def _held_in(item: Item) -> int:
    """What an item holds that counts as much as an item: two bytes make a related UID, and each is looked at."""
    if isinstance(item, PresentationContextRQ | PresentationContextAC | UserInformation):
        return sum(1 + _held_in(sub_item) for sub_item in item.items)
    return len(item.related_general_sop_class_uids) if isinstance(item, CommonExtendedNegotiation) else 0


def _sub_items(data: bytes, start: int, stop: int, item_type: int) -> tuple[Item, ...]:
    items, end = _decoded(data, start, stop, _SUB_ITEM_DECODERS)
    if end != stop:
        raise _malformed(item_type, f"ends with {stop - end} bytes that are no sub-item")
    return items


def _counted(data: bytes, start: int, stop: int, item_type: int) -> tuple[bytes, int]:
    """A field after its 16 bit length, and where it ends."""
    if stop - start < 2:
        raise _malformed(item_type, "ends before the length of a field")
    (length,) = _U16.unpack_from(data, start)
    end: int = start + 2 + length
    if end > stop:
        raise _malformed(item_type, f"has a field that claims {length} bytes where {stop - start - 2} are left")
    return data[start + 2 : end], end


def _text(make: Callable[[str, int], Item]) -> _Decoder:
    def decode(data: bytes, start: int, stop: int, reserved: int) -> Item:
        field = data[start:stop]
        return make(_KNOWN.get(field) or field.decode("latin-1"), reserved)

    return decode


def _presentation_context_rq(data: bytes, start: int, stop: int, reserved: int) -> Item:
    if stop - start < 4:
        raise _malformed(0x20, "is shorter than its fixed fields")
    items = _sub_items(data, start + 4, stop, 0x20)
    return PresentationContextRQ(data[start], items, reserved, data[start + 1 : start + 4])


def _presentation_context_ac(data: bytes, start: int, stop: int, reserved: int) -> Item:
    if stop - start < 4:
        raise _malformed(0x21, "is shorter than its fixed fields")
    items = _sub_items(data, start + 4, stop, 0x21)
    reserved_fields = data[start + 1 : start + 4 : 2]
    return PresentationContextAC(data[start], data[start + 2], items, reserved, reserved_fields)


def _user_information(data: bytes, start: int, stop: int, reserved: int) -> Item:
    return UserInformation(_sub_items(data, start, stop, 0x50), reserved)


def _maximum_length(data: bytes, start: int, stop: int, reserved: int) -> Item:
    if stop - start != 4:
        raise _malformed(0x51, f"has {stop - start} bytes where 4 belong")
    return MaximumLength(_U32.unpack_from(data, start)[0], reserved)


def _window(data: bytes, start: int, stop: int, reserved: int) -> Item:
    if stop - start != 4:
        raise _malformed(0x53, f"has {stop - start} bytes where 4 belong")
    invoked, performed = _TWO_U16.unpack_from(data, start)
    return AsynchronousOperationsWindow(invoked, performed, reserved)


def _role_selection(data: bytes, start: int, stop: int, reserved: int) -> Item:
    uid, end = _counted(data, start, stop, 0x54)
    if stop - end != 2:
        raise _malformed(0x54, f"has {stop - end} bytes of roles where 2 belong")
    return RoleSelection(uid.decode("latin-1"), data[end], data[end + 1], reserved)


def _extended_negotiation(data: bytes, start: int, stop: int, reserved: int) -> Item:
    uid, end = _counted(data, start, stop, 0x56)
    return ExtendedNegotiation(uid.decode("latin-1"), data[end:stop], reserved)


def _common_extended_negotiation(data: bytes, start: int, stop: int, version: int) -> Item:
    sop_class, end = _counted(data, start, stop, 0x57)
    service_class, end = _counted(data, end, stop, 0x57)
    listed, end = _counted(data, end, stop, 0x57)
    related = []
    position = 0
    while position < len(listed):
        uid, position = _counted(listed, position, len(listed), 0x57)
        related.append(uid.decode("latin-1"))
    return CommonExtendedNegotiation(
        sop_class.decode("latin-1"), service_class.decode("latin-1"), tuple(related), version, data[end:stop]
    )


def _user_identity_rq(data: bytes, start: int, stop: int, reserved: int) -> Item:
    primary, end = _counted(data, start + 2, stop, 0x58)
    secondary, end = _counted(data, end, stop, 0x58)
    if end != stop:
        raise _malformed(0x58, f"has {stop - end} bytes after its last field")
    return UserIdentityRQ(data[start], primary, secondary, data[start + 1], reserved)


def _user_identity_ac(data: bytes, start: int, stop: int, reserved: int) -> Item:
    response, end = _counted(data, start, stop, 0x59)
    if end != stop:
        raise _malformed(0x59, f"has {stop - end} bytes after its last field")
    return UserIdentityAC(response, reserved)


_SUB_ITEM_DECODERS: Final[dict[int, _Decoder]] = {
    0x10: _text(ApplicationContext),
    0x30: _text(AbstractSyntax),
    0x40: _text(TransferSyntax),
    0x51: _maximum_length,
    0x52: _text(ImplementationClassUID),
    0x53: _window,
    0x54: _role_selection,
    0x55: _text(ImplementationVersionName),
    0x56: _extended_negotiation,
    0x57: _common_extended_negotiation,
    0x58: _user_identity_rq,
    0x59: _user_identity_ac,
}

_DECODERS: Final[dict[int, _Decoder]] = _SUB_ITEM_DECODERS | {
    0x20: _presentation_context_rq,
    0x21: _presentation_context_ac,
    0x50: _user_information,
}

KNOWN_ITEM_TYPES: Final = frozenset(_DECODERS)
"""The item types of the standard, 10H to 59H."""
