"""What is kept of an ACME server, when it is asked again, and what is told of it. tests/interop has a real one."""

import asyncio
import contextlib
import os
import socket
import ssl
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509

from ringfence.message import LocalError
from ringfence.security.authority import DAY, Authority, new_key
from ringfence.security.pem import chain_pem, key_pem, read_chain, read_key
from ringfence.service import acme_files as files
from ringfence.service.acme import AcmeKeeper, in_thread, pause_after
from ringfence.service.acme_checks import certificates_can_be_ordered
from ringfence.service.acme_client import AcmeError, AcmeServer, Proof
from ringfence.service.acme_proofs import Pages, proving
from ringfence.service.acme_sections import Acme
from ringfence.service.addresses import Address
from ringfence.service.config import Config
from ringfence.service.expiry import expired, expiring
from ringfence.service.metrics import Metrics
from ringfence.service.problems import ConfigError
from ringfence.service.tls import tls_settings
from ringfence.service.web import WebServer

NOW = time.time()
NOWHERE = "https://127.0.0.1:1/directory"
"""Port 1 refuses."""

AUTHORITY = Authority.create("Public CA", now=NOW - 1000 * DAY, serial=1)


def config(where: Path, more: dict[str, Any] | None = None, **acme: Any) -> Config:
    values = {"domain": {"name": "example.org"}, "acme": {"directory": NOWHERE} | acme} | (more or {})
    return Config.from_values(values, where / "ringfence.toml")


def issue(*names: str, age: float = 0, days: float = 90) -> tuple[bytes, Any]:
    """A chain, and its key."""
    key = new_key()
    wanted = names or ("example.org",)
    at, lifetime = NOW - age * DAY, days * DAY
    leaf = AUTHORITY.issue_server(key.public_key(), wanted, now=at, serial=7, lifetime=lifetime)
    return chain_pem([leaf, AUTHORITY.certificate]), key


# ---- the configuration ----


