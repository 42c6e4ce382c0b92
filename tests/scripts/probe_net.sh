#!/usr/bin/env bash
# SPDX-License-Identifier: ISC
#
# auto://host:port means a port of one's own network namespace. Who shares the
# registry's folder and not the network, as containers may, does not get another
# namespace's service for it, but gets its own; a name is found from anywhere.
# shellcheck source=tests/support/scripts.sh
source "${BASH_SOURCE[0]%/*}/../support/scripts.sh"
needs unshare nsenter ip
if ((EUID != 0)) || ! unshare -n true 2>/dev/null; then
    echo "skipped: not allowed to make a network namespace"
    exit 77
fi
export CONDUIT_RUNTIME_DIR=$work/registry

has_line() {
    (($(wc -l <"$1") >= 1))
}
# start NAME URI COMMAND...: a service, by a command before it; ${uri} is its
# URI and ${pid} its process then.
start() {
    local name=$1 at=$2
    shift 2
    : >"$name"
    "$@" "$CONDUIT_BIN/counter" --listen "$at" >"$name" 2>errors &
    pid=$!
    pids+=("$pid")
    until_so "a line of $name" has_line "$name"
    uri=$(sed 's/^listening //' "$name")
}
# run STATUS COMMAND...: a probe is made again where the machine is so busy that
# a second attempt began.
run() {
    local status want=$1 tries
    shift
    for ((tries = 0; tries < 10; tries++)); do
        status=0
        timeout -k 5 30 "$@" >out 2>err || status=$?
        grep -q 'another address was faster' out || break
    done
    [[ $status = "$want" ]] || die "$* answers $status: $(<out) $(<err)"
}

# A namespace, held by a process that waits for nothing.
mkfifo never
: >holder
# shellcheck disable=SC2016
unshare -n bash -c 'ip link set lo up && echo up && read -r <"$0"' never \
    >holder 2>errors &
holder=$!
pids+=("$holder")
until_so 'a namespace' has_line holder
there=(nsenter -t "$holder" -n)

start here auto://127.0.0.1:0
here=$uri
port=${here##*:}
start named auto://counter

run 0 "$CONDUIT_BIN/conduit" probe "$here"
[[ $(<out) == *"won   vchan:auto.$port"* ]] || die "$(<out)"
run 7 "${there[@]}" "$CONDUIT_BIN/conduit" probe "$here"
lost=$(grep -c "lost  .*:auto.$port  .* in another network namespace" out)
is "$lost" 2
[[ $(<out) == *"lost  tcp+socket 127.0.0.1:$port "*refused* ]] || die "$(<out)"
run 7 "${there[@]}" "$CONDUIT_BIN/conduit" fetch "http+$here/api/counter"
is "$(<out)" ''

# A service of that port over there, which has no other way than TCP.
start far "$here" env "CONDUIT_RUNTIME_DIR=$work/other" "${there[@]}"
run 0 "${there[@]}" "$CONDUIT_BIN/conduit" probe "$here"
[[ $(<out) == *"won   tcp+socket 127.0.0.1:$port"* ]] || die "$(<out)"
run 0 "${there[@]}" "$CONDUIT_BIN/conduit" fetch -d '' "http+$here/api/counter"
is "$(<out)" '{"counter":1}'
run 0 "$CONDUIT_BIN/conduit" fetch "http+$here/api/counter"
is "$(<out)" '{"counter":0}'

# A name belongs to a user, wherever that user's processes are.
run 0 "${there[@]}" "$CONDUIT_BIN/conduit" probe auto://counter
[[ $(<out) == *'won   vchan:counter'* ]] || die "$(<out)"
