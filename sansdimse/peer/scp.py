"""Serving: the conversation for each request of the peer, around the user's handler."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any, TypeVar

from sansdimse import dataset, events
from sansdimse.dimse.status import CANNOT_UNDERSTAND, SUCCESS, UNRECOGNIZED_OPERATION, Status, StatusCategory
from sansdimse.errors import LocalProtocolError
from sansdimse.peer import blocking_scp
from sansdimse.peer.conversation import Conversation, report
from sansdimse.peer.handlers import NO_STATUS, NOT_A_STATUS, Failure, Reply, checked, fit_comment, is_async, judged
from sansdimse.peer.inbox import TOO_LATE
from sansdimse.peer.scp_find import Find, serve_find
from sansdimse.peer.scp_normalized import Normalized, serve_normalized
from sansdimse.peer.scp_retrieve import Get, Move, serve_get, serve_move
from sansdimse.service_classes.refused import Refused
from sansdimse.services.storage import StoreSCP

if TYPE_CHECKING:
    from sansdimse.dataset import Dataset
    from sansdimse.dimse.messages import CEchoRQ, CStoreRQ
    from sansdimse.peer.inbox import Inbox
    from sansdimse.peer.session import Requested, Session
    from sansdimse.services.verification import EchoSCP

__all__ = ["NOT_A_STATUS", "UNDECODABLE", "UNHANDLED", "Echo", "Find", "Get", "Move", "Normalized", "Store", "serve"]

T = TypeVar("T")

UNHANDLED = Status(0xC211)
"""The handler of a C-STORE raised."""
UNDECODABLE = Status(0xC210)
"""The data set of a C-STORE could not be decoded, and the handler wanted it decoded."""


class Echo(Conversation):
    """A C-ECHO of the peer (PS3.7 9.1.5)."""

    _operation: EchoSCP

    @property
    def request(self) -> CEchoRQ:
        """The command set."""
        return self._operation.request


class Store(Conversation):
    """A C-STORE of the peer (PS3.7 9.1.1): ``async for`` over it gives the data set's pieces as they arrive.

    The pieces are views of what was read, in the transfer syntax ``context.transfer_syntax``. The loop raises
    ``AssociationLost`` if the peer vanishes before the last, ``LocalProtocolError`` for what was not read when the
    handler returned.
    """

    _operation: StoreSCP

    def __init__(self, session: Session, operation: StoreSCP, inbox: Inbox) -> None:
        super().__init__(session, operation)
        self._inbox = inbox
        self._complete = False
        self._dropped = False

    @property
    def request(self) -> CStoreRQ:
        """The command set: priority, move originator and all."""
        return self._operation.request

    @property
    def sop_class_uid(self) -> str:
        """The instance's SOP class, as the peer gave it."""
        return self._operation.request.affected_sop_class_uid or self.context.abstract_syntax

    @property
    def sop_instance_uid(self) -> str:
        """The instance's UID as the peer gave it: check it before it becomes a name of anything."""
        return self._operation.request.affected_sop_instance_uid

    def part10_header(self) -> bytes:
        """Preamble and file meta that make the pieces a file (PS3.10 7.1).

        Raises ``Failure`` (C000) if the UIDs are such that no file can hold them.
        """
        info = self.association
        try:
            return dataset.part10_header(
                self.sop_class_uid,
                self.sop_instance_uid,
                self.transfer_syntax_uid,
                source_ae_title=info.calling_ae_title,
                sending_ae_title=info.calling_ae_title,
                receiving_ae_title=info.called_ae_title,
            )
        except dataset.DatasetError as error:
            raise Failure(CANNOT_UNDERSTAND, str(error)) from error

    def __aiter__(self) -> AsyncIterator[bytes | memoryview]:
        return self

    async def __anext__(self) -> bytes | memoryview:
        while not self._complete:
            event = await self._inbox.get()
            if isinstance(event, events.DatasetReceived):
                self._complete = event.is_last
                if event.data:
                    return event.data
        if self._dropped:
            raise LocalProtocolError(TOO_LATE)  # else it would seem to be empty
        raise StopAsyncIteration

    async def pieces(self) -> list[bytes | memoryview]:
        """The pieces that have arrived, at least one; none at the end. For whom each turn costs something."""
        first = await anext(self, None)
        pieces = [] if first is None else [first]
        while not self._complete and (event := self._inbox.take()) is not None:
            if isinstance(event, events.DatasetReceived):
                self._complete = event.is_last
                if event.data:
                    pieces.append(event.data)
        return pieces

    async def drop_rest(self) -> None:
        """Take what the handler has not, which may have wanted less than there is (PS3.7 9.1.1.2)."""
        dropped = False
        async for _ in self:
            dropped = True
        self._dropped = dropped

    async def call(self, function: Callable[..., T], *args: Any) -> T:
        """Run a function that may block: off the loop, where there is one."""
        return await self._session.link.call(function, *args)

    async def read(self) -> bytes:
        """The whole data set, or what is left of it. All in memory: prefer the pieces for images."""
        return b"".join([piece async for piece in self])

    async def dataset(self) -> Dataset:
        """The whole data set decoded. Raises ``Failure`` (C210) if it cannot be."""
        return await self._session.link.call(self.decoded, await self.read())

    def decoded(self, encoded: bytes) -> Dataset:
        """The data set of these bytes. Raises ``Failure`` (C210) if it cannot be decoded."""
        try:
            return dataset.decode(encoded, self.transfer_syntax_uid)
        except dataset.DatasetError as error:
            raise Failure(UNDECODABLE, "Unable to decode the dataset") from error


