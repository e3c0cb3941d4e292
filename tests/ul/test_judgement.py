"""An acceptor's rules, one by one: which context is refused for what, and which association."""

from __future__ import annotations

import dataclasses

import pytest

from sansdimse.deviations import Code
from sansdimse.profile import DEFAULT, LENIENT, STRICT, Profile
from sansdimse.uids import EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN, JPEG_BASELINE_8BIT, VERIFICATION
from sansdimse.ul.items import (
    AbstractSyntax,
    ApplicationContext,
    CommonExtendedNegotiation,
    ImplementationClassUID,
    Item,
    MaximumLength,
    PresentationContextRQ,
    RoleSelection,
    TransferSyntax,
)
from sansdimse.ul.judgement import Cause, Verdict, judge, related_classes
from sansdimse.ul.parties import Acceptor, PresentationContext
from sansdimse.ul.pdu import AAssociateRJ, AAssociateRQ

CT = "1.2.840.10008.5.1.4.1.1.2"
MR = "1.2.840.10008.5.1.4.1.1.4"
IMPLICIT, EXPLICIT, JPEG = IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN, JPEG_BASELINE_8BIT
GOOD = PresentationContextRQ.of(99, VERIFICATION, (IMPLICIT,))
ACCEPTOR = Acceptor("PACS", [VERIFICATION, CT])


def proposal(*contexts: PresentationContextRQ, items: tuple[Item, ...] = (), maximum_length: int = 0) -> AAssociateRQ:
    user_information = [MaximumLength(maximum_length), ImplementationClassUID("1.2.3"), *items]
    return AAssociateRQ.of(called="PACS", calling="ME", contexts=contexts, user_information=user_information)


def verdict(acceptor: Acceptor, context: PresentationContextRQ, *items: Item) -> Verdict:
    judgement = judge(acceptor, proposal(context, GOOD, items=items))
    assert judgement.rejection is None
    return judgement.verdicts[0]


def context(context_id: int, *items: Item) -> PresentationContextRQ:
    return PresentationContextRQ(context_id, items)


ABSTRACT, TRANSFER = AbstractSyntax(CT), TransferSyntax(IMPLICIT)


@pytest.mark.parametrize(
    ("proposed", "cause", "result"),
    [
        (context(1, ABSTRACT, TRANSFER), Cause.ACCEPTED, 0),
        (context(2, ABSTRACT, TRANSFER), Cause.ACCEPTED, 0),
        (context(0, ABSTRACT, TRANSFER), Cause.ID_ZERO, 2),
        (context(1, TRANSFER), Cause.ABSTRACT_SYNTAX_MISSING, 3),
        (context(1, AbstractSyntax("\0"), TRANSFER), Cause.ABSTRACT_SYNTAX_MISSING, 3),
        (context(1, ABSTRACT), Cause.TRANSFER_SYNTAX_MISSING, 4),
        (context(1, ABSTRACT, TransferSyntax(" ")), Cause.TRANSFER_SYNTAX_MISSING, 4),
        (context(1, AbstractSyntax(MR), TRANSFER), Cause.ABSTRACT_SYNTAX, 3),
        (context(1, ABSTRACT, TransferSyntax(JPEG)), Cause.TRANSFER_SYNTAXES, 4),
        (context(1, ABSTRACT, AbstractSyntax(MR), TRANSFER), Cause.ACCEPTED, 0),
        (context(1, AbstractSyntax(CT + "\0"), TransferSyntax(IMPLICIT + "  ")), Cause.ACCEPTED, 0),
    ],
)
def test_each_rule_of_the_default_profile(proposed: PresentationContextRQ, cause: Cause, result: int) -> None:
    found = verdict(ACCEPTOR, proposed)
    assert (found.cause, found.cause.result) == (cause, result)
    assert found.transfer_syntax == (IMPLICIT if result == 0 else None)


