"""Every way in which a peer may differ from the standard that the engine can see.

We parse leniently, keep the raw bytes, report each deviation as data, and let a ``Profile``
decide what to do about it. Each deviation has a stable code, the clause it departs from, a
severity, and the natural way to refuse it for those who want to.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Final

from sansdimse.values import value


class Severity(Enum):
    """NOTE: unusual but allowed. MINOR: against the text, without consequence. MAJOR: risks the work."""

    NOTE = "note"
    MINOR = "minor"
    MAJOR = "major"


class Refusal(Enum):
    """How a deviation is refused, if the profile refuses it."""

    NEVER = "never"  # the standard forbids refusing it ("shall not be tested")
    REJECT = "reject"  # A-ASSOCIATE-RJ, or A-ABORT from the requestor
    CONTEXT = "context"  # the presentation context is not accepted, or not used
    ABORT = "abort"  # Evt19: A-ABORT by the service-provider (PS3.8 AA-8)
    DIMSE = "dimse"  # A-ABORT by the service-user, cause in our event (PS3.8 AA-1)


class Code(StrEnum):
    """The stable names. They are written into reports and profiles; they never change meaning."""

    # PS3.8 9.3: association establishment
    UID_PADDED = "uid-padded"
    UID_MALFORMED = "uid-malformed"
    AE_TITLE_NUL = "ae-title-nul"
    AE_TITLE_CHARACTERS = "ae-title-characters"
    AE_TITLE_BLANK = "ae-title-blank"
    AC_TITLES_DIFFER = "ac-titles-differ"
    RESERVED_NOT_ZERO = "reserved-not-zero"
    PROTOCOL_VERSION_BITS = "protocol-version-bits"
    PROTOCOL_VERSION_UNSUPPORTED = "protocol-version-unsupported"
    APPLICATION_CONTEXT_MISSING = "application-context-missing"
    APPLICATION_CONTEXT_REPEATED = "application-context-repeated"
    APPLICATION_CONTEXT_WRONG = "application-context-wrong"
    ITEM_UNKNOWN = "item-unknown"
    ITEM_ORDER = "item-order"
    ITEM_REPEATED = "item-repeated"
    ITEM_MISPLACED = "item-misplaced"
    ITEM_MALFORMED = "item-malformed"
    USER_INFORMATION_MISSING = "user-information-missing"
    USER_INFORMATION_REPEATED = "user-information-repeated"
    MAXIMUM_LENGTH_MISSING = "maximum-length-missing"
    MAXIMUM_LENGTH_TINY = "maximum-length-tiny"
    IMPLEMENTATION_UID_MISSING = "implementation-uid-missing"
    VERSION_NAME_MALFORMED = "version-name-malformed"
    WINDOW_UNPROPOSED = "window-unproposed"
    WINDOW_ABOVE_OFFER = "window-above-offer"
    ROLE_UNPROPOSED = "role-unproposed"
    ROLE_REPEATED = "role-repeated"
    ROLE_NONE = "role-none"
    ROLE_UNANSWERED = "role-unanswered"
    EXTENDED_UNPROPOSED = "extended-unproposed"
    IDENTITY_UNREQUESTED = "identity-unrequested"
    CONTEXT_ID_EVEN = "context-id-even"
    CONTEXT_ID_ZERO = "context-id-zero"
    CONTEXT_ID_REPEATED = "context-id-repeated"
    CONTEXT_WITHOUT_ABSTRACT_SYNTAX = "context-without-abstract-syntax"
    CONTEXT_SEVERAL_ABSTRACT_SYNTAXES = "context-several-abstract-syntaxes"
    CONTEXT_WITHOUT_TRANSFER_SYNTAX = "context-without-transfer-syntax"
    NO_CONTEXTS = "no-contexts"
    AC_TRANSFER_SYNTAX_MISSING = "ac-transfer-syntax-missing"
    AC_TRANSFER_SYNTAX_UNPROPOSED = "ac-transfer-syntax-unproposed"
    AC_TRANSFER_SYNTAXES_SEVERAL = "ac-transfer-syntaxes-several"
    AC_CONTEXT_UNPROPOSED = "ac-context-unproposed"
    AC_CONTEXT_MISSING = "ac-context-missing"
    AC_CONTEXT_RESULT = "ac-context-result"
    REJECT_CODES = "reject-codes"
    TRAILING_BYTES = "trailing-bytes"
    # PS3.8 9.3: framing
    PDU_UNRECOGNIZED = "pdu-unrecognized"
    PDU_UNEXPECTED = "pdu-unexpected"
    PDU_TOO_LONG = "pdu-too-long"
    PDU_ABOVE_MAXIMUM = "pdu-above-maximum"
    PDU_MALFORMED = "pdu-malformed"
    PDU_LENGTH_NOT_FOUR = "pdu-length-not-four"
    PDV_MALFORMED = "pdv-malformed"
    PDV_CONTEXT_UNKNOWN = "pdv-context-unknown"
    # PS3.8 Annex E, PS3.7: messages
    MESSAGES_SHARE_PDU = "messages-share-pdu"
    FRAGMENT_EMPTY = "fragment-empty"
    FRAGMENT_ODD = "fragment-odd"
    FRAGMENTS_TOO_MANY = "fragments-too-many"
    COMMAND_TOO_LONG = "command-too-long"
    COMMAND_MALFORMED = "command-malformed"
    GROUP_LENGTH_MISSING = "group-length-missing"
    GROUP_LENGTH_WRONG = "group-length-wrong"
    COMMAND_ELEMENT_ORDER = "command-element-order"
    COMMAND_ELEMENT_UNKNOWN = "command-element-unknown"
    COMMAND_ELEMENT_REPEATED = "command-element-repeated"
    COMMAND_ELEMENT_MISSING = "command-element-missing"
    COMMAND_ELEMENT_UNREADABLE = "command-element-unreadable"
    COMMAND_PADDING = "command-padding"
    COMMAND_UNKNOWN = "command-unknown"
    DATA_SET_TYPE_UNUSUAL = "data-set-type-unusual"
    DATA_SET_FORBIDDEN = "data-set-forbidden"
    DATA_SET_MISSING = "data-set-missing"
    DATA_SET_UNANNOUNCED = "data-set-unannounced"
    DATA_SET_CONTEXT = "data-set-context"
    DATA_SET_TOO_LONG = "data-set-too-long"
    DATA_SET_INTERRUPTED = "data-set-interrupted"
    MESSAGE_ID_REPEATED = "message-id-repeated"
    RESPONSE_UNSOLICITED = "response-unsolicited"
    RESPONSE_COMMAND = "response-command"
    RESPONSE_ID = "response-id"
    RESPONSE_CONTEXT = "response-context"
    RESPONSE_UID_MISSING = "response-uid-missing"
    RESPONSE_UID_DIFFERS = "response-uid-differs"
    SOP_CLASS_MISSING = "sop-class-missing"
    SOP_CLASS_NOT_OF_CONTEXT = "sop-class-not-of-context"
    CANCEL_UNKNOWN = "cancel-unknown"
    CANCEL_CONTEXT = "cancel-context"
    STATUS_PENDING_UNEXPECTED = "status-pending-unexpected"
    PRIORITY_MISSING = "priority-missing"
    PRIORITY_INVALID = "priority-invalid"
    WINDOW_EXCEEDED = "window-exceeded"
    # PS3.8 7: release, abort, transport
    CLOSED_WITHOUT_RELEASE = "closed-without-release"
    ABORT_CODES = "abort-codes"
    ABORT_AFTER_RELEASE = "abort-after-release"


@dataclass(frozen=True, slots=True)
class Rule:
    """What a code stands for: the clause it departs from, how grave it is, how it is refused."""

    clause: str
    severity: Severity
    refusal: Refusal
    text: str


@value
class Deviation:
    """One departure from the standard, as seen. ``detail`` is escaped text, fit for a log line."""

    code: Code
    detail: str = ""

    @property
    def rule(self) -> Rule:
        """The catalogue's row for this code."""
        return CATALOGUE[self.code]

    def __str__(self) -> str:
        detail = f": {self.detail}" if self.detail else ""
        return f"{self.code}{detail} ({self.rule.text}, {self.rule.clause})"


