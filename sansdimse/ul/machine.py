"""The Upper Layer state machine of PS3.8 9.2, run over bytes, time and the user's primitives.

``UpperLayer`` carries out one cell of Table 9-10 at a time: inputs are only stored when they are told,
and ``next_event`` takes them one by one up to the next thing the user must know. So the state one reads
is always the state after the last event one took. It knows PDUs, not messages.

Two choices that are not the standard's. A PDU that is fit for the table but breaks a rule of its own
content is Evt19, whatever its type. And A-ABORT does not overtake what was queued before it: output is
bounded, and a response given a moment before an abort is worth delivering.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Final, overload

from sansdimse.deviations import Code, Deviation, Refusal
from sansdimse.errors import LocalProtocolError, RemoteProtocolError
from sansdimse.events import (
    NEED_DATA,
    Aborted,
    Ended,
    IdleTooLong,
    NeedData,
    TimedOut,
    UpperLayerEvent,
)
from sansdimse.limits import Limits
from sansdimse.outcome import OutcomeKind, Side
from sansdimse.profile import DEFAULT, Profile
from sansdimse.ul.actions import Provider
from sansdimse.ul.lint import lint
from sansdimse.ul.negotiation import Agreement, agree
from sansdimse.ul.output import Buffer
from sansdimse.ul.pdu import AAbort, AAssociateAC, AAssociateRJ, AAssociateRQ, AReleaseRP, AReleaseRQ, Pdu
from sansdimse.ul.reader import PDVPiece
from sansdimse.ul.table import Evt, State
from sansdimse.ul.timers import Key, Timer

_RECEIVED: Final[dict[type[Pdu], Evt]] = {
    AAssociateRQ: Evt.ASSOCIATE_RQ_RECEIVED,
    AAssociateAC: Evt.ASSOCIATE_AC_RECEIVED,
    AAssociateRJ: Evt.ASSOCIATE_RJ_RECEIVED,
    AReleaseRQ: Evt.RELEASE_RQ_RECEIVED,
    AReleaseRP: Evt.RELEASE_RP_RECEIVED,
    AAbort: Evt.ABORT_RECEIVED,
}

_TRANSFER_RECEIVING: Final = (State.STA6, State.STA7)  # where DT-2 and AR-6 deliver data
_TRANSFER_SENDING: Final = (State.STA6, State.STA8)  # where DT-1 and AR-7 send it


class Turn:
    """What may be done before others have their turn: ``left`` steps more.

    512 take a few milliseconds; of a read of 256 KiB in fragments of one byte are made 40,000, a fifth of a second.
    """

    __slots__ = ("left",)

    def __init__(self, steps: int = 512) -> None:
        self.left = steps


class UpperLayer(Provider):
    """One association as PS3.8 sees it. The four kinds of method are ``Association``'s, which see.

    Made with ``request`` it is the requestor, in Sta4; without, the acceptor, in Sta1.
    """

    def __init__(
        self,
        *,
        request: AAssociateRQ | None = None,
        maximum_length: int = 131072,
        limits: Limits | None = None,
        profile: Profile = DEFAULT,
        now: float,
    ) -> None:
        super().__init__(request, maximum_length, limits or Limits(), profile, now)
        self.response: AAssociateAC | None = None
        """The A-ASSOCIATE-AC, ours or the peer's, as soon as it is known."""
        self.agreement: Agreement | None = None
        """What request and response come to, read from our side."""
        self.before_deadlines: Callable[[], object] = _nothing
        """Called when all input is read, before deadlines are looked at: whoever has timers here sets them right."""
        self.idle_is_told = False
        """Whether ``IdleTooLong`` is told in the place of an abort."""
        self._ended: Ended | None = None
        self._opened = False  # told that the transport is open, not taken yet
        self._ever_opened = False
        self._eof = False
        self._timeout_told = False
        self._drained = True  # the user has taken everything that was told
        self._watched = 0  # which PDU, by count, the deadline for the rest of a PDU is of
        self._release_answered = False  # in Sta10, before its turn
        self._accepted = b""  # IDs
        if request is not None:
            request.encode()  # what does not fit its field is told here, to who made it
            self._do(Evt.ASSOCIATE_REQUEST)

    # ------------------------------------------------------------ what you tell it

    def transport_opened(self, now: float) -> None:
        """The connection is open: ours (Evt2) or the peer's (Evt5)."""
        if self._ever_opened or self._eof or self._state is not (State.STA4 if self.is_requestor else State.STA1):
            raise LocalProtocolError(f"the transport opens once, and not in {self._state.name.capitalize()}")
        self._tell(now)
        self._opened_at = now  # an opening told late, after a TLS handshake, counts from when it was (PS3.8 9.1.5)
        self._opened = self._ever_opened = True

    def receive_data(self, data: bytes, now: float) -> None:
        """Bytes of the peer. They belong to the engine: immutable, and never used again by the caller."""
        if not self._ever_opened:
            raise LocalProtocolError("bytes came before the transport was opened")
        if self._eof:
            raise LocalProtocolError("bytes came after the end of the stream")
        self._tell(now)
        if data and not self.wants_close:
            self.bytes_received += len(data)
            self._reader.feed(data)
            self._drained = False

    def receive_eof(self, now: float, error: str | None = None) -> None:
        """No more bytes will come: closed, reset, or never connected; ``error`` is the network's word for it."""
        if self._eof:
            return
        self._tell(now)
        self._eof = True
        self._error = error
        self._drained = False

    def handle_timeout(self, now: float) -> None:
        """The time is ``now``: let pass what should have passed."""
        self._tell(now)
        if not self.wants_close:
            self._timeout_told = True
        elif self.timers.expired(self._now):  # the last bytes will never be taken
            self._output.drop()
            self.timers.stop_all_but()

    def _tell(self, now: float) -> None:
        if now > self._now:
            if self._holds_up:
                self.timers.stand_still(now - self._now)
            self._now = now
        self.timers.tell(self._now)

    # ------------------------------------------------------------ what you ask of it

    def accept(self, response: AAssociateAC) -> None:
        """A-ASSOCIATE response, accepted (Evt7)."""
        self._require("accept an association", State.STA3)
        encoded = response.encode()
        try:
            agreement = agree(self._request(), response, requestor=False, profile=self.profile)
        except RemoteProtocolError as error:
            raise LocalProtocolError(f"cannot accept this association: {error}") from error
        self.response = response
        self._agreed(agreement)
        self._do(Evt.ASSOCIATE_ACCEPTED, encoded)

    def reject(self, result: int = 1, source: int = 1, reason: int = 1) -> None:
        """A-ASSOCIATE response, rejected (Evt8); the numbers of PS3.8 Table 9-21."""
        self._require("reject an association", State.STA3)
        pdu = AAssociateRJ(result, source, reason)
        pdu.encode()
        self._do(Evt.ASSOCIATE_REJECTED, pdu)

    def send_p_data(
        self, pdus: Iterable[Sequence[Buffer]], then: tuple[Key, float | None] | None = None, *, count: int = 1
    ) -> None:
        """P-DATA request (Evt9): whole P-DATA-TF PDUs, each a sequence of buffers, or ``count`` of them in each.

        ``then`` names a timer to start when the last of these bytes is taken.
        """
        self._require("send data", *_TRANSFER_SENDING)
        self._do(Evt.P_DATA_REQUEST, (pdus, count))
        if then is not None:
            (timer, message_id), delay = then
            self._output.then_start(timer, delay, message_id)

    def release(self) -> None:
        """A-RELEASE request (Evt11)."""
        self._require("request a release", State.STA6)
        self._do(Evt.RELEASE_REQUEST)

    def respond_release(self) -> None:
        """A-RELEASE response (Evt14). In Sta10 it waits for the peer's own (PS3.8 7.2.2.7)."""
        self._require("answer a release", State.STA8, State.STA9, State.STA10, State.STA12)
        if self._state is State.STA10:
            self._release_answered = True
        else:
            self._do(Evt.RELEASE_RESPONSE)

    def abort(self) -> None:
        """A-ABORT request (Evt15). Always legal; in Sta1 and Sta13 there is nothing left to abort."""
        if self._opened and self._state is State.STA1:
            self._open()
        if self._state is State.STA2:
            # The table has no such cell: by the standard the user does not know of the connection yet.
            self._decide(OutcomeKind.ABORTED, Side.LOCAL)
            self._aa2(None)
            self._enter(State.STA1)
        elif self._state not in (State.STA1, State.STA13):
            self._decide(OutcomeKind.ABORTED, Side.LOCAL, source=0, reason=0)
            self._do(Evt.ABORT_REQUEST)

    def abort_for(self, cause: RemoteProtocolError) -> Aborted:
        """A-ABORT request because of what the peer did above this layer: a fault of DIMSE (0/0).

        What follows is discarded unread: a second fault behind the first is not answered again.
        """
        self._decide(OutcomeKind.ABORTED, Side.LOCAL, source=0, reason=0, cause=cause)
        self._do(Evt.ABORT_REQUEST)
        self._reader.discard()
        return Aborted(0, 0, by_peer=False, cause=cause)

    def refuse(self, error: RemoteProtocolError) -> UpperLayerEvent:
        """The data just told is refused by the profile as if it were no valid PDU (Evt19)."""
        event = self._invalid(error)
        if event is None:  # data is told in Sta6 and Sta7, where the action is AA-8
            raise RuntimeError(f"data was told in {self._state.name}")  # a bug of ours
        return event

    def _require(self, what: str, *states: State) -> None:
        if self._state not in states:
            wanted = ", ".join(state.name.capitalize() for state in states)
            raise LocalProtocolError(
                f"cannot {what} in {self._state.name.capitalize()} ({self._state.meaning}); possible in {wanted}"
            )

    # ------------------------------------------------------------ what it tells you

    @overload
    def next_event(self) -> UpperLayerEvent | PDVPiece | NeedData: ...
    @overload
    def next_event(self, turn: Turn | None) -> UpperLayerEvent | PDVPiece | NeedData | None: ...

    def next_event(self, turn: Turn | None = None) -> UpperLayerEvent | PDVPiece | NeedData | None:
        """The next indication or confirmation, a piece of P-DATA, or ``NEED_DATA``.

        With ``turn`` it may be None: no step is left, and there is more to take in another turn.
        """
        while True:
            if self.wants_close:
                return self._end()
            if self._opened:
                self._open()
            if self._release_answered and self._state is State.STA12:
                self._release_answered = False
                self._do(Evt.RELEASE_RESPONSE)
            if turn is not None:
                if turn.left <= 0:
                    return None
                turn.left -= 1
            step = self._step()
            if step is NEED_DATA:
                return NEED_DATA
            if step is not None:
                return step

    def _open(self) -> None:
        self._opened = False
        self._do(Evt.TRANSPORT_CONFIRMED if self.is_requestor else Evt.TRANSPORT_INDICATED)

    def _step(self) -> UpperLayerEvent | PDVPiece | NeedData | None:
        """One input. None: something happened that the user need not know."""
        try:
            item = self._reader.next()
        except RemoteProtocolError as error:
            return self._invalid(error)
        if self._reader.deviations:
            self._take_reader_deviations()
        if type(item) is PDVPiece:
            if item.starts:
                event = self._pdv(item)
                if event is not None:
                    return event
            return item if self._state in _TRANSFER_RECEIVING else None
        if item is NEED_DATA:
            return self._no_bytes_left()
        return self._pdu(item)  # type: ignore[arg-type]

    def _no_bytes_left(self) -> UpperLayerEvent | NeedData | None:
        if self._eof:
            if self._state is State.STA1:  # an acceptor whose connection never opened
                self._started = True
                self._aa5(None)
                return None
            return self._do(Evt.TRANSPORT_CLOSED)
        # First what the input just read has put off: it came in time, since deadlines pass after all input told.
        self._watch_pdu()
        self.before_deadlines()
        if self._timeout_told:
            expired = self.timers.expired(self._now)
            if expired is not None:
                return self._expire(*expired)
            self._timeout_told = False
        self._drained = True
        return NEED_DATA

    def _watch_pdu(self) -> None:
        """A PDU that has begun must end; the payload of a P-DATA-TF must go on."""
        reader = self._reader
        if reader.mid_pdu and self._state not in (State.STA2, State.STA13):  # there ARTIM stands for the whole
            is_another = reader.pdus_ended != self._watched or not self.timers.running(Timer.PDU_COMPLETION)
            if not self._drained and (reader.mid_payload or is_another):
                self._watched = reader.pdus_ended
                self.timers.start(Timer.PDU_COMPLETION, self._now, self.limits.pdu_completion)
        elif self.timers.running(Timer.PDU_COMPLETION):
            self.timers.stop(Timer.PDU_COMPLETION)

    def _pdv(self, piece: PDVPiece) -> UpperLayerEvent | None:
        """Evt10 at the first PDV of a P-DATA-TF; a fault of a later one is Evt19."""
        if piece.first_in_pdu:
            event = self._do(Evt.P_DATA_TF_RECEIVED, piece)
            if event is not None:
                return event
        if self._state in _TRANSFER_RECEIVING and piece.context_id not in self._accepted:
            return self._invalid(
                RemoteProtocolError(
                    f"data on presentation context {piece.context_id}, which was not accepted",
                    code=Code.PDV_CONTEXT_UNKNOWN,
                )
            )
        return None

    def _pdu(self, pdu: Pdu) -> UpperLayerEvent | None:
        deviations = lint(pdu, self.request if isinstance(pdu, AAssociateAC | AAssociateRJ) else None)
        for deviation in deviations:
            self.note(deviation)
            refusal = deviation.rule.refusal
            # What the acceptor may refuse in an A-ASSOCIATE-RQ is for negotiation to reject.
            # An A-ABORT ends the association whatever it looks like.
            aborts = refusal is Refusal.ABORT or (refusal is Refusal.REJECT and isinstance(pdu, AAssociateAC))
            if aborts and not isinstance(pdu, AAbort) and self.profile.refuses(deviation.code):
                return self._invalid(RemoteProtocolError(str(deviation), code=deviation.code))
        if isinstance(pdu, AAssociateAC) and self._state is State.STA5 and self.request is not None:
            try:
                agreement = agree(self.request, pdu, requestor=True, profile=self.profile)
            except RemoteProtocolError as error:
                return self._invalid(error)
            self.response = pdu
            self._agreed(agreement)
        if isinstance(pdu, AAssociateRQ) and self._state is State.STA2:
            self.request = pdu
        return self._do(_RECEIVED[type(pdu)], pdu)

    def _invalid(self, error: RemoteProtocolError) -> UpperLayerEvent | None:
        """Evt19; nothing that follows has a meaning, so it is discarded unread."""
        self._reader.discard()
        return self._do(Evt.INVALID_PDU_RECEIVED, error)

    def _expire(self, timer: Timer, message_id: int) -> UpperLayerEvent | None:
        if timer is Timer.IDLE and self.idle_is_told:
            self.timers.start(timer, self._now, self.limits.idle)
            return IdleTooLong()
        self.timers.stop(timer, message_id)
        self._decide(OutcomeKind.TIMED_OUT, Side.LOCAL, timer=timer)
        if timer is Timer.ARTIM:
            return self._do(Evt.ARTIM_EXPIRED)
        if self._state not in (State.STA2, State.STA13):
            self._do(Evt.ABORT_REQUEST)
            return TimedOut(timer, message_id)
        if timer is Timer.OUTPUT_STALL:  # in Sta13 the peer does not even take the abort
            self._output.drop()
        return None

    def data_to_send(self, now: float) -> list[Buffer]:
        """The next buffers to write, some 256 KiB; empty when there is nothing.

        To call it again says that everything it gave before has been written.
        """
        self._tell(now)
        return self._output.take(self._now)

    def next_timeout(self) -> float | None:
        """When to call ``handle_timeout``, on the scale of ``now``; None: never."""
        if self.timers.awaits_time:  # a peer that takes nothing keeps ``data_to_send`` from telling it
            return self._now
        return self.timers.earliest(waiting_for_peer=not self._holds_up)

    @property
    def wants_close(self) -> bool:
        """Whether the transport should close, once nothing is unsent."""
        return self._state is State.STA1 and self._started

    @property
    def _holds_up(self) -> bool:
        """Whether it is we who do not read on: input is not taken yet, or the peer must first take its answers.

        In Sta13 it owes us nothing but its end, and ARTIM must not wait for what it does not take.
        """
        return not self._drained or (self._output.bytes_unsent > self.limits.output and self._state is not State.STA13)

    # ------------------------------------------------------------ what you may look at

    @property
    def bytes_buffered(self) -> int:
        """Bytes received and not yet taken."""
        return self._reader.bytes_buffered

    @property
    def timeout_pending(self) -> bool:
        """Whether ``handle_timeout`` was told, and not all input before it was taken."""
        return self._timeout_told and not self.wants_close

    @property
    def mid_pdu(self) -> bool:
        """Whether a PDU has begun to arrive and not ended."""
        return self._reader.mid_pdu

    def check(self, deviation: Deviation) -> None:
        """Remember a deviation of a message; raise ``RemoteProtocolError`` if the profile refuses it."""
        self.note(deviation)
        if self.profile.refuses(deviation.code):
            raise RemoteProtocolError(str(deviation), code=deviation.code)

    def _take_reader_deviations(self) -> None:
        for deviation in self._reader.deviations:
            self.note(deviation)
        self._reader.deviations.clear()

    def _agreed(self, agreement: Agreement) -> None:
        self.agreement = agreement
        self._accepted = bytes(context.id for context in agreement.contexts if context.accepted)

    def _end(self) -> Ended:
        """The last event, made once: bytes that are written after it do not change it."""
        if self._ended is None:
            if self.outcome is None:
                raise RuntimeError("an association ended without an outcome")  # a bug of ours
            # What is queued counts: it is still sent; whether it was taken by now depends on how bytes were cut.
            bytes_sent, pdus_sent = self._output.totals()
            if self._error is not None:  # a broken connection takes nothing more
                bytes_sent, pdus_sent = self.bytes_sent, self._output.pdus_sent
            self.outcome = replace(
                self.outcome,
                bytes_received=self.bytes_received,
                bytes_sent=bytes_sent,
                pdus_received=self._reader.pdus_begun,
                pdus_sent=pdus_sent,
            )
            self._ended = Ended(self.outcome)
            self._reader.discard()  # a PDU that the end has cut off is of no use to anybody
        return self._ended


def _nothing() -> None:
    """What is done before deadlines are looked at, unless somebody above has something to do."""
