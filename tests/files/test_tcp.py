"""What a transport does to TCP sockets: options, addresses as people write them, and what is left to be written."""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sansdimse.admission import AddressList, host_of
from sansdimse_files import tcp


def has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="no IPv6 loopback here")


# ---------------------------------------------------------------- sockets


def test_the_options_of_a_connection() -> None:
    with socket.socket() as sock:
        tcp.prepare(sock)
        assert sock.gettimeout() == 0.0
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)


class Options:
    """A socket that notes what is set on it."""

    def __init__(self) -> None:
        self.set: list[tuple[int, int, int]] = []

    def setblocking(self, flag: bool) -> None:
        self.blocks = flag

    def setsockopt(self, *option: int) -> None:
        self.set.append(option)  # type: ignore[arg-type]


class Reset(Options):
    """One that the peer has reset, as macOS takes it."""

    def setsockopt(self, *option: int) -> None:
        raise OSError(errno.EINVAL, "Invalid argument")


def test_a_connection_reset_before_its_options_were_set_is_no_error_here() -> None:
    sock: Any = Reset()
    tcp.prepare(sock)
    assert not sock.blocks


def test_acknowledgements_go_at_once_where_the_system_can(monkeypatch: pytest.MonkeyPatch) -> None:
    for number in (12, None):
        monkeypatch.setattr(tcp, "_QUICKACK", number)
        sock = Options()
        tcp.acknowledge(sock)
        assert sock.set == ([] if number is None else [(socket.IPPROTO_TCP, 12, 1)])


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_listening_takes_a_free_port_and_never_blocks(host: str) -> None:
    with tcp.listen(host, 0) as listener:
        address, port, *_ = listener.getsockname()
        assert (address, port > 0) == (host, True)
        with pytest.raises(BlockingIOError):
            listener.accept()
        with pytest.raises(OSError, match="in use"), tcp.listen(host, port):
            raise AssertionError("it listens")


@needs_ipv6
@pytest.mark.parametrize(("host", "both"), [("::1", False), ("::", True)])
def test_listening_on_ipv6_takes_ipv4_too_if_on_every_address(host: str, both: bool) -> None:
    with tcp.listen(host, 0) as listener:
        assert listener.family == socket.AF_INET6
        port = listener.getsockname()[1]
        for ours in ("::1", *(["127.0.0.1"] if both else [])):
            with socket.create_connection((ours, port), 10):
                listener.setblocking(True)
                accepted, address = listener.accept()
                accepted.close()
                assert host_of(tcp.text(address)) == ours


def test_an_address_of_somebody_else_cannot_be_listened_on() -> None:
    with pytest.raises(OSError, match="assign"), tcp.listen("192.0.2.1", 0):
        raise AssertionError("it listens")


# ---------------------------------------------------------------- addresses


@pytest.mark.parametrize(
    ("address", "text"),
    [
        (("10.1.2.3", 104), "10.1.2.3:104"),
        (("fe80::1", 104, 0, 2), "[fe80::1]:104"),
        (("fe80::1%eth0", 104, 0, 2), "[fe80::1%eth0]:104"),
        (("::ffff:10.1.2.3", 104, 0, 0), "10.1.2.3:104"),
        (("::1", 104, 0, 0), "[::1]:104"),
    ],
)
def test_an_address_as_people_write_it(address: tuple[Any, ...], text: str) -> None:
    assert tcp.text(address) == text


@given(st.ip_addresses(v=4) | st.ip_addresses(v=6), st.integers(0, 65535))
def test_the_host_of_a_written_address_is_what_lists_of_addresses_look_for(address: Any, port: int) -> None:
    written = tcp.text((str(address), port) if address.version == 4 else (str(address), port, 0, 0))
    meant = getattr(address, "ipv4_mapped", None) or address
    assert ipaddress.ip_address(host_of(written)) in {address, meant}
    assert written in AddressList([host_of(written)])


# ---------------------------------------------------------------- reasons


def test_why_no_connection_came_about() -> None:
    refused = ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))
    unreachable = OSError(errno.EHOSTUNREACH, os.strerror(errno.EHOSTUNREACH))
    encoding = UnicodeError("label too long")
    assert tcp.reason("pacs", 104, [refused]) == "pacs port 104: Connection refused"
    assert tcp.reason("pacs", 104, [refused, refused]) == "pacs port 104: Connection refused"
    assert tcp.reason("pacs", 104, [refused, unreachable, refused]) == (
        "pacs port 104: Connection refused; No route to host"
    )
    assert tcp.reason("pacs", 104, [encoding]) == "pacs port 104: label too long"


# ---------------------------------------------------------------- writing


@given(st.lists(st.binary(min_size=1, max_size=9), max_size=8), st.data())
def test_what_was_written_is_forgotten_and_nothing_else(buffers: list[bytes], data: st.DataObject) -> None:
    unwritten = list(map(memoryview, buffers))
    left = b"".join(buffers)
    while left:
        written = data.draw(st.integers(0, len(left)))
        tcp.forget(unwritten, written)
        left = left[written:]
        assert b"".join(unwritten) == left
        assert all(unwritten), "no empty buffer stays"
    tcp.forget(unwritten, 0)
    assert not unwritten


def test_asyncio_hides_the_reason_and_it_is_found() -> None:
    one = OSError(errno.ECONNREFUSED, "Connect call failed ('127.0.0.1', 1)")
    several = OSError(f"Multiple exceptions: {one}, [Errno {errno.EHOSTUNREACH}] Connect call failed ('::1', 1, 0, 0)")
    refused, unreachable = os.strerror(errno.ECONNREFUSED), os.strerror(errno.EHOSTUNREACH)
    assert tcp.reason("pacs", 1, [one]) == f"pacs port 1: {refused}"
    assert tcp.reason("pacs", 1, [several]) == f"pacs port 1: {refused}; {unreachable}"


# ---------------------------------------------------------------- ports


@pytest.mark.parametrize(("port", "least"), [(1, 1), (0, 0), (104, 1), (65_535, 1)])
def test_what_is_a_port(port: int, least: int) -> None:
    tcp.check_port(port, least=least)


@pytest.mark.parametrize("port", [0, -1, 65_536, 70_000])
def test_what_is_no_port(port: int) -> None:
    with pytest.raises(ValueError, match=f"^port {port}: 1 to 65535"):
        tcp.check_port(port)


@pytest.mark.parametrize("port", [None, "11112", 104.0])
def test_what_is_no_number(port: Any) -> None:
    with pytest.raises(TypeError, match=f"^port {port!r}: a number from 1 to 65535"):
        tcp.check_port(port)


def test_listening_on_what_is_no_port_opens_nothing() -> None:
    with pytest.raises(ValueError, match="port 65536: 0 to 65535"):
        tcp.listen("127.0.0.1", 65_536)  # a socket left open would be a warning, and so an error
