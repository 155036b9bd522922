"""One message at a time, without a broker: what is refused and limited; and the waits between attempts."""

from __future__ import annotations

import pytest

from monitor.intake.mqtt import Backoff, MqttReceiver
from monitor.settings import Mqtt
from tests.recorder import Recorder


def test_attempts_are_a_second_apart_then_two_up_to_a_quarter_minute() -> None:
    backoff = Backoff()
    for failures, base in ((1, 1), (2, 2), (4, 8), (7, 15), (1000, 15)):
        delays = [backoff.delay(failures) for _ in range(200)]
        assert base * 0.75 <= min(delays)
        assert max(delays) <= base * 1.25
        assert max(delays) > min(delays)


def receiver_of(recorder: Recorder) -> MqttReceiver:
    return MqttReceiver(Mqtt(), recorder, observer_name="test")


@pytest.mark.parametrize(
    ("topic", "payload", "reason"),
    [
        ("zhdj/v1/s1/pc/heartbeat", b"{", "malformed"),
        ("zhdj/v1/s1/pc/heartbeat", b"x" * 1025, "too_large"),
        ("zhdj/v1/s1/pc/status", b"ONLINE", "malformed"),
        ("zhdj/v1/s1/pc/status", b"\xff", "malformed"),
        ("zhdj/v1/s1/pc/other", b"", "malformed"),
        ("zhdj/v1/s1/heartbeat", b"", "malformed"),
        ("zhdj/v1//pc/heartbeat", b"", "malformed"),
        ("zhdj/v2/s1/pc/heartbeat", b"", "malformed"),
        ("zhdj/v1/" + "s" * 60_000 + "/pc/heartbeat", b"", "malformed"),
        ("", b"", "malformed"),
    ],
)
def test_what_is_refused_is_counted_by_reason(topic: str, payload: bytes, reason: str) -> None:
    recorder = Recorder()
    receiver_of(recorder).handle(topic, payload, False)
    assert recorder.refused == {("mqtt", reason): 1}
    assert not recorder.beats
    assert not recorder.wills


def test_a_flood_of_one_device_is_limited_and_others_are_not() -> None:
    recorder = Recorder()
    receiver = receiver_of(recorder)
    for _ in range(5000):
        receiver.handle("zhdj/v1/s1/pc/heartbeat", b"", False)
    receiver.handle("zhdj/v1/s2/pc/heartbeat", b"", False)
    assert recorder.who[-1] == ("s2", "pc")
    assert 1000 <= len(recorder.beats) < 1500
    assert recorder.refused["mqtt", "rate_limited"] == 5001 - len(recorder.beats)


def test_somebody_else_s_echo_is_nothing() -> None:
    recorder = Recorder()
    receiver_of(recorder).handle("zhdj/v1/monitor/test/echo", b"\xff", False)
    assert recorder.channel == []
    assert not recorder.refused
