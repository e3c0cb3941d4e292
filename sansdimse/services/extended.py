"""SOP Class Extended Negotiation as typed values (PS3.7 D.3.3.5): what ``ul`` carries as bytes it does not read.

What the bytes mean, each service class of PS3.4 says for itself, in one of five layouts. Four are rows of
switches, each 1 or 0, of which the acceptor turns down what it does not do. That of Storage is another thing:
there each side states what it is itself, and nothing is turned down (B.3.1).

As requestor: ``associate(..., extended={STUDY_ROOT_FIND: QueryExtended(relational=True)})``. As acceptor the
same words to ``serve``, where they mean what is supported. What came of it: ``QueryExtended.of(agreement, uid)``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Final, Self

from sansdimse.errors import LocalProtocolError
from sansdimse.services.sop_classes import STANDARD, ServiceClass, SopClasses
from sansdimse.ul.items import ExtendedNegotiation

if TYPE_CHECKING:
    from sansdimse.ul.agreement import Agreement


@dataclass(frozen=True, slots=True)
class ApplicationInformation(ABC):
    """The Service-class-application-information of one SOP class, as offered, as supported, or as agreed."""

    @abstractmethod
    def encode(self) -> bytes:
        """The shortest bytes that say this and that the service class allows."""

    @classmethod
    @abstractmethod
    def decode(cls, information: bytes) -> Self:
        """Read a peer's bytes; total. Bytes missing count as 0, those beyond what is known count for nothing."""

    @abstractmethod
    def answer(self, offered: bytes) -> bytes | None:
        """As an acceptor that supports this, the answer to an offer; None answers nothing."""

    @abstractmethod
    def agreed(self, answer: Self) -> Self:
        """What holds after this was offered and ``answer`` came."""

    @classmethod
    def of(cls, agreement: Agreement, sop_class_uid: str) -> Self:
        """What an association agreed to for a SOP class, read as this kind; the defaults if it was not negotiated."""
        answer = agreement.extended.get(sop_class_uid)
        if answer is None:
            return cls()
        return cls.decode(agreement.extended_offered.get(sop_class_uid, b"")).agreed(cls.decode(answer))


@dataclass(frozen=True, slots=True)
class _Switches(ApplicationInformation):
    """One byte a switch. ``_LAYOUT`` has the field of each byte, or what is always sent there."""

    _LAYOUT: ClassVar[tuple[str | int, ...]] = ()
    _LEAST: ClassVar[int] = 1
    """Bytes that are always sent."""

    def _bytes(self) -> bytes:
        return bytes(each if isinstance(each, int) else bool(getattr(self, each)) for each in self._LAYOUT)

    def encode(self) -> bytes:
        """Without the zeros at the end, which go without saying (PS3.4 C.5.1.1)."""
        full = self._bytes()
        return full[: max(self._LEAST, len(full.rstrip(b"\0")))]

    @classmethod
    def decode(cls, information: bytes) -> Self:
        """Only 1 is on, as the tables have it; the bytes that are always the same are not looked at."""
        read = zip(cls._LAYOUT, information, strict=False)
        return replace(cls(), **{each: byte == 1 for each, byte in read if isinstance(each, str)})

    def answer(self, offered: bytes) -> bytes | None:
        """As many bytes as offered, if we know so many: one for one (PS3.4 C.5.1.1), three for three (K.5.1)."""
        return self.agreed(self.decode(offered))._bytes()[: len(offered)] or None

    def agreed(self, answer: Self) -> Self:
        """What both said."""
        switches = [each for each in self._LAYOUT if isinstance(each, str)]
        return replace(self, **{each: bool(getattr(self, each) and getattr(answer, each)) for each in switches})


@dataclass(frozen=True, slots=True)
class QueryExtended(_Switches):
    """Of C-FIND in the Query/Retrieve Service Class (PS3.4 C.5.1.1). Without negotiation all are off."""

    _LAYOUT: ClassVar[tuple[str | int, ...]] = (
        "relational",
        "combined_datetime",
        "fuzzy_names",
        "timezone",
        "multi_frame_view",
        "empty_value",
        "multiple_value",
    )
    relational: bool = False
    """Keys of any level, without unique keys of the levels above (C.4.1.2.2.1)."""
    combined_datetime: bool = False
    """A range of dates and one of times mean one range of moments (C.2.2.2.5.4)."""
    fuzzy_names: bool = False
    """Person names may match by sound, order and the like (C.2.2.2.1.1)."""
    timezone: bool = False
    """Timezone Offset From UTC (0008,0201) says what times in the identifier mean (C.2.2.2.1.3)."""
    multi_frame_view: bool = False
    """Query/Retrieve View (0008,0053) may ask for converted instances (C.4.1.3.2)."""
    empty_value: bool = False
    """Empty value matching (C.2.2.2.7); later than 2020, as the next one."""
    multiple_value: bool = False
    """Multiple value matching (C.2.2.2.8)."""


