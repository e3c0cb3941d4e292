"""What in one PDU departs from the standard, as far as it can be seen there or in an answer and its request.

Pure and without an opinion: a ``Profile`` says what to do about a deviation. What the standard says
shall not be tested (the content of a refused context, the titles of an A-ASSOCIATE-AC) is either not
looked at or reported under a code that no profile can refuse.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Final

from sansdimse.deviations import Code, Deviation, escaped
from sansdimse.uids import APPLICATION_CONTEXT, is_valid, normal
from sansdimse.ul.item_decoding import KNOWN_ITEM_TYPES
from sansdimse.ul.items import (
    LEAST_MAXIMUM_LENGTH,
    AbstractSyntax,
    ApplicationContext,
    AsynchronousOperationsWindow,
    CommonExtendedNegotiation,
    ExtendedNegotiation,
    ImplementationClassUID,
    ImplementationVersionName,
    Item,
    PresentationContextAC,
    PresentationContextRQ,
    RoleSelection,
    TransferSyntax,
    UnknownItem,
    UserInformation,
)
from sansdimse.ul.pdu import AAbort, AAssociateAC, AAssociateRJ, AAssociateRQ, AReleaseRP, AReleaseRQ, PDataTF, Pdu

MOST_OF_A_CODE: Final = 16
"""Most entries with one code: 1 MiB of bad items must not become a list of 200,000. One more says how many more."""

# Which item types belong where (PS3.8 9.3.2, 9.3.3; PS3.7 D.3.3).
_IN_RQ: Final = frozenset({0x10, 0x20, 0x50})
_IN_AC: Final = frozenset({0x10, 0x21, 0x50})
_IN_CONTEXT_RQ: Final = frozenset({0x30, 0x40})
_IN_CONTEXT_AC: Final = frozenset({0x40})
_IN_USER_INFORMATION_RQ: Final = frozenset(range(0x51, 0x59))
_IN_USER_INFORMATION_AC: Final = frozenset({0x51, 0x52, 0x53, 0x54, 0x55, 0x56, 0x59})
_ONCE: Final = frozenset(range(0x51, 0x5A))  # 54H, 56H and 57H once for each SOP class

# PS3.8 Tables 9-21 and 9-26, without the values kept reserved.
_REJECT_RESULTS: Final = frozenset({1, 2})
_REJECT_REASONS: Final = {1: frozenset({1, 2, 3, 7}), 2: frozenset({1, 2}), 3: frozenset({1, 2})}
_ABORT_REASONS: Final = frozenset({0, 1, 2, 4, 5, 6})


def lint(pdu: Pdu, request: AAssociateRQ | None = None) -> list[Deviation]:
    """Every deviation in ``pdu``, each once, in the order seen; an answer is held against its ``request``.

    A code has at most ``MOST_OF_A_CODE`` entries, and one that counts the others.
    """
    found: dict[Deviation, None] = {}
    counts: Counter[Code] = Counter()
    for deviation in _deviations(pdu, request):
        if deviation not in found:
            counts[deviation.code] += 1
            if counts[deviation.code] <= MOST_OF_A_CODE:
                found[deviation] = None
    more = (Deviation(code, f"and {n - MOST_OF_A_CODE} more") for code, n in counts.items() if n > MOST_OF_A_CODE)
    return [*found, *more]


def _deviations(pdu: Pdu, request: AAssociateRQ | None) -> Iterator[Deviation]:
    if pdu.reserved:
        yield _reserved("byte 2")
    if isinstance(pdu, AAssociateRQ):
        yield from _common(pdu, _IN_RQ)
        yield from _title(pdu.called_ae_title_field, "called")
        yield from _title(pdu.calling_ae_title_field, "calling")
        if any(pdu.reserved_43_74):
            yield _reserved("bytes 43 to 74")
        yield from _proposals(pdu)
        yield from _user_information(pdu, _IN_USER_INFORMATION_RQ)
        yield from _proposed_roles(pdu)
    elif isinstance(pdu, AAssociateAC):
        yield from _common(pdu, _IN_AC)
        yield from _answers(pdu, request)
        yield from _user_information(pdu, _IN_USER_INFORMATION_AC)
        if request is not None:
            yield from _against(pdu, request)
    elif isinstance(pdu, AAssociateRJ):
        yield from _reject(pdu)
    elif isinstance(pdu, PDataTF):
        for pdv in pdu.pdvs:
            if pdv.control & 0xFC:  # PS3.8 E.2: sent as 0, not checked
                yield _reserved(f"control header {pdv.control:02X}H")
    elif isinstance(pdu, AAbort):
        yield from _abort(pdu)
    else:
        yield from _release(pdu)


def _reserved(where: str) -> Deviation:
    return Deviation(Code.RESERVED_NOT_ZERO, where)


def _uid(uid: str) -> Iterator[Deviation]:
    if normal(uid) != uid:
        yield Deviation(Code.UID_PADDED, escaped(uid))
    if not is_valid(normal(uid)):
        yield Deviation(Code.UID_MALFORMED, escaped(uid))


def _g0(text: str) -> bool:
    """Whether all characters are of ISO 646's basic G0 set, as names of PS3.7 and PS3.8 are."""
    return text.isascii() and text.isprintable()


