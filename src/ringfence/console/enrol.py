"""A new account, from an address as people write it."""

from __future__ import annotations

from ringfence.console.passwords import stored
from ringfence.message import PeerError, SipUri, parse_uri
from ringfence.service.config import Config
from ringfence.store.records import Account


class NotAnAddress(ValueError):
    """It is not the address of a user of ours."""


def new_account(config: Config, address: str, name: str, password: str, now: float) -> Account:
    """The account, to be stored. ``now`` is in seconds since the epoch.

    Raises:
        NotAnAddress: with the reason.
    """
    uri = _uri(address.strip(), config)
    user = uri.aor.removeprefix("sip:").rpartition("@")[0]
    secrets = stored(user, config.realm, password)
    return Account(uri.aor, user, config.realm, secrets, display_name=name, created=now, updated=now)


def _uri(text: str, config: Config) -> SipUri:
    whole = text if text.startswith(("sip:", "sips:")) else f"sip:{text}"
    if "@" not in whole:
        whole += f"@{config.domain.name}"
    try:
        uri = parse_uri(whole)
    except PeerError as error:
        raise NotAnAddress(f"{text} is no address: {error.reason}.") from None
    if not isinstance(uri, SipUri) or not uri.user or uri.password or uri.port or uri.params or uri.headers:
        raise NotAnAddress(f"{text} is not the address of a user.")
    if uri.host not in config.domains:
        raise NotAnAddress(f"{uri.host} is not a domain of this node.")
    return uri.replace(host=config.domain.name)
