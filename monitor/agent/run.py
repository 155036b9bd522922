"""The agent: one thread beats, one delivers, one looks at the services; the end is said goodbye to."""

from __future__ import annotations

import logging
import select
import signal
import socket
import threading
import time
from types import FrameType

from monitor.agent.beats import Heart, Outbox
from monitor.agent.config import Broker, Config
from monitor.agent.http_line import HttpLine
from monitor.agent.line import PER_S, Line, LineDown, delay
from monitor.agent.mqtt_line import MqttLine
from monitor.agent.services import Watch

#: Seconds from being told to stop until it ends, delivered or not.
END_S = 8.0

log = logging.getLogger("zhdj.agent")


class Stop:
    """SIGTERM and SIGINT, and on Windows Ctrl-Break. A handler that set an Event could meet its lock taken."""

    def __init__(self) -> None:
        self._read, self._write = socket.socketpair()
        self._write.setblocking(False)
        signal.set_wakeup_fd(self._write.fileno(), warn_on_full_buffer=False)
        for name in ("SIGTERM", "SIGINT", "SIGBREAK"):
            if hasattr(signal, name):
                signal.signal(getattr(signal, name), self._handle)
        self._told = False

    def _handle(self, _number: int, _frame: FrameType | None) -> None:
        self._told = True

    def wait(self, seconds: float) -> bool:
        """True as soon as we are told to stop; else False after so many seconds."""
        until = time.monotonic() + seconds
        while not self._told:
            left = until - time.monotonic()
            if left <= 0:
                return False
            if select.select([self._read], [], [], left)[0]:
                self._read.recv(64)
        return True


class Delivery:
    """Gets what is in the outbox to the monitor, for as long as it takes."""

    def __init__(self, line: Line, outbox: Outbox, interval_s: float) -> None:
        self._line = line
        self._outbox = outbox
        self._interval_s = interval_s
        self._failures = 0

    def run(self) -> None:
        """Until the outbox is stopped; then the goodbye, tried once more where the line was down. Survives all that
        lines do."""
        while True:
            last = self._outbox.stopping
            try:
                self._line.open()
                self._deliver()
                self._line.goodbye()
                log.info("said goodbye")
                return
            except LineDown as error:
                self._line.close()
                self._failures += 1
                # Never much longer than its interval: that and the grace are all the time it has.
                seconds = delay(self._failures, max(self._interval_s, 1.0))
                waiting = len(self._outbox)
                log.warning("line down: %s; again in %.0f s, %d beats wait", error, seconds, waiting)
            if last:
                return
            self._outbox.sleep(seconds)

    def _deliver(self) -> None:
        while not self._outbox.stopping:
            beats = self._outbox.some(self._line.batch)
            if not beats:
                self._outbox.wait(None)
                self._line.check()
                continue
            left = self._line.send(beats)
            self._outbox.remove([beat for beat in beats if beat not in left])
            if self._failures or self._outbox.dropped:
                log.info("line up again; %d beats wait, %d given up", len(self._outbox), self._outbox.dropped)
                self._failures = self._outbox.dropped = 0
            if len(self._outbox):
                self._outbox.wait(len(beats) / PER_S)
                self._line.check()


def run(config: Config, stop: Stop) -> None:
    """Beat until told to stop."""
    outbox = Outbox(config.keep_beats)
    line: Line
    if isinstance(config.line, Broker):
        line = MqttLine(config, config.line, outbox.wake)
    else:
        line = HttpLine(config, config.line)
    watch = Watch(config.services, max(config.interval_s, 5.0))
    watch.start()
    delivery = Delivery(line, outbox, config.interval_s)
    thread = threading.Thread(target=delivery.run, name="delivery", daemon=True)
    thread.start()
    heart = Heart()
    log.info("beating for %s every %g s, boot %s", config.user, config.interval_s, heart.boot)
    due = time.monotonic()
    while True:
        outbox.put(heart.beat(watch.states))
        due += config.interval_s
        # After a sleep of the machine one beat, not all those that it slept through.
        due = max(due, time.monotonic())
        if stop.wait(due - time.monotonic()):
            break
    outbox.stop()
    thread.join(END_S)
    log.info("stopped; %d beats were not delivered", len(outbox))
