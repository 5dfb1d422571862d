"""From ``[[peer]]`` sections to who is recognised. Part of `wiring`."""

from __future__ import annotations

from ipaddress import ip_network

from cryptography.hazmat.primitives.serialization import Encoding

from ringfence.message import LocalError
from ringfence.roles.peers import Peer, PeerRole, Peers
from ringfence.security.pem import read_chain
from ringfence.service.config import Config
from ringfence.service.sections import Peer as Section


def make_peers(config: Config) -> Peers:
    """The other domains, carriers and nodes that are known.

    Raises:
        LocalError: when a file of roots can't be used.
    """
    return Peers(
        Peer(
            each.name,
            each.domain or "",
            frozenset({*each.certificate_names, *([each.domain] if each.domain else [])}),
            tuple(ip_network(network) for network in each.addresses),
            (each.transport or ("" if each.role == "domain" else "tls")).upper(),
            each.trusted or each.role != "domain",
            PeerRole(each.role),
            roots_of(config, each),
        )
        for each in config.peer
    )


def roots_of(config: Config, peer: Section) -> frozenset[bytes]:
    """The authorities (DER) that alone may vouch for a peer; for a node of our own network ours. Empty: any.

    Raises:
        LocalError: for a file that can't be used.
    """
    own, paths = config.tls.ca, peer.trust
    if not paths and peer.role != "domain" and own is not None and own.is_file():
        paths = (own,)
    found = set()
    for path in paths:
        try:
            found |= {each.public_bytes(Encoding.DER) for each in read_chain(path.read_bytes())}
        except OSError as error:
            raise LocalError(f"{path}: {error.strerror}") from None
        except LocalError as error:
            raise LocalError(f"{path}: {error}") from None
    return frozenset(found)
