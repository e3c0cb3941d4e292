"""DICOM on asyncio: ``associate`` opens an association and gives a ``Peer``, ``serve`` lets a service answer.

Handlers are ``async def``, or ``def`` in bounded worker threads. uvloop works as well.
"""

from sansdimse.peer.answer import Answer, Reply
from sansdimse.peer.blocking_scp import Echo as BlockingEcho
from sansdimse.peer.blocking_scp import Find as BlockingFind
from sansdimse.peer.blocking_scp import Get as BlockingGet
from sansdimse.peer.blocking_scp import Move as BlockingMove
from sansdimse.peer.blocking_scp import Normalized as BlockingNormalized
from sansdimse.peer.blocking_scp import Store as BlockingStore
from sansdimse.peer.handlers import Failure
from sansdimse.peer.link import Destination
from sansdimse.peer.pool import PoolClosed, PoolStatistics
from sansdimse.peer.scp import Echo, Find, Get, Move, Normalized, Store
from sansdimse.peer.scu import Matches, Peer, Progress, Retrieval, Retrieved
from sansdimse.peer.session import AssociationInfo, AssociationLost
from sansdimse_asyncio.client import associate
from sansdimse_asyncio.link import Link
from sansdimse_asyncio.pool import Pool
from sansdimse_asyncio.server import Server, run_server, serve

__all__ = [
    "Answer",
    "AssociationInfo",
    "AssociationLost",
    "BlockingEcho",
    "BlockingFind",
    "BlockingGet",
    "BlockingMove",
    "BlockingNormalized",
    "BlockingStore",
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
    "run_server",
    "serve",
]
