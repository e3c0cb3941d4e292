"""Every bound of the engine, in one place, with the arithmetic beside it.

Bytes are bytes, times are seconds. ``None`` means unbounded, and only where that is harmless.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final

KIB: Final = 1024
MIB: Final = 1024 * KIB

MOST_ITEMS: Final = 16 * KIB
"""Most items and sub-items of one PDU. Four bytes make an item, and an item takes some hundred bytes of ours,
so the length alone bounds too little. 128 contexts of 50 transfer syntaxes and as many roles are 7,000."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one association may hold in memory and how long it may wait.

    The defaults suit a server on a hospital's network. Make your own with
    ``dataclasses.replace(Limits(), artim=5.0)``.
    """

    # Bytes before anything is known of the peer.

    associate_pdu: int = 1 * MIB
    """Longest A-ASSOCIATE-RQ or -AC body. 128 contexts with 20 transfer syntaxes of 64 characters are
    128 x (12 + 68 + 20 x 68) = 184 KiB; a user identity adds at most 128 KiB (two fields of 64 KiB), 128
    common extended negotiations of 10 related classes another 94 KiB. Twice that sum, rounded up."""

    fixed_pdu: int = 64
    """Longest A-ASSOCIATE-RJ, A-RELEASE and A-ABORT body: 4 by the standard, some send 0 or 8."""

    # Bytes of messages.

    data_pdu: int = 16 * MIB
    """Longest P-DATA-TF body taken where we announced a maximum; a peer above our maximum but within
    four times it and this is tolerated (with a deviation). Its payload streams: this bounds nothing we
    hold. Where we announced 0 (no maximum), any length is taken."""

    own_pdu: int = 128 * KIB
    """Longest P-DATA-TF body we send, whatever the peer takes; 64 KiB and more reach full speed."""

    command_set: int = 64 * KIB
    """Longest command set. The largest legal ones hold an Attribute Identifier List: 4 bytes each, so
    this is some 16,000 attributes."""

    message: int | None = None
    """Longest data set of a C-STORE. It is streamed, never kept, so memory does not ask for a bound."""

    identifier: int = 5 * MIB
    """Longest data set that is kept whole: the identifiers of C-FIND, C-GET and C-MOVE, in requests and in
    responses. The largest that makes sense lists the 65,535 failed instances that a counter can count, of 64
    characters and a backslash each: 4.1 MiB; a query by as many UIDs is as long. With a longer one a request is
    refused, and a response is a fault."""

    attributes: int = 64 * MIB
    """Longest data set of DIMSE-N, kept whole too: attributes, modifications, action and event information, replies.
    The largest in use is the N-SET of an image box, with its pixels: 2,048 by 2,560 of three samples are 15 MiB. With
    a longer one a request is refused, and a response is a fault."""

    fragments: int = 4_000_000
    """Most fragments of one message: 4 GiB in fragments of 1 KiB. Bounds the work of a peer that sends
    one byte a PDU."""

    # Things outstanding.

    operations_over_window: int = 16
    """Most requests of the peer kept beyond the window negotiated, parsed and untold; more is a fault."""

    held_data: int = 1 * MIB
    """Most data set bytes kept with them: a peer that pipelines small objects is served, one that
    pipelines images without having negotiated it is not."""

    queued_messages: int = 1024
    """Most requests of ours waiting behind an open data set, and most responses: a thousand of some 150 bytes.
    More requests are refused to our user; a peer that asks for more answers is a fault."""

    output_high_water: int = 256 * KIB
    """Unsent bytes above which ``flush`` waits, and nothing more is taken of a data set or of the matches of a
    C-FIND: two of our largest PDUs."""

    output: int = 1 * MIB
    """Unsent bytes above which nothing more is read: some 7,000 answers that the peer asked for and does not
    take. Well above what ``flush`` lets gather, so that two ends that both send images go on reading."""

    deviations: int = 256
    """Most deviations remembered in an association; the others are counted."""

    # Seconds.

    connect: float | None = 15.0
    """For the transport connection to open (Sta4)."""

    artim: float = 30.0
    """The whole wait for a complete A-ASSOCIATE-RQ (Sta2), and for the peer to close (Sta13); PS3.8 9.1.5."""

    association_response: float | None = 30.0
    """For the A-ASSOCIATE-AC or -RJ (Sta5)."""

    local_answer: float | None = 60.0
    """For our user to answer an association or release indication (Sta3, Sta8, Sta9, Sta12)."""

    operation_answer: float | None = 600.0
    """For our user to answer a request of the peer, from its complete arrival or the last response; and to take more
    of a data set that it lets wait."""

    dimse_response: float | None = 60.0
    """For the response to a request of ours; restarted by each Pending, sub-operation and piece."""

    pdu_completion: float | None = 30.0
    """For the rest of a PDU that has begun; restarted by each byte of a P-DATA-TF's payload."""

    message_completion: float | None = 60.0
    """For the next fragment of a message that has begun."""

    output_stall: float | None = 60.0
    """For the peer to take any of the bytes that we have for it."""

    release: float | None = 30.0
    """For the A-RELEASE-RP (Sta7, Sta10, Sta11)."""

    cancel_drain: float | None = 30.0
    """For the final response to a request that was abandoned."""

    idle: float | None = None
    """For anything to happen on an association with nothing outstanding."""

    def __post_init__(self) -> None:
        """Raise ``ValueError`` for what bounds nothing."""
        for each in fields(self):
            value: object = getattr(self, each.name)
            if value is None and str(each.type).endswith("| None"):
                continue
            if not (isinstance(value, int | float) and value >= 0):
                raise ValueError(
                    f"Limits.{each.name}: {value!r} is no bound; it is of type {each.type}, and not below 0"
                )
