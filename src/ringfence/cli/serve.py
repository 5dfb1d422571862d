"""``ringfence serve``: run the node until it is told to stop."""

from __future__ import annotations

from ringfence.cli.options import ConfigOption, load_config
from ringfence.service.problems import ConfigError


def serve(config: ConfigOption = None) -> None:
    """Run the node. SIGTERM stops it, SIGHUP has it read certificates and configuration again."""
    loaded = load_config(config)
    if missing := loaded.missing_files():
        raise ConfigError(missing)
    from ringfence.service.process import serve as run  # the whole node: other commands save the time

    run(loaded)
