"""PDUs and their bytes are inverse to each other; any bytes give a PDU or a RemoteProtocolError."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pdu_strategies import answers, pdus, requests
from sansdimse.deviations import Code
from sansdimse.errors import LocalProtocolError, RemoteProtocolError
from sansdimse.uids import APPLICATION_CONTEXT
from sansdimse.ul.items import (
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
    UserIdentityAC,
    UserIdentityRQ,
    UserInformation,
)
from sansdimse.ul.pdu import (
    PDV,
    AAbort,
    AAssociateAC,
    AAssociateRJ,
    AAssociateRQ,
    AReleaseRP,
    AReleaseRQ,
    PDataTF,
    Pdu,
    ae_title_field,
    decode_pdu,
)

CALLED = b"PACS            "
CALLING = b"ME              "


def wire(text: str) -> bytes:
    return bytes.fromhex(text)


def read(encoded: bytes) -> Pdu:
    return decode_pdu(encoded[0], encoded[6:], encoded[1])


def request(*items: Item) -> AAssociateRQ:
    return AAssociateRQ(CALLED, CALLING, items)


# ------------------------------------------------------------ invariants


@given(pdus)
@settings(max_examples=300)
def test_what_is_written_is_read_again(pdu: Pdu) -> None:
    encoded = pdu.encode()
    assert encoded[0] == pdu.PDU_TYPE
    assert int.from_bytes(encoded[2:6], "big") == len(encoded) - 6
    assert read(encoded) == pdu
    assert decode_pdu(encoded[0], memoryview(encoded)[6:], encoded[1]) == pdu


def attempt(pdu_type: int, body: bytes, reserved: int) -> Pdu | RemoteProtocolError:
    try:
        return decode_pdu(pdu_type, body, reserved)
    except RemoteProtocolError as error:
        return error


def check_total(pdu_type: int, body: bytes, reserved: int) -> None:
    result = attempt(pdu_type, body, reserved)
    if isinstance(result, RemoteProtocolError):
        reasons = {Code.PDU_UNRECOGNIZED: 1, Code.PDU_MALFORMED: 6, Code.ITEM_MALFORMED: 6, Code.PDV_MALFORMED: 6}
        assert result.abort_reason == reasons[result.code]
        assert (result.code is Code.PDU_UNRECOGNIZED) == (pdu_type not in range(1, 8))
    else:
        assert result.encode() == bytes((pdu_type, reserved)) + len(body).to_bytes(4, "big") + body


@given(st.integers(0, 9), st.binary(max_size=100), st.integers(0, 255))
@settings(max_examples=300)
@example(7, b"", 0)
@example(7, b"\1", 0)
@example(7, b"\1\2\3", 0)
@example(6, bytes(64), 255)
@example(4, b"", 0)
def test_any_bytes_are_read_without_loss_or_are_malformed(pdu_type: int, body: bytes, reserved: int) -> None:
    check_total(pdu_type, body, reserved)


@given(pdus, st.data())
@settings(max_examples=300)
def test_so_are_pdus_cut_and_damaged(pdu: Pdu, data: st.DataObject) -> None:
    body = bytearray(pdu.encode()[6:])
    for _ in range(data.draw(st.integers(0, 3)) if body else 0):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    start = data.draw(st.integers(0, len(body)))
    check_total(pdu.PDU_TYPE, bytes(body[:start] + body[data.draw(st.integers(start, len(body))) :]), 0)


@given(st.binary(max_size=64))
def test_an_abort_never_fails(body: bytes) -> None:
    pdu = decode_pdu(7, body)
    padded = body.ljust(4, b"\0")
    assert isinstance(pdu, AAbort)
    assert (pdu.source, pdu.reason) == (padded[2], padded[3])


@given(st.sampled_from([5, 6]), st.binary(max_size=64))
def test_a_release_of_any_length_is_read(pdu_type: int, body: bytes) -> None:
    pdu = decode_pdu(pdu_type, body)
    assert isinstance(pdu, AReleaseRQ | AReleaseRP)
    assert pdu.body == body


@given(requests | answers)
def test_the_properties_are_total(pdu: AAssociateRQ | AAssociateAC) -> None:
    for name in (
        "called_ae_title calling_ae_title application_context presentation_contexts user_information maximum_length "
        "implementation_class_uid implementation_version_name asynchronous_operations_window role_selections "
        "extended_negotiations common_extended_negotiations user_identity"
    ).split():
        getattr(pdu, name)


# ------------------------------------------------------------ the layout of PS3.8 9.3

LAYOUT: list[tuple[Pdu, str]] = [
    (AAssociateRJ(1, 2, 3, 9, 8), "03 09 00000004 08 01 02 03"),
    (PDataTF((PDV(1, 3, b"ab"), PDV(3, 0, b"")), 9), "04 09 0000000e 00000004 01 03 6162  00000002 03 00"),
    (AReleaseRQ(), "05 00 00000004 00000000"),
    (AReleaseRP(9), "06 09 00000004 00000000"),
    (AAbort(2, 6, 9, b"ab"), "07 09 00000004 61 62 02 06"),
    (AAbort(), "07 00 00000004 00000000"),
    (AAbort(0, 0, 0, b"a\0", missing=3), "07 00 00000001 61"),
    (
        AAssociateRQ(CALLED, CALLING, (TransferSyntax("1"),), 3, 9, b"ab", b"r" * 32, b"xyz"),
        f"01 09 0000004c 0003 6162 {CALLED.hex()} {CALLING.hex()} {'72' * 32} 40000001 31 78797a",
    ),
    (
        AAssociateAC(CALLED, CALLING, ()),
        f"02 00 00000044 0001 0000 {CALLED.hex()} {CALLING.hex()} {'00' * 32}",
    ),
]


@pytest.mark.parametrize(("pdu", "layout"), LAYOUT)
def test_a_pdu_has_the_layout_of_the_standard(pdu: Pdu, layout: str) -> None:
    assert pdu.encode() == wire(layout)
    assert read(wire(layout)) == pdu


def test_the_data_of_a_memoryview_are_views_of_it() -> None:
    body = memoryview(PDataTF((PDV(1, 0, b"pixels"),)).encode())[6:]
    pdu = decode_pdu(4, body)
    assert isinstance(pdu, PDataTF)
    data = pdu.pdvs[0].data
    assert isinstance(data, memoryview)
    assert data.obj is body.obj


@pytest.mark.parametrize(
    ("control", "command", "last"), [(0, False, False), (1, True, False), (2, False, True), (0xFF, True, True)]
)
def test_the_message_control_header_has_two_bits(control: int, command: bool, last: bool) -> None:
    pdv = PDV(1, control, b"")
    assert (pdv.is_command, pdv.is_last) == (command, last)


MALFORMED: list[tuple[int, bytes, Code]] = [
    (1, bytes(67), Code.PDU_MALFORMED),
    (2, b"", Code.PDU_MALFORMED),
    (1, bytes(68) + wire("ee000001"), Code.ITEM_MALFORMED),
    (3, bytes(3), Code.PDU_MALFORMED),
    (4, b"", Code.PDV_MALFORMED),
    (4, wire("00000002 01"), Code.PDV_MALFORMED),
    (4, wire("00000001 01 00"), Code.PDV_MALFORMED),
    (4, wire("00000001 01 00000002 01 00"), Code.PDV_MALFORMED),
    (4, wire("00000003 01 00"), Code.PDV_MALFORMED),
    (4, wire("ffffffff 01 00 00"), Code.PDV_MALFORMED),
    (4, wire("00000002 01 00 00"), Code.PDV_MALFORMED),
]


@pytest.mark.parametrize(("pdu_type", "body", "code"), MALFORMED)
def test_a_pdu_that_does_not_fit_its_length_is_a_fault(pdu_type: int, body: bytes, code: Code) -> None:
    with pytest.raises(RemoteProtocolError) as error:
        decode_pdu(pdu_type, body)
    assert (error.value.code, error.value.abort_reason) == (code, 6)


@pytest.mark.parametrize("pdu_type", [0, 8, 0x47, 255])
def test_an_unknown_type_is_unrecognized(pdu_type: int) -> None:
    with pytest.raises(RemoteProtocolError) as error:
        decode_pdu(pdu_type, bytes(68))
    assert (error.value.code, error.value.abort_reason) == (Code.PDU_UNRECOGNIZED, 1)


UNFIT: list[tuple[Pdu, str]] = [
    (AAssociateRQ(b"PACS", CALLING, ()), "called_ae_title_field has 4 bytes where 16"),
    (AAssociateAC(CALLED, CALLING + b" ", ()), "calling_ae_title_field has 17 bytes where 16"),
    (AAssociateRQ(CALLED, CALLING, (), protocol_version=0x10000), "protocol_version is 65536"),
    (AAssociateRQ(CALLED, CALLING, (), reserved=256), "reserved is 256"),
    (AAssociateRQ(CALLED, CALLING, (), reserved_9_10=b""), "reserved_9_10 has 0 bytes"),
    (AAssociateRQ(CALLED, CALLING, (), reserved_43_74=bytes(33)), "reserved_43_74 has 33 bytes"),
    (AAssociateRQ(CALLED, CALLING, (), trailing=bytes(4)), "trailing has 4 bytes"),
    (AAssociateRJ(256, 0, 0), "result is 256"),
    (AAssociateRJ(0, 256, 0), "source is 256"),
    (AAssociateRJ(0, 0, -1), "reason is -1"),
    (AAssociateRJ(1, 1, 1, reserved_7=256), "reserved_7 is 256"),
    (AAssociateRJ(1, 1, 1, 256), "reserved is 256"),
    (PDataTF(()), "pdvs is empty"),
    (PDataTF((PDV(256, 0, b""),)), "context_id is 256"),
    (PDataTF((PDV(1, 256, b""),)), "control is 256"),
    (PDataTF((PDV(1, 0, b""),), -1), "reserved is -1"),
    (AReleaseRQ(256), "reserved is 256"),
    (AReleaseRP(256), "reserved is 256"),
    (AAbort(256), "source is 256"),
    (AAbort(0, 256), "reason is 256"),
    (AAbort(reserved=256), "reserved is 256"),
    (AAbort(reserved_7_8=b""), "reserved_7_8 has 0 bytes"),
    (AAbort(missing=5), "missing is 5"),
    (AAbort(missing=-1), "missing is -1"),
    (AAbort(0, 1, missing=1), "missing is 1"),
    (AAbort(trailing=b"x", missing=1), "missing is 1"),
]


@pytest.mark.parametrize(("pdu", "named"), UNFIT, ids=[f"{type(pdu).__name__}-{named}" for pdu, named in UNFIT])
def test_what_does_not_fit_is_refused_by_the_name_of_its_field(pdu: Pdu, named: str) -> None:
    with pytest.raises(LocalProtocolError) as error:
        pdu.encode()
    assert named in str(error.value)


# ------------------------------------------------------------ AE titles


@given(st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E, exclude_characters="\\"), min_size=1, max_size=16))
def test_an_ae_title_is_padded_with_spaces(title: str) -> None:
    if title.strip():
        field = ae_title_field(title)
        assert len(field) == 16
        assert field.decode("ascii").rstrip(" ") == title.rstrip(" ")
        assert AAssociateRQ(field, field, ()).called_ae_title == title.strip(" ")


@pytest.mark.parametrize(
    "title", ["", " ", " " * 16, "A" * 17, "A" + " " * 16, "A\\B", "A\nB", "A\0", "\x7f", "PACS\xe9", "\u20ac"]
)
def test_what_is_no_ae_title_is_refused(title: str) -> None:
    with pytest.raises(LocalProtocolError, match="AE title") as error:
        ae_title_field(title)
    assert str(error.value).isprintable()
    with pytest.raises(LocalProtocolError):
        AAssociateRQ.of(called=title, calling="ME", contexts=(), user_information=())
    with pytest.raises(LocalProtocolError):
        AAssociateRQ.of(called="PACS", calling=title, contexts=(), user_information=())


def test_titles_are_read_without_padding_of_either_kind() -> None:
    pdu = AAssociateRQ(b"  PACS \0\0 \0     ", b"\xc0\xb3" + bytes(14), ())
    assert pdu.called_ae_title == "PACS"
    assert pdu.calling_ae_title == "\xc0\xb3"


# ------------------------------------------------------------ what the items mean


def test_a_request_is_made_as_the_standard_has_it() -> None:
    context = PresentationContextRQ.of(1, "1.2", ["1.3"])
    pdu = AAssociateRQ.of(called="PACS", calling="ME", contexts=[context], user_information=[MaximumLength(16384)])
    expected = (ApplicationContext(APPLICATION_CONTEXT), context, UserInformation((MaximumLength(16384),)))
    assert pdu == AAssociateRQ(CALLED, CALLING, expected)
    assert pdu.presentation_contexts == (context,)
    assert pdu.application_context == APPLICATION_CONTEXT
    assert pdu.maximum_length == 16384


def test_an_answer_echoes_the_requests_bytes() -> None:
    asked = AAssociateRQ(b"\0" * 16, b"\xff" * 16, (), 3, 7, b"ab", b"echo" * 8, b"x")
    context = PresentationContextAC.of(1, 0, "1.2")
    pdu = AAssociateAC.of(asked, contexts=iter([context]), user_information=iter([MaximumLength(0)]))
    assert pdu.encode()[10:74] == asked.encode()[10:74]
    assert (pdu.protocol_version, pdu.reserved, pdu.reserved_9_10, pdu.trailing) == (1, 0, b"\0\0", b"")
    assert pdu.items == (ApplicationContext(), context, UserInformation((MaximumLength(0),)))
    assert pdu.presentation_contexts == (context,)
    other = AAssociateAC.of(asked, contexts=(), user_information=(), application_context="1.9")
    assert other.application_context == "1.9"


def test_nothing_is_found_in_a_pdu_without_items() -> None:
    for pdu in (request(), AAssociateAC(CALLED, CALLING, ())):
        assert pdu.application_context is None
        assert pdu.maximum_length is None
        assert pdu.implementation_class_uid is None
        assert pdu.implementation_version_name is None
        assert pdu.asynchronous_operations_window is None
        assert pdu.user_identity is None
        assert pdu.presentation_contexts == ()
        assert pdu.user_information == ()
        assert pdu.role_selections == ()
        assert pdu.extended_negotiations == ()
        assert pdu.common_extended_negotiations == ()


def test_several_user_informations_are_one_and_the_last_wins() -> None:
    roles = (RoleSelection("1", 1, 0), RoleSelection("2", 0, 1))
    extended = (ExtendedNegotiation("1", b"a"), ExtendedNegotiation("1", b"b"))
    common = CommonExtendedNegotiation("1", "2")
    first = (MaximumLength(1), ImplementationClassUID("1"), roles[0], extended[0], UserIdentityRQ(1, b"a"))
    second: tuple[Item, ...] = (
        roles[1],
        extended[1],
        common,
        MaximumLength(2),
        AsynchronousOperationsWindow(1, 1),
        AsynchronousOperationsWindow(0, 5),
        ImplementationClassUID("1.2\0"),
        ImplementationVersionName("old"),
        ImplementationVersionName("new "),
        UserIdentityAC(b"not of a request"),
        UserIdentityRQ(2, b"b"),
    )
    pdu = request(UserInformation(first), MaximumLength(3), UserInformation(second), ApplicationContext("1.2\0"))
    assert pdu.user_information == first + second
    assert pdu.maximum_length == 2
    assert pdu.implementation_class_uid == "1.2"
    assert pdu.implementation_version_name == "new "
    assert pdu.asynchronous_operations_window == AsynchronousOperationsWindow(0, 5)
    assert pdu.role_selections == roles
    assert pdu.extended_negotiations == extended
    assert pdu.common_extended_negotiations == (common,)
    assert pdu.user_identity == UserIdentityRQ(2, b"b")
    assert pdu.application_context == "1.2"
    answer = AAssociateAC(CALLED, CALLING, pdu.items)
    assert answer.user_identity == UserIdentityAC(b"not of a request")


def test_contexts_of_the_other_pdu_are_not_taken() -> None:
    proposal, result = PresentationContextRQ(1, ()), PresentationContextAC(1, 0, ())
    assert request(result, proposal).presentation_contexts == (proposal,)
    assert AAssociateAC(CALLED, CALLING, (proposal, result)).presentation_contexts == (result,)


def test_the_first_application_context_counts() -> None:
    assert request(ApplicationContext("1 "), ApplicationContext("2")).application_context == "1"


def test_a_request_and_an_answer_differ() -> None:
    both: set[Pdu] = {request(), AAssociateAC(CALLED, CALLING, ())}
    assert len(both) == 2
