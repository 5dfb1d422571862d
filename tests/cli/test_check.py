"""ringfence check: what it prints and how it exits. The rules have tests of their own."""

from tests.cli.running import Shell


def append(shell: Shell, text: str) -> None:
    path = shell.directory / "ringfence.toml"
    path.write_text(path.read_text() + text)


def test_warnings_are_no_failure_unless_strict(domain: Shell) -> None:
    result = domain.type("check")
    assert result.code == 0
    assert "warning: ringfence.toml: listen.transport: udp 5060 is plaintext" in result.out
    assert result.out.endswith("0 errors, 2 warnings\n")
    assert domain.type("check", "--strict").code == 1


def test_a_domain_with_tls_alone_passes_strictly(shell: Shell) -> None:
    shell.type("init", "example.org", "--require-tls")
    result = shell.type("check", "--strict")
    assert (result.code, result.out) == (0, "Nothing to remark on.\n")


def test_an_error_is_a_failure_with_line_and_fix(domain: Shell) -> None:
    append(domain, '\n[[peer]]\nname = "all"\naddresses = ["0.0.0.0/0"]\n')
    result = domain.type("check")
    lines = (domain.directory / "ringfence.toml").read_text().splitlines()
    line = lines.index('addresses = ["0.0.0.0/0"]') + 1
    assert result.code == 1
    assert f"error: ringfence.toml line {line}: peer.addresses: all: 0.0.0.0/0 is" in result.out


def test_a_file_that_can_not_be_read_is_checked_too(domain: Shell) -> None:
    append(domain, "\n[nonsense]\n")
    result = domain.type("check")
    assert result.code == 1
    assert "unknown key" in result.out
    assert domain.type("check", "--config", "absent.toml").code == 1


def test_json_has_the_same(domain: Shell) -> None:
    append(domain, "\n[tls.nonsense]\n")
    result = domain.type("check", "--json")
    assert result.code == 1
    assert result.json["good"] is False
    (finding,) = result.json["findings"]
    assert finding["severity"] == "error"
    assert finding["key"] == "tls.nonsense"
    assert set(finding) == {"severity", "file", "line", "key", "reason", "fix"}


def test_the_reference_is_a_configuration(shell: Shell) -> None:
    result = shell.type("check", "--reference")
    (shell.directory / "ringfence.toml").write_text(result.out)
    assert "there is no file" in shell.type("check").out
    assert "is not TOML" not in shell.type("check").out
