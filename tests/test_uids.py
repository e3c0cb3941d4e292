"""UIDs and transfer syntaxes, held against facts of PS3.5 and PS3.6 and against pydicom's dictionary."""

from __future__ import annotations

import csv
import re
import uuid
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom._uid_dict import UID_dictionary
from pydicom.uid import UID as PydicomUID

from sansdimse import uids
from sansdimse.uids import TRANSFER_SYNTAXES, UNCOMPRESSED, Lossy

ORACLE = Path(__file__).resolve().parent.parent.parent / "shared" / "standard" / "transfer_syntaxes.csv"
ROOT = "1.2.840.10008."

# PS3.6 A-1: the tail of each transfer syntax's UID, by what PS3.5 makes of the data set.
NATIVE = "1.2 1.2.1 1.2.2 1.2.4.94 1.2.4.204 1.2.6.1 1.2.6.2 1.2.7.1 1.2.7.2 1.2.7.3 1.20"
DEFLATED = "1.2.1.99 1.2.4.95 1.2.4.205"
ENCAPSULATED_LOSSLESS = (
    "1.2.1.98 1.2.4.57 1.2.4.58 1.2.4.65 1.2.4.66 1.2.4.70 1.2.4.80 1.2.4.90 1.2.4.92 1.2.4.110 "
    "1.2.4.201 1.2.4.202 1.2.5 1.2.8.1"
)
ENCAPSULATED_LOSSY = (
    "1.2.4.50 1.2.4.51 1.2.4.52 1.2.4.53 1.2.4.54 1.2.4.55 1.2.4.56 1.2.4.59 1.2.4.60 1.2.4.61 1.2.4.62 1.2.4.63 "
    "1.2.4.64 1.2.4.100 1.2.4.100.1 1.2.4.101 1.2.4.101.1 1.2.4.102 1.2.4.102.1 1.2.4.103 1.2.4.103.1 1.2.4.104 "
    "1.2.4.104.1 1.2.4.105 1.2.4.105.1 1.2.4.106 1.2.4.106.1 1.2.4.107 1.2.4.108 1.2.4.111"
)
ENCAPSULATED_UNDECIDED = "1.2.4.81 1.2.4.91 1.2.4.93 1.2.4.112 1.2.4.203"
RETIRED = (
    "1.2.2 1.2.4.52 1.2.4.53 1.2.4.54 1.2.4.55 1.2.4.56 1.2.4.58 1.2.4.59 1.2.4.60 1.2.4.61 1.2.4.62 1.2.4.63 "
    "1.2.4.64 1.2.4.65 1.2.4.66 1.2.6.1 1.2.6.2 1.20"
)


def full(tails: str) -> set[str]:
    return {ROOT + tail for tail in tails.split()}


CONSTANTS = {
    name: value
    for name, value in vars(uids).items()
    if isinstance(value, str) and value in TRANSFER_SYNTAXES and name.isupper()
}


def test_the_table_is_complete_and_says_what_becomes_of_a_data_set() -> None:
    encapsulated = full(" ".join([ENCAPSULATED_LOSSLESS, ENCAPSULATED_LOSSY, ENCAPSULATED_UNDECIDED]))
    assert set(TRANSFER_SYNTAXES) == encapsulated | full(NATIVE) | full(DEFLATED)
    assert len(TRANSFER_SYNTAXES) == 63
    for uid, syntax in TRANSFER_SYNTAXES.items():
        assert syntax.uid == uid
        assert uids.is_valid(uid)
        assert uids.is_encapsulated(uid) == syntax.encapsulated == (uid in encapsulated)
        assert uids.is_deflated(uid) == syntax.deflated == (uid in full(DEFLATED))
        assert syntax.retired == (uid in full(RETIRED))
        # Only the first and Papyrus are implicit VR; only one is big endian (PS3.5 A.1 and A.3).
        assert (syntax.implicit_vr is True) == (uid in full("1.2 1.20"))
        assert (syntax.little_endian is False) == (uid == uids.EXPLICIT_VR_BIG_ENDIAN)
        assert (syntax.implicit_vr is None) == (syntax.little_endian is None) == (uid in full("1.2.6.1 1.2.6.2"))


def test_what_is_lost() -> None:
    for uid, syntax in TRANSFER_SYNTAXES.items():
        assert (syntax.lossy is Lossy.YES) == (uid in full(ENCAPSULATED_LOSSY))
        undecided = full(ENCAPSULATED_UNDECIDED) | full("1.2.4.94 1.2.4.95 1.2.4.204 1.2.4.205")
        assert (syntax.lossy is Lossy.MAYBE) == (uid in undecided)
        assert uids.is_lossy(uid) == (syntax.lossy is not Lossy.NO)
        if syntax.name.endswith("(Lossless Only)"):
            assert not uids.is_lossy(uid)


def test_the_uncompressed_ones_are_those_with_native_pixel_data_that_are_used_on_associations() -> None:
    assert UNCOMPRESSED == tuple(ROOT + tail for tail in ("1.2.1", "1.2", "1.2.1.99", "1.2.2"))
    assert not any(uids.is_encapsulated(uid) or uids.is_lossy(uid) for uid in UNCOMPRESSED)


def test_constants_are_named_by_keyword() -> None:
    for name, value in CONSTANTS.items():
        assert name.replace("_", "") == TRANSFER_SYNTAXES[value].keyword.upper()
    unnamed = {row.uid for row in TRANSFER_SYNTAXES.values()} - set(CONSTANTS.values())
    # Without a constant: what is retired, and real-time video, which no association carries.
    assert unnamed == {
        row.uid for row in TRANSFER_SYNTAXES.values() if row.retired and row.uid != uids.EXPLICIT_VR_BIG_ENDIAN
    } | full("1.2.7.1 1.2.7.2 1.2.7.3")


