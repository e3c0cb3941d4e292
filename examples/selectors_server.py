"""A transport of one's own: a server with many associations in one thread, on ``selectors`` and nothing else.

This is what docs/howto/transport.md teaches. Handlers are ``async def`` and run in that thread, on a scheduler of
thirty lines; a ``def`` runs in one of a few worker threads. Run it as it is: it starts the server, stores twenty
instances over ten associations at once, and compares what has arrived.
"""

from __future__ import annotations

import os
import selectors
import socket
import ssl
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine, Generator, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, suppress
from functools import partial
from typing import Any, TypeVar, Unpack

from sansdimse.dataset import Instance
from sansdimse.peer.host import Host, ServeOptions
from sansdimse.peer.link import Engine, PathLike
from sansdimse.peer.scp import Store
from sansdimse.peer.session import Session
from sansdimse.uids import EXPLICIT_VR_LITTLE_ENDIAN
from sansdimse_files import log_report, open_instance, tcp
from sansdimse_files.wiring import wire
from sansdimse_socket import associate

T = TypeVar("T")
READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE
ACCEPT_PAUSE = 0.5  # seconds without accepting when the system is out of descriptors
ABORT_GRACE = 3.0  # seconds that peers have to take an A-ABORT, and handlers to return
IOV_MAX = 512
CT_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.2"


class Cancelled(BaseException):
    """Thrown into a conversation that is to end, once; no ``Exception``, so that no handler swallows it."""


class Loop:
    """Who is to run next, which socket is ready, whose time has come."""

    def __init__(self) -> None:
        self.selector = selectors.DefaultSelector()
        self.alarms: dict[Hashable, tuple[float, Callable[[], object]]] = {}
        """Of each owner: when to call what. All are looked at in each turn; thousands would want a heap."""
        self._ready: deque[Callable[[], object]] = deque()
        self.tasks: set[Task] = set()
        self._lock = threading.Lock()
        self._closed = False
        self._wakes, self._wake = socket.socketpair()
        self._wakes.setblocking(False)
        self._wake.setblocking(False)
        self.selector.register(self._wakes, READ, lambda _: self._wakes.recv(4096))

    def soon(self, function: Callable[[], object]) -> None:
        """Call it in the next turn."""
        self._ready.append(function)

    def from_thread(self, function: Callable[[], object]) -> bool:
        """The same, from any thread; False if the loop is closed."""
        with self._lock:
            if not self._closed:
                self._ready.append(function)
                with suppress(BlockingIOError):  # full: it will wake anyhow
                    self._wake.send(b"\0")
            return not self._closed

    def turn(self) -> None:
        """Wait if there is nothing to do; then let everybody have one turn."""
        timeout = None
        if self._ready:
            timeout = 0.0
        elif self.alarms:
            timeout = max(0.0, min(when for when, _ in self.alarms.values()) - time.monotonic())
        for key, ready in self.selector.select(timeout):
            key.data(ready)
        now = time.monotonic()  # after reading, so that what came before a deadline counts
        for owner, (when, function) in list(self.alarms.items()):
            if when <= now and self.alarms.get(owner) == (when, function):
                del self.alarms[owner]
                function()
        for _ in range(len(self._ready)):
            self._ready.popleft()()

    def close(self) -> None:
        """Drop what has not ended: handlers that never return."""
        with self._lock:
            self._closed = True
        for task in tuple(self.tasks):
            task.close()
        self.selector.close()
        self._wakes.close()
        self._wake.close()


class Signal:
    """Set once; tasks wait for it. ``sansdimse.peer.link.Signal``."""

    def __init__(self) -> None:
        self.happened = False
        self.waiting: list[Task] = []

    def set(self) -> None:
        self.happened = True
        waiting, self.waiting = self.waiting, []
        for task in waiting:
            task.wake()

    async def wait(self) -> None:
        await self

    def __await__(self) -> Generator[Signal, None, None]:
        while not self.happened:
            yield self


