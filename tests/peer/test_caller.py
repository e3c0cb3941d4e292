"""What every ``associate`` does: the proposal as asked for, the engine, the session, and a service of ours with it."""

from __future__ import annotations

import inspect
from dataclasses import replace
from typing import Any

import pytest

from engine_pair import CONTEXTS, CT, RELEASE_RQ, acceptor, echo_rq
from memory_link import Anything, Loop, MemoryLink, Pipe, Raw, content, instance
from sansdimse.admission import Certificate
from sansdimse.errors import LocalProtocolError
from sansdimse.limits import Limits
from sansdimse.outcome import OutcomeKind
from sansdimse.peer.caller import LINGER, AssociateOptions, Caller
from sansdimse.peer.host import Host
from sansdimse.peer.scu import Peer
from sansdimse.peer.session import opens_none
from sansdimse.peer.watch import AssociationEnded, AssociationEstablished, OperationEnded
from sansdimse.profile import DEFAULT, STRICT
from sansdimse.services.common_extended import common_negotiations
from sansdimse.services.extended import QueryExtended, RetrieveExtended
from sansdimse.services.sop_classes import STANDARD, STUDY_ROOT_FIND, private_sop_class, private_storage
from sansdimse.uids import VERIFICATION
from sansdimse.ul.items import (
    AsynchronousOperationsWindow,
    CommonExtendedNegotiation,
    ExtendedNegotiation,
    UserIdentityRQ,
)
from sansdimse.ul.negotiation import answer
from sansdimse.ul.parties import MAXIMUM_LENGTH, PresentationContext, Requestor, WhenIdle
from sansdimse.ul.pdu import AReleaseRP
from sansdimse.ul.table import State


def caller(**options: Any) -> Caller:
    return Caller(**{"contexts": CONTEXTS, "report": lambda *told: None, "now": 0.0, **options})


class Calling:
    """A caller before a scripted peer, which accepts."""

    def __init__(self, **options: Any) -> None:
        self.loop = Loop()
        self.reports: list[Any] = []
        self.told: list[Any] = []
        self.caller = caller(report=lambda *told: self.reports.append(told), watch=self.told.append, **options)
        into, out = Pipe(), Pipe()
        self.link = MemoryLink(self.loop, self.caller.engine, into, out)
        self.session = self.link.session = self.caller.session(
            self.link, "pacs.example:104", lambda: Certificate("commonName=pacs.example")
        )
        self.caller.engine.transport_opened(0.0)
        self.raw = Raw(self.loop, out, into)
        (request,) = self.raw.said()
        self.raw.send(answer(acceptor(), request))


def test_every_option_of_associate_is_one_of_the_caller() -> None:
    parameters = inspect.signature(Caller).parameters
    assert set(AssociateOptions.__annotations__) == set(parameters) - {"now"}
    needed = {name for name, each in parameters.items() if each.default is each.empty}
    assert needed == {"contexts", "report", "now"}, "a transport has a report of its own"


def test_what_is_not_said_is_as_documented() -> None:
    engine = caller().engine
    assert engine.config == Requestor(
        "SANSDIMSE", "ANY-SCP", CONTEXTS, maximum_length=MAXIMUM_LENGTH, limits=replace(Limits(), artim=LINGER)
    )
    assert (engine.state, engine.is_requestor) == (State.STA4, True)
    assert engine.config.when_idle is WhenIdle.ABORT
    assert engine.config.profile is DEFAULT
    assert 0 < LINGER <= 5


def test_what_is_said_is_proposed() -> None:
    given: dict[str, Any] = {
        "maximum_length": 20_000,
        "window": AsynchronousOperationsWindow(8, 2),
        "extended": (ExtendedNegotiation(CT, b"\2\1\1"),),
        "common_extended": (CommonExtendedNegotiation(CT, "1.2.840.10008.4.2"),),
        "user_identity": UserIdentityRQ(1, b"me"),
        "when_idle": WhenIdle.RELEASE,
        "limits": replace(Limits(), idle=5.0),
        "profile": STRICT,
    }
    engine = caller(calling="ME", called="YOU", now=7.0, **given).engine
    assert engine.config == Requestor("ME", "YOU", CONTEXTS, **given)
    assert engine.now == 7.0
    request = engine.request
    assert request is not None
    assert (request.calling_ae_title, request.called_ae_title) == ("ME", "YOU")
    assert request.user_identity == given["user_identity"]
    assert request.maximum_length == 20_000


def test_extended_negotiation_is_said_by_sop_class() -> None:
    contexts = [STUDY_ROOT_FIND, CT]
    options: dict[str, Any] = {
        "contexts": contexts,
        "extended": {STUDY_ROOT_FIND: QueryExtended(relational=True), CT: b"\2\0\0\0\1\0"},
        "common_extended": list(common_negotiations(contexts)),
    }
    request = caller(**options).engine.request
    assert request is not None
    assert [(item.sop_class_uid, item.information) for item in request.extended_negotiations] == [
        (STUDY_ROOT_FIND, b"\1"),
        (CT, b"\2\0\0\0\1\0"),
    ]
    assert [item.sop_class_uid for item in request.common_extended_negotiations] == [CT]
    with pytest.raises(LocalProtocolError, match="has QueryExtended, not RetrieveExtended"):
        caller(contexts=contexts, extended={STUDY_ROOT_FIND: RetrieveExtended()})


