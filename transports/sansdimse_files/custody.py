"""Custody of received instances: a file is there whole, under its name, or it is not there at all.

Pieces go to a temporary file in the same folder; ``commit`` gives it its name in one step, and that is when
Success may be answered to the C-STORE. Whatever else happens (an exception, an abort, the object forgotten,
the interpreter's end), the temporary file goes. Only a killed process leaves one behind: it is locked while its
process lives, so ``sweep`` can tell. Everything is done relative to the folder opened at the start: renaming or
replacing the folder's path meanwhile does not redirect a write.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
import weakref
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Final, Literal, TypeAlias

from sansdimse import uids

try:
    import fcntl
except ImportError:  # pragma: no cover - not on Windows, where only importing this module is promised
    fcntl = None  # type: ignore[assignment]

ExistingFile: TypeAlias = Literal["replace", "keep", "refuse"]
"""What ``commit`` does where the name is taken: replace that file, keep both (the new one numbered), or refuse."""

_MODE: Final = 0o640
_TEMPORARY: Final = re.compile(r"[0-9a-f]{32}\.part")
_FOLDER_FLAGS: Final = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_CLOEXEC", 0)
_FILE_FLAGS: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
_BUFFERS_AT_ONCE: Final = min(1024, os.sysconf("SC_IOV_MAX") if hasattr(os, "sysconf") else 16)
"""Buffers one writev takes: the system's IOV_MAX, 1024 on Linux."""


def is_out_of_space(error: OSError) -> bool:
    """Whether this says that there is no room: disk full, quota used up, file size limit (status A700, PS3.4 B.2.3)."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def file_name(sop_instance_uid: str) -> str:
    """The name for an instance's file: its UID where that is one (PS3.5 9.1), else a hash of what the peer sent."""
    if uids.is_valid(sop_instance_uid):
        return f"{sop_instance_uid}.dcm"
    digest = hashlib.sha256(sop_instance_uid.encode("utf-8", "surrogatepass")).hexdigest()
    return f"sha256-{digest}.dcm"