class Task:
    """A coroutine that runs from one wait to the next. ``over`` is told its end. ``sansdimse.peer.link.Job``."""

    def __init__(
        self, loop: Loop, coroutine: Coroutine[Any, Any, None], over: Callable[[Exception | None], object]
    ) -> None:
        self._loop = loop
        self._coroutine = coroutine
        self._over = over
        self._done = self._cancelled = self._woken = False
        self._throw: BaseException | None = None
        loop.tasks.add(self)
        self.wake()

    def wake(self) -> None:
        """Go on in the next turn."""
        if not self._woken:
            self._woken = True
            self._loop.soon(self._run)

    def cancel(self) -> None:
        """End it where it waits, at the next turn."""
        if not self._cancelled:
            self._cancelled = True
            self._throw = Cancelled()
            self.wake()

    def _run(self) -> None:
        """Go on to the next wait. To be woken once too often does no harm: who waits looks whether it happened."""
        self._woken = False
        if self._done:
            return
        error, self._throw = self._throw, None
        try:
            waits_for = self._coroutine.send(None) if error is None else self._coroutine.throw(error)
        except (StopIteration, Cancelled):
            self._end(None)
        except Exception as error:
            self._end(error)
        else:
            if isinstance(waits_for, Signal):
                waits_for.waiting.append(self)
            else:
                self._throw = RuntimeError(f"a handler awaited {waits_for!r}, which is another loop's")
                self.wake()

    def close(self) -> None:
        """Drop it."""
        with suppress(RuntimeError):  # it waits again where it should end
            self._coroutine.close()
        self._end(None)

    def _end(self, error: Exception | None) -> None:
        self._done = True
        self._loop.tasks.discard(self)
        self._over(error)


class Workers:
    """At most so many threads, one for each call of what may block. Daemons: none keeps the interpreter from ending."""

    def __init__(self, loop: Loop, most: int) -> None:
        self._loop = loop
        self._most = most
        self._waiting: deque[tuple[Future[Any], Callable[[], object]]] = deque()
        self.running = 0

    def submit(self, function: Callable[[], T]) -> tuple[Future[T], Signal]:
        """Call it in a thread, when one is free. The signal tells that it is done."""
        future: Future[T] = Future()
        done = Signal()
        future.add_done_callback(lambda _: self._loop.from_thread(done.set))
        self._waiting.append((future, function))
        self._start()
        return future, done

    def _start(self) -> None:
        while self._waiting and self.running < self._most:
            future, function = self._waiting.popleft()
            if future.set_running_or_notify_cancel():
                self.running += 1
                threading.Thread(target=self._run, args=(future, function), daemon=True).start()

    def _run(self, future: Future[Any], function: Callable[[], object]) -> None:
        try:
            future.set_result(function())
        except BaseException as error:  # whoever waits for it is told
            future.set_exception(error)
        self._loop.from_thread(self._ended)

    def _ended(self) -> None:
        self.running -= 1
        self._start()


