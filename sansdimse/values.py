"""The one decorator for values on hot paths.

A frozen slots dataclass costs about 400 ns to make, because its ``__init__`` goes through
``object.__setattr__`` for each field; with slots alone it costs about 120 ns. One event or PDV is
made per piece of every image that passes, so values of the hot paths are frozen for the type
checker and for the reader, and plain slots for the interpreter. Nobody may assign to one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar, dataclass_transform, overload

T = TypeVar("T")


@overload
def value(cls: type[T], /) -> type[T]: ...
@overload
def value(*, kw_only: bool = False) -> Callable[[type[T]], type[T]]: ...


@dataclass_transform(frozen_default=True)
def value(cls: type[T] | None = None, /, *, kw_only: bool = False) -> type[T] | Callable[[type[T]], type[T]]:
    """Make a slots dataclass that compares and hashes by its fields and that nobody assigns to."""

    def make(cls: type[T]) -> type[T]:
        return dataclass(slots=True, unsafe_hash=True, kw_only=kw_only)(cls)

    return make if cls is None else make(cls)
