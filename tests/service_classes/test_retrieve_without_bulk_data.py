"""Bulk data goes, and nothing else: as data sets, and as bytes in every encoding."""

from __future__ import annotations

import struct
from contextlib import suppress
from copy import deepcopy

import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import Dataset
from pydicom.data import get_testdata_file

from sansdimse import uids
from sansdimse.dataset import DatasetError, Instance, convert, decode, encode, instance_of
from sansdimse.part10 import encoding_of
from sansdimse.service_classes.retrieve_without_bulk_data import (
    instance_without_bulk_data,
    is_bulk_data,
    without_bulk_data,
)
from sansdimse.transcode import IMPLICIT_LITTLE, MAX_DEPTH, UNDEFINED_LENGTH, Encoding

SYNTAXES = (uids.IMPLICIT_VR_LITTLE_ENDIAN, uids.EXPLICIT_VR_LITTLE_ENDIAN, uids.EXPLICIT_VR_BIG_ENDIAN)
ELE = uids.EXPLICIT_VR_LITTLE_ENDIAN
BULK = [0x7FE00010, 0x7FE00008, 0x7FE00009, 0x00287FE0, 0x56000020, 0x00420011]
BULK += [0x60003000, 0x601E3000, 0x50003000, 0x501E3000, 0x5000200C, 0x501E200C]
NOT_BULK = [0x60013000, 0x5001200C, 0x50013000, 0x60000010, 0x7FE00001, 0x00280010, 0x54001010, 0x61003000]


def element(encoding: Encoding, tag: int, vr: str, value: bytes, length: int | None = None) -> bytes:
    """Written apart from the module under test: PS3.5 Tables 7.1-1 to 7.1-3."""
    order = encoding.order
    head = struct.pack(order + "HH", tag >> 16, tag & 0xFFFF)
    length = len(value) if length is None else length
    if encoding.implicit or not vr:
        return head + struct.pack(order + "I", length) + value
    if vr in ("OB", "OW", "SQ", "UN", "UT"):
        return head + vr.encode() + b"\0\0" + struct.pack(order + "I", length) + value
    return head + vr.encode() + struct.pack(order + "H", length) + value


def item(encoding: Encoding, content: bytes, delimited: bool) -> bytes:
    if not delimited:
        return element(encoding, 0xFFFEE000, "", content)
    return element(encoding, 0xFFFEE000, "", content + element(encoding, 0xFFFEE00D, "", b""), UNDEFINED_LENGTH)


def sequence(encoding: Encoding, tag: int, items: list[bytes], delimited: bool, vr: str = "SQ") -> bytes:
    body = b"".join(items)
    if not delimited:
        return element(encoding, tag, vr, body)
    inner = IMPLICIT_LITTLE if vr == "UN" else encoding
    return element(encoding, tag, vr, body + element(inner, 0xFFFEE0DD, "", b""), UNDEFINED_LENGTH)


def instance(data: bytes, syntax: str, cut: int = 7) -> Instance:
    pieces = [data[at : at + cut] for at in range(0, len(data), cut)]
    return Instance(uids.VERIFICATION, "1.2", syntax, len(data), lambda: iter([b"", *pieces]))


def data_of(given_: Instance) -> bytes:
    return b"".join(given_.pieces())


def left(data: bytes, syntax: str) -> bytes:
    answer = instance_without_bulk_data(instance(data, syntax))
    assert answer.transfer_syntax_uid == syntax
    assert answer.length == len(data_of(answer)) == len(data_of(answer))
    return data_of(answer)


def test_the_tags() -> None:
    assert [f"{tag:08X}" for tag in BULK if not is_bulk_data(tag)] == []
    assert [f"{tag:08X}" for tag in NOT_BULK if is_bulk_data(tag)] == []


Encoded = tuple[bytes, bytes]  # as it was, as it should be without bulk data


