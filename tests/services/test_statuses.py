"""The meanings of statuses, held against facts of PS3.7 and PS3.4."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sansdimse.dimse.status import Status, StatusCategory
from sansdimse.services.sop_classes import ServiceClass
from sansdimse.services.statuses import FAILURE_REASONS, all_statuses, meaning_of, statuses_of

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
        assert row.service_class in (None, service_class)
        assert row in statuses_of(row.service_class)
