"""Logging: structlog through the standard handlers, to stderr; JSON where a machine reads it."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

import structlog

_SHARED: list[Any] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]


def _without_secrets(logger: Any, name: str, event: MutableMapping[str, Any]) -> Any:
    """Imported at the first line that is logged: this module belongs to the settings."""
    from agentsys.gateway.redaction import processor

    return processor(logger, name, event)


def _refused(_logger: Any, _name: str, event: MutableMapping[str, Any]) -> Any:
    """Who may not see a page is told so by the page: a line says it here, and no trace."""
    from django.core.exceptions import PermissionDenied

    error = event.get("exc_info")
    if isinstance(error, tuple) and isinstance(error[1], PermissionDenied):
        event["reason"] = str(error[1])
        del event["exc_info"]
    return event


def config(*, level: str, form: str) -> dict[str, Any]:
    """A `dictConfig` for Django's LOGGING; also sets structlog up."""
    structlog.configure(
        processors=[*_SHARED, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    renderer = (
        structlog.processors.JSONRenderer()
        if form == "json"
        else structlog.dev.ConsoleRenderer(colors=False)
    )
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "default": {
                "()": structlog.stdlib.ProcessorFormatter,
                "processors": [
                    structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                    _refused,
                    structlog.processors.format_exc_info,
                    _without_secrets,
                    renderer,
                ],
                "foreign_pre_chain": _SHARED,
            }
        },
        "handlers": {
            "stderr": {"class": "logging.StreamHandler", "formatter": "default"},
            "nowhere": {"class": "logging.NullHandler"},
        },
        "root": {"handlers": ["stderr"], "level": level.upper()},
        "loggers": {
            "django.server": {"handlers": ["stderr"], "level": "INFO", "propagate": False},
            # It asks for a restart whenever Redis is away; nothing here depends on results.
            "celery.backends": {"handlers": ["nowhere"], "propagate": False},
        },
    }
