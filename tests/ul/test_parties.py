"""Who negotiates: what an acceptor offers, and what neither side may say of itself."""

from __future__ import annotations

import dataclasses
import re

import pytest

from sansdimse.errors import LocalProtocolError
from sansdimse.uids import EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN, JPEG_BASELINE_8BIT, VERIFICATION
from sansdimse.ul.items import AsynchronousOperationsWindow
from sansdimse.ul.parties import (
    Acceptor,
    PresentationContext,
    Requestor,
    WhenIdle,
    check_context,
    check_ours,
    check_title,
)

CT = "1.2.840.10008.5.1.4.1.1.2"
DX = "1.2.840.10008.5.1.4.1.1.1.1"
MAMMOGRAPHY = "1.2.840.10008.5.1.4.1.1.1.2"
UNCOMPRESSED = (EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN)


def test_a_string_is_a_context_with_both_uncompressed_syntaxes() -> None:
    expected = (PresentationContext(VERIFICATION, UNCOMPRESSED, scu=True, scp=False),)
    assert Requestor("ME", "PACS", [VERIFICATION]).contexts == expected
    assert Requestor("ME", "PACS", [VERIFICATION]).presentation_contexts == expected
    assert Acceptor("PACS", [VERIFICATION]).supports == expected


def test_parties_are_values() -> None:
    assert Requestor("ME", "PACS", [CT]) == Requestor("ME", "PACS", (CT,))
    assert hash(Requestor("ME", "PACS", [CT])) == hash(Requestor("ME", "PACS", (CT,)))
    assert Acceptor("ME", [CT]) == Acceptor("ME", (CT,))
    assert hash(Acceptor("ME", [CT], extended={CT: b"\1"})) == hash(Acceptor("ME", [CT]))
    assert Acceptor("ME", [CT], extended={CT: b"\1"}) != Acceptor("ME", [CT])


def test_a_replaced_acceptor_offers_what_it_supports_now() -> None:
    changed = dataclasses.replace(Acceptor("ME", [CT]), supports=[VERIFICATION])
    assert changed.offer(CT) is None
    assert changed.offer(VERIFICATION) == PresentationContext(VERIFICATION)


def test_who_is_idle_is_aborted_unless_something_else_was_asked_for() -> None:
    for party in (Requestor("ME", "PACS", [CT]), Acceptor("ME", [CT])):
        assert party.when_idle is WhenIdle.ABORT
        assert dataclasses.replace(party, when_idle=WhenIdle.ECHO) != party


def test_a_transfer_syntax_named_twice_counts_once() -> None:
    assert PresentationContext(CT, (*UNCOMPRESSED, IMPLICIT_VR_LITTLE_ENDIAN)).transfer_syntaxes == UNCOMPRESSED


def test_entries_with_the_same_abstract_syntax_are_offered_as_one() -> None:
    acceptor = Acceptor(
        "ME",
        [
            PresentationContext(CT, (IMPLICIT_VR_LITTLE_ENDIAN,)),
            PresentationContext(CT, (JPEG_BASELINE_8BIT,), scu=False, scp=True),
        ],
    )
    assert acceptor.offer(CT) == PresentationContext(
        CT, (IMPLICIT_VR_LITTLE_ENDIAN, JPEG_BASELINE_8BIT), scu=True, scp=True
    )
    assert acceptor.offer(VERIFICATION) is None


@pytest.mark.parametrize("order", [slice(None), slice(None, None, -1)])
def test_an_entry_without_transfer_syntaxes_takes_any_whatever_the_others_say(order: slice) -> None:
    entries = [PresentationContext(CT, ()), PresentationContext(CT)]
    offer = Acceptor("ME", entries[order]).offer(CT)
    assert offer is not None
    assert offer.transfer_syntaxes == ()


@pytest.mark.parametrize(
    ("uid", "is_storage"),
    [
        (CT, True),
        ("1.2.840.10008.5.1.4.34.7", True),  # RT Beams Delivery Instruction Storage
        ("1.2.840.10008.5.1.4.38.1", True),  # Hanging Protocol Storage
        ("1.2.840.10008.5.1.4.1.1.200.4", False),  # Protocol Approval Information Model - FIND
        ("1.2.840.10008.5.1.4.1.1.201.6", False),  # Repository Query
        ("1.3.12.2.1107.5.9.1", True),  # a vendor's own
        ("1.2.840.10008.1.20.1", False),  # Storage Commitment Push Model
        ("1.2.840.10008.5.1.4.1.2.1.1", False),  # Patient Root - FIND
        (VERIFICATION, False),
        ("1." * 64 + "1", False),  # 129 characters
    ],
)
def test_any_storage_offers_storage_classes_in_any_transfer_syntax(uid: str, is_storage: bool) -> None:
    offer = Acceptor("ME", [], any_storage=True).offer(uid)
    assert offer == (PresentationContext(uid, ()) if is_storage else None)
    assert Acceptor("ME", []).offer(uid) is None


def test_any_storage_lifts_the_transfer_syntaxes_of_supported_classes_and_keeps_their_roles() -> None:
    both = PresentationContext(CT, scp=True)
    acceptor = Acceptor("ME", [both, VERIFICATION], any_storage=True)
    assert acceptor.offer(CT) == PresentationContext(CT, (), scu=True, scp=True)
    assert acceptor.offer(VERIFICATION) == PresentationContext(VERIFICATION)