class Link:
    """One connection: the driver of its engine, and what its conversations wait with. ``sansdimse.peer.link.Link``."""

    session: Session
    nests = False  # conversations run beside one another

    def __init__(self, server: Server, sock: socket.socket, address: str) -> None:
        self._server = server
        self._loop = server.loop
        self._sock: socket.socket | None = sock
        self._address = address
        self._unwritten: list[memoryview] = []
        self._flushing: list[Signal] = []
        self._stepping = False  # there will be a step in the next turn
        self._heard_all = self._broken = False
        self._watched = 0
        self.conversations = 0

    # ------------------------------------------------------------ what conversations ask for

    def now(self) -> float:
        return time.monotonic()

    def signal(self) -> Signal:
        return Signal()

    def spawn(self, conversation: Coroutine[Any, Any, None]) -> Task:
        self.conversations += 1
        return Task(self._loop, conversation, self._conversed)

    def kick(self) -> None:
        if not self._stepping:
            self._stepping = True
            self._loop.soon(self._kicked)

    async def flush(self) -> None:
        self.kick()
        engine = self.session.engine
        while True:
            written = Signal()
            self._flushing.append(written)  # set by the next step that leaves little enough unsent
            await written.wait()
            if engine.bytes_unsent < engine.limits.output_high_water or self.session.ended:
                return

    async def call(self, function: Callable[..., T], *args: Any, abandon_on_cancel: bool = False) -> T:
        future, done = self._server.workers.submit(partial(function, *args))
        try:
            await done.wait()
        except Cancelled:
            if not (abandon_on_cancel or future.cancel()):
                await done.wait()
            raise
        return future.result()

    def block_on(self, coroutine: Coroutine[Any, Any, T]) -> T:
        future: Future[T] = Future()
        if not self._loop.from_thread(lambda: Task(self._loop, _into(future, coroutine), lambda error: None)):
            coroutine.close()
            raise RuntimeError("the server is closed")
        return future.result()

    def look(self) -> None:
        """Nothing: the loop hears what comes while a handler blocks."""

    def open_instance(self, path: str | PathLike) -> AbstractContextManager[Instance]:
        return open_instance(path)

    def _conversed(self, error: Exception | None) -> None:
        self.conversations -= 1
        if error is not None:  # a mistake that nobody foresaw ends one association only
            self.session.report(error, self._address)
            self.session.abort()
        self.kick()

    # ------------------------------------------------------------ the driver

    def start(self, engine: Engine) -> None:
        """The connection is open. ``engine`` is the outermost: the association's, or TLS around it."""
        self._engine = engine
        self._step(self._open)

    def cut(self) -> None:
        """End the connection without a word."""
        self._close()
        self._hear_end("the connection was cut")
        self.kick()

    def _step(self, tell: Callable[[], object] = lambda: None) -> None:
        """Tell the engine something; then take events, write, and see to what to wait for."""
        try:
            tell()
            self._do_what_follows()
        except Exception as error:  # a mistake that nobody foresaw ends one connection, not the server
            self.session.report(error, self._address)
            self._close()
            self._server.gone(self)

    def _do_what_follows(self) -> None:
        session, engine = self.session, self._engine
        session.pump()
        self._write()
        if session.ended or session.engine.bytes_unsent < session.engine.limits.output_high_water:
            flushing, self._flushing = self._flushing, []
            for signal in flushing:
                signal.set()
        if engine.wants_close and not engine.bytes_unsent and self._sock is not None:
            self._close()
            session.pump()
        self._watch((READ if self._reads() else 0) | (WRITE if self._unwritten else 0))
        deadline = engine.next_timeout()
        if deadline is None:
            self._loop.alarms.pop(self, None)
        else:
            self._loop.alarms[self] = deadline, self._wake
        if self._sock is None and session.ended and not self.conversations:
            self._server.gone(self)

    def _kicked(self) -> None:
        self._stepping = False
        self._step()

    def _wake(self) -> None:
        self._step(lambda: self._engine.handle_timeout(time.monotonic()))

    def _ready(self, ready: int) -> None:
        self._step(self._read if ready & READ and self._reads() else lambda: None)
        if ready & READ and self._sock is not None and self._engine.mid_pdu:
            tcp.acknowledge(self._sock)

    def _reads(self) -> bool:
        return not (self._heard_all or self.session.stalled)

    def _open(self) -> None:
        if self._sock is not None:
            tcp.prepare(self._sock)
            self._engine.transport_opened(time.monotonic())

    def _read(self) -> None:
        if self._sock is None:
            return
        try:
            data = self._sock.recv(tcp.READ_SIZE)
        except BlockingIOError:
            return
        except OSError as error:
            self._hear_end(error.strerror or str(error))
            return
        if data:
            self._engine.receive_data(data, time.monotonic())
        else:
            self._hear_end(None)

    def _hear_end(self, error: str | None) -> None:
        if not self._heard_all:
            self._heard_all = True
            self._engine.receive_eof(time.monotonic(), error)

    def _write(self) -> None:
        unwritten = self._unwritten
        while True:
            if not unwritten:  # only now ask for more: to ask says that all before was written
                unwritten.extend(map(memoryview, self._engine.data_to_send(time.monotonic())))
                if not unwritten:
                    return
            if self._broken or self._sock is None:
                unwritten.clear()
                continue
            try:
                written = self._sock.sendmsg(unwritten[:IOV_MAX])
            except BlockingIOError:
                return
            except OSError:  # the peer takes no more; what it sent before is still to be read
                self._broken = True
                continue
            tcp.forget(unwritten, written)

    def _watch(self, wanted: int) -> None:
        selector, sock = self._loop.selector, self._sock
        if sock is None or wanted == self._watched:
            return
        if not self._watched:
            selector.register(sock, wanted, self._ready)
        elif wanted:
            selector.modify(sock, wanted, self._ready)
        else:
            selector.unregister(sock)
        self._watched = wanted

    def _close(self) -> None:
        self._watch(0)
        if self._sock is not None:
            self._sock.close()
            self._sock = None


