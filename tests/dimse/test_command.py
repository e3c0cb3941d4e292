"""The command set codec: strict out, tolerant in."""

from __future__ import annotations

import struct
from dataclasses import MISSING, fields
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sansdimse.deviations import Code
from sansdimse.dimse.command import Decoded, decode_command, encode_command
from sansdimse.dimse.messages import (
    DICTIONARY,
    CCancelRQ,
    CEchoRQ,
    CEchoRSP,
    CFindRQ,
    CFindRSP,
    CMoveRQ,
    CStoreRQ,
    CStoreRSP,
    DataSet,
    Element,
    Message,
    NCreateRQ,
    NDeleteRSP,
    NGetRQ,
    NSetRQ,
    Priority,
    UnknownCommand,
)
from sansdimse.errors import LocalProtocolError, RemoteProtocolError

CLASS_UID = "1.2.840.10008.1.1"
ECHO = CEchoRQ(affected_sop_class_uid=CLASS_UID, message_id=7)

# C-ECHO-RQ and C-STORE-RSP written by hand from PS3.7 Tables 9.3-12 and 9.3-2.
ECHO_RQ_BYTES = bytes.fromhex(
    "00000000 04000000 38000000"
    "00000200 12000000 312e322e3834302e31303030382e312e3100"
    "00000001 02000000 3000"
    "00001001 02000000 0700"
    "00000008 02000000 0101"
)
STORE_RSP_BYTES = bytes.fromhex(
    "00000000 04000000 42000000"
    "00000200 04000000 312e3200"
    "00000001 02000000 0180"
    "00002001 02000000 0201"
    "00000008 02000000 0101"
    "00000009 02000000 00b0"
    "00000010 06000000 312e322e3334"
)


def element(tag: int, content: bytes) -> bytes:
    return struct.pack("<HHL", tag >> 16, tag & 0xFFFF, len(content)) + content


def us(tag: int, number: int) -> bytes:
    return element(tag, struct.pack("<H", number))


def command(*parts: bytes) -> bytes:
    """A command set of these elements, in this order, with its group length."""
    body = b"".join(parts)
    return element(0, struct.pack("<L", len(body))) + body


def echo_set(
    *more: bytes, uid: bytes = b"1.2.840.10008.1.1\0", message_id: bytes = us(0x0110, 7), kind: int = 0x0101
) -> bytes:
    return command(element(0x0002, uid), us(0x0100, 0x0030), message_id, us(0x0800, kind), *more)


def codes(decoded: Decoded) -> list[Code]:
    return [deviation.code for deviation in decoded.deviations]


numbers = st.integers(0, 0xFFFF)
uid_texts = st.lists(st.integers(0, 10**9), min_size=1, max_size=6).map(lambda parts: ".".join(map(str, parts)))
texts = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E, exclude_characters="\\"), min_size=1, max_size=64)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "US": numbers,
    "UI": uid_texts,
    "AT": st.lists(st.integers(0, 0xFFFFFFFF), min_size=1, max_size=4).map(tuple),
    "LO": texts.map(str.strip).filter(bool),
    "AE": texts.map(lambda text: text[:16].strip()).filter(bool),
}


def of_class(cls: Any) -> st.SearchStrategy[Any]:
    kinds = {
        DataSet.FORBIDDEN: st.just(0x0101),
        DataSet.MANDATORY: st.sampled_from([0x0000, 0x0001, 0x0102, 0xFEFE]),
        DataSet.OPTIONAL: st.sampled_from([0x0000, 0x0001, 0x0101, 0x0102, 0xFEFE]),
    }
    values: dict[str, st.SearchStrategy[Any]] = {}
    for field in fields(cls):
        if field.name == "command_data_set_type":
            values[field.name] = kinds[cls.DATA_SET]
        elif field.name == "priority":
            values[field.name] = st.sampled_from(Priority)
        elif field.name != "other":
            content = VALUES[DICTIONARY[field.name][1]]
            values[field.name] = content if field.default is MISSING else st.just(field.default) | content
    return st.builds(cls, **values)


any_message = st.sampled_from(get_args(Message)).flatmap(of_class)


def elements_of(raw: bytes) -> list[bytes]:
    """The elements of a well-formed command set, each with its head."""
    parts, position = [], 0
    while position < len(raw):
        end = position + 8 + struct.unpack_from("<L", raw, position + 4)[0]
        parts.append(raw[position:end])
        position = end
    return parts