@st.composite
def elements(draw: st.DrawFn, encoding: Encoding, depth: int, dropped: frozenset[int]) -> Encoded:
    """A few elements; ``dropped`` are the tags that go at this level."""
    before = after = b""
    for _ in range(draw(st.integers(0, 3))):
        tag = draw(st.sampled_from([*BULK, *NOT_BULK, 0x00091001, 0x00100010]))
        vr = draw(st.sampled_from(["OB", "UN", "SH"]))
        value = draw(st.binary(max_size=6).map(lambda value: value * 2))
        kind = draw(st.sampled_from(["plain", "plain", "sequence", "fragments", "group length"]))
        whole = gone = element(encoding, tag, vr, value)
        if kind == "sequence" and depth:
            whole, gone = draw(sequences(encoding, depth, tag))
        elif kind == "fragments":
            frames = [element(encoding, 0xFFFEE000, "", value), element(encoding, 0xFFFEE000, "", b"")]
            whole = gone = sequence(encoding, tag, frames, True, "OB")
        elif kind == "group length":
            tag &= 0xFFFF0000
            whole = gone = element(encoding, tag, "UL", b"\1\2\3\4")
        before += whole
        leaves = tag in dropped or (bool(dropped) and tag & 0xFFFF == 0)
        after += b"" if leaves else gone
    return before, after


@st.composite
def sequences(
    draw: st.DrawFn, encoding: Encoding, depth: int, tag: int, dropped: frozenset[int] = frozenset()
) -> Encoded:
    vr = draw(st.sampled_from(["SQ", "UN"]))
    inner = encoding if vr == "SQ" or encoding.implicit else IMPLICIT_LITTLE
    delimited = draw(st.booleans())
    items = []
    for _ in range(draw(st.integers(0, 2))):
        content = draw(elements(inner, depth - 1, dropped))
        ends = draw(st.booleans())
        items.append([item(inner, each, ends) for each in content])
    whole, gone = ([each[side] for each in items] for side in (0, 1))
    return sequence(encoding, tag, whole, delimited, vr), sequence(encoding, tag, gone, delimited, vr)


@st.composite
def encoded(draw: st.DrawFn, encoding: Encoding) -> Encoded:
    first = draw(elements(encoding, 2, frozenset(BULK)))
    waveforms = draw(sequences(encoding, 2, 0x54000100, frozenset({0x54001010}))) if draw(st.booleans()) else (b"", b"")
    last = draw(elements(encoding, 2, frozenset(BULK)))
    return first[0] + waveforms[0] + last[0], first[1] + waveforms[1] + last[1]


@settings(max_examples=150, deadline=None)
@given(st.data(), st.sampled_from(SYNTAXES), st.integers(1, 40))
def test_bytes_without_bulk_data(data: st.DataObject, syntax: str, cut: int) -> None:
    before, after = data.draw(encoded(encoding_of(syntax)))
    answer = data_of(instance_without_bulk_data(instance(before, syntax, cut)))
    assert answer == after
    assert left(answer, syntax) == answer


@settings(max_examples=150, deadline=None)
@given(st.data(), st.sampled_from(SYNTAXES))
def test_any_bytes_are_taken_or_refused(data: st.DataObject, syntax: str) -> None:
    whole = bytearray(data.draw(encoded(encoding_of(syntax)))[0])
    for at in data.draw(st.lists(st.integers(0, max(len(whole) - 1, 0)), max_size=4)):
        if whole:
            whole[at] = data.draw(st.integers(0, 255))
    cut = bytes(whole[: data.draw(st.integers(0, len(whole)))])
    for broken in (bytes(whole), cut, data.draw(st.binary(max_size=40))):
        with suppress(DatasetError):
            assert len(left(broken, syntax)) <= len(broken)


ENCODING = encoding_of(ELE)
END = element(ENCODING, 0xFFFEE0DD, "", b"")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (element(ENCODING, 0x00100010, "PN", b"", 8), "8 bytes more were announced"),
        (END, "stands outside of a sequence"),
        (element(ENCODING, 0x7FE00010, "OB", END, UNDEFINED_LENGTH)[:-1], "announced"),
        (element(ENCODING, 0x00400340, "SQ", element(ENCODING, 0x00100010, "PN", b""), UNDEFINED_LENGTH), "an item"),
        (
            sequence(ENCODING, 0x00400340, [element(ENCODING, 0xFFFEE000, "", END, UNDEFINED_LENGTH)], True),
            "an element",
        ),
        (element(ENCODING, 0x54000100, "SQ", END), "an item of Waveform Sequence"),
        (element(ENCODING, 0x54000100, "SQ", element(ENCODING, 0x00100010, "PN", b"")), "an item of Waveform Sequence"),
    ],
)
def test_malformed_data_sets(data: bytes, words: str) -> None:
    with pytest.raises(DatasetError, match=words):
        left(data, ELE)