async def serve(service: object, session: Session, event: Requested) -> None:
    """The conversation for one request of the peer."""
    match event:
        case events.EchoRequested():
            await _serve_echo(service, session, event.operation)
        case events.NormalizedRequested():
            await serve_normalized(service, session, event)
        case events.StoreRequested() if hasattr(service, "c_store"):
            await _serve_store(service, session, event.operation)
        case events.FindRequested() if hasattr(service, "c_find"):
            await serve_find(service, session, event)
        case events.GetRequested() if hasattr(service, "c_get"):
            await serve_get(service, session, event)
        case events.MoveRequested() if hasattr(service, "c_move"):
            await serve_move(service, session, event)
        case _:
            session.refuse(event.operation, UNRECOGNIZED_OPERATION)


async def _serve_echo(service: object, session: Session, operation: EchoSCP) -> None:
    """C-ECHO is answered with Success whatever the handler does, unless it says otherwise (PS3.7 Table 9.3-13)."""
    where = f"C-ECHO {operation.message_id}"
    answer = Reply(SUCCESS)
    handler = getattr(service, "c_echo", None)
    echo = Echo(session, operation)
    if handler is not None:
        try:
            returned = await _ask(
                handler, echo if is_async(handler) else blocking_scp.Echo(echo, session.link), session
            )
            if returned is not None:
                answer = judged(returned, SUCCESS, SUCCESS)
        except Exception as error:  # noqa: BLE001 - the user's code may raise anything; it is reported, and answered
            report(error, session, where)
    _respond(operation, answer, session, where, SUCCESS)
    echo.answered(where)


async def _serve_store(service: object, session: Session, operation: StoreSCP) -> None:
    where = f"C-STORE {operation.message_id}"
    store = Store(session, operation, session.inbox(operation))
    try:
        handler: Any = getattr(service, "c_store")  # noqa: B009 - a service has the methods it provides
        given: Any = store if is_async(handler) else blocking_scp.Store(store, session.link)
        answer = judged(await _ask(handler, given, session), NO_STATUS, NOT_A_STATUS)
        answer = checked(answer, operation.context, "C-STORE", session.engine.sop_classes)
        if answer.status.category is not StatusCategory.FAILURE:
            await store.drop_rest()
    except Exception as error:  # noqa: BLE001 - the user's code may raise anything; it is reported, and answered
        report(error, session, where)
        answer = Reply(UNHANDLED)
    _respond(operation, answer, session, where, NOT_A_STATUS)
    store.answered(where)


async def _ask(handler: Any, conversation: object, session: Session) -> object:
    """What the handler returns, or raises to refuse."""
    try:
        if is_async(handler):
            return await handler(conversation)
        return await session.link.call(handler, conversation, abandon_on_cancel=True)
    except Refused as refused:
        return refused


def _respond(operation: EchoSCP | StoreSCP, answer: Reply, session: Session, where: str, otherwise: Status) -> None:
    """Answer; with ``otherwise`` if that answer is none that can be given."""
    if answer.fault is not None:
        session.report(answer.fault, where)
    if not operation.may_respond:
        return
    comment = fit_comment(answer.comment)
    try:
        if isinstance(operation, StoreSCP):
            operation.respond(answer.status, offending_element=answer.offending, error_comment=comment)
        else:
            operation.respond(answer.status, error_comment=comment)
    except LocalProtocolError as error:
        session.report(error, where)
        operation.respond(otherwise)
