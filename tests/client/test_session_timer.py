"""Who refreshes a session, and when (RFC 4028)."""

from __future__ import annotations

import pytest

from ringfence.client.session_timer import LEAST_INTERVAL, SessionTimer
from ringfence.message import Headers, PeerError, Request, Response


def request(*headers: tuple[str, str]) -> Request:
    return Request("INVITE", "sip:a@example.org", Headers(headers))


def response(*headers: tuple[str, str], status: int = 200) -> Response:
    return Response(status, None, Headers(headers))


@pytest.mark.rfc("4028", "9")
@pytest.mark.parametrize(
    ("supported", "asked", "answer", "refreshing"),
    [
        (False, "600", "600;refresher=uas", True),
        (True, "600", "600;refresher=uac", False),
        (True, "600;refresher=uac", "600;refresher=uac", False),
        (True, "600;refresher=uas", "600;refresher=uas", True),
    ],
)
def test_table_2(supported: bool, asked: str, answer: str, refreshing: bool) -> None:
    timer = SessionTimer()
    headers = Headers()
    extra = [("Supported", "timer")] if supported else []
    timer.answer(request(("Session-Expires", asked), *extra), headers)
    assert headers.get("Session-Expires") == answer
    assert ("Require" in headers) is supported
    assert (timer.interval, timer.refreshing) == (600, refreshing)


@pytest.mark.rfc("4028", "9")
def test_a_caller_that_only_knows_timers_is_asked_for_one() -> None:
    timer, headers = SessionTimer(), Headers()
    timer.answer(request(("Supported", "timer"), ("Min-SE", "2000")), headers)
    assert headers.get("Session-Expires") == "2000;refresher=uac"


def test_a_caller_that_knows_nothing_of_timers() -> None:
    timer, headers = SessionTimer(), Headers()
    timer.answer(request(), headers)
    assert (timer.interval, timer.delay(), len(headers)) == (None, None, 0)


@pytest.mark.rfc("4028", "10")
def test_when() -> None:
    timer = SessionTimer()
    timer.answered(response(("Session-Expires", "600;refresher=uac")))
    assert timer.delay() == 300
    timer.answered(response(("Session-Expires", "600;refresher=uas")))
    assert timer.delay() == 568
    timer.answered(response(("Session-Expires", "90;refresher=uas")))
    assert timer.delay() == 60
    timer.answered(response())
    assert timer.delay() is None


@pytest.mark.rfc("4028", "7.4")
def test_the_refresher_stays_who_it_was() -> None:
    timer = SessionTimer()
    timer.answered(response(("Session-Expires", "600;refresher=uas")))
    headers = Headers()
    timer.ask(headers)
    assert headers.get("Session-Expires") == "600;refresher=uas"


@pytest.mark.rfc("4028", "7.3")
def test_422() -> None:
    timer = SessionTimer(wanted=100)
    assert timer.too_brief(response(("Min-SE", "300"), status=422))
    headers = Headers()
    timer.ask(headers)
    assert (headers.get("Session-Expires"), headers.get("Min-SE")) == ("300", "300")
    assert not timer.too_brief(response(("Min-SE", "300"), status=422))
    assert not timer.too_brief(response(status=422))
    assert not timer.too_brief(response(("Min-SE", "4000000"), status=422))


@pytest.mark.rfc("4028", "9")
def test_who_asks_for_too_little_is_told() -> None:
    timer = SessionTimer()
    with pytest.raises(PeerError) as caught:
        timer.check(request(("Session-Expires", "30"), ("Supported", "timer")))
    assert caught.value.status == 422
    timer.check(request(("Session-Expires", "30")))  # it does not know what a 422 is


def test_nobody_can_make_us_refresh_all_the_time() -> None:
    timer = SessionTimer()
    timer.answered(response(("Session-Expires", "1;refresher=uac")))
    assert timer.interval == LEAST_INTERVAL


def test_no_timer_is_wanted() -> None:
    timer, headers = SessionTimer(wanted=None), Headers()
    timer.ask(headers)
    assert len(headers) == 0
