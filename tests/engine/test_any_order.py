"""The transaction layer under any order of messages, answers, failures and time."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from ringfence.engine.effects import Deliver, Due, Effect, Ended, Failed, Send
from ringfence.engine.machine import ClientTransaction, ServerTransaction, Transaction
from ringfence.engine.transactions import Transactions
from ringfence.message import Request, Response
from tests.conversations.playbook import TCP, UDP, Wire, request, response, wire

BRANCHES = st.sampled_from(["z9hG4bKa", "z9hG4bKb", None])
METHODS = st.sampled_from(["INVITE", "OPTIONS", "CANCEL", "ACK"])
STATUSES = st.sampled_from([100, 180, 200, 302, 408, 486, 503, 603])
FLOWS = st.sampled_from([UDP, TCP])


class Everything(RuleBasedStateMachine):
    """Both sides at once. What holds: nothing is raised, and every transaction ends once and leaves nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.engine = Transactions()
        self.now = 0.0
        self.clients: list[tuple[ClientTransaction, Request]] = []
        self.servers: list[tuple[ServerTransaction, Request]] = []
        self.ended: list[Transaction] = []

    def perform(self, effects: list[Effect]) -> None:
        """Do what a driver does."""
        for effect in effects:
            assert isinstance(effect, Send | Deliver | Failed | Ended | Due)
            if isinstance(effect, Deliver) and isinstance(effect.transaction, ServerTransaction):
                assert isinstance(effect.message, Request)
                self.servers.append((effect.transaction, effect.message))
            elif isinstance(effect, Deliver | Failed) and effect.transaction is not None:
                assert effect.transaction.user is not None
                assert effect.transaction not in self.ended
            elif isinstance(effect, Ended):
                assert effect.transaction not in self.ended
                self.ended.append(effect.transaction)
                effect.transaction.release()
            elif isinstance(effect, Send):
                wire(effect.message)  # what we send can be read

    @rule(method=METHODS, branch=BRANCHES, flow=FLOWS)
    def receive_request(self, method: str, branch: str | None, flow: Wire) -> None:
        self.perform(self.engine.receive(wire(request(method, branch=branch, to_tag="t")), flow, self.now))

    @rule(method=METHODS, branch=BRANCHES, status=STATUSES, flow=FLOWS)
    def receive_response(self, method: str, branch: str | None, status: int, flow: Wire) -> None:
        found: Response = response(request(method, branch=branch), status)
        self.perform(self.engine.receive(found, flow, self.now))

    @rule(method=METHODS, branch=st.sampled_from(["z9hG4bKa", "z9hG4bKb"]), flow=FLOWS)
    def send_request(self, method: str, branch: str, flow: Wire) -> None:
        sent = request(method, branch=branch)
        if method == "ACK" or self.engine.find(f"{branch} {method}"):
            return
        transaction, effects = self.engine.request(sent, flow, "user", self.now)
        self.clients.append((transaction, sent))
        self.perform(effects)

    @precondition(lambda self: self.servers)
    @rule(data=st.data(), status=STATUSES)
    def respond(self, data: st.DataObject, status: int) -> None:
        transaction, received = data.draw(st.sampled_from(self.servers))
        self.perform(self.engine.respond(transaction, response(received, status), self.now))

    @precondition(lambda self: self.servers)
    @rule(data=st.data(), act=st.sampled_from(["trying", "discard", "undelivered", "merged"]))
    def treat(self, data: st.DataObject, act: str) -> None:
        transaction, _ = data.draw(st.sampled_from(self.servers))
        if act == "trying":
            self.perform(self.engine.trying(transaction, self.now))
        elif act == "discard":
            self.engine.discard(transaction)
        elif act == "undelivered" and transaction.user is not None:
            self.perform(self.engine.undelivered(transaction, "no route", self.now))
        elif act == "merged" and not transaction.answered:
            self.engine.merged(transaction)

    @precondition(lambda self: self.clients)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        transaction, _ = data.draw(st.sampled_from(self.clients))
        self.perform(self.engine.cancel(transaction, self.now))

    @rule()
    def lose_connection(self) -> None:
        self.perform(self.engine.failed(TCP, "reset", self.now))

    @rule(seconds=st.sampled_from([0.1, 0.5, 4.0, 33.0]))
    def wait(self, seconds: float) -> None:
        end = self.now + seconds
        while (due := self.engine.next_deadline()) is not None and due <= end:
            self.now = due
            self.perform(self.engine.expire(due))
        self.now = end

    @invariant()
    def counts_agree(self) -> None:
        assert len(self.engine) == self.engine.clients + self.engine.servers

    def teardown(self) -> None:
        """Once every request has its answer and time has passed, nothing is left."""
        for transaction, received in self.servers:
            self.perform(self.engine.respond(transaction, response(received, 500), self.now))
        for transaction, sent in self.clients:
            self.perform(self.engine.receive(response(sent, 500), transaction.flow, self.now))
        self.wait(70.0)
        assert len(self.engine) == 0
        assert self.engine.next_deadline() is None
        assert self.engine.expire(self.now + 1e6) == []
        assert not self.engine._by_flow
        assert not self.engine._merged
        assert not len(self.engine._deadlines)


Everything.TestCase.settings = settings(max_examples=80, stateful_step_count=30, deadline=None)
TestAnyOrder = Everything.TestCase
