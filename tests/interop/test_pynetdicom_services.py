"""DIMSE-N with pynetdicom, in both roles: each service of each SOP class, and the service classes as they are used."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest
from pydicom import Dataset

from interop import peers
from interop.exchanges import (
    BOTH_WAYS,
    Answered,
    Asked,
    Book,
    Script,
    Theirs,
    answering,
    built,
    exchange,
    known_to_pynetdicom,
    no_threads_left,
    service_of,
)
from interop.query_archive import ask
from running import TRANSPORTS, running
from sansdimse import uids
from sansdimse.dimse.status import DUPLICATE_SOP_INSTANCE, NO_SUCH_SOP_INSTANCE
from sansdimse.matching import WORKLIST, Query
from sansdimse.service_classes import performed_procedure_step as mpps
from sansdimse.service_classes import print_management as printing
from sansdimse.service_classes import storage_commitment as commitment
from sansdimse.service_classes import unified_procedure_step as ups
from sansdimse.service_classes.refused import Refused
from sansdimse.service_classes.unified_procedure_step_subscriptions import Subscriptions, read_request
from sansdimse.services.sop_classes import (
    BASIC_FILM_BOX,
    BASIC_FILM_SESSION,
    BASIC_GRAYSCALE_PRINT_MANAGEMENT_META,
    DISPLAY_SYSTEM,
    INVENTORY_CREATION,
    MODALITY_PERFORMED_PROCEDURE_STEP,
    MODALITY_PERFORMED_PROCEDURE_STEP_NOTIFICATION,
    MODALITY_PERFORMED_PROCEDURE_STEP_RETRIEVE,
    PRINTER,
    STANDARD,
    STORAGE_COMMITMENT_PUSH_MODEL,
    UNIFIED_PROCEDURE_STEP_EVENT,
    UNIFIED_PROCEDURE_STEP_PULL,
    UNIFIED_PROCEDURE_STEP_PUSH,
    UNIFIED_PROCEDURE_STEP_WATCH,
    SopClass,
)

ONE: Final = "1.2.826.0.1.3680043.10.1.1"
TWO: Final = "1.2.826.0.1.3680043.10.1.2"
PRINTER_INSTANCE: Final = "1.2.840.10008.5.1.1.17"

both_ways = pytest.mark.parametrize("who", BOTH_WAYS, ids="-".join)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Theirs]:
    with answering(tmp_path_factory.mktemp("pynetdicom"), Theirs()) as theirs:
        yield theirs


@pytest.fixture
def theirs(server: Theirs) -> Iterator[Theirs]:
    """pynetdicom's server, shared; no thread of it or of ours is left behind by a test."""
    with no_threads_left():
        yield server


def data_set(name: str, **more: Any) -> Dataset:
    """Not only ASCII, and not only at the top."""
    made, item = Dataset(), Dataset()
    made.SpecificCharacterSet = "ISO_IR 192"
    made.PatientName = f"Mötley^{name}"
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = "110513", "DCM", "Ürsache"
    made.ProcedureCodeSequence = [item, item]
    for keyword, value in more.items():
        setattr(made, keyword, value)
    return made


def those_of(whole: Dataset, tags: tuple[int, ...]) -> Dataset:
    """The part with these attributes."""
    part = Dataset()
    for tag in tags:
        part[tag] = whole[tag]
    return part


# ---------------------------------------------------------------- each service of each SOP class


class Echo(Book):
    """Says the same to all."""

    reply = data_set("Reply", PatientID="of the SCP")

    def answer(self, asked: Asked) -> Answered:
        return 0, None if asked.service == "N-DELETE" else Dataset(self.reply)


def normalized(row: SopClass) -> list[str]:
    return sorted(service for service in row.dimse_services if service.startswith("N-"))


ROWS: Final = [row for row in STANDARD if not row.retired and normalized(row)]


