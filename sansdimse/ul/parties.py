"""Who takes part in a negotiation, and by what rules: the values given to ``propose`` and ``answer``."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field, replace
from enum import Enum
from typing import Final, Protocol

from sansdimse.errors import LocalProtocolError
from sansdimse.limits import Limits
from sansdimse.profile import DEFAULT, Profile
from sansdimse.uids import (
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLEMENTATION_CLASS_UID,
    IMPLEMENTATION_VERSION_NAME,
    IMPLICIT_VR_LITTLE_ENDIAN,
    LONGEST,
    is_valid,
)
from sansdimse.ul.items import (
    LEAST_MAXIMUM_LENGTH,
    AsynchronousOperationsWindow,
    CommonExtendedNegotiation,
    ExtendedNegotiation,
    UserIdentityRQ,
)

MAXIMUM_LENGTH: Final = 128 * 1024
"""Bytes of a P-DATA-TF that we take by default: DCMTK sends 1.7 times faster to it than to 16 KiB."""

MOST_CONTEXTS: Final = 128
"""The odd numbers from 1 to 255 (PS3.8 9.3.2.2)."""

MOST_TRANSFER_SYNTAXES: Final = 50
"""In one context: DCMTK and Orthanc drop proposals with many more, and nobody needs them."""


@dataclass(frozen=True, slots=True)
class PresentationContext:
    """An abstract syntax with transfer syntaxes: what one proposes, or what one supports (PS3.8 7.1.1.13).

    The roles are those of the association-requestor, on either side: ``scp=True`` lets the one who
    opens the association be asked to perform, as in C-GET (PS3.7 D.3.3.4). In what an acceptor
    supports, no transfer syntaxes means any.
    """

    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...] = (EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN)
    scu: bool = True
    scp: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "transfer_syntaxes", tuple(dict.fromkeys(self.transfer_syntaxes)))


def _contexts(given: Iterable[PresentationContext | str]) -> tuple[PresentationContext, ...]:
    return tuple(PresentationContext(each) if isinstance(each, str) else each for each in given)


class WhenIdle(Enum):
    """What becomes of an association on which nothing happened for ``Limits.idle``."""

    ABORT = "abort"
    """A-ABORT by the engine itself, as of any other deadline."""
    RELEASE = "release"
    """A-RELEASE: some archives hold a study complete only then. The engine tells, a ``Session`` asks for it."""
    ECHO = "echo"
    """C-ECHO, to keep firewalls and the peer awake; where we are no SCU of Verification, A-RELEASE."""


@dataclass(frozen=True, slots=True)
class Requestor:
    """Who opens an association, and what it proposes. A string is an abstract syntax with both uncompressed syntaxes.

    Whether it can be proposed is seen in ``propose``.
    """

    calling: str
    called: str
    contexts: Sequence[PresentationContext | str]
    _: KW_ONLY
    maximum_length: int = MAXIMUM_LENGTH
    """Longest P-DATA-TF body we take, in bytes; 0 is unlimited."""
    window: AsynchronousOperationsWindow | None = None
    """None proposes none: one outstanding request each way (PS3.7 D.3.3.3)."""
    extended: tuple[ExtendedNegotiation, ...] = ()
    common_extended: tuple[CommonExtendedNegotiation, ...] = ()
    user_identity: UserIdentityRQ | None = None
    implementation_class_uid: str = IMPLEMENTATION_CLASS_UID
    implementation_version_name: str = IMPLEMENTATION_VERSION_NAME
    when_idle: WhenIdle = WhenIdle.ABORT
    limits: Limits = field(default_factory=Limits)
    profile: Profile = DEFAULT

    def __post_init__(self) -> None:
        object.__setattr__(self, "contexts", _contexts(self.contexts))

    @property
    def presentation_contexts(self) -> tuple[PresentationContext, ...]:
        """``contexts``, each in full."""
        return _contexts(self.contexts)


class Answering(Protocol):
    """A value that knows how its service class answers, as those of ``sansdimse.services.extended`` do."""

    def answer(self, offered: bytes) -> bytes | None:
        """The answer to the bytes offered; None for none."""
        ...


Extended = bytes | Callable[[bytes], bytes | None] | Answering
"""An answer to extended negotiation: a typed value of what is supported, or its bytes, or a pure function
from the bytes offered."""


@dataclass(frozen=True, slots=True)
class Acceptor:
    """Who answers proposals, and by what rule. ``LocalProtocolError`` if the rule makes no sense."""

    ae_title: str
    supports: Sequence[PresentationContext | str]
    """A string is an abstract syntax with both uncompressed transfer syntaxes."""
    _: KW_ONLY
    require_called: bool = False
    """Reject a called AE title other than ours (PS3.8 C.2)."""
    allowed_calling: frozenset[str] | None = None
    """The calling AE titles let in; None is all."""
    prefer: tuple[str, ...] = ()
    """Transfer syntaxes in our order; those not named follow in the requestor's order."""
    any_storage: bool = False
    """Take every storage SOP class, private ones too, in whatever transfer syntax is proposed."""
    related_general: bool = False
    """Take a storage SOP class that is not supported, if its common extended negotiation relates it to one that is,
    and as that one is. The standard lets only a level 2 (full) SCP do so (PS3.4 B.4.1.2)."""
    reject_when_none_acceptable: bool = False
    """Reject the association when no context is acceptable; else it is accepted, with the reason for each."""
    maximum_length: int = MAXIMUM_LENGTH
    """Longest P-DATA-TF body we take, in bytes; 0 is unlimited."""
    window: AsynchronousOperationsWindow = field(default_factory=lambda: AsynchronousOperationsWindow(1, 1))
    """The most we agree to, of the requestor's view: how many it may invoke, and be asked to perform; never 0."""
    extended: Mapping[str, Extended] = field(default_factory=dict, hash=False)
    """By SOP class. Bytes are answered each with the lower of the offer's and ours (PS3.4 C.5.1.1), typed values as
    their service class has it."""
    implementation_class_uid: str = IMPLEMENTATION_CLASS_UID
    implementation_version_name: str = IMPLEMENTATION_VERSION_NAME
    when_idle: WhenIdle = WhenIdle.ABORT
    limits: Limits = field(default_factory=Limits)
    profile: Profile = DEFAULT

    _offers: Mapping[str, PresentationContext] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "supports", _contexts(self.supports))
        check_title(self.ae_title, "our")
        check_ours(self.maximum_length, self.window, self.implementation_class_uid, self.implementation_version_name)
        if not (self.window.invoked and self.window.performed):
            raise LocalProtocolError("window: an acceptor's is finite, so 0 (unlimited) cannot be promised")
        offers: dict[str, PresentationContext] = {}
        for each in self.presentation_contexts:
            check_uids(each)
            check_roles(each)
            other = offers.get(each.abstract_syntax)
            offers[each.abstract_syntax] = each if other is None else _both(other, each)
        object.__setattr__(self, "_offers", offers)

    @property
    def presentation_contexts(self) -> tuple[PresentationContext, ...]:
        """``supports``, each in full."""
        return _contexts(self.supports)

    def offer(self, abstract_syntax: str, related: Iterable[str] = ()) -> PresentationContext | None:
        """What is supported for an abstract syntax: all entries with it in one; None if it is not supported.

        ``related`` are the general SOP classes that it specializes, by the requestor's word (PS3.7 D.3.3.6).
        """
        offer = self._offers.get(abstract_syntax)
        if offer is None and self.related_general and _is_storage(abstract_syntax):
            general = next((uid for uid in related if uid in self._offers and _is_storage(uid)), None)
            offer = None if general is None else replace(self._offers[general], abstract_syntax=abstract_syntax)
        if self.any_storage and _is_storage(abstract_syntax):
            return replace(offer or PresentationContext(abstract_syntax), transfer_syntaxes=())
        return offer


