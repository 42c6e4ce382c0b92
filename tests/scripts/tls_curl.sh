#!/usr/bin/env bash
# SPDX-License-Identifier: ISC
#
# TLS as others see it: the counter asked by curl and openssl s_client, conduit
# fetch asking openssl s_server, each engine of this build with each, and conduit
# relay in front of one and behind the other. The certificates are made here, for
# a day.
# shellcheck source=tests/support/tls_scripts.sh
source "${BASH_SOURCE[0]%/*}/../support/tls_scripts.sh"

# --- what is in this build --------------------------------------------------

if ! find_engines; then
    # Then a URI with TLS cannot be, and all else is as ever.
    says err '(1) tls: no TLS engine is in this build'
    run 1 "$CONDUIT_BIN/counter" --listen https://127.0.0.1:0
    says err 'counter: tls: no TLS engine is in this build'
    run 1 "$CONDUIT_BIN/conduit" relay mem://a tls+mem://b
    says err 'conduit: tls: no TLS engine is in this build'
    fetch 7 mem://nobody
    needs_engines
fi
run 1 env CONDUIT_TLS=nonsense "$CONDUIT_BIN/counter" \
    --listen https://127.0.0.1:0
says err 'counter: tls: no engine "nonsense" is in this build, which has: '
run 7 env CONDUIT_TLS=nonsense "$CONDUIT_BIN/conduit" fetch mem://nobody

# --- certificates -----------------------------------------------------------

{
    authority good
    authority evil
    issue server good "$local_names"
    issue rsa-server good "$local_names"
    issue other good DNS:other.test,DNS:*.wild.test
    issue wrong good DNS:elsewhere.test,IP:192.0.2.1
    issue unknown evil "$local_names"
    # Newer versions take dates, older ones days that are past.
    issue expired good "$local_names" -not_before 20200101000000Z \
        -not_after 20200102000000Z ||
        issue expired good "$local_names" -days -1
    issue client good DNS:client.test
    issue stranger evil DNS:client.test
} >openssl.log 2>&1 || die "openssl: $(<openssl.log)"
with_server=(--cert server.pem --key server.key)
as_client=(--cert client.pem --key client.key)
as_stranger=(--cert stranger.pem --key stranger.key)

# --- what cannot be served --------------------------------------------------

