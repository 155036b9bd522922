"""The installer in a fresh Debian root without a network: long, and only where such a root can be made.

A bundle is made where there is a network; then roots of Debian's are installed into from it, in a network namespace of
its own without a route: one in which nothing is started, and one that systemd runs as it runs a server.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
pytestmark = [pytest.mark.long, pytest.mark.timeout(3600)]

#: A root with /proc, a few devices and the bundle, in namespaces of its own: mounts, processes, and no network.
ENTER = """
root=$0; mkdir -p $root/proc $root/dev $root/bundle
mount -t proc proc $root/proc && mount -t tmpfs tmpfs $root/dev
for d in null zero random urandom full tty; do touch $root/dev/$d; mount --bind /dev/$d $root/dev/$d; done
ln -s /proc/self/fd $root/dev/fd; mkdir $root/dev/shm; mount -t tmpfs tmpfs $root/dev/shm
mount --bind $root.bundle $root/bundle
exec env -i HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin chroot $root bash -euc "$1"
"""
#: The same, and systemd is its first process.
BOOT = """
root=$0; mount --make-rprivate / && mount --bind $root $root && mkdir -p $root/bundle
mount -t proc proc $root/proc && mount -t sysfs -o ro sysfs $root/sys && mount -t cgroup2 cgroup2 $root/sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs $root/dev && mount -t tmpfs -o mode=755 tmpfs $root/run
for d in null zero random urandom full tty; do touch $root/dev/$d; mount --bind /dev/$d $root/dev/$d; done
ln -s /proc/self/fd $root/dev/fd; mkdir $root/dev/shm $root/dev/pts; mount -t tmpfs tmpfs $root/dev/shm
mount -t devpts -o newinstance,ptmxmode=0666 devpts $root/dev/pts; ln -s pts/ptmx $root/dev/ptmx
mount --bind $root.bundle $root/bundle && ip link set lo up
cd $root && pivot_root . . && umount -l .
exec env -i container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --unit=multi-user.target
"""
INSTALL = "bash /bundle/source/deploy/install"
#: Everything but what runs writes: PostgreSQL's data, logs, caches.
MANIFEST = r"""
cd / && list() { find . -xdev \( -path ./proc -o -path ./sys -o -path ./dev -o -path ./bundle -o -path ./tmp \
    -o -path ./run -o -path ./var/lib/postgresql -o -path ./var/log -o -path ./var/cache \) -prune -o "$@"; }
