"""Certificates from a real ACME server: Pebble, which asks the node for its proofs as a public authority does."""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509

from ringfence.security.certificates import WEB_USAGES, judge_domain
from ringfence.security.pem import read_chain
from ringfence.service.acme import obtain
from ringfence.service.acme_client import AcmeError
from ringfence.service.acme_files import alternative_names, last_failure
from ringfence.service.config import Config
from tests.interop.node import RINGFENCE, Node, environment
from tests.interop.pebble import DNS, Pebble, pebble
from tests.interop.processes import HOST, eventually, free_port

pytestmark = pytest.mark.interop("pebble", DNS)

OPTIONS = (
    "OPTIONS sip:example.org SIP/2.0\r\n"
    "Via: SIP/2.0/TLS 127.0.0.1;branch=z9hG4bK{number};rport\r\n"
    "Max-Forwards: 70\r\nFrom: <sip:probe@example.net>;tag=1\r\nTo: <sip:example.org>\r\n"
    "Call-ID: {number}@probe\r\nCSeq: {number} OPTIONS\r\nContent-Length: 0\r\n\r\n"
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pebble]:
    """One for all tests here."""
    with pebble(tmp_path_factory.mktemp("acme") / "pebble") as running:
        yield running


def domain(directory: Path, server: Pebble, more: str = "", top: str = "", **keys: str) -> Node:
    """A domain whose certificate is to come from the server. Keys are those of [acme], as TOML writes them."""
    values = {"directory": f'"{server.directory}"', "ca": f'"{server.root}"', "agree_to_terms": "true"}
    values |= {"host": f'"{HOST}"', "port": str(server.http_port)} | keys
    section = "".join(f"{key} = {value}\n" for key, value in values.items() if value)
    node = Node.create(directory, transports=("tls",), settings=f"{more}\n[acme]\n{section}")
    if top:
        text = node.config.read_text(encoding="utf-8")
        node.config.write_text(
            text.replace('data_dir = "data"\n', f'data_dir = "data"\n{top}'), encoding="utf-8"
        )
    return node


def order(node: Node, *words: str) -> subprocess.CompletedProcess[str]:
    """``ringfence cert acme``."""
    command = [str(RINGFENCE), "cert", "acme", *words, "--config", str(node.config)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment(), check=False)


def issued(node: Node) -> Path:
    """The file of the certificate."""
    return next((node.directory / "data" / "acme").glob("*/certificate.pem"))


