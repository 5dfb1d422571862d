"""``ipsec-ike``: the key exchange that strongSwan's charon does for us, told over its socket (VICI).

Both sides prove themselves by certificates (RFC 7296): the server by the one of its domain that TLS has too, the phone
by a user certificate of the same authority. Charon makes the associations and their policies; a port that is shut by
``Ipsec.shut`` lets nothing in but what they protect. Its socket blocks, so each question is asked in a thread.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import vici
from cryptography.hazmat.primitives.serialization import Encoding

from ringfence.security.pem import read_chain
from ringfence.transport.flow import Endpoint
from ringfence.transport.ipsec import PRIORITY, IpsecError

WAIT = 20.0
"""Seconds for a key exchange: two round trips, and those that get lost."""

REKEY_SECONDS = 3_600
"""After which the keys of an association are made anew; an exchange follows in good time."""

T = TypeVar("T")


class Ike:
    """What one node or agent has asked of charon; ``close`` takes it back."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._names: list[str] = []

    async def serve(
        self, own: Endpoint, domain: str, certificate: Path, key: Path, authority: Path | None
    ) -> None:
        """Let phones with a certificate of our authority make associations for this port.

        Raises:
            IpsecError: when charon is not there, or refuses.
        """
        if authority is None:
            raise IpsecError("ipsec-ike needs the CA of the phones: tls.ca")
        connection = _connection(own.host, "%any", domain, "%any", certificate, authority)
        connection["children"] = {"sip": _child(f"dynamic[/{own.port}]", "dynamic")}
        await self._load(f"ringfence-{own.host}-{own.port}", connection, key)

    async def connect(
        self, own: Endpoint, server: Endpoint, domain: str, certificate: Path, key: Path, authority: Path
    ) -> None:
        """Make the associations between a port of ours and one of the server's.

        Raises:
            IpsecError: when charon is not there, or the server does not prove that it is our domain's.
        """
        name = f"ringfence-{own.host}-{own.port}"
        connection = _connection(own.host, server.host, "", domain, certificate, authority)
        connection["children"] = {"sip": _child(f"dynamic[/{own.port}]", f"dynamic[/{server.port}]")}
        await self._load(name, connection, key)
        wanted = {"ike": name, "child": "sip", "timeout": str(int(WAIT * 1000))}
        try:
            await self._ask(lambda session: list(session.initiate(wanted)))
        except IpsecError as error:
            raise IpsecError(f"the key exchange with {server.host} failed: {error}") from None

    async def close(self) -> None:
        """End the associations, and forget the connections."""
        for name in self._names:
            for done in (
                lambda session, name=name: list(
                    session.terminate({"ike": name, "force": "yes", "timeout": "-1"})
                ),
                lambda session, name=name: session.unload_conn({"name": name}),
            ):
                try:
                    await self._ask(done)
                except IpsecError:
                    continue  # it has ended before, or charon has
        self._names.clear()

    async def _load(self, name: str, connection: dict[str, Any], key: Path) -> None:
        private = _read(key)
        await self._ask(lambda session: session.load_key({"type": "any", "data": private}))
        await self._ask(lambda session: session.load_conn({name: connection}))
        self._names.append(name)

    async def _ask(self, question: Callable[[Any], T]) -> T:
        def ask() -> T:
            with socket.socket(socket.AF_UNIX) as line:
                line.settimeout(WAIT + 5)
                line.connect(str(self._path))
                return question(vici.Session(line))

        try:
            return await asyncio.to_thread(ask)
        except FileNotFoundError:
            raise IpsecError(f"{self._path}: charon does not listen there; start strongSwan") from None
        except OSError as error:
            raise IpsecError(f"{self._path}: {error.strerror or error}") from None
        except vici.exception.CommandException as error:
            raise IpsecError(str(error)) from None


def _connection(
    here: str, there: str, own_id: str, other_id: str, certificate: Path, authority: Path
) -> dict[str, Any]:
    local: dict[str, Any] = {"auth": "pubkey", "certs": [_first(certificate)]}
    if own_id:
        local["id"] = own_id
    return {
        "version": "2",
        "local_addrs": [here],
        "remote_addrs": [there],
        "send_cert": "always",
        "local": local,
        "remote": {"auth": "pubkey", "id": other_id, "cacerts": [_first(authority)]},
    }


def _child(here: str, there: str) -> dict[str, Any]:
    return {
        "mode": "transport",
        "local_ts": [here],
        "remote_ts": [there],
        "rekey_time": str(REKEY_SECONDS),
        "priority": str(PRIORITY),
        "start_action": "none",
    }


def _first(path: Path) -> bytes:
    return read_chain(_read(path))[0].public_bytes(Encoding.PEM)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise IpsecError(f"{path}: {error.strerror}") from None
