#!/usr/bin/env bash
# SPDX-License-Identifier: ISC
#
# conduit relay, between peers that are not conduit: socat, curl and the shell's
# own sockets. What comes out is what went in, both ways at once and however
# slowly it is read; ends, failures and limits are seen on the other side.
# shellcheck source=tests/support/scripts.sh
source "${BASH_SOURCE[0]%/*}/../support/scripts.sh"
needs curl socat

# relay ARGUMENT...: starts one more; its process is $relay, its URI $uri, its
# TCP port, if it has one, $port, and its log lines are in log.
started=0
has_text() {
    [[ -s $1 ]]
}
relay() {
    local lines=lines.$((++started))
    CONDUIT_LOG=info "$CONDUIT_BIN/conduit" relay "$@" >"$lines" 2>>log &
    relay=$!
    pids+=("$relay")
    until_so "relay $*" has_text "$lines"
    uri=$(<"$lines")
    [[ $uri == 'listening '* ]] || die "$uri"
    uri=${uri#listening }
    port=${uri##*:}
}

# serve NAME ADDRESS...: a socat that listens at the Unix socket NAME.
serve() {
    local name=$1
    shift
    socat UNIX-LISTEN:"$work/$name",fork "$@" 2>>server.log &
    pids+=($!)
    until_so "socat at $name" test -S "$name"
}

# ended STATUS: the last relay ends by itself, and so.
ended() {
    local status=0
    until_so 'the end of the relay' is_gone "$relay"
    wait "$relay" || status=$?
    is "$status" "$1"
}

killed() {
    kill -KILL "$1"
    wait "$1" || true
} 2>/dev/null

logged() {
    grep -qE -- "$1" log
}

# refused STATUS TEXT ARGUMENT...: it does not even start, and says why.
refused() {
    local status=0 want=$1 text=$2
    shift 2
    timeout -k 5 20 "$CONDUIT_BIN/conduit" relay "$@" >out 2>err || status=$?
    [[ $status = "$want" ]] || die "status $status, not $want: $(<err)"
    grep -qF -- "$text" err || die "no '$text': $(<err)"
    is "$(<out)" ''
}

# --- the command line -------------------------------------------------------

help='; see conduit relay --help'
refused 2 "conduit: no URIs given$help"
refused 2 "conduit: no URI TO given$help" mem://a
refused 2 "two URIs, please, not also mem://c$help" mem://a mem://b mem://c
refused 2 "unknown option --nonsense$help" --nonsense mem://a mem://b
for option in -n --max -t --idle -c --connect -l --linger -g --grace; do
    refused 2 "wants" mem://a mem://b "$option"
    refused 2 "wants" "$option" soon mem://a mem://b
    refused 2 "wants" "$option" -1 mem://a mem://b
done
refused 2 '--max wants a count' --max=0 mem://a mem://b
refused 2 '--max wants a count' --max=1.5 mem://a mem://b
refused 2 '--connect wants seconds' --connect=0 mem://a mem://b
refused 2 '--idle wants seconds' --idle= mem://a mem://b
refused 2 '--idle wants seconds' --idle=nan mem://a mem://b
refused 1 'conduit: uri: ' gopher://a mem://b
refused 1 'conduit: uri: ' mem://a gopher://b
refused 1 'conduit: unix: ' "unix://$work/no/such" mem://b
"$CONDUIT_BIN/conduit" relay --help | grep -q '^usage: conduit relay'

# --- HTTP through a chain ---------------------------------------------------

"$CONDUIT_BIN/counter" --listen "unix://$work/counter" >counter.lines &
pids+=($!)
until_so 'the counter' has_text counter.lines
relay tcp://127.0.0.1:0 "unix://$work/counter"
first=$port
refused 1 'in use' "$uri" mem://b
relay "unix://$work/middle" "$uri"
relay tcp://127.0.0.1:0 "unix://$work/middle"
chain=$port
get() {
    curl -sS -m 10 "$@"
}
is "$(get "http://127.0.0.1:$chain/api/counter")" '{"counter":0}'
is "$(get -d '' "http://127.0.0.1:$first/api/counter")" '{"counter":1}'
is "$(get --unix-socket middle http://a/api/counter)" '{"counter":1}'
get "http://127.0.0.1:$chain/" | cmp - <(get --unix-socket counter http://a/)
for _ in {1..20}; do
    echo "url = http://127.0.0.1:$chain/api/counter"
done >many
is "$(get --no-progress-meter -Z -K many | grep -o '{"counter":1}' | wc -l)" 20

# --- ends -------------------------------------------------------------------

# Who asks ends first, and the answer comes afterwards.
serve sums EXEC:sha256sum
relay tcp://127.0.0.1:0 "unix://$work/sums"
is "$(printf abc | timeout 20 socat -t 15 - "TCP:127.0.0.1:$port")" \
    "$(printf abc | sha256sum)"
relay "unix://$work/front" "$uri"
is "$(printf abc | timeout 20 socat -t 15 - "UNIX:$work/front")" \
    "$(printf abc | sha256sum)"
is "$(timeout 20 socat -t 15 - "UNIX:$work/front" </dev/null)" \
    "$(sha256sum </dev/null)"

# Who answers ends first, and is sent more afterwards.
socat -t 15 UNIX-LISTEN:"$work/ends.socket" - <<<hello >got 2>>server.log &
ends=$!
pids+=("$ends")
until_so 'socat' test -S ends.socket
relay tcp://127.0.0.1:0 "unix://$work/ends.socket"
exec 6<>"/dev/tcp/127.0.0.1/$port"
is "$(timeout 10 cat <&6)" hello
echo more >&6
sleep 0.2
echo 'and more' >&6
exec 6>&-
until_so 'the other one to end' is_gone "$ends"
is "$(<got)" $'more\nand more'
until_so 'the pair to end' logged '14 bytes there, 6 back; ended in order'

# --- much, both ways at once, slowly ----------------------------------------

memory() {
    sed -n "s/^$1:[^0-9]*\([0-9]*\) kB/\1/p" "/proc/$relay/status"
}
# Not random, since there is much of it, but no two places are alike.
seq 1 9000000 >up
seq 9000000 -1 1 >down
cat >both <<'END'
#!/usr/bin/env bash
cat down &
(head -c 20000000; sleep 1; cat) | sha256sum >up.new
wait
mv up.new up.sum
END
chmod +x both
socat -t 30 UNIX-LISTEN:"$work/both.socket",fork EXEC:./both \
    2>>server.log &
pids+=($!)
until_so 'socat' test -S both.socket
relay tcp://127.0.0.1:0 "unix://$work/both.socket"
before=$(memory VmRSS)
timeout 60 socat -t 30 - "TCP:127.0.0.1:$port" <up |
    (head -c 1000000; sleep 1; cat) | cmp - down
until_so 'all to arrive' test -s up.sum
is "$(<up.sum)" "$(sha256sum <up)"
(($(memory VmHWM) - before < 8000)) ||
    die "memory: $before kB before, at most $(memory VmHWM) kB"
rm up down

# --- failures ---------------------------------------------------------------

# What the shell's own socket has to say of its end.
ends_with() {
    local status=0
    timeout 10 cat <&6 >out 2>err || status=$?
    exec 6>&-
    is "$status" 1
    grep -qF "$1" err || die "$(<err)"
}

# Nobody there: told by a reset, not by an end, and logged.
relay tcp://127.0.0.1:0 "unix://$work/nobody"
exec 6<>"/dev/tcp/127.0.0.1/$port"
ends_with 'reset by peer'
until_so 'the reason' logged \
    "127\.0\.0\.1:[0-9]+: cannot connect to unix://$work/nobody: unix: "
! get "http://127.0.0.1:$port/" >out 2>err || die "$(<out)"
dead=$port
killed "$relay"
relay "unix://$work/to-dead" "tcp://127.0.0.1:$dead"
timeout 10 socat - "UNIX:$work/to-dead" </dev/null || true
until_so 'the reason' logged \
    "cannot connect to tcp://127.0.0.1:$dead: tcp.*refused"

# Killed in the midst of it, with bytes unread: a reset goes through.
cat >talker <<'END'
#!/usr/bin/env bash
echo $$ >talking
printf 'so far'
exec sleep 60
END
chmod +x talker
: >talk.log
socat -d -d TCP-LISTEN:0,bind=127.0.0.1 EXEC:./talker 2>talk.log &
server=$!
pids+=("$server")
until_so 'socat' grep -q 'listening on' talk.log
relay tcp://127.0.0.1:0 \
    "tcp://127.0.0.1:$(sed -n 's/.*listening on .*:\([0-9]*\)$/\1/p' talk.log)"
exec 6<>"/dev/tcp/127.0.0.1/$port"
until_so 'the talker' test -s talking
kill -STOP "$server"
echo unread >&6
until_so 'the bytes to be there' \
    grep -q ' 00000000:00000007 ' /proc/net/tcp
killed "$server"
ends_with 'reset by peer'
is "$(<out)" 'so far'
pids+=("$(<talking)")
until_so 'the reset' logged '; TO failed: tcp.*: .*reset'

# The other way round.
cat >hear <<'END'
#!/usr/bin/env bash
yes 'a line that nobody reads'
END
chmod +x hear
: >hear.log
socat -d -d TCP-LISTEN:0,bind=127.0.0.1 EXEC:./hear 2>hear.log &
server=$!
pids+=("$server")
until_so 'socat' grep -q 'listening on' hear.log
relay tcp://127.0.0.1:0 \
    "tcp://127.0.0.1:$(sed -n 's/.*listening on .*:\([0-9]*\)$/\1/p' hear.log)"
socat "TCP:127.0.0.1:$port" EXEC:'sleep 60' 2>>server.log &
client=$!
pids+=("$client")
sleep 0.5
killed "$client"
until_so 'the server to notice' is_gone "$server"
grep -qE 'reset|Broken pipe' hear.log || die "$(<hear.log)"

# --- limits -----------------------------------------------------------------

serve echo EXEC:cat
relay --max 2 tcp://127.0.0.1:0 "unix://$work/echo"
exec 6<>"/dev/tcp/127.0.0.1/$port" 7<>"/dev/tcp/127.0.0.1/$port"
for fd in 6 7; do
    echo "$fd" >&"$fd"
    read -r -t 10 line <&"$fd"
    is "$line" "$fd"
done
exec 8<>"/dev/tcp/127.0.0.1/$port" 9<>"/dev/tcp/127.0.0.1/$port"
echo 8 >&8
echo 9 >&9
! read -r -t 0.5 line <&8 || die "the third was let in"
exec 7>&-
read -r -t 10 line <&8
is "$line" 8
! read -r -t 0.5 line <&9 || die "the fourth was let in"
exec 6>&- 8>&-
read -r -t 10 line <&9
is "$line" 9
exec 9>&-

# More at once than there are places: everybody has a turn.
relay --max 3 tcp://127.0.0.1:0 "unix://$work/counter"
for _ in {1..40}; do
    echo "url = http://127.0.0.1:$port/api/counter"
done >many
is "$(get --no-progress-meter -Z --parallel-immediate -H 'Connection: close' \
    -K many | grep -o '{"counter":1}' | wc -l)" 40

relay --idle 0.5 tcp://127.0.0.1:0 "unix://$work/echo"
exec 6<>"/dev/tcp/127.0.0.1/$port"
for word in a b c d; do
    echo "$word" >&6
    read -r -t 10 line <&6
    is "$line" "$word"
    sleep 0.3
done
ends_with 'reset by peer'
until_so 'the reason' logged 'not a byte either way'

# --- many at once -----------------------------------------------------------

open_files() {
    is "$(find "/proc/$relay/fd" -mindepth 1 | wc -l)" "$1"
}
relay tcp://127.0.0.1:0 "unix://$work/counter"
is "$(get "http://127.0.0.1:$port/api/counter")" '{"counter":1}'
sleep 0.2
files=$(find "/proc/$relay/fd" -mindepth 1 | wc -l)
fds=()
for _ in {1..200}; do
    exec {fd}<>"/dev/tcp/127.0.0.1/$port"
    fds+=("$fd")
done
for fd in "${fds[@]}"; do
    printf 'POST /api/counter HTTP/1.1\r\nHost: a\r\n%s\r\n\r\n' \
        $'Content-Length: 0\r\nConnection: close' >&"$fd"
done
for fd in "${fds[@]}"; do
    timeout 10 cat <&"$fd"
    exec {fd}>&-
done >answers
is "$(grep -aoE '\{"counter":[0-9]+\}' answers | sort -u | wc -l)" 200
is "$(get "http://127.0.0.1:$port/api/counter")" '{"counter":201}'
sleep 0.3
open_files "$files"

# --- asked to end -----------------------------------------------------------

relay --grace 20 tcp://127.0.0.1:0 "unix://$work/echo"
exec 6<>"/dev/tcp/127.0.0.1/$port"
echo 1 >&6
read -r -t 10 line <&6
kill -TERM "$relay"
refuses() {
    ! (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null
}
until_so 'the listener to close' refuses
echo 2 >&6
read -r -t 10 line <&6
is "$line" 2
! is_gone "$relay" || die "it did not wait"
exec 6>&-
ended 0

relay --grace=0.5 "unix://$work/grace" "unix://$work/echo"
socat "UNIX:$work/grace" EXEC:'sleep 60' &
client=$!
pids+=("$client")
sleep 0.3
kill -TERM "$relay"
sleep 0.2
! is_gone "$relay" || die "it did not wait"
ended 0
until_so 'the client to be dropped' is_gone "$client"
logged 'asked to end: 1 still connected, dropped' || die "not said"
[[ ! -e grace ]] || die "a socket is left"

relay tcp://127.0.0.1:0 "unix://$work/echo"
kill -INT "$relay"
ended 0
