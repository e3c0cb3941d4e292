"""Table 9-10, cell by cell, against the facts written down in another form."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from sansdimse.ul.table import NEXT_STATE, TABLE, Action, Evt, State
from table_9_10 import CELLS

ALL_CELLS = [(evt, state) for evt in range(1, 20) for state in range(1, 14)]
CHOOSING = {Action.AE6: (3, 13), Action.AR8: (9, 10)}
CSV = Path(__file__).resolve().parents[3] / "shared" / "standard" / "dul_transitions.csv"


def printed(action: Action) -> str:
    return f"{action.name[:2]}-{action.name[2:]}"


def cell(evt: int, state: int) -> tuple[str, tuple[int, ...]] | None:
    """What the product says of a cell, in the words of the facts."""
    action = TABLE[evt][state]
    if action is None:
        return None
    return printed(action), CHOOSING.get(action) or (int(NEXT_STATE[action]),)


def test_there_are_19_events_13_states_and_28_actions() -> None:
    assert [int(evt) for evt in Evt] == list(range(1, 20))
    assert [int(state) for state in State] == list(range(1, 14))
    assert [int(action) for action in Action] == list(range(1, 29))
    assert len(ALL_CELLS) == 247


@pytest.mark.parametrize(("evt", "state"), ALL_CELLS)
def test_each_cell_has_its_action_and_next_state(evt: int, state: int) -> None:
    assert cell(evt, state) == CELLS.get((evt, state))


def test_the_facts_fill_as_many_cells_as_the_standard() -> None:
    assert len(CELLS) == 123
    assert {action for action, _ in CELLS.values()} == {printed(action) for action in Action}


@pytest.mark.skipif(not CSV.exists(), reason="the collection of the standard's tables is not here")
def test_the_facts_are_those_of_the_standards_table() -> None:
    with CSV.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(ALL_CELLS)
    for row in rows:
        found = CELLS.get((int(row["event"][3:]), int(row["state"][3:])))
        following = "|".join(f"Sta{state}" for state in found[1]) if found else ""
        assert (row["action"], row["next_state"]) == ((found[0] if found else ""), following), row


def test_every_action_has_one_next_state_but_those_that_choose() -> None:
    assert set(NEXT_STATE) == set(Action) - set(CHOOSING)


def test_cells_are_reached_by_number_and_by_name() -> None:
    assert TABLE[Evt.P_DATA_TF_RECEIVED][State.STA6] is Action.DT2
    assert TABLE[10][6] is Action.DT2
    assert TABLE[Evt.P_DATA_TF_RECEIVED][State.STA1] is None


def test_states_say_what_they_wait_for() -> None:
    assert State.STA6.meaning == "association established"
    assert all(state.meaning for state in State)
    assert len({state.meaning for state in State}) == 13
    assert State(13) is State.STA13
    assert State.STA7 in (6, 7, 8)
