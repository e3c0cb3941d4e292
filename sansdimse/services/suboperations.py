"""The sub-operations of a C-GET or C-MOVE as its performer counts them (PS3.4 C.4.2, C.4.3; PS3.7 9.1.3, 9.1.4).

What is counted is told in responses, each counter where the standard lets it be; and how they ended decides how the
whole ends. A counter on the wire has 16 bits, and one that is larger is told as 65535.
"""

from __future__ import annotations

from typing import Final, Literal, TypedDict, TypeGuard

from sansdimse import uids
from sansdimse.dimse.status import (
    CANNOT_PERFORM_SUBOPERATIONS,
    COERCED,
    SUCCESS,
    Status,
    StatusCategory,
)
from sansdimse.errors import LocalProtocolError

MOST_COUNTED: Final = 0xFFFF
"""The highest value of a counter, whose VR is US; no more failed instances are listed either."""

_FAILED_LIST: Final = (0x0008, 0x0058)


class Counters(TypedDict, total=False):
    """The counters of a response, by the names of ``CGetRSP`` and ``CMoveRSP``."""

    number_of_remaining_suboperations: int
    number_of_completed_suboperations: int
    number_of_failed_suboperations: int
    number_of_warning_suboperations: int


class SubOperations:
    """How many there are, and how those ended that have."""

    def __init__(self) -> None:
        self.expected: int | None = None
        """How many there are in all; None before that is known."""
        self.completed = 0
        """How many succeeded."""
        self.failed = 0
        """How many did not, for whatever reason."""
        self.warning = 0
        """How many succeeded with a warning."""
        self.failed_instances: list[str] = []
        """The SOP Instance UIDs of those that failed, as far as they are known; at most 65,535."""

    @property
    def remaining(self) -> int:
        """How many have not ended."""
        return max(0, (self.expected or 0) - self.completed - self.failed - self.warning)

    def expect(self, count: int) -> None:
        """There will be so many. Raises ``LocalProtocolError`` for what is no number, or if that was told before."""
        if not is_count(count):
            raise LocalProtocolError(f"{count!r} is no number of sub-operations")
        if self.expected is not None:
            raise LocalProtocolError(f"{self.expected} sub-operations were announced already")
        self.expected = count

    def check_room(self, running: int = 0) -> None:
        """Raise ``LocalProtocolError`` unless another may begin while so many run."""
        if self.expected is None:
            raise LocalProtocolError("how many sub-operations there are was not told yet: expect(count)")
        if self.remaining <= running:
            raise LocalProtocolError(f"{self.expected} sub-operations were announced, and this is one more")

    def record(self, status: int, sop_instance_uid: str | None) -> None:
        """One ended with this status of its C-STORE. Raises ``LocalProtocolError`` if all have ended already."""
        self.check_room()
        match Status(status).category:
            case StatusCategory.SUCCESS:
                self.completed += 1
            case StatusCategory.WARNING:
                self.warning += 1
            case _:
                self.failed += 1
                if sop_instance_uid and len(self.failed_instances) < MOST_COUNTED:
                    self.failed_instances.append(sop_instance_uid)

    def final(self, status: int | None) -> Status:
        """How the whole ends if it ends now, by the rule of PS3.4 C.4.2.3.1 and C.4.3.3.1.

        ``status`` is what the user says: None or Success leave it to the rule; another stands. What was announced and
        not delivered has failed.
        """
        if status is not None and status != SUCCESS:
            return Status(status)
        if not (self.failed or self.warning or self.remaining):
            return SUCCESS
        return COERCED if self.completed or self.warning else CANNOT_PERFORM_SUBOPERATIONS

    def counters(self, status: Status) -> Counters:
        """What a response with this status tells: Remaining only with Pending and Cancel (PS3.4 C.4.2.1.6).

        With any other what remains has failed.
        """
        told: Counters = {}
        failed = self.failed
        if status.category in (StatusCategory.PENDING, StatusCategory.CANCEL):
            told["number_of_remaining_suboperations"] = min(self.remaining, MOST_COUNTED)
        else:
            failed += self.remaining
        told["number_of_completed_suboperations"] = min(self.completed, MOST_COUNTED)
        told["number_of_failed_suboperations"] = min(failed, MOST_COUNTED)
        told["number_of_warning_suboperations"] = min(self.warning, MOST_COUNTED)
        return told

    @property
    def is_clamped(self) -> bool:
        """Whether a counter may be larger than what can be told."""
        return (self.expected or 0) > MOST_COUNTED

    def __repr__(self) -> str:
        return (
            f"<SubOperations remaining {self.remaining}, completed {self.completed}, "
            f"failed {self.failed}, warning {self.warning}>"
        )


def is_count(count: object) -> TypeGuard[int]:
    """Whether this is a number of sub-operations."""
    return isinstance(count, int) and not isinstance(count, bool) and count >= 0


def failed_list(instances: list[str], transfer_syntax_uid: str) -> bytes:
    """The data set whose one element is the Failed SOP Instance UID List (0008,0058) (PS3.4 C.4.2.1.4.2).

    In an explicit VR the length of a UI has 16 bits, and what is longer goes as UN (PS3.5 6.2.2).
    """
    value = "\\".join(instances).encode("ascii", "replace")
    value += bytes(len(value) % 2)
    order: Literal["big", "little"] = "big" if transfer_syntax_uid == uids.EXPLICIT_VR_BIG_ENDIAN else "little"
    element = b"".join(number.to_bytes(2, order) for number in _FAILED_LIST)
    if transfer_syntax_uid == uids.IMPLICIT_VR_LITTLE_ENDIAN:
        element += len(value).to_bytes(4, order)
    elif len(value) <= 0xFFFE:
        element += b"UI" + len(value).to_bytes(2, order)
    else:
        element += b"UN\0\0" + len(value).to_bytes(4, order)
    data_set = element + value
    return _deflated(data_set) if uids.is_deflated(transfer_syntax_uid) else data_set


def _deflated(data_set: bytes) -> bytes:
    """PS3.5 A.5."""
    import zlib  # few associations ever need it

    stream = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    deflated = stream.compress(data_set) + stream.flush()
    return deflated + bytes(len(deflated) % 2)
