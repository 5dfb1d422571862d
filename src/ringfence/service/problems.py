"""What is wrong with a configuration, said so that it can be put right: file, line, key, reason, fix.

A fix is a line to write or a command to run. A value that may be a secret is never repeated.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails, PydanticUndefined

from ringfence.message import RingfenceError
from ringfence.service.lines import KeyPath, line_of

MAX_SHOWN_VALUE = 60
"""Characters of a wrong value that an error repeats: enough to recognise it, and the line stays readable."""


class Problem(NamedTuple):
    """One thing that is wrong, in one line for a person."""

    file: str
    line: int | None
    key: str
    reason: str
    fix: str

    def __str__(self) -> str:
        place = f"{self.file} line {self.line}" if self.line else self.file
        subject = f"{place}: {self.key}" if self.key else place
        return f"{subject}: {self.reason}" + (f"; {self.fix}" if self.fix else "")


class ConfigError(RingfenceError):
    """The configuration can't be used. `problems` has everything that is wrong, not only the first."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


_EXPECTED: Mapping[str, str] = {
    "bool_type": "true or false",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "string_type": "a text in quotes",
    "tuple_type": "a list in brackets",
    "dict_type": "a table",
    "model_type": "a table",
    "too_short": "at least one element",
    "string_too_short": "a text that is not empty",
}


def translate(
    error: ValidationError, model: type[BaseModel], file: Path, places: dict[KeyPath, int]
) -> list[Problem]:
    """The problems behind pydantic's error for the model read from the file."""
    found = []
    details = error.errors(include_url=False)
    wrong_elements = {detail["loc"][:1] for detail in details if len(detail["loc"]) > 1}
    for detail in details:
        path = detail["loc"]
        if detail["type"] == "too_short" and path in wrong_elements:
            continue  # pydantic doesn't count an element that is wrong
        key = ".".join(str(part) for part in path if isinstance(part, str))
        reason, fix = _explain(detail, model, path)
        found.append(Problem(file.name, line_of(places, path), key, reason, fix))
    return sorted(found, key=lambda problem: problem.line or 0)


def _explain(detail: ErrorDetails, model: type[BaseModel], path: KeyPath) -> tuple[str, str]:
    kind = detail["type"]
    owner, field = find_field(model, path)
    name = next((part for part in reversed(path) if isinstance(part, str)), "")
    if kind == "extra_forbidden":
        return _unknown(name, owner)
    if kind == "missing":
        return "missing", _write(name, field)
    context = detail.get("ctx", {})
    if "fix" in context:
        return detail["msg"], str(context["fix"])
    return f"{_reason(detail, context)}, got {_shown(detail['input'], field)}", _write(
        name, field, detail["input"]
    )


def _write(name: str, field: FieldInfo | None, value: object = None) -> str:
    if field is None:
        return ""
    if section := section_in(field.annotation):
        return f"write its keys below a line {f'[{name}]' if section is field.annotation else f'[[{name}]]'}"
    return f"write {name} = {toml(example(field, value))}"


def _reason(detail: ErrorDetails, context: Mapping[str, Any]) -> str:
    kind = detail["type"]
    if kind in _EXPECTED:
        return f"expected {_EXPECTED[kind]}"
    if kind == "literal_error":
        return f"expected {context['expected'].replace(chr(39), chr(34))}"
    for bound, word in (("ge", "at least"), ("gt", "more than"), ("le", "at most"), ("lt", "less than")):
        if bound in context:
            return f"must be {word} {context[bound]}"
    return detail["msg"].removeprefix("Value error, ")


def _unknown(name: str, owner: type[BaseModel] | None) -> tuple[str, str]:
    known = [field.alias or key for key, field in owner.model_fields.items()] if owner else []
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    if near:
        return "unknown key", f"did you mean {near[0]}?"
    return "unknown key", "remove it; known here: " + ", ".join(known)


def find_field(model: type[BaseModel], path: KeyPath) -> tuple[type[BaseModel] | None, FieldInfo | None]:
    """The model that has the last name of the path, and its field there."""
    owner: type[BaseModel] | None = model
    field: FieldInfo | None = None
    for part in path:
        if isinstance(part, int):
            continue
        if field is not None:
            owner = section_in(field.annotation)
        fields = owner.model_fields if owner else {}
        field = fields.get(part) or next((each for each in fields.values() if each.alias == part), None)
    return owner, field


def section_in(annotation: Any) -> type[BaseModel] | None:
    """The section that the annotation is, or that is in it (``tuple[Listen, ...]``)."""
    candidates = [annotation, *getattr(annotation, "__args__", ())]
    return next((each for each in candidates if isinstance(each, type) and issubclass(each, BaseModel)), None)


def example(field: FieldInfo, value: object = None) -> object:
    """A value that is right for the field: the nearest allowed word, else its example, else its default."""
    words = [each for each in getattr(field.annotation, "__args__", ()) if isinstance(each, str)]
    if words:
        return next(iter(difflib.get_close_matches(str(value), words, n=1, cutoff=0.4)), words[0])
    if field.annotation is bool and isinstance(value, str):
        return value.lower() in ("yes", "on", "true", "1")
    if field.examples:
        return field.examples[0]
    default = field.get_default(call_default_factory=False)
    return "..." if default in (None, PydanticUndefined) else default


def toml(value: object) -> str:
    """A value as TOML writes it."""
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {toml(each)}" for key, each in value.items()) + "}"
    if isinstance(value, tuple | list):
        return "[" + ", ".join(map(toml, value)) + "]"
    return json.dumps(str(value), ensure_ascii=False)


def _shown(value: object, field: FieldInfo | None) -> str:
    if field is not None and not field.repr:
        return "a value that is not shown"
    if isinstance(value, dict):
        return "a table"
    text = toml(value)
    return text if len(text) <= MAX_SHOWN_VALUE else text[:MAX_SHOWN_VALUE] + "..."