@pytest.mark.parametrize(
    ("code", "proposed", "cause"),
    [
        (Code.CONTEXT_ID_EVEN, context(2, ABSTRACT, TRANSFER), Cause.ID_EVEN),
        (
            Code.CONTEXT_SEVERAL_ABSTRACT_SYNTAXES,
            context(1, ABSTRACT, AbstractSyntax(MR), TRANSFER),
            Cause.ABSTRACT_SYNTAXES_SEVERAL,
        ),
        (Code.UID_MALFORMED, context(1, AbstractSyntax("1.02"), TRANSFER), Cause.ABSTRACT_SYNTAX_MALFORMED),
    ],
)
def test_rules_that_a_profile_adds(code: Code, proposed: PresentationContextRQ, cause: Cause) -> None:
    acceptor = Acceptor("PACS", [VERIFICATION, CT], any_storage=True)  # 1.02 is nobody else's
    assert verdict(acceptor, proposed).cause is Cause.ACCEPTED
    refusing = dataclasses.replace(acceptor, profile=DEFAULT.refusing(code))
    assert verdict(refusing, proposed).cause is cause
    assert verdict(refusing, context(1, ABSTRACT, TRANSFER)).cause is Cause.ACCEPTED


def test_a_profile_may_accept_the_id_zero_and_no_even_rule_touches_it() -> None:
    profile = STRICT.accepting(Code.CONTEXT_ID_ZERO)
    acceptor = dataclasses.replace(ACCEPTOR, profile=profile)
    assert verdict(acceptor, context(0, ABSTRACT, TRANSFER)).cause is Cause.ACCEPTED


def test_a_malformed_transfer_syntax_is_passed_over_if_the_profile_refuses_it() -> None:
    acceptor = Acceptor("PACS", [PresentationContext(VERIFICATION), PresentationContext(CT, ())])
    proposed = context(1, ABSTRACT, TransferSyntax("1.02"), TransferSyntax(JPEG))
    assert verdict(acceptor, proposed).transfer_syntax == "1.02"
    refusing = dataclasses.replace(acceptor, profile=DEFAULT.refusing(Code.UID_MALFORMED))
    assert verdict(refusing, proposed).transfer_syntax == JPEG


def test_an_acceptor_of_anything_passes_over_what_is_too_long_to_be_a_uid() -> None:
    acceptor = Acceptor("PACS", [PresentationContext(VERIFICATION), PresentationContext(CT, ())])
    assert verdict(acceptor, context(1, ABSTRACT, TransferSyntax("1" * 129))).cause is Cause.TRANSFER_SYNTAXES
    assert verdict(acceptor, context(1, ABSTRACT, TransferSyntax("1" * 128))).cause is Cause.ACCEPTED


@pytest.mark.parametrize(
    ("prefer", "chosen"),
    [
        ((), JPEG),
        ((EXPLICIT,), EXPLICIT),
        ((IMPLICIT, EXPLICIT), IMPLICIT),
        (("1.2.3", EXPLICIT), EXPLICIT),
        (("1.2.3",), JPEG),
    ],
)
def test_the_transfer_syntax_is_ours_by_preference_and_else_the_requestor_s_first(
    prefer: tuple[str, ...], chosen: str
) -> None:
    entries = [PresentationContext(VERIFICATION), PresentationContext(CT, (IMPLICIT, EXPLICIT, JPEG))]
    acceptor = Acceptor("PACS", entries, prefer=prefer)
    proposed = PresentationContextRQ.of(1, CT, ("1.2.3", JPEG, EXPLICIT, IMPLICIT))
    assert verdict(acceptor, proposed).transfer_syntax == chosen


