"""What a transport gives, as types: the links that exist have every member, and nobody asks for another."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest

import memory_link
import sansdimse_socket.link
from sansdimse.association import Association
from sansdimse.peer import link
from sansdimse.ul.machine import UpperLayer


def members(protocol: Any) -> list[str]:
    return [name for name in vars(protocol) if not name.startswith("_") or name == "__fspath__"]


@pytest.mark.parametrize(
    ("protocol", "implementation"),
    [
        (link.Link, memory_link.MemoryLink),
        (link.Link, sansdimse_socket.link.Link),
        (link.Signal, memory_link.Signal),
        (link.Job, memory_link.Task),
        (link.Job, memory_link.Uncancellable),
        (link.Engine, Association),
        (link.Engine, UpperLayer),
        (link.PathLike, Path),
    ],
)
def test_implementations_have_every_member_with_its_parameters(protocol: Any, implementation: Any) -> None:
    assert members(protocol)
    for name in members(protocol):
        wanted, found = getattr(protocol, name), inspect.getattr_static(implementation, name)
        if isinstance(found, property):
            assert isinstance(inspect.getattr_static(protocol, name), property)
            continue
        assert inspect.iscoroutinefunction(found) is inspect.iscoroutinefunction(wanted), name
        parameters = inspect.signature(wanted).parameters
        assert list(inspect.signature(found).parameters)[: len(parameters)] == list(parameters), name