# ------------------------------------------------------------ A-ASSOCIATE-RQ and -AC


def _common(pdu: AAssociateRQ | AAssociateAC, allowed: frozenset[int]) -> Iterator[Deviation]:
    """The fixed fields and top level of both (PS3.8 Tables 9-11 and 9-17)."""
    version = pdu.protocol_version
    if not version & 1:
        yield Deviation(Code.PROTOCOL_VERSION_UNSUPPORTED, f"{version:04X}")
    elif version != 1:
        yield Deviation(Code.PROTOCOL_VERSION_BITS, f"{version:04X}")
    if any(pdu.reserved_9_10):
        yield _reserved("bytes 9 and 10")
    if pdu.trailing:
        yield Deviation(Code.TRAILING_BYTES, pdu.trailing.hex(" "))
    yield from _places(pdu.items, allowed, "the PDU")
    yield from _order(pdu.items, "the PDU")
    names = [item.name for item in pdu.items if isinstance(item, ApplicationContext)]
    for name in names:
        yield from _uid(name)
    if not names:
        yield Deviation(Code.APPLICATION_CONTEXT_MISSING)
    elif normal(names[0]) != APPLICATION_CONTEXT:
        yield Deviation(Code.APPLICATION_CONTEXT_WRONG, escaped(names[0]))
    if len(names) > 1:
        yield Deviation(Code.APPLICATION_CONTEXT_REPEATED, f"{len(names)} times")


def _places(items: Iterable[Item], allowed: frozenset[int], where: str) -> Iterator[Deviation]:
    """Unknown and misplaced items, and the items' reserved bytes."""
    for item in items:
        if item.item_type not in KNOWN_ITEM_TYPES:
            yield Deviation(Code.ITEM_UNKNOWN, f"{item.item_type:02X}H in {where}")
        elif item.item_type not in allowed:
            yield Deviation(Code.ITEM_MISPLACED, f"{item.item_type:02X}H in {where}")
        if not isinstance(item, CommonExtendedNegotiation | UnknownItem) and item.reserved:
            yield _reserved(f"byte 2 of {item.item_type:02X}H in {where}")


def _order(items: tuple[Item, ...], where: str) -> Iterator[Deviation]:
    for before, after in pairwise(items):
        if after.item_type < before.item_type:
            yield Deviation(Code.ITEM_ORDER, f"{after.item_type:02X}H after {before.item_type:02X}H in {where}")


def _title(field: bytes, which: str) -> Iterator[Deviation]:
    title = field.strip(b" \0")
    if title != field.strip(b" "):
        yield Deviation(Code.AE_TITLE_NUL, f"{which} {escaped(field)}")
    if not title:
        yield Deviation(Code.AE_TITLE_BLANK, which)
    elif not _g0(title.decode("latin-1")) or b"\\" in title:
        yield Deviation(Code.AE_TITLE_CHARACTERS, f"{which} {escaped(field)}")


def _proposals(pdu: AAssociateRQ) -> Iterator[Deviation]:
    """The presentation contexts of a request (PS3.8 9.3.2.2)."""
    contexts = pdu.presentation_contexts
    if not contexts:
        yield Deviation(Code.NO_CONTEXTS)
    yield from _context_ids(contexts)
    for context in contexts:
        where = f"context {context.context_id}"
        if any(context.reserved_fields):
            yield _reserved(f"bytes 6 to 8 of {where}")
        yield from _places(context.items, _IN_CONTEXT_RQ, where)
        yield from _order(context.items, where)
        abstract_syntaxes = sum(isinstance(item, AbstractSyntax) for item in context.items)
        if not abstract_syntaxes:
            yield Deviation(Code.CONTEXT_WITHOUT_ABSTRACT_SYNTAX, where)
        elif abstract_syntaxes > 1:
            yield Deviation(Code.CONTEXT_SEVERAL_ABSTRACT_SYNTAXES, where)
        if not context.transfer_syntaxes:
            yield Deviation(Code.CONTEXT_WITHOUT_TRANSFER_SYNTAX, where)
        yield from _syntaxes(context.items)


