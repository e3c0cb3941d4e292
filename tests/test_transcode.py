"""Every value the same in every encoding, and malformed data sets refused."""

from __future__ import annotations

import struct
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sansdimse.transcode import (
    EXPLICIT_BIG,
    EXPLICIT_LITTLE,
    IMPLICIT_LITTLE,
    MAX_DEPTH,
    SHORT_LENGTH_VRS,
    UNDEFINED_LENGTH,
    WORD_SIZES,
    DatasetError,
    Encoding,
    read_element_header,
    tag_text,
    transcode,
)

ENCODINGS = (IMPLICIT_LITTLE, EXPLICIT_LITTLE, EXPLICIT_BIG)
VRS = sorted(SHORT_LENGTH_VRS | set(WORD_SIZES) | {"OB", "UC", "UN", "UR", "UT"})
# One made-up standard element for each VR, so that Implicit VR finds its VR again.
TAGS = {0x00400100 + number: vr for number, vr in enumerate(VRS)}
DICTIONARY: dict[int, str] = {
    **TAGS,
    0x00081140: "SQ",
    0x00280103: "US",
    0x00280106: "US or SS",
    0x00409211: "US or SS",
    0x7FE00010: "OB or OW",
}


def vr_of(tag: int, private_creator: str | None) -> str | None:
    if private_creator is not None:
        return {("ACME", 0x00091001): "FD"}.get((private_creator, tag))
    return DICTIONARY.get(tag)


def element(encoding: Encoding, tag: int, vr: str, value: bytes, length: int | None = None) -> bytes:
    """Written apart from the module under test: PS3.5 Tables 7.1-1 to 7.1-3."""
    order = encoding.order
    head = struct.pack(order + "HH", tag >> 16, tag & 0xFFFF)
    length = len(value) if length is None else length
    if encoding.implicit or not vr:
        return head + struct.pack(order + "I", length) + value
    if vr in ("OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"):
        return head + vr.encode() + b"\0\0" + struct.pack(order + "I", length) + value
    return head + vr.encode() + struct.pack(order + "H", length) + value


def sequence(encoding: Encoding, tag: int, items: list[bytes], delimited: bool, vr: str = "SQ") -> bytes:
    undefined = UNDEFINED_LENGTH
    if not delimited:
        return element(encoding, tag, vr, b"".join(element(encoding, 0xFFFEE000, "", item) for item in items))
    end = element(encoding, 0xFFFEE00D, "", b"")
    body = b"".join(element(encoding, 0xFFFEE000, "", item + end, undefined) for item in items)
    return element(encoding, tag, vr, body + element(encoding, 0xFFFEE0DD, "", b""), undefined)


def swapped(value: bytes, size: int) -> bytes:
    return b"".join(value[at : at + size][::-1] for at in range(0, len(value), size))


def value_in(encoding: Encoding, vr: str, value: bytes) -> bytes:
    return swapped(value, WORD_SIZES[vr]) if encoding.big and vr in WORD_SIZES else value


Node = tuple[int, object]  # (tag, little endian value, or (items, delimited))
leaves = st.sampled_from(sorted(TAGS)).flatmap(
    lambda tag: st.tuples(st.just(tag), st.binary(max_size=4).map(lambda value: value * 8))
)


@st.composite
def datasets(draw: st.DrawFn, depth: int = 2) -> list[Node]:
    nodes: list[Node] = draw(st.lists(leaves, max_size=4))
    if depth and draw(st.booleans()):
        items = draw(st.lists(datasets(depth - 1), max_size=3))
        nodes.append((0x00081140, (items, draw(st.booleans()))))
    return nodes


def written(encoding: Encoding, nodes: list[Node]) -> bytes:
    out = b""
    for tag, value in nodes:
        if isinstance(value, tuple):
            items, delimited = value
            out += sequence(encoding, tag, [written(encoding, item) for item in items], delimited)
        else:
            assert isinstance(value, bytes)
            out += element(encoding, tag, TAGS[tag], value_in(encoding, TAGS[tag], value))
    return out


