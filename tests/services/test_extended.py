"""Extended negotiation as typed values: the tables of PS3.4, what is answered, and what both sides read of it."""

from __future__ import annotations

import dataclasses
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sansdimse.errors import LocalProtocolError
from sansdimse.services import sop_classes
from sansdimse.services.extended import (
    ApplicationInformation,
    CompositeRetrieveExtended,
    QueryExtended,
    RetrieveExtended,
    StorageExtended,
    WorklistExtended,
    agreed_for,
    extended_of,
    extended_type,
    negotiation,
    negotiations,
)
from sansdimse.services.sop_classes import STANDARD, ServiceClass, SopClass
from sansdimse.ul.agreement import Agreement
from sansdimse.ul.items import ExtendedNegotiation
from sansdimse.ul.negotiation import agree, answer, propose
from sansdimse.ul.parties import Acceptor, Extended, Requestor
from sansdimse.ul.pdu import AAssociateAC

FIND, MOVE, CT = sop_classes.STUDY_ROOT_FIND, sop_classes.STUDY_ROOT_MOVE, sop_classes.CT_IMAGE_STORAGE
WORKLIST, COMPOSITE = sop_classes.MODALITY_WORKLIST_FIND, sop_classes.COMPOSITE_INSTANCE_ROOT_GET
PRIVATE: Final = "1.3.12.2.1107.5.9.1"

# PS3.4 C.5.1.1, C.5.2.1, K.5.1, Y.5.1.1: the field of each byte, or what is always there.
TABLES: dict[type[ApplicationInformation], str] = {
    QueryExtended: "relational combined_datetime fuzzy_names timezone multi_frame_view empty_value multiple_value",
    RetrieveExtended: "relational multi_frame_view",
    WorklistExtended: "=1 =1 fuzzy_names timezone",
    CompositeRetrieveExtended: "=0 multi_frame_view",
}
LEAST: dict[type[ApplicationInformation], int] = {
    QueryExtended: 1,
    RetrieveExtended: 1,
    WorklistExtended: 3,
    CompositeRetrieveExtended: 2,
}
OF: dict[type[ApplicationInformation], str] = {
    QueryExtended: FIND,
    RetrieveExtended: MOVE,
    WorklistExtended: WORKLIST,
    CompositeRetrieveExtended: COMPOSITE,
    StorageExtended: CT,
}


def bytes_of(value: ApplicationInformation) -> bytes:
    """All bytes of a row of switches, read off the table above."""
    columns = TABLES[type(value)].split()
    return bytes(int(each[1:]) if each[0] == "=" else getattr(value, each) for each in columns)


kinds = st.sampled_from(list(TABLES))
switches = kinds.flatmap(
    lambda kind: st.builds(kind, **{each: st.booleans() for each in TABLES[kind].split() if each[0] != "="})
)
pairs = switches.flatmap(
    lambda one: st.tuples(
        st.just(one), st.builds(type(one), **{each.name: st.booleans() for each in dataclasses.fields(one)})
    )
)
storages = st.integers(0, 3).flatmap(
    lambda level: st.builds(
        StorageExtended, st.just(level), st.integers(0, 3 if level == 2 else 0), coercion=st.integers(0, 2)
    )
)
values = switches | storages


def negotiated(offered: ApplicationInformation | bytes, ours: Extended | None, uid: str = FIND) -> list[Agreement]:
    """What both sides read, the requestor first."""
    requestor = Requestor("ME", "PACS", [uid], extended=(negotiation(uid, offered),))
    request = propose(requestor)
    reply = answer(Acceptor("PACS", [uid], extended={} if ours is None else {uid: ours}), request)
    assert isinstance(reply, AAssociateAC)
    return [agree(request, reply, requestor=side) for side in (True, False)]


# ---------------------------------------------------------------- bytes


@given(values)
def test_what_is_encoded_is_read_again(value: ApplicationInformation) -> None:
    assert type(value).decode(value.encode()) == value


@given(switches)
def test_switches_are_encoded_as_the_tables_say_and_as_short_as_they_may(value: ApplicationInformation) -> None:
    encoded, full, least = value.encode(), bytes_of(value), LEAST[type(value)]
    assert encoded.ljust(len(full), b"\0") == full
    assert least <= len(encoded) <= len(full)
    assert len(encoded) == least or encoded[-1] == 1


@given(storages)
def test_storage_has_six_bytes(value: StorageExtended) -> None:
    assert value.encode() == bytes((value.level, 0, value.signature_level, 0, value.coercion, 0))


