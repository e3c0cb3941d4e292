"""Whom a command talks to, and how patiently."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from sansdimse import Limits, PresentationContext
from sansdimse.peer.session import Report
from sansdimse_socket import Peer, associate
from sansdimse_socket.client import LINGER
from sansdimse_socket.link import Tap


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A peer by its address and the AE titles of both ends; ``str()`` is HOST:PORT."""

    host: str
    port: int
    calling: str
    called: str
    maximum_length: int
    limits: Limits = field(default_factory=Limits)

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def associate(
        self,
        contexts: Sequence[PresentationContext | str],
        *,
        report: Report = lambda error, where: None,
        tap: Tap | None = None,
    ) -> AbstractContextManager[Peer]:
        """Open an association with it: ``sansdimse_socket.associate``."""
        return associate(
            self.host,
            self.port,
            calling=self.calling,
            called=self.called,
            contexts=contexts,
            maximum_length=self.maximum_length,
            limits=self.limits,
            report=report,
            tap=tap,
        )


def patience(connect: float, acse: float, dimse: float) -> Limits:
    """The limits of a requestor with these timeouts in seconds; 0 is no limit."""
    return Limits(
        connect=connect or None,
        association_response=acse or None,
        release=acse or None,
        dimse_response=dimse or None,
        artim=LINGER,
    )
