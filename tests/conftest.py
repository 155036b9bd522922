"""Fixtures for all tests. The services themselves are in services.py."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol, TypeVar

import pytest

from tests.services import Mosquitto, Postgres, Service

S = TypeVar("S", bound=Service)


class RunService(Protocol):
    def __call__(self, service: S) -> S: ...


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


@pytest.fixture
def postgres_url(postgres: Postgres) -> Iterator[str]:
    """A fresh database on PostgreSQL."""
    url = postgres.create_database()
    yield url
    postgres.drop_database(url)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A fresh empty database: the test runs once on SQLite and once on PostgreSQL."""
    if request.param == "sqlite":
        return f"sqlite+aiosqlite:///{tmp_path / 'monitor.db'}"
    return str(request.getfixturevalue("postgres_url"))
