"""What people type. One file for each command."""

from ringfence.cli.app import main

__all__ = ["main"]
