"""Real services as subprocesses on free ports of 127.0.0.1, for as long as a test needs them.

Each is a context manager and can be stopped, killed and started again on the same port:

    with Mosquitto(tmp_path) as broker:
        ...
        broker.kill()
        broker.start()

Every wait has a limit and names what it waited for; the logs of a failed test's services are shown with it
(conftest.py). All of this blocks: from a coroutine, starting goes through `asyncio.to_thread`.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import glob
import inspect
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import SystemRandom
from types import TracebackType
from typing import Any, ClassVar, Self, TypeVar, overload

T = TypeVar("T")

HOST = "127.0.0.1"
START_LIMIT_S = 30.0
STOP_LIMIT_S = 20.0


class ServiceError(AssertionError):
    """A service did not do what the test needs of it; the text ends with the tail of its log."""


def free_port() -> int:
    """A port that was free a moment ago, where the kernel takes none for connections that go out: no client gets it
    between two starts of a service. Another test may: `Service.start` then takes a new one."""
    for port in SystemRandom().sample(range(12_000, 32_000), 50):
        with socket.socket() as probe:
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return port
    raise ServiceError("no port is free")


def wait_for(predicate: Callable[[], T], timeout: float = 10.0, what: str = "", every: float = 0.02) -> T:
    """Call until the answer is true, and return it. Raises ServiceError after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not (answer := predicate()):
        if time.monotonic() > deadline:
            raise ServiceError(f"waited {timeout:g} s for {what or predicate}; last answer: {answer!r}")
        time.sleep(every)
    return answer


@overload
async def wait_for_async(
    predicate: Callable[[], Awaitable[T]], timeout: float = ..., what: str = ..., every: float = ...
) -> T: ...
@overload
async def wait_for_async(
    predicate: Callable[[], T], timeout: float = ..., what: str = ..., every: float = ...
) -> T: ...
async def wait_for_async(
    predicate: Callable[[], Any], timeout: float = 10.0, what: str = "", every: float = 0.02
) -> Any:
    """`wait_for` that lets the loop go on; the predicate may be a coroutine function."""
    deadline = time.monotonic() + timeout
    while True:
        answer = predicate()
        if inspect.isawaitable(answer):
            answer = await answer
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise ServiceError(f"waited {timeout:g} s for {what or predicate}; last answer: {answer!r}")
        await asyncio.sleep(every)


