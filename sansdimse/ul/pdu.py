"""The seven PDUs of PS3.8 9.3 as values: what their bytes mean, nothing of when they may come.

Lossless: ``decode_pdu`` and ``encode`` are inverse to each other, reserved bytes, raw AE title bytes
and bytes too many or too few included, so that captured traffic can be replayed bit for bit. Decoding
is lenient and total: any bytes give a value or a ``RemoteProtocolError``, in linear time. Encoding
refuses what does not fit its field with a ``LocalProtocolError`` that names the field.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from struct import Struct
from typing import ClassVar, Final, TypeAlias, TypeVar

from sansdimse.deviations import Code, escaped
from sansdimse.errors import LocalProtocolError, RemoteProtocolError
from sansdimse.uids import APPLICATION_CONTEXT, normal
from sansdimse.ul.item_decoding import decode_items
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
    UserIdentityAC,
    UserIdentityRQ,
    UserInformation,
    exact,
    unsigned,
)
from sansdimse.values import value

ItemT = TypeVar("ItemT")

_PDV_HEADER: Final = Struct(">IBB")


def ae_title_field(title: str) -> bytes:
    """An AE title as its 16 bytes, padded with spaces (PS3.8 Table 9-11; VR AE of PS3.5 6.2).

    Raises LocalProtocolError if it is longer than 16, blank, or has characters that are not printable
    ISO 646 (basic G0 set), or a backslash.
    """
    if len(title) > 16:
        raise LocalProtocolError(f"AE title '{escaped(title)}' is longer than 16 characters")
    if not title.strip(" "):
        raise LocalProtocolError("an AE title may not be blank")
    if not (title.isascii() and title.isprintable()) or "\\" in title:
        raise LocalProtocolError(f"AE title '{escaped(title)}' has characters that no AE title has")
    return title.encode("ascii").ljust(16)


def _framed(pdu_type: int, reserved: int, body: bytes) -> bytes:
    return bytes((pdu_type,)) + unsigned(reserved, 1, "reserved") + unsigned(len(body), 4, "PDU length") + body


def _title(field: bytes) -> str:
    return field.decode("latin-1").strip(" \0")


def _items(name: str, contexts: Iterable[Item], user_information: Iterable[Item]) -> tuple[Item, ...]:
    """Ascending by type (PS3.8 9.3.1)."""
    return (ApplicationContext(name), *contexts, UserInformation(tuple(user_information)))


@value
class _Associate:
    """What A-ASSOCIATE-RQ and -AC have in common: their layout, and what items mean for both.

    The properties give the meaning with leniency applied: of what may occur once and is repeated, the
    last in the user information counts, and the first application context. UIDs are in normal form.
    """

    PDU_TYPE: ClassVar[int]
    called_ae_title_field: bytes
    """Bytes 11 to 26, raw."""
    calling_ae_title_field: bytes
    """Bytes 27 to 42, raw."""
    items: tuple[Item, ...]
    protocol_version: int = 1
    reserved: int = 0
    reserved_9_10: bytes = b"\0\0"
    reserved_43_74: bytes = bytes(32)
    trailing: bytes = b""
    """Up to 3 bytes after the last item: too few to be one."""

    @property
    def called_ae_title(self) -> str:
        """The called AE title, as latin-1, without spaces and NULs at its ends."""
        return _title(self.called_ae_title_field)

    @property
    def calling_ae_title(self) -> str:
        """The calling AE title, as latin-1, without spaces and NULs at its ends."""
        return _title(self.calling_ae_title_field)

    @property
    def application_context(self) -> str | None:
        """The application context name (PS3.7 A.2.1)."""
        return next((normal(item.name) for item in self.items if isinstance(item, ApplicationContext)), None)

    @property
    def user_information(self) -> tuple[Item, ...]:
        """The sub-items of all user information items, in order."""
        return tuple(sub for item in self.items if isinstance(item, UserInformation) for sub in item.items)

    @property
    def maximum_length(self) -> int | None:
        """The longest P-DATA-TF body its sender takes, in bytes; 0 is no limit (PS3.8 D.1)."""
        found = self._last(MaximumLength)
        return None if found is None else found.maximum_length

    @property
    def implementation_class_uid(self) -> str | None:
        """The sender's Implementation Class UID (PS3.7 D.3.3.2)."""
        found = self._last(ImplementationClassUID)
        return None if found is None else normal(found.uid)

    @property
    def implementation_version_name(self) -> str | None:
        """The sender's Implementation Version Name, as sent (PS3.7 D.3.3.2)."""
        found = self._last(ImplementationVersionName)
        return None if found is None else found.name

    @property
    def asynchronous_operations_window(self) -> AsynchronousOperationsWindow | None:
        """The window proposed or answered (PS3.7 D.3.3.3)."""
        return self._last(AsynchronousOperationsWindow)

    @property
    def role_selections(self) -> tuple[RoleSelection, ...]:
        """The roles proposed or answered (PS3.7 D.3.3.4)."""
        return self._all(RoleSelection)

    @property
    def extended_negotiations(self) -> tuple[ExtendedNegotiation, ...]:
        """The SOP class extended negotiations (PS3.7 D.3.3.5)."""
        return self._all(ExtendedNegotiation)

    @property
    def common_extended_negotiations(self) -> tuple[CommonExtendedNegotiation, ...]:
        """The SOP class common extended negotiations (PS3.7 D.3.3.6)."""
        return self._all(CommonExtendedNegotiation)

    def _all(self, kind: type[ItemT]) -> tuple[ItemT, ...]:
        return tuple(item for item in self.user_information if isinstance(item, kind))

    def _last(self, kind: type[ItemT]) -> ItemT | None:
        found = self._all(kind)
        return found[-1] if found else None

    def encode(self) -> bytes:
        """The PDU's bytes; LocalProtocolError if a field does not fit."""
        if len(self.trailing) > 3:
            raise LocalProtocolError(f"trailing has {len(self.trailing)} bytes, at most 3 are not an item")
        body = (
            unsigned(self.protocol_version, 2, "protocol_version"),
            exact(self.reserved_9_10, 2, "reserved_9_10"),
            exact(self.called_ae_title_field, 16, "called_ae_title_field"),
            exact(self.calling_ae_title_field, 16, "calling_ae_title_field"),
            exact(self.reserved_43_74, 32, "reserved_43_74"),
            *(item.encode() for item in self.items),
            self.trailing,
        )
        return _framed(self.PDU_TYPE, self.reserved, b"".join(body))


