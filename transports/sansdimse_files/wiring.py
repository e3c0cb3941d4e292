"""What stands between the bytes of a connection and its association: TLS, and whoever looks on."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import NamedTuple

from sansdimse.admission import Certificate
from sansdimse.peer.link import Engine
from sansdimse.peer.tap import Tap, Tapped
from sansdimse_files.secured import Secured


class Wire(NamedTuple):
    """What a driver drives, and how to ask for the peer's certificate."""

    engine: Engine
    certificate: Callable[[], Certificate | None]


def wire(
    engine: Engine,
    tls: ssl.SSLContext | None,
    *,
    server_side: bool,
    server_name: str | None = None,
    deadline: float | None = None,
    tap: Tap | None = None,
) -> Wire:
    """An association's engine with all that was asked for around it; a tap sees the bytes with TLS taken off.

    ``deadline`` is when a TLS handshake must be done, on the scale of ``now``. Raises ``TypeError`` for what is no
    context, ``ssl.SSLError`` for one of the other side.
    """
    if tap is not None:
        engine = Tapped(engine, tap)
    _check_context(tls, "server_context" if server_side else "client_context")
    if tls is None:
        return Wire(engine, _none)
    secured = Secured(engine, tls, server_side=server_side, server_hostname=server_name, deadline=deadline)
    return Wire(secured, lambda: _certificate(secured))


def check_server_context(tls: ssl.SSLContext | None) -> None:
    """Raise ``ssl.SSLError`` for a context that is a client's: where it is given, and not at each connection.

    And ``TypeError`` for what is no context.
    """
    _check_context(tls, "server_context")
    if tls is not None:
        tls.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_side=True)


def _check_context(tls: object, maker: str) -> None:
    if tls is not None and not isinstance(tls, ssl.SSLContext):
        raise TypeError(f"tls= is an ssl.SSLContext, of sansdimse_files.{maker} for one, not a {type(tls).__name__}")


def _none() -> None:
    """Without TLS there is no certificate."""


def _certificate(secured: Secured) -> Certificate | None:
    shown = secured.peer_certificate
    if shown is None or not shown.verified:
        return None
    subject = ", ".join(f"{name}={value}" for name, value in shown.subject)
    return Certificate(subject, tuple(f"{kind}:{value}" for kind, value in shown.alternative_names), shown.der)
