"""What the service logs: JSON, and event names that stand in docs/logs.md."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from fnmatch import fnmatchcase
from pathlib import Path

ROOT = Path(__file__).parent.parent
LEVELS = {"debug", "info", "warning", "error", "exception", "critical"}


def events_in_code() -> set[str]:
    """First arguments of structlog's calls; what is put in stands as `*`. The agent and the fleet log for people."""
    found: set[str] = set()
    for path in (ROOT / "monitor").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        if "structlog.get_logger(" not in text:
            continue
        for call in ast.walk(ast.parse(text)):
            if (
                isinstance(call, ast.Call)
                and isinstance(call.func, ast.Attribute)
                and isinstance(call.func.value, ast.Name)
                and call.func.value.id == "log"
                and call.func.attr in LEVELS
            ):
                found |= patterns(call.args[0])
    return found


def patterns(node: ast.expr) -> set[str]:
    if isinstance(node, ast.IfExp):
        return patterns(node.body) | patterns(node.orelse)
    if isinstance(node, ast.JoinedStr):
        return {"".join(str(part.value) if isinstance(part, ast.Constant) else "*" for part in node.values)}
    assert isinstance(node, ast.Constant), ast.unparse(node)
    return {str(node.value)}


def events_in_docs() -> set[str]:
    rows = re.findall(r"^\| (`[^|]+) \|", (ROOT / "docs" / "logs.md").read_text(encoding="utf-8"), re.MULTILINE)
    return {name for row in rows for name in re.findall(r"`([^`]+)`", row)}


def test_every_event_is_documented_and_every_documented_one_exists() -> None:
    code, docs = events_in_code(), events_in_docs()
    assert len(code) > 30
    assert {name for name in code if not any(fnmatchcase(one, name) for one in docs)} == set()
    made = {name for name in docs if not any(fnmatchcase(name, one) for one in code)}
    assert made == {"library.said"}


def test_every_line_is_json_also_what_libraries_say() -> None:
    program = (
        "import logging, structlog; from monitor.cli.logs import log_to_stderr; log_to_stderr();"
        "structlog.get_logger().warning('channel.lost', reason='「引号」\"');"
        "logging.getLogger('lib').error(\"it's %s\", 7)\n"
        "try: 1 / 0\nexcept ZeroDivisionError: logging.getLogger('lib').exception('oh')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, timeout=60)
    ours, theirs, trace = map(json.loads, done.stderr.splitlines())
    assert (ours["event"], ours["level"], ours["reason"]) == ("channel.lost", "warning", '「引号」"')
    assert (theirs["event"], theirs["logger"], theirs["message"]) == ("library.said", "lib", "it's 7")
    assert "ZeroDivisionError" in trace["exception"]
    assert {"timestamp", "level"} <= ours.keys() & theirs.keys() & trace.keys()
