"""DICOM over blocking sockets: one thread per association, no event loop.

``associate`` opens an association and gives a ``Peer``; ``serve`` listens and lets a service answer.
"""

from sansdimse.peer.answer import Answer, Reply
from sansdimse.peer.blocking import BlockingPeer as Peer
from sansdimse.peer.blocking import Matches, Retrieval
from sansdimse.peer.blocking_scp import Echo, Find, Get, Move, Normalized, Store
from sansdimse.peer.handlers import Failure
from sansdimse.peer.link import Destination
from sansdimse.peer.pool import PoolClosed, PoolStatistics
from sansdimse.peer.scu_retrieve import Progress, Retrieved
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
    "Get",
    "Link",
    "Matches",
    "Move",
    "Normalized",
    "Peer",
    "Pool",
    "PoolClosed",
    "PoolStatistics",
    "Progress",
    "Reply",
    "Retrieval",
    "Retrieved",
    "Server",
    "Store",
    "associate",
    "serve",
]