class ReceivedFile:
    """One instance on its way into a folder: write the pieces, then ``commit``; leaving without it discards.

    ``header`` is what the file begins with (``sansdimse.dataset.part10_header``). With ``fsync`` the bytes and the
    name are on the medium when ``commit`` returns, not only in the system's cache. "keep" and "refuse" need a file
    system with hard links. Not for use by several threads at once. Raises OSError when the file cannot be made.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        header: bytes,
        sop_instance_uid: str,
        *,
        exists: ExistingFile = "replace",
        fsync: bool = False,
    ) -> None:
        self._folder = Path(folder)
        self._name = file_name(sop_instance_uid)
        self._exists = exists
        self._fsync = fsync
        self._committed: Path | None = None
        self._temporary = _Temporary(folder)
        # The finalizer runs once: by discard, when this object is collected, or at the interpreter's end.
        self._finalizer = weakref.finalize(self, self._temporary.remove)
        self.write([header])

    def write(self, pieces: Iterable[bytes | memoryview]) -> None:
        """Append the pieces. On OSError (``is_out_of_space`` among them) the file is discarded and the error raised.

        Raises ValueError after commit or discard.
        """
        self._check_open()
        try:
            _write_all(self._temporary.fd, pieces)
        except OSError:
            self.discard()
            raise

    def commit(self) -> Path:
        """Give the file its name and return its path; again, just return it.

        On OSError nothing is left behind and what had the name before is untouched: FileExistsError where
        the name is taken and the policy is "refuse". (Only when the folder's own fsync fails, after the
        renaming, the whole file stays: taking it away could take away the one it replaced.)
        Raises ValueError after discard.
        """
        if self._committed is not None:
            return self._committed
        self._check_open()
        try:
            if self._fsync:
                os.fsync(self._temporary.fd)
            # Network file systems may tell only at a close that there was no room; ours must keep its lock.
            os.close(os.dup(self._temporary.fd))
            name = self._temporary.rename(self._name, self._exists)
            if self._fsync:
                os.fsync(self._temporary.folder_fd)
        except OSError:
            self.discard()
            raise
        self._committed = self._folder / name
        self._finalizer()
        return self._committed

    def discard(self) -> None:
        """Delete what was written. After commit, or again, nothing happens."""
        self._finalizer()

    def __enter__(self) -> ReceivedFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.discard()

    def _check_open(self) -> None:
        if not self._finalizer.alive:
            raise ValueError(f"the received file was {'committed' if self._committed else 'discarded'}")


def sweep(folder: str | os.PathLike[str]) -> list[Path]:
    """Remove the temporary files that processes killed earlier left in this folder; which ones they were.

    Those of running processes are locked and stay, and so does any file not named as ours are. Raises OSError
    when the folder cannot be read or a file in it not be deleted.
    """
    folder_fd = os.open(folder, _FOLDER_FLAGS)
    try:
        names = sorted(filter(_TEMPORARY.fullmatch, os.listdir(folder_fd)))
        return [Path(folder) / name for name in names if _remove_if_dead(name, folder_fd)]
    finally:
        os.close(folder_fd)


def _remove_if_dead(name: str, folder_fd: int) -> bool:
    try:
        fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder_fd)
    except OSError:
        return False  # committed or discarded since we looked, a link, or another user's
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.unlink(name, dir_fd=folder_fd)
    except (BlockingIOError, FileNotFoundError):
        return False  # its writer lives, or has just finished
    finally:
        os.close(fd)
    return True


class _Temporary:
    """The temporary file's name and descriptors; apart from ReceivedFile, so that a finalizer can hold it."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder_fd = os.open(folder, _FOLDER_FLAGS)
        try:
            self.fd, self.name = self._create()
        except OSError:
            os.close(self.folder_fd)
            raise

    def _create(self) -> tuple[int, str]:
        while True:
            name = f"{secrets.token_hex(16)}.part"
            fd = os.open(name, _FILE_FLAGS, _MODE, dir_fd=self.folder_fd)
            if _claim(fd):
                return fd, name
            os.close(fd)

    def rename(self, wanted: str, exists: ExistingFile) -> str:
        """Give it the name wanted, or the next free one, in one step that no other writer can come between."""
        folder, name = self.folder_fd, wanted
        if exists == "replace":
            os.rename(self.name, wanted, src_dir_fd=folder, dst_dir_fd=folder)
            self.name = ""
            return wanted
        # A link fails where the name is taken, as a rename does not; the temporary name goes in remove().
        number = 1
        while True:
            try:
                os.link(self.name, name, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
            except FileExistsError:
                if exists == "refuse":
                    raise
                number += 1
                name = f"{wanted.removesuffix('.dcm')}_{number}.dcm"
            else:
                return name

    def remove(self) -> None:
        try:
            if self.name:
                os.unlink(self.name, dir_fd=self.folder_fd)
        except OSError:
            pass  # gone already, or out of our reach: nothing more can be done, and nobody is there to tell
        finally:
            os.close(self.fd)
            os.close(self.folder_fd)


def _claim(fd: int) -> bool:
    """Lock the new file as ours. Not when a sweep came between opening and locking and took it for a dead one."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        pass  # a file system without locks: sweep cannot lock there either, and leaves the file alone
    return os.fstat(fd).st_nlink > 0


def _write_all(fd: int, pieces: Iterable[bytes | memoryview]) -> None:
    """Every byte of every piece, many pieces to a call; the system may take fewer bytes than it is given."""
    source = iter(pieces)
    while batch := list(islice(source, _BUFFERS_AT_ONCE)):
        batch = [piece for piece in batch if len(piece)]  # else a call could take no byte and still be right
        first = 0
        while first < len(batch):
            written = os.writev(fd, batch[first:] if first else batch)
            while first < len(batch) and written >= len(batch[first]):
                written -= len(batch[first])
                first += 1
            if written:
                batch[first] = memoryview(batch[first])[written:]
