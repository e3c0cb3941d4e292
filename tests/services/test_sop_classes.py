"""The table of SOP classes, held against facts of PS3.4 and PS3.6 and against pydicom's dictionary."""

from __future__ import annotations

import csv
import re
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom._uid_dict import UID_dictionary
from pydicom.uid import UID as PydicomUID

from sansdimse import uids
from sansdimse.services import sop_classes
from sansdimse.services.sop_classes import (
    RETIRED_STORAGE,
    STANDARD,
    STORAGE,
    Fit,
    Kind,
    ServiceClass,
    SopClass,
    SopClasses,
    fit,
    invoked_by,
    name_of,
    private_like,
    private_sop_class,
    private_storage,
    serves,
    service_class_of,
    sop_class,
)

ORACLE = Path(__file__).resolve().parents[3] / "shared" / "standard" / "sop_classes.csv"
ROOT = "1.2.840.10008."
CT = ROOT + "5.1.4.1.1.2"

# PS3.4: service class, how many live SOP classes, its annex, the DIMSE services they use between them.
FACTS = """
Verification 1 A C-ECHO
Storage 170 B C-STORE
Non-Patient Object Storage 9 GG C-STORE
Storage (DICOS) 7 - C-STORE
Storage (DICONDE) 5 - C-STORE
Media Storage 1 I
Storage Commitment 1 J N-ACTION N-EVENT-REPORT
Application Event Logging 2 P N-ACTION
Procedure Step 3 F N-CREATE N-SET N-GET N-EVENT-REPORT
Print Management 12 H N-CREATE N-SET N-GET N-ACTION N-DELETE N-EVENT-REPORT
Media Creation Management 1 S N-CREATE N-ACTION N-GET
Display System Management 1 EE N-GET
Protocol Approval Query/Retrieve 3 II C-FIND C-MOVE C-GET
Inventory Query/Retrieve 3 JJ C-FIND C-MOVE C-GET
Storage Management 1 KK N-ACTION N-EVENT-REPORT
Query/Retrieve 7 C C-FIND C-MOVE C-GET
Composite Instance Root Retrieve 2 Y C-MOVE C-GET
Composite Instance Retrieve Without Bulk Data 1 Z C-GET
Defined Procedure Protocol Query/Retrieve 3 HH C-FIND C-MOVE C-GET
Basic Worklist Management 1 K C-FIND
Instance Availability Notification 1 R N-CREATE
Unified Procedure Step (trial) 0 CC
Unified Procedure Step 5 CC N-CREATE N-SET N-GET N-ACTION N-EVENT-REPORT C-FIND
RT Machine Verification 2 DD N-CREATE N-SET N-GET N-ACTION N-DELETE N-EVENT-REPORT
Relevant Patient Information Query 3 Q C-FIND
Hanging Protocol Query/Retrieve 3 U C-FIND C-MOVE C-GET
Color Palette Query/Retrieve 3 X C-FIND C-MOVE C-GET
Substance Administration Query 2 V C-FIND
Implant Template Query/Retrieve 9 BB C-FIND C-MOVE C-GET
DICOM-RTV (PS3.22) 4 -
retired 0 -
"""

# A constant, and the keyword of PS3.6 that it stands for where taking the underscores away is not enough.
KEYWORDS = {
    "COMPOSITE_INSTANCE_ROOT_MOVE": "CompositeInstanceRootRetrieveMove",
    "COMPOSITE_INSTANCE_ROOT_GET": "CompositeInstanceRootRetrieveGet",
    "COMPOSITE_INSTANCE_WITHOUT_BULK_DATA_GET": "CompositeInstanceRetrieveWithoutBulkDataGet",
    "GENERAL_RELEVANT_PATIENT_INFORMATION": "GeneralRelevantPatientInformationQuery",
    "BREAST_IMAGING_RELEVANT_PATIENT_INFORMATION": "BreastImagingRelevantPatientInformationQuery",
    "CARDIAC_RELEVANT_PATIENT_INFORMATION": "CardiacRelevantPatientInformationQuery",
}
CONSTANTS = {
    name: value
    for name, value in vars(sop_classes).items()
    if isinstance(value, str) and re.fullmatch("[A-Z][A-Z_]+", name) and value.startswith(ROOT)
}


@pytest.mark.parametrize("line", FACTS.strip().splitlines())
def test_each_service_class_has_its_sop_classes_annex_and_services(line: str) -> None:
    match = re.fullmatch(r"(.+?) (\d+) ([A-Z]+|-)((?: [CN]-[A-Z-]+)*)", line)
    assert match
    name, count, annex, services = match.groups()
    rows = [row for row in STANDARD if row.service_class is ServiceClass(name)]
    assert rows
    assert sum(not row.retired for row in rows) == int(count)
    assert {row.annex for row in rows} == {annex.strip("-")}
    assert {service for row in rows for service in row.dimse_services} == set(services.split())


