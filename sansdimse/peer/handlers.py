"""What a user's service looks like, and how any shape of handler becomes one.

A service is one object with the methods it provides, sync or async. A handler gets a conversation
object, never the engine's handle; it returns a status, or raises ``Failure``. The handler of a C-FIND
gives the matches.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Awaitable, Iterable
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from sansdimse.dataset import Dataset
from sansdimse.dimse.status import SUCCESS, Status
from sansdimse.service_classes.refused import Refused
from sansdimse.services.servable import SERVICES
from sansdimse.services.sop_classes import STANDARD, ServiceClass, SopClasses, invoked_by
from sansdimse.services.statuses import meaning_for

if TYPE_CHECKING:
    from sansdimse.ul.agreement import NegotiatedContext

METHODS: Final = {service: service.lower().replace("-", "_") for service in SERVICES.values()}
"""The method of a service for each DIMSE service: ``c_echo`` to ``n_delete``."""

_UNPRINTABLE: Final = re.compile(r"[^ -\[\]-~]")


class Failure(Refused):
    """Raise it in a handler to answer with this status and, if given, this Error Comment (0000,0902).

    A warning may be told so too. ``offending_element`` are tags (0000,0901); of DIMSE-N there are ``error_id``
    (0000,0903), ``attributes`` (0000,1005) and ``attribute_list``, the data set of the response, too.
    """


class Service(Protocol):
    """What a service may provide; a class needs only the methods of the SOP classes it offers.

    The protocol is for the reader and for annotations; ``check_service`` looks for what is really needed.
    """

    def c_echo(self, echo: Any) -> Status | int | Awaitable[Status | int | None] | None:
        """Verification: an ``async def`` gets ``scp.Echo``, a ``def`` gets ``blocking_scp.Echo``.

        Without this method every C-ECHO is answered with Success.
        """
        ...

    def c_store(self, store: Any) -> Status | int | Awaitable[Status | int]:
        """Storage: an ``async def`` gets ``scp.Store``, a ``def`` gets ``blocking_scp.Store``."""
        ...

    def c_find(self, find: Any) -> Any:
        """Queries: an ``async def`` gets ``scp.Find``, a ``def`` gets ``blocking_scp.Find``.

        It gives the matches: as a generator, an async generator, or by returning an iterable of them. A match is a
        ``Dataset``, or ``bytes`` encoded in the transfer syntax of the context, and told with FF00; ``(0xFF01, match)``
        tells it with that. To yield a status that is final, or ``(status, None)``, ends the C-FIND with it, and so does
        to return one; else it ends with Success.
        """
        ...

    def c_get(self, get: Any) -> Any:
        """Retrieval over this association: an ``async def`` gets ``scp_retrieve.Get``, a ``def`` its blocking form.

        It gives a number, then as many instances: a path, a ``Dataset`` or an ``Instance`` each, as a generator, an
        async generator, or by returning an iterable. ``(status, instance)`` does the same; a status that is final ends
        it, and so does to return one instead.
        """
        ...

    def c_move(self, move: Any) -> Any:
        """Retrieval over another association: as ``c_get``, and before the number the destination.

        That is a ``Destination`` or ``(host, port)``, or a pair of it and contexts or options of ``associate``; None
        is one that nobody knows (A801).
        """
        ...

    def n_create(self, create: Any) -> Any:
        """DIMSE-N: ``n_event_report``, ``n_get``, ``n_set``, ``n_action``, ``n_create`` and ``n_delete`` are alike.

        An ``async def`` gets ``scp_normalized.Normalized``, a ``def`` its blocking form. It returns a status, or a
        pair of it and the ``Dataset`` to send back.
        """
        ...


class WithStore:
    """A service with another handler for C-STORE."""

    def __init__(self, handler: Any, service: object) -> None:
        self.c_store = handler
        self._service = service

    def __getattr__(self, name: str) -> Any:
        return getattr(self._service, name)


def check_service(
    service: object, offered: Iterable[str], *, any_storage: bool = False, sop_classes: SopClasses = STANDARD
) -> None:
    """Raise ``TypeError`` if a SOP class is offered that the service has no method for.

    Of DIMSE-C each service of the SOP class needs its method; of DIMSE-N, where most are optional, one of them: what
    has none is answered with 0211.
    """
    if isinstance(service, type):
        raise TypeError(f"the service is the class {service.__name__}: give an instance, {service.__name__}(...)")
    missing = {"c_store"} if any_storage and not _has(service, "c_store") else set()
    for uid in offered:
        missing |= _missing(uid, service, sop_classes)
    if missing:
        raise TypeError(
            f"{type(service).__name__} offers SOP classes that need the method {', '.join(sorted(missing))}"
        )


def _missing(sop_class_uid: str, service: object, sop_classes: SopClasses) -> set[str]:
    row = sop_classes.get(sop_class_uid)
    if row is None:  # a private SOP class: it is served by what is there, and most are for storage
        return set() if any(_has(service, method) for method in METHODS.values()) else {"c_store"}
    carried = sop_classes.stands_for(row.uid) if sop_classes.is_meta(row.uid) else (row.uid,)
    performed = {each for uid in carried for each in _services(uid, sop_classes)}
    needed = {METHODS[each] for each in performed if invoked_by(each) == "SCU"} - {"c_echo"}
    missing = {method for method in needed if not _has(service, method)}
    normalized = {method for method in needed if method.startswith("n_")}
    if normalized - missing:
        missing -= normalized
    elif normalized:
        missing = (missing - normalized) | {" or ".join(sorted(normalized))}
    return missing


def _services(sop_class_uid: str, sop_classes: SopClasses) -> frozenset[str]:
    row = sop_classes.get(sop_class_uid)
    return frozenset() if row is None else row.dimse_services


def _has(service: object, method: str) -> bool:
    return callable(getattr(service, method, None))


def is_async(handler: object) -> bool:
    """Whether calling this gives something to await."""
    return inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(type(handler).__call__)


def is_async_generator(handler: object) -> bool:
    """Whether calling this gives something for ``async for``."""
    return inspect.isasyncgenfunction(handler) or inspect.isasyncgenfunction(type(handler).__call__)


NO_STATUS: Final = Status(0xC001)
"""The handler gave a data set for a status, and it has no Status (0000,0900)."""
NOT_A_STATUS: Final = Status(0xC002)
"""The handler gave something that is no status."""


class Reply(NamedTuple):
    """What to answer, and what to report of it."""

    status: Status
    comment: str | None = None
    offending: tuple[int, ...] = ()
    fault: Exception | None = None
    error_id: int | None = None
    attributes: tuple[int, ...] = ()
    sop_instance_uid: str | None = None
    data_set: Dataset | None = None
    failed: tuple[str, ...] | None = None


def judged(
    returned: object,
    no_status: Status = NO_STATUS,
    not_a_status: Status = NOT_A_STATUS,
    *,
    elements: frozenset[str] = frozenset({"Status", "ErrorComment", "OffendingElement"}),
) -> Reply:
    """What a handler gave for a status, with the last two in the place of what is none.

    A status is a number, a ``Failure``, or a data set with Status (0000,0900) and maybe other ``elements`` of the
    response. Of those that it cannot have only the fault is told (PS3.7 Annex C).
    """
    if isinstance(returned, Refused):
        return Reply(
            returned.status,
            returned.comment,
            returned.offending_element,
            None,
            returned.error_id,
            returned.attributes,
            None,
            returned.attribute_list,
        )
    if isinstance(returned, Dataset):
        return _judged_dataset(returned, no_status, not_a_status, elements)
    status = status_of(returned)
    if status is None:
        return Reply(not_a_status, fault=TypeError(f"the handler returned {_shown(returned)}, no status"))
    return Reply(status)


def _shown(returned: object) -> str:
    return repr(returned) if isinstance(returned, int | None) else type(returned).__name__


def _judged_dataset(returned: Dataset, no_status: Status, not_a_status: Status, elements: frozenset[str]) -> Reply:
    if "Status" not in returned:
        return Reply(no_status, fault=ValueError("a data set without Status (0000,0900) is no status"))
    status = status_of(returned.Status)
    if status is None:
        return Reply(not_a_status, fault=TypeError(f"Status (0000,0900) is {returned.Status!r}"))
    others = [element.name for element in returned if element.keyword not in elements]
    fault: Exception | None = ValueError(f"a status cannot have {', '.join(others)}") if others else None
    error_id = returned.get("ErrorID") if "ErrorID" in elements else None
    return Reply(
        status,
        str(returned.get("ErrorComment") or "") or None,
        _tags(returned.get("OffendingElement")),
        fault,
        error_id if isinstance(error_id, int) else None,
        _tags(returned.get("AttributeIdentifierList")) if "AttributeIdentifierList" in elements else (),
        str(returned.get("AffectedSOPInstanceUID") or "") or None if "AffectedSOPInstanceUID" in elements else None,
        None,
        _uids(returned.get("FailedSOPInstanceUIDList")) if "FailedSOPInstanceUIDList" in elements else None,
    )


def _uids(value: Any) -> tuple[str, ...] | None:
    if value is None:
        return None
    return (str(value),) if isinstance(value, str) else tuple(map(str, value))


def _tags(value: Any) -> tuple[int, ...]:
    if not value and not isinstance(value, int):
        return ()
    return (int(value),) if isinstance(value, int) else tuple(map(int, value))


def status_of(returned: object) -> Status | None:
    """The status that a handler returned; None if it is none."""
    if isinstance(returned, int) and not isinstance(returned, bool) and 0 <= returned <= 0xFFFF:
        return Status(returned)
    return None


def fit_comment(comment: str | None) -> str | None:
    """What fits into an Error Comment: 64 characters of the default repertoire (PS3.7 Annex C, VR LO)."""
    return _UNPRINTABLE.sub("?", comment)[:64] if comment else None


def checked(
    reply: Reply,
    context: NegotiatedContext,
    dimse_service: str,
    sop_classes: SopClasses,
    action_type: int | None = None,
) -> Reply:
    """A final status that its service class does not know is told unchanged, and reported.

    Of private service classes only their makers know the statuses. What is no final status at all cannot be told,
    and that is reported where it fails.
    """
    uid = context.abstract_syntax
    row = sop_classes.get(uid)
    if reply.status == SUCCESS or reply.fault or row is None or row.service_class is ServiceClass.PRIVATE:
        return reply
    if status_of(reply.status) is None or not reply.status.is_final:
        return reply
    meaning = meaning_for(reply.status, uid, dimse_service, action_type=action_type, sop_classes=sop_classes)
    asked = f"{dimse_service} of {row.service_class}"
    if meaning and meaning.action_types and action_type not in (None, *meaning.action_types):
        meaning, asked = None, f"{asked} with action type {action_type}"
    if meaning:
        return reply
    return reply._replace(fault=ValueError(f"{reply.status} is no status of a {asked}"))
