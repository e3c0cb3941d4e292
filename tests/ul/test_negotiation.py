"""Proposing and answering: send strictly, never raise, never answer more than was proposed."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sansdimse.deviations import Code
from sansdimse.errors import LocalProtocolError, RemoteProtocolError
from sansdimse.profile import DEFAULT, LENIENT, STRICT
from sansdimse.uids import (
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLEMENTATION_CLASS_UID,
    IMPLEMENTATION_VERSION_NAME,
    IMPLICIT_VR_LITTLE_ENDIAN,
    JPEG_BASELINE_8BIT,
    VERIFICATION,
    normal,
)
from sansdimse.ul import negotiation
from sansdimse.ul.agreement import is_tiny
from sansdimse.ul.items import (
    AbstractSyntax,
    ApplicationContext,
    AsynchronousOperationsWindow,
    CommonExtendedNegotiation,
    ExtendedNegotiation,
    ImplementationClassUID,
    ImplementationVersionName,
    Item,
    MaximumLength,
    PresentationContextRQ,
    RoleSelection,
    TransferSyntax,
    UnknownItem,
    UserIdentityAC,
    UserIdentityRQ,
    UserInformation,
)
from sansdimse.ul.lint import lint
from sansdimse.ul.negotiation import Acceptor, PresentationContext, Requestor, agree, answer, propose
from sansdimse.ul.pdu import AAssociateAC, AAssociateRJ, AAssociateRQ, decode_pdu

CT = "1.2.840.10008.5.1.4.1.1.2"
MR = "1.2.840.10008.5.1.4.1.1.4"
COMMITMENT = "1.2.840.10008.1.20.1"
IMPLICIT, EXPLICIT, JPEG = IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN, JPEG_BASELINE_8BIT


def accepted(acceptor: Acceptor, request: AAssociateRQ, **options: Any) -> AAssociateAC:
    reply = answer(acceptor, request, **options)
    assert isinstance(reply, AAssociateAC)
    return reply


def proposal(*items: Item, classes: tuple[str, ...] = (VERIFICATION, CT)) -> AAssociateRQ:
    contexts = [PresentationContextRQ.of(2 * n + 1, uid, (EXPLICIT, IMPLICIT)) for n, uid in enumerate(classes)]
    return AAssociateRQ.of(called="PACS", calling="ME", contexts=contexts, user_information=[MaximumLength(0), *items])


def test_all_names_are_here() -> None:
    assert all(hasattr(negotiation, name) for name in negotiation.__all__)


# ---------------------------------------------------------------- propose


def test_a_proposal_in_full() -> None:
    window = AsynchronousOperationsWindow(3, 4)
    extended = ExtendedNegotiation(CT, b"\2\0\0\0\1\0")
    common = CommonExtendedNegotiation(CT, "1.2.840.10008.4.2")
    identity = UserIdentityRQ(2, b"me", b"secret", 1)
    request = propose(
        Requestor(
            "ME",
            "PACS",
            [VERIFICATION, PresentationContext(CT, (JPEG,), scu=False, scp=True), PresentationContext(CT)],
            maximum_length=0,
            window=window,
            extended=(extended,),
            common_extended=(common,),
            user_identity=identity,
        )
    )
    assert request.called_ae_title_field == b"PACS".ljust(16)
    assert request.calling_ae_title_field == b"ME".ljust(16)
    assert request.presentation_contexts == (
        PresentationContextRQ.of(1, VERIFICATION, (EXPLICIT, IMPLICIT)),
        PresentationContextRQ.of(3, CT, (JPEG,)),
        PresentationContextRQ.of(5, CT, (EXPLICIT, IMPLICIT)),
    )
    assert request.user_information == (
        MaximumLength(0),
        ImplementationClassUID(IMPLEMENTATION_CLASS_UID),
        window,
        RoleSelection(CT, 1, 1),
        ImplementationVersionName(IMPLEMENTATION_VERSION_NAME),
        extended,
        common,
        identity,
    )


def test_a_plain_proposal_negotiates_nothing_beyond_what_is_mandatory() -> None:
    request = propose(Requestor("ME", "PACS", [CT], implementation_version_name=""))
    assert request.user_information == (MaximumLength(131072), ImplementationClassUID(IMPLEMENTATION_CLASS_UID))


def test_the_scp_role_alone_is_proposed_as_such() -> None:
    request = propose(Requestor("ME", "PACS", [PresentationContext(CT, scu=False, scp=True)]))
    assert request.role_selections == (RoleSelection(CT, 0, 1),)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"contexts": []}, "0 presentation contexts"),
        ({"contexts": [CT] * 129}, "129 presentation contexts"),
        ({"contexts": [CT, "1.02"]}, "1.02"),
        ({"contexts": ["1." * 32 + "1"]}, "no UID"),
        ({"contexts": [PresentationContext(CT, tuple(f"1.{n}" for n in range(51)))]}, "51 transfer syntaxes"),
        ({"calling": ""}, "calling AE title"),
        ({"called": "A" * 17}, "called AE title"),
        ({"maximum_length": 7}, "maximum length 7"),
        ({"window": AsynchronousOperationsWindow(65536, 1)}, "window 65536"),
        ({"implementation_class_uid": ""}, "implementation class UID"),
        ({"implementation_version_name": "V" * 17}, "implementation version name"),
        ({"user_identity": UserIdentityRQ(0, b"me")}, "user identity type 0"),
        ({"user_identity": UserIdentityRQ(6, b"me")}, "user identity type 6"),
        ({"user_identity": UserIdentityRQ(2, "me", b"x")}, "the fields of a user identity are bytes"),  # type: ignore[arg-type]
        ({"user_identity": UserIdentityRQ(2, b"me", "x")}, "the fields of a user identity are bytes"),  # type: ignore[arg-type]
    ],
)
def test_what_cannot_be_proposed_is_named(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(LocalProtocolError, match=named):
        propose(dataclasses.replace(Requestor("ME", "PACS", [CT]), **changes))


def test_128_contexts_have_the_odd_ids() -> None:
    request = propose(Requestor("ME", "PACS", [CT] * 128))
    assert [context.context_id for context in request.presentation_contexts] == list(range(1, 256, 2))


# ---------------------------------------------------------------- answer, item by item


def test_an_answer_in_full() -> None:
    acceptor = Acceptor("PACS", [VERIFICATION, CT], implementation_class_uid="1.2.3", maximum_length=65536)
    request = dataclasses.replace(
        proposal(classes=(VERIFICATION, MR, CT)),
        called_ae_title_field=b"A" + bytes(15),
        calling_ae_title_field=b"\xff" * 16,
        reserved_43_74=bytes(range(32)),
        protocol_version=3,
    )
    reply = accepted(acceptor, request, refuse=[5])
    assert reply.called_ae_title_field == b"A" + bytes(15)
    assert reply.calling_ae_title_field == b"\xff" * 16
    assert reply.reserved_43_74 == bytes(range(32))
    assert reply.protocol_version == 1
    assert [(c.context_id, c.result, c.transfer_syntaxes) for c in reply.presentation_contexts] == [
        (1, 0, (EXPLICIT,)),
        (3, 3, (EXPLICIT,)),
        (5, 1, (EXPLICIT,)),
    ]
    assert reply.user_information == (
        MaximumLength(65536),
        ImplementationClassUID("1.2.3"),
        ImplementationVersionName(IMPLEMENTATION_VERSION_NAME),
    )


def test_a_rejection_is_sent_as_such() -> None:
    acceptor = Acceptor("ARCHIVE", [CT], require_called=True)
    assert answer(acceptor, proposal()) == AAssociateRJ(1, 1, 7)


def test_a_refused_context_shows_a_transfer_syntax_that_is_one() -> None:
    contexts = [
        PresentationContextRQ.of(1, CT, (EXPLICIT,)),
        PresentationContextRQ.of(3, MR, ("\xff" * 70, JPEG)),
        PresentationContextRQ.of(5, MR, ()),
    ]
    request = AAssociateRQ.of(called="PACS", calling="ME", contexts=contexts, user_information=[])
    reply = accepted(Acceptor("PACS", [CT]), request)
    assert [c.transfer_syntaxes for c in reply.presentation_contexts] == [(EXPLICIT,), (JPEG,), (IMPLICIT,)]


def test_an_id_proposed_twice_is_answered_once() -> None:
    contexts = [PresentationContextRQ.of(1, CT, (EXPLICIT,)), PresentationContextRQ.of(1, MR, (IMPLICIT,))]
    request = AAssociateRQ.of(called="PACS", calling="ME", contexts=contexts, user_information=[])
    reply = accepted(Acceptor("PACS", [CT, MR]), request)
    assert [(c.context_id, c.result, c.transfer_syntax) for c in reply.presentation_contexts] == [(1, 0, EXPLICIT)]


@pytest.mark.parametrize(
    ("ours", "offered", "answered"),
    [((1, 1), (0, 0), (1, 1)), ((8, 2), (5, 5), (5, 2)), ((8, 2), (0, 1), (8, 1)), ((1, 1), None, None)],
)
def test_the_window_is_finite_and_answered_only_if_proposed(
    ours: tuple[int, int], offered: tuple[int, int] | None, answered: tuple[int, int] | None
) -> None:
    items = [] if offered is None else [AsynchronousOperationsWindow(*offered)]
    acceptor = Acceptor("PACS", [CT], window=AsynchronousOperationsWindow(*ours))
    found = accepted(acceptor, proposal(*items)).asynchronous_operations_window
    assert found == (None if answered is None else AsynchronousOperationsWindow(*answered))


def test_roles_are_answered_once_for_accepted_classes_that_proposed_them() -> None:
    acceptor = Acceptor("PACS", [VERIFICATION, PresentationContext(CT, scp=True), PresentationContext(MR, (JPEG,))])
    request = proposal(
        RoleSelection(CT, 0, 1),
        RoleSelection(MR, 1, 1),
        RoleSelection(COMMITMENT, 1, 1),
        RoleSelection(CT, 1, 1),
        classes=(VERIFICATION, CT, MR, CT),
    )
    assert accepted(acceptor, request).role_selections == (RoleSelection(CT, 1, 1),)


@pytest.mark.parametrize(
    ("supported", "offered", "answered"),
    [
        (b"\1\1\0\1", b"\1", b"\1"),
        (b"\1\1\0\1", b"\1\0\1\1\1", b"\1\0\0\1"),
        (b"\2\0\1", b"\3\0\3\0\1\0", b"\2\0\1"),
        (b"\1", b"", b""),
        (lambda offer: offer[::-1], b"\1\2", b"\2\1"),
        (lambda _: None, b"\1", None),
    ],
)
def test_extended_negotiation_answers_each_byte_with_the_lower(
    supported: Any, offered: bytes, answered: bytes | None
) -> None:
    acceptor = Acceptor("PACS", [VERIFICATION, CT], extended={CT: supported})
    reply = accepted(acceptor, proposal(ExtendedNegotiation(CT + "\0", offered)))
    assert reply.extended_negotiations == (() if answered is None else (ExtendedNegotiation(CT, answered),))


class Typed:
    """A typed value, which knows its service class's rule."""

    def answer(self, offered: bytes) -> bytes | None:
        return offered + b"!" if offered else None