def test_the_facts_cover_every_service_class() -> None:
    assert len(FACTS.strip().splitlines()) == len(set(ServiceClass) - {ServiceClass.PRIVATE})
    assert not any(row.service_class is ServiceClass.PRIVATE for row in STANDARD)
    assert len(STANDARD) == 320
    assert sum(row.retired for row in STANDARD) == 54
    assert Counter(row.kind for row in STANDARD) == {Kind.SOP_CLASS: 311, Kind.META_SOP_CLASS: 9}


def test_rows_are_well_formed() -> None:
    for uid, row in STANDARD.rows.items():
        assert row.uid == uid
        assert uids.is_valid(uid)
        assert bool(row.keyword) == bool(row.name)
        assert re.fullmatch(r"[A-Za-z0-9]*", row.keyword)
        assert "~" not in row.name
    assert {row.uid for row in STANDARD if not row.name} == {ROOT + "5.1.4.1.1.12.77", ROOT + "5.1.4.1.1.40"}


def test_names_keywords_kinds_and_retirement_agree_with_pydicom() -> None:
    others = {uid for uid, entry in UID_dictionary.items() if entry[1] in set(Kind)}
    assert len(others) > 300
    for uid in others:
        ours, theirs = sop_class(uid), PydicomUID(uid)
        assert ours is not None
        assert (ours.name, ours.keyword) == (theirs.name, theirs.keyword)
        assert (ours.kind, ours.retired) == (theirs.type, theirs.is_retired)


@pytest.mark.skipif(not ORACLE.exists(), reason="the tables are not here")
def test_the_table_is_the_standards() -> None:
    with ORACLE.open(encoding="utf-8", newline="") as file:
        rows = {row["uid"]: row for row in csv.DictReader(file)}
    assert set(rows) == set(STANDARD.rows)
    for uid, row in rows.items():
        ours = STANDARD.rows[uid]
        assert (ours.keyword, ours.name, ours.kind) == (row["keyword"], row["name"], row["kind"])
        assert (ours.service_class, ours.retired) == (row["service_class"], row["retired"] == "Y")
        assert (ours.annex or "outside PS3.4") == (row["ps3_4_annex"] or "outside PS3.4")
        assert (ours.information_model, ours.root_level) == (row["information_model"], row["root_level"])
        levels = row["query_retrieve_levels"]
        assert ours.levels == (() if levels.startswith("none") else tuple(levels.split()))
        services = row["dimse_services"].removesuffix(" + C-STORE sub-operations")
        if services.startswith("meta"):
            assert ours.members
        else:
            assert ours.dimse_services == set(re.findall(r"[CN]-[A-Z-]+", services))


def test_constants_are_named_by_keyword() -> None:
    assert len(CONSTANTS) > 70
    for name, uid in CONSTANTS.items():
        keyword = STANDARD.rows[uid].keyword
        short = keyword.replace("QueryRetrieveInformationModel", "").replace("InformationModel", "")
        assert KEYWORDS.get(name, short).upper() == (keyword.upper() if name in KEYWORDS else name.replace("_", ""))
    assert len(set(CONSTANTS.values())) == len(CONSTANTS)


@pytest.mark.parametrize(
    ("constant", "tail"),
    [
        (sop_classes.VERIFICATION, "1.1"),
        (sop_classes.PATIENT_ROOT_FIND, "5.1.4.1.2.1.1"),
        (sop_classes.PATIENT_ROOT_MOVE, "5.1.4.1.2.1.2"),
        (sop_classes.PATIENT_ROOT_GET, "5.1.4.1.2.1.3"),
        (sop_classes.STUDY_ROOT_FIND, "5.1.4.1.2.2.1"),
        (sop_classes.STUDY_ROOT_MOVE, "5.1.4.1.2.2.2"),
        (sop_classes.STUDY_ROOT_GET, "5.1.4.1.2.2.3"),
        (sop_classes.MODALITY_WORKLIST_FIND, "5.1.4.31"),
        (sop_classes.MODALITY_PERFORMED_PROCEDURE_STEP, "3.1.2.3.3"),
        (sop_classes.STORAGE_COMMITMENT_PUSH_MODEL, "1.20.1"),
        (sop_classes.UNIFIED_PROCEDURE_STEP_PUSH, "5.1.4.34.6.1"),
        (sop_classes.CT_IMAGE_STORAGE, "5.1.4.1.1.2"),
        (sop_classes.MR_IMAGE_STORAGE, "5.1.4.1.1.4"),
    ],
)
def test_well_known_uids(constant: str, tail: str) -> None:
    assert constant == ROOT + tail


