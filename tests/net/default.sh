#!/usr/bin/env bash
# SPDX-License-Identifier: ISC
#
#   tests/net/default.sh alone|address|dhcp
#
# Programs of a build whose default is the stack in the process, with no
# CONDUIT_NET in the environment:
#   alone    "direct", where sockets have no way: the system's loopback is down
#   address  "direct,tap=tap0,ip=10.0.0.2/24", asked by curl
#   dhcp     "direct,tap=tap0,dhcp", asked by curl
# scripts/check-net makes the builds. Status 77: not permitted here.
# shellcheck source=tests/support/net_scripts.sh
source "${BASH_SOURCE[0]%/*}/../support/net_scripts.sh"
new_net net

# serve LISTEN: the counter, with the build's default and nothing else.
serve() {
    : >lines
    exec ip netns exec "$net" "$CONDUIT_BIN/counter" --listen "$1" \
        >lines 2>errors &
    service=$!
    pids+=("$service")
    until_so 'the counter listens' listens_or_ended lines
    ! is_gone "$service" || die "no counter at $1"
}
answers() { # ADDRESS
    [[ $(within "$net" curl -s -m 1 "http://$1/api/counter") = '{"counter":'* ]]
}
counts() { # ADDRESS
    is "$(within "$net" curl -gsS -m 5 -d '' "http://$1/api/counter")" \
        '{"counter":1}'
}

alone() {
    ip -n "$net" link set lo down
    is "$(within "$net" timeout -k 5 30 "$CONDUIT_BIN/counter-client" --self \
        tcp://127.0.0.1:80)" '{"counter":1}'
}

address() {
    needs curl
    new_tap "$net" tap0 10.0.0.1/24
    serve tcp://0.0.0.0:80
    counts 10.0.0.2
    stop "$service"
    is_quiet errors
    # The system's stack, if somebody says so.
    start "$net" socket counter --listen tcp://10.0.0.1:80
    counts 10.0.0.1
}

dhcp() {
    needs curl dnsmasq
    new_tap "$net" tap0 10.0.0.1/24
    exec ip netns exec "$net" dnsmasq --keep-in-foreground \
        --conf-file=/dev/null --user=root --pid-file= --no-hosts --no-resolv \
        --no-ping --dhcp-authoritative --interface=tap0 --bind-interfaces \
        --dhcp-leasefile="$work/leases" --log-facility=- \
        --dhcp-range=10.0.0.50,10.0.0.50,2m 2>dhcp.log &
    pids+=("$!")
    until_so dnsmasq grep -q 'started, version' dhcp.log
    serve tcp://0.0.0.0:80
    until_so 'the address' answers 10.0.0.50
    counts 10.0.0.50
    stop "$service"
    is_quiet errors
}

case ${1:-} in
alone | address | dhcp) "$1" ;;
*) die "usage: default.sh alone|address|dhcp" ;;
esac