@pytest.mark.parametrize(("offered", "answered"), [(b"\1", b"\1!"), (b"", None)])
def test_a_typed_value_answers_for_itself(offered: bytes, answered: bytes | None) -> None:
    acceptor = Acceptor("PACS", [VERIFICATION, CT], extended={CT: Typed()})
    reply = accepted(acceptor, proposal(ExtendedNegotiation(CT, offered)))
    assert reply.extended_negotiations == (() if answered is None else (ExtendedNegotiation(CT, answered),))


def test_extended_negotiation_is_answered_only_for_accepted_classes_that_proposed_it() -> None:
    acceptor = Acceptor("PACS", [VERIFICATION, CT], extended={CT: b"\1", MR: b"\1", VERIFICATION: b"\1"})
    request = proposal(
        ExtendedNegotiation(CT, b"\0"),
        ExtendedNegotiation(CT, b"\1"),
        ExtendedNegotiation(MR, b"\1"),
        ExtendedNegotiation(COMMITMENT, b"\1"),
        classes=(CT, MR, VERIFICATION),
    )
    assert accepted(acceptor, request).extended_negotiations == (ExtendedNegotiation(CT, b"\1"),)


@pytest.mark.parametrize("response", [None, b"", b"ticket"])
@pytest.mark.parametrize("identity", [None, UserIdentityRQ(3, b"t"), UserIdentityRQ(3, b"t", b"", 1)])
def test_the_identity_s_response_is_sent_only_if_asked_for_and_decided(
    response: bytes | None, identity: UserIdentityRQ | None
) -> None:
    request = proposal(*([] if identity is None else [identity]))
    reply = accepted(Acceptor("PACS", [CT]), request, identity_response=response)
    asked = identity is not None and bool(identity.positive_response_requested)
    assert reply.user_identity == (UserIdentityAC(response) if asked and response is not None else None)


