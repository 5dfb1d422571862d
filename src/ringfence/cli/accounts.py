"""What the account commands share: addresses as people write them, passwords, and the database."""

from __future__ import annotations

import getpass
import secrets
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from ringfence.cli.failure import Exit, Failure
from ringfence.cli.output import remark
from ringfence.message import PeerError, SipUri, parse_uri
from ringfence.security.digest import Algorithm, make_ha1
from ringfence.service.config import Config

if TYPE_CHECKING:
    from ringfence.store.database import Database

GENERATED = "generated"
PROMPT = "prompt"
STANDARD_INPUT = "-"
"""Where a password comes from."""

SHORT_PASSWORD = 12
"""Characters below which a password is remarked on: whoever records one digest exchange over UDP can try
passwords against it without end."""

ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"
"""Without characters that look alike, and typed on a phone without changing the keyboard."""

GROUPS, GROUP_LETTERS = 4, 5
"""20 characters of 31: 99 bits."""


def parse_address(text: str, config: Config) -> SipUri:
    """The address of an account, from ``sip:u@d``, ``sips:u@d``, ``u@d`` or ``u`` alone.

    An alias of the domain has the same users, so that their accounts are kept under the domain's name.
    """
    scheme, colon, _ = text.partition(":")
    whole = text if colon and scheme.lower() in ("sip", "sips") else f"sip:{text}"
    if "@" not in whole:
        whole += f"@{config.domain.name}"
    try:
        uri = parse_uri(whole)
    except PeerError as error:
        raise Failure(Exit.BAD_DATA, f"{text} is no address: {error.reason}", "write user@domain") from None
    if not isinstance(uri, SipUri) or not uri.user or uri.password or uri.port or uri.params or uri.headers:
        raise Failure(Exit.BAD_DATA, f"{text} is not the address of a user", "write user@domain")
    if uri.host not in config.domains:
        known = ", ".join(sorted(config.domains))
        fix = f"domains here: {known}; add others to domain.aliases in {config.file}"
        raise Failure(Exit.BAD_DATA, f"{uri.host} is not a domain of this node", fix)
    return uri.replace(host=config.domain.name)


def user_of(uri: SipUri) -> str:
    """The user name that a phone is given for the address, and that its digest has."""
    return uri.aor.removeprefix("sip:").rpartition("@")[0]


def generate_password() -> str:
    """A password for one account, in groups so that it can be read out."""
    letters = [secrets.choice(ALPHABET) for _ in range(GROUPS * GROUP_LETTERS)]
    return "-".join(map("".join, zip(*[iter(letters)] * GROUP_LETTERS, strict=True)))


def read_password(source: str, subject: str) -> tuple[str, bool]:
    """A password and whether it was made here, so that it has to be shown.

    `source` is "generated", "prompt", or "-" for a line of standard input. It is never the password itself: the
    command line can be read by every user of the machine.
    """
    if source == GENERATED:
        return generate_password(), True
    if source == STANDARD_INPUT:
        password = sys.stdin.readline().rstrip("\r\n")
    elif source == PROMPT:
        password = _prompt(subject)
    else:
        fix = (
            "write --password - and give it on standard input, or --password prompt, or --password generated"
        )
        raise Failure(
            Exit.USAGE, "a password on the command line can be seen by every user of this machine", fix
        )
    if not password:
        raise Failure(
            Exit.BAD_DATA, f"the password of {subject} is empty", "give one, or --password generated"
        )
    if len(password) < SHORT_PASSWORD:
        remark(
            f"The password is shorter than {SHORT_PASSWORD} characters: it can be guessed from one recorded call."
        )
    return password, False


def _prompt(subject: str) -> str:
    if not sys.stdin.isatty():
        raise Failure(Exit.USAGE, "there is no terminal to ask for a password on", "use --password -")
    password = getpass.getpass(f"Password of {subject}: ")
    if getpass.getpass("Again: ") != password:
        raise Failure(Exit.NO, "the two passwords differ", "try again")
    return password


def credentials(user: str, config: Config, password: str, *, md5: bool) -> Mapping[str, str]:
    """What is stored of a password: H(A1) for each algorithm that the account may use."""
    if md5 and Algorithm.MD5 not in config.security.algorithms:
        remark(
            f'MD5 is not offered: add "MD5" to security.algorithms in {config.file} for phones that need it.'
        )
    algorithms = [Algorithm.SHA_512_256, Algorithm.SHA_256, *([Algorithm.MD5] if md5 else [])]
    return {str(algorithm): make_ha1(user, config.realm, password, algorithm) for algorithm in algorithms}


@asynccontextmanager
async def open_database(config: Config) -> AsyncIterator[Database]:
    """The database of the node, whether the node runs or not. Raises StoreError."""
    from ringfence.store.database import Database  # SQLAlchemy: 0.3 s that other commands save

    if not config.database_exists():
        reason = f"there is no database in {config.node.data_dir}"
        raise Failure(Exit.UNAVAILABLE, reason, "run ringfence init DOMAIN first")
    database = await Database.open(config.database_url, **config.registrations.options)
    try:
        yield database
    finally:
        await database.close()
