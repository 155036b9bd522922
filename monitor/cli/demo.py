"""demo: the whole county on simulated devices, and how to play with it."""

from __future__ import annotations

import asyncio
import fcntl
import os
import shlex
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated

import typer

from monitor.app import Running
from monitor.app import serve as serve_until_stopped
from monitor.cli.logs import log_to_stderr
from monitor.errors import MonitorError
from monitor.fleet.control import CONTROL
from monitor.fleet.demo import DemoPorts, write_demo
from monitor.fleet.tokens import TOKENS_FILE, demo_tokens
from monitor.inventory.load import load

#: How long the demonstration's fleet may take to end, seconds.
END_S = 10


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
    with _only_one(folder):
        _demo(folder, DemoPorts(http=listen, mqtt=mqtt_port, targets=target_port), control, seed)


def _demo(folder: Path, ports: DemoPorts, control: str, seed: int) -> None:
    config = folder / "config"
    write_demo(config, folder, ports)
    loaded = load(config)
    tokens = demo_tokens(folder, loaded.inventory)
    # A program of its own, as real devices are: the service must not wait for the fleet, nor end with it.
    players = subprocess.Popen(  # noqa: S603  # ourselves, with our own arguments
        [sys.executable, "-m", "monitor", "simulate", "--config", str(config), "--truth", str(folder / "truth.jsonl"),
         "--tokens", str(folder / TOKENS_FILE), "--seed", str(seed), "--control", control],
        start_new_session=True,
    )  # fmt: skip
    ending = threading.Event()
    ended: list[int] = []

    def watch_fleet() -> None:
        """Without devices there is nothing to show: say so, and end."""
        status = players.wait()
        if not ending.is_set():
            ended.append(status)
            os.kill(os.getpid(), signal.SIGTERM)

    def tell(service: Running) -> None:
        threading.Thread(target=watch_fleet, name="fleet", daemon=True).start()
        more = "" if control == CONTROL else f" --control {control}"
        print(f"""
  智慧党建运行监测 · 演示数据
  page     {service.address}/            (no sign-in yet: it shows, it changes nothing)
  metrics  {service.address}/metrics
  cut off  {ourselves()} fleet cut 511723101{more}
  restore  {ourselves()} fleet restore 511723101{more}
  stop     Ctrl-C
""", file=sys.stderr)  # fmt: skip

    def end_fleet() -> None:
        ending.set()
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
    if ended:
        raise MonitorError(f"the simulated fleet ended (status {ended[0]}); what it said stands above")


@contextmanager
def _only_one(folder: Path) -> Iterator[None]:
    """Before anything of a running demonstration is written anew. Raises MonitorError where there is one."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = os.open(folder / "demo.lock", os.O_RDWR | os.O_CREAT, 0o640)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            own = "--folder, --listen, --mqtt-port, --target-port and --control"
            raise MonitorError(f"a demonstration runs in {folder} already; another needs its own {own}") from None
        yield
    finally:
        os.close(lock)


def ourselves() -> str:
    """How this program can be called from here, as one types it."""
    program = Path(sys.argv[0])
    if program.name == "__main__.py":
        return f"{shlex.quote(sys.executable)} -m monitor"
    found = shutil.which(program.name)
    if found is not None and Path(found).resolve() == program.resolve():
        return program.name
    with suppress(ValueError):
        program = program.absolute().relative_to(Path.cwd())
    return shlex.quote(str(program))
