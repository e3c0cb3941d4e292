"""C-FIND, C-GET and C-MOVE between all ends: matches and instances a second.

    python benchmarks/retrieve.py                                     three rounds: some minutes
    python benchmarks/retrieve.py --matches 500 --instances 100 --rounds 1

Each end is a process of its own on the loopback interface (``archives.py`` has the SCPs); of a C-MOVE the destination
is a third, or movescu itself. Matches are decoded, instances thrown away where they come. DCMTK's clients are timed as
processes, less what they take for a study of one. Pairs take turns, and the median counts. The pairs of pynetdicom and
of DCMTK are asked for a tenth of what takes them long.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from importlib import util
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

from archives import FIND, GET, MOVE, TITLE, dcmqrscp, image_query, query
from ends import ASYNCIO, HOST, IMPLICIT, PYNETDICOM, SOCKET, STORAGE, TRIO, BlockingSink, Sink, check
from floor import DEFAULT_PDU
from processes import HERE, child, free_port, program

DCMTK = "DCMTK"
OPERATIONS = ("find", "get", "move")
MATCHES, INSTANCES, SIZE = 10_000, 2_000, 32 * 1024
FEWER = 10
"""Times fewer, of pynetdicom, and of the instances between DCMTK's ends."""
PAIRS = (
    (SOCKET, SOCKET),
    (ASYNCIO, ASYNCIO),
    (TRIO, TRIO),
    (DCMTK, SOCKET),
    (DCMTK, ASYNCIO),
    (SOCKET, DCMTK),
    (ASYNCIO, DCMTK),
    (DCMTK, DCMTK),
    (PYNETDICOM, PYNETDICOM),
)
"""SCU and SCP."""


@dataclass(frozen=True, slots=True)
class Retrieved:
    """One operation between one pair: the median of the rounds."""

    what: str
    scu: str
    scp: str
    count: int
    size: int
    """Of an instance; 0 of a match."""
    each: float
    """Seconds."""
    to_dcmtk: float | None
    """Ratio of ``each`` to that of the pair of DCMTK; more is slower."""
    to_pynetdicom: float | None


# ---------------------------------------------------------------- SCUs


@dataclass(frozen=True, slots=True)
class Asking:
    """What to ask, and of whom. ``destination`` is the port to move to."""

    what: str
    port: int
    count: int
    destination: int


def proposal() -> dict[str, Any]:
    """What our ``associate`` takes on every transport."""
    from sansdimse import PresentationContext

    models = [PresentationContext(uid, (IMPLICIT,)) for uid in (FIND, GET, MOVE)]
    stored = PresentationContext(STORAGE, (IMPLICIT,), scu=False, scp=True)
    return {"contexts": [*models, stored], "maximum_length": DEFAULT_PDU, "called": TITLE}


def socket_scu(asking: Asking) -> float:
    """Ours: blocking."""
    from sansdimse_socket import associate

    with associate(HOST, asking.port, **proposal()) as peer:
        start = perf_counter()
        if asking.what == "find":
            with peer.c_find(FIND, image_query(asking.count)) as matches:
                found = sum(1 for _ in matches)
            check(matches.answer)
            _all(found, asking.count)
        elif asking.what == "get":
            with peer.c_get(GET, query(asking.count), store=BlockingSink().c_store) as retrieval:
                _all_stored(retrieval.finished(), asking.count)
        else:
            with peer.c_move(MOVE, query(asking.count), f"P{asking.destination}") as retrieval:
                _all_stored(retrieval.finished(), asking.count)
        return perf_counter() - start


def asyncio_scu(asking: Asking) -> float:
    """Ours on asyncio."""
    from sansdimse_asyncio import associate

    return asyncio.run(_ask(associate, asking))


def trio_scu(asking: Asking) -> float:
    """Ours on trio."""
    import trio

    from sansdimse_trio import associate

    seconds: float = trio.run(_ask, associate, asking)
    return seconds


async def _ask(associate: Any, asking: Asking) -> float:
    async with associate(HOST, asking.port, **proposal()) as peer:
        start = perf_counter()
        if asking.what == "find":
            found = 0
            async with peer.c_find(FIND, image_query(asking.count)) as matches:
                async for _ in matches:
                    found += 1
            check(matches.answer)
            _all(found, asking.count)
        elif asking.what == "get":
            async with peer.c_get(GET, query(asking.count), store=Sink().c_store) as retrieval:
                _all_stored(await retrieval.finished(), asking.count)
        else:
            async with peer.c_move(MOVE, query(asking.count), f"P{asking.destination}") as retrieval:
                _all_stored(await retrieval.finished(), asking.count)
        return perf_counter() - start


def _all_stored(answer: Any, count: int) -> None:
    check(answer)
    _all(answer.counters.completed, count)


def _all(have: int, count: int) -> None:
    """Raise ``ConnectionError`` if anything is lost."""
    if have != count:
        raise ConnectionError(f"{have} of {count}")


