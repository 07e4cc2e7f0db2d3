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

import orjson
import structlog

_E164 = re.compile(r"\+[1-9]\d{6,14}")
_SECRET = re.compile(
    r"""
    \b( sk-[A-Za-z0-9_-]{4,} | (Bearer|Basic)\s+\S+ | whsec_\S+
    | [0-9a-f]{32}\b )         # Twilio's auth tokens; its SIDs have two letters before
    """,
    re.VERBOSE,
)
_QUIET = (
    *("picows", "twilio", "aiohttp", "urllib3", "uvicorn.access", "uvicorn.error"),
    *("alembic", "sqlalchemy", "psycopg", "mcp"),
)


def configure(level: str, log_format: str | None) -> None:
    """Set up the process's logging; ``log_format`` is console, json or None to choose.

    Our own lines go straight to standard error: the way through the standard library's
    loggers took a millisecond a line on a busy server, which two hundred calls would hear.
    """
    as_json = log_format == "json" or (log_format is None and not sys.stderr.isatty())
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _redact,
    ]
    last: Any = _console()
    factory: Any = structlog.PrintLoggerFactory(sys.stderr)
    if as_json:
        last = structlog.processors.JSONRenderer(serializer=orjson.dumps)
        factory = structlog.BytesLoggerFactory(sys.stderr.buffer)
    structlog.configure(
        processors=[structlog.processors.format_exc_info, *shared, last],
        logger_factory=factory,
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        cache_logger_on_first_use=True,
    )
    _configure_libraries(level, shared, as_json=as_json)


def _configure_libraries(level: str, shared: list[Any], *, as_json: bool) -> None:
    """What uvicorn, picows and others say looks like the rest."""
    renderer: Any = structlog.processors.JSONRenderer() if as_json else _console()
    handler = logging.StreamHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.processors.format_exc_info, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    # Of a file that is not what it should be it says so object by object; we say so once.
    logging.getLogger("pypdf").setLevel(logging.CRITICAL)


def _console() -> structlog.dev.ConsoleRenderer:
    """Without the values of local variables, which a traceback of rich's would show."""
    return structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)


def _redact(_logger: Any, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for key, value in event.items():
        if not key.startswith("_"):  # structlog's own, which a later processor takes away
            event[key] = _redacted_value(value)
    return event


def _redacted_value(value: Any) -> Any:
    """``value`` redacted inside and out; what is neither text nor a number becomes text."""
    if isinstance(value, str):
        return redacted(value)
    if value is None or isinstance(value, int | float):
        return value
    if isinstance(value, dict):
        return {_redacted_value(key): _redacted_value(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_redacted_value(inner) for inner in value]
    # The text of an error, not its repr: that glues an "n" before the word of the next line.
    is_fault = isinstance(value, BaseException)
    return redacted(f"{type(value).__name__}: {value}" if is_fault else repr(value))


def redacted(text: str) -> str:
    """``text`` with telephone numbers and secrets blotted out; a number keeps its last two."""
    text = _E164.sub(lambda match: f"+…{match[0][-2:]}", text)
    return _SECRET.sub("[secret]", text)
