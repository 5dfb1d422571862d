"""What speaks against a source, and what takes it off again."""

from __future__ import annotations

from ringfence.guard.scores import BAN_AT, Offence, Score


def attempts(score: Score, offence: Offence, every: float, seconds: float) -> float:
    """The most points that somebody has who does this so often."""
    now, most = 0.0, 0.0
    while now < seconds:
        most = max(most, score.add(offence, now))
        now += every
    return most


def test_fifty_wrong_passwords_in_a_row_are_a_ban() -> None:
    assert attempts(Score(0.0), Offence.WRONG_PASSWORD, 0.01, 0.515) >= BAN_AT
    assert attempts(Score(0.0), Offence.WRONG_PASSWORD, 0.01, 0.485) < BAN_AT


def test_a_phone_with_an_old_password_is_never_banned() -> None:
    assert attempts(Score(0.0), Offence.WRONG_PASSWORD, 8.0, 86_400.0) < BAN_AT / 5


def test_twenty_thousand_malformed_messages_are() -> None:
    assert attempts(Score(0.0), Offence.MALFORMED, 0.0001, 1.9) < BAN_AT
    assert attempts(Score(0.0), Offence.MALFORMED, 0.0001, 2.1) >= BAN_AT


def test_an_office_with_one_bad_phone_is_forgiven_by_the_good_ones() -> None:
    score = Score(0.0)
    for second in range(1000):
        assert score.add(Offence.WRONG_PASSWORD, second) < BAN_AT
        score.forgive(second)


def test_an_account_does_not_pay_for_a_search_for_others() -> None:
    score = Score(0.0)
    points = 0.0
    for number in range(22):
        points = score.add(Offence.UNKNOWN_USER, number * 0.1)
        score.forgive(number * 0.1)
    assert points >= BAN_AT
    assert score.worst is Offence.UNKNOWN_USER


def test_time_takes_all_of_it_off() -> None:
    score = Score(0.0)
    score.add(Offence.UNKNOWN_USER, 0.0)
    score.add(Offence.WRONG_PASSWORD, 0.0)
    assert 0.0 < score.points(10.0) < 7.0
    assert score.points(1000.0) == 0.0
