"""Nodes on several machines: one is lost, calls go on through another, and no registration is."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial

import pytest

from tests.interop.cluster import NODES, Cluster
from tests.interop.node import ringfence
from tests.interop.processes import Program, eventually
from tests.store.redis_server import RedisServer

FOUND_OUT = 25.0
"""Seconds: a connection to a machine that is gone has 13 to say so, and a busy test machine is slow."""

pytestmark = pytest.mark.interop("redis-server", "ip")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with RedisServer() as redis:
        cluster = Cluster(tmp_path_factory.mktemp("cluster"), redis.url)
        try:
            cluster.start()
            yield cluster
        finally:
            cluster.close()


def assert_called(cluster: Cluster, edge: str, answers: Program) -> None:
    """A call from its beginning to its end, as both sides see it."""
    before = answers.log.read_text(encoding="utf-8").count("the peer hung up")
    code, told = cluster.call("alice", "bob", edge)
    assert code == 0, told
    assert "Answered" in told
    eventually(
        lambda: answers.log.read_text(encoding="utf-8").count("the peer hung up") == before + 1,
        "bob hears the end",
    )


@pytest.fixture(scope="module")
def bob(cluster: Cluster) -> Program:
    """Bob's phone, which has registered once."""
    return cluster.answering("bob", "edge2")


def test_a_call_between_phones_of_two_edges(cluster: Cluster, bob: Program) -> None:
    assert_called(cluster, "edge1", bob)


def test_whom_one_edge_bans_all_nodes_ban(cluster: Cluster) -> None:
    ringfence("ban", "add", "10.77.0.200", "--for", "1h", "--config", cluster.config("edge1"))
    for name in NODES:
        eventually(partial(has_banned, cluster, name, "10.77.0.200"), f"{name} has it too", 10)


def has_banned(cluster: Cluster, name: str, network: str) -> bool:
    return network in ringfence("ban", "list", "--config", cluster.config(name))


def test_a_core_is_lost_and_no_registration_is(cluster: Cluster, bob: Program) -> None:
    """Bob has registered through the core that is gone, and does not do so again before he is called."""
    cluster.lose("core1")
    begun = time.monotonic()
    assert_called(cluster, "edge1", bob)
    assert time.monotonic() - begun < FOUND_OUT
    begun = time.monotonic()
    assert_called(cluster, "edge1", bob)  # from now on it is known
    assert time.monotonic() - begun < FOUND_OUT / 2


def test_the_other_core_is_upgraded_while_the_first_is_back(cluster: Cluster, bob: Program) -> None:
    cluster.run("core1", "ip", "link", "set", "net", "up")
    cluster.serve("core1")
    assert cluster.drain("core2") == 0
    assert_called(cluster, "edge1", bob)
    cluster.serve("core2")
    assert_called(cluster, "edge1", bob)


def test_a_phone_of_an_edge_that_is_lost_comes_back_by_the_other(cluster: Cluster) -> None:
    cluster.lose("edge2")
    again = cluster.answering("bob", "edge1")
    assert_called(cluster, "edge1", again)