def test_storage_is_ranked() -> None:
    assert len(STORAGE) == len(set(STORAGE)) == 170 + 9 + 7 + 5
    everyday = "CTImageStorage MRImageStorage ComputedRadiographyImageStorage DigitalXRayImageStorageForPresentation"
    assert [STANDARD.rows[uid].keyword for uid in STORAGE[:4]] == everyday.split()
    # In a C-GET's 127 contexts there must be room for what belongs to ordinary studies.
    tails = "1 1.1 1.2 1.3 2 2.1 3.1 4 4.1 6.1 7 7.2 7.4 11.1 12.1 12.2 13.1.3 20 66 66.1 66.4 88.11 88.22 88.33 88.59"
    tails += " 88.67 104.1 128 130 481.1 481.2 481.3 481.5 9.1.1 77.1.1 77.1.4 77.1.5.1 77.1.6"
    assert {f"{ROOT}5.1.4.1.1.{tail}" for tail in tails.split()} <= set(STORAGE[:60])
    unranked = list(STORAGE[124:170])
    assert unranked == sorted(unranked, key=lambda uid: [int(number) for number in uid.split(".")])
    assert {service_class_of(uid) for uid in STORAGE[:170]} == {ServiceClass.STORAGE}
    assert not any(STANDARD.rows[uid].retired for uid in STORAGE)
    assert len(RETIRED_STORAGE) == 18
    assert set(RETIRED_STORAGE).isdisjoint(STORAGE)
    assert all(STANDARD.rows[uid].retired and serves(uid, "C-STORE") for uid in RETIRED_STORAGE)


def test_serves() -> None:
    assert serves(uids.VERIFICATION, "C-ECHO")
    assert not serves(uids.VERIFICATION, "C-STORE")
    assert serves(CT, "C-STORE")
    assert serves(sop_classes.STUDY_ROOT_GET, "C-GET")
    assert not serves(sop_classes.STUDY_ROOT_GET, "C-STORE")  # sub-operations have contexts of their own
    assert serves(sop_classes.UNIFIED_PROCEDURE_STEP_PULL, "N-ACTION")
    assert not serves(sop_classes.UNIFIED_PROCEDURE_STEP_PULL, "N-CREATE")
    assert not serves("1.2.3", "C-STORE")


def test_query_models() -> None:
    patient = sop_class(sop_classes.PATIENT_ROOT_FIND)
    assert patient is not None
    assert (patient.information_model, patient.root_level) == ("Patient Root", "PATIENT")
    assert patient.levels == ("PATIENT", "STUDY", "SERIES", "IMAGE")
    study = sop_class(sop_classes.STUDY_ROOT_MOVE)
    assert study is not None
    assert study.levels == ("STUDY", "SERIES", "IMAGE")
    worklist = sop_class(sop_classes.MODALITY_WORKLIST_FIND)
    assert worklist is not None
    assert (worklist.root_level, worklist.levels) == ("single level", ())
    for row in STANDARD:
        if row.levels:
            assert row.root_level == row.levels[0]


def test_meta_sop_classes_do_what_their_members_do() -> None:
    live = [row for row in STANDARD if row.kind is Kind.META_SOP_CLASS and not row.retired]
    assert {row.uid for row in live} == {ROOT + "5.1.1.9", ROOT + "5.1.1.18"}
    box = {ROOT + "5.1.1.9": "5.1.1.4", ROOT + "5.1.1.18": "5.1.1.4.1"}
    for row in live:
        assert row.members == {ROOT + tail for tail in ("5.1.1.1", "5.1.1.2", box[row.uid], "5.1.1.16")}
        assert row.dimse_services == set[str]().union(*(STANDARD.rows[uid].dimse_services for uid in row.members))


