"""Whom a command talks to, and how patiently."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from dataclasses import dataclass, field

import sansdimse_asyncio
from sansdimse import AsynchronousOperationsWindow, Limits, PresentationContext
from sansdimse.peer import scu
from sansdimse.peer.caller import LINGER, AssociateOptions
from sansdimse.peer.session import Report
from sansdimse.peer.tap import Tap
from sansdimse.peer.watch import Watch, unwatched
from sansdimse.services.extended import Offers
from sansdimse_socket import Peer, associate


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A peer by its address and the AE titles of both ends; ``str()`` is HOST:PORT."""

    host: str
    port: int
    calling: str
    called: str
    maximum_length: int
    limits: Limits = field(default_factory=Limits)
    window: int = 1
    """Requests to have outstanding at once (PS3.7 D.3.3.3); the item is proposed for more than one."""
    tls: ssl.SSLContext | None = None
    server_name: str | None = None
    """In its certificate, if that is not for ``host``."""

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def associate(
        self,
        contexts: Sequence[PresentationContext | str],
        *,
        extended: Offers = (),
        report: Report = lambda error, where: None,
        tap: Tap | None = None,
        watch: Watch = unwatched,
    ) -> AbstractContextManager[Peer]:
        """Open an association with it: ``sansdimse_socket.associate``."""
        options = self._options(contexts, extended, report, watch)
        return associate(self.host, self.port, tls=self.tls, server_name=self.server_name, tap=tap, **options)

    def associate_async(
        self,
        contexts: Sequence[PresentationContext | str],
        *,
        extended: Offers = (),
        report: Report = lambda error, where: None,
        watch: Watch = unwatched,
    ) -> AbstractAsyncContextManager[scu.Peer]:
        """The same on an event loop, where one can wait for a signal besides: ``sansdimse_asyncio.associate``."""
        options = self._options(contexts, extended, report, watch)
        return sansdimse_asyncio.associate(self.host, self.port, tls=self.tls, server_name=self.server_name, **options)

    def _options(
        self, contexts: Sequence[PresentationContext | str], extended: Offers, report: Report, watch: Watch
    ) -> AssociateOptions:
        return AssociateOptions(
            calling=self.calling,
            called=self.called,
            contexts=contexts,
            maximum_length=self.maximum_length,
            window=AsynchronousOperationsWindow(self.window, 1) if self.window != 1 else None,
            extended=extended,
            limits=self.limits,
            report=report,
            watch=watch,
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