# ---------------------------------------------------------------- properties

good_uids = st.sampled_from([VERIFICATION, CT, MR, COMMITMENT])
syntaxes = st.sampled_from([IMPLICIT, EXPLICIT, JPEG])
contexts = st.builds(
    PresentationContext,
    good_uids,
    st.lists(syntaxes, min_size=1, max_size=3).map(tuple),
    st.booleans(),
    st.booleans(),
).filter(lambda context: context.scu or context.scp)
windows = st.builds(AsynchronousOperationsWindow, st.integers(0, 9), st.integers(0, 9))
requestors = st.builds(
    Requestor,
    st.just("ME"),
    st.just("PACS"),
    st.lists(contexts, min_size=1, max_size=6),
    maximum_length=st.just(0) | st.integers(8, 1 << 20),
    window=st.none() | windows,
    extended=st.lists(st.builds(ExtendedNegotiation, good_uids, st.binary(max_size=4)), max_size=2).map(tuple),
    user_identity=st.none() | st.builds(UserIdentityRQ, st.integers(1, 5), st.binary(max_size=3)),
)
acceptors = st.builds(
    Acceptor,
    st.just("PACS"),
    st.lists(contexts, max_size=4),
    require_called=st.booleans(),
    allowed_calling=st.none() | st.just(frozenset({"ME"})),
    prefer=st.lists(syntaxes, max_size=3).map(tuple),
    any_storage=st.booleans(),
    reject_when_none_acceptable=st.booleans(),
    window=st.builds(AsynchronousOperationsWindow, st.integers(1, 9), st.integers(1, 9)),
    extended=st.dictionaries(good_uids, st.binary(max_size=4), max_size=2),
    profile=st.sampled_from([LENIENT, DEFAULT, STRICT]),
)

