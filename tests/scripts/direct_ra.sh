#!/usr/bin/env bash
# SPDX-License-Identifier: ISC
#
# The stack in the process has its IPv6 address by a router that announces
# itself, dnsmasq: it waits for one that comes late, serves by the address,
# takes another one, connects from it, also beyond the link, and has names by
# the servers that the router tells of, behind those that were given.
# shellcheck source=tests/support/net_scripts.sh
source "${BASH_SOURCE[0]%/*}/../support/net_scripts.sh"
needs dnsmasq curl
new_net net
# A router announces itself by its address on the link, which is to be there as
# soon as somebody has the TAP; and the system hears what it announces itself.
# shellcheck disable=SC2016
within "$net" sh -c 'for what in accept_dad dad_transmits accept_ra; do
    echo 0 >"/proc/sys/net/ipv6/conf/default/$what"
done'
new_tap "$net" tap0 10.9.0.1/24 fd00:9::1/64
add_address "$net" lo fd00:a::1/128
stack=direct,tap=tap0,slaac,mac=02:00:00:00:00:02
ours=fd00:9::ff:fe00:2
ours_later=fd00:b::ff:fe00:2

# run_dnsmasq LOG OPTION...: its process is $dnsmasq.
dnsmasq=''
run_dnsmasq() {
    local log=$1
    shift
    : >"$log"
    exec ip netns exec "$net" dnsmasq --keep-in-foreground \
        --conf-file=/dev/null --user=root --pid-file= --no-hosts --no-resolv \
        --log-facility=- --log-queries --local=/test/ "$@" 2>"$log" &
    dnsmasq=$!
    pids+=("$dnsmasq")
    until_so dnsmasq grep -q 'started, version' "$log"
}
# announce OPTION...: a router that has the prefixes of tap0.
announce() {
    run_dnsmasq router.log --interface=tap0 --except-interface=lo --bind-dynamic --enable-ra \
        --dhcp-range=::,constructor:tap0,ra-only,64,1h --leasefile-ro \
        --host-record=six.test,fd00:9::1 --host-record=far.test,fd00:a::1 "$@"
    router=$dnsmasq
}
answers() { # ADDRESS
    [[ $(within "$net" curl -gs -m 1 "http://[$1]/api/counter") = '{"counter":'* ]]
}
asked() { # LOG TYPE NAME ADDRESS
    grep -q "query\[$2\] $3 from $4\$" "$1" || die "$(<"$1")"
}
zero='{"counter":0}' one='{"counter":1}'

# There is no router: who waits for an address or a name is told in time.
fails 28 "$net" "$stack" conduit fetch -m 2 'http://[fd00:9::1]/'
fails 28 "$net" "$stack" conduit fetch -m 2 http://six.test/

# One comes, and another prefix later on.
CONDUIT_LOG=info start "$net" "$stack" counter --listen 'tcp://[::]:80'
announce
until_so 'the address' answers "$ours"
grep -qx "conduit info: direct: address $ours" "$errors" || die "$(<"$errors")"
ip -n "$net" -6 neigh show "$ours" | grep -q 'lladdr 02:00:00:00:00:02' ||
    die "$(ip -n "$net" -6 neigh)"
is "$(within "$net" curl -gsS -d '' "http://[$ours]/api/counter")" \
    "$one"
add_address "$net" tap0 fd00:b::1/64
until_so 'the second address' answers "$ours_later"
answers "$ours" || die 'the first address is gone'
grep -qx "conduit info: direct: address $ours_later" "$errors" ||
    die "$(<"$errors")"
stop "$service"
ip -n "$net" addr del fd00:b::1/64 dev tap0

# Outwards: on the link, and by the router beyond it. Names are the router's,
# which has an address on the link and tells of that.
start "$net" socket counter --listen 'tcp://[fd00:9::1]:80' \
    --listen 'tcp://[fd00:a::1]:80'
for host in '[fd00:9::1]' far.test; do
    is "$(ask "$net" "$stack" "http://$host/api/counter")" "$zero"
done
for host in '[fd00:a::1]' six.test; do
    is "$(ask "$net" "$stack,ip6=fd00:9::2/64" "http://$host/api/counter")" \
        "$zero"
done
asked router.log AAAA far.test 'fe80::ff:fe00:2'
is "$(ask "$net" direct,tap=tap0,ip6=fd00:9::2/64,gw6=fd00:9::1 \
    'http://[fd00:a::1]/api/counter')" "$zero"
is "$(CONDUIT_NET=$stack within "$net" timeout -k 5 30 \
    "$CONDUIT_BIN/counter-client" 'http://[fd00:a::1]/')" "$one"

# It tells of a server that has another address.
killed "$router"
announce '--dhcp-option=option6:dns-server,[fd00:9::1]'
is "$(ask "$net" "$stack" http://six.test/api/counter)" "$one"
asked router.log AAAA six.test "$ours"

# A server that was given is asked before; the router's, where that does not
# know the name.
run_dnsmasq given.log --listen-address=fd00:a::1 --bind-interfaces \
    --host-record=six.test,fd00:a::1
ask "$net" "$stack,dns=fd00:a::1" -v http://six.test/api/counter >out
grep -qF '* attempt tcp+direct [fd00:a::1]:80' err || die "$(<err)"
is "$(ask "$net" "$stack,dns=fd00:a::1" http://far.test/api/counter)" "$one"
asked given.log AAAA far.test "$ours"
asked router.log AAAA far.test "$ours"
fails 6 "$net" "$stack,dns=fd00:a::1" conduit fetch http://none.test/
stop "$service"
