"""DICOM is told by what is said: at once where a connection begins, by a boundary where it does not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sansdimse.replay import detect
from sansdimse.replay.capture import Bytes, Closed, Connection, Endpoint, Gap, Item, Side
from sansdimse.replay.detect import ENOUGH, dicom_only, is_header, is_pdv, is_start

ONE, OTHER = Endpoint("10.0.0.1", 40000), Endpoint("10.0.0.2", 104)
RQ = b"\x01\0" + (205).to_bytes(4, "big") + bytes(205)
RELEASE = b"\x05\0\0\0\0\x04\0\0\0\0"
DATA = b"\x04\0" + (24).to_bytes(4, "big") + (20).to_bytes(4, "big") + b"\x01\x03" + b"\xff" * 18
HTTP = b"GET / HTTP/1.1\r\nHost: pacs\r\n\r\n"


def given_of(*items: Item, midway: bool = False, number: int = 0) -> list[Item]:
    connection = Connection(number, ONE, OTHER, begins_midway=midway)
    return [item for _, item in dicom_only((connection, item) for item in items)]


def said(data: bytes, side: Side = Side.REQUESTOR) -> Bytes:
    return Bytes(1.0, side, data)


@pytest.mark.parametrize("data", [RQ, RELEASE, DATA, RQ[:6], b"\x02" + RQ[1:], b"\x03" + RELEASE[1:]])
def test_headers_are_seen(data: bytes) -> None:
    assert is_header(data)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        RQ[:5],
        b"\x00" + RQ[1:],
        b"\x08" + RQ[1:],
        b"\x01\x01" + RQ[2:],
        b"\x01\0\0\0\0\x43",
        b"\x01\0\x7f\0\0\0",
        b"\x05\0\0\0\0\x05",
        b"\x04\0\0\0\0\x05",
        DATA[:6] + b"\0\0\0\xff" + DATA[10:],
        DATA[:10] + b"\x02" + DATA[11:],
        DATA[:11] + b"\x04",
        HTTP,
    ],
)
def test_what_is_no_header_is_seen_too(data: bytes) -> None:
    assert not is_header(data)


def test_a_pdv_is_judged_as_far_as_it_is_there() -> None:
    assert all(is_pdv(DATA[6 : 6 + size], 24) for size in range(7))
    assert not is_pdv(b"\0\0\0\x15", 24)
    assert not is_pdv(b"\0\0\0\x01", 24)


def test_too_few_bytes_say_nothing_unless_they_say_no() -> None:
    assert [is_start(RELEASE[:size]) for size in (0, 1, 9, 10)] == [None, None, None, True]
    assert [is_start(DATA[:size]) for size in (0, 11, 12)] == [None, None, True]
    assert is_start(b"G") is False


def test_dicom_is_given_whole_and_in_order() -> None:
    items: list[Item] = [
        Closed(0.0, Side.ACCEPTOR),
        said(RQ[:3]),
        said(RQ[3:]),
        said(b"x" * 5000, Side.ACCEPTOR),
        Closed(2.0, Side.REQUESTOR),
    ]
    assert given_of(*items) == items


def test_what_is_said_by_the_acceptor_alone_is_enough() -> None:
    rejected = said(b"\x03\0\0\0\0\x04\0\1\1\7", Side.ACCEPTOR)
    assert given_of(rejected) == [rejected]


def test_others_are_not_given() -> None:
    assert given_of(said(HTTP), said(RQ), said(RQ)) == []
    assert given_of(said(HTTP[:1]), said(RQ)) == []


def test_connections_do_not_disturb_one_another() -> None:
    web, dicom = Connection(0, ONE, OTHER), Connection(1, OTHER, ONE)
    pieces = [(web, said(HTTP)), (dicom, said(RQ[:4])), (web, said(RQ)), (dicom, said(RQ[4:]))]
    assert list(dicom_only(pieces)) == [pieces[1], pieces[3]]


@given(st.integers(0, 3000), st.integers(1, 900))
def test_in_the_middle_a_boundary_is_looked_for(before: int, chunk: int) -> None:
    stream = b"\xee" * before + DATA * 3
    items: list[Item] = [said(stream[at : at + chunk]) for at in range(0, len(stream), chunk)]
    assert given_of(*items, midway=True) == items
    assert given_of(Gap(0.0, Side.REQUESTOR, 5), *items) == [Gap(0.0, Side.REQUESTOR, 5), *items]


def test_a_boundary_that_leads_to_nothing_is_chance() -> None:
    assert given_of(said(b"\xee" * 40 + DATA + HTTP), midway=True) == []


def test_in_the_middle_no_more_than_enough_is_looked_at() -> None:
    assert given_of(said(b"\xee" * ENOUGH), said(RQ), said(DATA), midway=True) == []


def test_gaps_alone_do_not_fill_memory() -> None:
    gaps = [Gap(0.0, Side.REQUESTOR, 9)] * (detect.MOST_ITEMS - 1)
    assert given_of(*gaps, said(RQ)) == [*gaps, said(RQ)]
    assert given_of(*gaps, Gap(0.0, Side.REQUESTOR, 9), said(RQ)) == []


def test_of_too_many_undecided_the_oldest_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detect, "MOST_UNDECIDED", 2)
    three = [Connection(number, ONE, OTHER) for number in range(3)]
    pieces = [(each, said(RQ[:4])) for each in three] + [(each, said(RQ[4:])) for each in three]
    assert list(dicom_only(pieces)) == [pieces[1], pieces[4], pieces[2], pieces[5]]
