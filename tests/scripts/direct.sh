#!/usr/bin/env bash
# SPDX-License-Identifier: ISC
#
# The programs over the stack in the process: as servers, asked by curl through
# the system's stack; as clients; between themselves over a bridge; the same
# programs over sockets; a trace; and what those hear who may not, or name what
# is not there.
# shellcheck source=tests/support/net_scripts.sh
source "${BASH_SOURCE[0]%/*}/../support/net_scripts.sh"
needs curl tcpdump
new_net net
new_tap "$net" tap0 10.9.0.1/24 fd00:9::1/64
new_tap "$net" tap1 10.9.1.1/24
served=direct,tap=tap0,ip=10.9.0.2/24,ip6=fd00:9::2/64
asking=direct,tap=tap1,ip=10.9.1.2/24
get() {
    within "$net" curl -gsS -m 20 "$@"
}
head -c 5000000 /dev/urandom >big
counted=$(LC_ALL=C awk 'BEGIN { for (i = 0; i < 256; i++) s = s sprintf("%c", i)
    for (i = 0; i < 40000; i++) printf "%s", s }' | sha256sum)
octets=(-H 'Content-Type: application/octet-stream')

# --- a server ---------------------------------------------------------------

start "$net" "$served" counter --listen tcp://0.0.0.0:80 --listen 'tcp://[::]:80'
at=http://10.9.0.2
is "$(get $at/api/counter)" '{"counter":0}'
is "$(get -d '' $at/api/counter)" '{"counter":1}'
is "$(get 'http://[fd00:9::2]/api/counter')" '{"counter":1}'
is "$(get -o out -w '%{http_code}' $at/)" 200
for _ in {1..40}; do
    echo "url = $at/api/counter"
done >many
is "$(get --no-progress-meter -Z --parallel-immediate -H 'Connection: close' \
    -K many | grep -o '{"counter":1}' | wc -l)" 40
begin=$SECONDS status=0
get http://10.9.0.2:81/ 2>err || status=$? # nobody listens: told at once
is "$status" 7
((SECONDS - begin < 2)) || die "it took $((SECONDS - begin)) s"

# The device is this process's for as long as it lives.
fails 1 "$net" "$served" counter --listen tcp://0.0.0.0:80
says tap0
is "$(get $at/api/counter)" '{"counter":1}'
stop "$service"
is_quiet "$errors"
start "$net" "$served" counter --listen tcp://10.9.0.2:80
is "$(get $at/api/counter)" '{"counter":0}'
killed "$service"

# Much, both ways at once, with and without the device's help.
for options in '' ,offload=off ,mtu=9000; do
    mtu=1500
    [[ $options != *mtu=* ]] || mtu=9000
    ip -n "$net" link set tap0 mtu "$mtu"
    start "$net" "$served$options" http_service tcp://0.0.0.0:80
    get "${octets[@]}" --data-binary @big $at/echo | cmp - big ||
        die "5 MB there and back, with '$options'"
    get $at/count/40000 >count
    is "$(sha256sum <count)" "$counted"
    stop "$service"
    is_quiet "$errors"
done

# --- a client ---------------------------------------------------------------

start "$net" socket counter --listen tcp://10.9.1.1:80
is "$(ask "$net" "$asking" http://10.9.1.1/api/counter)" '{"counter":0}'
is "$(CONDUIT_NET=$asking within "$net" "$CONDUIT_BIN/counter-client" \
    tcp://10.9.1.1:80)" '{"counter":1}'
CONDUIT_NET=$asking within "$net" "$CONDUIT_BIN/counter-client" --info \
    tcp://10.9.1.1:80 >out
[[ $(<out) == *'"peer":"10.9.1.2:'* ]] || die "$(<out)"
ask "$net" "$asking" -v http://10.9.1.1/api/counter >out
grep -q '^\* attempt tcp+direct 10.9.1.1:80 .*: connected$' err || die "$(<err)"
fails 7 "$net" "$asking" conduit fetch http://10.9.1.1:81/
# No such host: ARP is not answered, which lwIP does not tell.
fails 28 "$net" "$asking" conduit fetch -m 1 http://10.9.1.77/

# The same program, over sockets: by the environment, or by the URI.
is "$(ask "$net" socket http://10.9.1.1/api/counter)" '{"counter":1}'
is "$(ask "$net" "$asking" http+tcp+socket://10.9.1.1/api/counter)" \
    '{"counter":1}'

# A trace that others can read.
is "$(ask "$net" "$asking,pcap=$work/trace.pcap" \
    http://10.9.1.1/api/counter)" '{"counter":1}'
tcpdump -nr trace.pcap >trace 2>err || die "$(<err)"
for line in 'ARP, Request who-has 10.9.1.1' \
    'IP 10.9.1.2.[0-9]* > 10.9.1.1.80: Flags \[S\]' \
    'IP 10.9.1.1.80 > 10.9.1.2.[0-9]*: Flags \[S.\]' \
    'GET /api/counter HTTP/1.1' 'HTTP/1.1 200 OK' \
    'IP 10.9.1.2.[0-9]* > 10.9.1.1.80: Flags \[F.\]'; do
    grep -q "$line" trace || die "no $line in: $(<trace)"
