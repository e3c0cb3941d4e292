"""Serving: the conversation for each request of the peer, around the user's handler."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any, TypeVar

from sansdimse import dataset, events
from sansdimse.dimse.status import CANNOT_UNDERSTAND, SUCCESS, Status, StatusCategory
from sansdimse.errors import LocalProtocolError
from sansdimse.peer import blocking
from sansdimse.peer.handlers import Failure, fit_comment, is_async, status_of
from sansdimse.peer.session import AssociationLost

if TYPE_CHECKING:
    from sansdimse.dataset import Dataset
    from sansdimse.dimse.messages import CEchoRQ, CStoreRQ
    from sansdimse.peer.session import AssociationInfo, Inbox, Session
    from sansdimse.services.storage import StoreSCP
    from sansdimse.services.verification import EchoSCP
    from sansdimse.ul.agreement import NegotiatedContext

T = TypeVar("T")

NOT_A_STATUS = Status(0xC002)
"""The handler returned something that is no status."""
UNHANDLED = Status(0xC211)
"""The handler of a C-STORE raised."""
UNDECODABLE = Status(0xC210)
"""The data set of a C-STORE could not be decoded, and the handler wanted it decoded."""


class Echo:
    """A C-ECHO of the peer (PS3.7 9.1.5)."""

    def __init__(self, session: Session, operation: EchoSCP) -> None:
        self._session = session
        self._operation = operation

    @property
    def request(self) -> CEchoRQ:
        """The command set."""
        return self._operation.request

    @property
    def context(self) -> NegotiatedContext:
        """The presentation context."""
        return self._operation.context

    @property
    def association(self) -> AssociationInfo:
        """Who asks."""
        return self._session.info()

    def abort(self) -> None:
        """End the association at once (PS3.8 7.3)."""
        self._session.engine.abort()
        self._session.link.kick()


class Store:
    """A C-STORE of the peer (PS3.7 9.1.1): ``async for`` over it gives the data set's pieces as they arrive.

    The pieces are views of what was read, in the transfer syntax ``context.transfer_syntax``. The loop raises
    ``AssociationLost`` if the peer vanishes before the last.
    """

    def __init__(self, session: Session, operation: StoreSCP, inbox: Inbox) -> None:
        self._session = session
        self._operation = operation
        self._inbox = inbox
        self._complete = False

    @property
    def request(self) -> CStoreRQ:
        """The command set: priority, move originator and all."""
        return self._operation.request

    @property
    def context(self) -> NegotiatedContext:
        """The presentation context."""
        return self._operation.context

    @property
    def association(self) -> AssociationInfo:
        """Who sends."""
        return self._session.info()

    @property
    def sop_class_uid(self) -> str:
        """The instance's SOP class, as the peer gave it."""
        return self._operation.request.affected_sop_class_uid or self.context.abstract_syntax

    @property
    def sop_instance_uid(self) -> str:
        """The instance's UID as the peer gave it: check it before it becomes a name of anything."""
        return self._operation.request.affected_sop_instance_uid

    @property
    def transfer_syntax_uid(self) -> str:
        """The transfer syntax of the pieces."""
        return self.context.transfer_syntax or ""

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
        raise StopAsyncIteration

    async def call(self, function: Callable[..., T], *args: Any) -> T:
        """Run a function that may block: off the loop, where there is one."""
        return await self._session.link.call(function, *args)

    async def read(self) -> bytes:
        """The whole data set, or what is left of it. All in memory: prefer the pieces for images."""
        return b"".join([piece async for piece in self])

    async def dataset(self) -> Dataset:
        """The whole data set decoded. Raises ``Failure`` (C210) if it cannot be."""
        encoded = await self.read()
        try:
            return await self._session.link.call(dataset.decode, encoded, self.transfer_syntax_uid)
        except dataset.DatasetError as error:
            raise Failure(UNDECODABLE, "Unable to decode the dataset") from error

    def abort(self) -> None:
        """End the association at once (PS3.8 7.3)."""
        self._session.engine.abort()
        self._session.link.kick()


async def serve(service: object, session: Session, event: events.EchoRequested | events.StoreRequested) -> None:
    """The conversation for one request of the peer."""
    if isinstance(event, events.EchoRequested):
        await _serve_echo(service, session, event.operation)
    else:
        await _serve_store(service, session, event.operation)


async def _serve_echo(service: object, session: Session, operation: EchoSCP) -> None:
    """C-ECHO is answered with Success whatever the handler does, unless it says otherwise (PS3.7 Table 9.3-13)."""
    status, comment = SUCCESS, None
    handler = getattr(service, "c_echo", None)
    if handler is not None:
        try:
            returned = await _call(handler, Echo(session, operation), session)
        except AssociationLost:
            return
        except Failure as failure:
            status, comment = failure.status, failure.comment
        except Exception as error:  # noqa: BLE001 - the user's code may raise anything; it is reported, and answered
            session.report(error, f"C-ECHO {operation.message_id}")
        else:
            if returned is not None:
                judged = status_of(returned)
                if judged is None:
                    session.report(TypeError(f"c_echo returned {type(returned).__name__}, no status"), "C-ECHO")
                else:
                    status = judged
    if operation.may_respond:
        operation.respond(status, error_comment=fit_comment(comment))


async def _serve_store(service: object, session: Session, operation: StoreSCP) -> None:
    store = Store(session, operation, session.inbox(operation))
    where = f"C-STORE {operation.message_id}"
    comment: str | None = None
    offending: tuple[int, ...] = ()
    handler: Any = getattr(service, "c_store")  # noqa: B009 - checked when serving began
    try:
        given: Any = store if is_async(handler) else blocking.Store(store, session.link)
        returned = await _call(handler, given, session)
        judged = status_of(returned)
        if judged is None:
            session.report(TypeError(f"c_store returned {type(returned).__name__}, no status"), where)
        status = NOT_A_STATUS if judged is None else judged
        if status.category is not StatusCategory.FAILURE:
            async for _ in store:  # the handler may have wanted less than there is (PS3.7 9.1.1.2)
                pass
    except AssociationLost:
        return
    except Failure as failure:
        status, comment, offending = failure.status, failure.comment, failure.offending_element
    except Exception as error:  # noqa: BLE001 - the user's code may raise anything; it is reported, and answered
        session.report(error, where)
        status = UNHANDLED
    if not operation.may_respond:
        return
    try:
        operation.respond(status, offending_element=offending, error_comment=fit_comment(comment))
    except LocalProtocolError as error:
        session.report(error, where)
        operation.respond(NOT_A_STATUS)


async def _call(handler: Any, conversation: object, session: Session) -> object:
    if is_async(handler):
        return await handler(conversation)
    return await session.link.call(handler, conversation)
