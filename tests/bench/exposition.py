"""/metrics: by hand and in slices, beside the same samples as plain Gauges of prometheus_client."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

from prometheus_client import CollectorRegistry, Gauge, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from monitor.flows.observe import Observer
from monitor.publish import metrics
from tests.bench.child import tell
from tests.bench.county import SITES, Sender, county, observing
from tests.bench.results import How, Result, Target, in_child, most, paired


def everybody_beats(observer: Observer) -> None:
    """All are up but one in fifty, who was never heard."""
    observer.restored("mqtt")
    now = observer.clock.now()
    for number, (site, kind) in enumerate(observer.inventory.terminals):
        if number % 50:
            beat = Sender(number)
            observer.heartbeat(site, kind, "mqtt", sent_at=now, boot=beat.boot, seq=beat.seq)


async def by_hand(folder: str) -> None:
    async with observing(county(SITES), Path(folder)) as observer:
        everybody_beats(observer)

        def ours() -> bytes:
            return metrics.exposition(observer.board, openmetrics=False, coverage_min=0.9)

        registry = CollectorRegistry()
        gauges: dict[str, Gauge] = {}
        for family in text_string_to_metric_families(ours().decode()):
            for sample in family.samples:
                if sample.name.startswith("zhdj_") and "le" not in sample.labels:
                    if sample.name not in gauges:
                        gauges[sample.name] = Gauge(sample.name, "x", list(sample.labels), registry=registry)
                    gauge = gauges[sample.name]
                    (gauge.labels(**sample.labels) if sample.labels else gauge).set(sample.value)

        def taken(work: object) -> float:
            before = time.process_time()
            for _ in range(5):
                work()  # type: ignore[operator]
            return (time.process_time() - before) / 5

        ours()
        value, base = paired(9, lambda: taken(ours), lambda: taken(lambda: generate_latest(registry)))
        tell(ms=value * 1000, gauges_ms=base * 1000)


async def in_slices(folder: str, terminals: int) -> None:
    """The longest that the loop was held while /metrics was told, as the handler does it (web/server.py).

    CPU time of this thread, since on a busy machine others hold the processor too."""
    async with observing(county(terminals // 3), Path(folder)) as observer:
        everybody_beats(observer)
        await asyncio.sleep(3)
        holds = []
        for _ in range(3):
            longest, body, at = 0.0, bytearray(), time.thread_time()
            for text in metrics.chunks(observer.board, openmetrics=False, coverage_min=0.9):
                body += text.encode()
                longest = max(longest, time.thread_time() - at)
                await asyncio.sleep(0)
                at = time.thread_time()
            bytes(body)
            holds.append(max(longest, time.thread_time() - at))
        tell(ms=sorted(holds)[1] * 1000, mb=len(body) / 1e6)


def exposition(how: How) -> Iterator[Result]:
    said = in_child("exposition:by_hand", folder=str(how.folder / "metrics"))
    name = "/metrics for 702 terminals (yardstick: the same samples as plain Gauges)"
    yield Result(name, said["ms"], "ms CPU", said["gauges_ms"], Target("ratio", "most", 0.3))
    said = in_child("exposition:in_slices", folder=str(how.folder / "slices"), terminals=15_000)
    yield Result("/metrics for 15,000 terminals: longest hold of the event loop", said["ms"], "ms", None, most(10))
