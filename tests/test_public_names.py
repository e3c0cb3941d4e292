"""The public names are a snapshot: nobody adds or drops one by accident.

After a deliberate change: ``SANSDIMSE_WRITE_PUBLIC_NAMES=1 pytest tests/test_public_names.py``.
"""

from __future__ import annotations

import importlib
import os
from pathlib import Path

import pytest

PACKAGES = (
    "sansdimse",
    "sansdimse.testing",
    "sansdimse_files",
    "sansdimse_socket",
    "sansdimse_asyncio",
    "sansdimse_trio",
)
SNAPSHOT = Path(__file__).with_name("public_names.txt")


def names_of(package: str) -> list[str]:
    """The package's public names, each as ``package.name``."""
    return sorted(f"{package}.{name}" for name in importlib.import_module(package).__all__)


def test_public_names_are_those_of_the_snapshot() -> None:
    found = [name for package in PACKAGES for name in names_of(package)]
    if os.environ.get("SANSDIMSE_WRITE_PUBLIC_NAMES"):
        SNAPSHOT.write_text("".join(f"{name}\n" for name in found), encoding="utf-8")
    expected = SNAPSHOT.read_text(encoding="utf-8").splitlines()
    missing, new = sorted(set(expected) - set(found)), sorted(set(found) - set(expected))
    assert found == expected, f"no longer public: {missing}; newly public: {new}; {(__doc__ or '').splitlines()[2]}"


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_is_there_once(package: str) -> None:
    module = importlib.import_module(package)
    assert len(set(module.__all__)) == len(module.__all__)
    assert [name for name in module.__all__ if not hasattr(module, name)] == []
    assert [name for name in module.__all__ if name.startswith("_") and name != "__version__"] == []
