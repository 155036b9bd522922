# shellcheck shell=bash
# The machine: Debian's packages, users, PostgreSQL's database, services.

# What it stands on; deploy/bundle fetches the same. GRAFANA is not Debian's: its .deb goes into the bundle's grafana/.
PACKAGES=(
    python3 python3-venv ca-certificates openssl curl postgresql postgresql-client mosquitto prometheus
    prometheus-alertmanager nginx-light chrony logrotate rsync openssh-client util-linux procps
)

allowed() {
    [ "$(id -u)" -eq 0 ] || fail "run it as root"
    command -v apt-get >/dev/null || fail "Debian or Ubuntu is needed: there is no apt-get here"
}

# 101: "action forbidden by policy". Debian's packages would start with configurations of their own.
forbid_starts() {
    [ -e /usr/sbin/policy-rc.d ] && return
    printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
    chmod 755 /usr/sbin/policy-rc.d
    trap 'rm -f /usr/sbin/policy-rc.d' EXIT
}
allow_starts() {
    [ "$(trap -p EXIT)" ] || return 0
    rm -f /usr/sbin/policy-rc.d
    trap - EXIT
}

# apt, from the bundle alone where there is one: its folder of packages is a repository of its own for this call.
apt_() {
    local options=(-y -q -o DPkg::Lock::Timeout=300 -o Dpkg::Options::=--force-confold -o APT::Install-Recommends=false)
    if [ -n "$BUNDLE" ]; then
        options+=(-o "Dir::Etc::SourceList=$APT/sources.list" -o Dir::Etc::SourceParts=- -o "Dir::State::Lists=$APT/lists"
            -o "Dir::Cache=$APT/cache" -o APT::Sandbox::User=root)
    fi
    DEBIAN_FRONTEND=noninteractive apt-get "${options[@]}" "$@" </dev/null
}

installed() { [ "$(dpkg-query -W -f '${db:Status-Abbrev}' "$1" 2>/dev/null)" = 'ii ' ]; }