@pytest.mark.parametrize(
    ("context", "named", "expected"),
    [
        (CT, CT, Fit.SAME),
        ("1.2.3", "1.2.3", Fit.SAME),
        (sop_classes.BASIC_COLOR_PRINT_MANAGEMENT_META, sop_classes.BASIC_COLOR_IMAGE_BOX, Fit.MEMBER),
        (sop_classes.BASIC_COLOR_PRINT_MANAGEMENT_META, sop_classes.BASIC_GRAYSCALE_IMAGE_BOX, Fit.NEIGHBOUR),
        (sop_classes.UNIFIED_PROCEDURE_STEP_PULL, sop_classes.UNIFIED_PROCEDURE_STEP_PUSH, Fit.MEMBER),
        (sop_classes.UNIFIED_PROCEDURE_STEP_PULL, sop_classes.UNIFIED_PROCEDURE_STEP_WATCH, Fit.NEIGHBOUR),
        (CT, sop_classes.MR_IMAGE_STORAGE, Fit.NEIGHBOUR),
        (uids.VERIFICATION, CT, Fit.FOREIGN),
        (CT, uids.VERIFICATION, Fit.FOREIGN),
        (CT, "1.2.3", Fit.FOREIGN),
        ("1.2.3", CT, Fit.FOREIGN),
        ("1.2.3", "1.2.4", Fit.FOREIGN),
        (ROOT + "1.9", ROOT + "1.20.2", Fit.FOREIGN),  # retired both, and of nothing in common
    ],
)
def test_how_a_command_fits_its_context(context: str, named: str, expected: Fit) -> None:
    assert fit(context, named) is expected


@given(st.sampled_from([*STANDARD]), st.sampled_from([*STANDARD]))
def test_only_the_same_service_class_is_near(one: SopClass, other: SopClass) -> None:
    if fit(one.uid, other.uid) is not Fit.FOREIGN:
        assert one.service_class is other.service_class
    assert (fit(one.uid, other.uid) is Fit.SAME) == (one is other)
    assert (fit(one.uid, other.uid) is Fit.FOREIGN) == (fit(other.uid, one.uid) is Fit.FOREIGN)


def test_only_event_reports_come_from_the_scp() -> None:
    services = {service for row in STANDARD for service in row.dimse_services}
    assert len(services) == 11
    assert {service for service in services if invoked_by(service) == "SCP"} == {"N-EVENT-REPORT"}
    assert {invoked_by(service) for service in services} == {"SCU", "SCP"}


@pytest.mark.parametrize(
    ("keyword", "scu", "scp"),
    [
        ("Verification", "C-ECHO", ""),
        ("CTImageStorage", "C-STORE", ""),
        ("StorageCommitmentPushModel", "N-ACTION", "N-EVENT-REPORT"),
        ("ModalityPerformedProcedureStepNotification", "", "N-EVENT-REPORT"),
        ("UnifiedProcedureStepEvent", "", "N-EVENT-REPORT"),
        ("UnifiedProcedureStepPull", "C-FIND N-GET N-SET N-ACTION", ""),
        ("Printer", "N-GET", "N-EVENT-REPORT"),
        ("PrintJob", "N-GET", "N-EVENT-REPORT"),
        ("InventoryCreation", "N-ACTION", "N-EVENT-REPORT"),
    ],
)
def test_who_sends_which(keyword: str, scu: str, scp: str) -> None:
    row = STANDARD.by_keyword(keyword)
    assert row is not None
    assert (row.services_of("SCU"), row.services_of("SCP")) == (frozenset(scu.split()), frozenset(scp.split()))


def test_each_service_is_sent_by_one_of_the_roles() -> None:
    for row in STANDARD:
        scu, scp = row.services_of("SCU"), row.services_of("SCP")
        assert (scu | scp, scu & scp) == (row.dimse_services, frozenset())
        assert scp <= {"N-EVENT-REPORT"}


def test_which_are_meta_sop_classes() -> None:
    for row in STANDARD:
        assert STANDARD.is_meta(row.uid) == (row.kind is Kind.META_SOP_CLASS)
    assert not STANDARD.is_meta("1.2.3")


def test_what_a_sop_class_may_stand_for() -> None:
    push, pull = sop_classes.UNIFIED_PROCEDURE_STEP_PUSH, sop_classes.UNIFIED_PROCEDURE_STEP_PULL
    others = {row.uid for row in STANDARD if row.service_class is ServiceClass.UNIFIED_PROCEDURE_STEP} - {push}
    assert STANDARD.stands_for(push)[0] == push
    assert set(STANDARD.stands_for(push)) == {push} | others
    assert STANDARD.stands_for(pull) == (pull, push)
    meta = sop_classes.BASIC_COLOR_PRINT_MANAGEMENT_META
    assert set(STANDARD.stands_for(meta)) == {meta} | STANDARD.rows[meta].members
    assert STANDARD.stands_for(sop_classes.PRINTER) == (sop_classes.PRINTER,), "no member stands for the whole"
    assert STANDARD.stands_for("1.2.3") == ("1.2.3",)
    for row in STANDARD:
        assert {service_class_of(uid) for uid in STANDARD.stands_for(row.uid)} == {row.service_class}