refused() { # STATUS TEXT COUNTER-ARGUMENT...
    local want=$1 text=$2
    shift 2
    run "$want" "$CONDUIT_BIN/counter" "$@"
    says err 'counter: ' "$text"
    [[ $want = 1 ]] || says err 'usage: counter'
    is "$(<out)" ''
}
tls=(--listen tls+tcp://127.0.0.1:0)
for engine in "${engines[@]}"; do
    export CONDUIT_TLS=$engine
    refused 1 'tls: a listener needs a certificate and its key' "${tls[@]}"
    refused 1 'tls: none.pem: cannot be read' "${tls[@]}" --cert none.pem \
        --key server.key
    refused 1 ': client.key: ' "${tls[@]}" --cert server.pem --key client.key
    refused 1 ': server.key: ' "${tls[@]}" --cert server.key --key server.key
    refused 1 ': server.pem: ' "${tls[@]}" --cert server.pem --key server.pem
    refused 1 'tls: asset:none.pem: no such asset' "${tls[@]}" \
        --cert asset:none.pem --key server.key
    refused 1 ': asset:index.html: ' "${tls[@]}" --cert asset:index.html \
        --key server.key
    refused 1 'tls: none.pem: cannot be read' "${tls[@]}" \
        "${with_server[@]}" --client-ca none.pem
done
unset CONDUIT_TLS
refused 2 'each certificate needs its key' "${tls[@]}" --cert server.pem
refused 2 '--cert wants a value' "${tls[@]}" --cert
refused 2 '--key wants a value' "${tls[@]}" --key=
refused 2 'a certificate was given, and no listener has TLS' \
    --listen tcp://127.0.0.1:0 "${with_server[@]}"

# --- each engine as the server ----------------------------------------------

by_curl() {
    local base
    serve "$1" "${with_server[@]}"
    base=https://localhost:$port
    ask 0 --cacert good.pem "$base/api/counter"
    is "$(<out)" '{"counter":0}'
    ask 0 --cacert good.pem -d '' "https://127.0.0.1:$port/api/counter"
    is "$(<out)" '{"counter":1}'
    ask 0 --cacert good.pem "$base/"
    cmp out "$CONDUIT_SOURCE/examples/counter/www/index.html"
    ask 60 --cacert evil.pem "$base/"
    ask 60 "$base/"
    ask 0 --cacert good.pem "$base/api/info"
    is "$(fact engine)" "\"$1\""
    is "$(fact alpn)" '"http/1.1"'
    is "$(fact server_name)" '"localhost"'
    is "$(fact peer_subject)" null
    is "$(fact verified)" false
    ask 0 --cacert good.pem --no-alpn "$base/api/info"
    is "$(fact alpn)" null
    ask 0 --cacert good.pem --unix-socket socket https://localhost/api/info
    says out '"layers":"tls+unix"' "\"engine\":\"$1\""
    ask 0 --cacert good.pem -v -o /dev/null "$base/" -o /dev/null "$base/"
    is "$(grep -c 'Re-using existing connection' err)" 1
}

versions() {
    local base=https://localhost:$port
    ask 0 --cacert good.pem --tlsv1.2 --tls-max 1.2 "$base/api/info"
    is "$(fact version)" '"TLSv1.2"'
    [[ $(fact cipher) = '"TLS_ECDHE_ECDSA_WITH_'*GCM* ||
        $(fact cipher) = *CHACHA20* ]] || die "$(<out)"
    if [[ $1 = bearssl ]]; then
        ask 35 --cacert good.pem --tlsv1.3 "$base/api/info"
    else
        ask 0 --cacert good.pem --tlsv1.3 "$base/api/info"
        is "$(fact version)" '"TLSv1.3"'
    fi
    # Nothing older, and nothing without forward secrecy or AEAD.
    ask 35 --cacert good.pem --tlsv1.0 --tls-max 1.1 \
        --ciphers DEFAULT@SECLEVEL=0 "$base/"
    for cipher in AES128-GCM-SHA256 ECDHE-ECDSA-AES128-SHA; do
        ask 35 --cacert good.pem --tls-max 1.2 --ciphers "$cipher" "$base/"
    done
    # A peer that speaks no TLS at all, and one that goes away.
    ask '@(1|52|56)' "http://localhost:$port/"
    : <"/dev/tcp/127.0.0.1/$port"
}

# asks_twice VERSION: by s_client, the second time with the session of the
# first. The peer says whether it was reused, and so does the service.
asks_twice() {
    local arguments=(-connect "127.0.0.1:$port" -servername localhost -CAfile
        good.pem -verify_return_error "-$1" -ign_eof)
    run 0 openssl s_client "${arguments[@]}" -sess_out session <request
    says out 'New, '
    is "$(fact resumed)" false
    run 0 openssl s_client "${arguments[@]}" -sess_in session <request
    says out 'Reused, '
    is "$(fact resumed)" true
}

resumption() {
    asks_twice tls1_2
    [[ $1 = bearssl ]] || asks_twice tls1_3
}

several_names() {
    local at
    serve "$1" "${with_server[@]}" --cert other.pem --key other.key
    for at in localhost=server other.test=other a.wild.test=other \
        nobody.test=server; do
        run 0 openssl s_client -connect "127.0.0.1:$port" \
            -servername "${at%=*}" </dev/null
        says out "subject=O = Test, CN = ${at#*=}"
    done
    ask 0 --cacert good.pem --resolve "other.test:$port:127.0.0.1" \
        "https://other.test:$port/api/info"
    is "$(fact server_name)" '"other.test"'
    ask 60 --cacert good.pem --resolve "nobody.test:$port:127.0.0.1" \
        "https://nobody.test:$port/"

    # One certificate of each kind, for those who know only one.
    serve "$1" "${with_server[@]}" --cert rsa-server.pem --key rsa-server.key
    ask 0 --cacert good.pem "https://localhost:$port/api/counter"
    serve "$1" --cert rsa-server.pem --key rsa-server.key
    ask 0 --cacert good.pem --tls-max 1.2 "https://localhost:$port/api/info"
    [[ $(fact cipher) = '"TLS_ECDHE_RSA_WITH_'* ]] || die "$(<out)"
}

# Of another family of implementations.
by_gnutls() {
    local version
    command -v gnutls-cli >/dev/null || return 0
    for version in 1.2 1.3; do
        [[ $1$version != bearssl1.3 ]] || continue
        run 0 gnutls-cli --x509cafile good.pem --port "$port" \
            --alpn http/1.1 --priority "NORMAL:-VERS-ALL:+VERS-TLS$version" \
            localhost <request
        is "$(fact version)" "\"TLSv$version\""
        is "$(fact alpn)" '"http/1.1"'
    done
}

clients() {
    local base version
    serve "$1" "${with_server[@]}" --client-ca good.pem
    base=https://localhost:$port
    for version in 1.2 1.3; do
        ask 0 --cacert good.pem --tls-max "$version" "${as_client[@]}" \
            "$base/api/info"
        is "$(fact verified)" true
        [[ $(fact peer_subject) = '"CN=client' ]] || die "$(<out)"
        is "$(fact peer_fingerprint)" "\"$(openssl x509 -in client.pem \
            -outform DER | sha256sum | cut -d ' ' -f 1)\""
        for arguments in '' "${as_stranger[*]}"; do
            # Told in the handshake, or after it where the client ends first.
            # shellcheck disable=SC2086
            ask '@(35|55|56)' --cacert good.pem --tls-max "$version" \
                $arguments "$base/"
        done
    done
    ask 0 --cacert good.pem "${as_client[@]}" "$base/api/counter"
    is "$(<out)" '{"counter":0}'
}

for engine in "${engines[@]}"; do
    by_curl "$engine"
    versions "$engine"
    resumption "$engine"
    by_gnutls "$engine"
    several_names "$engine"
    clients "$engine"
done
stop_service

# --- each engine as the client ----------------------------------------------

# How it is where all is well: what the other side says, and what -v says.
to_openssl() {
    local version=-tls1_3 said=TLSv1.3
    [[ $1 != bearssl ]] || version=-tls1_2 said=TLSv1.2
    for name in server rsa-server; do
        openssl_serve "$name" "$version" -alpn other,http/1.1
        for host in localhost 127.0.0.1; do
            fetch 0 -v --cacert good.pem "https://$host:$port/"
            says out "New, $said"
            says err "* $said, TLS_" " by $1, ALPN http/1.1" \
                "* server CN=$name,O=Test, verified, SHA-256 $(openssl x509 \
                    -in "$name.pem" -outform DER | sha256sum | cut -d ' ' -f 1)"
        done
        run 0 env SSL_CERT_FILE=good.pem "$CONDUIT_BIN/conduit" fetch \
            "https://localhost:$port/"
        says out "$said"
    done
}

# Each failure with words of its own.
failures() {
    local name words to
    while IFS=: read -r name words; do
        openssl_serve "$name"
        to=https://localhost:$port/
        fetch 60 --cacert good.pem "$to"
        says err 'conduit: (60) tls: ' "$words"
        is "$(<out)" ''
        fetch 0 -v --insecure "$to"
        says out 'HTML'
        says err 'verification is OFF' 'NOT VERIFIED'
    done <<'WORDS'
wrong:the certificate is for another name
unknown:the certificate's issuer is not trusted
expired:the certificate has expired
WORDS
    openssl_serve server
    to=https://localhost:$port/
    fetch 60 "$to"
    says err "the certificate's issuer is not trusted"
    run 58 env SSL_CERT_FILE=none.pem "$CONDUIT_BIN/conduit" fetch "$to"
    says err '(58) tls: no authorities to judge the peer by: none.pem'
    fetch 60 --cacert good.pem --tls-name other.test "$to"
    says err 'the certificate is for another name'
    fetch 58 --cacert none.pem "$to"
    says err '(58) tls: none.pem: cannot be read'
    fetch 58 --cacert server.key "$to"
    says err 'conduit: (58) ' ': server.key: '
    fetch 35 --cacert good.pem "https://127.0.0.1:$(plain_port)/"
    says err '(35) tls: '
    openssl_serve server -tls1_1 -cipher DEFAULT@SECLEVEL=0
    fetch 35 --cacert good.pem "https://localhost:$port/"
    says err '(35) tls: '
}

# Of a service that speaks HTTP without TLS.
plain_port() {
    sed -n '3s/.*://p' lines
}

pins() {
    local good=(fetch 0 --cacert good.pem) bad=(fetch 60 --cacert good.pem)
    local no='no public key in the chain is pinned'
    openssl_serve server
    to=https://localhost:$port/
    "${good[@]}" --pin "$(pin server)" "$to"
    "${good[@]}" --pin "$(pin good)" "$to"
    "${good[@]}" --pin "$(pin other);$(pin server)" "$to"
    "${good[@]}" --pin "$(pin other)" --pin "$(pin server)" "$to"
    "${bad[@]}" --pin "$(pin other)" "$to"
    says err "$no"
    fetch 60 --cacert evil.pem --pin "$(pin server)" "$to"
    says err "the certificate's issuer is not trusted"
    # Nothing else counts, but that does.
    fetch 0 --insecure --pin "$(pin server)" "$to"
    fetch 60 --insecure --pin "$(pin other)" "$to"
    says err "$no"
}

as_client_of_openssl() {
    local to
    openssl_serve server -Verify 2 -CAfile good.pem -verify_return_error
    to=https://localhost:$port/
    fetch 0 --cacert good.pem "${as_client[@]}" "$to"
    says out 'CN=client'
    fetch '@(35|55|56)' --cacert good.pem "$to"
    says err ' tls: '
    fetch '@(35|55|56)' --cacert good.pem "${as_stranger[@]}" "$to"
    says err ' tls: '
    fetch 58 "${as_client[@]}" --cacert none.pem "$to"
    fetch 58 --cert none.pem --key client.key "$to"
    says err '(58) tls: none.pem: cannot be read'
    fetch 58 --cert client.pem --key server.key "$to"
    says err 'conduit: (58) ' ': server.key: '
}

# An answer without a length, like the pages of s_server above, is complete when
# TLS says so, not when TCP does. What is typed is what this s_server sends.
truncation() {
    local status=0 server asking
    : >page.log
    rm -f typed
    mkfifo typed
    openssl s_server -accept 127.0.0.1:0 -cert server.pem -key server.key \
        <typed >page.log 2>&1 &
    server=$!
    pids+=("$server")
    exec 5>typed
    until_so 's_server' grep -q '^ACCEPT ' page.log
    port=$(sed -n 's/^ACCEPT .*://p' page.log)
    timeout -k 5 30 "$CONDUIT_BIN/conduit" fetch --cacert good.pem \
        "https://localhost:$port/" >out 2>err &
    asking=$!
    printf 'HTTP/1.1 200 OK\r\n\r\nhalf' >&5
    until_so 'half an answer' grep -q half out
    {
        kill -KILL "$server"
        wait "$server" || true
    } 2>/dev/null
    wait "$asking" || status=$?
    exec 5>&-
    is "$status" 18
    is "$(<out)" half
    says err '(18) tls: the bytes ended without close_notify'
}

serve "${engines[0]}" "${with_server[@]}" --listen tcp://127.0.0.1:0
until_so 'the listener without TLS' has_lines 3
for engine in "${engines[@]}"; do
    export CONDUIT_TLS=$engine
    to_openssl "$engine"
    failures
    pins
    truncation
    as_client_of_openssl
done
unset CONDUIT_TLS

# --- each with each ---------------------------------------------------------

# client STATUS ARGUMENT...: the counter's own.
client() {
    local want=$1
    shift
    run "$want" "$CONDUIT_BIN/counter-client" "$@"
}

pair() { # CLIENT SERVER
    local version=TLSv1.3
    [[ $* != *bearssl* ]] || version=TLSv1.2
    fetch 0 --cacert good.pem "https://localhost:$port/api/info"
    is "$(fact engine)" "\"$2\""
    is "$(fact version)" "\"$version\""
    is "$(fact alpn)" '"http/1.1"'
    fetch 0 --cacert good.pem -v "https+unix://${work//\//%2F}%2Fsocket/" \
        --tls-name localhost
    cmp out "$CONDUIT_SOURCE/examples/counter/www/index.html"
    says err "* $version, TLS_" " by $1, "
    fetch 2 --cacert good.pem "tls+unix://$work/socket"
    says err '(2) tls: nothing says whom to expect there'
    fetch 60 --cacert good.pem --tls-name other.test "tls+unix://$work/socket"
    says err 'the certificate is for another name'
    client 0 --cacert good.pem --time "$uri"
    says out "$uri"$'\t{"counter":'
    client 0 --insecure --info "tls+unix://$work/socket"
    is "$(fact server_name)" null
    client 0 --cacert good.pem --tls-name localhost --pin "$(pin server)" \
        "tls+unix://$work/socket"
    client 1 "$uri"
    says err "counter-client: tls: " "the certificate's issuer is not trusted"
}
for server in "${engines[@]}"; do
    serve "$server" "${with_server[@]}"
    for engine in "${engines[@]}"; do
        export CONDUIT_TLS=$engine
        pair "$engine" "$server"
    done
    unset CONDUIT_TLS
    serve "$server" "${with_server[@]}" --client-ca good.pem
    for engine in "${engines[@]}"; do
        export CONDUIT_TLS=$engine
        client 0 --cacert good.pem "${as_client[@]}" --info "$uri"
        is "$(fact peer_subject)" '"CN=client'
        client 1 --cacert good.pem "${as_stranger[@]}" "$uri"
        says err 'counter-client: tls: '
        client 1 --cacert good.pem "$uri"
    done
    unset CONDUIT_TLS
done
stop_service

# In one process, the service and its client.
for engine in "${engines[@]}"; do
    run 0 env CONDUIT_TLS="$engine" "$CONDUIT_BIN/counter-client" --self \
        "${with_server[@]}" --cacert good.pem --tls-name localhost --info \
        tls+mem://counter
    says out '"layers":"tls+mem"' "\"engine\":\"$engine\""
done
client 2 --cacert good.pem tcp://localhost:1
says err 'options for TLS, and a URI without'
client 2 --cert client.pem https://localhost:1
client 2 --pin nonsense https://localhost:1
says err '--pin wants sha256//BASE64'
client 2 --insecure=yes https://localhost:1
says err '--insecure takes no value'

# --- conduit relay ----------------------------------------------------------

not_relayed() { # STATUS TEXT ARGUMENT...
    local want=$1 text=$2
    shift 2
    run "$want" "$CONDUIT_BIN/conduit" relay "$@"
    says err "conduit: $text"
}
from='tls+tcp://127.0.0.1:0'
not_relayed 1 'tls: a listener needs a certificate and its key' "$from" mem://b
not_relayed 1 'tls: none.pem: cannot be read' "$from" mem://b --cert none.pem \
    --key server.key
not_relayed 1 'tls: none.pem: cannot be read' mem://a tls+mem://b \
    --cacert none.pem
not_relayed 2 'options for TLS, and none in mem://a' "${with_server[@]}" \
    mem://a tls+mem://b
not_relayed 2 'options for TLS, and none in mem://b' --insecure "$from" mem://b
not_relayed 2 'each certificate needs its key' --cert a "$from" mem://b
not_relayed 2 '--pin wants sha256//BASE64' --pin=x "$from" mem://b

"$CONDUIT_BIN/http_service" "unix://$work/plain" >plain.lines &
pids+=($!)
until_so 'the service without TLS' test -s plain.lines
head -c 10000000 /dev/urandom >big

# A service without TLS, reached by those who speak it, and those who do not by
# a second relay, over a line that has it; sums of what came are sent back once
# the end is there, which is passed on as an end where TLS can (1.3).
cat >sum <<'SUM'
#!/bin/sh
exec sha256sum
SUM
chmod +x sum
if command -v socat >/dev/null; then
    socat "UNIX-LISTEN:$work/sums,fork" EXEC:./sum 2>>server.log &
    pids+=($!)
    until_so 'socat' test -S sums
fi

through() { # SERVER CLIENT
    local base
    relay "$1" "$from" "unix://$work/plain" "${with_server[@]}" \
        --client-ca good.pem
    base=https://localhost:$port
    ask 0 --cacert good.pem "${as_client[@]}" --data-binary @big "$base/echo"
    cmp out big
    ask '@(35|55|56)' --cacert good.pem "$base/hello"
    relay "$2" tcp://127.0.0.1:0 "tls+tcp://127.0.0.1:$port" \
        --cacert good.pem --client-cert client.pem --client-key client.key \
        --tls-name localhost --pin "$(pin server)"
    base=http://localhost:$port
    ask 0 --data-binary @big "$base/echo"
    cmp out big
    ask 0 "$base/hello"
    is "$(<out)" hello
}

sums() { # SERVER CLIENT
    relay "$1" "$from" "unix://$work/sums" "${with_server[@]}"
    relay "$2" tcp://127.0.0.1:0 "tls+tcp://127.0.0.1:$port" --cacert good.pem
    is "$(timeout 20 socat -t 15 - "TCP:127.0.0.1:$port" <big)" \
        "$(sha256sum <big)"
}

for server in "${engines[@]}"; do
    for engine in "${engines[@]}"; do
        through "$server" "$engine"
        if [[ -S sums && "$server $engine" != *bearssl* ]]; then
            sums "$server" "$engine"
        fi
    done
done

# One process that connects again and again resumes: the other side says so.
for engine in "${engines[@]}"; do
    for version in 1_2 1_3; do
        [[ $engine$version != bearssl1_3 ]] || continue
        openssl_serve server "-tls$version"
        relay "$engine" tcp://127.0.0.1:0 "tls+tcp://127.0.0.1:$port" \
            --cacert good.pem
        ask 0 "http://localhost:$port/"
        says out 'New, TLSv'
        for _ in 1 2; do
            ask 0 "http://localhost:$port/"
            says out 'Reused, TLSv'
        done
    done
done

# To somebody else, nothing of what comes is passed on.
relay "${engines[0]}" "$from" "unix://$work/plain" --cert wrong.pem \
    --key wrong.key
relay "${engines[0]}" tcp://127.0.0.1:0 "tls+tcp://127.0.0.1:$port" \
    --cacert good.pem
ask '@(52|56)' "http://localhost:$port/hello"
until_so 'the reason' grep -q \
    'cannot connect to .*: the certificate is for another name' relay.log
