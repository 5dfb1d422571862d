"""The collector is off while the node is busy, and cleans up when it is quiet."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from ringfence.service.collector import AT_LEAST_EVERY, EVERY, QUIET, Collector


class Knot:
    """Something that only the collector can free."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture(autouse=True)
def _python_collects_again() -> Iterator[None]:
    yield
    gc.unfreeze()
    gc.enable()


@pytest.mark.parametrize(
    ("elapsed", "busy", "freed"),
    [
        (1.0, 0, False),
        (EVERY + 1, QUIET - 1, True),
        (EVERY + 1, QUIET, False),
        (AT_LEAST_EVERY + 1, QUIET, True),
    ],
)
async def test_collects_when_quiet_or_long_overdue(elapsed: float, busy: int, *, freed: bool) -> None:
    now = [0.0]
    collector = Collector(lambda: busy, lambda: now[0])
    collector.start()
    assert not gc.isenabled()
    knot = Knot()
    alive = weakref.ref(knot)
    del knot
    now[0] = elapsed
    await collector.tick()
    assert (alive() is None) is freed