@dataclass(frozen=True, slots=True)
class RetrieveExtended(_Switches):
    """Of C-MOVE and C-GET in the Query/Retrieve Service Class (PS3.4 C.5.2.1, C.5.3.1). By default all off."""

    _LAYOUT: ClassVar[tuple[str | int, ...]] = ("relational", "multi_frame_view")
    relational: bool = False
    """Without unique keys of the levels above (C.4.2.2.2.1)."""
    multi_frame_view: bool = False
    """Query/Retrieve View (0008,0053) may ask for converted instances (C.4.2.3.2)."""


@dataclass(frozen=True, slots=True)
class WorklistExtended(_Switches):
    """Of C-FIND in Basic Worklist and the other models of one level (PS3.4 K.5.1). By default all off."""

    _LAYOUT: ClassVar[tuple[str | int, ...]] = (1, 1, "fuzzy_names", "timezone")
    _LEAST: ClassVar[int] = 3
    fuzzy_names: bool = False
    """Person names may match by sound, order and the like (C.2.2.2.1.1)."""
    timezone: bool = False
    """Timezone Offset From UTC (0008,0201) says what times in the identifier mean (C.2.2.2.1.3)."""


@dataclass(frozen=True, slots=True)
class CompositeRetrieveExtended(_Switches):
    """Of Composite Instance Root Retrieve and Retrieve Without Bulk Data (PS3.4 Y.5.1.1, Z.5.1). By default off."""

    _LAYOUT: ClassVar[tuple[str | int, ...]] = (0, "multi_frame_view")
    _LEAST: ClassVar[int] = 2
    multi_frame_view: bool = False
    """Query/Retrieve View (0008,0053) may ask for converted instances (C.4.2.3.2)."""


@dataclass(frozen=True, slots=True)
class StorageExtended(ApplicationInformation):
    """Of Storage (PS3.4 B.3.1): what an AE is as SCP, which it says of itself, whatever the other one is.

    The defaults are the standard's for who says nothing: it is an SCU only. ``LocalProtocolError`` for numbers
    that are none, and for a signature level of who is no level 2 SCP.
    """

    level: int = 3
    """0 keeps some attributes, 1 those of types 1 and 2, 2 all of them (B.4.1.1); 3 is an SCU only."""
    signature_level: int = 0
    """1 keeps no signatures, 2 checks and replaces them, 3 keeps all bits (B.4.1.4); 0 says nothing."""
    coercion: int = 2
    """0 changes no data element, 1 may (B.4.1.3); 2 is an SCU only."""

    def __post_init__(self) -> None:
        for name, most in _STORAGE_BYTES:
            if not 0 <= getattr(self, name) <= most:
                raise LocalProtocolError(f"{name} {getattr(self, name)}: there are 0 to {most} (PS3.4 B.3.1)")
        if self.signature_level and self.level != 2:
            raise LocalProtocolError("only a level 2 SCP has a signature level (PS3.4 B.3.1)")

    def encode(self) -> bytes:
        """Six bytes, all mandatory."""
        return bytes((self.level, 0, self.signature_level, 0, self.coercion, 0))

    @classmethod
    def decode(cls, information: bytes) -> Self:
        """A number that is none says nothing: it is read as the default."""
        level, _, signature_level, _, coercion, _ = information[:6].ljust(6, b"\0")
        level = min(level, 3)
        return cls(
            level,
            signature_level if signature_level <= 3 and level == 2 else 0,
            min(coercion, 2),
        )

    def answer(self, offered: bytes) -> bytes | None:
        """What we are, whatever the requestor is (PS3.4 B.3.1.2)."""
        return self.encode()

    def agreed(self, answer: Self) -> Self:
        """What the acceptor said of itself: there is nothing to agree on."""
        return answer


_STORAGE_BYTES: Final = (("level", 3), ("signature_level", 3), ("coercion", 2))

