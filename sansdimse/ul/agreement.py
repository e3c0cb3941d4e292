"""What a proposal and its answer mean together, read alike by both sides (PS3.8 7.1.1, PS3.7 D.3.3).

The answer is the peer's word, so it is read by rule and not by trust: what nobody proposed is not
agreed, what is missing has the standard's default, and the first of several counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from sansdimse.deviations import CATALOGUE, Code, Deviation, Refusal
from sansdimse.errors import RemoteProtocolError
from sansdimse.profile import DEFAULT, Profile
from sansdimse.uids import normal
from sansdimse.ul.items import (
    LEAST_MAXIMUM_LENGTH,
    ExtendedNegotiation,
    PresentationContextAC,
    RoleSelection,
    UserIdentityAC,
)
from sansdimse.ul.lint import lint
from sansdimse.ul.pdu import AAssociateAC, AAssociateRQ

# PS3.8 Table 9-18, Result/Reason of a presentation context.
ACCEPTANCE: Final = 0
USER_REJECTION: Final = 1
NO_REASON: Final = 2
ABSTRACT_SYNTAX_NOT_SUPPORTED: Final = 3
TRANSFER_SYNTAXES_NOT_SUPPORTED: Final = 4

ASSUMED_MAXIMUM_LENGTH: Final = 16 * 1024
"""Bytes sent at most to a peer that states no maximum (PS3.8 D.1 demands one): what every toolkit takes."""

DEFAULT_ROLES: Final = (True, False)
"""The requestor is SCU and not SCP, unless roles were selected (PS3.7 D.3.3.4)."""


@dataclass(frozen=True, slots=True)
class NegotiatedContext:
    """One proposed presentation context with its answer, as seen from our side (PS3.8 7.1.1.14)."""

    id: int
    abstract_syntax: str
    """In normal form; empty if the proposal named none."""
    transfer_syntaxes: tuple[str, ...]
    """Those proposed, in normal form."""
    result: int
    """As answered (PS3.8 Table 9-18); 2, provider rejection without reason, if there was no answer."""
    transfer_syntax: str | None
    """The one to use; None if the context may not be used."""
    as_scu: bool
    """Whether we may invoke operations here as SCU."""
    as_scp: bool
    """Whether we may be asked to perform operations here as SCP."""
    role_unanswered: bool = False
    """Whether we proposed to be SCP here and the answer has no word of roles: then we are not (PS3.7 D.3.3.4)."""

    @property
    def accepted(self) -> bool:
        """Whether messages may travel here: accepted, with a transfer syntax that both sides know."""
        return self.transfer_syntax is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """What holds for an established association, as seen from our side."""

    contexts: tuple[NegotiatedContext, ...]
    """One for each ID proposed, in the order of the proposal."""
    invoke_window: int
    """Requests that we may have outstanding; 0 is unlimited (PS3.7 D.3.3.3)."""
    perform_window: int
    """Requests that the peer may have outstanding; 0 is unlimited."""
    maximum_length: int | None
    """Longest PDU-length of a P-DATA-TF that we may send, in bytes; None is unlimited (PS3.8 D.1)."""
    calling_ae_title: str
    called_ae_title: str
    peer_ae_title: str
    """The called title for the requestor, the calling one for the acceptor."""
    peer_implementation_class_uid: str | None
    peer_implementation_version_name: str | None
    extended: Mapping[str, bytes] = field(hash=False)
    """Service-class-application-information answered, by SOP class (PS3.7 D.3.3.5). Bytes missing count as 0."""
    extended_offered: Mapping[str, bytes] = field(default_factory=dict, hash=False)
    """The same as the requestor offered it: what was answered beyond that, the service class has to judge."""
    user_identity_response: UserIdentityAC | None
    """The acceptor's word that it believes the identity; None if it said nothing (PS3.7 D.3.3.7)."""
    deviations: tuple[Deviation, ...]
    """What the peer's PDU did otherwise than the standard says."""
    by_id: Mapping[int, NegotiatedContext] = field(init=False, repr=False, compare=False)
    """The contexts by ID."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_id", {context.id: context for context in self.contexts})

    @property
    def accepted(self) -> tuple[NegotiatedContext, ...]:
        """The contexts that may be used."""
        return tuple(context for context in self.contexts if context.accepted)


def agree(request: AAssociateRQ, answer: AAssociateAC, *, requestor: bool, profile: Profile = DEFAULT) -> Agreement:
    """Read a proposal and its answer as the requestor does, or as the acceptor.

    A context not answered is rejected; one answered with a transfer syntax that was not proposed may
    not be used (unless the profile accepts that); IDs, roles, windows and extended negotiations that
    were not proposed are ignored. Each is among the deviations.

    Raises ``RemoteProtocolError`` for what only an abort can answer: a maximum length without room for
    a fragment, always; for the requestor also any deviation of the answer which the profile refuses
    and which concerns the whole association. PS3.8 7.1.1, D.1; PS3.7 D.3.1, D.3.3.
    """
    peer = answer if requestor else request
    deviations = tuple(lint(answer, request) if requestor else lint(request))
    _check(peer.maximum_length, deviations if requestor else (), profile)
    invoked, performed = _window(request, answer)
    return Agreement(
        contexts=negotiated(request, answer, requestor=requestor, profile=profile),
        invoke_window=invoked if requestor else performed,
        perform_window=performed if requestor else invoked,
        maximum_length=_maximum_length(peer.maximum_length),
        calling_ae_title=request.calling_ae_title,
        called_ae_title=request.called_ae_title,
        peer_ae_title=request.called_ae_title if requestor else request.calling_ae_title,
        peer_implementation_class_uid=peer.implementation_class_uid,
        peer_implementation_version_name=peer.implementation_version_name,
        extended=_extended(request, answer),
        extended_offered=extended_information(request.extended_negotiations),
        user_identity_response=answer.user_identity if request.user_identity is not None else None,
        deviations=deviations,
    )


def selected_roles(items: Iterable[RoleSelection]) -> dict[str, tuple[bool, bool]]:
    """(SCU, SCP) by SOP class in normal form; the last of several counts, other values than 1 are 0."""
    return {normal(item.sop_class_uid): (item.scu_role == 1, item.scp_role == 1) for item in items}


def extended_information(items: Iterable[ExtendedNegotiation]) -> dict[str, bytes]:
    """Service-class-application-information by SOP class in normal form; the last of several counts."""
    return {normal(item.sop_class_uid): item.information for item in items}


def is_tiny(maximum_length: int | None) -> bool:
    """Whether this maximum length leaves no room for any fragment; 0 and None are unlimited."""
    return maximum_length is not None and 0 < maximum_length < LEAST_MAXIMUM_LENGTH


def negotiated(
    request: AAssociateRQ, answer: AAssociateAC, *, requestor: bool, profile: Profile = DEFAULT
) -> tuple[NegotiatedContext, ...]:
    """The contexts of an ``Agreement``, read as in ``agree``; total, it never raises."""
    proposed_roles = selected_roles(request.role_selections)
    answered_roles = selected_roles(answer.role_selections)
    answers: dict[int, PresentationContextAC] = {}
    for answered in answer.presentation_contexts:
        answers.setdefault(answered.context_id, answered)
    contexts: dict[int, NegotiatedContext] = {}
    for proposed in request.presentation_contexts:
        if proposed.context_id in contexts:
            continue
        abstract_syntax = proposed.abstract_syntax or ""
        scu, scp = _roles(proposed_roles.get(abstract_syntax), answered_roles.get(abstract_syntax))
        transfer_syntaxes = proposed.transfer_syntaxes
        reply = answers.get(proposed.context_id)
        contexts[proposed.context_id] = NegotiatedContext(
            id=proposed.context_id,
            abstract_syntax=abstract_syntax,
            transfer_syntaxes=transfer_syntaxes,
            result=NO_REASON if reply is None else reply.result,
            transfer_syntax=_transfer_syntax(transfer_syntaxes, reply, profile),
            as_scu=scu if requestor else scp,
            as_scp=scp if requestor else scu,
            role_unanswered=requestor
            and abstract_syntax not in answered_roles
            and proposed_roles.get(abstract_syntax, DEFAULT_ROLES)[1],
        )
    return tuple(contexts.values())


def _roles(proposed: tuple[bool, bool] | None, answered: tuple[bool, bool] | None) -> tuple[bool, bool]:
    """(SCU, SCP) of the requestor: the table of PS3.7 D.3.3.4."""
    if proposed is None or answered is None:
        return DEFAULT_ROLES
    return proposed[0] and answered[0], proposed[1] and answered[1]


def _transfer_syntax(proposed: tuple[str, ...], reply: PresentationContextAC | None, profile: Profile) -> str | None:
    if reply is None or reply.result != ACCEPTANCE:
        return None
    if len(reply.transfer_syntaxes) > 1 and profile.refuses(Code.AC_TRANSFER_SYNTAXES_SEVERAL):
        return None
    if reply.transfer_syntax not in proposed and profile.refuses(Code.AC_TRANSFER_SYNTAX_UNPROPOSED):
        return None
    return reply.transfer_syntax or None


def _window(request: AAssociateRQ, answer: AAssociateAC) -> tuple[int, int]:
    """Operations the requestor may invoke, and may be asked to perform, at once; 0 is unlimited."""
    offered, answered = request.asynchronous_operations_window, answer.asynchronous_operations_window
    if offered is None or answered is None:
        return 1, 1
    return not_above(answered.invoked, offered.invoked), not_above(answered.performed, offered.performed)


def not_above(number: int, offer: int) -> int:
    """The smaller of two windows, of which 0 is the largest."""
    return min(number or offer, offer or number)


def _maximum_length(stated: int | None) -> int | None:
    return ASSUMED_MAXIMUM_LENGTH if stated is None else stated or None


def _extended(request: AAssociateRQ, answer: AAssociateAC) -> dict[str, bytes]:
    offered = extended_information(request.extended_negotiations)
    answered = extended_information(answer.extended_negotiations)
    return {sop_class: information for sop_class, information in answered.items() if sop_class in offered}


def _check(maximum_length: int | None, deviations: tuple[Deviation, ...], profile: Profile) -> None:
    if is_tiny(maximum_length):
        text = f"a maximum length of {maximum_length} leaves no room for a fragment: at least 8 are needed"
        raise RemoteProtocolError(text, code=Code.MAXIMUM_LENGTH_TINY)
    for deviation in deviations:
        if profile.refuses(deviation.code) and refuses_association(deviation.code):
            raise RemoteProtocolError(str(deviation), code=deviation.code)


def refuses_association(code: Code) -> bool:
    """Whether refusing this deviation refuses the whole association, not a context or a message."""
    return CATALOGUE[code].refusal in {Refusal.REJECT, Refusal.ABORT}