uids = good_uids | syntaxes | st.sampled_from([CT + "\0", CT + " ", "", "\0", "1.02", "1" * 70, "1" * 200, "\xff"])
fields = st.sampled_from([b"PACS".ljust(16), b"ME".ljust(16), bytes(16), b" " * 16, b"\xc0\xb3" * 8, b"A\nB".ljust(16)])
parts: st.SearchStrategy[Item] = st.one_of(
    st.builds(AbstractSyntax, uids),
    st.builds(TransferSyntax, uids),
    st.builds(TransferSyntax, uids),
    st.builds(UnknownItem, st.integers(0x60, 0xFF), st.binary(max_size=3)),
)
fuzzed_contexts = st.builds(
    PresentationContextRQ,
    st.integers(0, 9) | st.integers(0, 255),
    st.lists(parts, max_size=4).map(tuple),
)
user_items: st.SearchStrategy[Item] = st.one_of(
    st.builds(MaximumLength, st.integers(0, 0xFFFFFFFF)),
    st.builds(AsynchronousOperationsWindow, st.integers(0, 65535), st.integers(0, 65535)),
    st.builds(RoleSelection, uids, st.integers(0, 255), st.integers(0, 2)),
    st.builds(ExtendedNegotiation, uids, st.binary(max_size=9)),
    st.builds(CommonExtendedNegotiation, uids, uids, st.lists(uids, max_size=2).map(tuple)),
    st.builds(ImplementationClassUID, uids),
    st.builds(ImplementationVersionName, uids),
    st.builds(UserIdentityRQ, st.integers(0, 9), st.binary(max_size=3), st.binary(max_size=3), st.integers(0, 2)),
    st.builds(UnknownItem, st.integers(0x60, 0xFF), st.binary(max_size=3)),
)
top_items: st.SearchStrategy[Item] = st.one_of(
    st.builds(ApplicationContext, uids | st.just("1.2.840.10008.3.1.1.1")),
    fuzzed_contexts,
    fuzzed_contexts,
    st.builds(UserInformation, st.lists(user_items, max_size=5).map(tuple)),
    st.builds(UnknownItem, st.integers(0x60, 0xFF), st.binary(max_size=3)),
)
fuzzed_requests = st.builds(
    AAssociateRQ,
    fields,
    fields,
    st.lists(top_items, max_size=8).map(tuple),
    protocol_version=st.integers(0, 65535),
    trailing=st.binary(max_size=3),
)


