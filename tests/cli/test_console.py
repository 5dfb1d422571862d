"""ringfence console: what is said when it can't serve. What it serves is tested in tests/console."""

import socket

from tests.cli.running import Shell


def test_a_port_that_is_taken_is_said(domain: Shell) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = domain.type("console", "--listen", f"127.0.0.1:{port}")
    assert done.code == 69
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in done.err


def test_a_certificate_that_is_not_there_is_said(domain: Shell) -> None:
    done = domain.type("console", "--certificate", "absent.pem")
    assert done.code == 69
    assert "absent.pem" in done.err
    assert "--certificate" in done.err


def test_an_address_has_to_be_one(domain: Shell) -> None:
    assert domain.type("console", "--listen", "nonsense").code == 2
