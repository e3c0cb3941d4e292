"""The documents are true: programs run, options exist, links lead somewhere, tables are the code's.

A Python block is a whole program and is run, with two images in ``images/`` and an archive on its port 11112,
unless a comment stands before it: ``<!-- fragment -->`` is only compiled, ``<!-- server -->`` is itself the archive. A
``text`` block right behind a program is what it prints. The pages of limits and deviations are written by
``SANSDIMSE_WRITE_DOCUMENTS=1 pytest tests/test_documents.py``.
"""

from __future__ import annotations

import ast
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import time
import tomllib
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pydicom
import pytest

from sansdimse import (
    CATALOGUE,
    DEFAULT,
    LENIENT,
    STRICT,
    SUCCESS,
    VERIFICATION,
    Limits,
    PresentationContext,
    Status,
)
from sansdimse import limits as limits_module
from sansdimse.uids import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from sansdimse.ul.table import TABLE, Evt, State
from sansdimse_apps import cli
from sansdimse_apps.outcomes import ExitCode
from sansdimse_files import contexts_for
from sansdimse_socket import AssociationLost, Store, associate, serve

ROOT = Path(__file__).resolve().parent.parent
PAGES = [
    *(ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
    ROOT / "benchmarks" / "README.md",
    ROOT / "fuzz" / "README.md",
]
FENCE = re.compile(r"^(?:<!-- (?P<mark>\w+) -->\n)?```(?P<language>\w*)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)
TEST_FILES = Path(pydicom.__file__).parent / "data" / "test_files"
COMMANDS = ("echo", "store", "find", "get", "move", "serve", "demo")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block; ``printed`` is the text block right behind it, if there is one."""

    page: Path
    line: int
    mark: str | None
    language: str
    code: str
    printed: str | None

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks() -> Iterator[Block]:
    """Every fenced block of every page."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        found = list(FENCE.finditer(text))
        for match, after in pairwise([*found, None]):
            assert match is not None
            follows = (
                after is not None and after["language"] == "text" and not text[match.end() : after.start()].strip()
            )
            line = text.count("\n", 0, match.start()) + 1
            printed = after["code"] if follows and after is not None else None
            yield Block(page, line, match["mark"], match["language"], match["code"], printed)


PYTHON = [block for block in blocks() if block.language == "python"]
SHELL = [block for block in blocks() if block.language == "sh"]


def of_mark(mark: str | None) -> list[object]:
    """The Python blocks with this mark, each with its place as the test's name."""
    return [pytest.param(block, id=str(block)) for block in PYTHON if block.mark == mark]


class Keeper:
    """The archive that the programs of the pages talk to."""

    def c_store(self, store: Store) -> Status:
        return SUCCESS


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a program runs: with two images."""
    (tmp_path / "images").mkdir()
    for name in ("CT_small.dcm", "MR_small.dcm"):
        shutil.copy(TEST_FILES / name, tmp_path / "images")
    return tmp_path


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def written(block: Block, folder: Path, port: int) -> Path:
    """The block as a program in the folder, with this port for its own."""
    program = folder / "program.py"
    program.write_text(block.code.replace("11112", str(port)), encoding="utf-8")
    return program


def test_there_are_programs_of_each_kind() -> None:
    assert {block.mark for block in PYTHON} == {None, "fragment", "server"}
    readme = [block.mark for block in PYTHON if block.page.name == "README.md"]
    assert readme == [None, "server", None, None], "the README's samples run, all of them"


@pytest.mark.parametrize("block", of_mark(None))
def test_programs_run_and_print_what_the_page_says(block: Block, folder: Path) -> None:
    with serve("127.0.0.1", 0, Keeper(), ae_title="ARCHIVE", supports=[VERIFICATION], any_storage=True) as server:
        command = [sys.executable, "-W", "error", str(written(block, folder, server.port))]
        done = subprocess.run(command, check=False, cwd=folder, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    if block.printed is not None:
        assert done.stdout == block.printed


@pytest.mark.parametrize("block", of_mark("server"))
def test_servers_answer_and_keep_what_they_get(block: Block, folder: Path) -> None:
    port = free_port()
    command = [sys.executable, "-W", "error", str(written(block, folder, port))]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + 30
        while process.poll() is None and time.monotonic() < deadline:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.02)
        contexts: list[PresentationContext | str] = [VERIFICATION, *contexts_for([folder / "images"])]
        with associate("127.0.0.1", port, called="ARCHIVE", contexts=contexts) as peer:
            assert peer.c_echo() == SUCCESS
            for path in (folder / "images").iterdir():
                assert peer.c_store(path) == SUCCESS
    except AssociationLost as lost:
        pytest.fail(f"{lost}; the server says: {process.communicate(timeout=10)}")
    finally:
        process.send_signal(signal.SIGINT)
        printed, errors = process.communicate(timeout=30)
    kept = {pydicom.dcmread(path).SOPInstanceUID for path in (folder / "received").glob("*.dcm")}
    assert kept == {pydicom.dcmread(path).SOPInstanceUID for path in (folder / "images").iterdir()}
    assert all(uid in printed for uid in kept)
    assert errors.endswith("KeyboardInterrupt\n"), errors


@pytest.mark.parametrize("block", of_mark("fragment"))
def test_fragments_compile(block: Block) -> None:
    ast.parse(textwrap.dedent(block.code))


# ---------------------------------------------------------------- shell lines and options


def help_of(command: str, capsys: pytest.CaptureFixture[str]) -> set[str]:
    """The options that a command has, by its own help."""
    assert cli.main([command, "--help"]) == ExitCode.DONE
    listed = capsys.readouterr().out.partition("Options:")[2]
    return {
        option
        for line in re.findall(r"^  (-.*)$", listed, re.MULTILINE)
        for option in re.findall(r"(?<!\w)-[-\w]+", line)
    }


@pytest.mark.parametrize("command", COMMANDS)
def test_shell_lines_name_options_that_exist(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    options = help_of(command, capsys)
    for block in SHELL:
        for line in block.code.splitlines():
            words = shlex.split(re.split(r"&&|;", line)[-1 if "&&" in line else 0], comments=True)
            if words[:1] and words[0].endswith("sansdimse") and command in words[1:2]:
                unknown = {word for word in words if word.startswith("-")} - options
                assert not unknown, f"{block}: {line}"


@pytest.mark.parametrize("command", COMMANDS)
def test_the_page_of_the_command_line_has_every_option(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    page = (ROOT / "docs/howto/command-line.md").read_text(encoding="utf-8")
    sections = re.split(r"^## ", page, flags=re.MULTILINE)
    own = "".join(each for each in sections if each.startswith("Options") and f"`{command}`" in each.splitlines()[0])
    assert own
    told = {
        option for row in re.findall(r"^\| (`-.*?) \|", own, re.MULTILINE) for option in re.findall(r"`(-[-\w]+)`", row)
    }
    assert told == help_of(command, capsys) - {"--help", "-h"}


def test_the_page_of_the_command_line_has_every_exit_code() -> None:
    page = (ROOT / "docs/howto/command-line.md").read_text(encoding="utf-8")
    assert [int(code) for code in re.findall(r"^\| (\d+) \|", page, re.MULTILINE)] == [int(code) for code in ExitCode]


def test_the_two_lines_of_the_readme_stand_once() -> None:
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    start = "python3 -m venv .venv && .venv/bin/pip install -e "
    assert [line for line in lines if line.startswith("python3 -m venv")] == [
        start + "'.[apps]' && .venv/bin/sansdimse demo",
        start + "'.[dev]' && .venv/bin/pytest -n 2",
    ]


def test_extras_named_in_the_pages_exist() -> None:
    with (ROOT / "pyproject.toml").open("rb") as file:
        extras = set(tomllib.load(file)["project"]["optional-dependencies"])
    named = {extra for page in PAGES for extra in re.findall(r"'\.\[(\w+)\]'", page.read_text(encoding="utf-8"))}
    assert named
    assert named <= extras


# ---------------------------------------------------------------- links


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as both its renderers make them."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[\s-]+", "-", re.sub(r"[^\w\s-]", "", heading).strip().lower()) for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"https?://", target):
            continue
        name, _, anchor = target.partition("#")
        there = (page.parent / name).resolve() if name else page
        assert there.exists(), f"{page.name} links to {target}"
        assert not anchor or anchor in anchors(there), f"{page.name} links to {target}"
        inside = page.is_relative_to(ROOT / "docs")
        assert not inside or there.is_relative_to(ROOT / "docs"), f"{target} is no page of the site"


def test_every_page_is_in_the_navigation() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("nav:")[2]
    listed = re.findall(r": (\S+\.md)$", navigation, re.MULTILINE)
    assert sorted(listed) == sorted(str(page.relative_to(ROOT / "docs")) for page in (ROOT / "docs").rglob("*.md"))


# ---------------------------------------------------------------- tables that are the code's


def page_of_deviations() -> str:
    """``docs/deviations.md``."""
    intro = """\
        # Deviations

        Every way in which a peer may differ from the standard that the engine can see. Codes are stable: they are
        added to, and never change meaning. `sansdimse.CATALOGUE` has them as values, `sansdimse.Code` by name
        (`Code.FRAGMENT_ODD`), and each association lists those it saw in `deviations`.

        **Severity:** a *note* is unusual but allowed, *minor* is against the text without consequence, *major* risks
        the work.

        **Refusal:** *reject* is an A-ASSOCIATE-RJ, from a requestor an A-ABORT; *context* leaves the presentation
        context unused; *abort* is an A-ABORT by the service-provider; *dimse* one by the service-user. *Never*: the
        standard forbids refusing it.

        **Refused by:** the profiles that refuse it; the others accept and report it. Some faults can be given no
        meaning at all: they end the association whatever the profile, such as a PDU of unknown type.

        | Code | What | Clause | Severity | Refusal | Refused by |
        |---|---|---|---|---|---|
        """
    rows = []
    for code, rule in CATALOGUE.items():
        profiles = ", ".join(profile.name for profile in (STRICT, DEFAULT, LENIENT) if profile.refuses(code))
        rows.append(
            f"| `{code}` | {rule.text} | {rule.clause} | {rule.severity.value} | {rule.refusal.value} | {profiles} |\n"
        )
    return textwrap.dedent(intro) + "".join(rows)


def page_of_limits() -> str:
    """``docs/limits.md``: fields, defaults and texts of ``Limits``, as its source has them."""
    intro = """\
        # Limits

        The fields of `sansdimse.Limits`: what one association may hold in memory, and how long it may wait. *Off* means
        no limit, and where a default is off that is harmless. [How to set them](howto/limits.md).
        """
    source = Path(limits_module.__file__).read_text(encoding="utf-8")
    lines = source.splitlines()
    [body] = [node.body for node in ast.parse(source).body if isinstance(node, ast.ClassDef)]
    text, heading = textwrap.dedent(intro), ""
    for field, doc in pairwise(body):
        if not isinstance(field, ast.AnnAssign) or not isinstance(field.target, ast.Name):
            continue
        comments = [line.strip("# .") for line in lines[: field.lineno] if line.startswith("    # ")]
        if comments[-1] != heading:
            heading = comments[-1]
            text += f"\n## {heading}\n\n| Limit | Default | What it bounds |\n|---|---|---|\n"
        assert isinstance(doc, ast.Expr)
        assert isinstance(doc.value, ast.Constant)
        told = " ".join(str(doc.value.value).split()).replace("``", "`")
        in_bytes = any(unit in lines[field.lineno - 1] for unit in ("KIB", "MIB"))
        text += f"| `{field.target.id}` | {shown(getattr(Limits(), field.target.id), in_bytes)} | {told} |\n"
    return text


def shown(default: Any, in_bytes: bool) -> str:
    """A default as the pages show it."""
    if default is None:
        return "off"
    if isinstance(default, float):
        return f"{default:g} s"
    if in_bytes:
        mib, kib = divmod(default, limits_module.MIB), divmod(default, limits_module.KIB)
        return f"{mib[0]} MiB" if mib[1] == 0 else f"{kib[0]} KiB"
    return f"{default:,}"


@pytest.mark.parametrize(("name", "page"), [("deviations", page_of_deviations), ("limits", page_of_limits)])
def test_generated_pages_are_in_step_with_the_code(name: str, page: Callable[[], str]) -> None:
    path = ROOT / "docs" / f"{name}.md"
    if os.environ.get("SANSDIMSE_WRITE_DOCUMENTS"):
        path.write_text(page(), encoding="utf-8")
    assert path.read_text(encoding="utf-8") == page(), (__doc__ or "").splitlines()[-2]


def test_the_conformance_statement_has_the_timers_and_the_identity_of_the_code() -> None:
    page = (ROOT / "docs/conformance.md").read_text(encoding="utf-8")
    told = dict(re.findall(r"\| `(\w+)` \| (off|[\d.]+ s) \|", page))
    seconds = {name: getattr(Limits(), name) for name in Limits.__dataclass_fields__}
    timers = {name: value for name, value in seconds.items() if isinstance(value, float) or name == "idle"}
    assert told == {name: shown(value, False) for name, value in timers.items()}
    assert IMPLEMENTATION_CLASS_UID in page
    assert IMPLEMENTATION_VERSION_NAME in page
    assert f"at most {Limits().own_pdu:,} bytes" in page


def test_the_design_shows_table_9_10_as_the_code_has_it() -> None:
    [grid] = [block.code for block in blocks() if block.language == "text" and "Evt19" in block.code]
    header, *rows = (line.split() for line in grid.strip().splitlines())
    assert header == [state.name.capitalize() for state in State]
    for row, evt in zip(rows, Evt, strict=True):
        actions = ["-" if action is None else action.name for action in TABLE[evt][1:]]
        assert [cell.replace("-", "") or "-" for cell in row[1:]] == actions
        assert row[0] == f"Evt{int(evt)}"
