"""Reading the audit log: whoever may read all of it, and finance what they did themselves. Reading is audited too."""

from __future__ import annotations

from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from monitor.core.access import RIGHTS, Action, Actor
from monitor.flows.acting import acting
from monitor.store import audit


async def audited(
    engine: AsyncEngine,
    actor: Actor,
    at_ms: int,
    *,
    start_ms: int | None = None,
    end_ms: int | None = None,
    who: str | None = None,
) -> list[dict[str, Any]]:
    """Records of `[start_ms, end_ms)`, of `who`, oldest first; this reading itself is not among them.

    Raises core.access.Forbidden.
    """
    own = not actor.roles & RIGHTS[Action.AUDIT_READ] and (who is None or who == actor.name)
    action = Action.AUDIT_OWN if own else Action.AUDIT_READ
    async with acting(engine, actor, action, f"audit list of {who or 'everybody'}", at_ms) as connection:
        return await audit.rows(connection, start_ms=start_ms, end_ms=end_ms, who=actor.name if own else who)
