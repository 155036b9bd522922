"""Versions of the inventory: what one says as plain values and back, and when each holds (docs/inventory.md).

A version says everything that decides figures: sites, terminals, checks, and the settings `JUDGING`. Addresses and
passwords are no part of it; they are those of the configuration that the program runs with.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import zstandard
from pydantic import ConfigDict, ValidationError, create_model

from monitor.core.days import local_month
from monitor.core.eras import Era, Parameters
from monitor.core.sites import UPLINK, Check, Inventory, Site, Terminal
from monitor.core.timeline import BEGINNING
from monitor.errors import MonitorError
from monitor.inventory.load import JUDGING, Loaded, judged_by, whole
from monitor.settings import Settings

#: The form of a body; a program that does not know a newer one refuses it.
FORM = 1
#: Unpacked. 150,000 terminals need about a sixth of it.
MAX_BODY_BYTES = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Version:
    """What the inventory says from `since` (ms; `BEGINNING` for the first) on."""

    number: int
    since: int
    loaded: Loaded


# --- as plain values --------------------------------------------------------------------------------------------------


class _Rows(msgspec.Struct):
    sites: list[Site]
    terminals: list[Terminal]
    checks: list[Check]


class _Body(_Rows):
    form: Any = None
    settings: Any = None


#: Rows written at once: plain values of a large inventory would be ten times its text.
_SOME = 5_000
#: The settings `JUDGING`, all of them, without what BaseSettings would take from the environment.
_FIELDS: dict[str, Any] = {key: (Settings.model_fields[key].rebuild_annotation(), ...) for key in JUDGING}
_Judging: Any = create_model("_Judging", __config__=ConfigDict(extra="forbid", frozen=True), **_FIELDS)


def body_of(loaded: Loaded) -> bytes:
    """What decides figures, as JSON: rows in inventory order, empty cells left out, all settings named.

    Settings that have a default stand there too: a version must say the same after a default was changed.
    """
    inventory = loaded.inventory
    head = msgspec.json.encode({"form": FORM, "settings": judged_by(loaded.settings)})
    parts = [head[:-1]]
    for name, rows in (("sites", inventory.sites), ("terminals", inventory.terminals), ("checks", inventory.checks)):
        parts.append(b',"%s":[' % name.encode())
        items: list[Site | Terminal | Check] = list(rows.values())
        some = (items[i : i + _SOME] for i in range(0, len(items), _SOME))
        parts.append(b",".join(msgspec.json.encode([_row(item) for item in few])[1:-1] for few in some))
        parts.append(b"]")
    return b"".join([*parts, b"}"])


def _row(item: Site | Terminal | Check) -> dict[str, Any]:
    return {name: value for name, value in msgspec.to_builtins(item).items() if value not in ("", None)}


def loaded_of(body: bytes | msgspec.Raw, operational: Settings) -> Loaded:
    """What `body_of` wrote; everything that decides no figure is that of `operational`.

    Raises MonitorError where the body is damaged or of a form that this program does not know.
    """
    try:
        rows = msgspec.json.decode(body, type=_Body)
        if rows.form != FORM:
            raise MonitorError(f"a version of the inventory: expected form {FORM}, found {rows.form!r}")
        judging = _Judging.model_validate(rows.settings)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, ("settings", *first["loc"])))
        raise MonitorError(f"a version of the inventory is damaged: {where}: {first['msg']}") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise MonitorError(f"a version of the inventory is damaged: {error}") from None
    _whole_rows(rows)
    settings = operational.model_copy(update={key: getattr(judging, key) for key in JUDGING})
    return whole(settings, Inventory.of(rows.sites, rows.terminals, rows.checks))


def _whole_rows(rows: _Rows) -> None:
    """Nothing twice, and nothing of a site or terminal that is not there."""
    sites = {site.site_id for site in rows.sites}
    terminals = {terminal.key for terminal in rows.terminals}
    checks = {check.key for check in rows.checks}
    for found, keys in ((rows.sites, sites), (rows.terminals, terminals), (rows.checks, checks)):
        if len(found) != len(keys):
            raise MonitorError("a version of the inventory is damaged: a row stands there twice")
    lost = [t.site_id for t in rows.terminals if t.site_id not in sites]
    lost += [c.site_id for c in rows.checks if c.site_id not in sites]
    lost += ["/".join(c.key) for c in rows.checks if c.terminal != UPLINK and c.key[:2] not in terminals]
    if lost:
        raise MonitorError(f"a version of the inventory is damaged: {lost[0]} is not among its sites and terminals")


def pack(loaded: Loaded) -> bytes:
    """`body_of` as it is kept: compressed."""
    return zstandard.ZstdCompressor(level=9).compress(body_of(loaded))


def text_of(data: bytes) -> bytes:
    """The body that `pack` kept. Raises MonitorError where it is damaged."""
    try:
        return zstandard.ZstdDecompressor().decompress(data, max_output_size=MAX_BODY_BYTES)
    except (zstandard.ZstdError, MemoryError) as error:
        raise MonitorError(f"a version of the inventory is damaged: {error}") from None


def unpack(data: bytes, operational: Settings) -> Loaded:
    """What `pack` kept. Raises MonitorError where it is damaged."""
    return loaded_of(text_of(data), operational)


# --- when it holds ----------------------------------------------------------------------------------------------------


def parameters(loaded: Loaded) -> Parameters:
    """What the configuration says of what the rules leave open."""
    settings = loaded.settings
    rules = settings.maintenance
    return Parameters(
        settings.policy.terminal,
        rules.coverage_min,
        rules.availability_min,
        {k: round(v * 3_600_000) for k, v in rules.repair_limit_h.model_dump().items()},
        rules.planned_sites.model_dump(),
        rules.planned_terminals.model_dump() if rules.planned_terminals else None,
    )


def settings_from(loaded: Loaded, since: int) -> int:
    """When the settings of a version hold (ms): from the first local month that begins at or after `since`."""
    if since <= BEGINNING:
        return BEGINNING
    start, end = local_month(loaded.settings.zone, since)
    return start if start == since else end


def eras_of(versions: Sequence[Version]) -> list[Era]:
    """What held when. Sites, terminals and checks of a version hold from its `since`; its settings from the next
    month's start, so that a month is judged by one set of limits. Of two changes in a month the later settings win.

    The first version held since `BEGINNING`. Raises MonitorError where there is none. Neighbours differ; those with
    equal settings share one `ServiceTimes`, which keeps what it has computed.
    """
    ordered = sorted(versions, key=lambda v: (v.since, v.number))
    if not ordered:
        raise MonitorError("there is no version of the inventory")
    first = ordered[0].loaded
    sites = [(BEGINNING, first.inventory), *((v.since, v.loaded.inventory) for v in ordered[1:])]
    settings = [(BEGINNING, first), *((settings_from(v.loaded, v.since), v.loaded) for v in ordered[1:])]
    eras: list[Era] = []
    judging = first
    for since in sorted({at for at, _ in (*sites, *settings)}):
        inventory = next(value for at, value in reversed(sites) if at <= since)
        wanted = next(value for at, value in reversed(settings) if at <= since)
        unlike = judged_by(wanted.settings) != judged_by(judging.settings)
        if unlike:
            judging = wanted
        if not eras or unlike or inventory != eras[-1].inventory:
            eras.append(Era(since, inventory, judging.service, parameters(judging)))
    return eras


def settings_of(loaded: Loaded) -> dict[str, str]:
    """The settings that decide figures, by their keys as monitor.toml has them: maintenance.repair_limit_h.village."""
    return dict(_flat("", judged_by(loaded.settings)))


def _flat(prefix: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _flat(f"{prefix}.{key}" if prefix else str(key), inner)
    elif isinstance(value, list):
        yield prefix, ", ".join(map(str, value))
    elif value is not None:
        yield prefix, str(value)
