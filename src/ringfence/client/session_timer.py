"""Session timers (RFC 4028): a call that one side forgot, say by a crash, ends for the other side too.

One side, the refresher, sends a re-INVITE or UPDATE in time; the other ends the call when none comes. What
is here is the negotiation, without a clock: the call asks ``delay`` and arms its own timer.
"""

from __future__ import annotations

from ringfence.message import Headers, PeerError, Request, Response
from ringfence.message.fields import MIN_SE, REQUIRE, SESSION_EXPIRES, SUPPORTED, SessionInterval
from ringfence.message.params import Params

DEFAULT_INTERVAL = 1_800
"""Seconds (RFC 4028 section 4 recommends it)."""

LEAST_INTERVAL = 90
"""Smallest that may be asked for, by anyone (section 4)."""

MOST_INTERVAL = 86_400
"""Longest that we agree to ask for when a 422 wants more: beyond a day it no longer does its work."""


class SessionTimer:
    """The agreed interval of one dialog, and who refreshes."""

    def __init__(self, wanted: int | None = DEFAULT_INTERVAL) -> None:
        self.interval: int | None = None
        """Seconds; None when the session has no end of its own."""
        self.refreshing = False
        """Whether it is us who refresh."""
        self._wanted = wanted
        self._least = LEAST_INTERVAL

    def delay(self) -> float | None:
        """Seconds after the last refresh until we refresh, or give the call up when none has come (section 10)."""
        if self.interval is None:
            return None
        if self.refreshing:
            return self.interval / 2
        return self.interval - min(32.0, self.interval / 3)

    # -- our requests ----------------------------------------------------------------------------------

    def ask(self, headers: Headers) -> None:
        """Put what we want on an INVITE or UPDATE (sections 7.1 and 7.4)."""
        if self.interval is not None:
            refresher = "uac" if self.refreshing else "uas"
            seconds = max(self.interval, self._least)
            headers.set("Session-Expires", SessionInterval(seconds, _refresher(refresher)))
        elif self._wanted is not None:
            headers.set("Session-Expires", max(self._wanted, self._least))
        if self._least > LEAST_INTERVAL:
            headers.set("Min-SE", self._least)

    def answered(self, response: Response) -> None:
        """Take what a 2xx to one of our requests settled (section 7.2)."""
        settled = response.headers.first(SESSION_EXPIRES)
        if settled is None:
            # "it has to perform them" alone, if it wishes to; a call that nobody refreshes has no end instead.
            self.interval = None
            return
        self.interval = max(settled.seconds, LEAST_INTERVAL)
        self.refreshing = settled.refresher != "uas"

    def too_brief(self, response: Response) -> bool:
        """Take the minimum of a 422; False when it is none that we can live with (section 7.3)."""
        least = response.headers.first(MIN_SE)
        if least is None or not self._least < least.seconds <= MOST_INTERVAL:
            return False
        self._least = least.seconds
        return True

    # -- the peer's requests ---------------------------------------------------------------------------

    def check(self, request: Request) -> None:
        """Refuse an interval that is too short (section 9).

        Raises:
            PeerError: 422; the answer needs a Min-SE of ``LEAST_INTERVAL``.
        """
        asked = request.headers.first(SESSION_EXPIRES)
        if asked is not None and asked.seconds < LEAST_INTERVAL and _has_timer(request):
            raise PeerError(422, f"{asked.seconds} s is too short", header="Session-Expires")

    def answer(self, request: Request, headers: Headers) -> None:
        """Put what we settle on a 2xx to the peer's request (section 9, table 2)."""
        asked = request.headers.first(SESSION_EXPIRES)
        supported = _has_timer(request)
        if asked is None and (not supported or self._wanted is None):
            self.interval = None
            return
        least = request.headers.first(MIN_SE)
        floor = max(LEAST_INTERVAL, least.seconds if least is not None else 0)
        self._least = max(self._least, floor)
        if asked is None:
            seconds, chosen = max(self._wanted or 0, floor), "uac"
        else:
            seconds, chosen = max(asked.seconds, LEAST_INTERVAL), asked.refresher or "uac"
        refresher = chosen if supported else "uas"
        self.interval, self.refreshing = seconds, refresher == "uas"
        headers.set("Session-Expires", SessionInterval(seconds, _refresher(refresher)))
        if supported:
            headers.add("Require", "timer")


def _refresher(side: str) -> Params:
    return Params((("refresher", side),))


def _has_timer(request: Request) -> bool:
    headers = request.headers
    return "timer" in headers.every(SUPPORTED) or any(
        each.lower() == "timer" for each in headers.every(REQUIRE)
    )
