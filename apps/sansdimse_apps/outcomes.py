"""How a command ends: its exit code, and the error that says what happened, to whom, and what to do next."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Final

from sansdimse import Outcome, OutcomeKind, Side, State, Timer

if TYPE_CHECKING:
    from sansdimse_apps.target import Target


class ExitCode(IntEnum):
    """What the process returns. Scripts may rely on the numbers."""

    DONE = 0
    DIFFERENT = 1  # the demo: what arrived is not what was sent
    USAGE = 2  # bad arguments, no such path, nothing there that could be sent
    NETWORK = 3  # not reached, timed out, or lost
    REFUSED = 4  # the association was rejected, or no presentation context would do
    FAILURE = 5  # a DIMSE response with a failure status
    PARTIAL = 6  # some instances were stored and some were not
    INTERNAL = 70  # an error of ours (EX_SOFTWARE)
    INTERRUPTED = 130  # as shells tell of SIGINT


class CommandError(Exception):
    """Ends a command with this exit code; ``advice`` says what to do next."""

    def __init__(self, code: ExitCode, message: str, advice: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.advice = advice


_ESTABLISHING: Final = frozenset({State.STA4, State.STA5})
_OUT_OF_REACH: Final = "Check the host and the port, and that no firewall is in between."


def explain(outcome: Outcome, target: Target) -> CommandError:
    """What the end of an association means for whoever asked for it."""
    if outcome.error is not None and "TLS" in outcome.error:
        message = f"no TLS with {target}: {outcome.error.removeprefix('TLS: ')}"
        return CommandError(ExitCode.NETWORK, message, _tls_advice(outcome.error))
    match outcome.kind:
        case OutcomeKind.REJECTED:
            message = f"{target} rejected the association {_words(outcome)}"
            return CommandError(ExitCode.REFUSED, message, _rejection_advice(outcome, target))
        case OutcomeKind.TIMED_OUT:
            return _timed_out(outcome, target)
        case OutcomeKind.ABORTED if outcome.by is Side.LOCAL and outcome.cause is not None:
            message = f"{target} broke the protocol: {outcome.cause}"
            advice = f"Is it a DICOM server that listens on {target}?" if outcome.state in _ESTABLISHING else ""
            if advice and target.tls is None:
                advice += " If it speaks TLS, give --tls."
            return CommandError(ExitCode.NETWORK, message, advice)
        case OutcomeKind.ABORTED if outcome.by is Side.PEER and outcome.state is State.STA5:
            message = f"{target} answered the association request with an abort ({outcome})"
            return CommandError(ExitCode.REFUSED, message, _titles(target))
        case OutcomeKind.CLOSED if outcome.state is State.STA4:
            return _unreachable(outcome, target)
        case OutcomeKind.CLOSED if outcome.state is State.STA5:
            message = f"{target} closed the connection instead of answering the association request"
            tls = "" if target.tls else " Others do when they speak TLS: then give --tls."
            return CommandError(ExitCode.NETWORK, message, _titles(target) + tls)
    message = f"the association with {target} ended early: {outcome}"
    return CommandError(ExitCode.NETWORK, message, "Look into the server's log for the reason.")


def _tls_advice(error: str) -> str:
    if "does not speak TLS" in error or "speaks HTTP" in error:
        return "Leave out --tls if the server does without, and check the port."
    if "certificate verify failed" in error:
        return "--tls-ca says whom to trust, --server-name which name is in its certificate if it is not the host's."
    if "of ours" in error or "our certificate" in error:
        return "--tls-cert and --tls-key give our certificate; the server has to trust its authority."
    if "closed" in error:
        return "It may want a certificate of ours (--tls-cert, --tls-key), or speak no TLS: then leave out --tls."
    return "Look into the server's log for the reason."


def _words(outcome: Outcome) -> str:
    """The outcome without what the sentence around it says already."""
    return str(outcome).removeprefix("rejected by the peer ").rpartition(", in ")[0]


def _titles(target: Target) -> str:
    return (
        f"Some servers do so when they do not know the AE titles: this was -aet {target.calling} -aec {target.called}."
    )


def _rejection_advice(outcome: Outcome, target: Target) -> str:
    match (outcome.source, outcome.reason):
        case (1, 7):
            return f"It does not go by '{target.called}': try -aec with the AE title it is configured with."
        case (1, 3):
            return (
                f"It does not know '{target.calling}': try -aet with a title it knows, "
                f"or ask its administrator to add '{target.calling}' with this computer's address."
            )
        case (3, _):
            return "It is busy: try again later."
        case (1, 1) | (2, 1):
            return f"{_titles(target)} Others when they take none of what was proposed."
    return "Look into the server's log for the reason."


def _timed_out(outcome: Outcome, target: Target) -> CommandError:
    match outcome.timer:
        case Timer.CONNECT:
            message = f"{target} did not take the connection within {target.limits.connect:g} s"
            advice = f"{_OUT_OF_REACH} -to gives it more time."
        case Timer.ASSOCIATION_RESPONSE:
            message = f"{target} did not answer the association request"
            advice = f"Is it a DICOM server that listens on {target}? -ta gives it more time."
        case Timer.DIMSE_RESPONSE:
            message = f"{target} did not answer a request in time"
            advice = "-td gives it more time."
        case timer:
            message = f"{target} was silent for too long" + (f" (waiting for: {timer.value})" if timer else "")
            advice = "Look into the server's log for the reason."
    return CommandError(ExitCode.NETWORK, message, advice)


def _unreachable(outcome: Outcome, target: Target) -> CommandError:
    reasons = (outcome.error or "no reason was given").replace(f"{target.host} port {target.port}: ", "")
    reasons = "; ".join(dict.fromkeys(reasons.removeprefix(f"{target.host}: ").split("; ")))
    advice = f"Is a DICOM server listening on {target}?" if "refused" in reasons else _OUT_OF_REACH
    return CommandError(ExitCode.NETWORK, f"{target} cannot be reached: {reasons}", advice)
