"""The program's own log: events on stderr (what is kept of devices is the evidence log)."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime

import structlog


class _LibraryLine(logging.Formatter):
    """What a library says through `logging`, in the form of our own lines: event `library.said`, its words beside."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "event": "library.said",
            "logger": record.name,
            "message": record.getMessage(),
            "level": record.levelname.lower(),
            "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat().replace("+00:00", "Z"),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def log_to_stderr() -> None:
    """One line an event, JSON unless a person is watching."""
    person = sys.stderr.isatty()
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer() if person else structlog.processors.JSONRenderer(ensure_ascii=False)
    )
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.StackInfoRenderer(),
            structlog.processors.format_exc_info,
            renderer,
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s") if person else _LibraryLine())
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