def test_names() -> None:
    assert name_of(CT) == "CT Image Storage"
    assert name_of(uids.IMPLICIT_VR_LITTLE_ENDIAN) == "Implicit VR Little Endian"
    assert name_of("1.2.3") == "1.2.3"
    assert name_of(ROOT + "5.1.4.1.1.40") == ROOT + "5.1.4.1.1.40"
    assert STANDARD.by_keyword("CTImageStorage") is sop_class(CT)
    assert STANDARD.by_keyword("") is None
    assert STANDARD.by_keyword("NoSuchStorage") is None


@given(st.text())
def test_nothing_fails_on_the_unknown(uid: str) -> None:
    if uid not in STANDARD.rows:
        assert sop_class(uid) is None
        assert service_class_of(uid) is None
        assert not serves(uid, "C-STORE")
        assert fit(uid, CT) is Fit.FOREIGN


def test_private_sop_classes_make_a_new_table() -> None:
    siemens = private_storage("1.3.12.2.1107.5.9.1", "CSA Non-Image Storage")
    table = STANDARD.with_private(siemens, private_storage("1.2.3"))
    assert table.serves(siemens.uid, "C-STORE")
    assert table.name_of(siemens.uid) == "CSA Non-Image Storage"
    assert table.name_of("1.2.3") == "1.2.3"
    assert table.fit(CT, siemens.uid) is Fit.NEIGHBOUR
    assert table.storage() == (*STORAGE, siemens.uid, "1.2.3")
    assert sop_class(siemens.uid) is None
    assert len(table) == len(STANDARD) + 2
    assert table.rows.items() >= STANDARD.rows.items()


def test_a_private_sop_class_may_behave_as_one_of_the_standards() -> None:
    row = private_like("1.2.3", sop_classes.PATIENT_STUDY_ONLY_FIND, "Our Query")
    table = STANDARD.with_private(row)
    theirs = STANDARD.rows[sop_classes.PATIENT_STUDY_ONLY_FIND]
    assert (row.uid, row.name, row.keyword, row.retired) == ("1.2.3", "Our Query", "", False)
    assert (row.levels, row.information_model) == (("PATIENT", "STUDY"), theirs.information_model)
    assert (row.service_class, row.dimse_services) == (theirs.service_class, theirs.dimse_services)
    assert table.serves("1.2.3", "C-FIND")
    assert table.fit("1.2.3", sop_classes.STUDY_ROOT_FIND) is Fit.NEIGHBOUR
    assert private_like("1.2.3", CT).name == "1.2.3"
    with pytest.raises(ValueError, match=r"1\.2\.4 is no SOP class of the standard"):
        private_like("1.2.3", "1.2.4")


def test_a_private_sop_class_may_behave_as_none_of_the_standards() -> None:
    part = private_sop_class("1.2.3.1", ["N-CREATE", "N-EVENT-REPORT"])
    whole = private_sop_class("1.2.3", ["N-CREATE", "C-FIND", "C-FIND"], "Ours", members=["1.2.3.1"])
    table = STANDARD.with_private(part, whole)
    assert (part.kind, whole.kind) == (Kind.SOP_CLASS, Kind.META_SOP_CLASS)
    assert whole.dimse_services == {"N-CREATE", "C-FIND"}
    assert table.is_meta("1.2.3")
    assert table.service_class_of("1.2.3") is ServiceClass.PRIVATE
    assert part.services_of("SCP") == {"N-EVENT-REPORT"}
    assert table.fit("1.2.3", "1.2.3.1") is Fit.MEMBER
    assert table.fit("1.2.3.1", "1.2.3") is Fit.FOREIGN, "two private ones have nothing in common but that"
    with pytest.raises(ValueError, match="no DIMSE service: C-PRINT, n-get; there are C-ECHO"):
        private_sop_class("1.2.3", ["n-get", "C-PRINT", "C-ECHO"])


def test_private_sop_classes_take_no_ones_place() -> None:
    with pytest.raises(ValueError, match="CT Image Storage"):
        STANDARD.with_private(private_storage(CT))
    with pytest.raises(ValueError, match="not a UID"):
        STANDARD.with_private(private_storage("1.02"))


def test_a_table_is_a_value() -> None:
    one = SopClasses.of([private_storage("1.2.3")])
    assert one == SopClasses.of([]).with_private(private_storage("1.2.3"))
    assert one != STANDARD
    with pytest.raises(TypeError):
        one.rows["1.2.4"] = private_storage("1.2.4")  # type: ignore[index]
