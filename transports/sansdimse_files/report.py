"""The default ``report=`` of every transport: what goes wrong in a handler, as one log line."""

from __future__ import annotations

import logging
import traceback
from typing import Final

from sansdimse.deviations import escaped

LOGGER: Final = logging.getLogger("sansdimse")


def log_report(error: BaseException, where: str) -> None:
    """Log an error with the place it was raised at. Its text may hold what a peer sent, so it is escaped and cut."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {frames[-1].filename}:{frames[-1].lineno} in {frames[-1].name}" if frames else ""
    LOGGER.error("%s: %s: %s%s", escaped(where), type(error).__name__, escaped(str(error), 300), place)
