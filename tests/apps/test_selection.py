from __future__ import annotations

import os
from pathlib import Path

import pytest

from sansdimse import PresentationContext
from sansdimse.dataset import part10_header
from sansdimse.uids import EXPLICIT_VR_LITTLE_ENDIAN as EXPLICIT
from sansdimse.uids import IMPLICIT_VR_LITTLE_ENDIAN as IMPLICIT
from sansdimse.uids import JPEG_2000
from sansdimse.ul.parties import MOST_CONTEXTS
from sansdimse.ul.plan import plan
from sansdimse_apps.outcomes import CommandError, ExitCode
from sansdimse_apps.selection import select, unconverted

CT = "1.2.840.10008.5.1.4.1.1.2"
MR = "1.2.840.10008.5.1.4.1.1.4"


def write(
    path: Path, sop_class: str = CT, instance: str = "1.2.3", syntax: str = EXPLICIT, *, data: bytes = b"12"
) -> Path:
    path.write_bytes(part10_header(sop_class, instance, syntax) + data)
    return path


def test_what_is_found_is_counted(tmp_path: Path) -> None:
    for number in range(3):
        write(tmp_path / f"{number}.dcm", syntax=IMPLICIT if number else EXPLICIT, data=bytes(2 * number))
    (tmp_path / "notes").write_text("x")
    found = select([tmp_path])
    assert [candidate.size for candidate in found.candidates] == [0, 2, 4]
    assert found.needs == [(CT, IMPLICIT), (CT, EXPLICIT)]
    assert (found.size, found.unsendable) == (6, ())
    [(path, why)] = found.skipped
    assert path.name == "notes"
    assert why.startswith("not a DICOM file")


def test_files_that_somebody_would_miss_are_told(tmp_path: Path) -> None:
    good = write(tmp_path / "good")
    for what in ("sop_class", "instance", "syntax"):
        uids = {"sop_class": CT, "instance": "1.2.3", "syntax": EXPLICIT} | {what: "1.02.3"}
        write(tmp_path / f"bad {what}", *uids.values())
    (tmp_path / "cut").write_bytes(good.read_bytes()[:140])
    named = tmp_path / "notes"
    named.write_text("x")
    found = select([tmp_path, named])
    told = {path.name: wrong for path, wrong in found.unsendable}
    assert [candidate.path for candidate in found.candidates] == [good]
    assert told["bad sop_class"] == "its SOP Class UID is no UID (PS3.5 9.1)"
    assert told["bad instance"] == "its SOP Instance UID is no UID (PS3.5 9.1)"
    assert told["bad syntax"] == "its Transfer Syntax UID is no UID (PS3.5 9.1)"
    assert told["notes"].startswith("not a DICOM file")
    assert str(tmp_path) not in " ".join(told.values())
    assert set(told) == {"bad sop_class", "bad instance", "bad syntax", "cut", "notes"}


def test_a_link_to_nowhere_is_a_file_that_cannot_be_sent(tmp_path: Path) -> None:
    os.symlink(tmp_path / "gone", tmp_path / "link")
    with pytest.raises(CommandError, match=r"nothing to store: .*link: No such file or directory") as raised:
        select([tmp_path / "link"])
    assert raised.value.code is ExitCode.USAGE


def test_more_than_one_that_cannot_be_sent(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in "abc"]
    for path in paths:
        path.write_text("x")
    with pytest.raises(CommandError, match="2 more files cannot be sent either"):
        select(paths)
    with pytest.raises(CommandError, match="1 more file cannot be sent either"):
        select(paths[1:])


def test_a_dicomdir_that_is_named_is_told_from_what_can_be_sent(tmp_path: Path) -> None:
    index = write(tmp_path / "DICOMDIR", sop_class="1.2.840.10008.1.3.10")
    with pytest.raises(CommandError, match="name the folder that it is in"):
        select([index])


def test_contexts_that_convert_nothing() -> None:
    needs = [(CT, EXPLICIT), (CT, IMPLICIT), (CT, JPEG_2000), (MR, IMPLICIT)]
    [planned] = plan(needs).associations
    contexts = unconverted(planned, needs)
    assert contexts[: len(planned)] == planned
    offered = {(each.abstract_syntax, each.transfer_syntaxes) for each in contexts}
    assert all((sop_class, (syntax,)) in offered for sop_class, syntax in needs)
    assert len(offered) == len(contexts)


def test_no_more_contexts_than_there_may_be() -> None:
    planned = [PresentationContext(f"1.2.{number}") for number in range(MOST_CONTEXTS - 1)]
    needs = [(each.abstract_syntax, IMPLICIT) for each in planned] + [("1.3", IMPLICIT)]
    contexts = unconverted(planned, needs)
    assert contexts == (*planned, PresentationContext("1.2.0", (IMPLICIT,)))