@pytest.mark.parametrize(
    ("value", "encoded"),
    [
        (QueryExtended(), b"\0"),
        (QueryExtended(relational=True), b"\1"),
        (QueryExtended(multiple_value=True), b"\0\0\0\0\0\0\1"),
        (RetrieveExtended(multi_frame_view=True), b"\0\1"),
        (WorklistExtended(), b"\1\1\0"),
        (WorklistExtended(timezone=True), b"\1\1\0\1"),
        (CompositeRetrieveExtended(), b"\0\0"),
        (CompositeRetrieveExtended(multi_frame_view=True), b"\0\1"),
        (StorageExtended(), b"\3\0\0\0\2\0"),
        (StorageExtended(level=2, signature_level=3, coercion=0), b"\2\0\3\0\0\0"),
    ],
)
def test_some_by_hand(value: ApplicationInformation, encoded: bytes) -> None:
    assert value.encode() == encoded


@given(st.sampled_from(list(OF)), st.binary(max_size=12))
def test_any_bytes_are_read_and_missing_ones_are_zero(kind: type[ApplicationInformation], information: bytes) -> None:
    value = kind.decode(information)
    assert value == kind.decode(information.ljust(12, b"\0"))
    assert kind.decode(value.encode()) == value
    for column, byte in zip(TABLES.get(kind, "").split(), information, strict=False):
        if column[0] != "=":
            assert getattr(value, column) is (byte == 1)


def test_numbers_of_storage_that_are_none_say_nothing() -> None:
    assert StorageExtended.decode(b"\x09\0\x09\0\x09\0") == StorageExtended()
    assert StorageExtended.decode(b"\2\0\x09\0\1\0") == StorageExtended(2, 0, 1)
    assert StorageExtended.decode(b"\1\0\3\0\1\0") == StorageExtended(1, 0, 1), "no level 2, no signature level"
    assert StorageExtended.decode(b"\2\7\1\7\1\7\7") == StorageExtended(2, 1, 1), "reserved bytes are not tested"


@pytest.mark.parametrize(
    ("given_numbers", "named"),
    [
        ({"level": 4}, "level 4"),
        ({"level": -1}, "level -1"),
        ({"level": 2, "signature_level": 4}, "signature_level 4"),
        ({"coercion": 3}, "coercion 3"),
        ({"level": 1, "signature_level": 1}, "only a level 2 SCP"),
    ],
)
def test_storage_says_nothing_that_the_standard_has_no_words_for(given_numbers: dict[str, int], named: str) -> None:
    with pytest.raises(LocalProtocolError, match=named):
        StorageExtended(**given_numbers)


# ---------------------------------------------------------------- answers


@given(switches, st.binary(max_size=12))
def test_an_answer_turns_down_and_never_adds(ours: ApplicationInformation, offered: bytes) -> None:
    answered = ours.answer(offered)
    full = bytes_of(ours)
    if not offered:
        assert answered is None
        return
    assert answered is not None
    assert len(answered) == min(len(offered), len(full)), "one byte for one, three for three (C.5.1.1, K.5.1)"
    for column, mine, theirs, byte in zip(TABLES[type(ours)].split(), full, offered, answered, strict=False):
        assert byte == (mine if column[0] == "=" else int(mine == theirs == 1))


@given(storages, st.binary(max_size=8))
def test_storage_answers_what_it_is_whatever_was_offered(ours: StorageExtended, offered: bytes) -> None:
    assert ours.answer(offered) == ours.encode()


@given(pairs)
def test_agreed_is_what_both_sides_said_and_both_sides_read_it_alike(
    pair: tuple[ApplicationInformation, ApplicationInformation],
) -> None:
    offered, supported = pair
    uid = OF[type(offered)]
    for side in negotiated(offered, supported, uid):
        agreed = type(offered).of(side, uid)
        assert agreed == offered.agreed(supported) == agreed_for(side, uid)
        for each in dataclasses.fields(offered):
            both = getattr(offered, each.name) and getattr(supported, each.name)
            assert getattr(agreed, each.name) is both


@given(storages, storages)
def test_of_storage_one_reads_what_the_acceptor_is(offered: StorageExtended, ours: StorageExtended) -> None:
    for side in negotiated(offered, ours, CT):
        assert StorageExtended.of(side, CT) == ours == agreed_for(side, CT)
        assert StorageExtended.decode(side.extended_offered[CT]) == offered


def test_bytes_and_functions_are_answered_as_ever() -> None:
    raw: list[tuple[Extended, bytes | None]] = [
        (b"\1\0\1", b"\1\0"),
        (lambda offered: offered[:1], b"\1"),
        (lambda offered: None, None),
        (QueryExtended(combined_datetime=True), b"\0\1"),
    ]
    for ours, expected in raw:
        assert negotiated(b"\1\1", ours)[0].extended.get(FIND) == expected


def test_what_was_not_answered_is_not_agreed() -> None:
    for side in negotiated(QueryExtended(relational=True), None):
        assert agreed_for(side, FIND) is None
        assert QueryExtended.of(side, FIND) == QueryExtended()
        assert agreed_for(side, "1.2.3") is None


def test_an_answer_beyond_the_offer_is_not_agreed() -> None:
    """A peer that says more than it was asked: read by rule, not by trust."""
    side, _ = negotiated(QueryExtended(relational=True), lambda offered: b"\1\1\1\1\1\1\1\1")
    assert QueryExtended.of(side, FIND) == QueryExtended(relational=True)


