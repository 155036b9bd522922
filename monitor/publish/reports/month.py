"""The month's report 月度运行维护报告: nine parts from a period's facts. Pure: equal facts give equal documents."""

from __future__ import annotations

from monitor.core import report_words as words
from monitor.core.report import ReportFacts, State
from monitor.publish.documents.blocks import NO_DATE, Document
from monitor.publish.reports.annex import annex
from monitor.publish.reports.evidence import evidence
from monitor.publish.reports.groups import groups
from monitor.publish.reports.method import method
from monitor.publish.reports.money import money
from monitor.publish.reports.outages import outages
from monitor.publish.reports.planned import planned
from monitor.publish.reports.reading import Reading
from monitor.publish.reports.restated import restated
from monitor.publish.reports.sites import sites
from monitor.publish.reports.standing import Restated, Seal
from monitor.publish.reports.summary import summary
from monitor.publish.reports.unknown import unknown

DEMO = "演示数据"
STATES: dict[State, str] = {"preview": "预览", "sealed": "定稿", "restated": "更正版"}


def compose(
    facts: ReportFacts,
    state: State = "preview",
    *,
    seal: Seal | None = None,
    change: Restated | None = None,
) -> Document:
    """The document of a period. A month, or any other period as a preview of the same form.

    `seal`: of a sealed or restated report, its place on the chain; `change`: what a restated one takes the place of.
    """
    reading = Reading(facts)
    marks = [*([DEMO] if facts.demo else []), STATES[state]]
    return Document(
        title=f"{facts.county}“智慧党建”平台{reading.name}运行维护报告",
        sections=[
            summary(reading),
            groups(reading),
            sites(reading),
            outages(reading),
            planned(reading),
            unknown(reading),
            money(reading),
            method(reading),
            evidence(reading, seal),
            annex(reading),
        ],
        fields=_fields(reading, state, seal),
        marks=marks,
        signatures=(("填表人", facts.filled_by), ("负责人", facts.responsible)),
        made_by=f"zhdj-monitor {facts.software}，规则版本 {facts.rules}",
        timezone=facts.timezone,
        lead=restated(facts, change) if change else (),
        as_of=facts.as_of,
    )


def _fields(reading: Reading, state: State, seal: Seal | None) -> list[tuple[str, str]]:
    facts = reading.facts
    first = words.long_day(words.local_day(facts.start, reading.zone))
    last = words.long_day(words.local_day(max(facts.end - 1, facts.start), reading.zone))
    version = STATES[state] + (f"（第{seal.number}号）" if seal else "")
    until = [("数据截至", words.full_instant(facts.as_of, reading.zone))] if facts.as_of < facts.end else []
    return [
        ("编制单位", facts.unit),
        ("报告期", f"{first}至{last}"),
        *until,
        ("版本", version),
        ("填报日期", words.long_day(words.local_day(seal.at, reading.zone)) if seal else NO_DATE),
    ]