def escaped(raw: bytes | str, limit: int = 64) -> str:
    """What a peer sent, as printable ASCII of bounded length: fit for a log line or a terminal."""
    text = raw.decode("latin-1") if isinstance(raw, bytes) else raw
    cut = text[:limit]
    shown = "".join(c if c.isprintable() and c.isascii() and c != "\\" else f"\\x{ord(c):02x}" for c in cut)
    return shown + "..." if len(text) > limit else shown


_GRADES: Final = {"note": Severity.NOTE, "minor": Severity.MINOR, "major": Severity.MAJOR}

# code | clause | severity | refusal | text
_TABLE: Final = """
uid-padded                        | PS3.8 Annex F    | minor | reject  | a UID is padded, which those of PDUs are not
uid-malformed                     | PS3.8 Annex F    | major | context | a UID has characters, components or a length that no UID has
ae-title-nul                      | PS3.8 Table 9-11 | minor | reject  | an AE title is padded with NUL
ae-title-characters               | PS3.8 Table 9-11 | major | reject  | an AE title has characters outside ISO 646 basic G0
ae-title-blank                    | PS3.8 Table 9-11 | major | reject  | an AE title is blank
ac-titles-differ                  | PS3.8 Table 9-17 | note  | never   | the reserved title fields of the A-ASSOCIATE-AC do not echo the request
reserved-not-zero                 | PS3.8 9.3.1      | note  | never   | a reserved field is not zero
protocol-version-bits             | PS3.8 9.3.2      | note  | never   | the protocol version has more bits than version 1
protocol-version-unsupported      | PS3.8 Table 9-11 | major | reject  | the protocol version lacks bit 0
application-context-missing       | PS3.8 9.3.2.1    | minor | reject  | there is no application context item
application-context-repeated      | PS3.8 9.3.2.1    | minor | reject  | there is more than one application context item
application-context-wrong         | PS3.7 A.2.1      | major | reject  | the application context is not DICOM's
item-unknown                      | PS3.8 9.3.1      | note  | never   | an item or sub-item of unknown type was skipped
item-order                        | PS3.8 9.3.1      | minor | reject  | items are not in ascending order of type
item-repeated                     | PS3.8 9.3.1      | minor | reject  | an item that may occur once occurs again
item-misplaced                    | PS3.8 9.3.1      | minor | reject  | an item stands where its type does not belong
item-malformed                    | PS3.8 9.3.1      | major | abort   | an item's length does not fit its content
user-information-missing          | PS3.8 9.3.2      | major | reject  | there is no user information item
user-information-repeated         | PS3.8 9.3.2      | minor | reject  | there is more than one user information item
maximum-length-missing            | PS3.8 D.1        | major | reject  | the maximum length sub-item is missing
maximum-length-tiny               | PS3.8 D.1        | major | reject  | the maximum length leaves no room for a fragment of two bytes
implementation-uid-missing        | PS3.7 D.3.3.2    | minor | reject  | the implementation class UID is missing
version-name-malformed            | PS3.7 D.3.3.2    | minor | reject  | the implementation version name is empty, too long or not ISO 646
window-unproposed                 | PS3.7 D.3.3.3    | minor | reject  | an asynchronous operations window was answered that nobody proposed
window-above-offer                | PS3.7 D.3.3.3    | minor | reject  | the asynchronous operations window answered is above the one offered
role-unproposed                   | PS3.7 D.3.3.4    | minor | reject  | a role selection concerns a SOP class that was not proposed
role-repeated                     | PS3.7 D.3.3.4    | minor | reject  | a SOP class has more than one role selection
role-none                         | PS3.7 D.3.3.4    | minor | reject  | a role selection leaves no role
role-unanswered                   | PS3.7 D.3.3.4    | major | dimse   | a C-STORE came for the role of SCP that we proposed and the answer passed over
extended-unproposed               | PS3.7 D.3.3.5    | minor | reject  | an extended negotiation was answered that nobody proposed
identity-unrequested              | PS3.7 D.3.3.7    | minor | reject  | a user identity response came that nobody asked for
context-id-even                   | PS3.8 9.3.2.2    | minor | context | a presentation context ID is even
context-id-zero                   | PS3.8 9.3.2.2    | major | context | a presentation context ID is zero
context-id-repeated               | PS3.8 7.1.1.13   | major | reject  | a presentation context ID occurs twice; the first counts
context-without-abstract-syntax   | PS3.8 9.3.2.2    | major | context | a presentation context has no abstract syntax
context-several-abstract-syntaxes | PS3.8 9.3.2.2    | major | context | a presentation context has several abstract syntaxes; the first counts
context-without-transfer-syntax   | PS3.8 9.3.2.2    | major | context | a presentation context has no transfer syntax
no-contexts                       | PS3.8 9.3.2      | major | reject  | no presentation context was proposed
ac-transfer-syntax-missing        | PS3.8 Table 9-18 | note  | never   | a context that was not accepted has no transfer syntax, or an empty one
ac-transfer-syntax-unproposed     | PS3.8 7.1.1.14   | major | context | a context was accepted with a transfer syntax that was not proposed, or none
ac-transfer-syntaxes-several      | PS3.8 9.3.3.2    | minor | context | a context was accepted with several transfer syntaxes; the first counts
ac-context-unproposed             | PS3.8 7.1.1.14   | minor | reject  | a context was answered that was not proposed
ac-context-missing                | PS3.8 7.1.1.14   | minor | reject  | a proposed context was not answered
ac-context-result                 | PS3.8 Table 9-18 | minor | reject  | a context result is outside the table
reject-codes                      | PS3.8 Table 9-21 | note  | never   | an A-ASSOCIATE-RJ has codes outside the table
trailing-bytes                    | PS3.8 9.3.1      | minor | abort   | bytes follow the last item
pdu-unrecognized                  | PS3.8 9.3.1      | major | abort   | the PDU type is none of the seven
pdu-unexpected                    | PS3.8 Table 9-10 | major | abort   | the PDU does not belong in this state
pdu-too-long                      | PS3.8 9.3.1      | major | abort   | the PDU is longer than the limit
pdu-above-maximum                 | PS3.8 D.1        | major | abort   | a P-DATA-TF is longer than the maximum length announced
pdu-malformed                     | PS3.8 9.3        | major | abort   | the PDU's content does not fit its length
pdu-length-not-four               | PS3.8 9.3.4-9.3.8| minor | abort   | a PDU of fixed length has another
pdv-malformed                     | PS3.8 9.3.5.1    | major | abort   | a PDV's length does not fit its PDU
pdv-context-unknown               | PS3.8 9.3.5.1    | major | abort   | a PDV names a presentation context that was not accepted
messages-share-pdu                | PS3.8 E.1        | minor | abort   | one P-DATA-TF holds fragments of two messages
fragment-empty                    | PS3.8 E.1        | note  | abort   | a fragment is empty
fragment-odd                      | PS3.8 E.1        | minor | abort   | a fragment has odd length
fragments-too-many                | PS3.8 E.1        | major | dimse   | a message has more fragments than the limit
command-too-long                  | PS3.7 6.3.1      | major | dimse   | a command set is longer than the limit
command-malformed                 | PS3.7 6.3.1      | major | dimse   | a command set cannot be decoded
group-length-missing              | PS3.7 9.3, 10.3  | minor | dimse   | a command set has no group length
group-length-wrong                | PS3.7 9.3, 10.3  | minor | dimse   | a command set's group length is wrong
command-element-order             | PS3.7 6.3.1      | minor | dimse   | command elements are not in ascending order
command-element-unknown           | PS3.7 6.3.1      | note  | dimse   | a command element is unknown, retired or of another group
command-element-repeated          | PS3.7 6.3.1      | minor | dimse   | a command element occurs twice; the last counts
command-element-missing           | PS3.7 9.3, 10.3  | major | dimse   | a mandatory command element is missing or cannot be read
command-element-unreadable        | PS3.7 E.1        | minor | dimse   | an optional command element is empty or has a length that its VR does not have
command-padding                   | PS3.5 6.2        | note  | dimse   | a command element is padded in another way than its VR says
command-unknown                   | PS3.7 Annex E    | major | dimse   | the command field is none of the standard's
data-set-type-unusual             | PS3.7 Annex E    | note  | dimse   | the data set type is neither 0101 nor a usual value
data-set-forbidden                | PS3.7 9.3, 10.3  | minor | dimse   | a message announces a data set that it may not have
data-set-missing                  | PS3.7 9.3, 10.3  | major | dimse   | a message announces no data set though it must have one
data-set-unannounced              | PS3.7 6.3.1      | major | dimse   | data set fragments came that no command announced
data-set-context                  | PS3.8 7.6.1      | major | dimse   | a data set came on another context than its command
data-set-too-long                 | PS3.7 6.3.1      | major | dimse   | a data set is longer than the limit
data-set-interrupted              | PS3.8 E.1        | major | dimse   | another command came before the data set was complete
message-id-repeated               | PS3.7 9.1.1.1.9  | major | dimse   | a message ID is that of an outstanding request
response-unsolicited              | PS3.7 7.5.3      | minor | dimse   | a response came to a request that is not outstanding
response-command                  | PS3.7 7.5.3      | major | dimse   | a response's command does not answer the request's
response-id                       | PS3.7 7.5.3      | major | dimse   | a response's message ID is wrong or missing; one request was outstanding
response-context                  | PS3.8 7.6.1      | major | dimse   | a response came on another context than its request
response-uid-missing              | PS3.7 9.3, 10.3  | note  | dimse   | a response does not repeat its SOP class or instance UID
response-uid-differs              | PS3.7 9.1, 10.1  | minor | dimse   | a response names another SOP class or instance than the request
sop-class-missing                 | PS3.7 9.3, 10.3  | major | dimse   | a request names no SOP class; the context's abstract syntax is taken
sop-class-not-of-context          | PS3.7 9.1, 10.1  | minor | dimse   | a request's SOP class is not the context's abstract syntax
cancel-unknown                    | PS3.7 9.3.2.3    | note  | dimse   | a C-CANCEL came for a request that is not outstanding
cancel-context                    | PS3.8 7.6.1      | minor | dimse   | a C-CANCEL came on another context than its request
status-pending-unexpected         | PS3.7 Annex C    | major | dimse   | Pending answered a request that has one response
priority-missing                  | PS3.7 9.3        | minor | dimse   | the priority is missing; medium is taken
priority-invalid                  | PS3.7 9.3        | minor | dimse   | the priority is none of the three; medium is taken
window-exceeded                   | PS3.7 7.3        | major | dimse   | more requests are outstanding than were negotiated
closed-without-release            | PS3.8 9.1.4      | minor | never   | the connection was closed without release or abort
abort-codes                       | PS3.8 Table 9-26 | note  | never   | an A-ABORT has codes outside the table
abort-after-release               | PS3.8 7.2        | note  | never   | an A-ABORT came in the course of a release
"""


def _read_catalogue() -> dict[Code, Rule]:
    catalogue = {}
    for line in _TABLE.strip().splitlines():
        code, clause, severity, refusal, text = (cell.strip() for cell in line.split("|"))
        catalogue[Code(code)] = Rule(clause, _GRADES[severity], Refusal(refusal), text)
    return catalogue


CATALOGUE: Final[dict[Code, Rule]] = _read_catalogue()
"""Every code with its rule; complete, in the order of ``Code``."""
