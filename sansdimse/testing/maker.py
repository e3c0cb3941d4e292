"""What the author of a transport supplies to have it checked: the checker has no socket, no thread and no clock.

A ``Maker`` starts the transport and hands the checker the other end of its connections, as a ``Wire``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AbstractContextManager
from enum import Enum
from typing import TYPE_CHECKING, Any, Protocol, Unpack

if TYPE_CHECKING:
    from sansdimse.peer.caller import AssociateOptions
    from sansdimse.peer.host import ServeOptions
    from sansdimse.peer.scu import Peer

Conversation = Callable[["Peer"], Coroutine[Any, Any, object]]
"""What the checker does with an association that the transport opened. It awaits nothing but the ``Peer``."""


class Wire(Protocol):
    """The checker's end of one connection. Its calls block, but no longer than the maker's patience.

    Of a secured maker it speaks TLS: the checker gives and gets what is inside.
    """

    def send(self, data: bytes, patience: float | None = None) -> None:
        """Send this, behind what is left of earlier calls.

        Raises ``TimeoutError`` if nothing could be sent for ``patience`` seconds, by default the maker's: what is left
        is kept, and goes first in the next call, ``send(b"")`` too. Raises ``OSError`` if the connection is gone.
        """
        ...

    def receive(self, patience: float | None = None) -> bytes:
        """The bytes that came, once there are any; empty at the end of the stream.

        Raises ``TimeoutError`` if none came for ``patience`` seconds, ``OSError`` if the connection was reset.
        """
        ...

    def end(self) -> None:
        """Close the half in which the checker sends; over TLS with a close_notify before."""
        ...

    def close(self) -> None:
        """Close the connection, without a word of TLS. Idempotent."""
        ...

    def reset(self) -> None:
        """Close it with a reset (RST): what is under way is lost."""
        ...


class Connect(Protocol):
    """How the checker opens a connection to the server."""

    def __call__(self, *, chunk: int = 0, stranger: bool = False) -> Wire:
        """Open a connection.

        ``chunk`` is how many bytes at a time go to the network, those of TLS too; 0 is as many as it takes. A
        ``stranger`` of a secured maker does not know that there is TLS, and sends and gets bare bytes.
        """
        ...


class Event(Protocol):
    """Something that happens once, told by one thread and waited for in another: ``threading.Event``."""

    def set(self) -> object:
        """It has happened."""
        ...

    def wait(self, timeout: float | None = None) -> bool:
        """Block until it has; False if ``timeout`` seconds passed before."""
        ...


class Calling(Protocol):
    """The transport's ``associate``, which runs beside the checker."""

    @property
    def wire(self) -> Wire:
        """The acceptor's end of its connection: the checker's. Waits until there is one."""
        ...

    def cancel(self) -> None:
        """Cancel what runs now, as the framework does it: a conversation, or ``associate`` before and after them all.

        Returns when the framework was told, so that what comes later comes too late. After a cancelled conversation
        the next is run.
        """
        ...

    def results(self) -> Sequence[object]:
        """Wait until ``associate`` was left: what each conversation returned, or the exception it raised.

        One more at the end for ``associate`` itself: None, or the exception that it raised.
        """
        ...


class Feature(Enum):
    """What not every transport can do."""

    CALLS = "it opens associations"
    CANCELS = "a conversation may be cancelled from outside"
    DRIVES = "an association is driven also while nobody waits on it, and while a handler blocks"
    TLS = "this maker's connections are TLS"


class Maker(ABC):
    """A transport, as the checker uses it."""

    name: str = "transport"
    """What it is called in reports."""
    features: frozenset[Feature] = frozenset()
    """What it can do; a check that needs something else is left out."""
    patience: float = 30.0
    """Seconds until what must come about counts as failed. Only a transport with a fault makes the checker wait so."""

    @abstractmethod
    def serving(self, service: object, **options: Unpack[ServeOptions]) -> AbstractContextManager[Connect]:
        """Start the server with this service; the value opens connections to it.

        Leaving closes it in good order: associations may end by themselves within the patience. All that it used
        (threads, tasks, descriptors) is gone then.
        """

    def associating(
        self, conversations: Sequence[Conversation], *, chunk: int = 0, **options: Unpack[AssociateOptions]
    ) -> AbstractContextManager[Calling]:
        """Start ``associate`` beside the checker, and run the conversations in it, one after the other.

        It connects to a listener of the maker's, whose one connection is ``Calling.wire``; ``chunk`` is its. Leaving
        closes the wire, and waits for the end of ``associate``. Only a maker with ``Feature.CALLS`` is asked for it.
        """
        raise NotImplementedError(f"{self.name} opens no associations")

    def secured(self) -> Maker | None:
        """The same transport with TLS, checked besides; None if it has none."""
        return None

    @abstractmethod
    def event(self) -> Event:
        """A new event: ``return threading.Event()`` in every transport that has threads anywhere."""
