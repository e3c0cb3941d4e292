from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydicom import DataElement, Dataset, config, dcmread

from interop import peers
from query_archive import HOST, QueryArchive, query_archive, study
from sansdimse import VERIFICATION, sop_classes
from sansdimse.peer.handlers import Failure
from sansdimse.services.extended import QueryExtended
from sansdimse_apps import find
from sansdimse_apps.outcomes import ExitCode

ROWS = [study(number) for number in range(3)]


def archive(rows: list[Dataset] | None = None, **options: Any) -> QueryArchive:
    return QueryArchive(rows=ROWS if rows is None else rows, **options)


def test_shows_a_table_of_what_was_asked_for(sansdimse: Any) -> None:
    asked = archive()
    with query_archive(asked) as server:
        done = sansdimse(
            "find", HOST, server.port, "-k", "PatientName=DOE*", "-k", "StudyDate", "-k", "StudyInstanceUID"
        )
    assert done.code == 0
    heading, *rows, summary = done.out.splitlines()
    assert heading.split() == ["#", "PatientName", "StudyDate", "StudyInstanceUID"]
    assert [row.split() for row in rows] == [
        [str(number + 1), f"DOE^{number}", f"202401{number + 1:02}", f"1.2.{number}"] for number in range(3)
    ]
    assert summary.startswith("3 matches in ")
    assert done.err == ""
    assert asked.asked[0].QueryRetrieveLevel == "STUDY"
    assert asked.classes == [sop_classes.STUDY_ROOT_FIND]


@pytest.mark.parametrize(
    ("options", "uid"),
    [
        (["-P"], sop_classes.PATIENT_ROOT_FIND),
        (["-S"], sop_classes.STUDY_ROOT_FIND),
        (["-W"], sop_classes.MODALITY_WORKLIST_FIND),
        (["--model", "HangingProtocolInformationModelFind"], sop_classes.HANGING_PROTOCOL_FIND),
        (["--model", "UnifiedProcedureStepQuery"], sop_classes.UNIFIED_PROCEDURE_STEP_PUSH),
    ],
)
def test_the_models(options: list[str], uid: str, sansdimse: Any) -> None:
    asked = archive()
    with query_archive(asked) as server:
        done = sansdimse("find", HOST, server.port, *options, "-k", "PatientID=P1", "--json")
    assert done.code == 0
    assert done.record("match")["data_set"]["00100020"] == {"vr": "LO", "Value": ["P1"]}
    assert asked.classes == [uid]


def test_tells_machines(sansdimse: Any) -> None:
    keys = ("-k", "PatientID=P1", "-k", "StudyInstanceUID")
    with query_archive(archive()) as server:
        done = sansdimse("find", HOST, server.port, "-aec", "ARCHIVE", "--json", *keys)
    assert sorted(record["event"] for record in done.records) == ["association", "match", "operation", "summary"]
    match = done.record("match")
    assert (match["number"], match["file"], match["text"]) == (1, None, "")
    data_set = Dataset.from_json(match["data_set"])
    assert (data_set.PatientID, data_set.StudyInstanceUID, data_set.RetrieveAETitle) == ("P1", "1.2.1", "ARCHIVE")
    summary = done.record("summary")
    del summary["seconds"]
    assert summary == {
        "event": "summary",
        "matches": 1,
        "unreadable": 0,
        "complete": True,
        "stopped": False,
        "status": 0,
        "text": "0x0000 (success)",
        "comment": None,
        "offending_elements": [],
        "exit_code": 0,
    }
    assert done.record("operation")["service"] == "C-FIND"


def test_no_match_is_no_failure(sansdimse: Any) -> None:
    with query_archive(archive()) as server:
        done = sansdimse("find", HOST, server.port, "-k", "PatientID=nobody")
    assert done.code == 0
    assert done.out.startswith("0 matches in ")


