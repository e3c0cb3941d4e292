"""Requests and reports of storage commitment, and which report answers which request."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import Dataset

from sansdimse import uids
from sansdimse.dataset import decode, encode
from sansdimse.service_classes.refused import Refused
from sansdimse.service_classes.storage_commitment import (
    ALL_COMMITTED,
    SOME_FAILED,
    Reference,
    Result,
    Transactions,
    read_request,
    report,
    request,
)
from sansdimse.services.statuses import FAILURE_REASONS

CT = "1.2.840.10008.5.1.4.1.1.2"
A, B, C = (Reference(CT, f"1.2.3.{number}") for number in (1, 2, 3))
ELE = uids.EXPLICIT_VR_LITTLE_ENDIAN


def sent(dataset: Dataset) -> Dataset:
    return decode(encode(dataset, ELE), ELE)


def test_a_request_comes_across() -> None:
    information = sent(request("1.2.9", [A, (CT, "1.2.3.2")]))
    assert information.TransactionUID == "1.2.9"
    assert read_request(information) == ("1.2.9", (A, B))


def test_a_request_needs_references_each_once() -> None:
    with pytest.raises(ValueError, match="no SOP instance"):
        request("1.2.9", [])
    with pytest.raises(ValueError, match=r"1\.2\.3\.1 is referenced twice"):
        request("1.2.9", [A, ("1.2", A.sop_instance_uid)])


def test_what_an_scp_refuses_in_a_request() -> None:
    broken = request("1.2.9", [A, B])
    broken.ReferencedSOPSequence.append(broken.ReferencedSOPSequence[0])
    assert read_request(broken)[1] == (A, B)
    del broken.ReferencedSOPSequence[1].ReferencedSOPClassUID
    nothing = request("1.2.9", [A])
    del nothing.ReferencedSOPSequence
    nameless = request("1.2.9", [A])
    del nameless.TransactionUID
    for information, words in ((broken, "without its UIDs"), (nothing, "no Referenced"), (nameless, "no Transaction")):
        with pytest.raises(Refused, match=words) as refused:
            read_request(information)
        assert refused.value.status == 0x0115


def test_reports() -> None:
    event_type, information = report("1.2.9", [A, B], retrieve_ae_title="ARCHIVE")
    assert event_type == ALL_COMMITTED
    assert "FailedSOPSequence" not in information
    assert information.RetrieveAETitle == "ARCHIVE"
    event_type, information = report("1.2.9", [A], {B: 0x0112})
    assert event_type == SOME_FAILED
    assert "RetrieveAETitle" not in information
    assert information.FailedSOPSequence[0].FailureReason == 0x0112
    event_type, information = report("1.2.9", [], {B: 0x0112})
    assert event_type == SOME_FAILED
    assert "ReferencedSOPSequence" not in information
    with pytest.raises(ValueError, match="twice"):
        report("1.2.9", [A], {A: 0x0110})
    with pytest.raises(ValueError, match="no SOP instance"):
        report("1.2.9", [])


def test_a_report_closes_its_transaction() -> None:
    book = Transactions()
    information = book.open("1.2.9", [A, B])
    assert read_request(information) == ("1.2.9", (A, B))
    book.open("1.2.10", [C])
    assert (len(book), list(book)) == (2, ["1.2.9", "1.2.10"])
    event_type, answer = report("1.2.9", [A], {B: 0x0213}, retrieve_ae_title="ARCHIVE")
    result = book.receive(event_type, sent(answer))
    assert result == Result("1.2.9", frozenset({A}), {B: 0x0213}, frozenset(), frozenset(), "ARCHIVE")
    assert not result.is_complete
    assert list(book) == ["1.2.10"]
    assert book.receive(*report("1.2.10", [C])).is_complete


def test_a_report_may_come_twice() -> None:
    book = Transactions()
    book.open("1.2.9", [A])
    first = book.receive(*report("1.2.9", [A]))
    again = book.receive(*report("1.2.9", [A]))
    assert (first.repeated, again.repeated) == (False, True)
    assert again.committed == {A}
    with pytest.raises(ValueError, match="used before"):
        book.open("1.2.9", [B])


def test_missing_unexpected_and_contradicting_references() -> None:
    book = Transactions()
    book.open("1.2.9", [A, B])
    other = Reference("1.2", B.sop_instance_uid)
    _, information = report("1.2.9", [A, C], {other: 0x0119})
    information.FailedSOPSequence.append(information.ReferencedSOPSequence[0])
    result = book.receive(ALL_COMMITTED, information)
    assert result.committed == frozenset()
    assert result.failed == {A: 0x0110}
    assert result.missing == {B}
    assert result.unexpected == {C, other}
    assert not result.is_complete


def test_what_a_requestor_refuses_changes_nothing() -> None:
    book = Transactions()
    book.open("1.2.9", [A])
    cases = [
        (3, report("1.2.9", [A])[1], 0x0113),
        (1, report("1.2.10", [A])[1], 0x0115),
        (1, Dataset(), 0x0115),
    ]
    broken = report("1.2.9", [A])[1]
    del broken.ReferencedSOPSequence[0].ReferencedSOPInstanceUID
    for event_type, information, status in [*cases, (1, broken, 0x0115)]:
        with pytest.raises(Refused) as refused:
            book.receive(event_type, information)
        assert refused.value.status == status
    assert list(book) == ["1.2.9"]
    with pytest.raises(Refused) as unknown:
        book.receive(*report("1.2.10", [A]))
    assert unknown.value.attribute_list is not None
    assert unknown.value.attribute_list.TransactionUID == "1.2.10"


def test_the_book_is_bounded() -> None:
    book = Transactions(most=2)
    book.open("1.1", [A])
    with pytest.raises(ValueError, match="used before"):
        book.open("1.1", [A])
    book.open("1.2", [A])
    with pytest.raises(ValueError, match="2 transactions wait"):
        book.open("1.3", [A])
    book.abandon("1.1")
    with pytest.raises(KeyError):
        book.abandon("1.1")
    with pytest.raises(Refused):
        book.receive(*report("1.1", [A]))
    for number in range(3, 6):
        book.open(f"1.{number}", [A])
        book.receive(*report(f"1.{number}", [A]))
    with pytest.raises(Refused):
        book.receive(*report("1.3", [A]))
    assert book.receive(*report("1.4", [A])).repeated
    assert list(book) == ["1.2"]


pool = [Reference(CT, f"1.2.3.{number}") for number in range(6)]


@settings(deadline=None)
@given(
    st.sets(st.sampled_from(pool), min_size=1),
    st.sets(st.sampled_from(pool)),
    st.dictionaries(st.sampled_from(pool), st.sampled_from(sorted(FAILURE_REASONS))),
)
def test_every_reference_ends_up_in_one_place(
    asked: set[Reference], good: set[Reference], bad: dict[Reference, int]
) -> None:
    good -= bad.keys()
    book = Transactions()
    book.open("1.2.9", asked)
    if not good and not bad:
        return
    result = book.receive(*report("1.2.9", good, bad))
    parts = (result.committed, result.failed.keys(), result.missing)
    assert sum(map(len, parts)) == len(asked)
    assert result.committed | result.failed.keys() | result.missing == asked
    assert result.unexpected == (good | bad.keys()) - asked
    assert result.is_complete == (asked <= good)