def program(*names: str) -> str:
    """The path of the first of these programs. Debian keeps servers where a user's PATH does not look."""
    folders = [os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin", "/sbin"]
    folders += sorted(glob.glob("/usr/lib/postgresql/*/bin"), reverse=True)
    for name in names:
        if found := shutil.which(name, path=os.pathsep.join(folders)):
            return found
    raise ServiceError(f"{names[0]} is not installed: run `make system-packages`")


def listens(port: int) -> bool:
    with socket.socket() as client:
        client.settimeout(1)
        return client.connect_ex((HOST, port)) == 0


def get_json(url: str, timeout: float = 5.0) -> Any:
    with urllib.request.urlopen(url, timeout=timeout) as response:
        return json.load(response)


class Service:
    """One subprocess with a port and a log. A subclass says how it is started and when it is up."""

    name: ClassVar[str]
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM
    # Those that were started and not ended yet, for the report of a failed test and for the end of Python.
    started: ClassVar[list[Service]] = []

    def __init__(self, folder: Path, *, port: int | None = None) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix=f"{self.name}-", dir=folder))
        self.log = self.folder / f"{self.name}.log"
        self.user: str | None = None  # whom to run as; None: whoever runs the tests
        self._port = port
        self._port_is_settled = port is not None
        self._process: subprocess.Popen[bytes] | None = None
        self._log_start = 0

    # What a subclass says.

    def command(self) -> Sequence[str]:
        raise NotImplementedError

    def ready(self) -> bool:
        raise NotImplementedError

    # What a test does.

    @property
    def port(self) -> int:
        """The same over the whole life, restarts included."""
        if self._port is None:
            self._port = free_port()
        return self._port

    @property
    def pid(self) -> int:
        if self._process is None:
            raise ServiceError(f"{self.name} does not run")
        return self._process.pid

    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> Self:
        """Start, or start again on the same port, and wait until it answers."""
        if self.is_running():
            raise ServiceError(f"{self.name} runs already")
        deadline = time.monotonic() + START_LIMIT_S
        try:
            while True:
                self._spawn()
                self.wait_for(lambda: not self.is_running() or self.ready(), START_LIMIT_S, "start")
                if self.is_running():
                    self._port_is_settled = True
                    return self
                # A port that another took in between: a first start takes a new one, a later one insists.
                if "in use" not in self.output() or time.monotonic() > deadline:
                    raise ServiceError(f"{self.name} ended while starting; {self.last_words()}")
                if not self._port_is_settled:
                    self._port = None
                time.sleep(0.1)
        except BaseException:
            self.kill()
            raise

    def stop(self) -> None:
        """End it in order (nothing happens if it does not run)."""
        self._end(self.stop_signal)

    def kill(self) -> None:
        """kill -9, its children included, as when the power goes."""
        self._end(signal.SIGKILL)

    def send_signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def output(self) -> str:
        """What it has logged since its last start."""
        with self.log.open("rb") as log:
            log.seek(self._log_start)
            return log.read().decode(errors="replace")

    def wait_for(self, predicate: Callable[[], T], timeout: float, what: str) -> T:
        """`wait_for` whose failure shows the log."""
        try:
            return wait_for(predicate, timeout, f"{self.name} to {what}")
        except ServiceError as error:
            raise ServiceError(f"{error}; {self.last_words()}") from None

    def last_words(self) -> str:
        return f"the end of its log:\n{self.tail(20)}"

    def tail(self, lines: int = 60) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:]) if self.log.exists() else ""

    def close(self) -> None:
        self.stop()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _spawn(self) -> None:
        command = list(self.command())
        with self.log.open("ab") as log:
            self._log_start = log.tell()
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                user=self.user,
                group=pwd.getpwnam(self.user).pw_gid if self.user else None,
                extra_groups=[] if self.user else None,
                # Its own group: Ctrl-C at the tests' terminal is not for it, we end it in order.
                process_group=0,
            )
        if self not in Service.started:
            Service.started.append(self)

    def _end(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        process, self._process = self._process, None
        try:
            if process.poll() is not None:
                return
            children = _children(process.pid) if number == signal.SIGKILL else []
            process.send_signal(number)
            for child in children:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)
            process.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(STOP_LIMIT_S)
            raise ServiceError(f"{self.name} did not end within {STOP_LIMIT_S:g} s; {self.last_words()}") from None
        finally:
            Service.started.remove(self)


