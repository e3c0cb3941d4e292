"""A server of each transport, run beside the test: in a thread of its own with its loop in it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final

import trio
import uvloop

import sansdimse_asyncio
import sansdimse_socket
import sansdimse_trio
from sansdimse.peer.watch import AssociationEnded, Occurrence, OperationEnded, OperationOutcome, Statistics

HOST: Final = "127.0.0.1"
PATIENCE: Final = 60.0
"""Seconds until what must happen counts as failed; only a failing test waits so long."""

TRANSPORTS: Final = ("socket", "asyncio", "trio")


@dataclass
class Running:
    """A server that runs; what it told so far."""

    port: int = 0
    server: Any = None
    reports: list[tuple[BaseException, str]] = field(default_factory=list)
    occurrences: list[Occurrence] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)
    stop: Callable[[], object] = lambda: None

    def told(self, occurrence: Occurrence) -> None:
        """The ``watch`` of the server."""
        with self.changed:
            self.occurrences.append(occurrence)
            self.changed.notify_all()

    def reported(self, error: BaseException, where: str) -> None:
        """The ``report`` of the server."""
        with self.changed:
            self.reports.append((error, where))
            self.changed.notify_all()

    def until(self, happened: Callable[[], object]) -> None:
        """Wait until something told makes this true."""
        with self.changed:
            if not self.changed.wait_for(happened, PATIENCE):
                raise AssertionError(f"it did not come about: {self.occurrences} {self.reports}")

    @property
    def ended(self) -> list[Statistics]:
        """The associations that ended."""
        return [each.statistics for each in self.occurrences if isinstance(each, AssociationEnded)]

    @property
    def operations(self) -> list[OperationOutcome]:
        """The operations that ended."""
        return [each.outcome for each in self.occurrences if isinstance(each, OperationEnded)]


@contextmanager
def running(transport: str, service: object, *, port: int = 0, **options: Any) -> Iterator[Running]:
    """A server of this transport; leaving closes it, and waits for all of it."""
    options.setdefault("grace", 0.0)
    beside = Running()
    options = {"watch": beside.told, "report": beside.reported, **options}
    if transport == "socket":
        with sansdimse_socket.serve(HOST, port, service, **options) as server:
            beside.server, beside.port = server, server.port
            beside.stop = server.close
            yield beside
        return
    started = threading.Event()
    errors: list[BaseException] = []

    async def on_asyncio() -> None:
        loop, stopped = asyncio.get_running_loop(), asyncio.Event()
        async with sansdimse_asyncio.serve(HOST, port, service, **options) as server:
            beside.server, beside.port = server, server.port
            beside.stop = lambda: loop.call_soon_threadsafe(stopped.set)
            started.set()
            await stopped.wait()

    async def on_trio() -> None:
        token, stopped = trio.lowlevel.current_trio_token(), trio.Event()
        async with sansdimse_trio.serve(HOST, port, service, **options) as server:
            beside.server, beside.port = server, server.port
            beside.stop = lambda: token.run_sync_soon(stopped.set)
            started.set()
            await stopped.wait()

    def run() -> None:
        try:
            if transport == "asyncio":
                asyncio.run(on_asyncio())
            elif transport == "uvloop":
                uvloop.run(on_asyncio())
            else:
                trio.run(on_trio)
        except BaseException as error:
            errors.append(error)
        finally:
            started.set()

    thread = threading.Thread(target=run, name=f"{transport} server")
    thread.start()
    assert started.wait(PATIENCE)
    try:
        if errors:
            raise errors[0]
        yield beside
    finally:
        with suppress(RuntimeError):  # the test stopped it, and its loop is closed
            beside.stop()
        thread.join(PATIENCE)
        assert not thread.is_alive(), "the server did not end"
    if errors:
        raise errors[0]
