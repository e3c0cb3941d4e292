"""What to propose, and what to answer a proposal: pure functions of two values (PS3.8 7.1.1, PS3.7 D.3).

The rooms beside this one: who negotiates is ``parties``, by what rules a context is accepted is
``judgement``, how both sides read the outcome is ``agreement``, why it came so is ``explain``, and
what to propose for a set of files is ``plan``. The names one needs are all here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from sansdimse.errors import LocalProtocolError
from sansdimse.uids import IMPLICIT_VR_LITTLE_ENDIAN, is_valid, normal
from sansdimse.ul.agreement import (
    DEFAULT_ROLES,
    Agreement,
    NegotiatedContext,
    agree,
    extended_information,
    not_above,
)
from sansdimse.ul.items import (
    AsynchronousOperationsWindow,
    ExtendedNegotiation,
    ImplementationClassUID,
    ImplementationVersionName,
    Item,
    MaximumLength,
    PresentationContextAC,
    PresentationContextRQ,
    RoleSelection,
    UserIdentityAC,
)
from sansdimse.ul.judgement import Cause, Judgement, Rejection, Verdict, judge
from sansdimse.ul.parties import (
    MOST_CONTEXTS,
    Acceptor,
    Extended,
    PresentationContext,
    Requestor,
    check_context,
    check_ours,
    check_title,
)
from sansdimse.ul.pdu import AAssociateAC, AAssociateRJ, AAssociateRQ

__all__ = [
    "Acceptor",
    "Agreement",
    "Cause",
    "Judgement",
    "NegotiatedContext",
    "PresentationContext",
    "Rejection",
    "Requestor",
    "Verdict",
    "agree",
    "answer",
    "judge",
    "propose",
]


def propose(requestor: Requestor) -> AAssociateRQ:
    """The A-ASSOCIATE-RQ, with IDs 1, 3, 5 ... in the order of the contexts (PS3.8 9.3.2).

    Raises ``LocalProtocolError``, naming what is wrong: more than 128 contexts, or none; UIDs, AE
    titles or numbers that are none by the standard; more transfer syntaxes in a context than peers take.
    """
    contexts = requestor.presentation_contexts
    check_title(requestor.called, "called")
    check_title(requestor.calling, "calling")
    check_ours(
        requestor.maximum_length,
        requestor.window,
        requestor.implementation_class_uid,
        requestor.implementation_version_name,
    )
    if not 1 <= len(contexts) <= MOST_CONTEXTS:
        raise LocalProtocolError(f"{len(contexts)} presentation contexts: an association has 1 to {MOST_CONTEXTS}")
    for context in contexts:
        check_context(context)
    identity = requestor.user_identity
    if identity is not None and not 1 <= identity.identity_type <= 5:
        raise LocalProtocolError(f"user identity type {identity.identity_type}: there are 1 to 5")
    if identity is not None and not all(
        isinstance(field, bytes) for field in (identity.primary_field, identity.secondary_field)
    ):
        raise LocalProtocolError("the fields of a user identity are bytes: encode names and passcodes in UTF-8")
    return AAssociateRQ.of(
        called=requestor.called,
        calling=requestor.calling,
        contexts=[
            PresentationContextRQ.of(2 * index + 1, context.abstract_syntax, context.transfer_syntaxes)
            for index, context in enumerate(contexts)
        ],
        user_information=_in_order(
            _ours(requestor),
            [requestor.window] if requestor.window is not None else [],
            _role_proposals(contexts),
            requestor.extended,
            requestor.common_extended,
            [identity] if identity is not None else [],
        ),
    )


def _role_proposals(contexts: Iterable[PresentationContext]) -> Iterator[RoleSelection]:
    roles: dict[str, tuple[bool, bool]] = {}
    for context in contexts:
        scu, scp = roles.get(context.abstract_syntax, (False, False))
        roles[context.abstract_syntax] = (scu or context.scu, scp or context.scp)
    for uid, (scu, scp) in roles.items():
        if (scu, scp) != DEFAULT_ROLES:
            yield RoleSelection(uid, int(scu), int(scp))


def _ours(party: Requestor | Acceptor) -> Iterator[Item]:
    yield MaximumLength(party.maximum_length)
    yield ImplementationClassUID(party.implementation_class_uid)
    if party.implementation_version_name:
        yield ImplementationVersionName(party.implementation_version_name)


def _in_order(*groups: Iterable[Item]) -> list[Item]:
    """Ascending by type, as PS3.8 9.3.1 has items sent."""
    return sorted((item for group in groups for item in group), key=lambda item: item.item_type)


def answer(
    acceptor: Acceptor,
    request: AAssociateRQ,
    *,
    identity_response: bytes | None = None,
    refuse: Collection[int] = (),
) -> AAssociateAC | AAssociateRJ:
    """The A-ASSOCIATE-AC or -RJ to a proposal; total over all that can be received (PS3.8 7.1.1, 9.3.3).

    Each ID proposed is answered once. Roles, window, extended negotiation and the identity's response
    are answered only if they were proposed or asked for, and never above the proposal.

    ``identity_response`` is your word that you believe the user identity: empty for types 1 and 2, a
    ticket or assertion for 3 and 4 (PS3.7 D.3.3.7); None says nothing. ``refuse`` are the IDs of
    contexts that you do not want (result 1). Only a function in ``acceptor.extended`` may raise.
    """
    judgement = judge(acceptor, request, refuse=refuse)
    if judgement.rejection is not None:
        return judgement.rejection.pdu
    answered = [verdict for verdict in judgement.verdicts if verdict.cause is not Cause.ID_REPEATED]
    accepted = [verdict for verdict in answered if verdict.cause is Cause.ACCEPTED]
    return AAssociateAC.of(
        request,
        contexts=[
            PresentationContextAC.of(verdict.context.context_id, verdict.cause.result, _syntax_to_send(verdict))
            for verdict in answered
        ],
        user_information=_in_order(
            _ours(acceptor),
            _window_answer(acceptor, request),
            _role_answers(accepted),
            _extended_answers(acceptor, request, {verdict.context.abstract_syntax or "" for verdict in accepted}),
            _identity_answer(request, identity_response),
        ),
    )


def _syntax_to_send(verdict: Verdict) -> str:
    # Of a context not accepted it means nothing (PS3.8 Table 9-18), but peers exist that want to see one.
    if verdict.transfer_syntax is not None:
        return verdict.transfer_syntax
    return next((uid for uid in verdict.context.transfer_syntaxes if is_valid(uid)), IMPLICIT_VR_LITTLE_ENDIAN)


def _window_answer(acceptor: Acceptor, request: AAssociateRQ) -> Iterator[Item]:
    offered = request.asynchronous_operations_window
    if offered is not None:
        yield AsynchronousOperationsWindow(
            not_above(acceptor.window.invoked, offered.invoked),
            not_above(acceptor.window.performed, offered.performed),
        )


def _role_answers(accepted: Iterable[Verdict]) -> Iterator[Item]:
    by_class = {verdict.context.abstract_syntax or "": verdict.roles for verdict in accepted}
    for uid, roles in by_class.items():
        if roles is not None:
            yield RoleSelection(uid, int(roles[0]), int(roles[1]))


def _extended_answers(acceptor: Acceptor, request: AAssociateRQ, accepted: set[str]) -> Iterator[Item]:
    supported = {normal(uid): ours for uid, ours in acceptor.extended.items()}
    for uid, offered in extended_information(request.extended_negotiations).items():
        if uid in supported and uid in accepted:
            information = _extended_answer(supported[uid], offered)
            if information is not None:
                yield ExtendedNegotiation(uid, information)


def _extended_answer(ours: Extended, offered: bytes) -> bytes | None:
    if isinstance(ours, bytes):
        return bytes(map(min, offered, ours))
    return ours(offered) if callable(ours) else ours.answer(offered)


def _identity_answer(request: AAssociateRQ, response: bytes | None) -> Iterator[Item]:
    identity = request.user_identity
    if response is not None and identity is not None and identity.positive_response_requested:
        yield UserIdentityAC(response)