@pytest.mark.parametrize(
    ("supported", "proposed", "granted"),
    [
        ((1, 0), None, None),
        ((1, 1), None, None),
        ((0, 1), None, Cause.ROLES),
        ((1, 0), (1, 0), (1, 0)),
        ((1, 0), (1, 1), (1, 0)),
        ((1, 0), (0, 1), Cause.ROLES),
        ((0, 1), (1, 1), (0, 1)),
        ((0, 1), (0, 1), (0, 1)),
        ((0, 1), (1, 0), Cause.ROLES),
        ((1, 1), (1, 1), (1, 1)),
        ((1, 1), (0, 1), (0, 1)),
        ((1, 1), (0, 0), (0, 0)),
        ((1, 1), (2, 255), (0, 0)),
    ],
)
def test_roles_are_granted_as_far_as_supported_and_proposed(
    supported: tuple[int, int], proposed: tuple[int, int] | None, granted: tuple[int, int] | Cause | None
) -> None:
    entry = PresentationContext(CT, scu=bool(supported[0]), scp=bool(supported[1]))
    items = [] if proposed is None else [RoleSelection(CT + "\0", *proposed)]
    found = verdict(Acceptor("PACS", [VERIFICATION, entry]), PresentationContextRQ.of(1, CT, (IMPLICIT,)), *items)
    if isinstance(granted, Cause):
        assert (found.cause, found.cause.result, found.roles) == (granted, 1, None)
    else:
        assert found.cause is Cause.ACCEPTED
        assert found.roles == granted


STORAGE_SERVICE = "1.2.840.10008.4.2"


@pytest.mark.parametrize(
    ("items", "cause"),
    [
        ([CommonExtendedNegotiation(MR, STORAGE_SERVICE, (CT,))], Cause.ACCEPTED),
        ([CommonExtendedNegotiation(MR + "\0", STORAGE_SERVICE + "\0", ("1.2.3", CT + " "))], Cause.ACCEPTED),
        ([CommonExtendedNegotiation(MR, STORAGE_SERVICE, (CT,), version=1, trailing=b"new")], Cause.ACCEPTED),
        ([CommonExtendedNegotiation(MR, STORAGE_SERVICE, ())], Cause.ABSTRACT_SYNTAX),
        ([CommonExtendedNegotiation(MR, "1.2.840.10008.5.1.4.34.6", (CT,))], Cause.ABSTRACT_SYNTAX),
        ([CommonExtendedNegotiation(CT, STORAGE_SERVICE, (CT,))], Cause.ABSTRACT_SYNTAX),
        (
            [
                CommonExtendedNegotiation(MR, STORAGE_SERVICE, (CT,)),
                CommonExtendedNegotiation(MR, STORAGE_SERVICE, ("1.2.3",)),
            ],
            Cause.ABSTRACT_SYNTAX,
        ),
        ([], Cause.ABSTRACT_SYNTAX),
    ],
)
def test_an_unknown_storage_class_is_taken_for_its_general_one_if_the_acceptor_wants_that(
    items: list[CommonExtendedNegotiation], cause: Cause
) -> None:
    willing = dataclasses.replace(ACCEPTOR, related_general=True)
    proposed = PresentationContextRQ.of(1, MR, (JPEG, IMPLICIT))
    found = verdict(willing, proposed, *items)
    assert (found.cause, found.transfer_syntax) == (cause, IMPLICIT if cause is Cause.ACCEPTED else None)
    assert verdict(ACCEPTOR, proposed, *items).cause is Cause.ABSTRACT_SYNTAX
    refused = verdict(willing, PresentationContextRQ.of(1, MR, (JPEG,)), *items).cause
    assert refused is (Cause.TRANSFER_SYNTAXES if cause is Cause.ACCEPTED else Cause.ABSTRACT_SYNTAX)


def test_relations_are_read_in_normal_form_and_only_of_storage() -> None:
    items = (
        CommonExtendedNegotiation(MR + " ", STORAGE_SERVICE, (CT + "\0", CT)),
        CommonExtendedNegotiation(VERIFICATION, "1.2.3", (CT,)),
    )
    assert related_classes(proposal(GOOD, items=items)) == {MR: (CT, CT)}


