"""What an operator watches, as Prometheus reads it.

Nothing is computed while calls are handled. A `Family` is a dictionary of plain integers that the hot path
adds to (``metrics.requests["INVITE", "forwarded"] += 1``, some 60 ns); what other parts count or hold already
is read by a function when somebody asks (`Metrics.read`). Label values that a peer could choose go through
`method_label` first, so that nobody can make series without end.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib.metadata import version
from itertools import accumulate
from typing import Literal

from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

Labels = tuple[str, ...]
Values = Mapping[Labels, float]
Kind = Literal["counter", "gauge"]

METHODS = frozenset(
    {
        "INVITE",
        "ACK",
        "BYE",
        "CANCEL",
        "REGISTER",
        "OPTIONS",
        "PRACK",
        "UPDATE",
        "INFO",
        "MESSAGE",
        "SUBSCRIBE",
        "NOTIFY",
        "REFER",
        "PUBLISH",
    }
)

MAX_SERIES = 1000
"""Of one family, when read: more means that a label is not bounded, and would take Prometheus down."""

LATENCY_BOUNDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
"""Seconds. From a request answered from memory to one that waited for DNS and a time-out."""

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def method_label(method: str) -> str:
    """The method if it is one of SIP's, else "other"."""
    return method if method in METHODS else "other"


def status_label(status: int) -> str:
    """The class of a status code: "2xx"."""
    return f"{status // 100}xx"


class Family(dict[Labels, int]):
    """One counter with labels. ``family["INVITE", "forwarded"] += 1`` needs no preparation."""

    def __init__(self, name: str, text: str, labels: Labels) -> None:
        super().__init__()
        self.name = name
        self.text = text
        self.labels = labels

    def __missing__(self, key: Labels) -> int:
        return 0

    def collect(self) -> Iterator[Metric]:
        """The counter as Prometheus wants it."""
        yield _metric("counter", self.name, self.text, self.labels, self)


class Latency:
    """How long something took: a histogram that costs one bisection and two additions."""

    __slots__ = ("counts", "name", "text", "total")

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self.text = text
        self.counts = [0] * (len(LATENCY_BOUNDS) + 1)
        self.total = 0.0

    def observe(self, seconds: float) -> None:
        """Count one."""
        self.counts[bisect_left(LATENCY_BOUNDS, seconds)] += 1
        self.total += seconds

    def collect(self) -> Iterator[Metric]:
        """The histogram as Prometheus wants it."""
        bounds = [*map(str, LATENCY_BOUNDS), "+Inf"]
        buckets = list(zip(bounds, accumulate(self.counts), strict=True))
        yield HistogramMetricFamily(self.name, self.text, buckets=buckets, sum_value=self.total)


class Metrics(Collector):
    """All that one node counts. Own registry: two nodes in a process don't mix."""

    def __init__(self) -> None:
        family = Family
        self.requests = family(
            "ringfence_requests", "Requests received, by what was done with them", ("method", "outcome")
        )
        self.responses = family("ringfence_responses", "Responses sent, by class", ("method", "class"))
        self.challenges = family("ringfence_challenges", "401 and 407 sent", ("reason",))
        self.authentications = family("ringfence_authentications", "Credentials checked", ("outcome",))
        self.registrations = family(
            "ringfence_registrations", "REGISTER requests that changed something", ("change",)
        )
        self.malformed = family("ringfence_malformed", "Messages that could not be read", ("header",))
        self.limits = family("ringfence_limits", "Times that a limit refused something", ("limit",))
        self.dns = family("ringfence_dns", "DNS questions asked", ("outcome",))
        self.setup = Latency(
            "ringfence_setup_seconds", "From an INVITE to its first response from the callee"
        )
        self.handling = Latency(
            "ringfence_handling_seconds", "From a request to its first answer or forwarding"
        )
        self._sources: list[Callable[[], Iterable[Metric]]] = [
            each.collect for each in vars(self).values() if isinstance(each, Family | Latency)
        ]
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        self.read(
            "gauge", "ringfence_build_info", "The version", ("version",), lambda: {(version("ringfence"),): 1}
        )

    def read(self, kind: Kind, name: str, text: str, labels: Labels, values: Callable[[], Values]) -> None:
        """Add a metric whose values are asked for when Prometheus asks.

        For what exists anyway: open flows, transactions, a `Counter` of another part.
        """
        self._sources.append(lambda: [_metric(kind, name, text, labels, values())])

    def collect(self) -> Iterator[Metric]:
        """Called by the registry."""
        for source in self._sources:
            yield from source()

    def render(self) -> bytes:
        """The text that Prometheus reads, of `CONTENT_TYPE`."""
        return generate_latest(self._registry)


def _metric(kind: Kind, name: str, text: str, labels: Labels, values: Values) -> Metric:
    family = CounterMetricFamily if kind == "counter" else GaugeMetricFamily
    metric: Metric = family(name, text, labels=labels)
    for shown, (key, value) in enumerate(list(values.items())):
        if shown == MAX_SERIES:
            break
        metric.add_metric(key, value)  # type: ignore[attr-defined]  # both families have it, Metric has not
    return metric
