"""Redis or PostgreSQL is not there: at the start it is said in one line, in the middle what needs it is refused, and
what comes back is used without anybody's help. Redis in the middle is in ``test_shared``."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ringfence.store.migrate import upgrade
from tests.interop.node import RINGFENCE, Node, environment
from tests.interop.processes import eventually
from tests.interop.raw import RawPhone
from tests.store.test_postgresql import BIN, start

pytestmark = pytest.mark.interop("postgres")

OWNER = "postgres" if os.geteuid() == 0 else None


class Server:
    """A PostgreSQL that can be lost and found."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.process, self.url = start(directory, OWNER)

    def crash(self) -> None:
        """Without a last word to anybody."""
        self.process.send_signal(signal.SIGQUIT)
        self.process.wait(20)

    def resume(self) -> None:
        """Start it again on what it has; it takes a while to take anybody."""
        words = [
            BIN / "postgres",
            "-D",
            self.directory / "data",
            "-k",
            self.directory,
            "-c",
            "listen_addresses=",
        ]
        self.process = subprocess.Popen(words, stderr=subprocess.DEVNULL, user=OWNER)


@pytest.fixture
def database() -> Iterator[Server]:
    if not (BIN / "initdb").exists():
        pytest.skip("there is no PostgreSQL server on this machine")
    with tempfile.TemporaryDirectory() as name:
        if OWNER is not None:
            shutil.chown(name, OWNER)
        server = Server(Path(name))
        yield server
        server.process.terminate()
        server.process.wait(30)


@pytest.fixture
def node(database: Server, tmp_path: Path) -> Iterator[Node]:
    settings = f'[database]\nurl = "{database.url}"\n[ledger]\ndatabase = "{database.url}"\n'
    upgrade(database.url)
    node = Node.create(tmp_path / "node", transports=["udp"], settings=settings)
    for user in ("alice", "bob"):
        node.add_user(user)
    node.serve()
    yield node
    node.end()


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ('[registrations]\nredis = "unix:///nonexistent.sock"\n', "Redis: Error 2 connecting"),
        ('[database]\nurl = "postgresql://nobody@/x?host=/nonexistent"\n', "can't upgrade the database"),
        ('[shared]\nredis = "redis://127.0.0.1:port"\n', "the address in [shared] redis can't be used"),
    ],
)
def test_a_node_that_can_not_have_what_it_needs_says_so_and_ends(
    template: Path, tmp_path: Path, settings: str, reason: str
) -> None:
    directory = tmp_path / "node"
    shutil.copytree(template, directory)
    config = directory / "ringfence.toml"
    config.write_text(f"{config.read_text(encoding='utf-8')}\n{settings}", encoding="utf-8")
    done = subprocess.run(
        [RINGFENCE, "serve", "--config", config],
        capture_output=True, text=True, timeout=60, check=False, env=environment(),
    )  # fmt: skip
    assert done.returncode == 69, done.stderr
    assert done.stderr.startswith(f"ringfence: {reason}")
    assert "Traceback" not in done.stderr


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A domain that was never served."""
    return Node.create(tmp_path_factory.mktemp("template") / "node", transports=["udp"]).directory


def test_a_database_that_crashes_is_waited_for(database: Server, node: Node) -> None:
    """Nothing is promised that is not durable, and nothing that was promised is lost."""
    alice, bob = RawPhone(node, "alice"), RawPhone(node, "bob")
    assert bob.register().status == 200
    database.crash()
    refused = alice.ask(alice.text("INVITE", "sip:bob@example.org"))
    assert refused.status == 503, "a call that can't be recorded is not connected"
    assert refused.headers.get("Retry-After")
    assert alice.register().status == 500, "nor is a registration kept (RFC 3261 section 10.3)"
    assert alice.ask(alice.text("OPTIONS", "sip:example.org")).status == 200, "what needs no disk goes on"
    database.resume()
    eventually(lambda: alice.register().status == 200, "registrations are taken again", 30)
    alice.ask_only(alice.text("INVITE", "sip:bob@example.org"))
    invite = bob.next_request("INVITE", 10)
    bob.reply(invite, 200)
    assert alice.final(10).status == 200, "and Bob is where he was"
    assert node.serving is not None
    assert "Traceback" not in node.serving.log.read_text(encoding="utf-8")
    alice.close()
    bob.close()
