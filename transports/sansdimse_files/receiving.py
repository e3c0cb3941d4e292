"""A C-STORE straight into a file: ``with received_file(store, folder)`` in a handler."""

from __future__ import annotations

import inspect
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

from sansdimse.dimse.status import OUT_OF_RESOURCES
from sansdimse.peer.handlers import Failure
from sansdimse_files.custody import ExistingFile, ReceivedFile, is_out_of_space

if TYPE_CHECKING:
    from sansdimse.peer import blocking_scp, scp


@contextmanager
def received_file(
    store: blocking_scp.Store,
    folder: str | os.PathLike[str],
    *,
    exists: ExistingFile = "replace",
    fsync: bool = False,
) -> Iterator[ReceivedFile]:
    """Receive the whole instance into a temporary file; leaving the block gives it its name.

    Leaving by an exception deletes it, and so does the peer vanishing in the middle. Raises ``Failure``
    (A700, out of resources; PS3.4 Table B.2-1) when there is no room; other ``OSError`` as they are.
    """
    if inspect.iscoroutinefunction(getattr(store, "pieces", None)):
        raise TypeError("an async def handler receives with: async with async_received_file(store, folder)")
    with (
        _out_of_space_is_a_status(),
        ReceivedFile(folder, store.part10_header(), store.sop_instance_uid, exists=exists, fsync=fsync) as file,
    ):
        while pieces := store.pieces():
            file.write(pieces)
        yield file
        file.commit()


@asynccontextmanager
async def async_received_file(
    store: scp.Store,
    folder: str | os.PathLike[str],
    *,
    exists: ExistingFile = "replace",
    fsync: bool = False,
) -> AsyncIterator[ReceivedFile]:
    """``received_file`` for an ``async def`` handler; the disk is waited for off the loop."""
    if not inspect.iscoroutinefunction(getattr(store, "pieces", None)):
        raise TypeError("a handler that is no async def receives with: with received_file(store, folder)")

    made: list[ReceivedFile] = []

    def create() -> ReceivedFile:
        file = ReceivedFile(folder, store.part10_header(), store.sop_instance_uid, exists=exists, fsync=fsync)
        made.append(file)  # whoever is cancelled meanwhile does not get what this returns
        return file

    with _out_of_space_is_a_status():
        try:
            file = await store.call(create)
            while pieces := await store.pieces():
                await store.call(file.write, pieces)
            yield file
            await store.call(file.commit)
        finally:
            for each in made:
                each.discard()


@contextmanager
def _out_of_space_is_a_status() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if is_out_of_space(error):
            raise Failure(OUT_OF_RESOURCES, "no space left to store the instance") from error
        raise
