#!/usr/bin/env bash
# SPDX-License-Identifier: ISC
#
# The counter, its service and its client, as their users see them: over TCP and
# a Unix socket, asked by curl, ended by SIGTERM, and started where it cannot be.
# shellcheck source=tests/support/scripts.sh
source "${BASH_SOURCE[0]%/*}/../support/scripts.sh"
needs curl
service=

# start NUMBER ARGUMENT...: starts the service, which has to say that it listens
# so many times; the URIs are in ${uri[@]} then.
uri=()
has_lines() {
    (($(wc -l <lines) >= $1))
}
start() {
    local n=$1
    shift
    : >lines
    "$CONDUIT_BIN/counter" "$@" >lines 2>errors &
    service=$!
    pids=("$service")
    until_so "$n lines of counter $*" has_lines "$n"
    ! grep -v '^listening ' lines || die "$(<lines)"
    mapfile -t uri < <(sed 's/^listening //' lines)
}

# ended STATUS: the service ends by itself, and so.
ended() {
    local status=0
    until_so 'the end of the service' is_gone "$service"
    wait "$service" || status=$?
    pids=()
    is "$status" "$1"
    is "$(<errors)" ''
}

# run STATUS COMMAND...: to its end; what it printed is in out and err.
run() {
    local status=0 want=$1
    shift
    timeout -k 5 30 "$@" >out 2>err || status=$?
    [[ $status = "$want" ]] || die "$* answers $status: $(<err)"
}
counter() {
    local want=$1
    shift
    run "$want" "$CONDUIT_BIN/counter" "$@"
}
client() {
    local want=$1
    shift
    run "$want" "$CONDUIT_BIN/counter-client" "$@"
}

# --- what it serves ---------------------------------------------------------

start 3 --listen tcp://127.0.0.1:0 --listen "unix://$work/socket" \
    --listen "unix://@counter.test.$$"
