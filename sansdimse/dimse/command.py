"""The command set codec: group 0000 in Implicit VR Little Endian (PS3.7 6.3.1), whatever the context's syntax.

One plan per message is made at import from the message's fields and the dictionary; at run time the
codec only walks it. Out it is strict. In it takes any order, any padding, wrong or missing group lengths,
repeated and unknown elements, and tells of each; only bytes that cannot be walked, or that name no
command, are an error.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields
from operator import attrgetter
from typing import Any, Final, get_args

from sansdimse import uids
from sansdimse.deviations import Code, Deviation, escaped
from sansdimse.dimse.messages import (
    DICTIONARY,
    NO_DATA_SET,
    DataSet,
    Element,
    Message,
    Priority,
    UnknownCommand,
)
from sansdimse.errors import LocalProtocolError, RemoteProtocolError
from sansdimse.values import value

_HEAD: Final = struct.Struct("<HHL")
_GROUP_LENGTH: Final = struct.Struct("<HHLL")
_US_ELEMENT: Final = struct.Struct("<HHLH")

_COMMAND_FIELD: Final = 0x0100
_MESSAGE_ID: Final = 0x0110

# What peers write for "a data set follows": 0000 dcm4che, 0001 DCMTK, 0102 the oldest (PS3.7 9.3.2.1), 0202 fo-dicom.
_USUAL_DATA_SET_TYPES: Final = frozenset({NO_DATA_SET, 0x0000, 0x0001, 0x0102, 0x0202, 0xFEFE})


@value(kw_only=True)
class Decoded:
    """A command set that was received.

    ``missing`` names the mandatory fields that were absent or unreadable; they hold ``""`` or 0 (which is no
    success!), and Command Data Set Type what is usual for the message. The priority is never among them:
    medium stands in for it (PS3.7 9.3.1.1).
    ``raw_uids`` has the UIDs, by field name, that were padded otherwise than with one NUL to even
    length: picky peers want them back as they came.
    """

    message: Message | UnknownCommand
    deviations: tuple[Deviation, ...] = ()
    missing: frozenset[str] = frozenset()
    raw_uids: tuple[tuple[str, str], ...] = ()

    @property
    def raw_sop_class_uid(self) -> str | None:
        """The SOP class UID as it came, padding included: what a response echoes."""
        return self._raw("_sop_class_uid") or getattr(self.message, "sop_class_uid", None)

    @property
    def raw_sop_instance_uid(self) -> str | None:
        """The SOP instance UID as it came, padding included: what a response echoes."""
        return self._raw("_sop_instance_uid") or getattr(self.message, "sop_instance_uid", None)

    def _raw(self, ending: str) -> str | None:
        return next((raw for name, raw in self.raw_uids if name.endswith(ending)), None)


def encode_command(message: Message | UnknownCommand) -> bytes:
    """The command set of a message: elements ascending, correct group length, every value of even length.

    Raises ``LocalProtocolError`` for what PS3.7 9.3 and 10.3 do not allow: a value out of range, an
    invalid UID or text, a mandatory element without value, a data set announced that the message may not have
    or not announced though it must. The UIDs of a response may be anything of at most 128 Latin-1
    characters, since they repeat what the request had; an empty one is left out.
    """
    if isinstance(message, UnknownCommand):
        return _encode_unknown(message)
    plan = _BY_CLASS.get(type(message))
    if plan is None:
        raise LocalProtocolError(f"{type(message).__name__} is none of the 23 messages")
    if message.has_data_set is plan.refused_has_data_set:
        raise LocalProtocolError(f"a data set is {plan.data_set.value} for {plan.name}")
    parts = []
    for row, content in zip(plan.rows, plan.values(message), strict=True):
        if content is None or content == () or (content == "" and not row.is_mandatory):
            if row.is_mandatory:
                raise LocalProtocolError(f"{row.name} is mandatory in {plan.name}")
            continue
        parts.append(row.write(row, content))
    parts.append(plan.command_field)
    if message.other:
        parts.extend(_write_others(message.other, plan))
    parts.sort(key=_element_number)
    body = b"".join(parts)
    return _GROUP_LENGTH.pack(0, 0, 4, len(body)) + body


def decode_command(raw: bytes | bytearray | memoryview) -> Decoded:
    """What a command set says, and how it differs from the standard's form.

    Each kind of deviation is told once. Raises ``RemoteProtocolError`` (``COMMAND_MALFORMED``) only if a
    length runs over the end or there is no readable Command Field (0000,0100).
    """
    found: dict[Code, str] = {}
    elements = _walk(bytes(raw), found)
    command = elements.pop(_COMMAND_FIELD, b"")
    if len(command) != 2:
        raise RemoteProtocolError("the command set has no command field", code=Code.COMMAND_MALFORMED)
    command_field = command[0] | command[1] << 8
    plan = _BY_COMMAND.get(command_field)
    return _unknown(command_field, elements, found) if plan is None else _known(plan, elements, found)


def _encode_unknown(message: UnknownCommand) -> bytes:
    """A command of no table, element by element: what answers a command that we do not know (0211)."""
    elements = {_COMMAND_FIELD: message.command_field.to_bytes(2, "little")}
    if message.message_id is not None:
        elements[_MESSAGE_ID] = message.message_id.to_bytes(2, "little")
    elements.update((element.tag, element.value) for element in message.elements)
    body = b"".join(_HEAD.pack(0, tag, len(elements[tag])) + elements[tag] for tag in sorted(elements))
    return _GROUP_LENGTH.pack(0, 0, 4, len(body)) + body


def _walk(raw: bytes, found: dict[Code, str]) -> dict[int, bytes]:
    """The elements by tag, without the group length; of a repeated one the last."""
    elements: dict[int, bytes] = {}
    position, size, previous = 0, len(raw), -1
    counted = 0  # bytes of group 0000: what the group length speaks of
    while position < size:
        if size - position < 8:
            raise RemoteProtocolError("the command set ends within an element", code=Code.COMMAND_MALFORMED)
        group, number, length = _HEAD.unpack_from(raw, position)
        start = position + 8
        position = start + length
        tag = group << 16 | number
        if position > size:
            text = f"element {_tag_text(tag)} of {length} bytes runs over the end of the command set"
            raise RemoteProtocolError(text, code=Code.COMMAND_MALFORMED)
        if tag <= previous:
            code = Code.COMMAND_ELEMENT_REPEATED if tag in elements else Code.COMMAND_ELEMENT_ORDER
            found.setdefault(code, _tag_text(tag))
        previous = tag
        elements[tag] = raw[start:position]
        if not group:
            counted += 8 + length

    announced = elements.pop(0, None)
    if announced is None:
        found[Code.GROUP_LENGTH_MISSING] = ""
    elif len(announced) != 4 or int.from_bytes(announced, "little") != counted - 12:
        found[Code.GROUP_LENGTH_WRONG] = f"{escaped(announced)} for {counted - 12} bytes"
    return elements


def _known(plan: _Plan, elements: dict[int, bytes], found: dict[Code, str]) -> Decoded:
    values: dict[str, Any] = {}
    missing: list[str] = []
    others: list[Element] = []
    raw_uids: list[tuple[str, str]] = []
    for row in plan.rows:
        got = elements.pop(row.tag, None)
        content = None if got is None else row.read(got)
        if got is None or content is None:
            code = row.if_absent if got is None else row.if_unreadable
            if got is not None:
                others.append(Element(row.tag, got))
            if code is Code.COMMAND_ELEMENT_MISSING:
                missing.append(row.name)
                values[row.name] = row.stand_in
            elif code is not None:
                found.setdefault(code, row.name)
            continue
        values[row.name] = content
        if row.is_padded_well is not None and not row.is_padded_well(got, content):
            found.setdefault(Code.COMMAND_PADDING, f"{row.name} {escaped(got)}")
            if row.vr == "UI":
                raw_uids.append((row.name, got.decode("latin-1")))

    if missing:
        found[Code.COMMAND_ELEMENT_MISSING] = ", ".join(missing)
    if elements:
        found[Code.COMMAND_ELEMENT_UNKNOWN] = _tag_text(min(elements))
        others.extend(map(Element, elements.keys(), elements.values()))
    if others:
        # By tag, so that what we keep does not depend on the order in which it came.
        values["other"] = tuple(sorted(others, key=lambda element: element.tag))
    message = plan.make(**values)
    _judge_data_set_type(message, plan, found)
    return Decoded(
        message=message,
        deviations=tuple(map(Deviation, found.keys(), found.values())) if found else (),
        missing=frozenset(missing),
        raw_uids=tuple(raw_uids),
    )


def _unknown(command_field: int, elements: dict[int, bytes], found: dict[Code, str]) -> Decoded:
    found[Code.COMMAND_UNKNOWN] = f"{command_field:04X}"
    message_id = _read_us(elements[_MESSAGE_ID]) if _MESSAGE_ID in elements else None
    if message_id is not None:
        del elements[_MESSAGE_ID]
    kept = tuple(Element(tag, elements[tag]) for tag in sorted(elements))
    message = UnknownCommand(command_field, message_id, kept)
    lacks_id = message_id is None and not message.is_response
    return Decoded(
        message=message,
        deviations=tuple(map(Deviation, found.keys(), found.values())),
        missing=frozenset({"message_id"} if lacks_id else ()),
    )


def _judge_data_set_type(message: Message, plan: _Plan, found: dict[Code, str]) -> None:
    announced = message.command_data_set_type
    if announced not in _USUAL_DATA_SET_TYPES:
        found[Code.DATA_SET_TYPE_UNUSUAL] = f"{announced:04X}"
    if message.has_data_set is plan.refused_has_data_set:
        code = Code.DATA_SET_FORBIDDEN if message.has_data_set else Code.DATA_SET_MISSING
        found[code] = plan.name


def _write_others(others: tuple[Element, ...], plan: _Plan) -> list[bytes]:
    taken = {0, _COMMAND_FIELD, *(row.tag for row in plan.rows)}
    parts = []
    for element in others:
        if element.tag in taken or not 0 <= element.tag <= 0xFFFF or len(element.value) % 2:
            text = f"element {_tag_text(element.tag)} of {len(element.value)} bytes cannot go with {plan.name}"
            raise LocalProtocolError(text)
        taken.add(element.tag)
        parts.append(_HEAD.pack(0, element.tag, len(element.value)) + element.value)
    return parts


def _element_number(part: bytes) -> int:
    return part[2] | part[3] << 8


def _tag_text(tag: int) -> str:
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"


# One writer and one reader per VR. Readers give None for what cannot be read.


def _write_us(row: _Row, content: Any) -> bytes:
    try:
        return _US_ELEMENT.pack(0, row.tag, 2, content)
    except struct.error:
        raise LocalProtocolError(f"{row.name} is a number from 0 to 65535, not {content!r}") from None


def _write_priority(row: _Row, content: Any) -> bytes:
    if content not in (0, 1, 2):
        raise LocalProtocolError(f"the priority is 0, 1 or 2, not {content!r} (PS3.7 9.3.1.1)")
    return _write_us(row, content)


def _write_at(row: _Row, content: Any) -> bytes:
    try:
        numbers = [half for tag in content for half in (tag >> 16, tag & 0xFFFF)]
        return _HEAD.pack(0, row.tag, 2 * len(numbers)) + struct.pack(f"<{len(numbers)}H", *numbers)
    except (struct.error, TypeError):
        raise LocalProtocolError(f"{row.name} is a tuple of tags, not {content!r}") from None


def _write_uid(row: _Row, content: Any) -> bytes:
    if not isinstance(content, str) or not uids.is_valid(content):
        raise LocalProtocolError(f"{row.name} is a UID, not {content!r} (PS3.5 9.1)")
    return _text_element(row.tag, content.encode("ascii"), b"\0")


def _write_echoed_uid(row: _Row, content: Any) -> bytes:
    try:
        raw: bytes = content.encode("latin-1")
    except (AttributeError, UnicodeEncodeError):
        raise LocalProtocolError(f"{row.name} is the UID of the request, not {content!r}") from None
    if len(raw) > uids.LONGEST:
        raise LocalProtocolError(f"{row.name} has {len(raw)} characters, more than {uids.LONGEST}")
    return _text_element(row.tag, raw, b"\0")


def _write_text(row: _Row, content: Any) -> bytes:
    longest = 16 if row.vr == "AE" else 64
    if not (
        isinstance(content, str)
        and len(content) <= longest
        and content.isascii()
        and (content.isprintable() and "\\" not in content)
    ):
        text = f"{row.name} is at most {longest} printable ASCII characters and no backslash, not {content!r}"
        raise LocalProtocolError(f"{text} (PS3.5 6.2)")
    if row.vr == "AE" and not content.strip(" "):
        raise LocalProtocolError(f"{row.name} is blank (PS3.5 6.2)")
    return _text_element(row.tag, content.encode("ascii"), b" ")


def _text_element(tag: int, raw: bytes, padding: bytes) -> bytes:
    if len(raw) % 2:
        raw += padding
    return _HEAD.pack(0, tag, len(raw)) + raw


def _read_us(raw: bytes) -> int | None:
    return raw[0] | raw[1] << 8 if len(raw) == 2 else None


def _read_priority(raw: bytes) -> Priority | None:
    number = _read_us(raw)
    return _PRIORITIES[number] if number is not None and number < 3 else None


_PRIORITIES: Final = tuple(Priority)


def _read_at(raw: bytes) -> tuple[int, ...] | None:
    if not raw or len(raw) % 4:
        return None
    halves = struct.unpack(f"<{len(raw) // 2}H", raw)
    return tuple(group << 16 | number for group, number in zip(halves[::2], halves[1::2], strict=True))


def _read_text(raw: bytes) -> str | None:
    # Padding goes by PS3.5 6.2; what is left of nothing but padding is no value (QUIRKS: NULs, spaces).
    return raw.decode("latin-1").strip(" \0") or None


def _is_uid_padded_well(raw: bytes, content: str) -> bool:
    length = len(content)
    return len(raw) == length + length % 2 and (len(raw) == length or raw[-1] == 0)


def _is_text_padded_well(raw: bytes, content: str) -> bool:
    return len(raw) % 2 == 0 and raw.strip(b" ") == content.encode("latin-1")


_READ: Final[dict[str, Callable[[bytes], Any]]] = {
    "US": _read_us,
    "AT": _read_at,
    "UI": _read_text,
    "AE": _read_text,
    "LO": _read_text,
}
_WRITE: Final[dict[str, Callable[[_Row, Any], bytes]]] = {
    "US": _write_us,
    "AT": _write_at,
    "UI": _write_uid,
    "AE": _write_text,
    "LO": _write_text,
}
_IS_PADDED_WELL: Final[dict[str, Callable[[bytes, str], bool]]] = {
    "UI": _is_uid_padded_well,
    "AE": _is_text_padded_well,
    "LO": _is_text_padded_well,
}


@dataclass(frozen=True, slots=True)
class _Row:
    """All that the codec knows of one field of one message."""

    name: str
    tag: int
    vr: str
    is_mandatory: bool
    stand_in: Any
    """What a mandatory field holds if it was missing."""
    if_absent: Code | None
    if_unreadable: Code
    read: Callable[[bytes], Any]
    write: Callable[[_Row, Any], bytes]
    is_padded_well: Callable[[bytes, str], bool] | None


@dataclass(frozen=True, slots=True)
class _Plan:
    """All that the codec knows of one message."""

    name: str
    make: Callable[..., Message]
    rows: tuple[_Row, ...]
    values: Callable[[Any], tuple[Any, ...]]
    command_field: bytes
    data_set: DataSet
    refused_has_data_set: bool | None
    """The ``has_data_set`` that contradicts the message's table; ``None`` if none does."""


