"""People: set up, changed, signed in and out. Every step is audited."""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError, VerifyMismatchError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from monitor.core.access import SYSTEM, Action, Actor, Role
from monitor.core.password import MOST, check_password, lock_ms
from monitor.core.token import hash_token
from monitor.errors import MonitorError
from monitor.flows.acting import acting, refused
from monitor.settings import SignIn
from monitor.store import audit, people
from monitor.store.database import writing
from monitor.store.people import Attempt, Person, Session

#: argon2id with the library's parameters for the present (RFC 9106, low memory: 64 MiB, three passes).
_hasher = PasswordHasher()
_NAME = re.compile(r"[^\W_](?:[\w.\-]{0,62}[^\W_])?")
#: A session's use is written down this often at most, ms.
SEEN_EVERY_MS = 60_000
#: Two hashes at once, no more: each takes 64 MiB and a core.
_hashing = ThreadPoolExecutor(2, "hashing")

WRONG = "用户名或密码不正确"


class SignInRefused(MonitorError):
    """Name or password are wrong, or the name is locked."""


async def hash_password(password: str) -> str:
    """argon2id, in a thread: it takes a good part of a second."""
    return await asyncio.get_running_loop().run_in_executor(_hashing, _hasher.hash, password)


async def _matches(hashed: str, password: str) -> bool:
    def verify() -> bool:
        try:
            return _hasher.verify(hashed, password)
        except (VerifyMismatchError, VerificationError, InvalidHashError):
            return False

    return await asyncio.get_running_loop().run_in_executor(_hashing, verify)


# --- setting up -------------------------------------------------------------------------------------------------------


async def add_person(
    engine: AsyncEngine,
    actor: Actor | None,
    name: str,
    roles: Iterable[Role],
    townships: Iterable[str] | None,
    password: str,
    at_ms: int,
) -> None:
    """A new person, by an admin. The first one of all is an admin and needs nobody (`actor` None)."""
    roles = frozenset(roles)
    if not _NAME.fullmatch(name) or name == SYSTEM.name:
        raise MonitorError(f"用户名 {name!r} 不可用：须为 1 至 64 个字母、汉字或数字，中间可有 . - _")
    if not roles:
        raise MonitorError("至少须有一个角色")
    check_password(password, name)
    hashed = await hash_password(password)
    what = f"{name}: {_said(roles, townships)}"
    first = actor is None
    async with acting(engine, actor or SYSTEM, Action.USER_MANAGE, what, at_ms) as connection:
        await people.alone(connection)
        if first and not await people.is_empty(connection):
            raise MonitorError("已有用户：须由管理员登录后添加（zhdj-monitor user sign-in）")
        if first and (Role.ADMIN not in roles or townships is not None):
            raise MonitorError("第一个用户须为不限乡镇的管理员（--role admin）")
        if await people.find(connection, name) is not None:
            raise MonitorError(f"用户 {name} 已存在")
        await people.add(connection, name, roles, townships, hashed, at_ms)


async def change_roles(
    engine: AsyncEngine, actor: Actor, name: str, roles: Iterable[Role], townships: Iterable[str] | None, at_ms: int
) -> None:
    """Other roles and townships; whoever has sessions signs in again."""
    roles = frozenset(roles)
    what = f"{name}: {_said(roles, townships)}"
    async with acting(engine, actor, Action.USER_MANAGE, what, at_ms) as connection:
        if not roles:
            raise MonitorError("至少须有一个角色")
        await people.alone(connection)
        await _existing(connection, name)
        await people.set_roles(connection, name, roles, townships)
        await people.end_sessions(connection, name)
        await _an_admin_is_left(connection)


async def change_password(engine: AsyncEngine, actor: Actor, name: str, password: str, at_ms: int) -> None:
    """One's own, or, by an admin, somebody else's; all sessions of that person end, and a lock is lifted."""
    action = Action.USER_SELF if actor.name == name else Action.USER_MANAGE
    check_password(password, name)
    hashed = await hash_password(password)
    async with acting(engine, actor, action, f"{name}: password", at_ms) as connection:
        await _existing(connection, name)
        await people.set_password(connection, name, hashed, at_ms)
        await people.end_sessions(connection, name)
        await people.forget_attempts(connection, name)


async def set_disabled(engine: AsyncEngine, actor: Actor, name: str, disabled: bool, at_ms: int) -> None:
    """Nobody is deleted: what they did stays theirs."""
    what = f"{name}: {'disabled' if disabled else 'enabled'}"
    async with acting(engine, actor, Action.USER_MANAGE, what, at_ms) as connection:
        await people.alone(connection)
        await _existing(connection, name)
        await people.set_disabled(connection, name, at_ms if disabled else None)
        await people.end_sessions(connection, name)
        await _an_admin_is_left(connection)


