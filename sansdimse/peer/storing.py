"""Storing: how an instance gets to a peer, one alone or many within the window (PS3.4 B, PS3.7 9.1.1, D.3.3.3)."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Generator, Iterable
from contextlib import AbstractContextManager, ExitStack, closing, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from sansdimse import uids
from sansdimse.dataset import Dataset, DatasetError, Instance, convert, instance_of
from sansdimse.errors import LocalProtocolError
from sansdimse.peer.answer import Answer
from sansdimse.peer.link import PathLike
from sansdimse.peer.pipeline import Pipeline
from sansdimse.peer.session import AssociationLost

if TYPE_CHECKING:
    from sansdimse.peer.session import Session
    from sansdimse.services.storage import StoreRequest
    from sansdimse.ul.agreement import NegotiatedContext

Path = str | PathLike
Source = Path | Dataset | Instance
"""What can be stored: a file's path, a data set, or an instance as header and byte pieces."""

_PIECE_SIZE: Final = 256 * 1024
"""Bytes given to the engine at once: what is queued cannot be taken back when the peer refuses early."""

_PIECE_PDUS: Final = 512
"""Most PDUs made of them: each costs some hundred bytes of ours, and a peer may take as little as 8 bytes in each."""

_MOST_OUTSTANDING: Final = 1024
"""Most stores of one ``c_store_each`` outstanding where the window is unlimited: 2 KiB of ours each. With 8 KiB
images and 40 ms there and back this is 200 MB a second."""

_LEAST_KEPT: Final = 16
"""Fewest results that may wait behind one that is not known, so that a small window is used even then."""

S = TypeVar("S", bound=Source)


