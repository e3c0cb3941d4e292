"""What the engine tells: the primitives of PS3.8 and PS3.7 as values.

Events are compared by what was on the wire, so two runs over the same bytes give equal events; the
live handle (``operation``) rides along outside comparison.
"""

from __future__ import annotations

from dataclasses import field
from enum import Enum
from typing import TYPE_CHECKING, Final

from sansdimse.values import value

if TYPE_CHECKING:
    from sansdimse.dimse.messages import (
        CEchoRQ,
        CFindRQ,
        CGetRQ,
        CMoveRQ,
        CStoreRQ,
        Request,
        Response,
        UnknownCommand,
    )
    from sansdimse.dimse.status import Status
    from sansdimse.errors import RemoteProtocolError
    from sansdimse.outcome import Outcome
    from sansdimse.services import operation as op
    from sansdimse.services.normalized import NormalizedRQ, NormalizedSCP
    from sansdimse.services.query import FindSCP
    from sansdimse.services.retrieve import GetSCP, MoveSCP
    from sansdimse.services.storage import StoreRequest, StoreSCP
    from sansdimse.services.verification import EchoSCP
    from sansdimse.ul.negotiation import NegotiatedContext
    from sansdimse.ul.pdu import AAssociateAC, AAssociateRQ
    from sansdimse.ul.timers import Timer


class NeedData(Enum):
    """The type of ``NEED_DATA``."""

    NEED_DATA = "NEED_DATA"


NEED_DATA: Final = NeedData.NEED_DATA
"""No event: nothing more can be told until something new is."""

# ---------------------------------------------------------------- the Upper Layer, PS3.8 7


@value
class AssociationRequested:
    """A-ASSOCIATE indication: answer with ``accept`` or ``reject`` (PS3.8 7.1.1)."""

    request: AAssociateRQ


@value
class AssociationAccepted:
    """A-ASSOCIATE confirmation, accepted (PS3.8 7.1.1)."""

    response: AAssociateAC


@value
class AssociationRejected:
    """A-ASSOCIATE confirmation, rejected; the numbers as received (PS3.8 Table 9-21)."""

    result: int
    source: int
    reason: int


@value
class ReleaseRequested:
    """A-RELEASE indication: answer with ``respond_release`` (PS3.8 7.2).

    In a ``collision`` both sides asked at once; an answer given early waits for its turn.
    """

    collision: bool = False


@value
class ReleaseCompleted:
    """A-RELEASE confirmation (PS3.8 7.2)."""


@value
class Aborted:
    """A-ABORT or A-P-ABORT indication (PS3.8 7.3, 7.4).

    ``by_peer`` says who sent the A-ABORT. When we did, ``cause`` is what the peer broke.
    """

    source: int
    reason: int
    by_peer: bool
    cause: RemoteProtocolError | None = None


@value
class TransportClosed:
    """A-P-ABORT indication: the connection went, or never came; ``error`` is the network's word (AA-4)."""

    error: str | None = None


@value
class TimedOut:
    """A deadline passed and the association was aborted; of a message, ``message_id`` says which."""

    timer: Timer
    message_id: int = 0


@value
class IdleTooLong:
    """Nothing happened for ``Limits.idle``, and ``WhenIdle`` leaves it to you; told again after as long a time.

    The engine is in Sta6 with nothing outstanding: ``release`` is legal, and so is another request.
    """


@value
class Ended:
    """The last event: the association is over. It is repeated for whoever asks again."""

    outcome: Outcome


# ---------------------------------------------------------------- DIMSE, PS3.7


@value
class EchoRequested:
    """C-ECHO indication (PS3.7 9.1.5): answer with ``operation.respond``."""

    context: NegotiatedContext
    request: CEchoRQ
    operation: EchoSCP = field(compare=False, repr=False)


@value
class StoreRequested:
    """C-STORE indication (PS3.7 9.1.1). Its data set follows as ``DatasetReceived``."""

    context: NegotiatedContext
    request: CStoreRQ
    operation: StoreSCP = field(compare=False, repr=False)


@value
class FindRequested:
    """C-FIND indication (PS3.7 9.1.2), with its whole identifier, in the transfer syntax of the context.

    Answer with ``operation.send_match`` for each match, then ``operation.finish``.
    """

    context: NegotiatedContext
    request: CFindRQ
    identifier: bytes
    operation: FindSCP = field(compare=False, repr=False)


@value
class GetRequested:
    """C-GET indication (PS3.7 9.1.3), with its whole identifier, in the transfer syntax of the context.

    Answer with ``operation.expect``, ``operation.store`` for each instance, then ``operation.finish``.
    """

    context: NegotiatedContext
    request: CGetRQ
    identifier: bytes
    operation: GetSCP = field(compare=False, repr=False)


@value
class MoveRequested:
    """C-MOVE indication (PS3.7 9.1.4), with its whole identifier, in the transfer syntax of the context.

    Store at ``operation.destination`` over another association; answer with ``operation.expect``,
    ``operation.record`` for each instance, then ``operation.finish``.
    """

    context: NegotiatedContext
    request: CMoveRQ
    identifier: bytes
    operation: MoveSCP = field(compare=False, repr=False)


@value
class NormalizedRequested:
    """N-EVENT-REPORT, N-GET, N-SET, N-ACTION, N-CREATE or N-DELETE indication (PS3.7 10.1): which, ``request`` tells.

    ``data_set`` is whole, in the transfer syntax of the context; None if the request has none. Answer with
    ``operation.respond``.
    """

    context: NegotiatedContext
    request: NormalizedRQ
    data_set: bytes | None
    operation: NormalizedSCP = field(compare=False, repr=False)


@value
class DatasetReceived:
    """A piece of the data set of the message ``message_id``; a view of received bytes, perhaps empty if last."""

    message_id: int
    data: bytes | memoryview
    is_last: bool
    operation: StoreSCP = field(compare=False, repr=False)


@value
class CancelRequested:
    """C-CANCEL indication for an outstanding request of the peer (PS3.7 9.3.2.3)."""

    message_id: int
    operation: op.Performed = field(compare=False, repr=False)


@value
class UnservableRequested:
    """A request that nobody can serve, with the status to answer; its data set, if any, is discarded.

    Answer with ``operation.respond()`` (PS3.7 Annex C: 0211, 0122, 0210, 0117, 0212).
    """

    context: NegotiatedContext
    request: Request | UnknownCommand
    status: Status
    text: str
    operation: op.UnservableSCP = field(compare=False, repr=False)


@value
class ResponseReceived:
    """The response to a request of ours, which is over if ``is_final``.

    ``identifier`` is its data set, in the transfer syntax of the context: of a C-FIND a match, of a C-GET or C-MOVE
    the list of those failed, of DIMSE-N the reply.
    """

    status: Status
    response: Response
    is_final: bool
    operation: op.Request = field(compare=False, repr=False)
    identifier: bytes | None = None


@value
class SendingAllowed:
    """A message whose data set you send by pieces has come to the head of the queue (PS3.8 E.1)."""

    message_id: int
    operation: StoreRequest = field(compare=False, repr=False)


UpperLayerEvent = (
    AssociationRequested
    | AssociationAccepted
    | AssociationRejected
    | ReleaseRequested
    | ReleaseCompleted
    | Aborted
    | TransportClosed
    | TimedOut
    | IdleTooLong
    | Ended
)

Event = (
    UpperLayerEvent
    | EchoRequested
    | StoreRequested
    | FindRequested
    | GetRequested
    | MoveRequested
    | NormalizedRequested
    | DatasetReceived
    | CancelRequested
    | UnservableRequested
    | ResponseReceived
    | SendingAllowed
)
