"""Bans by command and by the guard: in the node, over a restart, in the kernel."""

from __future__ import annotations

import json
import os
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop.node import RINGFENCE, Node, environment
from tests.interop.processes import Program, eventually
from tests.interop.raw import RawPhone

GUESSER = "127.0.0.51"


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    node = Node.create(tmp_path_factory.mktemp("bans") / "node", transports=["udp", "tcp", "tls"])
    node.add_user("alice")
    node.serve()
    yield node
    node.end()


def listed(node: Node) -> dict[str, dict[str, object]]:
    return {each["network"]: each for each in json.loads(node.command("ban", "list", "--json"))}


def answers(node: Node, host: str) -> bool:
    """Whether the node answers an OPTIONS by UDP from an address."""
    phone = RawPhone(node, "x", host, "example.net")
    try:
        phone.send(phone.text("OPTIONS", "sip:example.org"))
        return phone.receive(0.5) is not None
    finally:
        phone.close()


def test_a_ban_by_command_holds_at_once_and_ends(node: Node) -> None:
    assert answers(node, "127.0.0.52")
    facts = json.loads(
        node.command("ban", "add", "127.0.0.52", "--for", "8s", "--reason", "a test", "--json")
    )
    added = time.monotonic()
    assert facts["until"] - facts["since"] == 8.0
    assert not answers(node, "127.0.0.52")
    assert listed(node)["127.0.0.52"]["reason"] == "a test"
    assert answers(node, "127.0.0.53")
    eventually(lambda: answers(node, "127.0.0.52"), "the ban ends", 15)
    assert time.monotonic() - added > 5.0


def test_what_a_banned_network_has_open_is_closed(node: Node) -> None:
    with socket.create_connection(
        ("127.0.0.1", node.listen["tcp"]), source_address=("127.0.0.54", 0)
    ) as open_:
        open_.settimeout(5.0)
        node.command("ban", "add", "127.0.0.54/31")
        assert open_.recv(1) == b""
        with socket.create_connection(
            ("127.0.0.1", node.listen["tcp"]), source_address=("127.0.0.54", 0)
        ) as again:
            again.settimeout(5.0)
            with pytest.raises(ConnectionError):  # refused at the door
                again.recv(1) or again.sendall(b"x" * 10) or again.recv(1) or _gone()
    node.command("ban", "remove", "127.0.0.54/31")
    assert answers(node, "127.0.0.54")


def _gone() -> None:
    raise ConnectionResetError


def test_guessing_is_banned_over_a_restart_and_honest_ones_are_not(node: Node) -> None:
    guesser = RawPhone(node, "alice", GUESSER)
    try:
        for _ in range(60):
            data = guesser.text("REGISTER", "sip:example.org", to="sip:alice@example.org")
            guesser.send(data)
            challenge = guesser.receive(1.0)
            if challenge is None:
                break
            wrong = guesser.answered(data, challenge).replace(b'response="', b'response="00')  # type: ignore[arg-type]
            guesser.send(wrong)
            guesser.receive(1.0)
        ban = listed(node)[GUESSER]
        assert (ban["by"], ban["reason"]) == ("guard", "wrong password")
        assert not answers(node, GUESSER)
        assert answers(node, "127.0.0.55")
        node.kill()
        node.serve()
        assert not answers(node, GUESSER)
        node.command("ban", "remove", GUESSER)
        assert answers(node, GUESSER)
    finally:
        guesser.close()


def test_a_scanner_over_tls_is_shut_out(node: Node) -> None:
    host = "127.0.0.56"
    context = ssl.create_default_context(cafile=str(node.authority))
    plain = socket.create_connection(("127.0.0.1", node.listen["tls"]), source_address=(host, 0), timeout=5)
    with context.wrap_socket(plain, server_hostname=node.domain) as tls:
        phone = RawPhone(node, "x", host, "example.net")
        tls.sendall(
            phone.text("OPTIONS", "sip:100@example.org", "User-Agent: friendly-scanner").replace(
                b"/UDP", b"/TLS"
            )
        )
        assert tls.recv(100) == b""
        phone.close()
    assert listed(node)[host]["reason"] == "a scanner by its own words"
    node.command("ban", "remove", host)


def test_bans_of_a_node_that_is_stopped(node: Node) -> None:
    node.end()
    node.command("ban", "add", "127.0.0.57")
    assert "127.0.0.57" in listed(node)
    node.serve()
    assert not answers(node, "127.0.0.57")
    node.command("ban", "remove", "127.0.0.57")
    assert answers(node, "127.0.0.57")


# -- the kernel ----------------------------------------------------------------------------------------


@pytest.mark.interop("nft", "ip")
@pytest.mark.skipif(os.geteuid() != 0, reason="a network namespace needs root")
def test_the_kernel_drops_what_is_banned(tmp_path_factory: pytest.TempPathFactory) -> None:
    directory = tmp_path_factory.mktemp("kernel")
    name = f"rf{os.getpid()}"
    node = Node.create(directory / "node", transports=["udp", "tcp"], settings="[guard]\nnftables = true\n")
    node.add_user("alice")
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        subprocess.run(["ip", "-n", name, "link", "set", "lo", "up"], check=True)
        inside = ["ip", "netns", "exec", name]
        node.serving = Program(
            [*inside, RINGFENCE, "serve", "--config", node.config], node.directory, environment()
        )
        eventually((node.directory / "data" / "control.sock").exists, "served", 30)

        def table() -> str:
            done = subprocess.run(
                [*inside, "nft", "list", "ruleset"], capture_output=True, text=True, check=True
            )
            return done.stdout

        eventually(lambda: "banned4" in table(), "the table is there")
        node.command("ban", "add", "127.0.0.58", "--for", "10m")
        node.command("ban", "add", "2001:db8::/64")
        eventually(lambda: "127.0.0.58 timeout 10m" in table() or "127.0.0.58" in table(), "the ban is there")
        assert "2001:db8::/64" in table()
        port = node.listen["udp"]
        script = (
            "import socket,sys\ns=socket.socket(socket.AF_INET,socket.SOCK_DGRAM)\ns.bind((sys.argv[1],0))\n"
            f"[s.sendto(b'OPTIONS x SIP/2.0\\r\\n\\r\\n',('127.0.0.1',{port})) for _ in range(5)]"
        )
        for host in ("127.0.0.58", "127.0.0.59"):
            subprocess.run([*inside, shutil.which("python3") or "python3", "-c", script, host], check=True)
        counted = [line for line in table().splitlines() if "udp dport" in line and "@banned4" in line]
        assert "packets 5" in counted[0], counted
        node.command("ban", "remove", "127.0.0.58")
        eventually(lambda: "127.0.0.58" not in table(), "the ban is gone")
        node.end()
        assert "ringfence" not in table()
    finally:
        node.end()
        subprocess.run(["ip", "netns", "delete", name], check=True)


def test_a_node_without_nft_goes_on(tmp_path_factory: pytest.TempPathFactory) -> None:
    directory = tmp_path_factory.mktemp("without")
    node = Node.create(directory / "node", transports=["udp"], settings="[guard]\nnftables = true\n")
    bare = directory / "bin"
    bare.mkdir()
    variables = environment() | {"PATH": str(bare)}
    node.serving = Program([RINGFENCE, "serve", "--config", node.config], node.directory, variables)
    try:
        eventually((node.directory / "data" / "control.sock").exists, "served", 30)
        assert answers(node, "127.0.0.60")
        log = Path(node.serving.log).read_text(encoding="utf-8")
        assert "nftables can't be used" in log
    finally:
        node.end()
