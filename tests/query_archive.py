"""A small archive of ours that one can query and retrieve from, on a real port, and that can be told to misbehave."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydicom import Dataset, dcmread

from sansdimse import VERIFICATION, PresentationContext, sop_classes
from sansdimse.matching import WORKLIST, Query
from sansdimse_socket import Find, Get, Move, Normalized, Server, serve

HOST = "127.0.0.1"
MODELS = [
    sop_classes.PATIENT_ROOT_FIND,
    sop_classes.STUDY_ROOT_FIND,
    sop_classes.MODALITY_WORKLIST_FIND,
    sop_classes.HANGING_PROTOCOL_FIND,
    sop_classes.UNIFIED_PROCEDURE_STEP_QUERY,
    sop_classes.PATIENT_ROOT_GET,
    sop_classes.STUDY_ROOT_GET,
    sop_classes.STUDY_ROOT_MOVE,
]
SENT = [sop_classes.CT_IMAGE_STORAGE, sop_classes.MR_IMAGE_STORAGE, sop_classes.SECONDARY_CAPTURE_IMAGE_STORAGE]
"""Storage SOP classes that the archive agrees to send over the association of a C-GET."""


class QueryArchive:
    """Holds some files and some rows without files; ``found`` and ``sent`` say what is asked and given.

    ``disturb`` is called before each match and each instance, with its number; what it returns is given in the place of
    it, and what it raises is raised.
    """

    def __init__(
        self,
        paths: Sequence[Path] = (),
        rows: Sequence[Dataset] = (),
        *,
        places: Mapping[str, tuple[str, int]] | None = None,
        disturb: Callable[[int, Any], Any] = lambda number, conversation: None,
    ) -> None:
        self.paths = list(paths)
        self.rows = [dcmread(path, stop_before_pixels=True) for path in paths] + list(rows)
        self.places = dict(places or {})
        self.disturb = disturb
        self.asked: list[Dataset] = []
        self.classes: list[str] = []
        self.given = 0
        self.cancelled = False

    def c_find(self, find: Find) -> Iterator[Any]:
        self._note(find)
        is_worklist = find.sop_class_uid == sop_classes.MODALITY_WORKLIST_FIND
        query = Query(find.identifier, WORKLIST) if is_worklist else Query(find.identifier)
        for match in query.search(self.rows):
            yield self._next(find) or match

    def c_get(self, get: Get) -> Iterator[Any]:
        yield from self._retrieved(get)

    def c_move(self, move: Move) -> Iterator[Any]:
        yield self.places.get(move.destination)
        yield from self._retrieved(move)

    def n_get(self, get: Normalized) -> int:
        """What offers a SOP class of UPS has one of its services."""
        return 0x0112

    def _retrieved(self, asked: Get | Move) -> Iterator[Any]:
        self._note(asked)
        query = Query(asked.identifier)
        paths = [path for path, row in zip(self.paths, self.rows, strict=False) if query.matches(row)]
        yield len(paths)
        for path in paths:
            yield self._next(asked) or path
            self.cancelled |= asked.cancelled

    def _note(self, asked: Find | Get | Move) -> None:
        self.asked.append(asked.identifier)
        self.classes.append(asked.sop_class_uid)

    def _next(self, asked: Find | Get | Move) -> Any:
        self.given += 1
        return self.disturb(self.given, asked)


@contextmanager
def query_archive(archive: QueryArchive, **options: Any) -> Iterator[Server]:
    """Serve it."""
    roles = [PresentationContext(uid, scu=False, scp=True) for uid in SENT]
    defaults: dict[str, Any] = {"supports": [VERIFICATION, *MODELS, *roles], "ae_title": "ARCHIVE", "grace": 1.0}
    with serve(HOST, 0, archive, **(defaults | options)) as server:
        yield server


def study(number: int, **more: Any) -> Dataset:
    """A row of an index: one study."""
    row = Dataset()
    row.PatientName, row.PatientID = f"DOE^{number}", f"P{number}"
    row.StudyInstanceUID, row.StudyDate = f"1.2.{number}", f"202401{number % 28 + 1:02}"
    for keyword, value in more.items():
        setattr(row, keyword, value)
    return row
