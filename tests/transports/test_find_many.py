"""C-FIND of 100,000 matches: neither end ever holds more than its high water, however they are given and taken.

The first 5,000 are traced, which is slow: together they would be some megabytes. From then on the memory that is
allocated is counted, in blocks: one that is kept for each match would show.
"""

from __future__ import annotations

import asyncio
import sys
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final

import pytest

import sansdimse_asyncio
from engine_pair import FIND, QUERY, acceptor, requestor
from memory_link import Joined
from running import HOST
from sansdimse.limits import Limits

MATCHES: Final = 100_000
TRACED: Final = 5_000
KIB: Final = 1024
BODY: Final = bytes(KIB)
"""Of each match, behind its number."""
BLOCKS: Final = MATCHES // 10
"""Of memory, that may come and go: what waits on the way is not always as much."""
LIMITS: Final = Limits(output_high_water=64 * KIB)


def match(number: int) -> bytes:
    """One that tells whether it is the next."""
    return number.to_bytes(4, "big") + BODY


class Async:
    """Gives them as they are asked for."""

    async def c_find(self, find: Any) -> AsyncIterator[bytes]:
        for number in range(MATCHES):
            yield match(number)


class Blocking:
    """The same; where there is a loop, in a worker thread."""

    def c_find(self, find: Any) -> Iterator[bytes]:
        yield from map(match, range(MATCHES))


async def peak_of(peer: Any) -> int:
    """Take all matches, and hold none; the bytes allocated at most at once while the first ones came."""
    number = peak = blocks = 0
    async with peer.c_find(FIND, b"query.") as matches:
        tracemalloc.start()
        try:
            async for found in matches:
                assert found == match(number)
                number += 1
                if number == TRACED:
                    _, peak = tracemalloc.get_traced_memory()
                    tracemalloc.stop()
                    blocks = sys.getallocatedblocks()
                elif number % TRACED == 0:
                    assert sys.getallocatedblocks() < blocks + BLOCKS
        finally:
            tracemalloc.stop()
    assert number == MATCHES
    assert matches.answer == 0
    return peak


def test_memory_is_flat_in_both_roles_in_memory() -> None:
    """Over a wire that holds 64 KiB: the SCP has its high water, the SCU what it reads at once."""
    joined = Joined(
        Async(), ours=requestor(QUERY, limits=LIMITS), theirs=acceptor(QUERY, limits=LIMITS), capacity=64 * KIB
    )
    assert joined.loop.finish(peak_of(joined.peer)) < 512 * KIB
    assert joined.reports == []
    assert joined.scp_link.highest_unsent < 2 * LIMITS.output_high_water


@pytest.mark.parametrize("service", [Async(), Blocking()], ids=["async", "blocking"])
def test_memory_is_flat_in_both_roles_over_sockets(service: object) -> None:
    """Both ends on one loop, each with what it reads at once and its high water."""
    reports: list[tuple[BaseException, str]] = []
    report = lambda error, where: reports.append((error, where))  # noqa: E731

    async def main() -> int:
        async with (
            sansdimse_asyncio.serve(HOST, 0, service, supports=[FIND], limits=LIMITS, report=report) as server,
            sansdimse_asyncio.associate(HOST, server.port, contexts=[FIND], limits=LIMITS) as peer,
        ):
            return await peak_of(peer)

    assert asyncio.run(main()) < 2048 * KIB
    assert reports == []


def test_who_takes_none_is_sent_none() -> None:
    """The SCP waits for it, with as little as before."""
    joined = Joined(
        Async(), ours=requestor(QUERY, limits=LIMITS), theirs=acceptor(QUERY, limits=LIMITS), capacity=64 * KIB
    )

    async def slow() -> list[bytes]:
        async with joined.peer.c_find(FIND, b"query.") as matches:
            await anext(matches)
            tracemalloc.start()
            try:
                joined.loop.run()  # until nothing moves
                assert tracemalloc.get_traced_memory()[1] < 2048 * KIB
            finally:
                tracemalloc.stop()
            matches.cancel()
            rest = [found async for found in matches]
            assert matches.answer == 0xFE00
            return rest

    assert len(joined.loop.finish(slow())) < TRACED
