"""What a configuration means for security, before it is served: the rules behind `ringfence check`.

Each rule is a small function that looks at one matter and yields findings: an error where the node would not work or
would let in or give away what it must not, a warning where its owner should know what he has chosen. `RULES` is the
list. To add one, write it and add it there.
"""

from __future__ import annotations

import ipaddress
import shlex
import stat
import time
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

from cryptography import x509

from ringfence.message import LocalError
from ringfence.security.certificates import matches_domain
from ringfence.security.chains import ChainFlaw, judge_chain
from ringfence.security.pem import check_pair, read_chain, read_crl, read_key
from ringfence.security.revocation import is_delta
from ringfence.service.aaa_checks import (
    diameter_is_there,
    nonces_are_made,
    passwords_are_known,
    spending_is_limited,
)
from ringfence.service.acme_checks import certificates_can_be_ordered
from ringfence.service.config import Config
from ringfence.service.exports import exports_are_safe
from ringfence.service.finding import Finding, Rule, Severity, error, expiry, warning
from ringfence.service.guard_checks import bodies_are_scanned, the_guard_watches
from ringfence.service.identity_checks import fetching_is_bounded, identity_holds, identity_is_in_use
from ringfence.service.lines import KeyPath
from ringfence.service.media_checks import media_can_flow
from ringfence.service.peer_checks import (
    peers_are_believed_rightly,
    peers_are_few,
    peers_are_others,
    peers_are_vouched_for,
)
from ringfence.service.privacy_checks import privacy_can_be_given
from ringfence.service.role_checks import network_holds_together, the_border_signs, the_inside_is_closed
from ringfence.service.secrets import read_secret
from ringfence.service.shared_checks import shared_state_is_safe
from ringfence.service.webhooks import webhooks_can_be_told

LEAST_DIFFERENT = 16
"""Different bytes in a secret. Of 32 random ones 30 differ; of a text that somebody has typed some ten."""

LONG_NONCE = 86_400.0
"""Seconds. Whoever steals a nonce and a response can use them this long over UDP."""


def examine(config: Config) -> list[Finding]:
    """What every rule finds, errors first."""
    found = [finding for rule in RULES for finding in rule(config)]
    return sorted(found, key=lambda finding: finding.severity is not Severity.ERROR)


def files_exist(config: Config) -> Iterator[Finding]:
    """What the configuration names is there."""
    for problem in config.missing_files():
        yield Finding(Severity.ERROR, problem)
    key: KeyPath = ("security", "secret")
    fix = f"run: head -c 64 /dev/urandom > {shlex.quote(str(config.secret_file))}, and chmod 600"
    if not config.secret_file.is_file():
        yield error(config, key, f"there is no file {config.secret_file}", fix)
        return
    try:
        secret = read_secret(config.secret_file)
    except LocalError as flaw:
        yield error(config, key, str(flaw), fix)
        return
    if len(set(secret)) < LEAST_DIFFERENT:
        reason = (
            f"{config.secret_file} can be guessed: whoever does makes proofs of dialogs, and calls through us"
        )
        yield error(config, key, reason, fix)


def certificates_hold(config: Config) -> Iterator[Finding]:
    """Each certificate can be read, has its key, has not expired, and proves the domain (RFC 5922)."""
    for section, chain_path, key_path in config.certificate_files():
        if not chain_path.is_file() or not key_path.is_file():
            continue  # files_exist has said so
        key: KeyPath = (section, "certificate")
        try:
            chain = read_chain(chain_path.read_bytes())
            check_pair(chain[0], read_key(key_path.read_bytes()))
        except (LocalError, OSError) as flaw:
            yield error(config, key, f"{chain_path}: {flaw}", "put the certificate and its own key there")
            continue
        yield from expiry(config, key, chain_path, chain)
        yield from _names(config, key, chain_path, chain[0])
        yield from _chain(config, key, chain_path, chain)


def _names(config: Config, key: KeyPath, path: Path, leaf: x509.Certificate) -> Iterator[Finding]:
    for domain in sorted(config.domains):
        host = f"[{domain}]" if ":" in domain else domain  # as a SIP URI writes an IPv6 address
        if not matches_domain(leaf, host).matched:
            reason = f"{path} does not name the domain {domain}: other domains refuse to connect (RFC 5922)"
            yield error(config, key, reason, f"run ringfence cert issue {domain}, or have one issued for it")


