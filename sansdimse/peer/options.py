"""Options as users give them: a name that is none, or a value of the wrong kind, is told where it is given.

Unchecked, a server would start with it, and fail at each association, in a place that the user never wrote.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from typing import Any, Final

from sansdimse.admission import Budget
from sansdimse.limits import Limits
from sansdimse.profile import Profile
from sansdimse.services.sop_classes import SopClasses
from sansdimse.ul.items import AsynchronousOperationsWindow, UserIdentityRQ
from sansdimse.ul.parties import PresentationContext, WhenIdle

_KINDS: Final[dict[str, type]] = {
    "calling": str,
    "called": str,
    "ae_title": str,
    "maximum_length": int,
    "window": AsynchronousOperationsWindow,
    "user_identity": UserIdentityRQ,
    "when_idle": WhenIdle,
    "budget": Budget,
    "limits": Limits,
    "profile": Profile,
    "sop_classes": SopClasses,
}
_SEVERAL: Final[dict[str, tuple[type, ...]]] = {
    "contexts": (str, PresentationContext),
    "supports": (str, PresentationContext),
    "allowed_calling": (str,),
    "allowed_addresses": (str,),
    "prefer": (str,),
}
_CALLED: Final = frozenset({"access", "new_uid", "report", "watch"})
_OPTIONAL: Final = frozenset({"window", "user_identity", "limits", "allowed_calling", "allowed_addresses", "access"})
"""Those of the above that may be None."""
_ELSEWHERE: Final = frozenset(
    "tls server_name source_address workers tap grace started most most_per_destination idle share deadline".split()
)
"""What functions take besides: it may have been meant."""


def check_options(function: str, options: Mapping[str, Any], kind: Any, *, needed: str | None = None) -> None:
    """Raise ``TypeError`` unless these are options of a ``TypedDict``, each of its kind, with the one needed.

    What a value says is for others to judge. ``function`` is what they were given to.
    """
    for name in options:
        if name not in kind.__annotations__:
            near = difflib.get_close_matches(name, kind.__annotations__.keys() | _ELSEWHERE, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"{kind.__module__}.{kind.__name__} has them all"
            raise TypeError(f"{function} has no option {name!r}: {hint}")
    if needed is not None and needed not in options:
        raise TypeError(f"{function} needs {needed}=, {_words(_SEVERAL[needed])}")
    for name, value in options.items():
        if value is None and name in _OPTIONAL:
            continue
        if name in _SEVERAL:
            _check_several(name, value, _SEVERAL[name])
        elif name in _CALLED and not callable(value):
            raise TypeError(f"{name}= is a function, not {_shown(value)}")
        elif not isinstance(value, _KINDS.get(name, object)):
            raise TypeError(f"{name}= is {_a(_KINDS[name])}, not {_shown(value)}")


def _check_several(name: str, values: Any, kinds: tuple[type, ...]) -> None:
    if isinstance(values, str) or not isinstance(values, Collection):  # a string would be taken letter by letter
        raise TypeError(f"{name}= is {_words(kinds)}, not {_shown(values)}")
    for value in values:
        if not isinstance(value, kinds):
            raise TypeError(f"{name}= is {_words(kinds)}; in it is {_shown(value)}")


def _words(kinds: tuple[type, ...]) -> str:
    if PresentationContext in kinds:
        return "a list of SOP class UIDs and PresentationContexts"
    return "a list of strings"


def _shown(value: object) -> str:
    """A value in an error: what is plain and short, else only its type."""
    text = repr(value) if isinstance(value, str | int | float | None) else ""
    return text if 0 < len(text) <= 64 else _a(type(value))


def _a(kind: type) -> str:
    name = kind.__name__
    return f"{'an' if name[0] in 'AEIO' else 'a'} {name}"
