"""What the peer asks, for handlers that block: ``Conversation`` and its kinds, each step run to its end.

On a loop such a handler is in a worker thread, and what must happen in the loop goes there by ``Link.block_on``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from sansdimse.dataset import Dataset

if TYPE_CHECKING:
    from sansdimse.dimse.messages import CEchoRQ, CFindRQ, CGetRQ, CMoveRQ, CStoreRQ
    from sansdimse.peer import scp
    from sansdimse.peer.conversation import Conversation, Identified
    from sansdimse.peer.link import Link
    from sansdimse.peer.session import AssociationInfo
    from sansdimse.services.normalized import NormalizedRQ
    from sansdimse.services.suboperations import SubOperations
    from sansdimse.ul.agreement import NegotiatedContext

V = TypeVar("V", bound="Conversation")
Q = TypeVar("Q", bound="Identified")


class Facade(Generic[V]):
    """What every request of the peer looks like to a handler that blocks: ``Conversation``."""

    def __init__(self, conversation: V, link: Link) -> None:
        self._conversation = conversation
        self._link = link

    @property
    def context(self) -> NegotiatedContext:
        """The presentation context."""
        return self._conversation.context

    @property
    def transfer_syntax_uid(self) -> str:
        """The transfer syntax of data sets, theirs and ours."""
        return self._conversation.transfer_syntax_uid

    @property
    def association(self) -> AssociationInfo:
        """Who asks."""
        return self._conversation.association

    @property
    def cancelled(self) -> bool:
        """Whether nobody waits for the answer: after a C-CANCEL, or because the association ends, whoever ends it.

        A handler that takes long should ask now and then: it learns of it in no other way before it reads on, or
        gives its next match.
        """
        self._link.look()
        return self._conversation.cancelled

    def abort(self) -> None:
        """End the association at once (PS3.8 7.3)."""
        self._link.block_on(_abort(self._conversation))

    def after(self, function: Callable[[Any], object]) -> None:
        """Have this called with the ``BlockingPeer`` when the request is answered: ``Conversation.after``."""
        self._conversation.after(function)


class Echo(Facade["scp.Echo"]):
    """``scp.Echo`` for a handler that blocks."""

    @property
    def request(self) -> CEchoRQ:
        """The command set."""
        return self._conversation.request


class _Identified(Facade[Q]):
    @property
    def sop_class_uid(self) -> str:
        """The information model or service asked, as the peer gave it."""
        return self._conversation.sop_class_uid

    @property
    def raw_identifier(self) -> bytes:
        """The identifier as it came."""
        return self._conversation.raw_identifier

    @property
    def identifier(self) -> Dataset:
        """The identifier decoded: ``Identified.identifier``."""
        return self._conversation.identifier

    def check_identifier(self) -> Dataset:
        """The identifier, if its keys are as its information model asks: ``Identified.check_identifier``."""
        return self._conversation.check_identifier()


class Find(_Identified["scp.Find"]):
    """``scp.Find`` for a handler that blocks."""

    @property
    def request(self) -> CFindRQ:
        """The command set: priority and all."""
        return self._conversation.request


class Get(_Identified["scp.Get"]):
    """``scp.Get`` for a handler that blocks."""

    @property
    def request(self) -> CGetRQ:
        """The command set: priority and all."""
        return self._conversation.request

    @property
    def suboperations(self) -> SubOperations:
        """How they went so far."""
        return self._conversation.suboperations


class Move(_Identified["scp.Move"]):
    """``scp.Move`` for a handler that blocks."""

    @property
    def request(self) -> CMoveRQ:
        """The command set: priority and all."""
        return self._conversation.request

    @property
    def suboperations(self) -> SubOperations:
        """How they went so far."""
        return self._conversation.suboperations

    @property
    def destination(self) -> str:
        """The AE title to store at, as the peer gave it, without its spaces."""
        return self._conversation.destination


class Normalized(Facade["scp.Normalized"]):
    """``scp.Normalized`` for a handler that blocks."""

    @property
    def request(self) -> NormalizedRQ:
        """The command set."""
        return self._conversation.request

    @property
    def sop_class_uid(self) -> str:
        """The SOP class of the instance, as the peer gave it."""
        return self._conversation.sop_class_uid

    @property
    def sop_instance_uid(self) -> str:
        """The instance; of an N-CREATE that names none, one that is invented for it."""
        return self._conversation.sop_instance_uid

    @property
    def type_id(self) -> int | None:
        """Action Type ID or Event Type ID; None of the other services."""
        return self._conversation.type_id

    @property
    def attributes(self) -> tuple[int, ...]:
        """Of an N-GET, the tags asked for; none are all."""
        return self._conversation.attributes

    @property
    def raw_data_set(self) -> bytes | None:
        """What came with it as it came."""
        return self._conversation.raw_data_set

    @property
    def data_set(self) -> Dataset:
        """What came with it decoded: ``scp.Normalized.data_set``."""
        return self._conversation.data_set


class Store(Facade["scp.Store"]):
    """``scp.Store`` for a handler that blocks: ``for`` over it gives the pieces."""

    def __init__(self, store: scp.Store, link: Link) -> None:
        super().__init__(store, link)
        self._ahead: deque[bytes | memoryview] = deque()  # fetched, and not given yet

    @property
    def request(self) -> CStoreRQ:
        """The command set: priority, move originator and all."""
        return self._conversation.request

    @property
    def sop_class_uid(self) -> str:
        """The instance's SOP class, as the peer gave it."""
        return self._conversation.sop_class_uid

    @property
    def sop_instance_uid(self) -> str:
        """The instance's UID as the peer gave it: check it before it becomes a name of anything."""
        return self._conversation.sop_instance_uid

    def part10_header(self) -> bytes:
        """Preamble and file meta: ``scp.Store.part10_header``."""
        return self._conversation.part10_header()

    def __iter__(self) -> Iterator[bytes | memoryview]:
        while True:
            if not self._ahead:
                self._ahead.extend(self.pieces())
                if not self._ahead:
                    return
            yield self._ahead.popleft()

    def pieces(self) -> list[bytes | memoryview]:
        """The pieces that have arrived: ``scp.Store.pieces``. A hop to a loop costs more than a piece."""
        if self._ahead:
            pieces = list(self._ahead)
            self._ahead.clear()
            return pieces
        return self._link.block_on(self._conversation.pieces())

    def read(self) -> bytes:
        """The whole data set, or what is left of it: ``scp.Store.read``."""
        return b"".join(self)

    def dataset(self) -> Dataset:
        """The whole data set decoded: ``scp.Store.dataset``."""
        return self._conversation.decoded(self.read())  # here, in the thread that is there to block


async def _abort(conversation: Conversation) -> None:
    conversation.abort()  # in the loop's thread: the engine is not for several
