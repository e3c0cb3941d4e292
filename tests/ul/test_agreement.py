"""Reading a proposal and its answer: the tables of PS3.7 D.3.3 literally, and what peers really answer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sansdimse.deviations import Code
from sansdimse.errors import RemoteProtocolError
from sansdimse.profile import DEFAULT, STRICT
from sansdimse.uids import EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN, JPEG_BASELINE_8BIT
from sansdimse.ul.agreement import Agreement, NegotiatedContext, agree, negotiated, not_above
from sansdimse.ul.items import (
    ApplicationContext,
    AsynchronousOperationsWindow,
    ExtendedNegotiation,
    ImplementationClassUID,
    ImplementationVersionName,
    Item,
    MaximumLength,
    PresentationContextAC,
    PresentationContextRQ,
    RoleSelection,
    TransferSyntax,
    UserIdentityAC,
    UserIdentityRQ,
)
from sansdimse.ul.pdu import AAssociateAC, AAssociateRQ

CT = "1.2.840.10008.5.1.4.1.1.2"
MR = "1.2.840.10008.5.1.4.1.1.4"
IMPLICIT, EXPLICIT, JPEG = IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN, JPEG_BASELINE_8BIT
BASIC = (MaximumLength(16384), ImplementationClassUID("1.2.3"))
ONE = (PresentationContextRQ.of(1, CT, (IMPLICIT, EXPLICIT)),)


def proposal(*items: Item, contexts: tuple[PresentationContextRQ, ...] = ONE) -> AAssociateRQ:
    return AAssociateRQ.of(called="PACS", calling="ME", contexts=contexts, user_information=[*BASIC, *items])


def reply(
    *items: Item,
    to: AAssociateRQ,
    contexts: tuple[PresentationContextAC, ...] = (PresentationContextAC.of(1, 0, IMPLICIT),),
    basic: tuple[Item, ...] = BASIC,
) -> AAssociateAC:
    return AAssociateAC.of(to, contexts=contexts, user_information=[*basic, *items])


def codes(agreement: Agreement) -> set[Code]:
    return {deviation.code for deviation in agreement.deviations}


def both(request: AAssociateRQ, answer: AAssociateAC) -> tuple[Agreement, Agreement]:
    return agree(request, answer, requestor=True), agree(request, answer, requestor=False)


# RQ SCU,SCP | AC SCU,SCP | the requestor acts as SCU, SCP (PS3.7 D.3.3.4; "none" is no item)
ROLES = """
none none 1 0
1,0  none 1 0
0,1  none 1 0
1,1  none 1 0
0,0  none 1 0
none 1,1  1 0
none 0,1  1 0
1,0  1,0  1 0
0,1  0,1  0 1
1,1  1,1  1 1
1,1  1,0  1 0
1,1  0,1  0 1
1,1  0,0  0 0
1,0  0,0  0 0
0,1  0,0  0 0
1,0  1,1  1 0
0,1  1,1  0 1
1,0  0,1  0 0
0,0  1,1  0 0
"""


def role_items(cell: str) -> list[RoleSelection]:
    return [] if cell == "none" else [RoleSelection(CT, *map(int, cell.split(",")))]


@pytest.mark.parametrize("row", ROLES.strip().splitlines())
def test_the_role_table(row: str) -> None:
    proposed, answered, scu, scp = row.split()
    request = proposal(*role_items(proposed))
    ours, theirs = both(request, reply(*role_items(answered), to=request))
    assert (ours.contexts[0].as_scu, ours.contexts[0].as_scp) == (scu == "1", scp == "1")
    assert (theirs.contexts[0].as_scp, theirs.contexts[0].as_scu) == (scu == "1", scp == "1")


def test_roles_of_a_class_hold_for_all_its_contexts_and_no_other() -> None:
    contexts = tuple(PresentationContextRQ.of(n, uid, (IMPLICIT,)) for n, uid in ((1, CT), (3, MR), (5, CT)))
    request = proposal(RoleSelection(CT + "\0", 0, 1), contexts=contexts)
    answers = tuple(PresentationContextAC.of(n, 0, IMPLICIT) for n in (5, 3, 1))
    agreement = agree(request, reply(RoleSelection(CT, 0, 1), to=request, contexts=answers), requestor=True)
    assert [(context.as_scu, context.as_scp) for context in agreement.contexts] == [
        (False, True),
        (True, False),
        (False, True),
    ]


@pytest.mark.parametrize(
    ("offered", "answered", "agreed"),
    [
        (None, None, (1, 1)),
        ((5, 6), None, (1, 1)),
        (None, (5, 6), (1, 1)),
        ((5, 6), (5, 6), (5, 6)),
        ((5, 6), (2, 3), (2, 3)),
        ((5, 6), (9, 9), (5, 6)),
        ((5, 6), (0, 0), (5, 6)),
        ((0, 0), (7, 8), (7, 8)),
        ((0, 0), (0, 0), (0, 0)),
        ((0, 4), (9, 9), (9, 4)),
    ],
)
def test_the_window(offered: tuple[int, int] | None, answered: tuple[int, int] | None, agreed: tuple[int, int]) -> None:
    request = proposal(*([AsynchronousOperationsWindow(*offered)] if offered else []))
    answer = reply(*([AsynchronousOperationsWindow(*answered)] if answered else []), to=request)
    ours, theirs = both(request, answer)
    assert (ours.invoke_window, ours.perform_window) == agreed
    assert (theirs.perform_window, theirs.invoke_window) == agreed
    assert (Code.WINDOW_UNPROPOSED in codes(ours)) == (offered is None and answered is not None)


@given(st.integers(0, 65535), st.integers(0, 65535))
def test_of_two_windows_the_smaller_counts_and_zero_is_the_largest(number: int, offer: int) -> None:
    def rank(window: int) -> float:
        return window or float("inf")

    assert rank(not_above(number, offer)) == min(rank(number), rank(offer))


@pytest.mark.parametrize(("stated", "sent"), [(0, None), (8, 8), (16384, 16384), (0xFFFFFFFF, 0xFFFFFFFF)])
def test_the_maximum_length_is_the_peer_s(stated: int, sent: int | None) -> None:
    request = proposal()
    answer = reply(to=request, basic=(MaximumLength(stated), BASIC[1]))
    ours, theirs = both(request, answer)
    assert ours.maximum_length == sent
    assert theirs.maximum_length == 16384


def test_to_a_peer_without_a_maximum_length_we_send_16_kib() -> None:
    request = proposal()
    agreement = agree(request, reply(to=request, basic=()), requestor=True)
    assert agreement.maximum_length == 16 * 1024
    assert agreement.peer_implementation_class_uid is None
    assert {Code.MAXIMUM_LENGTH_MISSING, Code.IMPLEMENTATION_UID_MISSING} <= codes(agreement)


@pytest.mark.parametrize("stated", range(1, 8))
def test_a_maximum_length_without_room_for_a_fragment_is_a_fault(stated: int) -> None:
    request = proposal()
    answer = reply(to=request, basic=(MaximumLength(stated),))
    with pytest.raises(RemoteProtocolError, match=f"maximum length of {stated}") as caught:
        agree(request, answer, requestor=True, profile=DEFAULT.accepting(Code.MAXIMUM_LENGTH_TINY))
    assert caught.value.code is Code.MAXIMUM_LENGTH_TINY
    assert agree(request, answer, requestor=False).maximum_length == 16384


def test_who_is_who() -> None:
    request = proposal(ImplementationVersionName("REQUESTOR"))
    answer = reply(ImplementationVersionName("ACCEPTOR"), to=request)
    ours, theirs = both(request, answer)
    assert (ours.calling_ae_title, ours.called_ae_title, ours.peer_ae_title) == ("ME", "PACS", "PACS")
    assert (theirs.calling_ae_title, theirs.called_ae_title, theirs.peer_ae_title) == ("ME", "PACS", "ME")
    assert ours.peer_implementation_version_name == "ACCEPTOR"
    assert theirs.peer_implementation_version_name == "REQUESTOR"
    assert ours.peer_implementation_class_uid == "1.2.3"


# ---------------------------------------------------------------- contexts as peers answer them


def first(answer: tuple[PresentationContextAC, ...], profile: object = DEFAULT) -> tuple[NegotiatedContext, set[Code]]:
    request = proposal()
    agreement = agree(request, reply(to=request, contexts=answer), requestor=True)
    return agreement.contexts[0], codes(agreement)


def test_an_accepted_context() -> None:
    context, seen = first((PresentationContextAC.of(1, 0, EXPLICIT),))
    assert context == NegotiatedContext(1, CT, (IMPLICIT, EXPLICIT), 0, EXPLICIT, True, False)
    assert context.accepted
    assert not seen


@pytest.mark.parametrize("result", [1, 2, 3, 4, 9, 255])
@pytest.mark.parametrize("items", [(), (TransferSyntax(""),), (TransferSyntax(IMPLICIT),)])
def test_a_refused_context_may_have_any_transfer_syntax_or_none(result: int, items: tuple[Item, ...]) -> None:
    context, seen = first((PresentationContextAC(1, result, items),))
    assert not context.accepted
    assert (context.result, context.transfer_syntax) == (result, None)
    assert (Code.AC_CONTEXT_RESULT in seen) == (result > 4)


@pytest.mark.parametrize("items", [(), (TransferSyntax(""),), (TransferSyntax(JPEG),)])
def test_a_context_accepted_with_what_was_not_proposed_is_not_used(items: tuple[Item, ...]) -> None:
    context, seen = first((PresentationContextAC(1, 0, items),))
    assert not context.accepted
    assert context.result == 0
    assert Code.AC_TRANSFER_SYNTAX_UNPROPOSED in seen


@pytest.mark.parametrize(
    ("items", "used"), [((), None), ((TransferSyntax(""),), None), ((TransferSyntax(JPEG),), JPEG)]
)
def test_a_profile_may_take_what_was_not_proposed_but_not_nothing(items: tuple[Item, ...], used: str | None) -> None:
    request = proposal()
    answer = reply(to=request, contexts=(PresentationContextAC(1, 0, items),))
    profile = DEFAULT.accepting(Code.AC_TRANSFER_SYNTAX_UNPROPOSED)
    assert agree(request, answer, requestor=True, profile=profile).contexts[0].transfer_syntax == used


def test_of_several_transfer_syntaxes_the_first_counts_unless_the_profile_refuses() -> None:
    items = (TransferSyntax(EXPLICIT + "\0"), TransferSyntax(IMPLICIT))
    context, seen = first((PresentationContextAC(1, 0, items),))
    assert context.transfer_syntax == EXPLICIT
    assert Code.AC_TRANSFER_SYNTAXES_SEVERAL in seen
    request = proposal()
    answer = reply(to=request, contexts=(PresentationContextAC(1, 0, items),))
    profile = DEFAULT.refusing(Code.AC_TRANSFER_SYNTAXES_SEVERAL)
    assert not agree(request, answer, requestor=True, profile=profile).contexts[0].accepted


def test_ids_missing_unproposed_and_repeated() -> None:
    contexts = (
        PresentationContextRQ.of(1, CT, (IMPLICIT,)),
        PresentationContextRQ.of(3, MR, (IMPLICIT,)),
        PresentationContextRQ.of(1, MR, (EXPLICIT,)),
    )
    request = proposal(contexts=contexts)
    answers = tuple(PresentationContextAC.of(n, result, IMPLICIT) for n, result in ((5, 0), (1, 0), (1, 3)))
    agreement = agree(request, reply(to=request, contexts=answers), requestor=True)
    assert agreement.contexts == (
        NegotiatedContext(1, CT, (IMPLICIT,), 0, IMPLICIT, True, False),
        NegotiatedContext(3, MR, (IMPLICIT,), 2, None, True, False),
    )
    assert agreement.accepted == agreement.contexts[:1]
    assert dict(agreement.by_id) == {1: agreement.contexts[0], 3: agreement.contexts[1]}
    assert {Code.AC_CONTEXT_UNPROPOSED, Code.AC_CONTEXT_MISSING, Code.CONTEXT_ID_REPEATED} <= codes(agreement)


def test_a_context_without_abstract_syntax_has_an_empty_one() -> None:
    request = proposal(contexts=(PresentationContextRQ(1, ()),))
    answer = reply(to=request, contexts=(PresentationContextAC.of(1, 3, IMPLICIT),))
    assert negotiated(request, answer, requestor=False) == (NegotiatedContext(1, "", (), 3, None, False, True),)


# ---------------------------------------------------------------- the rest of the user information


def test_extended_negotiation_counts_only_if_it_was_offered() -> None:
    request = proposal(ExtendedNegotiation(CT, b"\1\1"))
    answer = reply(ExtendedNegotiation(CT + "\0", b"\1"), ExtendedNegotiation(MR, b"\1"), to=request)
    ours, theirs = both(request, answer)
    assert ours.extended == theirs.extended == {CT: b"\1"}
    assert ours.extended_offered == theirs.extended_offered
    assert ours.extended_offered.keys() >= ours.extended.keys()
    assert Code.EXTENDED_UNPROPOSED in codes(ours)


def test_a_user_identity_response_counts_only_if_there_was_an_identity() -> None:
    request = proposal(UserIdentityRQ(1, b"me", positive_response_requested=1))
    assert agree(request, reply(to=request), requestor=True).user_identity_response is None
    answer = reply(UserIdentityAC(b"ticket"), to=request)
    assert agree(request, answer, requestor=True).user_identity_response == UserIdentityAC(b"ticket")
    agreement = agree(proposal(), answer, requestor=True)
    assert agreement.user_identity_response is None
    assert Code.IDENTITY_UNREQUESTED in codes(agreement)


def test_deviations_are_the_peer_s() -> None:
    request = proposal(RoleSelection(MR, 1, 1))
    answer = reply(RoleSelection(CT, 1, 1), AsynchronousOperationsWindow(2, 2), to=request)
    ours, theirs = both(request, answer)
    assert codes(ours) >= {Code.ROLE_UNPROPOSED, Code.WINDOW_UNPROPOSED}
    assert codes(theirs) == {Code.ROLE_UNPROPOSED}


def test_an_application_context_that_is_not_dicom_s_is_a_fault_for_the_requestor() -> None:
    request = proposal()
    right = reply(to=request)
    items = tuple(ApplicationContext("1.2.3") if isinstance(item, ApplicationContext) else item for item in right.items)
    wrong = AAssociateAC(right.called_ae_title_field, right.calling_ae_title_field, items)
    with pytest.raises(RemoteProtocolError) as caught:
        agree(request, wrong, requestor=True)
    assert caught.value.code is Code.APPLICATION_CONTEXT_WRONG
    accepting = DEFAULT.accepting(Code.APPLICATION_CONTEXT_WRONG)
    assert agree(request, wrong, requestor=True, profile=accepting).contexts[0].accepted


def test_the_strict_profile_faults_what_concerns_the_association_and_leaves_what_concerns_a_context() -> None:
    request = proposal()
    window = AsynchronousOperationsWindow(2, 2)
    with pytest.raises(RemoteProtocolError):
        agree(request, reply(window, to=request), requestor=True, profile=STRICT)
    unproposed = reply(to=request, contexts=(PresentationContextAC.of(1, 0, JPEG),))
    assert not agree(request, unproposed, requestor=True, profile=STRICT).accepted


def test_agreements_compare_and_hash_as_values() -> None:
    request = proposal(ExtendedNegotiation(CT, b"\1"))
    answer = reply(ExtendedNegotiation(CT, b"\1"), to=request)
    one, two = (agree(request, answer, requestor=True) for _ in range(2))
    assert one == two
    assert hash(one) == hash(two)
    assert one != agree(request, answer, requestor=False)


uids = st.sampled_from([CT, MR, IMPLICIT, EXPLICIT, CT + "\0", "", "x"])
rq_items: st.SearchStrategy[Item] = st.one_of(
    st.builds(MaximumLength, st.just(0) | st.integers(8, 1 << 20)),
    st.builds(AsynchronousOperationsWindow, st.integers(0, 5), st.integers(0, 5)),
    st.builds(RoleSelection, uids, st.integers(0, 2), st.integers(0, 2)),
    st.builds(ExtendedNegotiation, uids, st.binary(max_size=3)),
    st.builds(UserIdentityAC, st.binary(max_size=3)),
)
proposals = st.builds(
    lambda contexts, items: proposal(*items, contexts=tuple(contexts)),
    st.lists(st.builds(PresentationContextRQ.of, st.integers(0, 9), uids, st.lists(uids, max_size=3)), max_size=5),
    st.lists(rq_items, max_size=5),
)
answers = st.tuples(
    st.lists(st.builds(PresentationContextAC.of, st.integers(0, 9), st.integers(0, 5), uids), max_size=5),
    st.lists(rq_items, max_size=5),
)


@given(proposals, answers)
def test_both_sides_read_any_pair_as_mirror_images(
    request: AAssociateRQ, made: tuple[list[PresentationContextAC], list[Item]]
) -> None:
    contexts, items = made
    ours, theirs = both(request, reply(*items, to=request, contexts=tuple(contexts)))
    assert [c.id for c in ours.contexts] == list(dict.fromkeys(c.context_id for c in request.presentation_contexts))
    for mine, yours in zip(ours.contexts, theirs.contexts, strict=True):
        assert (mine.as_scu, mine.as_scp) == (yours.as_scp, yours.as_scu)
        assert (mine.id, mine.abstract_syntax, mine.result) == (yours.id, yours.abstract_syntax, yours.result)
        assert mine.transfer_syntax == yours.transfer_syntax
        assert mine.transfer_syntax is None or mine.transfer_syntax in mine.transfer_syntaxes
    assert (ours.invoke_window, ours.perform_window) == (theirs.perform_window, theirs.invoke_window)
    assert ours.extended == theirs.extended
