"""What a user's service looks like, and how any shape of handler becomes one.

A service is one object with the methods it provides, sync or async. A handler gets a conversation
object, never the engine's handle; it returns a status, or raises ``Failure``. The handler of a C-FIND
gives the matches.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Awaitable, Iterable
from typing import Any, Final, NamedTuple, Protocol

from sansdimse.dataset import Dataset
from sansdimse.dimse.status import Status
from sansdimse.services.sop_classes import STANDARD

_METHODS: Final = {"C-ECHO": "c_echo", "C-STORE": "c_store", "C-FIND": "c_find"}
"""The method of a service that each DIMSE service needs."""

_UNPRINTABLE: Final = re.compile(r"[^ -\[\]-~]")


class Failure(Exception):
    """Raise it in a handler to answer with this status and, if given, this Error Comment (0000,0902).

    A warning may be told so too. ``offending_element`` are tags (0000,0901).
    """

    def __init__(self, status: int, comment: str | None = None, offending_element: tuple[int, ...] = ()) -> None:
        super().__init__(f"{Status(status)}{': ' + comment if comment else ''}")
        self.status = Status(status)
        self.comment = comment
        self.offending_element = offending_element


class Service(Protocol):
    """What a service may provide; a class needs only the methods of the SOP classes it offers.

    The protocol is for the reader and for annotations; ``check_service`` looks for what is really needed.
    """

    def c_echo(self, echo: Any) -> Status | int | Awaitable[Status | int | None] | None:
        """Verification: an ``async def`` gets ``scp.Echo``, a ``def`` gets ``blocking.Echo``.

        Without this method every C-ECHO is answered with Success.
        """
        ...

    def c_store(self, store: Any) -> Status | int | Awaitable[Status | int]:
        """Storage: an ``async def`` gets ``scp.Store``, a ``def`` gets ``blocking.Store``."""
        ...

    def c_find(self, find: Any) -> Any:
        """Queries: an ``async def`` gets ``scp.Find``, a ``def`` gets ``blocking.Find``.

        It gives the matches: as a generator, an async generator, or by returning an iterable of them. A match is a
        ``Dataset``, or ``bytes`` encoded in the transfer syntax of the context, and told with FF00; ``(0xFF01, match)``
        tells it with that. To yield a status that is final, or ``(status, None)``, ends the C-FIND with it, and so does
        to return one; else it ends with Success.
        """
        ...


def check_service(service: object, sop_classes: Iterable[str], *, any_storage: bool = False) -> None:
    """Raise ``TypeError`` if a SOP class is offered that the service has no method for, or nobody could serve."""
    if isinstance(service, type):
        raise TypeError(f"the service is the class {service.__name__}: give an instance, {service.__name__}(...)")
    needed = {"c_store"} if any_storage else set()
    for uid in sop_classes:
        methods = _methods_for(uid, service)
        if not methods:
            raise TypeError(f"{STANDARD.name_of(uid)} cannot be served: what is served is {', '.join(_METHODS)}")
        needed |= methods
    missing = sorted(name for name in needed if not callable(getattr(service, name, None)) and name != "c_echo")
    if missing:
        raise TypeError(f"{type(service).__name__} offers SOP classes that need the method {', '.join(missing)}")


def _methods_for(sop_class_uid: str, service: object) -> set[str]:
    row = STANDARD.get(sop_class_uid)
    if row is None:  # a private SOP class: it is served by what is there, and most are for storage
        return {"c_find" if callable(getattr(service, "c_find", None)) and not _stores(service) else "c_store"}
    return {_METHODS[service] for service in row.dimse_services if service in _METHODS}


def _stores(service: object) -> bool:
    return callable(getattr(service, "c_store", None))


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


def judged(returned: object, no_status: Status = NO_STATUS, not_a_status: Status = NOT_A_STATUS) -> Reply:
    """What a handler gave for a status, with the last two in the place of what is none.

    A status is a number, a ``Failure``, or a data set with Status (0000,0900) and maybe Error Comment (0000,0902) and
    Offending Element (0000,0901). Of other elements only the fault is told (PS3.7 Annex C).
    """
    if isinstance(returned, Failure):
        return Reply(returned.status, returned.comment, returned.offending_element)
    if isinstance(returned, Dataset):
        return _judged_dataset(returned, no_status, not_a_status)
    status = status_of(returned)
    if status is None:
        return Reply(not_a_status, fault=TypeError(f"the handler returned {_shown(returned)}, no status"))
    return Reply(status)


def _shown(returned: object) -> str:
    return repr(returned) if isinstance(returned, int | None) else type(returned).__name__


def _judged_dataset(returned: Dataset, no_status: Status, not_a_status: Status) -> Reply:
    if "Status" not in returned:
        return Reply(no_status, fault=ValueError("a data set without Status (0000,0900) is no status"))
    status = status_of(returned.Status)
    if status is None:
        return Reply(not_a_status, fault=TypeError(f"Status (0000,0900) is {returned.Status!r}"))
    offending = returned.get("OffendingElement") or ()
    tags = (offending,) if isinstance(offending, int) else tuple(map(int, offending))
    others = [element.name for element in returned if element.keyword not in _STATUS_KEYWORDS]
    fault = ValueError(f"a status cannot have {', '.join(others)}") if others else None
    return Reply(status, str(returned.get("ErrorComment") or "") or None, tags, fault)


_STATUS_KEYWORDS: Final = frozenset({"Status", "ErrorComment", "OffendingElement"})


def status_of(returned: object) -> Status | None:
    """The status that a handler returned; None if it is none."""
    if isinstance(returned, int) and not isinstance(returned, bool) and 0 <= returned <= 0xFFFF:
        return Status(returned)
    return None


def fit_comment(comment: str | None) -> str | None:
    """What fits into an Error Comment: 64 characters of the default repertoire (PS3.7 Annex C, VR LO)."""
    return _UNPRINTABLE.sub("?", comment)[:64] if comment else None
