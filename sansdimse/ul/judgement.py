"""What an acceptor thinks of a proposal: every context is judged by one list of rules.

``answer`` sends the results and ``explain`` says them in words, so that an explanation cannot
differ from what was done.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from sansdimse.deviations import Code, escaped
from sansdimse.uids import APPLICATION_CONTEXT, LONGEST, STORAGE_SERVICE_CLASS, is_valid, normal
from sansdimse.ul.agreement import (
    ABSTRACT_SYNTAX_NOT_SUPPORTED,
    ACCEPTANCE,
    DEFAULT_ROLES,
    NO_REASON,
    TRANSFER_SYNTAXES_NOT_SUPPORTED,
    USER_REJECTION,
    is_tiny,
    refuses_association,
    selected_roles,
)
from sansdimse.ul.items import AbstractSyntax, PresentationContextRQ
from sansdimse.ul.lint import lint
from sansdimse.ul.parties import TITLE, Acceptor, PresentationContext
from sansdimse.ul.pdu import AAssociateRJ, AAssociateRQ


class Cause(StrEnum):
    """The rule that decided on a context."""

    ACCEPTED = "accepted"
    ID_REPEATED = "the ID occurred before; the first counts"
    ID_ZERO = "the ID is zero"
    ID_EVEN = "the ID is even"
    ABSTRACT_SYNTAX_MISSING = "there is no abstract syntax"
    ABSTRACT_SYNTAXES_SEVERAL = "there are several abstract syntaxes"
    ABSTRACT_SYNTAX_MALFORMED = "the abstract syntax is no UID"
    TRANSFER_SYNTAX_MISSING = "there is no transfer syntax"
    ABSTRACT_SYNTAX = "the abstract syntax is not supported"
    TRANSFER_SYNTAXES = "none of the transfer syntaxes is supported"
    ROLES = "none of the roles proposed is supported"
    USER = "our user refused it"

    @property
    def result(self) -> int:
        """The Result/Reason that it is answered with (PS3.8 Table 9-18)."""
        return _RESULTS[self]

    @property
    def judges(self) -> bool:
        """Whether there was something to judge, and not only a malformed proposal."""
        return self in _JUDGED


_RESULTS: Final = {
    Cause.ACCEPTED: ACCEPTANCE,
    Cause.ID_REPEATED: NO_REASON,  # never sent: one answer an ID
    Cause.ID_ZERO: NO_REASON,
    Cause.ID_EVEN: NO_REASON,
    Cause.ABSTRACT_SYNTAX_MISSING: ABSTRACT_SYNTAX_NOT_SUPPORTED,
    Cause.ABSTRACT_SYNTAXES_SEVERAL: ABSTRACT_SYNTAX_NOT_SUPPORTED,
    Cause.ABSTRACT_SYNTAX_MALFORMED: ABSTRACT_SYNTAX_NOT_SUPPORTED,
    Cause.TRANSFER_SYNTAX_MISSING: TRANSFER_SYNTAXES_NOT_SUPPORTED,
    Cause.ABSTRACT_SYNTAX: ABSTRACT_SYNTAX_NOT_SUPPORTED,
    Cause.TRANSFER_SYNTAXES: TRANSFER_SYNTAXES_NOT_SUPPORTED,
    Cause.ROLES: USER_REJECTION,  # the table has no result of its own for roles
    Cause.USER: USER_REJECTION,
}
_JUDGED: Final = frozenset({Cause.ACCEPTED, Cause.ABSTRACT_SYNTAX, Cause.TRANSFER_SYNTAXES, Cause.ROLES, Cause.USER})


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an acceptor thinks of one proposed context."""

    context: PresentationContextRQ
    cause: Cause
    transfer_syntax: str | None = None
    """The one chosen, if accepted."""
    roles: tuple[bool, bool] | None = None
    """(SCU, SCP) granted to the requestor, if accepted and roles were proposed."""


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why an association is rejected: source and reason of PS3.8 Table 9-21, and a sentence for people."""

    source: int
    reason: int
    text: str

    @property
    def pdu(self) -> AAssociateRJ:
        """The A-ASSOCIATE-RJ, permanent: the same proposal would fare no better."""
        return AAssociateRJ(1, self.source, self.reason)


@dataclass(frozen=True, slots=True)
class Judgement:
    """What an acceptor thinks of a proposal: a verdict for each context, and whether all of it is rejected."""

    rejection: Rejection | None
    verdicts: tuple[Verdict, ...]


def judge(acceptor: Acceptor, request: AAssociateRQ, *, refuse: Collection[int] = ()) -> Judgement:
    """Apply the acceptor's rules to a proposal; total, it never raises. ``refuse`` as in ``answer``."""
    roles = selected_roles(request.role_selections)
    related = related_classes(request)
    seen: set[int] = set()
    verdicts = []
    for context in request.presentation_contexts:
        if context.context_id in seen:
            verdicts.append(Verdict(context, Cause.ID_REPEATED))
        else:
            abstract_syntax = context.abstract_syntax or ""
            offer = acceptor.offer(abstract_syntax, related.get(abstract_syntax, ()))
            verdicts.append(_judge(acceptor, context, offer, roles.get(abstract_syntax), refuse))
        seen.add(context.context_id)
    rejection = _reject_caller(acceptor, request) or _reject_contexts(acceptor, verdicts)
    return Judgement(rejection, tuple(verdicts))