@value
class AAssociateRQ(_Associate):
    """A-ASSOCIATE-RQ (PS3.8 9.3.2)."""

    PDU_TYPE: ClassVar[int] = 0x01

    @classmethod
    def of(
        cls,
        *,
        called: str,
        calling: str,
        contexts: Iterable[PresentationContextRQ],
        user_information: Iterable[Item],
        application_context: str = APPLICATION_CONTEXT,
    ) -> AAssociateRQ:
        """A request as the standard has it; LocalProtocolError if a title is none (see ``ae_title_field``)."""
        items = _items(application_context, contexts, user_information)
        return cls(ae_title_field(called), ae_title_field(calling), items)

    @property
    def presentation_contexts(self) -> tuple[PresentationContextRQ, ...]:
        """The contexts proposed, in order, repeated IDs included."""
        return tuple(item for item in self.items if isinstance(item, PresentationContextRQ))

    @property
    def user_identity(self) -> UserIdentityRQ | None:
        """Who the requestor says it is (PS3.7 D.3.3.7)."""
        return self._last(UserIdentityRQ)


@value
class AAssociateAC(_Associate):
    """A-ASSOCIATE-AC (PS3.8 9.3.3). Its titles are reserved fields that echo the request: never test them."""

    PDU_TYPE: ClassVar[int] = 0x02

    @classmethod
    def of(
        cls,
        request: AAssociateRQ,
        *,
        contexts: Iterable[PresentationContextAC],
        user_information: Iterable[Item],
        application_context: str = APPLICATION_CONTEXT,
    ) -> AAssociateAC:
        """An answer to ``request`` that echoes its bytes 11 to 74, as Table 9-17 asks."""
        items = _items(application_context, contexts, user_information)
        return cls(
            request.called_ae_title_field,
            request.calling_ae_title_field,
            items,
            reserved_43_74=request.reserved_43_74,
        )

    @property
    def presentation_contexts(self) -> tuple[PresentationContextAC, ...]:
        """The contexts answered, in order, repeated IDs included."""
        return tuple(item for item in self.items if isinstance(item, PresentationContextAC))

    @property
    def user_identity(self) -> UserIdentityAC | None:
        """The server's response to the user identity (PS3.7 D.3.3.7)."""
        return self._last(UserIdentityAC)


