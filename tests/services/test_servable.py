"""What can be served is served; everything else has its status of PS3.7 Annex C, in a fixed order."""

from __future__ import annotations

from typing import Any

import pytest

from engine_pair import CT, INSTANCE, MR
from sansdimse.deviations import Code
from sansdimse.dimse.command import Decoded, decode_command, encode_command
from sansdimse.dimse.messages import (
    DICTIONARY,
    NO_DATA_SET,
    WITH_DATA_SET,
    CEchoRQ,
    CFindRQ,
    CGetRQ,
    CMoveRQ,
    CStoreRQ,
    Element,
    Message,
    NActionRQ,
    NCreateRQ,
    NDeleteRQ,
    NEventReportRQ,
    NGetRQ,
    NSetRQ,
    UnknownCommand,
)
from sansdimse.profile import DEFAULT, STRICT, Profile
from sansdimse.services.servable import SERVICES, unservable
from sansdimse.services.sop_classes import (
    BASIC_COLOR_IMAGE_BOX,
    BASIC_FILM_BOX,
    BASIC_FILM_SESSION,
    BASIC_GRAYSCALE_IMAGE_BOX,
    BASIC_GRAYSCALE_PRINT_MANAGEMENT_META,
    MODALITY_PERFORMED_PROCEDURE_STEP,
    PRINTER,
    STANDARD,
    UNIFIED_PROCEDURE_STEP_EVENT,
    UNIFIED_PROCEDURE_STEP_PULL,
    UNIFIED_PROCEDURE_STEP_PUSH,
    UNIFIED_PROCEDURE_STEP_QUERY,
    UNIFIED_PROCEDURE_STEP_WATCH,
    invoked_by,
    private_storage,
)
from sansdimse.uids import IMPLICIT_VR_LITTLE_ENDIAN, VERIFICATION
from sansdimse.ul.agreement import NegotiatedContext

FIND = "1.2.840.10008.5.1.4.1.2.1.1"
GET = "1.2.840.10008.5.1.4.1.2.1.3"
PRIVATE = "1.2.3.4.5"


def context(
    abstract_syntax: str = CT, *, as_scp: bool = True, as_scu: bool = True, role_unanswered: bool = False
) -> NegotiatedContext:
    syntax = IMPLICIT_VR_LITTLE_ENDIAN
    return NegotiatedContext(1, abstract_syntax, (syntax,), 0, syntax, as_scu, as_scp, role_unanswered)


def received(message: Message | UnknownCommand) -> Decoded:
    return decode_command(encode_command(message))


def echo(sop_class: str = VERIFICATION) -> Decoded:
    return received(CEchoRQ(message_id=7, affected_sop_class_uid=sop_class))


def store(sop_class: str = CT) -> Decoded:
    return received(CStoreRQ(message_id=7, affected_sop_class_uid=sop_class, affected_sop_instance_uid=INSTANCE))


def elements(field: int, *given: tuple[int, bytes]) -> Decoded:
    """A command with these elements and no others, and message ID 7."""
    return received(UnknownCommand(field, 7, tuple(Element(*pair) for pair in given)))


def uid(text: str) -> bytes:
    return text.encode() + b"\0" * (len(text) % 2)


def find(sop_class: str) -> Decoded:
    return received(CFindRQ(message_id=7, affected_sop_class_uid=sop_class))


SOP_CLASS, INSTANCE_UID = (0x0002, uid(CT)), (0x1000, uid(INSTANCE))
DATA, NO_DATA = (0x0800, WITH_DATA_SET.to_bytes(2, "little")), (0x0800, NO_DATA_SET.to_bytes(2, "little"))
FIND_RQ = find(FIND)


@pytest.mark.parametrize(
    ("context", "decoded"),
    [
        (context(VERIFICATION), echo()),
        (context(CT), store()),
        (context(PRIVATE), store(PRIVATE)),
        (context(PRIVATE), echo(PRIVATE)),
        (context(FIND), FIND_RQ),
        (context("1.2.840.10008.5.1.4.31"), find("1.2.840.10008.5.1.4.31")),
        (context(PRIVATE), find(PRIVATE)),
    ],
)
@pytest.mark.parametrize("profile", [DEFAULT, STRICT])
def test_served_without_a_word(context: NegotiatedContext, decoded: Decoded, profile: Profile) -> None:
    assert unservable(context, decoded, profile, {1, 2}) == (None, [])


