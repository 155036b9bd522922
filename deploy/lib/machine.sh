# shellcheck shell=bash
# The machine: Debian's packages, users, PostgreSQL's database, services.

# What it stands on; deploy/bundle fetches the same. Grafana is not Debian's: its .deb goes into the bundle's grafana/.
PACKAGES=(
    python3 python3-venv ca-certificates openssl curl postgresql postgresql-client mosquitto prometheus
    prometheus-alertmanager nginx-light chrony logrotate rsync openssh-client util-linux procps
)
# What Grafana's .deb needs of Debian's: in every bundle, because that .deb may be put there later.
# shellcheck disable=SC2034  # deploy/bundle reads it
GRAFANA_NEEDS=(adduser libfontconfig1 musl)

allowed() {
    [ "$(id -u)" -eq 0 ] || fail "run it as root"
    command -v apt-get >/dev/null || fail "Debian or Ubuntu is needed: there is no apt-get here"
}

# 101: "action forbidden by policy". Debian's packages would start with configurations of their own.
forbid_starts() {
    # One of somebody else's is left alone; one of ours that a power cut left behind is not.
    [ -e /usr/sbin/policy-rc.d ] && ! grep -q 'deploy/install' /usr/sbin/policy-rc.d && return
    printf '#!/bin/sh\n# of deploy/install, while it works\nexit 101\n' >/usr/sbin/policy-rc.d
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

# A release takes 300 MB, what is fetched as much; a backup about as much as the last one.
room() { # RELEASE
    local folder last=0 newest
    [ ! -e "$PROGRAM/releases/$1/complete" ] || return 0
    newest=$(find $BACKUPS -maxdepth 1 -name '*.tar.zst' -printf '%T@ %s\n' 2>/dev/null | sort -n | tail -n 1 | cut -d' ' -f2 || true)
    [ -z "$newest" ] || last=$((newest / 1024 * 3 / 2))
    for folder in $PROGRAM $STATE $BACKUPS; do
        while [ ! -d "$folder" ]; do folder=$(dirname "$folder"); done
        if [ "$(df --output=avail -k "$folder" | tail -n 1)" -lt $((1000000 + last)) ]; then
            df -h "$folder" >&2
            fail "$folder: less than $(((1000000 + last) / 1000)) MB are free; nothing was changed"
        fi
    done
}

# What would stop working, or keep us from working, on a machine that serves others already.
nobody_in_the_way() {
    local file pair port name who
    for file in /etc/mosquitto/mosquitto.conf /etc/mosquitto/conf.d/*.conf; do
        [ -e "$file" ] || continue
        case $file in /etc/mosquitto/conf.d/zhdj.conf | /etc/mosquitto/conf.d/zhdj-tls.conf) continue ;; esac
        if grep -nE '^[[:space:]]*(listener[[:space:]]+(1883|8883)|port|per_listener_settings|allow_anonymous|password_file|acl_file)\b' "$file" >&2; then
            fail "$file: mosquitto serves somebody else on this machine; the county's terminals need a broker of their own"
        fi
    done
    command -v ss >/dev/null || return 0
    for pair in 80:nginx 443:nginx 1883:mosquitto 8883:mosquitto 8080:zhdj-monitor 9090:prometheus 9093:prometheus-aler; do
        port=${pair%%:*} name=${pair#*:}
        who=$(ss -Hltnp "sport = :$port" 2>/dev/null | sed -n 's/.*users:(("\([^"]*\)".*/\1/p' | sort -u | head -n 1 || true)
        case $who in '' | "$name"*) ;; *) fail "port $port is taken by $who; it is $name's here" ;; esac
    done
    file=/etc/prometheus/prometheus.yml
    if [ -e $file ] && [ ! -e $UNITS/prometheus.service.d/zhdj.conf ] && ! as_packaged prometheus $file; then
        say "note: Prometheus will read /etc/prometheus/zhdj/prometheus.yml from now on, and no longer $file, which stays"
    fi
}

