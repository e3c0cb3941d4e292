"""Status classes, against the codes of PS3.7 Annex C and of the service classes of PS3.4."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sansdimse.dimse import status
from sansdimse.dimse.status import Status, StatusCategory

# Every code and range that PS3.7 9.1, 10.1, Annex C and the service classes of PS3.4 define, by class.
CODES = {
    StatusCategory.SUCCESS: "0000",
    StatusCategory.PENDING: "FF00 FF01",
    StatusCategory.CANCEL: "FE00",
    StatusCategory.WARNING: """
        0001 0107 0116 B000-BFFF B000 B001 B006 B007 B010 B101 B102 B104 B300 B301 B304 B305 B306
        B600 B601 B602 B603 B604 B605 B609 B60A""",
    StatusCategory.FAILURE: """
        0105 0106 0110 0111 0112 0113 0114 0115 0117 0118 0119 0120 0121 0122 0123 0124 0131 0200-02FF 0210
        0211 0212 0213 A000-AFFF A510 A700-A7FF A701 A702 A710 A801 A900-A9FF AA00 AA01 AA02 AA03 AA04
        C000-CFFF C100 C101 C102 C103 C104 C10E C110 C111 C112 C200 C201 C202 C203 C221 C222 C223 C224 C225
        C226 C227 C300 C301 C302 C303 C304 C307 C308 C309 C310 C311 C312 C313 C314 C315 C600 C601 C602 C603
        C604 C605 C606 C613 C616 0100-0106 0108-0115 0117-01FF""",
}


@pytest.mark.parametrize("category", StatusCategory)
def test_every_code_of_the_standard_is_in_its_class(category: StatusCategory) -> None:
    for cell in CODES[category].split():
        first, _, last = cell.partition("-")
        for code in range(int(first, 16), int(last or first, 16) + 1):
            assert Status(code).category is category, f"{code:04X}"


@pytest.mark.parametrize("code", [0x0002, 0x00FF, 0x0300, 0x9FFF, 0xD000, 0xFDFF, 0xFE01, 0xFF02, 0xFFFF])
def test_numbers_outside_every_range_are_failures(code: int) -> None:
    assert Status(code).category is StatusCategory.FAILURE


@given(st.integers(0, 0xFFFF))
def test_a_status_is_its_number(code: int) -> None:
    it = Status(code)
    assert it == code
    assert hash(it) == hash(code)
    assert str(it).startswith(f"0x{code:04X} (")
    assert str(it) == f"{it}"
    assert eval(repr(it), {"Status": Status}) == code
    assert it.is_final is (it.category is not StatusCategory.PENDING)
    if it.is_refused:
        assert it.category is StatusCategory.FAILURE


def test_refused_is_what_the_standard_calls_so() -> None:
    refused = [code for code in range(0x10000) if Status(code).is_refused]
    assert refused == [0x0122, 0x0124, *range(0xA700, 0xA800), 0xA801]


def test_the_constants_have_their_numbers() -> None:
    numbers = {
        "SUCCESS": 0x0000,
        "PENDING": 0xFF00,
        "CANCEL": 0xFE00,
        "OUT_OF_RESOURCES": 0xA700,
        "DATA_SET_MISMATCH": 0xA900,
        "CANNOT_UNDERSTAND": 0xC000,
        "MOVE_DESTINATION_UNKNOWN": 0xA801,
        "PROCESSING_FAILURE": 0x0110,
        "DUPLICATE_SOP_INSTANCE": 0x0111,
        "NO_SUCH_SOP_INSTANCE": 0x0112,
        "INVALID_SOP_INSTANCE": 0x0117,
        "NO_SUCH_SOP_CLASS": 0x0118,
        "SOP_CLASS_NOT_SUPPORTED": 0x0122,
        "NO_SUCH_ACTION_TYPE": 0x0123,
        "NOT_AUTHORIZED": 0x0124,
        "DUPLICATE_INVOCATION": 0x0210,
        "UNRECOGNIZED_OPERATION": 0x0211,
        "MISTYPED_ARGUMENT": 0x0212,
        "RESOURCE_LIMITATION": 0x0213,
    }
    assert {name: getattr(status, name) for name in numbers} == numbers


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (0x0000, "0x0000 (success)"),
        (0xA700, "0xA700 (refused: out of resources)"),
        (0xA7FE, "0xA7FE (refused)"),
        (0xB007, "0xB007 (warning)"),
        (0x0122, "0x0122 (refused: SOP class not supported)"),
        (0xC123, "0xC123 (failure)"),
    ],
)
def test_how_it_reads(code: int, text: str) -> None:
    assert str(Status(code)) == text


def test_meanings_begin_with_the_class() -> None:
    for code, meaning in status._MEANINGS.items():
        kind = "refused" if Status(code).is_refused else Status(code).category.value
        assert meaning.startswith(kind), f"{code:04X}"