@pytest.mark.parametrize(
    ("decoded", "codes"),
    [
        (store(MR), [Code.SOP_CLASS_NOT_OF_CONTEXT]),
        (elements(1, INSTANCE_UID, DATA), [Code.SOP_CLASS_MISSING]),
        (elements(1, SOP_CLASS, (0x1000, b"1.02"), DATA), [Code.UID_MALFORMED]),
        (elements(1, SOP_CLASS, (0x1000, b"1" * 128), DATA), [Code.UID_MALFORMED]),
    ],
)
def test_served_with_a_deviation(decoded: Decoded, codes: list[Code]) -> None:
    refused, deviations = unservable(context(), decoded, DEFAULT, ())
    assert refused is None
    assert [deviation.code for deviation in deviations] == codes
    refused, _ = unservable(context(), decoded, STRICT, ())
    assert refused is not None


@pytest.mark.parametrize(
    ("context", "decoded", "status", "text"),
    [
        (context(), elements(0x7777, SOP_CLASS), 0x0211, "command field 7777 is none of the standard's"),
        (context(GET), find(GET), 0x0211, "C-FIND is no service of Patient Root"),
        (context(CT), find(CT), 0x0211, "C-FIND is no service of CT Image Storage"),
        (context(CT), FIND_RQ, 0x0122, f"{FIND} on context {CT}"),
        (context(FIND, as_scp=False), FIND_RQ, 0x0122, "we are not the SCP of context 1 (Patient Root"),
        (context(FIND), elements(0x20, (0x0002, uid(FIND)), NO_DATA), 0x0212, "C-FIND lacks data set"),
        (context(FIND), received(CGetRQ(message_id=7, affected_sop_class_uid=FIND)), 0x0211, "C-GET is no service of"),
        (context(), received(NCreateRQ(message_id=7, affected_sop_class_uid=CT)), 0x0211, "N-CREATE is no service of"),
        (context(as_scp=False), store(), 0x0122, "we are not the SCP of context 1 (CT Image Storage"),
        (context(VERIFICATION), store(), 0x0122, f"{CT} on context {VERIFICATION}"),
        (context(CT), echo(), 0x0122, f"{VERIFICATION} on context {CT}"),
        (context(CT), store(FIND), 0x0122, f"{FIND} on context {CT}"),
        (context(PRIVATE), store(), 0x0122, f"{CT} on context {PRIVATE}"),
        (context(VERIFICATION), store(VERIFICATION), 0x0211, "C-STORE is no service of Verification"),
        (context(FIND), store(FIND), 0x0211, "C-STORE is no service of Patient Root"),
        (context(), elements(1, SOP_CLASS, DATA), 0x0212, "C-STORE lacks affected_sop_instance_uid"),
        (context(), elements(1, SOP_CLASS, INSTANCE_UID, NO_DATA), 0x0212, "C-STORE lacks data set"),
        (context(), elements(1, NO_DATA), 0x0212, "C-STORE lacks affected_sop_instance_uid, data set"),
        (context(), elements(1, SOP_CLASS, (0x1000, b"1" * 130), DATA), 0x0117, "not a UID: 1111"),
    ],
)
def test_not_served(context: NegotiatedContext, decoded: Decoded, status: int, text: str) -> None:
    refused, _ = unservable(context, decoded, DEFAULT, {1})
    assert refused is not None
    assert refused.status == status
    assert text in refused.text


def test_what_is_missing_is_named_however_the_sop_class_is_taken() -> None:
    refused, deviations = unservable(context(), elements(1, DATA), STRICT, ())
    assert refused is not None
    assert refused.text == "C-STORE lacks affected_sop_class_uid, affected_sop_instance_uid"
    assert [deviation.code for deviation in deviations] == [Code.SOP_CLASS_MISSING]


@pytest.mark.parametrize("decoded", [store(), echo(), FIND_RQ, store(MR), elements(1)])
@pytest.mark.parametrize("as_scp", [True, False])
def test_a_message_id_in_use_comes_before_all_but_the_command(decoded: Decoded, as_scp: bool) -> None:
    refused, [deviation] = unservable(context(as_scp=as_scp), decoded, DEFAULT, {7})
    assert refused is not None
    assert refused.status == 0x0210
    assert deviation.code is Code.MESSAGE_ID_REPEATED
    refused, deviations = unservable(context(), elements(0x7777), DEFAULT, {7})
    assert refused is not None
    assert (refused.status, deviations) == (0x0211, [])


def test_what_a_peer_wrote_is_escaped() -> None:
    hostile = elements(1, (0x0002, b"\x1b[2J\n\n"), INSTANCE_UID, DATA)
    refused, _ = unservable(context(), hostile, DEFAULT, ())
    assert refused is not None
    assert refused.text.isprintable()


