"""Each module of the engine is covered by its own test file: at least 98 % of its lines and of its branches.

``sansdimse/ul/pdu.py`` belongs to ``tests/ul/test_pdu.py``. Usage: ``coverage_by_module.py [MODULE.py ...]``.
A module covered by the tests of another looks safe until that other one changes.
"""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
REQUIRED = 98.0
WORKERS = 2
TIMEOUT = 300.0


@dataclass(frozen=True, slots=True)
class Result:
    """What one module's own test file gave; ``fault`` is empty when all is well."""

    module: str
    lines: float
    branches: float
    missing: str
    fault: str = ""
    output: str = ""


def percent(covered: int, all_: int) -> float:
    return 100.0 * covered / all_ if all_ else 100.0


def is_private_data(path: Path) -> bool:
    """Whether this is a private module without code: a table that its owner's tests look at."""
    code = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.If, ast.For, ast.While, ast.comprehension)
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return path.name.startswith("_") and not any(isinstance(node, code) for node in ast.walk(tree))


def measure(path: Path) -> Result:
    """Run the module's own test file, and nothing else, under branch coverage."""
    relative = path.relative_to(ROOT)
    module = ".".join(relative.with_suffix("").parts)
    test = ROOT / "tests" / relative.parent.relative_to("sansdimse") / f"test_{path.stem.lstrip('_')}.py"
    if not test.exists():
        return Result(module, 0.0, 0.0, "", f"no {test.relative_to(ROOT)}")
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "coverage.json"
        command = [sys.executable, "-m", "pytest", "-q", str(test), f"--cov={module}", "--cov-branch"]
        command += [f"--cov-report=json:{report}", "-p", "no:cacheprovider"]
        environment = {**os.environ, "COVERAGE_FILE": str(Path(folder) / "data"), "CI": "1"}
        try:
            done = subprocess.run(
                command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=TIMEOUT, check=False
            )
        except subprocess.TimeoutExpired:
            return Result(module, 0.0, 0.0, "", f"not done after {TIMEOUT:.0f} s")
        output = done.stdout + done.stderr
        if done.returncode != 0:
            return Result(module, 0.0, 0.0, "", f"pytest ended with {done.returncode}", output)
        files = json.loads(report.read_text(encoding="utf-8"))["files"] if report.exists() else {}
    measured = files.get(relative.as_posix())
    if measured is None:
        return Result(module, 0.0, 0.0, "", "its tests never import it", output)
    summary = measured["summary"]
    lines = percent(summary["covered_lines"], summary["num_statements"])
    branches = percent(summary["covered_branches"], summary["num_branches"])
    arcs = [f"{start}->{end if end > 0 else 'exit'}" for start, end in measured["missing_branches"]]
    missing = " ".join([*map(str, measured["missing_lines"]), *arcs])
    fault = "" if min(lines, branches) >= REQUIRED else f"below {REQUIRED:g} %"
    return Result(module, lines, branches, missing, fault)


def main(arguments: list[str]) -> int:
    paths = [Path(argument).resolve() for argument in arguments] or sorted((ROOT / "sansdimse").rglob("*.py"))
    paths = [path for path in paths if path.name != "__init__.py" and not is_private_data(path)]
    with ThreadPoolExecutor(WORKERS) as pool:
        results = list(pool.map(measure, paths))
    width = max((len(result.module) for result in results), default=0)
    print(f"{'module':{width}}  lines  branches")
    for result in results:
        print(f"{result.module:{width}}  {result.lines:5.1f}  {result.branches:8.1f}  {result.fault}".rstrip())
        if result.fault and result.missing:
            print(f"{'':{width}}  missing: {result.missing}")
    faults = [result for result in results if result.fault]
    for result in faults:
        if result.output:
            print(f"\n--- {result.module}\n{result.output[-6000:]}")
    print(f"\n{len(results) - len(faults)} of {len(results)} modules are covered by their own test file")
    return 1 if faults or not results else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
