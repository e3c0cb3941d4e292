from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from interop import peers
from sansdimse import STORAGE
from sansdimse.admission import Applicant, Refusal
from sansdimse.peer.handlers import Failure
from sansdimse_socket import serve

HOST = "127.0.0.1"


def test_says_that_the_server_answers(sansdimse: Any, serving: Any, service: Any) -> None:
    with serving(service()) as server:
        done = sansdimse("echo", HOST, server.port)
    assert done.code == 0
    assert f"{HOST}:{server.port} answers 0x0000 (success)" in done.out
    assert done.err == ""


def has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


@pytest.mark.skipif(not has_ipv6(), reason="no IPv6 loopback here")
@pytest.mark.parametrize("host", ["::1", "[::1]", HOST])
def test_one_server_for_both_kinds_of_address(host: str, sansdimse: Any, service: Any, ends: Any) -> None:
    options: dict[str, Any] = {"supports": ["1.2.840.10008.1.1"], "any_storage": True}
    with serve("::", 0, service(), watch=ends, **options) as server:
        done = sansdimse("echo", host, server.port)
    shown = HOST if host == HOST else "[::1]"
    assert done.code == 0
    assert f"{shown}:{server.port} answers" in done.out
    assert [each.address.rpartition(":")[0] for each in ends] == [shown]


def test_repeats_on_one_association(sansdimse: Any, serving: Any, service: Any, ends: Any) -> None:
    with serving(service(), watch=ends) as server:
        done = sansdimse("echo", HOST, server.port, "--repeat", 3)
    assert done.code == 0
    assert "3 answers, 0 of them failures" in done.out
    assert [(each.outcome.messages_received, each.operations) for each in ends] == [(3, 3)]


def test_tells_machines(sansdimse: Any, serving: Any, service: Any) -> None:
    with serving(service()) as server:
        done = sansdimse("echo", HOST, server.port, "--json", "--repeat", 2)
    assert [record["event"] for record in done.records] == ["operation", "echo", "operation", "echo", "association"]
    assert done.records[1]["status"] == 0
    assert done.record("association")["clean"] is True


def test_titles_and_length_go_out_as_the_fields_options_say(sansdimse: Any, serving: Any, service: Any) -> None:
    requests = []

    def access(applicant: Applicant) -> bool:
        requests.append(applicant.request)
        return True

    with serving(service(), access=access) as server:
        assert sansdimse("echo", HOST, server.port, "-aet", "ME", "-aec", "YOU", "-pdu", 16384, "-to", 5).code == 0
        assert sansdimse("echo", HOST, server.port, "--calling", "ME", "--called", "YOU", "-ta", 5, "-td", 5).code == 0
    assert [(each.calling_ae_title, each.called_ae_title) for each in requests] == [("ME", "YOU")] * 2
    assert [each.maximum_length for each in requests] == [16384, 131072]


def test_a_failure_status_has_its_exit_code_and_its_comment(sansdimse: Any, serving: Any, service: Any) -> None:
    class Failing(service):  # type: ignore[misc]
        def c_echo(self, echo: object) -> int:
            raise Failure(0x0122, "not today")

    with serving(Failing()) as server:
        done = sansdimse("echo", HOST, server.port)
    assert done.code == 5
    assert "0x0122 (refused: SOP class not supported): not today" in done.out


@pytest.mark.parametrize(
    ("options", "advice"),
    [
        ({"require_called": True, "ae_title": "OTHER"}, "try -aec"),
        ({"allowed_calling": ["FRIEND"]}, "ask its administrator to add 'SANSDIMSE'"),
        ({"access": lambda applicant: Refusal(2, 3, 2)}, "try again later"),
    ],
)
def test_a_rejection_says_what_to_do(
    options: dict[str, Any], advice: str, sansdimse: Any, serving: Any, service: Any
) -> None:
    with serving(service(), **options) as server:
        done = sansdimse("echo", HOST, server.port)
    assert done.code == 4
    assert f"error: {HOST}:{server.port} rejected the association" in done.err
    assert advice in done.err


def test_a_rejection_for_machines(sansdimse: Any, serving: Any, service: Any) -> None:
    with serving(service(), require_called=True, ae_title="OTHER") as server:
        done = sansdimse("echo", HOST, server.port, "--json")
    assert done.record("error")["exit_code"] == done.code == 4


def test_no_context_for_verification(sansdimse: Any, serving: Any, service: Any) -> None:
    with serving(service(), supports=STORAGE[:1], any_storage=False) as server:
        done = sansdimse("echo", HOST, server.port)
    assert done.code == 4
    assert "takes no C-ECHO from us" in done.err


@contextmanager
def answering(talk: Callable[[socket.socket], object]) -> Iterator[int]:
    """A server that is none: one connection, with which it does whatever ``talk`` does."""
    with socket.create_server((HOST, 0)) as listener:

        def accept() -> None:
            sock, _ = listener.accept()
            with sock:
                talk(sock)

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            thread.join(10)


def test_nobody_listens(sansdimse: Any) -> None:
    port = peers.free_port()
    done = sansdimse("echo", HOST, port)
    assert done.code == 3
    assert f"error: {HOST}:{port} cannot be reached: Connection refused\n" in done.err
    assert f"Is a DICOM server listening on {HOST}:{port}?" in done.err


def says(answer: bytes) -> Callable[[socket.socket], None]:
    def talk(sock: socket.socket) -> None:
        sock.recv(1000)
        sock.sendall(answer)

    return talk


def test_a_server_of_another_kind(sansdimse: Any) -> None:
    with answering(says(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as port:
        done = sansdimse("echo", HOST, port)
    assert done.code == 3
    assert "broke the protocol" in done.err
    assert f"Is it a DICOM server that listens on {HOST}:{port}?" in done.err


def test_a_server_that_hangs_up(sansdimse: Any) -> None:
    with answering(lambda sock: sock.recv(1000)) as port:
        done = sansdimse("echo", HOST, port, "-aec", "WHO")
    assert done.code == 3
    assert "closed the connection instead of answering" in done.err
    assert "-aec WHO" in done.err


def test_a_server_that_aborts_the_request(sansdimse: Any) -> None:
    with answering(says(bytes.fromhex("07000000000400000200"))) as port:
        done = sansdimse("echo", HOST, port)
    assert done.code == 4
    assert "answered the association request with an abort" in done.err


def test_a_silent_server(sansdimse: Any) -> None:
    with answering(lambda sock: sock.recv(1000) and sock.recv(1000)) as port:
        done = sansdimse("echo", HOST, port, "-ta", 0.1)
    assert done.code == 3
    assert "did not answer the association request" in done.err
    assert "-ta gives it more time" in done.err


def test_a_server_that_does_not_answer_the_echo(sansdimse: Any, serving: Any, service: Any) -> None:
    released = threading.Event()

    class Hanging(service):  # type: ignore[misc]
        def c_echo(self, echo: object) -> None:
            released.wait(10)

    with serving(Hanging()) as server:
        done = sansdimse("echo", HOST, server.port, "-td", 0.1)
        released.set()
    assert done.code == 3
    assert "-td gives it more time" in done.err


@pytest.mark.interop
def test_dcmtk_answers(sansdimse: Any, tmp_path: Path) -> None:
    with peers.storescp(tmp_path / "storescp") as server:
        assert sansdimse("echo", *server.address, "-aec", server.ae_title, "--repeat", 5).code == 0