def test_nesting_has_a_bound() -> None:
    def nested(depth: int) -> bytes:
        data = b""
        for _ in range(depth):
            data = sequence(ENCODING, 0x00400340, [item(ENCODING, data, True)], True)
        return data

    assert left(nested(MAX_DEPTH), ELE) == nested(MAX_DEPTH)
    with pytest.raises(DatasetError, match="deep"):
        left(nested(MAX_DEPTH + 1), ELE)


def test_a_waveform_sequence_that_is_none_stays() -> None:
    odd = element(ENCODING, 0x54000100, "OB", b"abcd")
    assert left(odd, ELE) == odd


def test_bulk_data_is_not_held() -> None:
    def pieces() -> object:
        yield element(ENCODING, 0x7FE00010, "OB", b"", 2**31)
        yield from [zeros] * 2**15
        yield element(ENCODING, 0x7FE10010, "LO", b"ACME")

    zeros = bytes(2**16)
    endless = Instance(uids.VERIFICATION, "1.2", ELE, None, pieces)  # type: ignore[arg-type]
    assert data_of(instance_without_bulk_data(endless)) == element(ENCODING, 0x7FE10010, "LO", b"ACME")


def image() -> Dataset:
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = uids.VERIFICATION, "1.2.3"
    dataset.PatientName = "A^B"
    dataset.add_new(0x00090010, "LO", "ACME")
    dataset.add_new(0x00091001, "UN", b"private!")
    dataset.add_new(0x60003000, "OW", b"\1\2")
    dataset.add_new(0x60013000, "OW", b"\1\2")
    icon = Dataset()
    icon.Rows = 1
    icon.add_new(0x7FE00010, "OW", b"\3\4")
    dataset.IconImageSequence = [icon]
    wave = Dataset()
    wave.NumberOfWaveformChannels = 2
    wave.add_new(0x54001010, "OW", b"\5\6")
    dataset.WaveformSequence = [wave, Dataset()]
    dataset.add_new(0x7FE00010, "OW", b"\7\10")
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ELE
    return dataset


def test_a_data_set_without_bulk_data() -> None:
    dataset = image()
    before = deepcopy(dataset)
    answer = without_bulk_data(dataset)
    assert dataset == before
    assert {0x7FE00010, 0x60003000} == {element.tag for element in dataset} - {element.tag for element in answer}
    assert answer.IconImageSequence == before.IconImageSequence
    assert 0x54001010 not in answer.WaveformSequence[0]
    assert answer.WaveformSequence[0].NumberOfWaveformChannels == 2
    assert answer[0x00091001] == before[0x00091001]
    assert answer.file_meta.TransferSyntaxUID == ELE
    assert without_bulk_data(answer) == answer
    answer.PatientName, answer.IconImageSequence[0].Rows, answer.file_meta.TransferSyntaxUID = "C", 2, "1.2"
    assert dataset == before
    assert dataset.file_meta.TransferSyntaxUID == ELE


def test_a_data_set_without_any() -> None:
    dataset = Dataset()
    dataset.PatientName = "A"
    dataset.add_new(0x54000100, "OB", b"no sequence ")
    assert without_bulk_data(dataset) == dataset


@pytest.mark.parametrize("syntax", [*SYNTAXES, uids.DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN])
def test_both_ways_agree(syntax: str) -> None:
    whole = convert(instance_of(image()), syntax)
    answer = instance_without_bulk_data(whole)
    assert (answer.sop_class_uid, answer.sop_instance_uid) == (whole.sop_class_uid, whole.sop_instance_uid)
    assert decode(data_of(answer), syntax) == decode(encode(without_bulk_data(image()), syntax), syntax)


@pytest.mark.parametrize("name", ["waveform_ecg.dcm", "CT_small.dcm", "MR_small_bigendian.dcm", "JPEG2000.dcm"])
def test_files_of_others(name: str) -> None:
    path = get_testdata_file(name)
    assert isinstance(path, str)
    dataset = pydicom.dcmread(path)
    whole = instance_of(dataset)
    answer = instance_without_bulk_data(whole)
    syntax = whole.transfer_syntax_uid
    assert decode(data_of(answer), syntax) == decode(encode(without_bulk_data(dataset), syntax), syntax)
    assert len(data_of(answer)) < len(data_of(whole))