def _chain(config: Config, key: KeyPath, path: Path, chain: list[x509.Certificate]) -> Iterator[Finding]:
    """With a private CA, that it is the one that phones have been given."""
    ca = config.tls.ca
    if ca is None or not ca.is_file():
        return
    try:
        anchors = read_chain(ca.read_bytes())
    except LocalError as flaw:
        yield error(
            config, ("tls", "ca"), f"{ca}: {flaw}", "put the CA's certificate there, or remove the key"
        )
        return
    judged = judge_chain(chain, anchors, time.time())
    if (
        any(reason.code is ChainFlaw.UNTRUSTED for reason in judged.reasons)
        and chain[0].issuer == anchors[0].subject
    ):
        yield error(config, key, f"{path} is not signed by {ca}", "run ringfence cert renew")


def revocation_is_current(config: Config) -> Iterator[Finding]:
    """A revocation list that has run out tells nothing, and neither does a delta."""
    for section, paths in (("tls", config.tls.crl), ("identity", config.identity.crl)):
        for place, path in enumerate(paths):
            if path.is_file():
                yield from _list_flaws(config, (section, "crl", place), path)


def _list_flaws(config: Config, key: KeyPath, path: Path) -> Iterator[Finding]:
    try:
        crl = read_crl(path.read_bytes())
    except LocalError as flaw:
        yield error(config, key, f"{path}: {flaw}", "put a revocation list in PEM there")
        return
    if is_delta(crl):
        yield error(
            config, key, f"{path} is a delta, which tells nothing alone", "put the complete list there"
        )
    until = crl.next_update_utc
    if until is not None and until.timestamp() < time.time():
        yield error(config, key, f"{path} ran out on {until:%Y-%m-%d}", "fetch the next one, or revoke anew")


def callers_are_known(config: Config) -> Iterator[Finding]:
    """Everybody has to show who they are, with digests that hold."""
    security = config.security
    if security.challenge == "none":
        key = ("security", "challenge")
        yield error(config, key, "anybody may call as anybody: an open relay", 'write challenge = "first"')
    if "MD5" in security.algorithms:
        reason = "MD5 is offered: its digests can be broken"
        yield warning(
            config, ("security", "algorithms"), reason, 'write algorithms = ["SHA-512-256", "SHA-256"]'
        )
    if security.nonce_lifetime_seconds > LONG_NONCE:
        reason = "nonces live longer than a day: what is recorded can be used that long"
        yield warning(
            config, ("security", "nonce_lifetime_seconds"), reason, "write nonce_lifetime_seconds = 300"
        )


def calls_are_encrypted(config: Config) -> Iterator[Finding]:
    """Which ports are in plaintext."""
    for place, each in enumerate(config.listen):
        if each not in config.listeners or each.secure or _only_this_machine(each.host):
            continue
        reason = f"{each.transport} {each.port} is plaintext: whoever is on the way can read and change calls"
        fix = "write require_tls = true under [security] once every phone has TLS"
        yield warning(config, ("listen", place, "transport"), reason, fix)
    if not any(each.secure for each in config.listeners):
        reason = "no port has TLS"
        yield warning(config, ("listen",), reason, 'add [[listen]] with transport = "tls" and port = 5061')


def servers_are_known(config: Config) -> Iterator[Finding]:
    """The servers that we connect to have to prove their domain (RFC 5922)."""
    if not config.tls.verify_servers:
        reason = "any server is taken for any domain: calls to others can be intercepted"
        yield error(config, ("tls", "verify_servers"), reason, "write verify_servers = true")


def methods_are_challenged(config: Config) -> Iterator[Finding]:
    """What reaches our users is sent by somebody who has proved to be one, or who does not claim to be one."""
    for place, method in enumerate(config.security.unauthenticated_methods):
        key: KeyPath = ("security", "unauthenticated_methods", place)
        if method == "REGISTER":
            yield error(config, key, "a REGISTER is challenged in any case", "remove it")
        elif method != "OPTIONS":
            reason = f"anybody may send {method} to our users in the name of our users"
            yield error(config, key, reason, 'remove it, or write unauthenticated_methods = ["OPTIONS"]')


def nobody_else_steers(config: Config) -> Iterator[Finding]:
    """The control socket, the data and the configuration belong to the node's user alone."""
    private: dict[Path, KeyPath] = {
        config.control_socket.parent: ("control", "socket"),
        config.node.data_dir: ("node", "data_dir"),
    }
    for directory, key in private.items():
        if _mode(directory) & stat.S_IRWXO:
            fix = f"run chmod 700 {shlex.quote(str(directory))}"
            yield error(config, key, f"{directory} is open to other users of this machine", fix)
    if _mode(config.file) & (stat.S_IWGRP | stat.S_IWOTH):
        fix = f"run chmod 600 {shlex.quote(str(config.file))}"
        yield error(config, (), "other users of this machine can change the configuration", fix)


