from __future__ import annotations

from typing import Any

import pytest

from query_archive import HOST, QueryArchive, query_archive
from sansdimse import sop_classes
from sansdimse.services.extended import QueryExtended, RetrieveExtended, WorklistExtended
from sansdimse.services.sop_classes import STANDARD
from sansdimse_apps.negotiating import offer, turned_down
from sansdimse_apps.outcomes import CommandError, ExitCode
from sansdimse_socket import associate

FIND = sop_classes.STUDY_ROOT_FIND


@pytest.mark.parametrize(
    ("uid", "options", "value"),
    [
        (FIND, ["--relational", "--datetime"], QueryExtended(relational=True, combined_datetime=True)),
        (FIND, ["--fuzzy", "--timezone"], QueryExtended(fuzzy_names=True, timezone=True)),
        (sop_classes.STUDY_ROOT_GET, ["--relational"], RetrieveExtended(relational=True)),
        (sop_classes.MODALITY_WORKLIST_FIND, ["--fuzzy"], WorklistExtended(fuzzy_names=True)),
    ],
)
def test_what_options_propose(uid: str, options: list[str], value: object) -> None:
    wanted = {option: option in options for option in ("--relational", "--fuzzy", "--datetime", "--timezone")}
    assert offer(STANDARD.rows[uid], wanted) == {uid: value}


def test_nothing_wanted_proposes_nothing() -> None:
    assert offer(STANDARD.rows[FIND], {"--relational": False}) == {}


@pytest.mark.parametrize(
    ("uid", "option"),
    [
        (sop_classes.MODALITY_WORKLIST_FIND, "--relational"),
        (sop_classes.MODALITY_WORKLIST_FIND, "--datetime"),
        (sop_classes.STUDY_ROOT_GET, "--fuzzy"),
        (sop_classes.GENERAL_RELEVANT_PATIENT_INFORMATION, "--fuzzy"),
    ],
)
def test_what_a_sop_class_does_not_negotiate(uid: str, option: str) -> None:
    with pytest.raises(CommandError, match=f"{option}: .* does not negotiate this") as caught:
        offer(STANDARD.rows[uid], {option: True})
    assert caught.value.code is ExitCode.USAGE


@pytest.mark.parametrize(
    ("supported", "refused"),
    [
        (None, ["--relational", "--fuzzy"]),
        (QueryExtended(fuzzy_names=True), ["--relational"]),
        (QueryExtended(relational=True, fuzzy_names=True), []),
    ],
)
def test_what_was_turned_down(supported: Any, refused: list[str]) -> None:
    offered = offer(STANDARD.rows[FIND], {"--relational": True, "--fuzzy": True})
    extended = {} if supported is None else {FIND: supported}
    with (
        query_archive(QueryArchive(), extended=extended) as server,
        associate(HOST, server.port, contexts=[FIND], extended=offered) as peer,
    ):
        assert turned_down(peer.info.agreement, offered) == refused
