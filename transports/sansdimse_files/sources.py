"""DICOM files and folders as instances to send.

A file is opened and measured before anything is said to the peer, because a source that fails in the middle
of its data set can only end in A-ABORT. It is streamed from behind its file meta and never decoded.
"""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sansdimse import uids
from sansdimse.dataset import DatasetError, Instance, Part10Header, read_part10_header
from sansdimse.errors import LocalProtocolError
from sansdimse.ul.parties import PresentationContext
from sansdimse.ul.plan import plan

PIECE_SIZE: Final = 256 * 1024
"""Octets read at a time."""

Paths = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]
"""Files and folders, or one of them."""

MEDIA_STORAGE_DIRECTORY: Final = "1.2.840.10008.1.3.10"
"""SOP class of a DICOMDIR (PS3.10 8.6): the index of a medium, nothing that is sent."""

# Non-blocking, so that a pipe without a writer is refused and not waited for.
_READ: Final = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


@dataclass(frozen=True, slots=True)
class Found:
    """One file of those looked through: its header, or else the error that says why it has none."""

    path: Path
    header: Part10Header | None = None
    error: DatasetError | OSError | None = None


@contextmanager
def open_instance(path: str | os.PathLike[str]) -> Iterator[Instance]:
    """The instance in a DICOM file, while in the context; its pieces are read as they are taken.

    The length is the file's now: a file that grows later is sent as it was measured, and one that shrinks makes the
    pieces raise DatasetError. Only a deflated data set of odd length is padded, with one NUL (PS3.5 A.5).
    Raises NotDicomError or DatasetError for a file that cannot be sent, OSError for one that cannot be read.
    """
    fd = os.open(path, _READ)
    try:
        length, header = _measure(fd, path)
        data_length = length - header.offset
        if not data_length:
            raise DatasetError(f"{os.fspath(path)}: there is no data set behind the File Meta Information")
        padding = data_length % 2
        if padding and not uids.is_deflated(header.transfer_syntax_uid):
            raise DatasetError(f"{os.fspath(path)}: the data set has an odd length, {data_length} bytes (PS3.5 7.1.1)")

        def pieces() -> Iterator[bytes | memoryview]:
            at = header.offset
            while at < length:
                piece = os.pread(fd, min(PIECE_SIZE, length - at), at)
                if not piece:
                    raise DatasetError(f"{os.fspath(path)}: the file has become shorter than it was when it was opened")
                at += len(piece)
                yield piece + b"\0" if padding and at == length else piece

        yield Instance(
            header.sop_class_uid,
            header.sop_instance_uid,
            header.transfer_syntax_uid,
            data_length + padding,
            pieces,
        )
    finally:
        os.close(fd)


def instances(paths: Paths, *, recursive: bool = True) -> Iterator[Found]:
    """Every file named, and every file in the folders named, each with its header or its error.

    Folders are gone through in the order of names, with those inside them if ``recursive``; each folder once, however
    many links lead to it. What is hidden (a name with a dot first), DICOMDIR files and what is no
    regular file are passed over in folders, not where they are named themselves.
    """
    if isinstance(paths, str | os.PathLike):  # a string would be taken letter by letter
        paths = [paths]
    seen: set[tuple[int, int]] = set()
    for named in map(Path, paths):
        pending = [named]  # a stack, not recursion: folders may be nested deeper than the interpreter's calls
        while pending:
            path = pending.pop()
            try:
                if path.is_dir():
                    pending.extend(reversed(_children(path, recursive, seen)))
                    continue
            except OSError as error:
                yield Found(path, error=error)
                continue
            found = _found(path)
            if path is named or found.header is None or found.header.sop_class_uid != MEDIA_STORAGE_DIRECTORY:
                yield found


def contexts_for(paths: Paths, *, recursive: bool = True) -> tuple[PresentationContext, ...]:
    """The presentation contexts that the files in these paths need (PS3.5 10.1; ``sansdimse.ul.plan``).

    Files with errors are passed over: ``instances`` tells them. Raises ``LocalProtocolError`` if they need more
    than the 128 contexts of one association: then ``plan`` the ``kinds`` over several.
    """
    planned = plan(kinds(paths, recursive=recursive)).associations
    if len(planned) > 1:
        raise LocalProtocolError(f"these files need {len(planned)} associations: plan(kinds(paths)) has the contexts")
    return planned[0] if planned else ()


def kinds(paths: Paths, *, recursive: bool = True) -> list[tuple[str, str]]:
    """The (SOP class UID, transfer syntax UID) pairs of the files in these paths, the most frequent first."""
    headers = (found.header for found in instances(paths, recursive=recursive))
    counts = Counter((header.sop_class_uid, header.transfer_syntax_uid) for header in headers if header is not None)
    return [pair for pair, _ in counts.most_common()]


def _measure(fd: int, path: str | os.PathLike[str]) -> tuple[int, Part10Header]:
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode):
        raise DatasetError(f"{os.fspath(path)}: not a regular file")
    try:
        return status.st_size, read_part10_header(lambda size: os.read(fd, size))
    except DatasetError as error:
        # The parser knows no paths, and whoever sends a folder must be told which file it was.
        raise type(error)(f"{os.fspath(path)}: {error}") from error


def _found(path: Path) -> Found:
    try:
        fd = os.open(path, _READ)
        try:
            return Found(path, header=_measure(fd, path)[1])
        finally:
            os.close(fd)
    except (DatasetError, OSError) as error:
        return Found(path, error=error)


def _children(folder: Path, recursive: bool, seen: set[tuple[int, int]]) -> list[Path]:
    """What to look at in the folder, by name; nothing when it was looked at before."""
    status = folder.stat()
    if (status.st_dev, status.st_ino) in seen:
        return []
    seen.add((status.st_dev, status.st_ino))
    return sorted(child for child in folder.iterdir() if _is_wanted(child, recursive))


def _is_wanted(path: Path, recursive: bool) -> bool:
    if path.name.startswith(".") or path.name.upper() == "DICOMDIR":
        return False
    return recursive if path.is_dir() else path.is_file() or path.is_symlink()
