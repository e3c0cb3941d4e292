"""What the linter says: nothing of PDUs by the standard, and each deviation by its code where it is."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given

from pdu_strategies import answers, pdus, requests
from sansdimse.deviations import Code, Deviation
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
from sansdimse.ul.lint import MOST_OF_A_CODE, lint
from sansdimse.ul.pdu import PDV, AAbort, AAssociateAC, AAssociateRJ, AAssociateRQ, AReleaseRP, AReleaseRQ, PDataTF, Pdu

CT = "1.2.840.10008.5.1.4.1.1.2"
MR = "1.2.840.10008.5.1.4.1.1.4"
IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"

CONTEXTS = (PresentationContextRQ.of(1, CT, [IMPLICIT, EXPLICIT]), PresentationContextRQ.of(3, MR, [IMPLICIT]))
ANSWERED = (PresentationContextAC.of(3, 3, ""), PresentationContextAC.of(1, 0, EXPLICIT))
NEEDED = (MaximumLength(16384), ImplementationClassUID("1.2.3"))


def request(contexts: tuple[PresentationContextRQ, ...] = CONTEXTS, user: tuple[Item, ...] = NEEDED) -> AAssociateRQ:
    return AAssociateRQ.of(called="PACS", calling="ME", contexts=contexts, user_information=user)


def proposing(*user: Item) -> AAssociateRQ:
    return request(user=NEEDED + user)


def answer(
    contexts: tuple[PresentationContextAC, ...] = (PresentationContextAC.of(3, 1, IMPLICIT), ANSWERED[1]),
    user: tuple[Item, ...] = NEEDED,
) -> AAssociateAC:
    return AAssociateAC.of(request(), contexts=contexts, user_information=user)


def answering(*user: Item) -> AAssociateAC:
    return answer(user=NEEDED + user)


def with_items(*items: Item) -> AAssociateRQ:
    return replace(request(), items=items)


def proposal(*items: Item, context_id: int = 5, reserved_fields: bytes = b"\0\0\0") -> AAssociateRQ:
    return request((*CONTEXTS, PresentationContextRQ(context_id, items, 0, reserved_fields)))


def accepted(*items: Item, result: int = 0, reserved_fields: bytes = b"\0\0") -> AAssociateAC:
    return answer((*answer().presentation_contexts[:1], PresentationContextAC(1, result, items, 0, reserved_fields)))


def codes(pdu: Pdu, asked: AAssociateRQ | None = None) -> list[Code]:
    return [deviation.code for deviation in lint(pdu, asked)]


def test_the_standards_own_pdus_have_no_deviation() -> None:
    everything = proposing(
        AsynchronousOperationsWindow(0, 5),
        RoleSelection(CT, 1, 1),
        RoleSelection(MR, 0, 1),
        ImplementationVersionName("SIXTEEN LETTERS!"),
        ExtendedNegotiation(CT, b"\1"),
        ExtendedNegotiation(MR, b"\1"),
        CommonExtendedNegotiation(CT, MR, (IMPLICIT,)),
        CommonExtendedNegotiation(MR, CT, (), 1, b"later"),
        UserIdentityRQ(1, b"me", b"", 1),
    )
    agreed = answering(
        ExtendedNegotiation(CT, b"\1"),  # sub-items of user information may stand in any order
        AsynchronousOperationsWindow(7, 5),
        RoleSelection(CT, 1, 0),
        ImplementationVersionName("N"),
        UserIdentityAC(b""),
    )
    assert lint(everything) == []
    assert lint(agreed) == []
    assert lint(agreed, everything) == []
    for pdu in (
        AReleaseRQ(),
        AReleaseRP(),
        AAbort(),
        AAbort(2, 6),
        PDataTF((PDV(1, 3, b"ab"),)),
        AAssociateRJ(1, 1, 7),
    ):
        assert lint(pdu) == []


@given(pdus)
def test_lint_is_total_and_says_nothing_twice(pdu: Pdu) -> None:
    found = lint(pdu)
    assert len(found) == len(set(found))
    assert max(Counter(deviation.code for deviation in found).values(), default=0) <= MOST_OF_A_CODE + 1
    assert all(deviation.detail.isprintable() and deviation.detail.isascii() for deviation in found)


@given(answers, requests)
def test_lint_of_an_answer_and_its_request_is_total(pdu: AAssociateAC, asked: AAssociateRQ) -> None:
    found = lint(pdu, asked)
    assert len(found) == len(set(found))
    assert all(deviation.detail.isprintable() and deviation.detail.isascii() for deviation in found)


APPLICATION, FIRST, SECOND, USER = request().items

ONE_PDU: list[tuple[str, Pdu, Code, str | None]] = [
    # UIDs
    ("padded with NUL", proposal(AbstractSyntax(CT + "\0"), TransferSyntax("1.2")), Code.UID_PADDED, CT + "\\x00"),
    ("padded with space", proposing(ImplementationClassUID("1.2 ")), Code.UID_PADDED, "1.2 "),
    ("leading zero", proposal(AbstractSyntax(CT), TransferSyntax("1.02")), Code.UID_MALFORMED, "1.02"),
    ("empty", proposing(CommonExtendedNegotiation(CT, "", ())), Code.UID_MALFORMED, ""),
    ("related", proposing(CommonExtendedNegotiation(CT, MR, ("x",))), Code.UID_MALFORMED, "x"),
    ("extended", proposing(ExtendedNegotiation("1..2", b"")), Code.UID_MALFORMED, "1..2"),
    ("accepted", accepted(TransferSyntax("1.2\n")), Code.UID_MALFORMED, "1.2\\x0a"),
    # AE titles and fixed fields
    ("NUL", replace(request(), called_ae_title_field=b"PACS" + bytes(12)), Code.AE_TITLE_NUL, None),
    ("NUL before", replace(request(), calling_ae_title_field=b" \0ME".ljust(16)), Code.AE_TITLE_NUL, None),
    ("8 bit", replace(request(), calling_ae_title_field=b"\xc0\xb3".ljust(16)), Code.AE_TITLE_CHARACTERS, None),
    ("NUL inside", replace(request(), called_ae_title_field=b"P\0A".ljust(16)), Code.AE_TITLE_CHARACTERS, None),
    ("backslash", replace(request(), called_ae_title_field=b"P\\A".ljust(16)), Code.AE_TITLE_CHARACTERS, None),
    ("blank", replace(request(), called_ae_title_field=b" " * 16), Code.AE_TITLE_BLANK, "called"),
    ("byte 2", replace(request(), reserved=1), Code.RESERVED_NOT_ZERO, "byte 2"),
    ("bytes 9, 10", replace(answer(), reserved_9_10=b"\0\1"), Code.RESERVED_NOT_ZERO, "bytes 9 and 10"),
    ("bytes 43 ff", replace(request(), reserved_43_74=b"\1" * 32), Code.RESERVED_NOT_ZERO, "bytes 43 to 74"),
    ("more versions", replace(request(), protocol_version=3), Code.PROTOCOL_VERSION_BITS, "0003"),
    ("other version", replace(answer(), protocol_version=2), Code.PROTOCOL_VERSION_UNSUPPORTED, "0002"),
    ("trailing", replace(request(), trailing=b"\0\1"), Code.TRAILING_BYTES, "00 01"),
    # top-level items
    ("none", with_items(FIRST, USER), Code.APPLICATION_CONTEXT_MISSING, ""),
    ("two", with_items(APPLICATION, APPLICATION, FIRST, USER), Code.APPLICATION_CONTEXT_REPEATED, "2 times"),
    ("wrong", with_items(ApplicationContext("1.2"), FIRST, USER), Code.APPLICATION_CONTEXT_WRONG, "1.2"),
    ("unknown", with_items(APPLICATION, FIRST, USER, UnknownItem(0xEE, b"", 1)), Code.ITEM_UNKNOWN, "EEH in the PDU"),
    ("user first", with_items(APPLICATION, USER, FIRST), Code.ITEM_ORDER, "20H after 50H in the PDU"),
    (
        "21H in a request",
        with_items(APPLICATION, FIRST, PresentationContextAC(1, 0, ()), USER),
        Code.ITEM_MISPLACED,
        "21H in the PDU",
    ),
    (
        "20H in an answer",
        replace(answer(), items=(APPLICATION, FIRST, *ANSWERED[1:], USER)),
        Code.ITEM_MISPLACED,
        "20H in the PDU",
    ),
    ("item's byte 2", with_items(ApplicationContext(reserved=1), FIRST, USER), Code.RESERVED_NOT_ZERO, None),
    ("no user information", with_items(APPLICATION, FIRST), Code.USER_INFORMATION_MISSING, ""),
    ("two", with_items(APPLICATION, FIRST, USER, UserInformation(())), Code.USER_INFORMATION_REPEATED, "2 times"),
    # presentation contexts of a request
    ("no contexts", request(()), Code.NO_CONTEXTS, ""),
    ("even", proposal(AbstractSyntax(CT), TransferSyntax("1.2"), context_id=2), Code.CONTEXT_ID_EVEN, "context 2"),
    ("zero", proposal(AbstractSyntax(CT), TransferSyntax("1.2"), context_id=0), Code.CONTEXT_ID_ZERO, ""),
    ("again", proposal(AbstractSyntax(CT), TransferSyntax("1.2"), context_id=3), Code.CONTEXT_ID_REPEATED, "context 3"),
    ("no abstract syntax", proposal(TransferSyntax("1.2")), Code.CONTEXT_WITHOUT_ABSTRACT_SYNTAX, "context 5"),
    (
        "two abstract syntaxes",
        proposal(AbstractSyntax(CT), AbstractSyntax(CT), TransferSyntax("1.2")),
        Code.CONTEXT_SEVERAL_ABSTRACT_SYNTAXES,
        "context 5",
    ),
    ("no transfer syntax", proposal(AbstractSyntax(CT)), Code.CONTEXT_WITHOUT_TRANSFER_SYNTAX, "context 5"),
    (
        "order in a context",
        proposal(TransferSyntax("1.2"), AbstractSyntax(CT)),
        Code.ITEM_ORDER,
        "30H after 40H in context 5",
    ),
    (
        "misplaced in a context",
        proposal(AbstractSyntax(CT), TransferSyntax("1.2"), MaximumLength(9)),
        Code.ITEM_MISPLACED,
        "51H in context 5",
    ),
    (
        "opaque in a context",
        proposal(AbstractSyntax(CT), TransferSyntax("1.2"), UnknownItem(0x50, b"")),
        Code.ITEM_MISPLACED,
        "50H in context 5",
    ),
    (
        "bytes 6 to 8",
        proposal(AbstractSyntax(CT), TransferSyntax("1.2"), reserved_fields=b"\0\0\1"),
        Code.RESERVED_NOT_ZERO,
        "bytes 6 to 8 of context 5",
    ),
    # presentation contexts of an answer
    ("even", answer((PresentationContextAC.of(2, 0, IMPLICIT),)), Code.CONTEXT_ID_EVEN, "context 2"),
    ("zero", answer((PresentationContextAC.of(0, 0, IMPLICIT),)), Code.CONTEXT_ID_ZERO, ""),
    ("again", answer((*ANSWERED[1:], *ANSWERED[1:])), Code.CONTEXT_ID_REPEATED, "context 1"),
    ("first of no meaning", accepted(TransferSyntax(IMPLICIT), result=5), Code.AC_CONTEXT_RESULT, "context 1: 5"),
    ("result", accepted(TransferSyntax(IMPLICIT), result=9), Code.AC_CONTEXT_RESULT, "context 1: 9"),
    ("refused, empty", answer(ANSWERED), Code.AC_TRANSFER_SYNTAX_MISSING, "context 3"),
    ("refused, none", accepted(result=4), Code.AC_TRANSFER_SYNTAX_MISSING, "context 1"),
    ("accepted, none", accepted(), Code.AC_TRANSFER_SYNTAX_UNPROPOSED, "context 1: none"),
    (
        "accepted, two",
        accepted(TransferSyntax(IMPLICIT), TransferSyntax(EXPLICIT)),
        Code.AC_TRANSFER_SYNTAXES_SEVERAL,
        "context 1",
    ),
    (
        "abstract syntax in an answer",
        accepted(AbstractSyntax(CT), TransferSyntax(IMPLICIT)),
        Code.ITEM_MISPLACED,
        "30H in context 1",
    ),
    (
        "bytes 6 and 8",
        accepted(TransferSyntax(IMPLICIT), reserved_fields=b"\1\0"),
        Code.RESERVED_NOT_ZERO,
        "bytes 6 and 8 of context 1",
    ),
    # user information
    ("no maximum", request(user=NEEDED[1:]), Code.MAXIMUM_LENGTH_MISSING, ""),
    ("tiny", request(user=(MaximumLength(7), NEEDED[1])), Code.MAXIMUM_LENGTH_TINY, "7"),
    ("no class UID", answer(user=NEEDED[:1]), Code.IMPLEMENTATION_UID_MISSING, ""),
    ("empty name", proposing(ImplementationVersionName("")), Code.VERSION_NAME_MALFORMED, ""),
    ("long name", proposing(ImplementationVersionName("A" * 17)), Code.VERSION_NAME_MALFORMED, "A" * 17),
    ("8 bit name", answering(ImplementationVersionName("\xe9")), Code.VERSION_NAME_MALFORMED, "\\xe9"),
    ("window twice", proposing(*[AsynchronousOperationsWindow(1, 1)] * 2), Code.ITEM_REPEATED, "53H"),
    ("response twice", answering(UserIdentityAC(), UserIdentityAC()), Code.ITEM_REPEATED, "59H"),
    ("maximum twice", proposing(MaximumLength(8)), Code.ITEM_REPEATED, "51H"),
    ("extended twice", proposing(*[ExtendedNegotiation(CT, b"")] * 2), Code.ITEM_REPEATED, f"56H {CT}"),
    ("common twice", proposing(*[CommonExtendedNegotiation(CT, MR)] * 2), Code.ITEM_REPEATED, f"57H {CT}"),
    ("unknown", proposing(*[UnknownItem(0x5A, b"")] * 2), Code.ITEM_UNKNOWN, "5AH in user information"),
    ("misplaced", proposing(UserIdentityAC()), Code.ITEM_MISPLACED, "59H in user information"),
    ("57H in an answer", answering(CommonExtendedNegotiation(CT, MR)), Code.ITEM_MISPLACED, None),
    ("58H in an answer", answering(UserIdentityRQ(1, b"me")), Code.ITEM_MISPLACED, None),
    (
        "end of 57H",
        proposing(CommonExtendedNegotiation(CT, MR, trailing=b"\0")),
        Code.RESERVED_NOT_ZERO,
        "end of 57H in user information",
    ),
    ("role twice", proposing(RoleSelection(CT, 1, 1), RoleSelection(CT, 1, 0)), Code.ROLE_REPEATED, f"54H {CT}"),
    ("no role", answering(RoleSelection(CT, 0, 0)), Code.ROLE_NONE, CT),
    ("role of what is not proposed", proposing(RoleSelection("1.2", 1, 1)), Code.ROLE_UNPROPOSED, "1.2"),
    # the short PDUs
    ("result", AAssociateRJ(3, 1, 1), Code.REJECT_CODES, "result 3, source 1, reason 1"),
    ("source", AAssociateRJ(1, 4, 1), Code.REJECT_CODES, "result 1, source 4, reason 1"),
    ("reserved reason", AAssociateRJ(1, 1, 4), Code.REJECT_CODES, "result 1, source 1, reason 4"),
    ("presentation's reserved reason", AAssociateRJ(2, 3, 3), Code.REJECT_CODES, "result 2, source 3, reason 3"),
    ("reason", AAssociateRJ(2, 2, 3), Code.REJECT_CODES, "result 2, source 2, reason 3"),
    ("byte 7", AAssociateRJ(1, 1, 1, reserved_7=1), Code.RESERVED_NOT_ZERO, "byte 7"),
    ("long", AAssociateRJ(1, 1, 1, trailing=b"\0"), Code.PDU_LENGTH_NOT_FOUR, "5"),
    ("empty", AReleaseRQ(body=b""), Code.PDU_LENGTH_NOT_FOUR, "0"),
    ("long", AReleaseRP(body=bytes(8)), Code.PDU_LENGTH_NOT_FOUR, "8"),
    ("body", AReleaseRP(body=b"\0\0\0\1"), Code.RESERVED_NOT_ZERO, "bytes 7 to 10"),
    ("short", AAbort(missing=4), Code.PDU_LENGTH_NOT_FOUR, "0"),
    ("long", AAbort(trailing=bytes(4)), Code.PDU_LENGTH_NOT_FOUR, "8"),
    ("source", AAbort(1, 7), Code.ABORT_CODES, "source 1, reason 7"),
    ("reason", AAbort(2, 3), Code.ABORT_CODES, "source 2, reason 3"),
    ("bytes 7 and 8", AAbort(reserved_7_8=b"\1\0"), Code.RESERVED_NOT_ZERO, "bytes 7 and 8"),
    ("byte 2", PDataTF((PDV(1, 3, b""),), 1), Code.RESERVED_NOT_ZERO, "byte 2"),
    ("control", PDataTF((PDV(1, 7, b""),)), Code.RESERVED_NOT_ZERO, "control header 07H"),
]

# What cannot be alone: the one is never without the other.
COMPANIONS = {
    "no user information": {Code.MAXIMUM_LENGTH_MISSING, Code.IMPLEMENTATION_UID_MISSING},
    "padded with space": {Code.ITEM_REPEATED},
}


@pytest.mark.parametrize(
    ("what", "pdu", "code", "detail"), ONE_PDU, ids=[f"{code}-{what}" for what, _, code, _ in ONE_PDU]
)
def test_a_deviation_is_told_once_and_nothing_else(what: str, pdu: Pdu, code: Code, detail: str | None) -> None:
    found = lint(pdu)
    assert {deviation.code for deviation in found} - COMPANIONS.get(what, set()) == {code}
    assert [deviation.detail for deviation in found if deviation.code is code] == (
        [detail] if detail is not None else [found[0].detail]
    )


ASKED = proposing(
    AsynchronousOperationsWindow(4, 0),
    RoleSelection(CT, 1, 0),
    ExtendedNegotiation(CT, b"\1"),
    UserIdentityRQ(1, b"me", b"", 0),
)
REFUSED_3 = answer().presentation_contexts[0]

AGAINST: list[tuple[str, AAssociateAC, AAssociateRQ, list[Deviation]]] = [
    ("all as asked", answer(), ASKED, []),
    (
        "an answer's reserved bytes echo",
        replace(answer(), reserved_43_74=b"x" * 32),
        replace(ASKED, reserved_43_74=b"x" * 32),
        [],
    ),
    (
        "titles differ",
        replace(answer(), called_ae_title_field=b"\0" * 16),
        ASKED,
        [Deviation(Code.AC_TITLES_DIFFER, "called_ae_title_field: " + "\\x00" * 16)],
    ),
    (
        "reserved bytes differ",
        replace(answer(), reserved_43_74=b"x" * 32),
        ASKED,
        [Deviation(Code.AC_TITLES_DIFFER, "reserved_43_74: " + "x" * 32)],
    ),
    ("not answered", answer((ANSWERED[1],)), ASKED, [Deviation(Code.AC_CONTEXT_MISSING, "context 3")]),
    (
        "not proposed",
        answer((REFUSED_3, ANSWERED[1], PresentationContextAC.of(4, 0, "1.2"))),
        ASKED,
        [Deviation(Code.AC_CONTEXT_UNPROPOSED, "context 4")],
    ),
    (
        "transfer syntax not proposed",
        answer((REFUSED_3, PresentationContextAC.of(1, 0, "1.2"))),
        ASKED,
        [Deviation(Code.AC_TRANSFER_SYNTAX_UNPROPOSED, "context 1: 1.2")],
    ),
    ("transfer syntax of what is refused", answer((PresentationContextAC.of(3, 1, "x"), ANSWERED[1])), ASKED, []),
    (
        "transfer syntax of the second proposal with one ID",
        answer((PresentationContextAC.of(1, 0, EXPLICIT),)),
        request((PresentationContextRQ.of(1, CT, [IMPLICIT]), PresentationContextRQ.of(1, CT, [EXPLICIT]))),
        [Deviation(Code.AC_TRANSFER_SYNTAX_UNPROPOSED, f"context 1: {EXPLICIT}")],
    ),
    (
        "an even ID is the requestor's",
        answer((PresentationContextAC.of(2, 0, IMPLICIT), PresentationContextAC.of(2, 0, IMPLICIT))),
        request((PresentationContextRQ.of(2, CT, [IMPLICIT]),)),
        [Deviation(Code.CONTEXT_ID_REPEATED, "context 2")],
    ),
    (
        "window not proposed",
        answering(AsynchronousOperationsWindow(1, 1)),
        request(),
        [Deviation(Code.WINDOW_UNPROPOSED, "1, 1")],
    ),
    ("window within", answering(AsynchronousOperationsWindow(4, 0)), ASKED, []),
    (
        "window above",
        answering(AsynchronousOperationsWindow(5, 9)),
        ASKED,
        [Deviation(Code.WINDOW_ABOVE_OFFER, "invoked: 5 of 4")],
    ),
    (
        "window without end",
        answering(AsynchronousOperationsWindow(0, 0)),
        proposing(AsynchronousOperationsWindow(1, 1)),
        [
            Deviation(Code.WINDOW_ABOVE_OFFER, "invoked: 0 of 1"),
            Deviation(Code.WINDOW_ABOVE_OFFER, "performed: 0 of 1"),
        ],
    ),
    (
        "role as proposed, padded",
        answering(RoleSelection(CT + "\0", 1, 0)),
        ASKED,
        [Deviation(Code.UID_PADDED, CT + "\\x00")],
    ),
    ("role not proposed", answering(RoleSelection(MR, 1, 0)), ASKED, [Deviation(Code.ROLE_UNPROPOSED, MR)]),
    ("role turned on", answering(RoleSelection(CT, 1, 1)), ASKED, [Deviation(Code.ROLE_UNPROPOSED, CT)]),
    (
        "other role turned on",
        answering(RoleSelection(CT, 1, 1)),
        proposing(RoleSelection(CT, 0, 1)),
        [Deviation(Code.ROLE_UNPROPOSED, CT)],
    ),
    (
        "extended not proposed",
        answering(ExtendedNegotiation(MR, b"\1"), ExtendedNegotiation(CT, b"\1")),
        ASKED,
        [Deviation(Code.EXTENDED_UNPROPOSED, MR)],
    ),
    (
        "extended as proposed, padded",
        answering(ExtendedNegotiation(CT + "\0", b"")),
        ASKED,
        [Deviation(Code.UID_PADDED, CT + "\\x00")],
    ),
    ("identity, no answer wanted", answering(UserIdentityAC()), ASKED, [Deviation(Code.IDENTITY_UNREQUESTED)]),
    ("identity, none given", answering(UserIdentityAC()), request(), [Deviation(Code.IDENTITY_UNREQUESTED)]),
    ("identity, wanted", answering(UserIdentityAC()), proposing(UserIdentityRQ(1, b"", b"", 1)), []),
]


@pytest.mark.parametrize(("what", "pdu", "asked", "found"), AGAINST, ids=[what for what, *_ in AGAINST])
def test_an_answer_is_held_against_its_request(
    what: str, pdu: AAssociateAC, asked: AAssociateRQ, found: list[Deviation]
) -> None:
    assert lint(pdu, asked) == found, what


@pytest.mark.parametrize("maximum", [0, 8, 0xFFFFFFFF])
def test_no_maximum_and_one_with_room_for_two_bytes_are_fine(maximum: int) -> None:
    assert lint(request(user=(MaximumLength(maximum), *NEEDED[1:]))) == []


@pytest.mark.parametrize("result", range(5))
def test_the_results_of_the_standard_are_fine(result: int) -> None:
    assert lint(accepted(TransferSyntax(IMPLICIT), result=result)) == []


def test_what_needs_the_request_is_not_said_without_it() -> None:
    pdu = answering(
        AsynchronousOperationsWindow(1, 1), RoleSelection(MR, 1, 1), ExtendedNegotiation(MR, b""), UserIdentityAC()
    )
    assert lint(replace(pdu, called_ae_title_field=bytes(16))) == []


def test_the_content_of_a_refused_context_is_not_tested() -> None:
    refused = PresentationContextAC(3, 2, (TransferSyntax("no uid "), TransferSyntax("1.2"), AbstractSyntax("x")))
    assert lint(answer((refused, ANSWERED[1])), request()) == []


def test_a_blank_title_of_nul_is_both() -> None:
    pdu = replace(request(), calling_ae_title_field=bytes(16))
    assert codes(pdu) == [Code.AE_TITLE_NUL, Code.AE_TITLE_BLANK]


def test_details_are_escaped() -> None:
    pdu = replace(request(), called_ae_title_field=b"\x1b[31m\r\nroot".ljust(16))
    (deviation,) = lint(pdu)
    assert deviation.detail == "called \\x1b[31m\\x0d\\x0aroot     "


def test_the_list_is_short_however_many_deviations_there_are() -> None:
    bad = tuple(TransferSyntax(f"x{number}") for number in range(100))
    found = lint(proposal(AbstractSyntax(CT), *bad))
    assert found[:MOST_OF_A_CODE] == [Deviation(Code.UID_MALFORMED, f"x{n}") for n in range(MOST_OF_A_CODE)]
    assert found[MOST_OF_A_CODE:] == [Deviation(Code.UID_MALFORMED, f"and {100 - MOST_OF_A_CODE} more")]
    few = lint(proposal(AbstractSyntax(CT), *bad[:MOST_OF_A_CODE]))
    assert len(few) == MOST_OF_A_CODE