def _context_ids(contexts: Iterable[PresentationContextRQ | PresentationContextAC]) -> Iterator[Deviation]:
    seen = set()
    for context in contexts:
        context_id = context.context_id
        if context_id == 0:
            yield Deviation(Code.CONTEXT_ID_ZERO)
        elif context_id % 2 == 0:
            yield Deviation(Code.CONTEXT_ID_EVEN, f"context {context_id}")
        if context_id in seen:
            yield Deviation(Code.CONTEXT_ID_REPEATED, f"context {context_id}")
        seen.add(context_id)


def _syntaxes(items: Iterable[Item]) -> Iterator[Deviation]:
    for item in items:
        if isinstance(item, AbstractSyntax | TransferSyntax):
            yield from _uid(item.uid)


def _answers(pdu: AAssociateAC, request: AAssociateRQ | None) -> Iterator[Deviation]:
    """The presentation contexts of an answer (PS3.8 9.3.3.2, Table 9-18)."""
    contexts = pdu.presentation_contexts
    # An answer has the IDs of the request: what is wrong with those is the requestor's.
    for deviation in _context_ids(contexts):
        if request is None or deviation.code is Code.CONTEXT_ID_REPEATED:
            yield deviation
    for context in contexts:
        where = f"context {context.context_id}"
        if any(context.reserved_fields):
            yield _reserved(f"bytes 6 and 8 of {where}")
        if context.result > 4:
            yield Deviation(Code.AC_CONTEXT_RESULT, f"{where}: {context.result}")
        if context.result != 0:
            # The content of a context that was not accepted is not significant and not tested.
            if context.transfer_syntax is None:
                yield Deviation(Code.AC_TRANSFER_SYNTAX_MISSING, where)
            continue
        yield from _places(context.items, _IN_CONTEXT_AC, where)
        yield from _syntaxes(context.items)
        if context.transfer_syntax is None:
            yield Deviation(Code.AC_TRANSFER_SYNTAX_UNPROPOSED, f"{where}: none")
        if len(context.transfer_syntaxes) > 1:
            yield Deviation(Code.AC_TRANSFER_SYNTAXES_SEVERAL, where)


def _user_information(pdu: AAssociateRQ | AAssociateAC, allowed: frozenset[int]) -> Iterator[Deviation]:
    """User information and its sub-items, whose order is free (PS3.8 9.3.2.3; PS3.7 D.3.3)."""
    times = sum(isinstance(item, UserInformation) for item in pdu.items)
    if not times:
        yield Deviation(Code.USER_INFORMATION_MISSING)
    elif times > 1:
        yield Deviation(Code.USER_INFORMATION_REPEATED, f"{times} times")
    if pdu.maximum_length is None:
        yield Deviation(Code.MAXIMUM_LENGTH_MISSING)
    elif 0 < pdu.maximum_length < LEAST_MAXIMUM_LENGTH:
        yield Deviation(Code.MAXIMUM_LENGTH_TINY, str(pdu.maximum_length))
    if pdu.implementation_class_uid is None:
        yield Deviation(Code.IMPLEMENTATION_UID_MISSING)
    yield from _places(pdu.user_information, allowed, "user information")
    seen = set()
    for item in pdu.user_information:
        if isinstance(item, RoleSelection | ExtendedNegotiation | CommonExtendedNegotiation):
            key = (item.item_type, normal(item.sop_class_uid))
        else:
            key = (item.item_type, "")
        if key in seen and item.item_type in _ONCE:
            code = Code.ROLE_REPEATED if isinstance(item, RoleSelection) else Code.ITEM_REPEATED
            yield Deviation(code, f"{item.item_type:02X}H {escaped(key[1])}".rstrip())
        seen.add(key)
        yield from _sub_item(item)


def _sub_item(item: Item) -> Iterator[Deviation]:
    if isinstance(item, ImplementationClassUID):
        yield from _uid(item.uid)
    elif isinstance(item, ImplementationVersionName):
        if not 1 <= len(item.name) <= 16 or not _g0(item.name):
            yield Deviation(Code.VERSION_NAME_MALFORMED, escaped(item.name))
    elif isinstance(item, RoleSelection):
        yield from _uid(item.sop_class_uid)
        if not item.scu_role and not item.scp_role:
            yield Deviation(Code.ROLE_NONE, escaped(item.sop_class_uid))
    elif isinstance(item, ExtendedNegotiation):
        yield from _uid(item.sop_class_uid)
    elif isinstance(item, CommonExtendedNegotiation):
        for uid in (item.sop_class_uid, item.service_class_uid, *item.related_general_sop_class_uids):
            yield from _uid(uid)
        if item.trailing and item.version == 0:
            yield _reserved("end of 57H in user information")


def _proposed_roles(pdu: AAssociateRQ) -> Iterator[Deviation]:
    proposed = {context.abstract_syntax for context in pdu.presentation_contexts}
    for role in pdu.role_selections:
        if normal(role.sop_class_uid) not in proposed:
            yield Deviation(Code.ROLE_UNPROPOSED, escaped(role.sop_class_uid))


