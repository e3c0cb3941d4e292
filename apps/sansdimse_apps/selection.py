"""Which files of the paths given can be stored, and what is wrong with the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sansdimse import PresentationContext
from sansdimse.dataset import NotDicomError, Part10Header
from sansdimse.uids import is_valid
from sansdimse.ul.parties import MOST_CONTEXTS
from sansdimse_apps.outcomes import CommandError, ExitCode
from sansdimse_files import Found, instances
from sansdimse_files.sources import MEDIA_STORAGE_DIRECTORY


@dataclass(frozen=True, slots=True)
class Candidate:
    """A file that can be stored, as far as its header tells. ``size`` is the data set's, in bytes."""

    path: Path
    header: Part10Header
    size: int

    @property
    def need(self) -> tuple[str, str]:
        """The SOP class and transfer syntax that a presentation context is needed for."""
        return self.header.sop_class_uid, self.header.transfer_syntax_uid


@dataclass(frozen=True, slots=True)
class Selection:
    """What was found in the paths given."""

    candidates: tuple[Candidate, ...]
    unsendable: tuple[tuple[Path, str], ...]
    """Files that somebody might expect to be stored, each with what is wrong with it."""
    skipped: tuple[tuple[Path, str], ...]
    """Files in folders that are not DICOM at all, each with why not."""

    @property
    def needs(self) -> list[tuple[str, str]]:
        """What presentation contexts are needed for, the most frequent first."""
        return [need for need, _ in Counter(candidate.need for candidate in self.candidates).most_common()]

    @property
    def size(self) -> int:
        """Bytes of all data sets."""
        return sum(candidate.size for candidate in self.candidates)


def select(paths: Sequence[Path]) -> Selection:
    """Look through files and folders. Raises ``CommandError`` when there is nothing that could be stored."""
    for path in paths:
        if not path.exists() and not path.is_symlink():
            raise CommandError(ExitCode.USAGE, f"there is no such file or folder: {path}")
    named = set(paths)
    candidates, unsendable, skipped = [], [], []
    for found in instances(paths):
        wrong = _wrong_with(found)
        if wrong is None and found.header is not None:
            size = max(0, found.path.stat().st_size - found.header.offset)
            candidates.append(Candidate(found.path, found.header, size))
        elif isinstance(found.error, NotDicomError) and found.path not in named:
            skipped.append((found.path, wrong or ""))
        else:
            unsendable.append((found.path, wrong or "it has no header"))
    if not candidates:
        raise _nothing(paths, unsendable, len(skipped))
    return Selection(tuple(candidates), tuple(unsendable), tuple(skipped))


def _wrong_with(found: Found) -> str | None:
    """Why this file cannot be proposed to anybody; None if it can."""
    if found.error is not None:
        return reason(found.error, found.path)
    header = found.header
    if header is None:
        return None
    if header.sop_class_uid == MEDIA_STORAGE_DIRECTORY:
        return "it is a DICOMDIR, the index of a medium (PS3.10 8.6): name the folder that it is in"
    named = {
        "SOP Class UID": header.sop_class_uid,
        "SOP Instance UID": header.sop_instance_uid,
        "Transfer Syntax UID": header.transfer_syntax_uid,
    }
    bad = [name for name, uid in named.items() if not is_valid(uid)]
    return f"its {bad[0]} is no UID (PS3.5 9.1)" if bad else None


def unconverted(
    contexts: Sequence[PresentationContext], needs: Iterable[tuple[str, str]]
) -> tuple[PresentationContext, ...]:
    """The contexts of a plan, and as far as there is room one of its own for each need that shares one there.

    Of a context with both uncompressed transfer syntaxes the acceptor picks one, and files in the other
    have to be converted. That is allowed, but what travels as it is can be compared, and needs no memory.
    """
    sure = {(each.abstract_syntax, each.transfer_syntaxes) for each in contexts}
    own = {each.abstract_syntax for each in contexts}
    more = [PresentationContext(name, (syntax,)) for name, syntax in needs if name in own]
    wanted = [each for each in more if (each.abstract_syntax, each.transfer_syntaxes) not in sure]
    return (*contexts, *wanted[: MOST_CONTEXTS - len(contexts)])


def reason(error: Exception, path: Path) -> str:
    """What the error says, without the path that the reader sees beside it."""
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return str(error).removeprefix(f"{path}: ")


def _nothing(paths: Iterable[Path], unsendable: Sequence[tuple[Path, str]], skipped: int) -> CommandError:
    if unsendable:
        path, wrong = unsendable[0]
        more = len(unsendable) - 1
        others = f" ({more} more {'files' if more > 1 else 'file'} cannot be sent either)" if more else ""
        message = f"nothing to store: {path}: {wrong}{others}"
    else:
        looked = f"{skipped} files, none of them DICOM" if skipped else "no files"
        message = f"nothing to store: {looked} in {', '.join(map(str, paths))}"
    return CommandError(ExitCode.USAGE, message, "Name DICOM files (PS3.10), or folders that hold some.")
