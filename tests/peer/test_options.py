"""Options are checked where they are given: each of the two dictionaries, each kind of mistake."""

from __future__ import annotations

from typing import Any

import pytest

from sansdimse.admission import Budget
from sansdimse.limits import Limits
from sansdimse.peer.caller import AssociateOptions, CommonOptions
from sansdimse.peer.host import ServeOptions
from sansdimse.peer.options import _CALLED, _KINDS, _OPTIONAL, _SEVERAL, check_options
from sansdimse.profile import STRICT
from sansdimse.services.sop_classes import STANDARD
from sansdimse.uids import VERIFICATION
from sansdimse.ul.items import AsynchronousOperationsWindow, UserIdentityRQ
from sansdimse.ul.parties import PresentationContext, WhenIdle

GOOD: dict[str, Any] = {
    "calling": "ME",
    "called": "YOU",
    "contexts": [VERIFICATION, PresentationContext(VERIFICATION)],
    "maximum_length": 16384,
    "window": AsynchronousOperationsWindow(8, 1),
    "extended": (),
    "common_extended": (),
    "user_identity": UserIdentityRQ(1, b"ada"),
    "service": object(),
    "when_idle": WhenIdle.ECHO,
    "limits": Limits(),
    "profile": STRICT,
    "report": print,
    "watch": print,
    "new_uid": str,
    "sop_classes": STANDARD,
}
SERVED: dict[str, Any] = {
    **{name: value for name, value in GOOD.items() if name in ServeOptions.__annotations__},
    "ae_title": "ARCHIVE",
    "supports": (VERIFICATION,),
    "any_storage": True,
    "related_general": True,
    "require_called": True,
    "allowed_calling": {"CT1"},
    "allowed_addresses": ["10.1.0.0/16"],
    "access": lambda applicant: True,
    "prefer": (),
    "budget": Budget(),
}


def associate(**options: Any) -> None:
    check_options("associate()", options, AssociateOptions, needed="contexts")


def serve(**options: Any) -> None:
    check_options("serve()", options, ServeOptions, needed="supports")


def test_what_is_an_option_and_of_its_kind_is_taken() -> None:
    assert set(GOOD) == set(AssociateOptions.__annotations__)
    assert set(SERVED) == set(ServeOptions.__annotations__)
    associate(**GOOD)
    serve(**SERVED)
    check_options("a pool", {}, CommonOptions)


def test_nobody_checks_what_is_no_option() -> None:
    known = AssociateOptions.__annotations__.keys() | ServeOptions.__annotations__.keys()
    assert _KINDS.keys() | _SEVERAL.keys() | _CALLED <= known
    assert _OPTIONAL <= _KINDS.keys() | _SEVERAL.keys() | _CALLED


@pytest.mark.parametrize("name", sorted(_OPTIONAL))
def test_what_may_be_nothing_may_be_none(name: str) -> None:
    if name in GOOD:
        associate(contexts=[VERIFICATION], **{name: None})
    else:
        serve(supports=[VERIFICATION], **{name: None})


@pytest.mark.parametrize("name", sorted((_KINDS.keys() | _SEVERAL.keys() | _CALLED) - _OPTIONAL))
def test_what_must_be_something_may_not_be_none(name: str) -> None:
    given, options = (associate, GOOD) if name in GOOD else (serve, SERVED)
    with pytest.raises(TypeError, match=f"^{name}= is .*, not None$"):
        given(**options | {name: None})


CONTEXTS = "a list of SOP class UIDs and PresentationContexts"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"ae_titel": "ME"}, "serve() has no option 'ae_titel': did you mean 'ae_title'?"),
        ({"tsl": None}, "serve() has no option 'tsl': did you mean 'tls'?"),
        ({"backlog": 5}, "serve() has no option 'backlog': sansdimse.peer.host.ServeOptions has them all"),
        ({"supports": VERIFICATION}, f"supports= is {CONTEXTS}, not '1.2.840.10008.1.1'"),
        ({"supports": iter([VERIFICATION])}, f"supports= is {CONTEXTS}, not a list_iterator"),
        ({"supports": [b"1.2"]}, f"supports= is {CONTEXTS}; in it is a bytes"),
        ({"allowed_calling": "CT1"}, "allowed_calling= is a list of strings, not 'CT1'"),
        ({"prefer": "1" * 80}, "prefer= is a list of strings, not a str"),
        ({"window": 8}, "window= is an AsynchronousOperationsWindow, not 8"),
        ({"limits": {"idle": 60}}, "limits= is a Limits, not a dict"),
        ({"when_idle": "release"}, "when_idle= is a WhenIdle, not 'release'"),
        ({"sop_classes": "1.2.3"}, "sop_classes= is a SopClasses, not '1.2.3'"),
        ({"new_uid": "2.25.7"}, "new_uid= is a function, not '2.25.7'"),
        ({"access": True}, "access= is a function, not True"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_what_is_wanted(options: dict[str, Any], told: str) -> None:
    with pytest.raises(TypeError) as raised:
        serve(**{"supports": [VERIFICATION], **options})
    assert str(raised.value) == told


def test_what_is_needed_is_asked_for() -> None:
    with pytest.raises(TypeError, match=r"associate\(\) needs contexts=, a list of SOP class UIDs"):
        associate(calling="ME")
