"""The counts of a C-GET or C-MOVE: they add up, and the final status follows from them (PS3.4 C.4.2, C.4.3)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sansdimse.dataset import decode
from sansdimse.dimse.messages import CGetRSP, CMoveRSP
from sansdimse.dimse.status import CANCEL, COERCED, PENDING, SUCCESS, Status, StatusCategory
from sansdimse.errors import LocalProtocolError
from sansdimse.limits import Limits
from sansdimse.services.suboperations import MOST_COUNTED, SubOperations, failed_list, is_count
from sansdimse.uids import (
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    EXPLICIT_VR_BIG_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
)

REMAINING = "number_of_remaining_suboperations"
COMPLETED = "number_of_completed_suboperations"
FAILED = "number_of_failed_suboperations"
WARNING = "number_of_warning_suboperations"

GOOD, WARNED, BAD = 0x0000, 0xB000, 0xA700
_ends = st.sampled_from([GOOD, GOOD, WARNED, 0xB007, 0x0107, BAD, 0xC001, 0x0122, 0x1234, 0xFE00, 0xFF00])


def counted(*statuses: int, expected: int | None = None) -> SubOperations:
    """Sub-operations that ended with these, of so many."""
    counts = SubOperations()
    counts.expect(len(statuses) if expected is None else expected)
    for number, status in enumerate(statuses):
        counts.record(status, f"1.2.{number}")
    return counts


def state(counts: SubOperations) -> Any:
    return dict(vars(counts), failed_instances=list(counts.failed_instances))


# ---------------------------------------------------------------- any mix


@settings(max_examples=300)
@given(st.lists(_ends, max_size=12), st.integers(0, 5), st.booleans(), st.sampled_from([None, 0, 0xFE00, 0xC411]))
def test_counts_add_up_and_say_how_it_ends(ends: list[int], undelivered: int, unnamed: bool, said: int | None) -> None:
    counts = SubOperations()
    expected = len(ends) + undelivered
    counts.expect(expected)
    failed = []
    for number, status in enumerate(ends):
        uid = None if unnamed and number % 2 else f"1.2.{number}"
        counts.record(status, uid)
        assert min(counts.completed, counts.failed, counts.warning, counts.remaining) >= 0
        assert counts.completed + counts.failed + counts.warning + counts.remaining == expected
        assert counts.counters(PENDING)[REMAINING] == expected - number - 1
        if Status(status).category not in (StatusCategory.SUCCESS, StatusCategory.WARNING) and uid:
            failed.append(uid)
    assert counts.failed_instances == failed

    final = counts.final(said)
    good = [Status(end).category for end in ends].count(StatusCategory.SUCCESS)
    warned = [Status(end).category for end in ends].count(StatusCategory.WARNING)
    if said:
        assert final == said
    elif good == expected:
        assert final == 0x0000
    elif good or warned:
        assert final == 0xB000
    else:
        assert final == 0xA702

    told = counts.counters(final)
    if final == CANCEL:
        assert told[REMAINING] == undelivered
        assert told[FAILED] == len(ends) - good - warned
    else:
        assert REMAINING not in told
        assert told[FAILED] == expected - good - warned
    assert sum(told.values()) == expected  # type: ignore[arg-type]
    assert set(told) - {REMAINING} == {COMPLETED, FAILED, WARNING}
    for response in (CGetRSP, CMoveRSP):
        made = response(message_id_being_responded_to=1, status=final, **told)
        assert (made.number_of_completed_suboperations, made.number_of_warning_suboperations) == (good, warned)


@pytest.mark.parametrize(
    ("ends", "expected", "final"),
    [
        ([], None, SUCCESS),
        ([GOOD, GOOD], None, SUCCESS),
        ([GOOD, WARNED], None, COERCED),
        ([WARNED, WARNED], None, COERCED),
        ([GOOD, BAD], None, COERCED),
        ([WARNED, BAD], None, COERCED),
        ([BAD, BAD], None, 0xA702),
        ([], 2, 0xA702),
        ([GOOD], 2, COERCED),
        ([BAD], 2, 0xA702),
    ],
)
@pytest.mark.parametrize("said", [None, 0])
def test_the_final_status(ends: list[int], expected: int | None, final: int, said: int | None) -> None:
    assert counted(*ends, expected=expected).final(said) == final


@pytest.mark.parametrize("status", [0xA701, 0xA900, 0xC411, 0xFE00, 0xB000])
def test_what_the_user_says_stands_but_success(status: int) -> None:
    for ends in ([GOOD], [BAD], [GOOD, BAD, WARNED]):
        final = counted(*ends).final(status)
        assert final == status
        assert isinstance(final, Status)


def test_before_anything_is_known() -> None:
    counts = SubOperations()
    assert (counts.remaining, counts.is_clamped) == (0, False)
    assert counts.final(None) == SUCCESS
    assert counts.counters(Status(0xC411)) == {COMPLETED: 0, FAILED: 0, WARNING: 0}
    assert counts.counters(CANCEL) == {REMAINING: 0, COMPLETED: 0, FAILED: 0, WARNING: 0}
    assert repr(counted(GOOD, BAD, expected=3)) == "<SubOperations remaining 1, completed 1, failed 1, warning 0>"


# ---------------------------------------------------------------- what is refused changes nothing


@pytest.mark.parametrize("count", [-1, 1.0, "3", None, True, False])
def test_what_is_no_number_of_sub_operations(count: Any) -> None:
    counts = SubOperations()
    assert not is_count(count)
    with pytest.raises(LocalProtocolError, match="is no number of sub-operations"):
        counts.expect(count)
    assert counts.expected is None
    counts.expect(0)
    assert counts.expected == 0


def test_how_many_is_told_once() -> None:
    counts = counted(GOOD, expected=2)
    before = state(counts)
    for count in (2, 3):
        with pytest.raises(LocalProtocolError, match="2 sub-operations were announced already"):
            counts.expect(count)
    assert state(counts) == before


def test_nothing_ends_before_how_many_is_known() -> None:
    counts = SubOperations()
    for verb in (counts.check_room, lambda: counts.record(GOOD, "1.2")):
        with pytest.raises(LocalProtocolError, match=r"was not told yet: expect\(count\)"):
            verb()
    assert state(counts) == state(SubOperations())


@pytest.mark.parametrize("status", [GOOD, WARNED, BAD])
def test_one_more_than_announced(status: int) -> None:
    counts = counted(GOOD, BAD)
    before = state(counts)
    with pytest.raises(LocalProtocolError, match="2 sub-operations were announced, and this is one more"):
        counts.record(status, "1.2.9")
    assert state(counts) == before


def test_what_runs_has_its_place() -> None:
    counts = counted(GOOD, expected=3)
    counts.check_room()
    counts.check_room(1)
    with pytest.raises(LocalProtocolError, match="3 sub-operations were announced, and this is one more"):
        counts.check_room(2)


# ---------------------------------------------------------------- the bounds of what can be told


def test_counters_are_clamped() -> None:
    counts = SubOperations()
    counts.expect(MOST_COUNTED)
    assert not counts.is_clamped
    counts = SubOperations()
    counts.expect(200_000)
    assert counts.is_clamped
    assert counts.counters(PENDING)[REMAINING] == 65535
    counts.completed = counts.warning = 65536
    assert counts.counters(SUCCESS) == {COMPLETED: 65535, FAILED: 65535, WARNING: 65535}
    assert counts.remaining == 200_000 - 2 * 65536


def test_no_more_failed_instances_are_kept_than_can_be_counted() -> None:
    counts = SubOperations()
    counts.expect(MOST_COUNTED + 2)
    counts.failed_instances = ["1.2"] * (MOST_COUNTED - 1)
    counts.record(BAD, "1.3")
    counts.record(BAD, "1.4")
    assert (len(counts.failed_instances), counts.failed_instances[-1], counts.failed) == (MOST_COUNTED, "1.3", 2)


# ---------------------------------------------------------------- the list

SYNTAXES = [
    IMPLICIT_VR_LITTLE_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
    EXPLICIT_VR_BIG_ENDIAN,
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
]


@pytest.mark.parametrize("syntax", SYNTAXES)
@settings(max_examples=40)
@given(st.lists(st.integers(0, 10**12).map(lambda n: f"1.2.{n}"), min_size=1, max_size=20))
def test_the_list_of_those_failed_is_a_data_set_in_every_syntax(syntax: str, instances: list[str]) -> None:
    data_set = failed_list(instances, syntax)
    assert len(data_set) % 2 == 0
    decoded = decode(data_set, syntax)
    assert [element.keyword for element in decoded] == ["FailedSOPInstanceUIDList"]
    found = decoded.FailedSOPInstanceUIDList
    assert ([found] if isinstance(found, str) else list(found)) == instances


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize(("count", "vr"), [(1023, "UI"), (1024, "UN"), (5000, "UN")])
def test_a_list_longer_than_the_length_of_a_ui_can_say(syntax: str, count: int, vr: str) -> None:
    instances = [f"1.2.1{number:058}" for number in range(count)]  # 64 bytes each, with a backslash or the padding
    [element] = decode(failed_list(instances, syntax), syntax)
    if syntax == IMPLICIT_VR_LITTLE_ENDIAN or vr == "UI":
        assert list(element.value) == instances
        return
    assert (element.tag, element.VR) == (0x00080058, "UN")  # pydicom tells what is so long as it came
    assert bytes(element.value).rstrip(b"\0").decode().split("\\") == instances


@pytest.mark.parametrize(("length", "vr"), [(0xFFFC, b"UI"), (0xFFFE, b"UI"), (0x10000, b"UN")])
def test_where_a_ui_ends(length: int, vr: bytes) -> None:
    data_set = failed_list(["1" * length], EXPLICIT_VR_LITTLE_ENDIAN)
    assert data_set[:6] == b"\x08\0\x58\0" + vr
    assert len(data_set) == length + (8 if vr == b"UI" else 12)


def test_the_longest_list_is_within_the_limit_of_identifiers() -> None:
    assert len(failed_list(["1" * 64] * MOST_COUNTED, EXPLICIT_VR_LITTLE_ENDIAN)) <= Limits().identifier


def test_what_is_no_text_of_the_wire_does_not_stop_it() -> None:
    assert failed_list(["1.2.é"], IMPLICIT_VR_LITTLE_ENDIAN) == b"\x08\0\x58\0\x06\0\0\0" + b"1.2.?\0"
