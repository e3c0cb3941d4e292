"""Hypothesis strategies over every value that the items and PDUs of PS3.8 can hold."""

from __future__ import annotations

from hypothesis import strategies as st

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
    PresentationContextAC,
    PresentationContextRQ,
    RoleSelection,
    TransferSyntax,
    UnknownItem,
    UserIdentityAC,
    UserIdentityRQ,
    UserInformation,
)
from sansdimse.ul.pdu import PDV, AAbort, AAssociateAC, AAssociateRJ, AAssociateRQ, AReleaseRP, AReleaseRQ, PDataTF, Pdu

KNOWN = frozenset({0x10, 0x20, 0x21, 0x30, 0x40, 0x50, *range(0x51, 0x5A)})
CONTAINERS = frozenset({0x20, 0x21, 0x50})

u8 = st.integers(0, 0xFF)
u16 = st.integers(0, 0xFFFF)
u32 = st.integers(0, 0xFFFFFFFF)
raw = st.binary(max_size=12)
text = st.text(st.characters(max_codepoint=0xFF), max_size=12) | st.sampled_from(
    ["1.2.840.10008.1.1", "1.2.840.10008.1.2\0", "1.2.840.10008.3.1.1.1"]
)


def fixed(size: int) -> st.SearchStrategy[bytes]:
    """Exactly this many bytes."""
    return st.binary(min_size=size, max_size=size)


def _unknown(known: frozenset[int]) -> st.SearchStrategy[Item]:
    return st.builds(UnknownItem, u8.filter(lambda item_type: item_type not in known), raw, u8)


_leaves: list[st.SearchStrategy[Item]] = [
    st.builds(ApplicationContext, text, u8),
    st.builds(AbstractSyntax, text, u8),
    st.builds(TransferSyntax, text, u8),
    st.builds(MaximumLength, u32, u8),
    st.builds(ImplementationClassUID, text, u8),
    st.builds(AsynchronousOperationsWindow, u16, u16, u8),
    st.builds(RoleSelection, text, u8, u8, u8),
    st.builds(ImplementationVersionName, text, u8),
    st.builds(ExtendedNegotiation, text, raw, u8),
    st.builds(CommonExtendedNegotiation, text, text, st.lists(text, max_size=3).map(tuple), u8, raw),
    st.builds(UserIdentityRQ, u8, raw, raw, u8, u8),
    st.builds(UserIdentityAC, raw, u8),
]

sub_items = st.one_of(*_leaves, _unknown(KNOWN - CONTAINERS))
_nested = st.lists(sub_items, max_size=4).map(tuple)

top_items = st.one_of(
    st.builds(PresentationContextRQ, u8, _nested, u8, fixed(3)),
    st.builds(PresentationContextAC, u8, u8, _nested, u8, fixed(2)),
    st.builds(UserInformation, _nested, u8),
    *_leaves,
    _unknown(KNOWN),
)

_title = fixed(16) | st.just(b"ANY-SCP         ")
_associate = (_title, _title, st.lists(top_items, max_size=5).map(tuple), u16, u8, fixed(2), fixed(32))
_few = st.binary(max_size=3)

requests = st.builds(AAssociateRQ, *_associate, _few)
answers = st.builds(AAssociateAC, *_associate, _few)
_whole_aborts = st.builds(AAbort, u8, u8, u8, fixed(2), raw)
_short_aborts = st.sampled_from([AAbort(missing=1), AAbort(7, 0, 1, b"ab", missing=1), AAbort(missing=4)])

pdus: st.SearchStrategy[Pdu] = st.one_of(
    requests,
    answers,
    st.builds(AAssociateRJ, u8, u8, u8, u8, u8, raw),
    st.builds(PDataTF, st.lists(st.builds(PDV, u8, u8, raw), min_size=1, max_size=4).map(tuple), u8),
    st.builds(AReleaseRQ, u8, raw),
    st.builds(AReleaseRP, u8, raw),
    _whole_aborts,
    _short_aborts,
)
