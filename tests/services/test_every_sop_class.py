"""Every SOP class of the table in a conversation: each of its services in both roles, and what it does not have.

In memory: two sessions, a service with all handlers at either end. A C-GET stores over the same association, a C-MOVE
over another between the same two. Data sets are encoded and decoded on the way.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import cache
from typing import Any, Final

import pytest

from memory_link import Joined, Network, Place
from sansdimse.dataset import Dataset, Instance, instance_of
from sansdimse.dimse import messages
from sansdimse.dimse.status import Status, StatusCategory
from sansdimse.errors import LocalProtocolError
from sansdimse.peer.answer import final_answer
from sansdimse.peer.handlers import METHODS, Failure
from sansdimse.peer.scu import Peer
from sansdimse.peer.session import Session
from sansdimse.service_classes.query_retrieve import unique_keys
from sansdimse.services.action_types import action_types, event_types, well_known_instances
from sansdimse.services.sop_classes import (
    COMPOSITE_INSTANCE_WITHOUT_BULK_DATA_GET,
    CT_IMAGE_STORAGE,
    MODALITY_PERFORMED_PROCEDURE_STEP,
    PRINTER,
    STANDARD,
    UNIFIED_PROCEDURE_STEP_EVENT,
    UNIFIED_PROCEDURE_STEP_PULL,
    UNIFIED_PROCEDURE_STEP_PUSH,
    UNIFIED_PROCEDURE_STEP_QUERY,
    UNIFIED_PROCEDURE_STEP_WATCH,
    ServiceClass,
    SopClass,
    invoked_by,
)
from sansdimse.services.statuses import meaning_for, statuses_of
from sansdimse.uids import IMPLICIT_VR_LITTLE_ENDIAN
from sansdimse.ul.parties import Acceptor, PresentationContext, Requestor

ALIVE: Final = [row for row in STANDARD if not row.retired and row.dimse_services]
NORMALIZED: Final = [row for row in ALIVE if any(service.startswith("N-") for service in row.dimse_services)]
META: Final = [row for row in ALIVE if STANDARD.is_meta(row.uid)]
UPS: Final = (
    UNIFIED_PROCEDURE_STEP_PUSH,
    UNIFIED_PROCEDURE_STEP_WATCH,
    UNIFIED_PROCEDURE_STEP_PULL,
    UNIFIED_PROCEDURE_STEP_EVENT,
    UNIFIED_PROCEDURE_STEP_QUERY,
)

INSTANCE, INVENTED, STORED = "1.2.3.4", "1.2.3.99", "1.2.3.5"
NAME: Final = "Müller^Jürgen"
PIXELS: Final = b"\1\2\3\4"
PLACE: Final = ("elsewhere", 104)
TAGS: Final = (0x00100010, 0x00400275)

each_row = pytest.mark.parametrize("row", ALIVE, ids=lambda row: row.keyword)
each_normalized = pytest.mark.parametrize("row", NORMALIZED, ids=lambda row: row.keyword)
each_meta = pytest.mark.parametrize("row", META, ids=lambda row: row.keyword)
both_roles = pytest.mark.parametrize("turned", [False, True], ids=["requestor-SCU", "requestor-SCP"])


# ---------------------------------------------------------------- what is said


def said(text: str) -> Dataset:
    """A data set that only decodes if it came as it was sent."""
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 100"
    dataset.PatientName = NAME
    dataset.PatientComments = text
    return dataset


def is_said(dataset: Dataset, text: str) -> bool:
    """Whether it did."""
    return (dataset.get("PatientName"), dataset.get("PatientComments")) == (NAME, text)


def query(row: SopClass, service: str) -> Dataset:
    """An identifier that the information model allows."""
    level = row.levels[0] if row.levels else ""
    keys = unique_keys(row.uid, level)
    dataset = said("query") if service == "C-FIND" or not keys else Dataset()
    if level:
        dataset.QueryRetrieveLevel = level
    for tag in keys:
        dataset.add_new(tag, "LO" if tag == 0x00100020 else "UI", "1.2.3")
    return dataset


@cache
def stored() -> Instance:
    """What a C-GET and a C-MOVE retrieve."""
    dataset = said("image")
    dataset.SOPClassUID, dataset.SOPInstanceUID = CT_IMAGE_STORAGE, STORED
    dataset.add_new(0x7FE00010, "OW", PIXELS)
    return instance_of(dataset, IMPLICIT_VR_LITTLE_ENDIAN)


def instance_for(sop_class_uid: str) -> Instance:
    """An instance of any SOP class."""
    dataset = said("image")
    dataset.SOPClassUID, dataset.SOPInstanceUID = sop_class_uid, STORED
    return instance_of(dataset, IMPLICIT_VR_LITTLE_ENDIAN)


# ---------------------------------------------------------------- who answers


class Everything:
    """A service with all handlers. ``answer`` takes the place of Success: a status, or what is raised."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, str]] = []
        """The services asked, each with SOP class and instance."""
        self.answer: int | Failure = 0
        self.text = ""
        """Of the last data set that was stored."""
        self.pixels: bytes | None = None

    def _was_asked(self, service: str, asked: Any, uid: str = "") -> int:
        self.asked.append((service, asked.sop_class_uid if service != "C-ECHO" else asked.context.abstract_syntax, uid))
        if isinstance(self.answer, Failure):
            raise self.answer
        return self.answer

    async def c_echo(self, echo: Any) -> int:
        return self._was_asked("C-ECHO", echo)

    async def c_store(self, store: Any) -> int:
        dataset = await store.dataset()
        self.text, self.pixels = str(dataset.get("PatientComments")), dataset.get("PixelData")
        return self._was_asked("C-STORE", store, store.sop_instance_uid)

    async def c_find(self, find: Any) -> AsyncIterator[Any]:
        assert is_said(find.check_identifier(), "query")
        answer = self._was_asked("C-FIND", find)
        yield said("match")
        if answer:
            yield answer, None

    async def c_get(self, get: Any) -> AsyncIterator[Any]:
        assert "1.2.3" in [element.value for element in get.check_identifier()]
        answer = self._was_asked("C-GET", get)
        yield 1
        yield Status(answer) if answer else stored()

    async def c_move(self, move: Any) -> AsyncIterator[Any]:
        assert "1.2.3" in [element.value for element in move.check_identifier()]
        answer = self._was_asked("C-MOVE", move, move.destination)
        yield PLACE
        yield 1
        yield Status(answer) if answer else stored()

    async def n_event_report(self, event: Any) -> Any:
        return self._normalized("N-EVENT-REPORT", event, "event")

    async def n_get(self, get: Any) -> Any:
        assert get.attributes == TAGS
        return self._normalized("N-GET", get)

    async def n_set(self, change: Any) -> Any:
        return self._normalized("N-SET", change, "change")

    async def n_action(self, action: Any) -> Any:
        return self._normalized("N-ACTION", action, "action")

    async def n_create(self, create: Any) -> Any:
        return self._normalized("N-CREATE", create, "create")

    async def n_delete(self, delete: Any) -> Any:
        return self._normalized("N-DELETE", delete)

    def _normalized(self, service: str, asked: Any, text: str | None = None) -> Any:
        if text is None:
            assert asked.raw_data_set is None
        else:
            assert is_said(asked.data_set, text)
        answer = Status(self._was_asked(service, asked, asked.sop_instance_uid))
        replies = service != "N-DELETE" and answer.category is not StatusCategory.FAILURE
        return (answer, said("reply")) if replies else answer


