"""The numbers of actions and events, held against facts of PS3.4 and against the table of SOP classes."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom._uid_dict import UID_dictionary

from sansdimse import uids
from sansdimse.services import sop_classes
from sansdimse.services.action_types import (
    action_name,
    action_types,
    event_name,
    event_types,
    well_known_instances,
)
from sansdimse.services.sop_classes import STANDARD, serves

ORACLE = Path(__file__).resolve().parents[3] / "shared" / "standard" / "n_action_event_types.csv"
PUSH = sop_classes.UNIFIED_PROCEDURE_STEP_PUSH

# PS3.4 J.3.2, J.3.3, H.4.1.2.4, H.4.6.2.1, S.3.2, CC.2, KK.2: keyword, service, number, name.
FACTS = """
StorageCommitmentPushModel N-ACTION 1 Request Storage Commitment
StorageCommitmentPushModel N-EVENT-REPORT 2 Request Complete, Failures Exist
BasicFilmSession N-ACTION 1 Print
Printer N-EVENT-REPORT 2 Warning
MediaCreationManagement N-ACTION 2 Cancel Media Creation
UnifiedProcedureStepPull N-ACTION 1 Change UPS State
UnifiedProcedureStepWatch N-ACTION 5 Suspend Global Subscription
UnifiedProcedureStepEvent N-EVENT-REPORT 3 UPS Progress Report
RTIonMachineVerification N-EVENT-REPORT 2 Done
InventoryCreation N-ACTION 13 Cancel
"""


@pytest.mark.parametrize("line", FACTS.strip().splitlines())
def test_names_by_sop_class_and_number(line: str) -> None:
    keyword, service, number, name = line.split(" ", 3)
    row = STANDARD.by_keyword(keyword)
    assert row is not None
    types, lookup = (action_types, action_name) if service == "N-ACTION" else (event_types, event_name)
    assert types(row.uid)[int(number)] == lookup(row.uid, int(number)) == name
    assert lookup(row.uid, 99) is None


@pytest.mark.skipif(not ORACLE.exists(), reason="the tables are not here")
def test_the_numbers_are_the_standards() -> None:
    with ORACLE.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    expected = {
        (uid, row["dimse_service"], int(row["type_id"]), row["name"])
        for row in rows
        for uid in row["sop_class_uid"].split()
    }
    assert expected == {
        (uid, service, number, name)
        for uid in STANDARD.rows
        for service, types in (("N-ACTION", action_types(uid)), ("N-EVENT-REPORT", event_types(uid)))
        for number, name in types.items()
    }
    for row in rows:
        for uid in row["sop_class_uid"].split():
            assert all(
                instance in row["sop_instance"] or "the " in row["sop_instance"]
                for instance in well_known_instances(uid)
            )
            if row["sop_instance"].startswith("well-known "):
                assert well_known_instances(uid) == (row["sop_instance"].removeprefix("well-known "),)


def test_whoever_has_the_service_has_numbers_and_nobody_else() -> None:
    unnumbered = set()
    for row in STANDARD:
        assert not action_types(row.uid) or serves(row.uid, "N-ACTION")
        assert not event_types(row.uid) or serves(row.uid, "N-EVENT-REPORT")
        for service, types in (("N-ACTION", action_types), ("N-EVENT-REPORT", event_types)):
            if service in row.dimse_services and not types(row.uid):
                unnumbered.add((row.keyword, service))
    # A Meta SOP class has those of its members.
    assert unnumbered == {
        (f"Basic{colour}PrintManagementMeta", service)
        for colour in ("Grayscale", "Color")
        for service in ("N-ACTION", "N-EVENT-REPORT")
    }


def test_commands_of_ups_name_push_in_any_context() -> None:
    ups = [row.uid for row in STANDARD if row.service_class == "Unified Procedure Step"]
    assert [action_name(PUSH, number) for number in range(1, 6)] == [
        "Change UPS State",
        "Request UPS Cancel",
        "Subscribe to Receive UPS Event Reports",
        "Unsubscribe from Receiving UPS Event Reports",
        "Suspend Global Subscription",
    ]
    assert event_name(PUSH, 5) == "UPS Assigned"
    numbers = [(number, name) for uid in ups for number, name in action_types(uid).items()]
    assert len({number for number, _ in numbers}) == len(set(numbers)), "no number means two things"
    assert action_name(sop_classes.UNIFIED_PROCEDURE_STEP_PULL, 3) is None


def test_a_meta_sop_class_stands_for_its_members_and_no_member_for_it() -> None:
    meta = sop_classes.BASIC_COLOR_PRINT_MANAGEMENT_META
    assert (action_name(meta, 1), event_name(meta, 3)) == ("Print", "Failure")
    assert event_name(sop_classes.BASIC_FILM_SESSION, 1) is None
    assert action_types(meta) == {}


@given(st.text() | st.sampled_from([*STANDARD.rows]), st.integers(-1, 70000))
def test_nothing_fails_on_the_unknown(uid: str, number: int) -> None:
    for name in (action_name(uid, number), event_name(uid, number)):
        assert name is None or (name and uid in STANDARD.rows)
    assert number not in action_types("1.2.3")
    assert well_known_instances("1.2.3") == ()


def test_nobody_changes_the_table() -> None:
    for types in (action_types(PUSH), action_types("1.2.3"), event_types("1.2.3")):
        with pytest.raises(TypeError):
            types[1] = "mine"  # type: ignore[index]


def test_well_known_instances_are_pydicoms() -> None:
    theirs = {uid for uid, entry in UID_dictionary.items() if entry[1].startswith("Well-known SOP") and not entry[3]}
    palettes = {uid for uid in theirs if uid.startswith("1.2.840.10008.1.5.")}
    ours = {instance for row in STANDARD for instance in well_known_instances(row.uid)}
    assert ours == theirs - palettes
    assert well_known_instances(sop_classes.PRINTER) == (uids.PRINTER_INSTANCE,)
