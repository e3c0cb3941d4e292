"""Exchanges with pynetdicom, each written once for both roles: what is asked, and what is said to it.

A script is a generator that yields what to ask and is sent what was said. ``exchange`` lets pynetdicom ask it of a
server of ours, or us of a server of pynetdicom's; a ``Book`` answers either. What the scripts and books know of the
service classes is theirs, so that both ends cannot be wrong in the same way in what is on the wire.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import AsyncIterator, Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, TypeVar

from pydicom import Dataset, dcmread
from pydicom.uid import generate_uid

from interop import peers
from interop.query_archive import ask
from running import TRANSPORTS, running
from sansdimse import VERIFICATION, OutcomeKind, PresentationContext
from sansdimse.dataset import decode
from sansdimse.service_classes.refused import Refused
from sansdimse.services.servable import SERVICES

T = TypeVar("T", bound="Theirs")

COUNTERS: Final = ("remaining", "completed", "failed", "warning")


@dataclass(frozen=True)
class Asked:
    """One request. ``context`` is the abstract syntax that it goes by, if that is not its SOP class."""

    service: str
    sop_class_uid: str
    sop_instance_uid: str | None = None
    data_set: Dataset | None = None
    type_id: int | None = None
    attributes: tuple[int, ...] = ()
    context: str = ""
    destination: str = ""


@dataclass(frozen=True)
class Said:
    """The final response to it, and what came before."""

    status: int
    data_set: Dataset = field(default_factory=Dataset)
    sop_instance_uid: str | None = None
    comment: str | None = None
    error_id: int | None = None
    attributes: tuple[int, ...] = ()
    offending: tuple[int, ...] = ()
    matches: tuple[Dataset, ...] = ()
    counters: tuple[int | None, ...] = ()
    failed: tuple[str, ...] = ()


Script = Generator[Asked, Said, None]
Answered = tuple[int | Dataset, Dataset | None]


class Book:
    """Answers, and keeps what it was asked and what was stored."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.stored: list[Dataset] = []
        self.originators: list[tuple[str | None, int | None]] = []

    def answer(self, asked: Asked) -> Answered:
        """To a request of DIMSE-N. Raises ``Refused``."""
        raise NotImplementedError

    def find(self, asked: Asked) -> Iterable[tuple[int, Dataset | None]]:
        """To a C-FIND."""
        raise NotImplementedError

    def retrieve(self, asked: Asked) -> Sequence[Path]:
        """To a C-GET or C-MOVE."""
        raise NotImplementedError

    def place(self, destination: str) -> tuple[str, int] | None:
        """Where a C-MOVE goes."""
        raise NotImplementedError

    def told(self, asked: Asked) -> Answered:
        """Answer, and keep it."""
        self.asked.append(asked)
        return self.answer(asked)

    def keep(self, data_set: Dataset, originator: tuple[str | None, int | None]) -> int:
        """Store."""
        self.stored.append(data_set)
        self.originators.append(originator)
        return 0


# ---------------------------------------------------------------- we answer


