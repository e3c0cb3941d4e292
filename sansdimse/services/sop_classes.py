"""One table for all service classes: what each SOP class is, and which DIMSE services it uses.

A row instead of a class per service class: most of what differs between two of them is which of the
eleven services they use and what a status means (``statuses.py``). The rows are PS3.6 A-1's and the
annexes' of PS3.4, kept as text in ``_sop_class_rows.py``. The table is a value; who knows private SOP
classes makes a larger one with ``SopClasses.with_private`` and hands it on. A SOP class that is in no table is
served as well, by whatever methods a service has: the table adds names, services, members, models and statuses.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum, StrEnum
from types import MappingProxyType
from typing import Final

from sansdimse import uids
from sansdimse.services._sop_class_rows import ROWS
from sansdimse.uids import VERIFICATION as VERIFICATION

PATIENT_ROOT_FIND: Final = "1.2.840.10008.5.1.4.1.2.1.1"
PATIENT_ROOT_MOVE: Final = "1.2.840.10008.5.1.4.1.2.1.2"
PATIENT_ROOT_GET: Final = "1.2.840.10008.5.1.4.1.2.1.3"
STUDY_ROOT_FIND: Final = "1.2.840.10008.5.1.4.1.2.2.1"
STUDY_ROOT_MOVE: Final = "1.2.840.10008.5.1.4.1.2.2.2"
STUDY_ROOT_GET: Final = "1.2.840.10008.5.1.4.1.2.2.3"
PATIENT_STUDY_ONLY_FIND: Final = "1.2.840.10008.5.1.4.1.2.3.1"
PATIENT_STUDY_ONLY_MOVE: Final = "1.2.840.10008.5.1.4.1.2.3.2"
PATIENT_STUDY_ONLY_GET: Final = "1.2.840.10008.5.1.4.1.2.3.3"
COMPOSITE_INSTANCE_ROOT_MOVE: Final = "1.2.840.10008.5.1.4.1.2.4.2"
COMPOSITE_INSTANCE_ROOT_GET: Final = "1.2.840.10008.5.1.4.1.2.4.3"
COMPOSITE_INSTANCE_WITHOUT_BULK_DATA_GET: Final = "1.2.840.10008.5.1.4.1.2.5.3"
REPOSITORY_QUERY: Final = "1.2.840.10008.5.1.4.1.1.201.6"

MODALITY_WORKLIST_FIND: Final = "1.2.840.10008.5.1.4.31"
GENERAL_RELEVANT_PATIENT_INFORMATION: Final = "1.2.840.10008.5.1.4.37.1"
BREAST_IMAGING_RELEVANT_PATIENT_INFORMATION: Final = "1.2.840.10008.5.1.4.37.2"
CARDIAC_RELEVANT_PATIENT_INFORMATION: Final = "1.2.840.10008.5.1.4.37.3"
PRODUCT_CHARACTERISTICS_QUERY: Final = "1.2.840.10008.5.1.4.41"
SUBSTANCE_APPROVAL_QUERY: Final = "1.2.840.10008.5.1.4.42"
HANGING_PROTOCOL_FIND: Final = "1.2.840.10008.5.1.4.38.2"
HANGING_PROTOCOL_MOVE: Final = "1.2.840.10008.5.1.4.38.3"
HANGING_PROTOCOL_GET: Final = "1.2.840.10008.5.1.4.38.4"
COLOR_PALETTE_FIND: Final = "1.2.840.10008.5.1.4.39.2"
COLOR_PALETTE_MOVE: Final = "1.2.840.10008.5.1.4.39.3"
COLOR_PALETTE_GET: Final = "1.2.840.10008.5.1.4.39.4"
GENERIC_IMPLANT_TEMPLATE_FIND: Final = "1.2.840.10008.5.1.4.43.2"
GENERIC_IMPLANT_TEMPLATE_MOVE: Final = "1.2.840.10008.5.1.4.43.3"
GENERIC_IMPLANT_TEMPLATE_GET: Final = "1.2.840.10008.5.1.4.43.4"
IMPLANT_ASSEMBLY_TEMPLATE_FIND: Final = "1.2.840.10008.5.1.4.44.2"
IMPLANT_ASSEMBLY_TEMPLATE_MOVE: Final = "1.2.840.10008.5.1.4.44.3"
IMPLANT_ASSEMBLY_TEMPLATE_GET: Final = "1.2.840.10008.5.1.4.44.4"
IMPLANT_TEMPLATE_GROUP_FIND: Final = "1.2.840.10008.5.1.4.45.2"
IMPLANT_TEMPLATE_GROUP_MOVE: Final = "1.2.840.10008.5.1.4.45.3"
IMPLANT_TEMPLATE_GROUP_GET: Final = "1.2.840.10008.5.1.4.45.4"
DEFINED_PROCEDURE_PROTOCOL_FIND: Final = "1.2.840.10008.5.1.4.20.1"
DEFINED_PROCEDURE_PROTOCOL_MOVE: Final = "1.2.840.10008.5.1.4.20.2"
DEFINED_PROCEDURE_PROTOCOL_GET: Final = "1.2.840.10008.5.1.4.20.3"
PROTOCOL_APPROVAL_FIND: Final = "1.2.840.10008.5.1.4.1.1.200.4"
PROTOCOL_APPROVAL_MOVE: Final = "1.2.840.10008.5.1.4.1.1.200.5"
PROTOCOL_APPROVAL_GET: Final = "1.2.840.10008.5.1.4.1.1.200.6"
INVENTORY_FIND: Final = "1.2.840.10008.5.1.4.1.1.201.2"
INVENTORY_MOVE: Final = "1.2.840.10008.5.1.4.1.1.201.3"
INVENTORY_GET: Final = "1.2.840.10008.5.1.4.1.1.201.4"

STORAGE_COMMITMENT_PUSH_MODEL: Final = "1.2.840.10008.1.20.1"
MODALITY_PERFORMED_PROCEDURE_STEP: Final = "1.2.840.10008.3.1.2.3.3"
MODALITY_PERFORMED_PROCEDURE_STEP_RETRIEVE: Final = "1.2.840.10008.3.1.2.3.4"
MODALITY_PERFORMED_PROCEDURE_STEP_NOTIFICATION: Final = "1.2.840.10008.3.1.2.3.5"
INSTANCE_AVAILABILITY_NOTIFICATION: Final = "1.2.840.10008.5.1.4.33"
UNIFIED_PROCEDURE_STEP_PUSH: Final = "1.2.840.10008.5.1.4.34.6.1"
UNIFIED_PROCEDURE_STEP_WATCH: Final = "1.2.840.10008.5.1.4.34.6.2"
UNIFIED_PROCEDURE_STEP_PULL: Final = "1.2.840.10008.5.1.4.34.6.3"
UNIFIED_PROCEDURE_STEP_EVENT: Final = "1.2.840.10008.5.1.4.34.6.4"
UNIFIED_PROCEDURE_STEP_QUERY: Final = "1.2.840.10008.5.1.4.34.6.5"
MEDIA_CREATION_MANAGEMENT: Final = "1.2.840.10008.5.1.1.33"
PROCEDURAL_EVENT_LOGGING: Final = "1.2.840.10008.1.40"
SUBSTANCE_ADMINISTRATION_LOGGING: Final = "1.2.840.10008.1.42"
DISPLAY_SYSTEM: Final = "1.2.840.10008.5.1.1.40"
INVENTORY_CREATION: Final = "1.2.840.10008.5.1.4.1.1.201.5"
RT_CONVENTIONAL_MACHINE_VERIFICATION: Final = "1.2.840.10008.5.1.4.34.8"
RT_ION_MACHINE_VERIFICATION: Final = "1.2.840.10008.5.1.4.34.9"
BASIC_GRAYSCALE_PRINT_MANAGEMENT_META: Final = "1.2.840.10008.5.1.1.9"
BASIC_COLOR_PRINT_MANAGEMENT_META: Final = "1.2.840.10008.5.1.1.18"
BASIC_FILM_SESSION: Final = "1.2.840.10008.5.1.1.1"
BASIC_FILM_BOX: Final = "1.2.840.10008.5.1.1.2"
BASIC_GRAYSCALE_IMAGE_BOX: Final = "1.2.840.10008.5.1.1.4"
BASIC_COLOR_IMAGE_BOX: Final = "1.2.840.10008.5.1.1.4.1"
BASIC_ANNOTATION_BOX: Final = "1.2.840.10008.5.1.1.15"
PRESENTATION_LUT: Final = "1.2.840.10008.5.1.1.23"
PRINT_JOB: Final = "1.2.840.10008.5.1.1.14"
PRINTER: Final = "1.2.840.10008.5.1.1.16"
PRINTER_CONFIGURATION_RETRIEVAL: Final = "1.2.840.10008.5.1.1.16.376"

COMPUTED_RADIOGRAPHY_IMAGE_STORAGE: Final = "1.2.840.10008.5.1.4.1.1.1"
DIGITAL_X_RAY_IMAGE_STORAGE_FOR_PRESENTATION: Final = "1.2.840.10008.5.1.4.1.1.1.1"
CT_IMAGE_STORAGE: Final = "1.2.840.10008.5.1.4.1.1.2"
MR_IMAGE_STORAGE: Final = "1.2.840.10008.5.1.4.1.1.4"
ULTRASOUND_IMAGE_STORAGE: Final = "1.2.840.10008.5.1.4.1.1.6.1"
ULTRASOUND_MULTI_FRAME_IMAGE_STORAGE: Final = "1.2.840.10008.5.1.4.1.1.3.1"
SECONDARY_CAPTURE_IMAGE_STORAGE: Final = "1.2.840.10008.5.1.4.1.1.7"
NUCLEAR_MEDICINE_IMAGE_STORAGE: Final = "1.2.840.10008.5.1.4.1.1.20"
POSITRON_EMISSION_TOMOGRAPHY_IMAGE_STORAGE: Final = "1.2.840.10008.5.1.4.1.1.128"


class ServiceClass(StrEnum):
    """The service classes of PS3.4, and of its neighbours, that SOP classes belong to."""

    VERIFICATION = "Verification"
    STORAGE = "Storage"
    NON_PATIENT_OBJECT_STORAGE = "Non-Patient Object Storage"
    DICOS_STORAGE = "Storage (DICOS)"
    DICONDE_STORAGE = "Storage (DICONDE)"
    MEDIA_STORAGE = "Media Storage"
    STORAGE_COMMITMENT = "Storage Commitment"
    APPLICATION_EVENT_LOGGING = "Application Event Logging"
    PROCEDURE_STEP = "Procedure Step"
    PRINT_MANAGEMENT = "Print Management"
    MEDIA_CREATION_MANAGEMENT = "Media Creation Management"
    DISPLAY_SYSTEM_MANAGEMENT = "Display System Management"
    PROTOCOL_APPROVAL_QUERY_RETRIEVE = "Protocol Approval Query/Retrieve"
    INVENTORY_QUERY_RETRIEVE = "Inventory Query/Retrieve"
    STORAGE_MANAGEMENT = "Storage Management"
    QUERY_RETRIEVE = "Query/Retrieve"
    COMPOSITE_INSTANCE_ROOT_RETRIEVE = "Composite Instance Root Retrieve"
    COMPOSITE_INSTANCE_RETRIEVE_WITHOUT_BULK_DATA = "Composite Instance Retrieve Without Bulk Data"
    DEFINED_PROCEDURE_PROTOCOL_QUERY_RETRIEVE = "Defined Procedure Protocol Query/Retrieve"
    BASIC_WORKLIST_MANAGEMENT = "Basic Worklist Management"
    INSTANCE_AVAILABILITY_NOTIFICATION = "Instance Availability Notification"
    UNIFIED_PROCEDURE_STEP_TRIAL = "Unified Procedure Step (trial)"
    UNIFIED_PROCEDURE_STEP = "Unified Procedure Step"
    RT_MACHINE_VERIFICATION = "RT Machine Verification"
    RELEVANT_PATIENT_INFORMATION_QUERY = "Relevant Patient Information Query"
    HANGING_PROTOCOL_QUERY_RETRIEVE = "Hanging Protocol Query/Retrieve"
    COLOR_PALETTE_QUERY_RETRIEVE = "Color Palette Query/Retrieve"
    SUBSTANCE_ADMINISTRATION_QUERY = "Substance Administration Query"
    IMPLANT_TEMPLATE_QUERY_RETRIEVE = "Implant Template Query/Retrieve"
    REAL_TIME_VIDEO = "DICOM-RTV (PS3.22)"
    RETIRED = "retired"  # of service classes that no edition in force describes
    PRIVATE = "private"  # of a service class that no standard describes


class Kind(StrEnum):
    """The UID types of PS3.6 A-1 that an abstract syntax may have."""

    SOP_CLASS = "SOP Class"
    META_SOP_CLASS = "Meta SOP Class"


class Fit(Enum):
    """How the SOP class that a command names fits the abstract syntax of its presentation context."""

    SAME = "same"
    MEMBER = "member"  # of the context's Meta SOP class, or UPS Push in a UPS context (PS3.4 CC.3.1.1)
    NEIGHBOUR = "neighbour"  # another SOP class of the same service class: wrong, but its meaning is clear
    FOREIGN = "foreign"  # nothing to do with it: 0122 (PS3.7 Annex C)


@dataclass(frozen=True, slots=True)
class SopClass:
    """One row.

    ``keyword`` and ``name`` are PS3.6's, empty for two retired numbers. ``dimse_services`` holds names
    as ``"C-STORE"``. ``members`` are the SOP classes that a command on its contexts may name instead of
    it: those of a Meta SOP class, and UPS Push for the other UPS classes. A C-GET's C-STORE sub-operations
    run on contexts of their own and do not count. ``annex`` is PS3.4's letter, empty outside PS3.4.
    ``root_level`` is ``"single level"`` for models without a hierarchy, whose ``levels`` are empty.
    """

    uid: str
    keyword: str
    name: str
    service_class: ServiceClass
    dimse_services: frozenset[str]
    kind: Kind = Kind.SOP_CLASS
    retired: bool = False
    annex: str = ""
    information_model: str = ""
    root_level: str = ""
    levels: tuple[str, ...] = ()
    members: frozenset[str] = frozenset()

    def services_of(self, role: str) -> frozenset[str]:
        """The services whose requests this role sends, ``"SCU"`` or ``"SCP"``.

        Without role selection the SCU is who opened the association (PS3.7 D.3.3.4).
        """
        return frozenset(service for service in self.dimse_services if invoked_by(service) == role)


def private_storage(uid: str, name: str = "") -> SopClass:
    """The row for a private SOP class that behaves as those of the Storage Service Class do."""
    return SopClass(uid, "", name or uid, ServiceClass.STORAGE, frozenset({"C-STORE"}))


def private_like(uid: str, standard: str, name: str = "") -> SopClass:
    """The row for a private SOP class that behaves as one of the standard's: services, model, levels, statuses.

    Raises ValueError if that one is not of the standard.
    """
    row = STANDARD.get(standard)
    if row is None:
        raise ValueError(f"{standard} is no SOP class of the standard")
    return replace(row, uid=uid, keyword="", name=name or uid, retired=False)


def private_sop_class(
    uid: str, dimse_services: Iterable[str], name: str = "", *, members: Iterable[str] = ()
) -> SopClass:
    """The row for a private SOP class with services (``"N-CREATE"``) that no service class of the standard has so.

    With ``members`` it is a Meta SOP class: commands on its contexts may name those. Raises ValueError for a
    service that is none of DIMSE's eleven.
    """
    services, named = frozenset(dimse_services), frozenset(members)
    unknown = services.difference(_SERVICES.values())
    if unknown:
        raise ValueError(f"no DIMSE service: {', '.join(sorted(unknown))}; there are {', '.join(_SERVICES.values())}")
    kind = Kind.META_SOP_CLASS if named else Kind.SOP_CLASS
    return SopClass(uid, "", name or uid, ServiceClass.PRIVATE, services, kind, members=named)


@dataclass(frozen=True, slots=True)
class SopClasses:
    """A table of SOP classes by UID. No method fails on a UID that it does not hold."""

    rows: Mapping[str, SopClass] = field(repr=False)

    @classmethod
    def of(cls, rows: Iterable[SopClass]) -> SopClasses:
        """The table of these rows, in this order; of two with one UID the later one counts."""
        return cls(MappingProxyType({row.uid: row for row in rows}))

    def with_private(self, *rows: SopClass) -> SopClasses:
        """This table and these rows. Raises ValueError for a UID that is none, or already has a row."""
        for row in rows:
            if not uids.is_valid(row.uid):
                raise ValueError(f"not a UID: {row.uid!r}")
            if row.uid in self.rows:
                raise ValueError(f"{row.uid} is {self.rows[row.uid].name} already")
        return SopClasses.of([*self, *rows])

    def __iter__(self) -> Iterator[SopClass]:
        return iter(self.rows.values())

    def __len__(self) -> int:
        return len(self.rows)

    def get(self, uid: str) -> SopClass | None:
        """The row of this UID, or None."""
        return self.rows.get(uid)

    def by_keyword(self, keyword: str) -> SopClass | None:
        """The row with this keyword of PS3.6, such as ``"CTImageStorage"``, or None."""
        return next((row for row in self if keyword and row.keyword == keyword), None)

    def name_of(self, uid: str) -> str:
        """The name of a SOP class or transfer syntax; of anything else the UID as it is."""
        row = self.rows.get(uid)
        return uids.name_of(uid) if row is None else row.name or uid

    def service_class_of(self, uid: str) -> ServiceClass | None:
        """The service class of this SOP class; None if it is not in the table."""
        row = self.rows.get(uid)
        return None if row is None else row.service_class

    def serves(self, uid: str, dimse_service: str) -> bool:
        """Whether a context of this SOP class carries this service (``"C-FIND"``); False if unknown."""
        row = self.rows.get(uid)
        return row is not None and dimse_service in row.dimse_services

    def is_meta(self, uid: str) -> bool:
        """Whether this is a Meta SOP class, whose contexts carry the messages of its members (PS3.7 D.1.2)."""
        row = self.rows.get(uid)
        return row is not None and row.kind is Kind.META_SOP_CLASS

    def stands_for(self, uid: str) -> tuple[str, ...]:
        """This SOP class, and what commands or contexts that name it may mean as well.

        Those are the members of a Meta SOP class; and for UPS Push, which the commands of all UPS SOP classes
        name (PS3.4 CC.3.1.1), the other ones.
        """
        row = self.rows.get(uid)
        members = () if row is None else tuple(sorted(row.members))
        return (uid, *members, *(each.uid for each in self if uid in each.members and not self.is_meta(each.uid)))

    def storage(self, *, retired: bool = False) -> tuple[str, ...]:
        """The UIDs one stores with C-STORE, the most common first (see ``_sop_class_rows.py``)."""
        return tuple(row.uid for row in self if "C-STORE" in row.dimse_services and row.retired == retired)

    def fit(self, abstract_syntax: str, named: str) -> Fit:
        """How a command that names SOP class ``named`` fits its context's abstract syntax.

        The standard wants SAME or MEMBER; peers also send the rest.
        """
        if named == abstract_syntax:
            return Fit.SAME
        context = self.rows.get(abstract_syntax)
        if context is None:
            return Fit.FOREIGN
        if named in context.members:
            return Fit.MEMBER
        same = context.service_class is self.service_class_of(named)
        return Fit.NEIGHBOUR if same and context.service_class not in _OF_NOTHING_IN_COMMON else Fit.FOREIGN


_OF_NOTHING_IN_COMMON: Final = frozenset({ServiceClass.RETIRED, ServiceClass.PRIVATE})


def invoked_by(dimse_service: str) -> str:
    """The role that sends the request, ``"SCU"`` or ``"SCP"``: N-EVENT-REPORT alone is the SCP's (PS3.7 10.1.1).

    Without role selection the association-requestor is the SCU, of every SOP class (PS3.7 D.3.3.4); so
    who opens an association to report events must propose the SCP role, and so must who sends C-GET,
    for the storage SOP classes that come back (PS3.4 C.5.3).
    """
    return "SCP" if dimse_service == "N-EVENT-REPORT" else "SCU"


_MEMBERS: Final[Mapping[str, frozenset[str]]] = {
    # PS3.4 H.3.2.2.1 and H.3.2.2.2; CC.3.1.1 for the UPS SOP classes, whose commands all name UPS Push.
    BASIC_GRAYSCALE_PRINT_MANAGEMENT_META: frozenset(
        {BASIC_FILM_SESSION, BASIC_FILM_BOX, BASIC_GRAYSCALE_IMAGE_BOX, PRINTER}
    ),
    BASIC_COLOR_PRINT_MANAGEMENT_META: frozenset({BASIC_FILM_SESSION, BASIC_FILM_BOX, BASIC_COLOR_IMAGE_BOX, PRINTER}),
    UNIFIED_PROCEDURE_STEP_WATCH: frozenset({UNIFIED_PROCEDURE_STEP_PUSH}),
    UNIFIED_PROCEDURE_STEP_PULL: frozenset({UNIFIED_PROCEDURE_STEP_PUSH}),
    UNIFIED_PROCEDURE_STEP_EVENT: frozenset({UNIFIED_PROCEDURE_STEP_PUSH}),
    UNIFIED_PROCEDURE_STEP_QUERY: frozenset({UNIFIED_PROCEDURE_STEP_PUSH}),
}

_SERVICES: Final = {
    "E": "C-ECHO",
    "S": "C-STORE",
    "F": "C-FIND",
    "G": "C-GET",
    "M": "C-MOVE",
    "c": "N-CREATE",
    "s": "N-SET",
    "g": "N-GET",
    "a": "N-ACTION",
    "d": "N-DELETE",
    "e": "N-EVENT-REPORT",
}


def _read(text: str) -> Iterator[SopClass]:
    services: dict[str, frozenset[str]] = {"": frozenset()}
    for section in text.split("[")[1:]:
        head, *lines = section.splitlines()
        columns, _, retired = head.partition("]")
        annex, service_class, model, root_level, levels = [*columns.split(" | "), "", "", ""][:5]
        for line in lines:
            number, letters, keyword, name = line.split(" ", 3)
            used = letters.strip("*-")
            if used not in services:
                services[used] = frozenset(_SERVICES[letter] for letter in used)
            uid = "1.2.840.10008." + number
            yield SopClass(
                uid,
                keyword.strip("-"),
                name.strip("-").replace("~", " SOP Class"),
                ServiceClass(service_class),
                services[used],
                Kind.META_SOP_CLASS if letters.startswith("*") else Kind.SOP_CLASS,
                bool(retired),
                annex.strip("-"),
                model,
                root_level,
                tuple(levels.split()),
                _MEMBERS.get(uid, frozenset()),
            )


STANDARD: Final = SopClasses.of(_read(ROWS))
"""Every SOP class of PS3.6 A-1, retired ones too, and DICOS's and DICONDE's storage classes."""

sop_class: Final = STANDARD.get
serves: Final = STANDARD.serves
service_class_of: Final = STANDARD.service_class_of
name_of: Final = STANDARD.name_of
fit: Final = STANDARD.fit

STORAGE: Final = STANDARD.storage()
"""Every live storage SOP class, the 124 most common first: a C-GET's 127 contexts, a storage SCP's offer."""

RETIRED_STORAGE: Final = STANDARD.storage(retired=True)
"""The retired ones, which archives still hold instances of."""
