"""What a user's service looks like, and how any shape of handler becomes one.

A service is one object with the methods it provides, sync or async. A handler gets a conversation
object, never the engine's handle; it returns a status, or raises ``Failure``.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Awaitable, Iterable
from typing import Any, Final, Protocol

from sansdimse.dimse.status import Status
from sansdimse.services.sop_classes import STANDARD

_METHODS: Final = {"C-ECHO": "c_echo", "C-STORE": "c_store"}
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


def check_service(service: object, sop_classes: Iterable[str], *, any_storage: bool = False) -> None:
    """Raise ``TypeError`` if a SOP class is offered that the service has no method for, or nobody could serve."""
    needed = {"c_store"} if any_storage else set()
    for uid in sop_classes:
        methods = _methods_for(uid)
        if not methods:
            raise TypeError(f"{STANDARD.name_of(uid)} cannot be served: what is served is {', '.join(_METHODS)}")
        needed |= methods
    missing = sorted(name for name in needed if not callable(getattr(service, name, None)) and name != "c_echo")
    if missing:
        raise TypeError(f"{type(service).__name__} offers SOP classes that need the method {', '.join(missing)}")


def _methods_for(sop_class_uid: str) -> set[str]:
    row = STANDARD.get(sop_class_uid)
    if row is None:
        return {"c_store"}  # a private SOP class: storage is what the engine can serve of it
    return {_METHODS[service] for service in row.dimse_services if service in _METHODS}


def is_async(handler: object) -> bool:
    """Whether calling this gives something to await."""
    return inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(type(handler).__call__)


def status_of(returned: object) -> Status | None:
    """The status that a handler returned; None if it is none."""
    if isinstance(returned, int) and not isinstance(returned, bool) and 0 <= returned <= 0xFFFF:
        return Status(returned)
    return None


def fit_comment(comment: str | None) -> str | None:
    """What fits into an Error Comment: 64 characters of the default repertoire (PS3.7 Annex C, VR LO)."""
    return _UNPRINTABLE.sub("?", comment)[:64] if comment else None
