"""Relevant Patient Information Query: what its identifier must hold (PS3.4 Annex Q).

That there is at most one match is the conversation's rule, not the data set's.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from sansdimse.dataset import Dataset, tag_of
from sansdimse.dimse.status import DATA_SET_MISMATCH, Status
from sansdimse.service_classes.attributes import has_value, items_of, text_of
from sansdimse.service_classes.refused import Refused

TEMPLATE_NOT_SUPPORTED: Final = Status(0xC200)


def check_identifier(identifier: Dataset, templates: Collection[str] | None = None) -> None:
    """Raise Refused: A900 without a Patient ID, C200 for a template that is not one of ``templates``.

    ``templates`` are Template Identifiers of PS3.16 (``"9007"``); None takes any, and a request may name none.
    """
    if not has_value(identifier, "PatientID"):
        raise Refused(DATA_SET_MISMATCH, "no Patient ID", offending_element=(tag_of("PatientID"),))
    for template in items_of(identifier, "ContentTemplateSequence"):
        name = text_of(template, "TemplateIdentifier")
        if templates is not None and name and name not in templates:
            raise Refused(
                TEMPLATE_NOT_SUPPORTED,
                f"template {name} is not supported"[:64],
                offending_element=(tag_of("ContentTemplateSequence"),),
            )
