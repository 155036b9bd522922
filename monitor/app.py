"""The whole program on one page: open things, start tasks in order, close in reverse.

Every loop has a name and says what it survives; anything else ends the process, and its supervisor starts it again.
"""

from __future__ import annotations

import asyncio
import resource
import signal
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import structlog
from aiohttp import web
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from monitor.clock import Clock
from monitor.core.sites import Inventory
from monitor.errors import ConfigError, MonitorError
from monitor.flows.anchoring import Anchoring
from monitor.flows.collecting import search_what_is_new
from monitor.flows.days import chain_closed_days, prune_logs
from monitor.flows.inventory_files import follow_database, follow_files
from monitor.flows.ledger.figures import money_so_far
from monitor.flows.month import month_so_far
from monitor.flows.observe import Observer
from monitor.flows.orders import keep_orders
from monitor.flows.outbox import Outbox
from monitor.flows.overview import load_overview
from monitor.flows.reports.keeping import Keeping
from monitor.flows.space import space
from monitor.intake.alertmanager import AlertmanagerIntake
from monitor.intake.broker import EmbeddedBroker
from monitor.intake.http import HttpIntake
from monitor.intake.http_server import listen
from monitor.intake.mosquitto_files import MosquittoFiles
from monitor.intake.mqtt import MqttReceiver
from monitor.intake.poller import Poller
from monitor.intake.probes import Tools
from monitor.intake.selfwatch import Echo, SelfWatch
from monitor.intake.tokens import Token, Tokens, new_token
from monitor.inventory.load import Loaded, load
from monitor.publish.supervisor import ALIVE, READY, STOPPING, supervisor
from monitor.publish.views import Overview
from monitor.settings import Settings
from monitor.store import tokens
from monitor.store.database import looking, opened, sever
from monitor.store.view import View
from monitor.store.windows import in_force
from monitor.web.server import create_app

log = structlog.get_logger()

#: How often the month's figures, the windows and the tokens are read anew, seconds.
FIGURES_S = 60.0
TABLES_S = 5.0
#: How often versions of the inventory are looked for, and how long before they hold they stand in the log.
VERSIONS_S = 2.0
AHEAD_MS = 60_000
#: How often work orders are looked after, seconds: the delay that it adds to the one clock.
ORDERS_S = 5.0
#: Every so many times thoroughly.
THOROUGH = 60
#: How often the database is tried for what waits, seconds.
SAVE_S = 1.0
#: How often the chains' heads are looked at, and the folder of the evidence log, seconds.
ANCHORS_S = 5.0
DAYS_S = 60.0
#: How often the outbox of alerts is looked at without being woken, seconds.
OUTBOX_S = 1.0
#: How often it is looked whether a month is to be sealed, or a sealed one to be restated, seconds.
REPORTS_S = 60.0
#: How long a loop that is told to stop may take before the database that it waits for is let go of, seconds.
LEAVE_S = 3.0
#: Connections of HTTP and of the embedded broker, twice over.
OPEN_FILES = 16_384


@dataclass(frozen=True, slots=True)
class Running:
    """A service that runs: where it listens, and what it sees."""

    address: str
    observer: Observer
    engine: AsyncEngine


