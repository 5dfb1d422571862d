"""Bans in the kernel: a table of nftables with two sets, which drops what comes from a banned address to our ports.

The table is ours alone, and each change writes all of it in one transaction. Elements have time-outs, so that bans end
even when we do not; a node that stops takes its table along. What can't be done is logged, and costs nothing but the
offload: the node itself drops what the kernel does not.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from ipaddress import ip_network

import structlog

from ringfence.store.records import Ban

log = structlog.get_logger("ringfence.guard")

NFT_SECONDS = 5.0
"""For nft to be done."""

MAX_ELEMENTS = 20_000
"""Bans that are handed over: as many as there may be."""

PRIORITY = -150
"""Of the chain: before the filters of others, after the tracking of connections."""


class Offload:
    """The table. ``ports`` are those that we listen on."""

    def __init__(self, table: str, udp: Iterable[int], tcp: Iterable[int]) -> None:
        self._table = table
        self._udp = sorted(set(udp))
        self._tcp = sorted(set(tcp))
        self.working = True
        self.elements = 0

    def script(self, bans: Iterable[Ban], now: float) -> str:
        """What nft is to do: all of the table, with the bans that hold."""
        table = f"inet {self._table}"
        lines = [
            f"add table {table}",
            f"delete table {table}",
            f"add table {table}",
            f"add set {table} banned4 {{ type ipv4_addr; flags interval, timeout; auto-merge; }}",
            f"add set {table} banned6 {{ type ipv6_addr; flags interval, timeout; auto-merge; }}",
            f"add chain {table} input {{ type filter hook input priority {PRIORITY}; policy accept; }}",
        ]
        for protocol, ports in (("udp", self._udp), ("tcp", self._tcp)):
            if ports:
                listed = ", ".join(map(str, ports))
                lines += [
                    f"add rule {table} input {family} saddr @{name} {protocol} dport {{ {listed} }} counter drop"
                    for family, name in (("ip", "banned4"), ("ip6", "banned6"))
                ]
        self.elements = 0
        for ban in sorted(bans, key=lambda each: each.network):
            if ban.holds(now) and self.elements < MAX_ELEMENTS:
                self.elements += 1
                name = "banned4" if ip_network(ban.network).version == 4 else "banned6"
                left = f" timeout {max(1, int(ban.until - now))}s" if ban.until else ""
                lines.append(f"add element {table} {name} {{ {ban.network}{left} }}")
        return "\n".join(lines) + "\n"

    async def write(self, bans: Iterable[Ban], now: float) -> None:
        """Have the kernel drop what is banned now."""
        await self._run(self.script(bans, now))

    async def remove(self) -> None:
        """Take the table away."""
        await self._run(f"add table inet {self._table}\ndelete table inet {self._table}\n")

    async def _run(self, script: str) -> None:
        why = await _nft(script)
        if why and self.working:
            log.error("nftables can't be used; the node drops by itself", reason=why)
        self.working = not why


async def _nft(script: str) -> str:
    """Run nft; gives what went wrong, or nothing."""
    try:
        process = await asyncio.create_subprocess_exec(
            "nft",
            "-f",
            "-",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
    except OSError as error:
        return f"nft: {error.strerror}"
    try:
        async with asyncio.timeout(NFT_SECONDS):
            _, errors = await process.communicate(script.encode())
    except TimeoutError:
        process.kill()
        await process.wait()
        return f"nft was not done in {NFT_SECONDS:g} s"
    return errors.decode("utf-8", "replace").strip()[:300] if process.returncode else ""
