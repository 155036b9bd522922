"""The search for cycles comes back, whoever ends first, and only if it was there."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from monitor.flows.collecting import no_search_for_cycles


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