# ------------------------------------------------------------ an answer against its request


def _against(pdu: AAssociateAC, request: AAssociateRQ) -> Iterator[Deviation]:
    for name in ("called_ae_title_field", "calling_ae_title_field", "reserved_43_74"):
        answered: bytes = getattr(pdu, name)
        if answered != getattr(request, name):
            yield Deviation(Code.AC_TITLES_DIFFER, f"{name}: {escaped(answered)}")
    yield from _contexts_against(pdu, request)
    yield from _window_against(pdu.asynchronous_operations_window, request.asynchronous_operations_window)
    roles = {normal(role.sop_class_uid): role for role in request.role_selections}
    for answer in pdu.role_selections:
        role = roles.get(normal(answer.sop_class_uid))
        if role is None or (answer.scu_role and not role.scu_role) or (answer.scp_role and not role.scp_role):
            yield Deviation(Code.ROLE_UNPROPOSED, escaped(answer.sop_class_uid))
    extended = {normal(item.sop_class_uid) for item in request.extended_negotiations}
    for negotiation in pdu.extended_negotiations:
        if normal(negotiation.sop_class_uid) not in extended:
            yield Deviation(Code.EXTENDED_UNPROPOSED, escaped(negotiation.sop_class_uid))
    identity = request.user_identity
    if pdu.user_identity is not None and (identity is None or not identity.positive_response_requested):
        yield Deviation(Code.IDENTITY_UNREQUESTED)


def _contexts_against(pdu: AAssociateAC, request: AAssociateRQ) -> Iterator[Deviation]:
    # Of a repeated ID, the first counts.
    proposals = {
        context.context_id: frozenset(context.transfer_syntaxes) for context in reversed(request.presentation_contexts)
    }
    for context in pdu.presentation_contexts:
        proposal = proposals.get(context.context_id)
        where = f"context {context.context_id}"
        if proposal is None:
            yield Deviation(Code.AC_CONTEXT_UNPROPOSED, where)
        elif context.result == 0:
            syntax = context.transfer_syntax
            if syntax is not None and syntax not in proposal:
                yield Deviation(Code.AC_TRANSFER_SYNTAX_UNPROPOSED, f"{where}: {escaped(syntax)}")
    answered = {context.context_id for context in pdu.presentation_contexts}
    for context_id in sorted(proposals.keys() - answered):
        yield Deviation(Code.AC_CONTEXT_MISSING, f"context {context_id}")


def _window_against(
    answer: AsynchronousOperationsWindow | None, offer: AsynchronousOperationsWindow | None
) -> Iterator[Deviation]:
    if answer is None:
        return
    if offer is None:
        yield Deviation(Code.WINDOW_UNPROPOSED, f"{answer.invoked}, {answer.performed}")
        return
    for name, answered, offered in (
        ("invoked", answer.invoked, offer.invoked),
        ("performed", answer.performed, offer.performed),
    ):
        # 0 is no limit: as an offer above every answer, as an answer above every other offer.
        if offered and not 0 < answered <= offered:
            yield Deviation(Code.WINDOW_ABOVE_OFFER, f"{name}: {answered} of {offered}")


# ------------------------------------------------------------ the short PDUs


def _reject(pdu: AAssociateRJ) -> Iterator[Deviation]:
    if pdu.reserved_7:
        yield _reserved("byte 7")
    if pdu.trailing:
        yield Deviation(Code.PDU_LENGTH_NOT_FOUR, str(4 + len(pdu.trailing)))
    if pdu.result not in _REJECT_RESULTS or pdu.reason not in _REJECT_REASONS.get(pdu.source, ()):
        yield Deviation(Code.REJECT_CODES, f"result {pdu.result}, source {pdu.source}, reason {pdu.reason}")


def _release(pdu: AReleaseRQ | AReleaseRP) -> Iterator[Deviation]:
    if len(pdu.body) != 4:
        yield Deviation(Code.PDU_LENGTH_NOT_FOUR, str(len(pdu.body)))
    if any(pdu.body):
        yield _reserved("bytes 7 to 10")


def _abort(pdu: AAbort) -> Iterator[Deviation]:
    if pdu.missing or pdu.trailing:
        yield Deviation(Code.PDU_LENGTH_NOT_FOUR, str(4 - pdu.missing + len(pdu.trailing)))
    if any(pdu.reserved_7_8):
        yield _reserved("bytes 7 and 8")
    # The reason of an abort by the service-user is not significant (Table 9-26).
    if pdu.source not in (0, 2) or (pdu.source == 2 and pdu.reason not in _ABORT_REASONS):
        yield Deviation(Code.ABORT_CODES, f"source {pdu.source}, reason {pdu.reason}")
