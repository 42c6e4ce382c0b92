#!/usr/bin/env bash
# SPDX-License-Identifier: ISC
#
# `conduit probe`, and auto:// between processes: the counter's service is found
# by shared memory, by its Unix socket where it has no memory to give, by TCP
# where nothing is registered, and again after it was killed.
# shellcheck source=tests/support/scripts.sh
source "${BASH_SOURCE[0]%/*}/../support/scripts.sh"
needs openssl
export CONDUIT_RUNTIME_DIR=$work/registry
service=

# start URI [OPTION]...: starts the service; the real URI is in $uri then.
uri=
has_line() {
    (($(wc -l <lines) >= 1))
}
start() {
    local at=$1
    shift
    : >lines
    "$CONDUIT_BIN/counter" --listen "$at" "$@" >lines 2>errors &
    service=$!
    pids=("$service")
    until_so "a line of counter $at" has_line
    uri=$(sed 's/^listening //' lines)
}
stop() { # SIGNAL
    kill "-$1" "$service"
    wait "$service" 2>/dev/null || true
    pids=()
}

# conduit STATUS ARGUMENT...: what it printed is in out and err. On a machine
# that is so busy that a second attempt began, a probe is made again.
conduit() {
    local status want=$1 tries
    shift
    for ((tries = 0; tries < 10; tries++)); do
        status=0
        timeout -k 5 30 "$CONDUIT_BIN/conduit" "$@" >out 2>err || status=$?
        grep -q 'another address was faster' out || break
    done
    [[ $status = "$want" ]] || die "$* answers $status: $(<out) $(<err)"
}