def _children(pid: int) -> list[int]:
    """Processes below this one. PostgreSQL's each have a group of their own, so the group is not enough."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            found += [int(child), *_children(int(child))]
    return found


@atexit.register
def _end_all() -> None:
    """The last net, for a fixture that never came to its end."""
    for service in list(Service.started):
        with contextlib.suppress(Exception):
            service.kill()


@dataclass(frozen=True)
class Certificate:
    """A self-signed certificate for 127.0.0.1 and localhost: `cert` is also what a client must trust."""

    cert: Path
    key: Path


def make_certificate(folder: Path, *, days: int = 30) -> Certificate:
    """A certificate that ends in `days` days; PEM files in `folder`."""
    made = Certificate(folder / "cert.pem", folder / "key.pem")
    subprocess.run(
        [
            *(
                program("openssl"),
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:prime256v1",
            ),
            *("-nodes", "-days", str(days), "-subj", "/CN=localhost"),
            *("-addext", f"subjectAltName=DNS:localhost,IP:{HOST}"),
            *("-keyout", str(made.key), "-out", str(made.cert)),
        ],
        check=True,
        capture_output=True,
        timeout=30,
    )
    return made


class Mosquitto(Service):
    """Debian's broker. Anonymous and open unless `passwords` or `acl` are given.

    `lines` are added to its configuration as they are. `persistence`: sessions, queues and retained messages
    survive an orderly stop (and a kill, as far as `autosave_interval` among the lines allows).
    """

    name = "mosquitto"

    def __init__(
        self,
        folder: Path,
        *,
        lines: Sequence[str] = (),
        passwords: Mapping[str, str] | None = None,
        acl: str | None = None,
        certificate: Certificate | None = None,
        persistence: bool = False,
        port: int | None = None,
    ) -> None:
        super().__init__(folder, port=port)
        self.lines = list(lines)
        self.certificate = certificate
        self.persistence = persistence
        self.password_file: Path | None = None
        self.acl_file: Path | None = None
        if passwords is not None:
            self.set_passwords(passwords)
        if acl is not None:
            self.set_acl(acl)

    def set_passwords(self, passwords: Mapping[str, str]) -> None:
        """All users and their passwords. A running broker needs `reload` afterwards."""
        self.password_file = self.folder / "passwords"
        # Written aside and moved: a reload never sees half a file, nor a plain password.
        aside = self.folder / "passwords.new"
        aside.write_text("".join(f"{user}:{password}\n" for user, password in passwords.items()))
        if passwords:
            subprocess.run([program("mosquitto_passwd"), "-U", str(aside)], check=True, capture_output=True, timeout=60)
        aside.replace(self.password_file)

    def set_acl(self, text: str) -> None:
        """The ACL file, in mosquitto's own language. A running broker needs `reload` afterwards."""
        self.acl_file = self.folder / "acl"
        self.acl_file.write_text(text)

    def reload(self) -> None:
        """Have passwords and ACL read again; whoever connects after this is judged by the new ones."""
        before = self.output().count("Reloading config")
        self.send_signal(signal.SIGHUP)
        self.wait_for(lambda: self.output().count("Reloading config") > before, 10, "reload")

    def command(self) -> Sequence[str]:
        config = [
            f"listener {self.port} {HOST}",
            f"allow_anonymous {'true' if self.password_file is None else 'false'}",
            f"persistence {'true' if self.persistence else 'false'}",
            "log_dest stderr",
            "log_type all",
        ]
        if os.geteuid() == 0:
            # Otherwise it becomes user mosquitto, who may not enter the tests' folders.
            config.insert(0, "user root")
        if self.persistence:
            config.append(f"persistence_location {self.folder}/")
        if self.password_file is not None:
            config.append(f"password_file {self.password_file}")
        if self.acl_file is not None:
            config.append(f"acl_file {self.acl_file}")
        if self.certificate is not None:
            config += [f"certfile {self.certificate.cert}", f"keyfile {self.certificate.key}"]
        path = self.folder / "mosquitto.conf"
        path.write_text("\n".join([*config, *self.lines]) + "\n")
        return [program("mosquitto"), "-c", str(path)]

    def ready(self) -> bool:
        return " running" in self.output() and listens(self.port)


class Postgres(Service):
    """A cluster of its own, trusting every connection on 127.0.0.1 as user postgres.

    The data lies below /tmp, because root must run PostgreSQL as another user, who may not enter pytest's
    folders. `durable=False` leaves out fsync: quick, and safe against `kill` (not against a power cut).
    """

    name = "postgres"
    stop_signal = signal.SIGINT  # fast shutdown: sessions are ended, not waited for

    def __init__(self, *, durable: bool = False, settings: Mapping[str, str] | None = None) -> None:
        super().__init__(Path("/tmp"))
        self.settings = {
            "listen_addresses": HOST,
            "unix_socket_directories": "",
            "max_connections": "60",
            "shared_buffers": "32MB",
            "jit": "off",
            # What was committed is with the kernel and so survives `kill`.
            **({} if durable else {"fsync": "off", "full_page_writes": "off"}),
            **(settings or {}),
        }
        self.data = self.folder / "data"
        if os.geteuid() == 0:
            self.user = "postgres"
            os.chown(self.folder, pwd.getpwnam(self.user).pw_uid, pwd.getpwnam(self.user).pw_gid)
        subprocess.run(
            [
                *(program("initdb"), "--pgdata", str(self.data), "--username", "postgres", "--auth", "trust"),
                *("--encoding", "UTF8", "--locale", "C.UTF-8", "--no-sync", "--no-instructions"),
            ],
            check=True,
            capture_output=True,
            timeout=120,
            cwd=self.folder,
            user=self.user,
            group=pwd.getpwnam(self.user).pw_gid if self.user else None,
            extra_groups=[] if self.user else None,
        )

    def command(self) -> Sequence[str]:
        settings = [item for key, value in self.settings.items() for item in ("-c", f"{key}={value}")]
        return [program("postgres"), "-D", str(self.data), "-p", str(self.port), *settings]

    def ready(self) -> bool:
        return "ready to accept connections" in self.output() and listens(self.port)

    def url(self, database: str) -> str:
        return f"postgresql+asyncpg://postgres@{HOST}:{self.port}/{database}"

    def create_database(self, like: str = "template0") -> str:
        """A fresh empty database, or a copy of `like` (a URL, to which nobody is connected); answers its URL."""
        database = f"test_{uuid.uuid4().hex[:12]}"
        self.psql(f"CREATE DATABASE {database} TEMPLATE {like.rsplit('/', 1)[-1]}")
        return self.url(database)

    def drop_database(self, url: str) -> None:
        """Drop what `create_database` made, whoever is still connected."""
        self.psql(f"DROP DATABASE IF EXISTS {url.rsplit('/', 1)[1]} WITH (FORCE)")

    def psql(self, statement: str, database: str = "postgres") -> str:
        """Run one statement as superuser; answers its rows, columns apart by `|`."""
        done = subprocess.run(
            [
                *(program("psql"), "--no-psqlrc", "-qAt", "-v", "ON_ERROR_STOP=1"),
                *("-h", HOST, "-p", str(self.port), "-U", "postgres", "-d", database, "-c", statement),
            ],
            capture_output=True,
            text=True,
            timeout=30,
        )
        if done.returncode:
            raise ServiceError(f"psql: {done.stderr.strip()}")
        return done.stdout.strip()

    def close(self) -> None:
        super().close()
        shutil.rmtree(self.folder, ignore_errors=True)