list \( -type f -o -type l \) -printf '%M %u:%g %P %l\n' | sort | sha256sum
list -type f -print0 | sort -z | xargs -0 sha256sum | sha256sum
"""


class Fresh:
    def __init__(self, root: Path) -> None:
        self.root = root

    def __call__(self, script: str, *, expect: int = 0) -> str:
        command = ["unshare", "-m", "-n", "-p", "-f", "--kill-child", "bash", "-euc", ENTER, str(self.root), script]
        done = subprocess.run(command, capture_output=True, text=True, timeout=1200, stdin=subprocess.DEVNULL)
        assert done.returncode == expect, done.stdout[-4000:] + done.stderr[-4000:]
        return done.stdout


class Machine(Fresh):
    """A root that systemd runs."""

    def __init__(self, root: Path, pid: int) -> None:
        super().__init__(root)
        self.pid = pid

    def start(self, script: str) -> subprocess.Popen[str]:
        clean = ["env", "-i", "HOME=/root", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]
        enter = ["nsenter", "-t", str(self.pid), "-r", "-w", "-m", "-p", "-n", "-u", "-i", "-C"]
        pipe = subprocess.PIPE
        return subprocess.Popen(
            [*enter, *clean, "bash", "-euc", script], stdout=pipe, stderr=pipe, stdin=subprocess.DEVNULL,
            text=True, start_new_session=True,
        )  # fmt: skip

    def __call__(self, script: str, *, expect: int = 0) -> str:
        done = self.start(script)
        out, error = done.communicate(timeout=600)
        assert done.returncode == expect, out[-4000:] + error[-4000:]
        return out + error


@contextmanager
def booted(root: Path) -> Iterator[Machine]:
    """systemd with this root, until the block ends; skipped where it cannot run in namespaces."""
    quiet = root / "etc/systemd/system/console-getty.service"
    quiet.symlink_to("/dev/null")  # there is no console
    command = ["unshare", "-m", "-n", "-p", "-u", "-i", "-C", "-f", "--kill-child", "bash", "-euc", BOOT, str(root)]
    null = subprocess.DEVNULL
    with subprocess.Popen(command, stdin=null, stdout=null, stderr=null) as shell:
        try:
            until = time.monotonic() + 60
            while time.monotonic() < until and shell.poll() is None:
                children = Path(f"/proc/{shell.pid}/task/{shell.pid}/children").read_text().split()
                if children:
                    machine = Machine(root, int(children[0]))
                    with machine.start("systemctl is-system-running") as asked:
                        out, _ = asked.communicate(timeout=60)
                    if out.strip() == "running":
                        break
                time.sleep(0.5)
            else:
                pytest.skip("systemd cannot run in namespaces here")
            yield machine
        finally:
            shell.kill()


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Fresh:
    if os.geteuid() != 0 or not shutil.which("mmdebstrap"):
        pytest.skip("a Debian root needs root and mmdebstrap")
    if subprocess.run(["unshare", "-m", "-n", "true"], capture_output=True).returncode:
        pytest.skip("no namespaces here")
    folder = tmp_path_factory.mktemp("machine")
    folder.chmod(0o755)
    codename = re.findall(r"VERSION_CODENAME=(\w+)", Path("/etc/os-release").read_text())[0]
    include = "--include=systemd,python3,ca-certificates,iproute2"
    base = ["mmdebstrap", "--variant=minbase", include, codename, str(folder / "root.tar")]
    subprocess.run(base, check=True, timeout=1200, capture_output=True)
    unpack(folder / "root.tar", folder / "root")
    subprocess.run(
        ["bash", ROOT / "deploy" / "bundle", folder / "root.bundle"], check=True, timeout=1800, capture_output=True
    )
    return Fresh(folder / "root")


def unpack(image: Path, root: Path) -> None:
    root.mkdir()
    subprocess.run(["tar", "-C", root, "--exclude=./dev/*", "-xf", image], check=True, timeout=300)


def test_a_county_server_through_its_life(fresh: Fresh) -> None:
    installed = f"{INSTALL} install --bundle /bundle --no-start"
    # Installed without a route, and again: nothing changes.
    fresh(f"{installed} --config /bundle/source/config --name monitor.example")
    first = fresh(MANIFEST)
    fresh(installed)
    assert fresh(MANIFEST) == first
    said = fresh(f"{INSTALL} check")
    assert "NO " not in said
    assert "ok  nginx" in said
    unit = "/etc/systemd/system/zhdj-monitor.service"
    rated = fresh(f"systemd-analyze security --offline=yes --no-pager {unit} | tail -1")
    assert float(re.findall(r"([\d.]+) OK", rated)[0]) <= 1.5

    # Backed up, and the backup is good.
    backup = "/opt/zhdj-monitor/current/deploy/backup/zhdj-backup"
    cluster = "read -r v n _ <<< $(pg_lsclusters --no-header); pg_ctlcluster $v $n start\n"
    cluster += "trap 'pg_ctlcluster $v $n stop' EXIT\n"
    assert "restored and verified" in fresh(f"{cluster} {backup} nightly; {backup} test")

    # A release with newer tables, and back: the older program with the database that it knows.
    fresh(f"{cluster} {NEWER} bash /root/newer/deploy/install upgrade --bundle /bundle --no-start")
    before = fresh("cat /opt/zhdj-monitor/previous").strip()
    assert "the tables are newer" in fresh("bash /opt/zhdj-monitor/current/deploy/install rollback --no-start")
    assert before in fresh("readlink /opt/zhdj-monitor/current")
    fresh(f"{cluster} zhdj-monitor verify --config /etc/zhdj-monitor")

    # An empty machine, and everything out of the backup.
    fresh(
        f"{cluster} mv /var/backups/zhdj-monitor/zhdj-20*.zst /root/b.tar.zst; {INSTALL} uninstall;"
        "rm -rf /etc/zhdj-monitor /var/lib/zhdj-monitor; cd /;"
        "setpriv --reuid postgres --regid postgres --init-groups dropdb zhdj"
    )
    fresh(f"{installed} --from-backup /root/b.tar.zst --name monitor.example")
    fresh(f"{cluster} zhdj-monitor verify --config /etc/zhdj-monitor; {INSTALL} check")


NEWER = r"""
cp -a /bundle/source /root/newer
last=$(ls /root/newer/monitor/store/migrations/versions/0*.py | tail -1 | sed 's/.*\/\([0-9]*\)_.*/\1/')
printf 'import sqlalchemy as sa\nfrom alembic import op\nrevision = "9999"\ndown_revision = "%s"\n' $last \
    > /root/newer/monitor/store/migrations/versions/9999_newer.py
