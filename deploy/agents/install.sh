#!/bin/sh
# Linux, as root: `sh install.sh`. With curl and systemd (or cron) beats by a timer; `sh install.sh agent`: by
# zhdj-agent.pyz, which needs python3 3.11. `sh install.sh remove` takes all of it away.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
lib=/usr/local/lib/zhdj-beat
etc=/etc/zhdj-beat
units=/etc/systemd/system

fail() {
    echo "install.sh: $1" >&2
    exit 1
}

[ "$(id -u)" = 0 ] || fail "run it as root"
how=${1:-timer}
[ -e "$here/zhdj-beat.sh" ] || [ "$how" = remove ] || how=agent

stop() {
    [ -d /run/systemd/system ] || return 0
    for unit in zhdj-agent.service zhdj-beat.timer zhdj-goodbye.service; do
        systemctl disable --now "$unit" 2>/dev/null || true
    done
}

if [ "$how" = remove ]; then
    stop
    rm -f "$units/zhdj-agent.service" "$units/zhdj-beat.service" "$units/zhdj-beat.timer" \
        "$units/zhdj-goodbye.service" /etc/cron.d/zhdj-beat
    rm -rf "$lib" "$etc" /var/lib/zhdj-beat
    exit 0
fi

if [ "$how" = agent ]; then
    python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || fail "the agent needs python3 3.11 or newer"
else
    command -v curl >/dev/null || fail "curl is missing"
fi
id zhdj-beat >/dev/null 2>&1 || useradd --system --no-create-home --shell /usr/sbin/nologin zhdj-beat
stop
mkdir -p "$lib" "$etc" /var/lib/zhdj-beat
chown zhdj-beat /var/lib/zhdj-beat
chmod 0700 /var/lib/zhdj-beat
# Only the service's user reads the token.
chown root:zhdj-beat "$etc"
chmod 0750 "$etc"
for name in token agent.toml zhdj-beat.conf ca.pem; do
    [ -e "$here/$name" ] || continue
    cp "$here/$name" "$etc/$name"
    chown root:zhdj-beat "$etc/$name"
    chmod 0640 "$etc/$name"
done
for name in zhdj-agent.pyz zhdj-beat.sh; do
    [ -e "$here/$name" ] || continue
    cp "$here/$name" "$lib/$name"
    chmod 0755 "$lib/$name"
done

if [ -d /run/systemd/system ]; then
    for unit in zhdj-agent.service zhdj-beat.service zhdj-beat.timer zhdj-goodbye.service; do
        [ ! -e "$here/$unit" ] || install -m 0644 "$here/$unit" "$units/$unit"
    done
    systemctl daemon-reload
    if [ "$how" = agent ]; then
        systemctl enable --now zhdj-agent.service
    else
        systemctl enable --now zhdj-goodbye.service zhdj-beat.timer
        systemctl start zhdj-beat.service
    fi
elif [ "$how" = timer ]; then
    install -m 0644 "$here/zhdj-beat.cron" /etc/cron.d/zhdj-beat
else
    fail "no systemd here: start $lib/zhdj-agent.pyz --config $etc/agent.toml by what there is"
fi
echo "installed: $how"
