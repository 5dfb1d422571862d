"""``ringfence serve``: run the node until it is told to stop."""

from __future__ import annotations

import typer

from ringfence.cli.options import ConfigOption, load_config


def serve(config: ConfigOption = None) -> None:
    """Run the node. SIGTERM and SIGINT stop it, SIGHUP has it read its certificates again."""
    loaded = load_config(config)
    from ringfence.service import process  # the whole node: other commands save the time

    raise typer.Exit(process.serve(loaded))