@pytest.mark.parametrize(
    ("constant", "tail"),
    [
        (uids.VERIFICATION, "1.1"),
        (uids.APPLICATION_CONTEXT, "3.1.1.1"),
        (uids.IMPLICIT_VR_LITTLE_ENDIAN, "1.2"),
        (uids.EXPLICIT_VR_LITTLE_ENDIAN, "1.2.1"),
        (uids.DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN, "1.2.1.99"),
        (uids.JPEG_BASELINE_8BIT, "1.2.4.50"),
        (uids.JPEG_LOSSLESS_SV1, "1.2.4.70"),
        (uids.JPEG_LS_LOSSLESS, "1.2.4.80"),
        (uids.JPEG_2000_LOSSLESS, "1.2.4.90"),
        (uids.JPEG_2000, "1.2.4.91"),
        (uids.HTJ2K, "1.2.4.203"),
        (uids.RLE_LOSSLESS, "1.2.5"),
        (uids.MPEG4_HP41, "1.2.4.102"),
        (uids.HEVC_MP51, "1.2.4.107"),
    ],
)
def test_well_known_uids(constant: str, tail: str) -> None:
    assert constant == ROOT + tail


def test_ours_is_nobody_elses() -> None:
    assert uids.is_valid(uids.IMPLEMENTATION_CLASS_UID)
    root, _, number = uids.IMPLEMENTATION_CLASS_UID.rpartition(".")
    assert root == "2.25"
    made_of = uuid.UUID(int=int(number))  # PS3.5 B.2: of a UUID as RFC 4122 has them, not of any number
    assert (made_of.variant, made_of.version) == (uuid.RFC_4122, 4)
    assert 1 <= len(uids.IMPLEMENTATION_VERSION_NAME) <= 16  # PS3.7 D.3.3.2.3


def test_names_keywords_and_retirement_agree_with_pydicom() -> None:
    others = {uid for uid, entry in UID_dictionary.items() if entry[1] == "Transfer Syntax"}
    assert others <= set(TRANSFER_SYNTAXES)
    for uid in others:
        ours, theirs = TRANSFER_SYNTAXES[uid], PydicomUID(uid)
        assert (ours.name, ours.keyword, ours.retired) == (theirs.name, theirs.keyword, theirs.is_retired)


@pytest.mark.skipif(not ORACLE.exists(), reason="the tables are not here")
def test_the_table_is_the_standards() -> None:
    with ORACLE.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["uid"] for row in rows] == list(TRANSFER_SYNTAXES)
    for row in rows:
        ours = TRANSFER_SYNTAXES[row["uid"]]
        assert (ours.keyword, ours.name) == (row["keyword"], row["name"])
        assert ours.implicit_vr == {"implicit": True, "explicit": False}.get(row["vr"])
        assert ours.little_endian == {"little": True, "big": False}.get(row["byte_order"])
        assert ours.deflated == (row["deflated_data_set"] == "Y")
        assert ours.encapsulated == (row["encapsulated_pixel_data"] == "Y")
        assert ours.retired == (row["retired"] == "Y")


def test_names() -> None:
    assert uids.name_of(uids.EXPLICIT_VR_LITTLE_ENDIAN) == "Explicit VR Little Endian"
    assert uids.name_of(uids.RLE_LOSSLESS) == "RLE Lossless"


@given(st.text())
def test_anything_unknown_has_an_answer(uid: str) -> None:
    if uid not in TRANSFER_SYNTAXES:
        assert uids.name_of(uid) == uid
        assert not uids.is_encapsulated(uid)
        assert not uids.is_deflated(uid)
        assert uids.is_lossy(uid)


@given(st.sampled_from([*TRANSFER_SYNTAXES, "1.2.3", ""]), st.text(" \0"), st.text(" \0"))
def test_padding_does_not_count(uid: str, before: str, after: str) -> None:
    assert uids.normal(before + uid + after) == uid


@pytest.mark.parametrize("uid", ["0", "1.2", "1.0.3", "2.25.0", "1." + "1" * 62, "1.2.840.10008.1.2.4.100.1"])
def test_valid(uid: str) -> None:
    assert uids.is_valid(uid)


@pytest.mark.parametrize(
    "uid",
    ["", ".", "1.", ".1", "1..2", "01", "1.02", "1.00", "1.2 ", "1.2\n", "1.2\0", "1.a", "１.２", "1." + "1" * 63],
)
def test_not_valid(uid: str) -> None:
    assert not uids.is_valid(uid)


@settings(max_examples=200)
@given(st.lists(st.integers(0, 10**12), min_size=1, max_size=5))
def test_numbers_joined_by_dots_are_valid_and_a_leading_zero_never_is(components: list[int]) -> None:
    uid = ".".join(map(str, components))
    assert uids.is_valid(uid) == (len(uid) <= 64)
    assert not uids.is_valid("0" + uid)


def test_well_known_instances_are_named_by_keyword() -> None:
    theirs = {
        re.sub("[^A-Z0-9]", "", entry[4].upper()): uid
        for uid, entry in UID_dictionary.items()
        if entry[1] == "Well-known SOP Instance" and not entry[3]
    }
    ours = {
        name.replace("_", ""): value
        for name, value in vars(uids).items()
        if name.endswith(("_INSTANCE", "_PALETTE")) and isinstance(value, str)
    }
    assert ours == theirs
    assert UID_dictionary[uids.STORAGE_SERVICE_CLASS][:2] == ("Storage Service Class", "Service Class")
