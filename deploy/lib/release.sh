# shellcheck shell=bash
# Releases: /opt/zhdj-monitor/releases/VERSION-CONTENT, each whole with its own environment, and `current` on one of
# them. Going back is a link, and the database as it was where the newer tables are not known to the older program.

PARTS=(monitor deploy dashboards docs config pyproject.toml requirements.lock README.md CHANGELOG.md LICENSE)

# VERSION and eight digits of what its files are: two builds of one version are two releases.
release_id() {
    local version
    # Called out of a release that is installed: that one.
    if [ -e "$SOURCE/complete" ]; then
        basename "$SOURCE"
        return
    fi
    version=$(sed -n 's/^version = "\(.*\)"$/\1/p' "$SOURCE/pyproject.toml" | head -n 1)
    [ -n "$version" ] || fail "$SOURCE is no source of zhdj-monitor"
    printf '%s-%s\n' "$version" "$(cd "$SOURCE" && source_files | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum | cut -c1-8)"
}

source_files() {
    # deploy/compose is what compose-setup made here: passwords.
    find "${PARTS[@]}" -type f ! -path '*/__pycache__/*' ! -name '*.pyc' ! -path 'deploy/compose/*' -print0
}

current_release() { basename "$(readlink "$ROOT$PROGRAM/current" 2>/dev/null)" 2>/dev/null || true; }

build_release() {
    local target=$ROOT$PROGRAM/releases/$1 source
    [ -e "$target/complete" ] && return
    rm -rf "$target"
    mkdir -p "$target"
    (cd "$SOURCE" && source_files | tar --null --files-from=- --create --owner=0 --group=0 --mode='u=rwX,go=rX') |
        tar -C "$target" --extract --no-same-permissions
    if ! staged; then
        say "building $1"
        local fetch=()
        [ -z "$BUNDLE" ] || fetch=(--no-index --find-links "$BUNDLE/wheels")
        python3 -m venv "$target/venv"
        pip_ "$target" install --require-hashes "${fetch[@]}" -r "$target/requirements.lock"
        # From a copy: what a build leaves behind belongs to no release.
        source=$(mktemp -d)
        cp -a "$target/." "$source" && rm -rf "$source/venv"
        pip_ "$target" install --no-deps --no-build-isolation --no-index "$source"
        rm -rf "$source"
        "$target/venv/bin/zhdj-monitor" --help >/dev/null || fail "the program does not run"
    fi
    rm -rf "$target/monitor"
    touch "$target/complete"
}

pip_() {
    local target=$1
    shift
    "$target/venv/bin/python" -m pip --disable-pip-version-check --no-input --quiet "$@" || fail "pip: see above"
}

switch_to() {
    ln -sfn "releases/$1" "$ROOT$PROGRAM/current.new"
    mv -fT "$ROOT$PROGRAM/current.new" "$ROOT$PROGRAM/current"
}

# --- Upgrade and rollback ---------------------------------------------------------------------------------------------

backup_before() {
    local file
    trap - EXIT
    file=$BACKUPS/before-$1-$(date -u +%Y%m%dT%H%M%SZ).tar.zst
    say "backup: $file"
    database_up
    /usr/local/bin/zhdj-monitor db backup "$file" --config $ETC >/dev/null || {
        database_down
        start_service
        fail "the backup failed; nothing was changed"
    }
    trap half_way EXIT
    printf '%s\n' "$file" >"$PROGRAM/backup-before"
}

# Does a release's program know the tables that the database has?
knows_tables() {
    zhdj_python "$1" - <<'PYTHON'
import asyncio, sys
from pathlib import Path
from monitor.settings import load_settings
from monitor.store.snapshot import known_revisions, revision_of

url = load_settings(Path("/etc/zhdj-monitor")).database.url.get_secret_value()
sys.exit(0 if asyncio.run(revision_of(url)) in known_revisions() else 3)
PYTHON
}

zhdj_python() {
    local release=$1
    shift
    ZHDJ_EXEC=$PROGRAM/releases/$release/venv/bin/python /usr/local/bin/zhdj-monitor "$@"
}

rollback() {
    remember
    local now before backup='' known=0 evidence aside
    now=$(current_release)
    before=$(cat "$PROGRAM/previous" 2>/dev/null || true)
    [ -n "$before" ] && [ -e "$PROGRAM/releases/$before/complete" ] || fail "there is no release to go back to"
    stop_service
    database_up
    # What it is told has to be its own, too.
    environment_of "$PROGRAM/releases/$before/deploy"
    switch_to "$before"
    knows_tables "$before" || known=$?
    if [ $known -eq 3 ]; then
        backup=$(cat "$PROGRAM/backup-before" 2>/dev/null || true)
        [ -e "${backup:-/nonexistent}" ] ||
            give_up "$now" "$before does not know the database's tables, and the backup from before is gone"
    elif [ $known -ne 0 ]; then
        give_up "$now" "$before could not look at the database"
    fi
    if [ -n "$backup" ]; then
        say "the tables are newer than $before: restoring $backup; what is there is put aside, not deleted"
        /usr/local/bin/zhdj-monitor db restore "$backup" --config $ETC --force >/dev/null ||
            give_up "$now" "the backup could not be restored"
        # The log went on after the backup: what came in since is evidence, and the database is brought up from it.
        evidence=$STATE/evidence
        aside=$(find $STATE -maxdepth 1 -name 'evidence.before_restore_*' | sort | tail -n 1)
        if [ -n "$aside" ]; then
            mv "$evidence" "$evidence.of_the_backup_${aside##*_}"
            mv "$aside" "$evidence"
        fi
        say "what people did since then (tokens, orders, the ledger) is in the schema that was put aside; see docs/install.md"
    fi
    printf '%s\n' "$now" >"$PROGRAM/previous"
    # Its own installer lays its own files.
    "$PROGRAM/current/deploy/install" relay || fail "the files of $before could not be laid"
    say "current: $before (before: $now)"
}

give_up() {
    environment_of "$PROGRAM/releases/$1/deploy"
    switch_to "$1"
    start_service
    fail "$2; $1 is current again"
}

# What rollback asks of the older release's installer.
relay() {
    remember
    allowed
    everything_in_place
    start_all
}

# --- The offline bundle -----------------------------------------------------------------------------------------------

verify_bundle() {
    [ -n "$BUNDLE" ] || return 0
    [ -e "$BUNDLE/SHA256SUMS" ] || fail "$BUNDLE has no SHA256SUMS: it is no bundle"
    (cd "$BUNDLE" && sha256sum --quiet --strict --check SHA256SUMS) || fail "$BUNDLE is damaged"
    local here
    case $BUNDLE in *[[:space:]]*) fail "--bundle: no spaces in its path, please: '$BUNDLE'" ;; esac
    here=$(. /etc/os-release && printf '%s %s %s' "$ID" "$VERSION_ID" "$(dpkg --print-architecture)")
    [ "$(cat "$BUNDLE/FOR")" = "$here" ] || fail "the bundle is for $(cat "$BUNDLE/FOR"), this is $here"
}