def _row(name: str, default: Any, *, is_response: bool) -> _Row:
    tag, vr = DICTIONARY[name]
    is_priority = name == "priority"
    is_mandatory = default is MISSING or is_priority or name == "command_data_set_type"
    write, stand_in = _WRITE[vr], default
    if_absent, if_unreadable = None, Code.COMMAND_ELEMENT_UNREADABLE
    if is_mandatory:
        if_absent = if_unreadable = Code.COMMAND_ELEMENT_MISSING
    if default is MISSING:
        stand_in = 0 if vr == "US" else ""
    if is_priority:
        write, if_absent, if_unreadable = _write_priority, Code.PRIORITY_MISSING, Code.PRIORITY_INVALID
    if vr == "UI" and is_response:
        write = _write_echoed_uid
    return _Row(
        name=name,
        tag=tag,
        vr=vr,
        is_mandatory=is_mandatory,
        stand_in=stand_in,
        if_absent=if_absent,
        if_unreadable=if_unreadable,
        read=_read_priority if is_priority else _READ[vr],
        write=write,
        is_padded_well=_IS_PADDED_WELL.get(vr),
    )


def _plan(cls: Any) -> _Plan:
    is_response = cls.COMMAND_FIELD & 0x8000 != 0
    rows = [_row(f.name, f.default, is_response=is_response) for f in fields(cls) if f.name != "other"]
    rows.sort(key=lambda row: row.tag)
    return _Plan(
        name=cls.__name__,
        make=cls,
        rows=tuple(rows),
        values=attrgetter(*(row.name for row in rows)),
        command_field=_US_ELEMENT.pack(0, _COMMAND_FIELD, 2, cls.COMMAND_FIELD),
        data_set=cls.DATA_SET,
        refused_has_data_set={DataSet.MANDATORY: False, DataSet.FORBIDDEN: True}.get(cls.DATA_SET),
    )


_BY_CLASS: Final[dict[type, _Plan]] = {cls: _plan(cls) for cls in get_args(Message)}
_BY_COMMAND: Final[dict[int, _Plan]] = {cls.COMMAND_FIELD: plan for cls, plan in _BY_CLASS.items()}  # type: ignore[attr-defined]
