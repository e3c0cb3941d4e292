"""The variable items of A-ASSOCIATE PDUs (PS3.8 9.3.2, 9.3.3, Annex D; PS3.7 D.3.3), lossless.

Text (UIDs, names) is ``str``: the latin-1 view of the bytes on the wire, padding included. That
view is a bijection, so nothing a peer may send is lost; compare UIDs through ``uids.normal``.
``item_decoding`` reads items from bytes; ``lint`` tells what in them deviates.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Final, TypeAlias

from sansdimse.errors import LocalProtocolError
from sansdimse.uids import APPLICATION_CONTEXT, normal
from sansdimse.values import value

# How a field becomes bytes. Each raises LocalProtocolError naming the field that does not fit.


def unsigned(number: int, size: int, field: str) -> bytes:
    """``number`` as ``size`` bytes, big endian (PS3.8 9.3.1)."""
    try:
        return number.to_bytes(size, "big")
    except OverflowError:
        raise LocalProtocolError(f"{field} is {number}, which does not fit in {8 * size} bits") from None


def exact(raw: bytes, size: int, field: str) -> bytes:
    """``raw``, if it has the ``size`` bytes that its field has."""
    if len(raw) != size:
        raise LocalProtocolError(f"{field} has {len(raw)} bytes where {size} belong")
    return raw


def latin1(text: str, field: str) -> bytes:
    """The bytes that ``text`` is the latin-1 view of."""
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        raise LocalProtocolError(f"{field} has characters above FFH") from None


def counted(raw: bytes, field: str) -> bytes:
    """``raw`` after its 16 bit length."""
    return unsigned(len(raw), 2, f"length of {field}") + raw


def _framed(item_type: int, reserved: int, content: bytes) -> bytes:
    kind = unsigned(item_type, 1, "item_type")
    return kind + unsigned(reserved, 1, "reserved") + counted(content, f"item {item_type:02X}H")


LEAST_MAXIMUM_LENGTH: Final = 8
"""Bytes: a PDV item's 4 of length and 2 of header, and a fragment of 2, since fragments are even (PS3.8 E.1)."""

# The items, in ascending order of type. `reserved` is the item's second byte.


@value
class UnknownItem:
    """An item of unknown type, which one skips (PS3.8 9.3.1), or one with sub-items inside another."""

    item_type: int
    data: bytes
    reserved: int = 0

    def encode(self) -> bytes:
        """The item's bytes; LocalProtocolError if a field does not fit."""
        return _framed(self.item_type, self.reserved, self.data)


@value
class ApplicationContext:
    """Application Context item (PS3.8 Table 9-12)."""

    item_type: ClassVar[int] = 0x10
    name: str = APPLICATION_CONTEXT
    reserved: int = 0

    def encode(self) -> bytes:
        """The item's bytes; LocalProtocolError if a field does not fit."""
        return _framed(self.item_type, self.reserved, latin1(self.name, "name"))


@value
class PresentationContextRQ:
    """Presentation Context item of an A-ASSOCIATE-RQ (PS3.8 Table 9-13): what is proposed under one ID."""

    item_type: ClassVar[int] = 0x20
    context_id: int
    items: tuple[Item, ...]
    reserved: int = 0
    reserved_fields: bytes = b"\0\0\0"
    """Bytes 6 to 8."""

    @classmethod
    def of(cls, context_id: int, abstract_syntax: str, transfer_syntaxes: Iterable[str]) -> PresentationContextRQ:
        """A proposal of one abstract syntax with transfer syntaxes, in the order given."""
        return cls(context_id, (AbstractSyntax(abstract_syntax), *map(TransferSyntax, transfer_syntaxes)))

    @property
    def abstract_syntax(self) -> str | None:
        """The first abstract syntax, in normal form; None if there is none."""
        return next((normal(item.uid) for item in self.items if isinstance(item, AbstractSyntax)), None)

    @property
    def transfer_syntaxes(self) -> tuple[str, ...]:
        """The transfer syntaxes, in normal form, in the order proposed."""
        return tuple(normal(item.uid) for item in self.items if isinstance(item, TransferSyntax))

    def encode(self) -> bytes:
        """The item's bytes; LocalProtocolError if a field does not fit."""
        fields = unsigned(self.context_id, 1, "context_id") + exact(self.reserved_fields, 3, "reserved_fields")
        return _framed(self.item_type, self.reserved, fields + _encoded(self.items))


