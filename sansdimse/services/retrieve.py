"""C-GET and C-MOVE, of every service class that has them: Query/Retrieve and its like (PS3.4 C.4.2, C.4.3, Y, Z ...).

What is retrieved is stored by C-STORE sub-operations: of a C-GET on the same association, where the performer is
their invoker; of a C-MOVE on another. Which instances those are is the user's to know; their counts, how the whole
ended and which failed are kept here.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Protocol

from sansdimse.dimse.messages import NO_DATA_SET, WITH_DATA_SET, CGetRQ, CGetRSP, CMoveRQ, CMoveRSP
from sansdimse.dimse.status import PENDING, PROCESSING_FAILURE, Status
from sansdimse.errors import LocalProtocolError
from sansdimse.services.operation import Performed, Performing, Request
from sansdimse.services.suboperations import SubOperations, failed_list

if TYPE_CHECKING:
    from sansdimse.dimse.command import Decoded
    from sansdimse.services.storage import StoreRequest
    from sansdimse.ul.agreement import NegotiatedContext


class _Retrieving(Request):
    """What C-GET and C-MOVE of ours have in common."""

    def expects_data_set(self, status: Status) -> bool | None:
        """Whether a response has the list of those failed: never a Pending one (PS3.4 C.4.2.1.4.2)."""
        return None if status.is_final else False


class GetRequest(_Retrieving):
    """A C-GET of ours: a ``ResponseReceived`` now and then with counters, and a final one.

    What is retrieved comes as ``StoreRequested``, as any C-STORE of the peer: nothing in it says that it belongs
    here (PS3.7 9.1.1). So there is one at a time.
    """

    request: CGetRQ


class MoveRequest(_Retrieving):
    """A C-MOVE of ours: a ``ResponseReceived`` now and then with counters, and a final one."""

    request: CMoveRQ


class Retrieving(Performing, Protocol):
    """What the handle of a C-GET or C-MOVE of the peer needs of the association."""

    def store(
        self,
        operation: GetSCP,
        sop_class_uid: str,
        sop_instance_uid: str,
        transfer_syntax_uid: str | None,
        context_id: int | None,
    ) -> StoreRequest:
        """Invoke a C-STORE as a sub-operation."""
        ...

    def shows_life(self, operation: Performed) -> None:
        """Begin the wait for our user anew."""
        ...

    @property
    def peer_ae_title(self) -> str:
        """The title of who invokes."""
        ...


class _RetrieveSCP(Performed):
    """What C-GET and C-MOVE of the peer have in common."""

    _response: type[CGetRSP] | type[CMoveRSP]

    def __init__(self, performer: Retrieving, context: NegotiatedContext, decoded: Decoded) -> None:
        super().__init__(performer, context, decoded)
        self._retrieving = performer
        self.data_complete = True  # before, there is none of it
        self.suboperations = SubOperations()
        """How they went so far."""

    @property
    def has_room(self) -> bool:
        """Whether ``send_pending`` is allowed now: less than ``Limits.output_high_water`` is unsent."""
        return self._performer.has_room

    def expect(self, count: int) -> None:
        """There will be so many sub-operations; 0 is a number.

        Raises ``LocalProtocolError`` for what is no number, if that was told before, and if the request was answered
        or the association ended.
        """
        self._check_open()
        self.suboperations.expect(count)

    def send_pending(self) -> None:
        """Tell how far it is, with the counters (PS3.4 C.4.2.1.6). Nobody need do so.

        Raises ``LocalProtocolError`` before ``expect``, when ``Limits.output_high_water`` bytes are unsent, and if
        the request was answered or the association ended.
        """
        self._check_open()
        if self.suboperations.expected is None:
            raise LocalProtocolError("how many sub-operations there are was not told yet: expect(count)")
        self._performer.send_pending(
            self,
            self._response(
                message_id_being_responded_to=self.message_id,
                affected_sop_class_uid=self.sop_class_uid,
                status=PENDING,
                **self.suboperations.counters(PENDING),
            ),
        )

    def shows_life(self) -> None:
        """Something goes on, though nothing can be told yet: ``Limits.operation_answer`` begins anew."""
        self._retrieving.shows_life(self)

    def _check_settled(self) -> None:
        """What runs must have ended, or it would be counted as failed."""

    def finish(
        self,
        status: int | None = None,
        *,
        failed: Iterable[str] | None = None,
        offending_element: tuple[int, ...] = (),
        error_comment: str | None = None,
    ) -> Status:
        """Tell how it ended; that is given back too.

        By default, and of Success, the sub-operations decide: Success if all succeeded, A702 if all failed, else
        B000. What was announced and not delivered has failed, unless it ends with FE00, on a C-CANCEL. ``failed``
        are the SOP Instance UIDs of the Failed SOP Instance UID List, by default those recorded.

        Raises ``LocalProtocolError`` for Pending, while sub-operations are not answered, and if the request was
        answered or the association ended.
        """
        self._check_open()
        self._check_settled()
        if status is not None and not Status(status).is_final:
            raise LocalProtocolError(f"request {self.message_id} ends with a final status, and not {Status(status)}")
        final = self.suboperations.final(status)
        instances = self.suboperations.failed_instances if failed is None else list(failed)
        # Success has no list (PS3.4 C.4.2.1.4.2), and nobody is to be told of an instance that did not fail.
        listed = failed_list(instances, self.context.transfer_syntax or "") if instances and final != 0 else None
        response = self._response(
            message_id_being_responded_to=self.message_id,
            affected_sop_class_uid=self.sop_class_uid,
            status=final,
            offending_element=offending_element,
            error_comment=error_comment,
            command_data_set_type=NO_DATA_SET if listed is None else WITH_DATA_SET,
            **self.suboperations.counters(final),
        )
        self._performer.send_response(self, response, listed)
        return final


class GetSCP(_RetrieveSCP):
    """A C-GET of the peer: ``expect`` so many, ``store`` each, then ``finish``."""

    request: CGetRQ
    _response = CGetRSP

    def __init__(self, performer: Retrieving, context: NegotiatedContext, decoded: Decoded) -> None:
        super().__init__(performer, context, decoded)
        self.outstanding: set[StoreRequest] = set()
        """The sub-operations that are not answered."""

    def store(
        self,
        sop_class_uid: str,
        sop_instance_uid: str,
        transfer_syntax_uid: str | None = None,
        *,
        context_id: int | None = None,
    ) -> StoreRequest:
        """Invoke the C-STORE of a sub-operation, with the priority of the C-GET (PS3.7 9.1.3.1.4).

        It is ours like any: give its data set with ``send_data``. Its answer is counted here when it comes; one that
        is abandoned unsent, or that the peer's release leaves without an answer, has failed.
        Raises ``LocalProtocolError`` if no context in which the requestor took the SCP role, or no window, allows
        it, and for one more than was announced. One that cannot be stored at all is told with ``record``.
        """
        self._check_open()
        self.suboperations.check_room(len(self.outstanding))
        operation = self._retrieving.store(self, sop_class_uid, sop_instance_uid, transfer_syntax_uid, context_id)
        operation.sub_operation_of = self
        self.outstanding.add(operation)
        return operation

    def record(self, status: int, sop_instance_uid: str | None) -> None:
        """A sub-operation ended without a C-STORE: no context fits, or the instance is not there.

        Raises ``LocalProtocolError`` for one more than was announced, and if the request was answered or the
        association ended.
        """
        self._check_open()
        self.suboperations.check_room(len(self.outstanding))
        self.suboperations.record(status, sop_instance_uid)
        self.shows_life()

    def answered_by_peer(self, operation: StoreRequest, status: Status) -> None:
        """The association tells that a sub-operation was answered.

        This one is not over then: it cannot be finished before, and our requests end before the peer's.
        """
        self.outstanding.discard(operation)
        self.suboperations.record(status, operation.request.affected_sop_instance_uid)
        self.shows_life()

    def given_up(self, operation: StoreRequest) -> None:
        """The association tells that a sub-operation will not be answered: it was withdrawn, or the peer releases."""
        self.outstanding.discard(operation)
        self.suboperations.record(PROCESSING_FAILURE, operation.request.affected_sop_instance_uid)

    def _check_settled(self) -> None:
        if self.outstanding:
            raise LocalProtocolError(
                f"{len(self.outstanding)} sub-operations of C-GET {self.message_id} are not answered"
            )


class MoveSCP(_RetrieveSCP):
    """A C-MOVE of the peer: ``expect`` so many, ``record`` each, which goes over another association; ``finish``."""

    request: CMoveRQ
    _response = CMoveRSP

    @property
    def destination(self) -> str:
        """The AE title to store at (0000,0600), without its spaces; as the peer gave it."""
        return self.request.move_destination.strip()

    @property
    def originator(self) -> tuple[str, int]:
        """What the C-STOREs repeat: the title of who asked, and the message ID (PS3.7 9.1.1.1.6, 9.1.1.1.7)."""
        return self._retrieving.peer_ae_title, self.message_id

    def record(self, status: int, sop_instance_uid: str | None) -> None:
        """A sub-operation ended, with the status of its C-STORE, or with a failure if there was none.

        Raises ``LocalProtocolError`` for one more than was announced, and if the request was answered or the
        association ended.
        """
        self._check_open()
        self.suboperations.record(status, sop_instance_uid)
        self.shows_life()