def service_of(book: Book, transport: str) -> Any:
    """A service of ours that answers by the book, in handlers that suit the transport best."""

    def asked(request: Any, service: str, data_set: Dataset | None, **more: Any) -> Asked:
        abstract_syntax = request.context.abstract_syntax
        context = "" if abstract_syntax == request.sop_class_uid else abstract_syntax
        return Asked(service, request.sop_class_uid, data_set=data_set, context=context, **more)

    def normalized(request: Any) -> Answered:
        data_set = None if request.raw_data_set is None else request.data_set
        service = SERVICES[type(request.request)]
        instance, tags = request.sop_instance_uid, request.attributes
        return book.told(
            asked(request, service, data_set, sop_instance_uid=instance, type_id=request.type_id, attributes=tags)
        )

    def c_find(find: Any) -> Iterator[Any]:
        request = asked(find, "C-FIND", find.check_identifier())
        book.asked.append(request)
        yield from book.find(request)

    def retrieved(retrieval: Any, service: str, destination: str) -> Iterator[Any]:
        request = asked(retrieval, service, retrieval.check_identifier(), destination=destination)
        book.asked.append(request)
        if destination:
            yield book.place(destination)
        paths = book.retrieve(request)
        yield len(paths)
        yield from paths

    def c_get(get: Any) -> Iterator[Any]:
        yield from retrieved(get, "C-GET", "")

    def c_move(move: Any) -> Iterator[Any]:
        yield from retrieved(move, "C-MOVE", move.destination)

    handlers: dict[str, Any] = {
        **dict.fromkeys(("n_event_report", "n_get", "n_set", "n_action", "n_create", "n_delete"), normalized),
        "c_find": c_find,
        "c_get": c_get,
        "c_move": c_move,
    }
    if transport != "socket":
        handlers = {name: in_async(handler) for name, handler in handlers.items()}
    return SimpleNamespace(**handlers, c_store=c_store(book, transport))


def in_async(handler: Callable[[Any], Any]) -> Any:
    """The handler as an ``async def``, or as an async generator if it is a generator."""

    async def generate(request: Any) -> AsyncIterator[Any]:
        for each in handler(request):
            yield each

    async def call(request: Any) -> Any:
        return handler(request)

    return generate if inspect.isgeneratorfunction(handler) else call


def c_store(book: Book, transport: str) -> Any:
    """Keeps in the book what comes."""

    def kept(store: Any, data: bytes) -> int:
        request = store.request
        originator = request.move_originator_application_entity_title, request.move_originator_message_id
        return book.keep(decode(data, store.transfer_syntax_uid), originator)

    def blocking(store: Any) -> int:
        return kept(store, store.read())

    async def waiting(store: Any) -> int:
        return kept(store, await store.read())

    return blocking if transport == "socket" else waiting


# ---------------------------------------------------------------- we ask


async def we_ask(script: Script, store: Any, peer: Any) -> None:
    """Go through the script."""
    said: Said | None = None
    while (asked := _next(script, said)) is not None:
        said = await _ours(peer, asked, store)


def _next(script: Script, said: Said | None) -> Asked | None:
    try:
        return next(script) if said is None else script.send(said)
    except StopIteration:
        return None


async def _ours(peer: Any, asked: Asked, store: Any) -> Said:
    if asked.service == "C-FIND":
        async with peer.c_find(asked.sop_class_uid, asked.data_set) as matches:
            found = tuple([match async for match in matches])
        return _response(matches.answer, matches=found)
    if asked.service in ("C-GET", "C-MOVE"):
        if asked.service == "C-GET":
            retrieving = peer.c_get(asked.sop_class_uid, asked.data_set, store=store)
        else:
            retrieving = peer.c_move(asked.sop_class_uid, asked.data_set, asked.destination)
        async with retrieving as retrieval:
            answer = await retrieval.finished()
        counters = tuple(getattr(answer.counters, name) for name in COUNTERS)
        return _response(answer, counters=counters, failed=answer.failed_instances)
    method = getattr(peer, asked.service.lower().replace("-", "_"))
    more: dict[str, list[Any]] = {
        "N-EVENT-REPORT": [asked.type_id, asked.data_set],
        "N-ACTION": [asked.type_id, asked.data_set],
        "N-GET": [asked.attributes],
        "N-DELETE": [],
    }
    reply = await method(asked.sop_class_uid, asked.sop_instance_uid, *more.get(asked.service, [asked.data_set]))
    return _response(reply, data_set=reply.data_set, sop_instance_uid=reply.sop_instance_uid)


def _response(answer: Any, **more: Any) -> Said:
    response = answer.response
    return Said(
        int(answer),
        comment=response.error_comment,
        error_id=getattr(response, "error_id", None),
        attributes=getattr(response, "attribute_identifier_list", ()),
        offending=getattr(response, "offending_element", ()),
        **more,
    )


