#!/usr/bin/env bash
# SPDX-License-Identifier: ISC
#
# TLS with nginx as the other side: asked by conduit fetch, before the counter
# as a proxy, and as stream before and behind conduit relay. It says itself what
# it sees of a connection. One nginx of one process does all of it, in the
# test's folder; it listens on Unix sockets, so no port has to be free.
# shellcheck source=tests/support/tls_scripts.sh
source "${BASH_SOURCE[0]%/*}/../support/tls_scripts.sh"
PATH=$PATH:/usr/sbin
needs nginx
needs_engines

{
    authority good
    authority evil
    issue server good "$local_names"
    issue rsa-server good "$local_names"
    issue other good DNS:other.test
    issue client good DNS:client.test
    issue rsa-client good DNS:client.test
    issue stranger evil DNS:client.test
} >openssl.log 2>&1 || die "openssl: $(<openssl.log)"
head -c 10000000 /dev/urandom >big

# versions ENGINE: those it has.
versions() {
    [[ $1 = bearssl ]] && echo 1.2 || echo 1.2 1.3
}

# --- nginx ------------------------------------------------------------------

# How to load stream, where it is a module of its own.
stream_module() {
    local options path
    options=$(nginx -V 2>&1 | tr ' ' '\n')
    path=$(sed -n 's/^--modules-path=//p' <<<"$options")/ngx_stream_module.so
    if [[ -e $path ]]; then
        echo "load_module $path;"
    elif ! grep -qx -- --with-stream <<<"$options"; then
        return 1
    fi
}

identity() { # NAME [PREFIX]
    echo "${2-}ssl_certificate $work/$1.pem;" \
        "${2-}ssl_certificate_key $work/$1.key;"
}

# server SOCKET CERTIFICATE LINE...: what it sees of a connection is its answer.
server() {
    local socket=$1 certificate=$2
    shift 2
    cat <<CONF
    server {
        listen unix:$work/$socket ssl;
        $(identity "$certificate")
        $*
        location / { return 200 "\$seen\\n"; }
        location /big { alias $work/big; }
        location /put { root $work; dav_methods PUT; }
    }
CONF
}

servers() {
    local version only
    for version in 1.2 1.3; do
        only="ssl_protocols TLSv$version;"
        server "v$version" server "$only ssl_session_cache shared:v:1m;"
        server "rsa$version" rsa-server "$only"
        server "none$version" server "$only ssl_session_tickets off;"
        server "ids$version" server "$only ssl_session_tickets off;" \
            "ssl_session_cache shared:ids:1m;"
        server "clients$version" server "$only ssl_verify_client on;" \
            "ssl_client_certificate $work/good.pem;" \
            "ssl_session_cache shared:clients:1m;"
    done
    server names server 'server_name localhost;'
    server names other 'server_name other.test;'
}

# proxy NAME SERVICE HOST AUTHORITY LINE...: at /NAME of the socket front, what
# the counter at the socket SERVICE has to say, if it is HOST by that authority.
# Each is an upstream of its own, since that is what nginx keeps sessions for.
proxies=
proxy() {
    local name=$1 service=$2 host=$3 authority=$4
    shift 4
    echo "    upstream $name { server unix:$work/$service; }"
    proxies+="
        location = /$name {
            proxy_pass https://$name/api/info;
            proxy_set_header Host localhost;
            proxy_ssl_trusted_certificate $work/$authority.pem;
            proxy_ssl_name $host;
            proxy_ssl_server_name on;
            proxy_ssl_verify on;
            proxy_ssl_session_reuse on;
            $*
        }"
}

http() {
    local engine version only client
    servers
    for engine in "${engines[@]}"; do
        for version in $(versions "$engine"); do
            only="proxy_ssl_protocols TLSv$version;"
            proxy "good.$engine$version" "all.$engine" localhost good "$only"
            proxy "wrong.$engine$version" "all.$engine" other.test good "$only"
            proxy "evil.$engine$version" "all.$engine" localhost evil "$only"
            proxy "rsa.$engine$version" "rsa.$engine" localhost good "$only"
            proxy "nobody.$engine$version" "clients.$engine" localhost good \
                "$only"
            for client in client stranger; do
                proxy "$client.$engine$version" "clients.$engine" localhost \
                    good "$only" "$(identity "$client" proxy_)"
            done
        done
    done
    echo "    server { listen unix:$work/front; $proxies }"
}

