"""The default ``new_uid=`` of every transport."""

from __future__ import annotations

import uuid


def new_uid() -> str:
    """A UID that nobody else has: ``2.25.`` and a random UUID as a number (PS3.5 B.2)."""
    return f"2.25.{uuid.uuid4().int}"
