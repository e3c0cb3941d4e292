"""Serving C-GET and C-MOVE: what a handler of any shape gives is stored, and what became of it told.

(PS3.4 C.4.2, C.4.3, PS3.7 9.1.3, 9.1.4.) The sub-operations of a C-GET go over the same association, those of a
C-MOVE over another, which is opened here; as many are outstanding as the window allows.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, ClassVar, Final

from sansdimse.dataset import Dataset, DatasetError
from sansdimse.dimse.status import (
    CANCEL,
    DATA_SET_MISMATCH,
    MOVE_DESTINATION_UNKNOWN,
    PROCESSING_FAILURE,
    SUCCESS,
    Status,
)
from sansdimse.errors import LocalProtocolError
from sansdimse.matching import MalformedKeyError
from sansdimse.peer import blocking_scp
from sansdimse.peer.conversation import Identified, report
from sansdimse.peer.feed import END, Feed
from sansdimse.peer.handlers import Reply, checked, fit_comment, judged
from sansdimse.peer.stores_at import NoDestination, StoresAt, StoresHere, destination_of
from sansdimse.peer.storing import Storer
from sansdimse.service_classes.refused import Refused
from sansdimse.service_classes.retrieve_without_bulk_data import instance_without_bulk_data
from sansdimse.services.retrieve import GetSCP, MoveSCP
from sansdimse.services.sop_classes import COMPOSITE_INSTANCE_WITHOUT_BULK_DATA_GET
from sansdimse.services.suboperations import MOST_COUNTED, is_count

if TYPE_CHECKING:
    from sansdimse.dimse.messages import CGetRQ, CMoveRQ
    from sansdimse.events import GetRequested, MoveRequested
    from sansdimse.peer.answer import Answer
    from sansdimse.peer.session import Session
    from sansdimse.services.suboperations import SubOperations

GET_UNDECODABLE: Final = Status(0xC410)
"""The identifier of a C-GET could not be decoded, and the handler wanted it decoded."""
GET_UNHANDLED: Final = Status(0xC411)
"""The handler of a C-GET raised."""
GET_BAD_COUNT: Final = Status(0xC413)
"""The handler of a C-GET did not give a number of sub-operations."""
MOVE_UNDECODABLE: Final = Status(0xC510)
"""The identifier of a C-MOVE could not be decoded, and the handler wanted it decoded."""
MOVE_UNHANDLED: Final = Status(0xC511)
"""The handler of a C-MOVE raised."""
MOVE_BAD_COUNT: Final = Status(0xC513)
"""The handler of a C-MOVE did not give a number of sub-operations."""
MOVE_TOO_FEW: Final = Status(0xC514)
"""The handler of a C-MOVE ended before it gave a destination and a number."""
MOVE_BAD_DESTINATION: Final = Status(0xC515)
"""The handler of a C-MOVE gave something that is no destination."""


class _Retrieve(Identified):
    """What C-GET and C-MOVE have in common for their handlers."""

    UNHANDLED: ClassVar[Status]
    BAD_COUNT: ClassVar[Status]
    TOO_FEW: ClassVar[Status]
    _operation: GetSCP | MoveSCP

    @property
    def suboperations(self) -> SubOperations:
        """How they went so far: remaining, completed, failed, warning."""
        return self._operation.suboperations


class Get(_Retrieve):
    """A C-GET of the peer (PS3.7 9.1.3)."""

    SERVICE = "C-GET"
    UNDECODABLE = GET_UNDECODABLE
    UNHANDLED = GET_UNHANDLED
    BAD_COUNT = TOO_FEW = GET_BAD_COUNT
    _operation: GetSCP

    @property
    def request(self) -> CGetRQ:
        """The command set: priority and all."""
        return self._operation.request


class Move(_Retrieve):
    """A C-MOVE of the peer (PS3.7 9.1.4)."""

    SERVICE = "C-MOVE"
    UNDECODABLE = MOVE_UNDECODABLE
    UNHANDLED = MOVE_UNHANDLED
    BAD_COUNT = MOVE_BAD_COUNT
    TOO_FEW = MOVE_TOO_FEW
    _operation: MoveSCP

    @property
    def request(self) -> CMoveRQ:
        """The command set: priority and all."""
        return self._operation.request

    @property
    def destination(self) -> str:
        """The AE title to store at, as the peer gave it, without its spaces."""
        return self._operation.destination


async def serve_get(service: Any, session: Session, event: GetRequested) -> None:
    """The conversation for one C-GET of the peer."""
    get = Get(session, event.operation, event.identifier)
    await _Retrieval(session, event.operation, get).serve(service.c_get, blocking_scp.Get(get, session.link))


async def serve_move(service: Any, session: Session, event: MoveRequested) -> None:
    """The conversation for one C-MOVE of the peer."""
    move = Move(session, event.operation, event.identifier)
    await _Retrieval(session, event.operation, move).serve(service.c_move, blocking_scp.Move(move, session.link))


_ELEMENTS: Final = frozenset("Status ErrorComment OffendingElement FailedSOPInstanceUIDList".split())
"""What a handler may put into a status that is a data set; the last is sent as the list of those that failed."""


def _judged(status: object) -> Reply:
    return judged(status, elements=_ELEMENTS)


class _Ends(Exception):
    """The handler gave how it ends."""

    def __init__(self, reply: Reply) -> None:
        self.reply = reply


class _Retrieval:
    """One C-GET or C-MOVE that is being answered."""

    def __init__(self, session: Session, operation: GetSCP | MoveSCP, conversation: Get | Move) -> None:
        self._session = session
        self._operation = operation
        self._conversation = conversation
        self._where = f"{conversation.SERVICE} {operation.message_id}"
        self._stores: StoresHere | StoresAt | None = None
        self._given = 0  # instances

    async def serve(self, handler: Any, facade: object) -> None:
        """Store what the handler gives, and answer."""
        try:
            async with (
                Feed(self._session.link, handler, self._conversation, facade, lambda: self._unwanted) as feed,
                self._listening(feed),
                AsyncExitStack() as stack,
            ):
                # Before the association to the destination is closed, for which the peer of that may take its time.
                self._finish(await self._ended(feed, stack))
                self._session.link.kick()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is reported, and answered
            self._finish(self._unhandled(error))
        self._conversation.answered(self._where)

    @property
    def _unwanted(self) -> bool:
        return self._conversation.cancelled

    @asynccontextmanager
    async def _listening(self, feed: Feed) -> AsyncIterator[None]:
        """A C-CANCEL interrupts whoever waits for the handler, and not what is being sent."""
        self._session.on_cancel(self._operation, feed.wake)
        try:
            yield
        finally:
            self._session.on_cancel(self._operation, None)

    async def _ended(self, feed: Feed, stack: AsyncExitStack) -> Reply:
        """Take what the handler gives, and wait until all that was begun has ended; how it ends."""
        try:
            reply = await self._handled(feed, stack)
            if self._stores is not None:
                await self._stores.finish()
        finally:
            if self._stores is not None:
                self._stores.close()
        if self._operation.cancelled:
            return Reply(CANCEL)
        return checked(reply, self._operation.context, self._conversation.SERVICE, self._session.engine.sop_classes)

    async def _handled(self, feed: Feed, stack: AsyncExitStack) -> Reply:
        """Take what the handler gives; how it says that it ends."""
        try:
            await self._take(feed, stack)
        except _Ends as ends:
            return ends.reply
        except Refused as refused:
            return _judged(refused)
        except MalformedKeyError as error:
            return Reply(DATA_SET_MISMATCH, str(error), error.tags)
        except Exception as error:  # noqa: BLE001 - the user's code may raise anything; it is reported, and answered
            return self._unhandled(error)
        # A handler that returns nothing leaves it to the sub-operations how it ends.
        return Reply(SUCCESS) if feed.returned is None else _judged(feed.returned)

    # ------------------------------------------------------------ what the handler gives

    async def _take(self, feed: Feed, stack: AsyncExitStack) -> None:
        if isinstance(self._operation, GetSCP):
            self._stores = StoresHere(self._session, self._operation, lambda *_: self._tell())
        else:
            self._stores = self._destination(await self._first(feed), self._operation, stack)
        feed.hear = self._stores.hear
        count = await self._first(feed)
        if not is_count(count):
            wrong = TypeError(f"a {type(count).__name__} is no number of sub-operations: give how many, then each")
            raise _Ends(Reply(self._conversation.BAD_COUNT, fault=wrong))
        self._operation.expect(count)
        if count > MOST_COUNTED:
            self._report(ValueError(f"{count} sub-operations: what is told of them ends at {MOST_COUNTED}"))
        while (item := await feed.next()) is not END:
            source = self._source(item)
            self._given += 1
            if self._given <= count:
                await self._store(self._stores, source)
            else:
                self._report(ValueError(f"more than the {count} announced"))

    async def _first(self, feed: Feed) -> object:
        """One of the things that must come before the instances, unless the handler ends it at once."""
        item = await feed.next()
        if isinstance(item, Status | Refused | Dataset):
            raise _Ends(_judged(item))
        if isinstance(item, tuple) and len(item) == 2 and item[1] is None and item[0] is not None:
            raise _Ends(_judged(item[0]))
        if item is not END:
            return item
        if feed.returned is not None:
            raise _Ends(_judged(feed.returned))
        few = TypeError("the handler gave no number of sub-operations")
        raise _Ends(Reply(self._conversation.TOO_FEW, fault=None if self._unwanted else few))

    def _destination(self, given: object, move: MoveSCP, stack: AsyncExitStack) -> StoresAt:
        if given is None:
            raise _Ends(Reply(MOVE_DESTINATION_UNKNOWN))
        try:
            destination, options = destination_of(given, called=move.destination, calling=self._conversation.our_title)
        except TypeError as error:
            raise _Ends(Reply(MOVE_BAD_DESTINATION, fault=error)) from error
        return StoresAt(self._session, move, destination, options, stack, self._record)

    def _source(self, item: object) -> Any:
        """What to store; unless it is how it ends."""
        if isinstance(item, tuple) and len(item) == 2:
            status, source = item
        elif isinstance(item, int) or (isinstance(item, Dataset) and "Status" in item):
            status = source = item
        else:
            return item
        reply = _judged(status)
        if reply.status.is_final:
            raise _Ends(reply)
        if reply.fault is not None:
            self._report(reply.fault)
        return source

    # ------------------------------------------------------------ one sub-operation

    async def _store(self, stores: StoresHere | StoresAt, source: Any) -> None:
        """Have one stored. What cannot be is a sub-operation that failed, and the next goes on."""
        uid = getattr(source, "SOPInstanceUID", None)
        with ExitStack() as open_file:
            try:
                instance = open_file.enter_context(Storer(self._session).opened(source))
                uid = instance.sop_instance_uid
                if self._operation.context.abstract_syntax == COMPOSITE_INSTANCE_WITHOUT_BULK_DATA_GET:
                    instance = await self._session.link.call(instance_without_bulk_data, instance)
                await stores.store(instance, self._life)
            except (OSError, DatasetError, TypeError, LocalProtocolError, NoDestination) as error:
                if not isinstance(error, NoDestination):
                    self._report(error)
                self._record(None if uid is None else str(uid), None)

    def _life(self, sent: int) -> None:
        if self._operation.may_respond:
            self._operation.shows_life()

    def _record(self, sop_instance_uid: str | None, answer: Answer | None) -> None:
        """A sub-operation has ended; None: without an answer. Those of a C-GET that begin the engine counts itself."""
        if self._operation.may_respond:
            self._operation.record(PROCESSING_FAILURE if answer is None else answer, sop_instance_uid)
            self._tell()

    def _tell(self) -> None:
        """Tell how far it is, if that does not wait for anything."""
        if self._operation.may_respond and self._operation.has_room and not self._operation.cancelled:
            self._operation.send_pending()
            self._session.link.kick()

    # ------------------------------------------------------------ the end

    def _report(self, error: Exception) -> None:
        self._session.report(error, self._where)

    def _unhandled(self, error: Exception) -> Reply:
        report(error, self._session, self._where)
        return Reply(self._conversation.UNHANDLED)

    def _finish(self, reply: Reply) -> None:
        """Answer, if anybody waits for it."""
        if reply.fault is not None:
            self._report(reply.fault)
        operation = self._operation
        if not operation.may_respond:
            return
        try:
            operation.finish(
                reply.status,
                failed=reply.failed,
                error_comment=fit_comment(reply.comment),
                offending_element=reply.offending,
            )
        except LocalProtocolError as error:
            self._report(error)
            operation.finish(self._conversation.UNHANDLED)
