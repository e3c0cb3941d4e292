"""C-FIND, of every service class that has it: Query/Retrieve, worklists and their like (PS3.4 Annexes C, K ...).

What is asked and what is found are identifiers: encoded data sets, whole, in the transfer syntax of the
context. The engine neither reads nor makes them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sansdimse.dimse.messages import WITH_DATA_SET, CFindRQ, CFindRSP
from sansdimse.dimse.status import PENDING, SUCCESS, Status
from sansdimse.errors import LocalProtocolError
from sansdimse.services.operation import Performed, Request, encoded

if TYPE_CHECKING:
    from sansdimse.dimse.command import Decoded
    from sansdimse.services.operation import Performing
    from sansdimse.ul.negotiation import NegotiatedContext


class FindRequest(Request):
    """A C-FIND of ours: a ``ResponseReceived`` for each match, with its identifier, and a final one without."""

    request: CFindRQ

    def expects_data_set(self, status: Status) -> bool:
        """Whether a response with this status has an identifier: if and only if it is Pending (PS3.7 9.1.2.1.5)."""
        return not status.is_final


class FindSCP(Performed):
    """A C-FIND of the peer: answered with each match, then with how it ended."""

    request: CFindRQ

    def __init__(self, performer: Performing, context: NegotiatedContext, decoded: Decoded) -> None:
        super().__init__(performer, context, decoded)
        self.data_complete = True  # before, there is none of it

    @property
    def has_room(self) -> bool:
        """Whether ``send_match`` takes one now: less than ``Limits.output_high_water`` is unsent."""
        return self._performer.has_room

    def send_match(self, identifier: bytes | bytearray | memoryview, status: int = PENDING) -> None:
        """Send a match, encoded in the transfer syntax of the context.

        The status is FF00, or FF01 if some optional keys of the request are not supported (PS3.4 C.4.1.1.4). Of a
        request that was cancelled too matches may be sent. Raises ``LocalProtocolError`` for another status, an
        identifier that is empty or odd, when ``Limits.output_high_water`` bytes are unsent, and if the request
        was answered or the association ended.
        """
        self._check_open()
        if Status(status).is_final:
            raise LocalProtocolError(f"a match is told with FF00 or FF01, not with {Status(status)}")
        response = CFindRSP(
            message_id_being_responded_to=self.message_id,
            affected_sop_class_uid=self.sop_class_uid,
            command_data_set_type=WITH_DATA_SET,
            status=status,
        )
        self._performer.send_pending(self, response, encoded(identifier))

    def finish(
        self, status: int = SUCCESS, *, offending_element: tuple[int, ...] = (), error_comment: str | None = None
    ) -> None:
        """Tell that no other match follows: Success, FE00 if that is because of a C-CANCEL, or a failure.

        Raises ``LocalProtocolError`` for Pending, and if the request was answered or the association ended.
        """
        self._check_open()
        if not Status(status).is_final:
            raise LocalProtocolError(f"request {self.message_id} ends with a final status, and not {Status(status)}")
        self._performer.send_response(
            self,
            CFindRSP(
                message_id_being_responded_to=self.message_id,
                affected_sop_class_uid=self.sop_class_uid,
                status=status,
                offending_element=offending_element,
                error_comment=error_comment,
            ),
        )
