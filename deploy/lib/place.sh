# shellcheck shell=bash
# Files: what of deploy/ goes where. Everything here is made of the shipped files and install.conf alone, so a second
# run lays the same bytes. What somebody else wrote in a place of ours is kept below /var/backups/zhdj-monitor/etc.

PLACED=$PROGRAM/placed # the files that are ours, with their hashes: what uninstall takes away
LAID=()

# owner:group, where there are such users (in a staged tree there are none).
own() {
    staged || chown "$1" "$2"
}

# put MODE OWNER:GROUP TARGET < text
put() {
    local mode=$1 owner=$2 target=$ROOT$3 new
    mkdir -p "$(dirname "$target")"
    # Programs that read whole folders (logrotate) leave this ending out, should we be ended here.
    new=$(mktemp "$target.XXXXXX.dpkg-new")
    sed -e "s|@NAME@|$NAME|g" -e "s|@NTP@|$NTP|g" -e "s|@BACKUP_TO@|$BACKUP_TO|g" >"$new" || {
        rm -f "$new"
        fail "$target could not be written"
    }
    chmod "$mode" "$new"
    own "$owner" "$new"
    if [ -e "$target" ] && cmp -s "$new" "$target"; then
        chmod "$mode" "$target"
        own "$owner" "$target"
        rm -f "$new"
    else
        keep_theirs "$3"
        staged || : >"$PROGRAM/changed"
        mv -f "$new" "$target"
    fi
    LAID+=("$3")
}

# After everything was laid: the list, and away with what an earlier release laid and this one does not.
note_placed() {
    local list=$ROOT$PLACED sum file
    printf '%s\n' "${LAID[@]}" | sort -u >"$list.names"
    if [ -e "$list" ]; then
        while read -r sum file; do
            grep -qxF "$file" "$list.names" && continue
            if [ "$(sha256sum "$ROOT$file" 2>/dev/null | cut -d' ' -f1)" = "$sum" ]; then rm -f "$ROOT$file"; fi
        done <"$list"
    fi
    # Paths as the machine sees them, also in a staged tree.
    sed "s|^|$ROOT|" "$list.names" | xargs -d '\n' sha256sum | sed "s|  $ROOT/|  /|" >"$list.new"
    rm -f "$list.names"
    mv -f "$list.new" "$list"
}

# A file that is there and is not as we left it was written by somebody.
keep_theirs() {
    local file=$ROOT$1 kept
    [ -e "$file" ] || return 0
    grep -qs "^$(sha256sum "$file" | cut -d' ' -f1)  $1\$" "$ROOT$PLACED" && return 0
    kept=$ROOT$BACKUPS/etc$1.$(date -u +%Y%m%dT%H%M%SZ)
    mkdir -p "$(dirname "$kept")"
    chmod 0700 "$ROOT$BACKUPS/etc"
    cp -p "$file" "$kept"
    say "kept what stood in $1: $kept"
}

put_file() { # MODE OWNER SOURCE TARGET
    put "$1" "$2" "$4" <"$3"
}

folder() { # MODE OWNER FOLDER
    mkdir -p "$ROOT$3"
    own "$2" "$ROOT$3"
    chmod "$1" "$ROOT$3"
}

folders() {
    # Others may pass through to the file that is theirs (Alertmanager's token), and list nothing.
    folder 0751 root:zhdj $ETC
    # The service may read the authority (token kit --ca); keys are for root alone.
    folder 0750 root:zhdj $ETC/tls
    folder 0750 zhdj:zhdj $STATE
    folder 0750 zhdj:zhdj $BACKUPS
    folder 0750 root:adm /var/log/zhdj-monitor
    folder 2750 zhdj:mosquitto /etc/mosquitto/zhdj
    folder 0750 root:mosquitto /etc/mosquitto/zhdj-tls
}

# --- The county's own: laid once, never again -------------------------------------------------------------------------

first_time_config() {
    if [ -e "$ROOT$ETC/monitor.toml" ]; then
        [ -z "$BACKUP" ] || fail "$ETC/monitor.toml is there: this machine is not empty (docs/backup.md, Restore). To go on with" \
            "an installation that was broken off, leave --from-backup out"
        return 0
    fi
    [ -z "$BACKUP" ] || { [ -f "$BACKUP" ] && return; fail "$BACKUP: no such file"; }
    [ -n "$CONFIG" ] || fail "the first time --config DIR is needed: the county's monitor.toml and tables (config/ is a sample)"
    [ -f "$CONFIG/monitor.toml" ] || fail "$CONFIG has no monitor.toml"
}

