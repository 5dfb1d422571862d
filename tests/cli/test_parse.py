"""ringfence parse: JSON out, and how it ends."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from ringfence.cli.app import main
from ringfence.service.capture import beginning, packet
from tests.cli.running import Result, Shell
from tests.message.samples import invite_bytes
from tests.service.test_capture import CASES, MESSAGE
from tests.torture.judge import HERE

BODY = b"hello\r\n"


def file(shell: Shell, data: bytes, name: str = "message") -> str:
    (shell.directory / name).write_bytes(data)
    return name


def lines(result: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.out.splitlines()]


def test_a_message_is_shown_with_typed_values(shell: Shell) -> None:
    change = {"CSeq": "314159 OPTIONS", "Contact": None}
    start = "OPTIONS sip:bob@example.net SIP/2.0"
    other = invite_bytes(change, start=start, extra=("X-foo:  a", "m: <sip:b@h>;q=0.1, <tel:+1>"))
    result = shell.type("parse", file(shell, other))
    assert result.code == 0
    shown = result.json
    assert shown["start_line"]["method"] == "OPTIONS"
    assert shown["start_line"]["target"]["host"] == "example.net"
    assert [header["name"] for header in shown["headers"]][:3] == ["Via", "Max-Forwards", "To"]
    by_name = {header["name"]: header for header in shown["headers"]}
    assert by_name["Via"]["value"][0]["branch"] == "z9hG4bK776asdhds"
    assert by_name["CSeq"]["value"] == {"number": 314159, "method": "OPTIONS"}
    assert by_name["Contact"]["received"] == "m: <sip:b@h>;q=0.1, <tel:+1>"
    assert by_name["Contact"]["value"][0]["params"] == {"q": "0.1"}
    assert by_name["Contact"]["value"][1]["uri"]["number"] == "+1"
    assert by_name["X-Foo"] == {"name": "X-Foo", "received": "X-foo:  a", "text": "a"}
    assert shown["body"]["sdp"]["media"][0]["port"] == 49172
    assert "error" not in shown


def test_a_response_and_a_text_body(shell: Shell) -> None:
    data = invite_bytes({"Content-Type": "text/plain"}, start="SIP/2.0 200 OK", body=BODY)
    shown = shell.type("parse", file(shell, data)).json
    assert shown["start_line"] == {"kind": "response", "version": "SIP/2.0", "status": 200, "reason": "OK"}
    assert shown["body"] == {"type": "text/plain", "length": 7, "text": "hello\r\n"}


def test_parts_are_a_tree(shell: Shell) -> None:
    shown = shell.type("parse", str(HERE / "rfc4475" / "mpart01.dat")).json
    text, binary = shown["body"]["parts"]
    assert text["text"] == "Hello"
    assert (binary["length"], binary["base64"][:4]) == (342, "MIIB")


def test_a_fault_has_its_status_header_and_reason_and_the_exit_code_is_65(shell: Shell) -> None:
    result = shell.type("parse", str(HERE / "rfc4475" / "baddate.dat"))
    assert result.code == 65
    assert result.json["error"]["status"] == 400
    assert result.json["error"]["header"] == "Date"
    assert "GMT" in result.json["error"]["reason"]
    assert result.json["start_line"]["method"] == "INVITE"
    version = shell.type("parse", str(HERE / "rfc4475" / "badvers.dat"))
    assert (version.code, version.json["error"]["status"]) == (65, 505)
    assert "start_line" not in version.json


def test_every_fault_is_told(shell: Shell) -> None:
    data = invite_bytes(
        {"Contact": None, "Content-Type": "application/sdp"}, extra=("Date: x",), body=b"nonsense"
    )
    result = shell.type("parse", file(shell, data))
    assert [error["header"] for error in result.json["errors"]] == ["Date", "Contact", None]
    assert result.json["body"]["text"] == "nonsense"


def test_several_files_are_json_lines(shell: Shell) -> None:
    good, bad = file(shell, invite_bytes(), "good"), file(shell, b"x", "bad")
    result = shell.type("parse", good, bad, good)
    assert result.code == 65
    assert [(shown["file"], "error" in shown) for shown in lines(result)] == [
        ("good", False),
        ("bad", True),
        ("good", False),
    ]


def test_line_feeds_are_refused_with_the_option_that_takes_them(shell: Shell) -> None:
    name = file(shell, invite_bytes(body=b"", change={"Content-Type": None}).replace(b"\r\n", b"\n"))
    result = shell.type("parse", name)
    assert result.code == 65
    assert "--lf" in result.json["error"]["reason"]
    assert shell.type("parse", "--lf", name).code == 0
    name = file(shell, invite_bytes(body=b"", change={"Content-Type": None}).replace(b"\r\n", b"\n").rstrip())
    assert shell.type("parse", "--lf", name).code == 0


def test_a_stream_has_many_messages(shell: Shell) -> None:
    result = shell.type("parse", "--stream", file(shell, b"\r\n\r\n" + invite_bytes() * 3))
    assert (result.code, len(lines(result))) == (0, 3)
    result = shell.type("parse", "--stream", file(shell, invite_bytes() + invite_bytes()[:-1]))
    assert result.code == 65
    assert ["error" in shown for shown in lines(result)] == [False, True]
    result = shell.type("parse", "--stream", file(shell, invite_bytes() + b"\x00\x01"))
    assert ["error" in shown for shown in lines(result)] == [False, True]


def test_without_a_file_standard_input_is_read(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for words in (["parse", "--json"], ["parse", "--json", "-"]):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(invite_bytes())))
        with pytest.raises(SystemExit) as ended:
            main(words)
        assert not ended.value.code
        assert json.loads(capsys.readouterr().out)["start_line"]["method"] == "INVITE"


def test_what_cannot_be_printed_is_escaped(shell: Shell) -> None:
    data = invite_bytes({"To": '"\x9b31m \\\x1b[2J\\\x7f" <sip:b@h>'}, extra=("Subject: x",)).replace(
        b": x", b": \xff"
    )
    result = shell.type("parse", file(shell, data))
    assert result.out.isprintable() or set(result.out) - {"\n"} == {c for c in result.out if c.isprintable()}
    assert "\\\\xff" in result.out
    assert result.json["headers"][2]["value"]["display"] == "\x9b31m \x1b[2J\x7f"


def test_a_file_that_is_not_there_is_a_usage_error(shell: Shell) -> None:
    assert shell.type("parse", "nothing").code == 2
    assert shell.type("parse", str(Path())).code == 2


@pytest.mark.parametrize("path", sorted(HERE.glob("rfc*/*.dat")), ids=lambda path: path.stem)
def test_every_torture_message_gives_json(shell: Shell, path: Path) -> None:
    result = shell.type("parse", str(path))
    assert result.code == (65 if "error" in result.json else 0)


def test_a_capture_gives_each_message_with_its_packet(shell: Shell) -> None:
    capture = beginning("test") + packet(CASES[0][0], MESSAGE) + packet(CASES[1][0], b"junk\r\n\r\n")
    result = shell.type("parse", file(shell, capture, "a.pcapng"))
    assert result.code == 65  # the second is malformed
    good, bad = lines(result)
    assert good["packet"]["source"] == "192.0.2.1:40000"
    assert good["start_line"]["method"] == "OPTIONS"
    assert "error" not in good
    assert bad["error"]["status"] == 400
