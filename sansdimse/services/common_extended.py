"""SOP Class Common Extended Negotiation: what an acceptor may do with a storage SOP class it does not know.

The requestor says of each that it is for storage, and which more general ones could hold its instances
(PS3.7 D.3.3.6; PS3.4 B.3.1.3, B.3.1.4). Nobody answers; ``Acceptor.related_general`` makes use of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from sansdimse.errors import LocalProtocolError
from sansdimse.services.extended import STORAGE_SERVICES
from sansdimse.services.sop_classes import STANDARD, SopClasses
from sansdimse.uids import STORAGE_SERVICE_CLASS
from sansdimse.ul.items import CommonExtendedNegotiation
from sansdimse.ul.parties import PresentationContext

# Table B.3-3 of 2020: SOP classes, and the general ones that each of them specializes, nearest first.
_TABLE: Final = """
9.1.1 : 9.1.2
1.2 1.3 : 1.1
1.2.1 1.3.1 : 1.1.1
88.11 88.40 88.67 88.68 88.71 88.72 88.73 : 88.22 88.33 88.34 88.35
88.22 : 88.33 88.34 88.35
88.33 : 88.34 88.35
88.34 : 88.35
78.6 79.1 : 88.22
2.1 : 2.2
4.1 : 4.4
130 : 128.1
"""


def _full(tails: str) -> tuple[str, ...]:
    return tuple("1.2.840.10008.5.1.4.1.1." + tail for tail in tails.split())


_RELATED: Final[Mapping[str, tuple[str, ...]]] = {
    uid: _full(general)
    for special, _, general in (line.partition(":") for line in _TABLE.strip().splitlines())
    for uid in _full(special)
}


def related_general(sop_class_uid: str) -> tuple[str, ...]:
    """The SOP classes that the standard says this one specializes (PS3.4 Table B.3-3); empty if there are none."""
    return _RELATED.get(sop_class_uid, ())


def common_negotiation(
    sop_class_uid: str, related: Sequence[str] | None = None, sop_classes: SopClasses = STANDARD
) -> CommonExtendedNegotiation:
    """The item that says of a storage SOP class what it is; of private ones you say what they are ``related`` to.

    Raises ``LocalProtocolError`` for a SOP class that is not for storage, and for one of the standard's with
    other relations than the standard gives it (PS3.4 B.3.1.4).
    """
    row = sop_classes.get(sop_class_uid)
    if row is not None and row.service_class not in STORAGE_SERVICES:
        raise LocalProtocolError(f"{row.name} is not of the Storage Service Class, but of {row.service_class}")
    known = related_general(sop_class_uid)
    if related is not None and tuple(related) != known and STANDARD.get(sop_class_uid) is not None:
        raise LocalProtocolError(f"what {STANDARD.name_of(sop_class_uid)} is related to, PS3.4 Table B.3-3 says")
    return CommonExtendedNegotiation(sop_class_uid, STORAGE_SERVICE_CLASS, known if related is None else tuple(related))


def common_negotiations(
    contexts: Iterable[str | PresentationContext], sop_classes: SopClasses = STANDARD
) -> tuple[CommonExtendedNegotiation, ...]:
    """The items for all storage SOP classes among these, once each; for ``associate(common_extended=...)``."""
    uids = dict.fromkeys(each if isinstance(each, str) else each.abstract_syntax for each in contexts)
    return tuple(
        common_negotiation(uid, sop_classes=sop_classes)
        for uid in uids
        if sop_classes.service_class_of(uid) in STORAGE_SERVICES
    )
