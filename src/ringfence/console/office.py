"""What pages work with: the node's control socket, the database, the sessions, the calls that were seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ringfence.console.recent import RecentCalls
from ringfence.console.sessions import Sessions
from ringfence.service.config import Config
from ringfence.service.control import CommandError, Json
from ringfence.service.supervisor import ask_worker
from ringfence.store.database import Database


@dataclass(slots=True)
class Office:
    """One for a console."""

    config: Config
    database: Database
    sessions: Sessions
    recent: RecentCalls

    async def ask(self, command: str, **arguments: Any) -> Json:
        """The node's answer to a control command.

        Raises:
            CommandError: the node says no, or does not run.
        """
        async for value in ask_worker(self.config.control_socket, command, arguments):
            return value
        raise CommandError("the node hung up", "see its log")

    async def status(self) -> dict[str, Any] | None:
        """What the node is doing; None when it does not run."""
        try:
            return dict(await self.ask("status"))
        except CommandError:
            return None
