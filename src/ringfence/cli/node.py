"""``ringfence status | reload | drain``: ask the running node, or steer it."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from ringfence.cli.options import ConfigOption, JsonOption, load_config
from ringfence.cli.output import console, print_facts, print_json
from ringfence.service.control_client import ask, stream


def status(config: ConfigOption = None, json: JsonOption = False) -> None:
    """Show what the running node is doing."""
    facts = ask(load_config(config).control_socket, "status")
    if json:
        print_json(facts)
    else:
        print_facts(flat(facts))


def reload(config: ConfigOption = None, json: JsonOption = False) -> None:
    """Have the running node read certificates, revocation lists and its configuration again."""
    facts = ask(load_config(config).control_socket, "reload")
    if json:
        print_json(facts)
    else:
        print_facts(flat(facts or {"reloaded": True}))


def drain(
    seconds: Annotated[float, typer.Option(min=0, help="How long calls in progress are waited for.")] = 60.0,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Have the running node take no new calls, and stop when those in progress are over."""
    for facts in stream(load_config(config).control_socket, "drain", seconds=seconds):
        if json:
            print_json(facts, lines=True)
        else:
            console().print(", ".join(f"{name} {value}" for name, value in flat(facts).items()), markup=False)


def flat(facts: dict[str, Any], prefix: str = "") -> dict[str, object]:
    """Facts within facts as one level, names joined by a space."""
    found: dict[str, object] = {}
    for name, value in facts.items():
        if isinstance(value, dict):
            found |= flat(value, f"{prefix}{name} ")
        else:
            found[f"{prefix}{name}"] = value
    return found
