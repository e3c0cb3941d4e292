"""A conversation that one waiting thread runs in the wait of another."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, Final

from sansdimse.peer.blocking import run

if TYPE_CHECKING:
    from sansdimse_socket.link import Link

MOST_NESTED: Final = 16
"""Most conversations each in the wait of the one before, some twenty frames deep: Python ends at a thousand. Others
wait until one has ended."""


class Job:
    """A conversation to run in the next wait."""

    def __init__(self, link: Link, conversation: Coroutine[Any, Any, None]) -> None:
        self._link = link
        self._conversation: Coroutine[Any, Any, None] | None = conversation

    def run(self) -> None:
        """Run it to its end, if nobody cancelled it. That it awaited what only a loop gives, is its handler's error."""
        conversation, self._conversation = self._conversation, None
        if conversation is not None:
            link, until = self._link, self._link.until
            link.until = None  # who waits for an answer of the peer does not hurry its requests
            link.nested += 1
            try:
                run(conversation)
            except RuntimeError as error:
                link.session.report(error, "a handler")
            finally:
                link.nested -= 1
                link.until = until

    def cancel(self) -> None:
        """Keep it from beginning; one that runs learns of the association's end where it waits."""
        conversation, self._conversation = self._conversation, None
        if conversation is not None:
            conversation.close()
