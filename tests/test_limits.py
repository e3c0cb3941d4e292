"""The bounds, held against the arithmetic that stands beside them."""

from __future__ import annotations

import dataclasses

import pytest

from sansdimse.limits import KIB, MIB, Limits

TIMES = (
    "connect artim association_response local_answer operation_answer dimse_response pdu_completion "
    "message_completion output_stall release cancel_drain idle"
).split()
COUNTS = [each.name for each in dataclasses.fields(Limits) if each.name not in TIMES]
MAY_BE_UNBOUNDED = {"message", *TIMES} - {"artim"}  # PS3.8 9.1.5 gives ARTIM no way to be off


@pytest.mark.parametrize("name", COUNTS + TIMES)
def test_every_bound_is_positive_or_off_where_that_is_harmless(name: str) -> None:
    bound = getattr(Limits(), name)
    if bound is None:
        assert name in {"message", "idle"}
    else:
        assert bound > 0
        assert isinstance(bound, float if name in TIMES else int)


def test_what_may_be_unbounded_says_so_in_its_type() -> None:
    optional = {each.name for each in dataclasses.fields(Limits) if str(each.type).endswith("| None")}
    assert optional == MAY_BE_UNBOUNDED


def test_the_longest_association_request_that_makes_sense_fits_twice() -> None:
    uid, item = 64, 4
    contexts = 128 * ((item + 4 + 4) + (item + uid) + 20 * (item + uid))
    identity = item + 6 + 2 * 64 * KIB
    common = 128 * (item + 2 + 2 + uid + 2 + uid + 2 + 10 * (2 + uid))
    assert 2 * (68 + contexts + identity + common) <= Limits().associate_pdu <= 3 * (contexts + identity + common)


def test_short_pdus_leave_room_for_those_who_send_more_than_four_bytes() -> None:
    assert 8 <= Limits().fixed_pdu <= 64


def test_sizes_stand_in_the_order_in_which_they_contain_one_another() -> None:
    limits = Limits()
    assert limits.own_pdu < limits.output_high_water <= 2 * limits.own_pdu
    assert limits.own_pdu <= limits.data_pdu
    assert limits.command_set >= 16_000 * 4
    assert limits.fragments * KIB >= 3.8 * 1024 * MIB


def test_the_longest_identifier_that_makes_sense_fits() -> None:
    limits = Limits()
    assert 0xFFFF * (64 + 1) + 64 <= limits.identifier <= 1.25 * 0xFFFF * 65


def test_times_by_name() -> None:
    limits = Limits()
    assert limits.artim == 30.0
    assert limits.cancel_drain is not None
    assert limits.operation_answer is not None
    assert limits.dimse_response is not None
    assert limits.operation_answer > limits.dimse_response  # a user may be slower than the wire


def test_limits_are_frozen_named_and_varied_by_replace() -> None:
    limits = dataclasses.replace(Limits(), artim=5.0)
    assert (limits.artim, limits.release) == (5.0, Limits().release)
    assert limits != Limits()
    assert hash(limits) == hash(Limits(artim=5.0))
    with pytest.raises(dataclasses.FrozenInstanceError):
        limits.artim = 6.0  # type: ignore[misc]
    with pytest.raises(TypeError):
        Limits(5)  # type: ignore[call-arg]


@pytest.mark.parametrize("name", COUNTS + TIMES)
def test_what_is_no_bound_is_told(name: str) -> None:
    for nonsense in (-1, float("nan"), "60", *([] if name in MAY_BE_UNBOUNDED else [None])):
        with pytest.raises(ValueError, match=f"^Limits.{name}: "):
            dataclasses.replace(Limits(), **{name: nonsense})  # type: ignore[arg-type]
    assert getattr(dataclasses.replace(Limits(), **{name: 0}), name) == 0  # type: ignore[arg-type]
    if name in MAY_BE_UNBOUNDED:
        assert getattr(dataclasses.replace(Limits(), **{name: None}), name) is None  # type: ignore[arg-type]
