"""The collector is off while the node is busy, and cleans up when it is quiet."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from ringfence.service.collector import AT_LEAST_EVERY, EVERY, MAX_PAUSE, QUIET, Collector
from ringfence.service.metrics import Metrics


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
        (AT_LEAST_EVERY - 1, QUIET, False),
        (AT_LEAST_EVERY + 1, QUIET, True),
    ],
)
async def test_collects_when_quiet_or_long_overdue(elapsed: float, busy: int, *, freed: bool) -> None:
    now = [0.0]
    collector = Collector(lambda: busy, lambda: now[0])
    collector.start()
    collector._each = 0.0  # the test's own process may have very many objects
    assert not gc.isenabled()
    knot = Knot()
    alive = weakref.ref(knot)
    del knot
    now[0] = elapsed
    await collector.tick()
    assert (alive() is None) is freed


async def test_what_would_take_too_long_waits_for_its_day(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    collector = Collector(lambda: 0, lambda: now[0])
    collector.start()
    monkeypatch.setattr(collector, "_each", 2 * MAX_PAUSE / gc.get_freeze_count())
    knot = Knot()
    alive = weakref.ref(knot)
    del knot
    now[0] = EVERY + 1
    await collector.tick()
    assert alive() is not None
    now[0] = AT_LEAST_EVERY + 1
    await collector.tick()
    assert alive() is None


def test_pauses_are_told() -> None:
    metrics, collector = Metrics(), Collector(lambda: 0)
    collector.start()
    collector.show(metrics)
    assert collector.last_pause > 0
    assert b'ringfence_collection_seconds{which="longest"} 0.0' in metrics.render()
    assert f'{{which="last"}} {collector.last_pause}'.encode() in metrics.render()
