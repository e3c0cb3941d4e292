"""Serving C-FIND: the matches that a handler of any shape gives, and how it ended (PS3.4 C.4.1, PS3.7 9.1.2).

A handler that blocks runs in one worker thread from its first line to its last, since what it iterates over
may not like to change threads (a cursor of SQLite does not). Its matches go back to the loop several at once: a
hop costs more than a match.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sansdimse import dataset
from sansdimse.dataset import Dataset, DatasetError
from sansdimse.dimse.status import CANCEL, DATA_SET_MISMATCH, PENDING, SUCCESS, Status
from sansdimse.errors import LocalProtocolError
from sansdimse.matching import MalformedKeyError
from sansdimse.peer import blocking_scp
from sansdimse.peer.conversation import Identified, report
from sansdimse.peer.handlers import (
    Failure,
    Reply,
    checked,
    fit_comment,
    is_async,
    is_async_generator,
    judged,
)
from sansdimse.service_classes.refused import Refused
from sansdimse.services.operation import encoded
from sansdimse.services.sop_classes import ServiceClass

if TYPE_CHECKING:
    from sansdimse.dimse.messages import CFindRQ
    from sansdimse.events import FindRequested
    from sansdimse.peer.session import Session
    from sansdimse.services.query import FindSCP

UNDECODABLE: Final = Status(0xC310)
"""The identifier of a C-FIND could not be decoded, and the handler wanted it decoded."""
UNHANDLED: Final = Status(0xC311)
"""The handler of a C-FIND raised."""
UNENCODABLE: Final = Status(0xC312)
"""A match could not be encoded, or was empty."""

SEVERAL_PATIENTS: Final = Status(0xC100)
"""More than one match, where there may be one only (PS3.4 Q.2.1.1.4)."""

_AT_ONCE: Final = 16
"""Matches that go one by one, before any waits for another: who asked may have seen enough of the first few."""
_MOST: Final = 32
"""Most matches a hop. They wait for one another, so no more than a peer can do without if the next takes long."""
_MOST_BYTES: Final = 64 * 1024
"""Bytes of matches above which a hop is made."""
_QUICK: Final = 0.002
"""Seconds: while a hop and what it brings take less than this, the next brings twice as much."""

_ENCODED: Final = (bytes, bytearray, memoryview)


class Find(Identified):
    """A C-FIND of the peer (PS3.7 9.1.2)."""

    SERVICE = "C-FIND"
    UNDECODABLE = UNDECODABLE
    _operation: FindSCP

    def __init__(self, session: Session, operation: FindSCP, identifier: bytes) -> None:
        super().__init__(session, operation, identifier)
        self._level: str | None = None

    @property
    def request(self) -> CFindRQ:
        """The command set: priority and all."""
        return self._operation.request

    def completed(self, match: Dataset) -> Dataset:
        """A match with what the service class wants in it and the handler left out (PS3.4 C.4.1.1.3.2).

        In the hierarchical models that is the Query/Retrieve Level, which is the request's, and the Retrieve AE
        Title, which is ours unless a media file-set is named.
        """
        row = self._session.engine.sop_classes.get(self.context.abstract_syntax)
        if row is None or not row.levels:
            return match
        missing = {}
        if "QueryRetrieveLevel" not in match and self._requested_level():
            missing["QueryRetrieveLevel"] = self._requested_level()
        if not any(keyword in match for keyword in ("RetrieveAETitle", "StorageMediaFileSetUID")):
            missing["RetrieveAETitle"] = self.our_title
        if not missing:
            return match
        match = match[:]  # what the handler gave stays as it is
        for keyword, value in missing.items():
            setattr(match, keyword, value)
        return match

    def _requested_level(self) -> str:
        if self._level is None:
            try:
                self._level = str(self.identifier.get("QueryRetrieveLevel") or "")
            except Failure:
                self._level = ""
        return self._level


async def serve_find(service: object, session: Session, event: FindRequested) -> None:
    """The conversation for one C-FIND of the peer."""
    search = _Search(session, event)
    try:
        reply = await search.reply(service)
    except Refused as refused:
        reply = search.checked(judged(refused))
    except MalformedKeyError as error:  # the peer's fault
        reply = Reply(DATA_SET_MISMATCH, str(error), error.tags)
    except Exception as error:  # noqa: BLE001 - the user's code may raise anything; it is reported, and answered
        report(error, session, search.where)
        reply = Reply(UNHANDLED)
    search.finish(reply)
    search.find.answered(search.where)


class _Match(NamedTuple):
    status: Status
    identifier: bytes
    fault: Exception | None


class _Search:
    """One C-FIND that is being answered."""

    def __init__(self, session: Session, event: FindRequested) -> None:
        self._session = session
        self._operation = event.operation
        self.find = Find(session, event.operation, event.identifier)
        self._hopped_at = self._written_at = session.link.now()
        self._held = 0  # matches that are sent and perhaps not written
        service_class = session.engine.sop_classes.service_class_of(self.find.context.abstract_syntax)
        self._is_single = service_class is ServiceClass.RELEVANT_PATIENT_INFORMATION_QUERY
        self._only: list[_Match] = []  # PS3.4 Q.2.1: at most one is told
        self.where = f"C-FIND {event.operation.message_id}"

    async def reply(self, service: object) -> Reply:
        """Send the matches; how it ended. Raises what the handler raises."""
        if self._operation.cancelled:
            return Reply(CANCEL)
        reply = await self._found(service)
        if len(self._only) > 1:
            return Reply(SEVERAL_PATIENTS)
        if self._only and reply.status == SUCCESS:
            await self._send(self._only)
        return reply

    async def _found(self, service: object) -> Reply:
        link = self._session.link
        handler: Any = getattr(service, "c_find")  # noqa: B009 - a service has the methods it provides
        if is_async_generator(handler):
            return await self._from_async(handler(self.find))
        if is_async(handler):
            given = await handler(self.find)
            if not isinstance(given, AsyncIterable):
                return await link.call(self._from_iterable, given, abandon_on_cancel=True)
        else:
            facade = blocking_scp.Find(self.find, link)
            given = await link.call(self._from_blocking, handler, facade, abandon_on_cancel=True)
        return given if isinstance(given, Reply) else await self._from_async(given)

    def finish(self, reply: Reply) -> None:
        """Answer, if anybody waits for it."""
        if reply.fault is not None:
            self._session.report(reply.fault, self.where)
        operation = self._operation
        if not operation.may_respond:
            return
        try:
            operation.finish(reply.status, error_comment=fit_comment(reply.comment), offending_element=reply.offending)
        except LocalProtocolError as error:
            self._session.report(error, self.where)
            operation.finish(UNHANDLED)

    def checked(self, reply: Reply) -> Reply:
        """A final status that its service class does not know is told unchanged, and reported."""
        return checked(reply, self.find.context, "C-FIND", self._session.engine.sop_classes)

    # ------------------------------------------------------------ what the handler gives

    async def _from_async(self, given: AsyncIterable[object]) -> Reply:
        iterator = aiter(given)
        try:
            async for item in iterator:
                match = self._prepared(item)
                if isinstance(match, Reply):
                    return match
                if not await self._send([match], at_once=False):
                    return Reply(CANCEL)
            return Reply(SUCCESS)
        finally:
            close = getattr(iterator, "aclose", None)
            if close is not None:
                await close()

    def _from_blocking(self, handler: Any, find: blocking_scp.Find) -> Reply | AsyncIterable[object]:
        given = handler(find)
        return given if isinstance(given, AsyncIterable) else self._from_iterable(given)

    def _from_iterable(self, given: object) -> Reply:
        """In a worker thread, if there is one."""
        if isinstance(given, Dataset):
            return self.checked(judged(given))
        if isinstance(given, (str, *_ENCODED)) or not isinstance(given, Iterable):
            return self.checked(judged(given))
        iterator = iter(given)
        waiting: list[_Match] = []
        try:
            reply = self._iterate(iterator, waiting)
        except Exception:
            self._hop(waiting, 1)  # what was found before is told
            raise
        finally:
            close = getattr(iterator, "close", None)
            if close is not None:
                close()
        return reply if self._hop(waiting, 1) else Reply(CANCEL)

    def _iterate(self, iterator: Iterator[object], waiting: list[_Match]) -> Reply:
        """How it ended; the last matches are still ``waiting``."""
        most, size = 1, 0
        while True:
            try:
                item = next(iterator)
            except StopIteration as stop:
                return Reply(SUCCESS) if stop.value is None else self.checked(judged(stop.value))
            match = self._prepared(item)
            if isinstance(match, Reply):
                return match
            waiting.append(match)
            size += len(match.identifier)
            if len(waiting) >= most or size >= _MOST_BYTES:
                most = self._hop(waiting, most)
                if not most:
                    return Reply(CANCEL)
                size = 0

    def _prepared(self, item: object) -> _Match | Reply:
        """What the handler gave as a match to send, or as how it ends."""
        match: object = None
        if isinstance(item, (Dataset, *_ENCODED)):
            reply, match = Reply(PENDING), item
        elif isinstance(item, tuple) and len(item) == 2:
            status, match = item
            reply = judged(status)
        else:
            reply = judged(item)
        if reply.status.is_final:
            return self.checked(reply)
        try:
            return _Match(reply.status, self._encoded(match), reply.fault)
        except (DatasetError, LocalProtocolError, TypeError) as error:
            return Reply(UNENCODABLE, "Unable to encode a match", fault=error)

    def _encoded(self, match: object) -> bytes:
        if isinstance(match, _ENCODED):
            return encoded(match)
        if not isinstance(match, Dataset):
            raise TypeError(f"a match is a Dataset or bytes, not {type(match).__name__}")
        if not len(match):
            raise DatasetError("a match is empty")
        return encoded(dataset.encode(self.find.completed(match), self.find.transfer_syntax_uid))

    # ------------------------------------------------------------ to the peer

    def _hop(self, waiting: list[_Match], most: int) -> int:
        """From the worker thread: send what waits; how much the next hop brings, 0 if nobody wants any more."""
        matches = waiting[:]
        waiting.clear()
        return self._session.link.block_on(self._send_several(matches, most))

    async def _send_several(self, matches: list[_Match], most: int) -> int:
        if not await self._send(matches):
            return 0
        now = self._session.link.now()
        quick = now - self._hopped_at < _QUICK
        self._hopped_at = now
        return min(2 * most, _MOST) if quick and self._operation.responses >= _AT_ONCE else 1

    async def _send(self, matches: list[_Match], *, at_once: bool = True) -> bool:
        """Send matches, and see to it that they are written; False if nobody wants any more."""
        if self._is_single and matches is not self._only:
            self._only += matches  # a second one shows that none is the answer
            return len(self._only) < 2 and not self.find.cancelled
        for match in matches:
            if match.fault is not None:
                self._session.report(match.fault, self.where)
            if not await self._has_room():
                return False
            self._operation.send_match(match.identifier, match.status)
        if matches and (at_once or not self._holds()):
            await self._session.link.flush()
            self._held, self._written_at = 0, self._session.link.now()
        return not self.find.cancelled

    def _holds(self) -> bool:
        """Whether what a handler on the loop gave may wait for more: until it waits for anything, as it likely does."""
        link = self._session.link
        if link.nests or self._held == _MOST or link.now() - self._written_at >= _QUICK:
            return False
        if not self._held:
            link.spawn(self._write())
        self._held += 1
        return True

    async def _write(self) -> None:
        self._session.link.kick()

    async def _has_room(self) -> bool:
        """Wait until a match may be sent; False if it is not wanted any more."""
        session = self._session
        while self._waits:
            await session.link.flush()
            if self._waits:
                await session.changed()  # they wait behind a data set of ours
        return not self.find.cancelled

    @property
    def _waits(self) -> bool:
        return not (self.find.cancelled or self._operation.has_room)
