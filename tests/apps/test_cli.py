from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from sansdimse import __version__
from sansdimse_apps import cli
from sansdimse_apps.outcomes import ExitCode


def test_version(sansdimse: Any) -> None:
    done = sansdimse("--version")
    assert (done.code, done.out) == (0, f"sansdimse {__version__}\n")


@pytest.mark.parametrize("command", ["echo", "store", "find", "get", "move", "serve", "demo"])
def test_every_command_has_help_with_an_example(command: str, sansdimse: Any) -> None:
    done = sansdimse(command, "--help")
    assert done.code == 0
    assert f"Example: sansdimse {command}" in done.out


def test_help_names_the_commands_and_the_exit_codes(sansdimse: Any) -> None:
    done = sansdimse("--help")
    for word in (
        "echo",
        "store",
        "find",
        "get",
        "move",
        "serve",
        "demo",
        "2 usage",
        "3 network",
        "4 refused",
        "6 partly",
    ):
        assert word in " ".join(done.out.split())


@pytest.mark.parametrize("option", ["-aet", "-aec", "-to", "-ta", "-td", "-pdu", "--json"])
def test_the_fields_options_are_in_the_help(option: str, sansdimse: Any) -> None:
    for command in ("echo", "store", "find", "get", "move"):
        assert option in sansdimse(command, "--help").out


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["no-such-command"],
        ["echo"],
        ["echo", "host", "0"],
        ["echo", "host", "65536"],
        ["echo", "host", "eleven"],
        ["echo", "", "104"],
        ["echo", "host", "104", "-aet", ""],
        ["echo", "host", "104", "-aet", "LONGER THAN SIXTEEN"],
        ["echo", "host", "104", "-aec", "BACK\\SLASH"],
        ["echo", "host", "104", "-pdu", "7"],
        ["echo", "host", "104", "-to", "-1"],
        ["echo", "host", "104", "--repeat", "0"],
        ["store", "host", "104"],
        ["find", "host"],
        ["get", "host", "104", "-k", "StudyInstanceUID=1.2"],
        ["move", "host", "-k", "StudyInstanceUID=1.2"],
        ["serve"],
    ],
)
def test_bad_arguments_are_usage(arguments: list[str], sansdimse: Any) -> None:
    done = sansdimse(*arguments)
    assert done.code == ExitCode.USAGE
    assert "Usage: sansdimse" in done.out + done.err


def test_as_a_module() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "sansdimse_apps", "--version"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, f"sansdimse {__version__}\n", "")


@pytest.mark.parametrize(("code", "expected"), [(None, 0), (5, 5), ("it went wrong", 1)])
def test_whatever_ends_it_is_a_number(code: object, expected: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def end(**_: object) -> None:
        raise SystemExit(code)

    monkeypatch.setattr(cli, "app", end)
    assert cli.main([]) == expected
    monkeypatch.setattr(cli, "app", lambda **_: None)
    assert cli.main() == 0


def test_help_has_its_short_name(sansdimse: Any) -> None:
    assert sansdimse("-h").out == sansdimse("--help").out
    assert sansdimse("echo", "-h").code == 0


def test_help_that_cannot_be_written_is_no_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    with open("/dev/full", "w") as full, pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdout", full)
        assert cli.main(["--help"]) == ExitCode.INTERNAL
        patch.undo()
    assert "error: cannot write: No space left on device" in capsys.readouterr().err


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_streams_that_were_closed_before_the_start(closed: str) -> None:
    command = f"exec {sys.executable} -m sansdimse_apps echo 127.0.0.1 1 {closed}"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert done.returncode == ExitCode.NETWORK
    assert "Traceback" not in done.stdout + done.stderr