class Association:
    """An association for one SOP class; ``turned``: by role selection the requestor is its SCP."""

    def __init__(self, *sop_classes: str, turned: bool = False) -> None:
        self.requestor, self.acceptor, self.destination = Everything(), Everything(), Everything()
        network = Network()
        network.places[PLACE] = Place(self.destination, Acceptor("STORE", [], any_storage=True))
        contexts = [PresentationContext(uid, scu=not turned, scp=turned) for uid in sop_classes]
        if CT_IMAGE_STORAGE not in sop_classes:  # what is retrieved goes the other way
            contexts.append(PresentationContext(CT_IMAGE_STORAGE, scu=turned, scp=not turned))
        self.joined = Joined(
            self.acceptor,
            scu_service=self.requestor,
            ours=Requestor("ME", "YOU", contexts),
            theirs=Acceptor("YOU", [PresentationContext(context.abstract_syntax, scp=True) for context in contexts]),
            network=network,
        )
        scu, scp = self.joined.scu, self.joined.scp
        self.scu_session, self.scp_session = (scp, scu) if turned else (scu, scp)
        self.scu_service, self.scp_service = (
            (self.acceptor, self.requestor) if turned else (self.requestor, self.acceptor)
        )
        self.scp_session.associate = network.associate
        self.scp_session.new_uid = lambda: INVENTED

    def ask(self, service: str, sop_class_uid: str, row: SopClass) -> Any:
        """One service, from the side that the roles give it to; its final response."""
        session = self.scu_session if invoked_by(service) == "SCU" else self.scp_session
        return self.joined.loop.finish(ask(session, service, sop_class_uid, row))

    def performer(self, service: str) -> Everything:
        """Who is asked that."""
        return self.scp_service if invoked_by(service) == "SCU" else self.scu_service

    @property
    def asked(self) -> set[str]:
        """The services that the SCU asked, and the SCP reported."""
        asked = {service for service, _, _ in self.scp_service.asked}
        return asked | {service for service, _, _ in self.scu_service.asked if service == "N-EVENT-REPORT"}


