#!/usr/bin/env bash
# SPDX-License-Identifier: ISC
#
# What is negotiated, as the other side sees it: each version, cipher suite and
# group of the default policy, by each engine in both roles, with certificates
# of both kinds; and of what is not in the policy, that none is. The others are
# openssl s_client and s_server, and gnutls-cli.
# shellcheck source=tests/support/tls_scripts.sh
source "${BASH_SOURCE[0]%/*}/../support/tls_scripts.sh"
needs_engines

# The ciphers of the policy: as the standards, OpenSSL and GnuTLS call them.
ciphers='
AES_128_GCM_SHA256 AES128-GCM-SHA256 AES-128-GCM
AES_256_GCM_SHA384 AES256-GCM-SHA384 AES-256-GCM
CHACHA20_POLY1305_SHA256 CHACHA20-POLY1305 CHACHA20-POLY1305'
groups=(X25519 P-256 P-384)
declare -A key_of=([X25519]='X25519, ' [P-256]='ECDH, prime256v1, '
    [P-384]='ECDH, secp384r1, ')
declare -A gnutls_of=([X25519]=X25519 [P-256]=SECP256R1 [P-384]=SECP384R1)
declare -A certificate_of=([ECDSA]=server [RSA]=rsa-server)
declare -A option_of=([1.2]=-tls1_2 [1.3]=-tls1_3)

# versions ENGINE: those it has.
versions() {
    [[ $1 = bearssl ]] && echo 1.2 || echo 1.2 1.3
}

# suites VERSION: a line each, of the kind of the certificate and three names. A
# suite of TLS 1.3 says nothing about certificates.
suites() {
    local kind cipher name other
    for kind in ECDSA RSA; do
        while read -r cipher name other; do
            if [[ $1 = 1.2 ]]; then
                echo "$kind TLS_ECDHE_${kind}_WITH_$cipher" \
                    "ECDHE-$kind-$name $other"
            else
                echo "$kind TLS_$cipher TLS_$cipher $other"
            fi
        done < <(sed 1d <<<"$ciphers")
    done
}

# names VERSION...: OpenSSL's names of the suites, sorted, on one line.
names() {
    local version
    for version in "$@"; do
        suites "$version"
    done | cut -d ' ' -f 3 | sort -u | tr '\n' ' '
}

# All that OpenSSL has, and all of that which is not in the policy.
all_1_2=ALL:COMPLEMENTOFALL:@SECLEVEL=0
ccm_1_3=TLS_AES_128_CCM_SHA256:TLS_AES_128_CCM_8_SHA256
all_1_3=$(names 1.3 | tr ' ' :)$ccm_1_3
other_1_2=$all_1_2:$(names 1.2 | sed 's/ $//; s/^/!/; s/ /:!/g')

{
    authority good
    issue server good "$local_names"
    issue rsa-server good "$local_names"
    issue p384-server good "$local_names"
} >openssl.log 2>&1 || die "openssl: $(<openssl.log)"

# --- each engine as the server ----------------------------------------------

# connect STATUS ARGUMENT...: s_client asks what is at $port.
connect() {
    local want=$1
    shift
    run "$want" openssl s_client -connect "127.0.0.1:$port" -servername \
        localhost -CAfile good.pem -verify_return_error -ign_eof "$@" <request
}

# agreed VERSION SUITE OPENSSL-NAME: both sides say so.
agreed() {
    says out "New, TLSv$1, Cipher is $3"
    is "$(fact version)" "\"TLSv$1\""
    is "$(fact cipher)" "\"$2\""
}

# asks VERSION KIND GROUP [GROUP-LIST]: for each suite of that kind, with that
# group.
asks() {
    local kind suite name signature=()
    [[ $1$2 != 1.3ECDSA ]] || signature=(-sigalgs ECDSA+SHA256:ECDSA+SHA384)
    [[ $1$2 != 1.3RSA ]] || signature=(-sigalgs RSA-PSS+SHA256)
    while read -r kind suite name _; do
        [[ $kind = "$2" ]] || continue
        if [[ $1 = 1.2 ]]; then
            connect 0 -tls1_2 -cipher "$name" -groups "${4:-$3}"
        else
            connect 0 -tls1_3 -ciphersuites "$name" -groups "$3" \
                "${signature[@]}"
        fi
        agreed "$1" "$suite" "$name"
        says out "Temp Key: ${key_of[$3]}" \
            "subject=O = Test, CN = $certificate"
    done < <(suites "$1")
}

