"""What the targets share: how bytes are cut, and how a target is run."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

Check = Callable[[bytes], None]


def run(check: Check, arguments: list[str] | None = None) -> int:
    """Run under atheris where it is installed, else over the seeds given, once each; an exception is a finding.

    ``python fuzz/fuzz_x.py [corpus folder ...] [libFuzzer options]``
    """
    given = sys.argv[1:] if arguments is None else arguments
    try:
        atheris = importlib.import_module("atheris")
    except ImportError:
        seeds = list(_files(Path(each) for each in given if not each.startswith("-")))
        for seed in seeds:
            check(seed.read_bytes())
        print(f"atheris is not installed: {len(seeds)} seeds were checked, nothing was fuzzed", file=sys.stderr)
        return 0
    atheris.instrument_all()
    atheris.Setup([sys.argv[0], *given], check)
    atheris.Fuzz()
    return 0


def _files(places: Iterable[Path]) -> Iterator[Path]:
    for place in places:
        yield from sorted(each for each in place.iterdir() if each.is_file()) if place.is_dir() else [place]


def cuts(data: bytes) -> list[list[bytes]]:
    """The same bytes whole, one by one, and in lengths that they themselves give."""
    uneven, start = [], 0
    while start < len(data):
        end = start + 1 + data[start] % 61
        uneven.append(data[start:end])
        start = end
    return [[data], [data[index : index + 1] for index in range(len(data))], uneven]