def pynetdicom_scu(asking: Asking) -> float:
    """pynetdicom."""
    from pynetdicom import AE, build_role, evt

    ae: Any = AE()
    ae.maximum_pdu_size = DEFAULT_PDU
    for uid in (FIND, GET, MOVE, STORAGE):
        ae.add_requested_context(uid, IMPLICIT)
    association = ae.associate(
        HOST,
        asking.port,
        ae_title=TITLE,
        max_pdu=DEFAULT_PDU,
        ext_neg=[build_role(STORAGE, scp_role=True)],
        evt_handlers=[(evt.EVT_C_STORE, lambda event: 0)],
    )
    if not association.is_established:
        raise ConnectionError("no association")
    try:
        start = perf_counter()
        if asking.what == "find":
            responses = association.send_c_find(image_query(asking.count), FIND)
        elif asking.what == "get":
            responses = association.send_c_get(query(asking.count), GET)
        else:
            responses = association.send_c_move(query(asking.count), f"P{asking.destination}", MOVE)
        *pending, (last, _) = responses
        check(last.Status)
        _all(len(pending) if asking.what == "find" else last.NumberOfCompletedSuboperations, asking.count)
        return perf_counter() - start
    finally:
        association.release()


SCUS: dict[str, Callable[[Asking], float]] = {
    SOCKET: socket_scu,
    ASYNCIO: asyncio_scu,
    TRIO: trio_scu,
    PYNETDICOM: pynetdicom_scu,
}


def dcmtk_scu(asking: Asking) -> float:
    """Seconds of findscu, getscu or movescu from its start to its end. movescu is its own destination."""
    arguments: list[object] = [program(f"{asking.what}scu"), "-S", "-aec", TITLE, "-pdu", DEFAULT_PDU]
    keys = image_query(asking.count) if asking.what == "find" else query(asking.count)
    if asking.what == "find":
        arguments.append("--hide-responses")
    elif asking.what == "get":
        arguments += ["--ignore", "-xi"]
    else:
        arguments += ["--ignore", "-aem", f"P{asking.destination}", "+P", asking.destination]
    for element in keys:
        arguments += ["-k", f"{element.keyword}={element.value or ''}"]
    start = time.perf_counter()
    subprocess.run([*map(str, arguments), HOST, str(asking.port)], capture_output=True, check=True)
    return time.perf_counter() - start


# ---------------------------------------------------------------- measuring


def seconds(whose: str, asking: Asking) -> float:
    """What it takes, in a process of its own."""
    if whose == DCMTK:
        one = Asking(asking.what, asking.port, 1, asking.destination)
        # The whole process is timed, so what a study of one takes is taken off.
        return max(dcmtk_scu(asking) - dcmtk_scu(one), 1e-9) * asking.count / (asking.count - 1)
    command = [sys.executable, HERE / "retrieve.py", "--scu", whose, *asdict(asking).values()]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise ConnectionError(f"{whose}: {done.stderr.strip()[-400:]}")
    return float(done.stdout)


def present(whose: str) -> bool:
    """Whether this one can take part."""
    if whose == DCMTK:
        return all(map(program, ("findscu", "getscu", "movescu", "dcmqrscp", "dcmqridx")))
    return whose not in (PYNETDICOM, TRIO) or util.find_spec(whose) is not None


def measure(matches: int, instances: int, size: int, rounds: int, say: Callable[[str], object]) -> list[Retrieved]:
    """All pairs, in turns. dcmqrscp finds as many as it has instances."""
    pairs = [pair for pair in PAIRS if all(map(present, pair))]
    took: dict[tuple[str, tuple[str, str]], list[float]] = {}
    counts: dict[tuple[str, tuple[str, str]], int] = {}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        sinks = {
            whose: stack.enter_context(child("ends.py", whose, "scp")).port
            for whose in {scu for scu, _ in pairs} - {DCMTK}
        }
        sinks[DCMTK] = free_port()
        ports = {}
        for whose in {scp for _, scp in pairs}:
            if whose == DCMTK:
                say("retrieve: files for dcmqrscp")
                serving = dcmqrscp(folder, {instances, instances // FEWER, 1}, size, sinks.values())
                ports[whose] = stack.enter_context(serving)
            else:
                ports[whose] = stack.enter_context(child("archives.py", whose, "--size", size)).port
        for number in range(rounds):
            for what in OPERATIONS:
                for scu, scp in pairs:
                    say(f"{what}, round {number + 1} of {rounds}: {scu} to {scp}")
                    count = matches if what == "find" and scp != DCMTK else instances
                    count //= FEWER if scp == PYNETDICOM or (what != "find" and scu == scp == DCMTK) else 1
                    asking = Asking(what, ports[scp], count, sinks[scu])
                    counts[what, (scu, scp)] = count
                    took.setdefault((what, (scu, scp)), []).append(seconds(scu, asking) / count)
    each = {key: median(times) for key, times in took.items()}

    def ratio(what: str, pair: tuple[str, str], other: str) -> float | None:
        held = each.get((what, (other, other)))
        return None if held is None or pair == (other, other) else each[what, pair] / held

    return [
        Retrieved(
            what,
            *pair,
            counts[what, pair],
            0 if what == "find" else size,
            each[what, pair],
            ratio(what, pair, DCMTK),
            ratio(what, pair, PYNETDICOM),
        )
        for what, pair in each
    ]


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--matches", type=int, default=MATCHES, metavar="N", help="(%(default)s)")
    parser.add_argument("--instances", type=int, default=INSTANCES, metavar="N", help="(%(default)s)")
    parser.add_argument("--size", type=int, default=SIZE, metavar="BYTES", help="of an instance (%(default)s)")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="(%(default)s)")
    parser.add_argument("--scu", nargs=5, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.scu:
        whose, what, *numbers = given.scu
        print(SCUS[whose](Asking(what, *map(int, numbers))))
        return 0

    def say(text: str) -> None:
        print(text, file=sys.stderr)

    for result in measure(given.matches, given.instances, given.size, given.rounds, say):
        print(json.dumps(asdict(result)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
