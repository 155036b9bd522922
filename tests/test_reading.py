"""Traces that are damaged are refused in one line that says where; none is taken for a shorter one."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
import zstandard

from monitor.errors import MonitorError
from monitor.evidence.reading import in_order, read_lines

LINES = b"".join(
    b'{"at":"2026-10-01T00:%02d:00Z","type":"heartbeat","site":"S","terminal":"pc","via":"mqtt","seq":%d}\n' % (n, n)
    for n in range(60)
)


def lines_of(path: Path) -> int:
    return sum(1 for _ in in_order(read_lines(path)))


@pytest.mark.parametrize("name", ["t.jsonl", "t.jsonl.gz", "t.jsonl.zst"])
def test_whole_ones_are_read(tmp_path: Path, name: str) -> None:
    packed = {"gz": gzip.compress, "zst": zstandard.ZstdCompressor().compress}.get(name.rpartition(".")[2], bytes)
    (tmp_path / name).write_bytes(packed(LINES))
    assert lines_of(tmp_path / name) == 60


def test_a_zst_of_several_frames_is_read_to_its_end(tmp_path: Path) -> None:
    packed = zstandard.ZstdCompressor().compress(LINES[: len(LINES) // 2]) + zstandard.ZstdCompressor().compress(
        LINES[len(LINES) // 2 :]
    )
    (tmp_path / "t.jsonl.zst").write_bytes(packed)
    assert lines_of(tmp_path / "t.jsonl.zst") == 60


@pytest.mark.parametrize("name", ["t.jsonl.gz", "t.jsonl.zst"])
@pytest.mark.parametrize("damage", ["short", "garbage", "flipped"])
def test_damaged_ones_are_refused(tmp_path: Path, name: str, damage: str) -> None:
    packed = (
        gzip.compress(LINES) if name.endswith("gz") else zstandard.ZstdCompressor(write_checksum=True).compress(LINES)
    )
    spoilt = {
        "short": packed[: len(packed) * 3 // 4],
        "garbage": b"no such thing\n" * 20,
        "flipped": packed[:-20] + bytes([packed[-20] ^ 0xFF]) + packed[-19:],
    }[damage]
    (tmp_path / name).write_bytes(spoilt)
    with pytest.raises(MonitorError, match=r"^t\.jsonl"):
        lines_of(tmp_path / name)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (b'{"at":"2026-10-01T00:00:00Z","type":"beat"}\n', "t.jsonl:2: no line of a trace"),
        (
            b'{"at":"2026-10-01T00:00:00","type":"channel","channel":"mqtt","event":"restored"}\n',
            "t.jsonl:2: .*no offset",
        ),
        (b'{"at":"0001-01-01T00:00:00Z","type":"channel","channel":"mqtt","event":"restored"}\n', "t.jsonl:2: .*1970"),
        (
            b'{"at":"2026-09-30T00:00:00Z","type":"channel","channel":"mqtt","event":"restored"}\n',
            "t.jsonl:2: out of order",
        ),
        (b"\xff\xfe\n", "t.jsonl:2: no line of a trace"),
    ],
)
def test_what_is_wrong_is_said_with_file_and_line(tmp_path: Path, text: bytes, wanted: str) -> None:
    (tmp_path / "t.jsonl").write_bytes(LINES.splitlines(keepends=True)[0] + text)
    with pytest.raises(MonitorError, match=wanted):
        lines_of(tmp_path / "t.jsonl")
