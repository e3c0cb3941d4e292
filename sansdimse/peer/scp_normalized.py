"""Serving DIMSE-N: one conversation for its six services, around the user's handler (PS3.7 10.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sansdimse import dataset
from sansdimse.dataset import Dataset, DatasetError
from sansdimse.dimse.messages import NCreateRQ
from sansdimse.dimse.status import PROCESSING_FAILURE, UNRECOGNIZED_OPERATION, StatusCategory
from sansdimse.errors import LocalProtocolError
from sansdimse.peer import blocking_scp
from sansdimse.peer.conversation import Conversation, report
from sansdimse.peer.handlers import METHODS, Failure, Reply, checked, fit_comment, is_async, judged
from sansdimse.service_classes.refused import Refused
from sansdimse.services.servable import SERVICES

if TYPE_CHECKING:
    from sansdimse.events import NormalizedRequested
    from sansdimse.peer.session import Session
    from sansdimse.services.normalized import NormalizedRQ, NormalizedSCP

_ELEMENTS: Final = frozenset(
    "Status ErrorComment OffendingElement ErrorID AttributeIdentifierList AffectedSOPInstanceUID".split()
)
"""What a handler may put into a status that is a data set (PS3.7 Annex C)."""


class Normalized(Conversation):
    """A request of DIMSE-N of the peer: which, its ``request`` and the handler's name tell."""

    _operation: NormalizedSCP

    def __init__(self, session: Session, operation: NormalizedSCP, data_set: bytes | None) -> None:
        super().__init__(session, operation)
        self.raw_data_set = data_set
        """What came with it as it came, in the transfer syntax of the context; None if there is none."""
        self._data_set: Dataset | None = None
        self._invented: str | None = None

    @property
    def request(self) -> NormalizedRQ:
        """The command set."""
        return self._operation.request

    @property
    def sop_class_uid(self) -> str:
        """The SOP class of the instance, as the peer gave it: of a Meta SOP class's context, the member."""
        return self.request.sop_class_uid or self.context.abstract_syntax

    @property
    def sop_instance_uid(self) -> str:
        """The instance, as the peer gave it; of an N-CREATE that names none, one that is invented for it."""
        named = self.request.sop_instance_uid
        if named:
            return named
        if self._invented is None:
            self._invented = self._session.new_uid()
        return self._invented

    @property
    def type_id(self) -> int | None:
        """Action Type ID (0000,1008) or Event Type ID (0000,1002); None of the other services."""
        request = self.request
        number: int | None = getattr(request, "action_type_id", None)
        return getattr(request, "event_type_id", None) if number is None else number

    @property
    def attributes(self) -> tuple[int, ...]:
        """Of an N-GET, the tags asked for; none are all (PS3.7 10.1.2.1.5)."""
        tags: tuple[int, ...] = getattr(self.request, "attribute_identifier_list", ())
        return tags

    @property
    def data_set(self) -> Dataset:
        """What came with it decoded: attributes, modifications, action or event information; empty if there is none.

        Raises ``Failure`` (0110) if it cannot be decoded.
        """
        if self._data_set is None:
            try:
                self._data_set = dataset.decode(self.raw_data_set or b"", self.transfer_syntax_uid)
            except DatasetError as error:
                raise Failure(PROCESSING_FAILURE, "Unable to decode the dataset") from error
        return self._data_set

    def reply(self, reply: Reply, data_set: object) -> None:
        """Answer. Raises ``LocalProtocolError``, ``DatasetError`` and ``TypeError`` for what cannot be sent."""
        operation = self._operation
        instance = reply.sop_instance_uid
        created = isinstance(self.request, NCreateRQ) and not self.request.sop_instance_uid
        if created and instance is None and reply.status.category is not StatusCategory.FAILURE:
            instance = self.sop_instance_uid
        operation.respond(
            reply.status,
            self._encoded(data_set),
            sop_instance_uid=instance,
            offending_element=reply.offending,
            attribute_identifier_list=reply.attributes,
            error_comment=fit_comment(reply.comment),
            error_id=reply.error_id,
        )

    def _encoded(self, data_set: object) -> bytes | None:
        if data_set is None or isinstance(data_set, bytes):
            return data_set or None
        if not isinstance(data_set, Dataset):
            raise TypeError(f"what goes with a status is a Dataset or bytes, not {type(data_set).__name__}")
        return dataset.encode(data_set, self.transfer_syntax_uid) or None


async def serve_normalized(service: object, session: Session, event: NormalizedRequested) -> None:
    """The conversation for one request of DIMSE-N of the peer."""
    operation = event.operation
    name = SERVICES[type(event.request)]
    where = f"{name} {operation.message_id}"
    conversation = Normalized(session, operation, event.data_set)
    handler: Any = getattr(service, METHODS[name], None)
    if handler is None:
        session.refuse(operation, UNRECOGNIZED_OPERATION)
        return
    reply, data_set = await _asked(handler, conversation, session, where)
    reply = checked(
        reply,
        operation.context,
        name,
        session.engine.sop_classes,
        conversation.type_id if name == "N-ACTION" else None,
    )
    if reply.fault is not None:
        session.report(reply.fault, where)
    if operation.may_respond:
        try:
            conversation.reply(reply, data_set)
        except (LocalProtocolError, DatasetError, TypeError) as error:
            session.report(error, where)
            operation.respond(PROCESSING_FAILURE)
    conversation.answered(where)


async def _asked(handler: Any, conversation: Normalized, session: Session, where: str) -> tuple[Reply, object]:
    """What the handler says."""
    try:
        if is_async(handler):
            returned = await handler(conversation)
        else:
            facade = blocking_scp.Normalized(conversation, session.link)
            returned = await session.link.call(handler, facade, abandon_on_cancel=True)
    except Refused as refused:
        returned = refused
    except Exception as error:  # noqa: BLE001 - the user's code may raise anything; it is reported, and answered
        report(error, session, where)
        return Reply(PROCESSING_FAILURE), None
    data_set: object = None
    if isinstance(returned, tuple) and len(returned) == 2:
        returned, data_set = returned
    reply = judged(returned, elements=_ELEMENTS)
    return reply, reply.data_set if data_set is None else data_set
