"""The installer in a fresh Debian root without a network: long, and only where such a root can be made.

A bundle is made where there is a network; then a root of Debian's is installed into from it, in a network namespace of
its own without a route. What systemd would do there it cannot: units are checked, not run.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
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


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Fresh:
    if os.geteuid() != 0 or not shutil.which("mmdebstrap"):
        pytest.skip("a Debian root needs root and mmdebstrap")
    if subprocess.run(["unshare", "-m", "-n", "true"], capture_output=True).returncode:
        pytest.skip("no namespaces here")
    folder = tmp_path_factory.mktemp("machine")
    folder.chmod(0o755)
    codename = re.findall(r"VERSION_CODENAME=(\w+)", Path("/etc/os-release").read_text())[0]
    include = "--include=systemd,python3,ca-certificates"
    base = ["mmdebstrap", "--variant=minbase", include, codename, str(folder / "root.tar")]
    subprocess.run(base, check=True, timeout=1200, capture_output=True)
    (folder / "root").mkdir()
    subprocess.run(
        ["tar", "-C", folder / "root", "--exclude=./dev/*", "-xf", folder / "root.tar"], check=True, timeout=300
    )
    subprocess.run(
        ["bash", ROOT / "deploy" / "bundle", folder / "root.bundle"], check=True, timeout=1800, capture_output=True
    )
    return Fresh(folder / "root")


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
