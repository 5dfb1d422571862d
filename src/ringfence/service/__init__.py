"""One running node: its configuration, what it is made of, and how it is watched and steered."""

from ringfence.service.config import Config
from ringfence.service.problems import ConfigError, Problem

__all__ = ["Config", "ConfigError", "Problem"]
