"""What every server does: who is let in, by which books, and that no place is lost whatever becomes of whom."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine_pair import ABORT, CONTEXTS, RELEASE_RQ, echo_rq, message, requestor
from memory_link import Anything, Cancelled, Loop, MemoryLink, Pipe, Raw, Signal
from sansdimse.admission import OVER_BUDGET, SHUTTING_DOWN, Applicant, Budget, Certificate, Grant, Refusal
from sansdimse.dimse.messages import NDeleteRQ, NGetRQ, NSetRQ
from sansdimse.errors import LocalProtocolError
from sansdimse.limits import Limits
from sansdimse.outcome import OutcomeKind
from sansdimse.peer.host import ABORT_GRACE, IDLE, Host, ServeOptions
from sansdimse.peer.session import opens_none
from sansdimse.peer.watch import AssociationEnded, AssociationEstablished, ConnectionCut
from sansdimse.profile import DEFAULT, STRICT
from sansdimse.services.sop_classes import STANDARD, private_sop_class
from sansdimse.uids import VERIFICATION
from sansdimse.ul.items import AsynchronousOperationsWindow, ExtendedNegotiation, UserIdentityRQ
from sansdimse.ul.negotiation import propose
from sansdimse.ul.parties import MAXIMUM_LENGTH, PresentationContext, Requestor, WhenIdle
from sansdimse.ul.pdu import AAbort, AAssociateAC, AAssociateRJ, AReleaseRP
from sansdimse.ul.table import State
from sansdimse.ul.timers import Timer

SUPPORTS = CONTEXTS[:2]
NO = AAssociateRJ(1, 1, 1)


class Hosted:
    """A host in memory; ``connect`` is a client of whom the test says every byte."""

    def __init__(self, **options: Any) -> None:
        self.loop = Loop()
        self.reports: list[tuple[BaseException, str]] = []
        self.told: list[Any] = []
        self.lock = Lock()
        self.host: Host[str] = Host(
            options.pop("service", Anything()),
            supports=options.pop("supports", SUPPORTS),
            report=lambda error, where: self.reports.append((error, where)),
            watch=options.pop("watch", self.told.append),
            lock=self.lock,
            **options,
        )

    def connect(self, name: str = "a", address: str = "10.0.0.1:1", *, can_cancel: bool = True) -> Client:
        return Client(self, name, address, can_cancel)

    @property
    def books(self) -> tuple[int, int]:
        return self.host.pending, self.host.associations


class Lock(AbstractContextManager[None]):
    """As a lock is used: never entered twice."""

    def __init__(self) -> None:
        self.times = 0
        self._held = False

    def __enter__(self) -> None:
        assert not self._held
        self._held = True
        self.times += 1

    def __exit__(self, *_: object) -> None:
        self._held = False


class Client:
    """One connection to a host."""

    def __init__(self, hosted: Hosted, name: str, address: str, can_cancel: bool) -> None:
        self._hosted = hosted
        self.name = name
        host, loop = hosted.host, hosted.loop
        self.cut = host.opened(name, address)
        into, out = Pipe(), Pipe()
        self.engine = host.engine(loop.now)
        self.link = MemoryLink(loop, self.engine, into, out)
        self.link.can_cancel = can_cancel
        self.session = self.link.session = host.session(
            name, self.engine, self.link, address, lambda: Certificate("commonName=scanner")
        )
        self.engine.transport_opened(loop.now)
        self.raw = Raw(loop, out, into)

    def request(self, config: Requestor | None = None) -> list[Any]:
        """Ask for an association; what is answered."""
        self.raw.send(propose(config or requestor()))
        return self.raw.said()

    def go(self) -> None:
        """Close the connection, and let the server have done with it."""
        self.raw.vanish()
        assert self.session.ended
        self._hosted.host.closed(self.name)


def is_let_in(client: Client) -> bool:
    (answer,) = client.request()
    return isinstance(answer, AAssociateAC)


# ---------------------------------------------------------------- options


def test_every_option_of_serve_is_one_of_the_host() -> None:
    parameters = inspect.signature(Host).parameters
    assert set(ServeOptions.__annotations__) == set(parameters) - {"service", "lock"}
    needed = {name for name, each in parameters.items() if each.default is each.empty}
    assert needed == {"service", "supports", "report"}, "a transport has a report of its own"


def test_what_is_not_said_is_as_documented() -> None:
    config = Hosted().host.config
    assert config.ae_title == "SANSDIMSE"
    assert config.limits == replace(Limits(), idle=IDLE)
    assert config.when_idle is WhenIdle.ABORT
    assert (config.window, config.maximum_length) == (AsynchronousOperationsWindow(1, 1), MAXIMUM_LENGTH)
    assert (config.profile, config.prefer, config.extended) == (DEFAULT, (), {})
    assert (config.require_called, config.any_storage, config.allowed_calling) == (False, False, None)
    assert not config.related_general


def test_what_is_said_reaches_negotiation() -> None:
    limits = replace(Limits(), idle=7.0)
    host = Hosted(
        ae_title="ARCHIVE",
        any_storage=True,
        related_general=True,
        require_called=True,
        allowed_calling=["A", "B"],
        prefer=("1.2.840.10008.1.2",),
        maximum_length=20_000,
        window=AsynchronousOperationsWindow(3, 2),
        extended={VERIFICATION: b"\1"},
        when_idle=WhenIdle.ECHO,
        limits=limits,
        profile=STRICT,
    ).host
    config = host.config
    assert (config.ae_title, config.any_storage, config.require_called) == ("ARCHIVE", True, True)
    assert config.related_general
    assert config.allowed_calling == frozenset("AB")
    assert (config.prefer, config.maximum_length) == (("1.2.840.10008.1.2",), 20_000)
    assert (config.window, config.extended) == (AsynchronousOperationsWindow(3, 2), {VERIFICATION: b"\1"})
    assert (config.when_idle, config.profile) == (WhenIdle.ECHO, STRICT)
    assert host.limits is config.limits is limits
    assert host.engine(5.0).now == 5.0


PRIVATE = PresentationContext("1.2.3.4", scp=True)
MINE = STANDARD.with_private(private_sop_class("1.2.3.4", ["N-GET", "N-SET"], "Scanner Calibration"))


def test_private_sop_classes_are_the_engines_and_the_services() -> None:
    assert Hosted(supports=[PRIVATE], sop_classes=MINE, service=Sets()).host.engine(0.0).sop_classes is MINE
    assert Hosted(supports=[PRIVATE]).host.engine(0.0).sop_classes is STANDARD
    with pytest.raises(TypeError, match="n_get or n_set"):
        Hosted(supports=[PRIVATE], sop_classes=MINE)


class Sets:
    def __init__(self) -> None:
        self.got: list[str] = []

    async def n_set(self, asked: Any) -> int:
        self.got.append(asked.sop_class_uid)
        return 0xC123


def test_a_service_of_a_private_sop_class_gets_what_it_serves_and_nothing_else() -> None:
    service = Sets()
    hosted = Hosted(supports=[PRIVATE], sop_classes=MINE, service=service)
    client = hosted.connect()
    assert isinstance(client.request(Requestor("ME", "YOU", [PRIVATE]))[0], AAssociateAC)
    asked: dict[str, Any] = {"requested_sop_class_uid": "1.2.3.4", "requested_sop_instance_uid": "1.2"}
    client.raw.send(message(1, NSetRQ(message_id=1, **asked), b"data"))
    client.raw.send(message(1, NGetRQ(message_id=2, **asked)))  # declared, without a method
    client.raw.send(message(1, NDeleteRQ(message_id=3, **asked)))  # not declared
    assert [response.status for response in client.raw.said()] == [0xC123, 0x0211, 0x0211]
    assert service.got == ["1.2.3.4"]
    assert not hosted.reports


def test_the_session_has_what_it_opens_and_invents_with() -> None:
    hosted = Hosted(new_uid=lambda: "2.25.7")
    session = hosted.connect().session
    assert session.new_uid() == "2.25.7"
    assert session.associate is opens_none

    def associate(destination: Any, options: Any) -> Any:
        raise NotImplementedError

    assert hosted.host.session("b", session.engine, session.link, "b", associate=associate).associate is associate
    with pytest.raises(LocalProtocolError, match="no source of UIDs"):
        Hosted().connect().session.new_uid()


def test_a_service_without_its_methods_and_settings_that_make_no_sense_are_told_at_once() -> None:
    for options in ({"service": object()}, {"service": object(), "any_storage": True}):
        with pytest.raises(TypeError, match="c_store"):
            Hosted(**options)
    with pytest.raises(LocalProtocolError, match="AE title"):
        Hosted(ae_title="")
    with pytest.raises(ValueError, match="localhost"):
        Hosted(allowed_addresses=["localhost"])


def test_without_threads_it_needs_no_lock() -> None:
    host: Host[str] = Host(Anything(), supports=[VERIFICATION], report=lambda *told: None)
    assert isinstance(host._lock, nullcontext)
    assert (host.pending, host.associations, host.closing) == (0, 0, False)


# ---------------------------------------------------------------- budgets


def test_an_association_is_served_and_its_place_given_back() -> None:
    hosted = Hosted(budget=Budget(associations=1))
    one = hosted.connect("one")
    assert hosted.books == (1, 0)
    assert is_let_in(one)
    assert hosted.books == (0, 1)
    one.raw.send(echo_rq(1))
    assert [message.status for message in one.raw.said()] == [0]
    other = hosted.connect("other")
    assert other.request() == [OVER_BUDGET]
    assert hosted.books == (1, 1)
    other.go()
    one.raw.send(RELEASE_RQ)
    assert one.raw.said() == [AReleaseRP()]
    one.go()
    assert hosted.books == (0, 0)
    assert is_let_in(hosted.connect("next"))
    assert hosted.lock.times > 0
    assert not hosted.reports


def test_what_negotiation_rejects_takes_no_place() -> None:
    hosted = Hosted(require_called=True, ae_title="OTHER")
    client = hosted.connect()
    assert client.request() == [AAssociateRJ(1, 1, 7)]
    assert hosted.books == (1, 0)


def test_above_the_budget_of_the_silent_the_oldest_is_to_be_cut_and_that_is_told() -> None:
    hosted = Hosted(budget=Budget(pending=2, pending_per_address=1))
    assert hosted.connect("a", "10.0.0.1:1").cut is None
    assert hosted.connect("b", "10.0.0.2:1").cut is None
    assert hosted.connect("c", "10.0.0.2:2").cut == "b"
    assert hosted.connect("d", "10.0.0.3:1").cut == "a"
    hosted.host.cut("10.0.0.2:1")
    [cut] = hosted.told
    assert cut == ConnectionCut("10.0.0.2:1", "over the budget of connections without an association")


def test_who_watches_and_raises_is_reported_and_cuts_all_the_same() -> None:
    def fails(occurrence: object) -> None:
        raise KeyError("mine")

    hosted = Hosted(watch=fails)
    hosted.host.cut("10.0.0.2:1")
    assert [(type(error), where) for error, where in hosted.reports] == [(KeyError, "watch")]
    assert is_let_in(hosted.connect())


def test_while_it_closes_nobody_new_is_let_in() -> None:
    hosted = Hosted()
    one, other = hosted.connect("one"), hosted.connect("other")
    assert is_let_in(one)
    assert hosted.host.close()
    assert hosted.host.closing
    assert not hosted.host.close(), "somebody said so before"
    assert other.request() == [SHUTTING_DOWN]
    one.raw.send(echo_rq(1))
    assert [message.status for message in one.raw.said()] == [0]


# ---------------------------------------------------------------- the end


class Closing:
    """A host that closes: what is done to whom, and how long to wait after it."""

    def __init__(self, hosted: Hosted, grace: float = 7.0) -> None:
        assert hosted.host.close()
        self.done: list[Any] = []
        self.steps = hosted.host.ending(
            grace, lambda name: self.done.append(f"abort {name}"), lambda name: self.done.append(f"cut {name}")
        )

    def step(self) -> list[Any]:
        """What the next step is; the seconds to wait after it come last."""
        self.done.clear()
        seconds = next(self.steps, None)
        return [*self.done, seconds]


def busy() -> tuple[Hosted, list[Client]]:
    """Two who are served, one who is silent, and one who was rejected and stays."""
    hosted = Hosted(budget=Budget(associations=2))
    clients = [hosted.connect(name, f"10.0.0.1:{number}") for number, name in enumerate("abcd")]
    assert [is_let_in(clients[0]), is_let_in(clients[1]), is_let_in(clients[2])] == [True, True, False]
    return hosted, clients


def test_who_is_not_served_is_cut_and_then_the_others_are_waited_for_aborted_and_cut() -> None:
    hosted, (a, b, c, d) = busy()
    closing = Closing(hosted)
    assert hosted.host.connections == ("a", "b", "c", "d")
    assert closing.step() == ["cut c", "cut d", 7.0]
    for client in (c, d, a):
        client.go()
    assert closing.step() == ["abort b", ABORT_GRACE]
    assert closing.step() == ["cut b", ABORT_GRACE]
    assert closing.step() == [None]
    assert [(type(error), where) for error, where in hosted.reports] == [(TimeoutError, "10.0.0.1:1")]
    b.go()
    assert hosted.host.connections == ()


def test_when_all_have_gone_nothing_is_left_to_do() -> None:
    hosted, clients = busy()
    closing = Closing(hosted)
    closing.step()
    for client in clients:
        client.go()
    assert [closing.step() for _ in range(3)] == [[ABORT_GRACE], [ABORT_GRACE], [None]]
    assert not hosted.reports


@pytest.mark.parametrize("steps", [1, 2])
def test_who_is_cancelled_while_he_closes_cuts_all(steps: int) -> None:
    hosted, _ = busy()
    closing = Closing(hosted)
    for _ in range(steps):
        closing.step()
    closing.done.clear()
    closing.steps.close()
    assert closing.done == ["cut a", "cut b", "cut c", "cut d"]
    assert not hosted.reports


@pytest.mark.parametrize(("invoked", "each"), [(1, 1), (3, 3), (16, 16), (17, 16)])
def test_a_handler_that_waits_for_its_peer_has_a_thread_of_its_own(invoked: int, each: int) -> None:
    window = AsynchronousOperationsWindow(invoked, 1)
    assert Hosted(window=window, budget=Budget(associations=20)).host.workers == 20 * each
    assert Hosted(window=window).host.workers == Budget().associations * each


# ---------------------------------------------------------------- access


class Asked:
    """What access was asked, and what it answers."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.applicants: list[Applicant] = []

    def __call__(self, applicant: Applicant) -> Any:
        self.applicants.append(applicant)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class AskedAsync(Asked):
    async def __call__(self, applicant: Applicant) -> Any:
        return super().__call__(applicant)