# A client of TLS 1.2 verifies ECDSA only on a curve that is among its groups,
# so there a server with two certificates has one of use, if any.
as_server() {
    local version group certificate kind
    serve "$1" --cert server.pem --key server.key --cert rsa-server.pem \
        --key rsa-server.key
    for version in $(versions "$1"); do
        certificate=server
        asks "$version" ECDSA X25519 X25519:P-256
        asks "$version" ECDSA P-256
        certificate=rsa-server
        for group in "${groups[@]}"; do
            asks "$version" RSA "$group"
        done
    done
    for group in X25519 P-384; do
        connect 0 -tls1_2 -cipher aECDSA:aRSA -groups "$group"
        says out 'subject=O = Test, CN = rsa-server' \
            "Temp Key: ${key_of[$group]}"
    done
    for kind in ECDSA RSA; do # for those who say no name as well
        run 0 openssl s_client -connect "127.0.0.1:$port" -noservername \
            -CAfile good.pem -tls1_2 -cipher "a$kind" </dev/null
        says out "subject=O = Test, CN = ${certificate_of[$kind]}"
    done
    not_for_clients "$1"

    certificate=p384-server
    serve "$1" --cert p384-server.pem --key p384-server.key
    for version in $(versions "$1"); do
        asks "$version" ECDSA P-384
    done
}

# not_accepted ENGINE ARGUMENT...: s_client is refused by it, and by openssl
# s_server, which has everything, it is not.
declare -A accepted
not_accepted() {
    local engine=$1 port=$everything
    shift
    [[ ${accepted[$*]-} ]] || connect 0 "$@"
    accepted[$*]=yes
    port=${uri##*:}
    connect 1 "$@"
    says out 'Cipher is (NONE)'
    # BearSSL's record is of its own version, also to those who lack it.
    [[ $(<err) = *@(' alert '|':wrong version number:')* ]] ||
        die "not told why by $engine: $* $(<err)"
}

not_for_clients() {
    local name
    for name in "$other_1_2" AES128-GCM-SHA256 AES256-SHA \
        DHE-RSA-AES128-GCM-SHA256 DHE-RSA-CHACHA20-POLY1305 \
        ECDHE-ECDSA-AES128-SHA ECDHE-RSA-AES128-SHA256 \
        ECDHE-RSA-AES256-SHA384 ECDHE-ECDSA-AES128-CCM \
        ECDHE-ECDSA-AES256-CCM8 AECDH-AES128-SHA NULL-SHA256; do
        not_accepted "$1" -tls1_2 -cipher "$name:@SECLEVEL=0"
    done
    for name in P-521 X448; do
        not_accepted "$1" -tls1_2 -cipher "$all_1_2" -groups "$name"
        not_accepted "$1" -tls1_3 -groups "$name"
    done
    not_accepted "$1" -tls1_3 -ciphersuites "$ccm_1_3"
    not_accepted "$1" -tls1_1 -cipher "$all_1_2"
    not_accepted "$1" -tls1_2 -cipher ECDHE:@SECLEVEL=0 \
        -sigalgs ECDSA+SHA1:RSA+SHA1
    [[ $1 != bearssl ]] || not_accepted "$1" -tls1_3
}

# only_kind VERSION KIND: GnuTLS's priorities that leave that one.
only_kind() {
    case $1$2 in
    1.2*) echo ":-KX-ALL:+ECDHE-$2" ;;
    *ECDSA) echo ':-SIGN-ALL:+SIGN-ECDSA-SECP256R1-SHA256' ;;
    *RSA) echo ':-SIGN-ALL:+SIGN-RSA-PSS-RSAE-SHA256' ;;
    esac
}

