"""ringfence user import, rotate, credit: many accounts, and their money."""

from __future__ import annotations

import csv
import json
import sqlite3
from pathlib import Path

import pytest

from ringfence.cli.subscribers import Subscriber, read_subscribers
from ringfence.message.errors import LocalError
from ringfence.security.digest import Algorithm, make_ha1
from tests.cli.running import Shell
from tests.cli.test_user import listed, stored
from tests.store.raw import sql

HA1 = make_ha1("bob", "example.org", "secret-of-bob", Algorithm.MD5)

DUMP = f"""
CREATE TABLE `subscriber` (
  `id` int(10) unsigned NOT NULL AUTO_INCREMENT,
  `username` varchar(64) NOT NULL DEFAULT '',
  `domain` varchar(64) NOT NULL DEFAULT '',
  `password` varchar(64) NOT NULL DEFAULT '',
  `email_address` varchar(64) NOT NULL DEFAULT '',
  `ha1` varchar(64) NOT NULL DEFAULT '',
  PRIMARY KEY (`id`),
  UNIQUE KEY `account_idx` (`username`,`domain`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
INSERT INTO `acc` VALUES (1,'(not this)');
INSERT INTO `subscriber` VALUES (1,'alice','example.org','it''s, a \\'(long)\\' secret','a@x','');
INSERT INTO `subscriber` VALUES (2,'bob','example.org','','b@x','{HA1}'),(3,'carol','example.net','x',NULL,'');
"""


def source(shell: Shell, name: str, text: str) -> str:
    (shell.directory / name).write_text(text)
    return name


def test_a_dump_is_taken_over(domain: Shell) -> None:
    name = source(domain, "dump.sql", DUMP)
    tried = domain.type("user", "import", name, "--dry-run", "--json").json
    assert (tried["imported"], listed(domain)) == (2, {})
    done = domain.type("user", "import", name, "--json")
    assert done.json == {"imported": 2, "md5 only": 1, "skipped: not of a domain here": 1}
    assert "Accounts that know MD5 only: 1" in done.err
    alice, bob = stored(domain, "sip:alice@example.org"), stored(domain, "sip:bob@example.org")
    assert alice is not None
    assert alice.credentials["SHA-256"] == make_ha1(
        "alice", "example.org", "it's, a '(long)' secret", Algorithm.SHA_256
    )
    assert "MD5" not in alice.credentials
    assert bob is not None
    assert dict(bob.credentials) == {"MD5": HA1}
    again = domain.type("user", "import", name, "--json").json
    assert (again["imported"], again["skipped: here already"]) == (0, 2)


SCHEMA = Path("/usr/share/kamailio/db_sqlite")
"""What Debian's package kamailio-sqlite-modules makes a database from."""


@pytest.mark.skipif(not SCHEMA.is_dir(), reason="kamailio-sqlite-modules is not installed")
def test_a_database_of_kamailio_s_own_making(domain: Shell) -> None:
    """Its schema, with the rows that its kamctl writes: with and without the password, with SHA-256, by user alone."""
    realm = "example.org"
    sha = make_ha1("carol", realm, "secret-of-carol", Algorithm.SHA_256)
    dave = make_ha1("dave", realm, "secret-of-dave", Algorithm.MD5)
    with sqlite3.connect(domain.directory / "kamailio.sqlite") as database:
        for name in ("standard", "auth_db"):
            database.executescript((SCHEMA / f"{name}-create.sql").read_text())
        database.executemany(
            "INSERT INTO subscriber (username, domain, password, ha1, ha1b) VALUES (?, ?, ?, ?, '')",
            [
                ("alice", realm, "secret-of-alice", ""),
                ("bob", realm, "", HA1),
                ("carol", realm, "", sha),
                ("dave", "", "secret-of-dave", dave),
            ],
        )
    done = domain.type("user", "import", f"sqlite:///{domain.directory}/kamailio.sqlite", "--json").json
    assert done == {"imported": 4, "md5 only": 1}
    known = {user: stored(domain, f"sip:{user}@{realm}") for user in ("alice", "bob", "carol", "dave")}
    kinds = {user: set(account.credentials) for user, account in known.items() if account is not None}
    new = {"SHA-512-256", "SHA-256"}
    assert kinds == {"alice": new, "bob": {"MD5"}, "carol": {"SHA-256"}, "dave": new}
    assert known["carol"] is not None
    assert known["carol"].credentials["SHA-256"] == sha


def test_a_password_that_ha1_denies_is_not_believed(domain: Shell) -> None:
    text = f"username,domain,password,ha1\nbob,example.org,an older password,{HA1}\n"
    assert domain.type("user", "import", source(domain, "s.csv", text), "--json").json["md5 only"] == 1


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ("bob,example.org,,", "no password, and ha1 is none for the realm"),
        ("bob,example.org,,xyz", "no password, and ha1 is none for the realm"),
        ("b ob,example.org,secret,", "no user name of an address"),
        (",example.org,secret,", "no user name of an address"),
        ("bob,elsewhere.org,secret,", "not of a domain here"),
    ],
)
def test_what_can_not_be_an_account_is_counted(domain: Shell, row: str, why: str) -> None:
    name = source(domain, "s.csv", f"username,domain,password,ha1\n{row}\n")
    assert domain.type("user", "import", name, "--json").json == {
        "imported": 0, "md5 only": 0, f"skipped: {why}": 1,
    }  # fmt: skip


