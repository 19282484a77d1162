"""Structured logs on standard error: JSON lines, or text on a terminal."""

from __future__ import annotations

import logging
import logging.config
import sys
import traceback

import structlog

from pacx.errors import PacxError
from pacx_server.settings import Settings

DEEPEST = 8
_SHARED: list[structlog.typing.Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]


def configure(settings: Settings) -> None:
    """Send everything that is logged, also by libraries, through one formatter."""
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=_SHARED,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            *_rendering(settings),
        ],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    logging.basicConfig(handlers=[handler], level=settings.log_level.upper(), force=True)
    # Library loggers below "warning" may name what they read from a file.
    for name in ("pydicom", "PIL", "httpx", "asyncio"):
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    # These repeat headers of a caller that break the rules of W3C's trace context or baggage.
    for name in ("opentelemetry.baggage", "opentelemetry.trace"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    structlog.configure(
        processors=[*_SHARED, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def _rendering(settings: Settings) -> list[structlog.typing.Processor]:
    as_text = settings.log_format == "text" or (
        settings.log_format == "auto" and sys.stderr.isatty()
    )
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
        if as_text
        else structlog.processors.JSONRenderer()
    )
    return [structlog.processors.ExceptionRenderer(where_it_failed), renderer]


def where_it_failed(exc_info: structlog.typing.ExcInfo) -> str:
    """The frames and kinds of an error and of what led to it, the innermost first.

    Local variables never, and words of errors of our own only: others may repeat what they read
    from a file, or a caller's names and keys.
    """
    told: list[str] = []
    error: BaseException | None = exc_info[1]
    while error is not None and len(told) < DEEPEST:
        words = f": {error.detail}" if isinstance(error, PacxError) else ""
        frames = "".join(traceback.format_tb(error.__traceback__))
        told.append(f"{frames}{type(error).__name__}{words}")
        error = error.__cause__ or error.__context__
    return "\n\n".join(reversed(told))