def as_def(asked: Asked) -> Callable[[Applicant], Any]:
    return asked


def as_async_def(asked: Asked) -> Callable[[Applicant], Any]:
    async def access(applicant: Applicant) -> Any:
        return asked(applicant)

    return access


def as_def_that_gives_a_coroutine(asked: Asked) -> Callable[[Applicant], Any]:
    access = as_async_def(asked)

    def gives(applicant: Applicant) -> Any:
        return access(applicant)

    return gives


def as_async_method(asked: Asked) -> Callable[[Applicant], Any]:
    access = AskedAsync(asked.answer)
    access.applicants = asked.applicants
    return access


def as_partial(asked: Asked) -> Callable[[Applicant], Any]:
    return partial(as_async_def(asked))


SHAPES = [as_def, as_async_def, as_def_that_gives_a_coroutine, as_async_method, as_partial]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    ("answer", "answered"),
    [
        (True, None),
        (Grant(), None),
        (Grant(b"ignored"), None),  # nobody asked for a response
        (False, NO),
        (Refusal(), NO),
        (Refusal(2, 3, 1), AAssociateRJ(2, 3, 1)),
        (Refusal(reason=3), AAssociateRJ(1, 1, 3)),
    ],
)
def test_access_of_any_shape_decides(shape: Any, answer: Any, answered: AAssociateRJ | None) -> None:
    asked = Asked(answer)
    hosted = Hosted(access=shape(asked))
    client = hosted.connect()
    (said,) = client.request()
    assert said == answered if answered else isinstance(said, AAssociateAC)
    assert hosted.books == ((1, 0) if answered else (0, 1))
    [applicant] = asked.applicants
    assert (applicant.calling_ae_title, applicant.called_ae_title) == ("ME", "YOU")
    assert (applicant.address, applicant.host) == ("10.0.0.1:1", "10.0.0.1")
    assert applicant.user_identity is None
    assert applicant.certificate == Certificate("commonName=scanner")
    assert applicant.request == client.engine.request
    client.go()
    assert hosted.books == (0, 0)
    assert not hosted.reports


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("answer", [KeyError("who?"), None, 1, "yes"])
def test_access_that_fails_lets_nobody_in_and_is_reported(shape: Any, answer: Any) -> None:
    hosted = Hosted(access=shape(Asked(answer)), budget=Budget(associations=1))
    for name in ("one", "two"):  # the place of the first is free again
        assert hosted.connect(name).request() == [AAssociateRJ(2, 1, 1)]
    expected = KeyError if isinstance(answer, Exception) else TypeError
    assert [(type(error), where) for error, where in hosted.reports] == [(expected, "A-ASSOCIATE-RQ")] * 2
    assert hosted.books == (2, 0)