# TLS in front of a service that has none, and of a relay that has.
stream() {
    local engine version
    cat <<CONF
stream {
    log_format sessions "reused=\$ssl_session_reused version=\$ssl_protocol";
    access_log $work/stream.log sessions;
CONF
    for version in 1.2 1.3; do
        cat <<CONF
    server {
        listen unix:$work/stream$version ssl;
        ssl_protocols TLSv$version;
        ssl_session_cache shared:s:1m;
        $(identity server)
        proxy_pass unix:$work/plain;
    }
CONF
        for engine in "${engines[@]}"; do
            cat <<CONF
    server {
        listen unix:$work/to.$engine$version;
        proxy_pass unix:$work/relay.$engine;
        proxy_ssl on;
        proxy_ssl_protocols TLSv$version;
        proxy_ssl_verify on;
        proxy_ssl_trusted_certificate $work/good.pem;
        proxy_ssl_name localhost;
        proxy_ssl_server_name on;
        $(identity client proxy_)
    }
CONF
        done
    done
    echo '}'
}

configuration() {
    cat <<CONF
$load_stream
daemon off;
master_process off;
pid $work/nginx/pid;
lock_file $work/nginx/lock;
error_log $work/nginx.log info;
events { worker_connections 256; }
http {
    access_log off;
    keepalive_timeout 0;
    client_max_body_size 20m;
    client_body_temp_path $work/nginx/body;
    proxy_temp_path $work/nginx/proxy;
    fastcgi_temp_path $work/nginx/fastcgi;
    uwsgi_temp_path $work/nginx/uwsgi;
    scgi_temp_path $work/nginx/scgi;
    map '' \$seen {
        default "reused=\$ssl_session_reused version=\$ssl_protocol \
cipher=\$ssl_cipher curve=\$ssl_curve name=\$ssl_server_name \
alpn=\$ssl_alpn_protocol at=\$server_name client=\$ssl_client_verify \
subject=\$ssl_client_s_dn;";
    }
$(http)
}
CONF
    [[ ! $has_stream ]] || stream
}

is_ready() {
    curl --silent --output ready --unix-socket front http://localhost/
}

has_stream=yes
load_stream=$(stream_module) || has_stream=
mkdir nginx put
configuration >nginx.conf
nginx -p "$work/nginx" -e "$work/nginx.log" -c "$work/nginx.conf" \
    >errors 2>&1 &
pids+=($!)
until_so 'nginx' is_ready

"$CONDUIT_BIN/http_service" "unix://$work/plain" >plain.lines &
pids+=($!)
until_so 'the service without TLS' test -s plain.lines

# --- nginx asked by each engine ----------------------------------------------

# visit STATUS SOCKET[/PATH] ARGUMENT...: conduit fetch, with nginx as localhost
# by the authority $trusted.
trusted=good.pem
visit() {
    local want=$1 at=${2%%/*} path=
    [[ $2 != */* ]] || path=${2#*/}
    shift 2
    fetch "$want" -v --cacert "$trusted" --tls-name localhost \
        "https+unix://${work//\//%2F}%2F$at/$path" "$@"
}

# standard NAME: what the standards call OpenSSL's cipher suite.
standard() {
    openssl ciphers -stdname ALL | sed -n "s/^\([^ ]*\) *- $1 .*/\1/p"
}

# Both sides say the same, and what has to be.
by_fetch() { # ENGINE VERSION
    local socket said
    for socket in "v$2" "rsa$2"; do
        visit 0 "$socket"
        said=$(sed -n 's/.* cipher=\([^ ]*\) .*/\1/p' out)
        says out "reused=. version=TLSv$2 " ' name=localhost alpn=http/1.1 ' \
            ' client=NONE subject=;'
        says err "* TLSv$2, $(standard "$said") by $1, ALPN http/1.1"
        [[ $2 = 1.3 || $said = ECDHE-* ]] || die "$(<out)"
    done
    says err '* server CN=rsa-server,O=Test, verified'
    visit 60 "v$2" --tls-name other.test
    says err 'the certificate is for another name'
    trusted=evil.pem visit 60 "v$2"
    says err "the certificate's issuer is not trusted"
    visit 0 "v$2/big"
    cmp out big
    rm -f put/big
    visit 0 "v$2/put/big" -X PUT -d @big
    cmp put/big big
}

# nginx has the handshake succeed either way, and then answers with an error.
with_certificates() { # VERSION
    local name
    for name in client rsa-client; do
        visit 0 "clients$1" --cert "$name.pem" --key "$name.key"
        says out ' client=SUCCESS ' "subject=CN=$name,O=Test;"
    done
    visit 22 "clients$1" --fail
    says err '< HTTP/1.1 400 '
    visit 0 "clients$1"
    says out 'No required SSL certificate was sent'
    visit 0 "clients$1" --cert stranger.pem --key stranger.key
    says out 'The SSL certificate error'
    says err '< HTTP/1.1 400 '
}

by_name() {
    local name
    for name in localhost=server other.test=other; do
        visit 0 names --tls-name "${name%=*}" -H "Host: ${name%=*}"
        says out " name=${name%=*} " " at=${name%=*} "
        says err "* server CN=${name#*=},O=Test, verified"
    done
    visit 60 names --tls-name nobody.test
    says err 'the certificate is for another name'
}

# again ENGINE REUSED SOCKET ARGUMENT...: one process connects three times;
# nginx says whether the first session is resumed.
again() {
    local engine=$1 reused=$2 to=tls+unix://$work/$3 want
    shift 3
    relay "$engine" tcp://127.0.0.1:0 "$to" --cacert good.pem --tls-name \
        localhost "$@"
    for want in . "$reused" "$reused"; do
        ask 0 "http://localhost:$port/"
        says out "reused=$want " ' name=localhost '
    done
}

# By tickets, or what is in its cache, or neither.
resumption() { # ENGINE VERSION
    again "$1" r "v$2"
    again "$1" r "ids$2"
    again "$1" . "none$2"
    again "$1" r "clients$2" --client-cert client.pem --client-key client.key
    says out ' client=SUCCESS subject=CN=client,O=Test;'
}

for engine in "${engines[@]}"; do
    export CONDUIT_TLS=$engine
    by_name
    for version in $(versions "$engine"); do
        by_fetch "$engine" "$version"
        with_certificates "$version"
        resumption "$engine" "$version"
    done
done
unset CONDUIT_TLS

# --- nginx before each engine ------------------------------------------------

counter() { # NAME ENGINE ARGUMENT...
    local name=$1 engine=$2
    shift 2
    CONDUIT_TLS=$engine "$CONDUIT_BIN/counter" --listen \
        "tls+unix://$work/$name.$engine" "$@" >"$name.$engine.lines" \
        2>errors &
    pids+=($!)
    until_so "counter $name" test -s "$name.$engine.lines"
}

# through STATUS NAME: what is at /NAME; with 502, nginx itself refuses.
through() {
    ask 0 --unix-socket front --write-out '%{stderr}%{http_code}' \
        "http://localhost/$2"
    [[ $(<err) = "$1" ]] || die "$2 gives $(<err), not $1: $(<nginx.log)"
}

as_proxy() { # ENGINE VERSION
    local name resumed
    for name in good rsa client; do
        for resumed in false true true; do
            through 200 "$name.$1$2"
            is "$(fact engine)" "\"$1\""
            is "$(fact version)" "\"TLSv$2\""
            is "$(fact server_name)" '"localhost"'
            is "$(fact resumed)" "$resumed"
        done
    done
    is "$(fact verified)" true
    is "$(fact peer_subject)" '"CN=client'
    : >nginx.log
    through 502 "wrong.$1$2"
    says nginx.log 'upstream SSL certificate does not match "other.test"'
    : >nginx.log
    through 502 "evil.$1$2"
    says nginx.log 'upstream SSL certificate verify error'
    through 502 "nobody.$1$2"
    through 502 "stranger.$1$2"
}

for engine in "${engines[@]}"; do
    counter all "$engine" --cert server.pem --key server.key
    counter rsa "$engine" --cert rsa-server.pem --key rsa-server.key
    counter clients "$engine" --cert server.pem --key server.key \
        --client-ca good.pem
    for version in $(versions "$engine"); do
        as_proxy "$engine" "$version"
    done
done

# --- stream ------------------------------------------------------------------

if [[ ! $has_stream ]]; then
    echo 'skipped: nginx has no stream'
    exit 77
fi

# echoes CURL-ARGUMENT...: ten megabytes there, and the same ones back. The
# service closes, so that all in between ends, also where TLS has no half-close.
echoes() {
    ask 0 -H 'Connection: close' --data-binary @big "$@"
    cmp out big
}

# has_lately LINE...: the last lines of its log are these.
has_lately() {
    [[ $(tail -n $# stream.log) = "$(printf '%s\n' "$@")" ]]
}

behind() { # ENGINE VERSION
    local reused
    : >stream.log
    relay "$1" tcp://127.0.0.1:0 "tls+unix://$work/stream$2" \
        --cacert good.pem --tls-name localhost
    for reused in . r; do
        echoes "http://localhost:$port/echo"
        until_so "'$reused' of stream" has_lately \
            "reused=$reused version=TLSv$2"
    done
}

before() { # ENGINE VERSION
    echoes --unix-socket "to.$1$2" http://localhost/echo
    echoes --unix-socket "to.$1$2" http://localhost/echo
}

for engine in "${engines[@]}"; do
    relay "$engine" "tls+unix://$work/relay.$engine" "unix://$work/plain" \
        --cert server.pem --key server.key --client-ca good.pem
    for version in $(versions "$engine"); do
        behind "$engine" "$version"
        before "$engine" "$version"
    done
done
