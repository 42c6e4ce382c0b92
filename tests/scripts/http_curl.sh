#!/usr/bin/env bash
# SPDX-License-Identifier: ISC
#
# The HTTP server as curl sees it: methods, bodies both ways, keeping
# connections, waiting for 100, caching, ending in good order.
# shellcheck source=tests/support/scripts.sh
source "${BASH_SOURCE[0]%/*}/../support/scripts.sh"
needs curl

# has FILE TEXT
has() {
    grep -qF -- "$2" "$1" || die "no '$2' in: $(<"$1")"
}

listens() {
    (($(wc -l <lines) == 2))
}

# ask ARGUMENT...: curl; what it says about the exchange is in log.
ask() {
    curl --silent --show-error --noproxy '*' --max-time 30 "$@" 2>log ||
        die "curl $* answers $?"
}

"$CONDUIT_BIN/http_service" tcp://127.0.0.1:0 "unix://$work/socket" \
    >lines 2>errors &
service=$!
pids=("$service")
until_so 'the service' listens
base=$(sed -n 's/^listening tcp/http/p' lines)

# Methods.
is "$(ask "$base/hello")" hello
is "$(ask -I "$base/hello" | tr -d '\r' | grep -i '^content-length')" \
    'Content-Length: 6'
is "$(ask -X OPTIONS -D - "$base/hello" | tr -d '\r' | grep '^Allow')" \
    'Allow: GET, HEAD, POST, OPTIONS'
is "$(ask -X DELETE -o /dev/null -w '%{http_code}' "$base/hello")" 405
is "$(ask -o /dev/null -w '%{http_code}' "$base/nothing/here")" 404
is "$(ask -o /dev/null -w '%{http_code}' --path-as-is "$base/../etc/passwd")" \
    400
is "$(ask --unix-socket "$work/socket" http://localhost/hello)" hello
is "$(ask -0 "$base/hello")" hello

# One connection for many requests.
ask -v -o /dev/null "$base/hello" -o /dev/null "$base/hello" \
    -o /dev/null "$base/hello"
is "$(grep -c 'Re-using existing connection' log)" 2

# Bodies in, bodies out.
head -c 10000000 /dev/urandom >big
ask --data-binary @big "$base/echo" | cmp - big || die 'echo of 10 MB'
ask -T big "$base/echo" | cmp - big || die 'echo of a file'
ask -T - "$base/echo" <big >out
cmp out big || die 'echo of chunks'
ask -v -H 'Expect: 100-continue' --data-binary @big "$base/echo" |
    cmp - big || die 'echo after 100'
has log '< HTTP/1.1 100 Continue'
is "$(ask "$base/count/40000" | wc -c)" 10240000
is "$(ask "$base/count/40000" | sha256sum)" \
    "$(ask -0 "$base/count/40000" | sha256sum)"
is "$(ask --limit-rate 20M "$base/count/20000" | wc -c)" 5120000

# A body that nobody reads: the answer arrives all the same.
is "$(ask -o out -w '%{http_code}' --data-binary @big "$base/hello")" 200
is "$(ask -o out -w '%{http_code}' -H 'Expect:' --data-binary @big \
    "$base/nothing")" 405
head -c 70000000 /dev/zero >huge
is "$(ask -o out -w '%{http_code}' -H 'Expect:' --data-binary @huge \
    "$base/echo")" 413

# JSON.
is "$(ask -d '{"a":[1,2]}' "$base/json")" '{"size":11,"is":{"a":[1,2]}}'
is "$(ask -d '{"a":[1,2}' "$base/json")" '{"error":"no JSON"}'
is "$(ask -o out -w '%{http_code}' --data-binary @big "$base/json")" 413

# Caching.
is "$(ask "$base/")" '<!doctype html><title>page</title>'
is "$(ask --etag-save etag -o out -w '%{http_code}' "$base/")" 200
is "$(ask --etag-compare etag -o out -w '%{http_code}' "$base/")" 304

# Pipelined by hand, and a malformed one.
port=${base##*:}
raw() {
    exec 3<>"/dev/tcp/127.0.0.1/$port"
    printf '%b' "$1" >&3
    timeout 20 cat <&3
    exec 3>&-
}
is "$(raw 'GET /hello HTTP/1.1\r\nHost: a\r\n\r\nGET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n' | grep -c '^hello')" 2
is "$(raw 'GET /hello HTTP/1.1\r\nHost : a\r\n\r\nGET /hello HTTP/1.1\r\n\r\n' |
    tr -d '\r' | head -1)" 'HTTP/1.1 400 Bad Request'

# It ends when asked, and answers what is under way.
curl --silent --noproxy '*' --limit-rate 10M --max-time 30 \
    "$base/count/40000" >slow &
slow=$!
until_so 'a slow answer to begin' test -s slow
kill -TERM "$service"
wait "$slow" || die "the answer under way: curl answers $?"
is "$(wc -c <slow)" 10240000
until_so 'the end of the service' is_gone "$service"
status=0
wait "$service" || status=$?
pids=()
is "$status" 0
is "$(<errors)" ''
echo 'curl is content'
