"""ringfence admin token: what programs bring to the console."""

import asyncio
import time

from ringfence.console.tokens import digest_of
from ringfence.store.database import Database
from ringfence.store.records import Token
from tests.cli.running import Shell


def found(shell: Shell, text: str) -> Token | None:
    async def find() -> Token | None:
        database = await Database.open(f"sqlite:///{shell.directory}/data/ringfence.db")
        try:
            return await database.tokens.find(digest_of(text))
        finally:
            await database.close()

    return asyncio.run(find())


def test_a_token_is_shown_once_listed_and_removed(domain: Shell) -> None:
    made = domain.type("admin", "token", "add", "monitoring", "--days", "2", "--json")
    assert made.code == 0
    text = made.json["token"]
    token = found(domain, text)
    assert token is not None
    assert token.administrator == "admin"
    assert 0 < token.expires - time.time() - 86_400 <= 86_400
    listing = domain.type("admin", "token", "list")
    assert "monitoring" in listing.out
    assert text not in listing.out
    assert text.encode() not in (domain.directory / "data" / "ringfence.db").read_bytes()
    assert domain.type("admin", "token", "add", "monitoring").code == 1
    assert domain.type("admin", "token", "remove", "monitoring").code == 0
    assert found(domain, text) is None
    assert domain.type("admin", "token", "remove", "monitoring").code == 1


def test_a_token_is_somebodys_and_goes_with_them(domain: Shell) -> None:
    assert domain.type("admin", "token", "add", "x", "--for", "nobody").code == 1
    domain.type("admin", "add", "watcher")
    text = domain.type("admin", "token", "add", "x", "--for", "watcher", "--json").json["token"]
    domain.type("admin", "remove", "watcher")
    assert found(domain, text) is None
