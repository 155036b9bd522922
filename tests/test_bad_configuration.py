"""What may not stand in a folder of configuration, and exactly what is said of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.folders import SITES, Change, append, instead, mistakes, remove, replace, write, write_sound

ID_RULE = "letters, digits, '-', '_' and '.', beginning with a letter or digit, at most 64"
DAY_RULE = "expected a day from 2000 to 2099 such as 2026-10-01 (or an empty cell)"
MORE_THAN_0 = "expected a number of seconds (more than 0, at most 2678400, at most three decimals)"
FROM_0 = "expected a number of seconds (0 or more, at most 2678400, at most three decimals)"
COLUMNS = "site_id, name, level, township_code, township_name, uplink"
SITES_HEAD = SITES.splitlines()[0]

# One row a case, however long.
# fmt: off
#: What is changed in a sound folder, and exactly what is then said.
BAD: list[tuple[str, Change, list[str]]] = [
    ("no sites", remove("sites.csv"),
     ["sites.csv: not found; expected sites.csv or sites.xlsx in the folder"]),
    ("empty", write("sites.csv", b"\xef\xbb\xbf\r\n , ,\r\n"),
     [f"sites.csv: is empty; expected a first row with the columns {COLUMNS}"]),
    ("headings only", write("sites.csv", SITES_HEAD), [
        "sites.csv: expected at least one site, found no rows",
        *(f"terminals.csv:{row} [site_id]: expected a site_id of sites.csv, found '{site}'"
          for row, site in ((2, "T1"), (3, "V1"), (4, "V1"))),
        *(f"checks.csv:{row} [site_id]: expected a site_id of sites.csv, found '{site}'"
          for row, site in ((2, "T1"), (3, "V1"), (4, "V1"))),
    ]),
    ("both", write("sites.xlsx", b""),
     ["sites.csv: expected one of sites.csv and sites.xlsx, found both; remove one"]),
    ("missing columns", replace("checks.csv", "target,interval_s", "address,every"),
     ["checks.csv:1: expected the columns target, interval_s; "
      "found site_id, terminal, check, address, every, grace_s, failures"]),
    ("doubled column", replace("sites.csv", "name,level", "level,level"),
     ["sites.csv:1 [level]: expected the column once, found it 2 times",
      "sites.csv:1: expected the column name; found site_id, level, level, township_code, township_name, "
      "uplink, commissioned_on, retired_on"]),
    ("misspelt column", replace("sites.csv", "commissioned_on", "comissioned_on"),
     ["sites.csv:1 [comissioned_on]: unknown column; expected commissioned_on?"]),
    ("shifted cells", replace("sites.csv", "镇1村1", "镇1,村1"),
     [f"sites.csv:4 [commissioned_on]: {DAY_RULE}, found 'T1'",
      "sites.csv:4 [level]: expected county, township or village, found '村1'",
      "sites.csv:4 [uplink]: expected the site_id of another site (or an empty cell), found '镇1'"]),
    ("open quote", replace("sites.csv", "镇1村1", '"镇1村1'),
     ['sites.csv:4: is not CSV: unexpected end of data; expected every quote (") to be closed']),
    ("binary", write("sites.csv", b"PK\x03\x04\x00\x00"),
     ["sites.csv: is not text; expected CSV in UTF-8 or GBK (an XLSX workbook must be named .xlsx)"]),
    ("damaged", write("sites.csv", SITES.encode().replace("镇1村1".encode(), b"\xe9\x95", 1)),
     ["sites.csv:4: is damaged: line 4 is not UTF-8 although the rest is; save it again"]),
    ("no text", write("sites.csv", b"site_id,name\n\xff\xfe\xff\xff\n"),
     ["sites.csv:2: cannot be read from line 2; expected text in UTF-8 or GBK"]),
    ("no workbook", instead("sites.csv", "sites.xlsx", b"\xd0\xcf\x11\xe0"),
     ["sites.xlsx: is not an XLSX workbook (an old .xls file, one with a password, or no spreadsheet?); "
      "save it as XLSX or CSV"]),
    ("topic character", append("sites.csv", "V/2,村2,village,T1,镇1,T1,,\n"),
     [f"sites.csv:5 [site_id]: expected {ID_RULE}, found 'V/2'"]),
    ("wildcard", append("sites.csv", "V+,村2,village,T1,镇1,T1,,\n"),
     [f"sites.csv:5 [site_id]: expected {ID_RULE}, found 'V+'"]),
    ("long id", append("sites.csv", f"{'V' * 65},村2,village,T1,镇1,T1,,\n"),
     [f"sites.csv:5 [site_id]: expected {ID_RULE}, found '{'V' * 65}'"]),
    ("no id, no name", append("sites.csv", ",,village,T1,镇1,T1,,\n"),
     ["sites.csv:5 [name]: expected a name of at most 100 characters, found nothing",
      f"sites.csv:5 [site_id]: expected {ID_RULE}, found nothing"]),
    ("level", replace("sites.csv", "镇1村1,village", "镇1村1,hamlet"),
     ["sites.csv:4 [level]: expected county, township or village, found 'hamlet'"]),
    ("doubled site", append("sites.csv", "\nV1,村2,village,T1,镇1,T1,,\n"),
     ["sites.csv:6 [site_id]: expected each site_id once, found 'V1' in rows 4 and 6"]),
    ("two names", append("sites.csv", "V2,村2,village,T1,镇一,T1,,\n"),
     ["sites.csv:5 [township_name]: expected '镇1', the name of township T1 in row 3, found '镇一'"]),
    ("unknown uplink", replace("sites.csv", "镇1,C1", "镇1,C9"),
     ["sites.csv:3 [uplink]: expected the site_id of another site (or an empty cell), found 'C9'"]),
    ("own uplink", replace("sites.csv", "镇1,C1", "镇1,T1"),
     ["sites.csv:3 [uplink]: expected the site_id of another site (or an empty cell), found 'T1'"]),
    ("no date", replace("sites.csv", "2026-10-01", "01/10/2026"),
     [f"sites.csv:4 [commissioned_on]: {DAY_RULE}, found '01/10/2026'"]),
    ("no day", replace("sites.csv", "2026-10-01", "2026-02-30"),
     [f"sites.csv:4 [commissioned_on]: {DAY_RULE}, found '2026-02-30'"]),
    ("serial day", replace("sites.csv", "2026-10-01", "46296"),
     [f"sites.csv:4 [commissioned_on]: {DAY_RULE}, found '46296'"]),
    ("retired first", replace("sites.csv", "2026-10-01,", "2026-10-02,2026-10-01"),
     ["sites.csv:4 [retired_on]: expected a day from commissioned_on (2026-10-02) on, found 2026-10-01"]),
    ("no township site", append("sites.csv", "V2,村2,village,T7,镇7,C1,,\n"),
     ["sites.csv:5 [township_code]: expected the township_code of a site of level township, found 'T7'"]),
    ("terminal's site", append("terminals.csv", "V9,tv,\n"),
     ["terminals.csv:5 [site_id]: expected a site_id of sites.csv, found 'V9'"]),
    ("terminal's kind", append("terminals.csv", "V1,fax,\nV1,uplink,\n"),
     ["terminals.csv:5 [terminal]: expected tv, mobile or pc, found 'fax'",
      "terminals.csv:6 [terminal]: expected tv, mobile or pc, found 'uplink'"]),
    ("doubled terminal", append("terminals.csv", "V1,TV,\n"),
     ["terminals.csv:5 [site_id, terminal]: "
      "expected each site_id, terminal once, found V1/tv in rows 3 and 5"]),
    ("full-width commas", append("terminals.csv", "V1，mobile，PHONE\n"),
     ["terminals.csv:5: expected cells separated as in the first row, found full-width commas (，)"]),
    ("too many cells", append("terminals.csv", "V1,mobile,PHONE 6, black\n"),
     ["terminals.csv:5: expected at most 3 cells, found 4; a cell with a comma needs quotes"]),
    ("check's terminal", append("checks.csv", "V1,mobile,heartbeat-http,,60,60,\n"),
     ["checks.csv:5 [terminal]: expected a terminal of terminals.csv, found V1/mobile"]),
    ("check's site", append("checks.csv", "V9,pc,heartbeat-http,,60,60,\n"),
     ["checks.csv:5 [site_id]: expected a site_id of sites.csv, found 'V9'",
      "checks.csv:5 [terminal]: expected a terminal of terminals.csv, found V9/pc"]),
    ("check", replace("checks.csv", "icmp", "ping"),
     ["checks.csv:2 [check]: expected heartbeat-mqtt, heartbeat-http, icmp, tcp, http, https, snmp or sip, "
      "found 'ping'"]),
    ("doubled check", append("checks.csv", "V1,pc,heartbeat-mqtt,,60,60,\n"),
     ["checks.csv:5 [site_id, terminal, check]: expected each site_id, terminal, check once, "
      "found V1/pc/heartbeat-mqtt in rows 4 and 5"]),
    ("interval 0", replace("checks.csv", "heartbeat-mqtt,,60", "heartbeat-mqtt,,0"),
     [f"checks.csv:4 [interval_s]: {MORE_THAN_0}, found '0'"]),
    ("interval", replace("checks.csv", "heartbeat-mqtt,,60,180", "heartbeat-mqtt,,1e3,"),
     [f"checks.csv:4 [grace_s]: {FROM_0}, found nothing",
      f"checks.csv:4 [interval_s]: {MORE_THAN_0}, found '1e3'"]),
    ("four decimals", replace("checks.csv", "heartbeat-mqtt,,60", "heartbeat-mqtt,,0.0005"),
     [f"checks.csv:4 [interval_s]: {MORE_THAN_0}, found '0.0005'"]),
    ("negative grace", replace("checks.csv", "60,180", "60,-1"),
     [f"checks.csv:4 [grace_s]: {FROM_0}, found '-1'"]),
    ("failures", replace("checks.csv", "10.0.0.1,60,,5", "10.0.0.1,60,,0"),
     ["checks.csv:2 [failures]: expected a whole number from 1 to 1000, found '0'"]),
    ("no failures", replace("checks.csv", "10.0.0.1,60,,5", "10.0.0.1,60,,2.5"),
     ["checks.csv:2 [failures]: expected a whole number from 1 to 1000, found '2.5'"]),
    ("icmp target", replace("checks.csv", "10.0.0.1", "10.0.0.256"),
     ["checks.csv:2 [target]: expected a host name or an IP address, found '10.0.0.256'"]),
    ("no target", replace("checks.csv", "10.0.0.1", ""),
     ["checks.csv:2 [target]: expected a host name or an IP address, found nothing"]),
    ("tcp target", replace("checks.csv", "10.0.0.2:80", "10.0.0.2"),
     ["checks.csv:3 [target]: expected host:port such as 10.0.0.1:80, found '10.0.0.2'"]),
    ("tcp port", replace("checks.csv", "10.0.0.2:80", "10.0.0.2:70000"),
     ["checks.csv:3 [target]: expected host:port such as 10.0.0.1:80, found '10.0.0.2:70000'"]),
    ("http target", replace("checks.csv", "tcp,10.0.0.2:80", "http,ftp://10.0.0.2"),
     ["checks.csv:3 [target]: expected an address such as http://10.0.0.1:8080/health, "
      "found 'ftp://10.0.0.2'"]),
    ("https target", replace("checks.csv", "tcp,10.0.0.2:80", "https,http://10.0.0.2"),
     ["checks.csv:3 [target]: expected an address such as https://10.0.0.1:8443/health, found 'http://10.0.0.2'"]),
    ("https mark", replace("checks.csv", "tcp,10.0.0.2:80", "https,https://10.0.0.2/#insecure"),
     ["checks.csv:3 [target]: expected #noverify or nothing at the end of the address, found '#insecure'"]),
    ("snmp target", replace("checks.csv", "tcp,10.0.0.2:80", "snmp,s3cret@10.0.0.2:snmp"),
     ["checks.csv:3 [target]: expected host:port such as 10.0.0.1:80, found '10.0.0.2:snmp'"]),
    ("snmp community", replace("checks.csv", "tcp,10.0.0.2:80", "snmp,@10.0.0.2"),
     ["checks.csv:3 [target]: expected an SNMP community of 1 to 64 letters, digits and signs before the @"]),
    ("sip target", replace("checks.csv", "tcp,10.0.0.2:80", "sip,sips:10.0.0.2"),
     ["checks.csv:3 [target]: expected host:port such as 10.0.0.1:80, found 'sips:10.0.0.2'"]),
    ("sip user", replace("checks.csv", "tcp,10.0.0.2:80", "sip,sip:a b@10.0.0.2"),
     ["checks.csv:3 [target]: expected a SIP user before the @, such as sip:room1@10.0.0.1, "
      "found 'sip:a b@10.0.0.2'"]),
    ("uplink of a village", append("checks.csv", "V1,uplink,icmp,10.0.0.9,60,,5\n"),
     ["checks.csv:5 [terminal]: "
      "expected uplink at a site of level township only, found it at a village site"]),
    ("uplink that beats", append("checks.csv", "T1,uplink,heartbeat-mqtt,,60,60,\n"),
     ["checks.csv:5 [check]: expected a probe (icmp, tcp, http, https, snmp, sip) for uplink, found 'heartbeat-mqtt'"]),
    ("no TOML", write("monitor.toml", "timezone = "),
     ["monitor.toml: is not TOML: Invalid value (at end of document)"]),
    ("unknown key", append("monitor.toml", "timezon = 1\n"),
     ["monitor.toml [timezon]: unknown key; see docs/configuration.md for the ones there are"]),
    ("no zone", replace("monitor.toml", "Shanghai", "Kaijiang"),
     ["monitor.toml [timezone]: expected the name of a time zone such as Asia/Shanghai"]),
    ("no such level", append("monitor.toml", "[service.hamlet]\n"),
     ["monitor.toml [service.hamlet]: "
      'expected a level or a level with a kind, such as village or "village.tv"']),
    ("overlapping hours",
     append("monitor.toml", '[service]\nvillage = {hours=["08:00-12:00","11:00-13:00"]}\n'),
     ["monitor.toml [service.village.hours]: "
      "expected hours that do not overlap, found 08:00-12:00 and 11:00-13:00"]),
    ("calendar", append("monitor.toml", "[calendar.2027]\nholidays = [2028-01-01]\n"),
     ["monitor.toml [calendar.2027.holidays]: "
      "expected days of 2027 or of the December before, found 2028-01-01"]),
    ("canary",
     append("monitor.toml", '[canaries]\ntargets = ["10.0.0.1", "tcp:10.0.0.1", "icmp:10.0.0.1"]\n'),
     ["monitor.toml [canaries.targets]: "
      "expected a target such as icmp:10.0.0.1 or tcp:10.0.0.2:53, found '10.0.0.1'",
      "monitor.toml [canaries.targets]: expected host:port such as 10.0.0.1:80, found '10.0.0.1'"]),
]
# fmt: on


@pytest.mark.parametrize(("change", "expected"), [case[1:] for case in BAD], ids=[case[0] for case in BAD])
def test_what_is_said_of_a_bad_configuration(tmp_path: Path, change: Change, expected: list[str]) -> None:
    change(write_sound(tmp_path))
    assert mistakes(tmp_path) == expected


# fmt: off
UNKNOWN = "unknown; expected ZHDJ_ and a key of monitor.toml, two underscores between its parts"
NO_JSON = 'is not JSON; expected a list such as ["tcp:10.0.0.2:53"], or a table in {}'
#: A variable of the environment, its value, and what is said of it.
VARIABLES = [
    ("ZHDJ_TIMEZON", "UTC", UNKNOWN),
    ("ZHDJ_MAINTENANCE__COVERAGE_MINN", "0.9", UNKNOWN),
    ("ZHDJ_MAINTENANCE__PLANNED_TERMINALS__VILAGE", "3", UNKNOWN),
    ("ZHDJ_DEMO__X", "1", UNKNOWN),
    ("ZHDJ_MAINTENANCE__COVERAGE_MIN", "2", "Input should be less than or equal to 1, not '2'"),
    ("zhdj_mqtt__port", "99999", "Input should be less than or equal to 65535, not '99999'"),
    ("ZHDJ_SERVICE__VILAGE__DAYS", "daily",
     'expected a level or a level with a kind, such as village or "village.tv"'),
    ("ZHDJ_CANARIES__TARGETS", "tcp:10.0.0.2:53", NO_JSON),
    ("ZHDJ_POLICY", "any", NO_JSON),
]
# fmt: on


@pytest.mark.parametrize(("variable", "value", "expected"), VARIABLES, ids=[case[0] for case in VARIABLES])
def test_what_is_said_of_a_bad_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, expected: str
) -> None:
    write_sound(tmp_path)
    monkeypatch.setenv(variable, value)
    assert mistakes(tmp_path) == [f"environment [{variable}]: {expected}"]


def test_a_variable_beside_a_bad_key_is_not_blamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    append("monitor.toml", "[mqtt]\nport = 99999\n")(write_sound(tmp_path))
    monkeypatch.setenv("ZHDJ_MQTT__PASSWORD", "secret")
    assert mistakes(tmp_path) == ["monitor.toml [mqtt.port]: Input should be less than or equal to 65535, not 99999"]
