"""Who watches which step."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import Dataset

from sansdimse.service_classes.refused import Refused
from sansdimse.service_classes.unified_procedure_step_subscriptions import (
    FILTERED_GLOBAL_SUBSCRIPTION,
    GLOBAL_SUBSCRIPTION,
    Action,
    Request,
    Subscriptions,
    read_request,
)

STEPS = {"1.1": Dataset(), "1.2": Dataset()}
STEPS["1.1"].PatientID = "7"
STEPS["1.2"].PatientID = "8"


def matches(keys: Dataset, step: Dataset) -> bool:
    return bool(keys.PatientID == step.PatientID)


def asked(action: int, uid: str, ae: str = "WARD", lock: str = "FALSE", patient: str = "") -> Request:
    information = Dataset()
    information.ReceivingAE = ae
    information.DeletionLock = lock
    if patient:
        information.SpecificCharacterSet = "ISO_IR 192"
        information.PatientID = patient
        information.add_new(0x00091001, "UN", b"")
    return read_request(action, uid, information)


def book() -> Subscriptions:
    return Subscriptions(matches)


def test_what_is_asked() -> None:
    request = asked(3, "1.1", lock="TRUE", patient="7")
    assert request == Request(Action.SUBSCRIBE, "1.1", "WARD", True, Dataset())
    assert not request.is_global
    request = asked(3, FILTERED_GLOBAL_SUBSCRIPTION, patient="7")
    assert request.is_global
    assert not request.deletion_lock
    assert [int(element.tag) for element in request.keys] == [0x00091001, 0x00100020]
    assert asked(5, GLOBAL_SUBSCRIPTION, lock="").is_global
    assert not asked(4, "1.1", lock="").deletion_lock


@pytest.mark.parametrize(
    ("action", "uid", "ae", "lock", "status"),
    [
        (2, "1.1", "WARD", "TRUE", 0x0123),
        (3, "1.1", "", "TRUE", 0x0115),
        (3, "1.1", "WARD", "", 0x0115),
        (3, "1.1", "WARD", "MAYBE", 0x0115),
        (3, FILTERED_GLOBAL_SUBSCRIPTION, "WARD", "TRUE", 0x0115),
        (5, "1.1", "WARD", "", 0xC314),
    ],
)
def test_what_cannot_be_asked(action: int, uid: str, ae: str, lock: str, status: int) -> None:
    with pytest.raises(Refused) as refused:
        asked(action, uid, ae, lock)
    assert refused.value.status == status


def test_one_step() -> None:
    subscriptions = book()
    assert subscriptions.apply(asked(3, "1.1", lock="TRUE"), STEPS) == ("1.1",)
    assert subscriptions.apply(asked(3, "1.1", "PACS"), STEPS) == ("1.1",)
    assert subscriptions.watchers("1.1") == ("WARD", "PACS")
    assert subscriptions.watchers("1.2") == ()
    assert subscriptions.is_locked("1.1")
    assert subscriptions.apply(asked(3, "1.1"), STEPS) == ()
    assert not subscriptions.is_locked("1.1")
    assert subscriptions.apply(asked(4, "1.1"), STEPS) == ()
    assert subscriptions.watchers("1.1") == ("PACS",)
    subscriptions.apply(asked(4, "1.2"), STEPS)
    subscriptions.deleted("1.1")
    subscriptions.deleted("1.2")
    assert subscriptions.watchers("1.1") == ()
    for action in (3, 4):
        with pytest.raises(Refused) as refused:
            subscriptions.apply(asked(action, "1.3"), STEPS)
        assert refused.value.status == 0xC307


def test_all_steps_and_those_to_come() -> None:
    subscriptions = book()
    subscriptions.apply(asked(3, "1.1"), STEPS)
    assert subscriptions.apply(asked(3, GLOBAL_SUBSCRIPTION, lock="TRUE"), STEPS) == ("1.2",)
    assert (subscriptions.is_locked("1.1"), subscriptions.is_locked("1.2")) == (False, True)
    assert subscriptions.created("1.3", Dataset()) == ("WARD",)
    assert subscriptions.is_locked("1.3")
    subscriptions.apply(asked(5, GLOBAL_SUBSCRIPTION), STEPS)
    assert subscriptions.watchers("1.3") == ("WARD",)
    assert subscriptions.created("1.4", Dataset()) == ()
    subscriptions.apply(asked(4, GLOBAL_SUBSCRIPTION), STEPS)
    assert [subscriptions.watchers(uid) for uid in ("1.1", "1.2", "1.3")] == [()] * 3


def test_some_steps_by_their_attributes() -> None:
    subscriptions = book()
    assert subscriptions.apply(asked(3, FILTERED_GLOBAL_SUBSCRIPTION, patient="7"), STEPS) == ("1.1",)
    assert subscriptions.created("1.3", STEPS["1.1"]) == ("WARD",)
    assert subscriptions.created("1.4", STEPS["1.2"]) == ()


def test_the_book_is_bounded() -> None:
    subscriptions = Subscriptions(matches, most=1)
    subscriptions.apply(asked(3, "1.1"), STEPS)
    subscriptions.apply(asked(3, "1.1", lock="TRUE"), STEPS)
    assert subscriptions.apply(asked(3, GLOBAL_SUBSCRIPTION, "PACS"), STEPS) == ("1.2",)
    for uid in ("1.1", GLOBAL_SUBSCRIPTION):
        with pytest.raises(Refused) as refused:
            subscriptions.apply(asked(3, uid, "THIRD"), STEPS)
        assert refused.value.status == 0x0213


REQUESTS = st.builds(
    asked,
    st.sampled_from([3, 4]),
    st.sampled_from(["1.1", "1.2", GLOBAL_SUBSCRIPTION, FILTERED_GLOBAL_SUBSCRIPTION]),
    st.sampled_from(["A", "B"]),
    st.sampled_from(["TRUE", "FALSE"]),
    st.sampled_from(["7", "8"]),
) | st.builds(asked, st.just(5), st.just(GLOBAL_SUBSCRIPTION), st.sampled_from(["A", "B"]))


@settings(deadline=None)
@given(st.lists(REQUESTS, max_size=12))
def test_watching_follows_the_requests(requests: list[Request]) -> None:
    subscriptions = book()
    for request in requests:
        before = {uid: subscriptions.watchers(uid) for uid in STEPS}
        new = subscriptions.apply(request, STEPS)
        receiver = request.receiving_ae_title
        for uid in STEPS:
            now = subscriptions.watchers(uid)
            assert {*now} - {receiver} == {*before[uid]} - {receiver}
            assert (uid in new) == (receiver in now and receiver not in before[uid])
            if request.action is Action.UNSUBSCRIBE and (request.is_global or request.sop_instance_uid == uid):
                assert receiver not in now
            if request.action is Action.SUSPEND_GLOBAL:
                assert now == before[uid]
    for ae in ("A", "B"):
        subscriptions.apply(asked(4, GLOBAL_SUBSCRIPTION, ae), STEPS)
    assert [subscriptions.watchers(uid) for uid in STEPS] == [(), ()]
    assert not any(subscriptions.is_locked(uid) for uid in STEPS)
    assert subscriptions.created("1.9", STEPS["1.1"]) == ()
