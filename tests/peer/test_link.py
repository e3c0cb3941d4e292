"""What a transport gives, as types: the links that exist have every member, and nobody asks for another."""

from __future__ import annotations

import asyncio
import inspect
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trio

import memory_link
import sansdimse_asyncio
import sansdimse_socket
import sansdimse_trio
from sansdimse.association import Association
from sansdimse.peer import link
from sansdimse.peer.tap import Tapped
from sansdimse.ul.machine import UpperLayer
from sansdimse_files import Secured


def members(protocol: Any) -> list[str]:
    return [name for name in vars(protocol) if not name.startswith("_") or name == "__fspath__"]


@pytest.mark.parametrize(
    ("protocol", "implementation"),
    [
        (link.Link, memory_link.MemoryLink),
        (link.Link, sansdimse_socket.Link),
        (link.Link, sansdimse_asyncio.Link),
        (link.Link, sansdimse_trio.Link),
        (link.Signal, memory_link.Signal),
        (link.Signal, asyncio.Event),
        (link.Signal, trio.Event),
        (link.Job, memory_link.Task),
        (link.Job, memory_link.Uncancellable),
        (link.Engine, Association),
        (link.Engine, UpperLayer),
        (link.Engine, Tapped),
        (link.Engine, Secured),
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


def test_the_time_is_that_of_the_engine() -> None:
    alone = memory_link.Alone()
    alone.loop.pass_time(2.5)
    assert alone.link.now() == alone.engine.now == 2.5


def test_a_destination_is_a_value_that_shows_no_context() -> None:
    destination = link.Destination("pacs.example", 104, "ARCHIVE", tls=object())
    assert str(destination) == "ARCHIVE@pacs.example:104"
    assert "object" not in repr(destination)
    assert replace(destination) == destination != replace(destination, called="OTHER")
    assert len({destination, replace(destination), replace(destination, tls=None)}) == 2
