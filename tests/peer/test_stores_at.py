"""Where a retrieval stores: on its own association, or at a destination, whatever becomes of that."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine_pair import CT, MR
from memory_link import instance, nothing_left
from retrievals import DRIVEN, HOST, Keeps, Shapes, Site, image, plays, service, unwanted
from sansdimse.dataset import Instance
from sansdimse.dimse.messages import CStoreRQ, Priority
from sansdimse.outcome import OutcomeKind
from sansdimse.peer.link import Destination
from sansdimse.peer.session import AssociationLost
from sansdimse.peer.stores_at import destination_of
from sansdimse.services.sop_classes import STORAGE
from sansdimse.uids import EXPLICIT_VR_LITTLE_ENDIAN
from sansdimse.ul.items import AsynchronousOperationsWindow
from sansdimse.ul.parties import Acceptor, PresentationContext

JPEG = "1.2.840.10008.1.2.4.50"
RLE = "1.2.840.10008.1.2.5"
PRIVATE = "1.2.3.4.5.6"
WINDOW = AsynchronousOperationsWindow(4, 4)
A, B, C = image(1), image(2), image(3)


# ---------------------------------------------------------------- what is a destination


@pytest.mark.parametrize(
    ("given", "destination", "options"),
    [
        (("h", 104), Destination("h", 104, "ASKED", calling="OURS"), {}),
        (Destination("h", 104), Destination("h", 104, "ASKED", calling="OURS"), {}),
        (Destination("h", 104, "B", calling="C"), Destination("h", 104, "B", calling="C"), {}),
        (Destination("h", 104, calling="C"), Destination("h", 104, "ASKED", calling="C"), {}),
        ((("h", 104), [CT]), Destination("h", 104, "ASKED", calling="OURS"), {"contexts": [CT]}),
        ((Destination("h", 1, "B"), {"window": 3}), Destination("h", 1, "B", calling="OURS"), {"window": 3}),
    ],
)
def test_what_is_a_destination(given: Any, destination: Destination, options: dict[str, Any]) -> None:
    assert destination_of(given, called="ASKED", calling="OURS") == (destination, options)


@pytest.mark.parametrize("given", ["h", 104, ("h", "104"), ("h",), ("h", 104, "A"), (104, "h"), ("h", [CT]), [], {}])
def test_what_is_none(given: Any) -> None:
    with pytest.raises(TypeError, match=r"a destination is a Destination or \(host, port\), not a "):
        destination_of(given, called="ASKED", calling="OURS")


# ---------------------------------------------------------------- how it is called, and what is said there


def moves(*items: Any, destination: Any = HOST, announced: int | None = None, **settings: Any) -> Site:
    script = [destination, len(items) if announced is None else announced, *items]
    return Site(Shapes.async_generator(script), **settings)


def test_it_is_called_with_the_titles_and_asked_for_all_storage() -> None:
    end = moves(A, B)
    assert end.retrieve("C-MOVE").answer == 0
    ((destination, options),) = end.network.asked
    assert destination == Destination(*HOST, "STORE", calling="YOU")
    assert options["contexts"] == [*STORAGE][:128]
    assert len(options["contexts"]) > 100
    ((opened, _),) = end.place.reached
    assert opened.outcome is not None
    assert opened.outcome.kind is OutcomeKind.RELEASED


@pytest.mark.parametrize("nests", [False, True])
def test_who_asked_and_how_urgent_it_is_goes_along(nests: bool) -> None:
    end = moves(A, nests=nests)
    end.loop.finish(end.peer.c_echo())
    assert end.retrieve("C-MOVE", priority=Priority.HIGH).answer == 0
    assert end.keeps.requests == [
        CStoreRQ(
            message_id=1,
            affected_sop_class_uid=CT,
            affected_sop_instance_uid="1.2.1",
            priority=Priority.HIGH,
            move_originator_application_entity_title="ME",
            move_originator_message_id=2,
        )
    ]


def test_options_of_the_handlers_own_are_taken() -> None:
    end = moves(A, destination=(HOST, {"contexts": [CT], "maximum_length": 4096}))
    assert end.retrieve("C-MOVE").answer == 0
    ((opened, _),) = end.place.reached
    assert [context.abstract_syntax for context in opened.engine.contexts] == [CT]


@pytest.mark.parametrize("name", ["C-GET", "C-MOVE"])
@pytest.mark.parametrize("nests", [False, True])
@pytest.mark.parametrize("window", [1, 2, 4])
def test_as_many_are_outstanding_as_the_window_allows(name: str, window: int, nests: bool) -> None:
    most: list[int] = []

    class Waits(Keeps):
        async def c_store(self, store: Any) -> int:
            who = end.place.reached[0][0] if name == "C-MOVE" else end.scp
            most.append(len(who.engine.outstanding))
            return await super().c_store(store)

    items = [image(number) for number in range(12)]
    script = [12, *items]
    asks = {"contexts": [CT], "window": AsynchronousOperationsWindow(8, 1)}
    script = script if name == "C-GET" else [(HOST, asks), *script]
    end = Site(Shapes.generator(script), keeps=Waits(), window=window, nests=nests)
    assert end.retrieve(name).answer == 0
    assert max(most) == window
    assert list(end.keeps.got) == [each.sop_instance_uid for each in items]
    end.check_over()


# ---------------------------------------------------------------- which contexts


def taking(*contexts: PresentationContext | str) -> Acceptor:
    return Acceptor("STORE", contexts, window=WINDOW)


def in_syntax(one: Instance, syntax: str) -> Instance:
    return replace(one, transfer_syntax_uid=syntax)


@pytest.mark.parametrize("nests", [False, True])
def test_for_one_in_a_syntax_that_was_not_proposed_another_association_is_opened(nests: bool) -> None:
    accepts = taking(CT, PresentationContext(CT, (JPEG, RLE)))
    items = [A, in_syntax(B, JPEG), C, in_syntax(image(4), JPEG), in_syntax(image(5), RLE)]
    end = moves(*items, accepts=accepts, nests=nests)
    told = end.retrieve("C-MOVE")
    assert told.answer == 0
    assert told.counters == (None, 5, 0, 0)
    assert list(end.keeps.got) == [each.sop_instance_uid for each in items]
    assert end.keeps.syntaxes == [
        EXPLICIT_VR_LITTLE_ENDIAN,
        JPEG,
        EXPLICIT_VR_LITTLE_ENDIAN,
        JPEG,
        RLE,
    ]
    first = [options["contexts"][:2] for _, options in end.network.asked[1:]]
    assert first == [
        [PresentationContext(CT, (JPEG,)), STORAGE[0]],
        [PresentationContext(CT, (JPEG,)), PresentationContext(CT, (RLE,))],
    ]
    assert all(
        len(options["contexts"]) == min(128, len(STORAGE) + at) for at, (_, options) in enumerate(end.network.asked)
    )
    kinds = [opened.outcome.kind for opened, _ in end.place.reached if opened.outcome is not None]
    assert kinds == [OutcomeKind.RELEASED] * 3
    assert not end.reports
    end.check_over()


def test_also_for_a_sop_class_that_is_not_in_the_table() -> None:
    private = image(1, sop_class=PRIVATE)
    end = moves(A, replace(private, sop_instance_uid="1.2.7"), accepts=taking(CT, PRIVATE))
    assert end.retrieve("C-MOVE").answer == 0
    assert list(end.keeps.got) == ["1.2.1", "1.2.7"]
    assert len(end.network.asked) == 2


def test_what_is_refused_there_as_well_has_failed_and_the_next_goes_on() -> None:
    end = moves(A, in_syntax(B, JPEG), in_syntax(C, JPEG), image(4))
    told = end.retrieve("C-MOVE")
    assert told.counters == (None, 2, 2, 0)
    assert told.answer.failed_instances == ("1.2.2", "1.2.3")
    assert len(end.network.asked) == 2, "once proposed and refused is enough"
    end.check_over()


def test_what_was_proposed_and_refused_is_not_proposed_again() -> None:
    end = moves(unwanted(1), A)
    assert end.retrieve("C-MOVE").answer.failed_instances == ("1.2.1",)
    assert len(end.network.asked) == 1


def test_where_the_handler_chose_the_contexts_no_others_are_proposed() -> None:
    end = moves(in_syntax(A, JPEG), B, destination=(HOST, [CT]), accepts=taking(PresentationContext(CT, (JPEG,)), CT))
    told = end.retrieve("C-MOVE")
    assert told.answer.failed_instances == ("1.2.1",)
    assert len(end.network.asked) == 1


def test_answers_are_awaited_before_another_association_is_opened() -> None:
    end = moves(A, B, in_syntax(C, JPEG), accepts=taking(CT, PresentationContext(CT, (JPEG,))))
    end.place.latency = 0.5
    told = end.retrieve("C-MOVE")
    assert told.counters == (None, 3, 0, 0)
    end.check_over()


# ---------------------------------------------------------------- what may become of it


@pytest.mark.parametrize("nests", [False, True])
def test_a_destination_that_cannot_be_reached(nests: bool) -> None:
    end = moves(A, "missing", B, reachable=False, nests=nests)
    end.scp_link.files["missing"] = FileNotFoundError("missing")
    told = end.retrieve("C-MOVE")
    assert told.answer == 0xA702
    assert told.counters == (None, 0, 3, 0)
    assert told.answer.failed_instances == ("1.2.1", "1.2.2")
    assert [where for _, where in end.reports] == ["C-STORE at STORE@store:104", "C-MOVE 1"], "why is reported once"
    assert len(end.network.asked) == 1, "and tried once"
    end.check_over()


@pytest.mark.parametrize("nests", [False, True])
def test_a_destination_that_refuses(nests: bool) -> None:
    end = moves(A, B, accepts=Acceptor("OTHER", (CT,), require_called=True), nests=nests)
    told = end.retrieve("C-MOVE")
    assert told.answer == 0xA702
    assert told.counters == (None, 0, 2, 0)
    assert told.answer.failed_instances == ("1.2.1", "1.2.2")
    ((error, _),) = end.reports
    assert isinstance(error, AssociationLost)
    assert error.outcome.kind is OutcomeKind.REJECTED
    end.check_over()


def test_one_that_is_gone_when_another_association_is_needed() -> None:
    class Once(Keeps):
        async def c_store(self, store: Any) -> int:
            del end.network.places[HOST]
            return await super().c_store(store)

    end = moves(A, in_syntax(B, JPEG), C, keeps=Once())
    told = end.retrieve("C-MOVE")
    assert told.counters == (None, 1, 2, 0)
    assert told.answer.failed_instances == ("1.2.2", "1.2.3")
    end.check_over()


@pytest.mark.parametrize("nests", [False, True])
@pytest.mark.parametrize("how", ["abort", "release", "vanish"])
def test_the_destination_may_be_lost_at_any_moment(how: str, nests: bool) -> None:
    seen = set()
    for at in count(1):
        items = ["a.dcm", *(image(number, 1000) for number in range(2, 5))]
        end = moves(*items, destination=(HOST, [CT]), capacity=500, limits=DRIVEN, nests=nests)
        end.scp_link.files["a.dcm"] = A
        lost: list[bool] = []

        def lose(end: Site = end, lost: list[bool] = lost) -> None:
            for opened, answering in end.place.reached:
                engine = answering.engine
                if answering.outcome is None and engine.state.name == "STA6" and not opened.ended:
                    lost.append(True)
                    if how == "abort":
                        answering.abort()
                    elif how == "release":
                        engine.release(force=True)
                    else:
                        answering.link.outgoing.closed = answering.link.incoming.closed = True  # type: ignore[attr-defined]

        end.loop.after(at, lose)
        told = end.retrieve("C-MOVE")
        _, completed, failed, warning = told.counters
        assert (completed or 0) + (failed or 0) == 4
        assert warning == 0
        assert len(end.keeps.got) >= (completed or 0), "what is told as stored is stored"
        uids = [f"1.2.{number}" for number in range(1, 5)]
        assert list(told.answer.failed_instances) == uids[completed:]
        assert told.answer == (0 if not failed else 0xB000 if completed else 0xA702)
        assert len(end.reports) == (1 if failed else 0)
        end.check_over()
        seen.add(completed)
        if not lost and end.loop.steps < at:
            break
    assert seen >= {0, 1, 4}


@pytest.mark.parametrize("nests", [False, True])
def test_the_destination_may_be_lost_in_the_middle_of_a_data_set(nests: bool) -> None:
    class Stops(Keeps):
        async def c_store(self, store: Any) -> int:
            if store.sop_instance_uid == "1.2.2":
                await anext(store)
                store.abort()
            return await super().c_store(store)

    end = moves(A, image(2, 1_500_000), C, keeps=Stops(), destination=(HOST, [CT]), capacity=100_000, nests=nests)
    told = end.retrieve("C-MOVE")
    assert told.counters == (None, 1, 2, 0)
    assert told.answer.failed_instances == ("1.2.2", "1.2.3")
    assert len(end.place.reached) == 1, "who is gone is not called again"
    end.check_over()


def test_answers_that_came_with_the_end_count() -> None:
    """They lie in the inbox when the loss is noticed."""

    class Stops(Keeps):
        async def c_store(self, store: Any) -> int:
            status = await super().c_store(store)
            if store.sop_instance_uid == "1.2.3":
                store.abort()
            return status

    asks = {"contexts": [CT], "window": WINDOW}
    end = moves(A, B, C, keeps=Stops({"1.2.2": 0xB000}), destination=(HOST, asks))
    told = end.retrieve("C-MOVE")
    assert told.counters == (None, 1, 1, 1)
    assert told.answer.failed_instances == ("1.2.3",)
    end.check_over()


@pytest.mark.parametrize("nests", [False, True])
@pytest.mark.parametrize("error", [OSError("disk"), ValueError("user's own"), None])
def test_a_source_that_fails_in_its_middle_ends_that_association(error: Exception | None, nests: bool) -> None:
    def pieces() -> Iterator[bytes]:
        yield bytes(5000)
        if error is not None:
            raise error
        yield b"odd"

    failing = Instance(CT, "1.2.50", EXPLICIT_VR_LITTLE_ENDIAN, None, pieces)
    end = moves(A, failing, B, nests=nests, window=1)
    told = end.retrieve("C-MOVE")
    assert told.counters == (None, 2, 1, 0)
    assert told.answer.failed_instances == ("1.2.50",)
    (opened, _), (again, _) = end.place.reached  # what is sound goes on, over another
    assert opened.outcome is not None
    assert opened.outcome.kind is OutcomeKind.ABORTED
    assert again.outcome is not None
    assert again.outcome.kind is OutcomeKind.RELEASED
    ((_, where),) = end.reports
    assert where == "C-STORE at STORE@store:104"
    end.check_over()


def test_answers_that_came_while_a_source_failed_count() -> None:
    """They lie in the inbox: whoever sends a data set does not look."""

    def pieces() -> Iterator[bytes]:
        for _ in range(4):
            yield bytes(400_000)
        raise OSError("disk")

    failing = Instance(CT, "1.2.50", EXPLICIT_VR_LITTLE_ENDIAN, None, pieces)
    asks = {"contexts": [CT], "window": WINDOW}
    end = moves(A, B, failing, destination=(HOST, asks), capacity=100_000, keeps=Keeps({"1.2.2": 0xA700}))
    told = end.retrieve("C-MOVE")
    assert told.counters == (None, 1, 2, 0)
    assert told.answer.failed_instances == ("1.2.2", "1.2.50")
    end.check_over()


@pytest.mark.filterwarnings("ignore:The value length")  # of pydicom, about the UID told
def test_one_that_no_command_set_can_hold_has_failed_alone() -> None:
    bad = instance(100, "1.2." + "3" * 70)
    end = moves(bad, A)
    told = end.retrieve("C-MOVE")
    assert told.counters == (None, 1, 1, 0)
    assert len(end.network.asked) == 1
    end.check_over()


# ---------------------------------------------------------------- here: a C-GET


@pytest.mark.parametrize("error", [OSError("disk"), ValueError("user's own")])
def test_here_a_source_that_fails_in_its_middle_ends_all(error: Exception) -> None:
    def pieces() -> Iterator[bytes]:
        yield bytes(5000)
        raise error

    end = Site(Shapes.generator([2, A, Instance(CT, "1.2.50", EXPLICIT_VR_LITTLE_ENDIAN, None, pieces)]))
    with pytest.raises(AssociationLost):
        end.retrieve("C-GET")
    assert [told for told, _ in end.reports] == [error]
    end.check_left()


@pytest.mark.filterwarnings("ignore:The value length")  # of pydicom, about the UID told
def test_here_one_that_does_not_fit_has_failed_alone() -> None:
    bad = instance(100, "1.2." + "3" * 70)
    end = Site(Shapes.generator([4, unwanted(7), bad, in_syntax(A, JPEG), B]))
    told = end.retrieve("C-GET")
    assert told.counters == (None, 1, 3, 0)
    assert told.answer.failed_instances == ("1.2.7", bad.sop_instance_uid, "1.2.1")
    end.check_over()


# ---------------------------------------------------------------- any mix


@settings(deadline=None, max_examples=60)
@given(
    kinds=st.lists(st.sampled_from(["plain", JPEG, RLE, MR, PRIVATE]), max_size=6),
    taken=st.sets(st.sampled_from([JPEG, RLE, MR, PRIVATE])),
    statuses=st.lists(st.sampled_from([0, 0xB000, 0xA700]), min_size=6, max_size=6),
    lost_at=st.none() | st.integers(1, 6),
    nests=st.booleans(),
)
def test_whatever_is_stored_where_each_is_counted_once(
    kinds: list[str], taken: set[str], statuses: list[int], lost_at: int | None, nests: bool
) -> None:
    items = [
        in_syntax(image(number), kind)
        if kind in (JPEG, RLE)
        else image(number, sop_class=CT if kind == "plain" else kind)
        for number, kind in enumerate(kinds)
    ]

    class Ends(Keeps):
        async def c_store(self, store: Any) -> int:
            status = await super().c_store(store)
            if len(self.got) == lost_at:
                store.abort()
            return status

    answers = {f"1.2.{number}": status for number, status in enumerate(statuses)}
    contexts = [CT, *(PresentationContext(CT, (each,)) if each in (JPEG, RLE) else each for each in sorted(taken))]
    end = moves(*items, keeps=Ends(answers), accepts=taking(*contexts), nests=nests)
    told = end.retrieve("C-MOVE")
    _, completed, failed, warning = told.counters
    assert sum(each or 0 for each in (completed, failed, warning)) == len(items)
    assert len(told.answer.failed_instances) == failed
    if lost_at is None:
        fits = [one for one, kind in zip(items, kinds, strict=True) if kind == "plain" or kind in taken]
        assert list(end.keeps.got) == [one.sop_instance_uid for one in fits]
        told_of = [answers[one.sop_instance_uid] for one in fits]
        assert (completed, warning) == (told_of.count(0), told_of.count(0xB000))
    end.check_over()


def test_alone_nothing_can_be_opened() -> None:
    """A transport that opens none says so, and all have failed."""
    end = Site(service(lambda move: plays([HOST, 1, A])))
    from sansdimse.peer.session import opens_none

    end.scp.associate = opens_none
    told = end.retrieve("C-MOVE")
    assert told.answer == 0xA702
    assert "opens no association" in str(end.reports[0][0])
    end.check_over()


def test_the_conversation_cancelled_abandons_what_is_outstanding() -> None:
    """By whoever: the association to the destination is aborted, and that of the C-MOVE answered."""
    end = moves(*(image(number) for number in range(4)), destination=(HOST, {"contexts": [CT], "window": WINDOW}))

    class Never(Keeps):
        async def c_store(self, store: Any) -> int:
            await store._session.link.signal().wait()
            raise AssertionError

    end.place.service = Never()
    task = end.loop.spawn(end.retrieving("C-MOVE"))
    end.loop.run()
    ((opened, _),) = end.place.reached
    assert len(opened.engine.outstanding) == 4
    (job,) = end.scp._jobs.values()
    job.cancel()
    end.loop.run()
    assert task.result().answer == 0x0110
    assert opened.outcome is not None
    assert opened.outcome.kind is OutcomeKind.ABORTED
    assert nothing_left(opened)
