"""A pool of associations over blocking sockets, for many threads; one thread of its own keeps what nobody uses.

It opens nothing: whoever asks does, in the own thread. It drives what lies idle, so that a peer that releases or
aborts is heard at once, what was given up is drained, and all ends when its time has come, none waiting for another.
"""

from __future__ import annotations

import os
import select
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from types import TracebackType
from typing import Self, Unpack, cast

from sansdimse.peer.blocking import BlockingPeer, run
from sansdimse.peer.caller import CommonOptions
from sansdimse.peer.link import Destination
from sansdimse.peer.pool import Member
from sansdimse.peer.pooling import FAREWELL, GRACE, IDLE, MOST, Pooled, Pooling
from sansdimse.ul.plan import Need
from sansdimse_files import log_report
from sansdimse_socket.client import associate
from sansdimse_socket.link import Link


class _Signal:
    """What a thread waits for that waits for its turn."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def set(self) -> None:
        self._event.set()

    async def wait(self) -> None:
        self._event.wait()

    def wait_for(self, seconds: float) -> None:
        """Return when it is set, or so many seconds have passed."""
        self._event.wait(seconds)


class _Kept:
    """An association and its ``associate``. Who holds ``lock`` drives it, if nobody uses it."""

    def __init__(self, member: Member[Pooled[BlockingPeer]], opening: AbstractContextManager[BlockingPeer]) -> None:
        self.member = member
        self.opening = opening
        self.pooled = Pooled(opening.__enter__())
        self.session = self.pooled.session
        self.link = cast(Link, self.session.link)
        self.lock = threading.Lock()


class Pool(Pooling[BlockingPeer]):
    """Associations to use again: ``with Pool() as pool``, then ``with pool.association(...) as peer``; from any thread.

    At most ``most`` associations at once, and ``most_per_destination``; who finds none free waits for a turn. What
    nobody uses is released after ``idle`` seconds; None keeps it. ``options`` are those of all associations (see
    ``sansdimse.peer.caller.CommonOptions``), ``source_address`` that of ``associate``.

    Leaving closes it (``close`` with ``grace``); leaving by an exception aborts what is still used at once.
    """

    def __init__(
        self,
        *,
        most: int = MOST,
        most_per_destination: int | None = None,
        idle: float | None = IDLE,
        grace: float = GRACE,
        source_address: tuple[str, int] | None = None,
        **options: Unpack[CommonOptions],
    ) -> None:
        super().__init__(
            most=most,
            most_per_destination=most_per_destination,
            idle=idle,
            options=options,
            lock=threading.Lock(),
        )
        self._grace = grace
        self._source_address = source_address
        self._kept: dict[Member[Pooled[BlockingPeer]], _Kept] = {}
        self._stir = -1
        self._is_patient = True
        """Whether what is quiet has time to be released in good order, though the grace is over."""
        self._keeper = threading.Thread(target=self._keep, name="sansdimse pool", daemon=True)

    def __enter__(self) -> Self:
        self._stirred, self._stir = os.pipe()
        os.set_blocking(self._stir, False)
        self._aborting, self._serving = os.pipe()  # the second's end is the first's readiness
        self._keeper.start()
        self._is_running = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close(self._grace if error is None else 0.0)

    def close(self, grace: float | None = None) -> None:
        """Give no more associations, release what nobody uses, wait for users to leave within ``grace`` seconds.

        Then abort; what a thread uses that does not even notice that, is cut and ends when it leaves. Idempotent.
        """
        with self._books() as books:
            if self._left is not None or not self._is_running:
                return
            left = self._left = _Signal()
            books.close(self._now())
        left.wait_for(self._grace if grace is None else grace)
        os.close(self._serving)  # users that wait for something wake and abort
        self._keeper.join(FAREWELL)
        self._is_patient = False
        for everything in (False, True):
            with self._books():
                kept = list(self._kept.values())
            for each in kept:
                if everything or each.member.users:
                    each.link.cut()
            self._keeper.join(FAREWELL)
        with self._lock:
            used = [member for member in self._roster.members if member.users]
        for member in used:
            self._report(TimeoutError("an association of the pool is still in use"), str(member.destination))

    @contextmanager
    def association(
        self,
        destination: Destination,
        contexts: Iterable[Need],
        *,
        deadline: float | None = None,
        **options: Unpack[CommonOptions],
    ) -> Iterator[BlockingPeer]:
        """An association to use, and to leave to others afterwards; to enter with ``with``.

        ``contexts`` are SOP class UIDs, instances as the UIDs of SOP class and transfer syntax, or contexts with
        roles; what to propose for them is planned. An idle association fits if it goes to an equal destination with
        equal options, and each of these was accepted on it (or has been refused, less than ``idle`` seconds ago).
        Else one is opened; if the pool is full, an idle one makes room, or this waits for its turn, for ``deadline``
        seconds at most: ``TimeoutError`` then. ``options`` add to those of the pool.

        Raises what ``associate`` raises, and ``PoolClosed``. Left by an exception, the association stays in the pool
        if it can be used again: it is aborted in the middle of a data set, and what was given up must be answered
        before somebody else gets it.
        """
        use = self._use(self._wanted(destination, contexts, options), deadline)
        peer = run(use.__aenter__())
        try:
            yield peer
        except BaseException as error:
            run(use.__aexit__(type(error), error, error.__traceback__))
            raise
        run(use.__aexit__(None, None, None))

    # ------------------------------------------------------------ sansdimse.peer.pooling

    def _now(self) -> float:
        return time.monotonic()

    def _signal(self) -> _Signal:
        return _Signal()

    def _told(self) -> None:
        if self._stir >= 0:
            with suppress(BlockingIOError):  # it is stirred often enough
                os.write(self._stir, b"\0")

    def _log(self, error: BaseException, where: str) -> None:
        log_report(error, where)

    def _end(self, member: Member[Pooled[BlockingPeer]]) -> None:
        """The keeper looks at ``ending`` when it is stirred, as it is now."""

    async def _open(self, member: Member[Pooled[BlockingPeer]]) -> None:
        opening = associate(**self._arguments(member), source_address=self._source_address)
        try:
            kept = _Kept(member, opening)
        except BaseException:
            with self._books() as books:
                books.gone(member, self._now())
            raise
        kept.link.abort_when(self._aborting)
        with self._books() as books:
            self._kept[member] = kept
            books.opened(member, kept.pooled, self._now())

    async def _look_at(self, member: Member[Pooled[BlockingPeer]]) -> None:
        kept = self._kept[member]
        with kept.lock:
            kept.link.abort_when(self._aborting)
            kept.link.glance()

    def _spoils(self, error: BaseException) -> bool:
        return not isinstance(error, Exception)  # KeyboardInterrupt comes anywhere, also between two writes of a PDU

    # ------------------------------------------------------------ the keeper

    def _keep(self) -> None:
        """Keep what nobody uses, until the pool is closed and nothing is left: the whole of its thread."""
        while True:
            with self._lock:
                self._roster.handle_timeout(self._now())
                if self._roster.closed and not self._roster.members:
                    for descriptor in (self._stirred, self._stir, self._aborting):
                        os.close(descriptor)
                    self._stir = -1
                    return
                unused = [kept for member, kept in self._kept.items() if not member.users]
                until = self._roster.next_timeout()
            if any(self._step(kept) for kept in unused if kept.member.ending):
                continue
            for kept in self._stirring(unused, until):
                self._step(kept)

    def _stirring(self, unused: list[_Kept], until: float | None) -> list[_Kept]:
        """Wait until there is something to do; where."""
        poll = select.poll()
        poll.register(self._stirred, select.POLLIN)
        interests = [kept.link.interest() for kept in unused]
        for descriptor, events, _ in interests:
            if events:
                poll.register(descriptor, events)
        times = [when for when in (until, *(when for _, _, when in interests)) if when is not None]
        timeout = max(0.0, min(times) - self._now()) * 1000 if times else None
        ready = {descriptor for descriptor, _ in poll.poll(timeout)}
        if self._stirred in ready:
            os.read(self._stirred, select.PIPE_BUF)
        now = self._now()
        return [
            kept
            for kept, (descriptor, _, when) in zip(unused, interests, strict=True)
            if descriptor in ready or (when is not None and when <= now)
        ]

    def _step(self, kept: _Kept) -> bool:
        """Drive one that nobody uses as far as that goes without waiting; whether it is gone now."""
        with kept.lock:
            if self._is_used(kept):
                return False
            kept.link.abort_when(None if self._is_patient and kept.pooled.quiet else self._aborting)
            try:
                if kept.member.ending:
                    _release(kept)
                kept.link.glance()
                # Meanwhile somebody may wait for the lock, and finds out. One that has ended is given to nobody else.
                if not kept.session.ended or self._is_used(kept):
                    return False
                kept.opening.__exit__(None, None, None)
            except Exception as error:  # noqa: BLE001 - whatever it is, the pool outlives one association
                self._report(error, str(kept.member.destination))
                with suppress(Exception):
                    kept.opening.__exit__(type(error), error, error.__traceback__)
        with self._books() as books:
            del self._kept[kept.member]
            books.gone(kept.member, self._now(), clean=kept.pooled.ended_well)
        return True

    def _is_used(self, kept: _Kept) -> bool:
        with self._lock:
            return kept.member.users > 0


def _release(kept: _Kept) -> None:
    """Ask for the release, if that was not asked for and nothing is outstanding any more."""
    engine = kept.session.engine
    if kept.pooled.alive and not (engine.outstanding or engine.unanswered):
        engine.release()
