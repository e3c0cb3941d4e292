"""An Upper Layer in any state that one likes, brought there by real bytes and verbs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

from sansdimse.events import NEED_DATA, Ended, UpperLayerEvent
from sansdimse.limits import Limits
from sansdimse.profile import DEFAULT, Profile
from sansdimse.uids import IMPLICIT_VR_LITTLE_ENDIAN, VERIFICATION
from sansdimse.ul.items import ImplementationClassUID, MaximumLength, PresentationContextAC, PresentationContextRQ
from sansdimse.ul.machine import UpperLayer
from sansdimse.ul.output import Output
from sansdimse.ul.pdu import PDV, AAbort, AAssociateAC, AAssociateRJ, AAssociateRQ, AReleaseRP, AReleaseRQ, PDataTF
from sansdimse.ul.reader import PDVPiece, Reader
from sansdimse.ul.table import State
from sansdimse.ul.timers import TimerTable

NOW: Final = 1000.0
_USER = (MaximumLength(16384), ImplementationClassUID("1.2.3"))
REQUEST: Final = AAssociateRQ.of(
    called="THEM",
    calling="US",
    contexts=[
        PresentationContextRQ.of(1, VERIFICATION, [IMPLICIT_VR_LITTLE_ENDIAN]),
        PresentationContextRQ.of(3, "1.2.3.4", [IMPLICIT_VR_LITTLE_ENDIAN]),
    ],
    user_information=_USER,
)
RESPONSE: Final = AAssociateAC.of(
    REQUEST,
    contexts=[
        PresentationContextAC.of(1, 0, IMPLICIT_VR_LITTLE_ENDIAN),
        PresentationContextAC.of(3, 3, IMPLICIT_VR_LITTLE_ENDIAN),
    ],
    user_information=_USER,
)
DATA: Final = PDataTF((PDV(1, 3, b"command!"),))
PIECE: Final = PDVPiece(1, 3, b"command!", 8, starts=True, ends=True, first_in_pdu=True)

RQ, AC, RJ = REQUEST.encode(), RESPONSE.encode(), AAssociateRJ(1, 1, 7).encode()
P_DATA, RELEASE_RQ, RELEASE_RP = DATA.encode(), AReleaseRQ().encode(), AReleaseRP().encode()
ABORT, UNKNOWN = AAbort(2, 2).encode(), b"\x08\0\0\0\0\4abcd"

Told = UpperLayerEvent | PDVPiece

ROLES: Final = {
    # state: whether we are the requestor
    State.STA1: (True, False),
    State.STA2: (False,),
    State.STA3: (False,),
    State.STA4: (True,),
    State.STA5: (True,),
    State.STA6: (True, False),
    State.STA7: (True, False),
    State.STA8: (True, False),
    State.STA9: (True,),
    State.STA10: (False,),
    State.STA11: (True,),
    State.STA12: (False,),
    State.STA13: (True, False),
}
PLACES: Final = [(state, requestor) for state, roles in ROLES.items() for requestor in roles]
"""Every state with every role in which it can be reached."""


def events(ul: UpperLayer) -> list[Told]:
    """All that there is to tell now; ``Ended`` is the last."""
    found: list[Told] = []
    while (event := ul.next_event()) is not NEED_DATA:
        found.append(event)
        if isinstance(event, Ended):
            break
    return found


def written(ul: UpperLayer, now: float) -> bytes:
    """All that there is to write now, taken by the peer."""
    wire = b""
    while buffers := ul.data_to_send(now):
        wire += b"".join(buffers)
    return wire


def fed(ul: UpperLayer, data: bytes, now: float = NOW) -> list[Told]:
    """Tell bytes, and hear what they mean."""
    ul.receive_data(data, now)
    return events(ul)


def made(
    requestor: bool, *, limits: Limits | None = None, profile: Profile = DEFAULT, maximum_length: int = 131072
) -> UpperLayer:
    """A new one."""
    request = REQUEST if requestor else None
    return UpperLayer(request=request, limits=limits, profile=profile, maximum_length=maximum_length, now=NOW)


_TO_STA6: Final = {True: ("open", AC), False: ("open", RQ, "accept")}
_FROM_STA6: Final[dict[State, tuple[str | bytes, ...]]] = {
    State.STA6: (),
    State.STA7: ("release",),
    State.STA8: (RELEASE_RQ,),
    State.STA9: ("release", RELEASE_RQ),
    State.STA10: ("release", RELEASE_RQ),
    State.STA11: ("release", RELEASE_RQ, "respond_release"),
    State.STA12: ("release", RELEASE_RQ, RELEASE_RP),
    State.STA13: (RELEASE_RQ, "respond_release"),
    State.STA1: ("release", RELEASE_RP),
}
_BEFORE_STA6: Final[dict[State, tuple[str | bytes, ...]]] = {
    State.STA2: ("open",),
    State.STA3: ("open", RQ),
    State.STA4: (),
    State.STA5: ("open",),
}


def reach(state: State, requestor: bool, **options: Any) -> UpperLayer:
    """One in this state, which has told and written everything. Sta1 is the end of a release."""
    ul = made(requestor, **options)
    script = _BEFORE_STA6.get(state)
    for step in script if script is not None else (*_TO_STA6[requestor], *_FROM_STA6[state]):
        play(ul, step)
        events(ul)
        written(ul, NOW)
    assert ul.state is state
    return ul


def play(ul: UpperLayer, step: str | bytes) -> None:
    """Tell bytes of the peer, or do what a verb's name says."""
    if isinstance(step, bytes):
        ul.receive_data(step, NOW)
    elif step == "open":
        ul.transport_opened(NOW)
    elif step == "accept":
        ul.accept(RESPONSE)
    else:
        getattr(ul, step)()


