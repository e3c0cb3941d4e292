"""sansdimse against its floor and against others, side by side in one run.

    python benchmarks/run.py                  a quarter of an hour; everything that benchmarks/README.md shows
    python benchmarks/run.py --quick          smaller, for a look; below three minutes
    python benchmarks/run.py --json FILE      the figures as JSON besides
    python benchmarks/run.py --only idle      a part of it: pairs, alone, retrieve, memory, latency, idle, fairness

Every pair of ends runs in processes of its own on the loopback interface, and stands beside the pair in which
``floor.py`` takes sansdimse's part: that ratio is what the engine and its transport cost. Pairs take turns, round by
round, and the median counts. pynetdicom and DCMTK take part where they are installed; what is missing is said.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from importlib import metadata, util
from pathlib import Path
from statistics import median
from typing import Any

import fairness
import idle
import in_memory
import latency
import memory
import retrieve
from ends import ASYNCIO, HOST, IMPLICIT, PYNETDICOM, STORAGE, TRIO, data_set
from floor import DEFAULT_PDU, INSTANCE
from processes import HERE, free_port, program, wait_for

SIZE = 512 * 1024

FLOOR, OURS, DCMTK = "floor", "sansdimse", "DCMTK"
PARTS = ("pairs", "alone", "retrieve", "memory", "latency", "idle", "fairness")
PAIRS = (
    (FLOOR, FLOOR),
    (OURS, OURS),
    (FLOOR, OURS),
    (OURS, FLOOR),
    (ASYNCIO, ASYNCIO),
    (FLOOR, ASYNCIO),
    (ASYNCIO, FLOOR),
    (TRIO, TRIO),
    (FLOOR, TRIO),
    (TRIO, FLOOR),
    (DCMTK, FLOOR),
    (DCMTK, OURS),
    (FLOOR, DCMTK),
    (OURS, DCMTK),
    (PYNETDICOM, PYNETDICOM),
    (DCMTK, DCMTK),
)
"""SCU and SCP. Each is compared with the pair in which the floor replaces sansdimse, or else with the floor's own."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How much of everything."""

    echoes: int
    stores: int
    few: int
    """Echoes, and stores, of the pairs that take 40 ms and more for each."""
    rounds: int
    large: int
    echoes_in_memory: int
    bytes_in_memory: int
    delayed: int
    """Instances stored through a relay."""
    idle: int
    """Associations; to pynetdicom ``idle_few``."""
    idle_few: int
    idle_seconds: float
    clients: int
    """At once, of which each stores ``shared`` instances."""
    shared: int
    matches: int
    retrieved: int
    """Instances of a C-GET or C-MOVE."""


FULL = Plan(1000, 200, 50, 3, 1 << 30, 20000, 1 << 30, 200, 1000, 100, 10.0, 50, 100, 10_000, 2_000)
QUICK = Plan(200, 40, 10, 1, 1 << 27, 2000, 1 << 27, 24, 200, 20, 2.0, 20, 10, 500, 100)


@dataclass(frozen=True, slots=True)
class Row:
    """One pair: the median of the rounds."""

    what: str
    scu: str
    scp: str
    count: int
    size: int
    seconds: float
    """For all of them."""
    each: float
    megabytes_per_second: float
    against: str
    ratio: float | None
    """Of ``each`` to that of the pair it is held against; more is slower."""


# ---------------------------------------------------------------- DCMTK, where it is


def present(whose: str) -> bool:
    """Whether this one can take part."""
    if whose == DCMTK:
        return all(map(program, ("echoscu", "storescu", "storescp")))
    return whose not in (PYNETDICOM, TRIO) or util.find_spec(whose) is not None


# ---------------------------------------------------------------- SCPs


