"""Fragments both ways (PS3.8 Annex E), and what an assembler makes of peers that cut otherwise."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from itertools import chain
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sansdimse.deviations import Code
from sansdimse.dimse.command import decode_command, encode_command
from sansdimse.dimse.fragments import (
    COMMAND,
    LAST,
    Assembler,
    CommandReceived,
    DataReceived,
    Fragmenter,
    command_pdus,
    data_set_pdus,
)
from sansdimse.dimse.messages import CEchoRQ, CEchoRSP, CFindRQ, CStoreRQ, CStoreRSP
from sansdimse.errors import LocalProtocolError, RemoteProtocolError
from sansdimse.profile import DEFAULT, LENIENT, Profile
from sansdimse.ul.reader import PDVPiece

ECHO = CEchoRQ(affected_sop_class_uid="1.2.840.10008.1.1", message_id=1)
STORE = CStoreRQ(affected_sop_class_uid="1.2.3", message_id=2, affected_sop_instance_uid="1.2.3.4")
FIND = CFindRQ(affected_sop_class_uid="1.2.3", message_id=3)

cuts = st.lists(st.integers(0, 400), max_size=12)
maxima = st.integers(8, 40) | st.integers(41, 300) | st.just(128 * 1024)


def assembler(**options: Any) -> Assembler:
    defaults: dict[str, Any] = {"max_command": 4096, "max_fragments": 10_000}
    return Assembler(**defaults | options)


def pdv(
    control: int, data: bytes = b"", *, context_id: int = 1, first_in_pdu: bool = True, cut: int | None = None
) -> list[PDVPiece]:
    """One PDV as one piece, or cut in two."""
    parts = [data] if cut is None else [data[:cut], data[cut:]]
    return [
        PDVPiece(
            context_id=context_id,
            control=control,
            data=part,
            length=len(data),
            starts=index == 0,
            ends=index == len(parts) - 1,
            first_in_pdu=first_in_pdu,
        )
        for index, part in enumerate(parts)
    ]


def command_pdv(message: Any, **options: Any) -> list[PDVPiece]:
    return pdv(COMMAND | LAST, encode_command(message), **options)


def feed(to: Assembler, *pieces: list[PDVPiece]) -> list[CommandReceived | DataReceived]:
    return [got for piece in chain.from_iterable(pieces) if (got := to.receive(piece)) is not None]


def codes(of: Assembler) -> list[Code]:
    return [deviation.code for deviation in of.take_deviations()]


def slices(data: bytes, at: list[int]) -> list[bytes]:
    """The data, cut at these places (sorted, within it)."""
    places = sorted(min(place, len(data)) for place in at)
    return [data[start:end] for start, end in zip([0, *places], [*places, len(data)], strict=True)]


def pushed(data: bytes, maximum: int, at: list[int]) -> list[bytes]:
    """The PDUs of a data set pushed in these slices."""
    fragmenter = Fragmenter(1, maximum)
    *parts, last = slices(data, at)
    pdus = [pdu for part in parts for pdu in fragmenter.push(part, is_last=False)]
    pdus += fragmenter.push(memoryview(last), is_last=True)
    assert fragmenter.is_finished
    assert fragmenter.bytes_held == 0
    return [b"".join(pdu) for pdu in pdus]


def pieces_of(pdus: list[bytes], at: list[int]) -> Iterator[PDVPiece]:
    """What a reader makes of PDUs with one PDV each, cut anyhow."""
    for pdu in pdus:
        kind, reserved, length, pdv_length, context_id, control = struct.unpack_from(">BBLLBB", pdu)
        assert (kind, reserved, length, pdv_length) == (4, 0, len(pdu) - 6, len(pdu) - 10)
        parts = slices(pdu[12:], at)
        for index, part in enumerate(parts):
            yield PDVPiece(context_id, control, part, len(pdu) - 12, index == 0, index == len(parts) - 1, True)


class TestFragmenter:
    @settings(max_examples=200)
    @given(st.binary(max_size=300).map(lambda data: data[: len(data) // 2 * 2]), maxima, cuts)
    def test_full_even_fragments_whatever_the_cuts(self, data: bytes, maximum: int, at: list[int]) -> None:
        pdus = pushed(data, maximum, at)
        room = (maximum - 6) // 2 * 2
        sizes = [len(pdu) - 12 for pdu in pdus]
        assert sizes[:-1] == [room] * (len(sizes) - 1)
        assert sizes[-1] % 2 == 0
        assert sizes[-1] <= room
        assert (sizes[-1] == 0) == (data == b"")
        assert [pdu[11] for pdu in pdus] == [0] * (len(pdus) - 1) + [LAST]
        assert b"".join(pdu[12:] for pdu in pdus) == data
        assert pdus == pushed(data, maximum, [])

    @settings(max_examples=200)
    @given(st.binary(max_size=150).map(lambda half: half + half), maxima, maxima, cuts, cuts)
    def test_the_assembler_gives_the_bytes_back(
        self, data: bytes, maximum: int, command_maximum: int, at: list[int], received_at: list[int]
    ) -> None:
        pdus = command_pdus(1, encode_command(STORE), command_maximum) + pushed(data, maximum, at)
        assert all(len(pdu) - 6 <= max(maximum, command_maximum) for pdu in pdus)
        ours = assembler()
        received = [got for piece in pieces_of(pdus, received_at) if (got := ours.receive(piece)) is not None]
        assert received[0] == CommandReceived(1, decode_command(encode_command(STORE)))
        assert b"".join(got.data for got in received[1:] if isinstance(got, DataReceived)) == data
        assert [got.is_last for got in received[1:] if isinstance(got, DataReceived)][-1:] == [True]
        assert ours.idle
        assert codes(ours) == ([] if data else [Code.FRAGMENT_EMPTY])

    def test_exact_bytes(self) -> None:
        fragmenter = Fragmenter(3, 10)
        assert fragmenter.push(b"abcdef", is_last=False) == [[bytes.fromhex("0400 0000000a 00000006 03 00"), b"abcd"]]
        assert fragmenter.bytes_held == 2
        assert fragmenter.push(b"", is_last=True) == [[bytes.fromhex("0400 00000008 00000004 03 02"), b"ef"]]

    def test_an_empty_data_set_is_one_empty_last_fragment(self) -> None:
        assert Fragmenter(3, 10).push(b"", is_last=True) == [[bytes.fromhex("0400 00000006 00000002 03 02")]]

    def test_large_pieces_are_not_copied(self) -> None:
        source = bytes(40_000)
        fragmenter = Fragmenter(1, 16_384)
        pdus = fragmenter.push(source, is_last=False) + fragmenter.push(source, is_last=True)
        views = [buffer for pdu in pdus for buffer in pdu[1:]]
        assert all(isinstance(view, memoryview) and view.obj is source for view in views)
        assert sum(map(len, views)) == 80_000

    def test_single_bytes_are_joined(self) -> None:
        fragmenter = Fragmenter(1, 128 * 1024)
        data = bytes(index % 251 for index in range(60_000))
        for index in range(len(data)):
            assert fragmenter.push(data[index : index + 1], is_last=False) == []
        (pdu,) = fragmenter.push(b"", is_last=True)
        assert len(pdu) < 40
        assert b"".join(pdu[1:]) == data

    def test_views_of_wider_items_count_as_bytes(self) -> None:
        (pdu,) = Fragmenter(1, 100).push(memoryview(b"abcdefgh").cast("I"), is_last=True)
        assert b"".join(pdu)[12:] == b"abcdefgh"

    def test_an_odd_data_set_is_refused_and_nothing_changes(self) -> None:
        fragmenter = Fragmenter(1, 10)
        first = fragmenter.push(b"abcde", is_last=False)
        with pytest.raises(LocalProtocolError):
            fragmenter.push(b"fghijklm", is_last=True)
        assert fragmenter.bytes_held == 1
        assert not fragmenter.is_finished
        pdus = first + fragmenter.push(b"f", is_last=True)
        assert [b"".join(pdu)[12:] for pdu in pdus] == [b"abcd", b"ef"]

    def test_nothing_follows_the_end(self) -> None:
        fragmenter = Fragmenter(1, 10)
        fragmenter.push(b"ab", is_last=True)
        with pytest.raises(LocalProtocolError):
            fragmenter.push(b"", is_last=True)
        with pytest.raises(LocalProtocolError):
            fragmenter.finish_early()

    @pytest.mark.parametrize(
        ("pushes", "rest"),
        [([], b""), ([b"a"], b""), ([b"ab"], b"ab"), ([b"abc"], b"ab"), ([b"ab", b"c"], b"ab"), ([b"abcdef"], b"ef")],
    )
    def test_an_early_end(self, pushes: list[bytes], rest: bytes) -> None:
        fragmenter = Fragmenter(1, 10)
        for piece in pushes:
            fragmenter.push(piece, is_last=False)
        (pdu,) = fragmenter.finish_early()
        assert b"".join(pdu) == struct.pack(">BBLLBB", 4, 0, 6 + len(rest), 2 + len(rest), 1, LAST) + rest
        assert all(pdu)
        assert fragmenter.is_finished

    @pytest.mark.parametrize(("context_id", "maximum"), [(1, 7), (1, 0), (1, -1), (0, 100), (256, 100)])
    def test_what_leaves_no_room(self, context_id: int, maximum: int) -> None:
        with pytest.raises(LocalProtocolError):
            Fragmenter(context_id, maximum)
        for pdus in (command_pdus, data_set_pdus):
            with pytest.raises(LocalProtocolError):
                pdus(context_id, b"ab", maximum)

    @pytest.mark.parametrize("content", [b"", b"abc"])
    def test_what_is_no_command_set_and_no_data_set(self, content: bytes) -> None:
        with pytest.raises(LocalProtocolError, match=f"a command set of {len(content)} bytes"):
            command_pdus(1, content, 100)
        with pytest.raises(LocalProtocolError, match=f"a data set of {len(content)} bytes"):
            data_set_pdus(1, content, 100)

    @given(st.binary(min_size=1, max_size=300), maxima)
    def test_a_whole_data_set_is_cut_as_one_that_is_pushed(self, half: bytes, maximum: int) -> None:
        content = half + half
        assert b"".join(data_set_pdus(5, content, maximum)) == b"".join(
            chain.from_iterable(Fragmenter(5, maximum).push(content, True))
        )

    def test_commands_are_cut_too(self) -> None:
        assert command_pdus(5, b"abcdef", 11) == [
            bytes.fromhex("0400 0000000a 00000006 05 01") + b"abcd",
            bytes.fromhex("0400 00000008 00000004 05 03") + b"ef",
        ]
        assert [pdu[11] for pdu in command_pdus(5, b"abcdefgh", 10)] == [COMMAND, COMMAND | LAST]


class TestAssembler:
    def test_a_message_without_data_set(self) -> None:
        ours = assembler()
        assert ours.idle
        assert feed(ours, command_pdv(ECHO)) == [CommandReceived(1, decode_command(encode_command(ECHO)))]
        assert ours.idle
        assert ours.take_deviations() == ()

    def test_data_pass_through_uncopied(self) -> None:
        ours = assembler()
        feed(ours, command_pdv(STORE))
        assert not ours.idle
        data = memoryview(b"abcdef")
        piece = PDVPiece(1, 0, data, 6, True, True, True)
        got = ours.receive(piece)
        assert got == DataReceived(1, data, False)
        assert isinstance(got, DataReceived)
        assert got.data is data
        assert feed(ours, pdv(LAST, b"ghij", cut=2)) == [DataReceived(1, b"gh", False), DataReceived(1, b"ij", True)]
        assert ours.idle

    @given(st.integers(0, 66))
    def test_a_command_cut_anywhere(self, cut: int) -> None:
        ours = assembler()
        raw = encode_command(ECHO)
        first, second = pdv(COMMAND, raw[:cut]), pdv(COMMAND | LAST, raw[cut:], cut=1)
        assert feed(ours, first) == []
        assert not ours.idle
        assert feed(ours, second) == [CommandReceived(1, decode_command(raw))]

    def test_the_last_flag_counts_when_its_pdv_ends(self) -> None:
        ours = assembler()
        first, second = command_pdv(ECHO, cut=10)
        assert ours.receive(first) is None
        assert ours.receive(second) is not None

    def test_reserved_bits_are_not_checked(self) -> None:
        ours = assembler()
        assert feed(ours, pdv(0xFF, encode_command(STORE)), pdv(0xFE, b"ab"))[1] == DataReceived(1, b"ab", True)

    def test_empty_fragments_are_taken_and_told_once(self) -> None:
        ours = assembler()
        empty = pdv(COMMAND)
        received = feed(ours, empty, command_pdv(STORE), pdv(0), pdv(0, b"ab"), pdv(0), pdv(LAST))
        assert received[1:] == [DataReceived(1, b"ab", False), DataReceived(1, b"", True)]
        assert codes(ours) == [Code.FRAGMENT_EMPTY]
        assert codes(ours) == []

    def test_an_empty_command_set_is_malformed(self) -> None:
        self.assert_fault(Code.COMMAND_MALFORMED, pdv(COMMAND | LAST))

    def test_odd_fragments_are_taken_and_told_once_a_message(self) -> None:
        ours = assembler()
        feed(ours, command_pdv(STORE), pdv(0, b"abc", cut=2), pdv(0, b"d"), pdv(LAST, b"ef"))
        assert codes(ours) == [Code.FRAGMENT_ODD]
        feed(ours, command_pdv(STORE), pdv(LAST, b"abc"))
        assert codes(ours) == [Code.FRAGMENT_ODD]

    def test_messages_that_share_a_pdu_are_served_and_told(self) -> None:
        ours = assembler()
        assert len(feed(ours, command_pdv(ECHO), command_pdv(ECHO, first_in_pdu=False))) == 2
        assert codes(ours) == [Code.MESSAGES_SHARE_PDU]

    def test_command_and_data_may_share_one(self) -> None:
        ours = assembler()
        assert len(feed(ours, command_pdv(STORE), pdv(LAST, b"ab", first_in_pdu=False))) == 2
        assert codes(ours) == []

    def assert_fault(self, code: Code, *pieces: list[PDVPiece], **options: Any) -> None:
        *before, last = pieces
        ours = assembler(**options)
        feed(ours, *before)
        with pytest.raises(RemoteProtocolError) as caught:
            feed(ours, last)
        assert caught.value.code is code

    def test_a_command_of_two_contexts(self) -> None:
        self.assert_fault(Code.COMMAND_MALFORMED, pdv(COMMAND, b"\0\0"), pdv(COMMAND, b"\0\0", context_id=3))

    @pytest.mark.parametrize("data", [[], pdv(0, b"ab")])
    def test_a_command_before_the_data_set_is_complete(self, data: list[PDVPiece]) -> None:
        for profile in (DEFAULT, LENIENT):
            self.assert_fault(Code.DATA_SET_INTERRUPTED, command_pdv(FIND), data, command_pdv(ECHO), profile=profile)

    @pytest.mark.parametrize("before", [[], command_pdv(ECHO), [*command_pdv(FIND), *pdv(LAST, b"ab")]])
    def test_data_that_no_command_announced(self, before: list[PDVPiece]) -> None:
        self.assert_fault(Code.DATA_SET_UNANNOUNCED, before, pdv(LAST, b"ab"))

        ours = assembler(profile=LENIENT)
        feed(ours, before)
        assert feed(ours, pdv(0, b"ab", cut=1), pdv(LAST, b"cd")) == []
        assert codes(ours) == [Code.DATA_SET_UNANNOUNCED]
        assert ours.idle
        assert len(feed(ours, command_pdv(ECHO))) == 1

    def test_data_within_a_command(self) -> None:
        raw = encode_command(ECHO)
        self.assert_fault(Code.DATA_SET_UNANNOUNCED, pdv(COMMAND, raw[:10]), pdv(LAST, b"ab"))
        ours = assembler(profile=LENIENT)
        assert feed(ours, pdv(COMMAND, raw[:10]), pdv(LAST, b"ab"), pdv(COMMAND | LAST, raw[10:])) == [
            CommandReceived(1, decode_command(raw))
        ]

    def test_data_on_another_context(self) -> None:
        self.assert_fault(Code.DATA_SET_CONTEXT, command_pdv(FIND), pdv(LAST, b"ab", context_id=3))
        ours = assembler(profile=LENIENT)
        received = feed(ours, command_pdv(FIND), pdv(LAST, b"ab", context_id=3))
        assert received[1] == DataReceived(1, b"ab", True)
        assert codes(ours) == [Code.DATA_SET_CONTEXT]

    @pytest.mark.parametrize("cut", [None, 5])
    def test_a_command_set_that_is_too_long(self, cut: int | None) -> None:
        raw = encode_command(ECHO)
        assert len(feed(assembler(max_command=len(raw)), pdv(COMMAND | LAST, raw, cut=cut))) == 1
        self.assert_fault(Code.COMMAND_TOO_LONG, pdv(COMMAND | LAST, raw, cut=cut), max_command=len(raw) - 1)

    def test_a_data_set_that_is_too_long(self) -> None:
        begun, end = [*command_pdv(FIND), *pdv(0, b"abcd")], pdv(LAST, b"ef", cut=1)
        assert len(feed(assembler(max_data_set=6), begun, end, begun, end)) == 8
        self.assert_fault(Code.DATA_SET_TOO_LONG, begun, end[:1], max_data_set=5)

    def test_the_limit_may_depend_on_the_message(self) -> None:
        ours = assembler(max_data_set=2)
        feed(ours, command_pdv(STORE))
        ours.max_data_set = None
        assert len(feed(ours, pdv(LAST, b"abcd"))) == 1

    def test_too_many_fragments(self) -> None:
        message = [*command_pdv(FIND), *pdv(0, b"a", cut=0), *pdv(LAST, b"b")]
        assert len(feed(assembler(max_fragments=3), message, message)) == 6
        self.assert_fault(Code.FRAGMENTS_TOO_MANY, message, max_fragments=2)
        self.assert_fault(Code.FRAGMENTS_TOO_MANY, *[pdv(COMMAND)] * 3, max_fragments=2)
        self.assert_fault(Code.FRAGMENTS_TOO_MANY, *[pdv(LAST, b"ab")] * 3, max_fragments=2, profile=LENIENT)

    def test_a_malformed_command(self) -> None:
        self.assert_fault(Code.COMMAND_MALFORMED, pdv(COMMAND | LAST, b"\0" * 7))

    def test_an_unknown_command_may_have_a_data_set(self) -> None:
        raw = encode_command(FIND).replace(b"\x02\0\0\0\x20\0", b"\x02\0\0\0\xf0\x0f")
        ours = assembler()
        command, data = feed(ours, pdv(COMMAND | LAST, raw), pdv(LAST, b"ab"))
        assert isinstance(command, CommandReceived)
        assert command.decoded.message.has_data_set
        assert data == DataReceived(1, b"ab", True)


class TestDoubtfulDataSet:
    """One announced by a message that may not have one: taken if it comes, not waited for (QUIRKS 42)."""

    ANNOUNCED = encode_command(CEchoRSP(message_id_being_responded_to=1, status=0)).replace(b"\x01\x01", b"\0\0")

    def test_it_does_not_come(self) -> None:
        ours = assembler()
        assert len(feed(ours, pdv(COMMAND | LAST, self.ANNOUNCED))) == 1
        assert ours.idle
        assert len(feed(ours, command_pdv(CStoreRSP(message_id_being_responded_to=1, status=0)))) == 1
        assert ours.idle

    def test_it_comes(self) -> None:
        ours = assembler()
        received = feed(ours, pdv(COMMAND | LAST, self.ANNOUNCED), pdv(0, b"ab"))
        assert received[1] == DataReceived(1, b"ab", False)
        assert not ours.idle
        with pytest.raises(RemoteProtocolError) as caught:
            feed(ours, command_pdv(ECHO))
        assert caught.value.code is Code.DATA_SET_INTERRUPTED


@settings(max_examples=200)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 3),
            st.sampled_from([b"", b"a", b"ab", encode_command(ECHO), encode_command(FIND), encode_command(STORE)[:9]]),
            st.sampled_from([1, 1, 1, 3]),
            st.booleans(),
            st.sampled_from([None, 1]),
        ),
        max_size=12,
    ),
    st.sampled_from([DEFAULT, LENIENT]),
)
def test_anything_is_taken_or_is_a_fault_and_cuts_do_not_matter(
    pdvs: list[tuple[int, bytes, int, bool, int | None]], profile: Profile
) -> None:
    def outcome(*, cut: bool) -> tuple[list[Any], list[Code], Code | None]:
        ours = assembler(profile=profile, max_fragments=8, max_data_set=20)
        told: list[Any] = []
        for control, data, context_id, first_in_pdu, at in pdvs:
            pieces = pdv(control, data, context_id=context_id, first_in_pdu=first_in_pdu, cut=at if cut else None)
            try:
                for got in feed(ours, pieces):
                    if isinstance(got, DataReceived) and told and isinstance(told[-1], DataReceived):
                        last = told.pop()
                        told.append(DataReceived(got.context_id, bytes(last.data) + bytes(got.data), got.is_last))
                    else:
                        told.append(got)
            except RemoteProtocolError as error:
                return told, codes(ours), error.code
        return told, codes(ours), None

    assert outcome(cut=True) == outcome(cut=False)
