#!/usr/bin/env bash
# SPDX-License-Identifier: ISC
#
# The stack in the process asks dnsmasq for its address: serves by it, keeps it
# while the server is away, asks again when the link comes back, takes a no for
# an answer, and waits for a server that comes late. What takes minutes, as
# renewing does, is in test_direct_dhcp.c.
# shellcheck source=tests/support/net_scripts.sh
source "${BASH_SOURCE[0]%/*}/../support/net_scripts.sh"
needs dnsmasq curl
new_net net
new_tap "$net" tap0 10.9.0.1/24

# serve FIRST LAST: dnsmasq, with a lease's shortest time. It forgets what it
# gave when it ends.
dhcp=''
serve() {
    : >dhcp.log
    rm -f leases
    exec ip netns exec "$net" dnsmasq --keep-in-foreground \
        --conf-file=/dev/null --user=root --pid-file= --no-hosts --no-resolv --no-ping \
        --dhcp-authoritative --interface=tap0 --bind-interfaces \
        --dhcp-leasefile="$work/leases" --log-facility=- --log-dhcp \
        --dhcp-range="$1,$2,2m" --dhcp-option=3,10.9.0.1 \
        --dhcp-option=6,10.9.0.1 --host-record=named.test,10.9.0.1 \
        2>dhcp.log &
    dhcp=$!
    pids+=("$dhcp")
    until_so dnsmasq grep -q 'started, version' dhcp.log
}
get() {
    within "$net" curl -sS -m 5 "$@"
}
answers() { # ADDRESS
    [[ $(within "$net" curl -s -m 1 "http://$1/api/counter") = '{"counter":'* ]]
}
stack=direct,tap=tap0,dhcp,hostname=toaster

# Somebody who wants to connect waits for the address, and has names with it.
serve 10.9.0.50 10.9.0.50
start "$net" socket counter --listen tcp://10.9.0.1:80
is "$(ask "$net" "$stack" http://10.9.0.1/api/counter)" '{"counter":0}'
is "$(ask "$net" "$stack" http://named.test/api/counter)" '{"counter":0}'
grep -q 'DHCPACK(tap0) 10.9.0.50 .* toaster' dhcp.log || die "$(<dhcp.log)"

start "$net" "$stack" counter --listen tcp://0.0.0.0:80
until_so 'the address' answers 10.9.0.50
is "$(get -d '' http://10.9.0.50/api/counter)" '{"counter":1}'

# The server is away: the address stays as long as it was given for.
killed "$dhcp"
is "$(get http://10.9.0.50/api/counter)" '{"counter":1}'

# The link comes back, and the server is a new one that agrees.
link() {
    ip -n "$net" link set tap0 "$1"
    [[ $1 = down ]] || ip -n "$net" route replace 10.9.0.0/24 dev tap0
}
link down
link up
serve 10.9.0.50 10.9.0.50
link down
link up
until_so 'the old address to be asked for' \
    grep -q 'DHCPREQUEST(tap0) 10.9.0.50' dhcp.log
until_so 'the address again' answers 10.9.0.50

# It does not: the address is left, for one of the new ones.
killed "$dhcp"
serve 10.9.0.60 10.9.0.60
link down
link up
until_so 'a refusal' grep -q 'DHCPNAK(tap0) 10.9.0.50' dhcp.log
until_so 'a new address' answers 10.9.0.60
! answers 10.9.0.50 || die "the old address still answers"
is "$(get http://10.9.0.60/api/counter)" '{"counter":1}'
stop "$service"
is_quiet "$errors"

# Nobody gives an address: whoever waits for one is told in time; and then
# somebody does.
killed "$dhcp"
begin=$SECONDS
fails 28 "$net" "$stack" conduit fetch -m 2 http://10.9.0.1/api/counter
((SECONDS - begin < 8)) || die "it took $((SECONDS - begin)) s"
start "$net" "$stack" counter --listen tcp://0.0.0.0:80
serve 10.9.0.70 10.9.0.70
until_so 'the address of a late server' answers 10.9.0.70
stop "$service"
