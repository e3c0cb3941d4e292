"""Asking C-FIND: every match reaches who asked, and nobody else; whatever ends it, the association stays usable."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

import pytest
from pydicom import Dataset

from engine_pair import ABORT, FIND, QUERY, acceptor, echo_rsp, find_rsp, requestor
from memory_link import Alone, Cancelled, Joined, nothing_left
from sansdimse.dataset import DatasetError, decode, encode
from sansdimse.dimse.messages import CCancelRQ, CEchoRQ, CFindRQ, Priority
from sansdimse.errors import LocalProtocolError
from sansdimse.peer.inbox import _INBOX_BYTES
from sansdimse.peer.scu import Peer
from sansdimse.peer.scu_find import _WORTH_A_HOP, Matches
from sansdimse.peer.session import AssociationLost
from sansdimse.uids import EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN
from sansdimse.ul.items import AsynchronousOperationsWindow
from sansdimse.ul.parties import Acceptor, PresentationContext, Requestor


def query(**values: str) -> Dataset:
    dataset = Dataset()
    dataset.QueryRetrieveLevel = "STUDY"
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return dataset


def found(**values: str) -> bytes:
    return encode(query(**values), EXPLICIT_VR_LITTLE_ENDIAN)


def alone(**settings: Any) -> Alone:
    return Alone(config=requestor(QUERY), other=acceptor(QUERY), **settings)


async def ask(peer: Peer, what: Any, kept: list[Any], stop: int | None = None, **settings: Any) -> Matches[Any]:
    """Iterate, at most so far, and keep what comes."""
    async with peer.c_find(FIND, what, **settings) as matches:
        async for match in matches:
            kept.append(match)
            if len(kept) == stop:
                break
    return matches


def test_matches_come_decoded_and_then_how_it_ended() -> None:
    end, kept = alone(), []  # type: ignore[var-annotated]
    task = end.loop.spawn(ask(end.peer, query(PatientID="7*"), kept, priority=Priority.LOW))
    asked, identifier = end.raw.said()
    assert asked == CFindRQ(message_id=1, affected_sop_class_uid=FIND, priority=Priority.LOW)
    assert decode(identifier, EXPLICIT_VR_LITTLE_ENDIAN) == query(PatientID="7*")
    end.raw.send(find_rsp(status=0xFF00, identifier=found(PatientID="71")))
    assert kept == [query(PatientID="71")]  # it is there before the next
    end.raw.send(find_rsp(status=0xFF00, identifier=found(PatientID="72")), find_rsp())
    assert kept == [query(PatientID="71"), query(PatientID="72")]
    matches = task.result()
    assert matches.answer == 0
    assert matches.answer.response.message_id_being_responded_to == 1
    assert matches.complete
    assert nothing_left(end.session)


@pytest.mark.parametrize("status", [0x0000, 0xA700, 0xA900, 0xC001, 0xFE00, 0xB001, 0x1234])
def test_whatever_ends_it_is_the_answer(status: int) -> None:
    end, kept = alone(), []  # type: ignore[var-annotated]
    task = end.loop.spawn(ask(end.peer, query(), kept))
    end.raw.send(find_rsp(status=0xFF01, identifier=found()), find_rsp(status=status))
    assert task.result().answer == status
    assert not task.result().complete
    assert len(kept) == 1


@pytest.mark.parametrize(
    ("what", "settings"),
    [(found(PatientID="7"), {}), (found(PatientID="7"), {"raw": False}), (query(PatientID="7"), {"raw": True})],
)
def test_bytes_for_bytes(what: Any, settings: dict[str, bool]) -> None:
    end, kept = alone(), []  # type: ignore[var-annotated]
    end.loop.spawn(ask(end.peer, what, kept, **settings))
    assert end.raw.said()[1] == found(PatientID="7")
    end.raw.send(find_rsp(status=0xFF00, identifier=b"no data set!"), find_rsp())
    assert kept == [b"no data set!"]


def test_a_match_without_identifier_is_none() -> None:
    end, kept = alone(), []  # type: ignore[var-annotated]
    task = end.loop.spawn(ask(end.peer, query(), kept))
    end.raw.send(find_rsp(status=0xFF00), find_rsp(status=0xFF00, identifier=found()), find_rsp())
    assert len(kept) == 1
    assert task.result().answer == 0


def test_after_the_end_there_is_no_other_match() -> None:
    async def asks(peer: Peer) -> None:
        async with peer.c_find(FIND, query()) as matches:
            assert [match async for match in matches] == []
            assert [match async for match in matches] == []
            matches.cancel()  # over, so nothing is left to do

    end = alone()
    task = end.loop.spawn(asks(end.peer))
    end.raw.heard()
    end.raw.send(find_rsp())
    task.result()
    assert end.raw.said() == []


def test_what_cannot_be_decoded_is_an_error_of_that_match_alone() -> None:
    async def asks(peer: Peer, kept: list[Any]) -> None:
        async with peer.c_find(FIND, query()) as matches:
            for _ in range(3):
                try:
                    kept.append(await anext(matches))
                except DatasetError as error:
                    kept.append(type(error))
            assert await anext(matches, None) is None

    end, kept = alone(), []  # type: ignore[var-annotated]
    task = end.loop.spawn(asks(end.peer, kept))
    broken = find_rsp(status=0xFF00, identifier=b"\x08\0\x52\0SQ\0\0\xff\xff\xff\xff\xfe\xff\0\xe0\x10\0\0\0ab")
    end.raw.send(find_rsp(status=0xFF00, identifier=found()), broken, find_rsp(status=0xFF00, identifier=found()))
    end.raw.send(find_rsp())
    task.result()
    assert kept == [query(), DatasetError, query()]


def test_a_long_match_is_decoded_off_the_loop() -> None:
    calls: list[Any] = []
    end, kept = alone(), []  # type: ignore[var-annotated]
    call = end.link.call

    def counted(function: Any, *args: Any, **settings: Any) -> Coroutine[Any, Any, Any]:
        calls.append(function)
        return call(function, *args, **settings)

    end.link.call = counted  # type: ignore[method-assign]
    end.loop.spawn(ask(end.peer, query(), kept))
    end.raw.send(find_rsp(status=0xFF00, identifier=found(PatientComments="x" * 10)))
    assert calls == []
    text = "x" * _WORTH_A_HOP
    one_pdu = encode(query(TextValue=text), EXPLICIT_VR_LITTLE_ENDIAN)
    end.raw.send(find_rsp(status=0xFF00, identifier=one_pdu), find_rsp())
    assert calls == [decode]
    assert kept[1].TextValue == text


# ---------------------------------------------------------------- what is asked


def test_the_query_is_encoded_for_its_context() -> None:
    contexts = [
        PresentationContext(FIND, (syntax,)) for syntax in (IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN)
    ]
    for syntax, settings in [
        (IMPLICIT_VR_LITTLE_ENDIAN, {}),
        (EXPLICIT_VR_LITTLE_ENDIAN, {"transfer_syntax_uid": EXPLICIT_VR_LITTLE_ENDIAN}),
    ]:
        end = Alone(config=Requestor("ME", "YOU", contexts), other=Acceptor("YOU", [FIND]))
        end.loop.spawn(ask(end.peer, query(PatientID="7"), [], **settings))
        assert end.raw.said()[1] == encode(query(PatientID="7"), syntax)


@pytest.mark.parametrize(
    ("what", "error"),
    [(b"", LocalProtocolError), (b"odd", LocalProtocolError), (Dataset(), LocalProtocolError)],
)
def test_what_cannot_be_sent_is_told_at_once(what: Any, error: type[Exception]) -> None:
    end = alone()
    with pytest.raises(error):
        end.loop.call(ask(end.peer, what, []))
    assert end.raw.said() == []
    assert nothing_left(end.session)


def test_what_cannot_be_encoded_is_told_at_once() -> None:
    wrong = query()
    wrong.Rows = 1
    wrong["Rows"]._value = "many"
    end = alone()
    with pytest.raises(DatasetError, match="cannot be encoded"):
        end.loop.call(ask(end.peer, wrong, []))
    assert end.raw.said() == []


def test_what_was_not_negotiated_is_told_at_once() -> None:
    end = Alone()
    with pytest.raises(LocalProtocolError, match=r"no context for Study Root .* was proposed"):
        end.loop.call(ask(end.peer, query(), []))
    end = Alone(config=requestor(QUERY))
    with pytest.raises(LocalProtocolError, match="the peer refused every context for Study Root"):
        end.loop.call(ask(end.peer, query(), []))


# ---------------------------------------------------------------- early ends


def test_leaving_early_cancels_and_drops_what_comes() -> None:
    end, kept = alone(), []  # type: ignore[var-annotated]
    task = end.loop.spawn(ask(end.peer, query(), kept, stop=1))
    end.raw.said()
    end.raw.send(find_rsp(status=0xFF00, identifier=found()))
    assert task.result().answer is None
    assert end.raw.said() == [CCancelRQ(message_id_being_responded_to=1)]
    echo = end.loop.spawn(end.peer.c_echo())
    end.raw.send(find_rsp(status=0xFF00, identifier=found()))
    assert end.raw.said() == []  # the window is full until the peer has ended it
    end.raw.send(find_rsp(status=0xFE00))
    assert end.raw.said() == [CEchoRQ(message_id=2, affected_sop_class_uid="1.2.840.10008.1.1")]
    end.raw.send(echo_rsp(2))
    assert echo.result() == 0
    assert len(kept) == 1
    assert nothing_left(end.session)


def test_an_error_in_the_block_leaves_it_too() -> None:
    async def asks(peer: Peer) -> None:
        async with peer.c_find(FIND, query()):
            raise ZeroDivisionError

    end = alone()
    task = end.loop.spawn(asks(end.peer))
    assert [type(said) for said in end.raw.said()] == [CFindRQ, bytes, CCancelRQ]
    with pytest.raises(ZeroDivisionError):
        task.result()
    end.raw.send(find_rsp(status=0xFE00))
    assert nothing_left(end.session)


def test_cancelled_in_order_the_matches_under_way_still_come() -> None:
    async def asks(peer: Peer, kept: list[Any]) -> Any:
        async with peer.c_find(FIND, query()) as matches:
            async for match in matches:
                kept.append(match)
                matches.cancel()
        return matches.answer

    end, kept = alone(), []  # type: ignore[var-annotated]
    task = end.loop.spawn(asks(end.peer, kept))
    end.raw.said()
    end.raw.send(*[find_rsp(status=0xFF00, identifier=found())] * 2)
    assert end.raw.said() == [CCancelRQ(message_id_being_responded_to=1)]
    end.raw.send(find_rsp(status=0xFF00, identifier=found()), find_rsp(status=0xFE00))
    assert task.result() == 0xFE00
    assert len(kept) == 3


@pytest.mark.parametrize("end_of_it", ["abort", "vanish", "timeout"])
def test_the_association_ends_in_the_middle(end_of_it: str) -> None:
    end, kept = alone(), []  # type: ignore[var-annotated]
    task = end.loop.spawn(ask(end.peer, query(), kept))
    end.raw.send(find_rsp(status=0xFF00, identifier=found()))
    if end_of_it == "abort":
        end.raw.send(ABORT)
    elif end_of_it == "vanish":
        end.raw.vanish("reset")
    else:
        end.loop.pass_time(60.0)
    with pytest.raises(AssociationLost):
        task.result()
    assert len(kept) == 1


@pytest.mark.parametrize("level", [False, True])
def test_cancelled_at_each_of_its_waits_it_leaves_the_association_usable(level: bool) -> None:
    class Finds:
        async def c_find(self, find: Any) -> Any:
            for number in range(4):
                yield query(PatientID=str(number))

    at = 0
    while True:
        at += 1
        both = Joined(Finds(), ours=requestor(QUERY), theirs=acceptor(QUERY), capacity=150)
        kept: list[Any] = []
        task = both.loop.spawn(ask(both.peer, query(), kept), cancel_at=at, level=level)
        both.loop.run()
        assert task.done
        assert both.loop.call(both.peer.c_echo()) == 0
        both.loop.run()
        assert nothing_left(both.scu)
        assert nothing_left(both.scp)
        assert not both.reports
        if not isinstance(task.error, Cancelled):
            break
    assert at > 3
    assert [match.PatientID for match in kept] == ["0", "1", "2", "3"]


# ---------------------------------------------------------------- bounds


@pytest.mark.parametrize("size", [0, 2000])
def test_who_does_not_take_the_matches_stops_the_reading(size: int) -> None:
    async def asks(peer: Peer) -> None:
        async with peer.c_find(FIND, query(), raw=True) as matches:
            await stop.wait()
            kept.extend([match async for match in matches])

    end = alone()
    stop = end.link.signal()
    kept: list[Any] = []
    task = end.loop.spawn(asks(end.peer))
    match = find_rsp(status=0xFF00, identifier=b"x" * size or None)
    sent = 0
    while not end.session.stalled:
        end.raw.send(match)
        sent += 1
        assert sent * (size + 1024) <= _INBOX_BYTES + size + 1024
    end.raw.send(*[match] * 100, find_rsp())
    assert end.session.stalled
    assert len(end.link.incoming.data) > 100 * len(match)  # it stays where it is
    stop.set()
    end.loop.run()
    task.result()
    assert len(kept) == (sent + 100 if size else 0)


def test_several_ask_at_once_and_each_gets_its_own() -> None:
    class Finds:
        async def c_find(self, find: Any) -> Any:
            for number in range(5):
                yield query(PatientID=f"{find.identifier.PatientID}{number}")

    window = AsynchronousOperationsWindow(3, 1)
    both = Joined(Finds(), ours=requestor(QUERY, window=window), theirs=acceptor(QUERY, window=window))
    kept: list[list[Any]] = [[], [], [], []]
    tasks = [both.loop.spawn(ask(both.peer, query(PatientID=f"{n}"), kept[n])) for n in range(4)]
    both.loop.run()
    assert [task.result().answer for task in tasks] == [0] * 4
    for number, mine in enumerate(kept):
        assert [match.PatientID for match in mine] == [f"{number}{n}" for n in range(5)]


@pytest.mark.parametrize("kept", [0, 1])
def test_when_the_block_was_left_there_are_no_more_matches(kept: int) -> None:
    end, got = alone(), []  # type: ignore[var-annotated]
    task = end.loop.spawn(ask(end.peer, query(), got, stop=1) if kept else left_at_once(end.peer))
    end.raw.said()
    end.raw.send(*[find_rsp(status=0xFF00, identifier=found(PatientID="7"))] * 3)
    matches = task.result()
    late = end.loop.spawn(anext(matches))
    end.loop.run()
    with pytest.raises(LocalProtocolError, match="this request is over"):
        late.result()
    assert matches.answer is None


async def left_at_once(peer: Peer) -> Matches[Any]:
    async with peer.c_find(FIND, query()) as matches:
        pass
    return matches


@pytest.mark.parametrize("nonsense", [{"PatientID": "7"}, "7*", None])
def test_what_is_no_query(nonsense: Any) -> None:
    end = alone()
    with pytest.raises(TypeError, match=f"a query is a Dataset, or bytes.*, not a {type(nonsense).__name__}"):
        end.loop.call(ask(end.peer, nonsense, []))
    assert end.engine.outstanding == ()
