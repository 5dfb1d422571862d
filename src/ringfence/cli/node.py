"""``ringfence status | reload | stop``: ask the running node, or steer it."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from ringfence.cli.options import ConfigOption, JsonOption, load_config
from ringfence.cli.output import print_facts, print_json
from ringfence.service.control_client import ask


def status(config: ConfigOption = None, json: JsonOption = False) -> None:
    """Show what the running node is doing."""
    facts = ask(load_config(config).control_socket, "status")
    if json:
        print_json(facts)
    else:
        print_facts(flat(facts))


def reload(config: ConfigOption = None, json: JsonOption = False) -> None:
    """Have the running node read certificates and revocation lists again. A changed ringfence.toml needs a restart."""
    facts = ask(load_config(config).control_socket, "reload")
    if json:
        print_json(facts)
    else:
        print_facts(flat(facts))


def stop(
    drain: Annotated[
        bool,
        typer.Option(
            "--drain", help="Take nothing new, and let what goes on be done, up to [limits] drain_seconds."
        ),
    ] = False,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Have the running node end. What is in progress gets an answer."""
    facts = ask(load_config(config).control_socket, "stop", drain=drain)
    if json:
        print_json(facts)
    else:
        print_facts(flat(facts))


def flat(facts: dict[str, Any], prefix: str = "") -> dict[str, object]:
    """Facts within facts as one level, names joined by a space."""
    found: dict[str, object] = {}
    for name, value in facts.items():
        if isinstance(value, dict):
            found |= flat(value, f"{prefix}{name} ")
        else:
            found[f"{prefix}{name}"] = value
    return found
