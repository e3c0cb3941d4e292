"""Storage Commitment Push Model: what is asked, what is reported, and which report answers which request (PS3.4 J).

The report may come on another association than the request, hours later; the Transaction UID alone holds the two
together. ``Transactions`` is the requestor's book of them.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeVar

from sansdimse import uids
from sansdimse.dataset import Dataset
from sansdimse.dimse.status import INVALID_ARGUMENT_VALUE, NO_SUCH_EVENT_TYPE
from sansdimse.service_classes.attributes import items_of, subset, text_of
from sansdimse.service_classes.refused import Refused

SOP_INSTANCE: Final = "1.2.840.10008.1.20.1.1"
"""The well-known instance that every request and report names (PS3.4 J.3.5)."""

REQUEST_STORAGE_COMMITMENT: Final = 1
"""The action type (PS3.4 J.3.2)."""

ALL_COMMITTED: Final = 1
SOME_FAILED: Final = 2
"""The event types (PS3.4 J.3.3)."""

NO_REASON: Final = 0x0110
"""What counts as the Failure Reason where a report gives none: processing failure (PS3.3 C.14.1.1)."""


R = TypeVar("R", bound=tuple[str, str])


class Reference(NamedTuple):
    """One SOP instance by its class and its own UID."""

    sop_class_uid: str
    sop_instance_uid: str


def request(transaction_uid: str, references: Iterable[tuple[str, str]]) -> Dataset:
    """The Action Information that asks for commitment to these (SOP Class UID, SOP Instance UID).

    Raises ValueError when there are none, or one twice.
    """
    information = Dataset()
    information.TransactionUID = transaction_uid
    information.ReferencedSOPSequence = [_item(reference) for reference in _distinct(references)]
    return information


def read_request(information: Dataset) -> tuple[str, tuple[Reference, ...]]:
    """The Transaction UID and the references of a request, each once. For the SCP.

    Raises Refused (0115) if there is no Transaction UID, no reference, or one without its two UIDs.
    """
    references = _references(information, "ReferencedSOPSequence")
    if not references:
        raise Refused(INVALID_ARGUMENT_VALUE, "no Referenced SOP Sequence")
    return _transaction_uid(information), tuple(dict.fromkeys(references))


def report(
    transaction_uid: str,
    committed: Iterable[tuple[str, str]],
    failed: Mapping[R, int] | None = None,
    *,
    retrieve_ae_title: str = "",
) -> tuple[int, Dataset]:
    """The event type and the Event Information that answer a request (PS3.4 J.3.3). For the SCP.

    ``failed`` gives Failure Reasons: ``sansdimse.services.statuses.FAILURE_REASONS``. Together they must be all the
    references of the request. Raises ValueError when a reference is given twice, or none at all.
    """
    failed = failed or {}
    good = tuple(committed)
    _distinct((*good, *failed))
    information = Dataset()
    information.TransactionUID = transaction_uid
    if retrieve_ae_title:
        information.RetrieveAETitle = retrieve_ae_title
    if good:
        information.ReferencedSOPSequence = [_item(reference) for reference in good]
    if failed:
        information.FailedSOPSequence = [_item(reference, reason) for reference, reason in failed.items()]
    return SOME_FAILED if failed else ALL_COMMITTED, information


def _distinct(references: Iterable[tuple[str, str]]) -> tuple[Reference, ...]:
    given = tuple(Reference(*reference) for reference in references)
    if not given:
        raise ValueError("no SOP instance is referenced")
    seen: set[str] = set()
    for reference in given:
        if reference.sop_instance_uid in seen:
            raise ValueError(f"SOP instance {reference.sop_instance_uid} is referenced twice")
        seen.add(reference.sop_instance_uid)
    return given


def _item(reference: tuple[str, str], reason: int | None = None) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = reference
    if reason is not None:
        item.FailureReason = reason
    return item


def _transaction_uid(information: Dataset) -> str:
    uid = uids.normal(text_of(information, "TransactionUID"))
    if not uid:
        raise Refused(INVALID_ARGUMENT_VALUE, "no Transaction UID")
    return uid


def _reference(item: Dataset) -> Reference:
    reference = Reference(
        uids.normal(text_of(item, "ReferencedSOPClassUID")), uids.normal(text_of(item, "ReferencedSOPInstanceUID"))
    )
    if not all(reference):
        raise Refused(INVALID_ARGUMENT_VALUE, "a reference without its UIDs")
    return reference


def _references(information: Dataset, keyword: str) -> list[Reference]:
    return [_reference(item) for item in items_of(information, keyword)]


@dataclass(frozen=True, slots=True)
class Result:
    """What became of the references of one request.

    An instance is safe only if it is in ``committed``. ``failed`` holds the Failure Reasons; what a report names
    both ways has failed. ``missing`` were asked for and not reported, ``unexpected`` reported and not asked for.
    ``retrieve_ae_title`` is "" where the report has none. ``repeated``: this transaction was answered before.
    """

    transaction_uid: str
    committed: frozenset[Reference]
    failed: Mapping[Reference, int]
    missing: frozenset[Reference]
    unexpected: frozenset[Reference]
    retrieve_ae_title: str = ""
    repeated: bool = False

    @property
    def is_complete(self) -> bool:
        """Whether all that was asked for is committed."""
        return not self.failed and not self.missing


class Transactions:
    """The requests that wait for their report, whatever association it comes on.

    Holds at most ``most`` of them, and as many that were answered, so that a report repeated by a peer who missed our
    response is known. One book serves all associations of an application; it has no lock.
    """

    def __init__(self, most: int = 1024) -> None:
        self.most = most
        self._open: dict[str, frozenset[Reference]] = {}
        self._answered: OrderedDict[str, frozenset[Reference]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._open)

    def __iter__(self) -> Iterator[str]:
        """The Transaction UIDs that wait, the oldest first."""
        return iter(tuple(self._open))

    def open(self, transaction_uid: str, references: Iterable[tuple[str, str]]) -> Dataset:
        """Note a request, before it is sent; its Action Information, as by ``request``.

        Raises ValueError as that does, for a Transaction UID used before, and when ``most`` wait already.
        """
        information = request(transaction_uid, references)
        if transaction_uid in self._open or transaction_uid in self._answered:
            raise ValueError(f"Transaction UID {transaction_uid} was used before")
        if len(self._open) >= self.most:
            raise ValueError(f"{self.most} transactions wait for their report: abandon some")
        self._open[transaction_uid] = frozenset(_references(information, "ReferencedSOPSequence"))
        return information

    def abandon(self, transaction_uid: str) -> None:
        """Forget a request: it was not accepted, or its report is not waited for any more. KeyError if unknown."""
        del self._open[transaction_uid]

    def receive(self, event_type_id: int, information: Dataset) -> Result:
        """What a report says of its request, which is closed by it (PS3.4 J.3.3.1.2).

        What counts is which instances the report lists as failed, not its event type. Raises Refused, and changes
        nothing: 0113 for another event type, 0115 for a transaction that nobody opened or references without UIDs.
        """
        if event_type_id not in (ALL_COMMITTED, SOME_FAILED):
            raise Refused(NO_SUCH_EVENT_TYPE, f"no event type {event_type_id}")
        uid = _transaction_uid(information)
        asked = self._open.get(uid, self._answered.get(uid))
        if asked is None:
            invalid = subset(information, ["TransactionUID"])
            raise Refused(INVALID_ARGUMENT_VALUE, "unknown Transaction UID", attribute_list=invalid)
        failed = {_reference(item): _reason(item) for item in items_of(information, "FailedSOPSequence")}
        good = frozenset(_references(information, "ReferencedSOPSequence")) - failed.keys()
        result = Result(
            transaction_uid=uid,
            committed=good & asked,
            failed={reference: reason for reference, reason in failed.items() if reference in asked},
            missing=asked - good - failed.keys(),
            unexpected=(good | failed.keys()) - asked,
            retrieve_ae_title=text_of(information, "RetrieveAETitle"),
            repeated=uid not in self._open,
        )
        self._open.pop(uid, None)
        self._answered[uid] = asked
        if len(self._answered) > self.most:
            self._answered.popitem(last=False)
        return result


def _reason(item: Dataset) -> int:
    text = text_of(item, "FailureReason")
    return int(text) if text.isdecimal() else NO_REASON