def related_classes(request: AAssociateRQ) -> dict[str, tuple[str, ...]]:
    """The general SOP classes of each storage SOP class, in normal form, by the requestor's word; the last counts."""
    return {
        normal(item.sop_class_uid): tuple(map(normal, item.related_general_sop_class_uids))
        for item in request.common_extended_negotiations
        if normal(item.service_class_uid) == STORAGE_SERVICE_CLASS
    }


def _judge(
    acceptor: Acceptor,
    context: PresentationContextRQ,
    offer: PresentationContext | None,
    roles: tuple[bool, bool] | None,
    refuse: Collection[int],
) -> Verdict:
    refuses = acceptor.profile.refuses
    abstract_syntax = context.abstract_syntax or ""
    named = sum(isinstance(item, AbstractSyntax) for item in context.items)
    chosen = _choose(acceptor, offer, context.transfer_syntaxes) if offer is not None else None
    wanted = DEFAULT_ROLES if roles is None else roles
    granted = (wanted[0] and offer.scu, wanted[1] and offer.scp) if offer is not None else wanted
    zero = context.context_id == 0
    # The rules, in the order in which they are asked.
    broken = (
        (Cause.ID_ZERO, zero and refuses(Code.CONTEXT_ID_ZERO)),
        (Cause.ID_EVEN, not zero and context.context_id % 2 == 0 and refuses(Code.CONTEXT_ID_EVEN)),
        (Cause.ABSTRACT_SYNTAX_MISSING, not abstract_syntax),
        (Cause.ABSTRACT_SYNTAXES_SEVERAL, named > 1 and refuses(Code.CONTEXT_SEVERAL_ABSTRACT_SYNTAXES)),
        (Cause.ABSTRACT_SYNTAX_MALFORMED, not is_valid(abstract_syntax) and refuses(Code.UID_MALFORMED)),
        (Cause.TRANSFER_SYNTAX_MISSING, not any(context.transfer_syntaxes)),
        (Cause.ABSTRACT_SYNTAX, offer is None),
        (Cause.TRANSFER_SYNTAXES, chosen is None),
        (Cause.ROLES, any(wanted) and not any(granted)),
        (Cause.USER, context.context_id in refuse),
    )
    cause = next((cause for cause, is_broken in broken if is_broken), Cause.ACCEPTED)
    if cause is not Cause.ACCEPTED:
        return Verdict(context, cause)
    return Verdict(context, cause, chosen, granted if roles is not None else None)


def _choose(acceptor: Acceptor, offer: PresentationContext, proposed: tuple[str, ...]) -> str | None:
    wants_valid = acceptor.profile.refuses(Code.UID_MALFORMED)
    usable = [
        uid
        for uid in proposed
        if (uid in offer.transfer_syntaxes or (not offer.transfer_syntaxes and 0 < len(uid) <= LONGEST))
        and (is_valid(uid) or not wants_valid)
    ]
    return next((uid for uid in (*acceptor.prefer, *usable) if uid in usable), None)


def _reject_caller(acceptor: Acceptor, request: AAssociateRQ) -> Rejection | None:
    """What concerns the whole proposal and not its contexts."""
    called, calling = request.called_ae_title, request.calling_ae_title
    named = request.application_context
    refuses = acceptor.profile.refuses
    if not request.protocol_version & 1:  # only bit 0 is tested (PS3.8 Table 9-11)
        return Rejection(2, 2, f"protocol version {request.protocol_version:04X} has no bit for version 1")
    if named is not None and named != APPLICATION_CONTEXT and refuses(Code.APPLICATION_CONTEXT_WRONG):
        return Rejection(1, 2, f"application context {escaped(named)} is not DICOM's")
    if acceptor.require_called and called != acceptor.ae_title.strip():
        return Rejection(1, 7, f"called AE title {escaped(called)!r} is not {acceptor.ae_title.strip()!r}")
    if acceptor.allowed_calling is not None and calling not in acceptor.allowed_calling:
        return Rejection(1, 3, f"calling AE title {escaped(calling)!r} is not among those let in")
    if is_tiny(request.maximum_length):
        return Rejection(
            1, 1, f"maximum length {request.maximum_length} leaves no room for a fragment: 0, or at least 8"
        )
    for deviation in lint(request):
        if refuses(deviation.code) and refuses_association(deviation.code):
            return Rejection(*_reason(deviation.code, request), f"profile {acceptor.profile.name}: {deviation}")
    return None


def _reason(code: Code, request: AAssociateRQ) -> tuple[int, int]:
    """Source and reason (PS3.8 Table 9-21) to refuse a deviation with."""
    match code:
        case Code.APPLICATION_CONTEXT_MISSING | Code.APPLICATION_CONTEXT_REPEATED | Code.APPLICATION_CONTEXT_WRONG:
            return 1, 2
        case Code.AE_TITLE_NUL | Code.AE_TITLE_CHARACTERS | Code.AE_TITLE_BLANK:
            called = request.called_ae_title_field.decode("latin-1")
            return 1, 3 if TITLE.fullmatch(called) and called.strip() else 7
        case _:
            return 1, 1


def _reject_contexts(acceptor: Acceptor, verdicts: Sequence[Verdict]) -> Rejection | None:
    if not verdicts:
        return Rejection(1, 1, "no presentation context was proposed")
    if not any(verdict.cause.judges for verdict in verdicts):
        return Rejection(1, 1, "all presentation contexts are malformed")
    if acceptor.reject_when_none_acceptable and all(verdict.cause is not Cause.ACCEPTED for verdict in verdicts):
        return Rejection(1, 1, "no presentation context is acceptable")
    return None
