#!/usr/bin/env bash
# SPDX-License-Identifier: ISC
#
# A counter with a certificate and a key compiled in, as a guest has them: TLS
# works with them, and nobody is served them.
# shellcheck source=tests/support/scripts.sh
source "${BASH_SOURCE[0]%/*}/../support/scripts.sh"
needs curl
"$CONDUIT_BIN/conduit" transports >has
grep -q "^tls" has || {
    echo "skipped: this build has no engine of TLS"
    exit 77
}

identity=$CONDUIT_SOURCE/tests/support/identity
is_listening() {
    [[ $(grep -c '^listening ' lines) = 2 ]]
}

: >lines
"$CONDUIT_BIN/counter-with-key" --listen https://127.0.0.1:0 \
    --listen http://127.0.0.1:0 \
    --cert asset:cert.pem --key asset:key.pem >lines 2>errors &
pids+=("$!")
until_so "two listeners" is_listening
mapfile -t uris < <(sed 's/^listening //' lines)

ask() { # CURL-ARGUMENT...
    curl --silent --show-error --noproxy '*' --max-time 20 \
        --cacert "$identity/authority.pem" "$@"
}

is "$(ask "${uris[0]}/api/counter")" '{"counter":0}'
for uri in "${uris[@]}"; do
    is "$(ask -o page -w '%{http_code}' "$uri/")" 200
    for name in cert.pem key.pem authority.pem asset:key.pem; do
        is "$(ask -o answer -w '%{http_code}' "$uri/$name")" 404
        ! grep -q 'PRIVATE\|BEGIN' answer || die "$name: $(<answer)"
    done
done

# Nor is what is served taken for a key.
for name in index.html key.pem; do
    status=0
    "$CONDUIT_BIN/counter" --listen https://127.0.0.1:0 \
        --cert asset:$name --key asset:$name 2>err || status=$?
    is "$status" 1
    is "$(<err)" "counter: tls: asset:$name: no such asset"
done
