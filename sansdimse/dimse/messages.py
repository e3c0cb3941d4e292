"""The 23 DIMSE messages as values (PS3.7 9.3, 10.3, Annex E).

A message's fields are the elements of its table, under their keywords in snake case; a field
without default is mandatory (so are ``command_data_set_type`` and ``priority``, which have a usual
value). Tag and VR of a field stand once, in ``DICTIONARY``, since a keyword means the same element
in every message; the codec (``command.py``) is made from these two facts. Elements whose presence
depends on the status (PS3.7 Annex C: Offending Element, Error Comment ...) are optional fields of the
responses that may carry them.

The Command Group Length and the Command Field are no fields: the one is the codec's business, the other is the class
(``COMMAND_FIELD``).
"""

from __future__ import annotations

from enum import Enum, IntEnum
from typing import ClassVar, Final

from sansdimse.values import value

NO_DATA_SET: Final = 0x0101
"""The one Command Data Set Type that means: no data set follows (PS3.7 Annex E)."""

WITH_DATA_SET: Final = 0x0001
"""What we send when one follows; any value but 0101H would do."""

DICTIONARY: Final[dict[str, tuple[int, str]]] = {
    "affected_sop_class_uid": (0x0002, "UI"),
    "requested_sop_class_uid": (0x0003, "UI"),
    "message_id": (0x0110, "US"),
    "message_id_being_responded_to": (0x0120, "US"),
    "move_destination": (0x0600, "AE"),
    "priority": (0x0700, "US"),
    "command_data_set_type": (0x0800, "US"),
    "status": (0x0900, "US"),
    "offending_element": (0x0901, "AT"),
    "error_comment": (0x0902, "LO"),
    "error_id": (0x0903, "US"),
    "affected_sop_instance_uid": (0x1000, "UI"),
    "requested_sop_instance_uid": (0x1001, "UI"),
    "event_type_id": (0x1002, "US"),
    "attribute_identifier_list": (0x1005, "AT"),
    "action_type_id": (0x1008, "US"),
    "number_of_remaining_suboperations": (0x1020, "US"),
    "number_of_completed_suboperations": (0x1021, "US"),
    "number_of_failed_suboperations": (0x1022, "US"),
    "number_of_warning_suboperations": (0x1023, "US"),
    "move_originator_application_entity_title": (0x1030, "AE"),
    "move_originator_message_id": (0x1031, "US"),
}
"""Field name -> element number in group 0000, and VR (PS3.7 Table E.1-1). Values of UI, AE and LO are ``str``
without padding, of US ``int``, of AT a tuple of tags as ``int`` (group * 65536 + element)."""


class Priority(IntEnum):
    """The values of Priority (0000,0700). An SCP need not honour it (PS3.7 9.3.1.1)."""

    MEDIUM = 0
    HIGH = 1
    LOW = 2


class DataSet(Enum):
    """Whether a message has a data set."""

    MANDATORY = "mandatory"
    OPTIONAL = "optional"  # by the user's choice, the status, or the service class
    FORBIDDEN = "forbidden"


@value
class Element:
    """A command element as it came: ``tag`` with its group in the upper 16 bits, and the value's raw bytes."""

    tag: int
    value: bytes


@value(kw_only=True)
class _Message:
    """What all messages have; the three bases below add what is in every one of their kind."""

    COMMAND_FIELD: ClassVar[int]
    """Command Field (0000,0100); responses have the highest bit set (PS3.7 Table E.1-1)."""
    DATA_SET: ClassVar[DataSet]
    """Whether this message has a data set."""
    command_data_set_type: int = NO_DATA_SET
    other: tuple[Element, ...] = ()
    """Elements that came with it and that its table does not have."""

    @property
    def has_data_set(self) -> bool:
        """Whether a data set follows: any Command Data Set Type but 0101H says so."""
        return self.command_data_set_type != NO_DATA_SET

    @property
    def is_response(self) -> bool:
        """Whether this is a response."""
        return self.COMMAND_FIELD & 0x8000 != 0


@value(kw_only=True)
class _AffectedRQ(_Message):
    affected_sop_class_uid: str
    message_id: int

    @property
    def sop_class_uid(self) -> str:
        """The SOP class, affected or requested."""
        return self.affected_sop_class_uid

    @property
    def sop_instance_uid(self) -> str | None:
        """The SOP instance, affected or requested; ``None`` where there is none."""
        uid: str | None = getattr(self, "affected_sop_instance_uid", None)
        return uid


