"""The demo keeps its promises, says so in its exit code, and tells when one is broken."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ringfence.cli.demo_scenes import REQUIREMENTS, SCENES, near, pitch
from ringfence.cli.demo_serve import with_free_ports
from ringfence.cli.demo_stage import free_ports
from ringfence.cli.demo_verdict import Promise, verdict
from ringfence.client.media.wav import Recorder, tone
from ringfence.service.config import Config
from tests.cli.running import Shell

PROGRAM = str(Path(sys.executable).with_name("ringfence"))


def test_every_verdict_of_the_demo_is_as_promised(shell: Shell) -> None:
    done = shell.type("demo", "--json")
    broken = [scene["promises"] for scene in done.json["scenes"] if not scene["good"]]
    assert (done.code, broken) == (0, [])
    assert [scene["title"] for scene in done.json["scenes"]] == [scene.title for scene in SCENES]
    assert all(scene["messages"] for scene in done.json["scenes"])
    assert list(shell.directory.iterdir()) == []  # nothing is left behind


def test_the_demo_is_drawn_for_people(shell: Shell) -> None:
    done = shell.type("demo")
    assert done.code == 0
    for scene in SCENES:
        assert f"{scene.title}\n" in done.out
    assert f"{len(SCENES)} of {len(SCENES)} verdicts as promised" in done.out
    assert "✗" not in done.out
    assert "SRTP, 660 Hz 🔒" in done.out
    for number in {each for scene in SCENES for each in scene.requirements}:
        assert f"{number} {REQUIREMENTS[number]}" in done.out


def test_a_broken_promise_is_named() -> None:
    line = verdict([Promise("this was kept", True), Promise("this was not", False)]).plain
    assert line == "✗ broken: this was not"
    assert verdict([Promise("one", True), Promise("two", True)]).plain == "✓ one; two"


@pytest.mark.parametrize("frequency", [440, 660])
def test_the_demo_hears_which_tone_was_played(tmp_path: Path, frequency: int) -> None:
    path = tmp_path / "heard.wav"
    recorder = Recorder(path)
    recorder.write(0, tone(frequency, 0.4))
    recorder.close()
    assert near(pitch(path), frequency)
    assert not near(pitch(path), 1100 - frequency)


def test_options_of_serving_need_serve(shell: Shell) -> None:
    done = shell.type("demo", "--once")
    assert done.code == 2
    assert "--serve" in done.err


# -- --serve -------------------------------------------------------------------------------------------


def test_a_fresh_directory(shell: Shell) -> None:
    """It gets a domain, and a call goes through it. (With a longer name the path of the socket is too long.)"""
    done = shell.type("demo", "--serve", "--once", "--json")
    assert done.code == 0
    facts = done.json
    assert facts["good"]
    assert facts["domain"] == "ringfence.localhost"
    assert {hop["protection"].split()[0] for hop in facts["hops"]} == {"TLSv1.3"}
    assert [message["message"] for message in facts["messages"]].count("180 Ringing") == 2
    for file in facts["passwords"].values():
        assert Path(file).stat().st_mode & 0o777 == 0o600
        assert Path(file).read_text().strip() not in done.out


def test_a_second_run_uses_the_domain_that_is_there(shell: Shell) -> None:
    first = shell.type("demo", "--serve", "--once", "--json", "--dir", "d").json
    before = {path: path.read_bytes() for path in Path("d").rglob("*.pem")}
    secret = Path(first["passwords"]["alice"]).read_text()
    Path(first["passwords"]["bob"]).unlink()  # it gets another, and its account too
    second = shell.type("demo", "--serve", "--once", "--json", "--dir", "d")
    assert second.code == 0
    assert {path: path.read_bytes() for path in Path("d").rglob("*.pem")} == before
    assert Path(second.json["passwords"]["alice"]).read_text() == secret


def test_a_call_that_fails_is_said_and_shown_in_the_exit_code(shell: Shell) -> None:
    shell.type("demo", "--serve", "--once", "--dir", "d")
    Path("d/passwords/bob").write_text("another\n")
    done = shell.type("demo", "--serve", "--once", "--dir", "d")
    assert done.code == 1
    assert "✗ broken: the call comes about (RegistrationError: 401" in done.out


def test_a_node_on_all_addresses_knows_itself_in_the_routes_that_come_back(shell: Shell) -> None:
    listen = ("--listen", f"tls:*:{free_ports(1)[0]}")
    assert shell.type("init", "ringfence.localhost", "--dir", "d", *listen).code == 0
    done = shell.type("demo", "--serve", "--once", "--json", "--dir", "d")
    assert done.code == 0
    assert [message["message"] for message in done.json["messages"]].count("200 OK") == 10


def test_ports_that_are_taken_are_replaced_and_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    taken, free = free_ports(2)
    listen = [{"transport": name, "host": "127.0.0.1", "port": taken} for name in ("tls", "udp")]
    listen.append({"transport": "tcp", "host": "127.0.0.1", "port": free})
    values = {"domain": {"name": "example.org"}, "listen": listen, "metrics": {"listen": ""}}
    config = Config.from_values(values, tmp_path / "ringfence.toml")
    with socket.socket() as other:
        other.bind(("127.0.0.1", taken))
        other.listen()
        changed = with_free_ports(config)
    tls, udp, tcp = (each.port for each in changed.listen)
    assert (udp, tcp) == (taken, free)
    assert tls not in (taken, free)
    assert f"tls {tls} instead of {taken}" in capsys.readouterr().err


def test_it_stays_up(tmp_path: Path) -> None:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("RINGFENCE")}
    with subprocess.Popen(
        [PROGRAM, "demo", "--serve"], cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line)
            if "Serving until" in line:
                break
        told = "".join(lines)
        status = subprocess.run(
            [PROGRAM, "status", "--config", "run/ringfence.localhost"],
            cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=20, check=True,
        )  # fmt: skip
        again = subprocess.run(
            [PROGRAM, "demo", "--serve"],
            cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=20, check=False,
        )  # fmt: skip
        process.send_signal(signal.SIGINT)
        started = time.monotonic()
        assert process.wait(20) == 0
        assert time.monotonic() - started < 10
    assert "ringfence.localhost" in status.stdout
    assert again.returncode == 69
    assert "serves run/ringfence.localhost already" in again.stderr
    assert "<sip:alice@ringfence.localhost;transport=tls>" in told
    assert "sip_cafile" in told
    assert "under [sip] in linphonerc" in told
    password = (tmp_path / "run/ringfence.localhost/passwords/alice").read_text().strip()
    assert password not in told  # no terminal: this may be a log that others read