@settings(max_examples=60, deadline=None)
@given(datasets(), st.sampled_from(ENCODINGS), st.sampled_from(ENCODINGS))
def test_the_same_data_set_in_every_encoding(nodes: list[Node], source: Encoding, target: Encoding) -> None:
    assert transcode(written(source, nodes), source, target, vr_of) == written(target, nodes)


@settings(max_examples=200, deadline=None)
@given(st.data(), datasets(), st.sampled_from(ENCODINGS), st.sampled_from(ENCODINGS))
def test_any_bytes_convert_or_are_refused(data: st.DataObject, nodes: list[Node], s: Encoding, t: Encoding) -> None:
    whole = bytearray(written(s, nodes))
    for at in data.draw(st.lists(st.integers(0, max(len(whole) - 1, 0)), max_size=4)):
        if whole:
            whole[at] = data.draw(st.integers(0, 255))
    cut = bytes(whole[: data.draw(st.integers(0, len(whole)))])
    for broken in (bytes(whole), cut, data.draw(st.binary(max_size=40))):
        with suppress(DatasetError):
            assert isinstance(transcode(broken, s, t, vr_of), bytes)


@pytest.mark.parametrize("source", ENCODINGS)
def test_every_cut_within_an_element_is_refused(source: Encoding) -> None:
    nodes: list[Node] = [(0x00081140, ([[(0x00400100, b"abcd")]], True)), (0x00400101, b"efgh")]
    whole = written(source, nodes)
    boundary = len(written(source, nodes[:1]))
    for end in range(1, len(whole)):
        if end != boundary:
            with pytest.raises(DatasetError):
                transcode(whole[:end], source, IMPLICIT_LITTLE, vr_of)


def test_group_lengths_are_left_out() -> None:
    group_length = element(IMPLICIT_LITTLE, 0x00400000, "UL", bytes(4))
    rest = element(IMPLICIT_LITTLE, 0x00400100, "AE", b"ME")
    assert transcode(group_length + rest, IMPLICIT_LITTLE, EXPLICIT_LITTLE, vr_of) == element(
        EXPLICIT_LITTLE, 0x00400100, "AE", b"ME"
    )


@pytest.mark.parametrize(("value", "vr"), [(b"\0\0", "US"), (b"\1\0", "SS"), (None, "US")])
def test_pixel_representation_decides_us_or_ss_in_nested_items_too(value: bytes | None, vr: str) -> None:
    def dataset(encoding: Encoding, vr: str) -> bytes:
        first = b"" if value is None else element(encoding, 0x00280103, "US", value_in(encoding, "US", value))
        smallest = element(encoding, 0x00280106, vr, value_in(encoding, vr, b"\xfe\xff"))
        mapped = element(encoding, 0x00409211, vr, value_in(encoding, vr, b"\x01\x02"))
        return first + smallest + sequence(encoding, 0x00081140, [mapped], False)

    for target in (EXPLICIT_LITTLE, EXPLICIT_BIG):
        assert transcode(dataset(IMPLICIT_LITTLE, ""), IMPLICIT_LITTLE, target, vr_of) == dataset(target, vr)


def test_pixel_data_of_implicit_vr_is_ow() -> None:
    pixels = element(IMPLICIT_LITTLE, 0x7FE00010, "", b"\1\2\3\4")
    assert transcode(pixels, IMPLICIT_LITTLE, EXPLICIT_BIG, vr_of) == element(
        EXPLICIT_BIG, 0x7FE00010, "OW", b"\2\1\4\3"
    )


def test_private_elements_by_their_creator_and_unknown_ones_as_un() -> None:
    known, unknown = struct.pack("<d", 1.5), b"\1\2\3\4"

    def dataset(encoding: Encoding) -> bytes:
        return (
            element(encoding, 0x00090010, "LO", b"ACME")
            + element(encoding, 0x00091001, "FD", value_in(encoding, "FD", known))
            + element(encoding, 0x00091002, "UN", unknown)
            + element(encoding, 0x00091101, "UN", unknown)
            + element(encoding, 0x00990101, "UN", unknown)
        )

    for target in (EXPLICIT_LITTLE, EXPLICIT_BIG):  # UN stays little endian everywhere, PS3.5 6.2.2
        assert transcode(dataset(IMPLICIT_LITTLE), IMPLICIT_LITTLE, target, vr_of) == dataset(target)
        assert transcode(dataset(target), target, IMPLICIT_LITTLE, vr_of) == dataset(IMPLICIT_LITTLE)


