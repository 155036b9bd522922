"""The services that other tests stand on: each starts, answers, is killed and comes back on its port."""

from __future__ import annotations

import asyncio
import os
import ssl
import subprocess
import time
from pathlib import Path

import aiomqtt
import pytest
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import create_async_engine

from tests.conftest import RunService
from tests.services import (
    HOST,
    Alertmanager,
    Mosquitto,
    Postgres,
    Prometheus,
    Service,
    ServiceError,
    free_port,
    listens,
    make_certificate,
    wait_for,
    wait_for_async,
)


async def heard(broker: Mosquitto, *, user: str | None = None, password: str | None = None) -> str:
    """Publish to oneself through the broker; answers what came back."""
    tls = None if broker.certificate is None else ssl.create_default_context(cafile=broker.certificate.cert)
    async with aiomqtt.Client(HOST, broker.port, username=user, password=password, tls_context=tls) as client:
        await client.subscribe("t/a", qos=1)
        await client.publish("t/a", "你好", qos=1)
        async with asyncio.timeout(5):
            message = await anext(aiter(client.messages))
    assert isinstance(message.payload, bytes)
    return message.payload.decode()


async def test_mosquitto_comes_back_on_its_port(mosquitto: Mosquitto) -> None:
    port = mosquitto.port
    assert await heard(mosquitto) == "你好"
    mosquitto.kill()
    assert not listens(port)
    mosquitto.start()
    assert mosquitto.port == port
    assert await heard(mosquitto) == "你好"
    mosquitto.stop()
    assert not mosquitto.is_running()


async def test_mosquitto_with_tls_passwords_and_acl(tmp_path: Path, run_service: RunService) -> None:
    broker = run_service(
        Mosquitto(
            tmp_path,
            passwords={"a": "1"},
            acl="user a\ntopic readwrite t/#\nuser b\ntopic readwrite t/#\n",
            certificate=make_certificate(tmp_path),
        )
    )
    assert await heard(broker, user="a", password="1") == "你好"
    with pytest.raises(aiomqtt.MqttError):
        await heard(broker, user="b", password="2")
    broker.set_passwords({"a": "1", "b": "2"})
    broker.reload()
    assert await heard(broker, user="b", password="2") == "你好"
    broker.set_acl("user a\ntopic readwrite t/#\n")
    broker.reload()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(heard(broker, user="b", password="2"), 1)


async def test_mosquitto_keeps_retained_messages_if_asked(tmp_path: Path, run_service: RunService) -> None:
    broker = run_service(Mosquitto(tmp_path, persistence=True))
    async with aiomqtt.Client(HOST, broker.port) as client:
        await client.publish("t/kept", "1", qos=1, retain=True)
    broker.stop()
    broker.start()
    async with aiomqtt.Client(HOST, broker.port) as client, asyncio.timeout(5):
        await client.subscribe("t/#")
        assert (await anext(aiter(client.messages))).retain


async def test_database_answers(database_url: str) -> None:
    engine = create_async_engine(database_url)
    try:
        async with engine.begin() as connection:
            await connection.execute(text("CREATE TABLE t (name TEXT)"))
            await connection.execute(text("INSERT INTO t VALUES ('普安镇')"))
        async with engine.connect() as connection:
            assert (await connection.execute(text("SELECT name FROM t"))).scalar_one() == "普安镇"
    finally:
        await engine.dispose()


async def test_databases_are_fresh(postgres: Postgres) -> None:
    first, second = postgres.create_database(), postgres.create_database()
    assert first != second
    names = {url.rsplit("/", 1)[1] for url in (first, second)}
    assert names <= set(postgres.psql("SELECT datname FROM pg_database").split())
    for url in (first, second):
        postgres.drop_database(url)
    assert not names & set(postgres.psql("SELECT datname FROM pg_database").split())
    with pytest.raises(ServiceError, match="does not exist"):
        postgres.psql("SELECT 1 FROM missing")


