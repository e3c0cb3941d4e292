"""Any shape of handler becomes one, and what it returns is judged."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from functools import partial
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
    check_service,
    fit_comment,
    is_async,
    is_async_generator,
    judged,
    status_of,
)
from sansdimse.services.sop_classes import STANDARD

CT = "1.2.840.10008.5.1.4.1.1.2"
FIND = "1.2.840.10008.5.1.4.1.2.2.1"
MOVE = "1.2.840.10008.5.1.4.1.2.2.2"
WORKLIST = "1.2.840.10008.5.1.4.31"


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


def test_a_class_none_of_whose_services_is_served_is_told_at_once() -> None:
    row = STANDARD.get(MOVE)
    assert row is not None
    with pytest.raises(TypeError, match=f"{row.name} cannot be served.*C-ECHO, C-STORE, C-FIND"):
        check_service(Stores(), [VERIFICATION, MOVE])


def test_queries_need_c_find() -> None:
    check_service(Finds(), [VERIFICATION, FIND, WORKLIST])
    with pytest.raises(TypeError, match="Stores offers SOP classes that need the method c_find"):
        check_service(Stores(), [FIND])
    with pytest.raises(TypeError, match="Finds offers SOP classes that need the method c_store"):
        check_service(Finds(), [FIND, CT])


def test_a_private_sop_class_is_served_by_what_there_is() -> None:
    check_service(Stores(), ["1.2.3.4"])
    check_service(Finds(), ["1.2.3.4"])


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
