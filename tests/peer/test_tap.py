"""Looking on: the engine inside notices nothing, and who looks sees every byte once, before it passes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine_pair import acceptor, requestor
from sansdimse.association import Association
from sansdimse.events import NEED_DATA, AssociationAccepted, AssociationRequested
from sansdimse.outcome import Side
from sansdimse.peer.tap import Tapped


class Recorded:
    """An engine that keeps what it is told and gives what it is set to."""

    def __init__(self, log: list[Any]) -> None:
        self._log = log
        self.output: list[bytes | memoryview] = []
        self.wants_close = False
        self.bytes_unsent = 0
        self.mid_pdu = False
        self.timeout: float | None = None

    def transport_opened(self, now: float) -> None:
        self._log.append(("opened", now))

    def receive_data(self, data: bytes, now: float) -> None:
        self._log.append(("data", data, now))

    def receive_eof(self, now: float, error: str | None = None) -> None:
        self._log.append(("eof", now, error))

    def handle_timeout(self, now: float) -> None:
        self._log.append(("timeout", now))

    def data_to_send(self, now: float) -> list[bytes | memoryview]:
        self._log.append(("output", now))
        return self.output

    def next_timeout(self) -> float | None:
        return self.timeout


def test_everything_is_passed_on_and_bytes_are_shown_before_they_pass() -> None:
    log: list[Any] = []
    inside = Recorded(log)
    tapped = Tapped(inside, lambda *shown: log.append(("shown", *shown)))
    tapped.transport_opened(1.0)
    tapped.receive_data(b"in", 2.0)
    tapped.handle_timeout(3.0)
    view = memoryview(b"two")
    inside.output = [b"one", view]
    buffers = tapped.data_to_send(4.0)
    assert buffers is inside.output
    tapped.receive_eof(5.0)
    tapped.receive_eof(6.0, "reset")
    assert log == [
        ("opened", 1.0),
        ("shown", Side.PEER, b"in", 2.0),
        ("data", b"in", 2.0),
        ("timeout", 3.0),
        ("output", 4.0),
        ("shown", Side.LOCAL, b"one", 4.0),
        ("shown", Side.LOCAL, view, 4.0),
        ("eof", 5.0, None),
        ("eof", 6.0, "reset"),
    ]


@pytest.mark.parametrize("value", [True, False])
def test_what_one_may_look_at_is_the_engines(value: bool) -> None:
    inside = Recorded([])
    tapped = Tapped(inside, lambda *shown: None)
    inside.wants_close = inside.mid_pdu = value
    inside.bytes_unsent, inside.timeout = 7 * value, 8.0 if value else None
    assert (tapped.wants_close, tapped.mid_pdu, tapped.bytes_unsent) == (value, value, 7 * value)
    assert tapped.next_timeout() == inside.timeout


@settings(max_examples=30)
@given(st.integers(1, 300))
def test_an_association_runs_the_same_and_both_ends_show_the_same_bytes(chunk: int) -> None:
    shown: dict[tuple[str, Side], bytearray] = {}

    def tap(name: str) -> Any:
        def show(side: Side, data: bytes | memoryview, now: float) -> None:
            shown.setdefault((name, side), bytearray()).extend(data)

        return show

    ours, theirs = Association(requestor(), now=0.0), Association(acceptor(), now=0.0)
    ends = [(ours, Tapped(ours, tap("ours"))), (theirs, Tapped(theirs, tap("theirs")))]
    events: list[Any] = []
    for _, wire in ends:
        wire.transport_opened(0.0)
    moved = True
    while moved:
        moved = False
        for (engine, wire), (_, other) in (ends, ends[::-1]):
            while (event := engine.next_event()) is not NEED_DATA:
                events.append(type(event))
                if isinstance(event, AssociationRequested):
                    engine.accept()
            data = b"".join(wire.data_to_send(0.0))
            for at in range(0, len(data), chunk):
                moved = True
                other.receive_data(data[at : at + chunk], 0.0)
    assert events == [AssociationRequested, AssociationAccepted]
    assert shown["ours", Side.LOCAL] == shown["theirs", Side.PEER]
    assert shown["ours", Side.PEER] == shown["theirs", Side.LOCAL]
    assert all(shown.values())


def test_who_looks_on_and_raises_is_heard_and_nothing_passes() -> None:
    """It is the user's own: hiding it would hide that nothing is recorded any more."""
    log: list[Any] = []

    def fails(side: Side, data: bytes | memoryview, now: float) -> None:
        raise OSError("the disk is full")

    tapped = Tapped(Recorded(log), fails)
    with pytest.raises(OSError, match="full"):
        tapped.receive_data(b"in", 0.0)
    assert log == []
