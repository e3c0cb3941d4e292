"""The 23 messages, against the tables of PS3.7 9.3, 10.3 and Annex C."""

from __future__ import annotations

from dataclasses import MISSING, fields
from typing import Any, get_args

import pytest

from sansdimse.dimse import messages
from sansdimse.dimse.messages import (
    DICTIONARY,
    NO_DATA_SET,
    WITH_DATA_SET,
    CCancelRQ,
    CEchoRQ,
    CFindRQ,
    CStoreRQ,
    CStoreRSP,
    DataSet,
    Element,
    Message,
    NGetRQ,
    NGetRSP,
    Priority,
    Request,
    Response,
    UnknownCommand,
)

# message, command field, data set (Mandatory, User's or Conditional, - none), elements with their requirement
# (S: with certain statuses only, Annex C).
TABLES = """
C-STORE-RQ 0001 M 0000:M 0002:M 0100:M 0110:M 0700:M 0800:M 1000:M 1030:U 1031:U
C-STORE-RSP 8001 - 0000:M 0002:U(=) 0100:M 0120:M 0800:M 0900:M 0901:S 0902:S 1000:U(=)
C-GET-RQ 0010 M 0000:M 0002:M 0100:M 0110:M 0700:M 0800:M
C-GET-RSP 8010 C 0000:M 0002:U(=) 0100:M 0120:M 0800:M 0900:M 0901:S 0902:S 1020:C 1021:C 1022:C 1023:C
C-FIND-RQ 0020 M 0000:M 0002:M 0100:M 0110:M 0700:M 0800:M
C-FIND-RSP 8020 C 0000:M 0002:U(=) 0100:M 0120:M 0800:M 0900:M 0901:S 0902:S
C-MOVE-RQ 0021 M 0000:M 0002:M 0100:M 0110:M 0600:M 0700:M 0800:M
C-MOVE-RSP 8021 C 0000:M 0002:U(=) 0100:M 0120:M 0800:M 0900:M 0901:S 0902:S 1020:C 1021:C 1022:C 1023:C
C-ECHO-RQ 0030 - 0000:M 0002:M 0100:M 0110:M 0800:M
C-ECHO-RSP 8030 - 0000:M 0002:U(=) 0100:M 0120:M 0800:M 0900:M 0902:S
N-EVENT-REPORT-RQ 0100 U 0000:M 0002:M 0100:M 0110:M 0800:M 1000:M 1002:M
N-EVENT-REPORT-RSP 8100 C 0000:M 0002:U(=) 0100:M 0120:M 0800:M 0900:M 0901:S 0902:S 0903:S 1000:U(=) 1002:C(=)
N-GET-RQ 0110 - 0000:M 0003:M 0100:M 0110:M 0800:M 1001:M 1005:U
N-GET-RSP 8110 C 0000:M 0002:U 0100:M 0120:M 0800:M 0900:M 0901:S 0902:S 0903:S 1000:U 1005:S
N-SET-RQ 0120 M 0000:M 0003:M 0100:M 0110:M 0800:M 1001:M
N-SET-RSP 8120 U 0000:M 0002:U 0100:M 0120:M 0800:M 0900:M 0901:S 0902:S 0903:S 1000:U 1005:S
N-ACTION-RQ 0130 U 0000:M 0003:M 0100:M 0110:M 0800:M 1001:M 1008:M
N-ACTION-RSP 8130 C 0000:M 0002:U 0100:M 0120:M 0800:M 0900:M 0901:S 0902:S 0903:S 1000:U 1005:S 1008:C(=)
N-CREATE-RQ 0140 U 0000:M 0002:M 0100:M 0110:M 0800:M 1000:U
N-CREATE-RSP 8140 U 0000:M 0002:U(=) 0100:M 0120:M 0800:M 0900:M 0901:S 0902:S 0903:S 1000:C 1005:S
N-DELETE-RQ 0150 - 0000:M 0003:M 0100:M 0110:M 0800:M 1001:M
N-DELETE-RSP 8150 - 0000:M 0002:U 0100:M 0120:M 0800:M 0900:M 0901:S 0902:S 0903:S 1000:U
C-CANCEL-RQ 0FFF - 0000:M 0100:M 0120:M 0800:M
"""

# PS3.7 Table E.1-1: element, keyword, VR; without group length and command field.
ELEMENTS = """
0002 AffectedSOPClassUID UI
0003 RequestedSOPClassUID UI
0110 MessageID US
0120 MessageIDBeingRespondedTo US
0600 MoveDestination AE
0700 Priority US
0800 CommandDataSetType US
0900 Status US
0901 OffendingElement AT
0902 ErrorComment LO
0903 ErrorID US
1000 AffectedSOPInstanceUID UI
1001 RequestedSOPInstanceUID UI
1002 EventTypeID US
1005 AttributeIdentifierList AT
1008 ActionTypeID US
1020 NumberOfRemainingSuboperations US
1021 NumberOfCompletedSuboperations US
1022 NumberOfFailedSuboperations US
1023 NumberOfWarningSuboperations US
1030 MoveOriginatorApplicationEntityTitle AE
1031 MoveOriginatorMessageID US
"""

ROWS = [line.split() for line in TABLES.strip().splitlines()]


def class_of(name: str) -> Any:
    service, kind = name.rsplit("-", 1)
    return getattr(messages, "".join(part.capitalize() for part in service.split("-")) + kind)