def requests(row: SopClass) -> list[Asked]:
    """Each service of the SOP class once, of a Meta SOP class each of its members'; N-CREATE of the two kinds."""
    made = []
    meta = STANDARD.is_meta(row.uid)
    named = [STANDARD.rows[uid] for uid in sorted(row.members)] if meta else [row]
    for each in named:
        # The commands of all UPS SOP classes name UPS Push (PS3.4 CC.3.1.1).
        uid = next(iter(row.members)) if row.members and not meta else each.uid
        context = "" if uid == row.uid else row.uid
        for service in normalized(each):
            with_type = service in ("N-ACTION", "N-EVENT-REPORT")
            asked = Asked(
                service,
                uid,
                ONE,
                None if service in ("N-GET", "N-DELETE") else data_set(service),
                type_id=3 if with_type else None,
                attributes=(0x00100010, 0x00100020) if service == "N-GET" else (),
                context=context,
            )
            made.append(asked)
            if service == "N-CREATE":
                made.append(Asked(service, uid, None, None, context=context))
    return made


def each_once(asked: list[Asked]) -> Script:
    for request in asked:
        said = yield request
        assert said.status == 0, request
        assert said.data_set == (Dataset() if request.service == "N-DELETE" else Echo.reply)
        assert said.sop_instance_uid == request.sop_instance_uid or request.sop_instance_uid is None
        assert uids.is_valid(said.sop_instance_uid or "")


def same(asked: Asked, heard: Asked) -> bool:
    """Whether this was heard, with the instance invented by who heard it, if it has to be."""
    return asked == heard or (
        asked.sop_instance_uid is None and heard.data_set is None and bool(heard.sop_instance_uid)
    )


@pytest.mark.parametrize("asks", ["pynetdicom", "we"])
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.keyword)
def test_every_service_of_every_sop_class(theirs: Theirs, row: SopClass, asks: str) -> None:
    book, asked = Echo(), requests(row)
    exchange((asks, "asyncio"), theirs, book, each_once(asked), [row.uid])
    assert len(book.asked) == len(asked)
    assert all(map(same, asked, book.asked))


@both_ways
def test_the_six_services_on_every_transport(theirs: Theirs, who: tuple[str, str]) -> None:
    row = STANDARD.rows[RT_ALL_SIX]
    book, asked = Echo(), requests(row)
    exchange(who, theirs, book, each_once(asked), [row.uid])
    assert {each.service for each in book.asked} == set(normalized(row))
    assert len(normalized(row)) == 6
    assert all(map(same, asked, book.asked))


RT_ALL_SIX: Final = "1.2.840.10008.5.1.4.34.8"


def test_all_that_pynetdicom_has_of_dimse_n_is_tried() -> None:
    """Every SOP class of every one of its service classes that use it."""
    peers.require_pynetdicom()
    tried = {row.uid for row in ROWS}
    known = known_to_pynetdicom()
    assert len(known) > 240
    left = {name for uid, name in known.items() if uid not in tried and normalized(STANDARD.rows[uid])}
    assert left == set()
    assert {known[uid] for uid in tried if uid in known} >= {
        "ApplicationEventLogging", "DisplaySystemManagement", "InstanceAvailabilityNotification",
        "MediaCreationManagement", "PrintManagement", "ProcedureStep", "RTMachineVerification", "StorageCommitment",
        "StorageManagement", "UnifiedProcedureStep",
    }  # fmt: skip


# ---------------------------------------------------------------- what is refused


class Refusing(Book):
    def __init__(self, refused: Refused) -> None:
        super().__init__()
        self.refused = refused

    def answer(self, asked: Asked) -> Answered:
        raise self.refused


