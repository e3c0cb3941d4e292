"""TLS as an engine around an engine: ciphertext and time in, ciphertext out, no socket (PS3.15 Annex B).

A transport moves the bytes of plain sockets and drives the outermost engine; the conversation talks to
the inner one, and never knows. So TLS is written once, works on every transport, and can be tried in memory.
"""

from __future__ import annotations

import math
import ssl
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from sansdimse import LocalProtocolError
from sansdimse.peer.link import Engine

HANDSHAKE_SECONDS: Final = 30.0
"""For the handshake of a server that was given no deadline: as long as ARTIM is by default (PS3.8 9.1.5)."""

CLOSING_SECONDS: Final = 3.0
"""For the peer to take the last alert. It tells him why we close; he can do without."""

_READ: Final = 256 * 1024  # ciphertext decrypted at once, so the most that the engine is given at once
_RECORD: Final = 16 * 1024  # plaintext of one record at most (RFC 8446 5.1)
_ANSWERS: Final = 64 * 1024
"""Most bytes that reading may make TLS say while nobody writes. After the handshake that is an alert, tickets, key
updates; only a peer that asks for a new handshake again and again and takes none of our refusals gets there."""

_TIMED_OUT: Final = "the TLS handshake was not done in time"
_CLOSED: Final = "closed during the TLS handshake"

