"""Attribute matching: which candidates a query matches, and what is told of them (PS3.4 C.2.2.2, C.2.2.3)."""

from sansdimse.matching.query import (
    QUERY_RETRIEVE,
    WORKLIST,
    MalformedKeyError,
    Matching,
    Query,
    matches,
    response,
    search,
)

__all__ = ["QUERY_RETRIEVE", "WORKLIST", "MalformedKeyError", "Matching", "Query", "matches", "response", "search"]
