"""monitor.toml and ZHDJ_ environment variables -> frozen settings. Every key is checked, unknown ones refused.

An environment variable overrides one key: ``ZHDJ_MAINTENANCE__COVERAGE_MIN=0.95``. What is refused is listed as
mistakes that name the key and what was expected, all of them at once.
"""

from __future__ import annotations

import os
import re
import tomllib
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args, get_origin
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, SettingsError

from monitor.core.sites import Kind, Level
from monitor.errors import ConfigError, Mistake

_PREFIX = "ZHDJ_"
Share = Annotated[float, Field(ge=0, le=1)]
_HOURS = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-(?:([01]\d|2[0-3]):([0-5]\d)|24:00)")
_LISTEN = re.compile(r"(\[[0-9a-fA-F:]+\]|[^:\s]+):\d{1,5}")


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError("expected the name of a time zone such as Asia/Shanghai") from error
    return name


def _hours(text: str) -> str:
    match = _HOURS.fullmatch(text)
    if not match or text[:5] >= text[6:]:
        raise ValueError(f"expected hours such as 08:30-12:00, the end after the start, not {text!r}")
    return text


def _disjoint(hours: tuple[str, ...]) -> tuple[str, ...]:
    ordered = sorted(hours)
    for one, other in pairwise(ordered):
        if other[:5] < one[6:]:
            raise ValueError(f"expected hours that do not overlap, found {one} and {other}")
    return hours


def _listen(text: str) -> str:
    if not _LISTEN.fullmatch(text):
        raise ValueError(f"expected address:port such as 127.0.0.1:8080, not {text!r}")
    return text


def _server(text: str) -> str:
    if not _LISTEN.fullmatch(text):
        raise ValueError(f"expected host:port such as mail.example:25, not {text!r}")
    return text


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Policy(_Part):
    """[policy] How checks make a terminal (docs/rules.md §4)."""

    terminal: Literal["any", "all"] = "any"


class ServiceHours(_Part):
    """[service] Local hours in which a level, or a kind of terminal of it, is in service (§5)."""

    days: Literal["daily", "workdays"] = "daily"
    hours: Annotated[
        tuple[Annotated[str, AfterValidator(_hours)], ...], Field(min_length=1), AfterValidator(_disjoint)
    ] = ("00:00-24:00",)


class ByLevel(_Part):
    """One whole number for each level."""

    county: Annotated[int, Field(ge=0)]
    township: Annotated[int, Field(ge=0)]
    village: Annotated[int, Field(ge=0)]

    def of(self, level: Level | str) -> int:
        value: int = getattr(self, str(level))
        return value


class HoursByLevel(_Part):
    """A limit in hours for each level; fractions are allowed."""

    county: Annotated[float, Field(gt=0)]
    township: Annotated[float, Field(gt=0)]
    village: Annotated[float, Field(gt=0)]

    def of(self, level: Level | str) -> float:
        value: float = getattr(self, str(level))
        return value


class Maintenance(_Part):
    """[maintenance] What decides the maintenance rate 运行维护率 (docs/rules.md §6), and its limits."""

    coverage_min: Share = 0.9
    availability_min: Share = 0.9
    repair_limit_h: HoursByLevel = HoursByLevel(county=4, township=8, village=15)
    open_after_min: HoursByLevel = HoursByLevel(county=10, township=30, village=60)
    planned_sites: ByLevel = ByLevel(county=2, township=13, village=219)
    planned_terminals: ByLevel | None = None


class Calendar(_Part):
    """[calendar.2027] The State Council's list for a year: make-up working days and days off."""

    workdays: tuple[date, ...] = ()
    holidays: tuple[date, ...] = ()


class Http(_Part):
    """[http] Where pages, metrics and HTTP heartbeats are served."""

    listen: Annotated[str, AfterValidator(_listen)] = "127.0.0.1:8080"
    metrics_token: SecretStr | None = None


class Mqtt(_Part):
    """[mqtt] The broker. `embedded` starts one in this process, for trying out and small sites only."""

    embedded: bool = False
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65535)] = 1883
    username: str = ""
    password: SecretStr = SecretStr("")
    ca_file: str = ""
    client_id: str = ""
    files: str = ""
    pid_file: str = ""


class Database(_Part):
    """[database] `sqlite+aiosqlite:///path` or `postgresql+asyncpg://user:password@host/name`."""

    url: SecretStr = SecretStr("sqlite+aiosqlite:///var/monitor.db")


class Evidence(_Part):
    """[evidence] The evidence log: where, and how far apart its cuts are."""

    folder: str = "var/evidence"
    cut_s: Annotated[float, Field(gt=0, le=60)] = 1.0