def test_a_place_is_given_back_when_access_refuses_though_the_refused_one_stays() -> None:
    asked = Asked(False)
    hosted = Hosted(access=asked, budget=Budget(associations=1, associations_per_address=1))
    refused = hosted.connect("refused")
    assert refused.request() == [NO]
    assert hosted.books == (1, 0)
    asked.answer = True
    assert is_let_in(hosted.connect("good"))
    assert hosted.books == (1, 1)
    refused.go()
    assert hosted.books == (0, 1)


def test_over_the_budget_access_is_not_even_asked() -> None:
    asked = Asked(True)
    hosted = Hosted(access=asked, budget=Budget(associations=1))
    assert is_let_in(hosted.connect())
    asked.applicants.clear()
    assert hosted.connect("other").request() == [OVER_BUDGET]
    assert asked.applicants == []


@pytest.mark.parametrize("response", [b"token", b""])
@pytest.mark.parametrize("wanted", [True, False])
def test_a_grant_confirms_the_identity_where_that_was_asked_for(response: bytes, wanted: bool) -> None:
    identity = UserIdentityRQ(3, b"ticket", positive_response_requested=int(wanted))
    hosted = Hosted(access=lambda applicant: Grant(response) if applicant.user_identity == identity else False)
    client = hosted.connect()
    (accepted,) = client.request(requestor(user_identity=identity))
    assert isinstance(accepted, AAssociateAC)
    given = accepted.user_identity
    assert (None if given is None else given.server_response) == (response if wanted else None)
    assert client.session.info().user_identity == identity
    assert client.session.info().certificate == Certificate("commonName=scanner")