class TestProperties:
    @settings(max_examples=300)
    @given(any_message)
    def test_every_message_comes_back_and_has_nothing_to_report(self, message: Message) -> None:
        assert decode_command(encode_command(message)) == Decoded(message=message)

    @settings(max_examples=150)
    @given(any_message)
    def test_what_we_send_is_strict(self, message: Message) -> None:
        raw = encode_command(message)
        parts = elements_of(raw)
        tags = [struct.unpack_from("<HH", part) for part in parts]
        assert tags == sorted(set(tags))
        assert {group for group, _ in tags} == {0}
        assert parts[0] == element(0, struct.pack("<L", len(raw) - 12))
        assert all(len(part) % 2 == 0 for part in parts)

    @settings(max_examples=100)
    @given(any_message, st.randoms(use_true_random=False))
    def test_the_order_of_elements_does_not_matter(self, message: Message, random: Any) -> None:
        parts = elements_of(encode_command(message))
        random.shuffle(parts)
        decoded = decode_command(b"".join(parts))
        assert decoded.message == message
        assert set(codes(decoded)) <= {Code.COMMAND_ELEMENT_ORDER}
        assert not decoded.missing

    @settings(max_examples=100)
    @given(any_message, st.sampled_from([b"\0", b" ", b"\0\0", b"  ", b" \0", b"\0 \0"]))
    def test_padding_does_not_matter(self, message: Message, padding: bytes) -> None:
        padded = []
        texts = {tag for tag, vr in DICTIONARY.values() if vr in ("UI", "AE", "LO")}
        for part in elements_of(encode_command(message)):
            tag = struct.unpack_from("<H", part, 2)[0]
            padded.append(element(tag, part[8:].rstrip(b"\0 ") + padding) if tag in texts else part)
        decoded = decode_command(b"".join(padded))
        assert decoded.message == message
        assert set(codes(decoded)) <= {Code.COMMAND_PADDING, Code.GROUP_LENGTH_WRONG}

    @settings(max_examples=300)
    @given(st.binary(max_size=200))
    def test_any_bytes_are_decoded_or_malformed(self, raw: bytes) -> None:
        self.check_total(raw)

    @settings(max_examples=300)
    @given(st.data())
    def test_any_elements_are_decoded_or_malformed(self, data: st.DataObject) -> None:
        tags = st.sampled_from([0, 0x0100, *(tag for tag, _ in DICTIONARY.values()), 0x5010, 0x00080018])
        small = st.binary(max_size=6) | st.sampled_from([b"\x30\x00", b"\x01\x00", b"\x21\x80", b"\xff\x0f"])
        parts = data.draw(st.lists(st.builds(element, tags, small), max_size=12))
        parts.insert(0, us(0x0100, data.draw(st.sampled_from([0x0001, 0x0030, 0x8110, 0x0FFF, 0x7777]))))
        self.check_total(b"".join(parts))

    @given(any_message, st.data())
    def test_damaged_messages_are_decoded_or_malformed(self, message: Message, data: st.DataObject) -> None:
        raw = bytearray(encode_command(message))
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
        self.check_total(bytes(raw[: data.draw(st.integers(0, len(raw)))]))

    def check_total(self, raw: bytes) -> None:
        try:
            decoded = decode_command(memoryview(raw))
        except RemoteProtocolError:
            with pytest.raises(RemoteProtocolError, match=r"command (set|field)"):
                decode_command(raw)
            return
        assert len(codes(decoded)) == len(set(codes(decoded)))
        assert bool(decoded.missing) is (Code.COMMAND_ELEMENT_MISSING in codes(decoded)) or isinstance(
            decoded.message, UnknownCommand
        )
        assert decode_command(raw) == decoded


class TestExactBytes:
    def test_an_echo_request(self) -> None:
        assert encode_command(ECHO) == ECHO_RQ_BYTES
        assert decode_command(ECHO_RQ_BYTES) == Decoded(message=ECHO)

    def test_a_store_response(self) -> None:
        message = CStoreRSP(
            affected_sop_class_uid="1.2",
            message_id_being_responded_to=0x0102,
            status=0xB000,
            affected_sop_instance_uid="1.2.34",
        )
        assert encode_command(message) == STORE_RSP_BYTES
        assert decode_command(STORE_RSP_BYTES) == Decoded(message=message)

    def test_tags_are_two_numbers_each(self) -> None:
        message = NGetRQ(
            requested_sop_class_uid="1.2",
            message_id=1,
            requested_sop_instance_uid="1.3",
            attribute_identifier_list=(0x00100010, 0x00080018),
        )
        assert element(0x1005, bytes.fromhex("1000 1000 0800 1800")) in encode_command(message)

    def test_text_is_padded_with_a_space(self) -> None:
        move = CMoveRQ(affected_sop_class_uid="1.2", message_id=1, move_destination="PACS1")
        assert element(0x0600, b"PACS1 ") in encode_command(move)


