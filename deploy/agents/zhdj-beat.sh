#!/bin/sh
# One heartbeat over HTTP, for a timer or cron: POSIX sh and curl, nothing else. `zhdj-beat.sh off`: a goodbye.
# What could not be sent waits in $STATE/pending and goes along later, with the time at which it was made.
set -u
umask 077

# shellcheck source=zhdj-beat.conf
. "${ZHDJ_BEAT_CONF:-/etc/zhdj-beat/zhdj-beat.conf}"
# With a beat that is new: the service takes 1,000 in an array.
BATCH=99

fail() {
    echo "zhdj-beat: $1" >&2
    exit 1
}

# Posts $STATE/body; prints the status, 000 where there was no answer.
post() {
    # The token reaches curl by a pipe: arguments can be read by every user. -q: no ~/.curlrc.
    {
        printf 'header = "Authorization: Bearer %s"\n' "$token"
        [ -z "$CA_FILE" ] || printf 'cacert = "%s"\n' "$CA_FILE"
    } | curl -q --config - --silent --show-error --max-time 20 --output /dev/null --write-out '%{http_code}' \
        --header 'Content-Type: application/json' --data-binary "@$STATE/body" "$URL/api/v1/heartbeats"
}

# The boot's id; empty where the system has none.
boot_id() {
    cat /proc/sys/kernel/random/boot_id 2>/dev/null ||
        sysctl -n kern.boottime 2>/dev/null | tr -dc '0-9' | cut -c 1-32
}

mkdir -p "$STATE" || fail "cannot make $STATE"
token=$(tr -d '[:space:]' < "$TOKEN_FILE")
[ -n "$token" ] || fail "no token in $TOKEN_FILE"
who="\"site\":\"$SITE\",\"terminal\":\"$TERMINAL\""

if [ "${1:-}" = off ]; then
    printf '{%s,"status":"off"}' "$who" > "$STATE/body" || fail "cannot write to $STATE"
    status=$(post)
    [ "$status" = 202 ] || fail "the goodbye was not taken: $status"
    exit 0
fi

boot=$(boot_id)
seq=0
if [ -r "$STATE/seq" ] && read -r last_boot last_seq < "$STATE/seq" && [ "$last_boot" = "${boot:-none}" ]; then
    seq=$((last_seq + 1))
fi
echo "${boot:-none} $seq" > "$STATE/seq" || fail "cannot write to $STATE"

beat="{$who,\"seq\":$seq,\"sent_at\":$(date +%s)000,\"version\":\"sh 1\""
[ -z "$boot" ] || beat="$beat,\"boot\":\"$boot\""
if [ -r /proc/uptime ] && read -r uptime _ < /proc/uptime; then
    beat="$beat,\"uptime_s\":${uptime%%.*}"
fi
beat="$beat}"

touch "$STATE/pending"
# The new one first: it says that the device lives now. Then the oldest.
{
    printf '[%s' "$beat"
    head -n "$BATCH" "$STATE/pending" | while read -r line; do printf ',%s' "$line"; done
    printf ']'
} > "$STATE/body"
status=$(post)
case $status in
    202 | 400 | 413 | 422) # taken; or never will be, however often it is sent
        tail -n "+$((BATCH + 1))" "$STATE/pending" > "$STATE/pending.new"
        ;;
    *)
        { cat "$STATE/pending"; echo "$beat"; } | tail -n "$KEEP" > "$STATE/pending.new"
        ;;
esac
mv "$STATE/pending.new" "$STATE/pending"
[ "$status" = 202 ] || fail "the beat was not taken: $status"