def test_names_in_other_scripts_and_in_no_script_at_all(sansdimse: Any) -> None:
    rows = [
        study(0, SpecificCharacterSet="ISO_IR 192", PatientName="山田^太郎"),
        study(1, SpecificCharacterSet="ISO_IR 100", PatientName="Müller^Jürgen"),
        study(2, SpecificCharacterSet="ISO_IR 192", PatientName="\x1b[31mred\u202e [bold]x[/bold]"),
    ]
    with query_archive(archive(rows)) as server:
        done = sansdimse("find", HOST, server.port, "-k", "PatientName")
        named = sansdimse("find", HOST, server.port, "-k", "PatientName=müller*", "--json")
    assert "山田^太郎" in done.out
    assert "Müller^Jürgen" in done.out
    assert "\\x1b[31mred\\u202e [bold]x[/bold]" in done.out
    assert named.record("match")["data_set"]["00100010"]["Value"] == [{"Alphabetic": "Müller^Jürgen"}]


def test_values_that_a_peer_should_not_have_are_told_as_they_are(sansdimse: Any) -> None:
    row = Dataset()
    row.PatientID, row.StudyInstanceUID = "P", "1.2"
    match = Dataset()
    match.add(DataElement("StudyInstanceUID", "UI", "no UID", validation_mode=config.IGNORE))
    match.add(DataElement("StudyDate", "DA", "sometime", validation_mode=config.IGNORE))
    with query_archive(archive([row], disturb=lambda number, find: match)) as server:
        shown = sansdimse("find", HOST, server.port, "-k", "StudyInstanceUID", "-k", "StudyDate")
        told = sansdimse("find", HOST, server.port, "-k", "StudyInstanceUID", "--json")
    assert "no UID" in shown.out
    assert "sometime" in shown.out
    assert told.record("match")["data_set"]["0020000D"]["Value"] == ["no UID"]
    assert shown.err == told.err == ""


def test_a_match_that_cannot_be_read(sansdimse: Any, tmp_path: Path) -> None:
    def disturb(number: int, find: Any) -> object:
        return b"\x08\x00\x18\x00ZZ\x00\x00\x02\x00\x00\x00AB" if number % 3 == 2 else None

    with query_archive(archive(disturb=disturb)) as server:
        shown = sansdimse("find", HOST, server.port, "-k", "PatientName", "--files", tmp_path / "a")
        told = sansdimse("find", HOST, server.port, "-k", "PatientName", "--json")
    for done in (shown, told):
        assert done.code == ExitCode.PARTIAL
        assert "match 2: the data set cannot be decoded" in done.err
    assert [line.split()[0] for line in shown.out.splitlines()] == ["#", "1", "#", "3", "3"]
    assert told.record("summary")["unreadable"] == 1
    assert len(list((tmp_path / "a").iterdir())) == 3


