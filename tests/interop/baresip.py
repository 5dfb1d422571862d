"""A baresip phone that is steered over its control port (module ctrl_tcp: JSON in netstrings)."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.interop.node import Node, password_of
from tests.interop.processes import HOST, PATIENCE, Program, eventually, free_port
from tests.interop.tone import seconds_of_tone, write_tone

MODULES = Path("/usr/lib/baresip/modules")

# Version 1.0.0 has no check of the server's certificate: openssl and our own agent do that in test_certificates.py.
# The input module stdio ends the program when there is no terminal, so it is not among these. aubridge is a player
# that throws away what it is given; sndfile writes dump-TIME-dec.wav, what was heard, until the first re-INVITE.
CONFIG = """\
poll_method epoll
net_interface {host}
sip_listen {host}:{sip_port}
call_local_timeout 30
call_max_calls 4
audio_player aubridge,nowhere
audio_source aufile,{source}
audio_alert aubridge,nowhere
rtp_ports {rtp_port}-{rtp_last}
module_path {modules}
module g711.so
module aufile.so
module aubridge.so
module sndfile.so
module srtp.so
snd_path {directory}
module_app account.so
module_app contact.so
module_app menu.so
module_app ctrl_tcp.so
ctrl_tcp_listen {host}:{control_port}
"""

ACCOUNT = (
    '<sip:{user}@{domain};transport={transport}>;auth_pass={password};outbound="sip:{host}:{port}'
    ';transport={transport}";regint={interval};answermode=manual{more}\n'
)

Event = dict[str, Any]


class Baresip:
    """One phone. ``events`` holds all that it has told, oldest first."""

    def __init__(
        self,
        node: Node,
        user: str,
        directory: Path,
        transport: str = "tls",
        *,
        hertz: float = 440.0,
        password: str | None = None,
        encryption: str | None = None,
        friend: str = "bob",
    ) -> None:
        """Write its configuration and start it; it registers by itself.

        Args:
            node: where it registers.
            user: the account.
            directory: for its files; must not be there yet.
            transport: ``udp``, ``tcp`` or ``tls``.
            hertz: the tone that it sends.
            password: another than the account's.
            encryption: baresip's ``mediaenc``, such as ``srtp-mand``.
            friend: to whom its messages go.
        """
        if not MODULES.is_dir():
            pytest.skip(f"baresip's modules are not in {MODULES}")
        directory.mkdir(parents=True)
        self.user = user
        self.hertz = hertz
        self.address = f"sip:{user}@{node.domain}"
        self.directory = directory
        self.events: list[Event] = []
        rtp, control = free_port(), free_port()
        text = CONFIG.format(
            host=HOST, sip_port=free_port(), directory=directory,
            source=write_tone(directory / "said.wav", hertz), rtp_port=rtp, rtp_last=rtp + 2,
            modules=MODULES, control_port=control,
        )  # fmt: skip
        account = ACCOUNT.format(
            user=user, domain=node.domain, transport=transport, password=password or password_of(user),
            host=HOST, port=node.listen[transport], interval=600,
            more=f";mediaenc={encryption}" if encryption else "",
        )  # fmt: skip
        contacts = f"<sip:{friend}@{node.domain}>\n"
        for name, content in (("config", text), ("accounts", account), ("contacts", contacts)):
            (directory / name).write_text(content, encoding="utf-8")
        self.program = Program(["baresip", "-f", directory, "-v"], directory, {**os.environ, "TERM": "dumb"})
        self._waiting = b""
        self._control = eventually(lambda: self._connect(control), "baresip's control port")

    def _connect(self, port: int) -> socket.socket | None:
        assert self.program.running, self.program.tail()
        try:
            return socket.create_connection((HOST, port), timeout=1)
        except OSError:
            return None

    def registered(self) -> bool:
        """Whether its registration stands."""
        return "OK" in self.command("reginfo")

    def command(self, command: str, parameters: str = "") -> str:
        """Have it do something; gives its answer. Fails the test when it refuses."""
        text = json.dumps({"command": command, "params": parameters, "token": "t"}).encode()
        self._control.sendall(b"%d:%s," % (len(text), text))
        answer = self._until(lambda message: message.get("response") is True, f"an answer to {command}")
        assert answer["ok"], f"{command} {parameters}: {answer}"
        return str(answer["data"])

    def mark(self) -> int:
        """How many events there are now, for ``expect`` and ``seen`` to look only at later ones."""
        self._read(0.0)
        return len(self.events)

    def seen(self, kind: str, after: int = 0) -> bool:
        """Whether there has been an event of that type."""
        self._read(0.0)
        return any(event["type"] == kind for event in self.events[after:])

    def expect(self, kind: str, after: int = 0, *, text: str = "", seconds: float = PATIENCE) -> Event:
        """Wait for an event of that type, counting from the ``after``-th; ``text`` is in its parameter."""

        def fits(event: Event) -> bool:
            return event.get("type") == kind and text in event.get("param", "")

        for event in self.events[after:]:
            if fits(event):
                return event
        return self._until(fits, f"{kind} {text}", seconds)

    def hears(self, hertz: float) -> float:
        """For how many seconds it has heard the tone, in all calls since ``forget``."""
        return sum(seconds_of_tone(file, hertz) for file in self.directory.glob("dump-*-dec.wav"))

    def forget(self) -> None:
        """Remove the recordings and hang up what is left of a call."""
        if "[line" in self.command("listcalls"):
            self.command("hangup")
        for file in self.directory.glob("dump-*.wav"):
            file.unlink()

    def end(self) -> None:
        """Stop the program; it takes its registration back."""
        self._control.close()
        self.program.end()

    def _until(self, fits: Callable[[Event], bool], what: str, seconds: float = PATIENCE) -> Event:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            for message in self._read(left):
                if fits(message):
                    return message
        types = [event["type"] for event in self.events]
        pytest.fail(f"{self.user}'s phone: no {what} within {seconds} s, only {types}\n{self.program.tail()}")

    def _read(self, seconds: float) -> list[Event]:
        """What has come in: waits for the first for so long; events are kept too."""
        self._control.settimeout(max(seconds, 0.001))
        try:
            data = self._control.recv(65536)
            assert data, f"baresip ended:\n{self.program.tail()}"
            self._waiting += data
        except TimeoutError:
            pass
        messages = []
        while (colon := self._waiting.find(b":")) > 0:
            end = colon + 1 + int(self._waiting[:colon])
            if len(self._waiting) <= end:
                break
            messages.append(json.loads(self._waiting[colon + 1 : end]))
            self._waiting = self._waiting[end + 1 :]
        self.events += [message for message in messages if message.get("event")]
        return messages