as_packaged() { # PACKAGE FILE: is it as its package laid it?
    [ "$(dpkg-query -W -f '${Conffiles}\n' "$1" 2>/dev/null | awk -v f="$2" '$1 == f {print $2}')" = "$(md5sum "$2" | cut -d' ' -f1)" ]
}

packages() {
    local missing=() name deb
    for name in "${PACKAGES[@]}"; do installed "$name" || missing+=("$name"); done
    for deb in "${BUNDLE:-/nonexistent}"/grafana/*.deb; do
        [ ! -e "$deb" ] || installed grafana || missing+=("$deb") # by apt, which knows what it needs
    done
    if [ ${#missing[@]} -gt 0 ]; then
        say "installing packages: ${missing[*]}"
        forbid_starts
        # What an earlier run, ended in the middle, left half installed.
        DEBIAN_FRONTEND=noninteractive dpkg --force-confold --configure -a >/dev/null </dev/null || fail "dpkg: see above"
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
        pg_ctlcluster "$version" "$name" start 9>&-
        STARTED="$version $name"
        [ "$(trap -p EXIT)" ] || trap database_down EXIT
    fi
}

STARTED=''
database_down() {
    # shellcheck disable=SC2086  # two words
    [ -z "$STARTED" ] || pg_ctlcluster $STARTED stop
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
    local copy=$STATE/.from-backup.tar.zst config=$STATE/.from-backup said again=()
    # A restore that was broken off: what it left is put aside, not deleted.
    if [ -e $copy ]; then again=(--force); fi
    rm -rf $config
    install -o zhdj -g zhdj -m 0600 "$BACKUP" $copy
    said=$(/usr/local/bin/zhdj-monitor db restore $copy --config $config "${again[@]}" 2>&1) || {
        rm -f $copy
        fail "$BACKUP could not be restored: $said"
    }
    # monitor.toml last: with it the county's configuration is there.
    own_templates $config
    find $config -maxdepth 1 -type f ! -name monitor.toml -exec install -o root -g zhdj -m 0640 -t $ETC {} +
    install -o root -g zhdj -m 0640 -t $ETC $config/monitor.toml
    rm -rf $copy $config
}

# --- Services ---------------------------------------------------------------------------------------------------------

OURS=(zhdj-monitor.service zhdj-mosquitto-reload.path zhdj-backup.timer zhdj-restore-test.timer)
OTHERS=(postgresql mosquitto prometheus prometheus-alertmanager nginx chrony)

enable() { # in a chroot too: links only
    systemctl enable --quiet "$@" 2>/dev/null || true
}

# 1 where anything does not run afterwards; every unit that does not is named.
start_all() {
    installed grafana && OTHERS+=(grafana-server)
    enable "${OTHERS[@]}" "${OURS[@]}"
    starting || return 0
    local unit status=0
    systemctl daemon-reload
    sysctl -q -p /etc/sysctl.d/60-zhdj-monitor.conf || true
    systemctl try-restart systemd-journald || true
    systemctl start "${OTHERS[@]}" || true
    # Also where the run that laid them was ended before this.
    if [ -e $PROGRAM/changed ]; then
        systemctl restart "${OTHERS[@]/postgresql/chrony}" zhdj-monitor.service || true
        rm -f $PROGRAM/changed
    fi
    systemctl start "${OURS[@]}" || true
    wait_ready || status=1
    for unit in "${OTHERS[@]}" "${OURS[@]}"; do
        systemctl -q is-active "$unit" && continue
        status=1
        say "does not run: $unit (journalctl -u $unit -n 20)" >&2
        [ "$unit" != nginx ] || nginx_of_others
    done
    return $status
}

# What others serve here must not stop with ours.
nginx_of_others() {
    rm -f /etc/nginx/sites-enabled/zhdj-monitor.conf
    say "nginx: zhdj-monitor.conf does not go with what others put there and was taken out of sites-enabled; the next run lays it again" >&2
    nginx -t -q && systemctl restart nginx || say "nginx: theirs alone does not run either" >&2
}

start_service() { if starting; then systemctl start zhdj-monitor.service zhdj-mosquitto-reload.path; fi; }
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
