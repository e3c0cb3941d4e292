"""Which context an operation is invoked on, and what is said where there is none."""

from __future__ import annotations

import pytest

from engine_pair import CT, INSTANCE, MR, Scripted
from sansdimse.errors import LocalProtocolError
from sansdimse.services.contexts import context_for
from sansdimse.services.sop_classes import (
    BASIC_COLOR_IMAGE_BOX,
    BASIC_FILM_SESSION,
    BASIC_GRAYSCALE_PRINT_MANAGEMENT_META,
    PRINTER,
    STANDARD,
    STORAGE_COMMITMENT_PUSH_MODEL,
    UNIFIED_PROCEDURE_STEP_EVENT,
    UNIFIED_PROCEDURE_STEP_PUSH,
    UNIFIED_PROCEDURE_STEP_WATCH,
    private_storage,
)
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


# ---------------------------------------------------------------- roles


@pytest.mark.parametrize(("sop_class", "role", "expected"), [(CT, "SCU", 1), (MR, "SCP", 5)])
def test_the_role_decides(agreement: Agreement, sop_class: str, role: str, expected: int) -> None:
    other = "SCP" if role == "SCU" else "SCU"
    for context_id in (None, expected):
        assert context_for(agreement, sop_class, context_id=context_id, role=role).id == expected
        with pytest.raises(LocalProtocolError, match=rf"we are not the {other} of .* here: the roles say so"):
            context_for(agreement, sop_class, context_id=context_id, role=other)


def test_who_reports_an_event_must_have_been_taken_as_scp() -> None:
    uid = STORAGE_COMMITMENT_PUSH_MODEL
    config = Requestor("ME", "YOU", [PresentationContext(uid, scp=True)])
    for config_of_them, may in ((PresentationContext(uid, scp=True), True), (PresentationContext(uid), False)):
        found = Scripted.established(config, Acceptor("YOU", [config_of_them])).engine.agreement
        assert found is not None
        if may:
            assert context_for(found, uid, role="SCP").id == 1
        else:
            with pytest.raises(LocalProtocolError, match="we are not the SCP of Storage Commitment Push Model"):
                context_for(found, uid, role="SCP")


# ---------------------------------------------------------------- messages of others

META = BASIC_GRAYSCALE_PRINT_MANAGEMENT_META
IMPLICIT, EXPLICIT = (IMPLICIT_VR_LITTLE_ENDIAN,), (EXPLICIT_VR_LITTLE_ENDIAN,)


def agreed(*contexts: PresentationContext) -> Agreement:
    """All of these accepted, numbered from 1."""
    scp = [PresentationContext(context.abstract_syntax, scp=True) for context in contexts]
    found = Scripted.established(Requestor("ME", "YOU", contexts), Acceptor("YOU", scp)).engine.agreement
    assert found is not None
    return found


def test_a_meta_sop_class_carries_what_its_members_say() -> None:
    found = agreed(PresentationContext(META, IMPLICIT), PresentationContext(META, EXPLICIT))
    for member in (PRINTER, BASIC_FILM_SESSION, META):
        assert context_for(found, member).id == 1
        assert context_for(found, member, EXPLICIT_VR_LITTLE_ENDIAN).id == 3
    with pytest.raises(LocalProtocolError, match="no context for Basic Color Image Box SOP Class was proposed"):
        context_for(found, BASIC_COLOR_IMAGE_BOX)
    with pytest.raises(LocalProtocolError, match="these transfer syntaxes would do: Implicit VR Little Endian"):
        context_for(found, PRINTER, "1.2.840.10008.1.2.4.50")


def test_its_own_comes_first_unless_only_the_other_fits() -> None:
    found = agreed(PresentationContext(META, EXPLICIT), PresentationContext(PRINTER, IMPLICIT))
    assert context_for(found, PRINTER).id == 3
    assert context_for(found, PRINTER, EXPLICIT_VR_LITTLE_ENDIAN).id == 1
    assert context_for(found, BASIC_FILM_SESSION).id == 1
    assert context_for(found, META).id == 1


def test_push_goes_over_any_of_its_family_and_they_not_over_push() -> None:
    found = agreed(PresentationContext(UNIFIED_PROCEDURE_STEP_WATCH))
    assert context_for(found, UNIFIED_PROCEDURE_STEP_PUSH).id == 1
    with pytest.raises(LocalProtocolError, match="no context for Unified Procedure Step - Event"):
        context_for(found, UNIFIED_PROCEDURE_STEP_EVENT)
    found = agreed(PresentationContext(UNIFIED_PROCEDURE_STEP_PUSH))
    with pytest.raises(LocalProtocolError, match="no context for Unified Procedure Step - Watch"):
        context_for(found, UNIFIED_PROCEDURE_STEP_WATCH)


def test_a_member_of_a_context_without_the_role() -> None:
    found = agreed(PresentationContext(META))
    with pytest.raises(LocalProtocolError, match="we are not the SCP of Printer SOP Class here"):
        context_for(found, PRINTER, role="SCP")


def test_private_sop_classes_have_the_names_that_their_user_gives_them(agreement: Agreement) -> None:
    table = STANDARD.with_private(private_storage("1.2.3", "our images"))
    with pytest.raises(LocalProtocolError, match="no context for our images was proposed"):
        context_for(agreement, "1.2.3", sop_classes=table)


PUSH, WATCH, PULL, EVENT, QUERY_ = (f"1.2.840.10008.5.1.4.34.6.{number}" for number in (1, 2, 3, 4, 5))


@pytest.mark.parametrize("order", [(PUSH, WATCH, PULL, EVENT, QUERY_), (QUERY_, EVENT, PULL, WATCH, PUSH)])
@pytest.mark.parametrize(
    ("service", "type_id", "on"),
    [
        ("N-CREATE", None, {PUSH}),
        ("N-SET", None, {PULL}),
        ("N-ACTION", 3, {WATCH}),
        ("N-ACTION", 1, {PULL}),
        ("C-FIND", None, {WATCH, PULL, QUERY_}),
        ("N-EVENT-REPORT", 1, {EVENT}),
        (None, None, {PUSH}),
    ],
)
def test_of_several_contexts_one_that_has_the_service_is_taken(
    order: tuple[str, ...], service: str | None, type_id: int | None, on: set[str]
) -> None:
    contexts = [PresentationContext(uid, scu=True, scp=True) for uid in order]
    agreed = Scripted.established(Requestor("A", "B", contexts), Acceptor("B", contexts)).engine.agreement
    assert agreed is not None
    role = "SCP" if service == "N-EVENT-REPORT" else "SCU"
    found = context_for(agreed, PUSH, role=role, service=service, type_id=type_id)
    assert found.abstract_syntax in on
