"""Options for SOP Class Extended Negotiation, and what came of them (PS3.4 C.5, K.5, PS3.7 D.3.3.5)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Final

from sansdimse.services.extended import ApplicationInformation, extended_type
from sansdimse.services.sop_classes import SopClass
from sansdimse.ul.agreement import Agreement
from sansdimse_apps.outcomes import CommandError, ExitCode

_FIELDS: Final = {
    "--relational": "relational",
    "--fuzzy": "fuzzy_names",
    "--datetime": "combined_datetime",
    "--timezone": "timezone",
}


def offer(model: SopClass, wanted: Mapping[str, bool]) -> dict[str, ApplicationInformation]:
    """What to propose, for ``extended=`` of ``associate``; nothing if no option was given.

    Raises ``CommandError`` for an option that the SOP class does not negotiate.
    """
    options = [option for option, is_wanted in wanted.items() if is_wanted]
    if not options:
        return {}
    kind = extended_type(model.uid)
    known = set() if kind is None else {field.name for field in fields(kind)}
    for option in options:
        if _FIELDS[option] not in known:
            raise CommandError(ExitCode.USAGE, f"{option}: {model.name} does not negotiate this")
    if kind is None:
        return {}
    return {model.uid: kind(**{_FIELDS[option]: True for option in options})}


def turned_down(agreement: Agreement, offered: Mapping[str, ApplicationInformation]) -> list[str]:
    """The options whose wish was not granted."""
    return [
        option
        for uid, value in offered.items()
        for option, name in _FIELDS.items()
        if getattr(value, name, False) and not getattr(type(value).of(agreement, uid), name)
    ]