county_config() {
    local file
    if [ -e "$ROOT$ETC/monitor.toml" ]; then
        [ -z "$CONFIG" ] || say "the county's configuration is in $ETC already: $CONFIG was not read"
        return 0
    fi
    [ -z "$BACKUP" ] || return 0
    for file in "$CONFIG"/*.csv "$CONFIG"/*.xlsx "$CONFIG"/monitor.toml; do
        [ -f "$file" ] || continue
        install -m 0640 "$file" "$ROOT$ETC/"
        own root:zhdj "$ROOT$ETC/$(basename "$file")"
    done
    own_templates "$CONFIG"
}

# own_templates DIR: the county's own templates of the year's documents, where it has any.
own_templates() {
    local file
    for file in "$1"/reports/*.toml; do
        [ -f "$file" ] || continue
        folder 0750 root:zhdj $ETC/reports
        install -m 0640 "$file" "$ROOT$ETC/reports/"
        own root:zhdj "$ROOT$ETC/reports/$(basename "$file")"
    done
}

# --- Ours -------------------------------------------------------------------------------------------------------------

place_all() {
    local from=$ROOT$PROGRAM/current/deploy file name
    put 0644 root:root $ETC/install.conf < <(printf 'NAME=%s\nBACKUP_TO=%s\nNTP=%s\n' "$NAME" "$BACKUP_TO" "$NTP")
    environment_of "$from"
    put_file 0755 root:root "$from/bin/zhdj-monitor" /usr/local/bin/zhdj-monitor
    put_file 0644 root:root "$from/sysctl/60-zhdj-monitor.conf" /etc/sysctl.d/60-zhdj-monitor.conf
    put_file 0644 root:root "$from/journald/zhdj-monitor.conf" /etc/systemd/journald.conf.d/zhdj-monitor.conf
    put_file 0644 root:root "$from/logrotate/zhdj-monitor" /etc/logrotate.d/zhdj-monitor
    for file in "$from"/systemd/*.service "$from"/systemd/*.timer "$from"/systemd/*.path "$from"/systemd/*.service.d/*.conf; do
        put_file 0644 root:root "$file" "$UNITS/${file#"$from"/systemd/}"
    done
    put_file 0644 root:root "$from/mosquitto/zhdj.conf" /etc/mosquitto/conf.d/zhdj.conf
    put_file 0644 root:root "$from/mosquitto/zhdj-tls.conf" /etc/mosquitto/conf.d/zhdj-tls.conf
    # A folder of our own: Debian's /etc/prometheus/prometheus.yml stays as its package left it.
    for file in "$from"/prometheus/*.yml; do
        put_file 0644 root:root "$file" "/etc/prometheus/zhdj/$(basename "$file")"
    done
    if [ -d "$from/alertmanager" ]; then
        for file in "$from"/alertmanager/*.yml "$from"/alertmanager/*.tmpl; do
            put_file 0644 root:root "$file" "/etc/prometheus/zhdj/alertmanager/$(basename "$file")"
        done
        if [ -e "$from/alertmanager/send-sms" ]; then
            put_file 0755 root:root "$from/alertmanager/send-sms" /usr/local/lib/zhdj-monitor/send-sms
        fi
    fi
    for file in "$from"/grafana/provisioning/*/*.yaml; do
        name=${file#"$from"/grafana/}
        put_file 0644 root:root "$file" "/etc/grafana/$name"
    done
    # Their links lead to the service's pages as people reach them; 127.0.0.1 would be each reader's own computer.
    for file in "$from"/../dashboards/*.json; do
        put 0644 root:root "/etc/grafana/zhdj/$(basename "$file")" < <(sed 's|http://127\.0\.0\.1:8080|https://@NAME@|g' "$file")
    done
    put_file 0644 root:root "$from/nginx/zhdj-monitor.conf" /etc/nginx/sites-available/zhdj-monitor.conf
    mkdir -p "$ROOT/etc/nginx/sites-enabled"
    ln -sfn ../sites-available/zhdj-monitor.conf "$ROOT/etc/nginx/sites-enabled/zhdj-monitor.conf"
    # Debian's page of greeting; the file itself stays in sites-available.
    if [ "$(readlink "$ROOT/etc/nginx/sites-enabled/default" || true)" = /etc/nginx/sites-available/default ]; then
        rm -f "$ROOT/etc/nginx/sites-enabled/default"
    fi
    if [ -n "$NTP" ]; then
        put 0644 root:root /etc/chrony/sources.d/zhdj.sources <<<'server @NTP@ iburst'
    fi
}

# environment_of DEPLOY: a release's own, which an older program would refuse with a key that it does not know.
environment_of() {
    put 0640 root:zhdj $ETC/service.env < <(cat "$1/service.env" && alerts_environment "$1")
}

# The service knows [alerts] where it ships Alertmanager's file.
alerts_environment() {
    [ -d "$1/alertmanager" ] || return 0
    printf 'ZHDJ_ALERTS__TOKEN_FILE=%s/alertmanager-token\n' $ETC
}

uninstall() {
    local sum file
    if starting; then
        systemctl disable --quiet --now zhdj-monitor.service zhdj-mosquitto-reload.path zhdj-backup.timer \
            zhdj-restore-test.timer || true
    fi
    if [ -e "$PLACED" ]; then
        while read -r sum file; do
            # Nothing of the county's: what it is called by and where its backups go, it may want again.
            if [ "$file" != "$ETC/install.conf" ] && [ -n "$sum" ]; then
                keep_theirs "$file"
                rm -f "$file"
            fi
        done <"$PLACED"
    fi
    rm -f /etc/nginx/sites-enabled/zhdj-monitor.conf
    rm -rf "$PROGRAM"
    if starting; then
        systemctl daemon-reload
        systemctl try-restart mosquitto prometheus prometheus-alertmanager nginx || true
    fi
    cat <<TEXT
removed: the program, its units, its configuration of other programs.
These stay, with everything that the county recorded; delete them yourself, when nobody needs them any more:
  $ETC  $STATE  $BACKUPS  /var/log/zhdj-monitor  /etc/mosquitto/zhdj  the database zhdj  the user zhdj
Debian's packages stay, too.
TEXT
}
