"""How instances get to a peer: one alone, and many within the window; and whatever becomes of them in the middle."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import chain, count, repeat
from typing import Any

import pytest
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset

import memory_link
from engine_pair import ABORT, CT, MR, RELEASE_RQ, acceptor, echo_rsp, requestor, store_rsp
from memory_link import Alone, Answering, Anything, Joined, content, instance, nothing_left
from sansdimse.dataset import DatasetError, Instance, decode
from sansdimse.dimse.messages import CEchoRQ, CStoreRQ, Priority
from sansdimse.errors import LocalProtocolError
from sansdimse.limits import Limits
from sansdimse.outcome import OutcomeKind, Side
from sansdimse.peer.scp import Store
from sansdimse.peer.scu import Peer
from sansdimse.peer.session import AssociationLost
from sansdimse.uids import (
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    EXPLICIT_VR_BIG_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    VERIFICATION,
)
from sansdimse.ul.items import AsynchronousOperationsWindow
from sansdimse.ul.parties import Acceptor, PresentationContext, Requestor
from sansdimse.ul.pdu import AAbort

JPEG = "1.2.840.10008.1.2.4.50"
SMALL = 40_000  # what the wire holds, so that a sender has to wait


class Uids:
    """A service that keeps the requests, the transfer syntaxes and the data sets."""

    def __init__(self, status: int = 0) -> None:
        self.status = status
        self.got: list[tuple[CStoreRQ, str, bytes]] = []

    async def c_store(self, store: Store) -> int:
        self.got.append((store.request, store.transfer_syntax_uid, await store.read()))
        return self.status


def in_syntaxes(service: object, *syntaxes: str, accepted: tuple[str, ...] | None = None) -> Joined:
    contexts = (VERIFICATION, *(PresentationContext(CT, (syntax,)) for syntax in syntaxes))
    return Joined(
        service,
        ours=Requestor("ME", "YOU", contexts),
        theirs=Acceptor("YOU", (VERIFICATION, PresentationContext(CT, accepted or syntaxes))),
    )


def dataset() -> Dataset:
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID, ds.PatientName, ds.Rows = CT, "1.2.3", "A^B", 7
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = EXPLICIT_VR_LITTLE_ENDIAN
    return ds


# ---------------------------------------------------------------- what is sent


def test_a_data_set_is_encoded_and_sent() -> None:
    service = Uids()
    joined = Joined(service)
    assert joined.loop.call(joined.peer.c_store(dataset())) == 0
    ((_, syntax, data),) = service.got
    assert decode(data, syntax) == dataset()


def test_a_data_set_that_is_no_instance_is_told_before_anything_is_sent() -> None:
    joined = Joined()
    with pytest.raises(DatasetError, match="SOP Class UID"):
        joined.loop.call(joined.peer.c_store(Dataset()))
    assert joined.scu.engine.outstanding == ()
    assert joined.loop.call(joined.peer.c_echo()) == 0


def test_a_file_is_opened_while_it_is_sent() -> None:
    service = Anything()
    joined = Joined(service, capacity=SMALL)
    joined.scu_link.files["a.dcm"] = instance(300_000)
    store = joined.loop.spawn(joined.peer.c_store("a.dcm"))
    joined.loop.run(lambda: bool(joined.there.data))
    assert joined.scu_link.opened == 1
    joined.loop.run()
    assert store.result() == 0
    assert joined.scu_link.opened == 0
    assert service.stored == {"1.2.3.4": content(300_000)}


def test_progress_is_told_in_bytes_of_the_data_set() -> None:
    joined = Joined(capacity=SMALL)
    told: list[int] = []
    joined.loop.call(joined.peer.c_store(instance(200_000, piece=60_000), progress=told.append))
    assert told == [60_000, 120_000, 180_000, 200_000]


def test_a_peer_that_takes_little_in_a_pdu_is_given_little_at_once() -> None:
    """Each PDU costs some hundred bytes of ours: 256 KiB in PDUs of 8 bytes would be 47 MB."""
    joined = Joined(theirs=acceptor(maximum_length=8))
    told: list[int] = []
    assert joined.loop.call(joined.peer.c_store(instance(10_000), progress=told.append)) == 0
    assert told == [4096, 8192, 10_000]


@pytest.mark.parametrize("pieces", [[], [b""], [b"", b"ab", b"", memoryview(b"cd"), b""], [b"a", b"bcd"]])
def test_pieces_may_be_cut_anyhow_and_be_empty(pieces: list[bytes]) -> None:
    service = Anything()
    joined = Joined(service)
    source = Instance(CT, "1.2.3.4", EXPLICIT_VR_LITTLE_ENDIAN, None, lambda: iter(pieces))
    assert joined.loop.call(joined.peer.c_store(source)) == 0
    assert service.stored == {"1.2.3.4": b"".join(pieces)}


# ---------------------------------------------------------------- in which transfer syntax


def test_an_instance_goes_out_in_its_own_transfer_syntax_if_it_can() -> None:
    service = Uids()
    joined = in_syntaxes(service, IMPLICIT_VR_LITTLE_ENDIAN, JPEG)
    source = replace(instance(), transfer_syntax_uid=JPEG)
    assert joined.loop.call(joined.peer.c_store(source)) == 0
    assert service.got[0][1:] == (JPEG, content(1000))


@pytest.mark.parametrize(
    ("accepted", "taken"),
    [
        ((IMPLICIT_VR_LITTLE_ENDIAN,), IMPLICIT_VR_LITTLE_ENDIAN),
        ((EXPLICIT_VR_BIG_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN), IMPLICIT_VR_LITTLE_ENDIAN),
        ((JPEG, DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN), DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN),
    ],
)
def test_between_the_uncompressed_syntaxes_it_is_converted(accepted: tuple[str, ...], taken: str) -> None:
    service = Uids()
    joined = in_syntaxes(service, *accepted)
    assert joined.loop.call(joined.peer.c_store(dataset())) == 0
    ((_, syntax, data),) = service.got
    assert syntax == taken
    assert decode(data, syntax) == dataset()


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (replace(instance(), transfer_syntax_uid=JPEG), "JPEG Baseline .* cannot be sent .* takes it in: Explicit VR"),
        (replace(instance(), sop_class_uid=MR), "the peer refused its presentation contexts .abstract syntax not"),
        (replace(instance(), sop_class_uid="1.2.3"), "no presentation context for it was proposed"),
    ],
)
def test_what_cannot_be_sent_is_told_with_what_would_do(source: Instance, message: str) -> None:
    joined = Joined()
    with pytest.raises(LocalProtocolError, match=message):
        joined.loop.call(joined.peer.c_store(source))
    assert joined.loop.call(joined.peer.c_echo()) == 0
    assert nothing_left(joined.scu)


def test_a_context_in_which_we_are_not_the_scu_cannot_be_used() -> None:
    contexts = (VERIFICATION, PresentationContext(CT, scu=False, scp=True))
    joined = Joined(ours=Requestor("ME", "YOU", contexts), theirs=acceptor())
    with pytest.raises(LocalProtocolError, match="not for us to send"):
        joined.loop.call(joined.peer.c_store(instance()))


# ---------------------------------------------------------------- many


async def collect(peer: Peer, sources: list[Any], got: list[Any], **settings: Any) -> None:
    async with peer.c_store_each(sources, **settings) as results:
        async for source, answer in results:
            got.append((source, answer))


def test_many_are_stored_in_their_order_and_those_that_cannot_be_are_told() -> None:
    service = Uids(0xB000)
    joined = Joined(service)
    odd = Instance(MR, "1.2.5", EXPLICIT_VR_LITTLE_ENDIAN, 2, lambda: iter([b"ab"]))
    files = {"a": instance(10), "b": FileNotFoundError("b"), "c": DatasetError("c"), "d": odd, "e": instance(20)}
    joined.scu_link.files.update(files)
    got: list[Any] = []
    joined.loop.call(collect(joined.peer, list(files), got, priority=Priority.LOW))
    assert [source for source, _ in got] == list(files)
    answers = [answer for _, answer in got]
    assert answers[0] == answers[4] == 0xB000
    assert answers[1:3] == [files["b"], files["c"]]
    assert isinstance(answers[3], LocalProtocolError)
    assert [request.priority for request, _, _ in service.got] == [Priority.LOW] * 2
    assert joined.scu_link.opened == 0


def test_leaving_the_many_early_is_no_harm() -> None:
    service = Uids()
    joined = Joined(service)

    async def first_only() -> Any:
        async with joined.peer.c_store_each([instance(), instance()]) as results:
            return await anext(results)

    assert joined.loop.call(first_only())[1] == 0
    assert len(service.got) == 1
    assert joined.loop.call(joined.peer.c_echo()) == 0


# ---------------------------------------------------------------- many within a window


Windowed = Callable[..., tuple[Alone, Answering]]


@pytest.fixture
def windowed() -> Iterator[Windowed]:
    """One that may have so many outstanding, before a performer who answers when told and leaves at the end."""
    made: list[Alone] = []

    def windowed(window: int, **settings: Any) -> tuple[Alone, Answering]:
        agreed = AsynchronousOperationsWindow(window, 1)
        made.append(memory_link.windowed(agreed, agreed, **settings))
        return made[-1], Answering(made[-1])

    yield windowed
    for alone in made:
        alone.raw.vanish()
        assert not alone.loop.waiting
        assert alone.link.opened == 0
        assert nothing_left(alone.session)


class Begun:
    """A ``c_store_each`` that runs: what was taken of its sources, and what was given."""

    def __init__(self, alone: Alone, sources: Iterable[Any], **settings: Any) -> None:
        self.taken: list[Any] = []
        self.got: list[Any] = []
        self.task = alone.loop.spawn(collect(alone.peer, self._each(sources), self.got, **settings))
        alone.loop.run()

    def _each(self, sources: Iterable[Any]) -> Iterator[Any]:
        for source in sources:
            self.taken.append(source)
            yield source

    def statuses(self) -> list[Any]:
        return [answer for _, answer in self.got]


def some(number: int, size: int = 1000) -> list[Instance]:
    return [instance(size, f"1.{n}") for n in range(1, number + 1)]


def endless() -> Iterator[Instance]:
    for n in count(1):
        yield instance(10, f"1.{n}")


def test_as_many_are_outstanding_as_the_window_allows_and_given_in_order(windowed: Windowed) -> None:
    alone, scp = windowed(3)
    sources = some(5)
    begun = Begun(alone, sources)
    assert scp.hear()
    assert list(scp.waiting) == [1, 2, 3]
    for message_id, given, outstanding in (
        (2, [], [1, 3, 4]),
        (1, [0xB001, 0xB002], [3, 4, 5]),
        (5, [0xB001, 0xB002], [3, 4]),
        (3, [0xB001, 0xB002, 0xB003], [4]),
        (4, [0xB001, 0xB002, 0xB003, 0xB004, 0xB005], []),
    ):
        scp.answer(message_id, 0xB000 + message_id)
        scp.hear()
        assert begun.statuses() == given
        assert list(scp.waiting) == outstanding
    assert [source for source, _ in begun.got] == sources
    assert begun.task.result() is None
    assert scp.most == 3
    assert scp.stored == {f"1.{n}": content(1000) for n in range(1, 6)}
    assert nothing_left(alone.session)


@pytest.mark.parametrize("window", [1, 3])
def test_no_more_sources_are_taken_ahead_than_the_window(windowed: Windowed, window: int) -> None:
    alone, scp = windowed(window)
    begun = Begun(alone, endless())
    for given in range(5):
        assert (len(begun.got), len(begun.taken)) == (given, given + window)
        scp.hear()
        scp.answer(given + 1)


@pytest.mark.parametrize(("window", "kept"), [(2, 16), (8, 16), (20, 40)])
def test_results_that_wait_behind_one_are_bounded(windowed: Windowed, window: int, kept: int) -> None:
    alone, scp = windowed(window)
    begun = Begun(alone, endless())
    while scp.hear():
        for message_id in list(scp.waiting):
            if message_id != 1:
                scp.answer(message_id)
    assert (begun.got, len(begun.taken)) == ([], kept)
    scp.answer(1)
    scp.hear()
    assert len(begun.got) == kept
    assert len(begun.taken) == kept + window


def test_errors_that_wait_behind_one_are_bounded_as_well(windowed: Windowed) -> None:
    alone, _ = windowed(2)
    alone.link.files["missing"] = FileNotFoundError("missing")
    begun = Begun(alone, chain([instance()], repeat("missing")))
    assert len(begun.taken) == 16
    assert begun.got == []


def test_an_unlimited_window_is_used_up_to_a_bound(windowed: Windowed) -> None:
    alone, scp = windowed(0)
    begun = Begun(alone, endless())
    scp.hear()
    assert len(scp.waiting) == len(begun.taken) == 1024


def test_answers_that_come_while_the_result_is_looked_at_are_kept(windowed: Windowed) -> None:
    alone, scp = windowed(3)
    alone.loop.spawn(alone.peer.c_echo())

    async def slowly() -> list[Any]:
        got = []
        async with alone.peer.c_store_each(some(5)) as results:
            async for _, answer in results:
                got.append((answer, await alone.peer.c_echo()))
        return got

    task = alone.loop.spawn(slowly())
    scp.answer_all()
    assert task.result() == [(0, 0)] * 5
    assert nothing_left(alone.session)


def test_what_got_known_while_a_result_was_looked_at_is_given_before_the_next_is_taken(windowed: Windowed) -> None:
    alone, scp = windowed(2)
    taken: list[Instance] = []
    seen: list[int] = []
    go_on = alone.link.signal()

    async def slowly() -> None:
        async with alone.peer.c_store_each(taken.append(source) or source for source in some(4)) as results:
            async for _ in results:
                seen.append(len(taken))
                await go_on.wait()

    task = alone.loop.spawn(slowly())
    alone.loop.run()
    scp.hear()
    scp.answer(1)
    scp.answer(2)
    assert seen == [2]
    go_on.set()
    alone.loop.run()
    assert seen == [2, 2]
    scp.answer_all()
    assert task.result() is None


def test_progress_names_the_source(windowed: Windowed) -> None:
    alone, scp = windowed(2)
    told: list[Any] = []
    sources = [instance(300_000, "1.1", piece=200_000), instance(10, "1.2"), instance(0, "1.3")]
    begun = Begun(alone, sources, progress=lambda source, sent: told.append((source.sop_instance_uid, sent)))
    scp.answer_all()
    assert begun.statuses() == [0, 0, 0]
    assert told == [("1.1", 200_000), ("1.1", 300_000), ("1.2", 10)]


def test_an_error_is_given_in_its_place_and_disturbs_nobody(windowed: Windowed) -> None:
    alone, scp = windowed(4)
    errors = [FileNotFoundError("a"), DatasetError("b")]
    alone.link.files.update(a=errors[0], b=errors[1], c=instance(10, "1.3"))
    unfit = instance(10, "1.9", sop_class=MR)
    unsayable = instance(10, "1." + "9" * 70_000)
    sources = [instance(10, "1.1"), "a", unfit, "c", unsayable, "b", instance(10, "1.2")]
    begun = Begun(alone, sources)
    scp.hear()
    assert (begun.got, len(begun.taken)) == ([], 7)
    assert len(alone.session.line) == 0
    scp.answer(2)
    scp.answer(1)
    assert begun.statuses()[:2] == [0, errors[0]]
    assert isinstance(begun.statuses()[2], LocalProtocolError)
    assert begun.statuses()[3] == 0
    assert isinstance(begun.statuses()[4], LocalProtocolError)
    assert begun.statuses()[5:] == [errors[1]]
    scp.answer(3, 0xC000)
    assert begun.statuses()[6:] == [0xC000]
    assert [source for source, _ in begun.got] == sources
    assert alone.link.opened == 0
    assert nothing_left(alone.session)


def test_an_early_refusal_cuts_one_and_the_next_goes_out(windowed: Windowed) -> None:
    alone, scp = windowed(3, capacity=1000)
    begun = Begun(alone, [instance(10, "1.1"), instance(3_000_000, "1.2"), instance(20, "1.3")])
    while scp.receiving is None or scp.receiving.message_id != 2:
        scp.hear()
    scp.answer(2, 0xA700)
    assert begun.got == []
    alone.out.capacity = 1 << 40
    scp.answer_all()
    assert begun.statuses() == [0, 0xA700, 0]
    assert scp.stored == {"1.1": content(10), "1.3": content(20)}


def test_an_early_success_is_no_result_before_the_data_set_is_sent(windowed: Windowed) -> None:
    alone, scp = windowed(2, capacity=1000)
    begun = Begun(alone, some(2, 1_000_000))
    scp.hear()
    scp.answer(1, 0xB000)
    assert begun.got == []
    alone.out.capacity = 1 << 40
    while scp.hear():
        pass
    assert begun.statuses() == [0xB000]
    scp.answer(2)
    assert begun.statuses() == [0xB000, 0]
    assert begun.task.done


@pytest.mark.parametrize("window", [1, 2, 8])
def test_two_conversations_of_many_may_meet_at_any_moment(window: int) -> None:
    asked = AsynchronousOperationsWindow(window, window)
    for moment in range(60):
        service = Anything()
        joined = Joined(service, ours=requestor(window=asked), theirs=acceptor(window=asked), capacity=SMALL)
        loop, got = joined.loop, ([], [])  # type: tuple[Any, tuple[list[Any], list[Any]]]
        sources = [[instance(size, f"1.{m}.{size}") for size in (60_000, 0, 70_000, 10)] for m in (0, 1)]
        first = loop.spawn(collect(joined.peer, sources[0], got[0]))
        steps = iter(range(moment))
        loop.run(lambda steps=steps: next(steps, None) is None)  # type: ignore[misc]
        second = loop.spawn(collect(joined.peer, sources[1], got[1]))
        loop.run()
        assert (first.result(), second.result()) == (None, None)
        for m in (0, 1):
            assert got[m] == [(source, 0) for source in sources[m]]
        assert service.stored == {f"1.{m}.{size}": content(size) for m in (0, 1) for size in (60_000, 0, 70_000, 10)}
        assert all(map(nothing_left, joined.sessions))


def test_answers_that_come_while_another_data_set_goes_out_are_kept(windowed: Windowed) -> None:
    alone, scp = windowed(4, capacity=1000)
    begun = Begun(alone, [instance(10, "1.1"), instance(10, "1.2"), instance(10, "1.3")])
    scp.hear()
    big = alone.loop.spawn(alone.peer.c_store(instance(1_000_000, "1.9")))
    alone.loop.run()
    late = Begun(alone, [instance(10, "1.4")])
    while scp.receiving is None:
        scp.hear()
    scp.answer(2)
    scp.answer(1)
    assert begun.statuses() == [0, 0]
    alone.out.capacity = 1 << 40
    scp.answer_all()
    assert (begun.statuses(), late.statuses(), big.result()) == ([0, 0, 0], [0], 0)


# ---------------------------------------------------------------- many, and the association ends


def test_all_that_is_known_is_given_before_the_loss_and_the_rest_is_in_doubt(windowed: Windowed) -> None:
    alone, scp = windowed(4)
    sources = some(9)
    begun = Begun(alone, sources)
    scp.hear()
    scp.answer(2)
    scp.answer(4, 0xB000)
    scp.hear()
    assert begun.got == []
    alone.raw.send(ABORT)
    assert begun.got == [(sources[1], 0), (sources[3], 0xB000)]
    with pytest.raises(AssociationLost) as lost:
        begun.task.result()
    assert lost.value.in_doubt == tuple(sources[n] for n in (0, 2, 4, 5))
    assert lost.value.outcome.kind is OutcomeKind.ABORTED
    assert begun.taken == sources[:6]
    assert nothing_left(alone.session)


def test_answers_before_the_abort_in_one_breath_are_given(windowed: Windowed) -> None:
    alone, scp = windowed(3)
    sources = some(9)
    begun = Begun(alone, sources)
    scp.hear()
    alone.raw.send(store_rsp(3), store_rsp(1), ABORT)
    assert begun.got == [(sources[0], 0), (sources[2], 0)]
    with pytest.raises(AssociationLost) as lost:
        begun.task.result()
    assert lost.value.in_doubt == (sources[1],)


@pytest.mark.parametrize("end", [RELEASE_RQ, ABORT, None])
def test_a_loss_in_the_middle_of_a_data_set_is_told_after_what_is_known(windowed: Windowed, end: Any) -> None:
    alone, scp = windowed(3, capacity=1000)
    sources = [instance(10, "1.1"), "a", instance(10, "1.3")]
    alone.link.files["a"] = instance(3_000_000, "1.2")
    begun = Begun(alone, sources)
    while scp.receiving is None or scp.receiving.message_id != 2:
        scp.hear()
    scp.answer(1)
    assert (begun.got, alone.link.opened) == ([], 1)  # nothing in the middle of a data set
    if end is None:
        alone.raw.vanish()
    else:
        alone.raw.send(end)
    alone.out.capacity = 1 << 40
    scp.hear()
    assert begun.got == [(sources[0], 0)]
    with pytest.raises(AssociationLost) as lost:
        begun.task.result()
    assert lost.value.in_doubt == ("a",)
    assert (begun.taken, alone.link.opened) == (sources[:2], 0)
    assert nothing_left(alone.session)


def test_an_early_success_does_not_count_if_the_data_set_was_never_sent(windowed: Windowed) -> None:
    alone, scp = windowed(2, capacity=1000)
    sources = some(2, 3_000_000)
    begun = Begun(alone, sources)
    scp.hear()
    scp.answer(1)
    alone.raw.send(ABORT)
    assert begun.got == []
    with pytest.raises(AssociationLost) as lost:
        begun.task.result()
    assert lost.value.in_doubt == (sources[0],)


def test_an_association_that_ended_before_takes_no_source(windowed: Windowed) -> None:
    alone, _ = windowed(2)
    alone.raw.send(ABORT)
    begun = Begun(alone, some(2))
    with pytest.raises(AssociationLost) as lost:
        begun.task.result()
    assert (lost.value.in_doubt, begun.taken) == ((), [])


def test_one_that_ends_while_a_result_is_looked_at_takes_no_more(windowed: Windowed) -> None:
    alone, scp = windowed(1)
    sources = some(2)
    taken: list[Instance] = []

    async def aborting() -> None:
        async with alone.peer.c_store_each(taken.append(source) or source for source in sources) as results:
            async for _ in results:
                await alone.peer.abort()

    task = alone.loop.spawn(aborting())
    alone.loop.run()
    scp.hear()
    scp.answer(1)
    alone.raw.vanish()
    with pytest.raises(AssociationLost):
        task.result()
    assert taken == sources[:1]


def test_what_waits_for_room_holds_no_result_back_and_is_not_in_doubt(windowed: Windowed) -> None:
    alone, scp = windowed(2)
    loop, peer = alone.loop, alone.peer
    alone.link.files["a"] = instance(10, "1.2")
    echo = loop.spawn(peer.c_echo())
    loop.run()
    begun = Begun(alone, [instance(10, "1.1"), "a", instance(10, "1.3")])
    assert (len(begun.taken), alone.link.opened) == (2, 1)
    later = loop.spawn(peer.c_echo())
    scp.hear()
    scp.answer(2)
    assert begun.statuses() == [0]
    scp.hear()
    assert list(scp.waiting) == [1, 3]
    assert isinstance(scp.waiting[3], CEchoRQ)  # whoever takes a result, goes to the end of the line
    alone.raw.send(ABORT)
    for task in (echo, later, begun.task):
        with pytest.raises(AssociationLost) as lost:
            task.result()
        assert lost.value.in_doubt == ()
    assert alone.link.opened == 0
    assert nothing_left(alone.session)


# ---------------------------------------------------------------- many, and the iteration ends


def test_leaving_early_abandons_what_is_outstanding(windowed: Windowed) -> None:
    alone, scp = windowed(3)
    alone.link.files["a"] = instance(10, "1.4")

    async def first_only() -> Any:
        async with alone.peer.c_store_each([*some(3), "a"]) as results:
            return await anext(results)

    task = alone.loop.spawn(first_only())
    alone.loop.run()
    scp.hear()
    scp.answer(1)
    assert task.result()[1] == 0
    assert [operation.abandoned for operation in alone.engine.outstanding] == [True, True]
    echo = alone.loop.spawn(alone.peer.c_echo())
    scp.answer_all()
    assert echo.result() == 0
    assert alone.peer.outcome is None
    assert "1.4" not in scp.stored
    assert nothing_left(alone.session)


def test_leaving_early_with_one_that_waits_for_room_closes_its_file(windowed: Windowed) -> None:
    alone, scp = windowed(2)
    alone.link.files["a"] = instance(10, "1.2")
    alone.loop.spawn(alone.peer.c_echo())
    alone.loop.run()

    async def first_only() -> Any:
        async with alone.peer.c_store_each([instance(), "a"]) as results:
            return await anext(results)

    task = alone.loop.spawn(first_only())
    alone.loop.run()
    assert alone.link.opened == 1
    scp.hear()
    scp.answer(2)
    assert task.result()[1] == 0
    assert (alone.link.opened, len(alone.session.line)) == (0, 0)
    scp.answer_all()
    assert nothing_left(alone.session)


def test_what_the_sources_raise_comes_after_the_results_of_those_before(windowed: Windowed) -> None:
    alone, scp = windowed(4)

    def broken() -> Iterator[Instance]:
        yield from some(2)
        raise ZeroDivisionError

    begun = Begun(alone, broken())
    scp.hear()
    assert not begun.task.done
    scp.answer(2)
    scp.answer(1)
    assert begun.statuses() == [0, 0]
    with pytest.raises(ZeroDivisionError):
        begun.task.result()
    assert alone.peer.outcome is None
    echo = alone.loop.spawn(alone.peer.c_echo())
    scp.answer_all()
    assert echo.result() == 0


def test_an_error_that_nobody_foresaw_comes_after_the_results_of_those_before(windowed: Windowed) -> None:
    alone, scp = windowed(4)
    begun = Begun(alone, [instance(), "unknown to the link", instance()])
    scp.hear()
    scp.answer(1)
    assert begun.statuses() == [0]
    with pytest.raises(KeyError):
        begun.task.result()
    assert len(begun.taken) == 2
    assert nothing_left(alone.session)


def test_a_loss_before_that_names_it_as_its_cause(windowed: Windowed) -> None:
    alone, scp = windowed(4)
    begun = Begun(alone, [instance(), "unknown to the link"])
    scp.hear()
    alone.raw.send(ABORT)
    with pytest.raises(AssociationLost) as lost:
        begun.task.result()
    assert isinstance(lost.value.__cause__, KeyError)


def test_a_generator_of_pieces_is_closed_when_it_is_left_early(windowed: Windowed) -> None:
    for status in (0xA700, None):
        alone, scp = windowed(2, capacity=1000)
        closed: list[bool] = []

        def pieces(closed: list[bool] = closed) -> Iterator[bytes]:
            try:
                while True:
                    yield bytes(1000)
            finally:
                closed.append(True)

        generator = pieces()  # which lives on, so that it has to be closed
        source = Instance(CT, "1.1", EXPLICIT_VR_LITTLE_ENDIAN, None, lambda generator=generator: generator)  # type: ignore[misc]
        begun = Begun(alone, [source])
        scp.hear()
        assert closed == []
        if status is None:
            begun.task.cancel()
        else:
            scp.answer(1, status)
        alone.out.capacity = 1 << 40
        alone.loop.run()
        assert closed == [True]
        assert begun.statuses() == ([] if status is None else [status])


@pytest.mark.parametrize("level", [False, True])
@pytest.mark.parametrize("busy", [False, True])
def test_many_cancelled_at_any_await_leave_nothing_behind(busy: bool, level: bool) -> None:
    ends = []
    asked = AsynchronousOperationsWindow(3, 3)
    for at in range(1, 400):
        service = Anything()
        joined = Joined(service, ours=requestor(window=asked), theirs=acceptor(window=asked), capacity=SMALL)
        loop = joined.loop
        joined.scu_link.files.update(a=instance(200_000, "1.1"), b=instance(50_000, "1.2"), missing=OSError("missing"))
        others = [loop.spawn(joined.peer.c_echo()) for _ in range(4)] if busy else []
        sources = ["a", "missing", "b", instance(10, "1.3"), instance(10, "1.4")]
        got: list[Any] = []
        task = loop.spawn(collect(joined.peer, sources, got), cancel_at=at, level=level)
        loop.run()
        assert all(echo.value == 0 or isinstance(echo.error, AssociationLost) for echo in others)
        assert [source for source, _ in got] == sources[: len(got)]
        outcome = joined.scu.outcome
        if outcome is None:
            assert not any(echo.error for echo in others)
            assert loop.call(joined.peer.c_echo()) == 0
            assert loop.finish(joined.peer.release()).kind is OutcomeKind.RELEASED
        else:
            assert (outcome.kind, outcome.by) == (OutcomeKind.ABORTED, Side.LOCAL)
        ends.append(outcome is None)
        assert joined.scu_link.opened == 0
        assert all(map(nothing_left, joined.sessions))
        assert not loop.waiting
        assert not joined.reports
        if not task.cancelled:
            task.result()
            assert len(got) == 5
            break
    else:
        raise AssertionError("it never ran to its end")
    assert set(ends) == {True, False}, "in the middle of a data set it can only be aborted (PS3.7 9.3.1.3)"
    assert ends[-1]


def test_a_source_that_fails_in_the_middle_ends_it_after_what_is_known(windowed: Windowed) -> None:
    alone, scp = windowed(3, capacity=1000)
    alone.link.files["a"] = failing(3_000_000, OSError("disk"))
    sources = [instance(10, "1.1"), instance(10, "1.2"), "a"]
    begun = Begun(alone, sources)
    while scp.receiving is None or scp.receiving.message_id != 3:
        scp.hear()
    scp.answer(2)
    alone.out.capacity = 1 << 40
    while scp.hear():
        pass
    assert begun.got == [(sources[1], 0)]
    with pytest.raises(OSError, match="disk"):
        begun.task.result()
    assert isinstance(scp.pdus[-1], AAbort)
    assert alone.link.opened == 0
    alone.raw.vanish()
    assert nothing_left(alone.session)


# ---------------------------------------------------------------- sources that fail


def failing(after: int, error: Exception) -> Instance:
    def pieces() -> Iterator[bytes]:
        yield bytes(after)
        raise error

    return Instance(CT, "1.2.3.4", EXPLICIT_VR_LITTLE_ENDIAN, None, pieces)


@pytest.mark.parametrize("error", [OSError("disk"), DatasetError("shorter"), ValueError("user's own")])
@pytest.mark.parametrize("each", [False, True])
def test_a_source_that_fails_in_the_middle_aborts(error: Exception, each: bool) -> None:
    service = Anything()
    joined = Joined(service)
    got: list[Any] = []
    source = failing(100_000, error)
    joined.scu_link.files["a"] = source
    with pytest.raises(type(error)) as raised:
        joined.loop.finish(collect(joined.peer, ["a"], got) if each else joined.peer.c_store("a"))
    assert raised.value is error
    joined.loop.run()
    for session, by in ((joined.scu, Side.LOCAL), (joined.scp, Side.PEER)):
        assert session.outcome is not None
        assert (session.outcome.kind, session.outcome.by) == (OutcomeKind.ABORTED, by)
        assert nothing_left(session)
    assert got == []
    assert service.stored == {}
    assert joined.scu_link.opened == 0


def test_a_data_set_of_odd_length_aborts() -> None:
    joined = Joined()
    source = Instance(CT, "1.2.3.4", EXPLICIT_VR_LITTLE_ENDIAN, None, lambda: iter([b"abc"]))
    with pytest.raises(LocalProtocolError, match="odd"):
        joined.loop.call(joined.peer.c_store(source))
    assert joined.peer.outcome is not None
    assert joined.peer.outcome.kind is OutcomeKind.ABORTED


def test_a_progress_that_raises_aborts() -> None:
    joined = Joined()

    def stop(sent: int) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        joined.loop.call(joined.peer.c_store(instance(), progress=stop))
    assert joined.peer.outcome is not None


# ---------------------------------------------------------------- output is held


@pytest.mark.parametrize("window", [1, 3])
def test_a_sender_faster_than_the_wire_is_held_at_the_high_water(window: int) -> None:
    """Also by what the store before it has left: its last PDU may go above the mark."""
    asked = AsynchronousOperationsWindow(window, window)
    service = Anything()
    limits = replace(Limits(), output_high_water=50_000)
    joined = Joined(service, ours=requestor(window=asked, limits=limits), theirs=acceptor(window=asked), capacity=1000)
    joined.scp_link._heard_all = True  # it does not read: what is unsent is what was let in
    size = 4 * 131_066 - 2  # the last PDU is as long as the others
    stores = [joined.loop.spawn(joined.peer.c_store(instance(size, f"1.2.{n}", piece=20_000))) for n in range(3)]
    joined.loop.run()
    assert 50_000 <= joined.scu.engine.bytes_unsent < 50_000 + 131_072 + 20_000
    joined.scp_link._heard_all = False
    joined.loop.run()
    assert [store.result() for store in stores] == [0, 0, 0]
    assert service.stored == {f"1.2.{n}": content(size) for n in range(3)}
    assert joined.scu_link.highest_unsent < 50_000 + 2 * 131_072


def test_a_store_may_come_at_any_moment_of_another() -> None:
    asked = AsynchronousOperationsWindow(2, 2)
    for moment in range(40):
        service = Anything()
        joined = Joined(service, ours=requestor(window=asked), theirs=acceptor(window=asked), capacity=SMALL)
        first = joined.loop.spawn(joined.peer.c_store(instance(100_000, "1.1")))
        steps = iter(range(moment))
        joined.loop.run(lambda steps=steps: next(steps, None) is None)  # type: ignore[misc]
        second = joined.loop.spawn(joined.peer.c_store(instance(100_000, "1.2")))
        joined.loop.run()
        assert first.result() == second.result() == 0
        assert service.stored == {"1.1": content(100_000), "1.2": content(100_000)}
        assert all(map(nothing_left, joined.sessions))


# ---------------------------------------------------------------- answers that come early


def test_a_failure_that_comes_early_cuts_the_data_set() -> None:
    alone = Alone(capacity=1000)
    store = alone.loop.spawn(alone.peer.c_store(instance(3_000_000)))
    alone.loop.run()
    alone.raw.send(store_rsp(1, status=0xA700))
    alone.out.capacity = 1 << 40
    request, data = alone.raw.said()
    assert store.result() == 0xA700
    assert isinstance(request, CStoreRQ)
    assert data == content(3_000_000)[: len(data)]
    assert 0 < len(data) < 3_000_000
    echo = alone.loop.spawn(alone.peer.c_echo())
    alone.loop.run()
    alone.raw.send(echo_rsp(2))
    assert echo.result() == 0


def test_a_success_that_comes_early_lets_the_data_set_go_on() -> None:
    alone = Alone(capacity=1000)
    store = alone.loop.spawn(alone.peer.c_store(instance(1_000_000)))
    alone.loop.run()
    alone.raw.send(store_rsp(1, status=0xB000))
    assert not store.done
    alone.out.capacity = 1 << 40
    assert alone.raw.said()[1] == content(1_000_000)
    assert store.result() == 0xB000


@pytest.mark.parametrize("nonsense", [None, b"a.dcm", 7])
def test_what_is_no_source(nonsense: Any) -> None:
    joined = Joined()
    with pytest.raises(TypeError, match=f"a path, a Dataset or an Instance, not a {type(nonsense).__name__}"):
        joined.loop.call(joined.peer.c_store(nonsense))
    with pytest.raises(TypeError, match="a path, a Dataset or an Instance"):
        joined.loop.call(collect(joined.peer, [nonsense], []))


@pytest.mark.parametrize("nonsense", ["a.dcm", dataset(), None, 7])
def test_one_source_is_not_several(nonsense: Any) -> None:
    joined = Joined()
    with pytest.raises(TypeError, match=f"several sources, and not a {type(nonsense).__name__}"):
        joined.loop.call(collect(joined.peer, nonsense, []))
    assert joined.loop.call(joined.peer.c_echo()) == 0