# ---------------------------------------------------------------- each of the eleven

_AFFECTED = {"message_id": 7, "affected_sop_class_uid": PRIVATE}
_REQUESTED = {"message_id": 7, "requested_sop_class_uid": PRIVATE, "requested_sop_instance_uid": INSTANCE}
REQUESTS: dict[str, Message] = {
    "C-ECHO": CEchoRQ(**_AFFECTED),
    "C-STORE": CStoreRQ(**_AFFECTED, affected_sop_instance_uid=INSTANCE),
    "C-FIND": CFindRQ(**_AFFECTED),
    "C-GET": CGetRQ(**_AFFECTED),
    "C-MOVE": CMoveRQ(**_AFFECTED, move_destination="STORE"),
    "N-EVENT-REPORT": NEventReportRQ(**_AFFECTED, affected_sop_instance_uid=INSTANCE, event_type_id=1),
    "N-GET": NGetRQ(**_REQUESTED),
    "N-SET": NSetRQ(**_REQUESTED),
    "N-ACTION": NActionRQ(**_REQUESTED, action_type_id=1),
    "N-CREATE": NCreateRQ(**_AFFECTED, affected_sop_instance_uid=INSTANCE),
    "N-DELETE": NDeleteRQ(**_REQUESTED),
}
each_service = pytest.mark.parametrize("service", list(REQUESTS))
_TAGS = {name: tag for name, (tag, _) in DICTIONARY.items()}


def raw(service: str, *, without: str = "", instead: dict[str, bytes] | None = None) -> Decoded:
    """The request of this service as bytes, without an element, or with others in the place of some."""
    message: Any = REQUESTS[service]
    given = {"command_data_set_type": message.command_data_set_type.to_bytes(2, "little")}
    for name in _TAGS:
        value = getattr(message, name, None)
        if name in ("message_id", "command_data_set_type") or value is None or value == ():
            continue
        given[name] = uid(value) if isinstance(value, str) else value.to_bytes(2, "little")
    given.update(instead or {})
    given.pop(without, None)
    return elements(message.COMMAND_FIELD, *((_TAGS[name], value) for name, value in given.items()))


def judged(
    service: str, decoded: Decoded, at: NegotiatedContext | None = None, profile: Profile = DEFAULT
) -> tuple[int | None, str, list[Code]]:
    refused, deviations = unservable(at or context(PRIVATE), decoded, profile, {1})
    codes = [deviation.code for deviation in deviations]
    return (None, "", codes) if refused is None else (refused.status, refused.text, codes)


def test_all_services_of_the_standard_are_known() -> None:
    assert {service: type(message) for service, message in REQUESTS.items()} == {
        service: kind for kind, service in SERVICES.items()
    }
    assert {service for row in STANDARD for service in row.dimse_services} == set(REQUESTS)


@each_service
@pytest.mark.parametrize("profile", [DEFAULT, STRICT])
def test_each_is_served_for_a_private_sop_class(service: str, profile: Profile) -> None:
    assert judged(service, received(REQUESTS[service]), profile=profile) == (None, "", [])
    assert judged(service, raw(service), profile=profile) == (None, "", [])


@each_service
def test_each_is_performed_by_the_other_role_of_who_invokes_it(service: str) -> None:
    invokes = invoked_by(service)
    we_may = context(PRIVATE, as_scu=invokes == "SCP", as_scp=invokes == "SCU")
    we_may_not = context(PRIVATE, as_scu=invokes == "SCU", as_scp=invokes == "SCP")
    ours = "SCU" if invokes == "SCP" else "SCP"
    assert judged(service, raw(service), we_may)[0] is None
    assert judged(service, raw(service), we_may_not)[:2] == (
        0x0122,
        f"we are not the {ours} of context 1 ({PRIVATE})",
    )


@each_service
def test_an_scp_role_that_was_proposed_and_not_answered_is_enough_for_a_store(service: str) -> None:
    unanswered = context(PRIVATE, as_scp=False, role_unanswered=True)
    if service == "C-STORE":
        assert judged(service, raw(service), unanswered) == (None, "", [Code.ROLE_UNANSWERED])
        status, text, codes = judged(service, raw(service), unanswered, STRICT)
        assert (status, codes) == (0x0122, [Code.ROLE_UNANSWERED])
        assert "we are not the SCP" in text
    elif invoked_by(service) == "SCU":
        assert judged(service, raw(service), unanswered)[::2] == (0x0122, [])