@value
class AAssociateRJ:
    """A-ASSOCIATE-RJ (PS3.8 9.3.4); the numbers are those of Table 9-21, or whatever the peer sent."""

    PDU_TYPE: ClassVar[int] = 0x03
    result: int
    source: int
    reason: int
    reserved: int = 0
    reserved_7: int = 0
    trailing: bytes = b""

    def encode(self) -> bytes:
        """The PDU's bytes; LocalProtocolError if a field does not fit."""
        body = unsigned(self.reserved_7, 1, "reserved_7") + unsigned(self.result, 1, "result")
        body += unsigned(self.source, 1, "source") + unsigned(self.reason, 1, "reason")
        return _framed(self.PDU_TYPE, self.reserved, body + self.trailing)


@value
class PDV:
    """A presentation data value: one fragment of a message (PS3.8 9.3.5.1)."""

    context_id: int
    control: int
    """The message control header (PS3.8 E.2)."""
    data: bytes | memoryview

    @property
    def is_command(self) -> bool:
        """Whether the fragment is of the command set, not of the data set."""
        return bool(self.control & 1)

    @property
    def is_last(self) -> bool:
        """Whether the fragment is the last of its command set or data set."""
        return bool(self.control & 2)


@value
class PDataTF:
    """P-DATA-TF (PS3.8 9.3.5): one PDV or more."""

    PDU_TYPE: ClassVar[int] = 0x04
    pdvs: tuple[PDV, ...]
    reserved: int = 0

    def encode(self) -> bytes:
        """The PDU's bytes; LocalProtocolError if a field does not fit, or there is no PDV."""
        if not self.pdvs:
            raise LocalProtocolError("pdvs is empty, a P-DATA-TF has at least one PDV")
        body: list[bytes | memoryview] = []
        for pdv in self.pdvs:
            body.append(unsigned(len(pdv.data) + 2, 4, "PDV length"))
            body.append(unsigned(pdv.context_id, 1, "context_id") + unsigned(pdv.control, 1, "control"))
            body.append(pdv.data)
        return _framed(self.PDU_TYPE, self.reserved, b"".join(body))


@value
class AReleaseRQ:
    """A-RELEASE-RQ (PS3.8 9.3.6); its body is reserved, four bytes by the standard."""

    PDU_TYPE: ClassVar[int] = 0x05
    reserved: int = 0
    body: bytes = bytes(4)

    def encode(self) -> bytes:
        """The PDU's bytes; LocalProtocolError if a field does not fit."""
        return _framed(self.PDU_TYPE, self.reserved, self.body)


@value
class AReleaseRP:
    """A-RELEASE-RP (PS3.8 9.3.7); its body is reserved, four bytes by the standard."""

    PDU_TYPE: ClassVar[int] = 0x06
    reserved: int = 0
    body: bytes = bytes(4)

    def encode(self) -> bytes:
        """The PDU's bytes; LocalProtocolError if a field does not fit."""
        return _framed(self.PDU_TYPE, self.reserved, self.body)


@value
class AAbort:
    """A-ABORT (PS3.8 9.3.8); the numbers are those of Table 9-26, or whatever the peer sent.

    Some peers send fewer than four bytes: ``missing`` says how many of the last are not on the wire.
    Their fields are zero.
    """

    PDU_TYPE: ClassVar[int] = 0x07
    source: int = 0
    reason: int = 0
    reserved: int = 0
    reserved_7_8: bytes = b"\0\0"
    trailing: bytes = b""
    missing: int = 0

    def encode(self) -> bytes:
        """The PDU's bytes; LocalProtocolError if a field does not fit."""
        body = exact(self.reserved_7_8, 2, "reserved_7_8")
        body += unsigned(self.source, 1, "source") + unsigned(self.reason, 1, "reason")
        if self.missing:
            if not 0 < self.missing <= 4 or self.trailing or any(body[-self.missing :]):
                raise LocalProtocolError(f"missing is {self.missing}, which the other fields contradict")
            body = body[: -self.missing]
        return _framed(self.PDU_TYPE, self.reserved, body + self.trailing)