@pytest.mark.parametrize(
    ("acme", "reason"),
    [
        ({"directory": "http://ca.example/dir"}, "expected the https URL of an ACME directory"),
        ({"directory": "https://user@ca.example/dir"}, "expected the https URL"),
        ({"directory": "https://ca.example:port/"}, "expected the https URL"),
        ({"contact": ["mailto:a b"]}, "expected a mail address"),
        ({"host": "example.org"}, "expected an address of this machine"),
        ({"challenge": "dns-01"}, "dns-01 needs a program"),
        ({"eab_kid": "1"}, "eab_kid and eab_key go together"),
    ],
)
def test_what_can_not_be_right(tmp_path: Path, acme: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        config(tmp_path, **acme)


def test_names(tmp_path: Path) -> None:
    node = {"name": "sip1.example.org", "advertise": ["sip.example.org", "192.0.2.1", "sip.example.net"]}
    assert files.names_of(config(tmp_path, {"node": node})) == (
        "example.org",
        "sip.example.org",
        "sip1.example.org",
    )
    assert files.names_of(config(tmp_path, {"node": node}, names=["example.org"])) == ("example.org",)
    core = {"name": "core", "role": "core", "certificate_names": ["core.example.org"]}
    assert files.names_of(config(tmp_path, {"node": node, "peer": [core]})) == ("example.org",)


# ---- the files ----


def test_the_certificate_takes_the_place_of_that_of_our_own_ca(tmp_path: Path) -> None:
    core = {"name": "core", "role": "core", "certificate_names": ["core.example.org"]}
    wanted = config(tmp_path, {"peer": [core]})
    own = (tmp_path / "tls/server.pem", tmp_path / "tls/server.key")
    assert wanted.shown_pair == own
    assert list(wanted.certificate_files()) == [("tls", *own)]
    chain, key = issue()
    files.keep(wanted, chain, key)
    path = wanted.shown_pair[0]
    assert list(wanted.certificate_files()) == [("acme", path, path)]
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.parent.parent == wanted.node.data_dir
    assert read_key(path.read_bytes()).public_key() == read_chain(path.read_bytes())[0].public_key()
    own[0].parent.mkdir()
    own[0].write_bytes(b"")
    # The second is for the names that it has besides.
    assert tls_settings(wanted).certificates == ((path, path), own)
    assert tls_settings(wanted).inside == own  # by which the core knows us
    assert tls_settings(wanted).inside_names == {"core.example.org"}
    # Another server has an account and certificates of its own.
    other = config(tmp_path, directory="https://127.0.0.1:1/staging")
    assert other.acme_pair is None
    keys = [files.account_key(each).public_key() for each in (wanted, wanted, other)]
    assert keys[0] == keys[1] != keys[2]


def test_what_is_not_as_ordered_is_not_kept(tmp_path: Path) -> None:
    wanted = config(tmp_path, names=["example.org", "sip.example.org"])
    both = ("example.org", "sip.example.org")
    chain, key = issue(*both)
    first = files.keep(wanted, chain, key)
    for flawed, reason in (
        (issue(*both)[0], "the private key is not that of the certificate"),
        (issue()[0], "the private key is not"),
        (b"", "not a PEM file"),
    ):
        with pytest.raises(LocalError, match=reason):
            files.keep(wanted, flawed, key)
    for (flawed, its_key), reason in (
        (issue(), "only for example.org"),
        (issue(*both, age=10, days=9), "has expired already"),
    ):
        with pytest.raises(LocalError, match=reason):
            files.keep(wanted, flawed, its_key)
    assert files.current(wanted) == first


def test_renewal_is_after_two_thirds_or_when_the_server_says(tmp_path: Path) -> None:
    leaf = files.keep(config(tmp_path), *issue())
    begin = leaf.not_valid_before_utc.timestamp()
    assert begin + 60 * DAY <= files.renewal_due(leaf) <= begin + 63.1 * DAY
    assert files.renewal_due(leaf, begin + 5 * DAY) == begin + 5 * DAY
    assert files.renewal_due(leaf, begin + 500 * DAY) < begin + 82 * DAY


def test_pauses_grow_and_end_at_six_hours() -> None:
    assert all(240 <= pause_after(1) <= 360 for _ in range(50))
    assert 480 <= pause_after(2) <= 720
    assert 17_280 <= pause_after(1000) <= 25_920
    assert len({pause_after(3) for _ in range(5)}) > 1


# ---- the running node ----


async def test_a_node_takes_what_another_process_has_put_there(tmp_path: Path) -> None:
    wanted, taken = config(tmp_path), []

    def take() -> None:
        taken.append(files.current(wanted))
        if len(taken) == 1:
            raise LocalError("half of it is there")

    keeper = AcmeKeeper(wanted, take)
    keeper.look()
    assert taken == []
    leaf = files.keep(wanted, *issue())
    keeper.look()
    keeper.look()
    keeper.look()
    assert taken == [leaf, leaf]


async def test_a_server_that_is_away_costs_one_line_and_a_pause(tmp_path: Path) -> None:
    keeper = AcmeKeeper(config(tmp_path, host="127.0.0.1", port=0), lambda: None)
    metrics = Metrics()
    keeper.show(metrics)
    assert 240 <= await keeper._once() <= 360
    assert 480 <= await keeper._once() <= 720
    assert b'ringfence_acme_orders_total{outcome="failed"} 2.0' in metrics.render()
    problem = await keeper.problem() or ""
    assert problem.startswith(f"the last order of a certificate failed: {NOWHERE} can't be reached: ")
    assert problem.endswith("Connection refused")


async def test_a_node_that_is_started_again_does_not_order_again_at_once(tmp_path: Path) -> None:
    wanted = config(tmp_path, host="127.0.0.1", port=0)
    files.note_failure(wanted, "the server was away")
    keeper = AcmeKeeper(wanted, lambda: None)
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(keeper._keep(), 0.2)
    assert keeper.counts["failed"] == 0
    os.utime(files.failure_file(wanted), (NOW - 400, NOW - 400))
    keeping = asyncio.create_task(keeper._keep())
    async with asyncio.timeout(10):
        while not keeper.counts["failed"]:
            await asyncio.sleep(0.01)
    keeping.cancel()


def test_without_the_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("acme", "acme.client"):
        monkeypatch.setitem(sys.modules, name, None)
    wanted = config(tmp_path, agree_to_terms=True)
    (missing, *_) = certificates_can_be_ordered(wanted)
    assert str(missing.problem).endswith("is not there; run pip install 'ringfence[acme]'")
    with pytest.raises(
        AcmeError, match=r"is not there \(acme.*\); install it with: pip install 'ringfence\[acme\]'"
    ):
        AcmeServer(wanted.acme, files.account_key(wanted))


async def test_nothing_is_ordered_before_it_is_due(tmp_path: Path) -> None:
    wanted = config(tmp_path)
    keeper = AcmeKeeper(wanted, lambda: None)
    files.keep(wanted, *issue(age=50))
    assert await keeper._once() == 3600.0
    assert keeper.counts["failed"] == 0
    files.keep(wanted, *issue(age=70))
    assert await keeper._once() < 3600.0
    assert keeper.counts["failed"] == 1
    # A name that has been added is a reason, too.
    more = config(tmp_path, names=["example.org", "sip.example.org"])
    assert await AcmeKeeper(more, lambda: None)._due() == 0.0


def test_only_the_first_worker_orders(tmp_path: Path) -> None:
    wanted = config(tmp_path, {"node": {"workers": 2}})
    works = [AcmeKeeper(each, lambda: None).work() for each in wanted.as_workers()]
    assert [len(each) for each in works] == [2, 1]
    for work in (*works[0], *works[1]):
        work.close()
    off = Config.from_values({"domain": {"name": "example.org"}}, tmp_path / "ringfence.toml")
    assert AcmeKeeper(off, lambda: None).work() == []
    assert AcmeKeeper(off, lambda: None).commands() == {}


async def test_a_thread_is_not_waited_for() -> None:
    gate = threading.Event()
    task = asyncio.create_task(in_thread(gate.wait))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    gate.set()
    assert await in_thread(lambda: 5) == 5
    with pytest.raises(KeyError):
        await in_thread(lambda: os.environ["NO SUCH NAME"])


async def test_what_is_served_over_https_takes_a_new_certificate(tmp_path: Path) -> None:
    wanted = config(tmp_path)
    first = files.keep(wanted, *issue())
    server = WebServer(Pages().app(), Address("127.0.0.1", 0), wanted.shown_pair)
    await server.start()
    try:
        assert await shown(server.address) == first
        wanted.shown_pair[0].write_bytes(b"half of it")
        with pytest.raises(LocalError, match="is no certificate"):
            server.renew(*wanted.shown_pair)
        assert await shown(server.address) == first
        second = files.keep(wanted, *issue())
        server.renew(*wanted.shown_pair)
        assert await shown(server.address) == second != first
    finally:
        await server.stop()


async def shown(address: Address) -> x509.Certificate:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    for _ in range(500):  # it reads its certificate once it runs
        with contextlib.suppress(ConnectionError):
            _, writer = await asyncio.open_connection(*address, ssl=context)
            break
        await asyncio.sleep(0.01)
    found = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.transport.abort()
    return x509.load_der_x509_certificate(found)


# ---- proofs ----


@pytest.mark.rfc("8555", "8.3")
async def test_pages_are_there_as_long_as_they_are_asked_for() -> None:
    pages = Pages()
    server = WebServer(pages.app(), Address("127.0.0.1", 0))
    await server.start()
    try:
        async with httpx.AsyncClient(trust_env=False) as client:

            async def get(token: str) -> tuple[int, str]:
                url = f"http://{server.address}/.well-known/acme-challenge/{token}"
                answer = await client.get(url)
                return answer.status_code, answer.text

            proof = Proof("example.org", "abc-_1", "abc-_1.thumb")
            pages.add(proof)
            assert await get("abc-_1") == (200, "abc-_1.thumb")
            assert (await get("other"))[0] == 404
            pages.remove(proof)
            assert (await get("abc-_1"))[0] == 404
    finally:
        await server.stop()


async def test_pages_are_on_every_address_while_it_orders() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    wanted = Acme(directory=NOWHERE, port=port)
    async with proving(wanted) as prover, httpx.AsyncClient(trust_env=False) as client:
        prover.add(Proof("example.org", "t", "t.thumb"))
        for host in ("127.0.0.1", *(["[::1]"] if "::" in wanted.hosts else [])):
            answer = await client.get(f"http://{host}:{port}/.well-known/acme-challenge/t")
            assert answer.text == "t.thumb"
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)


