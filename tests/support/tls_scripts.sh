# SPDX-License-Identifier: ISC
# shellcheck shell=bash disable=SC2034
#
# What the scripts about TLS share, which source it first of all: running the
# programs, certificates for a day, and peers of each kind. It needs curl and
# openssl.
# shellcheck source=tests/support/scripts.sh
source "${BASH_SOURCE[0]%/*}/scripts.sh"
needs curl openssl
unset SSL_CERT_FILE SSL_CERT_DIR CONDUIT_TLS

# --- running ----------------------------------------------------------------

# run STATUS COMMAND...: to its end; what it printed is in out and err. STATUS
# may be a pattern.
run() {
    local status=0 want=$1
    shift
    timeout -k 5 30 "$@" >out 2>err || status=$?
    # shellcheck disable=SC2053
    [[ $status = $want ]] || die "$* answers $status: $(<err)"
}

# says FILE TEXT...
says() {
    local file=$1 text
    shift
    for text in "$@"; do
        grep -qF -- "$text" "$file" || die "no '$text' in $file: $(<"$file")"
    done
}

fetch() { # STATUS ARGUMENT...
    local want=$1
    shift
    run "$want" "$CONDUIT_BIN/conduit" fetch "$@"
}

ask() { # STATUS CURL-ARGUMENT...
    local want=$1
    shift
    run "$want" curl --silent --show-error --noproxy '*' --max-time 20 "$@"
}

# What is asked of the counter by those who speak no HTTP.
printf 'GET /api/info HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n' \
    >request

# fact NAME: of TLS, in the counter's answer in out, as JSON has it.
fact() {
    local text
    text=$(<out)
    [[ $text =~ '"tls":{'([^}]*)'}' ]] || return 0
    text=,${BASH_REMATCH[1]},
    [[ $text = *",\"$1\":"* ]] || return 0
    text=${text#*",\"$1\":"}
    printf '%s\n' "${text%%,*}"
}

# find_engines: those of this build, into ${engines[@]}; fails where there is
# none, and the reason is in err.
engines=()
find_engines() {
    run 1 env CONDUIT_TLS=nonsense "$CONDUIT_BIN/conduit" fetch \
        https://localhost/
    ! grep -q 'no TLS engine' err || return 1
    says err '(1) tls: no engine "nonsense" is in this build, which has: '
    read -r -a engines < <(sed 's/.*which has: //; s/,//g' err)
}

# needs_engines: skips the test where there is none.
needs_engines() {
    find_engines || {
        echo 'skipped: no TLS engine is in this build'
        exit 77
    }
}

# --- certificates -----------------------------------------------------------

# authority NAME: NAME.pem and NAME.key.
authority() {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
        -keyout "$1.key" -out "$1.pem" -subj "/CN=authority $1" -days 1 \
        -addext keyUsage=critical,keyCertSign,cRLSign
}

# issue NAME AUTHORITY SAN [X509-ARGUMENT...]: NAME.pem and NAME.key. The name
# says which key it is to be: RSA with rsa, of P-384 with p384, else of P-256.
issue() {
    local name=$1 authority=$2 key=(-newkey ec -pkeyopt
        ec_paramgen_curve:P-256)
    printf 'basicConstraints=CA:FALSE\nsubjectAltName=%s\n' "$3" >"$name.ext"
    shift 3
    case $name in
    *rsa*) key=(-newkey rsa:2048) ;;
    *p384*) key[3]=ec_paramgen_curve:P-384 ;;
    esac
    openssl req "${key[@]}" -nodes -keyout "$name.key" -out "$name.req" \
        -subj "/O=Test/CN=$name"
    openssl x509 -req -in "$name.req" -CA "$authority.pem" -out "$name.pem" \
        -CAkey "$authority.key" -CAcreateserial -days 1 \
        -extfile "$name.ext" "$@"
}

# pin NAME: the hash of its public key, as curl writes it.
pin() {
    printf 'sha256//%s' "$(openssl x509 -in "$1.pem" -noout -pubkey |
        openssl pkey -pubin -outform DER | openssl dgst -sha256 -binary |
        base64)"
}

local_names=DNS:localhost,IP:127.0.0.1

# --- peers ------------------------------------------------------------------

# serve ENGINE COUNTER-ARGUMENT...: starts one more, in place of the last. Its
# first URI is $uri, with TCP port $port. It listens once more at tls+unix.
service=
serve() {
    local engine=$1
    shift
    stop_service
    rm -f socket
    : >lines
    CONDUIT_TLS=$engine "$CONDUIT_BIN/counter" --listen https://127.0.0.1:0 \
        --listen "tls+unix://$work/socket" "$@" >lines 2>errors &
    service=$!
    pids+=("$service")
    until_so "counter $*" has_lines 2
    uri=$(sed -n '1s/^listening //p' lines)
    port=${uri##*:}
}
has_lines() {
    (($(wc -l <lines) >= $1))
}
stop_service() {
    local status=0
    [[ $service ]] || return 0
    kill -TERM "$service"
    wait "$service" || status=$?
    is "$status" 0
    service=
}

# openssl_serve CERTIFICATE ARGUMENT...: s_server, whose page tells of the
# connection, at $port; its process is $openssl_server.
openssl_serve() {
    local name=$1
    shift
    : >page.log
    openssl s_server -accept 127.0.0.1:0 -www -cert "$name.pem" \
        -key "$name.key" "$@" >page.log 2>&1 &
    openssl_server=$!
    pids+=("$openssl_server")
    until_so 's_server' grep -q '^ACCEPT ' page.log
    port=$(sed -n 's/^ACCEPT .*://p' page.log)
}

# relay ENGINE ARGUMENT...: starts one more, at $port. What it logs is added to
# relay.log.
relays=0
relay() {
    local engine=$1 lines=relay.$((++relays))
    shift
    CONDUIT_TLS=$engine CONDUIT_LOG=info "$CONDUIT_BIN/conduit" relay "$@" \
        >"$lines" 2>>relay.log &
    pids+=($!)
    until_so "relay $*" test -s "$lines"
    port=$(sed -n 's/^listening .*://p' "$lines")
}