class Server:
    """A listening server: ``with Server(...)`` runs it in a thread of its own, ``run`` in the caller's.

    Leaving closes it, with ``grace``. The options are those of ``sansdimse.peer.host.ServeOptions``.
    """

    def __init__(
        self,
        host: str,
        port: int,
        service: object,
        *,
        tls: ssl.SSLContext | None = None,
        workers: int = 4,
        grace: float = 10.0,
        **options: Unpack[ServeOptions],
    ) -> None:
        options.setdefault("report", log_report)
        self._host: Host[Link] = Host(service, **options)
        self._tls = tls
        self._grace = grace
        self._links: set[Link] = set()
        self._listener = tcp.listen(host, port)
        self.host: str
        self.port: int
        self.host, self.port, *_ = self._listener.getsockname()
        self.loop = Loop()
        self.loop.selector.register(self._listener, READ, self._accept)
        self.workers = Workers(self.loop, workers)
        self._given_up = False

    def __enter__(self) -> Server:
        self._thread = threading.Thread(target=self.run, name="selectors server", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        self.close(self._grace if kind is None else 0.0)
        self._thread.join()

    @property
    def associations(self) -> int:
        return self._host.associations

    @property
    def pending(self) -> int:
        return self._host.pending

    def run(self) -> None:
        """Serve until somebody closed the server and all is over."""
        try:
            while not self._host.closing or ((self._links or self.workers.running) and not self._given_up):
                self.loop.turn()
        finally:
            self._listener.close()
            self.loop.close()

    def close(self, grace: float = 10.0) -> None:
        """Stop accepting, let associations end within ``grace`` seconds, then abort them. From any thread."""
        self.loop.from_thread(lambda: self._begin_to_close(grace))

    def _begin_to_close(self, grace: float) -> None:
        if self._host.close():
            self._pause_accepting()
            self._listener.close()
            self.loop.alarms[self] = time.monotonic() + grace, self._abort_all

    def _abort_all(self) -> None:
        for link in tuple(self._links):
            link.session.abort()
        self.loop.alarms[self] = time.monotonic() + ABORT_GRACE, self._cut_all

    def _cut_all(self) -> None:
        for link in tuple(self._links):
            link.cut()
        self.loop.alarms[self] = time.monotonic() + ABORT_GRACE, self._give_up

    def _give_up(self) -> None:
        self._given_up = True
        for link in tuple(self._links):
            self._host.report(TimeoutError("the handler did not return"), link.session.address)
            self.gone(link)

    # ------------------------------------------------------------ connections

    def _accept(self, ready: int) -> None:
        try:
            sock, address = self._listener.accept()
        except (BlockingIOError, ConnectionError):
            return  # it left before we looked
        except OSError as error:
            self._host.report(error, "accept")
            self._pause_accepting()
            self.loop.alarms["accept"] = time.monotonic() + ACCEPT_PAUSE, self._resume_accepting
            return
        self._start(sock, tcp.text(address))

    def _pause_accepting(self) -> None:
        with suppress(KeyError):  # it pauses
            self.loop.selector.unregister(self._listener)
        self.loop.alarms.pop("accept", None)

    def _resume_accepting(self) -> None:
        self.loop.selector.register(self._listener, READ, self._accept)

    def _start(self, sock: socket.socket, address: str) -> None:
        now = time.monotonic()
        engine = self._host.engine(now)
        line = wire(engine, self._tls, server_side=True, deadline=now + self._host.limits.artim)
        link = Link(self, sock, address)
        link.session = self._host.session(link, engine, link, address, line.certificate)
        self._links.add(link)
        oldest = self._host.opened(link, address)
        if oldest is not None:
            self._host.cut(oldest.session.address)
            oldest.cut()
        link.start(line.engine)

    def gone(self, link: Link) -> None:
        """A connection is closed, and none of its conversations goes on."""
        self._links.discard(link)
        self._host.closed(link)
        self.loop.alarms.pop(link, None)


async def _into(future: Future[T], coroutine: Coroutine[Any, Any, T]) -> None:
    try:
        future.set_result(await coroutine)
    except Exception as error:
        future.set_exception(error)
    except BaseException:
        future.set_exception(RuntimeError("the server is closed"))
        raise


# ---------------------------------------------------------------- try it


class Archive:
    """Keeps what it gets in memory."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}

    async def c_store(self, store: Store) -> int:
        """In the server's only thread: while this one waits for more, the others go on."""
        self.kept[store.sop_instance_uid] = await store.read()
        return 0


def main() -> None:
    """Ten clients at once, each with an association and two instances of 1 MiB."""
    contents = {f"1.2.826.0.1.3680043.{number}": os.urandom(1 << 20) for number in range(20)}
    archive, clients = Archive(), 10
    together = threading.Barrier(clients)

    def store(first: int) -> None:
        with associate("127.0.0.1", server.port, contexts=[CT_IMAGE_STORAGE]) as peer:
            together.wait(30)  # now all associations are open
            for uid in list(contents)[first::clients]:
                content = contents[uid]
                pieces = partial(iter, [content])
                peer.c_store(Instance(CT_IMAGE_STORAGE, uid, EXPLICIT_VR_LITTLE_ENDIAN, len(content), pieces))

    with Server("127.0.0.1", 0, archive, supports=[CT_IMAGE_STORAGE]) as server, ThreadPoolExecutor(clients) as pool:
        list(pool.map(store, range(clients)))
    if archive.kept != contents:
        sys.exit("what arrived is not what was stored")
    print(f"{len(contents)} instances over {clients} associations at once, served by one thread: as they were sent")


if __name__ == "__main__":
    main()
