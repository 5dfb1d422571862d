"""A node with a call on it, as Wireshark, a HEP server and an OpenTelemetry collector see it."""

from __future__ import annotations

import http.server
import json
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.interop.node import RINGFENCE, Node, environment, password_of
from tests.interop.processes import HOST, Program, eventually
from tests.service.test_hep import read


class Collector:
    """An OTLP receiver over HTTP and a HEP server over UDP, in threads of their own."""

    def __init__(self) -> None:
        self.spans: list[Any] = []
        self.resources: list[dict[str, str]] = []
        self.authorized: set[str | None] = set()
        self.packets: list[dict[int, Any]] = []
        collector = self

        class Traces(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                collector.authorized.add(self.headers["Authorization"])
                for each in ExportTraceServiceRequest.FromString(body).resource_spans:
                    found = {one.key: one.value.string_value for one in each.resource.attributes}
                    collector.resources.append(found)
                    collector.spans += [span for scope in each.scope_spans for span in scope.spans]
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.web = http.server.ThreadingHTTPServer((HOST, 0), Traces)
        self.ears = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.ears.bind((HOST, 0))
        for work in (self.web.serve_forever, self._listen):
            threading.Thread(target=work, daemon=True).start()

    def _listen(self) -> None:
        while data := self.ears.recv(65_536):
            self.packets.append(read(data))

    def close(self) -> None:
        self.web.shutdown()
        self.web.server_close()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"", self.ears.getsockname())


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    found = Collector()
    yield found
    found.close()


@pytest.fixture(scope="module")
def node(collector: Collector, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    directory = tmp_path_factory.mktemp("exports") / "node"
    settings = (
        f'[hep]\nserver = "{HOST}"\nport = {collector.ears.getsockname()[1]}\npassword = "hep.password"\n'
        f'[otel]\nendpoint = "http://{HOST}:{collector.web.server_port}/v1/traces"\nheaders = "otel.headers"\n'
    )
    node = Node.create(directory, transports=("tls",), old_phones=False)
    for name, text in (
        ("hep.password", "from-homer\n"),
        ("otel.headers", "Authorization: Bearer secret-token\n"),
    ):
        (directory / name).write_text(text, encoding="utf-8")
        (directory / name).chmod(0o600)
    node.config.write_text(node.config.read_text(encoding="utf-8") + settings, encoding="utf-8")
    for user in ("alice", "bob"):
        node.add_user(user)
    node.serve()
    yield node
    node.end()


def phone(node: Node, directory: Path, command: str, user: str, *words: str) -> Program:
    secret = directory / user
    secret.write_text(password_of(user))
    line: list[str | Path] = [
        RINGFENCE,
        command,
        *words,
        "--trust",
        node.authority,
        "--password-file",
        secret,
    ]
    return Program(
        [*line, "--proxy", f"sips:{HOST}:{node.listen['tls']}"], directory / f"{command}-log", environment()
    )


@pytest.fixture
def call(node: Node, tmp_path: Path) -> Callable[..., None]:
    """Alice calls bob, and hangs up at once."""

    def place(*words: str) -> None:
        bob = phone(node, tmp_path, "answer", "bob", "sips:bob@example.org")
        eventually(lambda: "Registered" in bob.tail(), "bob is registered")
        line = ("sips:bob@example.org", "--from", "sips:alice@example.org", "--duration", "0.1", *words)
        alice = phone(node, tmp_path, "call", "alice", *line)
        eventually(lambda: not alice.running, "the call is over", 30)
        assert "Ended: we hung up" in alice.tail()
        bob.end()

    return place


@pytest.mark.interop("tshark")
def test_wireshark_reads_a_call_that_went_by_tls(
    node: Node, tmp_path: Path, call: Callable[..., None]
) -> None:
    capture = tmp_path / "call.pcapng"
    words: list[str | Path] = [RINGFENCE, "trace", "--pcap", capture, "--config", node.config]
    tracing = Program(words, tmp_path / "trace", environment())
    eventually(lambda: capture.exists() and capture.stat().st_size, "the capture has begun")
    call()
    tracing.end()
    assert capture.stat().st_mode & 0o077 == 0
    wanted = ["sip.Method", "sip.Status-Code", "sip.Call-ID", "sdp.media", "_ws.malformed"]
    fields = [word for name in wanted for word in ("-e", name)]
    shown = subprocess.run(
        ["tshark", "-r", str(capture), "-Y", "sip", "-T", "json", *fields],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    packets = [each["_source"]["layers"] for each in json.loads(shown.stdout)]
    assert not [each for each in packets if "_ws.malformed" in each]
    methods = [each["sip.Method"][0] for each in packets if "sip.Method" in each]
    assert [each for each in methods if each != "REGISTER"][:3] == ["INVITE", "ACK", "INVITE"]
    assert methods.count("BYE") == 2
    assert {"200", "180", "407"} <= {
        each["sip.Status-Code"][0] for each in packets if "sip.Status-Code" in each
    }
    assert any("RTP/SAVP" in each.get("sdp.media", [""])[0] for each in packets)
    data = capture.read_bytes()
    assert b"response=" not in data.replace(b'response="redacted"', b"")
    assert b"inline:" + b"A" * 40 in data


def test_a_hep_server_and_a_collector_are_told_of_a_call(
    node: Node, collector: Collector, call: Callable[..., None]
) -> None:
    collector.packets.clear()
    call()
    eventually(lambda: sum(b"BYE" in each[15][:3] for each in collector.packets) == 2, "both BYEs came")
    bye = next(each for each in collector.packets if each[15].startswith(b"BYE"))
    one_call = [each for each in collector.packets if each[17] == bye[17]]
    assert len(one_call) >= 12
    for each in one_call:
        assert each[14] == b"from-homer"
        assert each[12] == 2001
        assert b"response=" not in each[15].replace(b'response="redacted"', b"")
    eventually(lambda: [each for each in collector.spans if each.name == "branch"], "spans came", 20)
    assert collector.authorized == {"Bearer secret-token"}
    assert collector.resources[0]["service.name"] == "ringfence"
    branch = next(each for each in collector.spans if each.name == "branch")
    (parent,) = [each for each in collector.spans if each.span_id == branch.parent_span_id]
    assert parent.name == "INVITE"
    told = {each.key: each.value for each in parent.attributes}
    assert told["sip.response.status_code"].int_value == 200
    assert "alice" not in str(collector.spans)
    assert HOST not in str(collector.spans)


def test_a_private_call_names_nobody_to_the_end(
    node: Node, collector: Collector, call: Callable[..., None]
) -> None:
    collector.packets.clear()
    call("--privacy", "id")
    eventually(lambda: sum(b"BYE" in each[15][:3] for each in collector.packets) == 2, "both BYEs came")
    calls = [each for each in collector.packets if b"REGISTER" not in each[15]]
    assert [each for each in calls if b"sips:alice" in each[15]] == []
    assert {each.get(17) for each in calls} == {None}
