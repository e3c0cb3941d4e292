"""Errors as values: what they say, and when two are the same."""

from __future__ import annotations

import pytest

from sansdimse.deviations import Code
from sansdimse.errors import LocalProtocolError, ProtocolError, RemoteProtocolError

ERROR = RemoteProtocolError("a PDU too long", code=Code.PDU_TOO_LONG)


@pytest.mark.parametrize("kind", [LocalProtocolError, RemoteProtocolError])
def test_both_kinds_are_protocol_errors_and_not_each_other(kind: type[ProtocolError]) -> None:
    assert issubclass(kind, ProtocolError)
    assert sum(issubclass(kind, other) for other in (LocalProtocolError, RemoteProtocolError)) == 1


def test_a_remote_error_names_the_rule_and_the_reason_of_the_abort() -> None:
    assert str(ERROR) == "a PDU too long"
    assert ERROR.code is Code.PDU_TOO_LONG
    assert ERROR.abort_reason == 6  # PS3.8 Table 9-26: invalid parameter value
    assert RemoteProtocolError("?", code=Code.PDU_UNRECOGNIZED, abort_reason=1).abort_reason == 1


def test_remote_errors_compare_as_values_since_events_carry_them() -> None:
    same = RemoteProtocolError("a PDU too long", code=Code.PDU_TOO_LONG)
    assert same is not ERROR
    assert same == ERROR
    assert hash(same) == hash(ERROR)


@pytest.mark.parametrize(
    "other",
    [
        RemoteProtocolError("another text", code=Code.PDU_TOO_LONG),
        RemoteProtocolError("a PDU too long", code=Code.PDU_MALFORMED),
        RemoteProtocolError("a PDU too long", code=Code.PDU_TOO_LONG, abort_reason=2),
        LocalProtocolError("a PDU too long"),
        "a PDU too long",
    ],
)
def test_remote_errors_differ_by_text_code_and_reason(other: object) -> None:
    assert other != ERROR
