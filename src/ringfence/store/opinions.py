"""Opinions in memory, found by caller. The read half of both stores, as `index` is for accounts and bindings."""

from __future__ import annotations

from collections.abc import Iterable
from heapq import nsmallest

from ringfence.store.records import Opinion

MAX_PER_CALLEE = 1_000
"""Opinions that one account may have. A person reports some callers in a year; a program that reports thousands
would fill the table, so its oldest go."""

Key = tuple[str, str]
"""Caller and callee: there is one opinion of each about each."""


def key_of(opinion: Opinion) -> Key:
    """What tells an opinion from another one."""
    return (opinion.caller, opinion.callee)


class OpinionIndex:
    """All opinions. Its methods belong to the event loop's thread."""

    def __init__(self) -> None:
        self._by_caller: dict[str, dict[str, Opinion]] = {}
        self._by_callee: dict[str, dict[str, Opinion]] = {}
        self._count = 0

    def about(self, caller: str, now: float) -> tuple[Opinion, ...]:
        """See `ports.Opinions.about`."""
        found = self._by_caller.get(caller)
        if found is None:
            return ()
        return tuple([opinion for opinion in found.values() if now < opinion.expires_at])

    def of(self, callee: str) -> tuple[Opinion, ...]:
        """All opinions of one callee, expired ones included, the oldest first."""
        return tuple(sorted(self._by_callee.get(callee, {}).values(), key=lambda each: each.given))

    def count(self) -> int:
        """See `ports.Opinions.count`."""
        return self._count

    def list(self, now: float, after: Key = ("", ""), limit: int = 1000) -> tuple[Opinion, ...]:
        """See `ports.Opinions.list`."""
        living = (
            opinion
            for opinions in self._by_caller.values()
            for opinion in opinions.values()
            if now < opinion.expires_at and key_of(opinion) > after
        )
        return tuple(nsmallest(limit, living, key=key_of))

    def keys(self) -> set[Key]:
        """Of everything that is held."""
        return {(caller, callee) for caller, found in self._by_caller.items() for callee in found}

    def expired(self, now: float) -> tuple[Key, ...]:
        """The keys of what has expired."""
        found = (opinion for opinions in self._by_caller.values() for opinion in opinions.values())
        return tuple(key_of(opinion) for opinion in found if opinion.expires_at <= now)

    def hold(self, opinion: Opinion) -> None:
        """Put an opinion in place of the one before."""
        self.drop(key_of(opinion))
        self._by_caller.setdefault(opinion.caller, {})[opinion.callee] = opinion
        self._by_callee.setdefault(opinion.callee, {})[opinion.caller] = opinion
        self._count += 1

    def drop(self, key: Key) -> bool:
        """Hold it no longer; gives whether it was held."""
        caller, callee = key
        found = self._by_caller.get(caller)
        if found is None or callee not in found:
            return False
        self._count -= 1
        for table, first, second in (
            (self._by_caller, caller, callee),
            (self._by_callee, callee, caller),
        ):
            del table[first][second]
            if not table[first]:
                del table[first]
        return True

    def keep_only(self, keys: Iterable[Key]) -> None:
        """Drop everything that is not among these."""
        for key in self.keys() - set(keys):
            self.drop(key)

    def surplus(self, opinions: Iterable[Opinion]) -> tuple[Key, ...]:
        """What has to go when these come, so that no callee has more than `MAX_PER_CALLEE`: its oldest."""
        coming: dict[str, set[str]] = {}
        for opinion in opinions:
            coming.setdefault(opinion.callee, set()).add(opinion.caller)
        found: tuple[Key, ...] = ()
        for callee, callers in coming.items():
            staying = [each for each in self.of(callee) if each.caller not in callers]
            too_many = len(staying) + len(callers) - MAX_PER_CALLEE
            found += tuple(map(key_of, staying[: max(too_many, 0)]))
        return found

    def forget_callee(self, callee: str) -> None:
        """Drop all opinions of a callee that is no more."""
        for opinion in self.of(callee):
            self.drop(key_of(opinion))
