#!/usr/bin/env bash
# SPDX-License-Identifier: ISC
#
# The programs over vchan: the counter and its client, conduit fetch, and a
# relay, behind which curl does not notice.
# shellcheck source=tests/support/scripts.sh
source "${BASH_SOURCE[0]%/*}/../support/scripts.sh"
needs curl
export CONDUIT_RUNTIME_DIR=$work/names

# start VARIABLE LISTENERS PROGRAM ARGUMENT...: in the background; it has to say
# that it listens, and its URIs are in ${uri[@]} then.
uri=() service='' relay=''
has_lines() {
    (($(grep -c '^listening ' lines) >= $1))
}
start() {
    local -n started=$1
    local n=$2
    shift 2
    : >lines
    "$CONDUIT_BIN/$1" "${@:2}" >lines 2>>errors &
    started=$!
    pids+=("$started")
    until_so "$n lines of $*" has_lines "$n"
    mapfile -t uri < <(sed -n 's/^listening //p' lines)
}

killed() {
    kill -KILL "$1"
    wait "$1" || true
} 2>/dev/null

client() {
    local want=$1 status=0
    shift
    timeout -k 5 30 "$CONDUIT_BIN/counter-client" "$@" >out 2>err || status=$?
    [[ $status = "$want" ]] || die "counter-client $* answers $status: $(<err)"
}
fetch() {
    timeout -k 5 30 "$CONDUIT_BIN/conduit" fetch "$@" 2>err ||
        die "fetch $* answers $?: $(<err)"
}

# --- the counter ------------------------------------------------------------

start service 2 counter --listen vchan://counter --listen tcp://127.0.0.1:0
is "${uri[0]}" vchan://counter
http=http${uri[1]#tcp}
base="http+vchan://counter"
is "$(stat -c '%a %F' names)" '700 directory'
is "$(stat -c '%a %F' names/counter)" '600 socket'

is "$(fetch $base/api/counter)" '{"counter":0}'
is "$(fetch -d '' $base/api/counter)" '{"counter":1}'
client 0 vchan://counter
is "$(<out)" '{"counter":2}'
client 0 "$base"
is "$(<out)" '{"counter":3}'
client 0 "vchan://counter"
is "$(curl -sS -m 10 "$http/api/counter")" '{"counter":4}'
client 0 --time vchan://counter
[[ $(<out) =~ ^vchan://counter$'\t{"counter":5}\t'[0-9]+' us'$ ]] ||
    die "$(<out)"
client 0 --info vchan://counter
for fact in '"transport":"vchan"' '"layers":"vchan"' '"local":"vchan:counter"' \
    "\"peer\":\"vchan:pid=" "uid=$(id -u)\"" '"tls":null'; do
    [[ $(<out) == *"$fact"* ]] || die "no $fact in $(<out)"
done
client 0 --self vchan://self
is "$(<out)" '{"counter":1}'

fetch "$base/" >page
curl -sS -m 10 "$http/" | cmp - page
is "$(fetch -I "$base/none" | tr -d '\r' | head -1)" 'HTTP/1.1 404 Not Found'
is "$(fetch -i -X DELETE "$base/api/counter" | tr -d '\r' | head -1)" \
    'HTTP/1.1 405 Method Not Allowed'

# Many at a time.
askers=()
for ((i = 0; i < 20; i++)); do
    fetch -d '' "$base/api/counter" >/dev/null &
    askers+=($!)
done
for asker in "${askers[@]}"; do
    wait "$asker" || die "an asker answers $?"
done
is "$(fetch "$base/api/counter")" '{"counter":25}'

# Who is not there, and a name that is taken.
client 1 vchan://nobody
grep -q '^counter-client: vchan: nobody has registered nobody' err ||
    die "$(<err)"
client 1 vchan://nosuchuser@counter
grep -q '^counter-client: vchan: there is no user nosuchuser' err ||
    die "$(<err)"
status=0
"$CONDUIT_BIN/counter" --listen vchan://counter >out 2>err || status=$?
is "$status" 1
grep -q '^counter: vchan: .*somebody listens there' err || die "$(<err)"
is "$(fetch "$base/api/counter")" '{"counter":25}'

# --- how it ends ------------------------------------------------------------

stop "$service"
[[ ! -e names/counter ]] || die "a socket is left"
client 1 vchan://counter
start service 1 counter --listen vchan://counter
client 0 vchan://counter
is "$(<out)" '{"counter":1}'
killed "$service"
[[ -S names/counter ]] || die "no stale socket to try"
client 1 vchan://counter
start service 1 counter --listen vchan://counter
client 0 vchan://counter
is "$(<out)" '{"counter":1}'
stop "$service"

# --- large bodies, and a relay ----------------------------------------------

# A relay cannot pass on half of an end to vchan: the server ends first.
last=(-H 'Connection: close')

start service 1 http_service vchan://service
start relay 1 conduit relay tcp://127.0.0.1:0 vchan://service
http=http${uri[0]#tcp}
base="http+vchan://service"
head -c 10000000 /dev/urandom >big
fetch -d @big -H 'Content-Type: application/octet-stream' "$base/echo" |
    cmp - big || die 'echo of 10 MB'
fetch "$base/count/40000" >count
is "$(wc -c <count)" 10240000
curl -sS -m 30 "${last[@]}" --data-binary @big "$http/echo" | cmp - big ||
    die 'echo of 10 MB through the relay'
curl -sS -m 30 "${last[@]}" "$http/count/40000" | cmp - count ||
    die 'through the relay'
is "$(curl -sS -m 30 "${last[@]}" "$http/hello")" hello
stop "$relay"
stop "$service"

# From vchan to vchan, where the server is killed under way. What fetch has left
# open is dropped in the end.
start service 1 http_service vchan://service
export CONDUIT_LOG=error
start relay 1 conduit relay --grace 1 vchan://relay vchan://service
fetch http+vchan://relay/count/40000 | cmp - count ||
    die 'through vchan'
timeout -k 5 30 "$CONDUIT_BIN/conduit" fetch \
    http+vchan://relay/count/40000000 >slow 2>/dev/null &
asker=$!
until_so 'an answer to begin' test -s slow
killed "$service"
status=0
wait "$asker" || status=$?
((status != 0 && status != 124)) || die "cut short, and fetch answers $status"
start service 1 http_service vchan://service
fetch http+vchan://relay/count/40000 | cmp - count ||
    die 'once more'
stop "$relay"
stop "$service"
is "$(<errors)" ''
is "$(ls names)" ''
