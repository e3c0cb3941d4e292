"""Nobody keeps others from being served: neither peers that are slow, nor one that makes much work of few bytes."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from dataclasses import replace
from typing import Any, Final

import pytest
import trio
import uvloop

import sansdimse_asyncio
import sansdimse_trio
from engine_pair import ABORT, CT, data, echo_rq, pdv, store_rq
from raw_socket import HOST, PATIENCE, RawSocket, connected, nothing_leaks
from running import running
from sansdimse import VERIFICATION, Limits, OutcomeKind, Side, Timer
from sansdimse.ul.machine import UpperLayer
from sansdimse.ul.pdu import AAssociateAC, PDataTF

ON_LOOPS: Final = pytest.mark.parametrize("loop", ["asyncio", "uvloop", "trio"])
SUPPORTS: Final = [VERIFICATION, CT]
DENSE: Final = PDataTF((pdv(3, b"x", is_last=False),) * 10_000).encode() * 4
"""Some 280 KB of data set fragments of one byte: for them all at once a loop would need a fifth of a second."""
FRAGMENTS: Final = 40_000
TURN: Final = 512
"""What both loops let one association do in a turn."""

uvloop.run(asyncio.sleep(0))  # what it opens once for all loops is no leak of ours


def established(raw: RawSocket) -> RawSocket:
    assert isinstance(raw.request(), AAssociateAC)
    return raw


# ---------------------------------------------------------------- worker threads


class Blocking:
    """Its handlers wait for their peers in threads."""

    def c_store(self, store: Any) -> int:
        store.read()
        return 0

    def c_echo(self, echo: Any) -> int:
        return 0


@ON_LOOPS
def test_peers_that_trickle_leave_threads_for_others(loop: str) -> None:
    with nothing_leaks(), running(loop, Blocking(), supports=SUPPORTS) as server, ExitStack() as stack:
        slow = [established(stack.enter_context(connected(server.port))) for _ in range(40)]
        for raw in slow:
            raw.send(store_rq(), data(3, b"xy", is_last=False))
        good = established(stack.enter_context(connected(server.port)))
        good.send(echo_rq())
        assert good.said().status == 0
        for raw in slow:
            raw.send(data(3, b"end!"))
            assert raw.said().status == 0


# ---------------------------------------------------------------- turns of the loop


class Taking:
    """Takes every piece, and never waits while there is one."""

    async def c_store(self, store: Any) -> int:
        pieces = 0
        async for _ in store:
            pieces += 1
        return 0 if pieces == FRAGMENTS + 1 else 0xC000


class Refusing:
    """Wants nothing of it, so nothing is told of what comes."""

    async def c_store(self, store: Any) -> int:
        return 0xA700


class Steps:
    """How many steps the engines of a server took, and how many of them in one turn of its loop at most."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.taken = self.most = self._before = 0
        step = UpperLayer._step

        def counted(ul: UpperLayer) -> Any:
            self.taken += 1
            return step(ul)

        monkeypatch.setattr(UpperLayer, "_step", counted)

    def turn(self) -> None:
        """The loop has come round."""
        self.most = max(self.most, self.taken - self._before)
        self._before = self.taken


def serve_beside(loop: str, service: object, steps: Steps, client: Callable[[int], object]) -> None:
    """A server, whose loop has another task that wants its turn each time, until the client is done."""
    errors: list[BaseException] = []
    done = threading.Event()

    def run(port: int) -> None:
        try:
            client(port)
        except BaseException as error:
            errors.append(error)
        finally:
            done.set()

    async def main(transport: Any, checkpoint: Callable[[], Awaitable[object]]) -> None:
        async with transport.serve(HOST, 0, service, supports=SUPPORTS, grace=0.0) as server:
            thread = threading.Thread(target=run, args=(server.port,))
            thread.start()
            while not done.is_set():
                steps.turn()
                await checkpoint()
            thread.join()

    if loop == "trio":
        trio.run(main, sansdimse_trio, trio.lowlevel.checkpoint)
    else:
        runner: Any = asyncio if loop == "asyncio" else uvloop
        runner.run(main(sansdimse_asyncio, lambda: asyncio.sleep(0)))
    if errors:
        raise errors[0]


@ON_LOOPS
@pytest.mark.parametrize("service", [Taking, Refusing])
def test_much_work_of_few_bytes_is_done_in_turns(
    loop: str, service: type[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = Steps(monkeypatch)

    def client(port: int) -> None:
        with connected(port) as raw:
            established(raw).send(store_rq(), DENSE, data(3, b"e"))
            assert raw.said().status == (0 if service is Taking else 0xA700)
            raw.send(echo_rq())
            assert raw.said().status == 0

    with nothing_leaks():
        serve_beside(loop, service(), steps, client)
    assert steps.taken > FRAGMENTS
    assert steps.most <= 3 * TURN


@ON_LOOPS
@pytest.mark.parametrize("service", [Taking, Refusing])
@pytest.mark.parametrize("by_peer", [True, False])
def test_the_end_in_the_middle_of_it_is_an_end(loop: str, service: type[Any], by_peer: bool) -> None:
    with nothing_leaks(), running(loop, service(), supports=SUPPORTS) as server:
        with connected(server.port) as raw:
            established(raw).send(store_rq(), DENSE)
            if not by_peer:
                server.stop()
                while (said := raw.pdu()) and said != ABORT.encode():
                    pass
        server.until(lambda: server.ended)
        assert server.ended[0].outcome.kind is (OutcomeKind.CLOSED if by_peer else OutcomeKind.ABORTED)


# ---------------------------------------------------------------- handlers that hang


class Hanging:
    """Its handler never takes anything; a thread of it ends with the test."""

    def __init__(self) -> None:
        self.over = threading.Event()

    def c_store(self, store: Any) -> int:
        self.over.wait(PATIENCE)
        return 0


class HangingAsync(Hanging):
    """The same as an ``async def``, which is cancelled."""

    async def c_store(self, store: Any) -> int:  # type: ignore[override]
        await store._session.link.signal().wait()
        return 0


@ON_LOOPS
@pytest.mark.parametrize("service", [Hanging, HangingAsync])
def test_a_handler_that_hangs_in_the_middle_of_a_data_set_has_a_deadline(loop: str, service: type[Hanging]) -> None:
    hanging = service()
    limits = replace(Limits(), operation_answer=0.2)
    with nothing_leaks(), running(loop, hanging, supports=SUPPORTS, limits=limits) as server:
        with connected(server.port) as raw:
            established(raw).send(store_rq())
            sending = threading.Thread(target=send_on, args=(raw,))
            sending.start()
            try:
                assert raw.said() == ABORT
            finally:
                hanging.over.set()
                raw.sock.close()
                sending.join(PATIENCE)
        server.until(lambda: server.ended)
        outcome = server.ended[0].outcome
        assert (outcome.kind, outcome.by, outcome.timer) == (OutcomeKind.TIMED_OUT, Side.LOCAL, Timer.OPERATION_ANSWER)


def send_on(raw: RawSocket) -> None:
    """More and more of a data set, until the other end takes no more."""
    try:
        while True:
            raw.send(data(3, bytes(1 << 16), is_last=False))
    except OSError:
        pass
