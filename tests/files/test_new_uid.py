"""UIDs that nobody else has."""

from __future__ import annotations

import uuid

import pytest

from sansdimse import uids
from sansdimse_files.new_uid import new_uid


def test_it_is_a_random_uuid_as_a_number() -> None:
    """PS3.5 B.2."""
    root, number = new_uid().rsplit(".", 1)
    assert root == "2.25"
    made = uuid.UUID(int=int(number))
    assert (made.version, made.variant) == (4, uuid.RFC_4122)


@pytest.mark.parametrize("number", [0, 1, 0x550E8400E29B41D4A716446655440000, (1 << 128) - 1])
def test_whatever_chance_gives_it_is_a_uid(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uuid, "uuid4", lambda: uuid.UUID(int=number))
    assert new_uid() == f"2.25.{number}"
    assert uids.is_valid(new_uid())
    assert len(new_uid()) <= 64


def test_no_two_are_the_same() -> None:
    assert len({new_uid() for _ in range(1000)}) == 1000
