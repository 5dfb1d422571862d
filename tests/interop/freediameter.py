"""A freeDiameter agent of our own on loopback, and a server behind it that grants credit and knows passwords.

The agent is C that nobody here wrote: it takes our capabilities, our watchdogs and our TLS, decodes every message of
ours by its own dictionaries, and routes it. It has no credit control server and no SIP server; the one behind it is
here, on the node of the `diameter` package, and its answers are ours.
"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from diameter.message import Avp, Message, constants  # type: ignore[import-untyped]
from diameter.node import Node as DiameterNode  # type: ignore[import-untyped]
from diameter.node.application import SimpleThreadingApplication  # type: ignore[import-untyped]

from ringfence.ledger.diameter import fields, value
from tests.interop.processes import HOST, Program, eventually

FREEDIAMETER = shutil.which("freeDiameterd")
AGENT = "aaa.example.org"
SERVER = "ocs.example.org"
REALM = "example.org"

CONFIG = """
Identity = "{agent}";
Realm = "{realm}";
Port = {port};
SecPort = {secure};
No_SCTP;
ListenOn = "127.0.0.1";
TwTimer = 6;
TLS_Cred = "{certificate}", "{key}";
TLS_CA = "{ca}";
TLS_DH_Bits = 1024;
AppServThreads = 1;
LoadExtension = "dict_sip.fdx";
LoadExtension = "dict_nasreq.fdx";
LoadExtension = "dict_dcca.fdx";
LoadExtension = "acl_wl.fdx" : "{dir}/acl.conf";
LoadExtension = "dbg_msg_dumps.fdx" : "0x0888";
"""


class Agent:
    """A running freeDiameter."""

    def __init__(
        self, directory: Path, port: int, secure: int, *, certificate: Path, key: Path, ca: Path
    ) -> None:
        directory.mkdir(exist_ok=True)
        (directory / "acl.conf").write_text("ALLOW_IPSEC *.example.org\n")
        text = CONFIG.format(
            agent=AGENT, realm=REALM, port=port, secure=secure, certificate=certificate, key=key, ca=ca, dir=directory
        )  # fmt: skip
        (directory / "fd.conf").write_text(text)
        self.port, self.secure = port, secure
        self.program = Program([str(FREEDIAMETER), "-c", directory / "fd.conf"], directory)
        eventually(lambda: "daemon initialized" in self._log(), "freeDiameter is ready", 30)

    def _log(self) -> str:
        assert self.program.running, self.program.tail()
        return self.program.log.read_text(errors="replace")

    def decoded(self, command: str) -> list[list[str]]:
        """The attributes of each message of that name as the agent's dictionaries read them: ``Name=value``."""
        lines = [line.partition("  NOTI ")[2].strip() for line in self._log().splitlines()]
        found: list[list[str]] = []
        reading = False
        for line in lines:
            if line.startswith("'") and line.endswith("'"):
                reading = line.strip("'") == command
                if reading:
                    found.append([])
            elif reading and (avp := re.match(r"AVP: '([^']+)'\(\d+\).*?(?:val=(.*))?$", line)):
                found[-1].append(f"{avp[1]}={avp[2]}" if avp[2] else avp[1])
        return found

    def end(self) -> None:
        """Stop it."""
        self.program.end()


class Purse:
    """What the server behind the agent grants and has heard."""

    def __init__(self) -> None:
        self.grants: list[Mapping[str, Any]] = []
        """What the next answers grant; the last one stays."""
        self.heard: list[tuple[str, int, int, int]] = []
        """Session, kind, number, used seconds."""
        self.silent = False

    def credit(self, app: SimpleThreadingApplication, request: Message) -> Message | None:
        """Answer a Credit-Control-Request."""
        kind = value(request, constants.AVP_CC_REQUEST_TYPE)
        number = value(request, constants.AVP_CC_REQUEST_NUMBER)
        used = value(request, constants.AVP_USED_SERVICE_UNIT, constants.AVP_CC_TIME) or 0
        self.heard.append((value(request, constants.AVP_SESSION_ID), kind, number, used))
        if self.silent:
            return None
        grant = self.grants.pop(0) if len(self.grants) > 1 else self.grants[0]
        units = [(constants.AVP_CC_TIME, grant["seconds"])] if grant.get("seconds") is not None else None
        final = [(constants.AVP_FINAL_UNIT_ACTION, 0)] if grant.get("final") else None
        return answer(
            request,
            grant.get("result", 2001),
            [
                (constants.AVP_AUTH_APPLICATION_ID, 4),
                (constants.AVP_CC_REQUEST_TYPE, kind),
                (constants.AVP_CC_REQUEST_NUMBER, number),
                (constants.AVP_GRANTED_SERVICE_UNIT, units if kind != 3 else None),
                (constants.AVP_FINAL_UNIT_INDICATION, final),
                (constants.AVP_VALIDITY_TIME, grant.get("validity")),
            ],
        )


def answer(request: Message, result: int, more: Sequence[tuple[int, Any]]) -> Message:
    """An answer of the server."""
    made = Message(request.to_answer().header)
    made.result_code = result  # the node counts them
    made.avps = fields(
        [
            (constants.AVP_SESSION_ID, value(request, constants.AVP_SESSION_ID)),
            (constants.AVP_RESULT_CODE, result),
            (constants.AVP_ORIGIN_HOST, SERVER.encode()),
            (constants.AVP_ORIGIN_REALM, REALM.encode()),
            *more,
        ]
    ) + [avp for avp in request.avps if avp.code == constants.AVP_PROXY_INFO]
    return made


@contextmanager
def serving(agent: Agent, handlers: Mapping[int, Any]) -> Iterator[None]:
    """The server behind the agent, with a function for each application."""
    node = DiameterNode(SERVER, REALM)
    node.wakeup_interval = 1
    node.validate_received_request_avps = True
    peer = node.add_peer(
        f"aaa://{AGENT}:{agent.port};transport=tcp", REALM, ip_addresses=[HOST], is_persistent=True
    )
    applications = []
    for number, handler in handlers.items():
        application = SimpleThreadingApplication(number, is_auth_application=True, request_handler=handler)
        node.add_application(application, [peer])
        applications.append(application)
    node.start()
    try:
        for application in applications:
            application.wait_for_ready(15)
        yield
    finally:
        node.stop(wait_timeout=2, force=True)
        time.sleep(0)


def attribute(message: Message, *path: int) -> Avp | None:
    """See ``ringfence.ledger.diameter.value``."""
    return value(message, *path)
