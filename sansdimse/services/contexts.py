"""Which presentation context to invoke an operation on, and why there is none (PS3.8 7.1.1.13, PS3.7 D.3.3.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sansdimse.errors import LocalProtocolError
from sansdimse.services.action_types import action_types, event_types
from sansdimse.services.sop_classes import STANDARD, Fit, SopClasses

if TYPE_CHECKING:
    from sansdimse.ul.agreement import Agreement, NegotiatedContext


def context_for(
    agreement: Agreement,
    abstract_syntax: str,
    transfer_syntax: str | None = None,
    *,
    context_id: int | None = None,
    role: str = "SCU",
    sop_classes: SopClasses = STANDARD,
    service: str | None = None,
    type_id: int | None = None,
) -> NegotiatedContext:
    """The accepted context to invoke this on, in which we have the role: the first, or the one the caller names.

    One of the SOP class itself comes before one that carries its messages too: of a Meta SOP class (PS3.7 D.1.2), or
    of another Unified Procedure Step SOP class (PS3.4 CC.3.1.1). Raises ``LocalProtocolError`` if there is none, and
    says why and what could be invoked.
    """
    if context_id is not None:
        context = agreement.by_id.get(context_id)
        if context is None or not context.accepted:
            raise LocalProtocolError(f"presentation context {context_id} was not accepted")
        if transfer_syntax not in (None, context.transfer_syntax):
            raise LocalProtocolError(f"context {context_id} is for {context.transfer_syntax}, not {transfer_syntax}")
        if not _has(context, role):
            raise LocalProtocolError(_not_ours(role, sop_classes.name_of(context.abstract_syntax)))
        return context
    accepted = [c for c in agreement.accepted if c.abstract_syntax == abstract_syntax]
    carriers = [c for c in agreement.accepted if sop_classes.fit(c.abstract_syntax, abstract_syntax) is Fit.MEMBER]
    accepted += carriers
    # Of several, one whose SOP class has the service: UPS Push is named on the contexts of them all (PS3.4 CC.3.1.1).
    usable = sorted(
        (c for c in accepted if _has(c, role)),
        key=lambda c: not _carries(c.abstract_syntax, sop_classes, service, type_id),
    )
    for context in usable:
        if transfer_syntax in (None, context.transfer_syntax):
            return context
    raise LocalProtocolError(
        _no_context(agreement, abstract_syntax, transfer_syntax, accepted, usable, role, sop_classes)
    )


def _carries(uid: str, sop_classes: SopClasses, service: str | None, type_id: int | None) -> bool:
    """Whether a context of this SOP class is for this service, and this type of action or event."""
    if service is None or sop_classes.get(uid) is None or sop_classes.is_meta(uid):
        return True
    types = event_types(uid) if service == "N-EVENT-REPORT" else action_types(uid)
    return sop_classes.serves(uid, service) and (type_id is None or not types or type_id in types)


def _has(context: NegotiatedContext, role: str) -> bool:
    return context.as_scu if role == "SCU" else context.as_scp


def _not_ours(role: str, name: str) -> str:
    return f"we are not the {role} of {name} here: the roles say so (PS3.7 D.3.3.4)"


def _no_context(
    agreement: Agreement,
    abstract_syntax: str,
    transfer_syntax: str | None,
    accepted: list[NegotiatedContext],
    usable: list[NegotiatedContext],
    role: str,
    sop_classes: SopClasses,
) -> str:
    """Why nothing can be invoked for this SOP class, and what could."""
    name = sop_classes.name_of(abstract_syntax)
    if usable:
        would_do = ", ".join(STANDARD.name_of(c.transfer_syntax or "") for c in usable)
        wanted = STANDARD.name_of(transfer_syntax or "")
        return f"no context for {name} in {wanted} was accepted; these transfer syntaxes would do: {would_do}"
    if accepted:
        return _not_ours(role, name)
    refused = [c for c in agreement.contexts if c.abstract_syntax == abstract_syntax]
    if refused:
        return f"the peer refused every context for {name}, with result {refused[0].result} (PS3.8 Table 9-18)"
    return f"no context for {name} was proposed"
