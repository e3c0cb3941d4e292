"""How a peer answers a request of ours: its final response, as a status."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from sansdimse import dataset
from sansdimse.dataset import Dataset
from sansdimse.dimse.status import Status
from sansdimse.events import ResponseReceived

if TYPE_CHECKING:
    from sansdimse.dimse.messages import Response
    from sansdimse.peer.inbox import Inbox


class Answer(Status):
    """A final status, with the response that it came in: ``answer.response.error_comment`` and the like."""

    response: Response

    @classmethod
    def of(cls, response: Response) -> Self:
        """The status of this response."""
        answer = cls(response.status)
        answer.response = response
        return answer


async def final_answer(inbox: Inbox) -> Answer:
    """Wait for the final response of a request. Raises ``AssociationLost`` when none will come any more."""
    while True:
        event = await inbox.get()
        if isinstance(event, ResponseReceived) and event.is_final:
            return Answer.of(event.response)


class Reply(Answer):
    """The answer to a request of DIMSE-N (PS3.7 10.3): a final status, with what came besides."""

    raw_data_set: bytes | None
    """The data set as it came, None if there was none: attributes, Action Reply, Event Reply."""
    transfer_syntax_uid: str
    _decoded: Dataset | None

    @property
    def data_set(self) -> Dataset:
        """The data set decoded; empty if there was none. Raises ``DatasetError`` if it cannot be decoded."""
        if self._decoded is None:
            self._decoded = dataset.decode(self.raw_data_set or b"", self.transfer_syntax_uid)
        return self._decoded

    @property
    def sop_instance_uid(self) -> str | None:
        """The instance that the response names: of an N-CREATE, the one created."""
        return self.response.sop_instance_uid


async def final_reply(inbox: Inbox, transfer_syntax_uid: str) -> Reply:
    """Wait for the response of DIMSE-N. Raises ``AssociationLost`` when none will come any more."""
    while True:
        event = await inbox.get()
        if isinstance(event, ResponseReceived) and event.is_final:
            reply = Reply.of(event.response)
            reply.raw_data_set = event.identifier
            reply.transfer_syntax_uid = transfer_syntax_uid
            reply._decoded = None
            return reply


def tag_of(attribute: int | str) -> int:
    """The tag of an attribute, given as such or by its keyword (PS3.6). Raises ``ValueError`` for no keyword."""
    if isinstance(attribute, int):
        return attribute
    try:
        return dataset.tag_of(attribute)
    except KeyError:
        raise ValueError(f"{attribute!r} is no keyword of the data dictionary (PS3.6)") from None
