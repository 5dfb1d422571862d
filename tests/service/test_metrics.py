"""Metrics: what Prometheus reads is what was counted."""

from collections import Counter

import pytest
from prometheus_client.parser import text_string_to_metric_families

from ringfence.service.handled import LATENCY_BOUNDS, method_label
from ringfence.service.metrics import MAX_SERIES, Metrics


def read(metrics: Metrics) -> dict[tuple[str, tuple[str, ...]], float]:
    families = text_string_to_metric_families(metrics.render().decode())
    return {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in families
        for sample in family.samples
        if sample.name.startswith("ringfence_")
    }


def test_requests_are_counted_by_method_and_outcome() -> None:
    metrics = Metrics()
    for _ in range(3):
        metrics.finished("INVITE", "forwarded", 0.001)
    metrics.finished("REGISTER", "401", 0.0002)
    found = read(metrics)
    assert found["ringfence_requests_total", ("INVITE", "forwarded")] == 3
    assert found["ringfence_requests_total", ("REGISTER", "401")] == 1


def test_two_nodes_in_a_process_count_apart() -> None:
    one, other = Metrics(), Metrics()
    one.finished("INVITE", "486", 0.001)
    assert ("ringfence_requests_total", ("INVITE", "486")) not in read(other)


def test_what_others_hold_is_asked_for_when_it_is_read() -> None:
    metrics = Metrics()
    flows = {("TLS",): 2}
    metrics.gauge("ringfence_flows", "Open connections", ("transport",), lambda: flows)
    assert read(metrics)["ringfence_flows", ("TLS",)] == 2
    flows["TLS",] = 5
    assert read(metrics)["ringfence_flows", ("TLS",)] == 5


def test_a_latency_falls_into_its_bucket_and_those_above() -> None:
    metrics = Metrics()
    for seconds in (0.0001, 0.003, 0.003, 100.0):
        metrics.finished("INVITE", "forwarded", seconds)
    found = read(metrics)
    assert found["ringfence_handling_seconds_bucket", ("0.0001",)] == 1
    assert found["ringfence_handling_seconds_bucket", ("0.0025",)] == 1
    assert found["ringfence_handling_seconds_bucket", ("0.005",)] == 3
    assert found["ringfence_handling_seconds_bucket", (str(LATENCY_BOUNDS[-1]),)] == 3
    assert found["ringfence_handling_seconds_bucket", ("+Inf",)] == 4
    assert found["ringfence_handling_seconds_count", ()] == 4
    assert found["ringfence_handling_seconds_sum", ()] == pytest.approx(100.0061)


def test_a_peer_can_not_make_series() -> None:
    assert method_label("INVITE") == "INVITE"
    assert method_label("X" * 100) == "other"
    metrics = Metrics()
    for number in range(10):
        metrics.finished(f"METHOD{number}", "405", 0.001)
    assert read(metrics)["ringfence_requests_total", ("other", "405")] == 10
    many = Counter((str(number),) for number in range(MAX_SERIES + 10))
    metrics.counter("ringfence_many", "Unbounded by mistake", ("x",), lambda: many)
    assert sum(name == "ringfence_many_total" for name, _ in read(metrics)) == MAX_SERIES


def test_the_version_is_told() -> None:
    assert any(name == "ringfence_build_info" for name, _ in read(Metrics()))