@asynccontextmanager
async def running(
    loaded: Loaded,
    *,
    known_tokens: Mapping[str, str] | None = None,
    config: Path | None = None,
    reload: asyncio.Event | None = None,
) -> AsyncIterator[Running]:
    """The service, until the block ends or one of its tasks fails. `known_tokens`: of a simulated fleet."""
    settings = loaded.settings
    reload = reload or asyncio.Event()
    tell = supervisor()
    async with AsyncExitStack() as stack:
        engine = await stack.enter_async_context(opened(settings.database.url.get_secret_value()))
        if known_tokens:
            async with engine.begin() as connection:
                await tokens.keep(connection, tokens.of_devices(known_tokens), Clock().now())
        clock = Clock()
        observer = Observer(loaded, clock, View(engine, settings.observer), Path(settings.evidence.folder))
        await observer.start()
        stack.push_async_callback(observer.stop)
        stack.enter_context(search_what_is_new())
        anchoring = Anchoring(engine, settings, observer.board)
        known = Tokens([Token.of_row(row) for row in await tokens.rows(engine)], clock)
        tools = await stack.enter_async_context(Tools())
        files = MosquittoFiles.of(settings.mqtt)

        mqtt = settings.mqtt
        if mqtt.embedded:
            # The service signs in to its own broker like everybody else; nobody else needs to know how.
            password = new_token("device")
            mqtt = mqtt.model_copy(update={"username": "monitor", "password": type(mqtt.password)(password)})
            broker = EmbeddedBroker(
                known,
                service_user="monitor",
                service_password=password,
                host=mqtt.host,
                port=mqtt.port,
                refused=lambda reason: observer.board.refused("mqtt", reason),
            )
            await stack.enter_async_context(broker)
        receiver = MqttReceiver(mqtt, observer, observer_name=settings.observer)
        poller = Poller(
            observer.inventory.checks.values(),
            observer,
            tools,
            concurrency=settings.probes.concurrency,
            timeout_s=settings.probes.timeout_s,
            # While our own line is down, what does not answer says nothing of those who are asked.
            allowed=lambda: observer.board.channels()["probe"],
            line_works=lambda: watch.line_works(),
        )

        async def overview() -> Overview:
            try:
                return await load_overview(engine, observer.judge.loaded, observer.board.month, clock.now())
            except (SQLAlchemyError, OSError) as error:
                log.warning("overview.failed", error=type(error).__name__)
                raise web.HTTPServiceUnavailable from None

        application = create_app(board=observer.board, settings=settings, load_overview=overview)
        HttpIntake(observer, known).add_to(application)
        alerts = settings.alerts
        outbox = Outbox(engine, settings, observer.board, config) if alerts.token_file else None
        AlertmanagerIntake(alerts.token_file, outbox.take if outbox else None).add_to(application)
        host, _, port = settings.http.listen.rpartition(":")
        listener = await stack.enter_async_context(listen(application, host.strip("[]"), int(port)))

        echoes: dict[str, Echo] = {"mqtt": receiver.echo, "http": lambda: _accepts(host.strip("[]"), listener.port)}
        watch = SelfWatch(observer, settings.canaries.targets, echoes, tools, every_s=settings.canaries.every_s)
        loops: dict[str, Callable[[], Coroutine[Any, Any, None]]] = {
            "cut": lambda: _cut(observer, settings.evidence.cut_s, tell),
            "save": lambda: _save(observer),
            "figures": lambda: _figures(observer, engine),
            "orders": lambda: _orders(observer, engine),
            "versions": lambda: _versions(observer, poller, config, reload),
            "tables": lambda: _tables(observer, known, engine, files, settings),
            "anchors": lambda: _anchors(anchoring, clock),
            "days": lambda: _days(engine, settings, clock),
            "reports": lambda: _reports(observer, Keeping(engine, observer.board)),
            "mqtt": receiver.run,
            "poller": poller.run,
            "selfwatch": watch.rounds,
            "clock": watch.guard_clock,
        }
        if outbox is not None:
            loops["outbox"] = partial(_outbox, outbox)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(loop(), name=name) for name, loop in loops.items()]
            log.info("service.started", http=f"{host}:{listener.port}", sites=len(observer.inventory.sites))
            tell(READY)
            try:
                yield Running(f"http://{host}:{listener.port}", observer, engine)
            finally:
                tell(STOPPING)
                for task in tasks:
                    task.cancel()
                _, hanging = await asyncio.wait(tasks, timeout=LEAVE_S)
                if hanging:
                    sever(engine)


async def serve(
    loaded: Loaded,
    *,
    config: Path | None = None,
    known_tokens: Mapping[str, str] | None = None,
    started: Callable[[Running], None] | None = None,
    stopping: Callable[[], None] | None = None,
) -> None:
    """Run until SIGTERM or SIGINT, then stop in order; `stopping` is called in a thread before anything is closed.

    SIGHUP: the files of `config` are looked at again.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    reload = asyncio.Event()
    loop.add_signal_handler(signal.SIGHUP, reload.set)
    _allow_many_files()
    runs = False
    trouble: BaseException | None = None
    try:
        async with running(loaded, known_tokens=known_tokens, config=config, reload=reload) as service:
            runs = True
            if started is not None:
                started(service)
            await stop.wait()
            if stopping is not None:
                await asyncio.to_thread(stopping)
    except* MonitorError as group:
        trouble = _leaves(group)[0]
    except* (OSError, SQLAlchemyError) as group:
        if runs:
            raise
        trouble = MonitorError(f"cannot start: {str(_leaves(group)[0]).splitlines()[0]}")
    if trouble is not None:
        raise trouble  # not in `except*`, which would wrap it in a group
    log.info("service.stopped")


def _allow_many_files() -> None:
    """1,024 is what many machines begin with: idle connections alone would then keep the log from being opened."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    result: list[BaseException] = []
    for error in group.exceptions:
        result += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return result


