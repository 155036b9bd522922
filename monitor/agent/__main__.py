"""`python -m monitor.agent --config agent.toml`; also what `zhdj-monitor agent` and zhdj-agent.pyz run."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from monitor.agent.config import AgentError, Config, read_config
from monitor.agent.run import Stop, run


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0 it was told to stop; 2 the configuration is wrong (one line says what)."""
    parser = argparse.ArgumentParser(prog="zhdj-agent", description="Heartbeats of one terminal.")
    parser.add_argument("--config", type=Path, default=Path("agent.toml"), help="agent.toml")
    parser.add_argument("--check", action="store_true", help="read the configuration and say what it means")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s")
    try:
        config = read_config(options.config)
        if not _token(config):
            raise AgentError(f"{config.token_file}: expected the terminal's token")
    except AgentError as error:
        print(f"zhdj-agent: {error}", file=sys.stderr)
        return 2
    if options.check:
        # The token is not part of it.
        print(f"{config.user} every {config.interval_s:g} s: {config.line}; services: {dict(config.services)}")
        return 0
    run(config, Stop())
    return 0


def _token(config: Config) -> str:
    try:
        return config.token()
    except (OSError, ValueError) as error:
        raise AgentError(f"{config.token_file}: cannot be read: {error}") from None


if __name__ == "__main__":
    sys.exit(main())