async def _existing(connection: AsyncConnection, name: str) -> Person:
    found = await people.find(connection, name)
    if found is None:
        raise MonitorError(f"没有用户 {name}")
    return found


async def _an_admin_is_left(connection: AsyncConnection) -> None:
    everybody = await people.everybody(connection)
    if not any(Role.ADMIN in p.roles and p.townships is None and p.disabled_ms is None for p in everybody):
        raise MonitorError("至少须保留一个可用的、不限乡镇的管理员")


def _said(roles: Iterable[Role], townships: Iterable[str] | None) -> str:
    return ",".join(sorted(roles)) + ("" if townships is None else f" ({','.join(sorted(townships))})")


# --- signing in -------------------------------------------------------------------------------------------------------


async def check(engine: AsyncEngine, limits: SignIn, name: str, password: str, at_ms: int) -> Person:
    """Who that is. Raises SignInRefused, with the same words and after the same time whether there is such a person or
    not; too many failures in a row lock the name for a while."""
    name = audit.storable(name)[:64]
    async with writing(engine) as connection:
        before = await people.attempts(connection, name, at_ms)
        if before.locked_ms > at_ms:
            minutes = -(-(before.locked_ms - at_ms) // 60_000)
            raise SignInRefused(f"登录失败次数过多，请 {minutes} 分钟后再试")
        # Counted before the password is looked at, so that many at once are no more tries.
        count = before.failures + 1
        locked = lock_ms(count, limits.attempts)
        await people.count_attempt(connection, name, at_ms, Attempt(count, at_ms + locked if locked else 0))
        found = await people.find(connection, name)
    right = await _matches(found.password if found is not None else await _nobodys(), password[: MOST + 1])
    if found is None or not right or found.disabled_ms is not None:
        reason = "用户已停用" if found is not None and right else WRONG
        reason += f"；锁定 {locked // 60_000} 分钟" if locked else ""
        await refused(engine, name, Action.USER_SELF, "sign-in", at_ms, "refused", reason)
        raise SignInRefused(WRONG)
    async with writing(engine) as connection:
        await people.forget_attempts(connection, name)
    if limits.password_days and at_ms - found.password_ms > limits.password_days * 86_400_000:
        raise SignInRefused(f"密码已使用超过 {limits.password_days} 天，请由管理员重设（user password）")
    return found


_nobody: list[str] = []


async def _nobodys() -> str:
    """A hash that no password matches, made once."""
    if not _nobody:
        _nobody.append(await hash_password(secrets.token_urlsafe(32)))
    return _nobody[0]


async def sign_in(
    engine: AsyncEngine, limits: SignIn, name: str, password: str, at_ms: int, origin: str = "cli"
) -> tuple[Person, str]:
    """Who that is, and the token of a new session; only its hash is kept. Raises SignInRefused."""
    found = await check(engine, limits, name, password, at_ms)
    token = "zs_" + secrets.token_urlsafe(24)
    new = Session(hash_token(token), found.name, origin, at_ms, at_ms, at_ms + limits.session_h * 3_600_000)
    async with acting(engine, found.actor, Action.USER_SELF, "sign-in", at_ms) as connection:
        await people.open_session(connection, new)
    return found, token


async def signed_in(engine: AsyncEngine, limits: SignIn, token: str, at_ms: int) -> Person | None:
    """Whose session that is; None where it has ended, by time, by signing out or by an admin."""
    hashed = hash_token(token)
    async with engine.connect() as connection:
        session = await people.find_session(connection, hashed)
        if session is None or at_ms >= session.ends_ms or at_ms - session.seen_ms >= limits.idle_min * 60_000:
            return None
        found = await people.find(connection, session.person)
    if found is None or found.disabled_ms is not None:
        return None
    if at_ms - session.seen_ms >= SEEN_EVERY_MS:
        async with writing(engine) as connection:
            await people.see_session(connection, hashed, at_ms)
    return found


async def sign_out(engine: AsyncEngine, token: str, at_ms: int) -> None:
    """The session is over, whether it still held or not."""
    hashed = hash_token(token)
    async with writing(engine) as connection:
        session = await people.find_session(connection, hashed)
        if session is not None:
            await people.end_session(connection, hashed)
            await audit.write(connection, at_ms, session.person, Action.USER_SELF, "sign-out", "done")
