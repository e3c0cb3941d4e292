"""pydicom at arm's length: what goes in comes out, and nothing but DatasetError on the way."""

from __future__ import annotations

import os
import shutil
import subprocess
import zlib
from contextlib import suppress
from io import BytesIO
from pathlib import Path

import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import Dataset
from pydicom.data import get_testdata_file
from pydicom.filereader import read_dataset
from pydicom.uid import UID

from sansdimse import dataset as module
from sansdimse import uids
from sansdimse.dataset import DatasetError, Instance, convert, decode, encode, instance_of, part10_header, tag_of

CT = "1.2.840.10008.5.1.4.1.1.2"
ILE, ELE = uids.IMPLICIT_VR_LITTLE_ENDIAN, uids.EXPLICIT_VR_LITTLE_ENDIAN
EBE, DEFLATED = uids.EXPLICIT_VR_BIG_ENDIAN, uids.DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN
JPEG = uids.JPEG_BASELINE_8BIT

FILES = [
    "CT_small.dcm",
    "MR_small_bigendian.dcm",
    "MR_small_implicit.dcm",
    "image_dfl.dcm",
    "examples_palette.dcm",
    "liver_expb_1frame.dcm",
    "priv_SQ.dcm",
    "rtdose_expb_1frame.dcm",
    "rtplan.dcm",
    "test-SR.dcm",
    "waveform_ecg.dcm",
]


def small(**elements: object) -> Dataset:
    dataset = Dataset()
    dataset.SOPClassUID = CT
    dataset.SOPInstanceUID = "1.2.3"
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    return dataset


def data_of(instance: Instance) -> bytes:
    return b"".join(instance.pieces())


def file_of(instance: Instance) -> bytes:
    uids_of_it = instance.sop_class_uid, instance.sop_instance_uid, instance.transfer_syntax_uid
    return part10_header(*uids_of_it) + data_of(instance)


def path_of(name: str) -> str:
    path = get_testdata_file(name)
    assert isinstance(path, str)
    return path


def instance_in(path: str | Path) -> Instance:
    """The data set of a file as it stands there, by pydicom's word of where that is."""
    with pydicom.dcmread(path, stop_before_pixels=True) as dataset:
        meta = dataset.file_meta
    data = Path(path).read_bytes()[144 + meta.FileMetaInformationGroupLength :]
    return Instance(
        meta.MediaStorageSOPClassUID,
        meta.MediaStorageSOPInstanceUID,
        meta.TransferSyntaxUID,
        len(data),
        lambda: iter([data]),
    )


# --- an instance of a data set


def test_an_instance_is_what_the_data_set_says_it_is() -> None:
    instance = instance_of(small(PatientName="A^B"), ELE)
    assert (instance.sop_class_uid, instance.sop_instance_uid, instance.transfer_syntax_uid) == (CT, "1.2.3", ELE)
    assert instance.length == len(data_of(instance))
    assert data_of(instance) == data_of(instance)  # each call begins anew
    assert decode(data_of(instance), ELE) == small(PatientName="A^B")


def test_the_file_metas_transfer_syntax_unless_another_is_given() -> None:
    dataset = small()
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    with pytest.raises(DatasetError, match="has no transfer syntax"):
        instance_of(dataset)
    dataset.file_meta.TransferSyntaxUID = UID(ILE)
    assert instance_of(dataset).transfer_syntax_uid == ILE
    assert instance_of(dataset, EBE).transfer_syntax_uid == EBE
    for own, other in ((ILE, JPEG), (JPEG, ELE)):
        dataset.file_meta.TransferSyntaxUID = UID(own)
        with pytest.raises(DatasetError, match=f"{own}, which cannot be converted to {other}"):
            instance_of(dataset, other)
    assert instance_of(dataset, JPEG).transfer_syntax_uid == JPEG


@pytest.mark.parametrize("keyword", ["SOPClassUID", "SOPInstanceUID"])
def test_what_is_missing_is_named(keyword: str) -> None:
    dataset = small()
    dataset[keyword].value = ""
    with pytest.raises(DatasetError, match=r"has no SOP .* \(0008,001[68]\)"):
        instance_of(dataset, ELE)
    delattr(dataset, keyword)
    with pytest.raises(DatasetError, match=r"has no SOP .* \(0008,001[68]\)"):
        instance_of(dataset, ELE)
    dataset[keyword] = pydicom.dataelem.RawDataElement(pydicom.tag.Tag(keyword), "ZZ", 2, b"ab", 0, False, True)
    with pytest.raises(DatasetError, match="cannot be decoded"):
        instance_of(dataset, ELE)