@value(kw_only=True)
class _RequestedRQ(_Message):
    requested_sop_class_uid: str
    message_id: int
    requested_sop_instance_uid: str

    @property
    def sop_class_uid(self) -> str:
        """The SOP class, affected or requested."""
        return self.requested_sop_class_uid

    @property
    def sop_instance_uid(self) -> str | None:
        """The SOP instance, affected or requested."""
        return self.requested_sop_instance_uid


@value(kw_only=True)
class _RSP(_Message):
    affected_sop_class_uid: str | None = None
    message_id_being_responded_to: int
    status: int
    error_comment: str | None = None

    @property
    def sop_class_uid(self) -> str | None:
        """The Affected SOP Class UID, if the response repeats it."""
        return self.affected_sop_class_uid

    @property
    def sop_instance_uid(self) -> str | None:
        """The Affected SOP Instance UID, if the response has it."""
        uid: str | None = getattr(self, "affected_sop_instance_uid", None)
        return uid


@value(kw_only=True)
class CEchoRQ(_AffectedRQ):
    """C-ECHO-RQ (PS3.7 Table 9.3-12): are you there?"""

    COMMAND_FIELD: ClassVar[int] = 0x0030
    DATA_SET: ClassVar[DataSet] = DataSet.FORBIDDEN


@value(kw_only=True)
class CEchoRSP(_RSP):
    """C-ECHO-RSP (PS3.7 Table 9.3-13)."""

    COMMAND_FIELD: ClassVar[int] = 0x8030
    DATA_SET: ClassVar[DataSet] = DataSet.FORBIDDEN


@value(kw_only=True)
class CStoreRQ(_AffectedRQ):
    """C-STORE-RQ (PS3.7 Table 9.3-1): store a composite instance."""

    COMMAND_FIELD: ClassVar[int] = 0x0001
    DATA_SET: ClassVar[DataSet] = DataSet.MANDATORY
    priority: int = Priority.MEDIUM
    command_data_set_type: int = WITH_DATA_SET
    affected_sop_instance_uid: str
    move_originator_application_entity_title: str | None = None
    move_originator_message_id: int | None = None


@value(kw_only=True)
class CStoreRSP(_RSP):
    """C-STORE-RSP (PS3.7 Table 9.3-2)."""

    COMMAND_FIELD: ClassVar[int] = 0x8001
    DATA_SET: ClassVar[DataSet] = DataSet.FORBIDDEN
    offending_element: tuple[int, ...] = ()
    affected_sop_instance_uid: str | None = None


@value(kw_only=True)
class CFindRQ(_AffectedRQ):
    """C-FIND-RQ (PS3.7 Table 9.3-3): search."""

    COMMAND_FIELD: ClassVar[int] = 0x0020
    DATA_SET: ClassVar[DataSet] = DataSet.MANDATORY
    priority: int = Priority.MEDIUM
    command_data_set_type: int = WITH_DATA_SET


@value(kw_only=True)
class CFindRSP(_RSP):
    """C-FIND-RSP (PS3.7 Table 9.3-4)."""

    COMMAND_FIELD: ClassVar[int] = 0x8020
    DATA_SET: ClassVar[DataSet] = DataSet.OPTIONAL
    offending_element: tuple[int, ...] = ()


@value(kw_only=True)
class CGetRQ(_AffectedRQ):
    """C-GET-RQ (PS3.7 Table 9.3-6): have instances stored here, over this association."""

    COMMAND_FIELD: ClassVar[int] = 0x0010
    DATA_SET: ClassVar[DataSet] = DataSet.MANDATORY
    priority: int = Priority.MEDIUM
    command_data_set_type: int = WITH_DATA_SET


@value(kw_only=True)
class CGetRSP(_RSP):
    """C-GET-RSP (PS3.7 Table 9.3-7)."""

    COMMAND_FIELD: ClassVar[int] = 0x8010
    DATA_SET: ClassVar[DataSet] = DataSet.OPTIONAL
    offending_element: tuple[int, ...] = ()
    number_of_remaining_suboperations: int | None = None
    number_of_completed_suboperations: int | None = None
    number_of_failed_suboperations: int | None = None
    number_of_warning_suboperations: int | None = None