# ---------------------------------------------------------------- pynetdicom answers


class Theirs:
    """A server of pynetdicom's for all the SOP classes that it knows, by whatever book is laid out."""

    def __init__(self) -> None:
        self.book = Book()
        self.server: Any = None
        self.errors: list[BaseException] = []

    def handlers(self) -> list[tuple[Any, Callable[[Any], Any]]]:
        """What answers each request."""
        from pynetdicom import evt

        normalized: dict[str, tuple[Any, str, str]] = {
            "N-EVENT-REPORT": (evt.EVT_N_EVENT_REPORT, "event_information", "event_type"),
            "N-GET": (evt.EVT_N_GET, "", ""),
            "N-SET": (evt.EVT_N_SET, "modification_list", ""),
            "N-ACTION": (evt.EVT_N_ACTION, "action_information", "action_type"),
            "N-CREATE": (evt.EVT_N_CREATE, "attribute_list", ""),
            "N-DELETE": (evt.EVT_N_DELETE, "", ""),
        }
        return [
            *((event, partial(self._normalized, name, *rest)) for name, (event, *rest) in normalized.items()),
            (evt.EVT_C_FIND, self.find),
            (evt.EVT_C_GET, self.get),
            (evt.EVT_C_MOVE, self.move),
            (evt.EVT_C_STORE, lambda event: kept_by_pynetdicom(self.book, event)),
        ]

    def _normalized(self, service: str, data_set: str, type_id: str, event: Any) -> Any:
        request = event.request
        named = request.AffectedSOPInstanceUID if hasattr(request, "AffectedSOPInstanceUID") else None
        instance = named or getattr(request, "RequestedSOPInstanceUID", None)
        asked = _asked_of(
            event,
            service,
            sop_instance_uid=str(instance or generate_uid()),
            data_set=(getattr(event, data_set) or None) if data_set else None,
            type_id=getattr(event, type_id) if type_id else None,
            attributes=tuple(map(int, event.attribute_identifiers)) if service == "N-GET" else (),
        )
        try:
            status, reply = self.book.told(asked)
        except Refused as refused:
            status, reply = status_of(refused), None
        except BaseException as error:
            self.errors.append(error)
            raise
        if service == "N-DELETE":
            return status
        if service == "N-CREATE" and not instance:
            reply = Dataset() if reply is None else reply
            reply.AffectedSOPInstanceUID = asked.sop_instance_uid  # how pynetdicom is told of it
        return status, reply

    def find(self, event: Any) -> Iterator[Any]:
        """Answer a C-FIND."""
        asked = _asked_of(event, "C-FIND", data_set=event.identifier)
        self.book.asked.append(asked)
        yield from self.book.find(asked)

    def get(self, event: Any) -> Iterator[Any]:
        """Answer a C-GET."""
        asked = _asked_of(event, "C-GET", data_set=event.identifier)
        self.book.asked.append(asked)
        yield from self._given(asked)

    def move(self, event: Any) -> Iterator[Any]:
        """Answer a C-MOVE."""
        asked = _asked_of(event, "C-MOVE", data_set=event.identifier, destination=event.move_destination)
        self.book.asked.append(asked)
        place = self.book.place(asked.destination)
        contexts = [built(str(dcmread(path).SOPClassUID)) for path in self.book.retrieve(asked)]
        yield (None, None) if place is None else (*place, {"contexts": contexts})
        yield from self._given(asked)

    def _given(self, asked: Asked) -> Iterator[Any]:
        paths = self.book.retrieve(asked)
        yield len(paths)
        for path in paths:
            yield 0xFF00, dcmread(path)


def kept_by_pynetdicom(book: Book, event: Any) -> int:
    """pynetdicom's handler of a C-STORE."""
    request = event.request
    originator = request.MoveOriginatorApplicationEntityTitle, request.MoveOriginatorMessageID
    return book.keep(event.dataset, originator)


