"""The facts of PS3.8 Table 9-10, row by row, in another form than the product's own grid.

``2-3 AA-8>13`` says: in Sta2 and Sta3 the action is AA-8 and the next state Sta13. AE-6 and AR-8 choose
between two next states. What is not named is blank.
"""

from __future__ import annotations

from typing import Final

FACTS: Final = """
 1: 1 AE-1>4
 2: 4 AE-2>5
 3: 2 AA-1>13, 3 AA-8>13, 5 AE-3>6, 6-12 AA-8>13, 13 AA-6>13
 4: 2 AA-1>13, 3 AA-8>13, 5 AE-4>1, 6-12 AA-8>13, 13 AA-6>13
 5: 1 AE-5>2
 6: 2 AE-6>3|13, 3 AA-8>13, 5-12 AA-8>13, 13 AA-7>13
 7: 3 AE-7>6
 8: 3 AE-8>13
 9: 6 DT-1>6, 8 AR-7>8
10: 2 AA-1>13, 3 AA-8>13, 5 AA-8>13, 6 DT-2>6, 7 AR-6>7, 8-12 AA-8>13, 13 AA-6>13
11: 6 AR-1>7
12: 2 AA-1>13, 3 AA-8>13, 5 AA-8>13, 6 AR-2>8, 7 AR-8>9|10, 8-12 AA-8>13, 13 AA-6>13
13: 2 AA-1>13, 3 AA-8>13, 5-6 AA-8>13, 7 AR-3>1, 8-9 AA-8>13, 10 AR-10>12, 11 AR-3>1, 12 AA-8>13, 13 AA-6>13
14: 8 AR-4>13, 9 AR-9>11, 12 AR-4>13
15: 3 AA-1>13, 4 AA-2>1, 5-12 AA-1>13
16: 2 AA-2>1, 3 AA-3>1, 5-12 AA-3>1, 13 AA-2>1
17: 2 AA-5>1, 3-12 AA-4>1, 13 AR-5>1
18: 2 AA-2>1, 13 AA-2>1
19: 2 AA-1>13, 3 AA-8>13, 5-12 AA-8>13, 13 AA-7>13
"""

Cell = tuple[str, tuple[int, ...]]
"""The action as printed, and the next states it may lead to."""


def _read() -> dict[tuple[int, int], Cell]:
    cells: dict[tuple[int, int], Cell] = {}
    for row in FACTS.strip().splitlines():
        evt, runs = row.split(":")
        for run in runs.split(","):
            states, outcome = run.split()
            first, _, last = states.partition("-")
            action, _, following = outcome.partition(">")
            for state in range(int(first), int(last or first) + 1):
                assert (int(evt), state) not in cells
                cells[int(evt), state] = action, tuple(map(int, following.split("|")))
    return cells


CELLS: Final = _read()
"""(event, state) -> cell; blank cells are missing."""