def test_of_repeated_ids_the_first_counts_and_of_repeated_roles_the_last() -> None:
    contexts = (PresentationContextRQ.of(1, MR, (IMPLICIT,)), PresentationContextRQ.of(1, CT, (IMPLICIT,)), GOOD)
    causes = [each.cause for each in judge(ACCEPTOR, proposal(*contexts)).verdicts]
    assert causes == [Cause.ABSTRACT_SYNTAX, Cause.ID_REPEATED, Cause.ACCEPTED]
    found = verdict(
        ACCEPTOR, PresentationContextRQ.of(1, CT, (IMPLICIT,)), RoleSelection(CT, 0, 1), RoleSelection(CT, 1, 1)
    )
    assert found.roles == (True, False)


def test_our_user_may_refuse_a_context() -> None:
    request = proposal(PresentationContextRQ.of(1, CT, (IMPLICIT,)), PresentationContextRQ.of(3, MR, (IMPLICIT,)), GOOD)
    verdicts = judge(ACCEPTOR, request, refuse={1, 3}).verdicts
    assert [each.cause for each in verdicts] == [Cause.USER, Cause.ABSTRACT_SYNTAX, Cause.ACCEPTED]
    assert verdicts[0].cause.result == 1


# ---------------------------------------------------------------- the whole association


def rejected(acceptor: Acceptor, request: AAssociateRQ) -> tuple[int, int, int] | None:
    rejection = judge(acceptor, request).rejection
    if rejection is None:
        return None
    assert rejection.text
    assert rejection.pdu == AAssociateRJ(1, rejection.source, rejection.reason)
    return rejection.pdu.result, rejection.pdu.source, rejection.pdu.reason


def field(title: bytes) -> bytes:
    return title.ljust(16)


def test_a_plain_proposal_is_not_rejected_even_by_the_strict_profile() -> None:
    assert rejected(ACCEPTOR, proposal(GOOD)) is None
    assert rejected(dataclasses.replace(ACCEPTOR, profile=STRICT), proposal(GOOD)) is None


def renamed(*names: str) -> AAssociateRQ:
    request = proposal(GOOD)
    rest = (item for item in request.items if not isinstance(item, ApplicationContext))
    return dataclasses.replace(request, items=(*map(ApplicationContext, names), *rest))


def test_the_application_context() -> None:
    right = "1.2.840.10008.3.1.1.1"
    strict = dataclasses.replace(ACCEPTOR, profile=STRICT)
    assert rejected(ACCEPTOR, renamed("1.2.3")) == (1, 1, 2)
    accepting = dataclasses.replace(ACCEPTOR, profile=DEFAULT.accepting(Code.APPLICATION_CONTEXT_WRONG))
    assert rejected(accepting, renamed("1.2.3")) is None
    assert rejected(ACCEPTOR, renamed()) is None
    assert rejected(strict, renamed()) == (1, 1, 2)
    assert rejected(ACCEPTOR, renamed(right + "\0")) is None
    assert rejected(ACCEPTOR, renamed(right, right)) is None
    assert rejected(strict, renamed(right, right)) == (1, 1, 2)


def test_the_called_title_is_compared_only_on_demand() -> None:
    acceptor = Acceptor(" ARCHIVE ", [VERIFICATION])
    demanding = dataclasses.replace(acceptor, require_called=True)
    assert rejected(acceptor, proposal(GOOD)) is None
    assert rejected(demanding, proposal(GOOD)) == (1, 1, 7)
    for title in (b"ARCHIVE", b"  ARCHIVE", b"ARCHIVE\0\0"):
        assert rejected(demanding, dataclasses.replace(proposal(GOOD), called_ae_title_field=field(title))) is None


def test_the_calling_title_is_compared_only_on_demand() -> None:
    assert rejected(dataclasses.replace(ACCEPTOR, allowed_calling=frozenset({"ME"})), proposal(GOOD)) is None
    assert rejected(dataclasses.replace(ACCEPTOR, allowed_calling=frozenset({"YOU"})), proposal(GOOD)) == (1, 1, 3)
    assert rejected(dataclasses.replace(ACCEPTOR, allowed_calling=frozenset()), proposal(GOOD)) == (1, 1, 3)


