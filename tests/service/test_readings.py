"""Metrics of a node that is really running."""

import asyncio
import os
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from ringfence.service.config import Config
from ringfence.service.process import Node, running
from ringfence.store.memory import MemoryStore

REGISTER = (
    b"REGISTER sip:example.org SIP/2.0\r\n"
    b"Via: SIP/2.0/TCP 127.0.0.1:5060;branch=z9hG4bK%d;rport\r\n"
    b"From: <sip:alice@example.org>;tag=1\r\n"
    b"To: <sip:alice@example.org>\r\n"
    b"Call-ID: %d@127.0.0.1\r\n"
    b"CSeq: 1 REGISTER\r\n"
    b"Max-Forwards: 70\r\n"
    b"Content-Length: 0\r\n\r\n"
)


def config(directory: Path) -> Config:
    (directory / "secret.key").touch(0o600)
    (directory / "secret.key").write_bytes(os.urandom(64))
    values = {
        "domain": {"name": "example.org"},
        "listen": [{"transport": "tcp", "host": "127.0.0.1", "port": 0}],
        "security": {"secret": "secret.key"},
    }
    return Config.from_values(values, directory / "ringfence.toml")


def read(node: Node) -> dict[tuple[str, tuple[str, ...]], float]:
    families = text_string_to_metric_families(node.metrics.render().decode())
    return {
        (each.name, tuple(each.labels.values())): each.value for family in families for each in family.samples
    }


async def test_what_phones_do_is_counted(tmp_path: Path) -> None:
    async with running(config(tmp_path), MemoryStore()) as node:
        host, port = node.parts.pool.listeners[0].local
        reader, writer = await asyncio.open_connection(host, port)
        for number in range(3):
            writer.write(REGISTER % (number, number))
            assert (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)).startswith(b"SIP/2.0 401")
        found = read(node)
        assert found["ringfence_requests_total", ("REGISTER", "401")] == 3
        assert found["ringfence_challenges_total", ()] == 3
        assert found["ringfence_flows", ("TCP",)] == 1
        assert found["ringfence_flows_opened_total", ("TCP",)] == 1
        assert found["ringfence_registered", ("bindings",)] == 0
        assert found["ringfence_accounts", ()] == 0
        assert found["ringfence_transaction_events_total", ("received",)] == 3
        assert found["ringfence_handling_seconds_count", ()] == 3
        writer.write(b"nonsense\r\nContent-Length: 0\r\n\r\n")
        async with asyncio.timeout(5):
            while not read(node)["ringfence_malformed_total", ()]:
                await asyncio.sleep(0.01)
        writer.close()
        await writer.wait_closed()
