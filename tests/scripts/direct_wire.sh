#!/usr/bin/env bash
# SPDX-License-Identifier: ISC
#
# The stack in the process on a bad network: frames are lost, doubled, late, in
# another order, damaged; large ones vanish; the link goes down and comes back.
# Every byte arrives, or an error is reported in time; never anything else. By a
# wire of our own, since not every kernel has netem.
# shellcheck source=tests/support/net_scripts.sh
source "${BASH_SOURCE[0]%/*}/../support/net_scripts.sh"
needs curl

# The process has tap0 in `near`, the system is in `far`, the wire is between.
near='' far=''
new_net near
new_net far
new_tap "$near" tap0
new_tap "$near" wire0
new_tap "$far" wire1 10.9.0.1/24
ip -n "$near" link add bridge0 type bridge
ip -n "$near" link set bridge0 up
ip -n "$near" link set tap0 master bridge0
ip -n "$near" link set wire0 master bridge0
wire=''
rewire() { # KIND=VALUE...
    [[ ! $wire ]] || killed "$wire"
    : >wire.lines
    "$CONDUIT_BIN/bad_wire" "$near" wire0 "$far" wire1 "$@" >wire.lines &
    wire=$!
    pids+=("$wire")
    until_so 'the wire' has_text wire.lines
}

rewire
start "$far" socket http_service tcp://10.9.0.1:80
start "$near" direct,tap=tap0,ip=10.9.0.2/24 http_service tcp://0.0.0.0:80
direct=$service
direct_errors=$errors
new_tap "$near" tap1
ip -n "$near" link set tap1 master bridge0
asking=direct,tap=tap1,ip=10.9.0.3/24

head -c 300000 /dev/urandom >body
octets=(-H 'Content-Type: application/octet-stream')
into() {
    within "$far" curl -sS -m 30 "${octets[@]}" --data-binary @body \
        http://10.9.0.2/echo
}
out_of() {
    CONDUIT_NET=$asking within "$near" timeout -k 5 40 \
        "$CONDUIT_BIN/conduit" fetch -m 30 "${octets[@]}" -d @body \
        http://10.9.0.1/echo
}

# Whatever else is so, all of it arrives.
for kind in delay=0 loss=3 duplicate=10 reorder=10 'delay=10 reorder=20' \
    corrupt=3 'loss=2 duplicate=2 reorder=5 corrupt=1 delay=2'; do
    # shellcheck disable=SC2086
    rewire $kind
    begin=$EPOCHREALTIME
    into 2>err | cmp - body || die "into the process, $kind: $(<err)"
    out_of 2>err | cmp - body || die "out of the process, $kind: $(<err)"
    end=$EPOCHREALTIME
    printf '%s: %s ms\n' "$kind" $(((${end/./} - ${begin/./}) / 1000))
done

# Of a burst as long as a large segment only the beginning arrives, each time,
# once there are such segments.
rewire delay=10 bucket=30000 after=1000000
mv body small
head -c 1500000 /dev/urandom >body
begin=$EPOCHREALTIME
out_of 2>err | cmp - body || die "out of the process, bucket: $(<err)"
mv small body
end=$EPOCHREALTIME
printf 'bucket: %s ms\n' $(((${end/./} - ${begin/./}) / 1000))

# Nothing arrives but small packets: what is small goes through, and what is not
# ends with an error before its time is up, or all of it is there.
rewire mtu=800
is "$(within "$far" curl -sS -m 10 http://10.9.0.2/hello)" hello
is "$(ask "$near" "$asking" http://10.9.0.1/hello)" hello
begin=$SECONDS
CONDUIT_NET=$asking within "$near" timeout -k 5 20 "$CONDUIT_BIN/conduit" \
    fetch -m 3 "${octets[@]}" -d @body http://10.9.0.1/echo >out 2>err &
asker=$!
status=0
within "$far" curl -sS -m 3 "${octets[@]}" --data-binary @body \
    http://10.9.0.2/echo >in 2>err || status=$?
[[ $status = 28 ]] || cmp in body || die "status $status"
status=0
wait "$asker" || status=$?
[[ $status = 28 ]] || cmp out body || die "status $status: $(<err)"
((SECONDS - begin < 15)) || die "it took $((SECONDS - begin)) s"

# The link goes down in the midst of it, and comes back.
rewire delay=10
for way in into out_of; do
    tap=tap0
    [[ $way = into ]] || tap=tap1
    $way >out 2>err &
    asker=$!
    until_so "an answer to begin, $way" has_text out
    ip -n "$near" link set $tap down
    sleep 0.3
    ip -n "$near" link set $tap up
    wait "$asker" || die "$way: $? $(<err)"
    cmp out body
done

# The peer vanishes: told in the end.
rewire loss=100
begin=$SECONDS
fails 28 "$near" "$asking" conduit fetch -m 2 http://10.9.0.1/hello
((SECONDS - begin < 10)) || die "it took $((SECONDS - begin)) s"
stop "$direct"
is_quiet "$direct_errors"
