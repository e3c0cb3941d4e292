"""Status codes and their classes (PS3.7 Annex C).

A status is a number, and stays one: service classes and vendors define their own, so what an
unknown one means is told by its range alone. A number in no range at all counts as a failure: the
peer did not say that it worked.
"""

from __future__ import annotations

from enum import Enum
from typing import Final


class StatusCategory(Enum):
    """The five classes of PS3.7 Annex C. Refused is a kind of failure: ``Status.is_refused``."""

    SUCCESS = "success"
    PENDING = "pending"
    CANCEL = "cancel"
    WARNING = "warning"
    FAILURE = "failure"


class Status(int):
    """A status (0000,0900): an ``int`` that knows its class and, if it is a common one, its meaning.

    ``str(Status(0xA700))`` is ``"0xA700 (refused: out of resources)"``.
    """

    __slots__ = ()

    @property
    def category(self) -> StatusCategory:
        """The class its range stands for (PS3.7 Annex C); numbers outside every range are failures."""
        if self == 0x0000:
            return StatusCategory.SUCCESS
        if self in (0xFF00, 0xFF01):
            return StatusCategory.PENDING
        if self == 0xFE00:
            return StatusCategory.CANCEL
        if 0xB000 <= self <= 0xBFFF or self in (0x0001, 0x0107, 0x0116):
            return StatusCategory.WARNING
        return StatusCategory.FAILURE

    @property
    def is_refused(self) -> bool:
        """Whether this failure says that nothing was tried (A7xx, A801, 0122, 0124)."""
        return 0xA700 <= self <= 0xA7FF or self in (0xA801, 0x0122, 0x0124)

    @property
    def is_final(self) -> bool:
        """Whether no other response to the same request follows: everything but Pending."""
        return self not in (0xFF00, 0xFF01)

    def __str__(self) -> str:
        meaning = _MEANINGS.get(self) or ("refused" if self.is_refused else self.category.value)
        return f"0x{int(self):04X} ({meaning})"

    def __repr__(self) -> str:
        return f"Status(0x{int(self):04X})"


# PS3.7 Annex C: one meaning everywhere.
SUCCESS: Final = Status(0x0000)
PENDING: Final = Status(0xFF00)
PENDING_KEYS_UNSUPPORTED: Final = Status(0xFF01)
CANCEL: Final = Status(0xFE00)
ATTRIBUTES_UNSUPPORTED: Final = Status(0x0001)
NO_SUCH_ATTRIBUTE: Final = Status(0x0105)
INVALID_ATTRIBUTE_VALUE: Final = Status(0x0106)
ATTRIBUTE_LIST_ERROR: Final = Status(0x0107)
PROCESSING_FAILURE: Final = Status(0x0110)
DUPLICATE_SOP_INSTANCE: Final = Status(0x0111)
NO_SUCH_SOP_INSTANCE: Final = Status(0x0112)
NO_SUCH_EVENT_TYPE: Final = Status(0x0113)
NO_SUCH_ARGUMENT: Final = Status(0x0114)
INVALID_ARGUMENT_VALUE: Final = Status(0x0115)
ATTRIBUTE_VALUE_OUT_OF_RANGE: Final = Status(0x0116)
INVALID_SOP_INSTANCE: Final = Status(0x0117)
NO_SUCH_SOP_CLASS: Final = Status(0x0118)
CLASS_INSTANCE_CONFLICT: Final = Status(0x0119)
MISSING_ATTRIBUTE: Final = Status(0x0120)
MISSING_ATTRIBUTE_VALUE: Final = Status(0x0121)
SOP_CLASS_NOT_SUPPORTED: Final = Status(0x0122)
NO_SUCH_ACTION_TYPE: Final = Status(0x0123)
NOT_AUTHORIZED: Final = Status(0x0124)
DUPLICATE_TRANSACTION_UID: Final = Status(0x0131)
DUPLICATE_INVOCATION: Final = Status(0x0210)
UNRECOGNIZED_OPERATION: Final = Status(0x0211)
MISTYPED_ARGUMENT: Final = Status(0x0212)
RESOURCE_LIMITATION: Final = Status(0x0213)

# PS3.4 B.2.3, C.4: storage and query/retrieve.
OUT_OF_RESOURCES: Final = Status(0xA700)
CANNOT_COUNT_MATCHES: Final = Status(0xA701)
CANNOT_PERFORM_SUBOPERATIONS: Final = Status(0xA702)
MOVE_DESTINATION_UNKNOWN: Final = Status(0xA801)
DATA_SET_MISMATCH: Final = Status(0xA900)
CANNOT_UNDERSTAND: Final = Status(0xC000)
COERCED: Final = Status(0xB000)
"""Of a C-STORE: stored with coerced elements. Of a C-GET or C-MOVE: done, some sub-operations failed."""
ELEMENTS_DISCARDED: Final = Status(0xB006)
STORED_DESPITE_MISMATCH: Final = Status(0xB007)

_MEANINGS: Final[dict[int, str]] = {
    SUCCESS: "success",
    PENDING: "pending",
    PENDING_KEYS_UNSUPPORTED: "pending: some optional keys are not supported",
    CANCEL: "cancel: ended on request",
    ATTRIBUTES_UNSUPPORTED: "warning: optional attributes not supported",
    NO_SUCH_ATTRIBUTE: "failure: no such attribute",
    INVALID_ATTRIBUTE_VALUE: "failure: invalid attribute value",
    ATTRIBUTE_LIST_ERROR: "warning: attribute list error",
    PROCESSING_FAILURE: "failure: processing failure",
    DUPLICATE_SOP_INSTANCE: "failure: duplicate SOP instance",
    NO_SUCH_SOP_INSTANCE: "failure: no such SOP instance",
    NO_SUCH_EVENT_TYPE: "failure: no such event type",
    NO_SUCH_ARGUMENT: "failure: no such argument",
    INVALID_ARGUMENT_VALUE: "failure: invalid argument value",
    ATTRIBUTE_VALUE_OUT_OF_RANGE: "warning: attribute value out of range",
    INVALID_SOP_INSTANCE: "failure: invalid SOP instance UID",
    NO_SUCH_SOP_CLASS: "failure: no such SOP class",
    CLASS_INSTANCE_CONFLICT: "failure: the instance is not of this SOP class",
    MISSING_ATTRIBUTE: "failure: missing attribute",
    MISSING_ATTRIBUTE_VALUE: "failure: missing attribute value",
    SOP_CLASS_NOT_SUPPORTED: "refused: SOP class not supported",
    NO_SUCH_ACTION_TYPE: "failure: no such action type",
    NOT_AUTHORIZED: "refused: not authorized",
    DUPLICATE_TRANSACTION_UID: "failure: duplicate transaction UID",
    DUPLICATE_INVOCATION: "failure: message ID already in use",
    UNRECOGNIZED_OPERATION: "failure: unrecognized operation",
    MISTYPED_ARGUMENT: "failure: mistyped argument",
    RESOURCE_LIMITATION: "failure: resource limitation",
    OUT_OF_RESOURCES: "refused: out of resources",
    CANNOT_COUNT_MATCHES: "refused: out of resources, cannot count matches",
    CANNOT_PERFORM_SUBOPERATIONS: "refused: out of resources, cannot perform sub-operations",
    MOVE_DESTINATION_UNKNOWN: "refused: move destination unknown",
    DATA_SET_MISMATCH: "failure: data set does not match SOP class",
    CANNOT_UNDERSTAND: "failure: cannot understand, or unable to process",
    # B000, B006 and B007 are not here: what they mean depends on the service class.
}
