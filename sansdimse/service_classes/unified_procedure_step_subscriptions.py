"""Who watches which Unified Procedure Step: subscriptions, global ones, and deletion locks (PS3.4 CC.2.3). For the SCP.

Actions 3, 4 and 5 name a step, or one of two well-known instances that stand for all steps, those to come included.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from sansdimse.dataset import Dataset
from sansdimse.dimse.status import INVALID_ARGUMENT_VALUE, NO_SUCH_ACTION_TYPE, RESOURCE_LIMITATION, Status
from sansdimse.service_classes.attributes import subset, text_of
from sansdimse.service_classes.refused import Refused
from sansdimse.service_classes.unified_procedure_step import NO_SUCH_STEP

GLOBAL_SUBSCRIPTION: Final = "1.2.840.10008.5.1.4.34.5"
FILTERED_GLOBAL_SUBSCRIPTION: Final = "1.2.840.10008.5.1.4.34.5.1"

NOT_APPROPRIATE: Final = Status(0xC314)

_OWN_KEYWORDS: Final = ("ReceivingAE", "DeletionLock", "SpecificCharacterSet")
"""What is no matching key in the Action Information."""


class Action(IntEnum):
    """Action types of the Watch SOP class."""

    SUBSCRIBE = 3
    UNSUBSCRIBE = 4
    SUSPEND_GLOBAL = 5


@dataclass(frozen=True, slots=True)
class Request:
    """What one N-ACTION asks. ``keys`` are the matching keys of a filtered global subscription, else empty."""

    action: Action
    sop_instance_uid: str
    receiving_ae_title: str
    deletion_lock: bool
    keys: Dataset

    @property
    def is_global(self) -> bool:
        """Whether it speaks of all steps."""
        return self.sop_instance_uid in (GLOBAL_SUBSCRIPTION, FILTERED_GLOBAL_SUBSCRIPTION)


def read_request(action_type_id: int, sop_instance_uid: str, information: Dataset) -> Request:
    """What this N-ACTION asks.

    Raises Refused: 0123 for another action type, 0115 without Receiving AE or, subscribing, Deletion Lock (TRUE or
    FALSE) or, filtered, matching keys; C314 for suspending what is not global.
    """
    if action_type_id not in tuple(Action):
        raise Refused(NO_SUCH_ACTION_TYPE, f"no action type {action_type_id}")
    action = Action(action_type_id)
    receiver = text_of(information, "ReceivingAE")
    if not receiver:
        raise Refused(INVALID_ARGUMENT_VALUE, "no Receiving AE")
    lock = text_of(information, "DeletionLock")
    keys = Dataset()
    if action is Action.SUBSCRIBE:
        if lock not in ("TRUE", "FALSE"):
            invalid = subset(information, ["DeletionLock"])
            raise Refused(INVALID_ARGUMENT_VALUE, "Deletion Lock is neither TRUE nor FALSE", attribute_list=invalid)
        if sop_instance_uid == FILTERED_GLOBAL_SUBSCRIPTION:
            keys.update({each.tag: deepcopy(each) for each in information if each.keyword not in _OWN_KEYWORDS})
            if not len(keys):
                raise Refused(INVALID_ARGUMENT_VALUE, "no matching keys")
    request = Request(action, sop_instance_uid, receiver, lock == "TRUE", keys)
    if action is Action.SUSPEND_GLOBAL and not request.is_global:
        raise Refused(NOT_APPROPRIATE, "only a global subscription is suspended")
    return request


class Subscriptions:
    """The book of one SCP: which AE title watches which step, and holds it against deletion.

    ``matches(keys, step)`` judges the keys of filtered global subscriptions. At most ``most`` AE titles watch one step,
    or all steps. It has no lock of its own.
    """

    def __init__(self, matches: Callable[[Dataset, Dataset], bool], most: int = 1024) -> None:
        self.matches = matches
        self.most = most
        self._watchers: dict[str, dict[str, bool]] = {}
        self._global: dict[str, Request] = {}

    def apply(self, request: Request, steps: Mapping[str, Dataset]) -> tuple[str, ...]:
        """Do what is asked; the steps newly watched, whose state is to be reported to the receiver (PS3.4 CC.2.4.3).

        ``steps`` are all there are, by SOP Instance UID. A global subscription leaves those alone that the receiver
        watches already. Raises Refused, and changes nothing: C307 for a step that is not there, 0213 above ``most``.
        """
        if not request.is_global and request.sop_instance_uid not in steps:
            raise Refused(NO_SUCH_STEP, "no such UPS instance")
        if request.action is Action.SUBSCRIBE:
            return self._subscribe(request, steps)
        self._end(request)
        return ()

    def _subscribe(self, request: Request, steps: Mapping[str, Dataset]) -> tuple[str, ...]:
        receiver = request.receiving_ae_title
        book = self._global if request.is_global else self._watchers.get(request.sop_instance_uid, {})
        if receiver not in book and len(book) >= self.most:
            raise Refused(RESOURCE_LIMITATION, f"{self.most} AE titles are subscribed")
        if not request.is_global:
            new = receiver not in book
            self._watchers.setdefault(request.sop_instance_uid, {})[receiver] = request.deletion_lock
            return (request.sop_instance_uid,) if new else ()
        self._global[receiver] = request
        return tuple(uid for uid, step in steps.items() if self._join(uid, step, request))

    def _join(self, uid: str, step: Dataset, request: Request) -> bool:
        watchers = self._watchers.get(uid, {})
        if request.receiving_ae_title in watchers or len(watchers) >= self.most:
            return False
        if len(request.keys) and not self.matches(request.keys, step):
            return False
        self._watchers.setdefault(uid, {})[request.receiving_ae_title] = request.deletion_lock
        return True

    def _end(self, request: Request) -> None:
        receiver = request.receiving_ae_title
        if request.is_global:
            self._global.pop(receiver, None)
        if request.action is Action.SUSPEND_GLOBAL:
            return  # what is watched is watched; only steps to come are not
        for uid in list(self._watchers) if request.is_global else [request.sop_instance_uid]:
            self._watchers.get(uid, {}).pop(receiver, None)
            if not self._watchers.get(uid):
                self._watchers.pop(uid, None)

    def created(self, sop_instance_uid: str, step: Dataset) -> tuple[str, ...]:
        """A new step: who watches it from the start, by a global subscription."""
        return tuple(ae for ae, request in self._global.items() if self._join(sop_instance_uid, step, request))

    def watchers(self, sop_instance_uid: str) -> tuple[str, ...]:
        """The AE titles that events of this step go to."""
        return tuple(self._watchers.get(sop_instance_uid, ()))

    def is_locked(self, sop_instance_uid: str) -> bool:
        """Whether somebody holds the step: it may not be deleted, final or not (PS3.4 CC.2.1.3)."""
        return any(self._watchers.get(sop_instance_uid, {}).values())

    def deleted(self, sop_instance_uid: str) -> None:
        """The step is gone, and with it who watched it."""
        self._watchers.pop(sop_instance_uid, None)