printf 'branch_labels = None\ndepends_on = None\n\ndef upgrade():\n    %s\n' \
    'op.create_table("newer", sa.Column("x", sa.Integer))' \
    >> /root/newer/monitor/store/migrations/versions/9999_newer.py
"""


#: What does not hold on a machine in a namespace: nobody tells it the time.
NO_CLOCK = "the clock is synchronised"


def failing(machine: Machine) -> list[str]:
    """What `check` says does not hold."""
    said = machine(f"{CURRENT} check || true")
    assert "ok  ready" in said
    return re.findall("^NO  (.*)$", said, re.MULTILINE)


CURRENT = "/opt/zhdj-monitor/current/deploy/install"


def test_a_machine_that_runs(fresh: Fresh) -> None:
    """Units with their hardening, TLS, backups by their timers' units, an upgrade broken off and gone on with."""
    root = fresh.root.with_name("runs")
    unpack(fresh.root.with_name("root.tar"), root)
    root.with_name("runs.bundle").symlink_to(fresh.root.with_name("root.bundle"))
    (root / "newer.sh").write_text(f"cd / && {NEWER}")
    with booted(root) as machine:
        # A power cut while Debian's packages are unpacked; the next run goes on, and starts everything.
        first = f"{INSTALL} install --bundle /bundle --config /bundle/source/config --name monitor.example"
        cut = machine.start(f"exec {first}")
        time.sleep(10)
        os.killpg(cut.pid, signal.SIGKILL)
        cut.communicate()
        machine("systemctl kill --signal=KILL apt-daily.service || true; sleep 1")
        assert "installed: " in machine(first)
        assert not (root / "usr/sbin/policy-rc.d").exists()
        assert set(failing(machine)) == {NO_CLOCK, "backup: one of the last 26 hours"}
        machine("systemctl start zhdj-backup.service; systemctl start zhdj-restore-test.service")
        assert failing(machine) == [NO_CLOCK]

        # What the handbook says works: a kit with the authority, and its agent over TLS to mosquitto.
        machine("echo 127.0.0.1 monitor.example >>/etc/hosts")
        machine(
            "zhdj-monitor token kit --config /etc/zhdj-monitor --out /tmp/kit --site 511723101 --contact x"
            " --url https://monitor.example --ca /etc/zhdj-monitor/tls/ca.pem"
            " --mqtt-host monitor.example --mqtt-port 8883"
        )
        agent = "cd /tmp/kit/511723101/pc; timeout 15 /opt/zhdj-monitor/current/venv/bin/python zhdj-agent.pyz"
        machine(f"until grep -q 511723101/pc /etc/mosquitto/zhdj/passwords; do sleep 1; done; sleep 2; {agent} || true")
        told = machine("curl -fsS localhost:8080/metrics")
        assert re.search(r'zhdj_heartbeats_received_total\{via="mqtt"\} [1-9]', told)

        # Ctrl-C in the middle of an upgrade, after the stop: said, and gone on with.
        machine("bash /newer.sh")
        before = os.readlink(root / "opt/zhdj-monitor/current")
        upgrade = machine.start("exec bash /root/newer/deploy/install upgrade --bundle /bundle")
        while os.readlink(root / "opt/zhdj-monitor/current") == before:
            assert upgrade.poll() is None
            time.sleep(0.01)
        os.killpg(upgrade.pid, signal.SIGINT)
        assert "the upgrade did not come to its end" in upgrade.communicate(timeout=60)[1]
        assert "installed: " in machine("bash /root/newer/deploy/install upgrade --bundle /bundle")
        assert failing(machine) == [NO_CLOCK]
        assert "the tables are newer" in machine(f"{CURRENT} rollback")
        assert os.readlink(root / "opt/zhdj-monitor/current") == before
        machine("zhdj-monitor verify --config /etc/zhdj-monitor")
        assert failing(machine) == [NO_CLOCK]
