"""Log set-up: structlog on stderr, for people or as JSON. Prompts and answers are never passed to it."""

from __future__ import annotations

import logging
import sys
from typing import Any

import structlog


def configure(*, style: str, level: str) -> None:
    """Set up logging for the process. `style` is human or json."""
    number = getattr(logging, level.upper())
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if style == "json"
        # A plain traceback: the pretty one shows local variables, and credentials are among them.
        else structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), pad_event_to=20, exception_formatter=structlog.dev.plain_traceback
        )
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True) if style == "json" else _clock,
            structlog.processors.format_exc_info if style == "json" else _keep,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(stream=sys.stderr, level=max(number, logging.WARNING), format="%(levelname)s %(message)s")


_clock = structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False)


def _keep(_: Any, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    return event
