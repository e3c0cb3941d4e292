"""Explanations agree with what is answered, and the proposal they name is accepted."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sansdimse.deviations import Code
from sansdimse.profile import DEFAULT
from sansdimse.uids import EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN, JPEG_BASELINE_8BIT, VERIFICATION
from sansdimse.ul.explain import Explanation, explain, explain_pair
from sansdimse.ul.items import (
    AbstractSyntax,
    CommonExtendedNegotiation,
    MaximumLength,
    PresentationContextAC,
    PresentationContextRQ,
    RoleSelection,
    TransferSyntax,
)
from sansdimse.ul.negotiation import answer, propose
from sansdimse.ul.parties import Acceptor, PresentationContext, Requestor
from sansdimse.ul.pdu import AAssociateAC, AAssociateRJ, AAssociateRQ

CT = "1.2.840.10008.5.1.4.1.1.2"
MR = "1.2.840.10008.5.1.4.1.1.4"
IMPLICIT, EXPLICIT, JPEG = IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN, JPEG_BASELINE_8BIT
ACCEPTOR = Acceptor("PACS", [VERIFICATION, CT])


def proposal(*contexts: PresentationContextRQ, roles: tuple[RoleSelection, ...] = ()) -> AAssociateRQ:
    return AAssociateRQ.of(called="PACS", calling="ME", contexts=contexts, user_information=[MaximumLength(0), *roles])


def one(request: AAssociateRQ, acceptor: Acceptor = ACCEPTOR) -> Explanation:
    return next(each for each in explain(request, acceptor) if each.context_id is not None)


def test_an_accepted_context() -> None:
    explanation = one(proposal(PresentationContextRQ.of(1, CT, (IMPLICIT,))))
    assert explanation.accepted
    assert explanation.acceptable is None
    assert str(explanation) == f"Context 1 ({CT}) was accepted: with Implicit VR Little Endian."


def test_a_role_refused_in_an_accepted_context_is_told() -> None:
    request = proposal(PresentationContextRQ.of(1, CT, (IMPLICIT,)), roles=(RoleSelection(CT, 1, 1),))
    assert str(one(request)).endswith("; of both roles the requestor got the SCU role.")
    none = proposal(PresentationContextRQ.of(1, CT, (IMPLICIT,)), roles=(RoleSelection(CT, 0, 0),))
    assert one(none).reason == "with Implicit VR Little Endian"


def test_an_unsupported_abstract_syntax() -> None:
    explanation = one(proposal(PresentationContextRQ.of(1, MR, (IMPLICIT,))))
    assert not explanation.accepted
    assert explanation.acceptable is None
    assert str(explanation) == (
        f"Context 1 ({MR}) was refused: the abstract syntax is not supported. "
        "The acceptor has to support it: it supports 2 others."
    )


def test_unsupported_transfer_syntaxes() -> None:
    explanation = one(proposal(PresentationContextRQ.of(1, CT, (JPEG,))))
    assert explanation.acceptable == PresentationContext(CT)
    assert explanation.advice == "Propose Explicit VR Little Endian or Implicit VR Little Endian"
    preferring = dataclasses.replace(ACCEPTOR, prefer=(JPEG, IMPLICIT))
    acceptable = one(proposal(PresentationContextRQ.of(1, CT, (JPEG,))), preferring).acceptable
    assert acceptable is not None
    assert acceptable.transfer_syntaxes == (IMPLICIT, EXPLICIT)


def test_refused_roles_keep_the_transfer_syntaxes() -> None:
    request = proposal(PresentationContextRQ.of(1, CT, (JPEG, IMPLICIT)), roles=(RoleSelection(CT, 0, 1),))
    explanation = one(request)
    assert explanation.acceptable == PresentationContext(CT, (IMPLICIT,))
    assert explanation.advice == "Propose the SCU role"
    anything = Acceptor("PACS", [], any_storage=True)
    assert one(request, anything).acceptable == PresentationContext(CT, (JPEG, IMPLICIT))


def test_a_class_taken_for_its_general_one_is_explained_as_that_one() -> None:
    related = CommonExtendedNegotiation(MR, "1.2.840.10008.4.2", (CT,))
    willing = dataclasses.replace(ACCEPTOR, related_general=True)
    for syntax, acceptor, accepted, acceptable in (
        (IMPLICIT, willing, True, None),
        (JPEG, willing, False, PresentationContext(MR)),
        (JPEG, ACCEPTOR, False, None),
    ):
        request = AAssociateRQ.of(
            called="PACS",
            calling="ME",
            contexts=[PresentationContextRQ.of(1, MR, (syntax,))],
            user_information=[MaximumLength(0), related],
        )
        explanation = one(request, acceptor)
        assert (explanation.accepted, explanation.acceptable) == (accepted, acceptable)


@pytest.mark.parametrize(
    ("context", "advice"),
    [
        (PresentationContextRQ.of(0, CT, (IMPLICIT,)), "Give it an odd ID"),
        (PresentationContextRQ.of(2, CT, (IMPLICIT,)), "Give it an odd ID"),
        (PresentationContextRQ(1, (TransferSyntax(IMPLICIT),)), "Propose an abstract syntax"),
        (PresentationContextRQ.of(1, MR, ()), "Propose a transfer syntax"),
        (PresentationContextRQ.of(1, CT, ()), "Propose Explicit VR Little Endian or Implicit VR Little Endian"),
        (PresentationContextRQ.of(1, "1.02", (IMPLICIT,)), "Propose a UID"),
        (PresentationContextRQ(1, (AbstractSyntax(CT), AbstractSyntax(MR), TransferSyntax(IMPLICIT))), "of its own"),
    ],
)
def test_malformed_contexts_are_told_what_to_change(context: PresentationContextRQ, advice: str) -> None:
    codes = (Code.CONTEXT_ID_EVEN, Code.UID_MALFORMED, Code.CONTEXT_SEVERAL_ABSTRACT_SYNTAXES)
    explanation = one(proposal(context), dataclasses.replace(ACCEPTOR, profile=DEFAULT.refusing(*codes)))
    assert not explanation.accepted
    assert advice in explanation.advice


def test_a_repeated_id_has_its_own_explanation() -> None:
    context = PresentationContextRQ.of(1, CT, (IMPLICIT,))
    first, second = explain(proposal(context, context), ACCEPTOR)
    assert first.accepted
    assert not second.accepted
    assert "odd ID of its own" in str(second)


def test_a_rejected_association_is_explained_first() -> None:
    acceptor = dataclasses.replace(ACCEPTOR, allowed_calling=frozenset())
    whole, context = explain(proposal(PresentationContextRQ.of(1, CT, (IMPLICIT,))), acceptor)
    assert str(whole) == "The association was refused: calling AE title 'ME' is not among those let in."
    assert context.accepted


def test_what_a_peer_sent_is_escaped() -> None:
    context = PresentationContextRQ.of(1, "\x1b[2J\n", ("\r",))
    text = " ".join(map(str, explain(proposal(context), ACCEPTOR)))
    pair = proposal(context)
    answered = AAssociateAC.of(pair, contexts=[PresentationContextAC.of(1, 0, "\r")], user_information=[])
    assert (text + str(explain_pair(pair, answered))).isprintable()
    assert "\\x1b" in text


# ---------------------------------------------------------------- pairs


def pair(*answers: PresentationContextAC, roles: tuple[RoleSelection, ...] = ()) -> tuple[Explanation, ...]:
    request = proposal(
        PresentationContextRQ.of(1, CT, (IMPLICIT,)),
        PresentationContextRQ.of(3, CT, (JPEG,)),
        PresentationContextRQ.of(5, MR, (JPEG,)),
        roles=(RoleSelection(CT, 1, 1),) if roles else (),
    )
    return explain_pair(request, AAssociateAC.of(request, contexts=answers, user_information=roles))


def test_an_accepted_pair_with_and_without_its_roles() -> None:
    accepted = PresentationContextAC.of(1, 0, IMPLICIT)
    assert pair(accepted)[0].reason == "with Implicit VR Little Endian"
    trimmed = pair(accepted, roles=(RoleSelection(CT, 0, 0),))[0]
    assert trimmed.reason == "with Implicit VR Little Endian; of both roles the requestor got no role"
    assert trimmed.accepted
    assert pair(accepted, roles=(RoleSelection(CT, 0, 1),))[0].reason.endswith("the SCP role")


def test_a_refused_transfer_syntax_is_compared_with_those_accepted() -> None:
    _, same, other = pair(
        PresentationContextAC.of(1, 0, IMPLICIT),
        PresentationContextAC.of(3, 4, JPEG),
        PresentationContextAC.of(5, 4, JPEG),
    )
    assert same.acceptable == PresentationContext(CT, (IMPLICIT,))
    assert same.advice == "Propose Implicit VR Little Endian, which it accepted for this abstract syntax"
    assert other.acceptable == PresentationContext(MR, (IMPLICIT,))
    assert other.advice == "Propose Implicit VR Little Endian, which it accepted for others"


def test_a_refusal_with_nothing_to_compare_it_with() -> None:
    explanations = pair(
        PresentationContextAC.of(1, 4, IMPLICIT),
        PresentationContextAC.of(3, 3, IMPLICIT),
        PresentationContextAC.of(5, 9, IMPLICIT),
    )
    assert [each.acceptable for each in explanations] == [None, None, None]
    assert [str(each) for each in explanations] == [
        f"Context 1 ({CT}) was refused: the acceptor supports none of the transfer syntaxes.",
        (
            f"Context 3 ({CT}) was refused: the acceptor does not support the abstract syntax. "
            "The acceptor has to be configured for it."
        ),
        f"Context 5 ({MR}) was refused: the answer's result is 9, which means nothing.",
    ]


def test_contexts_unanswered_or_accepted_with_what_was_not_proposed() -> None:
    explanations = pair(PresentationContextAC.of(1, 0, JPEG), PresentationContextAC.of(3, 1, JPEG))
    assert [each.accepted for each in explanations] == [False, False, False]
    assert "not proposed" in explanations[0].reason
    assert "user" in explanations[1].reason
    assert explanations[2].reason == "it was not answered"


@pytest.mark.parametrize(
    ("numbers", "text"),
    [
        ((1, 1, 7), "permanently: called AE title not recognized"),
        ((2, 3, 1), "transiently: temporary congestion"),
        ((9, 8, 7), "with result 9: source 8, reason 7"),
    ],
)
def test_a_rejection_in_words(numbers: tuple[int, int, int], text: str) -> None:
    rejection = AAssociateRJ(*numbers)
    assert explain_pair(proposal(), rejection) == (Explanation(None, "", False, text),)


# ---------------------------------------------------------------- properties

good_uids = st.sampled_from([VERIFICATION, CT, MR])
contexts = st.builds(
    PresentationContext,
    good_uids,
    st.lists(st.sampled_from([IMPLICIT, EXPLICIT, JPEG]), min_size=1, max_size=3).map(tuple),
    st.booleans(),
    st.booleans(),
).filter(lambda context: context.scu or context.scp)
acceptors = st.builds(
    Acceptor,
    st.just("PACS"),
    st.lists(contexts, max_size=3),
    prefer=st.lists(st.sampled_from([IMPLICIT, JPEG]), max_size=2).map(tuple),
    any_storage=st.booleans(),
)


@given(st.lists(contexts, min_size=1, max_size=4), acceptors)
@settings(max_examples=200)
def test_explanations_say_what_is_answered_and_what_they_call_acceptable_is_accepted(
    proposed: list[PresentationContext], acceptor: Acceptor
) -> None:
    request = propose(Requestor("ME", "PACS", proposed))
    reply = answer(acceptor, request)
    assert isinstance(reply, AAssociateAC)
    explanations = explain(request, acceptor)
    results = [context.result for context in reply.presentation_contexts]
    assert [each.accepted for each in explanations] == [result == 0 for result in results]
    # What is seen on the wire alone is the same.
    assert [each.accepted for each in explain_pair(request, reply)] == [each.accepted for each in explanations]
    for explanation, result in zip(explanations, results, strict=True):
        assert (explanation.acceptable is None) == (explanation.accepted or result == 3)
        if explanation.acceptable is not None:
            again = answer(acceptor, propose(Requestor("ME", "PACS", [explanation.acceptable])))
            assert isinstance(again, AAssociateAC)
            assert again.presentation_contexts[0].result == 0