_RETRIEVES: Final = frozenset({"C-MOVE", "C-GET"})
_COMPOSITE: Final = frozenset(
    {ServiceClass.COMPOSITE_INSTANCE_ROOT_RETRIEVE, ServiceClass.COMPOSITE_INSTANCE_RETRIEVE_WITHOUT_BULK_DATA}
)
# Those whose annex refers to K.5: U.5, X.5, BB.5, CC.3.2, HH.5, II.5. JJ, of 2024, was not read.
_WORKLISTS: Final = frozenset(
    {
        ServiceClass.BASIC_WORKLIST_MANAGEMENT,
        ServiceClass.HANGING_PROTOCOL_QUERY_RETRIEVE,
        ServiceClass.COLOR_PALETTE_QUERY_RETRIEVE,
        ServiceClass.IMPLANT_TEMPLATE_QUERY_RETRIEVE,
        ServiceClass.UNIFIED_PROCEDURE_STEP,
        ServiceClass.DEFINED_PROCEDURE_PROTOCOL_QUERY_RETRIEVE,
        ServiceClass.PROTOCOL_APPROVAL_QUERY_RETRIEVE,
        ServiceClass.INVENTORY_QUERY_RETRIEVE,
    }
)
STORAGE_SERVICES: Final = frozenset({ServiceClass.STORAGE, ServiceClass.DICOS_STORAGE, ServiceClass.DICONDE_STORAGE})
"""Storage of PS3.4 Annex B, and what other standards built on it. Annex GG negotiates nothing (GG.2)."""


def extended_type(sop_class_uid: str, sop_classes: SopClasses = STANDARD) -> type[ApplicationInformation] | None:
    """The kind of value that a SOP class negotiates; None if its service class has none, or nobody knows it."""
    row = sop_classes.get(sop_class_uid)
    if row is None:
        return None
    finds, retrieves = "C-FIND" in row.dimse_services, not _RETRIEVES.isdisjoint(row.dimse_services)
    kinds: tuple[tuple[type[ApplicationInformation], bool], ...] = (
        (QueryExtended, row.service_class is ServiceClass.QUERY_RETRIEVE and finds),
        (RetrieveExtended, row.service_class is ServiceClass.QUERY_RETRIEVE and retrieves),
        (WorklistExtended, row.service_class in _WORKLISTS and finds),
        (CompositeRetrieveExtended, row.service_class in _COMPOSITE),
        (StorageExtended, row.service_class in STORAGE_SERVICES),
    )
    return next((kind for kind, is_kind in kinds if is_kind), None)


def extended_of(
    sop_class_uid: str, information: bytes, sop_classes: SopClasses = STANDARD
) -> ApplicationInformation | None:
    """The bytes of one item, read as its SOP class has them; None if that one negotiates nothing we know."""
    kind = extended_type(sop_class_uid, sop_classes)
    return None if kind is None else kind.decode(information)


def agreed_for(
    agreement: Agreement, sop_class_uid: str, sop_classes: SopClasses = STANDARD
) -> ApplicationInformation | None:
    """What an association agreed to for a SOP class; None if it was not negotiated, or means nothing to us.

    Who knows the kind has the defaults as well: ``QueryExtended.of(agreement, sop_class_uid)``.
    """
    kind = extended_type(sop_class_uid, sop_classes)
    return kind.of(agreement, sop_class_uid) if kind is not None and sop_class_uid in agreement.extended else None


def negotiation(
    sop_class_uid: str, value: ApplicationInformation | bytes, sop_classes: SopClasses = STANDARD
) -> ExtendedNegotiation:
    """The item to propose a value with. Of SOP classes that nobody knows any value is taken, and any bytes of all.

    Raises ``LocalProtocolError`` for a value of another kind than the SOP class negotiates.
    """
    if isinstance(value, bytes):
        return ExtendedNegotiation(sop_class_uid, value)
    kind = extended_type(sop_class_uid, sop_classes)
    if sop_classes.get(sop_class_uid) is not None and not (kind and isinstance(value, kind)):
        needed = "no extended negotiation" if kind is None else kind.__name__
        raise LocalProtocolError(f"{sop_classes.name_of(sop_class_uid)} has {needed}, not {type(value).__name__}")
    return ExtendedNegotiation(sop_class_uid, value.encode())


Offers = Mapping[str, ApplicationInformation | bytes] | Iterable[ExtendedNegotiation]
"""What a requestor says: values by SOP class, or items in full."""


def negotiations(offers: Offers, sop_classes: SopClasses = STANDARD) -> tuple[ExtendedNegotiation, ...]:
    """The items for ``Requestor.extended``; raises as ``negotiation`` does."""
    if isinstance(offers, Mapping):
        return tuple(negotiation(uid, value, sop_classes) for uid, value in offers.items())
    return tuple(offers)