async def ask(session: Session, service: str, sop_class_uid: str, row: SopClass) -> Any:
    """Invoke one service with a data set, if it has any; what it ended with."""
    peer = Peer(session)
    instance = (*well_known_instances(row.uid), INSTANCE)[0]
    match service:
        case "C-ECHO":
            echo = session.engine.c_echo(context_id=1)
            session.link.kick()
            return await final_answer(session.open_inbox(echo))
        case "C-STORE":
            return await peer.c_store(instance_for(sop_class_uid))
        case "C-FIND":
            async with peer.c_find(sop_class_uid, query(row, service)) as matches:
                found = [match async for match in matches]
            assert all(is_said(match, "match") for match in found)
            assert matches.answer is not None
            assert len(found) == 1 if matches.answer == 0 else len(found) <= 1
            return matches.answer
        case "C-GET":
            async with peer.c_get(sop_class_uid, query(row, service)) as retrieval:
                return await retrieval.finished()
        case "C-MOVE":
            async with peer.c_move(sop_class_uid, query(row, service), "STORE") as retrieval:
                return await retrieval.finished()
        case "N-EVENT-REPORT":
            number = min(event_types(row.uid), default=1)
            return await peer.n_event_report(sop_class_uid, instance, number, said("event"))
        case "N-GET":
            return await peer.n_get(sop_class_uid, instance, TAGS)
        case "N-SET":
            return await peer.n_set(sop_class_uid, instance, said("change"))
        case "N-ACTION":
            number = min(action_types(row.uid), default=1)
            return await peer.n_action(sop_class_uid, instance, number, said("action"))
        case "N-CREATE":
            return await peer.n_create(sop_class_uid, None, said("create"))
        case _:
            assert service == "N-DELETE"
            return await peer.n_delete(sop_class_uid, instance)


# ---------------------------------------------------------------- each of its services


def test_the_table_has_what_is_tried_here() -> None:
    assert {service for row in ALIVE for service in row.dimse_services} == set(METHODS)
    assert {row.service_class for row in STANDARD if not row.retired} - {row.service_class for row in ALIVE} == {
        ServiceClass.MEDIA_STORAGE,
        ServiceClass.REAL_TIME_VIDEO,
    }
    assert len(META) == 2
    assert {row.uid for row in ALIVE if row.members} == {*(row.uid for row in META), *UPS[1:]}


@both_roles
@each_row
def test_each_service_once(row: SopClass, turned: bool) -> None:
    association = Association(row.uid, turned=turned)
    for service in sorted(row.dimse_services):
        answer = association.ask(service, row.uid, row)
        assert answer == 0, service
        assert meaning_for(answer, row.uid, service, action_type=min(action_types(row.uid), default=None)), service
        check_reply(association, service, answer, row.uid)
    assert association.asked == row.dimse_services
    assert association.joined.reports == []
    assert association.joined.scu.engine.deviations == association.joined.scp.engine.deviations == ()


