"""A server under test, with the connections of the checker to it, and a service of which every handler is counted."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from sansdimse.dimse.messages import CEchoRSP
from sansdimse.peer.session import AssociationLost
from sansdimse.testing.check import expect
from sansdimse.testing.far_end import (
    CONTEXTS,
    PATIENT,
    WINDOW,
    FarEnd,
    Notebook,
    content,
    echo_rq,
)
from sansdimse.ul.pdu import AReleaseRP, AReleaseRQ
from sansdimse.ul.timers import Timer

if TYPE_CHECKING:
    from sansdimse.peer import blocking_scp, scp
    from sansdimse.testing.maker import Connect, Event, Maker

MATCH: Final = content(512 << 10)
"""A match of ``Service.c_find``."""
MATCHES: Final = 24
"""How many it gives."""


class Site:
    """The server, and the checker's connections to it."""

    def __init__(self, connect: Connect, notebook: Notebook) -> None:
        self._connect = connect
        self._ends: list[FarEnd] = []
        self.notebook = notebook

    def connect(self, *, chunk: int = 0, stranger: bool = False) -> FarEnd:
        """Open a connection."""
        far = FarEnd(self._connect(chunk=chunk, stranger=stranger))
        self._ends.append(far)
        return far

    @property
    def opened(self) -> int:
        """How many connections there were."""
        return len(self._ends)

    def until_all_ended(self) -> None:
        """Wait until the server has told the end of every connection."""
        self.notebook.until(
            lambda: len(self.notebook.ended) >= self.opened,
            "a connection was over, and its AssociationEnded was never told: is the engine told the end of the stream?",
        )

    def expect_timer(self, timer: Timer) -> None:
        """The last association must have ended by this timer."""
        self.until_all_ended()
        outcome = self.notebook.ended[-1].outcome
        expect(outcome.timer is timer, f"the deadline {timer.name} should have ended it, and it ended so: {outcome}")

    def close(self) -> None:
        """Close all connections."""
        for far in self._ends:
            far.wire.close()


class Service:
    """Takes all that it is asked, and counts its handlers."""

    def __init__(self) -> None:
        self.noted: Callable[[], object] = lambda: None
        """Called whenever something was counted."""
        self.stored: list[bytes] = []
        self.begun = self.left = self.lost = 0

    @contextmanager
    def handling(self) -> Iterator[None]:
        """Around a handler."""
        self.begun += 1
        self.noted()
        try:
            yield
        except AssociationLost:
            self.lost += 1
            raise
        finally:
            self.left += 1
            self.noted()

    async def c_store(self, store: scp.Store) -> int:
        """Keep it."""
        with self.handling():
            self.stored.append(await store.read())
        return 0

    async def c_find(self, find: scp.Find) -> AsyncGenerator[bytes, None]:
        """Large matches, more than anybody keeps for a peer that does not read."""
        for _ in range(MATCHES):
            with self.handling():
                pass
            yield MATCH


class BlockingService(Service):
    """The same with a handler that blocks, which calls ``first`` before it reads."""

    def __init__(self, first: Callable[[], object] = lambda: None) -> None:
        super().__init__()
        self.first = first

    def c_store(self, store: blocking_scp.Store) -> int:  # type: ignore[override]
        """Keep it."""
        with self.handling():
            self.first()
            self.stored.append(store.read())
        return 0


@contextmanager
def served(maker: Maker, service: Service | None = None, *, reports: int = 0, **options: Any) -> Iterator[Site]:
    """The server with a service. Afterwards every connection must have ended, with so many errors reported."""
    notebook = Notebook(maker)
    service = service or Service()
    service.noted = notebook.noted
    given: dict[str, Any] = {"supports": CONTEXTS, "window": WINDOW, "limits": PATIENT, **options}
    with maker.serving(service, watch=notebook.watch, report=notebook.report, **given) as connect:
        site = Site(connect, notebook)
        try:
            yield site
        finally:
            site.close()
        site.until_all_ended()
    told = len(notebook.ended)
    expect(told == site.opened, f"{site.opened} connections were opened, and the ends of {told} were told")
    expect(service.begun == service.left, "a handler was still running when the server had been closed")
    expect(len(notebook.reports) == reports, f"errors were reported: {notebook.reports}")


def held(maker: Maker, gate: Event) -> bool:
    """Wait in a handler until the check opens the gate."""
    expect(gate.wait(maker.patience), "a handler was held up until the checker's patience was over")
    return True


def released(far: FarEnd) -> None:
    """Release the association."""
    far.say(AReleaseRQ())
    far.hear(AReleaseRP)


def echoed(far: FarEnd, message_id: int) -> None:
    """Ask C-ECHO, and hear the answer."""
    far.say(echo_rq(message_id))
    answer = far.hear(CEchoRSP)
    expect(answer.message_id_being_responded_to == message_id, "a C-ECHO got the answer to another")


def is_served(site: Site) -> None:
    """Another client is served, whatever others do."""
    far = site.connect()
    far.request()
    echoed(far, 1)
    released(far)
    far.wire.close()
