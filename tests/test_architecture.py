"""The house is built as its plan says: rooms, the one way of imports, and no world inside the engine."""

from __future__ import annotations

import ast
import importlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCE_ROOTS = (ROOT, ROOT / "transports", ROOT / "apps")
PACKAGES = (
    "sansdimse",
    "sansdimse_files",
    "sansdimse_socket",
    "sansdimse_asyncio",
    "sansdimse_trio",
    "sansdimse_apps",
)
TRANSPORTS = frozenset({"sansdimse_socket", "sansdimse_asyncio", "sansdimse_trio"})

# From the bottom up; a room may import from itself and from those below. An entry holds the modules of one floor.
FLOORS: tuple[tuple[str, ...], ...] = (
    (
        "sansdimse.errors",
        "sansdimse.limits",
        "sansdimse.profile",
        "sansdimse.deviations",
        "sansdimse.uids",
        "sansdimse.values",
    ),
    ("sansdimse.ul", "sansdimse.events", "sansdimse.outcome"),  # events and outcome speak of PDUs, states and timers
    ("sansdimse.dimse",),
    ("sansdimse.services",),
    ("sansdimse.association",),
    ("sansdimse",),  # the core's flat list of names ends at association
    ("sansdimse.dataset", "sansdimse.part10", "sansdimse.transcode", "sansdimse.admission"),
    ("sansdimse.matching",),
    ("sansdimse.service_classes",),
    ("sansdimse.peer",),
    ("sansdimse.replay",),
    ("sansdimse.testing",),
    ("sansdimse_files",),
    tuple(sorted(TRANSPORTS)),
    ("sansdimse_apps",),
)
FLOOR_OF = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}

WORLD = frozenset(
    """asyncio concurrent fcntl getpass glob http importlib.metadata importlib.resources logging mmap
    multiprocessing pathlib platform pwd pydicom queue random secrets select selectors shutil signal socket
    socketserver sqlite3 ssl subprocess tempfile threading time trio urllib uuid numpy""".split()
)
WORLD_OF_THE_CORE = WORLD | {"datetime", "decimal", "hashlib", "zoneinfo"}
FORBIDDEN_CALLS = frozenset({"open", "print", "input", "exec", "eval", "compile", "__import__", "breakpoint"})
PYDICOM_ROOMS = ("sansdimse.dataset", "sansdimse.testing.strategies")


def sources() -> dict[str, Path]:
    """Every module of the house by the name it is imported under."""
    found = {}
    for source_root in SOURCE_ROOTS:
        for package in PACKAGES:
            for path in (source_root / package).rglob("*.py"):
                parts = path.relative_to(source_root).with_suffix("").parts
                found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = sources()
TREES = {name: ast.parse(path.read_text(encoding="utf-8"), str(path)) for name, path in MODULES.items()}
ENGINE = sorted(name for name in MODULES if name.split(".")[0] == "sansdimse")


def room_of(module: str) -> str:
    """``sansdimse.ul.pdu`` is in the room ``sansdimse.ul``; a transport is one room."""
    parts = module.split(".")
    return ".".join(parts[:2]) if parts[0] == "sansdimse" else parts[0]