PROCEDURE_STEP: Final = data_set("Values", PerformedProcedureStepStatus="NONSENSE")
REFUSALS: Final = [
    (
        Asked("N-CREATE", UNIFIED_PROCEDURE_STEP_PUSH, ONE, data_set("A")),
        Refused(0xC309, "not SCHEDULED", (0x00741000, 0x00400241)),
    ),
    (
        Asked("N-CREATE", MODALITY_PERFORMED_PROCEDURE_STEP, ONE, data_set("B")),
        Refused(0x0120, attributes=(0x00400244, 0x00400245)),
    ),
    (
        Asked("N-SET", MODALITY_PERFORMED_PROCEDURE_STEP, ONE, data_set("C")),
        Refused(0x0110, "may no longer be updated", error_id=0xA710),
    ),
    (Asked("N-SET", MODALITY_PERFORMED_PROCEDURE_STEP, ONE, data_set("D")), Refused(0x0105, attributes=(0x00100010,))),
    (
        Asked("N-SET", MODALITY_PERFORMED_PROCEDURE_STEP, ONE, data_set("E")),
        Refused(0x0106, attribute_list=PROCEDURE_STEP),
    ),
    (Asked("N-GET", UNIFIED_PROCEDURE_STEP_PUSH, ONE), Refused(0xC307, "no such step", (0x00080018,))),
    (Asked("N-GET", DISPLAY_SYSTEM, PRINTER_INSTANCE), Refused(0x0124, "not for you")),
    (
        Asked("N-ACTION", STORAGE_COMMITMENT_PUSH_MODEL, commitment.SOP_INSTANCE, data_set("F"), 1),
        Refused(0x0115, attribute_list=data_set("Invalid", TransactionUID="1.2")),
    ),
    (Asked("N-ACTION", BASIC_FILM_BOX, ONE, None, 1), Refused(0xC602, "the queue is full")),
    (
        Asked("N-EVENT-REPORT", STORAGE_COMMITMENT_PUSH_MODEL, commitment.SOP_INSTANCE, data_set("G"), 9),
        Refused(0x0113),
    ),
    (
        Asked("N-EVENT-REPORT", MODALITY_PERFORMED_PROCEDURE_STEP_NOTIFICATION, ONE, data_set("H"), 1),
        Refused(0x0110, "disk full", error_id=7),
    ),
    (Asked("N-DELETE", BASIC_FILM_SESSION, ONE), Refused(0x0112)),
    (Asked("N-DELETE", BASIC_FILM_BOX, ONE), Refused(0x0110, "being printed", error_id=1)),
]


def refused(asked: Asked, why: Refused, is_whole: bool) -> Script:
    said = yield asked
    assert said.status == why.status
    assert (said.comment, said.error_id) == (why.comment, why.error_id)
    if is_whole:
        assert (said.attributes, said.offending) == (why.attributes, why.offending_element)
        assert said.data_set == (Dataset() if why.attribute_list is None else why.attribute_list)
    else:  # pynetdicom has no Offending Element in DIMSE-N, no list of tags in N-CREATE, no data set with a failure
        assert said.attributes == (() if asked.service == "N-CREATE" else why.attributes)
        assert (said.offending, said.data_set) == ((), Dataset())


@both_ways
def test_why_a_request_is_refused(theirs: Theirs, who: tuple[str, str]) -> None:
    def all_of_them() -> Script:
        for asked, why in REFUSALS:
            book.refused = why
            yield from refused(asked, why, who[0] == "pynetdicom")

    book = Refusing(REFUSALS[0][1])
    exchange(who, theirs, book, all_of_them(), sorted({asked.sop_class_uid for asked, _ in REFUSALS}))
    assert book.asked == [asked for asked, _ in REFUSALS]


class Warns(Book):
    """Answers with a warning as a data set, and with a data set besides."""

    reply = data_set("Reply", TransactionUID="1.2.3")

    def answer(self, asked: Asked) -> Answered:
        status = Dataset()
        status.Status = WARNINGS[asked.service][1]
        status.AttributeIdentifierList = [0x00100010, 0x00100020]
        status.ErrorComment = "not all is supported"
        return status, Dataset(self.reply)


WARNINGS: Final = {
    "N-GET": (Asked("N-GET", DISPLAY_SYSTEM, ONE), 0x0107),
    "N-SET": (Asked("N-SET", MODALITY_PERFORMED_PROCEDURE_STEP, ONE, data_set("Some")), 0x0107),
    "N-ACTION": (Asked("N-ACTION", INVENTORY_CREATION, ONE, data_set("Scope"), 1), 0xB010),
}


@both_ways
def test_a_warning_comes_with_its_elements_and_the_data_set(theirs: Theirs, who: tuple[str, str]) -> None:
    def script() -> Script:
        for asked, status in WARNINGS.values():
            said = yield asked
            assert (said.status, said.comment) == (status, "not all is supported")
            assert said.data_set == Warns.reply
            if (who[0], asked.service) != ("we", "N-ACTION"):  # pynetdicom has no list of tags there
                assert said.attributes == (0x00100010, 0x00100020)

    exchange(who, theirs, Warns(), script(), [asked.sop_class_uid for asked, _ in WARNINGS.values()])


