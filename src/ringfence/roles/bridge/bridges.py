"""All private calls of this worker, found by what their parties know of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from ringfence.message.fields import DialogName
from ringfence.roles.bridge.legs import Bridge, Pair
from ringfence.roles.media import MediaPlane, Party
from ringfence.security.sealing import Sealer

MAX_BRIDGES: Final = 20_000
"""Private calls and subscriptions at a time: each takes some kilobytes. One more is answered 503."""

MAX_SECONDS: Final = 14_400.0
"""A private call is ended after that, where the ledger does not end it before: two parties that have vanished without
a word leave nothing behind."""


@dataclass(slots=True)
class BridgePolicy:
    """What the configuration decides."""

    refuse_unmet: bool = False
    """Every wish is taken for critical."""
    max_bridges: int = MAX_BRIDGES
    max_seconds: float = MAX_SECONDS


class Bridges:
    """The registry. ``media``: what relays media; None: session privacy can't be given."""

    __slots__ = ("_by_name", "_call_ids", "_dialogs", "_pairs", "_waiting", "media", "policy", "sealer")

    def __init__(
        self, key: bytes, policy: BridgePolicy | None = None, media: MediaPlane | None = None
    ) -> None:
        self.policy = policy or BridgePolicy()
        self.media = media
        self.sealer = Sealer(key)
        """Seals what anonymous contacts stand for."""
        self._waiting: dict[tuple[str, str], Bridge] = {}
        self._dialogs: dict[tuple[str, str, str], tuple[Pair, Party]] = {}
        self._by_name: dict[str, tuple[Pair, Party]] = {}
        self._pairs: dict[Pair, None] = {}
        self._call_ids: dict[str, tuple[Bridge, Party]] = {}

    def __len__(self) -> int:
        return len(self._pairs)

    def __bool__(self) -> bool:
        return bool(self._pairs or self._waiting)

    def __iter__(self) -> Iterator[Pair]:
        return iter(tuple(self._pairs))

    @property
    def full(self) -> bool:
        """Whether there is no room for another one."""
        return len(self._pairs) + len(self._waiting) >= self.policy.max_bridges

    # -- what there is ---------------------------------------------------------------------------------

    def expect(self, bridge: Bridge) -> None:
        """The callee may send requests in dialogs that have no pair yet: a NOTIFY before the 2xx (RFC 6665 4.1.2.4)."""
        self._waiting[bridge.call_id, bridge.tag] = bridge
        self._call_ids[bridge.call_id] = (bridge, Party.CALLEE)
        if bridge.first is not None:
            self._call_ids[bridge.first.request.call_id] = (bridge, Party.CALLER)

    def add(self, pair: Pair) -> None:
        """A pair of dialogs begins."""
        bridge, caller, callee = pair.bridge, pair.caller, pair.callee
        bridge.pairs[callee.dialog.remote_tag] = pair
        self._pairs[pair] = None
        self._dialogs[caller.dialog.id] = (pair, Party.CALLER)
        self._dialogs[callee.dialog.id] = (pair, Party.CALLEE)
        self._by_name[caller.name] = (pair, Party.CALLER)
        self._by_name.setdefault(callee.name, (pair, Party.CALLEE))

    def remove(self, pair: Pair) -> None:
        """It is over: nothing that comes for it finds anything, and its media end."""
        if pair.over:
            return
        pair.over = True
        self._pairs.pop(pair, None)
        bridge = pair.bridge
        bridge.pairs.pop(pair.callee.dialog.remote_tag, None)
        self._dialogs.pop(pair.caller.dialog.id, None)
        self._dialogs.pop(pair.callee.dialog.id, None)
        self._by_name.pop(pair.caller.name, None)
        if not bridge.pairs:
            self._by_name.pop(pair.callee.name, None)
            self._forget_names(bridge)
        if pair.media and self.media is not None:
            self.media.end(pair.media)

    def forget(self, bridge: Bridge) -> None:
        """What the request began has come to nothing."""
        self._forget_names(bridge)
        for pair in tuple(bridge.pairs.values()):
            self.remove(pair)

    def _forget_names(self, bridge: Bridge) -> None:
        self._waiting.pop((bridge.call_id, bridge.tag), None)
        self._call_ids.pop(bridge.call_id, None)
        if bridge.first is not None and self.side(bridge.first.request.call_id) == (bridge, Party.CALLER):
            del self._call_ids[bridge.first.request.call_id]

    # -- look up ---------------------------------------------------------------------------------------

    def find(self, call_id: str, to_tag: str, from_tag: str) -> tuple[Pair, Party] | None:
        """The pair that a received request is in, and who sent it."""
        return self._dialogs.get((call_id, to_tag, from_tag))

    def expecting(self, call_id: str, to_tag: str) -> Bridge | None:
        """The bridge whose callee may use these names although there is no such pair."""
        return self._waiting.get((call_id, to_tag))

    def behind(self, name: str) -> tuple[Pair, Party] | None:
        """The party that does not know of the user part ``name`` of a Contact of ours, but stands behind it.

        Our Contact towards one party stands for the other one.
        """
        found = self._by_name.get(name)
        if found is None:
            return None
        pair, party = found
        return pair, party.other

    def named(self, name: DialogName) -> tuple[Pair, Party, bool] | None:
        """The pair that a message names by one of its dialogs, whose dialog that is, and whether by our tag first."""
        for first in (True, False):
            local, remote = (name.to_tag, name.from_tag) if first else (name.from_tag, name.to_tag)
            found = self._dialogs.get((name.call_id, local, remote))
            if found is not None:
                return *found, first
        return None

    def side(self, call_id: str) -> tuple[Bridge, Party] | None:
        """The private call that has this Call-ID, and the party that knows it by that."""
        return self._call_ids.get(call_id)

    def due(self, now: float) -> list[Pair]:
        """The pairs whose time has come."""
        return [pair for pair in self._pairs if pair.expires <= now]
