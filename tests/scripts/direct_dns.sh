#!/usr/bin/env bash
# SPDX-License-Identifier: ISC
#
# Names over the stack in the process, asked of dnsmasq: IPv4, IPv6, both, by
# another name, none, and a server that does not answer.
# shellcheck source=tests/support/net_scripts.sh
source "${BASH_SOURCE[0]%/*}/../support/net_scripts.sh"
needs dnsmasq socat
new_net net
new_tap "$net" tap0 10.9.0.1/24 fd00:9::1/64
stack=direct,tap=tap0,ip=10.9.0.2/24
both=$stack,ip6=fd00:9::2/64

exec ip netns exec "$net" dnsmasq --keep-in-foreground \
    --conf-file=/dev/null --user=root --pid-file= --no-hosts --no-resolv --bind-interfaces \
    --listen-address=10.9.0.1,fd00:9::1 --log-facility=- --log-queries \
    --local=/test/ --server=/silent.test/10.9.0.1#5300 \
    --host-record=four.test,10.9.0.1 --host-record=six.test,fd00:9::1 \
    --host-record=both.test,10.9.0.1,fd00:9::1 --cname=alias.test,four.test \
    2>dns.log &
pids+=($!)
until_so dnsmasq grep -q 'started, version' dns.log
exec ip netns exec "$net" socat -u UDP4-RECV:5300,bind=10.9.0.1 \
    OPEN:silent,creat,append &
pids+=($!)

start "$net" socket counter --listen tcp://10.9.0.1:80 \
    --listen 'tcp://[fd00:9::1]:80'

# From either family's server, in either family.
for server in 10.9.0.1 fd00:9::1; do
    for name in four.test six.test both.test alias.test FOUR.test four.test.; do
        is "$(ask "$net" "$both,dns=$server" "http://$name/api/counter")" \
            '{"counter":0}'
    done
done
for name in four.test both.test alias.test; do
    is "$(ask "$net" "$stack,dns=10.9.0.1" "http://$name/api/counter")" \
        '{"counter":0}'
done
grep -q 'query\[A\] four.test from 10.9.0.2' dns.log || die "$(<dns.log)"
grep -q 'query\[AAAA\] six.test from fd00:9::2' dns.log || die "$(<dns.log)"
ask "$net" "$both,dns=10.9.0.1" -v http://six.test/api/counter >out
grep -q '^\* attempt tcp+direct \[fd00:9::1\]:80 .*: connected$' err ||
    die "$(<err)"

# Another server, where the first does not answer.
is "$(ask "$net" "$stack,dns=10.9.0.77,dns=10.9.0.1" \
    http://four.test/api/counter)" '{"counter":0}'

# Names that are not, and those that cannot be asked for.
fails 6 "$net" "$both,dns=10.9.0.1" conduit fetch http://none.test/
says none.test
fails 6 "$net" "$stack,dns=10.9.0.1" conduit fetch http://none.test/
begin=$SECONDS
fails 28 "$net" "$both,dns=10.9.0.1" conduit fetch -m 2 http://silent.test/
until_so 'a query that nobody answers' has_text silent
fails 6 "$net" "$stack" conduit fetch -m 10 http://four.test/ # no server
long=$(printf '%063d.' 1 2 3)
fails 6 "$net" "$stack,dns=10.9.0.1" conduit fetch "http://${long}test/"
((SECONDS - begin < 15)) || die "it took $((SECONDS - begin)) s"
