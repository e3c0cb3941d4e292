"""Peers that mean harm, over real sockets: what they can make us hold, leave behind, write or raise is bounded."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from archive import HOST, archive, until
from engine_pair import CT, RELEASE_RP, RELEASE_RQ, command, data, echo_rq, requestor
from raw_socket import RawSocket, connected, nothing_leaks, scripted
from sansdimse import VERIFICATION, Code, Limits, OutcomeKind, PresentationContext, Side
from sansdimse.admission import Budget
from sansdimse.dataset import Instance
from sansdimse.dimse.messages import NO_DATA_SET, Element, UnknownCommand
from sansdimse.uids import EXPLICIT_VR_LITTLE_ENDIAN
from sansdimse.ul.negotiation import propose
from sansdimse.ul.pdu import AAssociateAC
from sansdimse_socket import AssociationLost, Peer, associate

TIMES: Final = 20
WRONG_CONTEXT: Final = propose(requestor()).encode().replace(b"1.2.840.10008.3.1.1.1", b"1.2.840.10008.3.1.1.9")


def store_of(raw_uid: bytes) -> bytes:
    """A C-STORE-RQ whose SOP Instance UID is anything."""
    elements = (
        Element(0x0002, CT.encode() + b"\0" * (len(CT) % 2)),
        Element(0x0110, b"\1\0"),
        Element(0x0700, b"\0\0"),
        Element(0x0800, b"\1\0"),
        Element(0x1000, raw_uid),
    )
    return command(3, UnknownCommand(0x0001, None, elements))


def test_who_is_rejected_and_stays_takes_no_more_places_than_the_silent(tmp_path: Path) -> None:
    with nothing_leaks(), archive(tmp_path, budget=Budget(pending=4)) as running, ExitStack() as stack:
        for _ in range(TIMES):
            raw = stack.enter_context(connected(running.server.port))
            raw.send(WRONG_CONTEXT)
        until(lambda: len(running.ends) == TIMES - 4)
        assert sum(thread.name.startswith(f"sansdimse {HOST}") for thread in threading.enumerate()) == 4
        with connected(running.server.port) as good:
            assert isinstance(good.request(), AAssociateAC)
            good.send(RELEASE_RQ)
            assert good.said() == RELEASE_RP


def leave(raw: RawSocket) -> None:
    raw.sock.close()


def half_close(raw: RawSocket) -> None:
    raw.sock.shutdown(socket.SHUT_WR)
    raw.rest()


@pytest.mark.parametrize("leaves", [leave, half_close, RawSocket.reset], ids=["close", "half-close", "reset"])
@pytest.mark.parametrize(
    ("established", "sent"),
    [
        pytest.param(False, b"", id="nothing"),
        pytest.param(False, bytes.fromhex("16030100c8010000c40303"), id="tls"),
        pytest.param(False, WRONG_CONTEXT, id="rejected"),
        pytest.param(True, b"", id="idle"),
        pytest.param(True, b"\4\0\0", id="header"),
        pytest.param(True, echo_rq()[:20], id="command"),
        pytest.param(True, store_of(b"1.2.3\0"), id="store"),
        pytest.param(True, store_of(b"1.2.3\0") + data(3, b"xy" * 999, is_last=False), id="data"),
        pytest.param(True, store_of(b"1.2.3\0") + data(3, b"xy", is_last=False) + RELEASE_RQ.encode(), id="release"),
    ],
)
def test_whoever_leaves_whenever_leaves_nothing_behind(
    tmp_path: Path, established: bool, sent: bytes, leaves: Callable[[RawSocket], object]
) -> None:
    with nothing_leaks(), archive(tmp_path) as running:
        for _ in range(TIMES):
            with connected(running.server.port) as raw:
                if established:
                    raw.request()
                raw.send(sent)
                leaves(raw)
        until(lambda: len(running.ends) == TIMES)
        assert running.files() == []


@pytest.mark.parametrize(
    "uid",
    [
        b"../../evil",
        b"/tmp/evil\0",
        b"..",
        b"\0\0",
        b"1.2\n3\0",
        b"\x1b[2J\x07\0",
        b"1.2.3/../4",
        b"\xff" * 128,
        b"1." * 64,
        b"x" * 60_000,
    ],
    ids=lambda uid: repr(uid[:16]),
)
def test_no_name_is_made_of_what_is_no_uid(tmp_path: Path, uid: bytes) -> None:
    folder = tmp_path / "deep" / "inside"
    folder.mkdir(parents=True)
    with archive(folder) as running, connected(running.server.port) as raw:
        raw.request()
        raw.send(store_of(uid), data(3, b"xy"))
        stored = raw.said().status == 0  # digits and dots are taken for a UID, though they are none
        raw.send(RELEASE_RQ)
        assert raw.said() == RELEASE_RP
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) == stored
    assert all(path.parent == folder and re.fullmatch(r"sha256-[0-9a-f]{64}\.dcm", path.name) for path in files)
    text = "".join(str(deviation) for ended, _ in running.ends for deviation in ended.deviations)
    assert text
    assert re.fullmatch(r"[ -~]+", text)


# ---------------------------------------------------------------- a server that means harm


def test_a_server_that_asks_on_while_we_send_is_at_fault_and_not_our_user() -> None:
    unknown = command(1, UnknownCommand(0x0777, 1, (Element(0x0800, NO_DATA_SET.to_bytes(2, "little")),)))
    context = PresentationContext(CT, (EXPLICIT_VR_LITTLE_ENDIAN,))
    instance = Instance(CT, "1.2.3", EXPLICIT_VR_LITTLE_ENDIAN, None, lambda: iter([bytes(65536)] * 1000))
    peers: list[Peer] = []

    def script(raw: RawSocket) -> None:
        raw.accept()
        raw.pdu()  # the C-STORE-RQ: its data set is open, and stays so while nobody reads it
        raw.send(unknown * 40)
        until(lambda: peers[0].outcome is not None)
        raw.rest()

    limits = replace(Limits(), queued_messages=20, artim=0.3)
    with (
        nothing_leaks(),
        scripted(script) as port,
        associate(HOST, port, contexts=[VERIFICATION, context], limits=limits) as peer,
    ):
        peers.append(peer)
        with pytest.raises(AssociationLost) as raised:
            peer.c_store(instance)
    outcome = raised.value.outcome
    assert (outcome.kind, outcome.by) == (OutcomeKind.ABORTED, Side.LOCAL)
    assert outcome.cause is not None
    assert outcome.cause.code is Code.WINDOW_EXCEEDED
