"""Any shape of handler becomes one, and what it returns is judged."""

from __future__ import annotations

import re
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sansdimse import STORAGE, SUCCESS, VERIFICATION, Status
from sansdimse.peer.handlers import Failure, Service, check_service, fit_comment, is_async, status_of
from sansdimse.services.sop_classes import STANDARD

CT = "1.2.840.10008.5.1.4.1.1.2"
FIND = "1.2.840.10008.5.1.4.1.2.2.1"


class Stores:
    def c_store(self, store: object) -> int:
        return 0


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
    row = STANDARD.get(FIND)
    assert row is not None
    with pytest.raises(TypeError, match=f"{row.name} cannot be served.*C-ECHO, C-STORE"):
        check_service(Stores(), [VERIFICATION, FIND])


def test_which_handlers_are_async() -> None:
    assert is_async(coroutine_function)
    assert is_async(partial(coroutine_function, 1))
    assert is_async(AsyncCallable())
    assert not is_async(Stores().c_store)
    assert not is_async(lambda store: 0)


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
