"""An association that a transport under test opens, and the checker's end of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sansdimse.outcome import OutcomeKind
from sansdimse.peer.session import AssociationLost
from sansdimse.testing.check import expect
from sansdimse.testing.far_end import (
    CONTEXTS,
    LARGE,
    PATIENT,
    SMALL,
    WINDOW,
    FarEnd,
    Notebook,
    instance,
)
from sansdimse.ul.pdu import AReleaseRP, AReleaseRQ
from sansdimse.ul.timers import Timer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sansdimse.outcome import Outcome
    from sansdimse.peer import scp
    from sansdimse.peer.scu import Peer
    from sansdimse.testing.maker import Calling, Conversation, Maker


class Call:
    """An association that the transport opened, and the checker's end of it."""

    def __init__(self, calling: Calling, notebook: Notebook, expected: int) -> None:
        self._calling = calling
        self._expected = expected
        self.notebook = notebook
        self.far = FarEnd(calling.wire)
        self.cancel: Callable[[], None] = calling.cancel

    def results(self) -> Sequence[object]:
        """What the conversations gave, and ``associate`` itself."""
        results = self._calling.results()
        expect(
            len(results) in (1, self._expected + 1),
            f"{self._expected} conversations were to be run, and {len(results) - 1} were",
        )
        return results

    def outcome(self) -> Outcome:
        """How the association ended, when ``associate`` is done."""
        results = self.results()
        ended = self.notebook.ended
        expect(len(ended) == 1, f"an association's end was told {len(ended)} times, and ``associate`` gave {results}")
        return ended[0].outcome

    def expect_timer(self, timer: Timer) -> None:
        """The association must have ended by this timer."""
        outcome = self.outcome()
        expect(outcome.timer is timer, f"the deadline {timer.name} should have ended it, and it ended so: {outcome}")

    def expect_kind(self, kind: OutcomeKind) -> None:
        """The association must have ended so."""
        outcome = self.outcome()
        expect(outcome.kind is kind, f"it should have ended {kind.value}, and did so: {outcome}")


class Keeps:
    """A service that keeps what the acceptor stores on the association."""

    def __init__(self) -> None:
        self.stored: list[bytes] = []

    async def c_store(self, store: scp.Store) -> int:
        """Keep it."""
        self.stored.append(await store.read())
        return 0


@contextmanager
def called(maker: Maker, *conversations: Conversation, chunk: int = 0, **options: Any) -> Iterator[Call]:
    """``associate`` with these conversations. Afterwards nothing was reported."""
    notebook = Notebook(maker)
    given: dict[str, Any] = {"contexts": CONTEXTS, "window": WINDOW, "limits": PATIENT, "service": Keeps(), **options}
    with maker.associating(
        conversations, chunk=chunk, watch=notebook.watch, report=notebook.report, **given
    ) as calling:
        call = Call(calling, notebook, len(conversations))
        try:
            yield call
        finally:
            call.far.wire.close()
            calling.results()
    expect(not notebook.reports, f"errors were reported: {notebook.reports}")


async def echo(peer: Peer) -> int:
    """Ask C-ECHO."""
    return await peer.c_echo()


async def store(peer: Peer) -> int:
    """Store something small."""
    return await peer.c_store(instance(SMALL))


async def store_much(peer: Peer) -> int:
    """Store something large."""
    return await peer.c_store(instance(LARGE))


async def abort(peer: Peer) -> object:
    """Abort."""
    return await peer.abort()


async def nothing(peer: Peer) -> None:
    """Ask nothing: the association is released."""


def released(far: FarEnd) -> None:
    """Answer the request to release."""
    far.hear(AReleaseRQ)
    far.say(AReleaseRP())


def lost(result: object) -> bool:
    """Whether a conversation was told that its association is over."""
    return isinstance(result, AssociationLost)
