"""/healthz and /metrics on a real port."""

import asyncio

import httpx
import pytest

from ringfence.service import health
from ringfence.service.addresses import Address
from ringfence.service.health import health_app
from ringfence.service.metrics import Metrics
from ringfence.service.web import WebServer


async def well() -> str | None:
    return None


async def ill() -> str | None:
    return "the disk is full"


async def broken() -> str | None:
    raise ConnectionError("postgresql://u:hunter2@db refused")


async def hanging() -> str | None:
    await asyncio.sleep(3600)
    return None


async def get(path: str, checks: dict[str, health.Check]) -> httpx.Response:
    server = WebServer(
        health_app(Metrics(), checks, lambda: {"domain": "example.org"}), Address("127.0.0.1", 0)
    )
    await server.start()
    try:
        async with httpx.AsyncClient(trust_env=False) as client:
            return await client.get(f"http://{server.address}{path}")
    finally:
        await server.stop()


async def test_a_node_that_is_well() -> None:
    response = await get("/healthz", {"database": well})
    assert response.status_code == 200
    assert response.json() == {"status": "ok", "domain": "example.org", "checks": {"database": "ok"}}


async def test_what_will_be_a_problem_is_told_and_restarts_nothing() -> None:
    app = health_app(Metrics(), {"database": well}, dict, {"certificates": ill, "acme": well})
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://node") as client:
        response = await client.get("/healthz")
    assert response.status_code == 200
    assert response.json()["warnings"] == {"certificates": "the disk is full"}


async def test_a_part_that_is_not_well_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "CHECK_SECONDS", 0.05)
    response = await get("/healthz", {"disk": ill, "database": broken, "dns": hanging, "ports": well})
    assert response.status_code == 503
    assert response.json()["status"] == "unavailable"
    checks = response.json()["checks"]
    assert checks["disk"] == "the disk is full"
    assert checks["database"].startswith("ConnectionError: ")
    assert "hunter2" not in checks["database"]
    assert checks["dns"] == "no answer within 0.05 s"
    assert checks["ports"] == "ok"


async def test_metrics_are_served_as_prometheus_wants_them() -> None:
    response = await get("/metrics", {})
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert "ringfence_build_info" in response.text


async def test_nothing_else_is_there() -> None:
    assert (await get("/", {})).status_code == 404


async def test_a_port_that_is_taken_is_an_error_of_ours_and_ends_nothing() -> None:
    first = WebServer(health_app(Metrics(), {}, dict), Address("127.0.0.1", 0))
    await first.start()
    with pytest.raises(OSError, match="in use"):
        await WebServer(health_app(Metrics(), {}, dict), first.address).start()
    await first.stop()