async def test_postgres_comes_back_on_its_port_with_what_was_committed(own_postgres: Postgres) -> None:
    url, port = own_postgres.create_database(), own_postgres.port
    database = url.rsplit("/", 1)[1]
    own_postgres.psql("CREATE TABLE t AS SELECT 7 AS n", database)
    engine = create_async_engine(url)
    try:
        own_postgres.kill()
        with pytest.raises((OSError, SQLAlchemyError)):
            async with engine.connect():
                pass
        await asyncio.to_thread(own_postgres.start)
        assert own_postgres.port == port
        async with engine.connect() as connection:
            assert (await connection.execute(text("SELECT n FROM t"))).scalar_one() == 7
        await asyncio.to_thread(own_postgres.stop)
        assert not listens(port)
    finally:
        await engine.dispose()


RULES = """
groups:
- name: test
  rules:
  - {alert: Always, expr: 'vector(1)', labels: {severity: page}}
"""


def test_prometheus_and_alertmanager(tmp_path: Path, run_service: RunService) -> None:
    manager = Alertmanager(tmp_path, "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n")
    run_service(manager)
    prometheus = Prometheus(
        tmp_path,
        "global: {scrape_interval: 200ms, evaluation_interval: 200ms}\n"
        "rule_files: [rules.yml]\n"
        f"alerting: {{alertmanagers: [{{static_configs: [{{targets: ['{HOST}:{manager.port}']}}]}}]}}\n"
        f"scrape_configs: [{{job_name: am, static_configs: [{{targets: ['{HOST}:{manager.port}']}}]}}]\n",
        files={"rules.yml": RULES},
    )
    run_service(prometheus)
    wait_for(lambda: prometheus.query("up == 1"), 20, "a scrape of the alertmanager")
    wait_for(lambda: [a for a in prometheus.alerts() if a["state"] == "firing"], 20, "the alert to fire", every=0.1)
    wait_for(manager.alerts, 20, "the alert to reach the alertmanager", every=0.1)
    assert manager.alerts()[0]["labels"]["severity"] == "page"
    assert prometheus.targets()[0]["health"] == "up"
    with pytest.raises(ServiceError, match="parse error"):
        prometheus.query("up ==")
    for service in (prometheus, manager):
        port = service.port
        service.kill()
        assert not listens(port)
        service.start()
        assert service.port == port


def test_a_service_that_cannot_start_shows_its_log(tmp_path: Path) -> None:
    broker = Mosquitto(tmp_path, lines=["nonsense 1"])
    with pytest.raises(ServiceError, match="nonsense"):
        broker.start()
    assert not broker.is_running()
    assert broker not in Service.started


def test_a_first_start_avoids_a_taken_port(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as first:
        second = Mosquitto(tmp_path)
        second._port = first.port
        with second:
            assert second.port != first.port
            assert first.is_running()


async def test_waiting_has_a_limit() -> None:
    start = time.monotonic()
    with pytest.raises(ServiceError, match=r"waited 0\.1 s for the moon; last answer: \[\]"):
        wait_for(list, 0.1, "the moon")

    async def never() -> bool:
        return False

    with pytest.raises(ServiceError, match="the sun"):
        await wait_for_async(never, 0.1, "the sun")
    assert await wait_for_async(lambda: 3) == 3
    assert time.monotonic() - start < 5
    assert not listens(free_port())


def test_what_is_installed_is_left_alone() -> None:
    """With everything there, the script says nothing and asks for nothing: it runs before every test run."""
    script = Path(__file__).with_name("system-packages.sh")
    done = subprocess.run(["bash", str(script)], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_what_is_missing_is_named_where_nothing_can_be_installed(tmp_path: Path) -> None:
    """No apt on the machine: one line with the names, exit status 1."""
    for tool in ("bash", "id"):
        (tmp_path / tool).symlink_to(f"/usr/bin/{tool}")
    script = Path(__file__).with_name("system-packages.sh").read_text()
    # Nothing but tmp_path is looked at, as on a machine without any of it.
    bare = script.replace(":/usr/local/sbin:/usr/sbin:/sbin", "").replace("/usr/lib/postgresql", "/nowhere")
    done = subprocess.run(
        ["bash", "-c", bare],
        env={**os.environ, "PATH": str(tmp_path)},
        executable="/bin/bash",
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "mosquitto mosquitto-clients postgresql prometheus" in done.stderr
