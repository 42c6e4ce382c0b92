#!/usr/bin/env bash
# SPDX-License-Identifier: ISC
#
# conduit fetch: what it sends, prints and answers to the shell. The server is
# socat with a script that keeps the request and plays an answer from a file; the
# exit statuses are compared with those of curl itself on the same server.
# shellcheck source=tests/support/scripts.sh
source "${BASH_SOURCE[0]%/*}/../support/scripts.sh"
needs curl socat

# fetch ARGUMENT...: its output is in out and err, its status in $status.
status=0
fetch() {
    status=0
    timeout -k 5 30 "$CONDUIT_BIN/conduit" fetch "$@" >out 2>err || status=$?
}

# expect STATUS [TEXT]: of the last fetch; TEXT must be in its messages.
expect() {
    [[ $status = "$1" ]] || die "status $status, not $1: $(<err)"
    [[ -z ${2:-} ]] || grep -qF -- "$2" err || die "no '$2': $(<err)"
}

# holds FILE TEXT: and nothing else, line ends at the end aside.
holds() {
    [[ $(<"$1") = "$2" ]] || die "$1 is: $(<"$1")"
}

# --- the server -------------------------------------------------------------

# Keeps the head of a request in `request` and its body, unframed, in `body`;
# then plays `answer`, and goes on for as long as `hold` says.
cat >serve <<'END'
#!/usr/bin/env bash
: >body.new
length=0 chunked=
while IFS= read -r line && [[ $line != $'\r' ]]; do
    printf '%s\n' "${line%$'\r'}"
    case ${line%$'\r'} in
    Content-Length:*) length=${line//[!0-9]/} ;;
    Transfer-Encoding:*) chunked=yes ;;
    esac
