"""Who is signed in. The browser has a random name for a session; everything else of it stays here.

A session ends after a while without use, after a working day in any case, and when the account of its administrator is
changed or removed. A password is checked in a thread, a few at a time, and tries of one name or address are counted:
whoever guesses waits.
"""

from __future__ import annotations

import asyncio
import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

from ringfence.console.guesses import Guesses
from ringfence.store.passwords import verify_password
from ringfence.store.records import Administrator, Permission

IDLE_SECONDS = 1800.0
LONGEST_SECONDS = 43_200.0
MAX_SESSIONS = 1_000
"""A sign-in beyond that ends the session that was unused longest."""

MAX_CHECKS = 2
"""Passwords checked at a time: each takes 32 MB and a fifth of a second, on purpose."""


@dataclass(slots=True)
class Session:
    """Somebody who is signed in."""

    administrator: Administrator
    csrf: str
    """What each form has to bring back: another site's page can send a form with our cookie, but not read this."""
    begun: float
    used: float

    def may(self, permission: Permission) -> bool:
        """Whether the role allows it."""
        return permission in self.administrator.role.permissions


@dataclass(slots=True)
class Sessions:
    """All of them. ``clock`` gives seconds that never go back."""

    clock: Callable[[], float]
    _sessions: dict[str, Session] = field(default_factory=dict)
    guesses: Guesses = field(init=False)
    _checks: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(MAX_CHECKS))

    def __post_init__(self) -> None:
        self.guesses = Guesses(self.clock)

    async def sign_in(
        self, found: Administrator | None, name: str, password: str, address: str
    ) -> str | None:
        """The name of a new session; None when the password is wrong, or nobody has that name.

        Raises:
            WaitFirst: this name, or this address, has to wait.
        """
        keys = (f"name {name}", f"address {address}")
        async with self._checks:
            # Looked at here, since tries that come at once all wait for their turn.
            self.guesses.allow(*keys)
            stored = found.password_hash if found is not None else None
            good = await asyncio.to_thread(verify_password, password, stored)
        if not good or found is None:
            self.guesses.failed(*keys)
            return None
        self.guesses.succeeded(*keys)
        return self._begin(found, self.clock())

    def find(self, name: str, *, used: bool = True) -> Session | None:
        """The session of that name, if it has not ended; it counts as used now, unless a page asks for itself."""
        session = self._sessions.get(name)
        if session is None:
            return None
        now = self.clock()
        if now - session.used > IDLE_SECONDS or now - session.begun > LONGEST_SECONDS:
            del self._sessions[name]
            return None
        if used:
            session.used = now
        return session

    def end(self, name: str) -> None:
        """Sign out."""
        self._sessions.pop(name, None)

    def end_of(self, administrator: str) -> None:
        """End all sessions of somebody who was changed or removed."""
        for name, session in list(self._sessions.items()):
            if session.administrator.name == administrator:
                del self._sessions[name]

    def _begin(self, administrator: Administrator, now: float) -> str:
        if len(self._sessions) >= MAX_SESSIONS:
            del self._sessions[min(self._sessions, key=lambda name: self._sessions[name].used)]
        name = secrets.token_urlsafe(32)
        self._sessions[name] = Session(administrator, secrets.token_urlsafe(32), now, now)
        return name


def same_token(session: Session, brought: str) -> bool:
    """Whether a form has brought the token of its session."""
    return hmac.compare_digest(session.csrf.encode(), brought.encode())
