"""People: set up, signed in and out, locked after failures; every step in the audit log. Sessions end by themselves."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from argon2 import PasswordHasher
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from monitor.core.access import Actor, Forbidden, Role
from monitor.core.password import LEAST, LONG, MOST, check_password, lock_ms
from monitor.errors import MonitorError
from monitor.flows import people
from monitor.flows.auditing import audited
from monitor.flows.people import WRONG, SignInRefused
from monitor.settings import SignIn
from monitor.store import audit, tables
from monitor.store import people as rows
from monitor.store.database import opened

NOW = 1_790_812_800_000
MINUTE, HOUR = 60_000, 3_600_000
LIMITS = SignIn(attempts=3)
GOOD = "Correct-horse-9"
OTHER = "batterie de cuisine"
ADMIN = Actor("root1", frozenset({Role.ADMIN}))


#: As people's passwords are kept; the tests' own are hashed in a moment.
REAL = people._hasher


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(people, "_hasher", PasswordHasher(time_cost=1, memory_cost=64, parallelism=1))


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    """With an admin `root1` whose password is GOOD."""
    async with opened(database_url) as made:
        await people.add_person(made, None, "root1", {Role.ADMIN}, None, GOOD, NOW)
        yield made


async def log(engine: AsyncEngine) -> list[tuple[str, str, str]]:
    async with engine.connect() as connection:
        return [(r["who"], r["what"], r["outcome"]) for r in await audit.rows(connection)]


# --- setting up -------------------------------------------------------------------------------------------------------


async def test_only_the_first_person_needs_nobody_and_is_an_admin(database_url: str) -> None:
    async with opened(database_url) as engine:
        for roles, townships in (({Role.AUDITOR}, None), ({Role.ADMIN}, {"T1"})):
            with pytest.raises(MonitorError, match="第一个用户须为不限乡镇的管理员"):
                await people.add_person(engine, None, "li", roles, townships, GOOD, NOW)
        await people.add_person(engine, None, "root1", {Role.ADMIN}, None, GOOD, NOW)
        with pytest.raises(MonitorError, match="已有用户"):
            await people.add_person(engine, None, "li", {Role.ADMIN}, None, GOOD, NOW)
        await people.add_person(engine, ADMIN, "李明", {Role.FINANCE}, None, GOOD, NOW)
        with pytest.raises(MonitorError, match="已存在"):
            await people.add_person(engine, ADMIN, "李明", {Role.FINANCE}, None, GOOD, NOW)
        finance = Actor("李明", frozenset({Role.FINANCE}))
        with pytest.raises(Forbidden):
            await people.add_person(engine, finance, "wang", {Role.ADMIN}, None, GOOD, NOW)
        assert [outcome for _, _, outcome in await log(engine)] == [
            *("refused", "refused", "done", "refused", "done", "refused", "refused")
        ]


async def test_two_first_persons_at_once_are_one(database_url: str) -> None:
    async with opened(database_url) as engine:
        adding = [people.add_person(engine, None, f"root{i}", {Role.ADMIN}, None, GOOD, NOW) for i in range(4)]
        done = await asyncio.gather(*adding, return_exceptions=True)
        assert sum(one is None for one in done) == 1
        async with engine.connect() as connection:
            assert len(await rows.everybody(connection)) == 1


@pytest.mark.parametrize("name", ["", " ", "system", "a b", "a\n", "-a", "x" * 65, "<b>", "=cmd()"])
async def test_names_that_mislead_are_refused(engine: AsyncEngine, name: str) -> None:
    with pytest.raises(MonitorError):
        await people.add_person(engine, ADMIN, name, {Role.VIEWER}, None, GOOD, NOW)


async def test_passwords_are_kept_as_argon2id_alone(engine: AsyncEngine) -> None:
    assert REAL.hash(GOOD).startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    async with engine.connect() as connection:
        found = await rows.find(connection, "root1")
    assert found is not None
    assert found.password.startswith("$argon2id$")
    assert GOOD not in found.password


async def test_the_last_admin_stays(engine: AsyncEngine) -> None:
    with pytest.raises(MonitorError, match="至少须保留一个"):
        await people.set_disabled(engine, ADMIN, "root1", True, NOW)
    with pytest.raises(MonitorError, match="至少须保留一个"):
        await people.change_roles(engine, ADMIN, "root1", {Role.AUDITOR}, None, NOW)
    await people.add_person(engine, ADMIN, "root2", {Role.ADMIN}, None, GOOD, NOW)
    await people.set_disabled(engine, ADMIN, "root1", True, NOW)
    with pytest.raises(SignInRefused):
        await people.sign_in(engine, LIMITS, "root1", GOOD, NOW)


# --- signing in -------------------------------------------------------------------------------------------------------


async def test_a_session_holds_until_it_is_idle_over_ended_or_signed_out(engine: AsyncEngine) -> None:
    _, token = await people.sign_in(engine, LIMITS, "root1", GOOD, NOW)
    last = NOW
    while last + 29 * MINUTE < NOW + 12 * HOUR:
        last += 29 * MINUTE
        assert await people.signed_in(engine, LIMITS, token, last) is not None
    assert await people.signed_in(engine, LIMITS, token, NOW + 12 * HOUR) is None

    _, token = await people.sign_in(engine, LIMITS, "root1", GOOD, NOW)
    assert await people.signed_in(engine, LIMITS, token, NOW + 30 * MINUTE) is None

    _, token = await people.sign_in(engine, LIMITS, "root1", GOOD, NOW)
    await people.sign_out(engine, token, NOW)
    assert await people.signed_in(engine, LIMITS, token, NOW) is None
    assert await people.signed_in(engine, LIMITS, "zs_guessed", NOW) is None


@pytest.mark.parametrize("how", ["password", "roles", "disabled"])
async def test_whoever_is_changed_signs_in_again(engine: AsyncEngine, how: str) -> None:
    await people.add_person(engine, ADMIN, "li", {Role.VIEWER}, None, GOOD, NOW)
    _, token = await people.sign_in(engine, LIMITS, "li", GOOD, NOW)
    if how == "password":
        await people.change_password(engine, ADMIN, "li", OTHER, NOW)
    elif how == "roles":
        await people.change_roles(engine, ADMIN, "li", {Role.FINANCE}, {"T1"}, NOW)
    else:
        await people.set_disabled(engine, ADMIN, "li", True, NOW)
    assert await people.signed_in(engine, LIMITS, token, NOW) is None


async def test_tokens_are_long_and_kept_as_hashes(engine: AsyncEngine) -> None:
    _, one = await people.sign_in(engine, LIMITS, "root1", GOOD, NOW)
    _, other = await people.sign_in(engine, LIMITS, "root1", GOOD, NOW)
    assert one != other
    assert len(one.removeprefix("zs_")) * 6 >= 128
    async with engine.connect() as connection:
        kept = list(await connection.execute(select(tables.session)))
    assert len(kept) == 2
    assert not any(token in str(row) for row in kept for token in (one, other))


async def test_a_wrong_name_and_a_wrong_password_sound_alike(engine: AsyncEngine) -> None:
    for name, password in (("root1", "wrong"), ("nobody", GOOD), ("", ""), ("root1\0", GOOD), ("x" * 999, "y" * 999)):
        with pytest.raises(SignInRefused) as error:
            await people.sign_in(engine, LIMITS, name, password, NOW)
        assert str(error.value) == WRONG


@pytest.mark.parametrize("name", ["root1", "nobody"])
async def test_failures_lock_a_name_for_longer_each_time(engine: AsyncEngine, name: str) -> None:
    at = NOW
    for _ in range(3):
        with pytest.raises(SignInRefused, match=WRONG):
            await people.sign_in(engine, LIMITS, name, "wrong", at)
    for minutes in (1, 2, 4, 8, 16, 32, 60, 60):
        with pytest.raises(SignInRefused, match=f"请 {minutes} 分钟后再试"):
            await people.sign_in(engine, LIMITS, name, GOOD, at)  # right, and yet
        at += minutes * MINUTE
        with pytest.raises(SignInRefused, match=WRONG):
            await people.sign_in(engine, LIMITS, name, "wrong", at)


async def test_a_success_forgets_failures_and_an_admin_lifts_a_lock(engine: AsyncEngine) -> None:
    for _ in range(2):
        for _ in range(2):
            with pytest.raises(SignInRefused):
                await people.sign_in(engine, LIMITS, "root1", "wrong", NOW)
        await people.sign_in(engine, LIMITS, "root1", GOOD, NOW)
    await people.add_person(engine, ADMIN, "li", {Role.VIEWER}, None, GOOD, NOW)
    for _ in range(3):
        with pytest.raises(SignInRefused):
            await people.sign_in(engine, LIMITS, "li", "wrong", NOW)
    await people.change_password(engine, ADMIN, "li", OTHER, NOW)
    await people.sign_in(engine, LIMITS, "li", OTHER, NOW)


async def test_many_guesses_at_once_are_no_more_than_allowed(engine: AsyncEngine) -> None:
    guesses = [people.check(engine, LIMITS, "root1", f"guess {i}", NOW) for i in range(12)]
    said = [str(one) for one in await asyncio.gather(*guesses, return_exceptions=True)]
    assert said.count(WRONG) == 3


async def test_names_that_somebody_made_up_are_not_remembered_for_ever(
    engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "MOST_NAMES", 5)
    async with engine.begin() as connection:
        for i in range(9):
            await rows.attempts(connection, f"n{i}", NOW + i)
            await rows.count_attempt(connection, f"n{i}", NOW + i, rows.Attempt(1, 0))
        kept = (await connection.execute(select(tables.attempt.c.name).order_by(tables.attempt.c.name))).scalars()
        assert list(kept) == ["n4", "n5", "n6", "n7", "n8"]


async def test_an_old_password_is_refused_where_that_is_asked_for(engine: AsyncEngine) -> None:
    limits = SignIn(password_days=90)
    await people.sign_in(engine, limits, "root1", GOOD, NOW + 90 * 24 * HOUR)
    with pytest.raises(SignInRefused, match="超过 90 天"):
        await people.sign_in(engine, limits, "root1", GOOD, NOW + 91 * 24 * HOUR)


async def test_who_signed_in_and_who_could_not_is_audited(engine: AsyncEngine) -> None:
    _, token = await people.sign_in(engine, LIMITS, "root1", GOOD, NOW)
    await people.sign_out(engine, token, NOW)
    with pytest.raises(SignInRefused):
        await people.sign_in(engine, LIMITS, "mallory", GOOD, NOW)
    assert (await log(engine))[1:] == [
        ("root1", "sign-in", "done"),
        ("root1", "sign-out", "done"),
        ("mallory", "sign-in", "refused"),
    ]
    async with engine.connect() as connection:
        text = str(await audit.rows(connection))
    assert GOOD not in text
    assert token not in text


# --- the audit log ----------------------------------------------------------------------------------------------------


async def test_the_audit_log_is_read_by_right(engine: AsyncEngine) -> None:
    finance, viewer = Actor("li", frozenset({Role.FINANCE})), Actor("wang", frozenset({Role.VIEWER}))
    auditor = Actor("zhao", frozenset({Role.AUDITOR}))
    await audited(engine, finance, NOW + 1)
    mine = await audited(engine, finance, NOW + 2)
    assert {row["who"] for row in mine} == {"li"}
    with pytest.raises(Forbidden):
        await audited(engine, finance, NOW + 3, who="root1")
    with pytest.raises(Forbidden):
        await audited(engine, viewer, NOW + 4)
    everything = await audited(engine, auditor, NOW + 5)
    assert {row["who"] for row in everything} == {"system", "li", "wang"}
    assert [r["who"] for r in await audited(engine, auditor, NOW + 6, start_ms=NOW + 3, end_ms=NOW + 5)] == [
        *("li", "wang")
    ]
    assert {r["who"] for r in await audited(engine, auditor, NOW + 7, who="wang")} == {"wang"}


# --- passwords --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "password",
    [
        GOOD,
        OTHER,
        "Xq7-Lm2-vB9z",
        "四川开江县智慧党建的密码很长很长",
        "die Katze tritt die Treppe krumm, und der Dackel schaut nur zu.",
    ],
)
def test_good_passwords_are_taken(password: str) -> None:
    check_password(password, "li")


@pytest.mark.parametrize(
    ("password", "why"),
    [
        ("", "长度"),
        ("Short-1", "长度"),
        ("x" * 129, "长度"),
        ("lowercase-only"[:12], "三类"),
        ("Password1234", "常见"),
        ("P@ssw0rd1234", "常见"),
        ("Admin123456!", "常见"),
        ("Qwertyuiop1!", "常见"),
        ("123456789012345678", "常见"),
        ("abcdefghijklmnopqrst", "常见"),
        ("Kaijiang2026", "常见"),
        ("aaaaaaaaaaaaaaaaaaaa", "简单"),
        ("Wang-Wang-77x", "用户名"),
        ("Good\x00-horse-99", "控制字符"),
    ],
)
def test_bad_passwords_are_refused_with_what_is_expected(password: str, why: str) -> None:
    with pytest.raises(MonitorError, match=why):
        check_password(password, "wang")


@given(st.text(min_size=LONG, max_size=MOST, alphabet=st.characters(categories=["L"])))
def test_a_long_phrase_of_many_letters_is_taken_or_told_why(password: str) -> None:
    with contextlib.suppress(MonitorError):  # nothing else is raised, whatever it is
        check_password(password, "wang")


def test_sixty_four_characters_are_allowed() -> None:
    assert LEAST >= 12
    assert MOST >= 64


@given(st.integers(1, 1000), st.integers(1, 20))
def test_a_lock_grows_and_is_an_hour_at_most(count: int, allowed: int) -> None:
    assert lock_ms(count, allowed) <= lock_ms(count + 1, allowed) <= HOUR
    assert (lock_ms(count, allowed) > 0) == (count >= allowed)