done >request.new
head -c "$length" >>body.new
while [[ $chunked ]] && IFS= read -r line; do
    size=$((16#${line%$'\r'}))
    ((size > 0)) || break
    head -c "$size" >>body.new
    IFS= read -r line
done
mv request.new request
mv body.new body
cat answer
sleep "$(<hold)"
END
chmod +x serve

# answer TEXT [SECONDS]: what is answered, and how long the connection stays.
answer() {
    printf '%b' "$1" >answer
    echo "${2:-0}" >hold
    rm -f request body
}
ok='HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'
answer "$ok"

socat UNIX-LISTEN:"$work/socket",fork EXEC:./serve 2>server.log &
pids+=($!)
uri=http+unix://${work//\//%2F}%2Fsocket
until_so 'socat to listen' test -S socket

# as_curl ARGUMENT...: both end with the same status on the same answer.
as_curl() {
    local curl=0
    timeout -k 5 30 curl -s --unix-socket socket "$@" http://localhost/ >/dev/null ||
        curl=$?
    fetch "$@" "$uri/"
    expect "$curl"
}

# --- what is sent -----------------------------------------------------------

agent=$("$CONDUIT_BIN/conduit" --version)
agent="User-Agent: ${agent/ //}"

fetch "$uri/a/b?c=d"
expect 0
holds out ok
holds err ''
holds request "GET /a/b?c=d HTTP/1.1
Host: localhost
$agent
Accept: */*"

fetch "unix://$work/socket"
expect 0
grep -qx 'GET / HTTP/1.1' request || die "$(<request)"

answer "$ok"
fetch -X PATCH -H 'X-One: 1' -H 'accept: text/plain' -H 'X-Empty;' \
    -H 'User-Agent:' "$uri/"
expect 0
holds request 'PATCH / HTTP/1.1
Host: localhost
X-One: 1
accept: text/plain
X-Empty: 
Content-Length: 0'

answer "$ok"
fetch "$uri/" -d a=1 --data b=2 -H 'Host: example.org'
expect 0
holds body 'a=1&b=2'
holds request "POST / HTTP/1.1
$agent
Accept: */*
Content-Type: application/x-www-form-urlencoded
Host: example.org
Content-Length: 7"

answer "$ok"
fetch -X PUT -d '{}' -H 'Content-Type: application/json' "$uri/"
expect 0
grep -qx 'Content-Type: application/json' request || die "$(<request)"
! grep -q urlencoded request || die "$(<request)"

answer "$ok"
fetch -d '' "$uri/"
grep -qx 'Content-Length: 0' request || die "$(<request)"

# A file goes as it is, and its length is announced; a pipe's is not known.
head -c 3000000 /dev/urandom >big
for file in big -; do
    answer "$ok"
    fetch -d "@$file" "$uri/" <big
    expect 0
    cmp big body
    grep -qx 'Content-Length: 3000000' request || die "$(<request)"
done
answer "$ok"
fetch --data-binary @- -m 20 "$uri/" < <(head -c 10000 big; sleep 0.3
                                        tail -c +10001 big)
expect 0
cmp big body
grep -qx 'Transfer-Encoding: chunked' request || die "$(<request)"

# --- what is printed --------------------------------------------------------

{
    printf 'HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\n\r\n'
    cat big
} >answer
fetch "$uri/"
expect 0
cmp big out
timeout -k 5 30 "$CONDUIT_BIN/conduit" fetch "$uri/" | (sleep 0.5; cat) | cmp - big
fetch -o file "$uri/"
expect 0
holds out ''
cmp big file

answer 'HTTP/1.1 404 Not Here\r\nX-Test:  a b\r\nContent-Length: 2\r\n\r\nno'
fetch -i "$uri/"
expect 0
holds out $'HTTP/1.1 404 Not Here\r\nX-Test: a b\r\nContent-Length: 2\r\n\r\nno'
fetch -I "$uri/"
expect 0
holds out $'HTTP/1.1 404 Not Here\r\nX-Test: a b\r\nContent-Length: 2\r\n\r'
grep -qx 'HEAD / HTTP/1.1' request || die "$(<request)"
fetch -f -o never "$uri/"
expect 22 'conduit: (22) the requested URL returned error: 404'
holds out ''
[[ ! -e never ]] || die "-f left a file"
fetch -sf "$uri/"
expect 22
holds err ''
fetch -sSf "$uri/"
expect 22 'conduit: (22) '

answer "$ok"
fetch -v "$uri/v"
expect 0
holds out ok
grep -qE "^\* attempt unix[: ].*/socket at [0-9.]+ ms for [0-9.]+ ms: connected\$" \
    err || die "$(<err)"
holds <(grep '^[><]' err) "> GET /v HTTP/1.1
> Host: localhost
> $agent
> Accept: */*
>
< HTTP/1.1 200 OK
< Content-Length: 2
<"
fetch -v http+unix://%2Fno%2Fsuch/
expect 7 '/no/such at '
! grep -q '^[><]' err || die "$(<err)"

# --- files ------------------------------------------------------------------

# Nothing but a complete answer takes the place of what was there.
echo before >kept
chmod 640 kept
ln -s kept link
answer 'HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf'
fetch -o kept "$uri/"
expect 18
holds kept before
fetch -o new "$uri/"
expect 18
[[ ! -e new ]] || die "half a file"
fetch -o kept http+unix://%2Fno%2Fsuch/
expect 7
holds kept before
answer "$ok"
fetch -o link "$uri/"
expect 0
holds kept ok
[[ -L link && $(stat -c %a kept) = 640 ]] || die "$(ls -l)"
(umask 027 && fetch -o new "$uri/" && expect 0)
[[ $(stat -c %a new) = 640 ]] || die "$(ls -l new)"
fetch -o /dev/null "$uri/"
expect 0
[[ -c /dev/null ]] || die "/dev/null was replaced"
fetch -o - "$uri/"
holds out ok
fetch -o no/such/folder "$uri/"
expect 23 'conduit: (23) cannot write to no/such/folder: No such file'
[[ -z $(find . -name '*.??????' -print) ]] || die "left behind: $(ls)"

as_curl -o /dev/full
expect 23 'No space left'
{
    printf 'HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\n\r\n'
    cat big
} >answer
(fetch_status=0
 timeout -k 5 30 "$CONDUIT_BIN/conduit" fetch "$uri/" 2>err ||
     fetch_status=$?
 echo "$fetch_status" >status) | head -c 10 >/dev/null
[[ $(<status) = 23 ]] || die "status $(<status): $(<err)"
answer "$ok"
mkfifo pipe
(exec 3<>pipe && "$CONDUIT_BIN/conduit" fetch -o pipe "$uri/" &&
    head -c 2 <&3 >out)
holds out ok

# --- statuses ---------------------------------------------------------------

answer "$ok"
as_curl
as_curl -f
fetch -d @no-such-file "$uri/" # where curl would send nothing instead
expect 26 'conduit: (26) no-such-file: No such file'
fetch -d @. "$uri/"
expect 26 'conduit: (26) .: Is a directory'
answer ''
as_curl
expect 52 'conduit: (52) http: connection closed before the answer'
answer 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhal'
as_curl
expect 18 'conduit: (18) http: connection closed within'
answer 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhal'
as_curl
answer 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx'
fetch "$uri/" # curl takes one of the two
expect 8 'conduit: (8) http: malformed answer: two Content-Length fields'
answer '' 5
as_curl -m 0.3
expect 28 'conduit: (28) http: not complete within 300 ms'
answer 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhal' 5
as_curl -m 0.3
holds out hal
# Neither a slow giver nor a slow taker keeps a deadline from passing.
fetch -m 0.3 -d @- "$uri/" < <(sleep 5)
expect 28
{
    printf 'HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\n\r\n'
    cat big
} >answer
(exec 3<>pipe && fetch -m 0.5 -o pipe "$uri/" && expect 28)

# Closed on a request that is still being sent: either side may notice first, or
# the end comes before the answer does.
socat UNIX-LISTEN:"$work/deaf" EXEC:true 2>>server.log &
for _ in $(seq 100); do
    [[ ! -S deaf ]] || break
    sleep 0.05
done
fetch -d @big "http+unix://${work//\//%2F}%2Fdeaf/"
[[ $status = 52 || $status = 55 || $status = 56 ]] || die "status $status: $(<err)"

# Ended by a signal, it leaves nothing behind.
answer 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhal' 5
"$CONDUIT_BIN/conduit" fetch -v -o kept "$uri/" 2>err &
fetching=$!
for _ in $(seq 100); do
    ! grep -q '^<$' err || break
    sleep 0.05
done
kill -TERM "$fetching"
status=0
wait "$fetching" || status=$?
expect 130 'conduit: (130) interrupted'
holds kept ok
[[ -z $(find . -name '*.??????' -print) ]] || die "left behind: $(ls)"

fetch http+unix://%2Fno%2Fsuch/
expect 7 'conduit: (7) unix: '
fetch http://no.such.test/
expect 6 'conduit: (6) '
fetch mem://nobody
expect 7 'conduit: (7) mem: '
for bad in http:// 'http://a b/' http://a:99999/ nothing ''; do
    fetch "$bad"
    expect 3 'conduit: (3) '
done
fetch gopher://a/
expect 1 'conduit: (1) uri: '

# A port where nobody listens: one that the system has just given away.
port=$(timeout 5 socat -d -d TCP-LISTEN:0,bind=127.0.0.1,accept-timeout=0.1 \
    STDIO 2>&1 </dev/null | sed -n 's/.*listening on .*:\([0-9]*\)$/\1/p')
fetch "http://127.0.0.1:$port/"
expect 7 'conduit: (7) tcp'
fetch "tcp://127.0.0.1:$port/path?query" -v
expect 7 " 127.0.0.1:$port at "

usage() {
    fetch "$@"
    expect 2 'conduit fetch --help'
}
usage
usage "$uri/" "$uri/"
usage -Z "$uri/"
usage --nonsense "$uri/"
usage "$uri/" -X
usage -m soon "$uri/"
usage -m -1 "$uri/"
usage -H nonsense "$uri/"
usage -H 'Host:' "$uri/"
usage -d a -d @b "$uri/"
usage -I -d a "$uri/"
# What is for TLS is no silent nothing without it.
for option in --cacert=a --tls-name=a --insecure -k "--pin=sha256//$(
    printf %032d 0 | base64)"; do
    usage "$option" "$uri/"
    grep -q 'options for TLS, and a URI without' err || die "$(<err)"
done
for bad in --cacert --cacert= --cert= --key= --pin= --pin=md5//aa \
    --pin=sha256//short --pin=sha256// --tls-name= --insecure=yes \
    "--pin=sha256//$(printf %033d 0 | base64)" \
    "--pin=sha256//$(printf %031d 0 | base64)" \
    "--pin=sha256//$(printf %032d 0 | base64);" \
    "--pin=sha256//$(printf %032d 0 | base64 | tr M .)"; do
    usage https://localhost/ "$bad"
done
usage --cert a https://localhost/
grep -q 'each certificate needs its key' err || die "$(<err)"
usage --key a https://localhost/
usage -E
fetch -H 'Content-Length: 3' "$uri/"
expect 2 'Content-Length'
fetch -X 'A B' "$uri/"
expect 2
fetch --help
expect 0
grep -q '^usage: conduit fetch' out || die "$(<out)"

# --- the rest of the command ------------------------------------------------

command() {
    status=0
    timeout -k 5 30 "$CONDUIT_BIN/conduit" "$@" >out 2>err || status=$?
}
command transports
expect 0
for scheme in tcp+socket unix fd mem; do
    grep -qE "^${scheme/+/\\+} +[A-Za-z]" out || die "no $scheme: $(<out)"
done
command --version
expect 0
grep -qE '^conduit [0-9]+\.[0-9]+\.[0-9]+$' out || die "$(<out)"
command --help
expect 0
command
expect 2 'usage: conduit'
command nonsense
expect 2 'unknown command nonsense'
command transports more
expect 2 'unknown argument more'