# ---------------------------------------------------------------- which SOP class has which


def test_every_sop_class_has_the_layout_of_its_service_class() -> None:
    by_kind: dict[str, set[str]] = {}
    for row in STANDARD:
        kind = extended_type(row.uid)
        service = "C-FIND" if "C-FIND" in row.dimse_services else "C-GET" if row.information_model else ""
        by_kind.setdefault(kind.__name__ if kind else "", set()).add(f"{row.service_class} {service}".strip())
    none = by_kind.pop("")
    assert by_kind == {
        "QueryExtended": {"Query/Retrieve C-FIND"},
        "RetrieveExtended": {"Query/Retrieve C-GET"},
        "CompositeRetrieveExtended": {
            "Composite Instance Root Retrieve C-GET",
            "Composite Instance Retrieve Without Bulk Data C-GET",
        },
        "WorklistExtended": {
            "Basic Worklist Management C-FIND",
            "Hanging Protocol Query/Retrieve C-FIND",
            "Color Palette Query/Retrieve C-FIND",
            "Implant Template Query/Retrieve C-FIND",
            "Unified Procedure Step C-FIND",
            "Defined Procedure Protocol Query/Retrieve C-FIND",
            "Protocol Approval Query/Retrieve C-FIND",
            "Inventory Query/Retrieve C-FIND",
        },
        "StorageExtended": {"Storage", "Storage (DICOS)", "Storage (DICONDE)"},
    }
    # A.5, F, GG.2, J, Q, S, V.5: no extended negotiation; nor where there is no C-FIND (U.4.2 and its like).
    assert {
        "Verification",
        "Non-Patient Object Storage",
        "Procedure Step",
        "Storage Commitment",
        "Media Creation Management",
        "Relevant Patient Information Query C-FIND",
        "Substance Administration Query C-FIND",
        "Hanging Protocol Query/Retrieve C-GET",
        "Unified Procedure Step",
        "Print Management",
    } <= none


def test_bytes_are_read_by_sop_class() -> None:
    assert extended_of(FIND, b"\1") == QueryExtended(relational=True)
    assert extended_of(sop_classes.PATIENT_STUDY_ONLY_GET, b"\1") == RetrieveExtended(relational=True)
    assert extended_of(sop_classes.UNIFIED_PROCEDURE_STEP_PULL, b"\1\1\1") == WorklistExtended(fuzzy_names=True)
    assert extended_of(sop_classes.VERIFICATION, b"\1") is None
    assert extended_of(PRIVATE, b"\1") is None


def test_a_private_sop_class_negotiates_as_its_row_says() -> None:
    row = SopClass(PRIVATE, "", "ours", ServiceClass.QUERY_RETRIEVE, frozenset({"C-FIND"}))
    table = STANDARD.with_private(row)
    assert extended_type(PRIVATE, table) is QueryExtended
    assert extended_of(PRIVATE, b"\0\1", table) == QueryExtended(combined_datetime=True)
    assert negotiation(PRIVATE, QueryExtended(relational=True), table).information == b"\1"
    with pytest.raises(LocalProtocolError, match="ours has QueryExtended, not RetrieveExtended"):
        negotiation(PRIVATE, RetrieveExtended(), table)
    for side in negotiated(b"\1\1", QueryExtended(combined_datetime=True), PRIVATE):
        assert agreed_for(side, PRIVATE, table) == QueryExtended(combined_datetime=True)
        assert agreed_for(side, PRIVATE) is None


# ---------------------------------------------------------------- proposing


@given(values)
def test_a_value_is_proposed_for_its_own_sop_classes(value: ApplicationInformation) -> None:
    uid = OF[type(value)]
    assert negotiation(uid, value) == ExtendedNegotiation(uid, value.encode())
    assert negotiation(PRIVATE, value) == ExtendedNegotiation(PRIVATE, value.encode())
    for kind, other in OF.items():
        if kind is not type(value):
            with pytest.raises(LocalProtocolError, match=f"has {kind.__name__}, not {type(value).__name__}"):
                negotiation(other, value)


def test_where_nothing_is_negotiated_no_value_is_proposed() -> None:
    with pytest.raises(LocalProtocolError, match="Verification SOP Class has no extended negotiation"):
        negotiation(sop_classes.VERIFICATION, QueryExtended())
    assert negotiation(sop_classes.VERIFICATION, b"\1") == ExtendedNegotiation(sop_classes.VERIFICATION, b"\1")


def test_offers_by_sop_class_and_items_in_full() -> None:
    offers: dict[str, Any] = {FIND: QueryExtended(relational=True), CT: b"\2\0\0\0\0\0"}
    items = negotiations(offers)
    assert items == (ExtendedNegotiation(FIND, b"\1"), ExtendedNegotiation(CT, b"\2\0\0\0\0\0"))
    assert negotiations(list(items)) == items
    assert negotiations(()) == ()
