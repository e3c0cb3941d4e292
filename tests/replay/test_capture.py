"""Captured traffic as values."""

from __future__ import annotations

from sansdimse.replay.capture import Bytes, Captured, Closed, Connection, Endpoint, Gap, Item, Side, gathered

ONE, OTHER = Endpoint("10.0.0.1", 40000), Endpoint("::1", 104)


def test_the_other_side_of_the_other_is_itself() -> None:
    assert Side.REQUESTOR.other is Side.ACCEPTOR
    assert all(side.other.other is side for side in Side)


def test_connections_are_written_as_people_do() -> None:
    assert str(Connection(0, ONE, OTHER)) == "10.0.0.1:40000 -> [::1]:104"


def test_connections_are_gathered_in_the_order_in_which_they_begin() -> None:
    first, second = Connection(7, ONE, OTHER), Connection(3, OTHER, ONE)
    items: list[tuple[Connection, Item]] = [
        (first, Bytes(1.0, Side.REQUESTOR, b"ab")),
        (second, Bytes(2.0, Side.REQUESTOR, b"x")),
        (first, Bytes(3.0, Side.ACCEPTOR, memoryview(b"AB"))),
        (first, Bytes(4.0, Side.REQUESTOR, b"c")),
        (first, Closed(5.0, Side.REQUESTOR)),
    ]
    found = gathered(items)
    assert [each.connection for each in found] == [first, second]
    assert (found[0].of(Side.REQUESTOR), found[0].of(Side.ACCEPTOR)) == (b"abc", b"AB")
    assert [len(each.items) for each in found] == [4, 1]


def test_whole_is_what_has_its_beginning_and_no_gap() -> None:
    whole: tuple[Item, ...] = (Bytes(1.0, Side.REQUESTOR, b"ab"),)
    assert Captured(Connection(0, ONE, OTHER), whole).is_whole
    assert not Captured(Connection(0, ONE, OTHER, begins_midway=True), whole).is_whole
    assert not Captured(Connection(0, ONE, OTHER), (*whole, Gap(2.0, Side.ACCEPTOR, None))).is_whole