@pytest.mark.parametrize(
    ("address", "let_in"), [("10.1.2.3:4", True), ("10.2.0.1:4", False), ("[::1]:4", False), ("nonsense", False)]
)
def test_only_the_addresses_allowed_are_let_in_and_others_are_not_asked_who_they_are(
    address: str, let_in: bool
) -> None:
    asked = Asked(True)
    hosted = Hosted(access=asked, allowed_addresses=["10.1.0.0/16"])
    client = hosted.connect("a", address)
    assert is_let_in(client) is let_in
    assert len(asked.applicants) == let_in
    assert hosted.books == ((0, 1) if let_in else (1, 0))


def test_no_address_at_all_may_be_allowed() -> None:
    assert not is_let_in(Hosted(allowed_addresses=[]).connect())


# ---------------------------------------------------------------- slow access


class Slow:
    """Access that waits for the test."""

    def __init__(self) -> None:
        self.signals: list[Signal] = []
        self.cancelled = 0
        self.hosted: Hosted | None = None

    async def __call__(self, applicant: Applicant) -> bool:
        assert self.hosted is not None
        signal = Signal(self.hosted.loop)
        self.signals.append(signal)
        try:
            await signal.wait()
        except Cancelled:
            self.cancelled += 1
            raise
        return True

    def decide(self) -> None:
        for signal in self.signals:
            signal.set()


