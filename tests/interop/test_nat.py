"""Phones behind NAT call each other: each in a network of its own, with the same private address as the other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop.baresip import MODULES
from tests.interop.namespaces import NODE, PHONE, Lab
from tests.interop.node import RINGFENCE, Node, environment, password_of, ringfence
from tests.interop.processes import Program, eventually
from tests.interop.tone import seconds_of_tone, write_tone

pytestmark = pytest.mark.interop("ip", "nft")

HEARD = 1.0
"""Seconds of the other's tone that prove that audio arrives."""

PROXY = f"sip:{NODE}:5060;transport=udp;lr"

BARESIP = """\
poll_method epoll
sip_listen {host}:5060
net_interface {host}
call_max_calls 4
audio_player aubridge,nowhere
audio_source aufile,{source}
audio_alert aubridge,nowhere
rtp_ports 10000-10020
module_path {modules}
module g711.so
module aufile.so
module aubridge.so
module sndfile.so
snd_path {directory}
module_app account.so
module_app contact.so
module_app menu.so
"""

ACCOUNT = (
    '<sip:{user}@example.org>;auth_pass={password};outbound="sip:{node}:5060;transport=udp"'
    ";regint=60;answermode=auto\n"
)


class World:
    """A domain, and the networks around its node while a test runs."""

    lab: Lab

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.node = Node(directory / "node")
        listen = [f"--listen={transport}:{NODE}:5060" for transport in ("udp", "tcp")]
        ringfence("init", "example.org", "--dir", self.node.directory, "--host", NODE, *listen)
        text = self.node.config.read_text(encoding="utf-8")
        text = text.replace("port = 5060\n", 'port = 5060\nalgorithms = ["MD5"]\n')  # for baresip
        self.node.config.write_text(f'{text}\n[metrics]\nlisten = ""\n', encoding="utf-8")
        for user, hertz in (("alice", 440), ("bob", 700)):
            self.node.add_user(user)
            write_tone(directory / f"{user}.wav", hertz, 20)
            (directory / f"{user}.password").write_text(password_of(user) + "\n", encoding="ascii")
            (directory / f"{user}.password").chmod(0o600)
        self.settings = self.node.config.read_text(encoding="utf-8")
        self.programs: list[Program] = []
        self.started = 0

    def start(self, where: str, *command: str | Path, name: str) -> Program:
        """Run a program in one of the networks until the test ends."""
        program = Program(self.lab.inside(where, *command), self.directory / name, environment())
        self.programs.append(program)
        return program

    def serve(self, settings: str = "") -> Program:
        """Start the node."""
        self.node.config.write_text(self.settings + settings, encoding="utf-8")
        self.started += 1
        name = f"serve{self.started}"
        served = self.start("core", RINGFENCE, "serve", "--config", self.node.config, name=name)

        def ready() -> bool:
            assert served.running, served.tail()
            return '"event": "serving"' in served.tail()

        eventually(ready, "ringfence serve is ready", 30)
        return served

    def phone(self, where: str, user: str, *words: str | Path) -> Program:
        """Our own agent, by its command."""
        common = ("--proxy", PROXY, "--password-file", self.directory / f"{user}.password", "--srtp", "off")
        media = ("--play", self.directory / f"{user}.wav", "--record", self.heard_by(user), "--md5")
        return self.start(where, RINGFENCE, *words, *common, *media, name=f"{user}{self.started}")

    def calls(self, seconds: str) -> None:
        """Alice calls Bob; both have our own agent."""
        bob = self.phone("b", "bob", "answer", "sip:bob@example.org", "--once")
        eventually(lambda: bob.tail().count("Registered") > bob.tail().count("Ended"), "bob is registered")
        words = ("call", "sip:bob@example.org", "--from", "sip:alice@example.org", "--duration", seconds)
        alice = self.phone("a", "alice", *words)
        assert alice.wait() == 0, alice.tail()
        assert bob.wait() == 0, bob.tail()

    def heard_by(self, user: str) -> Path:
        """What our agent has recorded."""
        return self.directory / f"{user}-heard.wav"

    def baresip(self, where: str, user: str, *words: str) -> Program:
        """A baresip phone, which answers every call."""
        directory = self.directory / f"baresip-{user}"
        directory.mkdir()
        values = {"host": PHONE, "source": self.directory / f"{user}.wav", "modules": MODULES}
        (directory / "config").write_text(BARESIP.format(**values, directory=directory), encoding="utf-8")
        account = ACCOUNT.format(user=user, password=password_of(user), node=NODE)
        (directory / "accounts").write_text(account, encoding="utf-8")
        (directory / "contacts").write_text("", encoding="utf-8")
        return self.start(where, "baresip", "-f", directory, "-v", *words, name=f"baresip-{user}")

    def close(self) -> None:
        """End all that was started, the networks and the recordings too."""
        for program in reversed(self.programs):
            program.end()
        self.programs.clear()
        self.lab.close()
        for recording in self.directory.glob("*-heard.wav"):
            recording.unlink()


