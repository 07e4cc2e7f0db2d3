"""Structured logs: an event name and fields, never a number, a digit or a word that was said.

Loggers are structlog's; the standard library's records (uvicorn, picows, libraries) go the
same way. A processor blots out what looks like a telephone number or a secret, as a second
line of defence: the first is that nobody logs one.
"""

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

_E164 = re.compile(r"\+[1-9]\d{6,14}")
_SECRET = re.compile(r"\b(sk-[A-Za-z0-9_-]{4,}|Bearer\s+\S+|whsec_\S+)")
_QUIET = ("picows", "twilio", "aiohttp", "urllib3", "uvicorn.access", "uvicorn.error")


def configure(level: str, log_format: str | None) -> None:
    """Set up the process's logging; ``log_format`` is console, json or None to choose."""
    as_json = log_format == "json" or (log_format is None and not sys.stderr.isatty())
    renderer: Any = (
        structlog.processors.JSONRenderer() if as_json else structlog.dev.ConsoleRenderer()
    )
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _redact,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)


def _redact(_logger: Any, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for key, value in event.items():
        if isinstance(value, str):
            event[key] = redacted(value)
    return event


def redacted(text: str) -> str:
    """``text`` with telephone numbers and secrets blotted out; a number keeps its last two."""
    text = _E164.sub(lambda match: f"+…{match[0][-2:]}", text)
    return _SECRET.sub("[secret]", text)
