"""Call flows of SIPp, two hundred calls each, over UDP and TCP, and not one may fail."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.interop.node import Node
from tests.interop.processes import free_port
from tests.interop.sipp import Sipp, registered, wait_for_port

pytestmark = [pytest.mark.interop("sipp"), pytest.mark.parametrize("transport", ["udp", "tcp"])]

CALLEE = {"udp": "bob", "tcp": "carol"}

FLOWS = [
    ("call", "answering"),
    ("callee_bye", "answering_bye"),
    ("reinvite", "answering_reinvite"),
    ("reliable", "answering_reliable"),
    ("cancel", "cancelled"),
    ("busy", "answering_busy"),
    ("moved", "answering_moved"),
    ("long_route", "answering_bye"),
]
"""Scenarios of the caller and of the phone that is called."""


def play(node: Node, directory: Path, transport: str, callee: str, caller: str, *phones: str) -> None:
    """Alice plays the scenario ``caller`` against the phones of the callee, each with its own scenario."""
    with ExitStack() as stack:
        running = []
        for scenario in phones:
            port = free_port()
            stack.enter_context(registered(node, callee, directory, transport, port))
            phone = Sipp(node, scenario, directory, transport, port=port)
            stack.callback(phone.program.end)
            wait_for_port(port)
            running.append(phone)
        Sipp(node, caller, directory, transport, port=free_port(), caller="alice", callee=callee).wait()
        for phone in running:
            phone.wait()


def test_registrations(node: Node, transport: str, tmp_path: Path) -> None:
    Sipp(node, "register", tmp_path, transport, port=free_port(), caller="dave").wait()
    Sipp(node, "register", tmp_path, transport, port=free_port(), caller="dave", expires=0).wait()


@pytest.mark.parametrize(("caller", "phone"), FLOWS)
def test_flow(node: Node, transport: str, tmp_path: Path, caller: str, phone: str) -> None:
    play(node, tmp_path, transport, CALLEE[transport], caller, phone)


def test_a_fork_rings_two_phones_and_cancels_the_one_that_does_not_answer(
    node: Node, transport: str, tmp_path: Path
) -> None:
    play(node, tmp_path, transport, "dave", "forked_call", "answering", "cancelled")