class Probes(_Part):
    """[probes] How many at once, and how long one may take."""

    concurrency: Annotated[int, Field(ge=1, le=10_000)] = 200
    timeout_s: Annotated[float, Field(gt=0, le=60)] = 5.0


class Canaries(_Part):
    """[canaries] Things near the monitor that prove its own line: `icmp:10.0.0.1`, `tcp:10.0.0.2:53`."""

    targets: tuple[str, ...] = ()
    every_s: Annotated[float, Field(gt=0, le=300)] = 10.0


class SignIn(_Part):
    """[sign_in] Failures, sessions and the age of passwords (docs/security.md, Signing in)."""

    attempts: Annotated[int, Field(ge=1, le=20)] = 5
    idle_min: Annotated[int, Field(ge=1, le=1440)] = 30
    session_h: Annotated[int, Field(ge=1, le=168)] = 12
    password_days: Annotated[int, Field(ge=0, le=3650)] = 0


class Papers(_Part):
    """[papers] Where papers (photos, invoices, acceptance sheets) are kept, by their content."""

    folder: str = "var/papers"


class Anchors(_Part):
    """[anchors] The chains' newest heads outside the database: a file, and a daily message to the auditor."""

    file: str = "var/anchors.jsonl"
    mail_to: tuple[str, ...] = ()
    mail_from: str = "zhdj-monitor@localhost"
    smtp: Annotated[str, AfterValidator(_server)] = "localhost:25"
    tls: Literal["none", "starttls", "tls"] = "none"
    ca_file: str = ""
    username: str = ""
    password: SecretStr = SecretStr("")


class Retention(_Part):
    """[retention] How long the evidence log's days are kept, in months; what else is kept, we never prune."""

    evidence_months: Annotated[int, Field(ge=13, le=360)] = 13


class NamesByLevel(_Part):
    """A name, or several, for each level."""

    county: Annotated[str, Field(max_length=64)] = ""
    township: Annotated[str, Field(max_length=64)] = ""
    village: Annotated[str, Field(max_length=64)] = ""

    def of(self, level: Level | str) -> str:
        value: str = getattr(self, str(level))
        return value


class WorkOrders(_Part):
    """[workorders] Who answers for the orders of a level (docs/workorders.md)."""

    responsible: NamesByLevel = NamesByLevel()


class Outlet(_Part):
    """[alerts.outlets.NAME] One way out to people (docs/alerts.md). Secrets stand in files, never here."""

    kind: Literal["dingtalk", "feishu", "wecom", "apprise", "http", "command"]
    url_file: str = ""
    secret_file: str = ""
    command: tuple[str, ...] = ()
    takes: Annotated[tuple[str, ...], Field(min_length=1)] = ("duty",)
    per_min: Annotated[float, Field(gt=0, le=600)] = 20

    @model_validator(mode="after")
    def _has_its_way(self) -> Self:
        if self.kind == "command" and not self.command:
            raise ValueError("a command needs `command`, such as ['/usr/local/bin/send-sms']")
        if self.kind != "command" and not self.url_file:
            raise ValueError(f"{self.kind} needs `url_file`, the path of a file that holds its address")
        return self


