# shellcheck shell=bash
# `deploy/install check`: every file that was laid is accepted by the program that reads it; and, on a machine that runs,
# what an administrator would look at. Exit status 1 where something does not hold.

check() {
    BAD=0
    remember
    check_files
    check_machine
    if starting; then check_running; else say '--  services: nothing is started here'; fi
    [ "$BAD" -eq 0 ] || { say "$BAD of these do not hold"; exit 1; }
}

# holds WHAT COMMAND...: says so, and why not.
holds() {
    local what=$1 said
    shift
    if said=$("$@" 2>&1); then
        say "ok  $what"
    else
        BAD=$((BAD + 1))
        say "NO  $what"
        printf '%s\n' "$said" | tail -n 5 | sed 's/^/      /'
    fi
}

check_files() {
    holds 'monitor.toml and tables' zhdj-monitor check-config --config $ETC
    holds 'Prometheus: configuration and rules' promtool check config /etc/prometheus/zhdj/prometheus.yml
    if [ -e /etc/prometheus/zhdj/alertmanager/alertmanager.yml ]; then
        holds 'Alertmanager: configuration' amtool check-config /etc/prometheus/zhdj/alertmanager/alertmanager.yml
    fi
    holds 'nginx: configuration' nginx -t
    holds 'mosquitto: configuration' mosquitto_takes /etc/mosquitto/conf.d/zhdj.conf /etc/mosquitto/conf.d/zhdj-tls.conf
    holds 'systemd: units' units_hold
    holds 'logrotate: configuration' logrotate --debug /etc/logrotate.d/zhdj-monitor
    holds 'files are as they were laid' placed_hold
}

# mosquitto 2.0 has no option for it: it is started on sockets of no network and must not end by itself.
mosquitto_takes() {
    local scratch status=0
    scratch=$(mktemp -d)
    cat "$@" | sed "s|^listener .*|listener 0 $scratch/@|" | awk '{gsub("@$", "s" NR)} 1' >"$scratch/conf"
    printf 'persistence_location %s/\nuser %s\n' "$scratch" "$(known_user mosquitto)" >>"$scratch/conf"
    chmod 0755 "$scratch"
    chown "$(known_user mosquitto)" "$scratch"
    timeout 2 mosquitto -c "$scratch/conf" >"$scratch/said" 2>&1 || status=$?
    cat "$scratch/said"
    rm -rf "$scratch"
    [ $status -eq 124 ]
}

units_hold() {
    local said
    # Of our units alone; warnings about others of Debian's are not ours to mend.
    said=$(systemd-analyze verify --man=no $UNITS/zhdj-*.service $UNITS/zhdj-*.timer $UNITS/zhdj-*.path 2>&1 | grep zhdj || true)
    [ -z "$said" ] || { printf '%s\n' "$said"; return 1; }
}

placed_hold() {
    # The owners of the two files of mosquitto's TLS apart, everything is readable for root.
    sha256sum --quiet --check $PROGRAM/placed
}

check_machine() {
    holds 'secrets are readable for nobody else' secrets_hold
    holds 'certificate: good for 30 days more' openssl x509 -in $ETC/tls/server.pem -noout -checkend 2592000
    holds 'certificate and key belong together' key_fits
    holds 'disk: a tenth and 2 GB are free' disk_holds
    if ! command -v grafana-server >/dev/null; then say '--  Grafana: not installed'; fi
}

secrets_hold() {
    local file
    for file in $ETC/secrets.env $ETC/alertmanager-token $ETC/grafana-admin-password $ETC/tls/server.key /etc/mosquitto/zhdj-tls/server.key; do
        [ -s "$file" ] || { say "$file is not there"; return 1; }
        [ -z "$(find "$file" -perm /o=rwx)" ] || { say "$file: others may read it"; return 1; }
    done
}

key_fits() { [ "$(public_of x509 $ETC/tls/server.pem)" = "$(public_of key $ETC/tls/server.key)" ]; }

disk_holds() {
    df --output=avail,size -k $STATE | awk 'NR == 2 {exit !($1 > 2097152 && $1 * 10 > $2)}' || { df -h $STATE; return 1; }
}

check_running() {
    local unit
    installed grafana && OTHERS+=(grafana-server)
    for unit in "${OTHERS[@]}" "${OURS[@]}"; do holds "runs: $unit" systemctl is-active "$unit"; done
    holds 'ready: database, log, clock, channels' curl -fsS --max-time 10 http://127.0.0.1:8080/readyz
    holds 'TLS answers' curl -fsS --max-time 10 -o /dev/null --cacert "$(authority)" --connect-to "::127.0.0.1:" "https://$NAME/"
    holds 'not open to others: /metrics' metrics_closed
    holds 'ICMP without privilege' icmp_allowed
    holds 'the clock is synchronised' clock_holds
    holds 'backup: one of the last 26 hours' recent_backup
    holds 'nothing of ours failed' nothing_failed
}

authority() { if [ -e $ETC/tls/ca.pem ]; then echo $ETC/tls/ca.pem; else echo /etc/ssl/certs/ca-certificates.crt; fi; }
metrics_closed() { [ "$(curl -ks -o /dev/null -w '%{http_code}' --connect-to "::127.0.0.1:" "https://$NAME/metrics")" = 403 ]; }
icmp_allowed() { awk -v gid="$(id -g zhdj)" '{exit !($1 <= gid && gid <= $2)}' /proc/sys/net/ipv4/ping_group_range; }
# A clock that goes wrong makes every instant in the evidence wrong.
clock_holds() { [ "$(timedatectl show -p NTPSynchronized --value)" = yes ] || { chronyc tracking 2>&1; return 1; }; }
recent_backup() { [ -n "$(find $BACKUPS -maxdepth 1 -name 'zhdj-*.tar.zst' -mmin -1560 | head -n 1)" ]; }
nothing_failed() { ! systemctl --no-legend --plain list-units --state=failed 'zhdj-*' | grep .; }
