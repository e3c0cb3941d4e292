"""DICOM over blocking sockets: one thread per association, no event loop.

``associate`` opens an association and gives a ``Peer``; ``serve`` listens and lets a service answer.
"""

from sansdimse.peer.blocking import BlockingPeer as Peer
from sansdimse.peer.blocking import Echo, Store
from sansdimse.peer.handlers import Failure
from sansdimse.peer.session import AssociationInfo, AssociationLost
from sansdimse_socket.client import associate
from sansdimse_socket.link import Link
from sansdimse_socket.server import Server, serve

__all__ = [
    "AssociationInfo",
    "AssociationLost",
    "Echo",
    "Failure",
    "Link",
    "Peer",
    "Server",
    "Store",
    "associate",
    "serve",
]