def metrics_stay_inside(config: Config) -> Iterator[Finding]:
    """Metrics have no password."""
    address = config.metrics.address
    if address is not None and not address.loopback:
        reason = f"metrics and health are served on {address} to anybody who can reach it"
        yield warning(config, ("metrics", "listen"), reason, 'write listen = "127.0.0.1:9090"')


def policy_can_be_loaded(config: Config) -> Iterator[Finding]:
    """The owner's own rules are there: a node must not start without a rule that was to refuse something."""
    for place, name in enumerate(config.policy.steps):
        module, _, function = name.partition(":")
        try:
            found = getattr(import_module(module), function)
        except Exception as flaw:  # whatever the owner's module raises
            reason = f"{name} can't be loaded: {type(flaw).__name__}: {flaw}"
            yield error(
                config,
                ("policy", "steps", place),
                reason,
                "install the package where ringfence is, or correct the name",
            )
            continue
        if not callable(found):
            yield error(config, ("policy", "steps", place), f"{name} is not a function", "name a function")
            continue
        # What a program does can't be read from a configuration: a step may let in what every rule here keeps out.
        reason = f"{name} is your own code, which check can't see into: it may answer, forward or change any request"
        yield warning(config, ("policy", "steps", place), reason, "test it as tests/conversations tests ours")


def database_is_ready(config: Config) -> Iterator[Finding]:
    """The database answers and has the schema of this version."""
    from ringfence.store import migrate  # SQLAlchemy: 0.3 s that other uses of this module save
    from ringfence.store.errors import StoreError

    if not config.database_exists():
        yield error(
            config, ("database", "url"), "there is no database in data_dir", "run ringfence init DOMAIN"
        )
        return
    try:
        revision, head = migrate.current(config.database_url), migrate.head()
    except StoreError as flaw:
        yield error(config, ("database", "url"), str(flaw), "start the database, or correct the url")
        return
    if revision != head:
        reason = f"the database has the schema {revision or 'of no version'}, this version works on {head}"
        yield error(
            config, ("database", "url"), reason, "run ringfence serve of the newer version once: it upgrades"
        )


def calls_are_recorded(config: Config) -> Iterator[Finding]:
    """Each call is in the ledger, from its start to its end."""
    if not config.ledger.enabled:
        key: KeyPath = ("ledger", "enabled")
        reason = "no call is recorded, and an account may make any number of calls at a time"
        yield warning(config, key, reason, "write enabled = true")
        if config.radius:
            yield error(
                config,
                ("radius",),
                "RADIUS is told what the ledger says, and none is kept",
                "see ledger.enabled",
            )
    elif not config.ledger.required:
        reason = "a call is connected although it can't be recorded"
        yield warning(config, ("ledger", "required"), reason, "write required = true")
    if config.ledger.enabled and not config.proxy.record_route:
        reason = "the node does not see calls end: it records that they were answered, and nothing more"
        yield warning(config, ("proxy", "record_route"), reason, "write record_route = true")
    for place, server in enumerate(config.radius):
        if not server.secret.is_file():
            path: KeyPath = ("radius", place, "secret")
            yield error(
                config, path, f"there is no file {server.secret}", "put the secret of the RADIUS server there"
            )


RULES: tuple[Rule, ...] = (
    webhooks_can_be_told,
    exports_are_safe,
    files_exist,
    certificates_hold,
    certificates_can_be_ordered,
    revocation_is_current,
    callers_are_known,
    calls_are_encrypted,
    servers_are_known,
    peers_are_few,
    peers_are_believed_rightly,
    peers_are_vouched_for,
    peers_are_others,
    network_holds_together,
    shared_state_is_safe,
    the_inside_is_closed,
    the_border_signs,
    methods_are_challenged,
    the_guard_watches,
    bodies_are_scanned,
    identity_holds,
    identity_is_in_use,
    fetching_is_bounded,
    nobody_else_steers,
    metrics_stay_inside,
    calls_are_recorded,
    media_can_flow,
    privacy_can_be_given,
    passwords_are_known,
    nonces_are_made,
    diameter_is_there,
    spending_is_limited,
    policy_can_be_loaded,
    database_is_ready,
)


def _only_this_machine(host: str) -> bool:
    return host != "*" and ipaddress.ip_address(host).is_loopback


def _mode(path: Path) -> int:
    try:
        return path.stat().st_mode
    except OSError:
        return 0
