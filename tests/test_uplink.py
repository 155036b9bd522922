"""Lines of townships, as the villages behind them tell of them (core/uplink.py)."""

from __future__ import annotations

from pathlib import Path

from tests.small_county import County, county

#: MORNING is 10:00; there is a break, in which people switch off.
HOURS = '[service]\nvillage = { hours = ["09:00-10:30", "11:00-24:00"] }\n'
ALL = tuple(f"V{i}" for i in range(1, 6))


def line(it: County) -> bool | None:
    return dict(it.observer.board.uplinks())["T1"]


async def test_villages_that_were_switched_off_are_no_line_before_they_had_time_to_switch_on(tmp_path: Path) -> None:
    async with county(tmp_path, f"sqlite+aiosqlite:///{tmp_path / 'm.db'}", top=HOURS) as it:
        await it.play(22)  # 10:27: all are switched off at once, some before the hours end
        await it.play(60, silent=ALL)
        assert line(it) is not False  # 11:27, and 29 minutes are missed
        await it.play(3, silent=ALL)
        assert line(it) is False  # whoever cuts it in a break is found out half an hour later
        assert it.observer.board.lines()["T1"].villages == ALL
        await it.play(2)
        assert line(it) is True
        await it.play(5, silent=ALL)  # within the hours it is known as soon as they are
        assert line(it) is False
