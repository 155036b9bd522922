"""What a cost is for, in people's words -> sites, and how it is split over them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Literal

from monitor.core.allocation import Weight, equally
from monitor.core.sites import Inventory, Level, Site

Split = Literal["equal", "terminals", "weights", "reversal"]
SPLIT_NAMES: Mapping[str, Split] = {
    "equal": "equal", "平均": "equal", "terminals": "terminals", "按机位": "terminals",
    "weights": "weights", "按权重": "weights",
}  # fmt: skip
_ALL = ("county", "all", "全部", "全县")
_LEVELS = {"县级": Level.COUNTY, "乡镇": Level.TOWNSHIP, "村级": Level.VILLAGE}


def sites_of(inventory: Inventory, words: Iterable[str]) -> list[str]:
    """Site ids in the inventory's order, each once.

    A word is a site's id, a township's name, `township:CODE`, `level:village`, 县级, 乡镇, 村级, or 全部 (`county`).
    Raises ValueError, in Chinese, for anything else.
    """
    wanted: set[str] = set()
    for word in words:
        found = {site.site_id for site in inventory.sites.values() if _is_meant(site, word)}
        if not found:
            raise ValueError(f"没有站点“{word}”：应为站点编号、乡镇名、township:乡镇代码、县级、乡镇、村级或全部")
        wanted |= found
    return [site_id for site_id in inventory.sites if site_id in wanted]


def _is_meant(site: Site, word: str) -> bool:
    if word == site.site_id or word == f"site:{site.site_id}" or word in _ALL:
        return True
    if word in _LEVELS or word.startswith("level:"):
        return site.level == _LEVELS.get(word, word.removeprefix("level:"))
    return word == f"township:{site.township_code}" or (word == site.township_name and site.level is not Level.COUNTY)


def weights_of(
    inventory: Inventory, sites: Iterable[str], split: Split, given: Mapping[str, Weight]
) -> dict[str, Weight]:
    """The weight of each site. Raises ValueError, in Chinese, where given weights are for other sites."""
    if split == "terminals":
        return {site: len(inventory.terminals_of.get(site, ())) for site in sites}
    if split == "weights":
        wanted = list(sites)
        if set(given) != set(wanted):
            odd = "、".join(sorted(set(given) ^ set(wanted))[:5])
            raise ValueError(f"按权重分摊应为每个站点各给一个权重；不一致的站点：{odd}")
        return {site: given[site] for site in wanted}
    return equally(sites)


def parse_weights(items: Iterable[str]) -> dict[str, Weight]:
    """`site=2.5`, each site once. Raises ValueError, in Chinese."""
    found: dict[str, Weight] = {}
    for item in items:
        site, sign, text = item.partition("=")
        try:
            weight = Decimal(text.strip())
        except InvalidOperation:
            weight = Decimal(-1)
        if not sign or not weight.is_finite() or weight < 0 or site.strip() in found:
            raise ValueError(f"权重应写作 站点编号=权重（不小于 0，每站一次），实为 {item!r}")
        found[site.strip()] = weight
    return found
