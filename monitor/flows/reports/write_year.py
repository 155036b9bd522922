"""The files of a year: its facts as JSON, the yearly table, 自评表 and the narrative, all from the same facts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path

import msgspec

from monitor.core.year_facts import YearFacts
from monitor.errors import MonitorError
from monitor.flows.reports.write import Progress, Written, put
from monitor.publish.documents.blocks import Document
from monitor.publish.reports.evaluation import evaluation
from monitor.publish.reports.goals import goals
from monitor.publish.reports.narrative import narrative
from monitor.publish.reports.year_annex import annex

#: The documents of a year, by the name of their files.
DOCUMENTS: Mapping[str, Callable[[YearFacts, str], Document]] = {
    "goals": lambda facts, _: goals(facts),
    "evaluation": evaluation,
    "narrative": narrative,
    "annex": lambda facts, _: annex(facts),
}
_encode = msgspec.json.Encoder(order="sorted").encode


def dump(facts: YearFacts) -> bytes:
    """Canonical JSON: keys sorted, UTF-8, integers and texts."""
    return _encode(facts)


def chosen(documents: Sequence[str]) -> list[str]:
    """Each once, in their order; none named is all of them. Raises MonitorError for another word."""
    for name in documents:
        if name not in DOCUMENTS:
            raise MonitorError(f"--document：应为 {'、'.join(DOCUMENTS)}，实为 {name!r}")
    return [name for name in DOCUMENTS if name in documents or not documents]


def write_year(
    facts: YearFacts, style: str, documents: Sequence[str], formats: Sequence[str], folder: Path, progress: Progress
) -> list[Written]:
    """`year-2026.json` and, of each document and format, `goals-2026.xlsx`; each whole or not there."""
    result = []
    if "json" in formats:
        progress("json")
        result.append(put("json", folder / f"year-{facts.year}.json", iter([dump(facts)])))
    composed = {name: DOCUMENTS[name](facts, style) for name in documents}
    for suffix in (name for name in formats if name != "json"):
        render = import_module(f"monitor.publish.documents.{suffix}").render
        for name, document in composed.items():
            progress(f"{name} {suffix}")
            result.append(put(suffix, folder / f"{name}-{facts.year}.{suffix}", iter([render(document)])))
    return result
