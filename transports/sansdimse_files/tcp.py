"""What a transport does to TCP sockets, whatever waits for them."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Final

READ_SIZE: Final = 256 * 1024
"""Bytes to read at a time."""

BACKLOG: Final = 256
"""Connections that the system keeps until they are accepted."""

IOV_MAX: Final = 512
"""Most buffers to write at a time: half of what Linux takes."""

_OF_ASYNCIO: Final = re.compile(r"\[Errno (\d+)\] Connect call failed ")
"""Where asyncio hides why one address could not be connected to, of one or of several."""

_QUICKACK: Final[int | None] = getattr(socket, "TCP_QUICKACK", None)


def prepare(sock: socket.socket) -> None:
    """The options of every connection: no delay, keepalive against silent firewalls, non-blocking."""
    sock.setblocking(False)
    with suppress(OSError):  # reset in the meantime: macOS tells that here, and reading tells it everywhere
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)


def acknowledge(sock: Any) -> None:
    """Let the kernel acknowledge at once: DCMTK writes 12 bytes of header, and the rest when they are acknowledged.

    The kernel forgets it again, so it is to be said after each read that leaves a PDU incomplete (Linux only).
    """
    if _QUICKACK is not None:
        sock.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. "0.0.0.0" is every IPv4 address of this machine, "::" the IPv6 ones besides.

    Raises ``OSError`` if the address cannot be listened on, ``ValueError`` if the port is none.
    """
    check_port(port, least=0)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    both = host == "::" and socket.has_dualstack_ipv6()
    listener = socket.create_server((host, port), family=family, backlog=BACKLOG, dualstack_ipv6=both)
    listener.setblocking(False)
    return listener


def check_port(port: int, *, least: int = 1) -> None:
    """Raise ``TypeError`` or ``ValueError`` for what is no port: some resolvers make another number of it."""
    if not hasattr(port, "__index__"):
        raise TypeError(f"port {port!r}: a number from {least} to 65535")
    if not least <= port <= 0xFFFF:
        raise ValueError(f"port {port}: {least} to 65535")


def text(address: tuple[Any, ...]) -> str:
    """An address as people write it: IPv6 in brackets, IPv4 as such."""
    host, port, *_ = address
    host = host.removeprefix("::ffff:") if "." in host else host  # IPv4, over a socket for both
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def reason(host: str, port: int, errors: Iterable[BaseException]) -> str:
    """Why no connection came about, in the network's words."""
    words = dict.fromkeys(word for error in errors for word in _words(error))
    return f"{host} port {port}: {'; '.join(words)}"


def _words(error: BaseException) -> list[str]:
    numbers = _OF_ASYNCIO.findall(str(error))
    return [os.strerror(int(number)) for number in numbers] or [getattr(error, "strerror", None) or str(error)]


def forget(unwritten: list[memoryview], written: int) -> None:
    """Take from the front of what is to be written as many bytes as were."""
    whole = 0
    for buffer in unwritten:
        if written < len(buffer):
            break
        written -= len(buffer)
        whole += 1
    del unwritten[:whole]
    if written:
        unwritten[0] = unwritten[0][written:]
