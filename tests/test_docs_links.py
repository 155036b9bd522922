"""Every relative link of the README and of docs/ leads somewhere, down to the heading."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from urllib.parse import unquote

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
LINK = re.compile(r"\[[^\]\[]*\]\(([^()\s]+)\)")


def prose(page: Path) -> str:
    """The page without code: what stands there is shown as it is."""
    text = re.sub(r"^(```|~~~).*?^\1", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"`[^`\n]*`", lambda code: code[0] if "](" not in code[0] else "", text)


@cache
def anchors(page: Path) -> frozenset[str]:
    """What may stand behind `#`: `<a id>`, and headings as GitHub and other readers make anchors of them."""
    text = prose(page)
    found = set(re.findall(r'<a id="([^"]+)"', text))
    for heading in re.findall(r"^#+ +(.+?) *$", text, flags=re.MULTILINE):
        bare = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        slug = re.sub(r"[^\w\- ]", "", bare.lower()).replace(" ", "-")
        n = 0
        while (name := slug if n == 0 else f"{slug}-{n}") in found:
            n += 1
        found.add(name)
    return frozenset(found)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    dead = []
    for link in LINK.findall(prose(page)):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = unquote(link).partition("#")
        target = (page.parent / path).resolve() if path else page
        there = target.exists() and (not anchor or target.suffix != ".md" or anchor in anchors(target))
        if not there or not target.is_relative_to(ROOT):
            dead.append(link)
    assert dead == []


def test_every_page_is_found_from_the_readme() -> None:
    linked = {unquote(link).partition("#")[0] for link in LINK.findall(prose(ROOT / "README.md"))}
    assert {f"docs/{page.name}" for page in PAGES[1:]} - linked == set()