def test_what_cannot_be_proposed_or_served_is_told_at_once() -> None:
    with pytest.raises(LocalProtocolError, match="no UID"):
        caller(contexts=["no UID"])
    finding = PresentationContext(STUDY_ROOT_FIND, scp=True)
    with pytest.raises(TypeError, match="c_find"):
        caller(contexts=[finding], service=object())
    contexts = [PresentationContext(STUDY_ROOT_FIND), PresentationContext(CT, scp=True)]
    assert caller(contexts=contexts, service=object()), "only what the peer may invoke needs a method"


def test_what_is_stored_for_a_c_get_may_have_a_handler_of_its_own() -> None:
    assert caller(contexts=[PresentationContext(CT, scp=True)], service=object())
    private = PresentationContext("1.2.3.4", scp=True)
    with pytest.raises(TypeError, match="c_store"):
        caller(contexts=[private], service=object())
    mine = STANDARD.with_private(private_storage("1.2.3.4"))
    assert caller(contexts=[private], service=object(), sop_classes=mine)


def test_private_sop_classes_are_the_engines_and_the_services() -> None:
    mine = STANDARD.with_private(private_sop_class("1.2.3.4", ["N-GET", "N-SET"], "Scanner Calibration"))
    contexts = [PresentationContext("1.2.3.4", scp=True)]
    assert caller(contexts=contexts, sop_classes=mine).engine.sop_classes is mine
    assert caller(contexts=contexts).engine.sop_classes is STANDARD
    with pytest.raises(TypeError, match="n_get or n_set"):
        caller(contexts=contexts, service=Anything(), sop_classes=mine)
    assert caller(contexts=contexts, service=Anything()), "of what nobody knows any method will do"


def test_the_session_has_what_it_opens_and_invents_with() -> None:
    calling = Calling(new_uid=lambda: "2.25.7")
    assert calling.session.new_uid() == "2.25.7"
    assert calling.session.associate is opens_none

    def associate(destination: Any, options: Any) -> Any:
        raise NotImplementedError

    session = caller().session(calling.link, "x", associate=associate)
    assert session.associate is associate
    with pytest.raises(LocalProtocolError, match="no source of UIDs"):
        session.new_uid()


def test_the_session_is_the_associations() -> None:
    calling = Calling()
    info = calling.session.info()
    assert (info.address, info.called_ae_title) == ("pacs.example:104", "ANY-SCP")
    assert info.certificate == Certificate("commonName=pacs.example")
    assert calling.told == [AssociationEstablished(info)]
    assert caller().session(calling.link, "x").certificate() is None
    calling.raw.send(echo_rq(1))
    assert [message.status for message in calling.raw.said()] == [0x0122], "nobody serves here"
    calling.raw.send(RELEASE_RQ)
    assert calling.raw.said() == [AReleaseRP()]
    calling.raw.vanish()
    assert isinstance(calling.told[-1], AssociationEnded)
    assert not calling.reports


def test_a_service_beside_it_is_served() -> None:
    class Service(Anything):
        async def c_echo(self, echo: Any) -> int:
            raise ZeroDivisionError

    calling = Calling(service=Service())
    calling.raw.send(echo_rq(1))
    assert [message.status for message in calling.raw.said()] == [0], "PS3.7 Table 9.3-13"
    assert [(type(error), where) for error, where in calling.reports] == [(ZeroDivisionError, "C-ECHO 1")]
    assert any(isinstance(each, OperationEnded) for each in calling.told)


def test_a_caller_and_a_host_understand_one_another() -> None:
    loop = Loop()
    service = Anything()
    host: Host[int] = Host(service, supports=CONTEXTS[:2], report=lambda *told: None)
    there, back = Pipe(), Pipe()
    ours = caller()
    our_link = MemoryLink(loop, ours.engine, back, there)
    our_link.session = ours.session(our_link, "host:104")
    engine = host.engine(0.0)
    its_link = MemoryLink(loop, engine, there, back)
    host.opened(1, "client:1")
    its_link.session = host.session(1, engine, its_link, "client:1")
    for each in (ours.engine, engine):
        each.transport_opened(0.0)
    loop.call(our_link.session.established())
    peer = Peer(our_link.session)
    assert loop.call(peer.c_echo()) == 0
    assert loop.call(peer.c_store(instance(5000))) == 0
    assert list(service.stored.values()) == [content(5000)]
    assert VERIFICATION in {context.abstract_syntax for context in peer.contexts}
    assert loop.finish(peer.release()).kind is OutcomeKind.RELEASED
    host.closed(1)
    assert (host.pending, host.associations) == (0, 0)
