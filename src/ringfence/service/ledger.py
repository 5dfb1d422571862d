"""From the configuration to the ledger and to what is charged. Part of `wiring` and `process`, which call it."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ringfence.ledger.book import Sealing, SqlLedger
from ringfence.ledger.chain import key_name
from ringfence.ledger.credit import CreditControl
from ringfence.ledger.keys import Privacy, private_pem, public_pem, read_signing_key
from ringfence.ledger.radius import RadiusAccounting
from ringfence.message import LocalError
from ringfence.roles.charging import Charging, Limits
from ringfence.service.aaa import radius_server
from ringfence.service.charging import make_spending
from ringfence.service.config import Config
from ringfence.store.migrate import upgrade


async def open_ledger(config: Config) -> SqlLedger | None:
    """The ledger of this worker, its database brought up to date; None where none is kept.

    Raises:
        StoreError, LocalError, OSError: it can't be opened, its key can't be used, or its end is not what was written.
    """
    ledger = config.ledger
    if not ledger.enabled:
        return None
    config.node.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    await asyncio.to_thread(upgrade, config.ledger_url)
    key = read_signing_key(config.ledger_key) if config.ledger_key.exists() else make_key(config.ledger_key)
    sealing = Sealing(key, config.ledger_witness, ledger.checkpoint_events, ledger.checkpoint_seconds)
    return await SqlLedger.open(config.ledger_url, config.writer, sealing)


def make_key(path: Path) -> Ed25519PrivateKey:
    """Make a signing key, its public half beside it. Raises OSError."""
    key = Ed25519PrivateKey.generate()
    _write(path, private_pem(key), 0o600)
    _write(public_path(path), public_pem(key.public_key()), 0o600)
    return key


async def rotate_key(config: Config) -> dict[str, str]:
    """Have the key of the ledger announce a new one in each chain, and put that in its place. The node must not run.

    The old private key goes: nobody can sign old events anew. The public file has both, since the announcement may be
    pruned some day. Raises as `open_ledger` does, and LocalError where no ledger is kept.
    """
    if not config.ledger.enabled:
        raise LocalError("no ledger is kept: ledger.enabled is false")
    chains = [await open_ledger(each) for each in config.as_workers()]
    path = config.ledger_key
    fresh = path.with_name(path.name + ".new")
    key = Ed25519PrivateKey.generate()
    public = key.public_key()
    _write(fresh, private_pem(key), 0o600)
    for ledger in chains:
        assert ledger is not None  # enabled, see above
        await ledger.hand_over(public)
    with public_path(path).open("ab") as file:
        file.write(public_pem(public))
    os.replace(fresh, path)
    return {"key": str(path), "name": key_name(public)}


def public_path(key: Path) -> Path:
    """Where the public half of a key is."""
    return key.with_suffix(".pub")


def make_charging(config: Config, ledger: SqlLedger, privacy: bytes, control: CreditControl) -> Charging:
    """What records and limits calls. ``privacy``: the key that seals who a private caller is."""
    section = config.ledger
    return Charging(
        ledger,
        Limits(section.max_calls, section.max_call_seconds),
        required=section.required,
        privacy=Privacy(privacy),
        spending=make_spending(config, ledger, control),
    )


def make_radius(config: Config, privacy: bytes) -> RadiusAccounting | None:
    """What tells RADIUS servers of the calls; None where there is none. Raises LocalError."""
    if not config.radius or not config.ledger.enabled:
        return None
    servers = [radius_server(each, each.server) for each in config.radius if each.server]
    if not servers:
        return None
    place = config.node.data_dir / (
        "radius.place" if config.worker is None else f"radius.{config.worker}.place"
    )
    return RadiusAccounting(config.ledger_url, config.writer, servers, place, Privacy(privacy))


def _write(path: Path, data: bytes, mode: int) -> None:
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
