"""DICOM on asyncio: ``associate`` opens an association and gives a ``Peer``, ``serve`` lets a service answer.

Handlers are ``async def``, or ``def`` in bounded worker threads. uvloop works as well.
"""

from sansdimse.peer.answer import Answer
from sansdimse.peer.blocking import Echo as BlockingEcho
from sansdimse.peer.blocking import Find as BlockingFind
from sansdimse.peer.blocking import Store as BlockingStore
from sansdimse.peer.handlers import Failure
from sansdimse.peer.link import Destination
from sansdimse.peer.pool import PoolClosed, PoolStatistics
from sansdimse.peer.scp import Echo, Find, Store
from sansdimse.peer.scu import Matches, Peer
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
    "BlockingStore",
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
    "run_server",
    "serve",
]