def minimal(cls: Any, **given: Any) -> Any:
    """The message with something in each mandatory field."""
    texts = {name: "1.2.3" for name, (_, vr) in DICTIONARY.items() if vr in ("UI", "AE")}
    needed = [field.name for field in fields(cls) if field.default is MISSING]
    return cls(**{name: texts.get(name, 7) for name in needed} | given)


def test_the_dictionary_is_the_standards() -> None:
    rows = [line.split() for line in ELEMENTS.strip().splitlines()]
    assert {name.replace("_", ""): fact for name, fact in DICTIONARY.items()} == {
        keyword.lower(): (int(tag, 16), vr) for tag, keyword, vr in rows
    }


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_each_message_has_the_elements_of_its_table(row: list[str]) -> None:
    name, command_field, data_set, *cells = row
    cls = class_of(name)
    table = dict(cell.split(":") for cell in cells)
    assert table.pop("0000") == table.pop("0100") == "M"

    has = {f"{DICTIONARY[field.name][0]:04X}": field for field in fields(cls) if field.name != "other"}
    assert has.keys() == table.keys()
    for tag, requirement in table.items():
        field = has[tag]
        if field.name == "priority":
            assert field.default == Priority.MEDIUM
        elif field.name == "command_data_set_type":
            assert field.default == (WITH_DATA_SET if data_set == "M" else NO_DATA_SET)
        elif requirement == "M":
            assert field.default is MISSING
        else:
            assert field.default == (() if DICTIONARY[field.name][1] == "AT" else None)

    assert int(command_field, 16) == cls.COMMAND_FIELD
    kinds = {"M": DataSet.MANDATORY, "-": DataSet.FORBIDDEN, "U": DataSet.OPTIONAL, "C": DataSet.OPTIONAL}
    assert kinds[data_set] is cls.DATA_SET


def test_the_unions_hold_all_23() -> None:
    requests, responses = get_args(Request), get_args(Response)
    assert len(ROWS) == 23
    assert set(get_args(Message)) == {class_of(row[0]) for row in ROWS} == {*requests, *responses, CCancelRQ}
    assert all("message_id" in cls.__slots__ or hasattr(cls, "message_id") for cls in requests)
    assert {cls.COMMAND_FIELD for cls in responses} == {cls.COMMAND_FIELD | 0x8000 for cls in requests}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_the_uniform_views(row: list[str]) -> None:
    name, _, data_set, *cells = row
    message = minimal(class_of(name))
    assert message.is_response is name.endswith("RSP")
    assert message.has_data_set is (data_set == "M")
    assert message.other == ()
    table = dict(cell.split(":") for cell in cells)
    if name != "C-CANCEL-RQ":
        assert message.sop_class_uid == ("1.2.3" if "M" in (table.get("0002"), table.get("0003")) else None)
        assert message.sop_instance_uid == ("1.2.3" if "M" in (table.get("1000"), table.get("1001")) else None)


def test_a_response_tells_the_uids_that_it_has() -> None:
    response = minimal(CStoreRSP, affected_sop_class_uid="1.2", affected_sop_instance_uid="1.4")
    assert (response.sop_class_uid, response.sop_instance_uid) == ("1.2", "1.4")


@pytest.mark.parametrize("data_set_type", [0x0000, 0x0001, 0x0102, 0x0100, 0xFEFE, 0xFFFF])
def test_anything_but_0101_announces_a_data_set(data_set_type: int) -> None:
    assert minimal(NGetRSP, command_data_set_type=data_set_type).has_data_set
    assert not minimal(NGetRSP, command_data_set_type=0x0101).has_data_set


def test_messages_are_values() -> None:
    one, same = minimal(CFindRQ), minimal(CFindRQ)
    assert one == same
    assert hash(one) == hash(same)
    assert one != minimal(CFindRQ, message_id=8)
    assert one != minimal(CEchoRQ)
    assert not hasattr(one, "__dict__")


def test_the_priorities_are_the_standards() -> None:
    assert [(priority.name, int(priority)) for priority in Priority] == [("MEDIUM", 0), ("HIGH", 1), ("LOW", 2)]
    assert minimal(CStoreRQ).priority == 0


def test_mandatory_fields_are_needed() -> None:
    with pytest.raises(TypeError):
        NGetRQ(message_id=1)  # type: ignore[call-arg]


class TestUnknownCommand:
    def test_what_it_tells(self) -> None:
        elements = (
            Element(0x0003, b"1.2\0"),
            Element(0x0800, b"\x00\x00"),
            Element(0x1000, b"1.3 "),
        )
        unknown = UnknownCommand(0x0FF0, 5, elements)
        assert unknown.sop_class_uid == "1.2\0"
        assert unknown.sop_instance_uid == "1.3 "
        assert unknown.has_data_set
        assert not unknown.is_response

    @pytest.mark.parametrize("elements", [(), (Element(0x0800, b"\x01\x01"),), (Element(0x0800, b"\x01"),)])
    def test_without_readable_data_set_type_there_is_no_data_set(self, elements: tuple[Element, ...]) -> None:
        unknown = UnknownCommand(0x8FF0, None, elements)
        assert not unknown.has_data_set
        assert unknown.is_response
        assert unknown.sop_class_uid is unknown.sop_instance_uid is None