def snapshot(ul: UpperLayer) -> dict[str, Any]:
    """Everything that an Upper Layer holds, as values: equal snapshots behave alike."""
    return {name: _value(thing) for name, thing in vars(ul).items() if name != "_actions"}


def _value(thing: Any) -> Any:
    if isinstance(thing, TimerTable | Output | Reader):
        return {name: _value(getattr(thing, name)) for name in type(thing).__slots__ if name != "_timers"}
    if isinstance(thing, dict):
        return dict(thing)
    if isinstance(thing, bytes | bytearray | memoryview):
        return bytes(thing)
    if isinstance(thing, str | frozenset | tuple):
        return thing
    if hasattr(thing, "__iter__"):
        return list(thing)
    return thing


def joined(found: list[Told]) -> list[Told]:
    """Events with the adjacent pieces of each PDV put together: what no cutting may change."""
    whole: list[Told] = []
    for event in found:
        last = whole[-1] if whole else None
        if isinstance(event, PDVPiece) and isinstance(last, PDVPiece) and not last.ends:
            whole[-1] = replace(last, data=bytes(last.data) + bytes(event.data), ends=event.ends)
        else:
            whole.append(replace(event, data=bytes(event.data)) if isinstance(event, PDVPiece) else event)
    return whole


def cut(wire: bytes, cuts: list[int]) -> Iterator[bytes]:
    """``wire`` in chunks."""
    places = sorted(min(place, len(wire)) for place in cuts)
    for start, end in zip([0, *places], [*places, len(wire)], strict=True):
        yield wire[start:end]


INVALID = {
    # what is wrong: the bytes, and the Reason/Diag. of PS3.8 Table 9-26 for it
    "an unknown type": (UNKNOWN, 1),
    "an absurd length": (b"\x05\0\xff\xff\xff\xff", 6),
    "a lie about its content": (b"\x01\0\0\0\0\4abcd", 6),
    "data without a value": (b"\x04\0\0\0\0\0", 6),
}
