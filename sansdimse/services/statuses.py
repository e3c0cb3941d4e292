"""What a status means: PS3.7 9.1 and 10.1 for every service class, PS3.4 for each of its own.

No engine decides by this table: a code's category follows from its number alone (PS3.7 Annex C). It
is for what one shows to people, and for what one may answer. Within one service class a code may mean
different things to different SOP classes or actions, as 0000 does in Print Management: ``meaning_for``
tells those apart.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final

from sansdimse.dimse.status import Status, StatusCategory
from sansdimse.services import sop_classes as of
from sansdimse.services._status_rows import ROWS
from sansdimse.services.sop_classes import STANDARD, ServiceClass, SopClasses


@dataclass(frozen=True, slots=True)
class StatusMeaning:
    """One row: the codes ``first`` to ``last`` (0 to 0xFFFF), as an answer to ``dimse_service``.

    ``service_class`` is None for the general statuses, which come with any. ``scope`` says, in words,
    which SOP classes or uses are meant; ``sop_classes`` and ``action_types`` (Action Type IDs) say the same,
    and are empty where all of the service class are meant. ``related_elements`` are the elements of group
    0000 that may come with it, as tags: 0x00000902 is Error Comment.
    """

    service_class: ServiceClass | None
    dimse_service: str
    scope: str
    first: int
    last: int
    related_elements: tuple[int, ...]
    meaning: str
    sop_classes: frozenset[str] = frozenset()
    action_types: frozenset[int] = frozenset()

    @property
    def category(self) -> StatusCategory:
        """The class of all its codes."""
        return Status(self.first).category

    def __contains__(self, code: int) -> bool:
        return self.first <= code <= self.last


# What scopes mean that do not say it in UIDs.
_UPS: Final = {
    "Push": of.UNIFIED_PROCEDURE_STEP_PUSH,
    "Pull": of.UNIFIED_PROCEDURE_STEP_PULL,
    "Watch": of.UNIFIED_PROCEDURE_STEP_WATCH,
    "Query": of.UNIFIED_PROCEDURE_STEP_QUERY,
}
_SCOPES: Final[Mapping[str, tuple[str, ...]]] = {
    "Repository Query": (of.REPOSITORY_QUERY,),
    "Patient Root, Study Root FIND": (of.PATIENT_ROOT_FIND, of.STUDY_ROOT_FIND, of.PATIENT_STUDY_ONLY_FIND),
    "Basic Film Session": (of.BASIC_FILM_SESSION,),
    "Basic Film Box": (of.BASIC_FILM_BOX,),
    "Basic Grayscale Image Box": (of.BASIC_GRAYSCALE_IMAGE_BOX,),
    "Basic Color Image Box": (of.BASIC_COLOR_IMAGE_BOX,),
    "Presentation LUT": (of.PRESENTATION_LUT,),
}
_UIDS: Final = re.compile(r"1\.2\.840\.10008(?:\.\d+)+")


def _scoped(service_class: str, scope: str) -> tuple[frozenset[str], frozenset[int]]:
    """The SOP classes and the actions that a scope names in words; none of them means all."""
    named = _SCOPES.get(scope) or _UIDS.findall(scope)
    if service_class == ServiceClass.UNIFIED_PROCEDURE_STEP:
        named = [_UPS[word] for word in re.findall("[A-Z][a-z]+", scope)]
    actions = re.findall(r"\d", scope) if "(action" in scope else []
    return frozenset(named), frozenset(map(int, actions))


def _read(text: str) -> Iterator[StatusMeaning]:
    headings: list[list[str]] = []
    in_rows = False
    for line in text.splitlines():
        if line.startswith("["):
            headings = [] if in_rows else headings
            headings.append(line.strip("[]").split(" | "))
            in_rows = False
            continue
        in_rows = True
        codes, related, meaning = line.split(" ", 2)
        first, _, last = codes.partition("-")
        elements = tuple(int(element, 16) for element in related.split(",") if element != "-")
        for service_class, dimse_service, scope in headings:
            yield StatusMeaning(
                None if service_class == "*" else ServiceClass(service_class),
                dimse_service,
                scope,
                int(first, 16),
                int(last or first, 16),
                elements,
                meaning,
                *_scoped(service_class, scope),
            )


@cache
def all_statuses() -> tuple[StatusMeaning, ...]:
    """Every row; read when first asked, since most associations never ask."""
    return tuple(_read(ROWS))


@cache
def statuses_of(service_class: ServiceClass | None, dimse_service: str | None = None) -> tuple[StatusMeaning, ...]:
    """The rows of one service class (None: the general ones), of all its DIMSE services or of one."""
    return tuple(
        row
        for row in all_statuses()
        if row.service_class is service_class and dimse_service in (None, row.dimse_service)
    )


# Other standards' storage answers as that of PS3.4 Annex B, which they are built on.
_AS: Final = {
    ServiceClass.DICOS_STORAGE: ServiceClass.STORAGE,
    ServiceClass.DICONDE_STORAGE: ServiceClass.STORAGE,
}


def _meanings(code: int, service_class: ServiceClass | None, dimse_service: str) -> list[StatusMeaning]:
    own = None if service_class is None else _AS.get(service_class, service_class)
    rows = statuses_of(own, dimse_service) + (() if own is None else statuses_of(None, dimse_service))
    return [row for row in rows if code in row]


def meaning_of(code: int, service_class: ServiceClass | None, dimse_service: str) -> StatusMeaning | None:
    """The first row for this code: the service class's own, else a general one; None if neither has it."""
    return next(iter(_meanings(code, service_class, dimse_service)), None)


def meaning_for(
    code: int,
    sop_class_uid: str,
    dimse_service: str,
    *,
    action_type: int | None = None,
    sop_classes: SopClasses = STANDARD,
) -> StatusMeaning | None:
    """The row that fits this SOP class and action best, of those that ``meaning_of`` finds the first of.

    The SOP class may be that of the command or that of its context. Of one that nobody knows the general
    statuses count.
    """
    meant = frozenset(sop_classes.stands_for(sop_class_uid))

    def fit(row: StatusMeaning) -> tuple[bool, bool, bool]:
        is_class = not row.sop_classes or not meant.isdisjoint(row.sop_classes)
        is_action = not row.action_types or action_type is None or action_type in row.action_types
        return is_class and is_action, row.service_class is not None, sop_class_uid in row.sop_classes

    return max(_meanings(code, sop_classes.service_class_of(sop_class_uid), dimse_service), key=fit, default=None)


FAILURE_REASONS: Final = {
    0x0110: "processing failure",
    0x0112: "no such object instance",
    0x0119: "class/instance conflict",
    0x0122: "referenced SOP Class not supported",
    0x0131: "duplicate Transaction UID",
    0x0213: "resource limitation",
}
"""Failure Reason (0008,1197) in the reports of Storage Commitment (PS3.3 C.14.1.1): not DIMSE statuses."""