class TestStrict:
    @pytest.mark.parametrize(
        "changes",
        [
            {"message_id": -1},
            {"message_id": 0x10000},
            {"message_id": "7"},
            {"message_id": 1.0},
            {"message_id": None},
            {"affected_sop_class_uid": ""},
            {"affected_sop_class_uid": "1.2 "},
            {"affected_sop_class_uid": "1.02"},
            {"affected_sop_class_uid": "1." * 32 + "1"},
            {"affected_sop_class_uid": "é"},
            {"affected_sop_class_uid": b"1.2"},
            {"affected_sop_class_uid": None},
            {"priority": 3},
            {"priority": -1},
            {"priority": 1.0},
            {"priority": None},
            {"command_data_set_type": 0x10000},
            {"command_data_set_type": 0x0101},
            {"move_originator_application_entity_title": "   "},
            {"move_originator_application_entity_title": "A" * 17},
            {"move_originator_application_entity_title": "A\\B"},
            {"move_originator_application_entity_title": "A\tB"},
            {"move_originator_application_entity_title": "Ä"},
            {"move_originator_application_entity_title": 5},
            {"move_originator_message_id": 70000},
        ],
        ids=str,
    )
    def test_of_a_store_request(self, changes: dict[str, Any]) -> None:
        good: dict[str, Any] = {"affected_sop_class_uid": "1.2", "message_id": 1, "affected_sop_instance_uid": "1.3"}
        assert decode_command(encode_command(CStoreRQ(**good))).message == CStoreRQ(**good)
        with pytest.raises(LocalProtocolError):
            encode_command(CStoreRQ(**good | changes))

    @pytest.mark.parametrize(
        "changes",
        [
            {"error_comment": "x" * 65},
            {"error_comment": "façade"},
            {"error_comment": "two\nlines"},
            {"offending_element": (-1,)},
            {"offending_element": (1 << 32,)},
            {"offending_element": ("a",)},
            {"offending_element": 5},
            {"affected_sop_class_uid": "x" * 129},
            {"affected_sop_class_uid": "\u20ac"},
            {"affected_sop_class_uid": 12},
            {"command_data_set_type": 0x0001},
            {"status": 0x10000},
        ],
        ids=str,
    )
    def test_of_a_store_response(self, changes: dict[str, Any]) -> None:
        good: dict[str, Any] = {"message_id_being_responded_to": 1, "status": 0}
        assert decode_command(encode_command(CStoreRSP(**good))).message == CStoreRSP(**good)
        with pytest.raises(LocalProtocolError):
            encode_command(CStoreRSP(**good | changes))

    def test_a_blank_destination_is_none(self) -> None:
        with pytest.raises(LocalProtocolError):
            encode_command(CMoveRQ(affected_sop_class_uid="1.2", message_id=1, move_destination=""))

    @pytest.mark.parametrize("message_id", [None, 7])
    def test_a_command_of_no_table_goes_out_element_by_element(self, message_id: int | None) -> None:
        """What answers a command that we do not know: its field with the highest bit set, and 0211."""
        elements = (Element(0x0800, b"\x01\x01"), Element(0x0900, b"\x11\x02"))
        unknown = UnknownCommand(0x8777, message_id, elements)
        encoded = encode_command(unknown)
        assert int.from_bytes(encoded[8:12], "little") == len(encoded) - 12
        assert decode_command(encoded).message == unknown

    def test_only_messages_are_encoded(self) -> None:
        with pytest.raises(LocalProtocolError, match="none of the 23"):
            encode_command("C-ECHO")  # type: ignore[arg-type]

    def test_a_cancel_has_three_elements(self) -> None:
        raw = encode_command(CCancelRQ(message_id_being_responded_to=3))
        assert raw == command(us(0x0100, 0x0FFF), us(0x0120, 3), us(0x0800, 0x0101))

    @pytest.mark.parametrize("raw", ["1.2.3 ", "1.2\0\0", " 1.2", "not a uid", "\xff" * 128])
    def test_a_response_echoes_any_uid(self, raw: str) -> None:
        encoded = encode_command(CEchoRSP(affected_sop_class_uid=raw, message_id_being_responded_to=1, status=0))
        assert element(0x0002, (raw + "\0" * (len(raw) % 2)).encode("latin-1")) in encoded

    def test_a_response_leaves_out_what_is_empty(self) -> None:
        plain = CEchoRSP(message_id_being_responded_to=1, status=0)
        empty = CEchoRSP(affected_sop_class_uid="", error_comment="", message_id_being_responded_to=1, status=0)
        assert encode_command(empty) == encode_command(plain)


