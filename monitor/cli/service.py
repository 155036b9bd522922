"""serve, demo, simulate, fleet, check-config: what runs, and what is checked before it runs."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import structlog
import typer

from monitor.app import Running
from monitor.app import serve as serve_until_stopped
from monitor.cli.check_config import check_config
from monitor.errors import MonitorError
from monitor.fleet.control import CONTROL, fleet_control
from monitor.fleet.demo import DemoPorts, write_demo
from monitor.fleet.simulate import simulate as play
from monitor.fleet.tokens import TOKENS_FILE, demo_tokens, read_tokens
from monitor.inventory.load import load

Config = Annotated[Path, typer.Option("--config", help="The folder of monitor.toml.")]
#: How long the demonstration's fleet may take to end, seconds.
END_S = 10


def register(program: typer.Typer) -> None:
    """Add this family's commands."""
    for function in (serve, demo, simulate, fleet):
        program.command()(function)
    program.command("check-config")(check)


def log_to_stderr() -> None:
    """One line an event, JSON unless a person is watching."""
    person = sys.stderr.isatty()
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer() if person else structlog.processors.JSONRenderer(ensure_ascii=False)
    )
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.StackInfoRenderer(),
            structlog.processors.format_exc_info,
            renderer,
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format='{"event": %(message)r, "logger": "%(name)s"}')


def serve(config: Config) -> None:
    """The service, on real devices, until it is told to stop (SIGTERM, Ctrl-C)."""
    log_to_stderr()
    os.umask(0o027)  # the log, the database and what stands beside them are not for everybody
    asyncio.run(serve_until_stopped(load(config)))


def demo(
    folder: Annotated[Path, typer.Option(help="Where the demonstration keeps everything.")] = Path("var/demo"),
    listen: Annotated[str, typer.Option(help="Where the page is served.")] = "127.0.0.1:8080",
    mqtt_port: Annotated[int, typer.Option(help="Of the embedded broker.")] = 1884,
    target_port: Annotated[int, typer.Option(help="Of the simulated probe targets, and the two after it.")] = 7707,
    control: Annotated[str, typer.Option(help="Where the fleet is controlled.")] = CONTROL,
    seed: Annotated[int, typer.Option(help="Of the simulated faults.")] = 2020,
) -> None:
    """The whole county on simulated devices: really MQTT, HTTP and probes. 演示数据."""
    log_to_stderr()
    config = folder / "config"
    write_demo(config, folder, DemoPorts(http=listen, mqtt=mqtt_port, targets=target_port))
    loaded = load(config)
    tokens = demo_tokens(folder, loaded.inventory)
    # A program of its own, as real devices are: the service must not wait for the fleet, nor end with it.
    players = subprocess.Popen(  # noqa: S603  # ourselves, with our own arguments
        [sys.executable, "-m", "monitor", "simulate", "--config", str(config), "--truth", str(folder / "truth.jsonl"),
         "--tokens", str(folder / TOKENS_FILE), "--seed", str(seed), "--control", control],
        start_new_session=True,
    )  # fmt: skip

    def tell(service: Running) -> None:
        print(f"""
  智慧党建运行监测 · 演示数据
  page     {service.address}/            (no sign-in yet: it shows, it changes nothing)
  metrics  {service.address}/metrics
  cut off  zhdj-monitor fleet cut 511723101      restore: zhdj-monitor fleet restore 511723101
  stop     Ctrl-C
""", file=sys.stderr)  # fmt: skip

    def end_fleet() -> None:
        players.send_signal(signal.SIGTERM)
        try:
            players.wait(END_S)
        except subprocess.TimeoutExpired:
            os.killpg(players.pid, signal.SIGKILL)
            players.wait()

    try:
        asyncio.run(serve_until_stopped(loaded, known_tokens=tokens, started=tell, stopping=end_fleet))
    finally:
        end_fleet()  # nothing to do, unless the service could not start or failed


def simulate(
    config: Config,
    truth: Annotated[Path, typer.Option(help="Where to write what really happened (JSON lines).")],
    tokens: Annotated[
        Path | None,
        typer.Option(help=f"The devices' tokens; by default {TOKENS_FILE} beside the configuration's folder."),
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed, the same faults.")] = 1,
    duration: Annotated[float | None, typer.Option(help="Seconds; without it until stopped.")] = None,
    script: Annotated[str, typer.Option(help="gentle, rough, hour or still.")] = "gentle",
    control: Annotated[str, typer.Option(help="Where it can be told to cut townships off.")] = CONTROL,
) -> None:
    """Play the fleet against a running service, with seeded faults, and write what really happened."""
    path = tokens or config.parent / TOKENS_FILE
    read_tokens(path)

    async def until_stopped() -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  # asyncio.run runs us in one
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
        try:
            await play(config, truth, seed, duration, path, script, control=control)
        except asyncio.CancelledError:
            return

    asyncio.run(until_stopped())


def fleet(
    action: Annotated[str, typer.Argument(help="cut, restore or state.")],
    target: Annotated[str, typer.Argument(help="A township's code, or monitor.")] = "",
    control: Annotated[str, typer.Option(help="Where the fleet is controlled.")] = CONTROL,
) -> None:
    """Tell a simulated fleet to cut a township (or the monitor's own line) off, and to restore it."""
    answer = asyncio.run(fleet_control(action, target, control))
    for key, value in answer.items():
        print(f"{key}: {value}")


def check(config: Config, json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False) -> None:
    """Read everything; count it, or list every mistake with file, row, column and what was expected."""
    if not config.is_dir():
        raise MonitorError(f"{config}: no such folder; expected the folder of monitor.toml")
    raise typer.Exit(check_config(config, json))