def check_reply(association: Association, service: str, answer: Any, sop_class_uid: str) -> None:
    """What came with Success, and what the other end was asked."""
    asked = association.performer(service).asked[-1]
    assert asked[:2] == (service, sop_class_uid)
    if service.startswith("N-"):
        assert answer.raw_data_set is None if service == "N-DELETE" else is_said(answer.data_set, "reply")
        assert answer.sop_instance_uid == asked[2]
        assert (asked[2] == INVENTED) is (service == "N-CREATE")
    elif service == "C-STORE":
        assert association.performer(service).text == "image"
    elif service in ("C-GET", "C-MOVE"):
        counters = (answer.counters.completed, answer.counters.failed, answer.counters.warning)
        assert (counters, answer.counters.remaining, answer.failed_instances) == ((1, 0, 0), None, ())
        receiver = association.scu_service if service == "C-GET" else association.destination
        assert receiver.asked[-1] == ("C-STORE", CT_IMAGE_STORAGE, STORED)
        assert (receiver.text, receiver.pixels) == (
            "image",
            None if sop_class_uid == COMPOSITE_INSTANCE_WITHOUT_BULK_DATA_GET else PIXELS,
        )


@both_roles
@each_meta
def test_a_context_of_a_meta_sop_class_carries_its_members(row: SopClass, turned: bool) -> None:
    association = Association(row.uid, turned=turned)
    seen: set[str] = set()
    for member in sorted(row.members):
        own = STANDARD.rows[member]
        for service in METHODS:
            if service.startswith("N-"):
                answer = association.ask(service, member, own)
                assert answer == (0 if service in own.dimse_services else 0x0211), (own.name, service)
                if not answer:
                    check_reply(association, service, answer, member)
        seen |= own.dimse_services
    assert seen == row.dimse_services == association.asked
    assert association.joined.reports == []


@both_roles
@pytest.mark.parametrize("uid", UPS, ids=STANDARD.name_of)
def test_commands_of_unified_procedure_steps_name_push_in_each_context(uid: str, turned: bool) -> None:
    """PS3.4 CC.3.1.1; what may be said is what the SOP class of the context has."""
    row = STANDARD.rows[uid]
    association = Association(uid, turned=turned)
    for service in sorted(METHODS):
        if service in ("C-ECHO", "C-STORE", "C-GET", "C-MOVE"):
            continue
        answer = association.ask(service, UNIFIED_PROCEDURE_STEP_PUSH, row)
        assert answer == (0 if service in row.dimse_services else 0x0211), service
        if not answer:
            check_reply(association, service, answer, UNIFIED_PROCEDURE_STEP_PUSH)
    assert association.asked == row.dimse_services
    assert association.joined.reports == []


# ---------------------------------------------------------------- what it does not have


@each_row
def test_a_service_that_it_does_not_have_is_refused(row: SopClass) -> None:
    """0211, and 0122 for C-ECHO, which can only name Verification; no handler hears of it."""
    association = Association(row.uid)
    for service in sorted(set(METHODS) - row.dimse_services):
        answer = association.ask(service, row.uid, row)
        assert answer == (0x0122 if service == "C-ECHO" else 0x0211), service
    assert association.asked == set()
    last = max(row.dimse_services)
    assert association.ask(last, row.uid, row) == 0, "the association is usable"


@each_row
def test_a_role_that_was_not_selected_is_our_own_mistake(row: SopClass) -> None:
    association = Association(row.uid)
    for service in sorted(row.dimse_services - {"C-ECHO"}):
        wrong = association.scp_session if invoked_by(service) == "SCU" else association.scu_session
        with pytest.raises(LocalProtocolError, match=r"the roles say so|not for us to send"):
            association.joined.loop.finish(ask(wrong, service, row.uid, row))
    assert association.asked == set()
    assert association.ask(min(row.dimse_services), row.uid, row) == 0, "nothing has changed"


@each_row
def test_every_status_of_the_table_can_be_answered(row: SopClass) -> None:
    """What the table has for the SOP class arrives as it was answered, and is no fault to report."""
    association = Association(row.uid)
    action = min(action_types(row.uid), default=None)
    for service in sorted(row.dimse_services):
        performer = association.performer(service)
        for status in sorted(statuses_for(row, service, action)):
            performer.answer = status
            answer = association.ask(service, row.uid, row)
            assert answer == status, (service, status)
            assert association.joined.reports == [], (service, status)
        performer.answer = 0


def statuses_for(row: SopClass, service: str, action: int | None) -> set[Status]:
    """The ends of all ranges, but those that the course of a C-GET or C-MOVE decides, Pending and Cancel."""
    own = {
        code
        for meaning in (*statuses_of(row.service_class, service), *statuses_of(None, service))
        if not meaning.sop_classes or row.uid in meaning.sop_classes
        if not meaning.action_types or action in meaning.action_types
        for code in (Status(meaning.first), Status(meaning.last))
    }
    kinds = {StatusCategory.PENDING, StatusCategory.CANCEL}
    if service in ("C-GET", "C-MOVE"):
        kinds |= {StatusCategory.SUCCESS, StatusCategory.WARNING}
    return {code for code in own if code.category not in kinds}


