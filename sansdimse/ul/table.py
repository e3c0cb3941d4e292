"""Table 9-10 of PS3.8, as printed: which action follows which event in which state.

Everything that can change the state stands here, and nothing here knows which side we are: the one
action that needs it (AR-8, release collision) carries two next states, and so does AE-6, which
looks at the request. A blank cell is an event that the provider does not let happen in that state:
verbs of the user are refused as ``LocalProtocolError`` before they become events, and no input can
lead there.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final


class State(IntEnum):
    """PS3.8 Tables 9-1 to 9-5. ``meaning`` says what each waits for."""

    meaning: str

    def __new__(cls, number: int, meaning: str = "") -> State:
        """An integer with a meaning, so that it indexes the table."""
        state = int.__new__(cls, number)
        state._value_ = number
        state.meaning = meaning
        return state

    STA1 = 1, "no association"
    STA2 = 2, "connection open, awaiting A-ASSOCIATE-RQ"
    STA3 = 3, "association requested and not answered"
    STA4 = 4, "awaiting the connection"
    STA5 = 5, "awaiting A-ASSOCIATE-AC or -RJ"
    STA6 = 6, "association established"
    STA7 = 7, "awaiting A-RELEASE-RP"
    STA8 = 8, "release requested by the peer and not answered"
    STA9 = 9, "release collision (requestor), not answered"
    STA10 = 10, "release collision (acceptor), awaiting A-RELEASE-RP"
    STA11 = 11, "release collision (requestor), awaiting A-RELEASE-RP"
    STA12 = 12, "release collision (acceptor), not answered"
    STA13 = 13, "awaiting the connection's close"


class Evt(IntEnum):
    """The rows of Table 9-10, named for what happened."""

    ASSOCIATE_REQUEST = 1
    TRANSPORT_CONFIRMED = 2
    ASSOCIATE_AC_RECEIVED = 3
    ASSOCIATE_RJ_RECEIVED = 4
    TRANSPORT_INDICATED = 5
    ASSOCIATE_RQ_RECEIVED = 6
    ASSOCIATE_ACCEPTED = 7
    ASSOCIATE_REJECTED = 8
    P_DATA_REQUEST = 9
    P_DATA_TF_RECEIVED = 10
    RELEASE_REQUEST = 11
    RELEASE_RQ_RECEIVED = 12
    RELEASE_RP_RECEIVED = 13
    RELEASE_RESPONSE = 14
    ABORT_REQUEST = 15
    ABORT_RECEIVED = 16
    TRANSPORT_CLOSED = 17
    ARTIM_EXPIRED = 18
    INVALID_PDU_RECEIVED = 19


class Action(IntEnum):
    """PS3.8 Tables 9-6 to 9-9. ``actions.Provider`` has a method for each, named alike."""

    AE1 = 1
    AE2 = 2
    AE3 = 3
    AE4 = 4
    AE5 = 5
    AE6 = 6
    AE7 = 7
    AE8 = 8
    DT1 = 9
    DT2 = 10
    AR1 = 11
    AR2 = 12
    AR3 = 13
    AR4 = 14
    AR5 = 15
    AR6 = 16
    AR7 = 17
    AR8 = 18
    AR9 = 19
    AR10 = 20
    AA1 = 21
    AA2 = 22
    AA3 = 23
    AA4 = 24
    AA5 = 25
    AA6 = 26
    AA7 = 27
    AA8 = 28


# One column a state, one row an event. AE-6 goes to Sta3 or Sta13, AR-8 to Sta9 or Sta10, AR-6 and
# AR-7 stay where they are; every other action has one next state (second grid).
_TABLE_9_10: Final = """
         Sta1  Sta2  Sta3  Sta4  Sta5  Sta6  Sta7  Sta8  Sta9  Sta10 Sta11 Sta12 Sta13
  Evt1   AE-1  -     -     -     -     -     -     -     -     -     -     -     -
  Evt2   -     -     -     AE-2  -     -     -     -     -     -     -     -     -
  Evt3   -     AA-1  AA-8  -     AE-3  AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-6
  Evt4   -     AA-1  AA-8  -     AE-4  AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-6
  Evt5   AE-5  -     -     -     -     -     -     -     -     -     -     -     -
  Evt6   -     AE-6  AA-8  -     AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-7
  Evt7   -     -     AE-7  -     -     -     -     -     -     -     -     -     -
  Evt8   -     -     AE-8  -     -     -     -     -     -     -     -     -     -
  Evt9   -     -     -     -     -     DT-1  -     AR-7  -     -     -     -     -
  Evt10  -     AA-1  AA-8  -     AA-8  DT-2  AR-6  AA-8  AA-8  AA-8  AA-8  AA-8  AA-6
  Evt11  -     -     -     -     -     AR-1  -     -     -     -     -     -     -
  Evt12  -     AA-1  AA-8  -     AA-8  AR-2  AR-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-6
  Evt13  -     AA-1  AA-8  -     AA-8  AA-8  AR-3  AA-8  AA-8  AR-10 AR-3  AA-8  AA-6
  Evt14  -     -     -     -     -     -     -     AR-4  AR-9  -     -     AR-4  -
  Evt15  -     -     AA-1  AA-2  AA-1  AA-1  AA-1  AA-1  AA-1  AA-1  AA-1  AA-1  -
  Evt16  -     AA-2  AA-3  -     AA-3  AA-3  AA-3  AA-3  AA-3  AA-3  AA-3  AA-3  AA-2
  Evt17  -     AA-5  AA-4  AA-4  AA-4  AA-4  AA-4  AA-4  AA-4  AA-4  AA-4  AA-4  AR-5
  Evt18  -     AA-2  -     -     -     -     -     -     -     -     -     -     AA-2
  Evt19  -     AA-1  AA-8  -     AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-7
"""

_NEXT_STATES: Final = """
  AE-1 Sta4   AE-2 Sta5   AE-3 Sta6   AE-4 Sta1   AE-5 Sta2   AE-7 Sta6   AE-8 Sta13  DT-1 Sta6   DT-2 Sta6
  AR-1 Sta7   AR-2 Sta8   AR-3 Sta1   AR-4 Sta13  AR-5 Sta1   AR-6 Sta7   AR-7 Sta8   AR-9 Sta11  AR-10 Sta12
  AA-1 Sta13  AA-2 Sta1   AA-3 Sta1   AA-4 Sta1   AA-5 Sta1   AA-6 Sta13  AA-7 Sta13  AA-8 Sta13
"""


def _action(printed: str) -> Action:
    return Action[printed.replace("-", "")]


def _state(printed: str) -> State:
    return State[printed.upper()]


def _read() -> tuple[tuple[Action | None, ...], ...]:
    rows: list[tuple[Action | None, ...]] = [()]
    for line in _TABLE_9_10.strip().splitlines()[1:]:
        cells = line.split()[1:]
        rows.append((None, *(None if cell == "-" else _action(cell) for cell in cells)))
    return tuple(rows)


def _read_next_states() -> dict[Action, State]:
    words = _NEXT_STATES.split()
    return {_action(action): _state(state) for action, state in zip(words[::2], words[1::2], strict=True)}


TABLE: Final = _read()
"""``TABLE[evt][state]``: the action, or None where the cell is blank."""

NEXT_STATE: Final[dict[Action, State]] = _read_next_states()
"""The state after each action; AE-6 and AR-8 are missing, because they choose between two."""