class TestOtherElements:
    RETIRED = (Element(0x0001, b"\1\0\0\0"), Element(0x5010, b"AB"))

    def test_are_kept_and_sent_in_their_places(self) -> None:
        message = CEchoRQ(affected_sop_class_uid=CLASS_UID, message_id=7, other=self.RETIRED)
        raw = encode_command(message)
        decoded = decode_command(raw)
        assert decoded.message == message
        assert codes(decoded) == [Code.COMMAND_ELEMENT_UNKNOWN]
        assert [part[2:4] for part in elements_of(raw)] == sorted(
            (part[2:4] for part in elements_of(raw)), key=lambda tag: tag[::-1]
        )

    @pytest.mark.parametrize(
        "bad",
        [
            Element(0x0000, b"\0\0\0\0"),
            Element(0x0100, b"\0\0"),
            Element(0x0110, b"\0\0"),
            Element(0x5010, b"ABC"),
            Element(0x00080018, b"AB"),
            Element(-1, b""),
            RETIRED[0],
        ],
    )
    def test_must_not_clash_nor_leave_the_group(self, bad: Element) -> None:
        message = CEchoRQ(affected_sop_class_uid=CLASS_UID, message_id=7, other=(*self.RETIRED, bad))
        with pytest.raises(LocalProtocolError):
            encode_command(message)

    def test_of_other_groups_and_of_other_messages_are_kept(self) -> None:
        extra = [element(0x1031, b"\5\0"), element(0x5010, b"AB"), element(0x00080018, b"1.2\0")]
        decoded = decode_command(command(*elements_of(echo_set())[1:], *extra[:2]) + extra[2])
        assert codes(decoded) == [Code.COMMAND_ELEMENT_UNKNOWN]
        assert decoded.message.other == (  # type: ignore[union-attr]
            Element(0x1031, b"\5\0"),
            Element(0x5010, b"AB"),
            Element(0x00080018, b"1.2\0"),
        )


