"""What an operator watches, as Prometheus reads it.

While calls are handled, plain integers are added to and nothing more: the roles report each request to
`Handled.finished`, and what other parts count or hold anyway is read by a function when Prometheus asks
(`readings` has them all). Label values that a peer could choose go through `method_label`, so that nobody
can make series without end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib.metadata import version
from itertools import accumulate, islice

from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from ringfence.service.handled import LATENCY_BOUNDS, Handled

Labels = tuple[str, ...]
Values = Mapping[Labels, float]

MAX_SERIES = 1000
"""Of one family, when read: more means that a label is not bounded, and would take Prometheus down."""

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics(Collector):
    """All that one node counts. Own registry: two nodes in a process don't mix."""

    def __init__(self) -> None:
        self._handled = Handled()
        self.finished = self._handled.finished
        self._sources: list[Callable[[], Iterable[Metric]]] = [self._latency]
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        self.counter(
            "ringfence_requests",
            "Requests, by what was done with them: the status of the answer, forwarded, or dropped",
            ("method", "outcome"),
            lambda: self._handled.requests,
        )
        build: Values = {(version("ringfence"),): 1}
        self.gauge("ringfence_build_info", "The version", ("version",), lambda: build)

    def _latency(self) -> Iterator[Metric]:
        """How long requests took, as the histogram that Prometheus wants."""
        bounds = [*map(str, LATENCY_BOUNDS), "+Inf"]
        buckets = list(zip(bounds, accumulate(self._handled.counts), strict=True))
        yield HistogramMetricFamily(
            "ringfence_handling_seconds",
            "From a request to what was done with it",
            buckets=buckets,
            sum_value=self._handled.total,
        )

    def counter(self, name: str, text: str, labels: Labels, values: Callable[[], Values]) -> None:
        """Add a metric that only grows, whose values are asked for when Prometheus asks."""
        self._sources.append(lambda: [_metric(CounterMetricFamily(name, text, labels=labels), values())])

    def gauge(self, name: str, text: str, labels: Labels, values: Callable[[], Values]) -> None:
        """Add a metric that goes up and down, whose values are asked for when Prometheus asks."""
        self._sources.append(lambda: [_metric(GaugeMetricFamily(name, text, labels=labels), values())])

    def collect(self) -> Iterator[Metric]:
        """Called by the registry."""
        for source in self._sources:
            yield from source()

    def render(self) -> bytes:
        """The text that Prometheus reads, of `CONTENT_TYPE`."""
        return generate_latest(self._registry)


def _metric(family: CounterMetricFamily | GaugeMetricFamily, values: Values) -> Metric:
    for key, value in islice(list(values.items()), MAX_SERIES):
        family.add_metric(key, value)
    return family
