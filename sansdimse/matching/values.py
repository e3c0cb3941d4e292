"""Whether one value is the one asked for: text, wild cards, names, numbers, bytes (PS3.4 C.2.2.2.1, C.2.2.2.4).

``plain_values`` makes of what pydicom keeps what Python has: text, numbers or bytes. The rest is functions that take a
key once and give a test of one value. Text is asked for as it is shown: no test knows of character sets. Dates and
times are in ``periods``.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, MutableSequence
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any, Final, TypeAlias

Plain: TypeAlias = "str | int | float | bytes"
Test: TypeAlias = Callable[[Plain], bool]

WILD_CARD_VRS: Final = frozenset("AE CS LO LT PN SH ST UC UR UT".split())
"""Where ``*`` and ``?`` are more than characters (PS3.4 C.2.2.2.4)."""

LEADING_SPACES_COUNT: Final = frozenset("LT ST UC UR UT".split())
"""Where spaces at the beginning of a value are part of it (PS3.5 6.2)."""

_PADDING: Final = " \0"
_FORMS: Final = ((datetime, "%Y%m%d%H%M%S.%f%z"), (date, "%Y%m%d"), (time, "%H%M%S.%f"))


def plain_values(value: Any) -> tuple[Plain, ...]:
    """The values of an element but for those of zero length, text without the padding at its end.

    Raises what pydicom raises for names that cannot be decoded.
    """
    if value is None:
        return ()
    values = value if isinstance(value, MutableSequence) and not isinstance(value, bytearray) else (value,)
    return tuple(plain for one in values if one is not None and (plain := _plain(one)) not in ("", b""))


def _plain(value: Any) -> Plain:
    if isinstance(value, str):
        return value.rstrip(_PADDING)
    if isinstance(value, int | float | bytes):
        return value
    if isinstance(value, bytearray):
        return bytes(value)
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, date | time) and not hasattr(value, "original_string"):
        return value.strftime(next(form for kind, form in _FORMS if isinstance(value, kind)))
    return str(value).rstrip(_PADDING)


def has_wild_card(text: str) -> bool:
    """Whether a ``*`` or ``?`` is in it."""
    return "*" in text or "?" in text


def is_universal(text: str, vr: str) -> bool:
    """Whether this key of non-zero length matches everything, as ``*`` does (PS3.4 C.2.2.2.4)."""
    if vr == "PN":
        return not any(group.strip("*") for group in component_groups(text))
    return vr in WILD_CARD_VRS and not text.strip("* ")


def text_test(keys: Iterable[str], vr: str) -> Test:
    """A test for any of these, by case and exactly but for padding; with wild cards where the VR has them."""
    prepared = str.rstrip if vr in LEADING_SPACES_COUNT else str.strip
    given = {prepared(key, _PADDING) for key in keys}
    wild = {key for key in given if vr in WILD_CARD_VRS and has_wild_card(key)}
    exact, patterns = frozenset(given - wild), [_pattern(key) for key in sorted(wild)]

    def test(value: Plain) -> bool:
        if isinstance(value, bytes):
            return False
        text = prepared(str(value), _PADDING)
        return text in exact or any(fits(text) is not None for fits in patterns)

    return test


def _pattern(text: str) -> Callable[[str], object]:
    """A wild card as a test. A ``*`` takes the least it can and is never asked again, so that time is bounded."""
    first, *rest = (re.escape(part).replace(r"\?", ".") for part in re.sub(r"\*+", "*", text).split("*"))
    if not rest:
        return re.compile(first, re.DOTALL).fullmatch
    middle = "".join(f"(?>.*?{part})" for part in rest[:-1])
    return re.compile(f"{first}{middle}.*{rest[-1]}", re.DOTALL).fullmatch


def component_groups(name: str) -> list[str]:
    """The component groups of a name, each without spaces around components and empty components at its end."""
    return ["^".join(part.strip(_PADDING) for part in group.split("^")).rstrip("^") for group in name.split("=")]


def name_test(key: str, *, literal: bool = False) -> Test:
    """A test for a name with or without wild cards, by case and accent only if ``literal`` (PS3.4 C.2.2.2.1.1).

    A key of one component group matches any group of a value. Of a key with several, each must match the one in its
    place, and empty ones and ``*`` match all.
    """
    fold = str if literal else _folded
    asked = [_group_test(group) if group.strip("*") else None for group in component_groups(fold(key))]
    only = asked[0] if len(asked) == 1 else None

    def test(value: Plain) -> bool:
        if isinstance(value, bytes):
            return False
        groups = component_groups(fold(str(value)))
        if only is not None:
            return any(only(group) for group in groups)
        groups += [""] * (len(asked) - len(groups))
        return all(one is None or one(group) for one, group in zip(asked, groups, strict=False))

    return test


def _group_test(key: str) -> Callable[[str], bool]:
    if not has_wild_card(key):
        return lambda group: group == key
    fits, carets = _pattern(key), key.count("^")
    # A key may name components at the end that the value leaves out.
    return lambda group: fits(group + "^" * (carets - group.count("^"))) is not None


def _folded(name: str) -> str:
    """A name without case and accents, and as many characters as one sees: ``?`` counts them."""
    if name.isascii():
        return name.lower()
    bare = "".join(sign for sign in unicodedata.normalize("NFD", name) if not "\u0300" <= sign <= "\u036f")
    signs = unicodedata.normalize("NFC", bare)
    return "".join(folded if len(folded := sign.casefold()) == 1 else sign.lower() for sign in signs)


def equality_test(key: Plain) -> Test:
    """A test for the same number, however it is written; or for the same bytes but for padding."""
    if isinstance(key, bytes):
        bare = key.rstrip(b" \0")
        return lambda value: isinstance(value, bytes) and value.rstrip(b" \0") == bare

    def test(value: Plain) -> bool:
        try:
            return (float(value) if isinstance(value, str) else value) == key
        except ValueError:
            return False

    return test
