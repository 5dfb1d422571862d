"""``ringfence init --role``: one node of a network whose edges, core and border proxy are processes of their own.

The core comes first and is made like any domain. Each other node joins it: it gets a certificate of the core's CA and
the address of its accounts, and the core's configuration gets a section that knows it.
"""

from __future__ import annotations

import os
import time
import tomllib
from collections.abc import Sequence
from pathlib import Path

from ringfence.cli.certificate_files import load_authority, new_serial, prove, record, save_pair
from ringfence.cli.failure import Exit, Failure
from ringfence.security.authority import new_key
from ringfence.security.certificates import is_dns_name
from ringfence.security.pem import chain_pem
from ringfence.service.config import CONFIG_NAME, Config
from ringfence.service.files import make_private_directory, write_private
from ringfence.service.ledger import make_key
from ringfence.service.network_template import Joined, peer, uri_of, way_out
from ringfence.service.problems import ConfigError

ROLES = ("edge", "core", "outbound")


def core_of(path: Path, domain: str) -> Joined:
    """The core that a node joins. Raises Failure when the configuration is no core's, or another domain's."""
    config = Config.load(path)
    if config.node.roles != ("core",):
        raise Failure(Exit.NO, f"{path} is not a core's", "make one with: ringfence init DOMAIN --role core")
    if config.domain.name != domain:
        raise Failure(Exit.NO, f"{path} is the core of {config.domain.name}, not of {domain}", "name its own")
    port = next((each.port for each in config.listen if each.transport == "tls"), None)
    return Joined(config, uri_of(config.node.name, port))


def check_node(role: str | None, hosts: Sequence[str], join: Path | None) -> None:
    """Whether the options of ``init`` go together. Raises Failure."""
    if role is None:
        if join is not None:
            raise Failure(
                Exit.USAGE, "--join is for a node with a role", "add --role edge or --role outbound"
            )
        return
    if role not in ROLES:
        raise Failure(Exit.USAGE, f"{role} is no role of a node", f"write one of {', '.join(ROLES)}")
    if (join is None) != (role == "core"):
        fix = "make the core first, without --join, and then the others with --join CORE/ringfence.toml"
        raise Failure(
            Exit.USAGE, f"--role {role} " + ("joins none" if role == "core" else "joins a core"), fix
        )
    if not hosts or not is_dns_name(hosts[0]):
        fix = f"write --host {role}.example.org first"
        raise Failure(Exit.USAGE, "the other nodes know this one by a name in its certificate", fix)


def make_node(directory: Path, domain: str, hosts: Sequence[str], text: str, core: Joined) -> None:
    """Make what a joining node needs in an empty directory: all but the database, which is the core's."""
    write_private(directory / CONFIG_NAME, text.encode())
    config = Config.load(directory / CONFIG_NAME, staged=True)
    authority = load_authority(core.config)
    make_private_directory(config.node.data_dir)
    write_private(config.secret_file, os.urandom(64))
    make_key(config.ledger_key)
    assert config.tls.ca is not None  # it is in the text that we wrote
    write_private(config.tls.ca, chain_pem([authority.certificate]))
    names = [domain, *hosts]
    pairs = [(config.tls.certificate, config.tls.key, names)]
    if config.node.roles == ("outbound",):
        pairs.append((config.identity.certificate, config.identity.key, [domain]))
    for certificate_path, key_path, subject in pairs:
        key = new_key()
        certificate = authority.issue_server(key.public_key(), subject, now=time.time(), serial=new_serial())
        prove(authority, certificate, subject)
        save_pair(certificate_path, key_path, certificate, key)
        record(core.config, certificate)


def make_known(core: Joined, role: str, name: str, port: int | None) -> None:
    """Add to the core's configuration the section that knows the node. Raises Failure when that can't be done."""
    path = core.config.file
    added = peer(role, name)
    if role == "outbound" and not core.config.proxy.outbound:
        added += way_out(uri_of(name, port))
    text = path.read_text(encoding="utf-8").rstrip("\n") + "\n" + added
    try:
        Config.from_values(tomllib.loads(text), path)
    except (tomllib.TOMLDecodeError, ConfigError):
        raise Failure(
            Exit.NO, f"{path} can't take this section:{added}", "write it there, and run ringfence check"
        ) from None
    write_private(path, text.encode())