class TestTolerant:
    def test_no_group_length(self) -> None:
        decoded = decode_command(ECHO_RQ_BYTES[12:])
        assert decoded.message == ECHO
        assert codes(decoded) == [Code.GROUP_LENGTH_MISSING]

    @pytest.mark.parametrize(
        "length", [b"\0\0\0\0", b"\x39\0\0\0", b"\xff\xff\xff\xff", b"\x38\0", b"", b"\x38\0\0\0\0\0"]
    )
    def test_wrong_group_length(self, length: bytes) -> None:
        decoded = decode_command(element(0, length) + ECHO_RQ_BYTES[12:])
        assert decoded.message == ECHO
        assert codes(decoded) == [Code.GROUP_LENGTH_WRONG]

    def test_of_repeated_elements_the_last_counts(self) -> None:
        decoded = decode_command(echo_set(message_id=us(0x0110, 5) + us(0x0110, 7)))
        assert decoded.message == ECHO
        assert codes(decoded) == [Code.COMMAND_ELEMENT_REPEATED]

    @pytest.mark.parametrize(
        ("raw", "is_odd"),
        [
            (b"1.2.840.10008.1.1\0", False),
            (b"1.2.840.10008.1.1", True),
            (b"1.2.840.10008.1.1 ", True),
            (b"1.2.840.10008.1.1\0\0\0", True),
            (b" 1.2.840.10008.1.1", True),
        ],
    )
    def test_padded_uids_are_normal_and_their_raw_form_is_kept(self, raw: bytes, is_odd: bool) -> None:
        decoded = decode_command(echo_set(uid=raw))
        assert decoded.message == ECHO
        assert codes(decoded) == ([Code.COMMAND_PADDING] if is_odd else [])
        assert decoded.raw_uids == ((("affected_sop_class_uid", raw.decode()),) if is_odd else ())
        assert decoded.raw_sop_class_uid == (raw.decode() if is_odd else CLASS_UID)
        assert decoded.raw_sop_instance_uid is None

    def test_an_even_uid_with_a_nul_too_many_is_told(self) -> None:
        assert codes(decode_command(echo_set(uid=b"1.2.34\0\0"))) == [Code.COMMAND_PADDING]
        assert codes(decode_command(echo_set(uid=b"1.2.34"))) == []

    def test_raw_instance_uids_too(self) -> None:
        raw = command(
            element(0x0003, b"1.2\0"),
            us(0x0100, 0x0110),
            us(0x0110, 1),
            us(0x0800, 0x0101),
            element(0x1001, b"1.3 "),
        )
        decoded = decode_command(raw)
        assert (decoded.raw_sop_class_uid, decoded.raw_sop_instance_uid) == ("1.2", "1.3 ")

    @pytest.mark.parametrize(
        ("raw", "is_odd"),
        [(b"PACS", False), (b"PACS            ", False), (b" PACS ", False), (b"PACS\0\0", True), (b"PACS ", True)],
    )
    def test_titles(self, raw: bytes, is_odd: bool) -> None:
        decoded = decode_command(self.move_set(element(0x0600, raw)))
        assert decoded.message == CMoveRQ(affected_sop_class_uid="1.2", message_id=1, move_destination="PACS")
        assert codes(decoded) == ([Code.COMMAND_PADDING] if is_odd else [])

    def move_set(self, *parts: bytes, priority: bytes = us(0x0700, 0)) -> bytes:
        return command(element(0x0002, b"1.2\0"), us(0x0100, 0x0021), us(0x0110, 1), *parts, priority, us(0x0800, 1))

    @pytest.mark.parametrize("blank", [b"", b"  ", b"\0\0"])
    def test_a_blank_destination_is_missing(self, blank: bytes) -> None:
        decoded = decode_command(self.move_set(element(0x0600, blank)))
        assert decoded.missing == {"move_destination"}
        assert codes(decoded) == [Code.COMMAND_ELEMENT_MISSING]

    @pytest.mark.parametrize(
        ("priority", "code"),
        [
            (b"", Code.PRIORITY_MISSING),
            (us(0x0700, 3), Code.PRIORITY_INVALID),
            (element(0x0700, b""), Code.PRIORITY_INVALID),
            (element(0x0700, b"\0\0\0\0"), Code.PRIORITY_INVALID),
        ],
    )
    def test_medium_stands_in_for_a_bad_priority(self, priority: bytes, code: Code) -> None:
        decoded = decode_command(self.move_set(element(0x0600, b"PACS"), priority=priority))
        assert isinstance(decoded.message, CMoveRQ)
        assert decoded.message.priority is Priority.MEDIUM
        assert codes(decoded) == [code]
        assert not decoded.missing

    def test_priorities_are_read(self) -> None:
        raw = self.move_set(element(0x0600, b"PACS"), priority=us(0x0700, 2))
        assert decode_command(raw).message.priority is Priority.LOW  # type: ignore[union-attr]

    def test_mandatory_elements_that_are_missing_or_unreadable(self) -> None:
        raw = command(us(0x0100, 0x0030), element(0x0110, b"\1\0\0\0"))
        decoded = decode_command(raw)
        assert decoded.missing == {"affected_sop_class_uid", "message_id", "command_data_set_type"}
        assert codes(decoded) == [Code.COMMAND_ELEMENT_MISSING]
        assert decoded.deviations[0].detail == "affected_sop_class_uid, message_id, command_data_set_type"
        assert decoded.message == CEchoRQ(
            affected_sop_class_uid="", message_id=0, other=(Element(0x0110, b"\1\0\0\0"),)
        )

    def test_a_missing_data_set_type_is_what_is_usual_for_the_message(self) -> None:
        find = command(element(0x0002, b"1.2\0"), us(0x0100, 0x0020), us(0x0110, 1), us(0x0700, 0))
        assert decode_command(find).message == CFindRQ(affected_sop_class_uid="1.2", message_id=1)

    def test_optional_elements_that_are_unreadable_are_ignored_and_kept(self) -> None:
        raw = command(
            element(0x0002, b""),
            us(0x0100, 0x8150),
            us(0x0120, 1),
            us(0x0800, 0x0101),
            us(0x0900, 0x0110),
            element(0x0901, b"\0\0"),
            element(0x0903, b"\1\0\0\0"),
        )
        decoded = decode_command(raw)
        assert codes(decoded) == [Code.COMMAND_ELEMENT_UNREADABLE]
        assert decoded.message == NDeleteRSP(
            message_id_being_responded_to=1,
            status=0x0110,
            other=(Element(0x0002, b""), Element(0x0901, b"\0\0"), Element(0x0903, b"\1\0\0\0")),
        )

    def test_a_create_request_with_an_empty_instance_uid_has_none(self) -> None:
        raw = command(element(0x0002, b"1.2\0"), us(0x0100, 0x0140), us(0x0110, 1), us(0x0800, 1), element(0x1000, b""))
        message = decode_command(raw).message
        assert isinstance(message, NCreateRQ)
        assert message.sop_instance_uid is None

    @pytest.mark.parametrize("kind", [0x0000, 0x0001, 0x0102, 0x0202, 0xFEFE])
    def test_usual_data_set_types(self, kind: int) -> None:
        raw = encode_command(CFindRSP(message_id_being_responded_to=1, status=0xFF00, command_data_set_type=kind))
        assert codes(decode_command(raw)) == []

    def test_an_unusual_data_set_type_means_a_data_set(self) -> None:
        raw = encode_command(CFindRSP(message_id_being_responded_to=1, status=0xFF00, command_data_set_type=0x0100))
        decoded = decode_command(raw)
        assert codes(decoded) == [Code.DATA_SET_TYPE_UNUSUAL]
        assert decoded.message.has_data_set

    def test_a_data_set_where_none_may_be(self) -> None:
        decoded = decode_command(echo_set(kind=0x0001))
        assert codes(decoded) == [Code.DATA_SET_FORBIDDEN]
        assert decoded.message.has_data_set

    def test_no_data_set_where_one_must_be(self) -> None:
        good = encode_command(NSetRQ(requested_sop_class_uid="1.2", message_id=1, requested_sop_instance_uid="1.3"))
        decoded = decode_command(good.replace(us(0x0800, 1), us(0x0800, 0x0101)))
        assert codes(decoded) == [Code.DATA_SET_MISSING]
        assert not decoded.message.has_data_set

    def test_details_are_safe_to_show(self) -> None:
        detail = decode_command(echo_set(uid=b"\x1b[31m\n1.2  ")).deviations[0].detail
        assert detail.isprintable()
        assert detail.isascii()