@value(kw_only=True)
class CMoveRQ(_AffectedRQ):
    """C-MOVE-RQ (PS3.7 Table 9.3-9): have instances stored elsewhere, over another association."""

    COMMAND_FIELD: ClassVar[int] = 0x0021
    DATA_SET: ClassVar[DataSet] = DataSet.MANDATORY
    move_destination: str
    priority: int = Priority.MEDIUM
    command_data_set_type: int = WITH_DATA_SET


@value(kw_only=True)
class CMoveRSP(_RSP):
    """C-MOVE-RSP (PS3.7 Table 9.3-10)."""

    COMMAND_FIELD: ClassVar[int] = 0x8021
    DATA_SET: ClassVar[DataSet] = DataSet.OPTIONAL
    offending_element: tuple[int, ...] = ()
    number_of_remaining_suboperations: int | None = None
    number_of_completed_suboperations: int | None = None
    number_of_failed_suboperations: int | None = None
    number_of_warning_suboperations: int | None = None


@value(kw_only=True)
class NEventReportRQ(_AffectedRQ):
    """N-EVENT-REPORT-RQ (PS3.7 Table 10.3-1): an event at an instance, told by the SCP."""

    COMMAND_FIELD: ClassVar[int] = 0x0100
    DATA_SET: ClassVar[DataSet] = DataSet.OPTIONAL
    affected_sop_instance_uid: str
    event_type_id: int


@value(kw_only=True)
class NEventReportRSP(_RSP):
    """N-EVENT-REPORT-RSP (PS3.7 Table 10.3-2)."""

    COMMAND_FIELD: ClassVar[int] = 0x8100
    DATA_SET: ClassVar[DataSet] = DataSet.OPTIONAL
    offending_element: tuple[int, ...] = ()
    error_id: int | None = None
    affected_sop_instance_uid: str | None = None
    event_type_id: int | None = None


@value(kw_only=True)
class NGetRQ(_RequestedRQ):
    """N-GET-RQ (PS3.7 Table 10.3-3): read attributes of an instance."""

    COMMAND_FIELD: ClassVar[int] = 0x0110
    DATA_SET: ClassVar[DataSet] = DataSet.FORBIDDEN
    attribute_identifier_list: tuple[int, ...] = ()


@value(kw_only=True)
class NGetRSP(_RSP):
    """N-GET-RSP (PS3.7 Table 10.3-4)."""

    COMMAND_FIELD: ClassVar[int] = 0x8110
    DATA_SET: ClassVar[DataSet] = DataSet.OPTIONAL
    offending_element: tuple[int, ...] = ()
    error_id: int | None = None
    affected_sop_instance_uid: str | None = None
    attribute_identifier_list: tuple[int, ...] = ()


@value(kw_only=True)
class NSetRQ(_RequestedRQ):
    """N-SET-RQ (PS3.7 Table 10.3-5): modify an instance."""

    COMMAND_FIELD: ClassVar[int] = 0x0120
    DATA_SET: ClassVar[DataSet] = DataSet.MANDATORY
    command_data_set_type: int = WITH_DATA_SET


@value(kw_only=True)
class NSetRSP(_RSP):
    """N-SET-RSP (PS3.7 Table 10.3-6)."""

    COMMAND_FIELD: ClassVar[int] = 0x8120
    DATA_SET: ClassVar[DataSet] = DataSet.OPTIONAL
    offending_element: tuple[int, ...] = ()
    error_id: int | None = None
    affected_sop_instance_uid: str | None = None
    attribute_identifier_list: tuple[int, ...] = ()


@value(kw_only=True)
class NActionRQ(_RequestedRQ):
    """N-ACTION-RQ (PS3.7 Table 10.3-7): have an instance act."""

    COMMAND_FIELD: ClassVar[int] = 0x0130
    DATA_SET: ClassVar[DataSet] = DataSet.OPTIONAL
    action_type_id: int


@value(kw_only=True)
class NActionRSP(_RSP):
    """N-ACTION-RSP (PS3.7 Table 10.3-8)."""

    COMMAND_FIELD: ClassVar[int] = 0x8130
    DATA_SET: ClassVar[DataSet] = DataSet.OPTIONAL
    offending_element: tuple[int, ...] = ()
    error_id: int | None = None
    affected_sop_instance_uid: str | None = None
    attribute_identifier_list: tuple[int, ...] = ()
    action_type_id: int | None = None