# attempts PATTERN...: lines of attempts, in order, and no other.
attempts() {
    local line i=0
    while IFS= read -r line; do
        [[ $line =~ ^\ *[0-9]+\ us\ +[0-9]+\ us\ +(won\ |lost)\ \ .+$ ]] ||
            die "no attempt: $line"
        ((i < $#)) || die "more than $# attempts: $line"
        i=$((i + 1))
        # shellcheck disable=SC2053
        [[ $line == ${!i} ]] || die "attempt $i: $line"
    done < <(grep -v '^connected: ' out)
    ((i == $#)) || die "$i attempts: $(<out)"
}
connected() { # LAYERS PEER
    is "$(grep '^connected: ' out)" "connected: layers $1, peer $2"
}

# --- who is there -----------------------------------------------------------

start auto://localhost:0
[[ $uri =~ ^auto://localhost:([1-9][0-9]*)$ ]] || die "$uri"
port=${BASH_REMATCH[1]}
[[ -S registry/auto.$port ]] || die "nothing is registered"
is "$(stat -c %a registry)" 700

conduit 0 probe "$uri"
attempts "*won   vchan:auto.$port"
connected vchan "vchan:auto.$port"
is "$(<err)" ''
conduit 0 probe "http+$uri/x"
attempts "*won   vchan:auto.$port"
conduit 0 probe "tcp://127.0.0.1:$port"
attempts "*won   tcp+socket 127.0.0.1:$port"
connected tcp+socket "127.0.0.1:$port"
conduit 0 fetch -d '' "http+$uri/api/counter"
is "$(<out)" '{"counter":1}'
conduit 0 fetch "http+$uri/api/info"
[[ $(<out) == *'"transport":"vchan"'* ]] || die "$(<out)"
conduit 0 fetch "http://127.0.0.1:$port/api/counter"
is "$(<out)" '{"counter":1}'

# Another registry has nothing of this one.
CONDUIT_RUNTIME_DIR=$work/other conduit 0 probe "auto://127.0.0.1:$port"
attempts "*lost  vchan:auto.$port  vchan: *$work/other*" \
    "*lost  unix:auto.$port  vchan: *$work/other*" \
    "*won   tcp+socket 127.0.0.1:$port"
connected tcp+socket "127.0.0.1:$port"

# --- killed, and started again ----------------------------------------------

stop KILL
[[ -S registry/auto.$port ]] || die "no stale socket to try"
conduit 7 probe "auto://127.0.0.1:$port"
attempts "*lost  vchan:auto.$port *refused*" "*lost  unix:auto.$port *refused*" \
    "*lost  tcp+socket 127.0.0.1:$port *refused*"
[[ $(<err) == 'conduit: (7) tcp+socket: '*'; so did 2 more' ]] || die "$(<err)"
start "auto://127.0.0.1:$port"
conduit 0 probe "auto://127.0.0.1:$port"
attempts "*won   vchan:auto.$port"
conduit 0 fetch "http+auto://127.0.0.1:$port/api/counter"
is "$(<out)" '{"counter":0}'

# Who comes second is told why it cannot have the port.
status=0
timeout 10 "$CONDUIT_BIN/counter" --listen "auto://127.0.0.1:$port" \
    >out 2>err || status=$?
is "$status" 1
stop TERM
[[ ! -e registry/auto.$port ]] || die "a socket is left"

# --- names ------------------------------------------------------------------

start auto://counter
is "$uri" auto://counter
conduit 0 probe auto://counter
attempts '*won   vchan:counter'
conduit 0 fetch -d '' http+auto://counter/api/counter
is "$(<out)" '{"counter":1}'
conduit 0 probe vchan://counter
stop KILL
start auto://counter
conduit 0 fetch http+auto://counter/api/counter
is "$(<out)" '{"counter":0}'
stop TERM
conduit 7 probe auto://counter
attempts '*lost  vchan:counter  vchan: nobody has registered counter in *' \
    '*lost  unix:counter  vchan: nobody has registered counter in *'

# Without a registry TCP is there, and the log says why alone; a name is not.
touch file
CONDUIT_RUNTIME_DIR=$work/file/none start auto://127.0.0.1:0
grep -q "auto: auto\.[0-9]* is not registered.*$work/file/none" errors ||
    die "$(<errors)"
CONDUIT_RUNTIME_DIR=$work/file/none conduit 0 probe "$uri"
[[ $(<out) == *'won   tcp+socket '* ]] || die "$(<out)"
stop TERM
status=0
CONDUIT_RUNTIME_DIR=$work/file/none timeout 10 "$CONDUIT_BIN/counter" \
    --listen auto://counter >out 2>err || status=$?
is "$status" 1
grep -q "$work/file/none" err || die "$(<err)"

# --- TLS --------------------------------------------------------------------

openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
    -keyout key.pem -out cert.pem -days 1 -subj /CN=localhost \
    -addext subjectAltName=DNS:localhost 2>log
start tls+auto://localhost:0 --cert cert.pem --key key.pem
conduit 0 probe --cacert cert.pem "$uri"
attempts '*won   vchan:auto.*'
connected tls+vchan "vchan:auto.${uri##*:}"
conduit 0 fetch --cacert cert.pem "http+$uri/api/counter"
is "$(<out)" '{"counter":0}'
conduit 60 probe "$uri"
conduit 60 probe --cacert=cert.pem "tls+auto://127.0.0.1:${uri##*:}"
conduit 0 probe --cacert cert.pem --tls-name localhost \
    "tls+auto://127.0.0.1:${uri##*:}"
conduit 0 probe --insecure "tls+auto://127.0.0.1:${uri##*:}"
conduit 58 probe --cacert none.pem "$uri"
stop TERM

# --- the command line -------------------------------------------------------

conduit 0 probe --help
[[ $(<out) == 'usage: conduit probe '* ]] || die "$(<out)"
conduit 2 probe
conduit 2 probe a b
conduit 2 probe --nonsense auto://a
conduit 2 probe -m x auto://a
conduit 2 probe -m
conduit 2 probe --insecure auto://a
conduit 2 probe --cert cert.pem tls+auto://a
conduit 2 probe tls+auto://a
conduit 1 probe gopher://a
conduit 3 probe auto://A
conduit 6 probe auto://nobody.invalid:80
conduit 3 probe auto://:80
conduit 7 probe --max-time=5 "unix://$work/none"
attempts "*lost  unix:$work/none *"
conduit 0 transports
grep -q '^vchan ' out || die "$(<out)"
grep -q '^auto ' out || die "$(<out)"
