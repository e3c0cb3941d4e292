"""The actions of PS3.8 Tables 9-6 to 9-9, and the one place where the state changes.

``Provider`` is the upper layer service provider with everything that the state machine acts upon: the
state, the timers, the output, the outcome. It carries out one cell of Table 9-10 at a time; what makes
the events, from bytes, time and primitives, is ``machine``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from sansdimse.deviations import Code, Deviation, escaped
from sansdimse.errors import RemoteProtocolError
from sansdimse.events import (
    Aborted,
    AssociationAccepted,
    AssociationRejected,
    AssociationRequested,
    ReleaseCompleted,
    ReleaseRequested,
    TransportClosed,
    UpperLayerEvent,
)
from sansdimse.limits import Limits
from sansdimse.outcome import Outcome, OutcomeKind, Side
from sansdimse.profile import Profile
from sansdimse.ul.output import Buffer, Output
from sansdimse.ul.pdu import AAbort, AAssociateAC, AAssociateRJ, AAssociateRQ, AReleaseRP, AReleaseRQ, Pdu
from sansdimse.ul.reader import PDVPiece, Reader
from sansdimse.ul.table import NEXT_STATE, TABLE, Action, Evt, State
from sansdimse.ul.timers import Timer, TimerTable

_LOCAL_ANSWER: Final = (State.STA3, State.STA8, State.STA9, State.STA12)
_RELEASING: Final = (State.STA7, State.STA10, State.STA11)


class Provider:
    """The upper layer service provider of one association (PS3.8 9.2)."""

    def __init__(
        self, request: AAssociateRQ | None, maximum_length: int, limits: Limits, profile: Profile, now: float
    ) -> None:
        self.limits = limits
        self.profile = profile
        self.is_requestor = request is not None
        self.request = request
        """The A-ASSOCIATE-RQ, ours or the peer's, as soon as it is known."""
        self.timers = TimerTable()
        self.deviations: list[Deviation] = []
        self.deviations_dropped = 0
        self.bytes_received = 0
        self.outcome: Outcome | None = None
        """How it ended, as soon as that is decided (in Sta13 it may be decided and not over)."""
        self._reader = Reader(
            limits, maximum_length=maximum_length, strict_maximum=profile.refuses(Code.PDU_ABOVE_MAXIMUM)
        )
        self._output = Output(self.timers, limits.output_stall)
        self._state = State.STA1
        self._now = now
        self._started = False  # out of Sta1 for the first time
        self._opened_at = now
        self._error: str | None = None  # the network's word for the end of the connection

    @property
    def state(self) -> State:
        """The state after the last event taken, or verb given."""
        return self._state

    @property
    def now(self) -> float:
        """The latest time told."""
        return self._now

    @property
    def bytes_unsent(self) -> int:
        """Bytes queued, or given by ``data_to_send`` and not known to be written."""
        return self._output.bytes_unsent

    @property
    def bytes_sent(self) -> int:
        """Bytes that ``data_to_send`` gave."""
        return self._output.bytes_sent

    def note(self, deviation: Deviation) -> None:
        """Remember a deviation, within ``Limits.deviations``."""
        if len(self.deviations) < self.limits.deviations:
            self.deviations.append(deviation)
        else:
            self.deviations_dropped += 1

    # ------------------------------------------------------------ one cell of Table 9-10

    def _do(self, evt: Evt, detail: object = None) -> UpperLayerEvent | None:
        action = TABLE[evt][self._state]
        if action is None:  # guarded by the callers; a blank cell reached is our own bug
            raise RuntimeError(f"{evt.name} in {self._state.name}")
        event = _ACTIONS[action](self, detail)
        if action in NEXT_STATE:
            self._enter(NEXT_STATE[action])
        return event

    def _enter(self, state: State) -> None:
        if state is self._state:
            return
        left, self._state = self._state, state
        self._started = True
        timers, limits = self.timers, self.limits
        if left in _LOCAL_ANSWER:
            timers.stop(Timer.LOCAL_ANSWER)
        if state in _LOCAL_ANSWER:
            timers.start(Timer.LOCAL_ANSWER, self._now, limits.local_answer)
        if left in _RELEASING and state not in _RELEASING:
            timers.stop(Timer.RELEASE)
        if state is State.STA13 or state is State.STA1:
            # The peer may have closed only its own half, so what is unsent is still sent, under a deadline.
            kept = (Timer.OUTPUT_STALL,) if self.bytes_unsent else ()
            timers.stop_all_but(*kept, *((Timer.ARTIM,) if state is State.STA13 else ()))

    # Association establishment, Table 9-6

    def _ae1(self, _: object) -> None:
        self.timers.start(Timer.CONNECT, self._now, self.limits.connect)

    def _ae2(self, _: object) -> None:
        self.timers.stop(Timer.CONNECT)
        self._send(self._request(), Timer.ASSOCIATION_RESPONSE, self.limits.association_response)

    def _ae3(self, pdu: AAssociateAC) -> AssociationAccepted:
        self.timers.stop(Timer.ASSOCIATION_RESPONSE)
        return AssociationAccepted(pdu)

    def _ae4(self, pdu: AAssociateRJ) -> AssociationRejected:
        self._decide(OutcomeKind.REJECTED, Side.PEER, result=pdu.result, source=pdu.source, reason=pdu.reason)
        self._close()
        return AssociationRejected(pdu.result, pdu.source, pdu.reason)

    def _ae5(self, _: object) -> None:
        self.timers.start(Timer.ARTIM, self._opened_at, self.limits.artim)

    def _ae6(self, pdu: AAssociateRQ) -> AssociationRequested | None:
        self.timers.stop(Timer.ARTIM)
        if pdu.protocol_version & 1:  # only bit 0 is tested (Table 9-11)
            self._enter(State.STA3)
            return AssociationRequested(pdu)
        self._ae8(AAssociateRJ(1, 2, 2))
        self._enter(State.STA13)
        return None

    def _ae7(self, encoded: bytes) -> None:
        self._output.add([encoded])

    def _ae8(self, pdu: AAssociateRJ) -> None:
        self._decide(OutcomeKind.REJECTED, Side.LOCAL, result=pdu.result, source=pdu.source, reason=pdu.reason)
        self._send(pdu)
        self._start_artim()

    # Data transfer, Table 9-7

    def _dt1(self, data: tuple[Iterable[Sequence[Buffer]], int]) -> None:
        pdus, count = data
        for pdu in pdus:
            self._output.add(pdu, count)

    def _dt2(self, _: object) -> None:
        """P-DATA indication: ``_step`` hands the piece out."""

    # Release, Table 9-8

    def _ar1(self, _: object) -> None:
        self._send(AReleaseRQ(), Timer.RELEASE, self.limits.release)

    def _ar2(self, _: object) -> ReleaseRequested:
        return ReleaseRequested()

    def _ar3(self, _: object) -> ReleaseCompleted:
        self._decide(OutcomeKind.RELEASED, Side.LOCAL)
        self._close()
        return ReleaseCompleted()

    def _ar4(self, _: object) -> None:
        self._decide(OutcomeKind.RELEASED, Side.PEER)
        self._send(AReleaseRP())
        self._start_artim()

    def _ar5(self, _: object) -> None:
        self.timers.stop(Timer.ARTIM)

    def _ar6(self, _: object) -> None:
        """P-DATA indication after our A-RELEASE-RQ: as DT-2."""

    _ar7 = _dt1

    def _ar8(self, _: object) -> ReleaseRequested:
        self._enter(State.STA9 if self.is_requestor else State.STA10)
        return ReleaseRequested(collision=True)

    def _ar9(self, _: object) -> None:
        self._send(AReleaseRP(), Timer.RELEASE, self.limits.release)

    def _ar10(self, _: object) -> ReleaseCompleted:
        return ReleaseCompleted()

    # Abort, Table 9-9

    def _aa1(self, cause: object) -> None:
        if self._state is State.STA2:  # a PDU that is not the A-ASSOCIATE-RQ: nobody is there to be told
            error = _cause(cause, self._state)
            self._decide(OutcomeKind.ABORTED, Side.LOCAL, source=0, reason=0, cause=error)
        self._send(AAbort(0, 0))
        self._start_artim()

    def _aa2(self, cause: object) -> None:
        if isinstance(cause, AAbort):
            if self.outcome is not None and self.outcome.kind is OutcomeKind.RELEASED:
                self.note(Deviation(Code.ABORT_AFTER_RELEASE))
            self._decide(OutcomeKind.ABORTED, Side.PEER, source=cause.source, reason=cause.reason)
        self.timers.stop(Timer.ARTIM)
        if self._state is State.STA13 and isinstance(cause, AAbort):
            self._forget_unread()  # what we owe him goes out all the same, however his bytes were cut
        else:
            self._close()

    def _aa3(self, pdu: AAbort) -> Aborted:
        if self._state in (*_RELEASING, State.STA8, State.STA9, State.STA12):
            self.note(Deviation(Code.ABORT_AFTER_RELEASE))
        self._decide(OutcomeKind.ABORTED, Side.PEER, source=pdu.source, reason=pdu.reason)
        self._close()
        return Aborted(pdu.source, pdu.reason, by_peer=True)

    def _aa4(self, _: object) -> TransportClosed:
        if self._state >= State.STA6:
            self.note(Deviation(Code.CLOSED_WITHOUT_RELEASE, escaped(self._error or "")))
        by = Side.NETWORK if self._error is not None else Side.PEER
        self._decide(OutcomeKind.CLOSED, by, error=self._error)
        return TransportClosed(self._error)

    def _aa5(self, _: object) -> None:
        self._decide(OutcomeKind.CLOSED, Side.NETWORK if self._error is not None else Side.PEER, error=self._error)
        self.timers.stop(Timer.ARTIM)

    def _aa6(self, _: object) -> None:
        """Ignore a PDU that came too late."""

    def _aa7(self, cause: object) -> None:
        """The table sends another A-ABORT here. One is enough: whatever else comes is discarded."""
        error = _cause(cause, self._state)
        self._send(AAbort(2, error.abort_reason))
        self._reader.discard()

    def _aa8(self, cause: object) -> Aborted:
        error = _cause(cause, self._state)
        self._decide(OutcomeKind.ABORTED, Side.LOCAL, source=2, reason=error.abort_reason, cause=error)
        self._send(AAbort(2, error.abort_reason))
        self._start_artim()
        return Aborted(2, error.abort_reason, by_peer=False, cause=error)

    # ------------------------------------------------------------ output and ends

    def _send(self, pdu: Pdu, timer: Timer | None = None, delay: float | None = None) -> None:
        self._output.add([pdu.encode()])
        if timer is not None:
            self._output.then_start(timer, delay)

    def _start_artim(self) -> None:
        # At once, for a peer that takes nothing; and again when the bytes are taken, to be fair.
        self.timers.start_when_told(Timer.ARTIM, self.limits.artim)
        self._output.then_start(Timer.ARTIM, self.limits.artim)

    def _close(self) -> None:
        """Close the connection: what is still to be sent, nobody will read; what lies unread never came."""
        self._output.drop()
        self._forget_unread()

    def _forget_unread(self) -> None:
        self.bytes_received -= self._reader.bytes_buffered
        self._reader.discard()

    def _decide(self, kind: OutcomeKind, by: Side, **detail: Any) -> None:
        if self.outcome is None:
            self.outcome = Outcome(kind=kind, by=by, state=self._state, **detail)

    def _request(self) -> AAssociateRQ:
        if self.request is None:
            raise RuntimeError(f"no A-ASSOCIATE-RQ in {self._state.name}")  # a bug of ours
        return self.request


_ACTIONS: Final[dict[int, Callable[[Provider, Any], UpperLayerEvent | None]]] = {
    int(action): getattr(Provider, f"_{action.name.lower()}") for action in Action
}
"""Of all associations: one of its own would cost each of them 3 KiB."""


def _cause(cause: object, state: State) -> RemoteProtocolError:
    """What was wrong: the fault found, or a PDU that does not belong here."""
    if isinstance(cause, RemoteProtocolError):
        return cause
    name = "P-DATA-TF" if isinstance(cause, PDVPiece) else type(cause).__name__
    return RemoteProtocolError(
        f"{name} in {state.name.capitalize()} ({state.meaning})", code=Code.PDU_UNEXPECTED, abort_reason=2
    )