class Alerts(_Part):
    """[alerts] What comes from Alertmanager, and through which outlets it goes to people."""

    token_file: str = ""
    outlets: dict[Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$")], Outlet] = {}
    watchdog_s: Annotated[float, Field(ge=0, le=86_400)] = 300
    outside_url_file: str = ""

    @model_validator(mode="after")
    def _can_be_told(self) -> Self:
        if self.outlets and not self.token_file:
            raise ValueError("outlets need `token_file`, the path of a file with the token that Alertmanager shows")
        return self


#: Printed on a line of a form.
_Name = Annotated[str, Field(max_length=60, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$")]


class Reports(_Part):
    """[reports] Who makes reports, printed on them; empty: room to write. `seal_on_day`: the local day on which the
    month before seals itself, once an approver allowed it; 0: never."""

    unit: _Name = ""
    filled_by: _Name = ""
    responsible: _Name = ""
    seal_on_day: Annotated[int, Field(ge=0, le=28)] = 5


class Settings(BaseSettings):
    """All of monitor.toml. `folder` is where it was read; relative paths are meant from the working directory."""

    model_config = SettingsConfigDict(
        env_prefix=_PREFIX,
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        nested_model_default_partial_update=True,
    )

    timezone: Annotated[str, AfterValidator(_zone)] = "Asia/Shanghai"
    observer: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$")] = "kaijiang"
    demo: bool = False
    policy: Policy = Policy()
    service: dict[str, ServiceHours] = {}
    maintenance: Maintenance = Maintenance()
    calendar: dict[int, Calendar] = {}
    http: Http = Http()
    mqtt: Mqtt = Mqtt()
    database: Database = Database()
    evidence: Evidence = Evidence()
    probes: Probes = Probes()
    canaries: Canaries = Canaries()
    sign_in: SignIn = SignIn()
    papers: Papers = Papers()
    anchors: Anchors = Anchors()
    retention: Retention = Retention()
    workorders: WorkOrders = WorkOrders()
    alerts: Alerts = Alerts()
    reports: Reports = Reports()

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        # The file's values arrive as arguments, so the environment must come before them.
        return (env_settings, init_settings)


_SERVICE_KEYS = {str(level) for level in Level} | {f"{level}.{kind}" for level in Level for kind in Kind}


def load_settings(folder: Path) -> Settings:
    """Read `folder`/monitor.toml. Raises ConfigError with every mistake."""
    path = folder / "monitor.toml"
    try:
        raw: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise ConfigError(
            [Mistake("monitor.toml", 0, "", f"not found in {folder}; expected the settings file")]
        ) from None
    except OSError as error:
        raise ConfigError([Mistake("monitor.toml", 0, "", f"cannot be read: {error.strerror}")]) from None
    except UnicodeDecodeError as error:
        raise ConfigError([Mistake("monitor.toml", 0, "", f"is not UTF-8 text: {error.reason}")]) from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError([Mistake("monitor.toml", 0, "", f"is not TOML: {error}")]) from None
    strangers = [name for name in os.environ if _is_stranger(name)]
    if strangers:
        expected = "expected ZHDJ_ and a key of monitor.toml, two underscores between its parts"
        raise ConfigError([Mistake("environment", 0, name, f"unknown; {expected}") for name in sorted(strangers)])
    try:
        settings = Settings(**raw)
    except ValidationError as error:
        raise ConfigError([_mistake(e) for e in error.errors(include_url=False)]) from None
    except SettingsError as error:
        field = re.search(r'"(\w+)"', str(error))
        where = _variable((field[1],)) if field else None
        expected = 'is not JSON; expected a list such as ["tcp:10.0.0.2:53"], or a table in {}'
        raise ConfigError([Mistake("environment", 0, where or "ZHDJ_", expected)]) from None
    unknown = [k for k in settings.service if k not in _SERVICE_KEYS]
    if unknown:
        expected = 'expected a level or a level with a kind, such as village or "village.tv"'
        raise ConfigError([_at(("service", k), expected) for k in unknown])
    return settings


def _is_stranger(variable: str) -> bool:
    """A variable that begins like ours and names no key: most likely a slip, and it must not be ignored."""
    name = variable.upper()
    if not name.startswith(_PREFIX) or name.startswith("ZHDJ_AGENT_"):
        return False
    part: Any = Settings
    for key in name.removeprefix(_PREFIX).lower().split("__"):
        if part is None or (field := part.model_fields.get(key)) is None:
            return True
        if get_origin(field.annotation) is dict:
            return False  # a table with keys of its own
        part = next((t for t in (field.annotation, *get_args(field.annotation)) if _is_part(t)), None)
    return False


def _is_part(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _is_secret(key: str) -> bool:
    """What stands at such a key is never repeated, not even where it is wrong."""
    return key.rpartition(".")[2] in ("password", "metrics_token", "url")


def _variable(loc: tuple[int | str, ...]) -> str | None:
    """The environment variable from which the value at `loc`, a part of it or what it stands in was taken."""
    ours = {name.upper(): name for name in os.environ}
    names = [_PREFIX + "__".join(map(str, loc[:n])).upper() for n in range(len(loc), 0, -1)]
    below = (name for name in sorted(ours) if name.startswith(f"{names[0]}__"))
    return next((ours[name] for name in (*names, *below) if name in ours), None)


def _mistake(error: Any) -> Mistake:
    key = ".".join(str(part) for part in error["loc"])
    kind = error["type"]
    if kind == "extra_forbidden":
        text = "unknown key; see docs/configuration.md for the ones there are"
    else:
        text = error["msg"].removeprefix("Value error, ")
        if kind != "value_error" and not isinstance(error["input"], dict) and not _is_secret(key):
            text += f", not {error['input']!r}"
    return _at(error["loc"], text)


def _at(loc: tuple[int | str, ...], text: str) -> Mistake:
    if (variable := _variable(loc)) is not None:
        return Mistake("environment", 0, variable, text)
    return Mistake("monitor.toml", 0, ".".join(map(str, loc)), text)