@value
class PresentationContextAC:
    """Presentation Context item of an A-ASSOCIATE-AC (PS3.8 Table 9-18): the answer to one proposal."""

    item_type: ClassVar[int] = 0x21
    context_id: int
    result: int
    """0 acceptance, 1 user rejection, 2 no reason, 3 abstract syntax, 4 transfer syntaxes not supported."""
    items: tuple[Item, ...]
    reserved: int = 0
    reserved_fields: bytes = b"\0\0"
    """Bytes 6 and 8; the result stands between them."""

    @classmethod
    def of(cls, context_id: int, result: int, transfer_syntax: str) -> PresentationContextAC:
        """An answer; the transfer syntax is always there, and means something only if ``result`` is 0."""
        return cls(context_id, result, (TransferSyntax(transfer_syntax),))

    @property
    def transfer_syntax(self) -> str | None:
        """The first transfer syntax, in normal form; None if there is none or it is empty."""
        return next(iter(self.transfer_syntaxes), None) or None

    @property
    def transfer_syntaxes(self) -> tuple[str, ...]:
        """All transfer syntaxes, in normal form: one, by the standard."""
        return tuple(normal(item.uid) for item in self.items if isinstance(item, TransferSyntax))

    def encode(self) -> bytes:
        """The item's bytes; LocalProtocolError if a field does not fit."""
        reserved = exact(self.reserved_fields, 2, "reserved_fields")
        fields = unsigned(self.context_id, 1, "context_id") + reserved[:1]
        fields += unsigned(self.result, 1, "result") + reserved[1:]
        return _framed(self.item_type, self.reserved, fields + _encoded(self.items))


@value
class AbstractSyntax:
    """Abstract Syntax sub-item (PS3.8 Table 9-14)."""

    item_type: ClassVar[int] = 0x30
    uid: str
    reserved: int = 0

    def encode(self) -> bytes:
        """The sub-item's bytes; LocalProtocolError if a field does not fit."""
        return _framed(self.item_type, self.reserved, latin1(self.uid, "uid"))


@value
class TransferSyntax:
    """Transfer Syntax sub-item (PS3.8 Tables 9-15 and 9-19)."""

    item_type: ClassVar[int] = 0x40
    uid: str
    reserved: int = 0

    def encode(self) -> bytes:
        """The sub-item's bytes; LocalProtocolError if a field does not fit."""
        return _framed(self.item_type, self.reserved, latin1(self.uid, "uid"))


@value
class UserInformation:
    """User Information item (PS3.8 Tables 9-16 and 9-20); its sub-items may stand in any order."""

    item_type: ClassVar[int] = 0x50
    items: tuple[Item, ...]
    reserved: int = 0

    def encode(self) -> bytes:
        """The item's bytes; LocalProtocolError if a field does not fit."""
        return _framed(self.item_type, self.reserved, _encoded(self.items))


@value
class MaximumLength:
    """Maximum Length sub-item (PS3.8 D.1): the longest P-DATA-TF body its sender takes, in bytes; 0 is no limit."""

    item_type: ClassVar[int] = 0x51
    maximum_length: int
    reserved: int = 0

    def encode(self) -> bytes:
        """The sub-item's bytes; LocalProtocolError if a field does not fit."""
        return _framed(self.item_type, self.reserved, unsigned(self.maximum_length, 4, "maximum_length"))


@value
class ImplementationClassUID:
    """Implementation Class UID sub-item (PS3.7 D.3.3.2)."""

    item_type: ClassVar[int] = 0x52
    uid: str
    reserved: int = 0

    def encode(self) -> bytes:
        """The sub-item's bytes; LocalProtocolError if a field does not fit."""
        return _framed(self.item_type, self.reserved, latin1(self.uid, "uid"))


@value
class AsynchronousOperationsWindow:
    """Asynchronous Operations Window sub-item (PS3.7 D.3.3.3), as seen by the requestor; 0 is no limit."""

    item_type: ClassVar[int] = 0x53
    invoked: int
    performed: int
    reserved: int = 0

    def encode(self) -> bytes:
        """The sub-item's bytes; LocalProtocolError if a field does not fit."""
        window = unsigned(self.invoked, 2, "invoked") + unsigned(self.performed, 2, "performed")
        return _framed(self.item_type, self.reserved, window)


@value
class RoleSelection:
    """SCP/SCU Role Selection sub-item (PS3.7 D.3.3.4): the requestor's roles, 1 proposed or accepted, 0 not."""

    item_type: ClassVar[int] = 0x54
    sop_class_uid: str
    scu_role: int
    scp_role: int
    reserved: int = 0

    def encode(self) -> bytes:
        """The sub-item's bytes; LocalProtocolError if a field does not fit."""
        uid = counted(latin1(self.sop_class_uid, "sop_class_uid"), "sop_class_uid")
        roles = unsigned(self.scu_role, 1, "scu_role") + unsigned(self.scp_role, 1, "scp_role")
        return _framed(self.item_type, self.reserved, uid + roles)


