"""The options that many commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from ringfence.service.config import CONFIG_NAME, Config

CONFIG_VARIABLE = "RINGFENCE_CONFIG"
SYSTEM_CONFIG = Path("/etc/ringfence") / CONFIG_NAME

ConfigOption: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        metavar="FILE",
        envvar=CONFIG_VARIABLE,
        help=f"The configuration. Default: {CONFIG_NAME} here, then {SYSTEM_CONFIG}.",
        show_envvar=True,
    ),
]

JsonOption: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


def find_config(path: Path | None) -> Path:
    """The configuration to use: the one named, else the one here, else the system's."""
    if path is not None:
        return path / CONFIG_NAME if path.is_dir() else path
    here = Path(CONFIG_NAME)
    return SYSTEM_CONFIG if not here.exists() and SYSTEM_CONFIG.exists() else here


def load_config(path: Path | None) -> Config:
    """Read the configuration of a command. Raises ConfigError."""
    return Config.load(find_config(path))
