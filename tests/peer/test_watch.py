"""What is told to who watches: plain values, with the words of the standard."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields, replace
from types import SimpleNamespace
from typing import get_args

import pytest

from sansdimse.dimse.status import Status
from sansdimse.outcome import Outcome, OutcomeKind, Side
from sansdimse.peer.watch import (
    AssociationEnded,
    AssociationEstablished,
    ConnectionCut,
    Ending,
    Occurrence,
    OperationEnded,
    OperationOutcome,
    Statistics,
    unwatched,
)
from sansdimse.ul.table import State

OPERATION = OperationOutcome(
    service="C-STORE",
    by=Side.PEER,
    message_id=7,
    sop_class_uid="1.2",
    sop_instance_uid="1.2.3",
    ending=Ending.ANSWERED,
    status=Status(0xA700),
    responses=1,
    duration=0.25,
)
STATISTICS = Statistics(
    address="192.0.2.1:40112",
    calling_ae_title="ME",
    called_ae_title="YOU",
    outcome=Outcome(kind=OutcomeKind.RELEASED, by=Side.PEER, state=State.STA8),
    duration=1.5,
    operations=1,
    deviations=(),
)


@pytest.mark.parametrize(
    ("operation", "text"),
    [
        (OPERATION, "C-STORE 7 answered: 0xA700 (refused: out of resources), 0.250 s"),
        (replace(OPERATION, ending=Ending.LOST, status=None), "C-STORE 7 lost: no response, 0.250 s"),
        (
            replace(OPERATION, service="C-FIND", ending=Ending.CANCELLED, status=Status(0xFE00)),
            "C-FIND 7 cancelled: 0xFE00 (cancel: ended on request), 0.250 s",
        ),
    ],
)
def test_an_operation_in_words(operation: OperationOutcome, text: str) -> None:
    assert str(operation) == text


@pytest.mark.parametrize("value", [OPERATION, STATISTICS, AssociationEnded(STATISTICS), ConnectionCut("a", "b")])
def test_what_is_told_is_a_value(value: object) -> None:
    assert replace(value) == value  # type: ignore[type-var]
    assert hash(replace(value)) == hash(value)  # type: ignore[type-var]
    with pytest.raises(FrozenInstanceError):
        setattr(value, fields(value)[0].name, None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("occurrence", "line"),
    [
        (
            AssociationEstablished(SimpleNamespace(address="a:1", calling_ae_title="M\nE", called_ae_title="YOU")),  # type: ignore[arg-type]
            "a:1: M\\x0aE to YOU, established",
        ),
        (OperationEnded("a:1", OPERATION), "a:1: C-STORE 7 answered: 0xA700 (refused: out of resources), 0.250 s"),
        (
            AssociationEnded(replace(STATISTICS, calling_ae_title="M\nE")),
            "192.0.2.1:40112: M\\x0aE to YOU, released by the peer, in Sta8; operations: 1, 1.500 s",
        ),
        (
            AssociationEnded(replace(STATISTICS, calling_ae_title="", called_ae_title="", operations=0)),
            "192.0.2.1:40112: released by the peer, in Sta8; operations: 0, 1.500 s",
        ),
        (ConnectionCut("a:1", "over the budget"), "a:1: cut, over the budget"),
    ],
)
def test_an_occurrence_is_a_line_for_a_log(occurrence: Occurrence, line: str) -> None:
    assert str(occurrence) == line


def test_nobody_need_watch() -> None:
    assert unwatched(OperationEnded("192.0.2.1:40112", OPERATION)) is None
    assert ConnectionCut in get_args(Occurrence)


def test_endings_have_words_for_machines_which_stay() -> None:
    assert {each.name: each.value for each in Ending} == {
        "ANSWERED": "answered",
        "CANCELLED": "cancelled",
        "DRAINED": "drained",
        "LOST": "lost",
    }