@contextmanager
def scp(whose: str) -> Iterator[int]:
    """A server that throws away what it receives; gives its port."""
    port = free_port()
    commands: dict[str, list[object]] = {
        FLOOR: [sys.executable, HERE / "floor.py", "scp", port],
        DCMTK: [program("storescp"), "--ignore", "--max-pdu", DEFAULT_PDU, port],
    }
    command = commands.get(whose, [sys.executable, HERE / "ends.py", whose, "scp"])
    process = subprocess.Popen(
        [str(each) for each in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    try:
        if whose not in commands and process.stdout is not None:
            port = int(process.stdout.readline())
        else:
            wait_for(port)
        yield port
    finally:
        process.terminate()
        process.communicate()


# ---------------------------------------------------------------- SCUs


def scu(whose: str, port: int, what: str, count: int, file: Path) -> float:
    """Seconds for so many of them on one association."""
    if whose == DCMTK:
        # The whole process is timed, so what one of them takes is taken off.
        return (dcmtk_scu(port, what, count + 1, file) - dcmtk_scu(port, what, 1, file)) or 1e-9
    script: list[object] = ["floor.py", "scu", HOST] if whose == FLOOR else ["ends.py", whose, "scu"]
    command = [sys.executable, HERE / str(script[0]), *script[1:], port, f"--{what}", count, "--size", SIZE]
    done = subprocess.run([str(each) for each in command], capture_output=True, text=True, check=True)
    seconds: float = json.loads(done.stdout)["seconds"]
    return seconds


def dcmtk_scu(port: int, what: str, count: int, file: Path) -> float:
    """Seconds of ``echoscu`` or ``storescu`` from its start to its end."""
    tool = program("echoscu" if what == "echo" else "storescu")
    files = [] if what == "echo" else ["-xi", "--max-pdu", DEFAULT_PDU]
    command = [tool, "--repeat", count, *files, HOST, port, *([file] if files else [])]
    start = time.perf_counter()
    subprocess.run([str(each) for each in command], capture_output=True, check=True)
    return time.perf_counter() - start


def counterpart(pair: tuple[str, str]) -> tuple[str, str]:
    """The pair that it is held against."""
    one, other = pair
    if OURS in pair and DCMTK in pair:
        return (FLOOR if one == OURS else one, FLOOR if other == OURS else other)
    return (FLOOR, FLOOR)


def pairs(what: str, plan: Plan, file: Path, say: Callable[[str], object]) -> list[Row]:
    """All pairs, in turns."""
    taking_part = [pair for pair in PAIRS if all(map(present, pair))]
    took: dict[tuple[str, str], list[float]] = {pair: [] for pair in taking_part}
    with ExitStack() as stack:
        ports = {whose: stack.enter_context(scp(whose)) for whose in {other for _, other in taking_part}}
        for number in range(plan.rounds):
            for pair in taking_part:
                say(f"{what}, round {number + 1} of {plan.rounds}: {pair[0]} to {pair[1]}")
                count = _count(what, pair, plan)
                one = partial(scu, pair[0], ports[pair[1]], what, count, file)
                took[pair].append(_tried(one, say) / count)
    each = {pair: median(seconds) for pair, seconds in took.items()}
    return [_row(what, pair, each, _count(what, pair, plan)) for pair in taking_part]


def _tried(one: Callable[[], float], say: Callable[[str], object]) -> float:
    """Do it; three times if it fails, which is said."""
    for _ in range(2):
        try:
            return one()
        except subprocess.CalledProcessError as error:
            say(f"failed, and is tried again: {str(error.stderr).strip()[-400:]}")
    return one()


def _count(what: str, pair: tuple[str, str], plan: Plan) -> int:
    slow = pair in ((DCMTK, DCMTK), (PYNETDICOM, PYNETDICOM))
    return plan.few if slow else plan.echoes if what == "echo" else plan.stores


def _row(what: str, pair: tuple[str, str], each: dict[tuple[str, str], float], count: int) -> Row:
    against, mine = counterpart(pair), each[pair]
    size = 0 if what == "echo" else SIZE
    return Row(
        what,
        *pair,
        count,
        size,
        mine * count,
        mine,
        size / mine / 1e6,
        " to ".join(against),
        None if pair == against or against not in each else mine / each[against],
    )


# ---------------------------------------------------------------- what is told


def machine() -> dict[str, str]:
    """Where it was measured."""
    model = platform.processor()
    info = Path("/proc/cpuinfo")
    if info.exists():
        models = [line.partition(":")[2].strip() for line in info.read_text().splitlines() if line[:10] == "model name"]
        model = models[0] if models else model
    return {
        "processor": f"{model}, {os.cpu_count()} processors",
        "system": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "sansdimse": metadata.version("sansdimse"),
        "pydicom": metadata.version("pydicom"),
        "pynetdicom": metadata.version("pynetdicom") if present(PYNETDICOM) else "missing",
        "DCMTK": dcmtk_version() if present(DCMTK) else "missing",
    }


def dcmtk_version() -> str:
    """As ``storescp`` says it."""
    said = subprocess.run([str(program("storescp")), "--version"], capture_output=True, text=True, check=False).stdout
    return next((word for word in said.split() if word.startswith("v")), "unknown")


def table(heads: Sequence[str], rows: Sequence[Sequence[object]], texts: int = 2) -> str:
    """A table of Markdown; all columns but the first ``texts`` are numbers."""
    lines = [heads, ["---" if index < texts else "--:" for index in range(len(heads))], *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def shown(results: dict[str, Any]) -> str:
    """All of it as a page's tables."""
    parts = [table(("machine", ""), [[name, value] for name, value in results["machine"].items()])]
    makers = {
        "pairs": shown_pairs,
        "in_memory": shown_alone,
        "memory": shown_memory,
        "retrieve": shown_retrieve,
        "latency": shown_latency,
        "idle": shown_idle,
        "fairness": shown_fairness,
    }
    return "\n\n".join(parts + [make(results[name]) for name, make in makers.items() if results.get(name)])


def shown_pairs(results: list[dict[str, Any]]) -> str:
    """Echoes and stores between all ends."""
    parts = []
    for what, title in (("echo", "C-ECHO"), ("store", f"C-STORE of {SIZE // 1024} KiB, thrown away")):
        rows = [
            [
                f"{row['scu']} to {row['scp']}",
                row["against"] if row["ratio"] else "",
                row["count"],
                f"{row['each'] * 1e3:.3f}",
                f"{row['megabytes_per_second']:.0f}" if row["size"] else "",
                f"{row['ratio']:.2f}" if row["ratio"] else "",
            ]
            for row in results
            if row["what"] == what
        ]
        heads = ("SCU to SCP", "held against", "times", "ms each", "MB/s", "ratio")
        parts.append(f"{title}\n\n{table(heads, rows)}")
    return "\n\n".join(parts)


def shown_alone(results: list[dict[str, Any]]) -> str:
    """The engine without a socket."""
    rows = [
        [
            row["what"],
            row["count"],
            f"{row['each'] * 1e3:.3f}",
            f"{row['megabytes_per_second']:.0f}" if row["size"] else "",
        ]
        for row in results
    ]
    return "The engine alone, PDUs of 16 KiB\n\n" + table(("what", "times", "ms each", "MB/s"), rows)


def shown_memory(results: list[dict[str, Any]]) -> str:
    """What a large data set costs."""
    rows = [
        [row["what"], f"{row['size'] >> 20} MiB", f"{row['seconds']:.2f}", f"{row['growth'] / 2**20:.2f}"]
        for row in results
    ]
    return "Memory\n\n" + table(("process", "data set", "seconds", "growth in MiB"), rows)


def shown_retrieve(results: list[dict[str, Any]]) -> str:
    """Matches, and instances retrieved."""
    parts = []
    sizes = {row["what"]: row["size"] // 1024 for row in results}
    for what, size in sizes.items():
        rows = [
            [
                f"{row['scu']} to {row['scp']}",
                row["count"],
                f"{row['each'] * 1e3:.3f}",
                f"{1 / row['each']:.0f}",
                *(f"{row[ratio]:.3f}" if row[ratio] else "" for ratio in ("to_dcmtk", "to_pynetdicom")),
            ]
            for row in results
            if row["what"] == what
        ]
        heads = ("SCU to SCP", "times", "ms each", "per second", "ratio to DCMTK's pair", "to pynetdicom's pair")
        title = f"C-{what.upper()}" + (f", instances of {size} KiB" if size else "")
        parts.append(f"{title}\n\n{table(heads, rows, texts=1)}")
    return "\n\n".join(parts)


def shown_latency(results: list[dict[str, Any]]) -> str:
    """Windows against latency."""
    first = results[0]
    rows = [
        [
            f"{row['scu']} to {row['scp']}",
            row["agreed"],
            f"{row['one']:.2f}",
            f"{row['many']:.2f}" if row["many"] else "",
            f"{row['ratio']:.3f}" if row["ratio"] else "",
        ]
        for row in results
    ]
    heads = ("SCU to SCP", "window agreed", "s, window 1", f"s, window {first['window']} proposed", "ratio")
    title = f"{first['count']} instances of {first['size'] // 1024} KiB, {first['delay'] * 1e3:.0f} ms each way"
    return f"{title}\n\n{table(heads, rows)}"


def shown_idle(results: list[dict[str, Any]]) -> str:
    """Idle associations."""
    rows = [
        [
            row["what"],
            row["opened"],
            row["threads"],
            f"{row['growth'] / 1024:.1f}",
            f"{row['cpu'] * 1e3:.0f}",
            f"{row['lone_echo'] * 1e3:.3f}",
            f"{row['echo'] * 1e3:.3f}",
        ]
        for row in results
    ]
    busy = f"ms of CPU in {results[0]['seconds']:.0f} s"
    heads = ("SCP", "associations", "threads", "KiB each", busy, "ms an echo, alone", "among all")
    return f"Idle associations\n\n{table(heads, rows)}"


def shown_fairness(results: list[dict[str, Any]]) -> str:
    """Many that store at once."""
    rows = [
        [
            row["what"],
            f"{row['clients']} x {row['count']}",
            row["stored"],
            f"{row['share']:.2f}",
            f"{row['seconds']:.1f}",
            f"{row['megabytes_per_second']:.0f}",
            f"{row['growth'] / 2**20:.0f}",
        ]
        for row in results
    ]
    heads = ("SCP", "sent", "stored", "least share", "seconds", "MB/s", "growth in MiB")
    return f"Many at once, {results[0]['size'] // 1024} KiB each\n\n{table(heads, rows)}"


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="smaller numbers, one round")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    parser.add_argument(
        "--only", nargs="+", choices=PARTS, default=PARTS, metavar="PART", help=f"of {', '.join(PARTS)}"
    )
    given = parser.parse_args()
    plan = QUICK if given.quick else FULL

    def say(text: str) -> None:
        print(text, file=sys.stderr)

    for whose in (PYNETDICOM, DCMTK):
        if not present(whose):
            say(f"{whose} is not installed: its pairs are left out")
    results: dict[str, Any] = {
        "machine": machine(),
        "settings": {"maximum_length": DEFAULT_PDU, **asdict(plan)},
    }
    if "pairs" in given.only:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "instance.dcm"
            _write_instance(file)
            results["pairs"] = [asdict(row) for what in ("echo", "store") for row in pairs(what, plan, file, say)]
    if "alone" in given.only:
        say("the engine alone")
        alone = in_memory.measure(plan.echoes_in_memory, plan.bytes_in_memory)
        results["in_memory"] = [asdict(result) for result in alone]
    if "retrieve" in given.only:
        retrieved = retrieve.measure(plan.matches, plan.retrieved, retrieve.SIZE, plan.rounds, say)
        results["retrieve"] = [asdict(row) for row in retrieved]
    if "latency" in given.only:
        delayed = latency.measure(plan.delayed, SIZE, plan.rounds, latency.DELAY, say)
        results["latency"] = [asdict(row) for row in delayed]
    holds = measure_on_linux(plan, given.only, results, say)
    if given.json:
        given.json.write_text(json.dumps(results, indent=1) + "\n")
    print(shown(results))
    return int(not holds)


def measure_on_linux(plan: Plan, parts: Sequence[str], results: dict[str, Any], say: Callable[[str], object]) -> bool:
    """What looks into /proc. Whether what no noise can change is as it should be: memory, threads, nothing lost."""
    if not Path("/proc/self/clear_refs").exists():
        say("memory, idle and fairness are measured on Linux only")
        return True
    holds = True
    if "memory" in parts:
        say("memory")
        results["memory"] = memory.measure(plan.large)
        holds &= all(row["growth"] <= memory.LIMIT for row in results["memory"])
    if "idle" in parts:
        idles = idle.measure(plan.idle, plan.idle_few, plan.idle_seconds, plan.rounds, say, with_tls=plan is FULL)
        results["idle"] = [asdict(row) for row in idles]
        holds &= all(row.is_lean for row in idles)
    if "fairness" in parts:
        shared = fairness.measure(plan.clients, plan.shared, SIZE, plan.rounds, say)
        results["fairness"] = [asdict(row) for row in shared]
        holds &= all(row.is_complete for row in shared)
    return holds


def _write_instance(path: Path) -> None:
    from sansdimse.dataset import part10_header

    path.write_bytes(part10_header(STORAGE, INSTANCE.decode(), IMPLICIT) + data_set(SIZE))


if __name__ == "__main__":
    raise SystemExit(main())