done
stop "$service"

# --- networks of sizes that are less usual ------------------------------------

# both_ways TAP STACK OURS SYSTEM'S...: a connection to each of the system's
# addresses, and one from there.
both_ways() {
    local stack=direct,tap=$1,$2 ours=$3 to
    shift 3
    for to in "$@"; do
        start "$net" socket counter --listen "tcp://$to:80"
        is "$(ask "$net" "$stack" "http://$to/api/counter")" '{"counter":0}'
        stop "$service"
        start "$net" "$stack" counter --listen "tcp://$ours:80"
        is "$(get --interface "${to//[][]/}" "http://$ours/api/counter")" \
            '{"counter":0}'
        stop "$service"
        is_quiet "$errors"
    done
}
# Two hosts, and no broadcast: RFC 3021.
new_tap "$net" tap6 10.9.6.0/31
both_ways tap6 ip=10.9.6.1/31 10.9.6.1 10.9.6.0
new_tap "$net" tap7 10.9.7.1/31
both_ways tap7 ip=10.9.7.0/31 10.9.7.0 10.9.7.1

# More than 64 bits on the link, or fewer: what is beyond goes by the gateway.
# The system does not say on the link that it has the addresses of lo.
new_tap "$net" tap8 fd00:8:0:5::1/48
both_ways tap8 ip6=fd00:8::2/48 '[fd00:8::2]' '[fd00:8:0:5::1]'
new_tap "$net" tap10 fd00:a::1/120
add_address "$net" lo fd00:a::1:1/128
both_ways tap10 ip6=fd00:a::2/120,gw6=fd00:a::1 '[fd00:a::2]' '[fd00:a::1]' \
    '[fd00:a::1:1]'
new_tap "$net" tap11 fe80::1/64
add_address "$net" lo 2001:db8::1/128
ip -n "$net" route add 2001:db8::2/128 dev tap11
both_ways tap11 ip6=2001:db8::2/128,gw6=fe80::1 '[2001:db8::2]' '[2001:db8::1]'

# --- between two stacks -----------------------------------------------------

ip -n "$net" link add bridge0 type bridge
ip -n "$net" link set bridge0 up
for tap in tap2 tap3; do
    new_tap "$net" $tap
    ip -n "$net" link set $tap master bridge0
done
for _ in {1..10}; do
    cat big
done >bigger
start "$net" direct,tap=tap2,ip=10.9.2.2/24 http_service tcp://0.0.0.0:80
ask "$net" direct,tap=tap3,ip=10.9.2.3/24 "${octets[@]}" -d @bigger \
    http://10.9.2.2/echo | sha256sum >sum
is "$(<sum)" "$(sha256sum <bigger)"
rm bigger
stop "$service"

# --- who may not, and what is not there ---------------------------------------

for bad in direct,nonsense direct,tap= direct,ip=10.9.0.2/24/ \
    direct,tap=tap0,ip=10.9.0.2/33 direct,tap=tap0,ip=nonsense \
    direct,tap=tap0,mtu=1 direct,tap=a-name-that-is-too-long; do
    fails 1 "$net" "$bad" counter --listen tcp+direct://0.0.0.0:80
    says direct
done
fails 1 "$net" direct,tap=tap0,ip=10.9.0.2/24,pcap=/no/such/file counter \
    --listen tcp://0.0.0.0:80
says /no/such/file

# Others than root: not as long as nobody lets them.
chmod 755 "$work"
cp "$CONDUIT_BIN/counter" .
mknod tun c 10 200
chmod 666 tun
as_nobody() { # NAME-OF-TAP
    # shellcheck disable=SC2016
    CONDUIT_NET=direct,tap=$1,ip=10.9.4.2/24 exec ip netns exec "$net" bash -c '
        mount --bind tun /dev/net/tun
        exec setpriv --reuid 65534 --regid 65534 --clear-groups \
            ./counter --listen tcp://0.0.0.0:80'
}
# Without an owner it is everybody's who may open the device.
ip -n "$net" tuntap add dev tap5 mode tap user 0
for tap in tap5 tap9; do # somebody else's; not there
    status=0
    (as_nobody $tap) >out 2>err || status=$?
    is "$status" 1
    says $tap
    says "ip tuntap add"
done
ip -n "$net" tuntap add dev tap4 mode tap user 65534
ip -n "$net" link set tap4 up
add_address "$net" tap4 10.9.4.1/24
as_nobody tap4 >out 2>err &
service=$!
pids+=("$service")
until_so 'a service without rights' listens_or_ended out
is "$(get http://10.9.4.2/api/counter)" '{"counter":0}' || die "$(<err)"
stop "$service"
