#!/usr/bin/env bash
# Programs that only tests need: looks for each and installs what is missing through apt, where this user
# may. Installs files only: no service is started, none is left enabled, no database cluster is made.
set -euo pipefail

# Debian keeps servers where an ordinary user's PATH does not look.
PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"

has_chinese_font() {
    compgen -G '/usr/share/fonts/*/noto/NotoSansCJK*' >/dev/null && return
    command -v fc-list >/dev/null && [ -n "$(fc-list :lang=zh family)" ]
}

has_postgres() {
    local PATH="$PATH" dir
    for dir in /usr/lib/postgresql/*/bin; do PATH="$PATH:$dir"; done
    { command -v initdb && command -v postgres && command -v psql && command -v pg_dump; } >/dev/null
}

# Debian's names of the packages whose programs are not there, one a line.
missing() {
    { command -v mosquitto && command -v mosquitto_passwd; } >/dev/null || echo mosquitto
    { command -v mosquitto_pub && command -v mosquitto_sub; } >/dev/null || echo mosquitto-clients
    has_postgres || echo postgresql
    { command -v prometheus && command -v promtool; } >/dev/null || echo prometheus
    { command -v prometheus-alertmanager && command -v amtool; } >/dev/null || echo prometheus-alertmanager
    command -v chromium >/dev/null || echo chromium
    has_chinese_font || echo fonts-noto-cjk
    command -v bean-check >/dev/null || echo beancount # GPL-2.0: run as a program by tests, never imported or shipped
    # LibreOffice without a screen opens the workbooks and Word files that we write; poppler looks into PDFs.
    command -v soffice >/dev/null || printf '%s\n' libreoffice-calc-nogui libreoffice-writer-nogui
    command -v pdftoppm >/dev/null || echo poppler-utils
    command -v curl >/dev/null || echo curl
    command -v nginx >/dev/null || echo nginx-light
    command -v shellcheck >/dev/null || echo shellcheck # GPL-3.0: run as a program by tests
    command -v openssl >/dev/null || echo openssl
    compgen -G '/usr/lib/*/faketime/libfaketimeMT.so.1' >/dev/null || echo faketime
    command -v ip >/dev/null || echo iproute2
    command -v snmpd >/dev/null || echo snmpd
    command -v sipp >/dev/null || echo sip-tester
}

if [ "${1:-}" != --as-root ]; then
    mapfile -t packages < <(missing)
    [ ${#packages[@]} -gt 0 ] || exit 0
    if ! command -v apt-get >/dev/null; then
        echo "tests need programs that are missing here, and there is no apt to install them: ${packages[*]} (Debian's package names)" >&2
        exit 1
    fi
    if [ "$(id -u)" -eq 0 ]; then
        bash "$0" --as-root "${packages[@]}"
    elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
        sudo -n bash "$0" --as-root "${packages[@]}"
    else
        echo "tests need packages that are missing here: apt-get install ${packages[*]}" >&2
        exit 1
    fi
    mapfile -t packages < <(missing)
    if [ ${#packages[@]} -gt 0 ]; then
        echo "installed, and still not found: ${packages[*]}" >&2
        exit 1
    fi
    exit 0
fi

shift
echo "installing for tests: $*"
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
kept=$(mktemp -d)

restore() {
    if [ -e "$kept/policy-rc.d" ]; then
        mv -f "$kept/policy-rc.d" /usr/sbin/policy-rc.d
    else
        rm -f /usr/sbin/policy-rc.d
    fi
    if [ -e "$kept/createcluster.conf" ]; then
        mv -f "$kept/createcluster.conf" /etc/postgresql-common/createcluster.conf
    fi
    rm -rf "$kept" "$log"
}

# A mirror may be away for a moment, and another apt may hold the lock.
apt() {
    local try
    for try in 1 2 3; do
        apt-get -y -q -o Acquire::Retries=3 -o DPkg::Lock::Timeout=180 -o Dpkg::Options::=--force-confold "$@" \
            >"$log" 2>&1 </dev/null && return
        [ "$try" -eq 3 ] || sleep $((try * 5))
    done
    tail -n 30 "$log" >&2
    echo "apt-get $* failed three times" >&2
    return 1
}

trap restore EXIT
trap 'exit 130' INT TERM
if [ -e /usr/sbin/policy-rc.d ]; then cp -p /usr/sbin/policy-rc.d "$kept/"; fi
# 101: "action forbidden by policy" to every start of a service.
printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
chmod 755 /usr/sbin/policy-rc.d

apt update
if [[ " $* " == *" postgresql "* ]]; then
    # Before the server, so that its installation makes no cluster.
    apt install --no-install-recommends postgresql-common
    conf=/etc/postgresql-common/createcluster.conf
    cp -p "$conf" "$kept/"
    echo 'create_main_cluster = false' >>"$conf"
fi
apt install --no-install-recommends "$@"

# What this run brought must not start at the next boot either. (A service that was there before is not in
# the list and stays as it was.)
if [ -d /run/systemd/system ]; then
    for package in "$@"; do
        case $package in
        mosquitto | postgresql | prometheus | prometheus-alertmanager | snmpd)
            systemctl disable --quiet "$package.service" || true
            ;;
        nginx-light) systemctl disable --quiet nginx.service || true ;;
        esac
    done
fi