class TestUnknown:
    def test_an_unknown_command_is_kept_whole(self) -> None:
        raw = command(element(0x0002, b"1.2 "), us(0x0100, 0x0FF0), us(0x0110, 9), us(0x0800, 0x0101))
        decoded = decode_command(raw)
        assert decoded.message == UnknownCommand(0x0FF0, 9, (Element(0x0002, b"1.2 "), Element(0x0800, b"\x01\x01")))
        assert codes(decoded) == [Code.COMMAND_UNKNOWN]
        assert not decoded.missing
        assert decoded.raw_sop_class_uid == "1.2 "

    @pytest.mark.parametrize("message_id", [b"", element(0x0110, b"\1")])
    def test_without_readable_message_id(self, message_id: bytes) -> None:
        decoded = decode_command(command(us(0x0100, 0x0FF0), message_id))
        assert isinstance(decoded.message, UnknownCommand)
        assert decoded.message.message_id is None
        assert decoded.missing == {"message_id"}
        assert not decode_command(command(us(0x0100, 0x8FF0), message_id)).missing


class TestMalformed:
    @pytest.mark.parametrize(
        "raw",
        [
            b"",
            b"\0" * 7,
            ECHO_RQ_BYTES[:-1],
            ECHO_RQ_BYTES + b"\0\0",
            echo_set()[:-10] + struct.pack("<HHL", 0, 0x0800, 0xFFFFFFFF) + b"\1\1",
            command(us(0x0110, 1)),
            command(element(0x0100, b"\x30")),
            command(element(0x0100, b"\x30\0\0\0")),
        ],
    )
    def test_only_what_cannot_be_walked_or_names_no_command(self, raw: bytes) -> None:
        with pytest.raises(RemoteProtocolError) as caught:
            decode_command(raw)
        assert caught.value.code is Code.COMMAND_MALFORMED
