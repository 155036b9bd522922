"""What probes cost, beside Debian's prometheus-blackbox-exporter, which is asked for the same probes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from http.client import HTTPConnection
from pathlib import Path

from monitor.intake.probes import Tools, probe
from monitor.intake.probes.icmp import allowed
from tests.bench.child import tell
from tests.bench.results import Child, How, Result, Skipped, Target, most, paired
from tests.services import HOST, Service, listens

EXPORTER = "prometheus-blackbox-exporter"
PROBES, AT_ONCE = 1_000, 50
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
                targets = [f"127.1.{i // 250}.{i % 250 + 1}" for i in range(702)]
                tell(cpu=await round_of(kind, targets, 702))
            else:
                where = f"{HOST}:{port}" if kind == "tcp" else f"http://{HOST}:{port}/"
                tell(cpu=await round_of(kind, [where] * PROBES, AT_ONCE))


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
                yield Result("ICMP round of 702", paired(9, lambda: cpu("icmp"))[0] * 1000, "ms CPU", None, most(5))
    if exporter is None:
        raise Skipped(f"no yardstick for probes: {EXPORTER} is not installed (apt-get install {EXPORTER})")
    if not allowed():
        raise Skipped("no ICMP: this process may not send echo requests")