@value(kw_only=True)
class NCreateRQ(_AffectedRQ):
    """N-CREATE-RQ (PS3.7 Table 10.3-9): create an instance."""

    COMMAND_FIELD: ClassVar[int] = 0x0140
    DATA_SET: ClassVar[DataSet] = DataSet.OPTIONAL
    affected_sop_instance_uid: str | None = None


@value(kw_only=True)
class NCreateRSP(_RSP):
    """N-CREATE-RSP (PS3.7 Table 10.3-10)."""

    COMMAND_FIELD: ClassVar[int] = 0x8140
    DATA_SET: ClassVar[DataSet] = DataSet.OPTIONAL
    offending_element: tuple[int, ...] = ()
    error_id: int | None = None
    affected_sop_instance_uid: str | None = None
    attribute_identifier_list: tuple[int, ...] = ()


@value(kw_only=True)
class NDeleteRQ(_RequestedRQ):
    """N-DELETE-RQ (PS3.7 Table 10.3-11): delete an instance."""

    COMMAND_FIELD: ClassVar[int] = 0x0150
    DATA_SET: ClassVar[DataSet] = DataSet.FORBIDDEN


@value(kw_only=True)
class NDeleteRSP(_RSP):
    """N-DELETE-RSP (PS3.7 Table 10.3-12)."""

    COMMAND_FIELD: ClassVar[int] = 0x8150
    DATA_SET: ClassVar[DataSet] = DataSet.FORBIDDEN
    offending_element: tuple[int, ...] = ()
    error_id: int | None = None
    affected_sop_instance_uid: str | None = None


@value(kw_only=True)
class CCancelRQ(_Message):
    """C-CANCEL-RQ (PS3.7 Table 9.3-5): end a C-FIND, C-GET or C-MOVE; has no response."""

    COMMAND_FIELD: ClassVar[int] = 0x0FFF
    DATA_SET: ClassVar[DataSet] = DataSet.FORBIDDEN
    message_id_being_responded_to: int


@value
class UnknownCommand:
    """A command set whose Command Field is none of the standard's: status 0211 answers it (PS3.7 Annex C).

    ``message_id`` is ``None`` if it could not be read; ``elements`` are all others, as they came.
    """

    command_field: int
    message_id: int | None
    elements: tuple[Element, ...]

    @property
    def has_data_set(self) -> bool:
        """Whether a data set follows; not if the Command Data Set Type is missing or cannot be read."""
        raw = self._raw(0x0800)
        return raw is not None and len(raw) == 2 and int.from_bytes(raw, "little") != NO_DATA_SET

    @property
    def is_response(self) -> bool:
        """Whether this is a response."""
        return self.command_field & 0x8000 != 0

    @property
    def sop_class_uid(self) -> str | None:
        """The SOP class, affected or requested, as it came."""
        return self._uid(0x0002, 0x0003)

    @property
    def sop_instance_uid(self) -> str | None:
        """The SOP instance, affected or requested, as it came."""
        return self._uid(0x1000, 0x1001)

    def _uid(self, *tags: int) -> str | None:
        return next((raw.decode("latin-1") for raw in map(self._raw, tags) if raw is not None), None)

    def _raw(self, tag: int) -> bytes | None:
        return next((element.value for element in self.elements if element.tag == tag), None)


Request = (
    CEchoRQ
    | CStoreRQ
    | CFindRQ
    | CGetRQ
    | CMoveRQ
    | NEventReportRQ
    | NGetRQ
    | NSetRQ
    | NActionRQ
    | NCreateRQ
    | NDeleteRQ
)
"""The messages that a response answers; each has a ``message_id``."""

Response = (
    CEchoRSP
    | CStoreRSP
    | CFindRSP
    | CGetRSP
    | CMoveRSP
    | NEventReportRSP
    | NGetRSP
    | NSetRSP
    | NActionRSP
    | NCreateRSP
    | NDeleteRSP
)
"""The messages that answer a request; each has a ``status`` and a ``message_id_being_responded_to``."""

Message = Request | Response | CCancelRQ
"""The 23 messages."""
