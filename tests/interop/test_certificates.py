"""The node's certificate as other programs see it, and its renewal while calls are up."""

from __future__ import annotations

import hashlib
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.interop.baresip import Baresip
from tests.interop.node import Node
from tests.interop.processes import HOST, eventually


def shown(node: Node) -> str:
    """The fingerprint of the certificate that a new connection gets; the connection checks it, too."""
    with node.connect("tls") as connection:
        assert isinstance(connection, ssl.SSLSocket)
        return hashlib.sha256(connection.getpeercert(binary_form=True) or b"").hexdigest()


def stored(node: Node) -> str:
    """The fingerprint of the certificate in the file."""
    first = node.certificate.read_text().partition("-----END CERTIFICATE-----")
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(first[0] + first[1])).hexdigest()


@pytest.mark.interop("openssl")
@pytest.mark.parametrize(("version", "name"), [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")])
def test_openssl_verifies_the_chain_and_the_name(node: Node, version: str, name: str) -> None:
    words = ["openssl", "s_client", "-connect", f"{HOST}:{node.listen['tls']}", version, "-brief"]
    words += ["-CAfile", str(node.authority), "-verify_return_error", "-verify_hostname", node.domain]
    done = subprocess.run(words, input="", capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 0, done.stderr
    assert f"Protocol version: {name}" in done.stderr
    assert "Verification: OK" in done.stderr


@pytest.mark.interop("openssl")
@pytest.mark.parametrize("version", ["-tls1", "-tls1_1"])
def test_old_versions_are_refused(node: Node, version: str) -> None:
    words = ["openssl", "s_client", "-connect", f"{HOST}:{node.listen['tls']}", version]
    words += ["-cipher", "ALL:@SECLEVEL=0"]
    done = subprocess.run(words, input="", capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode != 0
    assert "Cipher is (NONE)" in done.stdout


@pytest.mark.interop("baresip")
@pytest.mark.parametrize("how", [Node.reload, lambda node: node.command("reload")], ids=["SIGHUP", "command"])
def test_a_call_outlives_the_renewal_of_the_certificate(
    node: Node, tmp_path: Path, how: Callable[[Node], object]
) -> None:
    alice = Baresip(node, "alice", tmp_path / "alice", hertz=440)
    bob = Baresip(node, "bob", tmp_path / "bob", hertz=700)
    try:
        for phone in alice, bob:
            eventually(phone.registered, f"{phone.user} is registered")
        alice.command("dial", bob.address)
        bob.expect("CALL_INCOMING")
        bob.command("accept")
        alice.expect("CALL_ESTABLISHED")
        before = shown(node)
        node.command("cert", "renew")
        assert shown(node) == before != stored(node)
        how(node)
        eventually(lambda: shown(node) == stored(node), "the new certificate is shown")
        heard = bob.hears(alice.hertz)
        eventually(lambda: bob.hears(alice.hertz) > heard + 0.5, "the call goes on")
        assert "ESTABLISHED" in alice.command("listcalls")
        mark = bob.mark()
        alice.command("hangup")
        bob.expect("CALL_CLOSED", mark)
    finally:
        alice.end()
        bob.end()