def test_many_matches_in_tables_of_so_many_rows(sansdimse: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(find, "_AT_A_TIME", 2)
    with query_archive(archive()) as server:
        done = sansdimse("find", HOST, server.port, "-k", "PatientName")
    assert [line.split()[0] for line in done.out.splitlines()] == ["#", "1", "2", "#", "3", "3"]


@pytest.mark.parametrize("option", ["--limit", "--cancel-after"])
@pytest.mark.parametrize("json", [[], ["--json"]])
def test_enough_is_enough(option: str, json: list[str], sansdimse: Any) -> None:
    def disturb(number: int, find: Any) -> None:
        while number == 100 and not find.cancelled:  # matches go out several at once
            pass

    asked = archive([study(number) for number in range(200)], disturb=disturb)
    with query_archive(asked) as server:
        done = sansdimse("find", HOST, server.port, "-k", "PatientID", option, 2, *json)
    assert done.code == 0
    assert 2 <= asked.given <= 100
    if json:
        assert len([record for record in done.records if record["event"] == "match"]) == 2
        summary = done.record("summary")
        assert (summary["matches"], summary["stopped"], summary["status"]) == (2, True, 0xFE00)
    else:
        assert "2 matches in " in done.out
        assert "there may be more" in done.out


def test_a_limit_that_is_not_reached_cancels_nothing(sansdimse: Any) -> None:
    with query_archive(archive()) as server:
        done = sansdimse("find", HOST, server.port, "-k", "PatientID", "--limit", 3, "--json")
        less = sansdimse("find", HOST, server.port, "-k", "PatientID", "--limit", 4, "--json")
    assert less.record("summary")["stopped"] is False
    assert done.record("summary")["stopped"] == (done.record("summary")["status"] == 0xFE00)
    assert [len([each for each in run.records if each["event"] == "match"]) for run in (done, less)] == [3, 3]


def test_matches_as_files(sansdimse: Any, tmp_path: Path) -> None:
    folder = tmp_path / "matches"
    with query_archive(archive([study(0, PatientName="../../x"), study(1)])) as server:
        done = sansdimse(
            "find", HOST, server.port, "-k", "PatientName", "-k", "StudyInstanceUID", "--files", folder, "--json"
        )
        again = sansdimse("find", HOST, server.port, "-k", "PatientName", "--files", folder)
    paths = sorted(folder.iterdir())
    assert [path.name for path in paths] == ["match-00001.dcm", "match-00002.dcm"]
    assert [record["file"] for record in done.records if record["event"] == "match"] == list(map(str, paths))
    read = [dcmread(path) for path in paths]
    assert [each.StudyInstanceUID for each in read] == ["1.2.0", "1.2.1"]
    assert read[0].file_meta.MediaStorageSOPClassUID == sop_classes.STUDY_ROOT_FIND
    assert again.code == 2
    assert f"there are matches of another query in {folder}" in again.err


def test_a_match_may_be_the_next_query(sansdimse: Any, tmp_path: Path) -> None:
    asked = archive()
    with query_archive(asked) as server:
        sansdimse("find", HOST, server.port, "-k", "PatientID=P1", "-k", "StudyInstanceUID", "--files", tmp_path)
        done = sansdimse("find", HOST, server.port, "-q", tmp_path / "match-00001.dcm", "-k", "StudyDate")
    assert done.code == 0
    assert (asked.asked[1].PatientID, asked.asked[1].StudyInstanceUID) == ("P1", "1.2.1")


@pytest.mark.parametrize("what", ["file", "nowhere", "vanishes"])
def test_a_folder_that_cannot_be_written_to(what: str, sansdimse: Any, tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b" if what == "nowhere" else tmp_path / "a"
    if what == "file":
        folder.write_text("")
    with query_archive(archive(disturb=lambda number, find: folder.rmdir() if what == "vanishes" else None)) as server:
        done = sansdimse("find", HOST, server.port, "-k", "PatientID=P1", "--files", folder)
    assert done.code == 2
    assert "cannot write" in done.err


def test_keys_that_are_not_supported(sansdimse: Any) -> None:
    with query_archive(archive(disturb=lambda number, find: (0xFF01, ROWS[0]))) as server:
        done = sansdimse("find", HOST, server.port, "-k", "PatientID")
    assert done.code == 0
    assert "does not support some of the keys" in done.err


def test_a_failure_its_comment_and_what_it_names(sansdimse: Any) -> None:
    def disturb(number: int, find: Any) -> None:
        if number % 2 == 0:
            raise Failure(0xA900, "no such level", offending_element=(0x00100010,))

    with query_archive(archive(disturb=disturb)) as server:
        keys = ("-k", "PatientID", "-L", "SERIES")
        done = sansdimse("find", HOST, server.port, *keys)
        told = sansdimse("find", HOST, server.port, *keys, "--json")
    assert done.code == told.code == 5
    assert told.record("summary")["offending_elements"] == ["00100010"]
    assert "1 match in " in done.out
    assert "answers 0xA900" in done.out
    assert "no such level; it names PatientName (0010,0010)" in done.out
    assert (
        "The query is not as its information model has it: unique key (0020,000D) missing above level SERIES.\n"
        in done.err
    )


def test_extended_negotiation(sansdimse: Any) -> None:
    wanted = ("--relational", "--fuzzy", "--datetime", "--timezone")
    supported = QueryExtended(relational=True, timezone=True)
    with query_archive(archive(), extended={sop_classes.STUDY_ROOT_FIND: supported}) as server:
        done = sansdimse("find", HOST, server.port, "-k", "PatientID=P1", *wanted)
        usage = sansdimse("find", HOST, server.port, "-k", "PatientID=P1", "-W", "--relational")
    assert done.code == 0
    assert [line.rpartition(" ")[2] for line in done.err.splitlines()] == ["--fuzzy", "--datetime"]
    assert usage.code == 2


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["-k", "PatientNam=x"], "'PatientNam' is no keyword of PS3.6\nDid you mean PatientName?"),
        ([], "nothing says what is asked for"),
        (["-k", "PatientID", "-L", "PATIENT"], "'PATIENT' is no level of"),
        (["-k", "PatientID", "-P", "-W"], "--patient and --worklist name different"),
        (["-k", "PatientID", "--limit", "0"], "'--limit'"),
        (["-k", "PatientID", "-q", "nowhere"], "cannot read the query in nowhere"),
    ],
)
def test_wrong_usage_calls_nobody(options: list[str], said: str, sansdimse: Any) -> None:
    done = sansdimse("find", HOST, peers.free_port(), *options)
    assert done.code == 2
    assert said in done.err