def test_a_private_sop_class_that_is_known_has_the_services_of_its_row() -> None:
    table = STANDARD.with_private(private_storage(PRIVATE, "our images"))
    for service in REQUESTS:
        refused, deviations = unservable(context(PRIVATE), raw(service), DEFAULT, (), table)
        assert deviations == []
        if service == "C-STORE":
            assert refused is None
        else:
            assert refused is not None
            assert (refused.status, refused.text) == (0x0211, f"{service} is no service of our images")


@each_service
def test_each_with_a_message_id_in_use(service: str) -> None:
    refused, [deviation] = unservable(context(PRIVATE), raw(service), DEFAULT, {7})
    assert refused is not None
    assert (refused.status, deviation.code) == (0x0210, Code.MESSAGE_ID_REPEATED)


@each_service
def test_each_on_a_context_of_another_sop_class(service: str) -> None:
    for other in (VERIFICATION, "1.2.3.9"):
        status, text, codes = judged(service, raw(service), context(other))
        assert (status, codes) == (0x0122, [Code.SOP_CLASS_NOT_OF_CONTEXT])
        assert f"{PRIVATE} on context {other}" in text


@each_service
def test_each_that_the_sop_class_does_not_have(service: str) -> None:
    """Every SOP class of the table, with a request that names it."""
    asked = raw(service)
    field = next(name for name in ("affected_sop_class_uid", "requested_sop_class_uid") if hasattr(asked.message, name))
    for row in STANDARD:
        named = raw(service, instead={field: uid(row.uid)})
        status, text, codes = judged(service, named, context(row.uid))
        if service in row.dimse_services:
            assert (status, codes) == (None, [])
        else:
            assert (status, codes) == (0x0211, [])
            assert text.startswith(f"{service} is no service of {STANDARD.name_of(row.uid)}")


@pytest.mark.parametrize(
    ("service", "element"),
    [
        ("C-STORE", "affected_sop_instance_uid"),
        ("C-MOVE", "move_destination"),
        ("N-EVENT-REPORT", "affected_sop_instance_uid"),
        ("N-EVENT-REPORT", "event_type_id"),
        *((service, "requested_sop_instance_uid") for service in ("N-GET", "N-SET", "N-ACTION", "N-DELETE")),
        ("N-ACTION", "action_type_id"),
    ],
)
@pytest.mark.parametrize("empty", [False, True])
def test_each_without_what_it_must_have(service: str, element: str, empty: bool) -> None:
    if empty:
        decoded = raw(service, instead={element: b""})
    else:
        decoded = raw(service, without=element)
    assert judged(service, decoded)[:2] == (0x0212, f"{service} lacks {element}")


@pytest.mark.parametrize("service", ["C-STORE", "C-FIND", "C-GET", "C-MOVE", "N-SET"])
def test_each_without_the_data_set_it_must_have(service: str) -> None:
    decoded = raw(service, instead={"command_data_set_type": NO_DATA_SET.to_bytes(2, "little")})
    assert judged(service, decoded)[:2] == (0x0212, f"{service} lacks data set")


@pytest.mark.parametrize("service", ["N-EVENT-REPORT", "N-ACTION", "N-CREATE"])
@pytest.mark.parametrize("announced", [NO_DATA_SET, WITH_DATA_SET])
def test_a_data_set_that_may_be_is_there_or_not(service: str, announced: int) -> None:
    decoded = raw(service, instead={"command_data_set_type": announced.to_bytes(2, "little")})
    assert judged(service, decoded) == (None, "", [])


@pytest.mark.parametrize("service", ["N-GET", "N-ACTION", "N-CREATE", "N-EVENT-REPORT"])
def test_what_need_not_be_there(service: str) -> None:
    for optional in ("attribute_identifier_list", "affected_sop_instance_uid") if service == "N-CREATE" else ():
        assert judged(service, raw(service, without=optional)) == (None, "", [])


@pytest.mark.parametrize(
    ("service", "element"),
    [
        ("C-STORE", "affected_sop_instance_uid"),
        ("N-CREATE", "affected_sop_instance_uid"),
        ("N-EVENT-REPORT", "affected_sop_instance_uid"),
        *((service, "requested_sop_instance_uid") for service in ("N-GET", "N-SET", "N-ACTION", "N-DELETE")),
    ],
)
def test_each_with_an_instance_that_is_no_uid(service: str, element: str) -> None:
    too_long = raw(service, instead={element: b"1" * 130})
    status, text, codes = judged(service, too_long)
    assert (status, codes) == (0x0117, [Code.UID_MALFORMED])
    assert text.startswith("not a UID: 1111")
    malformed = raw(service, instead={element: b"1.02"})
    assert judged(service, malformed) == (None, "", [Code.UID_MALFORMED])
    assert judged(service, malformed, profile=STRICT)[0] == 0x0117


