"""Fixtures for all tests. The services themselves are in services.py."""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import Generator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol, TypeVar

import pytest
import structlog

from monitor.store.database import opened
from tests.faults import COUNTED
from tests.services import Mosquitto, Postgres, Service

S = TypeVar("S", bound=Service)

#: Files with tests that wait for half a minute and longer. Begun last, one of them would keep its worker, and all wait.
WAIT_LONG = {"test_orders_served", "test_inventory_served", "test_demo", "test_crash", "test_played_hour"}


class RunService(Protocol):
    def __call__(self, service: S) -> S: ...


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.stem not in WAIT_LONG)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failed test shows the logs of the services that ran beside it."""
    report = yield
    if report.failed:
        for service in Service.started:
            report.sections.append((f"log of {service.name} on port {service.port}", service.tail()))
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What the tests counted: how many kills, how many beats, what was lost."""
    told = [
        f"{report.nodeid.removeprefix('tests/')}: {line.removeprefix(COUNTED)}"
        for report in terminalreporter.stats.get("passed", [])
        for line in report.capstdout.splitlines()
        if report.when == "call" and line.startswith(COUNTED)
    ]
    if told:
        terminalreporter.section("counted")
        for line in sorted(told):
            terminalreporter.write_line(line)


@pytest.fixture(autouse=True)
def _own_log() -> Iterator[None]:
    """A command called in this process may set up the log for a stderr that is closed with its test."""
    handlers = list(logging.root.handlers)
    yield
    if structlog.is_configured():
        structlog.reset_defaults()
        logging.root.handlers[:] = handlers


@pytest.fixture
def run_service() -> Iterator[RunService]:
    """Starts a service and ends it with the test: `broker = run_service(Mosquitto(tmp_path, acl=...))`."""
    with ExitStack() as stack:

        def run(service: S) -> S:
            stack.enter_context(service)
            return service

        yield run


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Mosquitto]:
    """An open broker of this test's own."""
    with Mosquitto(tmp_path) as broker:
        yield broker


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """One cluster for all tests (of a worker): take databases from it, never stop it."""
    with Postgres() as cluster:
        yield cluster


@pytest.fixture
def own_postgres() -> Iterator[Postgres]:
    """A cluster of this test's own, to be stopped and killed (a second and a half)."""
    with Postgres() as cluster:
        yield cluster


async def _make_tables(url: str) -> None:
    async with opened(url):
        pass


@pytest.fixture(scope="session")
def tables_of_postgres(postgres: Postgres) -> str:
    """A database with its tables and no rows, to be copied: that takes a tenth of making them."""
    url = postgres.create_database()
    asyncio.run(_make_tables(url))
    return url


@pytest.fixture(scope="session")
def tables_of_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As `tables_of_postgres`: a file."""
    path = tmp_path_factory.mktemp("tables") / "monitor.db"
    asyncio.run(_make_tables(f"sqlite+aiosqlite:///{path}"))
    return path


@pytest.fixture
def postgres_url(postgres: Postgres, tables_of_postgres: str) -> Iterator[str]:
    """A fresh database on PostgreSQL, with its tables."""
    url = postgres.create_database(like=tables_of_postgres)
    yield url
    postgres.drop_database(url)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A fresh database without rows: the test runs once on SQLite and once on PostgreSQL."""
    if request.param == "sqlite":
        path = tmp_path / "monitor.db"
        shutil.copy(request.getfixturevalue("tables_of_sqlite"), path)
        return f"sqlite+aiosqlite:///{path}"
    return str(request.getfixturevalue("postgres_url"))
