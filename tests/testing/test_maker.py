"""What a maker need not supply: a server alone can be checked."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from sansdimse.testing import Event, Maker


class Least(Maker):
    """The least that a transport's author may write."""

    def serving(self, service: object, **options: Any) -> Any:
        raise NotImplementedError

    def event(self) -> Event:
        return threading.Event()


def test_a_maker_of_a_server_alone() -> None:
    maker = Least()
    assert (maker.name, maker.features, maker.patience) == ("transport", frozenset(), 30.0)
    assert maker.secured() is None
    assert not maker.event().wait(0)
    with pytest.raises(NotImplementedError, match="transport opens no associations"):
        maker.associating([], contexts=[])


def test_a_maker_without_a_server_is_none() -> None:
    with pytest.raises(TypeError, match="abstract"):
        Maker()  # type: ignore[abstract]
