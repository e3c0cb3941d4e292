"""The seeds of the fuzzers, and what the fuzzers found, each checked once."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path

import pytest

FUZZ = Path(__file__).parents[2] / "fuzz"


def target(name: str, monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], None]:
    """``check`` of a target, imported as its script is: with its own folder on the path."""
    monkeypatch.syspath_prepend(str(FUZZ))
    check: Callable[[bytes], None] = importlib.import_module(f"fuzz_{name}").check
    return check


@pytest.mark.parametrize("name", ["pdu", "reader", "association"])
def test_the_corpus_is_there_and_small(name: str) -> None:
    sizes = [path.stat().st_size for path in (FUZZ / "corpus" / name).iterdir()]
    assert len(sizes) > 20
    assert sum(sizes) < 130_000


@pytest.mark.parametrize(
    ("name", "seed"),
    [
        pytest.param(folder.name, path, id=f"{folder.name}-{path.name}")
        for folder in sorted((FUZZ / "corpus").iterdir())
        for path in sorted(folder.iterdir())
    ],
)
def test_seed(name: str, seed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target(name, monkeypatch)(seed.read_bytes())
