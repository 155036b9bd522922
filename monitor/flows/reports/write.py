"""The files of a report: its facts as JSON, and the documents that are composed of them, all from the same facts."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from monitor.core.report import ReportFacts
from monitor.errors import MonitorError
from monitor.flows.reports import facts_json
from monitor.flows.reports.kept import Standing
from monitor.publish.documents.blocks import Document
from monitor.publish.reports.month import compose
from monitor.publish.reports.standing import Restated, Seal

#: In the order in which they are written: what is quick comes first.
FORMATS = ("json", "html", "xlsx", "docx", "pdf")
ALL = "all"

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Written:
    """A file of a report."""

    format: str
    path: Path
    bytes: int
    sha256: str


def wanted(formats: Iterable[str]) -> list[str]:
    """These formats, `all` for all of them, each once. Raises MonitorError for another word."""
    found = list(formats)
    for name in found:
        if name != ALL and name not in FORMATS:
            raise MonitorError(f"--format：应为 {'、'.join((*FORMATS, ALL))}，实为 {name!r}")
    return [name for name in FORMATS if name in found or ALL in found]


def write(
    facts: ReportFacts, formats: Sequence[str], folder: Path, progress: Progress, sealed: Standing | None = None
) -> list[Written]:
    """One file a format, `report-2026-10.json`, each whole or not there. Raises MonitorError where it cannot be.

    `sealed`: whose facts they are, where they were sealed; the JSON then is what was sealed, byte for byte.
    """
    documents = [name for name in formats if name != "json"]
    document = None
    if documents:
        progress("composing")
        document = _composed(facts, sealed)
    result = []
    for name in formats:
        progress(name)
        path = folder / f"report-{facts.period}.{name}"
        if name == "json" and sealed is not None:
            pieces = iter([sealed.data])
        elif name == "json":
            pieces = facts_json.chunks(facts)
        else:
            pieces = iter([import_module(f"monitor.publish.documents.{name}").render(document)])
        result.append(put(name, path, pieces))
    return result


def put(name: str, path: Path, pieces: Iterator[bytes]) -> Written:
    """Beside its place first, and into it once it is durable."""
    digest, size = hashlib.sha256(), 0
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, aside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
        try:
            with open(descriptor, "wb") as file:
                for piece in pieces:
                    digest.update(piece)
                    size += file.write(piece)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(aside, 0o644)
            os.replace(aside, path)
        except BaseException:
            os.unlink(aside)
            raise
    except OSError as error:
        raise MonitorError(f"{path}：不能写入：{error.strerror}") from None
    return Written(name, path, size, digest.hexdigest())


def _composed(facts: ReportFacts, sealed: Standing | None) -> Document:
    if sealed is None:
        return compose(facts)
    kept, change = sealed.kept, None
    if sealed.before is not None:
        former, before = sealed.before
        change = Restated(before, kept.reason, former.n, former.hash)
    seal = Seal(kept.n, kept.hash, kept.previous, kept.sealed_by, kept.at_ms)
    return compose(facts, kept.state, seal=seal, change=change)
