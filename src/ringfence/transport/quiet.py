"""What becomes of log entries in a program that uses Ringfence as a library and has not configured structlog.

They go to the standard library's logging, each to the logger of its name (``ringfence.driver``), where a program
that does not ask sees warnings only. structlog by itself would print every one of them to standard output.
"""

from __future__ import annotations

import structlog


def quiet_unless_configured() -> None:
    """Do that, unless somebody has configured structlog."""
    if structlog.is_configured():
        return
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.add_logger_name,
            structlog.processors.format_exc_info,
            structlog.processors.KeyValueRenderer(key_order=["event"], drop_missing=True),
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
