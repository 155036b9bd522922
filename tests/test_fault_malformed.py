"""Malformed anything, to the whole service from outside: refused with a reason and counted; no crash, no growth."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
import struct
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import dataclass
from random import Random

import pytest

from monitor.fleet.heart import RUBBISH
from tests.brokers import OwnBroker, pub, receiving
from tests.faults import counted, heard, holds, resident_mb
from tests.recorder import Recorder
from tests.services import HOST, Mosquitto, free_port, wait_for, wait_for_async
from tests.serving import Serving, beats, issue, write_config

#: Bytes of a large body, and how much of it may be seen in the service's memory.
LARGE = 10_000_000
MORE_MB = 60.0


@dataclass
class Served:
    service: Serving
    broker: Mosquitto
    token: str

    def refused(self, via: str) -> dict[str, float]:
        found = self.service.samples("zhdj_heartbeats_rejected_total", via=via)
        return {json.loads(labels)["reason"]: n for labels, n in found.items() if n}

    def still_works(self) -> None:
        """A sound beat is heard on either way; nothing has ended."""
        on_mqtt, on_http = heard(self.service, "mqtt"), heard(self.service, "http")
        with mqtt(self.broker.port, "sound") as device:
            device.sendall(publish(HEART, b"{}"))
            wait_for(lambda: heard(self.service, "mqtt") == on_mqtt + 1, 10, "a sound beat")
        body = json.dumps({"site": "V1", "terminal": "mobile"}).encode()
        assert self.post(body).startswith(b"HTTP/1.1 202 ")
        assert heard(self.service, "http") == on_http + 1
        assert self.service.is_running()
        assert "Traceback" not in self.service.tail(10_000), self.service.last_words()

    def post(self, body: bytes, *headers: str, length: int | None = None) -> bytes:
        lines = [
            *("POST /api/v1/heartbeats HTTP/1.1", "Host: x", f"Authorization: Bearer {self.token}", *headers),
            f"Content-Length: {len(body) if length is None else length}",
        ]
        return self.say("\r\n".join([*lines, "", ""]).encode() + body)

    def say(self, data: bytes) -> bytes:
        """What is answered to these bytes, up to its first 200."""
        with socket.create_connection((HOST, self.service.port), 10) as client:
            with suppress(ConnectionError):  # it hangs up in the middle of what is too much
                client.sendall(data)
            with suppress(ConnectionError):
                return client.recv(200)
        return b""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """An open broker, so that everything reaches the service."""
    folder = tmp_path_factory.mktemp("malformed")
    with Mosquitto(folder) as broker:
        checks = [beats("V1", "pc", "mqtt", 60, 60), beats("V1", "mobile", "http", 60, 60)]
        config = write_config(folder, http=free_port(), mqtt=broker.port, checks=checks)
        token = issue(config, folder / "tokens.json")["V1/mobile"]
        with Serving(config) as service:
            yield Served(service, broker, token)
            assert service.end() == 0
        held = asyncio.run(holds(config, f"sqlite+aiosqlite:///{service.database}"))
        assert held.outages == {}


# --- MQTT ------------------------------------------------------------------------------------------------------------


def packet(kind: int, body: bytes) -> bytes:
    length, head = len(body), bytearray([kind])
    while True:
        length, digit = divmod(length, 128)
        head.append(digit | (0x80 if length else 0))
        if not length:
            return bytes(head) + body


def text(data: bytes) -> bytes:
    return struct.pack(">H", len(data)) + data


def connect(name: str, *, user: str = "", password: str = "") -> bytes:
    flags = 0x02 | (0xC0 if user else 0)
    who = text(user.encode()) + text(password.encode()) if user else b""
    return packet(0x10, text(b"MQTT") + bytes([4, flags, 0, 60]) + text(name.encode()) + who)


def publish(topic: bytes, payload: bytes) -> bytes:
    return packet(0x30, text(topic) + payload)


def mqtt(port: int, name: str) -> socket.socket:
    client = socket.create_connection((HOST, port), 10)
    client.sendall(connect(name))
    assert client.recv(4) == b"\x20\x02\x00\x00"
    return client


HEART = b"zhdj/v1/V1/pc/heartbeat"
TOO_LARGE = [b" " * 1025, b'{"version": "' + b"x" * 60_000 + b'"}', b"\xff" * LARGE]
PAYLOADS: list[bytes] = [
    *(p for p in RUBBISH if len(p) <= 1024),
    *(b"null", b"true", b"0", b"{}{}", b'{"seq": 1e999}', b'{"seq": -1}', b'{"seq": 99999999999999999999}'),
    *(b'{"sent_at": NaN}', b'{"sent_at": Infinity}', b'{"sent_at": -1}', b'{"sent_at": "0000-00-00T00:00:00Z"}'),
    *(b'{"boot": "a\\u0000b"}', b'{"boot": "\xed\xa0\x80"}', b'{"boot": "\\ud800"}', b'{"boot": ["b"]}'),
    *(b"\xef\xbb\xbf{}", '{"boot": "\u6751"}'.encode("gb18030"), '{"boot": "x"}'.encode("utf-16"), b"\0" * 1024),
    *(b"[" * 1024, b'{"a":' * 200, b'{"services": {"learning": 1}}', b'{"uptime_s": 1e400}'),
]
#: A topic that the filters match and no device may have.
TOPICS = [
    b"zhdj/v1/" + b"x" * 65_000 + b"/pc/heartbeat",
    b"zhdj/v1/" + "\u6751".encode() * 21_000 + b"/pc/status",
    b"zhdj/v1//pc/heartbeat",
    b"zhdj/v1/V1//heartbeat",
]
#: Topics that end the connection of who writes them; they never get as far as the service.
NO_TOPICS = [b"zhdj/v1/V1\0/pc/heartbeat", b"zhdj/v1/\xff\xfe/pc/heartbeat", b"zhdj/v1/+/pc/heartbeat", b""]


def test_on_mqtt(served: Served) -> None:
    before, memory = served.refused("mqtt"), resident_mb(served.service)
    with mqtt(served.broker.port, "malformed") as device:
        for payload in (*PAYLOADS, *TOO_LARGE):
            device.sendall(publish(HEART, payload))
        for payload in (b"offlin", b"OFF", b"\0", b"x" * 2000):
            device.sendall(publish(b"zhdj/v1/V1/pc/status", payload))
        for topic in TOPICS:
            device.sendall(publish(topic, b"{}"))
        device.sendall(publish(b"zhdj/v1/V9/pc/heartbeat", b"{}"))
        device.sendall(publish(b"zhdj/v1/V1/tv/heartbeat", b"{}"))
        expected = {
            "malformed": len(PAYLOADS) + 4 + len(TOPICS),
            "too_large": len(TOO_LARGE),
            "unknown_terminal": 2,
        }

        def grown() -> dict[str, float]:
            return {k: n - before.get(k, 0) for k, n in served.refused("mqtt").items() if n > before.get(k, 0)}

        wait_for(lambda: sum(grown().values()) >= sum(expected.values()), 20, f"{expected}", 0.1)
        assert grown() == expected
    for topic in NO_TOPICS:
        with mqtt(served.broker.port, "worse") as device:
            device.sendall(publish(topic, b"{}"))
            assert device.recv(1) == b""
    served.still_works()
    more = resident_mb(served.service) - memory
    counted(f"{sum(expected.values())} messages on MQTT, of {LARGE / 1e6:.0f} MB the largest; memory {more:+.1f} MB")
    assert more < MORE_MB


# --- HTTP ------------------------------------------------------------------------------------------------------------


def test_bodies_on_http(served: Served) -> None:
    memory = resident_mb(served.service)
    sound = json.dumps({"site": "V1", "terminal": "mobile"}).encode()
    bomb = gzip.compress(b"[" + b" " * 100_000_000 + b"]", 9)
    asked: list[tuple[bytes, tuple[str, ...], int]] = [
        *((p, (), 400) for p in PAYLOADS),
        (b"", (), 400),
        (b"[]", (), 400),
        (b"[" * 1_000_000, (), 400),
        (b"[" + b",".join([sound] * 1001) + b"]", (), 413),
        (b" " * LARGE, (), 413),
        (bomb, ("Content-Encoding: gzip",), 415),
        (bomb, ("Content-Encoding: br",), 400),  # aiohttp cannot read it, and says so itself
        (sound, ("Content-Encoding: identity, gzip",), 415),
        (sound[:-1] + b', "seq": ' + b"9" * 900 + b"}", (), 400),
    ]
    for body, headers, status in asked:
        answer = served.post(body, *headers)
        assert answer[9:13] == f"{status} ".encode(), (body[:60], headers, answer)
    served.still_works()
    more = resident_mb(served.service) - memory
    counted(f"{len(asked)} bodies; a bomb of {len(bomb):,} bytes for 100 MB; memory {more:+.1f} MB")
    assert more < MORE_MB


def test_requests_that_are_none(served: Served) -> None:
    memory = resident_mb(served.service)
    rng = Random(3)
    sayings: list[bytes] = [
        b"\0\n\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500) + b"\r\n\r\n",  # TLS where none is spoken
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /\0 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET " + b"/" * 70_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 20_000 + b"\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nBad Name: y\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"POST /api/v1/heartbeats HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /api/v1/heartbeats HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n{}",
        b"POST /api/v1/heartbeats HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n{}",
        b"POST /api/v1/heartbeats HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\n{}",
        b"GET /%2e%2e/%2e%2e/etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /static/../../app.py HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /ping/\xff\xfe%00%ff HTTP/1.1\r\nHost: x\r\n\r\n",
        *(rng.randbytes(rng.randrange(1, 3000)) + b"\r\n\r\n" for _ in range(300)),
    ]
    for saying in sayings:
        answer = served.say(saying)
        assert not answer or answer[9:10] == b"4", (saying[:60], answer)
    # A body without end, in chunks.
    head = f"POST /api/v1/heartbeats HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {served.token}\r\n"
    chunked = head.encode() + b"Transfer-Encoding: chunked\r\n\r\n" + (b"10000\r\n" + b" " * 65_536 + b"\r\n") * 200
    assert served.say(chunked).startswith(b"HTTP/1.1 413 ")
    served.still_works()
    more = resident_mb(served.service) - memory
    counted(f"{len(sayings) + 1} requests that are none; memory {more:+.1f} MB")
    assert more < MORE_MB


# --- the embedded broker ---------------------------------------------------------------------------------------------


@pytest.fixture
async def embedded() -> AsyncIterator[OwnBroker]:
    broker = OwnBroker()
    await broker.start()
    yield broker
    await broker.close()


async def test_nonsense_to_the_embedded_broker(embedded: OwnBroker) -> None:
    """Random bytes, sound packets with some bytes changed, lengths that lie: others do not notice."""
    rng = Random(4)
    sound = connect("s1/pc", user="s1/pc", password="cp/1s") + publish(b"zhdj/v1/s1/pc/heartbeat", b"{}") + b"\xe0\x00"
    sayings = [rng.randbytes(rng.randrange(1, 400)) for _ in range(100)]
    for _ in range(200):
        changed = bytearray(sound)
        for _ in range(rng.randrange(1, 4)):
            changed[rng.randrange(len(changed))] = rng.randrange(256)
        sayings.append(bytes(changed))
    sayings += [b"\x10\xff\xff\xff\x7f" + b"x" * 5000, b"\x10\xff\xff\xff\xff\xff", b"\xc0\x00" * 50, b"\x30\x00"]
    recorder = Recorder()
    async with receiving(embedded.port, recorder):
        for saying in sayings:
            reader, writer = await asyncio.open_connection(HOST, embedded.port)
            writer.write(saying)
            with suppress(ConnectionError, TimeoutError):
                async with asyncio.timeout(0.02):
                    await reader.read(100)
            writer.close()
        heard = len(recorder.beats)
        for n in range(3):
            done = await pub(embedded.port, "s1/pc", "s1/pc/heartbeat", "-m", json.dumps({"seq": n}))
            assert done.returncode == 0, done.stderr
        await wait_for_async(lambda: len(recorder.beats) >= heard + 3, 10, "sound beats")
    assert set(recorder.who) <= {("s1", "pc")}  # whatever was changed, nobody spoke for another
    counted(f"{len(sayings)} connections with nonsense, {heard} of them were beats after all")