def _both(one: PresentationContext, other: PresentationContext) -> PresentationContext:
    anything = not (one.transfer_syntaxes and other.transfer_syntaxes)
    return PresentationContext(
        one.abstract_syntax,
        () if anything else one.transfer_syntaxes + other.transfer_syntaxes,
        one.scu or other.scu,
        one.scp or other.scp,
    )


_STORAGE_ROOT: Final = "1.2.840.10008.5.1.4.1.1."
_QUERIES_BELOW_STORAGE_ROOT: Final = frozenset(
    _STORAGE_ROOT + tail for tail in ("200.4", "200.5", "200.6", "201.2", "201.3", "201.4", "201.6")
)
# RT delivery instructions, and the objects of PS3.4 GG that concern no patient.
_STORAGE_ELSEWHERE: Final = frozenset(
    "1.2.840.10008.5.1.4." + tail for tail in ("34.1", "34.7", "34.10", "38.1", "39.1", "43.1", "44.1", "45.1")
)


def _is_storage(uid: str) -> bool:
    """Whether a SOP class is for storage as far as its UID tells; private ones count, since nothing else would."""
    if len(uid) > LONGEST:
        return False
    if uid.startswith(_STORAGE_ROOT):
        return uid not in _QUERIES_BELOW_STORAGE_ROOT
    return uid in _STORAGE_ELSEWHERE or not uid.startswith("1.2.840.10008.")


