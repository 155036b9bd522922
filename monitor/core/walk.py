"""Walking a chain from its rows: the first record that does not hold, and what that means (docs/chains.md)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from monitor.core.chain import BEGINNING, Link, Record, link, rendered


class Anchor(NamedTuple):
    """A head as it was written down outside the database; `at`: when, as text."""

    at: str
    tag: str
    n: int
    hash: str


class Fault(NamedTuple):
    """What does not hold. `kind` is a short stable word, `says` a sentence for the auditor."""

    tag: str
    n: int
    kind: str
    says: str


@dataclass(slots=True)
class Walk:
    """One chain. Feed it the records by number, then `end` it; `fault` is the first thing that does not hold."""

    tag: str
    anchors: Mapping[int, Anchor] = field(default_factory=dict)  # the chain's own, by number
    n: int = 0
    hash: str = BEGINNING
    at_ms: int | None = None  # of the last record that holds
    anchored: int = 0  # the newest record that an anchor confirms
    fault: Fault | None = None
    render: Callable[[Mapping[str, Any]], bytes] = rendered  # a body's bytes; a quicker one must give the same

    def feed(self, records: Iterable[Record]) -> None:
        """The next records. After the first fault nothing more is looked at."""
        if self.fault is not None:
            return
        tag, n, previous, at_ms, anchors = self.tag, self.n, self.hash, self.at_ms, self.anchors
        render = self.render
        for record in records:
            if record.n != n + 1:
                self._gap(n, record.n)
                break
            made = link(tag, record.n, previous, render(record.body))
            if made != record.hash:
                self._bad(record.n, "changed", "内容与其哈希不符：这一行在写入之后被改动过，或有人重写了它的哈希")
                break
            if record.n in anchors:
                if anchors[record.n].hash != made:
                    self._rewritten(anchors[record.n])
                    break
                self.anchored = record.n
            n, previous, at_ms = record.n, made, record.body["at_ms"]
        self.n, self.hash, self.at_ms = n, previous, at_ms

    def end(self, head: Link | None) -> None:
        """There are no more records; `head` is what the database says is the newest."""
        if self.fault is not None:
            return
        newest = max(self.anchors.values(), key=lambda a: a.n, default=None)
        behind = f"{newest.at} 的锚点已记到第 {newest.n} 条" if newest is not None and newest.n > self.n else ""
        if head is not None and head.n > self.n:
            # Surer than what the anchors say: an old backup would have brought its head along.
            also = f"；{behind}" if behind else ""
            self._bad(self.n + 1, "cut", f"链头已到第 {head.n} 条，表中只到第 {self.n} 条：链尾的行被删除{also}")
        elif behind:
            self._bad(self.n + 1, "older", f"{behind}，库中只到第 {self.n} 条：链尾被截去，或换回了旧的备份")
        elif head is None:
            if self.n:
                self._bad(self.n, "head", "链头的记录（chain_head）被删除")
        elif head.n < self.n:
            self._bad(head.n + 1, "head", f"链头只到第 {head.n} 条，表中却有第 {self.n} 条：链头被改动，或行是后加的")
        elif head.hash != self.hash:
            self._bad(self.n, "head", "链头的哈希与最后一条不符：链头被改动，或最后一条被重写")

    def _gap(self, n: int, found: int) -> None:
        if found <= n:
            self._bad(found, "extra", "编号不在 1 起的顺序之内：这一行是后加的")
        else:
            missing = f"第 {n + 1} 条" if found == n + 2 else f"第 {n + 1} 至 {found - 1} 条"
            self._bad(n + 1, "missing", f"{missing}被删除")

    def _rewritten(self, anchor: Anchor) -> None:
        says = f"与 {anchor.at} 写下的锚点不符：链被整体改写过，或换回旧备份后又写了下去"
        self._bad(anchor.n, "rewritten", says)

    def _bad(self, n: int, kind: str, says: str) -> None:
        self.fault = Fault(self.tag, n, kind, f"链 {self.tag} 第 {n} 条：{says}")
