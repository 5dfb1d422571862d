"""A reading of any store, awaited where it has to be."""

from __future__ import annotations

from inspect import isawaitable
from typing import TypeVar

from ringfence.store import Reading

T = TypeVar("T")


async def settled(reading: Reading[T]) -> T:
    return await reading if isawaitable(reading) else reading
