"""``associate`` of each transport, run beside the test: in a thread of its own, with its loop in it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from typing import Any

import trio
import uvloop

import sansdimse_asyncio
import sansdimse_socket
import sansdimse_trio
from running import HOST, PATIENCE
from sansdimse.peer.blocking import BlockingPeer, run

Conversation = Callable[[Any], Any]
"""An async function of the ``Peer``."""


class LeftBy(Exception):
    """Raised by a conversation: ``associate`` is left by it."""


class CallBeside:
    """``associate``, with conversations that run in it one after the other; see ``sansdimse.testing.Calling``.

    ``peer_of`` is what conversations over a blocking socket are given: they must await nothing but that.
    """

    def __init__(
        self,
        transport: str,
        port: int,
        conversations: Sequence[Conversation],
        *,
        patience: float = PATIENCE,
        peer_of: Callable[[BlockingPeer], Any] = lambda peer: peer._peer,
    ) -> None:
        self.port = port
        self._transport = transport
        self._conversations = conversations
        self._patience = patience
        self._peer_of = peer_of
        self._results: list[object] = []
        self._errors: list[BaseException] = []
        self._cancel: Callable[[], object] = lambda: None
        self._thread: threading.Thread | None = None

    def start(self, options: dict[str, Any]) -> None:
        """Associate, with these options."""
        on = {"socket": self._on_socket, "asyncio": self._on_asyncio, "uvloop": self._on_asyncio, "trio": self._on_trio}

        def work() -> None:
            try:
                on[self._transport](options)
            except BaseException as error:
                self._errors.append(error)

        self._thread = threading.Thread(target=work, name=f"{self._transport} client")
        self._thread.start()

    def cancel(self) -> None:
        """Cancel what runs now; it is so when this returns."""
        self._cancel()

    def results(self) -> Sequence[object]:
        """What each conversation returned or raised, and what ``associate`` raised, or None; when it was left."""
        assert self._thread is not None
        self._thread.join(self._patience)
        if self._thread.is_alive():
            raise TimeoutError("associate was never left")
        if self._errors:
            raise self._errors[0]
        return self._results

    def _on_socket(self, options: dict[str, Any]) -> None:
        try:
            with sansdimse_socket.associate(HOST, self.port, **options) as peer:
                for conversation in self._conversations:
                    try:
                        self._results.append(run(conversation(self._peer_of(peer))))
                    except LeftBy:
                        raise
                    except Exception as error:
                        self._results.append(error)
            self._results.append(None)
        except Exception as error:
            self._results.append(error)

    def _on_asyncio(self, options: dict[str, Any]) -> None:
        runner = uvloop if self._transport == "uvloop" else asyncio

        async def main() -> None:
            loop = asyncio.get_running_loop()

            def cancels(task: asyncio.Task[Any]) -> None:
                async def cancel() -> None:
                    task.cancel()

                self._cancel = lambda: asyncio.run_coroutine_threadsafe(cancel(), loop).result(self._patience)

            this = asyncio.current_task()
            assert this is not None
            cancels(this)
            try:
                async with sansdimse_asyncio.associate(HOST, self.port, **options) as peer:
                    for conversation in self._conversations:
                        task = loop.create_task(conversation(peer))
                        cancels(task)
                        (result,) = await asyncio.gather(task, return_exceptions=True)
                        if isinstance(result, LeftBy):
                            raise result
                        self._results.append(result)
                    cancels(this)
                self._results.append(None)
            except BaseException as error:
                self._results.append(error)
            assert asyncio.all_tasks() == {this}, "associate left tasks behind"

        runner.run(main())

    def _on_trio(self, options: dict[str, Any]) -> None:
        async def main() -> None:
            token = trio.lowlevel.current_trio_token()

            def cancels(scope: trio.CancelScope) -> trio.CancelScope:
                self._cancel = lambda: trio.from_thread.run_sync(scope.cancel, trio_token=token)
                return scope

            whole = trio.CancelScope()
            with cancels(whole):
                try:
                    async with sansdimse_trio.associate(HOST, self.port, **options) as peer:
                        for conversation in self._conversations:
                            try:
                                with cancels(trio.CancelScope()) as scope:
                                    self._results.append(await conversation(peer))
                                if scope.cancelled_caught:
                                    self._results.append(TimeoutError("cancelled"))
                            except LeftBy:
                                raise
                            except Exception as error:
                                self._results.append(error)
                        cancels(whole)
                    self._results.append(None)
                except Exception as error:
                    self._results.append(error)
            if whole.cancelled_caught:
                self._results.append(TimeoutError("cancelled"))

        trio.run(main)
