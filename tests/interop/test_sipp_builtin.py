"""The scenarios that SIPp has in itself, as anybody would run them first: a stranger calls a user of the domain.

Their ACK and BYE have no Route and name the address that was dialled, not the Contact of who answered (SIPp wrote them
before RFC 3261 section 12.2.1.1 was taken seriously), so the node has to find the phone a second and a third time.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.interop.node import Node
from tests.interop.processes import HOST, Program, eventually, free_port
from tests.interop.sipp import registered, wait_for_port

pytestmark = pytest.mark.interop("sipp")

CALLS = 20
PCAP = Path("/usr/share/sip-tester")
"""The recordings that uac_pcap plays; Debian keeps them here, and SIPp looks for them in pcap/ where it runs."""


def sipp(directory: Path, scenario: str, *words: str, transport: str = "u1") -> Program:
    """One SIPp with a scenario of its own, at a port of its own unless ``words`` name one."""
    port = [] if "-p" in words else ["-p", str(free_port())]
    place = directory / f"{scenario}-{free_port()}"
    place.mkdir()
    (place / "pcap").symlink_to(PCAP)
    return Program(
        ["sipp", "-sn", scenario, "-i", HOST, *port, "-t", transport, *words, "-nostdin", "-trace_err"], place
    )


def good(program: Program) -> None:
    """SIPp ends with 0 when every call was good."""
    assert program.wait(30) == 0, program.tail()


@pytest.fixture
def desk(node: Node, tmp_path: Path) -> Iterator[ExitStack]:
    """What is started is ended."""
    with ExitStack() as stack:
        yield stack


def answering(
    desk: ExitStack, node: Node, directory: Path, user: str, scenario: str = "uas", transport: str = "udp"
) -> None:
    """A SIPp that answers as the user."""
    port = free_port()
    desk.enter_context(registered(node, user, directory, transport, port))
    phone = sipp(directory, scenario, "-p", str(port), transport=f"{transport[0]}1")
    desk.callback(phone.end)
    wait_for_port(port)


@pytest.mark.parametrize("transport", ["udp", "tcp"])
@pytest.mark.parametrize("scenario", ["uac", "regexp"])
def test_a_stranger_calls(node: Node, desk: ExitStack, tmp_path: Path, scenario: str, transport: str) -> None:
    answering(desk, node, tmp_path, "bob", transport=transport)
    server = f"{HOST}:{node.listen[transport]}"
    good(sipp(tmp_path, scenario, "-s", "bob", server, "-m", str(CALLS), transport=f"{transport[0]}1"))


def test_a_connection_for_each_call_and_a_phone_on_udp(node: Node, desk: ExitStack, tmp_path: Path) -> None:
    answering(desk, node, tmp_path, "bob")
    server = f"{HOST}:{node.listen['tcp']}"
    good(sipp(tmp_path, "uac", "-s", "bob", server, "-m", str(CALLS), "-max_socket", "60", transport="tn"))


def test_the_ledger_knows_when_such_a_call_ends(node: Node, desk: ExitStack, tmp_path: Path) -> None:
    answering(desk, node, tmp_path, "carol")
    good(sipp(tmp_path, "uac", "-s", "carol", f"{HOST}:{node.listen['udp']}", "-m", "1"))

    def told() -> bool:
        calls = json.loads(node.command("ledger", "list", "--json"))
        return any(
            call["callee"] == "sip:carol@example.org" and "hung up" in call["reason"] for call in calls
        )

    eventually(told, "the end of the call in the ledger")


def test_audio_from_a_recording(node: Node, desk: ExitStack, tmp_path: Path) -> None:
    answering(desk, node, tmp_path, "bob")
    good(sipp(tmp_path, "uac_pcap", "-s", "bob", f"{HOST}:{node.listen['udp']}", "-m", "1"))


def test_a_controller_connects_two_phones(node: Node, desk: ExitStack, tmp_path: Path) -> None:
    """3pcc: two calls without an offer, whose descriptions are exchanged (RFC 3725, flow I)."""
    answering(desk, node, tmp_path, "bob", "3pcc-A")
    answering(desk, node, tmp_path, "carol", "3pcc-B")
    server, control = f"{HOST}:{node.listen['udp']}", f"{HOST}:{free_port()}"
    second = sipp(tmp_path, "3pcc-C-B", "-s", "carol", "-3pcc", control, server, "-m", "3")
    desk.callback(second.end)
    wait_for_port(int(control.rpartition(":")[2]))
    good(sipp(tmp_path, "3pcc-C-A", "-s", "bob", "-3pcc", control, server, "-m", "3", "-r", "3"))
    good(second)
