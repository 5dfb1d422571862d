"""Reading ringfence.toml: defaults, and errors that name file, line, key, reason and fix."""

from pathlib import Path

import pytest

from ringfence.service.addresses import Address, parse_address
from ringfence.service.config import Config, ConfigError
from ringfence.service.config_file import MAX_CONFIG_BYTES
from ringfence.service.template import reference, render
from ringfence.transport.limits import Limits

SMALLEST = '[domain]\nname = "example.org"\n'


def load(directory: Path, text: str) -> Config:
    path = directory / "ringfence.toml"
    path.write_text(text)
    return Config.load(path)


def problems(directory: Path, text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(directory, text)
    assert str(caught.value) == "\n".join(map(str, caught.value.problems))
    return list(map(str, caught.value.problems))


def test_a_domain_is_enough_and_the_rest_is_secure(tmp_path: Path) -> None:
    config = load(tmp_path, SMALLEST)
    assert config.realm == "example.org"
    assert [(each.transport, each.port) for each in config.listeners] == [
        ("tls", 5061),
        ("wss", 5443),
        ("tcp", 5060),
        ("udp", 5060),
    ]
    assert config.security.challenge == "first"
    assert config.security.algorithms == ("SHA-512-256", "SHA-256")
    assert config.metrics.address == Address("127.0.0.1", 9090)
    assert config.limits.for_transport() == Limits()


def test_paths_start_from_the_directory_of_the_file(tmp_path: Path) -> None:
    config = load(tmp_path, SMALLEST + '[tls]\ntrust = ["other.pem", "/etc/roots.pem"]\n')
    assert config.tls.certificate == tmp_path / "tls/server.pem"
    assert config.tls.trust == (tmp_path / "other.pem", Path("/etc/roots.pem"))
    assert config.control_socket == tmp_path / "data/control.sock"
    assert config.secret_file == tmp_path / "data/secret.key"
    assert config.database_url == f"sqlite:///{tmp_path}/data/ringfence.db"


def test_require_tls_closes_the_plaintext_ports(tmp_path: Path) -> None:
    config = load(tmp_path, SMALLEST + "[security]\nrequire_tls = true\n")
    assert {each.transport for each in config.listeners} == {"tls", "wss"}


def test_names_are_compared_in_lower_case(tmp_path: Path) -> None:
    text = '[domain]\nname = "Example.ORG."\naliases = ["192.0.2.1", "2001:DB8::1"]\n'
    config = load(tmp_path, text)
    assert config.domains == {"example.org", "192.0.2.1", "2001:db8::1"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            SMALLEST + '[security]\nrequire_tls = "yes"\n',
            'line 4: security.require_tls: expected true or false, got "yes"; write require_tls = true',
        ),
        (SMALLEST + '[security]\nrequire_tls = "no"\n', "write require_tls = false"),
        (
            SMALLEST + "[registrar]\nmin_expire = 60\n",
            "line 4: registrar.min_expire: unknown key; did you mean min_expires?",
        ),
        (SMALLEST + "[log]\nxyz = 1\n", "log.xyz: unknown key; remove it; known here: level, format, file"),
        (SMALLEST + "[regstrar]\n", "line 3: regstrar: unknown key; did you mean registrar?"),
        (
            SMALLEST + '[[listen]]\ntransport = "tsl"\nport = 1\n',
            'line 4: listen.transport: expected "udp", "tcp", "tls", "ws" or "wss", got "tsl"; write transport = "tls"',
        ),
        (
            SMALLEST + '[[listen]]\ntransport = "udp"\nport = 70000\n',
            "listen.port: must be at most 65535, got 70000",
        ),
        (SMALLEST + "[[listen]]\nport = 1\n", 'line 3: listen.transport: missing; write transport = "udp"'),
        (
            SMALLEST + '[[listen]]\ntransport = "udp"\nport = 1\nhost = "sip.example.org"\n',
            "host must be an address of this machine, or *",
        ),
        (
            SMALLEST + '[[listen]]\ntransport = "tls"\nport = 1\nkey = "a"\n',
            "certificate and key go together",
        ),
        (
            SMALLEST + '[proxy]\nmax_forwards = "two"\n',
            'expected a whole number, got "two"; write max_forwards = 70',
        ),
        (SMALLEST + "[node]\nroles = []\n", "node.roles: expected at least one element"),
        (SMALLEST + '[node]\nroles = [\n"edge",\n"cor"]\n', "line 6: node.roles: expected"),
        (SMALLEST + "[proxy]\ntimer_c_seconds = 180\n", "must be more than 180"),
        (
            SMALLEST + "[registrar]\nmin_expires = 9000\n",
            "line 3: registrar: default_expires must lie between",
        ),
        (SMALLEST + '[policy]\nsteps = ["nothing"]\n', 'expected "package.module:function"'),
        (SMALLEST + '[metrics]\nlisten = "localhost"\n', 'expected "address:port" such as "127.0.0.1:9090"'),
        (SMALLEST + '[[peer]]\nname = "x"\n', "a peer needs a domain, addresses or certificate_names"),
        (SMALLEST + '[[peer]]\nname = "x"\naddresses = ["1.2.3"]\n', "expected an address or a network"),
        (
            SMALLEST + '[[peer]]\nname = "x"\ndomain = "a"\n[[peer]]\nname = "x"\ndomain = "b"\n',
            "two peers have one name; rename one of the peers x",
        ),
        (
            SMALLEST + '[security]\nrequire_tls = true\n[[listen]]\ntransport = "udp"\nport = 5060\n',
            "require_tls is on, and no port is tls or wss",
        ),
        (SMALLEST + f'[control]\nsocket = "/{"x" * 110}"\n', "the path of the control socket is too long"),
        ('[domain]\nname = "a b"\n', 'line 2: domain.name: expected a host name or an address, got "a b"'),
        ("[node]\n", "domain: missing; write its keys below a line [domain]"),
        ("[domain]\n", 'line 1: domain.name: missing; write name = "example.org"'),
        ("domain = 5\n", "line 1: domain: expected a table, got 5"),
        ("[domain]\nname = example.org\n", "line 2: is not TOML: invalid value"),
        ("[domain\n", "line 1: is not TOML: expected ']'"),
        ("[domain]\nname = ", "line 2: is not TOML: invalid value"),
    ],
)
def test_an_error_names_line_key_reason_and_fix(tmp_path: Path, text: str, expected: str) -> None:
    (problem,) = problems(tmp_path, text)
    assert problem.startswith("ringfence.toml")
    assert expected in problem