# ---------------------------------------------------------------- Modality Performed Procedure Step


class PerformedSteps(Book):
    """An SCP of the three SOP classes; ``changes`` are the types of event that follow."""

    def __init__(self) -> None:
        super().__init__()
        self.steps: dict[str, Dataset] = {}
        self.changes: list[int] = []

    def answer(self, asked: Asked) -> Answered:
        uid, given = asked.sop_instance_uid or "", asked.data_set or Dataset()
        if asked.service == "N-CREATE":
            mpps.check_create(given)
            if uid in self.steps:
                raise Refused(DUPLICATE_SOP_INSTANCE)
            before, after = None, given
        elif asked.service == "N-EVENT-REPORT":
            self.changes.append(asked.type_id or 0)
            return 0, None
        elif uid not in self.steps:
            raise Refused(NO_SUCH_SOP_INSTANCE)
        elif asked.service == "N-GET":
            return 0, those_of(self.steps[uid], asked.attributes)
        else:
            before = self.steps[uid]
            mpps.check_set(before, given)
            after = mpps.applied(before, given)
        self.steps[uid] = after
        self.changes.append(mpps.event_type(before, after))
        return 0, None


def performed(book: PerformedSteps) -> Script:
    step = MODALITY_PERFORMED_PROCEDURE_STEP
    at_work = mpps.created(
        data_set("Worked On", PatientID="P1", StudyInstanceUID="1.2.3"),
        step_id="S1", station_ae_title="CT1", start_date="20240101", start_time="120000", modality="CT",
    )  # fmt: skip
    said = yield Asked("N-CREATE", step, ONE, at_work)
    assert said.status == 0
    said = yield Asked("N-CREATE", step, None, at_work)
    assert said.status == 0
    assert said.sop_instance_uid in book.steps.keys() - {ONE}
    said = yield Asked("N-CREATE", step, ONE, at_work)
    assert said.status == 0x0111
    del at_work.Modality
    said = yield Asked("N-CREATE", step, TWO, at_work)
    assert said.status == 0x0120
    assert said.attributes in ((0x00080060,), ())  # pynetdicom cannot say it
    series = mpps.performed_series("1.2.3.4", "Thorax", images=[(CT, "1.2.3.4.5")])
    done = mpps.completed(end_date="20240101", end_time="121500", series=[series])
    said = yield Asked("N-SET", step, ONE, done)
    assert said.status == 0
    said = yield Asked("N-SET", step, ONE, done)
    assert (said.status, said.error_id) == (0x0110, 0xA710)
    assert said.comment == "Performed Procedure Step Object may no longer be updated"
    said = yield Asked("N-GET", MODALITY_PERFORMED_PROCEDURE_STEP_RETRIEVE, ONE, attributes=(0x00400252, 0x00400340))
    assert said.status == 0
    assert said.data_set.PerformedProcedureStepStatus == "COMPLETED"
    assert said.data_set.PerformedSeriesSequence[0].ReferencedImageSequence == series.ReferencedImageSequence
    said = yield Asked("N-GET", MODALITY_PERFORMED_PROCEDURE_STEP_RETRIEVE, TWO)
    assert said.status == 0x0112
    said = yield Asked("N-EVENT-REPORT", MODALITY_PERFORMED_PROCEDURE_STEP_NOTIFICATION, ONE, None, 2)
    assert said.status == 0


CT: Final = "1.2.840.10008.5.1.4.1.1.2"


@both_ways
def test_a_performed_procedure_step(theirs: Theirs, who: tuple[str, str]) -> None:
    book = PerformedSteps()
    contexts = [
        MODALITY_PERFORMED_PROCEDURE_STEP,
        MODALITY_PERFORMED_PROCEDURE_STEP_RETRIEVE,
        MODALITY_PERFORMED_PROCEDURE_STEP_NOTIFICATION,
    ]
    exchange(who, theirs, book, performed(book), contexts)
    assert book.changes == [1, 1, 2, 2]
    assert book.steps[ONE].PatientName == "Mötley^Worked On"


# ---------------------------------------------------------------- Unified Procedure Step

NOW: Final = "20240101120000"