class _HttpService(Service):
    ready_path: ClassVar[str] = "/-/ready"

    @property
    def base(self) -> str:
        return f"http://{HOST}:{self.port}"

    def ready(self) -> bool:
        try:
            with urllib.request.urlopen(self.base + self.ready_path, timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False


class Prometheus(_HttpService):
    """Debian's Prometheus with this configuration; `files` (name to text: rules) are laid beside it."""

    name = "prometheus"

    def __init__(self, folder: Path, config: str, *, files: Mapping[str, str] | None = None) -> None:
        super().__init__(folder)
        self.config = self.folder / "prometheus.yml"
        self.config.write_text(config, encoding="utf-8")
        for file, text in (files or {}).items():
            (self.folder / file).write_text(text, encoding="utf-8")

    def command(self) -> Sequence[str]:
        return [
            program("prometheus"),
            f"--config.file={self.config}",
            f"--storage.tsdb.path={self.folder / 'data'}",
            f"--web.listen-address={HOST}:{self.port}",
            "--web.enable-lifecycle",
            # A minute otherwise, and an alert that fires before the alertmanager was discovered waits for it.
            "--rules.alert.resend-delay=1s",
        ]

    def query(self, expr: str) -> list[dict[str, Any]]:
        """An instant query: [{"metric": {label: value}, "value": [time, text]}]. A bad one raises."""
        return list(self._get("/api/v1/query?" + urllib.parse.urlencode({"query": expr}))["result"])

    def alerts(self) -> list[dict[str, Any]]:
        """Pending and firing alerts: labels, annotations, state, activeAt, value."""
        return list(self._get("/api/v1/alerts")["alerts"])

    def targets(self) -> list[dict[str, Any]]:
        """The scraped targets with `health` and `lastError`."""
        return list(self._get("/api/v1/targets?state=active")["activeTargets"])

    def _get(self, path: str) -> dict[str, Any]:
        try:
            return dict(get_json(self.base + path)["data"])
        except urllib.error.HTTPError as error:
            with error:
                raise ServiceError(f"prometheus: {error.read().decode(errors='replace')}") from None


class Alertmanager(_HttpService):
    """Debian's Alertmanager, alone (no cluster), with this configuration."""

    name = "alertmanager"

    def __init__(self, folder: Path, config: str) -> None:
        super().__init__(folder)
        self.config = self.folder / "alertmanager.yml"
        self.config.write_text(config, encoding="utf-8")

    def command(self) -> Sequence[str]:
        return [
            program("prometheus-alertmanager", "alertmanager"),
            f"--config.file={self.config}",
            f"--storage.path={self.folder / 'data'}",
            f"--web.listen-address={HOST}:{self.port}",
            "--cluster.listen-address=",
        ]

    def alerts(self) -> list[dict[str, Any]]:
        return list(get_json(self.base + "/api/v2/alerts"))