def test_nobody_there(sansdimse: Any) -> None:
    done = sansdimse("find", HOST, peers.free_port(), "-k", "PatientID")
    assert done.code == 3
    assert "Connection refused" in done.err


def test_rejected(sansdimse: Any) -> None:
    with query_archive(archive(), require_called=True) as server:
        done = sansdimse("find", HOST, server.port, "-k", "PatientID", "-aec", "OTHER")
    assert done.code == 4
    assert "try -aec" in done.err


def test_a_model_that_is_not_offered(sansdimse: Any) -> None:
    with query_archive(archive(), supports=[VERIFICATION]) as server:
        done = sansdimse("find", HOST, server.port, "-k", "PatientID")
    assert done.code == 4
    assert "takes no such query from us" in done.err
    assert "Study Root" in done.err


def test_lost_in_the_middle_shows_what_has_come(sansdimse: Any) -> None:
    with query_archive(archive(disturb=lambda number, find: find.abort() if number == 3 else None)) as server:
        done = sansdimse("find", HOST, server.port, "-k", "PatientName")
    assert done.code == 3
    assert "ended early" in done.err
    assert "DOE^0" in done.out


def test_interrupted_shows_what_has_come(sansdimse: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = find._Finding._take

    def take(self: Any, match: bytes, syntax: str) -> None:
        taken(self, match, syntax)
        raise KeyboardInterrupt

    monkeypatch.setattr(find._Finding, "_take", take)
    with query_archive(archive()) as server:
        done = sansdimse("find", HOST, server.port, "-k", "PatientName")
    assert done.code == 130
    assert "DOE^0" in done.out


@pytest.mark.interop
def test_dcmtk_is_asked(sansdimse: Any, files: list[Path], tmp_path: Path) -> None:
    with peers.dcmqrscp(tmp_path / "db") as server:
        where = (*server.address, "-aec", server.ae_title)
        assert sansdimse("store", *where, *files[:2]).code == 0
        done = sansdimse("find", *where, "-k", "PatientName=Compressed*", "-k", "StudyDate=20040101-20040201", "--json")
        failed = sansdimse("find", *where, "-L", "SERIES", "-k", "PatientName")
    assert done.code == 0
    assert done.record("match")["data_set"]["00100010"]["Value"] == [{"Alphabetic": "CompressedSamples^CT1"}]
    assert failed.code == 5
    assert "unique key (0020,000D) missing above level SERIES" in failed.err