def slow(**options: Any) -> tuple[Hosted, Slow]:
    access = Slow()
    access.hosted = Hosted(access=access, **options)
    return access.hosted, access


def test_access_may_take_its_time_and_others_are_served_meanwhile() -> None:
    hosted, access = slow(budget=Budget(associations=2))
    one, two, three = (hosted.connect(name) for name in ("one", "two", "three"))
    assert one.request() == two.request() == []
    assert hosted.books == (1, 2), "who is judged takes a place"
    assert three.request() == [OVER_BUDGET]
    access.decide()
    for client in (one, two):
        (accepted,) = client.raw.said()
        assert isinstance(accepted, AAssociateAC)
    assert [type(each) for each in hosted.told] == [AssociationEstablished] * 2


@pytest.mark.parametrize("can_cancel", [True, False])
@pytest.mark.parametrize("end", ["abort", "close", "deadline"])
def test_a_peer_that_does_not_wait_for_it_leaves_no_place_taken(end: str, can_cancel: bool) -> None:
    hosted, access = slow(limits=replace(Limits(), local_answer=5.0), budget=Budget(associations=1))
    client = hosted.connect(can_cancel=can_cancel)
    assert client.request() == []
    if end == "abort":
        client.raw.send(ABORT)
    elif end == "close":
        client.raw.vanish()
    else:
        hosted.loop.pass_time(5.0)
        assert client.raw.said() == [AAbort(0, 0)]
        assert client.engine.state is State.STA13
    assert access.cancelled == can_cancel
    if can_cancel:
        assert hosted.books == (1, 0), "given back at once, though the connection is still there"
    access.decide()
    assert client.raw.said() == []
    client.go()
    assert hosted.books == (0, 0)
    assert not hosted.reports
    assert not hosted.loop.waiting
    outcome = client.session.outcome
    assert outcome is not None
    if end == "deadline":
        assert (outcome.kind, outcome.timer) == (OutcomeKind.TIMED_OUT, Timer.LOCAL_ANSWER)
    assert [type(each) for each in hosted.told] == [AssociationEnded]
    other = hosted.connect("other")
    assert other.request() == []
    access.decide()
    assert isinstance(other.raw.said()[0], AAssociateAC)


