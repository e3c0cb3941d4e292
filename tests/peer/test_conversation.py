"""What every request of the peer looks like, and which errors of its handler are worth a report."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from engine_pair import (
    ABORT,
    FIND,
    INSTANCE,
    MOVING,
    QUERY,
    RELEASE_RQ,
    acceptor,
    command,
    echo_rsp,
    find_rq,
    message,
    move_rq,
    requestor,
)
from memory_link import Alone, nothing_left
from sansdimse.dataset import Dataset, encode
from sansdimse.dimse.messages import CCancelRQ, CEchoRQ, NActionRQ, NActionRSP, NEventReportRQ, NEventReportRSP
from sansdimse.errors import LocalProtocolError
from sansdimse.events import FindRequested
from sansdimse.outcome import Outcome, OutcomeKind, Side
from sansdimse.peer.blocking import BlockingPeer
from sansdimse.peer.conversation import Conversation, Identified, report
from sansdimse.peer.handlers import Failure
from sansdimse.peer.scp_find import Find
from sansdimse.peer.scu import Peer
from sansdimse.peer.session import AssociationLost, Session
from sansdimse.services.extended import QueryExtended
from sansdimse.services.sop_classes import MODALITY_WORKLIST_FIND, STORAGE_COMMITMENT_PUSH_MODEL
from sansdimse.uids import EXPLICIT_VR_LITTLE_ENDIAN
from sansdimse.ul.items import ExtendedNegotiation
from sansdimse.ul.parties import PresentationContext
from sansdimse.ul.table import State

LOST = AssociationLost(Outcome(kind=OutcomeKind.CLOSED, by=Side.PEER, state=State.STA6))


def asked() -> tuple[Alone, Conversation]:
    made: list[Conversation] = []

    async def serve(service: object, session: Session, event: FindRequested) -> None:
        made.append(Conversation(session, event.operation))
        await session.end()

    alone = Alone(object(), config=acceptor(QUERY), other=requestor(QUERY))
    alone.session._serve = serve  # type: ignore[assignment]
    alone.raw.send(find_rq())
    return alone, made[0]


def test_where_it_came_from() -> None:
    alone, conversation = asked()
    assert conversation.context is alone.engine.contexts[3]
    assert conversation.transfer_syntax_uid == conversation.context.transfer_syntax
    assert conversation.association == alone.session.info()


def test_whose_answer_nobody_waits_for() -> None:
    alone, conversation = asked()
    assert not conversation.cancelled
    alone.raw.send(RELEASE_RQ)
    assert not conversation.cancelled, "the peer waits for the answer before its release is"
    alone.raw.send(ABORT)
    assert conversation.cancelled


@pytest.mark.parametrize("how", ["cancel", "vanish", "answered"])
def test_nobody_waits_after_a_cancel_a_loss_or_the_answer(how: str) -> None:
    alone, conversation = asked()
    if how == "cancel":
        alone.raw.send(command(7, CCancelRQ(message_id_being_responded_to=1)))
    elif how == "vanish":
        alone.raw.vanish()
    else:
        conversation._operation.finish()  # type: ignore[attr-defined]
    assert conversation.cancelled


def test_it_may_end_the_association() -> None:
    alone, conversation = asked()
    conversation.abort()
    assert alone.session.outcome is not None
    assert alone.session.outcome.kind is OutcomeKind.ABORTED


@pytest.mark.parametrize(
    ("error", "ended", "reported"),
    [
        (KeyError(), False, True),
        (KeyError(), True, True),
        (LOST, False, True),  # of another association
        (LOST, True, False),
    ],
)
def test_that_its_own_association_was_lost_is_no_news(error: Exception, ended: bool, reported: bool) -> None:
    alone, _ = asked()
    if ended:
        alone.raw.send(ABORT)
    report(error, alone.session, "C-FIND 1")
    assert alone.reports == ([(error, "C-FIND 1")] if reported else [])


# ---------------------------------------------------------------- what comes after

COMMITMENT = PresentationContext(STORAGE_COMMITMENT_PUSH_MODEL, scp=True)
ACTION = message(
    7,
    NActionRQ(
        message_id=1,
        requested_sop_class_uid=STORAGE_COMMITMENT_PUSH_MODEL,
        requested_sop_instance_uid=INSTANCE,
        action_type_id=1,
    ),
)
REPORTED = message(7, NEventReportRSP(message_id_being_responded_to=1, status=0x0110))

After = Callable[[Any], Any]


def acting(*functions: After, is_async: bool = True, given: Any = 0) -> Alone:
    """One whose peer asked for an N-ACTION, which is answered, and after that comes this."""

    def n_action(asked: Any) -> Any:
        for function in functions:
            asked.after(function)
        if isinstance(given, Exception):
            raise given
        return given

    async def n_action_async(asked: Any) -> Any:
        return n_action(asked)

    service = SimpleNamespace(n_action=n_action_async if is_async else n_action)
    alone = Alone(service, config=acceptor(COMMITMENT), other=requestor(COMMITMENT))
    alone.raw.send(ACTION)
    return alone


def reporting(got: list[Any]) -> After:
    """What reports an event to whoever asked, and keeps the reply."""

    async def report_event(peer: Peer) -> None:
        got.append(await peer.n_event_report(STORAGE_COMMITMENT_PUSH_MODEL, INSTANCE, 1))

    return report_event


@pytest.mark.parametrize("handler_is_async", [True, False])
@pytest.mark.parametrize("given", [0, 0x0110, None, ZeroDivisionError()])
def test_an_event_is_reported_after_the_answer_whatever_that_was(given: Any, handler_is_async: bool) -> None:
    got: list[Any] = []
    alone = acting(reporting(got), is_async=handler_is_async, given=given)
    first, then = alone.raw.said()
    assert isinstance(first, NActionRSP)
    assert isinstance(then, NEventReportRQ)
    alone.raw.send(REPORTED)
    assert got == [0x0110]
    assert nothing_left(alone.session)
    assert len(alone.reports) == (given not in (0, 0x0110))


def test_an_async_function_gets_the_peer_and_another_one_that_blocks() -> None:
    got: list[Any] = []

    async def asks(peer: Peer) -> None:
        got.append((type(peer), peer.info.calling_ae_title))

    def blocks(peer: BlockingPeer) -> None:
        got.append((type(peer), peer.info.calling_ae_title))

    class Called:
        async def __call__(self, peer: Peer) -> None:
            got.append(type(peer))

    alone = acting(asks, blocks, Called())
    assert got == [(Peer, "ME"), (BlockingPeer, "ME"), Peer]
    assert not alone.reports


def test_one_that_blocks_asks_and_waits() -> None:
    got: list[Any] = []
    answered: list[bool] = []

    def blocks(peer: BlockingPeer) -> None:
        answers = alone.loop.spawn(_answers())
        got.append(peer.c_echo())
        answered.append(answers.done)

    async def _answers() -> None:
        alone.raw._outgoing.data += echo_rsp(1)

    alone = Alone(
        SimpleNamespace(n_action=lambda asked: asked.after(blocks) or 0),
        config=acceptor(COMMITMENT),
        other=requestor(COMMITMENT),
    )
    alone.raw.send(ACTION)
    assert (got, answered) == ([0], [True])
    assert [type(each) for each in alone.raw.said()] == [NActionRSP, CEchoRQ]
    assert not alone.reports


@pytest.mark.parametrize("has_deadlines", [True, False])
def test_a_deadline_is_for_links_that_have_one(has_deadlines: bool) -> None:
    bounds: list[float | None] = []

    @contextmanager
    def within(seconds: float | None) -> Iterator[None]:
        bounds.append(seconds)
        yield

    def blocks(peer: BlockingPeer) -> None:
        with peer.within(5.0):
            pass

    alone = Alone(
        SimpleNamespace(n_action=lambda asked: asked.after(blocks) or 0),
        config=acceptor(COMMITMENT),
        other=requestor(COMMITMENT),
    )
    if has_deadlines:
        alone.link.within = within  # type: ignore[attr-defined]
    alone.raw.send(ACTION)
    assert bounds == ([5.0] if has_deadlines else [])
    errors = [(type(error), where) for error, where in alone.reports]
    assert errors == ([] if has_deadlines else [(LocalProtocolError, "after N-ACTION 1")])


@pytest.mark.parametrize("is_async", [True, False])
def test_what_it_raises_is_reported_and_holds_up_nothing(is_async: bool) -> None:
    order: list[str] = []

    async def fails(peer: Peer) -> None:
        raise ZeroDivisionError

    def fails_too(peer: BlockingPeer) -> None:
        raise ZeroDivisionError

    async def next_one(peer: Peer) -> None:
        order.append("next")

    alone = acting(fails if is_async else fails_too, next_one)
    assert order == ["next"]
    assert [(type(error), where) for error, where in alone.reports] == [(ZeroDivisionError, "after N-ACTION 1")]
    assert [response.status for response in alone.raw.said()] == [0]


@pytest.mark.parametrize("can_cancel", [True, False])
@pytest.mark.parametrize("end", ["abort", "release", "vanish"])
def test_that_the_association_is_lost_meanwhile_is_no_news(end: str, can_cancel: bool) -> None:
    got: list[Any] = []
    alone = acting(reporting(got))
    if end == "vanish":
        alone.raw.vanish("connection reset")
    else:
        alone.raw.send(ABORT if end == "abort" else RELEASE_RQ)
    assert got == []
    assert not alone.reports
    assert not alone.loop.waiting
    assert nothing_left(alone.session)


def test_where_nobody_waits_for_the_answer_it_is_called_all_the_same() -> None:
    """And learns of the loss when it asks."""
    got: list[Any] = []

    def n_action(asked: Any) -> int:
        asked.after(lambda peer: got.append(peer.outcome.kind))
        asked.abort()
        return 0

    alone = Alone(SimpleNamespace(n_action=n_action), config=acceptor(COMMITMENT), other=requestor(COMMITMENT))
    alone.link.can_cancel = False
    alone.raw.send(ACTION)
    assert got == [OutcomeKind.ABORTED]
    assert not alone.reports


def test_a_handler_asks_its_peer_in_turn() -> None:
    got: list[Any] = []

    async def n_action(asked: Any) -> int:
        got.append(await asked.peer.c_echo())
        return 0

    alone = Alone(SimpleNamespace(n_action=n_action), config=acceptor(COMMITMENT), other=requestor(COMMITMENT))
    alone.raw.send(ACTION)
    assert [type(each) for each in alone.raw.said()] == [CEchoRQ]
    alone.raw.send(echo_rsp(1, status=0x0122))
    assert [type(each) for each in alone.raw.said()] == [NActionRSP]
    assert got == [0x0122]


# ---------------------------------------------------------------- identifiers


def data_set(**values: Any) -> Dataset:
    dataset = Dataset()
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return dataset


def finding(
    identifier: Dataset | bytes, sop_class: str = FIND, *, relational: tuple[bool, bool] | None = None
) -> Identified:
    """A C-FIND for this; ``relational`` is what the requestor proposed and what we support."""
    made: list[Identified] = []

    async def c_find(find: Identified) -> list[Dataset]:
        made.append(find)
        return []

    context = PresentationContext(sop_class, scp=True)
    ours, theirs = acceptor(context), requestor(context)
    if relational is not None:
        proposed, supported = (QueryExtended(relational=each) for each in relational)
        ours = acceptor(context, extended={sop_class: supported.answer})
        theirs = requestor(context, extended=(ExtendedNegotiation(sop_class, proposed.encode()),))
    alone = Alone(SimpleNamespace(c_find=c_find), config=ours, other=theirs)
    raw = identifier if isinstance(identifier, bytes) else encode(identifier, EXPLICIT_VR_LITTLE_ENDIAN)
    alone.raw.send(find_rq(1, identifier=raw, sop_class=sop_class))
    return made[0]


STUDIES = data_set(QueryRetrieveLevel="STUDY", PatientID="7", StudyInstanceUID="")


def test_an_identifier_is_decoded_when_asked_for_and_once() -> None:
    find = finding(STUDIES)
    assert find.raw_identifier == encode(STUDIES, EXPLICIT_VR_LITTLE_ENDIAN)
    assert find.identifier == STUDIES
    assert find.identifier is find.identifier
    assert find.sop_class_uid == FIND


@pytest.mark.parametrize(
    ("method", "asked", "status"), [("c_find", find_rq(), 0xC310), ("c_move", move_rq(1, 9), 0xC510)]
)
def test_one_that_cannot_be_decoded_has_a_status_of_its_service(method: str, asked: bytes, status: int) -> None:
    async def handler(conversation: Identified) -> Any:
        return conversation.identifier

    contexts = (QUERY, MOVING)
    alone = Alone(SimpleNamespace(**{method: handler}), config=acceptor(*contexts), other=requestor(*contexts))
    alone.raw.send(asked)
    (response,) = alone.raw.said()
    assert (response.status, response.error_comment) == (status, "Unable to decode the dataset")
    assert not alone.reports


def test_the_context_tells_the_sop_class_if_the_request_does_not() -> None:
    find = finding(STUDIES)
    object.__setattr__(find._operation.request, "affected_sop_class_uid", "")
    assert find.sop_class_uid == FIND


def test_an_identifier_that_is_as_its_model_asks() -> None:
    find = finding(STUDIES)
    assert find.check_identifier() is find.identifier
    worklist = data_set(PatientName="A*")
    assert finding(worklist, MODALITY_WORKLIST_FIND).check_identifier() == worklist


IMAGES = data_set(QueryRetrieveLevel="IMAGE", SOPInstanceUID="", StudyInstanceUID="1.2.3")


@pytest.mark.parametrize(
    ("identifier", "tags"),
    [
        (IMAGES, (0x0020000E,)),
        (data_set(PatientID="7"), (0x00080052,)),
        (data_set(QueryRetrieveLevel="FRAME"), (0x00080052,)),
    ],
)
def test_one_that_is_not_is_refused_with_the_elements_in_question(identifier: Dataset, tags: tuple[int, ...]) -> None:
    with pytest.raises(Failure) as raised:
        finding(identifier).check_identifier()
    assert (raised.value.status, raised.value.offending_element) == (0xA900, tags)
    assert raised.value.comment
    assert len(raised.value.comment) <= 64


@pytest.mark.parametrize(
    ("relational", "taken"), [(None, False), ((True, False), False), ((False, True), False), ((True, True), True)]
)
def test_relational_keys_are_for_who_agreed_to_them(relational: tuple[bool, bool] | None, taken: bool) -> None:
    find = finding(IMAGES, relational=relational)
    if taken:
        assert find.check_identifier() == IMAGES
    else:
        with pytest.raises(Failure):
            find.check_identifier()


def test_one_that_cannot_be_decoded_cannot_be_checked() -> None:
    with pytest.raises(Failure) as raised:
        finding(b"what is this").check_identifier()
    assert raised.value.status == 0xC310


def test_our_title_is_that_of_our_end() -> None:
    find = finding(STUDIES)
    assert find.our_title == "YOU"
    alone = Alone(object(), config=requestor(QUERY), other=acceptor(QUERY))
    alone.raw.send(find_rq())
    # a requestor may serve as well
    context = alone.engine.contexts[3]
    operation: Any = SimpleNamespace(context=context)
    assert Find(alone.session, operation, b"").our_title == "ME"
