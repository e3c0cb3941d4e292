"""What to do about each deviation: a ``Profile`` maps codes to refusal, all others are accepted."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from sansdimse.deviations import CATALOGUE, Code, Refusal, Severity


@dataclass(frozen=True, slots=True)
class Profile:
    """Which deviations are refused; how is the catalogue's (``Rule.refusal``).

    Make your own from one of ours: ``DEFAULT.refusing(Code.AE_TITLE_BLANK)``,
    ``STRICT.accepting(Code.FRAGMENT_ODD)``.
    """

    name: str
    refused: frozenset[Code] = field(default_factory=frozenset)

    def __post_init__(self) -> None:
        forbidden = sorted(code for code in self.refused if CATALOGUE[code].refusal is Refusal.NEVER)
        if forbidden:
            raise ValueError(f"the standard forbids refusing {', '.join(forbidden)}")

    def refuses(self, code: Code) -> bool:
        """Whether a deviation with this code is refused."""
        return code in self.refused

    def refusing(self, *codes: Code) -> Profile:
        """This profile, but refusing these too."""
        return Profile(f"{self.name}+", self.refused | set(codes))

    def accepting(self, *codes: Code) -> Profile:
        """This profile, but accepting these."""
        return Profile(f"{self.name}-", self.refused - set(codes))


# What cannot be accepted at all (a PDU without end, an unknown PDU) is no matter of profile: it is
# always a fault. Of what can be survived, the default refuses only what would make an answer wrong.
_AMBIGUOUS: Final = frozenset(
    {
        Code.APPLICATION_CONTEXT_WRONG,
        Code.CONTEXT_ID_ZERO,
        Code.CONTEXT_WITHOUT_ABSTRACT_SYNTAX,
        Code.CONTEXT_WITHOUT_TRANSFER_SYNTAX,
        Code.AC_TRANSFER_SYNTAX_UNPROPOSED,
        Code.MAXIMUM_LENGTH_TINY,
        Code.DATA_SET_UNANNOUNCED,
        Code.DATA_SET_CONTEXT,
        Code.RESPONSE_ID,
        Code.RESPONSE_CONTEXT,
    }
)

LENIENT: Final = Profile(
    "lenient",
    _AMBIGUOUS - {Code.DATA_SET_UNANNOUNCED, Code.DATA_SET_CONTEXT, Code.RESPONSE_ID, Code.RESPONSE_CONTEXT},
)
"""Accepts whatever can be given a meaning: the last resort against an old device."""

DEFAULT: Final = Profile("default", _AMBIGUOUS)
"""Refuses what could be taken for something it is not; accepts the rest and reports it."""

STRICT: Final = Profile(
    "strict",
    frozenset(
        code
        for code, rule in CATALOGUE.items()
        if rule.refusal is not Refusal.NEVER and rule.severity is not Severity.NOTE
    ),
)
"""Refuses every deviation that the standard lets one refuse: for conformance tests."""
