"""Timer values of RFC 3261 table 4, and the deadline queue against a plain list."""

from __future__ import annotations

import gc
import weakref

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from ringfence.engine.effects import Arm
from ringfence.engine.timers import MIN_DEAD, Deadline, Deadlines, Timer, Timers
from ringfence.message import LocalError


def lengths(arms: tuple[Arm, ...]) -> dict[str, float]:
    return {arm.timer.name: arm.delay for arm in arms}


@pytest.mark.rfc("3261", "17.1.1.2")
@pytest.mark.rfc("6026", "8.11")
def test_values_over_an_unreliable_transport() -> None:
    times = Timers().unreliable
    assert lengths(times.b_and_a) == {"A": 0.5, "B": 32.0}
    assert lengths(times.f_and_e) == {"E": 0.5, "F": 32.0}
    assert lengths(times.h_and_g) == {"G": 0.5, "H": 32.0}
    assert lengths(times.d + times.i + times.j + times.k + times.l + times.m) == {
        "D": 32.0,
        "I": 5.0,
        "J": 32.0,
        "K": 5.0,
        "L": 32.0,
        "M": 32.0,
    }


@pytest.mark.rfc("3261", "17.1.1.2")
@pytest.mark.rfc("6026", "8.11")
def test_values_over_a_reliable_transport() -> None:
    times = Timers().reliable
    assert lengths(times.b_and_a) == {"B": 32.0}
    assert lengths(times.f_and_e) == {"F": 32.0}
    assert lengths(times.h_and_g) == {"H": 32.0}
    assert lengths(times.d + times.i + times.j + times.k) == {"D": 0, "I": 0, "J": 0, "K": 0}
    assert lengths(times.l + times.m) == {"L": 32.0, "M": 32.0}


def test_values_follow_the_estimates() -> None:
    times = Timers(t1=0.1, t2=1.0, t4=2.0).unreliable
    assert lengths(times.f_and_e) == {"E": 0.1, "F": pytest.approx(6.4)}
    assert lengths(times.d) == {"D": 32.0}  # at least that, whatever our T1 is
    assert lengths(times.k) == {"K": 2.0}
    assert lengths(Timers(t1=1.0).unreliable.d) == {"D": 64.0}


@pytest.mark.rfc("4320", "4.1")
def test_the_late_100_comes_when_timer_e_reaches_t2() -> None:
    assert lengths(Timers().reliable.late_100) == {"TRYING": 3.5}  # 0.5 + 1 + 2, then E is 4
    assert lengths(Timers(t1=2.0, t2=2.0).reliable.late_100) == {"TRYING": 2.0}


@pytest.mark.parametrize(("t1", "t2", "t4"), [(0, 4, 5), (-1, 4, 5), (5, 4, 5), (0.5, 4, 0)])
def test_estimates_that_make_no_sense_are_refused(t1: float, t2: float, t4: float) -> None:
    with pytest.raises(LocalError, match="timers need"):
        Timers(t1, t2, t4)


DELAYS = [0.5, 1.0, 4.0, 32.0, 180.0]


class DeadlinesAgainstList(RuleBasedStateMachine):
    """The same calls on the queues and on a list of what is running."""

    def __init__(self) -> None:
        super().__init__()
        self.deadlines = Deadlines()
        self.running: list[tuple[float, int, Deadline]] = []
        self.now = 0.0
        self.count = 0
        self.left = 0
        """How many were running when one was stopped last: firing looks for no dead ones but those that are due."""

    @rule(delay=st.sampled_from(DELAYS) | st.floats(0.01, 100), copies=st.integers(1, 80))
    def arm(self, delay: float, copies: int) -> None:
        for _ in range(copies):
            self.count += 1
            deadline = self.deadlines.arm(self.count, Timer.A, delay, self.now)
            self.running.append((self.now + delay, self.count, deadline))

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def stop(self, data: st.DataObject) -> None:
        first = data.draw(st.integers(0, len(self.running) - 1))
        for _, _, deadline in self.running[first:]:
            self.deadlines.stop(deadline)
            self.deadlines.stop(deadline)  # twice is once
        del self.running[first:]
        self.left = len(self.running)

    @rule(seconds=st.floats(0, 50))
    def fire(self, seconds: float) -> None:
        self.now += seconds
        due = [self.deadlines.fire(deadline) for deadline in self.deadlines.due(self.now)]
        fired = [owner for owner, _ in due if owner is not None]
        expected = sorted((at, owner) for at, owner, _ in self.running if at <= self.now)
        assert sorted(fired) == sorted(owner for _, owner in expected)
        when = {owner: at for at, owner, _ in self.running}
        assert [when[owner] for owner in fired] == [at for at, _ in expected]
        self.running = [entry for entry in self.running if entry[0] > self.now]

    @invariant()
    def next_is_the_earliest(self) -> None:
        assert self.deadlines.next() == min((at for at, _, _ in self.running), default=None)

    @invariant()
    def stopped_ones_do_not_pile_up(self) -> None:
        assert 0 <= len(self.deadlines) - len(self.running) <= max(MIN_DEAD, self.left)


DeadlinesAgainstList.TestCase.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
TestDeadlines = DeadlinesAgainstList.TestCase


@given(st.lists(st.sampled_from(DELAYS), min_size=1, max_size=50))
def test_one_that_is_stopped_by_another_in_the_same_round_does_not_fire(delays: list[float]) -> None:
    deadlines = Deadlines()
    armed = [deadlines.arm(object(), Timer.A, delay, 0.0) for delay in delays]
    due = deadlines.due(1e6)
    assert len(due) == len(armed)
    for deadline in due[1:]:
        deadlines.stop(deadline)
    assert [owner is None for owner, _ in map(deadlines.fire, due)] == [False] + [True] * (len(delays) - 1)
    assert len(deadlines) == 0
    assert deadlines.next() is None


def test_a_stopped_deadline_holds_nothing_alive() -> None:
    class Owner:
        pass

    deadlines, owner = Deadlines(), Owner()
    gone = weakref.ref(owner)
    deadline = deadlines.arm(owner, Timer.C, 180.0, 0.0)
    deadlines.arm("other", Timer.C, 180.0, 0.0)
    deadlines.stop(deadline)
    gc.disable()
    del owner
    assert gone() is None
    gc.enable()