def test_access_that_is_asked_while_the_server_closes() -> None:
    hosted, access = slow()
    client = hosted.connect()
    client.request()
    hosted.host.close()
    access.decide()
    assert isinstance(client.raw.said()[0], AAssociateAC), "it was let in before"


def test_an_answer_to_extended_negotiation_that_fails_gives_the_place_back() -> None:
    times = []

    def extended(offered: bytes) -> bytes:
        times.append(1)
        if len(times) == 2:  # the answer is made once to see whether there is one, and again with what access said
            raise ZeroDivisionError
        return offered

    hosted = Hosted(extended={VERIFICATION: extended})
    client = hosted.connect()
    config = requestor(extended=(ExtendedNegotiation(VERIFICATION, b"\1"),))
    assert client.request(config) == [AAssociateRJ(2, 1, 1)]
    assert [type(error) for error, _ in hosted.reports] == [ZeroDivisionError]
    assert hosted.books == (1, 0)


# ---------------------------------------------------------------- whatever happens


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["open", "open", "ask", "ask", "decide", "abort", "go", "time"]),
            st.integers(0, 3),
            st.sampled_from([True, False, Refusal(2, 3, 1), KeyError("x")]),
        ),
        max_size=25,
    )
)
def test_the_books_are_empty_when_all_have_gone(script: list[tuple[str, int, Any]]) -> None:
    answers: list[Any] = []
    hosted = Hosted(budget=Budget(associations=2, pending=3, associations_per_address=1))

    async def access(applicant: Applicant) -> Any:
        signal = Signal(hosted.loop)
        gates.append(signal)
        await signal.wait()
        answer = answers.pop() if answers else True
        if isinstance(answer, Exception):
            raise answer
        return answer

    gates: list[Signal] = []
    hosted.host._access = access
    clients: list[Client] = []
    for number, (what, who, answer) in enumerate(script):
        if what == "open":
            clients.append(hosted.connect(f"c{number}", f"10.0.0.{who}:1"))
        elif what == "decide":
            answers.append(answer)
            for gate in gates:
                gate.set()
            hosted.loop.run()
        elif what == "time":
            hosted.loop.pass_time(7.0)
        elif clients:
            client = clients[who % len(clients)]
            if what == "go":
                clients.remove(client)
                client.go()
            elif what == "abort":
                client.raw.send(ABORT)
            elif client.engine.request is None and not client.session.ended:
                client.request()
        assert hosted.host.associations <= 2
    for client in clients:
        client.go()
    for gate in gates:
        gate.set()
    hosted.loop.run()
    assert hosted.books == (0, 0)
    assert hosted.host.connections == ()
    assert not hosted.loop.waiting
