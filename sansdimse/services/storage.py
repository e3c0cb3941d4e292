"""The Storage Service Class (PS3.4 Annex B): C-STORE, its data set streamed in both directions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from sansdimse.dimse.fragments import Fragmenter
from sansdimse.dimse.messages import CStoreRQ, CStoreRSP
from sansdimse.dimse.status import SUCCESS, StatusCategory
from sansdimse.errors import LocalProtocolError
from sansdimse.services.operation import Invoking, Performed, Request

if TYPE_CHECKING:
    from sansdimse.services.retrieve import GetSCP
    from sansdimse.ul.negotiation import NegotiatedContext


class Storing(Invoking, Protocol):
    """What the handle of a C-STORE of ours needs of the association."""

    def send_data(self, operation: StoreRequest, piece: bytes | memoryview, is_last: bool) -> None:
        """Queue a piece of the data set."""
        ...


class StoreRequest(Request):
    """A C-STORE of ours: its data set is given piece by piece with ``send_data``."""

    request: CStoreRQ

    def __init__(self, invoker: Storing, context: NegotiatedContext, request: CStoreRQ, fragmenter: Fragmenter) -> None:
        super().__init__(invoker, context, request)
        self._storing = invoker
        self.fragmenter = fragmenter
        """Cuts the data set to the peer's maximum length."""
        self.may_send = False
        """Whether it is at the head of the queue: its data set goes out now (PS3.8 E.1)."""
        self.data_sent = False
        """Whether the data set has ended, or was cut because the peer had refused it."""
        self.was_cut = False
        """Whether a failing response came early, so that the rest was not sent (PS3.7 9.3.1.3)."""
        self.sub_operation_of: GetSCP | None = None
        """The C-GET of the peer that this belongs to."""

    @property
    def was_invoked(self) -> bool:
        """Whether the peer can know of it: its command set has left the queue."""
        return self.may_send or self.data_sent

    def send_data(self, piece: bytes | memoryview, is_last: bool = False) -> None:
        """Send the next piece of the encoded data set; pieces may be cut anyhow, and one may be empty.

        The piece is not copied: it must not change afterwards. Of a request that was cut the rest is
        dropped. Raises ``LocalProtocolError`` if it is not this message's turn, if the data set was
        complete, if its total length is odd, or if more than ``Limits.output_high_water`` is unsent.
        """
        if self.was_cut:
            return
        if self.data_sent:
            raise LocalProtocolError(f"the data set of C-STORE {self.message_id} is complete")
        if self.over:
            raise LocalProtocolError(f"C-STORE {self.message_id} is over: its association ended")
        if not self.may_send:
            raise LocalProtocolError(
                f"C-STORE {self.message_id} waits behind another data set (PS3.8 E.1); SendingAllowed tells its turn"
            )
        self._storing.send_data(self, piece, is_last)


class StoreSCP(Performed):
    """A C-STORE of the peer: its data set arrives as ``DatasetReceived``, then it is answered."""

    request: CStoreRQ

    def pause(self) -> None:
        """Say that you take no more of its data set for now, and read no more: ``Limits.operation_answer`` runs.

        Else nothing would: who is to send must wait. When the data set is complete it runs in any case.
        """
        self._performer.pause(self)

    def resume(self) -> None:
        """Say that you take more again."""
        self._performer.resume(self)

    def respond(
        self, status: int = SUCCESS, *, offending_element: tuple[int, ...] = (), error_comment: str | None = None
    ) -> None:
        """Answer it. Before the data set is complete only a failure may be told; the rest is then discarded.

        Raises ``LocalProtocolError`` for Success or Warning before the last piece (PS3.7 9.1.1.2), and if
        it was answered or the association ended.
        """
        self._check_open()
        status = self._final(status)
        if not self.data_complete and status.category is not StatusCategory.FAILURE:
            raise LocalProtocolError(
                f"{status} before the data set is complete (PS3.7 9.1.1.2); only a failure may be told early"
            )
        self._performer.send_response(
            self,
            CStoreRSP(
                message_id_being_responded_to=self.message_id,
                affected_sop_class_uid=self.sop_class_uid,
                affected_sop_instance_uid=self.sop_instance_uid,
                status=status,
                offending_element=offending_element,
                error_comment=error_comment,
            ),
        )
