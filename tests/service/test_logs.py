"""Logs: one line an event, no secrets, no forged lines, no flood."""

import io
import json
import logging
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from ringfence.service.logs import MAX_LINES_PER_SECOND, MAX_VALUE, REDACTED, FloodLimit, configure, redact
from ringfence.transport.quiet import quiet_unless_configured

AUTHORIZATION = (
    'Authorization: Digest username="alice", realm="example.org", nonce="n0nce", uri="sip:example.org", '
    'response="6629fae49393a05397450978507c4ef1", cnonce="0a4f113b"'
)


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    configure(level="debug", stream=stream)
    yield stream
    structlog.reset_defaults()
    root.handlers[:], root.level = handlers, level


def events(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_an_event_is_one_line_of_json(stream: io.StringIO) -> None:
    structlog.get_logger().info("registered", aor="sip:alice@example.org", contacts=2, ok=True, none=None)
    (event,) = events(stream)
    assert event.pop("timestamp")
    assert event == {
        "event": "registered",
        "level": "info",
        "aor": "sip:alice@example.org",
        "contacts": 2,
        "ok": True,
        "none": None,
    }


@pytest.mark.parametrize("key", ["password", "Authorization", "Proxy-Authorization", "ha1", "nonce", "token"])
def test_a_secret_is_known_by_its_name(stream: io.StringIO, key: str) -> None:
    structlog.get_logger().info("x", **{key: "hunter2", "nested": {key: ["hunter2"]}})
    assert "hunter2" not in stream.getvalue()


@pytest.mark.parametrize(
    ("text", "secrets"),
    [
        (AUTHORIZATION, ["6629fae", "n0nce", "0a4f"]),
        ('INVITE sip:b SIP/2.0\r\nproxy-authorization : Digest\r\n response="s3cret"\r\nTo: x', ["s3cret"]),
        ('the header was Digest response="s3cret", qop=auth', ["s3cret"]),
        ("Digest response = 1, response=s3cret;x", ["s3cret"]),
        ("-----BEGIN PRIVATE KEY-----\nMIGHAgEA\n-----END PRIVATE KEY-----", ["MIGH"]),
        ("-----BEGIN EC PRIVATE KEY-----\nMIGHAgEA", ["MIGH"]),
        ("a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3|2^20", ["d0Rmdm"]),
        ("s=-\r\nk=clear:s3cret\r\n", ["s3cret"]),
        ("postgresql://ringfence:s3cret@db/x", ["s3cret"]),
        ("sip:alice:s3cret@example.org", ["s3cret"]),
    ],
)
def test_a_secret_is_known_by_its_form(stream: io.StringIO, text: str, secrets: list[str]) -> None:
    structlog.get_logger().info("x", reason=text, raw=text.encode())
    try:
        raise ValueError(text)
    except ValueError:
        structlog.get_logger().exception("failed")
    logging.getLogger("library").warning("said %s", text)
    assert len(events(stream)) == 3
    for secret in secrets:
        assert secret not in stream.getvalue()
        assert secret not in redact(text)


def test_what_is_no_secret_stays(stream: io.StringIO) -> None:
    text = "INVITE sip:bob@example.net;transport=tls SIP/2.0, Via: SIP/2.0/TLS 192.0.2.1:5061;branch=z9hG4bK1"
    assert redact(text) == text
    assert 'username="alice"' in redact('username="alice", response="x"')


def test_identities_are_left_out_where_privacy_was_asked(stream: io.StringIO) -> None:
    structlog.get_logger().info(
        "call",
        private=True,
        caller="Alice",
        status=200,
        reason="from <sip:alice@192.0.2.9:5060> and tel:+358401234",
    )
    (event,) = events(stream)
    assert event["caller"] == "[private]"
    assert event["reason"] == "from <sip:[private]> and tel:[private]"
    assert event["status"] == 200
    assert "private" not in event


def test_no_value_forges_a_line_or_moves_the_cursor(stream: io.StringIO) -> None:
    for console in (False, True):
        configure(level="debug", stream=stream, console=console)
        structlog.get_logger().info("x", reason="a\r\nlevel=error\x1b[2J\u2028b\x00")
    assert len(stream.getvalue().splitlines()) == 2
    assert "\x1b" not in stream.getvalue()


def test_octets_that_are_no_text_do_not_stop_a_log_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "node.log"
    with path.open("w", encoding="utf-8") as file:
        configure(level="debug", stream=file)
        structlog.get_logger().info("x", reason="b\udcffb \u202egnp.exe")
    assert "b\\\\udcffb \\\\u202egnp.exe" in path.read_text(encoding="utf-8")


def test_an_exception_is_one_line_that_says_where(stream: io.StringIO) -> None:
    try:
        json.loads("{")
    except ValueError:
        structlog.get_logger().exception("failed")
    (event,) = events(stream)
    assert str(event["error"]).startswith("JSONDecodeError: ")
    assert "test_logs.py:" in str(event["trace"])


def test_a_long_value_is_cut(stream: io.StringIO) -> None:
    structlog.get_logger().info("x", reason="y" * 100_000)
    assert len(stream.getvalue()) < MAX_VALUE + 200


@pytest.mark.parametrize(
    "unit",
    [
        "a.",
        "a-",
        "sip:",
        "sip:a:",
        "a://",
        "a://b:",
        "response=",
        '="',
        "cookie ",
        "-----BEGIN ",
        "a=crypto:1 ",
    ],
)
def test_no_text_of_a_stranger_takes_long_to_redact(unit: str) -> None:
    text = (unit * 65_000)[:65_000]
    began = time.process_time()
    redact(text)
    assert time.process_time() - began < 0.5


def test_a_secret_that_begins_in_a_long_value_is_not_shown(stream: io.StringIO) -> None:
    structlog.get_logger().info("x", header="a" * (MAX_VALUE - 20) + ' response="' + "s3cret" * 1000)
    structlog.get_logger().info("x", header=f"{AUTHORIZATION}\r\n" * 100)
    assert "s3cret" not in stream.getvalue()
    assert "n0nce" not in stream.getvalue()


def test_the_level_is_kept(stream: io.StringIO) -> None:
    configure(level="warning", stream=stream)
    structlog.get_logger().info("quiet")
    structlog.get_logger().warning("loud")
    logging.getLogger("sqlalchemy.engine").debug("INSERT ...")
    configure(level="info", stream=stream)
    logging.getLogger("alembic").info("Context impl SQLiteImpl.")
    assert [event["event"] for event in events(stream)] == ["loud"]


def test_a_flood_of_one_event_is_cut_off_and_told() -> None:
    now = 10.0
    limit = FloodLimit(lambda: now)

    def passes(method: str = "info") -> dict[str, object] | None:
        try:
            return dict(limit(None, method, {"event": "malformed message"}))
        except structlog.DropEvent:
            return None

    shown = [passes() for _ in range(MAX_LINES_PER_SECOND + 50)]
    assert sum(event is not None for event in shown) == MAX_LINES_PER_SECOND
    assert passes("error")
    now = 11.0
    event = passes()
    assert event is not None
    assert event["suppressed"] == 50
    assert "suppressed" not in (passes() or {})


@pytest.mark.parametrize(
    "text",
    [
        'Proxy-AuthoriZation: Digest response="x"',
        "reſponse=secret",  # a long s
        "PASSWORD=secret",
        "a=Crypto:1 AES_CM_128_HMAC_SHA1_80 INLINE:secret|2^20",
        "a=ice-pwd:secret",
        "a=key-mgmt:mikey secret",
        "k=clear:secret",
        "sip:alice:secret@example.org",
        "postgresql://node:secret@db",
        "-----BEGIN PRIVATE KEY-----\nsecret",
    ],
)
def test_the_word_that_is_looked_for_first_misses_no_secret(text: str) -> None:
    assert "secret" not in redact(text)
    assert REDACTED in redact(text)


def test_logs_that_were_turned_round_do_not_go_in_circles(stream: io.StringIO) -> None:
    """A program that has its own ideas of structlog, after ours was set up."""
    structlog.reset_defaults()
    quiet_unless_configured()
    structlog.get_logger("ringfence.test").warning("once")
    assert stream.getvalue() == ""