@each_service
def test_each_without_its_sop_class_takes_the_contexts(service: str) -> None:
    names = ("affected_sop_class_uid", "requested_sop_class_uid")
    [name] = [name for name in names if hasattr(REQUESTS[service], name)]
    decoded = raw(service, without=name)
    assert judged(service, decoded) == (None, "", [Code.SOP_CLASS_MISSING])
    assert judged(service, decoded, profile=STRICT)[:2] == (0x0212, f"{service} lacks {name}")
    # But only the services that the context has.
    status, text, _ = judged(service, decoded, context(PRINTER))
    assert status == (None if service in ("N-GET", "N-EVENT-REPORT") else 0x0211), text


# ---------------------------------------------------------------- contexts that carry the messages of others

META = BASIC_GRAYSCALE_PRINT_MANAGEMENT_META


def naming(service: str, sop_class: str) -> Decoded:
    """A request of this service that names this SOP class."""
    affected = hasattr(REQUESTS[service], "affected_sop_class_uid")
    return raw(service, instead={"affected_sop_class_uid" if affected else "requested_sop_class_uid": uid(sop_class)})


@pytest.mark.parametrize("member", [PRINTER, BASIC_FILM_SESSION, BASIC_FILM_BOX, BASIC_GRAYSCALE_IMAGE_BOX])
@each_service
def test_a_member_of_a_meta_sop_class_has_its_own_services(service: str, member: str) -> None:
    status, text, codes = judged(service, naming(service, member), context(META))
    assert codes == []
    if STANDARD.serves(member, service):
        assert status is None
    else:
        assert (status, text) == (0x0211, f"{service} is no service of {STANDARD.name_of(member)}")


def test_a_printer_is_not_deleted() -> None:
    assert judged("N-DELETE", naming("N-DELETE", PRINTER), context(META))[0] == 0x0211
    assert judged("N-DELETE", naming("N-DELETE", BASIC_FILM_SESSION), context(META))[0] is None


def test_who_names_the_meta_sop_class_itself_has_what_its_members_have() -> None:
    assert judged("N-CREATE", naming("N-CREATE", META), context(META)) == (None, "", [])
    assert judged("C-STORE", naming("C-STORE", META), context(META))[0] == 0x0211


def test_what_is_no_member_is_a_neighbour_or_foreign() -> None:
    wrong = [Code.SOP_CLASS_NOT_OF_CONTEXT]
    assert judged("N-SET", naming("N-SET", BASIC_COLOR_IMAGE_BOX), context(META)) == (None, "", wrong)
    assert judged("N-SET", naming("N-SET", BASIC_COLOR_IMAGE_BOX), context(META), STRICT)[0] == 0x0122
    step = MODALITY_PERFORMED_PROCEDURE_STEP
    assert judged("N-SET", naming("N-SET", step), context(META))[::2] == (0x0122, wrong)


_UPS = {
    UNIFIED_PROCEDURE_STEP_PUSH: {"N-CREATE", "N-ACTION", "N-GET"},
    UNIFIED_PROCEDURE_STEP_WATCH: {"N-ACTION", "N-GET", "C-FIND"},
    UNIFIED_PROCEDURE_STEP_PULL: {"C-FIND", "N-GET", "N-SET", "N-ACTION"},
    UNIFIED_PROCEDURE_STEP_EVENT: {"N-EVENT-REPORT"},
    UNIFIED_PROCEDURE_STEP_QUERY: {"C-FIND"},
}


@pytest.mark.parametrize("at", list(_UPS))
@each_service
def test_a_unified_procedure_step_names_push_and_has_the_services_of_its_context(service: str, at: str) -> None:
    """PS3.4 CC.3.1.1: every command names UPS Push, and the context decides what may be asked."""
    status, _, codes = judged(service, naming(service, UNIFIED_PROCEDURE_STEP_PUSH), context(at), STRICT)
    assert (status, codes) == (None if service in _UPS[at] else 0x0211, [])


def test_push_is_not_the_other_way_round() -> None:
    on_push = judged("N-GET", naming("N-GET", UNIFIED_PROCEDURE_STEP_WATCH), context(UNIFIED_PROCEDURE_STEP_PUSH))
    assert on_push == (None, "", [Code.SOP_CLASS_NOT_OF_CONTEXT])