@pytest.mark.filterwarnings("ignore")
def test_elements_of_messages_and_files_and_group_lengths_stay_out() -> None:
    dataset = small()
    plain = encode(dataset, ELE)
    dataset.add_new(0x00000002, "UI", CT)
    dataset.add_new(0x00020010, "UI", ELE)
    dataset.add_new(0x00080000, "UL", 99)
    assert encode(dataset, ELE) == plain
    assert 0x00020010 in dataset  # the caller's is as it was


def test_pieces_are_bounded() -> None:
    instance = instance_of(small(PixelData=bytes(600_000), BitsAllocated=8), ELE)
    assert max(map(len, instance.pieces())) == module.PIECE_SIZE
    assert instance.length == sum(map(len, instance.pieces()))


# --- decode and encode


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("syntax", [ILE, ELE, EBE, DEFLATED])
@pytest.mark.parametrize("name", FILES)
def test_real_data_sets_keep_their_values_through_encode_and_decode(name: str, syntax: str) -> None:
    original = pydicom.dcmread(path_of(name))
    data = encode(original, syntax)
    assert len(data) % 2 == 0
    again = decode(data, syntax)
    assert list(again.keys()) == list(original.keys())
    for element in again:
        if element.VR not in ("OW", "OF", "UN", "SQ"):
            assert element.value == original[element.tag].value
    if "PixelData" in original and original.BitsAllocated <= 16:  # beyond, pydicom swaps OW by the pixel, not the word
        again.file_meta = original.file_meta.__class__()
        again.file_meta.TransferSyntaxUID = UID(syntax)
        assert (again.pixel_array == pydicom.dcmread(path_of(name)).pixel_array).all()


def words(value: bytes) -> Dataset:
    return small(PixelData=value, BitsAllocated=16, RedPaletteColorLookupTableData=value)


def test_words_are_swapped_where_the_order_they_are_held_in_is_not_the_one_wanted() -> None:
    little, big = words(b"\1\2\3\4"), words(b"\2\1\4\3")
    big.file_meta = pydicom.dataset.FileMetaDataset()
    big.file_meta.TransferSyntaxUID = UID(EBE)
    for syntax in (ILE, ELE, EBE, DEFLATED):
        assert encode(little, syntax) == encode(big, syntax)
        assert encode(decode(encode(little, EBE), EBE), syntax) == encode(little, syntax)
        assert encode(decode(encode(little, ELE), ELE), syntax) == encode(little, syntax)
    assert decode(encode(little, EBE), EBE).PixelData == b"\2\1\4\3"
    assert decode(encode(little, ILE), ILE).PixelData == b"\1\2\3\4"


def test_decoding_leaves_nothing_for_later() -> None:
    dataset = small(PatientName="A^B", ReferringPhysicianName=["C", "D"])
    item = Dataset()
    item.PatientName = ""
    item.Rows = 3
    dataset.ReferencedImageSequence = [item]
    again = decode(encode(dataset, ILE), ILE)
    assert again == dataset
    for nested in (again, *again.ReferencedImageSequence):
        assert not any(nested.get_item(tag).is_raw for tag in nested.keys())  # noqa: SIM118


@pytest.mark.parametrize(
    "value",
    [
        b"\x28\x00\x10\x00US\x01\x00\x05",  # an odd length for 16-bit words
        b"\x08\x00\x05\x00CS\x06\x00ISO_X \x10\x00\x10\x00PN\x02\x00AB",  # a character set that is none, a warning
        b"\x08\x00\x18\x00ZZ\x00\x00\x02\x00\x00\x00AB",  # a VR that is none
    ],
)
def test_what_pydicom_cannot_decode_is_a_dataset_error(value: bytes) -> None:
    with pytest.raises(DatasetError, match="cannot be decoded"):
        decode(value, ELE)


def test_what_pydicom_cannot_encode_is_a_dataset_error() -> None:
    dataset = small()
    dataset.Rows = 1
    dataset["Rows"]._value = "many"
    with pytest.raises(DatasetError, match="cannot be encoded"):
        encode(dataset, ELE)


def test_an_odd_data_set_is_refused() -> None:
    dataset = read_dataset(BytesIO(b"\x10\x00\x80\x21SH\x01\x00x"), False, True)
    with pytest.raises(DatasetError, match="odd length"):
        encode(dataset, ELE)