Pdu: TypeAlias = AAssociateRQ | AAssociateAC | AAssociateRJ | PDataTF | AReleaseRQ | AReleaseRP | AAbort


def decode_pdu(pdu_type: int, body: bytes | memoryview, reserved: int = 0) -> Pdu:
    """The PDU with this type, the bytes after its 6-byte header, and its second byte (PS3.8 9.3.1).

    The data of PDVs are slices of ``body``: views, if it is one. Raises RemoteProtocolError with
    PDU_UNRECOGNIZED, PDU_MALFORMED, ITEM_MALFORMED or PDV_MALFORMED, and nothing else.
    """
    decode = _DECODERS.get(pdu_type)
    if decode is None:
        raise RemoteProtocolError(
            f"PDU type {pdu_type:02X}H is none of the seven", code=Code.PDU_UNRECOGNIZED, abort_reason=1
        )
    return decode(body, reserved)


def _associate(make: type[AAssociateRQ] | type[AAssociateAC], name: str) -> Callable[[bytes | memoryview, int], Pdu]:
    def decode(body: bytes | memoryview, reserved: int) -> Pdu:
        raw = bytes(body)
        if len(raw) < 68:
            raise RemoteProtocolError(f"{name} of {len(raw)} bytes where 68 are fixed", code=Code.PDU_MALFORMED)
        items, trailing = decode_items(raw, 68)
        version = int.from_bytes(raw[:2], "big")
        return make(raw[4:20], raw[20:36], items, version, reserved, raw[2:4], raw[36:68], trailing)

    return decode


def _reject(body: bytes | memoryview, reserved: int) -> Pdu:
    if len(body) < 4:
        raise RemoteProtocolError(f"A-ASSOCIATE-RJ of {len(body)} bytes where 4 belong", code=Code.PDU_MALFORMED)
    return AAssociateRJ(body[1], body[2], body[3], reserved, body[0], bytes(body[4:]))


def _data(body: bytes | memoryview, reserved: int) -> Pdu:
    pdvs: list[PDV] = []
    start = 0
    while len(body) - start >= 6:
        length, context_id, control = _PDV_HEADER.unpack_from(body, start)
        stop = start + 4 + length
        if length < 2 or stop > len(body):
            raise RemoteProtocolError(
                f"PDV of {length} bytes where 2 to {len(body) - start - 4} fit", code=Code.PDV_MALFORMED
            )
        pdvs.append(PDV(context_id, control, body[start + 6 : stop]))
        start = stop
    if start < len(body) or not pdvs:
        raise RemoteProtocolError(
            f"P-DATA-TF with {len(body) - start} bytes that are no PDV after {len(pdvs)} PDVs", code=Code.PDV_MALFORMED
        )
    return PDataTF(tuple(pdvs), reserved)


def _release_rq(body: bytes | memoryview, reserved: int) -> Pdu:
    return AReleaseRQ(reserved, bytes(body))


def _release_rp(body: bytes | memoryview, reserved: int) -> Pdu:
    return AReleaseRP(reserved, bytes(body))


def _abort(body: bytes | memoryview, reserved: int) -> Pdu:
    fixed = bytes(body[:4]).ljust(4, b"\0")
    missing = max(0, 4 - len(body))
    return AAbort(fixed[2], fixed[3], reserved, fixed[:2], bytes(body[4:]), missing)


_DECODERS: Final[dict[int, Callable[[bytes | memoryview, int], Pdu]]] = {
    0x01: _associate(AAssociateRQ, "A-ASSOCIATE-RQ"),
    0x02: _associate(AAssociateAC, "A-ASSOCIATE-AC"),
    0x03: _reject,
    0x04: _data,
    0x05: _release_rq,
    0x06: _release_rp,
    0x07: _abort,
}
