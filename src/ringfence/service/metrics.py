"""What an operator watches, as Prometheus reads it.

While calls are handled, plain integers are added to and nothing more: the roles report each request to
`Metrics.finished`, and what other parts count or hold anyway is read by a function when Prometheus asks
(`readings` has them all). Label values that a peer could choose go through `method_label`, so that nobody
can make series without end.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib.metadata import version
from itertools import accumulate, islice

from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from ringfence.store.records import DEFAULT_METHODS

Labels = tuple[str, ...]
Values = Mapping[Labels, float]

MAX_SERIES = 1000
"""Of one family, when read: more means that a label is not bounded, and would take Prometheus down."""

LATENCY_BOUNDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
"""Seconds. From a request answered from memory to one that waited for DNS and a time-out."""

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def method_label(method: str) -> str:
    """The method if it is one of SIP's, else "other"."""
    return method if method in DEFAULT_METHODS else "other"


class Latency:
    """How long something took: a histogram that costs one bisection and two additions."""

    __slots__ = ("counts", "name", "text", "total")

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self.text = text
        self.counts = [0] * (len(LATENCY_BOUNDS) + 1)
        self.total = 0.0

    def collect(self) -> Iterator[Metric]:
        """The histogram as Prometheus wants it."""
        bounds = [*map(str, LATENCY_BOUNDS), "+Inf"]
        buckets = list(zip(bounds, accumulate(self.counts), strict=True))
        yield HistogramMetricFamily(self.name, self.text, buckets=buckets, sum_value=self.total)


class Metrics(Collector):
    """All that one node counts. Own registry: two nodes in a process don't mix."""

    def __init__(self) -> None:
        self._requests: Counter[Labels] = Counter()
        self._handling = Latency("ringfence_handling_seconds", "From a request to what was done with it")
        self._sources: list[Callable[[], Iterable[Metric]]] = [self._handling.collect]
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        self.counter(
            "ringfence_requests",
            "Requests, by what was done with them: the status of the answer, forwarded, or dropped",
            ("method", "outcome"),
            lambda: self._requests,
        )
        build: Values = {(version("ringfence"),): 1}
        self.gauge("ringfence_build_info", "The version", ("version",), lambda: build)

    def finished(self, method: str, outcome: str, seconds: float) -> None:
        """Count a request and how long it took to decide on; called by the roles for each."""
        self._requests[method_label(method), outcome] += 1
        handling = self._handling
        handling.counts[bisect_left(LATENCY_BOUNDS, seconds)] += 1
        handling.total += seconds

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