class Storer:
    """What a store is made of, from opening its source to the last byte of its data set."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self._engine = session.engine

    def opened(self, source: Source) -> AbstractContextManager[Instance]:
        """What is to be stored, a file while it is open. Raises ``OSError`` and ``DatasetError``."""
        if isinstance(source, Instance):
            return nullcontext(source)
        if isinstance(source, Dataset):
            return nullcontext(instance_of(source))
        if not isinstance(source, str) and not hasattr(source, "__fspath__"):
            raise TypeError(f"what is stored is a path, a Dataset or an Instance, not {_a(source)}")
        return self.session.link.open_instance(source)

    async def fitting(self, instance: Instance) -> tuple[Instance, NegotiatedContext]:
        """The context to send an instance on, and the instance in its transfer syntax (PS3.5 10.1).

        Raises ``LocalProtocolError`` if there is none: it says which transfer syntaxes would do.
        """
        usable = [
            context
            for context in self._engine.contexts
            if context.accepted and context.as_scu and context.abstract_syntax == instance.sop_class_uid
        ]
        for context in usable:
            if context.transfer_syntax == instance.transfer_syntax_uid:
                return instance, context
        if instance.transfer_syntax_uid in uids.UNCOMPRESSED:
            for wanted in uids.UNCOMPRESSED:
                for context in usable:
                    if context.transfer_syntax == wanted:
                        return await self.session.link.call(convert, instance, wanted), context
        raise LocalProtocolError(self._no_context(instance, usable))

    def _no_context(self, instance: Instance, usable: list[NegotiatedContext]) -> str:
        names = self._engine.sop_classes
        name = names.name_of(instance.sop_class_uid)
        syntax = names.name_of(instance.transfer_syntax_uid)
        if usable:
            would_do = ", ".join(dict.fromkeys(names.name_of(context.transfer_syntax or "") for context in usable))
            return f"{name} in {syntax} cannot be sent to this peer, which takes it in: {would_do}"
        proposed = [c for c in self._engine.contexts if c.abstract_syntax == instance.sop_class_uid]
        if not proposed:
            return f"{name} cannot be sent: no presentation context for it was proposed"
        return f"{name} in {syntax} cannot be sent: the peer refused its presentation contexts ({_results(proposed)})"

    def start(
        self,
        instance: Instance,
        context: NegotiatedContext,
        priority: int,
        move_originator: tuple[str, int] | None = None,
    ) -> StoreRequest:
        """Invoke C-STORE. Raises ``LocalProtocolError`` if there is no room, or no command set can hold its UIDs."""
        return self._engine.c_store(
            instance.sop_class_uid,
            instance.sop_instance_uid,
            context_id=context.id,
            priority=priority,
            move_originator=move_originator,
        )

    async def send(
        self,
        operation: StoreRequest,
        instance: Instance,
        event: Callable[[], Awaitable[object]],
        progress: Callable[[int], object],
    ) -> None:
        """Give a store its data set, when its turn has come; ``event`` waits for the next event.

        Returns early if the peer has refused the rest. What fails in the middle leaves the data set open.
        """
        link = self.session.link
        sent = 0
        with closing(_cut(instance.pieces(), self._piece_size())) as pieces:
            while True:
                piece = await link.call(next, pieces, None)
                while not (operation.may_send or operation.over):
                    await event()
                await link.flush()
                self.session.check_alive()
                if operation.over:
                    break  # the peer wants to release, or has refused the rest
                operation.send_data(piece or b"", is_last=piece is None)
                if piece is None:
                    break
                sent += len(piece)
                progress(sent)
        link.kick()

    def _piece_size(self) -> int:
        return min(_PIECE_SIZE, _PIECE_PDUS * (self.session.info().agreement.maximum_length or _PIECE_SIZE))


@dataclass(slots=True)
class _Taken(Generic[S]):
    """A source that was taken and has not been given back with its result."""

    source: S
    operation: StoreRequest | None = None
    result: Answer | Exception | None = None

    def settle(self, answer: Answer | None) -> None:
        """It was answered."""
        self.result = answer

    @property
    def in_doubt(self) -> bool:
        """Whether the peer may have stored it, for all that we know."""
        return self.result is None and self.operation is not None and self.operation.was_invoked


class Many(Generic[S]):
    """The conversation of ``Peer.c_store_each``: one task, which does one thing at a time."""

    def __init__(
        self,
        session: Session,
        sources: Iterable[S],
        priority: int,
        progress: Callable[[S, int], object],
    ) -> None:
        if isinstance(sources, str | Dataset) or not isinstance(sources, Iterable):
            raise TypeError(f"what is stored one after the other is several sources, and not {_a(sources)}")
        self._session = session
        self._pipeline = Pipeline(Storer(session))
        self._sources = iter(sources)
        self._priority = priority
        self._progress = progress
        self._window = min(session.info().agreement.invoke_window or _MOST_OUTSTANDING, _MOST_OUTSTANDING)
        self._most_kept = max(2 * self._window, _LEAST_KEPT)
        self._kept: deque[_Taken[S]] = deque()
        """What was taken, in order."""
        self._ready: tuple[_Taken[S], Instance, NegotiatedContext] | None = None
        """The next to send, which waits for room."""
        self._open = ExitStack()
        """Its file."""
        self._exhausted = False
        self.failure: Exception | None = None
        """What ``sources`` raised, or nobody foresaw of one of them: to be raised when all before are given."""
        self._over = False

    @property
    def goes_on(self) -> bool:
        """Whether there is anything left to do."""
        return bool(self._kept) or not self._exhausted

    @property
    def _is_below_window(self) -> bool:
        return len(self._pipeline.outstanding) < self._window

    async def step(self) -> None:
        """Do one thing: send what is ready, take the next source, or wait for an answer or for room."""
        if self._ready is not None:
            if self._pipeline.has_room:
                await self._send(*self._ready)
            else:
                await self._pipeline.wait()
        elif not self._exhausted and self._is_below_window and len(self._kept) < self._most_kept:
            await self._take()
        else:
            await self._pipeline.wait()

    def take_known(self) -> tuple[S, Answer | Exception] | None:
        """The next result if it is known; after a failure, that of the next source for which there is one.

        Whoever gets it may take any time, so the place in the line is given up before.
        """
        self._pipeline.collect()
        while self._over and self._kept and self._kept[0].result is None:
            self._kept.popleft()
        if not self._kept or (result := self._kept[0].result) is None:
            return None
        self._pipeline.leave_line()
        return self._kept.popleft().source, result

    def failed(self, error: Exception) -> Exception:
        """Nothing more can be done. Gives the error to raise when what is known was given."""
        self._pipeline.collect()
        if isinstance(error, AssociationLost):
            error.in_doubt = tuple(taken.source for taken in self._kept if taken.in_doubt)
        if self.failure is not None:
            error.__cause__ = self.failure
        self.close()
        return error

    def close(self) -> None:
        """Abandon what is outstanding; what was not sent is as if it had never been taken."""
        self._over = True
        self._pipeline.close()
        self._open.close()

    async def _take(self) -> None:
        """Take the next source: open it, and see how it can be sent."""
        self._session.check_alive()
        try:
            source = next(self._sources)
        except StopIteration:
            self._exhausted = True
            return
        except Exception as error:  # noqa: BLE001 - the user's code may raise anything
            self._stop_taking(error)
            return
        taken = _Taken(source)
        self._kept.append(taken)
        try:
            opened = self._open.enter_context(self._pipeline.storer.opened(source))
            self._ready = (taken, *await self._pipeline.storer.fitting(opened))
        except (OSError, DatasetError, LocalProtocolError) as error:
            self._open.close()
            taken.result = error
        except Exception as error:  # noqa: BLE001 - no reason to lose the results of those before
            self._open.close()
            self._kept.pop()
            self._stop_taking(error)

    def _stop_taking(self, error: Exception) -> None:
        self._exhausted = True
        self.failure = error

    async def _send(self, taken: _Taken[S], instance: Instance, context: NegotiatedContext) -> None:
        """Send one; there is room for it."""
        self._ready = None

        def start() -> StoreRequest:
            taken.operation = self._pipeline.storer.start(instance, context, self._priority)
            return taken.operation

        try:
            await self._pipeline.send(instance, start, taken.settle, partial(self._progress, taken.source))
        except LocalProtocolError as error:
            if taken.operation is not None:
                raise
            taken.result = error  # a UID that no command set can hold
        self._open.close()


def _a(value: object) -> str:
    return f"a {type(value).__name__}"


def _results(contexts: list[NegotiatedContext]) -> str:
    meanings = {
        0: "not for us to send",
        1: "user rejection",
        2: "no reason given",
        3: "abstract syntax not supported",
        4: "transfer syntaxes not supported",
    }
    return ", ".join(sorted({meanings.get(context.result, f"result {context.result}") for context in contexts}))


def _cut(pieces: Iterable[bytes | memoryview], size: int) -> Generator[memoryview, None, None]:
    """The same bytes in pieces of bounded length; a generator of them ends with this one."""
    with closing(pieces) if isinstance(pieces, Generator) else nullcontext():
        for piece in pieces:
            view = memoryview(piece)
            for at in range(0, len(view), size):
                yield view[at : at + size]