def test_unknown_elements_of_undefined_length_are_sequences() -> None:
    def dataset(outer: Encoding, inner: Encoding, vr: str) -> bytes:
        item = element(inner, 0x00400100 + VRS.index("US"), "US", value_in(inner, "US", b"\1\2"))
        content = sequence(inner, 0x00091002, [item], True)
        return element(outer, 0x00091002, vr, content[12 if not inner.implicit else 8 :], UNDEFINED_LENGTH)

    implicit = dataset(IMPLICIT_LITTLE, IMPLICIT_LITTLE, "")
    for target in (EXPLICIT_LITTLE, EXPLICIT_BIG):
        assert transcode(implicit, IMPLICIT_LITTLE, target, vr_of) == dataset(target, target, "SQ")
        # UN of undefined length holds Implicit VR Little Endian whatever is around it (PS3.5 6.2.2).
        assert transcode(dataset(target, IMPLICIT_LITTLE, "UN"), target, IMPLICIT_LITTLE, vr_of) == implicit


def test_a_value_too_long_for_its_explicit_form_becomes_un_and_stays_little_endian() -> None:
    tag, value = 0x00400100 + VRS.index("US"), b"\1\2" * 0x8000
    implicit = element(IMPLICIT_LITTLE, tag, "US", value)
    for target in (EXPLICIT_LITTLE, EXPLICIT_BIG):
        assert transcode(implicit, IMPLICIT_LITTLE, target, vr_of) == element(target, tag, "UN", value)


def nested(depth: int) -> bytes:
    inner = b""
    for _ in range(depth):
        inner = sequence(IMPLICIT_LITTLE, 0x00081140, [inner], False)
    return inner


def test_depth_is_bounded() -> None:
    transcode(nested(MAX_DEPTH), IMPLICIT_LITTLE, EXPLICIT_BIG, vr_of)
    with pytest.raises(DatasetError, match="nested"):
        transcode(nested(MAX_DEPTH + 1), IMPLICIT_LITTLE, EXPLICIT_BIG, vr_of)


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (element(EXPLICIT_LITTLE, 0x7FE00010, "OB", b"", UNDEFINED_LENGTH), "encapsulated"),
        (element(EXPLICIT_LITTLE, 0x00400100, "OW", b"\1\2\3"), "no multiple of 2"),
        (element(EXPLICIT_LITTLE, 0x00400100, "a1", b""), "no valid VR"),
        (element(EXPLICIT_LITTLE, 0xFFFEE0DD, "", b""), "outside of a sequence"),
        (element(EXPLICIT_LITTLE, 0xFFFEE00D, "", b""), "outside of a sequence"),
        (element(EXPLICIT_LITTLE, 0x00400100, "OB", b"", 2), "claims 2 bytes; 0 are there"),
        (element(EXPLICIT_LITTLE, 0x00400100, "OB", b"")[:10], "within the header of"),
        (element(EXPLICIT_LITTLE, 0x00081140, "SQ", b"\x08\0\x01\0AE\0\0"), "has its items"),
        (element(EXPLICIT_LITTLE, 0x00081140, "SQ", b"", UNDEFINED_LENGTH), "within the sequence"),
        (element(EXPLICIT_LITTLE, 0x00081140, "SQ", b"\xfe\xff\x00\xe0\x02\0\0\0"), "an item at offset"),
        (sequence(EXPLICIT_LITTLE, 0x00081140, [b""], True)[:20], "within an item"),
    ],
)
def test_malformed_data_sets_are_refused_by_name(data: bytes, what: str) -> None:
    with pytest.raises(DatasetError, match=what):
        transcode(data, EXPLICIT_LITTLE, EXPLICIT_BIG, vr_of)


def test_headers() -> None:
    data = b"\0\0" + element(EXPLICIT_BIG, 0x00081140, "SQ", b"", 0x01020304)
    assert read_element_header(data, 2, EXPLICIT_BIG) == (0x00081140, "SQ", 0x01020304, 14)
    assert tag_text(0x7FE00010) == "(7FE0,0010)"
