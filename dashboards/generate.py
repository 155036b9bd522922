"""Makes the dashboards of this folder: `python dashboards/generate.py` writes them, `--out DIR` elsewhere.

Committed JSON is what this makes, byte for byte (tests/test_dashboards.py). Grafana rounds what it shows, and
99.9996 % must never read 100 %, so ratios are cut in PromQL (promql.CUT). What is switched off at night is grey
and not red, so states are asked as zhdj:site_look, which is on the one clock.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from boards import county, evaluation, money, monitor, services, site, terminals, township

BOARDS = (county, township, site, evaluation, money, terminals, services, monitor)


def main() -> None:
    parser = argparse.ArgumentParser(description="writes the dashboards")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, help="the folder to write to")
    folder: Path = parser.parse_args().out
    for module in BOARDS:
        board = module.board()
        (folder / f"{board.name}.json").write_text(board.json(), encoding="utf-8")


if __name__ == "__main__":
    main()
