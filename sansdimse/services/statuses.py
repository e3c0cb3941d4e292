"""What a status means: PS3.7 9.1 and 10.1 for every service class, PS3.4 for each of its own.

No engine decides by this table: a code's category follows from its number alone (PS3.7 Annex C). It
is for what one shows to people, and for what one may answer.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Final

from sansdimse.dimse.status import Status, StatusCategory
from sansdimse.services._status_rows import ROWS
from sansdimse.services.sop_classes import ServiceClass


@dataclass(frozen=True, slots=True)
class StatusMeaning:
    """One row: the codes ``first`` to ``last`` (0 to 0xFFFF), as an answer to ``dimse_service``.

    ``service_class`` is None for the general statuses, which come with any. ``scope`` says, in words,
    which SOP classes or uses are meant. ``related_elements`` are the elements of group 0000 that may
    come with it, as tags: 0x00000902 is Error Comment.
    """

    service_class: ServiceClass | None
    dimse_service: str
    scope: str
    first: int
    last: int
    related_elements: tuple[int, ...]
    meaning: str

    @property
    def category(self) -> StatusCategory:
        """The class of all its codes."""
        return Status(self.first).category

    def __contains__(self, code: int) -> bool:
        return self.first <= code <= self.last


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


def meaning_of(code: int, service_class: ServiceClass | None, dimse_service: str) -> StatusMeaning | None:
    """The first row for this code: the service class's own, else a general one; None if neither has it."""
    rows = statuses_of(service_class, dimse_service) + statuses_of(None, dimse_service)
    return next((row for row in rows if code in row), None)


FAILURE_REASONS: Final = {
    0x0110: "processing failure",
    0x0112: "no such object instance",
    0x0119: "class/instance conflict",
    0x0122: "referenced SOP Class not supported",
    0x0131: "duplicate Transaction UID",
    0x0213: "resource limitation",
}
"""Failure Reason (0008,1197) in the reports of Storage Commitment (PS3.3 C.14.1.1): not DIMSE statuses."""