# Of another family of implementations.
by_gnutls() {
    local version kind suite name other i=0 group list
    command -v gnutls-cli >/dev/null || return 0
    serve "$1" --cert server.pem --key server.key --cert rsa-server.pem \
        --key rsa-server.key
    for version in $(versions "$1"); do
        while read -r kind suite name other; do
            group=${groups[i++ / 2 % 3]}
            list=NORMAL:-VERS-ALL:+VERS-TLS$version:-CIPHER-ALL:+$other
            list+=:-GROUP-ALL:+GROUP-${gnutls_of[$group]}
            [[ $kind$group != ECDSAX25519 ]] || list+=:+GROUP-SECP256R1
            run 0 gnutls-cli --x509cafile good.pem --port "$port" --priority \
                "$list$(only_kind "$version" "$kind")" localhost <request
            says out "${gnutls_of[$group]}" "-($other)"
            is "$(fact version)" "\"TLSv$version\""
            is "$(fact cipher)" "\"$suite\""
        done < <(suites "$version")
    done
}

# Both certificates, all suites and all groups: its page says which of them the
# client offers. It is also what shows that a client of ours could be served.
openssl_serve server -dcert rsa-server.pem -dkey rsa-server.key \
    -cipher "$all_1_2" -ciphersuites "$all_1_3" \
    -groups X25519:P-256:P-384:P-521:X448:ffdhe2048 -min_protocol TLSv1.1
everything=$port
for engine in "${engines[@]}"; do
    as_server "$engine"
    by_gnutls "$engine"
done
stop_service

# --- each engine as the client ----------------------------------------------

# listed TEXT: the words of out from the line of TEXT to the next one with a
# colon, sorted, on one line.
listed() {
    sed -n "/^$1:/,/: /{ s/^$1://; /: /d; p }" out | tr -s ' ' '\n' |
        sed '/^$/d' | sort | tr '\n' ' '
}

offers() { # ENGINE
    fetch 0 --cacert good.pem "https://localhost:$everything/"
    # shellcheck disable=SC2046
    is "$(listed 'Ciphers common between both SSL end points')" \
        "$(names $(versions "$1") | tr ' ' '\n' | sort | tr '\n' ' ')"
    is "$(sed -n 's/^Supported groups: //p' out | tr ':' '\n' | sort |
        tr '\n' ' ')" 'secp256r1 secp384r1 x25519 '
}

# accepts VERSION: each suite once and each group once, for each kind of
# certificate, of a server that has nothing else.
accepts() { # ENGINE VERSION
    local kind suite name i=0 group limits
    while read -r kind suite name _; do
        group=${groups[i++ % 3]}
        limits=(-tls1_2 -cipher "$name")
        [[ $2 = 1.2 ]] || limits=(-tls1_3 -ciphersuites "$name")
        openssl_serve "${certificate_of[$kind]}" "${limits[@]}" \
            -groups "$group"
        fetch 0 -v --cacert good.pem "https://localhost:$port/"
        says out "New, TLSv$2, Cipher is $name" "${option_of[$2]} "
        says err "* TLSv$2, $suite by $1," "CN=${certificate_of[$kind]},"
        end_openssl_server
    done < <(suites "$2")
}
end_openssl_server() {
    kill -KILL "$openssl_server"
    wait "$openssl_server" || true
} 2>/dev/null

# not_served ARGUMENT...: by an s_server limited to that; s_client is.
not_served() {
    openssl_serve server -dcert rsa-server.pem -dkey rsa-server.key "$@"
    [[ ${accepted[$*]-} ]] ||
        connect 0 -cipher "$all_1_2" -ciphersuites "$all_1_3" \
            -groups P-521:X448:P-256
    accepted[$*]=yes
    fetch 35 --cacert good.pem "https://localhost:$port/"
    says err '(35) tls: '
    is "$(<out)" ''
    end_openssl_server
}

refuses() { # ENGINE
    not_served -tls1_2 -cipher "$other_1_2"
    not_served -tls1_2 -groups P-521:X448
    not_served -tls1_3 -groups P-521:X448
    not_served -tls1_3 -ciphersuites "$ccm_1_3"
    not_served -tls1_1 -cipher "$all_1_2"
    [[ $1 != bearssl ]] || not_served -tls1_3
}

for engine in "${engines[@]}"; do
    export CONDUIT_TLS=$engine
    offers "$engine"
    for version in $(versions "$engine"); do
        accepts "$engine" "$version"
    done
    refuses "$engine"
done
unset CONDUIT_TLS

# A certificate on the other curve.
openssl_serve p384-server -groups P-384
for engine in "${engines[@]}"; do
    CONDUIT_TLS=$engine fetch 0 -v --cacert good.pem "https://localhost:$port/"
    says err 'CN=p384-server,'
done
