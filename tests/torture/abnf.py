"""Texts that a grammar in ABNF (RFC 5234) allows, one after the other by chance."""

from __future__ import annotations

import re
from collections.abc import Callable
from random import Random

Make = Callable[[Random], bytes]
"""Makes one text of what a rule allows."""

MORE = 2
"""How often, at most, what may stand any number of times stands more than it has to."""

CORE = {
    "ALPHA": "%x41-5A / %x61-7A",
    "DIGIT": "%x30-39",
    "HEXDIG": 'DIGIT / "A" / "B" / "C" / "D" / "E" / "F"',
    "SP": "%x20",
    "HTAB": "%x09",
    "WSP": "SP / HTAB",
    "CRLF": "%x0D.0A",
    "DQUOTE": "%x22",
    "OCTET": "%x00-FF",
}
"""RFC 5234 appendix B.1."""

_TOKEN = re.compile(
    r'\s*("[^"]*"|%x[0-9A-Fa-f.]+(?:-[0-9A-Fa-f]+)?|\d*\*\d*|\d+|[A-Za-z][A-Za-z0-9-]*|[()\[\]/])'
)
_COMMENT = re.compile(r'^((?:[^";]|"[^"]*")*);.*$', re.MULTILINE)
_RULE = re.compile(r"^([A-Za-z][A-Za-z0-9-]*) = ", re.MULTILINE)


class Grammar:
    """The rules of a text, each beginning in its first column; ``instead`` has some in other words."""

    def __init__(self, text: str, instead: dict[str, str]) -> None:
        parts = _RULE.split(_COMMENT.sub(r"\1", text))
        rules = CORE | dict(zip(parts[1::2], parts[2::2], strict=True)) | instead
        self._rules = {name: _Reader(self, rule).alternatives() for name, rule in rules.items()}

    def make(self, name: str, chance: Random) -> bytes:
        """A text that the rule of that name allows."""
        return self._rules[name](chance)


class _Reader:
    """Reads one rule, by RFC 5234 section 3."""

    def __init__(self, grammar: Grammar, rule: str) -> None:
        self._grammar = grammar
        self._tokens: list[str] = _TOKEN.findall(rule)
        assert "".join(self._tokens) == re.sub(r'("[^"]*")|\s', r"\1", rule), rule

    def alternatives(self) -> Make:
        found = [self._sequence()]
        while self._tokens[:1] == ["/"]:
            self._tokens.pop(0)
            found.append(self._sequence())
        return lambda chance: chance.choice(found)(chance)

    def _sequence(self) -> Make:
        found: list[Make] = []
        while self._tokens and self._tokens[0] not in {"/", ")", "]"}:
            found.append(self._repetition())
        return lambda chance: b"".join(make(chance) for make in found)

    def _repetition(self) -> Make:
        count = self._tokens[0]
        if not (count[0].isdigit() or "*" in count[:1] or (count[-1] == "*" and count[0] != '"')):
            return self._element()
        self._tokens.pop(0)
        least, star, most = count.partition("*")
        low = int(least or 0)
        high = min(int(most), low + MORE) if most else low + MORE if star else low
        make = self._element()
        return lambda chance: b"".join(make(chance) for _ in range(chance.randint(low, high)))

    def _element(self) -> Make:
        token = self._tokens.pop(0)
        if token in {"(", "["}:
            make = self.alternatives()
            assert self._tokens.pop(0) == {"(": ")", "[": "]"}[token]
            return make if token == "(" else lambda chance: make(chance) if chance.random() < 0.5 else b""
        if token[0] == '"':
            return lambda chance: chance.choice((token, token.lower(), token.upper()))[1:-1].encode()
        if token[0] == "%":
            return _octets(token[2:])
        return lambda chance: self._grammar.make(token, chance)


def _octets(text: str) -> Make:
    low, dash, high = text.partition("-")
    if dash:
        return lambda chance: bytes([chance.randint(int(low, 16), int(high, 16))])
    fixed = bytes(int(each, 16) for each in text.split("."))
    return lambda _: fixed
