# shellcheck shell=bash
# Passwords, tokens and certificates: made once, on this machine, readable by whom they are for, printed nowhere.

# 160 random bits as hexadecimal digits: safe in every file that it will stand in.
random() { od -An -N20 -tx1 /dev/urandom | tr -d ' \n'; }

# secret MODE OWNER:GROUP FILE PREFIX: PREFIX and a new secret, unless there is one.
secret() {
    local file=$ROOT$3
    if [ ! -s "$file" ]; then
        (umask 077 && printf '%s%s\n' "$4" "$(random)" >"$file")
    fi
    own "$2" "$file"
    chmod "$1" "$file"
}

secrets() {
    secret 0600 root:root $ETC/secrets.env ZHDJ_MQTT__PASSWORD=
    # Two readers and nobody else: Alertmanager, as the owner, and the service, as the group.
    secret 0440 "$(known_user prometheus):zhdj" $ETC/alertmanager-token ''
    secret 0440 "root:$(known_group grafana)" $ETC/grafana-admin-password ''
    # mosquitto does not start without its files; the service fills them within seconds.
    local name
    for name in acl passwords; do
        [ -e "$ROOT/etc/mosquitto/zhdj/$name" ] || (umask 027 && : >"$ROOT/etc/mosquitto/zhdj/$name")
        own zhdj:mosquitto "$ROOT/etc/mosquitto/zhdj/$name"
        chmod 0640 "$ROOT/etc/mosquitto/zhdj/$name"
    done
}

known_user() { if id -u "$1" >/dev/null 2>&1; then echo "$1"; else echo root; fi; }
known_group() { if getent group "$1" >/dev/null 2>&1; then echo "$1"; else echo root; fi; }

# --- TLS: one certificate for nginx (the console, beats over HTTP) and mosquitto (8883) -------------------------------

certificates() {
    local tls=$ROOT$ETC/tls
    if [ -n "$CERT$KEY" ]; then
        install -m 0644 "$CERT" "$tls/server.pem"
        (umask 077 && cat "$KEY" >"$tls/server.key")
        [ -z "$CA" ] || install -m 0644 "$CA" "$tls/ca.pem"
    elif [ ! -e "$tls/server.pem" ]; then
        own_authority "$tls"
        own_certificate "$tls"
    elif [ -e "$tls/ca.key" ] && ! own_certificate_good "$tls"; then
        own_certificate "$tls"
    fi
    # mosquitto 2 reads its key after it gave up being root; nginx before.
    put 0644 root:root /etc/mosquitto/zhdj-tls/server.pem <"$tls/server.pem"
    put 0640 root:mosquitto /etc/mosquitto/zhdj-tls/server.key <"$tls/server.key"
}

# Looked at before anything is done.
certificate_of_theirs() {
    [ -n "$CERT$KEY$CA" ] || return 0
    if [ -z "$CERT" ] || [ -z "$KEY" ]; then fail "--cert and --key belong together"; fi
    [ -r "$CERT" ] || fail "--cert $CERT: no such file"
    [ -r "$KEY" ] || fail "--key $KEY: no such file"
    [ -z "$CA" ] || [ -r "$CA" ] || fail "--ca $CA: no such file"
    command -v openssl >/dev/null || return 0
    [ "$(public_of x509 "$CERT" 2>/dev/null || echo none)" = "$(public_of key "$KEY" 2>/dev/null)" ] ||
        fail "$KEY is not the key of $CERT"
    openssl x509 -in "$CERT" -noout -checkend 0 >/dev/null || fail "$CERT has expired"
}

public_of() {
    if [ "$1" = x509 ]; then openssl x509 -in "$2" -noout -pubkey; else openssl pkey -in "$2" -pubout; fi
}

own_authority() {
    [ -e "$1/ca.key" ] && return
    (umask 077 && openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1/ca.key" 2>/dev/null)
    # Twenty years: terminals hold it, and 700 of them are not visited to exchange it.
    openssl req -x509 -new -key "$1/ca.key" -sha256 -days 7300 -subj "/CN=zhdj-monitor authority of $NAME" \
        -addext basicConstraints=critical,CA:TRUE,pathlen:0 -addext keyUsage=critical,keyCertSign,cRLSign -out "$1/ca.pem"
    chmod 0644 "$1/ca.pem"
}

own_certificate() {
    local kind=DNS
    case $NAME in *[!0-9.]*) case $NAME in *:*) kind=IP ;; esac ;; *) kind=IP ;; esac
    (umask 077 && openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1/server.key" 2>/dev/null)
    # 825 days is what browsers still take; renewed by whichever run of install comes in its last ninety.
    openssl req -new -key "$1/server.key" -subj "/CN=$NAME" |
        openssl x509 -req -sha256 -days 825 -CA "$1/ca.pem" -CAkey "$1/ca.key" -set_serial "0x$(random | cut -c1-31)" \
            -extfile <(printf 'subjectAltName=%s:%s,DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth\nbasicConstraints=CA:FALSE\n' "$kind" "$NAME") \
            -out "$1/server.pem" 2>/dev/null
    chmod 0644 "$1/server.pem"
    say "made a certificate for $NAME; terminals need $ETC/tls/ca.pem (token kit --ca)"
}

# Of this name, and good for ninety days more.
own_certificate_good() {
    openssl x509 -in "$1/server.pem" -noout -checkend $((90 * 86400)) >/dev/null &&
        openssl x509 -in "$1/server.pem" -noout -ext subjectAltName | grep -qE "(DNS|IP Address):$NAME(,|\$)"
}