def connected(node: Node) -> ssl.SSLSocket:
    """A connection that takes any certificate."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    plain = socket.create_connection((HOST, node.listen["tls"]), 10)
    return context.wrap_socket(plain, server_hostname=node.domain)


def shown(node: Node) -> x509.Certificate:
    """What a new connection is shown."""
    with connected(node) as connection:
        return x509.load_der_x509_certificate(connection.getpeercert(binary_form=True) or b"")


def listens(node: Node) -> bool:
    """Whether a worker has opened its ports: the command socket is there before."""
    with socket.socket() as probe:
        return probe.connect_ex((HOST, node.listen["tls"])) == 0


def stored(node: Node) -> x509.Certificate:
    """The certificate in the file."""
    return read_chain(issued(node).read_bytes())[0]


def pinged(connection: socket.socket, number: int) -> str:
    """The first line of the answer to a request."""
    connection.sendall(OPTIONS.format(number=number).encode())
    return connection.recv(65536).decode().partition("\r\n")[0]


@pytest.mark.rfc("8555", "7.4")
@pytest.mark.rfc("8555", "8.3")
@pytest.mark.rfc("5922", "7.1")
def test_workers_start_without_a_certificate_get_one_and_renew_it(server: Pebble, tmp_path: Path) -> None:
    node = domain(tmp_path / "node", server, top="workers = 2\n")
    metrics = free_port()
    text = node.config.read_text(encoding="utf-8")
    node.config.write_text(
        text.replace('[metrics]\nlisten = ""', f'[metrics]\nlisten = "{HOST}:{metrics}"'), encoding="utf-8"
    )
    private = read_chain(node.certificate.read_bytes())[0]
    node.serve()
    try:
        eventually(lambda: listens(node), "the ports are open")
        with connected(node) as connection:
            eventually(lambda: shown(node) != private, "a certificate is issued")
            first = stored(node)
            roots = read_chain(server.issuer())
            chain = read_chain(issued(node).read_bytes())
            assert judge_domain(chain, roots, time.time(), node.domain, usages=WEB_USAGES).reasons == ()
            # Both workers have it, and one has ordered it.
            eventually(lambda: all(shown(node) == first for _ in range(12)), "all workers show it")
            assert _orders(metrics) + _orders(metrics + 1) == [
                'ringfence_acme_orders_total{outcome="issued"} 1.0'
            ]
            done = order(node, "--revoke-old", "--json")
            assert done.returncode == 0, done.stderr
            assert json.loads(done.stdout)["issued"] is True
            assert server.status(first.serial_number) == "Revoked"
            second = stored(node)
            assert second.public_key() != first.public_key()
            eventually(lambda: all(shown(node) == second for _ in range(12)), "all workers show the new one")
            assert pinged(connection, 1).startswith("SIP/2.0 ")  # it has outlived both
        for file in issued(node).parent.iterdir():
            assert file.stat().st_mode & 0o777 == 0o600
        assert httpx.get(f"http://{HOST}:{metrics}/healthz", trust_env=False).json()["checks"] == {
            "database": "ok",
            "certificates": "ok",
        }
        assert node.serving is not None
        log = node.serving.tail(20_000)
        assert log.count("has not issued a certificate yet: another one is shown until then") == 1
        with pytest.raises(OSError, match="refused"):  # the port of the proofs is shut again
            socket.create_connection((HOST, server.http_port), 5)
    finally:
        node.end()


def configuration(directory: Path, server: Pebble, **keys: Any) -> Config:
    """The least that can have a certificate."""
    directory.chmod(0o700)
    acme = {"directory": server.directory, "ca": str(server.root), "agree_to_terms": True}
    acme |= {"host": HOST, "port": server.http_port}
    values = {"domain": {"name": "example.org"}, "acme": acme | keys}
    return Config.from_values(values, directory / "ringfence.toml")


@pytest.mark.rfc("8555", "8.4")
async def test_a_record_in_the_dns(server: Pebble, tmp_path: Path) -> None:
    program = tmp_path / "acme-dns"
    program.write_text(
        f"#!{sys.executable}\n"
        "import json, sys, urllib.request\n"
        "what, name, text = sys.argv[1:]\n"
        f"url = '{server.set_record}/' + {{'add': 'set-txt', 'remove': 'clear-txt'}}[what]\n"
        "data = json.dumps({'host': name + '.', 'value': text}).encode()\n"
        "urllib.request.urlopen(url, data).read()\n"
    )
    program.chmod(0o700)
    names = ["example.org", "sip.example.org"]
    config = configuration(tmp_path, server, challenge="dns-01", dns_command=[str(program)], names=names)
    assert alternative_names(await obtain(config)) == set(names)
    program.write_text("#!/bin/sh\necho the zone is locked >&2\nexit 3\n")
    with pytest.raises(
        AcmeError, match=r"example.org could not be published: .*acme-dns ended with 3: the zone"
    ):
        await obtain(config)


async def test_what_fails_is_one_sentence(server: Pebble, tmp_path: Path) -> None:
    nowhere = configuration(tmp_path, server, port=free_port())  # Pebble asks elsewhere
    with pytest.raises(AcmeError, match=r"\Aexample.org could not be proved: [^\n]*refused[^\n]*\Z"):
        await obtain(nowhere)
    failure = last_failure(nowhere)
    assert failure is not None
    assert failure[0].startswith("example.org could not be proved")
    with pytest.raises(AcmeError, match=r"certificate verify failed.*; name its root as ca under"):
        await obtain(configuration(tmp_path, server, ca=None))
    with pytest.raises(AcmeError, match="refuses: "):
        await obtain(configuration(tmp_path, server, names=["a_b.example.org"]))
    await obtain(configuration(tmp_path, server))
    assert last_failure(nowhere) is None


@pytest.mark.rfc("8555", "7.3.3")
@pytest.mark.rfc("8555", "7.3.4")
async def test_terms_and_accounts_that_are_bound(tmp_path: Path) -> None:
    key = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"
    settings = {"externalAccountBindingRequired": True, "externalAccountMACKeys": {"kid-1": key}}
    with pebble(tmp_path / "pebble", **settings) as server:
        with pytest.raises(AcmeError, match=r"has terms of service, .*write agree_to_terms = true"):
            await obtain(configuration(tmp_path, server, agree_to_terms=False))
        with pytest.raises(AcmeError, match="write eab_kid and eab_key under"):
            await obtain(configuration(tmp_path, server))
        secret = tmp_path / "eab.key"
        secret.touch(0o600)
        secret.write_text(f"{key}\n")
        bound = configuration(
            tmp_path, server, eab_kid="kid-1", eab_key=str(secret), contact=["a@example.org"]
        )
        await obtain(bound)
        await obtain(bound)  # with the account that is there


def _orders(port: int) -> list[str]:
    """What a worker counts, but for zeros."""
    lines = httpx.get(f"http://{HOST}:{port}/metrics", trust_env=False).text.splitlines()
    return [
        line for line in lines if line.startswith("ringfence_acme_orders_total") and not line.endswith(" 0.0")
    ]
