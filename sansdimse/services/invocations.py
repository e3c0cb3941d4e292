"""What one may ask of the other end: a verb for each DIMSE service, each gives a handle (PS3.7 9.1, 10.1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sansdimse.dimse.fragments import Fragmenter
from sansdimse.dimse.messages import (
    NO_DATA_SET,
    WITH_DATA_SET,
    CEchoRQ,
    CFindRQ,
    CGetRQ,
    CMoveRQ,
    CStoreRQ,
    NActionRQ,
    NCreateRQ,
    NDeleteRQ,
    NEventReportRQ,
    NGetRQ,
    NSetRQ,
    Priority,
)
from sansdimse.errors import LocalProtocolError
from sansdimse.services.contexts import context_for
from sansdimse.services.normalized import NormalizedRequest
from sansdimse.services.operation import Request, encoded
from sansdimse.services.query import FindRequest
from sansdimse.services.retrieve import GetRequest, MoveRequest
from sansdimse.services.servable import SERVICES
from sansdimse.services.storage import StoreRequest
from sansdimse.uids import VERIFICATION, is_valid
from sansdimse.ul.parties import check_title

if TYPE_CHECKING:
    from sansdimse.services.invoker import Invoker
    from sansdimse.services.outbox import Outbox
    from sansdimse.services.sop_classes import SopClasses
    from sansdimse.ul.agreement import Agreement, NegotiatedContext

DataSet = bytes | bytearray | memoryview
"""A data set, encoded in the transfer syntax of its context: of even length, and not empty."""


class Invocations:
    """The verbs of an ``Association`` that invoke operations and notifications.

    All raise ``LocalProtocolError``, and change nothing, if no context or window allows it, or what is to be sent
    cannot be. A data set must be in the transfer syntax of the context: name it, or look with ``context_for`` before.
    """

    _invoker: Invoker
    _outbox: Outbox
    sop_classes: SopClasses
    """The SOP classes known; a table with private ones is made by ``SopClasses.with_private``."""

    def _agreed(self) -> Agreement:
        raise NotImplementedError

    def context_for(
        self,
        abstract_syntax: str,
        transfer_syntax: str | None = None,
        *,
        context_id: int | None = None,
        role: str = "SCU",
        service: str | None = None,
        type_id: int | None = None,
    ) -> NegotiatedContext:
        """The accepted context to invoke this on, in which we are SCU: the first, or the one the caller names.

        One of the SOP class itself comes before one of its Meta SOP class. The role is ``"SCP"`` for an
        N-EVENT-REPORT. Where several would do, one that is for ``service``, and for this type of action or event, is
        taken. Raises ``LocalProtocolError`` if there is none, and says why and what could be invoked.
        """
        return context_for(
            self._agreed(),
            abstract_syntax,
            transfer_syntax,
            context_id=context_id,
            role=role,
            sop_classes=self.sop_classes,
            service=service,
            type_id=type_id,
        )

    # ------------------------------------------------------------ DIMSE-C, PS3.7 9.1

    def c_echo(self, *, context_id: int | None = None) -> Request:
        """Invoke C-ECHO (PS3.7 9.1.5)."""
        message_id = self._invoker.new_id()
        context = self.context_for(VERIFICATION, context_id=context_id)
        request = CEchoRQ(message_id=message_id, affected_sop_class_uid=VERIFICATION)
        operation = Request(self._invoker, context, request)
        self._invoker.invoke(operation)
        return operation

    def c_store(
        self,
        sop_class_uid: str,
        sop_instance_uid: str,
        transfer_syntax_uid: str | None = None,
        *,
        context_id: int | None = None,
        priority: int = Priority.MEDIUM,
        move_originator: tuple[str, int] | None = None,
    ) -> StoreRequest:
        """Invoke C-STORE (PS3.7 9.1.1); give its data set with ``send_data`` on what this returns.

        The data set must be in the transfer syntax of the context: name it, or look at
        ``operation.context.transfer_syntax``. ``move_originator`` is the title and the message ID of the
        C-MOVE that this belongs to.
        """
        message_id = self._invoker.new_id()
        context = self.context_for(sop_class_uid, transfer_syntax_uid, context_id=context_id, service="C-STORE")
        title, originator_id = move_originator or (None, None)
        request = CStoreRQ(
            message_id=message_id,
            affected_sop_class_uid=sop_class_uid,
            affected_sop_instance_uid=sop_instance_uid,
            priority=priority,
            move_originator_application_entity_title=title,
            move_originator_message_id=originator_id,
        )
        fragmenter = Fragmenter(context.id, self._outbox.maximum_length)
        operation = StoreRequest(self._invoker, context, request, fragmenter)
        self._invoker.invoke(operation)
        return operation

    def c_find(
        self,
        sop_class_uid: str,
        identifier: DataSet,
        *,
        transfer_syntax_uid: str | None = None,
        context_id: int | None = None,
        priority: int = Priority.MEDIUM,
    ) -> FindRequest:
        """Invoke C-FIND (PS3.7 9.1.2). Each match is a ``ResponseReceived`` with status Pending and its identifier."""
        message_id = self._invoker.new_id()
        context = self.context_for(sop_class_uid, transfer_syntax_uid, context_id=context_id, service="C-FIND")
        request = CFindRQ(message_id=message_id, affected_sop_class_uid=sop_class_uid, priority=priority)
        operation = FindRequest(self._invoker, context, request)
        self._invoker.invoke(operation, encoded(identifier))
        return operation

    def c_get(
        self,
        sop_class_uid: str,
        identifier: DataSet,
        *,
        transfer_syntax_uid: str | None = None,
        context_id: int | None = None,
        priority: int = Priority.MEDIUM,
    ) -> GetRequest:
        """Invoke C-GET (PS3.7 9.1.3). What is retrieved comes as ``StoreRequested`` on this association.

        For that the contexts of its SOP classes must have been proposed with the SCP role (``plan_get``). Raises
        ``LocalProtocolError`` too while another C-GET of ours is outstanding.
        """
        message_id = self._invoker.new_id()
        context = self.context_for(sop_class_uid, transfer_syntax_uid, context_id=context_id, service="C-GET")
        request = CGetRQ(message_id=message_id, affected_sop_class_uid=sop_class_uid, priority=priority)
        operation = GetRequest(self._invoker, context, request)
        self._invoker.invoke(operation, encoded(identifier))
        return operation

    def c_move(
        self,
        sop_class_uid: str,
        identifier: DataSet,
        destination: str,
        *,
        transfer_syntax_uid: str | None = None,
        context_id: int | None = None,
        priority: int = Priority.MEDIUM,
    ) -> MoveRequest:
        """Invoke C-MOVE (PS3.7 9.1.4): the peer stores at the application entity titled ``destination``."""
        check_title(destination, "move destination")
        message_id = self._invoker.new_id()
        context = self.context_for(sop_class_uid, transfer_syntax_uid, context_id=context_id, service="C-MOVE")
        request = CMoveRQ(
            message_id=message_id,
            affected_sop_class_uid=sop_class_uid,
            move_destination=destination,
            priority=priority,
        )
        operation = MoveRequest(self._invoker, context, request)
        self._invoker.invoke(operation, encoded(identifier))
        return operation

    def sub_operation(
        self,
        sop_class_uid: str,
        sop_instance_uid: str,
        transfer_syntax_uid: str | None,
        context_id: int | None,
        priority: int,
    ) -> StoreRequest:
        """What ``GetSCP.store`` does."""
        return self.c_store(
            sop_class_uid, sop_instance_uid, transfer_syntax_uid, context_id=context_id, priority=priority
        )

    # ------------------------------------------------------------ DIMSE-N, PS3.7 10.1

    def n_event_report(
        self,
        sop_class_uid: str,
        sop_instance_uid: str,
        event_type_id: int,
        data_set: DataSet | None = None,
        *,
        transfer_syntax_uid: str | None = None,
        context_id: int | None = None,
    ) -> NormalizedRequest:
        """Invoke N-EVENT-REPORT (PS3.7 10.1.1), which is the SCP's; ``data_set`` is the Event Information."""
        return self._normalized(
            NEventReportRQ,
            data_set,
            transfer_syntax_uid,
            context_id,
            affected_sop_class_uid=sop_class_uid,
            affected_sop_instance_uid=sop_instance_uid,
            event_type_id=event_type_id,
        )

    def n_get(
        self,
        sop_class_uid: str,
        sop_instance_uid: str,
        attributes: Sequence[int] = (),
        *,
        context_id: int | None = None,
    ) -> NormalizedRequest:
        """Invoke N-GET (PS3.7 10.1.2) for these tags; none are all."""
        return self._normalized(
            NGetRQ,
            None,
            None,
            context_id,
            requested_sop_class_uid=sop_class_uid,
            requested_sop_instance_uid=sop_instance_uid,
            attribute_identifier_list=tuple(attributes),
        )

    def n_set(
        self,
        sop_class_uid: str,
        sop_instance_uid: str,
        data_set: DataSet,
        *,
        transfer_syntax_uid: str | None = None,
        context_id: int | None = None,
    ) -> NormalizedRequest:
        """Invoke N-SET (PS3.7 10.1.3); ``data_set`` is the Modification List."""
        return self._normalized(
            NSetRQ,
            data_set,
            transfer_syntax_uid,
            context_id,
            requested_sop_class_uid=sop_class_uid,
            requested_sop_instance_uid=sop_instance_uid,
        )

    def n_action(
        self,
        sop_class_uid: str,
        sop_instance_uid: str,
        action_type_id: int,
        data_set: DataSet | None = None,
        *,
        transfer_syntax_uid: str | None = None,
        context_id: int | None = None,
    ) -> NormalizedRequest:
        """Invoke N-ACTION (PS3.7 10.1.4); ``data_set`` is the Action Information."""
        return self._normalized(
            NActionRQ,
            data_set,
            transfer_syntax_uid,
            context_id,
            requested_sop_class_uid=sop_class_uid,
            requested_sop_instance_uid=sop_instance_uid,
            action_type_id=action_type_id,
        )

    def n_create(
        self,
        sop_class_uid: str,
        sop_instance_uid: str | None = None,
        data_set: DataSet | None = None,
        *,
        transfer_syntax_uid: str | None = None,
        context_id: int | None = None,
    ) -> NormalizedRequest:
        """Invoke N-CREATE (PS3.7 10.1.5); without instance UID the peer invents one, and names it in its response."""
        return self._normalized(
            NCreateRQ,
            data_set,
            transfer_syntax_uid,
            context_id,
            affected_sop_class_uid=sop_class_uid,
            affected_sop_instance_uid=sop_instance_uid,
        )

    def n_delete(
        self, sop_class_uid: str, sop_instance_uid: str, *, context_id: int | None = None
    ) -> NormalizedRequest:
        """Invoke N-DELETE (PS3.7 10.1.6)."""
        return self._normalized(
            NDeleteRQ,
            None,
            None,
            context_id,
            requested_sop_class_uid=sop_class_uid,
            requested_sop_instance_uid=sop_instance_uid,
        )

    def _normalized(
        self,
        kind: Any,
        data_set: DataSet | None,
        transfer_syntax_uid: str | None,
        context_id: int | None,
        **elements: Any,
    ) -> NormalizedRequest:
        message_id = self._invoker.new_id()
        for name in ("affected_sop_instance_uid", "requested_sop_instance_uid"):
            uid = elements.get(name)
            if uid is not None and not is_valid(uid):
                raise LocalProtocolError(f"{uid!r} is no UID")
        whole = None if data_set is None else encoded(data_set)
        sop_class_uid = elements.get("affected_sop_class_uid") or elements["requested_sop_class_uid"]
        role = "SCP" if kind is NEventReportRQ else "SCU"
        context = self.context_for(
            sop_class_uid,
            transfer_syntax_uid,
            context_id=context_id,
            role=role,
            service=SERVICES[kind],
            type_id=elements.get("action_type_id", elements.get("event_type_id")),
        )
        request = kind(
            message_id=message_id,
            command_data_set_type=NO_DATA_SET if whole is None else WITH_DATA_SET,
            **elements,
        )
        operation = NormalizedRequest(self._invoker, context, request)
        self._invoker.invoke(operation, whole)
        return operation