def _asked_of(event: Any, service: str, **more: Any) -> Asked:
    request = event.request
    sop_class = getattr(request, "RequestedSOPClassUID", None) or request.AffectedSOPClassUID
    context = event.context.abstract_syntax
    return Asked(service, str(sop_class), context="" if context == sop_class else str(context), **more)


def status_of(refused: Refused) -> Dataset:
    """As pynetdicom takes it: what it cannot say is left out."""
    status = Dataset()
    status.Status = int(refused.status)
    if refused.comment:
        status.ErrorComment = refused.comment
    if refused.error_id is not None:
        status.ErrorID = refused.error_id
    if refused.attributes:
        status.AttributeIdentifierList = list(refused.attributes)
    return status


def built(uid: str, *transfer_syntaxes: str) -> Any:
    """A presentation context of pynetdicom's."""
    from pynetdicom import build_context

    return build_context(uid, list(transfer_syntaxes) or ["1.2.840.10008.1.2.1", "1.2.840.10008.1.2"])


def known_to_pynetdicom() -> dict[str, str]:
    """All its SOP classes: the UID, and the name of the service class. None if it is not installed."""
    try:
        from pynetdicom import sop_class
    except ImportError:
        return {}

    groups = [rows for name, rows in vars(sop_class).items() if name.startswith("_") and name.endswith("_CLASSES")]
    return {
        uid: sop_class.uid_to_service_class(uid).__name__.removesuffix("ServiceClass")
        for rows in groups
        for name, uid in rows.items()
        if isinstance(uid, str)
    }


@contextmanager
def answering(folder: Path, theirs: T) -> Iterator[T]:
    """Have the server run; it takes any role that is proposed."""
    contexts = [built(uid) for uid in known_to_pynetdicom()]
    for context in contexts:
        context.scu_role = context.scp_role = True
    with peers.pynetdicom_scp(folder, theirs.handlers(), contexts=contexts) as theirs.server:
        yield theirs


# ---------------------------------------------------------------- pynetdicom asks


def pynetdicom_asks(script: Script, association: Any) -> None:
    """Go through the script."""
    from pynetdicom import evt

    received: list[tuple[Dataset, bytes]] = []

    def receive(event: Any) -> None:
        received.append((event.message.command_set, event.message.data_set.getvalue()))

    association.bind(evt.EVT_DIMSE_RECV, receive)
    said: Said | None = None
    while (asked := _next(script, said)) is not None:
        received.clear()
        told = _theirs(association, asked)
        said = _completed(association, asked, told, *received[-1])


def _theirs(association: Any, asked: Asked) -> Said:
    class_uid, instance, meta = asked.sop_class_uid, asked.sop_instance_uid, asked.context or None
    if asked.service in ("C-FIND", "C-GET", "C-MOVE"):
        model = asked.context or class_uid
        more = [asked.destination, model] if asked.service == "C-MOVE" else [model]
        send = getattr(association, f"send_{asked.service.lower().replace('-', '_')}")
        *pending, (final, failed) = send(asked.data_set, *more)
        counters = tuple(getattr(final, f"NumberOf{name.title()}Suboperations", None) for name in COUNTERS)
        uids = failed.get("FailedSOPInstanceUIDList") if failed else None
        failed_uids = () if not uids else (str(uids),) if isinstance(uids, str) else tuple(map(str, uids))
        found = tuple(match for _, match in pending) if asked.service == "C-FIND" else ()
        return Said(final.Status, matches=found, counters=counters, failed=failed_uids)
    if asked.service == "N-EVENT-REPORT":
        result = association.send_n_event_report(asked.data_set, asked.type_id, class_uid, instance, meta_uid=meta)
    elif asked.service == "N-GET":
        result = association.send_n_get(list(asked.attributes) or None, class_uid, instance, meta_uid=meta)
    elif asked.service == "N-SET":
        result = association.send_n_set(asked.data_set, class_uid, instance, meta_uid=meta)
    elif asked.service == "N-ACTION":
        result = association.send_n_action(asked.data_set, asked.type_id, class_uid, instance, meta_uid=meta)
    elif asked.service == "N-CREATE":
        result = association.send_n_create(asked.data_set, class_uid, instance, meta_uid=meta)
    else:
        result = association.send_n_delete(class_uid, instance, meta_uid=meta), None
    status, data_set = result
    return Said(status.Status, Dataset() if data_set is None else data_set)