@given(requestors, acceptors)
@settings(max_examples=150)
def test_what_we_propose_and_answer_is_flawless_and_both_read_it_alike(
    requestor: Requestor, acceptor: Acceptor
) -> None:
    request = propose(requestor)
    assert lint(request) == [] or {d.code for d in lint(request)} <= {Code.ITEM_REPEATED}
    assert decode_pdu(0x01, request.encode()[6:]) == request
    reply = answer(acceptor, request, identity_response=b"")
    if isinstance(reply, AAssociateRJ):
        assert lint(reply) == []
        return
    assert lint(reply, request) == []
    assert decode_pdu(0x02, reply.encode()[6:]) == reply
    ours, theirs = agree(request, reply, requestor=True), agree(request, reply, requestor=False)
    assert ours.maximum_length == acceptor.maximum_length
    assert theirs.maximum_length == (requestor.maximum_length or None)
    for mine, yours, wanted in zip(ours.contexts, theirs.contexts, requestor.presentation_contexts, strict=True):
        assert (mine.as_scu, mine.as_scp) == (yours.as_scp, yours.as_scu)
        assert mine.accepted == yours.accepted == (mine.result == 0)
        offer = acceptor.offer(wanted.abstract_syntax)
        if mine.accepted:
            assert offer is not None
            assert mine.transfer_syntax in (offer.transfer_syntaxes or wanted.transfer_syntaxes)
            # An accepted context has a role that the acceptor supports, and no other.
            assert mine.as_scu or mine.as_scp
            assert not mine.as_scu or offer.scu
            assert not mine.as_scp or offer.scp
    if requestor.window is None:
        assert (ours.invoke_window, ours.perform_window) == (1, 1)
    else:
        for agreed, offered, most in (
            (ours.invoke_window, requestor.window.invoked, acceptor.window.invoked),
            (ours.perform_window, requestor.window.performed, acceptor.window.performed),
        ):
            assert agreed == (min(offered, most) if offered else most)


@given(fuzzed_requests, acceptors, st.none() | st.binary(max_size=3), st.sets(st.integers(0, 9), max_size=2))
@settings(max_examples=250)
def test_any_request_is_answered_and_never_above_what_it_proposed(
    request: AAssociateRQ, acceptor: Acceptor, response: bytes | None, refuse: set[int]
) -> None:
    reply = answer(acceptor, request, identity_response=response, refuse=refuse)
    assert decode_pdu(reply.PDU_TYPE, reply.encode()[6:]) == reply
    if isinstance(reply, AAssociateRJ):
        assert lint(reply) == []
        return
    # Every ID proposed is answered exactly once, and no other.
    proposed = [context.context_id for context in request.presentation_contexts]
    assert [context.context_id for context in reply.presentation_contexts] == list(dict.fromkeys(proposed))
    for context in reply.presentation_contexts:
        assert len(context.transfer_syntaxes) == 1
        assert 0 <= context.result <= 4
        assert not (context.result == 0 and context.context_id in refuse)
    # The roles: one item a class, only where proposed, never a 1 for a 0.
    roles = {normal(role.sop_class_uid): role for role in request.role_selections}
    answered = [role.sop_class_uid for role in reply.role_selections]
    assert len(answered) == len(set(answered))
    for role in reply.role_selections:
        asked = roles[role.sop_class_uid]
        assert role.scu_role <= asked.scu_role
        assert role.scp_role <= asked.scp_role
    # The window: only if offered, each number finite and not above the offer.
    offered, window = request.asynchronous_operations_window, reply.asynchronous_operations_window
    assert (offered is None) == (window is None)
    if offered is not None and window is not None:
        assert 0 < window.invoked <= (offered.invoked or 65535)
        assert 0 < window.performed <= (offered.performed or 65535)
    extended = {normal(item.sop_class_uid): item.information for item in request.extended_negotiations}
    for item in reply.extended_negotiations:
        information = extended[item.sop_class_uid]
        assert len(item.information) <= len(information)
        assert all(ours <= theirs for ours, theirs in zip(item.information, information, strict=False))
    identity = request.user_identity
    if identity is None or not identity.positive_response_requested:
        assert reply.user_identity is None
    # The acceptor can always read what it answered.
    agreement = agree(request, reply, requestor=False, profile=acceptor.profile)
    assert [c.accepted for c in agreement.contexts] == [c.result == 0 for c in reply.presentation_contexts]


@given(fuzzed_requests)
@settings(max_examples=100)
def test_reading_any_pair_raises_nothing_but_what_is_documented(request: AAssociateRQ) -> None:
    reply = answer(Acceptor("PACS", [VERIFICATION]), proposal())
    assert isinstance(reply, AAssociateAC)
    if is_tiny(request.maximum_length):
        with pytest.raises(RemoteProtocolError, match="maximum length"):
            agree(request, reply, requestor=False)
    else:
        agreement = agree(request, reply, requestor=False)
        assert len(agreement.contexts) == len({c.context_id for c in request.presentation_contexts})