_WORDS: Final = {
    # What OpenSSL calls it, and what it most likely means here.
    "HTTP_REQUEST": "the peer speaks HTTP",
    "HTTPS_PROXY_REQUEST": "the peer speaks to an HTTP proxy",
    "WRONG_VERSION_NUMBER": "the peer does not speak TLS here, or no version of it that we do",
    "UNKNOWN_PROTOCOL": "the peer does not speak TLS here, or no version of it that we do",
    "UNSUPPORTED_PROTOCOL": "the peer offers no version of TLS that we take",
    "TLSV1_ALERT_PROTOCOL_VERSION": "the peer takes no version of TLS that we offer",
    "NO_SHARED_CIPHER": "no cipher suite in common, or none for our kind of key",
    "SSLV3_ALERT_HANDSHAKE_FAILURE": "the peer finds no cipher suite in common, or wants a certificate of ours",
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "the peer showed no certificate, and we require one",
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "the peer requires a certificate of ours",
    "TLSV1_ALERT_UNKNOWN_CA": "the peer does not know the authority of our certificate",
    "SSLV3_ALERT_BAD_CERTIFICATE": "the peer refuses our certificate",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": "the peer refuses our certificate",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "our certificate has expired, says the peer",
    "SSLV3_ALERT_CERTIFICATE_REVOKED": "our certificate was revoked, says the peer",
    "DECRYPTION_FAILED_OR_BAD_RECORD_MAC": "bytes were changed on their way",
    "SSLV3_ALERT_BAD_RECORD_MAC": "bytes were changed on their way, says the peer",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerCertificate:
    """The certificate that the peer showed. Trust nothing but ``der`` to be what it sent unless it is ``verified``.

    The names are empty then: what is not verified is not read. ``not_after`` is in OpenSSL's words
    (``ssl.cert_time_to_seconds`` reads them).
    """

    der: bytes
    verified: bool
    subject: tuple[tuple[str, str], ...] = ()
    issuer: tuple[tuple[str, str], ...] = ()
    alternative_names: tuple[tuple[str, str], ...] = ()
    serial_number: str | None = None
    not_after: str | None = None


class Secured:
    """An engine that speaks TLS for another: the same verbs, the same promises, its bytes are ciphertext.

    It has the ``Engine`` protocol of ``sansdimse.peer.link``. The inner engine is told that the transport is
    open when the handshake is done; an acceptor's with the time at which it really was, so that the handshake
    counts against ARTIM. ``deadline``, on the scale of ``now``, is for the handshake. By default a server gives
    it ``HANDSHAKE_SECONDS``, and a client leaves it to its engine's own deadline for the connection. Whatever is
    wrong with TLS is the end of the connection to the inner engine, with the reason in words.

    ``server_hostname`` is what the certificate of the peer must be for. Raises ``ValueError`` where the context
    asks for one and there is none, and ``ssl.SSLError`` if the context is for the other side.
    """

    def __init__(
        self,
        engine: Engine,
        context: ssl.SSLContext,
        *,
        server_side: bool,
        server_hostname: str | None = None,
        deadline: float | None = None,
    ) -> None:
        if context.check_hostname and not server_side and not server_hostname:
            # Python checks this for sockets only; here it would connect to anybody with some certificate.
            raise ValueError("the context checks the host name in the peer's certificate: give server_hostname")
        self.engine = engine
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(
            self._incoming, self._outgoing, server_side=server_side, server_hostname=server_hostname
        )
        self._server_side = server_side
        self._deadline = deadline
        self._now = -math.inf
        self._opened_at: float | None = None
        self._done = False  # the handshake
        self._eof = False  # told by the transport
        self._deaf = False  # the engine was told the end: what still comes is discarded
        self._mute = False  # nothing can be said in TLS any more but what is in ``_outgoing``
        self._owes_close = False  # close_notify, when the engine has ended
        self._closing: float | None = None  # until when the last bytes may be taken
        self._framing = _Framing()
        self._plaintext = memoryview(b"")  # taken from the engine, not encrypted yet
        self._in_flight = 0  # given, not known to be written, and not counted by the engine

    # ------------------------------------------------------------ sansdimse.peer.link.Engine

    def transport_opened(self, now: float) -> None:
        """The connection is open: the handshake begins."""
        if self._opened_at is not None or self._eof:
            raise LocalProtocolError("the transport opens once, and not after its end")
        self._tell(now)
        self._opened_at = now
        if self._server_side and self._deadline is None:
            self._deadline = now + HANDSHAKE_SECONDS
        if not self._deaf and not self.engine.wants_close:
            self._advance(now)

    def receive_data(self, data: bytes, now: float) -> None:
        """Ciphertext came. What is wrong with it ends the connection, and raises nothing."""
        if self._opened_at is None:
            raise LocalProtocolError("bytes came before the transport was opened")
        if self._eof:
            raise LocalProtocolError("bytes came after the end of the stream")
        self._tell(now)
        view = memoryview(data)
        for at in range(0, len(data), _READ):
            if self._deaf or self.engine.wants_close:
                return
            piece = view[at : at + _READ]
            self._framing.take(piece)
            self._incoming.write(piece)
            self._advance(now)

    def receive_eof(self, now: float, error: str | None = None) -> None:
        """The connection was closed, reset or never opened. Without close_notify too: many peers send none."""
        if self._eof:
            return
        self._tell(now)
        self._eof = True
        if error is not None:
            self._owes_close = False
        if self._deaf:
            return
        if self._opened_at is not None and not self._done:
            error = _CLOSED if error is None else f"{error}, during the TLS handshake"
            self._outgoing.read()
            self._mute = True
        self._end(now, error)

    def handle_timeout(self, now: float) -> None:
        """The time is ``now``."""
        self._tell(now)
        if self._closing is not None and now >= self._closing:
            self._give_up()
        if not self._done and not self._deaf and self._deadline is not None and now >= self._deadline:
            self._fault(now, _TIMED_OUT)
        if self._reached:
            self.engine.handle_timeout(now)

    def data_to_send(self, now: float) -> list[bytes | memoryview]:
        """What to write next, of some 256 KiB. Calling it again says that all before was written."""
        self._tell(now)
        encrypted = 0
        if self._mute:
            while self.engine.data_to_send(now):  # nobody will read it
                pass
        elif self._done:
            encrypted = self._encrypt(now)
        data = self._outgoing.read()
        self._in_flight = max(0, len(data) - encrypted)
        return [data] if data else []

    def next_timeout(self) -> float | None:
        """When to call ``handle_timeout``."""
        times = [self.engine.next_timeout()]
        if not self._done and not self._deaf:
            times.append(self._deadline)
        if (self._mute or self.engine.wants_close) and self._tls_unsent:
            times.append(self._now if self._closing is None else self._closing)
        return min((time for time in times if time is not None), default=None)

    @property
    def wants_close(self) -> bool:
        """Whether to close, once nothing is unsent."""
        return self.engine.wants_close and not self._outgoing.pending and not self._owes_close

    @property
    def bytes_unsent(self) -> int:
        """Bytes not known to be written; at least one while close_notify is owed."""
        return self.engine.bytes_unsent + self._tls_unsent

    @property
    def mid_pdu(self) -> bool:
        """Whether more must come: the rest of a PDU, of a record, or of the handshake."""
        if self._deaf or self._opened_at is None:
            return False
        return not self._done or self._framing.mid_record or self.engine.mid_pdu

    # ------------------------------------------------------------ what you may look at

    @property
    def handshake_done(self) -> bool:
        """Whether the handshake was completed on our side. Only what comes then proves it of the peer's."""
        return self._done

    @property
    def version(self) -> str | None:
        """Such as "TLSv1.3"; None before the handshake."""
        return self._tls.version() if self._done else None

    @property
    def cipher(self) -> str | None:
        """OpenSSL's name of the cipher suite; None before the handshake."""
        cipher = self._tls.cipher() if self._done else None
        return None if cipher is None else cipher[0]

    @property
    def peer_certificate(self) -> PeerCertificate | None:
        """What the peer showed; None if it showed none, and before the handshake."""
        der = self._tls.getpeercert(binary_form=True) if self._done else None
        if der is None:
            return None
        names: dict[str, Any] = dict(self._tls.getpeercert() or {})
        return PeerCertificate(
            der=der,
            verified=bool(names),
            subject=tuple(pair for name in names.get("subject", ()) for pair in name),
            issuer=tuple(pair for name in names.get("issuer", ()) for pair in name),
            alternative_names=tuple(names.get("subjectAltName", ())),
            serial_number=names.get("serialNumber"),
            not_after=names.get("notAfter"),
        )

    # ------------------------------------------------------------ inside

    @property
    def _reached(self) -> bool:
        """Whether the engine may be told the time: an acceptor not before it is told the time of its opening."""
        return self._done or self._deaf or not self._server_side

    @property
    def _tls_unsent(self) -> int:
        return self._outgoing.pending + self._in_flight + (self._owes_close and self.engine.wants_close)

    def _tell(self, now: float) -> None:
        self._now = max(self._now, now)
        if self._closing is None and self.engine.wants_close:
            self._closing = now + CLOSING_SECONDS

    def _advance(self, now: float) -> None:
        """Let TLS take what came."""
        if not self._done:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                return
            except ssl.SSLError as error:
                self._fault(now, _reason(error))
                return
            self._done = self._owes_close = True
            opened = self._opened_at if self._server_side else now
            self.engine.transport_opened(now if opened is None else opened)
        self._decrypt(now)

    def _decrypt(self, now: float) -> None:
        """Give the engine what there is in one piece, and then its end if that came too."""
        pieces: list[bytes] = []
        over, error = False, None
        try:
            while piece := self._tls.read(_RECORD):
                pieces.append(piece)
            over = True  # close_notify
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:  # the same, when we have said it ourselves
            over = True
        except ssl.SSLError as fault:
            error = _reason(fault)
        if error is None and not over and self._outgoing.pending > _ANSWERS:
            error = "TLS: the peer makes us answer and takes no answers"
        if pieces:
            self.engine.receive_data(pieces[0] if len(pieces) == 1 else b"".join(pieces), now)
        if error is not None:
            self._fault(now, error)
        elif over:
            self._end(now)

    def _encrypt(self, now: float) -> int:
        """Take the engine's next output and encrypt it, and say the last word when it has ended; gives the plain size.

        In a new handshake, which TLS 1.2 knows, nothing can be written until the peer has spoken.
        """
        if not self._plaintext:
            self._plaintext = memoryview(b"".join(self.engine.data_to_send(now)))
            if not self._plaintext:
                self._close(now)
                return 0
        size = len(self._plaintext)
        try:
            while self._plaintext:
                self._plaintext = self._plaintext[self._tls.write(self._plaintext) :]
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as error:
            self._fault(now, _reason(error))
        return size - len(self._plaintext)

    def _close(self, now: float) -> None:
        """Send close_notify when the engine has ended. We do not wait for the peer's: the association is over."""
        if not self._owes_close or not self.engine.wants_close:
            return
        self._owes_close = False
        self._closing = now + CLOSING_SECONDS
        with suppress(ssl.SSLError):  # the peer's did not come yet, or never will
            self._tls.unwrap()

    def _fault(self, now: float, text: str) -> None:
        """Nothing that follows has a meaning. What TLS has to say of it is still sent."""
        self._mute = True
        self._owes_close = False
        self._closing = now + CLOSING_SECONDS
        self._plaintext = memoryview(b"")
        self._incoming.read()
        self._end(now, text)

    def _end(self, now: float, error: str | None = None) -> None:
        if not self._deaf:
            self._deaf = True
            self.engine.receive_eof(now, error)

    def _give_up(self) -> None:
        """The peer does not take our last bytes."""
        self._mute = True
        self._owes_close = False
        self._outgoing.read()
        self._plaintext = memoryview(b"")
        self._in_flight = 0


class _Framing:
    """Where records end (RFC 8446 5.1), for OpenSSL does not tell whether it holds the beginning of one."""

    __slots__ = ("_header", "_left")

    def __init__(self) -> None:
        self._header = b""
        self._left = 0  # of the body of the record that has begun

    @property
    def mid_record(self) -> bool:
        return bool(self._header or self._left)

    def take(self, data: memoryview) -> None:
        at, size = 0, len(data)
        while at < size:
            if not self._left:
                missing = 5 - len(self._header)
                self._header += data[at : at + missing]
                at += missing
                if len(self._header) < 5:
                    return
                self._left = self._header[3] << 8 | self._header[4]
                self._header = b""
            taken = min(self._left, size - at)
            self._left -= taken
            at += taken


def _reason(error: ssl.SSLError) -> str:
    """What went wrong, for people. OpenSSL's own words stay in it: they can be searched for."""
    if isinstance(error, ssl.SSLZeroReturnError):
        return _CLOSED
    # Python raises some of its own, which have neither.
    refusal: str | None = getattr(error, "verify_message", None)
    if refusal:
        return f"TLS: certificate verify failed: {refusal.rstrip('.')}"
    reason: str | None = getattr(error, "reason", None)
    if not reason:
        return f"TLS: {error}"
    name = reason.lower().replace("_", " ")
    words = _WORDS.get(reason)
    return f"TLS: {name}" if words is None else f"TLS: {words} ({name})"