def running_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those that only a type checker sees."""
    if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
        for child in node.orelse:
            yield from running_nodes(child)
        return
    yield node
    for child in ast.iter_child_nodes(node):
        yield from running_nodes(child)


def imports_of(module: str, tree: ast.AST | None = None) -> set[str]:
    """What a module imports while it runs, wherever in it the import stands."""
    found: set[str] = set()
    for node in running_nodes(TREES[module] if tree is None else tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: write imports in full"
            for alias in node.names:
                base = node.module or ""
                full = f"{base}.{alias.name}"
                found.add(full if full in MODULES or full in WORLD else base)
    return found


def fault_of_import(importer: str, imported: str) -> str | None:
    """Why one module of the house may not import another, if so."""
    here, there = room_of(importer), room_of(imported)
    if here == there:
        return None
    if {here, there} <= TRANSPORTS:
        return f"{importer} imports {imported}: transports never import one another"
    if FLOOR_OF[there] > FLOOR_OF[here]:
        return f"{importer} imports {imported}: upwards"
    return None


def test_there_is_a_house() -> None:
    assert {"sansdimse.values", "sansdimse.errors", "sansdimse.ul", *TRANSPORTS} <= MODULES.keys()


def test_every_module_is_in_a_known_room() -> None:
    assert sorted(name for name in MODULES if room_of(name) not in FLOOR_OF) == []


def test_source_roots_hold_packages_only() -> None:
    for source_root in SOURCE_ROOTS[1:]:
        assert {path.name for path in source_root.iterdir()} - {"__pycache__"} <= set(PACKAGES)
        assert not (source_root / "__init__.py").exists()


def test_tests_are_no_packages() -> None:
    assert list((ROOT / "tests").rglob("__init__.py")) == []


@pytest.mark.parametrize("package", [name for name in PACKAGES if name in MODULES])
def test_package_is_typed_and_every_folder_is_a_package(package: str) -> None:
    folder = MODULES[package].parent
    assert (folder / "py.typed").exists()
    assert [path for path in folder.rglob("*.py") if not (path.parent / "__init__.py").exists()] == []


@pytest.mark.parametrize("module", sorted(MODULES))
def test_imports_point_one_way(module: str) -> None:
    ours = {name for name in imports_of(module) if name.split(".")[0] in PACKAGES}
    assert [fault for name in sorted(ours) if (fault := fault_of_import(module, name))] == []


@pytest.mark.parametrize("module", sorted(MODULES))
def test_nobody_imports_a_source_root_or_a_test(module: str) -> None:
    assert {name.split(".")[0] for name in imports_of(module)} & {"transports", "apps", "tests"} == set()


@pytest.mark.parametrize("module", ENGINE)
def test_the_engine_imports_nothing_of_the_world(module: str) -> None:
    # Imports for types alone count too: what a type names, somebody will want to call.
    everything = {
        name
        for node in ast.walk(TREES[module])
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""])
    }
    worldly = {name for name in everything | imports_of(module) if {name, name.split(".")[0]} & (WORLD | {"io", "os"})}
    if module.startswith(PYDICOM_ROOMS):
        worldly = {name for name in worldly if name.split(".")[0] != "pydicom"}
        # pydicom reads from and writes to file-like objects in memory
        worldly -= {"io"}
    if module.startswith("sansdimse.peer"):
        # the handlers' signatures give and take pydicom.Dataset; they never make one
        worldly -= {name for name in worldly if name.split(".")[0] == "pydicom"} - imports_of(module)
    assert worldly == set()


@pytest.mark.parametrize("module", ENGINE)
def test_the_engine_calls_nothing_that_does_io_or_hides_code(module: str) -> None:
    calls = [node for node in ast.walk(TREES[module]) if isinstance(node, ast.Call)]
    named = [(call.func.id, call.lineno) for call in calls if isinstance(call.func, ast.Name)]
    assert [(name, line) for name, line in named if name in FORBIDDEN_CALLS] == []


@pytest.mark.parametrize("module", ENGINE)
def test_the_engine_neither_asserts_nor_swallows(module: str) -> None:
    for node in ast.walk(TREES[module]):
        assert not isinstance(node, ast.Assert), f"line {node.lineno}: python -O would drop the check"
        if isinstance(node, ast.ExceptHandler):
            caught = "everything" if node.type is None else ast.unparse(node.type)
            # A handler may raise anything: its one catcher is in peer/. A checker tells of whatever fails.
            if not module.startswith(("sansdimse.peer", "sansdimse.testing")):
                assert caught not in {"everything", "Exception", "BaseException"}, f"line {node.lineno}"
            assert caught != "everything", f"line {node.lineno}"


@pytest.mark.parametrize("module", sorted(MODULES))
def test_no_module_is_longer_than_500_lines(module: str) -> None:
    lines = MODULES[module].read_text(encoding="utf-8").count("\n")
    assert lines <= 500


@pytest.mark.parametrize("module", sorted(name for name in MODULES if name.split(".")[0] in TRANSPORTS))
def test_a_module_of_a_transport_is_read_in_ten_minutes(module: str) -> None:
    lines = MODULES[module].read_text(encoding="utf-8").count("\n")
    assert lines <= 300


def test_transports_have_the_same_names() -> None:
    """Who changes transports changes an import. Loops have besides what a handler that blocks gets."""
    names = {transport: set(importlib.import_module(transport).__all__) for transport in TRANSPORTS}
    blocking = names["sansdimse_socket"]
    assert {"associate", "serve", "Link", "Server", "Peer", "Store", "Echo", "Failure", "AssociationLost"} <= blocking
    assert names["sansdimse_asyncio"] == names["sansdimse_trio"] > blocking


def modules_after(statement: str) -> set[str]:
    """``sys.modules`` of a bare interpreter (no site, no environment) that ran one statement."""
    # -B: an interpreter without site may not know where its caches belong.
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); {statement}; print(*sorted(sys.modules), sep='\\n')"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-B", "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


@pytest.mark.parametrize("module", ["sansdimse", "sansdimse.peer", "sansdimse.admission"])
def test_importing_the_engine_pulls_in_nothing_of_the_world(module: str) -> None:
    pulled_in = modules_after(f"import {module}") - modules_after("pass")
    assert module in pulled_in
    guilty = {
        name
        for name in pulled_in
        if {name, name.split(".")[0]} & (WORLD_OF_THE_CORE if module == "sansdimse" else WORLD)
    }
    assert guilty == set(), json.dumps(sorted(pulled_in))


# The checkers above check something: each is shown a fault.


def test_the_checkers_see_faults() -> None:
    assert fault_of_import("sansdimse.ul.pdu", "sansdimse.association")
    assert fault_of_import("sansdimse_trio", "sansdimse_socket.link")
    assert fault_of_import("sansdimse.association", "sansdimse")
    assert fault_of_import("sansdimse_socket", "sansdimse.peer.scu") is None
    tree = ast.parse("if TYPE_CHECKING:\n    import socket\nelse:\n    import ssl\ndef f():\n    from time import time")
    assert imports_of("tried", tree) == {"ssl", "time"}
    assert "socket" in modules_after("import socket") - modules_after("pass")
