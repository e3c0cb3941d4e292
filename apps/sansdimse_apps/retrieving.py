"""What ``get`` and ``move`` have in common: a retrieval that is watched, can be called off, and is summed up.

They run on an event loop, since they wait for two: the peer, and a Ctrl-C. The first one asks the peer to stop
(C-CANCEL) and waits for its word of what it did; the second one ends the association (PS3.4 C.4.2.3.1).
"""

from __future__ import annotations

import asyncio
import signal
import time
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import Final

from sansdimse import LocalProtocolError, PresentationContext, StatusCategory
from sansdimse.deviations import escaped
from sansdimse.peer.scu import Peer, Progress, Retrieval, Retrieved
from sansdimse.peer.session import AssociationLost
from sansdimse.services.extended import ApplicationInformation
from sansdimse_apps.negotiating import turned_down
from sansdimse_apps.outcomes import CommandError, ExitCode, explain
from sansdimse_apps.output import BAD, GOOD, Output, answer_fields, described
from sansdimse_apps.progress import CountProgress
from sansdimse_apps.query import Asked
from sansdimse_apps.serve import StoreInFolder
from sansdimse_apps.target import Target

_MOST_NAMED: Final = 10
"""Failed instances that people are told by UID; machines get all."""


class Retrieving(ABC):
    """One run of ``get`` or ``move``."""

    SERVICE: str

    def __init__(
        self,
        target: Target,
        asked: Asked,
        output: Output,
        *,
        extended: Mapping[str, ApplicationInformation],
        keeper: StoreInFolder | None = None,
    ) -> None:
        self.target = target
        self.asked = asked
        self.output = output
        self.keeper = keeper
        """Who stores what comes here, if anybody does."""
        self.progress = Progress(None, None, None, None)
        """What the peer told last."""
        self.answer: Retrieved | None = None
        self._extended = extended
        self._interrupted = 0
        self._under_way: Retrieval | None = None
        self._began = time.monotonic()

    @abstractmethod
    def contexts(self) -> Sequence[PresentationContext | str]:
        """What to propose."""

    @abstractmethod
    def ask(self, peer: Peer) -> AbstractAsyncContextManager[Retrieval]:
        """Send the request."""

    @abstractmethod
    def said(self) -> str:
        """For people, how many instances went where."""

    def check(self, peer: Peer) -> None:
        """Look at what was agreed; raises ``CommandError`` if it is of no use."""
        return

    def missing(self) -> str:
        """What did not come though the peer says it sent it; "" if nothing."""
        return ""

    def advice(self, answer: Retrieved) -> str:
        """What to do about a retrieval that did not go well; "" if nobody knows."""
        return ""

    def run(self) -> ExitCode:
        """Retrieve, and tell what it came to. Raises ``CommandError`` when the peer has not answered at all."""
        try:
            with CountProgress() as bar, warnings.catch_warnings():
                warnings.simplefilter("ignore")  # pydicom's, of values that a peer should not have
                asyncio.run(self._run(bar))
        except asyncio.CancelledError:
            self._summarize(ExitCode.INTERRUPTED)
            raise KeyboardInterrupt from None
        except KeyboardInterrupt:
            self._summarize(ExitCode.INTERRUPTED)
            raise
        except AssociationLost as lost:
            fault = explain(lost.outcome, self.target)
            if self._stored:
                fault.code = ExitCode.PARTIAL
            self._summarize(fault.code)
            raise fault from lost
        except LocalProtocolError as error:
            advice = f"It has to be configured to offer {self.asked.model.name} to us; others may do: see --help."
            message = f"{self.target} takes no such {self.SERVICE} from us: {error}"
            raise CommandError(ExitCode.REFUSED, message, advice) from error
        code = self._code()
        self._summarize(code)
        return code

    async def _run(self, bar: CountProgress) -> None:
        output, target = self.output, self.target
        association = target.associate_async(
            self.contexts(), extended=self._extended, report=output.report, watch=output.watch
        )
        async with association as peer:
            for option in turned_down(peer.info.agreement, self._extended):
                output.note(f"{target} did not agree to {option}")
            self.check(peer)
            with self._interrupts():
                async with self.ask(peer) as retrieval:
                    self._under_way = retrieval
                    if self._interrupted:
                        retrieval.cancel()
                    async for self.progress in retrieval:
                        bar.show(self.progress)
                        output.record("progress", **_counters(self.progress))
                    self.answer = retrieval.answer
        if peer.outcome is not None:
            output.outcome(peer.outcome)

    @contextmanager
    def _interrupts(self) -> Iterator[None]:
        """While in here a Ctrl-C calls off the retrieval, and the next one gives up the association."""
        loop, task = asyncio.get_running_loop(), asyncio.current_task()

        def interrupt() -> None:
            self._interrupted += 1
            if self._interrupted == 1:
                if self._under_way is not None:
                    self._under_way.cancel()
                waiting = f"asked {self.target} to stop, and waiting for its answer; Ctrl-C again ends the association"
                self.output.note(f"interrupted: {waiting}")
            elif task is not None:
                task.cancel()

        before = signal.getsignal(signal.SIGINT)
        loop.add_signal_handler(signal.SIGINT, interrupt)
        try:
            yield
        finally:
            loop.remove_signal_handler(signal.SIGINT)
            signal.signal(signal.SIGINT, before)

    # ------------------------------------------------------------ what it came to

    @property
    def counters(self) -> Progress:
        """The counters of the last response that had them: some peers leave them out of the final one."""
        final = self.answer.counters if self.answer is not None else self.progress
        pairs = ((getattr(final, name), getattr(self.progress, name)) for name in Progress.__slots__)
        return Progress(*(last if own is None else own for own, last in pairs))

    @property
    def completed(self) -> int:
        """Instances that the peer says were stored, with or without a warning."""
        return (self.counters.completed or 0) + (self.counters.warning or 0)

    @property
    def _stored(self) -> int:
        return self.keeper.stored if self.keeper is not None else self.completed

    def _code(self) -> ExitCode:
        category = None if self.answer is None else self.answer.category
        if category is StatusCategory.SUCCESS:
            refused = self.keeper is not None and self.keeper.refused
            return ExitCode.PARTIAL if refused or self.missing() else ExitCode.DONE
        if self._interrupted:
            return ExitCode.INTERRUPTED
        if category is StatusCategory.WARNING or self._stored:
            return ExitCode.PARTIAL
        return ExitCode.FAILURE

    def _summarize(self, code: ExitCode) -> None:
        output, answer, keeper = self.output, self.answer, self.keeper
        failed = () if answer is None else answer.failed_instances
        seconds = time.monotonic() - self._began
        output.record(
            "summary",
            stored=None if keeper is None else keeper.stored,
            bytes=None if keeper is None else keeper.bytes,
            refused=None if keeper is None else keeper.refused,
            **_counters(self.counters),
            failed_instances=[escaped(uid) for uid in failed],
            **answer_fields(answer),
            seconds=round(seconds, 6),
            exit_code=int(code),
        )
        counters = self.counters
        parts = [f"{self.said()} in {seconds:.1f} s"]
        named = (("failed", counters.failed), ("with a warning", counters.warning), ("not sent", counters.remaining))
        parts += [f"{number} {name}" for name, number in named if number]
        text = ", ".join(parts)
        if answer is not None and answer.category is not StatusCategory.SUCCESS:
            text += f"; {self.target} answers {described(answer)}"
        output.line(text, GOOD if code is ExitCode.DONE else BAD)
        for uid in failed[:_MOST_NAMED]:
            output.line(f"failed: {escaped(uid)}", BAD)
        if len(failed) > _MOST_NAMED:
            output.line(f"... and {len(failed) - _MOST_NAMED} more", BAD)
        if answer is not None and (missing := self.missing()):
            output.note(missing)
        if answer is not None and (advice := self.advice(answer)):
            output.note(advice, None)
        if code is ExitCode.FAILURE:
            relational = any(getattr(each, "relational", False) for each in self._extended.values())
            if doubts := self.asked.doubts(self.SERVICE, relational=relational):
                output.note(doubts, None)


def _counters(progress: Progress) -> dict[str, int | None]:
    return {name: getattr(progress, name) for name in Progress.__slots__}