def test_a_database_is_read(domain: Shell) -> None:
    with sqlite3.connect(domain.directory / "kamailio.sqlite") as database:
        database.execute("CREATE TABLE subscriber (id, username, domain, password, ha1, ha1b)")
        database.executemany(
            "INSERT INTO subscriber VALUES (?, ?, 'example.org', 'a long enough one', NULL, '')",
            [(number, f"u{number}") for number in range(1200)],
        )
    url = f"sqlite:///{domain.directory}/kamailio.sqlite"
    assert domain.type("user", "import", url, "--json").json["imported"] == 1200
    assert len(listed(domain)) == 1200


@pytest.mark.parametrize("text", ["", "name,secret\na,b\n", "INSERT INTO subscriber VALUES (1,'a',);"])
def test_what_is_no_table_of_subscribers_is_refused(domain: Shell, text: str) -> None:
    result = domain.type("user", "import", source(domain, "x", text))
    assert result.code == 65
    assert domain.type("user", "import", "absent.csv").code == 69
    assert domain.type("user", "import", f"sqlite:///{domain.directory}/data/ringfence.db").code == 69
    assert domain.type("user", "import", "nosuch://x").code == 65


def test_a_dump_may_name_its_columns(tmp_path: Path) -> None:
    path = tmp_path / "dump.sql"
    path.write_text("insert into \"public\".\"subscriber\" (ha1, username) values ('h', 'a\\\\b');")
    assert list(read_subscribers(str(path))) == [Subscriber("a\\b", "", "", "h")]
    path.write_text("INSERT INTO subscriber (username, domain) VALUES ('a');")
    with pytest.raises(LocalError, match="1 values for 2 columns"):
        list(read_subscribers(str(path)))


def test_many_passwords_are_made_anew(domain: Shell) -> None:
    domain.type("user", "import", source(domain, "dump.sql", DUMP))
    assert domain.type("user", "rotate", "-o", "new.csv").code == 2
    done = domain.type("user", "rotate", "--md5-only", "-o", "new.csv", "--json").json
    assert done["changed"] == 1
    path = domain.directory / "new.csv"
    assert path.stat().st_mode & 0o777 == 0o600
    (row,) = csv.DictReader(path.read_text().splitlines())
    bob = stored(domain, "sip:bob@example.org")
    assert bob is not None
    assert bob.credentials["SHA-256"] == make_ha1("bob", "example.org", row["password"], Algorithm.SHA_256)
    assert "MD5" not in bob.credentials
    assert domain.type("user", "rotate", "--md5-only", "-o", "new.csv").code == 69, "it is not overwritten"
    assert domain.type("user", "rotate", "--older", "1", "-o", "old.csv", "--json").json["changed"] == 0


def test_passwords_that_have_not_changed_for_long_are_made_anew(domain: Shell) -> None:
    for user in ("alice", "bob"):
        domain.type("user", "add", user)
    book = domain.directory / "data" / "ringfence.db"
    sql(book, "UPDATE accounts SET updated = updated - 100 * 86400 WHERE username = 'alice'")
    before = {user: stored(domain, f"sip:{user}@example.org") for user in ("alice", "bob")}
    done = domain.type("user", "rotate", "--older", "90", "-o", "new.csv", "--json").json
    assert done["changed"] == 1
    (row,) = csv.DictReader((domain.directory / "new.csv").read_text().splitlines())
    after = {user: stored(domain, f"sip:{user}@example.org") for user in ("alice", "bob")}
    assert after["bob"] == before["bob"]
    assert after["alice"] is not None
    assert after["alice"].credentials["SHA-256"] == make_ha1(
        "alice", "example.org", row["password"], Algorithm.SHA_256
    )
    assert domain.type("user", "rotate", "--older", "90", "-o", "again.csv", "--json").json["changed"] == 0


def test_money_is_shown_and_changed(domain: Shell) -> None:
    domain.type("user", "add", "alice")
    assert domain.type("user", "credit", "alice", "--json").json["balance"] == "0.00"
    assert domain.type("user", "credit", "alice", "--add", "10.5", "--json").json["balance"] == "10.50"
    assert (
        domain.type("user", "credit", "alice", "--take", "0.000001", "--json").json["balance"] == "10.499999"
    )
    assert domain.type("user", "credit", "alice", "--add", "-1").code == 2
    assert domain.type("user", "credit", "alice", "--add", "much").code == 2
    assert domain.type("user", "credit", "nobody").code == 1
    facts = domain.type("user", "limit", "alice", "--prepaid", "--max-seconds", "60", "--json").json
    assert (facts["prepaid"], facts["max_seconds"]) == (True, 60)
    facts = domain.type("user", "limit", "alice", "--postpaid", "--json").json
    assert (facts["prepaid"], facts["max_seconds"]) == (False, 60)
    assert domain.type("user", "unblock", "alice").code == 69, "no node runs"


def test_administrators_have_roles(domain: Shell) -> None:
    made = domain.type("admin", "add", "carol", "--role", "billing", "--json").json
    assert set(made) == {"name", "role", "password"}
    assert domain.type("admin", "add", "carol").code == 1
    found = {each["name"]: each for each in domain.type("admin", "list", "--json").json}
    assert found["carol"]["may"] == ["credit", "read"]
    assert "reveal" in found["admin"]["may"]
    assert "scrypt" not in json.dumps(found)
    assert domain.type("admin", "remove", "admin").code == 1, "the last owner stays"
    assert domain.type("admin", "role", "admin", "auditor").code == 1
    assert domain.type("admin", "role", "carol", "owner").code == 0
    assert domain.type("admin", "role", "admin", "auditor").code == 0
    assert domain.type("admin", "remove", "admin").code == 0
    changed = domain.type(
        "admin", "passwd", "carol", "--password", "-", "--json", stdin="a long enough one\n"
    ).json
    assert changed == {"name": "carol"}
    assert domain.type("admin", "passwd", "admin").code == 1
    assert domain.type("admin", "role", "carol", "king").code == 2