@pytest.fixture(scope="module")
def domain(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("nat"))


@pytest.fixture
def world(request: pytest.FixtureRequest, domain: World) -> Iterator[World]:
    domain.lab = Lab(request.param)
    try:
        yield domain
    finally:
        domain.close()


def heard(directory: Path, pattern: str, hertz: float) -> float:
    return sum(seconds_of_tone(file, hertz) for file in directory.glob(pattern))


@pytest.mark.parametrize("world", ["port-restricted"], indirect=True)
def test_our_own_agents_hear_each_other_and_nothing_without_the_relay(world: World) -> None:
    served = world.serve()
    world.calls("2")
    assert heard(world.directory, "alice-heard.wav", 700) >= HEARD
    assert heard(world.directory, "bob-heard.wav", 440) >= HEARD
    assert world.node.status()["media_sessions"] == 0
    served.end()
    for recording in world.directory.glob("*-heard.wav"):
        recording.unlink()
    world.serve('\n[media]\nrelay = "off"\n')  # what this proves would be nothing if it worked by itself
    world.calls("1")
    assert heard(world.directory, "*-heard.wav", 700) == heard(world.directory, "*-heard.wav", 440) == 0


@pytest.mark.interop("baresip")
@pytest.mark.parametrize("world", ["symmetric"], indirect=True)
def test_baresip_phones_hear_each_other(world: World) -> None:
    if not MODULES.is_dir():
        pytest.skip(f"baresip's modules are not in {MODULES}")
    world.serve()
    bob = world.baresip("b", "bob")
    eventually(lambda: "200 OK" in bob.tail(), "bob is registered")
    world.baresip("a", "alice", "-e", "/dial sip:bob@example.org")
    for user, hertz in (("alice", 700), ("bob", 440)):
        eventually(
            lambda: heard(world.directory / f"baresip-{user}", "dump-*-dec.wav", hertz) >= HEARD,  # noqa: B023
            f"{user} hears the other",
        )


@pytest.mark.interop("rtpengine")
@pytest.mark.parametrize("world", ["symmetric"], indirect=True)
def test_rtpengine_does_it_as_well(world: World) -> None:
    engine = [
        "rtpengine",
        "--config-file=none",
        "--table=-1",
        "--foreground",
        "--log-stderr",
        f"--interface={NODE}",
    ]
    world.start(
        "core", *engine, "--listen-ng=127.0.0.1:2223", f"--pidfile={world.directory}/pid", name="rtpengine"
    )
    world.serve('\n[media]\nrelay = "rtpengine"\nrtpengine = ["udp:127.0.0.1:2223"]\n')
    world.calls("2")
    assert heard(world.directory, "alice-heard.wav", 700) >= HEARD
    assert heard(world.directory, "bob-heard.wav", 440) >= HEARD
    assert world.node.status()["media_sessions"] == 0
