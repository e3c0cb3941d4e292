"""Which connections of a capture speak DICOM: told by what is said, never by the port."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from sansdimse.replay.capture import Bytes, Connection, Gap, Item, Side

ENOUGH: Final = 4096
"""Bytes of one end that are looked at before its connection is taken for something else."""
MOST_ITEMS: Final = 4 * ENOUGH
"""Items that are kept of one connection before it is taken for something else."""
MOST_UNDECIDED: Final = 4096
"""Connections that are undecided at once; of more, the oldest is taken for something else."""

_LONGEST: Final = {1: 1 << 20, 2: 1 << 20, 3: 64, 4: 1 << 28, 5: 64, 6: 64, 7: 64}
"""The lengths that a body may sensibly have, by PDU type (PS3.8 9.3)."""
_SHORT: Final = frozenset({3, 5, 6, 7})


def is_header(data: bytes | bytearray | memoryview) -> bool:
    """Whether six bytes or more look like the header of a PDU (PS3.8 9.3.1)."""
    if len(data) < 6 or data[0] not in _LONGEST or data[1] != 0:
        return False
    kind, length = data[0], int.from_bytes(data[2:6], "big")
    if kind in (1, 2):
        return 68 <= length <= _LONGEST[kind]
    if kind == 4:
        return 6 <= length <= _LONGEST[kind] and is_pdv(data[6:], length)
    return length in (0, 4, 8)


def is_pdv(data: bytes | bytearray | memoryview, room: int) -> bool:
    """Whether this looks like the header of a PDV in ``room`` bytes (PS3.8 9.3.5.1), as far as it is there."""
    if len(data) >= 4 and not 2 <= int.from_bytes(data[:4], "big") <= room - 4:
        return False
    if len(data) >= 5 and not data[4] & 1:
        return False
    return len(data) < 6 or data[5] <= 3


def is_start(data: bytes | bytearray | memoryview) -> bool | None:
    """Whether a PDU seems to begin with these bytes; None if there are too few to say: 12, or a PDU of 10."""
    if len(data) >= 12 or (len(data) >= 10 and data[0] in _SHORT):
        return is_header(data)
    return None if not data or data[0] in _LONGEST else False


class _Undecided:
    def __init__(self) -> None:
        self.items: list[Item] = []
        self._said = {side: bytearray() for side in Side}
        self._searched = dict.fromkeys(Side, 0)
        self._has_gap = False

    def verdict(self, item: Item, connection: Connection) -> bool | None:
        """Whether it is DICOM; None while nobody can say."""
        self.items.append(item)
        self._has_gap |= isinstance(item, Gap)
        if not isinstance(item, Bytes):
            return None if len(self.items) < MOST_ITEMS else False
        said = self._said[item.side]
        said += item.data[: ENOUGH - len(said)]
        starts = is_start(said)
        if starts or (starts is None and len(said) < 12):
            return starts
        if not connection.begins_midway and not self._has_gap:
            return False
        if self._is_found(item.side, said):
            return True
        return None if len(said) < ENOUGH else False

    def _is_found(self, side: Side, said: bytearray) -> bool:
        """Whether a header stands somewhere: what was looked at before is not looked at again."""
        first, self._searched[side] = self._searched[side], max(0, len(said) - 11)
        at = range(first, self._searched[side])
        return any(is_header(said[each : each + 12]) and self._goes_on(said, each) for each in at)

    @staticmethod
    def _goes_on(said: bytearray, at: int) -> bool:
        """A header alone may be chance: the next one stands where it says, as far as that can be seen."""
        after = at + 6 + int.from_bytes(said[at + 2 : at + 6], "big")
        return is_start(said[after : after + 12]) is not False


def dicom_only(items: Iterable[tuple[Connection, Item]]) -> Iterator[tuple[Connection, Item]]:
    """Of a stream, the connections that speak DICOM; what was said before that was known is given then."""
    undecided: dict[int, _Undecided] = {}
    known: dict[int, bool] = {}
    for connection, item in items:
        number = connection.number
        verdict = known.get(number)
        if verdict is None:
            waiting = undecided.setdefault(number, _Undecided())
            verdict = waiting.verdict(item, connection)
            if verdict is None:
                if len(undecided) > MOST_UNDECIDED:
                    oldest = next(iter(undecided))
                    del undecided[oldest]
                    known[oldest] = False
                continue
            known[number] = verdict
            del undecided[number]
            if verdict:
                for each in waiting.items:
                    yield connection, each
        elif verdict:
            yield connection, item
