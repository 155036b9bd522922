"""A benchmark's own process: `python -m tests.bench.child module:function '{"argument": 1}'`.

The function may be a coroutine function; it writes JSON lines with `tell`.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import json
import logging
import resource
import sys
from typing import Any

import structlog


def tell(**values: Any) -> None:
    """A line to the parent."""
    sys.stdout.write(json.dumps(values) + "\n")
    sys.stdout.flush()


def peak_mb() -> float:
    """The most memory that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    module, _, name = sys.argv[1].partition(":")
    # As in service: what goes well says nothing.
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),  # stdout is for the parent
    )
    function = getattr(importlib.import_module(f"tests.bench.{module}"), name)
    result = function(**json.loads(sys.argv[2]))
    if inspect.isawaitable(result):

        async def wait() -> None:
            await result

        asyncio.run(wait())


if __name__ == "__main__":
    main()