@pytest.mark.parametrize("title", [b"", b"A\0", b"\xc0\xb3", b"A\\B"])
def test_odd_titles_are_taken_unless_the_profile_refuses_them(title: bytes) -> None:
    strict = dataclasses.replace(ACCEPTOR, profile=STRICT)
    called = dataclasses.replace(proposal(GOOD), called_ae_title_field=field(title))
    calling = dataclasses.replace(proposal(GOOD), calling_ae_title_field=field(title))
    assert rejected(ACCEPTOR, called) is rejected(ACCEPTOR, calling) is None
    assert rejected(strict, called) == (1, 1, 7)
    assert rejected(strict, calling) == (1, 1, 3)


def test_a_title_in_the_text_is_escaped() -> None:
    acceptor = dataclasses.replace(ACCEPTOR, require_called=True)
    request = dataclasses.replace(proposal(GOOD), called_ae_title_field=field(b"A\x1b[2J\nB"))
    rejection = judge(acceptor, request).rejection
    assert rejection is not None
    assert rejection.text.isprintable()


@pytest.mark.parametrize("maximum_length", range(1, 8))
def test_a_maximum_length_without_room_is_rejected_by_every_profile(maximum_length: int) -> None:
    accepting = dataclasses.replace(ACCEPTOR, profile=LENIENT.accepting(Code.MAXIMUM_LENGTH_TINY))
    assert rejected(accepting, proposal(GOOD, maximum_length=maximum_length)) == (1, 1, 1)
    assert rejected(accepting, proposal(GOOD, maximum_length=8)) is None


@pytest.mark.parametrize("version", [0, 1, 2, 3, 0xFFFE, 0xFFFF])
@pytest.mark.parametrize("profile", [LENIENT, DEFAULT, STRICT])
def test_bit_0_of_the_protocol_version_decides_and_no_other(version: int, profile: Profile) -> None:
    acceptor = dataclasses.replace(ACCEPTOR, profile=profile)
    request = dataclasses.replace(proposal(GOOD), protocol_version=version)
    assert rejected(acceptor, request) == (None if version & 1 else (1, 2, 2))


def test_what_a_profile_refuses_of_an_association_is_rejected() -> None:
    trailing = dataclasses.replace(proposal(GOOD), trailing=b"\0")
    assert rejected(ACCEPTOR, trailing) is None
    assert rejected(dataclasses.replace(ACCEPTOR, profile=STRICT), trailing) == (1, 1, 1)


def test_what_a_profile_refuses_of_a_context_does_not_reject_the_association() -> None:
    strict = dataclasses.replace(ACCEPTOR, profile=STRICT)
    assert verdict(strict, context(2, ABSTRACT, TRANSFER)).cause is Cause.ID_EVEN


def test_contexts_of_which_none_could_be_judged_reject_the_association() -> None:
    assert rejected(ACCEPTOR, proposal()) == (1, 1, 1)
    malformed = (context(0, ABSTRACT, TRANSFER), context(1, TRANSFER), context(3, ABSTRACT), context(5))
    assert rejected(ACCEPTOR, proposal(*malformed)) == (1, 1, 1)
    assert rejected(ACCEPTOR, proposal(*malformed, PresentationContextRQ.of(7, MR, (IMPLICIT,)))) is None


def test_none_acceptable_rejects_the_association_only_on_demand() -> None:
    demanding = dataclasses.replace(ACCEPTOR, reject_when_none_acceptable=True)
    unknown = PresentationContextRQ.of(1, MR, (IMPLICIT,))
    assert rejected(ACCEPTOR, proposal(unknown)) is None
    assert rejected(demanding, proposal(unknown)) == (1, 1, 1)
    assert rejected(demanding, proposal(unknown, GOOD)) is None