@value
class ImplementationVersionName:
    """Implementation Version Name sub-item (PS3.7 D.3.3.2): 1 to 16 characters by the standard."""

    item_type: ClassVar[int] = 0x55
    name: str
    reserved: int = 0

    def encode(self) -> bytes:
        """The sub-item's bytes; LocalProtocolError if a field does not fit."""
        return _framed(self.item_type, self.reserved, latin1(self.name, "name"))


@value
class ExtendedNegotiation:
    """SOP Class Extended Negotiation sub-item (PS3.7 D.3.3.5); what ``information`` means, PS3.4 says."""

    item_type: ClassVar[int] = 0x56
    sop_class_uid: str
    information: bytes
    reserved: int = 0

    def encode(self) -> bytes:
        """The sub-item's bytes; LocalProtocolError if a field does not fit."""
        uid = counted(latin1(self.sop_class_uid, "sop_class_uid"), "sop_class_uid")
        return _framed(self.item_type, self.reserved, uid + self.information)


@value
class CommonExtendedNegotiation:
    """SOP Class Common Extended Negotiation sub-item (PS3.7 D.3.3.6). Its second byte is a version, not reserved."""

    item_type: ClassVar[int] = 0x57
    sop_class_uid: str
    service_class_uid: str
    related_general_sop_class_uids: tuple[str, ...] = ()
    version: int = 0
    trailing: bytes = b""
    """What versions later than 0 may add."""

    def encode(self) -> bytes:
        """The sub-item's bytes; LocalProtocolError if a field does not fit."""
        field = "related_general_sop_class_uids"
        related = b"".join(counted(latin1(uid, field), field) for uid in self.related_general_sop_class_uids)
        content = counted(latin1(self.sop_class_uid, "sop_class_uid"), "sop_class_uid")
        content += counted(latin1(self.service_class_uid, "service_class_uid"), "service_class_uid")
        content += counted(related, field) + self.trailing
        # Checked here under its own name; the frame knows that byte as reserved.
        return _framed(self.item_type, unsigned(self.version, 1, "version")[0], content)


@value
class UserIdentityRQ:
    """User Identity sub-item of an A-ASSOCIATE-RQ (PS3.7 Table D.3-14). Its repr shows no secret."""

    item_type: ClassVar[int] = 0x58
    identity_type: int
    """1 username, 2 username and passcode, 3 Kerberos ticket, 4 SAML assertion, 5 JSON Web Token."""
    primary_field: bytes
    secondary_field: bytes = b""
    positive_response_requested: int = 0
    reserved: int = 0

    def __repr__(self) -> str:
        return (
            f"UserIdentityRQ(identity_type={self.identity_type}, primary_field=<{len(self.primary_field)} bytes>, "
            f"secondary_field=<{len(self.secondary_field)} bytes>, "
            f"positive_response_requested={self.positive_response_requested}, reserved={self.reserved})"
        )

    def encode(self) -> bytes:
        """The sub-item's bytes; LocalProtocolError if a field does not fit."""
        fields = unsigned(self.identity_type, 1, "identity_type")
        fields += unsigned(self.positive_response_requested, 1, "positive_response_requested")
        fields += counted(self.primary_field, "primary_field") + counted(self.secondary_field, "secondary_field")
        return _framed(self.item_type, self.reserved, fields)


@value
class UserIdentityAC:
    """User Identity sub-item of an A-ASSOCIATE-AC (PS3.7 Table D.3-15). Its repr shows no secret."""

    item_type: ClassVar[int] = 0x59
    server_response: bytes = b""
    reserved: int = 0

    def __repr__(self) -> str:
        return f"UserIdentityAC(server_response=<{len(self.server_response)} bytes>, reserved={self.reserved})"

    def encode(self) -> bytes:
        """The sub-item's bytes; LocalProtocolError if a field does not fit."""
        return _framed(self.item_type, self.reserved, counted(self.server_response, "server_response"))


Item: TypeAlias = (
    UnknownItem
    | ApplicationContext
    | PresentationContextRQ
    | PresentationContextAC
    | AbstractSyntax
    | TransferSyntax
    | UserInformation
    | MaximumLength
    | ImplementationClassUID
    | AsynchronousOperationsWindow
    | RoleSelection
    | ImplementationVersionName
    | ExtendedNegotiation
    | CommonExtendedNegotiation
    | UserIdentityRQ
    | UserIdentityAC
)


def _encoded(items: tuple[Item, ...]) -> bytes:
    for item in items:
        if isinstance(item, PresentationContextRQ | PresentationContextAC | UserInformation):
            raise LocalProtocolError(f"items: {type(item).__name__} cannot stand inside another item")
    return b"".join(item.encode() for item in items)
