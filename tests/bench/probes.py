"""What probes cost, beside Debian's prometheus-blackbox-exporter, which is asked for the same probes."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import shutil
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from http.client import HTTPConnection
from pathlib import Path

from monitor.core.sites import Check
from monitor.intake import poller as poller_module
from monitor.intake.probes import ProbeResult, Tools, asker, probe
from monitor.intake.probes.icmp import allowed
from tests.bench.child import tell
from tests.bench.results import Child, How, Result, Skipped, Target, most, paired
from tests.recorder import Recorder
from tests.services import HOST, Service, listens

EXPORTER = "prometheus-blackbox-exporter"
PROBES, AT_ONCE = 1_000, 50
ECHOES = 702
TARGETS = [f"127.1.{i // 250}.{i % 250 + 1}" for i in range(ECHOES)]
CONFIG = """\
modules:
  tcp: {prober: tcp, timeout: 2s}
  http: {prober: http, timeout: 2s, http: {follow_redirects: false}}
"""
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"


class Exporter(Service):
    name = EXPORTER

    def command(self) -> Sequence[str]:
        config = self.folder / "blackbox.yml"
        config.write_text(CONFIG)
        return [EXPORTER, f"--config.file={config}", f"--web.listen-address={HOST}:{self.port}", "--log.level=error"]

    def ready(self) -> bool:
        return listens(self.port)

    def cpu_s(self) -> float:
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(") ")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def target() -> None:
    """A listener that answers what asks for a page, and hangs up."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            if await reader.readline():
                writer.write(ANSWER)
                await writer.drain()
            writer.close()

    server = await asyncio.start_server(answer, HOST, 0, backlog=1024)
    tell(port=server.sockets[0].getsockname()[1])
    await server.serve_forever()


async def prober(port: int) -> None:
    """Told a kind, it makes PROBES probes of it and says what they took."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    async with Tools() as tools:

        async def round_of(kind: str, targets: Sequence[str], at_once: int) -> float:
            places = asyncio.Semaphore(at_once)

            async def one(where: str) -> None:
                async with places:
                    result = await probe(tools, kind, where, 5)
                    assert result.ok, result.detail

            before = time.process_time()
            await asyncio.gather(*(one(where) for where in targets))
            return time.process_time() - before

        tell(ready=True)
        while line := await reader.readline():
            kind = line.decode().strip()
            if kind == "icmp":
                tell(cpu=await round_of_echoes(tools))
            elif kind == "poller":
                tell(cpu=await round_of_poller(tools))
            else:
                where = f"{HOST}:{port}" if kind == "tcp" else f"http://{HOST}:{port}/"
                tell(cpu=await round_of(kind, [where] * PROBES, AT_ONCE))


async def round_of_echoes(tools: Tools) -> float:
    """702 requests and their answers, nothing else."""
    results: list[ProbeResult] = []
    done = asyncio.Event()

    def told(result: ProbeResult) -> None:
        results.append(result)
        if len(results) == ECHOES:
            done.set()

    askers = [asker(tools, "icmp", where, 5, told) for where in TARGETS]
    before = time.process_time()
    for one in askers:
        assert one is not None
        one()
    await done.wait()
    spent = time.process_time() - before
    assert all(result.ok for result in results)
    return spent


class Door(Recorder):
    """Notes after each round what CPU time this process has used."""

    def __init__(self) -> None:
        super().__init__()
        self.rounds: list[float] = []
        self.done = asyncio.Event()
        self._results = 0

    def result(self, site: str, terminal: str, check: str, ok: bool, **more: object) -> None:
        assert ok, site
        self._results += 1
        if self._results % ECHOES == 0:
            self.rounds.append(time.process_time())
            self.done.set()


async def round_of_poller(tools: Tools) -> float:
    """702 turns at the same moment, 702 results at the door."""
    poller_module.phase_s = lambda check: 0.05
    checks = [Check(where, "pc", "icmp", where, interval_ms=100) for where in TARGETS]
    door = Door()
    poller = poller_module.Poller(checks, door, tools, concurrency=4 * ECHOES, timeout_s=5)
    task = asyncio.create_task(poller.run())
    while len(door.rounds) < 10:
        await door.done.wait()
        door.done.clear()
    task.cancel()
    return statistics.median(after - before for before, after in itertools.pairwise(door.rounds))


def ask(port: int, paths: Sequence[str]) -> None:
    """GET each, AT_ONCE connections that are kept."""
    connections = [HTTPConnection(HOST, port, timeout=30) for _ in range(AT_ONCE)]
    try:
        for start in range(0, len(paths), AT_ONCE):
            some = list(zip(connections, paths[start : start + AT_ONCE], strict=False))
            for connection, path in some:
                connection.request("GET", path)
            for connection, path in some:
                answer = connection.getresponse().read()
                if b"\nprobe_success 1" not in answer:
                    raise RuntimeError(f"{path}: {answer.decode(errors='replace')}")
    finally:
        for connection in connections:
            connection.close()


def probes(how: How) -> Iterator[Result]:
    with Child("probes:target") as listener:
        port = int(listener.told()["port"])
        with Child("probes:prober", port=port) as ours:
            ours.told()

            def cpu(kind: str) -> float:
                ours.tell(kind)
                return float(ours.told()["cpu"])

            exporter = Exporter(how.folder) if shutil.which(EXPORTER) else None
            with exporter or contextlib.nullcontext():
                for kind, where in (("tcp", f"{HOST}:{port}"), ("http", f"http://{HOST}:{port}/")):

                    def theirs(kind: str = kind, where: str = where) -> float:
                        assert exporter is not None
                        before = exporter.cpu_s()
                        ask(exporter.port, [f"/probe?module={kind}&target={where}"] * PROBES)
                        return exporter.cpu_s() - before

                    def mine(kind: str = kind) -> float:
                        return cpu(kind)

                    mine()
                    if exporter is None:
                        value, base = paired(how.rounds(5), mine)[0], None
                    else:
                        value, base = paired(how.rounds(5), mine, theirs)
                    name = f"1,000 {kind.upper()} probes (yardstick: blackbox_exporter)"
                    yield Result(name, value, "CPU s", base, Target("ratio", "most", 0.5))
            if allowed():
                cpu("icmp")
                echoes, polled = paired(9, lambda: cpu("icmp"), lambda: cpu("poller"))
                yield Result(f"ICMP round of {ECHOES}", echoes * 1000, "ms CPU", None, most(5))
                yield Result("the same by the poller: turns, places, handing over", polled * 1000, "ms CPU")
    if exporter is None:
        raise Skipped(f"no yardstick for probes: {EXPORTER} is not installed (apt-get install {EXPORTER})")
    if not allowed():
        raise Skipped("no ICMP: this process may not send echo requests")
