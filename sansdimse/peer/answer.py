"""How a peer answers a request of ours: its final response, as a status."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sansdimse.dimse.status import Status
from sansdimse.events import ResponseReceived

if TYPE_CHECKING:
    from sansdimse.dimse.messages import Response
    from sansdimse.peer.session import Inbox


class Answer(Status):
    """A final status, with the response that it came in: ``answer.response.error_comment`` and the like."""

    response: Response

    @classmethod
    def of(cls, response: Response) -> Answer:
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
