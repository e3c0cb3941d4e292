"""Which context an operation is invoked on, and what is said where there is none."""

from __future__ import annotations

import pytest

from engine_pair import CT, INSTANCE, MR, Scripted
from sansdimse.errors import LocalProtocolError
from sansdimse.services.contexts import context_for
from sansdimse.uids import EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN
from sansdimse.ul.agreement import Agreement
from sansdimse.ul.parties import Acceptor, PresentationContext, Requestor

SC = "1.2.840.10008.5.1.4.1.1.7"
CONTEXTS: list[PresentationContext | str] = [
    PresentationContext(CT, (IMPLICIT_VR_LITTLE_ENDIAN,)),
    PresentationContext(CT, (EXPLICIT_VR_LITTLE_ENDIAN,)),
    PresentationContext(MR, scu=False, scp=True),
    SC,
]


@pytest.fixture
def agreement() -> Agreement:
    """CT is accepted in two transfer syntaxes (1, 3), MR with us as SCP (5), SC refused (7)."""
    other = Acceptor("YOU", [PresentationContext(CT), PresentationContext(MR, scp=True)])
    engine = Scripted.established(Requestor("ME", "YOU", CONTEXTS), other).engine
    assert engine.agreement is not None
    return engine.agreement


@pytest.mark.parametrize(
    ("syntax", "context_id", "expected"),
    [
        (None, None, 1),
        (IMPLICIT_VR_LITTLE_ENDIAN, None, 1),
        (EXPLICIT_VR_LITTLE_ENDIAN, None, 3),
        (None, 3, 3),
        (EXPLICIT_VR_LITTLE_ENDIAN, 3, 3),
    ],
)
def test_the_first_that_fits(agreement: Agreement, syntax: str | None, context_id: int | None, expected: int) -> None:
    assert context_for(agreement, CT, syntax, context_id=context_id).id == expected


@pytest.mark.parametrize(
    ("sop_class", "syntax", "context_id", "text"),
    [
        (CT, "1.2.840.10008.1.2.4.50", None, "these transfer syntaxes would do: Implicit VR Little Endian.*, Explicit"),
        (MR, None, None, "we are not the SCU of MR Image Storage here"),
        (SC, None, None, "the peer refused every context for Secondary Capture Image Storage, with result 3"),
        ("1.2.3", None, None, r"no context for 1\.2\.3 was proposed"),
        (SC, None, 7, "presentation context 7 was not accepted"),
        (CT, None, 9, "presentation context 9 was not accepted"),
        (CT, EXPLICIT_VR_LITTLE_ENDIAN, 1, r"context 1 is for 1\.2\.840\.10008\.1\.2, not "),
        (MR, None, 5, "we are not the SCU of MR Image Storage here"),
    ],
)
def test_why_there_is_none(
    agreement: Agreement, sop_class: str, syntax: str | None, context_id: int | None, text: str
) -> None:
    with pytest.raises(LocalProtocolError, match=text):
        context_for(agreement, sop_class, syntax, context_id=context_id)


def test_the_association_says_the_same() -> None:
    engine = Scripted.established(Requestor("ME", "YOU", [CT]), Acceptor("YOU", [CT])).engine
    assert engine.context_for(CT).id == engine.c_store(CT, INSTANCE).context.id == 1