# ---------------------------------------------------------------- DIMSE-N: which instance, which attributes


def values() -> Dataset:
    """The attributes in question, with their values."""
    dataset = Dataset()
    dataset.PatientName = "X"
    return dataset


REFUSALS: Final = [
    Failure(0x0112, "No such instance"),
    Failure(0x0105, attributes=TAGS),
    Failure(0x0106, attribute_list=values()),
    Failure(0x0107, attributes=TAGS),
    Failure(0x0120, attributes=TAGS),
    Failure(0x0121, attribute_list=values()),
    Failure(0x0110, "Out of order", error_id=7),
    Failure(0xC123, "Wrong", offending_element=TAGS),
]
LISTS: Final = {"N-GET", "N-SET", "N-ACTION", "N-CREATE"}
"""Whose responses have an Attribute Identifier List (PS3.7 10.3)."""


@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda refusal: f"{refusal.status:04X}")
@each_normalized
def test_what_a_handler_says_of_instance_and_attributes_arrives(row: SopClass, refusal: Failure) -> None:
    """With the elements that PS3.7 has for the response; what it has not is reported, and 0110 answered."""
    association = Association(row.uid)
    for service in sorted(row.dimse_services):
        if not service.startswith("N-"):
            continue
        association.performer(service).answer = refusal
        answer = association.ask(service, row.uid, row)
        reported = [type(error).__name__ for error, _ in association.joined.reports]
        association.joined.reports.clear()
        unknown = (
            []
            if meaning_for(refusal.status, row.uid, service, action_type=min(action_types(row.uid), default=None))
            else ["ValueError"]
        )
        if (refusal.attributes and service not in LISTS) or (refusal.attribute_list and service == "N-DELETE"):
            assert (answer, reported) == (0x0110, [*unknown, "LocalProtocolError"]), service
            continue
        assert (answer, reported) == (refusal.status, unknown), service
        response = answer.response
        assert getattr(response, "attribute_identifier_list", ()) == refusal.attributes
        assert response.offending_element == refusal.offending_element
        assert (response.error_id, response.error_comment) == (refusal.error_id, refusal.comment)
        assert answer.data_set == (refusal.attribute_list or Dataset())


def test_the_responses_that_have_an_attribute_identifier_list() -> None:
    kinds = {service: getattr(messages, f"{service.title().replace('-', '')}RSP") for service in METHODS}
    with_list = {service for service, kind in kinds.items() if hasattr(kind, "attribute_identifier_list")}
    assert with_list == LISTS


def test_an_instance_that_the_service_does_not_know() -> None:
    """One that looks for itself: what it has is told, the rest is 0112."""

    class Steps(Everything):
        def __init__(self) -> None:
            super().__init__()
            self.known: set[str] = set()

        async def n_create(self, create: Any) -> Any:
            if create.sop_instance_uid in self.known:
                raise Failure(0x0111)
            self.known.add(create.sop_instance_uid)
            return 0

        async def n_set(self, change: Any) -> Any:
            if change.sop_instance_uid not in self.known:
                raise Failure(0x0112)
            return 0

    association = Association(MODALITY_PERFORMED_PROCEDURE_STEP)
    association.joined.scp.service = Steps()
    run = association.joined.loop.finish
    peer = association.joined.peer
    step = MODALITY_PERFORMED_PROCEDURE_STEP
    assert run(peer.n_set(step, INSTANCE, said("change"))) == 0x0112
    assert run(peer.n_create(step, INSTANCE, said("create"))) == 0
    assert run(peer.n_set(step, INSTANCE, said("change"))) == 0
    assert run(peer.n_create(step, INSTANCE, said("create"))) == 0x0111


def test_a_sop_class_foreign_to_the_context_is_refused() -> None:
    association = Association(MODALITY_PERFORMED_PROCEDURE_STEP)
    scu = association.joined.scu

    async def get() -> Any:
        operation = scu.engine.n_get(PRINTER, INSTANCE, TAGS, context_id=1)
        scu.link.kick()
        return await final_answer(scu.open_inbox(operation))

    assert association.joined.loop.finish(get()) == 0x0122
    assert association.asked == set()