def test_everything_that_is_wrong_is_told_at_once_in_order_of_lines(tmp_path: Path) -> None:
    found = problems(tmp_path, SMALLEST + "[tls]\nx = 1\n[security]\nrequire_tls = 1\n[log]\nlevel = 3\n")
    assert [text.partition(": ")[0] for text in found] == [
        f"ringfence.toml line {line}" for line in (4, 6, 8)
    ]


def test_the_database_url_is_never_shown(tmp_path: Path) -> None:
    secret = "postgresql://u:hunter2@db/x"
    (problem,) = problems(tmp_path, SMALLEST + f'[database]\nurl = ["{secret}"]\n')
    assert "hunter2" not in problem
    (tmp_path / "ringfence.toml").chmod(0o600)
    assert "hunter2" not in repr(load(tmp_path, SMALLEST + f'[database]\nurl = "{secret}"\n'))


def test_a_long_value_is_cut_short(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, SMALLEST + f'[log]\nlevel = "{"x" * 5000}"\n')
    assert len(problem) < 300


@pytest.mark.parametrize("name", ["tls/server.key", "tls/ca.key", "data/secret.key"])
def test_a_secret_that_others_can_read_is_refused_with_the_command_to_run(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.parent.mkdir()
    path.write_text("secret")
    path.chmod(0o644)
    (problem,) = problems(tmp_path, SMALLEST)
    assert problem.endswith(f"run chmod 600 {path}")
    path.chmod(0o600)
    load(tmp_path, SMALLEST)


def test_a_configuration_with_a_database_password_is_a_secret_itself(tmp_path: Path) -> None:
    path = tmp_path / "ringfence.toml"
    path.touch(0o644)
    (problem,) = problems(tmp_path, SMALLEST + '[database]\nurl = "postgresql://u:p@db/x"\n')
    assert "line 4: database.url" in problem
    assert f"run chmod 600 {path}" in problem


def test_missing_files_are_named_with_the_key_that_names_them(tmp_path: Path) -> None:
    config = load(tmp_path, SMALLEST + '[tls]\ncrl = ["crl.pem"]\n')
    keys = [problem.key for problem in config.missing_files()]
    assert keys == ["tls.certificate", "tls.key", "tls.crl"]


def test_a_port_of_its_own_certificate_does_not_need_the_common_one(tmp_path: Path) -> None:
    text = SMALLEST + '[[listen]]\ntransport = "tls"\nport = 1\ncertificate = "a.pem"\nkey = "a.key"\n'
    config = load(tmp_path, text)
    assert [problem.key for problem in config.missing_files()] == ["listen.certificate", "listen.key"]


def test_files_that_are_no_configuration(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no such file; run ringfence init"):
        Config.load(tmp_path / "absent.toml")
    with pytest.raises(ConfigError, match="can't be read"):
        Config.load(tmp_path)
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="is not UTF-8"):
        Config.load(tmp_path / "binary")
    (tmp_path / "large").write_bytes(b"#" * (MAX_CONFIG_BYTES + 1))
    with pytest.raises(ConfigError, match="too large"):
        Config.load(tmp_path / "large")


def test_what_init_writes_is_read_with_the_values_it_was_given(tmp_path: Path) -> None:
    text = render("example.org", host="sip1", advertise=["sip.example.org"], listen=[("tls", "127.0.0.1", 0)])
    config = load(tmp_path, text)
    assert config.domain.name == "example.org"
    assert config.node.advertise == ("sip.example.org",)
    assert [(each.transport, each.host, each.port) for each in config.listen] == [("tls", "127.0.0.1", 0)]


def test_the_reference_has_every_key_and_is_a_configuration_of_defaults(tmp_path: Path) -> None:
    text = reference()
    config = load(tmp_path, text)
    assert config.model_dump() == load(tmp_path, SMALLEST).model_dump()
    for name, field in Config.model_fields.items():
        assert f"[{name}]" in text
        for key in getattr(field.annotation, "model_fields", {}):
            assert f"\n# {key} = " in text or f"\n{key} = " in text


@pytest.mark.parametrize(
    "text",
    ["::1:80", "[::1]", "127.0.0.1", "127.0.0.1:", "h:1", "[127.0.0.1:1", "127.0.0.1:99999", "127.0.0.1:²"],
)
def test_addresses_that_are_none(text: str) -> None:
    with pytest.raises(ValueError):
        parse_address(text)


def test_addresses_are_written_as_they_are_read() -> None:
    for text in ("127.0.0.1:80", "[2001:db8::1]:5061"):
        assert str(parse_address(text)) == text
    assert parse_address("[::1]:1").loopback
    assert not parse_address("0.0.0.0:1").loopback


@pytest.mark.parametrize("name", ["ipsec-ike", "ipsec-man", "ipsec-3gpp"])
def test_ipsec_is_refused_with_the_reason(name: str) -> None:
    values = {
        "domain": {"name": "example.org"},
        "security": {"agreement": "offer", "mechanisms": ["tls", name]},
    }
    with pytest.raises(ConfigError, match=f"{name} is to be agreed on, and there is no address for it"):
        Config.from_values(values, Path("ringfence.toml"))
    values["ipsec"] = {"address": "192.0.2.1"}  # type: ignore[dict-item]
    lacking = "nothing does the key exchange" if name == "ipsec-ike" else "no phone has keys for it"
    with pytest.raises(ConfigError, match=lacking):
        Config.from_values(values, Path("ringfence.toml"))


@pytest.mark.parametrize(
    "phone",
    [
        {"keys": "k"},
        {"keys": "k", "user": "alice@example.org", "address": "192.0.2.7"},
        {"keys": "k", "address": "192.0.2.7", "spi_in": 1000},
    ],
)
def test_a_phone_with_ipsec_is_a_subscriber_or_an_address(phone: dict[str, object]) -> None:
    values = {"domain": {"name": "example.org"}, "ipsec": {"address": "192.0.2.1", "phone": [phone]}}
    with pytest.raises(ConfigError, match="a phone needs user, or address, spi_in and spi_out"):
        Config.from_values(values, Path("ringfence.toml"))


def test_an_agreement_on_tls_needs_a_port_for_it() -> None:
    values = {
        "domain": {"name": "example.org"},
        "listen": [{"transport": "udp", "port": 5060}],
        "security": {"agreement": "offer"},
    }
    with pytest.raises(ConfigError, match="no port is tls"):
        Config.from_values(values, Path("ringfence.toml"))


def test_where_bodies_must_be_protected() -> None:
    values = {
        "domain": {"name": "example.org"},
        "bodies": [
            {"to": "board@example.org", "require": "encrypted"},
            {"to": "Example.NET", "require": "signed"},
        ],
    }
    found = Config.from_values(values, Path("ringfence.toml")).bodies
    assert [each.destination for each in found] == ["sip:board@example.org", "example.net"]
