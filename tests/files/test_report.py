"""What goes wrong in a handler becomes one log line, whatever the peer has put into it."""

from __future__ import annotations

import logging

import pytest

from sansdimse_files import log_report
from sansdimse_files.report import LOGGER


def raised(error: Exception) -> Exception:
    try:
        raise error
    except Exception as caught:
        return caught


def line(caplog: pytest.LogCaptureFixture, error: BaseException, where: str) -> str:
    with caplog.at_level(logging.ERROR, logger="sansdimse"):
        log_report(error, where)
    (record,) = caplog.records
    assert record.name == LOGGER.name == "sansdimse"
    assert record.levelno == logging.ERROR
    text = record.getMessage()
    caplog.clear()
    return text


def test_it_says_what_in_whose_request_and_at_which_line(caplog: pytest.LogCaptureFixture) -> None:
    text = line(caplog, raised(ValueError("no such patient")), "C-STORE 7")
    assert text.startswith("C-STORE 7: ValueError: no such patient at ")
    assert "test_report.py:" in text
    assert text.endswith(" in raised")


def test_an_error_that_was_never_raised_has_no_place(caplog: pytest.LogCaptureFixture) -> None:
    assert line(caplog, TypeError("no status"), "C-ECHO") == "C-ECHO: TypeError: no status"


@pytest.mark.parametrize("evil", ["a\nERROR forged", "a\r\x1b[31m", "a\x00b", "a\u2028b", "a\x85b"])
def test_nothing_a_peer_sent_makes_a_line_of_its_own(caplog: pytest.LogCaptureFixture, evil: str) -> None:
    text = line(caplog, ValueError(evil), evil)
    assert len(text.splitlines()) == 1
    assert text.isprintable()


def test_a_long_text_is_cut(caplog: pytest.LogCaptureFixture) -> None:
    assert len(line(caplog, ValueError("x" * 100_000), "C-STORE 1")) < 1000