packages() {
    local missing=() name deb
    for name in "${PACKAGES[@]}"; do installed "$name" || missing+=("$name"); done
    if [ ${#missing[@]} -gt 0 ]; then
        say "installing packages: ${missing[*]}"
        forbid_starts
        if [ -n "$BUNDLE" ]; then
            APT=$(mktemp -d)
            mkdir -p "$APT/lists/partial" "$APT/cache/archives/partial"
            # Held against SHA256SUMS before (verify_bundle).
            printf 'deb [trusted=yes] file:%s/debs ./\n' "$BUNDLE" >"$APT/sources.list"
        fi
        apt_ update >/dev/null
        apt_ install "${missing[@]}" >"${TMPDIR:-/tmp}/zhdj-apt.log" 2>&1 || {
            tail -n 30 "${TMPDIR:-/tmp}/zhdj-apt.log" >&2
            fail "apt-get could not install: ${missing[*]}"
        }
        [ -z "$BUNDLE" ] || rm -rf "$APT"
        allow_starts
    fi
    for deb in "${BUNDLE:-/nonexistent}"/grafana/*.deb; do
        [ -e "$deb" ] || continue
        installed grafana && continue
        forbid_starts
        dpkg -i "$deb" >/dev/null || fail "$deb could not be installed"
        allow_starts
    done
    python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        fail "Python 3.11 or newer is needed (Debian 12, Ubuntu 24.04 or newer), found $(python3 --version)"
}

users() {
    getent group zhdj >/dev/null || groupadd --system zhdj
    id -u zhdj >/dev/null 2>&1 ||
        useradd --system --gid zhdj --home-dir $STATE --no-create-home --shell /usr/sbin/nologin zhdj
}

# --- PostgreSQL: over its socket, as whom one is. There is no password that could be lost. ----------------------------

as_postgres() { (cd / && setpriv --reuid postgres --regid postgres --init-groups "$@"); }

cluster() { pg_lsclusters --no-header | awk 'NR == 1 {print $1, $2, $4}'; }

# Where nothing may be started it runs for as long as this command.
database_up() {
    local version name status
    read -r version name status <<<"$(cluster)"
    [ -n "${version:-}" ] || fail "PostgreSQL has no cluster: pg_createcluster VERSION main"
    [ "$status" = online ] && return
    if starting; then
        systemctl start "postgresql@$version-$name"
    else
        pg_ctlcluster "$version" "$name" start
        # shellcheck disable=SC2064  # meant now
        trap "pg_ctlcluster $version $name stop" EXIT
    fi
}

database() {
    database_up
    [ "$(as_postgres psql -XAtqc "select 1 from pg_roles where rolname = 'zhdj'")" = 1 ] ||
        as_postgres psql -Xqc 'create role zhdj login' >/dev/null
    [ "$(as_postgres psql -XAtqc "select 1 from pg_database where datname = 'zhdj'")" = 1 ] ||
        as_postgres createdb --owner=zhdj --encoding=UTF8 --locale=C.UTF-8 --template=template0 zhdj
}

tables() {
    /usr/local/bin/zhdj-monitor db upgrade --config $ETC || fail "the database could not be brought to this version's tables"
}

# Everything out of a backup, on a machine where nothing is yet (`db restore` refuses where something is).
from_backup() {
    local copy=$STATE/.from-backup.tar.zst config=$STATE/.from-backup
    [ ! -e $ETC/monitor.toml ] || fail "$ETC/monitor.toml is there: this machine is not empty (docs/backup.md, Restore)"
    install -o zhdj -g zhdj -m 0600 "$BACKUP" $copy
    /usr/local/bin/zhdj-monitor db restore $copy --config $config || { rm -f $copy; fail "$BACKUP could not be restored"; }
    install -o root -g zhdj -m 0640 -t $ETC $config/*
    rm -rf $copy $config
}

# --- Services ---------------------------------------------------------------------------------------------------------

OURS=(zhdj-monitor.service zhdj-mosquitto-reload.path zhdj-backup.timer zhdj-restore-test.timer)
OTHERS=(postgresql mosquitto prometheus prometheus-alertmanager nginx chrony)

enable() { # in a chroot too: links only
    systemctl enable --quiet "$@" 2>/dev/null || true
}

start_all() {
    installed grafana && OTHERS+=(grafana-server)
    enable "${OTHERS[@]}" "${OURS[@]}"
    starting || return 0
    systemctl daemon-reload
    sysctl -q -p /etc/sysctl.d/60-zhdj-monitor.conf
    systemctl try-restart systemd-journald || true
    systemctl start "${OTHERS[@]}"
    if [ "$CHANGED" = yes ]; then systemctl restart "${OTHERS[@]/postgresql/chrony}" zhdj-monitor.service; fi
    systemctl start "${OURS[@]}"
    wait_ready
}

stop_service() { starting && systemctl stop zhdj-monitor.service zhdj-mosquitto-reload.path; true; }

# systemd says when it is up (Type=notify); /readyz, whether it can do its job.
wait_ready() {
    local _
    for _ in $(seq 60); do
        curl -fsS -o /dev/null --max-time 5 http://127.0.0.1:8080/readyz 2>/dev/null && return
        sleep 2
    done
    say "the service is not ready after two minutes: journalctl -u zhdj-monitor -n 50" >&2
    return 1
}

next_steps() {
    cat <<TEXT
next:
  zhdj-monitor user add NAME --role admin --config $ETC      the first person, an administrator
  zhdj-monitor token kit --config $ETC --out kit --url https://$NAME --ca $ETC/tls/ca.pem --contact '...'
  deploy/install check
TEXT
    [ -n "$BACKUP_TO" ] || say "  the nightly backup stays on this machine: deploy/install install --backup-to PLACE"
    installed grafana || say "  Grafana is not installed (it is not Debian's): put its .deb into the bundle's grafana/, or install it and run this again"
}
