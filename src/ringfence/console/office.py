"""What pages work with: the node's control socket, the database, the sessions, the calls that were seen."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ringfence.console.proving import Proof
from ringfence.console.recent import RecentCalls
from ringfence.console.sessions import Sessions
from ringfence.service.config import Config
from ringfence.service.control import CommandError, Json
from ringfence.service.supervisor import WorkerAway, ask_worker
from ringfence.store.database import Database


class NodeAway(CommandError):
    """The node does not run."""


@dataclass(slots=True)
class Office:
    """One for a console."""

    config: Config
    database: Database
    sessions: Sessions
    recent: RecentCalls
    proof: Proof = field(default_factory=Proof)

    async def ask(self, command: str, **arguments: Any) -> Json:
        """The node's answer to a control command.

        Raises:
            NodeAway: it does not run.
            CommandError: it says no.
        """
        try:
            async for value in ask_worker(self.config.control_socket, command, arguments):
                return value
        except WorkerAway:
            pass
        raise NodeAway("the node does not answer", "start it with ringfence serve")

    async def status(self) -> dict[str, Any] | None:
        """What the node is doing; None when it does not run."""
        try:
            return dict(await self.ask("status"))
        except CommandError:
            return None