@pytest.mark.parametrize(
    ("uid", "related", "expected"),
    [
        (MAMMOGRAPHY, (DX,), PresentationContext(MAMMOGRAPHY, (JPEG_BASELINE_8BIT,), scu=True, scp=True)),
        ("1.3.12.2.1107.5.9.1", ("1.2.3", CT, DX), PresentationContext("1.3.12.2.1107.5.9.1")),
        (MAMMOGRAPHY, (), None),
        (MAMMOGRAPHY, ("1.2.3",), None),
        (MAMMOGRAPHY, (VERIFICATION,), None),  # what one stores is no kind of what one cannot store
        ("1.2.840.10008.5.1.4.1.2.1.1", (CT,), None),  # Patient Root - FIND
        (CT, (DX,), PresentationContext(CT)),  # supported itself
    ],
)
def test_a_specialized_storage_class_is_offered_as_its_general_one(
    uid: str, related: tuple[str, ...], expected: PresentationContext | None
) -> None:
    supports = (PresentationContext(DX, (JPEG_BASELINE_8BIT,), scp=True), CT, VERIFICATION)
    acceptor = Acceptor("ME", supports, related_general=True)
    assert acceptor.offer(uid, related) == expected
    assert not Acceptor("ME", []).related_general, "by default nothing is taken on somebody's word"
    assert Acceptor("ME", supports).offer(uid, related) == (expected if uid == CT else None)
    anything = dataclasses.replace(acceptor, any_storage=True)
    if expected is not None:
        assert anything.offer(uid, related) == dataclasses.replace(expected, transfer_syntaxes=())


@pytest.mark.parametrize(("invoked", "performed"), [(0, 1), (1, 0), (0, 0), (65536, 1), (1, -1)])
def test_an_acceptor_s_window_is_finite(invoked: int, performed: int) -> None:
    with pytest.raises(LocalProtocolError, match="window"):
        Acceptor("ME", [CT], window=AsynchronousOperationsWindow(invoked, performed))


def test_an_acceptor_supports_nothing_without_a_role() -> None:
    with pytest.raises(LocalProtocolError, match=f"neither role for {CT}"):
        Acceptor("ME", [PresentationContext(CT, scu=False)])


@pytest.mark.parametrize(
    "title", ["", " ", " " * 16, "A" * 17, "A\\B", "A\0", "\N{LATIN SMALL LETTER E WITH ACUTE}", "A\n"]
)
def test_what_is_no_ae_title(title: str) -> None:
    with pytest.raises(LocalProtocolError, match="called AE title"):
        check_title(title, "called")
    with pytest.raises(LocalProtocolError, match="AE title"):
        Acceptor(title, [CT])


@pytest.mark.parametrize("title", ["A", "A" * 16, " A ", "[~]", "a b"])
def test_what_is_an_ae_title(title: str) -> None:
    check_title(title, "called")


@pytest.mark.parametrize(
    ("context", "named"),
    [
        (PresentationContext("1.02"), "'1.02'"),
        (PresentationContext("1." * 32 + "1"), "no UID"),
        (PresentationContext(CT, ("",)), "''"),
        (PresentationContext(CT, ()), "0 transfer syntaxes"),
        (PresentationContext(CT, tuple(f"1.{n}" for n in range(51))), "51 transfer syntaxes"),
        (PresentationContext(CT, scu=False), "neither role"),
    ],
)
def test_what_cannot_be_proposed(context: PresentationContext, named: str) -> None:
    with pytest.raises(LocalProtocolError, match=named):
        check_context(context)


def test_what_can_be_proposed() -> None:
    check_context(PresentationContext("1." * 31 + "11", tuple(f"1.{n}" for n in range(50)), scu=False, scp=True))


@pytest.mark.parametrize("maximum_length", [-1, 1, 7, 1 << 32])
def test_a_maximum_length_has_room_for_a_fragment_and_fits_its_field(maximum_length: int) -> None:
    with pytest.raises(LocalProtocolError, match="maximum length"):
        check_ours(maximum_length, None, "1.2", "")
    with pytest.raises(LocalProtocolError, match="maximum length"):
        Acceptor("ME", [CT], maximum_length=maximum_length)


@pytest.mark.parametrize("maximum_length", [0, 8, (1 << 32) - 1])
def test_other_maximum_lengths_are_taken(maximum_length: int) -> None:
    check_ours(maximum_length, AsynchronousOperationsWindow(0, 65535), "1.2", "V" * 16)


@pytest.mark.parametrize(("uid", "name"), [("", "V"), ("1.x", "V"), ("1.2", "V" * 17), ("1.2", "\N{DEGREE SIGN}")])
def test_an_implementation_names_itself_as_the_standard_says(uid: str, name: str) -> None:
    with pytest.raises(LocalProtocolError, match="implementation"):
        check_ours(0, None, uid, name)


@pytest.mark.parametrize(
    ("context", "named"),
    [
        ("CTImageStorage", "'CTImageStorage' is no UID: a context is named by a UID as 1.2.840"),
        (PresentationContext(CT, ("ELE",)), f"'ELE', a transfer syntax of context {CT}, is no UID"),
    ],
)
def test_an_acceptor_supports_nothing_that_is_no_uid(context: PresentationContext | str, named: str) -> None:
    with pytest.raises(LocalProtocolError, match=re.escape(named)):
        Acceptor("YOU", supports=[context])
