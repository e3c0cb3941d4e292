"""Which presentation contexts to propose for what one has to send or get (PS3.8 7.1.1.13, PS3.5 10).

An acceptor picks one transfer syntax of each context. So what must travel as it is, the compressed,
deflated or big endian, gets a context of its own, where nothing else can be picked; the two little
endian uncompressed syntaxes share one, since either can be made from the other. Many transfer
syntaxes in one context are never proposed: there are peers that drop such a request.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from sansdimse.uids import (
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    JPEG_LOSSLESS,
    JPEG_LOSSLESS_SV1,
    is_lossy,
)
from sansdimse.ul.parties import MOST_CONTEXTS, PresentationContext

Need = str | tuple[str, str] | PresentationContext
"""A SOP class; an instance, as the UIDs of its SOP class and transfer syntax; or a context with roles."""

_SHARED: Final = (EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN)
# Process 14 and the retired lossless processes of PS3.5 10.2, all but the default one.
_JPEG_LOSSLESS: Final = frozenset({JPEG_LOSSLESS, *(f"1.2.840.10008.1.2.4.{tail}" for tail in (58, 65, 66))})


@dataclass(frozen=True, slots=True)
class Plan:
    """What to propose: the contexts of one association, or of several where one does not hold them."""

    associations: tuple[tuple[PresentationContext, ...], ...]
    left_out: tuple[Need, ...] = ()
    """Needs that found no room, in the order given; only a plan for C-GET leaves any out."""

    def association_for(self, sop_class: str, transfer_syntax: str) -> int | None:
        """The index of the association that proposes to carry such an instance as it is; None if none does."""
        for index, contexts in enumerate(self.associations):
            for context in contexts:
                if context.abstract_syntax == sop_class and transfer_syntax in context.transfer_syntaxes:
                    return index
        return None


def plan(needs: Iterable[Need], *, only_lossy: bool = False, too_long: Collection[str] = ()) -> Plan:
    """The contexts for all needs, in as few associations as their order and 128 contexts each allow.

    For each SOP class, in the order first needed: Explicit and Implicit VR Little Endian in one context
    (the one that its instances have comes first), then each other transfer syntax in its own, then the
    default lossless JPEG where another lossless JPEG is proposed (PS3.5 10.2). Contexts of a SOP class
    stay in one association, where it can carry every instance of the class.

    PS3.5 10.1 asks for Implicit VR Little Endian with every abstract syntax, and waives it for senders
    that hold nothing but lossy data (``only_lossy``: what is needed tells for which SOP classes that is
    so), or lossless data too long to send uncompressed (``too_long``: those SOP classes).
    """
    groups = [_group(needed, only_lossy, too_long) for needed in _by_class(needs)]
    associations: list[list[PresentationContext]] = []
    for group in groups:
        for part in _parts(group):
            room = next((each for each in associations if len(each) + len(part) <= MOST_CONTEXTS), None)
            if room is None:
                associations.append(list(part))
            else:
                room.extend(part)
    return Plan(tuple(map(tuple, associations)))


def plan_get(get_sop_class: str, storage: Sequence[Need]) -> Plan:
    """The contexts of one C-GET: its own, and 127 to receive by, since all must be in one association.

    ``storage`` is ranked, what matters most first. A SOP class brings its uncompressed context with it
    (PS3.5 10.1), an instance compressed otherwise that one and its own. What finds no room is left out,
    and told. The requestor proposes to be SCP of each storage SOP class (PS3.4 C.5.3).
    """
    contexts: dict[tuple[str, tuple[str, ...]], PresentationContext] = {}
    left_out: list[Need] = []
    for need in storage:
        needed = _as_context(need)
        group = _group(needed, False, ())
        wanted = {
            (each.abstract_syntax, tuple(sorted(each.transfer_syntaxes))): replace(each, scu=False, scp=True)
            for each in group
        }
        missing = {key: each for key, each in wanted.items() if key not in contexts}
        if len(contexts) + len(missing) <= MOST_CONTEXTS - 1:
            contexts |= missing
        else:
            left_out.append(need)
    own = PresentationContext(get_sop_class)
    return Plan(((own, *contexts.values()),), tuple(left_out))


def _as_context(need: Need) -> PresentationContext:
    if isinstance(need, PresentationContext):
        return need
    if isinstance(need, str):
        return PresentationContext(need)
    sop_class, transfer_syntax = need
    return PresentationContext(sop_class, (transfer_syntax,))


def _by_class(needs: Iterable[Need]) -> Iterable[PresentationContext]:
    """All that is needed of each SOP class in one (overfull) context, in the order first needed."""
    needed: dict[str, PresentationContext] = {}
    for each in map(_as_context, needs):
        other = needed.get(each.abstract_syntax)
        needed[each.abstract_syntax] = (
            each
            if other is None
            else PresentationContext(
                each.abstract_syntax,
                other.transfer_syntaxes + each.transfer_syntaxes,
                other.scu or each.scu,
                other.scp or each.scp,
            )
        )
    return needed.values()


def _group(needed: PresentationContext, only_lossy: bool, too_long: Collection[str]) -> list[PresentationContext]:
    """The contexts to propose for what is needed of one SOP class, the shared one first."""
    asked = needed.transfer_syntaxes
    shared = tuple(uid for uid in asked if uid in _SHARED)
    apart = [uid for uid in asked if uid not in _SHARED]
    all_lossy = only_lossy and all(map(is_lossy, apart))
    waived = bool(apart) and not shared and (all_lossy or needed.abstract_syntax in too_long)
    if _JPEG_LOSSLESS.intersection(apart) and JPEG_LOSSLESS_SV1 not in apart:
        apart.append(JPEG_LOSSLESS_SV1)
    contexts = [replace(needed, transfer_syntaxes=(uid,)) for uid in apart]
    if not waived:
        contexts.insert(0, replace(needed, transfer_syntaxes=shared + _SHARED))
    return contexts


def _parts(group: list[PresentationContext]) -> Iterable[list[PresentationContext]]:
    """A group that fits an association as it is; else cut, each part with the shared context if there is one."""
    if len(group) <= MOST_CONTEXTS:
        yield group
        return
    common = [each for each in group[:1] if IMPLICIT_VR_LITTLE_ENDIAN in each.transfer_syntaxes]
    rest = group[len(common) :]
    size = MOST_CONTEXTS - len(common)
    for start in range(0, len(rest), size):
        yield common + rest[start : start + size]