@pytest.mark.filterwarnings("ignore")
@settings(max_examples=300, deadline=None)
@given(st.data(), st.sampled_from([ILE, ELE, EBE, DEFLATED, JPEG]))
def test_any_bytes_decode_or_are_a_dataset_error(data: st.DataObject, syntax: str) -> None:
    item = small(Rows=3, WindowWidth="1.5")
    whole = bytearray(encode(small(PatientName="A^B", StudyDate="20200101", ReferencedImageSequence=[item]), ELE))
    for at in data.draw(st.lists(st.integers(0, len(whole) - 1), max_size=6)):
        whole[at] = data.draw(st.integers(0, 255))
    cut = bytes(whole[: data.draw(st.integers(0, len(whole)))])
    for broken in (bytes(whole), cut, data.draw(st.binary(max_size=40))):
        with suppress(DatasetError):
            assert isinstance(decode(broken, syntax), Dataset)


def test_deflated_streams_are_padded_and_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    lengths = set()
    for size in range(0, 40, 2):
        data = encode(small(PatientComments="x" * size + str(size**5)), DEFLATED)
        stream = zlib.decompressobj(-15)
        stream.decompress(data)
        assert stream.eof
        assert stream.unused_data in (b"", b"\0")
        assert len(data) % 2 == 0
        lengths.add(len(stream.unused_data))
        assert decode(data, DEFLATED).PatientComments == "x" * size + str(size**5)
    assert lengths == {0, 1}
    data = encode(small(), DEFLATED)
    with pytest.raises(DatasetError, match="cut short"):
        decode(data[:-6], DEFLATED)
    with pytest.raises(DatasetError, match="not deflated"):
        decode(b"\xff" * 8, DEFLATED)
    monkeypatch.setattr(module, "MAX_INFLATED", 20)
    with pytest.raises(DatasetError, match="more than 20 bytes"):
        decode(data, DEFLATED)


# --- conversion


@pytest.mark.parametrize("name", FILES)
def test_there_and_back_is_byte_for_byte_the_same(name: str) -> None:
    original = instance_in(path_of(name))
    first = convert(original, ELE)
    for syntax in (DEFLATED, ILE, EBE):
        there = convert(first, syntax)
        assert there.transfer_syntax_uid == syntax
        assert there.length == len(data_of(there))
        assert there.length % 2 == 0
        again = convert(convert(there, ELE), syntax)  # the first conversion drops group lengths and settles VRs
        assert data_of(again) == data_of(there)
    assert data_of(convert(convert(first, EBE), ELE)) == data_of(first)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["liver_expb_1frame.dcm", "MR_small_bigendian.dcm", "CT_small.dcm", "image_dfl.dcm"])
def test_pixels_are_the_same_numbers_in_every_encoding(name: str) -> None:
    pixels = pydicom.dcmread(path_of(name)).pixel_array
    for syntax in (ILE, ELE, EBE, DEFLATED):
        converted = pydicom.dcmread(pydicom.filebase.DicomBytesIO(file_of(convert(instance_in(path_of(name)), syntax))))
        assert (converted.pixel_array == pixels).all()


def test_the_same_syntax_is_the_same_instance() -> None:
    instance = instance_of(small(), JPEG)
    assert convert(instance, JPEG) is instance


@pytest.mark.parametrize(("source", "target"), [(JPEG, ELE), (ELE, JPEG)])
def test_compressed_syntaxes_are_not_converted(source: str, target: str) -> None:
    with pytest.raises(DatasetError, match=f"{JPEG} is not uncompressed"):
        convert(instance_of(small(), source), target)


def dcmconv() -> str:
    program = shutil.which("dcmconv")
    if program is None:
        if os.environ.get("CI") == "true":
            pytest.fail("dcmconv (DCMTK) is missing; CI installs it")
        pytest.skip("dcmconv (DCMTK) is not installed")
    return program


@pytest.mark.parametrize("option", ["+ti", "+te", "+tb", "+td"])
@pytest.mark.parametrize("name", FILES)
def test_dcmtk_converts_to_the_same_bytes(name: str, option: str, tmp_path: Path) -> None:
    program = dcmconv()
    syntax = {"+ti": ILE, "+te": ELE, "+tb": EBE, "+td": DEFLATED}[option]
    (tmp_path / "ours").write_bytes(file_of(convert(instance_in(path_of(name)), syntax)))
    # Both go through dcmconv, which settles what may differ: lengths given or not, group lengths, deflate's choices.
    for source, result in ((path_of(name), "theirs"), (tmp_path / "ours", "ours again")):
        subprocess.run([program, "-q", "-g", option, source, tmp_path / result], check=True, timeout=60)
    ours, theirs = instance_in(tmp_path / "ours again"), instance_in(tmp_path / "theirs")
    assert ours.transfer_syntax_uid == theirs.transfer_syntax_uid == syntax
    assert data_of(ours) == data_of(theirs)


def test_a_keyword_has_a_tag() -> None:
    assert tag_of("PatientID") == 0x00100020
    with pytest.raises(KeyError, match="PatientsName"):
        tag_of("PatientsName")
