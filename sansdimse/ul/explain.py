"""Why a proposal was refused, context by context, and what would have been accepted.

``explain`` asks an acceptor's rules, before or without an association. ``explain_pair`` has only what
was on the wire, as in a capture, so it can tell the nearest acceptable change only from the answers
that other contexts got.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from sansdimse.deviations import escaped
from sansdimse.outcome import reject_reason
from sansdimse.uids import EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN, is_valid, name_of
from sansdimse.ul.agreement import (
    ABSTRACT_SYNTAX_NOT_SUPPORTED,
    ACCEPTANCE,
    DEFAULT_ROLES,
    NO_REASON,
    TRANSFER_SYNTAXES_NOT_SUPPORTED,
    USER_REJECTION,
    NegotiatedContext,
    negotiated,
    selected_roles,
)
from sansdimse.ul.judgement import Cause, Verdict, judge, related_classes
from sansdimse.ul.parties import Acceptor, PresentationContext
from sansdimse.ul.pdu import AAssociateAC, AAssociateRJ, AAssociateRQ


@dataclass(frozen=True, slots=True)
class Explanation:
    """What became of one proposed context, or of the whole association, and why. ``str()`` is a sentence."""

    context_id: int | None
    """None for the whole association, which was rejected."""
    abstract_syntax: str
    accepted: bool
    reason: str
    """The rule that decided."""
    acceptable: PresentationContext | None = None
    """The nearest proposal that would have been accepted, if one is known and this was not."""
    advice: str = ""
    """What to change, for people."""

    def __str__(self) -> str:
        if self.context_id is None:
            subject = "The association"
        else:
            subject = f"Context {self.context_id} ({escaped(self.abstract_syntax) or 'no abstract syntax'})"
        advice = f" {self.advice}." if self.advice else ""
        return f"{subject} was {'accepted' if self.accepted else 'refused'}: {self.reason}.{advice}"


def explain(request: AAssociateRQ, acceptor: Acceptor) -> tuple[Explanation, ...]:
    """What this acceptor answers to a proposal, and why; total, it never raises.

    One for the association first, if all of it is rejected; then one for each context, in order,
    judged as if it were not.
    """
    judgement = judge(acceptor, request)
    rejection = judgement.rejection
    whole = () if rejection is None else (Explanation(None, "", False, rejection.text),)
    roles, related = selected_roles(request.role_selections), related_classes(request)
    return (*whole, *(_verdict(acceptor, verdict, roles, related) for verdict in judgement.verdicts))


def _verdict(
    acceptor: Acceptor, verdict: Verdict, roles: dict[str, tuple[bool, bool]], related: dict[str, tuple[str, ...]]
) -> Explanation:
    context, cause = verdict.context, verdict.cause
    abstract_syntax = context.abstract_syntax or ""
    wanted = roles.get(abstract_syntax, DEFAULT_ROLES)
    if cause is Cause.ACCEPTED:
        reason = f"with {_names([verdict.transfer_syntax or ''])}{_trimmed(wanted, verdict.roles or wanted)}"
        return Explanation(context.context_id, abstract_syntax, True, reason)
    offer = acceptor.offer(abstract_syntax, related.get(abstract_syntax, ()))
    acceptable, advice = None, _ADVICE.get(cause, "")
    if cause is Cause.ABSTRACT_SYNTAX:
        advice = f"The acceptor has to support it: it supports {len(acceptor.supports)} others"
    elif offer is not None and cause in {Cause.TRANSFER_SYNTAXES, Cause.TRANSFER_SYNTAX_MISSING, Cause.ROLES}:
        acceptable = _nearest(acceptor, offer, wanted, context.transfer_syntaxes)
        changed = _role_names((acceptable.scu, acceptable.scp))
        advice = f"Propose {changed}" if cause is Cause.ROLES else f"Propose {_names(acceptable.transfer_syntaxes)}"
    return Explanation(context.context_id, abstract_syntax, False, str(cause), acceptable, advice)


_ADVICE: Final = {
    Cause.ID_REPEATED: "Give each context an odd ID of its own",
    Cause.ID_ZERO: "Give it an odd ID",
    Cause.ID_EVEN: "Give it an odd ID",
    Cause.ABSTRACT_SYNTAX_MISSING: "Propose an abstract syntax",
    Cause.ABSTRACT_SYNTAXES_SEVERAL: "Propose each abstract syntax in a context of its own",
    Cause.ABSTRACT_SYNTAX_MALFORMED: "Propose a UID: digits and dots, no leading zeros, at most 64 characters",
    Cause.TRANSFER_SYNTAX_MISSING: "Propose a transfer syntax",
}


def _nearest(
    acceptor: Acceptor, offer: PresentationContext, wanted: tuple[bool, bool], proposed: tuple[str, ...]
) -> PresentationContext:
    """The proposal with as little changed as the offer lets it be."""
    anything = not offer.transfer_syntaxes
    possible = offer.transfer_syntaxes or acceptor.prefer or (EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN)
    kept = tuple(uid for uid in proposed if is_valid(uid) and (anything or uid in possible))
    preferred = (*(uid for uid in acceptor.prefer if uid in possible), *possible)
    granted = (wanted[0] and offer.scu, wanted[1] and offer.scp)
    scu, scp = granted if any(granted) else (offer.scu, offer.scp)
    return PresentationContext(offer.abstract_syntax, kept or preferred, scu, scp)


def explain_pair(request: AAssociateRQ, answer: AAssociateAC | AAssociateRJ) -> tuple[Explanation, ...]:
    """What a proposal and its answer say of each other, with no more known; total, it never raises.

    For a rejection one, for the association; else one for each ID proposed.
    """
    if isinstance(answer, AAssociateRJ):
        reason = reject_reason(answer.result, answer.source, answer.reason)
        return (Explanation(None, "", False, reason),)
    contexts = negotiated(request, answer, requestor=True)
    answered = {context.context_id for context in answer.presentation_contexts}
    roles = selected_roles(request.role_selections)
    return tuple(
        _outcome(context, context.id in answered, roles.get(context.abstract_syntax, DEFAULT_ROLES), contexts)
        for context in contexts
    )


def _outcome(
    context: NegotiatedContext, answered: bool, wanted: tuple[bool, bool], contexts: Iterable[NegotiatedContext]
) -> Explanation:
    if context.transfer_syntax is not None:
        reason = f"with {_names([context.transfer_syntax])}{_trimmed(wanted, (context.as_scu, context.as_scp))}"
        return Explanation(context.id, context.abstract_syntax, True, reason)
    if not answered:
        reason = "it was not answered"
    elif context.result == ACCEPTANCE:
        reason = "it was accepted with a transfer syntax that was not proposed, so it cannot be used"
    else:
        reason = _RESULTS.get(context.result, f"the answer's result is {context.result}, which means nothing")
    acceptable, advice = None, ""
    taken = [other for other in contexts if other.transfer_syntax is not None]
    same = [other.transfer_syntax for other in taken if other.abstract_syntax == context.abstract_syntax]
    others = [other.transfer_syntax for other in taken]
    if context.result == TRANSFER_SYNTAXES_NOT_SUPPORTED and (same or others):
        syntaxes = tuple(uid for uid in dict.fromkeys(same or others) if uid is not None)
        acceptable = PresentationContext(context.abstract_syntax, syntaxes, *wanted)
        whom = "this abstract syntax" if same else "others"
        advice = f"Propose {_names(syntaxes)}, which it accepted for {whom}"
    elif context.result == ABSTRACT_SYNTAX_NOT_SUPPORTED:
        advice = "The acceptor has to be configured for it"
    return Explanation(context.id, context.abstract_syntax, False, reason, acceptable, advice)


_RESULTS: Final = {
    USER_REJECTION: "the acceptor's user refused it",
    NO_REASON: "the acceptor gave no reason",
    ABSTRACT_SYNTAX_NOT_SUPPORTED: "the acceptor does not support the abstract syntax",
    TRANSFER_SYNTAXES_NOT_SUPPORTED: "the acceptor supports none of the transfer syntaxes",
}


def _names(transfer_syntaxes: Iterable[str]) -> str:
    return " or ".join(escaped(name_of(uid), 128) for uid in transfer_syntaxes)


def _role_names(roles: tuple[bool, bool]) -> str:
    return {(True, True): "both roles", (True, False): "the SCU role", (False, True): "the SCP role"}.get(
        roles, "no role"
    )


def _trimmed(wanted: tuple[bool, bool], granted: tuple[bool, bool]) -> str:
    """What to add about roles when not all that were wanted were granted."""
    return "" if granted == wanted else f"; of {_role_names(wanted)} the requestor got {_role_names(granted)}"
