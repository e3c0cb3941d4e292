"""The meanings of statuses, held against facts of PS3.7 and PS3.4."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sansdimse.dimse.status import Status, StatusCategory
from sansdimse.services import sop_classes as of
from sansdimse.services.sop_classes import STANDARD, ServiceClass
from sansdimse.services.statuses import FAILURE_REASONS, all_statuses, meaning_for, meaning_of, statuses_of

ORACLE = Path(__file__).resolve().parents[3] / "shared" / "standard" / "statuses.csv"

# PS3.7 9.1 and 10.1: the codes each DIMSE service may answer whatever the service class.
GENERAL = """
C-ECHO 0000 0122 0210 0211 0212
C-STORE 0000 0117 0122 0124 0210 0211 0212
C-FIND 0000 0122 0124 0210 0211 0212 FE00
C-GET 0000 0122 0124 0210 0211 0212 FE00
C-MOVE 0000 0122 0124 0210 0211 0212 FE00
"""

# PS3.4 A.5, B.2.3, GG.2.3, C.4.1.1.4, C.4.2.1.5, C.4.3.1.4, K.4.1.1.4.
BY_SERVICE_CLASS = """
Verification | C-ECHO | 0000
Storage | C-STORE | 0000 A700-A7FF A900-A9FF B000 B006 B007 C000-CFFF
Non-Patient Object Storage | C-STORE | 0000 A700 A900 C000
Query/Retrieve | C-MOVE | 0000 A701 A702 A801 A900 B000 C000-CFFF FE00 FF00
Query/Retrieve | C-GET | 0000 A701 A702 A900 B000 C000-CFFF FE00 FF00
Hanging Protocol Query/Retrieve | C-MOVE | 0000 A701 A702 A801 A900 B000 C000-CFFF FE00 FF00
Basic Worklist Management | C-FIND | 0000 A700 A900 C000-CFFF FE00 FF00 FF01
"""


def codes(service_class: ServiceClass | None, dimse_service: str) -> set[str]:
    rows = statuses_of(service_class, dimse_service)
    return {f"{row.first:04X}" + (f"-{row.last:04X}" if row.last != row.first else "") for row in rows}


@pytest.mark.parametrize("line", GENERAL.strip().splitlines())
def test_the_general_statuses(line: str) -> None:
    service, *expected = line.split()
    assert codes(None, service) == set(expected)


@pytest.mark.parametrize("line", BY_SERVICE_CLASS.strip().splitlines())
def test_the_statuses_of_a_service_class(line: str) -> None:
    service_class, dimse_service, expected = line.split(" | ")
    assert codes(ServiceClass(service_class), dimse_service) == set(expected.split())


def test_rows_are_well_formed() -> None:
    assert len(all_statuses()) == 489
    for row in all_statuses():
        assert 0 <= row.first <= row.last <= 0xFFFF
        assert row.category is Status(row.first).category is Status(row.last).category
        assert re.fullmatch(
            r"C-(ECHO|STORE|FIND|GET|MOVE)|N-(EVENT-REPORT|GET|SET|ACTION|CREATE|DELETE)", row.dimse_service
        )
        assert all(element <= 0x1023 for element in row.related_elements)
        assert row.meaning
        assert row.scope
        assert row.first in row
        assert row.last in row
        assert row.last + 1 not in row


@pytest.mark.skipif(not ORACLE.exists(), reason="the tables are not here")
def test_the_rows_are_the_standards() -> None:
    with ORACLE.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    names = {"DIMSE general": None, "Modality Performed Procedure Step": ServiceClass.PROCEDURE_STEP}
    expected, reasons = set(), {}
    for row in rows:
        if "Failure Reason" in row["scope"]:
            reasons[int(row["code"], 16)] = row["meaning"]
        elif row["code"] != "general" and row["service"] != "status class convention":
            name = row["service"].removesuffix(": Repository Query")
            service_class = names[name] if name in names else ServiceClass(name)
            first, _, last = row["code"].partition("-")
            span = int(first, 16), int(last or first, 16)
            related = {int(element, 16) for element in re.findall(r"\(0000,(....)\)", row["related_fields"])}
            category = StatusCategory(row["category"].lower())
            what = frozenset(related), category, row["meaning"]
            expected.add((service_class, row["dimse_service"], *span, *what))
    assert reasons == FAILURE_REASONS
    assert expected == {
        (
            row.service_class,
            row.dimse_service,
            row.first,
            row.last,
            frozenset(row.related_elements),
            row.category,
            row.meaning,
        )
        for row in all_statuses()
    }


COMMANDS = ORACLE.with_name("dimse_commands.csv")


@pytest.mark.skipif(not COMMANDS.exists(), reason="the tables are not here")
def test_related_elements_are_of_the_response() -> None:
    with COMMANDS.open(encoding="utf-8", newline="") as file:
        allowed = {(row["message"], int(row["tag"][6:10], 16)) for row in csv.DictReader(file)}
    either = {0x1002, 0x1008}  # 0114 and 0115 are told of for events and actions together
    for row in all_statuses():
        for element in row.related_elements:
            tags = either if element in either else {element}
            assert any((row.dimse_service + "-RSP", tag) in allowed for tag in tags), row


def test_meaning_of() -> None:
    refused = meaning_of(0xA701, ServiceClass.STORAGE, "C-STORE")
    assert refused is not None
    assert (refused.meaning, refused.related_elements) == ("refused: out of resources", (0x0902,))
    # The same number means something else to another service class.
    counted = meaning_of(0xA701, ServiceClass.QUERY_RETRIEVE, "C-MOVE")
    assert counted is not None
    assert counted.meaning != refused.meaning
    # The service class's own meaning goes before the general one.
    stored = meaning_of(0x0000, ServiceClass.STORAGE, "C-STORE")
    assert stored is not None
    assert stored.meaning == "stored"
    general = meaning_of(0x0122, ServiceClass.STORAGE, "C-STORE")
    assert general is not None
    assert general.service_class is None
    assert meaning_of(0x0122, None, "C-STORE") is general
    assert meaning_of(0xB123, ServiceClass.STORAGE, "C-STORE") is None


@given(st.integers(0, 0xFFFF), st.sampled_from([None, *ServiceClass]), st.sampled_from(["C-STORE", "C-FIND", "N-SET"]))
def test_a_meaning_is_of_the_code_the_service_and_the_class_asked_for(
    code: int, service_class: ServiceClass | None, dimse_service: str
) -> None:
    row = meaning_of(code, service_class, dimse_service)
    if row is not None:
        assert code in row
        assert row.dimse_service == dimse_service
        dependent = service_class in (ServiceClass.DICOS_STORAGE, ServiceClass.DICONDE_STORAGE)
        assert row.service_class in (None, ServiceClass.STORAGE if dependent else service_class)
        assert row in statuses_of(row.service_class)


def test_every_service_of_every_sop_class_has_a_success_and_what_anyone_may_refuse_with() -> None:
    for row in STANDARD:
        for service in row.dimse_services:
            success = meaning_for(0x0000, row.uid, service)
            assert success is not None
            assert success.category is StatusCategory.SUCCESS
            assert not success.sop_classes or success.sop_classes & set(STANDARD.stands_for(row.uid))
            for refusal in (0x0210, 0x0211, 0x0212):
                assert meaning_for(refusal, row.uid, service) is not None


def test_scopes_name_sop_classes_that_have_the_service() -> None:
    for row in all_statuses():
        for uid in row.sop_classes:
            assert STANDARD.serves(uid, row.dimse_service), row
            assert STANDARD.service_class_of(uid) is row.service_class
        assert not row.action_types or row.dimse_service == "N-ACTION"
    assert {row.scope for row in all_statuses() if row.action_types} == {
        "Pull (action 1 change state)",
        "Push, Watch (action 2 request cancel)",
        "Watch (actions 3, 4, 5 subscription)",
    }


PUSH, WATCH = of.UNIFIED_PROCEDURE_STEP_PUSH, of.UNIFIED_PROCEDURE_STEP_WATCH


@pytest.mark.parametrize(
    ("code", "sop_class_uid", "dimse_service", "action_type", "meaning"),
    [
        (0x0000, of.BASIC_FILM_SESSION, "N-CREATE", None, "film session created/updated"),
        (0x0000, of.BASIC_FILM_BOX, "N-CREATE", None, "film box created"),
        (0x0000, of.BASIC_FILM_BOX, "N-SET", None, "success"),
        (0x0000, of.BASIC_GRAYSCALE_IMAGE_BOX, "N-SET", None, "image stored in image box"),
        (0x0000, of.UNIFIED_PROCEDURE_STEP_PULL, "N-ACTION", 1, "state changed"),
        (0x0000, WATCH, "N-ACTION", 2, "cancel request acknowledged"),
        (0x0000, WATCH, "N-ACTION", 4, "subscription state changed"),
        (0x0000, PUSH, "N-ACTION", None, "cancel request acknowledged"),
        (0x0000, PUSH, "N-ACTION", 1, "state changed"),
        (0x0000, PUSH, "N-ACTION", 3, "subscription state changed"),
        (0x0000, of.CT_IMAGE_STORAGE, "C-STORE", None, "stored"),
        (0x0000, of.BASIC_ANNOTATION_BOX, "N-GET", None, "success"),
        (0x0211, "1.2.3", "N-GET", None, "operation not agreed for this association / SOP Class"),
        (0xB000, "1.2.3", "C-STORE", None, None),
        (0xFF00, of.CT_IMAGE_STORAGE, "C-STORE", None, None),
    ],
)
def test_meaning_for_a_sop_class_and_an_action(
    code: int, sop_class_uid: str, dimse_service: str, action_type: int | None, meaning: str | None
) -> None:
    row = meaning_for(code, sop_class_uid, dimse_service, action_type=action_type)
    assert (None if row is None else row.meaning) == meaning


def test_a_meta_sop_class_means_what_its_members_do() -> None:
    boxes = {
        meaning.meaning
        for uid in (of.BASIC_GRAYSCALE_PRINT_MANAGEMENT_META, of.BASIC_COLOR_PRINT_MANAGEMENT_META)
        for meaning in [meaning_for(0x0000, uid, "N-ACTION")]
        if meaning
    }
    assert boxes == {"films of the session accepted for printing; Print Job created if supported"}


def test_a_private_sop_class_means_what_its_row_says() -> None:
    table = STANDARD.with_private(of.private_like("1.2.3", of.CT_IMAGE_STORAGE))
    coerced = meaning_for(0xB000, "1.2.3", "C-STORE", sop_classes=table)
    assert coerced is meaning_of(0xB000, ServiceClass.STORAGE, "C-STORE") is not None


def test_storage_of_other_standards_answers_as_storage() -> None:
    for service_class in (ServiceClass.DICOS_STORAGE, ServiceClass.DICONDE_STORAGE):
        for code in (0xA700, 0xA900, 0xB000, 0xB006, 0xB007, 0xC123, 0x0000):
            assert meaning_of(code, service_class, "C-STORE") is meaning_of(code, ServiceClass.STORAGE, "C-STORE")


@given(st.integers(0, 0xFFFF), st.sampled_from([*STANDARD.rows, "1.2.3"]), st.none() | st.integers(0, 20))
def test_meaning_for_finds_something_where_meaning_of_does(code: int, uid: str, action_type: int | None) -> None:
    for service in ("C-FIND", "N-ACTION", "N-SET"):
        first = meaning_of(code, STANDARD.service_class_of(uid), service)
        best = meaning_for(code, uid, service, action_type=action_type)
        assert (best is None) == (first is None)
        if best is not None:
            assert code in best
            assert best.dimse_service == service