class Steps(Book):
    """An SCP of the UPS SOP classes; ``events`` are to be reported."""

    def __init__(self) -> None:
        super().__init__()
        self.steps: dict[str, ups.UnifiedProcedureStep] = {}
        self.subscriptions = Subscriptions(lambda keys, step: Query(keys, WORKLIST).matches(step))
        self.events: list[tuple[str, ups.Event]] = []

    def answer(self, asked: Asked) -> Answered:
        uid, given = asked.sop_instance_uid or "", asked.data_set or Dataset()
        if asked.service == "N-CREATE":
            if uid in self.steps:
                raise Refused(DUPLICATE_SOP_INSTANCE)
            return self._changed(uid, ups.UnifiedProcedureStep.create(given, uid, now=NOW, worklist_label="WARD"))
        if asked.service == "N-ACTION" and asked.type_id in (3, 4, 5):
            request = read_request(asked.type_id, uid, given)
            self.subscriptions.apply(request, {each: step.attributes for each, step in self.steps.items()})
            return 0, None
        step = self.steps.get(uid)
        if step is None:
            raise Refused(ups.NO_SUCH_STEP, "no such step")
        if asked.service == "N-GET":
            return step.get(asked.attributes)
        if asked.service == "N-SET":
            return self._changed(uid, step.set(given, now=NOW))
        if asked.type_id == 1:
            return self._changed(uid, step.change_state(given))
        change = step.request_cancel(given, requesting_ae_title="PYNETDICOM", now=NOW, transaction_uid=TWO)
        return self._changed(uid, change)

    def _changed(self, uid: str, change: ups.Change) -> Answered:
        self.steps[uid] = change.step
        self.events += [(uid, event) for event in change.events]
        return int(change.status), None

    def find(self, asked: Asked) -> Iterator[tuple[int, Dataset | None]]:
        assert asked.data_set is not None
        for step in self.steps.values():
            if Query(asked.data_set, WORKLIST).matches(step.get()[1]):
                yield 0xFF00, Query(asked.data_set, WORKLIST).response(step.get()[1])


def state(to: str, transaction: str = "1.2.99") -> Dataset:
    information = Dataset()
    information.ProcedureStepState, information.TransactionUID = to, transaction
    return information


