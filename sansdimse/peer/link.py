"""What a conversation needs of a transport: waiting, spawning, and nothing about DICOM.

A transport is one ``Link`` an association. Only its driver writes to the wire, never a user's task, so
that a cancelled task cannot leave half a PDU behind.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager
from dataclasses import KW_ONLY, dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from sansdimse.dataset import Instance

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Destination:
    """Whom to open an association with, and as whom. Two that are equal are one place to go to."""

    host: str
    port: int
    called: str = "ANY-SCP"
    """The peer's AE title."""
    _: KW_ONLY
    calling: str = "SANSDIMSE"
    """Our AE title."""
    tls: Any = field(default=None, repr=False)
    """An ``ssl.SSLContext``, which the engine does not import; None is plain TCP."""
    server_name: str | None = None
    """The name in the peer's certificate, if it is not ``host``."""

    def __str__(self) -> str:
        return f"{self.called}@{self.host}:{self.port}"


class PathLike(Protocol):
    """A path that is no string: ``os.PathLike[str]``, which the engine does not import."""

    def __fspath__(self) -> str:
        """The path as a string."""
        ...


class Signal(Protocol):
    """Something that happens once: ``asyncio.Event``, ``trio.Event``; a socket's ``wait`` drives the socket."""

    def set(self) -> object:
        """It has happened. Called by whoever handles the event; never waits."""
        ...

    async def wait(self) -> object:
        """Return when it has happened; at once if it has."""
        ...


class Job(Protocol):
    """A conversation that runs beside others."""

    def cancel(self) -> object:
        """End it at its next wait, where the loop can; where not, it ends by itself."""
        ...


class Link(Protocol):
    """What a transport gives to the conversations of one association."""

    nests: bool
    """Whether a wait runs others inside itself, as a blocking socket's: then two cannot wait for each other."""

    def now(self) -> float:
        """The time, on the scale on which the engine is told it: conversations measure how long things take."""
        ...

    def signal(self) -> Signal:
        """A new signal."""
        ...

    def spawn(self, conversation: Coroutine[Any, Any, None]) -> Job:
        """Run a conversation beside the others; a blocking socket runs it in its next wait."""
        ...

    def kick(self) -> None:
        """The engine was asked something, or an inbox has room: write, re-arm, resume reading. Never waits."""
        ...

    async def flush(self) -> None:
        """``kick``, and return when less than ``Limits.output_high_water`` is unsent."""
        ...

    async def call(self, function: Callable[..., T], *args: Any, abandon_on_cancel: bool = False) -> T:
        """Run a function that may block: in a bounded worker thread where there is a loop to keep free.

        Cancelled, it waits for the function's end all the same, since what that uses may be closed next; with
        ``abandon_on_cancel``, for a handler of the user's, it lets the thread run on by itself. Where threads are
        bounded these have a bound of their own: that of a C-GET waits until the file that it gave was read.
        """
        ...

    def block_on(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """From such a function back into the conversation: run a coroutine to its end."""
        ...

    def look(self) -> None:
        """From such a function: let the engine hear what has come; nothing, where that happens while it blocks."""
        ...

    def open_instance(self, path: str | PathLike) -> AbstractContextManager[Instance]:
        """Open a DICOM file for sending, measured and checked. Raises ``OSError`` and ``DatasetError``."""
        ...


class Engine(Protocol):
    """What a driver drives: ``UpperLayer``, ``Association``, and whatever else has these verbs."""

    def transport_opened(self, now: float) -> None:
        """The connection is open."""
        ...

    def receive_data(self, data: bytes, now: float) -> None:
        """Bytes came."""
        ...

    def receive_eof(self, now: float, error: str | None = None) -> None:
        """The connection was closed, reset or never opened."""
        ...

    def handle_timeout(self, now: float) -> None:
        """The time is ``now``."""
        ...

    def data_to_send(self, now: float) -> list[bytes | memoryview]:
        """What to write next."""
        ...

    def next_timeout(self) -> float | None:
        """When to call ``handle_timeout``."""
        ...

    @property
    def wants_close(self) -> bool:
        """Whether to close, once nothing is unsent."""
        ...

    @property
    def bytes_unsent(self) -> int:
        """Bytes not known to be written."""
        ...

    @property
    def mid_pdu(self) -> bool:
        """Whether more must come before anything can be made of what came: acknowledge without delay then."""
        ...
