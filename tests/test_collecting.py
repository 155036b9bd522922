"""The search for cycles comes back, whoever ends first, and only if it was there; the old is searched once a day."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from monitor.flows import collecting
from monitor.flows.collecting import no_search_for_cycles, search_what_is_new


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    was = gc.isenabled()
    yield
    (gc.enable if was else gc.disable)()


def test_the_last_to_end_brings_it_back() -> None:
    gc.enable()
    first, second = no_search_for_cycles(), no_search_for_cycles()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert not gc.isenabled()  # the second still counts
    second.__exit__(None, None, None)
    assert gc.isenabled()


def test_an_error_brings_it_back() -> None:
    gc.enable()
    with pytest.raises(ValueError, match="no"), no_search_for_cycles():
        raise ValueError("no")
    assert gc.isenabled()


def test_who_lives_without_it_goes_on_so() -> None:
    gc.disable()
    with no_search_for_cycles():
        pass
    assert not gc.isenabled()


class Knot:
    """Holds itself."""

    def __init__(self) -> None:
        self.itself = self


def test_what_is_old_is_searched_once_a_day(monkeypatch: pytest.MonkeyPatch) -> None:
    gc.disable()
    with search_what_is_new():
        old, new = Knot(), Knot()
        gc.collect()  # both are old now
        passed_over = weakref.ref(old)
        del old
        assert gc.get_freeze_count() > 1_000
        assert gc.collect() == 0
        assert passed_over() is not None
        found = weakref.ref(Knot())
        assert gc.collect() > 0
        assert found() is None
        monkeypatch.setattr(collecting, "WHOLE_S", 0.0)  # a day is over
        gc.collect()
        assert passed_over() is None
        assert new.itself is new
    assert gc.get_freeze_count() == 0
