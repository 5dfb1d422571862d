"""The tables of the four transaction machines and of dialogs, all in the same way."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.engine import dialog_states, invite_client, invite_server, request_client, request_server
from ringfence.engine.effects import Arm, Deliver, Disarm, Ended, Failed, Send
from ringfence.engine.invite_client import InviteClient
from ringfence.engine.invite_server import InviteServer
from ringfence.engine.machine import Machine, Transaction, absorb, step
from ringfence.engine.request_client import RequestClient
from ringfence.engine.request_server import RequestServer
from ringfence.engine.timers import Timer, Timers
from ringfence.message import LocalError
from tests.conversations.playbook import TCP, UDP, Wire, request, response

MODULES = (invite_client, invite_server, request_client, request_server, dialog_states)
MACHINES = [module.MACHINE for module in MODULES]
KINDS: list[tuple[type[Transaction], str]] = [
    (InviteClient, "INVITE"),
    (InviteServer, "INVITE"),
    (RequestClient, "OPTIONS"),
    (RequestServer, "OPTIONS"),
]

each_machine = pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.name)
each_kind = pytest.mark.parametrize(("kind", "method"), KINDS, ids=lambda kind: getattr(kind, "__name__", ""))


@each_machine
def test_every_pair_is_tabled_or_absorbed(machine: Machine) -> None:
    pairs = set(product(machine.states, machine.events))
    assert machine.table.keys() | machine.absorbed.keys() == pairs
    assert not machine.table.keys() & machine.absorbed.keys()
    assert all(machine.absorbed.values())


@each_machine
def test_rows_lead_to_states(machine: Machine) -> None:
    assert all(row[0] in machine.states for row in machine.table.values())


@each_machine
def test_every_state_is_reached_and_left_for_the_end(machine: Machine) -> None:
    reach = {state: {state} for state in machine.states}
    for _ in machine.states:
        for (state, _event), row in machine.table.items():
            reach[state] |= reach[row[0]]
    assert reach[next(iter(machine.table))[0]] == set(machine.states)
    assert all(machine.states[-1] in states for states in reach.values())


def test_two_reasons_for_one_pair_are_refused() -> None:
    with pytest.raises(LocalError, match="two reasons"):
        absorb((["a"], ["x", "y"], "one"), (["a"], ["y"], "two"))


def test_a_timer_and_its_event_are_the_same() -> None:
    assert invite_client.Event.TIMER_A == Timer.A
    assert hash(invite_client.Event.TIMER_A) == hash(Timer.A)
    assert Timer.A == "timer A"


def given_with(kind: type[Transaction], event: str) -> object:
    """What comes with an event: the method of a request and the status of a response are in its name."""
    method = "INVITE" if kind in {InviteClient, InviteServer} else "OPTIONS"
    if event in {"INVITE", "request", "ACK"}:
        return request(method)
    if event[0].isdigit():
        return response(request(method), int(event[:3].replace("xx", "00")) + (event[0] == "1") * 80)
    return "unplugged" if event == "transport error" else None


@each_kind
@given(data=st.data())
def test_any_events_in_any_order(kind: type[Transaction], method: str, data: st.DataObject) -> None:
    """No order of events breaks a machine, leaves the table or lets a transaction come back."""
    flow: Wire = data.draw(st.sampled_from([UDP, TCP]))
    transaction = kind(f"key {method}", request(method), flow, Timers(), "user")
    ended = 0
    for event in data.draw(st.lists(st.sampled_from(kind.machine.events), max_size=12)):
        before = transaction.state
        effects = step(transaction, event, given_with(kind, event))
        row = kind.machine.table.get((before, event))
        assert transaction.state == (row[0] if row else before)
        assert row or effects == ()
        assert all(isinstance(effect, Send | Deliver | Failed | Arm | Disarm | Ended) for effect in effects)
        ended += sum(isinstance(effect, Ended) for effect in effects)
        assert ended == (transaction.state == "Terminated")
        assert not any(isinstance(effect, Ended) for effect in effects[:-1])


@each_kind
def test_what_is_let_go_is_said_to_be(kind: type[Transaction], method: str) -> None:
    transaction = kind(f"key {method}", request(method), UDP, Timers(), "user")
    assert transaction.request.method == method
    transaction.release()
    assert transaction.user is None
    assert transaction.response is None
    with pytest.raises(LocalError, match="let go"):
        transaction.request.copy()
    assert method in repr(transaction)
