"""DICOM over blocking sockets: one thread per association, no event loop.

``associate`` opens an association and gives a ``Peer``; ``serve`` listens and lets a service answer.
"""

from sansdimse.peer.answer import Answer
from sansdimse.peer.blocking import BlockingPeer as Peer
from sansdimse.peer.blocking import Echo, Find, Matches, Store
from sansdimse.peer.handlers import Failure
from sansdimse.peer.link import Destination
from sansdimse.peer.pool import PoolClosed, PoolStatistics
from sansdimse.peer.session import AssociationInfo, AssociationLost
from sansdimse_socket.client import associate
from sansdimse_socket.link import Link
from sansdimse_socket.pool import Pool
from sansdimse_socket.server import Server, serve

__all__ = [
    "Answer",
    "AssociationInfo",
    "AssociationLost",
    "Destination",
    "Echo",
    "Failure",
    "Find",
    "Link",
    "Matches",
    "Peer",
    "Pool",
    "PoolClosed",
    "PoolStatistics",
    "Server",
    "Store",
    "associate",
    "serve",
]
