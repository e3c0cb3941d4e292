"""Any shape of handler becomes one, and what it returns is judged."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import Dataset

from sansdimse import STORAGE, SUCCESS, VERIFICATION, Status
from sansdimse.peer.handlers import (
    NO_STATUS,
    NOT_A_STATUS,
    Failure,
    Reply,
    Service,
    WithStore,
    check_service,
    checked,
    fit_comment,
    is_async,
    is_async_generator,
    judged,
    status_of,
)
from sansdimse.service_classes.refused import Refused
from sansdimse.services.sop_classes import (
    BASIC_GRAYSCALE_PRINT_MANAGEMENT_META,
    MODALITY_PERFORMED_PROCEDURE_STEP,
    MODALITY_PERFORMED_PROCEDURE_STEP_NOTIFICATION,
    STANDARD,
    STORAGE_COMMITMENT_PUSH_MODEL,
    UNIFIED_PROCEDURE_STEP_PULL,
    private_sop_class,
    private_storage,
)
from sansdimse.services.sop_classes import UNIFIED_PROCEDURE_STEP_WATCH as WATCH

CT = "1.2.840.10008.5.1.4.1.1.2"
FIND = "1.2.840.10008.5.1.4.1.2.2.1"
MOVE = "1.2.840.10008.5.1.4.1.2.2.2"
GET = "1.2.840.10008.5.1.4.1.2.2.3"
WORKLIST = "1.2.840.10008.5.1.4.31"


NAMED = Dataset()
NAMED.PatientID = "7"


class Stores:
    def c_store(self, store: object) -> int:
        return 0


class Finds:
    def c_find(self, find: object) -> list[Dataset]:
        return []


class Mute:
    c_store = None


class AsyncCallable:
    async def __call__(self, store: object) -> int:
        return 0


async def coroutine_function(store: object) -> int:
    return 0


def test_every_sop_class_offered_needs_its_method() -> None:
    check_service(Stores(), [VERIFICATION, CT, *STORAGE])
    check_service(Stores(), [], any_storage=True)
    check_service(object(), [VERIFICATION])
    check_service(object(), [])


@pytest.mark.parametrize("service", [object(), Mute()])
@pytest.mark.parametrize("offered", [[CT], [VERIFICATION, CT], ["1.2.3.4"]])
def test_a_service_without_the_method_is_told_at_once(service: object, offered: list[str]) -> None:
    with pytest.raises(TypeError, match=f"{type(service).__name__} offers .* c_store"):
        check_service(service, offered)


def test_any_storage_needs_c_store() -> None:
    with pytest.raises(TypeError, match="c_store"):
        check_service(object(), [], any_storage=True)


def with_methods(*names: str) -> object:
    return SimpleNamespace(**{name: lambda conversation: 0 for name in names})


def test_every_service_of_dimse_c_needs_its_method() -> None:
    check_service(with_methods("c_get", "c_move"), [VERIFICATION, GET, MOVE])
    for uid, method in ((GET, "c_get"), (MOVE, "c_move"), (FIND, "c_find")):
        with pytest.raises(TypeError, match=f"SimpleNamespace offers SOP classes that need the method {method}$"):
            check_service(with_methods(*{"c_get", "c_move", "c_find"} - {method}), [uid])
    with pytest.raises(TypeError, match="the method c_get, c_move"):
        check_service(Stores(), [MOVE, GET])


@pytest.mark.parametrize("method", ["n_create", "n_set"])
def test_of_dimse_n_one_method_is_enough(method: str) -> None:
    check_service(with_methods(method), [MODALITY_PERFORMED_PROCEDURE_STEP])


def test_of_dimse_n_one_method_is_needed_and_it_is_none_of_the_other_ends() -> None:
    with pytest.raises(TypeError, match=r"the method n_create or n_set$"):
        check_service(with_methods("n_get", "c_store"), [MODALITY_PERFORMED_PROCEDURE_STEP])
    with pytest.raises(TypeError, match=r"the method n_action$"):
        check_service(with_methods("n_event_report"), [STORAGE_COMMITMENT_PUSH_MODEL])
    check_service(object(), [MODALITY_PERFORMED_PROCEDURE_STEP_NOTIFICATION])  # its events are for us to report


def test_a_class_with_services_of_both_kinds_needs_the_one_of_dimse_c() -> None:
    check_service(with_methods("c_find", "n_action"), [UNIFIED_PROCEDURE_STEP_PULL])
    with pytest.raises(TypeError, match=r"the method c_find$"):
        check_service(with_methods("n_action"), [UNIFIED_PROCEDURE_STEP_PULL])
    with pytest.raises(TypeError, match=r"the method n_action or n_get or n_set$"):
        check_service(with_methods("c_find"), [UNIFIED_PROCEDURE_STEP_PULL])


def test_of_a_meta_sop_class_the_members_are_served() -> None:
    check_service(with_methods("n_set"), [BASIC_GRAYSCALE_PRINT_MANAGEMENT_META])
    with pytest.raises(TypeError, match=r"n_action or n_create or n_delete or n_get or n_set$"):
        check_service(object(), [BASIC_GRAYSCALE_PRINT_MANAGEMENT_META])
    strange = STANDARD.with_private(private_sop_class("1.2.3.4", [], members=["1.2.3.5", CT]))
    with pytest.raises(TypeError, match="c_store"):
        check_service(object(), ["1.2.3.4"], sop_classes=strange)


def test_queries_need_c_find() -> None:
    check_service(Finds(), [VERIFICATION, FIND, WORKLIST])
    with pytest.raises(TypeError, match="Stores offers SOP classes that need the method c_find"):
        check_service(Stores(), [FIND])
    with pytest.raises(TypeError, match="Finds offers SOP classes that need the method c_store"):
        check_service(Finds(), [FIND, CT])


def test_a_private_sop_class_is_served_by_what_there_is() -> None:
    check_service(Stores(), ["1.2.3.4"])
    check_service(Finds(), ["1.2.3.4"])


@pytest.mark.parametrize("method", ["c_store", "c_get", "n_get", "n_event_report"])
def test_of_one_that_nobody_knows_any_method_will_do(method: str) -> None:
    check_service(with_methods(method), ["1.2.3.4"])


def test_a_private_sop_class_that_was_declared_needs_the_methods_of_its_services() -> None:
    mine = STANDARD.with_private(private_sop_class("1.2.3.4", ["C-FIND", "N-GET", "N-EVENT-REPORT"]))
    check_service(with_methods("c_find", "n_get"), ["1.2.3.4"], sop_classes=mine)
    with pytest.raises(TypeError, match=r"the method c_find, n_get$"):
        check_service(with_methods("c_store", "n_event_report"), ["1.2.3.4"], sop_classes=mine)


def test_which_handlers_are_async() -> None:
    assert is_async(coroutine_function)
    assert is_async(partial(coroutine_function, 1))
    assert is_async(AsyncCallable())
    assert not is_async(Stores().c_store)
    assert not is_async(lambda store: 0)


async def async_generator(find: object) -> AsyncIterator[int]:
    yield 0


class AsyncIterating:
    async def __call__(self, find: object) -> AsyncIterator[int]:
        yield 0


def test_which_handlers_are_async_generators() -> None:
    assert is_async_generator(async_generator)
    assert is_async_generator(partial(async_generator, 1))
    assert is_async_generator(AsyncIterating())
    for other in (coroutine_function, Finds().c_find, AsyncCallable()):
        assert not is_async_generator(other)
    assert not is_async(async_generator)


def status(**values: Any) -> Dataset:
    dataset = Dataset()
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return dataset


@pytest.mark.parametrize(
    ("given_", "reply", "fault"),
    [
        (0xB000, Reply(Status(0xB000)), None),
        (Failure(0xA900, "no", (0x00100010,)), Reply(Status(0xA900), "no", (0x00100010,)), None),
        (status(Status=0xC001), Reply(Status(0xC001)), None),
        (status(Status=0xC001, ErrorComment=""), Reply(Status(0xC001)), None),
        (status(Status=0xC001, ErrorComment="no"), Reply(Status(0xC001), "no"), None),
        (status(Status=0xC001, OffendingElement=0x00100010), Reply(Status(0xC001), None, (0x00100010,)), None),
        (status(Status=1, OffendingElement=[0x00100010, 5]), Reply(Status(1), None, (0x00100010, 5)), None),
        (status(Status=0xC001, ErrorID=7), Reply(Status(0xC001)), "a status cannot have Error ID"),
        (status(PatientID="7"), Reply(NO_STATUS), "a data set without Status"),
        (status(Status=None), Reply(NOT_A_STATUS), "Status (0000,0900) is None"),
        (status(Status=[1, 2]), Reply(NOT_A_STATUS), "Status (0000,0900) is [1, 2]"),
        (Refused(0x0112, "no"), Reply(Status(0x0112), "no"), None),
        (
            Failure(0x0106, "no", error_id=7, attributes=(5,), attribute_list=NAMED),
            Reply(Status(0x0106), "no", error_id=7, attributes=(5,), data_set=NAMED),
            None,
        ),
        (None, Reply(NOT_A_STATUS), "the handler returned None, no status"),
        (70_000, Reply(NOT_A_STATUS), "the handler returned 70000, no status"),
        ("0000", Reply(NOT_A_STATUS), "the handler returned str, no status"),
    ],
)
def test_what_a_handler_gave_for_a_status(given_: Any, reply: Reply, fault: str | None) -> None:
    got = judged(given_)
    assert got._replace(fault=None) == reply
    assert isinstance(got.status, Status)
    if fault is None:
        assert got.fault is None
    else:
        assert str(got.fault).startswith(fault)


ALL = frozenset("Status ErrorComment OffendingElement ErrorID AttributeIdentifierList AffectedSOPInstanceUID".split())


def test_which_elements_a_status_may_have_is_said_by_the_service() -> None:
    full = status(
        Status=0x0107,
        ErrorComment="no",
        OffendingElement=[1, 2],
        ErrorID=7,
        AttributeIdentifierList=[0x00100010, 5],
        AffectedSOPInstanceUID="1.2.9",
    )
    assert judged(full, elements=ALL) == Reply(
        Status(0x0107), "no", (1, 2), None, 7, attributes=(0x00100010, 5), sop_instance_uid="1.2.9"
    )
    fewer = judged(full)
    assert fewer._replace(fault=None) == Reply(Status(0x0107), "no", (1, 2))
    assert str(fewer.fault) == ("a status cannot have Error ID, Affected SOP Instance UID, Attribute Identifier List")


def test_elements_without_a_value_are_none() -> None:
    empty = status(Status=0, ErrorID=None, AttributeIdentifierList=None, AffectedSOPInstanceUID="")
    assert judged(empty, elements=ALL) == Reply(SUCCESS)
    zero = status(Status=0, OffendingElement=0, AttributeIdentifierList=[0])
    assert judged(zero, elements=ALL) == Reply(SUCCESS, offending=(0,), attributes=(0,))


def context_of(sop_class_uid: str) -> Any:
    return SimpleNamespace(abstract_syntax=sop_class_uid)


UPS = "a N-ACTION of Unified Procedure Step"


@pytest.mark.parametrize(
    ("sop_class", "service", "status_", "action", "fault"),
    [
        (CT, "C-STORE", 0x0000, None, None),
        (CT, "C-STORE", 0xB007, None, None),
        (CT, "C-STORE", 0x0124, None, None),
        (CT, "C-STORE", 0x1234, None, "0x1234 (failure) is no status of a C-STORE of Storage"),
        (CT, "C-STORE", 0xFE00, None, "0xFE00 (cancel: ended on request) is no status of a C-STORE of Storage"),
        (CT, "C-STORE", 0xFF00, None, None),  # not final: reported where it fails
        (CT, "C-STORE", 0x12345, None, None),  # no status at all: as well
        ("1.2.3.4", "C-STORE", 0x1234, None, None),
        (WATCH, "N-ACTION", 0xB301, 3, None),
        (WATCH, "N-ACTION", 0xB301, None, None),
        (WATCH, "N-ACTION", 0x0110, 3, None),
        (WATCH, "N-ACTION", 0xB301, 2, f"0xB301 (warning) is no status of {UPS} with action type 2"),
        (WATCH, "N-ACTION", 0x1234, 2, f"0x1234 (failure) is no status of {UPS}"),
    ],
)  # fmt: skip
def test_a_status_that_the_service_class_does_not_know_is_told_and_reported(
    sop_class: str, service: str, status_: int, action: int | None, fault: str | None
) -> None:
    reply = Reply(Status(status_), "comment")
    got = checked(reply, context_of(sop_class), service, STANDARD, action)
    assert got._replace(fault=None) == reply
    assert (str(got.fault) if got.fault else None) == fault


def test_what_is_at_fault_anyhow_is_reported_for_that() -> None:
    reply = Reply(Status(0x1234), fault=ValueError("first"))
    assert checked(reply, context_of(CT), "C-STORE", STANDARD) is reply


def test_what_a_private_service_class_answers_only_its_makers_know() -> None:
    mine = STANDARD.with_private(private_sop_class("1.2.3.4", ["C-STORE"]), private_storage("1.2.3.5"))
    assert checked(Reply(Status(0x1234)), context_of("1.2.3.4"), "C-STORE", mine).fault is None
    assert checked(Reply(Status(0x1234)), context_of("1.2.3.5"), "C-STORE", mine).fault is not None


def test_what_stands_in_the_place_of_what_is_none() -> None:
    assert judged(status(), SUCCESS, SUCCESS).status == judged("word", SUCCESS, SUCCESS).status == SUCCESS


@given(st.integers(0, 0xFFFF))
def test_every_number_of_two_bytes_is_a_status(number: int) -> None:
    status = status_of(number)
    assert status == number
    assert isinstance(status, Status)


@pytest.mark.parametrize("nonsense", [None, True, False, -1, 0x10000, "0000", 0.0, b"", [], SUCCESS.category])
def test_what_is_no_status(nonsense: Any) -> None:
    assert status_of(nonsense) is None


@given(st.text())
def test_any_comment_fits(comment: str) -> None:
    fitted = fit_comment(comment)
    if not comment:
        assert fitted is None
        return
    assert fitted is not None
    assert len(fitted) == min(len(comment), 64)
    assert re.fullmatch(r"[ -~]*", fitted)
    assert "\\" not in fitted
    for given_, kept in zip(comment, fitted, strict=False):
        assert kept in (given_, "?")


def test_a_comment_that_fits_stays() -> None:
    assert fit_comment("x" * 64) == "x" * 64
    assert (
        fit_comment("tab\t, umlaut \xe4, backslash \\ and [all] ~ else")
        == "tab?, umlaut ?, backslash ? and [all] ~ else"
    )
    assert fit_comment(None) is None


def test_a_failure_says_what_it_is() -> None:
    failure = Failure(0xA700, "no room", (0x00080018,))
    assert failure.status == 0xA700
    assert failure.comment == "no room"
    assert failure.offending_element == (0x00080018,)
    assert str(failure) == f"{Status(0xA700)}: no room"
    assert str(Failure(0xC000)) == str(Status(0xC000))
    assert Service.__doc__


def test_a_class_is_no_service() -> None:
    class Archive:
        def c_store(self, store: object) -> int:
            return 0

    with pytest.raises(TypeError, match="the service is the class Archive: give an instance"):
        check_service(Archive, [], any_storage=True)
    check_service(Archive(), [], any_storage=True)


@pytest.mark.parametrize(
    ("listed", "failed"), [(None, None), ([], ()), (["1.2"], ("1.2",)), (["1.2", "1.3"], ("1.2", "1.3"))]
)
def test_a_status_of_a_retrieval_may_list_what_failed(listed: list[str] | None, failed: tuple[str, ...] | None) -> None:
    given_ = Dataset()
    given_.Status = 0xB000
    if listed is not None:
        given_.FailedSOPInstanceUIDList = listed
    reply = judged(given_, elements=frozenset({"Status", "FailedSOPInstanceUIDList"}))
    assert (reply.failed, reply.fault) == (failed, None)


def test_a_service_with_another_handler_for_c_store_is_as_before_in_all_else() -> None:
    service = SimpleNamespace(c_store=lambda store: 1, c_echo=lambda echo: 2)
    other = WithStore(lambda store: 3, service)
    assert (other.c_store(None), other.c_echo(None)) == (3, 2)
    assert not hasattr(WithStore(None, None), "c_find")