async def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    taken = WebServer(Pages().app(), Address("127.0.0.1", 0))
    await taken.start()
    try:
        wanted = Acme(directory=NOWHERE, host="127.0.0.1", port=taken.address.port)
        with pytest.raises(
            AcmeError, match=f"port {taken.address.port} for http-01 can't be opened: Address already"
        ):
            async with proving(wanted):
                pass
    finally:
        await taken.stop()


# ---- when the server wants it renewed ----


@contextlib.contextmanager
def answering(directory: Path, info: bytes, status: int = 200) -> Iterator[Acme]:
    """A server that has a directory and renewal information, which Pebble 2.4 has not."""

    class Answers(BaseHTTPRequestHandler):
        server: HTTPServer

        def do_GET(self) -> None:
            here = f"https://127.0.0.1:{self.server.server_port}"
            body = info if self.path.startswith("/info/") else f'{{"renewalInfo": "{here}/info"}}'.encode()
            self.send_response(status if self.path.startswith("/info/") else 200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Retry-After", "7200")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            return

    key = new_key()
    leaf = AUTHORITY.issue_server(key.public_key(), ["127.0.0.1"], now=NOW, serial=9)
    (directory / "web.pem").write_bytes(key_pem(key) + chain_pem([leaf]))
    (directory / "root.pem").write_bytes(chain_pem([AUTHORITY.certificate]))
    server = HTTPServer(("127.0.0.1", 0), Answers)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "web.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield Acme(directory=f"https://127.0.0.1:{server.server_address[1]}/dir", ca=directory / "root.pem")
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.mark.rfc("9773", "4.1")
@pytest.mark.rfc("9773", "4.2")
@pytest.mark.rfc("9773", "4.3")
async def test_the_server_says_when_to_renew(tmp_path: Path) -> None:
    start = datetime.fromtimestamp(NOW, UTC) - timedelta(days=2)
    window = (
        f'{{"start": "{start:%Y-%m-%dT%H:%M:%SZ}", "end": "{start + timedelta(days=1):%Y-%m-%dT%H:%M:%SZ}"}}'
    )
    with answering(tmp_path, f'{{"suggestedWindow": {window}}}'.encode()) as acme:
        wanted = config(tmp_path, directory=acme.directory, ca=str(acme.ca))
        leaf = files.keep(wanted, *issue(age=10))
        found = AcmeServer(wanted.acme, files.account_key(wanted)).renewal(leaf)
        assert found.at is not None
        assert NOW - 2 * DAY - 1 <= found.at <= NOW - DAY
        assert 7000 < found.ask_again - time.time() < 7400
        keeper = AcmeKeeper(wanted, lambda: None)
        assert await keeper._due() < NOW  # a revocation is coming: long before two thirds
    for body, status in ((b"{}", 200), (b"nonsense", 200), (b'{"type": "about:blank"}', 500)):
        with answering(tmp_path, body, status) as acme:
            wanted = config(tmp_path, directory=acme.directory, ca=str(acme.ca))
            files.keep(wanted, *issue(age=10))
            assert await AcmeKeeper(wanted, lambda: None)._due() > NOW + 40 * DAY


# ---- what its owner is told ----


async def test_health_warns_before_a_certificate_ends(tmp_path: Path) -> None:
    wanted = config(tmp_path)
    files.keep(wanted, *issue(age=60))
    assert (await expired(wanted), await expiring(wanted)) == (None, None)
    files.keep(wanted, *issue(age=80))
    assert await expired(wanted) is None
    assert "certificate.pem expires in 10.0 days" in (await expiring(wanted) or "")
    files.keep(wanted, *issue(age=5, days=6))
    assert "expires in 1.0 days" in (await expiring(wanted) or "")
    chain, key = issue(age=10, days=9)
    wanted.shown_pair[0].write_bytes(key_pem(key) + chain)
    assert "has expired" in (await expired(wanted) or "")
    assert "has expired" in (await expiring(wanted) or "")


def test_check(tmp_path: Path) -> None:
    def found(wanted: Config) -> list[str]:
        return [f"{severity} {problem}" for severity, problem in certificates_can_be_ordered(wanted)]

    core = {"name": "core", "role": "core", "certificate_names": ["core.example.org"]}
    more = {"peer": [core], "node": {"name": "edge1.example.org"}}
    first, *_ = found(config(tmp_path, agree_to_terms=True))
    assert "no certificate for example.org has been issued yet" in first
    assert "issues nothing before they are agreed to" in found(config(tmp_path))[0]
    names = ["sip.example.org"]
    assert (
        "example.org is not among the names" in found(config(tmp_path, agree_to_terms=True, names=names))[0]
    )
    names = ["example.org", "edge1.example.org"]
    wanted = config(tmp_path, more, agree_to_terms=True, names=names)
    assert "know edge1.example.org by a certificate of our own CA" in found(wanted)[0]
    wanted = config(tmp_path, agree_to_terms=True)
    files.note_failure(wanted, "the port is taken")
    (failed,) = found(wanted)
    assert failed.startswith("warning ringfence.toml: acme.directory: the order of ")
    assert failed.endswith("failed: the port is taken; mend that; ringfence cert acme tries again")
    files.keep(wanted, *issue())
    assert found(wanted) == []
