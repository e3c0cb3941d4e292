"""The six services of DIMSE-N, in both roles (PS3.7 10.1, 10.3).

They differ in their elements and in nothing else, so one handle serves all: which it is, its ``request`` tells.
What goes with them are encoded data sets, whole, in the transfer syntax of the context; the engine neither
reads nor makes them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sansdimse import uids
from sansdimse.dimse.messages import (
    WITH_DATA_SET,
    DataSet,
    NActionRQ,
    NCreateRQ,
    NDeleteRQ,
    NEventReportRQ,
    NGetRQ,
    NSetRQ,
)
from sansdimse.dimse.status import (
    INVALID_ARGUMENT_VALUE,
    INVALID_ATTRIBUTE_VALUE,
    MISSING_ATTRIBUTE_VALUE,
    SUCCESS,
    Status,
    StatusCategory,
)
from sansdimse.errors import LocalProtocolError
from sansdimse.services.operation import RESPONSE_TO, Performed, Request, encoded

if TYPE_CHECKING:
    from sansdimse.dimse.command import Decoded
    from sansdimse.services.operation import Performing
    from sansdimse.ul.agreement import NegotiatedContext

NormalizedRQ = NEventReportRQ | NGetRQ | NSetRQ | NActionRQ | NCreateRQ | NDeleteRQ
"""The requests of DIMSE-N."""

_TOLD_WITH_VALUES: Final = (INVALID_ATTRIBUTE_VALUE, MISSING_ATTRIBUTE_VALUE, INVALID_ARGUMENT_VALUE)
"""The failures that may come with the values they speak of (PS3.7 10.1, Annex C.4.3, C.5.5)."""


class NormalizedRequest(Request):
    """A request of DIMSE-N of ours: one ``ResponseReceived``, with the data set of the reply."""

    request: NormalizedRQ


class NormalizedSCP(Performed):
    """A request of DIMSE-N of the peer, to be answered once."""

    request: NormalizedRQ

    def __init__(self, performer: Performing, context: NegotiatedContext, decoded: Decoded) -> None:
        super().__init__(performer, context, decoded)
        self.data_complete = True  # before, there is none of it

    def respond(
        self,
        status: int = SUCCESS,
        data_set: bytes | bytearray | memoryview | None = None,
        *,
        sop_instance_uid: str | None = None,
        offending_element: tuple[int, ...] = (),
        attribute_identifier_list: tuple[int, ...] = (),
        error_comment: str | None = None,
        error_id: int | None = None,
    ) -> None:
        """Answer it, with the Attribute List, the Action Reply or the Event Reply as ``data_set`` if there is one.

        ``sop_instance_uid`` is that of the instance created, where the request left it to us (PS3.7 10.1.5.1.4).
        The other elements go with the failures and warnings that Annex C gives them to.

        Raises ``LocalProtocolError`` for Pending, an element or a data set that the response does not have, a data
        set with a failure, Success of an N-CREATE that names no instance, and if it was answered or the association
        ended.
        """
        self._check_open()
        status = self._final(status)
        kind: Any = RESPONSE_TO[type(self.request)]
        elements: dict[str, Any] = {
            "affected_sop_instance_uid": self._instance(status, sop_instance_uid),
            "offending_element": offending_element,
            "attribute_identifier_list": attribute_identifier_list,
            "error_comment": error_comment,
            "error_id": error_id,
        }
        for name in ("attribute_identifier_list", "offending_element"):
            if not hasattr(kind, name) and elements.pop(name):
                raise LocalProtocolError(f"{kind.__name__} has no {name} (PS3.7 10.3)")
        whole = None if data_set is None else encoded(data_set)
        if whole is not None:
            self._check_data_set(kind, status)
            elements["command_data_set_type"] = WITH_DATA_SET
        for name in ("event_type_id", "action_type_id"):
            if hasattr(kind, name):
                elements[name] = getattr(self.request, name)
        self._performer.send_response(
            self,
            kind(
                message_id_being_responded_to=self.message_id,
                affected_sop_class_uid=self.sop_class_uid,
                status=status,
                **elements,
            ),
            whole,
        )

    def _instance(self, status: Status, given: str | None) -> str | None:
        """What the response names: the request's instance, or of an N-CREATE the one that was invented."""
        if given is not None and not uids.is_valid(given):
            raise LocalProtocolError(f"{given!r} is no UID")
        if self.sop_instance_uid is not None:
            if given not in (None, uids.normal(self.sop_instance_uid)):
                raise LocalProtocolError(f"the request names the instance {self.sop_instance_uid}, and not {given}")
            return self.sop_instance_uid
        if given is None and status.category in (StatusCategory.SUCCESS, StatusCategory.WARNING):
            raise LocalProtocolError("an N-CREATE without instance UID is answered with the one invented for it")
        return given

    def _check_data_set(self, kind: Any, status: Status) -> None:
        if kind.DATA_SET is DataSet.FORBIDDEN:
            raise LocalProtocolError(f"{kind.__name__} has no data set (PS3.7 10.3)")
        if status.category is StatusCategory.FAILURE and status not in _TOLD_WITH_VALUES:
            raise LocalProtocolError(f"a data set goes with Success or a warning, and not with {status} (PS3.7 10.1)")