def code(meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = meaning[:3], "99X", meaning
    return item


def worked_off() -> Script:
    push, pull = UNIFIED_PROCEDURE_STEP_PUSH, UNIFIED_PROCEDURE_STEP_PULL
    scheduled = data_set(
        "Planned", PatientID="P1", ProcedureStepState="SCHEDULED", ScheduledProcedureStepPriority="HIGH",
        ProcedureStepLabel="Plan", ScheduledProcedureStepStartDateTime=NOW, InputReadinessState="READY",
    )  # fmt: skip
    said = yield Asked("N-CREATE", push, ONE, scheduled)
    assert said.status == 0xB300
    scheduled.WorklistLabel = "RADIOLOGY"
    said = yield Asked("N-CREATE", push, None, scheduled)
    assert said.status == 0
    second = said.sop_instance_uid
    assert second not in (None, ONE)
    watched = Dataset()
    watched.ReceivingAE, watched.DeletionLock = "PYNETDICOM", "TRUE"
    said = yield Asked("N-ACTION", push, ONE, watched, 3, context=UNIFIED_PROCEDURE_STEP_WATCH)
    assert said.status == 0
    query = Dataset()
    query.SOPInstanceUID, query.ProcedureStepState, query.WorklistLabel = "", "SCHEDULED", ""
    said = yield Asked("C-FIND", pull, None, query)
    assert said.status == 0
    assert {each.SOPInstanceUID: each.WorklistLabel for each in said.matches} == {ONE: "WARD", second: "RADIOLOGY"}
    said = yield Asked("N-ACTION", push, ONE, state("IN PROGRESS"), 1, context=pull)
    assert said.status == 0
    said = yield Asked("N-ACTION", push, ONE, state("IN PROGRESS"), 1, context=pull)
    assert (said.status, said.comment) == (0xC302, "the step is IN PROGRESS already")
    query.ProcedureStepState = "IN PROGRESS"
    said = yield Asked("C-FIND", pull, None, query)
    assert [each.SOPInstanceUID for each in said.matches] == [ONE]
    done, item = Dataset(), Dataset()
    item.PerformedStationNameCodeSequence, item.PerformedWorkitemCodeSequence = [code("Station")], [code("Work")]
    item.PerformedProcedureStepStartDateTime = item.PerformedProcedureStepEndDateTime = NOW
    item.OutputInformationSequence = []
    done.UnifiedProcedureStepPerformedProcedureSequence = [item]
    said = yield Asked("N-SET", push, ONE, done, context=pull)
    assert said.status == 0xC301
    said = yield Asked("N-ACTION", push, ONE, state("COMPLETED"), 1, context=pull)
    assert said.status == 0xC304
    done.TransactionUID = "1.2.99"
    said = yield Asked("N-SET", push, ONE, done, context=pull)
    assert said.status == 0
    for status in (0, 0xB306):
        said = yield Asked("N-ACTION", push, ONE, state("COMPLETED"), 1, context=pull)
        assert said.status == status
    said = yield Asked("N-GET", push, ONE, attributes=(0x00741000, 0x00100010), context=pull)
    assert (said.status, said.data_set.ProcedureStepState) == (0, "COMPLETED")
    assert said.data_set.PatientName == "Mötley^Planned"
    assert "TransactionUID" not in said.data_set
    reason = data_set("Reason", ReasonForCancellation="not needed")
    for status in (0, 0xB304):
        said = yield Asked("N-ACTION", push, second, reason, 2)
        assert said.status == status
    said = yield Asked("N-GET", push, TWO)
    assert said.status == 0xC307


def reported(events: list[tuple[str, ups.Event]]) -> Script:
    for uid, event in events:
        said = yield Asked(
            "N-EVENT-REPORT",
            UNIFIED_PROCEDURE_STEP_PUSH,
            uid,
            event.information,
            int(event.type_id),
            context=UNIFIED_PROCEDURE_STEP_EVENT,
        )
        assert said.status == 0


@both_ways
def test_a_unified_procedure_step(theirs: Theirs, who: tuple[str, str]) -> None:
    book, told = Steps(), Echo()
    contexts = [UNIFIED_PROCEDURE_STEP_PUSH, UNIFIED_PROCEDURE_STEP_PULL, UNIFIED_PROCEDURE_STEP_WATCH]
    exchange(who, theirs, book, worked_off(), contexts)
    assert book.subscriptions.is_locked(ONE)
    assert book.subscriptions.watchers(ONE) == ("PYNETDICOM",)
    # The events go to the receiver on an association of their own (PS3.4 CC.2.4.1), opened by the SCP.
    exchange(who, theirs, told, reported(book.events), [UNIFIED_PROCEDURE_STEP_EVENT])
    states = [each.data_set.get("ProcedureStepState") for each in told.asked if each.data_set]
    assert states == ["SCHEDULED", "SCHEDULED", "IN PROGRESS", "COMPLETED", "IN PROGRESS", "CANCELED"]
    assert [each.type_id for each in told.asked] == [1] * 6


# ---------------------------------------------------------------- Print Management


class Press(Book):
    """A printer, with one film session."""

    def __init__(self) -> None:
        super().__init__()
        self.session = printing.PrintSession()
        self.new_uid: Callable[[], str] = (f"1.2.3.{number}" for number in itertools.count(1)).__next__

    def answer(self, asked: Asked) -> Answered:
        uid, given = asked.sop_instance_uid or "", asked.data_set or Dataset()
        if asked.sop_class_uid == PRINTER:
            status = data_set("Printer", PrinterStatus="NORMAL", PrinterStatusInfo="NORMAL")
            return 0, those_of(status, asked.attributes)
        is_film = asked.sop_class_uid == BASIC_FILM_BOX
        if asked.service == "N-CREATE":
            if is_film:
                return 0, self.session.create_film_box(uid, given, self.new_uid)
            self.session.create_film_session(uid)
        elif asked.service == "N-SET":
            self.session.set_image_box(uid, given)
        elif asked.service == "N-ACTION":
            return int((self.session.print_film_box if is_film else self.session.print_film_session)(uid)), None
        else:
            (self.session.delete_film_box if is_film else self.session.delete_film_session)(uid)
        return 0, None


def image() -> Dataset:
    made = Dataset()
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.Rows, made.Columns, made.BitsAllocated, made.BitsStored, made.HighBit = 512, 400, 8, 8, 7
    made.PixelRepresentation, made.PixelData = 0, bytes(range(200)) * 1024
    made["PixelData"].VR = "OB"
    return made


def printed() -> Script:
    meta = BASIC_GRAYSCALE_PRINT_MANAGEMENT_META
    said = yield Asked("N-GET", PRINTER, PRINTER_INSTANCE, attributes=(0x21100010, 0x21100020), context=meta)
    assert (said.status, said.data_set.PrinterStatus) == (0, "NORMAL")
    said = yield Asked("N-CREATE", BASIC_FILM_SESSION, None, printing.film_session(copies=2), context=meta)
    session = said.sop_instance_uid
    assert said.status == 0
    assert session
    film = printing.film_box(session, "STANDARD\\2,1", orientation="PORTRAIT")
    said = yield Asked("N-CREATE", BASIC_FILM_BOX, ONE, film, context=meta)
    assert said.status == 0
    boxes = printing.image_boxes(said.data_set)
    assert len(boxes) == 2
    for position, (box_class, box) in enumerate(boxes, 1):
        said = yield Asked("N-SET", box_class, box, printing.image_box(position, image()), context=meta)
        assert said.status == 0
    said = yield Asked(
        "N-SET", boxes[0].sop_class_uid, boxes[0].sop_instance_uid, printing.image_box(2, image()), context=meta
    )
    assert said.status == 0x0106
    said = yield Asked("N-ACTION", BASIC_FILM_BOX, ONE, None, 1, context=meta)
    assert said.status == 0
    said = yield Asked("N-ACTION", BASIC_FILM_SESSION, session, None, 1, context=meta)
    assert said.status == 0
    for status in (0, 0x0112):
        said = yield Asked("N-DELETE", BASIC_FILM_BOX, ONE, context=meta)
        assert said.status == status
    said = yield Asked("N-ACTION", BASIC_FILM_SESSION, session, None, 1, context=meta)
    assert (said.status, said.comment) == (0xC600, "the film session has no film boxes")
    said = yield Asked("N-DELETE", BASIC_FILM_SESSION, session, context=meta)
    assert said.status == 0


@both_ways
def test_a_film_is_printed(theirs: Theirs, who: tuple[str, str]) -> None:
    book = Press()
    exchange(who, theirs, book, printed(), [BASIC_GRAYSCALE_PRINT_MANAGEMENT_META])
    images = [each.data_set for each in book.asked if each.service == "N-SET" and each.data_set]
    assert [each.BasicGrayscaleImageSequence[0].PixelData for each in images] == [image().PixelData] * 3
    assert {each.context for each in book.asked} == {BASIC_GRAYSCALE_PRINT_MANAGEMENT_META}


# ---------------------------------------------------------------- Storage Commitment

REFERENCES: Final = ((CT, "1.2.3.1"), (CT, "1.2.3.2"))
PUSH: Final = STORAGE_COMMITMENT_PUSH_MODEL


class Committing(Book):
    """Takes requests, for reports to be made of; as the SCU, takes reports of what it asked."""

    def __init__(self) -> None:
        super().__init__()
        self.transactions = commitment.Transactions()
        self.results: list[commitment.Result] = []
        self.reported = threading.Event()

    def answer(self, asked: Asked) -> Answered:
        assert asked.data_set is not None
        if asked.service == "N-ACTION":
            commitment.read_request(asked.data_set)
        else:
            assert asked.type_id is not None
            self.results.append(self.transactions.receive(asked.type_id, asked.data_set))
            self.reported.set()
        return 0, None

    def report(self) -> tuple[int, Dataset]:
        """Of the last request: its first instance is there, the others are not."""
        assert self.asked[-1].data_set is not None
        uid, (first, *others) = commitment.read_request(self.asked[-1].data_set)
        return commitment.report(uid, [first], dict.fromkeys(others, 0x0112), retrieve_ae_title="ARCHIVE")

    def check(self, uid: str) -> None:
        """That the result is of this transaction, and what it has to be."""
        (result,) = self.results
        assert (result.transaction_uid, result.repeated) == (uid, False)
        assert result.committed == {REFERENCES[0]}
        assert result.failed == {REFERENCES[1]: 0x0112}
        assert result.retrieve_ae_title == "ARCHIVE"


def committed(asking: Committing, transaction_uid: str) -> Script:
    information = asking.transactions.open(transaction_uid, REFERENCES)
    said = yield Asked("N-ACTION", PUSH, commitment.SOP_INSTANCE, information, 1)
    assert said.status == 0


def report_of(book: Committing) -> Script:
    type_id, information = book.report()
    said = yield Asked("N-EVENT-REPORT", PUSH, commitment.SOP_INSTANCE, information, type_id)
    assert said.status == 0


@both_ways
def test_commitment_is_reported_on_another_association(theirs: Theirs, who: tuple[str, str]) -> None:
    asking, book = Committing(), Committing()
    exchange(who, theirs, book, committed(asking, "1.2.50"), [PUSH])
    other = "we" if who[0] == "pynetdicom" else "pynetdicom"
    exchange((other, who[1]), theirs, asking, report_of(book), [PUSH])
    asking.check("1.2.50")


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_we_report_commitment_on_the_same_association(theirs: Theirs, transport: str) -> None:
    """By ``after``: when the N-ACTION is answered."""
    from pynetdicom import evt

    from interop.exchanges import pynetdicom_asks

    asking, book = Committing(), Committing()
    answers: list[int] = []
    answered = threading.Event()
    service = service_of(book, transport)
    plain = service.n_action

    def begun(action: Any) -> None:
        if transport == "socket":
            action.after(lambda peer: done(peer.n_event_report(PUSH, commitment.SOP_INSTANCE, *book.report())))
            return

        async def later(peer: Any) -> None:
            done(await peer.n_event_report(PUSH, commitment.SOP_INSTANCE, *book.report()))

        action.after(later)

    def done(status: int) -> None:
        answers.append(status)
        answered.set()

    def blocking(action: Any) -> Any:
        begun(action)
        return plain(action)

    async def waiting(action: Any) -> Any:
        begun(action)
        return await plain(action)

    service.n_action = blocking if transport == "socket" else waiting

    def heard(event: Any) -> tuple[int, None]:
        asking.told(Asked("N-EVENT-REPORT", PUSH, None, event.event_information, event.event_type))
        return 0, None

    with (
        running(transport, service, supports=[PUSH]) as ours,
        peers.pynetdicom_scu(ours.port, [built(PUSH)], [(evt.EVT_N_EVENT_REPORT, heard)]) as association,
    ):
        pynetdicom_asks(committed(asking, "1.2.51"), association)
        assert answered.wait(peers.TOOL_TIMEOUT)
    assert (answers, ours.reports) == ([0], [])
    asking.check("1.2.51")


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("when", ["before the answer", "after it"])
def test_pynetdicom_reports_commitment_on_the_same_association(theirs: Theirs, transport: str, when: str) -> None:
    """Before: an N-EVENT-REPORT comes while our N-ACTION is under way, and is answered first."""
    asking = Committing()
    statuses: list[int] = []
    threads: list[threading.Thread] = []

    class Reports(Committing):
        """Reports at once, or when it may."""

        association: Any = None

        def answer(self, asked: Asked) -> Answered:
            answered = super().answer(asked)
            if when == "before the answer":
                self.tell()
            return answered

        def tell(self) -> None:
            type_id, information = self.report()
            said, _ = self.association.send_n_event_report(information, type_id, PUSH, commitment.SOP_INSTANCE)
            statuses.append(said.Status)

    book = Reports()

    async def talk(peer: Any) -> None:
        (book.association,) = theirs.server.scp.active_associations
        information = asking.transactions.open("1.2.52", REFERENCES)
        reply = await peer.n_action(PUSH, commitment.SOP_INSTANCE, 1, information)
        assert reply == 0
        if when == "after it":
            assert not asking.results
            threads.append(threading.Thread(target=book.tell))
            threads[0].start()
        await peer.serve(lambda: asking.results)

    theirs.book = book
    ask(transport, theirs.server, talk, contexts=[PUSH], service=service_of(asking, transport))
    for thread in threads:
        thread.join(peers.TOOL_TIMEOUT)
    assert (statuses, theirs.errors) == ([0], [])
    asking.check("1.2.52")