TITLE: Final = re.compile(r"[ -\[\]-~]{1,16}")


def check_title(title: str, which: str) -> None:
    """``LocalProtocolError`` unless this is an AE title to send (PS3.8 Table 9-11, PS3.5 6.2)."""
    if TITLE.fullmatch(title) is None or not title.strip():
        raise LocalProtocolError(
            f"{which} AE title {title!r}: 1 to 16 characters of ISO 646, no backslash, not only spaces"
        )


def check_context(context: PresentationContext) -> None:
    """``LocalProtocolError`` unless this can be proposed (PS3.8 7.1.1.13, Annex F)."""
    check_uids(context)
    if not 1 <= len(context.transfer_syntaxes) <= MOST_TRANSFER_SYNTAXES:
        raise LocalProtocolError(
            f"{len(context.transfer_syntaxes)} transfer syntaxes for {context.abstract_syntax}: "
            f"a context has 1 to {MOST_TRANSFER_SYNTAXES}"
        )
    check_roles(context)


def check_uids(context: PresentationContext) -> None:
    """``LocalProtocolError`` unless all are UIDs (PS3.5 9.1)."""
    if not is_valid(context.abstract_syntax):
        raise LocalProtocolError(
            f"{context.abstract_syntax!r} is no UID: a context is named by a UID as 1.2.840.10008.1.1"
        )
    for uid in context.transfer_syntaxes:
        if not is_valid(uid):
            raise LocalProtocolError(f"{uid!r}, a transfer syntax of context {context.abstract_syntax}, is no UID")


def check_roles(context: PresentationContext) -> None:
    """``LocalProtocolError`` unless the requestor has a role (PS3.7 D.3.3.4)."""
    if not (context.scu or context.scp):
        raise LocalProtocolError(f"neither role for {context.abstract_syntax}: it would serve nothing")


def check_ours(maximum_length: int, window: AsynchronousOperationsWindow | None, uid: str, name: str) -> None:
    """``LocalProtocolError`` unless both sides may say this of themselves (PS3.8 D.1, PS3.7 D.3.3.2, D.3.3.3)."""
    if maximum_length != 0 and not LEAST_MAXIMUM_LENGTH <= maximum_length < 1 << 32:
        raise LocalProtocolError(f"maximum length {maximum_length}: 0, or {LEAST_MAXIMUM_LENGTH} to 4294967295")
    if window is not None and not (0 <= window.invoked < 1 << 16 and 0 <= window.performed < 1 << 16):
        raise LocalProtocolError(f"window {window.invoked}, {window.performed}: each is 0 to 65535")
    if not is_valid(uid):
        raise LocalProtocolError(f"implementation class UID {uid!r} is no UID")
    if name and TITLE.fullmatch(name) is None:
        raise LocalProtocolError(f"implementation version name {name!r}: 1 to 16 characters of ISO 646")
