"""``ringfence cert``: what the private CA of the domain issues, and what it takes back."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer
from cryptography import x509

from ringfence.cli import certificate_files as files
from ringfence.cli.failure import Exit, Failure
from ringfence.cli.options import ConfigOption, JsonOption, load_config
from ringfence.cli.output import print_facts, print_json, print_table, remark
from ringfence.security.authority import DAY, new_key
from ringfence.security.certificates import domain_identities, user_identities
from ringfence.security.chains import fingerprint
from ringfence.service.config import Config

CRL_LIFETIME = 397 * DAY
"""Seconds. Our list is a file beside the one who reads it: nobody can pass off an old one as the newest."""

cert = typer.Typer(help="Certificates of the domain's private CA.", no_args_is_help=True)


@cert.command()
def issue(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="NAME...", help="Hosts or domains, or one user@domain.")
    ] = None,
    user: Annotated[
        str | None,
        typer.Option(metavar="AOR", help="One user, for S/MIME and for TLS as a client: alice@example.org."),
    ] = None,
    number: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NUMBER",
            help="Sign calls of this telephone number too, +12155550100 or +12155550100-12155550199 (RFC 8226).",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where to put both files. Default: here.")
    ] = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Issue a certificate with a new key: for a server by its names, or for one user."""
    names = [*(names or ()), *([user] if user is not None else ())]
    if not names:
        raise Failure(Exit.USAGE, "a certificate is for somebody", "name hosts, or --user alice@example.org")
    if user is not None and "@" not in user:
        raise Failure(Exit.BAD_DATA, f"{user} is not the address of a user", "write --user alice@example.org")
    if number and "@" in names[0]:
        raise Failure(Exit.USAGE, "a user's certificate signs for no numbers", "name the domain instead")
    loaded = load_config(config)
    authority = files.load_authority(loaded)
    key, now, serial = new_key(), time.time(), files.new_serial()
    if "@" in names[0]:
        if len(names) > 1:
            raise Failure(Exit.USAGE, "a certificate is for one user", "issue one for each")
        aor = names[0] if names[0].startswith("sip:") else f"sip:{names[0]}"
        certificate = authority.issue_user(key.public_key(), aor, now=now, serial=serial)
    else:
        certificate = authority.issue_server(
            key.public_key(), names, now=now, serial=serial, numbers=number or ()
        )
        files.prove(authority, certificate, names)
    stem = names[0].removeprefix("sip:").replace("/", "_")
    chain_path, key_path = (out or Path()) / f"{stem}.pem", (out or Path()) / f"{stem}.key"
    for path in (chain_path, key_path):
        if path.exists():
            raise Failure(Exit.NO, f"{path} exists already", "name another directory with --out")
    files.save_pair(chain_path, key_path, certificate, key)
    files.record(loaded, certificate)
    files.publish(loaded, certificate)
    _show(certificate, {"certificate": str(chain_path), "key": str(key_path)}, json)


@cert.command()
def renew(
    file: Annotated[Path | None, typer.Argument(help="The certificate. Default: that of this node.")] = None,
    new: Annotated[bool, typer.Option("--new-key", help="Make a new key too; FILE.key is replaced.")] = False,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Issue a certificate anew, with the same names, in the same file."""
    loaded = load_config(config)
    authority = files.load_authority(loaded)
    chain_path = file or loaded.tls.certificate
    key_path = file.with_suffix(".key") if file else loaded.tls.key
    old = files.load_chain(chain_path)[0]
    if old.issuer != authority.certificate.subject:
        raise Failure(Exit.NO, f"{chain_path} is not from this CA", "renew it where it was issued")
    key = new_key() if new else None
    certificate = authority.renew(
        old, now=time.time(), serial=files.new_serial(), key=key.public_key() if key else None
    )
    files.save_pair(chain_path, key_path, certificate, key)
    files.record(loaded, certificate)
    files.publish(loaded, certificate)
    _show(certificate, {"certificate": str(chain_path), "key": str(key_path)}, json)
    remark("A running node takes it with: ringfence reload")


@cert.command("list")
def list_certificates(config: ConfigOption = None, json: JsonOption = False) -> None:
    """List the CA and what it has issued."""
    loaded = load_config(config)
    revoked = files.load_revoked(loaded)
    facts = [
        _facts(each.certificate) | {"state": _state(each.certificate, revoked), "file": str(each.path)}
        for each in files.issued(loaded)
    ]
    if json:
        print_json(facts)
        return
    columns = ("serial", "names", "until", "state")
    print_table(columns, [[each[name] for name in columns] for each in facts])


@cert.command()
def revoke(
    which: Annotated[str, typer.Argument(metavar="SERIAL|NAME|FILE", help="As ringfence cert list has it.")],
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Take a certificate back: nobody who reads the revocation list accepts it any more."""
    loaded = load_config(config)
    authority = files.load_authority(loaded)
    chosen = _choose(loaded, which)
    revoked = authority.revoke(
        chosen, now=time.time(), last=files.load_revoked(loaded), lifetime=CRL_LIFETIME
    )
    files.save_revoked(loaded, revoked)
    for each in chosen:
        files.withdraw(loaded, each)
    path = files.revocation_path(loaded)
    facts = {"revoked": [f"{each.serial_number:x}" for each in chosen], "list": str(path)}
    if json:
        print_json(facts)
    else:
        print_facts(facts)
    if path not in loaded.tls.crl:
        remark(f'The node does not read the list yet: write crl = ["{path.name}"] with its path under [tls].')
    remark("A running node takes it with: ringfence reload")


def _choose(config: Config, which: str) -> list[x509.Certificate]:
    if Path(which).is_file():
        return [files.load_chain(Path(which))[0]]
    revoked = files.load_revoked(config)
    current = [each for each in files.issued(config) if _state(each.certificate, revoked) == "valid"]
    address = which if which.startswith("sip:") else f"sip:{which}"
    found = [
        each.certificate
        for each in current
        if each.serial == which.lower() or which in each.names or address in each.names
    ]
    if not found:
        raise Failure(
            Exit.NO, f"no valid certificate has the serial number or name {which}", "see ringfence cert list"
        )
    return found


def _state(certificate: x509.Certificate, revoked: x509.CertificateRevocationList | None) -> str:
    if revoked and revoked.get_revoked_certificate_by_serial_number(certificate.serial_number):
        return "revoked"
    return "expired" if certificate.not_valid_after_utc.timestamp() < time.time() else "valid"


def _facts(certificate: x509.Certificate) -> dict[str, Any]:
    return {
        "serial": f"{certificate.serial_number:x}",
        "names": list(user_identities(certificate) or domain_identities(certificate).domains),
        "until": certificate.not_valid_after_utc.isoformat(timespec="minutes"),
        "sha256": fingerprint(certificate),
    }


def _show(certificate: x509.Certificate, places: dict[str, str], json: bool) -> None:
    facts = _facts(certificate) | places
    if json:
        print_json(facts)
    else:
        print_facts(facts)
