"""The devices' side of their tokens: a secret file `tokens.json`, `{"site/terminal": token}`, mode 0600."""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path

from monitor.core.sites import Inventory
from monitor.core.token import DEVICE, TOKEN_BYTES, make_token
from monitor.errors import MonitorError

TOKENS_FILE = "tokens.json"


def demo_tokens(folder: Path, inventory: Inventory) -> dict[str, str]:
    """A token for every terminal that beats, in `folder`/tokens.json; those that are there already are kept.

    The service stores hashes of them; a real county's tokens are made by the service and never pass here.
    """
    path = folder / TOKENS_FILE
    known = read_tokens(path) if path.exists() else {}
    names = [f"{c.site_id}/{c.terminal}" for c in inventory.checks.values() if c.is_heartbeat]
    tokens = {
        name: known.get(name) or make_token(DEVICE, secrets.token_bytes(TOKEN_BYTES)) for name in dict.fromkeys(names)
    }
    if tokens != known:
        write_tokens(path, tokens)
    return tokens


def write_tokens(path: Path, tokens: dict[str, str]) -> None:
    """Whole or not at all, and never readable by others, not even for a moment."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f"{path.name}.new")
    aside.unlink(missing_ok=True)
    with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        json.dump(tokens, file, ensure_ascii=False, indent=1)
    aside.replace(path)


def read_tokens(path: Path) -> dict[str, str]:
    """Raises MonitorError where the file is missing or is something else."""
    try:
        tokens = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise MonitorError(f"cannot read the devices' tokens from {path}: {error}") from error
    if not isinstance(tokens, dict) or not all(isinstance(t, str) for t in tokens.values()):
        raise MonitorError(f'{path} holds no tokens: expected {{"site/terminal": "token"}}')
    return tokens