async def _accepts(host: str, port: int) -> bool:
    """The echo of the channel `http`: our own listener answers, whatever it says. One that is taken up does not."""
    everywhere = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  # names for it, not a bind
    try:
        reader, writer = await asyncio.open_connection(everywhere.get(host, host), port)
    except OSError:
        return False
    try:
        writer.write(b"HEAD /static/icon.svg HTTP/1.0\r\n\r\n")
        return (await reader.readline()).startswith(b"HTTP/")
    except OSError:
        return False
    finally:
        writer.close()


async def _pause(seconds: float) -> None:
    """Between two rounds of a loop. Told to stop while a database hangs, its driver answers with a time-out of its own
    in place of the cancellation; a loop that survives time-outs would go on for ever."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
    await asyncio.sleep(seconds)


async def _cut(observer: Observer, every_s: float, tell: Callable[[str], None]) -> NoReturn:
    """Survives a disk that takes nothing (Observer.cut says so).

    That it comes round is the sign of life: a process that hangs is started anew by its supervisor.
    """
    while True:
        await _pause(every_s)
        await observer.cut()
        tell(ALIVE)


async def _save(observer: Observer) -> NoReturn:
    """Survives a database that is away (Observer.save says so)."""
    while True:
        await _pause(SAVE_S)
        await observer.save()
        observer.board.queues = observer.queues()


async def _figures(observer: Observer, engine: AsyncEngine) -> NoReturn:
    """Survives a database that is away: the figures then stay as old as they say they are."""
    while True:
        try:
            observer.board.month = await month_so_far(engine, observer.judge.loaded, observer.clock.now())
        except (SQLAlchemyError, OSError, TimeoutError) as error:
            log.warning("figures.failed", error=type(error).__name__)
        await _pause(FIGURES_S if not observer.loaded.settings.demo else TABLES_S)


async def _orders(observer: Observer, engine: AsyncEngine) -> NoReturn:
    """Survives a database that is away, another process that was quicker, and a year without a calendar."""
    passes = 0
    while True:
        await _pause(ORDERS_S)
        try:
            now, thorough = observer.clock.now(), passes % THOROUGH == 0
            passes += 1
            observer.board.orders = await keep_orders(engine, observer.judge.loaded, now, thorough=thorough)
        except (SQLAlchemyError, OSError, TimeoutError, MonitorError) as error:
            log.warning("orders.failed", error=(str(error) or type(error).__name__).splitlines()[0])


async def _versions(observer: Observer, poller: Poller, config: Path | None, reload: asyncio.Event) -> NoReturn:
    """Versions of the inventory that are due, and files that were changed, when we are told to look at them.

    Survives files with mistakes, which change nothing, a version that is damaged, and a database that is away.
    """
    probed: Inventory | None = None
    while True:
        try:
            await _take_up(observer)
            if reload.is_set() and config is not None:
                await _reload(observer, config)
            reload.clear()
        except (SQLAlchemyError, OSError, TimeoutError) as error:
            log.warning("versions.waiting", error=type(error).__name__)
        if observer.inventory is not probed:
            probed = observer.inventory
            poller.follow(probed.checks.values())
        with suppress(TimeoutError):
            async with asyncio.timeout(VERSIONS_S):
                await (reload.wait() if not reload.is_set() else asyncio.sleep(VERSIONS_S))


async def _take_up(observer: Observer) -> None:
    """What is due by the database; a version that is damaged is told once, and for as long as it waits."""
    part, said = "inventory version", ""
    try:
        await follow_database(observer, AHEAD_MS)
    except MonitorError as error:
        said = str(error)
        if observer.board.warnings.get(part) != said:
            log.error("inventory.damaged", error=said)
    observer.board.warn(part, said)


async def _reload(observer: Observer, config: Path) -> None:
    """What the files say; with a mistake in them nothing changes, and a warning stands until they are mended."""
    said = ""
    try:
        await follow_files(observer, await asyncio.to_thread(load, config))
        log.info("inventory.reloaded", sites=len(observer.inventory.sites))
    except ConfigError as error:
        for mistake in error.mistakes:
            log.error("inventory.refused", mistake=str(mistake))
        first, more = error.mistakes[0], len(error.mistakes) - 1
        said = f"the files have mistakes, what held holds on: {first}" + (f" (and {more} more)" if more else "")
    except MonitorError as error:
        log.error("inventory.refused", mistake=str(error))
        said = f"the files are refused, what held holds on: {error}"
    observer.board.warn("inventory", said)


async def _tables(
    observer: Observer, known: Tokens, engine: AsyncEngine, files: MosquittoFiles | None, settings: Settings
) -> NoReturn:
    """What people change while we run: tokens, mosquitto's files from them, planned windows, which the log is told, and
    the year's money; and how much room is left on the disks.

    Survives a database that is away, and files that cannot be written (MosquittoFiles says so).
    """
    while True:
        observer.board.space = await asyncio.to_thread(space, settings)
        try:
            async with looking(engine) as connection:
                rows = await tokens.rows_of(connection)
                windows = await in_force(connection)
                observer.board.money = await money_so_far(connection, settings.zone, observer.clock.now())
            known.replace(map(Token.of_row, rows))
            if files is not None:
                await asyncio.to_thread(files.follow, rows, observer.clock.now())
            for window in observer.judge.windows.missing(windows, observer.clock.now()):
                observer.window(window)
            observer.board.windows = [w for told in windows if (w := told.counted()) is not None]
        except (SQLAlchemyError, OSError, TimeoutError) as error:
            log.warning("tables.failed", error=type(error).__name__)
        await _pause(TABLES_S)


async def _anchors(anchoring: Anchoring, clock: Clock) -> NoReturn:
    """Survives a database that is away; a file that cannot be written and a mail server that takes nothing, Anchoring
    tells itself."""
    started = False
    while True:
        try:
            await (anchoring.step if started else anchoring.start)(clock.now())
            started = True
        except (SQLAlchemyError, OSError, TimeoutError, MonitorError) as error:
            log.warning("anchors.waiting", error=type(error).__name__)
        await _pause(ANCHORS_S)


async def _days(engine: AsyncEngine, settings: Settings, clock: Clock) -> NoReturn:
    """Closed days of the log into the chain, old ones away. Survives a database or a folder that is away."""
    await _pause(TABLES_S)  # after everything else that a start asks of the database
    while True:
        try:
            await chain_closed_days(engine, settings, clock.now())
            await prune_logs(engine, settings, clock.now())
        except (SQLAlchemyError, OSError, TimeoutError) as error:
            log.warning("days.failed", error=type(error).__name__)
        await _pause(DAYS_S)


async def _outbox(outbox: Outbox) -> NoReturn:
    """Survives a database that is away; what an outlet does not take, Outbox tells itself."""
    while True:
        try:
            await outbox.step()
        except (SQLAlchemyError, OSError, TimeoutError, MonitorError) as error:
            log.warning("outbox.waiting", error=(str(error) or type(error).__name__).splitlines()[0])
        with suppress(TimeoutError):
            async with asyncio.timeout(OUTBOX_S):
                await outbox.woken.wait()
        outbox.woken.clear()
        await _pause(0)


async def _reports(observer: Observer, keeping: Keeping) -> NoReturn:
    """Survives a database that is away; what it cannot seal it says itself."""
    await _pause(TABLES_S)  # after everything else that a start asks of the database
    while True:
        try:
            await keeping.step(observer.judge.loaded, observer.clock.now())
        except (SQLAlchemyError, OSError, TimeoutError, MonitorError) as error:
            log.warning("reports.failed", error=(str(error) or type(error).__name__).splitlines()[0])
        await _pause(REPORTS_S)