def _completed(association: Any, asked: Asked, told: Said, command: Dataset, data: bytes) -> Said:
    """pynetdicom's functions do not tell all that came: the rest is read off its copy of the message."""
    data_set = told.data_set
    if data and not data_set and asked.service.startswith("N-"):
        syntax = association._get_valid_context(asked.context or asked.sop_class_uid, "").transfer_syntax[0]
        data_set = decode(data, str(syntax))
    uid = command.get("AffectedSOPInstanceUID")
    return replace(
        told,
        data_set=data_set,
        sop_instance_uid=None if uid is None else str(uid),
        comment=command.get("ErrorComment"),
        error_id=command.get("ErrorID"),
        attributes=_tags(command.get("AttributeIdentifierList")),
        offending=_tags(command.get("OffendingElement")),
    )


def _tags(value: Any) -> tuple[int, ...]:
    if value is None:
        return ()
    return (int(value),) if isinstance(value, int) else tuple(map(int, value))


# ---------------------------------------------------------------- both

BOTH_WAYS: Final = [(asks, transport) for asks in ("pynetdicom", "we") for transport in TRANSPORTS]
"""Who asks, and the transport that we do it on."""


def exchange(
    who: tuple[str, str],
    theirs: Theirs,
    book: Book,
    script: Script,
    contexts: Sequence[str],
    *,
    stored: Sequence[str] = (),
    kept: Book | None = None,
) -> None:
    """Go through the script by these contexts, both roles proposed, and those ``stored`` by C-GET as their SCP.

    ``kept`` has what comes by that. All ends well: nothing was reported, and the association was released.
    """
    asks, transport = who
    kept = kept or Book()
    if asks == "we":
        reports: list[BaseException] = []
        theirs.book = book
        ask(
            transport,
            theirs.server,
            partial(we_ask, script, c_store(kept, transport)),
            contexts=[
                *(PresentationContext(uid, scu=True, scp=True) for uid in contexts),
                *(PresentationContext(uid, scu=False, scp=True) for uid in stored),
            ],
            service=service_of(book, transport),
            report=lambda error, where: reports.append(error),
        )
        assert reports == theirs.errors == []
        return
    from pynetdicom import build_role, evt

    supports = [
        *(PresentationContext(uid, scu=True, scp=True) for uid in (VERIFICATION, *contexts)),
        *(PresentationContext(uid, scu=False, scp=True) for uid in stored),
    ]
    roles = [*(build_role(uid, True, True) for uid in contexts), *(build_role(uid, False, True) for uid in stored)]
    with running(transport, service_of(book, transport), supports=supports) as ours:
        with peers.pynetdicom_scu(
            ours.port,
            [built(uid) for uid in (*contexts, *stored)],
            [(evt.EVT_C_STORE, partial(kept_by_pynetdicom, kept))],
            roles=roles,
        ) as association:
            pynetdicom_asks(script, association)
        ours.until(lambda: ours.ended)
        assert [each.outcome.kind for each in ours.ended] == [OutcomeKind.RELEASED]
    assert ours.reports == []


@contextmanager
def no_threads_left() -> Iterator[None]:
    """What ran before runs afterwards, and nothing else. pynetdicom's threads take a moment to see that all is over."""

    def running_now() -> set[threading.Thread]:
        # trio keeps its worker threads for ten seconds, for whoever needs one next.
        return {thread for thread in threading.enumerate() if not thread.name.startswith("Trio thread")}

    before = running_now()
    yield
    for thread in running_now() - before:
        thread.join(peers.TOOL_TIMEOUT)
    assert running_now() <= before
