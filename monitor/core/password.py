"""Passwords that people choose: what is refused, and how long a name is locked after failures (docs/security.md)."""

from __future__ import annotations

import unicodedata
from itertools import pairwise

from monitor.errors import MonitorError

LEAST = 12
#: From this length on a phrase needs no mixture of characters.
LONG = 16
#: Longer ones are refused: hashing takes time in proportion.
MOST = 128

#: The commonest, in small letters and without what people add at the end; what is made of
#: them is judged by the rest.
COMMON = frozenset(
    [
        "password",
        "passw0rd",
        "p@ssw0rd",
        "p@ssword",
        "pa$$word",
        "qwerty",
        "qwertyuiop",
        "asdfgh",
        "asdfghjkl",
        "zxcvbn",
        "zxcvbnm",
        "qazwsx",
        "qazwsxedc",
        "1qaz2wsx",
        "1qaz2wsx3edc",
        "1q2w3e4r",
        "1q2w3e4r5t",
        "admin",
        "administrator",
        "root",
        "welcome",
        "letmein",
        "iloveyou",
        "woaini",
        "woaini1314",
        "5201314",
        "1314520",
        "123456",
        "1234567",
        "12345678",
        "123456789",
        "1234567890",
        "0123456789",
        "987654321",
        "0987654321",
        "111111",
        "000000",
        "666666",
        "888888",
        "123123",
        "123321",
        "112233",
        "11223344",
        "abc123",
        "abc123456",
        "abcd1234",
        "a123456",
        "a123456789",
        "aa123456",
        "qq123456",
        "test",
        "user",
        "guest",
        "login",
        "master",
        "changeme",
        "default",
        "secret",
        "sunshine",
        "dragon",
        "monkey",
        "football",
        "baseball",
        "superman",
        "batman",
        "princess",
        "zhdj",
        "kaijiang",
        "sichuan",
        "dazhou",
        "zhihuidangjian",
        "dangjian",
        "gongchandang",
        "zhongguo",
        "beijing",
        "chengdu",
        "huawei",
        "hikvision",
        "dahua",
        "oracle",
        "mysql",
        "postgres",
        "server",
    ]
)


def check_password(password: str, name: str) -> None:
    """Raise MonitorError, with what is expected, for a password that is not taken."""
    if any(unicodedata.category(c).startswith("C") for c in password):
        raise MonitorError("密码不能含控制字符")
    if not LEAST <= len(password) <= MOST:
        raise MonitorError(f"密码长度须为 {LEAST} 至 {MOST} 个字符")
    kinds = {_kind(c) for c in password}
    if len(password) < LONG and len(kinds) < 3:
        raise MonitorError(
            f"密码不足 {LONG} 个字符时，须含大写字母、小写字母、数字、其他字符中的三类；或用 {LONG} 个字符以上的短语"
        )
    lower = password.lower()
    if len(set(lower)) < 5:
        raise MonitorError("密码过于简单：不同的字符太少")
    if name and len(name) >= 3 and name.lower() in lower:
        raise MonitorError("密码不能含用户名")
    if _is_common(lower):
        raise MonitorError("密码过于常见，请换一个")


def _kind(character: str) -> str:
    if character.isdigit():
        return "digit"
    if character.isalpha() and character.lower() != character.upper():
        return "upper" if character.isupper() else "lower"
    return "other"


def _is_common(lower: str) -> bool:
    """Made of a common one, however often, with the few characters that people put around it."""
    rest = lower
    for word in sorted(COMMON, key=len, reverse=True):
        rest = rest.replace(word, "")
    return (len(rest) < 5 and rest != lower) or _is_row(lower)


def _is_row(text: str) -> bool:
    """Neighbours only: 123456789012, abcdefghijkl."""
    steps = [ord(b) - ord(a) for a, b in pairwise(text)]
    return sum(step in (-1, 0, 1) for step in steps) >= len(steps) * 3 // 4


def lock_ms(count: int, allowed: int) -> int:
    """How long a name is locked after so many failures in a row: a minute at `allowed`, then doubled up to an hour."""
    over = count - allowed
    return 0 if over < 0 else min(60, 2 ** min(over, 6)) * 60_000