[[ ${uri[0]} =~ ^tcp://127\.0\.0\.1:([0-9]+)$ && ${BASH_REMATCH[1]} != 0 ]] ||
    die "${uri[0]}"
is "${uri[1]}" "unix://$work/socket"
http=http${uri[0]#tcp}
over_tcp=(curl -sS -m 10)
over_unix=(curl -sS -m 10 --unix-socket socket)

is "$("${over_tcp[@]}" "$http/api/counter")" '{"counter":0}'
is "$("${over_tcp[@]}" -d '' "$http/api/counter")" '{"counter":1}'
is "$("${over_unix[@]}" -d x=y http://a/api/counter)" '{"counter":2}'
is "$("${over_unix[@]}" http://a/api/counter)" '{"counter":2}'
type='%{http_code} %{content_type}'
is "$("${over_tcp[@]}" -o /dev/null -w "$type" "$http/api/counter")" \
    '200 application/json'

facts=$("${over_tcp[@]}" "$http/api/info")
for fact in '"platform":"unix"' '"transport":"tcp+socket"' \
    '"layers":"tcp+socket"' '"peer":"127.0.0.1:' \
    "\"local\":\"${uri[0]#tcp://}\"" '"tls":null'; do
    [[ $facts == *"$fact"* ]] || die "no $fact in $facts"
done
facts=$("${over_unix[@]}" http://a/api/info)
[[ $facts == *'"transport":"unix"'* ]] || die "$facts"

# The page and what belongs to it.
is "$("${over_tcp[@]}" -o page -w "$type" "$http/")" \
    '200 text/html; charset=utf-8'
grep -qi '<html' page || die "no page: $(head -c 200 page)"
"${over_tcp[@]}" "$http/index.html" | cmp - page
is "$("${over_tcp[@]}" -o /dev/null -w '%{http_code}' "$http/none")" 404

# Refused: another method, a body beyond measure; and the count stays.
is "$("${over_tcp[@]}" -X DELETE -o /dev/null -w '%{http_code}' \
    "$http/api/counter")" 405
head -c 100000 /dev/zero >big
is "$("${over_tcp[@]}" --data-binary @big -o /dev/null -w '%{http_code}' \
    "$http/api/counter" 2>/dev/null)" 413
is "$("${over_tcp[@]}" "$http/api/counter")" '{"counter":2}'

# --- its client -------------------------------------------------------------

client 0 "${uri[0]}"
is "$(<out)" '{"counter":3}'
client 0 "${uri[1]}"
is "$(<out)" '{"counter":4}'
client 0 "http+unix://${work//\//%2F}%2Fsocket"
is "$(<out)" '{"counter":5}'
client 0 "$http"
is "$(<out)" '{"counter":6}'
client 0 "${uri[2]}"
is "$(<out)" '{"counter":7}'
client 0 --time "$http"
[[ $(<out) =~ ^"$http"$'\t{"counter":8}\t'[0-9]+' us'$ ]] || die "$(<out)"
client 0 --info "${uri[0]}"
[[ $(<out) == *'"transport":"tcp+socket"'* ]] || die "$(<out)"
client 0 --self mem://counter
is "$(<out)" '{"counter":1}'
client 0 --self --time tcp://127.0.0.1:0
[[ $(<out) == 'tcp://127.0.0.1:0'$'\t{"counter":1}\t'*' us' ]] || die "$(<out)"
client 0 --self --info mem://counter
[[ $(<out) == *'"transport":"mem"'* ]] || die "$(<out)"
"$CONDUIT_BIN/conduit" fetch -d '' "$http/api/counter" >out
is "$(<out)" '{"counter":9}'

client 1 mem://nobody
grep -q '^counter-client: mem: ' err || die "$(<err)"
client 1 --self "${uri[0]}"
grep -q '^counter-client: tcp' err || die "$(<err)"
client 1 "unix://$work/none"
client 1 gopher://a
client 2
client 2 --nonsense "$http"
client 2 "$http" "$http"
client 0 --help
client 0 --version

# --- where it cannot listen -------------------------------------------------

# Nothing is left of listeners that were there before the one that failed.
counter 1 --listen "unix://$work/first" --listen "${uri[0]}"
grep -qE '^counter: tcp.*: .*in use' err || die "$(<err)"
is "$(<out)" "listening unix://$work/first"
[[ ! -e first ]] || die "a socket is left"
counter 1 --listen "unix://$work/socket"
grep -q '^counter: unix: ' err || die "$(<err)"
echo text >file
counter 1 --listen "unix://$work/file"
grep -q '^counter: unix: ' err || die "$(<err)"
is "$(<file)" text
counter 1 --listen gopher://a
grep -q '^counter: uri: ' err || die "$(<err)"
counter 1 --listen nonsense
is "$("${over_unix[@]}" http://a/api/counter)" '{"counter":9}'

counter 2
grep -q '^usage: counter' err || die "$(<err)"
counter 2 --listen
counter 2 --listen ''
counter 2 --nonsense
counter 2 --listen tcp://127.0.0.1:0 more
counter 0 --help
grep -q '^usage: counter' out || die "$(<out)"
counter 0 --version
grep -qE '^counter [0-9]+\.[0-9]+\.[0-9]+$' out || die "$(<out)"

# --- how it ends ------------------------------------------------------------

# With a request under way, of which the head was read (100 says so) and the
# body comes later: it is answered, and nobody else is let in meanwhile.
mkfifo body
"${over_tcp[@]}" -v -T - -X POST -H 'Expect: 100-continue' \
    "$http/api/counter" <body >answer 2>verbose &
asking=$!
exec 5>body
printf some >&5
until_so 'the request to be under way' grep -q '100 Continue' verbose
kill -TERM "$service"
refuses() {
    ! "${over_tcp[@]}" "$http/" >/dev/null 2>&1
}
until_so 'the listener to close' refuses
! is_gone "$service" || die "the service did not wait"
printf more >&5
exec 5>&-
wait "$asking"
is "$(<answer)" '{"counter":10}'
grep -qi '^< connection: close' verbose || die "$(<verbose)"
ended 0
[[ ! -e socket ]] || die "a socket is left"

# With nothing to do but kept connections, which it closes.
start 1 --listen=tcp://127.0.0.1:0
exec 6<>"/dev/tcp/127.0.0.1/${uri[0]##*:}"
printf 'GET /api/counter HTTP/1.1\r\nHost: a\r\n\r\n' >&6
read -r -t 10 line <&6
is "$line" $'HTTP/1.1 200 OK\r'
begin=$SECONDS
kill -TERM "$service"
ended 0
((SECONDS - begin < 4)) || die "it took $((SECONDS - begin)) s"
exec 6>&-

# With a peer that never finishes: it waits, but not for ever.
start 1 --listen tcp://127.0.0.1:0
exec 6<>"/dev/tcp/127.0.0.1/${uri[0]##*:}"
printf 'POST /api/counter HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n%s' \
    $'Expect: 100-continue\r\n\r\n' >&6
read -r -t 10 line <&6
is "$line" $'HTTP/1.1 100 Continue\r'
begin=$SECONDS
kill -INT "$service"
ended 0
((SECONDS - begin >= 3)) || die "it did not wait"
exec 6>&-

# After being killed: the socket file that is left is no obstacle.
start 1 --listen "unix://$work/socket"
kill -9 "$service"
wait "$service" 2>/dev/null || true
pids=()
[[ -S socket ]] || die "no stale socket to try"
start 1 --listen "unix://$work/socket"
is "$("${over_unix[@]}" http://a/api/counter)" '{"counter":0}'
kill -TERM "$service"
ended 0
